"""The pure half of mountplan: values in, values out; no file, clock, environment or kernel is touched here."""

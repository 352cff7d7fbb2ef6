"""Plans, tables, drift and errors -> text, JSON, DOT, Mermaid: values in, text out, the same for the same input."""

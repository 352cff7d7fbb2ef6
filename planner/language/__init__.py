"""TOML text -> Spec, every mistake with its place. Front doors: spec.py (Spec), spec_reading.py (parse_spec)."""

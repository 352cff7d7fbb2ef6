"""TOML text -> Spec, every mistake with its place. Front door: spec.py (parse_spec)."""

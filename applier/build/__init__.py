"""A Plan carried out: Plan -> namespaces that stand. Front door: build.py (build)."""

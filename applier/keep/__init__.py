"""Names that stay: namespaces kept, looked up, entered and removed. Front door: kept.py."""

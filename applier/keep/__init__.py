"""Names that stay: namespaces kept, looked up, entered and removed. Front doors: kept.py, kept_changes.py."""

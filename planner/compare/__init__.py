"""Two sets of mount tables -> Drift. Front door: compare.py (compare, differences)."""

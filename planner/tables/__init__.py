"""Mount tables as values, and the text of mountinfo. Front door: table.py (MountTable, MountRow)."""

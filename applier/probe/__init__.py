"""What this kernel and this user can do, found by trying. Front door: probe.py (probe)."""

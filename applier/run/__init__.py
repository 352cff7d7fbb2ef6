"""A command inside. Front door: run.py (run_in, exec_in)."""

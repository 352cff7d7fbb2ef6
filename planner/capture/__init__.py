"""Live namespaces -> a spec that builds them again: the planner's road backwards, tables in, text out.

Front doors: mounts.py (capture) finds what to write, writing.py (write_spec) writes it.
"""

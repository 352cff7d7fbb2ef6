"""Exit statuses that no error of mountplan's own has; those are with the exceptions (planner/errors.py)."""

BUG = 70  # EX_SOFTWARE of sysexits.h

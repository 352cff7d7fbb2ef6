"""What numbers the processes of a script have."""

from __future__ import annotations

FIRST_PID = 1 << 22  # the kernel gives smaller ones only, so that no number in a script is taken for what $$ gave

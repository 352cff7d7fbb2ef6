"""python without_calls.py CALLS COMMAND...: a command without some calls; CALLS are as MOUNTPLAN_WITHOUT has them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.without import calls_of, do_without

if __name__ == "__main__":
    do_without(calls_of(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])

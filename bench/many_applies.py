"""200 applies in parallel, each of another spec, in a throw-away host: all are correct, and nothing is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.hosts import run_in_host
from tests.load import apply_in_parallel


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seconds = run_in_host(lambda: apply_in_parallel(count), identity="root", timeout=1800)
    print(
        f"{count} applies of different specs at once, {os.cpu_count()} CPUs: {seconds:.1f} s, all correct, nothing left"
    )


if __name__ == "__main__":
    main()

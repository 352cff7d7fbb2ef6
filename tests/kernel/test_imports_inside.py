"""Inside a tree there is no mountplan: whatever a process takes along has been imported before.

Tests that fork from a process which has imported more would not see it.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.hosts import CHECKOUT, InHost

PROGRAM = """
import os, sys
from mountplan.__main__ import main

def root():
    found = os.stat("/")
    return found.st_dev, found.st_ino

class Finder:
    outside = root()
    def find_spec(self, name, path=None, target=None):
        if root() != self.outside:
            os.write(2, f"imported inside: {name}\\n".encode())

sys.meta_path.insert(0, Finder())
sys.exit(main())
"""


@pytest.mark.needs_kernel("mountns", "set-group")
@pytest.mark.parametrize(
    "words",
    [
        "apply --forget specs/complex-sharing.toml",
        "apply --forget --rootless always specs/hello.toml",
        "run specs/sandbox.toml -- /bin/true",
    ],
)
def test_nothing_is_imported_in_another_root(words: str, in_host: InHost) -> None:
    def script() -> tuple[int, str]:
        command = [sys.executable, "-c", PROGRAM, *words.split()]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert (0, "") == in_host(script)

"""The names that a topology, a plan and a trial have for things, and the kinds of things that stand at a path."""

from __future__ import annotations

from typing import Literal, TypeAlias

Handle: TypeAlias = str


NodeKind = Literal["file", "directory", "symlink", "fifo", "char", "block", "socket"]

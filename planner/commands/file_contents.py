"""What is in the files of a script, as far as that is known: what it has written, what is said of them."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from mountplan.planner.model import Process, WouldRefuse
from mountplan.planner.model.objects import ModelNode
from mountplan.planner.model.walking import walk

_MOST = 1 << 20  # characters of a file that are kept in mind


class FileContents:
    """`given` has texts by the paths that scripts name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._known: dict[ModelNode, str | None] = {}
        self.executable: dict[ModelNode, bool | None] = {}  # None if that is not known; of others, they are not
        self.special: dict[ModelNode, str] = {}  # what is no plain file: its kind, as mknod(1) has it

    def is_given(self, path: str) -> bool:
        """Whether it was said from outside what is in there."""
        return path in self._given

    def read(self, process: Process, path: str) -> str | None:
        """The text; None if it is not known. Raises WouldRefuse with ENOENT if there is no such file."""
        try:
            _, node = walk(process, path)
        except WouldRefuse:
            if path in self._given:
                return self._given[path]
            raise
        if node in self._known:
            return self._known[node]
        if path in self._given:
            return self._given[path]
        if node.is_known and node not in self.special:
            if node.is_directory:
                raise WouldRefuse(errno.EISDIR, f"{path} is a directory")
            return ""  # nothing was written
        return None

    def write(self, process: Process, path: str, text: str | None, *, append: bool = False) -> None:
        """With None, what is written is not known."""
        try:
            _, node = walk(process, path)
        except WouldRefuse:
            return
        before = self._known.get(node, "" if node.is_known else None) if append else ""
        known = before is not None and text is not None and len(before) + len(text) <= _MOST
        self._known[node] = f"{before}{text}" if known else None

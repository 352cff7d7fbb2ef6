"""The text of a shell script -> the tree of tree-sitter-bash. The only module that imports it.

The grammar does not know all of the shell: where it fails, it is given other bytes of the same length, and what stands
there is taken from the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

import tree_sitter
import tree_sitter_bash

from mountplan.planner.shell.shell_syntax import NotFollowed

_LANGUAGE = tree_sitter.Language(tree_sitter_bash.language())
# What the grammar does not know, and as many bytes with which it reads the rest as it is meant.
_UNKNOWN = (
    (re.compile(rb"(?<=\s)([0-9]?)<>(?=\s*[^\s;&|<>])"), rb"\1< "),
    (re.compile(rb"(?<=\s)(0[xX])\*\)"), rb"\1x)"),
    (re.compile(rb"(?m)(^|[\s;&|(!`])\[(?=\s)"), b"\\1\x01"),  # a command as any other
)
# Sums, and what stands in their place in words, that the grammar does not know: each is read as text on its own.
_SUM = re.compile(rb"(\$\(\()((?:[^()\n]|\([^()\n]*\))+)(?=\)\))")
_DEFAULT = re.compile(rb"(\$\{[A-Za-z_][A-Za-z0-9_]*:?[-+=])((?:[^{}\n\"]|\$\{[^{}\n\"]*\})+)(?=\})")


def _parsed(data: bytes) -> Any:
    return tree_sitter.Parser(_LANGUAGE).parse(data).root_node


def _errors(top: Any) -> int:
    """How many places are no shell."""
    count = 0
    waiting = [top]
    while waiting:
        node = waiting.pop()
        count += node.is_missing or node.is_error
        waiting += [child for child in node.children if child.has_error or child.is_missing]
    return count


def _taken_along(top: Any) -> list[int]:
    """Where an empty value ends a line, and the grammar takes the command of the next line along (`A=1 B=`)."""
    found = []
    waiting = [top]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        name = node.child_by_field_name("name") if node.type == "command" else None
        before = [one for one in node.children if one.type == "variable_assignment"] if name is not None else []
        last = before[-1] if before else None
        if last is not None and name is not None and last.end_point[0] < name.start_point[0]:
            text = node.text[last.end_byte - node.start_byte : name.start_byte - node.start_byte]
            if re.search(rb"(?<!\\)\n", text):
                found.append(last.end_byte)
    return found


class ScriptTree:
    """A script as bytes, which keep their places, and as a tree of what stands where."""

    def __init__(self, text: str, first_line: int) -> None:
        self.data = text.encode("utf-8", "surrogateescape")
        self.first_line = first_line
        self.one_line = False
        self.depth = 0
        self.apart: set[int] = set()  # where something begins that the grammar does not know
        self.lines = [match.start() for match in re.finditer(b"\n", self.data)]
        self.root = _parsed(self.data)
        read = self.data
        while ends := _taken_along(self.root):
            for end in ends:
                read = read[:end] + b";" + read[end + 1 :]
            self.root = _parsed(read)
        if self.root.has_error:
            self._try_otherwise(read)

    def _try_otherwise(self, data: bytes) -> None:
        """Where the grammar knows something not, the tree is that of other bytes; the text stays what it is."""
        for written, meant in _UNKNOWN:
            data = self._read_if_better(data, written.sub(meant, data))
        for written, end in ((_SUM, b"))"), (_DEFAULT, b"}")):
            for match in written.finditer(data):
                alone = match[0] + end
                if self.root.has_error and _parsed(b"x=" + (alone if end == b"))" else b'"' + alone + b'"')).has_error:
                    start, stop = match.span(2)
                    other = data[:start] + b"1" * (stop - start) + data[stop:]
                    if self._read_if_better(data, other) is other:
                        data = other
                        self.apart.add(start)

    def _read_if_better(self, data: bytes, other: bytes) -> bytes:
        if other == data or not self.root.has_error:
            return data
        root = _parsed(other)
        if _errors(root) >= _errors(self.root):
            return data
        self.root = root
        return other

    def error_in(self, top: Any) -> NotFollowed:
        """The first place that is no shell; what comes after it cannot be trusted."""
        waiting = [top]
        while waiting:
            node = waiting.pop()
            if node.is_missing:
                return NotFollowed(self.line(node), f"`{node.type}` is missing", "write it", ends=True)
            if node.is_error:
                text = self.text(node).strip().split("\n")[0][:40]
                what = f"`{text}` is not understood as shell" if text else "this is not understood as shell"
                return NotFollowed(self.line(node), what, "see whether a quote or a word is missing", ends=True)
            waiting += [child for child in reversed(node.children) if child.has_error or child.is_missing]
        raise AssertionError(top)

    def line(self, node: Any) -> int:
        return self.first_line + (0 if self.one_line else bisect_left(self.lines, node.start_byte))

    def text(self, node: Any) -> str:
        return self.slice(node.start_byte, node.end_byte)

    def slice(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8", "surrogateescape")

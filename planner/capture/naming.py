"""Short names for mounts and groups, made of their paths."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")
_MOST = 60  # characters of a path that are taken into a name


class Names:
    """Gives out names, each once: the last part of the path, with more of the path if that is taken, or a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, path: str, otherwise: Iterable[str] = ()) -> str:
        """A name for what is at `path`; before it gets a number, the words `otherwise` are put before it."""
        parts = [clean for part in path.split("/") if (clean := _cleaned(part))]
        name = parts.pop() if parts else "root"
        first = name
        while name in self._taken and parts and len(name) < _MOST:
            name = f"{parts.pop()}-{name}"
        if name in self._taken:
            name = next((f"{word}-{name}" for word in otherwise if f"{word}-{name}" not in self._taken), "")
            name = name or self._numbered(first)
        self._taken.add(name)
        return name

    def _numbered(self, name: str) -> str:
        number = self._next.get(name, 2)
        while f"{name}-{number}" in self._taken:
            number += 1
        self._next[name] = number + 1
        return f"{name}-{number}"


def _cleaned(part: str) -> str:
    return _OTHER.sub("-", part).strip("-.")[:_MOST].strip("-.")

"""The text of a systemd unit -> its directives, and the words of their values."""

from __future__ import annotations

import re
import shlex

# Directives that hold lists: an empty one begins anew, and drop-ins add to what is there.
_LISTS = frozenset({
    "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem",
    "BindPaths", "BindReadOnlyPaths", "Environment", "CapabilityBoundingSet", "ReadWriteDirectories",
    "ReadOnlyDirectories", "InaccessibleDirectories", "StateDirectory", "CacheDirectory", "LogsDirectory",
    "RuntimeDirectory", "ConfigurationDirectory",
})  # fmt: skip
_OLD = {
    "ReadWriteDirectories": "ReadWritePaths",
    "ReadOnlyDirectories": "ReadOnlyPaths",
    "InaccessibleDirectories": "InaccessiblePaths",
}


def read_unit(text: str) -> dict[str, list[str]]:
    """The directives of [Service] (or [Socket], [Mount], [Swap]), the values of each in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    joined = re.sub(r"\\\n\s*(?:[#;][^\n]*\n\s*)*", " ", text)
    for line in joined.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            continue
        if section not in ("Service", "Socket", "Mount", "Swap") and not (section == "" and line[:1].isupper()):
            continue
        name, equals, value = line.partition("=")
        name = _OLD.get(name.strip(), name.strip())
        if not equals:
            continue
        value = value.strip()
        if not value and name in _LISTS:
            found[name] = []
        else:
            found.setdefault(name, []).append(value)
    return found


def words_of(text: str) -> list[str]:
    try:
        return shlex.split(text.replace("\\:", "\\\\:"))  # a colon that parts nothing stays one
    except ValueError:
        return text.split()

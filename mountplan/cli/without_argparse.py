"""Plain command lines, such as `mountplan run FILE`, without argparse: that takes as long as a small tree."""

from __future__ import annotations

from mountplan.applier.sys.report import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

# The words that a command takes, in order; `check` takes any number of its one.
WORDS: dict[str, tuple[str, ...]] = {
    "run": ("spec",),
    "check": ("specs",),
    "ls": (),
    "show": ("name",),
    "verify": ("spec", "subject"),
    "diff": ("first", "second"),
}
# What parser.py and the command's own module give for these words alone; a test compares them.
DEFAULTS: dict[str, dict[str, Any]] = {
    "run": {
        "settings": None,
        "no_cache": False,
        "rootless": "auto",
        "max_mounts": None,
        "timeout": TIMEOUT,
        "namespace": "",
        "json_status_fd": None,
        "verbose": False,
        "extra": [],
    },
    "check": {"settings": None, "rootless": "auto", "all": False},
    "ls": {"names": False},
    "show": {"all": False},
    "verify": {"subject": "", "settings": None, "all": False, "verbose": False},
    "diff": {"settings": None, "all": False},
}


class Arguments:
    """As argparse.Namespace: attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def parse(words: list[str]) -> argparse.Namespace | None:
    """The arguments, if `words` are one of these commands and what it takes; otherwise None: argparse knows."""
    command = words[0]
    given: list[Any] = words[1:]
    names = WORDS.get(command)
    if names is None or any(one.startswith("-") and one != "-" for one in given):
        return None
    if command == "check":
        given = [given] if given else []
    values = {**DEFAULTS[command], "command": command, **dict(zip(names, given, strict=False))}
    if len(given) > len(names) or not values.keys() >= {*names}:
        return None
    return Arguments(values)  # type: ignore[return-value]

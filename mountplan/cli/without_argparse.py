"""`mountplan run FILE [-- COMMAND...]` and `check FILE...` without argparse: that takes as long as a small tree."""

from __future__ import annotations

from mountplan.applier.sys.report import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

# What parser.py, run_cmd.py and check_cmd.py give for files alone; a test compares them.
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
}


class Arguments:
    """As argparse.Namespace: attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def parse(words: list[str]) -> argparse.Namespace | None:
    """The arguments, if `words` are `run FILE` or `check FILE...` and nothing else; otherwise None: argparse knows."""
    command, *files = words
    if command not in DEFAULTS or not files or any(one.startswith("-") and one != "-" for one in files):
        return None
    if command == "check":
        return Arguments({**DEFAULTS[command], "command": command, "specs": files})  # type: ignore[return-value]
    if len(files) > 1:
        return None
    return Arguments({**DEFAULTS[command], "command": command, "spec": files[0]})  # type: ignore[return-value]

"""`mountplan run FILE [-- COMMAND...]` without argparse, which takes as long as building a small tree does."""

from __future__ import annotations

from mountplan.applier.sys.report import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

# What parser.py and run_cmd.py give for `run FILE`; a test compares them.
DEFAULTS: dict[str, Any] = {
    "command": "run",
    "settings": None,
    "no_cache": False,
    "rootless": "auto",
    "max_mounts": None,
    "timeout": TIMEOUT,
    "namespace": "",
    "json_status_fd": None,
    "verbose": False,
    "extra": [],
}


class Arguments:
    """As argparse.Namespace: attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def parse(words: list[str]) -> argparse.Namespace | None:
    """The arguments, if `words` are `run FILE` and nothing else; otherwise None: then argparse knows."""
    if len(words) != 2 or words[0] != "run" or (words[1].startswith("-") and words[1] != "-"):
        return None
    return Arguments({**DEFAULTS, "spec": words[1]})  # type: ignore[return-value]

"""mountplan: write down the mount tree and the sharing you want; get it built in order, and verified.

All that mountplan.api has is here too, fetched when it is first asked for.
"""

from __future__ import annotations

import sys

from mountplan.version import __version__ as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.api import *  # noqa: F403


if not TYPE_CHECKING:  # of which they would believe that it has every name

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        __import__("mountplan.api")  # importlib has more modules to load
        api = sys.modules["mountplan.api"]
        if name in api.__all__:
            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted({*globals(), *import_module("mountplan.api").__all__})

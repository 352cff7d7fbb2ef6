"""`python -m mountplan`, and the console script."""

from __future__ import annotations

import gc
import sys

from mountplan import cli

__all__ = ["main"]


class _NoPlugins:
    """In place of what looks for plugins of pydantic in all packages that are installed, to run their code: that takes
    a tenth of a small `check`, and no plugin has anything to do with specs.
    """

    get_plugins = tuple


def main(argv: list[str] | None = None) -> int:
    """One command line in a process of its own, of which next to nothing is ever garbage in a cycle.

    Looking for that, while modules are loaded and once more at the end, took a fifth of the time of a small `check`,
    and a seventh of that of one of ten thousand mounts, which makes 300,000 objects.
    """
    gc.set_threshold(1_000_000)
    try:
        return cli.main(argv, _prepare)
    finally:
        gc.freeze()


def _prepare() -> None:
    """For commands that load most of mountplan, as all do but the shortest."""
    from mountplan.module_finder import find_modules_sooner

    find_modules_sooner()
    sys.modules.setdefault("pydantic.plugin._loader", _NoPlugins)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())

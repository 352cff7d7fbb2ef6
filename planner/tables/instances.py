"""Of filesystems that others have as well: what theirs has, and whether a new mount would set something else on it.

Mounting a type of which the machine has one instance sets the options on that instance, for all its mounts; some
kernels take those that are not given for defaults, and set these. So a mount of one gives what is there, all of it.
"""

from __future__ import annotations

from mountplan.planner.fstypes import of
from mountplan.planner.light import regex
from mountplan.planner.tables.mountinfo import unescape
from mountplan.planner.tables.options import Pairs, is_shown
from mountplan.planner.tables.table import MountRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What security modules show, and choose by themselves: it is not given. A label may have commas in it.
_OF_SECURITY = frozenset({"seclabel", "context", "fscontext", "defcontext", "rootcontext"})
# What mountinfo shows of a cgroup hierarchy besides what it is made of.
_OF_ANY_HIERARCHY = frozenset({"rw", "ro", "xattr", "clone_children", "cpuset_v2_mode", "favordynmods"})
_LABEL = regex('"[^"]*"')


def shown(rows: Iterable[MountRow], fstype: str) -> str | None:
    """The options of the one instance, as mount tables show them; None if no row does, or if rows disagree."""
    found = {row.options for row in rows if row.fstype == fstype}
    return found.pop() if len(found) == 1 else None


def unlike(fstype: str, asked: Pairs, there: str) -> Pairs:
    """Those of the options `asked` that the instance, which shows `there`, does not have already."""
    return tuple((name, value) for name, value in asked if not is_shown(fstype, name, value, there))


def given_again(there: str) -> Pairs:
    """The options that leave an instance which shows `there` as it is."""
    pairs: list[tuple[str, str | bool]] = []
    for part in _LABEL.sub("", there).split(","):
        name, equals, value = part.partition("=")
        if name and name != "rw" and name not in _OF_SECURITY and not name.startswith("smackfs"):
            pairs.append((unescape(name), unescape(value) if equals else True))
    return tuple(pairs)


def hierarchy_of(options: Iterable[str]) -> set[str]:
    """What a cgroup hierarchy (v1) with these options is made of: its controllers, or its name."""
    return set(options) - _OF_ANY_HIERARCHY


def is_hierarchy(asked: Pairs, rows: Iterable[MountRow]) -> bool:
    """True if one of `rows` shows the cgroup hierarchy (v1) that `asked` is made of."""
    made_of = hierarchy_of(name if value is True else f"{name}={value}" for name, value in asked)
    return any(made_of == hierarchy_of(row.options.split(",")) for row in rows if row.fstype == "cgroup")


def place_of(fstype: str) -> str:
    """What has one instance of the type, in words."""
    kind = of(fstype).instances
    return "on the machine" if kind == "machine" else f"in {'an' if kind == 'ipc' else 'a'} {kind} namespace"

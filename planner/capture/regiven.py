"""Superblock options as mountinfo shows them -> options that can be given again in a spec."""

from __future__ import annotations

import re
from functools import lru_cache

from mountplan.planner.capture.captured import Options
from mountplan.planner.fstypes import of
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.layerpath import OF_LAYERS
from mountplan.planner.tables.mountinfo import unescape

# Of an overlay: what every new upper directory gets, and what belongs to the machine and not to the mount.
_OVERLAY_DEFAULTS = {"uuid": "on"}
_SUBVOLUME = re.compile(r",subvolid=(\d+),subvol=(.*)", re.DOTALL)  # the last that btrfs shows: a path may have commas


# What security modules add, and mount calls do not give.
_SHOWN_ONLY = frozenset({"seclabel"})


class Shown(NamedTuple):
    """Superblock options taken apart: pairs of name and value, in the kernel's order; True for a flag."""

    read_only: bool
    pairs: tuple[tuple[str, str | bool], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name and isinstance(value, str)]


@lru_cache(maxsize=4096)
def parse_options(text: str) -> Shown:
    """Take mountinfo's last field apart; its escapes are undone here, since a comma in a value is written as one."""
    read_only = False
    pairs: list[tuple[str, str | bool]] = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals and name in ("rw", "ro"):
            read_only = name == "ro"
        elif part:
            pairs.append((unescape(name), unescape(value) if equals else True))
    return Shown(read_only, tuple(pairs))


@lru_cache(maxsize=4096)
def given_again(fstype: str, text: str) -> Options:
    """The options to write for a new superblock that is to show `text`."""
    shown = parse_options(text)
    kind = of(fstype)
    if fstype == "btrfs" and (subvolume := subvolume_of(text)):
        # By its path, which a spec has a word for; its number is another one in a copy.
        return (*given_again(fstype, _SUBVOLUME.sub("", text)), ("subvol", subvolume))
    if kind.instances == "machine":
        return ()  # the machine's only one has them
    if kind.is_shared:  # one of a namespace that is made as well: what its first mount asks for is what can be chosen
        return (("ro", True),) if shown.read_only else ()
    defaults, leave_out, read_only = kind.defaults, _SHOWN_ONLY, shown.read_only
    if fstype == "overlay":
        defaults, leave_out = _OVERLAY_DEFAULTS, leave_out.union(OF_LAYERS)
        if not shown.values("upperdir"):
            read_only = False  # it is so anyhow
            if "on" in shown.values("redirect_dir") and not shown.values("metacopy"):
                leave_out = leave_out | {"redirect_dir"}  # it follows what it finds, if it is not told otherwise
    found: dict[str, str | bool | tuple[str, ...]] = {}
    for name, value in shown.pairs:
        if name in leave_out or defaults.get(name) == value:
            continue
        if isinstance(value, str):
            value = _shorter_size(value) if name == "size" else value
            value = f"0{value}" if name == "mode" and value.isdigit() and not value.startswith("0") else value
            before = found.get(name)
            if before is not None:
                found[name] = (*before, value) if isinstance(before, tuple) else (str(before), value)
                continue
        found[name] = value
    if read_only:
        found["ro"] = True
    return tuple(found.items())


def subvolume_of(text: str) -> str:
    """The path of the subvolume of a btrfs that a mount shows, from that mount's options; "" if they do not tell."""
    found = _SUBVOLUME.search(text)
    return unescape(found[2]) if found else ""


def of_the_top(text: str) -> str:
    """The options that a mount of the whole of a btrfs would show, from those of a mount of any part of it."""
    return _SUBVOLUME.sub(",subvolid=5,subvol=/", text)


def _shorter_size(value: str) -> str:
    """`1048576k` -> `1g`: what a person would have written."""
    if not (value.endswith("k") and value[:-1].isdecimal()):
        return value
    number, units = int(value[:-1]), "kmgt"
    unit = 0
    while number and number % 1024 == 0 and unit < len(units) - 1:
        number //= 1024
        unit += 1
    return f"{number}{units[unit]}"

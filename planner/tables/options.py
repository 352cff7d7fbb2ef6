"""Superblock options: what was asked for against what mountinfo shows, in the units that each filesystem shows."""

from __future__ import annotations

from mountplan.planner.fstypes import of
from mountplan.planner.light import regex
from mountplan.planner.names import IdLines
from mountplan.planner.tables.layerpath import OF_LAYERS, has_device
from mountplan.planner.tables.mountinfo import unescape

Pairs = tuple[tuple[str, str | bool], ...]

_DEVICE = regex(r"(?:(?<=^/)|(?<=:/))(\d+):(\d+)(?=[/:]|$)")
_BETWEEN_LAYERS = regex(r"(?<!\\)((?:\\\\)*):")
_ESCAPED = regex(r"(?s)\\(.)")
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZES = frozenset({"size", "nr_blocks"})
OCTAL = frozenset({"mode", "ptmxmode", "umask", "fmask", "dmask", "file_mode", "dir_mode"})
_LIKELY_SIZE = regex(r"(?i)([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([kmgtp])(?:i?b)?")
_NUMBERS = frozenset({"uid", "gid", "nr_inodes", "max"})

_SAME: dict[tuple[str, str], str] = {
    ("hidepid", "0"): "off",
    ("hidepid", "1"): "noaccess",
    ("hidepid", "2"): "invisible",
    ("hidepid", "4"): "ptraceable",
}

_READ_ONLY = {"ro": "rw", "rw": "ro"}
# Defaults of tmpfs are reckoned from the machine's memory, which may become more or less: then they are shown.
_OF_MEMORY = frozenset({"size", "nr_inodes"})
# What an option is found to be that is not shown, though it would be if it were in force.
NOT_SHOWN = "not shown: it may not be in force"
# Which subvolume of btrfs it is, each mount shows for itself.
_OF_MOUNTS = frozenset({"subvol", "subvolid"})


def _normal(name: str, value: str) -> str:
    """A value in one form of the many in which it can be written; as it is if it is of no form known here."""
    if (name, value) in _SAME:
        return _SAME[name, value]
    try:
        if name in _SIZES or name == "nr_inodes":
            text = value.lower()
            factor = _UNITS.get(text[-1:], 1)
            number = int(text.rstrip("kmgtp")) * factor
            return str(-(-number // 4096) * 4096 if name == "size" else number)
        if name in OCTAL:
            return oct(int(value, 8))
        if name in _NUMBERS:
            return str(int(value))
    except ValueError:
        pass
    return value


def value_meant(name: str, value: str) -> str:
    """What to write in place of a value that the kernel does not take; "" if no form of it is known here."""
    if name in OCTAL:
        return f'write octal digits in a string, such as {name} = "0755"'
    if name in ("uid", "gid"):
        return f"write a number; `getent {'passwd' if name == 'uid' else 'group'} NAME` has that of a name"
    if name not in _SIZES and name != "nr_inodes":
        return ""
    likely = _LIKELY_SIZE.fullmatch(value)
    such_as = _whole(likely[1], likely[2].lower()) if likely is not None else "16m"
    return f'write digits, and k, m or g behind them: {name} = "{such_as}"{"?" if likely is not None else ", say"}'


def _whole(number: str, unit: str) -> str:
    """A size without a point: of 1.5g, 1536m."""
    whole, point, _ = number.partition(".")
    units = ["", *_UNITS]
    return f"{round(float(number) * 1024)}{units[units.index(unit) - 1]}" if point else f"{whole}{unit}"


def with_ids_inside(options: str, uids: IdLines, gids: IdLines) -> str:
    """Options as mountinfo shows them, but with ids as a user namespace has them, not the machine's first one.

    `uids` and `gids` are lines of (id there, id in the first one, count). An id that it does not have stays as it is.
    """
    return ",".join(_with_id_inside(part, uids if part.startswith("uid=") else gids) for part in options.split(","))


def _with_id_inside(option: str, ids: IdLines) -> str:
    name, _, text = option.partition("=")
    if name in ("uid", "gid") and text.isdecimal():
        for inside, outside, count in ids:
            if outside <= int(text) < outside + count:
                return f"{name}={int(text) - outside + inside}"
    return option


def differing_options(fstype: str, asked: Pairs, shown: str) -> list[tuple[str, str, str]]:
    """(name, asked, shown) of every option that the kernel shows with another value than was asked for, as far as the
    forms are known in which it may do so: for superblocks of which nothing else is known than what they show.

    An option that a filesystem took and does not show cannot be read back; it counts as granted, since the filesystem
    would have refused it. Where absence means the default (tmpfs, devpts, proc), it is held against that.
    """
    if not asked:
        return []
    there = _shown(shown)
    defaults = of(fstype).defaults
    differences = []
    for name, value in asked:
        if isinstance(value, bool):
            opposite = _READ_ONLY.get(name)
            if opposite in there:
                differences.append((name, "set", opposite))
        elif name in there:
            if _normal(name, value) not in [_normal(name, one) for one in there[name]]:
                if value.endswith("%") or (name == "nr_inodes" and value == "0"):
                    continue  # shown as an amount, or not at all
                differences.append((name, value, ",".join(there[name])))
        elif name in defaults and _normal(name, value) != _normal(name, defaults[name]):
            differences.append((name, value, f"the default ({defaults[name] or 'none'})"))
    return differences


def other_forms(fstype: str, asked: Pairs, shown: str) -> list[tuple[str, str, str]]:
    """(name, asked, shown) of every option that is shown with another text than was asked for, or not at all though it
    is one that would be."""
    there = _shown(shown)
    otherwise = [
        (name, str(value), ",".join(there[name]))
        for name, value in asked
        if value is not True and name in there and value not in there[name]
    ]
    return otherwise + dropped(fstype, asked, shown)


def dropped(fstype: str, asked: Pairs, shown: str) -> list[tuple[str, str, str]]:
    """(name, asked, NOT_SHOWN) of every option that the kernel took, and may have dropped: it would be shown, unless it
    is the machine's default.
    """
    unless = of(fstype).shown_unless
    if not unless:
        return []
    there = _shown(shown)
    return [
        (name, _wish(value), NOT_SHOWN)
        for name, value in asked
        if name in unless and name not in there and name not in there.get("fsync", ())
        if value is not False
    ]


def opposites(fstype: str, asked: Pairs, shown: str) -> list[tuple[str, str, str]]:
    """(name, asked, shown) of every switch that is on where it was asked to be off, or the other way round."""
    unless = of(fstype).shown_unless
    if not unless:
        return []
    there = _shown(shown)
    return [
        (name, str(value), there[name][0])
        for name, value in asked
        if name in unless and name in there and {value, there[name][0]} == {"on", "off"}
    ]


def differing_since(asked: Pairs, then: str, now: str, defaults: str = "") -> list[tuple[str, str, str]]:
    """(name, asked, shown now) of every option that is shown otherwise than it was `then`, when it was right.

    Without a `then`, only what must always be as it was asked for: whether the filesystem is read-only. `defaults` is
    what a tmpfs had at that time of options that it did not show; "" if that is not known.
    """
    if not then and not any(name in _READ_ONLY for name, _ in asked):
        return []
    before, there = _shown(then), _shown(now)
    if defaults:
        unshown = _shown(defaults)
        there = {name: value for name, value in there.items() if name in before or unshown.get(name) != value}
    differences = []
    for name, value in asked:
        opposite = _READ_ONLY.get(name)
        if opposite is not None:
            if value is True and opposite in there:
                differences.append((name, "set", opposite))
        elif then and before.get(name) != there.get(name):
            wish = "set" if value is True else str(value)
            differences.append((name, wish, ",".join(there[name]) or "set" if name in there else "no longer shown"))
    if then:
        told = {name for name, _ in asked}
        # One word of the two is enough: of what is asked to be read-only or not, the other one is told above.
        others = {*before, *there} - told - _OF_MOUNTS - ({"ro", "rw"} if told & _READ_ONLY.keys() else {"rw"})
        if not defaults:
            others -= _OF_MEMORY
        for name in sorted(others):
            if before.get(name) != there.get(name):
                one, two = (",".join(side[name]) or "set" if name in side else "not shown" for side in (before, there))
                differences.append((name, one, two))
    return differences


def has_as_written(name: str, value: str | bool, shown: str) -> bool:
    """True if an option is shown to the letter as it is asked for: then it has been granted, by any mount."""
    there = _shown(shown)
    return name in there and (value is True or value in there[name])


def unlike_shown(fstype: str, asked: Pairs, shown: str) -> list[tuple[str, str, str]]:
    """(name, asked, shown) of every option that a superblock does not have which was there before it was asked for."""
    there = _shown(shown)
    return [
        (name, "set" if value is True else str(value), ",".join(there.get(name, ())) or "not shown")
        for name, value in asked
        if not is_shown(fstype, name, value, shown)
    ]


def unproven_options(fstype: str, asked: Pairs, shown: str) -> Pairs:
    """The options of `asked` that a superblock does not show: it may have them, or not.

    For one that was there before it was asked for them; a new one has refused them, or has them.
    """
    there = _shown(shown)
    differing = {name for name, _, _ in differing_options(fstype, asked, shown)}
    return tuple((name, value) for name, value in asked if name in differing or name not in there)


def is_shown(fstype: str, name: str, value: str | bool, shown: str) -> bool:
    """True if a superblock that shows `shown` has this option, in whatever form; one that is not shown is a default."""
    there = _shown(shown)
    if isinstance(value, bool):
        return name in there
    default = of(fstype).defaults.get(name)
    values = there.get(name, [] if default is None else [default])
    return _normal(name, value) in [_normal(name, one) for one in values]


def differing_asked(fstype: str, asked: Pairs, other: Pairs) -> list[tuple[str, str, str]]:
    """(name, asked, other) of every option that two specs do not ask for alike; in whatever form they write it."""
    defaults = of(fstype).defaults
    ours, theirs = dict(asked), dict(other)
    differences = []
    for name in dict.fromkeys((*ours, *theirs)):
        one, two = (side.get(name, defaults.get(name)) for side in (ours, theirs))
        if one != two and not (
            isinstance(one, str) and isinstance(two, str) and _normal(name, one) == _normal(name, two)
        ):
            differences.append((name, _wish(one), _wish(two)))
    return differences


def _wish(value: str | bool | None) -> str:
    return "not asked for" if value is None else "set" if value is True else "not set" if value is False else value


def differing_shown(fstype: str, shown: str, other: str) -> list[tuple[str, str, str]]:
    """(name, shown, other) of every option that two superblocks show differently; their order does not count."""
    if shown == other:
        return []
    defaults = of(fstype).defaults
    ours, theirs = _shown(shown), _shown(other)
    if fstype == "overlay":
        _match_layers(ours, theirs)
    differences = []
    for name in dict.fromkeys((*ours, *theirs)):
        one, two = ours.get(name), theirs.get(name)
        if one == two or (name == "rw" and "ro" in {*ours, *theirs}):
            continue
        if name == "ro":
            differences.append((name, "ro" if one else "rw", "ro" if two else "rw"))
            continue
        default = f"the default ({defaults[name] or 'none'})" if name in defaults else "not set"
        ours_words, theirs_words = (",".join(some) or "set" if some else default for some in (one, two))
        differences.append((name, ours_words, theirs_words))
    return differences


def split_layers(value: str) -> list[str]:
    """The paths in the value of `lowerdir`: between them are colons, other colons and backslashes are escaped.

    In a place by device is a colon as well (planner/tables/layerpath.py, with_devices).
    """
    marked = _BETWEEN_LAYERS.sub("\\1\0", _DEVICE.sub(r"\1\\:\2", value))
    return [unescaped_layer(path) for path in marked.split("\0")]


def lower_and_data(values: list[str]) -> tuple[list[str], list[str]]:
    """The paths in what is shown as `lowerdir`; those behind two colons are for data only."""
    lower = [path for value in values for path in split_layers(value)]
    first = lower.index("") if "" in lower else len(lower)
    return lower[:first], [path for path in lower[first:] if path]


def unescaped_layer(path: str) -> str:
    """Without the backslashes that mount(2) takes in the path of a layer."""
    return _ESCAPED.sub(r"\1", path)


def _match_layers(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> None:
    """Write the layers of two overlays in one way. A path in a tree and a place by device cannot be told apart."""
    for side in (ours, theirs):
        if side.get("uuid") == ["on"]:
            del side["uuid"]  # what a new upper directory gets, unless it was used before
        if "lowerdir" in side:
            lower, data = lower_and_data(side.pop("lowerdir"))
            side["lowerdir+"], side["datadir+"] = lower, [*data, *side.get("datadir+", ())]
    for name in OF_LAYERS:
        one, two = ours.get(name, []), theirs.get(name, [])
        if len(one) == len(two) and all(
            path == other or has_device(path) != has_device(other) for path, other in zip(one, two, strict=True)
        ):
            ours.pop(name, None)
            theirs.pop(name, None)


def _shown(text: str) -> dict[str, list[str]]:
    there: dict[str, list[str]] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        there.setdefault(unescape(name), []).append(unescape(value))
    return there

"""Per-mount attributes: one table of the names a spec may use, what they set or clear, and what contradicts what.

Names are those of mount(8); the bits are MOUNT_ATTR_* of linux/mount.h, which mount_setattr(2) takes. The words that
clear an attribute (`rw`, `suid`, ...) are mount(8)'s too.
"""

from __future__ import annotations

from mountplan.planner.light import remember
from mountplan.planner.record import NamedTuple

RDONLY = 0x00000001
NOSUID = 0x00000002
NODEV = 0x00000004
NOEXEC = 0x00000008
ATIME_MASK = 0x00000070  # a field of its own, not bits: 0 is relatime
NOATIME = 0x00000010
STRICTATIME = 0x00000020
NODIRATIME = 0x00000080
IDMAP = 0x00100000
NOSYMFOLLOW = 0x00200000
WORDED = RDONLY | NOSUID | NODEV | NOEXEC | ATIME_MASK | NODIRATIME | NOSYMFOLLOW  # all that a spec has words for


class Change(NamedTuple):
    """What mount_setattr(2) is asked for: attr_set and attr_clr."""

    set: int = 0
    clear: int = 0


# name -> (bits set, bits cleared). Setting an atime mode always clears the whole field first, as the call demands.
NAMES: dict[str, Change] = {
    "ro": Change(RDONLY, 0),
    "rw": Change(0, RDONLY),
    "nosuid": Change(NOSUID, 0),
    "suid": Change(0, NOSUID),
    "nodev": Change(NODEV, 0),
    "dev": Change(0, NODEV),
    "noexec": Change(NOEXEC, 0),
    "exec": Change(0, NOEXEC),
    "nosymfollow": Change(NOSYMFOLLOW, 0),
    "symfollow": Change(0, NOSYMFOLLOW),
    "relatime": Change(0, ATIME_MASK),
    "noatime": Change(NOATIME, ATIME_MASK),
    "strictatime": Change(STRICTATIME, ATIME_MASK),
    "nodiratime": Change(NODIRATIME, 0),
    "diratime": Change(0, NODIRATIME),
}

# Of which a mount has one.
TIMES = frozenset({"relatime", "noatime", "strictatime"})
# Names of which one list may hold one at most.
EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset({"ro", "rw"}),
    frozenset({"nosuid", "suid"}),
    frozenset({"nodev", "dev"}),
    frozenset({"noexec", "exec"}),
    frozenset({"nosymfollow", "symfollow"}),
    TIMES,
    frozenset({"nodiratime", "diratime"}),
)

_RIVALS = {name: group for group in EXCLUSIVE for name in group}

# How mountinfo writes a mount's attributes (fs/proc_namespace.c, show_mnt_opts); strictatime is the absence of both
# noatime and relatime, and rw the absence of ro.
_SHOWN: tuple[tuple[str, int], ...] = (
    ("nosuid", NOSUID),
    ("nodev", NODEV),
    ("noexec", NOEXEC),
    ("noatime", NOATIME),
    ("nodiratime", NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW),
    ("idmapped", IDMAP),
)


@remember
def change(names: tuple[str, ...]) -> Change:
    """The change that the names ask for together. Raises KeyError for an unknown name."""
    bits_set = bits_clear = 0
    for name in names:
        one = NAMES[name]
        bits_set |= one.set
        bits_clear |= one.clear
    return Change(bits_set, bits_clear)


@remember
def overridden(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The names that come out when `second` is wished for after `first`, and so wins where the two contradict."""
    gone = frozenset().union(*(group for group in EXCLUSIVE if not group.isdisjoint(second)))
    return tuple(name for name in first if name not in gone) + second


def contradiction(names: tuple[str, ...]) -> tuple[str, ...]:
    """The first names that exclude each other, in the order of the list; empty if there are none."""
    if len({_RIVALS[name] for name in names}) == len(set(names)):
        return ()
    for group in EXCLUSIVE:
        clash = tuple(dict.fromkeys(name for name in names if name in group))
        if len(clash) > 1:
            return clash
    return ()


@remember
def parse_shown(text: str) -> int:
    """The attribute bits behind mountinfo's sixth field, such as `rw,nosuid,relatime`."""
    shown = set(text.split(","))
    bits = RDONLY if "ro" in shown else 0
    if "relatime" not in shown and "noatime" not in shown:
        bits |= STRICTATIME
    for name, bit in _SHOWN:
        if name in shown:
            bits |= bit
    return bits


@remember
def show(bits: int) -> str:
    """Attribute bits as mountinfo writes them."""
    words = ["ro" if bits & RDONLY else "rw"]
    for name, bit in _SHOWN:
        if bits & bit:
            words.append(name)
        if name == "nodiratime" and not bits & ATIME_MASK:
            words.append("relatime")
    return ",".join(words)


def words_of_bits(bits: int) -> tuple[str, ...]:
    """The names for what is set, and of the access time the one that is kept."""
    names = tuple(name for name, one in NAMES.items() if one.set and one.set & bits == one.set)
    return names if bits & ATIME_MASK else (*names, "relatime")


def remounted(bits: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names for all that remounting a bind with these makes of its `bits`, as mount(2) clears what is not given.

    Of access times it keeps what there is, if none is given (do_mount in fs/namespace.c). Nothing given, nothing done.
    """
    if not change(names).set and "relatime" not in names:
        return ()
    kept = ATIME_MASK | NODIRATIME
    given = change(names).set
    gone = WORDED & bits & ~given
    if not given & kept and "relatime" not in names:
        gone &= ~kept
    lost = tuple(name for name, one in NAMES.items() if not one.set and one.clear & gone)
    return overridden(lost, names)


def applied(bits: int, wanted: Change) -> int:
    """What the kernel makes of `bits` when mount_setattr(2) is given `wanted`."""
    return (bits & ~wanted.clear) | wanted.set

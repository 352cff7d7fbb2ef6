"""Where kernels differ: the one place that knows about versions.

The model follows Linux 6.18, with which it is compared call by call. What older kernels do otherwise, where a mount
table can show it, is a field here. A field says which change of the kernel made the difference. The values for older
kernels are from their sources, and compared call by call with 5.15, 6.1 and 6.12 (docs/kernels.md).
"""

from __future__ import annotations

import re
from math import inf

from mountplan.planner.record import NamedTuple


class Rules(NamedTuple):
    """How one kernel behaves where kernels differ. The values that stand here are those of 6.18."""

    # A mount that leaves its peer group becomes a slave of the next peer (6.17). Before, of the next peer that has the
    # same root, and only if there is none of the next one (fs/pnode.c, do_make_slave).
    slave_prefers_same_root: bool = False
    # All mounts that go at once leave the propagation graph together, so that none is for a moment the master of
    # another one (6.17, bulk_make_private). Before, they left one after the other.
    leave_together: bool = True
    # An unmount takes a counterpart only if nothing comes to another path by that (6.17, where propagate_umount was
    # rewritten). Before, a counterpart went as soon as all that was mounted in it was another's counterpart, and what
    # had covered one of those slid down to wherever its parents had stood.
    covers_stay_in_place: bool = True
    # Slaves of a mount in a tree that was never attached receive from its peers through it (6.17, where the nameless
    # namespace of such a tree ceased to count as none in IS_MNT_NEW). Before, they received nothing.
    detached_pass_on: bool = True
    # Trees that were never attached can be cloned and mounted upon (6.15).
    detached_sources: bool = True
    # A copy of an unbindable mount, as a new namespace has it, is not unbindable (6.17, where the mark moved from
    # mnt_flags to mnt_t_flags, and clone_mnt did not follow). Before, it is.
    unbindable_is_copied: bool = False
    # MOVE_MOUNT_BENEATH (6.5). Before, the flag is unknown.
    beneath: bool = True
    # Changing the sharing of a mount asks whether it is mounted, and whether its namespace is the caller's (6.16,
    # do_change_type, which older kernels were given as well). Before, nothing was asked.
    changes_are_checked: bool = True
    # What a copy slides beneath in the namespace of a less privileged user is locked along with it (until 6.16,
    # attach_recursive_mnt; the fix was given to older kernels as well).
    covers_are_locked: bool = False


RULES_6_18 = Rules()
RULES_6_12 = Rules(
    slave_prefers_same_root=True, leave_together=False, covers_stay_in_place=False, detached_pass_on=False,
    detached_sources=False, unbindable_is_copied=True,
)  # fmt: skip
RULES_6_1 = RULES_6_12._replace(beneath=False)


# Since which release a stable series has what 6.16 has: changes_are_checked, and no covers_are_locked. From Debian's
# changelogs for 6.1 and 6.12; the others are the releases of the same weeks.
_GIVEN = {(5, 15): (186, 187), (6, 1): (142, 143), (6, 6): (94, 96), (6, 12): (34, 36), (6, 15): (3, 5)}
_NEVER = (inf, inf)


_SERIES = (((5, 15), (5, 19)), ((6, 0), (6, 18)))  # first and last release of which it is known how they behave
KNOWN = "5.15 to 6.18"


def is_known(release: str) -> bool:
    """Whether the release is one of `KNOWN`, so that what is said of it is no guess."""
    version = _version(release)[:2]
    return any(first <= version <= last for first, last in _SERIES)


def _version(release: str) -> tuple[int, int, int]:
    major, minor, point = (*(int(number) for number in re.findall(r"\d+", release.partition("-")[0])[:3]), 0, 0, 0)[:3]
    return major, minor, point


def rules_of(release: str) -> Rules:
    """The rules of a kernel by its release, as uname(2) has it: the nearest version that the model knows.

    What a stable series was given late counts as given, unless the release says that it is an earlier one: 6.1.100 is,
    but 6.1 may be any, and so may be 6.1.0-56-amd64, as distributions count in their own way.
    """
    major, minor, point = _version(release)
    version = (major, minor)
    if version >= (6, 17):
        return RULES_6_18
    rules = RULES_6_12 if version >= (6, 5) else RULES_6_1
    if version >= (6, 16) or not point:
        return rules
    checked, unlocked = _GIVEN.get(version, _NEVER)
    return rules._replace(changes_are_checked=point >= checked, covers_are_locked=point < unlocked)

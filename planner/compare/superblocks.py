"""The options of one superblock that a plan asked for: what is a difference, and what is only written otherwise.

The kernel writes options its own way, a different one in each release, and leaves defaults out. So no table of forms
decides. Of a superblock that the build made new, each option was refused by its own call, or was taken; an overlay may
drop one all the same, and what it shows tells of those. What was shown of one when it was kept under a name, and had
been judged, is what it has to show later. Only where neither is known, as of a process's mounts, what is shown is held
against what is asked, in the forms that are known.
"""

from __future__ import annotations

from mountplan.planner.compare.view import View
from mountplan.planner.fstypes import of
from mountplan.planner.tables import options
from mountplan.planner.tables.table import MountRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Told: TypeAlias = list[tuple[str, str, str]]  # name, wanted, found


def judge_options(row: MountRow, there: MountRow, wanted: View, found: View) -> tuple[Told, Told]:
    """(differences, options that are shown in another form), of a predicted and an observed mount of one superblock."""
    assert wanted.asked is not None
    asked, shown = wanted.asked[row.device], there.options
    if not asked and not found.granted and not options.has_as_written("ro", True, shown):
        return [], []
    granted = found.granted.get(there.device)
    if granted is not None:
        differences = options.differing_since(*granted[:2], shown, granted.defaults)
        if asked != granted.asked:
            since = {name: now for name, _, now in differences}
            wished = options.differing_asked(row.fstype, asked, granted.asked)
            differences = [one for one in differences if one[0] not in {name for name, _, _ in wished}]
            differences = [(name, wish, since.get(name, was)) for name, wish, was in wished] + differences
            fulfilled = {
                name
                for name, value in asked
                if options.has_as_written(name, value, shown)
                or (name in since and options.is_shown(row.fstype, name, value, shown))
            }
            differences = [one for one in differences if one[0] not in fulfilled]
    elif wanted.present is None:
        differences = options.differing_options(row.fstype, asked, shown)
        fills = of(row.fstype).in_memory and of(row.fstype).takes_files
        if fills and options.has_as_written("ro", True, shown) and ("ro", True) not in asked:
            differences.append(("ro", "not asked for", "set"))
        return differences, options.dropped(row.fstype, asked, shown)
    elif row.device in wanted.present:
        differences = options.unlike_shown(row.fstype, asked, shown)
    else:
        differences = options.differing_since(asked, "", shown) + options.opposites(row.fstype, asked, shown)
    told = {name for name, _, _ in differences}
    return differences, [one for one in options.other_forms(row.fstype, asked, shown) if one[0] not in told]

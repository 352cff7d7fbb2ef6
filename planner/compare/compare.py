"""Two lists of mount tables -> Drift: every difference, tied back to the spec.

Ids of mounts, groups and devices may be others on the other side, if they are so consistently; all else must be equal.
If everything is as it should be, one walk through the tables says so. Only otherwise the mounts are matched
(planner/compare/matching.py), and what is different about them is put into words
(planner/compare/mount_differences.py).
"""

from __future__ import annotations

from _operator import itemgetter
from itertools import repeat

from mountplan.planner.attributes import parse_shown
from mountplan.planner.compare.difference import Difference, Drift, Judged
from mountplan.planner.compare.sense import Sense
from mountplan.planner.compare.view import Granted, View
from mountplan.planner.fstypes import ROWS
from mountplan.planner.names import IdMapping
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import HOST_GROUPS, Prediction, mounts_behind
from mountplan.planner.plan.steps import MakeIdMap, SetAttributes
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import columns_of, equal_until, first_places, mapped, picked, record_at, zipped
from mountplan.planner.tables.table import UNTOLD, MountRow, MountTable, root_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mountplan.planner.compare.arrivals import Surroundings
    from mountplan.planner.tables.columns import Columns

# Which instance of these a mount shows follows from the namespaces of the process that mounted it, not from the mount.
_BY_NAMESPACE = frozenset(one.name for one in ROWS if one.shows or one.is_shared)

_FEW = 8  # numbers of mounts, of which no index is made
_place = itemgetter(1, 4)  # of a row: (parent_id, mountpoint)


class Machine(NamedTuple):
    """Numbers that mean the same to both sides, since both are on this machine: those of its own mounts."""

    groups: frozenset[int] = frozenset()
    devices: frozenset[str] = frozenset()


def machine_of(host: MountTable) -> Machine:
    """The machine whose mounts, as seen from outside of both sides, are these."""
    return Machine(*_numbers((View("", host),)))


def compare(
    predictions: Sequence[Prediction],
    tables: Sequence[MountTable],
    host: MountTable | None = None,
    groups: Mapping[int, str] | None = None,
) -> Drift:
    """What was predicted against what was observed on the same machine, namespace by namespace, in the same order.

    With the `host`'s table, a group that should be new and is one of the host's is a difference. `groups` has names for
    the predicted groups (group_names). What arrived in a slave meanwhile is no difference: a slave is there for that.
    """
    return judge_built(predictions, tables, host, groups).drift


def judge_built(
    predictions: Sequence[Prediction],
    tables: Sequence[MountTable],
    host: MountTable | None = None,
    groups: Mapping[int, str] | None = None,
    present: frozenset[str] | None = None,
    before: Sequence[MountTable] = (),
    surroundings: Callable[[], Surroundings] | None = None,
    *,
    untouched: bool = False,
) -> Judged:
    """compare(), and what it came upon. `untouched` is what no process has entered yet (arrivals.py). `present` are the
    plan's filesystems that may have been there before the build; None if that is not known. `before` are the tables
    as they were when they were first judged, and found to be right.
    """
    devices = None if present is None else frozenset(f"={name}" for name in present)
    wanted = tuple(
        View(one.namespace, one.table, one.origins, one.options, None, groups or {}, present=devices)
        for one in predictions
    )
    found = tuple(View(one.namespace, table) for one, table in zip(predictions, tables, strict=True))
    if before:
        pairs = zip(wanted, found, before, strict=True)
        found = tuple(there._replace(granted=granted(one, seen)) for one, there, seen in pairs)
    machine = Machine() if host is None else machine_of(host)
    return judge(wanted, found, machine, arrivals=True, surroundings=surroundings, untouched=untouched)


def views_of(plan: Plan, predictions: Sequence[Prediction]) -> tuple[View, ...]:
    """Predictions with all that the plan says beyond the tables: names of groups, and id-mappings."""
    groups = group_names(plan)
    maps = {step.id_map: (step.uids, step.gids) for step in plan.steps if type(step) is MakeIdMap}
    mapped: dict[str, tuple[IdMapping, bool]] = {}
    for step in plan.steps if maps else ():
        if isinstance(step, SetAttributes) and step.id_map:
            mapped[step.mount] = (maps[step.id_map], step.recursive)
    views = []
    for one, namespace in zip(predictions, plan.expected.namespaces, strict=True):
        idmaps = {}
        for row, (mount, is_one) in zip(one.table.rows, mounts_behind(namespace, one), strict=True) if mapped else ():
            if mount is not None and mount.name in mapped and (is_one or mapped[mount.name][1]):
                idmaps[row.mount_id] = mapped[mount.name][0]
        views.append(View(one.namespace, one.table, one.origins, one.options, idmaps, groups))
    return tuple(views)


def group_names(plan: Plan) -> dict[int, str]:
    """What the plan calls the groups that planner/plan/predict.py numbers in their order."""
    return {number: one.name for number, one in enumerate(plan.expected.groups, 1)}


def differences(
    wanted: Sequence[View], found: Sequence[View], machine: Machine | None, *, arrivals: bool = False
) -> Drift:
    """How `found` differs from `wanted`; of each side, all is predicted, or all is observed.

    `machine` is None unless both sides are of one live machine; then ids of groups and devices may have any other name,
    otherwise only those that no other namespace has. With `arrivals`, what is found below a slave may have come there.
    Namespaces go by their names, if both sides have the same ones, else by their order.
    """
    return judge(wanted, found, machine, arrivals=arrivals).drift


def judge(
    wanted: Sequence[View],
    found: Sequence[View],
    machine: Machine | None,
    *,
    arrivals: bool = False,
    surroundings: Callable[[], Surroundings] | None = None,
    untouched: bool = False,
) -> Judged:
    """differences(), and what it came upon. `surroundings` tells where arrivals may be from; it is asked if need be."""
    pairs, drift = _by_name(wanted, found)
    if not pairs:
        return Judged(drift)
    if (wanted[0].asked is None) != (found[0].asked is None):
        pairs = [(one.inside(), other.inside()) for one, other in pairs]
    wanted, found = zip(*pairs, strict=True)
    groups, devices = _senses(wanted, found, machine)
    walk = _Walk(groups, devices)
    if all(walk.same(one, other) for one, other in pairs):
        return Judged(drift, tuple(walk.notices))
    # Only where something differs: what stands there is what was wished for, as a rule, and start-up counts.
    from mountplan.planner.compare.arrivals import Arrivals
    from mountplan.planner.compare.mount_differences import MountDifferences
    from mountplan.planner.compare.renaming import Renaming

    arrived = Arrivals([view.table for view in found], surroundings, untouched=untouched) if arrivals else None
    renamings = Renaming(0, *groups, exclusive=True), Renaming("", *devices, exclusive=False)
    different = MountDifferences(*renamings, pairs, arrived)
    return Judged(drift + different.drift(), *different.aside())


def granted(wanted: View, seen: MountTable, defaults: str = "") -> dict[str, Granted]:
    """What was asked of each new superblock of a prediction, and what it showed in a table that was judged to be it.
    `defaults` are those of tmpfs at that time, if they are known.
    """
    asked = wanted.asked or {}
    return {
        there.device: Granted(asked[row.device], there.options, defaults)
        for row, there in counterparts(wanted.table, seen)
        if row.device in asked and row.fstype == there.fstype
    }


def counterparts(wanted: MountTable, seen: MountTable) -> Iterator[tuple[MountRow, MountRow]]:
    """The pairs of mounts, one of each table, that are at the same place."""
    places = dict(zip(map(_place, seen.rows), seen.rows, strict=True))
    pairs = {wanted.root().parent_id: seen.root().parent_id} if wanted.rows and seen.rows else {}
    for row in wanted.rows:
        there = places.get((pairs.get(row.parent_id, -1), row.mountpoint))
        if there is not None:
            pairs[row.mount_id] = there.mount_id
            yield row, there


def _by_name(wanted: Sequence[View], found: Sequence[View]) -> tuple[list[tuple[View, View]], Drift]:
    names, others = [one.namespace for one in wanted], [one.namespace for one in found]
    by_name = {one.namespace: one for one in found}
    if len(set(names) | set(others)) == len(names) == len(others):
        return [(one, by_name[one.namespace]) for one in wanted], ()
    if len(names) == len(others):
        return list(zip(wanted, found, strict=True)), ()
    ours, theirs = (", ".join(filter(None, some)) or f"{len(some)} without a name" for some in (names, others))
    drift = (Difference("", "namespaces", ours, theirs, "", ""),)
    both = [(one, by_name[one.namespace]) for one in wanted if one.namespace in by_name]
    return (both if len(set(names)) == len(names) and len(by_name) == len(others) else []), drift


def _numbers(views: Sequence[View]) -> tuple[frozenset[int], frozenset[str]]:
    """The groups, and the devices that tell which filesystem it is."""
    groups: set[int] = set()
    devices: set[str] = set()
    for view in views:
        for row in view.table.rows:
            groups.update(row[6:9])
        devices.update(row[2] for row in view.table.rows if row[10] not in _BY_NAMESPACE)
    return frozenset(groups - {0}), frozenset(devices)


def _senses(
    wanted: Sequence[View], found: Sequence[View], machine: Machine | None
) -> tuple[tuple[Sense[int], Sense[int]], tuple[Sense[str], Sense[str]]]:
    """What the ids of both sides mean: of groups, and of devices."""
    predicted, also = wanted[0].asked is not None, found[0].asked is not None
    if machine is None:
        return (_NO_GROUPS, _NO_GROUPS), (_NO_DEVICES, _NO_DEVICES)
    known, devices = machine.groups, frozenset[str]()
    if not predicted and not also:  # what both have is one and the same, known elsewhere or not
        ours, theirs = _numbers(wanted), _numbers(found)
        known |= ours[0] & theirs[0]
        devices = machine.devices | (ours[1] & theirs[1])
    groups = Sense[int](lambda one: one, lambda one: one if one in known else None)
    plain = Sense[str](lambda one: one, lambda one: one if one in devices else None)
    return (
        (_PREDICTED_GROUPS if predicted else groups, _PREDICTED_GROUPS if also else groups),
        (_PREDICTED_DEVICES if predicted else plain, _PREDICTED_DEVICES if also else plain),
    )


def _host_group(number: int) -> int | None:
    return number - HOST_GROUPS if number >= HOST_GROUPS else None


def _host_device(device: str) -> str | None:
    return None if device[0] == "=" else device


_PREDICTED_GROUPS = Sense(_host_group, _host_group)
_PREDICTED_DEVICES = Sense(_host_device, _host_device)
_NO_GROUPS = Sense[int](lambda one: one, lambda one: None)
_NO_DEVICES = Sense[str](lambda one: one, lambda one: None)


def _counterparts(ours: Columns, theirs: Columns) -> Sequence[int] | None:
    """For each mount of a table the place of the one that is at the same place in the other table; None if there is not
    one for each. A range if both have the same order, as they nearly always do.
    """
    parents, mountpoints, ids, their_ids = ours["parent_id"], ours["mountpoint"], ours["mount_id"], theirs["mount_id"]
    number, their_parents = len(ids), theirs["parent_id"]
    found: list[int] = []
    try:
        pairs = {parents[root_place(ours)]: their_parents[root_place(theirs)]}
        if mountpoints == theirs["mountpoint"]:
            wanted = first_places(zipped(parents, their_parents))
            if len(wanted) <= _FEW:
                alike = pairs | {one: their_ids[ids.index(one)] for one, _ in wanted if ids.count(one)}
            else:
                alike = pairs | dict(zip(ids, their_ids, strict=True))
            if all(alike.get(one) == other for one, other in wanted):
                return range(number)
        places = dict(zip(zip(their_parents, theirs["mountpoint"], strict=True), range(number), strict=True))
        while len(found) < number and len(places) == number:
            begin, end = len(found), equal_until(parents, len(found))
            parent = repeat(pairs[parents[begin]])
            found += map(places.__getitem__, zip(parent, mountpoints[begin:end], strict=False))
            pairs.update(zip(ids[begin:end], map(their_ids.__getitem__, found[begin:]), strict=True))
    except LookupError:
        return None
    return found if len(places) == number else None


class _Walk:
    """Finds out, as fast as it goes, that there is no difference at all; it never says so wrongly.

    A mount is known by its parent and its place on that, which no other mount has: so there is only one way in which
    two tables can be equal, and only one in which the ids can correspond.
    """

    def __init__(self, groups: tuple[Sense[int], Sense[int]], devices: tuple[Sense[str], Sense[str]]) -> None:
        self._senses = groups, devices
        self._groups: dict[int, int] = {0: 0}
        self._devices: dict[str, str] = {}
        self._groups_back: set[int] = {0}
        self._devices_back: set[str] = set()
        self.notices: list[Difference] = []

    def same(self, wanted: View, found: View) -> bool:
        """Are these two equal, given that all before them are? False also means that it is not worth the trouble."""
        number = len(wanted.table.rows)
        if number != len(found.table.rows) or found.asked is not None:
            return False
        asked = wanted.asked
        ours, theirs = columns_of(wanted.table.rows, MountRow), columns_of(found.table.rows, MountRow)
        counterparts = _counterparts(ours, theirs)
        if counterparts is None:
            return False
        if counterparts != range(number):
            theirs = {name: picked(column, counterparts) for name, column in theirs.items()}
        equal = ("fstype", "root", "unbindable", *(("source", "options") if asked is None else ()))
        if any(ours[name] != theirs[name] for name in equal):
            return False
        shown = first_places(zipped(ours["attributes"], theirs["attributes"]))
        if any(one != other and parse_shown(one) != parse_shown(other) for one, other in shown):
            return False
        if not self._same_devices(wanted, found, ours, theirs, counterparts):
            return False
        for name in ("peer_group", "master", *(("propagate_from",) if asked is None else ())):
            for group, other in first_places(zipped(ours[name], theirs[name])):
                if (group or other) and self._other_group(group, other):
                    return False
        if wanted.idmaps is None or found.idmaps is None:
            return True
        ids = dict(zip(ours["mount_id"], theirs["mount_id"], strict=True))
        return {ids[number]: idmap for number, idmap in wanted.idmaps.items()} == found.idmaps

    def _same_devices(
        self, wanted: View, found: View, ours: Columns, theirs: Columns, counterparts: Sequence[int]
    ) -> bool:
        """Whether the devices correspond, and each new superblock has its source and its options."""
        asked = wanted.asked or {}
        devices, its_devices = ours["device"], theirs["device"]
        sources, its_sources, shown = (list(one) for one in (ours["source"], theirs["source"], theirs["options"]))
        judged: set[int] = set()
        for device, at in first_places(devices).items():
            if device in self._devices:
                continue
            if not self._new_device(device, its_devices[at]):
                return False
            if device not in asked:
                continue
            judged.add(at)
            if sources[at] not in (UNTOLD, its_sources[at]):
                return False
            if asked[device] or found.granted or shown[at].startswith("ro"):
                from mountplan.planner.compare.superblocks import judge_options

                row: MountRow = record_at(wanted.table.rows, at)
                there: MountRow = record_at(found.table.rows, counterparts[at])
                differing, otherwise = judge_options(row, there, wanted, found)
                if differing:
                    return False
                self._notice(wanted, row.mountpoint, at, otherwise)
        if mapped(devices, self._devices.__getitem__) != its_devices:
            return False
        if not asked or sources == its_sources:
            return True
        rows = enumerate(zip(devices, sources, its_sources, strict=True))
        return all(
            at in judged or one not in asked or not source or source == other for at, (one, source, other) in rows
        )

    def _notice(self, wanted: View, mountpoint: str, at: int, options: list[tuple[str, str, str]]) -> None:
        origin = wanted.origins[at] if wanted.origins else ""
        for name, asked, shown in options:
            self.notices.append(Difference(mountpoint, f"option {name}", asked, shown, origin, "", wanted.namespace))

    def _new_device(self, wanted: str, found: str) -> bool:
        ours, theirs = self._senses[1]
        self._devices[wanted] = found
        if ours.certain(wanted) is not None or theirs.certain(found) is not None:
            return ours.number(wanted) == theirs.number(found)
        fresh = found not in self._devices_back
        self._devices_back.add(found)
        return fresh

    def _other_group(self, wanted: int, found: int) -> bool:
        known = self._groups.get(wanted)
        if known is not None or found in self._groups_back:
            return known != found
        self._groups[wanted] = found
        self._groups_back.add(found)
        ours, theirs = self._senses[0]
        if ours.certain(wanted) is not None or theirs.certain(found) is not None:
            return ours.number(wanted) != theirs.number(found)
        return False

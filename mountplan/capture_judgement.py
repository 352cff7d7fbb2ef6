"""Whether what a capture has written comes to what was captured: it is planned and predicted, and nothing is built."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan import pipeline
from mountplan.operands import predicted
from mountplan.planner.capture.captured import COPY_DIFFERS, Captured, Caution
from mountplan.planner.compare.compare import judge, machine_of
from mountplan.planner.compare.difference import Difference
from mountplan.planner.compare.view import View
from mountplan.planner.errors import Mistake, MountplanError, NotAllowed
from mountplan.planner.plan.plan import Plan
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountTable

_MOST = 20  # differences that are told one by one


def judge_capture(text: str, file: str, captured: Captured, views: Sequence[View], host: MountTable) -> list[Caution]:
    """What `check` has against the spec, and in what the tree that it comes to differs from the live one.

    `views` are the live namespaces, in the order of the capture; `file` is where the spec will be.
    """
    try:
        plan, mistakes = pipeline.check_and_plan(text.encode("utf-8", "surrogateescape"), file)
    except MountplanError as error:
        return [Caution("", f"cannot be built as it is: {error}")]
    if plan is None:
        return [_of_mistake(one, captured) for one in mistakes]
    refused = _refused_to_this_user(plan, captured)
    wanted = [_without_left_out(view, captured, space) for space, view in enumerate(views)]
    names = [one.name for one in captured.namespaces]
    found = predicted(file, plan, host).views
    if len(names) > 1:
        wanted = [view._replace(namespace=name) for view, name in zip(wanted, names, strict=True)]
    drift = judge(wanted, found, machine_of(host)).drift
    # Of sources, the capture itself tells those of all mounts; a comparison does so once for each superblock.
    told = [_of_difference(one) for one in drift if not one.unknown and one.prop != "source"]
    if len(told) > _MOST:
        told = [*told[:_MOST], Caution("", f"{len(told) - _MOST} more differences; `mountplan diff` tells them all")]
    return refused + told


def _refused_to_this_user(plan: Plan, captured: Captured) -> list[Caution]:
    """What the kernel would refuse to who builds it in a user namespace, as an ordinary user has to."""
    try:
        pipeline.try_out(plan)
    except NotAllowed as error:
        return [_of_mistake(one, captured) for one in error.mistakes]
    except MountplanError as error:
        return [Caution("", f"cannot be built as it is: {error}")]
    return []


def _without_left_out(view: View, captured: Captured, space: int) -> View:
    """A namespace without the mounts that are left out, and without what stands on these: that has been told."""
    unsupported = {one.row for one in captured.namespaces[space].mounts if one.unsupported}
    tree = MountTree(view.table)
    gone = {row.mount_id for row in tree.adrift}
    for index, row in enumerate(tree.rows):
        if index in unsupported or (index and tree.rows[tree.parents[index]].mount_id in gone):
            gone.add(row.mount_id)
    if not gone:
        return view
    idmaps = None if view.idmaps is None else {one: lines for one, lines in view.idmaps.items() if one not in gone}
    rows = tuple(row for row in view.table.rows if row.mount_id not in gone)
    return view._replace(table=MountTable(rows), idmaps=idmaps)


def _of_mistake(mistake: Mistake, captured: Captured) -> Caution:
    what = f"cannot be built as it is written: {mistake.what}"
    return Caution(_mount_of(mistake.ref.key, captured), f"{what} ({mistake.ref.key}); {mistake.remedy}")


def without_refused(captured: Captured, mistakes: Sequence[Mistake]) -> Captured:
    """With the mounts left out, with the reason, that `check` has something against; but for roots."""
    spaces = list(captured.namespaces)
    cautions = captured.cautions
    for mistake in mistakes:
        number, index = _indexes(mistake.ref.key)
        if index < 0:
            continue
        mount = spaces[number].mounts[index]
        if not mount.unsupported and not (mount.target == "/" and not mount.parent):
            mounts = list(spaces[number].mounts)
            mounts[index] = mount._replace(unsupported=mistake.what)
            spaces[number] = spaces[number]._replace(mounts=tuple(mounts))
            cautions += (Caution(_mount_of(mistake.ref.key, captured), f"left out: {mistake.what}"),)
    return captured._replace(namespaces=tuple(spaces), cautions=cautions)


def _indexes(key: str) -> tuple[int, int]:
    """The namespace and the mount that a key path such as `namespace[1].mount[3].bind` is about; -1 if it is none."""
    numbers = {"namespace": 0, "mount": -1}
    for part in key.split("."):
        name, bracket, number = part.partition("[")
        if bracket and name in numbers:
            numbers[name] = int(number.rstrip("]"))
    return numbers["namespace"], numbers["mount"]


def _mount_of(key: str, captured: Captured) -> str:
    """The target of the mount that a key path is about; "" if it is none."""
    number, index = _indexes(key)
    if index < 0:
        return ""
    mount = captured.namespaces[number].mounts[index]
    return captured.where(number, mount.target or mount.id)


def _of_difference(one: Difference) -> Caution:
    where = f"{one.namespace}:{one.mount}" if one.namespace else one.mount
    layer = f" ({one.layer})" if one.layer else ""
    values = f"{one.wanted or 'nothing'} -> {one.found or 'nothing'}"
    return Caution(where, f"{COPY_DIFFERS}{layer}: {one.prop}: {values}")

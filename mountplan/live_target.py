"""What --live names: a tree that stands, with all that planning a change of it needs to know."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mountplan.applier.keep import kept
from mountplan.applier.keep.inhabited import everyone_else
from mountplan.applier.observe.mount_users import MountUser, users_of
from mountplan.applier.observe.observe import observe
from mountplan.applier.observe.subjects import below, of_process
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.chroot import unshare_user
from mountplan.applier.sys.inside import in_child
from mountplan.applier.sys.refusal import in_words
from mountplan.applier.sys.userns import ids_from_here
from mountplan.kept_plan import plan_behind
from mountplan.operands import Operand, as_specs_have_it, is_kept, recognise, store_device, view_of
from mountplan.planner.change.standing import Record, StandingSpace, StandingTree, User
from mountplan.planner.errors import SubjectError, TableError
from mountplan.planner.light import without_collector
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from mountplan.applier.keep.kept import Opened
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.subjects import Subject
    from mountplan.planner.names import Handle, Lock
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.plan.steps import MakeNode
    from mountplan.planner.tables.table import MountRow, MountTable

_WHICH = "name what is kept (`mountplan ls` lists it), or a process as pid:N"


class Target(NamedTuple):
    """What is to be changed: all namespaces of a kept name, or that of a process. `numbers` are the inodes of the
    namespace files, in the order of the spaces; `unique` all unique ids of mounts in there, where the kernel has them.
    """

    operand: Operand  # a "name" or a "pid"
    standing: StandingTree
    numbers: tuple[int, ...]
    unique: tuple[tuple[int, ...], ...]

    @property
    def kind(self) -> str:
        return self.operand.kind

    @property
    def value(self) -> str:
        return self.operand.value


def target_of(argument: str) -> Operand:
    """What an argument of --live names. Raises SubjectError."""
    other = ":" in argument or argument.isdecimal() or (argument.endswith((".toml", ".json")) and not is_kept(argument))
    found = recognise(argument if other else f"name:{argument}")
    if found.kind not in ("name", "pid"):
        raise SubjectError(f"{argument}: is not a tree that stands", _WHICH)
    if found.kind == "name" and "/" in found.value:
        raise SubjectError(f"{argument}: a name is changed as a whole", "leave out the namespace: --live NAME")
    return found


@without_collector
def look(operand: Operand) -> Target:
    """Everything that planning a change needs to know. Raises NotKept, KeepRefused, SubjectError or TableError."""
    return _of_name(operand.value) if operand.kind == "name" else _of_process(operand)


def _of_name(name: str) -> Target:
    with kept.opened(name) as found:
        plan = plan_behind(found)
        wholes = found.look()
        shown = {row.device: row.options for one in found.kept.mounts for row in found.seen(one).rows}
        devices = _devices(found, plan, wholes)
        record = Record(plan, devices, shown, found.kept.defaults, files=_files(found, plan, wholes, devices))
        names = [one.name for one in found.kept.mounts]
        numbers = tuple(one.inode for one in found.kept.mounts)
    return _target(Operand("name", name), name, names, wholes, numbers, record)


def subject_of(operand: Operand) -> Subject:
    pid = int(operand.value)
    return below(pid, operand.root) if operand.root else of_process(pid)


def _of_process(operand: Operand) -> Target:
    pid = int(operand.value)
    with subject_of(operand) as subject:
        whole = subject.read()
        whole = whole._replace(table=as_specs_have_it(whole.table, subject.fd))
        number = os.fstat(subject.fd).st_ino
        locks = _locks(subject, view_of("", whole).table)
        # An ordinary user's specs have the ids of a user namespace of their own, as that of the process is.
        ids = ids_from_here(subject.fd) if os.geteuid() == 0 else None
    if number == os.stat("/proc/self/ns/mnt").st_ino:
        what = f"process {pid} is in the mount namespace that mountplan runs in"
        raise SubjectError(what, "change that with mount(8); --live is for namespaces of their own")
    found = _target(operand, f"process {pid}", [""], [whole], (number,), None, locks)
    return found._replace(standing=found.standing._replace(ids=ids))


def _locks(subject: Subject, table: MountTable) -> dict[int, Lock]:
    """What was there before the user who owns the namespace: who enters it to change it is held by that, too."""
    from mountplan.applier.observe.locks import find_locks, owner_of

    owner = owner_of(subject.fd)
    if owner is None:
        return {}
    try:
        return find_locks(subject.fd, owner.fd, table)
    except OSError as error:
        what = f"{subject.label}: cannot find out what is locked: {in_words(error)}"
        raise SubjectError(what, "change it from within, with mount(8)") from None
    finally:
        os.close(owner.fd)


def _target(
    operand: Operand,
    label: str,
    names: list[str],
    wholes: list[Whole],
    numbers: tuple[int, ...],
    record: Record | None,
    locks: Mapping[int, Lock] = {},
) -> Target:
    # Before Linux 6.11 what lies under another mount on "/" of a kept name is not seen, and not changed.
    users = users_of(numbers)
    spaces = []
    for name, whole in zip(names, wholes, strict=True):
        view = view_of(name, whole)
        own = {row.mount_id: tuple(map(_user, users[row.mount_id])) for row in view.table.rows if row.mount_id in users}
        spaces.append(StandingSpace(name, view.table, own, locks, view.idmaps))
    outside, ages = _around([space.table for space in spaces], set(numbers))
    standing = StandingTree(label, tuple(spaces), observe(), outside, record, ages, _knows_beneath(), store_device())
    return Target(operand, standing, numbers, tuple(whole.unique for whole in wholes))


def _knows_beneath() -> bool:
    try:
        return syscalls.knows_beneath()
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        # an ordinary user: root in a user namespace of its own is told

    def ask() -> bool:
        unshare_user()
        syscalls.unshare(abi.CLONE_NEWNS)
        return syscalls.knows_beneath()

    return in_child(ask)


def _user(user: MountUser) -> User:
    has = ["its root"] if user.root else []
    has += ["working directory"] if user.directory else []
    if user.files:
        has.append(f"{user.files} open file{'s' * (user.files > 1)}")
    if user.maps:
        has.append(f"{user.maps} map{'s' * (user.maps > 1)}")
    return User(user.pid, user.command, tuple(has), user.root, user.writing > 0)


def holders_of(mounts: Set[int]) -> list[str]:
    """Processes, in whatever namespace, that have files of these mounts open for writing, or mapped, as far as seen."""
    try:
        seen = users_of(None)
    except (OSError, TableError):
        return []
    users = {user for mount, found in seen.items() if mount in mounts for user in found}
    found = [user for user in users if user.writing] or [user for user in users if user.files or user.maps]
    return [f"{user.command or 'process'} ({user.pid})" for user in sorted(found)]


def _devices(found: Opened, plan: Plan, wholes: list[Whole]) -> dict[str, str]:
    """The device of each filesystem that was made for a name and stands, as it was seen when it was kept."""
    from mountplan.planner.compare.matching import match

    by_name = {one.namespace: one for one in predict(plan, found.host())}
    devices: dict[str, str] = {}
    for one, whole in zip(found.kept.mounts, wholes, strict=True):
        if one.name not in by_name:
            continue
        fresh = found.mounted_since(one, whole)
        alive = {row.device for row in whole.table.rows if row.mount_id not in fresh}
        matched = match(by_name[one.name].table, without_base(found.seen(one))[0])
        for wanted, there in matched.pairs.items():
            row, seen = matched.first.rows[wanted], matched.second.rows[there]
            if row.device[:1] == "=" and seen.device in alive:
                devices.setdefault(row.device[1:], seen.device)
    return devices


def _files(
    found: Opened, plan: Plan, wholes: list[Whole], devices: Mapping[Handle, str]
) -> dict[tuple[Handle, str], str]:
    """What has become of files that were declared, as Record has it: a program inside may have written them since."""
    from mountplan.planner.change.parts import Parts, is_declared

    filesystems = Parts(plan).filesystems
    nodes = {(name, node.path): node for name in devices for node in filesystems[name].nodes if is_declared(node)}
    seen = _seen_of(found, nodes, [whole.table for whole in wholes], devices)
    return {key: words for key, words in seen.items() if words}


def standing_for(target: Target, plan: Plan) -> StandingTree:
    """What stands, with all that it takes to plan a change of it into this."""
    return _with_images(plan, _with_layers(target, plan, _with_occupied(target, plan)))


def _with_images(plan: Plan, standing: StandingTree) -> StandingTree:
    """With what is in an image of the plan already."""
    from mountplan.applier.observe.loop_files import is_behind
    from mountplan.planner.plan.steps import AttachImage

    images = [step for step in plan.steps if isinstance(step, AttachImage) and not step.holder]
    shown = {(row.device, row.fstype) for space in standing.spaces for row in space.table.rows} if images else ()
    pairs = (
        (device, one.filesystem)
        for one in images
        for device, fstype in shown
        if fstype == one.fstype and is_behind(device, one.image, one.offset, one.size)
    )
    return standing._replace(images=frozenset(pairs))


def _with_layers(target: Target, plan: Plan, standing: StandingTree) -> StandingTree:
    """With the directories that overlays are made of, those that stand and those of the plan that no record has."""
    from mountplan.planner.plan.steps import MakeOverlay

    known = standing.record.plan.steps if standing.record is not None else ()
    recorded = {step for step in known if isinstance(step, MakeOverlay)}
    new = [step for step in plan.steps if isinstance(step, MakeOverlay) and step not in recorded]
    tables = [space.table for space in standing.spaces]
    every = [(row, number) for number, table in enumerate(tables) for row in table.rows if row.fstype == "overlay"]
    if not new or not every:
        return standing
    from mountplan.applier.observe.live_facts import LiveFacts
    from mountplan.planner.capture.shown_layers import Directories, shown_directories
    from mountplan.planner.change.standing import StandingOverlay
    from mountplan.planner.tables.layerpath import is_id_mapped
    from mountplan.planner.tables.mount_facts import OverlayLayer

    every.sort(key=lambda one: len(one[0].root), reverse=True)  # of each, a mount that shows its root
    shown = {row.device: (row, number, shown_directories(row.options)) for row, number in every}
    asked = [there.of(row, number) for row, number, there in shown.values() if isinstance(there, Directories)]
    with ExitStack() as stack:
        subjects = [subject_of(target.operand)] if target.kind == "pid" else kept.subjects(target.value)
        for subject in subjects:
            stack.enter_context(subject)
        facts = LiveFacts(subjects, tables, standing.host)
        answers = facts.layers(asked)
    overlays = {}
    for overlay, answer in zip(asked, answers, strict=True):
        layers = tuple(one.layer or OverlayLayer("", path) for one, path in zip(answer, overlay.paths, strict=True))
        above, is_mapped = 2 * overlay.changes, any(map(is_id_mapped, overlay.paths))
        overlays[overlay.device] = StandingOverlay(layers[above:], layers[:above], overlay.data, is_mapped)
    wanted = (one for step in new for one in (*step.layers, step.upper, step.work))
    paths = [one.path for one in wanted if one is not None and not one.filesystem]
    return standing._replace(overlays=overlays, layers=facts.host_layers(paths))


def _with_occupied(target: Target, plan: Plan) -> StandingTree:
    """What stands, and what is in the way of the files that a plan declares and the record does not have."""
    from mountplan.applier.observe.file_looks import is_other
    from mountplan.planner.change.parts import Parts, is_declared

    record = target.standing.record
    if record is None or target.kind != "name":
        return target.standing
    made, wanted = Parts(record.plan).filesystems, Parts(plan).filesystems
    nodes: dict[tuple[Handle, str], MakeNode] = {}
    for name in filter(wanted.__contains__, record.devices):
        known = {node.path for node in made[name].nodes}
        new = (node for node in wanted[name].nodes if is_declared(node) and node.path not in known)
        nodes |= {(name, node.path): node for node in new}
    if not nodes:
        return target.standing
    tables = [space.table for space in target.standing.spaces]
    with kept.opened(target.value) as found:
        seen = _seen_of(found, nodes, tables, record.devices)
    occupied = {key: words.removesuffix(" any more") for key, words in seen.items() if is_other(words)}
    return target.standing._replace(record=record._replace(occupied=occupied))


def _seen_of(
    found: Opened, nodes: Mapping[tuple[Handle, str], MakeNode], tables: list[MountTable], devices: Mapping[Handle, str]
) -> dict[tuple[Handle, str], str]:
    """Of each file, by its filesystem and path: in which way it is not as declared, in words."""
    from mountplan.applier.observe.file_looks import DeclaredFile, SeenAt, find_different

    if not nodes:
        return {}
    shows: dict[str, list[tuple[int, MountRow]]] = {}
    for number, table in enumerate(tables):
        for row in table.rows:
            if "idmapped" not in row.attributes:
                shows.setdefault(row.device, []).append((number, row))
    looked = []
    for (name, _), node in nodes.items():
        path = TargetPath(f"/{node.path}")
        places = (
            SeenAt(number, row.mount_id, row.mountpoint, path.relative_to(row.root))
            for number, row in shows.get(devices[name], ())
            if path.is_under(row.root)
        )
        looked.append(DeclaredFile(node, tuple(places)))
    with ExitStack() as stack:
        opened: dict[str, list[int]] = {"mnt": [], "user": []}
        for one in found.kept.namespaces:
            if one.kind in opened:
                fd = found.open(one)
                stack.callback(os.close, fd)
                opened[one.kind].append(fd)
        seen = find_different(opened["mnt"], next(iter(opened["user"]), -1), tuple(looked))
    return dict(zip(nodes, seen, strict=True))


def _around(tables: list[MountTable], numbers: set[int]) -> tuple[tuple[tuple[str, MountTable], ...], dict[int, int]]:
    """The tables of other namespaces that have to do with these, directly or by way of others; and ages of mounts."""
    groups = _groups(tables)
    if not groups:
        return (), {}
    own = os.stat("/proc/self/ns/mnt").st_ino
    waiting = {}
    ages: dict[int, int] = {}
    for one in everyone_else(set(), aged=True):
        ages |= one.ages
        if one.inode not in (*numbers, own):
            waiting[one.name] = one.table
    found: dict[str, MountTable] = {}
    while True:
        more = {name: table for name, table in waiting.items() if name not in found and _groups([table]) & groups}
        if not more:
            return tuple(found.items()), ages
        found |= more
        groups |= _groups(list(more.values()))


def _groups(tables: list[MountTable]) -> set[int]:
    return {number for table in tables for row in table.rows for number in (row.peer_group, row.master)} - {0}

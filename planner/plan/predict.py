"""What a plan says will stand there -> MountTable, so that it can be shown, and compared with what is observed.

Devices and groups that do not exist yet get names of their own: a device "=HANDLE", groups numbers from 1 on that stand
for nothing but who is equal to whom. What is the host's (devices, external groups) is as the host's table has it.
"""

from __future__ import annotations

from _operator import attrgetter
from itertools import count

from mountplan.planner.attributes import Change, applied, parse_shown, show
from mountplan.planner.fstypes import of
from mountplan.planner.light import remember
from mountplan.planner.names import Alteration, Handle, Lock
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.plan import ExpectedFilesystem, ExpectedMount, ExpectedNamespace, Plan
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import (
    AlikeColumn,
    are_below,
    columns_of,
    equal_until,
    extent_of,
    joined,
    mapped,
    part_of_column,
    record_at,
    without,
)
from mountplan.planner.tables.namespace_file import file_row
from mountplan.planner.tables.table import UNTOLD, GrowingTable, MountRow, MountTable, Walks, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mountplan.planner.tables.columns import Column, Columns

_ALIKE = ("parent", "recursive", "set", "clear", "unbindable", "inherits")  # in what many mounts are the same
_MANY = 16  # that are worth it
OWN_GROUPS = 1 << 30  # numbers above, and below the next, stand for groups of what is brought along alone
HOST_GROUPS = 1 << 40  # numbers above stand for the group of that number minus this on the host


class Prediction(NamedTuple):
    """One namespace: its predicted table, and for each row the part of the spec that it is from, and its name there."""

    namespace: str
    table: MountTable
    origins: Sequence[str]
    names: Sequence[str]
    options: dict[str, tuple[tuple[str, str | bool], ...]]  # what was asked of each new superblock, by device


def mounts_behind(namespace: ExpectedNamespace, prediction: Prediction) -> Iterator[tuple[ExpectedMount | None, bool]]:
    """For each row of a prediction the mount that it is, True; or that has brought it along, False.

    By the order of the plan's mounts, not by how names are spelt: a target may have any character. None for what is
    there before the first of them.
    """
    last: ExpectedMount | None = None
    waiting = list(reversed(namespace.mounts))
    for name in prediction.names:
        is_one = bool(waiting) and waiting[-1].name == name
        if is_one:
            last = waiting.pop()
        yield last, is_one


def lock_of(mount: ExpectedMount | None, is_one: bool) -> Lock:
    """How a row is locked of which mounts_behind() says this: what a locked mount brings along stays below it."""
    if mount is None:
        return ""
    return mount.lock if is_one else "locked" if mount.lock else ""


def predict(plan: Plan, host: MountTable) -> tuple[Prediction, ...]:
    """The tables of the plan's namespaces, with the host's mounts taken from `host`. Ids are positions, from 1 on."""
    host = copied(host)
    walks = Walks(host)
    below = host.by_parent()
    groups = group_numbers(plan, walks)
    masters = {group.name: groups.get(group.master, 0) for group in plan.expected.groups}
    for group in plan.expected.groups:
        if group.host and (master := walks.end_of(group.host).master):
            masters[group.name] = HOST_GROUPS + master
    same = superblocks(plan.expected.filesystems)
    filesystems = {one.name: (f"={same[one.name]}", _as_told(one)) for one in plan.expected.filesystems}
    options = {device: _shown_of_all(one) for device, one in filesystems.values()}
    found = []
    lone = count(len(groups))  # numbers for groups of one mount each, which have no name
    own_groups = 0
    for namespace in plan.expected.namespaces:
        rows = _Rows(own_groups)
        altered = [one for one in plan.expected.altered if one.namespace == namespace.name]
        _predict(namespace, rows, filesystems, groups, masters, walks, below, altered, lone)
        own_groups = rows.own_groups
        found.append(Prediction(namespace.name, rows.table(), *rows.told(), options))
    return tuple(found)


def group_numbers(plan: Plan, host: Walks | None = None) -> dict[str, int]:
    """The number that each group of the plan has in predicted tables; "" has 0. Without a host, its groups have -1."""
    groups: dict[str, int] = {"": 0}
    for group in plan.expected.groups:
        groups[group.name] = len(groups)
        if group.host:
            groups[group.name] = HOST_GROUPS + host.end_of(group.host).peer_group if host is not None else -1
    return groups


def superblocks(filesystems: Iterable[ExpectedFilesystem]) -> dict[Handle, Handle]:
    """For each filesystem of a plan, the first that is the same superblock: what there is one of is made once for each
    source that its mounts have.
    """
    first: dict[str, Handle] = {}
    same = {}
    for one in filesystems:
        same[one.name] = first.setdefault(one.fstype, one.name) if of(one.fstype).is_shared else one.name
    return same


def _shown_of_all(made: ExpectedFilesystem) -> tuple[tuple[str, str | bool], ...]:
    """The options that each mount of a filesystem shows: of btrfs, each shows in others what its root is."""
    if made.fstype != "btrfs":
        return made.options
    return tuple(pair for pair in made.options if pair[0] not in ("subvol", "subvolid"))


def _as_told(made: ExpectedFilesystem) -> ExpectedFilesystem:
    return made._replace(source=UNTOLD) if of(made.fstype).source else made


class _Rows(GrowingTable):
    __slots__ = ("_told", "names", "origins", "own_groups")

    def __init__(self, own_groups: int) -> None:
        super().__init__()
        self.own_groups = own_groups  # how many have been made, in all namespaces
        self.origins: list[str] = []  # of the last rows, those that came one by one, and their names
        self.names: list[str] = []
        self._told: list[tuple[Column, Column]] = []  # those of the rows before

    def add(self, row: MountRow, origin: str, name: str) -> None:
        self.last.append(row)
        self.origins.append(origin)
        self.names.append(name)

    def add_all(self, columns: Columns, origins: Column, names: Column) -> None:
        self._told += [(self.origins, self.names), (origins, names)]
        self.origins, self.names = [], []
        self.add_columns(columns)

    def told(self) -> tuple[Column, Column]:
        """The origins of all rows, and their names."""
        origins, names = zip(*self._told, (self.origins, self.names), strict=True)
        return joined(origins), joined(names)


def _predict(
    namespace: ExpectedNamespace,
    rows: _Rows,
    filesystems: dict[str, tuple[str, ExpectedFilesystem]],  # with the name of the device
    groups: dict[str, int],
    masters: dict[str, int],
    walks: Walks,
    below: dict[int, list[MountRow]],
    altered: list[Alteration],
    lone: Iterator[int],
) -> None:
    numbers: dict[str, int] = {}
    trees: dict[str, Walks] = {}  # in what recursive clones have brought
    columns = columns_of(namespace.mounts, ExpectedMount)
    alike = [columns[name] for name in _ALIKE]
    parents = columns["parent"]
    wanted = set(parents) - {""}  # the mounts whose numbers are asked for
    at, next_look, patience = 0, 0, 1
    while at < len(parents):
        if at >= next_look:
            end = min(equal_until(column, at) for column in alike)
            some: Columns | None = None
            if end - at >= _MANY:
                part = {name: part_of_column(column, at, end) for name, column in columns.items()}
                some = _alike(part, rows, filesystems, groups, masters, walks, numbers, trees)
            if some is not None:
                if not wanted <= numbers.keys():
                    numbers.update(zip(part["name"], some["mount_id"], strict=True))
                rows.add_all(some, part["origin"], part["name"])
                at, patience = end, 1
                continue
            patience = min(2 * patience, _MANY)  # where it leads to nothing, it is not tried each time
            next_look = at + patience
        mount = record_at(namespace.mounts, at)
        at += 1
        (name, above, place, filesystem, root, recursive, _, bits, clear, _, _, _, unbindable, group, received, _,
         inherits, _, origin) = mount  # fmt: skip
        number = numbers[name] = len(rows) + 1
        parent_id, mountpoint = _place(above, place, numbers, trees, rows) if above else (0, "/")
        peer_group = groups[group]
        master = masters[group] if group else groups[received]
        if filesystem:
            device, made = filesystems[filesystem]
            fields = (number, parent_id, device, root, mountpoint, show(bits), peer_group, master, 0, unbindable,
                      made.fstype, made.source, "")  # fmt: skip
            rows.add(tuple.__new__(MountRow, fields), origin, name)  # MountRow() itself takes much longer
            continue
        source = walks.end_of(root) if root[:1] == "/" else file_row(root)
        if inherits:
            master = _received(source)
        fields = (number, parent_id, source.device, _root(source, root), mountpoint,
                  _shown_after(source.attributes, bits, clear), peer_group, master, 0, unbindable, source.fstype,
                  source.source, source.options)  # fmt: skip
        rows.add(tuple.__new__(MountRow, fields), origin, name)
        if recursive:
            own = Change(bits, clear)
            _below(mount, source, mountpoint, number, _change_below(mount, own), rows, below)
            if altered and not above:
                _alter(rows, name, altered, lone)
            brought = rows.since(number - 1)
            if len(brought) > 1:
                trees[name] = Walks.upon(brought[0], MountTable(tuple(brought[1:])).at())


@remember
def _shown_after(attributes: str, bits: int, clear: int) -> str:
    """What attributes of the host's become."""
    return show(applied(parse_shown(attributes), Change(bits, clear)))


def _root(source: MountRow, root: str) -> str:
    """What the host has at the path `root`, as a path in the filesystem of the mount that it is on."""
    if root[:1] != "/":  # the file of a namespace
        return source.root
    if source.root == "/" and root.startswith(source.mountpoint + "/"):  # as nearly always
        return root[len(source.mountpoint) :]
    if source.root != "/" or source.mountpoint != "/":
        return TargetPath(source.root).joined(TargetPath(root).relative_to(source.mountpoint))
    return root


def _alike(
    mounts: Columns,
    rows: _Rows,
    filesystems: dict[str, tuple[str, ExpectedFilesystem]],
    groups: dict[str, int],
    masters: dict[str, int],
    walks: Walks,
    numbers: dict[str, int],
    trees: dict[str, Walks],
) -> Columns | None:
    """The rows of mounts that are the same in what _ALIKE names, all of which _predict() would find one by one; None if
    it has to.
    """
    above, recursive, bits, clear, unbindable, inherits = (mounts[name][0] for name in _ALIKE)
    handles, roots, group, received = (mounts[name] for name in ("filesystem", "root", "group", "master"))
    count, of_the_host = len(roots), handles.count("")
    if not above or recursive or inherits or not are_below("/", extent := extent_of(roots)):
        return None
    below = rows.mountpoint(numbers[above] - 1)
    below = "" if below == "/" else below
    places = mounts["place"]
    all_told = not below and extent_of(places)[0] != ""
    mountpoints = places if all_told else [below + place or "/" for place in places]
    parent_ids: Column = AlikeColumn(numbers[above], count)
    if above in trees:
        parent_ids = mapped(trees[above].ends_of(mountpoints, extent_of(mountpoints)), attrgetter("mount_id"))
    receive = (
        mapped(received, groups.__getitem__)
        if group.count("") == count
        else [masters[one] if one else groups[other] for one, other in zip(group, received, strict=True)]
    )
    found: Columns = {
        "mount_id": range(len(rows) + 1, len(rows) + 1 + count), "parent_id": parent_ids, "root": roots,
        "mountpoint": mountpoints, "peer_group": mapped(group, groups.__getitem__), "master": receive,
        "propagate_from": AlikeColumn(0, count), "unbindable": AlikeColumn(unbindable, count),
    }  # fmt: skip
    if of_the_host == 0:
        made = [filesystems[one] for one in handles]
        return found | {
            "device": [device for device, _ in made], "attributes": AlikeColumn(show(bits), count),
            "fstype": [one.fstype for _, one in made], "source": [one.source for _, one in made],
            "options": AlikeColumn("", count),
        }  # fmt: skip
    if of_the_host < count:
        return None
    sources = walks.ends_of(roots, extent)
    shown_after = mapped(sources, lambda source: _shown_after(source.attributes, bits, clear))
    told = {name: mapped(sources, attrgetter(name)) for name in ("device", "fstype", "source", "options")}
    return found | told | {"attributes": shown_after, "root": _roots(sources, roots, extent)}


def _roots(sources: Column, roots: Column, extent: tuple[str, str]) -> Column:
    """_root() of each."""
    if isinstance(sources, AlikeColumn) and sources.value.root == "/":
        above = sources.value.mountpoint.rstrip("/")
        if are_below(above + "/", extent):
            return without(roots, above) if above else roots
    return list(map(_root, sources, roots))


def _alter(rows: _Rows, name: str, altered: list[Alteration], lone: Iterator[int]) -> None:
    """What the rows, those of an inherited tree, become when it is altered; they are numbered anew."""
    from mountplan.planner.tables.inherited_tree import InheritedTree

    tree = InheritedTree(MountTable(tuple(rows.last)))
    told = {
        row.mount_id: (origin, called) for row, origin, called in zip(rows.last, rows.origins, rows.names, strict=True)
    }
    for one in altered:
        if one.what == "remove":
            tree.remove(one.path)
            continue
        if one.what == "bind_over":
            before = set(tree.rows)
            tree.bind_over(one.path)
            for number in tree.rows.keys() - before:
                told[number] = one.origin, f"{name}+{tree.rows[number].mountpoint}"
            continue
        put_off = one.sharing == "shared" and one.path == "/"  # for the root itself, until it is entered
        reached = tree.reach(one.path, one.spared, recursive=one.recursive, but_root=put_off)
        tree.change(reached, Change(one.set, one.clear))
        changed: dict[int, None] = dict.fromkeys(
            (*tree.changed(reached), *([tree.end_of("/").mount_id] if put_off else []))
        )
        for number in changed if one.sharing else ():
            row = tree.rows[number]
            if one.sharing == "private":
                tree.rows[number] = row._replace(peer_group=0, master=0)
            elif not row.peer_group:
                tree.rows[number] = row._replace(peer_group=next(lone))
    numbers = {0: 0}
    found = list(tree.rows.values())
    for row in found:
        numbers[row.mount_id] = len(numbers)
    del rows.last[:], rows.origins[:], rows.names[:]
    for row in found:
        rows.add(row._replace(mount_id=numbers[row.mount_id], parent_id=numbers[row.parent_id]), *told[row.mount_id])


def _change_below(mount: ExpectedMount, own: Change) -> Change:
    return own if mount.recursive_attributes else Change(mount.below_set, mount.below_clear)


def _received(row: MountRow) -> int:
    """The master that a host mount has when it is copied as a slave."""
    number = row.peer_group or row.master
    return HOST_GROUPS + number if number else 0


def _brought(mount: ExpectedMount, row: MountRow, rows: _Rows) -> tuple[int, int]:
    """Peer group and master of a copy of the host's mount `row`."""
    if mount.brings == "peer":
        master = HOST_GROUPS + row.master if row.master else 0
        if row.peer_group:
            return HOST_GROUPS + row.peer_group, master
        rows.own_groups += 1
        return OWN_GROUPS + rows.own_groups, master
    return 0, _received(row) if mount.inherits or mount.brings == "slave" else 0


def _place(above: Handle, place: str, numbers: dict[str, int], trees: dict[str, Walks], rows: _Rows) -> tuple[int, str]:
    """(parent id, mountpoint) of a mount; below a recursive clone, the parent may be one of the mounts it brought."""
    number = numbers[above]
    below = rows.mountpoint(number - 1)
    mountpoint = place if below == "/" and place else below + place
    tree = trees.get(above) if trees else None
    return (number if tree is None else tree.end_of(mountpoint).mount_id), mountpoint


def _below(
    mount: ExpectedMount,
    source: MountRow,
    mountpoint: str,
    number: int,
    change: Change,
    rows: _Rows,
    below: dict[int, list[MountRow]],
) -> None:
    """The copies of all that the host has mounted below a recursive clone's source, in the kernel's order.

    What is unbindable there comes along: in the namespace of our own it no longer is when the clone is taken.
    """
    waiting = [
        (number, child)
        for child in reversed(below.get(source.mount_id, ()))
        if child is not source and TargetPath(child.mountpoint).is_under(mount.root)
    ]
    while waiting:
        parent_id, row = waiting.pop()
        copy = len(rows) + 1
        where = TargetPath(mountpoint).joined(TargetPath(row.mountpoint).relative_to(mount.root))
        bits = applied(parse_shown(row.attributes), change)
        peer_group, master = _brought(mount, row, rows)
        rows.add(
            row._replace(mount_id=copy, parent_id=parent_id, mountpoint=where, attributes=show(bits),
                         peer_group=peer_group, master=master, propagate_from=0, unbindable=False),
            mount.origin, f"{mount.name}+{row.mountpoint}",
        )  # fmt: skip
        waiting += [(copy, child) for child in reversed(below.get(row.mount_id, ()))]

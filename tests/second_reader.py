"""A second reader of specs: what a spec means, found without planner/resolve/resolve.py, so that the two can disagree.

It is naive on purpose. Mounts are put into a table one after the other, the shallower target first and equal ones in
the order of the file, each where a path walk on that table ends. Sharing is looked at when all stand. It takes no
mistakes into account: tests/valid_specs.py makes specs that have none. `differences` holds a mount table against it.

`mounted_in_order` is a third way to read: as a script of mount(8) commands in the order of the file, in the model.
"""

from __future__ import annotations

from typing import Any

from mountplan.planner.attributes import applied, change
from mountplan.planner.model import World
from mountplan.planner.tables.table import MountRow, MountTable

Table = dict[str, Any]
Path = tuple[str, ...]

CLEARS = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "symfollow": "nosymfollow",
    "diratime": "nodiratime",
}
OF_NAMESPACE_FILE = frozenset({"strictatime"})  # the kernel's own mount of them has no relatime
TIMES = ("relatime", "noatime", "strictatime")


def parts(path: str) -> Path:
    return tuple(part for part in path.split("/") if part)


def is_missing(one: Table) -> bool:
    """True for what is left out: in these specs, no optional path of the host is there."""
    return bool(one.get("optional") and isinstance(one.get("bind"), str))


def without_missing(value: Table) -> Table:
    spaces = [space | {"mount": present(space["mount"])} for space in value.get("namespace", ())]
    return value | ({"namespace": spaces} if spaces else {"mount": present(value["mount"])})


def with_readonly_paths(value: Table) -> Table:
    """A read-only path is a bind of it that stands on the mount which lists it."""
    spaces = [space | {"mount": _written_out(space["mount"])} for space in value.get("namespace", ())]
    return value | ({"namespace": spaces} if spaces else {"mount": _written_out(value["mount"])})


def _written_out(tables: list[Table]) -> list[Table]:
    found = []
    for one in tables:
        found.append(one)
        for path in one.get("readonly", ()):
            bind = {"mount": one["id"], "path": f"/{path}"}
            key, target = f"{one['id']}!{path}", f"{one['target'].rstrip('/')}/{path}"
            found.append({"id": key, "target": target, "parent": one["id"], "bind": bind, "attributes": ["ro"]})
    return found


def present(tables: list[Table]) -> list[Table]:
    return [one for one in tables if not is_missing(one)]


class Superblock:
    """A filesystem that a spec makes, and the symlinks and directories that are declared in it."""

    def __init__(self, fstype: str, source: str | None) -> None:
        self.fstype = fstype
        self.source = source  # None: that of whichever loop device is free
        self.symlinks: dict[Path, str] = {}


class NaiveMount:
    """One mount: `path` of its filesystem is seen at `place` of its parent (None if it stands nowhere)."""

    def __init__(self, superblock: Superblock, path: Path, attributes: frozenset[str], key: str) -> None:
        self.superblock = superblock
        self.path = path
        self.attributes = attributes
        self.key = key
        self.parent: NaiveMount | None = None
        self.place: Path = ()
        self.children: dict[Path, NaiveMount] = {}
        self.unbindable = False
        self.group = ""
        self.master = ""

    def put(self, parent: NaiveMount, place: Path, *, careless: bool = False) -> None:
        assert careless or place not in parent.children, f"two mounts on {place} of {parent.key}"
        self.parent, self.place = parent, place
        parent.children[place] = self

    def mountpoint(self) -> Path:
        return (self.parent.mountpoint() + self.place) if self.parent else ()

    def tree(self) -> list[NaiveMount]:
        found: list[NaiveMount] = [self]
        for child in self.children.values():
            found += child.tree()
        return found


def top(mount: NaiveMount, place: Path) -> tuple[NaiveMount, Path]:
    while place in mount.children:
        mount, place = mount.children[place], ()
    return mount, place


def walk(root: NaiveMount, target: str) -> tuple[NaiveMount, Path]:
    """Where a path walk ends: the mount, and the place in it. Symlinks are followed, never out of the root."""
    return walk_telling_depth(root, target)[:2]


def walk_telling_depth(root: NaiveMount, target: str) -> tuple[NaiveMount, Path, int]:
    """As walk(), with how deep in the tree it came on its way: no mount deeper than that has a say in it."""
    trail = [top(root, ())]
    waiting = list(parts(target))
    hops = depth = 0
    while waiting:
        name = waiting.pop(0)
        if name == "..":
            trail[1:] = trail[1:-1]
            continue
        mount, place = trail[-1]
        depth = max(depth, len(mount.mountpoint() + place) + 1)
        mount, place = top(mount, (*place, name))
        link = mount.superblock.symlinks.get(mount.path + place)
        if link is None:
            trail.append((mount, place))
            continue
        hops += 1
        assert hops < 40, f"symlinks without end on the way to {target}"
        waiting = list(parts(link)) + waiting
        if link.startswith("/"):
            del trail[1:]
    return *trail[-1], depth


def attributes_of(words: list[str], before: frozenset[str] = frozenset()) -> frozenset[str]:
    """What is set in the end. Among times the last word counts; relatime is what there is without one."""
    found = set(before)
    for word in words:
        if word in CLEARS:
            found.discard(CLEARS[word])
        elif word in TIMES:
            found -= set(TIMES)
            found |= {word} - {"relatime"}
        else:
            found.add(word)
    return frozenset(found)


class Reading:
    """The namespaces of a spec, by name: the root of each. `{}` is what stands without a namespace's name."""

    def __init__(self, value: Table, *, careless: bool = False) -> None:
        value = with_readonly_paths(without_missing(value))
        self.value = value
        self.careless = careless  # two mounts may come to one place: for specs in the making
        self.mounts: dict[str, NaiveMount] = {}  # those with an id
        self.tables: dict[str, Table] = {}
        self.roots: dict[str, NaiveMount] = {}
        self.namespaces = Superblock("nsfs", "nsfs")
        spaces = value.get("namespace") or [{"name": "", "mount": value["mount"]}]
        order = [(space["name"], one) for space in spaces for one in space["mount"]]
        self.tables = {one["id"]: one for _, one in order}
        for _, one in order:
            self._make(one["id"])
        for space in spaces:
            self._place(space["name"], space["mount"])
        for _, one in order:
            self._share(one)
        for _, one in order:
            if one.get("recursive") and not careless:
                self._bring(one)

    def _make(self, key: str) -> NaiveMount:
        """A mount that stands nowhere yet; a bind shows what the mount that it is made from shows."""
        if key in self.mounts:
            return self.mounts[key]
        one = self.tables[key]
        if "namespace" in one.get("bind", ()):  # of the kind that is named first, or last
            name = one["bind"]["namespace"]
            superblock = self.namespaces
            path: Path = (name.rpartition("/")[2].partition(":")[0],)
            before = OF_NAMESPACE_FILE
        elif "bind" in one:
            source = self._make(one["bind"]["mount"])
            superblock, path = source.superblock, source.path + parts(one["bind"]["path"])
            before = source.attributes
        else:
            before = frozenset()
            source_text = None if "image" in one else str(one.get("source", one["type"]))
            superblock, path = Superblock(one["type"], source_text), ()
            for entry in one.get("file", ()):
                if "symlink" in entry:
                    superblock.symlinks[parts(entry["path"])] = entry["symlink"]
        mount = NaiveMount(superblock, path, attributes_of(one.get("attributes", []), before), key)
        mount.unbindable = one.get("unbindable", False)
        self.mounts[key] = mount
        return mount

    def _place(self, name: str, tables: list[Table]) -> None:
        """Of which the way to its place is the least deep goes first: what is deeper does not change that way."""
        waiting = [one for one in tables if "target" in one]
        root = next(one for one in waiting if one["target"] == "/")
        waiting.remove(root)
        self.roots[name] = self.mounts[root["id"]]
        while waiting:
            ready = [(self._end_of(name, one), number) for number, one in enumerate(waiting) if self._stands(name, one)]
            (parent, place, _), number = min(ready, key=lambda one: (one[0][2], one[1]))
            self.mounts[waiting.pop(number)["id"]].put(parent, place, careless=self.careless)

    def unclear(self) -> list[str]:
        """Mounts to which no walk leads in the finished tree: what a symlink leads to has covered the way."""
        found = []
        for space in self.value.get("namespace") or [{**self.value, "name": ""}]:
            for one in space["mount"]:
                mount = self.mounts[one["id"]]
                if "target" in one and "parent" not in one and mount.parent is not None:
                    end, _ = walk(self.roots[space["name"]], one["target"])
                    while end is not mount and end.parent is not None and end.place == ():
                        end = end.parent
                    if end is not mount:
                        found.append(one["id"])
        return found

    def _stands(self, name: str, one: Table) -> bool:
        """Whether the parent that a mount names, if it does, stands by now."""
        parent = self.mounts[one["parent"]] if "parent" in one else self.roots[name]
        return parent is self.roots[name] or parent.parent is not None

    def _end_of(self, name: str, one: Table) -> tuple[NaiveMount, Path, int]:
        if "parent" not in one:
            return walk_telling_depth(self.roots[name], one["target"])
        parent, target = self.mounts[one["parent"]], parts(one["target"])
        return parent, target[len(parent.mountpoint()) :], len(target)

    def _share(self, one: Table) -> None:
        mount = self.mounts[one["id"]]
        mount.group = one.get("peer_group", "")
        mount.master = one.get("master", "")
        if mount.group:
            mount.master = self.value["peer_group"][mount.group].get("master", "")

    def _bring(self, one: Table) -> None:
        """What stands below the source of a recursive bind comes along, with the bind's attributes on top."""
        words = one.get("attributes", []) if one.get("recursive_attributes", True) else []
        source, below = self.mounts[one["bind"]["mount"]], parts(one["bind"]["path"])
        self._copy(source, below, self.mounts[one["id"]], words, one.get("recursive_sharing", "private"))

    def _copy(self, source: NaiveMount, below: Path, to: NaiveMount, words: list[str], sharing: str) -> None:
        """It is private; or as `mount --make-rshared` leaves a copy, or `--make-rslave`."""
        for place, child in list(source.children.items()):
            if place[: len(below)] == below:
                copy = NaiveMount(
                    child.superblock, child.path, attributes_of(words, child.attributes), f"{to.key}+{child.key}"
                )
                if sharing == "peer":
                    copy.group = child.group or f"alone: {copy.key}"
                    copy.master = child.master
                elif sharing == "slave":
                    copy.master = child.group or child.master
                copy.put(to, place[len(below) :])
                self._copy(child, (), copy, words, sharing)


def differences(root: NaiveMount, table: MountTable, known: dict[str, Any]) -> list[str]:
    """How a table differs from the mounts below `root`; none of the words are for users.

    `known` holds what was learnt of other tables: which group of the spec has which number, and which filesystem which
    device.
    """
    below: dict[int, list[MountRow]] = {}
    for row in table.rows:
        below.setdefault(row.parent_id, []).append(row)
    found: list[str] = []
    waiting = [(root, table.root())]
    while waiting:
        mount, row = waiting.pop()
        found += [f"{row.mountpoint}: {what}" for what in _one(mount, row, known)]
        wanted = {"/" + "/".join(child.mountpoint()): child for child in mount.children.values()}
        there = {child.mountpoint: child for child in below.get(row.mount_id, ()) if child is not row}
        found += [f"{row.mountpoint}: {place} is missing" for place in wanted.keys() - there.keys()]
        found += [f"{row.mountpoint}: {place} is too much" for place in there.keys() - wanted.keys()]
        waiting += [(wanted[place], there[place]) for place in wanted.keys() & there.keys()]
    return found


def _one(mount: NaiveMount, row: MountRow, known: dict[str, Any]) -> list[str]:
    shown = set(row.attributes.split(",")) - {"rw"}
    attributes = frozenset((shown - {"relatime"}) | (set() if shown & set(TIMES) else {"strictatime"}))
    root = "/" + "/".join(mount.path)
    source = row.source if mount.superblock.source is None else mount.superblock.source
    if mount.superblock.fstype == "nsfs":  # the kernel shows the number of the namespace behind its kind
        root = f"{mount.path[0]}:{row.root.partition(':')[2]}"
    pairs = [
        ("filesystem", (mount.superblock.fstype, source), (row.fstype, row.source)),
        ("root", root, row.root),
        ("attributes", sorted(mount.attributes), sorted(attributes)),
        ("unbindable", mount.unbindable, row.unbindable),
        ("device", *_same(known, "device", mount.superblock, row.device)),
        ("group", *_same(known, "group", mount.group, row.peer_group)),
        ("master", *_same(known, "group", mount.master, row.master)),
    ]
    return [f"{what}: wanted {wanted}, found {there}" for what, wanted, there in pairs if wanted != there]


def _same(known: dict[str, Any], kind: str, ours: object, theirs: object) -> tuple[object, object]:
    """Each name of ours has one name of theirs, and the other way around; none has none."""
    if not ours or not theirs:
        return bool(ours), bool(theirs)
    forth = known.setdefault(f"{kind} forth", {}).setdefault(ours, theirs)
    back = known.setdefault(f"{kind} back", {}).setdefault(theirs, ours)
    return (forth, back is ours or back == ours), (theirs, True)


def mounted_in_order(value: Table) -> MountTable:
    """What stands after `mount` and `mount --bind` in the order of the file, for specs that tests/valid_specs.py calls
    plain: each source is seen at its path when its turn comes.
    """
    world, value = World(), without_missing(value)
    first, *others = value["mount"]
    reading = Reading(value)  # for the paths at which sources are seen, and what mountpoints have to be made
    superblocks = {mount.superblock: world.superblock(mount.superblock.fstype) for mount in reading.mounts.values()}
    for one in value["mount"]:
        for entry in one.get("file", ()):
            path = "/" + entry["path"]
            superblocks[reading.mounts[one["id"]].superblock].make(path, directory="directory" in entry)
    files = files_of(value)
    root = superblocks[reading.mounts[first["id"]].superblock]
    process = world.boot("", root, first["source"], change(tuple(first.get("attributes", ()))).set)
    for one in others:
        mount = reading.mounts[one["id"]]
        assert mount.parent is not None
        below = "/" + "/".join(mount.parent.path + mount.place)
        superblocks[mount.parent.superblock].make(below, directory=one["id"] not in files)
        wanted = change(tuple(one.get("attributes", ())))
        if "bind" in one:
            source = reading.mounts[one["bind"]["mount"]]
            path = "/" + "/".join(source.mountpoint() + parts(one["bind"]["path"]))
            made = world.bind(process, path, one["target"], recursive=one.get("recursive", False))
            for bound in made.tree():
                bound.attributes = applied(bound.attributes, wanted)
        else:
            new, superblock = (process, one["type"], one["source"], one["target"]), superblocks[mount.superblock]
            made = world.mount_new(*new, attributes=wanted.set, superblock=superblock)
        if one.get("unbindable"):
            world.change_type(process, one["target"], "unbindable")
    return world.table(process)


def files_of(value: Table) -> set[str]:
    """The ids of mounts that show a file: binds of declared ones."""
    reading = Reading(value)
    declared = {
        (reading.mounts[one["id"]].superblock, parts(entry["path"]))
        for one in value["mount"]
        for entry in one.get("file", ())
        if "content" in entry
    }
    return {key for key, mount in reading.mounts.items() if (mount.superblock, mount.path) in declared}

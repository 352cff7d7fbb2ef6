"""Random specs that change what is inherited, and a second reader of them: [[remove]], [[change]], and mounts on that.

A spec comes with the mounts that a host has below /mnt, in the order in which they are mounted there. The reader knows
nothing of the planner: it makes the host's tree of a mount table, does to it what docs/language.md says, by walks, and
tests/second_reader.py holds a table against that.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from mountplan.planner.tables.table import MountTable
from tests.second_reader import NaiveMount, Path, Superblock, attributes_of, parts, top, walk

Table = dict[str, Any]
NAMES = ("a", "b", "c")
DEPTH = 2  # directories in each filesystem: a to c, and the same in each
WORDS = ("ro", "nosuid", "nodev", "noexec", "noatime")


class HostMount(NamedTuple):
    """A tmpfs, or a bind of a path that is there by then; maybe shared."""

    target: str
    source: str  # "" for a tmpfs
    words: tuple[str, ...]
    shared: bool


class InheritedSpec(NamedTuple):
    """`value` is the spec, for a host that has `mounts`."""

    mounts: tuple[HostMount, ...]
    value: Table


def text(path: Path) -> str:
    return "/" + "/".join(path)


def tree_of(table: MountTable, propagation: str) -> NaiveMount:
    """The host's tree, as a namespace inherits it."""
    made: dict[int, NaiveMount] = {}
    superblocks: dict[str, Superblock] = {}
    rows = {row.mount_id: row for row in table.rows}
    for row in table.rows:
        superblock = superblocks.setdefault(row.device, Superblock(row.fstype, row.source))
        shown = frozenset(row.attributes.split(",")) - {"rw"}
        words = shown - {"relatime"} if shown & {"relatime", "noatime"} else shown | {"strictatime"}
        mount = made[row.mount_id] = NaiveMount(superblock, parts(row.root), words, f"host {row.mountpoint}")
        if propagation != "private" and (row.peer_group or row.master):
            mount.master = f"host group {row.peer_group or row.master}"
    root = next(row for row in table.rows if row.parent_id not in rows)
    for row in table.rows:
        if row is not root:
            above = rows[row.parent_id]
            place = parts(row.mountpoint)[len(parts(above.mountpoint)) :]
            made[row.mount_id].put(made[row.parent_id], place)
    return made[root.mount_id]


def read(value: Table, table: MountTable) -> NaiveMount:
    """The tree that a spec comes to on a host with this table."""
    root = tree_of(table, value.get("propagation", "private"))
    for one in value.get("remove", ()):
        mount, place = walk(root, one["target"])
        if place == () and mount.parent is not None:
            del mount.parent.children[mount.place]
            mount.parent = None
        else:
            assert one["optional"]
    changes = value.get("change", ())
    over = dict.fromkeys(path for one in changes for path in (one["target"], *one.get("except", ())))
    for path in sorted(over, key=lambda path: len(parts(path))):
        bind_over(root, path)
    for mount in root.tree() if value.get("propagation") == "slave-shared" else ():
        mount.group = f"own of {id(mount)}"
    for number, one in enumerate(changes):
        spared = [walk(root, path)[0] for path in one.get("except", ())]
        changed = reach(root, walk(root, one["target"])[0], spared, recursive=one.get("recursive", False))
        for mount in changed:
            mount.attributes = attributes_of(one.get("attributes", []), mount.attributes)
        for mount in changed if "sharing" in one else ():
            if one["sharing"] == "private":
                mount.group = mount.master = ""
            else:
                mount.group = mount.group or f"change {number} of {id(mount)}"
    for one in sorted(value["mount"], key=lambda one: len(parts(one["target"]))):
        superblock = Superblock(one["type"], one["source"])
        NaiveMount(superblock, (), attributes_of(one.get("attributes", [])), one["id"]).put(*walk(root, one["target"]))
    return root


def bind_over(root: NaiveMount, path: str) -> None:
    """What is no mountpoint becomes one: the mount over itself, with what stands below."""
    mount, place = walk(root, path)
    if place == ():
        return

    def copy(one: NaiveMount, path: Path) -> NaiveMount:
        new = NaiveMount(one.superblock, path, one.attributes, f"{one.key} over itself")
        new.group, new.master = one.group, one.master
        return new

    new = copy(mount, mount.path + place)
    waiting = [(new, child, at[len(place) :]) for at, child in mount.children.items() if at[: len(place)] == place]
    for above, one, at in waiting:
        inner = copy(one, one.path)
        inner.put(above, at)
        waiting += [(inner, child, below) for below, child in one.children.items()]
    new.put(mount, place)


def reach(root: NaiveMount, first: NaiveMount, spared: list[NaiveMount], *, recursive: bool) -> list[NaiveMount]:
    """What is changed: all that stands on it, but what is spared and what stands on that. On the way to what is spared
    only what a walk leads to.
    """
    if not recursive:
        return [first]
    if not any(one in spared for one in first.tree()):
        return first.tree()
    found = [first]
    for place, child in first.children.items():
        seen, _ = top(child, ())
        leads_there = walk(root, text(first.mountpoint() + place))[0] is seen
        if leads_there and seen not in spared:
            found += reach(root, seen, spared, recursive=True)
    return found


class _Inherited:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"inherited {seed}")

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def some(self, *words: str, one_in: int = 4) -> list[str]:
        return [word for word in words if self.chance(one_in)]

    def path(self) -> str:
        return text(("mnt", *self.random.choices(NAMES, k=self.random.randint(0, 3))))

    def is_there(self, root: NaiveMount, path: str) -> bool:
        """Every directory of a tmpfs is there; a bind of one deep in it shows what is below that."""
        mount, place = walk(root, path)
        return len(mount.path + place) <= DEPTH and mount.superblock.fstype == "tmpfs"

    def host(self) -> tuple[NaiveMount, tuple[HostMount, ...]]:
        root = NaiveMount(Superblock("rootfs", ""), (), frozenset(), "/")
        mounts: list[HostMount] = []

        def add(target: str, source: str) -> None:
            words = self.some(*WORDS, one_in=6)
            shared = self.chance(2)
            mounts.append(HostMount(target, source, tuple(words), shared))
            shown = NaiveMount(Superblock("tmpfs", target), (), frozenset(), target), ()
            mount, place = walk(root, source) if source else shown
            NaiveMount(mount.superblock, mount.path + place, frozenset(words), target).put(*walk(root, target))

        add("/mnt", "")
        for _ in range(self.random.randint(1, 6)):
            target = self.path()
            source = self.path() if self.chance(3) else ""
            if self.is_there(root, target) and (not source or self.is_there(root, source)):
                add(target, source)
        return root, tuple(mounts)

    def spec(self) -> InheritedSpec:
        """Of the host's tree, its paths and what stands there; what is known of it only by name is in the reader."""
        root, mounts = self.host()
        value: Table = {"format": 1, "name": "inherited", "root": "inherit", "mount": []}
        value["propagation"] = self.random.choice(("private", "private", "slave", "slave-shared"))
        gone: list[str] = []
        value["remove"] = []
        for _ in range(self.random.randrange(3)):
            target = self.path()
            mount, place = walk(root, target)
            lost = (
                any(target.startswith(f"{one}/") for one in gone) or target == "/mnt" or not self.is_there(root, target)
            )
            if lost or (place == () and mount.parent is None):
                continue
            value["remove"].append({"target": target, "recursive": True, "optional": True})
            if place == () and mount.parent is not None:
                del mount.parent.children[mount.place]
                gone.append(target)
        value["change"] = []
        for _ in range(self.random.randint(1, 3)):
            target = self.path()
            if not self.keeps(root, target, gone):
                continue
            change: Table = {"target": target}
            if self.chance(2):
                change["recursive"] = True
                below = [f"{target}/{name}" for name in NAMES] + [self.path() for _ in range(2)]
                below = [one for one in below if one.startswith(f"{target}/") and self.keeps(root, one, gone)]
                spared = [one for one in below if self.chance(3)]
                if spared:
                    change["except"] = spared
            change["attributes"] = self.some(*WORDS, one_in=3) or ["ro"]
            if self.chance(3):
                change["sharing"] = self.random.choice(("private", "shared"))
            value["change"].append(change)
        for number in range(self.random.randrange(3)):
            target = self.path()
            taken = any(one["target"] == target or one["target"].startswith(f"{target}/") for one in value["mount"])
            if not taken and self.keeps(root, target, gone):
                words = self.some(*WORDS)
                one = {"id": f"m{number}", "target": target, "type": "tmpfs", "source": f"s{number}"}
                value["mount"].append(one | ({"attributes": words} if words else {}))
        return InheritedSpec(mounts, value)

    def keeps(self, root: NaiveMount, path: str, gone: list[str]) -> bool:
        """True for what is there, before and after what is removed."""
        return self.is_there(root, path) and not any(path == one or path.startswith(f"{one}/") for one in gone)


def inherited_spec(seed: int) -> InheritedSpec:
    """The spec of this number."""
    return _Inherited(seed).spec()

"""Random specs that are right by construction: what they take from each other is there, and they mean one thing.

A spec comes from a number. The `plain` ones share nothing and are in an order in which mount(8) could mount them one
after the other; the others have groups, covers, symlinks, hidden sources and any order of the file.
"""

from __future__ import annotations

import random
from typing import Any

from mountplan.planner.attributes import contradiction
from tests.second_reader import OF_NAMESPACE_FILE, NaiveMount, Path, Reading, Superblock, attributes_of, parts, walk

Table = dict[str, Any]
NAMES = ("a", "b", "c", "d")
ATTRIBUTES = ("ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "strictatime", "nodiratime")
CLEARING = ("rw", "suid", "dev", "exec", "symfollow", "relatime", "diratime")


# A squashfs with the directories a/a to d/d, and another such one in itself; and where it begins in a longer file.
IMAGE, LONG_IMAGE, BEGINS = "/mnt/valid.squashfs", "/mnt/valid.image", 1 << 20
INNER = "/inner.squashfs"


def text(path: Path) -> str:
    return "/" + "/".join(path)


class _Spec:
    """One spec in the making. `nodes` is what is in each filesystem: its directories and files, by path."""

    def __init__(self, seed: int, *, plain: bool, images: bool) -> None:
        self.random = random.Random(f"{seed} {plain}")
        self.plain = plain
        self.images = images and not plain
        self.tables: list[Table] = []
        self.mounts: list[NaiveMount] = []
        self.makers: dict[Superblock, Table] = {}
        self.nodes: dict[Superblock, dict[Path, str]] = {}
        self.frozen: set[NaiveMount] = set()
        self.links = 0
        self.media: list[Table] = []  # images that stand nowhere, and hold others

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def value(self) -> Table:
        value: Table = {"format": 1, "name": "valid"}
        if not self.plain and self.chance(4):
            value["namespace"] = []
            for name in ("one", "two"):
                begin, media = len(self.tables), len(self.media)
                self.namespace(self.random.randint(1, 6))
                value["namespace"].append({"name": name, "mount": self.tables[begin:] + self.media[media:]})
        else:
            self.namespace(self.random.randint(1, 12))
            value["mount"] = [*self.tables, *self.media]
        if not self.plain:
            self.share(value)
            for space in value.get("namespace") or [value]:
                space["mount"] = self.shuffled(space["mount"])
        self.say_what_is_hidden()
        self.say_what_stands_below_covers(value)
        self.add_what_is_missing(value)
        if not self.plain:
            self.make_some_paths_readonly(value)
        return value

    def namespace(self, count: int) -> None:
        self.root = self.filesystem("tmpfs", "/")
        self.begin = len(self.mounts) - 1
        for _ in range(count):
            self.add()

    def filesystem(self, fstype: str, target: str) -> NaiveMount:
        number = len(self.tables)
        table: Table = {"id": f"m{number}", "type": fstype, "source": f"s{number}"} | (
            {"target": target} if target else {}
        )
        superblock = Superblock(fstype, table["source"])
        if fstype == "squashfs":
            del table["source"]
            superblock.source = None
            table["image"] = self.image()
        self.makers[superblock] = table
        self.nodes[superblock] = {(): "directory"}
        return self.remember(table, NaiveMount(superblock, (), frozenset(), table["id"]))

    def namespace_file(self, target: str) -> NaiveMount:
        name = self.random.choice(("net:self", "uts:/proc/self/ns/uts", "/proc/self/ns/ipc"))
        superblock = next((one for one in self.nodes if one.fstype == "nsfs"), None) or Superblock("nsfs", "nsfs")
        self.nodes[superblock] = {(): "file"}
        table: Table = {"id": f"m{len(self.tables)}", "target": target, "bind": {"namespace": name}}
        return self.remember(table, NaiveMount(superblock, (), OF_NAMESPACE_FILE, table["id"]))

    def image(self) -> object:
        """Where an image is: a file of the host, a part of one, or a file in another image."""
        what = self.random.randrange(4)
        if what == 0:
            return {"path": LONG_IMAGE, "offset": BEGINS}
        if what == 1:
            holder: Table = {"id": f"medium{len(self.tables)}", "type": "squashfs", "image": IMAGE}
            self.media.append(holder)
            return {"mount": holder["id"], "path": INNER}
        return IMAGE

    def remember(self, table: Table, mount: NaiveMount) -> NaiveMount:
        words = [word for word in ATTRIBUTES if self.chance(8)]
        if "bind" in table:
            words += [word for word in CLEARING if self.chance(12)]
        while clash := contradiction(tuple(words)):
            words.remove(clash[0])
        if words:
            table["attributes"] = words
        mount.attributes = attributes_of(words, mount.attributes)
        self.tables.append(table)
        self.mounts.append(mount)
        return mount

    def place(self, kind: str) -> tuple[str, NaiveMount, Path] | None:
        """A target where something of this kind can be mounted, its parent, and the place in that."""
        here = [one for one in self.mounts[self.begin :] if one is self.root or one.parent]
        if self.chance(4):  # in a stack
            target = text(self.random.choice(here).mountpoint())
        else:
            target = text(tuple(self.random.choices(NAMES, k=self.random.randint(1, 3))))
        parent, place = walk(self.root, target)
        if not self.plain and self.chance(4):  # below what covers it
            parent = self.random.choice([one for one in here if not self.table_of(one).get("on_symlink")])
            place = tuple(self.random.choices(NAMES, k=self.random.randint(1, 2)))
            target = text(parent.mountpoint() + place)
            if any(other == place[: len(other)] for other in parent.children):
                return None
        if target == "/" or parent in self.frozen or not self.fits(parent.superblock, parent.path + place, kind):
            return None
        return target, parent, place

    def table_of(self, mount: NaiveMount) -> Table:
        return self.tables[self.mounts.index(mount)]

    def place_behind_link(self, kind: str) -> tuple[str, NaiveMount, Path] | None:
        """A target that leads through a symlink of its own, by which it may come anywhere."""
        here = text(tuple(self.random.choices(NAMES, k=self.random.randint(0, 2))))
        mount, place = walk(self.root, here)
        self.links += 1
        link = (*place, f"l{self.links}")
        names = "/".join(self.random.choices(NAMES, k=self.random.randint(1, 2)))
        to = self.random.choice(("/", "", "../", "../../../")) + names
        if mount in self.frozen or not self.fits(mount.superblock, mount.path + link, "symlink"):
            return None
        beyond = tuple(self.random.choices(NAMES, k=self.random.randint(0, 1)))
        target = text((*parts(here), link[-1], *beyond))
        mount.superblock.symlinks[mount.path + link] = to
        self.note(mount.superblock, mount.path + link, "symlink")
        parent, place = walk(self.root, target)
        if parent in self.frozen or not self.fits(parent.superblock, parent.path + place, kind):
            del mount.superblock.symlinks[mount.path + link]
            return None
        entry = {"path": "/".join(mount.path + link), "symlink": to}
        self.makers[mount.superblock].setdefault("file", []).append(entry)
        return target, parent, place

    def fits(self, superblock: Superblock, path: Path, kind: str) -> bool:
        nodes = self.nodes[superblock]
        if superblock.fstype == "proc":
            return False
        if superblock.fstype == "squashfs":
            return kind == "directory" and len(path) <= 2
        return nodes.get(path, kind) == kind and all(
            nodes.get(path[:end], "directory") == "directory" for end in range(len(path))
        )

    def note(self, superblock: Superblock, path: Path, kind: str) -> None:
        for end in range(len(path)):
            self.nodes[superblock].setdefault(path[:end], "directory")
        self.nodes[superblock].setdefault(path, kind)

    def add(self) -> None:
        if not self.plain and self.chance(10):
            self.stands_nowhere()
            return
        what = self.random.choice(("new", "new", "bind", "bind", "bind", "file", "recursive", "proc"))
        if what == "new" and self.images and self.chance(3):
            what = "image"
        if what == "file" and self.images and self.chance(4):
            what = "namespace"
        kind = "file" if what in ("file", "namespace") else "directory"
        follow = not self.plain and self.chance(6)
        found = self.place_behind_link(kind) if follow else self.place(kind)
        if found is None:
            return
        target, parent, place = found
        self.note(parent.superblock, parent.path + place, kind)
        if what in ("new", "proc", "image"):
            new = self.random.choice(("tmpfs", "tmpfs", "ramfs"))
            mount = self.filesystem({"new": new, "image": "squashfs"}.get(what, what), target)
        elif what == "namespace":
            mount = self.namespace_file(target)
        else:
            made = self.bind(target, kind, what == "recursive", parent)
            if made is None:
                return
            mount = made
        table = self.tables[-1]
        if follow:
            table["on_symlink"] = "follow"
        elif self.chance(6) and not self.table_of(parent).get("on_symlink"):
            table["parent"] = parent.key
        mount.put(parent, place)
        if what == "recursive":
            self.freeze(mount)
        elif self.chance(8) and what != "proc":
            table["unbindable"] = mount.unbindable = True

    def stands_nowhere(self) -> None:
        """A filesystem without a target, and a bind of it."""
        held = self.filesystem("tmpfs", "")
        found = self.place("directory")
        if found is None:
            self.tables.pop()
            self.mounts.pop()
            return
        table: Table = {"id": f"m{len(self.tables)}", "target": found[0], "bind": {"mount": held.key, "path": "/"}}
        self.remember(table, NaiveMount(held.superblock, (), held.attributes, table["id"])).put(*found[1:])
        self.note(found[1].superblock, found[1].path + found[2], "directory")

    def bind(self, target: str, kind: str, recursive: bool, parent: NaiveMount) -> NaiveMount | None:
        sources = [one for one in self.mounts if one.superblock.fstype not in ("proc", "nsfs") and not one.unbindable]
        source = self.random.choice(sources)
        path = (
            ()
            if kind == "directory" and self.chance(3)
            else tuple(self.random.choices(NAMES, k=self.random.randint(1, 2)))
        )
        inner = source.path + path
        if self.nodes[source.superblock].get(source.path) == "file" or not self.fits(source.superblock, inner, kind):
            return None
        above = set()
        one: NaiveMount | None = parent
        while one is not None:
            above.add(one)
            one = one.parent
        if recursive and (source in above or any(one.unbindable or one in self.frozen for one in source.tree())):
            return None
        if self.plain and not self.visible(source, path):
            return None
        declared: list[Table] = []
        if source.superblock.fstype != "squashfs":
            declared = self.makers[source.superblock].setdefault("file", [])
        if inner and all(entry["path"] != "/".join(inner) for entry in declared):
            declared.append(
                {"path": "/".join(inner)} | ({"directory": True} if kind == "directory" else {"content": kind})
            )
        self.note(source.superblock, inner, kind)
        table: Table = {"id": f"m{len(self.tables)}", "target": target}
        table["bind"] = {"mount": source.key, "path": text(path)}
        if recursive:
            table["recursive"] = True
            self.source = source
        return self.remember(table, NaiveMount(source.superblock, inner, source.attributes, table["id"]))

    def visible(self, source: NaiveMount, path: Path) -> bool:
        """Whether a walk ends right there by now, so that mount(8) could name it."""
        return walk(self.root, text(source.mountpoint() + path)) == (source, path)

    def freeze(self, mount: NaiveMount) -> None:
        """Nothing is mounted any more below the source of a recursive bind, nor on what it brought along."""
        self.frozen |= {mount, *self.source.tree()}

    def say_what_is_hidden(self) -> None:
        """A bind of what something is mounted upon says that it means what is underneath."""
        for table in self.tables:
            if "mount" in table.get("bind", ()):
                source = next(one for one in self.mounts if one.key == table["bind"]["mount"])
                path = parts(table["bind"]["path"])
                if any(place == path[: len(place)] for place in source.children):
                    table["bind"]["hidden"] = True

    def say_what_stands_below_covers(self, value: Table) -> None:
        """A mount that a walk to its target would put elsewhere names its parent."""
        wanted = {one.key: (one, one.parent.key) for one in self.mounts if one.parent}
        for _ in self.tables:
            reading = Reading(value, careless=True)
            found = {key: (mount.parent or mount).key for key, mount in reading.mounts.items()}
            wrong = {key for key, (_, parent) in wanted.items() if found[key] != parent}
            unclear = set(reading.unclear())
            for table in self.tables:
                is_wrong = table["id"] in wrong | unclear
                if (unclear or is_wrong) and table.pop("on_symlink", ""):
                    table["target"] = text(wanted[table["id"]][0].mountpoint())
                if is_wrong:
                    table["parent"] = wanted[table["id"]][1]
            if not wrong and not unclear:
                return

    def add_what_is_missing(self, value: Table) -> None:
        """Here and there an optional mount of a path that no host has, anywhere but first, and what names it."""
        others = random.Random(f"{self.random.random()} optional")
        for space in value.get("namespace") or [value]:
            if others.randrange(4):
                continue
            number = f"{len(value.get('namespace', ()))}{space.get('name', '')}"
            gone = {"id": f"gone{number}", "bind": "/no/such/path", "optional": True}
            gone["target"] = text(tuple(others.choices(NAMES, k=others.randint(1, 2))))
            space["mount"] = list(space["mount"])
            space["mount"].insert(others.randint(1, len(space["mount"])), gone)

    def make_some_paths_readonly(self, value: Table) -> None:
        """Of what is declared in a filesystem, what no other mount has as its target or gets to by a symlink; none in
        another.
        """
        others = random.Random(f"{self.random.random()} readonly")
        reading = Reading(value, careless=True)
        taken = {(mount.parent.key, mount.place) for mount in reading.mounts.values() if mount.parent is not None}
        for space in value.get("namespace") or [value]:
            targets = {one["target"] for one in space["mount"] if "target" in one}
            for one in space["mount"]:
                if "target" not in one or "type" not in one or one.get("on_symlink"):
                    continue
                links = [entry["path"] for entry in one.get("file", ()) if "symlink" in entry]
                for entry in one.get("file", ()):
                    path = entry["path"]
                    clear = not any(f"{path}/".startswith(f"{other}/") for other in [*links, *one.get("readonly", ())])
                    clear = clear and f"{one['target'].rstrip('/')}/{path}" not in targets
                    clear = clear and not any(other.startswith(f"{path}/") for other in one.get("readonly", ()))
                    clear = clear and (one["id"], parts(path)) not in taken
                    if clear and not others.randrange(4):
                        one.setdefault("readonly", []).append(path)

    def shuffled(self, tables: list[Table]) -> list[Table]:
        """Any order, but for those on one target."""
        mixed = tables[:]
        self.random.shuffle(mixed)
        queues: dict[object, list[Table]] = {}
        for table in tables:
            queues.setdefault(table.get("target", table["id"]), []).append(table)
        return [queues[table.get("target", table["id"])].pop(0) for table in mixed]

    def share(self, value: Table) -> None:
        by_superblock: dict[Superblock, list[int]] = {}
        for number, mount in enumerate(self.mounts):
            if not mount.unbindable and mount.superblock.fstype not in ("proc", "nsfs"):
                by_superblock.setdefault(mount.superblock, []).append(number)
        groups: Table = {}
        for members in by_superblock.values():
            names: list[str] = []
            for number in members:
                what = self.random.choice(("private", "private", "member", "new", "slave"))
                table = self.tables[number]
                if "target" not in table:
                    continue
                if what == "new":
                    name = f"g{len(groups)}"
                    groups[name] = {"master": self.random.choice(names)} if names and self.chance(2) else {}
                    names.append(name)
                    table["peer_group"] = name
                elif what in ("member", "slave") and names:
                    table["peer_group" if what == "member" else "master"] = self.random.choice(names)
                self.share_below(table)
        if groups:
            value["peer_group"] = groups

    def share_below(self, table: Table) -> None:
        """What a recursive bind brings along."""
        if table.get("recursive") and self.chance(2):
            table["recursive_sharing"] = (
                "peer" if "peer_group" in table else "slave" if "master" in table else "private"
            )


def valid_spec(seed: int, *, plain: bool = False, images: bool = True) -> Table:
    """The spec of this number, as a value: format, mounts, groups. With `images` some are of squashfs."""
    return _Spec(seed, plain=plain, images=images).value()

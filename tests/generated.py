"""Specs by chance, for hypothesis: few names, so that mounts meet; mostly good, so that most of them are built."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Table = dict[str, Any]

NAMES = ("a", "b", "c")
ATTRIBUTES = (
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("nosymfollow", "symfollow"),
    ("noatime", "relatime", "strictatime"),
    ("nodiratime", "diratime"),
)
# What a generated spec may take from the host: see HOST in tests/kernel/test_generated.py.
HOST_DIRECTORIES = ("", "/wide", "/wide/a", "/wide/a/b", "/shared", "/slave", "/stack", "/ro/a")
HOST_FILES = ("/wide/f", "/ro/f")


def paths(least: int = 0, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(NAMES), min_size=least, max_size=most).map(lambda parts: "/" + "/".join(parts))


@st.composite
def attribute_lists(draw: DrawFn) -> list[str]:
    return [draw(st.sampled_from(names)) for names in ATTRIBUTES if draw(st.integers(0, 4)) == 0]


def rarely(draw: DrawFn, chance: int = 8) -> bool:
    return draw(st.integers(1, chance)) == chance  # 1 is what hypothesis shrinks to


class _Generator:
    """One spec in the making; with `inherit`, a directory of the host, one that adds to a copy of the host's tree.

    A superblock is known by the source that its mount has in the spec, or as "host".
    """

    def __init__(self, draw: DrawFn, host: str, inherit: str) -> None:
        self.draw = draw
        self.host = host
        self.inherit = inherit
        self.mounts: list[Table] = []
        self.superblocks: list[str] = []
        self.roots: list[str] = []
        self.kinds: list[str] = []

    def spec(self) -> Table:
        count = self.draw(st.integers(1, 9))
        for number in range(count):
            self.mounts.append(self.mount(number))
        groups = self.groups()
        spec: Table = {"format": 1, "mount": self.mounts}
        if groups:
            spec["peer_group"] = groups
        if self.inherit:
            spec["root"] = "inherit"
            spec["propagation"] = self.draw(st.sampled_from(["private", "slave"]))
        return spec

    def mount(self, number: int) -> Table:
        draw = self.draw
        if number == 0 and not self.inherit:
            target = "/"
        elif rarely(draw, 4) and self.standing():
            target = draw(st.sampled_from(self.standing()))["target"]  # a stack
        else:
            target = self.inherit + draw(paths(0 if rarely(draw) else 1))
            target = target if len(target) == 1 else target.rstrip("/")
        mount: Table = {"id": f"m{number}", "target": target}
        choices = ["tmpfs", "tmpfs"]
        if number:
            choices += ["bind", "bind", "recursive"]
        if self.host:
            choices += ["host", "host", "host file", "host recursive"]
        what = draw(st.sampled_from(choices))
        if number == 0 and what == "host file":
            what = "tmpfs"
        if what == "tmpfs":
            self.tmpfs(number, mount)
        elif what in ("bind", "recursive"):
            self.bind(mount, recursive=what == "recursive")
        else:
            self.host_bind(mount, what)
        mount["attributes"] = draw(attribute_lists())
        if what == "tmpfs" and number and rarely(draw):
            return {key: mount[key] for key in mount if key not in ("target", "attributes")}
        if rarely(draw) and self.standing():
            parent = draw(st.sampled_from(self.standing()))
            mount["parent"] = parent["id"]
            if not (mount["target"] + "/").startswith(parent["target"].rstrip("/") + "/"):
                mount["target"] = parent["target"].rstrip("/") + draw(paths(1, 2))
        if self.inherit and rarely(draw, 2):
            mount["create"] = True
        if rarely(draw, 12):
            mount["recursive_attributes"] = False
        return mount

    def standing(self) -> list[Table]:
        return [mount for mount in self.mounts if "target" in mount]

    def tmpfs(self, number: int, mount: Table) -> None:
        mount |= {"type": "tmpfs", "source": f"fs{number}"}
        if rarely(self.draw, 6):
            mount["options"] = self.draw(
                st.sampled_from([{"size": "64k"}, {"mode": "0711"}, {"ro": True}, {"nr_inodes": "50"}, {"size": "50%"}])
            )
        self.superblocks.append(mount["source"])
        self.roots.append("/")
        self.kinds.append("directory")

    def bind(self, mount: Table, *, recursive: bool) -> None:
        draw = self.draw
        at = draw(st.integers(0, len(self.mounts) - 1))
        source = self.mounts[at]
        path = draw(paths(0, 2))
        mount["bind"] = {"mount": source["id"], "path": path}
        if not rarely(draw, 5):
            mount["bind"]["hidden"] = True
        if recursive:
            mount["recursive"] = True
        root = (self.roots[at] + path).replace("//", "/").rstrip("/") or "/"
        kind = "directory"
        if path == "/":
            kind = self.kinds[at]
        elif self.superblocks[at].startswith("fs") and not rarely(draw, 12):
            maker = next(one for one in self.mounts if one.get("source") == self.superblocks[at])
            files = maker.setdefault("file", [])
            known = next((one for one in files if one["path"] == root), None)
            if known is None:
                file = rarely(draw, 4)
                known = {"path": root, "content": "x"} if file else {"path": root, "directory": True}
                files.append(known)
            kind = "directory" if "directory" in known else "file"
        self.superblocks.append(self.superblocks[at])
        self.roots.append(root)
        self.kinds.append(kind)

    def host_bind(self, mount: Table, what: str) -> None:
        path = self.draw(st.sampled_from(HOST_FILES if what == "host file" else HOST_DIRECTORIES))
        mount["bind"] = self.host + path
        if what == "host recursive":
            mount["recursive"] = True
        elif not rarely(self.draw, 4):
            mount["recursive"] = False
        self.superblocks.append("host")
        self.roots.append(path)
        self.kinds.append("file" if what == "host file" else "directory")

    def groups(self) -> Table:
        """Groups over the mounts of one superblock each, and masters among the groups of that superblock."""
        draw = self.draw
        groups: dict[str, Table] = {}
        of: dict[str, list[str]] = {}
        for mount, superblock in zip(self.mounts, self.superblocks, strict=True):
            names = of.setdefault(superblock, [])
            if "target" not in mount:
                continue
            fate = draw(st.sampled_from(["private", "private", "new", "old", "old", "slave", "unbindable"]))
            if fate == "unbindable":
                mount["unbindable"] = True
            elif fate == "slave" and names:
                mount["master"] = draw(st.sampled_from(names))
            elif fate == "old" and names:
                mount["peer_group"] = draw(st.sampled_from(names))
            elif fate in ("new", "old"):
                name = mount["peer_group"] = f"g{len(groups)}"
                groups[name] = {"master": draw(st.sampled_from(names))} if names and rarely(draw, 2) else {}
                names.append(name)
        if groups and rarely(draw, 20):  # a circle, or a master on another superblock
            first = next(iter(groups))
            groups[first]["master"] = draw(st.sampled_from(list(groups)))
        if self.host and rarely(draw, 3):
            name = draw(st.sampled_from(["g0", "outside"]))
            groups[name] = {"host": self.host + draw(st.sampled_from(["/shared", "/wide", "/slave", ""]))}
            for mount, superblock in zip(self.mounts, self.superblocks, strict=True):
                if superblock == "host" and "unbindable" not in mount and "peer_group" not in mount:
                    mount[draw(st.sampled_from(["master", "peer_group"]))] = name
                    if mount.get("peer_group") == name:
                        mount.pop("master", None)
        return groups


@st.composite
def specs(draw: DrawFn, host: str = "", inherit: str = "") -> Table:
    """A spec as a value: binds are of what is laid out at `host`, if that is given; see _Generator for `inherit`."""
    return _Generator(draw, host, inherit).spec()

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
# What a generated spec may take from the host: see HOST in tests/kernel/test_generated_builds.py.
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

    def __init__(self, draw: DrawFn, host: str, inherit: str, *, rich: bool) -> None:
        self.draw = draw
        self.host = host
        self.inherit = inherit
        self.rich = rich
        self.begin = 0  # where the namespace begins that is in the making
        self.mounts: list[Table] = []
        self.superblocks: list[str] = []
        self.roots: list[str] = []
        self.kinds: list[str] = []

    def spec(self) -> Table:
        spec: Table = {"format": 1}
        if self.rich and not self.inherit and rarely(self.draw, 3):
            spec["namespace"] = []
            for name in ("one", "two"):
                self.begin = len(self.mounts)
                self.add_mounts(5)
                spec["namespace"].append({"name": name, "mount": self.mounts[self.begin :]})
        else:
            self.add_mounts(9)
            spec["mount"] = self.mounts
        groups = self.groups()
        if groups:
            spec["peer_group"] = groups
        if self.inherit:
            spec["root"] = "inherit"
            spec["propagation"] = self.draw(st.sampled_from(["private", "slave"]))
        return spec

    def add_mounts(self, most: int) -> None:
        for _ in range(self.draw(st.integers(1, most))):
            self.mounts.append(self.mount(len(self.mounts)))

    def mount(self, number: int) -> Table:
        draw = self.draw
        if number == self.begin and not self.inherit:
            target = "/"
        elif rarely(draw, 4) and self.standing():
            target = draw(st.sampled_from(self.standing()))["target"]  # a stack
        else:
            target = self.inherit + draw(paths(0 if rarely(draw) else 1))
            target = target if len(target) == 1 else target.rstrip("/")
        mount: Table = {"id": f"m{number}", "target": target}
        choices = ["tmpfs", "tmpfs"]
        if number > self.begin:
            choices += ["bind", "bind", "recursive"]
        if self.rich:
            choices += ["overlay", "proc"]
        if self.host:
            choices += ["host", "host", "host file", "host recursive"]
        what = draw(st.sampled_from(choices))
        if (number == self.begin and what in ("host file", "proc")) or (what == "overlay" and not self.makers()):
            what = "tmpfs"
        if what == "tmpfs":
            self.tmpfs(number, mount)
        elif what == "overlay":
            self.overlay(number, mount)
        elif what == "proc":
            mount |= {"type": "proc", "source": f"proc{number}"}
            self.remember(mount["source"], "/", "directory")
        elif what in ("bind", "recursive"):
            self.bind(mount, recursive=what == "recursive")
        else:
            self.host_bind(mount, what)
        mount["attributes"] = draw(attribute_lists())
        if self.rich:
            self.enrich(mount)
        if what == "tmpfs" and number > self.begin and rarely(draw):
            return {key: mount[key] for key in mount if key not in ("target", "attributes", "mask", "idmap")}
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
        """The mounts of the namespace in the making that others can be mounted on."""
        return [mount for mount in self.mounts[self.begin :] if "target" in mount]

    def makers(self) -> list[Table]:
        return [mount for mount in self.mounts if mount.get("type") == "tmpfs"]

    def remember(self, superblock: str, root: str, kind: str) -> None:
        self.superblocks.append(superblock)
        self.roots.append(root)
        self.kinds.append(kind)

    def declare(self, maker: Table, path: str, entry: Table) -> Table:
        """What is declared at `path` of a filesystem: `entry`, or what was there before."""
        files = maker.setdefault("file", [])
        known = next((one for one in files if one["path"] == path), None)
        if known is None:
            known = {"path": path, **entry}
            files.append(known)
        return known

    def overlay(self, number: int, mount: Table) -> None:
        draw = self.draw
        layers = []
        upper = rarely(draw, 2)
        for _ in range(2 - upper if not rarely(draw) else 3):
            maker = draw(st.sampled_from(self.makers()))
            path = draw(paths(1, 2))
            self.declare(maker, path, {"directory": True})
            layers.append({"mount": maker["id"], "path": path})
        mount |= {"type": "overlay", "source": f"overlay{number}", "layers": layers}
        if upper:
            maker = draw(st.sampled_from(self.makers()))
            mount["upper"] = {"mount": maker["id"], "path": f"/upper{number}"}
        self.remember(mount["source"], "/", "directory")

    def enrich(self, mount: Table) -> None:
        """Masks, symlinks and id-mappings."""
        draw = self.draw
        if rarely(draw, 6) and self.superblocks[-1].startswith("fs"):
            patterns = st.sampled_from(["a", "b", "a/b", "*", "*/*", "[ab]"])
            mount["mask"] = [{"path": path, "optional": True} for path in draw(st.lists(patterns, max_size=2))]
        if rarely(draw, 6) and mount.get("type") == "tmpfs":
            mount["idmap"] = {"uids": [[0, 1000, 5]], "gids": [[0, 1000, 5]]}
        if rarely(draw, 4) and self.makers():
            link = draw(st.sampled_from(["a", "/b", "../c", "b/c", "link"]))
            self.declare(draw(st.sampled_from(self.makers())), "/link", {"symlink": link})
        if rarely(draw, 4) and mount["target"] != "/":
            mount["on_symlink"] = "follow"
            mount["target"] = draw(st.sampled_from(["/link", "/a/link", mount["target"]])) + draw(paths(1, 1))

    def tmpfs(self, number: int, mount: Table) -> None:
        mount |= {"type": "tmpfs", "source": f"fs{number}"}
        if rarely(self.draw, 6):
            mount["options"] = self.draw(
                st.sampled_from([{"size": "64k"}, {"mode": "0711"}, {"ro": True}, {"nr_inodes": "50"}, {"size": "50%"}])
            )
        self.remember(mount["source"], "/", "directory")

    def bind(self, mount: Table, *, recursive: bool) -> None:
        draw = self.draw
        at = draw(st.integers(0, len(self.mounts) - 1))
        source = self.mounts[at]
        path = draw(paths(0, 2)) if self.superblocks[at][:2] in ("fs", "ho") else "/"  # the others' insides are unknown
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
            known = self.declare(maker, root, {"content": "x"} if rarely(draw, 4) else {"directory": True})
            kind = "directory" if "directory" in known else "file"
        self.remember(self.superblocks[at], root, kind)

    def host_bind(self, mount: Table, what: str) -> None:
        path = self.draw(st.sampled_from(HOST_FILES if what == "host file" else HOST_DIRECTORIES))
        mount["bind"] = self.host + path
        if what == "host recursive":
            mount["recursive"] = True
        elif not rarely(self.draw, 4):
            mount["recursive"] = False
        self.remember("host", path, "file" if what == "host file" else "directory")

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
def specs(draw: DrawFn, host: str = "", inherit: str = "", *, rich: bool = False) -> Table:
    """A spec as a value: binds are of what is laid out at `host`, if that is given; see _Generator for `inherit`.

    The `rich` have overlays, proc, masks, id-mappings, symlinks, and sometimes two namespaces.
    """
    return _Generator(draw, host, inherit, rich=rich).spec()

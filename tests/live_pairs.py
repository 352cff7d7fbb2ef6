"""Pairs of specs that differ by a few edits: what a tree that stands is changed from, and into.

The first is one of tests/valid_specs.py; the second is the same after 1 to 10 edits of every kind.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from mountplan.planner.attributes import contradiction

Table = dict[str, Any]
_ATTRIBUTES = ("ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "strictatime", "nodiratime")


def mutated(value: Table, seed: int) -> Table:
    """The spec after some edits. It need not be one that can be planned: then the caller takes another."""
    edits = _Edits(copy.deepcopy(value), random.Random(f"live {seed}"))
    for _ in range(edits.random.randint(1, 10)):
        edits.once()
    return edits.value


def _source(table: Table) -> str:
    """The id of the mount that a bind is of, "" for what is no such bind."""
    bind = table.get("bind")
    return str(bind.get("mount", "")) if isinstance(bind, dict) else ""


class _Edits:
    def __init__(self, value: Table, source: random.Random) -> None:
        self.value = value
        self.random = source
        self.count = 0

    def spaces(self) -> list[list[Table]]:
        spaces: list[list[Table]] = [one["mount"] for one in self.value.get("namespace", [self.value])]
        return spaces

    def tables(self) -> list[Table]:
        return [table for space in self.spaces() for table in space]

    def pick(self) -> Table:
        """Any but what is bound from the host, if it is there."""
        return self.random.choice([one for one in self.tables() if not isinstance(one.get("bind"), str)])

    def once(self) -> None:
        kinds = (self.add, self.remove, self.attributes, self.replace, self.option, self.file, self.sharing,
                 self.unbindable, self.root)  # fmt: skip
        self.random.choice(kinds)()

    def new_id(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def add(self) -> None:
        space = self.random.choice(self.spaces())
        target = "/" + "/".join(self.random.choices("abcdef", k=self.random.randint(1, 2)))
        procs = [one["target"] for one in space if one.get("type") == "proc" and "target" in one]
        if any(f"{target}/".startswith(f"{one}/") for one in procs):
            return  # nothing can be made there to mount it upon
        table: Table = {"id": self.new_id(), "target": target}
        if self.random.random() < 0.5:
            table |= {"type": "tmpfs", "source": table["id"]}
        else:
            sources = [one for one in space if one.get("type") == "tmpfs" and not one.get("unbindable")]
            if not sources:
                return
            table["bind"] = {"mount": self.random.choice(sources)["id"], "path": "/", "hidden": True}
        space.append(table)

    def remove(self) -> None:
        table = self.pick()
        used = {_source(one) for one in self.tables()}
        used |= {one["parent"] for one in self.tables() if "parent" in one}
        if table.get("target") == "/" or table["id"] in used:
            return
        for space in self.spaces():
            if table in space:
                space.remove(table)
        self._drop_lonely()

    def attributes(self) -> None:
        table = self.pick()
        words = set(table.get("attributes", ())) ^ {self.random.choice(_ATTRIBUTES)}
        if contradiction(tuple(words)) or "target" not in table:
            return
        table["attributes"] = sorted(words)
        if not words:
            del table["attributes"]

    def replace(self) -> None:
        table = self.pick()
        if table.get("type") in ("tmpfs", "ramfs") and table.get("target") != "/":
            table["source"] = self.new_id()

    def option(self) -> None:
        table = self.pick()
        if table.get("type") == "tmpfs":
            table.setdefault("options", {})["size"] = self.random.choice(("4m", "8m"))

    def file(self) -> None:
        table = self.pick()
        if table.get("type") in ("tmpfs", "ramfs"):
            entries = table.setdefault("file", [])
            texts = [one for one in entries if "content" in one]
            if texts and self.random.random() < 0.5:
                self.random.choice(texts)["content"] = self.new_id()
            else:
                entries.append({"path": self.new_id(), "content": "x"})

    def sharing(self) -> None:
        table = self.pick()
        groups = self.value.setdefault("peer_group", {})
        if "target" not in table or table.get("unbindable") or table.get("type") == "proc":
            return
        for key in ("peer_group", "master"):
            table.pop(key, None)
        what = self.random.choice(("private", "new", "member", "slave"))
        mine = [name for name in groups if self._superblocks(name) <= {self._superblock(table)}]
        mine = [name for name in mine if any(one.get("peer_group") == name for one in self.tables())]
        if what == "new":
            name = f"h{self.new_id()}"
            groups[name] = {}
            table["peer_group"] = name
        elif what != "private" and mine:
            table["peer_group" if what == "member" else "master"] = self.random.choice(mine)
        self._drop_lonely()

    def _drop_lonely(self) -> None:
        """Groups that nobody is in: a tree that stands cannot be given any."""
        groups = self.value.get("peer_group", {})
        members = {one.get("peer_group") for one in self.tables()}
        for table in self.tables():
            if table.get("master") and table["master"] not in members:
                del table["master"]
        for group in groups.values():
            if group.get("master") and group["master"] not in members:
                del group["master"]
        self._forget_unused()

    def _forget_unused(self) -> None:
        groups = self.value.get("peer_group", {})
        while True:
            used = {one.get(key) for one in self.tables() for key in ("peer_group", "master")}
            used |= {group.get("master") for group in groups.values()}
            unused = [name for name in groups if name not in used]
            if not unused:
                break
            for name in unused:
                del groups[name]
        if not groups:
            self.value.pop("peer_group", None)

    def _superblock(self, table: Table) -> str:
        while source := _source(table):
            table = next(one for one in self.tables() if one["id"] == source)
        return str(table["id"])

    def _superblocks(self, group: str) -> set[str]:
        return {self._superblock(one) for one in self.tables() if group in (one.get("peer_group"), one.get("master"))}

    def unbindable(self) -> None:
        table = self.pick()
        used = {_source(one) for one in self.tables()}
        if "target" in table and not {"peer_group", "master"} & table.keys() and table["id"] not in used:
            table["unbindable"] = not table.get("unbindable", False)

    def root(self) -> None:
        """Another directory of the filesystem that a bind is of."""
        table = self.pick()
        if not _source(table) or table.get("recursive"):
            return
        maker = next(one for one in self.tables() if one["id"] == self._superblock(table))
        if table["bind"]["mount"] != maker["id"] or maker.get("type") == "proc":
            return
        entries = maker.setdefault("file", [])
        before: Table = next((one for one in entries if f"/{one['path']}" == table["bind"]["path"]), {})
        entry = {"path": self.new_id()} | ({"content": "another"} if "content" in before else {"directory": True})
        entries.append(entry)
        table["bind"]["path"] = f"/{entry['path']}"

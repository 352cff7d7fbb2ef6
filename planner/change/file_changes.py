"""What is to be written into filesystems that stand: mountpoints, and files that the spec has changed."""

from __future__ import annotations

from collections.abc import Iterator

from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_plan import ChangeLine, ChangeObstacle, Sign
from mountplan.planner.change.new_parts import NewParts, NoSource
from mountplan.planner.change.paired_space import PairedSpace, seen_at
from mountplan.planner.change.parts import Node, Parts, PlannedFilesystem, is_declared, what_it_is
from mountplan.planner.change.same_superblock import Superblocks
from mountplan.planner.change.standing import Record
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s

_WHY = {
    "file": "the spec has other contents, mode or owner",
    "directory": "the spec has another mode or owner",
    "symlink": "the spec has it point elsewhere, or another owner",
}
_DEFAULT_MODES = {"directory": 0o755, "symlink": -1}


class FileChanges:
    """`changes` are lines of the preview; the steps are handed to `new`."""

    def __init__(
        self, parts: Parts, record: Record | None, superblocks: Superblocks, new: NewParts,
        spaces: tuple[PairedSpace, ...],
    ) -> None:  # fmt: skip
        self._new = new
        self._filesystems = parts.filesystems
        self._spaces = spaces
        self._devices = superblocks.devices
        self._seen = record.files if record else {}
        self._occupied = record.occupied if record else {}
        self.changes: list[ChangeLine] = []
        self.asides: list[str] = []
        self.obstacles: list[ChangeObstacle] = []
        made = Parts(record.plan).filesystems if record else {}
        begun = Parts(record.begun).filesystems if record and record.begun else {}
        self._begun = {  # files that an interrupted change may have written
            (name, node.path): node for name, one in begun.items() for node in one.nodes
        }
        owner = {device: name for name, device in record.devices.items()} if record else {}
        for name, device in superblocks.devices.items():
            now = parts.filesystems[name]
            earlier = made[owner[device]] if device in owner else None
            try:
                self._compare(name, owner.get(device, ""), earlier, now)
            except NoSource as error:
                self.obstacles.append(error.obstacle)

    def _compare(self, name: Handle, owner: Handle, earlier: PlannedFilesystem | None, now: PlannedFilesystem) -> None:
        before = {node.path: node for node in earlier.nodes} if earlier else {}
        if earlier is None and any(is_declared(node) for node in now.nodes):
            where, _ = self._place(name)
            self.asides.append(f"{where}: its files were not compared: no record tells what they were")
        for node in now.nodes if earlier is not None else ():
            old = before.get(node.path)
            if old is None:
                if is_declared(node):
                    self._add(name, node, self._occupied.get((owner, node.path), ""))
            elif what_it_is(old) != what_it_is(node) or self._may_be_other(name, node):
                self._change(name, node, old)
            elif seen := self._seen.get((owner, node.path)):
                where, _ = self._place(name, f"/{node.path}")
                self.asides.append(f"{where} {seen}; it stays as it is")
        paths = {node.path for node in now.nodes}
        for path, node in before.items():
            if path not in paths and earlier is not None and is_declared(node):
                where, _ = self._place(name, f"/{path}")
                self.asides.append(f"{where} stays, though the spec does not have it any more")
        for (filesystem, path), node in self._begun.items():
            if filesystem == name and path not in paths and path not in before and is_declared(node):
                where, _ = self._place(name, f"/{path}")
                self.asides.append(f"{where} stays, if the interrupted change has made it")

    def _may_be_other(self, name: Handle, node: Node) -> bool:
        begun = self._begun.get((name, node.path))
        return begun is not None and what_it_is(begun) != what_it_is(node)

    def _add(self, name: Handle, node: Node, other: str) -> None:
        """What is declared anew, and must not be there yet, unless an interrupted change has made it; `other` says what
        is there instead.
        """
        begun = (name, node.path) in self._begun
        if other and not begun:
            where, _ = self._place(name, f"/{node.path}")
            what = f"{where} is there already, from a program inside or an earlier spec, and {other}"
            self.obstacles.append(ChangeObstacle("file", what, "remove it inside, or declare it as it is", node.origin))
            return
        self._new.make_node(name, node, existing=begun)
        if begun:
            self._write(name, node)
        self._tell("+", name, node, "the spec has it")

    def _change(self, name: Handle, node: Node, old: Node) -> None:
        where, _ = self._place(name, f"/{node.path}")
        what = ""
        if node.node != old.node and "directory" in (node.node, old.node):
            what = f"{where} is a {old.node}, and would have to become a {node.node}"
        elif node.node not in ("file", "directory") and self._is_mounted(self._devices[name], f"/{node.path}"):
            what = f"{where} would have to become another {node.node}, and something is mounted there"
        if what:
            self.obstacles.append(ChangeObstacle("file", what, "change it inside, or leave it", node.origin))
            return
        self._write(name, self._with_defaults(name, node, old))
        self._tell("~", name, node, _WHY.get(node.node, _WHY["file"]))

    def _with_defaults(self, name: Handle, node: Node, old: Node) -> Node:
        """With the mode and the owner that it is made with, where those were given and are not any more."""
        earlier = (old, self._begun.get((name, node.path), old))

        def default(now: int, before: list[int], made: int) -> int:
            return made if now < 0 <= max(before) else now

        return node._replace(
            mode=default(node.mode, [one.mode for one in earlier], _DEFAULT_MODES.get(node.node, 0o644)),
            uid=default(node.uid, [one.uid for one in earlier], 0),
            gid=default(node.gid, [one.gid for one in earlier], 0),
        )

    def _write(self, name: Handle, node: Node) -> None:
        take, path = self._new.take(name, f"/{node.path}", node.origin)
        in_place = not path or node.node == "directory" or self._is_mounted(self._devices[name], f"/{node.path}")
        if node.node == "file":
            in_place = in_place or any(TargetPath(f"/{node.path}").is_under(one) for one in self._layers(name))
        self._new.do(c.WriteFile(take, path, *node[2:10], in_place, node.origin))

    def _layers(self, name: Handle) -> Iterator[TargetPath]:
        """Of overlays: they go on showing the file that they once looked up."""
        for other in self._filesystems.values():
            if isinstance(other.creation, s.MakeOverlay):
                yield from other.paths_in(name)

    def _is_mounted(self, device: str, path: str) -> bool:
        """Whether a file is the root of a mount, or will be, or something is mounted upon it: no rename then."""
        for space in self._spaces:
            wanted, rows = space.wanted.rows, space.found.rows
            if any(row.root == path and self._devices.get(row.device[1:]) == device for row in wanted):
                return True
            if any(row.root == path and row.device == device for row in rows):
                return True
            pairs = zip(map(TargetPath, (row.mountpoint for row in rows)), space.found.parents, strict=True)
            upon = ((there, rows[parent]) for there, parent in pairs if parent >= 0 and rows[parent].device == device)
            ways = ((there, above) for there, above in upon if there.is_under(above.mountpoint))
            if any(path == TargetPath(one.root).joined(there.relative_to(one.mountpoint)) for there, one in ways):
                return True
        return False

    def _tell(self, sign: Sign, name: Handle, node: Node, why: str) -> None:
        mount, namespace = self._place(name, f"/{node.path}")
        self.changes.append(ChangeLine(sign, namespace, mount, "", node.node, why, node.origin))

    def _place(self, name: Handle, path: str = "/") -> tuple[str, str]:
        return seen_at(self._spaces, self._devices[name], path)

"""What will be inside a filesystem that the spec makes: declared files, the directories above them, mountpoints."""

from __future__ import annotations

import fnmatch

from mountplan.planner.fstypes import where
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.topology import Inside, ResolvedNode

# Those that take any file.
FILLABLE = where(takes_files=True)


class Contents:
    """The nodes of one filesystem, by path; a parent always comes before what is in it."""

    __slots__ = ("inside", "nodes", "_links")

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.nodes: dict[str, ResolvedNode] = {}
        self._links = False

    def kind(self, path: str) -> NodeKind | None:
        """The kind of what is known to be at `path`, or None."""
        if path == "/":
            return "directory"
        node = self.nodes.get(path)
        return node.kind if node else None

    def add(self, node: ResolvedNode) -> str:
        """Put `node` in, with the directories above it. Returns what is wrong, "" if nothing is."""
        if node.path == "/":
            return "" if node.kind == "directory" else "is the root of the filesystem, which is a directory"
        before = self.nodes.get(node.path)
        if before is not None:
            if before.declared and node.declared:
                return f"is declared twice (also at {before.origin})"
            if before.kind != node.kind:
                return f"has to be a {node.kind}, but {before.origin} makes it a {before.kind}"
            if node.declared:
                self.nodes[node.path] = node
            return ""
        missing = []
        above = node.path.rpartition("/")[0]
        while above:
            there = self.nodes.get(above)
            if there is not None:
                if there.kind != "directory":
                    return f"lies below {above}, which {there.origin} makes a {there.kind}"
                break
            missing.append(TargetPath(above))
            above = above.rpartition("/")[0]
        for path in reversed(missing):
            self.nodes[path] = ResolvedNode(path=path, kind="directory", declared=False, origin=node.origin)
        self.nodes[node.path] = node
        self._links = self._links or node.kind == "symlink"
        return ""

    def require(self, path: TargetPath, kind: NodeKind, origin: str) -> str:
        """Have something made that no [[mount.file]] declares; as add()."""
        return self.add(ResolvedNode(path=path, kind=kind, declared=False, origin=origin))

    def first_link(self, path: TargetPath) -> ResolvedNode | None:
        """The first symlink that a walk to `path` meets, counting its last component."""
        if not self._links:
            return None
        for step in (*reversed(tuple(path.ancestors())), path):
            node = self.nodes.get(step)
            if node is not None and node.kind == "symlink":
                return node
        return None

    def glob(self, root: TargetPath, pattern: str) -> list[TargetPath]:
        """The known paths below `root` that match `pattern`, component by component."""
        wanted = TargetPath(pattern).parts
        found = []
        for path in self.nodes:
            here = TargetPath(path)
            if here == root or not here.is_under(root):
                continue
            parts = TargetPath("/" + here.relative_to(root)).parts
            if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
                found.append(TargetPath("/" + "/".join(parts)))
        return sorted(found)

    def result(self) -> tuple[ResolvedNode, ...]:
        return tuple(self.nodes.values())

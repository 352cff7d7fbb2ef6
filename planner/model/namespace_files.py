"""The files of namespaces (nsfs): which mount namespace each of them stands for, and so keeps (fs/nsfs.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mountplan.planner.attributes import STRICTATIME
from mountplan.planner.model.objects import (
    ModelHandle,
    ModelMount,
    ModelNamespace,
    ModelNode,
    Place,
    Process,
    Superblock,
)
from mountplan.planner.tables.namespace_file import UNKNOWN_NUMBER


class NamespaceFiles:
    """Those of one World, whose mount namespaces are `all`, the oldest first."""

    def __init__(self, all_namespaces: list[ModelNamespace]) -> None:
        self.all = all_namespaces
        self.namespaces: dict[ModelNode, ModelNamespace] = {}
        self._places: dict[str, Place] = {}

    def place(self, kind: str, namespace: ModelNamespace, nsfs: Callable[[], Superblock], number: int) -> Place:
        """Where a walk to /proc/PID/ns/KIND ends; `namespace` is the mount namespace of that process.

        That is the kernel's own mount of the file, which is in no namespace, and all others are made from.
        """
        name = next((node.name for node, one in self.namespaces.items() if one is namespace), "")
        if kind != "mnt":
            name = f"{kind}:{UNKNOWN_NUMBER}"
        name = name or f"mnt:[{len(self._places) + 1}]"
        if name not in self._places:
            mount = ModelMount(number, nsfs().make(f"/{name}", directory=False), "nsfs")
            mount.attributes = STRICTATIME
            self._places[name] = mount, mount.root
            if kind == "mnt":
                self.namespaces[mount.root] = namespace
        return self._places[name]

    def loops(self, caller: ModelNamespace, node: ModelNode) -> bool:
        """Whether the caller's namespace would keep itself by the file: it is no older than the other (mnt_ns_loop)."""
        namespace = self.namespaces.get(node)
        if namespace is None or namespace not in self.all:
            return False
        return self.all.index(caller) >= self.all.index(namespace)

    def unheld(self, processes: Iterable[Process], handles: Iterable[ModelHandle]) -> ModelNamespace | None:
        """A namespace that had a file, and that neither a process nor a mount of the file or a descriptor holds."""
        held = {process.namespace for process in processes}
        left = {node: one for node, one in self.namespaces.items() if one not in held and one in self.all}
        if not left:
            return None
        nodes = {handle.place[1] for handle in handles}
        for one in (*self.all, *(handle.place[0].namespace for handle in handles)):
            mounts = one.mounts if one is not None else ()
            nodes |= {mount.root for mount in mounts if mount.superblock.namespace_files}
        return next((one for node, one in left.items() if node not in nodes), None)

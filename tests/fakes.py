"""A host made of dictionaries, and a kernel that only keeps books: for what the real ones do not show on demand."""

from __future__ import annotations

import errno as E
import fnmatch
import os
from collections.abc import Mapping
from typing import cast

from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.host import (
    BLOCK,
    IN_A_FILE,
    MOUNT_MAX,
    SURELY_TAKEN,
    HostEntry,
    HostPath,
    NotThere,
    Partition,
    showing,
)
from mountplan.planner.language.outside import Whereabouts
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.plan.steps import MakeNode
from mountplan.planner.tables.instances import shown
from mountplan.planner.tables.namespace_file import file_row
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

Options = tuple[tuple[str, str | bool], ...]
Lines = tuple[tuple[int, int, int], ...]


def host_mount(
    number: int,
    parent: int,
    mountpoint: str,
    *,
    device: str = "",
    root: str = "/",
    shared: int = 0,
    master: int = 0,
    unbindable: bool = False,
    attributes: str = "rw,relatime",
    fstype: str = "ext4",
    options: str = "rw",
) -> MountRow:
    return MountRow(
        number,
        parent,
        device or f"8:{number}",
        root,
        mountpoint,
        attributes,
        shared,
        master,
        0,
        unbindable,
        fstype,
        fstype,
        options,
    )


class NoHost:
    """A host of which nothing may be asked: for specs that name no host path, and to prove that they need none."""

    @property
    def table(self) -> MountTable:
        return MountTable(())

    @property
    def inherited(self) -> MountTable:
        return MountTable(())

    def end_of(self, path: str) -> MountRow:
        raise LookupError("host paths are not looked up here")

    def showing(self, device: str, path: str) -> tuple[MountRow, ...]:
        return ()

    def of_type(self, fstype: str) -> tuple[MountRow, ...]:
        return ()

    @property
    def mount_max(self) -> int:
        return MOUNT_MAX

    @property
    def argument_max(self) -> int:
        return SURELY_TAKEN

    def knows_filesystem(self, fstype: str) -> bool | None:
        return None

    def refused_option(self, fstype: str, name: str, value: str | bool) -> str:
        return ""

    def look(self, path: str) -> HostPath:
        raise LookupError("host paths are not looked up here")

    def namespace_file(self, path: str) -> HostPath:
        raise LookupError("host paths are not looked up here")

    def identity(self, path: str) -> str:
        return ""

    def partitions(self, path: str) -> tuple[Partition, ...]:
        raise LookupError("host paths are not looked up here")

    def size(self, path: str) -> int | None:
        return None

    def beginning(self, path: str, offset: int) -> bytes | None:
        return None

    def link(self, path: str) -> str | None:
        return None

    def under(self, base: str, place: str) -> HostEntry | None:
        return None

    def instance(self, fstype: str) -> str | None:
        return None

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        raise LookupError("host paths are not looked up here")


class FakeHost:
    """planner/host.py's Host: `paths` maps what exists to its kind, or to "-> TARGET" for a symlink."""

    def __init__(
        self,
        paths: Mapping[str, str] | None = None,
        mounts: tuple[MountRow, ...] = (),
        *,
        shared: int = 0,
        master: int = 0,
    ) -> None:
        self._table = MountTable((host_mount(1, 0, "/", shared=shared, master=master), *mounts))
        self._walks = Walks(self._table)
        self.unknown_filesystems: frozenset[str] = frozenset()
        self.refused_options: dict[str, str] = {}  # name -> what the filesystem says
        self.namespaces: dict[str, str] = {}  # path of a namespace's file -> which one it is
        self._paths = {"/": "directory", **{row.mountpoint: "directory" for row in mounts}, **(paths or {})}
        for path in tuple(self._paths):
            for above in TargetPath(path).ancestors():
                self._paths.setdefault(above, "directory")

    @property
    def table(self) -> MountTable:
        return self._table

    @property
    def inherited(self) -> MountTable:
        return copied(self._table)

    def end_of(self, path: str) -> MountRow:
        return self._walks.end_of(path)

    def showing(self, device: str, path: str) -> tuple[MountRow, ...]:
        return showing(self._table, device, path)

    def of_type(self, fstype: str) -> tuple[MountRow, ...]:
        return tuple(row for row in self._table.rows if row.fstype == fstype)

    @property
    def mount_max(self) -> int:
        return 100_000

    @property
    def argument_max(self) -> int:
        return SURELY_TAKEN

    def knows_filesystem(self, fstype: str) -> bool | None:
        return fstype not in self.unknown_filesystems

    def refused_option(self, fstype: str, name: str, value: str | bool) -> str:
        return self.refused_options.get(name, "")

    def look(self, path: str) -> HostPath:
        canonical = self._canonical(path if path.startswith("/") else f"/{path}")  # it is started from "/"
        kind = self._paths.get(canonical)
        if kind is None:
            above = map(self._paths.get, TargetPath(canonical).ancestors())
            raise NotThere(IN_A_FILE if "file" in above else "no such file or directory")
        return HostPath(canonical, cast(NodeKind, kind), self._walks.end_of(canonical))

    def namespace_file(self, path: str) -> HostPath:
        if path in self.namespaces:
            return HostPath(path, "file", file_row(self.namespaces[path]), self.namespaces[path])
        raise LookupError("is no file of a namespace") if path in self._paths else NotThere("no such file or directory")

    def identity(self, path: str) -> str:
        """No two of its paths are one file."""
        kind = self._paths.get(path, "")
        return f"{BLOCK}{path}" if kind == "block" else path if kind else ""

    def partitions(self, path: str) -> tuple[Partition, ...]:
        raise LookupError("there is no partition table in it")

    def size(self, path: str) -> int | None:
        return None

    def beginning(self, path: str, offset: int) -> bytes | None:
        return None

    def link(self, path: str) -> str | None:
        kind = self._paths.get(path, "")
        return kind[3:] if kind.startswith("-> ") else None

    def under(self, base: str, place: str) -> HostEntry | None:
        """Its mounts cover nothing."""
        kind = self._paths.get(TargetPath(base).joined(place))
        if kind is None:
            raise NotThere("no such file or directory")
        return HostEntry("symlink", kind[3:]) if kind.startswith("-> ") else HostEntry(cast(NodeKind, kind))

    def instance(self, fstype: str) -> str | None:
        return shown(self._table.rows, fstype)

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        wanted = TargetPath.parse(f"/{pattern.lstrip('/')}").parts
        found = []
        for path in map(TargetPath, self._paths):
            if path != base and path.is_under(base):
                parts = path.relative_to(base).split("/")
                if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
                    found.append("/".join(parts))
        return tuple(sorted(found))

    def _canonical(self, path: str) -> TargetPath:
        here = ROOT
        todo = list(reversed(TargetPath.parse(path).parts))
        for _ in range(200):
            if not todo:
                return here
            part = todo.pop()
            if part == "..":
                here = next(here.ancestors(), ROOT)
                continue
            link = self.link(here.joined(part))
            if link is None:
                here = here.joined(part)
            else:
                todo += [one for one in reversed(link.split("/")) if one not in ("", ".")]
                here = ROOT if link.startswith("/") else here
        raise LookupError("too many levels of symbolic links")


class FakeKernel:
    """applier/sys/kernel_port.py's Kernel, obeying it: it hands out numbers for descriptors and knows which are open.

    `calls` are the verbs in order. Call number `refuse_at` (from 0), or the verb `refuse`, is answered with `errno`.
    A descriptor that is used but not open, or closed twice, is an AssertionError.
    """

    def __init__(
        self, *, refuse_at: int = -1, refuse: str = "", errno: int = E.EIO, files: tuple[str, ...] = ()
    ) -> None:
        self.calls: list[str] = []
        self.open_descriptors: dict[int, str] = {}
        self.most_open = 0
        self._refuse_at = refuse_at
        self._refuse = refuse
        self._errno = errno
        self._files = files  # names of descriptors that stand for files
        self._next = 100

    def _call(self, verb: str, *details: object, fds: tuple[int, ...] = ()) -> None:
        for fd in fds:
            assert fd in self.open_descriptors or fd == -100, f"{verb} uses descriptor {fd}, which is not open"
        self.calls.append(" ".join((verb, *map(str, details))))
        if len(self.calls) - 1 == self._refuse_at or verb == self._refuse:
            raise KernelRefusal(self._errno, verb)

    def _opened(self, what: str) -> int:
        self._next += 1
        self.open_descriptors[self._next] = what
        self.most_open = max(self.most_open, len(self.open_descriptors))
        return self._next

    def _named(self, fd: int) -> str:
        return self.open_descriptors.get(fd, "cwd")

    def makes_rows(self) -> bool:
        return False

    def unshare_mounts(self) -> None:
        self._call("unshare_mounts")

    def make_private(self) -> bool:
        self._call("make_private")
        return False

    def host_root(self) -> int:
        self._call("host_root")
        return self._opened("host")

    def clone(self, dirfd: int, path: str) -> int:
        self._call("clone", self._named(dirfd), path, fds=(dirfd,))
        return self._opened(f"clone of {os.path.join(self._named(dirfd), path)}")

    def clone_entry(self, dirfd: int, name: str) -> tuple[int, bool]:
        self._call("clone_entry", self._named(dirfd), name, fds=(dirfd,))
        path = os.path.join(self._named(dirfd), name)
        return self._opened(f"clone of {path}"), not any(path.endswith(one) for one in self._files)

    def clone_tree(self, dirfd: int) -> int:
        self._call("clone_tree", self._named(dirfd), fds=(dirfd,))
        return self._opened(f"tree of {self._named(dirfd)}")

    def open(self, dirfd: int, path: str, *, careful: bool = True, tree: bool = False) -> int:
        self._call("open", self._named(dirfd), path, fds=(dirfd,))
        return self._opened(f"{self._named(dirfd)}/{path}")

    def open_namespace_file(self, path: str, identity: str) -> int:
        self._call("open_namespace_file", path)
        return self._opened(f"namespace {path}")

    present = False

    def new_filesystem(self, fstype: str, source: str, options: Options) -> int:
        self._call("new_filesystem", fstype, source)
        return self._opened(f"new {fstype} {source}")

    def new_image(self, fstype: str, image: int, options: Options, part: tuple[int, int], *, read_only: bool) -> int:
        self._call("new_image", fstype, fds=(image,))
        return self._opened(f"image {fstype}")

    def new_overlay(self, source: str, options: Options) -> int:
        self._call("new_overlay", source)
        return self._opened("overlay context")

    def add_layer(self, overlay: int, key: str, directory: int, name: str, userns: int = -1) -> None:
        self._call("add_layer", key, self._named(directory), fds=(overlay, directory))

    def mount_overlay(self, overlay: int) -> int:
        self._call("mount_overlay", fds=(overlay,))
        return self._opened("overlay")

    def make_read_only(self, mount: int) -> None:
        self._call("make_read_only", self._named(mount), fds=(mount,))

    def set_attributes(
        self,
        mount: int,
        *,
        set: int = 0,
        clear: int = 0,
        propagation: int = 0,
        userns: int = 0,
        recursive: bool = False,
    ) -> None:
        self._call("set_attributes", self._named(mount), fds=(mount, *((userns,) if userns else ())))

    def id_mapping(self, uids: Lines, gids: Lines) -> int:
        self._call("id_mapping")
        return self._opened("id mapping")

    def user_namespace(self, uids: Lines, gids: Lines, within: int) -> int:
        self._call("user_namespace", fds=() if within < 0 else (within,))
        return self._opened("user namespace")

    def own_namespace(self, user: int) -> None:
        self._call("own_namespace", self._named(user), fds=(user,))

    def attach(self, mount: int, dirfd: int, path: str) -> None:
        self._call("attach", self._named(mount), "->", self._named(dirfd), path, fds=(mount, dirfd))

    def join(self, seed: int, mount: int) -> None:
        self._call("join", self._named(seed), self._named(mount), fds=(seed, mount))

    def make_directory(self, dirfd: int, path: str) -> None:
        self._call("make_directory", self._named(dirfd), path, fds=(dirfd,))

    def make_node(self, dirfd: int, path: str, node: MakeNode, source: int) -> None:
        self._call("make_node", self._named(dirfd), path, fds=(dirfd, *((source,) if source >= 0 else ())))

    def copy_tree(self, source: int, target: int) -> None:
        self._call("copy_tree", self._named(source), "->", self._named(target), fds=(source, target))

    def device(self, fd: int) -> int:
        self._call("device", self._named(fd), fds=(fd,))
        return 42

    def is_directory(self, fd: int) -> bool:
        self._call("is_directory", self._named(fd), fds=(fd,))
        return not any(name in self._named(fd) for name in self._files)

    def check_subvolume(self, fd: int) -> None:
        self._call("check_subvolume", self._named(fd), fds=(fd,))

    def open_file(self, fd: int) -> int:
        self._call("open_file", self._named(fd), fds=(fd,))
        return self._opened(f"file {self._named(fd)}")

    def unmount(self, root: int, path: str, *, recursive: bool) -> None:
        self._call("unmount", path, fds=(root,))

    def tree_of(self, mount: int) -> MountTable:
        self._call("tree_of", self._named(mount), fds=(mount,))
        return MountTable((host_mount(1, 0, "/"),))

    def enter_root(self, base: int, root: int, top: int) -> None:
        self._call("enter_root", fds=(base, root, top))

    def lay_bare(self, dirfd: int, path: str, mount: int) -> None:
        self._call("lay_bare", self._named(dirfd), path, fds=(dirfd, mount))

    def remove(self, dirfd: int, path: str) -> None:
        self._call("remove", self._named(dirfd), path, fds=(dirfd,))

    def hold_namespace(self) -> int:
        self._call("hold_namespace")
        return self._opened("namespace")

    def return_to(self, namespace: int, root: int) -> None:
        self._call("return_to", fds=(namespace, root))

    def copy_namespace(self) -> None:
        self._call("copy_namespace")

    def open_yard(self) -> int:
        self._call("open_yard")
        return self._opened("yard")

    def lift_limit(self) -> None:
        self._call("lift_limit")

    def restore_limit(self) -> None:
        self._call("restore_limit")

    def finish_namespace(self, name: str) -> None:
        self._call("finish_namespace", name)

    def close(self, fd: int) -> None:
        assert fd in self.open_descriptors, f"descriptor {fd} is closed, and was not open"
        del self.open_descriptors[fd]


class FakeOutside:
    """planner/language/outside.py's Outside: `files` by their path, in which a link is "-> PATH"; and variables.

    `read` are the files whose text was asked for.
    """

    def __init__(self, files: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None) -> None:
        self._files = files or {}
        self._variables = variables or {}
        self.read: list[str] = []

    def variable(self, name: str) -> str | None:
        return self._variables.get(name)

    def whereabouts(self, file: str) -> Whereabouts:
        path = self._path(file)
        if path not in self._files:
            raise LookupError("no such file or directory")
        return Whereabouts(os.path.dirname(os.path.normpath(f"/cwd/{file}")), path)

    def text(self, file: str) -> bytes:
        self.read.append(file)
        return self._files[self._path(file)].encode()

    def _path(self, file: str) -> str:
        path = os.path.normpath(os.path.join("/cwd", file))
        while self._files.get(path, "").startswith("-> "):
            path = self._files[path][3:]
        return path

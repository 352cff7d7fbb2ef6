"""Tries what a user namespace may refuse, step by step, before anything is carried out.

The kernel is asked, never a table of versions: what a step does is done to something that is thrown away: a clone that
is attached nowhere, a filesystem that is mounted nowhere else. So this runs in the mount namespace of the build, right
after it was made, and all that is not allowed is known at once. The words for it are in notallowed.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.attributes import NAMES
from mountplan.planner.fstypes import of
from mountplan.planner.names import Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.inherited_tree import InheritedTree


def open_loop_control() -> None:
    os.close(os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))


class UsernsRefusal(NamedTuple):
    """Step `step` (from 0) would be refused: notallowed.py knows the words for `case`; `details` go into them."""

    step: int
    case: str
    number: int
    syscall: str
    details: tuple[str, ...]
    log: tuple[str, ...]


class _Refused(Exception):
    def __init__(self, case: str, error: OSError, *details: str) -> None:
        self.case = case
        self.error = error
        self.details = details


def try_out(steps: tuple[s.Step, ...], kernel: LinuxKernel) -> tuple[UsernsRefusal, ...]:
    """What would be refused of `steps`. This process must be in the mount namespace of the build, still as it began."""
    trial = _Trial(kernel)
    try:
        return tuple(trial.refusals(steps))
    finally:
        trial.close()


def ask_for(fstype: str) -> None:
    """Raise OSError if this user may not mount the type at all, where that is a user namespace.

    The kernel asks who may before it looks at options, and without any it gets no further than that. What a user
    namespace has one of is not asked for: it would get one by that, and keep it.
    """
    if of(fstype).instances == "user":
        return
    context = syscalls.fsopen(fstype.encode())
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
    finally:
        os.close(context)


class _Trial:
    """Each attempt is made once, however many steps are alike."""

    def __init__(self, kernel: LinuxKernel) -> None:
        self.kernel = kernel
        self.host = kernel.host_root()
        self.known: dict[tuple[Any, ...], _Refused | None] = {}
        self.clones: dict[Handle, tuple[str, bool]] = {}  # mounts of the host's: path, recursive
        self.fresh: dict[Handle, str] = {}  # mounts and workbenches of new filesystems: type
        self.maps: dict[Handle, int] = {}
        self.scratch = -1
        self.ungrouped: set[str] = set()  # paths on the host whose groups nothing can be put into
        self.unmakeable: set[str] = set()  # the parts of the spec for which a directory on the host cannot be made
        self.attempts: dict[type[Any], Callable[[Any], None]] = {
            s.MakeFilesystem: self.make_filesystem,
            s.MakeOverlay: self.make_overlay,
            s.AttachImage: self.attach_image,
            s.MakeNode: self.make_node,
            s.MakeIdMap: self.make_id_map,
            s.CloneHost: self.clone_host,
            s.CloneHostWorkbench: self.clone_host_workbench,
            s.TakeHostGroup: self.take_host_group,
            s.CloneMount: self.clone_mount,
            s.SetAttributes: self.set_attributes,
            s.RemoveMount: self.remove_mount,
            s.BindOver: self.bind_over,
            s.ChangeMounts: self.change_mounts,
        }

    def close(self) -> None:
        for fd in {self.host, self.scratch, *self.maps.values()} - {-1}:
            os.close(fd)

    def refusals(self, steps: tuple[s.Step, ...]) -> Iterator[UsernsRefusal]:
        for index, step in enumerate(steps):
            attempt = self.attempts.get(type(step))
            if attempt is None:
                continue
            try:
                attempt(step)
            except _Refused as refused:
                error = refused.error
                log = error.log if isinstance(error, KernelRefusal) else ()
                details = tuple(map(str, refused.details))  # some are paths, which marshal does not know
                yield UsernsRefusal(index, refused.case, error.errno or 0, getattr(error, "syscall", ""), details, log)

    def once(self, case: str, attempt: Callable[..., None], *arguments: Any, details: tuple[str, ...] = ()) -> None:
        """Make an attempt, unless it was made before; raise what became of it."""
        key = (case, attempt.__name__, *arguments)
        if key not in self.known:
            try:
                attempt(*arguments)
                self.known[key] = None
            except _Refused as told:
                self.known[key] = told
            except OSError as error:
                self.known[key] = _Refused(case, error, *details)
        refused = self.known[key]
        if refused is not None:
            raise refused

    # --- filesystems

    def make_filesystem(self, step: s.MakeFilesystem) -> None:
        self.fresh[step.mount or step.filesystem] = step.fstype
        if of(step.fstype).may_be_tried:
            self.once("filesystem", self._mount, step.fstype)
            for key, value in step.options:
                if key not in ("uid", "gid"):
                    self.once("option", syscalls.try_option, step.fstype, key, value, details=(key, str(value)))
            # The ids of owners are looked at when it is made.
            owners = [(key, value) for key, value in step.options if key in ("uid", "gid")]
            words = [f"{key} = {value}" for key, value in owners]
            self._whose(words, self._mount, [(step.fstype, (owner,)) for owner in owners])
        else:
            self.once("filesystem", ask_for, step.fstype)

    def make_overlay(self, step: s.MakeOverlay) -> None:
        self.fresh[step.mount or step.filesystem] = "overlay"
        self.once("filesystem", ask_for, "overlay")
        for layer in step.layers:
            if layer.id_map in self.maps:  # one that was refused has been told
                self._map_layer(layer, self.maps[layer.id_map])

    def _map_layer(self, layer: s.Layer, id_map: int) -> None:
        fstype = self.fresh.get(layer.filesystem, "")
        if fstype:
            if of(fstype).may_be_tried:
                self.once("idmap-new", self._map_new, fstype, id_map, details=(fstype,))
            return
        path = self.clones[layer.filesystem][0] if layer.filesystem else layer.path
        self.once("idmap", self._map, path, False, False, id_map, details=(path,))

    def attach_image(self, step: s.AttachImage) -> None:
        self.fresh[step.mount or step.filesystem] = step.fstype
        self.once("image", ask_for, step.fstype)
        self.once("loop", open_loop_control)

    def _mount(self, fstype: str, options: tuple[tuple[str, str | bool], ...] = ()) -> None:
        os.close(self.kernel.new_filesystem(fstype, fstype, options))

    # --- files

    def make_node(self, step: s.MakeNode) -> None:
        if step.node in ("char", "block"):
            self.once("device", self._make_device, step.node, step.device)
        if step.source:
            self.once("source", self._read, step.source, details=(step.source,))
        if step.existing and step.within in self.clones and step.origin not in self.unmakeable:
            self._make_on_host(self.clones[step.within][0], step.path, step.origin)
        owners = [("user", step.uid, (step.uid, -1)), ("group", step.gid, (-1, step.gid))]
        owners = [one for one in owners if one[1] >= 0]
        self._whose([f"{word} {id}" for word, id, _ in owners], self._give, [ids for _, _, ids in owners])

    def _whose(self, words: list[str], attempt: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
        """Try each owner, and raise all that are refused as one."""
        refused: list[tuple[str, OSError]] = []
        for word, values in zip(words, arguments, strict=True):
            try:
                self.once("owner", attempt, *values)
            except _Refused as one:
                refused.append((word, one.error))
        if refused:
            raise _Refused("owner", refused[0][1], _told("uid_map"), _told("gid_map"), *(word for word, _ in refused))

    def _make_on_host(self, base: str, path: str, origin: str) -> None:
        """What is missing of a mountpoint in a filesystem of the host is made there, which changes the host."""
        if os.path.lexists(wanted := os.path.join(base, path)):
            return
        above = os.path.dirname(wanted)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if os.statvfs(above).f_flag & os.ST_RDONLY:
            return  # planning tells where it stays so; in the tree it is writable
        if not os.access(above, os.W_OK | os.X_OK):
            self.unmakeable.add(origin)
            error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise _Refused("create", error, wanted, above)

    def _make_device(self, kind: str, device: tuple[int, int]) -> None:
        with self._file(kind, device):
            pass

    def _give(self, uid: int, gid: int) -> None:
        with self._file("file", (0, 0)) as name:
            os.chown(name, uid, gid, dir_fd=self.scratch)

    @contextmanager
    def _file(self, kind: str, device: tuple[int, int]) -> Iterator[str]:
        """Lend a file of this kind in a filesystem that no other process sees."""
        if self.scratch < 0:
            self.scratch = self.kernel.new_filesystem("tmpfs", "mountplan", ())
        mode = {"char": 0o020600, "block": 0o060600}.get(kind, 0o100600)
        os.mknod("x", mode, os.makedev(*device), dir_fd=self.scratch)
        try:
            yield "x"
        finally:
            os.unlink("x", dir_fd=self.scratch)

    def _read(self, path: str) -> None:
        with self._at(path) as where:
            os.close(self.kernel.open_file(where))

    # --- mounts of the host's

    def clone_host(self, step: s.CloneHost) -> None:
        if step.namespace:  # who could open it may mount it
            return
        self.clones[step.mount] = step.path, step.recursive
        self.once("clone", self._clone, step.path, step.recursive, details=(step.path,))
        if step.propagation == "peers_below":  # what is shared on the host is a slave in a user namespace's copy
            error = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            raise _Refused("peers", error, step.path)

    def clone_host_workbench(self, step: s.CloneHostWorkbench) -> None:
        if step.namespace:
            return
        self.clones[step.filesystem] = step.path, False
        if step.path not in self.ungrouped:  # that says why, and this would say it once more
            self.once("clone", self._clone, step.path, False, details=(step.path,))

    def take_host_group(self, step: s.TakeHostGroup) -> None:
        try:
            self.once("clone", self._clone, step.path, False, details=(step.path,))
        except _Refused as refused:
            self.ungrouped.add(step.path)
            if refused.error.errno != errno.EINVAL:
                raise
            raise _Refused("group", refused.error, step.path) from None
        if not step.slave:
            self.once("peer", self._is_shared, step.path, details=(step.path,))

    def _clone(self, path: str, recursive: bool) -> None:
        with self._cloned(path, recursive):
            pass

    def _is_shared(self, path: str) -> None:
        """What is shared on the host is a slave of that in a copy that belongs to another user namespace."""
        from mountplan.planner.tables.mountinfo import parse_mountinfo

        with self._at(path) as where:
            wanted = syscalls.mount_id(where, b"")
        with open("/proc/self/mountinfo", "rb") as file:
            rows = parse_mountinfo(file.read()).rows
        if not any(row.mount_id == wanted and row.peer_group for row in rows):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    @contextmanager
    def _at(self, path: str) -> Iterator[int]:
        with closing_fd(self.kernel.open(self.host, path[1:], tree=True)) as where:
            yield where

    @contextmanager
    def _cloned(self, path: str, recursive: bool) -> Iterator[int]:
        with self._at(path) as where:
            fd = self.kernel.clone_tree(where) if recursive else self.kernel.clone(where, "")
        with closing_fd(fd):
            yield fd

    # --- attributes

    def make_id_map(self, step: s.MakeIdMap) -> None:
        try:
            self.maps[step.id_map] = self.kernel.id_mapping(step.uids, step.gids)
        except OSError as error:
            raise _Refused("id-map", error, _told("uid_map"), _told("gid_map")) from None

    def clone_mount(self, step: s.CloneMount) -> None:
        if step.filesystem in self.clones:
            self.clones[step.mount] = self.clones[step.filesystem]
        elif step.filesystem in self.fresh:
            self.fresh[step.mount] = self.fresh[step.filesystem]

    def set_attributes(self, step: s.SetAttributes) -> None:
        id_map = self.maps.get(step.id_map, -1)
        if step.mount in self.clones:
            path, recursive = self.clones[step.mount]
            if not self._can_be_cloned(path, recursive):
                return
            words = tuple(word for word in step.words.split(",") if word in NAMES)
            if any(NAMES[word].clear for word in words):
                self.once("locked", self._change, path, recursive, step.recursive, words)
            if id_map >= 0:
                self.once("idmap", self._map, path, recursive, step.recursive, id_map, details=(path,))
        elif id_map >= 0 and of(self.fresh.get(step.mount, "")).may_be_tried:
            self.once("idmap-new", self._map_new, self.fresh[step.mount], id_map, details=(self.fresh[step.mount],))

    def remove_mount(self, step: s.RemoveMount) -> None:
        """All that came with the copy of a more privileged user's mount namespace is locked where it is."""
        raise _Refused("locked mount", KernelRefusal(errno.EINVAL, "umount2"), step.path)

    def change_mounts(self, step: s.ChangeMounts) -> None:
        words = tuple(word for word in step.words.split(",") if word in NAMES)
        if not any(NAMES[word].clear for word in words):
            return
        for one in self._inherited.reach(step.path, step.spared, recursive=step.recursive):
            if self._can_be_cloned(one.path, True):
                self.once("locked", self._change, one.path, True, one.recursive, words)

    def bind_over(self, step: s.BindOver) -> None:
        self._inherited.bind_over(step.path)

    @cached_property
    def _inherited(self) -> InheritedTree:
        return InheritedTree(self.kernel.tree_of(self.host))

    def _can_be_cloned(self, path: str, recursive: bool) -> bool:
        """Whether there is something to try attributes on. If not, that is told of the step that makes the clone."""
        try:
            self.once("clone", self._clone, path, recursive, details=(path,))
        except _Refused:
            return False
        return True

    def _change(self, path: str, cloned: bool, recursive: bool, words: tuple[str, ...]) -> None:
        """Each word by itself, so that it can be told which the kernel does not take."""
        locked = []
        with self._cloned(path, cloned) as fd:
            for word in words:
                set, clear = NAMES[word]
                try:
                    self.kernel.set_attributes(fd, set=set, clear=clear, recursive=recursive)
                except OSError as error:
                    if error.errno != errno.EPERM:
                        raise
                    locked.append(word)
        if locked:
            refusal = KernelRefusal(errno.EPERM, "mount_setattr")
            raise _Refused("locked", refusal, path, "" if not recursive else "r", *locked)

    def _map(self, path: str, cloned: bool, recursive: bool, id_map: int) -> None:
        with self._cloned(path, cloned) as fd:
            self.kernel.set_attributes(fd, set=abi.MOUNT_ATTR_IDMAP, userns=id_map, recursive=recursive)

    def _map_new(self, fstype: str, id_map: int) -> None:
        with closing_fd(self.kernel.new_filesystem(fstype, fstype, ())) as fd:
            self.kernel.set_attributes(fd, set=abi.MOUNT_ATTR_IDMAP, userns=id_map)


def _told(name: str) -> str:
    """The ids of /proc/self/uid_map or gid_map, in words: "0", "0 to 65536"."""
    with open(f"/proc/self/{name}") as file:
        lines = sorted((int(first), int(count)) for first, _, count in map(str.split, file))
    merged: list[list[int]] = []
    for first, count in lines:
        if merged and merged[-1][1] + 1 == first:
            merged[-1][1] += count
        else:
            merged.append([first, first + count - 1])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in merged)

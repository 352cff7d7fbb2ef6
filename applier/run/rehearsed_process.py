"""A process of a rehearsal: it makes the calls of the script that it is told over its socket, or runs its programs."""

from __future__ import annotations

import errno
import marshal
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, get_args

from mountplan.applier.probe.userns_trial import ask_for
from mountplan.applier.run.programs import Programs, Shelf
from mountplan.applier.run.within import NotExecuted, run_program
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal, call_of, place_of
from mountplan.planner.attributes import ATIME_MASK, NOATIME, NODIRATIME, NOSYMFOLLOW, STRICTATIME
from mountplan.planner.commands import actions as a

_KINDS = {"shared": abi.MS_SHARED, "slave": abi.MS_SLAVE, "private": abi.MS_PRIVATE, "unbindable": abi.MS_UNBINDABLE}
_SAME_BITS = 0xF  # ro, nosuid, nodev and noexec are the same bits in mount(2) and in mount_setattr(2)
REFUSED = "refused"  # what a process answers that cannot do what it is asked for
TABLE, ACTION, TYPES, PROGRAM = 0, 1, 2, 3  # what a process is asked for

_CLASSES: dict[str, Callable[..., a.Action]] = {one.__name__: one for one in get_args(a.Action)}


def _refusal(error: OSError) -> tuple[Any, ...]:
    """What a process answers that could not do what it was to; which call that was, the other side finds out."""
    if isinstance(error, NotExecuted):
        return REFUSED, error.errno, error.syscall, error.place
    place = None if isinstance(error, KernelRefusal) else place_of(error)  # that has the name of the call
    return REFUSED, error.errno or errno.EIO, call_of(error), place


def send(connection: socket.socket, value: Any, descriptor: int = -1) -> None:
    data = marshal.dumps(value)
    socket.send_fds(connection, [len(data).to_bytes(8, "little")], [descriptor] if descriptor >= 0 else [])
    connection.sendall(data)


def receive(connection: socket.socket) -> tuple[Any, int]:
    """What the other side has sent, and the descriptor that came along, or -1. Raises EOFError."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 1, socket.MSG_CMSG_CLOEXEC)
    if len(head) < 8:
        raise EOFError
    data = bytearray()
    size = int.from_bytes(head, "little")
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return marshal.loads(data), descriptors[0] if descriptors else -1


def first_process(connection: socket.socket, programs: Programs | None) -> NoReturn:
    """Process 1: make the empty namespace, then obey."""
    try:
        _stay_on_one_processor()
        proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        _leave_the_machine(proc)
        shelf = Shelf(programs) if programs is not None else None
        if shelf is not None:
            shelf.anteroom = _make_anteroom(proc)
        _make_empty_root()
        actor = RehearsedProcess(connection, proc, shelf)
    except OSError as error:
        send(connection, (0, _refusal(error)))
        os._exit(0)
    actor.obey()


def _stay_on_one_processor() -> None:
    """All processes of the script. Which of two mount namespaces is older (mnt_ns_loop) Linux 6.18 asks their ids, and
    those that were given out by one processor are not comparable with those of another.
    """
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[os.getpid() % len(processors)]})


def _leave_the_machine(proc: int) -> None:
    """Be root of new user, mount and IPC namespaces. (mqueue is one for each IPC namespace.)"""
    uid, gid = os.geteuid(), os.getegid()
    kinds = abi.CLONE_NEWUSER | abi.CLONE_NEWNS | abi.CLONE_NEWIPC
    try:
        syscalls.unshare(kinds)
    except KernelRefusal:
        # Not from a chroot. Who may do so leaves it, in a mount namespace that is given up for the next one.
        syscalls.unshare(abi.CLONE_NEWNS)
        syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)
        with closing_fd(os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)) as namespace:
            syscalls.setns(namespace, abi.CLONE_NEWNS)
        syscalls.unshare(kinds)
    _map_ids(proc, uid, gid)
    syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)


def _map_ids(proc: int, uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with closing_fd(os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)) as fd:
            os.write(fd, text.encode())


def _make_anteroom(proc: int) -> int:
    """Make a mount namespace with nothing in it but a proc, and go on in a copy. Programs that need one start there."""
    flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_RECURSIVE
    copied = syscalls.open_tree(abi.AT_FDCWD, b"/proc", flags)
    syscalls.mount_classic(b"none", b"/proc", b"tmpfs", 0, b"mode=755")
    os.mkdir("/proc/proc")
    syscalls.move_mount(copied, abi.AT_FDCWD, b"/proc/proc", abi.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(copied)
    os.chdir("/proc")
    syscalls.pivot_root(b".", b".")
    syscalls.umount2(b".", abi.MNT_DETACH)
    os.chdir("/")
    anteroom = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    syscalls.unshare(abi.CLONE_NEWNS)
    return anteroom


def _make_empty_root() -> None:
    """Two tmpfs, one on the other, in the place of all that the machine has mounted."""
    syscalls.mount_classic(b"none", b"/proc", b"tmpfs", 0, b"mode=755")
    os.chdir("/proc")
    syscalls.pivot_root(b".", b".")  # the lock of the old root goes over to the new one
    syscalls.umount2(b".", abi.MNT_DETACH)
    os.chdir("/")
    try:
        syscalls.umount2(b"/", abi.MNT_DETACH)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EINVAL:
            raise
    else:
        raise OSError(errno.EPERM, "the kernel does not lock what covers the machine's root")
    syscalls.mount_classic(b"none", b"/", b"tmpfs", 0, b"mode=755")
    os.chdir("/..")  # what covers the root
    os.chroot(".")


class RehearsedProcess:
    """One process of the script."""

    def __init__(self, connection: socket.socket, proc: int, shelf: Shelf | None) -> None:
        self.connection = connection
        self.proc = proc
        self.shelf = shelf
        self.first_user = os.stat("self/ns/user", dir_fd=proc)
        self.descriptors: dict[str, int] = {}  # the script's own, by name

    def obey(self) -> NoReturn:
        """Do what comes over the socket until it ends."""
        self._introduce()
        while True:
            try:
                self._obey_once()
            except EOFError:
                os._exit(0)
            except OSError as error:  # not of a call of the script's, but of what it takes to make that
                send(self.connection, _refusal(error))

    def _obey_once(self) -> None:
        (sort, *values), descriptor = receive(self.connection)
        if sort == TABLE:
            send(self.connection, self._table())
        elif sort == TYPES:
            send(self.connection, _refused_of(values[0]))
        elif sort == PROGRAM:
            send(self.connection, self._run(values[0]))
        elif values[1] == a.Fork.__name__:
            self._fork(descriptor)
        else:
            self._carry_out(*values)

    def _introduce(self) -> None:
        """Say one's pid, as /proc has it and as a descriptor."""
        try:
            ended = os.pidfd_open(os.getpid())
            pid = int(os.readlink("self", dir_fd=self.proc))
        except OSError as error:
            send(self.connection, (0, _refusal(error)))
            os._exit(0)
        send(self.connection, (pid, ()), ended)
        os.close(ended)

    def _table(self) -> bytes:
        return syscalls.own_mountinfo(self.proc)

    def _run(self, words: tuple[str, ...]) -> tuple[int, str] | None:
        if self.shelf is None or not self.shelf.has(words[0]):
            return None
        return run_program(self.shelf, words, self.proc)

    def _fork(self, descriptor: int) -> None:
        """Become two; the new one goes on with the connection that was passed along."""
        _reap()
        try:
            child = os.fork()
        except OSError as error:
            os.close(descriptor)
            send(self.connection, error.errno or errno.EIO)
            return
        if child:
            os.close(descriptor)
            send(self.connection, 0)
            return
        self.connection.close()
        self.connection = socket.socket(fileno=descriptor)
        self._introduce()

    def _carry_out(self, other: int, name: str, fields: tuple[Any, ...]) -> None:
        action = _CLASSES[name](*fields)
        result = 0
        try:
            self._do(action, other)
        except OSError as error:
            result = error.errno or errno.EIO
        send(self.connection, result)
        if isinstance(action, a.End):
            os._exit(0)

    def _do(self, action: a.Action, other: int) -> None:
        match action:
            case a.MountNew():
                flags = _flags(action.attributes, named=bool(action.attributes & (ATIME_MASK | NODIRATIME)))
                data = os.fsencode(action.options) if action.options else None
                source, target = os.fsencode(action.source), os.fsencode(action.target)
                syscalls.mount_classic(source, target, action.fstype.encode(), flags, data)
            case a.BindMount():
                self._mount(action.source, action.target, abi.MS_BIND | (abi.MS_REC if action.recursive else 0))
            case a.BindNamespaceFile():
                self._bind_namespace(other, action)
            case a.MoveMount():
                self._mount(action.source, action.target, abi.MS_MOVE)
            case a.ChangeKind():
                self._mount("", action.target, _KINDS[action.kind] | (abi.MS_REC if action.recursive else 0))
            case a.Remount():
                flags = abi.MS_REMOUNT | (abi.MS_BIND if action.bind else 0)
                flags |= _flags(action.attributes, named=not action.keep_times)
                self._mount("", action.target, flags, action.options)
            case a.SetReadOnly():
                _reconfigure(action)
            case a.SetAttributesCall():
                (set, clear), kind = action.change, _KINDS[action.kind] if action.kind else 0
                attr = syscalls.mount_attr(set=set, clear=clear, propagation=kind)
                flags = abi.AT_RECURSIVE if action.recursive else 0
                fd, path = self._where(action.target)
                syscalls.mount_setattr(fd, flags, attr, path)
            case a.OpenTree():
                flags = abi.OPEN_TREE_CLOEXEC | (abi.OPEN_TREE_CLONE if action.clone else 0)
                flags |= abi.AT_RECURSIVE if action.recursive else 0
                fd, path = self._where(action.path)
                opened = syscalls.open_tree(fd, path, flags | (abi.AT_EMPTY_PATH if not path else 0))
                self._put(action.descriptor, opened)
            case a.NewDetachedMount():
                self._put(action.descriptor, _new_detached(action))
            case a.AttachMount():
                self._move_mount(action.source, action.target, abi.MOVE_MOUNT_BENEATH if action.beneath else 0)
            case a.JoinSharing():
                self._move_mount(action.source, action.target, abi.MOVE_MOUNT_SET_GROUP)
            case a.CloseDescriptor():
                os.close(self._descriptor(action.descriptor))
                del self.descriptors[action.descriptor]
            case a.Unmount():
                syscalls.umount2(os.fsencode(action.target), abi.MNT_DETACH if action.lazy else 0)
            case a.PivotRoot():
                syscalls.pivot_root(os.fsencode(action.new), os.fsencode(action.old))
            case a.MakeDirectory():
                _make_directory(action)
            case a.MakeFile():
                os.close(os.open(action.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
            case a.FillFile():
                with open(action.path, "a" if action.append else "w", errors="surrogateescape") as file:
                    file.write(action.text)
            case a.RemoveDirectory():
                os.rmdir(action.path)
            case a.RemoveFile():
                os.unlink(action.path)
            case a.Rename():
                os.rename(action.old, action.new)
            case a.MakeLink():
                os.symlink(action.leads_to, action.path)
            case a.ChangeDirectory():
                os.chdir(action.path)
            case a.ChangeRoot():
                os.chroot(action.path)
                os.chdir("/")
            case a.Unshare():
                self._unshare(action)
            case a.Enter():
                self._enter(other, user=action.user)
            case a.EnterFile():
                _enter_file(action)
            case a.LoseCapabilities():
                syscalls.capset(0, 0, 0)
            case a.DropGroups():
                if not os.path.samestat(os.stat("self/ns/user", dir_fd=self.proc), self.first_user):
                    os.setgroups(())  # in the first one it is denied as well, but that stands for the machine's
            case a.Fork() | a.End():
                pass  # by those who call this

    def _mount(self, source: str, target: str, flags: int, options: str = "") -> None:
        data = os.fsencode(options) if options else None
        syscalls.mount_classic(os.fsencode(source) if source else None, os.fsencode(target), None, flags, data)

    def _bind_namespace(self, pid: int, action: a.BindNamespaceFile) -> None:
        """As by a path in /proc, which may be mounted nowhere: seen from there, the target is an open descriptor."""
        target, here = (os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (action.target, "."))
        try:
            os.fchdir(self.proc)
            self._mount(f"{pid}/ns/{action.kind}", f"self/fd/{target}", abi.MS_BIND)
        finally:
            os.fchdir(here)
            os.close(target)
            os.close(here)

    def _where(self, path: str) -> tuple[int, bytes]:
        """A directory's descriptor and a path, as the calls take them, of what actions.Stage has words for."""
        if not path.startswith("@"):
            return abi.AT_FDCWD, os.fsencode(path)
        name, _, rest = path.partition("/")
        return self._descriptor(name), os.fsencode(rest)

    def _descriptor(self, name: str) -> int:
        if name not in self.descriptors:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.descriptors[name]

    def _put(self, name: str, fd: int) -> None:
        before = self.descriptors.get(name, -1)
        self.descriptors[name] = fd
        if before >= 0:
            os.close(before)

    def _move_mount(self, source: str, target: str, flags: int) -> None:
        (from_fd, from_path), (to_fd, to_path) = self._where(source), self._where(target)
        flags |= 0 if from_path else abi.MOVE_MOUNT_F_EMPTY_PATH
        flags |= 0 if to_path else abi.MOVE_MOUNT_T_EMPTY_PATH
        syscalls.move_mount(from_fd, to_fd, to_path, flags, from_path)

    def _unshare(self, action: a.Unshare) -> None:
        uid, gid = os.geteuid(), os.getegid()
        kinds = (abi.CLONE_NEWUSER if action.user else 0) | (abi.CLONE_NEWNS if action.mount else 0)
        syscalls.unshare(kinds)
        if action.user:
            _map_ids(self.proc, uid, gid)

    def _enter(self, pid: int, *, user: bool) -> None:
        """As nsenter(1): all files are opened first, and the user namespace is passed over if one is in it already."""
        kinds = {"mnt": abi.CLONE_NEWNS}
        theirs, ours = (os.stat(f"{one}/ns/user", dir_fd=self.proc) for one in (pid, "self"))
        if user and not os.path.samestat(theirs, ours):
            kinds = {"user": abi.CLONE_NEWUSER, **kinds}
        flags = os.O_RDONLY | os.O_CLOEXEC
        opened = [os.open(f"{pid}/ns/{name}", flags, dir_fd=self.proc) for name in kinds]
        try:
            for fd, kind in zip(opened, kinds.values(), strict=True):
                syscalls.setns(fd, kind)
        finally:
            for fd in opened:
                os.close(fd)


def _reap() -> None:
    """Let go of processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _make_directory(action: a.MakeDirectory) -> None:
    names = [name for name in action.path.split("/") if name]
    for count in range(1, len(names)) if action.parents else ():
        try:
            os.mkdir("/" * action.path.startswith("/") + "/".join(names[:count]))
        except FileExistsError:
            pass
    try:
        os.mkdir(action.path)
    except FileExistsError:
        if not action.parents or not os.path.isdir(action.path):
            raise


def _new_detached(action: a.NewDetachedMount) -> int:
    """fsopen(2) to fsmount(2)."""
    with closing_fd(syscalls.fsopen(action.fstype.encode())) as context:
        if action.source:
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"source", os.fsencode(action.source), 0)
        _set_options(context, action.options)
        create = abi.FSCONFIG_CMD_CREATE_EXCL if action.exclusive else abi.FSCONFIG_CMD_CREATE
        syscalls.fsconfig(context, create, None, None, 0)
        return syscalls.fsmount(context, action.attributes)


def _enter_file(action: a.EnterFile) -> None:
    with closing_fd(os.open(action.path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        syscalls.setns(fd, abi.CLONE_NEWNS if action.kind == "mnt" else 0)


def _set_options(context: int, options: str) -> None:
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        syscalls.set_option(context, name, value if equals else True)


def _reconfigure(action: a.SetReadOnly) -> None:
    with closing_fd(os.open(action.target, os.O_PATH | os.O_CLOEXEC)) as mount:
        with closing_fd(syscalls.fspick(mount)) as context:
            _set_options(context, f"{'ro' if action.read_only else 'rw'},{action.options}")
            syscalls.fsconfig(context, abi.FSCONFIG_CMD_RECONFIGURE, None, None, 0)


def _refused_of(types: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    refused = []
    for fstype in types:
        try:
            ask_for(fstype)
        except OSError as error:
            refused.append((fstype, error.errno or errno.EIO, call_of(error)))
    return tuple(refused)


def _flags(attributes: int, *, named: bool) -> int:
    """Attribute bits as MS_* flags; with `named`, those for access times as well, whatever they are."""
    flags = attributes & _SAME_BITS
    if attributes & NOSYMFOLLOW:
        flags |= abi.MS_NOSYMFOLLOW
    if named:
        times = attributes & ATIME_MASK
        flags |= {NOATIME: abi.MS_NOATIME, STRICTATIME: abi.MS_STRICTATIME}.get(times, abi.MS_RELATIME)
        if attributes & NODIRATIME:
            flags |= abi.MS_NODIRATIME
    return flags

"""One thin function for each system call: the only file that loads libc.

Descriptors and flags are ints, paths bytes. Every function raises KernelRefusal with the kernel's errno. A function
that returns a descriptor gives it to the caller, close-on-exec.
"""

from __future__ import annotations

import _struct as struct
import errno
import fcntl
import os
import stat
import sys
from _ctypes import FUNCFLAG_CDECL, FUNCFLAG_PYTHONAPI, CFuncPtr, _SimpleCData, dlopen

from mountplan.applier.sys import abi
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.light import built_from_c, contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

told = False  # whether each call is shown: tracing.py
loop: Any = None  # what _loop.c was built as; False if it was not
_LOOP_VERSION = 2  # VERSION in there


# What ctypes makes of _ctypes, as far as it is needed here. It makes much more, which took a
# twentieth of the time of a small run.
def _simple(kind: str) -> Any:
    metaclass: Any = type(_SimpleCData)
    return metaclass("simple", (_SimpleCData,), {"_type_": kind})


c_char, c_char_p, c_void_p, c_int, c_uint, c_ulong, c_uint64 = map(_simple, "czPiILQ")
c_size_t = c_ulong  # on all that Linux runs on


class _Function(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL
    _restype_ = c_int


class _FunctionWithLock(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI
    _restype_ = c_int


class _ThisProcess:
    """Where functions are looked up: in the C library, among others."""

    _handle = dlopen(None, 0)  # type: ignore[arg-type]


_here: Any = _ThisProcess


# syscall(2), for the calls that not every libc wraps. Nearly all the time between two of them goes into ctypes, so it
# has little to do: no argument types are declared, so an int is passed as a C int, which libffi widens to a register,
# and bytes as a pointer; and the interpreter's lock is kept, as a builder has no second thread. Only a size_t
# must be one, see below.
_syscall: Callable[..., int] = _FunctionWithLock(("syscall", _here))
_SIZE_OF_ATTR = c_size_t(32)  # struct mount_attr
_SIZE_OF_HOW = c_size_t(24)  # struct open_how

# Where the thread's errno is, as errno.h says in glibc and musl. To have ctypes keep it (use_errno) would take a third
# of the time of each call, and only a call that fails changes it: it can be read when the result tells of a refusal.
_errno_location: Any = _FunctionWithLock(("__errno_location", _here))
_errno_location.restype = c_void_p


def _wrapped(name: str, *arguments: Any) -> Callable[..., int]:
    """libc's wrapper of a call whose number differs between architectures; it raises KernelRefusal."""
    function: Any = None

    def call(*values: Any) -> int:
        nonlocal function
        if function is None:
            function = _Function((name, _here))
            function.argtypes = arguments
        result: int = function(*values)
        if result < 0:
            _refuse(name)
        return result

    return call


_mount = _wrapped("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = _wrapped("umount2", c_char_p, c_int)
_pivot_root = _wrapped("pivot_root", c_char_p, c_char_p)
_unshare = _wrapped("unshare", c_int)
_setns = _wrapped("setns", c_int, c_int)
_prctl = _wrapped("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_statx = _wrapped("statx", c_int, c_char_p, c_int, c_uint, c_char_p)
_signalfd = _wrapped("signalfd", c_int, c_char_p, c_int)
_capget = _wrapped("capget", c_char_p, c_char_p)
_capset = _wrapped("capset", c_char_p, c_char_p)
_sethostname = _wrapped("sethostname", c_char_p, c_size_t)
_renameat2 = _wrapped("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint)
_inotify_init1 = _wrapped("inotify_init1", c_int)
_inotify_add_watch = _wrapped("inotify_add_watch", c_int, c_char_p, c_uint)
_fanotify_init = _wrapped("fanotify_init", c_uint, c_uint)
_fanotify_mark = _wrapped("fanotify_mark", c_int, c_uint, c_uint64, c_int, c_char_p)
_socket = _wrapped("socket", c_int, c_int, c_int)
_name_to_handle_at = _wrapped("name_to_handle_at", c_int, c_char_p, c_char_p, c_char_p, c_int)
_open_by_handle_at = _wrapped("open_by_handle_at", c_int, c_char_p, c_int)


def _buffer(size: int, data: bytes = b"") -> Any:
    """Bytes that a call writes into; they begin with `data`."""
    buffer = (c_char * size)()
    buffer.raw = data
    return buffer


def load_loop() -> None:
    """Before anything is built: later, its file may not be there to be read."""
    global loop
    if loop is None:
        loop = built_from_c("mountplan.applier.sys._loop", _LOOP_VERSION)


def _errno() -> int:
    """Why the call failed that was the last one: ask before anything else is done."""
    number: int = c_int.from_address(_errno_location()).value
    return number


def _refuse(syscall: str) -> NoReturn:
    raise KernelRefusal(_errno(), syscall)


def _refuse_unless_interrupted(syscall: str) -> None:
    """For calls that have done nothing if they answer EINTR: the caller repeats them, as Python does with its own."""
    if _errno() != errno.EINTR:
        _refuse(syscall)


def check_machine() -> None:
    """Raise KernelRefusal (ENOSYS) if the numbers in abi.py are not known to hold on this machine's architecture."""
    machine = os.uname().machine
    if machine not in abi.MACHINES:
        raise KernelRefusal(errno.ENOSYS, f"syscall on {machine}")


def fork() -> int:
    """os.fork(), whose refusal has no name; without a warning of Python's, see forking()."""
    try:
        with forking():
            return os.fork()
    except OSError as error:
        raise KernelRefusal(error.errno or 0, "fork") from None


@contextmanager
def forking() -> Iterator[None]:
    """Around a fork. From 3.12 on Python warns if there are other threads, as they may hold locks that a child takes.

    Ours takes none; and where warnings are errors, that one is raised when there is a child already.
    """
    if sys.version_info < (3, 12):
        yield
        return
    import warnings

    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        yield


def open_tree(dirfd: int, path: bytes, flags: int) -> int:
    """open_tree(2), Linux 5.2: a descriptor for a mount, or with OPEN_TREE_CLONE for a detached copy of it."""
    while (fd := _syscall(abi.SYS_OPEN_TREE, dirfd, path, flags)) < 0:
        _refuse_unless_interrupted("open_tree")
    return fd


def move_mount(from_fd: int, to_fd: int, to_path: bytes, flags: int, from_path: bytes = b"") -> None:
    """move_mount(2), Linux 5.2; mostly the source is given by its descriptor alone."""
    while _syscall(abi.SYS_MOVE_MOUNT, from_fd, from_path, to_fd, to_path, flags) < 0:
        joins = flags & abi.MOVE_MOUNT_SET_GROUP
        _refuse_unless_interrupted("move_mount(MOVE_MOUNT_SET_GROUP)" if joins else "move_mount")


def knows_beneath() -> bool:
    """Whether move_mount(2) has MOVE_MOUNT_BENEATH (Linux 6.5): it looks at its flags first, then at descriptors.

    Raises KernelRefusal (EPERM) for who may mount nothing, and so is not told.
    """
    flags = abi.MOVE_MOUNT_BENEATH | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
    if _syscall(abi.SYS_MOVE_MOUNT, -1, b"", -1, b"", flags) < 0 and _errno() not in (errno.EBADF, errno.EINVAL):
        _refuse("move_mount")
    return _errno() == errno.EBADF


def fsopen(fstype: bytes) -> int:
    """fsopen(2), Linux 5.2: a context in which a new superblock is configured."""
    while (fd := _syscall(abi.SYS_FSOPEN, fstype, abi.FSOPEN_CLOEXEC)) < 0:
        _refuse_unless_interrupted("fsopen")
    return fd


def fsconfig(context: int, command: int, key: bytes | None, value: bytes | None, aux: int) -> None:
    """fsconfig(2), Linux 5.2: one option, or one command. What the filesystem says about a refusal comes with it."""
    while _syscall(abi.SYS_FSCONFIG, context, command, key, value, aux) < 0:
        number = _errno()
        if number == errno.EINTR and key:  # a command, which has no key, may have been carried out in part
            continue
        raise KernelRefusal(
            number, f"fsconfig({key.decode(errors='replace')})" if key else "fsconfig", said_by(context)
        )


def set_option(context: int, name: str, value: str | bool) -> None:
    """fsconfig(2) of an option; True for one without a value."""
    if value is True:
        fsconfig(context, abi.FSCONFIG_SET_FLAG, os.fsencode(name), None, 0)
    else:
        fsconfig(context, abi.FSCONFIG_SET_STRING, os.fsencode(name), os.fsencode(str(value)), 0)


def try_option(fstype: str, name: str, value: str | bool) -> None:
    """Give an option to a filesystem of which nothing is made. Raises KernelRefusal, with what the filesystem says."""
    with closing_fd(fsopen(fstype.encode())) as context:
        set_option(context, name, value)


def create_exclusively(context: int) -> bool:
    """fsconfig(2) with FSCONFIG_CMD_CREATE_EXCL, Linux 6.6: make the superblock, if it is surely a new one.

    False if that cannot be asked of this kernel or filesystem; then nothing has happened, and FSCONFIG_CMD_CREATE may
    follow. Raises KernelRefusal with EBUSY where there is such a superblock already: the context is of no use then.
    """
    try:
        fsconfig(context, abi.FSCONFIG_CMD_CREATE_EXCL, None, None, 0)
    except KernelRefusal as refusal:
        if refusal.errno == errno.EOPNOTSUPP:  # before 6.6, and of filesystems that parse their options at the end
            return False
        raise
    return True


def said_by(context: int) -> tuple[str, ...]:
    """The messages that wait in a filesystem context, without their kind ("e ", "w ", "i ")."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(context, 4096)
        except OSError:
            return tuple(lines)  # ENODATA: that was all
        lines.append(line.decode(errors="replace").strip()[2:])


def fsmount(context: int, attributes: int) -> int:
    """fsmount(2), Linux 5.2: a detached mount of the superblock that the context has made."""
    while (fd := _syscall(abi.SYS_FSMOUNT, context, abi.FSMOUNT_CLOEXEC, attributes)) < 0:
        if (number := _errno()) != errno.EINTR:
            raise KernelRefusal(number, "fsmount", said_by(context))
    return fd


def fspick(mount: int) -> int:
    """fspick(2), Linux 5.2: a context in which the superblock of a mount is reconfigured."""
    while (fd := _syscall(abi.SYS_FSPICK, mount, b"", abi.FSPICK_EMPTY_PATH | abi.FSPICK_CLOEXEC)) < 0:
        _refuse_unless_interrupted("fspick")
    return fd


def openat2(dirfd: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2), Linux 5.6: an open whose walk obeys RESOLVE_* flags."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    while (fd := _syscall(abi.SYS_OPENAT2, dirfd, path, how, _SIZE_OF_HOW)) < 0:
        _refuse_unless_interrupted("openat2")
    return fd


def mount_setattr(mount: int, flags: int, attr: bytes, path: bytes = b"") -> None:
    """mount_setattr(2), Linux 5.12. `attr` is a struct mount_attr as `mount_attr` packs it."""
    while _syscall(abi.SYS_MOUNT_SETATTR, mount, path, flags | abi.AT_EMPTY_PATH, attr, _SIZE_OF_ATTR) < 0:
        _refuse_unless_interrupted("mount_setattr")


def mount_attr(*, set: int = 0, clear: int = 0, propagation: int = 0, userns: int = 0) -> bytes:
    """A struct mount_attr (linux/mount.h)."""
    return struct.pack("=QQQQ", set, clear, propagation, userns)


def mount(target: bytes, flags: int) -> None:
    """mount(2), for changes of propagation only."""
    _mount(None, target, None, flags, None)


def mount_classic(source: bytes | None, target: bytes, fstype: bytes | None, flags: int, data: bytes | None) -> None:
    """mount(2) with all its arguments: for what is to be done the classic way, as scripts do it."""
    _mount(source, target, fstype, flags, data)


def open_again(fd: int, flags: int, *kinds: int) -> int:
    """open(2) what an O_PATH descriptor stands for, if it is of one of these kinds (stat.S_IFREG, ...): to open a
    device may do something, to open a fifo may take for ever. Raises KernelRefusal with EMEDIUMTYPE otherwise.
    """
    if stat.S_IFMT(os.fstat(fd).st_mode) not in kinds:
        raise KernelRefusal(errno.EMEDIUMTYPE, "open")
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)


def close(fd: int) -> None:
    """close(2) of a descriptor to which nothing was written: it is closed whatever the kernel answers."""
    try:
        os.close(fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise


def own_mountinfo(proc: int) -> bytes:
    """The mount table of this process, by a descriptor of /proc: after pivot_root(2) that is nowhere else."""
    with open(os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
        return file.read()


def write_all(fd: int, data: bytes) -> None:
    """write(2), as often as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def umount2(target: bytes, flags: int) -> None:
    """umount2(2)."""
    _umount2(target, flags)


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2)."""
    _pivot_root(new_root, put_old)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _unshare(flags)


def setns(namespace: int, flags: int) -> None:
    """setns(2) with the descriptor of a namespace file."""
    _setns(namespace, flags)


def prctl(option: int, value: int, second: int = 0) -> int:
    """prctl(2) with one argument, or two."""
    return _prctl(option, value, second, 0, 0)


def hide() -> None:
    """Keep others out of this process until it execs: PR_SET_DUMPABLE of prctl(2).

    A process in a namespace that it enters, with all capabilities there, could otherwise trace it, and get by
    /proc/PID/root, cwd and fd to what it still has of the outside (ptrace(2), "Ptrace access mode checking").
    """
    prctl(abi.PR_SET_DUMPABLE, 0)


def close_range(first: int, last: int, flags: int = 0) -> None:
    """close_range(2), Linux 5.9: close descriptors, or with CLOSE_RANGE_CLOEXEC (5.11) have exec close them."""
    if _syscall(abi.SYS_CLOSE_RANGE, first, last, flags) < 0:
        _refuse("close_range")


def signalfd(numbers: Iterable[int]) -> int:
    """signalfd(2): a descriptor from which these signals are read; the caller has blocked them."""
    bits = 8 * struct.calcsize("@L")  # a sigset_t is made of longs, the lowest signals in the first
    mask = sum(1 << number - 1 for number in set(numbers))
    words = (mask >> shift & ((1 << bits) - 1) for shift in range(0, 1024, bits))
    return _signalfd(-1, struct.pack(f"@{1024 // bits}L", *words), os.O_CLOEXEC | os.O_NONBLOCK)


def capget() -> tuple[int, int, int]:
    """capget(2): the caller's effective, permitted and inheritable capabilities, as bit masks."""
    data = _buffer(24)
    _capget(struct.pack("=Ii", abi.CAPABILITY_VERSION_3, 0), data)
    low = struct.unpack_from("=III", data)
    high = struct.unpack_from("=III", data, 12)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling thread."""
    sets = (effective, permitted, inheritable)
    data = struct.pack("=6I", *(one & 0xFFFFFFFF for one in sets), *(one >> 32 for one in sets))
    _capset(struct.pack("=Ii", abi.CAPABILITY_VERSION_3, 0), data)


def sethostname(name: bytes) -> None:
    """sethostname(2), for the caller's uts namespace."""
    _sethostname(name, len(name))


def exchange(dirfd: int, first: bytes, second: bytes) -> None:
    """renameat2(2) with RENAME_EXCHANGE: two names in one directory change places, at once."""
    _renameat2(dirfd, first, dirfd, second, abi.RENAME_EXCHANGE)


def inotify_init() -> int:
    """inotify_init1(2): a descriptor that tells of what happens to files, once inotify_add_watch() has named some."""
    return _inotify_init1(os.O_CLOEXEC)


def inotify_add_watch(fd: int, path: bytes, mask: int) -> None:
    """inotify_add_watch(2): have an inotify descriptor tell of the events in `mask` (IN_*) at a file."""
    _inotify_add_watch(fd, path, mask)


def fanotify_init() -> int:
    """fanotify_init(2) with FAN_REPORT_MNT: a descriptor that tells of mounts, and never waits."""
    return _fanotify_init(abi.FAN_REPORT_MNT | abi.FAN_CLOEXEC | abi.FAN_NONBLOCK, os.O_RDONLY)


def fanotify_mark_namespace(fd: int, namespace: int) -> None:
    """fanotify_mark(2): have `fd` tell what is attached and detached in the mount namespace behind a descriptor."""
    events = abi.FAN_MNT_ATTACH | abi.FAN_MNT_DETACH
    _fanotify_mark(fd, abi.FAN_MARK_ADD | abi.FAN_MARK_MNTNS, events, namespace, None)


def local_socket() -> int:
    """socket(2): a local datagram socket, for ioctls that want some socket. Spares an import of `socket`."""
    return _socket(abi.AF_UNIX, abi.SOCK_DGRAM | abi.SOCK_CLOEXEC, 0)


def statmount(mount: int, namespace: int, mask: int, buffer: bytearray) -> None:
    """statmount(2), Linux 6.8: what is known of the mount with a unique id, written into `buffer` (abi.STATMOUNT).

    `namespace` is the id of a mount namespace (Linux 6.11), 0 for our own. Raises EOVERFLOW if the buffer is too small.
    """
    request = struct.pack(abi.MNT_ID_REQ, 32, 0, mount, mask, namespace)
    view = (c_char * len(buffer)).from_buffer(buffer)
    if _syscall(abi.SYS_STATMOUNT, request, view, c_size_t(len(buffer)), 0) < 0:
        _refuse("statmount")


def listmount(mount: int, namespace: int, last: int, count: int) -> tuple[int, ...]:
    """listmount(2), Linux 6.8: up to `count` unique ids of mounts below one, in their order, after the id `last`."""
    request = struct.pack(abi.MNT_ID_REQ, 32, 0, mount, last, namespace)
    buffer = _buffer(8 * count)
    found = _syscall(abi.SYS_LISTMOUNT, request, buffer, c_size_t(count), 0)
    if found < 0:
        _refuse("listmount")
    return struct.unpack_from(f"={found}Q", buffer)


def stat_root(dirfd: int, path: bytes) -> tuple[int, int, int, int, bool]:
    """statx(2) of what a walk to `path` ends on, no symlink followed there; b"" is `dirfd` itself.

    Returns mount id, mode, major and minor number of a device node, and whether it is the root of its mount.
    """
    buffer = _buffer(abi.STATX_SIZE)
    flags = abi.AT_NO_AUTOMOUNT | abi.AT_SYMLINK_NOFOLLOW | (abi.AT_EMPTY_PATH if not path else 0)
    _fill(buffer, dirfd, path, flags, abi.STATX_MNT_ID | abi.STATX_TYPE_MODE)
    attributes: int = struct.unpack_from("=Q", buffer, 8)[0]
    mode: int = struct.unpack_from("=H", buffer, 28)[0]
    major, minor = struct.unpack_from("=II", buffer, 128)
    mount: int = struct.unpack_from("=Q", buffer, abi.STATX_MNT_ID_OFFSET)[0]
    return mount, mode, major, minor, bool(attributes & abi.STATX_ATTR_MOUNT_ROOT)


def _fill(buffer: Any, dirfd: int, path: bytes, flags: int, mask: int) -> None:
    """statx(2) into `buffer`. Raises KernelRefusal (ENOSYS) also if not all that was asked for has been told.

    The C library emulates the call where it is refused (ENOSYS), and knows nothing of mounts then.
    """
    _statx(dirfd, path, flags, mask, buffer)
    if struct.unpack_from("=I", buffer)[0] & mask != mask:
        raise KernelRefusal(errno.ENOSYS, "statx")


def handle_at(dirfd: int, path: bytes) -> tuple[int, bytes, int]:
    """name_to_handle_at(2): (type, bytes) of the handle by which the filesystem itself knows what is at `path`, no
    symlink followed there, and the id of the mount that it is on. b"" is `dirfd` itself.

    With AT_HANDLE_FID, Linux 6.6: a handle to compare, which need not serve to open the file.
    """
    buffer = _buffer(8 + abi.MAX_HANDLE_SZ, struct.pack("=Ii", abi.MAX_HANDLE_SZ, 0))
    mount = _buffer(8)
    flags = abi.AT_HANDLE_FID | (abi.AT_EMPTY_PATH if not path else 0)
    _name_to_handle_at(dirfd, path, buffer, mount, flags)
    size, kind = struct.unpack_from("=Ii", buffer)
    return kind, buffer.raw[8 : 8 + size], struct.unpack_from("=i", mount)[0]


def open_by_handle(mount: int, kind: int, handle: bytes) -> int:
    """open_by_handle_at(2): an O_PATH descriptor of what a handle leads to, on the mount that the descriptor is on."""
    buffer = _buffer(8 + len(handle), struct.pack("=Ii", len(handle), kind) + handle)
    return _open_by_handle_at(mount, buffer, os.O_PATH | os.O_CLOEXEC)


def wipe(start: int, end: int) -> None:
    """Overwrite memory of this process with zeros: addresses as /proc/PID/stat has them (env_start, env_end)."""
    (c_char * (end - start)).from_address(start).raw = bytes(end - start)


def mount_id(dirfd: int, path: bytes) -> int:
    """The id of the mount on which a walk to `path` ends (statx(2), STATX_MNT_ID, Linux 5.8); b"" is `dirfd` itself."""
    buffer = _buffer(abi.STATX_SIZE)
    flags = abi.AT_NO_AUTOMOUNT | (abi.AT_EMPTY_PATH if not path else 0)
    _fill(buffer, dirfd, path, flags, abi.STATX_MNT_ID)
    found: int = struct.unpack_from("=Q", buffer, abi.STATX_MNT_ID_OFFSET)[0]
    return found


def namespace_id(namespace: int) -> int:
    """The 64-bit id of a mount namespace, by a descriptor of it (ioctl_nsfs(2), Linux 6.11)."""
    buffer = bytearray(8)
    fcntl.ioctl(namespace, abi.NS_GET_MNTNS_ID, buffer)
    found: int = struct.unpack("=Q", buffer)[0]
    return found

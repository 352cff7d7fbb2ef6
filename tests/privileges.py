"""What this machine lets the tests do, found out by trying; never from a version, a uid or a capability set."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import (
    CLONE_NEWPID,
    CLONE_NEWUSER,
    FIRST_ID,
    NOBODY,
    enter_host,
    give_ranges,
    mount,
    run_in_child,
    unshare,
)

FSOPEN = 430
MOVE_MOUNT = 429
FSCONFIG = 431
FSMOUNT = 432
MOUNT_SETATTR = 442
STATMOUNT = 457
LISTMOUNT = 458
LSMT_ROOT = 0xFFFFFFFFFFFFFFFF
NS_GET_MNTNS_ID = 0x8008B705
STATMOUNT_SUPPORTED_MASK = 0x1000
STATMOUNT_MNT_UIDMAP = 0x2000
MOUNT_ATTR_IDMAP = 0x100000
AT_EMPTY_PATH = 0x1000
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 4


@functools.cache
def missing(name: str) -> str:
    """Why the tests cannot have `name`; "" if they can. Tried once a process, in a child.

    - "root": mounting in a private copy of the mount namespace, without a user namespace
    - "userns": the same as an ordinary user who is root in a user namespace
    - "nobody": giving root up for an ordinary user after such mounting
    - "id-ranges": an ordinary user with ranges of ids, which newuidmap and newgidmap map
    - "mountns": "root" or "userns", which is all that a throw-away host takes
    - "device-nodes": mknod of a character device, which works
    - "loop": a loop device for a file of ours
    - "set-group": MOVE_MOUNT_SET_GROUP (Linux 5.15)
    - "foreign-mounts": listmount(2) and statmount(2) of other mount namespaces (Linux 6.11)
    - "told-id-maps": statmount(2) that tells id-mappings (Linux 6.15), and that it does
    - "idmap-tmpfs": id-mapped mounts of tmpfs (Linux 6.3)
    - "new-proc": a new /proc in a pid namespace of one's own (a user may where nothing covers parts of the machine's)
    - "lowerdir+": overlays that take their layers one by one (Linux 6.8)
    - "layer-descriptors": overlays that take O_PATH descriptors as layers, and show their paths (Linux 6.13)
    - "memfd-noexec": a pid namespace in which no memfd can be executed (Linux 6.3)
    - "tmpfs-xattrs": extended attributes user.* in a tmpfs (Linux 6.6)
    - "fs:TYPE": a filesystem type that the kernel knows or can load (who may mount it is for "root" or "userns" to say)
    - "PROGRAM=VERSION": a program of that version, where a page says that its ways are told of that one
    - anything else: the name of a program
    """
    if name in _PROBES:
        return _try(_PROBES[name])
    if name.startswith("fs:"):
        return _try(functools.partial(_open_filesystem, name.removeprefix("fs:")))
    program, _, version = name.partition("=")
    found = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    if found is None:
        return f"there is no program {program} here"
    wanted = _numbers(version)
    told = version_of(found)[: len(wanted)] if version else ()
    return "" if told == wanted else f"{program} is {'.'.join(map(str, told))} here"


def version_of(program: str) -> tuple[int, ...]:
    """What it says of itself; () if that is nothing of the kind."""
    return _numbers(subprocess.run([program, "--version"], capture_output=True, text=True).stdout)


def _numbers(text: str) -> tuple[int, ...]:
    """The first version in a text."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def require(*names: str) -> None:
    """Skip the running test unless the machine has all of `names`; fail it if the machine is supposed to have them.

    It is supposed to when MOUNTPLAN_REQUIRE_KERNEL is set to anything but 0, as it is where the project is built.
    """
    reasons = [f"needs {name}: {reason}" for name in names if (reason := missing(name))]
    if reasons:
        if os.environ.get("MOUNTPLAN_REQUIRE_KERNEL", "0") not in ("", "0"):
            pytest.fail("; ".join(reasons) + " (and MOUNTPLAN_REQUIRE_KERNEL is set)", pytrace=False)
        pytest.skip("; ".join(reasons))


def _try(probe: Callable[[], None]) -> str:
    try:
        run_in_child(probe, timeout=30)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _mount_as_root() -> None:
    enter_host("root")
    mount("none", "/", "tmpfs")


def _mount_as_user() -> None:
    enter_host("userns")
    mount("none", "/", "tmpfs")


def _mount_and_become_nobody() -> None:
    enter_host("nobody")


def _mount_somehow() -> None:
    enter_host("best")
    mount("none", "/", "tmpfs")


def _make_device_node() -> None:
    enter_host("best")
    mount("none", "/tmp", "tmpfs")
    os.mknod("/tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with open("/tmp/null", "w") as file:  # in a user namespace mknod of a whiteout may work, opening never does
        file.write("x")


def _configure_loop() -> None:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    backing = os.memfd_create("loop-probe")
    os.truncate(backing, 1 << 20)
    # Another process can take the number between the two calls.
    for _ in range(20):
        number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        device = os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
        config = bytearray(304)  # struct loop_config: fd, block size, then struct loop_info64
        struct.pack_into("=II", config, 0, backing, 0)
        struct.pack_into("=I", config, 8 + 52, LO_FLAGS_AUTOCLEAR)
        try:
            fcntl.ioctl(device, LOOP_CONFIGURE, config)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        finally:
            os.close(device)
    raise OSError(errno.EBUSY, "every free loop device is taken by another process first")


def syscall(number: int, what: str, *args: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *args))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _open_filesystem(fstype: str) -> None:
    enter_host("best")
    syscall(FSOPEN, f"fsopen of {fstype}", fstype.encode(), ctypes.c_uint(0))


def _join_group() -> None:
    enter_host("best")
    mount("none", "/tmp", "tmpfs")
    os.mkdir("/tmp/copy")
    mount("/tmp", "/tmp/copy", flags=0x1000)
    mount("", "/tmp", flags=1 << 20)
    here = ctypes.c_int(-100)
    syscall(MOVE_MOUNT, "MOVE_MOUNT_SET_GROUP", here, b"/tmp", here, b"/tmp/copy", ctypes.c_uint(0x100))


def _map_ranges() -> None:
    for program in ("newuidmap", "newgidmap"):
        if not shutil.which(program):
            raise FileNotFoundError(f"there is no program {program} here (package uidmap)")
    enter_host("root")
    give_ranges()
    enter_host("nobody")
    child = os.fork()
    if child == 0:
        unshare(CLONE_NEWUSER)
        signal.pause()
    try:
        while os.readlink(f"/proc/{child}/ns/user") == os.readlink("/proc/self/ns/user"):
            time.sleep(0.01)
        map_of_both = ["0", str(NOBODY), "1", "1", str(FIRST_ID), "65536"]
        subprocess.run(["newgidmap", str(child), *map_of_both], check=True)
        subprocess.run(["newuidmap", str(child), *map_of_both], check=True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _list_mounts() -> None:
    _stat_mount(2)


def _tell_id_maps() -> None:
    answer = _stat_mount(STATMOUNT_SUPPORTED_MASK)
    if not struct.unpack_from("=Q", answer, 144)[0] & STATMOUNT_MNT_UIDMAP:
        raise OSError("statmount does not tell id-mappings")


def _map_tmpfs() -> None:
    enter_host("root")
    ready = os.pipe()
    child = os.fork()
    if child == 0:
        unshare(CLONE_NEWUSER)
        os.write(ready[1], b".")
        signal.pause()
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write("0 1000 1")
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    os.kill(child, signal.SIGKILL)
    context = syscall(FSOPEN, "fsopen", b"tmpfs", ctypes.c_uint(0))
    syscall(FSCONFIG, "fsconfig", ctypes.c_int(context), ctypes.c_uint(6), None, None, ctypes.c_int(0))
    tmpfs = syscall(FSMOUNT, "fsmount", ctypes.c_int(context), ctypes.c_uint(0), ctypes.c_uint(0))
    attr = struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)
    flags, size = ctypes.c_uint(AT_EMPTY_PATH), ctypes.c_size_t(len(attr))
    syscall(MOUNT_SETATTR, "an id-mapped tmpfs", ctypes.c_int(tmpfs), b"", flags, attr, size)


def _add_layer() -> None:
    enter_host("best")
    overlay = syscall(FSOPEN, "fsopen", b"overlay", ctypes.c_uint(0))
    try:
        syscall(FSCONFIG, "lowerdir+", ctypes.c_int(overlay), ctypes.c_uint(1), b"lowerdir+", b"/", ctypes.c_int(0))
        syscall(FSCONFIG, "lowerdir+", ctypes.c_int(overlay), ctypes.c_uint(1), b"lowerdir+", b"/-", ctypes.c_int(0))
    except FileNotFoundError:
        return  # it has been looked for
    raise OSError("lowerdir+ takes anything: this kernel looks at options when the overlay is made")


def _add_descriptor() -> None:
    enter_host("best")
    overlay = syscall(FSOPEN, "fsopen", b"overlay", ctypes.c_uint(0))
    layer = os.open("/", os.O_PATH | os.O_CLOEXEC)
    syscall(FSCONFIG, "lowerdir+", ctypes.c_int(overlay), ctypes.c_uint(5), b"lowerdir+", None, ctypes.c_int(layer))


def _set_attribute() -> None:
    enter_host("best")
    mount("none", "/tmp", "tmpfs")
    os.setxattr("/tmp", "user.probe", b"x")


def forbid_memfds() -> None:
    """From now on the caller's pid namespace, which must be one of its own, gets no memfd that can be executed."""
    Path("/proc/sys/vm/memfd_noexec").write_text("2")


def _forbid_memfds() -> None:
    enter_host("root")
    before = Path("/proc/sys/vm/memfd_noexec").read_text()
    in_pid_namespace(forbid_memfds)
    assert before == Path("/proc/sys/vm/memfd_noexec").read_text()


def in_pid_namespace(function: Callable[[], None]) -> None:
    """Call a function as process 1 of a new pid namespace, with its own /proc; it must end well."""
    unshare(CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        try:
            mount("proc", "/proc", "proc")
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert 0 == os.waitpid(child, 0)[1], "what it raised is on standard error"


def _mount_proc() -> None:
    enter_host("best")
    in_pid_namespace(lambda: None)


def _stat_mount(mask: int) -> bytes:
    """What statmount(2) says of some mount, when its namespace is named."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    number = bytearray(8)
    fcntl.ioctl(namespace, NS_GET_MNTNS_ID, number)
    everything = struct.pack("=IIQQQ", 32, 0, LSMT_ROOT, 0, struct.unpack("=Q", number)[0])
    found = ctypes.create_string_buffer(512)
    syscall(LISTMOUNT, "listmount", everything, found, ctypes.c_size_t(1), ctypes.c_uint(0))
    (mount,) = struct.unpack_from("=Q", found)
    one = struct.pack("=IIQQQ", 32, 0, mount, mask, struct.unpack("=Q", number)[0])
    syscall(STATMOUNT, "statmount", one, found, ctypes.c_size_t(512), ctypes.c_uint(0))
    return found.raw


_PROBES = {
    "id-ranges": _map_ranges,
    "root": _mount_as_root,
    "userns": _mount_as_user,
    "nobody": _mount_and_become_nobody,
    "mountns": _mount_somehow,
    "device-nodes": _make_device_node,
    "loop": _configure_loop,
    "set-group": _join_group,
    "memfd-noexec": _forbid_memfds,
    "foreign-mounts": _list_mounts,
    "told-id-maps": _tell_id_maps,
    "idmap-tmpfs": _map_tmpfs,
    "new-proc": _mount_proc,
    "lowerdir+": _add_layer,
    "layer-descriptors": _add_descriptor,
    "tmpfs-xattrs": _set_attribute,
}

"""What this kernel and this user can do, found out by trying, in a child process that is thrown away.

Never by version: features are backported, and a seccomp filter or a container takes away what the kernel has.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import struct
from collections.abc import Callable, Iterable

from mountplan.applier.probe.userns_trial import ask_for, open_loop_control
from mountplan.applier.sys import abi, chroot, syscalls
from mountplan.applier.sys.abi import NAMESPACE_FLAGS
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import ChildFailed, ChildKilled, in_child
from mountplan.applier.sys.kernel import LinuxKernel, tries_new
from mountplan.applier.sys.privilege import for_this_user, is_nested
from mountplan.applier.sys.refusal import (
    NEVER,
    USER_NAMESPACES,
    KernelRefusal,
    explain,
    function_of,
    is_root,
    numbered_otherwise,
    wrong_proc,
)
from mountplan.applier.sys.userns import Rootless, enter_alone, map_ids, mapped_ids, new_namespace
from mountplan.planner.fstypes import ROWS, of
from mountplan.planner.record import NamedTuple


class Finding(NamedTuple):
    """One feature: whether it works, what it is for, and if it does not what the kernel said and what to do."""

    feature: str
    works: bool
    said: str
    what: str
    remedy: str


class Feature(NamedTuple):
    """How one feature is tried: `attempt` runs in the child, in a namespace with a yard, and raises OSError."""

    what: str
    remedy: str
    attempt: Callable[[LinuxKernel, int], None]


_ENDED = "the process that tried it was ended"
_NOTHING = ""  # the name under which the child tells that there is nowhere to try anything
_AS_ROOT = "run it as root"
_NAMESPACES = f"{USER_NAMESPACES}, or run it as root"


def probe(features: Iterable[str] | None = None, rootless: Rootless = "auto") -> tuple[Finding, ...]:
    """Try `features` (names as in `Requirement.feature`), or all of them, in the order of the list.

    They are tried as building would have them: in a user namespace if it takes one, or as `rootless` says.
    Costs one process and a few dozen system calls. Raises OSError only if not even a process can be had.
    """
    names = tuple((*KNOWN, *(NEW if tries_new() else ())) if features is None else features)
    answer, say = os.pipe()
    child = syscalls.fork()
    if child == 0:
        os.close(answer)
        _child(names, rootless, say)
    os.close(say)
    try:
        with os.fdopen(answer, "rb") as file:
            said = dict(json.loads(line) for line in file)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    findings = []
    for name in names:
        feature = feature_of(name)
        words = said.get(name, _ENDED)
        remedy = for_this_user(_remedy(name, words, said.get(_NOTHING, ""), rootless)) if words else ""
        findings.append(Finding(name, not words, words, feature.what, remedy))
    return tuple(findings)


def _remedy(name: str, words: str, nothing: str, rootless: Rootless) -> str:
    """What helps if a feature was refused with `words`; `nothing` are those with which there was nowhere to try it."""
    if words.endswith(os.strerror(errno.ENOENT)) and (wrong := wrong_proc()):
        return wrong[1]
    if words.endswith(os.strerror(errno.ENOSPC)):
        return explain("isolate", errno.ENOSPC)[1]  # nothing else that is tried has a limit
    if words == _ENDED:
        return ChildKilled().remedy
    if words == _words(KernelRefusal(errno.EPERM, "unshare")):
        if is_root() and (wrong := wrong_proc()):
            return wrong[1]  # without it root does not get out of a chroot, where user namespaces are refused
        if chroot.has_no_mount():
            return f"{chroot.REMEDY} ({chroot.REFUSED})"
    call = words.partition(": ")[0].partition("(")[0].partition(" ")[0]
    if words.endswith(os.strerror(errno.ENOSYS)):
        return explain("", errno.ENOSYS, call if call.isidentifier() else "")[1]
    if call == "write" and words.endswith(os.strerror(errno.EPERM)):
        return explain("map_ids", errno.EPERM)[1]
    if words.endswith(os.strerror(errno.EPERM)) and is_root() and rootless != "always":
        return explain("", errno.EPERM, call if call.isidentifier() else "")[1]
    if words == nothing and call == "unshare":
        return NEVER if rootless == "never" else _NAMESPACES
    remedy = feature_of(name).remedy
    if not words.endswith(os.strerror(errno.EPERM)) or not call.isidentifier():
        return remedy
    if name.startswith("filesystem:") and call == "fsconfig":
        return f"{_AS_ROOT}: a user namespace may mount but few types"
    return remedy if remedy.startswith(_AS_ROOT) else explain("", errno.EPERM, call)[1]


def missing(features: Iterable[str], rootless: Rootless = "auto") -> tuple[Finding, ...]:
    """Those of `features` that do not work."""
    return tuple(finding for finding in probe(features, rootless) if not finding.works)


def feature_of(name: str) -> Feature:
    """The feature of this name; "filesystem:TYPE" stands for any filesystem type."""
    kind, _, fstype = name.partition(":")
    if kind == "filesystem":
        kind = of(fstype).shows if of(fstype).in_userns else ""
        takes = f" (without root, with {'an' if kind == 'ipc' else 'a'} {kind} namespace)" if kind else ""
        return Feature(
            f"mounting a new {fstype}{takes}",
            f"load the module (modprobe {fstype})",
            lambda kernel, yard: _filesystem(kernel, fstype),
        )
    return NEW[name] if name in NEW else FEATURES[name]


def _child(names: tuple[str, ...], rootless: Rootless, say: int) -> None:
    """Try everything, one line of JSON each: [name, "" or what the kernel said]."""
    try:
        kernel, yard, refused = LinuxKernel(enter_alone if rootless == "auto" else None), -1, ""
        early: dict[str, str] = {}
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            if rootless == "always":
                enter_alone()
            # These need a process whose "/" no yard covers, and must not change the one in which the rest is tried.
            early = {name: _forked(name, kernel) for name in names if name in _APART}
            kernel.unshare_mounts()
            kernel.make_private()
            yard = kernel.new_filesystem("tmpfs", "mountplan", ())
            kernel.attach(yard, abi.AT_FDCWD, "/")
        except OSError as error:
            refused = _words(error)
            os.write(say, json.dumps([_NOTHING, refused]).encode() + b"\n")
        for name in names:
            said = early[name] if name in early else refused or _tried(name, kernel, yard)
            os.write(say, json.dumps([name, said]).encode() + b"\n")
    finally:
        os._exit(0)


def _tried(name: str, kernel: LinuxKernel, yard: int) -> str:
    try:
        feature_of(name).attempt(kernel, yard)
    except OSError as error:
        return _words(error)
    return ""


def _forked(name: str, kernel: LinuxKernel) -> str:
    try:
        return in_child(lambda: _tried(name, kernel, -1))
    except ChildFailed:
        return _ENDED


def _words(error: OSError) -> str:
    call = function_of(error)
    call = f"{call}: " if call else ""
    said = f" ({'; '.join(error.log)})" if isinstance(error, KernelRefusal) and error.log else ""
    return f"{call}{error.strerror or error}{said}"


def _filesystem(kernel: LinuxKernel, fstype: str) -> None:
    """fsopen(2) knows the type; those that take no device are mounted as well, which shows whether this user may.

    Of others, a user namespace can be asked without harm. What shows a namespace may be mounted in a user namespace if
    that other one was made there.
    """
    try:
        context = syscalls.fsopen(fstype.encode())
        os.close(context)
        if of(fstype).may_be_tried:
            os.close(kernel.new_filesystem(fstype, fstype, ()))
        elif is_nested():
            ask_for(fstype)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EPERM or not of(fstype).shows:
            raise
        _in_own_namespace(of(fstype).shows, lambda: os.close(kernel.new_filesystem(fstype, fstype, ())))


def _in_own_namespace(kind: str, attempt: Callable[[], None]) -> None:
    def inside() -> None:
        syscalls.unshare(NAMESPACE_FLAGS[kind])
        if kind != "pid":
            return attempt()
        child = syscalls.fork()  # a pid namespace is for children
        if child == 0:
            number = errno.ECHILD
            try:
                attempt()
                number = 0
            except OSError as error:
                number = error.errno or number
            finally:
                os._exit(number)
        number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if number:
            raise OSError(number, os.strerror(number))
        return None

    in_child(inside)


def _mount_api(kernel: LinuxKernel, yard: int) -> None:
    mount = kernel.new_filesystem("tmpfs", "probe", ())
    kernel.set_attributes(mount, set=1)
    os.close(mount)
    os.close(kernel.clone(yard, ""))


def _set_group(kernel: LinuxKernel, yard: int) -> None:
    seed, mount = kernel.clone(yard, ""), kernel.clone(yard, "")
    kernel.set_attributes(seed, propagation=abi.MS_SHARED)
    kernel.join(seed, mount)


def _idmap(kernel: LinuxKernel, yard: int) -> None:
    """Tried on a tmpfs. That a tmpfs cannot be mapped (EINVAL, before 6.3) says nothing of other filesystems."""
    try:
        _idmap_tmpfs(kernel, yard)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EINVAL:
            raise


def _idmap_tmpfs(kernel: LinuxKernel, yard: int) -> None:
    kernel.unshare_mounts()
    mount = kernel.new_filesystem("tmpfs", "probe", ())
    lines = ((0, 0, 1),)
    kernel.set_attributes(mount, set=abi.MOUNT_ATTR_IDMAP, userns=kernel.id_mapping(lines, lines))


def _overlay_layers(kernel: LinuxKernel, yard: int) -> None:
    from mountplan.applier.sys.overlay import takes_single_layers

    if not takes_single_layers():
        raise OSError(errno.EINVAL, "no lowerdir+")


def _overlay_descriptors(kernel: LinuxKernel, yard: int) -> None:
    with closing_fd(syscalls.fsopen(b"overlay")) as context:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_FD, b"lowerdir+", None, yard)


def _foreign_mounts(kernel: LinuxKernel, yard: int) -> None:
    _stat_some_mount(abi.STATMOUNT_MNT_BASIC)


def _told_idmaps(kernel: LinuxKernel, yard: int) -> None:
    supported, *_ = _stat_some_mount(abi.STATMOUNT_SUPPORTED_MASK)[-5:]
    if not supported & abi.STATMOUNT_MNT_UIDMAP:
        raise OSError(errno.EOPNOTSUPP, "statmount does not tell them")


def _stat_some_mount(mask: int) -> tuple[int, ...]:
    """What statmount(2) tells of some mount, when its namespace is named."""
    from mountplan.applier.sys.syscalls import namespace_id

    with closing_fd(os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)) as namespace:
        number = namespace_id(namespace)
    (mount,) = syscalls.listmount(abi.LSMT_ROOT, number, 0, 1)
    buffer = bytearray(1024)
    syscalls.statmount(mount, number, mask, buffer)
    return struct.unpack_from(abi.STATMOUNT, buffer)


def _mknod(kernel: LinuxKernel, yard: int) -> None:
    os.mknod("null", 0o20600, os.makedev(1, 3), dir_fd=yard)


def _careful_walk(kernel: LinuxKernel, yard: int) -> None:
    os.close(kernel.open(yard, ""))


def _root_of_the_host(kernel: LinuxKernel, yard: int) -> None:
    """A copy of the host's mounts has peers of them if the host's mount namespace belongs to our user namespace."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(namespace, abi.NS_GET_USERNS)  # EPERM: it is none that we may know
    if not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user")):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    syscalls.unshare(abi.CLONE_NEWNS)


def _id_ranges(kernel: LinuxKernel, yard: int) -> None:
    with new_namespace() as pid:
        why = map_ids(pid)
        if why or min(mapped_ids(str(pid))) == 1:
            raise OSError(errno.EPERM, why or "/etc/subuid and /etc/subgid have no ranges for this user")


def _unshare(flags: int) -> Callable[[LinuxKernel, int], None]:
    def attempt(kernel: LinuxKernel, yard: int) -> None:
        try:
            syscalls.unshare(flags)
        except KernelRefusal as refusal:
            if refusal.errno != errno.EPERM or kernel.enter_user_namespace is None:
                raise
            kernel.enter_user_namespace()
            syscalls.unshare(flags)

    return attempt


def _own_proc(kernel: LinuxKernel, yard: int) -> None:
    if wrong := numbered_otherwise():
        raise OSError(errno.ESRCH, wrong[0])


def _one_path(kernel: LinuxKernel, yard: int) -> None:
    flags = abi.OPEN_TREE_NAMESPACE | abi.OPEN_TREE_CLOEXEC
    os.close(syscalls.open_tree(abi.AT_FDCWD, b"/", flags))


FEATURES: dict[str, Feature] = {
    "own_proc": Feature("/proc of this pid namespace", "mount it: mount -t proc proc /proc", _own_proc),
    "mount_namespace": Feature(
        "a mount namespace of its own", _NAMESPACES, lambda kernel, yard: kernel.unshare_mounts()
    ),
    "user_namespace": Feature(
        "user namespaces: working without root", _NAMESPACES, lambda kernel, yard: chroot.unshare_user()
    ),
    "id_ranges": Feature(
        "more than one user and group without root",
        "give the user ranges, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER; "
        "newuidmap and newgidmap are in the package uidmap, or shadow-utils",
        _id_ranges,
    ),
    "host_peer": Feature("being a peer in a group of the host's", _AS_ROOT, _root_of_the_host),
    "new_mount_api": Feature("building with detached mounts", "use Linux 5.12 or newer", _mount_api),
    "set_group": Feature("sharing: MOVE_MOUNT_SET_GROUP", "use Linux 5.15 or newer", _set_group),
    "openat2": Feature(
        "walking paths that cannot leave the tree", "use Linux 5.6 or newer, or allow openat2 in seccomp", _careful_walk
    ),
    "idmap": Feature("id-mapped mounts", "run it as root, on Linux 5.12 or newer", _idmap),
    "idmap_tmpfs": Feature("id-mapped mounts of tmpfs", "run it as root, on Linux 6.3 or newer", _idmap_tmpfs),
    "overlay_layers": Feature(
        "overlays of more than 60 layers (fewer work without)",
        "use Linux 6.8 or newer, or fewer layers",
        _overlay_layers,
    ),
    "overlay_descriptors": Feature(
        "capture: overlays that keep their changes in the host's directories",
        "use Linux 6.13 or newer; without, such an overlay is captured as unsupported if mountplan has built it",
        _overlay_descriptors,
    ),
    "foreign_mounts": Feature(
        "capture, diff, verify: mounts that no process sees from its root",
        "use Linux 6.11 or newer, or allow statmount and listmount in seccomp; without, such mounts are left out",
        _foreign_mounts,
    ),
    "told_idmaps": Feature(
        "capture: id-mappings of mounts",
        "use Linux 6.15 or newer; without, such mounts are captured without their mapping",
        _told_idmaps,
    ),
    "loop": Feature(
        "image files through loop devices",
        "run it as root, and load the module: modprobe loop",
        lambda kernel, yard: open_loop_control(),
    ),
    "mknod": Feature("device nodes", "run it as root, or bind the host's device files", _mknod),
    "pid_namespace": Feature("run: a pid namespace", _NAMESPACES, _unshare(abi.CLONE_NEWPID)),
    "net_namespace": Feature("run: a net namespace", _NAMESPACES, _unshare(abi.CLONE_NEWNET)),
    "ipc_namespace": Feature("run: an ipc namespace", _NAMESPACES, _unshare(abi.CLONE_NEWIPC)),
    "uts_namespace": Feature("run: a uts namespace", _NAMESPACES, _unshare(abi.CLONE_NEWUTS)),
    "cgroup_namespace": Feature("run: a cgroup namespace", _NAMESPACES, _unshare(abi.CLONE_NEWCGROUP)),
    "time_namespace": Feature("run: a time namespace", _NAMESPACES, _unshare(abi.CLONE_NEWTIME)),
}
# What no kernel had yet that mountplan was tried on: used with MOUNTPLAN_TRY_NEW=1 only.
NEW: dict[str, Feature] = {
    "one_path_namespace": Feature(
        "a mount namespace of one path, for trees in which all is new",
        "use Linux 7.0 or newer; without, the host's mount table is copied first, as ever",
        _one_path,
    )
}
KNOWN: tuple[str, ...] = (*FEATURES, *(f"filesystem:{one.name}" for one in ROWS if one.asked_for))
_APART = frozenset(
    {"own_proc", "mount_namespace", "user_namespace", "id_ranges", "host_peer", "idmap", "idmap_tmpfs"}
    | {name for name in FEATURES if name.endswith("_namespace")}
)

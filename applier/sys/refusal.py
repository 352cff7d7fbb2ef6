"""What the kernel's refusals mean, and what to do about them."""

from __future__ import annotations

import errno as E
import os
from itertools import islice

from mountplan.applier.sys.abi import MACHINES, USER_NS_INIT_INO
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.fstypes import ROWS
from mountplan.planner.light import TypeVar

# What a filter, a limit or want of memory refuses: that says nothing of what was asked for.
OF_THE_SYSTEM = frozenset({E.EPERM, E.ENOSYS, E.ENOMEM, E.EMFILE, E.ENFILE})
# Of these, what says so to any user, of whatever he asks.
OF_WANT = OF_THE_SYSTEM - {E.EPERM, E.ENOSYS}

_Row = TypeVar("_Row")


class KernelRefusal(OSError):
    """One system call said no. `errno` is the kernel's; `log` is what a filesystem said on its fsopen descriptor."""

    def __init__(self, number: int, syscall: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(number, os.strerror(number))
        self.syscall = syscall
        self.log = log


class Occupied(KernelRefusal):
    """We say no, since the kernel would not: what a step is to have for itself is in use. Both texts are for people."""

    def __init__(self, meaning: str, remedy: str) -> None:
        super().__init__(E.EBUSY, "")
        self.meaning = meaning
        self.remedy = remedy


_ROOT_FIRST = "run it as root"
USER_NAMESPACES = (
    "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns; in a chroot there are none)"
)
_ALLOW_USERNS = f"{_ROOT_FIRST}, or {USER_NAMESPACES}"

_AGAIN = "make it a directory again, or plan again"
_OF_OVERLAYS = (
    "a layer may be neither an upper or work directory of another overlay nor in a proc; upper and work are on one "
    "mount that can be written to, of a filesystem with xattr; some options exclude each other; the kernel's log "
    "(dmesg) tells which of these it is"
)

NEVER = "run it as root, or without --rootless never"


def _each(rows: dict[tuple[str, int], _Row]) -> dict[tuple[str, int], _Row]:
    """A row for each of the kinds that share one."""
    return {(kind, number): row for (kinds, number), row in rows.items() for kind in kinds.split("|")}


# (kind of step, errno) -> (meaning, remedy). A kind of "" holds for every step. The words of errno(3) come with it.
_MEANINGS: dict[tuple[str, int], tuple[str, str]] = _each({
    ("unshare_namespace", E.EPERM): ("this user may create neither a mount namespace nor a user namespace",
        _ALLOW_USERNS),
    ("isolate", E.EPERM): ("this user may not do that, not even in a user namespace", _ALLOW_USERNS),
    ("map_ids", E.EPERM): ("root without CAP_SETFCAP may give user 0 to no user namespace",
        "give the container CAP_SYS_ADMIN, or CAP_SETFCAP, or run it as another user"),
    ("isolate", E.ENOSPC): ("the limit of namespaces is reached", "raise sysctl user.max_*_namespaces"),
    ("isolate", E.EINVAL): ("this kernel is built without that kind of namespace", "leave it out of run.unshare"),
    ("enter", E.EINVAL): ("a process with several threads cannot enter a user or mount namespace",
        "call it from a process that has one thread"),
    ("fork", E.EAGAIN): ("no more processes are allowed", "raise the limit: ulimit -u, or pids.max of the cgroup"),
    ("make_filesystem", E.ENODEV): ("this kernel does not know the filesystem type",
        "check the spelling of type, or load the module (modprobe)"),
    ("make_filesystem", E.EPERM): ("this filesystem type may not be mounted by this user",
        f"run it as root; in a user namespace only {', '.join(one.name for one in ROWS if one.in_userns)} can be"),
    ("make_filesystem", E.EBUSY): ("it is in use already, and not as this mount would have it",
        "leave out options, or give them to the one that there is first; `findmnt -A` and `lsblk` tell who has it"),
    ("make_filesystem", E.EINVAL): ("the filesystem does not take an option or its value", "correct options"),
    ("make_overlay", E.EBUSY): ("another overlay has its upper or work directory",
        "give each overlay directories of its own, or end the other one first"),
    ("make_overlay", E.EINVAL): ("the overlay does not take these layers or options", _OF_OVERLAYS),
    ("make_overlay", E.E2BIG): ("this kernel takes all layers in one string of 255 bytes",
        "use fewer layers (60 always fit), or Linux 6.8 or newer"),
    ("attach_image", E.EINVAL): ("the image does not hold a filesystem of this type, or does not take an option",
        "check type and image (file IMAGE tells what it is)"),
    ("attach_image", E.EIO): ("the filesystem cannot be read: it is damaged, or the image ends before it",
        "check offset and size, if there are some, and the image (file IMAGE tells what it is)"),
    ("attach_image", E.ENOMEM): (  # the answer of ext4 where it cannot read its superblock at all
        "the image ends before its filesystem begins, or the kernel has no memory",
        "check the image (file IMAGE tells what it is), or free memory"),
    ("attach_image", E.EBUSY): ("the image is in use, and not as this mount would use it",
        "where it is mounted without ro, it cannot be mounted with it: `losetup -a` and `findmnt -A` tell who has it"),
    ("attach_image", E.EROFS): ("the image is on a filesystem that is read-only",
        "write options = { ro = true }, or have that filesystem mounted for writing"),
    ("attach_image|make_filesystem", E.ENXIO): ("no device is behind that file",
        "name another one (`lsblk` lists those that there are), or load the module of its driver"),
    ("attach_image", E.ENOENT): ("there is no loop device",
        "load the loop module (modprobe loop), or run where /dev/loop-control exists"),
    ("clone_host", E.EINVAL): (
        "the host's mount cannot be cloned: it is unbindable, or a mount below it is locked by a user namespace",
        "write recursive = true, or make it bindable on the host"),
    ("clone_host|clone_host_workbench|take_host_group|copy_contents|image file", E.ENOENT): (
        "the host path is no longer there", "create it, or plan again"),
    ("clone_host|clone_host_workbench", E.ESTALE): (
        "the host has the file of another namespace there than when this was planned", "plan again"),
    ("make_overlay", E.ENOENT): ("a layer is no longer there", "create it, or plan again"),
    ("make_overlay", E.EMEDIUMTYPE): ("its upper or work directory is no directory any more", _AGAIN),
    ("overlay layer", E.EINVAL): ("a layer is no directory any more", _AGAIN),
    ("clone_mount", E.ENOENT): ("nothing is there in that filesystem", "correct the path, or have it made there"),
    ("clone_mount", E.ELOOP): ("it is a symlink, or behind one", "write the path that it leads to"),
    ("attach", E.ENOENT): ("the mountpoint is not there",
        "correct target, or create it there if the filesystem takes that (create = true does so in binds of the host)"),
    ("attach", E.ELOOP): ("a symlink is on the way to the mountpoint",
        'write the path it leads to as the target, or on_symlink = "follow"'),
    ("attach", E.ENOTDIR): ("a directory can be mounted on a directory only, a file on a file",
        "correct target or bind, or plan again if what is bound has changed"),
    ("attach", E.EINVAL): (
        "it cannot be mounted there: a directory can be mounted on a directory only, a file on a file",
        "correct target or bind, or plan again if what is bound has changed"),
    ("attach", E.EXDEV): ("another mount is on the way to the mountpoint",
        "name that mount as parent, or bind without recursive"),
    ("attach", E.ENOSPC): ("the namespace would hold more mounts than the kernel allows",
        "raise sysctl fs.mount-max, or mount less"),
    ("copy_contents", E.EPERM): ("this user may not create it as it is",
        "run it as root (a user namespace has no device nodes, and only owners that it maps), or take it out"),
    ("copy_contents", E.EINVAL): ("an owner has no number in this user namespace",
        "run it as root, or let the files belong to the user who runs it"),
    ("copy file", E.EINVAL): ("what is there cannot be read like a file", "leave it out of the directory of contents"),
    ("copy_contents", E.ENOTDIR): ("it is no directory any more", _AGAIN),
    ("copy_contents", E.ENOTSUP): ("the filesystem has no such extended attributes",
        "remove them from the directory of contents (tmpfs has user.* since Linux 6.6)"),
    ("copy_contents", E.ENOSPC): ("the filesystem is full", "raise its size and nr_inodes"),
    ("copy_contents", E.EMFILE): ("the tree is too deep to be copied", "raise the hard limit: ulimit -Hn"),
    ("make_node", E.ENOENT): ("what it is copied from, or the directory that it is made in, is no longer there",
        "create it, or plan again"),
    ("make_node|copy_contents", E.EACCES): ("this user may not read what it is copied from, or write where it is made",
        "let this user do so, run it as root, or leave it out"),
    ("make_node", E.EROFS): ("the filesystem is read-only, so nothing can be created in it",
        "create it there beforehand, or leave out ro, or give an overlay an upper layer"),
    ("make_node", E.EPERM): ("this user may not create it",
        "run it as root (a user namespace cannot create device nodes)"),
    ("make_node|make_mountpoint", E.ENOSPC): ("the filesystem is full",
        "raise its size, and nr_inodes if that is given"),
    ("make_mountpoint", E.EROFS): ("the filesystem is read-only, so the mountpoint cannot be created",
        "create it there beforehand, or leave out ro"),
    ("make_seed", E.EINVAL): (
        "it cannot be in that group: if that is of the host, its mount there may no longer be shared",
        "make it shared on the host again (mount --make-shared), or plan again"),
    ("join_group", E.EINVAL): ("the kernel does not let this mount join its sharing group",
        "this kernel may be without MOVE_MOUNT_SET_GROUP (Linux 5.15)"),
    ("remove_mount", E.EBUSY): ("something has been mounted on it since it was planned",
        "plan again, or write recursive = true to remove that as well"),
    ("remove_mount", E.EINVAL): (
        "nothing is mounted there any more, or it is locked, as part of what a more privileged user has mounted",
        "plan again, or leave it where it is: mount something over it"),
    ("bind_over", E.EINVAL): ("the kernel makes no copy of what is there", "plan again, or name another path"),
    ("change_mounts", E.EINVAL): ("it is no mountpoint any more", "plan again"),
    ("change_mounts|set_attributes", E.EPERM): (
        "an attribute that was locked by a more privileged namespace cannot be cleared",
        "leave the attribute as the host has it"),
    ("set_attributes", E.EINVAL): ("this filesystem does not take these attributes",
        "an id-mapping needs a filesystem that allows it, and each mount can be mapped once only"),
    ("set_attributes", E.EBUSY): (
        "a process has a file open there for writing, which it has opened since it was looked at, or from elsewhere",
        "plan again: for processes in the tree the mount is swapped; let others close it, or end them"),
    ("reconfigure", E.EBUSY): (
        "it cannot be made read-only while a process has a file open there for writing, or one that was removed",
        "let it close the file, or end it; or have ro in attributes: for processes in the tree the mount is swapped"),
    ("reconfigure", E.EINVAL): (
        "the filesystem does not take the option or its value, or what is in it needs more by now",
        "correct options: size and nr_inodes have to be enough for what is there; or remove some of it inside"),
    ("make_private|enter_root", E.EINVAL): (
        "pivot_root does not work here: the namespace's root is the initial ramfs, or on a shared mount",
        "mount a filesystem on / first, and make the one below it private"),
    ("keep", E.ENOSPC): ("no space is left there", "make room: `mountplan ls` shows what is kept, df(1) what is full"),
    ("keep", E.EDQUOT): ("the quota there is used up", "make room"),
    ("save", E.ENOSPC): ("no space is left there", "make room, or name a file elsewhere"),
    ("save", E.EDQUOT): ("no space is left there", "make room, or name a file elsewhere"),
    ("write|sendfile|ftruncate|save|keep", E.EFBIG): ("it would be larger than a file may be",
        "raise the limit: ulimit -f"),
    ("keep", E.ELOOP): (  # as giving_younger() has it
        "the kernel keeps younger mount namespaces only, and counts what the CPUs of this process make as older",
        "let it use all CPUs (taskset, AllowedCPUs=), or run it in the first mount namespace of the machine"),
    ("keep", E.EROFS): ("it is read-only there", "mount /run for writing"),
    ("read|sendfile", E.EAGAIN): ("there is nothing to be read there at this moment",
        "leave it out, or name what can be read to its end"),
    ("", E.EPERM): ("this user may not do that", _ROOT_FIRST),
    ("", E.EMEDIUMTYPE): ("it was a file when it was planned, and is none any more",
        "make it a file again, or plan again; if it happens again, something on the host is swapping paths"),
    ("", E.ELOOP): ("a part of the path has become a symlink since it was planned",
        "plan again; if it happens again, something on the host is swapping paths"),
    ("", E.EMFILE): ("too many open files", "raise the limit: ulimit -n"),
    ("", E.ENFILE): ("too many open files on this machine", "raise sysctl fs.file-max"),
    ("", E.ENOMEM): ("the kernel has no memory for it",
        "free memory, or raise the limit (of the cgroup, or ulimit -d, -v)"),
    ("", E.ENOSPC): ("no space is left, or a limit of the kernel is reached", "see sysctl fs.mount-max"),
    ("", E.EINTR): ("a signal came in between", "try again"),
    ("", E.EAGAIN): ("it cannot be had at this moment", "try again"),
})  # fmt: skip

# Of these rows, the calls that they tell of: another one of the step that answers the same is not meant.
_TELLS_OF: dict[tuple[str, int], tuple[str, ...]] = _each({
    ("unshare_namespace", E.EPERM): ("unshare",),
    ("isolate", E.EPERM): ("unshare", "setns", "write"),
    ("isolate", E.ENOSPC): ("unshare",),
    ("isolate", E.EINVAL): ("unshare",),
    ("enter", E.EINVAL): ("setns",),
    ("fork", E.EAGAIN): ("fork",),
    ("make_filesystem|make_overlay|attach_image|reconfigure", E.EINVAL): ("fsconfig",),
    ("make_overlay|reconfigure", E.EBUSY): ("fsconfig",),
    ("make_overlay", E.E2BIG): ("fsconfig",),
    ("attach_image", E.EIO): ("fsconfig",),
    ("attach_image", E.ENOMEM): ("fsconfig",),
    ("make_filesystem", E.ENODEV): ("fsopen", "fsconfig"),
    ("make_filesystem", E.EPERM): ("fsconfig", "fsmount"),
    ("make_filesystem", E.EBUSY): ("fsconfig", "fsmount"),
    ("make_node", E.EPERM): ("mknod", "mknodat", "chown", "chmod", "fchown", "fchmod"),
    ("attach_image", E.EBUSY): ("fsconfig", "ioctl", "open"),
    ("attach_image", E.ENOENT): ("open",),
    ("attach_image", E.EROFS): ("open",),
    ("clone_host|bind_over", E.EINVAL): ("open_tree", "open_tree_attr"),
    ("attach|join_group|make_seed", E.EINVAL): ("move_mount",),
    ("keep", E.ELOOP): ("move_mount",),
    ("attach", E.ENOSPC): ("move_mount",),
    ("attach", E.EXDEV): ("openat2",),
    ("set_attributes", E.EBUSY): ("mount_setattr",),
    ("remove_mount", E.EBUSY): ("umount2",),
    ("remove_mount", E.EINVAL): ("umount2",),
    ("change_mounts|set_attributes", E.EINVAL): ("mount_setattr",),
    ("change_mounts|set_attributes", E.EPERM): ("mount_setattr",),
    ("make_private|enter_root", E.EINVAL): ("pivot_root",),
})  # fmt: skip

NO_PROC = (
    "there is no /proc of this process here, where its mounts and namespaces are read and written",
    "mount it: mount -t proc proc /proc",
)
FOREIGN_PROC = (
    "/proc is that of another pid namespace, where this process is not, or has another number",
    "mount this one's: mount -t proc proc /proc",
)

HIDING_PROC = (
    "/proc hides processes that this user may not trace, as the protected ones of mountplan (hidepid)",
    "run it as root, or mount another one: mount -o remount,hidepid=0 /proc",
)

# The calls that the kernel itself lets every process make: one that is answered EPERM has a filter in the way.
_EVERYBODYS = frozenset(
    {
        "capget", "chdir", "close_range", "dup2", "fchdir", "fcntl", "fork", "getcwd", "getdents64", "inotify_init1",
        "listdir", "memfd_create", "openat2", "pidfd_open", "pipe", "poll", "prctl", "readlink", "readlinkat",
        "scandir", "sched_getaffinity", "sched_setaffinity", "setsid", "signalfd", "socket", "stat", "statx", "wait",
        "wait4", "waitid",
    }
)  # fmt: skip

# The capability that a call takes where it is another than CAP_SYS_ADMIN, and its number.
_TAKES = {
    "chmod": ("CAP_FOWNER", 3), "chown": ("CAP_CHOWN", 0), "chroot": ("CAP_SYS_CHROOT", 18), "kill": ("CAP_KILL", 5),
    "mknod": ("CAP_MKNOD", 27),
}  # fmt: skip
_SYS_ADMIN = ("CAP_SYS_ADMIN", 21)

# The calls that even root's may be refused because of an attribute of what they are for.
_OF_IMMUTABLE = frozenset({"mkdirat", "open", "unlinkat"})

# What the C library makes of its functions, and what profiles therefore have to name.
_IN_PROFILES = {
    "fork": "clone", "fstat": "fstat and newfstatat", "open": "openat", "pipe": "pipe2", "pread": "pread64",
    "signalfd": "signalfd4", "stat": "newfstatat", "wait": "wait4",
    **dict.fromkeys(("listdir", "scandir"), "openat, fstat, newfstatat, fcntl and getdents64"),
}  # fmt: skip

# The version of Linux from which on there is a call; it is a filter that takes the older ones away.
_SINCE = {
    "open_tree": "5.2", "move_mount": "5.2", "fsopen": "5.2", "fsconfig": "5.2", "fsmount": "5.2", "fspick": "5.2",
    "pidfd_open": "5.3", "openat2": "5.6", "close_range": "5.9", "mount_setattr": "5.12", "statmount": "6.8",
    "listmount": "6.8",
}  # fmt: skip

# What `mountplan doctor` tries: where one of these calls fails, it shows what else does.
_TRIED_BY_DOCTOR = frozenset({*_SINCE, "unshare", "mknod", "mknodat"} - {"fspick", "pidfd_open", "close_range"})


def explain(kind: str, number: int, syscall: str = "") -> tuple[str, str]:
    """(what `errno` means for a step of this kind, or else for this call; what to do); the errno's own words first."""
    if kind == "attach_image" and syscall == "openat2":
        kind = "image file"  # what is missing is not a device
    if kind == "copy_contents" and number == E.EINVAL and not syscall.startswith("cannot give it to"):
        kind = "copy file"  # it is no owner that has no number
    call = syscall.partition("(")[0].partition(" ")[0]
    if not call.isidentifier():
        call = ""  # a file, where even the source cannot be read that has the call
    if kind == "make_filesystem" and number == E.EPERM and syscall.startswith("fsconfig("):
        kind = ""  # an option: which types may be mounted is settled by what comes after
    if kind == "map_ids" and (number != E.EPERM or os.geteuid()):
        kind = "isolate"
    if kind == "make_overlay" and call == "mount_setattr":
        kind = "set_attributes"  # the id-mapping of a layer
    if kind == "make_overlay" and call == "move_mount":
        kind = "overlay layer"  # to a directory of ours
    # Every process may make these calls: who answers that it may not is a filter, whatever the call was for.
    told = call in _TELLS_OF.get((kind, number), (call,)) or not call
    known = None if not told or (call in _EVERYBODYS and number == E.EPERM) else _MEANINGS.get((kind, number))
    known = known or _of_call(call, number, syscall.partition(" ")[2]) or _MEANINGS.get((call, number))
    meaning, remedy = known or _MEANINGS.get(("", number)) or _otherwise(call, told=told)
    if number == E.EPERM and remedy.startswith(_ROOT_FIRST) and is_root():
        capability, bit = _TAKES.get(call.removesuffix("at").removeprefix("f"), _SYS_ADMIN)
        missing = "" if _has_capability(bit) else f"{capability} is missing, or "
        meaning = f"root may not do that here: {missing}a filter (seccomp, a security module) says no"
        give = f"give the container {capability}, and " if missing else ""
        if call in _OF_IMMUTABLE:
            meaning += ", or it is immutable"
            give = f"take that from it if `lsattr` shows an i (chattr -i), or {give}"
        remedy = f"{give}{_allow(call, 'its seccomp profile')}"
    elif number == E.EACCES and kind in ("make_node", "copy_contents") and is_root():
        meaning = (
            "root may not do that here: it can only be written to, as some files of /proc and /sys, it is of a process "
            "that is protected, or a security module says no"
        )
        remedy = "leave it out; of a process, run it where root has CAP_SYS_PTRACE over that, as on the host"
    elif number == E.EPERM and remedy == _ROOT_FIRST and call:
        meaning, remedy = f"{meaning}, or a filter says no", f"{remedy}, or {_allow(call)}"
    words = f"{os.strerror(number)} ({E.errorcode.get(number, number)})"
    return (f"{words}: {meaning}" if meaning else words), remedy


def _of_call(call: str, number: int, path: str) -> tuple[str, str] | None:
    """What an errno means that tells more of the call, and of the path that it was for, than of what it was for."""
    if call == "syscall":  # syscalls.check_machine()
        what = "mountplan does not know the numbers of this machine's system calls"
        return what, f"run it on one of {', '.join(sorted(MACHINES))}"
    if number == E.ENOSYS and (since := _SINCE.get(call)):
        what = "this kernel, or a seccomp filter, does not have the call"
        return what, f"use Linux {max(since, '5.15', key=_version)} or newer, or {_allow(call)}"
    if number == E.ENOSYS or (number == E.EPERM and call in _EVERYBODYS):
        return "a seccomp filter does not let the call through", _allow(call)
    if number == E.ENOENT and (wrong := wrong_proc()):
        return wrong
    if number == E.ENOENT and path.startswith("/proc/") and _hides_processes():
        return HIDING_PROC
    if number == E.EROFS and path.startswith("/proc/"):
        return "/proc is read-only here", "mount it for writing: mount -o remount,rw /proc"
    if number == E.EINVAL and call == "renameat2":  # what the C library makes of ENOSYS
        return "this kernel, a filter or the filesystem does not let names change places", _allow(call)
    if number == E.ENOSPC and call in ("unshare", "open_tree", "fsmount"):
        what = "the limit of namespaces is reached, of which each detached mount has one"
        return what, "raise sysctl user.max_mnt_namespaces or user.max_user_namespaces"
    return None


def wrong_proc() -> tuple[str, str] | None:
    """What is the matter with /proc, and what to do, if this process finds nothing of itself there; else None."""
    try:
        os.readlink("/proc/self")
    except OSError as error:
        if error.errno in (E.ENOENT, E.ENOTDIR):
            return FOREIGN_PROC if os.path.lexists("/proc/self") else NO_PROC
    return None


def _hides_processes() -> bool:
    """Whether a /proc was mounted such that not every process is seen in it. False too if that cannot be seen."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return any(b" /proc " in line and b"hidepid=" in line for line in file)
    except OSError:
        return False


def numbered_otherwise() -> tuple[str, str] | None:
    """As wrong_proc(), and if processes have other numbers in /proc: there a child's would be another process's."""
    try:
        same = os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return wrong_proc()
    return None if same else FOREIGN_PROC


def _allow(call: str, where: str = "the seccomp profile of the container or service") -> str:
    return f"allow {_IN_PROFILES.get(call, call) or 'the call'} in {where}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _otherwise(call: str, *, told: bool) -> tuple[str, str]:
    if not told:
        return "", f"look for a seccomp filter or a security module that answers so, and allow {call} there"
    return "", "`mountplan doctor` tells what works here" if call in _TRIED_BY_DOCTOR else ""


def is_root() -> bool:
    """Root of the machine, as far as it can be seen: for whom there is nobody else to be."""
    if os.geteuid():
        return False
    try:
        return os.stat("/proc/self/ns/user").st_ino == USER_NS_INIT_INO
    except OSError:
        return True


def _has_capability(bit: int) -> bool:
    """False too if that cannot be seen."""
    try:
        with open("/proc/self/status", "rb") as file:
            return bool(int(file.read().partition(b"\nCapEff:")[2].split(None, 1)[0], 16) & 1 << bit)
    except (OSError, IndexError):
        return False


def call_of(error: OSError) -> str:
    """The name of the system call that has failed, or what it was about, or ""."""
    name: str = getattr(error, "syscall", "") or (error.filename if isinstance(error.filename, str) else "")
    return name


# The system call behind a function of Python's that is called otherwise.
_BEHIND = {"next": "getdents64", "waitpid": "wait4"}
# The same where it is given a directory to begin at.
_AT = {name: f"{name}at" for name in ("link", "mkdir", "mknod", "readlink", "rename", "symlink", "unlink")} | {
    "rmdir": "unlinkat", "replace": "renameat",
}  # fmt: skip

Place = tuple[str, int, int, int]  # file, line, and from which to which byte of it


def function_of(error: OSError) -> str:
    """As call_of(), with the function of Python's own that has failed: os.fork(), say, puts no name into its error.

    It is read from the source. So not in a process whose root may be another: what lies there at its path is not ours.
    """
    if getattr(error, "syscall", ""):
        return call_of(error)
    place = place_of(error)
    return " ".join(filter(None, (function_at(place) if place else "", call_of(error))))


def place_of(error: OSError) -> Place | None:
    """Where in the source the call was made that has failed, for function_at() of another process."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    line, last, begin, end = next(islice(code.co_positions(), trace.tb_lasti // 2, None))
    if line is None or begin is None or end is None:
        return None
    return code.co_filename, line, begin, end if last == line else 1 << 20


def function_at(place: Place) -> str:
    """The name of the function that is called there; "" if the source cannot be read."""
    path, line, begin, end = place
    if path.startswith("<frozen "):  # one of the modules that Python has in itself, such as posixpath
        path = f"{os.path.dirname(os.__file__)}/{path[8:-1].replace('.', '/')}.py"
    try:
        with open(path, "rb") as file:
            text = next(islice(file, line - 1, None))[begin:end]
    except (OSError, StopIteration):
        return ""
    name = text.partition(b"(")[0].rpartition(b".")[2].decode(errors="replace")
    if b"dir_fd" in text and name in _AT:
        return _AT[name]
    return _BEHIND.get(name, name) if name.isidentifier() else ""


def in_words(error: OSError) -> str:
    """What has failed and why, in the middle of a sentence."""
    call = function_of(error)
    return f"{call}{call and ': '}{(error.strerror or str(error)).lower()} ({E.errorcode.get(error.errno or 0, '?')})"


def refused(what: str, error: OSError, kind: str = "") -> NamespaceRefused:
    """What to raise if `what` ("cannot ...") failed with `error`; `kind` as for explain()."""
    call = function_of(error)
    return NamespaceRefused(f"{what}: {call}" if call else what, *explain(kind, error.errno or 0, call))

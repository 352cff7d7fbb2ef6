"""What the kernel's refusals mean, and what to do about them."""

from __future__ import annotations

import errno as E
import os

from mountplan.applier.sys.abi import MACHINES
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.fstypes import ROWS


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


_ALLOW_USERNS = (
    "run it as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns)"
)

NEVER = "run it as root, or without --rootless never"

# (kind of step, errno) -> (meaning, remedy). A kind of "" holds for every step. The words of errno(3) come with it.
_MEANINGS: dict[tuple[str, int], tuple[str, str]] = {
    ("unshare_namespace", E.EPERM): (
        "this user may create neither a mount namespace nor a user namespace",
        _ALLOW_USERNS,
    ),
    ("unshare_namespace", E.ENOSPC): (
        "the limit of namespaces is reached",
        "raise sysctl user.max_mnt_namespaces or user.max_user_namespaces",
    ),
    ("unshare_namespace", E.ENOSYS): (
        "mountplan does not know the numbers of this machine's system calls",
        f"run it on one of {', '.join(sorted(MACHINES))}",
    ),
    ("isolate", E.EPERM): (
        "this user may not do that, not even in a user namespace",
        _ALLOW_USERNS,
    ),
    ("isolate", E.ENOSPC): ("the limit of namespaces is reached", "raise sysctl user.max_*_namespaces"),
    ("isolate", E.EINVAL): (
        "this kernel is built without that kind of namespace",
        "leave it out of run.unshare",
    ),
    ("enter", E.EINVAL): (
        "a process with several threads cannot enter a user or mount namespace",
        "call it from a process that has one thread",
    ),
    ("fork", E.EAGAIN): (
        "no more processes are allowed",
        "raise the limit: ulimit -u, or pids.max of the cgroup",
    ),
    ("make_filesystem", E.ENODEV): (
        "this kernel does not know the filesystem type",
        "check the spelling of type, or load the module (modprobe)",
    ),
    ("make_filesystem", E.EPERM): (
        "this filesystem type may not be mounted by this user",
        f"run it as root; in a user namespace only {', '.join(one.name for one in ROWS if one.in_userns)} can be",
    ),
    ("make_filesystem", E.EBUSY): (
        "it is in use already, and not as this mount would have it",
        "leave out options, or give them to the one that there is first; `findmnt -A` and `lsblk` tell who has it",
    ),
    ("make_filesystem", E.EINVAL): ("the filesystem does not take an option or its value", "correct options"),
    ("make_overlay", E.EBUSY): (
        "another overlay has its upper or work directory",
        "give each overlay directories of its own, or end the other one first",
    ),
    ("make_overlay", E.EINVAL): (
        "the overlay does not take these layers or options",
        "a layer may not be an upper or work directory of another overlay; upper and work need a filesystem with xattr",
    ),
    ("make_overlay", E.E2BIG): (
        "this kernel takes all layers in one string of 255 bytes",
        "use fewer layers (60 always fit), or Linux 6.8 or newer",
    ),
    ("attach_image", E.EINVAL): (
        "the image does not hold a filesystem of this type, or does not take an option",
        "check type and image (file IMAGE tells what it is)",
    ),
    ("attach_image", E.EBUSY): (
        "the image is in use, and not as this mount would use it",
        "where it is mounted without ro, it cannot be mounted with it: `losetup -a` and `findmnt -A` tell who has it",
    ),
    ("attach_image", E.ENOENT): (
        "there is no loop device",
        "load the loop module (modprobe loop), or run where /dev/loop-control exists",
    ),
    ("clone_host", E.EINVAL): (
        "the host's mount cannot be cloned: it is unbindable, or a mount below it is locked by a user namespace",
        "write recursive = true, or make it bindable on the host",
    ),
    **dict.fromkeys(
        (
            (kind, E.ENOENT)
            for kind in ("clone_host", "clone_host_workbench", "take_host_group", "copy_contents", "image file")
        ),
        ("the host path is no longer there", "create it, or plan again"),
    ),
    ("make_overlay", E.ENOENT): ("a layer is no longer there", "create it, or plan again"),
    ("attach", E.ENOENT): (
        "the mountpoint is not there",
        "create it in the filesystem, write create = true on the mount, or correct target",
    ),
    ("attach", E.ELOOP): (
        "a symlink is on the way to the mountpoint",
        'write the path it leads to as the target, or on_symlink = "follow"',
    ),
    ("attach", E.ENOTDIR): (
        "a directory can be mounted on a directory only, a file on a file",
        "correct target or bind",
    ),
    ("attach", E.EINVAL): (
        "it cannot be mounted there: a directory can be mounted on a directory only, a file on a file",
        "correct target or bind",
    ),
    ("attach", E.EXDEV): (
        "another mount is on the way to the mountpoint",
        "name that mount as parent, or bind without recursive",
    ),
    ("attach", E.ENOSPC): (
        "the namespace would hold more mounts than the kernel allows",
        "raise sysctl fs.mount-max, or mount less",
    ),
    ("copy_contents", E.EPERM): (
        "this user may not create it as it is",
        "run it as root (a user namespace has no device nodes, and only owners that it maps), or take it out",
    ),
    ("copy_contents", E.EINVAL): (
        "an owner has no number in this user namespace",
        "run it as root, or let the files belong to the user who runs it",
    ),
    ("copy_contents", E.ENOTSUP): (
        "the filesystem has no such extended attributes",
        "remove them from the directory of contents (tmpfs has user.* since Linux 6.6)",
    ),
    ("copy_contents", E.ENOSPC): ("the filesystem is full", "raise its size and nr_inodes"),
    ("copy_contents", E.EMFILE): ("the tree is too deep to be copied", "raise the hard limit: ulimit -Hn"),
    ("make_node", E.ENOENT): (
        "what it is copied from, or the directory that it is made in, is no longer there",
        "create it, or plan again",
    ),
    ("make_node", E.EROFS): (
        "the filesystem is read-only, so nothing can be created in it",
        "create it there beforehand, or leave out ro",
    ),
    ("make_node", E.EPERM): (
        "this user may not create it",
        "run it as root (a user namespace cannot create device nodes)",
    ),
    ("make_node", E.ENOSPC): ("the filesystem is full", "raise its size"),
    ("make_mountpoint", E.EROFS): (
        "the filesystem is read-only, so the mountpoint cannot be created",
        "create it there beforehand, or leave out ro",
    ),
    ("join_group", E.EINVAL): (
        "the kernel does not let this mount join its sharing group",
        "this kernel may be without MOVE_MOUNT_SET_GROUP (Linux 5.15)",
    ),
    ("set_attributes", E.EINVAL): (
        "this filesystem does not take these attributes",
        "an id-mapping needs a filesystem that allows it, and each mount can be mapped once only",
    ),
    ("set_attributes", E.EPERM): (
        "an attribute that was locked by a more privileged namespace cannot be cleared",
        "leave the attribute as the host has it",
    ),
    **dict.fromkeys(
        (("make_private", E.EINVAL), ("enter_root", E.EINVAL)),
        (
            "pivot_root does not work here: the namespace's root is the initial ramfs, or on a shared mount",
            "mount a filesystem on / first, and make the one below it private",
        ),
    ),
    ("keep", E.ENOSPC): ("no space is left there", "make room: `mountplan ls` shows what is kept, df(1) what is full"),
    ("keep", E.EDQUOT): ("the quota there is used up", "make room"),
    ("keep", E.EROFS): ("it is read-only there", "mount /run for writing"),
    ("", E.ENOSYS): (
        "this kernel, or a seccomp filter, does not have the call",
        "use Linux 5.15 or newer, or allow the mount calls in the container's seccomp profile",
    ),
    ("", E.EPERM): ("this user may not do that", "run it as root"),
    ("", E.EMEDIUMTYPE): (
        "it was a file when it was planned, and is none any more",
        "make it a file again, or plan again; if it happens again, something on the host is swapping paths",
    ),
    ("", E.ELOOP): (
        "a part of the path has become a symlink since it was planned",
        "plan again; if it happens again, something on the host is swapping paths",
    ),
    ("", E.EMFILE): ("too many open files", "raise the limit: ulimit -n"),
    ("", E.ENFILE): ("too many open files on this machine", "raise sysctl fs.file-max"),
    ("", E.ENOMEM): ("the kernel has no memory for it", "free memory, or raise the limit of the cgroup"),
    ("", E.ENOSPC): ("no space is left, or a limit of the kernel is reached", "see sysctl fs.mount-max"),
    ("", E.EINTR): ("a signal came in between", "try again"),
    ("", E.EAGAIN): ("it cannot be had at this moment", "try again"),
}
_OTHERWISE = ("", "`mountplan doctor` tells what works here")


def explain(kind: str, number: int, syscall: str = "") -> tuple[str, str]:
    """(what `errno` means for a step of this kind, what to do); the errno's own words come first."""
    # The kernel itself lets everybody make this call; it is older seccomp profiles that answer so.
    known = E.ENOSYS if syscall == "openat2" and number == E.EPERM else number
    if kind == "attach_image" and syscall == "openat2":
        kind = "image file"  # what is missing is not a device
    meaning, remedy = _MEANINGS.get((kind, known)) or _MEANINGS.get(("", known)) or _OTHERWISE
    words = f"{os.strerror(number)} ({E.errorcode.get(number, number)})"
    return (f"{words}: {meaning}" if meaning else words), remedy


def call_of(error: OSError) -> str:
    """The name of the system call that has failed, or what it was about, or ""."""
    name: str = getattr(error, "syscall", "") or (error.filename if isinstance(error.filename, str) else "")
    return name


def refused(what: str, error: OSError, kind: str = "") -> NamespaceRefused:
    """What to raise if `what` ("cannot ...") failed with `error`; `kind` as for explain()."""
    call = call_of(error)
    return NamespaceRefused(f"{what}: {call}" if call else what, *explain(kind, error.errno or 0))

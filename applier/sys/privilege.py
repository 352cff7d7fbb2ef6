"""What this process may do by the kernel's own rules: what is refused all the same, something else refuses."""

from __future__ import annotations

import fcntl
import os

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import is_root


def may_mount() -> bool:
    """CAP_SYS_ADMIN in the user namespace that its mount namespace belongs to. Raises OSError."""
    if not has_sys_admin():
        return False
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(namespace, abi.NS_GET_USERNS)
    except PermissionError:  # one that is not ours to know: an ancestor of our own
        return False
    finally:
        os.close(namespace)
    with closing_fd(owner):
        return os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))


def for_this_user(remedy: str) -> str:
    """A remedy that tells root, in a container that has taken its capabilities, what it lacks: it is root already."""
    if "run it as root" in remedy and is_root() and not has_sys_admin():
        return remedy.replace("run it as root", "run it with CAP_SYS_ADMIN")
    return remedy


def has_sys_admin() -> bool:
    return bool(syscalls.capget()[0] & 1 << abi.CAP_SYS_ADMIN)


def is_nested() -> bool:
    """True if this process is in a user namespace that is not the machine's first: the kernel allows less there."""
    return os.stat("/proc/self/ns/user").st_ino != abi.USER_NS_INIT_INO

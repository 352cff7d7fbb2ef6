"""The namespaces besides the mount namespace, unshared before anything is built.

The order matters: what `proc`, `sysfs`, `mqueue` and `cgroup2` show is fixed when they are mounted, by the namespaces
of the process that mounts them; and a namespace belongs to the user namespace in which it was made.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from mountplan.applier.sys import abi, chroot, syscalls
from mountplan.applier.sys.abi import NAMESPACE_FLAGS
from mountplan.applier.sys.channel import MAP, MAPPED, Sender, receive
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.applier.sys.userns import Rootless


class IsolationFailed(Exception):
    """`what` could not be had, for `cause`. Internal: build.py makes NamespaceRefused of it."""

    def __init__(self, what: str, cause: OSError) -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause


def isolate(kinds: tuple[str, ...], sender: Sender, leash: int, rootless: Rootless = "auto") -> None:
    """Unshare `kinds`; "pid" takes effect in the next child only. Raises IsolationFailed.

    A user who may not unshare them gets a user namespace around them, as for the mount namespace; "user" asks for it.
    """
    if "user" in kinds:
        _do("a user namespace", lambda: unshare_user(sender, leash))
    for kind in NAMESPACE_FLAGS:
        if kind == "user" or kind not in kinds:
            continue
        try:
            syscalls.unshare(NAMESPACE_FLAGS[kind])
        except KernelRefusal as refusal:
            if refusal.errno != errno.EPERM or "user" in kinds or rootless == "never":
                raise IsolationFailed(f"a {kind} namespace", refusal) from None
            return isolate(("user", *kinds), sender, leash)  # this was the first: it is all or none of them
    if "net" in kinds:
        _do("the loopback interface of the net namespace", _raise_loopback)
    if "time" in kinds:
        _do("a time namespace", _enter_own_time)
    return None


def _do(what: str, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise IsolationFailed(what, error) from None


def unshare_user(sender: Sender, leash: int) -> None:
    """Be in a user namespace, with the ids that the process outside maps: a process cannot map more than its own."""
    chroot.unshare_user()
    # Not our own idea of our pid: in a pid namespace of its own, it differs from the one that /proc has.
    sender.send(MAP, os.readlink("/proc/self").encode())
    if receive(leash)[0] != MAPPED:
        os._exit(1)


def _raise_loopback() -> None:
    """A new net namespace has its loopback interface down, and then not even 127.0.0.1 works."""
    with closing_fd(syscalls.local_socket()) as fd:
        fcntl.ioctl(fd, abi.SIOCSIFFLAGS, struct.pack("=16sH14x", b"lo", abi.IFF_UP))


def _enter_own_time() -> None:
    """unshare(2) gives a time namespace to children only, and the caller may become the command itself."""
    with closing_fd(os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)) as fd:
        syscalls.setns(fd, abi.CLONE_NEWTIME)

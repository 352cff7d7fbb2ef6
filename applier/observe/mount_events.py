"""What is attached and detached in mount namespaces, told by the kernel (fanotify(7), FAN_REPORT_MNT)."""

from __future__ import annotations

import errno
import os
import struct

from mountplan.applier.observe.inspect import all_ids
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import KernelRefusal

_NOT_TO_BE_HAD = (errno.EINVAL, errno.ENOSYS, errno.EPERM)  # an older kernel, without fanotify, who may not


class MountEvents:
    """One namespace. `fd` can be polled; close() when done. Raises KernelRefusal if it cannot be watched so."""

    def __init__(self, namespace: int) -> None:
        """Keeps `namespace`, a descriptor of the namespace's file, open until close()."""
        self._namespace = namespace
        self.fd = syscalls.fanotify_init()
        try:
            syscalls.fanotify_mark_namespace(self.fd, namespace)
        except KernelRefusal:
            os.close(self.fd)
            raise
        self._known = frozenset(all_ids(namespace) or ())

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._namespace)

    def passing(self) -> int:
        """How many mounts have come since the last call that are not there any more: nobody has seen them."""
        attached = set()
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                break
            attached.update(_attached(data))
        now = frozenset(all_ids(self._namespace) or ())
        gone = attached - now - self._known
        self._known = now
        return len(gone)


def watching(namespace: int) -> MountEvents | None:
    """Watch the namespace behind a descriptor, which is kept or closed; None where the kernel has no such events."""
    try:
        return MountEvents(namespace)
    except KernelRefusal as refusal:
        os.close(namespace)
        if refusal.errno not in _NOT_TO_BE_HAD:
            raise
        return None


def _attached(data: bytes) -> set[int]:
    """The unique ids of the mounts that a block of events says were attached."""
    found, at = set(), 0
    while at < len(data):
        length, _, _, before, mask, _, _ = struct.unpack_from(abi.FAN_EVENT_METADATA, data, at)
        if mask & abi.FAN_MNT_ATTACH:
            found.add(struct.unpack_from(abi.FAN_EVENT_INFO_MNT, data, at + before)[3])
        at += length
    return found

"""Loop devices that free themselves (loop(4)): LO_FLAGS_AUTOCLEAR is set from the first moment."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from mountplan.applier import abi, syscalls
from mountplan.applier.refusal import KernelRefusal


@contextmanager
def loop_device(image: int, *, read_only: bool) -> Iterator[str]:
    """Lend the path of a loop device over the file, or block device, `image` (any descriptor of it).

    The device frees itself once nothing has it open or mounted any more: after the `with` block if it was not mounted
    in it, or when this process dies. Raises KernelRefusal.
    """
    backing = syscalls.open_again(image, os.O_RDONLY if read_only else os.O_RDWR, stat.S_IFREG, stat.S_IFBLK)
    try:
        path, device = _bound(backing, read_only)
    finally:
        os.close(backing)
    try:
        yield path
    finally:
        os.close(device)


def _bound(backing: int, read_only: bool) -> tuple[str, int]:
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise KernelRefusal(error.errno or 0, "open(/dev/loop-control)") from None
    flags = abi.LO_FLAGS_AUTOCLEAR | (abi.LO_FLAGS_READ_ONLY if read_only else 0)
    config = struct.pack(
        abi.LOOP_CONFIG, backing, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, b"", b"", b"", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )
    try:
        for _ in range(100):  # somebody else may take the free device before us
            number = fcntl.ioctl(control, abi.LOOP_CTL_GET_FREE)
            path = f"/dev/loop{number}"
            try:
                device = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
            except OSError as error:
                raise KernelRefusal(error.errno or 0, f"open({path})") from None
            try:
                fcntl.ioctl(device, abi.LOOP_CONFIGURE, config)
                return path, device
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise KernelRefusal(error.errno or 0, "ioctl(LOOP_CONFIGURE)") from None
        raise KernelRefusal(errno.EBUSY, "ioctl(LOOP_CONFIGURE)")
    finally:
        os.close(control)

"""Loop devices that free themselves (loop(4)): LO_FLAGS_AUTOCLEAR is set from the first moment.

Whether an image gets one of its own is decided in planner/plan/attachments.py, by what is attached at that moment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.lingering import settled
from mountplan.applier.sys.refusal import KernelRefusal, Occupied
from mountplan.planner.plan.attachments import Attachment, Decision, decide, decide_below, with_places
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

# It has gone, or has no driver; or this user may not open it: EPERM is a container's device cgroup.
_UNKNOWN_DEVICE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM)


Part = tuple[int, int]  # offset and size in bytes; a size of 0 goes to the end
WHOLE: Part = (0, 0)


class LoopDevice(NamedTuple):
    """The path of a loop device, and whether it was there before: there may be a superblock on it already."""

    path: str
    shared: bool


@contextmanager
def loop_device(
    image: int, part: Part = WHOLE, *, read_only: bool, table: Callable[[], MountTable]
) -> Iterator[LoopDevice]:
    """Lend a loop device over a part of the file, or block device, `image` (any descriptor of it); `table` is that of
    our mounts.

    The device frees itself once nothing has it open or mounted any more: after the `with` block if it was not mounted
    in it, or when this process dies. In the block no other user of this function gets at the image: there is a lock
    on it (flock(2)). Other programs do not know that lock; they may attach the image at the very moment that we do.
    Raises KernelRefusal, or Occupied where mount(8) would refuse.
    """
    kinds, flags = (stat.S_IFREG, stat.S_IFBLK), os.O_RDONLY if read_only else os.O_RDWR
    lock = syscalls.open_again(image, flags, *kinds)  # another open file than the device's, which would keep the lock
    with closing_fd(lock):
        fcntl.flock(lock, fcntl.LOCK_SH if read_only else fcntl.LOCK_EX)
        found = os.fstat(lock)
        while True:
            path, device = _shared(found, part, table, read_only)
            if path:
                break
            if stat.S_ISBLK(found.st_mode):
                flags |= _claim(image, read_only, table, found.st_rdev)
            with closing_fd(syscalls.open_again(image, flags, *kinds)) as backing:
                own, device = _bound(backing, part, read_only)
            if decision_about(found, part, table, read_only=read_only, but=own) == Decision():
                break
            os.close(device)  # another program has attached it at the same moment, and has not seen us
        with closing_fd(device):
            yield LoopDevice(path or own, bool(path))


def _shared(image: os.stat_result, part: Part, table: Callable[[], MountTable], read_only: bool) -> tuple[str, int]:
    """The path and a descriptor of the loop device that mount(8) would use again; ("", -1) if it would use none."""
    while True:
        decision = settled(lambda: decision_about(image, part, table, read_only=read_only), lambda one: not one.problem)
        if decision.problem:
            raise Occupied(f"the image is in use: {decision.problem}", decision.remedy)
        if decision.share is None:
            return "", -1
        path = decision.share.device
        device = _opened(path)
        # Now that it is open it does not free itself any more. It may have done so before, and be over another file.
        one = _status(device)
        if (
            one is not None
            and one.overlaps(_wanted(image, part))
            and one.attachment(path, part)[:4] == decision.share[:4]
        ):
            return path, device
        os.close(device)


def decision_about(
    image: os.stat_result, part: Part, table: Callable[[], MountTable], *, read_only: bool, but: str = ""
) -> Decision:
    """What is to be done about a part of a file or block device, by the loop devices over it, `but` one of them."""
    attached = [one for one in attached_to(image, part) if one.device != but]
    return decide(with_places(attached, table()), read_only=read_only) if attached else Decision()


def attached_to(image: os.stat_result, part: Part = WHOLE) -> tuple[Attachment, ...]:
    """All loop devices over any byte of a part of a file or block device, whatever it is called, in whichever
    namespace. One over the very same bytes has the `whole` of it.

    Of a loop device that has no node in /dev, nothing can be known.
    """
    wanted = _wanted(image, part)
    return tuple(one.attachment(path, part) for path, one in _statuses() if one.overlaps(wanted))


def _bound_devices() -> list[str]:
    """The names of the loop devices that have a file; of all there are, if sysfs cannot be read."""
    try:
        return sorted(
            name
            for name in os.listdir("/sys/block")
            if name.startswith("loop") and os.path.exists(f"/sys/block/{name}/loop")
        )
    except (FileNotFoundError, PermissionError):
        return sorted(name for name in os.listdir("/dev") if name.startswith("loop") and name != "loop-control")


def beside(path: str) -> tuple[Attachment, ...]:
    """The other loop devices over the same bytes as the one at `path`: each would have a superblock of its own. () if
    there is no loop device there, or it may not be asked.
    """
    own = _open_status(path)
    if own is None:
        return ()
    return tuple(one.attachment(at) for at, one in _statuses() if one.number != own.number and one.overlaps(own))


class _Status(NamedTuple):
    """What an open loop device says of itself: which file or block device it is over, and which bytes of it."""

    file: tuple[int, int]
    rdev: int
    offset: int
    size: int  # 0: to the end
    flags: int
    number: int

    def overlaps(self, other: _Status) -> bool:
        same = self.rdev == other.rdev if self.rdev or other.rdev else self.file == other.file
        first, last = sorted((self, other), key=lambda one: one.offset)
        return same and (not first.size or first.offset + first.size > last.offset)

    def attachment(self, path: str, part: Part = WHOLE) -> Attachment:
        writable, whole = not self.flags & abi.LO_FLAGS_READ_ONLY, (self.offset, self.size) == part
        return Attachment(path, f"{os.major(self.number)}:{os.minor(self.number)}", writable, whole)


def _status(device: int) -> _Status | None:
    """None if it is no loop device, or has nothing that it is over, or not any more."""
    status = bytearray(abi.LOOP_INFO64_SIZE)
    try:
        fcntl.ioctl(device, abi.LOOP_GET_STATUS64, status)
        number = os.fstat(device).st_rdev
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOTTY, errno.EINVAL):
            return None
        raise KernelRefusal(error.errno or 0, "ioctl(LOOP_GET_STATUS64)") from None
    on, inode, rdev, offset, size, _, _, _, flags = struct.unpack_from(abi.LOOP_INFO64, status)
    return _Status((on, inode), rdev, offset, size, flags, number)


def _open_status(path: str) -> _Status | None:
    try:
        device = _opened(path)
    except KernelRefusal as refusal:
        if refusal.errno not in _UNKNOWN_DEVICE:
            raise
        return None
    with closing_fd(device):
        return _status(device)


def _statuses() -> Iterator[tuple[str, _Status]]:
    """What each loop device that has a file says of itself, and its path."""
    for name in _bound_devices():
        if (one := _open_status(f"/dev/{name}")) is not None:
            yield f"/dev/{name}", one


def _wanted(image: os.stat_result, part: Part) -> _Status:
    """What a loop device would say that is over this part of `image`."""
    rdev = image.st_rdev if stat.S_ISBLK(image.st_mode) else 0
    return _Status((image.st_dev, image.st_ino), rdev, *part, 0, 0)


def _opened(path: str, flags: int = os.O_RDONLY) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise KernelRefusal(error.errno or 0, f"open({path})") from None


def _claim(image: int, read_only: bool, table: Callable[[], MountTable], number: int) -> int:
    """See to it that no other process writes to the block device `image`: O_EXCL if it is to be opened so, or 0.

    Who has it open with O_EXCL has it for himself against mounts, LVM, RAID and others who do so, and a loop device
    over that open file keeps it. Who only reads does not keep others from reading.
    """
    try:
        os.close(syscalls.open_again(image, os.O_RDONLY | os.O_EXCL, stat.S_IFBLK))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        one = Attachment(
            os.readlink(f"/proc/self/fd/{image}"), f"{os.major(number)}:{os.minor(number)}", writable=True, whole=True
        )
        decision = decide_below(*with_places((one,), table()), read_only=read_only)
        if decision.problem:
            raise Occupied(f"the image is in use: {decision.problem}", decision.remedy) from None
    return 0 if read_only else os.O_EXCL


def _bound(backing: int, part: Part, read_only: bool) -> tuple[str, int]:
    flags = abi.LO_FLAGS_AUTOCLEAR | (abi.LO_FLAGS_READ_ONLY if read_only else 0)
    config = struct.pack(
        abi.LOOP_CONFIG, backing, 0, 0, 0, 0, *part, 0, 0, 0, flags, b"", b"", b"", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )
    with closing_fd(_opened("/dev/loop-control", os.O_RDWR)) as control:
        for _ in range(100):  # another process may take the free device before us
            number = fcntl.ioctl(control, abi.LOOP_CTL_GET_FREE)
            path = f"/dev/loop{number}"
            device = _opened(path, os.O_RDONLY if read_only else os.O_RDWR)
            try:
                fcntl.ioctl(device, abi.LOOP_CONFIGURE, config)
                return path, device
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise KernelRefusal(error.errno or 0, "ioctl(LOOP_CONFIGURE)") from None
        raise KernelRefusal(errno.EBUSY, "ioctl(LOOP_CONFIGURE)")

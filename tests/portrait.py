"""What a directory tree is: all that two trees must have in common to be the same, as a value."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

ACL_TAGS = ((1, 7, 0xFFFFFFFF), (2, 7, 12), (4, 5, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 5, 0xFFFFFFFF))
# linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id; here user 12 may do all.
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in ACL_TAGS)
# linux/capability.h: VFS_CAP_REVISION_2, cap_net_bind_service permitted.
CAPABILITY = struct.pack("<5I", 0x02000000, 1 << 10, 0, 0, 0)


class Portrait(NamedTuple):
    """One entry. `first` is the first name of the same inode, in order; `data` is a hash, where a symlink points, or
    the number of a device.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    first: str
    data: object
    blocks: int
    attributes: tuple[tuple[str, bytes], ...]


def portrait(top: str | Path) -> dict[str, Portrait]:
    """Every path below `top`, which is "." itself, nothing left out and nothing followed."""
    found: dict[str, Portrait] = {}
    names: dict[tuple[int, int], str] = {}
    for folder, directories, files in sorted(os.walk(top)):
        for name in (".", *sorted(directories + files)) if folder == str(top) else sorted(directories + files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            inner = os.path.normpath(os.path.relpath(path, top))
            first = names.setdefault((status.st_dev, status.st_ino), inner)
            attributes = sorted(os.listxattr(path, follow_symlinks=False))
            found[inner] = Portrait(
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                first,
                _data(path, status),
                status.st_blocks if stat.S_ISREG(status.st_mode) else 0,
                tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in attributes),
            )
    return found


def _data(path: str, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return os.readlink(path) if stat.S_ISLNK(status.st_mode) else status.st_rdev


def make_menagerie(top: Path) -> None:
    """Of everything that a filesystem can hold one, below the directory `top`. Takes root."""
    os.chmod(top, 0o1751)
    (top / "file").write_bytes(bytes(range(256)) * 5000)
    os.chown(top / "file", 12, 34)
    os.chmod(top / "file", 0o6755)
    os.setxattr(top / "file", "security.capability", CAPABILITY)
    os.setxattr(top / "file", "system.posix_acl_access", ACL)
    os.setxattr(top / "file", "user.note", b"kept \0")
    (top / "read-only").write_text("x")
    os.chmod(top / "read-only", 0o400)
    with open(top / "sparse", "wb") as file:
        for at in (1 << 20, 5 << 20):
            file.seek(at)
            file.write(b"data")
        file.truncate(9 << 20)
    os.mkdir(top / "dir")
    os.mkdir(top / "dir" / "empty")
    os.link(top / "file", top / "dir" / "again")
    os.setxattr(top / "dir", "system.posix_acl_default", ACL)
    os.chown(top / "dir", 7, 8)
    os.chmod(top / "dir", 0o2770)
    os.symlink("../nowhere", top / "dir" / "link")
    os.chown(top / "dir" / "link", 5, 6, follow_symlinks=False)
    os.setxattr(top / "dir" / "link", "trusted.of-a-link", b"1", follow_symlinks=False)
    os.symlink("/etc", top / "out")
    os.mkfifo(top / "fifo", 0o620)
    os.link(top / "fifo", top / "dir" / "fifo")
    os.mknod(top / "socket", stat.S_IFSOCK | 0o755)
    os.mknod(top / "char", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "block", stat.S_IFBLK | 0o600, os.makedev(7, 300))
    os.chown(top / "char", 1, 2)
    (top / os.fsdecode(b"od\xd0d name\\\t")).write_text("y")
    for number, (folder, _, files) in enumerate(os.walk(top, topdown=False)):
        for name in (*files, "."):
            os.utime(os.path.join(folder, name), ns=(0, 1_000_000_007 + number), follow_symlinks=False)

"""Images and block devices of one spec: each is mounted once, unless all mounts of an image only read it."""

from __future__ import annotations

from mountplan.planner.fstypes import only_reads
from mountplan.planner.host import BLOCK
from mountplan.planner.resolve.draft import Context, FilesystemDraft
from mountplan.planner.resolve.topology import ResolvedFilesystem


def check_devices(context: Context) -> None:
    """Tell each that would be mounted a second time, under whatever name: the kernel has one superblock for a device,
    and an image behind two loop devices is lost.
    """
    users = [(one, _path(one.fixed)) for one in context.filesystems.values() if _path(one.fixed)]
    if len(users) < 2:
        return
    first: dict[str, FilesystemDraft] = {}
    written: set[str] = set()
    for filesystem, path in users:
        identity = context.host.identity(path)
        if not identity or not (filesystem.fixed.image or identity.startswith(BLOCK)):
            continue  # what a source names need not be a file: that of a network filesystem is not
        reads = bool(filesystem.fixed.image) and only_reads(filesystem.fixed.fstype, filesystem.fixed.options)
        if identity not in first:
            first[identity] = filesystem
        elif not reads or identity in written:
            _tell(filesystem, path, first[identity], context)
        if not reads:
            written.add(identity)


def _path(fixed: ResolvedFilesystem) -> str:
    """The image or the block device that a filesystem is made on; "" if there is none."""
    if fixed.image:
        return fixed.image
    return fixed.source if fixed.inside == "opaque" and not fixed.layers and fixed.source.startswith("/") else ""


def _tell(filesystem: FilesystemDraft, path: str, other: FilesystemDraft, context: Context) -> None:
    field = "image" if filesystem.fixed.image else "source"
    mount = other.mounts[0].spec.id if other.mounts else None
    remedy = f'write bind = {{ mount = "{mount or "ID"}", path = "/" }}'
    if mount is None:
        remedy += f", with an id on {other.fixed.origin}"
    if filesystem.fixed.image and other.fixed.image:
        remedy += ", or options = { ro = true } on each of them"
    what = f'"{path}" is what {other.fixed.origin} mounts already; what is written to can be mounted once only'
    context.mistakes.add(f"{filesystem.fixed.origin}.{field}", what, remedy)

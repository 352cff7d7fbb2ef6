"""Images and block devices of one spec: each is mounted once, unless all mounts of an image only read it."""

from __future__ import annotations

from mountplan.planner.fstypes import only_reads
from mountplan.planner.host import BLOCK
from mountplan.planner.resolve.draft import Context, FilesystemDraft
from mountplan.planner.resolve.topology import ImagePart, ResolvedFilesystem


def check_devices(context: Context) -> None:
    """Tell each that would be mounted a second time, under whatever name: the kernel has one superblock for a device,
    and an image behind two loop devices is lost.
    """
    users = [(one, _path(one.fixed)) for one in context.filesystems.values() if _path(one.fixed)]
    if len(users) < 2:
        return
    known: dict[str, list[tuple[FilesystemDraft, bool]]] = {}  # with whether it only reads
    for filesystem, path in users:
        image = filesystem.fixed.image
        # What a source names need not be a file: that of a network filesystem is not.
        identity = f"{image.holder}:{path}" if image.holder else context.host.identity(path)
        if not identity or not (image.path or identity.startswith(BLOCK)):
            continue
        reads = bool(image.path) and only_reads(filesystem.fixed.fstype, filesystem.fixed.options)
        others = known.setdefault(identity, [])
        other = next((one for one, only in others if not (reads and only) and _overlap(one.fixed.image, image)), None)
        if other is not None:
            _tell(filesystem, path, other, context)
        others.append((filesystem, reads))


def _overlap(one: ImagePart, other: ImagePart) -> bool:
    first, last = sorted((one, other), key=lambda part: part.offset)
    return not first.size or first.offset + first.size > last.offset


def _path(fixed: ResolvedFilesystem) -> str:
    """The image or the block device that a filesystem is made on; "" if there is none."""
    if fixed.image.path:
        return fixed.image.path
    return fixed.source if fixed.inside == "opaque" and not fixed.layers and fixed.source.startswith("/") else ""


def _tell(filesystem: FilesystemDraft, path: str, other: FilesystemDraft, context: Context) -> None:
    field = "image" if filesystem.fixed.image.path else "source"
    mount = other.mounts[0].spec.id if other.mounts else None
    remedy = f'write bind = {{ mount = "{mount or "ID"}", path = "/" }}'
    if mount is None:
        remedy += f", with an id on {other.fixed.origin}"
    if filesystem.fixed.image.path and other.fixed.image.path:
        remedy += ", or options = { ro = true } on each of them"
    what = f'"{path}" is what {other.fixed.origin} mounts already; what is written to can be mounted once only'
    if filesystem.fixed.fstype == other.fixed.fstype == "btrfs":
        what, remedy = _unlike_subvolumes(filesystem, other)
    context.wrong(f"{filesystem.fixed.origin}.{field}", what, remedy)


def _unlike_subvolumes(filesystem: FilesystemDraft, other: FilesystemDraft) -> tuple[str, str]:
    """Subvolumes of one btrfs are mounted as one filesystem (same_pool() in images.py), unless it is not said that they
    are, or they differ in their options.
    """
    names = sorted({name for name, _ in set(filesystem.fixed.options) ^ set(other.fixed.options)})
    if "subvolid" in names:
        what = f"which subvolume is mounted is not said here or in {other.fixed.origin}"
        return what, 'write subvol = "/its/path" in the options of both; "/" is the top'
    if not names:
        what = f"its default subvolume is what {other.fixed.origin} mounts already, and can be mounted once only"
        return what, 'write subvol = "/its/path" in the options of both, or bind = { mount = "ID" }'
    what = (
        f"it and {other.fixed.origin} are subvolumes of one filesystem, and ask for other options: {', '.join(names)}"
    )
    return what, 'give both the same options; attributes = ["ro"] makes one of them read-only'

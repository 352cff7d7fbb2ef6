"""Filesystems in images: which file, and which part of it; and subvolumes of btrfs, which are paths in a filesystem."""

from __future__ import annotations

from mountplan.planner.fstypes import only_reads
from mountplan.planner.host import BLOCK
from mountplan.planner.language.path_models import Image
from mountplan.planner.language.values import shown
from mountplan.planner.light import regex
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft
from mountplan.planner.resolve.host_places import is_covered
from mountplan.planner.resolve.topology import ImagePart, ResolvedFilesystem
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import is_read_only

_LOOP_DEVICE = regex(rf"{BLOCK}7:\d+")
_SECTOR = 512
_TOP = "5"  # the id of the top of every btrfs
_OF_SUBVOLUMES = ("subvol", "subvolid")


def find_image(draft: Draft, fstype: str, options: Pairs, context: Context) -> ImagePart:
    """The image that a mount names; without a path if that is a mistake."""
    image, key, wrong = draft.spec.image, f"{draft.key}.image", context.wrong
    assert image is not None
    if draft.spec.source is not None:
        wrong(f"{draft.key}.source", "the source of an image is the loop device that it is behind", "leave it out")
    if not isinstance(image, Image):
        image = Image(path=image)
    if image.partition is not None and (image.offset or image.size or image.mount is not None):
        other = "mount" if image.mount is not None else "offset" if image.offset else "size"
        what = f"a partition is looked up when it is planned, and goes with no {other}"
        wrong(f"{key}.partition", what, "write its offset and size (sfdisk --json tells them), or leave it out")
        return ImagePart()
    if image.mount is not None:
        return _in_mount(draft, image, only_reads(fstype, options), context)
    part = _on_host(image.path, key, only_reads(fstype, options), context)
    if image.partition is not None and part.path:
        return _partition(part.path, image.partition, f"{key}.partition", context)
    whole = not (image.offset or image.size)
    if whole and _LOOP_DEVICE.fullmatch(context.host.identity(part.path) if part.path else ""):
        what = f"{shown(image.path)} is a loop device: an image behind it would be behind two"
        wrong(key, what, f"write source = {shown(image.path)}, or image = ... with the file that it is over")
    return _part(part, image, key, context)


def _part(file: ImagePart, image: Image, key: str, context: Context) -> ImagePart:
    """So many bytes of a file of the host. A loop device of more than there is would end with the file, untold."""
    part, wrong = file._replace(offset=image.offset, size=image.size), context.wrong
    if not part.path or not (part.offset or part.size):
        return part
    there = context.host.size(part.path)
    if there is not None and part.offset >= there:
        wrong(f"{key}.offset", f'"{part.path}" ends before it, with {there} bytes', "name a byte of the file")
    elif there is not None and part.offset + part.size > there:
        what = f'"{part.path}" has {there - part.offset} bytes from {part.offset} on'
        wrong(f"{key}.size", what, "leave it out for all to the end")
    elif part.size % _SECTOR:
        what = f"{part.size} bytes are no whole sectors, and a loop device leaves the rest out"
        wrong(f"{key}.size", what, f"write a multiple of {_SECTOR}")
    return part


def _on_host(path: str, key: str, reads: bool, context: Context) -> ImagePart:
    if not path.startswith("/"):
        context.wrong(key, f"{shown(path)} is not absolute", f"write {shown('/' + path)}, a path of the host")
        return ImagePart()
    found = context.look(path, key, "name an image file that exists")
    if found is not None and found.kind not in ("file", "block"):
        context.wrong(key, f'"{path}" is a {found.kind}', "name an image file")
        return ImagePart()
    if found is not None and found.kind == "file" and not reads and is_read_only(found.mount):
        what = (
            f"the host's mount at {found.mount.mountpoint} is read-only, and this mount would write to an image in it"
        )
        context.wrong(key, what, "write options = { ro = true }")
        return ImagePart()
    return ImagePart(found.path) if found is not None else ImagePart()


def _in_mount(draft: Draft, image: Image, reads: bool, context: Context) -> ImagePart:
    """An image that is a file in a filesystem of the spec. Of a bind of the host's it is a file of the host."""
    key = f"{draft.key}.image"
    source = context.by_id.get(image.mount or "")
    if source is None or source.filesystem is None:
        return ImagePart()
    inner = TargetPath.parse("/" + image.path.lstrip("/"))
    if source.host is not None:
        there = TargetPath(source.host.path).joined(inner)
        remedy = f'write recursive = true on {source.key}, or image = "{there}", if that is meant'
        if is_covered(source, inner, key, remedy, context):
            return ImagePart()
        return _part(_on_host(there, key, reads, context), image, key, context)
    fixed = source.filesystem.fixed
    path = source.root.joined(inner)
    context.learn(source.filesystem, path)
    kind = source.filesystem.contents.kind(path)
    if fixed.known and kind != "file":
        what = f'"{path}" in {source.name} is a {kind}' if kind else f'nothing provides "{path}" in {source.name}'
        context.image_checks.append((source.filesystem, path, key, what))
    if not reads and only_reads(fixed.fstype, fixed.options):
        what = f"{source.name} is read-only, and this mount would write to an image in it"
        context.wrong(key, what, "write options = { ro = true }")
    source.filesystem.needs_workbench = True
    return ImagePart(str(path), fixed.name, image.offset, image.size)


def check_images(context: Context) -> None:
    """Now that all files are declared: is each image there that is said to be in a mount of the spec?"""
    for filesystem, path, key, what in context.image_checks:
        if filesystem.contents.kind(path) != "file":
            remedy = f'declare it there: [[mount.file]] with path = "{path}" and source = "/path/on/the/host"'
            context.wrong(key, what, remedy)


def _partition(path: str, wanted: int | str, key: str, context: Context) -> ImagePart:
    """The part of an image that a partition is, by its number or its label."""
    try:
        there = context.host.partitions(path)
    except LookupError as error:
        context.wrong(key, f'"{path}": {error.args[0]}', "write offset and size, or leave out partition")
        return ImagePart()
    found = [one for one in there if wanted == (one.number if isinstance(wanted, int) else one.label)]
    known = ", ".join(f'{one.number} "{one.label}"' if one.label else str(one.number) for one in there) or "none"
    if len(found) != 1:
        what = "two partitions have the label" if found else "there is no partition"
        which = shown(wanted) if isinstance(wanted, str) else wanted
        context.wrong(key, f"{what} {which}", f"there are: {known}")
        return ImagePart()
    return ImagePart(path, "", found[0].offset, found[0].size)


def take_subvolume(draft: Draft, options: Pairs, context: Context) -> Pairs:
    """A subvolume of btrfs is a path from the top of it, as a bind would name it: the options without it.

    The kernel counts the roots of mounts from there. So all subvolumes of one image or device can be mounted.
    """
    if draft.spec.type != "btrfs" or not any(name in _OF_SUBVOLUMES for name, _ in options):
        return options
    subvols, numbers = ([value for name, value in options if name == which] for which in _OF_SUBVOLUMES)
    key, wrong = f"{draft.key}.options", context.wrong
    if len(subvols) + len(numbers) > 1:  # the kernel refuses a number that is not that of the path
        which = "a mount shows one subvolume, and this one names several"
        what = "which number a subvolume has is not known before it is mounted" if subvols and numbers else which
        wrong(f"{key}.subvolid" if numbers else f"{key}.subvol", what, 'keep subvol = "/its/path" alone')
    elif subvols:
        _go_to(subvols[0], draft, f"{key}.subvol", context)
    elif numbers[0] not in (_TOP, "0"):
        what = f"which path subvolume {str(numbers[0]).lower()} has is not known before it is mounted"
        wrong(f"{key}.subvolid", what, 'write subvol = "/its/path": `btrfs subvolume list` tells it')
    rest = tuple(pair for pair in options if pair[0] not in _OF_SUBVOLUMES)
    return (*rest, ("subvolid", _TOP))


def _go_to(subvol: str | bool, draft: Draft, key: str, context: Context) -> None:
    what = "names no subvolume"
    if isinstance(subvol, str) and subvol:
        try:
            draft.root = TargetPath.parse("/" + subvol.lstrip("/"))
            return
        except ValueError as error:
            what = f"{shown(subvol)} {error}"
    context.wrong(key, what, 'write its path from the top: subvol = "/@home"; subvol = "/" is the top')


def same_pool(fixed: ResolvedFilesystem, context: Context) -> FilesystemDraft | None:
    """The filesystem of another subvolume of the same image or device, which is one with that of this one."""
    if fixed.fstype != "btrfs" or ("subvolid", _TOP) not in fixed.options:
        return None
    wanted = (fixed.fstype, fixed.image, fixed.source, fixed.options)
    for one in context.filesystems.values():
        if (one.fixed.fstype, one.fixed.image, one.fixed.source, one.fixed.options) == wanted:
            return one
    return None

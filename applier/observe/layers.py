"""Where the layers of an overlay are: the paths that it shows are as the process that mounted it saw them.

They are looked up in all namespaces that are captured, and on the host. Whether the right directory was found, the
kernel tells: the file handle of an overlay's root holds that of the layer which the root is taken from.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from mountplan.applier.observe.subjects import Subject, enter, open_proc
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.inside import in_child
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.layerpath import layer_of
from mountplan.planner.tables.mount_facts import LiveOverlay, OverlayLayer
from mountplan.planner.tables.mounttree import MountTree, path_to, walk
from mountplan.planner.tables.table import MountTable

_FID = 24  # where in an overlay's handle the one of the layer begins (struct ovl_fb in fs/overlayfs/overlayfs.h)
_TYPE = 7

_Handle = tuple[int, bytes] | None
_Directory = tuple[OverlayLayer, _Handle]
_Seen = tuple[int, str, _Handle] | None  # mount id, path as it is seen there, handle


def find_layers(
    subjects: Sequence[Subject], tables: Sequence[MountTable], host: MountTable, wanted: Sequence[LiveOverlay]
) -> list[tuple[OverlayLayer, ...] | None]:
    """The directories that overlays are made of; None if they are no longer where the paths lead."""
    proc = open_proc()
    try:
        trees = [MountTree(table) for table in tables]
        roots = _handles_of_roots(subjects, trees, wanted)
        every = [path for overlay in wanted for path in overlay.paths]
        every += [_without_first(path) for path in every]
        known = {path: (OverlayLayer(*layer), None) for path in every if (layer := layer_of(path))}
        views = [*zip(subjects, tables, strict=True), (None, host)]
        seen = [_look(proc, subject, table, every) | known for subject, table in views]
    finally:
        os.close(proc)
    found: list[tuple[OverlayLayer, ...] | None] = []
    for overlay, handle in zip(wanted, roots, strict=True):
        others = (space for space in range(len(subjects)) if space != overlay.space)
        order = [seen[view] for view in (overlay.space, *others, -1)]
        attempts = [[view.get(path) for path in overlay.paths] for view in order]
        own = seen[overlay.space]
        tree = trees[overlay.space]
        attempts.append([_beneath(tree, path, overlay.device, known) or own.get(path) for path in overlay.paths])
        attempts.append([_first(order, path) for path in overlay.paths])
        if handle is not None:  # bubblewrap has the host's tree at /oldroot while it mounts
            attempts.append([seen[-1].get(_without_first(path)) for path in overlay.paths])
        fitting = (_fitting(attempt, overlay.device, handle) for attempt in attempts)
        found.append(next((layers for layers in fitting if layers), None))
    return found


def _beneath(tree: MountTree, path: str, device: str, known: Collection[str]) -> _Directory | None:
    """What lies at `path` beneath the overlay itself, or on a covered root; None if a walk would find it as well."""
    if path in known:
        return None
    here = walk(tree, path, without=device)
    if here == walk(tree, path, from_top=True):
        return None
    index, rest = here
    return OverlayLayer(tree.rows[index].device, TargetPath(tree.rows[index].root).joined(rest)), None


def _first(views: Sequence[dict[str, _Directory]], path: str) -> _Directory | None:
    return next((view[path] for view in views if path in view), None)


def _fitting(attempt: Sequence[_Directory | None], device: str, handle: _Handle) -> tuple[OverlayLayer, ...] | None:
    """The layers, if each was found, none in the overlay itself, and the first is the one that it should be."""
    layers = []
    for number, one in enumerate(attempt):
        if one is None or one[0].device == device:
            return None
        layer, its_handle = one
        if number == 0 and None not in (handle, its_handle) and its_handle != handle:
            return None
        layers.append(layer)
    return tuple(layers)


def _without_first(path: str) -> str:
    return "/" + path[1:].partition("/")[2]


def _handles_of_roots(
    subjects: Sequence[Subject], trees: Sequence[MountTree], wanted: Sequence[LiveOverlay]
) -> list[_Handle]:
    """The handles of the layers from which the roots of overlays are taken; None for what the kernel does not tell."""
    found: list[_Handle] = [None] * len(wanted)
    for space in {overlay.space for overlay in wanted}:
        numbers = [number for number, overlay in enumerate(wanted) if overlay.space == space]
        tree = trees[space]
        indices = {row.mount_id: index for index, row in enumerate(tree.rows)}
        places = [(wanted[number].mount, path_to(tree, 0, indices[wanted[number].mount])) for number in numbers]
        subject = subjects[space]

        def inside(subject: Subject = subject, places: list[tuple[int, str]] = places) -> list[_Handle]:
            enter(subject.fd)
            return [_root_handle(os.fsencode(path), mount) for mount, path in places]

        try:
            for number, handle in zip(numbers, in_child(inside), strict=True):
                found[number] = handle
        except OSError:
            pass
    return found


def _root_handle(path: bytes, mount: int) -> _Handle:
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if syscalls.mount_id(fd, b"") != mount:
                return None
            data = syscalls.file_handle(fd)[1]
            return (data[_TYPE], data[_FID : 3 + data[5]]) if len(data) > _FID else None
        finally:
            os.close(fd)
    except OSError:
        return None


def _look(proc: int, subject: Subject | None, table: MountTable, paths: Sequence[str]) -> dict[str, _Directory]:
    """What directories these paths lead to in a namespace, or on the host."""

    def inside() -> list[_Seen]:
        if subject is not None:
            enter(subject.fd)
        return [_open_directory(proc, path) for path in paths]

    try:
        seen = in_child(inside)
    except OSError:
        return {}
    rows = table.by_id()
    found = {}
    for path, one in zip(paths, seen, strict=True):
        row = rows.get(one[0]) if one is not None else None
        if one is not None and row is not None and TargetPath(one[1]).is_under(row.mountpoint):
            inner = TargetPath(row.root).joined(TargetPath(one[1]).relative_to(row.mountpoint))
            found[path] = (OverlayLayer(row.device, inner), one[2])
    return found


def _open_directory(proc: int, path: str) -> _Seen:
    if not path.startswith("/"):
        return None
    try:
        fd = os.open(os.fsencode(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            real = os.fsdecode(os.readlink(b"self/fd/%d" % fd, dir_fd=proc))
            mount = syscalls.mount_id(fd, b"")
            try:
                return mount, real, syscalls.file_handle(fd)
            except OSError:
                return mount, real, None
        finally:
            os.close(fd)
    except OSError:
        return None

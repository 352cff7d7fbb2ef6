"""Which filesystems of a capture can be filled, through which mounts they are seen, and what a spec puts into them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mountplan.planner.capture.captured import NO_ROW, Captured, CapturedMount
from mountplan.planner.capture.naming import Names
from mountplan.planner.fstypes import of
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.mount_facts import Fillable, Visible
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import DELETED


def find_fillings(captured: Captured, trees: Sequence[MountTree]) -> list[Fillable]:
    """All filesystems of the capture whose files can be given to the spec, in the order of the spec."""
    names = Names()
    mounts: dict[str, list[tuple[int, int]]] = {}  # by device: number of the namespace, index in its tree
    for space, tree in enumerate(trees):
        for index, row in enumerate(tree.rows):
            mounts.setdefault(row.device, []).append((space, index))
    found = []
    for space, namespace in enumerate(captured.namespaces):
        for number, mount in enumerate(namespace.mounts):
            if not of(mount.type).takes_files or mount.unsupported or mount.row == NO_ROW:
                continue
            # What stands nowhere comes just before the first mount that shows a part of it.
            index = next(one.row for one in namespace.mounts[number:] if one.row >= 0)
            shown = trees[space].rows[index]
            those = mounts[shown.device]
            name = names.take(shown.mountpoint, (namespace.name,) if len(trees) > 1 else ())
            files = tuple(file.path for file in mount.files)
            made = _mountpoints(those, trees).union(files)
            views = _views(those, trees)
            work, upper = _of_overlays(captured, mount)
            found.append(Fillable(name, space, number, shown.mountpoint, views, files, made, _root(mount), work, upper))
    return found


def with_contents(captured: Captured, stored: Sequence[tuple[Fillable, str, Collection[str]]]) -> Captured:
    """The capture with each filling's directory named; the declared files that are in there need not be declared."""
    spaces = [list(namespace.mounts) for namespace in captured.namespaces]
    for filling, directory, there in stored:
        mount = spaces[filling.space][filling.number]
        files = tuple(file for file in mount.files if file.path not in there)
        spaces[filling.space][filling.number] = mount._replace(contents=directory, files=files)
    namespaces = zip(captured.namespaces, spaces, strict=True)
    return captured._replace(namespaces=tuple(one._replace(mounts=tuple(mounts)) for one, mounts in namespaces))


def _of_overlays(captured: Captured, mount: CapturedMount) -> tuple[tuple[str, ...], ...]:
    """The work and the upper directories that overlays have in a filesystem."""
    every = [one for namespace in captured.namespaces for one in namespace.mounts if mount.id and one.upper is not None]
    return tuple(
        tuple(place.path for place in places if place is not None and place.mount == mount.id)
        for places in ([one.work for one in every], [one.upper for one in every])
    )


def _views(those: list[tuple[int, int]], trees: Sequence[MountTree]) -> tuple[Visible, ...]:
    """The widest that show the filesystem as it is, then what has no name any more; each where least is covered."""
    by_root: dict[str, list[tuple[int, int]]] = {}
    for space, index in those:
        by_root.setdefault(trees[space].rows[index].root, []).append((space, index))
    alive = {root for root in by_root if not root.endswith(DELETED)}
    roots = [root for root in sorted(alive) if not any(above in alive for above in TargetPath(root).ancestors())]
    roots += sorted(root for root in by_root if root.endswith(DELETED))
    views = []
    for root in roots:
        # What stands upon a root is what processes have for theirs: nothing below it can be seen if it is shared.
        space, index = min(
            by_root[root], key=lambda one: ("/" in trees[one[0]].below[one[1]], not trees[one[0]].reached[one[1]])
        )
        mount = trees[space].rows[index].mount_id
        views.append(Visible(root.removesuffix(DELETED), space, mount, root.endswith(DELETED)))
    return tuple(views)


def _mountpoints(those: list[tuple[int, int]], trees: Sequence[MountTree]) -> frozenset[str]:
    """Paths in a filesystem on which other mounts stand."""
    found = set()
    for space, index in those:
        tree = trees[space]
        root = TargetPath(tree.rows[index].root.removesuffix(DELETED))
        found |= {str(root.joined(place)) for place in tree.below[index] if place != "/"}
    return frozenset(found)


def _root(mount: CapturedMount) -> tuple[int, int, int]:
    options = dict(mount.options)
    mode, uid, gid = (str(options.get(name, of(mount.type).defaults.get(name, "0"))) for name in ("mode", "uid", "gid"))
    return int(mode, 8), int(uid), int(gid)

"""What is at a place of a bind of the host's, or of an inherited root: in what that shows, which may be something else
than what a walk on the host finds. A bind that is not recursive has nothing of what the host has mounted below, and
what the spec removes of an inherited root covers nothing any more.
"""

from __future__ import annotations

from mountplan.planner.host import HostEntry
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.tables.table import MountRow


def kind_at(bind: Draft, place: TargetPath, context: Context) -> NodeKind | None:
    """None if this user cannot find out; raises LookupError, NotThere if nothing is there."""
    if _is_as_on_host(bind, place):
        return context.host.look(_path(bind, place)).kind
    entry = _entry(bind, place, context)
    return entry.kind if entry is not None else None


def link_at(bind: Draft, place: TargetPath, context: Context) -> str | None:
    """Where a symlink there points; None if none is known to be there."""
    if _is_as_on_host(bind, place):
        return context.host.link(_path(bind, place))
    try:
        entry = _entry(bind, place, context)
    except LookupError:
        return None
    return entry.link if entry is not None and entry.kind == "symlink" else None


def is_covered(bind: Draft, place: TargetPath, key: str, remedy: str, context: Context) -> bool:
    """True, and a mistake at `key`, if the host has something else there than the bind, so that no path leads to it."""
    assert bind.host is not None
    path = _path(bind, place)
    if bind.brings:
        return False
    over = mount_seen(path, context)
    if over == bind.host.mount:
        return False
    if path.is_under(over.mountpoint) and over.mountpoint != bind.host.mount.mountpoint:
        what = f'on the host something is mounted on "{over.mountpoint}", which {bind.name} does not bring along'
    else:
        what = f'"{path}" leads out of what {bind.name} shows: a symlink is on the way'
    context.wrong(key, what, remedy)
    return True


def mount_seen(path: TargetPath, context: Context) -> MountRow:
    """The mount of the host on which a walk to `path` ends, whether or not something is there."""
    try:
        return context.host.look(path).mount
    except LookupError:
        return context.host.end_of(path)


def mount_at(bind: Draft, place: TargetPath, context: Context) -> MountRow:
    """The mount of the host that has a place of a bind, or of an inherited root, whether or not something is there."""
    assert bind.host is not None
    return bind.host.mount if bind.index >= 0 and not bind.brings else mount_seen(_path(bind, place), context)


def inner_at(bind: Draft, place: TargetPath, context: Context) -> tuple[str, TargetPath]:
    """The device of the filesystem that has a place, and the path in that: the same for all that show it."""
    assert bind.host is not None
    row = mount_at(bind, place, context)
    if row is bind.host.mount:
        return row.device, bind.host.inner.joined(place)
    path = _path(bind, place)
    return row.device, TargetPath(row.root).joined(path.relative_to(row.mountpoint))


def _path(bind: Draft, place: TargetPath) -> TargetPath:
    assert bind.host is not None
    base = bind.host.path
    return place if base == "/" else TargetPath(base).joined(place)


def _is_as_on_host(bind: Draft, place: TargetPath) -> bool:
    if bind.index >= 0:
        return bind.brings
    if not bind.space.altered:
        return True
    removed = [one.path for one in bind.space.altered if one.what == "remove"]
    return not removed or not any(map(_path(bind, place).is_under, removed))


def _entry(bind: Draft, place: TargetPath, context: Context) -> HostEntry | None:
    assert bind.host is not None
    if bind.index >= 0:
        return context.host.under(bind.host.path, place)
    # Of an inherited root something is removed: what is seen then is in the mount that this stood on.
    path, tree = _path(bind, place), bind.space.inherited
    assert tree is not None
    row = tree.end_of(path)
    if mount_seen(TargetPath(row.mountpoint), context) != row:
        return None  # no path leads there now
    return context.host.under(row.mountpoint, TargetPath("/").joined(path.relative_to(row.mountpoint)))

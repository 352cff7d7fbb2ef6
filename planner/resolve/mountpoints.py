"""How each mountpoint comes to be, and what is bound from a filesystem of the spec: made there, removed, or hidden."""

from __future__ import annotations

from mountplan.planner.fstypes import of, only_reads
from mountplan.planner.host import IN_A_FILE, HostPath, NotThere
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.light import regex
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import ELSEWHERE, Context, Draft
from mountplan.planner.resolve.host_places import inner_at, kind_at, mount_at, mount_seen
from mountplan.planner.resolve.inner_paths import as_on_host
from mountplan.planner.resolve.overlay_limits import check_stacking
from mountplan.planner.resolve.overlays import check_layers
from mountplan.planner.resolve.topology import ResolvedNode
from mountplan.planner.tables.table import MountRow


def make_mountpoints(context: Context) -> None:
    """Decide how each mountpoint comes to be, and put those into filesystems' contents that the spec makes; and so with
    what is bound from there, if nothing else says what it is.
    """
    for draft in context.drafts:
        if isinstance(draft.spec.bind, MountPath) and draft.spec.bind.file and not draft.copied:
            _make_source(draft, "file", context)
    waiting = [draft for draft in context.drafts if draft.parent is not None and draft.filesystem is not None]
    waiting = _settle_mountpoints(waiting, context)
    for draft in context.drafts:
        known = draft.filesystem is not None and draft.filesystem.fixed.known
        if known and draft.source is not None and draft.host is None and draft.kind() is None:
            _make_source(draft, "directory", context)
    _settle_mountpoints(waiting, context)
    for draft in context.drafts:
        _hidden_source(draft, context)
        _deleted_source(draft, context)
    check_layers(context)
    check_stacking(context)


def _settle_mountpoints(waiting: list[Draft], context: Context) -> list[Draft]:
    """Those that still wait for others to say what they are."""
    progress = True
    while waiting and progress:
        later = [draft for draft in waiting if not _mountpoint(draft, context)]
        progress = len(later) < len(waiting)
        waiting = later
    return waiting


def _make_source(draft: Draft, kind: NodeKind, context: Context) -> None:
    """Have that made in a filesystem of the spec which is bound from there."""
    filesystem, source, bind = draft.filesystem, draft.source, draft.spec.bind
    if filesystem is None or source is None:
        return
    path = bind.path if isinstance(bind, MountPath) else draft.root
    where, remedy = f'"{path}" in {source.name}', "leave out file"
    if filesystem.fixed.inside == "host":
        if draft.kind() != "file":
            context.wrong(f"{draft.key}.bind.file", f"{where} is a {draft.kind()} of the host", remedy)
        return
    if filesystem.fixed.inside == "kernel":
        context.wrong(f"{draft.key}.bind.file", f"nothing can be created in a {filesystem.fixed.fstype}", remedy)
        return
    if problem := filesystem.contents.require(draft.root, kind, draft.key):
        remedy = "name another path" + (", or leave out file" if kind == "file" else "")
        context.wrong(f"{draft.key}.bind", f"{where} {problem}", remedy)


def _mountpoint(draft: Draft, context: Context) -> bool:
    """False if the kind of the mount's root is not known yet but may be later."""
    parent = draft.parent
    assert parent is not None and draft.filesystem is not None
    if parent.filesystem is None or draft.place == "/":
        return _fits_root(draft, parent, context)
    kind = draft.kind()
    if kind is None and draft.filesystem.fixed.known:
        return False
    inside = parent.filesystem.fixed.inside
    if parent.kind() not in ("directory", None):
        what = f"its parent {parent.name} is a {parent.kind()}, not a directory"
        context.wrong(f"{draft.key}.target", what, "mount it elsewhere")
    elif parent.host is not None:
        _mountpoint_on_host(draft, parent.host, parent, context)
    elif inside in ("own", "opaque"):
        if kind is None:
            draft.mountpoint = "like"  # made just before it is attached, when its kind is seen
            parent.filesystem.needs_workbench = True
            return True
        draft.mountpoint = "node"
        path = parent.root.joined(draft.place)
        node_kind: NodeKind = "directory" if kind == "directory" else "file"
        context.learn(parent.filesystem, path)
        there = parent.filesystem.contents.kind(path)
        if there is not None and node_kind == "file" and there not in ("directory", "symlink"):
            return True  # a device node, fifo or socket is as good a mountpoint for a file as a file is
        if problem := parent.filesystem.contents.require(path, node_kind, draft.key):
            remedy = "a directory can be mounted on a directory only, a file on a file"
            context.wrong(f"{draft.key}.target", f'mountpoint "{draft.target}" {problem}', remedy)
    elif inside == "kernel":
        _mountpoint_in_kernels(draft, parent, context)
    return True


def _mountpoint_in_kernels(draft: Draft, parent: Draft, context: Context) -> None:
    """Nothing can be made there. What is there is known if the host has mounted the same, with nothing upon it."""
    assert parent.filesystem is not None
    fstype, wanted, where = parent.filesystem.fixed.fstype, draft.kind(), f'mountpoint "{draft.target}"'
    place = f"{parent.root.joined(draft.place)}"
    if of(fstype).flat and (wanted == "directory" or place.rindex("/")):
        what = f"there are no directories in {fstype}, and none can be made"
        context.wrong(f"{draft.key}.target", f"{where}: {what}", "mount it elsewhere")
        return
    base = as_on_host(parent, context) if fstype in _ALIKE and not _ALIKE[fstype].search(place) else None
    if base is None:
        return
    path = TargetPath(base).joined(draft.place)
    try:
        found = context.host.look(path).kind
    except NotThere:
        if mount_seen(path, context) == context.host.look(base).mount:
            what = f"nothing is there in {fstype}, where nothing can be made"
            context.wrong(f"{draft.key}.target", f"{where}: {what}", "name what is there, or mount it elsewhere")
        return
    except LookupError:
        return
    _fits_on_host(draft, path, found, context)


# Of which each instance has the same in it, but at places that a process or a network namespace has of its own.
_ALIKE = {"proc": regex("^/([0-9]|self|thread-self|net|sys|sysvipc)"), "sysfs": regex("/net|/hugepages|^/fs/cgroup")}


def _fits_root(draft: Draft, parent: Draft, context: Context) -> bool:
    kind, below = draft.kind(), parent.kind()
    if kind is None and draft.filesystem is not None and draft.filesystem.fixed.known:
        return False
    if None not in (kind, below) and (kind == "directory") != (below == "directory"):
        what = f"a {kind} cannot be mounted on {parent.name}, which is a {below}"
        context.wrong(f"{draft.key}.target", what, "a directory can be mounted on a directory only, a file on a file")
    return True


def _mountpoint_on_host(draft: Draft, base: HostPath, parent: Draft, context: Context) -> None:
    """Look a mountpoint up in the filesystem that its parent is a bind of; what is missing is made if that is asked."""
    path = TargetPath(base.path).joined(draft.place)
    try:
        found = kind_at(parent, draft.place, context)
    except LookupError as error:
        missing = isinstance(error, NotThere)
        if missing and draft.spec.create:
            _create_on_host(draft, base, parent, context)
            return
        remedy = "create it there, or write create = true to have it made on the host" if missing else ELSEWHERE
        if error.args[0] == IN_A_FILE:
            remedy = "mount it elsewhere: a part of the path that is not the last is a file"
        what = f'mountpoint "{path}" on the host: {error.args[0]}'
        context.wrong(f"{draft.key}.target", what, remedy)
        return
    _fits_on_host(draft, path, found, context)


def _fits_on_host(draft: Draft, path: TargetPath, found: NodeKind | None, context: Context) -> None:
    wanted = draft.kind()
    if None not in (wanted, found) and (wanted == "directory") != (found == "directory"):
        what = f'"{path}" on the host is a {found}, and the mount is a {wanted}'
        context.wrong(f"{draft.key}.target", what, "a directory can be mounted on a directory only, a file on a file")


def _is_read_only(bind: Draft, row: MountRow) -> bool:
    """Whether nothing can be made in a bind of the host's mount, which begins with the attributes of that."""
    if "ro" in row.options.split(","):
        return True
    assert bind.host is not None
    return (
        row == bind.host.mount
        and isinstance(bind.spec.bind, str)
        and "ro" in row.attributes.split(",")
        and "rw" not in bind.own_words
    )


def _create_on_host(draft: Draft, base: HostPath, parent: Draft, context: Context) -> None:
    """Have the mountpoint made, and of the directories above it those that are missing."""
    path = TargetPath(base.path).joined(draft.place)
    row = mount_at(parent, draft.place, context)
    if _is_read_only(parent, row):
        what = f'mountpoint "{path}" on the host is not there, and what is mounted at {row.mountpoint} is read-only'
        context.wrong(f"{draft.key}.target", what, "create it in what can be written to, or mount it elsewhere")
        return
    kind = draft.kind()
    missing = [(draft.place, "directory" if kind in ("directory", None) else "file")]
    for above in draft.place.ancestors():
        try:
            there = "directory" if above == "/" else kind_at(parent, above, context)
        except LookupError:
            missing.append((above, "directory"))
            continue
        if there not in ("directory", None):
            what = f'"{TargetPath(base.path).joined(above)}" on the host is a {there}, so nothing can be made in it'
            context.wrong(f"{draft.key}.target", what, "mount it elsewhere")
            return
        break
    can_be_made = of(row.fstype).made_in
    for place, node in missing:
        if node not in can_be_made:
            things = f"no {node}" if can_be_made else "nothing"
            what = f'"{path}" is not there, and in {row.fstype} {things} can be made'
            context.wrong(f"{draft.key}.target", what, "name what is there, or mount it elsewhere")
            return
        first, whose = context.made_on_host.setdefault(inner_at(parent, place, context), (node, draft.name))
        if node != first:
            what = f'"{TargetPath(base.path).joined(place)}" on the host is to be made as a {first} for {whose}'
            remedy = "mount a directory on a directory and a file on a file; or mount one of them elsewhere"
            context.wrong(f"{draft.key}.target", f"{what}, and as a {node} for {draft.name}", remedy)
            return
    draft.missing = tuple(
        ResolvedNode(path=path, kind=kind, declared=False, origin=draft.key)  # type: ignore[arg-type]
        for path, kind in reversed(missing)
    )


def _deleted_source(draft: Draft, context: Context) -> None:
    """What is to be removed must be the spec's own, and in what can be written to."""
    bind, filesystem = draft.spec.bind, draft.filesystem
    if not isinstance(bind, MountPath) or not bind.deleted or draft.source is None or draft.copied:
        return
    key = f"{draft.key}.bind.deleted"
    if filesystem is None or draft.host is not None:
        what = f'"{bind.path}" in {draft.source.name} is the host\'s, of which nothing is removed'
        context.wrong(key, what, "leave deleted out, or bind from a filesystem that the spec makes")
    elif draft.root == "/":
        what = f"the root of {draft.source.name} cannot be removed from it"
        context.wrong(key, what, "leave deleted out, or name a path below it")
    elif filesystem.fixed.seal:
        what = f"the kernel makes no filesystem read-only of which something removed is shown: {draft.source.name}"
        context.wrong(key, what, 'leave deleted out, or make its mounts read-only instead: attributes = ["ro"]')
    elif only_reads(filesystem.fixed.fstype, filesystem.fixed.options) or (
        filesystem.fixed.fstype == "overlay" and filesystem.upper is None
    ):
        what = f"{draft.source.name} is read-only, and nothing can be removed from it"
        context.wrong(key, what, "leave deleted out, or bind from what can be written to")


def _hidden_source(draft: Draft, context: Context) -> None:
    """A bind of a path below another mount shows what is under that mount, which is seldom what was meant."""
    bind = draft.spec.bind
    if draft.source is None or not draft.source.children or draft.copied:
        return
    if not isinstance(bind, MountPath) or bind.hidden:
        return
    if draft.source.space is not draft.space:
        return  # in another namespace nothing is hidden from this one
    path = TargetPath(bind.path)
    for step in (path, *path.ancestors()):
        cover = draft.source.children.get(step)
        if cover is None or cover is draft or cover.copied:
            continue
        if cover.is_part and cover.filesystem is draft.source.filesystem:
            continue  # a read-only path: the same thing is seen there
        if step == path and draft.spec.recursive:
            continue
        rest = "/" + path.relative_to(step)
        if cover.name.startswith("mask:"):
            name, remedy = "a mask", "add hidden = true to show in another place what is masked in this one"
        else:
            name = cover.name
            remedy = (
                f'bind {{ mount = "{cover.spec.id or "ID of " + cover.key}", path = "{rest}" }} '
                "to get what is seen there, or add hidden = true to get what is underneath"
            )
        what = f'"{bind.path}" in {draft.source.name} is hidden by {name} ({cover.key})'
        context.wrong(f"{draft.key}.bind", what, remedy)
        return

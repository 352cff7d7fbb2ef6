"""`contents = "underneath"`: a new filesystem that begins with what it covers, as OCI's tmpcopyup."""

from __future__ import annotations

from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft

UNDERNEATH = "underneath"


def settle_underneath(context: Context) -> None:
    """Find what each such filesystem covers, now that the places of all mounts are known."""
    for draft in context.drafts:
        if draft.spec.contents == UNDERNEATH and draft.filesystem is not None:
            _settle(draft, context)


def _settle(draft: Draft, context: Context) -> None:
    key, wrong = f"{draft.key}.contents", context.wrong
    parent, filesystem = draft.parent, draft.filesystem
    if parent is None or filesystem is None:
        wrong(key, "it covers nothing", "name the directory that it shall begin with")
        return
    if parent.host is None and parent.filesystem is not None and parent.filesystem.fixed.inside == "own":
        _begin_with_declared(draft, parent, filesystem, parent.filesystem, context)
        return
    if parent.host is None:
        what = f"what it covers is in {parent.name}, which the spec makes, and not known before that is mounted"
        wrong(key, what, "name the directory of the host that it shall begin with, or write [[mount.file]]")
        return
    path = TargetPath(parent.host.path).joined(draft.place)
    found = context.look(path, key, "create the directory there first, or leave contents out")
    if found is None:
        return
    if found.kind != "directory" or found.path != path:
        kind = found.kind if found.path == path else "symlink"
        wrong(key, f'"{path}" on the host is a {kind}, not a directory', "mount it elsewhere, or leave contents out")
        return
    if not parent.brings and found.mount != parent.host.mount:
        what = f'on the host something is mounted on "{found.mount.mountpoint}", which the bind does not bring along'
        wrong(key, what, f'write recursive = true on {parent.key}, or contents = "{path}"')
        return
    if other := _shown_otherwise(draft, parent, path):
        what = f"{other}, and what is copied is what the host has there"
        wrong(key, what, f'write contents = "{path}" if that is meant, or leave contents out')
        return
    filesystem.fixed = filesystem.fixed._replace(contents=path, inside="opaque")
    for one in filesystem.mounts:  # what is bound from it, and is there, is not made
        if one.root != "/":
            context.learn(filesystem, one.root)
    _check_parts(filesystem, path, context)
    for node in filesystem.contents.nodes.values():
        if node.declared and context.host.link(path.joined(node.path)) is None:
            try:
                context.host.look(path.joined(node.path))
            except LookupError:
                continue
        elif not node.declared:
            continue
        wrong(f"{node.origin}.path", f"{node.path} is in what it covers already", "leave it out here")


def _shown_otherwise(draft: Draft, parent: Draft, path: TargetPath) -> str:
    """Why what the host has at `path` is not what `draft` covers there; "" if it is."""
    if parent.idmap is not None or (parent.brings and parent.below_idmap is not None):
        return f"{parent.name} is id-mapped, so that the files belong to others there"
    waiting = list(parent.children.values())
    for one in waiting:
        if one.is_part and one.filesystem is parent.filesystem:  # a read-only path shows the same files
            waiting += one.children.values()
        elif one is not draft and one.target.is_under(draft.target):
            return f"{one.name} ({one.key}) stands on what it covers"
    for altered in draft.space.altered if parent.index < 0 else ():
        gone = TargetPath(altered.path)
        if altered.what == "remove" and (gone.is_under(path) or path.is_under(gone)):
            return f'{altered.origin} removes what is mounted on "{gone}"'
    return ""


def _check_parts(filesystem: FilesystemDraft, path: str, context: Context) -> None:
    """Read-only paths were taken for there when this was not known."""
    for one in filesystem.mounts:
        kind = filesystem.contents.kind(one.root)
        if one.is_part and kind in (None, "symlink"):
            what = f'"{one.root}" in "{path}" is a symlink' if kind else f'there is no "{one.root}" in "{path}"'
            context.wrong(one.key, what, "correct the path, or leave it out")


def _begin_with_declared(
    draft: Draft, parent: Draft, filesystem: FilesystemDraft, covered: FilesystemDraft, context: Context
) -> None:
    """What the spec declares in a filesystem of its own is declared in the one that covers it as well."""
    base = parent.root.joined(draft.place)
    nodes = [node for node in covered.contents.nodes.values() if node.declared and node.path.is_under(base)]
    if not nodes:
        what = f"it covers nothing: no [[mount.file]] of {parent.name}, which the spec makes, is there"
        remedy = "declare it there, or name a directory of the host, or leave contents out"
        context.wrong(f"{draft.key}.contents", what, remedy)
    for node in nodes:
        if node.path == base:
            asked = [("mode", f"{node.mode:04o}")] if node.mode >= 0 else []
            asked += [(name, str(value)) for name, value in (("uid", node.uid), ("gid", node.gid)) if value >= 0]
            given = dict(filesystem.fixed.options)
            more = tuple(pair for pair in asked if pair[0] not in given)
            filesystem.fixed = filesystem.fixed._replace(options=(*filesystem.fixed.options, *more))
            continue
        there = node._replace(path=TargetPath("/").joined(node.path.relative_to(base)))
        if problem := filesystem.contents.add(there):
            context.wrong(f"{draft.key}.contents", f"{there.path} {problem}", "leave it out in one of them")
    _check_parts(filesystem, draft.target, context)

"""Paths that a mount lists as masked or read-only: which of them are there, asked of the spec or the host."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Literal

from mountplan.planner.host import HostPath, NotThere
from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.names import Handle, NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.resolve.underneath import UNDERNEATH

PathList = Literal["mask", "readonly"]

_VERBS: dict[PathList, str] = {"mask": "mask", "readonly": "name"}
_NOTHING: dict[PathList, str] = {"mask": "nothing is there to hide", "readonly": "nothing is there to make read-only"}
_MATCHES_NOTHING = "nothing that is there matches it"


def listed_paths(draft: Draft, field: PathList, context: Context) -> Iterator[tuple[str, TargetPath, NodeKind]]:
    """What is there of the paths in a list of `draft`, each once: (key path, path in the mount, kind).

    What is not there is told: as a mistake, or as left out if it is optional or a glob.
    """
    found_before: set[str] = set()
    for number, entry in enumerate(getattr(draft.spec, field)):
        if draft.filesystem is None:
            return
        pattern = entry if isinstance(entry, str) else entry.path
        optional = not isinstance(entry, str) and entry.optional
        key = f"{draft.key}.{field}[{number}]"
        found = _matches(draft, pattern, field, key, context, optional=optional)
        if found is None:
            continue
        if not found and (optional or _is_glob(pattern)):
            _leave_out(draft, pattern, field, key, context)
        elif not found:
            remedy = f'correct the path, or write {{ path = "{pattern}", optional = true }}'
            inner = pattern.removeprefix(f"{draft.spec.target}/")
            if inner != pattern:
                remedy = f'such paths begin at the mount: write "{inner}"'
            context.wrong(key, f'there is no "{pattern}" in {draft.name}', remedy)
        for path, kind in found:
            if kind == "symlink":
                what = f'"{path}" in {draft.name} is a symlink'
                context.wrong(key, what, f"{_VERBS[field]} what it leads to")
            elif path not in found_before:
                found_before.add(path)
                yield key, path, kind


def part_name(field: PathList, target: TargetPath, context: Context) -> Handle:
    """Mounts on one target may each have a list with the same path."""
    first = name = f"{field}:{target}"
    number = 1
    while name in context.part_names:
        number += 1
        name = f"{first}#{number}"
    context.part_names.add(name)
    return name


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _leave_out(draft: Draft, pattern: str, field: PathList, key: str, context: Context) -> None:
    target = draft.target.joined(pattern)
    spec = SpecMount.model_construct(target=target)
    part = Draft(draft.space, draft.index, key, part_name(field, target, context), spec)
    part.is_part, part.gone = True, _MATCHES_NOTHING if _is_glob(pattern) else _NOTHING[field]
    context.left_out.append(part)


def _matches(
    draft: Draft, pattern: str, field: PathList, key: str, context: Context, *, optional: bool
) -> list[tuple[TargetPath, NodeKind]] | None:
    """What `pattern` matches in the mount; None (and a mistake) if that cannot be known before it is mounted."""
    assert draft.filesystem is not None
    if draft.filesystem.fixed.known:
        contents = draft.filesystem.contents
        stored = draft.filesystem.fixed.contents
        if stored:
            rests = _on_disk(TargetPath(stored).joined(draft.root), pattern, field, key, context)
            if rests is None:
                return None
            for rest in rests:
                context.learn(draft.filesystem, draft.root.joined(rest))
        paths = contents.glob(draft.root, pattern) if _is_glob(pattern) else [TargetPath(pattern)]
        known: list[tuple[TargetPath, NodeKind]] = []
        for path in paths:
            what = contents.kind(draft.root.joined(path))
            if what is not None:
                known.append((path, what))
        if known or draft.spec.contents != UNDERNEATH:
            return known
        base = None  # what it covers is found when all mounts have their places
    else:
        base = draft.host.path if draft.host is not None else as_on_host(draft, context)
    if base is None and field == "readonly" and not optional and not _is_glob(pattern):
        # It is bound over itself, whatever it is; if it is not there, or a symlink, the build is refused.
        return [(TargetPath(pattern), "directory")]
    if base is None and draft.spec.contents == UNDERNEATH:
        unknown = "what is underneath is not known before all mounts have their places"
        context.wrong(key, unknown, f'name the directory that it begins with: contents = "{draft.target}"')
        return None
    if base is None:
        remedy = f"{_VERBS[field]} a path of a bind, of a tmpfs, or of a filesystem that the host has mounted too"
        if field == "readonly":
            remedy += ", or one that is surely there: no glob, and without optional"
        elif not _is_glob(pattern):
            remedy = (
                f'mount over it: [[mount]] with target = "{draft.target.joined(pattern)}", attributes = ["ro"] and '
            )
            remedy += 'type = "tmpfs" for a directory, bind = "/dev/null" for a file'
        unknown = f"what is in the {draft.filesystem.fixed.fstype} is not known before it is mounted"
        context.wrong(key, unknown, remedy)
        return None
    found = []
    rests = _on_disk(base, pattern.lstrip("/"), field, key, context)
    if rests is None or _lists_covers(draft, base, pattern, key, context):
        return None
    for rest in rests:
        try:
            kind = _kind(draft, base, rest, context)
        except NotThere:
            continue
        except LookupError as error:
            refused = f'host path "{TargetPath(base).joined(rest)}": {error.args[0]}'
            context.wrong(key, refused, f"{_VERBS[field]} what can be looked at")
            return None
        found.append((TargetPath("/").joined(rest), kind))
    return found


def _kind(draft: Draft, base: str, rest: str, context: Context) -> NodeKind:
    """What is at `rest` of a mount that shows the host's `base`; a symlink on the way is one. Raises LookupError."""
    path = TargetPath(base).joined(rest)
    brings = draft.host is not None and draft.brings
    there: HostPath | None = None
    try:
        there = context.host.look(path)
    except NotThere:
        if brings:
            raise
    if there is not None and (brings or there.mount == context.host.look(base).mount):
        # Through a symlink, what is found on the host need not be what is found in the new tree.
        return there.kind if there.path == path else "symlink"
    kind: NodeKind = "directory"
    for step in (*reversed(tuple(TargetPath("/").joined(rest).ancestors())), TargetPath("/").joined(rest)):
        entry = context.host.under(base, step)
        if entry is not None and entry.kind == "symlink":
            return "symlink"
        if entry is None and there is None:
            raise LookupError("the host has mounted something over it, and this user may not look beneath")
        kind = entry.kind if entry is not None else there.kind if there is not None else kind
    return kind


def _lists_covers(draft: Draft, base: str, pattern: str, key: str, context: Context) -> bool:
    """True, and a mistake, if the host has mounted something over a directory of a bind that the pattern looks into."""
    parts = pattern.strip("/").split("/")
    if draft.host is None or draft.brings or len(parts) < 2 or not _is_glob(pattern):
        return False
    for row in context.host.table.rows:
        if row.mountpoint == base or not TargetPath(row.mountpoint).is_under(base):
            continue
        there = TargetPath(row.mountpoint).relative_to(base).split("/")
        if len(there) < len(parts) and all(map(fnmatch, there, parts)):
            what = f'it is not known what "{pattern}" matches: on the host something is mounted on "{row.mountpoint}"'
            context.wrong(key, what, f"write recursive = true on {draft.key}, or name the paths")
            return True
    return False


def _on_disk(base: str, pattern: str, field: PathList, key: str, context: Context) -> tuple[str, ...] | None:
    """The paths below `base` that a pattern means; None (and a mistake) if it is not for this user to list them."""
    if not _is_glob(pattern):
        return (pattern,)
    try:
        return context.host.glob(base, pattern)
    except LookupError as error:
        what = f'it is not known what "{pattern}" matches: {error.args[0]}'
        context.wrong(key, what, f"{_VERBS[field]} what can be looked at, or run it as root")
        return None


def as_on_host(draft: Draft, context: Context) -> str | None:
    """Where the host has a filesystem of this type too, and so the same things in it: one that the kernel fills."""
    assert draft.filesystem is not None
    fixed = draft.filesystem.fixed
    if fixed.inside != "kernel":
        return None
    for row in context.host.of_type(fixed.fstype):
        if row.root == "/":
            try:
                there = context.host.look(row.mountpoint)
            except LookupError:
                continue
            if there.mount == row:
                return str(TargetPath(row.mountpoint).joined(draft.root))
    return None

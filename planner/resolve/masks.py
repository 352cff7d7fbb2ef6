"""Masks: an empty, read-only file or directory of our own over each path that shall be hidden, keeping its type."""

from __future__ import annotations

from mountplan.planner.host import NotThere
from mountplan.planner.language.spec import Mount as SpecMount
from mountplan.planner.names import Handle, NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft
from mountplan.planner.resolve.topology import ResolvedFilesystem, ResolvedNode

MASKS = "fs:@masks"
_WORDS = ["ro", "nosuid", "nodev", "noexec"]


def expand_masks(context: Context) -> None:
    """Add one mount for each path that a mask hides. What is there is asked of the spec, or of the host."""
    masked = [draft for draft in context.drafts if draft.spec.mask]
    if not masked:
        return
    blank = SpecMount.model_construct(attributes=_WORDS)  # takes most of a millisecond, a copy of it much less
    for draft in masked:
        hidden: set[str] = set()
        for number, mask in enumerate(draft.spec.mask):
            if draft.filesystem is None:
                break
            pattern = mask if isinstance(mask, str) else mask.path
            optional = not isinstance(mask, str) and mask.optional
            key = f"{draft.key}.mask[{number}]"
            found = _matches(draft, pattern, key, context)
            if found is None:
                continue
            if not found and not _is_glob(pattern):
                if optional:
                    _leave_out(draft, pattern, key, blank, context)
                    continue
                context.mistakes.add(
                    key,
                    f'there is no "{pattern}" in {draft.name}',
                    f'correct the path, or write {{ path = "{pattern}", optional = true }}',
                )
            for path, kind in found:
                if kind == "symlink":
                    context.mistakes.add(key, f'"{path}" in {draft.name} is a symlink', "mask what it leads to")
                elif path not in hidden:
                    hidden.add(path)
                    _add(draft, path, kind, key, blank, context)


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _add(draft: Draft, path: TargetPath, kind: NodeKind, key: str, blank: SpecMount, context: Context) -> None:
    filesystem = context.filesystems.get(MASKS)
    if filesystem is None:
        fixed = ResolvedFilesystem(
            name=MASKS,
            fstype="tmpfs",
            inside="own",
            origin=key,
            source="mask",
            options=(("size", "4k"), ("mode", "0755"), ("ro", True)),
            seal=True,
        )
        filesystem = context.filesystems[MASKS] = FilesystemDraft(fixed)
        filesystem.needs_workbench = True
    what: NodeKind = "directory" if kind == "directory" else "file"
    root = TargetPath(f"/{what}")
    mode = 0o555 if what == "directory" else 0o444
    if filesystem.contents.kind(root) is None:
        filesystem.contents.add(ResolvedNode(path=root, kind=what, declared=True, origin=key, mode=mode))
    target = draft.target.joined(path)
    spec = blank.model_copy(update={"target": target})
    mask = Draft(draft.space, draft.index, key, _name(target, context), spec)
    mask.is_mask = True
    mask.filesystem, mask.root, mask.parent = filesystem, root, draft
    filesystem.mounts.append(mask)
    context.add(mask)


def _name(target: TargetPath, context: Context) -> Handle:
    """Mounts on one target may each have a mask on one path."""
    name, number = f"mask:{target}", 1
    while name in context.mask_names:
        number += 1
        name = f"mask:{target}#{number}"
    context.mask_names.add(name)
    return name


def _leave_out(draft: Draft, pattern: str, key: str, blank: SpecMount, context: Context) -> None:
    target = draft.target.joined(pattern)
    mask = Draft(draft.space, draft.index, key, _name(target, context), blank.model_copy(update={"target": target}))
    mask.is_mask, mask.gone = True, "nothing is there to hide"
    context.left_out.append(mask)


def _matches(draft: Draft, pattern: str, key: str, context: Context) -> list[tuple[TargetPath, NodeKind]] | None:
    """What `pattern` matches in the mount; None (and a mistake) if that cannot be known before it is mounted."""
    assert draft.filesystem is not None
    if draft.filesystem.fixed.known:
        contents = draft.filesystem.contents
        stored = draft.filesystem.fixed.contents
        if stored:
            below = TargetPath(stored).joined(draft.root)
            for rest in context.host.glob(below, pattern) if _is_glob(pattern) else (pattern,):
                context.learn(draft.filesystem, draft.root.joined(rest))
        paths = contents.glob(draft.root, pattern) if _is_glob(pattern) else [TargetPath(pattern)]
        known: list[tuple[TargetPath, NodeKind]] = []
        for path in paths:
            what = contents.kind(draft.root.joined(path))
            if what is not None:
                known.append((path, what))
        return known
    base = draft.host.path if draft.host is not None else _on_host(draft, context)
    if base is None:
        context.mistakes.add(
            key,
            f"what is in a {draft.filesystem.fixed.fstype} is not known before it is mounted",
            "mask a path of a bind, of a tmpfs, or of a filesystem that the host has mounted too",
        )
        return None
    found = []
    for rest in context.host.glob(base, pattern) if _is_glob(pattern) else (pattern.lstrip("/"),):
        path = TargetPath(base).joined(rest)
        try:
            there = context.host.look(path)
        except NotThere:
            continue
        except LookupError as error:
            context.mistakes.add(key, f'host path "{path}": {error.args[0]}', "mask what can be looked at")
            return None
        else:
            # Through a symlink, what is found on the host need not be what is found in the new tree.
            kind: NodeKind = there.kind if there.path == path else "symlink"
            found.append((TargetPath("/").joined(rest), kind))
    return found


def _on_host(draft: Draft, context: Context) -> str | None:
    """Where the host has a filesystem of this type too, and so the same things in it: one that the kernel fills."""
    assert draft.filesystem is not None
    fixed = draft.filesystem.fixed
    if fixed.inside != "kernel":
        return None
    for row in context.host.table.rows:
        if row.fstype == fixed.fstype and row.root == "/":
            try:
                there = context.host.look(row.mountpoint)
            except LookupError:
                continue
            if there.mount == row:
                return str(TargetPath(row.mountpoint).joined(draft.root))
    return None

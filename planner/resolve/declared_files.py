"""What a spec declares to be in its filesystems: every [[mount.file]]."""

from __future__ import annotations

from mountplan.planner.fstypes import of
from mountplan.planner.language.mount_models import FileEntry
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.resolve.topology import ResolvedNode


def declare_files(context: Context) -> None:
    """Put every [[mount.file]] into the contents of the filesystem that it belongs to."""
    for draft in context.drafts:
        for number, entry in enumerate(draft.spec.file):
            key = f"{draft.key}.file[{number}]"
            if draft.filesystem is None:
                continue
            if draft.filesystem.fixed.inside == "host":
                what = "a file would be made in a filesystem of the host"
                context.wrong(key, what, "make it there yourself, or put it into a tmpfs or overlay of the spec")
                continue
            if draft.filesystem.fixed.inside == "kernel":
                what = f"nothing can be created in a {draft.filesystem.fixed.fstype}"
                context.wrong(key, what, "leave it out")
                continue
            row = of(draft.filesystem.fixed.fstype)
            if row.begins == "empty" and not row.takes_files and (entry.content or entry.source is not None):
                what = f"nothing can be written to the files of a {row.name}"
                context.wrong(key, what, "leave out what is in it, or put it into a tmpfs")
                continue
            node = _node(draft, entry, key, context)
            context.learn(draft.filesystem, node.path)
            there = draft.filesystem.contents.nodes.get(node.path)
            if there is not None and there.origin.endswith(".contents"):
                what = f"{node.path} is in the directory {draft.filesystem.fixed.contents} already"
                context.wrong(f"{key}.path", what, "take it out there, or leave it out here")
                continue
            problem = draft.filesystem.contents.add(node)
            if problem:
                context.wrong(f"{key}.path", f"{node.path} {problem}", "declare each path once, as one thing")


def _node(draft: Draft, entry: FileEntry, key: str, context: Context) -> ResolvedNode:
    source = ""
    if entry.source is not None:
        found = context.look(entry.source, f"{key}.source", "name a file that exists on the host")
        if found is not None:
            source = found.path
            if found.kind != "file":
                context.wrong(f"{key}.source", f'"{entry.source}" is a {found.kind}', "only files can be copied")
    common = {
        "path": draft.root.joined(entry.path),
        "declared": True,
        "origin": key,
        "mode": -1 if entry.mode is None else int(entry.mode, 8),
        "uid": -1 if entry.uid is None else entry.uid,
        "gid": -1 if entry.gid is None else entry.gid,
    }
    if entry.symlink is not None:
        return ResolvedNode(kind="symlink", link=entry.symlink, **common)  # type: ignore[arg-type]
    for kind in ("directory", "fifo", "socket"):
        if getattr(entry, kind):
            return ResolvedNode(kind=kind, **common)  # type: ignore[arg-type]
    if entry.device is not None:
        letter, major, minor = entry.device.split(":")
        kind = "char" if letter == "c" else "block"
        return ResolvedNode(kind=kind, device=(int(major), int(minor)), **common)  # type: ignore[arg-type]
    return ResolvedNode(kind="file", content=entry.content or "", source=source, **common)  # type: ignore[arg-type]

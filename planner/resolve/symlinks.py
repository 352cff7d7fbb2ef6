"""Symlinks on the way to a target: where they are, and where they lead."""

from __future__ import annotations

from mountplan.planner.light import regex
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.resolve.host_places import link_at
from mountplan.planner.resolve.inner_paths import as_on_host

MOST_LINKS = 40  # as many as the kernel follows in one walk (MAXSYMLINKS)
_MAGIC = regex(r"/(self|thread-self|(\d+|self|thread-self)/(cwd|root|exe|fd/\d+|ns/\w+|map_files/[\da-f]+-[\da-f]+))$")


def link_on_the_way(where: Draft, place: TargetPath, context: Context) -> tuple[str, str] | None:
    """The first symlink on the way to `place` of the mount `where`: (its path there, where it points)."""
    if place == "/" or where.filesystem is None:
        return None
    if where.host is not None:
        straight = context.straight.setdefault(where, {"/"})
        steps = [place]
        while steps[-1] not in straight:
            steps.append(TargetPath(steps[-1].rpartition("/")[0] or "/"))
        for step in reversed(steps[:-1]):
            points_to = link_at(where, step, context)
            if points_to is not None:
                return step, points_to
            straight.add(step)
        return None
    path = where.root.joined(place)
    if where.filesystem.fixed.inside == "kernel":
        return _link_as_on_host(where, place, context)
    for step in (*path.ancestors(), path) if where.filesystem.fixed.contents else ():
        context.learn(where.filesystem, step)
    node = where.filesystem.contents.first_link(path)
    if node is None:
        return None
    return "/" + node.path.relative_to(where.root), node.link


def is_magic(where: Draft, place: str, context: Context) -> bool:
    """Whether the symlink at a place of a mount leads each process elsewhere, or not where its text says."""
    if _MAGIC.search(place) is None:
        return False
    if where.host is None:
        return where.spec.type == "proc"
    try:
        return context.host.look(TargetPath(where.host.path).joined(place).rpartition("/")[0]).mount.fstype == "proc"
    except LookupError:
        return False


def _link_as_on_host(where: Draft, place: TargetPath, context: Context) -> tuple[str, str] | None:
    """As link_on_the_way(), of what the kernel fills with the same things in each mount of it."""
    base = as_on_host(where, context)
    for step in (*reversed(tuple(place.ancestors())), place):
        if is_magic(where, step, context):  # of a process that is another there, or that may not be looked at
            return step, ""
        try:
            entry = context.host.under(base, step) if base is not None else None
        except LookupError:
            return None
        if entry is not None and entry.kind == "symlink":
            return step, entry.link
    return None


def followed(link: TargetPath, points_to: str) -> TargetPath:
    """Where the symlink at `link` leads, read beneath the new root: ".." stops at "/"."""
    parts = [] if points_to.startswith("/") else list(link.parts[:-1])
    for part in points_to.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return TargetPath("/" + "/".join(parts))

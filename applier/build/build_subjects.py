"""The namespaces of a build as subjects: what observing and capturing take."""

from __future__ import annotations

from mountplan.applier.build.build import Built
from mountplan.applier.observe.subjects import Subject
from mountplan.planner.fstypes import SHOWN_KINDS


def of_built(built: Built) -> list[Subject]:
    """The namespaces of a build, from the roots of their trees. The caller closes them."""
    found = []
    for held in built.namespaces:
        root, fd = built.open_root(held.name), built.open_mounts(held.name)
        kinds = tuple(kind for kind in SHOWN_KINDS if kind in built.kinds)
        found.append(Subject(held.name, f"namespace {held.name}".rstrip(), fd, root=root, kinds=kinds))
    return found

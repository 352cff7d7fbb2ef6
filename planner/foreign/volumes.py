"""Volumes of Compose services and Kubernetes pods -> mounts of a spec: what both have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mountplan.planner.foreign.mount_words import share
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, SpecDraft


def image_root(draft: SpecDraft, root: str, facts: ImportFacts, what: str, *, read_only: bool) -> DraftMount:
    """The root: a directory that holds the image, if one is named, otherwise an empty one in its place."""
    if root:
        mount = draft.add("/", bind=facts.real(root), recursive=True)
    else:
        mount = draft.add("/", type="tmpfs", options={"mode": "0755"})
        mount.notes.append(f"in place of {what}: unpack it, and name the directory with --root")
    if read_only:
        mount.keys["attributes"] = ["ro"]
        mount.keys["recursive_attributes"] = False
    return mount


def host_bind(
    draft: SpecDraft, place: str, source: str, facts: ImportFacts, *, propagation: str = "rprivate", read_only: str = ""
) -> DraftMount:
    """A path of the host. `propagation` in mount(8)'s words; `read_only` is "", "mount", or "recursive"."""
    mount = draft.add(place, bind=facts.real(source), recursive=True)
    if read_only:
        mount.keys["attributes"] = ["ro"]
        if read_only == "mount":
            mount.keys["recursive_attributes"] = False
    create_on(mount)
    kind = propagation.removeprefix("r")
    sharing = facts.sharing(source)
    if kind in ("shared", "slave") and not sharing.group:
        mount.notes.append(f"{propagation}: nothing at {sharing.mountpoint} of this machine is shared")
    # The runtime has the host's mounts as slaves; "shared" needs the host's group itself.
    events = {"shared": [], "slave": [("slave", True)]}.get(kind, [("private", True)])
    share(draft, mount, events, sharing)
    return mount


def create_on(mount: DraftMount) -> None:
    """Mountpoints that are missing in the image are made there, and its symlinks on the way are followed."""
    if mount.stands_on is not None and isinstance(mount.stands_on.keys.get("bind"), str):
        mount.keys["on_symlink"] = "follow"
        mount.keys["create"] = True


def named(found: object, what: str) -> Mapping[str, Any]:
    """`found`, if it is a table; a configuration may have anything in its place."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{what} is no table")
    return found

"""Volumes of Compose services and Kubernetes pods -> mounts of a spec: what both have in common."""

from __future__ import annotations

from collections.abc import Mapping

from mountplan.planner.attributes import remounted
from mountplan.planner.foreign.mount_words import share
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, SpecDraft, absolute


def image_root(draft: SpecDraft, root: str, facts: ImportFacts, what: str, *, read_only: bool) -> DraftMount:
    """The root: a directory that holds the image, if one is named, otherwise an empty one in its place."""
    if root:
        mount = draft.add("/", bind=facts.real(root), recursive=True)
    else:
        mount = draft.add("/", type="tmpfs", options={"mode": "0755"})
        mount.notes.append(f"in place of {what}: unpack it, and name the directory with --root")
    if read_only:
        mount.keys |= {"attributes": ["ro"], "recursive_attributes": False}
    return mount


def host_bind(
    draft: SpecDraft, place: str, source: str, facts: ImportFacts, *, propagation: str = "rprivate", read_only: str = ""
) -> DraftMount:
    """A path of the host. `propagation` in mount(8)'s words; `read_only` is "", "mount", or "recursive"."""
    mount = draft.add(place, bind=facts.real(source), recursive=True)
    if read_only:
        mount.keys |= {"attributes": ["ro"]} | ({"recursive_attributes": False} if read_only == "mount" else {})
    create_on(mount)
    kind = propagation.removeprefix("r")
    sharing = facts.sharing(source)
    lost = [word for word in remounted(sharing.attributes, ("ro",)) if word != "ro"] if read_only else []
    if lost:
        mount.notes.append(
            f"{', '.join(lost)}: what runc makes read-only may have it, podman leaves what the source has"
        )
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


def depth(place: str) -> int:
    """Docker, podman and the runtimes of Kubernetes mount what is higher up first, in whatever order it is given."""
    return place.rstrip("/").count("/")


class StandIns:
    """A tmpfs in place of each volume that is kept elsewhere, or is one, bound wherever the volume is mounted."""

    def __init__(self, draft: SpecDraft) -> None:
        self._draft = draft
        self._made: dict[str, DraftMount] = {}

    def of(self, name: str, options: Mapping[str, object], note: str = "") -> DraftMount:
        """That of the volume `name`; `options` and `note` are for the first time that it is asked for."""
        made = self._made.get(name)
        if made is None:
            made = self._draft.add(None, type="tmpfs", options={**options})
            made.keys = {"id": self._id(name)} | made.keys
            made.notes += [note] if note else []
            self._made[name] = made
        return made

    def bind(self, place: str, made: DraftMount, part: str, *, read_only: bool, is_file: bool = False) -> None:
        """`part` is what of the volume is mounted, "" for all of it; it is made there."""
        given: dict[str, object] = {"mount": made.id}
        if part:
            given["path"] = absolute(part)
            path = absolute(part).strip("/")
            if not any(file["path"] == path for file in made.files):
                kind: dict[str, object] = {"content": ""} if is_file else {"directory": True}
                made.files.append({"path": path, **kind})
        create_on(self._draft.add(place, bind=given, attributes=["ro"] * read_only))

    def _id(self, name: str) -> str:
        clean = "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in name)
        taken = {one.id for one in self._made.values()}
        found = f"volume-{clean.strip('-') or 'unnamed'}"
        return found if found not in taken else f"{found}-{len(taken)}"

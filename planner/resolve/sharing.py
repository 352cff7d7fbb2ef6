"""Sharing groups: who is peer with whom, who receives from whom, and what each group's seed must contain."""

from __future__ import annotations

from functools import reduce

from mountplan.planner.characters import toml_key
from mountplan.planner.host import HostPath
from mountplan.planner.language.spec import Spec
from mountplan.planner.paths import TargetPath, common_ancestor
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft
from mountplan.planner.resolve.topology import SharingGroup


class _GroupDraft:
    __slots__ = ("filesystem", "host", "key", "master", "members", "name", "receivers", "shared", "span")

    def __init__(self, name: str, key: str, *, shared: bool, master: str) -> None:
        self.name = name
        self.key = key
        self.shared = shared
        self.master = master
        self.host: HostPath | None = None
        self.filesystem = ""
        self.span: TargetPath | None = None
        self.members: list[Draft] = []
        self.receivers: list[_GroupDraft] = []

    def settled(self, span: TargetPath) -> SharingGroup:
        members, host = tuple(draft.name for draft in self.members), self.host
        return SharingGroup(self.name, self.key, self.shared, self.master, host, self.filesystem, span, members)


def find_groups(spec: Spec, context: Context) -> tuple[SharingGroup, ...]:
    """The sharing groups, a master always before its slaves; () if a mistake keeps them from being known."""
    groups = {
        name: _GroupDraft(name, f"peer_group.{name}", shared=True, master=group.master or "")
        for name, group in spec.peer_group.items()
    }
    for name, (master, key) in context.made_groups.items():
        groups[name] = _GroupDraft(name, key, shared=True, master=master)
    _assign_members(groups, context)
    ordered = _masters_first(groups, context)
    if ordered is None:
        return ()
    missed = _of_left_out(groups, context)
    for group in ordered:
        if group.members or group.receivers or group.name not in missed:
            _find_host(spec, group, context)
    _find_spans(ordered, context)
    for group in ordered:
        if not group.members and not group.receivers and group.name not in missed:
            what = f'no mount is in peer group "{group.name}"'
            context.wrong(group.key, what, "take it out, or name it in a mount's peer_group or master")
    _find_workbenches(ordered, context)
    return tuple(group.settled(group.span) for group in ordered if group.span is not None)


def _of_left_out(groups: dict[str, _GroupDraft], context: Context) -> set[str]:
    """The groups that mounts would be in, or receive from, if they were not left out."""
    found: set[str] = set()
    for draft in context.left_out:
        name = draft.spec.peer_group or draft.spec.master or ""
        while name in groups and name not in found:
            found.add(name)
            name = groups[name].master
    return found


def _assign_members(groups: dict[str, _GroupDraft], context: Context) -> None:
    for draft in context.drafts:
        peer, master = draft.spec.peer_group, draft.spec.master
        if peer is None and master is None:
            continue
        if draft.spec.unbindable:
            what = "an unbindable mount is private, and so in no group"
            context.wrong(f"{draft.key}.unbindable", what, "leave out unbindable, or the group")
        known = True
        for field, name in (("peer_group", peer), ("master", master)):
            if name is not None and name not in groups:
                _tell_unknown(f"{draft.key}.{field}", name, groups, context)
                known = False
        if not known:
            continue
        if peer is not None:
            if master is not None and groups[peer].master != master:
                what = f'{draft.name} is in peer group "{peer}", and all peers of a group have one master'
                remedy = f'write master = "{master}" in [peer_group.{peer}], and leave it out here'
                context.wrong(f"{draft.key}.master", what, remedy)
            groups[peer].members.append(draft)
        elif master is not None:
            # Slaves that are not shared need no group of their own, but they do need a seed to join from.
            name = f"slaves of {master}"
            if name not in groups:
                groups[name] = _GroupDraft(name, draft.key, shared=False, master=master)
            groups[name].members.append(draft)


def _tell_unknown(key: str, name: str, groups: dict[str, _GroupDraft], context: Context) -> None:
    close = context.closest(name, groups)
    remedy = f'did you mean "{close}"?' if close else f"add a table [peer_group.{toml_key(name)}]"
    if name.startswith("/"):
        remedy = f'add a table [peer_group.NAME] with host = "{name}", and write that NAME here'
    context.wrong(key, f'there is no peer group "{name}"', remedy)


def _masters_first(groups: dict[str, _GroupDraft], context: Context) -> list[_GroupDraft] | None:
    """The groups in master order; None (and a mistake) if a master is unknown or masters go in a circle."""
    ordered: list[_GroupDraft] = []
    state: dict[str, bool] = {}
    good = True
    for first in groups:
        trail: list[str] = []
        name, known = first, True
        while name and name not in state:
            state[name] = False
            trail.append(name)
            master = groups[name].master
            if master and master not in groups:
                _tell_unknown(f"{groups[name].key}.master", master, groups, context)
                known = good = False
                break
            name = master
        if known and name in trail:
            circle = trail[trail.index(name) :]
            sentence = ", ".join(f'"{one}" receives from "{groups[one].master}"' for one in circle)
            remedy = "a group cannot receive from itself; take one master out"
            context.wrong(f"{groups[name].key}.master", f"masters go in a circle: {sentence}", remedy)
            good = False
        for one in reversed(trail):
            state[one] = True
            ordered.append(groups[one])
    for group in ordered if good else ():
        if group.master:
            groups[group.master].receivers.append(group)
    return ordered if good else None


def _find_host(spec: Spec, group: _GroupDraft, context: Context) -> None:
    table = spec.peer_group.get(group.name)
    if table is None or table.host is None:
        return
    place = f"{group.key}.host"
    if table.master is not None:
        what = "a group of the host has the master that it has there"
        context.wrong(f"{group.key}.master", what, "leave out master, or host")
    found = context.look_to_mount(table.host, place, "name a path on the host that exists")
    if found is None:
        return
    if found.mount.peer_group == 0:
        kind = "a slave, but not shared itself" if found.mount.master else "private"
        what = f'no peer group is behind "{table.host}": the host\'s mount there ({found.mount.mountpoint}) is {kind}'
        context.wrong(place, what, f"make it shared on the host: mount --make-shared {found.mount.mountpoint}")
        return
    group.host = found
    group.filesystem = f"host:{found.mount.device}"


def _find_spans(ordered: list[_GroupDraft], context: Context) -> None:
    """Find each group's filesystem and span: slaves before their masters, since a master's span contains theirs."""
    for group in reversed(ordered):
        parts = [(draft.filesystem.fixed.name, draft.root, draft.name) for draft in group.members if draft.filesystem]
        parts += [(one.filesystem, one.span, f'group "{one.name}"') for one in group.receivers if one.span is not None]
        first = parts[0][2] if parts else ""
        if group.filesystem and parts and parts[0][0] != group.filesystem:
            first = "the host's mount"
        for filesystem, span, who in parts:
            if group.filesystem and filesystem != group.filesystem:
                why = f"they are on different filesystems ({group.filesystem} and {filesystem})"
                what = f'{first} and {who} cannot share events through "{group.name}": {why}'
                context.wrong(group.key, what, "peers and slaves show one filesystem, so bind them from one mount")
                break
            group.filesystem = filesystem
            group.span = span if group.span is None else common_ancestor(group.span, span)
        if group.host is not None and group.span is not None and not group.span.is_under(group.host.mount.root):
            row, members = group.host.mount, f"members of the group show {group.span}"
            what = f'the host\'s mount at "{row.mountpoint}" shows {row.root} of its filesystem, but {members}'
            remedy = "name a host mount of that group that shows more, or bind the members from below it"
            context.wrong(f"{group.key}.host", what, remedy)


def _find_workbenches(ordered: list[_GroupDraft], context: Context) -> None:
    """For groups over a filesystem of the host: where on the host a mount shows all that their seeds must contain.

    One place for all groups of a filesystem, if there is one. Otherwise one for each family, since a seed is made from
    that of its master: the groups below one that has no master, or a host's.
    """
    families: dict[str, dict[str, list[_GroupDraft]]] = {}  # by filesystem, then by the first of the family
    first_of: dict[str, str] = {}
    for group in ordered:
        draft = context.filesystems.get(group.filesystem)
        if draft is not None and draft.fixed.namespace and draft.mounts[0].host is not None:
            draft.fixed = draft.fixed._replace(host_path=draft.mounts[0].host.path, host_root=draft.mounts[0].root)
        elif group.span is not None and group.filesystem.startswith("host:") and group.host is None:
            first = first_of[group.name] = first_of.get(group.master, group.name)
            families.setdefault(group.filesystem, {}).setdefault(first, []).append(group)
    for name, by_first in families.items():
        draft = context.filesystems[name]
        groups = [group for family in by_first.values() for group in family]
        if _found_workbench(draft, groups, context):
            continue
        for number, family in enumerate(by_first.values()):
            if number:
                draft = FilesystemDraft(draft.fixed._replace(name=f"{name}#{number + 1}", origin=family[0].key))
                context.filesystems[draft.fixed.name] = draft
            if not _found_workbench(draft, family, context):
                part = f"{_span(family)} of the filesystem {name.removeprefix('host:')}"
                what = f"no mount on the host shows {part}, which the members of a group have in common"
                context.wrong(draft.fixed.origin, what, "mount a wider part of that filesystem on the host first")
            for group in family:
                group.filesystem = draft.fixed.name


def _span(groups: list[_GroupDraft]) -> TargetPath:
    spans = [group.span for group in groups if group.span is not None]
    return reduce(common_ancestor, spans, spans[0])


def _found_workbench(draft: FilesystemDraft, groups: list[_GroupDraft], context: Context) -> bool:
    """Have the workbench of a host's filesystem made where a host mount shows what is common to these groups."""
    device, span = groups[0].filesystem.removeprefix("host:"), _span(groups)
    for row in sorted(context.host.showing(device, span), key=lambda row: len(row.root)):
        path = TargetPath(row.mountpoint).joined(span.relative_to(row.root))
        try:
            found = context.host.look(path)
        except LookupError:
            continue
        if found.mount == row and found.path == path:
            draft.fixed = draft.fixed._replace(host_path=str(path), host_root=span)
            return True
    return False

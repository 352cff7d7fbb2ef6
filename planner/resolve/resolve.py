"""Spec -> Topology: names, superblocks, contents, the tree, sharing groups; each phase adds to what is found.

All mistakes are collected and raised together.
"""

from __future__ import annotations

from mountplan.planner.errors import SpecError
from mountplan.planner.host import Host
from mountplan.planner.language.expand import Entry, entries
from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.language.namespace_models import Namespace as SpecNamespace
from mountplan.planner.language.spec import Spec
from mountplan.planner.resolve.alterations import find_alterations
from mountplan.planner.resolve.bind_attributes import check_idmaps
from mountplan.planner.resolve.bound_trees import copy_bound_trees
from mountplan.planner.resolve.brought_sharing import check_brought
from mountplan.planner.resolve.declared_files import declare_files
from mountplan.planner.resolve.device_checks import check_devices
from mountplan.planner.resolve.draft import Context, Draft, Space
from mountplan.planner.resolve.images import check_images
from mountplan.planner.resolve.lengths import check_lengths, check_run_lengths
from mountplan.planner.resolve.masks import expand_masks
from mountplan.planner.resolve.mount_filesystems import bind_host, find_filesystems
from mountplan.planner.resolve.mountpoints import make_mountpoints
from mountplan.planner.resolve.optional import references, settle_gone, tell_what_stands_lower
from mountplan.planner.resolve.owners import check_locks, check_peers, find_owners
from mountplan.planner.resolve.placement import leave_out_unsupported, place_mounts
from mountplan.planner.resolve.readonly import expand_readonly
from mountplan.planner.resolve.sharing import find_groups
from mountplan.planner.resolve.to_topology import to_topology
from mountplan.planner.resolve.topology import Topology
from mountplan.planner.resolve.underneath import settle_underneath

INHERITED = "@host"  # the name of the mount that an inherited root is; no id can begin with "@"


def resolve(spec: Spec, host: Host) -> Topology:
    """What `spec` means on `host`. Raises SpecError with every mistake that was found."""
    context = Context(spec.file, host, frozenset(spec.run.unshare))
    name_mounts(spec, context)
    users = find_owners(spec, context)
    find_alterations(spec, context)
    find_filesystems(context)
    settle_gone(context)
    declare_files(context)
    check_images(context)
    expand_readonly(context, bind_host)
    expand_masks(context)
    for space in context.spaces:
        place_mounts(space, context)
    settle_gone(context)
    leave_out_unsupported(context)
    settle_underneath(context)
    check_devices(context)
    copy_bound_trees(context)
    check_idmaps(context)
    make_mountpoints(context)
    tell_what_stands_lower(context)
    check_brought(context)
    check_lengths(context)
    _find_unused(context)
    check_locks(context)
    groups = find_groups(spec, context)
    check_peers(spec, groups, context)
    _check_run(spec, context)
    if context.mistakes:
        raise SpecError(tuple(context.mistakes))
    return to_topology(spec, context, groups, users)


def _check_run(spec: Spec, context: Context) -> None:
    run = spec.run
    check_run_lengths(run, context)
    if run.hostname and "uts" not in run.unshare:
        what = f'the host name "{run.hostname}" would be set for the whole machine'
        context.wrong("run.hostname", what, 'add "uts" to unshare')


def name_mounts(spec: Spec, context: Context) -> None:
    """Give every mount a name: its id, or its target, with "#2" and so on where targets repeat."""
    if spec.namespace and spec.mount:
        what = "there are mounts both in namespaces and outside of them"
        context.wrong("mount[0]", what, "put each [[mount]] into a namespace: [[namespace.mount]]")
    if not spec.namespace:
        mounts = entries(spec, "")
        _name_space(Space("", "", "", builds_root=_builds_root(spec, mounts)), mounts, spec.propagation, context)
        return
    if spec.preset:
        context.wrong("preset", "it is not said in which namespace", "write it in each [[namespace]] that has it")
    names: set[str] = set()
    for number, one in enumerate(spec.namespace):
        key = f"namespace[{number}]"
        if one.name in names:
            context.wrong(f"{key}.name", f'there are two namespaces "{one.name}"', "give each a name of its own")
        names.add(one.name)
        mounts = entries(one, f"{key}.")
        space = Space(one.name, f"{one.name}:", key, builds_root=_builds_root(one, mounts))
        _name_space(space, mounts, one.propagation, context)
    if spec.mount:  # a mistake, and yet there is what they are called
        outside = entries(spec, "")
        _name_space(Space("", "", "", builds_root=_builds_root(spec, outside)), outside, "private", context)


def _builds_root(one: Spec | SpecNamespace, mounts: list[Entry]) -> bool:
    """True if there is to be a new root, False if the mounts are added to a copy of the host's tree."""
    return one.root == "new" or (one.root is None and any(mount.target == "/" for _, mount in mounts))


def _name_space(space: Space, mounts: list[Entry], propagation: str, context: Context) -> None:
    context.spaces.append(space)
    base = f"{space.key}." if space.key else ""
    if not space.builds_root:
        root = SpecMount.model_construct(target="/", bind="/", recursive=True)
        inherited = Draft(space, -1, f"{base}root", INHERITED + space.name, root)
        inherited.inherits = "" if propagation == "private" else "slave"
        context.add(inherited)
    times: dict[str, int] = {}
    for index, (key, mount) in enumerate(mounts):
        name = mount.id
        if name is None and mount.target is None:
            what = "has neither a target nor an id, so nothing can show it"
            context.wrong(key, what, 'add target = "/path", or an id = "..." for other mounts to bind from')
            name = key
        elif name is None:
            target = str(mount.target)
            count = times[target] = times.get(target, 0) + 1
            name = space.prefix + (target if count == 1 else f"{target}#{count}")
        draft = Draft(space, index, key, name, mount)
        context.add(draft)
        if mount.id is not None:
            first = context.by_id.setdefault(mount.id, draft)
            if first is not draft:
                what = f'id "{mount.id}" is taken by {first.key}'
                context.wrong(f"{key}.id", what, "give each mount an id of its own")


def _find_unused(context: Context) -> None:
    """A mount without a target is there for others; if there are none, it was forgotten, or its target was."""
    waiting = [draft for draft in context.drafts if not draft.placed and draft.spec.id is not None]
    if not waiting:
        return
    named = {other for one in (*context.drafts, *context.left_out) for _, _, other in references(one)}
    for draft in waiting:
        filesystem = draft.filesystem
        if filesystem is None or draft.spec.id in named:
            continue
        if not any(one.placed for one in filesystem.mounts):
            what = f"{draft.name} has no target, and nothing is made from it"
            context.wrong(draft.key, what, "add target = ..., or bind from it, or leave it out")

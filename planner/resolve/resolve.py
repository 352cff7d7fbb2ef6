"""Spec -> Topology: names, superblocks, contents, the tree, sharing groups; each phase adds to what is found.

All mistakes are collected and raised together.
"""

from __future__ import annotations

import posixpath
from typing import Literal

from mountplan.planner.attributes import change, contradiction
from mountplan.planner.errors import SpecError
from mountplan.planner.fstypes import of
from mountplan.planner.host import Host
from mountplan.planner.language.expand import Entry, entries
from mountplan.planner.language.fstab_words import instead_of_options
from mountplan.planner.language.spec import FileEntry, Image, MountPath, Spec
from mountplan.planner.language.spec import Mount as SpecMount
from mountplan.planner.language.spec import Namespace as SpecNamespace
from mountplan.planner.language.values import either, shown
from mountplan.planner.names import LeftOut
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.alterations import find_alterations
from mountplan.planner.resolve.bind_attributes import inherit
from mountplan.planner.resolve.brought_sharing import check_brought
from mountplan.planner.resolve.contents import FILLABLE
from mountplan.planner.resolve.device_checks import check_devices
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft, Space
from mountplan.planner.resolve.images import check_images, find_image, same_pool, take_subvolume
from mountplan.planner.resolve.lengths import check_lengths, check_run_lengths
from mountplan.planner.resolve.masks import expand_masks
from mountplan.planner.resolve.new_filesystem import check_device, check_type, options_of
from mountplan.planner.resolve.optional import (
    leave_out_if_missing,
    reason_of,
    references,
    settle_gone,
    tell_what_stands_lower,
)
from mountplan.planner.resolve.overlays import settle_layers
from mountplan.planner.resolve.owners import check_locks, check_peers, find_owners
from mountplan.planner.resolve.placement import copy_bound_trees, leave_out_unsupported, make_mountpoints, place_mounts
from mountplan.planner.resolve.readonly import expand_readonly
from mountplan.planner.resolve.sharing import find_groups
from mountplan.planner.resolve.topology import (
    ImagePart,
    ResolvedFilesystem,
    ResolvedMount,
    ResolvedNamespace,
    ResolvedNode,
    ResolvedUser,
    SharingGroup,
    Topology,
)
from mountplan.planner.resolve.underneath import UNDERNEATH, settle_underneath
from mountplan.planner.run_settings import RunSettings
from mountplan.planner.tables import instances
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import UNTOLD

# What says something about a mount in the tree, and nothing about the filesystem behind it.
_OF_PLACED = ("parent", "create", "peer_group", "master", "unbindable", "mask", "readonly")
_OF_FILESYSTEM = (
    "type",
    "image",
    "contents",
    "layers",
    "data_layers",
    "upper",
    "options",
    "source",
)  # a bind takes it as it finds it
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
    expand_readonly(context, _bind_host)
    expand_masks(context)
    for space in context.spaces:
        place_mounts(space, context)
    settle_gone(context)
    leave_out_unsupported(context)
    settle_underneath(context)
    check_devices(context)
    copy_bound_trees(context)
    make_mountpoints(context)
    tell_what_stands_lower(context)
    check_brought(context)
    check_lengths(context)
    _find_unused(context)
    check_locks(context)
    groups = find_groups(spec, context)
    check_peers(spec, groups, context)
    _check_run(spec, context)
    if context.mistakes.found:
        raise SpecError(tuple(context.mistakes.found))
    return _freeze(spec, context, groups, users)


def _check_run(spec: Spec, context: Context) -> None:
    run = spec.run
    check_run_lengths(run, context)
    if run.hostname and "uts" not in run.unshare:
        context.mistakes.add(
            "run.hostname",
            f'the host name "{run.hostname}" would be set for the whole machine',
            'add "uts" to unshare',
        )


def name_mounts(spec: Spec, context: Context) -> None:
    """Give every mount a name: its id, or its target, with "#2" and so on where targets repeat."""
    if spec.namespace and spec.mount:
        context.mistakes.add(
            "namespace",
            "there are mounts both in namespaces and outside of them",
            "put each [[mount]] into a namespace: [[namespace.mount]]",
        )
    if not spec.namespace:
        mounts = entries(spec, "")
        _name_space(Space("", "", "", builds_root=_builds_root(spec, mounts)), mounts, spec.propagation, context)
        return
    if spec.preset:
        context.mistakes.add(
            "preset", "it is not said in which namespace", "write it in each [[namespace]] that has it"
        )
    names: set[str] = set()
    for number, one in enumerate(spec.namespace):
        key = f"namespace[{number}]"
        if one.name in names:
            context.mistakes.add(f"{key}.name", f'there are two namespaces "{one.name}"', "give each a name of its own")
        names.add(one.name)
        mounts = entries(one, f"{key}.")
        space = Space(one.name, f"{one.name}:", key, builds_root=_builds_root(one, mounts))
        _name_space(space, mounts, one.propagation, context)


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
            context.mistakes.add(
                key,
                "has neither a target nor an id, so nothing can show it",
                'add target = "/path", or an id = "..." for other mounts to bind from',
            )
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
                context.mistakes.add(
                    f"{key}.id", f'id "{mount.id}" is taken by {first.key}', "give each mount an id of its own"
                )


def find_filesystems(context: Context) -> None:
    """Find the superblock and the root of every mount; what a mount is made from is settled before it."""
    settled: dict[Draft, bool] = {}  # False while what it is made from is being settled
    for first in context.drafts:
        stack = [first]
        while stack:
            draft = stack[-1]
            if draft not in settled:
                settled[draft] = False
                _push_sources(draft, stack, settled, context)
            if stack[-1] is draft:  # all that it is made from is settled
                stack.pop()
                if not settled[draft]:
                    settled[draft] = True
                    before = len(context.mistakes.found)
                    _settle(draft, context)
                    leave_out_if_missing(draft, context.mistakes.found[before:], context)


def _push_sources(draft: Draft, stack: list[Draft], settled: dict[Draft, bool], context: Context) -> None:
    for key, reference in _sources(draft):
        source = context.find(reference, key)
        if source is None:
            continue
        if source.spec.unsupported is not None:
            context.mistakes.add(
                key,
                f"{source.name} is left out ({source.key}.unsupported), so nothing can be made from it",
                'leave this one out as well: unsupported = "..."; or make it from something else',
            )
            continue
        if source not in settled:
            stack.append(source)
        elif not settled[source]:
            loop = stack[stack.index(source) :]
            sentence = ", ".join(
                f"{one.name} is made from {other.name}" for one, other in zip(loop, [*loop[1:], source], strict=True)
            )
            context.mistakes.add(
                key,
                f"mounts are made from each other in a circle: {sentence}",
                "one of them must be a filesystem of its own (type = ...) or a host path",
            )


def _sources(draft: Draft) -> list[tuple[str, str]]:
    """The ids of the mounts that this one is made from, each with its key path."""
    spec = draft.spec
    if spec.unsupported is not None:
        return []
    if isinstance(spec.image, Image):
        return [(f"{draft.key}.image", spec.image.mount)] if spec.image.mount is not None else []
    if not spec.layers:
        return [(f"{draft.key}.bind", spec.bind.mount)] if isinstance(spec.bind, MountPath) else []
    places = [(f"{draft.key}.layers[{n}]", layer) for n, layer in enumerate(spec.layers)]
    places += [(f"{draft.key}.data_layers[{n}]", layer) for n, layer in enumerate(spec.data_layers)]
    places += [(f"{draft.key}.upper", spec.upper), (f"{draft.key}.work", spec.work)]  # type: ignore[list-item]
    return [(key, place.mount) for key, place in places if isinstance(place, MountPath)]


def _settle(draft: Draft, context: Context) -> None:
    """Find what one mount is of: what it binds, or a filesystem of its own."""
    spec, key, wrong = draft.spec, draft.key, context.mistakes.add
    if spec.unsupported is not None:
        return
    clash = contradiction(draft.own_words)
    if clash:
        wrong(f"{key}.attributes", f"{' and '.join(clash)} contradict each other", f"keep one of {', '.join(clash)}")
    if not draft.placed:
        for field in _OF_PLACED:
            if getattr(spec, field):
                wrong(
                    f"{key}.{field}",
                    f"{field} is of no use without a target: this mount stands nowhere",
                    "add target = ..., or write it on the mounts that bind from here",
                )
    if spec.bind is not None:
        _settle_bind(draft, context)
        return
    path = spec.source if (spec.source or "").startswith("/") else None  # as fstab and mount(8) name what is bound
    if spec.type is None and path is not None:
        wrong(
            f"{key}.source",
            f"{shown(path)} is only what a filesystem is called, and there is none (type)",
            f"write bind = {shown(path)} to show what is there",
        )
        return
    if spec.type is None:
        wrong(
            key,
            "says neither what to mount (type) nor what to bind (bind)",
            'add type = "tmpfs", or bind = "/host/path", or bind = { mount = "ID", path = "/in/it" }',
        )
        return
    if spec.type in ("none", "bind"):
        bind = shown(path or "/host/path")
        wrong(f"{key}.type", f'"{spec.type}" is no filesystem type', f"write bind = {bind} instead of a type")
        return
    if spec.recursive:
        wrong(f"{key}.recursive", "only a bind can be recursive", "leave it out, or bind something")
    _settle_filesystem(draft, spec.type, context)


def _settle_filesystem(draft: Draft, fstype: str, context: Context) -> None:
    """Give a mount that is no bind its filesystem: a new one, or the one of that type that there is already."""
    spec, key, wrong = draft.spec, draft.key, context.mistakes.add
    if spec.data_layers and fstype != "overlay":
        wrong(f"{key}.data_layers", f'only type = "overlay" has layers, not "{fstype}"', 'write type = "overlay"')
    if (fstype == "overlay") != bool(spec.layers):
        if spec.layers:
            wrong(f"{key}.layers", f'only type = "overlay" has layers, not "{fstype}"', 'write type = "overlay"')
        else:
            wrong(key, "an overlay needs layers", 'add layers = ["/top", "/below"], the topmost first')
        return
    if spec.upper is not None and fstype != "overlay":
        wrong(f"{key}.upper", f'only type = "overlay" has an upper layer, not "{fstype}"', "leave it out")
    if not check_type(draft, fstype, context):
        return
    check_device(draft, fstype, context)
    options = options_of(draft, context)
    source = UNTOLD if spec.image is not None else fstype if spec.source is None else spec.source
    name = f"fs:{draft.name}"
    if of(fstype).is_shared:
        there = context.single.get(fstype, [])
        if there and options != there[0].fixed.options:
            wrong(
                f"{key}.options",
                f"there is one {fstype} only, and another mount gives it other options",
                "give all mounts of it the same options",
            )
        same = [one for one in there if one.fixed.source == source]
        if same:
            _join_filesystem(draft, same[0])
            return
        name = f"fs:{fstype}" if not there else f"fs:{fstype}:{draft.name}"  # a mount of its own has its own source
    _check_shared(draft, options, context)
    inside = of(fstype).inside
    options = take_subvolume(draft, options, context)
    image = find_image(draft, fstype, options, context) if spec.image is not None else ImagePart()
    contents = _find_contents(draft, spec.contents, context) if spec.contents is not None else ""
    fixed = ResolvedFilesystem(
        name=name,
        fstype=fstype,
        inside="opaque" if spec.image is not None or contents else inside,
        origin=key,
        source=source,
        options=options,
        image=image,
        contents=contents,
        seal=inside == "own" and ("ro", True) in options,
    )
    pool = same_pool(fixed, context)
    filesystem = pool or FilesystemDraft(fixed)
    context.filesystems.setdefault(filesystem.fixed.name, filesystem)
    if of(fstype).is_shared:
        context.single.setdefault(fstype, []).append(filesystem)
    _join_filesystem(draft, filesystem)
    if spec.layers:
        settle_layers(draft, filesystem, context)


def _find_contents(draft: Draft, path: str, context: Context) -> str:
    """The directory that a new filesystem is filled with, as the host knows it; "" if that is a mistake."""
    key, wrong = f"{draft.key}.contents", context.mistakes.add
    if draft.spec.type not in FILLABLE:
        wrong(
            key,
            f"a {draft.spec.type} is not filled by the spec",
            f"leave it out, or mount a {either(sorted(FILLABLE))}",
        )
        return ""
    if path == UNDERNEATH:  # underneath.py finds it, when its place is known
        return ""
    # A spec's file is as its user named it, so this is relative to where mountplan was started.
    found = context.look(
        posixpath.join(posixpath.dirname(context.file), path),
        key,
        "name a directory that exists; a relative path counts from the directory of the spec",
    )
    if found is not None and found.kind != "directory":
        wrong(key, f'"{path}" is a {found.kind}, not a directory', "name a directory")
    return found.path if found is not None and found.kind == "directory" else ""


def _join_filesystem(draft: Draft, filesystem: FilesystemDraft) -> None:
    draft.filesystem = filesystem
    filesystem.mounts.append(draft)
    if not draft.placed:
        filesystem.needs_workbench = True


def _check_shared(draft: Draft, options: Pairs, context: Context) -> None:
    """What others have as well keeps the options that it has: a mount can ask only for those."""
    fstype = draft.spec.type or ""
    kind = of(fstype)
    if kind.shown_as:
        context.mistakes.add(
            f"{draft.key}.type",
            f"what is mounted as a {fstype} is a {kind.shown_as}",
            f'write type = "{kind.shown_as}", with its options',
        )
    elif kind.instances == "hierarchy":
        _check_hierarchy(draft, options, context)
    if not options or not kind.is_shared or kind.instances in context.unshared:
        return
    there = context.host.instance(fstype)
    shared = f"there is one {fstype} {instances.place_of(fstype)}"
    for name, value in options if there is None else instances.unlike(fstype, options, there):
        asked = name if value is True else f"{name} = {value}"
        if there is None:
            what = f"{shared}: {asked} would be set on that, and what it has now is not known: none is mounted here"
        else:
            what = f"{shared}, which has {there}: {asked} would be set for all who show it"
        remedy = 'write attributes = ["ro"]' if name == "ro" else "leave it out"
        if kind.instances == "machine":
            remedy += ", or give it to the host's first: mount -o remount"
        else:
            remedy += f', or add "{kind.instances}" to run.unshare: then it is a new one'
        context.mistakes.add(f"{draft.key}.options.{name}", what, remedy)


# What mountinfo shows of a cgroup hierarchy besides what it is made of: its controllers, or its name.
_OF_ANY_HIERARCHY = frozenset({"rw", "ro", "xattr", "clone_children", "cpuset_v2_mode", "favordynmods"})


def _check_hierarchy(draft: Draft, options: Pairs, context: Context) -> None:
    """A cgroup hierarchy (v1) that the machine does not have yet takes its controllers from all processes."""
    asked = {name if value is True else f"{name}={value}" for name, value in options} - _OF_ANY_HIERARCHY
    there = [
        set(row.options.split(",")) - _OF_ANY_HIERARCHY for row in context.host.table.rows if row.fstype == "cgroup"
    ]
    if asked in there:
        return
    made_of = ", ".join(sorted(asked)) or "all controllers"
    known = "; ".join(sorted(",".join(sorted(one)) for one in there if one)) or "none"
    context.mistakes.add(
        f"{draft.key}.options",
        f"no cgroup hierarchy of the machine is made of {made_of}: a new one would take them from all its processes",
        f"name what one is made of (there are: {known}), or bind the host's, or mount a cgroup2",
    )


def _settle_bind(draft: Draft, context: Context) -> None:
    spec, key, wrong = draft.spec, draft.key, context.mistakes.add
    if not spec.model_fields_set.isdisjoint(_OF_FILESYSTEM):
        for field in _OF_FILESYSTEM:
            if getattr(spec, field, None):
                wrong(
                    f"{key}.{field}",
                    f"a bind has no {field}: it shows a filesystem that is mounted already",
                    (field == "options" and instead_of_options(spec.options))
                    or f"leave out {field}, or leave out bind",
                )
    if isinstance(spec.bind, MountPath):
        source = context.by_id.get(spec.bind.mount)
        if source is None or source.filesystem is None:
            return
        draft.source = source
        draft.root = source.root.joined(spec.bind.path)
        if source.host is not None:
            _bind_host(draft, TargetPath(source.host.path).joined(spec.bind.path), f"{key}.bind", context)
            if draft.host is not None and draft.host.mount != source.host.mount:
                wrong(f"{key}.bind", f'the host has another mount at "{draft.host.path}"', "bind that host path itself")
        else:
            _join_filesystem(draft, source.filesystem)
            context.learn(source.filesystem, draft.root)
    elif spec.bind is not None:
        _bind_host(draft, spec.bind, f"{key}.bind", context)
    inherit(draft, context)


def _bind_host(draft: Draft, path: str, key: str, context: Context) -> None:
    remedy = "create it on the host first, name a path that exists, or leave it out here with optional = true"
    found = context.look_to_mount(path, key, remedy)
    if found is None:
        return
    draft.host = found
    draft.root = found.inner
    name = f"host:{found.mount.device}"
    filesystem = context.filesystems.get(name)
    if filesystem is None:
        fixed = ResolvedFilesystem(name=name, fstype=found.mount.fstype, inside="host", origin=draft.key)
        filesystem = context.filesystems[name] = FilesystemDraft(fixed)
    _join_filesystem(draft, filesystem)


def declare_files(context: Context) -> None:
    """Put every [[mount.file]] into the contents of the filesystem that it belongs to."""
    for draft in context.drafts:
        for number, entry in enumerate(draft.spec.file):
            key = f"{draft.key}.file[{number}]"
            if draft.filesystem is None:
                continue
            if draft.filesystem.fixed.inside == "host":
                context.mistakes.add(
                    key,
                    "a file would be made in a filesystem of the host",
                    "make it there yourself, or put it into a tmpfs or overlay of the spec",
                )
                continue
            if draft.filesystem.fixed.inside == "kernel":
                context.mistakes.add(
                    key, f"nothing can be created in a {draft.filesystem.fixed.fstype}", "leave it out"
                )
                continue
            node = _node(draft, entry, key, context)
            context.learn(draft.filesystem, node.path)
            there = draft.filesystem.contents.nodes.get(node.path)
            if there is not None and there.origin.endswith(".contents"):
                context.mistakes.add(
                    f"{key}.path",
                    f"{node.path} is in the directory {draft.filesystem.fixed.contents} already",
                    "take it out there, or leave it out here",
                )
                continue
            problem = draft.filesystem.contents.add(node)
            if problem:
                context.mistakes.add(f"{key}.path", f"{node.path} {problem}", "declare each path once, as one thing")


def _node(draft: Draft, entry: FileEntry, key: str, context: Context) -> ResolvedNode:
    source = ""
    if entry.source is not None:
        found = context.look(entry.source, f"{key}.source", "name a file that exists on the host")
        if found is not None:
            source = found.path
            if found.kind != "file":
                context.mistakes.add(f"{key}.source", f'"{entry.source}" is a {found.kind}', "only files can be copied")
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
    if entry.directory:
        return ResolvedNode(kind="directory", **common)  # type: ignore[arg-type]
    if entry.fifo:
        return ResolvedNode(kind="fifo", **common)  # type: ignore[arg-type]
    if entry.socket:
        return ResolvedNode(kind="socket", **common)  # type: ignore[arg-type]
    if entry.device is not None:
        letter, major, minor = entry.device.split(":")
        kind = "char" if letter == "c" else "block"
        return ResolvedNode(kind=kind, device=(int(major), int(minor)), **common)  # type: ignore[arg-type]
    return ResolvedNode(kind="file", content=entry.content or "", source=source, **common)  # type: ignore[arg-type]


def _find_unused(context: Context) -> None:
    """A mount without a target is there for others; if there are none, it was forgotten, or its target was."""
    layers = {
        layer.filesystem
        for one in context.filesystems.values()
        for layer in (*one.layers, one.upper, one.work)
        if layer is not None
    }
    missed = {named for one in context.left_out for _, _, named in references(one)}
    layers |= {one.fixed.image.holder for one in context.filesystems.values()}
    for draft in context.drafts:
        filesystem = draft.filesystem
        if draft.placed or draft.spec.id is None or filesystem is None or filesystem.fixed.name in layers:
            continue
        if draft.spec.id in missed:
            continue
        if not any(one.placed for one in filesystem.mounts):
            context.mistakes.add(
                draft.key,
                f"{draft.name} has no target, and nothing is made from it",
                "add target = ..., or bind from it, or leave it out",
            )


def _freeze(
    spec: Spec, context: Context, groups: tuple[SharingGroup, ...], users: tuple[ResolvedUser, ...]
) -> Topology:
    in_group = {name for group in groups for name in group.members}
    run = spec.run
    return Topology(
        name=spec.name or "",
        file=spec.file,
        lines=spec.headers(),
        moved=spec.moved,
        filesystems=tuple(_filesystem(draft, in_group) for draft in context.filesystems.values()),
        groups=groups,
        namespaces=tuple(
            ResolvedNamespace(
                space.name,
                tuple(_mount(draft) for draft in space.drafts if draft.placed),
                space.user,
                tuple(space.altered),
            )
            for space in context.spaces
        ),
        run=RunSettings(
            command=tuple(run.command),
            environment=tuple(run.environment.items()),
            clear_environment=run.clear_environment,
            cwd=str(run.cwd or "/"),
            hostname=run.hostname or "",
            unshare=tuple(dict.fromkeys(run.unshare)),
            capabilities=None if run.capabilities is None else tuple(run.capabilities),
            no_new_privs=run.no_new_privs,
        ),
        left_out=tuple(map(_left_out, context.left_out)),
        users=users,
    )


def _left_out(draft: Draft) -> LeftOut:
    below = draft
    if draft.gone:
        if draft.gone_with is not None and (draft.parent is draft.gone_with or draft.spec.parent is not None):
            below = draft.gone_with
        reason = reason_of(draft)
        if below is draft and draft.gone_with is not None:
            reason = f"{draft.gone}: {reason}"
    else:
        while below.spec.unsupported is None and below.parent is not None:
            below = below.parent
        reason = below.spec.unsupported or ""
    return LeftOut(
        name=draft.name,
        namespace=draft.space.name,
        target=draft.target if draft.placed else "",
        reason=reason,
        upon="" if below is draft else below.target,
        origin=draft.key,
    )


def _filesystem(draft: FilesystemDraft, in_group: set[str]) -> ResolvedFilesystem:
    """`in_group` are the names of mounts that are made from a seed, and so from a workbench."""
    fixed = draft.fixed
    alone = (
        len(draft.mounts) == 1
        and draft.mounts[0].root == "/"
        and draft.mounts[0].name not in in_group
        and not draft.needs_workbench
    )
    return ResolvedFilesystem(
        name=fixed.name,
        fstype=fixed.fstype,
        inside=fixed.inside,
        origin=fixed.origin,
        source=fixed.source,
        options=fixed.options,
        image=fixed.image,
        contents=fixed.contents,
        layers=tuple(draft.layers),
        upper=draft.upper,
        work=draft.work,
        nodes=draft.contents.result(),
        workbench=not alone,
        seal=fixed.seal,
        host_path=fixed.host_path,
        host_root=fixed.host_root,
    )


def _brings(draft: Draft) -> Literal["", "private", "peer", "slave"]:
    """What becomes of what the clone brings along; copies of mounts of the spec are mounts by themselves."""
    word = draft.spec.recursive_sharing or ""
    return word if word == "private" or (draft.brings and draft.host is not None) else ""


def _mount(draft: Draft) -> ResolvedMount:
    spec = draft.spec
    assert draft.filesystem is not None
    return ResolvedMount(
        name=draft.name,
        origin=draft.key,
        target=draft.target,
        filesystem=draft.filesystem.fixed.name,
        root=draft.root,
        parent=draft.parent.name if draft.parent else None,
        place=draft.place,
        mountpoint=draft.mountpoint,  # type: ignore[arg-type]
        missing=draft.missing,
        host=draft.host,
        recursive=draft.brings and draft.host is not None,
        inherits=draft.inherits,  # type: ignore[arg-type]
        brings=_brings(draft),
        words=draft.words,
        change=change(draft.words),
        below_words=draft.below_words,
        below_idmap=draft.below_idmap is not None,
        uids=tuple(draft.idmap.uids) if draft.idmap else (),
        gids=tuple(draft.idmap.gids) if draft.idmap else (),
        unbindable=spec.unbindable,
        deleted=isinstance(spec.bind, MountPath) and spec.bind.deleted,
        group=spec.peer_group or "",
        master=spec.master or "",
        lock=draft.lock,
    )

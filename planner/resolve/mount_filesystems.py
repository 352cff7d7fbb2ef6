"""Which superblock each mount is of, and the path in it: a new one, one that is there already, or what a bind takes."""

from __future__ import annotations

import posixpath

from mountplan.planner.attributes import contradiction
from mountplan.planner.fstypes import of
from mountplan.planner.host import HostPath
from mountplan.planner.language.fstab_words import instead_of_options
from mountplan.planner.language.path_models import Image, MountPath, NamespaceFile
from mountplan.planner.language.values import either, shown
from mountplan.planner.light import regex
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.bind_attributes import inherit
from mountplan.planner.resolve.contents import FILLABLE
from mountplan.planner.resolve.draft import ELSEWHERE, Context, Draft, FilesystemDraft
from mountplan.planner.resolve.host_places import is_covered
from mountplan.planner.resolve.images import find_image, same_pool, take_subvolume
from mountplan.planner.resolve.new_filesystem import ask_for_options, check_device, check_type, options_of
from mountplan.planner.resolve.optional import leave_out_if_missing
from mountplan.planner.resolve.overlays import settle_layers
from mountplan.planner.resolve.topology import ImagePart, ResolvedFilesystem
from mountplan.planner.resolve.underneath import UNDERNEATH
from mountplan.planner.tables import instances
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import UNTOLD

_OF_NAMESPACES = regex(r"/proc/[a-z0-9-]+/ns/(?!mnt)[a-z_]+")
_READ_ONLY = 'write attributes = ["ro"]'
# What says something about a mount in the tree, and nothing about the filesystem behind it.
_OF_PLACED = ("parent", "create", "peer_group", "master", "unbindable", "mask", "readonly")
# What a bind takes as it finds it.
_OF_FILESYSTEM = ("type", "image", "contents", "layers", "data_layers", "upper", "options", "source")


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
                    before = len(context.mistakes)
                    _settle(draft, context)
                    if len(context.mistakes) > before:
                        leave_out_if_missing(draft, context.mistakes[before:], context)


def _push_sources(draft: Draft, stack: list[Draft], settled: dict[Draft, bool], context: Context) -> None:
    for key, reference in _sources(draft):
        source = context.find(reference, key)
        if source is None:
            continue
        if source.spec.unsupported is not None:
            what = f"{source.name} is left out ({source.key}.unsupported), so nothing can be made from it"
            context.wrong(key, what, 'leave this one out as well: unsupported = "..."; or make it from something else')
            continue
        if source not in settled:
            stack.append(source)
        elif not settled[source]:
            loop = stack[stack.index(source) :]
            pairs = zip(loop, [*loop[1:], source], strict=True)
            sentence = ", ".join(f"{one.name} is made from {other.name}" for one, other in pairs)
            what = f"mounts are made from each other in a circle: {sentence}"
            context.wrong(key, what, "one of them must be a filesystem of its own (type = ...) or a host path")


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
    spec, key, wrong = draft.spec, draft.key, context.wrong
    if spec.unsupported is not None:
        return
    clash = contradiction(draft.own_words) if draft.own_words else ()
    if clash:
        wrong(f"{key}.attributes", f"{' and '.join(clash)} contradict each other", f"keep one of {', '.join(clash)}")
    if not draft.placed:
        for field in _OF_PLACED:
            if getattr(spec, field):
                what = f"{field} is of no use without a target: this mount stands nowhere"
                wrong(f"{key}.{field}", what, "add target = ..., or write it on the mounts that bind from here")
    if spec.bind is not None:
        _settle_bind(draft, context)
        return
    path = spec.source if (spec.source or "").startswith("/") else None  # as fstab and mount(8) name what is bound
    if spec.type is None and path is not None:
        what = f"{shown(path)} is only what a filesystem is called, and there is none (type)"
        wrong(f"{key}.source", what, f"write bind = {shown(path)} to show what is there")
        return
    if spec.type is None:
        remedy = 'add type = "tmpfs", or bind = "/host/path", or bind = { mount = "ID", path = "/in/it" }'
        if spec.image is not None:
            remedy = 'add the type of the filesystem in the image, such as type = "ext4"'
        wrong(key, "says neither what to mount (type) nor what to bind (bind)", remedy)
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
    spec, key, wrong = draft.spec, draft.key, context.wrong
    if spec.data_layers and fstype != "overlay":
        wrong(f"{key}.data_layers", f'only type = "overlay" has layers, not "{fstype}"', 'write type = "overlay"')
    if (fstype == "overlay") != bool(spec.layers):
        if spec.layers:
            wrong(f"{key}.layers", f'only type = "overlay" has layers, not "{fstype}"', 'write type = "overlay"')
        elif "lowerdir" in spec.options:
            options_of(draft, context)
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
            what = f"there is one {fstype} only, and another mount gives it other options"
            wrong(f"{key}.options", what, "give all mounts of it the same options")
        same = [one for one in there if one.fixed.source == source]
        if same:
            _join_filesystem(draft, same[0])
            return
        is_another = context.by_id.get(fstype, draft) is not draft  # whose filesystem would have that name
        # A mount of its own has its own source.
        name = f"fs:{fstype}:{draft.name}" if there or is_another else f"fs:{fstype}"
    _check_shared(draft, options, context)
    inside = of(fstype).inside
    options = take_subvolume(draft, options, context)
    ask_for_options(draft, options, context)
    image = find_image(draft, fstype, options, context) if spec.image is not None else ImagePart()
    contents = _find_contents(draft, spec.contents, context) if spec.contents is not None else ""
    seal = inside == "own" and ("ro", True) in options
    inside = "opaque" if spec.image is not None or contents else inside
    fixed = ResolvedFilesystem(name, fstype, inside, key, source, options, image, contents, seal=seal)
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
    key, wrong = f"{draft.key}.contents", context.wrong
    if draft.spec.type not in FILLABLE:
        what = f"a {draft.spec.type} is not filled by the spec"
        wrong(key, what, f"leave it out, or mount a {either(sorted(FILLABLE))}")
        return ""
    if path == UNDERNEATH:  # underneath.py finds it, when its place is known
        return ""
    # A spec's file is as its user named it, so this is relative to where mountplan was started.
    remedy = "name a directory that exists; a relative path counts from the directory of the spec"
    found = context.look(posixpath.join(posixpath.dirname(context.file), path), key, remedy)
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
        what = f"what is mounted as a {fstype} is a {kind.shown_as}"
        context.wrong(f"{draft.key}.type", what, f'write type = "{kind.shown_as}", with its options')
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
        remedy = _READ_ONLY if name == "ro" else "leave it out"
        if kind.instances == "machine":
            remedy += ", or give it to the host's first: mount -o remount"
        else:
            remedy += f', or add "{kind.instances}" to run.unshare: then it is a new one'
        context.wrong(f"{draft.key}.options.{name}", what, remedy)


def _check_hierarchy(draft: Draft, options: Pairs, context: Context) -> None:
    """A cgroup hierarchy (v1) that the machine does not have yet takes its controllers from all processes."""
    asked = instances.hierarchy_of(name if value is True else f"{name}={value}" for name, value in options)
    rows = context.host.of_type("cgroup")
    shown_of = {row.options: instances.hierarchy_of(row.options.split(",")) for row in rows}
    there = list(shown_of.values())
    if asked in there:
        has = next(text for text, made_of in shown_of.items() if made_of == asked)
        for name, _ in instances.unlike("cgroup", options, has):
            what = f"the machine's hierarchy has {has}, and the kernel passes over {name} in another mount of it"
            context.wrong(f"{draft.key}.options.{name}", what, _READ_ONLY if name == "ro" else "leave it out")
        return
    made_of = ", ".join(sorted(asked)) or "all controllers"
    known = "; ".join(sorted(",".join(sorted(one)) for one in there if one)) or "none"
    what = f"no cgroup hierarchy of the machine is made of {made_of}: a new one would take them from all its processes"
    remedy = f"name what one is made of (there are: {known}), or bind the host's, or mount a cgroup2"
    context.wrong(f"{draft.key}.options", what, remedy)


def _settle_bind(draft: Draft, context: Context) -> None:
    spec, key, wrong = draft.spec, draft.key, context.wrong
    if not spec.model_fields_set.isdisjoint(_OF_FILESYSTEM):
        for field in _OF_FILESYSTEM:
            if getattr(spec, field, None):
                instead = instead_of_options(spec.options) if field == "options" else ""
                what = f"a bind has no {field}: it shows a filesystem that is mounted already"
                wrong(f"{key}.{field}", what, instead or f"leave out {field}, or leave out bind")
    if isinstance(spec.bind, MountPath):
        source = context.by_id.get(spec.bind.mount)
        if source is None or source.filesystem is None:
            return
        draft.source = source
        draft.root = source.root.joined(spec.bind.path)
        if source.host is not None and source.host.namespace:
            draft.host = source.host
            _join_filesystem(draft, source.filesystem)
            if spec.bind.path != "/":
                what = f"{source.name} is the file of a namespace, with nothing in it"
                wrong(f"{key}.bind.path", what, "leave it out")
        elif source.host is not None:
            place = TargetPath(spec.bind.path)
            path = TargetPath(source.host.path).joined(place)
            if is_covered(source, place, f"{key}.bind", f'write bind = "{path}", if that is meant', context):
                return
            bind_host(draft, path, f"{key}.bind", context)
            if draft.host is not None and draft.host.mount != source.host.mount:
                wrong(f"{key}.bind", f'the host has another mount at "{draft.host.path}"', "bind that host path itself")
        else:
            _join_filesystem(draft, source.filesystem)
            context.learn(source.filesystem, draft.root)
    elif isinstance(spec.bind, NamespaceFile):
        _bind_namespace(draft, spec.bind.namespace, f"{key}.bind.namespace", context)
    elif spec.bind is not None:
        bind_host(draft, spec.bind, f"{key}.bind", context)
    inherit(draft, context)


def _bind_namespace(draft: Draft, name: str, key: str, context: Context) -> None:
    wrong = context.wrong
    if draft.spec.recursive:
        wrong(f"{draft.key}.recursive", "nothing is mounted below the file of a namespace", "leave it out")
    if draft.spec.idmap:
        wrong(f"{draft.key}.idmap", "the file of a namespace has no owners to be mapped", "leave it out")
    found = context.look_for_namespace(name, key)
    if found is None:
        return
    draft.root = TargetPath(found.mount.root)
    # All are in one filesystem of the kernel's, but none contains another.
    _join_host(draft, found, f"namespace:{found.namespace}", context, namespace=found.namespace)


def bind_host(draft: Draft, path: str, key: str, context: Context) -> None:
    remedy = "create it on the host first, name a path that exists, or leave it out here with optional = true"
    otherwise = ELSEWHERE
    before, _, after = path.partition(":")
    if after in ("ro", "rw", "z", "Z") or after.startswith("/"):  # as container engines write volumes
        remedy = f'write bind = "{before}", and what comes behind it in keys of its own: target, attributes = ["ro"]'
    if _OF_NAMESPACES.fullmatch(path):
        remedy = otherwise = f'write bind = {{ namespace = "{path}" }}'
    elif path.endswith("/ns/mnt"):
        remedy = otherwise = f"enter it by that file: nsenter --mount={path}"
    found = context.look_to_mount(path, key, remedy, otherwise)
    if found is None:
        return
    draft.root = found.inner
    _join_host(draft, found, f"host:{found.mount.device}", context)


def _join_host(draft: Draft, found: HostPath, name: str, context: Context, namespace: str = "") -> None:
    draft.host = found
    if name not in context.filesystems:
        fixed = ResolvedFilesystem(name, found.mount.fstype, "host", draft.key, namespace=namespace)
        context.filesystems[name] = FilesystemDraft(fixed)
    _join_filesystem(draft, context.filesystems[name])

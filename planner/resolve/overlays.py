"""What overlays are made of: where their layers are, and what the kernel would refuse about them."""

from __future__ import annotations

from mountplan.planner.language.path_models import MountPath
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft
from mountplan.planner.resolve.host_places import is_covered
from mountplan.planner.resolve.topology import LayerRef
from mountplan.planner.tables.table import is_read_only

MOST = 500  # layers (OVL_MAX_STACK in fs/overlayfs/params.h)


def settle_layers(draft: Draft, filesystem: FilesystemDraft, context: Context) -> None:
    """Find the directories that the overlay `draft` is made of; upper and work directories are made by themselves."""
    spec, key, wrong = draft.spec, draft.key, context.wrong

    def layer(value: str | MountPath, place: str, *, make: bool) -> LayerRef | None:
        if isinstance(value, str):
            found = context.look(value, place, "create the directory on the host first, or name one that exists")
            if found is not None and found.kind != "directory":
                wrong(place, f'"{value}" is a {found.kind}, not a directory', "name a directory")
            return LayerRef("", TargetPath(found.path)) if found else None
        if value.file:
            wrong(f"{place}.file", "the layers of an overlay are directories", "leave out file")
        source = context.by_id.get(value.mount)
        if source is None or source.filesystem is None:
            return None
        if source.host is not None:
            path = TargetPath(source.host.path).joined(value.path)
            remedy = f'write recursive = true on {source.key}, or "{path}" here, if that is meant'
            if is_covered(source, TargetPath(value.path), place, remedy, context):
                return None
            ref = layer(path, place, make=make)
            return ref if ref is None or make else _through(source, ref, context)
        path = source.root.joined(value.path)
        context.learn(source.filesystem, path)
        known = make and source.filesystem.fixed.known
        if known and (problem := source.filesystem.contents.require(path, "directory", place)):
            wrong(place, f"{path} {problem}", "name another directory")
        source.filesystem.needs_workbench = True
        ref = LayerRef(source.filesystem.fixed.name, path)
        return ref if make else _through(source, ref, context)

    for field, values in (("layers", spec.layers), ("data_layers", spec.data_layers)):
        for number, value in enumerate(values):
            one = layer(value, f"{key}.{field}[{number}]", make=False)
            if one is not None:
                filesystem.layers.append(one._replace(data=field == "data_layers"))
    most = len(spec.layers) + len(spec.data_layers)
    if most > MOST:
        wrong(f"{key}.layers", f"{most} layers; the kernel takes {MOST}", "merge some of them")
    if spec.upper is None:
        if most == 1:
            what = "one layer alone makes no overlay"
            wrong(f"{key}.layers", what, "add a second layer, or upper = ...; or bind that directory, read-only")
        if spec.work is not None:
            wrong(f"{key}.work", "a work directory is of use only with an upper layer", "leave it out, or add upper")
        return
    work = spec.work
    if work is None:
        if not isinstance(spec.upper, MountPath) or spec.upper.path == "/":
            what = "an upper layer needs a work directory on the same mount"
            wrong(f"{key}.upper", what, "add work = ..., an empty directory beside the upper one")
            return
        work = spec.upper.model_copy(update={"path": spec.upper.path + ".work"})
    filesystem.upper = layer(spec.upper, f"{key}.upper", make=True)
    filesystem.work = layer(work, f"{key}.work", make=True)
    if filesystem.upper is None or filesystem.work is None:
        return
    for place, named in (("upper", spec.upper), ("work", spec.work)):
        source = context.by_id.get(named.mount) if isinstance(named, MountPath) else None
        if source is not None and source.idmap is not None:
            made = "what is made in it belongs to users who may have no number there"
            why = f"the changes of an overlay do not go through an id-mapping: {made}"
            remedy = f'name a mount of the same without it: bind = {{ mount = "{source.spec.id}" }}, idmap = false'
            wrong(f"{key}.{place}", f'"{source.spec.id}" is id-mapped, and {why}', remedy)
    if filesystem.upper.filesystem != filesystem.work.filesystem:
        wrong(f"{key}.work", "the work directory is on another filesystem than the upper layer", "put both on one")
    elif not filesystem.upper.filesystem:
        upper, its_work = (context.host.look(one.path).mount for one in (filesystem.upper, filesystem.work))
        if upper.mount_id != its_work.mount_id:
            wrong(f"{key}.work", "the work directory is on another mount than the upper layer", "put both on one")
        elif is_read_only(upper):
            what = f"the host's mount at {upper.mountpoint} is read-only, and the upper layer is written to"
            wrong(f"{key}.upper", what, "name a directory that can be written to, or leave upper and work out")


def _through(source: Draft, ref: LayerRef, context: Context) -> LayerRef:
    """A lower layer as the mount `source` shows it: its owners are what the id-mapping of that makes of them."""
    idmap = source.idmap
    if source.host is not None and context.host.look(ref.path).mount.mount_id != source.host.mount.mount_id:
        idmap = source.below_idmap  # what the bind brings along
    return ref if idmap is None else ref._replace(uids=tuple(idmap.uids), gids=tuple(idmap.gids))


def check_layers(context: Context) -> None:
    """Now that all contents are known: are the directories there, and does each overlay have them to itself?"""
    changing: dict[tuple[str, str], str] = {}  # upper and work directories -> whose they are
    overlays = [(one, _directories(one)) for one in context.filesystems.values() if one.layers]
    # With index=off the kernel lets overlays change what others are made of. Who says so knows that.
    careless = {one.fixed.origin for one, _ in overlays if ("index", "off") in one.fixed.options}

    def may_share(ref: LayerRef, key: str, other: str) -> bool:
        return bool(ref.filesystem) and {key.rpartition(".")[0], other.rpartition(".")[0]} <= careless

    for filesystem, directories in overlays:
        for key, ref in directories[len(filesystem.layers) :]:
            spot = _spot(ref, context)
            other = changing.setdefault(spot, key)
            if other != key and not may_share(ref, key, other):
                what = f"{ref.path} is taken by {other} already"
                context.wrong(key, what, "give each overlay directories of its own")
    for filesystem, directories in overlays:
        spots: dict[tuple[str, str], str] = {}
        for number, (key, ref) in enumerate(directories):
            spot = _spot(ref, context)
            if number < len(filesystem.layers):
                _is_there(key, ref, context)
                other = changing.get(spot, key)
                if not other.startswith(filesystem.fixed.origin + ".") and not may_share(ref, key, other):
                    what = f"{ref.path} changes: it is {changing[spot]} as well"
                    context.wrong(key, what, "take a directory that does not change")
            if spot in spots:
                what = f"{ref.path} is {spots[spot]} as well"
                context.wrong(key, what, "an overlay can have each directory once only")
            spots.setdefault(spot, key)
        for (superblock, path), key in spots.items():
            for above in TargetPath(path).ancestors():
                other = spots.get((superblock, above), "")
                if other and not (_changes(key) and not _changes(other)):  # changes may be kept within a lower layer
                    what = f"{path} lies in {above}, which is {other}"
                    context.wrong(key, what, "directories of an overlay lie side by side")
                    break


def _changes(key: str) -> bool:
    return key.endswith((".upper", ".work"))


def key_of(filesystem: FilesystemDraft, number: int) -> str:
    """Where the spec has a lower layer; those for data come last."""
    if not filesystem.layers[number].data:
        return f"{filesystem.fixed.origin}.layers[{number}]"
    return f"{filesystem.fixed.origin}.data_layers[{number - sum(not one.data for one in filesystem.layers)}]"


def _directories(filesystem: FilesystemDraft) -> list[tuple[str, LayerRef]]:
    """The layers, then the upper and the work directory, each with its key path."""
    origin = filesystem.fixed.origin
    found = [(key_of(filesystem, number), layer) for number, layer in enumerate(filesystem.layers)]
    for name, ref in (("upper", filesystem.upper), ("work", filesystem.work)):
        if ref is not None:
            found.append((f"{origin}.{name}", ref))
    return found


def _spot(ref: LayerRef, context: Context) -> tuple[str, str]:
    """(superblock, path in it): what the kernel goes by."""
    if ref.filesystem:
        return ref.filesystem, ref.path
    found = context.host.look(ref.path)
    return f"host:{found.mount.device}", found.inner


def _is_there(key: str, layer: LayerRef, context: Context) -> None:
    holder = context.filesystems.get(layer.filesystem)
    if holder is None or not holder.fixed.known or layer.path == "/":
        return
    kind = holder.contents.kind(layer.path)
    if kind != "directory":
        where = f'"{layer.path}" in {layer.filesystem}'
        remedy = f'declare it there: [[mount.file]] with path = "{layer.path}" and directory = true'
        context.wrong(key, f"{where} is a {kind}" if kind else f"nothing provides {where}", remedy)

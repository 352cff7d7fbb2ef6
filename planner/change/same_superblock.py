"""Which filesystem of a plan is one that stands: that one stays, with its data.

One of the same name in the record, made in the same way; or else one of the same type, source and options where it is
wanted. Options that can be changed while it stands do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from mountplan.planner.change.parts import Creation, Node, Parts, PlannedFilesystem, is_declared, what_it_is
from mountplan.planner.change.standing import Record, StandingTree
from mountplan.planner.fstypes import of
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import OverlayLayer
from mountplan.planner.tables.options import Pairs, differing_asked, differing_options, differing_since
from mountplan.planner.tables.table import UNTOLD, MountRow

_READ_ONLY = ("ro", True)


class Superblocks(NamedTuple):
    """`devices` of the plan's filesystems that stand, by name. `options` are what is to be changed of them, and
    `before` has the words for what each of these is now. `stuck` are words for those that others have changed since
    the record was written, and that cannot be changed back.
    """

    devices: dict[Handle, str]
    options: dict[Handle, Pairs]
    before: dict[Handle, str]
    stuck: dict[Handle, tuple[str, ...]]


def find_standing(
    parts: Parts,
    standing: StandingTree,
    places: Iterable[tuple[MountRow, MountRow]],
    stacked: Iterable[tuple[MountRow, MountRow]],
) -> Superblocks:
    """`places` are pairs of rows, wanted and found, at one place, `stacked` those on any levels of one stack, of which
    some may have come or gone.
    """
    record, host = standing.record, {row.device for row in standing.host.rows}
    rows: dict[str, MountRow] = {}
    sources: dict[str, set[str]] = {}  # each mount of a filesystem has one of its own
    for row in (row for space in standing.spaces for row in space.table.rows):
        rows.setdefault(row.device, row)
        sources.setdefault(row.device, set()).add(row.source)
    made = Parts(record.plan).filesystems if record else {}
    owner = {device: name for name, device in record.devices.items()} if record else {}
    usual = _values(record.defaults) if record else {}
    devices: dict[Handle, str] = {}

    def is_same(device: str, fs: PlannedFilesystem) -> bool:
        row = rows[device]
        is_of_same = (device, fs.name) in standing.images or _has_layers(device, fs.creation, devices, standing)
        if device in owner:
            return _alike(made[owner[device]], fs, usual, sources=not is_of_same)
        is_as_asked = is_of_same and _is_read_only(fs) == _shows_read_only(row)
        if not (is_as_asked or isinstance(fs.creation, s.MakeFilesystem)):
            return False
        return _shows(row, sources[device], fs.creation) and (device not in host or of(row.fstype).is_shared)

    for name, device in record.devices.items() if record else ():
        if name in parts.filesystems and device in rows and is_same(device, parts.filesystems[name]):
            devices[name] = device
    votes, more = (
        Counter((wanted.device[1:], there.device) for wanted, there in pairs if wanted.device[:1] == "=")
        for pairs in (places, stacked)
    )
    taken = set(devices.values())
    order = {name: number for number, name in enumerate(parts.filesystems)}
    those = [pair for pair, _ in (*votes.most_common(), *more.most_common()) if pair[0] in order]
    # What an overlay is made of comes before it.
    those.sort(key=lambda pair: order[pair[0]] if rows[pair[1]].fstype == "overlay" else -1)
    for name, device in those:
        if name not in devices and device not in taken and is_same(device, parts.filesystems[name]):
            devices[name] = device
            taken.add(device)
    while gone := [
        name
        for name, device in devices.items()
        if not (
            _is_made_of_same(name, parts, record, made, devices, rows)
            if device in owner
            else devices.keys() >= {*parts.filesystems[name].made_of}
        )
    ]:
        for name in gone:
            del devices[name]
    options: dict[Handle, Pairs] = {}
    before: dict[Handle, str] = {}
    stuck: dict[Handle, tuple[str, ...]] = {}
    for name, device in devices.items():
        earlier = made[owner[device]] if device in owner else None
        since = _since(earlier, rows[device], record)
        changed, words = _changes(earlier, parts.filesystems[name], rows[device], record, [key for key, _, _ in since])
        if changed:
            options[name], before[name] = changed, words
        # Whether it is read-only is decided above, of all that begins empty or is the kernel's.
        is_decided = isinstance(parts.filesystems[name].creation, s.MakeFilesystem)
        decided = dict(changed).keys() | ({"ro"} if is_decided else set())
        if stays := tuple(f"{key}: {was} -> {now}" for key, was, now in since if key not in decided):
            stuck[name] = stays
    return Superblocks(devices, options, before, stuck)


def _is_made_of_same(
    name: Handle,
    parts: Parts,
    record: Record | None,
    made: dict[Handle, PlannedFilesystem],
    devices: dict[Handle, str],
    rows: dict[str, MountRow],
) -> bool:
    """Whether the filesystems that one has its layers or its image from are those that it was made from, and nothing in
    there is changed of which an overlay or a loop device would not take notice.
    """
    begun = Parts(record.begun).filesystems if record and record.begun else {}
    for below in parts.filesystems[name].made_of:
        before = record.devices.get(below, "") if record else ""
        if below in devices:
            if devices[below] != before:
                return False
            earlier = [one[below] for one in (made, begun) if below in one]
            if any(_is_changed_below(parts.filesystems[name], one, parts.filesystems[below]) for one in earlier):
                return False
        elif before in rows or below not in made or not _equal(made[below], parts.filesystems[below]):
            return False
        # Otherwise no mount shows it, through which it could be changed, and it is below the other still.
    return True


def _is_changed_below(above: PlannedFilesystem, before: PlannedFilesystem, now: PlannedFilesystem) -> bool:
    """Whether anything that is declared in the layers of an overlay, or as its image, has come or become another one.

    Which entries there are, of what mode and whose, an overlay knows since it has looked; what a file has in it may
    change, as that is written in place.
    """
    paths = above.paths_in(now.name)

    def declared(one: PlannedFilesystem) -> set[Node]:
        nodes = {what_it_is(node) for node in one.nodes if is_declared(node)}
        if isinstance(above.creation, s.MakeOverlay):
            nodes = {node._replace(content="", source="") if node.node == "file" else node for node in nodes}
        return {node for node in nodes if any(TargetPath(f"/{node.path}").is_under(path) for path in paths)}

    return not declared(now) <= declared(before)


def _equal(one: PlannedFilesystem, two: PlannedFilesystem) -> bool:
    first, second = ({node._replace(origin="") for node in fs.nodes} for fs in (one, two))
    same = _unnamed(one.creation) == _unnamed(two.creation) and first == second
    return same and _alike(one, two, {}) and (one.removed, one.sealed) == (two.removed, two.sealed)


def _fixed(fstype: str, options: Pairs) -> Pairs:
    changeable = of(fstype).changeable
    return tuple(pair for pair in options if pair[0] not in changeable and pair != _READ_ONLY)


def _is_read_only(fs: PlannedFilesystem) -> bool:
    """Whether its superblock shall be. Without an upper directory, an overlay is."""
    match fs.creation:
        case s.AttachImage(read_only=True) | s.MakeOverlay(upper=None):
            return True
        case creation:
            return fs.sealed or _READ_ONLY in creation.options


def _shows_read_only(row: MountRow) -> bool:
    return "ro" in row.options.split(",")


def _dropped(fstype: str, before: Pairs, after: Pairs, usual: Mapping[str, str]) -> bool:
    """Whether an option is no longer asked for that cannot be taken back while the filesystem stands: of which neither
    the type nor `usual` says what it is without.
    """
    gone = {key for key, _ in before} - {key for key, _ in after} - {"ro"}
    changeable = of(fstype).changeable
    return any(not (changeable.get(key) or (key in changeable and key in usual)) for key in gone)


def doubled_uppers(parts: Parts, superblocks: Superblocks, standing: StandingTree) -> Iterator[s.MakeOverlay]:
    """New overlays that are to write where one writes that stands until they are there: that is refused when they are
    made, with `index=off` as well, which the kernel would take.
    """
    record = standing.record
    made = Parts(record.plan).filesystems if record else {}

    def uppers(creation: Creation, devices: Mapping[Handle, str]) -> set[OverlayLayer]:
        both = (creation.upper, creation.work) if isinstance(creation, s.MakeOverlay) else ()
        return {place for one in both if one is not None for place in _places(one, devices, standing)}

    taken = {one for overlay in standing.overlays.values() for one in overlay.changes}
    for name, fs in made.items():
        if record is not None and name in record.devices:
            taken |= uppers(fs.creation, record.devices)
    for name, fs in parts.filesystems.items():
        if name in superblocks.devices or not isinstance(fs.creation, s.MakeOverlay):
            continue
        if uppers(fs.creation, superblocks.devices) & taken:
            yield fs.creation


def _has_layers(device: str, creation: Creation, devices: Mapping[Handle, str], standing: StandingTree) -> bool:
    """Whether an overlay that stands is made of the directories that one is to be made of."""
    overlay = standing.overlays.get(device)
    if overlay is None or overlay.is_mapped or not isinstance(creation, s.MakeOverlay):
        return False
    has = (*overlay.lower, *overlay.changes)
    asked = [one for one in (*creation.layers, creation.upper, creation.work) if one is not None]
    if len(has) != len(asked) or overlay.data != sum(one.data for one in asked) or any(one.id_map for one in asked):
        return False
    return all(there in _places(one, devices, standing) for there, one in zip(has, asked, strict=True))


def _places(layer: s.Layer, devices: Mapping[Handle, str], standing: StandingTree) -> Iterator[OverlayLayer]:
    """Where a directory is that an overlay is to be made of, as StandingOverlay has it."""
    if layer.filesystem:
        yield OverlayLayer(devices.get(layer.filesystem, layer.filesystem), TargetPath(f"/{layer.path}"))
        return
    yield OverlayLayer("", layer.path)
    if layer.path in standing.layers:
        yield standing.layers[layer.path]


def _alike(one: PlannedFilesystem, two: PlannedFilesystem, usual: Mapping[str, str], *, sources: bool = True) -> bool:
    """`sources`: whether it counts what overlays have for layers, and what for an image."""
    first, second = one.creation, two.creation
    if not sources and isinstance(first, s.MakeOverlay) and isinstance(second, s.MakeOverlay):
        second = second._replace(layers=first.layers, upper=first.upper, work=first.work)
    if not sources and isinstance(first, s.AttachImage) and isinstance(second, s.AttachImage):
        second = second._replace(image=first.image, holder=first.holder, offset=first.offset, size=first.size)
    if type(first) is not type(second) or one.contents != two.contents:
        return False
    if isinstance(first, s.MakeFilesystem) and isinstance(second, s.MakeFilesystem):
        if (first.fstype, first.source) != (second.fstype, second.source):
            return False
        if _dropped(first.fstype, first.options, second.options, usual):
            return False
        fixed = (_fixed(first.fstype, creation.options) for creation in (first, second))
        return not differing_asked(first.fstype, *fixed)
    return one.mapped == two.mapped and _unnamed(first) == _unnamed(second)


def _unnamed(creation: Creation) -> Creation:
    if isinstance(creation, s.MakeOverlay):  # an id-mapping is called after the first that has it
        creation = creation._replace(layers=tuple(layer._replace(id_map="") for layer in creation.layers))
    return creation._replace(filesystem="", mount="", origin="")


def _shows(row: MountRow, sources: set[str], creation: Creation) -> bool:
    """Whether a superblock of which no record tells may be this one, by its type, sources and options."""
    fstype = "overlay" if isinstance(creation, s.MakeOverlay) else creation.fstype
    source = row.source if isinstance(creation, s.AttachImage) else creation.source
    return (
        (of(fstype).shown_as or fstype) == row.fstype
        and (bool(sources & {source, UNTOLD}) or bool(of(row.fstype).source))
        and not differing_options(row.fstype, _fixed(fstype, creation.options), row.options)
    )


def _values(options: str) -> dict[str, str]:
    return {key: value for key, _, value in (part.partition("=") for part in options.split(","))}


def _since(earlier: PlannedFilesystem | None, row: MountRow, record: Record | None) -> list[tuple[str, str, str]]:
    """What another process has changed since the record was written, as differing_since() has it."""
    if record is None or earlier is None:
        return []
    asked = earlier.creation.options if isinstance(earlier.creation, s.MakeFilesystem) else ()
    return differing_since(asked, record.shown.get(row.device, ""), row.options, record.defaults)


def _changes(
    earlier: PlannedFilesystem | None, now: PlannedFilesystem, row: MountRow, record: Record | None, since: list[str]
) -> tuple[Pairs, str]:
    """`since` are names of options that another process has changed."""
    creation = now.creation
    if not isinstance(creation, s.MakeFilesystem):
        return (), ""
    changeable = of(creation.fstype).changeable
    asked = tuple(pair for pair in creation.options if pair[0] in changeable)
    if earlier is not None and isinstance(earlier.creation, s.MakeFilesystem):
        old = tuple(pair for pair in earlier.creation.options if pair[0] in changeable)
        usual = _values(record.defaults) if record else {}
        back = [name for name in since if name in changeable]
        for name in dict.fromkeys((*(name for name, _ in old), *back)):
            without = usual.get(name) or changeable[name]  # half of the memory (50%) may be a page more than it had
            if without and name not in dict(asked):
                asked += ((name, without),)
        names = {*back, *(name for name, _, _ in differing_asked(creation.fstype, asked, old))}
    else:
        there = _values(row.options)
        known = changeable.keys() & of(creation.fstype).defaults.keys() & there.keys()
        asked += tuple((key, changeable[key]) for key in sorted(known) if key not in dict(asked))
        names = {name for name, _, _ in differing_options(creation.fstype, asked, row.options)}
        # A tmpfs shows no size if it has the one that it gets by itself.
        names |= {name for name, value in asked if name == "size" and name not in there and value != changeable[name]}
    changed = tuple(pair for pair in asked if pair[0] in names)
    if (read_only := _is_read_only(now)) != _shows_read_only(row):
        changed = (*changed, ("ro" if read_only else "rw", True))
    shown = _values(row.options)
    words = ", ".join(
        f"{name}={shown[name]}" if shown.get(name) else name if name in shown else f"{name} not shown"
        for name, _ in changed
        if name not in ("ro", "rw")
    )
    return changed, words

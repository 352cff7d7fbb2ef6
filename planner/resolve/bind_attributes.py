"""What a bind has of the mount that it is bound from, as mount --bind has it: attributes and id-mapping.

Those of a mount of the host come with its clone, and only what the spec says about them is here.
"""

from __future__ import annotations

from mountplan.planner.attributes import overridden
from mountplan.planner.fstypes import of
from mountplan.planner.host import HostPath
from mountplan.planner.language.mount_models import IdMap
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.tables.inherited_tree import InheritedTree

_HOST_HAS_IT = "idmapped"  # among the attributes that mountinfo shows


def inherit(draft: Draft, context: Context) -> None:
    """Give a bind, whose source is settled, what it has of that; its own words win where the two contradict."""
    spec, source = draft.spec, draft.source
    draft.below_words = draft.own_words if spec.recursive_attributes else ()
    if source is not None:
        draft.words = overridden(source.words, draft.own_words)
        draft.below_words = overridden(source.below_words, draft.below_words)
        draft.brings = spec.recursive and source.brings
    _inherit_idmap(draft, source, context)


def _inherit_idmap(draft: Draft, source: Draft | None, context: Context) -> None:
    own = draft.spec.idmap
    if own is not None:
        draft.idmap = own or None
        draft.below_idmap = draft.idmap if draft.spec.recursive_attributes else source.below_idmap if source else None
    elif source is not None:
        draft.idmap, draft.below_idmap = source.idmap, source.below_idmap
    key, wrong = f"{draft.key}.idmap", context.wrong
    if own is not None and draft.host is not None and _HOST_HAS_IT in draft.host.mount.attributes.split(","):
        of_host = f'the host\'s mount at "{draft.host.mount.mountpoint}"'
        remedy = "leave idmap out, or bind from a mount of the host that is not id-mapped"
        wrong(key, f"{of_host} is id-mapped already, and a bind keeps that mapping", remedy)
    elif draft.brings and draft.below_idmap not in (None, draft.idmap):
        what = "what the bind brings along is id-mapped otherwise than the bind itself, and that is more than one call"
        wrong(key, what, "leave recursive_attributes out, so that both have one mapping")


def check_idmaps(context: Context) -> None:
    """Tell each id-mapping that the kernel takes of no mount of such a filesystem, of what comes along as well."""
    for draft in context.drafts:
        own = draft.idmap is not None and (draft.spec.idmap or (draft.source and draft.source.idmap is None))
        if not own or draft.filesystem is None:
            continue
        fstype, key = draft.filesystem.fixed.fstype, f"{draft.key}.idmap"
        if of(fstype).unmappable:
            brought = f"{draft.name.partition('+')[2]} is brought along, and " if draft.copied else ""
            remedy = _ALONE if draft.copied else _INSTEAD.get(fstype, "leave it out")
            context.wrong(key, f"{brought}the kernel takes no id-mapping of {fstype}", remedy)
        elif draft.host is not None and draft.brings and draft.below_idmap is not None:
            _check_brought(draft.host, key, context)


# What else comes to what is wanted.
_INSTEAD = {"ramfs": 'write type = "tmpfs"', "overlay": "name its layers in mounts with that idmap"}
_ALONE = "write recursive_attributes = false, so that the bind alone is id-mapped"


def _check_brought(host: HostPath, key: str, context: Context) -> None:
    tree = InheritedTree(context.host.inherited)
    waiting = [row for row in tree.children(host.mount.mount_id) if TargetPath(row.mountpoint).is_under(host.path)]
    while waiting:
        row = waiting.pop()
        if row.unbindable:
            continue
        mapped = _HOST_HAS_IT in row.attributes.split(",")
        if mapped or of(row.fstype).unmappable:
            why = "is id-mapped already" if mapped else f"is {row.fstype}, of which the kernel takes no id-mapping"
            context.wrong(key, f'the host\'s mount at "{row.mountpoint}" comes along, and {why}', _ALONE)
            return
        waiting += tree.children(row.mount_id)


def bring(copy: Draft, original: Draft, bind: Draft) -> None:
    """The same for `copy`, what the recursive `bind` of a mount of the spec brings along of `original`."""
    own = bind.own_words if bind.spec.recursive_attributes else ()
    copy.words = overridden(original.words, own)
    copy.below_words = overridden(original.below_words, own)
    copy.brings = original.brings
    copy.idmap, copy.below_idmap = (_idmap_below(one, bind) for one in (original.idmap, original.below_idmap))


def _idmap_below(before: IdMap | None, bind: Draft) -> IdMap | None:
    own = bind.spec.idmap
    if own is None or not bind.spec.recursive_attributes:
        return before
    return own or None

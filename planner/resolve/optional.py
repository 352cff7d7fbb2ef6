"""What is marked optional and left out, since the host does not have what it takes; and what that means for others.

The rest of the spec means what it would mean without such a mount: what has its target below that one stands on
whatever is there then. Who names it (as parent, to bind from, as a layer) is left out with it if it is optional itself,
and is a mistake if not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mountplan.planner.errors import Mistake
from mountplan.planner.host import NotThere
from mountplan.planner.language.path_models import Image, MountPath
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.resolve.host_places import kind_at

_MOST_NAMED = 3


def leave_out_if_missing(draft: Draft, told: list[Mistake], context: Context) -> None:
    """Leave an optional mount out if one of `told`, its mistakes so far, is that the host has no such path."""
    missing = [one for one in told if one in context.not_there]
    if not draft.spec.optional or not missing:
        return
    for one in missing:
        context.mistakes.remove(one)
    draft.gone = missing[0].what
    draft.filesystem = None


def has_mountpoint(draft: Draft, where: Draft, place: TargetPath, context: Context) -> bool:
    """False if an optional mount would stand in a filesystem of the host that has nothing there to mount it on."""
    if not draft.spec.optional or draft.spec.create or where.host is None or place == "/":
        return True
    path = TargetPath(where.host.path).joined(place)
    try:
        kind_at(where, place, context)
    except NotThere as error:
        draft.gone = f'mountpoint "{path}" on the host: {error.args[0]}'
    except LookupError:
        pass  # the phase that looks mountpoints up tells it
    return not draft.gone


def settle_gone(context: Context) -> None:
    """Take out all that is gone since the last time, with the optional mounts that cannot be without it."""
    waiting = [draft for draft in context.drafts if draft.gone]
    if not waiting:
        return
    dependents: dict[Draft, list[tuple[str, str, Draft]]] = {}
    for draft in context.drafts:
        for key, how, named in references(draft):
            other = context.by_id.get(named)
            if other is not None:
                dependents.setdefault(other, []).append((key, how, draft))
    gone: dict[Draft, None] = {}
    while waiting:
        draft = waiting.pop()
        gone[draft] = None
        standing = [(f"{one.key}.target", "stands on", one) for one in draft.children.values()]
        for key, how, one in [*dependents.get(draft, ()), *standing]:
            if one.gone or one.spec.unsupported is not None:
                continue
            if one.spec.optional or one.is_part:
                one.gone, one.gone_with = f"{how} {draft.name}, which is left out", draft
                waiting.append(one)
            else:
                what = f"{one.name} {how} {draft.name} ({draft.key}), which is left out here: {reason_of(draft)}"
                context.wrong(key, what, "write optional = true here as well, or make this one without it")
    take_out(gone, context)


def reason_of(draft: Draft) -> str:
    """Why an optional mount is left out: what the host does not have."""
    while draft.gone_with is not None:
        draft = draft.gone_with
    return draft.gone


def references(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """The mounts that the spec of `draft` names, by id: (key path, what they are to it, id)."""
    spec, key = draft.spec, draft.key
    if spec.unsupported is not None or draft.is_part:
        return
    if spec.parent is not None:
        yield f"{key}.parent", "stands on", spec.parent
    places: list[tuple[str, object]] = [(f"{key}.bind", spec.bind), (f"{key}.upper", spec.upper)]
    places += [(f"{key}.work", spec.work), *((f"{key}.layers[{n}]", one) for n, one in enumerate(spec.layers))]
    places += [(f"{key}.data_layers[{n}]", one) for n, one in enumerate(spec.data_layers)]
    if isinstance(spec.image, Image) and spec.image.mount is not None:
        yield f"{key}.image", "is made from", spec.image.mount
    for place_key, place in places:
        if isinstance(place, MountPath):
            yield place_key, "is made from", place.mount


def take_out(gone: Iterable[Draft], context: Context) -> None:
    """Take these mounts out of all that is known so far, and filesystems that only they needed."""
    out = set(gone)
    context.left_out += gone
    for draft in out:
        if draft.parent is not None and draft.parent.children.get(draft.place) is draft:
            del draft.parent.children[draft.place]
    for space in context.spaces:
        space.drafts = [draft for draft in space.drafts if draft not in out]
    context.drafts = [draft for draft in context.drafts if draft not in out]
    for filesystem in context.filesystems.values():
        filesystem.mounts = [draft for draft in filesystem.mounts if draft not in out]
    # Without a mount, one without a target included, nothing can name it: who did so has been taken out with those.
    for name in [name for name, filesystem in context.filesystems.items() if not filesystem.mounts]:
        del context.filesystems[name]


def tell_what_stands_lower(context: Context) -> None:
    """Add to the reasons which mounts stand on something else than they would if nothing had been left out."""
    gone = {(one.space, one.target): one for one in context.left_out if one.placed and one.gone and not one.is_part}
    if not gone:
        return
    lower: dict[Draft, list[str]] = {}
    for draft in context.drafts:
        if draft.parent is None or draft.is_part or draft.copied or draft.spec.parent is not None:
            continue
        for above in draft.target.ancestors():
            one = gone.get((draft.space, above))
            if one is not None and above.is_under(draft.parent.target):
                lower.setdefault(one, []).append(f"{draft.target} stands on {draft.parent.target}")
                break
    for one, told in lower.items():
        more = f", and {len(told) - _MOST_NAMED} more so" if len(told) > _MOST_NAMED else ""
        one.gone += f"; without it {', '.join(told[:_MOST_NAMED])}{more}"

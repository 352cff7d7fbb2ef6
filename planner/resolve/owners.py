"""Which user namespace owns which mount namespace, and what its owner cannot undo."""

from __future__ import annotations

from collections.abc import Mapping

from mountplan.planner.language.namespace_models import NamespaceOwner
from mountplan.planner.language.spec import Spec
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.resolve.topology import ResolvedUser, SharingGroup


def find_owners(spec: Spec, context: Context) -> tuple[ResolvedUser, ...]:
    """The user namespaces of a spec, each after the one that it is made in; the spaces get theirs."""
    spaces = {one.name: (f"namespace[{number}].user", one.user) for number, one in enumerate(spec.namespace)}
    users: dict[str, ResolvedUser] = {}
    for space in context.spaces:
        key, owner = spaces.get(space.name, ("", None))
        if owner is not None:
            space.user = _find(space.name, key, spaces, users, context, ())
    return tuple(users.values())


def _find(
    name: str,
    key: str,
    spaces: Mapping[str, tuple[str, NamespaceOwner | None]],
    users: dict[str, ResolvedUser],
    context: Context,
    trail: tuple[str, ...],
) -> str:
    """The handle of the user namespace that owns the mount namespace `name`; "" and a mistake if there is none."""
    place, owner = spaces.get(name, ("", None))
    first = spaces[trail[0]][1] if trail else None  # that of `key`, which names another
    word = "within" if first is not None and first.of is None else "of"
    field = f"{key}.{word}" if trail else key
    if not place:
        close = context.closest(name, spaces)
        remedy = f'did you mean "{close}"?' if close else "name a [[namespace]] that has a user"
        context.wrong(field, f'there is no namespace "{name}"', remedy)
        return ""
    if owner is None:
        spare = "within" if word == "within" else "this user"
        remedy = f"leave {spare} out, which is the same; or give that namespace a user"
        context.wrong(field, f'namespace "{name}" belongs to the user namespace in which it is built', remedy)
        return ""
    if name in trail:
        what = f"user namespaces go in a circle: {', '.join((*trail, name))}"
        context.wrong(field, what, "say of one of them what ids it has")
        return ""
    if owner.of is not None:
        return _find(owner.of, key, spaces, users, context, (*trail, name))
    handle = f"user:{name}"
    if handle not in users:
        within = _find(owner.within, key, spaces, users, context, (*trail, name)) if owner.within is not None else ""
        users[handle] = ResolvedUser(handle, place, tuple(owner.uids), tuple(owner.gids), within)
    return handle


def check_locks(context: Context) -> None:
    """What is locked was there before what the owner has mounted, all of it at once."""
    if not any(draft.lock for draft in context.drafts):
        return
    left_out = set(context.left_out)
    for draft in context.drafts:
        if not draft.placed or draft in left_out:
            continue
        key = f"{draft.key}.locked"
        if draft.lock and not draft.space.user:
            what = "only what belongs to another user can be locked, and this namespace belongs to who builds it"
            context.wrong(key, what, "leave it out, or give the namespace a user")
        elif draft.lock == "locked" and (draft.parent is None or not draft.parent.lock):
            what = "it is the root" if draft.parent is None else f"what it stands on, {draft.parent.name}, is not"
            remedy = 'write locked = "attributes"'
            if draft.parent is not None:
                remedy += f", or lock {draft.parent.name} as well"
            context.wrong(key, f"it can be unmounted with what it stands on: {what}", remedy)
        elif draft.lock != "locked" and (cover := _locked_cover(draft)) is not None:
            what = f"{cover.name} covers its mountpoint, and is locked, so it stands before"
            context.wrong(draft.key, what, f"lock it as well, or do not lock {cover.name}")
        elif draft.lock == "locked" and (cover := _cover(draft)) is not None and _is_needed(draft):
            what = f"{cover.name} covers it, and is locked as well: nothing can get at it any more"
            context.wrong(key, what, "leave out what stands on it, and its peer group")


def _locked_cover(draft: Draft) -> Draft | None:
    """The locked mount beside this one that covers its mountpoint."""
    if draft.parent is None:
        return None
    found = [draft.parent.children.get(place) for place in (*draft.place.ancestors(), draft.place) if place != "/"]
    return next((one for one in found if one is not None and one is not draft and one.lock == "locked"), None)


def _cover(draft: Draft) -> Draft | None:
    """The locked mount that keeps a walk from ending on this one, when only what is locked stands there."""
    above = draft.children.get("/")
    if above is not None and above.lock == "locked":
        return above
    one: Draft | None = draft
    while one is not None and one.lock == "locked":
        if (cover := _locked_cover(one)) is not None:
            return cover
        one = one.parent
        above = one.children.get("/") if one is not None else None
        if above is not None and above.lock == "locked":
            return above
    return None


def _is_needed(draft: Draft) -> bool:
    return bool(draft.spec.peer_group) or any(one.lock != "locked" for one in draft.children.values())


def check_peers(spec: Spec, groups: tuple[SharingGroup, ...], context: Context) -> None:
    """Peers mount in each other; and nothing keeps a group without members alive for another user."""
    drafts = {draft.name: draft for draft in context.drafts}
    masters = {group.name: group for group in groups}
    for group in groups:
        members = [drafts[name] for name in group.members]
        users = {draft.space.user for draft in members} | ({""} if group.host is not None else set())
        table = spec.peer_group.get(group.name)
        if group.shared and len(users) > 1 and not (table is not None and table.across_user_namespaces):
            draft = next(one for one in members if one.space.user)
            who = f"who is root in {draft.space.name} could mount on the outside"
            what = f'peer group "{group.name}" reaches into a user namespace: {who}'
            remedy = f'write master = "{group.name}" to receive only'
            remedy += f", or across_user_namespaces = true in [peer_group.{group.name}]"
            context.wrong(f"{draft.key}.peer_group", what, remedy)
        owned = next((one for one in members if one.space.user), None)
        above = masters.get(group.master)
        while owned is not None and above is not None:
            if above.shared and not above.members and above.host is None:
                what = f'no mount is in peer group "{above.name}", and nothing keeps it alive for another user'
                context.wrong(owned.key, what, "put a mount into it, or receive from another group")
                break
            above = masters.get(above.master)

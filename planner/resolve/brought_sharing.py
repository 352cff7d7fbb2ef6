"""`recursive_sharing`: whether what a recursive bind brings along is private, or peer or slave of what it is a copy of.

Of the host's mounts the kernel makes them so by itself, as mount --rbind with --make-rshared or --make-rslave: this
module says what goes with it and what does not. Copies of mounts of the spec get groups like all of its mounts.
"""

from __future__ import annotations

from mountplan.planner.resolve.draft import Context, Draft


def share_copy(copy: Draft, original: Draft, bind: Draft, context: Context) -> None:
    """Give a copy that the recursive `bind` brings along its group, by what the original is in."""
    sharing, spec = bind.spec.recursive_sharing, original.spec
    changes: dict[str, object] = {}
    if sharing == "slave":
        changes = {"master": spec.peer_group or spec.master}
    elif sharing == "peer" and spec.peer_group:
        changes = {"peer_group": spec.peer_group}
    elif sharing == "peer":  # one of its own, as --make-rshared has it
        name = f"peers of {copy.name}"
        context.made_groups[name] = (spec.master or "", bind.key)
        changes = {"peer_group": name}
    if any(changes.values()):
        copy.spec = copy.spec.model_copy(update=changes)


def check_brought(context: Context) -> None:
    """What is asked of what is brought along, now that all mounts have their places."""
    for draft in context.drafts:
        sharing = draft.spec.recursive_sharing
        if sharing is None or draft.copied:
            continue
        key, wrong = f"{draft.key}.recursive_sharing", context.wrong
        if not draft.spec.recursive:
            wrong(key, "nothing is brought along: the bind is not recursive", "add recursive = true, or leave it out")
        elif draft.host is not None and draft.brings and sharing != "private":
            _check_top(draft, key, context)
            if sharing == "peer":
                _check_placed(draft, context)


def _check_top(draft: Draft, key: str, context: Context) -> None:
    """Who asks for all that is below asks for the bind as well, or has forgotten it: the host's mount is in a group."""
    assert draft.host is not None
    row = draft.host.mount
    if draft.spec.peer_group or draft.spec.master or not (row.peer_group or row.master):
        return
    word = "peer_group" if draft.spec.recursive_sharing == "peer" else "master"
    if row.peer_group:
        remedy = f'add {word} = "NAME", and a table [peer_group.NAME] with host = "{draft.host.path}"'
    else:
        remedy = f"make it shared on the host: mount --make-shared {row.mountpoint}; then name its group"
    of_host = f'the host\'s mount at "{row.mountpoint}" is {"shared" if row.peer_group else "a slave"}'
    context.wrong(key, f"the bind itself would be private, and only what is below it would not: {of_host}", remedy)


def _check_placed(draft: Draft, context: Context) -> None:
    """What is mounted upon a peer of the host's mount appears on the host."""
    assert draft.host is not None
    for place, child in draft.children.items():
        path = draft.host.path.rstrip("/") + place
        while True:
            try:
                found = context.host.look(path)
                break
            except LookupError:  # made on the host, with the directories above it
                path = path.rpartition("/")[0] or "/"
        if found.mount != draft.host.mount and (found.mount.peer_group or child.spec.peer_group):
            where = found.mount.mountpoint
            what = f'it would stand on a peer of the host\'s mount at "{where}", and so on the host as well'
            remedy = f'write recursive_sharing = "slave" on {draft.key}, or mount it elsewhere'
            context.wrong(f"{child.key}.target", what, remedy)

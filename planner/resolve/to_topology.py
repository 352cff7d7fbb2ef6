"""Drafts -> Topology, when all is settled and no mistake was found."""

from __future__ import annotations

from mountplan.planner.attributes import change
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.language.spec import Spec
from mountplan.planner.names import Brings, LeftOut
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft, Space
from mountplan.planner.resolve.optional import reason_of
from mountplan.planner.resolve.topology import (
    ResolvedFilesystem,
    ResolvedMount,
    ResolvedNamespace,
    ResolvedUser,
    SharingGroup,
    Topology,
)
from mountplan.planner.run_settings import RunSettings


def to_topology(
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
        namespaces=tuple(map(_namespace, context.spaces)),
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


def _namespace(space: Space) -> ResolvedNamespace:
    mounts = tuple(_mount(draft) for draft in space.drafts if draft.placed)
    return ResolvedNamespace(space.name, mounts, space.user, tuple(space.altered))


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
        gone=bool(draft.gone),
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
    nodes, layers = draft.contents.result(), tuple(draft.layers)
    return fixed._replace(layers=layers, upper=draft.upper, work=draft.work, nodes=nodes, workbench=not alone)


def _brings(draft: Draft) -> Brings:
    """What becomes of what the clone brings along; copies of mounts of the spec are mounts by themselves."""
    word = draft.spec.recursive_sharing or ""
    return word if word == "private" or (draft.brings and draft.host is not None) else ""


def _mount(draft: Draft) -> ResolvedMount:
    spec = draft.spec
    assert draft.filesystem is not None
    return ResolvedMount(  # by place: by name, all of its fields take four times as long
        draft.name, draft.key, draft.target, draft.filesystem.fixed.name, draft.root,
        draft.parent.name if draft.parent else None, draft.place,
        draft.mountpoint,  # type: ignore[arg-type]
        draft.missing, draft.host, draft.brings and draft.host is not None,
        draft.inherits,  # type: ignore[arg-type]
        _brings(draft), draft.words, change(draft.words), draft.below_words, draft.below_idmap is not None,
        tuple(draft.idmap.uids) if draft.idmap else (), tuple(draft.idmap.gids) if draft.idmap else (),
        spec.unbindable, isinstance(spec.bind, MountPath) and spec.bind.deleted,
        spec.type == "btrfs" and draft.root != "/", spec.peer_group or "", spec.master or "", draft.lock,
    )  # fmt: skip

"""A spec with its presets written out."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from functools import cache

import tomli

from mountplan.planner.language.mount_models import Mount
from mountplan.planner.language.namespace_models import Namespace
from mountplan.planner.language.path_models import Mask
from mountplan.planner.language.presets import TEXTS
from mountplan.planner.language.spec import Spec
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple


class Entry(NamedTuple):
    """A mount of a spec or of a preset, and its key path."""

    key: str
    mount: Mount


def entries(space: Spec | Namespace, base: str) -> list[Entry]:
    """The mounts of a spec or namespace, those of its presets first; `base` is what its key paths begin with.

    What is mounted on a target of a preset takes the place of that, and of what the preset mounts below it, be it the
    spec's or a later preset's. A new root takes the place of a preset's root alone. What is mounted on a read-only path
    of a preset, and is not left out wherever it is missing, takes the place of that.
    """
    found: list[Entry] = []
    for name in space.preset:
        mounts = preset_mounts(name)
        found = [*_without(found, mounts), *(Entry(f"{base}preset.{name}[{n}]", one) for n, one in enumerate(mounts))]
    own = [Entry(f"{base}mount[{index}]", mount) for index, mount in enumerate(space.mount)]
    return [*_without(found, space.mount), *own] if found else own


@cache
def preset_mounts(name: str) -> tuple[Mount, ...]:
    return tuple(map(Mount.model_validate, tomli.loads(TEXTS[name])["mount"]))


def _without(found: list[Entry], mounts: Iterable[Mount]) -> Iterator[Entry]:
    placed = [one for one in mounts if one.target is not None and one.parent is None]
    targets, surely = {one.target for one in placed}, {one.target for one in placed if not one.optional}
    for key, mount in found:
        target = mount.target
        assert target is not None
        if target not in targets and not any(above != "/" and above in targets for above in target.ancestors()):
            kept = [one for one in mount.readonly if _target(mount, one) not in surely]
            yield Entry(key, mount.model_copy(update={"readonly": kept}) if len(kept) < len(mount.readonly) else mount)


def _target(mount: Mount, listed: str | Mask) -> TargetPath:
    return TargetPath(mount.target or "/").joined(TargetPath(listed if isinstance(listed, str) else listed.path))


def expanded(spec: Spec, base: str) -> Spec:
    """The same spec without presets, and with paths that hold wherever it is stored; `base` is its directory."""
    namespaces = [
        one.model_copy(update={"preset": (), "mount": [_settled(entry.mount, base) for entry in entries(one, "")]})
        for one in spec.namespace
    ]
    mounts = [_settled(entry.mount, base) for entry in entries(spec, "")]
    return spec.model_copy(update={"preset": (), "mount": mounts, "namespace": namespaces})


def _settled(mount: Mount, base: str) -> Mount:
    if mount.contents is None or mount.contents == "underneath" or mount.contents.startswith("/"):
        return mount
    return mount.model_copy(update={"contents": TargetPath(posixpath.normpath(posixpath.join(base, mount.contents)))})

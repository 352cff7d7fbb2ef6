"""A capture -> the text of a spec, as a person would write it: one table a mount, defaults left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mountplan.planner.capture.captured import Captured, CapturedFile, CapturedMount, CapturedPlace, CapturedUser
from mountplan.planner.characters import toml_key, visible
from mountplan.planner.language.toml_values import toml_value
from mountplan.planner.tables.mount_facts import LiveImage


def write_spec(captured: Captured, heading: Iterable[str] = ()) -> str:
    """The spec as TOML. `heading` are lines of comment for its beginning. The same capture gives the same text."""
    out = [f"# {visible(line)}".rstrip() for line in heading]
    if out:
        out.append("")
    out += ["format = 1", *_keys(name=captured.name)]
    for group in captured.groups:
        out += ["", f"[peer_group.{toml_key(group.name)}]"]
        out += _keys(master=group.master, host=group.host, across_user_namespaces=group.across)
    several = len(captured.namespaces) > 1
    for namespace in captured.namespaces:
        if several:
            out += ["", "[[namespace]]", f"name = {toml_value(namespace.name)}"]
        if namespace.user is not None:
            out += _keys(user=_user(namespace.user))
        for mount in namespace.mounts:
            out += _mount(mount, "namespace." if several else "")
    if captured.unshare:
        out += ["", "[run]", *_keys(unshare=captured.unshare)]
    return "\n".join([*out, ""])


def _keys(**said: object) -> list[str]:
    """A line for each key of which anything is said."""
    return [f"{key} = {toml_value(value)}" for key, value in said.items() if value]


def _mount(mount: CapturedMount, prefix: str) -> Iterator[str]:
    yield from ("", f"[[{prefix}mount]]")
    yield from _keys(id=mount.id, target=mount.target, parent=mount.parent, unsupported=mount.unsupported)
    if mount.type:
        yield from _keys(type=mount.type)
        if mount.source is not None:
            yield f"source = {toml_value(mount.source)}"
        yield from _keys(options=dict(mount.options), image=_image(mount.image), contents=mount.contents)
        yield from _layers("layers", mount.layers)
        yield from _layers("data_layers", mount.data_layers)
        yield from _keys(upper=_place(mount.upper), work=_place(mount.work))
    yield from _keys(bind=_place(mount.bind), recursive=mount.recursive, recursive_sharing=mount.recursive_sharing)
    if mount.recursive and mount.attributes:
        yield "recursive_attributes = false"
    yield from _keys(attributes=mount.attributes)
    if mount.uids or mount.gids:
        yield from _keys(idmap={"uids": mount.uids, "gids": mount.gids})
    if mount.unmapped:
        yield "idmap = false"
    yield from _keys(mask=mount.mask, readonly=mount.readonly, on_symlink=mount.on_symlink)
    yield from _keys(peer_group=mount.peer_group, master=mount.master)
    yield from _keys(locked=True if mount.lock == "locked" else mount.lock, unbindable=mount.unbindable)
    for file in mount.files:
        yield f"[[{prefix}mount.file]]"
        yield f"path = {toml_value(file.path.lstrip('/'))}"
        yield from _kind_of(file)


def _layers(key: str, layers: tuple[CapturedPlace, ...]) -> list[str]:
    if len(layers) < 2:
        return _keys(**{key: [_place(layer) for layer in layers]})
    return [f"{key} = [", *(f"  {toml_value(_place(layer))}," for layer in layers), "]"]


def _kind_of(file: CapturedFile) -> list[str]:
    if file.kind in ("char", "block"):
        return _keys(device=f"{file.kind[0]}:{file.device[0]}:{file.device[1]}")
    if file.kind == "symlink":
        return [f"symlink = {toml_value(file.link)}"]
    return [] if file.kind == "file" else _keys(**{file.kind: True})


def _place(place: CapturedPlace | None) -> object:
    if place is None or not (place.namespace or place.mount):
        return place and place.path
    if place.namespace:
        return {"namespace": place.namespace}
    path = "" if place.path == "/" else place.path
    said = {"mount": place.mount, "path": path, "hidden": place.hidden, "deleted": place.deleted}
    return {key: value for key, value in said.items() if value}


def _image(image: LiveImage | None) -> object:
    if image is None:
        return None
    said = {word: number for word, number in (("offset", image.offset), ("size", image.size)) if number}
    return {"path": image.path, **said} if said else image.path


def _user(user: CapturedUser) -> dict[str, object]:
    if user.of:
        return {"of": user.of}
    maps: dict[str, object] = {"uids": user.uids, "gids": user.gids}
    return maps | ({"within": user.within} if user.within else {})

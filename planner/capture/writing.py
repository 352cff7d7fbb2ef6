"""A capture -> the text of a spec, as a person would write it: one table a mount, defaults left out."""

from __future__ import annotations

from collections.abc import Iterable

from mountplan.planner.capture.captured import (
    Captured,
    CapturedFile,
    CapturedGroup,
    CapturedMount,
    CapturedPlace,
    CapturedUser,
    Options,
)
from mountplan.planner.characters import toml_key, toml_string, visible
from mountplan.planner.language.values import escape
from mountplan.planner.names import IdLines
from mountplan.planner.tables.mount_facts import LiveImage


def write_spec(captured: Captured, heading: Iterable[str] = ()) -> str:
    """The spec as TOML. `heading` are lines of comment for its beginning. The same capture gives the same text."""
    out = [f"# {visible(line)}".rstrip() for line in heading]
    if out:
        out.append("")
    out.append("format = 1")
    if captured.name:
        out.append(f"name = {_text(captured.name)}")
    for group in captured.groups:
        _write_group(group, out)
    several = len(captured.namespaces) > 1
    for namespace in captured.namespaces:
        if several:
            out += ["", "[[namespace]]", f"name = {_text(namespace.name)}"]
        if namespace.user is not None:
            out.append(f"user = {_user(namespace.user)}")
        prefix = "namespace." if several else ""
        for mount in namespace.mounts:
            _write_mount(mount, prefix, out)
    if captured.unshare:
        out += ["", "[run]", f"unshare = {_array(captured.unshare)}"]
    out.append("")
    return "\n".join(out)


def _write_group(group: CapturedGroup, out: list[str]) -> None:
    out += ["", f"[peer_group.{toml_key(group.name)}]"]
    if group.master:
        out.append(f"master = {_text(group.master)}")
    if group.host:
        out.append(f"host = {_text(group.host)}")
    if group.across:
        out.append("across_user_namespaces = true")


def _write_mount(mount: CapturedMount, prefix: str, out: list[str]) -> None:
    out += ["", f"[[{prefix}mount]]"]
    for key in ("id", "target", "parent", "unsupported"):
        if text := getattr(mount, key):
            out.append(f"{key} = {_text(text)}")
    if mount.type:
        out.append(f"type = {_text(mount.type)}")
        if mount.source is not None:
            out.append(f"source = {_text(mount.source)}")
        if mount.options:
            out.append(f"options = {_options(mount.options)}")
        _write_made_from(mount, out)
    if mount.bind is not None:
        out.append(f"bind = {_place(mount.bind)}")
    if mount.recursive:
        out.append("recursive = true")
    if mount.recursive_sharing:
        out.append(f"recursive_sharing = {_text(mount.recursive_sharing)}")
    if mount.recursive and mount.attributes:
        out.append("recursive_attributes = false")
    if mount.attributes:
        out.append(f"attributes = {_array(mount.attributes)}")
    if mount.uids or mount.gids:
        out.append(f"idmap = {{ uids = {_lines(mount.uids)}, gids = {_lines(mount.gids)} }}")
    if mount.unmapped:
        out.append("idmap = false")
    for word, paths in (("mask", mount.mask), ("readonly", mount.readonly)):
        if paths:
            out.append(f"{word} = {_array(paths)}")
    for key in ("on_symlink", "peer_group", "master"):
        if text := getattr(mount, key):
            out.append(f"{key} = {_text(text)}")
    if mount.lock:
        out.append("locked = true" if mount.lock == "locked" else 'locked = "attributes"')
    if mount.unbindable:
        out.append("unbindable = true")
    for file in mount.files:
        _write_file(file, prefix, out)


def _write_made_from(mount: CapturedMount, out: list[str]) -> None:
    if mount.image is not None:
        out.append(f"image = {_image(mount.image)}")
    if mount.contents:
        out.append(f"contents = {_text(mount.contents)}")
    for key, places in (("layers", mount.layers), ("data_layers", mount.data_layers)):
        layers = [_place(layer) for layer in places]
        if len(layers) > 1:
            out += [f"{key} = [", *(f"  {layer}," for layer in layers), "]"]
        elif layers:
            out.append(f"{key} = [{layers[0]}]")
    if mount.upper is not None:
        out.append(f"upper = {_place(mount.upper)}")
    if mount.work is not None:
        out.append(f"work = {_place(mount.work)}")


def _write_file(file: CapturedFile, prefix: str, out: list[str]) -> None:
    out += [f"[[{prefix}mount.file]]", f"path = {_text(file.path.lstrip('/'))}"]
    if file.kind in ("directory", "fifo", "socket"):
        out.append(f"{file.kind} = true")
    elif file.kind in ("char", "block"):
        out.append(f'device = "{file.kind[0]}:{file.device[0]}:{file.device[1]}"')
    elif file.kind == "symlink":
        out.append(f"symlink = {_text(file.link)}")


def _place(place: CapturedPlace) -> str:
    if place.namespace:
        return f"{{ namespace = {_text(place.namespace)} }}"
    if not place.mount:
        return _text(place.path)
    words = [f"mount = {_text(place.mount)}"]
    if place.path != "/":
        words.append(f"path = {_text(place.path)}")
    words += [f"{word} = true" for word, is_set in (("hidden", place.hidden), ("deleted", place.deleted)) if is_set]
    return f"{{ {', '.join(words)} }}"


def _image(image: LiveImage) -> str:
    words = [f"{word} = {number}" for word, number in (("offset", image.offset), ("size", image.size)) if number]
    return f"{{ path = {_text(image.path)}, {', '.join(words)} }}" if words else _text(image.path)


def _options(options: Options) -> str:
    words = []
    for name, value in options:
        if isinstance(value, tuple):
            text = _array(value)
        else:
            text = "true" if value is True else _text(str(value))
        words.append(f"{toml_key(name)} = {text}")
    return f"{{ {', '.join(words)} }}"


def _user(user: CapturedUser) -> str:
    if user.of:
        return f"{{ of = {_text(user.of)} }}"
    within = f", within = {_text(user.within)}" if user.within else ""
    return f"{{ uids = {_lines(user.uids)}, gids = {_lines(user.gids)}{within} }}"


def _lines(lines: IdLines) -> str:
    return f"[{', '.join(str(list(line)) for line in lines)}]"


def _array(words: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, words))}]"


def _text(text: str) -> str:
    stored = escape(text)
    return _quoted(stored) if isinstance(stored, str) else f"{{ escaped = {_quoted(stored['escaped'])} }}"


def _quoted(text: str) -> str:
    if "\\" in text and "'" not in text and text.isascii() and text.isprintable():
        return f"'{text}'"
    return toml_string(text)

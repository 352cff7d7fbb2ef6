"""A service of a Compose file -> a spec: its volumes, tmpfs, and what is read-only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mountplan.planner.foreign.mount_words import add_attributes, read_words, split_options
from mountplan.planner.foreign.spec_draft import ImportFacts, Refusal, SpecDraft, absolute, spec_name
from mountplan.planner.foreign.volumes import create_on, host_bind, image_root

_PROPAGATION = ("shared", "rshared", "slave", "rslave", "private", "rprivate")
_UNSAID = (
    "env_file",
    "cap_add",
    "cap_drop",
    "volumes_from",
    "develop",
    "configs",
    "secrets",
    "devices",
    "privileged",
    "ipc",
    "pid",
    "network_mode",
    "user",
    "security_opt",
    "ulimits",
)


# ${NAME}, ${NAME:-what if not}, $NAME and $$; what if not may have variables of its own.
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|"
    r"\{(?P<name>[A-Za-z_]\w*)(?:(?P<mark>:?[-?+])(?P<other>(?:[^{}]|\{[^{}]*\})*))?\})"
)


def import_compose(
    config: object,
    file: str,
    folder: str,
    facts: ImportFacts,
    *,
    service: str = "",
    root: str = "",
    variables: Mapping[str, str] | None = None,
    load: Callable[[str], object] = lambda _: None,
) -> SpecDraft:
    """`service` may be left out if there is one only. `load` reads another Compose file. Raises SpecError."""
    refusal = Refusal(file)
    services = config.get("services") if isinstance(config, Mapping) else None
    if not isinstance(services, Mapping) or not services:
        refusal.add("services", "this is no Compose file: it has no services", "name a file that has some")
        refusal.end()
        raise AssertionError
    if not service and len(services) > 1:
        refusal.add("services", f"has several: {', '.join(map(str, services))}", "name one with --service")
    name = service or str(next(iter(services)))
    given = services.get(name)
    if not isinstance(given, Mapping):
        refusal.add(f"services.{name}", "there is no such service", f"there are: {', '.join(map(str, services))}")
    refusal.end()
    assert isinstance(given, Mapping) and isinstance(config, Mapping)
    draft = SpecDraft(spec_name(name))
    values = _Values(variables or {}, draft, refusal)
    given = values.put(_extended(services, name, f"{folder}/", load, refusal, values, ()))
    config = {**config, "volumes": values.put(config.get("volumes"))}
    refusal.end()
    image_root(draft, root, facts, f"the image {given.get('image', name)}", read_only=bool(given.get("read_only")))
    volumes = config.get("volumes")
    entries = given.get("volumes") or ()
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        key = f"services.{name}.volumes[{number}]"
        try:
            _volume(draft, entry, folder, volumes if isinstance(volumes, Mapping) else {}, facts)
        except (KeyError, TypeError, ValueError) as error:
            refusal.add(key, f"cannot be read: {error}", "write SOURCE:TARGET[:OPTIONS], or a table")
    tmpfs = given.get("tmpfs") or ()
    for one in [tmpfs] if isinstance(tmpfs, str) else tmpfs:
        place, _, options = str(one).partition(":")
        words = read_words(split_options(options))
        mount = draft.add(absolute(place), type="tmpfs", source="tmpfs", options=dict(words.options))
        add_attributes(mount, words, recursive=False, extra=("nosuid", "nodev", "noexec"))
        create_on(mount)
    if given.get("shm_size"):
        draft.cannot_say("shm_size")
    for key in _UNSAID:
        if given.get(key):
            draft.cannot_say(f"{key} of the service")
    _run(draft, given)
    refusal.end()
    return draft


class _Values:
    """Puts the values of variables into texts, as Compose does it; what is not set is empty, and told."""

    def __init__(self, variables: Mapping[str, str], draft: SpecDraft, refusal: Refusal) -> None:
        self.variables, self.draft, self.refusal = variables, draft, refusal

    def put(self, found: Any) -> Any:
        if isinstance(found, str):
            return _VARIABLE.sub(self._value, found)
        if isinstance(found, Mapping):
            return {key: self.put(value) for key, value in found.items()}
        return [self.put(value) for value in found] if isinstance(found, list) else found

    def _value(self, match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name, mark, other = match["name"] or match["plain"], match["mark"] or "", match["other"] or ""
        value = self.variables.get(name)
        if not value and mark.startswith(":"):
            value = None
        if mark.endswith("+"):
            return "" if value is None else str(self.put(other))
        if value is not None:
            return value
        if mark.endswith("?"):
            self.refusal.add(
                "", f"the variable {name} has to be set: {other}", f"set it, or write it into .env: {name}=..."
            )
        elif not mark:
            self.draft.cannot_say(f"the value of the variable {name}, which is not set: it is empty here")
        return str(self.put(other)) if mark.endswith("-") else ""


def _extended(
    services: Mapping[str, Any],
    name: str,
    file: str,
    load: Callable[[str], object],
    refusal: Refusal,
    values: _Values,
    seen: tuple[tuple[str, str], ...],
) -> dict[str, Any]:
    """A service with what it has from the one that it extends; relative paths count from the file that has them."""
    given = services.get(name)
    key = f"services.{name}"
    if not isinstance(given, Mapping):
        refusal.add(key, "there is no such service, which another one extends", "name one of the file")
        return {}
    own = dict(given)
    entries = own.get("volumes")
    if seen and isinstance(entries, list):
        own["volumes"] = [_from_folder(values.put(one), file.rpartition("/")[0]) for one in entries]
    other = own.pop("extends", None)
    if not other:
        return own
    if isinstance(other, str):
        other = {"service": other}
    if (file, name) in seen:
        refusal.add(f"{key}.extends", "the services extend each other in a circle", "take one of them out")
        return own
    seen = (*seen, (file, name))
    base, place = str(other.get("service")), str(other.get("file") or "")
    if place:
        file = absolute(str(values.put(place)), file.rpartition("/")[0])
        found = load(file)
        services = (found.get("services") if isinstance(found, Mapping) else None) or {}
    under = _extended(services, base, file, load, refusal, values, seen)
    return _merged(under, own)


def _from_folder(entry: Any, folder: str) -> Any:
    if isinstance(entry, str) and entry.startswith("."):
        source, colon, rest = entry.partition(":")
        return f"{absolute(source, folder)}{colon}{rest}"
    if isinstance(entry, Mapping) and str(entry.get("source", "")).startswith("."):
        return {**entry, "source": absolute(str(entry["source"]), folder)}
    return entry


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Compose's rule: tables are merged, lists follow each other, of volumes those at one place replace each other."""
    found = dict(under)
    for key, value in over.items():
        old = found.get(key)
        if key == "volumes" and isinstance(old, list) and isinstance(value, list):
            places = {_target_of(one) for one in value}
            found[key] = [*(one for one in old if _target_of(one) not in places), *value]
        elif key == "environment" and old:
            found[key] = {**_environment(old), **_environment(value)}
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = {**old, **value}
        elif isinstance(old, list) and isinstance(value, list) and key not in ("command", "entrypoint"):
            found[key] = [*old, *value]
        else:
            found[key] = value
    return found


def _target_of(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return absolute(str(entry.get("target")))
    parts = str(entry).split(":")
    return absolute(parts[1] if len(parts) > 1 else parts[0])


def _environment(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    return {str(one).partition("=")[0]: str(one).partition("=")[2] for one in given or () if "=" in str(one)}


def _volume(draft: SpecDraft, entry: object, folder: str, volumes: Mapping[str, Any], facts: ImportFacts) -> None:
    if isinstance(entry, str):
        parts = entry.split(":")
        if len(parts) == 1:
            parts = ["", parts[0]]
        source, place, words = parts[0], parts[1], [one for part in parts[2:] for one in part.split(",")]
        kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
        entry = {
            "type": kind,
            "source": source,
            "target": place,
            "read_only": "ro" in words,
            "bind": {"propagation": next((one for one in words if one in _PROPAGATION), "")},
        }
        for one in words:
            if one not in ("ro", "rw", "z", "Z", "cached", "delegated", "consistent", *_PROPAGATION):
                draft.cannot_say(f"{place}: {one}")
    if not isinstance(entry, Mapping):
        raise TypeError(f"{entry!r} is neither a text nor a table")
    said: Mapping[str, Any] = dict(entry)
    kind, place, source = (
        str(said.get("type", "volume")),
        absolute(str(said["target"])),
        str(said.get("source") or ""),
    )
    read_only = "mount" if said.get("read_only") else ""
    if kind == "tmpfs":
        options = _tmpfs_options(said.get("tmpfs") or {})
        mount = draft.add(place, type="tmpfs", source="tmpfs", options=options)
        mount.keys["attributes"] = ["nosuid", "nodev", "noexec", *(["ro"] if read_only else [])]
        create_on(mount)
    elif kind == "bind":
        bind = said.get("bind") or {}
        path = absolute(source, folder)
        if source.startswith("~"):
            draft.cannot_say(f"{place}: {source}, whose home directory is not known here")
            return
        propagation = str(bind.get("propagation") or "rprivate")
        if bind.get("recursive") == "readonly" and read_only:
            read_only = "recursive"
        made = host_bind(draft, place, path, facts, propagation=propagation, read_only=read_only)
        if bind.get("recursive") == "disabled":
            made.keys.pop("recursive", None)
            made.keys.pop("recursive_attributes", None)
    elif kind == "volume":
        subpath = str((said.get("volume") or {}).get("subpath") or "")
        options = (volumes.get(source) or {}).get("driver_opts") or {}
        if options.get("o", "") in ("bind", "rbind") and options.get("device"):
            path = absolute(subpath, absolute(str(options["device"]), folder))
            host_bind(draft, place, path, facts, read_only=read_only)
            return
        mount = draft.add(place, type="tmpfs", options={"mode": "0755"})
        mount.notes.append(f"in place of volume {source or '(without a name)'}: bind the directory where it is kept")
        if read_only:
            mount.keys["attributes"] = ["ro"]
        create_on(mount)
    else:
        draft.cannot_say(f"{place}: a volume of type {kind}")


def _run(draft: SpecDraft, given: Mapping[str, Any]) -> None:
    command = given.get("command")
    entry = given.get("entrypoint")
    words = [*(entry if isinstance(entry, list) else []), *(command if isinstance(command, list) else [])]
    if words:
        draft.run["command"] = [str(one) for one in words]
    elif isinstance(command, str) or isinstance(entry, str):
        draft.cannot_say("a command that is one text: split it into words")
    environment = given.get("environment")
    if isinstance(environment, list):
        environment = dict(str(one).split("=", 1) for one in environment if "=" in str(one))
    if isinstance(environment, Mapping) and environment:
        draft.run["environment"] = {str(key): "" if value is None else str(value) for key, value in environment.items()}
    if given.get("working_dir"):
        draft.run["cwd"] = absolute(str(given["working_dir"]))


def _tmpfs_options(given: Mapping[str, Any]) -> dict[str, str]:
    """Sizes with Docker's units ("64mb"), and modes as YAML 1.1 and 1.2 have octal numbers (0755, 0o755)."""
    options = {key: str(value) for key, value in given.items() if key in ("size", "mode")}
    size = re.fullmatch(r"(\d+)\s*([kmgtp]?)(?:i?b)?", options.get("size", ""), re.IGNORECASE)
    if size:
        options["size"] = size.group(1) + size.group(2).lower()
    mode = given.get("mode")
    if isinstance(mode, int):
        options["mode"] = f"{mode:04o}"
    elif isinstance(mode, str):
        options["mode"] = "0" + mode.lower().removeprefix("0o").lstrip("0")
    return options

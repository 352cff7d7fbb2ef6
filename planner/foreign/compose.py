"""A service of a Compose file -> a spec: its volumes, tmpfs, and what is read-only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mountplan.planner.foreign.mount_words import add_attributes, read_words, split_options
from mountplan.planner.foreign.spec_draft import ImportFacts, Refusal, SpecDraft, Table, absolute, spec_name
from mountplan.planner.foreign.volumes import StandIns, create_on, depth, host_bind, image_root

_PROPAGATION = ("shared", "rshared", "slave", "rslave", "private", "rprivate")
_UNSAID = (
    "env_file", "cap_add", "cap_drop", "volumes_from", "develop", "devices", "privileged", "ipc", "pid",
    "network_mode", "user", "security_opt", "ulimits", "hostname", "userns_mode", "cgroup", "sysctls",
)  # fmt: skip
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
    if service and isinstance(config, Mapping) and service not in (services or {}):
        for other, found in _included(config, folder, load, ()):
            if service in (found.get("services") or {}):
                options: dict[str, Any] = {"service": service, "root": root, "variables": variables, "load": load}
                return import_compose(found, other, other.rpartition("/")[0], facts, **options)
    if not isinstance(services, Mapping) or not services:
        refusal.stop("services", "this is no Compose file: it has no services", "name a file that has some")
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
    given = _extended(services, name, f"{folder}/", load, refusal, values, ())
    config = {key: values.put(config.get(key)) for key in ("volumes", "secrets", "configs")}
    refusal.end()
    image_root(draft, root, facts, f"the image {given.get('image', name)}", read_only=bool(given.get("read_only")))
    entries = _entries(draft, given, config, f"services.{name}", refusal)
    places: dict[str, str] = {}
    volumes = _Volumes(draft, folder, values.variables.get("HOME", ""), config.get("volumes") or {}, facts)
    for key, entry in sorted(entries, key=lambda one: depth(_target_of(one[1]))):
        try:
            place = _place(entry)
            if place in places:
                what = f"{place} is taken by {places[place]}: Docker mounts one volume at a place"
                refusal.add(key, what, "take one of them out")
            places.setdefault(place, key)
            volumes.add(draft.destination(place, facts), entry)
        except (KeyError, TypeError, ValueError) as error:
            refusal.add(key, f"cannot be read: {error}", "write SOURCE:TARGET[:OPTIONS], or a table")
    if given.get("shm_size"):
        draft.cannot_say("shm_size")
    draft.cannot_say_of(given, _UNSAID, " of the service")
    _run(draft, given, values.variables)
    refusal.end()
    return draft


def _included(
    config: Table, folder: str, load: Callable[[str], object], seen: tuple[str, ...]
) -> Iterator[tuple[str, Table]]:
    """The files that a file includes, and those that they do; the paths in each count from where it is."""
    for one in config.get("include") or ():
        path = one.get("path") if isinstance(one, Mapping) else one
        for name in path if isinstance(path, list) else [path]:
            file = absolute(str(name), folder)
            found = load(file) if file not in seen else None
            if isinstance(found, Mapping):
                yield file, found
                yield from _included(found, file.rpartition("/")[0], load, (*seen, file))


def _entries(draft: SpecDraft, given: Table, config: Table, service: str, refusal: Refusal) -> list[tuple[str, Table]]:
    """What is mounted, as volumes in the long notation, with the key of each."""
    found: list[tuple[str, Table]] = []
    for number, entry in enumerate(given.get("volumes") or ()):
        key = f"{service}.volumes[{number}]"
        try:
            found.append((key, _in_long(draft, entry)))
        except (TypeError, ValueError) as error:
            refusal.add(key, f"cannot be read: {error}", "write SOURCE:TARGET[:OPTIONS], or a table")
    tmpfs = given.get("tmpfs") or ()
    for number, one in enumerate([tmpfs] if isinstance(tmpfs, str) else tmpfs):
        place, _, options = str(one).partition(":")
        found.append((f"{service}.tmpfs[{number}]", {"type": "tmpfs", "target": place, "options": options}))
    for kind, top in (("secrets", "/run/secrets"), ("configs", "/")):
        for number, one in enumerate(given.get(kind) or ()):
            said = one if isinstance(one, Mapping) else {"source": one}
            name = str(said.get("source"))
            file = ((config.get(kind) or {}).get(name) or {}).get("file")
            if not file:
                draft.cannot_say(f"{kind}: {name}, which is not in a file")
                continue
            place = absolute(str(said.get("target") or name), top)
            entry = {"type": "bind", "source": str(file), "target": place, "read_only": True}
            found.append((f"{service}.{kind}[{number}]", entry))
    return found


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
            what = f"the variable {name} has to be set: {other}"
            self.refusal.add("", what, f"set it, or write it into .env: {name}=...")
        elif not mark:
            self.draft.cannot_say(f"the value of the variable {name}, which is not set: it is empty here")
        return str(self.put(other)) if mark.endswith("-") else ""


def _extended(
    services: Table,
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
    own: dict[str, Any] = dict(values.put(given))
    entries = own.get("volumes")
    if seen and isinstance(entries, list):
        own["volumes"] = [_from_folder(one, file.rpartition("/")[0]) for one in entries]
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
        file = absolute(place, file.rpartition("/")[0])
        found = load(file)
        services = (found.get("services") if isinstance(found, Mapping) else None) or {}
    under = _extended(services, base, file, load, refusal, values, seen)
    return _merged(under, own)


def _from_folder(entry: Any, folder: str) -> Any:
    if isinstance(entry, str) and entry.startswith("."):
        source, colon, rest = entry.partition(":")
        return f"{absolute(source, folder)}{colon}{rest}"
    if isinstance(entry, Mapping) and entry.get("type") == "bind" and not str(entry.get("source")).startswith("~"):
        return {**entry, "source": absolute(str(entry.get("source")), folder)}
    return entry


def _merged(under: Table, over: Table) -> dict[str, Any]:
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
    parts = [str(one).partition("=") for one in given or ()]
    return {name: value if equals else None for name, equals, value in parts}


def _in_long(draft: SpecDraft, entry: object) -> Table:
    """SOURCE:TARGET[:OPTIONS] as the table that says the same."""
    if isinstance(entry, Mapping):
        return dict(entry)
    if not isinstance(entry, str):
        raise TypeError(f"{entry!r} is neither a text nor a table")
    parts = entry.split(":")
    if not all(parts):
        raise ValueError("nothing stands on one side of a colon")
    if len(parts) == 1:
        return {"type": "volume", "target": entry}
    source, place, words = parts[0], parts[1], [one for part in parts[2:] for one in part.split(",")]
    for one in words:
        if one not in ("ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent", *_PROPAGATION):
            draft.cannot_say(f"{place}: {one}")
    return {
        "type": "bind" if source.startswith(("/", ".", "~")) else "volume",
        "source": source,
        "target": place,
        "read_only": "ro" in words,
        "bind": {"propagation": next((one for one in words if one in _PROPAGATION), "")},
    }


def _place(entry: Table) -> str:
    place = str(entry["target"])
    if not place.startswith("/"):
        raise ValueError(f"its place, {place}, does not begin with /")
    return absolute(place)


class _Volumes:
    """Mounts the volumes of a service; `volumes` are those that the file declares for all of them."""

    def __init__(self, draft: SpecDraft, folder: str, home: str, volumes: Table, facts: ImportFacts) -> None:
        self.draft, self.folder, self.home, self.volumes, self.facts = draft, folder, home, volumes, facts
        self.stand_ins = StandIns(draft)

    def add(self, place: str, said: Table) -> None:
        kind, source = str(said.get("type", "volume")), str(said.get("source") or "")
        read_only = bool(said.get("read_only"))
        if kind == "tmpfs":
            words = read_words(split_options(str(said.get("options", ""))))
            options: dict[str, object] = {**words.options, **_tmpfs_options(said.get("tmpfs") or {})}
            mount = self.draft.add(place, type="tmpfs", source="tmpfs", options=options)
            extra = ("nosuid", "nodev", "noexec", *["ro"] * read_only)
            add_attributes(mount, words, recursive=False, extra=extra)
            create_on(mount)
        elif kind == "bind":
            if source.startswith("~") and (not self.home or source[1:2] not in ("", "/")):
                self.draft.cannot_say(f"{place}: {source}, whose home directory is not known here")
                return
            path = absolute(f"{self.home}{source[1:]}" if source.startswith("~") else source, self.folder)
            bind = said.get("bind") or {}
            propagation = str(bind.get("propagation") or "rprivate")
            self._bind(place, path, propagation, str(bind.get("recursive", "")), read_only=read_only)
            if not self.facts.kind(path):
                how = "makes a directory" if bind.get("create_host_path", True) else "refuses it"
                self.draft.mounts[-1].notes.append(f"{path} is not there: Docker {how}")
        elif kind == "volume":
            part = str((said.get("volume") or {}).get("subpath") or "")
            driver = (self.volumes.get(source) or {}).get("driver_opts") or {}
            words = read_words(split_options(str(driver.get("o", ""))))
            if words.bind and driver.get("device"):
                path = absolute(part.lstrip("/"), absolute(str(driver["device"]), self.folder))
                recursive = "" if words.bind == "rbind" else "disabled"
                self._bind(place, path, "rprivate", recursive, read_only=read_only or words.has("ro"))
                return
            is_tmpfs = driver.get("type") == "tmpfs"
            called = source or f"without a name at {place}"
            note = "" if is_tmpfs else f"in place of volume {called}: bind the directory where it is kept"
            made = self.stand_ins.of(source or place, words.options if is_tmpfs else {"mode": "0755"}, note)
            self.stand_ins.bind(place, made, part, read_only=read_only)
        else:
            self.draft.cannot_say(f"{place}: a volume of type {kind}")

    def _bind(self, place: str, path: str, propagation: str, recursive: str, *, read_only: bool) -> None:
        """Read-only is all below it as well, since Docker 25; `recursive` says otherwise, in the words of Compose."""
        kind = "mount" if recursive in ("writable", "disabled") else "recursive"
        wanted = kind if read_only else ""
        made = host_bind(self.draft, place, path, self.facts, propagation=propagation, read_only=wanted)
        if recursive == "disabled":
            for key in ("recursive", "recursive_attributes", "recursive_sharing"):
                made.keys.pop(key, None)


def _run(draft: SpecDraft, given: Table, variables: Mapping[str, str]) -> None:
    try:
        entry, command = _words(given.get("entrypoint")), _words(given.get("command"))
    except ValueError as error:
        draft.cannot_say(f"the command: {error}")
        return
    draft.say_run(command=[*entry, *command])
    if not entry:
        draft.cannot_say("the entry point of the image" + (", before the command" if command else ""))
    environment = {}
    for name, value in _environment(given.get("environment")).items():
        if value is None:  # it comes from the process that starts it
            value = variables.get(name)
        if value is not None:
            environment[name] = str(value).lower() if isinstance(value, bool) else str(value)
    directory = given.get("working_dir")
    draft.say_run(environment=environment, cwd=absolute(str(directory)) if directory else "")


def _words(command: Any) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else [str(one) for one in command or ()]


def _tmpfs_options(given: Table) -> dict[str, str]:
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

"""A spec that is being written from another program's configuration: mounts in their order, and what it cannot say.

Other programs mount in the order of their configuration. A spec goes by depth, so what a later mount covers is given
the mount that it stands on as its `parent`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from mountplan.planner.capture.naming import Names
from mountplan.planner.characters import toml_key, toml_string, visible
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language.toml_values import toml_value
from mountplan.planner.record import NamedTuple

Table = Mapping[str, Any]  # what JSON and YAML have
_MOST_LINKS = 40  # as many as the kernel follows in a path


class HostSharing(NamedTuple):
    """The sharing of the host's mount at a path: its peer group and its master, 0 for none, and where it is mounted.

    `widest` is where the member of the group is mounted that shows most of its filesystem, if that is another one.
    `attributes` are its bits of MOUNT_ATTR_*.
    """

    group: int
    master: int
    mountpoint: str
    widest: str = ""
    attributes: int = 0


class ImportFacts(Protocol):
    """What an import asks about the machine."""

    def sharing(self, path: str) -> HostSharing:
        """Of the mount on which a walk to this path ends."""
        ...

    def kind(self, path: str) -> str:
        """ "directory", "file" (whatever else is there), or "" if nothing is."""
        ...

    def writable(self, path: str) -> bool:
        """Whether this process may write to what is there."""
        ...

    def is_mounted(self, source: str, target: str, *, bind: bool) -> bool:
        """Whether a mount stands on `target` that is of this source, or with `bind` shows what is at that path."""
        ...

    def real(self, path: str) -> str:
        """The path without symlinks, as far as it exists."""
        ...

    def number_of(self, kind: str, name: str) -> str:
        """The number of a user ("uid") or group ("gid"); "" if there is none of that name."""
        ...

    def link(self, path: str) -> str:
        """What is in the symlink there; "" if there is none."""
        ...


class DraftMount:
    """One [[mount]]: its keys in the order in which they are written, comments above it, and its files."""

    def __init__(self, target: str | None, **keys: object) -> None:
        self.keys: dict[str, object] = {"target": target} if target is not None else {}
        self.keys |= keys
        self.stands_on: DraftMount | None = None  # the mount at whose path it was mounted
        self.notes: list[str] = []
        self.is_comment = False  # written as one: not even as what is left out it is part of the spec
        self.files: list[dict[str, object]] = []

    def say(self, **keys: object) -> None:
        """Add the keys that have something."""
        self.keys |= {key: value for key, value in keys.items() if value}

    @property
    def target(self) -> str | None:
        found = self.keys.get("target")
        return found if isinstance(found, str) else None

    @property
    def id(self) -> str:
        return str(self.keys.get("id", ""))


class SpecDraft:
    """Everything of a spec. Modules of formats add to it in the order in which their program mounts."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.inherits = False  # root = "inherit"
        self.goes_on = False  # the program mounts the rest where one mount fails
        self.keys: dict[str, object] = {}  # more at the top
        self.unsaid: list[str] = []
        self.groups: dict[str, dict[str, object]] = {}
        self.removals: list[dict[str, object]] = []  # [[remove]] and [[change]] of an inherited root
        self.changes: list[dict[str, object]] = []
        self.mounts: list[DraftMount] = []
        self.run: dict[str, object] = {}
        self._names = Names()
        self._group_names = Names()
        self._host_groups: dict[int, str] = {}
        self._last: dict[str, int] = {}  # target -> index of the last mount there

    def add(self, target: str | None, **keys: object) -> DraftMount:
        """A mount, on top of all that stands so far."""
        said = {key: value for key, value in keys.items() if value not in (None, False, (), [], {}, "")}
        made = DraftMount(target, **said)
        if target is not None:
            made.stands_on = self.holder(target)
            self._last[target] = len(self.mounts)
        self.mounts.append(made)
        return made

    def begin_anew(self) -> None:
        """A mount on / that becomes the root: what was mounted before it is no part of the tree."""
        self.mounts = [one for one in self.mounts if one.target is None]
        self._last = {}

    def say_run(self, **keys: object) -> None:
        """Add the keys of [run] that have something."""
        self.run |= {key: value for key, value in keys.items() if value}

    def cannot_say(self, what: str) -> None:
        """Something of the configuration that the spec leaves out."""
        if what not in self.unsaid:
            self.unsaid.append(what)

    def cannot_say_of(
        self, given: Mapping[str, object], keys: Iterable[str], of: str = "", *, before: str = ""
    ) -> None:
        """The same of each of these keys that has something in a table of the configuration."""
        for key in keys:
            if given.get(key):
                self.cannot_say(f"{before}{key}{of}")

    def left_out(self) -> list[str]:
        """All that the spec does not say, with the mounts that it is about."""
        found = list(self.unsaid)
        for one in self.mounts:
            reason = one.keys.get("unsupported")
            notes = [*one.notes, *([f"left out: {reason}"] if reason else [])]
            found += [f"{one.target or one.id}: {note}" for note in notes]
        return found

    def leave_out(self, mistakes: Sequence[Mistake]) -> bool:
        """Leave out what `check` has something against, with the reason; False if nothing of it can be left out."""
        mounts = [one for one in self.mounts if not one.is_comment]
        tables = {"remove": list(self.removals), "change": list(self.changes)}
        left_out = [one for one in mounts if "unsupported" in one.keys]
        changed = False
        for mistake in mistakes:
            found = re.match(r"(mount|remove|change)\[([0-9]+)\]", mistake.ref.key)
            if found is None:
                continue
            kind, number = found[1], int(found[2])
            if kind == "mount":
                one = mounts[number]
                if one.target == "/" and one.stands_on is None and not self.inherits:
                    continue  # without its root there is no tree
                upon = [other for other in self.mounts if other.stands_on is one]
                if one in left_out or (self.goes_on and upon):
                    one.is_comment = True
                    for other in upon:
                        other.stands_on = one.stands_on
                one.keys.setdefault("unsupported", mistake.what)
            else:
                table = tables[kind][number]
                self.removals = [one for one in self.removals if one is not table]
                self.changes = [one for one in self.changes if one is not table]
                self.cannot_say(f"{kind} {table.get('target') or table.get('path') or ''}: {mistake.what}")
            changed = True
        return changed

    def id_of(self, mount: DraftMount) -> str:
        """The id of a mount; it is given one if it has none."""
        if not mount.id:
            name = self._names.take(mount.target or "source")
            mount.keys = {"id": name} | mount.keys
        return mount.id

    def holder(self, path: str) -> DraftMount | None:
        """The mount on which a walk to `path` ends now: the last of those whose target is on the way."""
        found = max((self._last.get(one, -1) for one in _ways(path)), default=-1)
        return self.mounts[found] if found >= 0 else None

    def destination(self, path: str, facts: ImportFacts) -> str:
        """Where `path` leads now, with symlinks within the root, as runtimes look for what they mount on.

        Filesystems that are new have none.
        """
        found, left, links = "/", path.strip("/").split("/"), 0
        while left:
            name = left.pop(0)
            if name == "..":
                found = posixpath.dirname(found)
            if name in ("", ".", ".."):
                continue
            place = posixpath.join(found, name)
            text = self._link(place, facts)
            links += bool(text)
            if links > _MOST_LINKS:
                return path
            if text:
                left = text.split("/") + left
            found = "/" if text.startswith("/") else found if text else place
        return found

    def _link(self, place: str, facts: ImportFacts) -> str:
        holder = self.holder(place)
        while holder is not None and holder.keys.get("contents") == "underneath":
            holder = holder.stands_on
        source = holder.keys.get("bind") if holder is not None else None
        if holder is None or not isinstance(source, str) or holder.target == place:
            return ""
        return facts.link(f"{source.rstrip('/')}{inside(holder, place)}")

    def below(self, path: str) -> Iterable[DraftMount]:
        """The mounts that are on `path` or below it."""
        return [one for one in self.mounts if one.target is not None and _is_under(one.target, path)]

    def host_group(self, sharing: HostSharing) -> str:
        """The name of the host's peer group of a mount."""
        name = self._host_groups.get(sharing.group)
        if name is None:
            place = sharing.widest or sharing.mountpoint
            name = self._host_groups[sharing.group] = self._group_names.take(f"host-{_last_part(place)}")
            self.groups[name] = {"host": place}
        return name

    def own_group(self, target: str, master: str = "") -> str:
        """A new peer group, of which the mount at `target` is the first member."""
        name = self._group_names.take(_last_part(target))
        self.groups[name] = {"master": master} if master else {}
        return name

    def arrange(self) -> None:
        """Say of each mount that a later one covers on which mount it stands."""
        for index, mount in enumerate(self.mounts):
            if mount.target is None or "parent" in mount.keys:
                continue
            above = [one for one in _ways(mount.target) if one != mount.target]
            if mount.stands_on is not None and any(self._last.get(one, -1) > index for one in above):
                parent = self.id_of(mount.stands_on)
                items = list(mount.keys.items())
                at = list(mount.keys).index("target") + 1
                mount.keys = dict([*items[:at], ("parent", parent), *items[at:]])

    def text(self, heading: Sequence[str]) -> str:
        """The spec as TOML; `heading` are lines of comment for its beginning."""
        self.arrange()
        out = [f"# {visible(line)}".rstrip() for line in heading]
        if self.unsaid:
            out += ["#", "# Not in this spec:", *(f"# - {visible(line)}" for line in self.unsaid)]
        out += ["", "format = 1"]
        if self.name:
            out.append(f"name = {toml_value(self.name)}")
        if self.inherits:
            out.append('root = "inherit"')
        out += _lines(self.keys)
        mounts = [one for one in self.mounts if not one.is_comment]
        used = {value for one in mounts for key, value in one.keys.items() if key in ("peer_group", "master")}
        used |= {group["master"] for name, group in self.groups.items() if name in used and "master" in group}
        for name, group in self.groups.items():
            if name in used:
                out += ["", f"[peer_group.{toml_key(name)}]", *_lines(group)]
        for key, tables in (("remove", self.removals), ("change", self.changes)):
            for table in tables:
                out += ["", f"[[{key}]]", *_lines(table)]
        for mount in self.mounts:
            lines = ["[[mount]]", *_lines(mount.keys)]
            for file in mount.files:
                lines += ["[[mount.file]]", *_lines(file)]
            out += ["", *(f"# {visible(note)}" for note in mount.notes)]
            out += [f"# {visible(line)}" for line in lines] if mount.is_comment else lines
        if self.run:
            out += ["", "[run]", *_lines(self.run)]
        return "\n".join(out) + "\n"


def _lines(keys: Mapping[str, object]) -> list[str]:
    return [f"{toml_key(key)} = {_value_of(key, value)}" for key, value in keys.items()]


def _value_of(key: str, value: object) -> str:
    is_utf8 = isinstance(value, str) and not any("\udc80" <= char <= "\udcff" for char in value)
    if key == "content" and isinstance(value, str) and is_utf8 and not value.isprintable():
        return toml_string(value)  # in a file, a newline is nothing special
    return toml_value(value)


def _ways(path: str) -> list[str]:
    """The path and all above it, the root first."""
    parts = [part for part in path.split("/") if part]
    return ["/"] + ["/" + "/".join(parts[: at + 1]) for at in range(len(parts))]


def _is_under(path: str, top: str) -> bool:
    return path == top or top == "/" or path.startswith(f"{top}/")


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or "root"


def absolute(text: str, folder: str = "/") -> str:
    """A path of a configuration, from `folder` on if it is relative, without "." and ".."."""
    path = posixpath.normpath(posixpath.join(folder, text))
    return "/" + path.lstrip("/")


def inside(mount: DraftMount, path: str) -> str:
    """`path` as it is called within the mount at `mount.target`."""
    top = mount.target or "/"
    return path[len(top.rstrip("/")) :] or "/"


class Refusal:
    """Collects what is wrong with a configuration, to be raised all at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []

    def add(self, key: str, what: str, remedy: str, line: int = 0) -> None:
        self.mistakes.append(Mistake(SpecRef(self.file, key, line), what, remedy))

    def stop(self, key: str, what: str, remedy: str) -> NoReturn:
        """Raise SpecError for what leaves nothing to go on with."""
        self.add(key, what, remedy)
        raise SpecError(tuple(self.mistakes))

    def end(self) -> None:
        """Raise SpecError if anything is wrong."""
        if self.mistakes:
            raise SpecError(tuple(self.mistakes))


def spec_name(text: str) -> str:
    """The name that a text makes, of which a spec's are letters, digits and a few signs; "" if it has none of them."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in text).lstrip(".-")

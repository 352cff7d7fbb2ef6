"""What a hook of an OCI runtime is told on standard input, and what its container cannot show at that stage yet."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.compare.view import View
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable

Stage: TypeAlias = Literal["createRuntime", "createContainer", "poststart"]
STAGES: tuple[Stage, ...] = ("createRuntime", "createContainer", "poststart")
_REMEDY = "mountplan hook is for OCI runtimes, which write their state there: ociVersion, id, status, pid, bundle"


class ContainerState(NamedTuple):
    """The state of a container (OCI runtime specification, runtime.md). `pid` is of the namespace of the runtime's
    processes; at createContainer runtimes write 0, or the pid inside.
    """

    id: str
    pid: int
    bundle: str
    status: str


def read_state(data: bytes, file: str) -> ContainerState:
    """Raises SpecError for what is no state."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _mistake(file, "", f"is no state of a container: {error}") from None
    if not isinstance(value, dict):
        raise _mistake(file, "", "is no state of a container: it is no object")
    for key, kind, called in (("id", str, "a text"), ("bundle", str, "a path"), ("pid", int, "a number")):
        if not isinstance(value.get(key), kind) or isinstance(value[key], bool):
            raise _mistake(file, key, f"is {called} in the state of a container, and here it is not")
    if not value["bundle"].startswith("/"):
        raise _mistake(file, "bundle", f"{value['bundle']!r} is no absolute path")
    return ContainerState(value["id"], value["pid"], value["bundle"], str(value.get("status", "")))


def root_of(config: object, bundle: str, file: str) -> str:
    """The directory that becomes the container's root. Raises SpecError."""
    root = config.get("root") if isinstance(config, Mapping) else None
    path = root.get("path") if isinstance(root, Mapping) else None
    if not isinstance(path, str) or not path or _is_no_path(path):
        raise _mistake(file, "root.path", "there is none: this is no config.json of a bundle")
    return posixpath.normpath(posixpath.join(bundle, path))


def _is_no_path(text: str) -> bool:
    """Is it none that the kernel can be given: with a NUL, or half of a character?"""
    try:
        return b"\0" in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True


def _mistake(file: str, key: str, what: str) -> SpecError:
    return SpecError((Mistake(SpecRef(file, key), what, _REMEDY),))


class Sorted(NamedTuple):
    """Differences of a container from what it shall be: those that count, those that may go yet, as the runtime has
    more to do, and those in which all runtimes have a way of their own.
    """

    drift: Drift
    to_come: Drift
    usual: Drift


class RuntimeWays:
    """What a container's own configuration lets a runtime do later, or in another way than a spec says it.

    `of_config` if the container is held against that configuration: what a spec says of sharing, it means.
    """

    def __init__(self, config: Mapping[str, Any], stage: Stage, *, of_config: bool = True) -> None:
        self._of_config = of_config
        linux = config.get("linux") or {}
        self._before_pivot = stage != "poststart"
        self._inside = stage == "createContainer"
        self._masked = frozenset(linux.get("maskedPaths") or ())
        self._hidden = self._masked | frozenset(linux.get("readonlyPaths") or ())
        entries = {
            posixpath.normpath(str(one.get("destination"))): one
            for one in config.get("mounts") or ()
            if isinstance(one, Mapping)
        }
        words = {place: frozenset(map(str, one.get("options") or ())) for place, one in entries.items()}
        self._read_only = {place for place, those in words.items() if "ro" in those}
        if (config.get("root") or {}).get("readonly"):
            self._read_only.add("/")
        self._shared_by_word = {place for place, those in words.items() if those & _SHARING}
        if linux.get("rootfsPropagation") in ("shared", "rshared"):
            self._shared_by_word.add("/")
        self._groups = {place for place, one in entries.items() if one.get("type") in ("cgroup", "cgroup2")}
        self._console = bool((config.get("process") or {}).get("terminal"))

    def without_masks(self, view: View) -> tuple[View, frozenset[str]]:
        """A side without the mounts that mask paths, and these paths: each runtime has another way to mask one."""
        is_mask = [row.mountpoint in self._masked and _looks_empty(row) for row in view.table.rows]
        rows = tuple(row for row, one in zip(view.table.rows, is_mask, strict=True) if not one)
        masked = frozenset(row.mountpoint for row, one in zip(view.table.rows, is_mask, strict=True) if one)
        origins = view.origins
        if origins:
            origins = tuple(one for one, gone in zip(origins, is_mask, strict=True) if not gone)
        return view._replace(table=MountTable(rows), origins=origins), masked

    def sort(self, drift: Sequence[Difference]) -> Sorted:
        counts: list[Difference] = []
        to_come: list[Difference] = []
        usual: list[Difference] = []
        for one in drift:
            (to_come if self._is_to_come(one) else usual if self._is_usual(one) else counts).append(one)
        return Sorted(tuple(counts), tuple(to_come), tuple(usual))

    def _is_to_come(self, one: Difference) -> bool:
        """Before the root is changed, nothing need be masked, and what is to be read-only may be writable."""
        if not self._before_pivot:
            return False
        if one.mount in self._hidden:
            return one.prop == "mount" and one.found == "no mount"
        if one.mount not in self._read_only or one.prop != "attributes":
            return False
        return "ro" in one.wanted.split(",") and _but_ro(one.wanted) == _but_ro(one.found)

    def _is_usual(self, one: Difference) -> bool:
        if one.mount in self._groups:  # the runtime's own group, by the name that it gives to it
            return one.prop in ("root", "source")
        if one.mount in self._hidden:  # crun makes it read-only, and forgets the rest of what /proc has
            return one.prop == "attributes" and "ro" in one.found.split(",")
        if one.prop == "option ro":  # crun makes the mount read-only, and its filesystem not
            return one.mount in self._read_only
        if one.prop in ("master", "peer group"):
            if self._inside:  # where the host's mounts are slaves, and not the ones that the host has
                return True
            # crun makes private what others make slaves of the host's mounts.
            return self._of_config and one.found == "none" and one.mount not in self._shared_by_word
        if one.mount in _DEVICES:  # in a user namespace, where none can be made, runtimes bind the host's
            bound = one.prop == "mount" and one.wanted == "none" and one.found.startswith("devtmpfs on ")
            return bound or (one.prop == "attributes" and _but_execution(one.wanted) == _but_execution(one.found))
        return self._console and one.mount == "/dev/console"


# OCI runtime specification, config-linux.md, "Default Devices"
_DEVICES = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
_SHARING = frozenset(prefix + word for word in ("shared", "slave", "private", "unbindable") for prefix in ("", "r"))


def _looks_empty(row: MountRow) -> bool:
    """Is it an empty directory, or the null device, as runtimes and mountplan itself mask paths?"""
    return row.fstype in ("tmpfs", "devtmpfs") and row.root in ("/", "/null", "/directory", "/file")


def _but_execution(words: str) -> list[str]:
    return [word for word in words.split(",") if word not in ("nosuid", "noexec")]


def _but_ro(words: str) -> list[str]:
    return [word for word in words.split(",") if word not in ("ro", "rw")]

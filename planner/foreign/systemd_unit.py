"""The sandboxing of a systemd unit -> a spec: what `systemctl cat UNIT` prints, or a unit file and its drop-ins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

from mountplan.planner.foreign.mount_words import add_attributes, read_words, share, split_options
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, Refusal, SpecDraft, absolute
from mountplan.planner.foreign.unit_reading import read_unit, words_of
from mountplan.planner.language.presets import DEVICES, LINKS
from mountplan.planner.record import NamedTuple

_YES = frozenset({"1", "yes", "true", "on"})
_NO = frozenset({"0", "no", "false", "off"})
# What directives cover (src/core/namespace.c of systemd): paths that need not be there begin with "-".
_TUNABLES_RO = ("/proc/sys", "-/proc/sysrq-trigger", "-/proc/latency_stats", "-/proc/mtrr", "-/proc/apm", "-/proc/acpi",
                "-/proc/timer_stats", "-/proc/asound", "-/proc/bus", "-/proc/fs", "-/proc/irq", "-/proc/scsi", "/sys",
                "-/sys/fs/bpf", "-/sys/kernel/debug", "-/sys/kernel/tracing")  # fmt: skip
_TUNABLES_RW = ("-/sys/fs/cgroup", "-/sys/fs/selinux")
_HOMES = ("-/home", "-/root", "-/run/user")
_STRICT_RW = ("/dev", "/proc", "/sys", *_HOMES)
_TUNABLES_HIDDEN = ("-/proc/kallsyms", "-/proc/kcore")
_UNSAID = (
    "RootImage", "RootHash", "RootVerity", "MountImages", "ExtensionImages", "ExtensionDirectories", "User", "Group",
    "DynamicUser", "SystemCallFilter", "RestrictNamespaces", "RestrictAddressFamilies", "MemoryDenyWriteExecute",
    "LockPersonality", "ProtectClock", "PrivateUsers", "DeviceAllow", "DevicePolicy", "LoadCredential",
    "LoadCredentialEncrypted", "ImportCredential", "SetCredential", "EnvironmentFile", "PassEnvironment",
    "LogNamespace", "BindLogSockets", "PrivateBPF", "RootEphemeral", "NetworkNamespacePath", "IPCNamespacePath",
    "RestrictFileSystems", "What", "Where",
)  # fmt: skip

# Options of the filesystems that systemd makes (src/shared/mount-util.h).
_TMPFS = {"mode": "0755", "size": "10%", "nr_inodes": "400k"}
_DEV = {"mode": "0755", "size": "4m", "nr_inodes": "64k"}
_SAY_HOW = ("ReadOnlyPaths", "ReadWritePaths")
_INACCESSIBLE = {"directory": "/run/systemd/inaccessible/dir", "file": "/run/systemd/inaccessible/reg"}

Mode: TypeAlias = Literal["hide", "own", "ro", "rw", "implicit"]
_PRIORITY: tuple[Mode, ...] = ("hide", "own", "ro", "rw", "implicit")  # of several at a path, as systemd orders them

_COVERS: tuple[tuple[str, Mode, tuple[str, ...]], ...] = (
    ("ProtectKernelModules", "hide", ("-/usr/lib/modules", "-/lib/modules")),
    ("ProtectKernelLogs", "hide", ("-/proc/kmsg", "-/dev/kmsg")),
    ("ProtectHostname", "ro", ("-/proc/sys/kernel/hostname", "-/proc/sys/kernel/domainname")),
)

# What a dynamic user implies, whatever the unit says (unit_patch_contexts).
_OF_DYNAMIC_USERS = {"ProtectSystem": "strict", "PrivateTmp": "yes", "NoNewPrivileges": "yes"}

_KINDS_INHERITED = ("ro", "rw", "implicit")


class _Place(NamedTuple):
    """What a path shall be: hidden, a mount of the unit's own, read-only, or as it is outside.

    "implicit" is what another directive leaves as it is; what a unit asks to be so ("rw") becomes a mountpoint.
    """

    path: str
    mode: Mode
    optional: bool


class _Bind(NamedTuple):
    source: str
    place: str
    recursive: bool
    optional: bool
    attributes: list[str]

    @classmethod
    def of(cls, word: str, attributes: list[str]) -> _Bind:
        parts = [part.replace("\\:", ":") for part in re.split(r"(?<!\\):", word.lstrip("-+"))]
        place = absolute(parts[1] if len(parts) > 1 and parts[1] else parts[0])
        return cls(absolute(parts[0]), place, "norbind" not in parts[2:], word.startswith("-"), attributes)


class _Shown:
    """What the machine has at the paths of a unit, which has mounts of its own there."""

    def __init__(self, facts: ImportFacts, root: str) -> None:
        self.facts, self.root = facts, root
        self.sources: dict[str, str] = {}  # place of a mount -> what it binds, "" for a new filesystem

    def put(self, path: str, source: str = "") -> None:
        self.sources[path] = source

    def _source(self, path: str) -> tuple[str, str, str]:
        """Of the mount on which the path is: its place, what it binds, and where the machine has the path."""
        tops = [one for one in self.sources if one == path or _is_below(path, one)]
        top = max(tops, key=len, default="")
        source = self.sources[top] if tops else self.root
        return top, source, absolute(f"{source}/{path[len(top) :]}") if source or not tops else ""

    def real(self, path: str) -> str:
        """Where the symlinks on the way lead: those of a new filesystem's are none."""
        top, source, place = self._source(path)
        if self.root or not place:
            return path
        real = self.facts.real(place)
        if not source:
            return real
        return f"{top}{real[len(source) :]}" if real == source or _is_below(real, source) else path

    def kind(self, path: str) -> str:
        place = self._source(path)[2]
        if place:
            return self.facts.kind(place)
        return "directory" if any(one == path or _is_below(one, path) for one in self.sources) else ""


def import_systemd(text: str, file: str, facts: ImportFacts, *, as_root: bool = True) -> SpecDraft:
    """As root, what a new /proc or /dev replaces is unmounted, as systemd does it; others cannot.

    Raises SpecError if there is nothing of a unit in it.
    """
    refusal = Refusal(file)
    unit = read_unit(text)
    if not unit:
        refusal.add("", "there is no directive of a [Service] in it", "give it what `systemctl cat UNIT` prints")
        refusal.end()
    return _UnitImport(unit, facts, as_root).draft_of()


class _UnitImport:
    def __init__(self, unit: dict[str, list[str]], facts: ImportFacts, as_root: bool) -> None:
        self.unit, self.facts, self.as_root = unit, facts, as_root
        self.draft = SpecDraft()
        self.hidden: DraftMount | None = None
        self.places: list[_Place] = []
        self.own: list[DraftMount] = []
        root = self.one("RootDirectory").lstrip("-")
        self.root = facts.real(absolute(root)) if root else ""
        if self.yes("DynamicUser"):
            home = self.one("ProtectHome") if self.one("ProtectHome").lower() not in ("", *_NO) else "read-only"
            self.unit |= {name: [value] for name, value in (_OF_DYNAMIC_USERS | {"ProtectHome": home}).items()}
        self.shown = _Shown(facts, self.root)
        # What a unit has no privilege to use is not on its mounts either: systemd makes each of them nosuid.
        self.nosuid = self.yes("NoNewPrivileges")

    def one(self, name: str) -> str:
        return self.unit.get(name, [""])[-1].strip()

    def yes(self, name: str, *more: str) -> bool:
        return self.one(name).lower() in (*_YES, *more)

    def paths(self, name: str) -> list[str]:
        """The paths of a list, those that need not be there with "-" before them."""
        optional = ((word, word[:1] in "-+" and "-" in word[:2]) for word in self._list(name))
        return ["-" * may_be_missing + absolute(word.lstrip("-+")) for word, may_be_missing in optional]

    def _list(self, name: str) -> list[str]:
        found = []
        for word in (word for value in self.unit.get(name, ()) for word in words_of(value)):
            if "%" in word:
                self.draft.cannot_say(f"{name}={word}: write out what stands for %")
            else:
                found.append(word)
        return found

    def draft_of(self) -> SpecDraft:
        empty = [value.partition(":") for value in self._list("TemporaryFileSystem")]
        # At one path, systemd mounts what is first in its order: what says how a path is to be, and then no tmpfs.
        said = {absolute(path.removeprefix("-")) for name in _SAY_HOW for path in self.paths(name)}
        for path, _, _ in empty:
            if absolute(path) in said:
                self.draft.cannot_say(f"TemporaryFileSystem={path}: systemd leaves it out, as *Paths= has that path")
        empty = [one for one in empty if absolute(one[0]) not in said]
        binds = [_Bind.of(word, []) for word in self._list("BindPaths")]
        binds += [_Bind.of(word, ["ro"]) for word in self._list("BindReadOnlyPaths")]
        for path, _, _ in sorted(empty):
            self.shown.put(self._real(absolute(path)))
        if self.one("ProcSubset") == "pid":
            self.shown.put("/proc")
        if self.yes("PrivateTmp", "disconnected"):
            for path in ("/tmp", "/var/tmp"):
                self.shown.put(self._real(path))
        for bind in sorted(binds, key=lambda one: one.place):
            if not bind.optional or self.facts.kind(bind.source):
                self.shown.put(self._real(bind.place), self.facts.real(bind.source))
        self._collect()
        for path, _, options in empty:
            self._tmpfs(absolute(path), split_options(options))
        for bind in binds:
            self._bind(bind)
        self._write()
        self._run()
        for name in _UNSAID:
            if self.one(name) and self.one(name).lower() not in ("no", "false", "0"):
                self.draft.cannot_say(f"{name}={self.one(name)}")
        return self.draft

    # -- what the directives say of paths ------------------------------------------------------------------------------

    def _add(self, mode: Mode, paths: Iterable[str]) -> None:
        for word in paths:
            path, optional = word.removeprefix("-"), word.startswith("-")
            self.places.append(_Place(self._real(path), mode, optional))

    def _real(self, path: str) -> str:
        """The path in the unit's root to which the symlinks there lead."""
        return self.shown.real(path)

    def _collect(self) -> None:
        protect, home = self.one("ProtectSystem").lower(), self.one("ProtectHome").lower()
        if protect == "strict":
            self._add("ro", ["/"])
            self._add("implicit", _STRICT_RW)
        elif protect in _YES or protect == "full":
            self._add("ro", ["/usr", "-/boot", "-/efi", *(["/etc"] if protect == "full" else [])])
        if home in _YES:
            self._add("hide", _HOMES)
        elif home == "read-only":
            self._add("ro", _HOMES)
        elif home == "tmpfs":
            for path in _HOMES:
                if self.shown.kind(path[1:]):
                    self._tmpfs(path[1:], ["mode=0755", "ro"])
        if self.yes("PrivateTmp", "disconnected"):
            for path in ("/tmp", "/var/tmp"):
                mount = self._tmpfs(path, ["mode=1777", "nosuid"])
                if self.yes("PrivateTmp"):
                    mount.notes.append(f"in place of a directory below {path} of the machine that systemd makes")
        if self.yes("PrivateDevices"):
            self._devices()
        if self.yes("PrivateIPC"):
            self.draft.cannot_say("PrivateIPC=yes: its own queues on /dev/mqueue, where the machine's are here")
        if self.yes("ProtectKernelTunables"):
            is_there = self.one("ProcSubset") != "pid"  # or nothing of it is in /proc, and the unit starts all the same
            self._add("ro", [one for one in _TUNABLES_RO if is_there or "/proc/" not in one])
            self._add("implicit", _TUNABLES_RW)
            self._add("hide", _TUNABLES_HIDDEN)
        if self.yes("ProtectControlGroups", "strict", "private"):
            self._add("ro", ["-/sys/fs/cgroup"])
        for name, mode, paths in _COVERS:
            if self.yes(name):
                self._add(mode, paths)
        self._proc()
        self._add("hide", self.paths("InaccessiblePaths"))
        self._add("ro", self.paths("ReadOnlyPaths"))
        self._add("rw", self.paths("ReadWritePaths"))
        for name, top in (("State", "/var/lib"), ("Cache", "/var/cache"), ("Logs", "/var/log"), ("Runtime", "/run")):
            for word in self._list(f"{name}Directory"):
                path = f"{top}{absolute(word.partition(':')[0])}"
                self._add("rw", [f"-{path}"])
                if self.yes("DynamicUser") and top != "/run":
                    self.draft.cannot_say(f"{name}Directory={word} of a dynamic user, which is below {top}/private")
                elif not self.shown.kind(path):
                    self.draft.cannot_say(f"{name}Directory={word}: make {path} before, as systemd does")

    def _proc(self) -> None:
        options = {"hidepid": self.one("ProtectProc"), "subset": self.one("ProcSubset")}
        options = {key: value for key, value in options.items() if value not in ("", "default", "all")}
        protected = self.yes("ProtectKernelTunables") or self.yes("ProtectControlGroups", "strict", "private")
        if options or self.yes("MountAPIVFS") or protected:  # all of them imply MountAPIVFS=
            self._own("/proc", type="proc", source="proc", options=options)
            self.own[-1].keys["attributes"] = ["nosuid", "nodev", "noexec"]
            if not self.root:
                self._add("implicit", ["/dev", "/sys", "-/run"])

    # -- mounts of the unit's own --------------------------------------------------------------------------------------

    def _own(self, path: str, **keys: object) -> DraftMount:
        mount = DraftMount(path, **{key: value for key, value in keys.items() if value not in (False, {}, "")})
        self.own = [one for one in self.own if one.target != path] + [mount]
        self.places.append(_Place(path, "own", False))
        return mount

    def _tmpfs(self, path: str, options: list[str]) -> DraftMount:
        words = read_words(options)
        mount = self._own(self._real(path), type="tmpfs", source="tmpfs", options=_TMPFS | dict(words.options))
        add_attributes(mount, words, recursive=False, extra=("nodev", "strictatime"))
        mount.keys["create"] = True
        return mount

    def _bind(self, bind: _Bind) -> None:
        if bind.optional and not self.facts.kind(bind.source):
            return
        mount = self._own(self._real(bind.place), bind=self.facts.real(bind.source), recursive=bind.recursive)
        mount.say(optional=bind.optional, attributes=bind.attributes, create=True)

    def _devices(self) -> None:
        mount = self._own("/dev", type="tmpfs", source="tmpfs", options=_DEV)
        mount.keys["attributes"] = ["ro", "nosuid", "strictatime", "noexec"]
        mount.files.extend({"path": name, "device": one, "mode": "0666"} for name, one in DEVICES.items())
        mount.files.extend({"path": name, "symlink": to} for name, to in LINKS.items())
        for name in ("pts", "shm", "mqueue", "hugepages"):
            if self.facts.kind(f"/dev/{name}"):
                self._own(f"/dev/{name}", bind=f"/dev/{name}", recursive=True)
        self.shown.put("/dev")
        for name in (*DEVICES, *LINKS, "pts", "shm", "mqueue", "hugepages"):
            self.shown.put(f"/dev/{name}", f"/dev/{name}")

    # -- the spec ------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        draft = self.draft
        shared = self.one("MountFlags") or "shared"
        events = {"shared": [("slave", True), ("shared", True)], "slave": [("slave", True)]}
        self.events = events.get(shared.removeprefix("r"), [("private", True)])
        kept = self._kept()
        by_path = {mount.target: mount for mount in self.own}
        if self.root:
            mount = draft.add("/", bind=self.root, recursive=True)
            share(draft, mount, self.events, self.facts.sharing(self.root))
            if self.yes("MountAPIVFS") or not self.one("MountAPIVFS"):
                self._api(kept)
        else:
            draft.inherits = True
            how = {"shared": "slave-shared", "slave": "slave"}.get(shared, "private")
            if how == "slave-shared" and "/" in by_path:  # shared is the root that the unit sees
                how = "slave"
            draft.keys["propagation"] = how
            for path in ("/proc", "/dev"):
                if self.as_root and path in by_path and path in kept:
                    draft.removals.append({"target": path, "recursive": True, "optional": True})
            self._changes([one for one in kept.values() if self._is_inherited(one, kept)])
        for path, place in sorted(kept.items()):
            if place.mode == "hide":
                self._hide(place)
            elif place.mode == "own":
                self._put(by_path[path])
            elif self.root or not self._is_inherited(place, kept) or self._is_new_mountpoint(place, kept):
                self._again(place, kept, by_path)
        self._exec_paths(list(kept.values()))
        if self.nosuid and not self.root:
            self._no_set_user_id([one for one in kept.values() if self._is_inherited(one, kept)])

    def _kept(self) -> dict[str, _Place]:
        """One place for each path; none below a hidden one, and none that says what the nearest above it says."""
        found: dict[str, _Place] = {}
        for mode in _PRIORITY:
            for place in self.places:
                if place.mode == mode:
                    found.setdefault(place.path, place)
        kept: dict[str, _Place] = {}
        for path in sorted(found, key=lambda one: one.split("/")):
            above = self._above(found[path], kept)
            if above is None or (above.mode != "hide" and (above.mode != found[path].mode or above.mode == "own")):
                kept[path] = found[path]
        return kept

    def _above(self, place: _Place, kept: dict[str, _Place]) -> _Place | None:
        path = place.path
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            if path in kept:
                return kept[path]
        return None

    def _is_new_mountpoint(self, place: _Place, kept: dict[str, _Place]) -> bool:
        """Whether it has to be mounted upon itself, as no [[change]] that spares it does so."""
        above = self._above(place, kept)
        no_exec = [self._real(path.removeprefix("-")) for path in self.paths("NoExecPaths")]
        is_spared = (above is not None and above.mode == "ro") or any(_is_below(place.path, one) for one in no_exec)
        if place.mode != "rw" or is_spared or not self.shown.kind(place.path):
            return False
        return self.facts.sharing(place.path).mountpoint != place.path

    def _is_inherited(self, place: _Place, kept: dict[str, _Place]) -> bool:
        """Whether the path is read-only or writable on what the unit inherits, and not on a mount of its own."""
        above: _Place | None = place
        while above is not None and above.mode in _KINDS_INHERITED:
            above = self._above(above, kept)
        return above is None and place.mode in _KINDS_INHERITED

    def _changes(self, places: list[_Place]) -> None:
        for place in places:
            if place.mode != "ro":
                continue
            if not place.optional and not self.facts.kind(place.path):
                self.draft.cannot_say(f"{place.path} read-only: it is not there, and the unit would not start")
            spared = [one for one in places if one.mode in ("rw", "implicit") and _is_below(one.path, place.path)]
            spared = [one for one in spared if not any(_is_below(one.path, other.path) for other in spared)]
            self._change(place.path, "ro", self._spared(place.path, spared), optional=place.optional)

    def _change(self, path: str, word: str, spared: list[object], *, optional: bool) -> None:
        change: dict[str, object] = {"target": path, "recursive": True, "attributes": [word]}
        more = {"except": spared, "optional": optional}
        self.draft.changes.append(change | {key: value for key, value in more.items() if value})

    def _spared(self, top: str, spared: list[_Place]) -> list[object]:
        """For a change's `except`: these, and what the unit's own mounts below it cover."""
        removed = {str(one["target"]) for one in self.draft.removals}
        words: list[object] = [
            {"path": one.path, "optional": True} if one.optional or not self.facts.kind(one.path) else one.path
            for one in spared
        ]
        return words + [
            str(one.target)
            for one in self.own
            if _is_below(str(one.target), top)
            and not any(one.target == other or _is_below(str(one.target), other) for other in removed)
            and self.facts.sharing(str(one.target)).mountpoint == one.target
            and not any(_is_below(str(one.target), other.path) or one.target == other.path for other in spared)
        ]

    def _exec_paths(self, kept: list[_Place]) -> None:
        """systemd spares not only what may be executed, but every path that another directive names."""
        allowed = [_Place(self._real(path.removeprefix("-")), "rw", True) for path in self.paths("ExecPaths")]
        allowed += [one for one in kept if one.mode in _KINDS_INHERITED]
        for word in self.paths("NoExecPaths"):
            path = self._real(word.removeprefix("-"))
            if any(one.target == path for one in self.own):
                continue
            if self.root:
                self.draft.cannot_say(f"NoExecPaths={path} in a RootDirectory=")
                continue
            below = {one.path: one for one in allowed if _is_below(one.path, path)}
            highest = [one for one in below.values() if not any(_is_below(one.path, other) for other in below)]
            self._change(path, "noexec", self._spared(path, highest), optional=word.startswith("-"))

    def _no_set_user_id(self, places: list[_Place]) -> None:
        for place in places:
            if not any(_is_below(place.path, other.path) for other in places):
                self._change(place.path, "nosuid", [], optional=place.optional or not self.facts.kind(place.path))

    def _put(self, mount: DraftMount) -> None:
        made = self.draft.add(mount.target, **{key: value for key, value in mount.keys.items() if key != "target"})
        made.notes, made.files = mount.notes, mount.files
        # Of several entries for one path systemd takes the first one, with what the others say of it.
        if any(place.mode == "ro" and place.path == mount.target for place in self.places):
            self._add_attribute(made, "ro")
        if any(self._real(path.removeprefix("-")) == mount.target for path in self.paths("NoExecPaths")):
            self._add_attribute(made, "noexec")
        if self.nosuid:
            self._add_attribute(made, "nosuid")
        source = mount.keys.get("bind")
        share(self.draft, made, self.events, self.facts.sharing(source) if isinstance(source, str) else None)

    def _again(self, place: _Place, kept: dict[str, _Place], by_path: dict[str | None, DraftMount]) -> None:
        """What stands there, mounted once more upon itself: in a root of the unit's, or in what it binds."""
        above = self._above(place, kept)
        while above is not None and above.mode != "own":
            above = self._above(above, kept)
        own = by_path[above.path] if above is not None else None
        is_proc = own is not None and own.keys.get("type") == "proc" and self.one("ProcSubset") != "pid"
        if place.optional and not is_proc and not self.shown.kind(place.path):
            return
        top = own.keys.get("bind") if own is not None else self.root or "/"
        if is_proc and place.mode == "ro":
            path = place.path.removeprefix("/proc/")
            made = next(one for one in self.draft.mounts if one.target == "/proc")
            listed = made.keys.setdefault("readonly", [])
            assert isinstance(listed, list)
            listed.append({"path": path, "optional": True} if place.optional else path)
            return
        if not isinstance(top, str):
            self.draft.cannot_say(f"{place.path} {place.mode}, in a filesystem that is new")
            return
        source = absolute(f"{top}{place.path.removeprefix(above.path if above is not None else '')}")
        if place.path == "/":
            self.draft.mounts[0].keys["attributes"] = ["ro"]
            return
        if not self.facts.kind(source):
            if not place.optional:
                self.draft.cannot_say(f"{place.path} {place.mode}: it is not there")
            return
        mount = self.draft.add(place.path, bind=self.facts.real(source), recursive=True)
        mount.say(optional=place.optional, attributes=["ro"] * (place.mode == "ro"))
        if self.nosuid:
            self._add_attribute(mount, "nosuid")
        mount.keys["on_symlink"] = "follow"
        share(self.draft, mount, self.events, self.facts.sharing(source))

    @staticmethod
    def _add_attribute(mount: DraftMount, word: str) -> None:
        found = mount.keys.get("attributes", [])
        assert isinstance(found, list)
        against = {"ro": "rw", "noexec": "exec", "nosuid": "suid"}[word]
        if word not in found or against in found:
            mount.keys["attributes"] = [*(one for one in found if one not in (word, against)), word]

    def _api(self, kept: dict[str, _Place]) -> None:
        """What a RootDirectory= has besides, unless the unit mounts there itself."""
        for path, keys in (
            ("/proc", {"type": "proc", "attributes": ["nosuid", "nodev", "noexec"]}),
            ("/sys", {"bind": "/sys", "recursive": True}),
            ("/dev", {"bind": "/dev", "recursive": True}),
            ("/run", {"type": "tmpfs", "options": {"mode": "0755"}, "attributes": ["nosuid", "nodev", "strictatime"]}),
        ):
            if kept.get(path, _Place(path, "rw", True)).mode in _KINDS_INHERITED:
                mount = DraftMount(path, **keys)
                mount.keys["create"] = True
                self._put(mount)

    def _hide(self, place: _Place) -> None:
        path = place.path
        kind = self.shown.kind(path)
        if not kind:
            if not place.optional:
                self.draft.cannot_say(f"InaccessiblePaths={path}, which is not there")
            return
        usual = _INACCESSIBLE[kind]
        of_host = not self.root and bool(self.facts.kind(usual))
        if not of_host and self.hidden is None:
            self.hidden = self.draft.add(None, id="inaccessible", type="tmpfs", options={"mode": "0755"})
            directory = {"path": "directory", "directory": True, "mode": "0000"}
            self.hidden.files = [directory, {"path": "file", "mode": "0000"}]
        bind = self.facts.real(usual) if of_host else {"mount": "inaccessible", "path": f"/{kind}"}
        mount = self.draft.add(path, bind=bind, attributes=["ro", "nosuid", "nodev", "noexec"], on_symlink="follow")
        share(self.draft, mount, self.events, self.facts.sharing(usual) if of_host else None)

    def _run(self) -> None:
        run = self.draft.run
        start = self.one("ExecStart")
        if len(self.unit.get("ExecStart", ())) > 1:
            self.draft.cannot_say("that several commands of ExecStart= follow each other: the last one is here")
        if start:
            words = words_of(start.lstrip("-@:+!|"))
            if "@" in start[: len(start) - len(start.lstrip("-@:+!|"))]:
                del words[1:2]  # what the command is called
            if any("%" in word or word.startswith("$") for word in words):
                self.draft.cannot_say(f"ExecStart={start}: write out what stands for % and $")
            else:
                run["command"] = words
        environment = dict(
            word.split("=", 1) for value in self.unit.get("Environment", ()) for word in words_of(value) if "=" in word
        )
        directory = self.one("WorkingDirectory").lstrip("-")
        self.draft.say_run(environment=environment, cwd=absolute(directory) if directory.startswith("/") else "")
        kinds = (("PrivateNetwork", "net"), ("PrivateIPC", "ipc"), ("ProtectHostname", "uts"), ("PrivatePIDs", "pid"))
        self.draft.say_run(unshare=[kind for name, kind in kinds if self.yes(name)])
        bounding = " ".join(self.unit.get("CapabilityBoundingSet", ()))
        if bounding and not bounding.startswith("~"):
            run["capabilities"] = sorted(set(bounding.split()))
        elif bounding:
            self.draft.cannot_say(f"CapabilityBoundingSet={bounding}: write down which stay")
        if not self.yes("NoNewPrivileges"):
            run["no_new_privs"] = False


def _is_below(path: str, top: str) -> bool:
    return path != top and (top == "/" or path.startswith(f"{top}/"))

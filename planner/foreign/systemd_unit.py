"""The sandboxing of a systemd unit -> a spec: what `systemctl cat UNIT` prints, or a unit file and its drop-ins."""

from __future__ import annotations

import re
import shlex

from mountplan.planner.foreign.mount_words import add_attributes, read_words, share, split_options
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, Refusal, SpecDraft, absolute
from mountplan.planner.language.presets import DEVICES, LINKS

_YES = frozenset({"1", "yes", "true", "on"})
# Directives that hold lists: an empty one begins anew, and drop-ins add to what is there.
_LISTS = frozenset({
    "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem",
    "BindPaths", "BindReadOnlyPaths", "Environment", "CapabilityBoundingSet", "ReadWriteDirectories",
    "ReadOnlyDirectories",
    "InaccessibleDirectories", "StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory",
    "ConfigurationDirectory",
})  # fmt: skip
_OLD = {
    "ReadWriteDirectories": "ReadWritePaths",
    "ReadOnlyDirectories": "ReadOnlyPaths",
    "InaccessibleDirectories": "InaccessiblePaths",
}
_TUNABLES = ("/proc/sys", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/mtrr", "/proc/apm", "/proc/acpi",
             "/proc/timer_stats", "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/sys")  # fmt: skip
_HOMES = ("/home", "/root", "/run/user")
_UNSAID = (
    "RootImage", "RootHash", "RootVerity", "MountImages", "ExtensionImages", "ExtensionDirectories", "User", "Group",
    "DynamicUser", "SystemCallFilter", "RestrictNamespaces", "RestrictAddressFamilies", "MemoryDenyWriteExecute",
    "LockPersonality", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock", "PrivateUsers", "DeviceAllow",
    "DevicePolicy", "ExecPaths", "NoExecPaths", "LoadCredential", "SetCredential",
)  # fmt: skip


def read_unit(text: str) -> dict[str, list[str]]:
    """The directives of [Service] (or [Socket], [Mount], [Swap]), the values of each in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    joined = re.sub(r"\\\n\s*(?:[#;][^\n]*\n\s*)*", " ", text)
    for line in joined.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            continue
        if section not in ("Service", "Socket", "Mount", "Swap", ""):
            continue
        name, equals, value = line.partition("=")
        name = _OLD.get(name.strip(), name.strip())
        if not equals:
            continue
        value = value.strip()
        if not value and name in _LISTS:
            found[name] = []
        else:
            found.setdefault(name, []).append(value)
    return found


def import_systemd(text: str, file: str, facts: ImportFacts) -> SpecDraft:
    """Raises SpecError if there is nothing of a unit in it."""
    refusal = Refusal(file)
    unit = read_unit(text)
    if not unit:
        refusal.add("", "there is no directive of a [Service] in it", "give it what `systemctl cat UNIT` prints")
        refusal.end()
    return _UnitImport(unit, facts).draft_of()


class _UnitImport:
    def __init__(self, unit: dict[str, list[str]], facts: ImportFacts) -> None:
        self.unit, self.facts = unit, facts
        self.draft = SpecDraft()
        self.hidden: DraftMount | None = None
        self.unshare: list[str] = []

    def one(self, name: str) -> str:
        return self.unit.get(name, [""])[-1].strip()

    def yes(self, name: str) -> bool:
        return self.one(name).lower() in _YES

    def paths(self, name: str) -> list[tuple[str, bool]]:
        """(path, may it be missing) of a list of paths."""
        found = []
        for value in self.unit.get(name, ()):
            for word in _words(value):
                optional = word.startswith("-")
                path = word.lstrip("-+")
                if "%" in path:
                    self.draft.cannot_say(f"{name}={word}: write out what stands for %")
                    continue
                found.append((absolute(path), optional))
        return found

    def draft_of(self) -> SpecDraft:
        draft = self.draft
        self._root()
        self._usual()
        for path, optional in self.paths("ReadOnlyPaths"):
            self._again(path, optional, ["ro"])
        for path, optional in self.paths("ReadWritePaths"):
            self._again(path, optional, ["rw"])
        for name in ("State", "Cache", "Logs", "Runtime"):
            top = {"State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log", "Runtime": "/run"}[name]
            if self.strict:
                for path, _ in self.paths(f"{name}Directory"):
                    self._again(f"{top}{path}", True, ["rw"])
        for path, optional in self.paths("InaccessiblePaths"):
            self._hide(path, optional)
        for value in self.unit.get("TemporaryFileSystem", ()):
            for word in _words(value):
                path, _, options = word.partition(":")
                self._tmpfs(absolute(path), split_options(options))
        for name, attributes in (("BindPaths", []), ("BindReadOnlyPaths", ["ro"])):
            for value in self.unit.get(name, ()):
                for word in _words(value):
                    self._bind(name, word, attributes)
        self._run()
        for name in _UNSAID:
            if self.one(name) and self.one(name).lower() not in ("no", "false", "0"):
                draft.cannot_say(f"{name}={self.one(name)}")
        return draft

    @property
    def strict(self) -> bool:
        return self.one("ProtectSystem") == "strict"

    def _root(self) -> None:
        root = self.one("RootDirectory")
        if not root and not self.strict:
            self.draft.inherits = True
            self.draft.keys["propagation"] = "slave"
            return
        source = self.facts.real(absolute(root.lstrip("-"))) if root else "/"
        mount = self.draft.add("/", bind=source, recursive=True)
        share(self.draft, mount, [("slave", True)], self.facts.sharing(source))
        if self.strict:
            mount.keys["attributes"] = ["ro"]
            for path in ("/dev", "/proc", "/sys"):
                if not root:
                    self._again(path, False, ["rw"])
        if root and (self.yes("MountAPIVFS") or not self.one("MountAPIVFS")):
            for path in ("/proc", "/sys", "/dev", "/run"):
                if self.facts.kind(f"{source}{path}"):
                    self._again(path, False, [])

    def _usual(self) -> None:
        protect = self.one("ProtectSystem").lower()
        if protect in _YES or protect == "full":
            for path in ("/usr", "/boot", "/efi", *(("/etc",) if protect == "full" else ())):
                self._again(path, True, ["ro"])
        home = self.one("ProtectHome").lower()
        for path in _HOMES:
            if home in _YES:
                self._hide(path, True)
            elif home == "read-only":
                self._again(path, True, ["ro"])
            elif home == "tmpfs" and self.facts.kind(path):
                self._tmpfs(path, ["mode=0755", "ro"])
        if self.one("PrivateTmp").lower() in (*_YES, "disconnected"):
            for path in ("/tmp", "/var/tmp"):
                self._tmpfs(path, ["mode=1777"])
        if self.yes("PrivateDevices"):
            self._devices()
        if self.yes("ProtectKernelTunables"):
            for path in _TUNABLES:
                self._again(path, True, ["ro"])
        if self.one("ProtectControlGroups").lower() in (*_YES, "strict", "private"):
            self._again("/sys/fs/cgroup", True, ["ro"])
        proc, subset = self.one("ProtectProc"), self.one("ProcSubset")
        options = ({"hidepid": proc} if proc not in ("", "default") else {}) | (
            {"subset": "pid"} if subset == "pid" else {}
        )
        if options:
            mount = self.draft.add("/proc", type="proc", source="proc", options=options)
            mount.keys["attributes"] = ["nosuid", "nodev", "noexec"]

    def _again(self, path: str, optional: bool, attributes: list[str]) -> None:
        """What stands there, mounted once more upon itself, with other attributes."""
        self._bound(path, path, True, optional, attributes, ("on_symlink", "follow"))

    def _bound(
        self, source: str, place: str, recursive: bool, optional: bool, attributes: list[str], key: tuple[str, object]
    ) -> None:
        if optional and not self.facts.kind(source):
            return
        mount = self.draft.add(place, bind=self.facts.real(source), recursive=recursive)
        if optional:
            mount.keys["optional"] = True
        if attributes:
            mount.keys["attributes"] = attributes
        mount.keys[key[0]] = key[1]
        share(self.draft, mount, [("slave", True)], self.facts.sharing(source))

    def _hide(self, path: str, optional: bool) -> None:
        kind = self.facts.kind(path)
        if not kind:
            if not optional:
                self.draft.cannot_say(f"InaccessiblePaths={path}, which is not there")
            return
        if self.hidden is None:
            self.hidden = self.draft.add(None, id="inaccessible", type="tmpfs", options={"mode": "0755"})
            self.hidden.files = [
                {"path": "directory", "directory": True, "mode": "0000"},
                {"path": "file", "mode": "0000"},
            ]
        mount = self.draft.add(path, bind={"mount": "inaccessible", "path": f"/{kind}"})
        mount.keys["attributes"] = ["ro", "nosuid", "nodev", "noexec"]
        mount.keys["on_symlink"] = "follow"

    def _tmpfs(self, path: str, options: list[str]) -> None:
        words = read_words(options)
        given = {"mode": "0755"} | dict(words.options)
        mount = self.draft.add(path, type="tmpfs", source="tmpfs", options=given)
        add_attributes(mount, words, recursive=False, extra=("nodev", "strictatime"))
        mount.keys["on_symlink"] = "follow"

    def _bind(self, name: str, word: str, attributes: list[str]) -> None:
        optional = word.startswith("-")
        parts = re.split(r"(?<!\\):", word.lstrip("-+"))
        source = absolute(parts[0].replace("\\:", ":"))
        place = absolute((parts[1] if len(parts) > 1 and parts[1] else parts[0]).replace("\\:", ":"))
        if "%" in source + place:
            self.draft.cannot_say(f"{name}={word}: write out what stands for %")
            return
        recursive = "norbind" not in parts[2:]
        self._bound(source, place, recursive, optional, attributes, ("create", True))

    def _devices(self) -> None:
        mount = self.draft.add("/dev", type="tmpfs", source="tmpfs", options={"mode": "0755"})
        mount.keys["attributes"] = ["nosuid", "strictatime", "noexec"]
        mount.files.extend({"path": name, "device": one, "mode": "0666"} for name, one in DEVICES.items())
        mount.files.extend({"path": name, "symlink": to} for name, to in LINKS.items())
        for name in ("pts", "shm", "mqueue", "hugepages"):
            if self.facts.kind(f"/dev/{name}"):
                self._again(f"/dev/{name}", False, [])

    def _run(self) -> None:
        run = self.draft.run
        start = self.one("ExecStart")
        if start:
            words = _words(start.lstrip("-@:+!"))
            if any("%" in word or word.startswith("$") for word in words):
                self.draft.cannot_say(f"ExecStart={start}: write out what stands for % and $")
            else:
                run["command"] = words
        environment = dict(
            word.split("=", 1) for value in self.unit.get("Environment", ()) for word in _words(value) if "=" in word
        )
        if environment:
            run["environment"] = environment
        directory = self.one("WorkingDirectory").lstrip("-")
        if directory.startswith("/"):
            run["cwd"] = absolute(directory)
        kinds = (("PrivateNetwork", "net"), ("PrivateIPC", "ipc"), ("ProtectHostname", "uts"), ("PrivatePIDs", "pid"))
        unshare = [kind for name, kind in kinds if self.yes(name)]
        if unshare:
            run["unshare"] = unshare
        bounding = " ".join(self.unit.get("CapabilityBoundingSet", ()))
        if bounding and not bounding.startswith("~"):
            run["capabilities"] = sorted(set(bounding.split()))
        elif bounding:
            self.draft.cannot_say(f"CapabilityBoundingSet={bounding}: write down which stay")
        if not self.yes("NoNewPrivileges"):
            run["no_new_privs"] = False
        flags = self.one("MountFlags")
        if flags and flags != "slave":
            self.draft.cannot_say(f"MountFlags={flags}")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()

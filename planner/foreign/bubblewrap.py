"""The command line of bwrap(1) -> a spec: each operation in its order, as bubblewrap carries them out.

bubblewrap builds in the directory "newroot" of a tmpfs; so does the spec, and what is made of files is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from typing import ClassVar

from mountplan.planner.foreign.mount_words import share
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, Refusal, SpecDraft, absolute, inside
from mountplan.planner.fstypes import of
from mountplan.planner.language.presets import DEVICES, LINKS

_BASE = "/newroot"
_BINDS = {  # option -> (attributes, may the source be missing)
    "--bind": (("nosuid", "nodev"), False),
    "--bind-try": (("nosuid", "nodev"), True),
    "--dev-bind": (("nosuid",), False),
    "--dev-bind-try": (("nosuid",), True),
    "--ro-bind": (("ro", "nosuid", "nodev"), False),
    "--ro-bind-try": (("ro", "nosuid", "nodev"), True),
}
_OF_DESCRIPTORS = ("--bind-fd", "--ro-bind-fd")
UNSHARED_BY_ALL = ("user", "ipc", "pid", "net", "uts", "cgroup")
_NAMESPACES = {f"--unshare-{kind}": kind for kind in UNSHARED_BY_ALL}
_NAMESPACES |= {f"--unshare-{kind}-try": kind for kind in ("user", "cgroup")}
_MORE = (
    *_OF_DESCRIPTORS,
    "--proc",
    "--dev",
    "--tmpfs",
    "--dir",
    "--symlink",
    "--setenv",
    "--chdir",
    "--hostname",
    "--cap-add",
)
PROC_COVERS = ("sys", "sysrq-trigger", "irq", "bus")
# Options that say nothing about mounts, and how many words follow each; those in _QUIET are of no use in a spec.
_OTHER = {
    "--userns": 1, "--userns2": 1, "--pidns": 1, "--disable-userns": 0, "--assert-userns-disabled": 0, "--uid": 1,
    "--gid": 1, "--lock-file": 1, "--sync-fd": 1, "--exec-label": 1, "--file-label": 1, "--seccomp": 1,
    "--add-seccomp-fd": 1, "--block-fd": 1, "--userns-block-fd": 1, "--info-fd": 1, "--json-status-fd": 1,
    "--new-session": 0, "--die-with-parent": 0, "--as-pid-1": 0, "--level-prefix": 0, "--argv0": 1,
}  # fmt: skip
_QUIET = frozenset({"--info-fd", "--json-status-fd", "--sync-fd", "--block-fd", "--userns-block-fd", "--level-prefix"})


ReadFd = Callable[[str], bytes | None]  # what a descriptor holds, by its number; None if it is not to be had


class _Words:
    """The words of the command line, one after the other."""

    def __init__(self, words: Sequence[str], refusal: Refusal) -> None:
        self.words = list(words)
        self.at = 0
        self.refusal = refusal

    def next(self, option: str = "") -> str:
        if self.at >= len(self.words):
            self.refusal.add(option, f"{option} takes more words", "see bwrap(1)")
            self.refusal.end()
        self.at += 1
        return self.words[self.at - 1]


def import_bwrap(arguments: Sequence[str], facts: ImportFacts, read_fd: ReadFd, *, as_root: bool = True) -> SpecDraft:
    """What `bwrap ARGUMENTS` builds.

    As root bubblewrap covers parts of /proc, as an ordinary user it cannot write there anyway. Raises SpecError.
    """
    read_once = cache(read_fd)
    found = _BubblewrapImport(arguments, facts, read_once, as_root)
    draft = found.draft_of()
    if not found.joins_pids and "pid" not in found.unshare:  # which is known at the end of the line only
        draft = _BubblewrapImport(arguments, facts, read_once, as_root, binds_proc=True).draft_of()
    return draft


class _BubblewrapImport:
    def __init__(
        self, arguments: Sequence[str], facts: ImportFacts, read_fd: ReadFd, as_root: bool, *, binds_proc: bool = False
    ) -> None:
        self.refusal = Refusal("the command line of bwrap")
        self.words = _Words(arguments, self.refusal)
        self.facts = facts
        self.read_fd = read_fd
        self.as_root = as_root
        self.binds_proc = binds_proc
        self.joins_pids = False
        self.draft = SpecDraft()
        self.base = self.draft.add(None, id="base", type="tmpfs", source="tmpfs", attributes=["nosuid", "nodev"])
        self.base.files.append({"path": _BASE[1:], "directory": True, "mode": "0755"})
        self.root = self.draft.add("/", bind={"mount": "base", "path": _BASE}, attributes=["nosuid", "nodev"])
        self.made: set[str] = set()
        self.mode = ""
        self.size = ""
        self.layers: list[str] = []
        self.unshare: list[str] = []
        self.environment: dict[str, object] = {}
        self.clear = False

    def draft_of(self) -> SpecDraft:
        words = self.words
        if words.words and words.words[0].rpartition("/")[2] == "bwrap":  # the whole line, from its program on
            words.at = 1
        while words.at < len(words.words):
            option = words.words[words.at]
            if not option.startswith("--"):
                break
            words.at += 1
            if option == "--":
                break
            self._option(option)
        command = words.words[words.at :]
        self.refusal.end()
        binds = [one.keys.get("bind") for one in self.draft.mounts]
        if not any(isinstance(one, dict) and "base" in str(one) for one in binds):
            self.draft.mounts.remove(self.base)
        directory = self.draft.run.pop("cwd", None)
        self.draft.say_run(command=command, environment=self.environment, clear_environment=self.clear)
        self.draft.say_run(cwd=directory, unshare=list(dict.fromkeys(self.unshare)))
        return self.draft

    def _option(self, option: str) -> None:
        words = self.words
        if option in _BINDS:
            attributes, optional = _BINDS[option]
            self._bind(words.next(option), absolute(words.next(option)), attributes, optional)
        elif option in _OF_DESCRIPTORS:
            number, place = words.next(option), absolute(words.next(option))
            path = self.facts.link(f"/proc/self/fd/{number}") if number.isdecimal() and int(number) > 2 else ""
            if path.startswith("/"):
                self._bind(path, place, *_BINDS[option.removesuffix("-fd")])
            else:
                what = f"descriptor {number} is open on nothing that has a path"
                self.refusal.add(option, what, "open it for this command as well, as in 9< DIRECTORY")
        elif option in self._AT_PLACE:
            self._AT_PLACE[option](self, absolute(words.next(option)))
        elif option in ("--file", "--bind-data", "--ro-bind-data"):
            self._data(option, words.next(option), absolute(words.next(option)))
        elif option == "--symlink":
            to, place = words.next(option), absolute(words.next(option))
            self._entry(place, {"symlink": to})
        elif option == "--perms":
            self.mode = words.next(option)
            if not re.fullmatch("0*[0-7]{1,4}", self.mode):
                self.refusal.add(option, f"{self.mode} is no file mode", "write octal digits, as in 0755")
            return
        elif option == "--size":
            self.size = words.next(option)
            if not self.size.isdecimal():
                self.refusal.add(option, f"{self.size} is no number of bytes", "write digits only, as bwrap takes it")
            return
        elif option == "--chmod":
            mode, place = words.next(option), absolute(words.next(option))
            self.draft.cannot_say(f"--chmod {mode} {place}")
        elif option == "--overlay-src":
            self.layers.append(words.next(option))
            return
        elif option in ("--overlay", "--tmp-overlay", "--ro-overlay"):
            self._overlay(option)
        elif option == "--args":
            self._args(words.next(option))
        else:
            self._setting(option)
        self.mode = self.size = ""

    def _setting(self, option: str) -> None:
        words, run = self.words, self.draft.run
        if option in _NAMESPACES:
            self.unshare.append(_NAMESPACES[option])
            if option.endswith("-try"):
                self.draft.cannot_say(f"{option}: a spec asks for a namespace, or does not")
        elif option == "--unshare-all":
            self.unshare += UNSHARED_BY_ALL
        elif option == "--share-net":
            self.unshare = [one for one in self.unshare if one != "net"]
        elif option == "--setenv":
            name = words.next(option)
            self.environment[name] = words.next(option)
        elif option == "--unsetenv":
            name = words.next(option)
            self.environment.pop(name, None)
            self.draft.cannot_say(f"--unsetenv {name}, unless the environment is cleared altogether")
        elif option == "--clearenv":
            self.environment, self.clear = {}, True
        elif option == "--chdir":
            run["cwd"] = absolute(words.next(option))
        elif option == "--hostname":
            run["hostname"] = words.next(option)
        elif option in ("--cap-add", "--cap-drop"):
            name = words.next(option)
            kept = [str(one) for one in run.get("capabilities", ())]  # type: ignore[attr-defined]
            if option == "--cap-drop" and name == "ALL":
                run["capabilities"] = []
            elif option == "--cap-add" and name != "ALL":
                run["capabilities"] = [*kept, name]
            else:
                self.draft.cannot_say(f"{option} {name}: write down which capabilities stay")
        elif option in _OTHER:
            self.joins_pids = self.joins_pids or option == "--pidns"
            given = [words.next(option) for _ in range(_OTHER[option])]
            if option not in _QUIET:
                self.draft.cannot_say(" ".join((option, *given)))
        else:
            close = get_close_matches(option, (*_BINDS, *_NAMESPACES, *_OTHER, *_MORE), n=1)
            remedy = f"did you mean {close[0]}?" if close else "leave it out; see bwrap(1)"
            self.refusal.add("", f"{option} is no option of bwrap that is known here", remedy)

    def _args(self, number: str) -> None:
        """The words that come through a descriptor, each ended by a zero byte, stand in place of the option."""
        data = self.read_fd(number)
        if data is None:
            what = f"descriptor {number} cannot be read"
            self.refusal.add("--args", what, f"open it for this command as well, as in {number}< FILE")
            return
        parts = data.decode("utf-8", "surrogateescape").split("\0")
        self.words.words[self.words.at : self.words.at] = parts[:-1] if parts[-1] == "" else parts

    def _bind(self, source: str, place: str, attributes: tuple[str, ...], optional: bool) -> None:
        path = self.facts.real(absolute(source))
        if place == "/":
            self.draft.begin_anew()
        mount = self.draft.add(place, bind=path, recursive=True)
        mount.say(optional=optional)
        self._create(mount)
        mount.keys["attributes"] = list(attributes)
        if place == "/":
            self.root = mount
        share(self.draft, mount, [("slave", True)], self.facts.sharing(path))

    def _remount(self, place: str) -> None:
        mount = next((one for one in reversed(self.draft.mounts) if one.target == place), None)
        holder = self.draft.holder(place)
        source = str(holder.keys.get("bind", "")) if holder is not None and holder.keys.get("recursive") else ""
        of_host = source.rstrip("/") + inside(holder, place) if holder is not None and source else ""
        if mount is None and of_host and self.facts.sharing(of_host).mountpoint == self.facts.real(of_host):
            self.draft.cannot_say(f"--remount-ro {place}, which another bind brings along")
            return
        if mount is None:
            self.refusal.add("--remount-ro", f"nothing is mounted on {place} before it", "mount it before")
            return
        given = [str(one) for one in mount.keys.get("attributes", ())]  # type: ignore[attr-defined]
        if "ro" not in given:
            mount.keys["attributes"] = ["ro", *given]
            if mount.keys.get("recursive"):
                mount.notes.append("ro: with what the bind brings along, which --remount-ro leaves as it is")

    def _proc(self, place: str) -> None:
        covered = [one for one in PROC_COVERS if self.as_root and self.facts.writable(f"/proc/{one}")]
        if self.binds_proc:  # with the machine's pids goes the machine's /proc
            self._bind("/proc", place, ("nosuid", "nodev"), optional=False)
            for part in covered:
                self._bind(f"/proc/{part}", f"{place.rstrip('/')}/{part}", ("ro", "nosuid", "nodev"), optional=False)
            return
        mount = self._add(place, ["nosuid", "nodev", "noexec"], type="proc", source="proc")
        if covered:
            mount.keys["readonly"] = covered

    def _dev(self, place: str) -> None:
        mount = self._add(place, ["nosuid", "nodev"], type="tmpfs", source="tmpfs", options={"mode": "0755"})
        top = place.rstrip("/")
        for name in DEVICES:
            if self.facts.kind(f"/dev/{name}"):
                node = self.draft.add(f"{top}/{name}", bind=f"/dev/{name}", attributes=["nosuid"])
                share(self.draft, node, [("slave", True)], self.facts.sharing(f"/dev/{name}"))
        mount.files.extend({"path": name, "symlink": to} for name, to in (LINKS | {"core": "/proc/kcore"}).items())
        mount.files.append({"path": "shm", "directory": True})
        pts: dict[str, object] = {"type": "devpts", "source": "devpts", "options": {"ptmxmode": "666", "mode": "620"}}
        self.draft.add(f"{top}/pts", **pts, attributes=["nosuid", "noexec"])

    def _tmpfs(self, place: str) -> None:
        options = {"mode": self.mode or "0755"} | ({"size": self.size} if self.size else {})
        self._add(place, ["nosuid", "nodev"], type="tmpfs", source="tmpfs", options=options)

    def _overlay(self, option: str) -> None:
        layers = [self.facts.real(absolute(one)) for one in reversed(self.layers)]
        keys: dict[str, object] = {"layers": layers}
        if option == "--overlay":
            keys["upper"], keys["work"] = absolute(self.words.next(option)), absolute(self.words.next(option))
        place = absolute(self.words.next(option))
        if option == "--tmp-overlay":
            number = len(self.draft.mounts)
            for key in ("upper", "work"):
                self.base.files.append({"path": f"overlay-{number}/{key}", "directory": True, "mode": "0755"})
                keys[key] = {"mount": "base", "path": f"/overlay-{number}/{key}"}
        self._add(place, ["nosuid", "nodev"], type="overlay", **keys)
        self.layers = []

    def _dir(self, place: str) -> None:
        if place not in self.made:
            self.made.add(place)
            self._entry(place, {"directory": True, "mode": self.mode or "0755"})

    def _mqueue(self, place: str) -> None:
        self.draft.add(place, type="mqueue", source="mqueue")
        self.made.add(place)

    _AT_PLACE: ClassVar[dict[str, Callable[[_BubblewrapImport, str], None]]] = {
        "--remount-ro": _remount, "--proc": _proc, "--dev": _dev, "--tmpfs": _tmpfs, "--mqueue": _mqueue, "--dir": _dir,
    }  # fmt: skip

    def _data(self, option: str, number: str, place: str) -> None:
        data = self.read_fd(number)
        if data is None:
            self.draft.cannot_say(f"what descriptor {number} gives to {place}: the file is empty")
        text = (data or b"").decode("utf-8", "surrogateescape")
        if option == "--file":
            self._entry(place, {"content": text, "mode": self.mode or "0666"})
            return
        name = f"data-{len(self.draft.mounts)}"
        self.base.files.append({"path": name, "content": text, "mode": self.mode or "0600"})
        attributes = ["nosuid", "nodev", *["ro"] * (option == "--ro-bind-data")]
        self._add(place, attributes, bind={"mount": "base", "path": f"/{name}"})

    def _entry(self, place: str, entry: dict[str, object]) -> None:
        """A file, symlink or directory, in the filesystem that a walk to it ends in."""
        holder = self.draft.holder(place) or self.root
        path = inside(holder, place)
        if holder is self.root and holder.keys.get("bind") == {"mount": "base", "path": _BASE}:
            holder, path = self.base, _BASE + path
        if "type" not in holder.keys:
            self.draft.cannot_say(f"{place}, which would be made in {holder.keys.get('bind')} on the host")
            return
        there = of(str(holder.keys["type"])).begins == "filled" or any(one["path"] == path[1:] for one in holder.files)
        if path == "/" or (there and "directory" in entry):
            return
        holder.files.append({"path": path.lstrip("/")} | entry)

    def _add(self, place: str, attributes: list[str], **keys: object) -> DraftMount:
        mount = self.draft.add(place, **keys)
        self._create(mount)
        mount.keys["attributes"] = attributes
        return mount

    def _create(self, mount: DraftMount) -> None:
        """bubblewrap makes mountpoints that are missing, in what it has bound as well."""
        if mount.stands_on is not None and isinstance(mount.stands_on.keys.get("bind"), str):
            mount.keys["create"] = True

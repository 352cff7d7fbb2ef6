"""The options of mount(8), umount(8), unshare(1) and nsenter(1), as util-linux 2.38 reads them -> plain values.

Up to that version mount(8) makes mount(2) calls: a bind with attributes is a bind, and then a change of that one mount.
Later ones set the attributes before the mount is attached, so that copies which propagate have them too.
"""

from __future__ import annotations

import getopt
from typing import NamedTuple

from mountplan.planner.attributes import NAMES, Change, applied, change
from mountplan.planner.propagation.sharing import Kind

KINDS: dict[str, tuple[Kind, bool]] = {
    "shared": ("shared", False),
    "slave": ("slave", False),
    "private": ("private", False),
    "unbindable": ("unbindable", False),
    "rshared": ("shared", True),
    "rslave": ("slave", True),
    "rprivate": ("private", True),
    "runbindable": ("unbindable", True),
}
_TIMES = frozenset({"noatime", "relatime", "strictatime", "nodiratime"})  # a remount keeps them if none is named
_NOTHING = frozenset({"defaults", "auto", "noauto", "nofail", "_netdev", "silent", "loud", "async"})


class Unusable(ValueError):
    """Options that are wrong, or not followed."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


class MountWords(NamedTuple):
    """One call of mount(8)."""

    source: str = ""
    target: str = ""
    fstype: str = ""
    what: str = ""  # "bind", "rbind", "move", "remount", "" for a new filesystem, "kind" if only the sharing changes
    bind: bool = False  # of a remount: this mount only
    names: tuple[str, ...] = ()  # attributes
    recursive_names: tuple[str, ...] = ()
    kinds: tuple[tuple[Kind, bool], ...] = ()
    options: str = ""  # the filesystem's own
    make_target: bool = False

    def attributes(self, before: int = 0) -> int:
        return applied(before, change(self.names))

    def recursive_change(self) -> Change:
        return change(self.recursive_names)

    def keeps_times(self) -> bool:
        return not _TIMES & set(self.names)


class UmountWords(NamedTuple):
    targets: tuple[str, ...]
    lazy: bool
    recursive: bool


class UnshareWords(NamedTuple):
    mount: bool
    user: bool
    propagation: tuple[Kind, bool] | None
    command: tuple[str, ...]


class EnterWords(NamedTuple):
    target: str
    command: tuple[str, ...]


def _read(
    program: str, arguments: list[str], short: str, long: list[str], *, permute: bool = True
) -> tuple[list[tuple[str, str]], list[str]]:
    parse = getopt.gnu_getopt if permute else getopt.getopt
    try:
        return parse(arguments, short, long)
    except getopt.GetoptError as error:
        raise Unusable(f"{program}: {error.msg}", "use only options that change mounts or namespaces") from None


def read_mount(arguments: list[str]) -> MountWords:
    """The arguments of mount(8), without its name. Raises Unusable."""
    options, rest = _read(
        "mount",
        arguments,
        "t:o:BRMrwvnism",
        ["types=", "options=", "bind", "rbind", "move", "read-only", "rw", "read-write", "verbose", "no-mtab",
         "internal-only", "mkdir", "source=", "target=", *(f"make-{kind}" for kind in KINDS)],
    )  # fmt: skip
    found = MountWords()
    words: list[str] = []
    source = target = ""
    for name, value in options:
        match name:
            case "-t" | "--types":
                found = found._replace(fstype=value)
            case "-o" | "--options":
                words += value.split(",")
            case "-B" | "--bind":
                words.append("bind")
            case "-R" | "--rbind":
                words.append("rbind")
            case "-M" | "--move":
                words.append("move")
            case "-r" | "--read-only":
                words.append("ro")
            case "-w" | "--rw" | "--read-write":
                words.append("rw")
            case "-m" | "--mkdir":
                found = found._replace(make_target=True)
            case "--source":
                source = value
            case "--target":
                target = value
            case _ if name.startswith("--make-"):
                found = found._replace(kinds=(*found.kinds, KINDS[name.removeprefix("--make-")]))
    found = _with_options(found, words)
    return _with_places(found, [one for one in (source, target) if one] + rest)


def _with_options(found: MountWords, words: list[str]) -> MountWords:
    names: list[str] = []
    recursive_names: list[str] = []
    own: list[str] = []
    for word in words:
        name, _, value = word.partition("=")
        if word in ("bind", "rbind", "move", "remount"):
            if word == "bind" and found.what == "remount":
                found = found._replace(bind=True)
            elif word == "remount":
                found = found._replace(what="remount", bind=found.what == "bind")
            else:
                found = found._replace(what=word)
        elif word in KINDS:
            found = found._replace(kinds=(*found.kinds, KINDS[word]))
        elif name in NAMES and value in ("recursive", "vfs", "fs"):
            (recursive_names if value == "recursive" else names).append(name)
        elif word in NAMES:
            names.append(word)
        elif name == "X-mount.mkdir":
            found = found._replace(make_target=True)
        elif name.startswith("X-mount."):
            raise Unusable(f"mount: {name} is not followed", "leave the option out")
        elif word and word not in _NOTHING and not word.startswith(("x-", "comment=")):
            own.append(word)
    return found._replace(names=tuple(names), recursive_names=tuple(recursive_names), options=",".join(own))


def _with_places(found: MountWords, places: list[str]) -> MountWords:
    if len(places) > 2:
        raise Unusable(f"mount: there are {len(places)} paths", "give a source and a target")
    if len(places) == 2:
        found = found._replace(source=places[0], target=places[1])
    elif places:
        found = found._replace(target=places[0])
    else:
        raise Unusable("mount: there is no target", "name it")
    if found.what in ("bind", "rbind", "move") and not found.source:
        raise Unusable(f"mount: what to {found.what.removeprefix('r')} is missing", "name a source and a target")
    if not found.what:
        if found.kinds and not found.source and not found.fstype:
            return found._replace(what="kind")
        if not found.source:
            raise Unusable(f"mount: {found.target} alone would be looked up in /etc/fstab", "name source and target")
        if not found.fstype or found.fstype == "auto":
            raise Unusable("mount: the type of the filesystem is missing", "say it with -t; any name will do")
    return found


def read_umount(arguments: list[str]) -> UmountWords:
    """The arguments of umount(8)."""
    options, rest = _read(
        "umount",
        arguments,
        "lRfnvqdci",
        ["lazy", "recursive", "force", "no-mtab", "verbose", "quiet", "detach-loop", "no-canonicalize",
         "internal-only"],
    )  # fmt: skip
    given = {name for name, _ in options}
    if not rest:
        raise Unusable("umount: there is no target", "name it")
    return UmountWords(tuple(rest), bool(given & {"-l", "--lazy"}), bool(given & {"-R", "--recursive"}))


def read_unshare(arguments: list[str]) -> UnshareWords:
    """The arguments of unshare(1). Namespaces of other kinds make no difference to mounts, and are ignored."""
    options, rest = _read(
        "unshare",
        arguments,
        "mUrcfpnuiCT",
        ["mount", "user", "map-root-user", "map-current-user", "fork", "pid", "net", "uts", "ipc", "cgroup", "time",
         "propagation=", "keep-caps", "kill-child", "setgroups=", "map-auto"],
        permute=False,
    )  # fmt: skip
    given = dict(options)
    user = any(name in given for name in ("-U", "--user", "-r", "--map-root-user", "-c", "--map-current-user"))
    word = given.get("--propagation", "private")
    if word not in ("private", "shared", "slave", "unchanged"):
        raise Unusable(f"unshare: there is no propagation {word!r}", "private, slave, shared or unchanged")
    propagation = None if word == "unchanged" else KINDS[f"r{word}"]
    return UnshareWords("-m" in given or "--mount" in given, user, propagation, tuple(rest))


def read_nsenter(arguments: list[str]) -> EnterWords:
    """The arguments of nsenter(1)."""
    options, rest = _read(
        "nsenter",
        arguments,
        "t:mUuinpCTF",
        ["target=", "mount", "user", "uts", "ipc", "net", "pid", "cgroup", "time", "no-fork", "preserve-credentials"],
        permute=False,
    )
    target = ""
    mount = False
    for name, value in options:
        if name in ("-t", "--target"):
            target = value
        elif name in ("-m", "--mount"):
            mount = True
    if not target or not mount:
        raise Unusable("nsenter: only `-t PID -m` is followed", "name the process, as $$, $PPID or $!")
    return EnterWords(target, tuple(rest))


def read_mkdir(arguments: list[str]) -> tuple[bool, tuple[str, ...]]:
    """The arguments of mkdir(1): whether -p is among them, and the paths."""
    options, rest = _read("mkdir", arguments, "pvm:", ["parents", "verbose", "mode="])
    return any(name in ("-p", "--parents") for name, _ in options), tuple(rest)

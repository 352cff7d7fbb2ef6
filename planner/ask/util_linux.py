"""The options of mount(8), umount(8), unshare(1) and nsenter(1), as util-linux reads them -> plain values.

Up to 2.38 mount(8) makes mount(2) calls: a bind with attributes is a bind, and then a change of that one mount.
Later ones set the attributes before the mount is attached, so that copies which propagate have them too: that is not
followed. What options with an argument mean (ro=recursive, ro=vfs) is told by the version.
"""

from __future__ import annotations

import getopt
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from mountplan.planner.attributes import NAMES, TIMES, Change, change
from mountplan.planner.model.peers import KINDS, Kind

# The options of mount(8) that change the sharing: what becomes of the mount, and whether of all below it as well.
CHANGES_OF_KIND: dict[str, tuple[Kind, bool]] = {
    **{name: (kind, False) for name, kind in KINDS.items()},
    **{f"r{name}": (kind, True) for name, kind in KINDS.items()},
}
_TIMES = TIMES | {"nodiratime"}
# What a bind makes a change of attributes for: strictatime is not among them (MNT_BIND_SETTABLE of libmount).
_BIND_SETTABLE = frozenset({"ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "relatime", "nodiratime"})
# What an option sets and takes back, of the flags that mount(2) has for mounts. The later option wins.
_FLAGS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **{name: (frozenset({name}), frozenset()) for name in _TIMES | _BIND_SETTABLE},
    "rw": (frozenset(), frozenset({"ro"})),
    "suid": (frozenset(), frozenset({"nosuid"})),
    "dev": (frozenset(), frozenset({"nodev"})),
    "exec": (frozenset(), frozenset({"noexec"})),
    "symfollow": (frozenset(), frozenset({"nosymfollow"})),
    "atime": (frozenset(), frozenset({"noatime"})),
    "norelatime": (frozenset(), frozenset({"relatime"})),
    "nostrictatime": (frozenset(), frozenset({"strictatime"})),
    "diratime": (frozenset(), frozenset({"nodiratime"})),
    **dict.fromkeys(("user", "users"), (frozenset({"nosuid", "nodev", "noexec"}), frozenset())),
    **dict.fromkeys(("owner", "group"), (frozenset({"nosuid", "nodev"}), frozenset())),
}
# Of the whole filesystem or of mount(8) itself: nothing that a mount table of the model shows.
_NOTHING = frozenset(
    {"defaults", "auto", "noauto", "nofail", "_netdev", "silent", "loud", "async", "sync", "dirsync", "lazytime",
     "nolazytime", "mand", "nomand", "iversion", "noiversion", "nouser", "nousers", "noowner", "nogroup"}
)  # fmt: skip
# What mount(8) does with files and with loop devices, and how its values look that it surely takes.
_OF_FILES = {
    "X-mount.mode": "[0-7]{1,4}", "X-mount.owner": "[0-9]+", "X-mount.group": "[0-9]+", "X-mount.noloop": "",
    "X-mount.auto-fstypes": ".+",
}  # fmt: skip
_OPERATIONS = {"-B": "bind", "--bind": "bind", "-R": "rbind", "--rbind": "rbind", "-M": "move", "--move": "move"}


Version = tuple[int, int]
OLDEST: Version = (2, 38)
NEWEST: Version = (2, 42)
_KNOWS_RECURSIVE: Version = (2, 39)  # it hands what it does not know to the filesystem
_KNOWS_LEVELS: Version = (2, 41)  # vfs and fs; before that it takes no notice of other arguments


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
    words: tuple[str, ...] = ()  # options about attributes, in their order
    recursive_names: tuple[str, ...] = ()
    kinds: tuple[tuple[Kind, bool], ...] = ()
    options: str = ""  # the filesystem's own
    make_target: bool = False

    def flags(self, before: frozenset[str] = frozenset()) -> Flags:
        """What mount(2) is told, if the mount table has `before` of the mount."""
        found = set(before)
        for word in self.words:
            on, off = _FLAGS[word]
            found |= on
            found -= off
        return Flags(frozenset(found))

    def recursive_change(self) -> Change:
        return change(self.recursive_names)


class Flags(NamedTuple):
    """Flags of mount(2), by the names that mount(8) has for them."""

    names: frozenset[str]

    @property
    def attributes(self) -> int:
        """What the kernel makes of them: strictatime is stronger than noatime, and that than relatime."""
        times = next((name for name in ("strictatime", "noatime") if name in self.names), "relatime")
        return change((*sorted(self.names - TIMES), times)).set

    @property
    def keep_times(self) -> bool:
        """Whether a remount leaves the access times as they are, since nothing is said of them."""
        return not _TIMES & self.names

    @property
    def change_a_bind(self) -> bool:
        """Whether mount(8) changes a bind that it has made: only if it sets something."""
        return bool(_BIND_SETTABLE & self.names)


class UmountWords(NamedTuple):
    targets: tuple[str, ...]
    lazy: bool
    recursive: bool


class UnshareWords(NamedTuple):
    """`proc` is where a proc is mounted; `root` and `directory` are gone to at last."""

    mount: bool
    user: bool
    propagation: tuple[Kind, bool] | None
    proc: str
    root: str
    directory: str
    command: tuple[str, ...]
    drops_groups: bool = False
    mapped: bool = True  # whether the process has an id in its new user namespace


class EnterWords(NamedTuple):
    target: str
    user: bool
    command: tuple[str, ...]
    drops_groups: bool = False


def read_options(
    program: str,
    arguments: list[str],
    short: str,
    long: list[str],
    *,
    permute: bool = True,
    optional: Collection[str] = (),
) -> tuple[list[tuple[str, str]], list[str]]:
    """getopt(3). The long options in `optional` may have a value, after an equals sign: getopt of Python knows none."""
    parse = getopt.gnu_getopt if permute else getopt.getopt
    words = list(arguments)
    values: dict[str, str] = {}
    while True:
        try:
            options, rest = parse(words, short, long)
        except getopt.GetoptError as error:
            given = (at for at, word in enumerate(words) if word.startswith(f"--{error.opt}="))
            if error.opt not in optional or (at := next(given, None)) is None:
                remedy = "use only options that change mounts or namespaces"
                raise Unusable(f"{program}: {error.msg}", remedy) from None
            name, _, value = words[at].partition("=")
            words[at], values[name] = name, value
        else:
            return [(name, values.get(name, value)) for name, value in options], rest


def read_mount(arguments: list[str], version: Version = OLDEST) -> MountWords:
    """The arguments of mount(8), without its name, as that version of util-linux reads them. Raises Unusable."""
    options, rest = read_options(
        "mount",
        arguments,
        "t:o:BRMrwvnismcaT:O:",
        ["types=", "options=", "bind", "rbind", "move", "read-only", "rw", "read-write", "verbose", "no-mtab",
         "internal-only", "no-canonicalize", "mkdir", "all", "fstab=", "test-opts=", "source=", "target=",
         *(f"make-{kind}" for kind in CHANGES_OF_KIND)],
    )  # fmt: skip
    found = MountWords()
    words: list[str] = []
    operations: list[str] = []
    kinds = 0
    source = target = None
    for name, value in options:
        match name:
            case "-t" | "--types":
                found = found._replace(fstype=value)
            case "-o" | "--options":
                words += value.split(",")
            case "-r" | "--read-only":
                words.append("ro")
            case "-w" | "--rw" | "--read-write":
                words.append("rw")
            case "-m" | "--mkdir":
                found = found._replace(make_target=True)
            case "-a" | "--all" | "-T" | "--fstab":
                told = f"mount: {name} reads a table, and what is in that file is not known"
                raise Unusable(told, "write the mounts out, with source, target and -t")
            case "--source":
                source = value
            case "--target":
                target = value
            case _ if name in _OPERATIONS:
                operations.append(_OPERATIONS[name])
            case _ if name.startswith("--make-"):
                words.append(name.removeprefix("--make-"))
                kinds += 1
    if len(set(operations)) > 1:
        raise Unusable(f"mount: --{operations[0]} and --{operations[1]} exclude each other", "take one away")
    if operations and (found.fstype or source is not None):
        which = "--source" if source is not None else "-t"
        raise Unusable(f"mount: --{operations[0]} and {which} exclude each other", f"take {which} away")
    only_kinds = bool(kinds) and not found.fstype and kinds == len(words)
    found = _with_options(found, words, operations, version)
    if kinds and found.what == "remount" and source is None and len(rest) < 2:
        source = "none"  # then nothing is looked up
    return _with_places(found, source, target, rest, only_kinds=only_kinds)


def _with_options(found: MountWords, words: list[str], operations: list[str], version: Version) -> MountWords:
    own: list[str] = []
    handed: list[str] = []
    recursive_names: list[str] = []
    attributes: list[str] = []
    asked = {*operations}
    for word in words:
        name, _, value = word.partition("=")
        if word in ("bind", "rbind", "move", "remount"):
            asked.add(word)
        elif word in CHANGES_OF_KIND:
            found = found._replace(kinds=(*found.kinds, CHANGES_OF_KIND[word]))
        elif name in NAMES and value in ("recursive", "vfs", "fs") and version < _KNOWS_RECURSIVE:
            handed.append(word)
        elif name in NAMES and value == "recursive":
            recursive_names.append(name)
        elif name in NAMES and value in ("vfs", "fs") and version < _KNOWS_LEVELS:
            attributes.append(name)
        elif name in NAMES and value in ("vfs", "fs"):
            if value == "fs" or not asked & {"bind", "rbind"}:
                raise Unusable(f"mount: {word} is not followed", "leave it out, or say it of a bind with =vfs")
            attributes.append(name)
        elif word in _FLAGS:
            attributes.append(word)
        elif name in ("X-mount.mkdir", "x-mount.mkdir"):
            found = found._replace(make_target=True)
        elif name in _OF_FILES and re.fullmatch(_OF_FILES[name], value):
            pass
        elif name.startswith("X-mount."):
            raise Unusable(f"mount: {name} is not followed", "leave the option out")
        elif word and word not in _NOTHING and not word.startswith(("x-", "comment=")):
            own.append(word)
    # Whatever their order: the kernel asks for these flags one after the other, and mount(8) passes all of them.
    what = next((one for one in ("remount", "move", "rbind", "bind") if one in asked), "")
    if what == "move" and asked & {"bind", "rbind"}:
        raise Unusable("mount: a move and a bind at once", "take one away")
    if handed and what in ("", "remount") and not asked & {"bind", "rbind"}:  # the kernel asks no filesystem of a bind
        name = f"util-linux {version[0]}.{version[1]}"
        told = f"mount: {name} hands {handed[0]} to the filesystem as an option of its own"
        raise Unusable(told, "leave the argument out, or say --util-linux 2.39")
    return found._replace(
        what=what,
        bind=what == "remount" and bool(asked & {"bind", "rbind"}),
        words=tuple(attributes),
        recursive_names=tuple(recursive_names),
        options=",".join(own),
    )


def _with_places(
    found: MountWords, source: str | None, target: str | None, rest: list[str], *, only_kinds: bool
) -> MountWords:
    """What --source and --target do not say, the paths say; one of them alone is the target."""
    free = (source is None) + (target is None)
    if len(rest) > free:
        said = len(rest) + 2 - free
        raise Unusable(f"mount: there are {said} paths", "give a source and a target")
    places = list(rest)
    if source is None and (target is not None or len(places) == 2) and places:
        source = places.pop(0)
    if target is None and places:
        target = places.pop(0)
    if target is None and found.what == "remount":
        target, source = source, None  # it is looked up in the mount table
    if not target:
        raise Unusable("mount: there is no target", "name it")
    found = found._replace(source=source or "", target=target)
    if found.what in ("bind", "rbind", "move") and not source:
        raise Unusable(f"mount: what to {found.what.removeprefix('r')} is missing", "name a source and a target")
    if found.what:
        return found
    if only_kinds and source is None:
        return found._replace(what="kind")
    if source is None:
        raise Unusable(f"mount: {found.target} alone would be looked up in /etc/fstab", "name source and target")
    if not found.fstype or found.fstype == "auto" or "," in found.fstype or found.fstype.startswith("no"):
        raise Unusable("mount: the type of the filesystem is missing", "say it with -t; any name will do")
    return found


def read_umount(arguments: list[str]) -> UmountWords:
    """The arguments of umount(8)."""
    options, rest = read_options(
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
    options, rest = read_options(
        "unshare",
        arguments,
        "mUrcfpnuiCTR:w:S:G:",
        ["mount", "user", "map-root-user", "map-current-user", "fork", "pid", "net", "uts", "ipc", "cgroup", "time",
         "propagation=", "keep-caps", "kill-child", "setgroups=", "map-auto", "map-user=", "map-group=", "map-users=",
         "map-groups=", "mount-proc", "root=", "wd=", "setuid=", "setgid=", "monotonic=", "boottime="],
        optional={"mount", "user", "pid", "net", "uts", "ipc", "cgroup", "time", "kill-child", "mount-proc"},
        permute=False,
    )  # fmt: skip
    given = dict(options)
    users = ("-U", "--user", "-r", "--map-root-user", "-c", "--map-current-user", "--map-user", "--map-group",
             "--map-users", "--map-groups", "--map-auto")  # fmt: skip
    for kind in ("mount", "user"):
        if given.get(f"--{kind}"):
            raise Unusable(f"unshare: --{kind}=FILE is not followed", "leave the file out")
    mapped = bool(given.keys() & {"-r", "--map-root-user", "-c", "--map-current-user"})
    for name in ("--map-user", "--map-group", "--map-users", "--map-groups", "--map-auto"):
        if name in given:
            raise Unusable(f"unshare: {name} is not followed", "map root: -r")
    _check_root("unshare", given)
    word = given.get("--propagation", "private")
    if word not in ("private", "shared", "slave", "unchanged"):
        raise Unusable(f"unshare: there is no propagation {word!r}", "private, slave, shared or unchanged")
    proc = (given["--mount-proc"] or "/proc") if "--mount-proc" in given else ""
    return UnshareWords(
        mount="-m" in given or "--mount" in given or bool(proc),
        user=any(name in given for name in users),
        propagation=None if word == "unchanged" else CHANGES_OF_KIND[f"r{word}"],
        proc=proc,
        root=given.get("-R", given.get("--root", "")),
        directory=given.get("-w", given.get("--wd", "")),
        command=tuple(rest),
        drops_groups=bool(given.keys() & {"-G", "--setgid"}),
        mapped=mapped,
    )


def _check_root(program: str, given: Mapping[str, str]) -> None:
    for name in ("-S", "--setuid", "-G", "--setgid"):
        if given.get(name, "0") != "0":
            raise Unusable(f"{program}: {name} {given[name]} is not followed", "scripts are root's; leave it out")


def read_nsenter(arguments: list[str]) -> EnterWords:
    """The arguments of nsenter(1)."""
    options, rest = read_options(
        "nsenter",
        arguments,
        "t:mUuinpCTFaS:G:",
        ["target=", "mount", "user", "uts", "ipc", "net", "pid", "cgroup", "time", "no-fork", "preserve-credentials",
         "all", "setuid=", "setgid="],
        optional={"mount", "user", "uts", "ipc", "net", "pid", "cgroup", "time"},
        permute=False,
    )  # fmt: skip
    for word in arguments[: len(arguments) - len(rest)]:
        if word[:1] == "-" and word[1:2] in "muinpCTU" and len(word) > 2:
            raise Unusable(f"nsenter: {word} names the file {word[2:]}", f"give each option for itself: {word[:2]}")
    given = dict(options)
    target = given.get("-t", given.get("--target", ""))
    everything = bool(given.keys() & {"-a", "--all"})
    if given.get("--mount") or given.get("--user"):
        raise Unusable("nsenter: files of namespaces are not followed", "name a process: -t PID -m")
    if not target or not (everything or given.keys() & {"-m", "--mount"}):
        raise Unusable("nsenter: only `-t PID -m` is followed", "name the process, as $$, $PPID or $!")
    user = everything or bool(given.keys() & {"-U", "--user"})
    _check_root("nsenter", given)
    drops = "--preserve-credentials" not in given and (user or bool(given.keys() & {"-G", "--setgid"}))
    return EnterWords(target, user, tuple(rest), drops)


def read_mkdir(arguments: list[str]) -> tuple[bool, tuple[str, ...]]:
    """The arguments of mkdir(1): whether -p is among them, and the paths."""
    options, rest = read_options("mkdir", arguments, "pvm:", ["parents", "verbose", "mode="])
    return any(name in ("-p", "--parents") for name, _ in options), tuple(rest)

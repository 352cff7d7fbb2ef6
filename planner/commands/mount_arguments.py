"""The arguments of mount(8), as a version of util-linux reads them -> plain values.

2.38 makes mount(2) calls: a bind with attributes is a bind, and then a change of that one mount. From 2.39 on the
attributes are set before the mount is attached, so that copies which propagate have them too, and what is not named
is left as it is (libmount/src/hook_mount.c). Which options there are hangs on the version as well; older versions take
no notice of a word that begins with `X-`.
"""

from __future__ import annotations

import re
from typing import Any

from mountplan.planner.attributes import ATIME_MASK, IDMAP, NAMES, TIMES, Change, change
from mountplan.planner.commands.util_linux import CHANGES_OF_KIND, OLDEST, Unusable, Version, read_options
from mountplan.planner.fstypes import FLAGS_OF_EACH
from mountplan.planner.model.peers import Kind
from mountplan.planner.record import NamedTuple

BY_DESCRIPTOR: Version = (2, 39)  # mounts are made by fsmount(2) and open_tree(2)
_TIMES = TIMES | {"nodiratime"}
# What a bind makes a change of attributes for: strictatime is not among them (MNT_BIND_SETTABLE of libmount).
_BIND_SETTABLE = frozenset({"ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "relatime", "nodiratime"})
# What a remount takes back if it is not named (mnt_optlist_get_attrs).
_RESET = ("ro", "nosuid", "nodev", "noexec", "nosymfollow")
_TAKES_BACK = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "symfollow": "nosymfollow", "atime": "noatime",
    "norelatime": "relatime", "nostrictatime": "strictatime", "diratime": "nodiratime",
}  # fmt: skip
# What an option sets and takes back, of the flags that mount(2) has for mounts. The later option wins.
_FLAGS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **{name: (frozenset({name}), frozenset()) for name in _TIMES | _BIND_SETTABLE},
    **{name: (frozenset(), frozenset({other})) for name, other in _TAKES_BACK.items()},
    **dict.fromkeys(("user", "users"), (frozenset({"nosuid", "nodev", "noexec"}), frozenset())),
    **dict.fromkeys(("owner", "group"), (frozenset({"nosuid", "nodev"}), frozenset())),
    **dict.fromkeys(("nouser", "nousers", "noowner", "nogroup"), (frozenset(), frozenset())),
}
# Of the whole filesystem or of mount(8) itself: nothing that a mount table of the model shows.
_NOTHING = frozenset(
    {"defaults", "auto", "noauto", "nofail", "_netdev", "silent", "loud", "iversion", "noiversion", *FLAGS_OF_EACH}
)
# What mount(8) does with files and with loop devices, how its values look that it surely takes, and since when.
_OF_FILES: dict[str, tuple[str, Version]] = {
    "X-mount.mode": ("[0-7]{1,4}", OLDEST),
    "X-mount.owner": ("[0-9]+|root", OLDEST),
    "X-mount.group": ("[0-9]+|root", OLDEST),
    "X-mount.auto-fstypes": (".+", (2, 39)),
    "X-mount.noloop": ("", (2, 41)),
    "X-mount.nocanonicalize": ("|source|target", (2, 41)),
}
_SINCE: dict[str, Version] = {
    "--onlyonce": (2, 39), "--map-users": (2, 39), "--map-groups": (2, 39), "--beneath": (2, 42),
    "--exclusive": (2, 42),
}  # fmt: skip
_OPERATIONS = {"-B": "bind", "--bind": "bind", "-R": "rbind", "--rbind": "rbind", "-M": "move", "--move": "move"}
_KNOWS_RECURSIVE: Version = (2, 39)  # it hands what it does not know to the filesystem
_KNOWS_LEVELS: Version = (2, 41)  # vfs and fs; before that it takes no notice of other arguments
_SUBDIR_OF_BINDS_UP_TO: Version = (2, 40)
_OF_LOOP = ("loop", "offset", "sizelimit")
# Where what is said hangs on the version.
_MATTERS = re.compile(
    r"=(recursive|vfs|fs)\b|\bX-mount\.|(^| )--(beneath|exclusive|onlyonce|map-users|map-groups)\b"
    r"|(^| )(-o|--options|-r|-w|--read-only|--rw).*\b(bind|rbind)\b|\b(bind|rbind|-B|-R)\b.*( -o| --options| -r| -w)"
    r"|\bremount\b|\bno(user|users|owner|group)\b|\"|\b(sync|dirsync|lazytime|mand)\b"
    r"|\b(no|rel|strict)atime\b.*\b(rel|strict|no)atime\b"
)


class MountWords(NamedTuple):
    """One call of mount(8)."""

    source: str = ""
    target: str = ""
    fstype: str = ""
    what: str = ""  # "bind", "rbind", "move", "remount", "" for a new filesystem, "kind" if only the sharing changes
    bind: bool = False  # of a remount: this mount only
    words: tuple[str, ...] = ()  # options about attributes, in their order; with `=`, if said of something else
    superblock_words: tuple[str, ...] = ()  # those of `ro` and `rw` that are meant for the filesystem
    of_filesystem: tuple[str, ...] = ()  # of libmount's words, those that are its options
    recursive_names: tuple[str, ...] = ()
    kinds: tuple[tuple[Kind, bool], ...] = ()
    options: str = ""  # the filesystem's own
    make_target: bool = False
    by_descriptor: bool = False
    beneath: bool = False
    exclusive: bool = False
    once: bool = False
    fake: bool = False
    idmapped: bool = False
    subdirectory: str = ""
    loop: tuple[str, ...] = ()  # options of a loop device
    every: bool = False  # of the table
    table: str = ""
    place: str = ""  # what is to be looked up in the table
    types: str = ""  # with `every`, which of them
    tests: tuple[str, ...] = ()  # and options that they must have, or not
    prefix: str = ""
    nofail: bool = False
    namespace: str = ""  # a process, or a file, in whose mount namespace all is done
    as_written: bool = False  # paths are not made canonical

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

    def attribute_change(self, before: tuple[str, ...] = (), *, resets: bool = False) -> Change:
        """What mount_setattr(2) is told; with `resets`, that what is not named goes."""
        state: dict[str, bool] = {}
        words = (*before, *self.words)
        for at, word in enumerate(words):
            if f"no{word}" in words[at:] and f"no{word}" in _FLAGS and word not in NAMES:
                continue  # `user` with what it implies
            on, off = _FLAGS[word.rstrip("=")]
            for name in (*on, *off):
                if word[-1] != "=":
                    state.pop(name, None)
                    state[name] = name in on
                elif state.get(name) is False:
                    del state[name]
        changed, cleared = 0, 0
        for name, on_now in state.items():
            bits = NAMES[name].set
            if name in TIMES:
                cleared |= ATIME_MASK
                changed = (changed & ~ATIME_MASK) | bits if on_now else changed
            elif on_now:
                changed |= bits
            else:
                cleared |= bits
        for name in _RESET if resets else ():
            if name not in state:
                cleared |= NAMES[name].set
        return Change(changed | (IDMAP if self.idmapped else 0), cleared)

    @property
    def read_only(self) -> bool:
        """Whether the filesystem is to be read-only, and not just the mount."""
        return self.superblock_words[-1:] == ("ro",)


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


def hangs_on_version(arguments: list[str]) -> bool:
    """Whether what these arguments mean may be another thing in another version."""
    return _MATTERS.search(" ".join(arguments)) is not None


_LONG = [
    "types=", "options=", "bind", "rbind", "move", "read-only", "ro", "rw", "read-write", "verbose", "no-mtab",
    "internal-only", "no-canonicalize", "mkdir", "all", "fstab=", "test-opts=", "source=", "target=", "fake",
    "fork", "show-labels", "namespace=", "label=", "uuid=", "target-prefix=", "options-mode=", "options-source=",
    "options-source-force", *(f"{name.removeprefix('--')}{'=' * name.startswith('--map')}" for name in _SINCE),
    *(f"make-{kind}" for kind in CHANGES_OF_KIND),
]  # fmt: skip


# Options that say one thing each: which field of MountWords is true then, or has their value.
_SETS = {
    "-m": "make_target", "--mkdir": "make_target", "-a": "every", "--all": "every", "-f": "fake", "--fake": "fake",
    "-c": "as_written", "--no-canonicalize": "as_written", "--beneath": "beneath", "--exclusive": "exclusive",
    "--onlyonce": "once", "--map-users": "idmapped", "--map-groups": "idmapped",
}  # fmt: skip
_HAS = {
    "-t": "fstype", "--types": "fstype", "-T": "table", "--fstab": "table", "--target-prefix": "prefix",
    "-N": "namespace", "--namespace": "namespace",
}  # fmt: skip


def read_mount(arguments: list[str], version: Version = OLDEST) -> MountWords:
    """The arguments of mount(8), without its name, as that version of util-linux reads them. Raises Unusable."""
    options, rest = read_options("mount", arguments, "t:o:BMRrwvnismcaT:O:fFlN:L:U:", _LONG, optional={"mkdir"})
    said: dict[str, Any] = {}
    words: list[str] = []
    operations: list[str] = []
    kinds = 0
    source = target = None
    for name, value in options:
        if name in _SINCE and version < _SINCE[name]:
            since, now = (f"{one[0]}.{one[1]}" for one in (_SINCE[name], version))
            told = f"mount: {name} is an option of util-linux {since}, and this is read as {now} does"
            raise Unusable(told, f"leave it out, or say --util-linux {since}")
        match name:
            case _ if name in _SETS:
                said[_SETS[name]] = True
            case _ if name in _HAS:
                said[_HAS[name]] = value
            case "-o" | "--options":
                words += _split(value, version)
            case "-r" | "--read-only" | "--ro":
                words.append("ro")
            case "-w" | "--rw" | "--read-write":
                words.append("rw")
            case "-O" | "--test-opts":
                said["tests"] = (*said.get("tests", ()), *value.split(","))
            case "--source":
                source = value
            case "--target":
                target = value
            case "-L" | "--label":
                source = f"LABEL={value}"
            case "-U" | "--uuid":
                source = f"UUID={value}"
            case _ if name.startswith("--options-"):
                raise Unusable(f"mount: {name} is not followed", "write the options that are meant")
            case _ if name in _OPERATIONS:
                operations.append(_OPERATIONS[name])
            case _ if name.startswith("--make-"):
                words.append(name.removeprefix("--make-"))
                kinds += 1
    found = MountWords(by_descriptor=version >= BY_DESCRIPTOR, **said)
    if len(set(operations)) > 1:
        raise Unusable(f"mount: --{operations[0]} and --{operations[1]} exclude each other", "take one away")
    if operations and (found.fstype or source is not None):
        which = "--source" if source is not None else "-t"
        raise Unusable(f"mount: --{operations[0]} and {which} exclude each other", f"take {which} away")
    only_kinds = bool(kinds) and not found.fstype and kinds == len(words)
    found = _with_options(found, words, operations, version)
    if found.every:
        if found.what == "remount":
            raise Unusable("mount: -a with a remount is not followed", "write the remounts out")
        return found._replace(types=found.fstype, fstype="")
    if kinds and found.what == "remount" and source is None and len(rest) < 2:
        source = "none"  # then nothing is looked up
    return _with_places(found, source, target, rest, only_kinds=only_kinds)


def read_line(fields: tuple[str, str, str, str], given: MountWords, version: Version) -> MountWords:
    """A line of a table (source, target, type, options), with the options of the command line behind its own."""
    source, target, fstype, options = fields
    made = MountWords(
        by_descriptor=given.by_descriptor, fstype=fstype if fstype not in ("none", "bind", "rbind") else "",
        beneath=given.beneath, exclusive=given.exclusive, idmapped=given.idmapped, prefix=given.prefix,
        fake=given.fake, make_target=given.make_target,
    )  # fmt: skip
    found = _with_options(made, _split(options, version), [], version)
    found = found._replace(
        words=(*found.words, *given.words),
        superblock_words=(*found.superblock_words, *given.superblock_words),
        kinds=(*found.kinds, *given.kinds),
        options=",".join(filter(None, (found.options, given.options))),
        recursive_names=(*found.recursive_names, *given.recursive_names),
        loop=(*found.loop, *given.loop),
    )
    return _prefixed(found._replace(source=source, target=target))


def _split(options: str, version: Version) -> list[str]:
    """At commas, but not in quotation marks, which old versions leave there."""
    words = re.findall(r'(?:"[^"]*"|[^,"])+', options)
    return [word.replace('"', "") for word in words] if version >= BY_DESCRIPTOR else words


def _with_options(found: MountWords, words: list[str], operations: list[str], version: Version) -> MountWords:
    own: list[str] = []
    handed: list[str] = []
    asked = {*operations} | {word for word in words if word in ("bind", "rbind", "move", "remount")}
    for word in words:
        name, _, value = word.partition("=")
        if word in CHANGES_OF_KIND:
            found = found._replace(kinds=(*found.kinds, CHANGES_OF_KIND[word]))
        elif name in NAMES and value:
            found, is_handed = _with_level(found, name, value, version)
            handed += [word] * is_handed
        elif word in _FLAGS:
            found = _with_attribute(found, word)
        elif name in ("X-mount.mkdir", "x-mount.mkdir"):
            found = found._replace(make_target=True)
        elif name.startswith("X-mount."):
            found = _with_extension(found, name, value, version, is_bind=bool(asked & {"bind", "rbind"}))
        elif name in _OF_LOOP and (value or name == "loop"):
            found = found._replace(loop=(*found.loop, word))
        elif word in FLAGS_OF_EACH:  # MNT_SUPERBLOCK of libmount
            found = found._replace(of_filesystem=(*found.of_filesystem, word))
        elif word == "nofail":
            found = found._replace(nofail=True)
        elif word and word not in asked | _NOTHING and not word.startswith(("x-", "X-", "comment=")):
            own.append(word)
    # Whatever their order: the kernel asks for these flags one after the other, and mount(8) passes all of them.
    what = next((one for one in ("remount", "move", "rbind", "bind") if one in asked), "")
    if what == "move" and asked & {"bind", "rbind"}:
        raise Unusable("mount: a move and a bind at once", "take one away")
    if handed and what in ("", "remount") and not asked & {"bind", "rbind"}:  # the kernel asks no filesystem of a bind
        name = f"util-linux {version[0]}.{version[1]}"
        told = f"mount: {name} hands {handed[0]} to the filesystem as an option of its own"
        raise Unusable(told, "leave the argument out, or say --util-linux 2.39")
    if not any(word.partition("=")[0] == "loop" for word in found.loop):  # then these are the filesystem's own
        own += found.loop
        found = found._replace(loop=())
    return found._replace(
        what=what, bind=what == "remount" and bool(asked & {"bind", "rbind"}), options=",".join(own)
    )  # fmt: skip


def _with_attribute(found: MountWords, word: str, *, of_mount: bool = True, of_filesystem: bool = True) -> MountWords:
    found = found._replace(words=(*found.words, word if of_mount else f"{word}="))
    if of_filesystem and word in ("ro", "rw"):
        found = found._replace(superblock_words=(*found.superblock_words, word))
    return found


def _with_level(found: MountWords, name: str, value: str, version: Version) -> tuple[MountWords, bool]:
    """`ro=recursive` and its like; whether the filesystem is given it instead."""
    levels = set(value.split(",")) & {"recursive", "vfs", "fs"}
    if version < _KNOWS_RECURSIVE and levels:
        return found, True
    if value == "recursive":
        wanted = found._replace(recursive_names=(*found.recursive_names, name))
        return _with_attribute(wanted, name, of_mount=False), False
    if version < _KNOWS_LEVELS or name not in ("ro", "rw"):
        levels = set()
    told = _with_attribute(found, name, of_mount=levels != {"fs"}, of_filesystem=levels != {"vfs"})
    return told, False


def _with_extension(found: MountWords, name: str, value: str, version: Version, *, is_bind: bool) -> MountWords:
    """An option that begins with X-mount."""
    if name in _OF_FILES:
        form, since = _OF_FILES[name]
        if version < since or re.fullmatch(form, value):
            return found
    elif name == "X-mount.idmap":
        return found._replace(idmapped=found.idmapped or (version >= BY_DESCRIPTOR and value != ""))
    elif name == "X-mount.subdir" and value.strip("/"):
        if version < BY_DESCRIPTOR:
            told = "mount: what comes of X-mount.subdir by util-linux 2.38 hangs on propagation"
            raise Unusable(told, "mount the whole and bind a part of it, or say --util-linux 2.39")
        return found if is_bind and version > _SUBDIR_OF_BINDS_UP_TO else found._replace(subdirectory=value.strip("/"))
    elif name != "X-mount.subdir":
        return found  # it is not known, and nothing comes of it
    raise Unusable(f"mount: {name}={value} is not followed", "leave the option out")


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
    if not target and source is not None and found.what == "":
        return found._replace(place=source)
    if not target:
        raise Unusable("mount: there is no target", "name it")
    found = found._replace(source=source or "", target=target)
    if found.what in ("bind", "rbind", "move") and not source:
        raise Unusable(f"mount: what to {found.what.removeprefix('r')} is missing", "name a source and a target")
    if found.what:
        return _prefixed(found)
    if only_kinds and source is None:
        return _prefixed(found._replace(what="kind"))
    if source is None:
        return found._replace(place=target)
    return _prefixed(found)


def _prefixed(found: MountWords) -> MountWords:
    if not found.prefix:
        return found
    return found._replace(target=f"{found.prefix.rstrip('/')}/{found.target.lstrip('/')}")

"""The options of umount(8), unshare(1) and nsenter(1), as util-linux reads them -> plain values."""

from __future__ import annotations

import getopt
from collections.abc import Callable, Collection, Iterable, Mapping

from mountplan.planner.model.peers import KINDS, Kind
from mountplan.planner.record import NamedTuple

# The options of mount(8) that change the sharing: what becomes of the mount, and whether of all below it as well.
CHANGES_OF_KIND: dict[str, tuple[Kind, bool]] = {
    **{name: (kind, False) for name, kind in KINDS.items()},
    **{f"r{name}": (kind, True) for name, kind in KINDS.items()},
}
Version = tuple[int, int]
AskVersion = Callable[[], Version]  # which version there is, looked up only where something hangs on it
OLDEST: Version = (2, 38)
NEWEST: Version = (2, 42)
KNOWS_OVERMOUNTS: Version = (2, 40)  # umount -R
# Of namespaces that a file may be named for: the options and the kinds, in the order in which unshare(1) binds them.
_KINDS = {"--cgroup": "cgroup", "--ipc": "ipc", "--uts": "uts", "--net": "net", "--mount": "mnt"}
_LETTERS = {"m": "mount", "u": "uts", "i": "ipc", "n": "net", "p": "pid", "C": "cgroup", "T": "time", "U": "user"}


class Unusable(ValueError):
    """Options that are wrong, or not followed."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


class UmountWords(NamedTuple):
    targets: tuple[str, ...]
    lazy: bool
    recursive: bool
    fake: bool = False
    all_targets: bool = False
    read_only: bool = False
    every: bool = False
    types: str = ""  # with `every`


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
    files: tuple[tuple[str, str], ...] = ()  # kinds of namespaces, and where their files are bound
    forks: bool = False


class EnterWords(NamedTuple):
    """`mount` is the process whose mount namespace is entered; `files` are kinds of namespaces, and their files."""

    target: str
    user: bool
    command: tuple[str, ...]
    drops_groups: bool = False
    mount: bool = True
    files: tuple[tuple[str, str], ...] = ()


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


def read_umount(arguments: list[str]) -> UmountWords:
    """The arguments of umount(8)."""
    options, rest = read_options(
        "umount",
        arguments,
        "lRfnvqdciaArt:O:N:",
        ["lazy", "recursive", "force", "no-mtab", "verbose", "quiet", "detach-loop", "no-canonicalize",
         "internal-only", "all", "all-targets", "read-only", "types=", "test-opts=", "namespace=", "fake"],
    )  # fmt: skip
    given = dict(options)
    _refuse("umount", given, ("-O", "--test-opts", "-N", "--namespace"), "name what is to be unmounted")
    every = bool(given.keys() & {"-a", "--all"})
    types = given.get("-t", given.get("--types", ""))
    if types and not every:
        raise Unusable("umount: -t without -a is not followed", "leave it out")
    if not rest and not every:
        raise Unusable("umount: there is no target", "name it")
    return UmountWords(
        tuple(rest),
        lazy=bool(given.keys() & {"-l", "--lazy"}),
        recursive=bool(given.keys() & {"-R", "--recursive"}),
        fake="--fake" in given,
        all_targets=bool(given.keys() & {"-A", "--all-targets"}),
        read_only=bool(given.keys() & {"-r", "--read-only"}),
        every=every,
        types=types,
    )


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
    users = ("-U", "--user", "-r", "--map-root-user", "-c", "--map-current-user")
    _refuse_files("unshare", given, "leave the file out")
    files = tuple((kind, given[option]) for option, kind in _KINDS.items() if given.get(option))
    mapped = bool(given.keys() & {"-r", "--map-root-user", "-c", "--map-current-user"})
    maps = ("--map-user", "--map-group", "--map-users", "--map-groups", "--map-auto")
    _refuse("unshare", given, maps, "map root: -r")
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
        files=files,
        forks=bool(given.keys() & {"-f", "--fork", "--kill-child"}),
    )


def _files_apart(arguments: list[str]) -> list[str]:
    """The arguments of nsenter(1) with a long option for each short one that has a file right behind it."""
    words = list(arguments)
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        word = words[at]
        if len(word) > 2 and word[1] in _LETTERS:
            words[at] = f"--{_LETTERS[word[1]]}={word[2:]}"
        at += 2 if word in ("-t", "-S", "-G", "--target", "--setuid", "--setgid") else 1
    return words


def _refuse(program: str, given: Mapping[str, str], names: Iterable[str], remedy: str) -> None:
    for name in names:
        if name in given:
            raise Unusable(f"{program}: {name} is not followed", remedy)


def _refuse_files(program: str, given: Mapping[str, str], remedy: str) -> None:
    """Of namespaces whose files make a difference to more than mounts."""
    for name in ("--user", "--pid", "--time"):
        if given.get(name):
            raise Unusable(f"{program}: {name}=FILE is not followed", remedy)


def _check_root(program: str, given: Mapping[str, str]) -> None:
    for name in ("-S", "--setuid", "-G", "--setgid"):
        if given.get(name, "0") != "0":
            raise Unusable(f"{program}: {name} {given[name]} is not followed", "scripts are root's; leave it out")


def read_nsenter(arguments: list[str]) -> EnterWords:
    """The arguments of nsenter(1). A short option has its file right behind it."""
    options, rest = read_options(
        "nsenter",
        _files_apart(arguments),
        "t:mUuinpCTFaS:G:",
        ["target=", "mount", "user", "uts", "ipc", "net", "pid", "cgroup", "time", "no-fork", "preserve-credentials",
         "all", "setuid=", "setgid="],
        optional={"mount", "user", "uts", "ipc", "net", "pid", "cgroup", "time"},
        permute=False,
    )  # fmt: skip
    given = dict(options)
    target = given.get("-t", given.get("--target", ""))
    everything = bool(given.keys() & {"-a", "--all"})
    _refuse_files("nsenter", given, "name a process: -t PID")
    files = tuple((_KINDS[name], value) for name, value in options if value and name in _KINDS)
    mount = not given.get("--mount") and (everything or bool(given.keys() & {"-m", "--mount"}))
    if not (target and mount) and (mount or not files):
        raise Unusable("nsenter: only `-t PID -m` and --mount=FILE are followed", "name a process, as $$, $PPID or $!")
    user = everything or bool(given.keys() & {"-U", "--user"})
    _check_root("nsenter", given)
    drops = "--preserve-credentials" not in given and (user or bool(given.keys() & {"-G", "--setgid"}))
    return EnterWords(target, user, tuple(rest), drops, mount, files)


def read_mkdir(arguments: list[str]) -> tuple[bool, tuple[str, ...]]:
    """The arguments of mkdir(1): whether -p is among them, and the paths."""
    options, rest = read_options("mkdir", arguments, "pvm:", ["parents", "verbose", "mode="])
    return any(name in ("-p", "--parents") for name, _ in options), tuple(rest)

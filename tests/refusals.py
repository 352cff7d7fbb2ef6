"""Every command with one system call refused, as a seccomp filter or a security module refuses it: what is told then?

Each command is carried out without a filter first. With one it ends as it did without, and says the same or names what
was refused; or it fails, with that in the message: no traceback, no exit status that means something else, no answer
that was not had, and not for ever. `make refusals` tries all, tests/cli/test_refusals.py a sample.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import re
import select
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from mountplan.cli import main
from mountplan.cli.exit_status import BUG
from tests import machine
from tests.commands import PROC, import_all, programs
from tests.faults import CALLS
from tests.hosts import (
    CHECKOUT,
    CLONE_NEWNS,
    NOBODY,
    PATIENCE,
    PR_SET_PDEATHSIG,
    become,
    enter_user_namespace,
    mount,
    open_the_way,
    prctl,
    run_in_host,
    unshare,
)
from tests.keptnames import SPEC
from tests.mountflags import MS_PRIVATE, MS_REC
from tests.trees import ROOT
from tests.without import filter_calls

User = Literal["root", "nobody"]
ERRNOS = ("EPERM", "ENOSYS")
SECONDS = 20.0  # that one command may take
RUNTIME = "/srv/runtime"

OVERLAY = """
[[mount]]
id = "layers"
target = "/l"
type = "tmpfs"
file = [{ path = "a", directory = true }]
[[mount]]
target = "/merged"
type = "overlay"
layers = [{ mount = "layers", path = "/a" }]
upper = { mount = "layers", path = "/up" }
"""
FILES = {
    "shop.toml": SPEC,
    "other.toml": SPEC.replace("/srv", "/opt"),
    "programs.toml": programs(),
    "isolated.toml": programs(run='unshare = ["pid", "net", "ipc", "uts"]', mounts=PROC),
    "overlay.toml": 'name = "overlay"\n' + ROOT + OVERLAY,
    "mqueue.toml": 'name = "mqueue"\n' + ROOT + '[[mount]]\ntarget = "/d"\ntype = "mqueue"\n',
    "inherit.toml": 'root = "inherit"\npropagation = "private"\n[[mount]]\ntarget = "/opt"\ntype = "tmpfs"\n',
    "bind.toml": 'name = "bind"\n' + ROOT + '[[mount]]\ntarget = "/usr"\nbind = "/usr"\nattributes = ["ro"]\n',
}
# Configurations of other programs.
FOREIGN = {
    "config.json": '{"ociVersion": "1.0.2", "root": {"path": "/usr"}, "mounts": '
    '[{"destination": "/proc", "type": "proc", "source": "proc"}]}',
    "fstab": "none /opt tmpfs size=1m 0 0\n/usr /opt/usr none bind,ro 0 0\n",
    "a.service": "[Service]\nExecStart=/usr/bin/true\nPrivateTmp=yes\nProtectSystem=strict\n",
    "compose.yaml": "services:\n  web:\n    volumes: ['/usr:/opt:ro']\n    tmpfs: [/run]\n",
}
SCRIPT = "mkdir /a\nmount -t tmpfs a /a\nmount --make-shared /a\nmount --bind /a /a\n"
# Names "shop" and "programs" are kept before each of them. Those that keep or remove names come last.
READING = (
    "check shop.toml",
    "check --json overlay.toml",
    "plan --json shop.toml",
    "plan --classic overlay.toml",
    "apply --forget shop.toml",
    "apply --forget --no-cache overlay.toml",
    "apply --forget mqueue.toml",
    "run programs.toml -- /usr/bin/true",
    "run isolated.toml -- /usr/bin/true",
    "enter programs -- /usr/bin/true",
    "enter nonesuch",
    "ls",
    "ls --json",
    "show shop",
    "capture shop",
    "capture --pid {own}",
    "diff shop.toml shop",
    "diff shop.toml other.toml",
    "diff shop pid:{own}",
    "verify shop.toml",
    "verify other.toml",
    "explain shop --mount /srv",
    "explain {own}",
    "simulate -",
    "simulate --compare-kernel -",
    "doctor",
    "schema",
    "completion bash",
    "plan --live shop other.toml",
    "plan --live pid:{inside} inherit.toml",
    "graph shop.toml",
    "graph --format html shop",
    "graph pid:{own}",
    "import oci config.json",
    "import fstab fstab",
    "import systemd a.service",
    "import compose compose.yaml --root /usr",
    "import bwrap -- --ro-bind /usr /usr --proc /proc true",
    "export sh shop.toml",
    "export oci bind.toml",
    "export bwrap bind.toml",
    "watch --for 0.1 shop",
    "watch --for 0.1 shop other.toml",
    "watch --for 0.1 pid:{inside}",
    "example",
    "example hello",
)
CHANGING = (
    "apply shop.toml",
    "apply --replace shop.toml",
    "apply --name third other.toml",
    "apply --live --name shop other.toml",
    "apply --live --pid {inside} inherit.toml",
    "apply --live --name shop --undo",
    "rm shop",
    "rm --all",
)
COMMANDS = READING + CHANGING

# Without these, Python cannot even read the source that tells what was called.
_PYTHONS_OWN = frozenset({"read", "close", "openat", "fstat", "fcntl", "newfstatat"})

# What a message may call a system call of its own, or of the C library: by the function, by what it does.
_ALSO = {
    "openat": ("open",), "newfstatat": ("stat",), "clone": ("fork",), "clone3": ("fork",), "vfork": ("fork",),
    "unlinkat": ("unlink", "remove"), "mkdirat": ("mkdir",), "wait4": ("wait",), "signalfd4": ("signalfd",),
    "ioctl": ("setns", "the file in memory"), "pipe2": ("pipe",), "execve": ("cannot run",), "pread64": ("pread",),
}  # fmt: skip


class Ended(NamedTuple):
    """How a command ended: its status, -n if signal n ended it, None if it did not; and what it wrote."""

    status: int | None
    out: str
    err: str


class Case(NamedTuple):
    """One command with one call refused."""

    user: User
    call: str
    errno: str
    words: str

    def __str__(self) -> str:
        return f"as {self.user}, {self.call}={self.errno}: mountplan {self.words}"


def cases(users: Iterable[User] = ("root", "nobody"), calls: Iterable[str] = CALLS) -> list[Case]:
    """All of them; each command that changes names after those that do not."""
    return [Case(*one) for one in itertools.product(users, calls, ERRNOS, COMMANDS)]


def try_all(wanted: Iterable[Case], timeout: float = 60.0) -> dict[Case, str]:
    """What is wrong with each case with which something is. For root; on a throw-away machine."""
    import_all()
    found: dict[Case, str] = run_in_host(
        machine.on_machine(lambda: dict(_problems(list(wanted)))), identity="root", timeout=timeout
    )
    return found


def _problems(wanted: list[Case]) -> Iterator[tuple[Case, str]]:
    for name, text in FILES.items():
        Path("/srv", name).write_text("format = 1\n" + text)
    for name, text in FOREIGN.items():
        Path("/srv", name).write_text(text)
    open_the_way([Path(sys.base_prefix), Path(sys.prefix), CHECKOUT])  # of Python, an ordinary user loads a rest
    os.mkdir(RUNTIME, 0o700)
    os.chown(RUNTIME, NOBODY, NOBODY)
    os.chmod("/srv/work", 0o777)
    users: list[User] = list(dict.fromkeys([case.user for case in wanted]))
    for user in users:
        _keep(user)
        usual: dict[str, Ended] = {}
        for case in (one for one in wanted if one.user == user):
            if case.words not in usual:
                usual[case.words] = _carry_out(case.words, user)
                if case.words in CHANGING:
                    _keep(user)
            ended = _carry_out(case.words, user, {CALLS[case.call]: getattr(errno, case.errno)})
            problem = _judge(case, ended, usual[case.words])
            if problem:
                yield case, problem
            if case.words in CHANGING:
                _keep(user)


def _keep(user: User) -> None:
    """Have the names that commands ask for."""
    for words in ("rm -q --all", "apply -q shop.toml", "apply -q programs.toml"):
        ended = _carry_out(words, user)
        assert ended.status == 0, (words, ended)


def _judge(case: Case, ended: Ended, usual: Ended) -> str:
    """What is wrong with how a command has ended; "" if nothing is."""
    said = ended.out + ended.err
    if ended.status is None:
        return "it does not end"
    if ended.status < 0:
        return f"it is ended by {signal.Signals(-ended.status).name}"
    if "Traceback" in said or ended.status in (99, BUG):
        return f"it ends with {ended.status}, as a bug:\n{_end_of(said)}"
    if "--json" not in case.words and (ill_said := _ill_said(said, case.words)):
        return f"{ill_said}:\n{_end_of(said)}"
    if case.words.startswith(("run", "enter")) and ended.err and "mountplan:" not in ended.err:
        return ""  # the command itself may have run into it, or what starts it
    if case.call == "write":
        return "" if ended.status or not usual.out + usual.err else "nothing can have been written, and it ends with 0"
    told = _tells(case, said)
    if ended.status == usual.status:
        same = _plain(ended.out) == _plain(usual.out)
        return "" if told or same else f"it says something else, and does not say why:\n{_difference(ended, usual)}"
    if ended.status == 1 and not (told and case.words.startswith(("doctor", "simulate"))):
        return f"it ends with 1, which means a difference:\n{_end_of(said)}"
    return "" if told else f"it ends with {ended.status} and does not say what was refused:\n{_end_of(said)}"


def _ill_said(said: str, words: str) -> str:
    """What nobody can follow, though it names the call."""
    if "\\n  remedy" in said:
        return "the end of a line is an escape"
    if any(not name.isidentifier() for name in re.findall(r"allow (\S+) in (?:the|its) seccomp", said)):
        return "it wants something allowed that is no call"
    if "look at it, and remove it" in said:
        return "it wants something removed that nothing is wrong with"
    if any(name in words.split() for name in re.findall(r"did you mean (\S+)\?", said)):
        return "it means what was said"
    return ""


def _tells(case: Case, said: str) -> bool:
    names = ("",) if case.call in _PYTHONS_OWN else (case.call, *_ALSO.get(case.call, ()))
    words = (os.strerror(getattr(errno, case.errno)), case.errno)
    said = said.lower()
    if case.call in _PYTHONS_OWN and "cannot load the module" in said:
        return True  # all that Python itself says then
    if case.call == "renameat2" and "renameat2: invalid argument" in said:
        return True  # what the C library makes of ENOSYS
    return any(name in said for name in names) and any(word.lower() in said for word in words)


def _plain(text: str) -> str:
    """Without what is different each time: numbers, how long something has taken, and how wide that makes a column."""
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?( ?(ms|s|seconds?|minutes?))?", "N", text))


def _difference(ended: Ended, usual: Ended) -> str:
    import difflib

    lines = difflib.unified_diff(_plain(usual.out).splitlines(), _plain(ended.out).splitlines(), "", "", "", "", 0, "")
    return "\n".join(list(lines)[3:15]) + "\n" + _end_of(ended.err)


def _end_of(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-8:])


# ---- one command ----------------------------------------------------------------------------------------------------


def _carry_out(words: str, user: User, refused: dict[int, int] | None = None) -> Ended:
    """A fork of this process, which has imported everything: what Python itself needs is none of our concern."""
    files = [os.memfd_create(name) for name in ("in", "out", "err")]
    os.pwrite(files[0], SCRIPT.encode(), 0)
    inside = machine.spawn("inside", lambda: _move_in(user)) if "{inside}" in words else 0
    words = words.replace("{inside}", str(inside))
    child = os.fork()
    if child == 0:
        _become(words, user, files, refused or {})
    pidfd = os.pidfd_open(child)
    ended = bool(select.select([pidfd], [], [], SECONDS * PATIENCE)[0])
    os.close(pidfd)
    if not ended:
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if inside:
        os.kill(inside, signal.SIGKILL)
        os.waitpid(inside, 0)
    texts = [os.pread(fd, 1 << 20, 0).decode(errors="replace") for fd in files[1:]]
    for fd in files:
        os.close(fd)
    return Ended(status if ended else None, *texts)


def _move_in(user: User) -> None:
    """Into a mount namespace of one's own, which a command may change."""
    if user == "nobody":
        become(NOBODY)
        enter_user_namespace(CLONE_NEWNS)
    else:
        unshare(CLONE_NEWNS)
    mount("", "/", flags=MS_REC | MS_PRIVATE)


def _become(words: str, user: User, files: list[int], refused: dict[int, int]) -> NoReturn:
    status = 99
    try:
        os.setsid()
        for number, fd in enumerate(files):
            os.dup2(fd, number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - until the end
        os.chdir("/srv")
        os.environ |= {"SHELL": "/bin/sh", "COLUMNS": "80", "XDG_CACHE_HOME": "/srv/none"}
        if user == "nobody":
            os.environ["XDG_RUNTIME_DIR"] = RUNTIME
            become(NOBODY)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        argv = shlex.split(words.format(own=os.getpid()))
        if refused:
            filter_calls(refused)
        try:
            status = main(argv)
        except SystemExit as end:
            status = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        try:
            os.write(2, traceback.format_exc().encode())
        except OSError:
            pass
    finally:
        os._exit(status)


# ---- all of them ----------------------------------------------------------------------------------------------------


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.refusals")
    parser.add_argument("--user", choices=("root", "nobody"), action="append")
    parser.add_argument("--errno", choices=ERRNOS, action="append")
    parser.add_argument("--calls", default="", help="with commas between")
    parser.add_argument("--commands", default="", help="those that this regular expression is found in")
    arguments = parser.parse_args()
    calls = arguments.calls.split(",") if arguments.calls else list(CALLS)
    wanted = [
        case
        for case in cases(arguments.user or ("root", "nobody"), calls)
        if re.search(arguments.commands, case.words) and case.errno in (arguments.errno or ERRNOS)
    ]
    started, failed = time.monotonic(), 0
    for _, group in itertools.groupby(wanted, lambda case: (case.user, case.call)):  # a machine for each
        for case, problem in try_all(group, timeout=3600).items():
            failed += 1
            sys.stdout.write(f"{case}\n  {problem}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(wanted)} commands in {time.monotonic() - started:.0f} s, {failed} of them wrong\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_main())

"""Commands in trees, and command lines of mountplan: run one as a user would, look at how it ended and what it printed.

A command line is carried out by a fork of this process, which has imported everything (the fixture `all_imported`).
That takes a tenth of what a new Python takes. Tests of what comes before `main`, of memory, of signals, or of what
others see of a program start the program.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import mountplan.applier.run.run  # a child that may open no more files can import nothing
from mountplan import api
from mountplan.cli import main
from mountplan.planner.errors import MountplanError
from mountplan.planner.plan.plan import Plan
from tests.hosts import PATIENCE, PYTHONS_OWN, forget_handlers
from tests.trees import plan_of

How = Literal["run", "execute"]


class Outcome(NamedTuple):
    """How a process ended: its exit status, or -n if signal n ended it, and what it wrote."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def programs(run: str = "", mounts: str = "") -> str:
    """A spec whose root holds this machine's programs, its /proc and a /tmp; `run` goes into its [run]."""
    text = f'name = "programs"\n[run]\n{run}\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\noptions = {{ mode = "0755" }}\n'
    binds = ["/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            text += f'[[mount.file]]\npath = "{name}"\nsymlink = "{path.readlink()}"\n'
        elif path.is_dir():
            binds.append(str(path))
    for bind in binds:
        text += f'[[mount]]\ntarget = "{bind}"\nbind = "{bind}"\nrecursive = true\n'
    text += '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\noptions = { mode = "1777" }\n'
    if 'type = "proc"' not in mounts:
        text += '[[mount]]\ntarget = "/proc"\nbind = "/proc"\nrecursive = true\n'
    return text + mounts


PROC = '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'


def outcome(
    spec: str,
    *command: str,
    how: How = "run",
    prepare: Callable[[], object] = lambda: None,
    status_fd: int | None = None,
    namespace: str = "",
) -> Outcome:
    """Run `command` in `spec` from a process of its own, in which `prepare` is called first. Errors go to stderr."""
    plan = plan_of(spec)
    files = [os.memfd_create(name) for name in ("out", "err")]
    child = os.fork()
    if child == 0:
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        become(plan, command, how, prepare, status_fd, namespace)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for fd in files:
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd, errors="surrogateescape") as file:
            texts.append(file.read())
    return Outcome(status, *texts)


class Running:
    """A command that runs in `spec`, in a process of its own; what it writes comes through a pipe."""

    def __init__(
        self,
        spec: str,
        *command: str,
        how: How = "run",
        prepare: Callable[[], object] = lambda: None,
        status_fd: int | None = None,
    ) -> None:
        plan = plan_of(spec)
        self._out, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._out)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.close(writer)
            become(plan, command, how, prepare, status_fd)
        os.close(writer)
        self._text = ""

    def read_until(self, words: str, timeout: float = 30) -> str:
        """What was written so far, once `words` are in it; "" waits for the end: until nobody can write any more."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not words or words not in self._text:
            ready, _, _ = select.select([self._out], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"still nothing but {self._text!r} after {timeout} s"
            block = os.read(self._out, 4096).decode()
            if not block:
                assert not words, f"it ended and wrote {self._text!r}"
                break
            self._text += block
        return self._text

    def end(self) -> tuple[int, str]:
        """Wait for the end: the exit status, or -n for signal n, and all that was written."""
        text = self.read_until("")
        os.close(self._out)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), text


def become(
    plan: Plan,
    command: tuple[str, ...],
    how: How = "run",
    prepare: Callable[[], object] = lambda: None,
    status_fd: int | None = None,
    namespace: str = "",
) -> NoReturn:
    """What a command line would do, for a process that was forked for it: it never returns."""
    status = 99
    try:
        prepare()
        if how == "execute":
            api.execute(plan, command, status_fd=status_fd, namespace=namespace)
        status = api.run(plan, command, status_fd=status_fd, namespace=namespace)
    except MountplanError as error:
        os.write(2, f"{error}\n".encode())
        status = error.exit_status
    except SystemExit as end:
        assert isinstance(end.code, int)
        status = end.code
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        os._exit(status)


def command_line(*words: str, stdin: str = "", cwd: str = "/", environment: Mapping[str, str] | None = None) -> Outcome:
    """`mountplan WORDS...`, until it has ended and no process has its output open any more."""
    source = os.memfd_create("in")
    os.pwrite(source, stdin.encode(), 0)
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in ("out", "err")]
    child = os.fork()
    if child == 0:
        become_command_line(words, (source, *(writer for _, writer in pipes)), cwd, environment)
    os.close(source)
    for _, writer in pipes:
        os.close(writer)
    texts = {reader: b"" for reader, _ in pipes}
    ended: set[int] = set()
    while len(ended) < len(texts):
        for reader in select.select(texts.keys() - ended, [], [])[0]:
            block = os.read(reader, 65536)
            texts[reader] += block
            if not block:
                ended.add(reader)
                os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Outcome(status, *(text.decode(errors="surrogateescape") for text in texts.values()))


def import_all(begins: str = "mountplan.") -> None:
    """All modules whose names begin so, but for those that begin to run when they are imported."""
    for module in pkgutil.walk_packages(mountplan.__path__, "mountplan."):
        if module.name.startswith(begins) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # the processes that are forked do not look all of it through, each again


def become_command_line(
    words: tuple[str, ...],
    files: tuple[int, ...],
    cwd: str,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> NoReturn:
    """`mountplan WORDS...`, for a process that was forked for it, once `prepare` is done: `files` become 0, 1 and 2.

    What Python makes of itself as it starts is made so: handlers of signals, no other descriptors, the three streams,
    what is a warning.
    """
    status = 99
    try:
        prepare()
        gc.freeze()  # what the tests have made is not looked through
        faulthandler.disable()
        forget_handlers()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in PYTHONS_OWN:
            signal.signal(number, signal.SIG_IGN)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        for place, fd in enumerate(files):
            os.dup2(fd, place)
        os.closerange(3, 1 << 20)
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 - until the end
        sys.stderr = open(2, "w", errors="backslashreplace")  # noqa: SIM115
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        os.chdir(cwd)
        sys.argv = ["mountplan", *words]
        try:
            status = main()
        except SystemExit as end:
            status = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


if __name__ == "__main__":  # python -m tests.commands HOW SPECFILE COMMAND...: for tests that need a shell around it
    _, way, path, *words = sys.argv
    become(plan_of(Path(path).read_text()), tuple(words), "execute" if way == "execute" else "run")

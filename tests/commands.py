"""Commands in trees: run one as a user would, and look at how it ended and what it printed."""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

import mountplan.applier.run.run  # a child that may open no more files can import nothing  # noqa: F401
from mountplan import api
from mountplan.planner.errors import MountplanError
from mountplan.planner.plan.plan import Plan
from tests.hosts import PATIENCE
from tests.trees import plan_of

How = Literal["run", "execute"]


class Outcome(NamedTuple):
    """How a process ended: its exit status, or -n if signal n ended it, and what it wrote."""

    status: int
    out: str
    err: str


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


if __name__ == "__main__":  # python -m tests.commands HOW SPECFILE COMMAND...: for tests that need a shell around it
    _, way, path, *words = sys.argv
    become(plan_of(Path(path).read_text()), tuple(words), "execute" if way == "execute" else "run")

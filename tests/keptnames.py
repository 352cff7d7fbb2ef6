"""Throw-away hosts with a /run, or a runtime directory, of their own, in which namespaces can be kept."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mountplan import api, keeping
from mountplan.applier.keep import kept as names
from mountplan.applier.keep.kept_changes import NewName
from mountplan.planner.errors import MountplanError
from mountplan.planner.plan.planfile import dump_plan
from tests import hosttable
from tests.hosts import moments, mount
from tests.hosttable import difference
from tests.mountflags import MS_SHARED
from tests.trees import ROOT, plan_of

Result = TypeVar("Result")

STORE = Path("/run/mountplan")

SPEC = f'name = "shop"\n{ROOT}[[mount]]\ntarget = "/srv"\ntype = "tmpfs"\n'
OTHER = SPEC.replace("/srv", "/opt")
TWO = """
name = "pair"
[peer_group.feed]
[[namespace]]
name = "left"
[[namespace.mount]]
target = "/"
type = "tmpfs"
id = "root"
[[namespace.mount]]
target = "/feed"
type = "tmpfs"
id = "feed"
peer_group = "feed"
[[namespace]]
name = "right"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
target = "/feed"
bind = { mount = "feed" }
peer_group = "feed"
"""


def new_name(text: str, replaces: str = "") -> NewName:
    """What is to be kept of a spec's text; `replaces` is the id of what has the name already."""
    plan = plan_of(text)
    state = keeping.state_for(plan, plan.name)
    return NewName(state, replaces, dump_plan(plan).encode())


@contextmanager
def place_for_specs() -> Iterator[None]:
    """A directory for the files of a test, named in the environment, which the commands that it starts have too."""
    with tempfile.TemporaryDirectory(prefix="mountplan-") as folder:
        os.environ["SPECS"] = folder
        yield


def on_run(function: Callable[[], Result], *, shared: bool = False) -> Callable[[], Result]:
    """`function`, on a host with a fresh /run; all that it keeps there must be gone again when it returns."""

    def script() -> Result:
        mount("run", "/run", "tmpfs", data="mode=0755")
        if shared:
            mount("", "/run", flags=MS_SHARED)
        before = hosttable.table()
        with place_for_specs():
            result = function()
        keeping.remove(names.names())
        assert not difference(before, hosttable.table()), "the host's mount table has changed"
        left = [path for path, directories, files in os.walk("/run") for _ in (*directories, *files)]
        assert ["/run"][: STORE.is_dir()] == left, "only an empty directory may stay, which other namespaces see too"
        return result

    return script


def in_runtime_directory(function: Callable[[], Result]) -> Callable[[], Result]:
    """`function`, for an ordinary user with a fresh runtime directory; nothing of what it keeps may be left."""

    def script() -> Result:
        before = hosttable.table()
        directory = tempfile.mkdtemp(prefix="mountplan-test-")
        os.environ["XDG_RUNTIME_DIR"] = directory
        try:
            with place_for_specs():
                result = function()
            keeping.remove(names.names())
            assert not difference(before, hosttable.table()), "the host's mount table has changed"
            assert [] == os.listdir(directory)
            wait_for_no_keeper(directory)
            return result
        finally:
            for pid in keepers(directory):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(directory)

    return script


def leave(action: Callable[[], object]) -> int:
    """End a forked child after `action`, with status 0 if that raised nothing: os.fork() or leave(...)."""
    try:
        action()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def table() -> str:
    return "\n".join(hosttable.table())


def keepers(directory: str) -> list[int]:
    """The processes that keep namespaces whose names are in a runtime directory."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and f"\0{directory}/".encode() in Path("/proc", entry, "cmdline").read_bytes():
                found.append(int(entry))
        except OSError:
            pass
    return found


def wait_for_no_keeper(directory: str) -> None:
    """One that was killed is gone at once; one that nobody told to stay goes when it has started."""
    for _ in moments():
        if not keepers(directory):
            return
    raise AssertionError("a keeper is left")


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """In this block, die by SIGKILL just before the call number `number` (from 0) of a function of os."""
    left = number
    me = os.getpid()

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal left
        if event == "c_call" and getattr(argument, "__module__", "") == "posix":
            if left == 0 and os.getpid() == me:
                os.kill(me, signal.SIGKILL)
            left -= 1

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


# The calls before which tests kill: `make faults` takes each, the suite every other one.
MOMENTS = range(0, 6000, 1 if os.environ.get("MOUNTPLAN_FAULTS") == "all" else 2)


def survives(action: Callable[[], object], number: int) -> bool:
    """Run `action` in a child that is killed before its call `number`; True if it had ended by then."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with killed_at(number):
                action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status == 0


def enter(name: str, *command: str, namespace: str = "") -> tuple[int, str]:
    """(exit status, output) of `command` in kept namespaces, as from the command line."""
    output = os.memfd_create("out")
    child = os.fork()
    if child == 0:
        status = 98
        try:
            os.dup2(output, 1)
            api.enter(name, namespace, command)
        except SystemExit as end:
            status = int(end.code or 0)
        except MountplanError as error:
            os.write(1, f"{error}".encode())
            status = error.exit_status
        except BaseException as error:
            os.write(1, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.lseek(output, 0, os.SEEK_SET)
    with open(output) as file:
        return status, file.read()

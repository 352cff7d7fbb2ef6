"""What no command may change of a machine (tests/machine.py): looked at before and after, and compared."""

from __future__ import annotations

import json
import os
import stat
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests import cgroup2
from tests.hosts import PATIENCE, mount, setns
from tests.mountflags import MS_REMOUNT

STORE = "/run/mountplan"  # where names are kept, the only place that may change
WORK = "/srv/work"  # what commands are told to write goes here; it is not looked at
IMAGES = "/srv/images/"
_SETTLE = 5.0 * PATIENCE  # seconds for what ends by itself: processes, loop devices


class State(NamedTuple):
    """All of the machine that no command may change.

    `tables` has the mount tables, superblock options and all, by whose they are: of each namespace that a process is
    in, and of each whose file is mounted somewhere. `kept` are the names that are kept.
    """

    tables: dict[str, tuple[str, ...]]
    kept: frozenset[str]
    files: frozenset[str]  # with mode, owner and size
    processes: frozenset[str]
    loops: frozenset[str]  # of the machine's own images: tests beside this one have loop devices too


def look() -> State:
    return State(_tables(), frozenset(_kept()), frozenset(_files()), processes(), frozenset(_loops()))


def settle(before: State) -> State:
    """What the machine is once all has ended that does so by itself: what is over soon is no difference."""
    deadline = time.monotonic() + _SETTLE
    while True:
        _reap()
        busy = processes() - before.processes or frozenset(_loops()) - before.loops
        if not busy or time.monotonic() > deadline:
            return look()
        time.sleep(0.01)


def differences(before: State, after: State, keeps: frozenset[str], drops: frozenset[str], keepers: int) -> list[str]:
    """What is otherwise, a line each. `keeps` and `drops` are the names that have to come, or to be others, and to go;
    `keepers` is how many processes come with them, or go if it is negative.
    """
    wanted = (before.kept | keeps) - drops
    found = [f"kept names: {name} is {'gone' if name in wanted else 'there'}" for name in wanted ^ after.kept]
    came, went = after.processes - before.processes, before.processes - after.processes
    expected = came | went
    if (max(0, keepers), max(0, -keepers)) != (len(came), len(went)):
        expected = frozenset()
        found += _changes("processes", sorted(before.processes), sorted(after.processes))
    prefixes = tuple(f"file {STORE}/{name}/" for name in keeps | drops)
    for whose in sorted(before.tables.keys() | after.tables.keys()):
        if whose in expected or whose.startswith(prefixes):
            continue
        found += _changes(f"mounts of {whose}", before.tables.get(whose, ()), after.tables.get(whose, ()))
    found += _changes("files", sorted(before.files), sorted(after.files))
    found += _changes("loop devices", sorted(before.loops), sorted(after.loops))
    return found


def _changes(what: str, before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    old, new = set(before), set(after)
    yield from (f"{what}: - {line}" for line in before if line not in new)
    yield from (f"{what}: + {line}" for line in after if line not in old)
    if old == new and before != after:
        yield f"{what}: the same, in another order"


def concern_cgroup2_only(changes: list[str]) -> bool:
    """Other programs on the machine may take its options from it as well."""
    return bool(changes) and all(" - cgroup2 " in line for line in changes)


def _tables() -> dict[str, tuple[str, ...]]:
    """Of the machine's own table, and of those that receive from it, the store is left out: State.kept tells of it."""
    tables = {}
    seen = set()
    for process, inode in namespaces():
        if inode in seen:
            continue
        seen.add(inode)
        try:
            tables[_label(process)] = read_table(f"/proc/{process}/mountinfo")
        except OSError:
            continue  # it has ended
    own = tables[_label(1)]
    files = [line.split()[4] for line in own if type_of(line) == "nsfs" and line.split()[3].startswith("mnt:")]
    tables |= _tables_behind(files)
    for whose, table in tables.items():
        if whose == _label(1) or any(" master:" in line and line.split()[4] == "/run" for line in table):
            tables[whose] = tuple(line for line in table if not _is_store(line.split()[4]))
    return tables


def _is_store(mountpoint: str) -> bool:
    return mountpoint == STORE or mountpoint.startswith(STORE + "/")


def _tables_behind(files: list[str]) -> dict[str, tuple[str, ...]]:
    """Of namespaces that no process is in: one goes in, for a moment."""
    descriptors = [os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in files]
    answer = os.memfd_create("tables")
    child = os.fork()
    if child == 0:
        try:
            proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
            found = []
            for fd in descriptors:
                setns(fd)
                with open(os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc), errors="backslashreplace") as file:
                    found.append(file.read().splitlines())
            with open(answer, "w", closefd=False) as file:
                json.dump(found, file)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    for fd in descriptors:
        os.close(fd)
    with open(answer) as file:
        file.seek(0)
        return {f"file {name}": tuple(table) for name, table in zip(files, json.load(file), strict=True)}


def namespaces() -> Iterator[tuple[int, int]]:
    """Each process of the machine, the oldest first, and its mount namespace."""
    for process in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal()):
        try:
            yield process, os.stat(f"/proc/{process}/ns/mnt").st_ino
        except OSError:
            continue  # it has ended


def processes() -> frozenset[str]:
    found = set()
    for entry in os.listdir("/proc"):
        try:
            if entry.isdecimal():
                found.add(_label(int(entry)))
        except OSError:
            continue
    return frozenset(found)


def _label(process: int) -> str:
    return f"process {process} {Path(f'/proc/{process}/comm').read_text().strip()}"


def _reap() -> None:
    """Processes whose parent has died are process 1's children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _kept() -> list[str]:
    """The names, not what a crash has left among them: that is for the next command."""
    return [name for name in os.listdir(STORE) if name[0] != "."] if os.path.isdir(STORE) else []


def _files() -> Iterator[str]:
    """All files that the machine has in memory, with their mode and size, but for the store and WORK."""
    for top in ("/run", "/srv"):
        for directory, below, names in os.walk(top):
            below[:] = [name for name in below if os.path.join(directory, name) not in (STORE, WORK)]
            for name in (*below, *names):
                path = os.path.join(directory, name)
                found = os.lstat(path)
                size = found.st_size if stat.S_ISREG(found.st_mode) else 0
                yield f"{path} {found.st_mode:o} {found.st_uid} {size}"


def _loops() -> Iterator[str]:
    """Those of the machine's own images: tests beside this one have loop devices too."""
    for device in Path("/sys/block").glob("loop*"):
        try:
            file = Path(device, "loop/backing_file").read_text().strip()
        except OSError:
            continue  # it is free
        if file.startswith(IMAGES):
            yield f"{device.name} {file}"


def with_systemds_options(before: State) -> State:
    """Where another program on the machine has taken cgroup2's options away, they are set again."""
    (line, *_) = (line for line in before.tables[_label(1)] if type_of(line) == "cgroup2")
    if set(cgroup2.OPTIONS) <= set(cgroup2.options_in(line)):
        return before
    cgroup2.set_options(cgroup2.OPTIONS)
    return look()


def restore(before: State) -> None:
    """Give a superblock that the machine has once its options back; other tests need it, and so does the machine."""
    now = read_table("/proc/self/mountinfo")
    for line in before.tables[_label(1)]:
        if line in now:
            continue
        if type_of(line) in ("debugfs", "tracefs"):
            target, options = line.split()[4], line.rpartition(" ")[2].removeprefix("rw").strip(",")
            mount("", target, flags=MS_REMOUNT, data=",".join(("mode=0700,uid=0,gid=0", options)).strip(","))
        elif type_of(line) == "cgroup2":
            cgroup2.set_options(cgroup2.options_in(line))


def type_of(line: str) -> str:
    return line.partition(" - ")[2].split()[0]


def read_table(path: str) -> tuple[str, ...]:
    return tuple(Path(path).read_bytes().decode("utf-8", "backslashreplace").splitlines())

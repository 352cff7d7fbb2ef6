"""What the commands of util-linux and coreutils that a script runs do: words -> calls, and the exit status."""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

from mountplan.planner.attributes import NODEV, NOEXEC, NOSUID
from mountplan.planner.commands import actions as a
from mountplan.planner.commands.descriptor_commands import CALLS
from mountplan.planner.commands.file_commands import FILE_COMMANDS
from mountplan.planner.commands.mount_actions import matches_type, only_looks
from mountplan.planner.commands.mount_actions import mount as mount_words
from mountplan.planner.commands.script_calls import Program, ScriptCalls
from mountplan.planner.commands.util_linux import (
    KNOWS_OVERMOUNTS,
    UmountWords,
    UnshareWords,
    Unusable,
    read_mkdir,
    read_nsenter,
    read_umount,
    read_unshare,
)
from mountplan.planner.model import Superblock
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow

FAILED = 1  # the exit status of most commands
# What umount -a leaves out of itself.
_NOT_OF_ALL = "noproc,nodevfs,nodevpts,nosysfs,norpc_pipefs,nonfsd,noselinuxfs"
# Of mount(8) and umount(8), of chroot(1), of mountpoint(1)
_MOUNT_FAILED, _NO_CHROOT, _NO_MOUNTPOINT = 32, 125, 32


class Starter(NamedTuple):
    """A program that prepares its process, which returns a status, and then becomes another: `command`."""

    prepare: Callable[[], int]
    command: tuple[str, ...]


def mount(calls: ScriptCalls, arguments: list[str]) -> int:
    if only_looks(arguments):
        return look(calls, arguments) if not {"-V", "--version", "-h", "--help"} & set(arguments) else 0
    return mount_words(calls, arguments)


def umount(calls: ScriptCalls, arguments: list[str]) -> int:
    words = read_umount(arguments)
    if words.fake:
        return 0
    status = 0
    if not calls.current.user.capable:
        calls.make(a.Unmount(words.targets[0] if words.targets else "/", words.lazy))
        return FAILED
    if words.every:
        return _umount_every(calls, words)
    for target in words.targets:
        target = calls.loop_of(target)
        if words.all_targets:
            failed = _umount_all_targets(calls, target, words)
        elif words.recursive:
            failed = _umount_recursively(calls, target, words.lazy)
        else:
            failed = _umount_one(calls, target, words)
        status += failed
    return min(status, 255)


def _umount_one(calls: ScriptCalls, target: str, words: UmountWords) -> int:
    row = calls.row(target)
    by_source = row is not None and row.mountpoint != calls.absolute(target)
    path = row.mountpoint if row is not None else calls.canonical(target)
    if by_source and row != calls.row(path):  # it is covered there, and umount(8) does not try
        calls.make(a.Unmount(target, words.lazy))
        return FAILED
    if calls.make(a.Unmount(path, words.lazy)):
        return 0
    if words.read_only and calls.done[-1].errno == errno.EBUSY:
        raise Unusable("umount: -r of what is busy is not followed", "versions differ in that; write the remount out")
    return _MOUNT_FAILED


def _umount_every(calls: ScriptCalls, words: UmountWords) -> int:
    """umount -a: all that is shown, the last first; the status has what any of them failed with."""
    status = 0
    for row in reversed(calls.rows()):
        if matches_type(row.fstype, words.types or _NOT_OF_ALL):
            status |= 0 if calls.make(a.Unmount(row.mountpoint, words.lazy)) else _MOUNT_FAILED
    return status


def _umount_all_targets(calls: ScriptCalls, target: str, words: UmountWords) -> int:
    """umount -A: wherever the filesystem is mounted, the last first."""
    row = calls.row(target)
    if row is None:
        calls.make(a.Unmount(target, words.lazy))  # umount(8) does not try, but the reason is the same
        return FAILED
    rows = calls.rows()
    for one in reversed(rows):
        if one.device == row.device and not _umount_each(calls, rows if words.recursive else (), one, words.lazy):
            return _MOUNT_FAILED
    return 0


def _umount_recursively(calls: ScriptCalls, target: str, lazy: bool) -> int:
    """Children first, each by its path, as umount(8) has it in the mount table."""
    # Up to 2.39 it begins with the last in the table that is mounted there, later with the first.
    path = calls.absolute(target)
    rows = calls.world.rows_below(calls.current, path, lambda: calls.util_linux >= KNOWS_OVERMOUNTS)
    if not rows:
        calls.make(a.Unmount(target, lazy))  # umount(8) does not try, but the reason is the same
        return FAILED
    return 0 if _umount_each(calls, rows, rows[0], lazy) else _MOUNT_FAILED


def _umount_each(calls: ScriptCalls, rows: Iterable[MountRow], top: MountRow, lazy: bool) -> bool:
    """`top`, and before it what of `rows` is below it: first what covers it, then the other children, of which up to
    2.39 the oldest comes first, which others may cover.
    """
    children: dict[int, list[MountRow]] = {}
    for row in rows:
        if row.mount_id != row.parent_id:
            children.setdefault(row.parent_id, []).append(row)
    youngest_first = all(len(some) == 1 for some in children.values()) or calls.util_linux >= KNOWS_OVERMOUNTS
    order, waiting = [], [top]
    while waiting:  # parents before their children: the reverse of what is wanted
        row = waiting.pop()
        order.append(row)
        below = sorted(children.get(row.mount_id, ()), reverse=youngest_first)
        waiting += sorted(below, key=lambda one: one.mountpoint != row.mountpoint)
    # What another has taken along is passed over.
    left = (row.mountpoint for row in reversed(order) if calls.is_mountpoint(row.mountpoint))
    return all(calls.make(a.Unmount(path, lazy)) for path in left)


def mkdir(calls: ScriptCalls, arguments: list[str]) -> int:
    parents, paths = read_mkdir(arguments)
    return calls.each(a.MakeDirectory(path, parents) for path in paths)


def rmdir(calls: ScriptCalls, arguments: list[str]) -> int:
    return calls.each(a.RemoveDirectory(path) for path in paths_of("rmdir", arguments))


def pivot_root(calls: ScriptCalls, arguments: list[str]) -> int:
    if len(arguments) != 2:
        raise Unusable("pivot_root takes two directories", "pivot_root NEW_ROOT PUT_OLD")
    return 0 if calls.make(a.PivotRoot(*arguments)) else FAILED


def mountpoint(calls: ScriptCalls, arguments: list[str]) -> int:
    """mountpoint(1): whether the path is one, as the mount table has it."""
    paths = [one for one in arguments if one not in ("-q", "--quiet", "--nofollow")]
    if len(paths) != 1 or paths[0].startswith("-"):
        raise Unusable(f"mountpoint {' '.join(arguments)} is not followed", "write mountpoint -q PATH")
    path = calls.absolute(paths[0])
    return 0 if calls.is_mountpoint(path) else _NO_MOUNTPOINT


def change_directory(calls: ScriptCalls, arguments: list[str], here: str) -> str | None:
    """cd, in a directory that the shell knows by the name `here`: by which name it knows the new one; None if it fails.

    `..` takes a name away, whatever symbolic link that is (cd -L).
    """
    paths = paths_of("cd", arguments)
    path = paths[0] if paths else "/"
    whole = f"/{posixpath.normpath(posixpath.join(here, path)).lstrip('/')}"
    named = calls.links and ".." in path.split("/")
    return whole if calls.make(a.ChangeDirectory(whole if named else path)) else None


def look(calls: ScriptCalls, arguments: list[str]) -> int:
    calls.see(calls.line, calls.process)
    return 0


def unshare(calls: ScriptCalls, arguments: list[str]) -> Starter:
    words = read_unshare(arguments)
    if words.files and words.user and not words.mount:
        raise Unusable("unshare: whether the files can be bound hangs on the version", "add --mount, or leave -U out")

    def prepare() -> int:
        if status := _unshare(calls, words) or calls.all(_unshare_actions(words)):
            return status
        if not words.proc:
            return 0
        if not words.root and words.propagation != ("private", True):
            calls.make(a.ChangeKind(words.proc, "private", True))
        return calls.all([a.MountNew("proc", "proc", words.proc, NOSUID | NODEV | NOEXEC)])

    return Starter(prepare, words.command)


def _unshare(calls: ScriptCalls, words: UnshareWords) -> int:
    """unshare(2), and the files of the new namespaces. Where the mounts are new, a child binds them among the old."""
    process = calls.process
    child = -process if words.files and words.mount else process
    if child != process:
        calls.make(a.Fork(child))
    status = 0
    if words.mount or words.user:
        status = calls.all([a.Unshare(words.user, words.mount)])
    for kind, file in words.files if not status else ():
        if not calls.make(a.BindNamespaceFile(process, kind, file), child):
            if words.forks:
                raise Unusable("unshare: what --fork has started goes on without the file", "leave one of the two out")
            status = FAILED
            break
    if child != process:
        calls.make(a.End(), child)
    return status


def _unshare_actions(words: UnshareWords) -> Iterator[a.Action]:
    if words.mount and words.propagation is not None:
        yield a.ChangeKind("/", *words.propagation)
    if words.root:
        yield a.ChangeRoot(words.root)
    if words.directory:
        yield a.ChangeDirectory(words.directory)
    if words.drops_groups:
        yield a.DropGroups()
    if words.user and not words.mapped:
        yield a.LoseCapabilities()


def nsenter(calls: ScriptCalls, arguments: list[str]) -> Starter:
    words = read_nsenter(arguments)
    actions = list[a.Action]()
    for kind, file in words.files:
        found = calls.namespace_file(file)
        if found is None:
            actions.append(a.EnterFile(file, kind))
        elif found[0] != kind:
            raise Unusable(f"nsenter: {file} is no file of that kind of namespace", "name another")
        elif kind == "mnt":
            actions.append(a.Enter(found[1]))
    if words.target:
        other = calls.number(words.target)
        if not other:
            raise Unusable(f"nsenter: {words.target} is no process of this script", "name one as $$, $PPID or $!")
        if words.mount:
            actions.append(a.Enter(other, words.user))
        elif words.user:
            raise Unusable("nsenter: a user namespace of a process and files of others", "name the process for all")
    if words.drops_groups:
        actions.append(a.DropGroups())
    return Starter(lambda: calls.all(actions), words.command)


def chroot(calls: ScriptCalls, arguments: list[str]) -> Starter:
    given, words = [], list(arguments)
    while words and words[0].startswith("-") and (word := words.pop(0)) != "--":
        given.append(word)
    others = [
        one for one in given if not re.fullmatch("--userspec=(root|0)?(:(root|0)?)?|--groups=.*|--skip-chdir", one)
    ]
    if others or not words:
        what = f"chroot {others[0]} is not followed" if others else "chroot: there is no directory"
        raise Unusable(what, "name a directory, and as --userspec no other user than root")
    return Starter(lambda: calls.all([a.ChangeRoot(words[0])], _NO_CHROOT), tuple(words[1:]))


def switch_root(calls: ScriptCalls, arguments: list[str]) -> Starter:
    """switch_root(8), without what it deletes of the old root."""
    if len(arguments) < 2 or arguments[0].startswith("-"):
        raise Unusable("switch_root takes a directory and a program", "switch_root NEWROOT INIT")
    new = arguments[0].rstrip("/")

    def prepare() -> int:
        root, new_root = (_filesystem_at(calls, path) for path in ("/", new))
        for name in ("/dev", "/proc", "/sys", "/run"):
            there = _filesystem_at(calls, name)
            if there is None or there is root:  # nothing is mounted there
                continue
            if _filesystem_at(calls, f"{new}{name}") is not new_root:  # something is there already, or no directory
                calls.make(a.Unmount(name, True))
            elif not calls.make(a.MoveMount(name, f"{new}{name}")):
                calls.make(a.Unmount(name))
        return calls.all([a.ChangeDirectory(new), a.MoveMount(new, "/"), a.ChangeRoot(".")])

    return Starter(prepare, tuple(arguments[1:]))


def _filesystem_at(calls: ScriptCalls, path: str) -> Superblock | None:
    """What stat(2) tells two places apart by."""
    place = calls.place(path)
    return None if place is None else place[0].superblock


def paths_of(program: str, arguments: list[str]) -> list[str]:
    """The arguments of a program of which no options are followed."""
    if arguments[:1] == ["--"]:
        return arguments[1:]
    for word in arguments:
        if word.startswith("-"):
            raise Unusable(f"{program}: {word} is not followed", "give paths only")
    return arguments


_PROGRAMS = (mkdir, mount, mountpoint, pivot_root, rmdir, umount)
PROGRAMS: dict[str, Program] = {**CALLS, **FILE_COMMANDS, **{program.__name__: program for program in _PROGRAMS}}
STARTERS: dict[str, Callable[[ScriptCalls, list[str]], Starter]] = {
    starter.__name__: starter for starter in (chroot, nsenter, switch_root, unshare)
}

"""The processes of a script and the calls that they make: what is done, what is seen, which program did it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping

from mountplan.planner.commands.actions import FIRST_PID, Action, MakeDirectory, Stage, Unmount
from mountplan.planner.commands.file_contents import FileContents
from mountplan.planner.commands.util_linux import AskVersion, Unusable, Version
from mountplan.planner.model import World, WouldRefuse
from mountplan.planner.model.objects import ModelNamespace, ModelNode, Place, Process
from mountplan.planner.model.to_table import path_of
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable


class Done(NamedTuple):
    """One system call of the script: who made it, where it stands, what it was, and the errno (0: it worked).

    `elsewhere` says what it did beyond what was asked for, in words.
    """

    line: int
    process: int
    action: Action
    errno: int
    why: str
    elsewhere: tuple[str, ...] = ()


class Ran(NamedTuple):
    """A program that a process ran: its words, the calls that it is taken to make (as a slice of `done`), its status.

    Of one that starts another, as unshare(1), that is its own part: it ends where it would execute the other.
    """

    line: int
    process: int
    words: tuple[str, ...]
    first: int
    last: int
    status: int


class SeenTable(NamedTuple):
    """What a process sees at one moment: where the script has `findmnt`, or at the end (line 0).

    `after` calls of the script have been made by then.
    """

    line: int
    after: int
    process: int
    namespace: str
    table: MountTable


Program = Callable[["ScriptCalls", list[str]], int]  # from its arguments to its status
Ask = Callable[[str], tuple[str, int] | None]
_MOST_TOLD = 4


def _some(paths: list[str], count: int) -> str:
    shown = ", ".join(paths[:_MOST_TOLD])
    return f"{shown} and {count - _MOST_TOLD} more" if count > _MOST_TOLD else shown


class ScriptCalls:
    """`process` is the one that makes the next call, and `line` where that stands.

    `ask` has what is said of a command, its output and its status, or None.
    """

    def __init__(self, stage: Stage, util_linux: AskVersion, files: Mapping[str, str], ask: Ask) -> None:
        self.stage = stage
        self._version = util_linux
        self.contents = FileContents(files)
        self.ask = ask
        self._loops: dict[tuple[str, ...], str] = {}  # image and options -> device
        self.process = 1
        self.told: tuple[str, ...] = ()  # words that say to the program that runs what was answered: it cannot ask
        self.programs: set[str] = set()  # paths of which `command -v` has said that they are programs
        self.links = False  # whether the script has made symbolic links
        self.line = 0
        self.done: list[Done] = []
        self.seen: list[SeenTable] = []
        self.ran: list[Ran] = []

    @property
    def world(self) -> World:
        return self.stage.world

    @property
    def util_linux(self) -> Version:
        return self._version()

    @property
    def current(self) -> Process:
        return self.stage.processes[self.process]

    def place(self, path: str) -> Place | None:
        """Where a path leads this process; None if it cannot go there."""
        try:
            return walk(self.current, path)
        except WouldRefuse:
            return None

    def has_descriptor(self, name: str) -> bool:
        return self.stage.has_descriptor(self.process, name)

    def loop_device(self, image: str, options: tuple[str, ...]) -> str:
        """The device through which an image is mounted, the same one each time; the numbers are the script's own."""
        named = next((one.partition("=")[2] for one in options if one.startswith("loop=")), "")
        others = sorted(one for one in options if one.partition("=")[0] != "loop")
        key = self.absolute(image), *others
        return self._loops.setdefault(key, named or f"/dev/loop{len(self._loops)}")

    def loop_of(self, target: str) -> str:
        """The device of an image, by which umount(8) finds it; anything else as it is."""
        path = self.absolute(target)
        return next((device for key, device in self._loops.items() if key[0] == path), target)

    def make(self, action: Action, process: int = 0) -> bool:
        """One call, by this process or another; whether it worked."""
        process = process or self.process
        below = self._below(process, action) if isinstance(action, Unmount) and action.lazy else []
        before = len(self.world.spread)
        try:
            self.stage.perform(process, action)
        except WouldRefuse as refusal:
            self.done.append(Done(self.line, process, action, refusal.errno, refusal.why))
            return False
        elsewhere = self._elsewhere(process, before) if len(self.world.spread) > before else []
        if below:
            elsewhere.insert(0, f"what was mounted below it went too: {_some(below, len(below))}")
        self.done.append(Done(self.line, process, action, 0, "", tuple(elsewhere)))
        return True

    def _below(self, number: int, action: Unmount) -> list[str]:
        """The paths of what hangs on a mount that is to go."""
        process = self.stage.processes[number]
        try:
            mount, _ = into_mounts(*walk(process, action.target))
        except WouldRefuse:
            return []
        return [path_of((one, one.root), process.root) or "what is not to be seen" for one in mount.tree()[1:]]

    def _elsewhere(self, number: int, before: int) -> list[str]:
        """What came and went beyond what a call asked for: one sentence for each namespace."""
        found: dict[tuple[bool, ModelNamespace], list[Place]] = {}
        for spread in self.world.spread[before:]:
            namespace = spread.place[0].namespace
            if namespace is not None:
                found.setdefault((spread.came, namespace), []).append(spread.place)
        processes = self.stage.processes
        views = {process.namespace: (f" in {name}", process) for name, process in self.stage.outside.items()}
        views |= {
            process.namespace: (f" for process {one}", process) for one, process in sorted(processes.items())[::-1]
        }
        views[processes[number].namespace] = "", processes[number]
        told = []
        for (came, namespace), places in found.items():
            if namespace not in views:
                continue  # nobody is in it
            there, process = views[namespace]
            paths = [path_of(place, process.root) or "a place that is not to be seen" for place in places[:_MOST_TOLD]]
            told.append(f"{'appeared' if came else 'went'}{there} at {_some(paths, len(places))} too")
        more = len(told) - _MOST_TOLD
        return [*told[:_MOST_TOLD], f"and in {more:,} namespaces more"] if more > 0 else told

    def all(self, actions: Iterable[Action], failed: int = 1) -> int:
        """Calls in their order up to the first that fails; the status of the program that makes them."""
        return 0 if all(self.make(action) for action in actions) else failed

    def each(self, actions: Iterable[Action]) -> int:
        """Calls whether one before them fails or not; the status of the program that makes them."""
        worked = [self.make(action) for action in actions]
        return 0 if all(worked) else 1

    def program(self, words: tuple[str, ...], carry_out: Callable[[], int], *, always: bool = False) -> int:
        """Note down what a program does; with `always` also if it makes no call."""
        line, process, first = self.line, self.process, len(self.done)
        self.told = ()
        status = carry_out()
        if always or len(self.done) > first:
            self.ran.append(Ran(line, process, (words[0], *self.told, *words[1:]), first, len(self.done), status))
        return status

    def rows(self) -> tuple[MountRow, ...]:
        return self.world.table(self.current).rows

    def row(self, place: str) -> MountRow | None:
        """What stands last in the mount table with this mountpoint, or else with this source."""
        row = self.world.row(self.current, self.absolute(place))
        if row is None and any(mount.source == place for mount in self.current.namespace.mounts):
            row = next((one for one in reversed(self.rows()) if one.source == place), None)
        return row

    def is_mountpoint(self, path: str) -> bool:
        return self.world.row(self.current, path) is not None

    def absolute(self, path: str) -> str:
        process = self.current
        if self.links and (place := self.place(path)) is not None:
            return path_of(place, process.root) or path  # as libmount has it: mount points without symbolic links
        words = path.split("/")
        after = len(words) - words[::-1].index("..") if ".." in words else 0
        start = self.place("/".join(words[:after])) if after else process.cwd
        if start is None:
            return path  # what stands before .. has to be there, and so no table has it
        here = path_of(start, process.root) if after or not path.startswith("/") else ""
        if here is None:
            return path  # getcwd(3) fails, and so no table has it
        whole = f"{here}/{'/'.join(words[after:])}"
        return f"/{posixpath.normpath(whole).lstrip('/')}"

    def canonical(self, path: str) -> str:
        """As realpath(3) has a relative path, for which programs of util-linux ask: by name, from the root.

        What is mounted on such a name since the process went there is in the way, then.
        """
        if path.startswith("/"):
            return path
        place = self.place(path)
        name = path_of(place, self.current.root) if place is not None else None
        return name if name and self.place(name) is not None else path  # where realpath(3) fails, as it is

    def node(self, path: str) -> ModelNode | None:
        """What has this name, symbolic links not followed at its end; None if there is none that is known of."""
        head, _, name = path.rstrip("/").rpartition("/")
        is_last = name in ("", ".", "..")
        place = self.place(path if is_last else head or ("/" if path.startswith("/") else "."))
        if place is None:
            return None
        node = place[1]
        return node if is_last else node.superblock.find(node, name) if node.is_directory else None

    def forget(self, path: str) -> None:
        """From here on it is not known what `path` is, nor what is in it: something has been put there."""
        node = self.node(path)
        if node is None and self.make(MakeDirectory(path)):
            node = self.node(path)
        if node is not None and node.is_directory:
            node.unknown = True
        elif node is not None:
            self.contents.write(self.current, path, None)

    def namespace_file(self, path: str) -> tuple[str, int] | None:
        """The kind and the process of /proc/PID/ns/KIND, where a proc is mounted; None if `path` is something else."""
        place = self.place(path)
        found = re.fullmatch("/(self|thread-self|[0-9]+)/ns/([a-z]+)", place[1].path) if place is not None else None
        if place is None or found is None or place[1].superblock.fstype != "proc":
            return None
        number = self.number(found[1]) if found[1].isdecimal() else self.process
        if not number:
            raise Unusable(f"{path}: {found[1]} is no process of this script", "name one as $$, $PPID or $!")
        return found[2], number

    def number(self, word: str) -> int:
        """Which of the script's processes has this pid; 0 if none has."""
        number = int(word) - FIRST_PID if len(word) < 11 and word.isascii() and word.isdecimal() else 0
        return number if number in self.stage.processes else 0

    def see(self, line: int, number: int) -> None:
        process = self.stage.processes[number]
        table = self.world.table(process)
        self.seen.append(SeenTable(line, len(self.done), number, process.namespace.name, table))

    def see_all(self) -> None:
        """One look into each namespace that is left, through the process that came there first."""
        known = set()
        for number, process in sorted(self.stage.processes.items()):
            if process.namespace not in known:
                known.add(process.namespace)
                self.see(0, number)

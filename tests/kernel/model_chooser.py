"""Random sequences for the differential test: each call is chosen by what stands there when it is made."""

from __future__ import annotations

import random

from mountplan.planner.attributes import (
    ATIME_MASK,
    NOATIME,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOSUID,
    RDONLY,
    STRICTATIME,
)
from mountplan.planner.model import Process, WouldRefuse
from mountplan.planner.model.walking import walk
from mountplan.planner.tables.table import MountRow
from tests.kernel import model_machine
from tests.kernel.model_driver import Call, Model, Run
from tests.kernel.model_layout import DIRECTORIES, FILES

KINDS = ("shared", "shared", "shared", "slave", "slave", "private", "unbindable")
MAX_SESSIONS = 3
MAX_MOUNTS = 120  # of all namespaces together: beyond it only calls that make no more are chosen
# Root of a mount -> the paths below it. Directories stand there twice, as more can be done with them.
INSIDE = {
    root: tuple(
        name[len(root.rstrip("/")) :]
        for name in (*DIRECTORIES, *DIRECTORIES, *FILES)
        if name.startswith(root.rstrip("/") + "/")
    )
    for root in ("/", *DIRECTORIES)
}


class Chooser:
    """Chooses the next call by what stands there now, so that mounts meet often; all from one seed."""

    def __init__(self, seed: int, only: frozenset[str] | None = None) -> None:
        self.random = random.Random(seed)
        self.length = self.random.randint(10, 80)
        self.next = 1
        self.process: Process
        # Much of what is worth trying begins with everything shared, or with several namespaces.
        self.prelude: list[Call] = []
        if self.random.random() < 0.5 and (only is None or "change" in only):
            self.prelude.append((0, "change", "/", "shared", True))
        if self.random.random() < 0.4 and (only is None or "clone" in only):
            self.prelude.append((0, "clone", self.number()))
        if self.random.random() < 0.15 and (only is None or "clone_user" in only):
            self.prelude.append((0, "clone_user", self.number()))
        weights = {
            "new": 14,
            "bind": 16,
            "rbind": 10,
            "change": 18,
            "change_handle": 3,
            "umount": 14,
            "move": 7,
            "clone": 3,
            "clone_user": 1,
            "leave": 1,
            "remount": 3,
            "pivot": 3,
            "open": 5,
            "clone_tree": 7,
            "clone_handle": 2,
            "fsmount": 3,
            "attach": 9,
            "close": 4,
            "set_group": 7,
            "beneath": 5,
            "set_attributes": 6,
            "mkdir": 2,
            "rmdir": 4,
            "unlink": 1,
            "rename": 3,
        }
        # Each sequence has its own favourites: one that rarely unmounts grows, one that shares much propagates much.
        chosen = [name for name in weights if only is None or name in only]
        self.names = chosen
        if self.random.random() < 0.6:  # most sequences keep the directories that many mounts meet in
            for name in ("mkdir", "rmdir", "unlink", "rename"):
                weights[name] = 0
        self.weights = [weights[name] * self.random.choice((0.3, 1, 1, 2)) for name in chosen]
        self.flags_often = self.random.random() < 0.2

    def call(self, run: Run) -> Call:
        model = run.model
        if self.prelude:
            return self.prelude.pop(0)
        session = self.random.choice(list(model.sessions))
        self.process = model.sessions[session]
        rows = run.tables[session]
        crowded = sum(len(one.mounts) for one in model.world.namespaces) > MAX_MOUNTS
        while True:
            (name,) = self.random.choices(self.names, self.weights)
            if crowded and name in ("new", "bind", "rbind", "clone", "clone_user", "attach", "move", "beneath"):
                if not ({"umount", "leave", "close"} & set(self.names)):
                    return (session, "change", self.path(rows), "private", True)
                continue
            call = self._choose(name, session, model, rows)
            if call is not None:
                return call

    def _choose(self, name: str, session: int, model: Model, rows: tuple[MountRow, ...]) -> Call | None:
        choose = self.random.choice
        likely = self.random.random

        def path() -> str:
            return self.path(rows)

        def mount() -> str:
            return self.mountpoint(rows)

        handles = list(model.handles)
        match name:
            case "new":
                return (session, "new", path(), f"t{self.number()}", self.flags() & ~RDONLY)
            case "bind":
                return (session, "bind", path(), path(), False)
            case "rbind":
                return (session, "bind", path(), path(), True)
            case "move":
                return (session, "move", mount(), path())
            case "change":
                return (session, "change", mount(), choose(KINDS), likely() < 0.3)
            case "change_handle" if handles:
                return (session, "change_handle", choose(handles), choose(KINDS), likely() < 0.4)
            case "umount":
                target = mount()
                lazy = likely() < 0.4
                if target == "/" and (not lazy or likely() < 0.8):
                    return None  # would make the filesystem read-only, or leave the session with nothing
                return (session, "umount", target, lazy)
            case "remount":
                return (session, "remount", mount(), self.flags())
            case "pivot":
                new = mount()
                old = choose((new, new + choose(DIRECTORIES), path()))
                return (session, "pivot", new, old)
            case "clone" | "clone_user" if len(model.sessions) < MAX_SESSIONS:
                return (session, name, self.number())
            case "leave" if len(model.sessions) > 1:
                return (session, "leave", choose(list(model.sessions)))
            case "open":
                return (session, "open", self.number(), path(), False, False)
            case "clone_tree":
                return (session, "open", self.number(), path(), True, likely() < 0.5)
            case "clone_handle" if handles:
                return (session, "clone_handle", self.number(), choose(handles), likely() < 0.5)
            case "fsmount":
                return (session, "fsmount", self.number(), self.attributes() & ~RDONLY)
            case "attach" if handles:
                onto = choose(handles) if likely() < 0.15 else path()
                return (session, "move_mount", choose(handles), onto, 0)
            case "close" if handles:
                return (session, "close_handle", choose(handles))
            case "set_group":
                pair = [choose(handles) if handles and likely() < 0.4 else mount() for _ in range(2)]
                return (session, "move_mount", *pair, model_machine.MOVE_MOUNT_SET_GROUP)
            case "beneath":
                source = choose(handles) if handles and likely() < 0.6 else mount()
                return (session, "move_mount", source, mount(), model_machine.MOVE_MOUNT_BENEATH)
            case "mkdir" | "rmdir" | "unlink":
                row = choose(rows) if rows else None
                inner = choose((*DIRECTORIES, *FILES)) if name == "unlink" else choose(DIRECTORIES)
                found = (row.mountpoint.rstrip("/") if row is not None else "") + inner
                return (session, name, found) if name == "mkdir" else (session, "remove", found, name == "rmdir")
            case "rename":
                return (session, "rename", path(), path() + choose(("", "/n")))
            case "set_attributes":
                where = choose(handles) if handles and likely() < 0.4 else mount()
                bits = self.attributes()
                clear = choose((0, 0, NOSUID, NODEV, RDONLY, NOEXEC | RDONLY, NODIRATIME))
                if bits & ATIME_MASK or likely() < 0.1:
                    clear |= ATIME_MASK
                if clear & ATIME_MASK and not bits & ATIME_MASK:
                    bits |= choose((0, NOATIME, STRICTATIME))
                kind = choose(KINDS) if likely() < 0.5 else None
                return (session, "set_attributes", where, bits, clear, kind, likely() < 0.4)
        return None

    def number(self) -> int:
        self.next += 1
        return self.next

    def mountpoint(self, rows: tuple[MountRow, ...]) -> str:
        if not rows or self.random.random() < 0.05:
            return self.path(rows)
        return self.random.choice(rows).mountpoint

    def path(self, rows: tuple[MountRow, ...]) -> str:
        """Mostly a directory in some mount, sometimes a file, a mountpoint itself, or a name that is not there."""
        found = "/"
        for _ in range(4):
            dice = self.random.random()
            if not rows or dice < 0.02:
                return self.random.choice((*DIRECTORIES, *FILES, "/", "/missing"))
            row = self.random.choice(rows)
            below = INSIDE.get(row.root, ())
            if dice < 0.12 or not below:
                found = row.mountpoint
            else:
                found = (row.mountpoint if row.mountpoint != "/" else "") + self.random.choice(below)
            try:
                walk(self.process, found)
            except WouldRefuse:
                continue  # what lies on the way to it is covered: another one, mostly
            break
        return found

    def flags(self) -> int:
        if not self.flags_often and self.random.random() < 0.8:
            return 0
        return self.random.choice((RDONLY, NOSUID, NODEV, NOEXEC, NOSUID | NODEV, RDONLY | NOEXEC))

    def attributes(self) -> int:
        if self.random.random() < 0.3:
            return 0
        return self.flags() | self.random.choice((0, 0, 0, NOATIME, STRICTATIME, NODIRATIME))

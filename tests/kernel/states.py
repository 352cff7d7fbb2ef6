"""Mount states by chance, made with the classic calls only: mount(2), umount2(2), unshare(2), pivot_root(2).

A state is a list of acts, so that a failing one can be made smaller; an act that the kernel refuses is passed over.
Each namespace has a process of its own, which acts when it is told to.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import random
import re
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from tests.hosts import CLONE_NEWNS, mount, prctl, umount, unshare
from tests.mountflags import (
    MNT_DETACH,
    MS_BIND,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_UNBINDABLE,
)

PR_SET_PDEATHSIG = 1

MOST_NAMESPACES = 3
_libc = ctypes.CDLL(None, use_errno=True)

FLAGS = (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME, MS_STRICTATIME)
KINDS = {"shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE, "unbindable": MS_UNBINDABLE}
OPTIONS = ("", "", "", "size=1m", "mode=0755", "size=64k,mode=0700", "nr_inodes=100", "uid=7,gid=8", "size=12345")
SKELETON = ("a", "b", "c", "a/a", "a/b", "b/a", "a/a/a", "b/a/c")
# Nothing is mounted there: what an overlay shows of its layers is just where they were when it was mounted.
LAYERS = ("/layers/a", "/layers/b", "/layers/c")
CHANGES = "/layers/changes"
OVERLAY_NAMES = frozenset(",:\\")  # what is escaped in options
OVERLAY_OPTIONS = ("ro", "redirect_dir=nofollow", "redirect_dir=on", "metacopy=on", "userxattr", "index=on", "volatile")
FILES = ("f", "g", "a/f", "b/a/f")


class Act(NamedTuple):
    """One thing that the process of namespace `space` does."""

    space: int
    do: str
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Act({self.space}, {self.do!r}, {self.arguments!r})"


State = list[Act]


def chance_state(seed: int, length: int | None = None) -> State:
    """The state with this number. Mostly small."""
    return _Chance(random.Random(seed)).state(length)


class _Chance:
    """Chooses acts; it remembers roughly what is mounted where, so that most of them come to something."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mounted: list[list[str]] = [["/"]]  # by namespace
        self.count = 0

    def state(self, length: int | None) -> State:
        rng = self.rng
        if length is None:
            length = rng.choice((1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 40))
        acts = [Act(0, "begin", (rng.random() < 0.1,))]
        if rng.random() < 0.4:
            acts.append(Act(0, "make", ("/", "shared", False)))
        acts += [self.act() for _ in range(length)]
        if len(self.mounted) > 1 and self.chance(0.4):
            acts.append(Act(rng.randrange(len(self.mounted)), "leave out"))
        return acts

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def path(self) -> str:
        if self.chance(0.1):
            return "/" + "/".join(self.rng.choices("abc", k=self.rng.randint(1, 4)))
        return "/" + self.rng.choice(SKELETON)

    def mountpoint(self, space: int, most_likely: float = 0.9) -> str:
        """Probably one at which something is mounted."""
        return self.rng.choice(self.mounted[space]) if self.chance(most_likely) else self.path()

    def target(self, space: int) -> str:
        """Where something is to be mounted: anywhere, below a mount, or upon one."""
        if self.chance(0.03):
            return "/"
        if self.chance(0.3):
            below = self.mountpoint(space)
            return below if self.chance(0.4) else below.rstrip("/") + self.path()
        return self.path()

    def file(self) -> str:
        return "/" + self.rng.choice(FILES)

    def source(self, usual: str) -> str:
        """Mostly what the filesystem is called; an empty one, or whatever."""
        return usual if self.chance(0.4) else self.rng.choice(("", f"t{self.count}", "none", "with space", "?", "-"))

    def overlay(self, space: int) -> tuple[Any, ...]:
        """One whose layers may be anywhere, so that they move, are covered and go; told in all ways that paths have."""
        rng = self.rng
        if self.chance(0.4):
            lower = tuple(rng.sample(LAYERS, rng.randint(1, 3)))
            upper = CHANGES
        else:
            below = self.mountpoint(space).rstrip("/")
            lower = tuple(
                below + path for path in rng.sample(("/a", "/b", "/a/b", "/b/a", "/x,y", "/x:y\\z"), rng.randint(1, 3))
            )
            upper = self.mountpoint(space).rstrip("/") + rng.choice(("", "/a", "/x,y"))
        if not self.chance(0.6) and len(lower) > 1:
            upper = ""
        how = rng.choice(("absolute", "absolute", "relative", "dots", "again")) if self.chance(0.5) else "absolute"
        extra = rng.choice(OVERLAY_OPTIONS) if self.chance(0.3) else ""
        return self.target(space), lower, upper, self.source("overlay"), how, extra, self.chance(0.6)

    def act(self) -> Act:
        rng = self.rng
        self.count += 1
        space = rng.randrange(len(self.mounted))
        what = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if what == "unshare":
            if len(self.mounted) < MOST_NAMESPACES:
                self.mounted.append(list(self.mounted[space]))
                return Act(space, "unshare", (self.chance(0.4),))
            what = "make"
        mounted = self.mounted[space]
        arguments: tuple[Any, ...]
        if what == "tmpfs":
            flags = rng.choice(FLAGS) if self.chance(0.15) else 0
            arguments = (self.target(space), self.source("tmpfs"), rng.choice(OPTIONS), flags)
            mounted.append(arguments[0])
        elif what in ("bind", "rbind"):
            source = self.mountpoint(space, 0.5)
            if self.chance(0.3):
                source = source.rstrip("/") + self.path()
            arguments = (source, self.target(space))
            mounted.append(arguments[1])
        elif what == "bind file":
            below = self.mountpoint(space).rstrip("/") if self.chance(0.4) else ""
            arguments = (self.file(), below + self.file())
            mounted.append(arguments[1])
        elif what == "move":
            arguments = (self.mountpoint(space), self.target(space))
            mounted.append(arguments[1])
        elif what == "make":
            kind = rng.choice(("shared", "shared", "shared", "slave", "slave", "slave", "private", "unbindable"))
            arguments = (self.mountpoint(space), kind, self.chance(0.3))
        elif what == "remount":
            arguments = (self.mountpoint(space), sum(rng.sample(FLAGS, rng.randint(0, 3))))
        elif what == "umount":
            path = self.mountpoint(space)
            arguments = (path if path != "/" else self.path(), self.chance(0.7))  # without "/" nothing would be left
        elif what == "kernel":
            fstype = rng.choice(("proc", "proc", "devpts", "mqueue", "sysfs", "ramfs", "cgroup2"))
            arguments = (fstype, self.target(space), self.source(fstype))
            mounted.append(arguments[1])
        elif what == "overlay":
            arguments = self.overlay(space)
            mounted.append(arguments[0])
        elif what == "rename":
            below = self.mountpoint(space).rstrip("/")
            arguments = (below + self.path(), f"{below}/renamed{self.count}")
        elif what == "remove":
            if self.chance(0.5):
                below = self.mountpoint(space).rstrip("/")
                arguments = (below + (self.path() if self.chance(0.5) else self.file()),)
            else:
                arguments = (self.path() if self.chance(0.5) else self.file(),)
        elif what == "special":
            kind = rng.choice(("fifo", "socket", "device", "file"))
            arguments = (kind, self.path() + f"/s{self.count}", self.file())
        elif what == "pivot":
            arguments = (self.mountpoint(space),)
        elif what == "chroot":
            arguments = (self.path(),)
        else:  # "top"
            arguments = ("/",)
        return Act(space, what, arguments)


_WEIGHTS = {
    "tmpfs": 20, "bind": 18, "rbind": 6, "bind file": 7, "move": 4, "make": 28, "remount": 5, "umount": 8, "kernel": 3,
    "overlay": 6, "unshare": 6, "remove": 3, "rename": 1, "special": 2, "pivot": 1, "top": 1, "chroot": 0.5,
}  # fmt: skip


class Actor:
    """What the process of one namespace can do."""

    changes = ""  # where the last overlay keeps its changes

    def begin(self, inherit: bool) -> None:
        """A root of its own, or (rarely) a copy of the host's tree, in which everything happens below /mnt."""
        unshare(CLONE_NEWNS)
        mount("", "/", flags=MS_REC | MS_PRIVATE)
        mount("base", "/mnt", "tmpfs", data="mode=0755")
        self.populate("/mnt")
        for name in ("/layers", *LAYERS, CHANGES):
            os.mkdir(f"/mnt{name}")
        os.chdir("/mnt")
        self.base = "/mnt" if inherit else ""
        if not inherit:
            self.pivot("/mnt", "")

    def _are_groups(self, path: str) -> bool:
        """Whether directories at a path are, or would be, control groups of the machine."""
        return any(os.path.exists(f"{self.at(one)}/cgroup.procs") for one in (path, os.path.dirname(path)))

    def populate(self, path: str) -> None:
        for name in SKELETON:
            os.mkdir(f"{path}/{name}")
        for name in FILES:
            os.close(os.open(f"{path}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))

    def at(self, path: str) -> str:
        return self.base + path if path != "/" else self.base or "/"

    def tmpfs(self, path: str, source: str, options: str, flags: int) -> None:
        mount(source, self.at(path), "tmpfs", flags, options)
        with contextlib.suppress(OSError):
            self.populate(self.at(path))

    def kernel(self, fstype: str, path: str, source: str) -> None:
        mount(source, self.at(path), fstype)

    def overlay(
        self, path: str, lower: tuple[str, ...], upper: str,
        source: str = "overlay", how: str = "absolute", extra: str = "", fill: bool = False,
    ) -> None:  # fmt: skip
        """With directories of its own for changes, in `upper`; or, "again", with those of the last one."""
        told: Callable[[str], str] = self.at
        if how == "relative":
            os.chdir(self.at("/"))
            told = lambda name: name.strip("/")  # noqa: E731
        elif how == "dots":
            told = lambda name: f"{self.at(name)}/../{name.rpartition('/')[2]}"  # noqa: E731
        for number, name in enumerate(lower):
            if OVERLAY_NAMES.intersection(name) and not self._are_groups(name):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.at(name))
            if fill:
                for entry in (f"only{number}", "all"):
                    with contextlib.suppress(OSError), open(f"{self.at(name)}/{entry}", "wb") as file:
                        file.write(b"x" * number)  # by its size it is known from which layer it comes
        options = "lowerdir=" + ":".join(_escaped(told(name)) for name in lower)
        if upper and self._are_groups(upper):
            upper = ""
        if upper:
            if how != "again" or not self.changes:
                with contextlib.suppress(FileExistsError):
                    if OVERLAY_NAMES.intersection(upper):
                        os.mkdir(self.at(upper))
                self.changes = f"{upper}/o{len(os.listdir(self.at(upper)))}"
                for name in ("", "/upper", "/work"):
                    os.mkdir(self.at(self.changes) + name)
            inner = [_escaped(told(f"{self.changes}/{name}")) for name in ("upper", "work")]
            options += ",upperdir={},workdir={}".format(*inner)
        flags = MS_RDONLY if extra == "ro" else 0
        mount(source, self.at(path), "overlay", flags, options + (f",{extra}" if extra and not flags else ""))
        with contextlib.suppress(OSError):
            os.mkdir(self.at(path) + "/a")

    def bind(self, source: str, target: str) -> None:
        mount(self.at(source), self.at(target), flags=MS_BIND)

    def rbind(self, source: str, target: str) -> None:
        mount(self.at(source), self.at(target), flags=MS_BIND | MS_REC)

    bind_file = bind

    def move(self, source: str, target: str) -> None:
        mount(self.at(source), self.at(target), flags=MS_MOVE)

    def make(self, path: str, kind: str, recursive: bool) -> None:
        mount("", self.at(path), flags=KINDS[kind] | (MS_REC if recursive else 0))

    def remount(self, path: str, flags: int) -> None:
        mount("", self.at(path), flags=MS_REMOUNT | MS_BIND | flags)

    def umount(self, path: str, lazy: bool) -> None:
        umount(self.at(path), MNT_DETACH if lazy else 0)

    def remove(self, path: str) -> None:
        """Remove something in one namespace that may be mounted, or mounted upon, in another one."""
        try:
            os.unlink(self.at(path))
        except IsADirectoryError:
            for name in FILES:
                with contextlib.suppress(OSError):
                    os.unlink(self.at(f"{path}/{name.rpartition('/')[2]}"))
            for name in SKELETON:
                with contextlib.suppress(OSError):
                    os.rmdir(self.at(f"{path}/{name}"))
            os.rmdir(self.at(path))

    def special(self, kind: str, path: str, target: str) -> None:
        """Something that is neither file nor directory, and a bind of it."""
        name = self.at(path)
        if kind == "fifo":
            os.mkfifo(name)
        elif kind == "socket":
            os.mknod(name, 0o140644)
        elif kind == "device":
            os.mknod(name, 0o020644, os.makedev(1, 3))
        else:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        mount(name, self.at(target), flags=MS_BIND)

    def pivot(self, path: str, base: str | None = None) -> None:
        os.chdir(self.at(path) if base is None else path)
        if _libc.pivot_root(b".", b".") < 0:
            raise OSError(ctypes.get_errno(), "pivot_root")
        umount(".", MNT_DETACH)
        os.chdir("/")
        self.base = ""

    def rename(self, path: str, other: str) -> None:
        os.rename(self.at(path), self.at(other))

    def chroot(self, path: str) -> None:
        """Go on in a directory that need not be the root of a mount."""
        os.chroot(self.at(path))
        os.chdir("/")
        self.base = ""

    def top(self, _: str) -> None:
        """Go on in what is mounted upon the root; what is below is no longer seen."""
        if self.base:
            return
        os.chdir("/..")
        os.chroot(".")

    def unshare(self, slave: bool) -> None:
        """What a new namespace begins with; the fork has been made."""
        unshare(CLONE_NEWNS)
        if slave:
            with contextlib.suppress(OSError):  # the root may have been unmounted
                mount("", "/", flags=MS_REC | MS_SLAVE)


def _escaped(path: str) -> str:
    return re.sub(r"([,:\\])", r"\\\1", path)


class _Namespace(NamedTuple):
    pid: int
    talk: socket.socket


class Running:
    """The processes of a state: one a namespace, waiting. `pids` are in the order of the namespaces."""

    def __init__(self) -> None:
        self.spaces: list[_Namespace] = []

        self.left_out: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """Of the namespaces that are to be captured; there are others that live on unseen."""
        return [space.pid for number, space in enumerate(self.spaces) if number not in self.left_out]

    def carry_out(self, act: Act) -> bool:
        """False if the kernel refused it, or the namespace is not there."""
        if act.do == "begin":
            self._first(act)
            return True
        if act.space >= len(self.spaces):
            return False
        if act.do == "leave out":
            self.left_out = {act.space} if len(self.spaces) > 1 else set()
            return True
        talk = self.spaces[act.space].talk
        talk.send(marshal.dumps((act.do.replace(" ", "_"), act.arguments)))
        if act.do != "unshare":
            return bool(marshal.loads(talk.recv(100)))
        message, descriptors, _, _ = socket.recv_fds(talk, 100, 1)
        self.spaces.append(_Namespace(marshal.loads(message), socket.socket(fileno=descriptors[0])))
        return True

    def _first(self, act: Act) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _live(theirs, Actor(), parent, act.arguments)
        theirs.close()
        self.spaces.append(_Namespace(pid, ours))
        assert marshal.loads(ours.recv(100))

    def close(self) -> None:
        for space in self.spaces:
            os.kill(space.pid, signal.SIGKILL)
        for space in self.spaces:
            space.talk.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.spaces[0].pid, 0)


def _live(talk: socket.socket, actor: Actor, parent: int, begin: tuple[Any, ...] | None) -> NoReturn:
    """The life of a namespace's process. It is started by the first one's parent, or forked from another one's."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if begin is not None:
            actor.begin(*begin)
            talk.send(marshal.dumps(True))
        while data := talk.recv(1000):
            do, arguments = marshal.loads(data)
            if do == "unshare":
                _fork(talk, actor, arguments)
                continue
            try:
                getattr(actor, do)(*arguments)
                talk.send(marshal.dumps(True))
            except OSError:
                talk.send(marshal.dumps(False))
    finally:
        os._exit(1)


def _fork(talk: socket.socket, actor: Actor, arguments: tuple[Any, ...]) -> None:
    parent = os.getpid()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        talk.close()
        ours.close()
        try:
            actor.unshare(*arguments)
            theirs.send(marshal.dumps(True))
        except OSError:
            os._exit(1)
        _live(theirs, actor, parent, None)
    theirs.close()
    assert marshal.loads(ours.recv(100))
    socket.send_fds(talk, [marshal.dumps(pid)], [ours.fileno()])
    ours.close()


@contextlib.contextmanager
def running(state: State) -> Iterator[Running]:
    """The state, alive."""
    alive = Running()
    try:
        for act in state:
            alive.carry_out(act)
        yield alive
    finally:
        alive.close()

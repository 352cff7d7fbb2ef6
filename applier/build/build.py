"""Builds a plan in a child process, and holds the namespaces it made until the caller has taken them over.

A build that fails is never handed out: the child (holder.py) ends, and the kernel frees all that was made. The
child dies with its parent (PR_SET_PDEATHSIG), so that holds for a SIGKILL too.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
from _thread import get_native_id
from itertools import islice
from time import monotonic

from mountplan.applier.build.execute import is_foreign, load_what_is_needed
from mountplan.applier.build.holder import hold
from mountplan.applier.process.command import Found, Start, refusal
from mountplan.applier.sys import abi, channel, chroot, syscalls
from mountplan.applier.sys.channel import Sender, TimedOut
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.privilege import has_sys_admin, is_nested
from mountplan.applier.sys.refusal import NEVER, explain, function_at, numbered_otherwise, refused
from mountplan.applier.sys.report import TIMEOUT, Reporter
from mountplan.planner.errors import Aftermath, CommandNotStarted, NamespaceRefused, NotAllowed, StepRefused, TableError
from mountplan.planner.names import IdMapping
from mountplan.planner.plan.plan import Plan
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import columns_of
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mountplan.applier.build.standby import Standby
    from mountplan.applier.sys.userns import Rootless

_COUNTER = 8  # bytes
_MANY, _LINE = 256, 256  # mounts whose tables are handed over in memory, and bytes of a line there, on average
_PATIENCE = 2.0  # seconds for a killed process to be gone


class Held(NamedTuple):
    """One finished namespace: its name, its table as read when it was finished, and the holder's descriptors: of the
    namespace and of the root of its tree, which others may cover by now.
    """

    name: str
    fd: int
    root: int
    table: MountTable


class Built:
    """Namespaces that stand, held by a waiting process. Use it in a `with` block: leaving it lets go.

    `pid` is the process that holds them, and `child` the one that is a child of ours: the same, or, with a pid
    namespace of its own, the one that watches over process 1 from outside. `kinds` are those that were asked for
    besides the mount namespace; the user namespace that an ordinary user gets is not among them.
    """

    def __init__(self, child: int, leash: int, answer: int, kinds: tuple[str, ...]) -> None:
        self.pid = self.child = child
        self.kinds = kinds
        self.namespaces: tuple[Held, ...] = ()  # in the order of the plan
        self.present: frozenset[str] = frozenset()  # filesystems of the plan that may have been there before
        self.host = MountTable(())  # the host's table as the namespace copied it, before anything was changed
        self.answer = answer  # what the holder says: after start(), nothing but why it did not
        self.pidfd = -1
        self.watch = -1  # what process 1 of a pid namespace that may be kept ends with (record_watch.py)
        self._leash = leash
        self._opened: dict[str, int] = {}  # by hide(): path below the holder's directory in /proc -> descriptor
        self._initial_ids: IdMapping | None = None
        self._ignored_children = False
        self.is_deaf = False  # a holder that hears nothing but the end of the leash, and has nothing of ours
        self.left = 0  # a process that could not be ended: the kernel does not let it go yet

    def held(self, name: str = "") -> Held:
        """The mount namespace `name`, or the first."""
        return next(one for one in self.namespaces if name in ("", one.name))

    def open_mounts(self, name: str = "") -> int:
        """A descriptor of the mount namespace `name`, or of the first; it keeps the namespace alive."""
        return self._open(f"fd/{self.held(name).fd}")

    def open_root(self, name: str = "") -> int:
        """A descriptor (O_PATH) of the root of the tree in the mount namespace `name`, or in the first."""
        return self._open(f"fd/{self.held(name).root}", os.O_PATH)

    def path_of(self, name: str = "") -> str:
        """The namespace file of the mount namespace `name`, or of the first."""
        return self._path(f"fd/{self.held(name).fd}")

    def path_of_root(self) -> str:
        """The root of the tree in the namespace that the holder is in: the last of the plan."""
        return self._path("root")

    def hide(self) -> None:
        """Have the holder be undumpable from now on: no process in its namespaces gets at it by /proc or ptrace(2).

        Nor does an ordinary user outside, so what this object can be asked for is opened before.
        """
        kinds = dict.fromkeys((*abi.VISITED, *self.kinds))
        for one in (*(f"ns/{kind}" for kind in kinds), *(f"fd/{held.fd}" for held in self.namespaces)):
            self._opened[one] = self._open(one)
        for one in ("root", *(f"fd/{held.root}" for held in self.namespaces)):
            self._opened[one] = self._open(one, os.O_PATH)
        if self._is_in_user_namespace():
            self._ids_of_holder()
        if self.is_deaf:
            return
        self.tell(channel.HIDE)
        if self._hear()[0] != channel.HIDDEN:
            raise _was_killed(self)

    def _hear(self) -> tuple[bytes, bytes]:
        """What the holder says, but that it has crashed, which is raised."""
        kind, payload = channel.receive(self.answer)
        if kind == channel.CRASHED:
            raise _crashed(payload)
        return kind, payload

    def _open(self, path: str, flags: int = os.O_RDONLY) -> int:
        if path in self._opened:
            return fcntl.fcntl(self._opened[path], fcntl.F_DUPFD_CLOEXEC, 3)
        return os.open(f"/proc/{self.pid}/{path}", flags | os.O_CLOEXEC)

    def _path(self, path: str) -> str:
        if path in self._opened:
            return f"/proc/{os.getpid()}/fd/{self._opened[path]}"
        return f"/proc/{self.pid}/{path}"

    def has_own(self, kind: str) -> bool:
        """True if the holder is in another namespace of this kind ("user", "net", ...) than the calling process."""
        return not os.path.samefile(self._path(f"ns/{kind}"), f"/proc/self/ns/{kind}")

    def _is_in_user_namespace(self) -> bool:
        return os.stat(self._path("ns/user")).st_ino != abi.USER_NS_INIT_INO

    def _ids_of_holder(self) -> IdMapping:
        from mountplan.applier.sys.userns import initial_ids

        if self._initial_ids is None:
            self._initial_ids = initial_ids(self.pid)
        return self._initial_ids

    def mountinfo(self) -> bytes:
        """The mount table, as it is now, of the namespace that the holder is in: the last of the plan."""
        with open(f"/proc/{self.pid}/mountinfo", "rb") as file:
            return file.read()

    def read_table(self, text: bytes | memoryview) -> MountTable:
        """A mount table, the ids in its options (tmpfs, devpts) as they are inside; the kernel tells the machine's."""
        table = parse_mountinfo(text)
        has_ids = any("id=" in one for one in set(columns_of(table.rows, MountRow)["options"]))
        if not has_ids or not self._is_in_user_namespace():
            return table
        from mountplan.planner.tables.options import with_ids_inside

        ids = self._ids_of_holder()
        return MountTable(tuple(row._replace(options=with_ids_inside(row.options, *ids)) for row in table.rows))

    def open_namespace(self, kind: str) -> int:
        """A descriptor of one of the holder's other namespace files ("user", "pid", ...)."""
        return self._open(f"ns/{kind}")

    def tell(self, kind: bytes, payload: bytes = b"") -> None:
        """Send the holder a message."""
        Sender(self._leash).send(kind, payload)

    def start(self, start: Start, namespace: str = "", *, tell_stops: bool = False) -> None:
        """Have the holder become the command (or, as process 1, start it). Once that is done, `answer` ends.

        With `tell_stops`, `child` stops when the command has stopped.
        """
        values = (tell_stops, self.held(namespace).fd, *start)
        self.tell(channel.RUN, marshal.dumps(values))

    def not_started(self) -> CommandNotStarted | None:
        """After start(): None if the command runs, else what is wrong. Waits for the one or the other."""
        kind, payload = self._hear()
        if kind == channel.NOT_STARTED:
            status, number, what, remedy = payload.decode("utf-8", "surrogateescape").split("\0")
            return CommandNotStarted(what, remedy, int(status), int(number))
        if kind == channel.NOT_EXECUTED:
            number, mode, noexec, path = payload.decode("utf-8", "surrogateescape").split("\0")
            return refusal(Found(path, int(mode), noexec == "1", 0), int(number))
        return None

    def stay(self, held: tuple[int, ...]) -> None:
        """Have process 1 of a pid namespace get ready to outlive us, with these descriptors of its own.

        Without any, it leaves the mount namespace that it has built. It ends when `watch` tells it to.
        """
        self.tell(channel.STAY, marshal.dumps((self.watch, *held)))
        if self._hear()[0] != channel.STAYING:
            raise _was_killed(self)

    def release(self) -> None:
        """After stay(): let process 1 go its own way, and only end who watches over it."""
        self.tell(channel.RELEASE)
        kind, payload = self._hear()  # nothing more, when it has become what it stays
        if kind == channel.NO_NAMESPACE:
            raise _no_namespace(payload)
        if channel.wait_readable(self.pidfd, monotonic()):
            raise _was_killed(self)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        self.ended()

    def send_signal(self, number: int) -> None:
        """Send a signal to the holder: to the command, or to process 1, which passes it on."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """End the holder. A namespace lives on while another process is in it or holds a descriptor of it."""
        if self.child:
            try:
                if self.pidfd >= 0:
                    self.send_signal(signal.SIGKILL)
                else:
                    os.kill(self.child, signal.SIGKILL)
                if self._ends():
                    os.waitpid(self.child, 0)
                else:
                    self.left = self.child
            except OSError:
                pass  # it ends by itself, with its leash
            self.ended()

    def _ends(self) -> bool:
        """Wait for the killed child; False if it hangs in the kernel, which may take for ever."""
        with closing_fd(os.pidfd_open(self.child)) as pidfd:
            return channel.wait_readable(pidfd, monotonic() + _PATIENCE)

    def drop_leash(self) -> None:
        """Have the child end once it waits for us."""
        syscalls.close(self._leash)
        self._leash = -1

    def ended(self) -> None:
        """The child has been waited for: close what is left."""
        self.child = 0
        for fd in {self._leash, self.answer, self.pidfd, self.watch} - {-1}:
            syscalls.close(fd)
        self._leash = self.answer = self.pidfd = self.watch = -1
        while self._opened:
            os.close(self._opened.popitem()[1])
        if self._ignored_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            self._ignored_children = False

    def __enter__(self) -> Built:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def build(
    plan: Plan,
    reporter: Reporter | None = None,
    kinds: tuple[str, ...] = (),
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    *,
    to_keep: bool = False,
    standby: Standby | None = None,
) -> Built:
    """Carry `plan` out in a child process with mount namespaces of its own.

    Raises NamespaceRefused, StepRefused, or NotAllowed before the first step has changed anything.

    `kinds` are the other namespaces that the child unshares first (RunSettings.unshare): what a proc or sysfs mount
    shows depends on them. A user without CAP_SYS_ADMIN gets a user namespace around it, unless `rootless` says never.
    What stands there is not verified yet. A build that has not come to an end after `timeout` seconds is ended; None
    waits for ever. With `to_keep` they may be kept under a name; raises KeepRefused if not. `standby` is a process that
    may do it instead of a child.
    """
    from mmap import mmap

    if wrong := numbered_otherwise():
        raise NamespaceRefused("cannot build", *wrong)
    shared = memoryview(mmap(-1, _COUNTER + _room_for(plan)))  # with the child
    counter, room = shared[:_COUNTER].cast("Q"), shared[_COUNTER:]
    watch = -1
    if to_keep and "pid" in kinds:
        from mountplan.applier.process.record_watch import new_watch

        watch = new_watch()
    plain = not kinds and rootless == "auto" and not to_keep
    begun = standby.begin(plan.steps) if standby is not None and plain else None
    if begun is not None:
        built = Built(begun.pid, begun.leash, begun.answer, kinds)
        built.pidfd = begun.pidfd
        built._ignored_children = _heed_children()
    else:
        built = _fork(plan, kinds, rootless, (counter, room), watch)
    try:
        deadline = None if timeout is None else monotonic() + timeout
        _listen(plan, built, reporter or Reporter(), rootless, deadline, room)
        if built.pidfd < 0:
            built.pidfd = os.pidfd_open(built.child)
    except BaseException as error:
        count = counter[0]
        if isinstance(error, TimedOut) and begun is not None:
            count = begun.counted()
        built.close()
        if isinstance(error, OSError):
            raise refused("cannot talk with the building process", error) from None
        if isinstance(error, TimedOut) and timeout is not None:
            hangs = _hangs(plan, built, count, timeout)
            if isinstance(hangs, StepRefused):
                _look_after(hangs, plan, built)
            raise hangs from None
        if isinstance(error, StepRefused):
            _look_after(error, plan, built)
        raise
    finally:
        if begun is not None and standby is not None:
            standby.end()
    return built


def _room_for(plan: Plan) -> int:
    """How many bytes of mountinfo a large tree may come to; a small one goes through the pipe."""
    mounts = sum([len(one.mounts) for one in plan.expected.namespaces])
    return _LINE * mounts if mounts >= _MANY else 0


def _look_after(error: StepRefused, plan: Plan, built: Built) -> None:
    """Find out what the host is after a build that was refused, and has been let go."""
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.plan.host_changes import host_changes, steps_on_host

    try:
        changes = host_changes(built.host, observe()) if built.host.rows else None
    except TableError:
        changes = None
    done = error.number - 1 if error.errno == errno.EROFS else error.number  # or the last one may be done in part
    left = tuple(f"step {number}, {step.describe()}" for number, step in steps_on_host(plan.steps[:done]))
    error.aftermath = Aftermath(changes, left, built.left)


def try_out(plan: Plan, rootless: Rootless = "auto") -> None:
    """Raise NotAllowed if the kernel would refuse something of `plan` in the user namespace that it would be built in.

    Nothing is carried out. Raises NamespaceRefused or StepRefused if there is not even a namespace to try it in.
    """
    kinds = plan.run.unshare
    if rootless != "always" and "user" not in kinds and not is_nested() and (rootless == "never" or has_sys_admin()):
        return  # it would not be built in one
    built = _fork(plan, kinds, rootless, (), only_try=True)
    try:
        _listen(plan, built, Reporter(), rootless, monotonic() + TIMEOUT, memoryview(b""))
    except OSError as error:
        raise refused("cannot try it out", error) from None
    except TimedOut:
        raise _hangs(plan, built, 0, TIMEOUT) from None
    finally:
        built.close()


def _fork(
    plan: Plan,
    kinds: tuple[str, ...],
    rootless: Rootless,
    shared: tuple[memoryview, ...],
    watch: int = -1,
    *,
    only_try: bool = False,
) -> Built:
    """`shared` is the memory that a Sender shares with us; `watch` becomes the Built's, and the child shares it."""
    load_what_is_needed(plan.steps)
    pipes: list[int] = []
    ignored_children = _heed_children()
    try:
        pipes += channel.pipe()
        pipes += channel.pipe()
        parent = os.getpid()
        of_main_thread = get_native_id() == parent
        child = syscalls.fork()
    except OSError as error:
        for fd in (*pipes, *({watch} - {-1})):
            os.close(fd)
        raise refused("cannot start the building process", error, "fork") from None
    answer, say, leash_end, leash = pipes
    if child == 0:
        ignored = frozenset((signal.SIGCHLD,) if ignored_children else ())
        hold(
            plan, kinds, rootless, parent, Sender(say, *shared), leash_end, (answer, leash), ignored,
            only_try=only_try, of_main_thread=of_main_thread,
        )  # fmt: skip
    built = Built(child, leash, answer, kinds)
    built.watch = watch
    built._ignored_children = ignored_children
    syscalls.close(say)
    syscalls.close(leash_end)
    return built


def _heed_children() -> bool:
    """If SIGCHLD is ignored, which exec hands down, the status of a child is lost: stop that, and return True."""
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN:
        return False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return True


def _listen(
    plan: Plan, built: Built, reporter: Reporter, rootless: Rootless, deadline: float | None, room: memoryview
) -> None:
    reporter.begin(len(plan.steps))
    namespaces: list[Held] = []
    unmapped: NamespaceRefused | None = None
    while True:
        kind, payload = channel.receive(built.answer, deadline)
        if kind == channel.PROGRESS:
            reporter.step(int(payload))
        elif kind == channel.HOST:
            built.host = parse_mountinfo(payload)
        elif kind == channel.FINISHED:
            name, fd, root, laid, rest = payload.split(b"\0", 4)
            there, room = room[: int(laid)], room[int(laid) :]
            text = bytes(there) + rest if rest else there
            namespaces.append(Held(name.decode(), int(fd), int(root), built.read_table(text)))
        elif kind == channel.DONE:
            built.namespaces = tuple(namespaces)
            built.present = frozenset(marshal.loads(payload))
            reporter.end()
            return
        elif kind == channel.MAP:
            try:
                _map_ids(built, int(payload), reporter)
            except OSError as error:
                # If the child has failed before its ids were mapped, what it says is why; if it waits, it ends.
                unmapped = refused("cannot make an id-mapping for the user namespace", error, "map_ids")
                built.drop_leash()
        elif kind == channel.HOLDER:
            os.close(built.pidfd)
            built.pidfd = os.pidfd_open(int(payload))
            built.pid = built.child = int(payload)
            built.is_deaf = True
        elif kind == channel.PID:
            try:
                built.pidfd = os.pidfd_open(int(payload))
                built.pid = int(payload)
            except ProcessLookupError:
                pass  # it has ended already, and has said why
        elif kind == channel.TRIED:
            _tell_trial(plan, payload)
            return
        elif kind == channel.REFUSED:
            raise _refused(plan, payload, rootless)
        elif kind == channel.NO_NAMESPACE:
            raise _no_namespace(payload, rootless)
        elif kind == channel.CRASHED:
            raise _crashed(payload)
        else:
            raise unmapped or _was_killed(built)


def _map_ids(built: Built, pid: int, reporter: Reporter) -> None:
    """Map the ids of the user namespace that the child has made; it waits for that. `pid` is the child in /proc.

    Raises OSError, also if the child does not wait any more.
    """
    from mountplan.applier.sys.userns import map_ids

    why = map_ids(pid)
    if why:
        reporter.notice(f"only your own user and group exist in there: {why}")
    built.tell(channel.MAPPED)


def _tell_trial(plan: Plan, payload: bytes) -> None:
    """Raise NotAllowed if the trial has come to anything."""
    refusals = marshal.loads(payload)
    if refusals:
        from mountplan.applier.build.notallowed import mistake_of
        from mountplan.applier.probe.userns_trial import UsernsRefusal

        mistakes = [mistake_of(UsernsRefusal(*one), plan) for one in refusals]
        raise NotAllowed(tuple(sorted(mistakes, key=lambda one: one.ref.line)))


def _hangs(plan: Plan, built: Built, count: int, timeout: float) -> StepRefused | NamespaceRefused:
    """What to raise if a build is not done in time; `count` is how many foreign steps have begun."""
    meaning = f"not done {timeout:g} seconds after the start"
    if built.left:
        meaning += f"; process {built.left} hangs in the kernel, and ends when that lets it go"
    foreign = (number for number, step in enumerate(plan.steps) if is_foreign(step))
    number = next(islice(foreign, count - 1, None), -1) if count else -1
    if number < 0:
        remedy = "look for what keeps the machine busy; --timeout SECONDS gives it more time"
        return NamespaceRefused("cannot build", meaning, remedy)
    remedy = "look for the filesystem, server or device that does not answer; --timeout SECONDS gives it more time"
    return _step_refused(plan, number, "", errno.ETIMEDOUT, meaning, remedy)


def _was_killed(built: Built) -> NamespaceRefused:
    what = f"cannot build: the building process, {built.child}, was killed"
    return NamespaceRefused(what, "maybe the kernel, for want of memory", "look into its log (dmesg), and try again")


def _no_namespace(payload: bytes, rootless: Rootless = "auto") -> NamespaceRefused:
    what, number, syscall = payload.decode().split("\0")
    meaning, remedy = explain("isolate", int(number), syscall)
    if int(number) == errno.EPERM and chroot.has_no_mount():
        meaning, remedy = chroot.REFUSED, chroot.REMEDY
    if rootless == "never" and int(number) == errno.EPERM:
        meaning, remedy = "this user may not do that", NEVER
    return NamespaceRefused(f"{what}: {syscall}" if syscall else what, meaning, remedy)


def _crashed(payload: bytes) -> RuntimeError:
    return RuntimeError(f"the building process failed, which is a bug in mountplan:\n{payload.decode()}")


def _refused(plan: Plan, payload: bytes, rootless: Rootless) -> StepRefused:
    index, number, syscall, place, meaning, remedy, *log = payload.decode("utf-8", "surrogateescape").split("\0")
    if place:
        path, *at = place.rsplit("\n", 3)
        line, begin, end = map(int, at)
        syscall = function_at((path, line, begin, end))
    step = plan.steps[int(index)]
    if not meaning:
        from mountplan.applier.build.image_refusal import also_perhaps

        meaning, remedy = explain(step.kind, int(number), syscall)
        meaning, remedy = also_perhaps(plan, int(index), int(number), syscall, meaning, remedy)
    if int(number) == errno.EPERM and step.kind in ("unshare_namespace", "make_private") and chroot.has_no_mount():
        meaning, remedy = chroot.REFUSED, chroot.REMEDY
    if rootless == "never" and step.kind == "unshare_namespace" and int(number) == errno.EPERM:
        meaning, remedy = "this user may not create a mount namespace", NEVER
    return _step_refused(plan, int(index), syscall, int(number), meaning, remedy, log)


def _step_refused(
    plan: Plan, index: int, syscall: str, number: int, meaning: str, remedy: str, log: Sequence[str] = ()
) -> StepRefused:
    step = plan.steps[index]
    return StepRefused(
        number=index + 1, step=step.describe(), origin=plan.ref(step.origin), syscall=syscall, errno=number,
        meaning=meaning, remedy=remedy, log=tuple(log),
    )  # fmt: skip

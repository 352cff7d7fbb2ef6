"""The child process of a build: unshares, carries the steps out, and holds the namespaces until it hears what is next.

That is a command, which it then becomes, or to let go. Whatever it may need is imported before it builds: afterwards
its root is another one, where Python's files may not be.
"""

from __future__ import annotations

import errno
import gc
import marshal
import os

from mountplan.applier.build.execute import StepFailed, execute, namespace_files
from mountplan.applier.process.command import Found, Inherited, Report, Start, become
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.channel import Sender
from mountplan.applier.sys.chroot import line_of_root
from mountplan.applier.sys.kernel import LinuxKernel, tries_new
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.privilege import is_nested
from mountplan.applier.sys.refusal import Occupied, call_of, explain, function_of, place_of
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.plan.plan import Plan
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from mountplan.applier.sys.held_namespaces import HeldFiles
    from mountplan.applier.sys.kernel import FinishedNamespace
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.names import Handle
    from mountplan.planner.plan.step_columns import Steps


def hold(
    plan: Plan,
    kinds: tuple[str, ...],
    rootless: Rootless,
    parent: int,
    sender: Sender,
    leash: int,
    foreign: tuple[int, ...] = (),
    ignored: frozenset[int] = frozenset(),
    *,
    only_try: bool = False,
    of_main_thread: bool = True,
) -> NoReturn:
    """The whole life of the child. Never returns, and never runs anything of the parent's on its way out.

    `kinds` are the namespaces to unshare besides the mount namespace; `foreign` are descriptors of the parent's, to be
    closed; `ignored` are signals that the parent ignored.
    With `only_try`, nothing is carried out: it is only told what would be refused in a user namespace. `of_main_thread`
    says whether the thread that forked us is one that stays for as long as its process does.
    """
    try:
        for fd in foreign:
            os.close(fd)
        inherited = Inherited.take(ignored)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us
        if of_main_thread:  # otherwise the kernel would kill us when that thread ends; then the leash has to do
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        gc.disable()  # the process is short-lived, and its steps make many small objects
        if rootless == "always" and "user" not in kinds:
            kinds = ("user", *kinds)
        root = line_of_hosts_root()  # of the host's table, which a user namespace does not see all of
        held = hold_namespace_files(plan.steps)
        stops = _isolate(kinds, sender, leash, rootless) if kinds else -1
        if not _build(plan, sender, leash, rootless, root, held, only_try):
            os._exit(1)
        await_orders(sender, inherited, leash, stops, init="pid" in kinds)
    except BaseException as error:
        try:
            if isinstance(error, OSError) and error.errno != errno.EBADF:
                _refuse_namespace(sender, "cannot get the building process going", error)
            sender.send(channel.CRASHED, traceback_of(error).encode(errors="replace"))
        except OSError:
            pass
    finally:
        os._exit(1)


def _isolate(kinds: tuple[str, ...], sender: Sender, leash: int, rootless: Rootless) -> int:
    """Unshare `kinds`. If there is a pid namespace among them, its process 1 returns, with the pipe for watch()."""
    from mountplan.applier.process import isolation
    from mountplan.applier.process.init import watch

    try:
        isolation.isolate(kinds, sender, leash, rootless)
        if "pid" not in kinds:
            return -1
        stopped, stops = channel.pipe()
        outside = os.getpid()
        child = syscalls.fork()
    except isolation.IsolationFailed as failed:
        _refuse_namespace(sender, f"cannot make {failed.what}", failed.cause, function_of(failed.cause))
    except OSError as error:
        _refuse_namespace(sender, "cannot make process 1 of the pid namespace", error, function_of(error))
    if child:
        watch(child, stopped)
    os.close(stopped)
    syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    # /proc is still the host's: it knows our parent, and us, by the pids that the host knows.
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    if int(fields[1]) != outside:
        os._exit(1)
    # Process 1 may stay, where those inside read its /proc/1/environ, which is the caller's. Python has a copy.
    syscalls.wipe(int(fields[47]), int(fields[48]))
    sender.send(channel.PID, os.readlink("/proc/self").encode())
    return stops


def _refuse_namespace(sender: Sender, what: str, cause: OSError, call: str = "") -> NoReturn:
    sender.send(channel.NO_NAMESPACE, "\0".join((what, str(cause.errno or 0), call or call_of(cause))).encode())
    os._exit(1)


class BuildKernel(LinuxKernel):
    """Tries, in a user namespace, what may be refused there, before the second step is carried out."""

    def __init__(self, steps: Steps, sender: Sender, leash: int, rootless: Rootless) -> None:
        super().__init__(self._enter if rootless == "auto" else None)
        self._steps, self._sender, self._leash = steps, sender, leash

    def _enter(self) -> None:
        from mountplan.applier.process.isolation import unshare_user

        unshare_user(self._sender, self._leash)

    def unshare_mounts(self) -> None:
        if tries_new():
            from mountplan.applier.build.one_path import takes_nothing_of_the_host

            self.of_one_path = takes_nothing_of_the_host(self._steps)
        super().unshare_mounts()
        if not is_nested():
            return
        from mountplan.applier.probe.userns_trial import try_out

        if refusals := try_out(tuple(self._steps), self):
            self._sender.send(channel.TRIED, marshal.dumps([tuple(one) for one in refusals]))
            os._exit(1)


def hold_namespace_files(steps: Steps) -> HeldFiles | None:
    """The files of namespaces that the steps bind, opened while they can be reached."""
    paths = namespace_files(steps)
    if not paths:
        return None
    from mountplan.applier.sys.held_namespaces import HeldFiles

    return HeldFiles(paths)


def _build(
    plan: Plan, sender: Sender, leash: int, rootless: Rootless, root: bytes, held: HeldFiles | None, only_try: bool
) -> bool:
    """`root` is the line for "/" that the host's table lacks, if any."""
    kernel = BuildKernel(plan.steps, sender, leash, rootless)
    finished = carry_out(plan.steps[:1] if only_try else plan.steps, kernel, sender, root, held)
    if finished is None:
        return False
    if only_try:
        sender.send(channel.TRIED, marshal.dumps([]))
        return False
    tell(finished, sender)
    return True


class Finished(NamedTuple):
    """What has been built, and the filesystems that may have been there before."""

    namespaces: list[FinishedNamespace]
    present: tuple[Handle, ...]

    def held_as(self, numbers: Sequence[int]) -> Finished:
        """Held by a process that has each namespace, and each root, under another number."""
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        named = zip(self.namespaces, pairs, strict=True)
        return self._replace(namespaces=[one._replace(fd=fd, root=root) for one, (fd, root) in named])


def carry_out(
    steps: Steps, kernel: LinuxKernel, sender: Sender, root: bytes, held: HeldFiles | None
) -> Finished | None:
    """None if a step is refused, which the parent has been told then."""
    kernel.held = held
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            sender.send(channel.HOST, root + file.read())
        return Finished(kernel.finished, execute(steps, kernel, sender))
    except StepFailed as failed:
        cause = failed.cause
        log = getattr(cause, "log", ())
        told = (cause.meaning, cause.remedy) if isinstance(cause, Occupied) else ("", "")
        place = "" if getattr(cause, "syscall", "") else "\n".join(map(str, place_of(cause) or ()))
        words = (str(failed.index), str(cause.errno or 0), getattr(cause, "syscall", ""), place, *told, *log)
        sender.send(channel.REFUSED, "\0".join(words).encode("utf-8", "surrogateescape"))
        return None
    finally:
        if held is not None:
            held.close()


def tell(finished: Finished, sender: Sender) -> None:
    """Tell the parent what stands: its tables are read only now, when all of it does."""
    for one in finished.namespaces:
        with open(one.mountinfo, "rb", buffering=0) as file:
            laid = sender.lay(file)
            words = (one.name.encode(), one.fd, one.root, laid, file.read())
        sender.send(channel.FINISHED, b"%s\0%d\0%d\0%d\0%s" % words)
    sender.send(channel.DONE, marshal.dumps(finished.present))


def line_of_hosts_root() -> bytes:
    """Who cannot have it cannot build either, and the step that is refused tells."""
    try:
        return line_of_root()
    except OSError:
        return b""


def await_orders(sender: Sender, inherited: Inherited, leash: int, stops: int, *, init: bool) -> None:
    """Wait until the parent lets go, or names a command and the mount namespace for it.

    Process 1 of a pid namespace may be told to stay, whatever becomes of the parent.
    """
    kind, payload = channel.receive(leash)
    if kind == channel.HIDE:
        syscalls.hide()
        sender.send(channel.HIDDEN)
        kind, payload = channel.receive(leash)
    if kind == channel.STAY and init:
        from mountplan.applier.process.init import stay  # _isolate() has imported it

        stay(sender, leash, *marshal.loads(payload))
    if kind != channel.RUN:
        return
    tell_stops, namespace, *values = marshal.loads(payload)
    start = Start(*values)
    try:
        syscalls.hide()  # process 1 has the caller's environment, and for a moment its files: not the command's
        if init:
            from mountplan.applier.process.init import serve  # _isolate() has imported it

            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # from now on none may be lost
            let_go, letting_go = channel.pipe()
            child = syscalls.fork()
            if child:
                os.close(let_go)
                serve(child, stops if tell_stops else -1, leash, letting_go)
            os.close(letting_go)
            os.read(let_go, 1)  # until process 1 has closed all that it does not need
        # Also if we are in it: our root may be covered by other mounts on "/", and this takes the topmost.
        syscalls.setns(namespace, abi.CLONE_NEWNS)
        become(start, inherited, Report._make((sender.fd, _not_executed)))
    except CommandNotStarted as error:
        words = (str(error.exit_status), str(error.number), error.what, error.remedy)
        sender.send(channel.NOT_STARTED, "\0".join(words).encode("utf-8", "surrogateescape"))
    except OSError as error:
        call = call_of(error)
        meaning, remedy = explain("", error.errno or 0, call)
        words = ("3", "0", f"cannot start {start.command[0]!r}: {call}{call and ': '}{meaning}", remedy)
        sender.send(channel.NOT_STARTED, "\0".join(words).encode("utf-8", "surrogateescape"))


def _not_executed(found: Found, number: int) -> bytes:
    """Numbers and a path, as a process inside could get at this pipe in the moment before the command is executed."""
    words = (str(number), str(found.mode), str(int(found.noexec)), found.path)
    return channel.packed(channel.NOT_EXECUTED, "\0".join(words).encode("utf-8", "surrogateescape"))


def traceback_of(error: BaseException) -> str:
    """A traceback without source lines: the module `traceback` costs start-up time, and reads files that are gone."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"  {code.co_filename}:{trace.tb_lineno}: in {code.co_name}")
        trace = trace.tb_next
    return "\n".join((*lines, f"{type(error).__name__}: {error}"))

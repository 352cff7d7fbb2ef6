"""Tree: namespaces in the hands of a program, built and verified for the time of a `with` block, or attached to."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from mountplan.applier.keep.attached import Attached, NamespaceEntry
from mountplan.applier.process.command import Found, Report, execute
from mountplan.applier.process.trampoline import File
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.channel import pipe
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.mounting import MountOrder, carry_out_mount, carry_out_unmount
from mountplan.applier.sys.report import TIMEOUT
from mountplan.assertion_text import difference_lines
from mountplan.mount_mapping import MountsByPath
from mountplan.planner.errors import CommandNotStarted, SubjectError

if TYPE_CHECKING:
    from mountplan.applier.build.build import Built
    from mountplan.applier.build.standby import Standby
    from mountplan.applier.observe.subjects import Subject
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.compare.difference import Drift
    from mountplan.planner.compare.view import View
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable

Result = TypeVar("Result")
Words: TypeAlias = "Sequence[str | os.PathLike[str]] | str"  # a program and its arguments


def build(
    plan: Plan, reporter: Reporter | None = None, *, rootless: Rootless = "auto", timeout: float | None = TIMEOUT,
    standby: Standby | None = None,
) -> Tree:  # fmt: skip
    """Build and verify `plan`, for a program to use: a Tree, which vanishes when its `with` block is left.

    `standby` spares who builds many the forks (applier/build/standby.py).
    """
    from mountplan.pipeline import build_verified

    built, _ = build_verified(plan, reporter, rootless, timeout, standby=standby)
    try:
        built.hide()
    except BaseException:
        built.close()
        raise
    return Tree(OwnStand(plan, built))


def attach(name: str = "", *, pid: int = 0) -> Tree:
    """A Tree of what stands: kept under a name, or the namespaces that a process is in.

    Closing it changes nothing there. Raises NotKept, KeepRefused, SubjectError or TableError.
    """
    from mountplan.applier.keep.attached import of_kept, of_running

    if bool(name) == bool(pid):
        raise TypeError("attach() takes a kept name, or pid=N")
    if pid:
        return Tree(OtherStand(of_running(pid), None))
    attached = of_kept(name)
    try:
        from mountplan.kept_plan import plan_kept_for

        return Tree(OtherStand(attached, plan_kept_for(name)))
    except BaseException:
        attached.close()
        raise


class RemoteTraceback(Exception):
    """The traceback of an exception that a function raised inside a tree: the cause of what `call` raises."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class Stand(Protocol):
    """What a Tree stands on: namespaces, by their names."""

    @property
    def plan(self) -> Plan: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def pid(self) -> int: ...
    def entrance(self, namespace: str) -> NamespaceEntry: ...
    def path_of(self, namespace: str) -> str: ...
    def path_of_root(self) -> str: ...
    def subjects(self) -> list[Subject]: ...
    def table(self, namespace: str) -> MountTable: ...
    def drift(self, tables: tuple[MountTable, ...]) -> Drift: ...
    def close(self) -> None: ...


class OwnStand:
    """Namespaces that this process has had built, and that go with it."""

    def __init__(self, plan: Plan, built: Built) -> None:
        self.plan = plan
        self._built = built

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(held.name for held in self._built.namespaces)

    @property
    def pid(self) -> int:
        return self._built.pid

    def entrance(self, namespace: str) -> NamespaceEntry:
        from mountplan.applier.sys.abi import VISITED

        kinds = [kind for kind in VISITED if self._built.has_own(kind)]
        fds = [self._built.open_namespace(kind) for kind in kinds]
        return NamespaceEntry([*fds, self._built.open_mounts(namespace)])

    def path_of(self, namespace: str) -> str:
        return self._built.path_of(namespace)

    def path_of_root(self) -> str:
        return self._built.path_of_root()

    def subjects(self) -> list[Subject]:
        from mountplan.applier.build.build_subjects import of_built

        return of_built(self._built)

    def table(self, namespace: str) -> MountTable:
        if self._built.held(namespace) is self._built.namespaces[-1]:
            return self._built.read_table(self._built.mountinfo())
        with closing_fd(os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as proc:
            return self._built.read_table(_called(self.entrance(namespace), _mountinfo, (proc,)))

    def drift(self, tables: tuple[MountTable, ...]) -> Drift:
        from mountplan.planner.compare.compare import group_names, judge_built
        from mountplan.planner.plan.predict import predict
        from mountplan.surroundings import surroundings

        host = self._built.host
        before = tuple(held.table for held in self._built.namespaces)
        predictions, names = predict(self.plan, host), group_names(self.plan)
        return judge_built(predictions, tables, host, names, before=before, surroundings=surroundings).drift

    def close(self) -> None:
        self._built.close()


class OtherStand:
    """Namespaces that stand without us: kept, with the plan that they were built from, or of a process."""

    def __init__(self, attached: Attached, plan: Plan | None) -> None:
        self._attached = attached
        self._plan = plan

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            what = f"{self._attached.label}: was built from no plan that is known"
            raise SubjectError(what, "compare it with a spec: diff(spec, tree)")
        return self._plan

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self._attached.spaces)

    @property
    def pid(self) -> int:
        return self._attached.pid

    def entrance(self, namespace: str) -> NamespaceEntry:
        return self._attached.entrance(namespace)

    def path_of(self, namespace: str) -> str:
        return f"/proc/{os.getpid()}/fd/{self._attached.space(namespace).subject.fd}"

    def path_of_root(self) -> str:
        return self._attached.path_of_root()

    def subjects(self) -> list[Subject]:
        from mountplan.applier.observe.subjects import Subject

        return [
            Subject(one.name, one.subject.label, os.dup(one.subject.fd), one.subject.pid, kinds=one.subject.kinds)
            for one in self._attached.spaces
        ]

    def table(self, namespace: str) -> MountTable:
        from mountplan.operands import view_of

        return view_of(namespace, self._attached.space(namespace).subject.read()).table

    def drift(self, tables: tuple[MountTable, ...]) -> Drift:
        from mountplan.keeping import look_up

        return look_up(self.plan.name and self._attached.label).drift

    def close(self) -> None:
        self._attached.close()


class Tree:
    """Namespaces that stand. What was built for it vanishes when it is closed and no process is left in there."""

    def __init__(self, stand: Stand) -> None:
        self._given = stand
        self._closed = False
        self.answers: dict[str, Callable[[], str]] = {}  # by question, what to tell of the last answer (assertion_text)

    @property
    def _stand(self) -> Stand:
        if self._closed:  # its process has ended, and another one may have the number by now
            raise ValueError("the tree is closed")
        return self._given

    @property
    def plan(self) -> Plan:
        """What it was built from. Raises SubjectError for the namespaces of a process."""
        return self._given.plan

    @property
    def names(self) -> tuple[str, ...]:
        """The namespaces' names, in the order of the spec; ("",) for a spec with one that has no name."""
        return self._stand.names

    @property
    def pid(self) -> int:
        """A process in the (last) namespace, for as long as the tree is open; 0 if none is known."""
        return self._stand.pid

    @property
    def root(self) -> Path:
        """The root of the (last) namespace, as a path from outside. Symlinks in it lead where they lead out here."""
        return Path(self._stand.path_of_root())

    def namespace(self, name: str = "") -> Path:
        """The namespace file of a namespace (the first without a name), for setns(2), nsenter(1) and the like."""
        self._check(name)
        return Path(self._stand.path_of(name))

    # --- what runs in there

    @overload
    def run(
        self, command: Words, *, namespace: str = "", cwd: str | os.PathLike[str] = "/",
        user: str | int | None = None, check: bool = False, input: str | None = None, text: Literal[True] = True,
        timeout: float | None = None, env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]: ...  # fmt: skip

    @overload
    def run(
        self, command: Words, *, namespace: str = "", cwd: str | os.PathLike[str] = "/",
        user: str | int | None = None, check: bool = False, input: bytes | None = None, text: Literal[False],
        timeout: float | None = None, env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]: ...  # fmt: skip

    def run(
        self, command: Words, *, namespace: str = "", cwd: str | os.PathLike[str] = "/",
        user: str | int | None = None, check: bool = False, input: Any = None, text: bool = True,
        timeout: float | None = None, env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[Any]:  # fmt: skip
        """Run a command in a namespace, and return what subprocess.run does, with its output captured.

        It is looked for, and starts in `cwd`, inside. `user` is a name or number of ours, whose id it gets in there.
        """
        process = self._popen(
            command, namespace, cwd, user, env, text=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=None if input is None else subprocess.PIPE,
        )  # fmt: skip
        with process:
            try:
                out, err = process.communicate(input, timeout=timeout)
            except BaseException:
                process.kill()
                process.wait()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, done.args, out, err)
            if err:
                error.add_note((err if isinstance(err, str) else err.decode(errors="replace")).rstrip())
            raise error
        return done

    def popen(
        self, command: Words, *, namespace: str = "", cwd: str | os.PathLike[str] = "/",
        user: str | int | None = None, env: Mapping[str, str] | None = None, text: bool = True,
        stdin: int | IO[Any] | None = None, stdout: int | IO[Any] | None = None, stderr: int | IO[Any] | None = None,
    ) -> subprocess.Popen[Any]:  # fmt: skip
        """Start a command in a namespace, as run() does, and do not wait for it: a subprocess.Popen.

        It keeps the namespace alive: end it, or wait for it, before the tree is closed.
        """
        return self._popen(command, namespace, cwd, user, env, text=text, stdin=stdin, stdout=stdout, stderr=stderr)

    def _popen(
        self, command: Words, namespace: str, cwd: str | os.PathLike[str],
        user: str | int | None, env: Mapping[str, str] | None, **options: Any,
    ) -> subprocess.Popen[Any]:  # fmt: skip
        words = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
        environment = {
            os.fsdecode(name): os.fsdecode(value) for name, value in (os.environ if env is None else env).items()
        }
        person = _person(user)
        enter = self._entrance(namespace)
        failed, say = pipe()
        start = partial(
            _become, enter, os.fspath(cwd), person, tuple(map(os.fsdecode, words)), environment, Report(say, _number)
        )
        process = None
        try:
            with syscalls.forking():
                process = subprocess.Popen(words, preexec_fn=start, env=env, **options)
            os.close(say)
            say = -1
            with open(failed, "rb", closefd=False) as file:
                refusal = file.read()
        except BaseException:
            if process is not None:
                process.kill()
                process.__exit__(None, None, None)
            raise
        finally:
            enter.close()
            for fd in {failed, say} - {-1}:
                os.close(fd)
        if refusal:
            with process:
                process.kill()
            raise _refused(refusal, os.fsdecode(words[0]))
        return process

    def call(self, function: Callable[..., Result], *arguments: Any, namespace: str = "") -> Result:
        """Call a function in a namespace, in a forked child; return its result, or raise its exception, by pickle.

        What the function needs must be imported beforehand: Python's files need not exist in there. So that no
        process in there gets hold of that child, it is undumpable (prctl(2)): what belongs to it in /proc is root's.
        """
        return _called(self._entrance(namespace), function, arguments)

    # --- what is mounted there

    def observe(self, namespace: str = "") -> MountTable:
        """What stands in a namespace now. Of what covers "/" there, only the topmost is seen (setns(2) leads there)."""
        self._check(namespace)
        return self._stand.table(namespace)

    def mounts(self, namespace: str = "") -> MountsByPath:
        """The same, by mountpoint: `tree.mounts()["/b/sub"].peer_group`."""
        return MountsByPath(self.observe(namespace))

    def mount(
        self, target: str, *, type: str = "tmpfs", source: str = "", bind: str = "", recursive: bool = False,
        options: Mapping[str, str | bool] | None = None, attributes: Sequence[str] | str = (), create: bool = False,
        namespace: str = "",
    ) -> None:  # fmt: skip
        """Mount something in a namespace, as a process in there would: a new filesystem, or what is at the path `bind`.

        `options` are the filesystem's, `attributes` the mount's (ro, nosuid, ...); `create` makes a mountpoint that is
        missing. Raises OSError with the kernel's errno.
        """
        words = (attributes,) if isinstance(attributes, str) else tuple(attributes)
        order = MountOrder(target, type, source, bind, recursive, tuple((options or {}).items()), words, create)
        self._carry_out(carry_out_mount, order, namespace=namespace)

    def umount(self, target: str, *, lazy: bool = False, recursive: bool = False, namespace: str = "") -> None:
        """Unmount what is topmost on a path in a namespace, as a process in there would. Raises OSError."""
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if recursive else -1
        try:
            self._carry_out(carry_out_unmount, target, lazy, proc, namespace=namespace)
        finally:
            if proc >= 0:
                os.close(proc)

    def _carry_out(self, function: Callable[..., None], *arguments: Any, namespace: str) -> None:
        """call() of what is ours: where in there it was refused tells nobody anything."""
        try:
            self.call(function, *arguments, namespace=namespace)
        except OSError as error:
            raise error from None

    def reaches(self, path: str, other: str, *, namespace: str = "", other_namespace: str | None = None) -> bool:
        """Whether a mount made at `path` shows at `other` as well: a tmpfs is mounted there for a moment.

        `other` is in the same namespace, or in `other_namespace`. Raises OSError if nothing can be mounted at `path`.
        """
        there = namespace if other_namespace is None else other_namespace
        shown = self._spread(path, namespace, there)
        self.answers["reaches"] = partial(self._reach_text, path, other, shown, namespace, there)
        return other in shown

    def assert_reaches(self, path: str, other: str, *, namespace: str = "", other_namespace: str | None = None) -> None:
        """reaches(), or an AssertionError that says where such a mount shows, and how the two places are shared."""
        __tracebackhide__ = True
        there = namespace if other_namespace is None else other_namespace
        shown = self._spread(path, namespace, there)
        if other not in shown:
            raise AssertionError(self._reach_text(path, other, shown, namespace, there))

    def _reach_text(self, path: str, other: str, shown: list[str], namespace: str, there: str) -> str:
        """Where a mount at `path` was `shown` in the namespace `there`, and how the two places are shared."""
        verb = "reaches" if other in shown else "does not reach"
        lines = [f"a mount at {_where(path, namespace)} {verb} {_where(other, there)}"]
        lines.append(f"  it shows at {', '.join(shown) or 'no place'}" + (f" in namespace {there}" if there else ""))
        for place, space in ((path, namespace), (other, there)):
            lines.append(f"  {_where(place, space)} is on {_sharing(self.observe(space), place)}")
        return "\n".join(lines)

    def _spread(self, path: str, namespace: str, other: str) -> list[str]:
        """Where a mount at `path` shows in the namespace `other`, by its own words."""
        if path == "/":
            raise ValueError('a mount on "/" itself covers it all: name a directory below it')
        before = {row.mount_id for row in self.observe(other).rows}
        self.mount(path, namespace=namespace)
        try:
            after = self.observe(other)
        finally:
            self.umount(path, namespace=namespace)
        return sorted(row.mountpoint for row in after.rows if row.mount_id not in before)

    # --- whether it is what it should be

    def drift(self) -> Drift:
        """How what stands there now differs from the plan; empty if it does not."""
        drift = self._stand.drift(tuple(self.observe(name) for name in self.names))
        self.answers["drift"] = partial(difference_lines, drift, "wanted", "found")
        return drift

    def diff(self, other: Tree) -> Drift:
        """How what stands in `other` differs from what stands here: all mounts of all namespaces, as they are now."""
        from mountplan.applier.observe.observe import observe
        from mountplan.planner.compare.compare import differences, machine_of

        drift = differences(self.views(), other.views(), machine_of(observe()))
        self.answers["diff"] = partial(difference_lines, drift, "the first", "the second")
        return drift

    def assert_same(self, other: Tree) -> None:
        """diff() finds nothing, or an AssertionError that says how `other` differs."""
        __tracebackhide__ = True
        if self.diff(other):
            raise AssertionError(f"the trees differ:\n{self.answers['diff']()}")

    def views(self) -> tuple[View, ...]:
        """Its namespaces as one side of a comparison."""
        from mountplan.applier.observe.subjects import ids_inside
        from mountplan.operands import view_of

        with ExitStack() as stack:
            subjects = [stack.enter_context(subject) for subject in self._stand.subjects()]
            return tuple(
                view_of(subject.name, subject.read())._replace(ids=ids_inside(subject.fd)) for subject in subjects
            )

    def subjects(self) -> list[Subject]:
        """Its namespaces, to look at; the caller closes them."""
        return self._stand.subjects()

    def close(self) -> None:
        """Let it go. A second time does nothing; whatever else is asked of it then raises ValueError."""
        self._closed = True
        self._given.close()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, namespace: str) -> None:
        if namespace and namespace not in self.names:
            known = ", ".join(one for one in self.names if one)
            remedy = f"it has: {known}" if known else "it has one, without a name: leave the name out"
            raise SubjectError(f"the tree has no namespace {namespace!r}", remedy)

    def _entrance(self, namespace: str) -> NamespaceEntry:
        self._check(namespace)
        return self._stand.entrance(namespace)


def assert_same(first: Tree, second: Tree) -> None:
    """first.assert_same(second), as a function."""
    __tracebackhide__ = True
    first.assert_same(second)


def _where(path: str, namespace: str) -> str:
    return f"{namespace}:{path}" if namespace else path


def _sharing(table: MountTable, path: str) -> str:
    from mountplan.planner.render.table_text import sharing_of
    from mountplan.planner.tables.table import Walks

    row = Walks(table).end_of(path)
    return f"the mount {row.mountpoint}, which is {sharing_of(row, {}) or 'private'}"


class Person(NamedTuple):
    """The ids that a command gets."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def _person(user: str | int | None) -> Person | None:
    """Looked up out here, as subprocess does it: inside there may be no /etc/passwd."""
    if user is None:
        return None
    import pwd

    try:
        found = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, str):
            raise ValueError(f"there is no user {user!r}") from None
        return Person(user, user, ())
    return Person(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(found.pw_name, found.pw_gid)))


def _called(enter: NamespaceEntry, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    __tracebackhide__ = True
    answer, say = pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = syscalls.fork()
    except BaseException:
        for fd in (answer, say):
            os.close(fd)
        enter.close()
        raise
    if child == 0:
        try:
            os.close(answer)
            payload = _outcome(enter, function, arguments)
            with os.fdopen(say, "wb") as file:
                file.write(payload)
        finally:
            os._exit(0)
    os.close(say)
    enter.close()
    try:
        with os.fdopen(answer, "rb") as file:
            payload = file.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if not payload:
        raise RuntimeError(f"the process in which {function} was called ended without a word (status {status})")
    good, value, trace = pickle.loads(payload)
    if good:
        return value  # type: ignore[no-any-return]
    raise value from RemoteTraceback(trace)


def _become(
    enter: NamespaceEntry, cwd: str, person: Person | None, command: tuple[str, ...], environment: dict[str, str],
    report: Report,
) -> None:  # fmt: skip
    """In the child of subprocess: enter and turn into `command`, as that would do."""
    path = ""
    try:
        enter.enter()
        path = cwd
        os.chdir(cwd)
        path = ""
        file = File()
        syscalls.close_range(3, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
        if person is not None:
            path = f"user {person.uid}: a user namespace has only the ids that are mapped into it"
            os.setgroups(person.groups)
            os.setresgid(person.gid, person.gid, person.gid)
            os.setresuid(person.uid, person.uid, person.uid)
            path = ""
        execute(file, command, environment, report)
    except CommandNotStarted as error:
        _say(report, error.number, error.what, error.remedy, "")
        os._exit(error.exit_status)
    except OSError as error:
        _say(report, error.errno or 1, "", "", path)
        os._exit(3)


def _say(report: Report, number: int, what: str, remedy: str, path: str) -> None:
    os.write(report.fd, f"{number}\0{what}\0{remedy}\0{path}".encode("utf-8", "surrogateescape"))


def _number(_: Found, number: int) -> bytes:
    return b"%d\0the kernel refuses the command\0\0" % number


def _refused(text: bytes, program: str) -> OSError | CommandNotStarted:
    """What subprocess would raise for the program, or what else has gone wrong."""
    number, what, remedy, path = text.decode("utf-8", "surrogateescape").split("\0")
    if int(number):
        return OSError(int(number), os.strerror(int(number)), path or program)
    return CommandNotStarted(what, remedy)


def _mountinfo(proc: int) -> bytes:
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, "rb") as file:
        return file.read()


def _outcome(enter: NamespaceEntry, function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        enter.enter()
        return pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:
        trace = _trace_inside(error)
        try:
            return pickle.dumps((False, error, trace))
        except Exception:  # an exception that cannot be pickled still tells what it is
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), trace))


def _trace_inside(error: BaseException) -> str:
    """The traceback from the called function on: how it was called there is nothing to read."""
    own = error.__traceback__
    shown = own.tb_next if own is not None else None
    return "".join(traceback.format_exception(type(error), error, shown))

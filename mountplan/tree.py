"""Tree: namespaces in the hands of a program, built and verified for the time of a `with` block, or attached to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from mountplan.applier.keep.attached import NamespaceEntry
from mountplan.applier.process.command import Report
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.channel import pipe
from mountplan.applier.sys.mounting import MountOrder, carry_out_mount, carry_out_unmount
from mountplan.applier.sys.report import TIMEOUT
from mountplan.assertion_text import difference_lines
from mountplan.calls_inside import become, called, number_told, person_of, refused
from mountplan.mount_mapping import MountsByPath
from mountplan.planner.errors import SubjectError
from mountplan.stands import OtherStand, OwnStand, Stand

if TYPE_CHECKING:
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


class Tree:
    """Namespaces that stand. What was built for it vanishes when it is closed and no process is left in there."""

    def __init__(self, stand: Stand) -> None:
        self._given = stand
        self._closed = False
        self.answers: dict[str, Callable[[], str]] = {}  # by question, what to tell of the last answer (assertion_text)

    def __repr__(self) -> str:
        """By its spec, as a failed test may have several, and by what no other tree has (assertion_text.py)."""
        try:
            of = self.plan.file or self.plan.name
        except SubjectError:
            of = f"process {self._given.pid}"
        return f"<Tree of {of} at {id(self):#x}>"

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
        person = person_of(user)
        enter = self._entrance(namespace)
        failed, say = pipe()
        start = partial(
            become, enter, os.fspath(cwd), person, tuple(map(os.fsdecode, words)), environment, Report(say, number_told)
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
            raise refused(refusal, os.fsdecode(words[0]))
        return process

    def call(self, function: Callable[..., Result], *arguments: Any, namespace: str = "") -> Result:
        """Call a function in a namespace, in a forked child; return its result, or raise its exception, by pickle.

        What the function needs must be imported beforehand: Python's files need not exist in there. So that no
        process in there gets hold of that child, it is undumpable (prctl(2)): what belongs to it in /proc is root's.
        """
        return called(self._entrance(namespace), function, arguments)

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
        """Mount something in a namespace, as a process in there would: a new filesystem, or what is at the path `bind`
        in there.

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

    def reaches(
        self, path: str, other: str, *, create: bool = False, namespace: str = "", other_namespace: str | None = None
    ) -> bool:
        """Whether a mount made at `path` shows at `other` as well: a tmpfs is mounted there for a moment.

        `create` makes a mountpoint that is missing at `path`, and leaves it there. `other` is in the same namespace, or
        in `other_namespace`. Raises OSError if nothing can be mounted at `path`.
        """
        there = namespace if other_namespace is None else other_namespace
        shown = self._spread(path, create, namespace, there)
        self.answers["reaches"] = partial(self._reach_text, path, other, shown, namespace, there)
        return other in shown

    def assert_reaches(
        self, path: str, other: str, *, create: bool = False, namespace: str = "", other_namespace: str | None = None
    ) -> None:
        """reaches(), or an AssertionError that says where such a mount shows, and how the two places are shared."""
        __tracebackhide__ = True
        there = namespace if other_namespace is None else other_namespace
        shown = self._spread(path, create, namespace, there)
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

    def _spread(self, path: str, create: bool, namespace: str, other: str) -> list[str]:
        """Where a mount at `path` shows in the namespace `other`, by its own words."""
        if path == "/":
            raise ValueError('a mount on "/" itself covers it all: name a directory below it')
        before = {row.mount_id for row in self.observe(other).rows}
        self.mount(path, create=create, namespace=namespace)
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

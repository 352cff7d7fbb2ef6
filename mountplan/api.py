"""The verbs of mountplan for programs: load, check, plan, apply, run, capture, diff, ... The command line uses them.

Each imports what it needs when it is called: carrying a saved plan out needs neither pydantic nor networkx.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from mountplan.applier.report import TIMEOUT
from mountplan.collector import without_collector
from mountplan.planner.errors import InUse, Mistake, NotAllowed, NotGranted, PlanRefused, SpecError
from mountplan.planner.record import NamedTuple
from mountplan.planner.table import MountTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mountplan.applier.namespaces import Built
    from mountplan.applier.probe import Finding
    from mountplan.applier.report import Reporter
    from mountplan.applier.userns import Rootless
    from mountplan.capturing import Capture
    from mountplan.comparing import Compared
    from mountplan.keeping import Keeping, Standing
    from mountplan.planner.classic import Classic
    from mountplan.planner.difference import Drift
    from mountplan.planner.errors import CommandNotStarted
    from mountplan.planner.foresight import Foresight
    from mountplan.planner.host import Host
    from mountplan.planner.plan import Plan
    from mountplan.planner.spec import Spec
    from mountplan.planner.trial import Trial
    from mountplan.tree import Tree


class Applied(NamedTuple):
    """What was built and verified: each namespace's name and its table as read back; how many steps, how long (s)."""

    tables: tuple[tuple[str, MountTable], ...]
    steps: int
    seconds: float


def _read(path: str) -> bytes:
    from mountplan.inputs import read_input

    try:
        return read_input(path)
    except OSError as error:
        from mountplan.planner.errors import SpecRef

        what = f"cannot read it: {error.strerror}"
        raise SpecError((Mistake(SpecRef(path, ""), what, "name a spec file that exists"),)) from None


@without_collector
def load(path: str, data: bytes | None = None) -> Spec:
    """The spec in the file `path` ("-" is standard input), or in `data`. Raises SpecError with all that is wrong."""
    from mountplan.planner.spec import parse_spec

    return parse_spec(_read(path) if data is None else data, path)


@without_collector
def check(data: bytes, file: str, host: Host | None = None, *, rootless: Rootless | None = None) -> tuple[Mistake, ...]:
    """Every mistake in a spec, in the order of the file; () if there is none.

    With `rootless`, a spec without mistakes is tried as well: see try_out, and what that raises.
    """
    return check_and_plan(data, file, host, rootless=rootless)[1]


@without_collector
def check_and_plan(
    data: bytes, file: str, host: Host | None = None, *, rootless: Rootless | None = None
) -> tuple[Plan | None, tuple[Mistake, ...]]:
    """check(), for those who go on with the plan: None if there are mistakes."""
    from mountplan.planner.spec import all_mistakes, parse_spec_leniently

    spec, mistakes = parse_spec_leniently(data, file)
    if spec is None:
        return None, mistakes
    try:
        made = plan(spec, host)
        foresee(made, host)
    except SpecError as error:
        return None, all_mistakes(spec, mistakes, error.mistakes)
    except PlanRefused:
        if not mistakes:
            raise
        return None, mistakes
    if rootless is not None and not mistakes:
        try:
            try_out(made, rootless=rootless)
        except NotAllowed as error:
            raise NotAllowed(tuple(one._replace(ref=spec.ref(one.ref.key)) for one in error.mistakes)) from None
    return None if mistakes else made, mistakes


def try_out(plan: Plan, *, rootless: Rootless = "auto") -> None:
    """Raise NotAllowed with all that the kernel would refuse of `plan` in a user namespace, if it takes one.

    Everything is tried, on things that are thrown away; nothing is built. Raises NamespaceRefused or StepRefused if
    there is nothing to try it in.
    """
    from mountplan.applier.namespaces import try_out as attempt

    attempt(plan, rootless)


@without_collector
def plan(spec: Spec, host: Host | None = None) -> Plan:
    """The plan for `spec` on this machine, or on `host`. Raises SpecError or PlanRefused; touches nothing."""
    if host is None:
        return plan_on_this_machine(spec, _this_machine())
    from mountplan.planner.graph import find_order
    from mountplan.planner.resolve import resolve
    from mountplan.planner.schedule import make_plan

    try:
        topology = resolve(spec, host)
    except SpecError as error:
        raise SpecError(tuple(mistake._replace(ref=spec.ref(mistake.ref.key)) for mistake in error.mistakes)) from None
    return make_plan(topology, find_order(topology))


def plan_on_this_machine(spec: Spec, host: Host) -> Plan:
    """The plan for `spec` on `host`, which is this machine, maybe with somebody listening."""
    made = plan(spec, host)
    _refuse_what_the_kernel_lacks(made)
    return made


def _refuse_what_the_kernel_lacks(plan: Plan) -> None:
    """Say so before anything is touched; only of features that kernels of today may lack, as trying takes a process.

    What an ordinary user cannot do is told when it is tried: a plan may be made by one user for another.
    """
    from mountplan.applier.facts import knows_set_group

    young = ("idmap_tmpfs", "overlay_layers", "set_group")
    needed = {one.feature: one for one in plan.requirements if one.feature in young}
    if "set_group" in needed and knows_set_group():
        del needed["set_group"]  # as nearly everywhere, and asked without a process
    if not needed or os.geteuid() != 0:
        return
    from mountplan.applier.probe import missing

    lacking = missing(needed)
    if lacking:
        raise PlanRefused(
            tuple(
                f"{needed[one.feature].reason}: this kernel does not have {needed[one.feature].what}: {one.said}\n"
                f"  remedy: {one.remedy}"
                for one in lacking
            )
        )


def _this_machine() -> Host:
    from mountplan.applier.facts import LiveHost

    return LiveHost()


@without_collector
def predict(plan: Plan) -> tuple[tuple[str, MountTable], ...]:
    """The name and the predicted mount table of each namespace, with the host's mounts as they are now."""
    from mountplan.applier.observe import observe
    from mountplan.planner import predict as model

    return tuple((one.namespace, one.table) for one in model.predict(plan, observe()))


@without_collector
def foresee(plan: Plan, host: Host | None = None, *, max_mounts: int | None = None) -> Foresight:
    """What `plan` comes to when it is carried out in the model, on this machine or on `host`.

    Raises PlanRefused if that is not what the spec says, or if it takes more mounts than fs.mount-max or `max_mounts`.
    """
    from mountplan.planner.foresight import foresee as look_ahead

    host = host or _this_machine()
    return look_ahead(plan, host.table, host.mount_max, max_mounts)


@without_collector
def carry_out_in_model(plan: Plan, steps: int, host: Host | None = None) -> Trial:
    """The state of the model after the first `steps` steps of `plan`. Raises PlanRefused if it does not get so far."""
    from mountplan.planner.foresight import refused_step
    from mountplan.planner.trial import Trial

    host = host or _this_machine()
    trial = Trial(plan.steps, host.table, host.mount_max)
    trial.run(steps)
    if trial.refusal is not None:
        raise PlanRefused((refused_step(plan, trial.refusal),))
    return trial


@without_collector
def classic(plan: Plan, host: Host | None = None) -> Classic:
    """What the same tree would come to, were it mounted in the order of the file: what propagation adds and spoils."""
    from mountplan.planner.classic import classic_way
    from mountplan.planner.predict import predict as predict_tables

    table = (host or _this_machine()).table
    return classic_way(plan, predict_tables(plan, table), table)


def in_use(plan: Plan) -> tuple[Mistake, ...]:
    """What `plan` needs for itself (images, block devices, overlays' directories) and others have at this moment.

    Each with who has it, and what to do; () if nothing stands in the way, as far as this user may know.
    """
    from mountplan.planner.attachments import asks_of_others

    if not asks_of_others(plan):
        return ()
    from mountplan.applier.uses import LiveUses
    from mountplan.planner.attachments import obstacles

    return obstacles(plan, LiveUses())


def check_mount_count(plan: Plan, max_mounts: int | None = None) -> None:
    """Raises PlanRefused if building `plan` takes more mounts at once than fs.mount-max or `max_mounts` allows.

    Much cheaper than foresee(), which does that as well.
    """
    from mountplan.planner.mountcount import check_mount_count as check_count

    host = _this_machine()
    check_count(plan, host.table, host.mount_max, max_mounts)


def probe(*, rootless: Rootless = "auto") -> tuple[Finding, ...]:
    """What this kernel and this user can do, each tried in a process that is thrown away."""
    from mountplan.applier.probe import probe as attempt

    return attempt(rootless=rootless)


@without_collector
def load_plan(path: str) -> Plan:
    """The plan in a plan file, proven to be one that may be carried out. Raises PlanFileError or PlanRefused."""
    from mountplan.planner.planfile import load_plan as read

    return read(_read(path), path)


@without_collector
def read_back(plan: Plan, built: Built) -> tuple[tuple[tuple[str, MountTable], ...], Drift]:
    """What stands in the namespaces that were built, and how it differs from the plan."""
    from mountplan.planner.compare import compare, group_names
    from mountplan.planner.predict import predict as predict_tables

    predictions = predict_tables(plan, built.host)
    tables = tuple((held.name, held.table) for held in built.namespaces)
    found, names = tuple(table for _, table in tables), group_names(plan)
    drift = compare(predictions, found, built.host, names)
    if drift:
        drift = compare(predictions, found, _without_ended_groups(built.host), names)
    return tables, drift


def _without_ended_groups(host: MountTable) -> MountTable:
    """`host` without peer groups that are no longer there: their numbers may be those of groups of ours by now."""
    from mountplan.applier.observe import observe

    alive = {row.peer_group for row in observe().rows}
    return MountTable(tuple(row if row.peer_group in alive else row._replace(peer_group=0) for row in host.rows))


def _build_verified(
    plan: Plan,
    reporter: Reporter | None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    *,
    to_keep: bool = False,
) -> tuple[Built, tuple[tuple[str, MountTable], ...]]:
    from mountplan.applier.namespaces import build

    others = in_use(plan)
    if others:
        raise InUse(others)
    built = build(plan, reporter, plan.run.unshare, rootless, timeout, to_keep=to_keep)
    try:
        tables, drift = read_back(plan, built)
        if drift:
            raise NotGranted(drift)
    except BaseException:
        built.close()
        raise
    return built, tables


def apply(
    plan: Plan, reporter: Reporter | None = None, *, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> Applied:
    """Build what `plan` says, read it back, compare, and let it go again. Raises StepRefused or NotGranted.

    `rootless` is whether to do it in a user namespace, here and wherever else something is built: if it takes one
    ("auto"), "always", or "never". A build that is not done after `timeout` seconds is refused; None waits for ever.
    """
    from time import perf_counter

    started = perf_counter()
    built, tables = _build_verified(plan, reporter, rootless, timeout)
    built.close()
    return Applied(tables, len(plan.steps), perf_counter() - started)


def build(
    plan: Plan, reporter: Reporter | None = None, *, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> Tree:
    """Build and verify `plan`, for a program to use: a Tree, which vanishes when its `with` block is left."""
    from mountplan.tree import Tree

    built, _ = _build_verified(plan, reporter, rootless, timeout)
    try:
        built.hide()
    except BaseException:
        built.close()
        raise
    return Tree(plan, built)


def run(
    plan: Plan,
    command: tuple[str, ...] = (),
    reporter: Reporter | None = None,
    *,
    namespace: str = "",
    status_fd: int | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
) -> int:
    """Build and verify `plan`, run `command` in it, and return its exit status (128 + n if signal n ended it).

    Without `command`, the spec's is run. What happens to signals: applier/run.py, run_in. Raises CommandNotStarted.
    """
    from mountplan.applier.run import check_settings, run_in

    command = command or plan.run.command
    check_settings(plan.run, command)
    built, _ = _build_verified(plan, reporter, rootless, timeout)
    with built:
        return run_in(built, plan.run, command, namespace=namespace, status_fd=status_fd)


def execute(
    plan: Plan,
    command: tuple[str, ...] = (),
    reporter: Reporter | None = None,
    *,
    namespace: str = "",
    status_fd: int | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    tell: Callable[[CommandNotStarted], bytes] | None = None,
) -> NoReturn:
    """Build and verify `plan`, and end as `command`: for a process that is there for nothing else.

    Where a new pid namespace or `status_fd` takes a process that waits, it raises SystemExit with the command's status.
    Raises CommandNotStarted, maybe inside the new root, where nothing can be imported any more: print it, and exit.
    What the kernel refuses when no Python is left here that could raise it, is written to standard error as `tell`
    says (it is asked beforehand, of all that could come), and the exit status is the exception's.
    """
    from mountplan.applier.command import in_words, to_stderr
    from mountplan.applier.run import check_settings, exec_in

    command = command or plan.run.command
    check_settings(plan.run, command)
    built, _ = _build_verified(plan, reporter, rootless, timeout)
    with built:
        report = to_stderr(tell or in_words)
        exec_in(built, plan.run, command, namespace=namespace, status_fd=status_fd, report=report)


def keep(
    plan: Plan,
    name: str | None = None,
    *,
    replace: bool = False,
    reporter: Reporter | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
) -> Keeping:
    """Build and verify `plan`, and keep it under `name`, or the spec's; if it stands there already, verify that.

    With `replace`, the new build takes the place of what has the name at one moment, once it is verified. Raises
    NameTaken if something else has the name, or what has it has changed; KeepRefused if nothing can be kept here.
    """
    from mountplan import keeping

    return keeping.keep(plan, name, replace=replace, reporter=reporter, rootless=rootless, timeout=timeout)


def kept() -> tuple[Standing, ...]:
    """All that is kept, by name, each with its mounts as they are now and how they differ from what they were."""
    from mountplan import keeping

    return keeping.kept()


def look_up(name: str) -> Standing:
    """What is kept under a name, and how it is. Raises NotKept."""
    from mountplan import keeping

    return keeping.look_up(name)


def enter(
    name: str,
    namespace: str = "",
    command: tuple[str, ...] = (),
    *,
    rootless: Rootless = "auto",
    tell: Callable[[CommandNotStarted], bytes] | None = None,
) -> NoReturn:
    """End as `command`, or the user's shell, in the namespaces that are kept under a name: as the spec's [run] says.

    Raises NotKept; or CommandNotStarted, maybe inside the new root, where nothing can be imported any more: print it,
    and exit. `tell` is as for execute().
    """
    from mountplan.applier.command import in_words, to_stderr
    from mountplan.applier.entering import enter as go
    from mountplan.applier.kept import opened

    with opened(name) as found:
        go(found, namespace, command or (shell(),), rootless, to_stderr(tell or in_words))
    raise AssertionError("it does not return")


def remove(name: str) -> None:
    """Let what is kept under a name go; who is still in there stays. Raises NotKept."""
    from mountplan.applier import kept

    kept.remove(name)


@without_collector
def capture(*what: int | str, name: str = "", contents: str | None = None) -> Capture:
    """The spec of what stands in live mount namespaces, with its text and cautions; `name` is what to call it.

    Each of `what` is a process, or as text a namespace file if there is a "/" in it, or a kept name. `contents` is a
    directory to be made for the files of tmpfs and ramfs. Raises TableError or NotKept; FileExistsError.
    """
    from mountplan.capturing import Folder, Wanted, capture_subjects, opened

    wanted = [
        Wanted("pid", str(one)) if isinstance(one, int) else Wanted("ns" if "/" in one else "kept", one) for one in what
    ]
    if not wanted:
        raise TypeError("capture() takes at least one process, namespace file or kept name")
    folder = Folder(contents, os.path.abspath(contents)) if contents is not None else None
    with opened(wanted) as subjects:
        return capture_subjects(subjects, name, folder)


@without_collector
def diff(first: str, second: str) -> Compared:
    """How two sides differ; `first` and `second` are what `mountplan diff` takes: `shop.toml`, `pid:12,pid:34`, ...

    Raises SubjectError, and whatever stands in the way of reading them.
    """
    from mountplan import comparing

    return comparing.diff(first, second)


@without_collector
def verify(spec: str, subject: str = "") -> Compared:
    """How what stands there differs from what a spec says; without `subject`, what is kept under the spec's name.

    `subject` is a kept name, or what else `diff` takes that is live. Raises as `diff` does.
    """
    from mountplan import comparing

    return comparing.verify(spec, subject)


def shell() -> str:
    """The user's shell, for commands that start one if none is named."""
    return os.environ.get("SHELL") or "/bin/sh"

"""The road from end to end: spec -> plan -> build -> verify, each phase a function. api.py has its public names.

Each imports what it needs when it is called: carrying a saved plan out needs neither pydantic nor networkx.
"""

from __future__ import annotations

import os
import sys

from mountplan.applier.sys.report import TIMEOUT
from mountplan.planner.errors import InUse, Mistake, NotAllowed, PlanRefused, SpecError, VerificationFailed
from mountplan.planner.light import no_collector, without_collector
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from mountplan.applier.build.build import Built
    from mountplan.applier.build.standby import Standby
    from mountplan.applier.probe.probe import Finding
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.ask.classic import Classic
    from mountplan.planner.ask.foresight import Foresight
    from mountplan.planner.ask.trial import Trial
    from mountplan.planner.compare.difference import Drift, Judged
    from mountplan.planner.errors import CommandNotStarted
    from mountplan.planner.host import Host
    from mountplan.planner.language.outside import Outside
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan


_ATTEMPTS = 5  # builds of what follows the host, before that it is told
_ROOM = 32 << 20  # bytes of address space, or of data, that a first spec takes to be read


class Applied(NamedTuple):
    """What was built and verified: each namespace's name and its table as read back; how many steps, how long (s).

    `notices` are options that the kernel took and shows in another form.
    """

    tables: tuple[tuple[str, MountTable], ...]
    steps: int
    seconds: float
    notices: Drift = ()


class Verified(NamedTuple):
    """What was read back of a build, and is what the plan says."""

    tables: tuple[tuple[str, MountTable], ...]
    notices: Drift


def read(path: str, wanted: str = "") -> bytes:
    """What is in a file, or comes from standard input. Raises SpecError, with what is `wanted` as the remedy."""
    from mountplan.inputs import meant_instead, read_input, reason_of

    try:
        return read_input(path)
    except OSError as error:
        from mountplan.planner.errors import SpecRef

        what = f"cannot read it: {reason_of(error)}"
        kind = "saved plan" if path.endswith(".json") else "spec file"
        remedy = meant_instead(path) + (wanted or f"name a {kind} that exists")
        raise SpecError((Mistake(SpecRef(path, ""), what, remedy),)) from None


@without_collector
def load(
    path: str, data: bytes | None = None, *, parameters: Mapping[str, str] | None = None, outside: Outside | None = None
) -> Spec:
    """The spec in the file `path` ("-" is standard input), or in `data`. Raises SpecError with all that is wrong.

    `parameters` are values for the spec's parameters. What else it takes from outside (files that it includes, the
    environment) is asked of this process, or of `outside`.
    """
    from mountplan.inputs import label_of
    from mountplan.live_outside import LiveOutside

    check_memory()
    from mountplan.planner.language.spec_reading import parse_spec

    data = read(path) if data is None else data
    return parse_spec(data, label_of(path), outside or LiveOutside(), parameters)


def check_memory() -> None:
    """Raise MemoryError if there is no room for pydantic: what that is written in aborts where there is none."""
    if "pydantic_core" in sys.modules:
        return
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

    try:
        mmap(-1, _ROOM, MAP_PRIVATE | MAP_ANONYMOUS).close()  # private: a shared one does not count as data (ulimit -d)
    except OSError:
        raise MemoryError from None


@without_collector
def check_and_plan(
    data: bytes,
    file: str,
    host: Host | None = None,
    *,
    rootless: Rootless | None = None,
    parameters: Mapping[str, str] | None = None,
) -> tuple[Plan | None, tuple[Mistake, ...]]:
    """Every mistake in a spec, in the order of the file; and the plan to go on with, None if there are any.

    With `rootless`, a spec without mistakes is tried as well: see try_out, and what that raises. `parameters`: as for
    load().
    """
    from mountplan.live_outside import LiveOutside

    check_memory()
    from mountplan.planner.language.spec_reading import all_mistakes, parse_spec_leniently

    spec, mistakes = parse_spec_leniently(data, file, LiveOutside(), parameters)
    if spec is None:
        return None, mistakes
    try:
        made = _planned(spec, host)
        if host is None:
            _refuse_what_the_kernel_lacks(made)
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
            raise NotAllowed(tuple(one._replace(ref=spec.located(one.ref)) for one in error.mistakes)) from None
    return None if mistakes else made, mistakes


def try_out(plan: Plan, *, rootless: Rootless = "auto") -> None:
    """Raise NotAllowed with all that the kernel would refuse of `plan` in a user namespace, if it takes one.

    Everything is tried, on things that are thrown away; nothing is built. Raises NamespaceRefused or StepRefused if
    there is nothing to try it in.
    """
    from mountplan.applier.build.build import try_out as attempt

    attempt(plan, rootless)


@without_collector
def plan(spec: Spec, host: Host | None = None) -> Plan:
    """The plan for `spec` on this machine, or on `host`. Raises SpecError or PlanRefused; touches nothing."""
    if host is None:
        return plan_on_this_machine(spec, _this_machine())
    try:
        return _planned(spec, host)
    except SpecError as error:
        from mountplan.planner.language.spec_reading import all_mistakes

        raise SpecError(all_mistakes(spec, (), error.mistakes)) from None


def _planned(spec: Spec, host: Host | None) -> Plan:
    """As plan(), but the places of mistakes have key paths of the whole spec, whichever file they are from."""
    from mountplan.planner.plan.graph import find_order
    from mountplan.planner.plan.schedule import make_plan
    from mountplan.planner.resolve.resolve import resolve

    topology = resolve(spec, host or _this_machine())
    return make_plan(topology, find_order(topology))


def plan_on_this_machine(spec: Spec, host: Host) -> Plan:
    """The plan for `spec` on `host`, which is this machine, maybe recording what is asked."""
    made = plan(spec, host)
    refuse_on_this_machine(made)
    return made


def refuse_on_this_machine(made: Plan) -> None:
    """Raise PlanRefused for what is known to be refused here."""
    _refuse_what_the_kernel_lacks(made)
    _refuse_what_is_locked(made)


def _refuse_what_the_kernel_lacks(plan: Plan) -> None:
    """Say so before anything is touched; only of features that kernels of today may lack, as trying takes a process.

    What an ordinary user cannot do is told when it is tried: a plan may be made by one user for another.
    """
    from mountplan.applier.observe.facts import knows_set_group

    young = ("idmap_tmpfs", "overlay_layers", "set_group")
    needed = {one.feature: one for one in plan.requirements if one.feature in young}
    if "set_group" in needed and knows_set_group():
        del needed["set_group"]  # as nearly everywhere, and asked without a process
    if not needed or os.geteuid() != 0:
        return
    from mountplan.applier.probe.probe import missing

    lacking = missing(needed)
    if lacking:
        raise PlanRefused(
            tuple(
                f"{needed[one.feature].reason}: this kernel does not have {needed[one.feature].what}: {one.said}\n"
                f"  remedy: {one.remedy}"
                for one in lacking
            )
        )


def _refuse_what_is_locked(plan: Plan) -> None:
    """Say so of mounts that shall be removed and are locked, as they are in a container with a user namespace."""
    removals = [one for one in plan.expected.altered if one.what == "remove"]
    if not removals or os.geteuid() != 0:
        return
    from mountplan.applier.probe.locked import first_locked

    locked = first_locked([one.path for one in removals])
    if locked is not None:
        one = removals[locked]
        what = f'what is mounted on "{one.path}" is locked, as part of what a more privileged user has mounted'
        remedy = f'leave it there, and mount something over it: target = "{one.path}"'
        raise SpecError((Mistake(plan.ref(f"{one.origin}.target"), what, remedy),))


def _this_machine() -> Host:
    from mountplan.applier.observe.facts import LiveHost

    return LiveHost()


@without_collector
def predict(plan: Plan) -> tuple[tuple[str, MountTable], ...]:
    """The name and the predicted mount table of each namespace, with the host's mounts as they are now."""
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.plan import predict as model

    return tuple((one.namespace, one.table) for one in model.predict(plan, observe()))


@without_collector
def foresee(plan: Plan, host: Host | None = None, *, max_mounts: int | None = None) -> Foresight:
    """What `plan` comes to when it is carried out in the model, on this machine or on `host`.

    Raises PlanRefused if that is not what the spec says, or if it takes more mounts than fs.mount-max or `max_mounts`.
    """
    from mountplan.planner.ask.foresight import foresee as look_ahead

    host = host or _this_machine()
    return look_ahead(plan, host.table, host.mount_max, max_mounts)


@without_collector
def carry_out_in_model(plan: Plan, steps: int, host: Host | None = None) -> Trial:
    """The state of the model after the first `steps` steps of `plan`. Raises PlanRefused if it does not get so far."""
    from mountplan.planner.ask.foresight import refused_step
    from mountplan.planner.ask.trial import Trial

    host = host or _this_machine()
    trial = Trial(plan.steps, host.table, host.mount_max)
    trial.run(steps)
    if trial.refusal is not None:
        raise PlanRefused((refused_step(plan, trial.refusal),))
    return trial


@without_collector
def classic(plan: Plan, host: Host | None = None) -> Classic:
    """What the same tree would come to, were it mounted in the order of the file: what propagation adds and spoils."""
    from mountplan.planner.ask.classic import classic_way
    from mountplan.planner.plan.predict import predict as predict_tables

    table = (host or _this_machine()).table
    return classic_way(plan, predict_tables(plan, table), table)


def warnings(plan: Plan, host: Host | None = None) -> tuple[Mistake, ...]:
    """What is no mistake, and seldom meant: recursive binds that are shared, while what they bring along is not;
    changes of what is inherited that leave what others cover; what read_only_below() has; and images that are empty.
    """
    from mountplan.planner.plan.image_contents import not_in_images
    from mountplan.planner.plan.left_by_changes import left_by_changes
    from mountplan.planner.plan.sharing_stops import sharing_stops

    host = host or _this_machine()
    table = host.table
    found = (*sharing_stops(plan, table), *left_by_changes(plan, table), *read_only_below(plan, table))
    return (*found, *not_in_images(plan, host))


def read_only_below(plan: Plan, host: MountTable | None = None) -> tuple[Mistake, ...]:
    """Mounts that the spec makes writable, of filesystems that are read-only themselves."""
    from mountplan.planner.attributes import RDONLY

    clears = [one.clear for space in plan.expected.namespaces for one in space.mounts if not one.filesystem]
    if not any(bits & RDONLY for bits in (*clears, *(one.clear for one in plan.expected.altered))):
        return ()
    from mountplan.planner.plan.rw_of_read_only import rw_of_read_only

    return rw_of_read_only(plan, _this_machine().table if host is None else host)


def in_use(plan: Plan) -> tuple[Mistake, ...]:
    """What `plan` needs for itself (images, block devices, overlays' directories) and others have at this moment.

    Each with what holds it, and what to do; () if nothing stands in the way, as far as this user may know.
    """
    from mountplan.planner.plan.of_others import asks_of_others

    if not asks_of_others(plan):
        return ()
    from mountplan.applier.keep.uses import LiveUses
    from mountplan.planner.plan.attachments import obstacles

    return obstacles(plan, LiveUses())


def check_mount_count(plan: Plan, max_mounts: int | None = None) -> None:
    """Raises PlanRefused if building `plan` takes more mounts at once than fs.mount-max or `max_mounts` allows.

    Much cheaper than foresee(), which does that as well.
    """
    from mountplan.applier.observe.observe import mount_max, observe
    from mountplan.planner.plan.mountcount import check_mount_count as check_count
    from mountplan.planner.plan.mountcount import surely_fits

    host, most = observe(), mount_max()
    if not surely_fits(plan.steps, host, most if max_mounts is None else min(most, max_mounts)):
        check_count(plan, host, most, max_mounts)


def probe(*, rootless: Rootless = "auto") -> tuple[Finding, ...]:
    """What this kernel and this user can do, each tried in a process that is thrown away."""
    from mountplan.applier.probe.probe import probe as attempt

    return attempt(rootless=rootless)


@without_collector
def load_plan(path: str) -> Plan:
    """The plan in a plan file, proven to be one that may be carried out. Raises PlanFileError or PlanRefused."""
    from mountplan.planner.plan.planfile import load_plan as load_saved

    return load_saved(read(path), path)


@without_collector
def read_back(plan: Plan, built: Built) -> tuple[tuple[tuple[str, MountTable], ...], Drift]:
    """What stands in the namespaces that were built, and how it differs from the plan."""
    judged = _judge_built(plan, built)
    return tuple((held.name, held.table) for held in built.namespaces), judged.drift


def _judge_built(plan: Plan, built: Built) -> Judged:
    from mountplan.planner.compare.compare import group_names, judge_built
    from mountplan.planner.plan.predict import predict as predict_tables

    predictions = predict_tables(plan, built.host)
    found, names = tuple(held.table for held in built.namespaces), group_names(plan)
    judged = judge_built(predictions, found, built.host, names, built.present, untouched=True)
    if judged.drift:
        host = _without_ended_groups(built.host)
        judged = judge_built(predictions, found, host, names, built.present, untouched=True)
    if not judged.drift and any(one.user for one in plan.expected.namespaces):
        from mountplan.ownership import ownership_drift

        judged = judged._replace(drift=ownership_drift(plan, built, predictions))
    return judged._replace(notices=without_defaults(judged.notices))


def without_defaults(notices: Drift) -> Drift:
    """Options that an overlay took and does not show are in force if they are what the machine has as a default."""
    if not notices:
        return notices
    from mountplan.planner.tables.options import NOT_SHOWN

    if not any(one.found == NOT_SHOWN for one in notices):
        return notices
    from mountplan.applier.sys.overlay import machines_defaults
    from mountplan.planner.fstypes import of

    defaults = {**of("overlay").shown_unless, **machines_defaults()}
    known = {(f"option {name}", value) for name, value in defaults.items()}
    return tuple(one for one in notices if one.found != NOT_SHOWN or (one.prop, one.wanted) not in known)


def _without_ended_groups(host: MountTable) -> MountTable:
    """`host` without peer groups that are no longer there: their numbers may be those of groups of ours by now."""
    from mountplan.applier.observe.observe import observe

    alive = {row.peer_group for row in observe().rows}
    return MountTable(tuple(row if row.peer_group in alive else row._replace(peer_group=0) for row in host.rows))


def build_verified(
    plan: Plan,
    reporter: Reporter | None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    *,
    to_keep: bool = False,
    standby: Standby | None = None,
) -> tuple[Built, Verified]:
    from mountplan.applier.build.build import build
    from mountplan.planner.compare.compare import judge_built  # noqa: F401 (what is loaded after a fork is copied)

    others = in_use(plan)
    if others:
        raise InUse(others)
    from mountplan.planner.plan.of_others import follows_host

    follows = follows_host(plan)
    if follows:
        from mountplan.following import has_changed, missed
    for attempt in range(1, _ATTEMPTS + 1):
        built = build(plan, reporter, plan.run.unshare, rootless, timeout, to_keep=to_keep, standby=standby)
        try:
            with no_collector():
                judged = _judge_built(plan, built)
                drift = judged.drift or (missed(plan, built) if follows else ())
            if not drift:
                break
            if not follows or attempt == _ATTEMPTS or not has_changed(plan, built):
                raise VerificationFailed(drift)
        except BaseException:
            built.close()
            raise
        built.close()  # the host has mounted or unmounted something meanwhile, which the next build has from the start
    return built, Verified(tuple((held.name, held.table) for held in built.namespaces), judged.notices)


def build_and_forget(
    plan: Plan, reporter: Reporter | None = None, *, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> Applied:
    """Build what `plan` says, read it back, compare, and let it go again. Raises StepRefused or VerificationFailed.

    `rootless` is whether to do it in a user namespace, here and wherever else something is built: if it takes one
    ("auto"), "always", or "never". A build that is not done after `timeout` seconds is refused; None waits for ever.
    """
    from time import perf_counter

    started = perf_counter()
    built, verified = build_verified(plan, reporter, rootless, timeout)
    built.close()
    return Applied(verified.tables, len(plan.steps), perf_counter() - started, verified.notices)


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

    Without `command`, the spec's is run. What happens to signals: applier/run/run.py, run_in. Raises CommandNotStarted.
    """
    from mountplan.applier.run.run import check_settings, run_in

    command = command or plan.run.command
    check_settings(plan.run, command)
    built, _ = build_verified(plan, reporter, rootless, timeout)
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
    from mountplan.applier.process.command import in_words, to_stderr
    from mountplan.applier.run.run import check_settings, exec_in

    command = command or plan.run.command
    check_settings(plan.run, command)
    built, _ = build_verified(plan, reporter, rootless, timeout)
    with built:
        report = to_stderr(tell or in_words)
        exec_in(built, plan.run, command, namespace=namespace, status_fd=status_fd, report=report)

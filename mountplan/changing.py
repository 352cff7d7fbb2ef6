"""Changing a tree that stands: the plan of changes that makes a spec of it, carried out, finished or taken back."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from mountplan.applier.keep import kept, kept_changes
from mountplan.applier.observe.observe import refused_table
from mountplan.applier.observe.subjects import of_process
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.inside import ChildKilled
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.keeping import state_for
from mountplan.live_target import Target, holders_of, look, standing_for, subject_of
from mountplan.operands import Operand, granted_of
from mountplan.pipeline import without_defaults
from mountplan.planner.change.change_plan import ChangeObstacle, ChangePlan
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed, StandingTree
from mountplan.planner.compare.arrivals import Surroundings
from mountplan.planner.errors import (
    ChangeRefused,
    ChangeUnfinished,
    InUse,
    MountplanError,
    NamespaceRefused,
    PlanFileError,
    StepRefused,
    TableError,
    VerificationFailed,
)
from mountplan.planner.light import TypeVar, without_collector
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mountplan.applier.change.journal import Journal, JournalEntry
    from mountplan.applier.change.visit import Refused, Visited
    from mountplan.planner.change.change_file import SavedChange
    from mountplan.planner.change.change_steps import ChangeStep
    from mountplan.planner.compare.difference import Drift
    from mountplan.planner.compare.view import Granted
    from mountplan.planner.names import Handle
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable

Refusal = TypeVar("Refusal", StepRefused, NamespaceRefused)


@without_collector
def preview(plan: Plan, target: Target, allowed: Allowed) -> ChangePlan:
    """What is to be done, tried in the model."""
    from mountplan.applier.observe.facts import LiveHost

    return plan_change(plan, standing_for(target, plan), allowed, LiveHost().mount_max)


def dump(plan: Plan, target: Target, allowed: Allowed, change: ChangePlan) -> str:
    """A plan of changes as the text of a file."""
    from mountplan.planner.change.change_file import SavedChange, dump_change, lines_of, outcome_of, state_of

    state = state_of(target.standing, target.unique)
    return dump_change(SavedChange(_subject(target), plan, allowed, state, outcome_of(change), lines_of(change)))


class Changed(NamedTuple):
    """What a change into `plan` has come to: the lines carried out, what stands there now, how long it took (s).

    `outcome` is "stands" if there was nothing to do. `outside` are differences that were seen in other namespaces,
    `notices` options that the kernel took and shows in another form.
    """

    plan: Plan
    change: ChangePlan
    outcome: Literal["changed", "stands", "finished", "taken back"]
    tables: tuple[tuple[str, MountTable], ...]
    seconds: float
    outside: tuple[str, ...] = ()
    notices: Drift = ()


@without_collector
def change(plan: Plan, operand: Operand, allowed: Allowed, saved: SavedChange | None = None) -> Changed:
    """Change what stands into what `plan` says, verify it, and let its record say so.

    Raises ChangeRefused if that is refused, or if what stands is no longer what `saved` was planned from; StepRefused,
    after what was begun has been taken back; ChangeUnfinished if it could not be, or if another change is unfinished;
    VerificationFailed.
    """
    with _journal(operand) as journal:
        _refuse_unfinished(journal, operand)
        target = look(operand)
        found = preview(plan, target, allowed)
        if saved is not None:
            _check_unchanged(saved, target, found)
        return _carry_out(plan, target, found, journal, "changed")


@without_collector
def finish(plan: Plan | None, operand: Operand, allowed: Allowed, *, undo: bool) -> Changed:
    """Finish a change that was interrupted, or take it back. `plan` is what to finish it as, None for what was begun.

    What stands is looked at anew: only what is still to be done is done. Raises as change() does.
    """
    with _journal(operand) as journal:
        entry = journal.find()
        if entry is not None and not (entry.begun or entry.after):  # cut off while it was written
            journal.remove()
            entry = None
        if entry is None:
            what, option = f"no change of {_label(operand)} was interrupted", f"--{operand.kind} {operand.value}"
            remedy = f"to have it as it was, apply what it was made from: mountplan apply SPEC --live {option}"
            raise ChangeUnfinished(what, remedy, 2)
        if entry.under_way:
            _refuse_unfinished(journal, operand)
        if plan is None or undo:
            text = entry.before if undo else entry.after
            if not text:
                what = f"what {_label(operand)} was before the change is written down nowhere"
                raise ChangeUnfinished(what, "finish it (--continue), or change it with the spec that it shall be")
            plan = load_plan(text, "the plan in the journal")
        begun = load_plan(entry.after, "the plan in the journal") if entry.after else None
        target = _with_begun(look(operand), begun)
        found = preview(plan, target, allowed)
        was = entry if undo else entry._replace(after=dump_plan(plan))
        return _carry_out(plan, target, found, journal, "taken back" if undo else "finished", was)


def _carry_out(
    plan: Plan,
    target: Target,
    found: ChangePlan,
    journal: Journal,
    outcome: Literal["changed", "finished", "taken back"],
    interrupted: JournalEntry | None = None,
) -> Changed:
    """`interrupted` is what the journal says until this has come to an end, whatever becomes of it."""
    started = perf_counter()
    if found.obstacles:
        raise ChangeRefused(tuple(_in_words(plan, one) for one in found.obstacles))
    if not found.changes:
        if target.kind == "name":
            _record(plan, target)
        if interrupted is not None:
            journal.remove()
        came_to = "stands" if outcome == "changed" else outcome
        return Changed(plan, found, came_to, found.tables, perf_counter() - started)
    _refuse_what_is_in_use(plan, found)
    record = target.standing.record
    before = record.plan if record is not None else None
    if interrupted is None:
        if before is None:
            before = _plan_of_what_stands(target)
        try:
            journal.write(dump_plan(before) if before is not None else "", dump_plan(plan))
        except FileExistsError:  # since it was looked for
            _refuse_unfinished(journal, target.operand)
            raise
    else:
        if before is None and interrupted.before:
            before = load_plan(interrupted.before, "the plan in the journal")
        journal.write_anew(interrupted)
    from mountplan.applier.change.visit import Refused

    granted = _granted(target)
    try:
        refused = _visit(target, found.steps, journal)
    except (ChildKilled, KernelRefusal) as error:
        raise _ended(target, error, journal, before, plan) from None
    if isinstance(refused, Refused):
        if interrupted is not None and interrupted.begun:
            refused = refused._replace(begun=True)
        raise _refusal(plan, target, found, refused, journal, before)
    try:
        after = look(target.operand)
        notices = _verify(plan, target, after, granted, found, refused.present)
        if target.kind == "name":
            _record(plan, after)
        journal.remove()
    except VerificationFailed:
        raise
    except MountplanError as error:
        what = f"{error}\n  all was changed by then, and could not be looked at or written down"
        raise ChangeUnfinished(what, _ways_out(target), error.exit_status) from None
    tables = tuple((space.name, space.table) for space in after.standing.spaces)
    outside = _seen_outside(target.standing, after.standing)
    return Changed(plan, found, outcome, tables, perf_counter() - started, outside, notices)


def _plan_of_what_stands(target: Target) -> Plan | None:
    """What to take a change of a process's tree back to: its capture. None if that leaves out or adds anything."""
    from mountplan.capturing import capture_subjects
    from mountplan.pipeline import check_and_plan

    try:
        with subject_of(target.operand) as subject:
            text = capture_subjects([subject], check=False).text
        plan, _ = check_and_plan(text.encode("utf-8", "surrogateescape"), target.standing.label)
    except MountplanError:
        return None
    if plan is None or plan.expected.left_out:
        return None
    found = preview(plan, target, Allowed())
    return None if found.changes or found.obstacles else plan


def _in_words(plan: Plan, one: ChangeObstacle) -> str:
    place = f"{plan.ref(one.origin)}: " if one.origin else ""
    return f"{place}{one.what}" + (f"\n  remedy: {one.remedy}" if one.remedy else "")


def _label(operand: Operand) -> str:
    return operand.value if operand.kind == "name" else f"process {operand.value}"


def _subject(target: Target | Operand) -> str:
    """As --live takes it."""
    return target.value if target.kind == "name" else f"pid:{target.value}"


def _journal(operand: Operand) -> AbstractContextManager[Journal]:
    from mountplan.applier.change.journal import journal_of_name, journal_of_namespace

    if operand.kind == "name":
        return journal_of_name(operand.value)
    with of_process(int(operand.value)) as subject:
        try:
            number = syscalls.namespace_id(subject.fd)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise refused_table(f"{subject.label}: cannot tell its namespace", error) from None
            number = os.fstat(subject.fd).st_ino  # before Linux 6.11
    return journal_of_namespace(number)


def _refuse_unfinished(journal: Journal, operand: Operand) -> None:
    """What another change has left is nothing if it had not begun; otherwise the user says what becomes of it."""
    entry = journal.find()
    if entry is None:
        return
    if entry.under_way:
        what = f"another process changes {_label(operand)} at this moment"
        raise ChangeUnfinished(what, "wait until it has ended, and try again")
    if not entry.begun:
        journal.remove()
        return
    after = load_plan(entry.after, "the plan in the journal") if entry.after else None
    into = f" into what {after.file} says" if after is not None else ""
    raise ChangeUnfinished(f"a change of {_label(operand)}{into} was interrupted when it had begun", _ways_out(operand))


def _ways_out(target: Target | Operand) -> str:
    option = f"--{target.kind} {target.value}"
    return (
        f"`mountplan plan SPEC --live {_subject(target)}` shows what is left to do; finish it: mountplan apply --live"
        f" --continue {option}; or take it back: mountplan apply --live --undo {option}"
    )


def _check_unchanged(saved: SavedChange, target: Target, found: ChangePlan) -> None:
    from mountplan.planner.change.change_file import lines_of, outcome_of, state_of

    if state_of(target.standing, target.unique) == saved.state and outcome_of(found) == saved.outcome:
        if lines_of(found) == saved.lines:
            return
        what = "the changes that are written in it are not those that it stands for"
        raise PlanFileError(f"a plan of changes of {target.standing.label}: {what}: plan it again")
    what = f"{target.standing.label} is no longer what the change was planned from"
    raise ChangeRefused((f"{what}\n  remedy: plan it again: mountplan plan SPEC --live {saved.subject}",))


def _refuse_what_is_in_use(plan: Plan, found: ChangePlan) -> None:
    from mountplan.pipeline import in_use
    from mountplan.planner.plan.steps import STEP_TYPES

    others = in_use(plan._replace(steps=tuple(step for step in found.steps if isinstance(step, STEP_TYPES))))
    if others:
        raise InUse(others)


def _visit(target: Target, steps: tuple[ChangeStep, ...], journal: Journal) -> Refused | Visited:
    """Carry steps out in the namespaces of the target."""
    from mountplan.applier.change.live_kernel import Entrance
    from mountplan.applier.change.visit import carry_out
    from mountplan.applier.sys.userns import owner_fd

    with ExitStack() as stack:

        def lent(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        if target.kind == "name":
            opened = stack.enter_context(kept.opened(target.value))
            entrances = [Entrance(one.name, lent(opened.open(one)), -1) for one in opened.kept.mounts]
            others = [(one.kind, lent(opened.open(one))) for one in opened.kept.namespaces if one.kind != "mnt"]
        else:
            subject = stack.enter_context(subject_of(target.operand))
            root = subject.root()
            if root < 0:
                raise TableError(f"process {target.value} has ended")
            entrances = [Entrance(target.standing.spaces[0].name, subject.fd, lent(root))]
            others = []
            for kind in ("user", "net", "ipc", "uts", "cgroup", "pid"):
                # A sandbox may have gone on into a user namespace that has no say over its mounts.
                fd = owner_fd(subject.fd) if kind == "user" else -1
                if fd < 0:
                    fd = os.open(f"/proc/{target.value}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                if not os.path.samestat(os.fstat(lent(fd)), os.stat(f"/proc/self/ns/{kind}")):
                    others.append((kind, fd))
        return carry_out(steps, tuple(entrances), tuple(others), journal.begin)


def _refusal(
    plan: Plan, target: Target, found: ChangePlan, refused: Refused, journal: Journal, before: Plan | None
) -> StepRefused | ChangeUnfinished:
    """The error to raise, once what had begun is taken back as far as possible: into `before`."""
    from mountplan.applier.sys.refusal import explain

    step = found.steps[refused.step - 1]
    meaning, remedy = refused.meaning, refused.remedy
    if not meaning:
        meaning, remedy = explain(step.kind, refused.errno, refused.syscall)
        if refused.errno == errno.EBUSY and (mounts := _in_use_at(step, found.steps, target.standing)):
            holders = holders_of(mounts)
            meaning += f": {', '.join(holders)}" if holders else ""
            remedy += "" if holders else "; lsof(8), as root in the machine's own pid namespace, may show which it is"
    error = StepRefused(
        number=refused.step,
        step=step.describe(),
        origin=plan.ref(step.origin),
        syscall=refused.syscall,
        errno=refused.errno,
        meaning=meaning,
        remedy=remedy,
        log=refused.log,
    )
    if not refused.begun:
        journal.remove()
        return error
    return _aftermath(error, target, journal, before, plan)


def _in_use_at(step: ChangeStep, steps: tuple[ChangeStep, ...], standing: StandingTree) -> set[int]:
    """By their ids, the mounts that a step was to make read-only."""
    if step.kind == "set_attributes" and step.mount.startswith("live:"):
        return {int(step.mount.rpartition(":")[2])}
    if step.kind != "reconfigure":
        return set()
    devices = [one.device for one in steps if one.kind == "take_live" and one.filesystem == step.filesystem]
    return {row.mount_id for space in standing.spaces for row in space.table.rows if row.device in devices}


def _ended(
    target: Target, cause: ChildKilled | KernelRefusal, journal: Journal, before: Plan | None, plan: Plan
) -> NamespaceRefused | ChangeUnfinished:
    """The same, if the process that was to change it could not be had, or has ended, such as by a SIGKILL."""
    from mountplan.applier.sys.refusal import explain

    label = target.standing.label
    if isinstance(cause, KernelRefusal):
        meaning, remedy = explain("isolate", cause.errno or 0, cause.syscall)
        error = NamespaceRefused(f"cannot change {label}: {cause.syscall}", meaning, remedy)
    else:
        error = NamespaceRefused(f"cannot change {label}", cause.meaning, cause.remedy)
    if not journal.has_begun():
        journal.remove()
        return error
    return _aftermath(error, target, journal, before, plan)


def _aftermath(
    error: Refusal, target: Target, journal: Journal, before: Plan | None, plan: Plan
) -> Refusal | ChangeUnfinished:
    """The error to raise once what had begun is taken back, if that is possible."""
    lost = _take_back(target, journal, before, plan) if before is not None else None
    if lost is not None:
        told = "what had been changed by then was taken back"
        if lost:
            told += f"; what was in {', '.join(lost)} is lost, as nothing showed it any more"
        error.args = (f"{error.args[0]}\n  {told}",)
        return error
    what = f"{error}\n  what had been changed by then stands, and could not be taken back"
    return ChangeUnfinished(what, _ways_out(target), error.exit_status)


def _with_begun(target: Target, begun: Plan | None) -> Target:
    """With a record that says what it may be already, of what was begun."""
    record = target.standing.record
    if record is None:
        return target
    return target._replace(standing=target.standing._replace(record=record._replace(begun=begun)))


def _take_back(target: Target, journal: Journal, before: Plan, plan: Plan) -> tuple[str, ...] | None:
    """Change it back: the places of filesystems that had to be made anew; None if that is refused."""
    from mountplan.applier.change.visit import Refused

    try:
        now = _with_begun(look(target.operand), plan)
        back = preview(before, now, Allowed(move=True, gap=True, propagation=True))
        if back.obstacles or (back.steps and isinstance(_visit(now, back.steps, journal), Refused)):
            return None
        if target.kind == "name":
            _record(before, look(target.operand))
        journal.remove()
    except (MountplanError, KernelRefusal):
        return None
    rows = [row for space in target.standing.spaces for row in space.table.rows]
    alive = {row.device for space in now.standing.spaces for row in space.table.rows}
    alive |= {row.device for row in now.standing.host.rows}
    return tuple(dict.fromkeys(row.mountpoint for row in rows if row.device not in alive))


def _granted(target: Target) -> dict[str, Granted]:
    """By device: what was asked of the superblocks that were made for a name, and what they showed then."""
    if target.standing.record is None:
        return {}
    with kept.opened(target.value) as opened:
        options = granted_of(opened, target.standing.record.plan)
    alive = set(target.standing.record.devices.values())
    return {device: one for each in options.values() for device, one in each.items() if device in alive}


def _verify(
    plan: Plan,
    before: Target,
    after: Target,
    granted: dict[str, Granted],
    change: ChangePlan,
    present: tuple[Handle, ...],
) -> Drift:
    """Options that are shown in another form. Raises VerificationFailed unless what stands is what the plan says.

    `granted` is what superblocks that stood before had been granted. `present` are filesystems that the change made,
    and that may have been there before.
    """
    from mountplan.planner.change.granted_since import granted_since
    from mountplan.planner.change.left_out import without_left_out
    from mountplan.planner.compare.compare import judge, machine_of, views_of
    from mountplan.planner.compare.own_store import without_absent_store
    from mountplan.planner.compare.view import View

    host = after.standing.host
    predictions = predict(plan, host)
    spaces = {space.name: space for space in after.standing.spaces}
    if len(predictions) == 1:
        spaces = {predictions[0].namespace: after.standing.spaces[0]}
    now = [spaces[one.namespace].table for one in predictions]
    wanted = views_of(plan, without_absent_store(predictions, now, after.standing.store))
    pairs = [(view, spaces[view.namespace].table) for view in wanted]
    stood = frozenset(row.device for space in before.standing.spaces for row in space.table.rows)
    since, drift = granted_since(pairs, granted, stood, change.steps, present)
    found = tuple(View(space.name, space.table, idmaps=space.idmaps, granted=since) for space in after.standing.spaces)
    around = Surroundings((host, *(table for _, table in after.standing.outside)), after.standing.ages)
    judged = judge(wanted, found, machine_of(host), arrivals=True, surroundings=lambda: around)
    if drift := without_left_out(judged.drift, plan) or drift:
        raise VerificationFailed(drift)
    return without_defaults(judged.notices)


def _record(plan: Plan, target: Target) -> None:
    """The name is what `plan` says from now on."""
    from mountplan.planner.compare.compare import counterparts, views_of
    from mountplan.planner.plan.planfile import digest_of
    from mountplan.planner.tables.table import MountTable

    host = target.standing.host
    wanted = {view.namespace: view.table for view in views_of(plan, predict(plan, host))}

    def own(namespace: str, whole: MountTable) -> MountTable:
        """Without what has arrived: that is told by what it is more than what was seen when the name was kept."""
        table, _ = without_base(whole)
        ours = {there.mount_id for _, there in counterparts(wanted[namespace], table)}
        others = {row.mount_id for row in table.rows} - ours
        return MountTable(tuple(row for row in whole.rows if row.mount_id not in others))

    with kept.opened(target.value) as opened:
        was = opened.kept
        digest = digest_of(plan)
        made_from = was.made_from if digest == was.digest else ""  # of another plan, it is not known
        state = state_for(plan, was.name, made_from, digest)._replace(
            id=was.id, created=was.created, since=was.since, namespaces=was.namespaces, keeper=was.keeper
        )
        kept_changes.record_anew(opened, state, dump_plan(plan).encode(), host, own)


def _seen_outside(before: StandingTree, after: StandingTree) -> tuple[str, ...]:
    """Mounts in other namespaces that have come or gone meanwhile, by this or by anything else."""
    later = {"this namespace": after.host, **dict(after.outside)}
    told = []
    for name, table in {"this namespace": before.host, **dict(before.outside)}.items():
        if name in later:
            ours, theirs = ({(row.mount_id, row.mountpoint) for row in one.rows} for one in (table, later[name]))
            told += [f"{name}: {mountpoint} came" for _, mountpoint in sorted(theirs - ours)]
            told += [f"{name}: {mountpoint} went" for _, mountpoint in sorted(ours - theirs)]
    return tuple(told)

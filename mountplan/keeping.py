"""What apply builds, kept under a name; and whether what is kept still is what was verified."""

from __future__ import annotations

import errno
import os
from time import gmtime, perf_counter, strftime

from mountplan import pipeline
from mountplan.applier.keep import kept as keeping
from mountplan.applier.keep import kept_changes
from mountplan.applier.keep.kept_record import Kept, check_name
from mountplan.applier.keep.uptime import uptime
from mountplan.applier.observe.observe import tmpfs_defaults
from mountplan.applier.sys.report import TIMEOUT
from mountplan.kept_plan import plan_behind, plan_kept_for
from mountplan.operands import granted_of, view_of
from mountplan.pipeline import without_defaults
from mountplan.planner.compare.compare import differences, judge, machine_of, views_of
from mountplan.planner.compare.difference import Difference, Drift, Judged
from mountplan.planner.compare.view import View
from mountplan.planner.errors import KeepRefused, MountplanError, NameTaken, NotKept, PlanRefused, SpecError, TableError
from mountplan.planner.plan import steps
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import digest_of, dump_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable
from mountplan.spec_digest import OTHERWISE_NOW, Planned, digest_of_spec
from mountplan.surroundings import surroundings
from mountplan.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, NoReturn

    from mountplan.applier.build.build import Built
    from mountplan.applier.keep.kept import Opened
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.table_reader import TableReader
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.errors import CommandNotStarted
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.run_settings import RunSettings

Tables = tuple[tuple[str, MountTable], ...]


class Keeping(NamedTuple):
    """What apply has come to, and with which plan. If it "stands" already, nothing was built: then there were no steps.

    `notices` are options that the kernel took and shows in another form. `since` is what else the spec comes to on the
    host as it is now, if it stands as it was when the name was made.
    """

    kept: Kept
    plan: Plan
    outcome: Literal["kept", "replaced", "stands"]
    tables: Tables
    steps: int
    seconds: float
    notices: Drift = ()
    since: str = ""


class Standing(NamedTuple):
    """One kept name, and how it is. `mounts` is how many mounts there are in all, None if that cannot be seen.

    `problem` says why it cannot be judged; then `drift` is empty and means nothing. `age` is in seconds. `arrivals` are
    mounts that propagation has brought since: to slaves, and to peers of the host's groups.
    """

    kept: Kept
    tables: Tables
    drift: Drift
    problem: str
    age: float
    arrivals: Drift = ()

    @property
    def health(self) -> Literal["healthy", "drifted", "unknown"]:
        if self.problem or (self.drift and all(one.unknown for one in self.drift)):
            return "unknown"
        return "drifted" if self.drift else "healthy"

    @property
    def mounts(self) -> int | None:
        return None if self.problem else sum(len(table.rows) for _, table in self.tables)


def name_for(plan: Plan, name: str | None = None) -> str:
    """The name that `plan` would be kept under. Raises KeepRefused if there is none."""
    return check_name(plan.name if name is None else name)


def plan_or_kept(spec: Spec | Plan, name: str) -> Planned:
    """What a spec comes to on this host; if that has changed such that there is nothing, what it came to when `name`
    was made of the same spec. A plan is what it is. Raises SpecError or PlanRefused.
    """
    if isinstance(spec, Plan):
        return Planned(spec)
    made_from = digest_of_spec(spec)
    try:
        return Planned(pipeline.plan(spec), made_from)
    except (SpecError, PlanRefused) as error:
        plan = _plan_then(spec, made_from, name)
        if plan is None:
            raise
        reason = str(error).partition("\n")[0]
        return Planned(plan, made_from, f"on the host as it is now, nothing can be made of the spec: {reason}")


def _plan_then(spec: Spec, made_from: str, name: str) -> Plan | None:
    """With the lines that the spec has now. None where `name` was not made of this, or nothing can be read of it."""
    try:
        found = keeping.find(name)
        if found is None or found.made_from != made_from:
            return None
        return plan_kept_for(name)._replace(file=spec.file, lines=spec.headers(), moved=spec.moved)
    except MountplanError:
        return None


def keep(
    made: Plan | Planned,
    name: str | None = None,
    *,
    replace: bool = False,
    reporter: Reporter | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
) -> Keeping:
    """Build a plan, verify it, and keep it under `name`, or the spec's. If it stands there already, verify that.

    With `replace`, a new build takes the place of whatever has the name, once it is verified, and at one moment.
    Raises NameTaken if something else, or something that has changed, has the name.
    """
    started = perf_counter()
    plan, made_from, since = made if isinstance(made, Planned) else Planned(made)
    name = name_for(plan, name)
    kept_changes.tidy()
    before = keeping.find(name)
    digest = digest_of(plan)
    if before is not None and not replace:
        try:
            then, tables, now = _check_standing(plan, digest, made_from, before)
            return Keeping(before, then, "stands", tables, 0, perf_counter() - started, since=since or now)
        except NotKept:
            before = None  # removed at this moment
    built, verified = build_keepable(plan, reporter, rootless, timeout)
    with built:
        replaces = before.id if before is not None else ""
        state = state_for(plan, name, made_from, digest)
        kept = kept_changes.keep(kept_changes.NewName(state, replaces, dump_plan(plan).encode()), built)
    outcome: Literal["kept", "replaced"] = "replaced" if before is not None else "kept"
    seconds = perf_counter() - started
    return Keeping(kept, plan, outcome, verified.tables, len(plan.steps), seconds, verified.notices)


def state_for(plan: Plan, name: str, made_from: str = "", digest: str = "") -> Kept:
    """What is known about a name before its namespaces are kept; `digest` is the plan's, if it is known already."""
    digest = digest or digest_of(plan)
    spec = os.path.abspath(plan.file) if os.path.exists(plan.file) else plan.file
    created = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())
    known = Kept(name, os.urandom(8).hex(), spec, digest, created, uptime(), __version__, (), None, plan.run)
    return known._replace(left_out=plan.expected.left_out, defaults=tmpfs_defaults(), made_from=made_from)


def build_keepable(
    plan: Plan, reporter: Reporter | None, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> tuple[Built, pipeline.Verified]:
    """Build and verify, such that it can be kept."""
    built, verified = pipeline.build_verified(plan, reporter, rootless, timeout, to_keep=True)
    if kept_changes.can_keep(built):
        return built, verified
    built.close()
    from mountplan.applier.observe.namespace_age import giving_younger

    with giving_younger():
        return pipeline.build_verified(plan, reporter, rootless, timeout, to_keep=True)


def _check_standing(plan: Plan, digest: str, made_from: str, before: Kept) -> tuple[Plan, Tables, str]:
    """The plan that it is held against, the tables of what has the name, and what is to be said of the host as it is
    now. Raises NameTaken if it is not what the plan says, and KeepRefused.
    """
    remedy = (
        "`mountplan apply --live` changes what stands, under what runs there; --replace puts a new build in its place;"
        f" `mountplan rm {before.name}` removes it"
    )
    with keeping.opened(before.name) as found:
        try:
            plan, digest, now = as_it_was(plan, digest, made_from, found)
            standing = judge_standing(plan, digest, found)
        except TableError as error:
            what = f"{before.name} stands already, but cannot be verified: {error}"
            raise KeepRefused(what, remedy) from None
    if not standing.judged.drift:
        return plan, standing.tables, now
    what = f"{before.name} stands already, but is not what it was made to be"
    if before.digest != digest:
        what = f"{before.name} stands already, and was made from another spec, or from this one as it was before"
    raise NameTaken(what, remedy, standing.judged.drift)


def as_it_was(plan: Plan, digest: str, made_from: str, found: Opened) -> tuple[Plan, str, str]:
    """What `plan` was when the name was made, if that was of the same spec, `made_from`; its digest; and what to say
    of it if that has become something else.
    """
    if digest == found.kept.digest or not made_from or made_from != found.kept.made_from:
        return plan, digest, ""
    then, host = plan_behind(found)._replace(file=plan.file, lines=plan.lines, moved=plan.moved), found.host()
    before, after = (views_of(one, predict(one, host)) for one in (then, plan))
    same = not differences(before, after, machine_of(host)) and not _made_otherwise(plan, then)
    return then, found.kept.digest, "" if same else OTHERWISE_NOW


class StandingAs(NamedTuple):
    """How what is kept under a name compares with a plan: its namespaces as they are now, and what is different."""

    views: tuple[View, ...]
    complete: bool
    judged: Judged

    @property
    def tables(self) -> Tables:
        return tuple((view.namespace, view.table) for view in self.views)


def judge_standing(plan: Plan, digest: str, found: Opened, *, notices: bool = False) -> StandingAs:
    """Whether what is kept stands as `plan` says, be it made from that or from another: `apply` and `verify` ask this.

    Where nothing has changed at all, notices take time, and are looked for if they are wanted. Raises TableError.
    """
    wholes = found.look()
    seen = tuple(found.seen(one) for one in found.kept.mounts)
    complete = all(whole.complete for whole in wholes)
    same, unchanged = digest == found.kept.digest, tuple(whole.table for whole in wholes) == seen
    if same and unchanged and not notices:
        views = tuple(view_of(one.name, whole) for one, whole in zip(found.kept.mounts, wholes, strict=True))
        return StandingAs(views, complete, Judged(_anew(found, wholes, ())))
    own = plan_behind(found)
    views = _views(found, wholes, own)
    judged = _against(plan, found, views) if complete else _since_kept(found, wholes, seen)
    drift = judged.drift
    if same and unchanged:
        drift = ()
    elif not same:
        if not complete:
            host = found.host()
            wanted, made = (views_of(one, predict(one, host)) for one in (plan, own))
            drift = differences(wanted, made, machine_of(host)) + drift
        drift = drift or _made_otherwise(plan, own)
    drift += _anew(found, wholes, drift)
    return StandingAs(views, complete, judged._replace(drift=drift, notices=without_defaults(judged.notices)))


# What mount tables do not show of it: what is in new filesystems, and what these are made from.
_UNSHOWN = (
    steps.AttachImage, steps.MakeOverlay, steps.CopyContents, steps.MakeNode, steps.RemoveNode,
    steps.MakeUserNamespace, steps.OwnNamespace, steps.TakeLocked,
)  # fmt: skip


def _is_unshown(step: steps.Step) -> bool:
    """Not so a mountpoint on the host (create = true): it is there by now, and what stands on it is shown."""
    if isinstance(step, steps.MakeNode):
        return not step.existing
    return isinstance(step, _UNSHOWN)


def _made_otherwise(plan: Plan, own: Plan) -> Drift:
    """What two plans for equal mounts make in different ways."""
    new, old = ({one._replace(origin=""): one for one in some.steps if _is_unshown(one)} for some in (plan, own))
    ours, theirs = ({one.describe() for one in some} for some in (new, old))
    other, none = "the same, made in another way", "no such step"
    made = ((one, one.describe()) for key, one in new.items() if key not in old)
    changed = [Difference("", "step", what, other if what in theirs else none, one.origin, "") for one, what in made]
    gone = (what for what in (one.describe() for one in old) if what not in ours)
    changed += [Difference("", "step", none, what, "", "") for what in gone]
    if own.run != plan.run:
        pairs = zip(plan.run._fields, _as_in_spec(plan.run), _as_in_spec(own.run), strict=True)
        changed += [Difference("", f"run.{name}", now, then, "", "") for name, now, then in pairs if now != then]
    return tuple(changed)


def _as_in_spec(run: RunSettings) -> list[str]:
    """The values of [run] as TOML has them."""
    from mountplan.planner.language.toml_values import toml_value

    values = run._asdict() | {"environment": dict(run.environment) or None}
    return ["not said" if value is None else toml_value(value) for value in values.values()]


class Unreadable(NamedTuple):
    """A name of which nothing is known but why."""

    name: str
    problem: str


def kept() -> tuple[Standing, ...]:
    """All that is kept, by name, each looked at; but for what cannot be read. What a crash has left is gone then."""
    kept_changes.tidy()
    return tuple(one for one in listed() if isinstance(one, Standing))


def listed() -> tuple[Standing | Unreadable, ...]:
    """As kept(), with what cannot be read as well, and with what a crash has left."""
    from mountplan.applier.observe.table_reader import TableReader

    found: list[Standing | Unreadable] = []
    with TableReader() as reader:
        for name in keeping.names():
            try:
                found.append(look_up(name, reader))
            except NotKept:
                continue  # removed at this moment
            except MountplanError as error:
                found.append(Unreadable(name, str(error)))
    return tuple(found)


def look_up(name: str, reader: TableReader | None = None) -> Standing:
    """What is kept under a name, and how it is. Raises NotKept."""
    try:
        with keeping.opened(name) as found:
            return _look(found, reader)
    except KeepRefused as error:  # its plan may be of an earlier version's format
        state = keeping.find(name)
        if state is None:
            raise
        return Standing(state, (), (), error.what, uptime() - state.since)


def _look(found: Opened, reader: TableReader | None) -> Standing:
    found.check_record()
    age = uptime() - found.kept.since
    try:
        wholes = found.look(reader)
    except TableError as error:
        return Standing(found.kept, (), (), str(error).removeprefix(f"{found.kept.name}: "), age)
    tables = tuple(
        (one.name, without_base(whole.table)[0]) for one, whole in zip(found.kept.mounts, wholes, strict=True)
    )
    seen = tuple(found.seen(one) for one in found.kept.mounts)
    if tuple(whole.table for whole in wholes) == seen:
        judged = Judged()
    elif all(whole.complete for whole in wholes):
        own = plan_behind(found)
        judged = _against(own, found, _views(found, wholes, own))
    else:
        judged = _since_kept(found, wholes, seen)
    drift = judged.drift + _anew(found, wholes, judged.drift)
    return Standing(found.kept, tables, drift, "", age, judged.arrivals)


def _views(found: Opened, wholes: list[Whole], own: Plan) -> tuple[View, ...]:
    """What stands under a name, with what is known of its superblocks from when it was kept. `own` is its plan."""
    options = granted_of(found, own)
    return tuple(
        view_of(one.name, whole)._replace(ids=found.ids(one), granted=options.get(one.name, {}))
        for one, whole in zip(found.kept.mounts, wholes, strict=True)
    )


def _since_kept(found: Opened, now: list[Whole], seen: tuple[MountTable, ...]) -> Judged:
    """How what stands there differs from what was seen when it was kept, and was verified.

    Before Linux 6.11 no process outside sees what lies under another mount on "/": it is not held against the plan.
    """
    names = tuple(one.name for one in found.kept.mounts)
    before = tuple(View(name, table) for name, table in zip(names, seen, strict=True))
    after = tuple(View(name, whole.table) for name, whole in zip(names, now, strict=True))
    return judge(before, after, machine_of(found.host()), arrivals=True, surroundings=surroundings)


def _anew(found: Opened, wholes: list[Whole], drift: Drift) -> Drift:
    """_mounted_again(), but for what is different anyway."""
    told = {(one.namespace, one.mount) for one in drift}
    return tuple(one for one in _mounted_again(found, wholes) if (one.namespace, one.mount) not in told)


def _mounted_again(found: Opened, wholes: list[Whole]) -> Drift:
    """Mounts of the spec that were unmounted and mounted again: they look as before, and what was in them is gone.

    What the host mounts again where it is to be received is its own business.
    """
    since = [found.mounted_since(one, whole) for one, whole in zip(found.kept.mounts, wholes, strict=True)]
    if not any(since):
        return ()
    plan = plan_behind(found)
    wanted = {
        (view.namespace, row.mountpoint)
        for view in views_of(plan, predict(plan, found.host()))
        for row in view.table.rows
    }
    what = "another one, mounted since"
    remedy = "look for the process that does that inside; apply --replace builds it anew"
    return tuple(
        Difference(row.mountpoint, "mount", "the one that was kept", what, "", remedy, one.name)
        for one, whole, ids in zip(found.kept.mounts, wholes, since, strict=True)
        for row in whole.table.rows
        if row.mount_id in ids and (one.name, row.mountpoint) in wanted
    )


def _against(plan: Plan, found: Opened, views: tuple[View, ...]) -> Judged:
    """How what stands under a name differs from what a plan says, with the host as it was when the name was made."""
    host = found.host()
    wanted = views_of(plan, predict(plan, host))
    return judge(wanted, views, machine_of(host), arrivals=True, surroundings=surroundings)


tidy, names, path_of = kept_changes.tidy, keeping.names, keeping.path_of


def remove(names: tuple[str, ...]) -> tuple[MountplanError, ...]:
    """Let names go, with their namespaces. All that can be removed are; the errors of those that cannot."""
    errors = []
    for name in names:
        try:
            kept_changes.remove(name)
        except MountplanError as error:
            errors.append(error)
    return tuple(errors)


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
    from mountplan.applier.keep.enter import enter as go
    from mountplan.applier.keep.kept import opened
    from mountplan.applier.process.command import in_words, to_stderr

    with opened(name) as found:
        go(found, namespace, command or (shell(),), rootless, to_stderr(tell or in_words))
    raise AssertionError("it does not return")


def shell() -> str:
    """The user's shell, for commands that start one if none is named."""
    return os.environ.get("SHELL") or "/bin/sh"


def lacks_shell(name: str) -> bool:
    """True if enter() of a kept name, without a command, surely finds no shell in there."""
    from mountplan.applier.keep.kept import opened
    from mountplan.applier.observe.walked import walked_in
    from mountplan.applier.sys.closing import closing_fd
    from mountplan.applier.sys.inside import ChildFailed

    path = shell()
    try:
        with opened(name) as found, closing_fd(found.open(found.namespace(""))) as namespace:
            walked_in(namespace, path)
    except (OSError, MountplanError, ChildFailed) as error:  # what is kept stands, whatever keeps us from looking
        return isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False

"""What apply builds, kept under a name; and whether what is kept still is what was verified."""

from __future__ import annotations

import os
from time import gmtime, perf_counter, strftime
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

import mountplan
from mountplan import pipeline
from mountplan.applier.keep import kept as keeping
from mountplan.applier.keep.kept_record import Kept, check_name
from mountplan.applier.keep.uptime import uptime
from mountplan.applier.sys.report import TIMEOUT
from mountplan.operands import view_of
from mountplan.planner.compare.compare import differences, machine_of, views_of
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.compare.view import View
from mountplan.planner.errors import (
    KeepRefused,
    MountplanError,
    NameTaken,
    NotKept,
    PlanFileError,
    PlanRefused,
    TableError,
)
from mountplan.planner.plan.planfile import digest_of, dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mountplan.applier.build.build import Built
    from mountplan.applier.keep.kept import Opened
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.errors import CommandNotStarted
    from mountplan.planner.plan.plan import Plan

Tables = tuple[tuple[str, MountTable], ...]


class Keeping(NamedTuple):
    """What apply has come to. If it "stands" already, nothing was built: then there were no steps."""

    kept: Kept
    outcome: Literal["kept", "replaced", "stands"]
    tables: Tables
    steps: int
    seconds: float


class Standing(NamedTuple):
    """One kept name, and how it is. `mounts` is how many mounts there are in all, None if that cannot be seen.

    `problem` says why it cannot be judged; then `drift` is empty and means nothing. `age` is in seconds.
    """

    kept: Kept
    tables: Tables
    drift: Drift
    problem: str
    age: float

    @property
    def health(self) -> Literal["healthy", "drifted", "unknown"]:
        return "unknown" if self.problem else "drifted" if self.drift else "healthy"

    @property
    def mounts(self) -> int | None:
        return None if self.problem else sum(len(table.rows) for _, table in self.tables)


def name_for(plan: Plan, name: str | None = None) -> str:
    """The name that `plan` would be kept under. Raises KeepRefused if there is none."""
    return check_name(plan.name if name is None else name)


def keep(
    plan: Plan,
    name: str | None = None,
    *,
    replace: bool = False,
    reporter: Reporter | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
) -> Keeping:
    """Build `plan`, verify it, and keep it under `name`, or the spec's. If it stands there already, verify that.

    With `replace`, a new build takes the place of whatever has the name, once it is verified, and at one moment.
    Raises NameTaken if something else, or something that has changed, has the name.
    """
    started = perf_counter()
    name = name_for(plan, name)
    keeping.tidy()
    before = keeping.find(name)
    digest = digest_of(plan)
    if before is not None and not replace:
        try:
            return Keeping(before, "stands", _check_standing(plan, digest, before), 0, perf_counter() - started)
        except NotKept:
            before = None  # removed at this moment
    built, tables = build_keepable(plan, reporter, rootless, timeout)
    with built:
        replaces = before.id if before is not None else ""
        kept = keeping.keep(keeping.NewName(state_for(plan, name), replaces, dump_plan(plan).encode()), built)
    outcome: Literal["kept", "replaced"] = "replaced" if before is not None else "kept"
    return Keeping(kept, outcome, tables, len(plan.steps), perf_counter() - started)


def state_for(plan: Plan, name: str) -> Kept:
    """What is known about a name before its namespaces are kept."""
    return Kept(
        name=name,
        id=os.urandom(8).hex(),
        spec=os.path.abspath(plan.file) if os.path.exists(plan.file) else plan.file,
        digest=digest_of(plan),
        created=strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
        since=uptime(),
        made_by=mountplan.__version__,
        namespaces=(),
        keeper=None,
        run=plan.run,
    )


def build_keepable(
    plan: Plan, reporter: Reporter | None, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> tuple[Built, Tables]:
    """Build and verify, such that it can be kept."""
    built, tables = pipeline.build_verified(plan, reporter, rootless, timeout, to_keep=True)
    if keeping.can_keep(built):
        return built, tables
    built.close()
    from mountplan.applier.observe.namespace_age import giving_younger

    with giving_younger():
        return pipeline.build_verified(plan, reporter, rootless, timeout, to_keep=True)


def _check_standing(plan: Plan, digest: str, before: Kept) -> Tables:
    """The tables of what has the name, if that is what `plan` says. Raises NameTaken."""
    remedy = f"`mountplan apply --replace` puts a new build in its place; `mountplan rm {before.name}` removes it"
    with keeping.opened(before.name) as found:
        if before.digest != digest:
            what = f"{before.name} stands already, and was made from another spec, or from this one as it was before"
            raise NameTaken(what, remedy, _changes(plan, found))
        standing = _look(found)
    if standing.drift:
        raise NameTaken(f"{before.name} stands already, but is not what it was made to be", remedy, standing.drift)
    if standing.problem:
        raise NameTaken(f"{before.name} stands already, but cannot be verified: {standing.problem}", remedy)
    return standing.tables


def _changes(plan: Plan, found: Opened) -> Drift:
    """How what stands there differs from what `plan` would make; if not in its mounts, then in the steps."""
    drift = _against(plan, found, [found.look(one) for one in found.kept.mounts])
    if drift:
        return drift
    before = load_plan(found.plan_text(), f"the plan of {found.kept.name}")
    old = [step.describe() for step in before.steps]
    new = [step.describe() for step in plan.steps]
    changed = [Difference("", "step", one, "no such step", "", "") for one in new if one not in set(old)]
    changed += [Difference("", "step", "no such step", one, "", "") for one in old if one not in set(new)]
    if before.run != plan.run:
        pairs = zip(plan.run._fields, plan.run, before.run, strict=True)
        changed += [
            Difference("", f"run.{field}", str(now), str(then), "", "") for field, now, then in pairs if now != then
        ]
    return tuple(changed)


def plan_of(name: str) -> Plan:
    """The plan that was carried out for a kept name. Raises NotKept."""
    return load_plan(keeping.plan_text(name), f"the plan of {name}")


class Unreadable(NamedTuple):
    """A name of which nothing is known but why."""

    name: str
    problem: str


def kept() -> tuple[Standing, ...]:
    """All that is kept, by name, each looked at; but for what cannot be read. What a crash has left is gone then."""
    return tuple(one for one in listed() if isinstance(one, Standing))


def listed() -> tuple[Standing | Unreadable, ...]:
    """As kept(), with what cannot be read as well."""
    keeping.tidy()
    found: list[Standing | Unreadable] = []
    for name in keeping.names():
        try:
            found.append(look_up(name))
        except NotKept:
            continue  # removed at this moment
        except MountplanError as error:
            found.append(Unreadable(name, str(error)))
    return tuple(found)


def look_up(name: str) -> Standing:
    """What is kept under a name, and how it is. Raises NotKept."""
    try:
        with keeping.opened(name) as found:
            return _look(found)
    except (KeepRefused, PlanFileError, PlanRefused) as error:  # its plan may be of an earlier version's format
        state = keeping.find(name)
        if state is None:
            raise
        problem = error.what if isinstance(error, KeepRefused) else str(error).partition("\n")[0]
        return Standing(state, (), (), problem, uptime() - state.since)


def _look(found: Opened) -> Standing:
    age = uptime() - found.kept.since
    try:
        wholes = [found.look(one) for one in found.kept.mounts]
    except TableError as error:
        return Standing(found.kept, (), (), str(error), age)
    views = [view_of(one.name, whole) for one, whole in zip(found.kept.mounts, wholes, strict=True)]
    tables = tuple((view.namespace, view.table) for view in views)
    seen = tuple(found.seen(one) for one in found.kept.mounts)
    drift = () if tuple(whole.table for whole in wholes) == seen else _drift(found, wholes, seen)
    told = {(one.namespace, one.mount) for one in drift}
    drift += tuple(one for one in _mounted_again(found, wholes) if (one.namespace, one.mount) not in told)
    return Standing(found.kept, tables, drift, "", age)


def _drift(found: Opened, now: list[Whole], seen: tuple[MountTable, ...]) -> Drift:
    """How what stands there differs from the plan.

    Before Linux 6.11 no process outside sees what lies under another mount on "/". Then what is seen is held against
    what was seen when it was kept, and was verified.
    """
    names = tuple(one.name for one in found.kept.mounts)
    if not all(whole.complete for whole in now):
        before = tuple(View(name, table) for name, table in zip(names, seen, strict=True))
        after = tuple(View(name, whole.table) for name, whole in zip(names, now, strict=True))
        return differences(before, after, machine_of(found.host()), arrivals=True)
    return _against(load_plan(found.plan_text(), f"the plan of {found.kept.name}"), found, now)


def _mounted_again(found: Opened, wholes: list[Whole]) -> Drift:
    """Mounts of the spec that were unmounted and mounted again: they look as before, and what was in them is gone.

    What the host mounts again where it is to be received is its own business.
    """
    since = [found.mounted_since(one, whole) for one, whole in zip(found.kept.mounts, wholes, strict=True)]
    if not any(since):
        return ()
    plan = load_plan(found.plan_text(), f"the plan of {found.kept.name}")
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


def _against(plan: Plan, found: Opened, now: list[Whole]) -> Drift:
    """How what stands under a name differs from what a plan says, with the host as it was when the name was made."""
    views = tuple(
        view_of(one.name, whole)._replace(ids=found.ids(one)) for one, whole in zip(found.kept.mounts, now, strict=True)
    )
    host = found.host()
    return differences(views_of(plan, predict(plan, host)), views, machine_of(host), arrivals=True)


tidy, names, path_of = keeping.tidy, keeping.names, keeping.path_of


def remove(names: tuple[str, ...]) -> tuple[MountplanError, ...]:
    """Let names go, with their namespaces. All that can be removed are; the errors of those that cannot."""
    errors = []
    for name in names:
        try:
            keeping.remove(name)
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

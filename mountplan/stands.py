"""What a Tree stands on: namespaces that were built for it, or that stand without it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from mountplan.applier.keep.attached import Attached, NamespaceEntry
from mountplan.applier.observe.observe import own_number
from mountplan.applier.sys.closing import closing_fd
from mountplan.calls_inside import called, mountinfo_inside
from mountplan.planner.errors import SubjectError

if TYPE_CHECKING:
    from mountplan.applier.build.build import Built
    from mountplan.applier.observe.subjects import Subject
    from mountplan.planner.compare.difference import Drift
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable


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
            return self._built.read_table(called(self.entrance(namespace), mountinfo_inside, (proc,)))

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
        return f"/proc/{own_number()}/fd/{self._attached.space(namespace).subject.fd}"

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

"""Change what one spec builds into what another says, for real, without keeping it under a name."""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mountplan import api, pipeline
from mountplan.applier.build.build import Built
from mountplan.applier.change.live_kernel import Entrance
from mountplan.applier.change.visit import Refused, carry_out
from mountplan.applier.observe.observe import observe
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys.syscalls import knows_beneath
from mountplan.operands import view_of
from mountplan.planner.change.change_plan import ChangePlan
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed, Record, StandingSpace, StandingTree
from mountplan.planner.compare.compare import judge, machine_of, views_of
from mountplan.planner.compare.difference import Drift
from mountplan.planner.compare.matching import match
from mountplan.planner.compare.view import View
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from tests.hosts import setns

GAPS = Allowed(gap=True)
Looks = dict[str, list[tuple[int, int] | None]]

TREE = """format = 1
name = "live"
[peer_group.g]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "data"
target = "/data"
type = "tmpfs"
source = "SOURCE"
[[mount.file]]
path = "file"
content = "SOURCE"
[[mount]]
target = "/data/kid"
type = "tmpfs"
[[mount.file]]
path = "file"
content = "kid"
[[mount]]
target = "/pool"
type = "tmpfs"
peer_group = "g"
"""

STACK = """format = 1
name = "live"
[peer_group.g]
[[mount]]
id = "root"
target = "/"
type = "tmpfs"
peer_group = "g"
[[mount]]
id = "low"
target = "/stack"
type = "tmpfs"
source = "SOURCE"
[[mount]]
target = "/stack"
type = "tmpfs"
source = "TOP"
[[mount.file]]
path = "file"
content = "top"
[[mount]]
parent = "root"
target = "/cover/deep"
type = "tmpfs"
source = "SOURCE"
peer_group = "g2"
[[mount]]
target = "/cover"
type = "tmpfs"
[[mount.file]]
path = "file"
content = "cover"
[peer_group.g2]
"""


def plan_of(text: str) -> Plan:
    return api.plan(parse_spec(text.encode(), "live.toml"))


class LiveTree(NamedTuple):
    """Namespaces that stand, the plan that they were built from, and the devices of its filesystems."""

    plan: Plan
    built: Built
    devices: dict[str, str]

    def views(self) -> tuple[View, ...]:
        found = []
        for held in self.built.namespaces:
            with Subject(held.name, held.name, self.built.open_mounts(held.name)) as subject:
                found.append(view_of(held.name, subject.read()))
        return tuple(found)

    def became(self, plan: Plan) -> LiveTree:
        """The same, with a record that says what it has been changed into."""
        views = self.views()
        predictions = {one.namespace: one for one in predict(plan, observe())}
        devices: dict[str, str] = {}
        for view in views:
            matched = match(predictions[view.namespace].table, view.table)
            for wanted, found in matched.pairs.items():
                device = matched.first.rows[wanted].device
                if device[:1] == "=":
                    devices.setdefault(device[1:], matched.second.rows[found].device)
        return LiveTree(plan, self.built, devices)

    def standing(self) -> StandingTree:
        views = self.views()
        alive = {row.device for view in views for row in view.table.rows}
        devices = {name: device for name, device in self.devices.items() if device in alive}
        spaces = tuple(StandingSpace(view.namespace, view.table, idmaps=view.idmaps) for view in views)
        known = knows_beneath()
        return StandingTree("the tree", spaces, observe(), (), Record(self.plan, devices), beneath=known)

    def preview(self, plan: Plan, allowed: Allowed = GAPS) -> ChangePlan:
        return plan_change(plan, self.standing(), allowed, 100_000)

    def change(self, change: ChangePlan) -> None:
        """Carry it out; every step must be granted."""
        assert not change.obstacles, change.obstacles
        entrances = [Entrance(one.name, self.built.open_mounts(one.name), -1) for one in self.built.namespaces]
        try:
            refused = carry_out(change.steps, tuple(entrances), ())
            assert not isinstance(refused, Refused), (refused, change.steps[refused.step - 1])
        finally:
            for one in entrances:
                os.close(one.namespace)

    def drift(self, plan: Plan) -> Drift:
        """How what stands differs from what a plan says."""
        host = observe()
        return judge(views_of(plan, predict(plan, host)), self.views(), machine_of(host), arrivals=True).drift


@contextmanager
def standing_tree(plan: Plan) -> Iterator[LiveTree]:
    """Lend what a plan builds."""
    built, _ = pipeline.build_verified(plan, None)
    with built:
        yield LiveTree(plan, built, {}).became(plan)


@contextmanager
def looking(tree: LiveTree, name: str, places: set[str]) -> Iterator[Callable[[], Looks]]:
    """Have a process inside look at places in a loop; the function ends it: what it has seen at each, one after the
    other, as device and inode, or None for nothing. A path that leads elsewhere by a symlink is none of a mount there.
    """
    reader, writer = os.pipe()
    namespace = tree.built.open_mounts(name)
    child = os.fork()
    if child == 0:
        try:
            setns(namespace)
            seen: Looks = {place: [] for place in places if os.path.realpath(place) == place}
            stop: list[int] = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            begun = False
            while not stop:
                for place, looks in seen.items():
                    try:
                        status = os.stat(place)
                        now = status.st_dev, status.st_ino
                    except OSError:
                        now = None
                    if not looks or looks[-1] != now:
                        looks.append(now)
                if not begun:
                    os.write(writer, b".")
                    begun = True
            data = marshal.dumps(seen)
            while data:
                data = data[os.write(writer, data) :]
        finally:
            os._exit(0)
    os.close(namespace)
    os.close(writer)
    os.read(reader, 1)

    def end() -> Looks:
        os.kill(child, signal.SIGTERM)
        return marshal.loads(b"".join(iter(lambda: os.read(reader, 1 << 16), b"")))  # type: ignore[no-any-return]

    try:
        yield end
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def missed(looks: Looks) -> list[str]:
    """The places at which something else was seen for a moment than before and afterwards."""
    return sorted(
        place for place, (first, *between) in looks.items()
        if between and first and (last := between.pop()) and not {first, last}.issuperset(between)
    )  # fmt: skip

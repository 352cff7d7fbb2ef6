"""A plan carried out in the model: what it comes to, and which plans are refused for what would come of them."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.ask.foresight import foresee
from mountplan.planner.ask.trial import Trial
from mountplan.planner.errors import PlanRefused
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.mountcount import most_mounts
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import (
    Attach,
    JoinGroup,
    MakePrivate,
    OpenNamespace,
    Release,
    RemoveNode,
    SetAttributes,
    Step,
)
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, host_mount

HOST = FakeHost(
    {"/srv/feed/in": "directory", "/usr/bin": "directory", "/file": "file"},
    (
        host_mount(2, 1, "/srv/feed", shared=5),
        host_mount(3, 2, "/srv/feed/in", shared=6),
        host_mount(4, 1, "/usr"),
        host_mount(5, 4, "/usr/bin"),
    ),
)
SHARED = """\
format = 1
[peer_group.data]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "data"
target = "/data"
type = "tmpfs"
peer_group = "data"
[[mount]]
target = "/peer"
bind = { mount = "data" }
peer_group = "data"
[[mount]]
target = "/data/in"
type = "tmpfs"
attributes = ["ro"]
"""


def plan_of(text: str) -> Plan:
    return api.plan(parse_spec(text.encode(), "test.toml"), HOST)


def refused(plan: Plan) -> list[str]:
    with pytest.raises(PlanRefused) as caught:
        foresee(plan, HOST.table, 1000)
    return list(caught.value.reasons)


def tmpfs(target: str, words: str = "", *, kind: str = "mount") -> str:
    return f'[[{kind}]]\ntarget = "{target}"\ntype = "tmpfs"\n{words}\n'


def bind(target: str, source: str, words: str = "", *, kind: str = "mount") -> str:
    return f'[[{kind}]]\ntarget = "{target}"\nbind = {source}\n{words}\n'


SPECS = {
    "sharing": SHARED,
    "a group of the host's": 'format = 1\n[peer_group.feed]\nhost = "/srv/feed"\n'
    + tmpfs("/")
    + bind("/a", '"/srv/feed"', 'peer_group = "feed"')
    + bind("/b", '"/srv/feed"', 'master = "feed"')
    + tmpfs("/a/in"),
    "a recursive bind": "format = 1\n"
    + tmpfs("/")
    + bind("/usr", '"/usr"', 'recursive = true\nattributes = ["ro", "nosuid"]')
    + bind("/file", '"/file"'),
    "an inherited root": 'format = 1\nroot = "inherit"\npropagation = "slave"\n' + tmpfs("/srv/feed/in"),
    "a group that nobody is in": "format = 1\n[peer_group.none]\n"
    + tmpfs("/")
    + tmpfs("/a", 'id = "a"')
    + bind("/b", '{ mount = "a" }', 'master = "none"'),
    "something removed": "format = 1\n"
    + tmpfs("/")
    + tmpfs("/a", 'id = "a"\n[[mount.file]]\npath = "x/y"\ndirectory = true')
    + bind("/b", '{ mount = "a", path = "/x", deleted = true }'),
    "several namespaces": 'format = 1\n[peer_group.g]\n[[namespace]]\nname = "one"\n'
    + tmpfs("/", 'id = "r"\npeer_group = "g"', kind="namespace.mount")
    + '[[namespace]]\nname = "two"\n'
    + bind("/", '{ mount = "r" }', 'peer_group = "g"', kind="namespace.mount")
    + '[[namespace]]\nname = "three"\nroot = "inherit"\n',
    "stacks and covers": "format = 1\n"
    + tmpfs("/", 'id = "r"')
    + tmpfs("/a")
    + tmpfs("/a")
    + tmpfs("/a/low", 'parent = "r"')
    + tmpfs("/"),
    "a deep chain": "format = 1\n" + "".join(tmpfs("/d" * depth or "/") for depth in range(200)),
}


@pytest.mark.parametrize("name", SPECS)
def test_what_is_planned_comes_out_in_the_model(name: str) -> None:
    """And nothing propagates, and the mounts that it takes at once are as many as are counted beforehand."""
    plan = plan_of(SPECS[name])
    trial = Trial(plan.steps, HOST.table)
    trial.run()
    assert (None, []) == (trial.refusal, trial.events)
    assert most_mounts(plan.steps, HOST.table) == trial.peak == foresee(plan, HOST.table, 1000).peak


def joined_too_early() -> Plan:
    """SHARED's plan, but /data/in is attached when its parent has joined its group already."""
    plan = plan_of(SHARED)
    steps = list(plan.steps)
    attach = next(one for one in steps if type(one) is Attach and one.mount == "/data/in")
    releases = [one for one in steps if type(one) is Release and one.handle in ("data", "/data/in")]
    moved: list[Step] = [attach, *releases]
    for one in moved:
        steps.remove(one)
    after = max(at for at, one in enumerate(steps) if type(one) is JoinGroup)
    steps[after + 1 : after + 1] = moved
    return plan._replace(steps=tuple(steps))


def test_what_propagates_is_told_with_its_step_its_group_and_its_place() -> None:
    """The copy in the yard's seed spoils even more: it goes with the yard, and takes its counterparts along."""
    plan = joined_too_early()
    step = next(at for at, one in enumerate(plan.steps, 1) if type(one) is Attach and one.mount == "/data/in")
    head = f"test.toml:15: mount[3]: step {step}, attach /data/in -> data:/in: data is in peer group data by then"
    in_seed, in_peer, gone, *others, missing = refused(plan)
    assert f"{head}, and so is what shows seed:data:/in: a copy appears there" == in_seed
    assert f"{head}, and so is what shows /peer:/in: a copy appears there" == in_peer
    assert gone.endswith("what is mounted at data:/in vanishes with it: that is in peer group data")
    assert ["/peer:/in"] == [one for words in others for one in ("/peer:/in",) if one in words]
    assert missing.startswith("test.toml:15: mount[3]: /data/in: mount: wanted tmpfs")
    assert missing.endswith(", and it would be no mount")


def test_what_would_reach_the_host_is_told_as_such() -> None:
    """A namespace that was not cut off from the host's is refused before anything is mounted."""
    host = FakeHost({}, (host_mount(2, 1, "/srv", shared=5),))
    plan = api.plan(parse_spec(SHARED.encode(), "test.toml"), host)
    steps = [one for one in plan.steps if type(one) is not MakePrivate]
    trial = Trial(tuple(steps), host.table)
    trial.world.mount_new(trial.host, "tmpfs", "t", "/srv")
    trial.run()
    words = "what is mounted at /srv on the host vanishes with it: that is in the host's peer group 5"
    assert [words] == [event.words for event in trial.events]


def test_what_comes_out_differently_without_any_propagation_is_told_too() -> None:
    plan = plan_of(SHARED)
    steps = [one for one in plan.steps if type(one) is not SetAttributes]
    reasons = refused(plan._replace(steps=tuple(steps)))
    assert ["test.toml:15: mount[3]: /data/in: attributes: wanted ro,relatime, and it would be rw,relatime"] == reasons


def test_a_step_that_would_be_refused_is_told_with_the_kernels_reason() -> None:
    plan = plan_of(SPECS["something removed"])
    assert any(type(step) is RemoveNode for step in plan.steps)
    steps = [one._replace(path="nowhere") if type(one) is Attach and one.mount == "/b" else one for one in plan.steps]
    (reason,) = refused(plan._replace(steps=tuple(steps)))
    assert "the kernel would refuse it: ENOENT (No such file or directory): there is no nowhere in /" in reason


def test_a_plan_that_passes_the_limit_is_refused_before_it_begins() -> None:
    plan = plan_of(SHARED)
    peak = most_mounts(plan.steps, HOST.table)
    with pytest.raises(
        PlanRefused, match=f"at step {peak.step} .* has {peak.mounts} mounts, of which 5 .*fs.mount-max"
    ):
        foresee(plan, HOST.table, peak.mounts - 1)
    with pytest.raises(PlanRefused, match="--max-mounts allows 7"):
        foresee(plan, HOST.table, 1000, 7)
    foresee(plan, HOST.table, peak.mounts, peak.mounts)


def test_each_namespace_is_counted_by_itself() -> None:
    """A copy of the first one has its yard, but not the tree that was built in another copy."""
    plan = plan_of(SPECS["several namespaces"])
    openings = [at for at, step in enumerate(plan.steps) if type(step) is OpenNamespace]
    first = most_mounts(plan.steps[: openings[1]], HOST.table)
    assert first.mounts < most_mounts(plan.steps, HOST.table).mounts  # the third, with the host's whole tree
    assert first == most_mounts(plan.steps[: openings[2]], HOST.table)


def test_the_state_after_a_step_has_what_is_attached_and_what_is_not_yet() -> None:
    plan = plan_of(SHARED)
    before = next(at for at, one in enumerate(plan.steps) if type(one) is Attach and one.mount == "/data/in")
    trial = Trial(plan.steps, HOST.table)
    trial.run(before)
    assert "/root/data" in [row.mountpoint for row in trial.table().rows]
    assert "/data/in" in trial.detached()
    trial.run(before + 1)
    assert "/root/data/in" in [row.mountpoint for row in trial.table().rows]
    assert "/data/in" not in trial.detached()
    trial.run()
    assert ["/", "/data", "/data/in", "/peer"] == sorted(row.mountpoint for row in trial.table().rows)
    assert "data" in trial.names().values()


def test_a_host_that_is_seen_from_a_chroot_is_no_obstacle() -> None:
    """Its table has no mount for the root, and so several roots; or nothing is known of the host at all."""
    plan = plan_of(SHARED)
    lost = host_mount(90, 80, "/lost"), host_mount(92, 91, "/lost/in/it"), host_mount(91, 90, "/lost/in")
    foresee(plan, MountTable((*HOST.table.rows, *lost)), 1000)
    foresee(plan, MountTable(()), 1000)

"""Carrying a plan out: which calls in which order, and what is left when one of them fails (nothing)."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from mountplan import api
from mountplan.applier.build.execute import StepFailed, execute
from mountplan.applier.sys.report import Reporter
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from tests.fakes import FakeHost, FakeKernel, host_mount

HOST = FakeHost(
    {"/data/dir/sub": "directory", "/data/file": "file", "/img": "file"},
    (host_mount(2, 1, "/srv/shared", shared=7), host_mount(3, 1, "/srv/one", shared=8), host_mount(4, 1, "/srv/gone")),
)

# Something of everything, so that every kind of step occurs.
EVERYTHING = """
format = 1

[peer_group.feed]
host = "/srv/shared"
[peer_group.inner]
master = "feed"
[peer_group.deep]
[peer_group.files]
[peer_group.nobody]

[[namespace]]
name = "one"
[[namespace.mount]]
id = "root"
target = "/"
type = "tmpfs"
peer_group = "deep"
[[namespace.mount.file]]
path = "etc/copy"
source = "/data/file"
[[namespace.mount.file]]
path = "etc/link"
symlink = "copy"
[[namespace.mount]]
target = "/again"
bind = { mount = "root" }
master = "deep"
[[namespace.mount]]
id = "store"
type = "tmpfs"
contents = "/data/dir"
options = { ro = true }
[[namespace.mount.file]]
path = "base"
directory = true
[[namespace.mount]]
id = "work"
type = "tmpfs"
[[namespace.mount]]
id = "merged"
target = "/merged"
type = "overlay"
layers = [{ mount = "store", path = "/base" }, "/data/dir"]
upper = { mount = "work", path = "/upper" }
[[namespace.mount]]
target = "/merged/deep/inside"
bind = { mount = "img", path = "/unknown" }
[[namespace.mount]]
id = "img"
target = "/img"
type = "ext4"
image = "/img"
[[namespace.mount]]
target = "/host"
bind = "/data"
recursive = true
attributes = ["ro"]
mask = ["file"]
[[namespace.mount]]
target = "/host/dir/new"
type = "tmpfs"
create = true
[[namespace.mount]]
target = "/feed"
bind = "/srv/shared"
peer_group = "feed"
[[namespace.mount]]
target = "/inner"
bind = "/srv/shared"
peer_group = "inner"
[[namespace.mount]]
target = "/file"
bind = "/data/file"
peer_group = "files"
[[namespace.mount]]
target = "/mapped"
bind = { mount = "work" }
unbindable = true
[namespace.mount.idmap]
uids = [[0, 1000, 1]]
gids = [[0, 1000, 1]]

[[namespace]]
name = "two"
root = "inherit"
propagation = "slave-shared"
[[namespace.remove]]
target = "/srv/gone"
[[namespace.change]]
target = "/data"
attributes = ["nosuid"]
[[namespace.mount]]
target = "/srv/one"
bind = { mount = "work", path = "/gone", deleted = true }
master = "nobody"
[[namespace.mount]]
target = "/data/dir"
type = "tmpfs"
[[namespace.mount.file]]
path = "pipe"
fifo = true

[[namespace]]
name = "three"
user = { uids = [[0, 1000, 10]], gids = [[0, 1000, 10]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"
locked = "attributes"
[[namespace.mount]]
target = "/locked"
type = "tmpfs"
locked = true
[[namespace.mount]]
target = "/locked/own"
type = "tmpfs"
"""


def plan_of(text: str) -> Plan:
    return api.plan(parse_spec(text.encode(), "test.toml"), HOST)


def everything() -> Plan:
    extra = '[[namespace.mount.file]]\npath = "gone/x"\n'
    return plan_of(EVERYTHING.replace('id = "work"\ntype = "tmpfs"\n', f'id = "work"\ntype = "tmpfs"\n{extra}'))


def deep() -> Plan:
    mounts = "".join(f'[[mount]]\ntarget = "{"/d" * depth or "/"}"\ntype = "tmpfs"\n' for depth in range(300))
    return plan_of(f"format = 1\n{mounts}")


def test_the_plan_that_these_tests_carry_out_has_every_kind_of_step() -> None:
    assert set(s.STEP_KINDS) == {step.kind for step in everything().steps}


@pytest.mark.parametrize("make", [everything, deep])
def test_no_descriptor_is_left_open_when_all_is_done(make: Callable[[], Plan]) -> None:
    kernel = FakeKernel()
    execute(make().steps, kernel, Reporter())
    assert {} == kernel.open_descriptors


def test_each_call_may_fail_in_its_turn_and_no_descriptor_is_left_open() -> None:
    """Each failure ends it at once: no call comes after it."""
    plan = everything()
    whole = FakeKernel()
    execute(plan.steps, whole, Reporter())
    for number in range(len(whole.calls)):
        kernel = FakeKernel(refuse_at=number, errno=errno.ENOMEM)
        with pytest.raises(StepFailed) as caught:
            execute(plan.steps, kernel, Reporter())
        assert {} == kernel.open_descriptors, whole.calls[number]
        assert whole.calls[: number + 1] == kernel.calls
        assert errno.ENOMEM == caught.value.cause.errno


def test_a_failure_names_the_step_that_it_happened_in() -> None:
    plan = deep()
    with pytest.raises(StepFailed) as caught:
        execute(plan.steps, FakeKernel(refuse="enter_root"), Reporter())
    assert "enter_root" == plan.steps[caught.value.index].kind


def test_a_few_dozen_descriptors_do_for_a_tree_of_any_depth() -> None:
    """Each mount on the way down is held open; below a depth the deepest branch is built first, by itself."""
    kernel = FakeKernel()
    execute(deep().steps, kernel, Reporter())
    assert kernel.most_open < 80


def test_a_few_dozen_descriptors_do_for_any_number_of_filesystems_and_groups() -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    for number in range(400):
        text += f'[peer_group.g{number}]\n[[mount]]\nid = "m{number}"\ntarget = "/m{number}"\ntype = "tmpfs"\n'
        text += f'peer_group = "g{number}"\n[[mount]]\ntarget = "/n{number}"\nbind = {{ mount = "m{number}" }}\n'
    kernel = FakeKernel()
    execute(plan_of(text).steps, kernel, Reporter())
    assert {} == kernel.open_descriptors
    assert kernel.most_open < 100


def test_progress_is_told_every_few_hundred_steps_and_at_the_end() -> None:
    told: list[object] = []

    class Listener(Reporter):
        def begin(self, total: int) -> None:
            told.append(("begin", total))

        def step(self, done: int) -> None:
            told.append(done)

        def end(self) -> None:
            told.append("end")

    plan = deep()
    execute(plan.steps, FakeKernel(), Listener())
    count = len(plan.steps)
    assert [("begin", count), *range(512, count, 512), count, "end"] == told


def test_a_workbench_of_a_single_file_is_parked_on_a_file() -> None:
    kernel = FakeKernel(files=("data/file",))
    execute(everything().steps, kernel, Reporter())
    assert any(call.startswith("make_node new tmpfs mountplan p") for call in kernel.calls)

"""Older interfaces without an older kernel: what a seccomp filter takes away is done without, or refused by name.

The whole suite can be run so: MOUNTPLAN_WITHOUT=statmount,listmount=EPERM pytest tests/kernel (tests/without.py).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.probe.probe import probe
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.capturing import capture_subjects
from mountplan.planner.capture.captured import CapturedPlace
from mountplan.planner.errors import PlanRefused, StepRefused
from tests.hosts import CHECKOUT, InHost, mount
from tests.kernel.capture_fuzz import compare_again
from tests.kernel.states import Act, State, chance_state, running
from tests.trees import plan_of, tree
from tests.without import calls_of, do_without

SPECS = ("complex-sharing", "overlay", "hidden")
YOUNG = ("statmount", "listmount", "open_tree_attr")
TAKEN = [
    *(f"{name}={number}" for name in YOUNG for number in ("ENOSYS", "EPERM")),
    *(",".join(f"{name}={number}" for name in YOUNG) for number in ("ENOSYS", "EPERM")),
]
# A slave whose master has no mount in what is captured.
MASTER_LEFT_OUT = [
    Act(0, "begin", (False,)), Act(0, "make", ("/", "shared", False)), Act(0, "unshare", (False,)),
    Act(1, "make", ("/", "slave", True)), Act(0, "leave out", ()),
]  # fmt: skip
COVERED_ROOT = [Act(0, "begin", (False,)), Act(0, "rbind", ("/a/b", "/")), Act(0, "top", ("/",))]
# What is below in one namespace is to be seen in the other.
SEEN_ELSEWHERE = [
    Act(0, "begin", (False,)), Act(0, "make", ("/", "shared", False)), Act(0, "unshare", (False,)),
    Act(0, "tmpfs", ("/", "tmpfs", "", 0)), Act(0, "top", ("/",)),
]  # fmt: skip
ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nid = "root"\n'

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def overlay_of(count: int) -> str:
    """A spec with an overlay of so many layers, whose upper directory has a name that mount(8) would take apart."""
    layers = "".join(
        f'[[mount.file]]\npath = "layers/{number}/f{number}"\ncontent = "{number}"\n'
        f'[[mount.file]]\npath = "layers/{number}/top"\ncontent = "{number}"\n'
        for number in range(count)
    )
    lower = ", ".join(f'{{ mount = "root", path = "/layers/{number}" }}' for number in range(count))
    return f"""{ROOT}{layers}
        [[mount.file]]
        path = "up:per,/x"
        directory = true
        [[mount]]
        target = "/merged"
        type = "overlay"
        layers = [{lower}]
        upper = {{ mount = "root", path = "/up:per,/x" }}
        """


@pytest.mark.parametrize("taken", TAKEN)
def test_young_calls_are_done_without(taken: str, in_host: InHost) -> None:
    """Trees are built and verified all the same. A capture is the same as well, or says what it could not see."""

    def script() -> list[str]:
        do_without(calls_of(taken))
        for name in SPECS:
            api.build_and_forget(api.plan(api.load(str(CHECKOUT / f"specs/{name}.toml"))))
        told = []
        for seed in (1, 2, 3):
            with running(chance_state(seed)) as alive:
                told.append(compare_again(alive))
        return told

    assert ["", "", ""] == in_host(script)


@pytest.mark.needs_kernel("foreign-mounts")
@pytest.mark.parametrize(
    "state",
    [MASTER_LEFT_OUT, COVERED_ROOT, SEEN_ELSEWHERE],
    ids=["mountplan's own base", "a covered root", "seen in another namespace"],
)
def test_a_capture_does_without_the_sources_of_what_nobody_sees(state: State, in_host: InHost) -> None:
    """statmount(2) tells them from Linux 6.13 on. mountplan's own base is known without."""
    statmount = syscalls.statmount

    def before_6_13(mount: int, namespace: int, mask: int, buffer: bytearray) -> None:
        statmount(mount, namespace, mask & ~abi.STATMOUNT_SB_SOURCE, buffer)

    def script() -> str:
        syscalls.statmount = before_6_13
        with running(state) as alive:
            return compare_again(alive)

    assert "" == in_host(script)


@pytest.mark.needs_kernel("idmap-tmpfs")
def test_a_capture_says_so_if_it_cannot_tell_an_id_mapping(in_host: InHost) -> None:
    """Only statmount(2) has it, from Linux 6.15 on; the mount would silently have other owners."""

    def script() -> list[str]:
        do_without(calls_of("statmount"))
        with build(plan_of(ROOT + "[mount.idmap]\nuids = [[0, 1000, 1]]\ngids = [[0, 1000, 1]]\n")) as built:
            (subject,) = of_built(built)
            with subject:
                return [str(caution) for caution in capture_subjects([subject], "state").cautions]

    assert ["/: its id-mapping cannot be read, which takes Linux 6.15; it is rebuilt without"] == [
        told for told in in_host(script) if "id-mapping" in told
    ]


@pytest.mark.parametrize("call", ["openat2=EPERM", "openat2", "mount_setattr", "open_tree", "fsopen"])
def test_a_call_that_nothing_can_replace_is_named_and_the_host_is_left_alone(call: str, in_host: InHost) -> None:
    """Walking without openat2(2) would follow whatever another process puts in the way, so nothing takes its place."""

    def script() -> tuple[str, bool]:
        do_without(calls_of(call))
        before = Path("/proc/self/mountinfo").read_bytes()
        with pytest.raises(StepRefused) as caught:
            api.build_and_forget(api.plan(api.load(str(CHECKOUT / "specs/container.toml"))))
        return str(caught.value), before == Path("/proc/self/mountinfo").read_bytes()

    told, same = in_host(script)
    assert call.partition("=")[0] in told
    assert "seccomp" in told
    assert same


def test_sharing_is_refused_when_planned_on_a_kernel_that_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 5.12 to 5.14 answer EINVAL for the flag. What shares nothing is planned there."""
    move_mount = syscalls.move_mount

    def before_5_15(from_fd: int, to_fd: int, to_path: bytes, flags: int) -> None:
        if flags & abi.MOVE_MOUNT_SET_GROUP:
            raise KernelRefusal(errno.EINVAL, "move_mount(MOVE_MOUNT_SET_GROUP)")
        move_mount(from_fd, to_fd, to_path, flags)

    monkeypatch.setattr(syscalls, "move_mount", before_5_15)
    plan_of(ROOT)
    with pytest.raises(PlanRefused) as caught:
        plan_of(f'[peer_group.one]\n{ROOT}peer_group = "one"\n')
    assert "one: this kernel does not have MOVE_MOUNT_SET_GROUP (Linux 5.15)" in str(caught.value)
    assert "remedy: use Linux 5.15 or newer" in str(caught.value)


def test_what_a_filter_takes_away_the_probe_does_not_find(in_host: InHost) -> None:
    """doctor goes by what happens, so a filter is no different from an old kernel."""

    def script() -> list[str]:
        do_without(calls_of("openat2=EPERM,listmount"))
        tried = ("openat2", "foreign_mounts", "told_idmaps", "set_group")
        return [one.feature for one in probe(tried) if not one.works]

    assert ["openat2", "foreign_mounts", "told_idmaps"] == in_host(script)


def test_without_lowerdir_plus_an_overlay_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 6.8: all layers in one string, by the numbers of their descriptors."""
    spec = overlay_of(60)
    monkeypatch.setattr("mountplan.applier.sys.overlay.takes_single_layers", lambda: False)
    with tree(spec) as built:

        def look() -> tuple[list[str], str, str]:
            Path("/merged/new").write_text("")
            names = sorted(path.name for path in Path("/merged").iterdir())
            return names, Path("/merged/top").read_text(), Path("/").joinpath("up:per,/x/new").read_text()

        assert (sorted(["new", "top", *(f"f{number}" for number in range(60))]), "0", "") == built.inside(look)


@pytest.mark.needs_kernel("lowerdir+")
@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL])
def test_layers_are_named_by_paths_where_descriptors_are_refused(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 6.13: 6.12 does not take an O_PATH descriptor for one at all (EBADF)."""
    fsconfig = syscalls.fsconfig

    def before_6_13(context: int, command: int, key: bytes | None, value: bytes | None, aux: int) -> None:
        if command == abi.FSCONFIG_SET_FD:
            raise KernelRefusal(number, "fsconfig")
        fsconfig(context, command, key, value, aux)

    monkeypatch.setattr(syscalls, "fsconfig", before_6_13)
    with tree(overlay_of(2)) as built:
        assert "0" == built.inside(lambda: Path("/merged/top").read_text())


SHOWN = """
[[mount]]
id = "layers"
target = "/l"
type = "tmpfs"
file = [{ path = "a", directory = true }, { path = "b c", directory = true }]
[[mount]]
target = "/merged"
type = "overlay"
layers = [{ mount = "layers", path = "/a" }, "/srv/one/two", { mount = "layers", path = "/b c" }]
upper = { mount = "layers", path = "/up" }
"""


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "this"])
def test_a_capture_finds_the_layers_of_an_overlay(
    kernel: str, in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the way in which a kernel takes them: it shows where they are, or where they were in the yard."""
    fsconfig = syscalls.fsconfig

    def older(context: int, command: int, key: bytes | None, value: bytes | None, aux: int) -> None:
        if command == abi.FSCONFIG_SET_FD:
            raise KernelRefusal(errno.EBADF, "fsconfig")
        fsconfig(context, command, key, value, aux)

    if kernel != "this":
        monkeypatch.setattr(syscalls, "fsconfig", older)
    if kernel == "6.1":
        monkeypatch.setattr("mountplan.applier.sys.overlay.takes_single_layers", lambda: False)

    def script() -> tuple[object, ...]:
        mount("srv", "/srv", "tmpfs")
        os.makedirs("/srv/one/two")
        Path("/srv/one/two/from-host").write_text("")
        with build(plan_of(ROOT + SHOWN)) as built:
            (subject,) = of_built(built)
            with subject:
                found = capture_subjects([subject], "state").captured.namespaces[0].mounts
        overlay = next(one for one in found if one.type == "overlay")
        return overlay.unsupported, overlay.layers, overlay.upper

    layers = (CapturedPlace("l", "/a"), CapturedPlace("", "/srv/one/two"), CapturedPlace("l", "/b c"))
    assert ("", layers, CapturedPlace("l", "/up")) == in_host(script)


@pytest.mark.needs_kernel("lowerdir+")
def test_more_layers_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 60 always fit. More are refused when they are planned, or, with a plan from elsewhere, when built."""
    assert "overlay_layers" not in [one.feature for one in plan_of(overlay_of(60)).requirements]
    plan = plan_of(overlay_of(129))
    monkeypatch.setattr("mountplan.applier.sys.overlay.takes_single_layers", lambda: False)
    with pytest.raises(PlanRefused, match=r"fs:/merged: this kernel does not have overlay layers .*\(Linux 6\.8\)"):
        plan_of(overlay_of(61))
    with pytest.raises(StepRefused, match=r"use fewer layers \(60 always fit\), or Linux 6\.8"):
        api.build_and_forget(plan)

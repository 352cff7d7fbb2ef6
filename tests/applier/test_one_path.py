"""A mount namespace of one path (Linux 7.0), which may not be here: off unless asked for, and then all is the same."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from mountplan import api
from mountplan.applier.build.one_path import takes_nothing_of_the_host
from mountplan.applier.sys import abi, kernel, syscalls
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.language.spec_reading import parse_spec
from tests.hosts import CHECKOUT, InHost

NEW = 'format = 1\nname = "new"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n'


@pytest.mark.parametrize(
    ("more", "alone"),
    [
        ("", True),
        ('peer_group = "g"\n[peer_group.g]\n', True),
        ('[[mount]]\ntarget = "/b"\nbind = "/usr"\n', False),
        ('[[mount]]\ntarget = "/b"\ntype = "proc"\n', False),
        ('[[mount.file]]\npath = "f"\nsource = "/etc/passwd"\n', False),
    ],
)
def test_only_trees_in_which_all_is_new_need_no_copy_of_the_host(more: str, alone: bool) -> None:
    plan = api.plan(parse_spec((NEW + more).encode(), "new.toml"))
    assert alone == takes_nothing_of_the_host(plan.steps)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the kernel, which has the new flag, unless it is told not to."""
    found: list[str] = []

    def open_tree(dirfd: int, path: bytes, flags: int) -> int:
        found.append(f"open_tree {path.decode()} {flags & ~abi.OPEN_TREE_CLOEXEC}")
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(syscalls, "open_tree", open_tree)
    monkeypatch.setattr(syscalls, "setns", lambda fd, kind: found.append("setns"))
    monkeypatch.setattr(syscalls, "unshare", lambda flags: found.append("unshare"))
    monkeypatch.setattr(kernel, "_make_bindable", lambda: None)
    monkeypatch.setattr(os, "umask", lambda mask: 0)
    return found


def unshared(*, of_one_path: bool) -> None:
    one = kernel.LinuxKernel()
    one.of_one_path = of_one_path
    one.unshare_mounts()
    os.close(one._proc)


def test_a_kernel_that_has_it_is_asked_for_nothing_else(calls: list[str]) -> None:
    unshared(of_one_path=True)
    assert ["open_tree / 2", "setns"] == calls


def test_it_is_not_asked_for_unless_the_tree_is_such(calls: list[str]) -> None:
    unshared(of_one_path=False)
    assert ["unshare"] == calls


def test_a_kernel_that_does_not_have_it_copies(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(dirfd: int, path: bytes, flags: int) -> int:
        raise KernelRefusal(errno.EINVAL, "open_tree")

    monkeypatch.setattr(syscalls, "open_tree", refused)
    unshared(of_one_path=True)
    assert ["unshare"] == calls


@pytest.mark.needs_kernel("mountns")
def test_what_is_built_is_the_same_and_doctor_says_whether_it_was_there(in_host: InHost) -> None:
    def script() -> tuple[list[int], dict[str, bool], list[str]]:
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}

        def run(*words: str, try_new: str) -> tuple[int, str]:
            ended = subprocess.run(
                [sys.executable, "-m", "mountplan", *words], input=NEW, capture_output=True, text=True,
                env=environment | {"MOUNTPLAN_TRY_NEW": try_new},
            )  # fmt: skip
            return ended.returncode, ended.stdout

        statuses = [run("apply", "--forget", "-", try_new=one)[0] for one in ("0", "1")]
        features = json.loads(run("doctor", "--json", try_new="1")[1])["features"]
        plain = json.loads(run("doctor", "--json", try_new="0")[1])
        told = {one["feature"]: one["works"] for one in features if one["feature"] == "one_path_namespace"}
        names = [one["feature"] for one in plain["features"] if one["feature"] == "one_path_namespace"]
        return statuses, told, names + plain["off"]

    statuses, told, otherwise = in_host(script)
    assert [0, 0] == statuses
    assert {"one_path_namespace"} == told.keys()
    assert (["one_path_namespace"] if told["one_path_namespace"] else []) == otherwise

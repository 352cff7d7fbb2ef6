"""The numbers of system calls, on every architecture that is said to work."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from mountplan import api
from mountplan.applier.sys import abi
from mountplan.planner.errors import StepRefused
from tests.hosts import CHECKOUT
from tests.without import NUMBERS

OURS = {name.removeprefix("SYS_").lower(): number for name, number in vars(abi).items() if name.startswith("SYS_")}


@pytest.mark.parametrize(
    "header",
    ["asm-generic/unistd.h", "x86_64-linux-gnu/asm/unistd_64.h"],
    ids=["aarch64, riscv64, loongarch64", "x86_64"],
)
def test_numbers_are_those_of_the_kernels_headers(header: str) -> None:
    """As far as the headers know the calls. Both tables are there on a PC: the generic one serves newer machines."""
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"there is no {path} here")
    theirs = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", path.read_text())}
    shared = OURS.keys() & theirs.keys()
    assert len(shared) >= 8
    assert {name: theirs[name] for name in shared} == {name: OURS[name] for name in shared}


def test_only_calls_that_have_one_number_everywhere_are_made_by_number() -> None:
    """From 424 on, all architectures but alpha agree. Older ones, as pivot_root(2) or mount(2), are libc's to find."""
    assert [] == [name for name, number in OURS.items() if number < 424]
    assert {name: NUMBERS[name] for name in OURS.keys() & NUMBERS} == {
        name: OURS[name] for name in OURS if name in NUMBERS
    }


def test_an_unknown_machine_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alpha has other numbers, and whatever they do there, it would be done."""
    plan = api.plan(api.load(str(CHECKOUT / "specs/hello.toml")))
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="alpha", release="6.18", sysname="Linux"))
    with pytest.raises(StepRefused, match=r"syscall on alpha: .*\n.*one of aarch64, .*x86_64"):
        api.build_and_forget(plan)


def test_openat2_gets_only_flags_that_it_has_always_had() -> None:
    """It came with these in Linux 5.6; RESOLVE_CACHED is younger (5.12). A filter takes all of the call or nothing."""
    ours = {name for name in vars(abi) if name.startswith("RESOLVE_")}
    assert {"RESOLVE_" + name for name in ("NO_XDEV", "NO_MAGICLINKS", "NO_SYMLINKS", "BENEATH", "IN_ROOT")} >= ours

"""What is built, against a reader of specs that shares nothing with the planner. `make agree` tries thousands."""

from __future__ import annotations

import os

import pytest

from tests.hosts import InHost
from tests.kernel.agreement import disagreement, disagreements
from tests.privileges import missing

SPECS = int(os.environ.get("MOUNTPLAN_EXAMPLES", "0")) or 40


@pytest.mark.needs_kernel("mountns", "set-group")
@pytest.mark.parametrize("plain", [True, False], ids=["nothing shared", "something of everything"])
def test_what_stands_there_is_what_a_second_reader_finds_in_the_spec(plain: bool, in_host: InHost) -> None:
    found = in_host(lambda: [disagreement(seed, plain=plain) for seed in range(SPECS)], timeout=300)
    assert {""} >= set(found) - {None}
    assert found.count("") >= (0.5 if missing("root") else 0.99) * SPECS


@pytest.mark.needs_kernel("root", "set-group", "loop", "mksquashfs", "fs:squashfs")
def test_so_it_is_with_images_and_with_what_is_inherited_and_changed(in_host: InHost) -> None:
    found = in_host(lambda: disagreements(1000, 1000 + SPECS), identity="root", timeout=300)
    assert [] == [(seed, what) for seed, what in found if what]
    assert len(found) == SPECS
    assert [what for _, what in found].count("") >= 0.9 * SPECS

"""What is built, against a reader of specs that shares nothing with the planner. `make agree` tries thousands."""

from __future__ import annotations

import os

import pytest

from tests.hosts import InHost
from tests.kernel.agreement import disagreement

SPECS = int(os.environ.get("MOUNTPLAN_EXAMPLES", "0")) or 40


@pytest.mark.needs_kernel("mountns", "set-group")
@pytest.mark.parametrize("plain", [True, False], ids=["nothing shared", "something of everything"])
def test_what_stands_there_is_what_a_second_reader_finds_in_the_spec(plain: bool, in_host: InHost) -> None:
    found = in_host(lambda: [disagreement(seed, plain=plain) for seed in range(SPECS)], timeout=300)
    assert {""} >= set(found) - {None}
    assert found.count("") >= 0.99 * SPECS

"""Each classic question of docs/propagation.md has a script and what `mountplan simulate` says of it. It says so."""

from __future__ import annotations

import re

import pytest

from mountplan.planner.render.simulated import simulation_text
from mountplan.planner.shell.simulate import empty_world, simulate
from mountplan.rehearsing import compare_with_kernel
from tests.hosts import CHECKOUT
from tests.propagation import require_rules

QUESTIONS = {
    title: (script, told)
    for title, script, told in re.findall(
        r"^### ([^\n]+)\n\n[^`#]*?(?:`[^`\n]+`[^`#]*?)*```sh\n(.*?)```\n\n```text\n(.*?)```$",
        (CHECKOUT / "docs" / "propagation.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
}


def test_all_questions_are_found() -> None:
    assert 10 == len(QUESTIONS)


@pytest.mark.parametrize("title", QUESTIONS)
def test_the_page_has_what_simulate_says(title: str) -> None:
    script, told = QUESTIONS[title]
    assert told == simulation_text(simulate(script))


@pytest.mark.needs_kernel("root", "unshare", "nsenter")
@pytest.mark.parametrize("title", QUESTIONS)
def test_the_kernel_does_what_the_page_says(title: str) -> None:
    require_rules()
    simulation = simulate(QUESTIONS[title][0])
    assert () == compare_with_kernel(simulation, empty_world(), "SCRIPT").differences

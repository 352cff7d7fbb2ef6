"""The mutants of `make mutants` are one change each, and the same ones wherever the code is the same."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.sites import Mutant, marked, mutants, mutated, sample, statements

MODULE = '''\
"""A docstring."""
from __future__ import annotations

LEAST: int = 3


def some(values: list[str], *, all: bool = False) -> str | None:
    """Another."""
    for value in values:
        if value == "x" and not all:
            continue
        return f"{value.upper()} and more"
    note(1, len(values))
    return None
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(MODULE)
    return path


def told(mutant: Mutant) -> str:
    return f"{mutant.lines.start} {mutant.before} -> {mutant.after}"


def test_what_is_changed_is_behaviour_and_neither_documentation_nor_annotations(module: Path) -> None:
    assert [
        "4 3 -> 4",
        "7 False -> True",
        "10 value == 'x' and (not all) -> value == 'x' or not all",
        "10 value == 'x' -> value != 'x'",
        "10 'x' -> 'xX'",
        "10 not all -> all",
        "11 continue -> break",
        "12 return f'{value.upper()} and more' -> return None",
        "13 note(1, len(values)) -> pass",
        "13 note(1, len(values)) -> note(len(values), 1)",
        "13 1 -> 2",
    ] == [told(mutant) for mutant in mutants(module)]
    assert [True, True] == [mutant.at_import for mutant in mutants(module) if mutant.at_import]


def test_a_mutant_is_the_module_with_its_change_alone(module: Path) -> None:
    before = ast.unparse(ast.parse(MODULE)).splitlines()
    for mutant in mutants(module):
        after = ast.unparse(mutated(mutant)).splitlines()
        assert len(before) == len(after)
        assert 1 == sum(one != other for one, other in zip(before, after, strict=True)), mutant.name


def test_a_sample_stays_the_same_where_the_code_does(module: Path) -> None:
    """Its lines may move. Other code changes only as much of it as falls to that code."""
    known = [told(mutant).partition(" ")[2] for mutant in sample([module], 5, 1)]
    module.write_text(MODULE.replace("LEAST: int = 3", "\n\n\n"))
    moved = [told(mutant).partition(" ")[2] for mutant in sample([module], 5, 1)]
    assert [one for one in known if one != "3 -> 4"] == moved[: 5 - ("3 -> 4" in known)]
    assert known != [told(mutant).partition(" ")[2] for mutant in sample([module], 5, 2)]


def test_marked_statements_tell_that_they_ran_and_the_module_does_as_before(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = statements(module)
    assert [9, 10, 11, 12, 13, 14] == lines
    reached = bytearray(len(lines))
    monkeypatch.setattr(builtins, "mountplan_reached", reached, raising=False)
    names: dict[str, Any] = {}
    exec(compile(marked(module, {line: at for at, line in enumerate(lines)}), "module", "exec"), names)
    assert bytes(6) == bytes(reached)
    assert "Y and more" == names["some"](["x", "y"])
    assert [9, 10, 11, 12] == [line for line, there in zip(lines, reached, strict=True) if there]
    assert "Another." == names["some"].__doc__


def test_what_is_compiled_from_c_has_no_source_to_change() -> None:
    """applier/sys/_loop.c is imported as a module of the applier too."""
    from tests.mutants.room_runs import _Finder

    finder = _Finder("applier", lambda path: ast.parse(path.read_bytes()))
    assert finder.find_spec("mountplan.applier.sys._loop", None) is None
    assert finder.find_spec("mountplan.applier.sys.closing", None) is not None

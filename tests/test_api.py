"""The public names: there, where type checkers are told that they are, and every exception among them."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import mountplan
from mountplan import api
from mountplan.planner import errors
from mountplan.planner.errors import MountplanError
from mountplan.planner.language.spec import Spec
from mountplan.planner.language.spec_table import SpecTable
from tests.hosts import CHECKOUT


def test_each_public_name_comes_from_the_module_that_type_checkers_are_told() -> None:
    told = {
        alias.name: f"{node.module}"
        for node in ast.walk(ast.parse(Path(api.__file__).read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mountplan.")
        for alias in node.names
    }
    assert told == {name: f"mountplan.{module}" for name, module in api._MODULE_OF.items()}
    assert api.__all__ == sorted(told)


def test_each_public_name_is_there_and_says_what_it_is() -> None:
    undocumented = [name for name in api.__all__ if not inspect.getdoc(getattr(api, name))]
    assert [] == undocumented


def test_every_exception_is_public() -> None:
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__
        if not name.startswith("_")
    }
    assert set() == raised - set(api.__all__)


def test_every_exception_is_named_alike_for_python_and_for_json_and_says_who_raises_it() -> None:
    """`VerificationFailed` is "verification-failed"; an Error at the end goes without saying."""
    family = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, MountplanError)]
    family.remove(MountplanError)
    words = {one: re.findall("[A-Z][a-z]+", one.__name__.removesuffix("Error")) for one in family}
    assert {one: "-".join(words[one]).lower() for one in family} == {one: one.code for one in family}
    assert [] == [one.__name__ for one in family if "Raised by" not in (inspect.getdoc(one) or "")]


def test_importing_mountplan_loads_next_to_nothing() -> None:
    """`import mountplan` stands in programs that may never use it; each name costs when it is asked for."""
    script = "import sys, mountplan; print(sorted(n for n in sys.modules if n.startswith('mountplan')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert "['mountplan', 'mountplan.version']\n" == done.stdout


def test_mountplan_has_the_public_names_and_no_other() -> None:
    assert mountplan.build is api.build
    assert set(api.__all__) <= set(dir(mountplan))
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        mountplan.nonesuch  # type: ignore[attr-defined]  # noqa: B018


TABLES = SpecTable.__subclasses__()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_type_checkers_are_told_the_fields_that_a_table_has(table: type[SpecTable]) -> None:
    """What they are told is written beside the fields, by hand: names and defaults."""
    assert Spec in TABLES
    words = vars(sys.modules[table.__module__])
    source = textwrap.dedent(inspect.getsource(table))
    told = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwonlyargs
    )
    names = [one.arg for one in told.args.kwonlyargs]
    assert list(table.model_fields) == names
    defaults: list[Any] = [
        None if one is None else eval(ast.unparse(one), dict(words)) for one in told.args.kw_defaults
    ]
    for name, default in zip(names, defaults, strict=True):
        info = table.model_fields[name]
        if info.is_required():
            assert default == {"format": 1}.get(name), name
        else:
            true = info.get_default(call_default_factory=True)
            assert true == (list(default) if isinstance(true, list) else default), name


def test_who_raises_an_exception_is_public_too() -> None:
    """What docstrings and docs/python.md name after "Raised by" is there to be called."""
    family = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, MountplanError)]
    told = [(inspect.getdoc(one) or "").partition("Raised by")[2].partition("\n\n")[0] for one in family]
    named = {word for text in told for word in re.findall(r"\b[a-z]+_[a-z_]+\b|\b[a-z]+(?=\(\))", text)}
    page = (CHECKOUT / "docs/python.md").read_text(encoding="utf-8").partition("| raised by |")[2]
    rows = re.findall(r"^\| (`.*?`) \| .* \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 8
    named |= {word for _, callers in rows for word in re.findall(r"`(\w+)", callers)}
    assert set() == named - set(api.__all__)
    assert {one.__name__ for one in family} - {"MountplanError"} == {
        word for raised, _ in rows for word in re.findall(r"`(\w+)`", raised)
    }

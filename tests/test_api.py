"""The public names: there, where type checkers are told that they are, and every exception among them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from mountplan import api
from mountplan.planner import errors
from mountplan.planner.errors import MountplanError


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
    }
    assert set() == raised - set(api.__all__)


def test_every_exception_is_named_alike_for_python_and_for_json_and_says_who_raises_it() -> None:
    """`VerificationFailed` is "verification-failed"; an Error at the end goes without saying."""
    family = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, MountplanError)]
    family.remove(MountplanError)
    words = {one: re.findall("[A-Z][a-z]+", one.__name__.removesuffix("Error")) for one in family}
    assert {one: "-".join(words[one]).lower() for one in family} == {one: one.code for one in family}
    assert [] == [one.__name__ for one in family if "Raised by" not in (inspect.getdoc(one) or "")]

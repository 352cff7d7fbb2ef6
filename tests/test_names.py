"""One name, one thing: what a module or a class is called tells which it is, wherever it is spoken of."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.hosts import CHECKOUT

PRODUCT = ("planner", "applier", "mountplan")
MOODS = {"living", "sides", "worlds", "quick", "patience", "everyone", "telling", "younger"}


def modules(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in (CHECKOUT / folder).rglob("*.py")
        if path.relative_to(CHECKOUT).parts[:2] not in (("mountplan", "planner"), ("mountplan", "applier"))
    ]


def twice(names: list[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_no_two_modules_have_one_basename() -> None:
    """But for those that Python or pytest wants to be called so."""
    names = [path.stem for path in modules(*PRODUCT, "tests", "bench")]
    assert len(names) > 500
    assert ["__init__", "__main__", "conftest"] == twice(names)


def test_no_two_classes_of_the_product_have_one_name() -> None:
    trees = [ast.parse(path.read_bytes()) for path in modules(*PRODUCT)]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert len(names) > 300
    assert [] == twice(names)


def test_a_module_is_named_for_what_it_holds_and_not_for_a_mood() -> None:
    parts = {part for path in modules(*PRODUCT, "tests", "bench") for part in path.stem.split("_")}
    assert set() == MOODS & parts

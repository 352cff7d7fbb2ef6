"""Named tuples that are made in less time are named tuples."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from mountplan.planner.errors import SpecRef
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow


def test_a_record_comes_whole_through_pickle_and_copy() -> None:
    """Programs hand mount rows from one process to another: Tree.call does."""
    row = MountRow(1, 0, "0:1", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    for other in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row)):
        assert (MountRow, row) == (type(other), other)


def test_fields_defaults_and_changes_are_as_in_typing() -> None:
    assert ("file", "key", "line") == SpecRef._fields == SpecRef.__match_args__
    assert {"line": 0} == SpecRef._field_defaults
    assert SpecRef("f", "k", 0) == SpecRef("f", key="k") == SpecRef._make(("f", "k", 0))
    assert "SpecRef(file='f', key='k', line=0)" == repr(SpecRef("f", "k"))
    assert {"file": "f", "key": "k", "line": 0} == SpecRef("f", "k")._asdict()
    assert 4 == SpecRef("f", "k")._replace(line=4).line


def test_wrong_arguments_are_refused() -> None:
    for arguments in ((), ("f",), ("f", "k", 1, 2)):
        with pytest.raises(TypeError):
            SpecRef(*arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="nonsense"):
        SpecRef("f", "k")._replace(nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        SpecRef("f", "k").line = 1  # type: ignore[misc]


def test_the_first_record_and_the_hundredth_take_the_same_arguments() -> None:
    """A constructor is compiled somewhere between them."""

    class Place(NamedTuple):
        file: str
        line: int = 0

    for number in range(100):
        assert ("f", 0) == Place("f") == Place(file="f")
        assert ("f", number) == Place("f", number) == Place(line=number, file="f")
        more: list[tuple[tuple[Any, ...], dict[str, Any]]]
        more = [((), {}), (("f", 1, 2), {}), (("f",), {"file": "g"}), (("f",), {"nonsense": 1})]
        for wrong, named in more:
            if number % 99 == 0:
                with pytest.raises(TypeError):
                    Place(*wrong, **named)


def test_a_record_may_have_no_fields() -> None:
    class Nothing(NamedTuple):
        """As some actions of scripts."""

    assert ((), (), Nothing()) == (Nothing(), Nothing._fields, Nothing()._replace())

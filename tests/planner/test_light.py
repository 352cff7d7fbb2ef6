"""What stands in for contextlib, functools, re, typing and json where start-up counts does what they do."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mountplan.planner import light
from mountplan.planner.plan import plain_json


def _lending(told: list[str], catches: type[BaseException] | None, raises: BaseException | None) -> Any:
    def lend() -> Iterator[str]:
        told.append("in")
        try:
            yield "lent"
        except BaseException as error:
            told.append(type(error).__name__)
            if catches is None or not isinstance(error, catches):
                raise
        if raises is not None:
            raise raises
        told.append("out")

    return lend


@pytest.mark.parametrize("body", [None, ValueError("x"), StopIteration("x"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("catches", [None, ValueError, Exception])
@pytest.mark.parametrize("raises", [None, OSError("late"), StopIteration("late")], ids=repr)
def test_a_block_is_lent_as_contextlib_lends_it(
    body: BaseException | None, catches: type[BaseException] | None, raises: BaseException | None
) -> None:
    """What is yielded, what is caught, and what comes out of the block."""

    def outcome(contextmanager: Callable[..., Any]) -> tuple[list[str], str]:
        told: list[str] = []
        try:
            with contextmanager(_lending(told, catches, raises))() as lent:
                told.append(lent)
                if body is not None:
                    raise body
        except BaseException as error:
            return told, repr(error)
        return told, ""

    assert outcome(contextlib.contextmanager) == outcome(light.contextmanager)


def test_a_result_is_remembered() -> None:
    asked: list[int] = []

    @light.remember
    def double(number: int) -> int:
        """Twice."""
        asked.append(number)
        return 2 * number

    assert [2, 4, 2, 4] == [double(number) for number in (1, 2, 1, 2)]
    assert [1, 2] == asked
    assert "Twice." == double.__doc__
    for number in range(3000):
        assert 2 * number == double(number)


def test_a_pattern_is_that_of_re() -> None:
    digits = light.regex(r"(?s)(\d+).")
    assert [("1",), ("22",)] == [match.groups() for match in digits.finditer("1\n22x")]
    assert "a-b" == light.regex("[ _]").sub("-", "a_b")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, -2.5, true, null, "x\\u00e9\\ud800"]}',
        ' \n{"a": 1}\n\n',
        "[]",
        "7",
        '{"a": 1} x',
        '{"a": 1}' + " " * 300 + "x",
        '{"a": NaN}',
        '{"a": 1',
        "",
        '{"a": "\x01"}',
        "{'a': 1}",
        '{"a": ' + "9" * 5000 + "}",
        "[" * 100_000,
    ],
    ids=lambda text: text[:20] or "nothing",
)
def test_json_is_read_as_json_reads_it(text: str) -> None:
    def outcome(loads: Callable[[str], Any]) -> object:
        try:
            return repr(loads(text))
        except (ValueError, RecursionError) as error:
            return type(error), str(error)

    assert outcome(json.loads) == outcome(plain_json.loads)
    assert json.dumps(text) == plain_json.quote(text)


def test_cut_json_is_an_error_of_json_also_before_that_is_loaded() -> None:
    """The scanner of Python 3.11 raises the exceptions of json.decoder, and has none where nobody has imported that."""
    program = "import sys\nfrom mountplan.planner.plan.plain_json import loads\nassert 'json' not in sys.modules\n"
    program += "try: loads('{\"a\": 1')\nexcept ValueError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Expecting ',' delimiter: line 1 column 8 (char 7)\n" == done.stdout


def test_json_without_the_functions_of_this_python_is_that_of_json() -> None:
    """They are not for everybody: another Python may not have them."""
    program = "import sys; sys.modules['_json'] = None\nfrom mountplan.planner.plan.plain_json import loads, quote\n"
    program += "print(loads('{\"a\": [1]}'), quote('\\u00e9'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "{'a': [1]} \"\\u00e9\"\n" == done.stdout

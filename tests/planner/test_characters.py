"""Characters that do harm: the one list, and how they are written."""

from __future__ import annotations

import os
import unicodedata

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from mountplan.planner.capture.captured import Captured, CapturedMount, CapturedNamespace, CapturedPlace
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.characters import is_plain, toml_key, toml_string, visible, visible_lines
from mountplan.planner.language.locate import key_path
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.language.values import shown

# Signs of the category Cf that show something: they stand before numbers, or end a verse.
SHOWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
IGNORED = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u3164\ufe00\ufe0f\uffa0\ufff0\U000e0100\U000e0fff"  # if not supported


def test_whatever_unicode_calls_a_control_a_format_or_a_blank_is_harmful() -> None:
    harmful = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    every = (chr(code) for code in range(0x110000))
    assert [" "] == [
        one for one in every if unicodedata.category(one) in harmful and one not in SHOWN and is_plain(one)
    ]


def test_what_shows_nothing_is_harmful_and_what_shows_something_is_not() -> None:
    assert [] == [char for char in IGNORED if is_plain(char)]
    assert [] == [char for char in "aé'\"\\\u00e9中🙂\u0301" if not is_plain(char)]


@pytest.mark.parametrize(
    ("char", "written"),
    [
        ("\n", "\\n"),
        ("\x1b", "\\x1b"),
        ("\x7f", "\\x7f"),
        ("\u0085", "\\u0085"),
        (os.fsdecode(b"\x85"), "\\x85"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_an_escape_tells_a_character_from_a_byte(char: str, written: str) -> None:
    assert f"/a{written}b" == visible(f"/a{char}b")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_toml_string_is_read_as_what_it_was_and_has_nothing_harmful_in_it(text: str) -> None:
    assert {text: text} == tomli.loads(f"{toml_key(text)} = {toml_string(text)}")
    assert is_plain(toml_string(text))


@given(st.text())
def test_what_is_visible_can_be_printed_anywhere(text: str) -> None:
    visible_lines(text).encode()
    assert is_plain(visible(text))
    assert visible(text) == visible(visible(text))


EVIL = "\u009b31mA\u202eevil\u2066\u200b\u2028\u2029\U000e0041\x7f"


def test_a_capture_shows_what_it_contains() -> None:
    """Names of a hostile container reach neither the file nor the terminal as they are; they are what they were."""
    path = f"/srv/{EVIL}" + os.fsdecode(b"\xe9")
    mounts = (
        CapturedMount(target="/", type="tmpfs", source=EVIL, options=((EVIL, EVIL),)),
        CapturedMount(target=path, bind=CapturedPlace("", f"/{EVIL}'\\")),
    )
    captured = Captured("x", (), (CapturedNamespace("", mounts),), (), ())
    text = write_spec(captured, (EVIL,))
    assert all(map(is_plain, text.split("\n")))
    spec = parse_spec(text.encode())
    root, bind = spec.mount
    assert (EVIL, {EVIL: EVIL}, path, f"/{EVIL}'\\") == (root.source, root.options, bind.target, bind.bind)


def test_a_message_quotes_nothing_harmful() -> None:
    assert is_plain(shown(EVIL))
    assert is_plain(key_path("mount", 1, "options", EVIL))

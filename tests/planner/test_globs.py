"""Patterns of the shell, as the model has them and as sh(1) itself matches them."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess

from mountplan.planner.shell.shell_patterns import translated

PATTERNS = (
    "*", "?", "a*", "*b", "a?c", "[abc]", "[a-c]x", "[!a]", "[^a]", "[]]", "[!]]x", "[a-]", "[-a]",
    "[[:digit:]]*", "[![:alpha:]]", "[[:upper:][:digit:]]", "[c-a]", "[!c-a]", "[a", "a]", "[[]", "[&&]", "[a&&b]",
    "[.^]", "a.c", "[a-c-e]", "*.*", "**", "[:a:]", r"[\\]", r"[!\\]",
)  # fmt: skip
WORDS = (
    "X",
    "\\",
    "",
    "a",
    "b",
    "c",
    "d",
    "ab",
    "abc",
    "a.c",
    "ax",
    "x",
    "]",
    "]x",
    "-",
    "^",
    "&",
    "&x",
    "[",
    "[a",
    "a]",
    "1",
    "12",
    "A",
    "e",
    ":",
    ".",
)


def test_a_pattern_fits_what_it_fits_in_a_shell() -> None:
    pairs = list(itertools.product(PATTERNS, WORDS))
    script = "".join(
        f"case {shlex.quote(word)} in {pattern}) echo y;; *) echo n;; esac\n".replace("&&", "\\&\\&")
        for pattern, word in pairs
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env={"LC_ALL": "C"})
    shells = [(*pair, answer == "y") for pair, answer in zip(pairs, done.stdout.split(), strict=True)]
    models = [
        (pattern, word, re.fullmatch(translated(pattern), word, re.DOTALL) is not None) for pattern, word in pairs
    ]
    assert [] == [one for one, other in zip(shells, models, strict=True) if one != other]

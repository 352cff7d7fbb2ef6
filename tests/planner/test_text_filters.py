"""What commands make of a text: what the programs themselves do, or there is no answer."""

from __future__ import annotations

import os
import subprocess

import pytest

from mountplan.planner.commands.text_filters import FILTERS

TEXTS = (
    "b 2 x\na 10 y\n\ta 9\n\nB 2  z\nb 2 x\nfoo.bar\n[x]\nback\\slash\n-^]|\n.5\n-3\n",
    "one:two:three\nab:aab\n::\nfour",  # without an end of line at its end
    "",
)
# The words of each call, as a shell would take them apart.
CALLS: dict[str, list[list[str]]] = {
    "grep": [
        ["a"], ["-v", "a"], ["-vc", "b"], ["-i", "A"], ["-x", "::"], ["-xv", "a"], ["-w", "b"], ["-w", "2"],
        ["-q", "b"], ["-q", "zz"], ["-o", "a[ab]"], ["-io", "AB"], ["-o", "x*"], ["-E", "a+b"], ["-E", "(a|b)2?"],
        ["-E", "a{2}"], ["-F", "."], ["-F", "[x]"], ["-xFi", "FOUR"], ["-e", "a", "-e", "b"], ["-m", "1", "a"],
        ["-m1", "-c", "b"], ["^a"], ["r$"], ["a\\+b"], ["a\\{2\\}"], ["\\."], ["*a"], ["a*"], ["^$"], ["-c", "^$"],
        ["\\bx"], ["\\<b"], ["[[:digit:]]"], ["-E", "[[:digit:]]+$"], ["[[:space:]]"], ["-o", "[[:digit:]x-z]*"],
        ["[^[:alpha:]]"], ["[]]"], ["[^]]"], ["[\\]"], ["[|]"], ["-E", "[a-]"], ["[\\t]"], ["-oE", "x|y"],
        ["-oE", "(a|B)b"], ["--", "-3"], ["-h", "a"], ["a\\|x"], ["x\\?$"], ["-e", "-3"],
    ],
    "egrep": [
        ["a+b"], ["-v", "a|b"],
    ],
    "fgrep": [
        ["."], ["-v", "."], ["-i", "B"],
    ],
    "cut": [
        ["-d:", "-f2"], ["-d", ":", "-f1,3"], ["-d:", "-f2-"], ["-d:", "-f-2"], ["-s", "-d:", "-f1"],
        ["-d:", "-f3,1"], ["-c1-3"], ["-c", "2"], ["-b1"], ["-f2"], ["-f1"], ["-d ", "-f2"],
    ],
    "tr": [
        ["a-z", "A-Z"], ["-d", "a"], ["-s", "a"], ["-d", "\\n"], ["-s", "ab"], ["a", "b"], ["-c", "a-z\\n", "_"],
        ["-cd", "a-z\\n"], ["[:lower:]", "[:upper:]"], ["-s", "[:space:]"], ["abc", "x"], ["abx", "xy"],
        ["-d", "[:digit:]"], ["-s", "a-z", "x"], ["-C", "a-z\\n", "."],
    ],
    "head": [
        ["-n", "1"], ["-2"], ["-n1"], [], ["-n", "0"], ["-q", "-n", "20"],
    ],
    "tail": [
        ["-n", "1"], ["-2"], ["-n", "+2"], ["-n", "+1"], ["-n", "+0"], [], ["-n0"], ["-n", "20"],
    ],
    "cat": [
        [], ["-"],
    ],
    "wc": [
        ["-l"], ["-w"], ["-c"], ["-m"],
    ],
    "sort": [
        [], ["-u"], ["-r"], ["-ru"], ["-n"], ["-nr"], ["-nu"], ["-rnu"],
    ],
    "uniq": [
        [],
    ],
    "sed": [
        ["p"], ["-n", "p"], ["1d"], ["$d"], ["/a/d"], ["/a/!d"], ["1!d"], ["2q"], ["$q"], ["q"], ["-n", "$p"],
        ["-n", "2p"], ["/a/p;d"], ["s/a/X/"], ["s/a/X/g"], ["-n", "s/a/X/p"], ["s/a/[&]/g"], ["s/a/\\&/"],
        ["s/a/x/;s/b/y/"], ["s/B/x/I"], ["s/B/x/gi"], ["s|a|/|"], ["-e", "s/a/x/", "-e", "s/x/y/"], ["/b/s/a/Q/"],
        ["1s/./Z/"], ["s/x*/-/g"], ["-E", "s/(a)(b)/\\2\\1/"], ["-E", "s,a+,x,g"], ["s/\\(a\\)b/\\1/"],
        ["-r", "s/a|b/x/"], ["s/b$/\\n/"], ["s/[[:space:]]*$//"], ["s/^[ \\t]*//"], ["s/[\\t]/T/g"],
        ["s/[[:digit:]]\\+/<&>/g"], ["s/[^[:space:]]//g"], ["s/[]]/B/"], ["s/b*/<&>/g"], ["s/b*$/<&>/"], ["s/^/x/g"],
        ["s/$/x/"], ["s/a/\\t/"], ["s/a;b/c/"],
    ],
    "awk": [
        ["{print $1}"], ["{print $2}"], ["-F:", "{print $2}"], ["-F", ":", "{print $1,$3}"], ["{print $NF}"],
        ["{print}"], ["{print $0}"], ['$1=="a"{print $2}'], ['$1!="a" {print $2}'], ["$1~/a/{print $1}"],
        ["/a/{print $1}"], ["NR==2{print $1}"], ["{print $1 $2}"], ["-F[:]", "{print $1}"], ["{print $9}"],
        ["{ print $1; }"], ['$2~"x"{print $1}'], ["-F ", "{print $1,$3}"], ["-F:", "$3~/t/ {print $1}"],
        ["END{print NR}"], ["-v", "x=1", "{print x}"], ["-v", "p=b", '$1 ~ "^"p {print $2}'], ["NR==2"], ["!/a/"],
        ['/a/ || $2 == 2 {print $1"-"$2; next} {print NF, NR}'], ["NR > 2 {print; exit}"], ["$1 !~ /[ab]/ && NF > 0"],
        ['NF==3 && !($1 == "b" || $2 == 10) {print $1}'], ["$1 ~ /\\// {print}"], ["-F:", "{print NF}"],
    ],
    "rev": [[]],
}  # fmt: skip
NOT_FOLLOWED: dict[str, list[list[str]]] = {
    "grep": [
        ["-P", "a"], ["-l", "a"], ["-n", "a"], ["a["], ["-E", "a("], [], ["-oE", "a|ab"],
        ["-o", "-e", "a", "-e", "ab"],
    ],
    "cut": [
        ["-x"], ["-d:", "-f"], ["-f0"], ["-f2-1x"], ["-c-"], ["-d", "", "-f1"], ["-f1", "-d"],
    ],
    "tr": [
        ["z-a", "b"], ["a"], [], ["-ds", "a", "b"], ["a", "z-a"], ["-t", "a", "b"],
    ],
    "head": [
        ["-n", "-1"], ["-c", "3"], ["-n", "x"],
    ],
    "tail": [
        ["-f"], ["-n", "x"],
    ],
    "cat": [
        ["-n"],
    ],
    "wc": [
        [], ["-lw"],
    ],
    "sort": [
        ["-k2"],
    ],
    "uniq": [
        ["-c"],
    ],
    "sed": [
        ["a foo"], ["-i", "d"], ["y/a/b/"], ["s/a/x/2"], ["2,3d"], ["-n", "/a/{p}"], ["s/a/x"], [], ["/a[/d"],
        ["s/a(/x/;s/a[/b/"], ["-E", "s/(^|b)/-/g"], ["s|\\||p|"], ["s"],
        ["s/\\(a\\)/\\2/"],
    ],
    "awk": [
        ["BEGIN{print}"], ["{print x}"], [], ["-x", "{print}"], ["{printf $1}"], ["$1 < \"b\" {print}"], ["/a{2}/"],
        ["{print $1,}"],
    ],
}  # fmt: skip


def real(program: str, arguments: list[str], text: str) -> tuple[str, int]:
    done = subprocess.run(
        [program, *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize("program", CALLS)
def test_a_text_comes_out_as_from_the_program_itself(program: str) -> None:
    for arguments in CALLS[program]:
        for text in TEXTS:
            assert real(program, arguments, text) == FILTERS[program](list(arguments), text), (arguments, text)


@pytest.mark.parametrize("program", NOT_FOLLOWED)
def test_what_is_not_followed_has_no_answer(program: str) -> None:
    assert [] == [one for one in NOT_FOLLOWED[program] if FILTERS[program](list(one), TEXTS[0]) is not None]

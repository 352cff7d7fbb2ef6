"""Debian's shell scripts that mount something, each mount command of them come to, in the model and for real:

python -m tests.kernel.debian_scripts DIRECTORY [--fetch] [--only NAME] [--find SECONDS]

--fetch downloads the packages with apt-get, and unpacks each into DIRECTORY/PACKAGE (`make debian-scripts`).

debian_scripts.toml has the scripts, and for each what only a machine knows, in one or several runs. A mount command is
reached if it has been carried out in one of them, and a script agrees if the real programs do the same in each, command
by command, and tables are the same (simulate --compare-kernel). `--find` looks for answers of runs that are not written
down yet, by chance.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli

from mountplan.planner.errors import SpecError
from mountplan.planner.shell.shell_reading import parse_script
from mountplan.planner.shell.shell_syntax import Function, NotFollowed, Simple, Text
from mountplan.planner.shell.simulate import Answers, Simulation, empty_world, simulate
from mountplan.rehearsing import compare_with_kernel

_WANTED = re.compile(r"--var (\w+)=")
DATA = Path(__file__).parent / "debian_scripts.toml"


class Given(NamedTuple):
    """What is said of one run: see the head of debian_scripts.toml."""

    before: str = ""
    after: str = ""
    variables: Mapping[str, str] = {}
    answers: Mapping[str, str] = {}
    fails: tuple[str, ...] = ()
    files: Mapping[str, str] = {}
    instead: Mapping[str, str] = {}
    end: int = 0
    unasked: tuple[str, ...] = ()


class Reached(NamedTuple):
    """The lines of mount commands, those that were carried out, and what stood in the way or differs."""

    lines: frozenset[int]
    reached: frozenset[int]
    stopped: tuple[str, ...]
    differences: tuple[str, ...]


def scripts() -> dict[str, tuple[Given, ...]]:
    """The runs of each script."""
    read: dict[str, Any] = tomli.loads(DATA.read_text(encoding="utf-8"))
    found = {}
    for package, paths in read.items():
        common = paths.pop("*", [{}])[0]
        for path, runs in paths.items():
            found[f"{package}/{path}"] = tuple(_given(one, common) for one in runs)
    return found


def _given(own: dict[str, Any], common: dict[str, Any]) -> Given:
    """`common` is what all scripts of a package are told; what is not asked for of it counts for nothing."""
    tables = {name: {**common.get(name, {}), **own.pop(name, {})} for name in ("var", "answer", "file", "instead")}
    fails = own.pop("fails", [])
    asked = (*common.get("answer", ()), *common.get("fails", ()))
    made = Given(
        own.pop("before", ""), own.pop("after", ""), tables["var"], tables["answer"],
        (*fails, *common.get("fails", ())), tables["file"], tables["instead"], own.pop("end", 0), asked,
    )  # fmt: skip
    assert not own, own
    return made


def _commands(value: Any) -> Iterator[Simple | Function | NotFollowed]:
    """All commands in a value of the syntax, substitutions among them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Simple | Function | NotFollowed):
            yield one
        if isinstance(one, tuple):
            waiting += one


def mount_lines(text: str) -> frozenset[int]:
    """The lines with a mount command."""
    lines = set()
    for one in _commands(parse_script(text)):
        if isinstance(one, Simple) and one.words and isinstance(one.words[0][0], Text):
            first = [word[0].text for word in one.words[:2] if word and isinstance(word[0], Text)]
            name = first[0].rpartition("/")[2]
            runs = name == "mount" or (name in ("exec", "command", "busybox") and first[1:] == ["mount"])
            if runs and "--version" not in first:
                lines.add(one.line)
    return frozenset(lines)


def _whole(text: str, given: Given) -> str:
    """The script with a line for what has to be there before (behind its first), and with calls at its end."""
    for written, other in given.instead.items():
        assert written in text, written
        text = text.replace(written, other)
    if given.end:
        lines = text.split("\n")
        lines[given.end - 1] = f"exit; {lines[given.end - 1]}"
        text = "\n".join(lines)
    if text.startswith("#!"):
        first, _, rest = text.partition("\n")
        return f"{first}\n{given.before}\n{rest}\n{given.after}\n"
    return f"{given.before}\n{text}\n{given.after}\n"


def _run(text: str, given: Given, directory: Path) -> Simulation:
    """Its lines are one more than in the script. What has no value is empty, as it is in a shell."""
    answers = Answers(tuple(given.answers.items()), given.fails)
    files = {
        path: (directory / one[1:]).read_text(encoding="utf-8", errors="surrogateescape") if one[:1] == "@" else one
        for path, one in given.files.items()
    }
    variables = dict(given.variables)
    whole = _whole(text, given)
    while True:
        try:
            return simulate(whole, "S", empty_world(), variables=variables, answers=answers, files=files)
        except SpecError as error:
            wanted = {match[1] for one in error.mistakes if (match := _WANTED.search(one.remedy or ""))}
            if not wanted - set(variables):
                raise
            variables |= dict.fromkeys(wanted, "")


def _reached(simulation: Simulation) -> set[int]:
    return {ran.line - 1 for ran in simulation.ran if ran.words[0] == "mount"}


def follow(text: str, runs: tuple[Given, ...], directory: Path, *, real: bool) -> Reached:
    lines = mount_lines(text)
    reached: set[int] = set()
    stopped: list[str] = []
    differences: list[str] = []
    for number, given in enumerate(runs, 1):
        try:
            simulation = _run(text, given, directory)
            reached |= _reached(simulation) & lines
            if real:
                found = compare_with_kernel(simulation, empty_world(), "S").differences
                differences += [f"run {number}: {one}" for one in found]
            stopped += [
                f"run {number}: no command was asked for: {one}"
                for one in simulation.unasked
                if one not in given.unasked
            ]
        except SpecError as error:
            stopped += [
                f"run {number}: line {(one.ref.line or 1) - 1}: {one.what} | {one.remedy}" for one in error.mistakes
            ]
    return Reached(lines, frozenset(reached), tuple(stopped), tuple(differences))


# --- answers by chance

_VALUES = ("", "x", "yes", "true", "1", "0", "/target", "/dev/sda1", "start", "mount", "setup-start", "tmpfs",
           "ext4", "no")  # fmt: skip
_COMPARED = re.compile(r"(?:[!=]=? |\||^\s*\(?)\"?([A-Za-z0-9/_:.-]{2,24})\"?(?= *[])|])", re.MULTILINE)
_ROUNDS = 60


def find(text: str, given: Given, directory: Path, seconds: float) -> Iterator[tuple[Given, set[int]]]:
    """Runs that come to more, found by giving at random what `given` does not say."""
    lines, end, chance = mount_lines(text), time.monotonic() + seconds, random.Random(1)
    words = (*_VALUES, *sorted(set(_COMPARED.findall(text))))
    reached: set[int] = set()
    while time.monotonic() < end and not lines <= reached:
        tried, came = _by_chance(text, given, directory, chance, words)
        if came & lines - reached:
            reached |= came
            yield tried, came & lines


def _by_chance(
    text: str, given: Given, directory: Path, chance: random.Random, words: tuple[str, ...]
) -> tuple[Given, set[int]]:
    for _ in range(_ROUNDS):
        try:
            return given, _reached(_run(text, given, directory))
        except SpecError as error:
            before = given
            for remedy in {mistake.remedy or "" for mistake in error.mistakes}:
                if match := re.search(r"--var (\w+)=", remedy):
                    given = given._replace(variables={**given.variables, match[1]: chance.choice(words)})
                elif match := re.search(r"--file (\S+)=FILE", remedy):
                    given = given._replace(files={**given.files, match[1]: ""})
                elif match := re.search(r"--answer '(.*?)=(OUTPUT|ext4|/usr/bin/\S+|)'", remedy, re.DOTALL):
                    output = chance.choice(words) if match[2] == "OUTPUT" else match[2]
                    if match[2] not in ("OUTPUT", "ext4") and chance.random() < 0.5:
                        given = given._replace(fails=(*given.fails, match[1]))
                    else:
                        given = given._replace(answers={**given.answers, match[1]: output})
            if given == before:
                return given, set()
    return given, set()


def fetch(directory: Path) -> None:
    """The packages that are not there yet, and those that files are taken from."""
    packages = {name.partition("/")[0] for name in scripts()}
    files = [one for runs in scripts().values() for given in runs for one in given.files.values()]
    packages |= {one[1:].partition("/")[0] for one in files if one.startswith("@")}
    directory.mkdir(parents=True, exist_ok=True)
    missing = [package for package in sorted(packages) if not (directory / package).is_dir()]
    if missing:  # all at once: apt-get reads the lists of all packages each time
        subprocess.run(["apt-get", "download", *missing], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    for package in missing:
        archive = next(directory.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, directory / package], check=True)
        archive.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--fetch", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--find", type=float, default=0)
    parser.add_argument("--model-only", action="store_true")
    arguments = parser.parse_args()
    if arguments.fetch:
        fetch(arguments.directory)
    whole = agree = commands = reached = count = 0
    for name, runs in scripts().items():
        path = arguments.directory / name
        if arguments.only not in name:
            continue
        if not path.is_file():
            sys.stdout.write(f"{name}: not there\n")
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        came = follow(text, runs, arguments.directory, real=not arguments.model_only)
        complete = came.lines <= came.reached and not came.stopped
        count += 1
        whole += complete
        agree += complete and not came.differences
        commands += len(came.lines)
        reached += len(came.reached)
        missing = sorted(came.lines - came.reached)
        rest = f", not lines {', '.join(map(str, missing))}" if missing else ""
        sys.stdout.write(f"{name}: {len(came.reached)} of {len(came.lines)}{rest}\n")
        sys.stdout.write("".join(f"    {one}\n" for one in (*came.stopped, *came.differences)))
        sys.stdout.flush()
        if arguments.find:
            for given, lines in find(text, runs[0] if runs else Given(), arguments.directory, arguments.find):
                sys.stdout.write(f"    {sorted(lines)}: {given}\n")
    sys.stdout.write(
        f"{whole} of {count} scripts whole, {reached} of {commands} mount commands;"
        f" {agree} of the scripts agree with the kernel\n"
    )
    return 0 if agree == whole else 1


if __name__ == "__main__":
    sys.exit(main())

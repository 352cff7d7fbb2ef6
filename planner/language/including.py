"""The texts that a spec is put together from: the one that was named, and depth first those that it includes.

Each file is read once, however many roads lead to it: what it says is said once.
"""

from __future__ import annotations

import posixpath
from typing import Any

from mountplan.planner.errors import Mistake
from mountplan.planner.language.outside import Outside
from mountplan.planner.language.reading import read_toml
from mountplan.planner.language.values import Unfit, local_path, shown
from mountplan.planner.language.wording import ModelFinding
from mountplan.planner.record import NamedTuple

_DEEPEST = 50
_MOST = 1000


class Part(NamedTuple):
    """One text: what errors call the file, its TOML and what that says, and what is wrong with what it includes."""

    file: str
    text: str | None
    raw: dict[str, Any]
    found: list[ModelFinding]


class Gathered(NamedTuple):
    """`parts` are in the order in which they were found, the one that was named first; `order` has their numbers with
    each after those that it includes. `mistakes` are of files that are no TOML.
    """

    parts: list[Part]
    order: list[int]
    mistakes: list[Mistake]


class _Gathering:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._known: set[str] = set()
        self.result = Gathered([], [], [])

    def add(self, part: Part, place: str, within: tuple[tuple[str, str], ...]) -> None:
        """Put a text in, after what it includes. `place` is where it is, `within` place and name of those around."""
        parts, order, _ = self.result
        parts.append(part)
        number = len(parts) - 1
        self._known.add(place)
        listed = part.raw.get("include")
        for at, value in enumerate(listed if isinstance(listed, list) else ()):
            try:
                self._include(value, part.file, (*within, (place, part.file)))
            except Unfit as problem:
                part.found.append(ModelFinding(("include", at), problem.what, problem.remedy))
        order.append(number)

    def _include(self, value: object, file: str, within: tuple[tuple[str, str], ...]) -> None:
        name = self._label(value, file)
        try:
            place = self._outside.whereabouts(name).path
        except LookupError as error:
            raise _unread(value, error) from None
        around = [one for one, _ in within]
        if place in around:
            cycle = " -> ".join([*(label for _, label in within[around.index(place) :]), name])
            raise Unfit(f"{shown(value)} includes itself: {cycle}", "leave one of them out")
        if place in self._known:
            return
        if len(within) == _DEEPEST or len(self.result.parts) == _MOST:
            most = f"{_DEEPEST} deep" if len(within) == _DEEPEST else f"more than {_MOST} files"
            raise Unfit(f"{shown(value)} is included {most}", "put some of these files into one")
        try:
            data = self._outside.text(name)
        except LookupError as error:
            raise _unread(value, error) from None
        raw, text, mistake = read_toml(data, name)
        if mistake is not None:
            self._known.add(place)
            self.result.mistakes.append(mistake)
            return
        self.add(Part(name, text, raw, []), place, within)

    def _label(self, value: object, file: str) -> str:
        """What errors call an included file: as one gets to it from where mountplan was started."""
        path = local_path(value)
        if path[0] == "/":
            return path
        try:
            self._outside.whereabouts(file)
        except LookupError as error:
            what = f"{shown(value)} counts from the directory of the spec, and there is none: {error.args[0]}"
            raise Unfit(what, "write the whole path from '/' on, or save the spec in a file") from None
        return posixpath.join(posixpath.dirname(file), path)


def _unread(value: object, error: LookupError) -> Unfit:
    what = f"{shown(value)} cannot be read: {error.args[0]}"
    if isinstance(value, str) and "${" in value:
        return Unfit(what, "write its name: parameters are replaced when all is included")
    remedy = "name a file that is there and can be read; a relative path counts from the directory of the spec"
    return Unfit(what, remedy)


def gather(raw: dict[str, Any], text: str | None, file: str, outside: Outside) -> Gathered:
    """The text that was named, `file`, and all that it includes. A text of None: it was made in Python."""
    gathering = _Gathering(outside)
    place = ""
    if raw.get("include"):
        try:
            place = outside.whereabouts(file).path
        except LookupError:
            pass
    gathering.add(Part(file, text, raw, []), place, ())
    return gathering.result

"""Where the parts of a spec were written that was put together from several files.

The parts of such a spec have key paths as if it were one text: `mount[5]`. Those who wrote it know it as `mount[2]` of
one of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.language.locate import Places, prefixes
from mountplan.planner.light import regex
from mountplan.planner.names import Moved

# Key paths as messages have them, and texts in quotes, in which nothing is one.
_IN_WORDS = regex(r'"[^"]*"|\b(?:namespace\[\d+\]\.)?[a-z_]+\[\d+\](?:\.[a-z_]+(?:\[\d+\])?)*')


class Origins:
    """`files` has name and places of each file; `moved`, for each part of the whole, its file and key path there."""

    def __init__(self, files: list[tuple[str, Places]], moved: dict[str, tuple[int, str]]) -> None:
        self._files = files
        self._moved = moved
        self._keys = {(number, own): key for key, (number, own) in moved.items()}
        self._numbers = {file: number for number, (file, _) in enumerate(files)}

    def ref(self, key: str) -> SpecRef:
        """The place that the key path `key` of the whole spec names."""
        number, own = self._find(key)
        file, places = self._files[number]
        return SpecRef(file, own, places.line(own))

    def located(self, ref: SpecRef) -> SpecRef:
        """The same place with the line of its key, or of the nearest thing around it."""
        number = self._numbers.get(ref.file)
        return ref if number is None else ref._replace(line=self._files[number][1].line(ref.key))

    def position(self, ref: SpecRef) -> tuple[int, int]:
        """Sorts places in the order of the files, and in a file in that of its lines."""
        return self._numbers.get(ref.file, 0), ref.line

    def told(self, mistake: Mistake) -> Mistake:
        """A mistake that was found in the whole spec, in words for those who wrote its files."""
        ref = self.ref(mistake.ref.key)
        what, remedy = (_IN_WORDS.sub(lambda match: self._in_words(match[0], ref), text) for text in mistake[1:])
        return Mistake(ref, what, remedy)

    def _in_words(self, text: str, near: SpecRef) -> str:
        if text[0] == '"':
            return text
        ref = self.ref(text)
        return ref.key if ref.file == near.file else f"{ref.key} of {ref.file}"

    def _find(self, key: str) -> tuple[int, str]:
        for prefix in reversed(prefixes(key)):
            found = self._moved.get(prefix)
            if found is not None:
                return found[0], found[1] + key[len(prefix) :]
        return 0, key

    def whole(self, keys: Mapping[int, Iterable[str]]) -> frozenset[str]:
        """The key paths in the whole spec of some that are in files, by the number of these."""
        return frozenset(self._key(number, own) or own for number, of_file in keys.items() for own in of_file)

    def headers(self) -> tuple[tuple[str, int], ...]:
        """Key path in the whole spec and line of every table header, as Places has them for one file."""
        headers = [(number, *one) for number, (_, places) in enumerate(self._files) for one in places.headers()]
        found = ((self._key(number, own), line) for number, own, line in headers)
        return tuple((key, line) for key, line in found if key is not None)

    def _key(self, number: int, own: str) -> str | None:
        """The key path in the whole spec of `own` in a file; None for what is not a part of it by itself."""
        for prefix in reversed(prefixes(own)):
            key = self._keys.get((number, prefix))
            if key is not None:
                return key + own[len(prefix) :]
        return None

    def moved(self) -> tuple[Moved, ...]:
        """The parts that have another key path in their file, or are from another than the first."""
        return tuple(
            Moved(key, self._files[number][0], own)
            for key, (number, own) in self._moved.items()
            if number or key != own
        )

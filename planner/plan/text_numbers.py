"""Texts numbered as they come, for columns of many that come again and again: names, handles, paths."""

from __future__ import annotations

from itertools import islice
from operator import eq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_STRETCH = 128  # texts that are looked up together


class TextNumbers:
    """Each text once, in `texts`, where it stands at its number."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.texts: list[str] = []

    def numbers(self, values: Sequence[str]) -> list[int]:
        """Those of a column.

        Most columns have what an earlier one has, in the same order. To compare a stretch as a whole takes a tenth of
        looking up each text, which of a large plan are in no cache of the CPU.
        """
        number, texts = self.number, self.texts
        found: list[int] = []
        while stretch := list(values[len(found) : len(found) + _STRETCH]):
            first = number.setdefault(stretch[0], len(number))
            known = texts[first : first + len(stretch)]
            same = len(known) if known == stretch else [*map(eq, known, stretch), False].index(False)
            if 2 * same > len(stretch):
                found += range(first, first + same)
            elif stretch.count(stretch[0]) == len(stretch):
                found += [first] * len(stretch)
            else:
                found += [number.setdefault(text, len(number)) for text in stretch]
        texts += [*islice(reversed(number), len(number) - len(texts))][::-1]
        return found

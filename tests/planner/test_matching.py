"""The longest run of pairs that rise on both sides, held against trying all of them."""

from __future__ import annotations

import itertools

from mountplan.planner.compare.matching import _rising


def longest(values: tuple[int, ...]) -> int:
    return max(
        count
        for count in range(len(values) + 1)
        if any(list(one) == sorted(one) for one in itertools.combinations(values, count))
    )


def test_of_candidates_the_most_are_chosen_that_rise_on_both_sides() -> None:
    for values in itertools.chain.from_iterable(itertools.permutations(range(count)) for count in range(7)):
        candidates = list(enumerate(values))
        chosen = _rising(candidates)
        assert longest(values) == len(chosen), values
        assert chosen == sorted(chosen)
        assert [one for _, one in chosen] == sorted(one for _, one in chosen)
        assert set(chosen) <= set(candidates)

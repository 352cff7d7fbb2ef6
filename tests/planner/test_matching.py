"""The longest run of pairs that rise on both sides, held against trying all of them."""

from __future__ import annotations

import itertools

from mountplan.planner.compare.matching import _common, _rising, match
from mountplan.planner.tables.table import MountRow, MountTable


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


def test_what_two_lists_have_in_common_are_pairs_of_equals_that_rise_and_all_of_their_ends() -> None:
    lists = [list(one) for size in range(5) for one in itertools.product("ab", repeat=size)]
    for first, second in itertools.product(lists, lists):
        pairs = _common([*first], [*second])
        assert all(first[at] == second[other] for at, other in pairs), (first, second)
        assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs)), (first, second, pairs)
        ends = 0
        for side in (1, -1):
            same = itertools.takewhile(
                lambda both: both[0] == both[1], zip(first[::side], second[::side], strict=False)
            )
            ends = max(ends, len(list(same)))
        assert ends <= len(pairs), (first, second, pairs)
        if len(first) - len(second) in (0, 1) and any(
            first[:at] + first[at + 1 :] == second for at in range(len(first))
        ):
            assert len(second) == len(pairs), (first, second, pairs)


def test_mounts_that_stand_on_each_other_in_a_circle_are_all_met() -> None:
    """No kernel shows any; a file may have them."""
    plain = MountRow(1, 0, "0:50", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    table = MountTable((plain, plain._replace(mount_id=2, parent_id=3), plain._replace(mount_id=3, parent_id=2)))
    found = match(table, table)
    assert [0, 1, 2] == sorted(found.first.order())
    assert {0: 0, 1: 1, 2: 2} == found.pairs


def test_a_mount_of_a_stack_is_known_by_its_source_though_something_stands_on_it_by_now() -> None:
    """It was taken for the cover that was mounted on it, which had nothing on it either."""
    root = MountRow(1, 0, "0:50", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    low, high, inner, cover = (
        root._replace(mount_id=2 + at, parent_id=1 + at, mountpoint=path, source=source, device=f"0:{60 + at}")
        for at, (path, source) in enumerate((("/s", "low"), ("/s", "high"), ("/s/in", "in"), ("/s", "cover")))
    )
    rows = root, low, high, inner, cover._replace(parent_id=high.mount_id)
    assert {0: 0, 1: 1, 2: 2} == match(MountTable(rows[:3]), MountTable(rows)).pairs

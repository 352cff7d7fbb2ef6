"""Pictures with lanes: what the text alone tells of peers and slaves is what the tables say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.render.lane_text import BRIDGE, PEER, SLAVE, lane_lines, lane_text
from mountplan.planner.render.lanes import GroupNames, LaneChart, Scene, lane_chart
from mountplan.planner.render.words import width
from mountplan.planner.tables.table import MountTable
from tests.planner.test_render import golden, row

UNNAMED = GroupNames()


def table(*sharing: tuple[int, int], first: int = 1) -> MountTable:
    """A root, and on it a mount for each (peer group, master)."""
    rows = [row(first, 0, "/")]
    rows += [
        row(first + at, first, f"/m{at:03}", peer_group=group, master=master)
        for at, (group, master) in enumerate(sharing, 1)
    ]
    return MountTable(tuple(rows))


def chart(*sharing: tuple[int, int], groups: GroupNames = UNNAMED) -> LaneChart:
    return lane_chart([Scene("one", table(*sharing))], groups)


def read_back(text: str, columns: int) -> list[tuple[list[int], list[int]]]:
    """The lanes of a picture, as an eye finds them that follows each column down: (lines of peers, lines of slaves)."""
    lines = text.splitlines()
    start = lines[0].index("tmpfs") + len("tmpfs  ")
    found: list[tuple[list[int], list[int]]] = []
    for column in range(columns):
        run: tuple[list[int], list[int]] | None = None
        for at, line in enumerate(lines):
            cell = line[start + 2 * column : start + 2 * column + 1] or " "
            if cell in " ─":
                run = None
                continue
            if run is None:
                run = ([], [])
                found.append(run)
            if cell in (PEER, SLAVE):
                run[cell == SLAVE].append(at)
    return found


SHARING = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).map(
        # A master has a smaller number, and each group one master: so no group is its own master's master.
        lambda one: (one[0], one[0] // 2 if one[0] and one[1] % 2 else (0 if one[0] else one[1]))
    ),
    max_size=24,
)


@settings(max_examples=100)
@given(SHARING)
def test_who_follows_a_lane_finds_the_members_of_the_group_and_its_slaves(sharing: list[tuple[int, int]]) -> None:
    """Lanes neither cross nor touch: a column that goes on without a gap is one group."""
    masters = {group: master for group, master in sharing if group}
    sharing = [(group, masters[group] if group else master) for group, master in sharing]
    drawn = chart(*sharing)
    wanted: dict[int, tuple[list[int], list[int]]] = {}
    for at, (group, master) in enumerate(sharing, 1):
        if group or master:
            wanted.setdefault(group or master, ([], []))[not group].append(at)
    text = lane_text(drawn, legend=False)
    found = [lane for lane in read_back(text, drawn.columns) if lane != ([], [])]
    assert sorted(wanted.values()) == sorted(found)


@settings(max_examples=50)
@given(SHARING, st.integers(40, 90))
def test_a_picture_is_as_wide_as_the_terminal_at_most(sharing: list[tuple[int, int]], room: int) -> None:
    masters = {group: master for group, master in sharing if group}
    drawn = chart(*[(group, masters[group] if group else master) for group, master in sharing])
    for line in lane_lines(drawn, room=room, legend=False):
        assert width("".join(piece.text for piece in line).rstrip()) <= room


def test_a_slave_group_is_tied_to_its_master_and_passes_over_others_by_a_bridge() -> None:
    assert lane_text(chart((1, 0), (2, 0), (3, 1), (2, 0), (3, 1), (0, 1))) == (
        """\
/       tmpfs
├─m001  tmpfs  ●───── 1
├─m002  tmpfs  │ ●─── 2
├─m003  tmpfs  ├─)─●─ 3, slave of 1
├─m004  tmpfs  │ ● │
├─m005  tmpfs  │   ●
└─m006  tmpfs  ▼

● peer: what is mounted in one is in all   ▼ slave: receives only
"""
    )


def test_groups_of_the_host_have_their_lanes_at_the_border_and_look_otherwise() -> None:
    host = HOST_GROUPS + 7
    groups = GroupNames({1: "own", 2: "copies", host: "feed"}, {host: "/srv/feed"})
    assert lane_text(chart((1, 0), (0, host), (2, host), (1, 0), (0, host), groups=groups)) == (
        """\
/       tmpfs
├─m001  tmpfs    ●─── own
├─m002  tmpfs  ▼─)─── slave of feed (of the host /srv/feed)
├─m003  tmpfs  ╟─)─●─ copies, slave of feed (of the host /srv/feed)
├─m004  tmpfs  ║ ●
└─m005  tmpfs  ▼

● peer: what is mounted in one is in all   ▼ slave: receives only   ║ group of the host
"""
    )


def test_namespaces_stand_below_each_other_and_share_the_lanes() -> None:
    scenes = [Scene("web", table((5, 0), (0, 9))), Scene("worker", table((0, 5), (5, 0), first=10))]
    assert lane_text(lane_chart(scenes, GroupNames({5: "data"})), legend=False) == (
        """\
Namespace web
/                 tmpfs
├─m001            tmpfs  ●─── data
└─m002            tmpfs  │ ▼─ slave of 9
Namespace worker         │
/                 tmpfs  │
├─m001            tmpfs  ▼
└─m002            tmpfs  ●
"""
    )


def test_masters_without_a_mount_are_named_up_to_the_first_that_has_one() -> None:
    """Plans know groups in which nothing is, but whose slaves receive from above them."""
    groups = GroupNames({1: "top", 2: "between", 3: "low"}, masters={3: 2, 2: 1})
    text = lane_text(chart((1, 0), (3, 2), groups=groups), legend=False)
    assert "low, slave of between, slave of top\n" in text


def test_a_piece_of_what_mounts_are_that_tells_nothing_is_left_out() -> None:
    said = Scene("", table((1, 0), (0, 1)), {2: "bind of the-whole:/of-it", 3: "tmpfs"})
    for room, shown in ((26, False), (60, True)):
        text = lane_text(lane_chart([said], UNNAMED), room=room, legend=False)
        assert shown is ("f-it" in text), text


def test_what_is_hidden_covered_or_adrift_is_marked() -> None:
    rows = (
        row(1, 0, "/"),
        row(2, 1, "/srv/low", peer_group=4),
        row(3, 1, "/srv"),
        row(4, 1, "/top"),
        row(5, 4, "/top"),
        row(6, 99, "/lost"),
    )
    assert lane_text(lane_chart([Scene("", MountTable(rows))], UNNAMED), legend=False) == (
        """\
/          tmpfs
├─srv      tmpfs
├─srv/low  tmpfs (hidden)   ●─ 4
└─top      tmpfs (covered)
  └─/top   tmpfs
/lost      tmpfs (adrift)
"""
    )


def test_only_what_shares_is_drawn_if_that_is_wanted() -> None:
    drawn = lane_chart([Scene("", table((0, 0), (3, 0), (0, 0), (0, 3)))], UNNAMED, only={3})
    assert ["/m002", "/m004"] == [line.text for line in drawn.lines]


def test_groups_for_which_there_is_no_room_are_told_in_words() -> None:
    scene = Scene("", table((1, 0), (2, 0), (2, 0), (0, 2), (1, 0)))
    text = lane_text(lane_chart([scene], UNNAMED, most=1), legend=False)
    assert re.findall(r"m\d+ +tmpfs  (.*)", text) == ["●─ 1", "│ ● 2", "│ ● 2", "│ ▼ slave of 2", "●"]


def test_a_circle_of_masters_in_a_file_ends() -> None:
    """No kernel has one, but a file of mountinfo may be made by hand."""
    text = lane_text(chart((1, 2), (2, 1)))
    assert (2, 2) == (text.count(PEER) - 1, text.count("slave of"))


@pytest.mark.parametrize("room", [40, 60, 0])
def test_the_middle_of_long_paths_is_left_out_where_there_is_no_room(room: int) -> None:
    long = row(2, 1, "/var/lib/" + "containers/" * 9 + "merged", peer_group=1)
    text = lane_text(lane_chart([Scene("", MountTable((row(1, 0, "/"), long)))], UNNAMED), room=room, legend=False)
    assert "merged" in text and "var" in text and "●─ 1" in text
    assert not room or max(map(width, text.splitlines())) <= room


def test_wide_characters_do_not_shift_the_lanes() -> None:
    rows = (row(1, 0, "/"), row(2, 1, "/データ", peer_group=1), row(3, 1, "/data", peer_group=1))
    lines = lane_text(lane_chart([Scene("", MountTable(rows))], UNNAMED), legend=False).splitlines()
    assert 1 == len({width(line[: line.index(PEER)]) for line in lines if PEER in line})


def test_many_mounts_and_groups() -> None:
    """500 mounts in 100 groups, some of them slaves of one far above: far fewer lanes beside each other than groups."""
    sharing: list[tuple[int, int]] = []
    for group in range(1, 101):
        master = group - 1 if group % 7 == 0 else 0
        sharing += [(group, master)] * 3 + [(0, 0), (0, max(group - 3, 1))]
    drawn = chart(*sharing)
    text = lane_text(drawn)
    assert (500, 100) == (len(sharing), len(drawn.lanes))
    assert drawn.columns <= 8
    assert (301, 101, 14) == (text.count(PEER), text.count(SLAVE), text.count(", slave of"))
    assert BRIDGE in text
    golden("lanes-500.txt", text)

"""Whether a mount has arrived where it is, or was mounted there: what the kernel marks, and what only ages tell."""

from __future__ import annotations

import pytest

from mountplan.planner.compare.arrivals import Arrivals, Surroundings, Whence
from mountplan.planner.tables.table import MountRow, MountTable


def row(number: int, parent: int, mountpoint: str, group: int = 0, master: int = 0, root: str = "/") -> MountRow:
    return MountRow(number, parent, "0:5", root, mountpoint, "rw", group, master, 0, False, "tmpfs", "tmpfs", "rw")


HOST = row(10, 1, "/feed", group=7)
SLAVE = row(20, 2, "/s", master=7)
PEER = row(30, 2, "/p", group=7)


def whence(
    mount: MountRow,
    parent: MountRow,
    *others: MountRow,
    ages: dict[int, int] | None = None,
    own: tuple[MountRow, ...] = (),
) -> Whence:
    around = Surroundings((MountTable(others),), ages or {})
    return Arrivals([MountTable((parent, mount, *own))], lambda: around).whence(mount, parent)


@pytest.mark.parametrize(
    ("mount", "others", "comes"),
    [
        (row(21, 20, "/s/d"), (HOST,), "here"),
        (row(21, 20, "/s/d", master=9), (HOST, row(11, 10, "/feed/d", group=9)), "elsewhere"),
        # Made shared since, and a part of it in its place: it is shared only in what is shared.
        (row(21, 20, "/s/d", group=8, master=9), (HOST, row(11, 10, "/feed/d", group=9)), "here"),
        (row(21, 20, "/s/d", master=9, root="/part"), (HOST, row(11, 10, "/feed/d", group=9)), "here"),
        # A slave of something else, bound here: what it receives from stands on no mount of the master's.
        (row(21, 20, "/s/d", master=9), (HOST, row(1, 0, "/"), row(11, 1, "/other", group=9)), "here"),
        # A copy of what has arrived elsewhere, or what was moved from there.
        (row(21, 20, "/s/d", master=9), (HOST, row(11, 10, "/feed/e", group=9)), "here"),
        # Nobody sees the master of it, though the place where it would be is seen; and nobody sees that place.
        (row(21, 20, "/s/d", master=9), (HOST,), "here"),
        (row(21, 20, "/s/d", master=9), (), "elsewhere"),
        (row(21, 20, "/s/d", master=9), (HOST._replace(root="/part"),), "elsewhere"),
    ],
)  # fmt: skip
def test_below_a_slave_only_a_slave_of_what_stands_on_the_master_has_arrived(
    mount: MountRow, others: tuple[MountRow, ...], comes: Whence
) -> None:
    assert comes == whence(mount, SLAVE, *others)


def test_what_comes_past_a_master_that_has_no_such_place_has_arrived_too() -> None:
    above = row(10, 1, "/feed", group=6)
    master = row(12, 1, "/part", group=7, master=6, root="/part")
    assert "elsewhere" == whence(row(21, 20, "/s/d", master=9), SLAVE, above, master, row(11, 10, "/feed/d", group=9))


def test_of_peers_the_oldest_is_where_it_was_mounted() -> None:
    mount, other = row(31, 30, "/p/d", group=9), row(11, 10, "/feed/d", group=9)
    assert "elsewhere" == whence(mount, PEER, HOST, other, ages={31: 502, 11: 501})
    assert "here" == whence(mount, PEER, HOST, other, ages={31: 501, 11: 502})
    assert "unknown" == whence(mount, PEER, HOST, other)
    assert "unknown" == whence(mount, PEER, HOST, other, ages={31: 501})
    elsewhere = other._replace(mountpoint="/feed/e")  # and so no copy of it
    assert "here" == whence(mount, PEER, HOST, elsewhere, ages={31: 502, 11: 501})


def test_what_only_peers_within_the_same_tree_have_was_mounted_in_it() -> None:
    mount = row(31, 30, "/p/d", group=9)
    assert "here" == whence(mount, PEER, HOST)
    assert "here" == whence(mount, PEER, own=(row(40, 2, "/q", group=7), row(41, 40, "/q/d", group=9)))


def test_what_stands_elsewhere_is_looked_at_only_if_it_matters() -> None:
    def ask() -> Surroundings:
        raise AssertionError("nobody had to know")

    mount = row(21, 20, "/s/d")
    assert "here" == Arrivals([MountTable((SLAVE, mount))], ask).whence(mount, SLAVE)

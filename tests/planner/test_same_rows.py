"""Tables that are the same but for the kernel's numbers."""

from __future__ import annotations

import pytest

from mountplan.planner.compare.same_rows import SameRows
from mountplan.planner.tables.table import MountRow

TABLE = (
    MountRow(1, 0, "0:1", "/", "/", "rw,nosuid", 0, 0, 0, False, "tmpfs", "root", "rw,size=4k"),
    MountRow(2, 1, "0:2", "/in", "/a", "ro", 7, 0, 0, False, "ext4", "/dev/x", "ro"),
    MountRow(3, 1, "0:2", "/", "/b", "rw", 7, 8, 0, False, "ext4", "/dev/x", "ro"),
    MountRow(4, 2, "0:3", "/", "/a/c", "rw", 0, 9, 8, True, "proc", "proc", "rw"),
)


def numbered_otherwise(*rows: MountRow) -> list[MountRow]:
    groups = {0: 0, 7: 17, 8: 18, 9: 19}
    return [
        row._replace(
            mount_id=row.mount_id + 100,
            parent_id=row.parent_id and row.parent_id + 100,
            device=row.device.replace("0:", "9:"),
            peer_group=groups[row.peer_group],
            master=groups[row.master],
            propagate_from=groups[row.propagate_from],
        )
        for row in rows
    ]


def test_numbers_and_most_options_make_no_difference() -> None:
    found = numbered_otherwise(*TABLE)
    found[0] = found[0]._replace(options="rw,size=8k", parent_id=55)  # what is not in the table is no parent
    assert SameRows().equal(TABLE, found)
    assert SameRows().equal((), ())
    assert not SameRows().equal(TABLE, found[:3])


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (1, {"mountpoint": "/x"}), (1, {"root": "/x"}), (1, {"attributes": "rw"}), (3, {"unbindable": False}),
        (1, {"fstype": "xfs"}), (1, {"source": "/dev/y"}), (3, {"parent_id": 103}), (1, {"peer_group": 0}),
        (2, {"peer_group": 77}), (2, {"peer_group": 18}), (2, {"master": 0}), (3, {"master": 17}),
        (3, {"propagate_from": 17}), (3, {"propagate_from": 0}), (2, {"device": "9:3"}), (3, {"device": "9:2"}),
        (1, {"options": "rw"}), (0, {"master": 18}),
    ],
)  # fmt: skip
def test_all_else_does(at: int, changes: dict[str, object]) -> None:
    found = numbered_otherwise(*TABLE)
    found[at] = found[at]._replace(**changes)  # type: ignore[arg-type]
    assert not SameRows().equal(TABLE, found)


def test_groups_and_devices_are_renamed_in_the_same_way_in_all_tables() -> None:
    same = SameRows()
    assert same.equal(TABLE[:2], numbered_otherwise(*TABLE[:2]))
    assert same.equal(TABLE, numbered_otherwise(*TABLE))
    for changes in ({"peer_group": 27}, {"device": "9:8"}):
        other = [row._replace(**changes) if row.peer_group == 17 else row for row in numbered_otherwise(*TABLE)]
        assert not same.equal(TABLE, other)
        assert SameRows().equal(TABLE, other)

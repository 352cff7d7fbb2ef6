"""Whether an image that is attached already may be attached, shared, or neither: mount(8)'s rules, as a table."""

from __future__ import annotations

import pytest

from mountplan.planner.plan.attachments import Attachment, Decision, decide, mount_of, with_places
from mountplan.planner.tables.table import MountTable
from tests.fakes import host_mount

LOOP = Attachment("/dev/loop7", "7:7", writable=True, whole=True)
READ_ONLY = LOOP._replace(writable=False)
PART = LOOP._replace(whole=False)
HERE = LOOP._replace(state="rw", options="rw", where='at "/mnt"', here="/mnt")
ELSEWHERE = LOOP._replace(state="rw", options="rw", where='the kept name "a" has it at "/i"')
# What nobody writes to, although its loop device would let them: mount(8) attaches a squashfs so.
IDLE = HERE._replace(state="ro", options="ro")

NEW, SHARE, NO = "new", "share", "no"


def words(decision: Decision) -> str:
    assert bool(decision.problem) == bool(decision.remedy)
    assert not (decision.problem and decision.share)
    return NO if decision.problem else SHARE if decision.share else NEW


@pytest.mark.parametrize(
    ("attached", "writer", "reader"),
    [
        ((), NEW, NEW),
        ((LOOP,), SHARE, SHARE),
        ((ELSEWHERE,), SHARE, NO),
        ((HERE,), NO, NO),
        ((READ_ONLY,), NO, NEW),
        ((READ_ONLY, READ_ONLY._replace(device="/dev/loop8")), NO, NEW),
        ((PART,), NO, NO),
        ((PART._replace(writable=False),), NO, NEW),
        ((IDLE,), NO, NEW),
        ((READ_ONLY, LOOP), NO, SHARE),
        ((LOOP, LOOP._replace(device="/dev/loop8")), NO, NO),
    ],
)
def test_an_image_has_one_writer_and_then_no_reader_beside_it(
    attached: tuple[Attachment, ...], writer: str, reader: str
) -> None:
    assert (writer, reader) == (
        words(decide(attached, read_only=False)),
        words(decide(attached, read_only=True)),
    )


def test_who_has_it_is_told_with_what_to_do() -> None:
    refused = decide((HERE,), read_only=True)
    assert ('it is mounted already (/dev/loop7, at "/mnt")', True) == (
        refused.problem,
        'write bind = "/mnt" with attributes = ["ro"]' in refused.remedy,
    )


def test_a_device_is_found_by_its_number_and_btrfs_by_its_source() -> None:
    """btrfs has a number of its own. The source of any other filesystem is what its mounter has called it."""
    table = MountTable(
        (
            host_mount(1, 0, "/"),
            host_mount(2, 1, "/part", device="7:7", root="/dir"),
            host_mount(3, 1, "/whole", device="7:7", options="ro"),
            host_mount(4, 1, "/pool", device="0:40", fstype="btrfs")._replace(source="/dev/loop8"),
            host_mount(5, 1, "/named", device="0:41", fstype="tmpfs")._replace(source="/dev/loop9"),
        )
    )
    loops = [LOOP._replace(device=f"/dev/loop{number}", number=f"7:{number}") for number in (7, 8, 9)]
    assert ["/whole", "/pool", ""] == [one.here for one in with_places(loops, table)]
    assert ["ro", "rw", ""] == [one.state for one in with_places(loops, table)]
    assert mount_of(loops[2], table) is None

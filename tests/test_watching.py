"""The words for what has changed between two looks."""

from __future__ import annotations

from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.watching import events_between

BEFORE = b"""30 1 0:20 / / rw - tmpfs root rw
31 30 0:21 / /a rw shared:5 - tmpfs low rw
32 31 0:22 / /a rw - tmpfs top rw
"""


def test_a_mount_that_stands_on_another_now_and_shares_otherwise_is_told_in_words_of_mountinfo() -> None:
    now = BEFORE.replace(b"32 31 0:22 / /a rw -", b"32 30 0:22 / /a ro master:7 -").replace(b"31 30", b"31 32")
    (low, top) = events_between("", parse_mountinfo(BEFORE), parse_mountinfo(now))
    assert "stands on tmpfs at /a instead of tmpfs at /" == low.what
    words = "stands on tmpfs at / instead of tmpfs at /a, attributes rw -> ro, sharing private -> master:7"
    assert words == top.what


def test_what_has_come_is_told_as_the_preview_of_a_change_tells_it() -> None:
    """With the directory that a bind shows: two binds of one disk were told alike."""
    now = BEFORE + b"33 30 8:1 /srv/feed /b ro - ext4 /dev/vda rw\n34 30 0:23 / /c rw - tmpfs tmpfs rw\n"
    told = [event.what for event in events_between("", parse_mountinfo(BEFORE), parse_mountinfo(now))]
    assert ["ext4 /dev/vda[/srv/feed] ro", "tmpfs rw"] == told

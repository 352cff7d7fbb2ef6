"""Mount tables from files: right, cut, or odd; and paths with every byte that a path can have."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mountplan.planner.errors import TableError
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.mountinfo_file import looks_like_mountinfo, read_table

ROOT = "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro"
BELOW = "23 22 0:21 / /a rw,relatime - tmpfs tmpfs rw"


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def refusal(data: bytes) -> str:
    with pytest.raises(TableError) as caught:
        read_table(data, "mi")
    return str(caught.value)


def test_what_the_kernel_writes_is_read_as_the_kernels_parser_reads_it() -> None:
    data = text(ROOT, BELOW)
    assert looks_like_mountinfo(data)
    assert parse_mountinfo(data) == read_table(data, "mi")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "it is empty"),
        ("23 22 0:21 / /a rw,relatime tmpfs tmpfs rw", "it has no ' - ' between"),
        ("23 22 0:21 / /a - tmpfs tmpfs rw", "it has no attributes"),
        ("23 22 - tmpfs tmpfs rw", "it has no device"),
        ("x 22 0:21 / /a rw - tmpfs tmpfs rw", "'x' is no mount id"),
        ("1_0 22 0:21 / /a rw - tmpfs tmpfs rw", "'1_0' is no mount id"),
        ("23 -1 0:21 / /a rw - tmpfs tmpfs rw", "'-1' is no parent id"),
        ("23 22 021 / /a rw - tmpfs tmpfs rw", "'021' is no device"),
        ("23 22 0:21  /a rw - tmpfs tmpfs rw", "'' is no root"),
        ("23 22 0:21 / /a relatime - tmpfs tmpfs rw", "'relatime' is no attributes"),
        ("23 22 0:21 / /a rw shared: - tmpfs tmpfs rw", "'shared:' is no optional field"),
        ("23 22 0:21 / /a rw master:x - tmpfs tmpfs rw", "'master:x' is no optional field"),
        ("23 22 0:21 / /a rw - tmpfs tmpfs", "it has no superblock options"),
        ("23 22 0:21 / /a rw - tmpfs", "it has no source"),
        ("23 22 0:21 / /a rw - tmpfs tmpfs size=4k", "'size=4k' are no superblock options"),
        ("23 22 0:21 / /a rw - tmpfs tmpfs rw more", "it goes on after the superblock options: 'more'"),
        ("23 22 0:21 / /a rw - tmpfs tmpfs rw\r", "it ends in a carriage return"),
        ("23 22 0:21 / /a\0 rw - tmpfs tmpfs rw", "it has a NUL character"),
    ],
)
def test_an_odd_line_is_told_with_its_number_and_what_is_odd(line: str, what: str) -> None:
    assert refusal(text(ROOT, line)).startswith(f"mi: line 2: {what}")


def test_a_cut_text_is_told_wherever_it_is_cut() -> None:
    """Not one place to cut gives half a table in silence, but between two lines: there nobody can tell."""
    whole = text(ROOT, BELOW)
    between = whole.index(b"\n") + 1
    for end in range(len(whole)):
        if end != between:
            assert refusal(whole[:end]).startswith("mi: ")


def test_the_same_id_twice_is_told_with_both_lines() -> None:
    assert "mi: line 3: mount 23 is on line 2 already" == refusal(text(ROOT, BELOW, BELOW))


def test_mounts_that_stand_on_each_other_are_told() -> None:
    circle = (BELOW.replace("23 22", "23 24"), BELOW.replace("23 22", "24 23"))
    assert refusal(text(ROOT, *circle)).startswith("mi: line 2: mounts stand on each other in a circle: 23, 24")


def test_a_long_chain_is_no_circle_and_read_in_linear_time() -> None:
    lines = [f"{at} {at - 1} 0:21 / /a rw - tmpfs tmpfs rw" for at in range(20_000, 1, -1)]
    assert 20_000 == len(read_table(text(*lines, "1 1 0:21 / / rw - tmpfs tmpfs rw"), "mi").rows) + 0


def test_several_roots_and_missing_parents_are_what_a_process_in_a_plain_directory_sees() -> None:
    table = read_table(text("30 22 0:21 / /proc rw - proc proc rw", "31 22 0:22 / /tmp rw - tmpfs tmpfs rw"), "mi")
    assert ["/proc", "/tmp"] == [row.mountpoint for row in table.rows]


def test_optional_fields_of_the_future_are_passed_over() -> None:
    (row,) = read_table(text(ROOT.replace("shared:1", "shared:1 guarded:7 strange")), "mi").rows
    assert (1, 0, False) == (row.peer_group, row.master, row.unbindable)


def test_an_empty_file_is_told() -> None:
    assert refusal(b"").startswith("mi: is empty")


def mangled(path: bytes) -> bytes:
    """As the kernel writes a path (fs/proc_namespace.c, mangle): these four and no other bytes are escaped."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in path)


PATHS = st.lists(st.integers(1, 255), max_size=40).map(lambda some: b"/" + bytes(some))


@settings(max_examples=100)
@given(PATHS, PATHS)
@example(rb"/\040", b"/ \t\n\\")
@example(b"/\\134040", b"/\xff\xfe\xe2\x82")
@example(b"/ - ", b"/a\x0b\x0c\r\x1c\x1d\x85")
@example("/\u2028\u00a0".encode(), "/\u0665".encode())
def test_every_byte_of_a_path_comes_back_from_mountinfo(root: bytes, mountpoint: bytes) -> None:
    """What looks like an end of line to str.splitlines, like a space to str.split, or like an escape, is none."""
    line = b"22 1 0:20 %b %b rw - tmpfs %b rw\n" % (mangled(root), mangled(mountpoint), mangled(root))
    for read in (parse_mountinfo, lambda data: read_table(data, "mi")):
        (row,) = read(line + line.replace(b"22 1", b"23 22")).rows[:1]
        assert (root, mountpoint, root) == tuple(
            one.encode("utf-8", "surrogateescape") for one in (row.root, row.mountpoint, row.source)
        )


@settings(max_examples=100)
@given(st.binary(max_size=200).map(lambda some: b"22 1 0:20 / / rw - a b rw\n" + some))
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_line(data: bytes) -> None:
    try:
        read_table(data, "mi")
    except TableError as error:
        assert str(error).startswith("mi: line ")

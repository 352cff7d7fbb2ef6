"""[[change]] and [[remove]]: what is inherited becomes what the spec says, and the host stays what it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.planner.errors import NotAllowed, SpecError
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.tables.table import MountRow
from tests.hosts import InHost, mount
from tests.kernel.test_road_readonly import written
from tests.mountflags import MS_BIND, MS_RDONLY, MS_SHARED
from tests.trees import plan_of, tree

Result = TypeVar("Result")

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def on_host(script: Callable[[], Result]) -> Callable[[], Result]:
    """`script`, on a host that has a few mounts below /mnt: a shared one, a read-only one, a stack, and a file."""

    def prepared() -> Result:
        mount("m", "/mnt", "tmpfs")
        for name in ("shared", "also", "ro", "stack", "dir/deep", "dir/kept"):
            os.makedirs(f"/mnt/{name}")
        Path("/mnt/file").touch()
        mount("shared", "/mnt/shared", "tmpfs")
        mount("", "/mnt/shared", flags=MS_SHARED)
        os.mkdir("/mnt/shared/in")
        mount("in", "/mnt/shared/in", "tmpfs")
        mount("also", "/mnt/also", "tmpfs")
        mount("", "/mnt/also", flags=MS_SHARED)
        mount("ro", "/mnt/ro", "tmpfs", flags=MS_RDONLY)
        mount("lower", "/mnt/stack", "tmpfs")
        mount("upper", "/mnt/stack", "tmpfs")
        mount("deep", "/mnt/dir/deep", "tmpfs")
        mount("/mnt/file", "/mnt/file", flags=MS_BIND)
        before = Path("/proc/self/mountinfo").read_bytes()
        found = script()
        assert before == Path("/proc/self/mountinfo").read_bytes()
        return found

    return prepared


def rows(text: str) -> dict[str, list[MountRow]]:
    """What stands below /mnt, by mountpoint, the lowest of a stack first."""
    found: dict[str, list[MountRow]] = {}
    with tree('root = "inherit"\n' + text) as built:
        table = built.table.rows
    ours = {row.mount_id for row in table if row.source == "m" or row.parent_id == 0}
    for _ in range(4):
        ours |= {row.mount_id for row in table if row.parent_id in ours and row.mountpoint.startswith("/mnt/")}
    root = min(table, key=lambda row: len(row.mountpoint))
    for row in table:
        if row.mount_id in ours or row is root:
            found.setdefault(row.mountpoint, []).append(row)
    return found


def attributes(text: str) -> dict[str, str]:
    """The words by which the topmost mounts below /mnt differ from a plain one."""
    plain = {"rw", "relatime"}
    return {
        place: ",".join(word for word in stack[-1].attributes.split(",") if word not in plain)
        for place, stack in rows(text).items()
        if place != "/"
    }


def test_all_below_becomes_read_only_but_for_exceptions(in_host: InHost) -> None:
    text = """
    [[change]]
    target = "/mnt"
    recursive = true
    except = ["/mnt/shared", "/mnt/dir/kept", { path = "/mnt/no-such", optional = true }]
    attributes = ["ro"]
    [[mount]]
    target = "/mnt/dir/kept"
    type = "tmpfs"
    """
    expected = {
        "/mnt": "ro",
        "/mnt/also": "ro",
        "/mnt/dir/deep": "ro",
        "/mnt/dir/kept": "",
        "/mnt/file": "ro",
        "/mnt/ro": "ro",
        "/mnt/shared": "",
        "/mnt/shared/in": "",
        "/mnt/stack": "ro",
    }
    assert expected == in_host(on_host(lambda: attributes(text)), identity="root")


def test_what_is_inside_can_be_written_where_it_is_spared_and_nowhere_else(in_host: InHost) -> None:
    text = (
        'root = "inherit"\n[[change]]\ntarget = "/mnt"\nrecursive = true\nexcept = ["/mnt/dir"]\nattributes = ["ro"]\n'
    )

    def script() -> list[int]:
        with tree(text) as built:
            return built.inside(lambda: written("/mnt/new", "/mnt/dir/new", "/mnt/dir/deep/new", "/mnt/shared/in/new"))

    assert [errno.EROFS, 0, 0, errno.EROFS] == in_host(on_host(script), identity="root")


def test_what_is_no_mountpoint_is_bound_over_itself_and_changes_go_in_order(in_host: InHost) -> None:
    text = """
    [[change]]
    target = "/mnt/dir"
    attributes = ["ro", "nosuid"]
    [[change]]
    target = "/mnt"
    recursive = true
    attributes = ["nodev"]
    [[change]]
    target = "/mnt/dir/deep"
    attributes = ["noexec", "dev"]
    """
    found = in_host(on_host(lambda: rows(text)), identity="root")
    assert ["ro,nosuid,nodev,relatime"] == [row.attributes for row in found["/mnt/dir"]]
    assert "/dir" == found["/mnt/dir"][0].root
    assert ["rw,noexec,relatime"] == [found["/mnt/dir/deep"][-1].attributes]
    assert ["rw,nodev,relatime"] * 2 == [row.attributes for row in found["/mnt/stack"]]  # what is covered as well


def test_what_is_removed_is_gone_and_what_it_covered_is_seen(in_host: InHost) -> None:
    text = """
    [[remove]]
    target = "/mnt/shared"
    recursive = true
    [[remove]]
    target = "/mnt/stack"
    [[remove]]
    target = "/mnt/file"
    [[remove]]
    target = "/mnt/dir"
    optional = true
    """
    found = in_host(on_host(lambda: {place: [row.source for row in one] for place, one in rows(text).items()}),
                    identity="root")  # fmt: skip
    assert {"/", "/mnt", "/mnt/also", "/mnt/ro", "/mnt/stack", "/mnt/dir/deep"} == found.keys()
    assert ["lower"] == found["/mnt/stack"]


def test_a_slave_root_is_shared_again_and_some_of_it_cut_off(in_host: InHost) -> None:
    text = """
    propagation = "slave-shared"
    [[change]]
    target = "/mnt/shared"
    recursive = true
    sharing = "private"
    [[mount]]
    target = "/mnt/dir"
    bind = "/mnt/shared"
    recursive = true
    """

    def script() -> dict[str, list[tuple[bool, bool]]]:
        found = rows(text)
        groups = [row.peer_group for one in found.values() for row in one if row.peer_group]
        assert len(groups) == len(set(groups))  # each is alone
        return {place: [(bool(row.peer_group), bool(row.master)) for row in one] for place, one in found.items()}

    found = in_host(on_host(script), identity="root")
    assert [(True, False)] == found["/"] == found["/mnt"] == found["/mnt/dir/deep"]
    assert [(True, True)] == found["/mnt/also"]
    assert [(True, False), (True, False)] == found["/mnt/stack"], "what is covered as well"
    assert [(False, False)] == found["/mnt/shared"] == found["/mnt/shared/in"]
    assert [(False, False)] == found["/mnt/dir"] == found["/mnt/dir/in"]


def test_a_saved_plan_does_the_same(in_host: InHost) -> None:
    text = 'root = "inherit"\n[[remove]]\ntarget = "/mnt/stack"\n[[change]]\ntarget = "/mnt"\nattributes = ["ro"]\n'

    def built(plan: Plan) -> list[tuple[str, str, str]]:
        tables = api.build_and_forget(plan).tables
        return sorted((row.mountpoint, row.source, row.attributes) for _, table in tables for row in table.rows)

    def script() -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
        plan = plan_of(text)
        saved = load_plan(dump_plan(plan).encode(), "plan.json")
        assert plan == saved
        return built(saved), built(plan)

    by_file, by_value = in_host(on_host(script), identity="root")
    assert by_value == by_file
    assert any(place == "/mnt" and "ro" in attributes.split(",") for place, _, attributes in by_file)


def test_what_meets_nothing_is_a_mistake(in_host: InHost) -> None:
    text = """
    [[remove]]
    target = "/mnt/dir"
    [[remove]]
    target = "/mnt/shared"
    [[change]]
    target = "/mnt/no-such"
    attributes = ["ro"]
    """

    def script() -> list[tuple[str, str]]:
        try:
            plan_of('root = "inherit"\n' + text)
        except SpecError as error:
            return [(one.ref.key, one.what) for one in error.mistakes]
        return []

    assert [
        ("remove[0].target", 'nothing is mounted on "/mnt/dir"'),
        ("remove[1].target", '"/mnt/shared/in" stands on "/mnt/shared"'),
        ("change[0].target", 'host path "/mnt/no-such": no such file or directory'),
    ] == in_host(on_host(script), identity="root")


@pytest.mark.needs_kernel("userns")
def test_what_is_locked_is_told_beside_exceptions_as_well(in_host: InHost) -> None:
    """Each mount that the change reaches is tried: /mnt/ro, and not the mounts that are spared or writable."""
    text = 'root = "inherit"\n[[change]]\ntarget = "/mnt"\nrecursive = true\nexcept = [%s]\nattributes = ["rw"]\n'

    def script() -> list[str]:
        found = []
        for spared in ('"/mnt/dir"', '"/mnt/dir", "/mnt/ro"'):
            try:
                api.try_out(plan_of(text % spared), rootless="always")
                found.append("")
            except NotAllowed as error:
                found.append(error.mistakes[0].what)
        return found

    locked, fine = in_host(on_host(script), identity="root")
    assert "rw cannot be set" in locked
    assert "/mnt/ro" in locked
    assert "" == fine


@pytest.mark.needs_kernel("userns")
def test_an_ordinary_user_changes_what_is_inherited_and_is_told_that_it_cannot_be_removed(in_host: InHost) -> None:
    change = 'root = "inherit"\n[[change]]\ntarget = "/"\nrecursive = true\nexcept = ["/tmp"]\nattributes = ["ro"]\n'
    remove = 'root = "inherit"\n[[remove]]\ntarget = "/proc"\nrecursive = true\n'

    def script() -> tuple[list[int], str]:
        with tree(change) as built:
            found = built.inside(lambda: written("/new", "/tmp"))
        try:
            api.try_out(plan_of(remove))
        except NotAllowed as error:
            return found, error.mistakes[0].what
        return found, ""

    found, what = in_host(script, identity="nobody")
    assert [errno.EROFS, errno.EISDIR] == found
    assert "what is mounted on /proc is locked" in what


@pytest.mark.parametrize("undone", [False, True])
def test_what_others_cover_is_changed_if_the_exception_is_a_change_of_its_own(undone: bool, in_host: InHost) -> None:
    """Beside an exception it is left as it is, with a warning that says this."""
    change = '[[change]]\ntarget = "/mnt"\nrecursive = true\nattributes = ["ro"]\n'
    if undone:
        change += '[[change]]\ntarget = "/mnt/also"\nattributes = ["rw"]\n'
    else:
        change += 'except = ["/mnt/also"]\n'

    def script() -> tuple[list[str], list[str], int]:
        built = rows(change)
        words = [row.attributes.partition(",")[0] for place in ("/mnt/also", "/mnt/stack") for row in built[place]]
        return words[:1], words[1:], len(api.warnings(plan_of('root = "inherit"\n' + change)))

    spared, stack, warned = in_host(on_host(script), identity="root")
    assert (["rw"], ["ro" if undone else "rw", "ro"], 0 if undone else 1) == (spared, stack, warned)

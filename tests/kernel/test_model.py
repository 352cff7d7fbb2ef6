"""The model of propagation says what the kernel does: on random sequences of calls, and where they once differed."""

from __future__ import annotations

import os

import pytest

from tests.kernel.model_driver import Call, replay
from tests.kernel.model_fuzz import in_children, search
from tests.kernel.model_machine import Machine
from tests.kernel.model_processes import Sequence, differences
from tests.propagation import require_rules

SEQUENCES = int(os.environ.get("MOUNTPLAN_SEQUENCES", "700"))
JOBS = 4  # the kernel makes each of them wait often: two cores have room for more than two

pytestmark = pytest.mark.needs_kernel("root")


@pytest.fixture(autouse=True)
def a_kernel_whose_rules_the_model_has() -> None:
    require_rules()


def test_random_sequences_of_calls_do_the_same_in_the_model_and_on_the_kernel() -> None:
    """After every call the errno is the same, and the mount tables of all namespaces are equal up to renaming."""
    outcomes = in_children([lambda job=job: search(range(1 + job, 1 + SEQUENCES, JOBS)) for job in range(JOBS)])  # type: ignore[misc]
    assert [] == [str(found) for outcome in outcomes for found in outcome.found]
    assert SEQUENCES == sum(outcome.sequences for outcome in outcomes)


def test_real_processes_may_do_the_same_in_the_model_and_on_the_kernel() -> None:
    """Several processes, each with its root and directory, some of them root of a user namespace only."""

    def compare(job: int) -> list[str]:
        seeds = range(1 + job, 1 + SEQUENCES // 10, JOBS)
        return [f"seed {seed}: {told}" for seed in seeds if (told := differences(Sequence(seed)))]

    assert [[]] * JOBS == in_children([lambda job=job: compare(job) for job in range(JOBS)])  # type: ignore[misc]


def agree(*calls: Call) -> None:
    """Model and kernel agree after each of the calls."""

    def compare() -> str:
        machine = Machine()
        difference = replay(machine, calls)
        machine.close()
        return str(difference or "")

    assert [""] == in_children([compare])


SET_GROUP, BENEATH = 0x100, 0x200


def test_unmounting_the_root_takes_what_covers_it() -> None:
    """umount(2) goes on from the process's root to the mount on top of it; every other call stays below."""
    agree((0, "bind", "/a/x", "/", True), (0, "umount", "/", True))


def test_a_source_that_is_no_mount_is_refused_before_the_target_is_looked_at() -> None:
    """EINVAL, although the target has been unmounted, which by itself would be ENOENT."""
    agree((0, "umount", "/", True), (0, "move", "/b", "/a/x"))


def test_a_new_namespace_forgets_that_a_mount_was_unbindable() -> None:
    """Since 6.17 clone_mnt does not copy the mark. Every other copy of an unbindable mount is refused anyway."""
    agree((0, "bind", "/a/y", "/b", True), (0, "change", "/b", "unbindable", False), (0, "clone", 7))


def test_an_unbindable_mount_may_join_a_group_and_is_not_unbindable_then() -> None:
    agree(
        (0, "bind", "/b", "/a", False),
        (0, "change", "/", "shared", False),
        (0, "change", "/a", "unbindable", False),
        (0, "move_mount", "/", "/a", SET_GROUP),
    )


def test_an_unbindable_mount_that_joins_as_a_slave_stays_unbindable() -> None:
    agree(
        (0, "change", "/", "shared", False),
        (0, "clone", 1),
        (1, "change", "/", "slave", False),
        (1, "bind", "/b", "/a", False),
        (1, "change", "/a", "unbindable", False),
        (1, "move_mount", "/", "/a", SET_GROUP),
    )


def test_a_process_whose_root_is_covered_cannot_make_a_user_namespace() -> None:
    """EPERM: the kernel takes it for a process in a chroot."""
    agree((0, "bind", "/a", "/", False), (0, "clone_user", 2))
    agree((0, "umount", "/", True), (0, "clone_user", 8))


def test_a_mount_that_arrives_beneath_a_locked_one_does_not_take_over_the_lock() -> None:
    agree(
        (0, "new", "/a", "t2", 4),
        (0, "change", "/", "shared", True),
        (0, "clone_user", 7),
        (0, "fsmount", 15, 16),
        (0, "move_mount", 15, "/a", BENEATH),
        (7, "umount", "/a", False),
    )
    agree(
        (0, "open", 2, "/b", True, True),
        (0, "new", "/a/x", "t3", 0),
        (0, "change", "/a/x", "shared", False),
        (0, "bind", "/a/y", "/a/x/a/y", False),
        (0, "clone_user", 7),
        (0, "move_mount", 2, "/a/x/a/y", BENEATH),
        (0, "clone", 10),
        (10, "umount", "/a/x", True),
    )


def test_what_hangs_on_a_directory_goes_when_that_is_removed_in_another_namespace() -> None:
    """With all that is in it, and without propagating; in its own namespace the directory is busy."""
    agree(
        (0, "new", "/b/x", "t1", 0),
        (0, "new", "/b/x/a", "t2", 0),
        (0, "remove", "/b/x", True),
        (0, "clone", 1),
        (1, "umount", "/b/x", True),
        (1, "remove", "/b/x", True),
        (0, "mkdir", "/b/x"),
    )


def test_a_mount_of_a_removed_directory_can_be_attached_nowhere() -> None:
    """ENOENT: the kernel prepares for mounts that would come to lie on top of it."""
    agree((0, "open", 2, "/b/x", True, False), (0, "remove", "/b/x", True), (0, "move_mount", 2, "/a/x", 0))
    agree(
        (0, "clone", 2), (2, "bind", "/b/x", "/b", False), (0, "remove", "/b/x", True), (2, "bind", "/b", "/a/x", False)
    )


def test_a_mount_whose_directory_is_renamed_out_of_what_its_parent_shows_is_not_seen_any_more() -> None:
    agree(
        (0, "clone", 2),
        (2, "bind", "/b", "/a/x/z", False),
        (2, "bind", "/a/x/z", "/a/x/z/x", False),
        (0, "rename", "/b/x", "/a/y"),
    )


def test_of_a_tree_it_is_the_mount_on_top_whose_directory_must_be_there() -> None:
    agree(
        (0, "clone", 2),
        (2, "bind", "/a/y", "/", False),
        (2, "open", 6, "/", True, True),
        (0, "remove", "/a/y", True),
        (2, "move_mount", 6, "/b", 0),
    )


def test_beneath_a_mount_of_a_removed_directory_others_can_be_mounted() -> None:
    """What counts is the directory that it hangs on."""
    agree(
        (0, "clone", 2),
        (2, "bind", "/b/x", "/a/x", False),
        (0, "remove", "/b/x", True),
        (2, "open", 5, "/b", True, False),
        (2, "move_mount", 5, "/a/x", BENEATH),
    )


def test_in_a_removed_directory_nothing_can_be_made() -> None:
    agree((0, "bind", "/b/x", "/a", False), (0, "remove", "/b/x", True), (0, "mkdir", "/a/y"))


def test_a_removed_directory_is_shown_where_its_parent_is_by_now() -> None:
    agree((0, "clone", 2), (0, "bind", "/b/x", "/a/x", False), (2, "remove", "/b/x", True), (2, "rename", "/b", "/n"))

"""Kept names, root's, when several processes want one at the same time, and when one is killed at whatever moment."""

from __future__ import annotations

import os
from functools import partial

import pytest

from mountplan import keeping
from mountplan.applier.keep import kept as names
from mountplan.applier.keep import kept_changes
from mountplan.planner.errors import KeepRefused, NameTaken
from tests.hosts import InHost, umount
from tests.keptnames import MOMENTS, OTHER, SPEC, STORE, leave, new_name, on_run, survives, table
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("root", "set-group")


# ---- two at the same time -------------------------------------------------------------------------------------------


def test_of_two_applies_of_one_name_at_the_same_time_one_wins_and_the_other_says_so(in_host: InHost) -> None:
    """Both have built, and neither has found the name taken before."""

    def contend(start: int, said: int) -> None:
        plan = plan_of(SPEC)
        with keeping.build_keepable(plan, None)[0] as built:
            os.read(start, 1)
            try:
                kept_changes.keep(new_name(SPEC), built)
                os.write(said, b"won ")
            except NameTaken as error:
                assert "another mountplan has kept something under that name meanwhile" in str(error)
                os.write(said, b"lost ")

    def script() -> list[list[bytes]]:
        outcomes = []
        for _ in range(5):
            start, begin = os.pipe()
            hear, said = os.pipe()
            children = [os.fork() or leave(partial(contend, start, said)) for _ in range(2)]
            os.write(begin, b"xx")
            for child in children:
                os.waitpid(child, 0)
            outcomes.append(sorted(os.read(hear, 100).split()))
            assert "healthy" == keeping.look_up("shop").health
            keeping.remove(("shop",))
            for fd in (start, begin, hear, said):
                os.close(fd)
        return outcomes

    assert [[b"lost", b"won"]] * 5 == in_host(on_run(script), identity="root")


def test_many_names_come_and_go_at_the_same_time(in_host: InHost) -> None:
    """The first name makes the store and the last one takes it along, again and again."""

    def come_and_go(name: str) -> None:
        for _ in range(5):
            keeping.keep(plan_of(SPEC), name)
            assert "healthy" == keeping.look_up(name).health
            assert () == keeping.remove((name,))

    def script() -> list[int]:
        children = [os.fork() or leave(partial(come_and_go, name)) for name in ("a", "b", "c", "d")]
        return [os.waitpid(child, 0)[1] for child in children]

    assert [0] * 4 == in_host(on_run(script), identity="root", timeout=120)


# ---- crashes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["private-run", "shared-run"])
def test_whatever_moment_a_process_is_killed_at_the_next_command_finds_a_name_whole_or_not_at_all(
    shared: bool, in_host: InHost
) -> None:
    def script() -> int:
        plan = plan_of(SPEC)
        new = new_name(SPEC)
        with keeping.build_keepable(plan, None)[0] as built:
            for number in MOMENTS:
                done = survives(lambda: kept_changes.keep(new, built), number)
                notes = kept_changes.tidy()
                assert () == notes
                assert names.names() in ((), ("shop",))
                if names.names():
                    assert "healthy" == keeping.look_up("shop").health
                    assert () == keeping.remove(("shop",))
                assert not STORE.is_mount()
                if done:
                    return number
        raise AssertionError("it never ended")

    assert in_host(on_run(script, shared=shared), identity="root", timeout=240) > 50


def test_whatever_moment_a_replacement_is_killed_at_the_old_stands_or_the_new(in_host: InHost) -> None:
    def script() -> set[str]:
        winners = set()
        plans = [plan_of(SPEC), plan_of(OTHER)]
        with keeping.build_keepable(plans[0], None)[0] as old, keeping.build_keepable(plans[1], None)[0] as new:
            for number in MOMENTS:
                before = kept_changes.keep(new_name(SPEC), old)
                replacement = new_name(OTHER, before.id)
                done = survives(partial(kept_changes.keep, replacement, new), number)
                kept_changes.tidy()
                found = keeping.look_up("shop")
                assert "healthy" == found.health
                winners.add("old" if found.kept.id == before.id else "new")
                lines = [line for line in table().splitlines() if " /run/mountplan/" in line]
                assert 1 == len(lines)
                keeping.remove(("shop",))
                if done:
                    return winners
        raise AssertionError("it never ended")

    assert {"old", "new"} == in_host(on_run(script), identity="root", timeout=240)


@pytest.mark.parametrize("shared", [False, True], ids=["private-run", "shared-run"])
def test_whatever_moment_a_removal_is_killed_at_the_next_command_completes_it_or_it_has_not_begun(
    shared: bool, in_host: InHost
) -> None:
    def script() -> int:
        new = new_name(SPEC)
        with keeping.build_keepable(plan_of(SPEC), None)[0] as built:
            for number in MOMENTS:
                kept_changes.keep(new, built)
                done = survives(lambda: kept_changes.remove("shop"), number)
                kept_changes.tidy()
                if names.names():
                    assert "healthy" == keeping.look_up("shop").health
                    keeping.remove(("shop",))
                assert not STORE.is_mount()
                if done:
                    return number
        raise AssertionError("it never ended")

    assert in_host(on_run(script, shared=shared), identity="root", timeout=240) > 20


def test_a_directory_without_a_state_and_one_whose_files_are_not_mounted_are_cleaned(in_host: InHost) -> None:
    def script() -> tuple[tuple[str, ...], tuple[str, ...]]:
        keeping.keep(plan_of(SPEC))
        keeping.keep(plan_of(OTHER), "other")
        keeping.keep(plan_of(OTHER), "third")
        (STORE / "half").mkdir()
        (STORE / "third" / ".state.json").write_text('{"format": "mountpl')
        umount(str(STORE / "other" / "mnt"))
        return kept_changes.tidy(), names.names()

    notes, left = in_host(on_run(script), identity="root")
    assert ("shop",) == left
    assert ["half", "other", "third"] == [note.split(" ")[0] for note in notes]
    assert "its file is no longer mounted" in notes[1]


def test_what_another_version_of_mountplan_has_kept_is_left_alone(in_host: InHost) -> None:
    def script() -> tuple[str, ...]:
        keeping.keep(plan_of(SPEC))
        state = STORE / "shop" / ".state.json"
        text = state.read_text()
        state.write_text(text.replace("mountplan-kept/1", "mountplan-kept/2"))
        assert () == kept_changes.tidy()
        with pytest.raises(KeepRefused, match="it was written by version"):
            keeping.keep(plan_of(SPEC))
        left = names.names()
        state.write_text(text)
        return left

    assert ("shop",) == in_host(on_run(script), identity="root")

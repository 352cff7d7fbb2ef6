"""The family of errors: what each says, with which exit status, and by what name programs know it."""

from __future__ import annotations

import pytest

from mountplan.planner import errors
from mountplan.planner.errors import Mistake, MountplanError, SpecRef

PLACE = SpecRef("s.toml", "mount[1].bind", 7)
WITH_REMEDY = (
    errors.CommandNotStarted, errors.NotKept, errors.NameTaken, errors.ChangeUnfinished, errors.KeepRefused,
)  # fmt: skip


@pytest.mark.parametrize("kind", WITH_REMEDY)
def test_a_remedy_is_a_line_of_its_own_and_left_out_if_there_is_none(kind: type[MountplanError]) -> None:
    assert "it is so\n  remedy: do this" == str(kind("it is so", "do this"))
    assert "it is so" == str(kind("it is so"))
    made = kind("it is so", "do this")
    assert ("it is so", "do this") == (made.what, made.remedy)  # type: ignore[attr-defined]


def test_each_says_what_it_was_made_of() -> None:
    mistakes = (Mistake(PLACE, "it is wrong", "write it right"), Mistake(PLACE, "and this", ""))
    told = "\n".join(map(str, mistakes))
    assert told == str(errors.SpecError(mistakes)) == str(errors.NotAllowed(mistakes)) == str(errors.InUse(mistakes))
    assert "a\nb" == str(errors.PlanRefused(("a", "b"))) == str(errors.VerificationFailed(("a", "b")))  # type: ignore[arg-type]
    assert "cannot be changed: a\ncannot be changed: b" == str(errors.ChangeRefused(("a", "b")))
    assert "no such\n  remedy: name it" == str(errors.SubjectError("no such", "name it"))
    assert "a pipe: too many open files" == str(errors.NamespaceRefused("a pipe", "too many open files"))
    assert "a: b\n  remedy: c" == str(errors.NamespaceRefused("a", "b", "c"))


def test_a_refused_step_tells_its_place_its_call_what_the_filesystem_said_and_what_to_do() -> None:
    words = {"number": 3, "step": "mount x", "origin": PLACE, "errno": 22, "meaning": "it is so"}
    bare = errors.StepRefused(syscall="", remedy="", **words)  # type: ignore[arg-type]
    assert f"{PLACE}: step 3, mount x: it is so" == str(bare)
    full = errors.StepRefused(syscall="fsconfig(2)", remedy="do", log=("a", "b"), **words)  # type: ignore[arg-type]
    assert [
        f"{PLACE}: step 3, mount x: fsconfig(2): it is so",
        "  the filesystem says: a",
        "  the filesystem says: b",
        "  remedy: do",
    ] == str(full).splitlines()


def test_exit_statuses_and_codes_are_what_scripts_rely_on() -> None:
    family = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, MountplanError)}
    own: dict[type[MountplanError], int] = {kind: kind("x").exit_status for kind in WITH_REMEDY}
    own[errors.TableError] = errors.TableError("x").exit_status
    assert {
        "change-refused": 1, "change-unfinished": 1, "command-not-started": 3, "error": 3, "in-use": 3,
        "keep-refused": 3, "name-taken": 1, "namespace-refused": 3, "not-allowed": 3, "not-kept": 2, "plan-file": 2,
        "plan-refused": 1, "spec": 2, "step-refused": 3, "subject": 2, "table": 2, "verification-failed": 3,
    } == {one.code: own.get(one, one.exit_status) for one in family}  # fmt: skip
    failed = errors.CommandNotStarted("x", "", 126, 2)
    assert (126, 2) == (failed.exit_status, failed.number)

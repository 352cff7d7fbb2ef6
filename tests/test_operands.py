"""What an argument of diff and verify names: by its prefix, or because it can be nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import operands as sides
from mountplan.operands import Operand, read_side, recognise
from mountplan.planner.errors import SubjectError, TableError
from tests.hosts import InHost
from tests.keptnames import SPEC, on_run
from tests.trees import plan_of


def files(tmp_path: Path) -> dict[str, str]:
    contents = {
        "a.toml": "format = 1",
        "a.json": "{",
        "table": "22 1 0:20 / / rw - tmpfs tmpfs rw\n",
        "saved": ' {"format": ',
        "spec": "format = 1\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in contents}


def test_a_file_is_what_its_name_or_its_contents_say(tmp_path: Path) -> None:
    named = {name: recognise(path).kind for name, path in files(tmp_path).items()}
    assert {"a.toml": "spec", "a.json": "plan", "table": "mountinfo", "saved": "plan", "spec": "spec"} == named


def test_a_number_is_a_process_and_a_namespace_file_is_one() -> None:
    assert Operand("pid", "12") == recognise("12")
    assert Operand("ns", "/proc/self/ns/mnt") == recognise("/proc/self/ns/mnt")
    assert Operand("pid", str(os.getpid())) == recognise("pid:self")


def test_what_is_not_there_is_told_with_the_prefixes_that_there_are() -> None:
    with pytest.raises(SubjectError, match=r"'self' is no kept name.*\n.*did you mean pid:self\?"):
        recognise("self")
    told = r"'nowhere' is no kept name, no process and no file\n.*`mountplan ls`.*pid:N, ns:FILE"
    with pytest.raises(SubjectError, match=told):
        recognise("nowhere")
    assert Operand("spec", "no/such.toml") == recognise("no/such.toml")


def test_a_file_that_was_probably_meant_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SubjectError, match=r"did you mean a\.(json|toml)\? or say which: spec:FILE"):
        recognise("a")


def test_a_prefix_decides_and_must_have_something_behind_it(tmp_path: Path) -> None:
    path = files(tmp_path)["a.toml"]
    assert Operand("mountinfo", path) == recognise(f"mountinfo:{path}")
    for argument in ("pid:", "pid:x", "pid:٣", "ns:"):
        with pytest.raises(SubjectError):
            recognise(argument)


def test_what_may_be_two_things_is_an_error_that_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "12").write_text("format = 1")
    with pytest.raises(SubjectError, match=r"'12' may be several things\n.*pid:12 or spec:12"):
        recognise("12")


@pytest.mark.needs_kernel("root", "set-group")
def test_a_kept_name_that_is_also_a_file_is_ambiguous(in_host: InHost) -> None:
    from mountplan import keeping

    def script() -> tuple[Operand, str, int]:
        keeping.keep(plan_of(SPEC))
        alone = recognise("shop")
        os.chdir("/run")
        Path("shop").write_text("format = 1")
        with pytest.raises(SubjectError) as caught:
            recognise("shop")
        mounts = read_side("name:shop").mounts
        os.unlink("shop")
        return alone, str(caught.value), mounts

    assert (
        Operand("name", "shop"),
        "'shop' may be several things\n  remedy: say which: name:shop or spec:shop",
        2,
    ) == in_host(on_run(script), identity="root")


def test_commas_part_what_goes_together_but_not_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a,b"
    path.write_bytes(Path("/proc/self/mountinfo").read_bytes())
    side = read_side(f"{path},mountinfo:{path}")
    assert ["1", "2"] == [view.namespace for view in side.views]
    assert not side.of_machine
    asked: list[str] = []

    def note(one: str) -> Operand:
        asked.append(one)
        return Operand("mountinfo", str(path))

    monkeypatch.setattr(sides, "recognise", note)
    read_side("12,pid:34,ns:/a,b,56")
    assert ["12", "pid:34", "ns:/a,b", "56"] == asked


def test_a_spec_has_its_namespaces_within_itself() -> None:
    with pytest.raises(SubjectError, match="only processes, namespace files and mountinfo files"):
        read_side("spec:a.toml,pid:1")


def test_who_is_not_there_and_what_is_no_namespace_are_told() -> None:
    with pytest.raises(TableError, match="process 4194304: there is no such process"):
        read_side("pid:4194304")
    with pytest.raises(TableError, match="another kind of namespace"):
        read_side("ns:/proc/self/ns/net")
    with pytest.raises(TableError, match="is no namespace file"):
        read_side("ns:/proc/self/status")
    with pytest.raises(SubjectError, match="is a directory"):
        read_side("/proc")

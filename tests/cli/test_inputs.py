"""What comes through a pipe works wherever a file does: a stream is read once."""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mountplan import api, operands
from mountplan.cli import main

SPEC = 'format = 1\nname = "x"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'


@contextmanager
def pipe(data: bytes) -> Iterator[str]:
    """The name of a pipe with this in it, as a shell's <(...) gives one."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as file:
        file.write(data)
        file.close()
        yield f"/dev/fd/{reader}"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "x.toml").write_text(SPEC)
    return str(tmp_path / "x.toml")


@pytest.fixture
def saved(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> bytes:
    path = tmp_path / "x.json"
    assert 0 == main(["plan", "-q", spec, "-o", str(path)])
    capsys.readouterr()
    return path.read_bytes()


@pytest.mark.parametrize("command", ["check", "plan", "explain"])
def test_a_spec_and_a_plan_come_through_a_pipe(command: str, saved: bytes) -> None:
    for data in (SPEC.encode(), saved):
        with pipe(data) as name:
            assert 0 == main([command, name])


def test_both_sides_of_a_comparison_come_through_pipes(spec: str, saved: bytes) -> None:
    table = Path("/proc/self/mountinfo").read_bytes()
    for first, second in ((SPEC.encode(), saved), (saved, SPEC.encode()), (table, table)):
        with pipe(first) as one, pipe(second) as other:
            assert 0 == main(["diff", one, other])
    with pipe(table) as name:
        assert 1 == main(["verify", spec, name])


def test_what_has_no_end_is_not_read_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["check", "/dev/zero"])
    told = capsys.readouterr().err
    assert "cannot read it: it has no end, or more than 256 MB\n  remedy: name a spec" in told


def test_a_script_comes_through_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pipe(b"mount -t tmpfs x /mnt\n") as name:
        assert 0 == main(["simulate", name])
    assert "/mnt" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["check", "{}", "{}"], ["diff", "{}", "{}"], ["verify", "{}", "{}"], ["simulate", "{}", "--from", "{}"],
     ["diff", "mountinfo:{},mountinfo:{}", "1"]],
)  # fmt: skip
def test_one_pipe_given_twice_is_an_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The second time there would be nothing in it."""
    with pipe(SPEC.encode()) as name:
        assert 2 == main([word.replace("{}", name) for word in words])
    assert f"{name} and {name} are one stream, which can be read once only" in capsys.readouterr().err


def test_standard_input_may_be_named_in_several_ways_and_once(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, status in ((["diff", "-", spec], 0), (["diff", spec, "-"], 0), (["check", "-", "-"], 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SPEC.encode())))
        assert status == main(words)
    with ExitStack() as stack:
        name = stack.enter_context(pipe(SPEC.encode()))
        monkeypatch.setattr(sys, "stdin", stack.enter_context(open(name)))
        assert 2 == main(["diff", "-", name])
    assert f"- and {name} are one stream" in capsys.readouterr().err


def test_a_file_may_be_named_twice(spec: str) -> None:
    assert 0 == main(["diff", spec, spec])


def test_what_is_saved_goes_to_standard_output_if_it_is_called_dash(
    spec: str, saved: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["plan", spec, "-o", "-"])
    assert saved.decode() == capsys.readouterr().out


def test_nothing_harmful_is_printed_of_any_writer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In messages, previews and pictures alike."""
    evil = "\\u009b31mA\\u202eb\\u200b\\u2028\\U000E0041\\u007f"
    path = tmp_path / "evil\u202e.toml"
    path.write_text(
        SPEC + f'[[mount]]\ntarget = "/{evil}"\ntype = "tmpfs"\nsource = "{evil}"\n[run]\ncwd = "/{evil}"\n'
    )
    for form in ("text", "dot", "mermaid", "json"):
        assert 0 == main(["plan", "--format", form, str(path)])
    with path.open("a") as file:
        file.write(f'"{evil}" = 1\n')
    assert 2 == main(["check", str(path)])
    assert 2 == main(["check", "--json", str(path)])
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert [] == [char for char in "\x9b\u202e\u200b\u2028\U000e0041" if char in text]
    assert "\\u202e" in text


@pytest.mark.parametrize("before", [None, "what was there\n"])
def test_what_cannot_be_written_whole_leaves_what_was_there(
    before: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a full disk: a part of it would be taken for the whole."""
    (tmp_path / "x.toml").write_text(SPEC)
    saved, limit = tmp_path / "x.svg", resource.getrlimit(resource.RLIMIT_FSIZE)
    if before is not None:
        saved.write_text(before)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        assert 3 == main(["graph", str(tmp_path / "x.toml"), "-o", str(saved)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert before == (saved.read_text() if saved.exists() else None)
    assert {"x.toml", *(["x.svg"] if before else [])} == {one.name for one in tmp_path.iterdir()}
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "plan SPEC",
        "graph SPEC",
        "export sh SPEC",
        "export bwrap SPEC",
        "example hello",
        "import bwrap",
        "capture pid:self",
    ],
)
def test_a_full_disk_is_a_refusal_and_no_wrong_usage(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts correct their own words on 2, and try again later on 3."""
    (tmp_path / "x.toml").write_text('format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    given = words.replace("SPEC", str(tmp_path / "x.toml")).split()
    after = ["--", "--ro-bind", "/usr", "/usr", "sh"] if "import" in words else []
    assert 3 == main([*given, "-o", "/dev/full", *after])
    told = (
        "cannot write /dev/full: write: No space left on device (ENOSPC): no space is left there\n  remedy: make room"
    )
    assert told in capsys.readouterr().err


def test_what_is_saved_over_a_file_keeps_its_names_and_its_mode(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SPEC)
    plain, link, twice = (tmp_path / name for name in ("plain", "link", "twice"))
    plain.touch(mode=0o640)
    link.symlink_to("plain")
    twice.touch()
    twice.with_suffix(".also").hardlink_to(twice)
    for name in (link, twice):
        assert 0 == main(["plan", "-q", str(tmp_path / "x.toml"), "-o", str(name)])
    assert link.is_symlink()
    assert (0o100640, True) == (plain.stat().st_mode, plain.read_text().startswith("{"))
    assert twice.samefile(twice.with_suffix(".also"))
    assert twice.read_text() == plain.read_text()


@pytest.mark.parametrize("command", ["explain", "graph"])
def test_a_file_that_is_called_as_a_kept_name_is_not_taken_for_it(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(operands, "is_kept", lambda argument: argument == "shop")
    Path("shop").write_text(SPEC)
    assert (0, 2) == (main([command, "./shop"]), main([command, "shop"]))
    assert "'shop' may be several things" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["check -", "plan -", "plan --expand -", "explain -", "graph -", "diff - SPEC", "diff SPEC -", "export sh -",
     "apply --forget -", "verify - pid:self", "run - -- /nosuch", "import fstab -", "simulate -", "plan -o - -"],
)  # fmt: skip
def test_dash_is_standard_input_wherever_a_file_is_read(
    words: str, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that it was read matters here: `run` ends as its command, `verify` finds differences."""
    data = {"import": b"none /mnt tmpfs\n", "simulate": b"mount -t tmpfs none /\n"}.get(words.split()[0], SPEC.encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    if words.startswith(("apply", "run")):
        monkeypatch.setattr(api, "build_and_forget", lambda *_, **__: api.Applied((), 0, 0.0))
        monkeypatch.setattr(api, "execute", lambda *_, **__: sys.exit(127))
    status = main([spec if word == "SPEC" else word for word in words.split()])
    assert status == {"run": 127, "verify": 1}.get(words.split()[0], 0), capsys.readouterr().err


@pytest.mark.parametrize("words", ["check -", "plan -", "explain -", "diff - SPEC", "export sh -", "graph -"])
def test_quiet_prints_nothing_but_results(
    words: str, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing on standard error, where there is nothing wrong."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SPEC.encode())))
    assert 0 == main(["--quiet", *(spec if word == "SPEC" else word for word in words.split())])
    assert "" == capsys.readouterr().err

"""What each command prints, where, and how it ends."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

import mountplan
from mountplan import api
from mountplan.applier.sys.report import Reporter
from mountplan.cli import main, without_argparse
from mountplan.cli.command_modules import COMMANDS
from mountplan.cli.parser import make_parser
from mountplan.planner.ask.foresight import Foresight
from mountplan.planner.errors import (
    CommandNotStarted,
    Mistake,
    MountplanError,
    NamespaceRefused,
    PlanRefused,
    SpecError,
    SpecRef,
    StepRefused,
)
from mountplan.planner.plan.mountcount import Peak
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.render.preview import plan_text
from mountplan.planner.tables.table import MountRow, MountTable
from tests.planner.plans import shop, wide

SPEC = """\
format = 1
name = "small"

[peer_group.data]

[[mount]]
target = "/"
type = "tmpfs"

[[mount]]
id = "data"
target = "/srv/data"
type = "tmpfs"
peer_group = "data"

[[mount]]
target = "/srv/copy"
bind = { mount = "data" }
peer_group = "data"
attributes = ["ro"]
"""

WRONG = (
    'format = 1\n[[mount]]\ntarget = "relative"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\nbind = 3\n'
)


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Carry out one command line in this process."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words: str | Path, stdin: bytes | None = None) -> Ended:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return command


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    return path


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans made by hand are neither carried out in the model nor tried: this host is not the one that they are for."""
    monkeypatch.setattr(api, "try_out", lambda plan, **_: None)  # for a user without root it looks at the host's paths
    monkeypatch.setattr(api, "foresee", lambda plan, **_: Foresight(api.predict(plan), Peak(1, 1)))
    monkeypatch.setattr(api, "check_mount_count", lambda plan, most: None)


@pytest.fixture
def saved(tmp_path: Path, foreseen: None) -> Path:
    path = tmp_path / "shop.json"
    path.write_text(dump_plan(shop()))
    return path


def applied(plan: Plan) -> api.Applied:
    root = MountRow(20, 1, "0:5", "/", "/", "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    data = root._replace(mount_id=21, parent_id=20, mountpoint="/srv/data", peer_group=77)
    return api.Applied((("", MountTable((root, data))),), len(plan.steps), 0.25)


@pytest.fixture
def applying(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Stands in for the kernel; holds the plans that were applied."""
    seen: list[Plan] = []

    def apply(plan: Plan, reporter: Reporter | None = None, **_: object) -> api.Applied:
        seen.append(plan)
        return applied(plan)

    monkeypatch.setattr(api, "apply", apply)
    return seen


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Stands in for the kernel; holds the commands that were run. Every one of them ends with status 7."""
    seen: list[tuple[str, ...]] = []

    def execute(plan: Plan, command: tuple[str, ...], reporter: Reporter | None = None, **_: object) -> NoReturn:
        seen.append(command)
        raise SystemExit(7)

    monkeypatch.setattr(api, "execute", execute)
    return seen


def refuse(monkeypatch: pytest.MonkeyPatch, verb: str, error: BaseException) -> None:
    def raising(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(api, verb, raising)


# ---- help and usage -------------------------------------------------------------------------------------------------


def test_mountplan_alone_names_three_commands_to_begin_with(run: Command) -> None:
    ended = run()
    assert (0, "") == (ended.status, ended.err)
    assert ["check", "plan", "run"] == re.findall(r"^  mountplan (\w+)", ended.out, re.M)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(run: Command, option: str) -> None:
    assert Ended(0, f"mountplan {mountplan.__version__}\n", "") == run(option)
    assert Ended(0, f"mountplan {mountplan.__version__}\n", "") == run("--quiet", option)


def test_help_lists_the_commands_that_exist(run: Command) -> None:
    listed = re.findall(r"^    (\w+) ", run("--help").out, re.M)
    assert list(COMMANDS) == listed


@pytest.mark.parametrize(
    "command",
    ["check", "plan", "apply", "run", "enter", "ls", "show", "rm", "capture", "doctor", "schema", "completion"],
)
def test_every_command_has_help_with_examples_and_fits_80_columns(run: Command, command: str) -> None:
    ended = run(command, "--help")
    assert (0, "") == (ended.status, ended.err)
    assert f"usage: mountplan {command} " in ended.out
    assert "examples:\n" in ended.out
    assert f"mountplan {command}" in ended.out.partition("examples:")[2]
    texts = ended.out + run("--help").out + run().out
    assert [] == [line for line in texts.splitlines() if len(line) > 80]
    assert ended == run("help", command)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plna", "x"], "unknown command 'plna'; did you mean plan?"),
        (["frobnicate"], "unknown command 'frobnicate'; there are: check, plan,"),
        (["-q"], "the following arguments are required: COMMAND"),
        (["plan"], "the following arguments are required: SPEC"),
        (["check"], "the following arguments are required: SPEC"),
        (["enter"], "the following arguments are required: NAME\n"),
        (["run"], "the following arguments are required: SPEC\n"),
        (["plan", "x", "--fromat=json"], "unknown option --fromat; did you mean --format?"),
        (["plan", "x", "--format", "jsno"], "unknown value of --format: 'jsno'; did you mean json?"),
        (["--color", "blue", "plan", "x"], "unknown value of --color: 'blue'; there are: auto, always, never"),
        (["completion", "fish"], "unknown shell 'fish'; there are: bash, zsh, tcsh"),
        (["apply", "x", "--", "sh"], "apply takes no command after --"),
        (["run", "x", "ls", "y"], "write -- before the command: mountplan run x -- ls y"),
        (["run", "x", "--"], "there is no command after --"),
    ],
)
def test_wrong_usage_is_told_with_a_way_out(run: Command, words: list[str], message: str) -> None:
    ended = run(*words)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}")
    assert re.search(r"\n  remedy: see `mountplan (\w+ )?--help`\n$", ended.err)


def test_wrong_usage_as_json(run: Command) -> None:
    ended = run("plna", "--json")
    assert (2, "") == (ended.status, ended.err)
    assert {"code": "usage", "exit_status": 2}.items() <= ended.json()["error"].items()


# ---- check ----------------------------------------------------------------------------------------------------------


def test_a_good_spec_has_no_mistakes(run: Command, spec: Path) -> None:
    assert Ended(0, f"{spec}: no mistakes\n", "") == run("check", spec)
    assert Ended(0, "", "") == run("check", "-q", spec)
    assert {"ok": True, "specs": [{"file": str(spec), "ok": True, "mistakes": []}]} == run(
        "check", "--json", spec
    ).json()


def test_all_mistakes_of_all_specs_are_told_on_standard_error(run: Command, spec: Path, wrong: Path) -> None:
    ended = run("check", spec, wrong)
    assert (2, f"{spec}: no mistakes\n") == (ended.status, ended.out)
    places = re.findall(rf"^{re.escape(str(wrong))}:(\d+): (\S+):", ended.err, re.M)
    assert {("3", "mount[0].target"), ("8", "mount[1].bind")} <= set(places)
    assert ended.err.count("  remedy: ") == len(places)
    assert ended.err.endswith(f"mountplan: {len(places)} mistakes in 1 of 2 files\n")


def test_check_as_json_tells_every_mistake_with_its_place(run: Command, spec: Path, wrong: Path) -> None:
    ended = run("check", "--json", spec, wrong)
    assert (2, "") == (ended.status, ended.err)
    good, bad = ended.json()["specs"]
    assert (True, False) == (good["ok"], bad["ok"])
    assert all(set(one) == {"file", "line", "key", "what", "remedy"} for one in bad["mistakes"])


def test_check_takes_saved_plans_too(run: Command, saved: Path) -> None:
    assert 0 == run("check", saved).status
    saved.write_text(saved.read_text().replace("16m", "17m"))
    ended = run("check", saved)
    assert 2 == ended.status
    assert f"{saved}: cannot use this plan: it was altered" in ended.err
    assert "remedy: make it again" in ended.err


def test_a_well_written_spec_that_cannot_be_planned_is_a_refusal(
    run: Command, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "check_and_plan", PlanRefused(("a must precede itself",)))
    ended = run("check", spec)
    assert (1, "") == (ended.status, ended.out)
    assert f"{spec}: a must precede itself" in ended.err


# ---- input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "plan", "apply", "run"])
def test_a_missing_file_is_told_with_a_reason(run: Command, tmp_path: Path, command: str) -> None:
    for name in ("nope.toml", "nope.json"):
        ended = run(command, tmp_path / name)
        assert (2, "") == (ended.status, ended.out)
        assert f"{name}: cannot read it: No such file or directory" in ended.err
    assert "cannot read it: Is a directory" in run(command, tmp_path).err


def test_a_name_with_a_nul_is_an_error_like_any_other(run: Command) -> None:
    ended = run("plan", "a\0b")
    assert 2 == ended.status
    assert r"a\x00b: cannot read it: embedded null byte" in ended.err


def test_standard_input_may_be_a_spec_or_a_plan(run: Command, foreseen: None) -> None:
    from_spec = run("plan", "-", stdin=SPEC.encode())
    assert 0 == from_spec.status
    assert from_spec.out.startswith('Plan "small" of <stdin>: 3 mounts')
    from_plan = run("plan", "-", "--format", "json", stdin=dump_plan(shop()).encode())
    assert Ended(0, dump_plan(shop()), "") == from_plan
    assert 2 == run("check", "-", stdin=b"\xff\xfe").status


def test_a_saved_plan_is_planned_to_itself(run: Command, saved: Path) -> None:
    assert dump_plan(shop()) == run("plan", saved, "--format", "json").out


# ---- plan -----------------------------------------------------------------------------------------------------------


def test_plain_text_is_exactly_what_rendering_gives(run: Command, spec: Path) -> None:
    plan = api.plan(api.load(str(spec)))
    for words, everything in (([], False), (["--all"], True)):
        text = plan_text(plan, api.predict(plan), api.classic(plan), everything=everything)
        assert Ended(0, text, "") == run("plan", *words, spec)


def test_the_preview_has_all_its_parts(run: Command, spec: Path) -> None:
    headings = re.findall(r"^(\w[^(\n]*?)(?: \(.*)?$", run("plan", spec).out, re.M)[1:]
    table, classic = "Mount table to come", "Mounted the classic way, in the order of the file"
    assert ["Tree", "Sharing", "Steps, and why each is where it is", table, classic, "Needs"] == headings


def test_json_is_the_plan_file(run: Command, spec: Path) -> None:
    for words in (["--json"], ["--format", "json"]):
        ended = run("plan", spec, *words)
        assert api.plan(api.load(str(spec))) == load_plan(ended.out, "x")


@pytest.mark.parametrize(("form", "start"), [("dot", 'digraph "small" {'), ("mermaid", "flowchart LR")])
def test_pictures(run: Command, spec: Path, form: str, start: str) -> None:
    ended = run("plan", spec, "--format", form)
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith(start)


def test_saving_a_plan_shows_it_and_says_how_to_go_on(run: Command, spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    ended = run("plan", spec, "-o", target)
    assert 0 == ended.status
    assert ended.out.startswith('Plan "small"')
    assert f"Saved to {target}; carry it out with: mountplan apply {target}\n" == ended.err
    assert api.plan(api.load(str(spec))) == load_plan(target.read_bytes(), "x")
    first = target.read_bytes()
    assert Ended(0, "", "") == run("plan", spec, "-q", "-o", target)
    assert first == target.read_bytes()


@pytest.mark.parametrize(
    ("name", "start"),
    [("p.dot", "digraph"), ("p.mmd", "flowchart"), ("p.txt", 'Plan "small"'), ("p.json", "{"), ("p", "{")],
)
def test_the_name_of_the_file_tells_its_format(run: Command, spec: Path, tmp_path: Path, name: str, start: str) -> None:
    run("plan", spec, "-o", tmp_path / name)
    assert (tmp_path / name).read_text().startswith(start)


def test_format_goes_before_the_name_and_prints_no_preview(run: Command, spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    assert Ended(0, "", f"Saved to {target}\n") == run("plan", spec, "--format=dot", "-o", target)
    assert target.read_text().startswith("digraph")
    ended = run("plan", spec, "--json", "-o", target)
    assert {"saved": str(target), "format": "json"}.items() <= ended.json().items()


def test_a_file_that_cannot_be_written_is_told(run: Command, spec: Path, tmp_path: Path) -> None:
    ended = run("plan", spec, "-o", tmp_path / "no" / "plan.json")
    assert 2 == ended.status
    assert "plan.json: No such file or directory" in ended.err


def test_why_explains_a_step(run: Command, saved: Path) -> None:
    ended = run("plan", saved, "--why", "39")
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith("Step 39 of 56: attach /srv/peer -> /:/srv/peer\n  written at shop.toml:25: mount[3]\n")
    (answer,) = run("plan", saved, "--json", "--why", "39").json()["steps"]
    assert 39 == answer["number"]


def test_why_of_what_is_not_there_is_wrong_usage(run: Command, saved: Path) -> None:
    ended = run("plan", saved, "--why", "/srv/pier")
    assert (2, "") == (ended.status, ended.out)
    assert "mountplan: --why: no step is about '/srv/pier'; did you mean '/srv/peer'" in ended.err


def test_a_wrong_spec_tells_all_mistakes_and_how_many(run: Command, wrong: Path) -> None:
    for command in ("plan", "apply", "run"):
        ended = run(command, wrong)
        assert (2, "") == (ended.status, ended.out)
        assert "mount[0].target" in ended.err
        assert "mount[1].bind" in ended.err
        assert re.search(r"^mountplan: \d+ mistakes; nothing was built$", ended.err, re.M)


def test_a_damaged_plan_file_is_told_with_a_remedy(run: Command, saved: Path) -> None:
    saved.write_text(saved.read_text()[:500])
    for command in ("plan", "apply", "run"):
        ended = run(command, saved)
        assert (2, "") == (ended.status, ended.out)
        assert ended.err.startswith(f"mountplan: {saved}:")
        assert "remedy: make it again with `mountplan plan SPEC -o FILE`" in ended.err


# ---- apply ----------------------------------------------------------------------------------------------------------


def test_apply_shows_what_stood_there_with_the_names_of_the_spec(
    run: Command, saved: Path, applying: list[Plan]
) -> None:
    ended = run("apply", "--forget", saved)
    assert (0, "") == (ended.status, ended.err)
    assert [shop()] == applying
    assert ended.out.startswith('Built "shop": 2 mounts, 56 steps, 0.25 s\n')
    assert re.search(r"^└─/srv/data +tmpfs +tmpfs +rw,relatime +shared:data$", ended.out, re.M)
    assert "Verified: it was read back from the kernel and compared" in ended.out
    assert f"mountplan run {saved} -- COMMAND" in ended.out


def test_apply_quietly_prints_nothing(run: Command, saved: Path, applying: list[Plan]) -> None:
    assert Ended(0, "", "") == run("apply", "--forget", "-q", saved)
    assert [shop()] == applying


def test_apply_as_json(run: Command, saved: Path, applying: list[Plan]) -> None:
    document = run("apply", "--forget", "--json", saved).json()
    assert {
        "name": "shop",
        "file": "shop.toml",
        "verified": True,
        "steps": 56,
        "seconds": 0.25,
    }.items() <= document.items()
    ((_, data),) = [namespace["mounts"] for namespace in document["namespaces"]]
    assert ("/srv/data", 77, "shared:data") == (data["mountpoint"], data["peer_group"], data["sharing"])


REFUSALS: list[tuple[MountplanError, int, str]] = [
    (PlanRefused(("x must precede itself",)), 1, "cannot be built as it is written: x must precede itself"),
    (
        StepRefused(
            number=3, step="make the yard", origin=SpecRef("shop.toml", "mount[0]", 10), syscall="fsopen",
            errno=errno.EPERM, meaning="not permitted", remedy="become root",
        ),
        3,
        "shop.toml:10: mount[0]: step 3, make the yard: fsopen: not permitted\n  remedy: become root",
    ),
    (NamespaceRefused("unshare", "not permitted", "become root"), 3, "unshare: not permitted\n  remedy: become root"),
    (CommandNotStarted("no such command: x", exit_status=127), 127, "no such command: x"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "status", "message"), REFUSALS, ids=lambda value: type(value).__name__)
def test_a_refusal_is_told_on_standard_error_and_by_the_exit_status(
    run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch, error: MountplanError, status: int, message: str
) -> None:
    refuse(monkeypatch, "apply", error)
    ended = run("apply", "--forget", saved)
    assert (status, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}")
    as_json = run("apply", "--forget", "--json", saved)
    assert (status, "") == (as_json.status, as_json.err)
    assert {"code": error.code, "exit_status": status}.items() <= as_json.json()["error"].items()


def test_errors_of_run_as_json_go_to_standard_error(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is the command's."""
    refuse(monkeypatch, "execute", REFUSALS[1][0])
    ended = run("run", "--json", saved, "--", "ls")
    assert (3, "") == (ended.status, ended.out)
    assert "EPERM" == json.loads(ended.err)["error"]["errno_name"]


# ---- run ------------------------------------------------------------------------------------------------------------


def test_run_ends_as_its_command_does(run: Command, saved: Path, running: list[tuple[str, ...]]) -> None:
    assert Ended(7, "", "") == run("run", saved, "--", "ls", "-l", "--", "--json")
    assert [("ls", "-l", "--", "--json")] == running


def test_a_namespace_that_the_spec_does_not_have_is_a_usage_error(run: Command, saved: Path) -> None:
    """Told before anything is built."""
    ended = run("run", "--namespace", "nosuch", saved, "--", "ls")
    assert (2, "") == (ended.status, ended.out)
    assert "no namespace is called 'nosuch'" in ended.err


def test_without_a_command_run_takes_the_one_of_the_spec_or_a_shell(
    run: Command, tmp_path: Path, running: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/xsh")
    for name, plan in (("a.json", shop()), ("b.json", wide(1))):
        (tmp_path / name).write_text(dump_plan(plan))
        run("run", tmp_path / name)
    assert [("sh",), ("/bin/xsh",)] == running


# ---- schema and completion ------------------------------------------------------------------------------------------


def test_the_schema_is_json_schema_of_a_spec(run: Command) -> None:
    for words in ([], ["--json"]):
        document = run("schema", *words).json()
        assert document["$schema"].startswith("https://json-schema.org/")
        assert "mount" in document["properties"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_commands(run: Command, shell: str) -> None:
    ended = run("completion", shell)
    assert (0, "") == (ended.status, ended.err)
    assert all(word in ended.out for word in ("check", "apply", "--format", "mermaid"))
    assert ended.out == run("completion", "--json", shell).json()["script"].rstrip("\n") + "\n"


# ---- what must never happen -----------------------------------------------------------------------------------------


def test_a_bug_is_told_without_a_traceback(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "apply", ZeroDivisionError("by \x1b nought"))
    ended = run("apply", "--forget", saved)
    assert (70, "") == (ended.status, ended.out)
    assert r"this is a bug in mountplan: ZeroDivisionError: by \x1b nought (test_commands.py:" in ended.err
    assert "Traceback" not in ended.err
    assert "bug" == run("apply", "--forget", "--json", saved).json()["error"]["code"]
    monkeypatch.setenv("MOUNTPLAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["apply", "--forget", str(saved)])


def test_an_interrupt_ends_quietly(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "apply", KeyboardInterrupt())
    assert Ended(130, "", "") == run("apply", "--forget", saved)


def test_no_error_text_reaches_the_terminal_as_it_is(run: Command, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = "a\x1b[2Jb" + os.fsdecode(b"\xff")
    refuse(monkeypatch, "load", SpecError((Mistake(SpecRef("x\x07", "k", 1), what, "r\r"),)))
    ended = run("plan", spec)
    assert 2 == ended.status
    assert r"x\x07:1: k: a\x1b[2Jb\xff" in ended.err


# ---- colours --------------------------------------------------------------------------------------------------------

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    "words", [["plan"], ["plan", "--all"], ["plan", "--why", "30"], ["apply", "--forget"]], ids=" ".join
)
def test_colours_change_no_character(run: Command, saved: Path, applying: list[Plan], words: list[str]) -> None:
    plain = run(*words, saved)
    colored = run("--color", "always", *words, saved)
    assert "\x1b" not in plain.out
    assert "\x1b[" in colored.out
    assert plain.out == ESCAPES.sub("", colored.out)


def test_colours_of_errors_change_no_character(run: Command, wrong: Path) -> None:
    plain, colored = run("plan", wrong), run("plan", wrong, "--color=always")
    assert "\x1b[" in colored.err
    assert plain.err == ESCAPES.sub("", colored.err)


def test_what_programs_read_has_no_colours(run: Command, saved: Path) -> None:
    for form in ("json", "dot", "mermaid"):
        assert "\x1b" not in run("plan", saved, "--color=always", "--format", form).out


def test_a_name_that_looks_like_markup_is_no_markup(run: Command, tmp_path: Path, foreseen: None) -> None:
    path = tmp_path / "m.json"
    path.write_text(dump_plan(shop()._replace(file="[bold]x[/bold] :smile: [link=http://a]")))
    assert "[bold]x[/bold] :smile: [link=http://a]" in ESCAPES.sub("", run("plan", path, "--color=always").out)


@pytest.mark.parametrize("name", ["x.toml", "-", "./plan.json"])
def test_the_quick_way_to_run_gives_the_arguments_that_the_parser_gives(name: str) -> None:
    """Two ways to read one command line must not come to differ."""
    quickly = without_argparse.parse(["run", name])
    assert vars(make_parser().parse_args(["run", name])) == vars(quickly)


@pytest.mark.parametrize("words", [["run"], ["run", "--json"], ["run", "x", "y"], ["apply", "x"], ["run", "-q", "x"]])
def test_whatever_is_not_plain_is_left_to_the_parser(words: list[str]) -> None:
    assert without_argparse.parse(words) is None

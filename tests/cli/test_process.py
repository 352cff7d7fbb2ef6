"""The command line as a process: terminals, pipes, signals, locales, and what it loads."""

from __future__ import annotations

import gc
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mountplan import api
from mountplan.cli import check_cmd, main, progress
from mountplan.cli.output import Output
from mountplan.planner.plan.planfile import dump_plan
from tests.hosts import PATIENCE, InHost, moments
from tests.planner.plans import wide
from tests.trees import plan_of

INHERITED = """
root = "inherit"
propagation = "private"
[[mount]]
target = "/mnt"
type = "tmpfs"
"""
MOUNTPLAN = [sys.executable, "-m", "mountplan"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "wide.json"
    path.write_text(dump_plan(wide(3)))
    return path


def environment(**more: str) -> dict[str, str]:
    ours = {"NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "PYTHONUNBUFFERED"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"TERM": "xterm-256color"} | more


def on_terminal(*words: str | Path, **more: str) -> bytes:
    """What a command prints when its standard output and error are a terminal."""
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen([*MOUNTPLAN, *map(str, words)], stdout=theirs, stderr=theirs, env=environment(**more))
        os.close(theirs)
        return b"".join(_until_closed(ours))
    finally:
        os.close(ours)
        child.wait(timeout=60 * PATIENCE)


def _until_closed(fd: int) -> Iterator[bytes]:
    while select.select([fd], [], [], 60 * PATIENCE)[0]:
        try:
            yield os.read(fd, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return


def test_a_terminal_gets_colours_and_a_pipe_gets_none(saved: Path) -> None:
    assert b"\x1b[" in on_terminal("plan", saved)
    piped = subprocess.run([*MOUNTPLAN, "plan", saved], capture_output=True, env=environment(), check=True)
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize(
    ("locale", "is_ascii"),
    [
        ({"LC_ALL": "C"}, True),
        ({"LC_ALL": "C", "PYTHONUTF8": "1"}, True),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C", "LANG": "C.UTF-8"}, True),
        ({"LANG": "C"}, True),
        ({"LANG": "nn_NO.ISO-8859-1"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}, False),
        ({"LANG": "de_DE.UTF-8@euro"}, False),
        ({}, False),
    ],
)
def test_a_locale_that_has_ascii_only_gets_no_more(saved: Path, locale: dict[str, str], is_ascii: bool) -> None:
    """Python writes UTF-8 where the locale is C, which is not what the terminal has."""
    plain = {name: value for name, value in environment().items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    for words in (("plan", saved), ("graph", saved)):
        done = subprocess.run([*MOUNTPLAN, *words], capture_output=True, env=plain | locale, check=True)
        assert is_ascii == done.stdout.isascii()


@pytest.mark.parametrize(
    ("words", "more"),
    [([], {"NO_COLOR": "1"}), (["--color=never"], {}), ([], {"TERM": "dumb"})],
    ids=["NO_COLOR", "--color=never", "dumb"],
)
def test_colours_can_be_turned_off(saved: Path, words: list[str], more: dict[str, str]) -> None:
    """The sign of life that a slow machine shows is taken away by an escape sequence too, which is none of colour."""
    assert [] == re.findall(rb"\x1b\[[0-9;]*m", on_terminal("plan", saved, *words, **more))


def test_asking_for_colours_beats_the_environment(saved: Path) -> None:
    """--color=always is meant as it is typed; NO_COLOR is for command lines without it."""
    command = [*MOUNTPLAN, "plan", str(saved), "--color=always"]
    assert b"\x1b[" in subprocess.run(command, capture_output=True, env=environment(NO_COLOR="1"), check=True).stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path, unbuffered: str) -> None:
    """Python without buffers passes over what the system does not take of a text."""
    path = tmp_path / "wide.json"
    path.write_text(dump_plan(wide(3000)))
    child = subprocess.Popen(
        [*MOUNTPLAN, "plan", "--all", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED=unbuffered),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert b"" == child.stderr.read()
    child.stderr.close()
    assert 141 == child.wait(timeout=60 * PATIENCE)


def test_python_without_buffers_still_tells_each_line_when_it_comes() -> None:
    """As it does of errors anyway; who asks for no buffers reads along."""
    told = "stream = cli._taking_all(getattr(sys, sys.argv[1])); print('a', file=stream)"
    program = f"import os, sys; from mountplan import cli; {told}; os._exit(0)"  # nothing is written on the way out
    for name in ("stdout", "stderr"):
        command = [sys.executable, "-c", program, name]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(PYTHONUNBUFFERED="1"))
        assert "a\n" == getattr(done, name), done


@pytest.mark.parametrize("words", [["--version"], [], ["--help"], ["plan", "--help"]], ids=" ".join)
def test_even_a_reader_that_was_never_there(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*MOUNTPLAN, *words], stdout=writer, stderr=subprocess.PIPE, env=environment(), check=False
        )
    finally:
        os.close(writer)
    assert (141, b"") == (done.returncode, done.stderr)


def test_an_interrupt_while_it_waits_for_its_input_says_that_nothing_was_built() -> None:
    child = subprocess.Popen(
        [*MOUNTPLAN, "check", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(),
    )  # fmt: skip
    try:
        waiting = Path(f"/proc/{child.pid}/wchan")
        for _ in moments():
            if "pipe" in waiting.read_text():
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60 * PATIENCE)
    finally:
        child.kill()
        child.wait()
    assert (130, b"", b"mountplan: interrupted; nothing was built\n") == (child.returncode, out, err)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_path_can_be_printed_in_any_locale(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "nasty.json"
    path.write_text(dump_plan(wide(3)._replace(file=os.fsdecode("日本 caf".encode() + b"\xe9"))))
    done = subprocess.run(
        [*MOUNTPLAN, "plan", path], capture_output=True, env=environment(PYTHONIOENCODING=encoding), check=True
    )
    assert b"" == done.stderr
    text = done.stdout.decode(encoding)
    assert ('Plan "wide" of 日本 caf' if encoding == "utf-8" else r'Plan "wide" of \u65e5\u672c caf') + r"\xe9" in text
    assert ("├─m/00001" if encoding == "utf-8" else "|-m/00001") in text


def test_a_file_name_that_is_not_utf8_is_told() -> None:
    name = os.fsdecode(b"caf\xe9.toml")
    done = subprocess.run([*MOUNTPLAN, "check", name], capture_output=True, env=environment(), check=False)
    assert 2 == done.returncode
    assert rb"caf\xe9.toml: cannot read it: No such file" in done.stderr


def loaded(*words: str) -> set[str]:
    """The modules that a command line loads."""
    code = "import sys; from mountplan.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment())
    assert 0 == done.returncode, done.stderr
    return set(done.stderr.split())


def test_what_start_up_loads() -> None:
    """Every program that is run with `mountplan run` pays for this."""
    quick = loaded("--version")
    assert not {"argparse", "json", "mountplan.planner"} & quick
    assert not {"argparse", "json", "mountplan.planner"} & loaded()


@pytest.mark.needs_kernel("root", "set-group")
def test_what_a_saved_plan_takes_of_python(in_host: InHost, tmp_path: Path) -> None:
    """Each of these is justified in bench/RESULTS.md. For a user it takes more: all is tried beforehand."""

    def modules(*words: str | Path) -> set[str]:
        command = [sys.executable, "-X", "importtime", *words]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stderr
        return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}

    def loads() -> set[str]:
        plan = tmp_path / "plan.json"
        plan.write_text(dump_plan(plan_of(INHERITED)))
        return modules("-m", "mountplan", "run", plan, "--", "/bin/true")

    found = in_host(loads, identity="root") - modules("-m", "mountplan", "--version")
    builtin = {"_collections", "_operator", "_signal", "errno", "gc", "itertools"}
    ours = {one for one in found if one.startswith("mountplan")}
    assert found - ours <= builtin | {"_ctypes", "_json", "_sha2", "_sha256", "_struct", "fcntl", "mmap", "select"}
    assert len(ours) <= 86  # besides what --version takes


def test_no_collector_looks_through_a_plan_while_it_is_run(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan is made of has no cycles, and to look for some took longer than to read it back."""
    seen = []

    def execute(*_: object, **__: object) -> None:
        seen.append(gc.isenabled())
        raise SystemExit(7)

    monkeypatch.setattr(api, "execute", execute)
    gc.enable()
    assert 7 == main(["run", str(saved), "--", "true"])
    assert [False, True] == [*seen, gc.isenabled()]


def test_no_collector_looks_through_what_is_checked(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It woke up when all that a large spec comes to was known, right before that was let go."""
    seen = []
    monkeypatch.setattr(check_cmd, "note_in_use", lambda *_: seen.append(gc.isenabled()))
    gc.enable()
    assert 0 == main(["check", str(saved)])
    assert [False, True] == [*seen, gc.isenabled()]


def test_a_command_loads_no_other_command(saved: Path) -> None:
    """Each is found by its name, so that what was not asked for costs nothing."""
    for words in (["check", str(saved)], ["plan", "--quiet", str(saved)], ["ls"]):
        of_commands = {name for name in loaded(*words) if name.startswith("mountplan.cli.") and name.endswith("_cmd")}
        assert {f"mountplan.cli.{words[0]}_cmd"} == of_commands


def test_a_saved_plan_needs_neither_the_language_nor_the_graph(saved: Path) -> None:
    heavy = {"pydantic", "networkx", "rich", "dataclasses", "tomli", "tomllib", "shtab", "tomli_w"}
    for words in (["plan"], ["check"], ["plan", "--why", "3"], ["plan", "--json"]):
        assert not heavy & loaded(*words, str(saved))


def test_no_package_runs_as_a_plugin_of_pydantic(tmp_path: Path) -> None:
    """pydantic loads them from all packages that are installed; to look for them took a tenth of a small `check`."""
    (tmp_path / "spy-1.dist-info").mkdir()
    (tmp_path / "spy-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1\n")
    (tmp_path / "spy-1.dist-info/entry_points.txt").write_text("[pydantic]\nspy = spy:plugin\n")
    (tmp_path / "spy.py").write_text("print('a plugin runs')\nplugin = None\n")
    command = [*MOUNTPLAN, "check", "specs/hello.toml"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(PYTHONPATH=str(tmp_path)))
    assert (0, "specs/hello.toml: no mistakes\n") == (done.returncode, done.stdout)


def test_colours_are_what_loads_rich(saved: Path) -> None:
    assert "rich" in loaded("plan", str(saved), "--color=always")


def test_the_completion_script_is_bash() -> None:
    script = subprocess.run([*MOUNTPLAN, "completion", "bash"], capture_output=True, check=True).stdout
    code = script + b"\nCOMP_WORDS=(mountplan pl); COMP_CWORD=1; _shtab_mountplan; echo ${COMPREPLY[@]}\n"
    done = subprocess.run(["bash", "--norc"], input=code, capture_output=True, check=True)
    assert b"plan\n" == done.stdout


# ---- the progress bar -----------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Puts a terminal in the place of standard error. A fixture cannot: pytest puts its own there before the test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    return stream


def test_short_work_draws_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with progress.reporter_for("building", Output(color="always")) as reporter:
        reporter.begin(1000)
        for done in range(0, 1000, 100):
            reporter.step(done)
        reporter.end()
    assert "" == screen.getvalue()


def test_long_work_draws_a_bar_and_takes_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    with progress.reporter_for("building", Output(color="always")) as reporter:
        reporter.begin(1000)
        reporter.step(500)
        assert "building" in screen.getvalue()
        assert "500/1000" in screen.getvalue()
        reporter.end()
    assert screen.getvalue().endswith("\r\x1b[1A\x1b[2K")  # the line that the bar was on is empty again


def test_the_bar_is_gone_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    bar = progress.Bar("building", Output(color="never"))
    bar.begin(10)
    bar.step(5)
    with pytest.raises(RuntimeError), bar:
        raise RuntimeError
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is back
    bar.end()


def test_nobody_looking_means_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    assert not isinstance(progress.reporter_for("x", Output(quiet=True)), progress.Bar)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not isinstance(progress.reporter_for("x", Output(color="always")), progress.Bar)


def test_a_stream_that_cannot_be_reconfigured_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that call main() may have put any text stream there."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    Output().result("├─/\n")
    assert stream.getvalue() in ("├─/\n", "|-/\n")


@pytest.mark.parametrize("words", [["plan"], ["plan", "--json"], ["schema"], ["--help"], ["--version"]])
def test_output_that_nothing_takes_is_told_as_that(words: list[str], saved: Path) -> None:
    """It is no limit of mounts that is reached, and no traceback's business."""
    command = [*MOUNTPLAN, *words, *([str(saved)] if "plan" in words else [])]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert 3 == done.returncode
    assert done.stderr.startswith("mountplan: cannot write the output: no space left on device\n  remedy: send it to ")


@pytest.mark.parametrize(
    ("words", "status"), [("check nonesuch.toml", 3), ("diff nonesuch a", 2), ("ls --nonesuch", 2)]
)
def test_an_error_that_nothing_takes_is_no_difference(words: str, status: int) -> None:
    """Python would end with 1 once it cannot write to standard error."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([*MOUNTPLAN, *words.split()], stdout=full, stderr=full, env=environment())
    assert status == done.returncode


@pytest.mark.needs_kernel("root", "unshare")
def test_a_proc_of_another_pid_namespace_is_told_as_that(saved: Path) -> None:
    """Children have other numbers there: what is read there of one would be another process's."""
    command = ["unshare", "--fork", "--pid", *MOUNTPLAN, "apply", "--forget", str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert 3 == done.returncode
    assert done.stderr.startswith("mountplan: cannot build: /proc is that of another pid namespace")
    assert done.stderr.endswith("remedy: mount this one's: mount -t proc proc /proc\n")
    command = ["unshare", "--fork", "--pid", *MOUNTPLAN, "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert 1 == done.returncode
    assert "  /proc is that of another pid namespace" in done.stdout


@pytest.mark.needs_kernel("root", "unshare")
def test_in_a_proc_of_another_pid_namespace_pid_self_is_this_process() -> None:
    """The number that it has in its own is another process's there, which has other mounts."""
    script = (
        f"mount -t tmpfs ours /mnt && unshare --fork --pid {' '.join(MOUNTPLAN)} diff pid:self /proc/self/mountinfo"
    )
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert (0, "The same") == (done.returncode, done.stdout[:8]), done.stdout + done.stderr


@pytest.mark.needs_kernel("root", "unshare")
def test_there_the_root_of_a_kept_tree_is_a_path_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'format = 1\nname = "s"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "x"\n'
    )
    program = "import mountplan, os\nwith mountplan.attach('s') as tree: print(os.listdir(tree.root))"
    (tmp_path / "look.py").write_text(program)
    script = f"mount -t tmpfs run /run; {' '.join(MOUNTPLAN)} apply -q s.toml; unshare -pf {sys.executable} look.py; "
    script += f"{' '.join(MOUNTPLAN)} rm -q s"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=tmp_path)
    assert ("['x']\n", "") == (done.stdout, done.stderr)


def test_a_closed_standard_input_is_not_called_an_empty_spec() -> None:
    command = f"{' '.join(MOUNTPLAN)} check - <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment())
    assert (2, True) == (done.returncode, "-: cannot read it: it is closed\n" in done.stderr)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("plan {}", 0), ("check -", 2), ("nonesuch", 2), ("--help", 0)])
def test_standard_files_may_be_closed(words: str, status: int, closed: str, saved: Path) -> None:
    """Nothing is said there, and no file that is opened instead gets to hear it."""
    command = f"{' '.join(MOUNTPLAN)} {words.format(saved)} </dev/null {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment())
    assert (status, False) == (done.returncode, "Traceback" in done.stderr)
    if status == 2 and "2>&-" not in closed:
        assert done.stderr

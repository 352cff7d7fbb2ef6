"""run on a terminal: a person at a shell must not notice that something stands between it and the command."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import PROC, How, programs
from tests.hosts import CHECKOUT, PATIENCE, InHost, moments, mount

pytestmark = pytest.mark.needs_kernel("set-group", "bash")

CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"
PROMPT, INNER = "outer> ", "inner> "
DEV = '[[mount]]\ntarget = "/dev"\nbind = "/dev"\nrecursive = true\n'

WAYS: list[tuple[How, str]] = [("execute", ""), ("execute", "pid"), ("run", ""), ("run", "pid")]
as_a_command = pytest.mark.parametrize(("how", "kind"), WAYS[:2], ids=["execute", "execute-pid"])
every_way = pytest.mark.parametrize(("how", "kind"), WAYS, ids=["execute", "execute-pid", "run", "run-pid"])


class Terminal:
    """What a person sees and types; a shell runs on the other side."""

    def __init__(self, master: int, shell: int) -> None:
        self.master = master
        self.shell = shell
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, words: str, timeout: float = 20) -> str:
        """Everything up to `words`, which must come; what comes after them is for the next call."""
        deadline = time.monotonic() + timeout * PATIENCE
        while words not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{words!r} does not come: {self.seen!r}"
            self.seen += os.read(self.master, 4096).decode(errors="replace").replace("\r\n", "\n")
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def expect_stopped(self, name: str, timeout: float = 20) -> None:
        """Wait until the program `name` has stopped.

        A program that calls run() stops when its command does, but not after it; until that has got the signal too,
        it still reads what is typed.
        """
        deadline = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < deadline:
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    words, _, rest = path.read_text().rpartition(") ")
                except OSError:
                    continue
                state, _, _, session = rest.split()[:4]
                if state == "T" and int(session) == self.shell and words.endswith(f"({name}"):
                    return
            time.sleep(0.02)
        pytest.fail(f"{name} does not stop")

    def hang_up(self) -> None:
        """Close the window."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def do(self, line: str) -> str:
        """Type a line at the shell's prompt; what it printed until the next prompt."""
        self.type(line + "\n")
        return self.expect(PROMPT)


@contextmanager
def terminal(*shell: str) -> Iterator[Terminal]:
    """A shell on a terminal of its own, of which it is the session's leader."""
    master, slave = os.openpty()
    settings = termios.tcgetattr(slave)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(slave, number)
        os.chdir(CHECKOUT)
        environment = {**os.environ, "PS1": PROMPT, "TERM": "dumb", "HISTFILE": "", "PYTHONPATH": str(CHECKOUT)}
        os.execvpe(shell[0], shell, environment)
    os.close(slave)
    screen = Terminal(master, pid)
    try:
        yield screen
    finally:
        screen.hang_up()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(pid, 0)


def on_terminal(function: Callable[[Terminal, str], None], how: How, kind: str, run: str = "") -> Callable[[], None]:
    """`function` with a shell on a terminal, and the words with which a command is run in a tree there."""

    def script() -> None:
        mount("none", "/tmp", "tmpfs")
        run_ = run + ('\nunshare = ["pid"]' if kind else "")
        Path("/tmp/spec.toml").write_text(programs(run_, DEV + (PROC if kind else "")))
        with terminal("bash", "--norc", "--noprofile", "--noediting", "-i") as screen:
            screen.expect(PROMPT)
            function(screen, f"{sys.executable} -m tests.commands {how} /tmp/spec.toml")

    return script


@every_way
def test_the_command_reads_what_is_typed(how: How, kind: str, in_host: InHost) -> None:
    """It is in the foreground: anything else would be stopped by SIGTTIN."""

    def use(screen: Terminal, run: str) -> None:
        screen.type(f"{run} sh -c 'echo ready; read x; echo \"<$x>\"'; echo status=$?\n")
        screen.expect("ready\n")
        screen.type("some words\n")
        assert "<some words>\nstatus=0\n" == screen.expect("status=0\n")

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_ctrl_c_ends_the_command_with_130(how: How, kind: str, in_host: InHost) -> None:
    def use(screen: Terminal, run: str) -> None:
        screen.type(f"{run} sh -c 'echo ready; exec sleep 100'\n")
        screen.expect("ready\n")
        screen.type(CTRL_C)
        screen.expect(PROMPT)
        assert screen.do("echo status=$?").startswith("status=130\n")

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_a_command_that_handles_ctrl_c_gets_it_once_and_goes_on(how: How, kind: str, in_host: InHost) -> None:
    def use(screen: Terminal, run: str) -> None:
        shell = 'trap "echo caught" INT; echo ready; for i in $(seq 25); do sleep 0.02; done; echo over; exit 4'
        screen.type(f"{run} sh -c '{shell}'; echo status=$?\n")
        screen.expect("ready\n")
        screen.type(CTRL_C)
        assert 1 == screen.expect("status=4\n").count("caught")

    in_host(on_terminal(use, how, kind))


@every_way
def test_ctrl_z_stops_it_and_fg_continues_it(how: How, kind: str, in_host: InHost) -> None:
    def use(screen: Terminal, run: str) -> None:
        for _ in range(2):
            screen.type(f"{run} cat\n")
            screen.type("one\n")
            screen.expect("one\n")
            screen.type(CTRL_Z)
            assert "Stopped" in screen.expect(PROMPT)
            screen.expect_stopped("cat")
            assert "Stopped" in screen.do("jobs")
            screen.type("fg\n")
            screen.expect("cat\n")
            screen.type("two\n")
            screen.expect("two\n")
            screen.type(CTRL_D)
            screen.expect(PROMPT)
            assert screen.do("echo status=$?").startswith("status=0\n")

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_a_command_that_stops_by_itself_is_a_stopped_job(how: How, kind: str, in_host: InHost) -> None:
    """As editors do on Ctrl-Z: they handle it, tidy the screen, and then stop themselves."""

    def use(screen: Terminal, run: str) -> None:
        screen.type(f"{run} sh -c 'echo ready; kill -STOP $$; echo again; exit 6'\n")
        assert "Stopped" in screen.expect(PROMPT)
        screen.type("fg\n")
        screen.expect("again\n")
        screen.expect(PROMPT)
        assert screen.do("echo status=$?").startswith("status=6\n")

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_a_command_that_ignores_ctrl_z_is_not_stopped_behind_its_back(how: How, kind: str, in_host: InHost) -> None:
    """If only we stopped, the shell would take the terminal from a command that still runs."""

    def use(screen: Terminal, run: str) -> None:
        shell = 'trap "" TSTP; echo ready; read x; echo "<$x>"; exit 8'
        screen.type(f"{run} sh -c '{shell}'; echo status=$?\n")
        screen.expect("ready\n")
        screen.type(CTRL_Z)
        time.sleep(0.3)
        screen.type("still here\n")
        assert "Stopped" not in screen.expect("<still here>\nstatus=8\n")

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_a_job_in_the_background_stops_when_it_reads(how: How, kind: str, in_host: InHost) -> None:
    def use(screen: Terminal, run: str) -> None:
        screen.do(f"{run} cat &")
        for _ in moments():
            if "Stopped" in screen.do("jobs"):
                break
        else:
            pytest.fail("the job does not stop")
        screen.type("fg\n")
        screen.expect("cat\n")
        screen.type("words\n")
        screen.expect("words\n")
        screen.type(CTRL_D)
        screen.expect(PROMPT)

    in_host(on_terminal(use, how, kind))


@as_a_command
def test_a_shell_inside_has_job_control(how: How, kind: str, in_host: InHost) -> None:
    def use(screen: Terminal, run: str) -> None:
        screen.type(f"{run} bash --norc --noprofile --noediting -i\n")
        assert "job control" not in screen.expect(INNER)  # "no job control in this shell", it would say
        screen.type("sh -c 'echo ready; exec sleep 100'\n")
        screen.expect("ready\n")
        screen.type(CTRL_Z)
        assert "Stopped" in screen.expect(INNER)
        screen.type("fg\n")
        screen.expect("sleep 100'\n")
        time.sleep(0.3 * PATIENCE)  # the shell tells what it continues before it gives it the terminal
        screen.type(CTRL_C)
        screen.expect(INNER)
        screen.type("echo inner=$?\n")
        assert screen.expect(INNER).strip().startswith("inner=130")
        screen.type("exit 3\n")
        screen.expect(PROMPT)
        assert screen.do("echo status=$?").startswith("status=3\n")

    in_host(on_terminal(use, how, kind, f'environment = {{ PS1 = "{INNER}" }}'))


@as_a_command
def test_the_terminal_is_ours_again_after_a_shell_inside(how: How, kind: str, in_host: InHost) -> None:
    """A script has no job control and would not take it back by itself; its next read would fail."""

    def use(screen: Terminal, run: str) -> None:
        inner = f"{run} bash --norc --noprofile --noediting -i"
        Path("/tmp/script").write_text(f'{inner}\nread x\necho "<$x>"\n')
        screen.type("sh /tmp/script\n")
        screen.expect(INNER)
        screen.type("exit\n")
        screen.expect("exit\n")
        screen.type("for the script\n")
        screen.expect("<for the script>\n")

    in_host(on_terminal(use, how, kind, f'environment = {{ PS1 = "{INNER}" }}'))


@as_a_command
def test_nothing_runs_on_when_the_terminal_hangs_up(how: How, kind: str, in_host: InHost) -> None:
    argument = f"4711.{os.getpid()}"

    def running() -> list[Path]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes() == b"sleep\0" + argument.encode() + b"\0":
                    found.append(path)
            except OSError:
                pass
        return found

    def use(screen: Terminal, run: str) -> None:
        screen.type(f"{run} sh -c 'echo ready; exec sleep {argument}'\n")
        screen.expect("ready\n")
        for _ in moments():  # the shell has said it before it became sleep
            if running():
                break
        assert running()
        screen.hang_up()
        for _ in moments():
            if not running():
                return
        pytest.fail("the command still runs")

    in_host(on_terminal(use, how, kind))

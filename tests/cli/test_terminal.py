"""What commands print on a real terminal of one width or another: a pseudo-terminal, looked at from its other end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from mountplan.planner.render.words import width
from tests.hosts import CHECKOUT

_SIGN_OF_LIFE = re.compile(r"[a-z ]+ \.\.\.\r\x1b\[K")  # where the machine is busy
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(*words: str, columns: int, lines: int = 200, status: int = 0, **more: str) -> str:
    """All that a command writes on a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "PAGER", "NO_COLOR")}
    child = subprocess.Popen(
        [sys.executable, "-m", "mountplan", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=inherited
        | {"PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "LC_ALL": "C.UTF-8", "MOUNTPLAN_PAGER": "cat", **more},
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:
        pass  # EIO: nothing has it open any more
    os.close(ours)
    assert status == child.wait(), seen
    return _SIGN_OF_LIFE.sub("", seen.decode()).replace("\r\n", "\n")


def test_no_line_of_a_simulation_is_wider_than_the_terminal(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(
        "mkdir -p /here/and/there /here/and/everywhere\nmount -t tmpfs a /here/and/there\n"
        "mount --make-shared /here/and/there\nmount --bind /here/and/there /here/and/everywhere\n"
        "mkdir /here/and/there/x\nmount -t tmpfs b /here/and/there/x\numount /nowhere\n"
    )
    told = on_terminal("simulate", str(script), columns=60).splitlines()
    assert [] == [line for line in told if width(_ESCAPES.sub("", line)) > 60]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_row_of_a_plan_is_wider_than_the_terminal(columns: int) -> None:
    for words in (["plan", "--rootless", "never"], ["plan", "--steps", "--rootless", "never"]):
        text = _ESCAPES.sub("", on_terminal(*words, str(CHECKOUT / "specs/complex-sharing.toml"), columns=columns))
        tree = text[text.index("Tree") :]
        assert [] == [line for line in tree.splitlines()[1:] if width(line) > columns]


def test_sentences_are_wrapped_between_words(tmp_path: Path) -> None:
    """What differs, what was verified, and what the kernel has."""
    table = "1 0 0:1 / / rw,relatime - tmpfs tmpfs rw\n"
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(table)
    other.write_text(table + "".join(f"{number} 1 0:2 / /{number} rw - tmpfs tmpfs rw\n" for number in (2, 3)))
    spec = tmp_path / "masked.toml"
    masks = ", ".join(f'{{ path = "no{number}", optional = true }}' for number in range(9))
    spec.write_text(f'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\nmask = [{masks}]\n')
    doctor = subprocess.run([sys.executable, "-m", "mountplan", "doctor"], cwd=CHECKOUT, capture_output=True)
    texts = [
        on_terminal("diff", f"mountinfo:{one}", f"mountinfo:{other}", columns=40, status=1),
        on_terminal("example", columns=40),
        on_terminal("plan", str(spec), columns=40).partition("Left out")[2],
        on_terminal("check", str(spec), columns=40).partition("Left out")[2],
        on_terminal("doctor", columns=40, status=doctor.returncode),  # an ordinary user may lack some features
    ]
    for text in texts:
        lines = _ESCAPES.sub("", text).splitlines()
        assert [] == [line for line in lines if width(line) > 40 and " " in line.strip()]
        assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_a_plan_of_thirty_mounts_fits_two_screens(tmp_path: Path) -> None:
    spec = tmp_path / "thirty.toml"
    mounts = "".join(f'[[mount]]\ntarget = "/m/{number}"\ntype = "tmpfs"\n' for number in range(29))
    spec.write_text(f'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n{mounts}')
    assert on_terminal("plan", str(spec), columns=80).count("\n") <= 48


def test_what_is_longer_than_the_terminal_goes_through_the_pager() -> None:
    spec = str(CHECKOUT / "specs/complex-sharing.toml")
    paged = on_terminal("plan", spec, columns=80, lines=10, MOUNTPLAN_PAGER="head -n 2")
    assert 2 == paged.count("\n")
    whole = on_terminal("plan", spec, columns=80, lines=200, MOUNTPLAN_PAGER="head -n 2")
    assert whole == on_terminal("plan", spec, columns=80, lines=10, MOUNTPLAN_PAGER="cat")
    assert whole == on_terminal("plan", "--no-pager", spec, columns=80, lines=10, MOUNTPLAN_PAGER="head -n 2")
    assert whole == on_terminal("plan", spec, columns=80, lines=10, MOUNTPLAN_PAGER="no-such-pager-here")


def test_a_private_mount_is_dim_and_a_directory_of_that_name_is_not() -> None:
    shown = on_terminal("show", "pid:self", columns=200)
    assert "\x1b[2mprivate\x1b[0m" in shown or "private" not in shown
    spec = str(CHECKOUT / "specs/complex-sharing.toml")
    assert "\x1b[2mprivate" not in on_terminal("plan", spec, columns=120)

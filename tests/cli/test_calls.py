"""-v: each system call as it happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mountplan.planner.characters import is_plain
from tests.commands import command_line
from tests.hosts import Identity, InHost
from tests.keptnames import on_run

pytestmark = pytest.mark.usefixtures("all_imported")

SPEC = """
format = 1
name = "told"
[[mount]]
target = "/"
type = "tmpfs"
options = { size = "1m" }
[[mount.file]]
path = "etc/motd"
content = "hello"
mode = "0600"
[[mount]]
target = "/a"
type = "tmpfs"
"""


def _told(*words: str, stdin: str = SPEC) -> tuple[int, list[str], str]:
    ended = command_line(*words, stdin=stdin)
    return ended.status, ended.err.splitlines(), ended.out


@pytest.mark.parametrize("identity", ["root", "nobody"])
def test_a_build_tells_its_steps_and_their_calls_on_standard_error(identity: Identity, in_host: InHost) -> None:
    """In the order in which they happen; what is printed besides is the same as without."""

    def script() -> list[tuple[int, list[str], str]]:
        return [_told("apply", "--forget", "-v", "-"), _told("apply", "--forget", "-q", "-")]

    (status, lines, out), plain = in_host(script, identity=identity)
    assert 0 == status
    assert (0, [], "") == plain
    assert "Built" in out
    at = lines.index("step 4: new tmpfs / (size=1m)")
    assert lines[at + 1].startswith('fsopen("tmpfs") = ')
    assert ', FSCONFIG_SET_STRING, "size", "1m", 0)' in "".join(lines[at:])
    made = [line for line in lines if line.startswith(("mkdir", "open("))]
    assert any(re.fullmatch(r'mkdir\("etc", 0755, dir_fd=\d+\)', line) for line in made)
    opened = r'open\("etc/motd", O_WRONLY\|O_CREAT\|O_EXCL\|O_CLOEXEC\|O_NOFOLLOW, 0600, dir_fd=\d+\) = \d+'
    assert any(re.fullmatch(opened, line) for line in made)
    moved = [line for line in lines if line.startswith("move_mount(")]
    assert len(moved) >= 3
    assert all("MOVE_MOUNT_F_EMPTY_PATH" in line for line in moved)
    assert not any(line.startswith(("step", "fsopen")) for line in out.splitlines())


def test_a_refused_call_is_told_with_its_errno(in_host: InHost) -> None:
    """Beside the message, which says what it means."""
    full = SPEC.replace('size = "1m"', 'nr_inodes = "1"')
    status, lines, _ = in_host(lambda: _told("apply", "--forget", "-v", "-", stdin=full))
    assert 3 == status
    assert [
        line for line in lines if line.startswith("mkdir(") and line.endswith(" = -1 ENOSPC (No space left on device)")
    ]


def test_nothing_harmful_in_a_path_is_printed(in_host: InHost) -> None:
    """The names in steps were."""
    harmful = SPEC.replace("etc/motd", r"a\u001b[31m\u009b\u202e\u3164/motd").replace('"/a"', r'"/b\u001b"')
    status, lines, _ = in_host(lambda: _told("apply", "--forget", "-v", "-", stdin=harmful))
    assert 0 == status
    assert not [line for line in lines if not is_plain(line)]
    assert [line for line in lines if r"/b\x1b" in line]


def test_run_rm_and_capture_tell_theirs(in_host: InHost, tmp_path: Path) -> None:
    def script() -> list[list[str]]:
        said = [_told("run", "-v", "-", "--", "/nosuch")[1], _told("apply", "-", "-q")[1]]
        said += [_told("capture", "-v", "told")[1], _told("rm", "-v", "told")[1]]
        return [sorted({line.partition("(")[0] for line in lines if "(" in line and ")" in line}) for lines in said]

    run, _, capture, rm = in_host(on_run(script))
    assert {"fsopen", "fsconfig", "fsmount", "move_mount", "pivot_root", "unshare"} <= set(run)
    assert {"setns", "listmount"} <= set(capture)
    assert "umount2" in rm

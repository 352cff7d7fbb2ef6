"""The watch over a machine, of which tests/cli/test_host_unchanged.py makes use: it sees each kind of change."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import InHost, mount, run_in_child, setns, umount
from tests.machine import be_sandbox, be_service, on_machine, spawn
from tests.machinestate import differences, look
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_REMOUNT

# What is done, and what is to be found in the lines that tell of it.
CHANGES = {
    "nothing": "",
    "a mount": r"file /run/tool/ns/app.mnt: \+ .* /srv/data .*process 1 machine: \+ .* /srv/data ",
    "an option": r"process 1 machine: - .*/srv/feed .* tmpfs feed rw.*\+ .*size=8k",
    "sharing": r"process 1 machine: - .*/run/netns .*shared:",
    "of another": r"^mounts of process \d+ sandbox: \+ .* \S*/usr /mnt [^|]*$",
    "a directory": r"^files: \+ /srv/made 40755 0 0$",
    "a mode": r"^files: - /srv/made 40755 0 0\|files: \+ /srv/made 40700 0 0$",
    "a process": r"^processes: \+ process \d+ left-behind$",
    "an end": r"processes: - process \d+ service.*mounts of process \d+ service: - ",
    "a namespace": r"mounts of file /run/tool/ns/app.mnt: - ",
    "a loop device": r"loop devices: \+ loop\d+ /srv/images/i$",
}


@pytest.mark.needs_kernel("root", "loop", "fs:debugfs", "fs:tracefs", "fs:cgroup2", "mkfs.ext4")
def test_each_kind_of_change_is_seen_and_told(in_host: InHost) -> None:
    """What is not looked at, any command can change, and nobody will know."""
    found = in_host(on_machine(change_everything), identity="root")
    assert "" == found["nothing"]
    assert [] == [what for what, wanted in CHANGES.items() if not re.search(wanted, found[what])], found


def change_everything() -> dict[str, str]:
    """What is seen of each change, in one line."""
    service, sandbox = spawn("service", be_service), spawn("sandbox", be_sandbox)
    Path("/srv/images/i").write_bytes(bytes(1 << 20))
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "/srv/images/i"], check=True)

    def mount_in_sandbox() -> None:
        setns(os.open(f"/proc/{sandbox}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        mount("/usr", "/mnt", flags=MS_BIND)

    def end_service() -> None:
        os.kill(service, signal.SIGKILL)
        os.waitpid(service, 0)

    actions: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "a mount": lambda: mount("new", "/srv/data", "tmpfs"),
        "an option": lambda: mount("", "/srv/feed", flags=MS_REMOUNT, data="size=8k"),
        "sharing": lambda: mount("", "/run/netns", flags=MS_PRIVATE),
        "of another": lambda: run_in_child(mount_in_sandbox),
        "a directory": lambda: os.mkdir("/srv/made"),
        "a mode": lambda: os.chmod("/srv/made", 0o700),
        "a process": lambda: spawn("left-behind", lambda: None),
        "an end": end_service,
        "a namespace": lambda: umount("/run/tool/ns/app.mnt"),
        "a loop device": lambda: subprocess.run(["mount", "-o", "loop", "/srv/images/i", "/mnt"], check=True),
    }
    assert CHANGES.keys() == actions.keys()
    seen = {}
    for what, action in actions.items():
        before = look()
        action()
        seen[what] = "|".join(differences(before, look(), frozenset(), frozenset(), 0))
    return seen

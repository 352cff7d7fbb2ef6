"""Several hosts on one machine, for Ansible: a process each, with a mount, pid, network and UTS namespace and a /run of
its own; and Ansible itself, which `make test-fleet` installs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.hosts import (
    CHECKOUT,
    CLONE_NEWNS,
    CLONE_NEWPID,
    PATIENCE,
    moments,
    mount,
    open_the_way,
    unshare,
)
from tests.mountflags import MS_PRIVATE, MS_REC

FLEET = CHECKOUT / ".venv-fleet"
COLLECTION = CHECKOUT / "contrib" / "ansible"
CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000
USER, FIRST = 20001, 300000
NAMES = ("one", "two", "three")


def fleet_of() -> str:
    """Why there is nothing to test with, "" if there is."""
    if not (FLEET / "bin" / "ansible-playbook").exists():
        return "needs .venv-fleet: `make test-fleet` makes it"
    return "" if os.environ.get("MOUNTPLAN_FLEET") else "`make test-fleet` runs it"


class FleetHost(NamedTuple):
    name: str
    pid: int

    def run(self, *words: str | Path) -> str:
        """What a command says in there."""
        line = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--uts", *words]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
        return ended.stdout + ended.stderr

    def mountplan(self, *words: str | Path) -> str:
        return self.run(sys.executable, "-m", "mountplan", *words)


@contextmanager
def hosts(names: tuple[str, ...] = NAMES, *, with_ids: tuple[str, ...] = NAMES) -> Iterator[dict[str, FleetHost]]:
    """They end with all that runs in them. The user `deploy` has subordinate ids on those of `with_ids`."""
    found: dict[str, FleetHost] = {}
    try:
        for name in names:
            found[name] = FleetHost(name, _start(name, with_ids=name in with_ids))
        yield found
    finally:
        for one in found.values():
            os.kill(one.pid, signal.SIGKILL)
        for _ in moments():
            if not any(os.path.exists(f"/proc/{one.pid}/root") for one in found.values()):
                break


def _start(name: str, *, with_ids: bool) -> int:
    """The process 1 of a new host, as this machine sees it, once all is mounted."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    outer = os.fork()
    if outer == 0:
        try:
            unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS)
            inner = os.fork()
            if inner == 0:
                _be_host(name, writing, with_ids=with_ids)
            os.write(writing, f"{inner} ".encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as file:
        told = file.read()
    os.waitpid(outer, 0)
    number, _, ready = told.partition(" ")
    if not told.endswith("ready"):
        number, ready = told.removeprefix("ready").strip(), "ready" if told.startswith("ready") else ""
    assert ready == "ready", f"the host {name} does not come up: {told!r}"
    return int(number)


def _be_host(name: str, writing: int, *, with_ids: bool) -> None:
    os.setsid()
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    open_the_way([Path(sys.base_prefix), Path(sys.prefix), CHECKOUT])
    for target, data in (("/run", "mode=0755"), ("/srv", "mode=0755"), ("/opt", "mode=0755"), ("/home", "mode=0755")):
        mount("none", target, "tmpfs", data=data)
    mount("proc", "/proc", "proc")
    os.makedirs(f"/run/user/{USER}")
    os.chown(f"/run/user/{USER}", USER, USER)
    os.mkdir("/home/deploy")
    os.chown("/home/deploy", USER, USER)
    for one in ("upper", "work"):
        os.makedirs(f"/run/etc/{one}")
    mount("etc", "/etc", "overlay", data="lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work")
    ranges = f"deploy:{FIRST}:65536\n" if with_ids else ""
    Path("/etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\ndeploy:x:{USER}:{USER}::/home/deploy:/bin/bash\n")
    Path("/etc/group").write_text(f"root:x:0:\ndeploy:x:{USER}:\n")
    Path("/etc/subuid").write_text(ranges)
    Path("/etc/subgid").write_text(ranges)
    subprocess.run(["hostname", name], check=True)
    os.write(writing, b"ready")
    os.close(writing)
    while True:
        try:
            os.wait()  # what is left behind
        except ChildProcessError:
            signal.sigtimedwait({signal.SIGCHLD}, 1)


class Recap(NamedTuple):
    """What Ansible says of a host in the end."""

    ok: int
    changed: int
    failed: int


class Played(NamedTuple):
    text: str
    recap: Mapping[str, Recap]


def play(folder: Path, there: Mapping[str, FleetHost], playbook: str, *words: str, **more: str) -> Played:
    """Carry a playbook out on the hosts. `more` are lines of variables, by the host's name."""
    inventory = folder / "inventory"
    lines = [f"{one.name} nsenter_pid={one.pid} {more.get(one.name, '')}" for one in there.values()]
    inventory.write_text("\n".join(lines) + "\n")
    (folder / "play.yml").write_text(playbook)
    place = folder / "collections" / "ansible_collections" / "mountplan" / "mountplan"
    if not place.exists():
        place.parent.mkdir(parents=True)
        shutil.copytree(COLLECTION, place)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_CONNECTION_PLUGINS": str(CHECKOUT / "tests" / "fleet" / "connection"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore",
        "LC_ALL": "C.UTF-8",
    }
    variables = {
        "ansible_connection": "nsenter_host",
        "ansible_python_interpreter": str(FLEET / "bin" / "python"),
        "ansible_become_method": "su",
        "ansible_become_exe": "/usr/sbin/runuser",
        "ansible_remote_tmp": "/run/ansible",
        "mountplan": str(Path(sys.prefix) / "bin" / "mountplan"),
    }
    command: list[str | Path] = [FLEET / "bin" / "ansible-playbook", "-i", inventory, folder / "play.yml", *words]
    command += [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300 * PATIENCE,
        check=False,
    )  # fmt: skip
    text = ended.stdout + ended.stderr
    recap = {
        name: Recap(int(ok), int(changed), int(failed))
        for name, ok, changed, failed in re.findall(
            r"^(\w+) +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=(\d+)", text, re.M
        )
    }
    assert recap.keys() == there.keys(), text
    return Played(text, recap)

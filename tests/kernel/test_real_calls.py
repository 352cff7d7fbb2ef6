"""mount(8), umount(8) and unshare(1) make the calls that the model takes their words for: held against strace(1).

With the util-linux of the machine, and with those that MOUNTPLAN_UTIL_LINUX names (packages that are unpacked).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan.planner.commands.util_linux import NEWEST, OLDEST
from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import simulate
from tests.hosts import InHost, mount
from tests.kernel.real_calls import UtilLinux, modelled, traced, versions
from tests.mountflags import MS_NOSUID, MS_RDONLY

pytestmark = [
    pytest.mark.needs_kernel("root", "unshare"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace(1) is not installed"),
]

TABLE = """\
# what `mount -a` reads
one /mnt/b tmpfs ro,size=1m 0 0
two /mnt/none tmpfs noauto,user 0 0
three /mnt/c tmpfs defaults,nofail,private 0 0
/mnt/a /mnt/d none bind,noexec 0 0
/dev/null none swap sw 0 0
src /mnt/a tmpfs defaults
"""
BEGIN = """\
mkdir -p /mnt
mount -t tmpfs base /mnt
mkdir /mnt/a /mnt/b /mnt/c /mnt/d
mount -t tmpfs src /mnt/a
mkdir /mnt/a/x
mount -t tmpfs -o ro,nosuid sub /mnt/a/x
"""

ATTRIBUTES = (
    "ro", "rw", "ro,rw", "rw,ro", "nosuid,nodev,noexec", "nosuid,suid", "user", "users", "owner", "group", "user,exec",
    "user,noexec,nouser", "noatime", "relatime", "strictatime", "nodiratime", "noatime,atime", "noatime,norelatime",
    "strictatime,nostrictatime", "relatime,nodiratime,noatime", "noatime,relatime", "nosymfollow",
    "nosymfollow,symfollow", "defaults",
    "x-y=z,comment=c,_netdev,nofail", "noauto,ro", "ro=recursive", "ro=vfs", "ro=fs",
    "noexec=recursive", "X-mount.noloop,X-mount.nocanonicalize", "X-other=1",
    "shared", "private,ro", "rslave", "ro,unbindable",
)  # fmt: skip
ROWS = [
    *(f"mount -t tmpfs -o {one} y /mnt/b" for one in ATTRIBUTES),
    *(f"mount --bind -o {one} /mnt/a /mnt/b" for one in ATTRIBUTES),
    *(f"mount -o remount,{one} /mnt/a/x" for one in ATTRIBUTES),
    *(f"mount -o remount,bind,{one} /mnt/a" for one in ATTRIBUTES),
    *(f"mount -o remount,bind,{one} other /mnt/a/x" for one in ATTRIBUTES[:12]),
    *(f"mount --rbind -o {one} /mnt/a /mnt/b" for one in ("ro", "rw,nosuid", "ro=recursive,nosuid", "rslave")),
    "mount -t tmpfs -o size=1m,mode=0700,ro y /mnt/b",
    "mount -r -t tmpfs y /mnt/b",
    "mount -t tmpfs y /mnt/b -w -o nodev",
    "mount -t tmpfs -o sync,dirsync,lazytime,silent y /mnt/b",
    "mount --bind -o sync,dirsync,lazytime,silent /mnt/a /mnt/b",
    "mount -o remount,bind,sync,lazytime,silent /mnt/a",
    "mount -t tmpfs -o X-mount.mode=755,X-mount.owner=root y /mnt/b",
    "mount -B /mnt/a /mnt/b",
    "mount -R /mnt/a /mnt/b",
    "mount -M /mnt/a/x /mnt/b",
    "mount -o move /mnt/a/x /mnt/b",
    "mount -o bind,rbind /mnt/a /mnt/b",
    "mount --bind --make-private /mnt/a /mnt/b",
    "mount --make-rslave /mnt/a",
    "mount --make-shared --make-private /mnt/a",
    "mount --source src -o remount,rw",
    "mount -o remount,ro src",
    "mount --source y --target /mnt/b -t tmpfs",
    "mount --bind /mnt/a --target /mnt/b",
    "mount -m -t tmpfs y /mnt/q/r",
    "mount --mkdir=0700 -t tmpfs y /mnt/q/r",
    "mount -t tmpfs -o X-mount.mkdir=0755 y /mnt/q/r",
    "mount --target-prefix /mnt -t tmpfs y /b",
    "mount --target-prefix /mnt --bind /mnt/a b",
    "mount -f -t tmpfs y /mnt/b",
    "mount -a -T /mnt/tab",
    "mount -a -T /mnt/tab -t tmpfs",
    "mount -a -T /mnt/tab -t notmpfs",
    "mount -a -T /mnt/tab -O private",
    "mount -a -T /mnt/tab -O noprivate",
    "mount -T /mnt/tab two --target-prefix /mnt -f",
    "mount -T /mnt/tab /mnt/b",
    "mount -T /mnt/tab -o noexec one",
    "mount -T /mnt/tab -o rw /mnt/b",
    "mount -t tmpfs -o loop /mnt/none /mnt/b",
    "umount /mnt/a/x",
    "umount -l /mnt/a",
    "umount sub",
    "umount -R /mnt/a",
    "umount -A sub",
    "umount -A -R src",
    "umount -A src",
    "umount --fake /mnt/a/x",
    "umount -d /mnt/a/x",
    "umount -nvqf /mnt/a/x",
    "umount -r /mnt/a/x",
    "umount /mnt/a/x /mnt/a",
    "umount /mnt/b /mnt/a/x",
]
NEWER = {
    (2, 39): [
        'mount -t tmpfs -o size="1m",ro y /mnt/b',
        "mount --onlyonce -t tmpfs src /mnt/a",
        "mount --onlyonce -t tmpfs y /mnt/a",
        "mount --bind -o X-mount.subdir=x /mnt/a /mnt/b",
    ],
    (2, 42): [
        "mount --beneath -t tmpfs y /mnt/a",
        "mount --beneath -t tmpfs -o ro,noexec,size=1m y /mnt/a",
        "mount --beneath --bind -o ro /mnt/b /mnt/a",
        "mount --beneath --move /mnt/a/x /mnt/a",
        "mount --exclusive -t tmpfs y /mnt/b",
    ],
}


@pytest.fixture(scope="module", params=versions(), ids=lambda one: ".".join(map(str, one.version)))
def util_linux(request: pytest.FixtureRequest) -> UtilLinux:
    found: UtilLinux = request.param
    if not OLDEST <= found.version <= NEWEST:
        pytest.skip(f"util-linux {found.version} is not known")
    return found


def on_the_machine(rows: list[str], util_linux: UtilLinux) -> Callable[[], dict[str, tuple[int, list[str]]]]:
    """Each row begins with the same mounts: a process of its own in a namespace of its own makes them."""

    def run() -> dict[str, tuple[int, list[str]]]:
        found = {}
        for row in rows:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                from mountplan.applier.sys import abi, syscalls

                os.close(reading)
                syscalls.unshare(abi.CLONE_NEWNS)
                mount("none", "/run", "tmpfs", data="mode=755")
                mount("base", "/mnt", "tmpfs", data="mode=755")
                for name in "abcd":
                    os.mkdir(f"/mnt/{name}")
                mount("src", "/mnt/a", "tmpfs", data="mode=755")
                os.mkdir("/mnt/a/x")
                mount("sub", "/mnt/a/x", "tmpfs", flags=MS_RDONLY | MS_NOSUID)
                Path("/mnt/tab").write_text(TABLE)
                os.write(writing, repr(traced(_split(row), util_linux.root)).encode())
                os._exit(0)
            os.close(writing)
            with os.fdopen(reading, "rb") as file:
                text = file.read()
            os.waitpid(child, 0)
            found[row] = eval(text) if text else (-1, ["nothing"])
        return found

    return run


def _split(row: str) -> list[str]:
    return row.split()  # quotation marks are for mount(8) here


def in_the_model(row: str, util_linux: UtilLinux) -> tuple[int, list[str]] | None:
    """None if the row is refused, as what goes to the filesystem is in old versions."""
    quoted = row.replace('"', '\\"')
    script = f"{BEGIN}touch /mnt/tab\n{quoted}\n"
    try:
        simulation = simulate(script, files={"/mnt/tab": TABLE}, util_linux=lambda: util_linux.version)
    except SpecError as error:
        assert "to the filesystem as an option of its own" in str(error)
        return None
    last = script.count("\n")
    done = [one for one in simulation.done if one.line == last]
    told = modelled([one.action for one in done])
    ran = [one for one in simulation.ran if one.line == last]
    return ran[-1].status, told


def test_the_real_programs_make_the_calls_that_they_are_taken_for(util_linux: UtilLinux, in_host: InHost) -> None:
    rows = ROWS + [row for since, some in NEWER.items() if util_linux.version >= since for row in some]
    wanted = {row: told for row in rows if (told := in_the_model(row, util_linux)) is not None}
    assert 190 < len(wanted)
    found = in_host(on_the_machine(list(wanted), util_linux), identity="root", timeout=300)
    differ = {
        row: f"{wanted[row]} is {(status, told)}"
        for row, (status, told) in found.items()
        if (status, [_bare(one) for one in told]) != (wanted[row][0], [_bare(one) for one in wanted[row][1]])
    }
    assert not differ, "\n".join(f"{row}: {what}" for row, what in differ.items())


def _bare(told: str) -> str:
    """Without the errno: which call failed shows in the status."""
    return told.rpartition(" E")[0] if told.rpartition(" ")[2].startswith("E") else told

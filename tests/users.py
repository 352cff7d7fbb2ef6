"""The suite as each kind of user runs it: python -m tests.users [--as KIND]... [--debian13] [PYTEST ARGUMENT...]

As root: one kind after the other, in a copy of the machine's mount namespace in which an ordinary user gets to Python
and to the checkout. Skips and their reasons are pytest's to tell. Exit status 1 if any run failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from tests.hosts import CHECKOUT, NOBODY, enter_host, give_ranges

KINDS = {
    "root": "root",
    "user": "an ordinary user without subordinate ids",
    "user-with-ids": "an ordinary user with subordinate ids",
    "background": "root, as a background job of a script: SIGINT and SIGQUIT ignored, no input",
}
DEBIAN13 = CHECKOUT / "build" / "debian13"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# What is missing for chroot(2) to do: who has a root of its own by chroot may not make a user namespace.
INSIDE = r"""
set -e
mount --bind "$1" "$1"
cd "$1"
for directory in proc sys dev; do mount --rbind /$directory $directory; done
for directory in tmp run; do mount -t tmpfs -o mode=0755 none $directory; done
chmod 1777 tmp
pivot_root . .
umount -l .
cd /checkout
export DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
shift
.ci/packages
make --no-print-directory users-here "$@"
"""


def say(text: str, stream: TextIO | None = None) -> None:
    print(text, file=stream or sys.stdout, flush=True)


def run_as(kind: str, arguments: list[str]) -> int:
    """The exit status of pytest."""
    say(f"\n=== as {KINDS[kind]}")
    home = Path(tempfile.mkdtemp(prefix="mountplan-users-"))
    child = os.fork()
    if child == 0:
        try:
            _become(kind, home)
            # The checkout may be root's, so nothing is written there.
            command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider"]
            os.execv(sys.executable, [*command, "--basetemp", str(home / "temporary"), *arguments])
        except BaseException as error:
            say(f"cannot run the tests as {kind}: {error}", sys.stderr)
        finally:
            os._exit(2)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _become(kind: str, home: Path) -> None:
    if kind == "background":
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    elif kind != "root":
        os.chown(home, NOBODY, NOBODY)
        storage = str(home / "hypothesis")  # which warns, and the test fails, where it cannot write
        os.environ |= {"HOME": str(home), "MOUNTPLAN_REQUIRE_KERNEL": "0", "HYPOTHESIS_STORAGE_DIRECTORY": storage}
        enter_host("root")
        give_ranges() if kind == "user-with-ids" else give_ranges("")
        enter_host("nobody")
    os.chdir(CHECKOUT)


def run_on_debian13(arguments: list[str]) -> int:
    """`make users-here` in a Debian 13 that is made in build/ the first time; 0 where none can be, with the reason."""
    say("\n=== on Debian 13")
    if reason := _debian13():
        say(f"skipped: {reason}")
        return 0
    copy = DEBIAN13 / "checkout"
    copy.mkdir(exist_ok=True)
    for old in copy.iterdir():  # what has been moved or removed since would be a second one
        if old.name != ".venv":
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    subprocess.run(
        f"tar -C '{CHECKOUT}' --null -T - -c | tar -C '{copy}' --no-same-owner -x", input=files, shell=True, check=True
    )
    # What it takes to get at packages from here, a proxy's certificate included.
    for settings in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if os.path.exists(settings):
            shutil.copy(settings, f"{DEBIAN13}{settings}")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", str(DEBIAN13)]
    return subprocess.run([*command, f"USERS={' '.join(arguments)}"]).returncode


def _debian13() -> str:
    """Make it unless it is there; why it cannot be made, if so."""
    if (DEBIAN13 / "made").exists():
        return ""
    if not shutil.which("debootstrap"):
        return "there is no debootstrap here (package debootstrap)"
    shutil.rmtree(DEBIAN13, ignore_errors=True)
    DEBIAN13.mkdir(parents=True)
    packages = "--include=python3,python3-venv,make,ca-certificates"
    # In a mount namespace of its own: debootstrap mounts /proc in there.
    command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", packages]
    done = subprocess.run([*command, "trixie", str(DEBIAN13), MIRROR], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return f"debootstrap failed: {done.stdout.splitlines()[-1:]}"
    (DEBIAN13 / "made").touch()
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as", dest="kinds", action="append", choices=KINDS, help="this kind only")
    parser.add_argument("--debian13", action="store_true", help="all of it in a bootstrapped Debian 13")
    chosen, arguments = parser.parse_known_args()
    if os.geteuid():
        say("only root can run the tests as other users", sys.stderr)
        return 2
    if chosen.debian13:
        words = [word for kind in chosen.kinds or () for word in ("--as", kind)]
        return 1 if run_on_debian13([*words, *arguments]) else 0
    failed = [kind for kind in chosen.kinds or KINDS if run_as(kind, arguments)]
    if failed:
        say(f"\ntests failed as: {', '.join(failed)}", sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

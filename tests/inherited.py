"""What a test run has from the process that started it, brought to one known state: no test depends on it.

A shell without job control starts a background job with SIGINT and SIGQUIT ignored, nohup(1) with SIGHUP; a login has
its umask, locale and terminal, an init system its limits. A test that is about one of these sets it for itself.
"""

from __future__ import annotations

import os
import resource
import signal
from types import FrameType

from tests.hosts import CHECKOUT, PYTHONS_OWN

DESCRIPTORS = 1024  # the soft limit nearly everywhere; the tests of many mounts must do with it
SHOWN = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS")
PLACES = ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_STATE_HOME")


def settle() -> None:
    """Bring this process, and with it all that it starts, to that state. Its standard input is pytest's to choose."""
    _settle_signals()
    os.umask(0o022)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    os.chdir(CHECKOUT)
    for name in [*SHOWN, *PLACES, *(name for name in os.environ if name == "LANGUAGE" or name.startswith("LC_"))]:
        os.environ.pop(name, None)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # No plan is kept from one test to the next, nor in the user's cache. mkfs and losetup are in no user's PATH.
    os.environ |= {
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "SHELL": "/bin/sh",
        "XDG_CACHE_HOME": "/proc/none",
        "PATH": os.pathsep.join([*path, *(one for one in ("/usr/sbin", "/sbin") if one not in path)]),
    }


def _settle_signals() -> None:
    """Nothing is blocked, and programs that we start ignore nothing.

    What we were told to ignore stays without effect on us, by a handler: exec has the default in its place.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - PYTHONS_OWN:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass

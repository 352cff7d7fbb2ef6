"""enter: the calling process goes into kept namespaces and turns into a command there."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from mountplan.applier import syscalls
from mountplan.applier.command import Start, become
from mountplan.applier.kept import Opened
from mountplan.applier.refusal import KernelRefusal, explain
from mountplan.applier.run import check_settings
from mountplan.planner.errors import NamespaceRefused


def enter(found: Opened, namespace: str, command: tuple[str, ...]) -> NoReturn:
    """Become `command` in the mount namespace `namespace`, or the first, as the spec's [run] says.

    The caller must be the only thread. Raises CommandNotStarted, and then this process is inside already, where nothing
    can be imported any more: say why, and exit.
    """
    settings = found.kept.run
    check_settings(settings, command)
    environment = {} if settings.clear_environment else dict(os.environ)
    environment["PWD"] = settings.cwd
    environment.update(settings.environment)
    start = Start(command, environment, settings.cwd, settings.hostname, settings.capabilities, settings.no_new_privs)
    with found.entrances(found.namespace(namespace)) as fds:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        try:
            for fd in fds:
                syscalls.setns(fd, 0)
        except KernelRefusal as refusal:
            meaning, remedy = explain("enter", refusal.errno or 0)
            raise NamespaceRefused(f"cannot enter {found.kept.name}: setns", meaning, remedy) from None
        become(start)

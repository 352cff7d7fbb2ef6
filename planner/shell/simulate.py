"""A shell script of mount commands, carried out in the model: what it makes, what fails, and what stands there then.

Front door to the shell: shell_reading.py has its text, shell_control.py its control flow, shell.py its commands,
shell_builtins.py what it carries out itself, shell_words.py its words, conditions.py its tests.
planner/commands/script_commands.py has mount(8) and the like.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from mountplan.planner.commands.actions import Stage
from mountplan.planner.commands.script_calls import Done, Ran, SeenTable
from mountplan.planner.commands.util_linux import OLDEST, AskVersion
from mountplan.planner.errors import SpecError
from mountplan.planner.model import RULES_6_18, Rules, World
from mountplan.planner.record import NamedTuple
from mountplan.planner.shell.shell import Shell
from mountplan.planner.shell.shell_state import Answers, ExitShell, Stopped
from mountplan.planner.shell.shell_syntax import ScriptError

__all__ = ["Answers", "Done", "Ran", "SeenTable", "Simulation", "empty_world", "errno_words", "simulate"]


class Simulation(NamedTuple):
    """`passed` are the lines and names of commands that mean nothing for mounts, `unasked` the answers to none."""

    done: tuple[Done, ...]
    seen: tuple[SeenTable, ...]
    ran: tuple[Ran, ...] = ()
    passed: tuple[tuple[int, str], ...] = ()
    unasked: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Done, ...]:
        return tuple(one for one in self.done if one.errno)

    @property
    def final(self) -> tuple[SeenTable, ...]:
        """One for each namespace that is left at the end of the script, in the order in which they were made."""
        return tuple(one for one in self.seen if not one.line)


def empty_world(rules: Rules = RULES_6_18) -> Stage:
    """Where a script starts if nothing else is said: a namespace whose root is one private, empty tmpfs.

    Below it lies another one, which cannot be unmounted, as applier/run/rehearse.py has it.
    """
    world = World(rules)
    below, root = world.superblock("tmpfs"), world.superblock("tmpfs")
    return Stage(world, {1: world.boot("1", root, below=below)})


def simulate(
    text: str,
    file: str = "SCRIPT",
    stage: Stage | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    answers: Answers | None = None,
    files: Mapping[str, str] | None = None,
    util_linux: AskVersion = lambda: OLDEST,
) -> Simulation:
    """Carry a script out. `variables` it has from elsewhere (with numbers for names: its arguments), and `answers` say
    what other commands do; `files` has what is in files that it reads. Options are read as that version of util-linux
    reads them, which is asked for only where something hangs on it.

    Raises SpecError with all lines that are not followed; nothing has been carried out then.
    """
    stage = empty_world() if stage is None else stage
    shell = Shell(stage, variables or {}, answers or Answers(), util_linux, files or {})
    shell.lay_out(files or {})
    try:
        shell.run_to_the_end(text)
    except (ExitShell, Stopped):
        pass
    except RecursionError:
        shell.mistakes.append(ScriptError(shell.calls.line, "this is nested too deep", "nest fewer"))
    if shell.mistakes:
        mistakes = sorted(shell.mistakes, key=lambda error: error.line)
        raise SpecError(tuple(dict.fromkeys(error.mistake(file) for error in mistakes)))
    calls = shell.calls
    calls.see_all()
    return Simulation(tuple(calls.done), tuple(calls.seen), tuple(calls.ran), tuple(shell.passed), shell.unasked())


def errno_words(number: int) -> str:
    """The name of an errno and what it says: EBUSY (Device or resource busy)."""
    return f"{errno.errorcode.get(number, str(number))} ({os.strerror(number)})"

"""simulate: a script of mount commands in the model, and, to compare, for real in a throw-away namespace."""

from __future__ import annotations

import re
from errno import ENOENT
from functools import cache, partial
from typing import TYPE_CHECKING

from mountplan.cli.shared_options import add_all, add_kernel, add_set, settings_of
from mountplan.cli.sources import read
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import typed, visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.commands.actions import Stage
    from mountplan.planner.commands.util_linux import Version
    from mountplan.planner.model import Rules
    from mountplan.planner.shell.simulate import Answers


def add(command: NewCommand) -> None:
    parser = command(
        "run a script of mount commands in a model of the kernel",
        "Carry out the lines of a shell script (mount, umount, unshare -m, nsenter,\n"
        "mkdir, rmdir, pivot_root, ...) in a model of the kernel's rules, and show what\n"
        "stands there then, as findmnt would, with peers and masters. Needs no\n"
        "privileges, touches nothing. A command that fails is told with its errno, and\n"
        "the script goes on, through its conditions, loops and functions. What has no\n"
        "meaning for mounts is passed over; what only a machine knows can be said.\n"
        "\n"
        "The calls that no program has words for have these; @NAME is a descriptor:\n"
        "  open_tree [--clone] [--recursive] PATH @NAME\n"
        "  fsmount [--options LIST] [--source TEXT] [--attributes LIST] TYPE @NAME\n"
        "  mount_setattr [--recursive] [--attributes LIST] [--propagation KIND] PATH\n"
        "  move_mount [--beneath|--set-group] FROM TO\n"
        "  close @NAME...",
        "  mountplan simulate build-root.sh\n"
        "  mountplan simulate build-root.sh --compare-kernel   # and the same for real\n"
        "  mountplan simulate setup.sh --var ROOT=/mnt --answer 'blkid *=ext4'\n"
        "  mountplan simulate setup.sh --fails 'grep -q quiet /proc/cmdline'\n"
        "  echo 'mount --rbind / /mnt' | mountplan simulate - --from 1234",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a shell script, or - for standard input")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="SPEC|NAME|PID",
        help="begin with what a spec would build, what is kept, or what a process sees, not with an empty tmpfs",
    )
    for option, form, told in (
        ("var", "NAME=VALUE",
         "a variable that the script has from elsewhere; a number for a name is an argument of the script"),
        ("answer", "COMMAND=OUTPUT",
         "what a command writes that is not carried out here, and that it works; * stands for any text"),
        ("fails", "COMMAND", "that such a command ends with status 1"),
        ("file", "PATH=FILE",
         "what is in a file that the script reads (a table, what it sources): PATH as the script names it"),
    ):  # fmt: skip
        parser.add_argument(f"--{option}", action="append", default=[], metavar=form, help=told)
    parser.add_argument(
        "--compare-kernel", action="store_true", help="carry it out for real in a throw-away namespace as well"
    )
    parser.add_argument(
        "--util-linux",
        metavar="VERSION",
        help="read options of mount(8) as this version does, 2.38 to 2.42; otherwise as the one at hand",
    )
    add_set(parser)
    add_kernel(parser)
    add_all(parser, "show every mount")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if the kernel does otherwise; a command that fails, as it would in a shell, makes no difference."""
    from mountplan.cli.named_tables import rules_for
    from mountplan.inputs import refuse_one_stream_twice
    from mountplan.planner.commands.actions import BindMount, MountNew
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.kernel_comparison import comparison_text
    from mountplan.planner.render.simulated import simulation_data, simulation_text
    from mountplan.planner.shell.simulate import empty_world, simulate

    if args.start is not None and args.compare_kernel:
        raise UsageError("--compare-kernel begins with an empty namespace, so --from does not go with it")
    if args.kernel is not None and args.compare_kernel:
        raise UsageError("--compare-kernel compares with the kernel at hand; leave out --kernel")
    if args.util_linux is not None and args.compare_kernel:
        raise UsageError("--compare-kernel runs the mount(8) at hand; leave out --util-linux")
    refuse_one_stream_twice([args.script, *([args.start] if args.start is not None else [])])
    name, data = read(args.script, "a shell script")
    if name.endswith((".toml", ".json")):
        what = f"{visible(name)}: is no shell script, by its name"
        raise UsageError(what, remedy=f"see what a spec or a plan comes to: `mountplan plan {typed(name)}`")
    text = data.decode("utf-8", "surrogateescape")
    rules = rules_for(args.kernel, output)
    variables, answers = _known(args)
    simulation = simulate(
        text,
        name,
        _stage(args.start, settings_of(args), rules),
        variables=variables,
        answers=answers,
        files=_files(args.file),
        util_linux=_util_linux(args.util_linux, output),
    )
    for unused in simulation.unasked:
        output.note(f"No command was asked for: {unused}\n")
    if args.start is None and any(
        one.errno == ENOENT and isinstance(one.action, MountNew | BindMount) for one in simulation.done
    ):
        output.note("The script begins with an empty tmpfs: make directories first, or begin elsewhere, with --from.\n")
    comparison = None
    if args.compare_kernel:
        from mountplan.rehearsing import compare_with_kernel

        comparison = compare_with_kernel(simulation, empty_world(rules), name)
    if output.as_json:
        output.data(simulation_data(simulation, comparison))
    else:
        output.result(simulation_text(simulation, everything=args.all, quiet=output.quiet, room=output.room))
        if comparison is not None:
            output.result(wrapped_text("\n" + comparison_text(comparison), output.room))
    return 1 if comparison is not None and comparison.differences else 0


def _util_linux(wanted: str | None, output: Output) -> Callable[[], Version]:
    """Gives the version that was asked for; or, where something in the script hangs on it, that of the one at hand."""
    from mountplan.planner.commands.util_linux import NEWEST, OLDEST

    if wanted is None:
        return cache(partial(_at_hand, output))
    known = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    read_version = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})(\.[0-9]{1,4})*", wanted)
    if read_version is None:
        raise UsageError(f"--util-linux: {wanted!r} is no version of util-linux; write it as in 2.38")
    version = int(read_version[1]), int(read_version[2])
    if not OLDEST <= version <= NEWEST:
        raise UsageError(f"--util-linux: it is not known what util-linux {wanted} would do; known are {known}")
    return lambda: version


def _at_hand(output: Output) -> Version:
    """That of the mount(8) at hand, or the nearest one of which it is known what it does; then that is told."""
    from mountplan.applier.run.programs import util_linux_at_hand
    from mountplan.planner.commands.util_linux import NEWEST, OLDEST

    found = util_linux_at_hand()
    taken = min(max(found or OLDEST, OLDEST), NEWEST)
    if found != taken:
        what = f"util-linux {found[0]}.{found[1]} is not known" if found else "mount(8) does not tell its version"
        output.note(f"{what}: options are read as util-linux {taken[0]}.{taken[1]} does; --util-linux names another.\n")
    return taken


def _known(args: argparse.Namespace) -> tuple[dict[str, str], Answers]:
    from mountplan.planner.shell.simulate import Answers

    variables = {}
    for one in args.var:
        name, equals, value = one.partition("=")
        if not equals or not (name.isidentifier() or name.isdecimal()):
            raise UsageError(f"--var {one}: write NAME=VALUE")
        variables[name] = value
    outputs = []
    for one in args.answer:
        command, equals, output = one.rpartition("=") if one.count("=") == 1 else _at_last_blank(one)
        if not equals:
            raise UsageError(f"--answer {one}: write COMMAND=OUTPUT")
        outputs.append((command, output))
    return variables, Answers(tuple(outputs), tuple(args.fails))


def _files(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        path, equals, file = one.partition("=")
        if not equals or not path or not file:
            raise UsageError(f"--file {one}: write PATH=FILE")
        found[path] = read(file, "a file that the script reads")[1].decode("utf-8", "surrogateescape")
    return found


def _at_last_blank(text: str) -> tuple[str, str, str]:
    """Where there are several `=`, the command ends at the last one that no option or assignment of it can have."""
    brackets = re.match(r"(.* \]{1,2})(=)(.*)", text, re.DOTALL)
    if brackets is not None:
        return brackets[1], "=", brackets[3]
    return text.partition("=")


def _stage(start: str | None, parameters: Mapping[str, str], rules: Rules) -> Stage:
    from mountplan.cli.named_tables import tables_known_of
    from mountplan.explaining import stage_of
    from mountplan.planner.shell.simulate import empty_world

    if start is None:
        if parameters:
            raise UsageError("--set is for the spec that --from names")
        return empty_world(rules)
    return stage_of(tables_known_of(start, parameters), rules)

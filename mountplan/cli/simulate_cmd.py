"""simulate: a script of mount commands in the model, and, to compare, for real in a throw-away namespace."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from mountplan.cli.shared_options import add_all, add_kernel
from mountplan.cli.sources import read
from mountplan.cli.usage import UsageError

if TYPE_CHECKING:
    import argparse

    from mountplan.applier.sys.refusal import KernelRefusal
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.ask.actions import Stage
    from mountplan.planner.ask.simulate import Simulation
    from mountplan.planner.model import Rules


def add(command: NewCommand) -> None:
    parser = command(
        "run a script of mount commands in a model of the kernel",
        "Carry out the lines of a shell script (mount, umount, unshare -m, nsenter,\n"
        "mkdir, rmdir, pivot_root, ...) in a model of the kernel's rules, and show what\n"
        "stands there then, as findmnt would, with peers and masters. Needs no\n"
        "privileges, touches nothing. A command that fails is told with its errno, and\n"
        "the script goes on.",
        "  mountplan simulate build-root.sh\n"
        "  mountplan simulate build-root.sh --compare-kernel   and the same for real\n"
        "  echo 'mount --rbind / /mnt' | mountplan simulate - --from 1234",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a shell script, or - for standard input")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="SPEC|NAME|PID",
        help="begin with what a spec would build, what is kept, or what a process sees, not with an empty tmpfs",
    )
    parser.add_argument(
        "--compare-kernel", action="store_true", help="carry it out for real in a throw-away namespace as well"
    )
    add_kernel(parser)
    add_all(parser, "show every mount")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if the kernel does otherwise; a command that fails, as it would in a shell, makes no difference."""
    from mountplan.cli.named_tables import rules_for
    from mountplan.inputs import refuse_one_stream_twice
    from mountplan.planner.ask.simulate import simulate
    from mountplan.planner.render.simulated import difference_text, simulation_data, simulation_text

    if args.start is not None and args.compare_kernel:
        raise UsageError("--compare-kernel begins with an empty namespace, so --from does not go with it")
    if args.kernel is not None and args.compare_kernel:
        raise UsageError("--compare-kernel compares with the kernel at hand; leave out --kernel")
    refuse_one_stream_twice([args.script, *([args.start] if args.start is not None else [])])
    name, data = read(args.script, "a shell script")
    text = data.decode("utf-8", "surrogateescape")
    simulation = simulate(text, name, _stage(args.start, rules_for(args.kernel, output)))
    differences = compare_with_kernel(simulation, name) if args.compare_kernel else None
    if output.as_json:
        output.data(simulation_data(simulation, differences))
    else:
        output.result(simulation_text(simulation, everything=args.all))
        if differences is not None:
            output.result("\n" + difference_text(differences, len(simulation.done)))
    return 1 if differences else 0


def _stage(start: str | None, rules: Rules) -> Stage:
    from mountplan.cli.named_tables import tables_of
    from mountplan.planner.ask.actions import Stage
    from mountplan.planner.ask.simulate import empty_world
    from mountplan.planner.model import World
    from mountplan.planner.model.from_tables import world_of

    if start is None:
        return empty_world(rules)
    seen = world_of(tables_of(start), World(rules))
    return Stage(seen.world, {1: seen.processes[0]})


def compare_with_kernel(simulation: Simulation, name: str) -> list[str]:
    """Where the kernel does otherwise than the model, in words.

    Raises NamespaceRefused if it cannot be tried here, and SpecError if a line would reach for what is the machine's.
    """
    from mountplan.applier.run.rehearse import Look, rehearse
    from mountplan.planner.render.simulated import Sight, errno_difference, table_differences

    _check_types(simulation, name)
    calls = tuple((one.process, one.action) for one in simulation.done)
    looks = tuple(Look(one.after, one.process) for one in simulation.seen)
    results, tables = rehearse(calls, looks)
    differences = [
        errno_difference(done, found)
        for done, found in zip(simulation.done, results, strict=True)
        if done.errno != found
    ]
    moments: dict[int, list[Sight]] = {}  # ids are given to others later
    for look, table in zip(simulation.seen, tables, strict=True):
        place = f"line {look.line}: process {look.process}" if look.line else f"at the end: process {look.process}"
        moments.setdefault(look.after, []).append(Sight(place, look.table, table))
    for seen in moments.values():
        differences += table_differences(seen)
    return differences


def _check_types(simulation: Simulation, name: str) -> None:
    """Raise SpecError for filesystems that cannot be the script's own, and so are not mounted for the comparison."""
    from mountplan.applier.run.rehearse import refused_types
    from mountplan.planner.ask.actions import MountNew
    from mountplan.planner.errors import Mistake, SpecError, SpecRef

    wanted = dict.fromkeys((one.line, one.action.fstype) for one in simulation.done if isinstance(one.action, MountNew))
    refused = refused_types(dict.fromkeys(fstype for _, fstype in wanted))
    mistakes = tuple(
        Mistake(SpecRef(name, "", line), _not_its_own(fstype, refused[fstype]), "compare with tmpfs in its place")
        for line, fstype in wanted
        if fstype in refused
    )
    if mistakes:
        raise SpecError(mistakes)


def _not_its_own(fstype: str, refusal: KernelRefusal) -> str:
    from mountplan.planner.fstypes import of

    if refusal.errno == errno.EPERM and not (of(fstype).in_userns and not of(fstype).shows):
        return (
            f"{fstype} is not mounted to compare: a user namespace may not, and without one it could be the machine's"
        )
    call = f"{refusal.syscall}: " if refusal.errno != errno.ENODEV else ""
    return f"{fstype} cannot be mounted to compare: {call}{refusal.strerror}"

"""Times capture, diff and verify of live namespaces, and `execute` of a captured state of three of them.

    python bench/capture.py [--runs N] [--write]      (as root; takes minutes)

Prints microseconds a mount, by the clock and of CPU time (children included): medians over the runs, the factor from
1,000 to 10,000 mounts, and that from 10,000 to 50,000 (10 and 5 are linear). Sizes take turns, each run is a process
of its own, at real-time priority if that is allowed: see bench/phases.py. --write puts the table into bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from floor import compile_floor, run_floor
from phases import CAPTURE_HEADING, Times, _cell, _held, _median, in_child, plan_tape, take_priority

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.build.execute import execute
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.report import Reporter
from mountplan.capturing import capture_subjects
from mountplan.operands import predicted, view_of
from mountplan.planner.compare.compare import differences, machine_of
from mountplan.planner.plan.plan import Plan
from specs import spec

SIZES = (1_000, 10_000, 50_000)
PHASES = ("capture", "judged", "diff", "verify")
BUDGETS = {"capture": 60.0, "judged": 220.0, "verify": 30.0}  # microseconds a mount
READING_HELP = """\
Of binds in peer groups of 8. `capture` reads a namespace and writes the spec, `judged` does that and checks, plans and
predicts what it wrote, `diff` reads it twice and compares, and `verify` predicts what a plan makes, reads and compares.
CPU time is with the children's."""
GROUPS, NAMESPACES, MOUNTS = 1_000, 3, 10_000  # of the state that is captured and built again
FLOOR_BUDGET = 1.35


def used() -> float:
    """Seconds of CPU time so far, of this process and of its children that have ended."""
    own, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Times]:
    gc.collect()
    clock, cpu = time.perf_counter(), used()
    result = function(*arguments)
    return result, Times(time.perf_counter() - clock, used() - cpu)


def plan_for(data: bytes) -> Plan:
    return api.plan(api.load("bench.toml", data))


@contextmanager
def standing(plan: Plan) -> Iterator[tuple[list[Subject], Any]]:
    """The namespaces of a plan, built; and the host's table when they were."""
    with build(plan) as built, ExitStack() as stack:
        yield [stack.enter_context(subject) for subject in of_built(built)], built.host


def look(data: bytes) -> dict[str, Times]:
    """Build a spec, and time each way to look at what stands there."""
    gc.disable()  # as the command line does
    plan = plan_for(data)
    times: dict[str, Times] = {}
    with standing(plan) as (subjects, host):

        def views() -> Any:
            return tuple(view_of("", subject.read()) for subject in subjects)

        def diff() -> Any:
            return differences(views(), views(), machine_of(host))

        def verify() -> Any:
            return differences(predicted("bench", plan, host).views, views(), machine_of(host), arrivals=True)

        captured, times["capture"] = timed(lambda: capture_subjects(subjects, "bench", check=False))
        judged, times["judged"] = timed(lambda: capture_subjects(subjects, "bench"))
        if captured.cautions or judged.cautions:
            raise SystemExit(f"it cannot be captured: {(captured.cautions + judged.cautions)[0]}")
        for name, function in (("diff", diff), ("verify", verify)):
            drift, times[name] = timed(function)
            if drift:
                raise SystemExit(f"{name} finds a difference where there is none: {drift[0]}")
    return times


def three_namespaces() -> bytes:
    """Namespaces that all groups span: a filesystem of the first, bound in all of them."""
    lines = ["format = 1", 'name = "bench"', *(f"[peer_group.g{number}]" for number in range(GROUPS))]
    for space in range(NAMESPACES):
        lines += ["[[namespace]]", f'name = "n{space}"', "[[namespace.mount]]", 'target = "/"', 'type = "tmpfs"']
        if space == 0:
            lines += ["[[namespace.mount]]", 'id = "data"', 'target = "/data"', 'type = "tmpfs"']
            for number in range(100):
                lines += ["[[namespace.mount.file]]", f'path = "d{number}"', "directory = true"]
        for number in range(space, MOUNTS, NAMESPACES):
            lines += ["[[namespace.mount]]", f'target = "/t/{number // 100:03}/{number % 100:02}"']
            lines += [f'bind = {{ mount = "data", path = "/d{number % 100}" }}', f'peer_group = "g{number % GROUPS}"']
    return ("\n".join(lines) + "\n").encode()


def captured_text(data: bytes) -> bytes:
    with standing(plan_for(data)) as (subjects, _):
        return capture_subjects(subjects, "bench", check=False).text.encode()


def execute_once(data: bytes) -> Times:
    gc.disable()
    plan = plan_for(data)
    return timed(execute, plan.steps, LinuxKernel(), Reporter())[1]


def again(runs: int, folder: Path) -> list[str]:
    """`execute` of the captured state, against the same calls in C."""
    data = in_child(captured_text, three_namespaces())
    program, tape = compile_floor(folder), folder / "tape"
    in_child(plan_tape, data, tape)
    roads, ratios = [], []
    for run in range(runs + 1):
        road = in_child(execute_once, data)
        floor = Times(*(nanoseconds / 1e9 for nanoseconds in run_floor(program, tape)))
        if run:  # the first is a warm-up
            roads.append(road)
            ratios.append(Times(*(one / other for one, other in zip(road, floor, strict=True))))
    cost, ratio = _median(roads, 1e6 / MOUNTS), _median(ratios)
    return [
        f"### execute of a captured state: {MOUNTS:,} mounts, {GROUPS:,} groups that span {NAMESPACES} namespaces",
        "",
        f"It takes {_cell(cost, '.1f')} us a mount.",
        "",
        _held("execute", ratio, FLOOR_BUDGET, "x the floor"),
    ]


def table_of(results: dict[int, dict[str, Times]]) -> list[str]:
    sizes = sorted(results)
    growths = [f"{few:,} to {many:,}" for few, many in pairwise(sizes)]
    head = " | ".join((*(f"{size:,}" for size in sizes), *growths))
    lines = [f"| us a mount, clock / CPU | {head} |", "|---|" + "---:|" * (len(sizes) + len(growths))]
    for phase in PHASES:
        cells = [_cell(results[size][phase], ".1f") for size in sizes]
        for few, many in pairwise(sizes):
            pairs = zip(results[few][phase], results[many][phase], strict=True)
            cells.append(_cell(Times(*(many / few * more / less for less, more in pairs)), ".1f"))
        lines.append(f"| {phase} | {' | '.join(cells)} |")
    last = results[sizes[-1]]
    held = [_held(phase, last[phase], budget, "us a mount") for phase, budget in BUDGETS.items()]
    return [*lines, "", f"At {sizes[-1]:,}:", "", *held, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time capture, diff and verify.")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each size (5)")
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="numbers of mounts")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    load = os.getloadavg()[1]
    priority = "real-time" if take_priority() else "normal"
    results: dict[int, list[dict[str, Times]]] = {size: [] for size in args.sizes}
    data = {size: spec("groups", size) for size in args.sizes}
    for _ in range(args.runs):
        for size in args.sizes:
            results[size].append(in_child(look, data[size]))
    figures = {
        size: {phase: _median([one[phase] for one in runs], 1e6 / size) for phase in PHASES}
        for size, runs in results.items()
    }
    measured = (
        f"Measured by `bench/capture.py` on {time.strftime('%Y-%m-%d')} on the same machine; medians of {args.runs} "
        f"runs with {priority} priority, beside a load of {load:.1f}."
    )
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            CAPTURE_HEADING,
            "",
            measured,
            "",
            READING_HELP,
            "",
            *table_of(figures),
            *again(args.runs, Path(folder)),
            "",
        ]
    print("\n".join(lines))
    if args.write:
        file = Path(__file__).with_name("RESULTS.md")
        before, _, after = file.read_text().partition(CAPTURE_HEADING)
        rest = after.partition("\n## ")
        file.write_text(f"{before.rstrip()}\n\n" + "\n".join(lines) + (f"\n## {rest[2]}" if rest[1] else ""))


if __name__ == "__main__":
    main()

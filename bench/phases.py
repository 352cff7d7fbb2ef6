"""Times every phase of the road by itself, and `execute` against the same system calls made in C.

    python bench/phases.py [--runs N] [--write]      (as root; takes minutes)

Prints microseconds a mount, by the clock and of CPU time (user and system): the median over the runs, the factor from
1,000 to 10,000 mounts (10 is linear; above 13 is a defect and marked "!"), and the peak memory of a process that walked
the whole road. On a machine that does nothing else both times are the same; on a busy one CPU time is the one to look
at. Runs of Python and of C, and of all sizes, take turns, so that a machine whose speed drifts treats them alike, and
execute and floor are compared pair by pair.

It asks for a real-time priority, so that other processes do not take turns with what is measured, C and Python alike;
what they do to caches and memory still shows. Each run is a process of its own, forked from one that has imported
everything and planned nothing: memory that somebody else has used and freed before would have to be copied page by page
when the fork writes to it. Nothing outlives a run. --write puts the tables into bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import os
import pickle
import platform
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from floor import compile_floor, run_floor, write_tape

from mountplan import api
from mountplan.applier.build.execute import execute, load_what_is_needed
from mountplan.applier.observe.facts import LiveHost
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.report import Reporter
from mountplan.planner.ask.foresight import foresee
from mountplan.planner.compare.compare import compare, group_names
from mountplan.planner.plan.graph import find_order
from mountplan.planner.plan.mountcount import check_mount_count
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.schedule import make_plan
from mountplan.planner.resolve.resolve import resolve
from mountplan.planner.tables.mountinfo import parse_mountinfo
from specs import KINDS, spec

SIZES = (100, 1_000, 10_000)
PLANNING = ("load", "resolve", "order", "plan")
READING = ("observe", "predict", "compare")
PHASES = (*PLANNING, "count", "execute", *READING, "foresee")
HEADING = "## Phases"
CAPTURE_HEADING = "## Capture, diff and verify"
FACTOR = 13.0
FLOOR_BUDGET = 1.35
PLANNING_BUDGET = 100.0  # microseconds a mount, load to plan, at 10,000
READING_BUDGET = 10.0  # microseconds a mount, observe to compare


class Times(NamedTuple):
    """Seconds by the clock, and of CPU time; figures are microseconds a mount."""

    clock: float
    cpu: float


class Road(NamedTuple):
    """One walk down the road: the time of each phase, and the peak memory of its process in MB."""

    phases: dict[str, Times]
    memory: float


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, called in a forked process, of which nothing remains. SystemExit if it raises."""
    answer, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(say, "wb") as file:
                pickle.dump(function(*arguments), file)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(answer, "rb") as file:
        result = file.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a run failed")
    return pickle.loads(result)


def walk_road(data: bytes) -> Road:
    times: dict[str, Times] = {}

    def timed(phase: str, function: Callable[..., Any], *arguments: Any) -> Any:
        clock, cpu = time.perf_counter(), time.process_time()
        result = function(*arguments)
        times[phase] = Times(time.perf_counter() - clock, time.process_time() - cpu)
        return result

    gc.disable()  # as the command line does
    host = LiveHost()
    before = host.table
    parsed = timed("load", api.load, "bench.toml", data)
    topology = timed("resolve", resolve, parsed, host)
    graph = timed("order", find_order, topology)
    plan = timed("plan", make_plan, topology, graph)
    timed("count", check_mount_count, plan, before, host.mount_max, None)
    kernel = LinuxKernel()
    load_what_is_needed(plan.steps)
    timed("execute", execute, plan.steps, kernel, Reporter())
    table = timed("observe", lambda: parse_mountinfo(_read(kernel.finished[0].mountinfo)))
    predictions = timed("predict", predict, plan, before)
    drift = timed("compare", compare, predictions, (table,), before, group_names(plan))
    if drift:
        raise SystemExit(f"what was built is not what was asked for: {drift[0]}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    timed("foresee", foresee, plan, before, host.mount_max, None)  # for `plan` and `check`; nothing is built after it
    return Road(times, memory)


def _read(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def plan_tape(data: bytes, tape: Path) -> None:
    write_tape(api.plan(api.load("bench.toml", data)), tape)


class Figures(NamedTuple):
    """Medians over the runs: microseconds a mount by phase, `floor` among them; execute / floor; memory in MB."""

    times: dict[str, Times]
    ratio: Times
    memory: float


def measure(kind: str, sizes: list[int], runs: int, program: Path, folder: Path) -> dict[int, Figures]:
    """The figures of each size. They take turns: else the factor would tell how the machine's speed has changed."""
    data = {size: spec(kind, size) for size in sizes}
    tapes = {size: folder / f"tape-{size}" for size in sizes}
    roads: dict[int, list[Road]] = {size: [] for size in sizes}
    for size in sizes:
        in_child(plan_tape, data[size], tapes[size])
    for run in range(runs + 1):
        for size in sizes:
            road = in_child(walk_road, data[size])
            if run == 0:
                continue  # a warm-up, not counted
            road.phases["floor"] = Times(*(nanoseconds / 1e9 for nanoseconds in run_floor(program, tapes[size])))
            roads[size].append(road)
    return {size: _figures(size, roads[size]) for size in sizes}


def _figures(count: int, roads: list[Road]) -> Figures:
    times = {phase: _median([road.phases[phase] for road in roads], 1e6 / count) for phase in (*PHASES, "floor")}
    pairs = [(road.phases["execute"], road.phases["floor"]) for road in roads]
    ratio = _median([Times(*(one / other for one, other in zip(*pair, strict=True))) for pair in pairs])
    return Figures(times, ratio, median(road.memory for road in roads))


def _median(times: list[Times], factor: float = 1.0) -> Times:
    return Times(*(factor * median(values) for values in zip(*times, strict=True)))


def table_of(kind: str, results: dict[int, Figures]) -> list[str]:
    """One kind of mount as a Markdown table, with the budgets that it keeps or breaks; "clock/CPU" in each cell."""
    sizes = sorted(results)
    lines = [f"### {KINDS[kind]}", "", "| us a mount, clock / CPU | " + " | ".join(f"{size:,}" for size in sizes)
             + " | factor |", "|---|" + "---:|" * (len(sizes) + 1)]  # fmt: skip
    for row in (*PHASES, "floor"):
        cells = [_cell(results[size].times[row], ".1f") for size in sizes]
        factor = ""
        if {1_000, 10_000} <= results.keys():
            few, many = results[1_000].times[row], results[10_000].times[row]
            growth = Times(*(10 * more / less for less, more in zip(few, many, strict=True)))
            factor = _cell(growth, ".1f") + (" !" if min(growth) > FACTOR else "")
        name = "execute in C (floor)" if row == "floor" else row
        lines.append(f"| {name} | {' | '.join(cells)} | {factor} |")
    lines.append("| execute / floor | " + " | ".join(_cell(results[size].ratio, ".2f") for size in sizes) + " | |")
    lines.append("| peak memory, MB | " + " | ".join(f"{results[size].memory:.0f}" for size in sizes) + " | |")
    last = results[sizes[-1]]
    lines += ["", f"At {sizes[-1]:,}:", "",
              _held("execute", last.ratio, FLOOR_BUDGET, "x the floor"),
              _held("load to plan", _sum(last, PLANNING), PLANNING_BUDGET, "us a mount"),
              _held("observe, predict and compare", _sum(last, READING), READING_BUDGET, "us a mount"), ""]  # fmt: skip
    return lines


def _sum(figures: Figures, phases: tuple[str, ...]) -> Times:
    return Times(*(sum(values) for values in zip(*(figures.times[phase] for phase in phases), strict=True)))


def _cell(times: Times, form: str) -> str:
    return f"{times.clock:{form}} / {times.cpu:{form}}"


def _held(what: str, value: Times, budget: float, unit: str) -> str:
    verdicts = ["within" if one <= budget else "OVER" for one in value]
    by_clock, by_cpu = (f"{one:.2f} ({verdict})" for one, verdict in zip(value, verdicts, strict=True))
    return f"- {what}, at most {budget:g} {unit}: {by_clock} by the clock, {by_cpu} of CPU time"


def take_priority() -> bool:
    """Run before all normal processes, and so does what is forked; False if that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


READING_HELP = """\
Each cell has the time by the clock and the CPU time. They differ where the process waited: for others on a busy
machine, or for the kernel, which unmounts only when no CPU looks at the mount any more. `execute / floor` is the
median of the runs' ratios, not the ratio of the medians above it. `count` is what `apply` does before it builds, to
see whether the mounts are too many, and `foresee` what `plan` and `check` do, which try the plan in the model."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Time every phase, and execute against the same calls in C.")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each tree (7)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="kinds of mounts")
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="numbers of mounts")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    system, load = os.uname(), os.getloadavg()[1]
    priority = "real-time" if take_priority() else "normal"
    lines = [
        HEADING,
        "",
        " ".join(
            (
                f"Measured by `make bench` on {time.strftime('%Y-%m-%d')}:",
                f"Linux {system.release.split('-')[0]}, {system.machine}, {os.cpu_count()} CPUs,",
                f"Python {platform.python_version()}; medians of {args.runs} runs",
                f"with {priority} priority, beside a load of {load:.1f}.",
            )
        ),
        "",
        READING_HELP,
        "",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        program = compile_floor(Path(folder))
        for kind in args.kinds:
            table = table_of(kind, measure(kind, args.sizes, args.runs, program, Path(folder)))
            print("\n".join(table), flush=True)
            lines += table
    if args.write:
        file = Path(__file__).with_name("RESULTS.md")
        before, _, rest = file.read_text().partition(f"{HEADING}\n")
        _, heading, captures = rest.partition(CAPTURE_HEADING)  # bench/capture.py writes that
        file.write_text(before + "\n".join(lines) + (f"\n{heading}{captures}" if heading else ""))


if __name__ == "__main__":
    main()

"""Times every phase of the road by itself, and `execute` against the same system calls made in C.

    python bench/run.py [--runs N] [--write]      (as root; takes minutes)

Prints microseconds a mount: the median over the runs, the factor from 1,000 to 10,000 mounts (10 is linear; above 13
is a defect and marked "!"), and the peak memory of a process that walked the whole road. Runs of Python and of C take
turns, so that a machine whose speed drifts treats both alike. Nothing outlives a run: each builds in a process of its
own. --write puts the tables into bench/RESULTS.md.
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
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from floor import compile_floor, run_floor, write_tape

from mountplan import api
from mountplan.applier.execute import execute
from mountplan.applier.facts import LiveHost
from mountplan.applier.kernel import LinuxKernel
from mountplan.applier.report import Reporter
from mountplan.planner.compare import compare
from mountplan.planner.graph import find_order
from mountplan.planner.mountinfo import parse_mountinfo
from mountplan.planner.predict import predict
from mountplan.planner.resolve import resolve
from mountplan.planner.schedule import make_plan
from specs import KINDS, spec

SIZES = (100, 1_000, 10_000)
PHASES = ("load", "resolve", "order", "plan", "execute", "observe", "predict", "compare")
FACTOR = 13.0
FLOOR_BUDGET = 1.35
PLANNING_BUDGET = 100.0  # microseconds a mount, load to plan, at 10,000
READING_BUDGET = 10.0  # microseconds a mount, observe to compare


def one_road(data: bytes) -> dict[str, float]:
    """Walk the road once in a child process: seconds for each phase, and `memory`, the child's peak in MB."""
    answer, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(say, "wb") as file:
                pickle.dump(_road(data), file)
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(answer, "rb") as file:
        result: dict[str, float] = pickle.load(file)
    os.waitpid(child, 0)
    return result


def _road(data: bytes) -> dict[str, float]:
    times: dict[str, float] = {}

    def timed(phase: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.perf_counter()
        result = function(*arguments)
        times[phase] = time.perf_counter() - begin
        return result

    gc.disable()  # as the command line does
    host = LiveHost()
    before = host.table
    parsed = timed("load", api.load, "bench.toml", data)
    topology = timed("resolve", resolve, parsed, host)
    graph = timed("order", find_order, topology)
    plan = timed("plan", make_plan, topology, graph)
    kernel = LinuxKernel()
    timed("execute", execute, plan.steps, kernel, Reporter())
    table = timed("observe", lambda: parse_mountinfo(_read(kernel.finished[0].mountinfo)))
    predictions = timed("predict", predict, plan, before)
    drift = timed("compare", compare, predictions, (table,))
    if drift:
        raise SystemExit(f"what was built is not what was asked for: {drift[0]}")
    times["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return times


def _read(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def measure(kind: str, count: int, runs: int, program: Path, tape: Path) -> dict[str, float]:
    """Medians over the runs, in us a mount; `floor`; `ratio` of execute to floor, pair by pair; `memory` in MB."""
    data = spec(kind, count)
    write_tape(api.plan(api.load("bench.toml", data)), tape)
    one_road(data)  # a warm-up, not counted
    roads, floors = [], []
    for _ in range(runs):
        roads.append(one_road(data))
        floors.append(run_floor(program, tape)[0] / 1e9)
    figures = {phase: median(road[phase] for road in roads) / count * 1e6 for phase in PHASES}
    figures["floor"] = median(floors) / count * 1e6
    figures["ratio"] = median(road["execute"] / floor for road, floor in zip(roads, floors, strict=True))
    figures["memory"] = median(road["memory"] for road in roads)
    return figures


def table_of(kind: str, results: dict[int, dict[str, float]]) -> list[str]:
    """One kind of mount as a Markdown table, with the budgets that it keeps or breaks."""
    sizes = sorted(results)
    lines = [f"### {KINDS[kind]}", "", "| us a mount | " + " | ".join(f"{size:,}" for size in sizes) + " | factor |",
             "|---|" + "---:|" * (len(sizes) + 1)]  # fmt: skip
    for row in (*PHASES, "floor"):
        cells = [f"{results[size][row]:.1f}" for size in sizes]
        factor = 10 * results[10_000][row] / results[1_000][row] if {1_000, 10_000} <= results.keys() else 0.0
        mark = " !" if factor > FACTOR else ""
        name = "execute in C (floor)" if row == "floor" else row
        lines.append(f"| {name} | {' | '.join(cells)} | {factor:.1f}{mark} |")
    lines.append("| execute / floor | " + " | ".join(f"{results[size]['ratio']:.2f}" for size in sizes) + " | |")
    lines.append("| peak memory, MB | " + " | ".join(f"{results[size]['memory']:.0f}" for size in sizes) + " | |")
    last = results[sizes[-1]]
    planning = sum(last[phase] for phase in ("load", "resolve", "order", "plan"))
    reading = sum(last[phase] for phase in ("observe", "predict", "compare"))
    lines += ["", f"At {sizes[-1]:,}: " + "; ".join((
        _held("execute", last["ratio"], FLOOR_BUDGET, "x the floor"),
        _held("load to plan", planning, PLANNING_BUDGET, "us a mount"),
        _held("observe, predict and compare", reading, READING_BUDGET, "us a mount"),
    )) + ".", ""]  # fmt: skip
    return lines


def _held(what: str, value: float, budget: float, unit: str) -> str:
    verdict = "within" if value <= budget else "OVER"
    return f"{what} {value:.2f} {unit} ({verdict} {budget:g})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time every phase, and execute against the same calls in C.")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each tree (7)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="kinds of mounts")
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="numbers of mounts")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    system = os.uname()
    lines = [
        "# Figures",
        "",
        " ".join(
            (
                f"Measured by `make bench` on {time.strftime('%Y-%m-%d')}:",
                f"Linux {system.release.split('-')[0]}, {system.machine}, {os.cpu_count()} CPUs,",
                f"Python {platform.python_version()}; medians of {args.runs} runs, wall time.",
            )
        ),
        "",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        program, tape = compile_floor(Path(folder)), Path(folder, "tape")
        for kind in args.kinds:
            results = {size: measure(kind, size, args.runs, program, tape) for size in args.sizes}
            table = table_of(kind, results)
            print("\n".join(table), flush=True)
            lines += table
    if args.write:
        Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()

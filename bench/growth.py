"""How cost grows: every phase from 1,000 to 50,000 mounts, and trees of odd shapes, as exponents (1 is linear).

    python bench/growth.py [--small N] [--large N]      (as root)

CPU time; each tree is walked in a process of its own, and the median of three counts. An exponent is the logarithm of
how much longer the large tree takes, to the base of how much larger it is. Odd shapes are planned, proven,
predicted and tried in the model, and no more: what the kernel makes of them is in tests/kernel.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from math import log
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mountplan import api
from mountplan.applier.build.execute import execute, load_what_is_needed
from mountplan.applier.observe.facts import LiveHost
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.report import Reporter
from mountplan.planner.ask.foresight import foresee
from mountplan.planner.compare.compare import compare, group_names
from mountplan.planner.plan.graph import find_order
from mountplan.planner.plan.planfile import dump_plan, parse_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.schedule import make_plan
from mountplan.planner.resolve.resolve import resolve
from mountplan.planner.tables.mountinfo import parse_mountinfo
from specs import KINDS, spec

GOAL = 1.05
ROOT = 'format = 1\nname = "bench"\n[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n'


def deep(count: int) -> str:
    return ROOT + "".join(f'[[mount]]\ntarget = "{"/d" * one}"\ntype = "tmpfs"\n' for one in range(1, count + 1))


def stack(count: int) -> str:
    return ROOT + '[[mount]]\ntarget = "/s"\ntype = "tmpfs"\n' * count


def group(count: int) -> str:
    binds = "".join(
        f'[[mount]]\ntarget = "/m/{one}"\nbind = {{ mount = "root", path = "/src" }}\npeer_group = "g"\n'
        for one in range(count)
    )
    return f'{ROOT}[[mount.file]]\npath = "src"\ndirectory = true\n{binds}[peer_group.g]\n'


def changing(count: int) -> str:
    """Five binds with an attribute and five without, again and again: rows of one kind are short, and many."""
    binds = "".join(
        f'[[mount]]\ntarget = "/m/{one}"\nbind = {{ mount = "root", path = "/src" }}\n'
        + ('attributes = ["ro"]\n' if one // 5 % 2 else "")
        for one in range(count)
    )
    return f'{ROOT}[[mount.file]]\npath = "src"\ndirectory = true\n{binds}'


def masters(count: int) -> str:
    chain = "".join(f'[peer_group.g{one}]\nmaster = "g{one - 1}"\n' for one in range(1, count))
    binds = "".join(
        f'[[mount]]\ntarget = "/m/{one}"\nbind = {{ mount = "root", path = "/src" }}\npeer_group = "g{one}"\n'
        for one in range(count)
    )
    return f'{ROOT}[[mount.file]]\npath = "src"\ndirectory = true\n{binds}[peer_group.g0]\n{chain}'


def namespaces(count: int) -> str:
    one = '[[namespace]]\nname = "n{0}"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    one += '[[namespace.mount]]\ntarget = "/m"\ntype = "tmpfs"\n'
    return 'format = 1\nname = "bench"\n' + "".join(one.format(number) for number in range(count))


def layers(count: int) -> str:
    files = "".join(f'[[mount.file]]\npath = "l{one}"\ndirectory = true\n' for one in range(count))
    named = ", ".join(f'{{ mount = "store", path = "/l{one}" }}' for one in range(count))
    store = '[[mount]]\nid = "store"\ntype = "tmpfs"\n'
    return f'{ROOT}{store}{files}[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = [{named}]\n'


SHAPES: dict[str, tuple[Callable[[int], str], int]] = {
    "one below the other": (deep, 500),
    "on one point": (stack, 1_000),
    "in one group": (group, 10_000),
    "in rows of five that change": (changing, 10_000),
    "a chain of masters": (masters, 500),
    "namespaces": (namespaces, 1_000),
    "layers of one overlay": (layers, 500),
}


def walk(data: bytes, *, build: bool) -> dict[str, float]:
    """Seconds of CPU time that each phase takes."""
    times: dict[str, float] = {}

    def timed(phase: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.process_time()
        result = function(*arguments)
        times[phase] = time.process_time() - begin
        return result

    gc.disable()
    host = LiveHost()
    before = host.table
    parsed = timed("load", api.load, "bench.toml", data)
    topology = timed("resolve", resolve, parsed, host)
    graph = timed("order", find_order, topology)
    plan = timed("plan", make_plan, topology, graph)
    text = timed("write the plan", dump_plan, plan)
    saved = timed("read the plan", parse_plan, text, "plan.json")
    timed("prove the plan", prove, saved, "plan.json")
    predictions = timed("predict", predict, saved, before)
    timed("foresee", foresee, saved, before, 1 << 30)
    if build:
        kernel = LinuxKernel()
        load_what_is_needed(saved.steps)
        timed("execute", execute, saved.steps, kernel, Reporter())
        table = timed("observe", lambda: parse_mountinfo(_read(kernel.finished[0].mountinfo)))
        drift = timed("compare", compare, predictions, (table,), before, group_names(saved))
        if drift:
            raise SystemExit(f"what was built is not what was asked for: {drift[0]}")
    return times


def _read(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def in_child(data: bytes, *, build: bool) -> dict[str, float]:
    answer, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(say, json.dumps(walk(data, build=build)).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(answer) as file:
        text = file.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a run failed")
    found: dict[str, float] = json.loads(text)
    return found


def medians(data: bytes, *, build: bool, runs: int) -> dict[str, float]:
    found = [in_child(data, build=build) for _ in range(runs)]
    return {phase: median(one[phase] for one in found) for phase in found[0]}


def exponent(few: float, many: float, factor: float) -> float:
    return log(max(many, 1e-6) / max(few, 1e-6)) / log(factor)


def main() -> None:
    parser = argparse.ArgumentParser(description="How the cost of each phase grows.")
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    factor = args.large / args.small
    print(f"| us a mount | {args.small:,} | {args.large:,} | exponent | |\n|---|---:|---:|---:|---|")
    for kind in KINDS:
        few = medians(spec(kind, args.small), build=True, runs=args.runs)
        many = medians(spec(kind, args.large), build=True, runs=args.runs)
        for phase in few:
            value = exponent(few[phase], many[phase], factor)
            cells = f"{few[phase] * 1e6 / args.small:.1f} | {many[phase] * 1e6 / args.large:.1f}"
            print(
                f"| {KINDS[kind]}: {phase} | {cells} | {value:.2f} | {'' if value <= GOAL else f'OVER {GOAL}'} |",
                flush=True,
            )
    print("\n| shape | a quarter, ms | all, ms | exponent | |\n|---|---:|---:|---:|---|")
    for name, (make, count) in SHAPES.items():
        few = medians(make(count // 4).encode(), build=False, runs=args.runs)
        many = medians(make(count).encode(), build=False, runs=args.runs)
        value = exponent(sum(few.values()), sum(many.values()), 4)
        most = max(many, key=lambda phase: exponent(few[phase], many[phase], 4) if many[phase] > 0.02 else 0)
        told = "" if value <= GOAL else f"OVER {GOAL}: {most} {exponent(few[most], many[most], 4):.2f}"
        cells = f"{sum(few.values()) * 1e3:.0f} | {sum(many.values()) * 1e3:.0f} | {value:.2f}"
        print(f"| {count:,} {name} | {cells} | {told} |", flush=True)


if __name__ == "__main__":
    main()

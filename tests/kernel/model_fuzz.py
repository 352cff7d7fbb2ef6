"""Look for differences between the model and the kernel, and show each as the shortest sequence that has it:

python -m tests.kernel.model_fuzz --sequences 100000 --jobs 4 [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tests.kernel.model_chooser import Chooser
from tests.kernel.model_driver import Difference, Run, error_name, shorten
from tests.kernel.model_machine import Machine


def try_seed(
    machine: Machine, seed: int, only: frozenset[str] | None = None
) -> tuple[Difference | None, Counter[tuple[str, int]]]:
    """One random sequence; the difference, if there is one, and how often each call had each errno."""
    chooser = Chooser(seed, only)
    run = Run(machine)
    try:
        for _ in range(chooser.length):
            difference = run.make(chooser.call(run))
            if difference is not None:
                return difference, run.results
            if run.over:
                break
    finally:
        run.end()
    return None, run.results


Result = TypeVar("Result")


class Found(NamedTuple):
    seed: int
    difference: Difference


class Outcome(NamedTuple):
    sequences: int
    results: Counter[tuple[str, int]]
    found: tuple[Found, ...]


def search(seeds: range, *, only: frozenset[str] | None = None, stop_after: int = 3, seconds: float = 0) -> Outcome:
    """Try all seeds in this process, which then belongs to it: its mount namespace is another one afterwards."""
    machine = Machine()
    found: list[Found] = []
    sequences = 0
    results: Counter[tuple[str, int]] = Counter()
    end = time.monotonic() + seconds if seconds else 0
    for seed in seeds:
        difference, made = try_seed(machine, seed, only)
        results += made
        sequences += 1
        if difference is not None:
            found.append(Found(seed, shorten(machine, difference)))
            if len(found) >= stop_after:
                break
        if end and time.monotonic() > end:
            break
    machine.close()
    return Outcome(sequences, results, tuple(found))


def in_children(work: list[Callable[[], Result]]) -> list[Result]:
    """Each piece of work in a child of its own, at the same time; what they give, in order."""
    children = []
    for piece in work:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(piece(), pipe)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)
        children.append((child, read))
    outcomes = []
    failed = False
    for child, read in children:
        with os.fdopen(read, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(child, 0)
        if status or not data:
            failed = True
        else:
            outcomes.append(pickle.loads(data))
    if failed:
        raise RuntimeError("a child has failed; its traceback stands above")
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the model with the kernel on random sequences of calls.")
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40), help="the first one; others follow it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", help="names of calls, with commas between")
    parser.add_argument("--stop-after", type=int, default=3, help="differences, in each job")
    parser.add_argument("--results", action="store_true", help="how often each call had each errno")
    arguments = parser.parse_args()
    only = frozenset(arguments.only.split(",")) if arguments.only else None
    write = sys.stdout.write
    write(f"seeds {arguments.seed} to {arguments.seed + arguments.sequences - 1}\n")
    sys.stdout.flush()
    begin = time.monotonic()
    seeds = [
        range(arguments.seed + job, arguments.seed + arguments.sequences, arguments.jobs)
        for job in range(arguments.jobs)
    ]
    outcomes = in_children(
        [lambda part=part: search(part, only=only, stop_after=arguments.stop_after) for part in seeds]  # type: ignore[misc]
    )
    sequences = sum(one.sequences for one in outcomes)
    results = sum((one.results for one in outcomes), Counter[tuple[str, int]]())
    found = [difference for one in outcomes for difference in one.found]
    for one in sorted(found):
        write(f"seed {one.seed}: {one.difference}\n\n")
    seconds = time.monotonic() - begin
    if arguments.results:
        for (name, number), count in sorted(results.items()):
            write(f"{count:9} {name:15} {error_name(number)}\n")
    write(f"{sequences} sequences, {results.total()} calls, {len(found)} differences, {seconds:.0f} s\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

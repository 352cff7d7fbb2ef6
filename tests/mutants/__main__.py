"""How many small changes of the code do the tests notice? The figure is kept in figures.toml and only rises.

python -m tests.mutants planner|applier [--size 40] [--seed 1] [--jobs 2]

Without --size and --seed it is the sample of figures.toml, and the figure is held against what is written there.

The kept tools do not fit this checkout: mutmut names modules after their files (planner.x, which is imported as
mountplan.planner.x), passes over decorated functions, constants and tables, and leaves out what no test reaches, which
counts here; cosmic-ray changes the working tree itself, and starts Python anew for each mutant.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections import Counter
from pathlib import Path

from tests.mutants.room_runs import load_what_is_slow, measure, try_all
from tests.mutants.sites import sample

FIGURES = Path(__file__).with_name("figures.toml")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kept = tomllib.loads(FIGURES.read_text())
    parser.add_argument("half", choices=list(kept))
    parser.add_argument("--size", type=int, help="how many mutants")
    parser.add_argument("--seed", type=int, help="which ones")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="only mutants of files with this in their path")
    args = parser.parse_args()
    figure = kept[args.half]
    root = Path(__file__).parents[2]
    os.chdir(root)
    paths = sorted(path for path in Path(args.half).rglob("*.py") if args.only in str(path))
    mutants = sample(paths, args.size or figure["sample"], args.seed or figure["seed"])
    load_what_is_slow()
    tests = measure(args.half)
    print(f"{len(tests.seconds)} tests, {len(mutants)} mutants", flush=True)  # noqa: T201
    fates: Counter[str] = Counter()
    for mutant, fate in try_all(mutants, tests, args.jobs):
        fates[fate] += 1
        if fate != "killed":
            print(f"{fate}: {mutant.name}", flush=True)  # noqa: T201
    killed = 100 * fates["killed"] / len(mutants)
    told = ", ".join(f"{fates[fate]} {fate}" for fate in ("killed", "survived", "not reached"))
    print(f"{args.half}: {len(mutants)} mutants, {told}: {killed:.1f} %")  # noqa: T201
    if args.size or args.seed or args.only:
        return 0
    if killed < figure["least"]:
        print(f"{FIGURES.relative_to(root)} wants {figure['least']} % at least")  # noqa: T201
        return 1
    if int(killed) > figure["least"]:
        print(f"write it down: least = {int(killed)} for [{args.half}] in {FIGURES.relative_to(root)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

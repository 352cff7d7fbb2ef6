"""Build random valid specs, and hold what stands there against a reader of specs that shares nothing with planning:

python -m tests.kernel.agreement --specs 10000 [--seed 1]
"""

from __future__ import annotations

import argparse
import sys

from mountplan import api
from mountplan.planner.errors import PlanRefused, SpecError
from mountplan.planner.language.spec_reading import build_spec
from tests.second_reader import Reading, Table, differences
from tests.valid_specs import valid_spec


def disagreement(seed: int, *, plain: bool) -> str | None:
    """How what is built differs from what the second reader finds, "" if it does not; None if the spec is refused."""
    value = valid_spec(seed, plain=plain)
    try:
        plan = api.plan(build_spec(value))
    except (SpecError, PlanRefused):
        return None
    reading = Reading(value)
    known: Table = {}
    found = []
    for name, table in api.build_and_forget(plan).tables:  # VerificationFailed: prediction and kernel differ
        found += [f"{name}: {what}" for what in differences(reading.roots[name], table, known)]
    return "\n".join(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    built = 0
    for seed in range(args.seed, args.seed + args.specs):
        plain = seed % 4 == 0
        found = disagreement(seed, plain=plain)
        built += found is not None
        if found:
            print(f"valid_spec({seed}, plain={plain}):\n{found}")  # noqa: T201
            return 1
        if not seed % 500:
            print(f"{seed}: all agree so far", flush=True)  # noqa: T201
    print(f"{built} of {args.specs} specs were built, and all agree")  # noqa: T201
    return 0 if built >= 0.99 * args.specs else 1


if __name__ == "__main__":
    sys.exit(main())

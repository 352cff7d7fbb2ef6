"""Build random valid specs, and hold what stands there against a reader of specs that shares nothing with planning:

python -m tests.kernel.agreement --specs 10000 [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.privilege import is_nested
from mountplan.planner.attributes import change
from mountplan.planner.errors import NotAllowed, PlanRefused, SpecError
from mountplan.planner.language.spec_reading import build_spec
from tests import inherited_specs
from tests.hosts import mount, run_in_host, umount
from tests.inherited_specs import HostMount, inherited_spec, read
from tests.mountflags import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_SHARED
from tests.second_reader import Reading, Table, differences
from tests.valid_specs import BEGINS, IMAGE, INNER, LONG_IMAGE, NAMES, valid_spec

CHUNK = 250


def make_images() -> bool:
    """Make what valid specs have images of; False if this machine cannot."""
    if not shutil.which("mksquashfs") or "\tsquashfs\n" not in Path("/proc/filesystems").read_text():
        return False
    mount("images", "/mnt", "tmpfs")
    for one in NAMES:
        for other in NAMES:
            os.makedirs(f"/mnt/tree/{one}/{other}")
    for path in (f"/mnt/tree{INNER}", IMAGE):  # the second has the first in it
        subprocess.run(["mksquashfs", "/mnt/tree", path, "-quiet", "-no-progress"], check=True, capture_output=True)
    Path(LONG_IMAGE).write_bytes(bytes(BEGINS) + Path(IMAGE).read_bytes())
    return True


def disagreement(seed: int, *, plain: bool, images: bool = False) -> str | None:
    """How what is built differs from what the second reader finds, "" if it does not; None if the spec is refused.

    To an ordinary user the kernel does not allow all of it: what has a new /proc, say.
    """
    value = valid_spec(seed, plain=plain, images=images)
    try:
        plan = api.plan(build_spec(value))
    except (SpecError, PlanRefused):
        return None
    reading = Reading(value)
    known: Table = {}
    found = []
    try:
        tables = api.build_and_forget(plan).tables  # VerificationFailed: prediction and kernel differ
    except NotAllowed:
        if is_nested():
            return None
        raise
    for name, table in tables:
        found += [f"{name}: {what}" for what in differences(reading.roots[name], table, known)]
    return "\n".join(found)


def inherited_disagreement(seed: int) -> str | None:
    """The same for a spec that changes what is inherited, on a host that has what it is about on /mnt."""
    found = inherited_spec(seed)
    try:
        for one in found.mounts:
            _mount_on_host(one)
        table = observe()
        plan = api.plan(build_spec(found.value))
        api.foresee(plan)
        ((_, built),) = api.build_and_forget(plan).tables
        return "\n".join(differences(read(found.value, table), built, {}))
    except (SpecError, PlanRefused):
        return None
    finally:
        umount("/mnt", MNT_DETACH)


def _mount_on_host(one: HostMount) -> None:
    mount(one.source or one.target, one.target, "" if one.source else "tmpfs", flags=MS_BIND if one.source else 0)
    mount("", one.target, flags=MS_SHARED if one.shared else MS_PRIVATE)
    for first in () if one.source else inherited_specs.NAMES:
        for second in inherited_specs.NAMES:
            os.makedirs(f"{one.target}/{first}/{second}")
    wanted = change(one.words)
    fd = os.open(one.target, os.O_PATH)
    try:
        LinuxKernel().set_attributes(fd, set=wanted.set, clear=wanted.clear)
    finally:
        os.close(fd)


def disagreements(first: int, last: int) -> list[tuple[int, str | None]]:
    """By the numbers of the specs: one in four is plain, one in four changes what is inherited."""
    found: list[tuple[int, str | None]] = []
    images = make_images()
    for seed in range(first, last):
        if seed % 4 != 1:
            found.append((seed, disagreement(seed, plain=seed % 4 == 0, images=images)))
    if images:
        umount("/mnt", MNT_DETACH)
    return found + [(seed, inherited_disagreement(seed)) for seed in range(first, last) if seed % 4 == 1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    built, last = 0, args.seed + args.specs
    for first in range(args.seed, last, CHUNK):
        chunk = partial(disagreements, first, min(first + CHUNK, last))
        for seed, found in run_in_host(chunk, identity="root", timeout=600):
            built += found is not None
            if found:
                print(f"number {seed}:\n{found}")  # noqa: T201
                return 1
        print(f"{min(first + CHUNK, last)}: all agree so far", flush=True)  # noqa: T201
    print(f"{built} of {args.specs} specs were built, and all agree")  # noqa: T201
    return 0 if built >= 0.99 * args.specs else 1


if __name__ == "__main__":
    sys.exit(main())

"""How fast the model of propagation is: microseconds a mount, and whether that grows with the number of mounts.

    python bench/model.py > bench/MODEL.md        # about a minute

Each line has two sizes, 1,000 and 10,000 mounts (1,024 and 8,192 for the doubling); `growth` is how much more each
mount costs among the many, so 1 is linear. Times are CPU times, so that a busy machine changes little.
"""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable

from mountplan import api
from mountplan.planner.ask.classic import classic_way
from mountplan.planner.ask.trial import Trial
from mountplan.planner.attributes import Change
from mountplan.planner.host import NoHost
from mountplan.planner.model import Process, Superblock, World
from mountplan.planner.model.from_tables import world_of
from mountplan.planner.model.to_table import table_of
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountTable
from specs import spec

ROUNDS = 3
NOSUID = Change(0x2, 0)


def new_world(directories: int = 0) -> tuple[World, Process]:
    """A namespace with one tmpfs, and `directories` in it."""
    world = World(mount_max=1_000_000)
    root = world.superblock("tmpfs")
    for number in range(directories):
        root.make(f"/{number}")
    return world, world.boot("bench", root)


def numbered(count: int) -> Callable[[Superblock], None]:
    def fill(superblock: Superblock) -> None:
        for number in range(count):
            superblock.make(f"/{number}")

    return fill


def timed(prepare: Callable[[], Callable[[], object]]) -> float:
    """Seconds: the median of some rounds, the garbage collector off as in the commands."""
    seconds = []
    for _ in range(ROUNDS):
        work = prepare()
        gc.collect()
        gc.disable()
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
        gc.enable()
    return statistics.median(seconds)


def attach_private(mounts: int) -> Callable[[], object]:
    """What a plan's steps do: clone a workbench, set attributes, attach, let go; four steps, and nothing is shared."""
    world, process = new_world(mounts)
    workbench = world.fsmount(process, world.superblock("tmpfs"))

    def work() -> None:
        for number in range(mounts):
            handle = world.open_tree(process, workbench, clone=True)
            world.set_attributes(process, handle, NOSUID)
            world.move_mount(process, handle, f"/{number}")
            world.close(handle)

    return work


def peers(world: World, process: Process, count: int) -> None:
    """A shared tmpfs at /0, and its peers at /1 to /count-1; each has directories of its own."""
    world.mount_new(process, "tmpfs", "shared", "/0", fill=numbered(1100))
    world.change_type(process, "/0", "shared")
    for number in range(1, count):
        world.bind(process, "/0", f"/{number}")


def mount_in_peers(mounts: int, group: int = 100) -> Callable[[], object]:
    """`mounts` in all, by mounting in a group of 100 peers: each call makes a hundred."""
    world, process = new_world(group)
    peers(world, process, group)

    def work() -> None:
        for number in range(mounts // group):
            world.mount_new(process, "tmpfs", "t", f"/0/{number}")

    return work


def double(mounts: int) -> Callable[[], object]:
    """A shared tree bound into itself until it has at least so many mounts."""
    world, process = new_world(1)
    world.mount_new(process, "tmpfs", "d", "/0", fill=numbered(20))
    world.change_type(process, "/0", "shared")

    def work() -> None:
        number = 0
        while len(process.namespace.mounts) < mounts:
            world.bind(process, "/0", f"/0/{number}")
            number += 1

    return work


def filled(mounts: int) -> tuple[World, Process]:
    world, process = new_world(100)
    peers(world, process, 100)
    for number in range(mounts // 100):
        world.mount_new(process, "tmpfs", "t", f"/0/{number}")
    return world, process


def unmount_in_peers(mounts: int) -> Callable[[], object]:
    world, process = filled(mounts)

    def work() -> None:
        for number in range(mounts // 100):
            world.umount(process, f"/0/{number}")

    return work


def clone_namespace(mounts: int) -> Callable[[], object]:
    world, process = filled(mounts)
    child = world.fork(process, "child")
    return lambda: world.unshare(child, "child")


def read_table(mounts: int) -> Callable[[], object]:
    _, process = filled(mounts)
    return lambda: table_of(process.namespace, process.root)


def build_world(mounts: int) -> Callable[[], object]:
    """From an observed table to a World, as explain and simulate --from begin."""
    world, process = filled(mounts)
    table = world.table(process)
    return lambda: world_of((("bench", table),))


def plan_of(mounts: int) -> Plan:
    return api.plan(api.load("bench.toml", spec("binds", mounts)), NoHost())


def try_plan(mounts: int) -> Callable[[], object]:
    """The steps of a plan, as `plan` and `check` carry them out; the time is given for each step."""
    return Trial(plan_of(mounts).steps, MountTable(())).run


def mount_classic(mounts: int) -> Callable[[], object]:
    """The same tree in the order of the file, as `plan` does it for the figure that it tells."""
    plan, host = plan_of(mounts), world_of_one()
    predictions = predict(plan, host)
    return lambda: classic_way(plan, predictions, host)


def world_of_one() -> MountTable:
    """The table of a host with a root and nothing else."""
    world, process = new_world()
    return world.table(process)


LINES: tuple[tuple[str, Callable[[int], Callable[[], object]], tuple[int, int]], ...] = (
    ("four steps without propagation", attach_private, (1_000, 10_000)),
    ("a plan of that many mounts, for each step", try_plan, (1_000, 10_000)),
    ("the same tree the classic way", mount_classic, (1_000, 10_000)),
    ("mount in a group of 100 peers", mount_in_peers, (1_000, 10_000)),
    ("unmount in a group of 100 peers", unmount_in_peers, (1_000, 10_000)),
    ("bind a shared tree into itself", double, (1 << 10, 1 << 13)),
    ("clone a namespace", clone_namespace, (1_000, 10_000)),
    ("read a table off the model", read_table, (1_000, 10_000)),
    ("make a model of a table", build_world, (1_000, 10_000)),
)


def measured(name: str, prepare: Callable[[int], Callable[[], object]], size: int) -> float:
    count = len(plan_of(size).steps) if "each step" in name else size
    return 1e6 * timed(lambda: prepare(size)) / count


def main() -> None:
    print("# Figures of the model\n")
    release = platform.release().split("-")[0]
    print(f"Measured by `python bench/model.py` on Linux {release}, Python {platform.python_version()};")
    print(f"CPU time, medians of {ROUNDS} runs. A plan may take 100 us a step.\n")
    print("| microseconds a mount | 1,000 | 10,000 | growth |")
    print("|---|---:|---:|---:|")
    for name, prepare, sizes in LINES:
        few, many = (measured(name, prepare, size) for size in sizes)
        print(f"| {name} | {few:.1f} | {many:.1f} | {many / few:.2f} |", flush=True)


if __name__ == "__main__":
    main()

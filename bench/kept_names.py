"""What the commands cost that look at what stands: whole commands, beside a C program that reads what they have to.

    python bench/kept_names.py [--mounts N] [--names N] [--rounds N]      (as root)

CPU time of each command and of all that it starts (bench/ratios.py), and how often that is Python's own start. All
happens in a mount namespace of its own, with a /run of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ratios import Commands, make_file_systems, make_spec, measure, pairs_of, private_namespace, ratio


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the commands that look at what stands.")
    parser.add_argument("--mounts", type=int, default=1_000, help="of the name that is looked at (1,000)")
    parser.add_argument("--names", type=int, default=100, help="names that are kept (100)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    private_namespace()
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "bench", name], check=True)
        os.chdir("/")
        try:
            look(Path(name), args.mounts, args.names, args.rounds)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def look(folder: Path, mounts: int, names: int, rounds: int) -> None:
    make_file_systems(folder)
    commands = Commands(folder)
    pairs = pairs_of(folder, mounts)
    for pair in pairs:
        for path in pair:
            os.makedirs(path, exist_ok=True)
    large, changed, small = folder / "large.toml", folder / "changed.toml", folder / "small.toml"
    again = folder / "again.toml"  # of another name no plan is kept
    large.write_text(make_spec("groups", pairs))
    again.write_text(make_spec("groups", pairs))
    changed.write_text(make_spec("groups", pairs[:-10]))
    small.write_text('format = 1\nname = "small"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    keep = ("apply", "--quiet", "--name")

    def run(*words: str) -> None:
        subprocess.run(commands.mountplan(*words), check=True, env=commands.environment, stdout=subprocess.DEVNULL)

    run(*keep, "large", str(large))
    reader = str(folder / "tables")
    source = Path(__file__).with_name("tables.c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-o", reader, source], check=True)
    todo = {
        "python": [commands.python, "-I", "-S", "-c", "pass"],
        f"in C: go in and read {mounts:,} mounts, twice": [reader, "/run/mountplan/large/mnt"],
        f"show, {mounts:,} mounts": commands.mountplan("show", "large"),
        f"verify, {mounts:,} mounts, plan kept": commands.mountplan("verify", str(large), "large"),
        f"verify, {mounts:,} mounts, no plan kept": commands.mountplan("verify", str(again), "large"),
        f"capture, {mounts:,} mounts": commands.mountplan("capture", "large"),
        f"diff of a name with itself, {mounts:,} mounts": commands.mountplan("diff", "large", "large"),
        f"plan --live, 10 of {mounts:,} mounts less": commands.mountplan("plan", str(changed), "--live", "large"),
    }
    report(todo, commands, rounds)
    run("rm", "large")
    for number in range(names):
        run(*keep, f"small{number}", str(small))
    files = [str(one) for one in Path("/run/mountplan").glob("*/mnt")]
    todo = {
        "python": todo["python"],
        f"in C: go into {len(files)} and read 2 mounts in each, twice": [reader, *files],
        f"ls, {names} names": commands.mountplan("ls"),
    }
    report(todo, commands, rounds)


def report(todo: dict[str, list[str]], commands: Commands, rounds: int) -> None:
    costs = measure(todo, commands.environment, rounds)
    for title, found in costs.items():
        if title != "python":
            cpu = median(one.cpu for one in found)
            print(f"| {title} | {cpu:.1f} | {ratio(costs, title, 'python'):.2f} |", flush=True)


if __name__ == "__main__":
    print("| command | CPU, ms | / python |\n|---|---:|---:|")
    main()

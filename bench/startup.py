"""Times whole commands from start to end, beside Python itself and the tools that do less.

    python bench/startup.py [--runs N] [--write]      (as root)

All commands take turns, so that a machine whose speed drifts treats them alike. Prints medians in milliseconds: of wall
time, and of CPU time (user and system, of all processes of a command), and how often that is `python3 -c pass`, pair by
pair. The budgets hold for CPU time, which other work on the machine disturbs least. --write puts the table into
bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

BASE = "python3 -c pass"
BUDGETS = {"mountplan --version": 1.5, "mountplan run plan.json -- true": 2.5}
TITLE = "## Start-up"
ROOT = Path(__file__).resolve().parent.parent
# Its root is the host's, so that there is something to run; specs/hello.toml has no program in it.
HOST = 'format = 1\nname = "host"\n[[mount]]\ntarget = "/"\nbind = "/"\nrecursive = true\n'
HELLO = (ROOT / "specs/hello.toml").read_text() + "".join(
    f'[[mount]]\ntarget = "{path}"\nbind = "{path}"\nrecursive = true\n'
    for path in ("/usr", "/bin", "/lib", "/lib64")
    if Path(path).is_dir()
)


def commands(folder: Path) -> dict[str, list[str]]:
    """Title -> command."""
    python = [sys.executable]
    mountplan = [*python, "-m", "mountplan"]
    plan, spec, hello = str(folder / "plan.json"), str(folder / "host.toml"), str(folder / "hello.toml")
    Path(spec).write_text(HOST)
    Path(hello).write_text(HELLO)
    subprocess.run([*mountplan, "plan", "--quiet", "-o", plan, spec], check=True, stdout=subprocess.DEVNULL)
    found = {
        BASE: [*python, "-c", "pass"],
        "mountplan --version": [*mountplan, "--version"],
        "mountplan run plan.json -- true": [*mountplan, "run", plan, "--", "true"],
        "mountplan check hello.toml": [*mountplan, "check", hello],
        "mountplan run hello.toml -- true, the first time": [*mountplan, "run", "--no-cache", hello, "--", "true"],
        "mountplan run hello.toml -- true, from the cache": [*mountplan, "run", hello, "--", "true"],
        "unshare -m true": ["unshare", "-m", "true"],
    }
    if shutil.which("bwrap"):
        found["bwrap --dev-bind / / true"] = ["bwrap", "--dev-bind", "/", "/", "true"]
    return found


def once(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall time and CPU time in milliseconds; the command must succeed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall * 1e3, cpu * 1e3


def table(runs: int) -> list[str]:
    """The figures as a Markdown table."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"XDG_CACHE_HOME": folder, "PYTHONPATH": str(ROOT)}
        todo = commands(Path(folder))
        figures: dict[str, list[tuple[float, float]]] = {title: [] for title in todo}
        for number in range(runs + 1):
            for title, command in todo.items():
                figure = once(command, environment)
                if number:  # the first round fills caches, and is not counted
                    figures[title].append(figure)
    lines = ["| command | wall, ms | CPU, ms | CPU / Python's | |", "|---|---:|---:|---:|---|"]
    for title, found in figures.items():
        wall, cpu = (median(one[place] for one in found) for place in (0, 1))
        ratio = median(one[1] / max(base[1], 0.1) for one, base in zip(found, figures[BASE], strict=True))
        budget = BUDGETS.get(title)
        held = "" if budget is None else f"{'within' if ratio <= budget else 'OVER'} {budget:g}"
        what, comma, when = title.partition(",")
        lines.append(f"| `{what}`{comma}{when} | {wall:.0f} | {cpu:.0f} | {ratio:.2f} | {held} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Time whole commands beside Python itself.")
    parser.add_argument("--runs", type=int, default=21, help="counted rounds (21)")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    system = os.uname()
    words = (
        f"Measured by `python bench/startup.py` on {time.strftime('%Y-%m-%d')}:",
        f"Linux {system.release.split('-')[0]}, {system.machine}, {os.cpu_count()} CPUs,",
        f"Python {platform.python_version()}; medians of {args.runs} runs, all commands in turns.",
    )
    text = "\n".join((TITLE, "", " ".join(words), "", *table(args.runs), ""))
    print(text)
    if args.write:
        path = Path(__file__).with_name("RESULTS.md")
        before, mark, after = path.read_text().partition(f"\n{TITLE}\n")
        rest = after.partition("\n## ")
        path.write_text(f"{before.rstrip()}\n\n{text}" + (f"\n## {rest[2]}" if mark and rest[1] else ""))


if __name__ == "__main__":
    main()

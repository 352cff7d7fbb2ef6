"""Whole commands beside the same work in C and the tools that do less, as ratios: the goals, in less than a minute.

    python bench/ratios.py [--rounds N] [--only WORD...] [--write]      (as root)

Every figure is CPU time, user and system, of a command and of all processes that it starts, those that outlive it
included: other work on the machine disturbs that least. All commands of a size take turns, and a ratio is the median
of the ratios within a turn. `python` is `python3 -I -S -c pass` of the interpreter that runs mountplan. mountplan is
started as its installed script does, from an environment that has nothing else in it. `C` makes the very system calls
that `run plan.json` makes for the build (bench/floor.c), `C, fewest calls` those that a bind takes if nothing is
checked (bench/binds.c); both are programs of their own, which take down what they have built as well.

All happens in a mount namespace of its own, on a tmpfs. --write puts the tables into bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from floor import compile_floor, run_floor, write_tape

from mountplan.pipeline import load_plan

ROOT = Path(__file__).resolve().parent.parent
TITLE = "## Whole commands"
PR_SET_CHILD_SUBREAPER = 36
PEERS = 8
SCRIPT = "import sys\nfrom mountplan.__main__ import main\nsys.exit(main())\n"


class Costs(NamedTuple):
    """Of a command: CPU time of each turn, in milliseconds, and the most memory that one process of it had, in MB."""

    cpu: list[float]
    memory: float


class Goal(NamedTuple):
    """`command` may cost at most `factor` times what `base` does, for trees of `size` mounts of `kind`."""

    kind: str
    size: int
    command: str
    base: str
    factor: float


GOALS = (
    Goal("binds", 10_000, "run plan.json", "C", 2.0),
    Goal("groups", 10_000, "run plan.json", "C", 2.2),
    Goal("binds", 10_000, "run plan.json", "crun", 1.0),
    Goal("binds", 5_000, "run plan.json", "crun", 1.0),
    Goal("binds", 10, "run spec, kept", "run plan.json", 1.15),
    Goal("binds", 1_000, "run spec, kept", "run plan.json", 1.15),
    Goal("binds", 5_000, "run spec, kept", "run plan.json", 1.15),
    Goal("binds", 10_000, "run spec, kept", "run plan.json", 1.15),
    Goal("groups", 10_000, "run spec, kept", "run plan.json", 1.15),
    Goal("binds", 10, "run spec, first", "python", 20),
    Goal("binds", 10, "check spec", "python", 20),
    Goal("binds", 3, "run plan.json", "python", 4),
)
ONCE_MS = {("binds", 10_000, "run spec, first"): 900.0, ("binds", 10_000, "check spec"): 900.0}
ROUNDS = {3: 15, 10: 5, 1_000: 3, 5_000: 3, 10_000: 3}
CASES = (("binds", 3), ("binds", 10), ("binds", 1_000), ("binds", 5_000), ("binds", 10_000), ("groups", 10_000))


def once(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """CPU time of a command and all that it starts, in milliseconds, and the most memory, in MB, of what outlives it.

    It must succeed.
    """
    with tempfile.TemporaryFile() as errors:
        return _once(command, environment, errors.fileno())


def _once(command: list[str], environment: dict[str, str], errors: int) -> tuple[float, float]:
    pid = os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        ],
    )
    cpu = memory = 0.0
    failed = False
    while True:
        try:
            child, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        failed |= child == pid and status != 0
        cpu += used.ru_utime + used.ru_stime
        if child != pid:  # which began as a copy of this process, and has had its memory as well
            memory = max(memory, used.ru_maxrss / 1024)
    if failed:
        said = os.pread(errors, 2000, 0).decode(errors="replace")
        raise SystemExit(f"{' '.join(command)[:200]} failed: {said}")
    return cpu * 1e3, memory


def private_namespace() -> None:
    """Everything is measured in a mount namespace of its own; what outlives a command is waited for here."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None):
        raise SystemExit(f"run it as root: {os.strerror(ctypes.get_errno())}")
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    unified = b"/sys/fs/cgroup/unified"  # crun asks for it where it is on machines without the older ones
    if os.path.isdir(unified):
        libc.mount(unified, b"/sys/fs/cgroup", None, 0x1000, None)


def pairs_of(folder: Path, size: int) -> list[tuple[str, str]]:
    """Source and target of each bind: a hundred directories, bound in directories of a hundred."""
    return [(f"{folder}/source/{one % 100}", f"{folder}/t/{one // 100:03}/{one % 100:02}") for one in range(size)]


def make_directories(folder: Path, size: int) -> list[tuple[str, str]]:
    pairs = pairs_of(folder, size)
    for one in dict.fromkeys(path for pair in pairs for path in pair):
        os.makedirs(one, exist_ok=True)
    return pairs


def make_file_systems(folder: Path) -> None:
    """One of the sources, one of the targets: the kernel walks all that is mounted on a mount when it is cloned."""
    for name in ("source", "t"):
        (folder / name).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "bench", folder / name], check=True)


def make_spec(kind: str, pairs: list[tuple[str, str]]) -> str:
    lines = ["format = 1", 'name = "bench"', 'root = "inherit"', 'propagation = "private"']
    if kind == "groups":
        lines += [f"[peer_group.g{number}]" for number in range(-(-len(pairs) // PEERS))]
    for number, (source, target) in enumerate(pairs):
        lines += ["", "[[mount]]", f'target = "{target}"', f'bind = "{source}"']
        if kind == "groups":
            lines.append(f'peer_group = "g{number // PEERS}"')
    return "\n".join(lines) + "\n"


def make_bundle(folder: Path, pairs: list[tuple[str, str]], program: Path) -> Path:
    """What crun needs for the same binds: a root file system with nothing but a program, and a config.json."""
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    root = bundle / "rootfs"
    root.mkdir(parents=True)
    (root / "dev").mkdir()
    shutil.copy(program, root / "true")
    mounts = []
    for source, target in pairs:
        inside = target.removeprefix(str(folder))
        (root / inside[1:]).mkdir(parents=True)
        mounts.append({"destination": inside, "type": "bind", "source": source, "options": ["bind", "rprivate"]})
    (bundle / "config.json").write_text(
        json.dumps(
            {
                "ociVersion": "1.0.0",
                "process": {"user": {"uid": 0, "gid": 0}, "args": ["/true"], "cwd": "/", "env": []},
                "root": {"path": "rootfs"},
                "mounts": mounts,
                "linux": {"namespaces": [{"type": "mount"}]},
            }
        )
    )
    return bundle


class Commands:
    """The commands that are measured, made in `folder`, which is on a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = str(folder / "venv/bin/python")
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        self.script = folder / "venv/bin/mountplan"
        self.script.write_text(SCRIPT)
        wanted = ("PATH", "HOME", "LANG", "LC_ALL")
        self.environment = {name: os.environ[name] for name in wanted if name in os.environ}
        self.environment |= {"PYTHONPATH": f"{ROOT}:{packages}", "XDG_CACHE_HOME": str(folder)}
        self.binds, self.true, self.floor = folder / "binds", folder / "true", compile_floor(folder)
        compiler = [os.environ.get("CC", "cc"), "-O2"]
        (folder / "true.c").write_text("int main(void) { return 0; }\n")
        subprocess.run([*compiler, "-Wall", "-o", self.binds, ROOT / "bench/binds.c"], check=True)
        subprocess.run([*compiler, "-static", "-o", self.true, folder / "true.c"], check=True)
        self.starter = folder / "memory"
        subprocess.run([*compiler, "-Wall", "-static", "-o", self.starter, ROOT / "bench/memory.c"], check=True)

    def mountplan(self, *words: str) -> list[str]:
        return [self.python, str(self.script), *words]

    def memory_of(self, command: list[str]) -> float:
        """The most memory that one process of a command had, in MB."""
        said = self.folder / "said"
        _, memory = once([str(self.starter), str(said), *command], self.environment)
        return max(memory, int(said.read_text()) / 1024)

    def make(self, kind: str, size: int) -> dict[str, list[str]]:
        """Title -> command, for `size` binds."""
        folder, true = self.folder, str(self.true)
        pairs = make_directories(folder, size)
        spec, plan, listed = folder / f"{kind}.toml", folder / f"{kind}.json", folder / "list"
        spec.write_text(make_spec(kind, pairs))
        listed.write_text("".join(f"{source}\n{target}\n" for source, target in pairs))
        subprocess.run(
            self.mountplan("plan", "--quiet", "-o", str(plan), str(spec)),
            check=True, env=self.environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.plan = plan
        group = str(PEERS if kind == "groups" else 0)
        found = {"python": [self.python, "-I", "-S", "-c", "pass"]}
        tape = folder / f"{kind}.tape"
        in_child(lambda: float(write_tape(load_plan(str(plan)), tape)))
        found["C"] = [str(self.floor), str(tape)]
        found["C, fewest calls"] = [str(self.binds), group, str(listed), str(folder / "source")]
        if kind == "binds" and (crun := shutil.which("crun")):
            bundle = make_bundle(folder, pairs, self.true)
            found["crun"] = [crun, "--root", str(folder / "crun"), "--cgroup-manager", "disabled", "run", "--bundle",
                             str(bundle), "bench"]  # fmt: skip
        if kind == "binds" and size <= 1_000 and (bwrap := shutil.which("bwrap")):
            found["bwrap"] = [
                bwrap,
                "--dev-bind",
                "/",
                "/",
                *(word for pair in pairs for word in ("--bind", *pair)),
                true,
            ]
        if kind == "binds" and size <= 1_000 and shutil.which("unshare") and (sh := shutil.which("sh")):
            table = folder / "fstab"
            table.write_text("".join(f"{source} {target} none bind\n" for source, target in pairs))
            found["mount -a"] = [str(shutil.which("unshare")), "-m", sh, "-c", f"mount -a -T {table}"]
        found["run plan.json"] = self.mountplan("run", str(plan), "--", true)
        found["run spec, kept"] = self.mountplan("run", str(spec), "--", true)
        if kind == "binds" and size in (10, 10_000):
            found["run spec, first"] = self.mountplan("run", "--no-cache", str(spec), "--", true)
            found["check spec"] = self.mountplan("check", str(spec))
        return found


def measure(commands: Commands, todo: dict[str, list[str]], rounds: int) -> dict[str, Costs]:
    """All commands in turns; the first turn fills caches, and is not counted, and the last one measures memory."""
    found: dict[str, list[float]] = {title: [] for title in todo}
    for number in range(rounds + 1):
        for title, command in todo.items():
            cpu, _ = once(command, commands.environment)
            if number:
                found[title].append(cpu)
    return {title: Costs(found[title], commands.memory_of(command)) for title, command in todo.items()}


def ratio(costs: dict[str, Costs], title: str, base: str) -> float:
    return median(one / max(other, 0.1) for one, other in zip(costs[title].cpu, costs[base].cpu, strict=True))


def verdict(value: float, limit: float) -> str:
    return f"{'within' if value <= limit else 'OVER'} {limit:g}"


def table(kind: str, size: int, costs: dict[str, Costs]) -> list[str]:
    lines = [f"### {size:,} {'binds' if kind == 'binds' else f'binds in peer groups of {PEERS}'}", "",
             "| command | CPU, ms | memory, MB | / python | / C |", "|---|---:|---:|---:|---:|"]  # fmt: skip
    for title, found in costs.items():
        ratios = " | ".join(f"{ratio(costs, title, base):.2f}" for base in ("python", "C"))
        lines.append(f"| {title} | {median(found.cpu):.1f} | {found.memory:.0f} | {ratios} |")
    lines.append("")
    for goal in GOALS:
        if (goal.kind, goal.size) == (kind, size) and goal.base in costs and goal.command in costs:
            value = ratio(costs, goal.command, goal.base)
            lines.append(f"- {goal.command} / {goal.base}: {value:.2f} ({verdict(value, goal.factor)})")
    for (its_kind, its_size, title), limit in ONCE_MS.items():
        if (its_kind, its_size) == (kind, size):
            value = median(costs[title].cpu)
            lines.append(f"- {title}: {value:.0f} ms ({verdict(value, limit)})")
    if size >= 10_000:
        value = costs["run plan.json"].memory
        lines.append(f"- memory of run plan.json: {value:.0f} MB ({verdict(value, 40)})")
    return lines


def of_plan_file(path: Path, size: int) -> list[str]:
    """How long a plan file is, and what reading and checking it takes, in a process of its own."""
    text = path.read_bytes()

    def read() -> float:
        import gc

        from mountplan.planner.plan.planfile import load_plan

        gc.disable()
        begin = time.process_time()
        load_plan(text, "plan.json")
        return time.process_time() - begin

    cost = median(in_child(read) for _ in range(3)) * 1e6 / size
    return [
        f"- plan file: {len(text) / size:.0f} bytes a mount ({verdict(len(text) / size, 200)})",
        f"- plan file, read and checked: {cost:.1f} us a mount ({verdict(cost, 3)})",
    ]


def executed(kind: str, size: int, folder: Path, program: Path) -> str:
    """execute of a plan that was read, beside the calls that it makes, made in C (bench/floor.c)."""
    import gc

    import specs
    from mountplan import api
    from mountplan.applier.build.execute import execute, load_what_is_needed
    from mountplan.applier.sys.kernel import LinuxKernel
    from mountplan.applier.sys.report import Reporter
    from mountplan.planner.plan.planfile import dump_plan, parse_plan

    if kind == "host binds":
        data = make_spec("binds", make_directories(folder, size)).encode()
    else:
        data = specs.spec(kind, size)
    plan = parse_plan(dump_plan(api.plan(api.load("bench.toml", data))), "plan.json")
    load_what_is_needed(plan.steps)
    tape = folder / "tape"
    write_tape(plan, tape)

    def timed() -> float:
        gc.disable()
        begin = time.process_time()
        execute(plan.steps, LinuxKernel(), Reporter())
        return time.process_time() - begin

    pairs = []
    for _ in range(4):
        pairs.append((in_child(timed), run_floor(program, tape)[1] / 1e9))
    own, floor = (median(pair[place] for pair in pairs[1:]) * 1e6 / size for place in (0, 1))
    value = median(one / other for one, other in pairs[1:])
    return f"| {kind} | {own:.1f} | {floor:.1f} | {value:.2f} | {verdict(value, 1.2)} |"


def in_child(function: Callable[[], float]) -> float:
    """What `function` returns, called in a forked process, of which nothing remains."""
    answer, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(say, repr(function()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(answer) as file:
        text = file.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a run failed")
    return float(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time whole commands beside C and other tools, as ratios.")
    parser.add_argument("--rounds", type=float, default=1.0, help="how many times the usual number of rounds")
    parser.add_argument("--only", nargs="*", default=[], help="cases: binds-10000, ..., execute")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    private_namespace()
    system, load = os.uname(), os.getloadavg()[1]
    words = (
        f"Measured by `python bench/ratios.py` on {time.strftime('%Y-%m-%d')}:",
        f"Linux {system.release.split('-')[0]}, {system.machine}, {os.cpu_count()} CPUs,",
        f"Python {platform.python_version()}; medians, beside a load of {load:.1f}.",
    )
    lines = [TITLE, "", " ".join(words), ""]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "bench", name], check=True)
        os.chdir("/")
        try:
            make_file_systems(Path(name))
            found = run_cases(Path(name), args.only, args.rounds)
        finally:
            subprocess.run(["umount", "-l", name], check=True)
    lines += found
    if args.write:
        path = Path(__file__).with_name("RESULTS.md")
        before, _, after = path.read_text().partition(f"{TITLE}\n")
        rest = after.partition("\n## ")
        path.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + (f"\n## {rest[2]}" if rest[1] else ""))


def run_cases(folder: Path, only: list[str], rounds: float) -> list[str]:
    commands = Commands(folder)
    lines: list[str] = []

    def say(*some: str) -> None:
        print("\n".join(some), flush=True)
        lines.extend(some)

    for kind, size in CASES:
        if only and f"{kind}-{size}" not in only:
            continue
        todo = commands.make(kind, size)
        say(*table(kind, size, measure(commands, todo, max(1, round(rounds * ROUNDS[size])))))
        if size >= 10_000:
            say(*of_plan_file(commands.plan, size))
        say("")
    if not only or "execute" in only:
        say("### execute, 10,000 mounts, beside the calls that it makes, in C", "",
            "| kind | us a mount, CPU | in C | ratio | |", "|---|---:|---:|---:|---|")  # fmt: skip
        for kind in ("host binds", "binds", "groups", "tmpfs"):
            say(executed(kind, 10_000, folder, commands.floor))
        say("")
    return lines


if __name__ == "__main__":
    main()

"""Boot older kernels by emulation and run there what touches the kernel:

python -m tests.kernels [--kernel 6.1 --kernel 6.12] [--image bzImage] [--suite specs] [--pytest "-k overlay"]

A kernel is the newest of its series that the configured Debian archive has, unpacked into build/kernels and never
installed; or an image of your own. It shares this machine's file system, of which it changes nothing. Every output is
kept in build/kernels/VERSION/out, or build/kernels/IMAGE/out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parent.parent.parent
BUILD = CHECKOUT / "build" / "kernels"
SERIES = ("6.1", "6.12")
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "depmod": "kmod", "file": "file", "busybox": "busybox-static"}
VIRTME = "virtme-ng==1.42"
# Without these, emulation is ten times slower: every system call would flush the emulated TLB, every page be cleared.
FASTER = ("mitigations=off", "init_on_alloc=0")
# This machine's root once more, for guest.sh to mount with a cache. The way virtme-ng mounts it, each look at a file
# asks the machine, and Python takes a second to start.
ROOT_AGAIN = (
    "-fsdev local,id=again,path=/,security_model=none,readonly=on,multidevs=remap "
    "-device virtio-9p-pci,fsdev=again,mount_tag=again"
)
PYTEST = "-m pytest -p no:cacheprovider -p no:xdist -v --tb=short --junitxml={out}/{suite}.xml {arguments} {paths}"
# Without what is a suite of its own here, or one by another name. Faults are left out: each of some hundred calls would
# fail in turn, for hours, and what follows from a refusal is the same everywhere.
KERNEL = (
    "tests/kernel --ignore=tests/kernel/test_specs.py --ignore=tests/kernel/test_model.py "
    "--ignore-glob=*/test_live_*.py "
    "--deselect=tests/kernel/test_capture_live.py::test_states_made_by_chance_come_back"
)
APPLIER = "tests/applier --ignore=tests/applier/test_faults.py --ignore=tests/applier/test_live_faults.py"
LIVE = "tests/cli/test_live.py tests/kernel/test_live_*.py"
# What runs in the guest: pytest's suites have paths, the others are programs that count for themselves.
SUITES = {
    "kernel": PYTEST.replace("{paths}", KERNEL),
    "applier": PYTEST.replace("{paths}", APPLIER),
    "specs": PYTEST.replace("{paths}", "tests/kernel/test_specs.py"),
    "live": PYTEST.replace("{paths}", LIVE),
    "pairs": "-m tests.kernel.live_fuzz --pairs 1000 --seed 1 --minutes {minutes} --stop-after 12",
    "capture": "-m tests.kernel.capture_fuzz --states 100 --seed 1 --jobs {jobs} --stop-after 12",
    "model": "-m tests.kernel.model_fuzz --sequences 300 --seed 1 --jobs {jobs} --stop-after 12",
}
COUNTED = re.compile(r"^(\d+) (?:states|sequences|pairs),.*?(\d+) (?:failures|differences)", re.MULTILINE)


class Cannot(Exception):
    """A kernel could not be had or not be booted."""


class Counts(NamedTuple):
    """What came of one suite; `failed` has the names of the failures, `skipped` how many there are for each reason."""

    passed: int
    failed: tuple[str, ...]
    skipped: dict[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description="Run the tests on older kernels.")
    parser.add_argument("--kernel", action="append", metavar="SERIES", help=f"6.1, say; otherwise {', '.join(SERIES)}")
    parser.add_argument(
        "--image",
        action="append",
        type=Path,
        metavar="FILE",
        help="a kernel of your own that needs no modules: 9p over virtio, overlay and the filesystems are built in",
    )
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one; can be given several times")
    parser.add_argument("--pytest", default="", metavar="ARGUMENTS", help='for the suites of tests, as in "-k overlay"')
    parser.add_argument("--minutes", type=float, default=20.0, help="how long pairs of specs are tried")
    parser.add_argument("--cpus", type=int, default=1, help="of the emulated machine; one is fastest if they are few")
    parser.add_argument("--hours", type=float, default=4.0, help="after which a kernel that has not ended has failed")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    install_programs()
    suites = arguments.suite or list(SUITES)
    good = True
    wanted = [*(arguments.kernel or ([] if arguments.image else SERIES)), *(arguments.image or [])]
    for one in wanted:
        try:
            image, out = find(one)
            boot(image, out, suites, arguments)
        except (Cannot, subprocess.CalledProcessError) as error:
            say(f"\n## Linux {one}\n\nFAILED: {error}\n")
            good = False
            continue
        results = {suite: read_result(out, suite) for suite in suites}
        say(table((out / "booted").read_text().strip(), results) + lacking(out))
        good = good and not any(result.failed for result in results.values())
    return 0 if good else 1


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def run(*command: str | Path, cwd: Path = BUILD) -> str:
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def install_programs() -> None:
    """Debian's packages if this is root, otherwise told; virtme-ng goes into a virtual environment of its own."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None]
    if missing and os.geteuid() != 0:
        raise SystemExit(f"needed, and not there: apt-get install --no-install-recommends {' '.join(missing)}")
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *missing]
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if not (BUILD / "venv/bin/vng").exists():
        run(sys.executable, "-m", "venv", BUILD / "venv")
        run(BUILD / "venv/bin/pip", "--quiet", "--disable-pip-version-check", "install", VIRTME)


def find(wanted: str | Path) -> tuple[Path, Path]:
    """The image of a series, fetched if need be, or the one at a path; and the folder for what its tests leave."""
    if isinstance(wanted, Path):
        if not wanted.is_file():
            raise Cannot(f"{wanted}: there is no such file")
        return wanted.resolve(), BUILD / wanted.name / "out"
    root = fetch(wanted)
    (image,) = root.glob("boot/vmlinuz-*")
    return image, root / "out"


def fetch(series: str) -> Path:
    """The folder with the newest kernel of this series, downloaded and unpacked unless it is there already."""
    name = newest(series, run("apt-cache", "pkgnames", f"linux-image-{series}.").split())
    if name is None and os.geteuid() == 0:  # a machine may have never asked what its archive has
        run("apt-get", "-qq", "update")
        name = newest(series, run("apt-cache", "pkgnames", f"linux-image-{series}.").split())
    if name is None:
        raise Cannot(f"the configured archive has no linux-image-{series}.*-amd64 (after apt-get update)")
    root = BUILD / name.removeprefix("linux-image-")
    if not (root / "boot").is_dir():
        say(f"fetching {name}\n")
        download, unpacked = root.with_name(f"{root.name}.deb"), root.with_name(f"{root.name}.part")
        shutil.rmtree(download, ignore_errors=True)
        shutil.rmtree(unpacked, ignore_errors=True)
        download.mkdir()
        run("apt-get", "-qq", "download", name, cwd=download)
        run("dpkg-deb", "-x", *download.iterdir(), unpacked)
        run("depmod", "-b", unpacked, (unpacked / "lib/modules").iterdir().__next__().name)
        shutil.rmtree(download)
        unpacked.rename(root)
    return root


def newest(series: str, names: Iterable[str]) -> str | None:
    """Of packages' names, the highest version of the plain kernel: neither cloud nor rt, unsigned nor debug."""
    pattern = re.compile(rf"linux-image-{re.escape(series)}\.\d[^-]*(-\d+)?-amd64")
    found = [name for name in names if pattern.fullmatch(name)]
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default=None)


def boot(kernel: Path, out: Path, suites: list[str], asked: argparse.Namespace) -> None:
    """Run the suites on this kernel; what they leave is in `out`. Raises Cannot if it did not boot."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for suite in suites:
        line = SUITES[suite].format(
            out=out, suite=suite, arguments=asked.pytest, jobs=asked.cpus, minutes=asked.minutes
        )
        (out / f"{suite}.sh").write_text(f"exec {sys.executable} {line}\n")
    inside = " ".join(
        ["bash", str(Path(__file__).with_name("guest.sh")), str(out), str(CHECKOUT), sys.executable, *suites]
    )
    command: list[str | Path] = [BUILD / "venv/bin/vng", "--run", kernel, "--disable-kvm", "--memory", "3G"]
    command += [
        "--cpus",
        str(asked.cpus),
        "--rwdir",
        out,
        "--verbose",
        *(f"--append={word}" for word in FASTER),
        f"--qemu-opts={ROOT_AGAIN}",
        "--",
        inside,
    ]
    environment = {**os.environ, "PATH": f"{BUILD / 'venv/bin'}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    say(f"booting {kernel.name}\n")
    begin = time.monotonic()
    with open(out / "console.log", "wb") as console:
        process = subprocess.Popen(
            ["nice", "-n", "15", *command],
            env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(asked.hours * 3600)
        except subprocess.TimeoutExpired:
            say(f"not done after {asked.hours:g} hours\n")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if not (out / "booted").exists():
        raise Cannot(f"{kernel.name} did not boot; see {out / 'console.log'}")
    say(f"ended after {time.monotonic() - begin:.0f} s\n")


def read_result(out: Path, suite: str) -> Counts:
    """What a suite left: JUnit's XML or a line with counts. A suite that did not come to its end has failed."""
    status = out / f"{suite}.status"
    if not status.exists():
        return Counts(0, (f"not ended; see {out / suite}.log",), {})
    ended = int(status.read_text())
    xml = out / f"{suite}.xml"
    if xml.exists():
        counts = read_xml(xml)
    else:
        found = COUNTED.search((out / f"{suite}.log").read_text(errors="replace"))
        total, bad = (int(found[1]), int(found[2])) if found else (0, 0)
        counts = Counts(total - bad, tuple(f"{number + 1} of {bad}" for number in range(bad)), {})
    if ended and not counts.failed:
        return counts._replace(failed=(f"ended with status {ended}; see {out / suite}.log",))
    return counts


def read_xml(path: Path) -> Counts:
    passed, failed, skipped = 0, [], dict[str, int]()
    for case in ElementTree.parse(path).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif skip is not None:
            reason = skip.get("message", "")
            skipped[reason] = skipped.get(reason, 0) + 1
        else:
            passed += 1
    return Counts(passed, tuple(failed), skipped)


def table(version: str, results: dict[str, Counts]) -> str:
    lines = ["", f"## Linux {version}", "", "| suite | passed | failed | skipped |", "|---|---|---|---|"]
    for suite, result in results.items():
        lines.append(f"| {suite} | {result.passed} | {len(result.failed)} | {sum(result.skipped.values())} |")
    for suite, result in results.items():
        lines += ["", *(f"- {suite}: skipped {count}: {reason}" for reason, count in result.skipped.items())]
        lines += [f"- {suite}: FAILED {name}" for name in result.failed]
    return "\n".join(lines) + "\n"


def lacking(out: Path) -> str:
    """What `mountplan doctor` found missing, in a line."""
    try:
        features = json.loads((out / "doctor.json").read_text())["features"]
    except (OSError, ValueError, KeyError):
        return "\n- doctor: FAILED\n"
    return f"\n- doctor: missing: {', '.join(one['feature'] for one in features if not one['works']) or 'nothing'}\n"


if __name__ == "__main__":
    sys.exit(main())

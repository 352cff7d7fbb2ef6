"""Random scripts through text, parser and model, held against the real programs, command by command:

python -m tests.kernel.script_fuzz --scripts 1000 [--seed 1]

A script that is refused, since it is not followed, counts for nothing; how many lines were compared is told.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from typing import NamedTuple

from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import empty_world
from mountplan.rehearsing import compare_with_kernel
from tests.shell_scripts import simulated

_PATHS = ("/a", "/b", "/c", "/a/x", "/b/x", "/a/x/y", "/a/../b", "$A", '"$A/x"', "a", "./b", "/none", "/c/")
_OPTIONS = (
    "ro", "rw", "nosuid", "noexec,nodev", "noatime", "ro,rw", "rw,nosuid,suid", "user", "owner", "relatime",
    "strictatime", "nodiratime", "defaults", "sync", "nosymfollow",
)  # fmt: skip
_KINDS = ("shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable")
BEGIN = "A=/a; export A\nmkdir -p /a /b /c\nmount -t tmpfs one /a\nmkdir -p /a/x /b/x\n"
WITH_CALLS = """\
mount --make-shared /a
open_tree --clone /a @p
open_tree --clone /a/x @q
mount_setattr --propagation private @q
fsmount tmpfs @r
"""
_FILES = ("/f", "/g", "/c/f", "/a/f", "c/f")
WITH_FILES = "touch /f /g /c/f\nunshare --mount=/f true\n"

_TOLD = 50  # scripts


class FuzzResult(NamedTuple):
    lines: int
    refused: int
    differences: tuple[tuple[str, str], ...]


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.with_calls = seed % 2 == 0
        self.with_files = seed % 3 == 0

    def path(self) -> str:
        return self.random.choice(_PATHS)

    def some(self, *choices: str) -> str:
        return self.random.choice(choices)

    def options(self) -> str:
        return self.some(
            "", "", f" -o {self.some(*_OPTIONS)}", f" -o {self.some(*_OPTIONS)},{self.some(*_OPTIONS)}", " -r"
        )

    def mount(self) -> str:
        source, target = self.path(), self.path()
        return self.some(
            f"mount -t tmpfs{self.options()} new {target}",
            f"mount --bind{self.options()} {source} {target}",
            f"mount --rbind {source} {target}",
            f"mount{self.options()} -B {source} --target {target}",
            f"mount --move {source} {target}",
            f"mount --make-{self.some(*_KINDS)} {target}",
            f"mount -o remount,{self.some(*_OPTIONS)} {target}",
            f"mount -o remount,bind,{self.some(*_OPTIONS)} {target}",
            f"umount {target}",
            f"umount -l {target}",
            f"umount -R {target}",
            f"umount {self.some('one', 'new')}",
            f"mkdir -p {target}/d",
            f"rmdir {target}",
            f"cd {target}",
            f"mountpoint -q {target}",
        )

    def where(self) -> str:
        return self.some(self.path(), self.path(), *("@p", "@q", "@r") * 3, "@p/x", "@q/.", "@q/x/..")

    def call(self) -> str:
        """One of those that no program has a word for."""
        name, source, target = self.some("@p", "@q", "@r"), self.where(), self.where()
        below = self.some("", "--recursive ")
        return self.some(
            f"open_tree {source} {name}",
            f"open_tree --clone {below}{source} {name}",
            f"open_tree --clone {below}{source} {name}",
            f"fsmount {self.some('', '--options ro ', '--attributes ro,noexec ', '--source s ')}tmpfs {name}",
            f"move_mount {source} {target}",
            f"move_mount {name} {self.path()}",
            f"move_mount --set-group {source} {target}",
            f"move_mount --set-group {source} {target}",
            f"move_mount --beneath {source} {target}",
            f"move_mount --beneath {name} {self.path()}",
            f"mount_setattr {below}--propagation {self.some(*_KINDS[:4])} {target}",
            f"mount_setattr {below}--attributes {self.some('ro', 'rw', 'noatime', 'nodev,suid')} {target}",
            f"close {name}",
        )

    def namespace(self) -> str:
        """What makes, enters, mounts and unmounts files of namespaces."""
        file, other = self.some(*_FILES), self.some(*_FILES)
        kind = self.some("", "", "--propagation slave ", "--propagation unchanged ", "-r ")
        inner = self.some(self.mount(), f"umount {other}", f"mount --bind {file} {other}", f"touch {other}", "true")
        return self.some(
            f"unshare --mount={file} {kind}{inner}",
            f"unshare --mount={file} {kind}{inner}",
            f"unshare --net={file} {inner}",
            f"unshare --net={file} --mount={other} {inner}",
            f"unshare -m {kind}unshare --mount={file} {inner}",
            f"nsenter --mount={file} {inner}",
            f"nsenter -m{file} {inner}",
            f"nsenter --mount={file} unshare --mount={other} {inner}",
            f"mount -N {file} --bind /c {self.path()}",
            f"mount -N {file} --make-{self.some(*_KINDS)} {self.path()}",
            f"mount --bind {file} {other}",
            f"mount --move {file} {other}",
            f"umount {file}",
            f"umount -l {file}",
            f"umount -A {file}",
            f"rm {file}",
            f"touch {file}",
            f"open_tree --clone {file} @p",
            f"move_mount @p {file}",
        )

    def line(self, depth: int = 0) -> str:
        if depth > 2:
            choices = [self.mount(), *[self.call()] * self.with_calls, *[self.namespace()] * self.with_files]
            return self.some(*choices)
        inner = self.line(depth + 1)
        other = self.line(depth + 1)
        return self.some(
            *[self.mount()] * 8,
            *[self.call()] * (8 if self.with_calls else 0),
            *[self.namespace()] * (8 if self.with_files else 0),
            f"{inner} && {other}",
            f"{inner} || {other}",
            f"if {inner}; then {other}; else {self.mount()}; fi",
            f"for i in /a /b; do {self.mount().replace('$A', '$i')}; done",
            f"({inner}; {other})",
            f"! {inner}",
            f"unshare -m {self.some('', '--propagation slave ', '--propagation unchanged ')}sh -c '{inner}'".replace(
                '"', ""
            ),
            f"unshare -Urm {self.mount()}",
            f"f() {{ {self.mount()}; }}; f",
            f"A={self.some('/a', '/b', '/c')}",
            f"case $A in /a) {inner};; *) {other};; esac",
            f"{inner} > /log",
        )


def script_of(seed: int) -> str:
    writer = _Writer(seed)
    begin = BEGIN + WITH_CALLS * writer.with_calls + WITH_FILES * writer.with_files
    return begin + "".join(f"{writer.line()}\n" for _ in range(12))


def search(seeds: range, tell: Callable[[str], object] = lambda text: None) -> FuzzResult:
    """What is found is told at once, so that a search which is broken off has said what it had seen."""
    lines = refused = 0
    differences: list[tuple[str, str]] = []
    for at, seed in enumerate(seeds):
        if at and not at % _TOLD:
            tell(f"{at} scripts: {_counts(FuzzResult(lines, refused, tuple(differences)))}\n")
        script = script_of(seed)
        try:
            simulation = simulated(script)
        except SpecError:
            refused += 1
            continue
        lines += script.count("\n")
        for one in compare_with_kernel(simulation, empty_world(), "SCRIPT").differences[:1]:
            differences.append((script, one))
            tell(f"seed {seed}:\n{script}  {one}\n\n")
    return FuzzResult(lines, refused, tuple(differences))


def _counts(result: FuzzResult) -> str:
    return f"{result.lines} lines, {result.refused} scripts not followed, {len(result.differences)} differences"


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = search(range(arguments.seed, arguments.seed + arguments.scripts), _tell)
    _tell(f"{_counts(result)}\n")
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())

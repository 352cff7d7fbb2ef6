"""Random scripts through text, parser and model, held against the real programs, command by command:

python -m tests.kernel.script_fuzz --scripts 1000 [--seed 1] [--shells]

A script that is refused, since it is not followed, counts for nothing; how many lines were compared is told.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable
from difflib import unified_diff
from typing import NamedTuple

from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import empty_world
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.rehearsing import compare_with_kernel
from tests.shell_scripts import shown, simulated

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


class _ShellWriter:
    """Random scripts of control flow, words, redirections and processes; what those come to is what is mounted."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.dialect = "bash" if seed % 2 else "sh"

    def some(self, *choices: str) -> str:
        return self.random.choice(choices)

    def word(self) -> str:
        """One that goes into quotation marks."""
        x = self.some("x", "y")
        return self.some(
            "p", f"${x}", f"${{{x}:-d}}", f"${{{x}+s}}", f"${{{x}#p}}", f"${{{x}%%q*}}", f"${{#{x}}}", "$?", "$#", "$*",
            "${1-n}", "${2:-m}", "$((1 + 2 * 3))", "$((0 || 3 && 2))", "$((n = 1 && 0 ? 4 : 5))", "$(cat $R/c/f)",
            f"$(echo ${x} q)", "$(printf '%s.' a b)", "$(m e >&2; echo r)", "$(false; echo $?)", "${x##*[aq]}",
        )  # fmt: skip

    def condition(self) -> str:
        return self.some(
            "true", "false", f'[ "{self.word()}" = p ]', '[ -n "$x" ]', "[ -s $R/c/f ]", "mountpoint -q $R/b",
            "umount $R/b 2>/dev/null", "(exit 3)", "! false", "[ -d $R/b/none ]", "f q", "grep -q p $R/c/f",
            'case $x in p*) true;; *) false;; esac', '[ "$x" = q ] || [ "$y" = p ]', "kill -0 $$",
        )  # fmt: skip

    def line(self, depth: int = 0) -> str:
        if depth > 2:
            return self._plain()
        one, other = self.line(depth + 1), self.line(depth + 1)
        given = (
            f"while read x; do {one}; done <<E\np $y\n  q\nE\n",
            "sh -s p <<E\nmount -t tmpfs s$x $R/b\nE\n",
            f"cat > $R/c/f <<E\n  {self.word()}\n\nE\n{one}",
        )
        return self.some(
            *[self._plain()] * 6,
            *(() if depth else given),
            f"if {self.condition()}; then {one}; else {other}; fi",
            f"{self.condition()} && {{ {one}; }} || {{ {other}; }}",
            f"for i in a $x; do {one}; {self.some('break', 'continue', ':', 'm $i')}; {other}; done",
            f"f() {{ local y=l; {one}; return {self.some('0', '3')}; }}; f w v",
            f"( {one}; {other} )",
            f"( {one}; exit 4 ); m r$?",
            f"( {one} ) & wait $!; m w$?",
            "sleep 9 & sleep 0.1; kill $!; wait $!; m k$?",
            f"printf 'p\\nq z{self.some('', chr(92) + 'n')}' | while read x y; do {one}; done",
            f"{{ {one}; echo e >&2; {other}; }} > $R/c/f 2>&1",
            f"{{ {one}; }} 2> $R/c/f",
            f"x=$({one}; echo {self.some('o', '$x', 'e >&2')})",
            f"x=$( {{ echo o; echo e >&2; }} {self.some('2>&1', '2>&1 >/dev/null', '>/dev/null')})",
            f"trap 'm t$?' EXIT; {one}",
            f"( trap 'm t$?' EXIT; {one}; exit 2 )",
            f"set -e; {one}; set +e",
            f"sh -c 'mount -t tmpfs \"c$1\" $R/b; exit 3' s {self.some('p', '$x')}; m $?",
            f"exec 3> $R/c/f; echo three >&3; {one}; exec 3>&-",
            f"set -- {self.some('a b', '', '$x $y')}; {one}",
            f'IFS=q; {one}; IFS=" "',
            f"printf 'a\\0b c\\0' | xargs -0 -n1 echo > $R/c/f; {one}",
            f"cd $R/b; {one}; cd ../c",
        )

    def _plain(self) -> str:
        return self.some(
            *[f'm "{self.word()}{self.word()}"'] * 3, f"m {self.word()} {self.word()}", f'x="{self.word()}"',
            f"y={self.word()}", f'echo "{self.word()}" > $R/c/f', f'echo "{self.word()}" >> $R/c/f', "umount $R/b",
            "read x < $R/c/f || m r$?", 'm ${1+"$@"}', 'm "${x:-$y}"', "sed -i s/p/q/ $R/c/f", "unset x", ": > $R/c/f",
        )  # fmt: skip

    def script(self) -> str:
        lines = "".join(f"{self.line()}\n" for _ in range(8))
        begin = 'x=p; y=; m() { mount -t tmpfs "${*:-nil}" $R/b; }; f() { [ "$1" = q ]; }; : > $R/c/f\n'
        return f"#!/bin/{self.dialect}\nR=ROOT; export R\nmkdir $R/a $R/b $R/c\n{begin}{lines}"


def by_the_shell(script: str, dialect: str) -> list[str]:
    """What stands there when a real shell has carried it out, below a directory in a mount namespace of its own."""
    around = 'mount -t tmpfs none /run; mount -t tmpfs base /mnt; timeout 60 $1 -c "$2" >/dev/null 2>&1'
    words = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        f"{around}; cat /proc/self/mountinfo",
        "s",
        dialect,
    ]
    words.append(script.replace("ROOT", "/mnt"))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return shown(parse_mountinfo(done.stdout).rows, "base")


def search_shells(seeds: range, tell: Callable[[str], object] = lambda text: None) -> FuzzResult:
    """As `search`, of what the shell itself does; whole scripts are compared."""
    lines = refused = 0
    differences: list[tuple[str, str]] = []
    for at, seed in enumerate(seeds):
        if at and not at % _TOLD:
            tell(f"{at} scripts: {_counts(FuzzResult(lines, refused, tuple(differences)))}\n")
        writer = _ShellWriter(seed)
        script = writer.script()
        try:
            final = simulated(script.replace("ROOT", "")).final[0].table.rows
        except SpecError:
            refused += 1
            continue
        lines += script.count("\n")
        real, modelled = by_the_shell(script, writer.dialect), shown(final, "none")
        if real != modelled:
            told = "".join(f"  {one}\n" for one in unified_diff(real, modelled, "real", "model", lineterm="", n=0))
            differences.append((script, told))
            tell(f"seed {seed}:\n{script}{told}\n")
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
    parser.add_argument("--shells", action="store_true", help="scripts of control flow, by real shells as a whole")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.scripts)
    result = search_shells(seeds, _tell) if arguments.shells else search(seeds, _tell)
    _tell(f"{_counts(result)}\n")
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())

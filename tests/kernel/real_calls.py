"""The calls that a real mount(8) and its like make, as strace(1) shows them, and those of the model, in the same words.

What a mount is made from is one line, however many calls that takes: `new TYPE SOURCE [options] +set -clear => target`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mountplan.planner.commands.actions import (
    Action,
    AttachMount,
    BindMount,
    ChangeKind,
    CloseDescriptor,
    MakeDirectory,
    MountNew,
    MoveMount,
    NewDetachedMount,
    OpenTree,
    Remount,
    SetAttributesCall,
    SetReadOnly,
    Unmount,
    Unshare,
)

_CALLS = "mount,umount2,move_mount,open_tree,fsopen,fsmount,fsconfig,mount_setattr,fspick,unshare"
_LINE = re.compile(r"(?:[0-9]+ +)?([a-z_0-9]+)\((.*)\) += (-?[0-9]+)(?: ([A-Z]+))?.*")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|[^,{}\s]+')
_REMOUNT, _BIND, _MOVE, _REC = 32, 4096, 8192, 16384
_KINDS = {1 << 17: "unbindable", 1 << 18: "private", 1 << 19: "slave", 1 << 20: "shared"}
_ATTRIBUTES = 0xF | 1024 | 2048 | 256 | (1 << 21) | (1 << 24)  # MS_* of single mounts
_TO_ATTR = {1: 1, 2: 2, 4: 4, 8: 8, 1024: 0x10, 1 << 24: 0x20, 2048: 0x80, 256: 0x200000}
_ATIME = 0x70


class UtilLinux(NamedTuple):
    """A version of util-linux; `root` is "" for the machine's own, or where packages of it have been unpacked."""

    version: tuple[int, int]
    root: str


def versions() -> list[UtilLinux]:
    """That of the machine, and those of MOUNTPLAN_UTIL_LINUX: directories, with colons between them."""
    found = []
    for root in ["", *filter(None, os.environ.get("MOUNTPLAN_UTIL_LINUX", "").split(":"))]:
        told = subprocess.run([*command(root, "mount"), "--version"], capture_output=True, text=True).stdout
        match = re.search(r"util-linux ([0-9]+)\.([0-9]+)", told)
        assert match is not None, f"{root}: {told}"
        found.append(UtilLinux((int(match[1]), int(match[2])), root))
    return found


def command(root: str, program: str) -> list[str]:
    if not root:
        return [program]
    loader = next(path for path in sorted(Path(root).rglob("ld-linux-*.so.*")) if path.is_file())
    libraries = ":".join(sorted({str(path.parent) for path in Path(root).rglob("libmount.so.1")}))
    found = next(path for path in sorted(Path(root).rglob(program)) if path.is_file() and os.access(path, os.X_OK))
    return [str(loader), "--library-path", libraries, str(found)]


def traced(words: list[str], root: str) -> tuple[int, list[str]]:
    """Run a program; its status, and what it has done."""
    program = [*command(root, words[0]), *words[1:]]
    ran = subprocess.run(
        ["strace", "-f", "-qq", "-X", "raw", "-e", f"trace={_CALLS}", "-o", "/proc/self/fd/2", "--", *program],
        capture_output=True,
        text=True,
    )
    return ran.returncode, list(_done(ran.stderr.splitlines()))


class _Tree:
    """A mount that is open."""

    def __init__(self, origin: str, *, is_new: bool) -> None:
        self.origin = origin
        self.is_new = is_new
        self.options: list[str] = []
        self.attributes = 0
        self.changes = ""
        self.is_detached = is_new

    def change(self, attr_set: int, attr_clear: int, recursive: bool) -> None:
        if self.is_new and not recursive:
            self.attributes = (self.attributes & ~attr_clear) | attr_set
        else:
            self.changes += f" +{attr_set:x} -{attr_clear:x}{' rec' if recursive else ''}"

    def attached(self, target: str, beneath: bool) -> str:
        options = ",".join(sorted(one for one in self.options if one != "rw"))
        made = f" [{options}] +{self.attributes:x}" if self.is_new else ""
        return f"{self.origin}{made}{self.changes} => {target}{' beneath' if beneath else ''}"


def _done(lines: Iterable[str]) -> Iterable[str]:
    """Calls that ask for nothing, as mount_setattr(-1), are left out."""
    trees: dict[str, _Tree] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, arguments, result, number = match[1], _words(match[2]), match[3], match[4] or ""
        end = f" {number}" if number else ""
        match name:
            case "mount":
                yield from (f"{one}{end}" for one in _classic(arguments))
            case "umount2":
                yield f"umount {arguments[0]}{' lazy' if int(arguments[1], 0) & 2 else ''}{end}"
            case "unshare":
                flags = int(arguments[0], 0)
                if flags & 0x10020000:
                    yield f"unshare{' mount' if flags & 0x20000 else ''}{' user' if flags & 0x10000000 else ''}{end}"
            case "open_tree":
                flags = int(arguments[2], 0)
                path = arguments[1]
                if arguments[0] in trees:
                    path = f"{trees[arguments[0]].origin}/{path}"
                kind = f"clone{' rec' if flags & 0x8000 else ''}" if flags & 1 else "place"
                if end:
                    yield f"{kind} {path}{end}"
                else:
                    trees[result] = _Tree(f"{kind} {path}", is_new=False)
                    trees[result].is_detached = bool(flags & 1)
            case "fsopen" if not end:
                trees[result] = _Tree(f"new {arguments[0]}", is_new=True)
            case "fspick" if not end:
                trees[result] = _Tree(trees[arguments[0]].origin.removeprefix("place "), is_new=False)
            case "fsconfig":
                tree, what = trees[arguments[0]], int(arguments[1], 0)
                if what == 1 and arguments[2] == "source":
                    tree.origin += f" {arguments[3]}"
                elif what in (0, 1):
                    tree.options.append(arguments[2] + (f"={arguments[3]}" if what else ""))
                elif what == 8:
                    tree.origin += " exclusive"
                elif what == 7:
                    yield f"reconfigure {tree.origin} {'ro' if 'ro' in tree.options else 'rw'}{end}"
            case "fsmount" if not end:
                trees[result] = trees[arguments[0]]
            case "mount_setattr" if arguments[0] != "-1":
                tree = trees[arguments[0]]
                _, _, flags_text, *values = arguments
                found = dict(one.split("=") for one in values if "=" in one)
                attr_set, attr_clear, kind_bits = (
                    int(found[one], 0) for one in ("attr_set", "attr_clr", "propagation")
                )
                recursive = bool(int(flags_text, 0) & 0x8000)
                if kind_bits:
                    yield f"kind {_KINDS[kind_bits]}{' rec' if recursive else ''}{end}"
                elif tree.is_detached:
                    tree.change(attr_set, attr_clear, recursive)
                else:
                    below = " rec" if recursive else ""
                    yield f"change {tree.origin.removeprefix('place ')} +{attr_set:x} -{attr_clear:x}{below}{end}"
            case "move_mount":
                tree = trees[arguments[0]]
                if tree.origin.startswith("place "):
                    told = f"move {tree.origin.removeprefix('place ')} => {arguments[3]}"
                    yield f"{told}{' beneath' if int(arguments[4], 0) & 0x200 else ''}{end}"
                else:
                    yield tree.attached(arguments[3], bool(int(arguments[4], 0) & 0x200)) + end
                tree.is_detached = False


def _words(text: str) -> list[str]:
    return [found[1].replace('\\"', '"') if found[1] is not None else found[0] for found in _TEXT.finditer(text)]


def _classic(arguments: list[str]) -> Iterable[str]:
    source, target, fstype, flags_text, data = arguments
    flags = int(flags_text, 0)
    for bit, kind in _KINDS.items():
        if flags & bit:
            yield f"kind {kind}{' rec' if flags & _REC else ''}"
            return
    attributes = sum(_TO_ATTR[bit] for bit in _TO_ATTR if flags & bit and bit != 1024) | (0x10 if flags & 1024 else 0)
    if flags & _REMOUNT:
        times = "" if flags & (1024 | 2048 | (1 << 21) | (1 << 24)) else " keep"
        yield f"remount{' bind' if flags & _BIND else ''} {target} {_times(attributes):x}{times}"
    elif flags & _BIND:
        yield f"clone{' rec' if flags & _REC else ''} {source} => {target}"
    elif flags & _MOVE:
        yield f"move {source} => {target}"
    else:
        own = sorted([*filter(None, data.split(",") if data != "NULL" else []), *["ro"] * bool(flags & 1)])
        yield f"new {fstype} {source} [{','.join(own)}] +{_times(attributes):x} => {target}"


def _times(attributes: int) -> int:
    """strictatime is stronger than noatime."""
    return attributes & ~0x10 if attributes & 0x20 else attributes


def modelled(actions: Iterable[Action]) -> list[str]:
    """What the model is told to do, in the same words."""
    trees: dict[str, _Tree] = {}
    told: list[str] = []
    for action in actions:
        match action:
            case MountNew():
                own = sorted([*filter(None, action.options.split(",")), *["ro"] * action.read_only])
                made = f"new {action.fstype} {action.source} [{','.join(own)}] +{action.attributes:x}"
                told.append(f"{made} => {action.target}")
            case BindMount():
                told.append(f"clone{' rec' if action.recursive else ''} {action.source} => {action.target}")
            case MoveMount():
                told.append(f"move {action.source} => {action.target}")
            case Remount():
                keep = " keep" if action.keep_times else ""
                told.append(f"remount{' bind' if action.bind else ''} {action.target} {action.attributes:x}{keep}")
            case SetReadOnly():
                told.append(f"reconfigure {action.target} {'ro' if action.read_only else 'rw'}")
            case ChangeKind():
                told.append(f"kind {action.kind}{' rec' if action.recursive else ''}")
            case SetAttributesCall():
                below = " rec" if action.recursive else ""
                if action.kind:
                    told.append(f"kind {action.kind}{below}")
                elif action.target in trees:
                    trees[action.target].change(*action.change, action.recursive)
                else:
                    told.append(f"change {action.target} +{action.change.set:x} -{action.change.clear:x}{below}")
            case OpenTree():
                name, slash, rest = action.path.partition("/")
                path = f"{trees[name].origin}{slash}{rest}" if name in trees else action.path
                kind = f"clone{' rec' if action.recursive else ''}" if action.clone else "place"
                trees[action.descriptor] = _Tree(f"{kind} {path}", is_new=False)
            case NewDetachedMount():
                tree = trees[action.descriptor] = _Tree(f"new {action.fstype} {action.source}", is_new=True)
                tree.origin += " exclusive" * action.exclusive
                tree.options = [*filter(None, action.options.split(","))]
            case AttachMount():
                tree = trees[action.source]
                if tree.origin.startswith("place "):
                    beneath = " beneath" if action.beneath else ""
                    told.append(f"move {tree.origin.removeprefix('place ')} => {action.target}{beneath}")
                else:
                    told.append(tree.attached(action.target, action.beneath))
            case Unmount():
                told.append(f"umount {action.target}{' lazy' if action.lazy else ''}")
            case Unshare():
                told.append(f"unshare{' mount' if action.mount else ''}{' user' if action.user else ''}")
            case CloseDescriptor() | MakeDirectory():
                pass
            case _:
                told.append(action.describe())
    return told

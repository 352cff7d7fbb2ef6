"""The calls with descriptors as words of a script: open_tree, move_mount, mount_setattr, fsmount and close.

No program has these names: each word is the call itself, made by the shell that comes to it. `@NAME` is a descriptor,
`@NAME/PATH` a path from there; it is open until it is closed or its process has ended, in processes that are started
from there too. docs/propagation.md has the whole notation.
"""

from __future__ import annotations

import re

from mountplan.planner.attributes import EXCLUSIVE, NAMES, Change, applied, change, contradiction
from mountplan.planner.commands import actions as a
from mountplan.planner.commands.script_calls import Program, ScriptCalls
from mountplan.planner.commands.util_linux import Unusable, read_options
from mountplan.planner.model.peers import KINDS

_FAILED = 1
USAGE = {
    "open_tree": "open_tree [--clone] [--recursive] PATH @NAME",
    "move_mount": "move_mount [--set-group|--beneath] FROM TO",
    "mount_setattr": "mount_setattr [--recursive] [--attributes ro,nosuid,...] [--propagation KIND] PATH",
    "fsmount": "fsmount [--options size=1m,...] [--source SOURCE] [--attributes ro,nosuid,...] TYPE @NAME",
    "close": "close @NAME...",
}


def open_tree(calls: ScriptCalls, arguments: list[str]) -> int:
    given, (path, name) = _read("open_tree", arguments, ["clone", "recursive"], 2)
    action = a.OpenTree(path, _descriptor("open_tree", name), "clone" in given, "recursive" in given)
    return calls.all([action], _FAILED)


def move_mount(calls: ScriptCalls, arguments: list[str]) -> int:
    given, (source, target) = _read("move_mount", arguments, ["set-group", "beneath"], 2)
    if {"set-group", "beneath"} <= given.keys():
        raise Unusable("move_mount: --set-group and --beneath exclude each other", "take one away")
    if "set-group" in given:
        return calls.all([a.JoinSharing(source, target)], _FAILED)
    return calls.all([a.AttachMount(source, target, "beneath" in given)], _FAILED)


def mount_setattr(calls: ScriptCalls, arguments: list[str]) -> int:
    given, (target,) = _read("mount_setattr", arguments, ["recursive", "attributes=", "propagation="], 1)
    word = given.get("propagation", "")
    if word and word not in KINDS:
        raise Unusable(f"mount_setattr: there is no propagation {word}", f"one of {', '.join(KINDS)}")
    wanted = _attributes("mount_setattr", given.get("attributes", ""))
    return calls.all([a.SetAttributesCall(target, wanted, KINDS.get(word), "recursive" in given)], _FAILED)


def fsmount(calls: ScriptCalls, arguments: list[str]) -> int:
    given, (fstype, name) = _read("fsmount", arguments, ["options=", "source=", "attributes="], 2)
    attributes = applied(0, _attributes("fsmount", given.get("attributes", "")))
    descriptor = _descriptor("fsmount", name)
    made = a.NewDetachedMount(fstype, given.get("source", ""), descriptor, attributes, given.get("options", ""))
    return calls.all([made], _FAILED)


def close(calls: ScriptCalls, arguments: list[str]) -> int:
    _, names = _read("close", arguments, [], None)
    return calls.all([a.CloseDescriptor(_descriptor("close", name)) for name in names], _FAILED)


def _read(name: str, arguments: list[str], options: list[str], count: int | None) -> tuple[dict[str, str], list[str]]:
    """The long options that are given, without their dashes, and so many paths."""
    given, rest = read_options(name, arguments, "", options)
    if len(rest) != count if count is not None else not rest:
        are = {0: "is no path", 1: "is one path"}.get(len(rest), f"are {len(rest)} paths")
        raise Unusable(f"{name}: there {are}", USAGE[name])
    return {option.removeprefix("--"): value for option, value in given}, rest


def _descriptor(name: str, word: str) -> str:
    if not re.fullmatch("@[A-Za-z0-9_]+", word):
        raise Unusable(f"{name}: {word} is no name of a descriptor", f"write it as in {USAGE[name]}")
    return word


def _attributes(name: str, text: str) -> Change:
    names = tuple(word for word in text.split(",") if word)
    for word in names:
        if word not in NAMES:
            known = ", ".join(sorted(frozenset().union(*EXCLUSIVE)))
            raise Unusable(f"{name}: there is no attribute {word}", f"one of {known}")
    if clash := contradiction(names):
        raise Unusable(f"{name}: {clash[0]} and {clash[1]} exclude each other", "take one away")
    return change(names)


CALLS: dict[str, Program] = {call.__name__: call for call in (close, fsmount, mount_setattr, move_mount, open_tree)}

"""What it means that the kernel would refuse a step in a user namespace (trial.py), and what to do instead."""

from __future__ import annotations

import errno as E
import os
from difflib import get_close_matches
from typing import Any

from mountplan.applier.probe.userns_trial import UsernsRefusal
from mountplan.applier.sys.privilege import for_this_user
from mountplan.applier.sys.refusal import explain, is_root
from mountplan.planner.errors import Mistake
from mountplan.planner.fstypes import of, option_refused, options_for
from mountplan.planner.plan.plan import Plan
from mountplan.planner.tables.options import value_meant

# The copy that the kernel makes of a whole tree receives from it by itself.
_INHERIT = 'let root = "inherit" with propagation = "slave" receive what the host mounts'


def mistake_of(refusal: UsernsRefusal, plan: Plan) -> Mistake:
    """The refusal as one of the mistakes that `check` tells, at its place in the spec."""
    step: Any = plan.steps[refusal.step]
    field, what, remedy = _words(refusal, step, plan.run.unshare)
    origin = f"{step.origin}.{field}" if field and step.origin else step.origin
    if "user" in plan.run.unshare:  # root has one of its own then, too
        leave = 'leave "user" out of unshare in [run]'
        remedy = remedy.replace("run it as root", leave if is_root() else f"{leave} and run it as root")
    return Mistake(plan.ref(origin), what, for_this_user(remedy))


def _words(refusal: UsernsRefusal, step: Any, unshared: tuple[str, ...]) -> tuple[str, str, str]:
    """(the key within the step's place, what is not allowed, remedy)"""
    case, number, details = refusal.case, refusal.number, refusal.details
    if case == "filesystem" and number == E.EPERM:
        return _filesystem(refusal, step, unshared)
    if case == "image" and number == E.EPERM:
        what = f"image files cannot be mounted in a user namespace: {step.fstype} is made for trusted contents"
        return "image", what, "run it as root, or mount the image as root and bind it from there"
    if case == "loop":
        what = f"this user may not use loop devices: /dev/loop-control: {os.strerror(number).lower()}"
        return "image", what, "run it as root, or mount the image as root and bind it from there"
    if case == "device":
        what = "device nodes cannot be made in a user namespace"
        return "device", what, 'bind the host\'s: a [[mount]] with bind = "/dev/null", say; or run it as root'
    if case == "option":
        said, name = "; ".join(refusal.log) or os.strerror(number).lower(), details[0]
        meant = get_close_matches(name, options_for(step.fstype, name, said), n=1)
        return (f"options.{name}", *option_refused(said, meant[0] if meant else "", value_meant(name, details[1])))
    if case == "owner":
        return _owner(refusal, step)
    if case == "source":
        return "source", f"{details[0]}: {os.strerror(number).lower()}", "let this user read it, or run it as root"
    if case == "create":
        what = f"{details[0]} cannot be made: this user may not write to {details[1]}"
        return "create", what, "make it there beforehand"
    if case == "clone" and number == E.EINVAL:
        what = (
            f"{details[0]} cannot be shown without what is mounted below it: in a user namespace "
            "such mounts are locked together"
        )
        if step.kind == "clone_host":
            return "bind", what, "write recursive = true, or run it as root"
        return "", what, "use a host path below which nothing is mounted, or run it as root"
    if case == "group":
        what = (
            f"in a user namespace, only a mount below which nothing is mounted can be put into a group of the host's, "
            f"and on the host there is something below {details[0]}"
        )
        return "", what, f"{_INHERIT}; take a path below which nothing is mounted; or run it as root"
    if case == "peer":
        what = f"in a user namespace, mounts receive from the host's peer group at {details[0]}, but cannot be in it"
        return "", what, "write it as master instead of peer_group, or run it as root"
    if case == "peers":
        what = f"in a user namespace, mounts receive from the host's below {details[0]}, but cannot be peers of them"
        return "recursive_sharing", what, 'write recursive_sharing = "slave", or run it as root'
    if case == "locked":
        path, recursive, *words = details
        where = f"{path} and below" if recursive else path
        what = f"{_listed(words)} cannot be set: in a user namespace, what the host says there ({where}) is locked"
        return "attributes", what, f"leave out {_listed(words)}, or run it as root"
    if case == "locked mount":
        what = f"what is mounted on {details[0]} is locked: in a user namespace, what the host mounts cannot be removed"
        return "target", what, f'mount something over it: target = "{details[0]}"; or run it as root'
    if case == "id-map":
        what = f"the id-mapping shows ids that do not exist in the user namespace: {_existing(details)}"
        return "idmap", what, _other_ids(details)
    if case == "idmap":
        what = f"{details[0]} cannot be id-mapped in a user namespace: its filesystem belongs to the host"
        return "layers" if step.kind == "make_overlay" else "idmap", what, "run it as root"
    meaning, remedy = explain(step.kind, number, refusal.syscall)
    said = "".join(f" ({line})" for line in refusal.log)
    return "", f"{refusal.syscall or 'the kernel'}: {meaning}{said}", remedy


def _filesystem(refusal: UsernsRefusal, step: Any, unshared: tuple[str, ...]) -> tuple[str, str, str]:
    fstype = getattr(step, "fstype", "overlay")
    kind = of(fstype).shows
    if of(fstype).in_userns and not kind:  # the kernel lets each user namespace mount these: something else says no
        meaning, remedy = explain(step.kind, refusal.number, refusal.syscall)
        return "", f"{refusal.syscall}: {meaning}", remedy
    if not of(fstype).in_userns:
        what = f"{fstype} cannot be mounted in a user namespace"
        return "type", what, "run it as root, or mount it as root and bind it from there"
    if kind not in unshared:
        what = f"in a user namespace, {fstype} can be mounted only with a {kind} namespace of its own"
        return "type", what, f'add "{kind}" to run.unshare, {_bind_of(fstype)}'
    if of(fstype).bare:
        what = (
            f"in a user namespace, {fstype} can be mounted only where all of it is seen already: "
            "here something is mounted over parts of it, as in a container"
        )
        return "type", what, f"take those mounts away, {_bind_of(fstype)}"
    return "type", f"{fstype}: {refusal.syscall}: {os.strerror(refusal.number).lower()}", "run it as root"


def _bind_of(fstype: str) -> str:
    return f'or show the host\'s: bind = "{of(fstype).usual}", recursive = true'


def _owner(refusal: UsernsRefusal, step: Any) -> tuple[str, str, str]:
    details = refusal.details
    whose = _listed(list(details[2:]))
    if step.kind == "make_node":
        field = "uid" if details[2].startswith("user") else "gid"
        return field, f"a file cannot belong to {whose} here: {_existing(details)}", _other_ids(details)
    return "options", f"{step.fstype} cannot have {whose} here: {_existing(details)}", _other_ids(details)


def _existing(details: tuple[str, ...]) -> str:
    users, groups = details[:2]
    if users == groups:
        return f"the user namespace has users and groups {users} only"
    return f"the user namespace has users {users} and groups {groups} only"


def _other_ids(details: tuple[str, ...]) -> str:
    if "0" in details[:2]:
        return "give the user ranges of ids (`mountplan doctor` says how), or run it as root"
    return "take ids that are there, give the user larger ranges, or run it as root"


def _listed(words: list[str]) -> str:
    return " and ".join(words)

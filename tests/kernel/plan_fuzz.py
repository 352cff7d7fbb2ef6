"""Change saved plans by chance, with right digests, and see that none does what it should not:

python -m tests.kernel.plan_fuzz --plans 10000 --jobs 2 [--seed 1]

Each is loaded as a command would load it. One that is not refused is carried out in the model, and then built in a
throw-away host, whose mounts and files must be as they were. What is built is what the model says; there is no
traceback. The seed of a change tells it: the same seed changes the same plan in the same way.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from mountplan import api
from mountplan.applier.observe.facts import LiveHost
from mountplan.planner.errors import MountplanError, PlanFileError, PlanRefused
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.render.dot import plan_dot
from mountplan.planner.render.mermaid import plan_mermaid
from mountplan.planner.render.preview import plan_text
from mountplan.planner.render.why import why_text
from tests.hosts import CHECKOUT, enter_host, mount
from tests.kernel.model_fuzz import in_children
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_SHARED
from tests.trees import ROOT, plan_of

DATA = '[[mount]]\nid = "data"\ntarget = "/srv/data"\ntype = "tmpfs"\n[[mount.file]]\npath = "in/a"\ncontent = "a"\n'


def _bind(target: str, source: str = 'mount = "data"', more: str = "") -> str:
    bind = f"{{ {source} }}" if "=" in source else f'"{source}"'
    return f'[[mount]]\ntarget = "{target}"\nbind = {bind}\n{more}\n'


# Together they have steps of every kind that needs no image.
SPECS: dict[str, str] = {
    "binds": ROOT + DATA + _bind("/b", 'mount = "data", path = "/in"', 'attributes = ["ro", "noatime"]'),
    "groups": (
        '[peer_group.one]\n[peer_group.two]\nmaster = "one"\n[peer_group.none]\n[peer_group.below]\nmaster = "none"\n'
        + ROOT
        + DATA
        + _bind("/p", more='peer_group = "one"')
        + _bind("/q", 'mount = "data", path = "/in"', 'peer_group = "two"')
        + _bind("/s", more='master = "two"')
        + _bind("/o", more='peer_group = "below"')
        + _bind("/o", more='master = "one"')
    ),
    "host groups": (
        '[peer_group.feed]\nhost = "/srv/feed"\n[peer_group.own]\n'
        + ROOT
        + _bind("/peer", "/srv/feed", 'peer_group = "feed"')
        + _bind("/slave", "/srv/feed/a", 'master = "feed"')
        + _bind("/x", "/srv/wide/a", 'peer_group = "own"')
        + _bind("/y", "/srv/wide/b", 'peer_group = "own"')
    ),
    "inherited": (
        'root = "inherit"\npropagation = "slave"\n'
        + _bind("/srv/tree", "/srv/tree", 'recursive = true\nattributes = ["ro"]')
        + '[[mount]]\ntarget = "/srv/wide/made"\ntype = "tmpfs"\ncreate = true\noptions = { size = "4k" }\n'
    ),
    "in a row": (
        'root = "inherit"\npropagation = "private"\n'
        + "".join(_bind(f"/srv/{one}", "/srv/victim") for one in ("feed/a", "wide/a", "wide/b", "wide/made"))
    ),
    "on a host's": (
        ROOT
        + _bind("/w", "/srv/wide", 'attributes = ["ro"]\nmask = ["a"]')
        + '[[mount]]\ntarget = "/w/made"\ntype = "tmpfs"\ncreate = true\n'
        + _bind("/t", "/srv/tree", "recursive = true\nunbindable = true")
    ),
    "overlay": (
        ROOT
        + DATA
        + '[[mount.file]]\npath = "above"\ndirectory = true\n'
        + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = [{ mount = "data", path = "/in" }, "/srv/wide"]\n'
        + 'upper = { mount = "data", path = "/up" }\n[[mount]]\ntarget = "/o/x"\ntype = "tmpfs"\n'
    ),
    "id-mapped": (
        '[run]\ncommand = ["true"]\nunshare = ["uts", "ipc"]\nhostname = "h"\ncapabilities = ["CAP_CHOWN"]\n'
         'environment = { A = "b" }\n'
        + ROOT
        + DATA
        + _bind("/i", more="idmap = { uids = [[0, 1000, 10]], gids = [[0, 1000, 10]] }\nunbindable = true")
    ),
    "namespaces": (
        '[peer_group.g]\n[[namespace]]\nname = "a"\n[[namespace.mount]]\nid = "r"\ntarget = "/"\ntype = "tmpfs"\n'
        '[[namespace.mount]]\nid = "d"\ntarget = "/d"\ntype = "tmpfs"\npeer_group = "g"\n'
        '[[namespace]]\nname = "b"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        '[[namespace.mount]]\ntarget = "/e"\nbind = { mount = "d" }\nmaster = "g"\n'
        '[[namespace]]\nname = "c"\nroot = "inherit"\n[[namespace.mount]]\ntarget = "/mnt"\nbind = { mount = "d" }\n'
    ),
    "removed and sealed": (
        ROOT
        + DATA
        + '[[mount.file]]\npath = "gone"\ndirectory = true\n'
        + _bind("/g", 'mount = "data", path = "/gone", deleted = true')
        + '[[mount]]\ntarget = "/ro"\ntype = "tmpfs"\noptions = { ro = true, size = "1m" }\n'
        + '[[mount.file]]\npath = "l"\nsymlink = "/srv/victim"\n[[mount.file]]\npath = "p"\nfifo = true\nuid = 5\n'
        + '[[mount.file]]\npath = "n"\ndevice = "c:1:3"\nmode = "0600"\n'
        + '[[mount]]\ntarget = "/c"\ntype = "tmpfs"\ncontents = "/srv/wide"\n[[mount.file]]\npath = "z"\n'
        + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'
    ),
    "deep": ROOT
    + DATA
    + "".join(_bind("/srv/data" + "/in" * depth, 'mount = "data"') for depth in range(1, 70)),
}  # fmt: skip

# What stands in fields by chance, besides what other fields have.
TEXTS = (
    "", "/", ".", "..", "../../srv/victim", "/srv/victim", "/srv/victim/f", "/srv/again", "/srv/tree/in", "/srv/feed/a",
    "/srv/wide/b", "a/../b", "a//b", "x\0y", "\udfff", "\ud800", "@yard",
    "root", "stage0", "ro", "tmpfs", "proc", "overlay", "no such", "x" * 300,
)  # fmt: skip
NUMBERS = (0, 1, -1, -2, 2, 0o4755, 0x100000, 0xFFFF, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Changed(NamedTuple):
    name: str
    plan: Plan
    what: str


class Changer:
    """Changes plans by chance: whole steps, and single values in whatever place."""

    def __init__(self, plans: dict[str, Plan]) -> None:
        self.plans = plans
        self.names = sorted(plans)
        self.texts = {name: sorted(_texts(plan)) for name, plan in plans.items()}
        self.steps = [step for name in self.names for step in plans[name].steps]

    def change(self, seed: int) -> Changed:
        chance = random.Random(seed)
        name = chance.choice(self.names)
        plan, told = self.plans[name], []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            plan, what = self._once(plan, name, chance)
            told.append(what)
        return Changed(name, plan, "; ".join(told))

    def _once(self, plan: Plan, name: str, chance: random.Random) -> tuple[Plan, str]:
        steps = list(plan.steps)
        at, to = (chance.randrange(len(steps)) for _ in range(2))
        what = chance.choice(("drop", "double", "swap", "move", "take", "make", "everywhere", *["alter"] * 6))
        if what == "drop":
            del steps[at]
        elif what == "make":
            made = [number for number, step in enumerate(steps) if isinstance(step, s.MakeFilesystem | s.MakeNode)]
            at = chance.choice(made or [at])
            steps.insert(at + 1, _node(getattr(steps[at], "mount", "") or steps[at][0], chance))
            return plan._replace(steps=tuple(steps)), f"after {at + 1}: {steps[at + 1]}"
        elif what == "double":
            steps.insert(to, steps[at])
        elif what == "swap":
            to = min(at + chance.choice((1, 1, 2, 5)), len(steps) - 1)
            steps[at], steps[to] = steps[to], steps[at]
        elif what == "move":
            steps.insert(to, steps.pop(at))
        elif what == "take":
            steps.insert(at, chance.choice(self.steps))
        elif what == "everywhere":  # so that what the plan does and what it says of itself still fit
            old = chance.choice(self.texts[name])
            new = chance.choice(TEXTS) if chance.random() < 0.2 else chance.choice(self.texts[name])
            return _replaced(plan, old, new), f"{old!r} everywhere: {new!r}"
        elif chance.random() < 0.6:
            steps[at], where = self._altered(steps[at], name, chance)
            return plan._replace(steps=tuple(steps)), f"step {at + 1}{where}"
        else:
            field = chance.choice(("expected", "expected", "expected", "edges", "run", "requirements", "lines", "name"))
            part, where = self._altered(getattr(plan, field), name, chance)
            return plan._replace(**{field: part}), f"{field}{where}"
        return plan._replace(steps=tuple(steps)), f"{what} {at + 1} {to + 1}"

    def _altered(self, value: Any, name: str, chance: random.Random) -> tuple[Any, str]:
        """`value` with one value in it changed, and where that is."""
        if isinstance(value, bool):
            return not value, f": {not value}"
        if isinstance(value, int):
            new = chance.choice((value + 1, value - 1, value ^ 1 << chance.randrange(22), chance.choice(NUMBERS)))
            return new, f": {new}"
        if isinstance(value, str):
            text = chance.choice(TEXTS) if chance.random() < 0.4 else chance.choice(self.texts[name])
            if chance.random() < 0.1:
                text = value + chance.choice(("/x", "x", "/..", "\0"))
            return text, f": {text!r}"
        if value is None:
            return (s.Layer("", "/srv/wide"), ": a layer") if chance.random() < 0.5 else ((), ": ()")
        parts = list(value)
        if not parts:
            return (chance.choice(((("x", "y"),), ("x",), ((0, 0, 1),))), ": more")
        at = chance.randrange(len(parts))
        if hasattr(value, "_fields"):
            while value._fields[at] == "kind" and isinstance(parts[at], str) and parts[at] in s.STEP_KINDS:
                at = chance.randrange(len(parts))
            parts[at], where = self._altered(parts[at], name, chance)
            return type(value)(*parts), f".{value._fields[at]}{where}"
        what = chance.choice(("drop", "double", "swap", *["alter"] * 7))
        if what == "drop":
            del parts[at]
        elif what == "double":
            parts.insert(chance.randrange(len(parts)), parts[at])
        elif what == "swap":
            to = chance.randrange(len(parts))
            parts[at], parts[to] = parts[to], parts[at]
        else:
            parts[at], where = self._altered(parts[at], name, chance)
            return tuple(parts), f"[{at}]{where}"
        return tuple(parts), f": {what} {at}"


def _node(within: str, chance: random.Random) -> s.MakeNode:
    """One that could be in a plan, or has what another kind of node has."""
    kind: Any = chance.choice(("file", "directory", "symlink", "symlink", "fifo", "socket", "char"))
    fields: dict[str, Any] = {
        "link": chance.choice(("/srv/victim", "/srv/victim/f", "../srv/victim")) if kind == "symlink" else "",
        "device": (1, 3) if kind == "char" else (0, 0),
    }
    for name, values in (("mode", (0, 0o700, 0o4755)), ("uid", (0, 5)), ("gid", (5,)), ("content", ("x",)),
                         ("source", ("/srv/victim/f",)), ("existing", (True,)), ("careful", (True,))):  # fmt: skip
        if chance.random() < 0.2:
            fields[name] = chance.choice(values)
    path = chance.choice(("new", "new", "in", "l", "l/f", "in/new", "../new"))
    plain = s.MakeNode(within, path, kind, -1, -1, -1, "", "", "", (0, 0), existing=False, careful=False, origin="")
    return plain._replace(**fields)


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    return set().union(*map(_texts, value)) if isinstance(value, tuple) else set()


def _replaced(value: Any, old: str, new: str) -> Any:
    """`value` with another text in each place of `old`, be it a whole text or at the end of a path."""
    if isinstance(value, str):
        if old and old[0] != "/" and value.endswith(f"/{old}"):
            return value[: -len(old)] + new
        return new if value == old else value
    if not isinstance(value, tuple):
        return value
    parts = [_replaced(part, old, new) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def lay_out() -> None:
    """What SPECS name on the host, for a process in a throw-away host."""
    for place in ("/srv", "/srv/feed", "/srv/wide", "/srv/tree", "/srv/tree/in"):
        Path(place).mkdir(exist_ok=True)
        mount("host", place, "tmpfs", data="size=1m")
        mount("", place, flags=MS_SHARED if place == "/srv/feed" else MS_PRIVATE)
    for place in ("feed/a/b", "wide/a/b", "wide/b", "wide/made", "tree/in/side", "victim", "again"):
        Path("/srv", place).mkdir(parents=True, exist_ok=True)
    mount("/srv/feed", "/srv/again", flags=MS_BIND)
    Path("/srv/victim/f").write_text("keep")


def state() -> tuple[list[str], list[tuple[str, int, int]]]:
    """What no plan may change: the mounts of the host, and the files below /srv."""
    mounts = [line.partition(" - ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = []
    for folder, folders, files in os.walk("/srv"):
        folders.sort()
        found += [(f"{folder}/{one}", *os.lstat(f"{folder}/{one}")[:1], os.lstat(f"{folder}/{one}").st_size) for one in
                  sorted(folders + files)]  # fmt: skip
    return mounts, found


class Failure(NamedTuple):
    seed: int
    what: str


class Outcome(NamedTuple):
    """How many plans came to what, and the changes that came to what they must not."""

    counts: Counter[str]
    failures: list[Failure]


def search(seeds: range, *, stop_after: int = 5) -> Outcome:
    """Try all seeds in this process, which moves to a throw-away host."""
    enter_host("root")
    lay_out()
    plans = {name: plan_of(f'name = "fuzz"\n{text}') for name, text in SPECS.items()}
    spec = str(CHECKOUT / "specs/complex-sharing.toml")
    plans["complex"] = api.plan(api.load(spec))
    changer = Changer(plans)
    before = state()
    outcome = Outcome(Counter(), [])
    for seed in seeds:
        changed = changer.change(seed)
        if changed.plan == plans[changed.name]:
            outcome.counts["unchanged"] += 1
            continue
        try:
            outcome.counts[attempt(changed.plan)] += 1
            if state() != before:
                raise AssertionError("the host has changed")
        except Exception:
            outcome.failures.append(Failure(seed, f"{changed.name}: {changed.what}\n{traceback.format_exc()}"))
            if len(outcome.failures) >= stop_after:
                break
    return outcome


def attempt(plan: Plan) -> str:
    """What a changed plan comes to, in a word or two. Raises whatever is wrong with mountplan."""
    try:
        text = dump_plan(plan).encode()
    except (AttributeError, LookupError, TypeError, ValueError):
        return "no plan"  # by the types of its values; test_planfile.py changes the texts of plans
    try:
        loaded = load_plan(text, "changed.json")
    except PlanFileError:
        return "malformed"
    except PlanRefused as refused:
        assert all("remedy: " in reason for reason in refused.reasons), refused
        return "refused"
    host = LiveHost()
    agrees = True
    try:
        foreseen = api.foresee(loaded, host)
        plan_text(loaded, foreseen.tables, api.classic(loaded, host), everything=True)
    except PlanRefused as refused:
        # What a proof of the steps alone cannot know: on which filesystem, and in which group, the host's mounts are.
        assert any(isinstance(step, s.TakeHostGroup | s.CloneHostWorkbench) for step in loaded.steps), refused
        agrees = False
    plan_dot(loaded)
    plan_mermaid(loaded)
    for number in (1, len(loaded.steps) // 2, len(loaded.steps)):
        why_text(loaded, str(number))
    try:
        api.build_and_forget(loaded, timeout=30)
    except MountplanError as error:
        return f"accepted, {type(error).__name__}" + ("" if agrees else ", as the model says")
    assert agrees, "it was built, and the model says that it could not be"
    return "accepted, built"


def main() -> int:
    parser = argparse.ArgumentParser(description="Change saved plans by chance, and try to carry them out.")
    parser.add_argument("--plans", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40), help="the first one; others follow it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop-after", type=int, default=5, help="failures, in each job")
    arguments = parser.parse_args()
    write = sys.stdout.write
    end = arguments.seed + arguments.plans
    write(f"seeds {arguments.seed} to {end - 1}\n")
    sys.stdout.flush()
    begin = time.monotonic()
    parts = [range(arguments.seed + job, end, arguments.jobs) for job in range(arguments.jobs)]
    outcomes = in_children(
        [lambda part=part: search(part, stop_after=arguments.stop_after) for part in parts]  # type: ignore[misc]
    )
    counts: Counter[str] = sum((one.counts for one in outcomes), Counter())
    for failure in (failure for one in outcomes for failure in one.failures):
        write(f"seed {failure.seed}: {failure.what}\n")
    for what, number in counts.most_common():
        write(f"{number:7} {what}\n")
    failures = sum(len(one.failures) for one in outcomes)
    write(f"{sum(counts.values())} plans, {failures} failures, {time.monotonic() - begin:.0f} s\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

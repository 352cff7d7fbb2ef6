"""What changes a tree that stands as one spec says into what another says: the preview and the steps of each pair.

They are in tests/golden/changes.txt; tests/kernel/test_live_change.py carries changes out.
"""

from __future__ import annotations

import json

import pytest

from mountplan.planner.change.change_plan import ChangePlan
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed, User
from mountplan.planner.names import LeftOut
from mountplan.planner.render.change_text import change_data, change_text, changed_text
from tests.planner.test_change import planned, standing, tmpfs
from tests.planner.test_render import golden

ONE = "[peer_group.g]\n"
GROUP = f"{ONE}[peer_group.h]\nmaster = 'g'\n"
DATA = tmpfs("/data", 'id = "data"\n')
LOW, TOP = tmpfs("/a", 'id = "low"\nsource = "low"\n'), tmpfs("/a", 'id = "top"\nsource = "top"\n')
ALL = Allowed(move=True, gap=True, propagation=True)


def bind(target: str, *more: str, path: str = "") -> str:
    source = f'{{ mount = "data", path = "{path}" }}' if path else '{ mount = "data" }'
    return "\n".join((f'[[mount]]\ntarget = "{target}"\nbind = {source}', *more)) + "\n"


def file(path: str, content: str, more: str = "") -> str:
    return f'[[mount.file]]\npath = "{path}"\ncontent = "{content}"\n{more}'


PAIRS = {
    "attributes of several": (
        DATA + bind("/b", 'attributes = ["ro", "noexec"]') + tmpfs("/c", 'attributes = ["noatime"]\n'),
        DATA.replace('"data"\n', '"data"\nattributes = ["nosuid", "nodiratime"]\n', 1)
        + bind("/b", 'attributes = ["noexec", "nodev"]')
        + tmpfs("/c", 'attributes = ["strictatime", "nosymfollow"]\n'),
    ),
    "an id-mapping comes and goes": (
        DATA + bind("/b", "idmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }") + bind("/c"),
        DATA + bind("/b") + bind("/c", "idmap = { uids = [[0, 2000, 1]], gids = [[0, 2000, 1]] }"),
    ),
    "unbindable comes and goes": (DATA + bind("/b", "unbindable = true") + bind("/c"),
                                  DATA + bind("/b") + bind("/c", "unbindable = true")),
    "options of a filesystem": (
        tmpfs("/a", 'options = { size = "1m", nr_inodes = "100" }\n') + tmpfs("/b", "options = { mode = '0700' }\n"),
        tmpfs("/a", 'options = { size = "2m", nr_inodes = "200" }\n') + tmpfs("/b", "options = { mode = '0755' }\n"),
    ),
    "another type, another source, another path": (
        DATA + file("x/f", "1") + bind("/b", path="/x") + tmpfs("/c") + tmpfs("/d", 'source = "one"\n'),
        DATA + file("x/f", "1") + file("y/f", "1") + bind("/b", path="/y")
        + tmpfs("/c").replace("tmpfs", "ramfs") + tmpfs("/d", 'source = "two"\n'),
    ),
    "files come, go and change": (
        DATA + file("same", "1") + file("other", "1") + file("mode", "1", 'mode = "0600"\n') + file("gone", "1"),
        DATA + file("same", "1") + file("other", "2") + file("mode", "1", 'mode = "0640"\nuid = 7\n')
        + '[[mount.file]]\npath = "dir/link"\nsymlink = "to"\n[[mount.file]]\npath = "pipe"\nfifo = true\n',
    ),
    "sharing comes": (DATA + bind("/b") + bind("/c") + bind("/d"),
                      GROUP + DATA + bind("/b", "peer_group = 'g'") + bind("/c", "peer_group = 'h'")
                      + bind("/d", "master = 'g'")),
    "sharing goes": (GROUP + DATA + bind("/b", "peer_group = 'g'") + bind("/c", "peer_group = 'h'")
                     + bind("/d", "master = 'g'"),
                     ONE + DATA + bind("/b", "peer_group = 'g'") + bind("/c") + bind("/d")),
    "members change their groups": (
        GROUP + DATA + bind("/b", "peer_group = 'g'") + bind("/c", "peer_group = 'g'") + bind("/d", "peer_group = 'h'"),
        GROUP + DATA + bind("/b", "peer_group = 'g'") + bind("/c", "peer_group = 'h'") + bind("/d", "peer_group = 'h'"),
    ),
    "below what is shared": (ONE + DATA.replace("id =", "peer_group = 'g'\nid =") + bind("/b", "peer_group = 'g'"),
                             ONE + DATA.replace("id =", "peer_group = 'g'\nid =") + bind("/b", "peer_group = 'g'")
                             + tmpfs("/data/in") + tmpfs("/b/other")),
    "a stack grows, shrinks and is exchanged": (
        LOW + TOP + tmpfs("/b") + tmpfs("/c", 'source = "c1"\n') + tmpfs("/c", 'source = "c2"\n'),
        LOW + tmpfs("/b") + tmpfs("/b", 'source = "b2"\n') + tmpfs("/c", 'source = "c3"\n')
        + tmpfs("/c", 'source = "c2"\n'),
    ),
    "what lies below a cover": (
        tmpfs("/d", 'id = "under"\n') + '[[mount]]\nparent = "under"\ntarget = "/d/low"\ntype = "tmpfs"\n'
        + tmpfs("/d", 'source = "cover"\n'),
        tmpfs("/d", 'id = "under"\n')
        + '[[mount]]\nparent = "under"\ntarget = "/d/low"\ntype = "tmpfs"\nattributes = ["ro"]\n'
        + tmpfs("/d", 'source = "cover"\n') + tmpfs("/d/in"),
    ),
    "what stands on others is carried": (
        tmpfs("/a", 'source = "old"\n') + tmpfs("/a/b") + tmpfs("/a/b/c") + tmpfs("/e"),
        tmpfs("/a", 'source = "new"\n') + tmpfs("/a/b") + tmpfs("/a/b/c") + tmpfs("/a/b/c/d"),
    ),
    "an overlay and its layers": (
        DATA + file("l/x", "1") + file("m/y", "1") + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = '
        '[{ mount = "data", path = "/l" }, { mount = "data", path = "/m" }]\n',
        DATA + file("l/x", "1") + file("m/y", "1") + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = '
        '[{ mount = "data", path = "/m" }, { mount = "data", path = "/l" }]\n',
    ),
    "nothing": (DATA + bind("/b"), DATA + bind("/b")),
}  # fmt: skip
USERS = {
    "/data": (User(7, "writer", ("2 open files",), False, True),),
    "/a": (User(8, "", ("working directory",), False, False), User(9, "jail", ("root",), True, False)),
}


def found(name: str, allowed: Allowed = ALL) -> tuple[ChangePlan, str]:
    before, after = PAIRS[name]
    plan = planned(after)
    change = plan_change(plan, standing(planned(before), USERS), allowed, 100_000)
    steps = "".join(f"  {number}. {step.describe()}\n" for number, step in enumerate(change.steps, 1))
    return change, f"{change_text(plan, change, everything=True)}{steps}"


def test_the_preview_and_the_steps_of_each_pair_are_what_they_were() -> None:
    texts = []
    for name in PAIRS:
        change, text = found(name)
        texts.append(f"# --- {name}\n{text}")
        if change != (plain := found(name, Allowed()))[0]:
            texts.append(f"# without a word:\n{plain[1]}")
    golden("changes.txt", "\n".join(texts))


@pytest.mark.parametrize("name", PAIRS)
def test_the_preview_as_values_says_the_same(name: str) -> None:
    change, text = found(name)
    data = json.loads(json.dumps(change_data(planned(PAIRS[name][1]), change)))
    words = {"+": "add", "-": "remove", "~": "change", "swap": "swap"}
    told = [(one["change"], one["mount"]) for one in data["changes"]]
    assert [(words[one.sign], one.mount) for one in change.changes] == told
    assert (len(change.steps), len(change.obstacles)) == (data["steps"], len(data["refused"]))
    assert all(one["mount"] in text for one in data["changes"])


def test_what_has_been_changed_is_told_with_what_came_outside_and_what_is_left_out() -> None:
    change, _ = found("what stands on others is carried")
    left = LeftOut(name="x", namespace="", target="/x", reason="no program", upon="", origin="mount[9]")
    told = [changed_text(change, outcome, 1, 1.25, ("/mnt",), (left,), everything=True) for outcome in
            ("changed", "stands", "finished", "taken back")]  # fmt: skip
    golden("changed.txt", "\n".join(told))

"""A tree that stands is changed while others share with it; and what is interrupted goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest

from mountplan import changing, live_target
from mountplan.applier.change.live_kernel import Entrance
from mountplan.applier.change.visit import Visited, carry_out
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys import abi
from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_steps import ChangeStep
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed
from mountplan.planner.plan.plan import Plan
from tests.hosts import InHost, mount, run_in_child, setns, unshare
from tests.live_trees import STACK, TREE, LiveTree, plan_of, standing_tree
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_SHARED, MS_SLAVE

pytestmark = pytest.mark.needs_kernel("root", "set-group")

ALL = Allowed(move=True, gap=True, propagation=True)


@pytest.mark.parametrize("word", ['propagation = "slave-shared"', '[[change]]\ntarget = "/mnt"\nsharing = "shared"'])
def test_nothing_is_to_be_changed_in_what_has_groups_without_a_name(word: str, in_host: InHost) -> None:
    """Each of such mounts is in a group of its own, which has whatever number the kernel gave it."""

    def script() -> list[object]:
        mount("m", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_SHARED)
        plan = plan_of(f'format = 1\nname = "live"\nroot = "inherit"\n{word}\n')
        with standing_tree(plan) as tree:
            preview = plan_change(plan, tree.standing(), Allowed(), 100_000)
            return [*preview.changes, *preview.obstacles]

    assert [] == in_host(script, identity="root")


def test_the_filesystems_of_a_stack_stay_when_one_below_them_goes(in_host: InHost) -> None:
    """Without ids too, so that nothing but their sources tells which is which."""
    root = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    before, after = (
        plan_of(root + "".join(f'[[mount]]\ntarget = "/a"\ntype = "tmpfs"\nsource = "{one}"\n' for one in sources))
        for sources in ("xyz", "yz")
    )

    def script() -> tuple[dict[str, str], dict[str, str]]:
        with standing_tree(before) as tree:
            devices = [{row.source: row.device for row in tree.views()[0].table.rows}]
            tree.change(tree.preview(after))
            devices.append({row.source: row.device for row in tree.views()[0].table.rows})
            return devices[0], devices[1]

    first, second = in_host(script)
    del first["x"]
    assert first == second


OUTSIDE = """format = 1
name = "live"
[peer_group.feed]
host = "/mnt/feed"
[peer_group.own]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/peer"
bind = "/mnt/feed"
peer_group = "feed"
[[mount]]
target = "/slave"
bind = "/mnt/feed"
master = "feed"
[[mount]]
target = "/own"
type = "tmpfs"
peer_group = "own"
"""


def lay_out_feed() -> None:
    mount("mnt", "/mnt", "tmpfs")
    for name in ("feed", "other"):
        Path("/mnt", name).mkdir()
    mount("feed", "/mnt/feed", "tmpfs")
    mount("", "/mnt/feed", flags=MS_SHARED)
    for name in ("a", "b"):
        Path("/mnt/feed", name).mkdir()
    mount("/mnt/feed", "/mnt/other", flags=MS_BIND)
    mount("", "/mnt/other", flags=MS_SLAVE)


def test_peers_and_slaves_outside_see_nothing_of_a_change(in_host: InHost) -> None:
    """What is attached to a mount that shares with the host stays inside; and the host's events go on arriving."""
    after = OUTSIDE.replace('target = "/own"', 'target = "/peer/a"')
    after += '[[mount]]\ntarget = "/slave/a"\ntype = "tmpfs"\n'

    def script() -> tuple[bool, list[str], list[str]]:
        lay_out_feed()
        before, then = plan_of(OUTSIDE), plan_of(after)
        with standing_tree(before) as tree:
            host = observe()
            found = tree.preview(then, Allowed())
            tree.change(found)
            assert not tree.drift(then), tree.drift(then)
            same = observe() == host
            mount("event", "/mnt/feed/b", "tmpfs")
            there = [row.mountpoint for view in tree.views() for row in view.table.rows if row.source == "event"]
            return same, list(found.spread), sorted(there)

    same, spread, there = in_host(script)
    assert same
    assert [] == spread
    assert ["/peer/b", "/slave/b"] == there


WAYS = {
    "Bidirectional": 'peer_group = "feed"\nrecursive_sharing = "peer"\n',
    "HostToContainer": 'master = "feed"\nrecursive_sharing = "slave"\n',
    "None": 'recursive_sharing = "private"\n',
}


@pytest.mark.parametrize(("before", "after"), list(permutations(WAYS, 2)))
def test_what_a_recursive_bind_brings_along_changes_sides(before: str, after: str, in_host: InHost) -> None:
    """The bind has a name for its group, what it brings along has none: each joins the group of the host's mount."""
    bind = '[[mount]]\ntarget = "/feed"\nbind = "/mnt/feed"\nrecursive = true\n'
    feed = '[peer_group.feed]\nhost = "/mnt/feed"\n'

    def plan(way: str) -> Plan:
        root = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        return plan_of('format = 1\nname = "live"\n' + (feed if way != "None" else "") + root + bind + WAYS[way])

    def script() -> tuple[bool, list[str], bool]:
        lay_out_feed()
        mount("shared", "/mnt/feed/a", "tmpfs")
        mount("private", "/mnt/feed/b", "tmpfs")
        mount("", "/mnt/feed/b", flags=MS_PRIVATE)
        os.mkdir("/mnt/feed/a/x")
        with standing_tree(plan(before)) as tree:
            host = observe()
            found = tree.preview(plan(after), Allowed())
            tree.change(found)
            assert not tree.drift(plan(after)), tree.drift(plan(after))
            same = observe() == host
            mount("event", "/mnt/feed/a/x", "tmpfs")
            arrived = any(row.source == "event" for view in tree.views() for row in view.table.rows)
            return same, list(found.spread), arrived

    assert (True, [], after != "None") == in_host(script)


def test_a_recursive_bind_brings_stacks_along(in_host: InHost) -> None:
    """All of a stack comes at once; the second was attached to itself (ELOOP)."""
    bind = '[[mount]]\ntarget = "/feed"\nbind = "/mnt/feed"\nrecursive = true\n'
    upon = '[[mount]]\ntarget = "/feed/a/x"\ntype = "tmpfs"\n'
    root = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'

    def script() -> list[object]:
        lay_out_feed()
        for number in range(3):
            mount(f"{number}", "/mnt/feed/a", "tmpfs")
        os.mkdir("/mnt/feed/a/x")
        with standing_tree(plan_of(root)) as tree:
            tree.change(tree.preview(plan_of(root + bind + upon), Allowed()))
            return [*tree.drift(plan_of(root + bind + upon))]

    assert [] == in_host(script, identity="root")


@contextmanager
def nested_inside(tree: LiveTree) -> Iterator[int]:
    """A process in a copy of the tree's namespace, with all its groups."""
    reader, writer = os.pipe()
    namespace = tree.built.open_mounts("")
    child = os.fork()
    if child == 0:
        setns(namespace)
        unshare(abi.CLONE_NEWNS)
        os.write(writer, b".")
        signal.pause()
    os.close(namespace)
    os.read(reader, 1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_whom_a_swap_cuts_off_is_told_before(in_host: InHost) -> None:
    """A process inside with a namespace of its own: nothing in its table changes."""

    def script() -> tuple[list[str], list[str], bool, list[str]]:
        before, after = (plan_of(TREE.replace("SOURCE", "one") + word) for word in ("", 'source = "new"\n'))
        with standing_tree(before) as tree, nested_inside(tree) as pid:
            operand = live_target.target_of(f"pid:{tree.built.pid}")
            mount("run", "/run", "tmpfs", data="mode=0755")
            refused = changing.preview(after, live_target.look(operand), Allowed())
            earlier = Path(f"/proc/{pid}/mountinfo").read_text()
            done = changing.change(after, operand, ALL)
            same = Path(f"/proc/{pid}/mountinfo").read_text() == earlier
            told = [one.replace(str(pid), "PID") for one in done.change.asides if "group" in one]
            namespace = tree.built.open_mounts("")

            def inside() -> None:
                setns(namespace)
                mount("later", "/pool", "tmpfs")

            run_in_child(inside)
            table = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            return [one.kind for one in refused.obstacles], told, same, [line for line in table if "later" in line]

    refused, told, same, arrived = in_host(script, identity="root")
    assert ["propagation"] == refused
    assert 1 == len(told)
    assert "/pool leaves the group of /pool of " in told[0]
    assert same
    assert [] == arrived


def stopped(tree: LiveTree, steps: tuple[ChangeStep, ...]) -> None:
    """Carry out only these, as if the visitor had been killed then."""
    entrances = [Entrance(one.name, tree.built.open_mounts(one.name), -1) for one in tree.built.namespaces]
    try:
        assert isinstance(carry_out(steps, tuple(entrances), ()), Visited)
    finally:
        for one in entrances:
            os.close(one.namespace)


@pytest.mark.parametrize("undo", [False, True])
def test_wherever_a_change_stops_it_can_be_finished_and_taken_back(in_host: InHost, undo: bool) -> None:
    """Both are planned from what stands."""
    stacked = STACK[STACK.index('[[mount]]\nid = "low"') : STACK.index("[[mount]]\nparent")].replace("TOP", "top")
    first = TREE.replace("SOURCE", "one") + '[[mount]]\ntarget = "/gone"\ntype = "tmpfs"\n'
    second = TREE.replace("SOURCE", "two").replace('"/pool"', '"/data/pool"')
    second += '[[mount]]\nid = "more"\ntarget = "/more"\ntype = "tmpfs"\nattributes = ["ro"]\n'
    first, second = first + stacked.replace("SOURCE", "one"), second + stacked.replace("SOURCE", "two")

    def script() -> int:
        before, after = plan_of(first), plan_of(second)
        with standing_tree(before) as tree:
            steps = tree.preview(after, ALL).steps
        inside = next(number for number, step in enumerate(steps) if isinstance(step, c.Visit))
        for end in range(inside, len(steps) + 1):
            with standing_tree(before) as tree:
                same = tree.preview(after, ALL).steps
                stopped(tree, same[:end])
                wanted = before if undo else after
                tree.change(tree.preview(wanted, ALL))
                assert not tree.drift(wanted), (end, tree.drift(wanted))
        return len(steps) - inside

    assert in_host(script, timeout=300) > 15


def test_what_a_spec_declares_is_changed_where_it_stands(in_host: InHost) -> None:
    """A directory keeps what is in it; a bind of a file that is changed was attached to the file of before (ENOENT)."""
    entries = """[[mount.file]]
path = "file"
content = "1"
[[mount.file]]
path = "link"
symlink = "here"
[[mount.file]]
path = "late"
content = "1"
[[mount.file]]
path = "folder"
directory = true
mode = "0750"
gid = 3
"""
    before = TREE.replace('target = "/pool"', 'id = "pool"\ntarget = "/pool"') + entries
    after = before.replace('"1"', '"2"').replace('"here"', '"there"').replace('mode = "0750"\ngid = 3\n', "")
    after = after.replace('path = "late"\ncontent = "2"', 'path = "late"\nsymlink = "file"')
    after += '[[mount]]\ntarget = "/bound"\nbind = { mount = "pool", path = "/file" }\n'

    def script() -> list[tuple[object, ...]]:
        found = []
        with standing_tree(plan_of(before)) as tree:
            root = Path(f"/proc/{tree.built.pid}/root")
            (root / "pool/folder/kept").touch()
            for spec in (after, before):
                tree.change(tree.preview(plan_of(spec), Allowed()))
                tree = tree.became(plan_of(spec))
                status = os.stat(root / "pool/folder")
                bound = (root / "bound").read_text() if spec == after else ""
                texts = [(root / "pool/file").read_text(), os.readlink(root / "pool/link")]
                texts.append((root / "pool/late").read_text())
                found.append((bound, *texts, oct(status.st_mode), status.st_gid, os.listdir(root / "pool/folder")))
        return found

    now, back = in_host(script, identity="root")
    assert ("2", "2", "there", "2", "0o40755", 0, ["kept"]) == now
    assert ("", "1", "here", "1", "0o40750", 3, ["kept"]) == back


LAYERS = """format = 1
name = "live"
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "low"
type = "tmpfs"
TARGET
[[mount.file]]
path = "file"
content = "old"
[[mount]]
id = "other"
target = "/other"
type = "tmpfs"
[[mount]]
target = "/over"
type = "overlay"
layers = [{ mount = "low", path = "/" }, { mount = "other", path = "/" }]
"""


@pytest.mark.parametrize("target", ['target = "/low"', ""])
def test_an_overlay_shows_the_layer_that_takes_the_place_of_another(in_host: InHost, target: str) -> None:
    """Also where no mount shows the layer: the overlay stayed on the old one, and nothing was said."""
    before = LAYERS.replace("TARGET", target)
    after = before.replace('id = "low"', 'id = "low"\nsource = "new"' if target else 'id = "low"').replace("old", "new")

    def script() -> str:
        with standing_tree(plan_of(before)) as tree:
            tree.change(tree.preview(plan_of(after), Allowed()))
            return Path(f"/proc/{tree.built.pid}/root/over/file").read_text()

    assert "new" == in_host(script)


def test_an_overlay_shows_what_is_changed_in_a_layer_that_stands(in_host: InHost) -> None:
    """It went on showing the file that it had looked up."""
    entry = 'path = "folder"\ndirectory = true\n'
    before = LAYERS.replace("TARGET", f'target = "/low"\n[[mount.file]]\n{entry}').replace('"file"', '"folder/file"')
    before = before.replace('"low", path = "/"', '"low", path = "/folder"')

    def script() -> list[tuple[str, int]]:
        told = []
        with standing_tree(plan_of(before)) as tree:
            root = Path(f"/proc/{tree.built.pid}/root/over")
            for after in (before, before.replace('"old"', '"new"'), before.replace(entry, f'{entry}mode = "0711"\n')):
                tree.change(tree.preview(plan_of(after), Allowed()))
                tree = tree.became(plan_of(after))
                told.append(((root / "file").read_text(), os.stat(root).st_mode & 0o777))
        return told

    assert [("old", 0o755), ("new", 0o755), ("old", 0o711)] == in_host(script)


def test_directories_of_a_new_overlay_are_made_in_a_filesystem_that_stands(in_host: InHost) -> None:
    """As in one that is new: the overlay was refused at its step (ENOENT)."""
    lower = LAYERS.replace("TARGET", 'target = "/low"')
    ways = [
        f'upper = {{ mount = "other", path = "/{n}/up" }}\nwork = {{ mount = "other", path = "/{n}/w" }}\n'
        for n in "12"
    ]
    one, two = (lower.replace('}, { mount = "other", path = "/" }]\n', "}]\n" + way) for way in ways)

    def script() -> list[str]:
        with standing_tree(plan_of(one)) as tree:
            found = tree.preview(plan_of(two), Allowed())
            tree.change(found)
            assert not tree.drift(plan_of(two))
            return [f"{line.sign} {line.mount}" for line in found.changes]

    assert ["swap /over"] == in_host(script)


def test_a_new_member_of_a_group_keeps_what_covers_it_when_a_covered_one_goes(in_host: InHost) -> None:
    """What covers the one that goes was unmounted first, and what covers its peer with it."""
    pool = '[[mount]]\nid = "pool"\ntarget = "/pool"\ntype = "tmpfs"\npeer_group = "g"\n'
    covered = '[[mount]]\ntarget = "/a/a"\nbind = { mount = "pool", path = "/" }\npeer_group = "g"\n'
    one, two = (f'[[mount]]\ntarget = "{path}"\ntype = "tmpfs"\n' for path in ("/a/a", "/a"))
    start = 'format = 1\nname = "live"\n[peer_group.g]\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    before, after = (plan_of(start + pool + covered + more) for more in (one, one + two))

    def script() -> list[str]:
        with standing_tree(before) as tree:
            found = tree.preview(after, Allowed())
            tree.change(found)
            assert not tree.drift(after)
            return [one.kind for one in found.obstacles]

    assert [] == in_host(script)


def test_a_new_filesystem_comes_with_a_mount_of_what_is_removed_from_it(in_host: InHost) -> None:
    """It was removed before that was attached, which the kernel refuses (ENOENT)."""
    root = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    new = '[[mount]]\nid = "new"\ntarget = "/new"\ntype = "tmpfs"\n[[mount.file]]\npath = "gone"\ndirectory = true\n'
    after = plan_of(
        root + new + '[[mount]]\ntarget = "/new/at"\nbind = { mount = "new", path = "/gone", deleted = true }\n'
    )

    def script() -> list[str]:
        with standing_tree(plan_of(root)) as tree:
            found = tree.preview(after, Allowed())
            tree.change(found)
            assert not tree.drift(after)
            return [f"{one.sign} {one.mount}" for one in found.changes]

    assert ["+ /new", "+ /new/at"] == in_host(script)


def test_what_would_go_in_another_namespace_of_the_tree_with_a_cover_is_told(in_host: InHost) -> None:
    """Of what a covered shared mount has for a peer there; it was told as a difference from the spec."""
    mounts = '[[namespace]]\nname = "{}"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    mounts += '[[namespace.mount]]\ntarget = "/low"\npeer_group = "g"\n{}\n'
    cover = '[[namespace.mount]]\ntarget = "/low"\ntype = "tmpfs"\n'
    start = 'format = 1\nname = "live"\n[peer_group.g]\n' + mounts.format("one", 'id = "low"\ntype = "tmpfs"')
    other = mounts.format("two", 'bind = { mount = "low" }') + cover

    def script() -> list[str]:
        with standing_tree(plan_of(start + cover + other)) as tree:
            return [one.what for one in tree.preview(plan_of(start + other), Allowed()).obstacles]

    (told,) = in_host(script)
    assert "/low: what is mounted there cannot be taken off alone" in told
    assert "at /low of two, would go too" in told

"""Topology and order -> steps: the expected lists can be read from top to bottom as what happens."""

from __future__ import annotations

from mountplan import api
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan
from mountplan.planner.plan.schedule import DEPTH
from tests.fakes import FakeHost, host_mount

HOST = FakeHost({"/data/dir": "directory", "/data/file": "file"}, (host_mount(2, 1, "/srv", shared=5),))

ROOT = """
[[mount]]
target = "/"
type = "tmpfs"
id = "root"
"""


def plan_for(text: str) -> Plan:
    return api.plan(parse_spec(b"format = 1\n" + text.encode(), "test.toml"), HOST)


def steps_of(text: str) -> list[str]:
    """What is done between the making of the yard and the entering of the root."""
    told = [step.describe() for step in plan_for(text).steps]
    return told[told.index("make the yard") + 1 : next(n for n, one in enumerate(told) if one.startswith("pivot_root"))]


def told(text: str, *words: str) -> list[str]:
    """The steps whose description begins with one of the words."""
    return [one for one in steps_of(text) if one.startswith(words)]


def tmpfs(target: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\n{words}\n'


def bind(target: str, source: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\nbind = {source}\n{words}\n'


def test_a_plan_begins_by_cutting_itself_off_and_ends_by_entering_the_root() -> None:
    assert [
        "unshare a mount namespace",
        "make every inherited mount private",
        "make the yard",
        "new tmpfs root",
        "attach root -> @yard:/root",
        "pivot_root into root, detach the old root and the yard",
        "release root",
        "hold namespace, to read it back",
    ] == [step.describe() for step in plan_for(ROOT).steps]


def test_a_mount_is_made_given_its_attributes_attached_and_let_go() -> None:
    text = ROOT + bind("/a", '"/data/dir"', 'attributes = ["ro", "nosuid"]')
    assert [
        "clone /a from the host's /data/dir",
        "set ro,nosuid on /a",
        "attach /a -> root:/a",
        "release /a",
    ] == steps_of(text)[-4:]


def test_a_filesystem_of_one_mount_needs_no_workbench_and_one_of_several_does() -> None:
    assert ["new tmpfs /a"] == told(ROOT + tmpfs("/a"), "new tmpfs /a", "new tmpfs fs:", "clone")
    assert ["new tmpfs fs:a", "clone a from fs:a:/", "clone /b from fs:a:/"] == told(
        ROOT + tmpfs("/a", 'id = "a"') + bind("/b", '{ mount = "a" }'), "new tmpfs /a", "new tmpfs fs:", "clone"
    )


def test_a_filesystem_is_full_of_its_files_and_mountpoints_before_it_is_attached() -> None:
    text = ROOT + tmpfs("/a", '[[mount.file]]\npath = "etc/motd"') + tmpfs("/a/sub/deep")
    assert [
        "make directory root:/a",
        "make directory /a:/etc",
        "make file /a:/etc/motd",
        "make directory /a:/sub",
        "make directory /a:/sub/deep",
        "attach /a -> root:/a",
        "attach /a/sub/deep -> /a:/sub/deep",
    ] == told(text, "make", "attach /a")


def test_a_parent_stands_before_what_is_mounted_on_it_in_whatever_order_they_are_written() -> None:
    text = tmpfs("/a/b") + tmpfs("/a") + ROOT
    assert ["attach root -> @yard:/root", "attach /a -> root:/a", "attach /a/b -> /a:/b"] == told(text, "attach")


def test_the_deeper_mountpoint_goes_before_the_sibling_that_covers_it() -> None:
    """Once /a is covered, /a/b/c of the same parent can no longer be reached by a path walk."""
    text = ROOT + tmpfs("/a", 'id = "cover"') + tmpfs("/a/b/c", 'parent = "root"\nid = "low"')
    assert ["attach low -> root:/a/b/c", "attach cover -> root:/a"] == told(text, "attach low", "attach cover")


def test_a_chain_of_covers_is_attached_from_the_deepest_up() -> None:
    text = ROOT + "".join(tmpfs("/a" * depth, f'parent = "root"\nid = "m{depth}"') for depth in (1, 2, 3))
    assert [f"attach m{depth} -> root:{'/a' * depth}" for depth in (3, 2, 1)] == told(text, "attach m")


def test_a_mount_on_the_same_target_is_attached_to_the_root_of_the_one_below() -> None:
    text = ROOT + tmpfs("/a", 'id = "one"') + tmpfs("/a", 'id = "two"') + tmpfs("/a/in", 'parent = "one"\nid = "in"')
    assert [
        "attach one -> root:/a",
        "attach in -> one:/in",
        "attach two -> one:/",
    ] == told(text, "attach one", "attach two", "attach in")


def test_a_mount_joins_its_group_when_all_that_stands_on_it_is_attached() -> None:
    """An attach below a shared mount would be copied to all its peers."""
    text = "[peer_group.g]\n" + ROOT + tmpfs("/a", 'id = "a"\npeer_group = "g"') + tmpfs("/a/in") + tmpfs("/a/in/deep")
    assert [
        "make seed:g: shared",
        "attach a -> root:/a",
        "attach /a/in -> a:/in",
        "attach /a/in/deep -> /a/in:/deep",
        "join a to seed:g",
    ] == told(text, "make seed", "attach a", "attach /a", "join")


def test_seeds_are_made_in_master_order() -> None:
    groups = '[peer_group.c]\nmaster = "b"\n[peer_group.b]\nmaster = "a"\n[peer_group.a]\n'
    text = groups + ROOT + tmpfs("/a", 'id = "m"\npeer_group = "a"')
    text += "".join(bind(f"/{name}", '{ mount = "m" }', f'peer_group = "{name}"') for name in "bc")
    text += bind("/d", '{ mount = "m" }', 'master = "c"')
    assert [
        "make seed:a: shared",
        "make seed:b: shared, slave of seed:a",
        "make seed:c: shared, slave of seed:b",
        "make seed:slaves of c: not shared, slave of seed:c",
    ] == told(text, "make seed")


def test_the_root_joins_its_group_only_when_it_has_been_entered() -> None:
    """pivot_root refuses a shared mount; the seed is held by its descriptor, since the yard is gone by then."""
    plan = plan_for("[peer_group.g]\n" + ROOT + 'peer_group = "g"')
    told = [step.describe() for step in plan.steps]
    end = told.index("pivot_root into root, detach the old root and the yard")
    assert [
        "join root to seed:g",
        "release root",
        "hold namespace, to read it back",
        "release seed:g",
    ] == told[end + 1 :]
    assert [False] == [step.parked for step in plan.steps if isinstance(step, s.MakeSeed)]


def test_a_group_of_the_host_is_taken_while_the_copy_of_the_hosts_tree_is_still_shared() -> None:
    plan = plan_for('[peer_group.feed]\nhost = "/srv"\n' + ROOT + bind("/a", '"/srv"', 'peer_group = "feed"'))
    assert [
        "unshare a mount namespace",
        "take seed:feed: a peer of the host's mount at /srv",
        "make every inherited mount private",
        "make the yard",
    ] == [step.describe() for step in plan.steps][:4]


def test_a_host_group_that_is_only_received_from_is_not_joined() -> None:
    text = '[peer_group.feed]\nhost = "/srv"\n' + ROOT + bind("/a", '"/srv"', 'master = "feed"')
    (taken,) = (step for step in plan_for(text).steps if isinstance(step, s.TakeHostGroup))
    assert taken.slave


def test_a_private_copy_of_the_hosts_tree_is_taken_after_it_was_made_private_and_slaves_before() -> None:
    private, slave = (
        [step.describe() for step in plan_for(f'root = "inherit"\npropagation = "{word}"\n{tmpfs("/srv")}').steps]
        for word in ("private", "slave")
    )
    clone = "clone @host from the host's / with all below it"
    assert private.index("make every inherited mount private") < private.index(clone)
    assert slave.index(f"{clone}, as slaves") < slave.index("make every inherited mount private")


def test_a_read_only_filesystem_is_made_writable_filled_and_then_sealed() -> None:
    text = ROOT + tmpfs("/a", 'options = { ro = true, size = "1m" }\n[[mount.file]]\npath = "x"')
    assert [
        "new tmpfs /a (size=1m)",
        "make file /a:/x",
        "attach /a -> root:/a",
        "make filesystem /a read-only",
        "release /a",
    ] == told(text, "new tmpfs /a", "make file", "attach /a", "release")


def test_the_layers_of_an_overlay_are_there_before_it_and_it_is_made_from_their_workbench() -> None:
    text = (
        '[[mount]]\ntarget = "/"\nid = "root"\ntype = "overlay"\nlayers = [{ mount = "store", path = "/base" }]\n'
        'upper = { mount = "store", path = "/up" }\n'
        '[[mount]]\nid = "store"\ntype = "tmpfs"\n[[mount.file]]\npath = "base"\ndirectory = true\n'
    )
    assert [
        "new tmpfs fs:store",
        "new overlay root of 1 layer below fs:store:up",
        "attach root -> @yard:/root",
    ] == told(text, "new", "attach", "clone")


def test_what_stands_nowhere_is_never_attached() -> None:
    text = ROOT + '[[mount]]\nid = "pool"\ntype = "tmpfs"\n' + bind("/a", '{ mount = "pool" }')
    assert ["new tmpfs fs:pool", "clone /a from fs:pool:/", "attach /a -> root:/a"] == told(
        text, "new tmpfs fs:pool", "clone", "attach pool", "attach /a"
    )


def test_a_deep_tree_is_built_in_branches_of_which_each_is_moved_to_its_place() -> None:
    """Each mount on the way down holds a descriptor, and there may be no more than 256."""
    plan = plan_for(ROOT + "".join(tmpfs("/d" * depth) for depth in range(1, 2 * DEPTH)))
    held = most = 0
    for step in plan.steps:
        if isinstance(step, s.MakeFilesystem) and step.mount:
            held += 1
        elif isinstance(step, s.Release):
            held -= 1
        most = max(most, held)
    assert 0 == held
    assert most <= 2 * DEPTH
    staged = [step.path for step in plan.steps if isinstance(step, s.Attach) and step.path.startswith("stage")]
    assert staged


def test_every_mount_is_attached_and_released_once_more_than_it_is_moved() -> None:
    """Whatever is held is let go in the end, and nothing twice."""
    plan = plan_for(ROOT + "".join(tmpfs("/d" * depth) for depth in range(1, 2 * DEPTH)))
    held: set[str] = set()
    for step in plan.steps:
        if isinstance(step, s.MakeFilesystem) and step.mount:
            assert step.mount not in held
            held.add(step.mount)
        elif isinstance(step, s.Release):
            held.remove(step.handle)
    assert set() == held


def test_what_a_plan_needs_is_told_with_the_first_place_that_needs_it() -> None:
    text = (
        "[peer_group.g]\n" + ROOT + 'peer_group = "g"\n[[mount.file]]\npath = "null"\ndevice = "c:1:3"\n'
        + bind("/a", '"/data/dir"', "[mount.idmap]\nuids = [[0, 1000, 1]]\ngids = [[0, 1000, 1]]")
    )  # fmt: skip
    found = {one.feature: one.reason for one in plan_for(text).requirements}
    assert {"set_group": "sharing: g", "idmap": "/a", "mknod": "device nodes in fs:root"} == {
        name: found[name] for name in ("set_group", "idmap", "mknod")
    }


def test_the_same_spec_gives_the_same_bytes() -> None:
    text = (
        "[peer_group.g]\n" + ROOT + tmpfs("/a", 'id = "a"\npeer_group = "g"') + bind("/b", '{ mount = "a" }')
        + bind("/c", '"/data/dir"', 'mask = ["*"]')
    )  # fmt: skip
    assert dump_plan(plan_for(text)) == dump_plan(plan_for(text))


def test_every_step_names_the_part_of_the_spec_that_it_is_for() -> None:
    """Errors quote it, so each origin that is not the whole spec has a line."""
    plan = plan_for("[peer_group.g]\n" + ROOT + tmpfs("/a", 'peer_group = "g"\n[[mount.file]]\npath = "x"'))
    for step in plan.steps:
        assert step.origin == "" or plan.ref(step.origin).line > 0, step

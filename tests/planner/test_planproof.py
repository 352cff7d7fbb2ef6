"""A plan is proven to be one that may be carried out before it is: by its steps alone, without a host.

tests/kernel/test_plans.py holds the proof against the model and the kernel.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from random import Random
from time import process_time
from typing import Any

import pytest

from mountplan.planner.attributes import RDONLY
from mountplan.planner.errors import PlanRefused
from mountplan.planner.names import LeftOut
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Edge, ExpectedMount, ExpectedNamespace, Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.proof_parts import ProofMount
from mountplan.planner.plan.proof_values import all_plain, is_among, is_plain
from mountplan.planner.plan.step_effects import EFFECTS
from mountplan.planner.plan.steps import STEP_TYPES, YARD
from tests.planner.plans import node, shop, wide


@pytest.mark.parametrize("plan", [shop(), wide(3)], ids=lambda plan: plan.name)
def test_a_plan_as_the_planner_makes_it_is_proven(plan: Plan) -> None:
    prove(plan, "x.json")


def test_what_a_plan_leaves_out_is_read_back_as_it_was_written() -> None:
    plan = expected(left_out=(GONE, GONE._replace(name="/gone/on", target="/gone/on", upon="/gone")))
    assert plan == load_plan(dump_plan(plan), "x.json")


def test_every_kind_of_step_has_its_effects_written_down() -> None:
    assert set(STEP_TYPES) == set(EFFECTS)


def reasons(plan: Plan) -> str:
    with pytest.raises(PlanRefused) as caught:
        load_plan(dump_plan(plan).encode(), "x.json")
    (reason,) = caught.value.reasons
    assert reason.startswith("x.json: ")
    return reason


def test_a_refusal_names_the_file_the_step_its_place_and_the_remedy() -> None:
    assert (
        "x.json: step 24, attach /usr -> /:/../usr (shop.toml:15: mount[1]): there is no fs:/:/../usr\n"
        "  remedy: make it again with `mountplan plan SPEC -o FILE`"
    ) == reasons(alter(23, path="../usr"))


# ---- every rule, each with the smallest change that breaks it --------------------------------------------------------


def alter(at: int, **fields: Any) -> Plan:
    """The shop with other values in step `at` (from 0)."""
    steps = list(shop().steps)
    steps[at] = steps[at]._replace(**fields)
    return shop()._replace(steps=tuple(steps))


def drop(*at: int) -> Plan:
    return shop()._replace(steps=tuple(step for number, step in enumerate(shop().steps) if number not in at))


def put(at: int, *steps: s.Step) -> Plan:
    """The shop with steps before step `at`."""
    return shop()._replace(steps=(*STEPS[:at], *steps, *STEPS[at:]))


def move(at: int, to: int) -> Plan:
    """The shop with step `at` where step `to` was."""
    steps = list(shop().steps)
    steps.insert(to, steps.pop(at))
    return shop()._replace(steps=tuple(steps))


def promise(at: int, **fields: Any) -> Plan:
    """The shop with something else promised of a mount."""
    mounts = list(shop().expected.namespaces[0].mounts)
    mounts[at] = mounts[at]._replace(**fields)
    return promised(tuple(mounts))


def promised(mounts: tuple[ExpectedMount, ...]) -> Plan:
    return shop()._replace(expected=shop().expected._replace(namespaces=(ExpectedNamespace("", mounts),)))


def expected(**fields: Any) -> Plan:
    return shop()._replace(expected=shop().expected._replace(**fields))


def run(**fields: Any) -> Plan:
    return shop()._replace(run=shop().run._replace(**fields))


def image(**fields: Any) -> s.Step:
    return s.AttachImage("fs:i", "", "ext4", "/i.img", "", 0, 0, False, (), "")._replace(**fields)


STEPS: tuple[Any, ...] = shop().steps
MOUNTS = shop().expected.namespaces[0].mounts
FILESYSTEMS = shop().expected.filesystems
GROUPS = shop().expected.groups
GONE = LeftOut("/gone", shop().expected.namespaces[0].name, "/gone", "it cannot be made", "", "mount[9]")
IDMAP = s.MakeIdMap("m", ((0, 10, 1),), ((0, 10, 1),), "")

ROOT_AT = next(at for at, step in enumerate(STEPS) if step.kind == "attach")

SEED_AT = next(at for at, step in enumerate(STEPS) if step.kind == "make_seed" and step.filesystem == "host:0:43")

BROKEN: dict[str, tuple[Plan, str]] = {
    "the root attached where it stands": (put(ROOT_AT + 1, STEPS[ROOT_AT]), "/ is attached already"),
    # in what order
    "no first step": (drop(0), "a plan begins with unshare_namespace"),
    "a second namespace": (put(5, STEPS[0]), "it cannot come while the tree is built"),
    "yard before private": (move(3, 2), "it must come after make_private"),
    "mount before yard": (move(3, 6), "it must come after make_yard"),
    "group of the host too late": (move(1, 4), "it cannot come while the tree is built"),
    "clone of the host too early": (move(21, 1), "it must come after make_private"),
    "mount after the root": (move(53, 45), "it cannot come after enter_root"),
    "no root": (drop(53, 54, 55), "it ends while the tree is built"),
    "no end": (drop(55), "it ends after enter_root"),
    "another namespace": (alter(55, namespace="b"), "the namespace that is open is the one without a name"),
    "one namespace more": (put(56, s.OpenNamespace("b", False, "")), "this is one more"),
    # images, and what there is of the host
    "a part that no file has": (put(5, image(offset=1 << 63)), "no file has such a part"),
    "a part before the file": (put(5, image(size=-1)), "no file has such a part"),
    "an image of what is in none": (put(5, image(fstype="tmpfs")), "a tmpfs is in no image"),
    "an image that is not written": (put(5, image(read_only=True)), "it is read-only if, and only if"),
    "a relative image": (put(5, image(image="i.img")), "is not absolute"),
    "a seed out of its filesystem": (alter(SEED_AT, path="../in"), "is no plain relative path"),
    "a relative workbench": (put(5, s.CloneHostWorkbench("host:x", "srv", "", "")), "is not absolute"),
    # handles
    "never made": (drop(25), "data is used before it is made"),
    "made twice": (put(26, STEPS[25]), "data is the name of a mount already"),
    "made under another's name": (put(26, STEPS[25]._replace(mount="fs:data")), "the name of a filesystem already"),
    "the yard's name": (alter(25, mount=YARD), "cannot be a name"),
    "a seed for a mount": (alter(26, mount="seed:data"), "seed:data is a seed, not a mount"),
    "a mount for a seed": (alter(35, seed="data"), "data is a mount, not a seed"),
    "a mount for a filesystem": (alter(25, filesystem="/"), "/ is a mount, not a filesystem"),
    "no workbench": (alter(25, filesystem="fs:/"), "fs:/ has no workbench"),
    "used after its release": (move(36, 27), "data is used after its release"),
    "released twice": (put(37, STEPS[36]), "data is not held by a descriptor"),
    "released in the yard": (put(37, s.Release("seed:data", "")), "seed:data is not held by a descriptor"),
    "released before it stands": (move(24, 22), "/usr is not attached"),
    "root released": (move(54, 53), "/ is still to be entered"),
    "never released": (drop(24), "/usr is never released"),
    "an id-mapping never released": (put(2, IDMAP), "m is never released"),
    "a seed never released": (alter(9, parked=False), "seed:data is never released"),
    # what is made and removed
    "a node in a host's mount": (put(22, node("/usr", "x", "")), "nothing but empty mountpoints"),
    "a node in the host's workbench": (put(22, node("host:0:43", "x", "")), "a plan may not do that there"),
    "a node that nothing is mounted on": (
        put(22, node("/usr", "x", "")._replace(existing=True, careful=True)),
        "mounts nothing there",
    ),
    "a node in a clone": (put(26, node("data", "x", "")), "made before mounts are cloned"),
    "a node below what is attached": (put(21, node("/", "x", "")), "the path may lead into another mount"),
    "a node with a long name": (put(8, node("fs:data", "x" * 5000, "")), "is 5,000 bytes long"),
    "a node with a long name of few letters": (put(8, node("fs:data", "é" * 200, "")), "has a name of 400 bytes in it"),
    "a symlink with a long text": (
        put(8, node("fs:data", "x", "", "symlink")._replace(link="x" * 5000)),
        "is longer than the 4095 bytes that symlink",
    ),
    "a long path of the host": (alter(21, path="/" + "x/" * 2047 + "xx"), "is 4,097 bytes long"),
    "a node above": (alter(13, path="../usr"), "no plain relative path"),
    "an absolute node": (alter(13, path="/usr"), "/usr is absolute"),
    "a node twice": (put(14, STEPS[13]), "is made twice"),
    "a node without a directory": (drop(14), "fs:/:/srv is not there"),
    "a node in a file": (put(8, node("fs:data", "incoming/README/x", "")), "is file, so nothing can be made in it"),
    "a careful node in our own": (alter(13, careful=True), "nothing is there before"),
    "a careless node in what is not known": (put(50, node("/opt", "x", "")), "a path may lead out of it"),
    "a node in what the kernel fills": (
        put(13, s.MakeFilesystem("p", "", "proc", "proc", (), ""), node("p", "x", "")),
        "p is a proc",
    ),
    "removal from a host's": (put(52, s.RemoveNode("host:0:43", "a", "")), "host:0:43 is the host's"),
    "removal of a mountpoint": (
        put(53, s.RemoveNode("fs:data", "deep", "")),
        "it removes what /srv/data/deep stands on",
    ),
    "removal of nothing": (put(53, s.RemoveNode("fs:data", "no", "")), "there is no fs:data:/no"),
    "removal of what is no root": (
        put(53, s.RemoveNode("fs:data", "incoming/README", "")),
        "of which no mount is made",
    ),
    "removal of a root": (put(53, s.RemoveNode("fs:data", "incoming", "")), "'/incoming//deleted'"),
    "a node in what is sealed": (
        put(6, s.SealFilesystem("fs:data", "")),
        "fs:data is read-only by now",
    ),
    "a host's filesystem sealed": (put(52, s.SealFilesystem("host:0:43", "")), "others than the plan may see it"),
    "an overlay sealed": (put(50, s.SealFilesystem("/opt", "")), "others than the plan may see it"),
    "contents in what is not empty": (put(8, s.CopyContents("fs:data", "/srv", "")), "a new and empty tmpfs"),
    # values
    "NUL in a path": (alter(13, path="a\0b"), "contains a NUL character"),
    "no bytes": (alter(13, path="a\ud800"), "has a lone surrogate"),
    "a mode": (alter(13, mode=0o10000), "is no file mode"),
    "an owner": (alter(13, uid=2**32 - 1), "its owner is out of range"),
    "a device that is none": (alter(13, device=(1, 3)), "it is no device"),
    "a device number": (alter(13, node="char", device=(4096, 0)), "its device number is out of range"),
    "contents of a directory": (alter(13, content="x"), "contents that it cannot have"),
    "a copy from a relative path": (alter(7, content="", source="etc/passwd"), "is not absolute"),
    "a symlink to nowhere": (alter(13, node="symlink"), "a symlink, and nothing else"),
    "a type": (alter(5, fstype="no such"), "is no filesystem type"),
    "an overlay by another way": (alter(5, fstype="overlay"), "an overlay is made by make_overlay"),
    "NUL in a source": (alter(5, source="a\0"), "contains a NUL character"),
    "another source": (alter(5, source=""), "it promises fs:data as"),
    "an option that is a field": (alter(5, options=(("source", "/dev/sda"),)), "'source' is no option"),
    "an option with its value in its name": (alter(5, options=(("size=1m", True),)), "'size=1m' is no option"),
    "a false option": (alter(5, options=(("ro", False),)), "option ro is false"),
    "an option too long": (alter(5, options=(("size", "1" * 256),)), "longer than the 255 bytes"),
    "a relative path on the host": (alter(21, path="usr"), "is not absolute"),
    "a path with dots on the host": (alter(21, path="/usr/../etc"), "no plain relative path"),
    "ids that overlap": (put(2, IDMAP._replace(uids=((0, 1, 2), (0, 9, 1)))), "both map id 0"),
    "ids out of range": (put(2, IDMAP._replace(gids=((0, 2**32, 1),))), "goes beyond"),
    "no ids": (put(2, IDMAP._replace(gids=())), "1 to 340 lines"),
    "one superblock twice": (
        put(12, *(s.MakeFilesystem(name, "", "sysfs", "sysfs", (), "") for name in "ab")),
        "there is one sysfs",
    ),
    # overlays
    "a layer through nothing": (
        alter(49, layers=(s.Layer("", "/usr", "fs:data"), s.Layer("", "/opt"))),
        "not an id-mapping",
    ),
    "half an upper layer": (alter(49, upper=s.Layer("fs:data", "deep")), "go together"),
    "one layer": (alter(49, layers=(s.Layer("", "/usr"),)), "too few layers"),
    "a layer twice": (alter(49, layers=(s.Layer("", "/usr"),) * 2), "a directory twice"),
    "a layer that is not there": (alter(49, layers=(s.Layer("", "/usr"), s.Layer("fs:data", "no"))), "there is no"),
    "a layer of a mount": (alter(49, layers=(s.Layer("", "/usr"), s.Layer("data", ""))), "not a filesystem"),
    # attributes
    "words that do not fit": (alter(22, set=RDONLY), "its words are not what it does"),
    "words that are none": (alter(22, words="bogus"), "'bogus' is no attribute"),
    "recursive for one mount": (alter(28, recursive=True), "it is recursive, and must not be"),
    "attributes after attaching": (move(22, 23), "it would lack its attributes for a moment"),
    "an id-mapping that is none": (alter(22, words="ro,nosuid,idmap", id_map="fs:data"), "not an id-mapping"),
    # the tree
    "a path that is not there": (alter(26, path="srv/no"), "there is no fs:/:/srv/no"),
    "a directory on a file": (
        put(30, STEPS[25]._replace(mount="f"), s.Attach("f", "data", "incoming/README", False, False, "")),
        "a directory cannot be mounted on a file",
    ),
    "a careless walk on the host": (
        put(27, STEPS[25]._replace(mount="f"), s.Attach("f", "/usr", "bin", False, True, "")),
        "/usr is used after its release",
    ),
    "twice on one place": (alter(38, path="srv/data"), "is covered by then"),
    "below a cover": (
        put(47, STEPS[25]._replace(mount="f"), s.Attach("f", "/", "feed/x", False, False, "")),
        "is covered by then",
    ),
    "onto what passes it on": (
        move(35, 27),
        "data is in a sharing group by now: what is attached to it is copied to all its peers",
    ),
    "into nowhere": (alter(20, path="elsewhere"), "there is no elsewhere in the yard"),
    "another top": (alter(53, top="data"), "the topmost mount on the root is /"),
    "a base that is none": (alter(53, based=True), "if, and only if, there is a base"),
    # groups
    "a seed of another filesystem": (alter(35, seed="seed:slaves of feed"), "is of another filesystem"),
    "a second group": (put(36, s.JoinGroup("seed:copies", "data", "")), "is not private any more"),
    "unbindable in a group": (put(33, s.JoinGroup("seed:data", "/srv/data/deep#2", "")), "is not private any more"),
    "a master without a group": (alter(10, master="seed:slaves of feed"), "used before it is made"),
    "a master of another filesystem": (alter(10, master="seed:feed"), "is of another filesystem"),
    "neither shared nor slave": (alter(9, shared=False), "neither shared nor a slave"),
    "an orphan without a base": (
        shop()._replace(
            steps=tuple(step for number, step in enumerate(shop().steps) if number not in (35, 39)),
            edges=tuple(edge for edge in shop().edges if edge.kind != "group"),
        ),
        "groups without a member need a base that keeps them: seed:data",
    ),
    # what it says of itself
    "a mount that is not made": (promised((*MOUNTS, MOUNTS[1]._replace(name="x"))), "which its steps do not make"),
    "a mount that is not promised": (promised(MOUNTS[:-1]), "which it does not promise"),
    "a child before its parent": (
        promised((MOUNTS[0], MOUNTS[6], *MOUNTS[1:6], *MOUNTS[7:])),
        "before what it stands on",
    ),
    "a promised twice": (promised((*MOUNTS, MOUNTS[1])), "which its steps do not make"),
    **{
        f"promised {field}": (promise(at, **{field: value}), f"it promises {field} ")
        for at, field, value in (
            (2, "place", "/srv/peer"),
            (6, "parent", "/"),
            (2, "filesystem", "fs:/"),
            (4, "root", "/"),
            (1, "root", "/etc"),
            (1, "recursive", False),
            (1, "recursive_attributes", False),
            (1, "set", 0),
            (5, "clear", RDONLY),
            (2, "idmapped", True),
            (7, "unbindable", False),
            (3, "group", ""),
            (5, "master", ""),
            (1, "inherits", "slave"),
            (1, "brings", "peer"),
        )
    },
    "a filesystem that is not made": (
        expected(filesystems=(*FILESYSTEMS, FILESYSTEMS[0]._replace(name="x"))),
        "filesystem x, which its steps do not make",
    ),
    "a filesystem that is not promised": (expected(filesystems=FILESYSTEMS[1:]), "which it does not promise"),
    "other options": (
        expected(filesystems=(FILESYSTEMS[0]._replace(options=()), *FILESYSTEMS[1:])),
        "promises fs:/ as",
    ),
    "a group that is not made": (expected(groups=(*GROUPS, GROUPS[1]._replace(name="x"))), "promises group x"),
    "a group that is not promised": (expected(groups=GROUPS[1:]), "a group that it does not promise"),
    "a group twice": (expected(groups=(*GROUPS, GROUPS[1])), "promises a group twice"),
    "another master": (expected(groups=(*GROUPS[:2], GROUPS[2]._replace(master=""))), "otherwise than its steps"),
    "a host's group of ours": (expected(groups=(GROUPS[0]._replace(host=""), *GROUPS[1:])), "otherwise than its steps"),
    "left out and built": (expected(left_out=(GONE._replace(name="/usr"),)), "leaves '/usr' out, which it builds"),
    "left out twice": (expected(left_out=(GONE, GONE)), "or leaves out twice"),
    "left out of nothing": (expected(left_out=(GONE._replace(namespace="x"),)), "which it does not build"),
    "left out without a reason": (expected(left_out=(GONE._replace(reason=""),)), "without a reason"),
    "left out nowhere": (expected(left_out=(GONE._replace(target="x"),)), "is not absolute"),
    "left out with a NUL": (expected(left_out=(GONE._replace(reason="\0"),)), "contains a NUL character"),
    "no namespace": (expected(namespaces=()), "it cannot come before a namespace is open"),
    "a name": (shop()._replace(name="a/b"), "is no name"),
    "a file": (shop()._replace(file="a\0"), "contains a NUL character"),
    **{
        f"an edge: {edge.kind}": (shop()._replace(edges=(edge,)), "its edges say")
        for edge in (
            Edge("/usr", "/", "parent"),
            Edge("/", "/usr", "stack"),
            Edge("/", "/usr", "deeper_first"),
            Edge("fs:/", "/usr", "workbench"),
            Edge("host:0:43", "/opt", "layer"),
            Edge("host:0:43", "seed:data", "source"),
            Edge("seed:feed", "seed:data", "master"),
            Edge("seed:data", "/usr", "group"),
            Edge("no", "no", "parent"),
        )
    },
    # [run]
    "NUL in an argument": (run(command=("a\0",)), "contains a NUL character"),
    "NUL in the environment": (run(environment=(("A", "\0"),)), "contains a NUL character"),
    "an unnamed variable": (run(environment=(("A=B", ""),)), "cannot name an environment variable"),
    "a variable twice": (run(environment=(("A", ""), ("A", "b"))), "a variable is set twice"),
    "a relative directory": (run(cwd="srv"), "is not absolute"),
    "a host name of the machine": (run(hostname="x"), "the whole machine's"),
    "a long host name": (run(hostname="x" * 65, unshare=("uts",)), "longer than 64 bytes"),
    "a kind of namespace": (run(unshare=("mnt",)), "are not kinds of namespaces"),
    "a capability": (run(capabilities=("CAP_ALL",)), "there is no 'CAP_ALL'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_plan_may_be_is_refused_with_its_reason(name: str) -> None:
    plan, reason = BROKEN[name]
    assert reason in reasons(plan)


OWNED = """format = 1
[[namespace]]
name = "inside"
user = { uids = [[0, 1000, 100]], gids = [[0, 2000, 100]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
id = "top"
target = "/top"
type = "tmpfs"
locked = "attributes"
[[namespace.mount]]
id = "on"
target = "/top/on"
type = "tmpfs"
locked = true
[[namespace.mount]]
target = "/top/on/free"
type = "tmpfs"
"""


@cache
def owned() -> Plan:
    """A namespace of another user, with what is locked in it."""
    from mountplan import api
    from mountplan.planner.language.spec_reading import parse_spec
    from tests.fakes import FakeHost

    return api.plan(parse_spec(OWNED.encode(), "owned.toml"), FakeHost())


def first(kind: str) -> int:
    return next(at for at, step in enumerate(owned().steps) if step.kind == kind)


def with_other(kind: str, **fields: Any) -> list[s.Step]:
    steps = list(owned().steps)
    steps[first(kind)] = steps[first(kind)]._replace(**fields)
    return steps


def with_two(kind: str) -> list[s.Step]:
    steps = list(owned().steps)
    steps.insert(first(kind), steps[first(kind)])
    return steps


def without(*unwanted: s.Step) -> list[s.Step]:
    return [step for step in owned().steps if step not in unwanted]


BROKEN_OWNED: dict[str, tuple[Callable[[], list[s.Step]], str]] = {
    "a stage twice": (lambda: with_two("make_stage"), "it has a stage already"),
    "a copy without a stage": (
        lambda: [*owned().steps[: first("make_stage")], *owned().steps[first("own_namespace") :]],
        "it has no stage (any more)",
    ),
    "a copy twice": (lambda: with_two("own_namespace"), "it has no stage (any more)"),
    "another user's copy": (lambda: with_other("own_namespace", user=""), "promises that it belongs to user:inside"),
    "what is held is copied": (
        lambda: without(s.Release("top", "namespace[0].mount[1]")),
        "top is held by a descriptor, and another one in the copy",
    ),
    "taken from another place": (
        lambda: with_other("take_locked", place="locked1"),
        "top does not stand on the stage at locked1",
    ),
    "found at another place": (lambda: with_other("find_locked", path="of"), "on does not stand on top at of"),
    "found twice": (lambda: with_two("find_locked"), "on is held by a descriptor already, or was never locked"),
    "found on what is not locked": (lambda: with_other("find_locked", mount="inside:/"), "does not stand in the copy"),
    "a user namespace in none": (
        lambda: with_other("make_user_namespace", within="user:x"),
        "user:x is used before it is made",
    ),
}


def test_a_plan_for_another_user_is_proven() -> None:
    prove(owned(), "x.json")


@pytest.mark.parametrize("name", BROKEN_OWNED)
def test_what_no_plan_for_another_user_may_be_is_refused_with_its_reason(name: str) -> None:
    steps, reason = BROKEN_OWNED[name]
    assert reason in reasons(owned()._replace(steps=tuple(steps())))


# ---- what it costs ---------------------------------------------------------------------------------------------------


def _seconds(work: Callable[[], object]) -> float:
    begin = process_time()
    work()
    return process_time() - begin


def test_the_proof_costs_the_same_for_each_mount() -> None:
    """A few look-ups a step, whatever is before it. Ten times the mounts may take twenty times as long."""
    few, many = wide(500), wide(5000)
    once = min(_seconds(lambda: prove(few, "x")) for _ in range(5))
    assert any(_seconds(lambda: prove(many, "x")) < 20 * once for _ in range(3))


def test_the_proof_of_a_plan_needs_nothing_heavy() -> None:
    """Start-up counts; what judges a rare value is loaded only if there is one."""
    code = (
        "import sys; from mountplan.planner.plan.proof import prove\n"
        "print(*{'pydantic', 'networkx', 'dataclasses', 'mountplan.planner.language.values'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\n" == done.stdout


@pytest.mark.parametrize("seed", range(30))
def test_what_is_covered_is_so_whatever_was_asked_before(seed: int) -> None:
    """Directories that nothing covers are remembered, until something is attached to one of them."""
    random = Random(seed)
    mount = ProofMount("m", None, "/", None)
    seen = [False, False]
    for _ in range(60):
        path = "/".join(random.choices("abc", k=random.randrange(1, 6))) if random.random() < 0.97 else ""
        covered = is_among(mount.places, path)
        assert covered == mount.is_covered(path)
        seen[covered] = True
        if random.random() < 0.2:
            mount.attach(path, ProofMount(path, None, "/", None))
    assert [True, True] == seen


@pytest.mark.parametrize(
    "text",
    ["a", "a" * 255, "a" * 256, "a/b", ".a", "a/.", "..", "a/../b", "a//b", "a/", "é", "a\0b", "a\0/b", "", "a.b/c"],
)
def test_paths_are_plain_together_if_each_is(text: str) -> None:
    for others in ([], ["/x", "/y/z"]):
        assert is_plain(text) == all_plain([*others, f"/{text}", *others])
        assert is_plain(text) == all_plain([*(one[1:] for one in others), text], "/")

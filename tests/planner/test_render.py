"""What people read of a plan: the preview, the reasons, the pictures, the errors."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountplan.planner import errors
from mountplan.planner.attributes import NAMES, NODEV, NOSUID, RDONLY, change
from mountplan.planner.capture.captured import Caution
from mountplan.planner.compare.difference import Difference
from mountplan.planner.errors import (
    Aftermath,
    Mistake,
    MountplanError,
    PlanFileError,
    PlanRefused,
    SpecError,
    SpecRef,
    StepRefused,
    TableError,
    VerificationFailed,
)
from mountplan.planner.plan.plan import Edge, Expected, ExpectedGroup, ExpectedNamespace, Plan
from mountplan.planner.plan.steps import STEP_TYPES
from mountplan.planner.render.dot import plan_dot
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.mermaid import plan_mermaid
from mountplan.planner.render.outline import outline
from mountplan.planner.render.preview import plan_text
from mountplan.planner.render.problems import cautions_text, error_data, error_text
from mountplan.planner.render.reasons import METHOD
from mountplan.planner.render.table_text import group_names, table_lines, table_text
from mountplan.planner.render.why import why_data, why_text
from mountplan.planner.render.words import attribute_words, count, listed, visible, visible_lines, width
from mountplan.planner.tables.table import MountRow, MountTable
from tests.planner.plans import mount, shop, wide

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name: str, text: str) -> None:
    """The text is as the file in tests/golden has it. With MOUNTPLAN_WRITE_GOLDEN=1 the file is written instead."""
    path = GOLDEN / name
    if os.environ.get("MOUNTPLAN_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def row(number: int, parent: int, place: str, **more: object) -> MountRow:
    base = MountRow(number, parent, "0:5", "/", place, "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    return base._replace(**more)  # type: ignore[arg-type]


def bare(mounts: tuple[object, ...], groups: tuple[ExpectedGroup, ...] = ()) -> Plan:
    """A plan of which only the tree is looked at."""
    namespace = ExpectedNamespace("", mounts)  # type: ignore[arg-type]
    return shop()._replace(steps=(), edges=(), requirements=(), expected=Expected((namespace,), (), groups))


# ---- the preview ----------------------------------------------------------------------------------------------------


def test_the_preview_of_a_plan_with_everything_in_it() -> None:
    golden("shop.txt", plan_text(shop()))


def test_the_preview_with_its_steps() -> None:
    golden("shop-steps.txt", plan_text(shop(), steps=True))


def test_the_preview_with_everything_shown() -> None:
    golden("shop-all.txt", plan_text(shop(), steps=True, everything=True))


def test_the_preview_of_a_thousand_mounts_fits_on_two_screens() -> None:
    text = plan_text(wide(1000), steps=True)
    golden("wide.txt", text)
    assert len(text.splitlines()) < 60


def test_a_plan_that_a_few_screens_hold_is_not_folded() -> None:
    """Ten mounts alike are easier to read than a line that says so."""
    assert "more" not in plan_text(wide(11), steps=True)


def test_all_shows_every_mount_and_every_step() -> None:
    text = plan_text(wide(300), steps=True, everything=True)
    assert "more" not in text
    assert {f"m/{number:05d}" for number in range(1, 301)} <= set(re.findall(r"─(m/\d{5})  ", text))
    assert {str(number) for number in range(1, len(wide(300).steps) + 1)} <= set(re.findall(r"^ +(\d+)  ", text, re.M))


@pytest.mark.parametrize(
    "render",
    [plan_text, lambda plan: plan_text(plan, steps=True, everything=True, room=80), plan_dot, plan_mermaid],
    ids=["text", "everything", "dot", "mermaid"],
)
def test_rendering_is_linear(render: Callable[[Plan], str]) -> None:
    """Four times the mounts take about four times as long; sixteen times would be the square."""

    def seconds(plan: Plan) -> float:
        begun = time.process_time()
        render(plan)
        return time.process_time() - begun

    small, large = wide(500), wide(2000)
    seconds(small)  # what the first one alone has to do
    least = min(seconds(small) for _ in range(3))
    assert any(seconds(large) < 10 * max(least, 0.002) for _ in range(3))


def test_a_deep_chain_is_linear_too() -> None:
    """Paths and indentation both grow with the depth: written out in full, 3,000 levels would be 30 MB."""
    chain = [mount("/", "", "")]
    for number in range(3000):
        chain.append(mount(f"m{number}", chain[-1].name, "/d"))
    text = plan_text(bare(tuple(chain)), everything=True)
    assert len(text) < 3000 * 150
    assert text.count("\n") > 3000


def test_the_same_plan_gives_the_same_text() -> None:
    assert plan_text(shop()) == plan_text(shop())


def test_steps_that_repeat_in_no_rounds_are_cut_all_the_same() -> None:
    """Mounts that take turns without a period are not folded, but ten thousand lines are not printed either."""
    steps = [step for step in shop().steps[12:] if step.kind in ("attach", "join_group", "clone_mount")]
    noise = random.Random(4).choices(steps, k=2000)
    text = plan_text(shop()._replace(steps=(*shop().steps[:21], *noise)), steps=True)
    assert "more step" in text
    assert len(text.splitlines()) < 260


def test_a_name_never_reaches_the_terminal_as_it_is() -> None:
    """Escape sequences, newlines, turned writing directions and broken bytes in paths are written out."""
    nasty = "/a\x1b[31m\n\u202eb" + os.fsdecode(b"\xff")
    plan = bare((mount("/", "", ""), mount(nasty, root=nasty)))._replace(name="x\x07", file="s\r.toml")
    for text in (plan_text(plan), plan_dot(plan), plan_mermaid(plan)):
        assert not set(text) & {"\x1b", "\u202e", "\x07", "\r", "\udcff"}
        text.encode("utf-8")
    assert r"/a\x1b[31m\n\u202eb\xff" in plan_text(plan)


# ---- tree and sharing -----------------------------------------------------------------------------------------------


def index_of(*mounts: object) -> PlanIndex:
    return PlanIndex(bare(mounts))


def test_a_mount_over_an_ancestor_hides_what_stands_deeper_on_the_same_parent() -> None:
    index = index_of(mount("/", "", ""), mount("/a/b/c"), mount("/a"), mount("/ab"))
    assert {"/a/b/c": "/a"} == index.hidden_by


def test_what_stands_on_a_hidden_mount_is_hidden_with_it() -> None:
    index = index_of(mount("/", "", ""), mount("/a/b"), mount("in", "/a/b", "/in"), mount("/a"))
    assert {"/a/b": "/a", "in": "/a"} == index.hidden_by


def test_a_stacked_mount_covers_the_one_below_and_hides_all_else_on_it() -> None:
    index = index_of(mount("/", "", ""), mount("low"), mount("low/x", "low", "/x"), mount("high", "low", ""))
    assert {"low": "high"} == index.covered_by
    assert {"low/x": "high"} == index.hidden_by
    assert index.where["low"] == index.where["high"]


def test_siblings_are_in_path_order_and_the_stacked_one_is_last() -> None:
    names = ["/b", "/a-1", "/a", "/a/x"]
    index = index_of(mount("/", "", ""), mount("top", "/", ""), *map(mount, names))
    assert ["/a", "/a/x", "/a-1", "/b", "top"] == [one.name for one in index.children["/"]]


def test_nothing_shared_is_said_in_one_line() -> None:
    text = plan_text(bare((mount("/", "", ""),)))
    assert "Every mount is private: nothing propagates. Nothing crosses the border to the host." in text


def test_groups_without_a_host_cross_no_border() -> None:
    group = ExpectedGroup("g", "", "", "")
    text = plan_text(bare((mount("/", "", ""), mount("/a", group="g")), (group,)))
    assert "one member: /a" in text
    assert "Nothing crosses the border to the host." in text


def test_a_member_of_a_host_group_crosses_both_ways() -> None:
    group = ExpectedGroup("g", "", "/srv/feed", "")
    text = plan_text(bare((mount("/", "", ""), mount("/a", group="g")), (group,)))
    assert "mounts below /srv/feed cross both ways: between the host and /a" in text


def test_what_arrives_goes_down_any_chain_of_masters() -> None:
    groups = (
        ExpectedGroup("top", "", "/srv/feed", ""),
        ExpectedGroup("middle", "top", "", ""),
        ExpectedGroup("low", "middle", "", ""),
    )
    mounts = (
        mount("/", "", ""),
        mount("/m", group="middle", master="top"),
        mount("/l", group="low", master="middle"),
        mount("/s", master="low"),
    )
    text = plan_text(bare(mounts, groups))
    assert "mounts made on the host below /srv/feed arrive in /m, /l, /s; none leaves" in text


def test_thousands_of_groups_are_folded() -> None:
    groups = tuple(ExpectedGroup(f"g{number}", "", "", "") for number in range(1000))
    mounts = (mount("/", "", ""), *(mount(f"/m{number}", group=f"g{number}") for number in range(1000)))
    assert "... 976 more groups (--all shows them)" in plan_text(bare(mounts, groups))
    assert "g999" in plan_text(bare(mounts, groups), everything=True)


def test_several_namespaces_are_told_apart() -> None:
    one = ExpectedNamespace("web", (mount("web:/", "", "", group="g"),))
    two = ExpectedNamespace("db", (mount("db:/", "", "", group="g"),))
    plan = shop()._replace(expected=Expected((one, two), (), (ExpectedGroup("g", "", "", ""),)), steps=(), edges=())
    text = plan_text(plan)
    assert "Tree of namespace web" in text
    assert "peers: web:/, db:/" in text
    assert "subgraph cluster_1" in plan_dot(plan)
    assert 'subgraph n1["db"]' in plan_mermaid(plan)


# ---- reasons --------------------------------------------------------------------------------------------------------


def test_every_kind_of_step_has_a_reason() -> None:
    kinds = {cls._field_defaults["kind"] for cls in STEP_TYPES}
    assert set() == kinds - set(METHOD)
    assert set() == set(METHOD) - kinds


def test_why_tells_the_whole_chain_of_a_step() -> None:
    golden("shop-why-36.txt", why_text(shop(), "36"))


@pytest.mark.parametrize("wanted", ["/srv/peer", "mount[3]", "/srv//peer/"])
def test_why_takes_a_mountpoint_and_a_key_path(wanted: str) -> None:
    text = why_text(shop(), wanted)
    assert ["38", "39", "40"] == re.findall(r"^Step (\d+) of 56", text, re.M)[-3:]
    assert "written at shop.toml:25: mount[3]" in text


def test_why_takes_an_id_and_means_mount_filesystem_and_seed() -> None:
    text = why_text(shop(), "data")
    assert "Step 6 of 56: new tmpfs fs:data" in text
    assert "Step 10 of 56: make seed:data" in text
    assert "Step 27 of 56: attach data" in text


def test_why_tells_which_deeper_mount_goes_first() -> None:
    plan = wide(3)
    plan = plan._replace(edges=(*plan.edges, Edge("/m/00001", "/m/00003", "deeper_first")))
    number = next(at for at, step in enumerate(plan.steps, 1) if step.describe() == "attach /m/00003 -> /:/m/00003")
    text = why_text(plan, str(number))
    assert "/m/00003 covers the mountpoint of /m/00001, which no path walk reaches afterwards" in text
    assert "covers /m/00001, attached in" in plan_text(plan, steps=True)


@pytest.mark.parametrize("wanted", ["0", "57", "9" * 30, "/srv/pear", "nothing like it", ""])
def test_why_of_an_unknown_step_helps_on(wanted: str) -> None:
    with pytest.raises(LookupError, match=r"steps 1 to 56|did you mean '/srv/peer'|name a step number"):
        why_text(shop(), wanted)


def test_why_of_a_step_that_all_else_waits_for_stays_short() -> None:
    number = next(at for at, step in enumerate(wide(5000).steps, 1) if step.kind == "attach")
    text = why_text(wide(5000), str(number))
    assert "... and 4,992 more that wait for it" in text
    assert len(text.splitlines()) < 30


def test_why_as_data_is_json() -> None:
    (answer,) = json.loads(json.dumps(why_data(shop(), "39")))
    assert 39 == answer["number"]
    assert {"file": "shop.toml", "key": "mount[3]", "line": 25} == answer["origin"]
    assert {"depth": 0, "number": 21, "step": "attach / -> @yard:/root"}.items() <= answer["after"][2].items()


# ---- tables ---------------------------------------------------------------------------------------------------------


def shop_table() -> MountTable:
    """What a kernel would show of the shop; numbers as they come."""
    return MountTable(
        (
            row(20, 1, "/"),
            row(21, 20, "/usr", fstype="ext4", source="/dev/vda", root="/usr", attributes="ro,nosuid,relatime"),
            row(22, 20, "/srv/data", peer_group=77),
            row(25, 22, "/srv/data/deep", attributes="rw,noexec,relatime"),
            row(26, 25, "/srv/data/deep", unbindable=True),
            row(23, 20, "/srv/peer", peer_group=77),
            row(24, 20, "/srv/replica", root="/incoming", peer_group=78, master=77),
            row(27, 20, "/feed", master=5, source="feed", root="/x y"),
            row(28, 20, "/opt", peer_group=99, propagate_from=3),
        )
    )


def test_group_ids_get_the_names_of_the_spec() -> None:
    assert {77: "data", 78: "copies", 5: "feed"} == group_names(shop(), "", shop_table())


def test_a_table_is_shown_as_a_tree_with_names() -> None:
    golden("shop-table.txt", table_text(shop(), (("", shop_table()),), everything=True))


def test_a_table_that_has_nothing_to_do_with_the_plan_is_shown_all_the_same() -> None:
    strange = MountTable((row(3, 2, "/x", peer_group=4), row(2, 3, "/y")))
    assert {} == group_names(shop(), "", MountTable(()))
    assert {} == group_names(shop(), "other", shop_table())
    assert "TARGET" in table_text(shop(), (("", strange), ("b", MountTable(()))))


def test_a_long_table_is_folded() -> None:
    rows = [row(1, 0, "/"), *(row(number, 1, f"/m{number:04d}") for number in range(2, 1002))]
    text = table_text(shop(), (("", MountTable(tuple(rows))),))
    assert ": 991 more mounts (--all shows them)" in text
    assert 12 == len(text.splitlines())


@pytest.mark.parametrize(
    ("room", "told"),
    [
        (None, "... /pods/pod-0010-of-a-long-name/token to /pods/pod-0998-of-a-long-name/token: 989 more mounts"),
        (110, "... pod-0010-of-a-long-name/token to pod-0998-of-a-long-name/token: 989 more mounts (--all shows them)"),
        (80, "... pod-0010-of-a-l… to pod-0998-of-a-l…: 989 more mounts (--all shows them)"),
        (60, "... 989 more mounts (--all shows them)"),
        (40, "├─... 989 more mounts"),
    ],
)
def test_what_is_folded_is_told_in_one_row_of_the_screen(room: int | None, told: str) -> None:
    """By what the first and the last of them differ in, if there is room for that much."""
    pods = (row(number, 2, f"/pods/pod-{number:04d}-of-a-long-name/token") for number in range(3, 1001))
    lines = table_lines(MountTable((row(1, 0, "/"), row(2, 1, "/pods"), *pods)), {}, fold=True, room=room)
    (line,) = [line for line in lines if "more mounts" in line]
    assert told in line
    assert room is None or max(map(len, lines)) <= room


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_the_picture_for_graphviz() -> None:
    golden("shop.dot", plan_dot(shop()))


def test_the_picture_for_mermaid() -> None:
    golden("shop.mmd", plan_mermaid(shop()))


def test_quotes_and_backslashes_end_no_label() -> None:
    plan = bare((mount("/", "", ""), mount('/a"]; x\\N -->#quot;<b>', root="/")))
    assert r'm1 [label="/a\"]; x\\N -->#quot;<b>\nhost:/"];' in plan_dot(plan)
    assert 'm1["/a#34;#93;#59; x#92;N --#62;#35;quot#59;#60;b#62;<br/>host:/"]' in plan_mermaid(plan)


def test_peers_in_one_namespace_are_a_cluster_and_elsewhere_n_peers_take_n_lines() -> None:
    mounts = (mount("/", "", ""), *(mount(f"/m{number}", group="g") for number in range(50)))
    plan = bare(mounts, (ExpectedGroup("g", "", "", ""),))
    assert (0, 1) == (plan_dot(plan).count("dir=none"), plan_dot(plan).count("subgraph cluster_g0 {"))
    assert 1 == plan_mermaid(plan).count("subgraph g0c")
    other = ExpectedNamespace("other", (mount("o", "", ""), mount("/o", "o", "/o", group="g")))
    both = plan._replace(expected=plan.expected._replace(namespaces=(*plan.expected.namespaces, other)))
    assert (51, 0) == (plan_dot(both).count("dir=none"), plan_dot(both).count("cluster_g0"))


# ---- errors ---------------------------------------------------------------------------------------------------------

REF = SpecRef("shop.toml", "mount[2].bind", 22)


def test_mistakes_begin_with_the_place_that_editors_jump_to() -> None:
    error = SpecError(
        (Mistake(REF, "there is no such path", "make it"), Mistake(SpecRef("shop.toml", ""), "empty", ""))
    )
    assert "shop.toml:22: mount[2].bind: there is no such path\n  remedy: make it\nshop.toml: empty" == error_text(
        error
    )
    data = error_data(error)
    assert {"code": "spec", "exit_status": 2, "message": "2 mistakes in the spec"}.items() <= data.items()
    assert {
        "file": "shop.toml",
        "line": 22,
        "key": "mount[2].bind",
        "what": "there is no such path",
        "remedy": "make it",
    } == data["mistakes"][0]


def test_a_refused_step_tells_the_step_the_call_the_filesystem_and_the_remedy() -> None:
    error = StepRefused(
        number=44, step="new overlay /opt", origin=SpecRef("shop.toml", "mount[8]", 50), syscall="fsconfig",
        errno=22, meaning="invalid argument", remedy="give it two layers", log=("overlay: no lowerdir",),
    )  # fmt: skip
    text = error_text(error)
    assert "shop.toml:50: mount[8]: step 44, new overlay /opt: fsconfig: invalid argument" in text
    assert "the filesystem says: overlay: no lowerdir" in text
    assert "remedy: give it two layers" in text
    data = error_data(error)
    assert ("EINVAL", 22, 44) == (data["errno_name"], data["errno"], data["number"])
    assert ["overlay: no lowerdir"] == data["log"]


def test_of_the_host_is_told_what_was_found_out_and_no_more() -> None:
    """A reassurance that nobody has checked is worth nothing."""

    def said(aftermath: Aftermath | None) -> list[str]:
        error = StepRefused(number=1, step="s", origin=REF, syscall="c", errno=1, meaning="m", remedy="")
        error.aftermath = aftermath
        assert (aftermath._asdict() if aftermath else None) == error_data(error)["aftermath"]
        return error_text(error).splitlines()[1:]

    same = "the host's mount table is as it was, with all options of its filesystems"
    assert [] == said(None)
    assert [f"  what was built is let go; {same}"] == said(Aftermath((), (), 0))
    assert [f"  process 7 still has what was built; {same}"] == said(Aftermath((), (), 7))
    assert ["  what was built is let go; the host's mount table could not be read again to compare it"] == said(
        Aftermath(None, (), 0)
    )
    many = tuple(f"/{number}: a mount has come: tmpfs" for number in range(11))
    assert [
        "  what was built is let go; the host's mount table has changed meanwhile, by this or by another process:",
        *(f"    {line}" for line in many[:10]),
        "    ... and more (--json has them all)",
        "  what this step was to make may be left on the host: step 5, make directory @host:/x",
    ] == said(Aftermath(many, ("step 5, make directory @host:/x",), 0))


DIFFERENCE = Difference("/usr", "attributes", "ro", "", "mount[1]", "ask the kernel")


def test_drift_is_told_with_its_place_in_the_spec() -> None:
    error = VerificationFailed((DIFFERENCE,))
    text = error_text(error, shop())
    assert "1 difference" in text
    assert "shop.toml:15: mount[1]: /usr: attributes: wanted ro, found nothing\n  remedy: ask the kernel" in text
    (difference,) = error_data(error, shop())["differences"]
    assert ("attributes", "ro", "", 15) == (
        difference["property"],
        difference["wanted"],
        difference["found"],
        difference["origin"]["line"],
    )


def test_much_drift_is_cut() -> None:
    error = VerificationFailed((DIFFERENCE,) * 500)
    assert len(error_text(error).splitlines()) < 100
    assert 500 == len(error_data(error)["differences"])


_OF_EACH = [
    SpecError((Mistake(REF, "x\x1b", "y"),)),
    PlanFileError("p.json: no plan\n  remedy: make it again"),
    TableError("line 3: \x1b"),
    errors.SubjectError("it is no tree\x1b", "name one"),
    PlanRefused(("a must precede itself", "b too")),
    errors.NotAllowed((Mistake(REF, "x\x1b", "y"),)),
    errors.InUse((Mistake(REF, "x\x1b", "y"),)),
    StepRefused(number=1, step="s", origin=REF, syscall="c", errno=1, meaning="m", remedy=""),
    VerificationFailed(()),
    errors.NamespaceRefused("a namespace\x1b", "no", "try again"),
    errors.CommandNotStarted("no such program\x1b", "install it", 127),
    errors.NotKept("nothing\x1b", "see ls"),
    errors.NameTaken("taken\x1b", "replace it"),
    errors.ChangeRefused(("it is busy\x1b\n  remedy: wait",)),
    errors.ChangeUnfinished("half\x1b", "finish it"),
    errors.KeepRefused("no place\x1b", "make one"),
    MountplanError("plain"),
]


def test_there_is_one_of_each_error() -> None:
    every = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, MountplanError)}
    assert every == set(map(type, _OF_EACH))


@pytest.mark.parametrize("error", _OF_EACH, ids=lambda error: type(error).__name__)
def test_every_error_has_a_text_and_a_json_object(error: MountplanError) -> None:
    assert "\x1b" not in error_text(error)
    data = json.loads(json.dumps(error_data(error)))
    assert {"code", "exit_status", "message", "remedy"} <= set(data)
    assert "remedy:" not in data["message"]


# ---- words ----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_visible_text_can_be_printed_anywhere(text: str) -> None:
    assert visible(text).isprintable() or not visible(text).isascii()
    assert "\x1b" not in visible_lines(text)
    visible(text).encode("utf-8")


@given(st.lists(st.sampled_from(sorted(NAMES)), max_size=6, unique=True))
def test_attribute_words_ask_for_the_same_bits_again(names: list[str]) -> None:
    wanted = change(tuple(names))
    words = attribute_words(wanted.set, wanted.clear)
    again = change(tuple(words.split(",")) if words else ())
    if len({"noatime", "strictatime", "relatime"} & set(names)) <= 1:  # a spec may name one of them
        assert wanted == again


def test_words() -> None:
    assert "ro,nosuid,nodev" == attribute_words(RDONLY | NOSUID | NODEV, 0)
    assert "1 mount" == count(1, "mount")
    assert "12,000 mounts" == count(12000, "mount")
    assert "a, b and 8 more" == listed(["a", "b", *"cdefghij"], most=2)
    assert 5 == width("a\u0301bc日")


@given(st.recursive(st.just(()), lambda inner: st.lists(inner, max_size=16).map(tuple), max_leaves=80))
def test_an_outline_tells_of_every_item_once(tree: tuple[object, ...]) -> None:
    """Drawn or counted in a folded line: nothing is lost, nothing is told twice."""
    items: list[tuple[object, ...]] = []
    below: dict[int, list[int]] = {}

    def number(node: tuple[object, ...]) -> int:
        mine = len(items)
        items.append(node)
        below[mine] = [number(child) for child in node]  # type: ignore[arg-type]
        return mine

    number(tree)
    whole = list(outline([0], below.__getitem__, fold=False))
    assert list(range(len(items))) == [branch.item for branch in whole]
    folded = list(outline([0], below.__getitem__, fold=True))
    assert len(items) == sum(branch.folded or 1 for branch in folded)
    cut = list(outline([0], below.__getitem__, fold=True, most=5))
    assert len(items) == sum(branch.folded or 1 for branch in cut)


def test_cautions_of_one_kind_are_told_as_one_with_a_count_and_places() -> None:
    """Of a process whose root is a directory, nearly all mounts are such as nothing shows."""
    shown = "cannot be rebuilt: nothing on the host shows /var/{} of its filesystem (ext4)"
    alike = [Caution(f"/m/{number}", shown.format(number)) for number in range(30)]
    few = [Caution("/x", "has an option"), *alike[:12]]
    assert [str(one) for one in few] == cautions_text(few)
    lines = cautions_text([*alike, Caution("/x", "has an option")])
    assert [str(one) for one in alike[:3]] == lines[:3]
    places = ", ".join(f"/m/{number}" for number in range(3, 11))
    assert [f"27 more of this kind, at {places} and 19 more (--json has them all)", "/x: has an option"] == lines[3:]

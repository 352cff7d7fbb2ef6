"""Plans of changes, from tables that were never mounted: which changes, why, and in which steps."""

from __future__ import annotations

import json

import pytest

from mountplan import api
from mountplan.planner.change import change_file
from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_file import (
    SavedChange,
    dump_change,
    is_change,
    lines_of,
    load_change,
    outcome_of,
    state_of,
)
from mountplan.planner.change.change_plan import ChangePlan
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed, Record, StandingOverlay, StandingSpace, StandingTree, User
from mountplan.planner.errors import PlanFileError
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.render.change_text import change_text, counts_text
from mountplan.planner.tables.mount_facts import OverlayLayer
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, host_mount

HOST = FakeHost({})

ROOT = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'


def planned(text: str) -> Plan:
    return api.plan(parse_spec((ROOT + text).encode(), "live.toml"), HOST)


def standing(plan: Plan, users: dict[str, tuple[User, ...]] | None = None) -> StandingTree:
    """What stands once a plan was carried out, with a device of its own for each filesystem."""
    (prediction,) = predict(plan, HOST.table)
    rows = []
    devices: dict[str, str] = {}
    for row in prediction.table.rows:
        if row.device[:1] == "=":
            devices.setdefault(row.device[1:], f"0:{900 + len(devices)}")
            row = row._replace(device=devices[row.device[1:]], options="rw")
        rows.append(row._replace(mount_id=row.mount_id + 100, parent_id=row.parent_id and row.parent_id + 100))
    by_id = {row.mount_id: users[row.mountpoint] for row in rows if users and row.mountpoint in users}
    space = StandingSpace("", MountTable(tuple(rows)), by_id)
    return StandingTree("live", (space,), HOST.table, (), Record(plan, devices))


def change(before: str, after: str, allowed: Allowed | None = None, **users: tuple[User, ...]) -> ChangePlan:
    stands = standing(planned(before), {f"/{name}": one for name, one in users.items()})
    return plan_change(planned(after), stands, allowed or Allowed(), 100_000)


def lines(found: ChangePlan) -> list[str]:
    assert not found.obstacles, found.obstacles
    return [f"{one.sign} {one.mount}: {one.what}" for one in found.changes]


def tmpfs(target: str, more: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\n{more}'


def test_what_stands_as_the_spec_says_needs_no_step() -> None:
    found = change(tmpfs("/a"), tmpfs("/a"))
    assert ((), ()) == (found.changes, found.steps)


def test_one_mount_more_and_one_less_are_a_line_each() -> None:
    found = change(tmpfs("/old"), tmpfs("/new"))
    assert ["+ /new: tmpfs rw,relatime", "- /old: tmpfs rw,relatime"] == sorted(lines(found))


def test_of_a_thousand_mounts_only_those_that_change_have_steps() -> None:
    many = [tmpfs(f"/m{number}") for number in range(1000)]
    changed = many[:]
    for number in range(10):
        changed[number * 100] = tmpfs(f"/m{number * 100}", 'attributes = ["ro"]\n')
    found = change("".join(many), "".join(changed))
    assert 10 == len(found.changes)
    opened = [step.path for step in found.steps if isinstance(step, c.OpenLive)]
    assert [f"/m{number * 100}" for number in range(10)] == sorted(opened, key=lambda path: int(path[2:]))
    assert not any(isinstance(step, (c.TakeLive, c.DetachLive)) for step in found.steps)


@pytest.mark.parametrize("more", ["", 'attributes = ["ro"]\n'])
def test_what_covers_a_shared_mount_whose_slave_is_below_it_is_refused_in_words(more: str) -> None:
    """A walk ends on what is to go, so what it stands on cannot be made private before: that slave has it as well."""
    low = "[peer_group.g]\n" + tmpfs("/low", 'id = "low"\npeer_group = "g"\n')
    bind = '[[mount]]\ntarget = "/d"\nbind = { mount = "low" }\n'
    slave, peer = bind + 'id = "slave"\nmaster = "g"\n', bind + 'peer_group = "g"\n'
    found = change(low + slave + peer + tmpfs("/d"), low + slave + more + peer, Allowed(gap=True))
    (refused,) = found.obstacles
    assert "/d: what is mounted there cannot be taken off alone: it covers a shared mount, and " in refused.what


def test_another_filesystem_is_attached_beneath_before_the_old_one_goes() -> None:
    found = change(tmpfs("/a", 'source = "old"\n'), tmpfs("/a", 'source = "new"\n'))
    assert ["swap /a: tmpfs old rw,relatime -> tmpfs new rw,relatime"] == lines(found)
    kinds = [step.kind for step in found.steps]
    assert kinds.index("attach_beneath") < kinds.index("detach_live")


def test_what_stands_on_a_swapped_mount_is_carried_over_before_that_goes() -> None:
    child = tmpfs("/a/kid")
    found = change(tmpfs("/a", 'source = "old"\n') + child, tmpfs("/a", 'source = "new"\n') + child)
    assert ["swap /a: tmpfs old rw,relatime -> tmpfs new rw,relatime"] == lines(found)
    kinds = [step.kind for step in found.steps]
    assert kinds.index("carry_live") < kinds.index("detach_live")


def test_a_filesystem_of_the_same_id_keeps_its_data_at_another_place() -> None:
    found = change(tmpfs("/a", 'id = "data"\n'), tmpfs("/b", 'id = "data"\n'))
    assert [] == [step for step in found.steps if step.kind == "make_filesystem"]
    assert 2 == sum(step.kind == "take_live" for step in found.steps)  # of it, and of the root for its new mountpoint


def test_who_notices_is_told() -> None:
    user = User(17, "sh", ("working directory",), root=False, writes=False)
    found = change(tmpfs("/gone"), "", gone=(user,))
    assert ("sh (17): working directory",) == found.changes[0].notices


def test_who_notices_because_of_a_mount_on_the_swapped_one_is_told_with_that() -> None:
    stands = standing(
        planned(tmpfs("/a", 'source = "old"\n') + tmpfs("/a/kid")),
        {"/a/kid": (User(17, "sh", ("5 maps",), root=False, writes=False),)},
    )
    found = plan_change(planned(tmpfs("/a", 'source = "new"\n') + tmpfs("/a/kid")), stands, Allowed(), 100_000)
    assert ("sh (17): 5 maps, of /a/kid",) == found.changes[0].notices


def test_a_mount_that_is_written_to_becomes_read_only_by_a_swap() -> None:
    """mount_setattr(2) would answer EBUSY."""
    writer = User(17, "log", ("1 open file",), root=False, writes=True)
    found = change(tmpfs("/a"), tmpfs("/a", 'attributes = ["ro"]\n'), a=(writer,))
    assert ["swap"] == [one.sign for one in found.changes]
    assert "read-only, while files in it are open for writing" == found.changes[0].reason


def test_a_process_whose_root_would_stay_behind_takes_a_word() -> None:
    user = User(17, "sh", ("its root",), root=True, writes=False)
    assert ["move"] == [one.kind for one in change(tmpfs("/jail"), "", jail=(user,)).obstacles]
    assert not change(tmpfs("/jail"), "", Allowed(move=True), jail=(user,)).obstacles


LOW = '[[mount]]\nid = "low"\ntarget = "/a"\ntype = "tmpfs"\n'
TOP = tmpfs("/a", 'id = "top"\nsource = "top"\n')


def test_what_lies_under_another_mount_is_exchanged_from_below() -> None:
    """The kernel puts what arrives at a place beneath what is mounted there, and unmounts the lowest."""
    found = change(LOW + TOP, LOW + 'attributes = ["ro"]\n' + TOP)
    assert [("swap", "1 of 2"), ("~", "1 of 2")] == [(one.sign, one.layer) for one in found.changes]
    assert not found.obstacles
    assert counts_text(found).endswith("; 2 mounts stay as they are.\n")  # the root, and the topmost
    kinds = [step.kind for step in found.steps]
    assert kinds.index("remove_lowest") < kinds.index("attach_lowest")
    assert "detach_live" not in kinds


def stack(names: str) -> str:
    return "".join(tmpfs("/a", f'source = "{name}"\n') for name in names)


@pytest.mark.parametrize(
    ("before", "after", "signs"),
    [("12", "2", "-"), ("123", "23", "-"), ("123", "3", "--"), ("123", "12", "-"), ("2", "12", "+"), ("23", "123", "+"),
     ("13", "123", "+"), ("3", "123", "++"), ("12", "132", "+"), ("123", "4123", "+"), ("12", "123", "+")],
)  # fmt: skip
def test_of_a_stack_only_what_comes_and_goes_is_touched(before: str, after: str, signs: str) -> None:
    found = change(stack(before), stack(after))
    assert list(signs) == [one.sign for one in found.changes]
    assert not found.obstacles


def test_what_is_made_anew_on_a_mount_that_is_swapped_leaves_no_gap() -> None:
    """All of it stands on the new mount before that is seen; it was refused for the gap that one leaves that stays."""
    kid = tmpfs("/a/kid", 'source = "SOURCE"\n') + tmpfs("/a/kid/y") + tmpfs("/a/kid", 'source = "top"\n')
    before, after = (tmpfs("/a", f'source = "{word}"\n') + kid.replace("SOURCE", word) for word in ("old", "new"))
    assert [("swap", "/a"), ("swap", "/a/kid")] == [(one.sign, one.mount) for one in change(before, after).changes]
    assert not change(before, after).obstacles


def test_what_a_cover_hides_is_changed_while_the_cover_stays() -> None:
    cover = tmpfs("/a", 'source = "cover"\n')
    deep = '[[mount]]\nid = "deep"\nparent = "PARENT"\ntarget = "/a/b"\ntype = "tmpfs"\n'
    root = ROOT.replace("[[mount]]\n", '[[mount]]\nid = "base"\n')
    before, after = (
        api.plan(parse_spec((root + deep.replace("PARENT", "base") + more + cover).encode(), "live.toml"), HOST)
        for more in ("", 'source = "new"\n')
    )
    found = plan_change(after, standing(before), Allowed(), 100_000)
    assert not found.obstacles, found.obstacles
    assert ["/a/b"] == [one.mount for one in found.changes]
    kinds = [step.kind for step in found.steps]
    assert ["remove_lowest", "attach_lowest"] == [kind for kind in kinds if kind.endswith("_lowest")]


def test_without_move_mount_beneath_a_swap_has_no_gap_either() -> None:
    before, after = (planned(tmpfs("/a", f'source = "{word}"\n')) for word in ("old", "new"))
    found = plan_change(after, standing(before)._replace(beneath=False), Allowed(), 100_000)
    assert not found.obstacles, found.obstacles
    kinds = [step.kind for step in found.steps]
    assert "attach_beneath" not in kinds
    assert kinds.index("attach_lowest") < kinds.index("detach_live")


def test_what_is_built_upon_under_another_mount_takes_a_gap_and_a_word() -> None:
    """What stands on it would have to be carried to a place that no walk reaches."""
    kid = '[[mount]]\nparent = "low"\ntarget = "/a/kid"\ntype = "tmpfs"\n'
    before, after = LOW + kid + TOP, LOW + 'attributes = ["ro"]\n' + kid + TOP
    assert ["gap"] == [one.kind for one in change(before, after).obstacles]
    signs = [(one.sign, one.layer) for one in change(before, after, Allowed(gap=True)).changes]
    assert [("~", "1 of 2"), ("swap", "2 of 2")] == signs


def test_another_root_is_refused() -> None:
    other = ROOT.replace('"tmpfs"\n', '"tmpfs"\nsource = "other"\n')
    plan = api.plan(parse_spec(other.encode(), "live.toml"), HOST)
    found = plan_change(plan, standing(planned("")), Allowed(), 100_000)
    assert ["root"] == [one.kind for one in found.obstacles]


@pytest.mark.parametrize(("label", "more"), [("live", ""), ("other", " --name other")])
def test_what_only_a_new_build_can_do_is_told_as_it_is_to_be_typed(label: str, more: str) -> None:
    after = api.plan(parse_spec(ROOT.replace("tmpfs", "ramfs").encode(), "my specs/live.toml"), HOST)
    (one,) = plan_change(after, standing(planned(""))._replace(label=label), Allowed(), 100_000).obstacles
    assert f"build it anew: mountplan apply 'my specs/live.toml' --replace{more}" == one.remedy


def test_what_only_a_new_build_can_do_has_another_remedy_for_a_process() -> None:
    """`apply --replace` takes names."""
    stands = standing(planned(""))._replace(record=None)
    after = api.plan(parse_spec(ROOT.replace("tmpfs", "ramfs").encode(), "live.toml"), HOST)
    (one,) = plan_change(after, stands, Allowed(), 100_000).obstacles
    assert "root" == one.kind
    assert one.remedy.startswith("end the process")


def test_a_group_with_a_member_joins_from_that() -> None:
    group = "[peer_group.g]\n"
    member = tmpfs("/a", 'id = "data"\npeer_group = "g"\n')
    other = '[[mount]]\ntarget = "/b"\nbind = { mount = "data" }\n'
    found = change(group + member + other, group + member + other + 'peer_group = "g"\n')
    assert ["~ /b: sharing private -> shared:g"] == lines(found)
    assert ["seed:g"] == [step.seed for step in found.steps if isinstance(step, c.SeedLive)]


def test_a_shared_parent_is_private_while_it_is_built_upon() -> None:
    group = "[peer_group.g]\n"
    shared = tmpfs("/a", 'peer_group = "g"\n')
    kinds = [step.kind for step in change(group + shared, group + shared + tmpfs("/a/b")).steps]
    assert ["seed_live", "set_sharing", "attach", "join_group"] == [
        kind for kind in kinds if kind in ("seed_live", "set_sharing", "attach", "join_group")
    ]


def test_a_file_of_the_spec_is_written_by_a_rename_unless_it_is_mounted() -> None:
    def files(content: str) -> str:
        return f'[[mount.file]]\npath = "f"\ncontent = "{content}"\n'

    bind = '[[mount]]\ntarget = "/f"\nbind = { mount = "data", path = "/f" }\n'
    data = tmpfs("/a", 'id = "data"\n')
    plain = change(data + files("1"), data + files("2"))
    assert ["~ /a/f: file"] == lines(plain)
    assert [False] == [step.in_place for step in plain.steps if isinstance(step, c.WriteFile)]
    for before in (bind, ""):  # a clone of the old file could not be attached any more
        bound = change(data + files("1") + before, data + files("2") + bind)
        assert [True] == [step.in_place for step in bound.steps if isinstance(step, c.WriteFile)]


def test_what_is_declared_is_made_what_the_spec_says_unless_a_directory_is_in_the_way() -> None:
    def entry(words: str) -> str:
        return tmpfs("/a") + f'[[mount.file]]\npath = "f"\n{words}\n'

    def steps(one: str, two: str) -> list[tuple[str, int, int, bool]]:
        found = change(entry(one), entry(two))
        assert ["~ /a/f: " + ("directory" if "directory" in two else "symlink")] == lines(found)
        return [
            (step.node, step.mode, step.uid, step.in_place) for step in found.steps if isinstance(step, c.WriteFile)
        ]

    private = "directory = true\nmode = '0700'\nuid = 7"
    assert [("directory", 0o700, 7, True)] == steps("directory = true", private)
    assert [("directory", 0o755, 0, True)] == steps(private, "directory = true")
    assert [("symlink", -1, -1, False)] == steps("symlink = 'x'", "symlink = 'y'")
    assert [("symlink", -1, -1, False)] == steps("content = 'x'", "symlink = 'y'")
    refused = change(entry("symlink = 'x'"), entry("directory = true"))
    assert ["/a/f is a symlink, and would have to become a directory"] == [one.what for one in refused.obstacles]


def test_a_file_is_called_by_where_it_is_seen() -> None:
    """The first mount of a filesystem may show another part of it."""
    text = '[[mount]]\ntarget = "/a"\nbind = { mount = "data", path = "/d" }\n' + tmpfs("/b", 'id = "data"\n')
    entry = '[[mount.file]]\npath = "d"\ndirectory = true\n[[mount.file]]\npath = "f"\ncontent = "WORD"\n'
    found = change(text + entry.replace("WORD", "1"), text + entry.replace("WORD", "2"))
    assert ["~ /b/f: file"] == lines(found)


def test_an_image_is_called_by_its_path() -> None:
    """A mount does not show it: the preview had a NUL for what comes, and a loop device for what stands."""
    host = FakeHost({"/one.img": "file", "/two.img": "file"})
    text = ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/{}.img"\n'
    one, two = (api.plan(parse_spec(text.format(word).encode(), "live.toml"), host) for word in ("one", "two"))
    found = plan_change(two, standing(one), Allowed(), 100_000)
    assert ["swap /a: ext4 /one.img rw,relatime -> ext4 /two.img rw,relatime"] == lines(found)


def test_a_saved_change_is_read_back_and_an_altered_one_is_not() -> None:
    before, plan = standing(planned(tmpfs("/a"))), planned("")
    found = plan_change(plan, before, Allowed(), 100_000)
    state = state_of(before, ((1, 2),))
    saved = SavedChange("live", plan, Allowed(gap=True), state, outcome_of(found), lines_of(found))
    text = dump_change(saved).encode()
    assert is_change(text)
    assert saved == load_change(text, "change.json")
    with pytest.raises(PlanFileError, match="altered"):
        load_change(text.replace(b'"gap": true', b'"gap": false'), "change.json")
    for key, value in (("allowed", {"move": 1, "gap": True, "propagation": False}), ("changes", 7), ("more", "")):
        values = json.loads(text) | {key: value}
        del values["digest"]
        values["digest"] = change_file._digest(values)
        with pytest.raises(PlanFileError, match="is no plan of changes"):
            load_change(json.dumps(values).encode(), "change.json")


def test_the_preview_ends_with_counts() -> None:
    before, after = planned(tmpfs("/a") + tmpfs("/b")), planned(tmpfs("/a") + tmpfs("/c"))
    text = change_text(after, plan_change(after, standing(before), Allowed(), 100_000))
    assert "1 to add, 1 to remove; 2 mounts stay as they are." == text.splitlines()[-1]


def test_what_has_no_room_beside_each_other_is_told_below_each_other() -> None:
    before, after = planned(tmpfs("/a")), planned(tmpfs("/a", 'source = "feed"\nattributes = ["ro", "nosuid"]\n'))
    text = change_text(after, plan_change(after, standing(before), Allowed(), 100_000), room=50)
    told = [line for line in text.splitlines() if line.startswith("  ")]
    assert "  swap  /a  tmpfs rw,relatime -> tmpfs feed" == told[0]
    assert "            ro,nosuid,relatime" == told[1]
    assert max(map(len, text.splitlines())) <= 50


def test_an_option_that_is_no_longer_asked_for_is_set_to_its_default() -> None:
    """The filesystem stays, and so does its data."""
    found = change(tmpfs("/a", 'options = { size = "4m" }\n'), tmpfs("/a"))
    assert [(("size", "50%"),)] == [step.options for step in found.steps if isinstance(step, c.Reconfigure)]
    assert ["~"] == [one.sign for one in found.changes]


def test_an_option_without_a_default_of_its_type_is_set_to_what_the_machine_had_when_the_name_was_made() -> None:
    """The filesystem was made anew, and what was in it lost."""
    stands = standing(planned(tmpfs("/a", 'options = { nr_inodes = "9", size = "8k" }\n')))
    assert stands.record is not None
    stands = stands._replace(record=stands.record._replace(defaults="size=100k,nr_inodes=25"))
    found = plan_change(planned(tmpfs("/a")), stands, Allowed(), 100_000)
    assert [(("nr_inodes", "25"), ("size", "100k"))] == [
        step.options for step in found.steps if isinstance(step, c.Reconfigure)
    ]
    assert ["~"] == [one.sign for one in found.changes]


def nested(before: str, after: str, allowed: Allowed | None = None) -> ChangePlan:
    """What changes where a process inside has a copy of the namespace, with all its groups."""
    stands = standing(planned(before))
    table = MountTable(
        tuple(
            row._replace(mount_id=row.mount_id + 500, parent_id=row.parent_id + 500)
            for row in stands.spaces[0].table.rows
        )
    )
    stands = stands._replace(outside=(("process 7", table),))
    return plan_change(planned(after), stands, allowed or Allowed(), 100_000)


POOL = "[peer_group.g]\n" + tmpfs("/pool", 'peer_group = "g"\nSOURCE')


def test_who_is_cut_off_outside_from_a_mount_that_is_swapped_is_told_and_has_to_be_allowed() -> None:
    """Its table stays what it was: it is in the old group, and the new mount in a new one."""
    found = nested(POOL.replace("SOURCE", ""), POOL.replace("SOURCE", 'source = "new"\n'))
    told = "/pool leaves the group of /pool of process 7: what is mounted on the one does not reach the other"
    assert [("propagation", told)] == [(one.kind, one.what) for one in found.obstacles]
    allowed = nested(POOL.replace("SOURCE", ""), POOL.replace("SOURCE", 'source = "new"\n'), Allowed(propagation=True))
    assert ((), (told,)) == (allowed.obstacles, allowed.asides)


def test_what_leaves_a_group_as_the_spec_says_is_told() -> None:
    found = nested(POOL.replace("SOURCE", ""), tmpfs("/pool"))
    told = "/pool leaves the group of /pool of process 7: what is mounted on the one does not reach the other"
    assert ((), (told,)) == (found.obstacles, found.asides)


def test_what_shall_receive_from_a_mount_that_the_host_has_under_another_is_refused_with_that_reason() -> None:
    """No walk on the host leads to where its group could be joined."""
    lower = host_mount(3, 2, "/feed/a", shared=6)
    host = FakeHost({}, (host_mount(2, 1, "/feed", shared=5), lower, host_mount(4, 3, "/feed/a")))
    bind = '[[mount]]\ntarget = "/feed"\nbind = "/feed"\nrecursive = true\nrecursive_sharing = '
    feed = '[peer_group.feed]\nhost = "/feed"\n'
    before = api.plan(parse_spec(f'{ROOT}{bind}"private"\n'.encode(), "live.toml"), host)
    after = api.plan(parse_spec(f'{ROOT}{bind}"slave"\nmaster = "feed"\n{feed}'.encode(), "live.toml"), host)
    (prediction,) = predict(before, host.table)
    rows = [row._replace(device=row.device.replace("=", "0:9")) for row in prediction.table.rows]
    stands = StandingTree("live", (StandingSpace("", MountTable(tuple(rows))),), host.table)
    told = {one.what for one in plan_change(after, stands, Allowed(gap=True), 100_000).obstacles}
    assert "/feed/a is to receive from a mount of the host that is under another one there" in told


@pytest.mark.parametrize("more", [True, False])
def test_what_changes_on_a_shared_mount_without_those_outside_is_told(more: bool) -> None:
    pool = POOL.replace("SOURCE", "")
    kid = pool + tmpfs("/pool/kid")
    found = nested(pool, kid) if more else nested(kid, pool)
    assert ((), ("what changes on /pool changes here only: /pool of process 7 has what it had",)) == (
        found.obstacles, found.asides,
    )  # fmt: skip


def test_what_an_interrupted_change_may_have_written_is_written_back() -> None:
    """The record still says what was there before it."""
    files = [tmpfs("/a", f'[[mount.file]]\npath = "x"\ncontent = "{word}"\n') for word in ("1", "2")]
    stands = standing(planned(files[0]))
    assert stands.record is not None
    stands = stands._replace(record=stands.record._replace(begun=planned(files[1])))
    found = plan_change(planned(files[0]), stands, Allowed(), 100_000)
    assert ["1"] == [step.content for step in found.steps if isinstance(step, c.WriteFile)]


def test_an_option_that_has_changed_since_the_record_was_written_is_changed_back() -> None:
    text = tmpfs("/a", 'options = { size = "1m" }\n')
    stands = standing(planned(text))
    (space,) = stands.spaces
    rows = tuple(row._replace(options="rw,size=2048k") if row.mountpoint == "/a" else row for row in space.table.rows)
    assert stands.record is not None
    record = stands.record._replace(shown={row.device: "rw,size=1024k" for row in rows if row.mountpoint == "/a"})
    stands = stands._replace(spaces=(space._replace(table=MountTable(rows)),), record=record)
    found = plan_change(planned(text), stands, Allowed(), 100_000)
    assert [(("size", "1m"),)] == [step.options for step in found.steps if isinstance(step, c.Reconfigure)]


def test_each_mount_of_a_stack_that_goes_is_told_once() -> None:
    found = change(tmpfs("/a") + tmpfs("/a") + tmpfs("/a") + tmpfs("/a/kid"), tmpfs("/a"))
    told = [(line.mount, line.layer, line.reason) for line in found.changes]
    assert told == [
        ("/a", "2 of 3", "the spec does not have it"),
        ("/a", "3 of 3", "the spec does not have it"),
        ("/a/kid", "", "what it stands on goes"),
    ]


def overlay(lower: str, source: str = "") -> str:
    layer = '[[mount]]\nid = "{0}"\ntarget = "/{0}"\ntype = "tmpfs"\n{1}'
    here = [layer.format(name, f'source = "{source}"\n' if source and name == "l" else "") for name in "lmu"]
    return "".join(here) + f'[[mount]]\nid = "o"\ntarget = "/o"\ntype = "overlay"\nlayers = [{lower}]\n'


LOWER = '{ mount = "l", path = "/" }, { mount = "m", path = "/" }'
UPPER = 'upper = { mount = "u", path = "/u" }\nwork = { mount = "u", path = "/w" }\n'


def test_an_overlay_is_another_one_where_a_layer_is_in_another_filesystem() -> None:
    """It stayed on the one that went, and was called what the spec says."""
    found = change(overlay(LOWER), overlay(LOWER, "new"))
    assert [("swap", "/l"), ("swap", "/o")] == sorted((line.sign, line.mount) for line in found.changes)
    assert not found.obstacles


@pytest.mark.parametrize("options", ["", 'options = { index = "off" }\n'])
def test_a_new_overlay_on_the_upper_directory_of_the_one_that_stands_is_refused_when_planned(options: str) -> None:
    """With index=off it was refused at its step."""
    found = change(overlay(LOWER) + UPPER + options, overlay(LOWER, "new") + UPPER + options)
    assert ["upper directory"] == [one.kind for one in found.obstacles]


OVERLAY_OPTIONS = ('source = "other"\n', "options = { ro = true }\n", 'options = { redirect_dir = "off" }\n')


def test_what_an_overlay_of_a_process_writes_to_is_seen_by_what_it_is_made_of() -> None:
    """No record tells of it: the new one was refused at its step. One with other options was called what stands."""
    host = FakeHost(dict.fromkeys(("/a", "/b", "/u", "/w"), "directory"))
    text = ROOT + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/{}"]\nupper = "/u"\nwork = "/w"\n'
    more = [text.format("a"), text.format("b"), *(text.format("a") + one for one in OVERLAY_OPTIONS)]
    one, *others = (api.plan(parse_spec(each.encode(), "live.toml"), host) for each in more)
    stands = standing(one)
    made = StandingOverlay((OverlayLayer("", "/a"),), (OverlayLayer("", "/u"), OverlayLayer("", "/w")))
    (space,) = stands.spaces
    rows = tuple(row._replace(options="rw,redirect_dir=on") for row in space.table.rows)
    overlays = {row.device: made for row in rows if row.fstype == "overlay"}
    stands = stands._replace(spaces=(space._replace(table=MountTable(rows)),), record=None, overlays=overlays)
    assert [] == [one.kind for one in plan_change(one, stands, Allowed(), 100_000).obstacles]
    for other in others:
        assert ["upper directory"] == [one.kind for one in plan_change(other, stands, Allowed(), 100_000).obstacles]


def test_an_overlay_is_another_one_where_its_layers_have_other_entries() -> None:
    """It goes on showing what it has once looked up; contents of a file are written in place, so that it shows them."""

    def layers(file: str) -> str:
        return overlay(LOWER).replace(
            'target = "/l"\ntype = "tmpfs"\n', f'target = "/l"\ntype = "tmpfs"\nfile = [{file}]\n'
        )

    one = '{ path = "f", content = "1" }'
    for other in (
        one + ', { path = "g", content = "" }',
        one.replace("}", ', mode = "0600" }'),
        one.replace("content", "symlink"),
    ):
        assert ("swap", "/o") in [(line.sign, line.mount) for line in change(layers(one), layers(other)).changes]
    found = change(layers(one), layers(one.replace("1", "2")))
    assert ["~ /l/f: file"] == lines(found)
    assert [True] == [step.in_place for step in found.steps if isinstance(step, c.WriteFile)]


def test_what_goes_below_something_new_goes_once_that_covers_it() -> None:
    """It went first, so that for a moment there was neither, and nothing said so."""
    found = change(tmpfs("/a/b"), tmpfs("/a"))
    assert ["+ /a: tmpfs rw,relatime", "- /a/b: tmpfs rw,relatime"] == lines(found)
    assert ["attach", "detach_live"] == [one.kind for one in found.steps if one.kind in ("attach", "detach_live")]


@pytest.mark.parametrize("before", [tmpfs("/a/b", 'id = "x"\n'), tmpfs("/a/b") * 2])
@pytest.mark.parametrize("more", ["", "unbindable = true\n"])
def test_what_goes_below_something_new_goes_once_that_is_there_with_all_on_it(before: str, more: str) -> None:
    """It was refused for the moment in which the new one was there, and what stands on it was not."""
    found = change(before, tmpfs("/a", more) + tmpfs("/a/b", f'id = "y"\n{more}'))
    assert [] == [one.what for one in found.obstacles]
    visit = [one.kind for one in found.steps].index("visit")
    inside = [one for one in found.steps[visit:] if one.kind in ("attach", "detach_live")]
    assert [("attach", "tree:"), ("detach_live", "live:")] == [(one.kind, one[0][:5]) for one in inside]


def test_what_goes_below_something_new_and_cannot_be_reached_then_is_a_gap() -> None:
    """No path leads to the lower one of a stack then, and more stands on it than the upper one."""
    before = tmpfs("/a/b", 'id = "x"\n') + tmpfs("/a/b/c", 'parent = "x"\n') + tmpfs("/a/b")
    after = tmpfs("/a") + tmpfs("/a/b", 'id = "y"\n')
    found = change(before, after)
    assert [("gap", "/a/b is missing for a moment")] == [(one.kind, one.what) for one in found.obstacles]
    assert not change(before, after, Allowed(gap=True)).obstacles


def test_who_receives_from_a_group_that_is_made_anew_receives_from_the_new_one() -> None:
    """It was left with the old one, which has no member any more, and the change was refused."""
    groups = '[peer_group.p]\n[peer_group.q]\nmaster = "p"\n'
    binds = [f'[[mount]]\ntarget = "/{name}"\nbind = {{ mount = "a" }}\n' for name in "bc"]
    text = groups + tmpfs("/a", 'id = "a"\npeer_group = "p"\n')
    text += f'{binds[0]}peer_group = "q"\n{binds[1]}master = "q"\n'
    stands = standing(planned(text))
    (space,) = stands.spaces
    rows = [row._replace(master=0) if row.mountpoint == "/b" else row for row in space.table.rows]
    stands = stands._replace(spaces=(space._replace(table=MountTable(tuple(rows))),))
    found = plan_change(planned(text), stands, Allowed(), 100_000)
    assert ((), ["/b", "/c"]) == (found.obstacles, [one.mount for one in found.changes])


def test_what_has_arrived_from_a_mount_within_goes_with_that() -> None:
    """It was to stay, and the change was refused because it would."""
    text = "[peer_group.p]\n" + tmpfs("/a", 'id = "a"\npeer_group = "p"\n')
    text += '[[mount]]\ntarget = "/b"\nbind = { mount = "a" }\nmaster = "p"\n'
    stands = standing(planned(text))
    (space,) = stands.spaces
    bases = {row.mountpoint: row for row in space.table.rows}
    new = bases["/a"]._replace(
        mount_id=801, parent_id=bases["/a"].mount_id, mountpoint="/a/k", device="0:990", peer_group=77
    )
    copy = new._replace(mount_id=802, parent_id=bases["/b"].mount_id, mountpoint="/b/k", peer_group=0, master=77)
    stands = stands._replace(spaces=(space._replace(table=MountTable((*space.table.rows, new, copy))),))
    found = plan_change(planned(text), stands, Allowed(), 100_000)
    assert ((), ["- /a/k", "- /b/k"]) == (found.obstacles, [f"{one.sign} {one.mount}" for one in found.changes])


@pytest.mark.parametrize("more", ["", tmpfs("/new")])
@pytest.mark.parametrize("upon", ["", "/a"])
def test_what_the_spec_leaves_out_stays_where_it_stands(upon: str, more: str) -> None:
    """A spec that was captured of a process had its terminal or its fuse unmounted, as `the spec does not have it`."""
    text = tmpfs("/a") + tmpfs(f"{upon}/b", 'unsupported = "served by a program"\n')
    stands = standing(planned(text))
    (space,) = stands.spaces
    base = next(row for row in space.table.rows if row.mountpoint == (upon or "/"))
    there = base._replace(mount_id=801, parent_id=base.mount_id, mountpoint=f"{upon}/b", device="0:990", fstype="fuse")
    stands = stands._replace(spaces=(space._replace(table=MountTable((*space.table.rows, there))),))
    found = plan_change(planned(text + more), stands, Allowed(), 100_000)
    assert ((), ["/new"] if more else []) == (found.obstacles, [one.mount for one in found.changes])
    assert (f"{upon}/b: fuse tmpfs is left out of the spec, and stays",) == found.asides


def test_what_stands_in_the_place_of_an_optional_mount_whose_source_is_gone_goes() -> None:
    """It is not what the spec leaves out, but something else, and stayed since their places fit."""
    gone = '[[mount]]\ntarget = "/b"\nbind = "/no/such/path"\noptional = true\n'
    found = plan_change(planned(tmpfs("/a") + gone), standing(planned(tmpfs("/a") + tmpfs("/b"))), Allowed(), 100_000)
    assert ((), ["- /b"]) == (found.obstacles, [f"{one.sign} {one.mount}" for one in found.changes])


def test_who_has_something_of_what_stays_above_does_not_notice_what_is_exchanged_beneath() -> None:
    """A process in there was said to notice, and one whose root is there to take --allow-move."""
    before, after = (tmpfs("/a", f'source = "{word}"\n') + tmpfs("/a", 'source = "top"\n') for word in ("one", "two"))
    stands = standing(planned(before))
    (space,) = stands.spaces
    top = max(row.mount_id for row in space.table.rows)
    space = space._replace(users={top: (User(7, "sh", ("its root",), root=True, writes=False),)})
    found = plan_change(planned(after), stands._replace(spaces=(space,)), Allowed(), 100_000)
    assert ((), [("swap", ())]) == (found.obstacles, [(one.sign, one.notices) for one in found.changes])

"""A predicted and an observed table: every difference, and nothing else."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.compare.compare import Machine, compare, differences, judge, judge_built, views_of
from mountplan.planner.compare.own_store import without_absent_store
from mountplan.planner.compare.view import View
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.predict import HOST_GROUPS, Prediction, predict
from mountplan.planner.tables.options import differing_options, differing_shown
from mountplan.planner.tables.table import MountRow, MountTable
from tests.fakes import FakeHost, host_mount


def row(number: int, parent: int, mountpoint: str, **changes: object) -> MountRow:
    plain = MountRow(number, parent, "0:50", "/", mountpoint, "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    return plain._replace(**changes)  # type: ignore[arg-type]


def wanted(*rows: MountRow) -> Prediction:
    """A prediction; the device of each row is "=NAME", as a new one is written."""
    return Prediction(
        "",
        MountTable(rows),
        tuple(f"mount[{number}]" for number in range(len(rows))),
        tuple(one.mountpoint for one in rows),
        {one.device: () for one in rows},
    )


def drift(predicted: Prediction, *rows: MountRow) -> list[tuple[str, str, str, str]]:
    """(mount, property, wanted, found) of every difference."""
    return [difference[:4] for difference in compare((predicted,), (MountTable(rows),))]


ROOT = row(1, 0, "/", device="=fs:/")
FOUND = row(70, 45, "/")


def test_ids_devices_and_groups_may_be_whatever_they_are_if_the_same_are_equal() -> None:
    predicted = wanted(
        ROOT, row(2, 1, "/a", device="=fs:a", peer_group=1), row(3, 1, "/b", device="=fs:a", peer_group=1, master=2)
    )
    assert [] == drift(
        predicted,
        FOUND,
        row(72, 70, "/b", device="0:51", peer_group=33, master=44),
        row(71, 70, "/a", device="0:51", peer_group=33),
    )


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"root": "/x"}, ("root", "/", "/x")),
        ({"attributes": "ro,relatime"}, ("attributes", "rw,relatime", "ro,relatime")),
        ({"attributes": "rw"}, ("attributes", "rw,relatime", "rw")),
        ({"unbindable": True}, ("unbindable", "no", "yes")),
        ({"fstype": "ramfs"}, ("filesystem", "tmpfs", "ramfs")),
        ({"source": "other"}, ("source", "tmpfs", "other")),
        ({"peer_group": 9}, ("peer group", "none", "9, alone")),
        ({"master": 9}, ("master", "none", "9")),
    ],
)
def test_a_property_that_is_different_is_named_with_both_values(
    change: dict[str, object], difference: tuple[str, str, str]
) -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a"))
    assert [("/a", *difference)] == drift(predicted, FOUND, row(71, 70, "/a", device="0:51", **change))


def test_attributes_in_another_order_are_the_same() -> None:
    predicted = wanted(row(1, 0, "/", device="=d", attributes="ro,nosuid,relatime,nosymfollow"))
    assert [] == drift(predicted, row(70, 45, "/", attributes="ro,nosymfollow,relatime,nosuid"))


def test_a_root_that_was_removed_is_not_what_was_wanted_unless_that_was_wanted() -> None:
    there, gone = (row(70, 45, "/", root=root) for root in ("/a", "/a//deleted"))
    plain, removed = (wanted(row(1, 0, "/", device="=d", root=root)) for root in ("/a", "/a//deleted"))
    assert [] == drift(plain, there) == drift(removed, gone)
    assert [("/", "root", "/a", "/a//deleted")] == drift(plain, gone)


def test_a_missing_mount_is_told_once_and_not_what_would_stand_on_it() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a"), row(3, 2, "/a/b", device="=fs:b"))
    assert [("/a", "mount", "tmpfs, on the tmpfs at /, and 1 more upon it", "no mount")] == drift(predicted, FOUND)


def test_a_mount_that_is_not_in_the_plan_is_a_difference() -> None:
    assert [("/x", "mount", "none", "tmpfs, on the tmpfs at /")] == drift(
        wanted(ROOT), FOUND, row(71, 70, "/x", device="0:51")
    )


def test_what_arrived_on_a_slave_meanwhile_is_none() -> None:
    """The host may mount something at any time, and to receive that is what a slave is for."""
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a", master=HOST_GROUPS + 7))
    assert [] == drift(
        predicted,
        FOUND,
        row(71, 70, "/a", device="0:51", master=7),
        row(72, 71, "/a/new", device="0:52", master=9),
    )


def test_stacked_mounts_are_told_apart_by_their_parents() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a"), row(3, 2, "/a", device="=fs:b", attributes="ro,relatime"))
    under = row(71, 70, "/a", device="0:51")
    above = row(72, 71, "/a", device="0:52", attributes="ro,relatime")
    assert [] == drift(predicted, FOUND, above, under)
    swapped = drift(predicted, FOUND, under._replace(parent_id=72), above._replace(parent_id=70))
    assert [("/a", "parent", "tmpfs at /", "tmpfs at /a"), ("/a", "parent", "tmpfs at /a", "tmpfs at /")] == swapped


def test_two_filesystems_that_turn_out_to_be_one_are_a_difference_and_so_is_one_that_is_two() -> None:
    two = wanted(ROOT, row(2, 1, "/a", device="=fs:a"), row(3, 1, "/b", device="=fs:b"))
    one = wanted(ROOT, row(2, 1, "/a", device="=fs:a"), row(3, 1, "/b", device="=fs:a"))
    same = (FOUND, row(71, 70, "/a", device="0:51"), row(72, 70, "/b", device="0:51"))
    split = (FOUND, row(71, 70, "/a", device="0:51"), row(72, 70, "/b", device="0:52"))
    assert [("/b", "superblock", "fs:b", "0:51, with /a")] == drift(two, *same)
    assert [("/b", "superblock", "fs:a, with /a", "0:52")] == drift(one, *split)
    assert [] == drift(two, *split) == drift(one, *same)


def test_the_filesystem_of_the_masks_has_no_name_that_a_spec_gave() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:@masks"), row(3, 1, "/b", device="=fs:@masks"))
    found = drift(predicted, FOUND, row(71, 70, "/a", device="0:51"), row(72, 70, "/b", device="0:52"))
    assert [("/b", "superblock", "that of all masks, with /a", "0:52")] == found


def test_a_host_filesystem_is_told_by_its_device() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="8:1"))
    assert [("/a", "superblock", "8:1", "8:2")] == drift(predicted, FOUND, row(71, 70, "/a", device="8:2"))


def test_two_groups_that_turn_out_to_be_one_are_a_difference_and_so_is_one_that_is_two() -> None:
    def table(first: int, second: int) -> tuple[MountRow, ...]:
        return FOUND, *(
            row(70 + number, 70, f"/{name}", device="0:51", peer_group=group)
            for number, name, group in ((1, "a", first), (2, "b", second))
        )

    def predicted(first: int, second: int) -> Prediction:
        return wanted(
            ROOT,
            *(
                row(number, 1, f"/{name}", device="=fs:a", peer_group=group)
                for number, name, group in ((2, "a", first), (3, "b", second))
            ),
        )

    assert [] == drift(predicted(1, 2), *table(8, 9)) == drift(predicted(1, 1), *table(8, 8))
    assert [("/b", "peer group", "a new one, alone", "8, with /a")] == drift(predicted(1, 2), *table(8, 8))
    assert [("/b", "peer group", "a new one, with /a", "9, alone")] == drift(predicted(1, 1), *table(8, 9))


def test_a_group_of_the_host_is_that_very_group() -> None:
    predicted = wanted(row(1, 0, "/", device="=d", peer_group=HOST_GROUPS + 7))
    assert [] == drift(predicted, row(70, 45, "/", peer_group=7))
    assert [("/", "peer group", "7 of the host, alone", "8, alone")] == drift(predicted, row(70, 45, "/", peer_group=8))


def test_what_stands_in_a_group_of_the_hosts_by_mistake_is_told_however_many_they_are() -> None:
    """A group of its own that turns out to be the host's is another one: to the host's, all its events would go."""
    own = [row(number, 1, f"/{number}", device="=d", peer_group=1) for number in (2, 3, 4)]
    predicted = wanted(row(1, 0, "/", device="=d", peer_group=HOST_GROUPS + 7), *own)
    found = [row(70 + number, 70, f"/{number}", peer_group=7) for number in (2, 3, 4)]
    told = drift(predicted, row(70, 45, "/", peer_group=7), *found)
    assert ["/2", "/3", "/4"] == [mount for mount, property, _, _ in told if property == "peer group" and mount != "/"]


def test_a_new_filesystem_may_turn_out_to_be_one_that_the_host_has() -> None:
    """There is one proc for each namespace of processes, and the host's may be bound beside it."""
    predicted = wanted(ROOT, row(2, 1, "/a", device="0:30"), row(3, 1, "/b", device="=fs:b"))
    found = FOUND, row(72, 70, "/a", device="0:30"), row(73, 70, "/b", device="0:30")
    assert [] == drift(predicted, *found)
    assert [("/", "source")] == [one[:2] for one in drift(predicted, FOUND._replace(source="other"), *found[1:])]


def test_a_difference_names_the_part_of_the_spec() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a"))
    (difference,) = compare((predicted,), (MountTable((FOUND,)),))
    assert "mount[1]" == difference.origin


def test_an_empty_table_is_a_difference_and_no_crash() -> None:
    assert [("/", "mount", "tmpfs", "no mount")] == drift(wanted(ROOT))


@pytest.mark.parametrize(
    ("fstype", "asked", "shown"),
    [
        ("tmpfs", ("size", "1m"), "rw,size=1024k"),
        ("tmpfs", ("size", "5000"), "rw,size=8k"),
        ("tmpfs", ("size", "50%"), "rw,size=12334524k"),
        ("tmpfs", ("mode", "0755"), "rw,mode=755"),
        ("tmpfs", ("mode", "1777"), "rw"),
        ("tmpfs", ("uid", "0"), "rw"),
        ("tmpfs", ("nr_inodes", "2k"), "rw,nr_inodes=2048"),
        ("tmpfs", ("ro", True), "ro"),
        ("devpts", ("ptmxmode", "0666"), "rw,mode=600,ptmxmode=666"),
        ("proc", ("hidepid", "2"), "rw,hidepid=invisible"),
        ("ext4", ("data", "ordered"), "rw,relatime"),
    ],
)
def test_an_option_that_is_shown_in_another_form_was_granted(
    fstype: str, asked: tuple[str, str | bool], shown: str
) -> None:
    assert [] == differing_options(fstype, (asked,), shown)


@pytest.mark.parametrize(
    ("fstype", "asked", "shown", "found"),
    [
        ("tmpfs", ("size", "1m"), "rw,size=2048k", "2048k"),
        ("tmpfs", ("mode", "0700"), "rw", "the default (1777)"),
        ("tmpfs", ("ro", True), "rw", "rw"),
        ("proc", ("hidepid", "2"), "rw", "the default (off)"),
        ("devpts", ("gid", "5"), "rw,mode=600,ptmxmode=000", "the default (0)"),
    ],
)
def test_an_option_that_was_silently_not_granted_is_a_difference(
    fstype: str, asked: tuple[str, str | bool], shown: str, found: str
) -> None:
    wish = "set" if asked[1] is True else asked[1]
    assert [(asked[0], wish, found)] == differing_options(fstype, (asked,), shown)


def test_layers_that_a_build_had_in_its_yard_are_compared_by_their_number_only() -> None:
    """The kernel shows the paths at which they were when the overlay was made; the yard's are gone."""
    live = "rw,lowerdir=/a:/b,upperdir=/u,workdir=/w,uuid=on"
    built = "rw,lowerdir+=/p0-on-0-42/a,lowerdir+=/b,upperdir=/p1-on-0-43/u,workdir=/p1-on-0-43/w"
    assert [] == differing_shown("overlay", live, built)
    assert ["lowerdir+"] == [one[0] for one in differing_shown("overlay", live, built.replace("lowerdir+=/b,", ""))]
    assert ["upperdir"] == [one[0] for one in differing_shown("overlay", live, live.replace("/u,", "/x,"))]


def test_layers_for_data_only_are_the_same_however_they_were_given() -> None:
    assert [] == differing_shown(
        "overlay", "ro,lowerdir=/a:/b::/c:/d", "ro,lowerdir+=/a,lowerdir+=/b,datadir+=/c,datadir+=/d"
    )
    assert ["lowerdir+", "datadir+"] == [
        one[0] for one in differing_shown("overlay", "ro,lowerdir=/a::/b", "ro,lowerdir=/a:/b")
    ]


def test_an_id_mapping_is_that_of_its_mount_even_where_a_target_has_a_plus() -> None:
    """What a recursive bind of the host's brings along is named after it with a plus."""
    mapped = "idmap = { uids = [[0, 1, 1]], gids = [[0, 1, 1]] }\n"
    text = "format = 1\n" + "".join(
        f'[[mount]]\ntarget = "{target}"\n{words}\n'
        for target, words in (
            ("/", 'type = "tmpfs"'),
            ("/c", 'type = "tmpfs"\n' + mapped),
            ("/c+", 'type = "tmpfs"'),
            ("/d", 'type = "tmpfs"'),
            ("/d++", 'bind = "/srv"\nrecursive = true\n' + mapped),
            ("/e+", 'bind = "/srv"\nrecursive = true\nrecursive_attributes = false\nattributes = ["ro"]'),
        )
    )
    host = FakeHost({"/srv/sub": "directory"}, (host_mount(2, 1, "/srv"), host_mount(3, 2, "/srv/sub")))
    plan = api.plan(parse_spec(text.encode(), "test.toml"), host)
    (view,) = views_of(plan, predict(plan, host.table))
    assert view.idmaps is not None
    places = {row.mount_id: row.mountpoint for row in view.table.rows}
    assert ["/c", "/d++", "/d++/sub"] == sorted(places[number] for number in view.idmaps)


def test_namespaces_go_by_their_names_and_where_those_differ_by_their_order() -> None:
    one, other = MountTable((FOUND,)), MountTable((FOUND, row(71, 70, "/a")))
    views = View("one", one), View("two", other)
    assert () == differences(views, views[::-1], None)
    renamed = tuple(view._replace(namespace=f"{view.namespace}s") for view in views)
    assert () == differences(views, renamed, None)
    assert ["/a", "/a"] == [found.mount for found in differences(views, renamed[::-1], None)]


def test_of_a_side_with_fewer_namespaces_those_of_one_name_are_compared() -> None:
    table, more = MountTable((FOUND,)), MountTable((FOUND, row(71, 70, "/a")))
    told = differences((View("one", table), View("two", table)), (View("two", more),), None)
    assert [("", "namespaces", "one, two", "two"), ("/a", "mount", "none", "tmpfs, on the tmpfs at /")] == [
        found[:4] for found in told
    ]
    told = differences((View("", table),), (View("", more), View("", table)), None)
    assert [("namespaces", "1 without a name", "2 without a name")] == [found[1:4] for found in told]


def test_a_single_mount_is_found_in_a_stack_by_what_it_shows() -> None:
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a", fstype="ramfs", source="ramfs"))
    below, above = row(71, 70, "/a", device="0:51"), row(72, 71, "/a", device="0:52", fstype="ramfs", source="ramfs")
    assert [("/a", "mount", "none", "tmpfs, on the tmpfs at /")] == drift(predicted, FOUND, below, above)


def test_what_the_kernel_shows_in_another_form_is_told_beside_what_differs() -> None:
    """Whether something else is different or not."""
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a"))._replace(
        options={"=fs:/": (), "=fs:a": (("size", "50%"),)}
    )
    found = row(71, 70, "/a", device="0:51", options="rw,size=12334524k")
    for more in ((), (row(72, 70, "/x", device="0:52"),)):
        judged = judge_built((predicted,), (MountTable((FOUND, found, *more)),), present=frozenset())
        assert [("/a", "option size", "50%", "12334524k")] == [notice[:4] for notice in judged.notices]
        assert len(more) == len(judged.drift)


def test_a_default_subvolume_of_a_btrfs_is_told_with_what_to_do() -> None:
    told = {}
    for fstype in ("btrfs", "tmpfs"):
        predicted = wanted(row(1, 0, "/", device="=d", fstype=fstype))
        (found,) = compare((predicted,), (MountTable((row(70, 45, "/", fstype=fstype, root="/@"),)),))
        told[fstype] = found.remedy
    assert 'subvol = "/@"' in told["btrfs"]
    assert not told["tmpfs"]


def test_what_is_shared_may_be_mounted_by_a_process_that_is_in_there() -> None:
    """Only in what no process has entered yet, it has come by propagation."""
    predicted = wanted(ROOT, row(2, 1, "/a", device="=fs:a", peer_group=1))
    table = MountTable((FOUND, row(71, 70, "/a", device="0:51", peer_group=8), row(72, 71, "/a/x", peer_group=9)))
    (view,) = (View("", predicted.table, predicted.origins, predicted.options),)
    assert ["/a/x"] == [one.mount for one in judge((view,), (View("", table),), Machine(), arrivals=True).drift]
    assert () == judge((view,), (View("", table),), Machine(), arrivals=True, untouched=True).drift


def test_a_store_that_a_tree_was_built_before_is_not_missed_with_what_is_on_it() -> None:
    rows = (row(1, 0, "/"), row(2, 1, "/run/store", device="0:9"), row(3, 2, "/run/store/x"), row(4, 1, "/b"))
    predicted = wanted(*rows)
    before, since = MountTable((FOUND, row(71, 70, "/b"))), MountTable((FOUND, row(72, 70, "/run/store", device="0:9")))
    (without,) = without_absent_store((predicted,), (before,), "0:9")
    assert ((rows[0], rows[3]), ("mount[0]", "mount[3]"), ("/", "/b")) == (
        without.table.rows,
        without.origins,
        without.names,
    )
    assert (predicted,) == without_absent_store((predicted,), (since,), "0:9")
    assert (predicted,) == without_absent_store((predicted,), (before,), "0:8")
    assert (predicted,) == without_absent_store((predicted,), (before,), "")


def test_a_filesystem_in_memory_that_is_read_only_below_a_mount_that_is_not_is_a_difference() -> None:
    """As far as a process is concerned, nothing was said of it."""
    row = MountRow(1, 0, "=t", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "t", "")
    wanted = View("", MountTable((row,)), asked={"=t": ()})
    found = View("", MountTable((row._replace(device="0:50", options="ro"),)))
    assert [("option ro", "not asked for", "set")] == [one[1:4] for one in differences([wanted], [found], None)]

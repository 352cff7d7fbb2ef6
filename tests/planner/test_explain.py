"""What explain answers, asked of tables that scripts have come to."""

from __future__ import annotations

import pytest

from mountplan.planner.ask.explain import Answer, ExplainedGroup, Explainer
from mountplan.planner.render.explained import answer_text, groups_text, origin_text
from mountplan.planner.shell.simulate import simulate
from mountplan.planner.tables.table import MountTable
from tests.kernel.model_processes import Sequence

FEED = """\
mkdir -p /srv/feed /copy
mount -t tmpfs f /srv/feed
mkdir -p /srv/feed/x
mount --make-shared /srv/feed
unshare -m --propagation slave sleep 9 &
mount --bind /srv/feed /copy
mount --make-slave /copy
mount --make-shared /copy
"""


def tables(script: str) -> tuple[tuple[str, MountTable], ...]:
    names = ("host", "inside", "deeper")
    return tuple(zip(names, (one.table for one in simulate(script).final), strict=False))


def effects(answer: Answer) -> list[str]:
    return [f"{one.spot.namespace}:{one.spot.path} {one.what}" for one in answer.effects]


def group_of(groups: tuple[ExplainedGroup, ...], path: str) -> ExplainedGroup:
    return next(group for group in groups if group.members[0].path == path)


def test_a_recursive_unmount_stops_where_a_counterpart_is_in_use() -> None:
    """The kernel asks peers and slaves as well, but for those with a mount in them, which stay."""
    script = "mkdir /a /b\nmount -t tmpfs a /a\nmkdir /a/x\nmount --make-shared /a\nmount --bind /a /b\n"
    script += "mount -t tmpfs x /a/x\nmkdir /a/x/y\nmount -t tmpfs y /a/x/y\n"
    here = tables(script)
    used = {row.mountpoint: {("host", row.mount_id): "sleep (7)"} for row in here[0][1].rows}
    explainer = Explainer(here)
    told = "EBUSY (Device or resource busy): sleep (7) has something of"
    assert f"it stops at /a/x/y: {told} /b/x/y" == explainer.unmount("/a", recursive=True, users=used["/b/x/y"]).refused
    assert f"it stops at /a/x: {told} /b/x" == explainer.unmount("/a", recursive=True, users=used["/b/x"]).refused
    assert f"it stops at /a: {told} it" == explainer.unmount("/a", recursive=True, users=used["/a"]).refused
    assert not explainer.unmount("/a", recursive=True, users=used["/b"]).refused
    assert not explainer.unmount("/a", recursive=True, lazy=True, users=used["/b/x"]).refused


def test_processes_that_cannot_be_seen_are_told_where_it_matters() -> None:
    explainer = Explainer(tables("mkdir /a; mount -t tmpfs a /a"))
    told = "whether processes of others use what goes: then it is EBUSY (Device or resource busy)"
    assert told in explainer.unmount("/a", unseen="processes of others").depends
    assert told not in explainer.unmount("/a", lazy=True, unseen="processes of others").depends


def test_a_group_knows_its_members_and_what_is_above_and_below_it() -> None:
    groups = Explainer(tables(FEED)).groups()
    feed = group_of(groups, "/srv/feed")
    assert [("host", "/srv/feed")] == [spot[:2] for spot in feed.members]
    assert [("host", "/copy"), ("inside", "/srv/feed")] == sorted(spot[:2] for spot in feed.below)
    assert (feed.number,) == group_of(groups, "/copy").above


def test_what_crosses_the_border_is_said_in_one_line_each_way() -> None:
    """Seen from inside, events come in and none goes out."""
    text = groups_text(Explainer(tables(FEED), "inside").groups(), "inside")
    assert "/srv/feed is a slave of group 1: it receives, and nothing leaves it" in text
    assert "Into inside from elsewhere: host -> /srv/feed" in text
    assert "Out of inside: nothing" in text


def test_a_namespace_that_shares_nothing_says_so() -> None:
    text = groups_text(Explainer(tables("mkdir /a\nmount -t tmpfs a /a\n")).groups(), "host")
    assert "Nothing in host is shared, and nothing in it is a slave: no event comes in, and none goes out.\n" == text


def test_a_mount_appears_everywhere_its_parent_propagates_to_with_the_reasons() -> None:
    answer = Explainer(tables(FEED)).mount("/srv/feed/x")
    assert ["host:/srv/feed/x appears", "host:/copy/x appears", "inside:/srv/feed/x appears"] == sorted(
        effects(answer), key=["host:/srv/feed/x appears", "host:/copy/x appears", "inside:/srv/feed/x appears"].index
    )
    chains = {one.spot[:2]: one.chain for one in answer.effects}
    assert ("it is the place itself",) == chains["host", "/srv/feed/x"]
    assert ("/srv/feed is in peer group 1", "/srv/feed in inside is a slave of group 1") == chains[
        "inside", "/srv/feed/x"
    ]


def test_a_mount_in_a_slave_stays_where_it_is() -> None:
    assert ["inside:/srv/feed/x appears"] == effects(Explainer(tables(FEED), "inside").mount("/srv/feed/x"))


def test_a_question_changes_nothing() -> None:
    explainer = Explainer(tables(FEED))
    groups = explainer.groups()
    first = explainer.mount("/srv/feed/x")
    assert first == explainer.mount("/srv/feed/x")
    explainer.start_again()
    assert groups == explainer.groups()


def test_what_is_mounted_there_already_comes_to_lie_on_top() -> None:
    script = FEED + "nsenter -t $! -m mount -t tmpfs own /srv/feed/x\n"
    answer = Explainer(tables(script)).mount("/srv/feed/x")
    assert "inside:/srv/feed/x appears below" in effects(answer)


UNDER = FEED + "mount -t tmpfs late /srv/feed/x\nmkdir /srv/feed/x/in\n"


def test_an_unmount_takes_the_counterparts() -> None:
    answer = Explainer(tables(UNDER)).unmount("/srv/feed/x")
    assert {
        "host:/srv/feed/x vanishes",
        "host:/copy/x vanishes",
        "inside:/srv/feed/x vanishes",
    } == set(effects(answer))
    assert "" == answer.refused


def test_an_unmount_in_a_slave_takes_only_what_is_there() -> None:
    assert ["inside:/srv/feed/x vanishes"] == effects(Explainer(tables(UNDER), "inside").unmount("/srv/feed/x"))


def test_a_busy_mount_is_explained_as_a_lazy_unmount() -> None:
    answer = Explainer(tables(UNDER + "mount -t tmpfs more /srv/feed/x/in\n")).unmount("/srv/feed/x")
    assert answer.refused.startswith("EBUSY")
    assert 1 == next(one.with_it for one in answer.effects if one.spot[:2] == ("host", "/srv/feed/x"))


CHAINS = """\
mkdir /a /b /c
mount -t tmpfs a /a
mkdir /a/c
mount --make-shared /a
mount -t tmpfs c /a/c
mkdir /a/c/d
mount --bind /a /b
mount --rbind /a/c /b/c
mount --make-private /
"""


def test_each_mount_of_the_tree_that_goes_takes_its_counterparts_along() -> None:
    """/ sends nothing, so /a stays; but /b/c goes with /b, and /b is a peer of /a."""
    answer = Explainer(tables(CHAINS)).unmount("/b", lazy=True)
    assert "" == answer.refused
    assert {
        "/b": ("it is the place itself",),
        "/a/c": ("/b/c goes with /b", "/b is in peer group 1", "/a is its peer"),
    } == {one.spot.path: one.chain for one in answer.effects if one.what == "vanishes"}


def test_a_recursive_unmount_takes_the_mounts_below_first() -> None:
    """Each of them by itself: none is in use then, as /b is if it is to go alone."""
    explainer = Explainer(tables(CHAINS))
    answer = explainer.unmount("/b", recursive=True)
    assert ("an unmount of /b and all below it", "") == (answer.event, answer.refused)
    assert {"/a/c", "/b"} == {one.spot.path for one in answer.effects}
    assert explainer.unmount("/b").refused.startswith("EBUSY")


def test_a_recursive_unmount_goes_by_age_and_may_meet_a_cover() -> None:
    """umount(8) begins with the oldest before 2.40, and then a path leads to what covers it."""
    script = "mkdir /a\nmount -t tmpfs a /a\nmkdir -p /a/b/c\nmount -t tmpfs c /a/b/c\nmount -t tmpfs b /a/b\n"
    explainer = Explainer(tables(script))
    assert not explainer.unmount("/a", recursive=True).refused
    assert "stops at /a/b/c" in explainer.unmount("/a", recursive=True, oldest_first=True).refused


def test_a_recursive_unmount_takes_what_covers_a_mount_before_the_rest_in_it() -> None:
    """umount(8) asks for it first, whichever of the others it then begins with."""
    script = "mkdir /a\nmount -t tmpfs a /a\nmkdir /a/b\nmount -t tmpfs b /a/b\nmkdir /a/b/c\nmount -t tmpfs c /a/b/c\n"
    explainer = Explainer(tables(f"{script}mount -t tmpfs cover /a/b\n"))
    assert not explainer.unmount("/a", recursive=True, oldest_first=True).refused


def test_a_recursive_unmount_begins_with_what_the_table_has_first_or_last_at_the_path() -> None:
    """What comes by propagation is put below what was there, and stands after it in the table."""
    script = "mkdir /a /b\nmount -t tmpfs a /a --make-shared\nmkdir /a/x\nmount --bind /a /b\nmount --make-slave /b\n"
    explainer = Explainer(tables(f"{script}mount -t tmpfs own /b/x\nmount -t tmpfs late /a/x\n"))
    gone = [explainer.unmount("/b/x", recursive=True, oldest_first=last).effects for last in (False, True)]
    assert [0, 1] == [one.with_it for (one,) in gone]


def test_what_goes_below_what_stays_is_not_counted_twice() -> None:
    """It has an effect of its own."""
    script = "mkdir /w\nmount -t tmpfs w /w\nmkdir -p /w/b /w/a/b/a /w/a/a/a\nmount --make-shared /w\n"
    script += "mount --rbind /w/a/b /w/a/a\nmount --rbind /w/a/b/a /w/a/a/a\nmount --bind /w/b /w/a/b/a\n"
    answer = Explainer(tables(script)).unmount("/w/a/a/a")
    assert [1, 1, 1, 1] == [one.with_it + 1 for one in answer.effects if one.what == "vanishes"]


def test_a_recursive_unmount_passes_over_what_has_gone_by_propagation() -> None:
    """umount(8) looks each up again: what went with a peer's is no reason to stop."""
    script = "mkdir /w\nmount -t tmpfs w /w\nmkdir /w/d /w/b\nmount -t tmpfs d /w/d\nmount -t tmpfs b /w/b\n"
    script += "mount --make-shared /w\nmount --rbind /w /w/d\n"
    explainer = Explainer(tables(script))
    assert not explainer.unmount("/w", recursive=True, oldest_first=True).refused
    (last,) = [one for one in simulate(script + "umount -R /w").final if one.table]
    assert ["/"] == [row.mountpoint for row in last.table.rows]


def test_every_unmount_of_every_tree_has_an_answer() -> None:
    """Whatever goes has a way on which that came, in trees that were made by chance."""
    elsewhere = 0
    for seed in range(60):
        stage = Sequence(seed).stage
        processes = {process.namespace: process for process in stage.processes.values()}.values()
        known = [(str(at), stage.world.table(process)) for at, process in enumerate(processes)]
        known = [(name, table) for name, table in known if table.rows and table.rows[0].mountpoint == "/"]
        if not known:
            continue
        explainer = Explainer(tuple(known))
        for path in {row.mountpoint for row in known[0][1].rows}:
            for lazy, recursive in ((False, False), (True, False), (False, True)):
                effects = explainer.unmount(path, lazy=lazy, recursive=recursive).effects
                assert all(one.chain and "it goes with what has gone" not in one.chain for one in effects)
                elsewhere += len(effects) > 1
    assert elsewhere > 100


def test_what_covers_a_mount_that_goes_sinks_to_where_that_was() -> None:
    script = FEED + "nsenter -t $! -m mount -t tmpfs own /srv/feed/x\nmount -t tmpfs late /srv/feed/x\n"
    answer = Explainer(tables(script)).unmount("/srv/feed/x")
    assert "inside:/srv/feed/x sinks" in effects(answer)


def test_what_the_kernel_would_refuse_is_refused_with_its_errno() -> None:
    answer = Explainer(tables(FEED)).unmount("/srv/feed/x")
    assert () == answer.effects
    assert answer.refused.startswith("EINVAL")
    assert "an unmount of /srv/feed/x would be refused: EINVAL" in answer_text(answer, "host")


@pytest.mark.parametrize(
    ("subject", "path", "reason"),
    [
        ("host", "/srv/feed/x", "it was mounted here, and went on from here to /srv/feed/x in inside"),
        ("host", "/copy/x", "it came from /srv/feed/x, which is older and its master"),
        ("inside", "/srv/feed/x", "it came from /srv/feed/x in host, which is older and its master"),
        ("inside", "/", "it is the root of the namespace"),
        ("host", "/srv/feed", "it was mounted here: its parent is private, so nothing can have come by propagation"),
        ("host", "/srv", "/srv is no mount point: it is a directory of the mount at /"),
    ],
)
def test_how_a_mount_came_is_told_by_ids_and_groups(subject: str, path: str, reason: str) -> None:
    known = tables(UNDER)
    ages = {name: {row.mount_id: row.mount_id for row in table.rows} for name, table in known}  # never reused there
    text = origin_text(Explainer(known, subject, ages=ages).why(path), subject)
    assert reason in text


@pytest.mark.parametrize(
    ("script", "subject", "path"),
    [
        ("mount --rbind /a /b", "host", "/b/x"),
        ("unshare -m --propagation slave sleep 9 &", "inside", "/a/x"),
        ("mount --bind /a /b\nunshare -m --propagation unchanged sleep 9 &", "inside", "/a/x"),
    ],
)
def test_what_is_there_with_its_parent_has_come_with_it(script: str, subject: str, path: str) -> None:
    """A recursive bind and a new namespace copy parents and what is mounted in them: no event has come anywhere."""
    begin = "mkdir /a /b\nmount -t tmpfs a /a\nmkdir /a/x\nmount --make-shared /a\nmount -t tmpfs x /a/x\n"
    known = tables(begin + script + "\n")
    ages = {name: {row.mount_id: row.mount_id for row in table.rows} for name, table in known}
    reason = Explainer(known, subject, ages=ages).why(path).reasons[0]
    assert reason.startswith("it came with its parent, which is younger than /a/x")


def test_of_which_the_age_is_not_known_it_is_told_only_where_it_must_have_come_from() -> None:
    """A slave sends nothing to its master; of two peers either may have been first."""
    inside = Explainer(tables(UNDER), "inside").why("/srv/feed/x")
    assert "it came from /srv/feed/x in host, which is its master: " in inside.reasons[0]
    peers = tables(UNDER.replace("--make-slave", "--make-shared"))
    (reason,) = Explainer(peers).why("/copy/x").reasons[:1]
    assert "which of the two was there first cannot be known" in reason


def test_a_master_that_no_table_shows_is_called_outside() -> None:
    """Only the inner namespace is known: that it receives is known all the same, and from where is not."""
    inside = tables(FEED)[1:]
    text = groups_text(Explainer(inside).groups(), "inside")
    assert "Into inside from elsewhere: outside -> /srv/feed" in text
    assert "Peer group 1: a mount outside of what is known here" in text


def test_a_chain_of_masters_is_told_link_by_link() -> None:
    script = (
        FEED
        + "nsenter -t $! -m mount --make-shared /srv/feed\nnsenter -t $! -m unshare -m --propagation slave sleep 9 &\n"
    )
    answer = Explainer(tables(script)).mount("/srv/feed/x")
    chain = next(one.chain for one in answer.effects if one.spot.namespace == "deeper")
    assert (
        "/srv/feed is in peer group 1",
        "group 3 is a slave of group 1",
        "/srv/feed in deeper is a slave of group 3",
    ) == chain

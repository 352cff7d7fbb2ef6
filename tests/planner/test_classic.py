"""What the same tree comes to if it is mounted in the order of the file: what propagation adds, and what is wrong."""

from __future__ import annotations

from mountplan import api
from mountplan.planner.ask.classic import Classic
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.render.foreseen import classic_line, classic_text
from tests.fakes import FakeHost, host_mount

HOST = FakeHost({"/srv/in": "directory"}, (host_mount(2, 1, "/srv", shared=5),))
ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
DATA = '[[mount]]\nid = "data"\ntarget = "/data"\ntype = "tmpfs"\npeer_group = "g"\n'
PEER = '[[mount]]\ntarget = "/peer"\nbind = { mount = "data" }\npeer_group = "g"\n'


def classic(text: str) -> Classic:
    return api.classic(api.plan(parse_spec(b"format = 1\n" + text.encode(), "test.toml"), HOST), HOST)


def test_what_is_mounted_in_a_member_appears_in_its_peers() -> None:
    """One mount in one of two peers: the other gets a copy that nobody asked for, and both become shared."""
    inside = '[[mount]]\ntarget = "/data/in"\ntype = "tmpfs"\n'
    found = classic("[peer_group.g]\n" + ROOT + DATA + PEER + inside)
    assert (4, 1, ("/peer/in",), 0, False) == (found.wanted, found.added, found.places, found.on_host, found.endless)
    assert () == found.wrong
    assert "propagation would add 1 mount; 0 of 4 mounts would not be as written" in classic_line(found)


def test_the_same_with_the_peer_mounted_last_adds_nothing() -> None:
    """The order of the lines decides: a peer that is bound later has nothing in it."""
    found = classic("[peer_group.g]\n" + ROOT + DATA + '[[mount]]\ntarget = "/data/in"\ntype = "tmpfs"\n' + PEER)
    assert (0, ()) == (found.added, found.wrong)
    assert "  it would come out the same: propagation adds nothing" == classic_line(found)


def test_peers_without_a_common_ancestor_cannot_be_bound_from_each_other() -> None:
    whole = '[[mount]]\nid = "w"\ntarget = "/w"\ntype = "tmpfs"\n'
    peers = "".join(
        f'[[mount]]\ntarget = "/{one}"\nbind = {{ mount = "w", path = "/{one}" }}\npeer_group = "g"\n' for one in "ab"
    )
    files = "".join(f'[[mount.file]]\npath = "{one}"\ndirectory = true\n' for one in "ab")
    found = classic("[peer_group.g]\n" + ROOT + whole + files + peers)
    assert (("/b", "is in another peer group"),) == found.wrong


def test_a_child_that_stands_before_its_parent_in_the_file_is_covered() -> None:
    found = classic('[[mount]]\ntarget = "/a/b"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n' + ROOT)
    assert {"/a", "/a/b"} == {place for place, _ in found.wrong}


def test_what_crosses_to_the_host_is_counted_by_itself() -> None:
    """A tree with a peer of the host's cannot make all private first, and mounts on the host as well."""
    feed = '[[mount]]\ntarget = "/feed"\nbind = "/srv"\npeer_group = "feed"\n'
    inside = '[[mount]]\ntarget = "/feed/in"\ntype = "tmpfs"\n'
    found = classic('[peer_group.feed]\nhost = "/srv"\n' + ROOT + feed + inside)
    assert (1, "/srv/in on the host") == (found.on_host, found.places[0])
    assert "1 of them on the host" in classic_line(found)


def test_copies_of_copies_end_at_a_limit() -> None:
    """Each bind of a shared mount into itself doubles what is there: fourteen would make 16,383 mounts."""
    binds = "".join(
        f'[[mount]]\ntarget = "/data/{number}"\nbind = {{ mount = "data" }}\npeer_group = "g"\n' for number in range(14)
    )
    found = classic("[peer_group.g]\n" + ROOT + DATA + binds)
    assert found.endless
    assert 1000 < found.added < 3000
    assert "given up after propagation had added" in classic_text(found)


def test_the_details_tell_places_and_what_is_wrong_and_fold_long_lists() -> None:
    places = tuple(f"/p{number}" for number in range(30))
    text = classic_text(Classic(31, 30, places, 0, (("/a", "is shared"),), False))
    assert "  ... and 10 more (--all shows them)\n" in text
    assert "Of 31 mounts, 1 would not be as written:\n  /a  is shared\n" in text
    assert "more" not in classic_text(Classic(31, 30, places, 0, (), False), everything=True)


def test_attributes_reach_what_a_recursive_bind_brings_along_if_they_are_to() -> None:
    """mount --rbind -o ro=recursive, in effect; without that the tree would be another one."""
    host = FakeHost({}, (host_mount(2, 1, "/srv"), host_mount(3, 2, "/srv/in")))
    bind = '[[mount]]\ntarget = "/b"\nbind = "/srv"\nrecursive = true\nattributes = ["ro"]\n'
    for more in ("", "recursive_attributes = false\n"):
        text = f"format = 1\n{ROOT}{bind}{more}"
        found = api.classic(api.plan(parse_spec(text.encode(), "test.toml"), host), host)
        assert ((), 0) == (found.wrong, found.added)

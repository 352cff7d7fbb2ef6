"""Mistakes about user namespaces: whose they are, what their owners cannot undo, and who is a peer of whom."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, mistakes, one, tmpfs

USER = "[namespace.user]\nuids = [[0, 100000, 5]]\ngids = [[0, 200000, 5]]\n"
KEEPS = ROOT + 'locked = "attributes"\n'
PEERS = "{ mount = " + '"a" }'


def namespace(name: str, user: str, mounts: str) -> str:
    return f'[[namespace]]\nname = "{name}"\n{user}' + mounts.replace("[[mount]]", "[[namespace.mount]]")


def of(name: str) -> str:
    return f'[namespace.user]\nof = "{name}"\n'


def within(name: str) -> str:
    return f'{USER}within = "{name}"\n'


def peers(*users: str) -> str:
    """Two namespaces of these users, with a mount each in group g."""
    first, second = users
    return namespace("a", first, ROOT + tmpfs("/a", 'peer_group = "g"\nid = "a"')) + namespace(
        "b", second, tmpfs("/") + bind("/b", PEERS, 'peer_group = "g"')
    )


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "the user of a namespace that is not there",
            namespace("a", of("bb"), ROOT) + namespace("b", USER, tmpfs("/")),
            "namespace[0].user.of",
            'there is no namespace "bb"',
            'did you mean "b"?',
        ),
        one(
            "within one that is not there",
            namespace("a", within("nowhere"), ROOT),
            "namespace[0].user.within",
            'there is no namespace "nowhere"',
            "name a [[namespace]] that has a user",
        ),
        one(
            "the user of a namespace that has none",
            namespace("a", of("b"), ROOT) + namespace("b", "", tmpfs("/")),
            "namespace[0].user.of",
            'namespace "b" belongs to the user namespace in which it is built',
            "leave this user out, which is the same; or give that namespace a user",
        ),
        one(
            "within that of a namespace that has none",
            namespace("a", within("b"), ROOT) + namespace("b", "", tmpfs("/")),
            "namespace[0].user.within",
            'namespace "b" belongs to the user namespace in which it is built',
            "leave within out, which is the same; or give that namespace a user",
        ),
        one(
            "within itself by a detour",
            namespace("a", within("b"), ROOT) + namespace("b", within("a"), tmpfs("/")),
            "namespace[0].user.within",
            "user namespaces go in a circle: a, b, a",
            "say of one of them what ids it has",
        ),
        one(
            "a lock where there is no other user",
            ROOT + tmpfs("/a", "locked = true"),
            "mount[1].locked",
            "only what belongs to another user can be locked",
            "leave it out, or give the namespace a user",
        ),
        one(
            "a locked root",
            namespace("a", USER, ROOT + "locked = true\n"),
            "namespace[0].mount[0].locked",
            "it can be unmounted with what it stands on: it is the root",
            'write locked = "attributes"',
        ),
        one(
            "a lock on what is not locked",
            namespace("a", USER, ROOT + tmpfs("/a", "locked = true")),
            "namespace[0].mount[1].locked",
            "it can be unmounted with what it stands on: what it stands on, root, is not",
            'write locked = "attributes", or lock root as well',
        ),
        one(
            "a mount whose mountpoint is covered by what is locked",
            namespace("a", USER, KEEPS + tmpfs("/a/b", 'parent = "root"') + tmpfs("/a", "locked = true")),
            "namespace[0].mount[1]",
            "a:/a covers its mountpoint, and is locked, so it stands before",
            "lock it as well, or do not lock a:/a",
        ),
        one(
            "a covered mount that something stands on",
            namespace(
                "a",
                USER,
                KEEPS
                + tmpfs("/a", 'id = "low"\nlocked = true')
                + tmpfs("/a/x", 'parent = "low"')
                + tmpfs("/a", "locked = true"),
            ),
            "namespace[0].mount[1].locked",
            "a:/a covers it, and is locked as well: nothing can get at it any more",
            "leave out what stands on it, and its peer group",
        ),
        one(
            "peers of two users",
            "[peer_group.g]\n" + peers("", USER),
            "namespace[1].mount[1].peer_group",
            'peer group "g" reaches into a user namespace: who is root in b could mount on the outside',
            'write master = "g" to receive only, or across_user_namespaces = true in [peer_group.g]',
        ),
    ],
)
def test_a_mistake_about_owners_is_told_with_its_place_and_remedy(text: str, key: str, what: str, remedy: str) -> None:
    ((place, told, advice),) = mistakes(text)
    assert (key, True, remedy) == (place, what in told, advice)


def test_namespaces_that_are_of_each_other_are_each_told() -> None:
    found = mistakes(namespace("a", of("b"), ROOT) + namespace("b", of("a"), tmpfs("/")))
    assert ["namespace[0].user.of", "namespace[1].user.of"] == [key for key, _, _ in found]


@pytest.mark.parametrize(
    "text",
    [
        namespace("a", USER, ROOT + tmpfs("/a", 'locked = "attributes"')),
        namespace("a", USER, KEEPS + tmpfs("/a", 'id = "low"\nlocked = true') + tmpfs("/a", "locked = true")),
        namespace("a", USER, KEEPS + tmpfs("/b", "locked = true") + tmpfs("/a/b", 'parent = "root"')),
        "[peer_group.g]\nacross_user_namespaces = true\n" + peers("", USER),
        "[peer_group.g]\n" + peers(USER, of("a")),
    ],
)
def test_what_can_be_locked_or_shared_is_no_mistake(text: str) -> None:
    assert [] == mistakes(text)

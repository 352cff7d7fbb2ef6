"""explain --reaches: whether a mount shows on another side, and if not, what is in the way."""

from __future__ import annotations

import pytest

from mountplan.planner.ask.explain import Explainer
from mountplan.planner.ask.reach import Reach, reach
from mountplan.planner.shell.simulate import simulate

BEGIN = "mkdir -p /a /b\nmount -t tmpfs x /a\nmkdir /a/d /a/e\n"
SHARED = BEGIN + "mount --make-shared /a\n"


def asked(script: str, path: str = "/a/d", *, of: str = "host", other: str = "inside") -> Reach:
    tables = tuple(zip(("host", "inside"), (one.table for one in simulate(script).final), strict=True))
    return reach(Explainer(tables, of), path, other)


@pytest.mark.parametrize("kind", ["unchanged", "slave"])
def test_what_reaches_it_says_where_and_how(kind: str) -> None:
    found = asked(f"{SHARED}unshare -m --propagation {kind} sleep 9 &\n")
    assert [("inside", "/a/d")] == [one.spot[:2] for one in found.effects]
    assert () == found.obstacles


@pytest.mark.parametrize(
    ("script", "path", "of", "why", "remedy"),
    [
        (BEGIN + "unshare -m --propagation unchanged sleep 9 &\n", "/a/d", "host",
         "/a is private: nothing leaves it",
         ("mount --make-shared /a, then give the other side a new bind of it in the place of /a in inside:"
         " what is a copy already stays as it is")),
        (SHARED + "unshare -m sleep 9 &\n", "/a/d", "host",
         "/a in inside is private: nothing comes into it, though /a sends to group 1",
         "bind /a anew in the place of /a in inside, and make that at most a slave (mount --make-slave)"),
        (SHARED + "unshare -m --propagation slave sleep 9 &\n", "/a/d", "inside",
         "/a is a slave of group 1, which /a in host is in: events go from /a in host to /a and not back",
         ("have both sides be peers (rshared in the place of rslave, Bidirectional of HostToContainer), made so before"
         " the one is a copy of the other")),
        (SHARED + "unshare -m --propagation unchanged sh -c 'umount /a; sleep 9' &\n", "/a/d", "host",
         "inside has no mount of the filesystem that /a shows (tmpfs from x)",
         "give inside a bind of /a, or of a directory above /a/d in it"),
        (SHARED + "unshare -m sh -c 'mount --bind /a/e /b; umount /a; sleep 9' &\n", "/a/d", "host",
         "inside has other parts of that filesystem only, at /b in inside for one: /a/d is not in them",
         "give inside a bind of /a, or of a directory above /a/d in it"),
        (SHARED + "mount --make-slave /a; mount --bind /a /b; mount --make-shared /b; mount --make-slave /a\n"
         "unshare -m sh -c 'mount --make-shared /a; sleep 9' &\n", "/a/d", "host",
         "/a is private: nothing leaves it",
         ("mount --make-shared /a, then give the other side a new bind of it in the place of /a in inside:"
         " what is a copy already stays as it is")),
        (SHARED + "unshare -m sh -c 'mount --make-shared /a; sleep 9' &\n", "/a/d", "host",
         "/a in inside is in group 2: group 1, to which /a sends, is not above it",
         "bind /a anew in the place of /a in inside; or join its group by move_mount(2) with MOVE_MOUNT_SET_GROUP"),
    ],
)  # fmt: skip
def test_what_does_not_reach_it_names_the_mount_in_the_way(
    script: str, path: str, of: str, why: str, remedy: str
) -> None:
    other = "inside" if of == "host" else "host"
    found = asked(script, path, of=of, other=other)
    assert () == found.effects
    assert [(why, remedy)] == [one[1:] for one in found.obstacles]


def test_a_slave_that_is_no_master_sends_nothing() -> None:
    script = SHARED + "mount --bind /a /b\nmount --make-slave /b\nunshare -m --propagation slave sleep 9 &\n"
    found = asked(script, "/b/d")
    assert {"/b is a slave only: it receives from group 1, and nothing leaves it"} == {
        one.why for one in found.obstacles
    }

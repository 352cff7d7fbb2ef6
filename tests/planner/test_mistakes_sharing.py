"""Mistakes about peer groups, masters and namespaces."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, mistakes, one, tmpfs


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a peer group that nobody declares",
            ROOT + tmpfs("/a", 'peer_group = "g"'),
            "mount[1].peer_group",
            'there is no peer group "g"',
            "add a table [peer_group.g]",
        ),
        one(
            "a path of the host in the place of a peer group",
            ROOT + bind("/a", '"/other"', 'master = "/srv/shared"'),
            "mount[1].master",
            'there is no peer group "/srv/shared"',
            'add a table [peer_group.NAME] with host = "/srv/shared", and write that NAME here',
        ),
        one(
            "a peer group whose name needs quotes",
            ROOT + tmpfs("/a", 'peer_group = "a.b"'),
            "mount[1].peer_group",
            'there is no peer group "a.b"',
            'add a table [peer_group."a.b"]',
        ),
        one(
            "a peer group with a slip in it",
            "[peer_group.feed]\n" + ROOT + tmpfs("/a", 'peer_group = "feed"') + tmpfs("/b", 'master = "fede"'),
            "mount[2].master",
            'there is no peer group "fede"',
            'did you mean "feed"?',
        ),
        one(
            "a master that nobody declares",
            '[peer_group.g]\nmaster = "nobody"\n' + ROOT + tmpfs("/a", 'peer_group = "g"'),
            "peer_group.g.master",
            'there is no peer group "nobody"',
            "add a table [peer_group.nobody]",
        ),
        one(
            "masters in a circle",
            '[peer_group.g]\nmaster = "h"\n[peer_group.h]\nmaster = "g"\n'
            + ROOT
            + tmpfs("/a", 'peer_group = "g"')
            + bind("/b", '{ mount = "root" }', 'peer_group = "h"'),
            "peer_group.g.master",
            'masters go in a circle: "g" receives from "h", "h" receives from "g"',
            "a group cannot receive from itself; take one master out",
        ),
        one(
            "a group that receives from itself",
            '[peer_group.g]\nmaster = "g"\n' + ROOT + tmpfs("/a", 'peer_group = "g"'),
            "peer_group.g.master",
            'masters go in a circle: "g" receives from "g"',
            "a group cannot receive from itself; take one master out",
        ),
        one(
            "peers on different filesystems",
            "[peer_group.g]\n" + ROOT + tmpfs("/a", 'peer_group = "g"') + tmpfs("/b", 'peer_group = "g"'),
            "peer_group.g",
            '/a and /b cannot share events through "g": they are on different filesystems (fs:/a and fs:/b)',
            "peers and slaves show one filesystem, so bind them from one mount",
        ),
        one(
            "a slave on another filesystem than its master",
            "[peer_group.g]\n" + ROOT + tmpfs("/a", 'peer_group = "g"') + tmpfs("/b", 'master = "g"'),
            "peer_group.g",
            '/a and group "slaves of g" cannot share events through "g": '
            "they are on different filesystems (fs:/a and fs:/b)",
            "peers and slaves show one filesystem, so bind them from one mount",
        ),
        one(
            "a peer with a master of its own",
            "[peer_group.g]\n[peer_group.h]\n"
            + ROOT
            + tmpfs("/a", 'id = "a"\npeer_group = "g"\nmaster = "h"')
            + bind("/b", '{ mount = "a" }', 'peer_group = "h"'),
            "mount[1].master",
            'a is in peer group "g", and all peers of a group have one master',
            'write master = "h" in [peer_group.g], and leave it out here',
        ),
        one(
            "a group that nobody is in",
            "[peer_group.g]\n" + ROOT,
            "peer_group.g",
            'no mount is in peer group "g"',
            "take it out, or name it in a mount's peer_group or master",
        ),
        one(
            "unbindable in a group",
            "[peer_group.g]\n" + ROOT + tmpfs("/a", 'peer_group = "g"\nunbindable = true'),
            "mount[1].unbindable",
            "an unbindable mount is private, and so in no group",
            "leave out unbindable, or the group",
        ),
        one(
            "an external group that is not there",
            '[peer_group.g]\nhost = "/missing"\n' + ROOT + bind("/a", '"/srv/shared"', 'master = "g"'),
            "peer_group.g.host",
            'host path "/missing": no such file or directory',
            "name a path on the host that exists",
        ),
        one(
            "an external group without a host mount behind it",
            '[peer_group.g]\nhost = "/data"\n' + ROOT + bind("/a", '"/data"', 'master = "g"'),
            "peer_group.g.host",
            'no peer group is behind "/data": the host\'s mount there (/) is private',
            "make it shared on the host: mount --make-shared /",
        ),
        one(
            "an external group at a mount that is only a slave",
            '[peer_group.g]\nhost = "/srv/slave"\n' + ROOT + bind("/a", '"/srv/slave"', 'peer_group = "g"'),
            "peer_group.g.host",
            'no peer group is behind "/srv/slave": '
            "the host's mount there (/srv/slave) is a slave, but not shared itself",
            "make it shared on the host: mount --make-shared /srv/slave",
        ),
        one(
            "an external group with a master",
            '[peer_group.h]\nhost = "/srv/shared"\n[peer_group.g]\nhost = "/srv/shared"\nmaster = "h"\n'
            + ROOT
            + bind("/a", '"/srv/shared"', 'peer_group = "g"'),
            "peer_group.g.master",
            "a group of the host has the master that it has there",
            "leave out master, or host",
        ),
        one(
            "a member of an external group on another filesystem",
            '[peer_group.g]\nhost = "/srv/shared"\n' + ROOT + bind("/a", '"/data"', 'peer_group = "g"'),
            "peer_group.g",
            'the host\'s mount and /a cannot share events through "g": '
            "they are on different filesystems (host:8:2 and host:8:1)",
            "peers and slaves show one filesystem, so bind them from one mount",
        ),
        one(
            "a member that shows more than the external group's mount",
            '[peer_group.g]\nhost = "/srv/part"\n' + ROOT + bind("/a", '"/srv/part2"', 'peer_group = "g"'),
            "peer_group.g.host",
            'the host\'s mount at "/srv/part" shows /deep/a of its filesystem, but members of the group show /deep/b',
            "name a host mount of that group that shows more, or bind the members from below it",
        ),
        one(
            "a group over host directories of which the host shows no common one",
            "[peer_group.g]\n"
            + ROOT
            + bind("/a", '"/srv/part"', 'peer_group = "g"')
            + bind("/b", '"/srv/part2"', 'peer_group = "g"'),
            "mount[1]",
            "no mount on the host shows /deep of the filesystem 8:9, which the members of a group have in common",
            "mount a wider part of that filesystem on the host first",
        ),
    ],
)
def test_wrong_sharing_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "mounts inside and outside of namespaces",
            ROOT + '[[namespace]]\nname = "n"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"',
            "mount[0]",
            "there are mounts both in namespaces and outside of them",
            "put each [[mount]] into a namespace: [[namespace.mount]]",
        ),
        one(
            "and a bind of one outside: its id is there",
            ROOT
            + tmpfs("/o", 'id = "o"')
            + '[[namespace]]\nname = "n"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
            + '[[namespace.mount]]\ntarget = "/i"\nbind = { mount = "o" }',
            "mount[0]",
            "there are mounts both in namespaces and outside of them",
            "put each [[mount]] into a namespace: [[namespace.mount]]",
        ),
        one(
            "two namespaces with one name",
            '[[namespace]]\nname = "n"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n' * 2,
            "namespace[1].name",
            'there are two namespaces "n"',
            "give each a name of its own",
        ),
        one(
            "a parent in another namespace",
            '[[namespace]]\nname = "n"\n[[namespace.mount]]\nid = "x"\ntarget = "/"\ntype = "tmpfs"\n'
            '[[namespace]]\nname = "m"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
            '[[namespace.mount]]\ntarget = "/a"\ntype = "tmpfs"\nparent = "x"',
            "namespace[1].mount[1].parent",
            "x is in another namespace",
            "name a mount of the same namespace as parent",
        ),
        one(
            "a root that cannot be built",
            '[[mount]]\ntarget = "/"\nunsupported = "no idea"',
            "mount[0].unsupported",
            "the root of the namespace cannot be left out",
            "say how it can be built",
        ),
    ],
)
def test_a_wrong_namespace_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)

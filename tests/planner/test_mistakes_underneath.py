"""Mistakes about `contents = "underneath"`, images in mounts, partitions, and what recursive binds bring along."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, image, mistakes, one, tmpfs

IN = 'contents = "underneath"'
DATA = ROOT + bind("/b", '"/data"')
PARTITION = "write its offset and size (sfdisk --json tells them), or leave it out"


def ext4(image: str) -> str:
    return f'[[mount]]\ntarget = "/i"\ntype = "ext4"\nimage = {image}\n'


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a root that covers nothing",
            ROOT.replace('id = "root"', IN),
            "mount[0].contents",
            "it covers nothing",
            "name the directory that it shall begin with",
        ),
        one(
            "a place where nothing is declared",
            ROOT + tmpfs("/a", IN),
            "mount[1].contents",
            "it covers nothing: no [[mount.file]] of root, which the spec makes, is there",
            "declare it there, or name a directory of the host, or leave contents out",
        ),
        one(
            "what the kernel fills",
            ROOT + '[[mount]]\ntarget = "/p"\ntype = "proc"\n' + tmpfs("/p/sys", IN),
            "mount[2].contents",
            "what it covers is in /p, which the spec makes, and not known before that is mounted",
            "name the directory of the host that it shall begin with, or write [[mount.file]]",
        ),
        one(
            "what a bind does not bring along",
            ROOT + bind("/b", '"/srv"') + tmpfs("/b/shared", IN),
            "mount[2].contents",
            'on the host something is mounted on "/srv/shared", which the bind does not bring along',
            'write recursive = true on mount[1], or contents = "/srv/shared"',
        ),
        one(
            "a file that is there already",
            DATA + tmpfs("/b/dir", IN) + '[[mount.file]]\npath = "sub"\ndirectory = true\n',
            "mount[2].file[0].path",
            "/sub is in what it covers already",
            "leave it out here",
        ),
        one(
            "a read-only path that is not there",
            DATA + tmpfs("/b/dir", IN + '\nreadonly = ["none"]'),
            "mount[2].readonly[0]",
            'there is no "/none" in "/data/dir"',
            "correct the path, or leave it out",
        ),
        one(
            "sharing of nothing",
            ROOT + bind("/b", '"/srv"', 'recursive_sharing = "slave"'),
            "mount[1].recursive_sharing",
            "nothing is brought along: the bind is not recursive",
            "add recursive = true, or leave it out",
        ),
        one(
            "slaves below a bind that is none",
            ROOT + bind("/b", '"/srv/shared"', 'recursive = true\nrecursive_sharing = "slave"'),
            "mount[1].recursive_sharing",
            'would be private, and only what is below it would not: the host\'s mount at "/srv/shared" is shared',
            'add master = "NAME", and a table [peer_group.NAME] with host = "/srv/shared"',
        ),
        one(
            "peers below a bind that is none",
            ROOT + bind("/b", '"/srv/shared"', 'recursive = true\nrecursive_sharing = "peer"'),
            "mount[1].recursive_sharing",
            'the host\'s mount at "/srv/shared" is shared',
            'add peer_group = "NAME", and a table [peer_group.NAME] with host = "/srv/shared"',
        ),
        one(
            "slaves below a bind of a slave",
            ROOT + bind("/b", '"/srv/slave"', 'recursive = true\nrecursive_sharing = "slave"'),
            "mount[1].recursive_sharing",
            'the host\'s mount at "/srv/slave" is a slave',
            "make it shared on the host: mount --make-shared /srv/slave; then name its group",
        ),
        one(
            "an image with a source",
            ROOT + image("/i", 'source = "x"'),
            "mount[1].source",
            "the source of an image is the loop device that it is behind",
            "leave it out",
        ),
        *(
            one(
                f"a partition and {word}",
                ROOT + ext4(f'{{ path = "/img", partition = 1, {more} }}'),
                "mount[1].image.partition",
                f"a partition is looked up when it is planned, and goes with no {word}",
                PARTITION,
            )
            for word, more in (("offset", "offset = 5"), ("size", "size = 5"), ("mount", 'mount = "root"'))
        ),
        one(
            "a partition where there is no table",
            ROOT + ext4('{ path = "/img", partition = 1 }'),
            "mount[1].image.partition",
            '"/img": there is no partition table in it',
            "write offset and size, or leave out partition",
        ),
        one(
            "an image whose path is relative",
            ROOT + ext4('{ path = "img" }'),
            "mount[1].image",
            '"img" is not absolute',
            'write "/img", a path of the host',
        ),
        one(
            "a directory as image",
            ROOT + ext4('"/data"'),
            "mount[1].image",
            '"/data" is a directory',
            "name an image file",
        ),
        one(
            "an image that is in no mount",
            ROOT + ext4('{ path = "img", mount = "root" }'),
            "mount[1].image",
            'nothing provides "/img" in root',
            'declare it there: [[mount.file]] with path = "/img" and source = "/path/on/the/host"',
        ),
        one(
            "a directory of the host as image, through a bind",
            ROOT + bind("/b", '"/"', 'id = "h"') + ext4('{ path = "data", mount = "h" }'),
            "mount[2].image",
            '"/data" is a directory',
            "name an image file",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(text: str, key: str, what: str, remedy: str) -> None:
    ((place, told, advice),) = mistakes(text)
    assert (key, True, remedy) == (place, what in told, advice)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DATA + tmpfs("/b/none", IN), '"/data/none": no such file or directory'),
        (DATA + tmpfs("/b/file", IN), '"/data/file" on the host is a file, not a directory'),
    ],
)
def test_what_is_no_directory_cannot_be_begun_with(text: str, told: str) -> None:
    assert any(told in what for key, what, _ in mistakes(text) if key == "mount[2].contents")


@pytest.mark.parametrize(
    "text",
    [
        ROOT + '[[mount.file]]\npath = "a"\ndirectory = true\n' + tmpfs("/a", IN),
        DATA + tmpfs("/b/dir", IN),
        DATA + tmpfs("/b/dir", IN) + '[[mount.file]]\npath = "new"\n',
        DATA + tmpfs("/b/dir", IN + '\nreadonly = ["sub"]'),
        ROOT + bind("/b", '"/srv"', "recursive = true") + tmpfs("/b/shared", IN),
        ROOT + bind("/b", '"/"', 'id = "h"') + ext4('{ path = "img", mount = "h" }'),
        ROOT + ext4('{ path = "/img", offset = 5, size = 512 }'),
    ],
)
def test_what_can_be_is_no_mistake(text: str) -> None:
    assert [] == mistakes(text)

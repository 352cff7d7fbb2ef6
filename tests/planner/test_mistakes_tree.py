"""Mistakes about paths: what is bound, where it is mounted, and the files and masks that are in it."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, mistakes, one, tmpfs


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a host path that is not there",
            ROOT + bind("/a", '"/missing"'),
            "mount[1].bind",
            'host path "/missing": no such file or directory',
            "create it on the host first, name a path that exists, or leave it out here with optional = true",
        ),
        one(
            "mounts made from each other",
            ROOT + bind("/a", '{ mount = "y" }', 'id = "x"') + bind("/b", '{ mount = "x" }', 'id = "y"'),
            "mount[2].bind",
            "mounts are made from each other in a circle: x is made from y, y is made from x",
            "one of them must be a filesystem of its own (type = ...) or a host path",
        ),
        one(
            "a path that is made, below a file",
            ROOT
            + tmpfs("/d", 'id = "d"\n[[mount.file]]\npath = "x"')
            + bind("/a", '{ mount = "d", path = "/x/missing" }'),
            "mount[2].bind",
            '"/x/missing" in d lies below /x, which mount[1].file[0] makes a file',
            "name another path",
        ),
        one(
            "a file that is a directory",
            ROOT
            + tmpfs("/d", 'id = "d"\n[[mount.file]]\npath = "x"\ndirectory = true')
            + bind("/a", '{ mount = "d", path = "/x", file = true }'),
            "mount[2].bind",
            '"/x" in d has to be a file, but mount[1].file[0] makes it a directory',
            "name another path, or leave out file",
        ),
        one(
            "a file that is the root",
            ROOT + tmpfs("/d", 'id = "d"') + bind("/a", '{ mount = "d", file = true }'),
            "mount[2].bind",
            '"/" in d is the root of the filesystem, which is a directory',
            "name another path, or leave out file",
        ),
        one(
            "a file that would be made in a filesystem of the kernel's",
            ROOT
            + '[[mount]]\nid = "p"\ntarget = "/p"\ntype = "proc"\n'
            + bind("/a", '{ mount = "p", path = "/x", file = true }'),
            "mount[2].bind.file",
            "nothing can be created in a proc",
            "leave out file",
        ),
        one(
            "a source that the spec itself hides",
            ROOT
            + tmpfs("/d", 'id = "d"\n[[mount.file]]\npath = "in/x"')
            + tmpfs("/d/in", 'id = "cover"')
            + bind("/a", '{ mount = "d", path = "/in/x" }'),
            "mount[3].bind",
            '"/in/x" in d is hidden by cover (mount[2])',
            'bind { mount = "cover", path = "/x" } to get what is seen there, '
            "or add hidden = true to get what is underneath",
        ),
        one(
            "a source that a mount without id hides",
            ROOT + tmpfs("/d", 'id = "d"') + tmpfs("/d/in") + bind("/a", '{ mount = "d", path = "/in" }'),
            "mount[3].bind",
            '"/in" in d is hidden by /d/in (mount[2])',
            'bind { mount = "ID of mount[2]", path = "/" } to get what is seen there, '
            "or add hidden = true to get what is underneath",
        ),
        one(
            "a source that the spec masks",
            ROOT
            + tmpfs("/d", 'id = "d"\nmask = ["in"]\n[[mount.file]]\npath = "in/x"')
            + bind("/a", '{ mount = "d", path = "/in/x" }'),
            "mount[2].bind",
            '"/in/x" in d is hidden by a mask (mount[1].mask[0])',
            "add hidden = true to show in another place what is masked in this one",
        ),
        one(
            "a path of the host that would be removed",
            ROOT + bind("/d", '"/data"', 'id = "d"') + bind("/a", '{ mount = "d", path = "/dir", deleted = true }'),
            "mount[2].bind.deleted",
            '"/dir" in d is the host\'s, of which nothing is removed',
            "leave deleted out, or bind from a filesystem that the spec makes",
        ),
        one(
            "a removed path in a filesystem that is to be read-only",
            ROOT
            + tmpfs("/d", 'id = "d"\noptions = { ro = true }')
            + bind("/a", '{ mount = "d", path = "/x", deleted = true }'),
            "mount[2].bind.deleted",
            "the kernel makes no filesystem read-only of which something removed is shown: d",
            'leave deleted out, or make its mounts read-only instead: attributes = ["ro"]',
        ),
        one(
            "the root of a filesystem that would be removed",
            ROOT + tmpfs("/d", 'id = "d"') + bind("/a", '{ mount = "d", path = "/", deleted = true }'),
            "mount[2].bind.deleted",
            "the root of d cannot be removed from it",
            "leave deleted out, or name a path below it",
        ),
        one(
            "a path of the host that leads through a file",
            ROOT + bind("/a", '"/data/file/x"'),
            "mount[1].bind",
            'host path "/data/file/x": not a directory',
            "correct the path: a part of it that is not the last is a file",
        ),
        one(
            "a mountpoint that is to be made where nothing can be",
            ROOT + bind("/p", '"/proc"') + tmpfs("/p/new", "create = true"),
            "mount[2].target",
            '"/proc/new" is not there, and in proc nothing can be made',
            "name what is there, or mount it elsewhere",
        ),
        one(
            "a path in a host bind on which the host has another mount",
            ROOT + bind("/d", '"/srv"', 'id = "d"') + bind("/a", '{ mount = "d", path = "/shared" }'),
            "mount[2].bind",
            'on the host something is mounted on "/srv/shared", which d does not bring along',
            'write bind = "/srv/shared", if that is meant',
        ),
    ],
)
def test_a_wrong_source_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a new root that no mount is",
            'root = "new"\n' + tmpfs("/a"),
            "root",
            'no mount has the target "/", so there is no new root',
            'add a [[mount]] with target = "/", or write root = "inherit"',
        ),
        one(
            "mounts that stand on each other",
            ROOT + tmpfs("/a", 'id = "x"\nparent = "y"') + tmpfs("/a", 'id = "y"\nparent = "x"'),
            "mount[2].parent",
            "y and x stand on each other",
            "one of them needs another parent",
        ),
        one(
            "a mount that is its own parent",
            ROOT + tmpfs("/a", 'id = "x"\nparent = "x"'),
            "mount[1].parent",
            "x and x stand on each other",
            "one of them needs another parent",
        ),
        one(
            "a parent that stands nowhere",
            ROOT
            + '[[mount]]\nid = "pool"\ntype = "tmpfs"\n'
            + bind("/a", '{ mount = "pool" }')
            + tmpfs("/b", 'parent = "pool"'),
            "mount[3].parent",
            "pool has no target, so nothing can stand on it",
            "give it a target, or name another parent",
        ),
        one(
            "a target outside of its parent",
            ROOT + tmpfs("/a", 'id = "x"') + tmpfs("/b/c", 'parent = "x"'),
            "mount[2].target",
            '"/b/c" is not below "/a", where its parent x stands',
            "a target is read within its parent's path",
        ),
        one(
            "a symlink of the spec on the way",
            ROOT + '[[mount.file]]\npath = "bin"\nsymlink = "usr/bin"\n' + tmpfs("/bin/x"),
            "mount[1].target",
            '"/bin" is a symlink to "usr/bin"',
            'write the path it leads to, or on_symlink = "follow" (it never leaves the new root)',
        ),
        one(
            "a symlink of the host on the way",
            ROOT + bind("/d", '"/data"') + tmpfs("/d/link/sub"),
            "mount[2].target",
            '"/d/link" is a symlink to "dir"',
            'write the path it leads to, or on_symlink = "follow" (it never leaves the new root)',
        ),
        one(
            "symlinks without end",
            ROOT + '[[mount.file]]\npath = "loop"\nsymlink = "loop/x"\n' + tmpfs("/loop/y", 'on_symlink = "follow"'),
            "mount[1].target",
            '"/loop/y" leads through more than 40 symlinks',
            "write the path that is meant",
        ),
        one(
            "a mount below a file",
            ROOT + bind("/f", '"/data/file"') + tmpfs("/f/x"),
            "mount[2].target",
            "its parent /f is a file, not a directory",
            "mount it elsewhere",
        ),
        one(
            "a directory on a file of the spec",
            ROOT + '[[mount.file]]\npath = "etc/conf"\n' + tmpfs("/etc/conf"),
            "mount[1].target",
            'mountpoint "/etc/conf" has to be a directory, but mount[0].file[0] makes it a file',
            "a directory can be mounted on a directory only, a file on a file",
        ),
        one(
            "a mountpoint below a file of the spec",
            ROOT + '[[mount.file]]\npath = "etc"\n' + tmpfs("/etc/conf"),
            "mount[1].target",
            'mountpoint "/etc/conf" lies below /etc, which mount[0].file[0] makes a file',
            "a directory can be mounted on a directory only, a file on a file",
        ),
        one(
            "a file on top of a directory",
            ROOT + tmpfs("/a") + bind("/a", '"/data/file"'),
            "mount[2].target",
            "a file cannot be mounted on /a, which is a directory",
            "a directory can be mounted on a directory only, a file on a file",
        ),
        one(
            "a mountpoint that the host does not have",
            ROOT + bind("/d", '"/data"') + tmpfs("/d/new"),
            "mount[2].target",
            'mountpoint "/data/new" on the host: no such file or directory',
            "create it there, or write create = true to have it made on the host",
        ),
        one(
            "a directory on a file of the host",
            ROOT + bind("/d", '"/data"') + tmpfs("/d/file"),
            "mount[2].target",
            '"/data/file" on the host is a file, and the mount is a directory',
            "a directory can be mounted on a directory only, a file on a file",
        ),
        one(
            "a file on what a mount of the host covers, which is what that mount is",
            ROOT + bind("/d", '"/srv"') + bind("/d/shared", '"/data/file"'),
            "mount[2].target",
            '"/srv/shared" on the host is a directory, and the mount is a file',
            "a directory can be mounted on a directory only, a file on a file",
        ),
    ],
)
def test_a_wrong_target_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a file in a host directory",
            ROOT + bind("/d", '"/data"', '[[mount.file]]\npath = "x"'),
            "mount[1].file[0]",
            "a file would be made in a filesystem of the host",
            "make it there yourself, or put it into a tmpfs or overlay of the spec",
        ),
        one(
            "a file in proc",
            ROOT + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n[[mount.file]]\npath = "x"',
            "mount[1].file[0]",
            "nothing can be created in a proc",
            "leave it out",
        ),
        one(
            "a text in a hugetlbfs",
            ROOT + '[[mount]]\ntarget = "/h"\ntype = "hugetlbfs"\n[[mount.file]]\npath = "x"\ncontent = "y"',
            "mount[1].file[0]",
            "nothing can be written to the files of a hugetlbfs",
            "leave out what is in it, or put it into a tmpfs",
        ),
        one(
            "a file declared twice",
            ROOT + '[[mount.file]]\npath = "x"\n[[mount.file]]\npath = "/x"\ncontent = "y"',
            "mount[0].file[1].path",
            "/x is declared twice (also at mount[0].file[0])",
            "declare each path once, as one thing",
        ),
        one(
            "a file where a directory is",
            ROOT + '[[mount.file]]\npath = "x/y"\n[[mount.file]]\npath = "x"',
            "mount[0].file[1].path",
            "/x has to be a file, but mount[0].file[0] makes it a directory",
            "declare each path once, as one thing",
        ),
        one(
            "a file that is the root",
            ROOT + '[[mount.file]]\npath = "/"',
            "mount[0].file[0].path",
            "/ is the root of the filesystem, which is a directory",
            "declare each path once, as one thing",
        ),
        one(
            "a source that is not there",
            ROOT + '[[mount.file]]\npath = "x"\nsource = "/missing"',
            "mount[0].file[0].source",
            'host path "/missing": no such file or directory',
            "name a file that exists on the host",
        ),
        one(
            "a source that is a fifo",
            ROOT + '[[mount.file]]\npath = "x"\nsource = "/data/fifo"',
            "mount[0].file[0].source",
            '"/data/fifo" is a fifo',
            "only files can be copied",
        ),
    ],
)
def test_a_wrong_file_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "a mask of nothing",
            ROOT + bind("/d", '"/data"', 'mask = ["missing"]'),
            "mount[1].mask[0]",
            'there is no "/missing" in /d',
            'correct the path, or write { path = "/missing", optional = true }',
        ),
        one(
            "a mask of a symlink",
            ROOT + bind("/d", '"/data"', 'mask = ["link"]'),
            "mount[1].mask[0]",
            '"/link" in /d is a symlink',
            "mask what it leads to",
        ),
        one(
            "a mask that matches a symlink",
            ROOT + tmpfs("/d", 'mask = ["*"]\n[[mount.file]]\npath = "l"\nsymlink = "x"'),
            "mount[1].mask[0]",
            '"/l" in /d is a symlink',
            "mask what it leads to",
        ),
        one(
            "a mask in something that is not known before",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/img"\nmask = ["x"]',
            "mount[1].mask[0]",
            "what is in the ext4 is not known before it is mounted",
            'mount over it: [[mount]] with target = "/a/x", attributes = ["ro"] and type = "tmpfs" for a directory, '
            'bind = "/dev/null" for a file',
        ),
        one(
            "masks of what matches in something that is not known before",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/img"\nmask = ["x*"]',
            "mount[1].mask[0]",
            "what is in the ext4 is not known before it is mounted",
            "mask a path of a bind, of a tmpfs, or of a filesystem that the host has mounted too",
        ),
    ],
)
def test_a_wrong_mask_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)

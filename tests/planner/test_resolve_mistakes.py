"""Every mistake that a spec can hold: where it is, what is wrong, and what to do. All of them are told at once."""

from __future__ import annotations

import pytest

from mountplan import api
from tests.fakes import FakeHost, host_mount

ROOT = """
[[mount]]
target = "/"
type = "tmpfs"
id = "root"
"""

UPPER = 'upper = { mount = "root", path = "/up" }\n'

HOST = FakeHost(
    {
        "/data/dir/sub": "directory",
        "/data/file": "file",
        "/data/link": "-> dir",
        "/data/fifo": "fifo",
        "/data/w": "directory",
        **{f"/data/l{number}": "directory" for number in range(501)},
        "/other": "directory",
        "/img": "file",
    },
    (
        host_mount(2, 1, "/srv/shared", shared=7),
        host_mount(3, 1, "/srv/slave", device="8:2", master=7),
        host_mount(4, 1, "/srv/part", device="8:9", root="/deep/a", shared=8),
        host_mount(5, 1, "/srv/part2", device="8:9", root="/deep/b"),
    ),
)


def mistakes(text: str) -> list[tuple[str, str, str]]:
    """(key path, what is wrong, remedy) of every mistake; each is in the file, on some line."""
    found = api.check(f"format = 1\n{text}".encode(), "test.toml", HOST)
    for mistake in found:
        assert "test.toml" == mistake.ref.file
        assert mistake.ref.line > 0, mistake
    return [(mistake.ref.key, mistake.what, mistake.remedy) for mistake in found]


def tmpfs(target: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\n{words}\n'


def bind(target: str, source: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\nbind = {source}\n{words}\n'


def one(name: str, text: str, key: str, what: str, remedy: str) -> object:
    return pytest.param(text, key, what, remedy, id=name)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        # -- names
        one(
            "two mounts with one id",
            ROOT + tmpfs("/a", 'id = "x"') + tmpfs("/b", 'id = "x"'),
            "mount[2].id",
            'id "x" is taken by mount[1]',
            "give each mount an id of its own",
        ),
        one(
            "an id that nobody has",
            ROOT + bind("/a", '{ mount = "nobody" }'),
            "mount[1].bind",
            'no mount has the id "nobody"',
            'give the mount that is meant an id = "nobody"',
        ),
        one(
            "an id with a slip in it",
            ROOT + tmpfs("/d", 'id = "data"') + bind("/a", '{ mount = "dtaa" }'),
            "mount[2].bind",
            'no mount has the id "dtaa"',
            'did you mean "data" (mount[1])?',
        ),
        one(
            "a target where an id should be",
            ROOT + tmpfs("/d") + bind("/a", '{ mount = "/d" }'),
            "mount[2].bind",
            'no mount has the id "/d"',
            'give mount[1] an id = "..." and name that',
        ),
        one(
            "a mount with neither target nor id",
            ROOT + '[[mount]]\ntype = "tmpfs"',
            "mount[1]",
            "has neither a target nor an id, so nothing can show it",
            'add target = "/path", or an id = "..." for other mounts to bind from',
        ),
        one(
            "a mount without a target that nothing is made from",
            ROOT + '[[mount]]\nid = "pool"\ntype = "tmpfs"',
            "mount[1]",
            "pool has no target, and nothing is made from it",
            "add target = ..., or bind from it, or leave it out",
        ),
        one(
            "attributes on a mount without a target",
            ROOT + '[[mount]]\nid = "pool"\ntype = "tmpfs"\nattributes = ["ro"]\n' + bind("/a", '{ mount = "pool" }'),
            "mount[1].attributes",
            "attributes is of no use without a target: this mount stands nowhere",
            "add target = ..., or write it on the mounts that bind from here",
        ),
        # -- what is mounted
        one(
            "neither type nor bind",
            ROOT + '[[mount]]\ntarget = "/a"',
            "mount[1]",
            "says neither what to mount (type) nor what to bind (bind)",
            'add type = "tmpfs", or bind = "/host/path", or bind = { mount = "ID", path = "/in/it" }',
        ),
        one(
            "fstab's way to write a bind",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "none"',
            "mount[1].type",
            '"none" is no filesystem type',
            'write bind = "/host/path" instead of a type',
        ),
        one(
            "recursive without bind",
            ROOT + tmpfs("/a", "recursive = true"),
            "mount[1].recursive",
            "only a bind can be recursive",
            "leave it out, or bind something",
        ),
        one(
            "type and bind",
            ROOT + bind("/a", '"/data/dir"', 'type = "tmpfs"'),
            "mount[1].type",
            "a bind has no type: it shows a filesystem that is mounted already",
            "leave out type, or leave out bind",
        ),
        one(
            "attributes that contradict each other",
            ROOT + tmpfs("/a", 'attributes = ["nosuid", "noatime", "relatime"]'),
            "mount[1].attributes",
            "noatime and relatime contradict each other",
            "keep one of noatime, relatime",
        ),
        one(
            "ro and rw",
            ROOT + tmpfs("/a", 'attributes = ["ro", "rw"]'),
            "mount[1].attributes",
            "ro and rw contradict each other",
            "keep one of ro, rw",
        ),
        one(
            "an option of false",
            ROOT + tmpfs("/a", "options = { ro = false }"),
            "mount[1].options.ro",
            "false asks for nothing",
            "leave the option out, or name the one that undoes it",
        ),
        one(
            "an option that is a field",
            ROOT + tmpfs("/a", 'options = { source = "x" }'),
            "mount[1].options.source",
            "source is not given as an option",
            "write source = ... on the mount",
        ),
        one(
            "two mounts of the one mqueue with different options",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "mqueue"\n'
            + '[[mount]]\ntarget = "/b"\ntype = "mqueue"\noptions = { x = "1" }',
            "mount[2].options",
            "there is one mqueue only, and another mount gives it other options",
            "give all mounts of it the same options",
        ),
        # -- contents
        one(
            "contents that are not there",
            ROOT + tmpfs("/a", 'contents = "missing"'),
            "mount[1].contents",
            'host path "missing": no such file or directory',
            "name a directory that exists; a relative path counts from the directory of the spec",
        ),
        one(
            "contents that are a file",
            ROOT + tmpfs("/a", 'contents = "data/file"'),
            "mount[1].contents",
            '"data/file" is a file, not a directory',
            "name a directory",
        ),
        one(
            "contents of something that the kernel fills",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "proc"\ncontents = "/data/dir"',
            "mount[1].contents",
            "a proc is not filled by the spec",
            "leave it out, or mount a ramfs or tmpfs",
        ),
        one(
            "contents of a bind",
            ROOT + bind("/a", '"/data/dir"', 'contents = "/data/dir"'),
            "mount[1].contents",
            "a bind has no contents: it shows a filesystem that is mounted already",
            "leave out contents, or leave out bind",
        ),
        one(
            "a file that is in the contents as well",
            ROOT + tmpfs("/a", 'contents = "/data"\n[[mount.file]]\npath = "dir/sub"\ndirectory = true'),
            "mount[1].file[0].path",
            "/dir/sub is in the directory /data already",
            "take it out there, or leave it out here",
        ),
        one(
            "a path that the contents do not have",
            ROOT + tmpfs("/a", 'contents = "/data"\nid = "a"') + bind("/b", '{ mount = "a", path = "/nothing" }'),
            "mount[2].bind",
            'nothing provides "/nothing" in a',
            'declare it there: [[mount.file]] with path = "/nothing" and directory = true (or content)',
        ),
        one(
            "a mountpoint that the contents make something else",
            ROOT + tmpfs("/a", 'contents = "/data"') + tmpfs("/a/file"),
            "mount[2].target",
            'mountpoint "/a/file" has to be a directory, but mount[1].contents makes it a file',
            "a directory can be mounted on a directory only, a file on a file",
        ),
        one(
            "a symlink in the contents on the way to a target",
            ROOT + tmpfs("/a", 'contents = "/data"') + tmpfs("/a/link/sub"),
            "mount[2].target",
            '"/a/link" is a symlink to "dir"',
            'write the path it leads to, or on_symlink = "follow" (it never leaves the new root)',
        ),
        # -- images
        one(
            "an image that is not there",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/missing.img"',
            "mount[1].image",
            'host path "/missing.img": no such file or directory',
            "name an image file that exists",
        ),
        one(
            "an image that is a directory",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/data/dir"',
            "mount[1].image",
            '"/data/dir" is a directory',
            "name an image file",
        ),
        one(
            "an image with a source",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/img"\nsource = "x"',
            "mount[1].source",
            "the source of an image is the loop device that it is behind",
            "leave it out",
        ),
        # -- overlays
        one(
            "an overlay without layers",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"',
            "mount[1]",
            "an overlay needs layers",
            'add layers = ["/top", "/below"], the topmost first',
        ),
        one(
            "layers of something else",
            ROOT + tmpfs("/a", 'layers = ["/data/dir"]'),
            "mount[1].layers",
            'only type = "overlay" has layers, not "tmpfs"',
            'write type = "overlay"',
        ),
        one(
            "an upper layer of something else",
            ROOT + tmpfs("/a", 'upper = "/data/dir"'),
            "mount[1].upper",
            'only type = "overlay" has an upper layer, not "tmpfs"',
            "leave it out",
        ),
        one(
            "a layer that the host does not have",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/missing", "/other"]',
            "mount[1].layers[0]",
            'host path "/missing": no such file or directory',
            "create the directory on the host first, or name one that exists",
        ),
        one(
            "a layer that is a file",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/data/file"]',
            "mount[1].layers[1]",
            '"/data/file" is a file, not a directory',
            "name a directory",
        ),
        one(
            "a layer that nothing makes",
            ROOT
            + tmpfs("/s", 'id = "s"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = [{ mount = "s", path = "/base" }, "/other"]',
            "mount[2].layers[0]",
            'nothing provides "/base" in fs:s',
            'declare it there: [[mount.file]] with path = "/base" and directory = true',
        ),
        one(
            "a layer that the spec makes a file",
            ROOT
            + tmpfs("/s", 'id = "s"\n[[mount.file]]\npath = "base"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = [{ mount = "s", path = "/base" }, "/other"]',
            "mount[2].layers[0]",
            '"/base" in fs:s is a file',
            'declare it there: [[mount.file]] with path = "/base" and directory = true',
        ),
        one(
            "more layers than the kernel takes",
            ROOT + f'[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = {[f"/data/l{n}" for n in range(501)]}',
            "mount[1].layers",
            "501 layers; the kernel takes 500",
            "merge some of them",
        ),
        one(
            "work without upper",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/other"]\nwork = "/data/w"',
            "mount[1].work",
            "a work directory is of use only with an upper layer",
            "leave it out, or add upper",
        ),
        one(
            "upper on the host without work",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\nupper = "/other"',
            "mount[1].upper",
            "an upper layer needs a work directory on the same mount",
            "add work = ..., an empty directory beside the upper one",
        ),
        one(
            "work on another filesystem than upper",
            ROOT
            + tmpfs("/s", 'id = "s"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "s", path = "/up" }\nwork = { mount = "root", path = "/work" }',
            "mount[2].work",
            "the work directory is on another filesystem than the upper layer",
            "put both on one",
        ),
        one(
            "work inside upper",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "root", path = "/up" }\nwork = { mount = "root", path = "/up/work" }',
            "mount[1].work",
            "/up/work lies in /up, which is mount[1].upper",
            "directories of an overlay lie side by side",
        ),
        one(
            "an overlay of one layer",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]',
            "mount[1].layers",
            "one layer alone makes no overlay",
            "add a second layer, or upper = ...; or bind that directory, read-only",
        ),
        one(
            "one directory as two layers",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/other", "/data/link"]',
            "mount[1].layers[2]",
            "/data/dir is mount[1].layers[0] as well",
            "an overlay can have each directory once only",
        ),
        one(
            "a layer inside another",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir/sub", "/data/dir"]',
            "mount[1].layers[0]",
            "/data/dir/sub lies in /data/dir, which is mount[1].layers[1]",
            "directories of an overlay lie side by side",
        ),
        one(
            "two overlays with one upper layer",
            ROOT
            + ('[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n' + UPPER) * 2
            + 'work = { mount = "root", path = "/work2" }',
            "mount[2].upper",
            "/up is taken by mount[1].upper already",
            "give each overlay directories of its own",
        ),
        one(
            "a layer that is another overlay's upper one",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + UPPER
            + '[[mount]]\ntarget = "/b"\ntype = "overlay"\nlayers = ["/data/dir", { mount = "root", path = "/up" }]\n',
            "mount[2].layers[1]",
            "/up changes: it is mount[1].upper as well",
            "take a directory that nobody changes",
        ),
        one(
            "an upper layer below a file",
            ROOT
            + '[[mount.file]]\npath = "f"\n[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "root", path = "/f" }\nwork = { mount = "root", path = "/work" }',
            "mount[0].file[0].path",
            "/f has to be a file, but mount[1].upper makes it a directory",
            "declare each path once, as one thing",
        ),
        # -- binds
        one(
            "a host path that is not there",
            ROOT + bind("/a", '"/missing"'),
            "mount[1].bind",
            'host path "/missing": no such file or directory',
            "create it on the host first, or name a path that exists",
        ),
        one(
            "mounts made from each other",
            ROOT + bind("/a", '{ mount = "y" }', 'id = "x"') + bind("/b", '{ mount = "x" }', 'id = "y"'),
            "mount[2].bind",
            "mounts are made from each other in a circle: x is made from y, y is made from x",
            "one of them must be a filesystem of its own (type = ...) or a host path",
        ),
        one(
            "a path that nothing makes",
            ROOT + tmpfs("/d", 'id = "d"') + bind("/a", '{ mount = "d", path = "/missing" }'),
            "mount[2].bind",
            'nothing provides "/missing" in d',
            'declare it there: [[mount.file]] with path = "/missing" and directory = true (or content)',
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
            "a path in a host bind on which the host has another mount",
            ROOT + bind("/d", '"/srv"', 'id = "d"') + bind("/a", '{ mount = "d", path = "/shared" }'),
            "mount[2].bind",
            'the host has another mount at "/srv/shared"',
            "bind that host path itself",
        ),
        # -- the tree
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
        # -- files
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
        # -- masks
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
            "what is in a ext4 is not known before it is mounted",
            "mask a path of a bind, of a tmpfs, or of a filesystem that the host has mounted too",
        ),
        # -- sharing
        one(
            "a peer group that nobody declares",
            ROOT + tmpfs("/a", 'peer_group = "g"'),
            "mount[1].peer_group",
            'there is no peer group "g"',
            "add a table [peer_group.g]",
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
        # -- several namespaces, and what cannot be built
        one(
            "mounts inside and outside of namespaces",
            ROOT + '[[namespace]]\nname = "n"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"',
            "namespace",
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
        # -- what the reader of the language says; tests/planner/test_spec.py has all of that
        one(
            "an unknown key",
            ROOT + tmpfs("/a", "readonly = true"),
            "mount[1].readonly",
            "unknown key",
            'write attributes = ["ro"]',
        ),
        one(
            "a wrong type",
            ROOT + tmpfs("/a", 'recursive = "yes"'),
            "mount[1].recursive",
            'is the string "yes", not true or false',
            "write recursive = true",
        ),
        one(
            "a target outside of the tree",
            ROOT + tmpfs("/a/../../b"),
            "mount[1].target",
            "\"/a/../../b\" contains '..', which depends on symlinks",
            'write the path that is meant: "/b"?',
        ),
        one(
            "a path with NUL",
            ROOT + tmpfs("/a\\u0000b"),
            "mount[1].target",
            '"/a\\x00b" contains a NUL character',
            'write an absolute path, such as "/srv/data"; there can be none in it',
        ),
        one(
            "a path with a newline",
            ROOT + tmpfs("/a\\nb"),
            "mount[1].target",
            '"/a\\nb" contains a newline',
            "write an absolute path, such as \"/srv/data\"; or { escaped = '...' }, with \\012 for the newline",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "[peer_group.nobody]\n"
        + ROOT
        + tmpfs("/a", 'attributes = ["ro", "rw"]')
        + tmpfs("/a2", "bogus = 1")
        + bind("/b", '"/missing"')
        + bind("/c", '{ mount = "x" }', 'peer_group = "y"')
    )
    assert [
        "peer_group.nobody",
        "mount[1].attributes",
        "mount[2].bogus",
        "mount[3].bind",
        "mount[4].bind",
        "mount[4].peer_group",
    ] == [key for key, _, _ in mistakes(text)]


@pytest.mark.parametrize("data", [b"", b"format = 1", b"\xff\xfe", b"[[mount", b"format = 1\nmount = 3"])
def test_a_file_that_is_no_spec_is_one_mistake(data: bytes) -> None:
    (mistake,) = api.check(data, "test.toml", HOST)
    assert mistake.what
    assert mistake.remedy
    assert "test.toml" in str(mistake)

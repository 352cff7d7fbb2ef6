"""Mistakes about single mounts: their names, what they are of, and what they are filled with."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, image, mistakes, one, tmpfs

VDB = 'source = "/dev/vdb"'


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "two mounts with one id",
            ROOT + tmpfs("/a", 'id = "x"') + tmpfs("/b", 'id = "x"'),
            "mount[2].id",
            'id "x" is taken by mount[1]',
            "give each mount an id of its own",
        ),
        one(
            "a volume as container engines write it",
            ROOT + bind("/a", '"/other:ro"'),
            "mount[1].bind",
            'host path "/other:ro": no such file or directory',
            'write bind = "/other", and what comes behind it in keys of its own: target, attributes = ["ro"]',
        ),
        one(
            "an image without a type",
            ROOT + '[[mount]]\ntarget = "/a"\nimage = "/img"',
            "mount[1]",
            "says neither what to mount (type) nor what to bind (bind)",
            'add the type of the filesystem in the image, such as type = "ext4"',
        ),
        one(
            "a path to be masked as it is seen from the root",
            ROOT + bind("/a", '"/data"', 'mask = ["/a/dir"]'),
            "mount[1].mask[0]",
            'there is no "/a/dir" in /a',
            'such paths begin at the mount: write "dir"',
        ),
        one(
            "all namespaces in one word",
            ROOT + '[run]\nunshare = "all"',
            "run.unshare",
            'is the string "all", not a list',
            'write all of them: unshare = ["user", "pid", "net", "ipc", "uts", "cgroup", "time"]',
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
            "a parent that is called much like the mount itself",
            ROOT + tmpfs("/d", 'id = "deep"\nparent = "dep"'),
            "mount[1].parent",
            'no mount has the id "dep"',
            'give the mount that is meant an id = "dep"',
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
            "what is said of a place, on a mount without a target",
            ROOT + '[[mount]]\nid = "pool"\ntype = "tmpfs"\nunbindable = true\n' + bind("/a", '{ mount = "pool" }'),
            "mount[1].unbindable",
            "unbindable is of no use without a target: this mount stands nowhere",
            "add target = ..., or write it on the mounts that bind from here",
        ),
    ],
)
def test_a_wrong_name_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
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
            'write source = "x" on the mount',
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
    ],
)
def test_a_wrong_type_or_option_is_told_with_its_place_and_a_remedy(
    text: str, key: str, what: str, remedy: str
) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
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
    ],
)
def test_wrong_contents_are_told_with_their_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
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
        one(
            "an image that is written to where nothing can be",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "ext4"\nimage = "/ro/img"\n',
            "mount[1].image",
            "the host's mount at /ro is read-only, and this mount would write to an image in it",
            "write options = { ro = true }",
        ),
        one(
            "an image that is written to, twice",
            ROOT + image("/a", 'id = "a"') + image("/b"),
            "mount[2].image",
            '"/img" is what mount[1] mounts already; what is written to can be mounted once only',
            'write bind = { mount = "a", path = "/" }, or options = { ro = true } on each of them',
        ),
        one(
            "an image that is written to beside who reads it",
            ROOT + image("/a", "options = { ro = true }") + image("/b"),
            "mount[2].image",
            '"/img" is what mount[1] mounts already; what is written to can be mounted once only',
            'write bind = { mount = "ID", path = "/" }, with an id on mount[1], '
            "or options = { ro = true } on each of them",
        ),
        one(
            "a device twice",
            ROOT
            + (image("/a") + image("/b", "options = { ro = true }")).replace('image = "/img', 'source = "/dev/vdb'),
            "mount[2].source",
            '"/dev/vdb" is what mount[1] mounts already; what is written to can be mounted once only',
            'write bind = { mount = "ID", path = "/" }, with an id on mount[1]',
        ),
    ],
)
def test_a_wrong_image_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        image("/a", "options = { ro = true }") + image("/b", "options = { ro = true }"),
        image("/a").replace("ext4", "squashfs") + image("/b").replace("ext4", "squashfs"),
        tmpfs("/a", 'source = "/dev/vdb"') + tmpfs("/b", 'source = "/dev/vdb"'),  # a name, and no device
        (image("/a") + image("/b")).replace("image", "source").replace("ext4", "9p"),  # and no file
    ],
)
def test_what_nobody_writes_to_may_be_mounted_twice(text: str) -> None:
    assert [] == mistakes(ROOT + text)

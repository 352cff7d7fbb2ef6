"""Mistakes about new filesystems: unknown types, devices that are not named, words that only mount(8) knows."""

from __future__ import annotations

import pytest

from mountplan import api
from tests.fakes import FakeHost, host_mount
from tests.planner.mistakes import ROOT, bind, mistakes, one, tmpfs


def made(words: str) -> str:
    return f'{ROOT}[[mount]]\ntarget = "/a"\n{words}\n'


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "ext4 and nothing that it is on",
            made('type = "ext4"'),
            "mount[1]",
            "ext4 is on a block device or in an image file, and neither is named",
            'add image = "/path/of/the/image", or source = "/dev/NAME" for a block device',
        ),
        one(
            "what a program serves",
            made('type = "fuse.sshfs"\nsource = "host:"'),
            "mount[1].type",
            "fuse.sshfs is served by a program, and none is started for it here",
            'mount it on the host by that program, and write bind = "/host/path"',
        ),
        one(
            "an image of what is in memory",
            made('type = "tmpfs"\nimage = "/img"'),
            "mount[1].image",
            "tmpfs is on no device, so nothing of an image would be seen",
            "write the type that is in the image (file IMAGE tells what it is), or leave image out",
        ),
        one(
            "read-only and writable",
            made('type = "tmpfs"\noptions = { ro = true, rw = true }'),
            "mount[1].options.rw",
            "ro and rw contradict each other",
            "leave one of them out",
        ),
        one(
            "a device by its label",
            made('type = "xfs"\nsource = "LABEL=data"'),
            "mount[1].source",
            '"LABEL=data" is no path of a device: mount(8) looks that up, the kernel does not',
            'write source = "/dev/disk/by-label/data"',
        ),
        one(
            "a device without its directory",
            made('type = "xfs"\nsource = "sda1"'),
            "mount[1].source",
            '"sda1" is no path of a device',
            'write source = "/dev/sda1"',
        ),
        one(
            "a device that is not there",
            made('type = "xfs"\nsource = "/dev/no"'),
            "mount[1].source",
            'host path "/dev/no": no such file or directory',
            "name a block device that exists",
        ),
        one(
            "a file for a device",
            made('type = "erofs"\nsource = "/img"'),
            "mount[1].source",
            '"/img" is a file, no block device',
            'write image = "/img" instead of source',
        ),
        one(
            "a directory for a device",
            made('type = "erofs"\nsource = "/data/dir"'),
            "mount[1].source",
            '"/data/dir" is a directory, no block device',
            "name a block device",
        ),
        one(
            "a path and neither type nor bind",
            made('source = "/usr"'),
            "mount[1].source",
            '"/usr" is only what a filesystem is called, and there is none (type)',
            'write bind = "/usr" to show what is there',
        ),
        one(
            "fstab's bind with its path",
            made('source = "/usr"\ntype = "none"'),
            "mount[1].type",
            '"none" is no filesystem type',
            'write bind = "/usr" instead of a type',
        ),
        one(
            "a path that leads out of where nobody knows",
            made('bind = "../x"'),
            "mount[1].bind",
            '"../x" is not absolute',
            'write "./../x", which counts from the directory of the spec; or the whole path',
        ),
        one(
            "a relative bind that may be an id",
            made('bind = "root"'),
            "mount[1].bind",
            '"root" is not absolute',
            "write the whole path from '/' on; or { mount = \"root\" } for the mount with that id",
        ),
        one(
            "a bind that is relative to a file that is none",
            made('bind = "./x"'),
            "mount[1].bind",
            '"./x" counts from the directory of the spec, and there is none: no such file or directory',
            "write the whole path from '/' on, or save the spec in a file",
        ),
    ],
)
def test_a_filesystem_without_what_it_is_on_is_told(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("nosuid = true", 'it belongs to the mount: write attributes = ["nosuid"]'),
        ("noatime = true", 'it belongs to the mount: write attributes = ["noatime"]'),
        ("defaults = true", "leave it out: a mount has the defaults anyway"),
        ("noauto = true", "leave it out: a spec is carried out when you say so"),
        ("_netdev = true", "leave it out: a spec is carried out when you say so"),
        ("nofail = true", "leave it out: what cannot be built is an error"),
        ("user = true", "leave it out: who may mount is the kernel's decision"),
        ("bind = true", 'write bind = "/host/path" on the mount'),
        ("rshared = true", 'write peer_group = "NAME" on each mount'),
        ("loop = true", 'write image = "/path/of/the/image" on the mount'),
        ('loop = "/dev/loop7"', 'write image = "/path/of/the/image" on the mount'),
        (
            "offset = 1048576",
            'write image = { path = "/path/of/the/image", offset = BYTES, size = BYTES } on the mount',
        ),
        ('ro = "recursive"', 'write attributes = ["ro"] on the mount'),
        ("ro = 1", "write ro = true"),
        (
            '"x-systemd.automount" = true',
            "leave it out: it means something to programs that read fstab, and nothing to the kernel",
        ),
        (
            '"X-mount.mkdir" = "0755"',
            "leave it out: mountpoints are made by themselves, and with create = true on the host",
        ),
    ],
)
def test_a_word_of_mount_8_is_no_option_of_a_filesystem(option: str, remedy: str) -> None:
    """The kernel would say "Unknown parameter", or take it and do nothing."""
    name = option.partition(" =")[0].strip('"')
    ((_, what, advice),) = mistakes(ROOT + tmpfs("/a", f"options = {{ {option} }}"))
    assert (f"{name} is no option of a filesystem", remedy) == (what, advice)


@pytest.mark.parametrize("option", ["ro = true", "sync = true", 'user = "joe"', "noswap = true", 'mode = "755"'])
def test_what_may_be_an_option_is_none_of_those_words(option: str) -> None:
    assert [] == mistakes(ROOT + tmpfs("/a", f"options = {{ {option} }}"))


@pytest.mark.parametrize(
    ("mode", "number", "meant"),
    [
        ("755", 755, "0755"),
        ("0o755", 493, "0755"),
        ("0o644", 420, "0644"),
        ("0o777", 511, "0777"),
        ("444", 444, "0444"),
        ("0o1777", 1023, "1777"),
        ("0", 0, "0000"),
        ("-1", -1, "0755"),
    ],
)
def test_a_mode_that_is_a_number_is_told_as_toml_has_no_octal_texts(mode: str, number: int, meant: str) -> None:
    """0o1777 would reach the kernel as 1023, which is a mode as well."""
    assert [
        ("mount[1].options.mode", f"{number} is a number", f'write octal digits in a string: mode = "{meant}"')
    ] == mistakes(ROOT + tmpfs("/a", f"options = {{ mode = {mode} }}"))


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ('["nosuid"]', 'write attributes = ["nosuid"]'),
        (
            '"defaults,nosuid,size=1m,loop"',
            (
                'write options = { size = "1m" } and attributes = ["nosuid"]; '
                "defaults: leave it out: a mount has the defaults anyway; "
                'loop: write image = "/path/of/the/image" on the mount'
            ),
        ),
    ],
)
def test_options_as_fstab_has_them_are_taken_apart(options: str, remedy: str) -> None:
    assert [remedy] == [advice for _, _, advice in mistakes(ROOT + tmpfs("/a", f"options = {options}"))]


def test_options_of_a_bind_that_are_attributes_are_told_so() -> None:
    ((_, _, remedy),) = mistakes(ROOT + bind("/a", '"/data/dir"', "options = { nosuid = true, ro = true }"))
    assert 'they belong to the mount: write attributes = ["nosuid", "ro"]' == remedy


@pytest.mark.parametrize(
    ("fstype", "remedy"),
    [
        ("btrsf", 'did you mean "btrfs"?'),
        ("nfs", "/proc/filesystems lists those that it has; a module may be missing"),
        ("qq", "/proc/filesystems lists those that it has; a module may be missing"),
    ],
)
def test_a_type_that_the_kernel_does_not_know_is_told(fstype: str, remedy: str) -> None:
    host = FakeHost()
    host.unknown_filesystems = frozenset({fstype})
    text = made(f'type = "{fstype}"')
    (mistake,) = api.check(f"format = 1\n{text}".encode(), "test.toml", host)
    assert ("mount[1].type", f'this kernel has no filesystem "{fstype}"', remedy) == (
        mistake.ref.key,
        mistake.what,
        mistake.remedy,
    )


@pytest.mark.parametrize(
    ("options", "key", "what"),
    [
        ("sync = true, async = true", "async", "sync and async contradict each other"),
        ("inode64 = true, inode32 = true", "inode64", "inode32 and inode64 contradict each other"),
        ('nr_blocks = 5, size = "1m"', "nr_blocks", "size and nr_blocks contradict each other"),
        ('size = ["1m", "2m"]', "size", "size is given 2 times, and only the last counts"),
    ],
)
def test_options_of_which_the_kernel_would_take_the_last_one_are_told(options: str, key: str, what: str) -> None:
    text = made(f'type = "tmpfs"\noptions = {{ {options} }}')
    (mistake,) = api.check(f"format = 1\n{text}".encode(), "test.toml", FakeHost())
    assert (f"mount[1].options.{key}", what) == (mistake.ref.key, mistake.what)


def test_options_that_the_kernel_takes_and_ignores_are_told() -> None:
    text = made('type = "ramfs"\noptions = { mode = "1750", size = "5m", moed = "700", sync = true }')
    found = api.check(f"format = 1\n{text}".encode(), "test.toml", FakeHost())
    what = "ramfs has no such option: the kernel takes it, and ignores it"
    assert [
        ("mount[1].options.size", what, "leave it out"),
        ("mount[1].options.moed", what, 'did you mean "mode"?'),
    ] == [(one.ref.key, one.what, one.remedy) for one in found]


def test_options_that_the_filesystem_does_not_take_are_told_in_its_words() -> None:
    host = FakeHost()
    bad = "tmpfs: Bad value for '{}'"
    host.refused_options = {
        "sise": "tmpfs: Unknown parameter 'sise'",
        "mode": bad.format("mode"),
        "uid": bad.format("uid"),
    }
    host.refused_options |= {"size": bad.format("size"), "nr_inodes": bad.format("nr_inodes")}
    text = tmpfs("/a", 'options = { sise = "1m", mode = "0799", uid = -1, size = "1.5 GiB", nr_inodes = "1x" }')
    found = api.check(f"format = 1\n{ROOT}{text}".encode(), "test.toml", host)
    assert [
        (
            "mount[1].options.sise",
            "the filesystem does not take it: tmpfs: Unknown parameter 'sise'",
            'did you mean "size"?',
        ),
        (
            "mount[1].options.mode",
            "the filesystem does not take it: tmpfs: Bad value for 'mode'",
            'write octal digits in a string, such as mode = "0755"',
        ),
        (
            "mount[1].options.uid",
            "the filesystem does not take it: tmpfs: Bad value for 'uid'",
            "write a number; `getent passwd NAME` has that of a name",
        ),
        (
            "mount[1].options.size",
            "the filesystem does not take it: tmpfs: Bad value for 'size'",
            'write digits, and k, m or g behind them: size = "1536m"?',
        ),
        (
            "mount[1].options.nr_inodes",
            "the filesystem does not take it: tmpfs: Bad value for 'nr_inodes'",
            'write digits, and k, m or g behind them: nr_inodes = "16m", say',
        ),
    ] == [(one.ref.key, one.what, one.remedy) for one in found]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (bind("/a", '{ mount = "plain" }'), "mount[2].bind"),
        (
            '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/other", { mount = "plain" }]\n',
            "mount[2].layers[1]",
        ),
        (
            (
                '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/other"]\n'
                'upper = { mount = "plain", path = "/u" }\nwork = { mount = "plain", path = "/w" }\n'
            ),
            "mount[2].upper",
        ),
    ],
)
def test_nothing_is_made_from_what_is_left_out(text: str, key: str) -> None:
    """It was an AssertionError; and an overlay would have stood there with a layer less."""
    plain = '[[mount]]\nid = "plain"\nunsupported = "why"\n'
    found = mistakes(ROOT + plain + text)
    assert key == found[0][0]
    assert "plain is left out (mount[1].unsupported), so nothing can be made from it" == found[0][1]
    assert 'unsupported = "..."' in found[0][2]


def test_what_stands_on_what_is_left_out_can_be_made_from() -> None:
    """Its filesystem is one that can be built; only its place is gone."""
    text = ROOT + '[[mount]]\ntarget = "/p"\nunsupported = "why"\n' + tmpfs("/p/q", 'id = "q"')
    assert [] == mistakes(text + bind("/srv", '{ mount = "q" }'))


def test_every_unknown_capability_is_told() -> None:
    words = '["CAP_SYS_ADMNI", "sys_admin", "CAP_CHOWN", "CAP_NET_BIND", 3]'
    assert [
        ("run.capabilities[0]", 'there is no capability "CAP_SYS_ADMNI"', "did you mean CAP_SYS_ADMIN?"),
        (
            "run.capabilities[1]",
            '"sys_admin" is no capability',
            "write its name as capabilities(7) has it: CAP_SYS_ADMIN?",
        ),
        ("run.capabilities[3]", 'there is no capability "CAP_NET_BIND"', "did you mean CAP_NET_BIND_SERVICE?"),
        ("run.capabilities[4]", "is the number 3", 'write its name, such as "CAP_NET_BIND_SERVICE"'),
    ] == mistakes(f"{ROOT}[run]\ncapabilities = {words}\n")


@pytest.mark.parametrize("word", ["mnt", "mount"])
def test_a_mount_namespace_need_not_be_asked_for(word: str) -> None:
    assert [
        (
            "run.unshare[0]",
            f'"{word}" is not known here',
            "leave it out: there is always a mount namespace of its own",
        )
    ] == mistakes(f'{ROOT}[run]\nunshare = ["{word}"]\n')


IDMAP = "idmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }\n"
IN_T = tmpfs("/t", 'id = "t"') + '[[mount]]\ntarget = "/t/p"\ntype = "proc"\n'
ALONE = "write recursive_attributes = false, so that the bind alone is id-mapped"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            made(f'type = "ramfs"\n{IDMAP}'),
            ("mount[1]", "the kernel takes no id-mapping of ramfs", 'write type = "tmpfs"'),
        ),
        (
            made(f'type = "overlay"\nlayers = ["/data", "/other"]\n{IDMAP}'),
            ("mount[1]", "the kernel takes no id-mapping of overlay", "name its layers in mounts with that idmap"),
        ),
        (
            made(f'bind = "/data/p"\n{IDMAP}'),
            ("mount[1]", "the kernel takes no id-mapping of proc", "leave it out"),
        ),
        (
            made(f'bind = "/data"\nrecursive = true\n{IDMAP}'),
            (
                "mount[1]",
                'the host\'s mount at "/data/p" comes along, and is proc, of which the kernel takes no id-mapping',
                ALONE,
            ),
        ),
        (
            ROOT + IN_T + bind("/x", '{ mount = "t" }', f"recursive = true\n{IDMAP}"),
            ("mount[3]", "/t/p is brought along, and the kernel takes no id-mapping of proc", ALONE),
        ),
        (made(f'bind = "/data"\nrecursive = true\nrecursive_attributes = false\n{IDMAP}'), None),
        (made(f'bind = "/srv"\nrecursive = true\n{IDMAP}'), None),  # a proc below it is covered, and stays behind
        (ROOT + IN_T + bind("/x", '{ mount = "t" }', IDMAP), None),
    ],
)
def test_an_id_mapping_of_what_takes_none_is_told(text: str, wanted: tuple[str, str, str] | None) -> None:
    """It was EINVAL when all but that had been built."""
    host = FakeHost(
        dict.fromkeys(("/data/p", "/other", "/srv/p"), "directory"),
        (
            host_mount(2, 1, "/data/p", fstype="proc"),
            host_mount(3, 1, "/srv"),
            host_mount(4, 3, "/srv/p", fstype="proc"),
            host_mount(5, 3, "/srv"),
        ),
    )
    found = api.check(f"format = 1\n{text}".encode(), "test.toml", host)
    told = [(f"{wanted[0]}.idmap", *wanted[1:])] if wanted else []
    assert told == [(one.ref.key, one.what, one.remedy) for one in found]

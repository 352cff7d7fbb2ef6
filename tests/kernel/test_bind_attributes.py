"""A bind has the attributes and the id-mapping of what it is bound from: held against mount --bind and --rbind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.capturing import capture_subjects
from mountplan.planner.errors import SpecError
from tests.hosts import InHost, mount
from tests.mountflags import (
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_STRICTATIME,
)
from tests.trees import ROOT, plan_of, tree

ALL = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME
WORDS = {
    MS_RDONLY: "ro",
    MS_NOSUID: "nosuid",
    MS_NODEV: "nodev",
    MS_NOEXEC: "noexec",
    MS_NOSYMFOLLOW: "nosymfollow",
    MS_NOATIME: "noatime",
    MS_STRICTATIME: "strictatime",
    MS_NODIRATIME: "nodiratime",
}


def words_of(flags: int) -> str:
    return str([word for flag, word in WORDS.items() if flags & flag]).replace("'", '"')


def attributes_below(top: str) -> dict[str, str]:
    """Mountpoint, without `top`, -> attributes, of what is mounted at and below it."""
    rows = [line.split()[4:6] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {place[len(top) :]: words for place, words in rows if f"{place}/".startswith(f"{top}/")}


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("flags", [0, ALL, MS_STRICTATIME])
def test_a_bind_has_what_mount_bind_gives_it(flags: int, recursive: bool, in_host: InHost) -> None:
    """Of a mount of the spec and of the host's: the same tree, mounted by mount(2) and by a spec."""
    below = MS_NOSUID | MS_NOATIME

    def build(top: str) -> None:
        mount("top", top, "tmpfs")
        os.makedirs(f"{top}/a/b")
        mount("below", f"{top}/a/b", "tmpfs")
        for path, own in ((f"{top}/a/b", below), (top, flags)):
            mount("", path, flags=MS_REMOUNT | MS_BIND | own)

    def script() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("host", "classic"):
            os.mkdir(f"/mnt/{name}")
        build("/mnt/host")
        mount("/mnt/host/a", "/mnt/classic", flags=MS_BIND | (MS_REC if recursive else 0))
        spec = f"""{ROOT}
        [[mount]]
        id = "top"
        target = "/top"
        type = "tmpfs"
        attributes = {words_of(flags)}
        [[mount]]
        target = "/top/a/b"
        type = "tmpfs"
        attributes = {words_of(below)}
        [[mount]]
        target = "/ours"
        bind = {{ mount = "top", path = "/a" }}
        recursive = {str(recursive).lower()}
        [[mount]]
        id = "host"
        target = "/host"
        bind = "/mnt/host/a"
        recursive = {str(recursive).lower()}
        [[mount]]
        target = "/again"
        bind = {{ mount = "host" }}
        recursive = {str(recursive).lower()}
        """
        with tree(spec) as built:
            found = {row.mountpoint: row.attributes for row in built.table.rows}
        expected = attributes_below("/mnt/classic")
        parts = [
            {place[len(name) :]: words for place, words in found.items() if f"{place}/".startswith(f"{name}/")}
            for name in ("/ours", "/host", "/again")
        ]
        assert parts[1] == parts[2]
        return expected, parts[0], parts[1]

    expected, ours, hosts = in_host(script, identity="root")
    assert {"", "/b"} == {*expected, "/b"}
    assert expected == ours
    assert expected == hosts


def bound(words: str, below: str = "") -> str:
    return f"""{ROOT}
    [[mount]]
    id = "data"
    target = "/data"
    type = "tmpfs"
    attributes = ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime"]
    [[mount]]
    target = "/view"
    bind = {{ mount = "data" }}
    attributes = {words}
    {below}
    """


@pytest.mark.needs_kernel("mountns")
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("[]", "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow"),
        ('["rw", "suid"]', "rw,nodev,noexec,noatime,nodiratime,nosymfollow"),
        ('["dev", "exec", "symfollow"]', "ro,nosuid,noatime,nodiratime"),
        ('["relatime", "diratime"]', "ro,nosuid,nodev,noexec,relatime,nosymfollow"),
        ('["strictatime"]', "ro,nosuid,nodev,noexec,nodiratime,nosymfollow"),
    ],
)
def test_a_word_of_the_bind_wins_over_what_it_is_bound_from(words: str, shown: str) -> None:
    with tree(bound(words)) as built:
        assert shown == built.at("/view").attributes


@pytest.mark.needs_kernel("mountns")
def test_a_bind_of_a_bind_has_the_words_of_both_and_of_a_mount_that_stands_nowhere() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "pool"
    type = "tmpfs"
    attributes = ["noexec"]
    [[mount]]
    id = "one"
    target = "/one"
    bind = {{ mount = "pool" }}
    attributes = ["ro"]
    [[mount]]
    target = "/two"
    bind = {{ mount = "one" }}
    attributes = ["nodev", "exec"]
    """
    with tree(spec) as built:
        assert "ro,noexec,relatime" == built.at("/one").attributes
        assert "ro,nodev,relatime" == built.at("/two").attributes


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("recursive_attributes = false", "", {"": "ro,nosuid", "/sub": "rw,nosuid,noexec"}),
        ("", "recursive_attributes = false", {"": "ro,nosuid", "/sub": "ro,noexec"}),
        ("", "", {"": "ro,nosuid", "/sub": "ro,nosuid,noexec"}),
    ],
)
def test_what_is_brought_along_twice_has_what_was_for_it_each_time(
    first: str, second: str, expected: dict[str, str], in_host: InHost
) -> None:
    def script() -> dict[str, str]:
        mount("mnt", "/mnt", "tmpfs")
        os.mkdir("/mnt/sub")
        mount("sub", "/mnt/sub", "tmpfs", MS_NOEXEC)
        spec = f"""{ROOT}
        [[mount]]
        id = "one"
        target = "/one"
        bind = "/mnt"
        recursive = true
        attributes = ["ro"]
        {first}
        [[mount]]
        target = "/two"
        bind = {{ mount = "one" }}
        recursive = true
        attributes = ["nosuid"]
        {second}
        """
        with tree(spec) as built:
            return {
                row.mountpoint[4:]: row.attributes.removesuffix(",relatime")
                for row in built.table.rows
                if row.mountpoint.startswith("/two")
            }

    assert expected == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_recursive_bind_of_a_bind_brings_what_stands_on_that_one_and_no_more(in_host: InHost) -> None:
    """What the host has below a bind that is not recursive is not there to be brought; what the spec puts on it is."""

    def script() -> list[str]:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("sub", "place"):
            os.mkdir(f"/mnt/{name}")
        mount("sub", "/mnt/sub", "tmpfs")
        spec = f"""{ROOT}
        [[mount]]
        id = "one"
        target = "/one"
        bind = "/mnt"
        [[mount]]
        target = "/one/place"
        type = "tmpfs"
        attributes = ["noexec"]
        [[mount]]
        target = "/two"
        bind = {{ mount = "one" }}
        recursive = true
        attributes = ["ro"]
        """
        with tree(spec) as built:
            return [f"{row.mountpoint} {row.attributes}" for row in built.table.rows if "two" in row.mountpoint]

    assert ["/two ro,relatime", "/two/place ro,noexec,relatime"] == sorted(in_host(script, identity="root"))


IDMAP = "idmap = { uids = [[0, 1000, 10]], gids = [[0, 2000, 10]] }"


def mapped(words: str) -> str:
    return f"""{ROOT}
    [[mount]]
    id = "data"
    target = "/data"
    type = "tmpfs"
    {IDMAP}
    [[mount.file]]
    path = "f"
    content = ""
    [[mount]]
    target = "/view"
    bind = {{ mount = "data" }}
    {words}
    """


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
@pytest.mark.parametrize(("words", "owner"), [("", 1000), ("idmap = false", 0), (IDMAP.replace("1000", "5000"), 5000)])
def test_a_bind_is_id_mapped_as_what_it_is_bound_from(words: str, owner: int) -> None:
    with tree(mapped(words)) as built:
        assert [1000, owner] == built.inside(lambda: [os.stat(f"/{one}/f").st_uid for one in ("data", "view")])


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
@pytest.mark.parametrize("words", ["", "idmap = false", IDMAP.replace("1000", "5000")])
def test_a_capture_writes_an_id_mapping_only_where_it_is_another_one(words: str) -> None:
    if not _tells_id_maps():
        pytest.skip("this kernel does not tell id-mappings (Linux 6.15)")
    with tree(mapped(words)) as built:
        subjects = of_built(built.built)
        try:
            text = capture_subjects(subjects).text
        finally:
            for one in subjects:
                one.close()
        assert text.count("idmap = ") == (1 if not words else 2)
        with tree(text.partition("format = 1")[2]) as again:
            assert built.at("/view").attributes == again.at("/view").attributes


def _tells_id_maps() -> bool:
    return hasattr(abi, "STATMOUNT_MNT_UIDMAP") and tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15)


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
def test_a_bind_of_a_host_mount_that_is_id_mapped_stays_so_and_takes_no_other(in_host: InHost) -> None:
    """The kernel gives a mount an id-mapping once (EPERM otherwise), so that is told when it is planned."""

    def script() -> tuple[str, list[str]]:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("plain", "mapped"):
            os.mkdir(f"/mnt/{name}")
        kernel = LinuxKernel()
        where = os.open("/mnt/plain", os.O_PATH)
        clone = syscalls.open_tree(where, b"", abi.OPEN_TREE_CLONE | abi.AT_EMPTY_PATH)
        kernel.set_attributes(
            clone, set=abi.MOUNT_ATTR_IDMAP, userns=kernel.id_mapping(((0, 1000, 9),), ((0, 1000, 9),))
        )
        kernel.attach(clone, where, "../mapped")
        bind = f'{ROOT}[[mount]]\ntarget = "/view"\nbind = "/mnt/mapped"\n'
        told = []
        for words in (IDMAP, "idmap = false"):
            try:
                plan_of(f"{bind}{words}")
            except SpecError as error:
                told += [str(one) for one in error.mistakes]
        with tree(bind) as built:
            return built.at("/view").attributes, told

    shown, told = in_host(script, identity="root")
    assert "rw,relatime,idmapped" == shown
    assert 2 == len([one for one in told if "mount[1].idmap: the host's mount at" in one])


@pytest.mark.needs_kernel("root", "userns")
@pytest.mark.parametrize(("words", "shown"), [("[]", "rw,nosuid"), ('["nodev"]', "rw,nosuid,nodev"), ('["suid"]', "")])
def test_in_a_user_namespace_what_is_locked_stays_and_clearing_it_is_told_before(
    words: str, shown: str, in_host: InHost
) -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "one"
    target = "/one"
    bind = "/mnt"
    [[mount]]
    target = "/two"
    bind = {{ mount = "one" }}
    attributes = {words}
    """

    def script() -> str:
        mount("mnt", "/mnt", "tmpfs", MS_NOSUID)
        try:
            ((_, table),) = api.build_and_forget(plan_of(spec), rootless="always").tables
        except api.NotAllowed as error:
            return str(error)
        return next(row.attributes for row in table.rows if row.mountpoint == "/two")

    found = in_host(script, identity="root")
    if shown:
        assert f"{shown},relatime" == found
    else:
        assert "test.toml:13: mount[2].attributes: suid cannot be set" in found

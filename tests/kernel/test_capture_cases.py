"""What becomes of each kind of mount in a capture, and what of what cannot be read or rebuilt."""

from __future__ import annotations

import os
import subprocess
from itertools import count
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe.inspect import read_whole
from mountplan.applier.observe.subjects import of_process, of_tree
from mountplan.capturing import Capture, capture_subjects
from mountplan.planner.capture.captured import CapturedPlace
from mountplan.planner.characters import is_plain
from mountplan.planner.errors import TableError
from mountplan.planner.tables.mount_facts import LiveImage
from tests.hosts import InHost, mount, umount, unshare
from tests.kernel.captured_process import at, captured, held
from tests.kernel.states import Act, running
from tests.mountflags import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_RDONLY, MS_SHARED

pytestmark = pytest.mark.needs_kernel("set-group", "root")

CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000


def test_what_the_host_has_mounted_is_bound_from_there(in_host: InHost) -> None:
    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        os.makedirs("/srv/data/in")
        return captured(lambda: mount("/srv/data", "/mnt", flags=MS_BIND))

    capture = in_host(host, identity="root")
    assert CapturedPlace("", "/srv") == at(capture, "/srv").bind
    assert CapturedPlace("", "/srv/data") == at(capture, "/mnt").bind


@pytest.mark.parametrize("sharing", [MS_PRIVATE, MS_SHARED], ids=["private", "shared"])
def test_what_there_is_only_one_of_is_mounted_anew_if_its_source_is_called_otherwise(
    sharing: int, in_host: InHost
) -> None:
    """A bind of the host's sysfs would have the source of that; a new mount shows the same and has its own."""

    def host() -> tuple[Capture, str]:
        def change() -> None:
            mount("mine", "/mnt", "sysfs")
            mount("", "/mnt", flags=sharing)

        capture = captured(change)
        ((_, table),) = api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode()))).tables
        return capture, next(row.source for row in table.rows if row.mountpoint == "/mnt")

    capture, source = in_host(host, identity="root")
    assert ("sysfs", "mine") == (at(capture, "/mnt").type, source)
    assert CapturedPlace("", "/sys") == at(capture, "/sys").bind


def test_a_hostile_name_is_written_as_escapes_and_comes_back(in_host: InHost) -> None:
    """Who reads the spec sees what is in it, and so does the kernel."""
    evil = "\u009b31mA\u202eevil\u2066\u200b\u2028"

    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        os.mkdir(f"/srv/{evil}")
        return captured(lambda: mount(evil, f"/srv/{evil}", "tmpfs"))

    capture = in_host(host, identity="root")
    assert evil == at(capture, f"/srv/{evil}").source
    assert all(map(is_plain, capture.text.split("\n")))


def test_a_slave_of_a_group_of_the_host_names_a_host_mount_of_it(in_host: InHost) -> None:
    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        return captured(lambda: None)

    capture = in_host(host, identity="root")
    groups = {group.name: group for group in capture.captured.groups}
    assert "/srv" == groups[at(capture, "/srv").master].host


def test_what_stands_on_what_is_left_out_leaves_no_workbench_behind(in_host: InHost) -> None:
    """Only a part of the filesystem is mounted, so that it would be made by a mount without a target."""

    def act() -> None:
        mount("own", "/mnt", "tmpfs")
        open("/mnt/net", "x").close()
        unshare(CLONE_NEWNET)
        mount("/proc/self/ns/net", "/mnt/net", flags=MS_BIND)
        unshare(CLONE_NEWNET)  # nobody is in that one any more
        mount("other", "/srv", "tmpfs")
        open("/srv/part", "x").close()
        mount("/srv/part", "/mnt/net", flags=MS_BIND)
        umount("/srv", MNT_DETACH)

    capture = in_host(lambda: captured(act), identity="root")
    _, upon = (one.unsupported for one in capture.captured.namespaces[0].mounts if one.target == "/mnt/net")
    assert "what it stands on is left out" == upon
    assert [] == [one.id for one in capture.captured.namespaces[0].mounts if not one.target]


def test_what_cannot_be_rebuilt_is_left_out_with_the_reason_and_with_what_stands_on_it(in_host: InHost) -> None:
    """Its group goes with it."""

    def namespace_file() -> None:
        mount("own", "/mnt", "tmpfs")
        open("/mnt/net", "x").close()
        unshare(CLONE_NEWNET)
        mount("/proc/self/ns/net", "/mnt/net", flags=MS_BIND)
        mount("", "/mnt/net", flags=MS_SHARED)
        unshare(CLONE_NEWNET)  # nobody is in that one any more
        mount("/dev/null", "/mnt/net", flags=MS_BIND)

    capture = in_host(lambda: captured(namespace_file), identity="root")
    plan = api.plan(api.load("captured.toml", capture.text.encode()))
    assert ["/mnt/net", "/mnt/net"] == [one.target for one in plan.expected.left_out]
    why = "it keeps a namespace alive, which neither a mount on the host shows nor a process that is captured is in"
    (net, _) = (one for one in capture.captured.namespaces[0].mounts if one.target == "/mnt/net")
    assert why == net.unsupported
    assert ["/mnt/net"] == [one.where for one in capture.cautions if "cannot be rebuilt" in one.what]
    assert "" == at(capture, "/mnt").unsupported


def test_a_file_that_was_removed_after_it_was_bound_is_removed_again(in_host: InHost) -> None:
    def removed() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in ("/mnt/gone", "/mnt/here"):
            open(name, "x").close()
        mount("/mnt/gone", "/mnt/here", flags=MS_BIND)
        os.unlink("/mnt/gone")

    bind = at(in_host(lambda: captured(removed), identity="root"), "/mnt/here").bind
    assert bind is not None
    assert ("/gone", True) == (bind.path, bind.deleted)


def test_a_directory_that_was_removed_from_a_removed_one_is_removed_before_it(in_host: InHost) -> None:
    def removed() -> None:
        mount("own", "/mnt", "tmpfs")
        os.makedirs("/mnt/a/b")
        for number, path in enumerate(("a", "a/b")):
            os.mkdir(f"/mnt/{number}")
            mount(f"/mnt/{path}", f"/mnt/{number}", flags=MS_BIND)
        os.rmdir("/mnt/a/b")
        os.rmdir("/mnt/a")

    capture = in_host(lambda: captured(removed), identity="root")
    assert [("/a", True), ("/a/b", True)] == [
        (bind.path, bind.deleted) for name in ("0", "1") if (bind := at(capture, f"/mnt/{name}").bind) is not None
    ]


@pytest.mark.parametrize("again", [False, True])
def test_what_was_removed_from_a_filesystem_of_the_host_is_left_out_with_the_reason(
    in_host: InHost, again: bool
) -> None:
    """A file that is rewritten by a rename is one; what has the name now, or had it before, is never bound instead."""

    def script() -> Capture:
        mount("none", "/mnt", "tmpfs")
        for name in ("dir", "other"):
            Path(f"/mnt/{name}/x").mkdir(parents=True)
        Path("/mnt/file").write_text("old")

        def act() -> None:
            mount("/mnt/other", "/srv", flags=MS_BIND)
            mount("/mnt/dir/x", "/srv/x", flags=MS_BIND)
            mount("/mnt/file", "/etc/hostname", flags=MS_BIND)

        if again:  # the host shows another directory that has been removed by that name
            mount("/mnt/dir/x", "/opt", flags=MS_BIND)
            os.rmdir("/mnt/dir/x")
            os.mkdir("/mnt/dir/x")
        with held(act) as process:
            Path("/mnt/new").write_text("new")
            os.rename("/mnt/new", "/mnt/file")
            os.rmdir("/mnt/dir/x")
            if again:
                Path("/mnt/dir/x//deleted").mkdir(parents=True)
            capture = api.capture(process, name="state")
        api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
        return capture

    found = in_host(script, identity="root")
    reason = "what it shows, {}, has been removed from its filesystem (tmpfs)"
    for target, path in (("/srv/x", "/dir/x"), ("/etc/hostname", "/file")):
        one = at(found, target)
        assert (None, reason.format(path)) == (one.bind, one.unsupported)
        assert any(target in caution and path in caution for caution in map(str, found.cautions))
    assert CapturedPlace("", "/mnt/other") == at(found, "/srv").bind


def test_what_a_proc_shows_of_a_process_is_bound_as_long_as_that_runs(in_host: InHost) -> None:
    """The table has /1234/ns of a process that has ended as if it were there."""

    def script() -> tuple[Capture, int, int]:
        both = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
        living, ended = (one.pid for one in both)

        def act() -> None:
            mount("own", "/mnt", "tmpfs")
            for name, pid in (("living", living), ("ended", ended)):
                os.mkdir(f"/mnt/{name}")
                mount(f"/proc/{pid}/ns", f"/mnt/{name}", flags=MS_BIND)

        with held(act) as process:
            both[1].kill()
            both[1].wait()
            capture = api.capture(process, name="state")
        api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
        both[0].kill()
        return capture, living, ended

    found, living, ended = in_host(script, identity="root")
    assert CapturedPlace("", f"/proc/{living}/ns") == at(found, "/mnt/living").bind
    reason = f"what it shows, /{ended}/ns, has been removed from its filesystem (proc)"
    assert (None, reason) == (at(found, "/mnt/ended").bind, at(found, "/mnt/ended").unsupported)


def test_paths_and_sources_may_have_every_byte_but_nul(in_host: InHost) -> None:
    odd = [bytes((number,)) for number in range(1, 256) if number != ord("/")]
    names = [b"/mnt/x" + b"".join(odd[start : start + 127]) for start in (0, 127)] + ["/mnt/\u00fcn\u00ef".encode()]

    def mounts() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in names:
            os.mkdir(name)
            mount("x,=y z#\n\\\udce9", os.fsdecode(name), "tmpfs")

    capture = in_host(lambda: captured(mounts), identity="root")
    assert {os.fsdecode(name) for name in names} <= {one.target for one in capture.captured.namespaces[0].mounts}


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_a_read_only_image_is_taken_from_its_file(in_host: InHost, tmp_path: Path) -> None:
    image = tmp_path / "image.erofs"
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    subprocess.run(["mkfs.erofs", image, tmp_path / "tree"], check=True, capture_output=True)

    def mounted() -> None:
        subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image, "/mnt"], check=True)
        mount("/mnt/etc", "/srv", flags=MS_BIND)

    capture = in_host(lambda: captured(mounted), identity="root")
    assert (LiveImage(str(image), 0, 0), "erofs") == (at(capture, "/mnt").image, at(capture, "/mnt").type)
    assert "" == at(capture, "/srv").unsupported


def test_a_read_only_superblock_of_a_namespace_that_is_made_too_stays_read_only(in_host: InHost) -> None:
    """Or the copy could be made writable from within."""

    def own_net() -> None:
        unshare(CLONE_NEWNET)
        mount("sysfs", "/mnt", "sysfs", MS_RDONLY)

    def host() -> Capture:
        with held(own_net) as pid:
            first = api.capture(pid, name="state")
        with build(api.plan(api.load("captured.toml", first.text.encode())), kinds=("net",)) as built:
            (subject,) = of_built(built)
            with subject:
                (row,) = [row for row in subject.read().table.rows if row.mountpoint == "/mnt"]
        assert "ro" == row.options
        return first

    capture = in_host(host, identity="root")
    assert ((("ro", True),), ("net",)) == (at(capture, "/mnt").options, capture.captured.unshare)


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_an_image_in_what_is_captured_itself_is_left_out_for_that_reason(in_host: InHost) -> None:
    def inside() -> None:
        mount("own", "/mnt", "tmpfs")
        os.makedirs("/mnt/tree/etc")
        os.mkdir("/mnt/here")
        subprocess.run(["mkfs.erofs", "/mnt/image", "/mnt/tree"], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop,ro", "/mnt/image", "/mnt/here"], check=True)

    reason = at(in_host(lambda: captured(inside), identity="root"), "/mnt/here").unsupported
    assert reason.startswith("it is in an image to which no path of the host leads")


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_an_image_on_a_mount_that_is_gone_is_not_mistaken_for_another_file(in_host: InHost) -> None:
    """Of what was opened there, sysfs shows the path within that mount; here it leads to a decoy."""

    def host() -> tuple[LiveImage | None, str]:
        for directory in ("/mnt", "/srv"):
            mount("none", directory, "tmpfs")
        os.makedirs("/mnt/srv/tree/etc")
        subprocess.run(["mkfs.erofs", "/mnt/srv/image", "/mnt/srv/tree"], check=True, capture_output=True)
        Path("/srv/image").write_text("decoy")
        spec = '[[mount]]\ntarget = "/"\ntype = "erofs"\nimage = "/mnt/srv/image"\noptions = { ro = true }\n'
        with build(api.plan(api.load("image.toml", f"format = 1\n{spec}".encode()))) as built:
            (subject,) = of_built(built)
            with subject:
                shown = capture_subjects([subject], "state")
                return at(shown, "/").image, at(shown, "/").unsupported

    assert (LiveImage("/mnt/srv/image", 0, 0), "") == in_host(host, identity="root")


def test_the_other_namespaces_on_which_a_filesystem_depends_are_unshared_too(in_host: InHost) -> None:
    """A new proc shows the pid namespace in which it is mounted."""

    def own_processes() -> None:
        unshare(CLONE_NEWPID | CLONE_NEWIPC)
        if os.fork() == 0:
            mount("proc", "/mnt", "proc")
            os._exit(0)
        os.wait()

    def host() -> tuple[Capture, Capture]:
        with held(own_processes) as pid:
            assert pid
            inner = next(subject for subject in of_tree(pid))
            with inner:
                first = capture_subjects([inner], "state")
        with build(api.plan(api.load("captured.toml", first.text.encode())), kinds=first.captured.unshare) as built:
            again = of_built(built)
            second = capture_subjects(again, "state")
            for subject in again:
                subject.close()
        return first, second

    first, second = in_host(host, identity="root")
    assert first.text == second.text
    assert "proc" == at(first, "/mnt").type


@pytest.mark.needs_kernel("told-id-maps")
def test_an_id_mapped_mount_comes_back_with_its_map(in_host: InHost) -> None:
    spec = """format = 1
name = "state"

[[mount]]
id = "root"
target = "/"
type = "tmpfs"

[[mount]]
target = "/a"
bind = { mount = "root", path = "/d" }
idmap = { uids = [[0, 1000, 10], [20, 2000, 1]], gids = [[0, 5000, 7]] }
[[mount.file]]
path = "x"
"""

    def host() -> str:
        with build(api.plan(api.load("idmap.toml", spec.encode()))) as built:
            (subject,) = of_built(built)
            with subject:
                return capture_subjects([subject], "state").text

    text = in_host(host, identity="root")
    assert "idmap = { uids = [[0, 1000, 10], [20, 2000, 1]], gids = [[0, 5000, 7]] }" in text


def test_without_proc_the_error_says_how_to_get_one(in_host: InHost) -> None:
    def host() -> None:
        umount("/proc", MNT_DETACH)
        api.capture(os.getpid())

    with pytest.raises(TableError, match="mount -t proc proc /proc"):
        in_host(host, identity="root")


def test_a_process_that_ends_while_it_is_read_is_told(in_host: InHost) -> None:
    def host() -> None:
        with running([Act(0, "begin", (False,))]) as alive:
            subject = of_process(alive.pids[0])
        with subject:
            subject.read()

    with pytest.raises(TableError, match="there is no such process"):
        in_host(host, identity="root")


def test_a_table_that_never_keeps_still_is_given_up(in_host: InHost) -> None:
    texts = (f"1 0 0:{number} / / rw - tmpfs none rw\n".encode() for number in count())
    with open("/proc/self/ns/mnt") as namespace, pytest.raises(TableError, match="changed during each reading"):
        read_whole(namespace.fileno(), lambda: next(texts))


def test_a_table_that_changes_once_is_read_until_it_keeps_still() -> None:
    texts = iter([b"1 0 0:1 / / rw - tmpfs old rw\n", *[b"1 0 0:1 / / rw - tmpfs new rw\n"] * 5])
    reader, writer = os.pipe()  # no namespace, so nothing but the texts counts
    table = read_whole(reader, lambda: next(texts)).table
    os.close(reader)
    os.close(writer)
    assert ["new"] == [row.source for row in table.rows]

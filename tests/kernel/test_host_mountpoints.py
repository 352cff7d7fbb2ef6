"""Mountpoints in filesystems of the host: where they are looked up, and how they are made on request."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.observe.facts import LiveHost
from mountplan.planner.errors import SpecError, StepRefused
from mountplan.planner.host import HostEntry
from tests.hosts import InHost, leave_root, mount, umount
from tests.mountflags import MS_BIND, MS_RDONLY, MS_REMOUNT
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def test_what_is_missing_above_a_mountpoint_on_the_host_is_made_too(tmp_path: Path) -> None:
    """As mkdir -p does it; what is there stays as it is."""
    (tmp_path / "words").write_text("words")
    (tmp_path / "dir/there").mkdir(parents=True)
    (tmp_path / "dir/there").chmod(0o700)
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "{tmp_path}/dir"
    [[mount]]
    target = "/dir/there/new/deep/words"
    bind = "{tmp_path}/words"
    create = true
    [[mount]]
    target = "/dir/there/new/other"
    type = "tmpfs"
    create = true
    """
    plan = plan_of(spec)
    told = [step.describe() for step in plan.steps if step.kind == "make_node" and step.within == "/dir"]
    assert ["directory", "directory", "file", "directory"] == [one.split()[1] for one in told]
    with tree(plan) as built:
        assert "words" == built.inside(lambda: Path("/dir/there/new/deep/words").read_text())
        assert "/dir/there/new/other" in built.mountpoints()
    made = [tmp_path / "dir/there", tmp_path / "dir/there/new", tmp_path / "dir/there/new/deep"]
    assert [0o700, 0o755, 0o755] == [one.stat().st_mode & 0o777 for one in made]
    assert (tmp_path / "dir/there/new/deep/words").read_bytes() == b""


def test_without_a_word_nothing_is_made_on_the_host_and_never_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("words")
    bind = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\n[[mount]]\ntype = "tmpfs"\n'
    with pytest.raises(SpecError, match="no such file or directory"):
        plan_of(bind + 'target = "/dir/a/b"')
    with pytest.raises(SpecError, match="is a file, so nothing can be made in it"):
        plan_of(bind + 'target = "/dir/words/a/b"\ncreate = true')
    assert ["words"] == [one.name for one in tmp_path.iterdir()]


@pytest.mark.needs_kernel("root", "fs:mqueue")
@pytest.mark.parametrize(
    "spec",
    [
        'root = "inherit"\n[[mount]]\ntarget = "/srv/x"\ntype = "tmpfs"\ncreate = true',
        f'{ROOT}[[mount]]\ntarget = "/srv"\ntype = "mqueue"\n[[mount]]\ntarget = "/srv/x"\ntype = "tmpfs"',
        f'{ROOT}[[mount]]\ntarget = "/proc"\ntype = "proc"\n[[mount]]\ntarget = "/proc/none"\ntype = "tmpfs"',
    ],
)
def test_what_nobody_can_make_in_a_filesystem_of_the_kernels_is_told_beforehand(spec: str, in_host: InHost) -> None:
    def script() -> str:
        mount("", "/srv", "mqueue")
        with pytest.raises(OSError, match="not permitted"):
            os.mkdir("/srv/x")
        with pytest.raises(SpecError) as caught:
            plan_of(spec)
        return str(caught.value)

    told = "no directory can be made|there are no directories in mqueue|nothing is there in proc"
    assert re.search(told, in_host(script, identity="root"))


@pytest.mark.needs_kernel("root", "chattr")
def test_that_a_directory_of_the_host_is_immutable_is_told(in_host: InHost) -> None:
    """mkdir(2) answers EPERM there, as a filter would."""
    spec = f'{ROOT}[[mount]]\ntarget = "/d"\nbind = "/srv/fixed"\n'
    spec += '[[mount]]\ntarget = "/d/x"\ntype = "tmpfs"\ncreate = true'

    def script() -> None:
        mount("", "/srv", "tmpfs")
        os.mkdir("/srv/fixed")
        if subprocess.run(["chattr", "+i", "/srv/fixed"], check=False).returncode:
            pytest.skip("a tmpfs of this kernel has no such attribute")
        with tree(spec):
            pass

    with pytest.raises(StepRefused, match="or it is immutable"):
        in_host(script, identity="root")


@pytest.mark.parametrize("path", ["/proc", "/sys"])
def test_where_nothing_can_be_made_that_is_told_before(path: str) -> None:
    with pytest.raises(SpecError, match="nothing can be made"):
        plan_of(
            f'{ROOT}[[mount]]\ntarget = "/d"\nbind = "{path}"\nrecursive = true\n'
            '[[mount]]\ntarget = "/d/missing"\ntype = "tmpfs"\ncreate = true'
        )


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("remounts", [MS_RDONLY, MS_RDONLY | MS_BIND], ids=["filesystem", "mount"])
def test_that_nothing_can_be_made_in_what_is_read_only_is_told_before(remounts: int, in_host: InHost) -> None:
    """An attribute can be taken from the bind, which is another mount."""
    bind = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "/srv"\nattributes = [%s]\n'
    new = '[[mount]]\ntarget = "/dir/a/b"\ntype = "tmpfs"\ncreate = true\n'

    def script() -> list[bool]:
        mount("srv", "/srv", "tmpfs")
        mount("", "/srv", flags=remounts | MS_REMOUNT)
        told = []
        for words in ("", '"rw"'):
            try:
                with tree(plan_of(bind % words + new)):
                    told.append(False)
            except SpecError as error:
                told.append("what is mounted at /srv is read-only" in str(error))
        return told

    assert [True, not remounts & MS_BIND] == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_what_is_missing_below_a_removed_mount_is_made_in_what_that_has_covered(in_host: InHost) -> None:
    spec = """
    root = "inherit"
    [[remove]]
    target = "/srv/a"
    [[mount]]
    target = "/srv/a/x/deep"
    type = "tmpfs"
    create = true
    """

    def script() -> tuple[bool, list[str], bool]:
        mount("srv", "/srv", "tmpfs")
        os.mkdir("/srv/a")
        mount("a", "/srv/a", "tmpfs")
        os.mkdir("/srv/a/x")
        with tree(plan_of(spec)) as built:
            stands = "/srv/a/x/deep" in built.mountpoints()
        above = os.listdir("/srv/a/x")
        umount("/srv/a")
        return stands, above, Path("/srv/a/x/deep").is_dir()

    assert (True, [], True) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")  # for other users it is tried before anything is made
def test_what_a_refused_build_has_made_above_a_mountpoint_is_told(tmp_path: Path) -> None:
    """It stays on the host."""
    (tmp_path / "dir").mkdir()
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "{tmp_path}/dir"
    [[mount]]
    target = "/dir/new/deep"
    type = "tmpfs"
    create = true
    [[mount]]
    target = "/late"
    bind = "{tmp_path}/dir/gone"
    """
    (tmp_path / "dir/gone").mkdir()
    plan = plan_of(spec)
    (tmp_path / "dir/gone").rmdir()
    with pytest.raises(StepRefused) as caught, tree(plan):
        pass
    assert caught.value.aftermath is not None
    assert ["/dir:/new", "/dir:/new/deep"] == [one.split()[-1] for one in caught.value.aftermath.left]
    assert (tmp_path / "dir/new/deep").is_dir()


COVERED = """
[[mount]]
id = "low"
target = "/low"
bind = "/mnt"
{words}
[[mount]]
target = "/low/x/y"
parent = "low"
type = "tmpfs"
"""


def _cover() -> None:
    """On the host, /mnt/x/y is in a filesystem that is mounted over: what is seen of it has "z" only."""
    mount("low", "/mnt", "tmpfs")
    Path("/mnt/x/y").mkdir(parents=True)
    mount("over", "/mnt/x", "tmpfs")
    Path("/mnt/x/z").mkdir()


@pytest.mark.needs_kernel("root")
def test_a_mountpoint_is_looked_up_in_what_is_bound_not_in_what_the_host_has_over_it(in_host: InHost) -> None:
    """What is mounted below the source of a bind does not come along, unless it is recursive."""

    def script() -> tuple[list[str], list[str]]:
        _cover()
        refused = []
        for spec in (COVERED.format(words="recursive = true"), COVERED.format(words="").replace("x/y", "x/z")):
            with pytest.raises(SpecError) as caught:
                plan_of(ROOT + spec)
            refused.append(str(caught.value.mistakes[0].what))
        with tree(ROOT + COVERED.format(words="")) as built:
            return built.mountpoints(), refused

    missing = [f'mountpoint "/mnt/x/{name}" on the host: no such file or directory' for name in "yz"]
    assert (["/", "/low", "/low/x/y"], missing) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_symlink_that_the_host_has_covered_is_one_to_a_bind_and_one_in_the_cover_is_none(in_host: InHost) -> None:
    def script() -> list[str]:
        mount("low", "/mnt", "tmpfs")
        Path("/mnt/x").mkdir()
        Path("/mnt/x/y").symlink_to("/mnt")
        Path("/mnt/x/z").mkdir()
        mount("over", "/mnt/x", "tmpfs")
        Path("/mnt/x/z").symlink_to("/mnt")
        with pytest.raises(SpecError, match='"/low/x/y" is a symlink to "/mnt"'):
            plan_of(ROOT + COVERED.format(words=""))
        with tree(ROOT + COVERED.format(words="").replace("x/y", "x/z")) as built:
            return built.mountpoints()

    assert ["/", "/low", "/low/x/z"] == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_what_is_missing_is_made_in_what_is_bound_not_in_what_covers_it(in_host: InHost) -> None:
    def script() -> tuple[list[str], list[str]]:
        _cover()
        with tree(ROOT + COVERED.format(words="").replace('x/y"', 'x/z/new"\ncreate = true')) as built:
            built.mountpoints()
        in_cover = os.listdir("/mnt/x/z")
        umount("/mnt/x")
        return in_cover, sorted(os.listdir("/mnt/x"))

    assert ([], ["y", "z"]) == in_host(script, identity="root")


def test_who_may_not_look_under_a_mount_of_the_host_does_not_know_what_is_there(in_host: InHost) -> None:
    """The build tells."""

    def script() -> object:
        _cover()
        leave_root()
        return LiveHost().under("/mnt", "/x/y"), LiveHost().under("/mnt", "/x")

    assert (None, HostEntry("directory")) == in_host(script, identity="root")


@pytest.mark.parametrize("proc", ['bind = "/proc"', 'bind = "/proc"\nrecursive = true', 'type = "proc"'])
def test_a_magic_link_of_proc_is_no_way_to_a_target(proc: str) -> None:
    """Its text is not where the kernel goes: that is what a process has open, outside of the new root. Of a new proc it
    was told at the step, with the remedy to follow it.
    """
    own = os.getpid()
    for link in (f"{own}/cwd", f"{own}/root/x", f"{own}/ns/net", f"{own}/task/{own}/exe", "self/attr"):
        spec = f"""{ROOT}
        [[mount]]
        target = "/proc"
        {proc}
        [[mount]]
        target = "/proc/{link}"
        type = "tmpfs"
        on_symlink = "follow"
        """
        with pytest.raises(SpecError, match="is a magic link of /proc"):
            plan_of(spec)


def test_a_symlink_of_sysfs_is_told_or_followed() -> None:
    spec = (
        ROOT + '[[mount]]\ntarget = "/sys"\ntype = "sysfs"\n[[mount]]\ntarget = "/sys/class/net/lo"\ntype = "tmpfs"\n'
    )
    with pytest.raises(SpecError, match="is a symlink to "):
        plan_of(spec)
    (place,) = [step.path for step in plan_of(spec + 'on_symlink = "follow"').steps if step.kind == "attach"][2:]
    assert "devices/virtual/net/lo" == place


def test_only_what_is_missing_is_to_be_created(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with open(tmp_path / "gone", "wb") as file:
        (tmp_path / "gone").unlink()
        for path in (f"/proc/{os.getpid()}/fd/{file.fileno()}", str(tmp_path / "loop")):
            with pytest.raises(SpecError) as caught:
                plan_of(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "{path}"\n')
            assert "name another path" in caught.value.mistakes[0].remedy


@pytest.mark.needs_kernel("root")
def test_what_is_hidden_in_a_bind_is_what_that_shows_not_what_the_host_has_over_it(in_host: InHost) -> None:
    """Optional as it is, the mask was left out, since nothing has the name in the cover."""

    def script() -> tuple[list[str], list[str]]:
        _cover()
        words = 'mask = [{ path = "x/y", optional = true }, { path = "x/z", optional = true }]'
        spec = (ROOT + COVERED.format(words=words)).rpartition("[[mount]]")[0]
        with tree(spec) as built:
            globbed = spec.replace("x/y", "x/*")
            with pytest.raises(SpecError, match='not known what "/x/\\*" matches'):
                plan_of(globbed)
            return built.mountpoints(), [one.target for one in plan_of(spec).expected.left_out]

    assert (["/", "/low", "/low/x/y"], ["/low/x/z"]) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    "made",
    [
        'bind = { mount = "low", path = "/x" }',
        'type = "overlay"\nlayers = [{ mount = "low", path = "/x" }, "/etc"]',
        'type = "ext4"\nimage = { mount = "low", path = "/x/z" }',
        'type = "tmpfs"\n[[mount]]\ntarget = "/again"\nbind = "/mnt"\nreadonly = ["x"]',
    ],
)
def test_what_the_host_has_mounted_over_a_path_of_a_bind_is_not_taken_for_it(made: str, in_host: InHost) -> None:
    """It was, and called verified: the cover's directories were the layers, and its file the image."""

    def script() -> str:
        _cover()
        with pytest.raises(SpecError) as caught:
            plan_of(
                f'{ROOT}[[mount]]\nid = "low"\ntarget = "/low"\nbind = "/mnt"\n[[mount]]\ntarget = "/made"\n{made}\n'
            )
        return caught.value.mistakes[0].what

    assert 'on the host something is mounted on "/mnt/x", which' in in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_under_what_is_removed_a_mountpoint_is_looked_up_in_what_that_covered(in_host: InHost) -> None:
    def script() -> tuple[bool, str]:
        _cover()
        spec = 'root = "inherit"\n[[remove]]\ntarget = "/mnt/x"\n[[mount]]\ntarget = "/mnt/x/y"\ntype = "tmpfs"\n'
        with pytest.raises(SpecError) as caught:
            plan_of(spec.replace("x/y", "x/z"))
        with tree(spec) as built:
            return "/mnt/x/y" in built.mountpoints(), caught.value.mistakes[0].what

    assert (True, 'mountpoint "/mnt/x/z" on the host: no such file or directory') == in_host(script, identity="root")


@pytest.mark.parametrize(
    ("first", "second"),
    [('bind = "/etc/hostname"', 'bind = "/usr"'), ('bind = "/usr"', 'bind = "/etc/hostname"')],
)
def test_one_place_of_the_host_is_not_made_as_a_file_and_as_a_directory(
    in_host: InHost, first: str, second: str
) -> None:
    """It was told at the step, and what the first had made was left on the host."""
    twice = "".join(f'[[mount]]\ntarget = "/{name}"\nbind = "/mnt"\n' for name in "ab")
    made = [f'[[mount]]\ntarget = "/{name}/n"\n{bind}\ncreate = true\n' for name, bind in (("a", first), ("b", second))]

    def script() -> list[str]:
        mount("host", "/mnt", "tmpfs")
        return [one.what for one in api.check(f"format = 1\n{ROOT}{twice}{''.join(made)}")]

    (what,) = in_host(script, identity="root")
    assert what.startswith('"/mnt/n" on the host is to be made as a ') and what.endswith("for /b/n")

"""What planning asks about this machine."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mountplan.applier.observe import facts
from mountplan.applier.observe.facts import LiveHost
from mountplan.applier.observe.listings import entries_of
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.refusal import KernelRefusal
from tests.hosts import CHECKOUT, CLONE_NEWNS, NOBODY, InHost, mount, unshare
from tests.mountflags import MS_BIND


def test_a_filesystem_that_the_kernel_lists_is_known_and_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "fsopen", None)
    assert [True, True] == [LiveHost().knows_filesystem(name) for name in ("tmpfs", "proc")]


@pytest.mark.needs_kernel("root")
def test_a_filesystem_that_does_not_exist_is_not_known(in_host: InHost) -> None:
    assert False is in_host(lambda: LiveHost().knows_filesystem("nosuchfs"), identity="root")


@pytest.mark.parametrize(
    ("refusal", "known"), [(errno.ENODEV, False), (errno.EPERM, None), (errno.ENOSYS, None), (errno.EMFILE, None)]
)
def test_what_is_not_listed_is_asked_of_the_kernel_and_only_its_no_is_a_no(
    refusal: int, known: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module may be loaded for it. Who may not ask does not know."""

    def fsopen(fstype: bytes) -> int:
        raise KernelRefusal(refusal, "fsopen")

    monkeypatch.setattr(facts, "_loads_modules", lambda: True)
    monkeypatch.setattr(syscalls, "fsopen", fsopen)
    assert known is LiveHost().knows_filesystem("nosuchfs")


def test_a_module_that_could_be_loaded_is_as_good_as_one_that_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To look for it loads nothing."""
    alias = tmp_path / "modules.alias"
    alias.write_text("# Aliases\nalias fs-oddfs oddfs\nalias pci:v1 x\n")
    monkeypatch.setattr(facts, "_modules_alias", lambda: str(alias))
    monkeypatch.setattr(syscalls, "fsopen", None)
    monkeypatch.setattr(facts, "_loads_modules", lambda: True)
    assert True is LiveHost().knows_filesystem("oddfs")


def test_without_modules_the_list_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_loads_modules", lambda: False)
    monkeypatch.setattr(syscalls, "fsopen", None)
    assert False is LiveHost().knows_filesystem("nosuchfs")


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(("program", "known"), [("\n", False), ("/sbin/modprobe\n", None)])
def test_a_kernel_that_starts_no_program_loads_no_module(
    program: str, known: bool | None, in_host: InHost, tmp_path: Path
) -> None:
    (tmp_path / "modprobe").write_text(program)

    def fsopen(fstype: bytes) -> int:
        raise KernelRefusal(errno.EPERM, "fsopen")

    def host() -> bool | None:
        mount(str(tmp_path), "/proc/sys/kernel", flags=MS_BIND)
        syscalls.fsopen = fsopen
        return LiveHost().knows_filesystem("nosuchfs")

    assert known is in_host(host, identity="root")


def test_an_argument_of_a_program_may_have_32_pages() -> None:
    """One byte less than that, and the NUL; one more is E2BIG."""
    most = LiveHost().argument_max - 1
    assert 0 == os.spawnv(os.P_WAIT, "/bin/true", ["true", "x" * most])
    assert 127 == os.spawnv(os.P_WAIT, "/bin/true", ["true", "x" * (most + 1)])


def _reason(path: str) -> str:
    with pytest.raises(LookupError) as caught:
        LiveHost().look(path)
    return str(caught.value.args[0])


def test_magic_links_of_proc_are_followed_where_a_path_leads_to_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    fd = os.open("file", os.O_RDONLY)
    try:
        paths = [
            "/proc/self/cwd",
            f"/proc/self/root{tmp_path}/file",
            f"/proc/self/fd/{fd}",
            "/proc/thread-self/cwd/file",
        ]
        assert [str(tmp_path), *[str(tmp_path / "file")] * 3] == [LiveHost().look(path).path for path in paths]
    finally:
        os.close(fd)
    # A program that was executed here: this one may have been in another mount namespace then.
    look = "from mountplan.applier.observe.facts import LiveHost; print(LiveHost().look('/proc/self/exe').path)"
    done = subprocess.run([sys.executable, "-c", look], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    assert os.path.realpath(sys.executable) == done.stdout.strip()


@pytest.mark.needs_kernel("root")
def test_of_many_names_of_a_directory_each_is_told_as_if_asked_for_alone(in_host: InHost, tmp_path: Path) -> None:
    """The directory is read then, and tells neither what is mounted in it nor where its symlinks lead."""

    def script() -> tuple[list[object], list[object]]:
        mount("none", str(tmp_path), "tmpfs")
        for number in range(30):
            (tmp_path / f"{number}").mkdir()
        for number in range(30, 36):
            (tmp_path / f"{number}").touch()
        (tmp_path / "36").symlink_to("3")
        (tmp_path / "37").symlink_to("nowhere")
        os.mkfifo(tmp_path / "38")
        mount("none", str(tmp_path / "20"), "tmpfs")
        mount("none", str(tmp_path / "20"), "tmpfs")
        mount(str(tmp_path / "35"), str(tmp_path / "34"), flags=MS_BIND)
        paths = [str(tmp_path / str(number)) for number in range(40)]
        return _all_of(paths, LiveHost()), [one for path in paths for one in _all_of([path], LiveHost())]

    together, alone = in_host(script, identity="root")
    assert alone == together
    assert 38 == sum("no link" in str(one) for one in together)


def _all_of(paths: list[str], host: LiveHost) -> list[object]:
    """All that is told of paths, twice: of the first ones, more is known by the second time."""
    found: list[object] = []
    for path in paths * 2:
        try:
            looked: object = host.look(path)
        except LookupError as error:
            looked = (type(error), str(error))
        found.append((path, looked, host.link(path) or "no link"))
    return found[len(paths) :]


def test_a_magic_link_to_what_has_no_path_is_refused(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        assert "leads to what has no path: net:[" in _reason("/proc/self/ns/net")
        assert "leads to what has no path: pipe:[" in _reason(f"/proc/self/fd/{reader}")
    finally:
        os.close(reader)
        os.close(writer)


def test_what_has_been_removed_is_said_to_be_even_if_that_name_is_another_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never is another file taken because it has the name."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "dir")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        (tmp_path / "dir").rmdir()
        (tmp_path / "file").unlink()
        for again in (False, True):
            if again:
                (tmp_path / "dir (deleted)").mkdir()
                (tmp_path / "file").touch()
            assert f"leads to {tmp_path}/dir, which has been removed" == _reason(".")
            assert f"leads to {tmp_path}/file, which has been removed" == _reason(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    assert str(tmp_path / "dir (deleted)") == LiveHost().look(f"{tmp_path}/dir (deleted)").path


@pytest.mark.needs_kernel("root")
def test_a_path_into_another_namespace_or_below_a_cover_is_refused(in_host: InHost) -> None:
    """The same file on another mount is another source: of attributes, and of what is mounted below it."""

    def script() -> list[str]:
        mount("low", "/mnt", "tmpfs")
        Path("/mnt/dir").mkdir()
        os.chdir("/mnt/dir")
        outside = os.open("/", os.O_PATH)
        unshare(CLONE_NEWNS)
        fd = os.open("/mnt", os.O_PATH)
        found = [_reason(f"/proc/self/fd/{outside}")]  # the mount of the namespace that was left
        mount("/mnt", "/mnt", flags=MS_BIND)
        return [*found, _reason("."), _reason(f"/proc/self/fd/{fd}")]

    reason = "no path leads there: what {} names now is something else, or covers it"
    assert [reason.format(path) for path in ("/", "/mnt/dir", "/mnt")] == in_host(script, identity="root")


@pytest.mark.parametrize(
    ("fstype", "name", "value", "said"),
    [
        ("tmpfs", "size", "1m", ""),
        ("tmpfs", "noswap", True, ""),
        ("tmpfs", "size", "1x", "tmpfs: Bad value for 'size'"),
        ("tmpfs", "uid", "-1", "tmpfs: Bad value for 'uid'"),
        ("tmpfs", "sise", "1m", "tmpfs: Unknown parameter 'sise'"),
        ("proc", "hidepid", "2", ""),
        ("proc", "hidepd", "2", "proc: Unknown parameter 'hidepd'"),
        ("fuse", "fd", "x", ""),
        ("nosuchfs", "x", "y", ""),
    ],
)
def test_the_kernel_tells_which_options_it_takes_before_anything_is_made(
    fstype: str, name: str, value: str | bool, said: str, in_host: InHost
) -> None:
    assert said == in_host(lambda: LiveHost().refused_option(fstype, name, value), identity="root")


@pytest.mark.needs_kernel("root")
def test_a_directory_is_listed_for_who_may_pass_it_by_the_ids_that_act(in_host: InHost, tmp_path: Path) -> None:
    """A set-user-ID program has others than its caller."""
    (tmp_path / "mine").mkdir(mode=0o744)
    (tmp_path / "mine" / "file").touch()

    def host() -> tuple[object, object]:
        os.chown(tmp_path / "mine", 0, 0)
        os.setresuid(NOBODY, 0, 0)
        acting = entries_of(str(tmp_path / "mine"), 1)
        os.setresuid(0, NOBODY, 0)
        return acting, entries_of(str(tmp_path / "mine"), 1)

    assert ({"file": "file"}, None) == in_host(host, identity="root")

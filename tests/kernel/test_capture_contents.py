"""capture --contents: the files of filesystems that only live in memory come along, whatever covers them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe import storing
from mountplan.applier.observe.subjects import of_process
from mountplan.capturing import Capture, Folder, capture_subjects
from mountplan.cli import capture_cmd, main
from tests.hosts import InHost, mount, umount
from tests.kernel.states import Act, Running, running
from tests.portrait import Portrait, make_menagerie, portrait
from tests.trees import Tree, tree

pytestmark = pytest.mark.needs_kernel("set-group", "root", "device-nodes")

BEGIN = Act(0, "begin", (False,))


@contextmanager
def alive(folder: Path) -> Iterator[tuple[Running, Path]]:
    """A namespace with a process in it, and a path by which its root can be reached; `folder` becomes a tmpfs."""
    mount("t", str(folder), "tmpfs")  # whose blocks are counted as the captured are
    with running([BEGIN]) as one:
        yield one, Path(f"/proc/{one.pids[0]}/root")


def taken(one: Running, folder: Path, name: str = "first") -> Capture:
    with of_process(one.pids[0]) as subject:
        return capture_subjects([subject], "state", Folder(str(folder / name), str(folder / "first")))


def said(capture: Capture) -> list[str]:
    """Its cautions but the one that each capture has on kernels that do not tell of mounts nobody sees."""
    return [str(one) for one in capture.cautions if "what its root does not show is missing" not in one.what]


@contextmanager
def again(capture: Capture) -> Iterator[Tree]:
    """The captured state, built."""
    with tree(api.plan(api.load("captured.toml", capture.text.encode()))) as built:
        yield built


@pytest.mark.needs_kernel("tmpfs-xattrs")
def test_all_that_a_filesystem_can_hold_is_there_again_and_is_captured_alike(tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "tmpfs", ("/a", "feed", "", 0)))
            make_menagerie(root / "a")
            first = taken(one, tmp_path)
            with again(first) as built, ExitStack() as stack:
                subjects = [stack.enter_context(subject) for subject in of_built(built.built)]
                second = capture_subjects(subjects, "state", Folder(f"{tmp_path}/second", f"{tmp_path}/first"))
                return {
                    "there": portrait(root / "a"),
                    "stored": portrait(tmp_path / "first/a"),
                    "here": built.inside(lambda: portrait("/a")),
                    "texts": (first.text, second.text),
                    "cautions": said(first),
                }

    found = in_host(script, identity="root")
    assert found["there"] == found["here"]
    assert found["there"] == found["stored"]
    assert found["texts"][0] == found["texts"][1]
    assert [] == found["cautions"]


def test_what_was_removed_is_told_from_what_has_its_name_since(tmp_path: Path, in_host: InHost) -> None:
    """The kernel shows one name for two removed files, and there may be another file of that name."""

    def script() -> tuple[dict[str, str], list[str]]:
        with alive(tmp_path) as (one, root):
            for number in range(3):
                (root / "f").write_text(str(number))
                (root / f"at{number}").touch()
                one.carry_out(Act(0, "bind file", ("/f", f"/at{number}")))
                if number < 2:
                    (root / "f").unlink()
            capture = taken(one, tmp_path)
            with again(capture) as built:
                files = built.inside(lambda: {name: Path(name).read_text() for name in ("/at0", "/at1", "/at2")})
                return files, said(capture)

    files, cautions = in_host(script, identity="root")
    assert {"/at0": "0", "/at1": "1", "/at2": "2"} == files
    assert [
        "/at0: the copy will differ: root: /f//deleted -> /f.removed//deleted",
        "/at1: the copy will differ: root: /f//deleted -> /f.removed-2//deleted",
    ] == cautions


def test_of_a_file_that_was_removed_from_an_overlay_the_loss_is_told(tmp_path: Path, in_host: InHost) -> None:
    def script() -> list[str]:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "overlay", ("/a", ("/b",), "/c", "ov", "absolute", "", False)))
            (root / "a/f").write_text("of the overlay")
            (root / "f").touch()
            one.carry_out(Act(0, "bind file", ("/a/f", "/f")))
            (root / "a/f").unlink()
            return said(taken(one, tmp_path))

    lost = "/f: contents: it will be empty, as it was removed from an overlay, and no directory has it"
    assert lost in in_host(script, identity="root")


def test_what_was_removed_with_its_directory_may_have_lain_where_a_file_is_now(tmp_path: Path, in_host: InHost) -> None:
    def script() -> tuple[tuple[str, str], list[str]]:
        with alive(tmp_path) as (one, root):
            (root / "d").mkdir()
            (root / "d/f").write_text("old")
            (root / "at").touch()
            one.carry_out(Act(0, "bind file", ("/d/f", "/at")))
            (root / "d/f").unlink()
            (root / "d").rmdir()
            (root / "d").write_text("new")
            capture = taken(one, tmp_path)
            with again(capture) as built:
                return built.inside(lambda: (Path("/at").read_text(), Path("/d").read_text())), said(capture)

    files, cautions = in_host(script, identity="root")
    assert ("old", "new") == files
    assert ["/at: the copy will differ: root: /d/f//deleted -> /f.removed//deleted"] == cautions


def test_a_directory_that_was_removed_with_what_is_still_shown_of_it_is_told(tmp_path: Path, in_host: InHost) -> None:
    def script() -> tuple[bool, list[str]]:
        with alive(tmp_path) as (one, root):
            (root / "d/e").mkdir(parents=True)
            (root / "d/e/f").write_text("old")
            (root / "at").touch()
            one.carry_out(Act(0, "bind file", ("/d/e/f", "/at")))
            (root / "d/e/f").unlink()
            (root / "d/e").rmdir()
            capture = taken(one, tmp_path)
            with again(capture) as built:
                return built.inside(lambda: Path("/d/e").is_dir()), said(capture)

    is_there, cautions = in_host(script, identity="root")
    assert is_there
    assert ["/at: /d/e was removed, and is there again, as what it shows is made in there"] == cautions


def test_an_empty_directory_that_comes_back_for_what_was_removed_in_it_is_told(in_host: InHost, tmp_path: Path) -> None:
    """Also if one above it is there again in the original, and no files are taken along."""

    def script() -> list[str]:
        with alive(tmp_path) as (one, root):
            (root / "d/e/f").mkdir(parents=True)
            (root / "at").mkdir()
            one.carry_out(Act(0, "bind", ("/d/e/f", "/at")))
            for path in ("d/e/f", "d/e", "d"):
                (root / path).rmdir()
            (root / "d").mkdir()
            with of_process(one.pids[0]) as subject:
                return said(capture_subjects([subject], "state"))

    what = "/at: /d/e was removed, and is there again, as what it shows is made in there"
    assert [what] == in_host(script, identity="root")


@pytest.mark.parametrize("kept", [True, False])
def test_of_a_file_that_is_shown_by_a_removed_name_and_has_another_one_that_is_told(
    in_host: InHost, *, kept: bool
) -> None:
    """What is written to one of them is in the other; not so in the copy. Also where both names are removed."""

    def script() -> list[str]:
        with alive(Path("/mnt")) as (one, root):
            for name in ("kept", "at"):
                (root / name).touch()
            (root / "removed").hardlink_to(root / "kept")
            one.carry_out(Act(0, "bind file", ("/removed", "/at")))
            (root / "removed").unlink()
            if not kept:
                (root / "beside").touch()
                one.carry_out(Act(0, "bind file", ("/kept", "/beside")))
                (root / "kept").unlink()
            with of_process(one.pids[0]) as subject:
                return said(capture_subjects([subject], "state"))

    what = "its name was removed, and it has others; the copy shows a file without any"
    assert [f"{'/at' if kept else '/beside'}: {what}"] == in_host(script, identity="root")


def test_a_file_with_names_in_two_parts_of_a_filesystem_is_one_again(tmp_path: Path, in_host: InHost) -> None:
    """Each part is seen through a mount of its own, and nothing shows the whole."""

    def script() -> bool:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "tmpfs", ("/a", "parts", "", 0)))
            for name in ("one", "two"):
                (root / "a" / name).mkdir()
            (root / "a/one/f").write_text("text")
            (root / "a/two/g").hardlink_to(root / "a/one/f")
            for name, at in (("one", "/b"), ("two", "/c")):
                one.carry_out(Act(0, "bind", (f"/a/{name}", at)))
            one.carry_out(Act(0, "umount", ("/a", True)))
            with again(taken(one, tmp_path)) as built:
                return built.inside(lambda: os.path.samefile("/b/f", "/c/g"))

    assert in_host(script, identity="root")


def test_what_other_mounts_cover_is_taken_as_well(tmp_path: Path, in_host: InHost) -> None:
    """Files below a mountpoint, in a file that is one, and in a filesystem that another one is upon."""

    def script() -> tuple[dict[str, Portrait], list[str]]:
        with alive(tmp_path) as (one, root):
            (root / "b/a/f").write_text("below a directory")
            (root / "f").write_text("below a file")
            one.carry_out(Act(0, "bind file", ("/g", "/f")))
            one.carry_out(Act(0, "tmpfs", ("/b", "low", "", 0)))
            (root / "b/low").write_text("low")
            one.carry_out(Act(0, "tmpfs", ("/b", "high", "", 0)))
            (root / "b/high").write_text("high")
            with again(taken(one, tmp_path)) as built:
                return portrait(tmp_path / "first"), built.inside(lambda: os.listdir("/b"))

    stored, on_top = in_host(script, identity="root")
    assert {"root/b/a/f", "root/f", "b/low"} <= set(stored)
    assert ["b-2/high"] == [path for path in stored if path.endswith("/high")]
    assert "high" in on_top
    assert "low" not in on_top


def test_a_file_that_has_lost_its_name_keeps_what_is_in_it(tmp_path: Path, in_host: InHost) -> None:
    def script() -> tuple[str, list[str]]:
        with alive(tmp_path) as (one, root):
            (root / "a/f").write_text("gone")
            one.carry_out(Act(0, "bind file", ("/a/f", "/g")))
            os.unlink(root / "a/f")
            with again(taken(one, tmp_path)) as built:
                return built.inside(lambda: (Path("/g").read_text(), os.listdir("/a")))

    text, names = in_host(script, identity="root")
    assert "gone" == text
    assert "f" not in names


def test_what_the_spec_makes_by_itself_is_not_stored(tmp_path: Path, in_host: InHost) -> None:
    """A filesystem that holds mountpoints and nothing else needs no directory; neither does an empty one."""

    def script() -> tuple[str, list[str]]:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "tmpfs", ("/a", "feed", "mode=0700", 0)))
            for name in ("a/a", "a/b/a", "a/c"):
                shutil.rmtree(root / name)
            for name in ("a/f", "a/g"):
                os.chmod(root / name, 0o644)
            one.carry_out(Act(0, "tmpfs", ("/a/b", "empty", "", 0)))
            one.carry_out(Act(0, "bind file", ("/a/f", "/a/g")))
            for path in (root / "a/b").iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            one.carry_out(Act(0, "pivot", ("/a",)))
            return taken(one, tmp_path).text, os.listdir(tmp_path)

    text, names = in_host(script, identity="root")
    assert "contents" not in text
    assert [] == names


def test_a_directory_that_is_there_already_is_left_alone(tmp_path: Path, in_host: InHost) -> None:
    def script() -> str:
        with alive(tmp_path) as (one, _):
            (tmp_path / "first").mkdir()
            (tmp_path / "first/mine").touch()
            with pytest.raises(FileExistsError):
                taken(one, tmp_path)
            return " ".join(os.listdir(tmp_path / "first"))

    assert "mine" == in_host(script, identity="root")


def test_to_look_does_not_change_when_a_file_was_last_read(tmp_path: Path, in_host: InHost) -> None:
    def script() -> tuple[int, int]:
        with alive(tmp_path) as (one, root):
            (root / "a/f").write_text("x")
            os.utime(root / "a/f", ns=(5, 7))
            taken(one, tmp_path)
            return os.stat(root / "a/f").st_atime_ns, os.stat(tmp_path / "first/root/a/f").st_atime_ns

    assert (5, 5) == in_host(script, identity="root")


@pytest.mark.needs_kernel("tmpfs-xattrs")
def test_what_cannot_be_stored_is_told_and_the_rest_is(tmp_path: Path, in_host: InHost) -> None:
    """As where no device nodes can be made: here, where extended attributes of their kind cannot be stored."""

    def script() -> tuple[list[str], str, int]:
        with alive(tmp_path) as (one, root):
            (root / "a/f").write_text("x")
            os.chmod(root / "a/f", 0o640)
            os.setxattr(root / "a/f", "user.note", b"kept")
            mount("r", str(tmp_path), "ramfs")
            capture = taken(one, tmp_path)
            stored = tmp_path / "first/root/a/f"
            return said(capture), stored.read_text(), stat.S_IMODE(stored.stat().st_mode)

    told, text, mode = in_host(script, identity="root")
    assert ["/: contents: /a/f: cannot give it the extended attribute user.note: operation not supported"] == told
    assert ("x", 0o640) == (text, mode)


@pytest.mark.needs_kernel("userns", "tmpfs-xattrs")
def test_root_in_a_user_namespace_takes_the_files_there_and_builds_them_again(tmp_path: Path, in_host: InHost) -> None:
    """Covered ones too: what may be unmounted in a copy of the namespace is theirs."""

    def script() -> tuple[list[str], dict[str, Portrait], dict[str, Portrait]]:
        with alive(tmp_path) as (one, root):
            (root / "a/f").write_text("below")
            os.setxattr(root / "a/f", "user.note", b"kept")
            os.mkfifo(root / "a/fifo")
            one.carry_out(Act(0, "tmpfs", ("/a", "cover", "", 0)))
            capture = taken(one, tmp_path)
            with again(capture) as built:
                here = built.inside(uncovered)
            return said(capture), portrait(tmp_path / "first/root"), here

    def uncovered() -> dict[str, Portrait]:
        umount("/a")
        return portrait("/")

    os.chmod(tmp_path, 0o755)
    cautions, stored, here = in_host(script, identity="userns", reach=(tmp_path,))
    assert [] == cautions
    assert stat.S_ISFIFO(stored["a/fifo"].mode)
    assert (("user.note", b"kept"),) == stored["a/f"].attributes
    assert stored == here


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_a_killed_capture_has_stored_is_gone_or_goes_with_the_next(
    number: signal.Signals, tmp_path: Path, in_host: InHost
) -> None:
    """The directory itself is there whole or not at all."""

    def half(*_: object) -> Any:
        (tmp_path / ".first.mountplan-new/half").touch()
        signal.pause()

    def script() -> list[list[str]]:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "tmpfs", ("/a", "feed", "", 0)))
            (root / "a/file").write_text("x")
            child = os.fork()
            if child == 0:
                try:
                    storing._store = half  # type: ignore[assignment]
                    taken(one, tmp_path)
                finally:
                    os._exit(1)
            while not Path(tmp_path, ".first.mountplan-new/half").exists():
                time.sleep(0.01)
            with pytest.raises(OSError, match="another process"):
                taken(one, tmp_path)
            os.kill(child, number)
            assert number == os.waitpid(child, 0)[1]
            found = [os.listdir(tmp_path)]
            taken(one, tmp_path)
            return [*found, os.listdir(tmp_path), os.listdir(next(tmp_path.iterdir()))]

    left = [".first.mountplan-new"] if number == signal.SIGKILL else []
    first, second, third = in_host(script, identity="root")
    assert (left, ["first"]) == (first, second)
    assert "half" not in third


@pytest.mark.parametrize("saved", [False, True])
def test_files_without_their_spec_that_a_killed_capture_has_left_go_with_the_next(
    saved: bool, tmp_path: Path, in_host: InHost
) -> None:
    """What is killed when the spec is saved, and still says that it is not, leaves what is of use."""

    def script() -> tuple[list[str], int, list[str], bool]:
        with alive(tmp_path) as (one, root):
            one.carry_out(Act(0, "tmpfs", ("/a", "feed", "", 0)))
            (root / "a/file").write_text("x")
            words = ["capture", "-q", "--pid", str(one.pids[0]), "-o", str(tmp_path / "c.toml"), "--contents"]
            child = os.fork()
            if child == 0:
                # If it was saved: when the marker is about to go.
                where, what = (storing, "suppress") if saved else (capture_cmd, "save")
                setattr(where, what, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                try:
                    main(words)
                finally:
                    os._exit(1)
            assert signal.SIGKILL == os.waitpid(child, 0)[1]
            left = sorted(os.listdir(tmp_path))
            inode = (tmp_path / "c.contents").stat().st_ino
            status = main(words)
            return left, status, sorted(os.listdir(tmp_path)), inode == (tmp_path / "c.contents").stat().st_ino

    left, status, after, same = in_host(script, identity="root")
    spec = ["c.toml"] if saved else []
    assert [".c.contents.mountplan-unsaved", "c.contents", *spec] == left
    assert (2 if saved else 0, saved) == (status, same)
    assert ["c.contents", "c.toml"] == after

"""What becomes of the processes that hold names when their records go, and of names beside something odd."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan import api, keeping
from mountplan.applier.keep import kept as names
from mountplan.applier.keep import kept_changes
from mountplan.kept_plan import plan_kept_for
from mountplan.planner.errors import KeepRefused, NotKept
from tests.commands import PROC, programs
from tests.hosts import CLONE_NEWNS, NOBODY, PATIENCE, InHost, leave_root, moments, mount, run_in_child, umount, unshare
from tests.keptnames import OTHER, SPEC, STORE, in_runtime_directory, leave, on_run, table
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_REC, MS_SHARED
from tests.trees import ROOT, plan_of

pytestmark = pytest.mark.needs_kernel("root")

WITH_PID = '[run]\nunshare = ["pid"]\n'
MNT_DETACH = 2


def ended(pid: int) -> bool:
    """True once a process has ended, for which it gets some time."""
    for _ in moments():
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
    os.kill(pid, signal.SIGKILL)
    return False


def keep(text: str = SPEC, name: str = "shop", *, replace: bool = False) -> int:
    """Keep it, and return the pid of the process that holds it."""
    keeper = keeping.keep(plan_of(text), name, replace=replace).kept.keeper
    assert keeper is not None
    return keeper.pid


def in_a_namespace_that_ends(action: Callable[[], int], propagation: int = MS_PRIVATE) -> int:
    """What `action` returns in a mount namespace of its own, with its own /run, once all processes there have ended."""

    def inside() -> int:
        unshare(CLONE_NEWNS)
        mount("", "/", flags=MS_REC | MS_PRIVATE)
        mount("run", "/run", "tmpfs", data="mode=0755")
        mount("", "/run", flags=propagation)
        return action()

    return run_in_child(inside)


def test_without_its_own_proc_root_is_not_told_that_nothing_is_kept(in_host: InHost) -> None:
    """The store tells whose it is by the number of the mount namespace, which only /proc has."""

    def script() -> list[str]:
        keeping.keep(plan_of(SPEC))
        mount("nothing", "/proc", "tmpfs")
        told = []
        for ask in (keeping.listed, lambda: kept_changes.remove("shop"), lambda: names.find("shop")):
            with pytest.raises(KeepRefused) as caught:
                ask()
            told.append(caught.value.remedy)
        umount("/proc")
        assert ["shop"] == [one.kept.name for one in keeping.kept()]
        return told

    assert 3 * ["mount it: mount -t proc proc /proc"] == in_host(on_run(script), identity="root")


# ---- the process that holds a name ends with its record --------------------------------------------------------------

INHERITS = f'root = "inherit"\npropagation = "slave"\n[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\n{WITH_PID}'


@pytest.mark.parametrize("shared", [MS_PRIVATE, MS_SHARED])
@pytest.mark.parametrize("text", [SPEC + WITH_PID, INHERITS])
@pytest.mark.parametrize("replace", [False, True])
def test_process_1_ends_with_the_mount_namespace_in_which_the_name_was_kept(
    text: str, shared: int, replace: bool, in_host: InHost
) -> None:
    """The tree may have a copy of that /run, or of the store, even of a later one: that must not keep it going."""

    def script() -> bool:
        def action() -> int:
            first = keep(text)
            if not replace:
                return first
            second = keep(text, replace=True)
            assert ended(first)
            return second

        return ended(in_a_namespace_that_ends(action, shared))

    assert in_host(script, identity="root")


def lose_the_directory(store: Path) -> None:
    for path in (store / "shop").iterdir():
        try:
            path.unlink()
        except OSError:
            assert path.stat().st_dev == os.stat("/proc/self/ns/mnt").st_dev  # a namespace's file, that is mounted


@pytest.mark.parametrize(
    "lose",
    [
        lose_the_directory,
        lambda store: (store / "shop/.state.json").rename(store / "shop/elsewhere"),
        lambda store: os.replace(store / "shop/.plan.json", store / "shop/.state.json"),
        lambda store: umount(str(store), MNT_DETACH),
    ],
    ids=["removed", "moved", "overwritten", "unmounted"],
)
def test_process_1_ends_with_its_record(lose: Callable[[Path], None], in_host: InHost) -> None:
    def script() -> tuple[bool, tuple[str, ...]]:
        pid = keep(SPEC + WITH_PID)
        other = keep(SPEC + WITH_PID, "other") if lose.__name__ != "<lambda>" else 0
        lose(STORE)
        gone = ended(pid)
        assert not other or not Path(f"/proc/{other}/stat").read_text().startswith("Z")
        kept_changes.tidy()
        return gone, tuple(name for name in names.names() if name != "other")

    assert (True, ()) == in_host(on_run(script), identity="root")


@pytest.mark.needs_kernel("userns")
@pytest.mark.parametrize("text", [SPEC, SPEC + WITH_PID])
def test_a_users_keeper_ends_when_the_runtime_directory_is_removed(text: str, in_host: InHost) -> None:
    """As at the end of a session."""

    def script() -> bool:
        pid = keep(text)
        shutil.rmtree(Path(os.environ["XDG_RUNTIME_DIR"]) / "mountplan")
        return ended(pid) and names.names() == ()

    assert in_host(in_runtime_directory(script), identity="nobody")


@pytest.mark.needs_kernel("userns")
@pytest.mark.parametrize("text", [SPEC, SPEC + WITH_PID])
def test_a_users_keeper_ends_when_the_runtime_directory_is_unmounted(text: str, in_host: InHost) -> None:
    def script() -> bool:
        mount("user", "/mnt", "tmpfs", data=f"mode=0700,uid={NOBODY}")

        def as_user() -> int:
            leave_root()
            os.environ["XDG_RUNTIME_DIR"] = "/mnt"
            return keep(text)

        pid = run_in_child(as_user)
        umount("/mnt")
        return ended(pid)

    assert in_host(script, identity="root")


@pytest.mark.needs_kernel("loop", "mkfs.ext4")
def test_a_loop_device_goes_with_the_process_that_held_it(in_host: InHost, tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run(["truncate", "-s", "4M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    text = f'{ROOT}[[mount]]\ntarget = "/image"\ntype = "ext4"\nimage = "{image}"\n{WITH_PID}'

    def loops() -> str:
        return subprocess.run(["losetup", "-j", str(image)], check=True, capture_output=True, text=True).stdout

    def script() -> tuple[bool, bool, str]:
        def action() -> int:
            pid = keep(text)
            assert loops()
            return pid

        pid = in_a_namespace_that_ends(action)
        gone = ended(pid)
        for _ in moments():
            if not loops():
                break
        return gone, True, loops()

    assert (True, True, "") == in_host(script, identity="root", reach=[tmp_path])


# ---- what is odd stops nothing else ----------------------------------------------------------------------------------


def spoil(store: Path) -> None:
    """Beside the names "a" and "z", all that may be in their directory without being one that can be read."""
    for file in (".plan.json", ".host.json", ".seen-mnt"):
        name = "no" + file.replace(".", "-")
        keeping.keep(plan_of(SPEC), name)
        (store / name / file).write_text("[[1, 2]]")
    for file in (".plan.json", ".host.json"):
        name = "gone" + file.replace(".", "-")
        keeping.keep(plan_of(SPEC), name)
        (store / name / file).unlink()
    state = (store / "a/.state.json").read_text()
    (store / "file").touch()
    os.mkfifo(store / "fifo")
    (store / "symlink").symlink_to("a")
    (store / "loop").symlink_to("loop")
    (store / "no name").mkdir()
    (store / "ünicode").mkdir()
    os.mkdir(os.fsencode(store) + b"/\xff")
    (store / "empty").mkdir()
    (store / "closed").mkdir(mode=0)
    (store / "nested/deeper").mkdir(parents=True)
    (store / ".new-file~1").touch()
    (store / ".old-nested~1/deeper").mkdir(parents=True)
    os.mkfifo(store / ".old-fifo~1")
    (store / "copy").mkdir()
    shutil.copy(store / "a/.state.json", store / "copy")

    def record(name: str, text: str) -> None:
        (store / name).mkdir()
        (store / name / ".state.json").write_text(text)

    record("garbage", "\0\xff{[")
    record("list", "[]")
    record("deep", "[" * 100_000)
    record("types", json.dumps(json.loads(state) | {"name": "types", "since": "x", "namespaces": [1]}))
    record("path", json.dumps(json.loads(state) | {"name": "path", "namespaces": [["mnt", "", 1, "../a/mnt"]]}))
    record("keeper", json.dumps(json.loads(state) | {"name": "keeper", "keeper": {"pid": -1}}))
    record("future", state.replace("mountplan-kept/1", "mountplan-kept/99"))
    record("huge", "")
    os.truncate(store / "huge/.state.json", 1 << 40)
    for kind, make in (
        ("fifo", os.mkfifo),
        ("symlink", lambda path: os.symlink("/dev/zero", path)),
        ("directory", os.mkdir),
    ):
        (store / f"state-is-{kind}").mkdir()
        make(store / f"state-is-{kind}/.state.json")


GONE = {"empty", "copy", "garbage", "list", "deep", "types", "path", "keeper"}
UNREADABLE = {"closed", "future", "huge", "state-is-fifo", "state-is-symlink", "state-is-directory"}


def among_odd_things(store: Path) -> None:
    keeping.keep(plan_of(SPEC), "a")
    keeping.keep(plan_of(SPEC + WITH_PID), "z")
    spoil(store)
    forgotten = {note.partition(" ")[0] for note in kept_changes.tidy()}
    readable = {"closed"} if os.geteuid() == 0 else set()  # it is empty
    assert GONE | readable == forgotten
    listed = {one.name if isinstance(one, keeping.Unreadable) else one.kept.name: one for one in keeping.listed()}
    unreadable = {name for name, one in listed.items() if isinstance(one, keeping.Unreadable)}
    assert UNREADABLE - readable == unreadable - {name for name in unreadable if name.startswith("no-")}
    standing = [one for one in keeping.kept() if one.health == "healthy"]
    assert {"a", "z"} <= {one.kept.name for one in standing}
    assert not [one for one in standing if one.kept.name.startswith("gone-")], "without what tells what it was"
    odd = {os.path.relpath(path, store) for path in names.odd()}
    assert {"file", "fifo", "symlink", "loop", "no name", "nested/deeper"} <= odd
    with pytest.raises(KeepRefused, match=r"(?s)no-plan-json.*remedy: look at it.*mountplan rm no-plan-json"):
        plan_kept_for("no-plan-json")
    for name in ("file", "fifo", "symlink", "loop", "nested"):
        with pytest.raises((KeepRefused, NotKept)):
            kept_changes.remove(name)
    for name in ("file", "symlink", "huge", "future"):
        with pytest.raises(KeepRefused):
            keeping.keep(plan_of(OTHER), name)
    assert "kept" == keeping.keep(plan_of(OTHER), "b").outcome
    assert "stands" == keeping.keep(plan_of(SPEC), "a").outcome
    assert "replaced" == keeping.keep(plan_of(SPEC), "a", replace=True).outcome
    assert "healthy" == keeping.look_up("z").health
    for name in ("huge", "state-is-fifo", "state-is-symlink", "a", "b", "z"):
        kept_changes.remove(name)
    assert (store / ".old-nested~1/deeper").exists()
    for path in store.iterdir():
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif not path.name.startswith(("no-", "gone-", "first")):
            path.chmod(0o700)
            shutil.rmtree(path)


def test_whatever_is_odd_in_roots_store_stops_no_other_name(in_host: InHost) -> None:
    def script() -> None:
        keeping.keep(plan_of(SPEC), "first")  # so that there is a store
        owner = (STORE / ".owner").read_bytes()
        try:
            among_odd_things(STORE)
        finally:
            (STORE / ".owner").write_bytes(owner)

    in_host(on_run(script), identity="root")


def test_a_name_whose_file_is_mounted_over_is_unknown_and_not_forgotten(in_host: InHost) -> None:
    def script() -> tuple[str, str, str]:
        keeping.keep(plan_of(SPEC), "a")
        mount(str(STORE / "a/mnt"), str(STORE / "a/mnt"), flags=MS_BIND)
        same = keeping.look_up("a").health
        mount("/usr/bin/env", str(STORE / "a/mnt"), flags=MS_BIND)
        covered = keeping.look_up("a").health
        umount(str(STORE / "a/mnt"))
        return same, covered, keeping.look_up("a").health

    assert ("healthy", "unknown", "healthy") == in_host(on_run(script), identity="root")


@pytest.mark.needs_kernel("userns")
def test_whatever_is_odd_in_a_users_store_stops_no_other_name(in_host: InHost) -> None:
    in_host(
        in_runtime_directory(lambda: among_odd_things(Path(os.environ["XDG_RUNTIME_DIR"]) / "mountplan")),
        identity="nobody",
    )


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_root_neither_trusts_nor_awaits_a_directory_that_a_user_has_made_first(mode: int, in_host: InHost) -> None:
    """Where users may create what they like in /run: with a lock that is held for ever, and a forged sign of root's."""

    def script() -> float:
        mount("run", "/run", "tmpfs", data="mode=1777")

        def squat() -> None:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            STORE.mkdir()
            STORE.chmod(mode)
            os.mkfifo(STORE / ".owner")
            (STORE / "shop").mkdir()
            fcntl.flock(os.open(STORE, os.O_RDONLY), fcntl.LOCK_EX)
            os.write(ready[1], b"x")
            signal.pause()

        ready = os.pipe()
        child = os.fork() or leave(squat)
        os.read(ready[0], 1)
        before = table()
        begin = time.monotonic()
        for action in (keeping.kept, lambda: keep(), lambda: kept_changes.remove("shop"), kept_changes.tidy):
            with pytest.raises(KeepRefused, match=f"belongs to user {NOBODY}"):
                action()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert before == table()
        return time.monotonic() - begin

    assert in_host(script, identity="root") < 30 * PATIENCE


def test_a_name_that_is_replaced_all_the_time_is_there_all_the_time(in_host: InHost) -> None:
    """And one that comes and goes hides no other."""

    def script() -> tuple[set[str], int]:
        keeping.keep(plan_of(SPEC), "stays")
        keeping.keep(plan_of(SPEC))

        def change() -> None:
            for _ in range(12):
                keeping.keep(plan_of(SPEC), "shop", replace=True)
                keeping.keep(plan_of(SPEC), "comes")
                kept_changes.remove("comes")

        child = os.fork() or leave(change)
        seen: set[str] = set()
        looks = 0
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            found = {one.kept.name: one.health for one in keeping.kept()}
            seen |= {f"{name}: {found.get(name)}" for name in ("stays", "shop")}
            names.plan_text("shop")
            for subject in names.subjects("shop"):
                subject.close()
            looks += 1
        return seen, looks

    seen, looks = in_host(on_run(script), identity="root", timeout=120)
    assert {"stays: healthy", "shop: healthy"} == seen
    assert looks > 3


def test_who_enters_a_name_holds_up_nobody_who_removes_it(in_host: InHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in a pid namespace has a process of ours before it, that waits, and has looked the name up."""
    monkeypatch.setattr(kept_changes, "READERS", 45.0)

    def script() -> float:
        keeping.keep(plan_of(programs('unshare = ["pid"]', PROC)), "programs")
        child = os.fork() or leave(lambda: api.enter("programs", "", ("sleep", "60")))
        while not any(b"sleep" in Path("/proc", pid, "cmdline").read_bytes() for pid in children(child)):
            time.sleep(0.05)
        begin = time.monotonic()
        kept_changes.remove("programs")
        took = time.monotonic() - begin
        os.waitpid(child, 0)
        return took

    assert in_host(on_run(script), identity="root") < 30


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

"""Kept namespaces, an ordinary user's: a process holds them, and is never taken for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mountplan import keeping
from mountplan.applier.keep import kept as names
from mountplan.applier.keep import kept_changes
from mountplan.applier.keep.kept_record import Kept, load_state
from mountplan.applier.sys import abi
from mountplan.planner.errors import KeepRefused, NameTaken, NotKept
from mountplan.planner.plan.planfile import dump_plan
from tests.commands import PROC, programs
from tests.hosts import InHost, enter_user_namespace, moments, mount, run_in_child, unshare
from tests.keptnames import (
    MOMENTS,
    OTHER,
    SPEC,
    TWO,
    enter,
    in_runtime_directory,
    keepers,
    killed_at,
    on_run,
    survives,
    table,
    wait_for_no_keeper,
)
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("set-group", "userns")


@pytest.fixture(params=["nobody", "userns"])
def as_user(request: pytest.FixtureRequest, in_host: InHost) -> Callable[..., Any]:
    """Run a function as an ordinary user, and as the root of a user namespace that /run does not belong to."""
    return lambda function, **options: in_host(in_runtime_directory(function), identity=request.param, **options)


@pytest.fixture
def as_nobody(in_host: InHost) -> Callable[..., Any]:
    return lambda function, **options: in_host(in_runtime_directory(function), identity="nobody", **options)


def directory() -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"])


def new_name(text: str, replaces: str = "") -> kept_changes.NewName:
    plan = plan_of(text)
    return kept_changes.NewName(keeping.state_for(plan, plan.name), replaces, dump_plan(plan).encode())


def test_namespaces_outlive_the_process_that_kept_them_in_one_small_process_of_nobodys(
    as_user: Callable[..., Any],
) -> None:
    def script() -> None:
        before = table()
        kept = run_in_child(lambda: keeping.keep(plan_of(SPEC)).kept)
        assert kept.keeper is not None
        wait_for_keepers(1)
        assert [kept.keeper.pid] == keepers(str(directory()))
        assert before == table()
        assert "healthy" == keeping.look_up("shop").health
        wait_for_name(kept.keeper.pid)
        held = os.listdir(f"/proc/{kept.keeper.pid}/fd")
        assert {"0", "1", "2", "4"} | {one.source[3:] for one in kept.namespaces} == set(held)
        assert "anon_inode:inotify" == os.readlink(f"/proc/{kept.keeper.pid}/fd/4"), "the watch over its record"
        assert {"/dev/null"} == {os.readlink(f"/proc/{kept.keeper.pid}/fd/{fd}") for fd in (0, 1, 2)}
        assert kept.keeper.pid == os.getsid(kept.keeper.pid) or os.getsid(kept.keeper.pid) != os.getsid(0)

    as_user(script)


def wait_for_name(pid: int) -> None:
    """The keeper has let go of what it needed to start when it calls itself by its name and has lost its leash."""
    for _ in moments():
        if "3" not in os.listdir(f"/proc/{pid}/fd") and Path(f"/proc/{pid}/comm").read_text() == "mountplan-keep\n":
            return
    raise AssertionError("the keeper does not start")


def test_a_name_has_the_same_life_as_roots(as_user: Callable[..., Any]) -> None:
    def script() -> list[Any]:
        first = keeping.keep(plan_of(SPEC))
        again = keeping.keep(plan_of(SPEC))
        with pytest.raises(NameTaken):
            keeping.keep(plan_of(OTHER))
        new = keeping.keep(plan_of(OTHER), replace=True)
        assert first.kept.keeper is not None
        assert first.kept.keeper.pid not in keepers(str(directory()))
        found = [(one.kept.name, one.health, one.mounts) for one in keeping.kept()]
        return [first.outcome, again.outcome, new.outcome, found]

    assert ["kept", "stands", "replaced", [("shop", "healthy", 2)]] == as_user(script)


def test_what_is_kept_can_be_looked_at_whatever_the_umask_is(as_user: Callable[..., Any]) -> None:
    def script() -> tuple[str, set[str]]:
        os.umask(0o777)
        keeping.keep(plan_of(SPEC))
        modes = {
            oct(os.lstat(path).st_mode & 0o777)
            for path in (directory() / "mountplan").rglob("*")
            if path.is_dir() or path.is_file()
        }
        return keeping.look_up("shop").health, modes

    assert ("healthy", {"0o700", "0o600"}) == as_user(script)


def test_enter_goes_into_the_user_namespace_and_the_mount_namespace(as_user: Callable[..., Any]) -> None:
    def script() -> None:
        kept = keeping.keep(plan_of(SPEC)).kept

        def inside() -> list[Any]:
            from mountplan.applier.sys import syscalls

            with names.opened("shop") as found, found.entrances(found.namespace()) as fds:
                for fd in fds:
                    syscalls.setns(fd, 0)
            return [os.geteuid(), sorted(os.listdir("/"))]

        assert [0, ["srv"]] == run_in_child(inside)
        kinds = {one.kind for one in kept.namespaces}
        assert "mnt" in kinds

    as_user(script)


def test_several_namespaces_are_held_by_one_process(as_nobody: Callable[..., Any]) -> None:
    def script() -> list[Any]:
        kept = keeping.keep(plan_of(TWO)).kept
        wait_for_keepers(1)
        return [[one.name for one in kept.mounts], len(keepers(str(directory()))), keeping.look_up("pair").health]

    assert [["left", "right"], 1, "healthy"] == as_nobody(script)


@pytest.mark.parametrize("changed", ["start", "boot"])
def test_a_process_that_has_got_the_keepers_pid_is_not_taken_for_it(
    changed: str, as_nobody: Callable[..., Any]
) -> None:
    """Nor is it killed when the name is removed."""

    def script() -> None:
        kept = keeping.keep(plan_of(SPEC)).kept
        assert kept.keeper is not None
        state = directory() / "mountplan" / "shop" / ".state.json"
        values = json.loads(state.read_text())
        values["keeper"][changed] = {"start": 1, "boot": "another"}[changed]
        other = values["keeper"]["pid"] = subprocess.Popen(["sleep", "60"]).pid
        state.write_text(json.dumps(values))
        with pytest.raises(NotKept, match="has ended, and they with it"):
            keeping.look_up("shop")
        (note,) = kept_changes.tidy()
        assert note.startswith("shop is forgotten: the process that kept")
        wait_for_no_keeper(str(directory()))
        os.kill(other, signal.SIGKILL)
        assert (other, signal.SIGKILL) == os.waitpid(other, 0), "it was another signal, or a thing of the past"

    as_nobody(script)


def test_a_keeper_in_another_pid_namespace_is_neither_judged_nor_forgotten(as_nobody: Callable[..., Any]) -> None:
    """Nor is its name let go: nobody would find that process any more."""

    def script() -> None:
        keeping.keep(plan_of(SPEC))
        state = directory() / "mountplan" / "shop" / ".state.json"
        text = state.read_text()
        values = json.loads(text)
        values["keeper"]["pids"] = 1
        state.write_text(json.dumps(values))
        assert () == kept_changes.tidy()
        found = keeping.look_up("shop")
        assert ("unknown", None) == (found.health, found.mounts)
        assert "another pid namespace" in found.problem
        for end in (lambda: kept_changes.remove("shop"), lambda: keeping.keep(plan_of(OTHER), replace=True)):
            with pytest.raises(KeepRefused, match="another pid namespace"):
                end()
            assert ["shop"] == os.listdir(directory() / "mountplan")
            wait_for_keepers(1)
        state.write_text(text)

    as_nobody(script)


def test_from_inside_a_user_namespace_a_name_is_neither_judged_nor_forgotten(as_nobody: Callable[..., Any]) -> None:
    """Who is in there may not look at the descriptors of a process outside, not even with the same user id."""

    def apart() -> list[Any]:
        enter_user_namespace()
        found = [(one.kept.name, one.health, one.problem) for one in keeping.kept()]
        with pytest.raises(KeepRefused, match="cannot be opened from here: permission denied"):
            names.subjects("shop")
        return found

    def script() -> list[Any]:
        keeping.keep(plan_of(SPEC))
        return [run_in_child(apart), keeping.look_up("shop").health]

    problem = "the mnt namespace of shop cannot be opened from here: permission denied"
    assert [[("shop", "unknown", problem)], "healthy"] == as_nobody(script)


def with_clock_at(seconds: float, function: Callable[[], Any]) -> Any:
    """What `function` returns in a time namespace in which the machine has booted so long ago."""

    def apart() -> Any:
        unshare(abi.CLONE_NEWTIME)
        offset = int((seconds - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1e9)
        Path("/proc/self/timens_offsets").write_text(f"boottime {offset // 10**9} {offset % 10**9}")
        return run_in_child(function)  # who unshares stays where it is

    return run_in_child(apart)


@pytest.mark.parametrize("seconds", [0.01, 1e7], ids=["just now", "long ago"])
def test_a_keeper_is_the_same_process_in_a_time_namespace(seconds: float, in_host: InHost) -> None:
    """When it began is another number there, unless what the namespace adds is taken off; and so is a name's age."""

    def state() -> list[Any]:
        return [(one.kept.name, one.health, 0 <= one.age < 1000) for one in keeping.kept()]

    def script() -> list[Any]:
        keeping.keep(plan_of(SPEC), "outside")
        time.sleep(0.05)
        with_clock_at(seconds, lambda: keeping.keep(plan_of(SPEC), "inside") and None)
        return [state(), with_clock_at(seconds, state), state()]

    healthy = [("inside", "healthy", True), ("outside", "healthy", True)]
    assert [healthy] * 3 == in_host(in_runtime_directory(script), identity="userns")


def test_a_name_whose_keeper_was_killed_is_forgotten_and_can_be_kept_again(as_nobody: Callable[..., Any]) -> None:
    def script() -> tuple[int, str]:
        kept = keeping.keep(plan_of(SPEC)).kept
        assert kept.keeper is not None
        os.kill(kept.keeper.pid, signal.SIGKILL)
        while not has_ended(kept.keeper.pid):  # its memory, and with it its arguments, goes before its descriptors
            time.sleep(0.01)
        left = len(keeping.kept())
        return left, keeping.keep(plan_of(SPEC)).outcome

    assert (0, "kept") == as_nobody(script)


def test_whatever_moment_a_process_is_killed_at_no_keeper_is_left_without_a_name(as_nobody: Callable[..., Any]) -> None:
    def script() -> int:
        new = new_name(SPEC)
        with keeping.build_keepable(plan_of(SPEC), None)[0] as built:
            for number in MOMENTS:
                done = survives(lambda: kept_changes.keep(new, built), number)
                kept_changes.tidy()
                if names.names():
                    found = keeping.look_up("shop")
                    assert "healthy" == found.health
                    wait_for_keepers(1)
                    keeping.remove(("shop",))
                wait_for_no_keeper(str(directory()))
                if done:
                    return number
        raise AssertionError("it never ended")

    assert as_nobody(script, timeout=240) > 20


def test_whatever_moment_a_replacement_or_a_removal_is_killed_at_one_keeper_is_left_or_none(
    as_nobody: Callable[..., Any],
) -> None:
    def script() -> set[int]:
        counts = set()
        with keeping.build_keepable(plan_of(SPEC), None)[0] as built:
            for action in ("replace", "remove"):
                for number in MOMENTS:
                    before = kept_changes.keep(new_name(SPEC), built)
                    again = partial(kept_changes.keep, new_name(SPEC, before.id), built)
                    done = survives(again if action == "replace" else partial(kept_changes.remove, "shop"), number)
                    kept_changes.tidy()
                    counts.add(len(names.names()))
                    wait_for_keepers(len(names.names()))
                    for one in keeping.kept():
                        assert "healthy" == one.health
                    keeping.remove(names.names())
                    if done:
                        break
        return counts

    assert {0, 1} == as_nobody(script, timeout=240)


def wait_for_keepers(number: int) -> None:
    for _ in moments():
        if len(keepers(str(directory()))) == number:
            return
    raise AssertionError(f"{len(keepers(str(directory())))} keepers, not {number}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: os.environ.pop("XDG_RUNTIME_DIR"), r"/run/user/65534: No such file"),
        (lambda: os.environ.update(XDG_RUNTIME_DIR="/nonesuch"), r"XDG_RUNTIME_DIR: /nonesuch: No such file"),
        (lambda: os.environ.update(XDG_RUNTIME_DIR="run"), r"XDG_RUNTIME_DIR is 'run', which is no absolute path"),
        (lambda: os.environ.update(XDG_RUNTIME_DIR="/"), r"XDG_RUNTIME_DIR: / belongs to user 0"),
        (lambda: os.chmod(os.environ["XDG_RUNTIME_DIR"], 0o777), r"others may write to"),
    ],
    ids=["unset", "missing", "relative", "root's", "open"],
)
def test_without_a_runtime_directory_of_ones_own_the_error_says_what_to_do_before_anything_is_built(
    spoil: Callable[[], object], words: str, as_nobody: Callable[..., Any]
) -> None:
    def script() -> None:
        plan = plan_of(SPEC)
        kept_environment = os.environ["XDG_RUNTIME_DIR"]
        spoil()
        try:
            with pytest.raises(KeepRefused, match=words) as caught:
                keeping.keep(plan)
        finally:
            os.environ["XDG_RUNTIME_DIR"] = kept_environment
            os.chmod(kept_environment, 0o700)
        assert "set XDG_RUNTIME_DIR" in str(caught.value).partition("remedy: ")[2]

    as_nobody(script)


def test_a_full_runtime_directory_is_an_error_and_leaves_nothing(in_host: InHost) -> None:
    """Neither a keeper nor a file; what was kept before stays."""

    def script() -> list[Any]:
        mount("small", "/tmp", "tmpfs", data="size=64k,mode=0700")
        os.mkdir(f"/tmp/{os.getpid()}", 0o700)
        os.environ["XDG_RUNTIME_DIR"] = f"/tmp/{os.getpid()}"
        keeping.keep(plan_of(SPEC), "first")
        with open("/tmp/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with pytest.raises(KeepRefused, match="No space left"):
            keeping.keep(plan_of(SPEC), "second")
        wait_for_keepers(1)
        found = [(one.kept.name, one.health) for one in keeping.kept()]
        files = sorted(os.listdir(directory() / "mountplan"))
        keeping.remove(("first",))
        return [found, files, os.listdir(directory())]

    assert [[("first", "healthy")], ["first"], []] == in_host(script, identity="userns")


def test_the_state_is_the_users_alone(as_nobody: Callable[..., Any]) -> None:
    def script() -> list[int]:
        keeping.keep(plan_of(SPEC))
        store = directory() / "mountplan"
        paths = [store, store / "shop", *sorted((store / "shop").iterdir())]
        assert "shop" == load_state((store / "shop" / ".state.json").read_bytes()).name
        return [path.stat().st_mode & 0o077 for path in paths]

    assert {0} == set(as_nobody(script))


# ---- with a pid namespace -------------------------------------------------------------------------------------------

PID = partial(programs, 'unshare = ["pid"]', PROC)


@pytest.fixture(params=["root", "nobody"])
def on_host(request: pytest.FixtureRequest, in_host: InHost) -> Callable[..., Any]:
    around = on_run if request.param == "root" else in_runtime_directory
    return lambda function, **options: in_host(around(function), identity=request.param, **options)


def all_processes_in(pid_namespace: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.stat(f"/proc/{entry}/ns/pid").st_ino == pid_namespace:
                found.append(int(entry))
        except OSError:
            pass
    return sorted(found)


def processes_in(pid_namespace: int) -> list[int]:
    """Those that have not ended; when process 1 of it is reaped is the business of the machine's."""
    return [pid for pid in all_processes_in(pid_namespace) if not has_ended(pid)]


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def pid_namespace_of(kept: Kept) -> int:
    (inode,) = [one.inode for one in kept.namespaces if one.kind == "pid"]
    return inode


@pytest.mark.needs_kernel("root")
def test_a_pid_namespace_is_kept_with_its_process_1(on_host: Callable[..., Any]) -> None:
    """Without it the kernel would let nobody in. It has no descriptor of anything but the mount namespaces, is no
    Python any more, reaps what is left to it, and ends with the name.
    """

    def script() -> None:
        kept = run_in_child(lambda: keeping.keep(plan_of(PID())).kept)
        assert kept.keeper is not None
        assert [kept.keeper.pid] == processes_in(pid_namespace_of(kept))
        links = [os.readlink(f"/proc/{kept.keeper.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{kept.keeper.pid}/fd")]
        # Where the files of the namespaces are mounted, it holds none of them, and is in none of their trees.
        held = [] if os.geteuid() == 0 else [f"mnt:[{kept.mounts[0].inode}]"]
        assert ["anon_inode:inotify", *held] == sorted(links)
        assert (not held) == (os.stat(f"/proc/{kept.keeper.pid}/ns/mnt").st_ino != kept.mounts[0].inode)
        assert "/memfd:command (deleted)" == os.readlink(f"/proc/{kept.keeper.pid}/exe")
        assert os.getsid(kept.keeper.pid) == kept.keeper.pid
        status, output = enter("programs", "sh", "-c", "(sleep 0.1 &) ; echo $PPID; echo /proc/[0-9]*; exit 5")
        assert (5, ["0", "/proc/1"]) == (status, output.split()[:2])
        assert "healthy" == keeping.look_up("programs").health
        for _ in moments():
            if [kept.keeper.pid] == all_processes_in(pid_namespace_of(kept)):
                break
        assert [kept.keeper.pid] == all_processes_in(pid_namespace_of(kept)), "nobody has reaped the orphan"
        keeping.remove(("programs",))
        assert [] == processes_in(pid_namespace_of(kept))

    on_host(script)


def test_a_command_entered_into_a_pid_namespace_ends_as_it_would_elsewhere(on_host: Callable[..., Any]) -> None:
    def script() -> list[int]:
        keeping.keep(plan_of(PID()))
        return [
            enter("programs", "sh", "-c", "kill -TERM $$")[0],
            enter("programs", "nonesuch")[0],
            enter("programs", "true")[0],
        ]

    assert [128 + signal.SIGTERM, 127, 0] == on_host(script)


def test_process_1_ends_if_its_keeper_is_killed_before_the_name_is_there(on_host: Callable[..., Any]) -> None:
    def script() -> None:
        plan = plan_of(PID())

        def build_and_keep(number: int) -> None:
            with keeping.build_keepable(plan, None)[0] as built:
                os.write(tell, b"%d\n" % os.stat(f"/proc/{built.pid}/ns/pid").st_ino)
                with killed_at(number):
                    kept_changes.keep(
                        kept_changes.NewName(keeping.state_for(plan, "x"), "", dump_plan(plan).encode()), built
                    )

        hear, tell = os.pipe()
        for number in range(0, 400, 13):
            done = survives(partial(build_and_keep, number), 10**9)
            inode = int(os.read(hear, 100))
            kept_changes.tidy()
            left = 1 if names.names() else 0
            for _ in moments():
                if len(processes_in(inode)) == left:
                    break
            assert left == len(processes_in(inode))
            if left:
                assert "healthy" == keeping.look_up("x").health
                keeping.remove(("x",))
            if done:
                return
        raise AssertionError("it never ended")

    on_host(script, timeout=240)

"""Kept namespaces, root's: what is on the host while they are kept, and what is not when they are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mountplan import api, keeping
from mountplan.applier.keep import attached, kept_changes
from mountplan.applier.keep import kept as names
from mountplan.applier.keep.inhabited import everyone_else
from mountplan.applier.observe.table_reader import TableReader
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import ChildKilled
from mountplan.planner.errors import KeepRefused, NameTaken, NotKept, StepRefused
from tests.commands import programs
from tests.hosts import CLONE_NEWNS, InHost, mount, run_in_child, umount, unshare
from tests.keptnames import OTHER, SPEC, STORE, TWO, enter, leave, new_name, on_run, table
from tests.mountflags import MS_BIND, MS_REC, MS_REMOUNT, MS_SHARED, MS_SLAVE
from tests.trees import ROOT, plan_of

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def inode(path: str | Path) -> int:
    return os.stat(path).st_ino


def nsenter(name: str, *command: str) -> str:
    """What a command prints in the mount namespace behind a file, entered without mountplan."""
    done = subprocess.run(["nsenter", f"--mount={STORE}/{name}", *command], capture_output=True, text=True)
    assert "" == done.stderr
    return done.stdout


@pytest.mark.parametrize("shared", [False, True], ids=["private-run", "shared-run"])
def test_keeping_adds_the_store_and_the_namespace_file_to_the_hosts_table_and_nothing_else(
    shared: bool, in_host: InHost
) -> None:
    def script() -> None:
        before = table().splitlines()
        kept = keeping.keep(plan_of(SPEC)).kept
        after = table().splitlines()
        assert before == [line for line in after if line in before]
        new = [line.split(" ") for line in after if line not in before]
        assert ["/run/mountplan", "/run/mountplan/shop/mnt"] == [fields[4] for fields in new]
        assert "unbindable" == new[0][6]
        assert ["-", "nsfs"] == new[1][6:8], "private"
        assert inode(STORE / "shop" / "mnt") == kept.mounts[0].inode
        assert 0o40700 == os.stat(STORE).st_mode

    in_host(on_run(script, shared=shared), identity="root")


@pytest.mark.needs_kernel("nsenter")
def test_the_namespace_file_is_good_for_other_programs(in_host: InHost) -> None:
    def script() -> list[str]:
        keeping.keep(plan_of(programs()), "tools")
        return nsenter("tools/mnt", "/usr/bin/find", "/tmp", "/usr", "-maxdepth", "0").split()

    assert ["/tmp", "/usr"] == in_host(on_run(script), identity="root")


def test_a_namespace_outlives_the_process_that_kept_it(in_host: InHost) -> None:
    def script() -> str:
        run_in_child(lambda: keeping.keep(plan_of(SPEC)).outcome)
        return keeping.look_up("shop").health

    assert "healthy" == in_host(on_run(script), identity="root")


def test_enter_becomes_the_command_inside(in_host: InHost) -> None:
    """No process of mountplan's is left around it, and it has no descriptor but 0, 1 and 2."""

    def script() -> None:
        keeping.keep(plan_of(programs('environment = { COLOR = "red" }\ncwd = "/tmp"')))
        descriptors = "for n in $(seq 0 99); do [ -e /proc/$$/fd/$n ] && echo -n $n; done; true"
        shell = f"echo $PPID; readlink /proc/self/ns/mnt; echo $COLOR; pwd; {descriptors}"
        status, output = enter("programs", "sh", "-c", shell)
        mine, where, color, cwd, numbers = output.splitlines()
        assert 0 == status
        assert str(os.getpid()) == mine
        assert f"mnt:[{keeping.look_up('programs').kept.mounts[0].inode}]" == where
        assert ("red", "/tmp") == (color, cwd)
        assert "012" == numbers

    in_host(on_run(script), identity="root")


def test_the_exit_status_of_enter_is_the_commands(in_host: InHost) -> None:
    def script() -> list[int]:
        keeping.keep(plan_of(programs()))
        return [enter("programs", "sh", "-c", "exit 7")[0], enter("programs", "nonesuch")[0]]

    assert [7, 127] == in_host(on_run(script), identity="root")


def test_what_is_done_inside_is_there_for_the_next_who_enters(in_host: InHost) -> None:
    def script() -> tuple[int, str]:
        keeping.keep(plan_of(programs()))
        enter("programs", "sh", "-c", "echo hello > /tmp/word")
        return enter("programs", "cat", "/tmp/word")

    assert (0, "hello\n") == in_host(on_run(script), identity="root")


def test_several_namespaces_are_kept_each_in_its_file(in_host: InHost) -> None:
    def script() -> list[list[str]]:
        keeping.keep(plan_of(TWO))
        found = keeping.look_up("pair")
        assert "healthy" == found.health
        with pytest.raises(NotKept, match="it has: left, right"):
            api.enter("pair", "middle", ("true",))
        files = sorted(name for name in os.listdir(STORE / "pair") if name[0] != ".")
        return [files, [name for name, _ in found.tables]]

    assert [["left", "right"], ["left", "right"]] == in_host(on_run(script), identity="root")


def test_namespaces_of_other_kinds_are_kept_and_entered_as_well(in_host: InHost) -> None:
    run = 'unshare = ["uts", "net", "ipc", "cgroup", "user", "time"]\nhostname = "inside"'

    def script() -> None:
        keeping.keep(plan_of(programs(run)))
        kinds = [one.kind for one in keeping.look_up("programs").kept.namespaces]
        assert ["mnt", "user", "cgroup", "ipc", "net", "time", "uts"] == sorted(
            kinds, key=lambda kind: (kind not in ("mnt", "user"), kind)
        )
        status, output = enter(
            "programs", "sh", "-c", "uname -n; for k in net uts ipc user time; do readlink /proc/self/ns/$k; done"
        )
        host, *inside = output.splitlines()
        assert (0, "inside") == (status, host)
        for line in inside:
            assert line != os.readlink(f"/proc/self/ns/{line.partition(':')[0]}")
        assert os.uname().nodename != "inside"

    in_host(on_run(script), identity="root")


# ---- applying again -------------------------------------------------------------------------------------------------


def test_the_same_spec_again_stands_already_and_is_verified(in_host: InHost) -> None:
    def script() -> list[object]:
        first = keeping.keep(plan_of(SPEC))
        again = keeping.keep(plan_of("# a comment moves every line\n" + SPEC))
        return [first.outcome, again.outcome, first.kept == again.kept, len(again.tables[0][1].rows)]

    assert ["kept", "stands", True, 2] == in_host(on_run(script), identity="root")


def inside(name: str, action: Callable[[], object]) -> None:
    """Do something in a kept namespace, as an administrator might."""

    def go() -> None:
        from mountplan.applier.sys import syscalls

        with names.opened(name) as found, found.entrances(found.namespace()) as fds:
            for fd in fds:
                syscalls.setns(fd, 0)
        action()

    run_in_child(go)


@pytest.mark.needs_kernel("foreign-mounts")
def test_what_has_changed_since_it_was_kept_is_told(in_host: InHost) -> None:
    def script() -> list[Any]:
        keeping.keep(plan_of(SPEC))
        inside("shop", lambda: mount("", "/srv", flags=32 | MS_BIND | 1))
        with pytest.raises(NameTaken, match="not what it was made to be") as caught:
            keeping.keep(plan_of(SPEC))
        (difference,) = caught.value.differences
        return [keeping.look_up("shop").health, *difference[:4], difference[4]]

    health, mountpoint, prop, wanted, found, origin = in_host(on_run(script), identity="root")
    assert ["drifted", "/srv", "attributes", "mount[1]"] == [health, mountpoint, prop, origin]
    assert ("rw", "ro") == (wanted.split(",")[0], found.split(",")[0])


@pytest.mark.needs_kernel("foreign-mounts")
def test_a_mount_that_was_mounted_again_is_told_even_if_it_looks_the_same(in_host: InHost) -> None:
    """Its id and its device number may be those of the old one, as both are used again; what was in it is gone."""

    def again() -> None:
        umount("/srv")
        mount("tmpfs", "/srv", "tmpfs")

    def looked_at() -> list[str]:
        rows = keeping.look_up("shop").tables[0][1].rows
        return [str(row._replace(mount_id=0, device="")) for row in rows]

    def script() -> None:
        keeping.keep(plan_of(SPEC))
        before = looked_at()
        inside("shop", again)
        assert before == looked_at()
        found = keeping.look_up("shop")
        assert ("drifted", ["/srv"]) == (found.health, [one.mount for one in found.drift])
        with pytest.raises(NameTaken, match="not what it was made to be"):
            keeping.keep(plan_of(SPEC))

    in_host(on_run(script), identity="root")


def test_what_arrives_from_the_host_as_it_should_is_no_drift(in_host: InHost) -> None:
    """A slave of a host group is there to receive."""
    spec = SPEC + '[peer_group.feed]\nhost = "/mnt"\n[[mount]]\ntarget = "/feed"\nbind = "/mnt"\nmaster = "feed"\n'

    def script() -> tuple[str, int | None]:
        mount("feed", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_SHARED)
        os.mkdir("/mnt/news")
        keeping.keep(plan_of(spec))
        mount("news", "/mnt/news", "tmpfs")
        found = keeping.look_up("shop")
        umount("/mnt/news")
        mount("news", "/mnt/news", "tmpfs")
        assert "healthy" == keeping.look_up("shop").health
        umount("/mnt/news")
        umount("/mnt")
        return found.health, found.mounts

    assert ("healthy", 4) == in_host(on_run(script), identity="root")


def test_changes_below_a_covered_root_are_seen_as_far_as_one_who_enters_sees_them(in_host: InHost) -> None:
    spec = (
        SPEC
        + '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nid = "cover"\n'
        + '[[mount]]\ntarget = "/top"\ntype = "tmpfs"\nparent = "cover"\n'
    )

    def script() -> list[str]:
        keeping.keep(plan_of(spec))
        before = keeping.look_up("shop").health
        inside("shop", lambda: mount("", "/top", flags=MS_SHARED))
        found = keeping.look_up("shop")
        return [before, found.health, *[one.mount for one in found.drift]]

    assert ["healthy", "drifted", "/top"] == in_host(on_run(script), identity="root")


def test_an_option_that_nobody_asked_for_is_told_when_it_is_changed_inside(in_host: InHost) -> None:
    """And one that is shown as another spec writes it is as that spec says, whatever was asked for first."""
    first = f'name = "shop"\n{ROOT}[[mount]]\ntarget = "/proc"\ntype = "proc"\n'

    def script() -> tuple[list[str], str]:
        keeping.keep(plan_of(first))
        inside("shop", lambda: mount("proc", "/proc", "proc", MS_REMOUNT, "hidepid=invisible"))
        told = [" ".join(one[:4]) for one in keeping.look_up("shop").drift]
        return told, keeping.keep(plan_of(first + 'options = { hidepid = "invisible" }\n')).outcome

    told = ["/proc option hidepid not shown invisible"]
    assert (told, "stands") == in_host(on_run(script), identity="root")


def test_each_namespace_of_a_name_is_attached_under_its_own(in_host: InHost) -> None:
    def script() -> list[tuple[str, list[str]]]:
        keeping.keep(plan_of(TWO.replace('target = "/feed"\nbind', 'target = "/other"\nbind')))
        there = attached.of_kept("pair")
        try:
            return [(one.name, [row.mountpoint for row in one.subject.read().table.rows]) for one in there.spaces]
        finally:
            there.close()

    assert [("left", ["/", "/feed"]), ("right", ["/", "/other"])] == in_host(on_run(script), identity="root")


@pytest.mark.parametrize("asked", ["", 'options = { size = "50%" }\n'])
def test_a_limit_that_a_tmpfs_was_not_given_is_told_and_one_that_follows_the_memory_is_not(
    in_host: InHost, asked: str
) -> None:
    """What a tmpfs has by default is shown as soon as the machine's memory is another: that is no change."""
    text = f'name = "shop"\n{ROOT}[[mount]]\ntarget = "/x"\ntype = "tmpfs"\n{asked}'

    def script() -> list[list[str]]:
        keeping.keep(plan_of(text))
        inside("shop", lambda: mount("none", "/x", flags=MS_REMOUNT, data="size=1m,nr_inodes=99"))
        changed = sorted(one.prop for one in keeping.look_up("shop").drift)
        record = Path("/run/mountplan/shop/.state.json")
        state = json.loads(record.read_bytes())
        record.write_text(json.dumps(state | {"defaults": "size=1024k,nr_inodes=99"}))
        return [changed, [one.prop for one in keeping.look_up("shop").drift]]

    # Of an odd number of pages, 50 % is one more than the default, which is rounded down: it is shown then, as given.
    given = ["option size"] if asked and os.sysconf("SC_PHYS_PAGES") % 2 else []
    assert [["option nr_inodes", "option size"], given] == in_host(on_run(script), identity="root")


def test_a_mountpoint_that_was_made_on_the_host_is_no_difference_once_it_is_there(
    in_host: InHost, tmp_path: Path
) -> None:
    """The second time there is no step that makes it."""
    text = f'name = "shop"\n{ROOT}[[mount]]\ntarget = "/b"\nbind = "{tmp_path}"\n'
    text += '[[mount]]\ntarget = "/b/c/d"\ntype = "tmpfs"\ncreate = true\n'

    def script() -> list[str]:
        return [keeping.keep(plan_of(text)).outcome for _ in range(2)]

    assert ["kept", "stands"] == in_host(on_run(script), identity="root")


def test_a_changed_spec_is_refused_and_the_differences_are_told(in_host: InHost) -> None:
    def script() -> list[tuple[str, ...]]:
        keeping.keep(plan_of(SPEC))
        with pytest.raises(NameTaken, match="--replace") as caught:
            keeping.keep(plan_of(OTHER))
        assert "healthy" == keeping.look_up("shop").health
        return [difference[:4] for difference in caught.value.differences]

    differences = in_host(on_run(script), identity="root")
    missing = ("/opt", "mount", "tmpfs, on the tmpfs at /", "no mount")
    assert [missing, ("/srv", "mount", "none", "tmpfs, on the tmpfs at /")] == differences


def test_a_change_that_shows_in_no_mount_is_told_by_the_steps(in_host: InHost) -> None:
    first, second = (f'{SPEC}[[mount.file]]\npath = "{word}"\ncontent = "x"\n' for word in ("one", "two"))

    def script() -> list[tuple[str, ...]]:
        keeping.keep(plan_of(first))
        with pytest.raises(NameTaken) as caught:
            keeping.keep(plan_of(second))
        return [difference[1:4] for difference in caught.value.differences]

    (prop, wanted, absent), (_, missing, found) = in_host(on_run(script), identity="root")
    assert ("step", "no such step", "no such step") == (prop, absent, missing)
    assert "two" in wanted
    assert "one" in found


def test_replace_puts_the_new_build_in_the_place_of_the_old_at_once(in_host: InHost) -> None:
    """Who is in the old one stays there; the namespace goes with the last of them."""

    def script() -> list[Any]:
        first = keeping.keep(plan_of(SPEC)).kept
        again = keeping.keep(plan_of(OTHER), replace=True)
        found = keeping.look_up("shop")
        lines = [line for line in table().splitlines() if " /run/mountplan/" in line]
        same = first.mounts[0].inode == inode(STORE / "shop" / "mnt")
        return [again.outcome, found.health, found.kept == again.kept, same, len(lines), os.listdir(STORE)]

    *values, listed = in_host(on_run(script), identity="root")
    assert ["replaced", "healthy", True, False, 1] == values
    assert [".owner", "shop"] == sorted(listed)


def test_a_replacement_that_cannot_be_built_leaves_what_stands(in_host: InHost) -> None:
    broken = (
        SPEC + '[[mount]]\ntarget = "/bad"\ntype = "tmpfs"\noptions = { nr_inodes = "1" }\n[[mount.file]]\npath = "x"\n'
    )

    def script() -> bool:
        first = keeping.keep(plan_of(SPEC)).kept
        with pytest.raises(StepRefused):
            keeping.keep(plan_of(broken), replace=True)
        found = keeping.look_up("shop")
        return found.kept == first and found.health == "healthy"

    assert in_host(on_run(script), identity="root")


# ---- what else may be on the way ------------------------------------------------------------------------------------


def test_where_run_is_shared_its_peers_and_slaves_have_an_empty_copy_of_the_store_until_it_goes(
    in_host: InHost,
) -> None:
    """The kernel puts it there. What is kept is mounted when the store is private, and so nowhere else."""

    def script() -> list[int]:
        mount("/run", "/mnt", flags=MS_BIND)
        before = table()
        ready, go, hear = os.pipe(), os.pipe(), os.pipe()

        def watch() -> None:
            unshare(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_SLAVE)
            os.write(ready[1], b"x")
            for _ in range(2):
                os.read(go[0], 1)
                os.write(hear[1], b"%d " % table().count("/mountplan"))

        child = os.fork() or leave(watch)
        os.read(ready[0], 1)
        keeping.keep(plan_of(SPEC))
        here = [table().count(f" {place}/mountplan") for place in ("/run", "/mnt")]
        os.write(go[1], b"x")
        there = int(os.read(hear[0], 10))
        keeping.remove(("shop",))
        os.write(go[1], b"x")
        gone = int(os.read(hear[0], 10))
        os.waitpid(child, 0)
        assert before == table()
        umount("/mnt")
        return [*here, there, gone]

    assert [2, 1, 2, 0] == in_host(on_run(script, shared=True), identity="root")


def test_a_copy_of_the_mount_namespace_neither_uses_the_copied_store_nor_harms_the_original(in_host: InHost) -> None:
    """In the copy no namespace file is mounted, which looks like what a crash leaves; and to unlink a file takes away
    what is mounted on it in every other namespace.
    """

    def script() -> list[object]:
        keeping.keep(plan_of(SPEC))

        def in_copy() -> list[object]:
            unshare(CLONE_NEWNS)
            seen = (STORE / "shop").is_dir()
            empty = keeping.kept()
            keeping.keep(plan_of(OTHER))
            own = keeping.look_up("shop").health
            keeping.remove(("shop",))
            return [seen, empty, own, (STORE / "shop").is_dir()]

        return [run_in_child(in_copy), keeping.look_up("shop").health]

    assert [[True, (), "healthy", True], "healthy"] == in_host(on_run(script), identity="root")


def test_a_symlink_in_the_place_of_the_store_is_not_followed(in_host: InHost) -> None:
    def script() -> None:
        os.symlink("/tmp", STORE)
        with pytest.raises(KeepRefused, match="symlink"):
            keeping.keep(plan_of(SPEC))
        os.unlink(STORE)

    in_host(on_run(script), identity="root")


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/", "../x", ".hidden", "-x", "a b", "a\n", "x" * 101, "\0"])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, in_host: InHost) -> None:
    def script() -> list[int]:
        plan = plan_of(SPEC)._replace(name="")
        statuses = []
        for action in (
            lambda: keeping.keep(plan, name),
            lambda: kept_changes.remove(name),
            lambda: keeping.look_up(name),
        ):
            with pytest.raises(KeepRefused) as caught:
                action()
            statuses.append(caught.value.exit_status)
        return statuses

    assert [2, 2, 2] == in_host(on_run(script), identity="root")


def test_a_saved_plan_cannot_bring_a_namespace_whose_name_is_a_path(in_host: InHost) -> None:
    """Plans come from files, and need not have gone through the checks of a spec."""

    def script() -> None:
        plan = plan_of(TWO)
        with keeping.build_keepable(plan, None)[0] as built:
            built.namespaces = (built.namespaces[0]._replace(name="../../evil"), built.namespaces[1])
            with pytest.raises(KeepRefused, match="no name"):
                kept_changes.keep(new_name(TWO), built)

    in_host(on_run(script), identity="root")


def test_a_process_without_a_place_for_it_learns_so_before_anything_is_built(in_host: InHost) -> None:
    def script() -> None:
        os.environ.pop("XDG_RUNTIME_DIR", None)
        with pytest.raises(KeepRefused, match="there is no place") as caught:
            keeping.keep(plan_of(SPEC))
        assert "remedy" in str(caught.value)
        assert 2 == caught.value.exit_status  # it is a directory that is not there, and nothing that the kernel refuses

    in_host(script, identity="nobody")


def test_all_names_are_listed_with_their_mounts_and_health(in_host: InHost) -> None:
    def script() -> list[tuple[object, ...]]:
        for name, text in (("b", SPEC), ("a", OTHER)):
            keeping.keep(plan_of(text), name)
        return [(one.kept.name, one.health, one.mounts, 0 <= one.age < 60) for one in keeping.kept()]

    assert [("a", "healthy", 2, True), ("b", "healthy", 2, True)] == in_host(on_run(script), identity="root")


def test_a_look_at_all_names_takes_one_process_for_each_owner_in_turn(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who went into a user namespace for the tables of its mount namespaces cannot go into those of others."""
    start, started = TableReader._start, []

    def counted(reader: TableReader) -> Any:
        started.append(reader)
        return start(reader)

    def script() -> tuple[list[tuple[object, ...]], int]:
        for name in "abc":
            keeping.keep(plan_of(SPEC), name)
        for name in "de":
            keeping.keep(plan_of(programs('unshare = ["user"]')), name)
        keeping.keep(plan_of(OTHER), "f")
        monkeypatch.setattr(TableReader, "_start", counted)
        return [(one.kept.name, one.health, one.mounts) for one in keeping.kept()], len(started)

    found, processes = in_host(on_run(script), identity="root")
    assert ["a", "b", "c", "d", "e", "f"] == [name for name, _, _ in found]
    assert {"healthy"} == {health for _, health, _ in found}
    assert [found[0][2]] * 3 == [mounts for _, _, mounts in found[:3]]
    assert 4 == processes, "abc, d, e, f"


def test_of_all_namespaces_those_that_are_known_are_not_read(in_host: InHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks has read them: for one of many mounts that takes as long as planning."""
    read, asked = TableReader.read, []

    def counted(*words: Any) -> Any:
        asked.append(words)
        return read(*words)

    def script() -> tuple[list[str], int]:
        known = {keeping.keep(plan_of(SPEC), name).kept.mounts[0].inode for name in ("a", "c")}
        keeping.keep(plan_of(SPEC), "b")
        monkeypatch.setattr(TableReader, "read", counted)
        found = [one.name for one in everyone_else(known)]
        return [name for name in found if name in ("a", "b", "c")], len(asked)

    assert (["b"], 2) == in_host(on_run(script), identity="root")


def test_a_table_is_read_again_after_the_process_that_reads_was_killed(in_host: InHost) -> None:
    def script() -> bool:
        keeping.keep(plan_of(SPEC))
        with names.opened("shop") as found, closing_fd(found.open(found.namespace())) as fd, TableReader() as reader:
            before = reader.read(fd)
            os.kill(reader._child, signal.SIGKILL)
            with pytest.raises(ChildKilled):
                reader.read(fd)
            return before is not None and before == reader.read(fd)

    assert in_host(on_run(script), identity="root")


def test_removing_tells_which_names_there_are_not_and_removes_the_others(in_host: InHost) -> None:
    def script() -> tuple[list[str], tuple[str, ...]]:
        keeping.keep(plan_of(SPEC))
        errors = keeping.remove(("nonesuch", "shop"))
        return [type(error).__name__ for error in errors], names.names()

    assert (["NotKept"], ()) == in_host(on_run(script), identity="root")


def test_removing_where_nothing_was_ever_kept_says_that_it_is_not(in_host: InHost) -> None:
    """There is no store then, and none is made to look into."""

    def script() -> list[str]:
        return [f"{type(error).__name__}: {error}" for error in keeping.remove(("shop",))]

    (told,) = in_host(on_run(script), identity="root")
    assert told.startswith("NotKept: ")
    assert "shop" in told


def test_apply_without_keeping_is_still_there(in_host: InHost) -> None:
    def script() -> int:
        applied = api.build_and_forget(plan_of(SPEC))
        assert () == names.names()
        return len(applied.tables)

    assert 1 == in_host(on_run(script), identity="root")

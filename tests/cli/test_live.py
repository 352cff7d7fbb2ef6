"""plan --live, as a user would type it, on throw-away hosts."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mountplan.applier.keep import inhabited, kept
from mountplan.planner.change import change_file
from mountplan.planner.errors import MountplanError
from mountplan.planner.plan.planfile import dump_plan
from tests.cli.test_kept_commands import mountplan, spec
from tests.commands import Outcome
from tests.hosts import CHECKOUT, InHost, mount, run_in_child, setns, umount, with_own_processes
from tests.keptnames import in_runtime_directory, on_run
from tests.mountflags import MS_BIND, MS_SHARED

pytestmark = [
    pytest.mark.needs_kernel("root", "set-group"),
    pytest.mark.usefixtures("all_imported"),
]

BEFORE = """name = "live"
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/data"
type = "tmpfs"
source = "old"
[[mount.file]]
path = "version"
content = "1"
[[mount]]
target = "/gone"
type = "tmpfs"
[[mount]]
target = "/usr"
bind = "/usr"
recursive = true
"""
AFTER = BEFORE.replace('"old"', '"new"').replace('"/gone"', '"/come"').replace('content = "1"', 'content = "2"')


@pytest.fixture
def on_host(in_host: InHost) -> Callable[[Callable[[], object]], Any]:
    """Run a function as root with a /run and a /tmp of its own, where BEFORE is kept as `live`."""

    def run(function: Callable[[], object]) -> Any:
        def script() -> object:
            done = mountplan("apply", spec(BEFORE), "-q")
            assert done.status == 0, done
            try:
                return function()
            finally:
                mountplan("rm", "live")

        return in_host(on_run(script))

    return run


def test_the_preview_has_a_line_for_each_change_and_changes_nothing(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Outcome]:
        return mountplan("plan", spec(AFTER, "b.toml"), "--live", "live"), mountplan("verify", spec(BEFORE), "live")

    shown, verified = on_host(script)
    assert 0 == shown.status, shown.err
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "swap /data tmpfs old rw,relatime -> tmpfs new rw,relatime a new tmpfs" in lines
    assert "- /gone tmpfs rw,relatime the spec does not have it" in lines
    assert "1 to add, 1 to swap, 1 to remove" in lines[-1]
    assert 0 == verified.status, verified


def test_with_exit_code_1_says_that_there_is_something_to_do(on_host: Callable[..., Any]) -> None:
    def script() -> list[int]:
        before, after = spec(BEFORE), spec(AFTER, "b.toml")
        return [
            mountplan("plan", before, "--live", "live", "--exit-code").status,
            mountplan("plan", after, "--live", "live", "--exit-code").status,
            mountplan("plan", after, "--live", "live").status,
        ]

    assert [0, 1, 0] == on_host(script)


def test_the_spec_from_which_a_name_was_made_is_not_what_it_was_changed_into(on_host: Callable[..., Any]) -> None:
    """It was taken for what the host had made of it since, so that `verify` said yes to the wrong spec."""

    def script() -> list[int]:
        before, after = spec(BEFORE), spec(AFTER, "b.toml")
        changed = mountplan("apply", after, "--live", "--allow-gap")
        return [changed.status, mountplan("verify", before, "live").status, mountplan("verify", after, "live").status]

    assert [0, 1, 0] == on_host(script)


def test_json_tells_the_same(on_host: Callable[..., Any]) -> None:
    found = on_host(lambda: mountplan("plan", spec(AFTER, "b.toml"), "--live", "live", "--json")).json()
    assert {"add": 1, "change": 0, "swap": 1, "remove": 1} == found["counts"]
    assert [] == found["refused"]


def test_a_plan_of_changes_is_saved(on_host: Callable[..., Any]) -> None:
    def script() -> str:
        file = f"{spec(AFTER, 'b.toml')}.json"
        done = mountplan("plan", spec(AFTER, "b.toml"), "--live", "live", "-o", file)
        assert done.status == 0, done
        return Path(file).read_text()

    assert "mountplan-change/1" == json.loads(on_host(script))["format"]


def test_declared_files_are_looked_at_before_it_says_that_nothing_is_to_be_done(on_host: Callable[..., Any]) -> None:
    """What a program has written since stays, but it is not what the spec says."""

    def script() -> tuple[str, ...]:
        first = mountplan("plan", spec(BEFORE), "--live", "live")
        write = ["open('/data/version', 'w').write('2')", "__import__('os').unlink('/data/version')"]
        told = []
        for line in write:
            in_kept(line)
            told.append(mountplan("plan", spec(BEFORE), "--live", "live").out)
        return first.out, *told

    first, written, gone = on_host(script)
    assert "note:" not in first
    assert "note: /data/version has other contents than were declared; it stays as it is" in written
    assert "note: /data/version is not there any more; it stays as it is" in gone


@pytest.mark.parametrize("place", ["/data/deep", pytest.param("/", marks=pytest.mark.needs_kernel("foreign-mounts"))])
def test_a_declared_file_was_not_looked_at_where_something_covers_the_way(
    on_host: Callable[..., Any], place: str
) -> None:
    """Where what covers it lacks the way there it was said to be gone. Before Linux 6.11 nothing below a new root is
    seen at all, and the plan has all of it come anew.
    """
    deep = BEFORE.replace('"version"', '"deep/version"')

    def script() -> str:
        mountplan("apply", spec(deep), "--replace", "-q")
        in_kept(f"__import__('tests.hosts').hosts.mount('over', '{place}', 'tmpfs')")
        return mountplan("plan", spec(deep), "--live", "live").out

    assert "note: /data/deep/version was not looked at, as something is mounted over it" in on_host(script)


def in_kept(line: str) -> None:
    """Run a line of Python in the namespace that is kept as `live`, which need not have one."""

    def inside() -> None:
        fd = os.open("/run/mountplan/live/mnt", os.O_RDONLY)
        setns(fd)
        exec(line, {})

    run_in_child(inside)


def test_what_is_in_the_way_of_a_file_that_comes_is_told_with_the_plan(on_host: Callable[..., Any]) -> None:
    """The preview had it come, and it was refused at its step (EEXIST): it had been declared before, otherwise."""
    without = BEFORE.replace('[[mount.file]]\npath = "version"\ncontent = "1"\n', "")
    other = BEFORE.replace('content = "1"', 'content = "2"')

    def script() -> list[Outcome]:
        dropped = mountplan("apply", spec(without, "b.toml"), "--live")
        told = [mountplan("plan", spec(text, "c.toml"), "--live", "live") for text in (other, BEFORE)]
        return [dropped, *told]

    dropped, refused, same = on_host(script)
    assert "/data/version stays" in dropped.out
    assert "/data/version is there already" in refused.out
    assert "other contents" in refused.out
    assert "Refused" not in same.out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--live", "nothing-like-it"), "nothing is kept under the name"),
        (("--live", "pid:self"), "the mount namespace that mountplan runs in"),
        (("--live", "live/"), "a name is changed as a whole"),
        (("--live", "live", "--classic"), "--live has a preview of its own"),
        (("--live", "live", "--expand"), "--live has a preview of its own"),
        (("--live", "live", "--max-mounts", "9"), "--max-mounts is for what is built anew"),
        (("--exit-code",), "--exit-code goes with --live"),
        (("--allow-gap",), "--allow-gap goes with --live"),
    ],
)
def test_what_cannot_be_meant_is_told(on_host: Callable[..., Any], words: tuple[str, ...], what: str) -> None:
    done = on_host(lambda: mountplan("plan", spec(BEFORE), *words))
    assert 2 == done.status
    assert what in done.err


def test_what_stands_is_changed_and_the_record_says_so(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        after = spec(AFTER, "b.toml")
        return [
            mountplan("apply", after, "--live"),
            mountplan("verify", after, "live"),
            mountplan("diff", after, "live"),
            mountplan("apply", after),
            mountplan("apply", after, "--live"),
            mountplan("ls"),
        ]

    changed, *same, again, listed = on_host(script)
    assert 0 == changed.status, changed.err
    assert changed.out.startswith("Changed live: 1 added, 1 swapped, 1 removed")
    assert [0, 0, 0] == [one.status for one in same], same
    assert again.out.startswith("Nothing to change in live")
    assert "healthy" in listed.out


@pytest.mark.needs_kernel("foreign-mounts")
@pytest.mark.parametrize(
    ("options", "told", "statuses"),
    [
        ("nr_inodes=77", "nr_inodes: not shown -> 77", [1, 0, 0]),
        ("size=8m", "size: not shown -> 8192k", [1, 0, 0]),
        ("ro", "ro: not shown -> set", [1, 0, 0]),
        ("huge=always", "huge: not shown -> always", [1, 1, 1]),
    ],
)
def test_what_others_have_made_of_a_filesystem_is_put_back_or_refused(
    options: str, told: str, statuses: list[int], on_host: Callable[..., Any]
) -> None:
    """A filesystem that is read-only below a mount that is not was no difference, and of others there was nothing to
    do, after which they passed for what the spec says.
    """
    remount = f"from tests.hosts import *; mount('old', '/data', 'tmpfs', 32, '{options}')"
    only_the_filesystem = "; mount('old', '/data', 'tmpfs', 4096 | 32)"

    def script() -> list[Outcome]:
        in_kept(remount + only_the_filesystem)
        before = spec(BEFORE)
        return [mountplan("verify", before), mountplan("apply", before, "--live"), mountplan("verify", before)]

    found = on_host(script)
    assert told in found[0].out
    assert statuses == [one.status for one in found]


def test_a_saved_change_is_refused_once_something_else_stands(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Outcome]:
        file = f"{spec(AFTER, 'b.toml')}.json"
        mountplan("plan", spec(AFTER, "b.toml"), "--live", "live", "-o", file, "-q")
        return mountplan("apply", file), mountplan("apply", file)

    first, second = on_host(script)
    assert 0 == first.status, first.err
    assert 1 == second.status
    assert "is no longer what the change was planned from" in second.err


@pytest.mark.needs_kernel("foreign-mounts")
def test_so_it_is_if_what_stands_looks_the_same_and_was_mounted_again(on_host: Callable[..., Any]) -> None:
    """The steps would be the same, and what is in the mount by now is not what was looked at."""

    def script() -> Outcome:
        file = f"{spec(AFTER, 'b.toml')}.json"
        mountplan("plan", spec(AFTER, "b.toml"), "--live", "live", "-o", file, "-q")
        in_kept("from tests.hosts import *; umount('/data'); mount('old', '/data', 'tmpfs')")
        return mountplan("apply", file)

    done = on_host(script)
    assert 1 == done.status
    assert "is no longer what the change was planned from" in done.err


def test_what_takes_a_gap_is_refused_without_the_word_and_changes_nothing(on_host: Callable[..., Any]) -> None:
    cover = '[[mount]]\nparent = "low"\ntarget = "/data/kid"\ntype = "tmpfs"\n'
    cover += '[[mount]]\nid = "top"\ntarget = "/data"\ntype = "tmpfs"\n'
    below = BEFORE.replace('"/data"\n', '"/data"\nid = "low"\n', 1) + cover

    def script() -> list[Outcome]:
        mountplan("rm", "live")
        before, after = spec(below), spec(below.replace('source = "old"', 'source = "new"'), "b.toml")
        return [
            mountplan("apply", before, "-q"),
            mountplan("apply", after, "--live"),
            mountplan("verify", before),
            mountplan("apply", after, "--live", "--allow-gap"),
            mountplan("verify", after),
        ]

    _, refused, verified, changed, after = on_host(script)
    assert 1 == refused.status
    assert "--allow-gap lets it be so" in refused.err
    assert [0, 0, 0] == [verified.status, changed.status, after.status], changed


def test_a_refused_step_takes_back_what_was_changed(on_host: Callable[..., Any]) -> None:
    """A directory of the host has no inode left: the kernel says so when something else has been attached already."""
    before = BEFORE + '[[mount]]\ntarget = "/full"\nbind = "/mnt"\n'
    after = before.replace('"/gone"', '"/zzz"') + '[[mount]]\ntarget = "/full/none"\ntype = "tmpfs"\ncreate = true\n'

    def script() -> list[Outcome]:
        mount("full", "/mnt", "tmpfs", data="nr_inodes=1")
        first = mountplan("apply", spec(before, "a.toml"), "--live")
        assert first.status == 0, first
        done = [mountplan("apply", spec(after, "b.toml"), "--live"), mountplan("verify", spec(before), "live")]
        umount("/mnt")
        return done

    refused, verified = on_host(script)
    assert 3 == refused.status, refused
    assert "what had been changed by then was taken back" in refused.err
    assert 0 == verified.status, verified.out + verified.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--live", "--forget"), "leave out --forget and --replace"),
        (("--live", "--continue", "--undo"), "leave one out"),
        (("--live", "--continue"), "no change of live was interrupted"),
        (("--live", "--pid", "1", "--name", "live"), "leave one out"),
        (("--undo",), "--undo goes with --live"),
        (("--pid", "1"), "--pid goes with --live"),
    ],
)
def test_what_apply_cannot_mean_is_told(on_host: Callable[..., Any], words: tuple[str, ...], what: str) -> None:
    done = on_host(lambda: mountplan("apply", spec(BEFORE), *words))
    assert done.status in (1, 2)
    assert what in done.err


@pytest.mark.needs_kernel("nobody")
def test_an_ordinary_users_name_is_changed(in_host: InHost) -> None:
    """The visitor enters the user namespace of the name; a path of the host comes from a copy of our tree in there."""
    after = AFTER + '[[mount]]\ntarget = "/etc"\nbind = "/etc"\nrecursive = true\n'

    def script() -> list[Outcome]:
        done = [mountplan("apply", spec(BEFORE), "-q"), mountplan("apply", spec(after, "b.toml"), "--live")]
        done += [mountplan("verify", spec(after, "b.toml"), "live"), mountplan("ls")]
        mountplan("rm", "live")
        return done

    kept, changed, verified, listed = in_host(in_runtime_directory(script), identity="nobody")
    assert 0 == kept.status, kept.err
    assert 0 == changed.status, changed.err + changed.out
    assert 0 == verified.status, verified.out
    assert "healthy" in listed.out


def interrupted(after: str) -> None:
    """As after a SIGKILL: the journal is there, and half of the steps were carried out."""
    from mountplan import api, changing, live_target
    from mountplan.applier.change.visit import Visited
    from mountplan.planner.change.change_steps import DetachLive
    from mountplan.planner.change.standing import Allowed

    plan, operand = api.plan(api.load(after)), live_target.target_of("live")
    with changing._journal(operand) as journal:
        target = live_target.look(operand)
        found = changing.preview(plan, target, Allowed())
        assert target.standing.record is not None
        journal.write(dump_plan(target.standing.record.plan), dump_plan(plan))
        end = next(at for at, step in enumerate(found.steps) if isinstance(step, DetachLive))
        assert isinstance(changing._visit(target, found.steps[: end + 1], journal), Visited)


def test_a_change_that_was_interrupted_is_told_and_finished_or_taken_back(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        before, after = spec(BEFORE), spec(AFTER, "b.toml")
        interrupted(after)
        done = [mountplan("apply", after, "--live"), mountplan("apply", "--live", "--continue", "--name", "live")]
        done += [mountplan("verify", after, "live"), mountplan("apply", before, "--live")]
        interrupted(after)
        done += [mountplan("apply", "--live", "--undo", "--name", "live"), mountplan("verify", before, "live")]
        return done

    told, finished, verified, back, undone, again = on_host(script)
    assert 1 == told.status
    assert "was interrupted" in told.err
    assert "--continue" in told.err
    assert "--undo" in told.err
    assert [0, 0, 0, 0, 0] == [one.status for one in (finished, verified, back, undone, again)], (
        finished,
        undone,
        again,
    )


@pytest.mark.parametrize("way", ["--continue", "--undo"])
def test_a_change_that_was_killed_while_it_wrote_its_journal_had_not_begun(
    on_host: Callable[..., Any], way: str
) -> None:
    """The remedy of the one way out was the other one."""

    def script() -> Outcome:
        with kept.opened("live") as found:
            os.close(os.open(".live.json", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=found.directory))
        return mountplan("apply", "--live", way, "--name", "live")

    told = on_host(script)
    assert 2 == told.status
    assert "no change of live was interrupted" in told.err


def test_what_is_killed_while_it_finishes_a_change_leaves_that_interrupted(on_host: Callable[..., Any]) -> None:
    """Before it has begun by itself: nothing of it is there to be taken back, but something of the other is."""
    from mountplan import changing, live_target
    from mountplan.planner.change.standing import Allowed

    def script() -> list[Outcome]:
        after = spec(AFTER, "b.toml")
        interrupted(after)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(changing, "_visit", killed)
            with pytest.raises(KeyboardInterrupt):
                changing.finish(None, live_target.target_of("live"), Allowed(), undo=False)
        done = [mountplan("apply", after, "--live"), mountplan("apply", "--live", "--undo", "--name", "live")]
        return [*done, mountplan("verify", spec(BEFORE), "live"), mountplan("apply", after, "--live")]

    told, *done = on_host(script)
    assert "was interrupted" in told.err, told
    assert [0, 0, 0] == [one.status for one in done], done


def test_what_close_says_of_a_name_that_was_looked_at_is_no_failure(on_host: Callable[..., Any]) -> None:
    """All was changed by then, and the command ended with an error."""

    def script() -> None:
        def refused(fd: int) -> None:
            close(fd)
            raise OSError(errno.ENOMEM, "no memory")

        close: Any = os.close
        with pytest.MonkeyPatch.context() as patch, kept.opened("live"):
            patch.setattr(os, "close", refused)

    on_host(script)


def test_each_change_is_printed_as_it_happens_with_the_drift_from_a_spec(on_host: Callable[..., Any]) -> None:
    def script() -> str:
        before, after = spec(BEFORE), spec(AFTER, "b.toml")
        command = [sys.executable, "-m", "mountplan", "watch", "live", before, "--for", "60"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as watcher:
            assert watcher.stdout is not None
            told = watcher.stdout.readline()
            mountplan("apply", after, "--live", "-q")
            while "+ /come" not in told or "- /gone" not in told:
                told += watcher.stdout.readline()
            watcher.kill()
            return told

    told = on_host(script)
    assert told.startswith("= as the spec says\n")
    assert "+ /data  tmpfs new rw,relatime\n" in told
    assert "- /data  tmpfs old rw,relatime\n" in told


def test_what_a_plan_of_changes_or_a_change_has_no_use_for_is_refused(on_host: Callable[..., Any]) -> None:
    """It would be passed over, and the user be left to believe that it was heard."""

    def script() -> list[Outcome]:
        after, file = spec(AFTER, "b.toml"), "/tmp/change.json"
        assert 0 == mountplan("plan", after, "--live", "live", "-o", file).status
        told = [mountplan("apply", file, word) for word in ("--allow-gap", "--set=a=b", "--timeout=9")]
        values = json.loads(Path(file).read_text()) | {"changes": []}
        del values["digest"]
        Path("/tmp/other.json").write_text(json.dumps(values | {"digest": change_file._digest(values)}))
        told.append(mountplan("apply", "/tmp/other.json"))  # people read in it what is not done
        return [*told, mountplan("apply", after, "--live", "--rootless=never"), mountplan("apply", file, "-q")]

    *told, done = on_host(script)
    assert [2, 2, 2, 2, 2] == [one.status for one in told], told
    assert "says what is allowed" in told[0].err
    assert 0 == done.status, done


def test_an_option_that_the_kernel_shows_otherwise_is_granted_to_what_a_change_makes(
    on_host: Callable[..., Any],
) -> None:
    """As for what is built anew: each option was refused by its own call, or taken."""
    after = AFTER + '[[mount]]\ntarget = "/o"\ntype = "tmpfs"\noptions = { mpol = "interleave", size = "1m" }\n'

    def script() -> list[Outcome]:
        asked = spec(after, "b.toml")
        bigger = spec(after.replace('"1m"', '"2m"'), "c.toml")
        return [
            mountplan("apply", asked, "--live", "--json"),
            mountplan("verify", asked, "live"),
            mountplan("diff", asked, "live"),
            mountplan("plan", asked, "--live", "live", "--exit-code"),
            mountplan("apply", bigger, "--live", "-v"),
            mountplan("verify", bigger, "live"),
            mountplan("ls", "--json"),
        ]

    done, *others, listed = on_host(script)
    assert [0] * 6 == [one.status for one in (done, *others)], (done, others)
    assert "option mpol" in [one["property"] for one in done.json()["notices"]]
    assert "/o: option mpol: interleave, shown as" in others[3].out
    assert "healthy" == listed.json()[0]["health"]


@pytest.mark.parametrize("sharing", ["master", "peer_group"])
def test_what_has_arrived_is_told_after_a_change_too(sharing: str, on_host: Callable[..., Any], tmp_path: Path) -> None:
    """Were it part of what the name is, `ls` would see nothing new in it. What it stands on takes it along: it was told
    to stay then. Among peers of the host it was taken off.
    """
    text = (
        f'name = "fed"\n[peer_group.feed]\nhost = "{tmp_path}"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        f'[[mount]]\ntarget = "/feed"\nbind = "{tmp_path}"\n{sharing} = "feed"\n'
    )
    for name in ("x", "y"):
        (tmp_path / name).mkdir()

    def script() -> list[Outcome]:
        mount(str(tmp_path), str(tmp_path), flags=MS_BIND)
        mount("", str(tmp_path), flags=MS_SHARED)
        fed = spec(text)
        done = [mountplan("apply", fed, "-q")]
        mount("outside", f"{tmp_path}/x", "tmpfs")
        done += [mountplan("apply", fed, "--live", "-q"), mountplan("ls"), mountplan("verify", fed, "fed")]
        swapped = spec(text.replace(f'bind = "{tmp_path}"', f'bind = "{tmp_path}/y"'))
        done.append(mountplan("plan", swapped, "--live", "fed"))
        umount(f"{tmp_path}/x")
        done.append(mountplan("ls"))
        mountplan("rm", "fed")
        umount(str(tmp_path))
        return done

    kept, changed, listed, verified, preview, after = on_host(script)
    assert [0, 0, 0, 0] == [one.status for one in (kept, changed, listed, verified)], (kept, changed, verified)
    assert "healthy, 1 mount arrived" in listed.out
    assert "/feed/x" in verified.out
    assert "what it stands on goes" in preview.out
    assert "and stays" not in preview.out
    assert "arrived" not in after.out
    assert "drifted" not in after.out


def test_what_is_left_out_is_part_of_every_report_on_a_spec(on_host: Callable[..., Any]) -> None:
    after = AFTER + '[[mount]]\ntarget = "/o"\nbind = "/no/such"\noptional = true\n'
    as_text = (
        "plan {spec} --live live",
        "apply {spec} --live",
        "graph live",
        "export sh {spec}",
        "explain {spec}",
        "check {spec}",
        "plan {spec}",
        "verify {spec} live",
        "show live",
    )
    as_json = (
        "apply {spec} --live",
        "plan {spec}",
        "show live",
        "verify {spec} live",
        "watch live {spec} --for 0",
        "graph {spec}",
        "export bwrap {spec}",
        "diff {spec} live",
    )

    def script() -> list[Outcome]:
        file = spec(after, "b.toml")
        return [mountplan(*command.format(spec=file).split()) for command in as_text] + [
            mountplan(*command.format(spec=file).split(), "--json") for command in as_json
        ]

    ended = on_host(script)
    for command, told in zip(as_text, ended, strict=False):
        assert '/o: host path "/no/such": no such file or directory' in told.out + told.err, (command, told)
    for command, told in zip(as_json, ended[len(as_text) :], strict=True):
        data = told.json()
        if command == "plan {spec}":  # a saved plan, in columns
            assert ["/o"] == [data["strings"][index] for index in data["left_out"]["target"]]
        else:
            assert ["/o"] == [one["target"] for one in data["left_out"]], (command, told)
    assert "all else as the spec says" in ended[1].out
    assert False is ended[len(as_text)].json()["verified"]


def test_to_watch_a_name_ends_when_it_is_no_longer_kept(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[int, str]:
        command = [sys.executable, "-m", "mountplan", "watch", "live", spec(BEFORE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            mountplan("rm", "live")
            told = watcher.communicate(timeout=60)[1]
            return watcher.returncode, told

    assert (0, "mountplan: live is no longer kept\n") == on_host(script)


def test_the_store_that_came_with_the_name_is_no_difference(in_host: InHost) -> None:
    """Mounted on /run once the first name is kept: a bind of all of the host has been made by then."""
    text = 'name = "all"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    text += '[[mount]]\ntarget = "/h"\nbind = "/"\nrecursive = true\n'
    more = '[[mount]]\ntarget = "/new"\ntype = "tmpfs"\n'

    def script() -> list[Outcome]:
        file, other = spec(text), spec(text + more, "b.toml")
        try:
            return [
                mountplan("apply", file, "-q"),
                mountplan("diff", file, "all"),
                mountplan("diff", "all", file),
                mountplan("verify", file),
                mountplan("plan", file, "--live", "all", "--exit-code"),
                mountplan("apply", other, "--live"),
                mountplan("verify", other),
                mountplan("plan", other, "--live", "all", "--exit-code"),
            ]
        finally:
            mountplan("rm", "all")

    ended = in_host(on_run(script))
    assert [0] * 8 == [one.status for one in ended], ended


def test_who_has_too_few_descriptors_is_told_so_and_sees_no_namespace_less(in_host: InHost) -> None:
    """A change that would be seen in the one that was left out went on."""

    def seen() -> set[int]:
        return {one.inode for one in inhabited.everyone_else(set(), aged=True)}

    def script() -> list[str]:
        assert 0 == mountplan("apply", spec(BEFORE), "-q").status
        all_of_them = seen()
        free = os.open("/", os.O_PATH)
        os.close(free)
        told = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for more in range(16):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
                found = seen()
            except OSError as error:
                told.append(os.strerror(error.errno or 0).lower())
            except MountplanError as error:
                told.append(str(error))
            else:
                assert all_of_them == found, f"{more} descriptors left"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        mountplan("rm", "live")
        return told

    told = in_host(with_own_processes(on_run(script)))
    assert told
    assert all("open files" in one for one in told), told

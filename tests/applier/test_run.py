"""run: how the command is started, and how it ends. Each rule holds for every way of starting it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mountplan.applier.run.run import check_settings
from mountplan.planner.errors import CommandNotStarted, SpecError
from mountplan.planner.run_settings import RunSettings
from tests.commands import PROC, How, Outcome, outcome, programs
from tests.hosts import Identity, InHost
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("set-group")

WAYS = ("execute", "run", "execute-pid", "run-pid")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, in_host: InHost) -> Callable[..., Outcome]:
    """run(command..., run="[run] of the spec", identity=...) in one of the four ways of starting a command."""
    how, _, pid = request.param.partition("-")

    def go(
        *command: str,
        run: str = "",
        mounts: str = "",
        identity: Identity = "best",
        prepare: Callable[[], object] = lambda: None,
    ) -> Outcome:
        if pid:
            run += '\nunshare = ["pid"]'
            mounts += PROC
        how_: How = "run" if how == "run" else "execute"
        return in_host(partial(outcome, programs(run, mounts), *command, how=how_, prepare=prepare), identity=identity)

    return go


def fields(status: str) -> dict[str, str]:
    """The lines of a /proc/PID/status."""
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


def signals(mask: str) -> set[int]:
    """The signals of a mask of /proc/PID/status, but for those that the C library keeps to itself."""
    bits = int(mask, 16)
    return {number for number in signal.valid_signals() if bits >> number - 1 & 1}


def test_the_exit_status_is_the_commands(way: Callable[..., Outcome]) -> None:
    assert Outcome(7, "hi\n", "oh\n") == way("sh", "-c", "echo hi; echo oh >&2; exit 7")


def test_an_ordinary_user_gets_a_user_namespace_for_it(way: Callable[..., Outcome]) -> None:
    assert Outcome(3, "0\n", "") == way("sh", "-c", "id -u; exit 3", identity="nobody")


def test_a_signal_that_ends_the_command_is_128_and_its_number(way: Callable[..., Outcome]) -> None:
    """A process that turned into the command ends by the signal itself, of which a shell makes the same."""
    status = way("sh", "-c", "kill -TERM $$").status
    assert status in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_a_command_that_does_not_exist_is_127_and_named(way: Callable[..., Outcome]) -> None:
    ended = way("nonesuch", run='environment = { PATH = "/usr/bin:/opt" }')
    assert (127, "") == ended[:2]
    assert "cannot run 'nonesuch'" in ended.err
    assert "inside the new root" in ended.err
    assert "PATH='/usr/bin:/opt'" in ended.err


def test_a_path_that_exists_on_the_host_only_is_127(way: Callable[..., Outcome]) -> None:
    ended = way("/etc/hostname")
    assert 127 == ended.status
    assert "cannot run '/etc/hostname': no such program inside the new root" in ended.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/tmp/plain", "not executable"),
        ("/tmp/dir", "directory"),
        ("/tmp/nothing", "neither a program"),
        ("/tmp/lost", "interpreter"),
        ("/tmp/noexec/sh", "noexec"),
        ("plain", "not executable"),
    ],
)
def test_what_is_there_and_cannot_be_executed_is_126(command: str, words: str, in_host: InHost) -> None:
    files = """
    [[mount]]
    target = "/tmp"
    type = "tmpfs"
    [[mount.file]]
    path = "plain"
    content = "x"
    [[mount.file]]
    path = "nothing"
    content = "x"
    mode = "0755"
    [[mount.file]]
    path = "lost"
    content = "#!/nonesuch\\n"
    mode = "0755"
    [[mount.file]]
    path = "dir"
    directory = true
    [[mount]]
    target = "/tmp/noexec"
    type = "tmpfs"
    attributes = ["noexec"]
    [[mount.file]]
    path = "sh"
    content = "#!/bin/sh\\n"
    mode = "0755"
    """
    ended = in_host(partial(outcome, programs('environment = { PATH = "/opt:/tmp" }', files), command, how="execute"))
    assert 126 == ended.status
    assert words in ended.err


def test_a_later_directory_of_path_may_have_what_an_earlier_one_cannot_execute(in_host: InHost) -> None:
    files = '[[mount]]\ntarget = "/opt"\ntype = "tmpfs"\n[[mount.file]]\npath = "true"\ncontent = "x"\n'
    assert 0 == in_host(partial(outcome, programs('environment = { PATH = "/opt:/usr/bin" }', files), "true")).status


def test_no_command_is_an_error_before_anything_is_built(in_host: InHost) -> None:
    ended = in_host(partial(outcome, programs()))
    assert 2 == ended.status
    assert "no command" in ended.err


def test_the_specs_command_is_run_if_none_is_named(in_host: InHost) -> None:
    assert Outcome(0, "spec\n", "") == in_host(partial(outcome, programs('command = ["echo", "spec"]')))


def test_the_environment_is_ours_with_the_specs_on_top(way: Callable[..., Outcome]) -> None:
    run = 'environment = { WORD = "from the spec", EMPTY = "" }'
    ended = way("env", run=run, prepare=lambda: os.environ.update(WORD="ours", OTHER="kept"))
    lines = ended.out.splitlines()
    assert {"WORD=from the spec", "EMPTY=", "OTHER=kept", "PWD=/"} <= set(lines)
    assert "WORD=ours" not in lines


def test_a_cleared_environment_has_what_the_spec_names_and_where_it_is(way: Callable[..., Outcome]) -> None:
    ended = way("/usr/bin/env", run='clear_environment = true\nenvironment = { A = "1" }\ncwd = "/tmp"')
    assert ["A=1", "PWD=/tmp"] == sorted(ended.out.splitlines())


def test_the_working_directory_is_the_new_root_or_the_specs(way: Callable[..., Outcome]) -> None:
    assert "/\n" == way("/bin/pwd").out
    assert "/usr/bin\n" == way("/bin/pwd", run='cwd = "/usr/bin"').out


def test_a_working_directory_that_is_missing_inside_is_an_error(way: Callable[..., Outcome]) -> None:
    ended = way("true", run='cwd = "/etc"')
    assert 3 == ended.status
    assert "cannot start in directory '/etc': No such file or directory (inside the new root)" in ended.err


def test_a_symlink_does_not_lead_the_working_directory_out(way: Callable[..., Outcome]) -> None:
    link = '[[mount]]\ntarget = "/opt"\ntype = "tmpfs"\n[[mount.file]]\npath = "up"\nsymlink = "../../../../usr"\n'
    assert "/usr\n" == way("/bin/pwd", "-P", run='cwd = "/opt/up"', mounts=link).out


def test_nothing_of_the_host_is_left_in_the_mount_table(way: Callable[..., Outcome]) -> None:
    lines = way("cat", "/proc/self/mountinfo").out.splitlines()
    assert not [line for line in lines if "mountplan" in line or line.split()[4].startswith(("/etc", "/home", "/root"))]
    assert "/" == lines[0].split()[4]


def test_a_mount_on_the_root_is_seen(way: Callable[..., Outcome]) -> None:
    """What is mounted on "/" of the spec covers it, and the command must be on top."""
    cover = '[[mount]]\ntarget = "/"\nid = "cover"\ntype = "tmpfs"\n[[mount.file]]\npath = "on-top"\ncontent = ""\n'
    binds = ['[[mount]]\ntarget = "/usr"\nparent = "cover"\nbind = "/usr"\nrecursive = true\n']
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            cover += f'[[mount.file]]\npath = "{name}"\nsymlink = "usr/{name}"\n'
        elif Path("/", name).is_dir():
            binds.append(f'[[mount]]\ntarget = "/{name}"\nparent = "cover"\nbind = "/{name}"\nrecursive = true\n')
    assert "/on-top\n" == way("ls", "-d", "/on-top", mounts=cover + "".join(binds)).out


def test_only_stdin_stdout_and_stderr_reach_the_command(way: Callable[..., Outcome]) -> None:
    def leak() -> None:
        for number in (3, 9, 63):
            os.dup2(0, number, inheritable=True)

    ended = way("ls", "/proc/self/fd", prepare=leak)
    assert ["0", "1", "2", "3"] == sorted(ended.out.split())  # 3 is the directory that ls reads


def test_the_umask_is_the_callers(way: Callable[..., Outcome]) -> None:
    assert "0027\n" == way("sh", "-c", "umask", prepare=lambda: os.umask(0o027)).out


def test_the_signal_mask_and_what_is_ignored_are_the_callers(way: Callable[..., Outcome]) -> None:
    """Except that Python ignores SIGPIPE and SIGXFSZ for itself: no command expects that."""

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, lambda *_: None)

    status = fields(way("cat", "/proc/self/status", prepare=prepare).out)
    assert {signal.SIGUSR1} == signals(status["SigBlk"])
    assert {signal.SIGUSR2} == signals(status["SigIgn"])


def test_signals_are_as_a_shell_leaves_them(way: Callable[..., Outcome]) -> None:
    status = fields(way("cat", "/proc/self/status").out)
    assert (set(), set()) == (signals(status["SigBlk"]), signals(status["SigIgn"]))


def test_an_ignored_sigchld_costs_no_exit_status_and_is_handed_on(way: Callable[..., Outcome]) -> None:
    def prepare() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    ended = way("cat", "/proc/self/status", "/nonesuch", prepare=prepare)
    assert 1 == ended.status
    assert {signal.SIGCHLD} == signals(fields(ended.out)["SigIgn"])


def test_no_new_privileges_unless_the_spec_wants_them(way: Callable[..., Outcome]) -> None:
    assert "1" == fields(way("cat", "/proc/self/status").out)["NoNewPrivs"]
    assert "0" == fields(way("cat", "/proc/self/status", run="no_new_privs = false").out)["NoNewPrivs"]


SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def test_capabilities_stay_as_they_are_unless_the_spec_names_some(way: Callable[..., Outcome]) -> None:
    def here() -> list[str]:
        ours = fields(Path("/proc/self/status").read_text())
        return [ours[name] for name in SETS]

    def say() -> None:
        os.write(1, " ".join(here()).encode() + b"\n")

    first, rest = way("cat", "/proc/self/status", prepare=say).out.split("\n", 1)
    status = fields(rest)
    assert first.split() == [status[name] for name in SETS]


def test_only_the_capabilities_that_the_spec_names_are_kept(way: Callable[..., Outcome]) -> None:
    """Not in the bounding set either, from which a set-user-id program could get them back."""
    status = fields(way("cat", "/proc/self/status", run='capabilities = ["CAP_CHOWN", "CAP_KILL"]').out)
    kept = 1 << 0 | 1 << 5
    assert [0, kept, kept, kept, 0] == [int(status[name], 16) for name in SETS]


def test_no_capability_at_all(way: Callable[..., Outcome]) -> None:
    status = fields(way("cat", "/proc/self/status", run="capabilities = []", identity="nobody").out)
    assert [0, 0, 0, 0, 0] == [int(status[name], 16) for name in SETS]


def test_a_capability_that_there_is_not_is_a_mistake_in_the_spec() -> None:
    with pytest.raises(SpecError, match=r'run.capabilities\[1\]: there is no capability "CAP_KIL"\n.*CAP_KILL'):
        plan_of(programs('capabilities = ["CAP_CHOWN", "CAP_KIL"]'))


def test_a_plan_with_settings_that_cannot_work_is_refused_before_anything_is_built() -> None:
    """A plan file may be written by another program."""
    for settings in (RunSettings(hostname="box"), RunSettings(capabilities=("CAP_FLY",))):
        with pytest.raises(CommandNotStarted) as caught:
            check_settings(settings, ("true",))
        assert 2 == caught.value.exit_status


def test_a_capability_that_the_caller_does_not_have_is_an_error(way: Callable[..., Outcome]) -> None:
    """A wish that is silently not granted would be worse."""

    def give_up() -> None:
        from mountplan.applier.process.capabilities import keep_capabilities
        from mountplan.planner.run_settings import CAPABILITIES

        wanted = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", *more]
        keep_capabilities(tuple(name for name in CAPABILITIES if name in wanted))

    more = ["CAP_SETPCAP"]
    ended = way("true", run='capabilities = ["CAP_NET_RAW"]', prepare=give_up)
    assert 3 == ended.status
    assert "cannot keep CAP_NET_RAW" in ended.err
    more.clear()
    ended = way("true", run="capabilities = []", prepare=give_up)
    assert 3 == ended.status
    assert "does not have CAP_SETPCAP" in ended.err


def test_a_user_that_is_not_root_keeps_them_by_the_ambient_set(in_host: InHost) -> None:
    """For anybody but root, exec clears what is not ambient."""

    def script() -> list[int]:
        from mountplan.applier.process.capabilities import keep_capabilities
        from mountplan.applier.sys import syscalls
        from tests.hosts import prctl

        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            prctl(8, 1)  # PR_SET_KEEPCAPS
            os.setresuid(1000, 1000, 1000)
            permitted = syscalls.capget()[1]
            syscalls.capset(permitted, permitted, 0)
            keep_capabilities(("CAP_KILL",))
            os.dup2(writer, 1)
            os.execv("/bin/cat", ("cat", "/proc/self/status"))
        os.close(writer)
        with open(reader) as file:
            status = fields(file.read())
        os.waitpid(child, 0)
        return [int(status[name], 16) for name in SETS]

    kept = 1 << 5
    assert [kept, kept, kept, kept, kept] == in_host(script, identity="root")

"""What must always hold (docs/architecture.md), for the building of one namespace."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.observe.facts import LiveHost
from mountplan.planner.errors import MountplanError, StepRefused, VerificationFailed
from mountplan.planner.plan import schedule
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.schedule import make_plan
from tests.commands import command_line
from tests.hosts import CHECKOUT, InHost, give_up_all_capabilities, moments, mount, run_in_child
from tests.mountflags import MS_SHARED
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")

SPECS = [
    pytest.param(name, marks=[pytest.mark.needs_kernel("idmap-tmpfs")] if name == "idmap.toml" else [])
    for name in sorted(path.name for path in (CHECKOUT / "specs").glob("*.toml"))
    if name not in ("feed.toml", "live.toml", "recursive-sharing.toml")  # these need something of the host
]

# Specs that the kernel refuses, each in another way: (spec, errno).
REFUSED = {
    "unknown option": (f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\noptions = {{ bogus = "x" }}', "EINVAL"),
    "missing mountpoint": (
        f'{ROOT}[[mount]]\ntarget = "/proc"\ntype = "proc"\n[[mount]]\ntarget = "/proc/sys/nowhere"\ntype = "tmpfs"',
        "ENOENT",
    ),
    "full filesystem": (
        (
            f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\noptions = {{ size = "4k" }}\n'
            f'[[mount.file]]\npath = "big"\ncontent = "{"x" * 9000}"'
        ),
        "ENOSPC",
    ),
    "wrong kind of mountpoint": (
        f'{ROOT}[[mount]]\ntarget = "/proc"\ntype = "proc"\n[[mount]]\ntarget = "/proc/sys/fs/nr_open"\ntype = "tmpfs"',
        "EINVAL",
    ),
}


def refused(text: str) -> StepRefused:
    """Where planning has not asked what options a filesystem takes, as for a plan that was made elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveHost, "refused_option", lambda *_: "")
        return _refused(text)


def _refused(text: str) -> StepRefused:
    with pytest.raises(StepRefused) as caught, tree(text):
        pass
    return caught.value


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_step_leaves_the_host_and_this_process_as_they_were(name: str) -> None:
    """Mount table, descriptors, children: the fixtures of every test look at those as well."""
    before = Path("/proc/self/mountinfo").read_bytes()
    error = refused(REFUSED[name][0])
    assert before == Path("/proc/self/mountinfo").read_bytes()
    assert REFUSED[name][1] == errno.errorcode[error.errno]
    assert 3 == error.exit_status


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_step_mount_call_errno_and_remedy(name: str) -> None:
    error = refused(REFUSED[name][0])
    text = str(error)
    assert error.number > 0
    assert error.step
    assert error.remedy
    assert error.origin.key.startswith("mount[")
    assert error.syscall
    place = f"test.toml:{error.origin.line}: {error.origin.key}: step {error.number}, {error.step}"
    assert text.startswith(f"{place}: {error.syscall}: ")
    assert f"({REFUSED[name][1]})" in text
    assert f"remedy: {error.remedy}" in text


@pytest.mark.needs_kernel("root")
def test_a_refusal_quotes_what_the_filesystem_says() -> None:
    error = refused(REFUSED["unknown option"][0])
    assert "fsconfig(bogus)" == error.syscall
    assert any("bogus" in line for line in error.log)
    assert f"the filesystem says: {error.log[0]}" in str(error)


@pytest.mark.needs_kernel("root")
def test_a_refusal_points_to_the_line_of_the_mount() -> None:
    error = refused(f'{ROOT}\n\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\noptions = {{ bogus = "x" }}\n')
    lines = f'format = 1\n{ROOT}\n\n[[mount]]\ntarget = "/a"'.split("\n")
    assert lines.index("[[mount]]", 5) + 1 == error.origin.line


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("name", SPECS)
def test_a_detached_mount_has_its_attributes_before_it_is_attached(name: str) -> None:
    """So there is no moment at which a mount that shall be read-only can be written to."""
    plan = api.plan(api.load(str(CHECKOUT / "specs" / name)))
    attached: set[str] = set()
    for step in plan.steps:
        if isinstance(step, s.SetAttributes):
            assert step.mount not in attached, step
        elif isinstance(step, s.Attach):
            attached.add(step.mount)
    every = [one for namespace in plan.expected.namespaces for one in namespace.mounts]
    wanted = {one.name for one in every if one.set or one.clear or one.unbindable}
    assert wanted == {step.mount for step in plan.steps if isinstance(step, s.SetAttributes)}


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("name", SPECS)
def test_everything_is_attached_before_the_mount_below_it_joins_its_group(name: str) -> None:
    """What is attached to a shared mount is copied to its peers; so groups are joined last."""
    joined: set[str] = set()
    for step in api.plan(api.load(str(CHECKOUT / "specs" / name))).steps:
        if isinstance(step, s.JoinGroup):
            joined.add(step.mount)
        elif isinstance(step, s.Attach):
            assert step.parent not in joined, step


def test_what_was_not_granted_is_an_error() -> None:
    """Here the plan expects of the root what no step asks for."""
    plan = plan_of(f'{ROOT}attributes = ["ro"]')
    (namespace,) = plan.expected.namespaces
    other = namespace.mounts[0]._replace(set=2)
    altered = plan._replace(expected=plan.expected._replace(namespaces=(namespace._replace(mounts=(other,)),)))
    with pytest.raises(VerificationFailed) as caught:
        api.build_and_forget(altered)
    assert 3 == caught.value.exit_status
    assert [("/", "attributes", "rw,nosuid,relatime", "ro,relatime")] == [
        tuple(difference[:4]) for difference in caught.value.differences
    ]


def test_a_mount_that_nobody_asked_for_is_an_error() -> None:
    plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"')
    (namespace,) = plan.expected.namespaces
    less = namespace._replace(mounts=namespace.mounts[:1])
    with pytest.raises(VerificationFailed) as caught:
        api.build_and_forget(plan._replace(expected=plan.expected._replace(namespaces=(less,))))
    assert [("/a", "mount", "none", "tmpfs, on the tmpfs at /")] == [
        tuple(difference[:4]) for difference in caught.value.differences
    ]


@pytest.mark.parametrize(
    ("command", "status"), [("check", 1), ("plan", 1), ("apply --forget --no-cache", 3), ("run --no-cache", 3)]
)
def test_a_plan_that_comes_out_otherwise_is_refused_and_no_command_is_in_what_stands(
    command: str, status: int, in_host: InHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` and `plan` carry it out in the model; what builds it reads back what stands there."""
    began = tmp_path / "began"
    spec = '[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\nattributes = ["ro"]\n'
    run = f'[run]\ncommand = ["touch", "{began}"]\n'

    def without_attributes(*words: Any) -> Plan:
        plan = make_plan(*words)
        return plan._replace(steps=tuple(step for step in plan.steps if not isinstance(step, s.SetAttributes)))

    monkeypatch.setattr(schedule, "make_plan", without_attributes)
    stdin = f'format = 1\nroot = "inherit"\n{spec}{run}'
    ended = in_host(lambda: command_line(*command.split(), "-", stdin=stdin))
    assert (status, "") == (ended.status, ended.out)
    assert "/mnt" in ended.err
    assert "attributes" in ended.err
    assert not began.exists()


@pytest.mark.needs_kernel("root")
def test_a_command_has_no_descriptors_but_three(in_host: InHost) -> None:
    """Whatever this process has open, close-on-exec or not."""

    def script() -> str:
        reader, writer = os.pipe()
        os.set_inheritable(reader, True)
        os.dup2(writer, 1)
        list_them = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
        plan = api.plan(api.load(str(CHECKOUT / "specs/sandbox.toml")))
        assert 0 == api.run(plan, ("/usr/bin/python3", "-c", list_them))
        return os.read(reader, 1000).decode()

    assert "[0, 1, 2]\n" == in_host(script, identity="root")


def test_a_plan_read_back_from_its_file_is_built_like_the_one_it_was(tmp_path: Path) -> None:
    plan = plan_of(f'{ROOT}attributes = ["ro"]\n[[mount.file]]\npath = "x"\ncontent = "y"')
    text = dump_plan(plan)
    again = load_plan(text.encode(), "plan.json")
    assert plan == again
    assert text == dump_plan(again)
    assert 1 == len(api.build_and_forget(again).tables[0][1].rows)


def test_applying_a_saved_plan_loads_neither_pydantic_nor_networkx(in_host: InHost, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(dump_plan(plan_of(ROOT)))
    program = (
        "import sys; from mountplan import api; api.build_and_forget(api.load_plan(sys.argv[1]))\n"
        "print([name for name in ('pydantic', 'networkx', 'rich', 'tomli', 'dataclasses') if name in sys.modules])"
    )

    def script() -> str:
        command = [sys.executable, "-c", program, str(tmp_path / "plan.json")]
        done = subprocess.run(command, env={"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "[]\n" == in_host(script)


def test_applying_a_saved_plan_loads_nothing_of_python_s_own_that_costs_as_much_as_python(
    in_host: InHost, tmp_path: Path
) -> None:
    """Each of these loads others; together they took longer than all else of a small build (planner/light.py)."""
    (tmp_path / "plan.json").write_text(dump_plan(plan_of(ROOT)))
    program = (
        "import sys; from mountplan import pipeline as p; p.build_verified(p.load_plan(sys.argv[1]), None)[0].close()\n"
        "slow = ('collections', 'contextlib', 'enum', 'functools', 'importlib', 'json', 're', 'signal', 'typing')\n"
        "print([name for name in slow if name in sys.modules])"
    )

    def script() -> str:
        command = [sys.executable, "-S", "-c", program, str(tmp_path / "plan.json")]  # site may load some of them
        done = subprocess.run(command, env={"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "[]\n" == in_host(script)


def big_plan() -> Plan:
    mounts = "".join(f'[[mount]]\ntarget = "/m{number}"\ntype = "tmpfs"\n' for number in range(1500))
    return plan_of(ROOT + mounts)


def alive(session: int) -> list[str]:
    """The processes of a session that are not dead yet."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in ("Z", "X"):
            found.append(directory.name)
    return found


def killed_and_gone(work: Callable[[], object], wait: float) -> list[str]:
    """Run `work` in a session of its own, kill its leader after `wait` seconds, and tell who is still there then."""

    def script() -> list[str]:
        child = os.fork()
        if child == 0:
            os.setsid()
            work()
            os._exit(0)
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for _ in moments():
            if not (left := alive(child)):
                break
        return left

    return run_in_child(script)


@pytest.mark.parametrize("wait", [0.01, 0.05, 0.1, 0.2])
def test_a_killed_builder_leaves_no_process_and_no_mount(wait: float) -> None:
    """The kernel frees a namespace with its last process, and the building process dies with its parent."""
    plan = big_plan()
    before = Path("/proc/self/mountinfo").read_bytes()
    assert [] == killed_and_gone(lambda: api.build_and_forget(plan), wait)
    assert before == Path("/proc/self/mountinfo").read_bytes()


def test_a_holder_dies_with_the_process_that_it_holds_a_namespace_for() -> None:
    def work() -> None:
        with tree(ROOT):
            time.sleep(60)

    assert [] == killed_and_gone(work, 0.5)


def test_a_build_works_with_256_descriptors() -> None:
    def script() -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        return len(api.build_and_forget(big_plan()).tables[0][1].rows)

    assert 1501 == run_in_child(script)


def test_a_build_with_more_groups_of_the_hosts_than_files_may_be_open(in_host: InHost) -> None:
    """A seed of each is taken before there is a place to put them. The limit is the caller's again afterwards."""

    def script() -> tuple[int, tuple[int, int]]:
        mount("none", "/mnt", "tmpfs")
        spec = ROOT
        for number in range(300):
            os.mkdir(f"/mnt/{number}")
            mount("none", f"/mnt/{number}", "tmpfs")
            mount("", f"/mnt/{number}", flags=MS_SHARED)
            spec += f'[peer_group.g{number}]\nhost = "/mnt/{number}"\n'
            spec += f'[[mount]]\ntarget = "/{number}"\nbind = "/mnt/{number}"\nmaster = "g{number}"\n'
        plan = plan_of(spec)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
        with build(plan) as built:
            return len(built.held().table.rows), resource.prlimit(built.pid, resource.RLIMIT_NOFILE)

    assert (301, (256, 4096)) == in_host(script)


def test_an_ordinary_user_without_user_namespaces_is_told_so(in_host: InHost) -> None:
    """Nothing is tried with less, and no traceback is shown."""

    def script() -> str:
        plan = plan_of(ROOT)
        limit = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY)  # each user namespace has its own
        os.write(limit, b"0")
        os.close(limit)
        give_up_all_capabilities()
        try:
            api.build_and_forget(plan)
        except MountplanError as error:
            return f"{type(error).__name__} {error}"
        return "built"

    told = in_host(script, identity="userns")
    assert told.startswith("StepRefused")
    assert "remedy: " in told
    assert "max_user_namespaces" in told

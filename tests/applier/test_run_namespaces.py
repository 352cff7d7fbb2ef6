"""run: namespaces besides the mount namespace, and process 1 of a pid namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.sys.report import Reporter
from mountplan.planner.errors import SpecError, StepRefused
from tests.commands import PROC, Outcome, outcome, programs
from tests.hosts import Identity, InHost
from tests.trees import plan_of
from tests.without import do_without

pytestmark = pytest.mark.needs_kernel("set-group")

KINDS = ("user", "pid", "net", "ipc", "uts", "cgroup", "time")


@pytest.fixture(params=["execute", "run"])
def way(request: pytest.FixtureRequest, in_host: InHost) -> Callable[..., Outcome]:
    """run(command..., kinds=, run=, mounts=, identity=), as the calling process or waited for."""

    def go(
        *command: str,
        kinds: tuple[str, ...],
        run: str = "",
        mounts: str = "",
        identity: Identity = "best",
        prepare: Callable[[], object] = lambda: None,
    ) -> Outcome:
        run += "\nunshare = [" + ", ".join(f'"{kind}"' for kind in kinds) + "]"
        if "pid" in kinds:
            mounts += PROC
        spec = programs(run, mounts)
        return in_host(
            partial(outcome, spec, *command, how=request.param, prepare=prepare), identity=identity, timeout=30
        )

    return go


def here(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("identity", ["best", "nobody"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_namespace_that_the_spec_names_is_a_new_one(
    kind: str, identity: Identity, way: Callable[..., Outcome], needs_kernel: Callable[..., None]
) -> None:
    if identity == "nobody":
        needs_kernel("nobody", "userns")
    ended = way(
        "readlink", f"/proc/self/ns/{kind}", f"/proc/self/ns/{kind}_for_children", kinds=(kind,), identity=identity
    )
    links = ended.out.split()
    assert links, ended.err
    assert links[0].startswith(f"{kind}:[")
    assert here(kind) not in links
    assert 1 == len(set(links))


@pytest.mark.parametrize("identity", ["best", "nobody"])
def test_all_of_them_together(
    identity: Identity, way: Callable[..., Outcome], needs_kernel: Callable[..., None]
) -> None:
    if identity == "nobody":
        needs_kernel("nobody", "userns")
    command = ("readlink", *(f"/proc/self/ns/{kind}" for kind in KINDS))
    ended = way(*command, kinds=KINDS, run='hostname = "box"', identity=identity)
    assert len(KINDS) == len(ended.out.split()), ended.err
    assert not {here(kind) for kind in KINDS} & set(ended.out.split())


@pytest.mark.needs_kernel("userns")
def test_root_of_a_user_namespace_gets_another_one_with_the_same_ids(way: Callable[..., Outcome]) -> None:
    ended = way("cat", "/proc/self/uid_map", "/proc/self/setgroups", kinds=("user", "pid"), identity="userns")
    assert ["0", "0", "1", "deny"] == ended.out.split(), ended.err


def test_what_is_not_named_stays_the_callers(way: Callable[..., Outcome]) -> None:
    others = [kind for kind in KINDS if kind not in ("uts", "user")]
    ended = way("readlink", *(f"/proc/self/ns/{kind}" for kind in others), kinds=("uts",))
    assert [here(kind) for kind in others] == ended.out.split()


def test_the_host_name_is_set_in_the_new_uts_namespace_only(way: Callable[..., Outcome]) -> None:
    before = os.uname().nodename
    assert "box\n" == way("uname", "-n", kinds=("uts",), run='hostname = "box"').out
    assert before == os.uname().nodename


def test_a_host_name_without_a_uts_namespace_is_a_mistake_in_the_spec() -> None:
    """It would be the machine's."""
    with pytest.raises(
        SpecError, match=r'run.hostname: the host name "box" would be set for the whole machine\n.*"uts"'
    ):
        plan_of(programs('hostname = "box"\nunshare = ["ipc"]'))


# What the kernel puts into each new net namespace if the module is there (net.core.fb_tunnels_only_for_init_net).
FALLBACKS = {"sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6tnl0", "ip6gre0", "ip6_vti0"}


def test_a_new_net_namespace_has_its_loopback_up_and_nothing_else(way: Callable[..., Outcome]) -> None:
    devices = way("cat", "/proc/net/dev", kinds=("net",)).out.splitlines()
    assert {"lo"} == {line.split(":")[0].strip() for line in devices if ":" in line} - FALLBACKS
    assert "127.0.0.1" in way("cat", "/proc/net/fib_trie", kinds=("net",)).out


@pytest.mark.parametrize("identity", ["best", "nobody"])
def test_sysfs_shows_the_new_net_namespace(
    identity: Identity, way: Callable[..., Outcome], needs_kernel: Callable[..., None]
) -> None:
    """It shows the namespace in which it was mounted, so that has to be there first."""
    if identity == "nobody":
        needs_kernel("nobody", "userns")
    sysfs = '[[mount]]\ntarget = "/sys"\ntype = "sysfs"\n'
    ended = way("ls", "/sys/class/net", kinds=("net",), mounts=sysfs, identity=identity)
    assert (0, {"lo"}, "") == (ended.status, set(ended.out.split()) - FALLBACKS, ended.err)


def test_mqueue_shows_the_new_ipc_namespace(way: Callable[..., Outcome]) -> None:
    mqueue = '[[mount]]\ntarget = "/mq"\ntype = "mqueue"\n'
    ended = way("stat", "-c", "%d", "/mq", kinds=("ipc",), mounts=mqueue)
    assert 0 == ended.status
    if os.path.ismount("/dev/mqueue"):
        assert os.stat("/dev/mqueue").st_dev != int(ended.out)


def test_a_new_cgroup_namespace_begins_where_the_caller_is(way: Callable[..., Outcome]) -> None:
    ended = way("cat", "/proc/self/cgroup", kinds=("cgroup",))
    assert {"/"} == {line.split(":", 2)[2] for line in ended.out.splitlines()}


@pytest.mark.needs_kernel("root")
def test_root_keeps_all_its_ids_in_a_user_namespace(way: Callable[..., Outcome]) -> None:
    """Otherwise every file that is not root's would seem to be nobody's."""
    ours = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    ended = way("cat", "/proc/self/uid_map", kinds=("user",), identity="root")
    assert [[inside, inside, count] for inside, _, count in ours] == [line.split() for line in ended.out.splitlines()]
    assert "allow\n" == way("cat", "/proc/self/setgroups", kinds=("user",), identity="root").out


@pytest.mark.needs_kernel("root", "userns")
def test_the_other_namespaces_belong_to_the_user_namespace(way: Callable[..., Outcome]) -> None:
    """The command may then change them, though it may do nothing to the machine."""
    command = "echo changed > /proc/sys/kernel/hostname; cat /proc/sys/kernel/hostname; grep CapEff /proc/self/status"
    ended = way("sh", "-c", command, kinds=("user", "uts", "pid", "net"), identity="root")
    assert "changed" == ended.out.split()[0]


@pytest.mark.needs_kernel("nobody", "userns")
def test_an_ordinary_user_is_root_in_its_user_namespace(way: Callable[..., Outcome]) -> None:
    ended = way("sh", "-c", "id -u; id -g; cat /proc/self/uid_map", kinds=("pid", "user"), identity="nobody")
    assert ["0", "0", "0", "65534", "1"] == ended.out.split()


def test_proc_shows_the_new_pid_namespace_only(way: Callable[..., Outcome]) -> None:
    ended = way("sh", "-c", "echo $$ $PPID; echo /proc/[0-9]*", kinds=("pid",))
    assert ["2 1", "/proc/1 /proc/2"] == ended.out.splitlines()


def test_process_1_reaps_what_loses_its_parent(way: Callable[..., Outcome]) -> None:
    orphans = "for i in 1 2 3; do (sh -c 'sleep 0.01 & exec true' &); done; sleep 0.3; cat /proc/[0-9]*/stat"
    ended = way("sh", "-c", orphans, kinds=("pid",))
    states = [line.rpartition(") ")[2][0] for line in ended.out.splitlines()]
    assert len(states) >= 2
    assert "Z" not in states


def test_what_the_command_leaves_running_ends_with_it(way: Callable[..., Outcome]) -> None:
    """It would never get a process 1 again."""
    argument = f"98765.{os.getpid()}"
    assert 6 == way("sh", "-c", f"sleep {argument} & exit 6", kinds=("pid",)).status
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if argument.encode() in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
def test_an_id_mapping_is_made_in_a_pid_namespace_too(way: Callable[..., Outcome]) -> None:
    """/proc is the host's when it is made, and knows processes by other numbers."""
    mapped = '[[mount]]\ntarget = "/mapped"\nbind = { mount = "t", path = "/" }\n'
    mapped += "idmap = { uids = [[0, 5000, 1]], gids = [[0, 5000, 1]] }\n"
    mapped = '[[mount]]\ntarget = "/t"\nid = "t"\ntype = "tmpfs"\n' + mapped
    assert "5000\n" == way("stat", "-c", "%u", "/mapped", kinds=("pid",), mounts=mapped, identity="root").out


def test_a_namespace_that_cannot_be_had_is_told_by_name(in_host: InHost) -> None:
    """Nothing is built with less than the spec asks for."""

    def script() -> Outcome:
        def no_more() -> None:
            Path("/proc/sys/user/max_net_namespaces").write_text("0")

        from tests.hosts import enter_user_namespace

        enter_user_namespace()
        return outcome(programs('unshare = ["net"]'), "true", prepare=no_more)

    ended = in_host(script)
    assert 3 == ended.status
    assert "cannot make a net namespace" in ended.err
    assert "user.max_" in ended.err


class Late(Reporter):
    """One who listens only when the building process has ended."""

    def begin(self, total: int) -> None:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)


def test_what_process_1_says_is_heard_even_if_it_is_gone_by_then(in_host: InHost) -> None:
    """On a busy machine it may have failed, and its pid be free again, before anybody has read its messages."""

    def script() -> str:
        plan = plan_of(programs('unshare = ["pid"]', PROC))
        do_without({"move_mount": errno.EPERM})
        with pytest.raises(StepRefused) as caught:
            api.build_and_forget(plan, Late())
        return caught.value.syscall

    assert "move_mount" == in_host(script)

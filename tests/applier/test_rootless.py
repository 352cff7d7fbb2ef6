"""User namespaces around what is built: whose ids are mapped, by whom, and what --rootless decides."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from mountplan import api, comparing, keeping
from mountplan.applier.probe import probe
from mountplan.applier.sys import subids
from mountplan.applier.sys.report import Reporter
from mountplan.planner.compare.difference import Drift
from mountplan.planner.errors import NamespaceRefused, NameTaken, StepRefused
from tests.commands import PROC, outcome, programs
from tests.hosts import FIRST_ID, NOBODY, InHost, give_ranges, leave_root, mount
from tests.keptnames import SPEC, enter, in_runtime_directory
from tests.mountflags import MS_SHARED
from tests.trees import plan_of, tree

Result = TypeVar("Result")
Maps = tuple[list[list[str]], list[list[str]]]  # of user ids and of group ids

RANGES = f"{NOBODY}:{FIRST_ID}:65536"
ALONE = [["0", str(NOBODY), "1"]]
WITH_RANGE = [*ALONE, ["1", str(FIRST_ID), "65536"]]
OWNED = SPEC + '[[mount.file]]\npath = "whose"\nuid = 1000\ngid = 1000\n'


def with_ranges(in_host: InHost, function: Callable[[], Result], ranges: str = RANGES) -> Result:
    """What `function` returns for an ordinary user of whom /etc/subuid and /etc/subgid say `ranges`."""

    def script() -> Result:
        give_ranges(ranges)
        leave_root()
        return function()

    return in_host(script, identity="root")


def maps() -> Maps:
    with tree(SPEC) as built:
        uids, gids = (Path(f"/proc/{built.built.pid}/{name}").read_text() for name in ("uid_map", "gid_map"))
    return [line.split() for line in uids.splitlines()], [line.split() for line in gids.splitlines()]


class Listener(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def notices() -> list[str]:
    """What the user is told when a tree is built."""
    listener = Listener()
    api.build_and_forget(plan_of(SPEC), listener)
    return listener.notices


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_the_ranges_of_a_user_are_mapped_behind_its_own_id(in_host: InHost) -> None:
    """So files can belong to more than one user, without root."""

    def script() -> tuple[object, object]:
        with tree(OWNED) as built:
            whose = built.inside(lambda: (os.stat("/srv/whose").st_uid, os.stat("/srv/whose").st_gid))
        return maps(), whose

    assert ((WITH_RANGE, WITH_RANGE), (1000, 1000)) == with_ranges(in_host, script)


@pytest.mark.needs_kernel("nobody", "id-ranges")
@pytest.mark.parametrize("ranges", ["", "daemon:200000:65536", "65535:200000:65536", f"{NOBODY}:2000:0"])
def test_without_a_range_of_its_own_a_user_is_alone(in_host: InHost, ranges: str) -> None:
    """Other users' ranges are not ours; and as nobody has promised anything, nothing is told."""
    assert ((ALONE, ALONE), []) == with_ranges(in_host, lambda: (maps(), notices()), ranges)


@pytest.mark.needs_kernel("nobody", "id-ranges")
@pytest.mark.parametrize("broken", ["newuidmap", "newgidmap"])
def test_a_helper_that_fails_leaves_the_user_alone_and_is_told(in_host: InHost, broken: str) -> None:
    """The tree is built nevertheless: most need no other ids."""

    def script() -> tuple[Maps, list[str]]:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, broken)
            program.write_text(f"#!/bin/sh\necho {broken}: write failed\nexit 1\n")
            program.chmod(0o755)
            os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
            return maps(), notices()

    found, told = with_ranges(in_host, script)
    assert ALONE in found
    assert [f"only your own user and group exist in there: {broken}: write failed"] == told


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_helpers_get_nothing_of_ours(in_host: InHost) -> None:
    """They run with root's rights: no environment goes into them, and no descriptor but a pipe for what they say."""

    def script() -> tuple[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("newuidmap", "newgidmap"):
                program = Path(folder, name)
                program.write_text(
                    "#!/bin/sh -p\n"
                    f"/usr/bin/tr '\\0' '\\n' </proc/self/environ >{folder}/environment\n"
                    f"/bin/ls /proc/self/fd >{folder}/descriptors\n"
                    f'exec /usr/bin/{name} "$@"\n'
                )
                program.chmod(0o755)
            os.environ |= {"PATH": f"{folder}:{os.environ['PATH']}", "LD_PRELOAD_OF_OURS": "x"}
            os.dup2(1, 57)
            assert ((WITH_RANGE, WITH_RANGE), []) == (maps(), notices())
            return Path(folder, "environment").read_text(), Path(folder, "descriptors").read_text()

    environment, descriptors = with_ranges(in_host, script)
    assert {"PWD", "OLDPWD", "SHLVL", "_", ""} >= {line.partition("=")[0] for line in environment.split("\n")}
    assert {"0", "1", "2", "3", "10"} >= set(descriptors.split())  # the shell reads from 10, and ls from 3


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_ranges_hold_for_kept_namespaces_and_for_pid_namespaces(in_host: InHost) -> None:
    """enter goes to the same ids; `run` has them in every way to run a command."""

    def script() -> tuple[object, ...]:
        spec = programs('unshare = ["pid"]', PROC)
        keeping.keep(plan_of(programs()), "kept")
        keeping.keep(plan_of(spec), "with-pids")
        show = ("cat", "/proc/self/uid_map")
        return (
            enter("kept", *show)[1].split(),
            enter("with-pids", *show)[1].split(),
            outcome(spec, *show, how="execute").out.split(),
            outcome(programs(), *show, how="execute").out.split(),
        )

    expected = [number for line in WITH_RANGE for number in line]
    assert (expected,) * 4 == with_ranges(in_host, in_runtime_directory(script))


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_the_probe_tells_whether_there_are_ranges(in_host: InHost) -> None:
    """doctor says what to do about it."""

    def finding() -> probe.Finding:
        return probe.probe(("id_ranges",))[0]

    assert with_ranges(in_host, finding).works
    lacking = with_ranges(in_host, finding, "")
    assert not lacking.works
    assert "usermod --add-subuids" in lacking.remedy


def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    """As by the programs that map them."""
    file = tmp_path / "subuid"
    file.write_text(
        f"# comment\nroot:1:2\n{NOBODY}:1:2:3\n{NOBODY}:-1:5\n{NOBODY}:1000:0x5\n{NOBODY}:4294967290:9\n"
        f"{NOBODY}:100:5\nnobody:300:6\n\xe9:1:1\n{NOBODY}::\n{NOBODY}:\u0663:1\n"
        f"{NOBODY}:4294967290:5\n{NOBODY}:4294967291:5\n"  # 4294967295 is no id
    )
    kind = subids.UIDS._replace(ranges=str(file))
    assert ((100, 5), (300, 6), (4294967290, 5)) == subids.ranges_of(NOBODY, kind)
    assert () == subids.ranges_of(NOBODY, kind._replace(ranges=str(tmp_path / "none")))


@pytest.mark.needs_kernel("nobody")
def test_never_means_that_an_ordinary_user_is_refused(in_host: InHost) -> None:
    """Also if other namespaces come first."""

    def script() -> list[str]:
        told = []
        for spec in (SPEC, SPEC + '[run]\nunshare = ["ipc"]\n'):
            try:
                api.build_and_forget(plan_of(spec), rootless="never")
            except (StepRefused, NamespaceRefused) as refused:
                told.append(refused.remedy)
        return told

    assert ["run it as root, or without --rootless never"] * 2 == in_host(script, identity="nobody")


@pytest.mark.needs_kernel("root")
def test_always_puts_root_into_a_user_namespace_as_well(in_host: InHost) -> None:
    """All its ids are there, but the kernel allows only what an ordinary user may do."""

    def script() -> tuple[bool, str, bool]:
        with api.build(plan_of(OWNED), rootless="always") as built:
            there = os.stat(f"/proc/{built.pid}/ns/user").st_ino
            map = Path(f"/proc/{built.pid}/uid_map").read_text().split()
        (finding,) = probe.probe(("mknod",), "always")
        return there != os.stat("/proc/self/ns/user").st_ino, map[0], finding.works

    assert (True, "0", False) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root", "nobody")
def test_enter_says_when_a_name_is_not_as_the_option_wants_it(in_host: InHost) -> None:
    """Whether there is a user namespace was settled when the name was kept."""

    def script() -> str:
        keeping.keep(plan_of(SPEC))
        with pytest.raises(NamespaceRefused) as refused:
            api.enter("shop", rootless="never")
        return str(refused.value)

    assert "--rootless never" in in_host(in_runtime_directory(script), identity="nobody")


@pytest.mark.needs_kernel("nobody", "set-group")
@pytest.mark.parametrize("ranges", [False, True])
def test_an_ordinary_user_receives_from_a_group_of_the_hosts(in_host: InHost, ranges: bool) -> None:
    """The mounts that a user namespace begins with are slaves of the host's, which can be masters of groups of ours."""
    spec = (
        'name = "feeds"\n[peer_group.feed]\nhost = "/srv"\n[peer_group.ours]\nmaster = "feed"\n'
        '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        '[[mount]]\ntarget = "/slave"\nbind = "/srv"\nmaster = "feed"\n'
        '[[mount]]\ntarget = "/a"\nbind = "/srv/a"\npeer_group = "ours"\n'
        '[[mount]]\ntarget = "/b"\nbind = "/srv"\npeer_group = "ours"\n'
    )

    def user(tell: int, listen: int) -> list[str]:
        leave_root()
        with tree(spec) as built:
            os.write(tell, b".")
            os.read(listen, 1)
            return [path for path in built.mountpoints() if path.endswith("/new")]

    def script() -> list[str]:
        give_ranges(RANGES if ranges else "")
        mount("none", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        os.makedirs("/srv/a/new")
        (built, tell), (listen, mounted) = os.pipe(), os.pipe()
        table, say = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(say, " ".join(user(tell, listen)).encode())
            finally:
                os._exit(0)
        os.close(say)
        os.close(tell)
        assert b"." == os.read(built, 1)
        mount("none", "/srv/a/new", "tmpfs")
        os.write(mounted, b".")
        os.waitpid(child, 0)
        return os.read(table, 1000).decode().split()

    assert ["/a/new", "/b/a/new", "/slave/a/new"] == in_host(script, identity="root")


@pytest.mark.needs_kernel("nobody", "id-ranges")
@pytest.mark.parametrize("number", [0, 1, 1000])
def test_owners_in_options_are_compared_and_captured_as_they_are_inside(in_host: InHost, number: int) -> None:
    """The kernel shows the machine's ids everywhere, and a spec gives those that are there where it is built."""
    owner = f"uid = {number}, gid = {number}"
    text = (
        f'format = 1\nname = "owned"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\noptions = {{ {owner} }}\n'
        f'[[mount]]\ntarget = "/pts"\ntype = "devpts"\noptions = {{ {owner} }}\n'
    )

    def script() -> list[object]:
        spec = Path(os.environ["XDG_RUNTIME_DIR"]).with_suffix(".toml")
        spec.write_text(text)
        changed = api.plan(api.load(str(spec), text.replace("/pts", "/pty").encode()))
        try:
            kept = keeping.keep(api.plan(api.load(str(spec)))).kept
            assert kept.keeper is not None
            file = f"/proc/{kept.keeper.pid}/{kept.mounts[0].source}"
            with tree(text.partition("\n")[2]) as built:
                sides = ("", f"pid:{built.built.pid}", f"ns:{file}")
                found: list[object] = [comparing.verify(str(spec), side).drift for side in sides]
            found.append(comparing.diff("name:owned", str(spec)).drift)
            with pytest.raises(NameTaken) as caught:
                keeping.keep(changed)
            found.append([(one.mount, one.prop) for one in cast(Drift, caught.value.differences)])
            captured = api.load("captured.toml", api.capture("owned").text.encode())
            with tree(api.plan(captured)):
                return found
        finally:
            spec.unlink()

    moved = [("/pty", "mount"), ("/pts", "mount")]
    assert [(), (), (), (), moved] == with_ranges(in_host, in_runtime_directory(script))

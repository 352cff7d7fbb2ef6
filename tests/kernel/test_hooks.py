"""`mountplan hook`, started by real runtimes at each stage: what it compares, what it adds, what becomes of that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import CHECKOUT, PATIENCE, InHost, mount, open_the_way
from tests.kernel.test_containers import LINKS, PATH, Runtime, container, with_one_hierarchy
from tests.mountflags import MS_BIND, MS_REC, MS_SHARED

pytestmark = pytest.mark.needs_kernel("set-group", "root", "foreign-mounts", "device-nodes")

RUNTIMES: tuple[Runtime, ...] = ("crun", "runc")
STAGES = ("createRuntime", "createContainer", "poststart")
HOOKS = CHECKOUT / "contrib" / "hooks.d"
ADDED = """\
format = 1
name = "added"
root = "inherit"

[parameters]
id = {}

[peer_group.feed]
host = "/srv/feed"

[peer_group.own]

[[mount]]
target = "/feed"
bind = "/srv/feed"
master = "feed"
attributes = ["nosuid"]
create = true

[[mount]]
target = "/of/${id}"
type = "tmpfs"
peer_group = "own"
create = true
"""


def hook(log: Path, stage: str, *words: str | Path) -> dict[str, Any]:
    """A hook of a config.json."""
    args = [sys.executable, "-m", "mountplan", "hook", stage, *map(str, words), "--log", str(log)]
    return {"path": sys.executable, "args": args, "env": [f"PYTHONPATH={CHECKOUT}", f"PATH={PATH}"]}


def with_hooks(hooks: dict[str, list[dict[str, Any]]], more: Callable[[Any], object] = lambda _: None) -> Any:
    def change(config: Any) -> None:
        config["hooks"] = hooks
        more(config)

    return change


def read_only(config: Any) -> None:
    """What needs all that a runtime does late: a root that is read-only, binds that are."""
    config["root"]["readonly"] = True


def host() -> None:
    """A host that shares its mounts, and has a feed."""
    mount("", "/", "", MS_SHARED | MS_REC)
    mount("srv", "/srv", "tmpfs")
    os.mkdir("/srv/feed")
    mount("feed", "/srv/feed", "tmpfs")
    mount("", "/srv/feed", "", MS_SHARED)
    mount("run", "/run", "tmpfs", data="mode=0755")


def rows(pid: int) -> dict[str, str]:
    """By mountpoint: attributes and sharing."""
    found = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields = line.split(" - ")[0].split()
        found[fields[4]] = " ".join(re.sub(r"\d+", "N", word) for word in fields[5:])
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_container_is_what_its_configuration_says_at_every_stage(
    runtime: Runtime, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    """Whatever has been done of it by then; the rest is counted."""
    needs_kernel(runtime)

    def script() -> list[str]:
        host()
        hooks = {stage: [hook(tmp_path / stage, stage, "--config")] for stage in STAGES}
        with container(runtime, tmp_path, with_hooks(hooks, read_only)):
            return [(tmp_path / stage).read_text() for stage in STAGES]

    before, inside, after = in_host(script, identity="root")
    says = r"container mountplan-test-\d+ has the mounts that .*/config\.json says: \d+ mounts"
    assert re.fullmatch(rf"{says} \(\d+ differences that the runtime has yet to see to\)\n", before), before
    assert re.fullmatch(rf"{says}( \(\d+ differences? that the runtime has yet to see to\))?\n", inside), inside
    assert re.fullmatch(rf"{says}\n", after), after


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_difference_ends_the_container_before_it_starts_or_is_told(
    runtime: Runtime, stage: str, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    """At poststart runc ends it, and crun lets it run."""
    needs_kernel(runtime)
    spec = tmp_path / "other.toml"
    spec.write_text(
        'format = 1\n[parameters]\nrootfs = {}\n[[mount]]\ntarget = "/"\nbind = "${rootfs}"\n'
        '[[mount]]\ntarget = "/usr"\nbind = "/usr"\nattributes = ["nosuid", "noexec"]\n'
    )

    def script() -> tuple[bool, bool, list[str]]:
        host()
        begun: list[bool] = []
        for words in ((), ("--on-difference", "log")):
            folder = tmp_path / str(len(begun))
            folder.mkdir()
            one = {stage: [hook(folder / "log", stage, "--spec", spec, *words)]}
            try:
                with container(runtime, folder, with_hooks(one)) as pid:
                    begun.append(os.path.exists(f"/proc/{pid}"))
            except AssertionError:
                begun.append(False)
        return begun[0], begun[1], [(tmp_path / name / "log").read_text() for name in ("0", "1")]

    failed, told, texts = in_host(script, identity="root")
    assert (runtime == "crun" and stage == "poststart", True) == (failed, told)
    for text in texts:
        assert " is not what " in text
        assert re.search(r"^/usr  .*other\.toml:7: mount\[1\]\)?\n +attributes: .*nosuid", text, re.M), text


@pytest.mark.needs_kernel("runc")
def test_mounts_with_their_groups_are_there_before_the_command_starts(tmp_path: Path, in_host: InHost) -> None:
    (tmp_path / "added.toml").write_text(ADDED)

    def script() -> tuple[dict[str, str], str, bool]:
        host()
        hooks = {"createRuntime": [hook(tmp_path / "log", "createRuntime", "--add", tmp_path / "added.toml")]}

        def has_groups_of_these_names(config: Any) -> None:
            for source, place in (("/srv/feed", "/first"), ("/srv/own", "/second")):
                bind = {"destination": place, "type": "bind", "source": source, "options": ["rbind", "rslave"]}
                config["mounts"].append(bind)

        os.mkdir("/srv/own")
        mount("own", "/srv/own", "tmpfs")
        with container("runc", tmp_path, with_hooks(hooks, has_groups_of_these_names)) as pid:
            os.mkdir("/srv/feed/new")
            mount("new", "/srv/feed/new", "tmpfs")
            found = rows(pid)
            return found, (tmp_path / "log").read_text(), "/feed/new" in found

    found, log, arrives = in_host(script, identity="root")
    assert "rw,nosuid,relatime master:N" == found["/feed"]
    assert {"rw,relatime shared:N"} == {told for place, told in found.items() if place.startswith("/of/mountplan-test")}
    assert "2 added" in log
    assert arrives


@pytest.mark.needs_kernel("crun")
def test_crun_takes_the_groups_away_and_a_second_hook_brings_them_back(tmp_path: Path, in_host: InHost) -> None:
    """It makes everything private when createRuntime is over; what stands is changed, as it is there already."""
    (tmp_path / "added.toml").write_text(ADDED)

    def script() -> list[str]:
        host()
        words = ("--on-difference", "log", "--spec", tmp_path / "added.toml")
        looks = [hook(tmp_path / "looked", "poststart", *words)]
        adds = [
            hook(tmp_path / "log", stage, "--add", tmp_path / "added.toml") for stage in ("createRuntime", "poststart")
        ]
        found = []
        for number, after in enumerate((looks, [adds[1], *looks])):
            folder = tmp_path / str(number)
            folder.mkdir()
            with container("crun", folder, with_hooks({"createRuntime": adds[:1], "poststart": after})) as pid:
                found.append(rows(pid)["/feed"])
        return [*found, (tmp_path / "looked").read_text()]

    first, second, looked = in_host(script, identity="root")
    assert ("rw,nosuid,relatime", "rw,nosuid,relatime master:N") == (first, second)
    before, after = looked.split("container ")[1:]
    assert (" is not what ", " has the mounts ") == tuple(
        one for text in (before, after) for one in (" is not what ", " has the mounts ") if one in text
    )
    assert re.search(r"^/feed  .*\n +master: +.* -> none$", before, re.M), before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_spec_that_inherits_its_root_says_what_some_mounts_are_and_nothing_of_the_others(
    runtime: Runtime, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    needs_kernel(runtime)
    text = 'format = 1\nroot = "inherit"\n[[mount]]\ntarget = "/usr"\nbind = "/usr"\nrecursive = true\n'
    (tmp_path / "right.toml").write_text(f'{text}attributes = ["ro"]\n')
    (tmp_path / "wrong.toml").write_text(f'{text}attributes = ["ro", "nodev"]\n')

    def script() -> list[str]:
        mount("run", "/run", "tmpfs", data="mode=0755")
        names = ("right", "wrong")
        words = ["--on-difference", "log", "--spec"]
        one = {"poststart": [hook(tmp_path / f"{n}.log", "poststart", *words, tmp_path / f"{n}.toml") for n in names]}
        with container(runtime, tmp_path, with_hooks(one)):
            return [(tmp_path / f"{name}.log").read_text() for name in names]

    right, wrong = in_host(script, identity="root")
    assert " has the mounts that " in right
    assert re.search(r": 1 difference \(.*\)\n\n/usr  .*\n +attributes: .*nodev", wrong), wrong


def test_what_cannot_be_done_inside_is_refused_there(tmp_path: Path, in_host: InHost) -> None:
    """At createContainer: nothing can be added, and no spec that inherits be compared."""
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "config.json").write_text('{"root": {"path": "rootfs"}}')
    (tmp_path / "added.toml").write_text(ADDED)
    state = json.dumps({"ociVersion": "1.0", "id": "x", "pid": 0, "status": "created", "bundle": str(tmp_path)})

    def script() -> list[str]:
        host()
        mount(str(tmp_path / "rootfs"), str(tmp_path / "rootfs"), flags=MS_BIND)
        told = []
        for words in (
            ["createContainer", "--add", "added.toml"],
            ["createContainer", "--spec", "added.toml"],
            ["createRuntime", "--add", "added.toml"],
        ):
            ended = subprocess.run(
                [sys.executable, "-m", "mountplan", "hook", *words],
                input=state, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, capture_output=True,
                text=True, timeout=30 * PATIENCE,
            )  # fmt: skip
            told.append(f"{ended.returncode} {ended.stderr}")
        return told

    added, compared, early = in_host(script, identity="root")
    assert added.startswith("2 mountplan: at createContainer a hook is inside")
    assert compared.startswith("2 added.toml: root: inherits its root, and at createContainer")
    assert early.startswith("2 <stdin>: pid: it is 0: there is no process yet")


def test_what_is_wrong_is_told_and_is_no_bug(tmp_path: Path, in_host: InHost) -> None:
    """Whatever a config.json has, wherever the root is, and before anything is done that the log could not have."""
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "added.toml").write_text(ADDED)

    def told(config: str, *words: str) -> str:
        (tmp_path / "config.json").write_text(config)
        state = {"ociVersion": "1.0", "id": "x", "pid": os.getpid(), "status": "created", "bundle": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-m", "mountplan", "hook", "createRuntime", *words], input=json.dumps(state), cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, timeout=30 * PATIENCE,
        )  # fmt: skip
        return f"{ended.returncode} {ended.stderr}"

    def script() -> list[str]:
        host()
        root = '"root": {"path": "rootfs"}'
        no_mount = told(f"{{{root}}}", "--config")
        mount(str(tmp_path / "rootfs"), str(tmp_path / "rootfs"), "", MS_BIND)
        return [
            no_mount,
            told("[" * 100_000, "--config"),
            told(f'{{{root}, "mounts": 5}}', "--spec", "added.toml"),
            told(f"{{{root}}}", "--add", "-"),
            told(f"{{{root}}}", "--add", "added.toml", "--log", "/nowhere/log"),
            f"{sorted(rows(os.getpid()))}",
        ]

    no_mount, nested, odd, state_twice, log, mounts = in_host(script, identity="root")
    assert "it is no mount, and has none below" in no_mount
    assert nested.startswith("2 ") and "is not JSON" in nested
    assert odd.startswith("2 ") and "something in it is not of the kind" in odd
    assert state_twice.startswith("2 mountplan: standard input has the container's state")
    assert log.startswith("2 mountplan: --log: cannot write /nowhere/log")
    assert "rootfs/feed" not in mounts


@contextmanager
def podman(folder: Path, *words: str) -> Iterator[tuple[subprocess.CompletedProcess[str], str]]:
    """`podman run` of the host's /usr, with the hooks in `folder`; and the words to begin other commands with."""
    with_one_hierarchy()
    root = folder / "rootfs"
    for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "srv"):
        (root / name).mkdir(parents=True)
    for name in LINKS:
        (root / name).symlink_to(f"usr/{name}")
    program = ["podman", "--root", "/run/podman/root", "--runroot", "/run/podman/run", "--hooks-dir", f"{folder}/hooks"]
    program += ["--cgroup-manager=cgroupfs", "--runtime=crun"]
    limits = ["--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000", "--network=none", "--cgroups=disabled"]
    environment = {**os.environ, "PATH": PATH}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
            timeout=60 * PATIENCE,
        )  # fmt: skip

    try:
        ended = run("run", "--detach", "--name=one", *limits, "--volume=/usr:/usr:ro", *words,
                    "--rootfs", str(root), "/bin/sleep", "600")  # fmt: skip
        yield ended, run("inspect", "--format={{.State.Pid}}", "one").stdout.strip()
    finally:
        run("rm", "--force", "--time=0", "one")


@pytest.mark.needs_kernel("crun")
def test_podman_with_the_hooks_of_contrib(tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]) -> None:
    """Those of `check` where the annotation asks for it, and those of `add`; none where no annotation does."""
    needs_kernel("podman")
    (tmp_path / "added.toml").write_text(ADDED)
    (tmp_path / "hooks").mkdir()
    wrapper = tmp_path / "mountplan"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m mountplan "$@"\n')
    wrapper.chmod(0o755)
    for path in HOOKS.glob("*.json"):
        text = path.read_text().replace("/usr/local/bin/mountplan", str(wrapper))
        text = text.replace("/etc/mountplan/containers.toml", str(tmp_path / "added.toml"))
        (tmp_path / "hooks" / path.name).write_text(text.replace("/var/log/mountplan-hook.log", str(tmp_path / "log")))

    def script() -> tuple[str, str, str, str]:
        host()
        with podman(tmp_path) as (ended, _):
            plain = f"{ended.returncode} {ended.stderr}"
        untouched = (tmp_path / "log").exists()
        shutil.rmtree(tmp_path / "rootfs")
        checks = ["--annotation=org.mountplan.check=yes", "--volume=/srv/feed:/srv:rslave"]
        with podman(tmp_path, *checks) as (ended, _):
            assert (0, "") == (ended.returncode, ended.stderr)
        checked = (tmp_path / "log").read_text()
        shutil.rmtree(tmp_path / "rootfs")
        with podman(tmp_path, "--annotation=org.mountplan.add=yes", "--volume=/srv/feed:/srv:rslave") as (ended, pid):
            assert (0, "") == (ended.returncode, ended.stderr)
            return plain, str(untouched), checked, rows(int(pid))["/feed"]

    plain, untouched, checked, found = in_host(script, identity="root", timeout=120)
    assert ("0 ", "False") == (plain, untouched)
    assert 2 == len(re.findall(r"^container \w+ has the mounts that .*config\.json says: ", checked, re.M)), checked
    assert "rw,nosuid,relatime master:N" == found


def test_the_hook_files_are_what_podman_and_cri_o_read() -> None:
    """oci-hooks(5): a version, a hook with an absolute path and its arguments, when, and the stages."""
    files = sorted(HOOKS.glob("*.json"))
    assert files
    for path in files:
        found = json.loads(path.read_text())
        assert {"version", "hook", "when", "stages"} == set(found)
        args = found["hook"]["args"]
        assert ("1.0.0", "/", ["mountplan", "hook"]) == (found["version"], found["hook"]["path"][0], args[:2])
        assert [args[2]] == found["stages"]
        assert {"annotations"} == set(found["when"])


@pytest.mark.needs_kernel("crun")
def test_ids_of_a_container_with_a_user_namespace_are_those_that_its_configuration_has(
    tmp_path: Path, in_host: InHost
) -> None:
    """The kernel shows them as the machine has them. Devices are bound, as none can be made there."""

    def in_user_namespace(config: Any) -> None:
        ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        config["linux"] |= {"uidMappings": ids, "gidMappings": ids}
        config["linux"]["namespaces"].append({"type": "user"})
        config["process"]["user"] = {"uid": 0, "gid": 0}
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.chown(path, 100000, 100000, follow_symlinks=False)

    def script() -> tuple[str, str]:
        host()
        os.chmod("/run", 0o755)
        open_the_way([tmp_path])  # a later crun looks the root up as the container's user
        with container("crun", tmp_path, in_user_namespace) as pid:
            state = {"ociVersion": "1.0", "id": "x", "pid": pid, "status": "running", "bundle": str(tmp_path)}
            ended = subprocess.run(
                [sys.executable, "-m", "mountplan", "hook", "poststart", "--config"],
                input=json.dumps(state), env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, capture_output=True,
                text=True, timeout=30 * PATIENCE,
            )  # fmt: skip
            return rows(pid)["/dev/pts"], ended.stdout + ended.stderr

    there, told = in_host(script, identity="root")
    assert there
    assert " has the mounts that " in told, told

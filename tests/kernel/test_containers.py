"""Containers of other programs: what they have built is captured, built again, and the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe.subjects import command_of, of_process
from mountplan.capturing import Folder, capture_subjects
from mountplan.operands import view_of
from mountplan.planner.compare.compare import differences
from mountplan.planner.render.aside_text import TAKES_LISTMOUNT
from tests.hosts import PATIENCE, InHost, moments, mount, umount
from tests.mountflags import MNT_DETACH
from tests.portrait import portrait
from tests.privileges import missing
from tests.trees import tree

pytestmark = pytest.mark.needs_kernel("set-group", "root")

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
LINKS = [name for name in ("bin", "lib", "lib64", "sbin") if os.path.islink(f"/{name}")]
Runtime = Literal["crun", "runc"]


def run(*words: str | Path, folder: Path) -> None:
    """Run a program to its end, which may leave others behind; what it has to say goes to the test's standard error."""
    environment = {**os.environ, "PATH": PATH}
    ended = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30 * PATIENCE, env=environment, cwd=folder
    )
    assert 0 == ended.returncode, f"{words[0]} failed"


@contextmanager
def bubblewrap(*more: str, pids: str = "--unshare-pid") -> Iterator[int]:
    """A sandbox; the process in it."""
    links = [word for name in LINKS for word in ("--symlink", f"usr/{name}", f"/{name}")]
    reader, writer = os.pipe()
    data = os.memfd_create("data")
    more = tuple(str(data) if word == "DATA" else word for word in more)
    words = ["--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *more]
    child = subprocess.Popen(
        ["bwrap", "--die-with-parent", *pids.split(), "--info-fd", str(writer), *words, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[writer, data],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    os.close(writer)
    os.close(data)
    try:
        with open(reader) as file:
            pid = json.load(file)["child-pid"]
        child.stdin.write(b"x")
        child.stdin.flush()
        assert b"x" == child.stdout.read(1)  # it runs: all is mounted
        yield pid
    finally:
        child.kill()
        child.communicate()


def with_one_hierarchy() -> None:
    """What the runtimes expect on /sys/fs/cgroup."""
    if not os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        umount("/sys/fs/cgroup", MNT_DETACH)
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    mount("shm", "/dev/shm", "tmpfs", data="mode=1777")  # podman leaves its locks there


@contextmanager
def container(runtime: Runtime, folder: Path, change: Callable[[Any], object] = lambda _: None) -> Iterator[int]:
    """A container by the runtime's own idea of one, but for `change`; the process in it."""
    with_one_hierarchy()
    (folder / "rootfs/usr").mkdir(parents=True)
    for name in LINKS:
        (folder / "rootfs" / name).symlink_to(f"usr/{name}")
    run(runtime, "spec", folder=folder)
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/sleep", "600"]}
    config["root"]["readonly"] = False
    config["mounts"].append(
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
    )
    config["linux"].pop("resources", None)
    name = f"mountplan-test-{os.getpid()}"
    config["linux"]["cgroupsPath"] = f"/{name}"
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    program: list[str | Path] = [runtime, "--root", folder / "state"]
    if runtime == "crun":
        program.append("--cgroup-manager=disabled")
    run(*program, "run", "--detach", "--pid-file", folder / "pid", name, folder=folder)
    try:
        yield int((folder / "pid").read_text())
    finally:
        run(*program, "delete", "--force", name, folder=folder)


def root_of_container(folder: Path) -> Path:
    """A directory with the links of the host's root, for a container that gets the host's /usr."""
    for name in ("usr", "proc", "sys", "dev", "etc", "tmp"):
        (folder / "rootfs" / name).mkdir(parents=True)
    for name in LINKS:
        (folder / "rootfs" / name).symlink_to(f"usr/{name}")
    return folder / "rootfs"


@contextmanager
def podman(*options: str, user: int = 0, over: str = "") -> Iterator[int]:
    """A container of podman's, in storage of its own; the process in it. `user` is an ordinary one, by number."""
    with_one_hierarchy()
    mount("srv", "/srv", "tmpfs")
    folder = Path("/srv")  # it takes no long path
    root = f"{root_of_container(folder)}{over}"
    for name in ("home", "runtime"):
        (folder / name).mkdir(mode=0o700)
    where = ["--root", f"{folder}/home/store", "--runroot", f"{folder}/runtime/run", "--events-backend=file"]
    words = ["podman", *where, "--cgroup-manager=cgroupfs", "--runtime=crun"]
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)
        words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", *words]
    own = {"HOME": f"{folder}/home", "XDG_RUNTIME_DIR": f"{folder}/runtime"} if user else {}
    environment = {"PATH": PATH, **own}
    name = f"mountplan-test-{os.getpid()}"
    limits = ["--ulimit=nofile=64:64", "--ulimit=nproc=64:64"]
    usual = ["--cgroups=disabled", "--network=none", *limits, "--volume=/usr:/usr:ro", f"--name={name}", *options]
    pause = folder / "runtime/libpod/tmp/pause.pid"

    def call(*more: str) -> str:
        return subprocess.run(
            [*words, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, cwd=folder, text=True,
            timeout=60 * PATIENCE, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        call("run", "--detach", *usual, "--rootfs", root, "/bin/sleep", "600")
        yield int(call("inspect", "--format={{.State.Pid}}", name))
    finally:
        call("rm", "--force", "--time=0", name)
        if pause.exists():  # what keeps the user namespace
            os.kill(int(pause.read_text()), signal.SIGKILL)


@contextmanager
def lxc(folder: Path) -> Iterator[int]:
    """A container of LXC's; the process in it."""
    with_one_hierarchy()
    name = f"mountplan-test-{os.getpid()}"
    root = root_of_container(folder)
    lines = [f"rootfs.path = dir:{root}", "mount.entry = /usr usr none ro,bind 0 0", "mount.auto = proc:mixed sys:ro",
             "autodev = 1", "net.0.type = empty", "init.cmd = /bin/sleep 600", "apparmor.profile = unconfined",
             "tty.max = 0"]  # fmt: skip
    (folder / "config").write_text("".join(f"lxc.{line}\n" for line in lines))
    (folder / "state").mkdir()
    words = [f"--lxcpath={folder}/state", f"--name={name}"]
    pivot = Path("/sys/fs/cgroup/lxc.pivot")
    is_new = not pivot.exists()
    run("lxc-start", *words, f"--rcfile={folder}/config", "--daemon", folder=folder)
    try:
        found = subprocess.run(
            ["lxc-info", *words, "--pid", "--no-humanize"], stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, "PATH": PATH},
        )  # fmt: skip
        yield int(found.stdout)
    finally:
        run("lxc-stop", *words, "--kill", folder=folder)
        if is_new and pivot.exists():
            pivot.rmdir()


SERVICES = {
    "private": ["PrivateTmp=yes"],
    "strict": ["ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes", "ProtectKernelTunables=yes"],
    "empty": ["TemporaryFileSystem=/srv:ro", "BindPaths=/srv/data", "InaccessiblePaths=/root"],
}


def machine_root(folder: Path) -> Path:
    """The root of a machine, with the host's programs, in which systemd starts a service of each kind."""
    root = folder / "machine"
    for name in (
        "usr",
        "etc/systemd/system",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var/tmp",
        "srv/data",
        "home",
        "root",
    ):
        (root / name).mkdir(parents=True)
    for name in LINKS:
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/os-release").touch()
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    units = root / "etc/systemd/system"
    wants = " ".join(f"{name}.service" for name in SERVICES)
    (units / "default.target").write_text(f"[Unit]\nDescription=all\nWants={wants}\n")
    for name, words in SERVICES.items():
        lines = ["[Unit]", "DefaultDependencies=no", "[Service]", "Type=exec", "ExecStart=/bin/sleep 600", *words]
        (units / f"{name}.service").write_text("\n".join(lines) + "\n")
    return root


@contextmanager
def nspawn(folder: Path, *options: str) -> Iterator[list[int]]:
    """A machine of systemd-nspawn's; a process in each of its mount namespaces but nspawn's own.

    It gets a /run, and a control group, that it can leave things in. It runs sleep(1), or boots if that is asked for.
    """
    with_one_hierarchy()
    mount("run", "/run", "tmpfs")
    root = machine_root(folder)
    group = Path(f"/sys/fs/cgroup/mountplan-test-{os.getpid()}")
    group.mkdir()
    command = ["--boot"] if "--boot" in options else ["/bin/sleep", "600"]
    words = ["--quiet", "--register=no", "--keep-unit", f"--machine=test{os.getpid()}", f"--directory={root}"]
    words += ["--console=pipe", "--bind-ro=/usr", *(one for one in options if one != "--boot"), *command]
    script = f'echo $$ >{group}/cgroup.procs; SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn "$@"'
    child = subprocess.Popen(
        ["sh", "-c", script, "sh", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": PATH},
    )  # fmt: skip
    wanted = len(SERVICES) if "--boot" in options else 1
    try:
        sleeping: list[int] = []
        for _ in moments(30):
            sleeping = [pid for pid in below(child.pid) if command_of(pid) == "sleep"]
            if len(sleeping) == wanted or child.poll() is not None:
                break
        assert wanted == len(sleeping), "it does not come up"
        yield [*(pid for pid in below(child.pid) if command_of(pid) == "systemd"), *sleeping]
    finally:
        for pid in below(child.pid)[:1]:  # process 1 of the machine: all others end with it
            os.kill(pid, signal.SIGKILL)
        child.terminate()
        child.wait()
        for _ in moments():
            if not (group / "cgroup.procs").exists() or "populated 0" in (group / "cgroup.events").read_text():
                break
        for path in sorted((Path(one) for one, _, _ in os.walk(group)), reverse=True):
            path.rmdir()


def below(pid: int) -> list[int]:
    """The descendants of a process, children first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        try:
            tasks = Path(f"/proc/{waiting[0]}/task/{waiting.pop(0)}/children").read_text().split()
        except OSError:
            continue
        found += map(int, tasks)
        waiting += map(int, tasks)
    return found


def rebuilt(pid: int, folder: Path) -> dict[str, Any]:
    """The container captured, built, and captured again; how the copy differs from the container."""
    with of_process(pid) as subject:
        first = capture_subjects([subject], "container")
        before = subject.read()
    (folder / "captured.toml").write_text(first.text)
    plan = api.plan(api.load(str(folder / "captured.toml")))
    with build(plan, kinds=plan.run.unshare) as built, ExitStack() as stack:
        api.read_back(plan, built)
        again = [stack.enter_context(one) for one in of_built(built)]
        second = capture_subjects(again, "container")
        one, other = ([view_of("", whole)] for whole in (before, again[0].read()))
    return {
        "first": first.text,
        "second": second.text,
        "cautions": [str(one) for one in first.cautions],
        "differences": [(what.mount, what.prop, str(what)) for what in differences(one, other, None)],
    }


def assert_same(found: dict[str, Any]) -> None:
    # Where the host's own /dev/pts or /dev/shm is covered by another, and a container has set attributes on one of them
    # only, it gets a new one for the other. And before Linux 6.11 nothing tells whether there are mounts that a
    # container's root does not show.
    instead = ": the host has it so covered that it cannot be taken from there; a new one stands in for it"
    new = {one.removesuffix(instead) for one in found["cautions"] if one.endswith(instead)}
    expected = (instead, *([TAKES_LISTMOUNT] * bool(missing("foreign-mounts"))))
    assert [] == [one for one in found["cautions"] if not one.endswith(expected)]
    assert [] == [what for place, prop, what in found["differences"] if place not in new or prop != "superblock"]
    assert found["first"] == found["second"]


@pytest.mark.needs_kernel("bwrap")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="its usual mounts"),
        pytest.param(("--bind", "/", "/", "--dev", "/dev"), id="upon the host's root"),
        pytest.param(("--tmpfs", "/a", "--bind", "/usr", "/a/b", "--remount-ro", "/a", "--tmpfs", "/a"), id="covers"),
        pytest.param(("--mqueue", "/mq", "--dir", "/d", "--ro-bind-data", "DATA", "/file"), id="files of its own"),
    ],
)
def test_what_bubblewrap_builds_is_built_again(more: tuple[str, ...], tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with bubblewrap(*more) as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


def shared_root(config: Any) -> None:
    config["linux"]["rootfsPropagation"] = "shared"


def binds(config: Any) -> None:
    """Each kind of sharing that a container can ask for, and a filesystem that is filled from the image."""
    for kind in ("rshared", "rslave", "private", "unbindable"):
        config["mounts"].append(
            {"destination": f"/data/{kind}", "type": "bind", "source": "/srv", "options": ["rbind", kind, "nosuid"]}
        )
    config["mounts"].append({"destination": "/scratch", "type": "tmpfs", "source": "s", "options": ["size=1m"]})


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("change", [None, shared_root, binds], ids=["its usual mounts", "shared root", "binds"])
def test_what_a_container_runtime_builds_is_built_again(
    runtime: Runtime,
    change: Callable[[Any], object] | None,
    tmp_path: Path,
    in_host: InHost,
    needs_kernel: Callable[..., None],
) -> None:
    needs_kernel(runtime)

    def script() -> dict[str, Any]:
        mount("srv", "/srv", "tmpfs")
        with container(runtime, tmp_path, change or (lambda _: None)) as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


@pytest.mark.needs_kernel("podman", "crun", "setpriv")
@pytest.mark.parametrize("user", [0, 12345], ids=["as root", "rootless"])
@pytest.mark.parametrize("options", [(), ("--read-only", "--tmpfs=/scratch"), ("--privileged",)], ids=" ".join)
def test_what_podman_builds_is_built_again(
    options: tuple[str, ...], user: int, tmp_path: Path, in_host: InHost
) -> None:
    def script() -> dict[str, Any]:
        with podman(*options, user=user) as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


@pytest.mark.needs_kernel("podman", "crun")
def test_what_podman_builds_upon_an_overlay_is_built_again(tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with podman(over=":O") as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


@pytest.mark.needs_kernel("lxc-start")
def test_what_lxc_builds_is_built_again_but_for_its_terminal(tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with lxc(tmp_path) as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


@pytest.mark.needs_kernel("systemd-nspawn")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="its usual mounts"),
        pytest.param(("--private-users=pick", "--private-users-ownership=map"), id="private users"),
        pytest.param(("--volatile=state",), id="volatile"),
        pytest.param(("--read-only",), id="read-only"),
        pytest.param(("--private-network",), id="private network"),
    ],
)
def test_what_systemd_nspawn_builds_is_built_again(options: tuple[str, ...], tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with nspawn(tmp_path, *options) as (pid,):
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


@pytest.mark.needs_kernel("systemd-nspawn", "/usr/lib/systemd/systemd")
def test_a_booted_system_and_its_sandboxed_services_are_built_again(tmp_path: Path, in_host: InHost) -> None:
    def script() -> list[dict[str, Any]]:
        with nspawn(tmp_path, "--boot") as pids:
            return [rebuilt(pid, tmp_path) for pid in pids]

    found = in_host(script, identity="root")
    assert 1 + len(SERVICES) == len(found)
    for one in found:
        assert_same(one)


@pytest.mark.needs_kernel("crun", "device-nodes")
def test_the_device_nodes_of_a_container_come_along_with_the_contents(tmp_path: Path, in_host: InHost) -> None:
    def script() -> tuple[object, object]:
        with container("crun", tmp_path) as pid, of_process(pid) as subject:
            found = capture_subjects([subject], "container", Folder(f"{tmp_path}/files", "files"))
            (tmp_path / "captured.toml").write_text(found.text)
            with tree(api.plan(api.load(str(tmp_path / "captured.toml")))) as built:
                shutil.rmtree(tmp_path / "files")
                return nodes(f"/proc/{pid}/root/dev"), built.inside(lambda: nodes("/dev"))

    there, here = in_host(script, identity="root")
    assert there == here


def nodes(path: str) -> dict[str, object]:
    """What is on the filesystem itself: what is mounted upon it has times of its own."""
    on_it = ("pts", "shm", "mqueue")
    return {name: one for name, one in portrait(path).items() if name.partition("/")[0] not in on_it}

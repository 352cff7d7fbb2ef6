"""Containers of other programs: what they have built is captured, built again, and the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe.subjects import of_process, of_tree
from mountplan.capturing import Folder, capture_subjects
from tests.hosts import PATIENCE, InHost, mount, umount
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
def bubblewrap(*more: str) -> Iterator[int]:
    """A sandbox; the process in it."""
    links = [word for name in LINKS for word in ("--symlink", f"usr/{name}", f"/{name}")]
    reader, writer = os.pipe()
    data = os.memfd_create("data")
    more = tuple(str(data) if word == "DATA" else word for word in more)
    words = ["--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *more]
    child = subprocess.Popen(
        ["bwrap", "--die-with-parent", "--unshare-pid", "--info-fd", str(writer), *words, "cat"],
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
    config["mounts"] = [one for one in config["mounts"] if one["type"] != "cgroup"]
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


@contextmanager
def nspawn(folder: Path) -> Iterator[int]:
    """A machine of systemd's; a process in it. It gets a /run, and a control group, that it can leave things in."""
    with_one_hierarchy()
    mount("run", "/run", "tmpfs")
    for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "var"):
        (folder / "machine" / name).mkdir(parents=True)
    (folder / "machine/etc/os-release").touch()
    for name in LINKS:
        (folder / "machine" / name).symlink_to(f"usr/{name}")
    group = Path(f"/sys/fs/cgroup/mountplan-test-{os.getpid()}")
    group.mkdir()
    words = ["--quiet", "--register=no", "--keep-unit", "--console=pipe", f"--directory={folder}/machine"]
    child = subprocess.Popen(
        [
            "sh",
            "-c",
            f'echo $$ >{group}/cgroup.procs; SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn "$@"',
            "sh",
            *words,
            "--bind-ro=/usr",
            "cat",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(b"x")
        child.stdin.flush()
        assert b"x" == child.stdout.read(1)
        subjects = of_tree(child.pid)
        for subject in subjects:
            subject.close()
        yield subjects[-1].pid
    finally:
        child.communicate()  # the end of its input ends it
        for path in (*group.glob("*/"), group):
            path.rmdir()


def rebuilt(pid: int, folder: Path) -> dict[str, Any]:
    """The container captured, built, and captured again; how the two differ, and how the first differs from it."""
    with of_process(pid) as subject:
        first = capture_subjects([subject], "container")
    (folder / "captured.toml").write_text(first.text)
    plan = api.plan(api.load(str(folder / "captured.toml")))
    with tree(plan) as built, ExitStack() as stack:
        again = [stack.enter_context(one) for one in of_built(built.built)]
        second = capture_subjects(again, "container")
    return {
        "first": first.text,
        "second": second.text,
        "cautions": [str(one) for one in first.cautions],
        "differences": [str(one) for one in api.diff(str(folder / "captured.toml"), f"pid:{pid}").drift],
    }


def assert_same(found: dict[str, Any]) -> None:
    # Where the host's own /dev/pts or /dev/shm is covered by another, what has both gets a new one for the lower. And
    # before Linux 6.11 nothing tells whether there are mounts that a container's root does not show.
    expected = ["a new one stands in for it"] + ["that takes Linux 6.11"] * bool(missing("foreign-mounts"))
    assert [] == [one for one in found["cautions"] if not one.endswith(tuple(expected))]
    assert found["first"] == found["second"]
    assert [] == found["differences"]


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


@pytest.mark.needs_kernel("systemd-nspawn")
def test_what_systemd_nspawn_builds_is_built_again(tmp_path: Path, in_host: InHost) -> None:
    def script() -> dict[str, Any]:
        with nspawn(tmp_path) as pid:
            return rebuilt(pid, tmp_path)

    assert_same(in_host(script, identity="root"))


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

"""Configurations that people have, as specs: specs/real/ builds what the real program builds, but for what is listed.

The list is docs/coming-from.md's; what is not in it must be the same.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from mountplan import api, following  # noqa: F401 (inside a machine no more can be imported)
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys import syscalls
from tests.hosts import CHECKOUT, PATIENCE, InHost, mount, run_in_child
from tests.kernel import test_containers
from tests.kernel.test_containers import LINKS, PATH, container, nspawn, with_one_hierarchy
from tests.mountflags import MS_PRIVATE, MS_SHARED

Result = TypeVar("Result")

pytestmark = pytest.mark.needs_kernel("set-group", "root")

# A masked path is one empty file or directory of mountplan's, read-only and no more; others show /dev/null, or a new
# tmpfs for each directory.
MASKED = (
    r"/proc/(acpi|asound|keys|kcore|latency_stats|sched_debug|scsi|timer_list|timer_stats)|/sys/(firmware|dev/block)"
)
OF_MASKS = {MASKED: r"root|attributes|superblock|filesystem|source|option .*"}


class Case(NamedTuple):
    """`make` starts the real program, in a directory of its own, and lends a process in what it has built.

    `parameters` are the spec's; `but` says what may differ: patterns of mountpoints, and of what about them.
    """

    needs: str
    spec: str
    make: Callable[[Path], AbstractContextManager[int]]
    parameters: Callable[[Path], Mapping[str, str]]
    but: Mapping[str, str]


def nothing(_: Path) -> Mapping[str, str]:
    return {}


def bundle(folder: Path) -> Mapping[str, str]:
    return {"rootfs": str(folder / "rootfs")}


# -- bubblewrap --------------------------------------------------------------------------------------------------------


@contextmanager
def bwrap(*words: str) -> Iterator[int]:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        ["bwrap", "--die-with-parent", "--unshare-pid", "--info-fd", str(writer), *words, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[writer],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    os.close(writer)
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


def readme(_: Path) -> AbstractContextManager[int]:
    links = [word for name in LINKS for word in ("--symlink", f"usr/{name}", f"/{name}")]
    return bwrap("--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev")


PROJECT = "/srv/project"


def agent(_: Path) -> AbstractContextManager[int]:
    os.mkdir(PROJECT)
    return bwrap(
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", PROJECT, PROJECT)
    )


def make_root(folder: Path, *names: str) -> Path:
    """An empty image, but for some directories."""
    for name in ("usr", *names):
        (folder / "rootfs" / name).mkdir(parents=True)
    for name in LINKS:
        (folder / "rootfs" / name).symlink_to(f"usr/{name}")
    return folder / "rootfs"


# -- OCI runtimes ------------------------------------------------------------------------------------------------------


def oci(runtime: Any) -> Callable[[Path], AbstractContextManager[int]]:
    def read_only(config: Any) -> None:
        config["root"]["readonly"] = True

    return lambda folder: container(runtime, folder, read_only)


def plain(config: Any, *more: tuple[str, str, list[str]]) -> None:
    """Next to nothing is mounted, but `more`."""
    config["mounts"] = [one for one in config["mounts"] if one["destination"] in ("/proc", "/dev", "/usr")]
    for target, source, options in more:
        config["mounts"].append({"destination": target, "type": "bind", "source": source, "options": options})
    for one in config["mounts"]:
        if one["destination"] == "/usr":
            one["options"].append("rprivate")  # whatever the machine's is
    config["linux"] |= {"maskedPaths": [], "readonlyPaths": []}


def crun_mounts(folder: Path) -> AbstractContextManager[int]:
    for name in ("feed", "data", "data/sub"):
        os.mkdir(f"/srv/{name}")
        mount(name, f"/srv/{name}", "tmpfs")
    mount("", "/srv/feed", flags=MS_SHARED)

    os.mkdir("/srv/feed/sub")
    mount("sub", "/srv/feed/sub", "tmpfs")

    def change(config: Any) -> None:
        plain(
            config,
            ("/feed", "/srv/feed", ["rbind", "rslave"]),
            ("/data/all", "/srv/data", ["rbind", "rro"]),
            ("/data/top", "/srv/data", ["rbind", "ro"]),
            ("/mapped", f"{folder}/rootfs/usr", ["bind", "idmap=uids=0-100000-65536;gids=0-100000-65536"]),
        )
        with_copy_of_etc(folder, config)
        config["linux"]["rootfsPropagation"] = "rslave"

    return container("crun", folder, change)


def with_copy_of_etc(folder: Path, config: Any, *options: str) -> None:
    """A tmpfs on /etc that begins with what the image has there."""
    (folder / "rootfs/etc").mkdir()
    (folder / "rootfs/etc/motd").write_text("of the image\n")
    options = ("nosuid", "nodev", "size=1m", *options, "tmpcopyup")
    config["mounts"].append({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": list(options)})


LACKING: dict[str, str] = {}  # what the runtime at hand is too old for


def runc_mounts(folder: Path) -> AbstractContextManager[int]:
    for name in ("data", "data/sub"):
        os.mkdir(f"/srv/{name}")
        mount(name, f"/srv/{name}", "tmpfs")
    said = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said)[:2]))

    def change(config: Any) -> None:
        plain(config, ("/data", "/srv/data", ["rbind", "rro", "rnosuid"]))
        with_copy_of_etc(folder, config, "mode=0755")
        if version < (1, 2):
            LACKING["/mapped"] = "mount"
            (folder / "rootfs/mapped").mkdir()
            return
        ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        mapped = {"destination": "/mapped", "source": f"{folder}/rootfs/usr", "options": ["bind"]}
        config["mounts"].append(mapped | {"uidMappings": ids, "gidMappings": ids})

    return container("runc", folder, change)


def csi(folder: Path) -> AbstractContextManager[int]:
    os.mkdir("/srv/kubelet")
    mount("kubelet", "/srv/kubelet", "tmpfs")
    mount("", "/srv/kubelet", flags=MS_SHARED)
    for name in ("pods", "own"):
        os.mkdir(f"/srv/kubelet/{name}")
        mount(name, f"/srv/kubelet/{name}", "tmpfs")
    mount("", "/srv/kubelet/own", flags=MS_PRIVATE)

    def change(config: Any) -> None:
        plain(config, ("/srv/kubelet", "/srv/kubelet", ["rbind", "rshared"]))
        config["linux"]["rootfsPropagation"] = "shared"

    return container("crun", folder, change)


# -- LXC ---------------------------------------------------------------------------------------------------------------

LXC = """
lxc.rootfs.path = dir:{rootfs}
lxc.uts.name = box
lxc.net.0.type = empty
lxc.mount.auto = proc:mixed sys:ro
lxc.autodev = 1
lxc.pty.max = 16
lxc.tty.max = 0
lxc.apparmor.profile = unconfined
lxc.mount.entry = /usr usr none bind,ro 0 0
lxc.mount.entry = /srv/data data none bind,ro,nosuid 0 0
lxc.mount.entry = tmpfs tmp tmpfs size=1m,nosuid,nodev 0 0
"""


@contextmanager
def lxc(folder: Path) -> Iterator[int]:
    with_one_hierarchy()
    mount("left by lxc", "/run", "tmpfs")
    os.mkdir("/srv/data")
    make_root(folder, "proc", "sys", "dev", "tmp", "data")
    os.mkdir(folder / "lxc")
    (folder / "config").write_text(LXC.format(rootfs=folder / "rootfs"))
    box = (f"--lxcpath={folder}/lxc", "--name=box")
    environment = {**os.environ, "PATH": PATH}

    def run(*words: str) -> str:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60 * PATIENCE, env=environment)
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout

    run("lxc-start", *box, f"--rcfile={folder}/config", "--daemon", "--", "/bin/sleep", "600")
    try:
        yield int(run("lxc-info", *box, "--pid", "--no-humanize"))
    finally:
        run("lxc-stop", *box, "--kill")


# -- mount(8) ----------------------------------------------------------------------------------------------------------

LIVE = """
mkdir /srv/medium /srv/system /srv/changes /srv/root
mount -t "$2" -o loop,ro "$1" /srv/medium
mount -t squashfs -o loop,ro /srv/medium/live/filesystem.squashfs /srv/system
mount -t tmpfs -o mode=0755 tmpfs /srv/changes
mkdir /srv/changes/rw /srv/changes/work
mount -t overlay overlay -o lowerdir=/srv/system,upperdir=/srv/changes/rw,workdir=/srv/changes/work /srv/root
mount --rbind -o ro /usr /srv/root/usr
mount -t proc -o nosuid,nodev,noexec proc /srv/root/proc
"""


def live_medium(folder: Path) -> Mapping[str, str]:
    """An ISO, where the kernel reads them; the medium of others is a squashfs as well."""
    kind = "iso9660" if "iso9660" in Path("/proc/filesystems").read_text() and shutil.which("xorriso") else "squashfs"
    return {"medium": str(folder / "medium"), "filesystem": kind}


def live(folder: Path) -> AbstractContextManager[int]:
    """What the initrd of a live system does."""
    rootfs, medium = make_root(folder, "proc", "etc"), folder / "tree"
    (medium / "live").mkdir(parents=True)
    make(["mksquashfs", rootfs, medium / "live/filesystem.squashfs", "-quiet"])
    kind = live_medium(folder)["filesystem"]
    if kind == "iso9660":
        make(["xorriso", "-as", "mkisofs", "-quiet", "-o", folder / "medium", medium])
    else:
        make(["mksquashfs", medium, folder / "medium", "-quiet"])
    return script(LIVE, folder / "medium", kind)


# What mount.composefs does, without that program, which Debian 12 does not have.
COMPOSEFS = """
mkdir /srv/metadata /srv/root
mount -t erofs -o loop,ro "$1" /srv/metadata
mount -t overlay -o "ro,metacopy=on,redirect_dir=on,lowerdir=/srv/metadata::$2" composefs /srv/root
umount -l /srv/metadata
mount --rbind -o ro /usr /srv/root/usr
mount -t proc proc /srv/root/proc
test "$(cat /srv/root/etc/motd)" = "of an object"
"""


def composefs(folder: Path) -> AbstractContextManager[int]:
    metadata, objects = make_root(folder, "proc", "etc"), folder / "objects"
    (objects / "ab").mkdir(parents=True)
    (objects / "ab/cdef").write_text("of an object\n")
    os.truncate(os.open(metadata / "etc/motd", os.O_WRONLY | os.O_CREAT), len("of an object\n"))
    os.setxattr(metadata / "etc/motd", "trusted.overlay.metacopy", b"")
    os.setxattr(metadata / "etc/motd", "trusted.overlay.redirect", b"/ab/cdef")
    make(["mkfs.erofs", folder / "image", metadata])
    return script(COMPOSEFS, folder / "image", str(objects))


def make(words: list[str | Path]) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextmanager
def script(text: str, *arguments: str | Path) -> Iterator[int]:
    """Lend a process in what a script has mounted on /srv/root."""
    enter = "cd /srv/root\npivot_root . .\numount -l .\necho x\nexec cat\n"
    child = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-euc", text + enter, "sh", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        assert b"x\n" == child.stdout.readline()
        yield child.pid
    finally:
        child.communicate()


# -- systemd-nspawn ----------------------------------------------------------------------------------------------------


@contextmanager
def machine(folder: Path) -> Iterator[int]:
    with nspawn(folder) as pids:
        yield pids[-1]


# -- systemd's services ------------------------------------------------------------------------------------------------


def in_machine(machine: int, function: Callable[[], Result]) -> Result:
    """`function` in the mount and pid namespaces of a process, with all that is imported by now."""

    def inside() -> Result:
        for namespace in [os.open(f"/proc/{machine}/ns/{kind}", os.O_RDONLY) for kind in ("pid", "mnt")]:
            syscalls.setns(namespace, 0)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, pickle.dumps(function()))
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            found: Result = pickle.load(file)
        os.waitpid(child, 0)
        return found

    return run_in_child(inside)


def test_a_spec_builds_what_systemd_builds_for_a_service(
    tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a machine of systemd-nspawn's, whose mounts are what is inherited."""
    needs_kernel("systemd-nspawn=252")
    wanted = ["ProtectSystem=strict", "PrivateTmp=yes", "ReadWritePaths=/srv/data"]
    monkeypatch.setattr(test_containers, "SERVICES", {"strict": wanted})
    text = (CHECKOUT / "specs/real/systemd-strict.toml").read_text()

    def script() -> tuple[set[tuple[str, str]], int]:
        mount("folder", str(tmp_path), "tmpfs")
        with nspawn(tmp_path, "--boot") as (machine, service):
            shown = {row.mountpoint: row.root for row in observe(service).rows}
            inside = Path(f"/proc/{service}/status").read_text().partition("NSpid:")[2].split("\n")[0].split()[-1]
            private = {"tmp": "/tmp" + shown["/tmp"], "var_tmp": shown["/var/tmp"].removeprefix("/machine")}
            Path(f"/proc/{machine}/root/srv/spec.toml").write_text(text)

            def look() -> tuple[set[tuple[str, str]], int]:
                found = api.diff("/srv/spec.toml", f"pid:{inside}", parameters=private)
                applied = api.build_and_forget(api.plan(api.load("/srv/spec.toml", parameters=private)))
                return {(one.mount, one.prop) for one in found.drift}, len(applied.tables[0][1].rows)

            api.diff("specs/hello.toml", f"pid:{service}")  # what is imported here need not be found there
            api.build_and_forget(api.plan(api.load("specs/change.toml", parameters={})))
            return in_machine(machine, look)

    drift, mounts = in_host(script, identity="root")
    of_systemd = {("/run/credentials", "mount"), ("/run/systemd/incoming", "mount")}
    of_nspawn = {("/", "mount"), ("/run/host/os-release", "attributes"), ("/run/host/incoming", "attributes")}
    assert of_systemd | of_nspawn == drift
    assert mounts >= 20


# -- podman ------------------------------------------------------------------------------------------------------------


@contextmanager
def podman(folder: Path) -> Iterator[int]:
    with_one_hierarchy()
    for place in ("/run", "/var/lib/containers"):
        os.makedirs(place, exist_ok=True)
        mount("left by podman", place, "tmpfs")
    os.mkdir("/srv/data")
    rootfs = make_root(folder, "proc", "sys", "dev", "run", "tmp", "etc")
    places = ["--root=/srv/store", "--runroot=/srv/run", "--tmpdir=/srv/tmp"]  # it refuses long paths
    words = ["podman", *places, "--cgroup-manager=cgroupfs", "--events-backend=none"]

    def run(*more: str) -> str:
        environment = {**os.environ, "PATH": PATH}
        ended = subprocess.run([*words, *more], capture_output=True, text=True, timeout=60 * PATIENCE, env=environment)
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout.strip()

    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000", "--security-opt=seccomp=unconfined")
    volumes = ("-v", "/usr:/usr:ro", "-v", "/srv/data:/data", "-v", "/srv/data:/shared:rshared")
    apart = ("--network=none", "--cgroups=disabled", f"--pidfile={folder}/pid", "--tmpfs=/scratch:size=1m")
    name = run("run", "-d", *limits, *apart, *volumes, "--rootfs", str(rootfs), "/bin/sleep", "600")
    try:
        yield int((folder / "pid").read_text())
    finally:
        run("rm", "-f", "-t", "0", name)


CASES = [
    Case("bwrap", "bwrap-readme", readme, nothing, {"/": "root"}),
    Case(
        "bwrap",
        "agent-sandbox",
        agent,
        lambda _: {"project": PROJECT},
        {"/dev/(pts|shm|mqueue)": "attributes"},
    ),
    Case("runc", "oci-default", oci("runc"), bundle, {**OF_MASKS, "/sys/fs/cgroup": "root", "/dev": "superblock"}),
    Case("crun", "oci-default", oci("crun"), bundle, {**OF_MASKS, "/sys/fs/cgroup": "source"}),
    Case("crun", "crun-mounts", crun_mounts, bundle, {}),
    Case("runc", "runc-mounts", runc_mounts, bundle, LACKING),
    Case("crun", "csi-node", csi, lambda folder: {**bundle(folder), "kubelet": "/srv/kubelet"}, {}),
    Case(
        "mksquashfs loop fs:squashfs fs:overlay",
        "live-system",
        live,
        live_medium,
        {},
    ),
    Case(
        "mkfs.erofs loop fs:erofs fs:overlay",
        "composefs-root",
        composefs,
        lambda folder: {"image": str(folder / "image"), "objects": str(folder / "objects")},
        {},
    ),
    Case(
        "systemd-nspawn=252",
        "nspawn",
        machine,
        lambda folder: {"machine": str(folder / "machine")},
        {
            ".*": "peer group",
            "/": "mount",
            "/sys/fs/cgroup": "root",
            "/run/host.*|/proc/kmsg|/proc/sys/kernel/.*": "mount",
        },
    ),
    Case("lxc-start", "lxc", lxc, bundle, {".*": "peer group", "/dev/console|/proc/sys/kernel/.*": "mount"}),
    Case(
        "podman=4.3",
        "podman-volumes",
        podman,
        bundle,
        {**OF_MASKS, "/proc/(bus|fs|irq|sys)": "attributes", "/etc/host(s|name)|/run/.containerenv": "mount"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.spec} by {case.needs.split()[0].partition('=')[0]}")
def test_a_spec_builds_what_the_real_program_builds(
    case: Case, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    needs_kernel(*case.needs.split())

    def script() -> tuple[list[str], int]:
        mount("srv", "/srv", "tmpfs")
        mount("folder", str(tmp_path), "tmpfs")
        with case.make(tmp_path) as pid:
            parameters = case.parameters(tmp_path)
            spec = str(CHECKOUT / f"specs/real/{case.spec}.toml")
            found = api.diff(spec, f"pid:{pid}", parameters=parameters)
            odd = [
                str(one)
                for one in found.drift
                if not any(
                    re.fullmatch(where, one.mount) and re.fullmatch(what, one.prop) for where, what in case.but.items()
                )
            ]
            plan = api.plan(api.load(spec, parameters=parameters))
            return odd, len(api.build_and_forget(plan).tables[0][1].rows)

    odd, mounts = in_host(script, identity="root")
    assert [] == odd, "\n".join(odd)
    assert mounts >= 3


def test_each_of_them_is_in_the_page() -> None:
    page = (CHECKOUT / "docs/coming-from.md").read_text()
    names = {path.name for path in (CHECKOUT / "specs/real").glob("*.toml")}
    assert names == {"systemd-strict.toml", *(f"{case.spec}.toml" for case in CASES)}
    assert names <= set(re.findall(r"specs/real/([\w-]+\.toml)", page))

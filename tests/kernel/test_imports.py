"""What an imported configuration builds is what the program builds that it is for."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.foreign_files import imported, imported_dump, settled
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.tables.table import MountTable
from tests.hosts import CHECKOUT, CLONE_NEWNS, InHost, mount, unshare
from tests.kernel import test_containers
from tests.kernel.test_containers import LINKS, Runtime, bubblewrap, container, nspawn
from tests.kernel.test_real import in_machine
from tests.mountflags import MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_PRIVATE, MS_REC, MS_SHARED
from tests.privileges import version_of
from tests.trees import tree

pytestmark = pytest.mark.needs_kernel("set-group", "root")

USUAL = ["--ro-bind", "/usr", "/usr", *(word for one in LINKS for word in ("--symlink", f"usr/{one}", f"/{one}")),
         "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # fmt: skip


def differences(
    form: str, file: str, pid: int, folder: Path, words: tuple[str, ...] = (), *, root: str = ""
) -> list[str]:
    """How what an imported spec would build differs from what stands in a process."""
    spec = folder / "imported.toml"
    draft = imported(form, file, words=words, root=root)
    if form == "fstab":  # of which single lines may fail
        settled(lambda: draft.text([]), draft.leave_out, file)
    spec.write_text(draft.text(["imported"]))
    return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in api.diff(str(spec), f"pid:{pid}").drift]


def same(found: list[str], *known: str, perhaps: tuple[str, ...] = ()) -> None:
    """No difference but those that are known, by how they begin: each is there, but for what some machines lack."""
    unknown = [one for one in found if not one.startswith((*known, *perhaps))]
    assert not unknown, "; ".join(unknown)
    assert [] == [one for one in known if not any(other.startswith(one) for other in found)]


@pytest.mark.needs_kernel("bwrap")
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("--unshare-pid",), id="its usual mounts"),
        pytest.param((), id="the pids of the host"),
        pytest.param(("--bind", "/", "/", "--dev", "/dev", "--ro-bind", "/srv", "/srv"), id="upon the host's root"),
        pytest.param(("--tmpfs", "/a", "--bind", "/usr", "/a/b", "--remount-ro", "/a", "--tmpfs", "/a"), id="covers"),
        pytest.param(("--mqueue", "/mq", "--bind-try", "/nonesuch", "/n", "--dev-bind", "/dev/null", "/x"), id="files"),
    ],
)  # fmt: skip
def test_bubblewrap(more: tuple[str, ...], shared: bool, tmp_path: Path, in_host: InHost) -> None:
    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        if shared:
            mount("", "/", "", MS_SHARED | MS_REC)
        with bubblewrap(*more, pids="") as pid:
            return differences("bwrap", "", pid, tmp_path, (*USUAL, *more))

    # What the host has mounted twice on one place: bubblewrap finds the upper one only when it changes attributes.
    covered = ("/dev/shm: attributes", "/dev/pts: attributes") if more[:2] == ("--bind", "/") else ()
    same(in_host(script, identity="root"), perhaps=covered)


def shared_root(config: Any) -> None:
    unmasked(config)
    config["linux"]["rootfsPropagation"] = "shared"


def unmasked(config: Any) -> None:
    config["linux"]["maskedPaths"] = []


def binds(config: Any) -> None:
    unmasked(config)
    for kind in ("rshared", "rslave", "private", "unbindable"):
        config["mounts"].append(
            {"destination": f"/data/{kind}", "type": "bind", "source": "/srv", "options": ["rbind", kind, "nosuid"]}
        )
    config["mounts"].append({"destination": "/scratch", "type": "tmpfs", "source": "s", "options": ["size=1m", "ro"]})
    copied = ["size=1m", "mode=0755", "nosuid", "tmpcopyup"]
    config["mounts"].append({"destination": "/kept", "type": "tmpfs", "source": "k", "options": copied})


def driver(config: Any) -> None:
    """A pod's container with mountPropagation: Bidirectional, HostToContainer and None, as containerd writes it."""
    shared_root(config)
    for kind in ("rshared", "rslave", "rprivate"):
        config["mounts"].append(
            {"destination": f"/data/{kind}", "type": "bind", "source": "/srv", "options": ["rbind", kind, "rw"]}
        )


def attributes(config: Any) -> None:
    """The runtimes mount a bind again with the attributes that it is given, which clears others."""
    unmasked(config)
    words: list[list[str]] = [["ro"], ["noexec", "rw"], ["noatime"], ["nodiratime"], ["relatime"], ["suid", "nosuid"]]
    words += [["ro", "rnoexec"], ["noatime", "rsuid"], ["rnosuid"], []]
    for number, one in enumerate(words):
        for kind in ("bind", "rbind"):
            place = f"/data/{kind}-{number}"
            entry = {"destination": place, "type": "bind", "source": "/srv/sub", "options": [kind, "rprivate", *one]}
            config["mounts"].append(entry)


def behind_links(config: Any) -> None:
    """Destinations that symlinks of the image lead to, and what covers them, or does not."""
    unmasked(config)
    for place in ("/var/lock/x", "/var/rel/../up/y"):
        config["mounts"].append({"destination": place, "type": "bind", "source": "/srv", "options": ["bind"]})
    for place in ("/run", "/run/lock"):
        config["mounts"].append({"destination": place, "type": "tmpfs", "source": "r", "options": ["size=1m"]})
    config["mounts"].append({"destination": "/var/lock/z", "type": "bind", "source": "/srv", "options": ["bind"]})


CGROUP = ("/sys/fs/cgroup: ",)  # the container's own, where the machine has one hierarchy
CRUN_SYS = "/sys: option ro"
IN_BINDS = ("/data/rshared/sub: peer group", "/data/private/sub: master", "/data/unbindable/sub: master")


def known(runtime: Runtime, more: Callable[[Any], object], *, shared: bool) -> tuple[str, ...]:
    """What docs/import.md lists.

    crun takes the machine's mounts as private ones unless the configuration says otherwise, keeps the filesystem of
    /sys writable, and makes no mount shared or unbindable. runc shares no root; what a bind brings along, a slave of
    the host's and shared again, or below a bind that is private, has no word.
    """
    # Later ones make a root that is to be shared so before anything is mounted on it, which is shared then.
    younger = version_of(runtime) > {"crun": (1, 8, 1), "runc": (1, 1, 5)}[runtime]
    early = ["/usr: peer group"] if younger and more in (shared_root, driver) and not shared else []
    if runtime == "runc":
        if more in (shared_root, driver):
            return ("/: peer group", *early)
        cut_off = ["/: master"] if younger and shared else []  # what the root stands on is private when it is bound
        in_binds = () if more is not binds else IN_BINDS if shared else IN_BINDS[:1]
        return (*in_binds, *cut_off)
    found = [CRUN_SYS, *early]
    if more is attributes:  # it mounts each bind again, also one that is given no attributes
        found += [f"/data/{kind}-{number}: attributes" for kind in ("bind", "rbind") for number in (8, 9)]
    if more is binds:
        found += ["/data/rshared: peer group", "/data/unbindable: unbindable"]
    if more in (unmasked, binds, attributes, behind_links) and shared:
        found += ["/: master", "/usr: master"]
    if more is behind_links and shared:
        found += [f"/run/{one}: master" for one in ("lock/x", "up/y", "lock/z")]
    if more is binds and shared:
        found += [f"/data/{one}: master" for one in ("rshared", "rshared/sub", "rslave", "rslave/sub")]
    return tuple(found)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize(
    "more",
    [unmasked, shared_root, binds, driver, attributes, behind_links],
    ids=["its usual mounts", "shared root", "binds", "driver", "attributes", "behind links"],
)
def test_a_container_runtime(
    runtime: Runtime,
    more: Callable[[Any], object],
    shared: bool,
    tmp_path: Path,
    in_host: InHost,
    needs_kernel: Callable[..., None],
) -> None:
    needs_kernel(runtime)

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        os.mkdir("/srv/sub")
        mount("sub", "/srv/sub", "tmpfs", (MS_NODEV | MS_NOEXEC | MS_NOATIME) if more is attributes else 0)
        if shared:
            mount("", "/", "", MS_SHARED | MS_REC)
        (tmp_path / "rootfs/kept/of").mkdir(parents=True)
        (tmp_path / "rootfs/kept/of/image").write_text("text")
        for name in ("var", "run/lock", "run/up"):
            (tmp_path / "rootfs" / name).mkdir(parents=True)
        (tmp_path / "rootfs/var/lock").symlink_to("/run/lock")
        (tmp_path / "rootfs/var/up").symlink_to("../run/up")
        with container(runtime, tmp_path, more) as pid:
            if more is binds:
                assert "text" == Path(f"/proc/{pid}/root/kept/of/image").read_text()
            return differences("oci", str(tmp_path / "config.json"), pid, tmp_path)

    same(in_host(script, identity="root"), *known(runtime, more, shared=shared), perhaps=CGROUP)


POD = """\
kind: Pod
apiVersion: v1
metadata: {name: pod}
spec:
  hostNetwork: true
  containers:
  - name: driver
    image: localhost/image
    command: [/busybox, sleep, "600"]
    volumeMounts:
    - {name: data, mountPath: /data, readOnly: true}
    - {name: feed, mountPath: /feed, mountPropagation: HostToContainer}
    - {name: part, mountPath: /part, subPath: in/it}
    - {name: more, mountPath: /feed/more/in}
    - {name: more, mountPath: /feed/more}
    - {name: empty, mountPath: /empty}
  volumes:
  - {name: data, hostPath: {path: /srv/data}}
  - {name: feed, hostPath: {path: /srv/feed}}
  - {name: part, hostPath: {path: /srv/data}}
  - {name: more, hostPath: {path: /srv/more}}
  - {name: empty, emptyDir: {}}
"""
# crun, without what an unprivileged machine refuses that has nothing to do with mounts: control groups and limits.
CRUN_ALONE = """\
#!/usr/bin/env python3
import json, os, sys
words = [word for word in sys.argv[1:] if not word.startswith("--cgroup-manager")]
if "--bundle" in words:
    path = words[words.index("--bundle") + 1] + "/config.json"
    config = json.load(open(path))
    config["process"].pop("rlimits", None)
    config["linux"].pop("resources", None)
    json.dump(config, open(path, "w"))
os.execvp("crun", ["crun", "--cgroup-manager=disabled", *words])
"""


# What podman is run as here, given to podman-compose in its place: networks are not made, and of no concern.
PODMAN = """\
#!/usr/bin/env python3
import os, sys
words = sys.argv[1:]
if words[0] == "network":
    sys.exit()
if words[0] == "run":
    for at in reversed(range(len(words))):
        if words[at].startswith("--net"):
            del words[at : at + 1 + ("=" not in words[at])]
    words.insert(1, "--network=none")
folder = os.path.dirname(os.path.abspath(__file__))
given = ["--root=/srv/store", "--runroot=/srv/run", "--events-backend=file", "--storage-driver=vfs",
         "--cgroup-manager=cgroupfs", f"--runtime={folder}/crun-alone"]
os.execvp("podman", ["podman", *given, *words])
"""


@contextmanager
def podman_with_an_image(folder: Path) -> Iterator[Path]:
    """A podman of its own in /srv, which has the image localhost/image: what is in /srv/image, with busybox."""
    test_containers.with_one_hierarchy()
    shutil.copy(shutil.which("busybox") or "", "/srv/image")
    subprocess.run(["tar", "--create", "--file", "/srv/image.tar", "--directory", "/srv/image", "."], check=True)
    podman = folder / "podman"
    for program, text in ((podman, PODMAN), (folder / "crun-alone", CRUN_ALONE)):
        program.write_text(text)
        program.chmod(0o755)
    test_containers.run(podman, "import", "/srv/image.tar", "localhost/image", folder=folder)
    try:
        yield podman
    finally:
        test_containers.run(podman, "rm", "--all", "--force", "--time=0", folder=folder)
        test_containers.run(podman, "pod", "rm", "--all", "--force", "--time=0", folder=folder)
        for path in sorted(Path("/sys/fs/cgroup/libpod_parent").glob("**/"), reverse=True):  # which it leaves
            path.rmdir()


def differs_in(podman: Path, container: str, form: str, file: Path) -> list[str]:
    told = subprocess.run([podman, "inspect", "--format={{.State.Pid}}", container], stdout=subprocess.PIPE, check=True)
    return differences(form, str(file), int(told.stdout), file.parent, root="/srv/image")


# What podman has in each container besides.
RUNTIMES = tuple(f"{place}: mount: none -> " for place in ("/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname"))
PERHAPS = ("/etc/resolv.conf: mount", "/run/.containerenv: mount")


@pytest.mark.needs_kernel("podman", "crun", "busybox")
def test_a_pod_as_podman_plays_it(tmp_path: Path, in_host: InHost) -> None:
    """Its volumes; what else there is in it is its image's and the runtime's."""
    pytest.importorskip("yaml")

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        for place in ("image", "data/in/it", "feed", "more/in"):
            (Path("/srv") / place).mkdir(parents=True)
        mount("feed", "/srv/feed", "tmpfs")
        mount("", "/srv/feed", "", MS_SHARED)
        pod = tmp_path / "pod.yaml"
        pod.write_text(POD)
        with podman_with_an_image(tmp_path) as podman:
            test_containers.run(podman, "kube", "play", pod, folder=tmp_path)
            return differs_in(podman, "pod-driver", "k8s", pod)

    # podman 4.3 passes over subPath; later ones mount empty filesystems besides.
    perhaps = (*PERHAPS, "/part: root: /data/in/it -> /data")
    besides = [f"{place}: mount: none -> " for place in ("/run", "/tmp", "/var/tmp") if version_of("podman") > (5,)]
    same(in_host(script, identity="root"), "/: root: ", "/empty: ", *RUNTIMES, *besides, perhaps=perhaps)


COMPOSE = """services:
  web:
    image: localhost/image
    command: [/busybox, sleep, "600"]
    read_only: true
    tmpfs:
    - /run
    - /quick:size=2m,mode=0750,exec
    volumes:
    - /srv/data/in:/data/deep/in:ro
    - /srv/data:/data
    - ./html:/html:ro
    - /srv/feed:/feed/slave:rslave
    - /srv/feed:/feed/shared:rshared,ro
    - /srv/feed:/feed/private:rprivate
    - /srv/feed:/feed/plain:ro,slave
    - cache:/cache:ro
    - type: bind
      source: ./html
      target: /long
      read_only: true
      bind: {propagation: rslave}
    - type: bind
      source: /srv/feed
      target: /long/feed
      bind: {propagation: rshared}
    - {type: volume, source: cache, target: /cache2}
    - {type: tmpfs, target: /scratch, tmpfs: {size: 1048576, mode: "0750"}}
    secrets:
    - key
    - {source: key, target: /long/key}
volumes:
  cache: {}
secrets:
  key: {file: ./html/key}
"""


@pytest.mark.needs_kernel("podman-compose", "podman", "crun", "busybox")
def test_a_service_as_podman_compose_runs_it(tmp_path: Path, in_host: InHost) -> None:
    """Its volumes; what else there is in it is its image's and the runtime's."""
    pytest.importorskip("yaml")

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        for place in ("image", "data/in", "data/deep/in", "feed", "project/html/feed"):
            (Path("/srv") / place).mkdir(parents=True)
        mount("feed", "/srv/feed", "tmpfs")
        mount("", "/srv/feed", "", MS_SHARED)
        os.mkdir("/srv/feed/sub")
        mount("sub", "/srv/feed/sub", "tmpfs")
        compose = Path("/srv/project/compose.yaml")
        compose.write_text(COMPOSE)
        (compose.parent / "html/key").touch()
        with podman_with_an_image(tmp_path) as podman:
            test_containers.run("podman-compose", f"--podman-path={podman}", "up", "-d", folder=compose.parent)
            return differs_in(podman, "project_web_1", "compose", compose)

    # podman allows execution on a tmpfs, sets attributes of volumes, makes only the mount itself read-only of what is
    # given as that, and adds to a read-only service what it may write to; crun shares the root if a mount is to be.
    volumes = [f"/cache{one}: {what}" for one in ("", "2") for what in ("root: ", "attributes: ")]
    found = ["/run: attributes: ", "/scratch: attributes: ", *volumes, "/cache: source: ", "/cache: option mode: "]
    found += ["/feed/shared/sub: attributes: ", "/feed/plain/sub: attributes: ", "/tmp: mount: ", "/var/tmp: mount: "]
    same(in_host(script, identity="root"), "/: root: ", "/: peer group: ", *found, *RUNTIMES, perhaps=PERHAPS)


def test_fstab_as_mount_does_it(tmp_path: Path, in_host: InHost) -> None:
    lines = """\
# a comment
tmpfs /srv/a tmpfs size=1m,mode=0755,nosuid,X-mount.mkdir 0 0
/usr /srv/b none bind,ro,X-mount.mkdir 0 0
a\\040b /srv/x\\040y tmpfs X-mount.mkdir,noatime,nodev 0 0
/usr /srv/usr none rbind,x-mount.mkdir,nosuid 0 0
/srv/hard /srv/soft none bind,ro,x-mount.mkdir 0 0
/srv/hard /srv/soft2 none rbind,noatime,x-mount.mkdir 0 0
/srv/hard /srv/hard2 none bind,x-mount.mkdir 0 0
/srv/a /srv/a2 none bind,noexec,x-mount.mkdir 0 0
/srv/a /srv/a3 none bind,x-mount.mkdir 0 0
tmpfs /srv/t tmpfs size=1m,x-mount.mkdir 0 0
tmpfs /srv/t/in tmpfs size=1m,x-mount.mkdir 0 0
/srv/t /srv/t2 none rbind,x-mount.mkdir 0 0
tmpfs /srv/s tmpfs shared,size=1m,x-mount.mkdir 0 0
/srv/s /srv/peer none bind,x-mount.mkdir 0 0
/srv/s /srv/slave none bind,slave,x-mount.mkdir 0 0
/srv/slave /srv/slave2 none bind,x-mount.mkdir 0 0
/srv/slave /srv/both none bind,shared,x-mount.mkdir 0 0
hard /srv/hard tmpfs defaults 0 0
/srv/hard /srv/hard none bind 0 0
/srv/hard /srv/hard none remount,bind,ro 0 0
/nonesuch /srv/n none bind,nofail,x-mount.mkdir 0 0
/nonesuch /srv/fails none bind,x-mount.mkdir 0 0
tmpfs /srv/fails tmpfs x-mount.mkdir 0 0
tmpfs /srv/fails/in tmpfs x-mount.mkdir 0 0
tmpfs /srv/named tmpfs uid=nobody,gid=tty,x-mount.mkdir 0 0
none /never tmpfs noauto 0 0
overlay /srv/o overlay lowerdir=/usr/bin:/usr/sbin,X-mount.mkdir 0 0
sysfs /srv/sys sysfs ro,X-mount.mkdir 0 0
"""

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        os.mkdir("/srv/hard")
        mount("hard", "/srv/hard", "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOATIME)
        mount("", "/", "", MS_PRIVATE | MS_REC)
        fstab = tmp_path / "fstab"
        fstab.write_text(lines)
        ready, told = os.pipe()
        go, on = os.pipe()
        child = os.fork()
        if not child:
            os.close(on)
            unshare(CLONE_NEWNS)
            subprocess.run(["mount", "-a", "-T", fstab], check=False, stderr=subprocess.DEVNULL)
            os.write(told, b"x")
            os.read(go, 1)
            os._exit(0)
        os.read(ready, 1)
        try:
            return differences("fstab", str(fstab), child, tmp_path)
        finally:
            os.close(on)
            os.waitpid(child, 0)

    # What is imported is what mount(8) does up to 2.38; later, a bind keeps what its source forbids, which is told.
    kept = [f"/srv/{one}: attributes" for one in ("soft", "soft2", "a2")] if version_of("mount") > (2, 39) else []
    same(in_host(script, identity="root"), *kept)


def entries(table: MountTable) -> list[dict[str, Any]]:
    """What CRIU writes of a mount table."""
    bits = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "relatime": 1 << 21}
    return [
        {
            "fstype": 5,
            "mnt_id": row.mount_id,
            "root_dev": row.device,
            "parent_mnt_id": row.parent_id,
            "flags": hex(sum(bits.get(word, 0) for word in row.attributes.split(","))),
            "root": row.root,
            "mountpoint": row.mountpoint,
            "source": row.source,
            "options": row.options.partition(",")[2],
            **({"shared_id": row.peer_group} if row.peer_group else {}),
            **({"master_id": row.master} if row.master else {}),
            "sb_flags": "0x0",
        }
        for row in table.rows
    ]


@pytest.mark.parametrize("encoded", [False, True], ids=["decoded", "image"])
def test_a_dump_of_criu_whose_groups_it_does_not_restore(encoded: bool, tmp_path: Path, in_host: InHost) -> None:
    """Peers that show /a, /bb and /bb/c of a filesystem, with nothing that shows the whole of it."""
    crit = shutil.which("crit")
    if encoded and crit is None:
        pytest.skip("there is no crit here, which Debian's package criu has")
    spec = str(CHECKOUT / "specs/disjoint-group.toml")

    def script() -> list[str]:
        with tree(api.plan(api.load(spec))) as built, ExitStack() as stack:
            (subject,) = [stack.enter_context(one) for one in of_built(built.built)]
            table, _ = without_base(subject.read().table)
        (tmp_path / "dump").mkdir()
        image = tmp_path / "dump/mountpoints-13.json"
        image.write_text(json.dumps({"magic": "MNTS", "entries": entries(table)}))
        if crit is not None and encoded:
            subprocess.run([crit, "encode", "-i", image, "-o", image.with_suffix(".img")], check=True)
            image.unlink()
        found = imported_dump(str(tmp_path / "dump"))
        (tmp_path / "imported.toml").write_text(write_spec(found))
        api.build_and_forget(api.plan(api.load(str(tmp_path / "imported.toml"))))  # built and verified, or it raises
        drift = api.diff(str(tmp_path / "imported.toml"), spec).drift
        return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    same(in_host(script, identity="root"))


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_masked_paths_of_a_container(
    runtime: Runtime, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    """The same paths are hidden, each runtime's own way: runc binds the /dev/null of the container, say."""
    needs_kernel(runtime)
    masked: list[str] = []

    def script() -> tuple[list[str], list[str]]:
        with container(runtime, tmp_path, lambda config: masked.extend(config["linux"]["maskedPaths"])) as pid:
            return masked, differences("oci", str(tmp_path / "config.json"), pid, tmp_path)

    paths, found = in_host(script, identity="root")
    assert len(paths) >= 5
    assert not [one for one in found if ": mount: " in one]
    same_but_masks(found, paths, runtime)


def same_but_masks(found: list[str], paths: list[str], runtime: Runtime) -> None:
    ways = ("root", "attributes", "superblock", "filesystem", "source", "option ")
    of_masks = (f"{path}: {way}" for path in paths for way in ways)
    of_all = CRUN_SYS if runtime == "crun" else "/dev: superblock"
    same(found, "/proc/keys: root", of_all, perhaps=(*of_masks, *CGROUP))


IN_PROC = (
    "acpi",
    "asound",
    "bus",
    "fs",
    "irq",
    "mtrr",
    "scsi",
    "sys",
    "sysrq-trigger",
    "latency_stats",
    "timer_stats",
    "apm",
)
SERVICES = {
    "strict": ["ProtectSystem=strict", "ProtectHome=yes", "ProtectKernelTunables=yes", "ProtectControlGroups=yes",
               "ReadWritePaths=/srv -/none", "ReadOnlyPaths=/srv/data", "ProtectKernelModules=yes",
               "ProtectKernelLogs=yes", "ProtectHostname=yes", "RuntimeDirectory=strict"],
    "full": ["ProtectSystem=full", "ProtectHome=read-only", "PrivateDevices=yes", "ProtectProc=invisible",
             "InaccessiblePaths=/srv/data -/srv/none", "ReadWritePaths=/var"],
    "home": ["ProtectHome=tmpfs", "ProtectSystem=yes", "NoExecPaths=/srv", "ExecPaths=/srv/data"],
    "empty": ["TemporaryFileSystem=/srv:ro", "BindPaths=/srv/data /etc:/copy",
              "BindReadOnlyPaths=/usr/share:/opt/share:norbind", "ReadOnlyPaths=/copy/systemd", "MountFlags=slave"],
    "dynamic": ["DynamicUser=yes", "BindPaths=/srv:/home"],
    "hardened": ["ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes", "ProtectKernelTunables=yes",
                 "ProtectKernelLogs=yes", "ProtectProc=invisible", "ProcSubset=pid", "ReadWritePaths=/srv/data",
                 "NoExecPaths=/", "ExecPaths=/usr"],
    "rooted": ["TemporaryFileSystem=/:ro", "BindReadOnlyPaths=/usr /usr/bin:/bin /usr/lib:/lib /usr/lib64:/lib64 /etc",
               "ProtectHome=yes"],
    "twice": ["BindPaths=/etc:/tmp/etc", "ReadOnlyPaths=/tmp/etc /var", "NoExecPaths=/tmp/etc",
              "TemporaryFileSystem=/srv/u", "NoNewPrivileges=yes"],
    "noexec": ["NoExecPaths=/srv", "ReadWritePaths=/srv/data"],
    "tie": ["TemporaryFileSystem=/srv /home", "ReadOnlyPaths=/srv", "ReadWritePaths=/home"],
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_of_systemds(
    service: str, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_kernel("systemd-nspawn=252")
    monkeypatch.setattr(test_containers, "SERVICES", {service: SERVICES[service]})

    def script() -> list[str]:
        mount("folder", str(tmp_path), "tmpfs")
        with nspawn(tmp_path, "--boot") as (machine, process):
            inside = Path(f"/proc/{process}/status").read_text().partition("NSpid:")[2].split("\n")[0].split()[-1]
            Path(f"/proc/{machine}/root/srv/service").write_text("\n".join(["[Service]", *SERVICES[service]]))
            imported("systemd", str(tmp_path / "machine/srv/service")).text([])  # what it imports is not found there
            importlib.import_module("mountplan.applier.probe.locked")
            api.diff("specs/hello.toml", f"pid:{process}")
            api.diff("specs/change.toml", f"pid:{process}")
            return in_machine(machine, lambda: differences("systemd", "/srv/service", int(inside), Path("/srv")))

    # What systemd has for each service besides; and what is left of the machine at its root, by nspawn.
    found = ["/run/credentials: mount", "/run/systemd/incoming: mount", "/: mount: none -> "]
    if service == "strict":  # /sys is one entry of two of its tables, and what is read-only in a new /proc is shared
        found += [
            "/sys/fs/bpf: mount",
            "/sys/kernel/debug: mount",
            "/sys/kernel/tracing: mount",
            "/proc/sys: peer group",
        ]
    if service == "rooted":
        found.remove("/run/credentials: mount")
    if service == "hardened":
        found += ["/sys/fs/bpf: mount", "/sys/kernel/debug: mount", "/sys/kernel/tracing: mount"]
    # systemd 252 forgets of ProtectHome=tmpfs that it is read-only, and its mode: later ones are as the manual says.
    homes = [f"{place}: {what}" for place in ("/home", "/root", "/run/user") for what in ("attributes", "option mode")]
    perhaps = {"strict": [f"/proc/{one}: peer group: none -> " for one in IN_PROC], "home": homes}
    # Directories on a disk, for PrivateTmp; and of two mounts of nspawn's on one place, systemd changes the upper one.
    ways = ("root", "master", "attributes", "source")
    perhaps["dynamic"] = [f"{place}: {one}" for place in ("/tmp", "/var/tmp") for one in ways]
    perhaps["dynamic"] += [f"/run/host/{one}: attributes" for one in ("os-release", "incoming")]
    same(in_host(script, identity="root"), *found, perhaps=tuple(perhaps.get(service, ())))

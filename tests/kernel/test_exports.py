"""What is exported, run by the real programs, is what the spec says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.observe.subjects import of_tree
from mountplan.planner.ask.mount_commands import mount_script
from mountplan.planner.foreign.to_bubblewrap import to_bubblewrap
from mountplan.planner.foreign.to_oci import to_oci
from mountplan.planner.plan.predict import predict
from tests.hosts import CHECKOUT, PATIENCE, InHost, mount
from tests.kernel.test_containers import LINKS, container
from tests.mountflags import MS_SHARED

pytestmark = pytest.mark.needs_kernel("set-group", "root", "mount", "unshare")


@pytest.mark.parametrize("name", ["hello", "disjoint-group", "sandbox"])
def test_a_script_of_mount_commands_comes_to_the_spec(name: str, tmp_path: Path, in_host: InHost) -> None:
    """The command is a shell that is handed over as a descriptor, since the tree need not hold one."""

    def script() -> list[str]:
        spec = str(CHECKOUT / f"specs/{name}.toml")
        plan = api.plan(api.load(spec))
        host = observe()
        found = mount_script(plan, predict(plan, host), host)
        assert () == found.reasons
        # In place of the command: hold still after chroot, which needs nothing that is in the tree.
        text = found.text.replace('exec chroot /mnt/root "$@"', "exec 3</mnt/root; echo ready; read -r line")
        (tmp_path / "build.sh").write_text(text)
        child = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", tmp_path / "build.sh"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert b"ready\n" == child.stdout.readline()
            table = Path(f"/proc/{child.pid}/mountinfo").read_text().splitlines()
        finally:
            child.communicate(timeout=60 * PATIENCE)
        # What a process whose root is /mnt/root would see.
        lines = [line.split(" ") for line in table]
        inside = [words for words in lines if words[4] == "/mnt/root" or words[4].startswith("/mnt/root/")]
        shown = [" ".join([*words[:4], words[4].removeprefix("/mnt/root") or "/", *words[5:]]) for words in inside]
        (tmp_path / "seen").write_text("\n".join(shown) + "\n")
        drift = api.diff(spec, f"mountinfo:{tmp_path}/seen").drift
        return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    found = in_host(script, identity="root")
    assert not found, "; ".join(found)


BUNDLE = """\
format = 1
[peer_group.feed]
host = "/srv"
[peer_group.own]
[peer_group.fed]
master = "feed"
[[mount]]
target = "/"
bind = "{image}"
[[mount]]
target = "/proc"
type = "proc"
attributes = ["nosuid", "nodev", "noexec"]
create = true
[[mount]]
target = "/dev"
type = "tmpfs"
source = "tmpfs"
options = {{ mode = "755", size = "64k" }}
attributes = ["nosuid", "strictatime"]
create = true
[[mount]]
target = "/usr"
bind = "/usr"
recursive = true
attributes = ["ro", "nosuid"]
recursive_attributes = false
create = true
[[mount]]
target = "/feed"
bind = "/srv"
recursive = true
master = "feed"
create = true
[[mount]]
target = "/own"
bind = "/srv/own"
peer_group = "own"
create = true
[[mount]]
target = "/fed"
bind = "/srv/own"
peer_group = "fed"
create = true
[run]
command = ["/usr/bin/sleep", "60"]
unshare = ["pid", "ipc"]
"""


@pytest.mark.needs_kernel("runc")
def test_runc_makes_what_is_exported_for_it(tmp_path: Path, in_host: InHost) -> None:
    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        os.mkdir("/srv/own")
        mount("", "/srv", "", MS_SHARED)
        (tmp_path / "image").mkdir()
        for name in LINKS:
            (tmp_path / "image" / name).symlink_to(f"usr/{name}")
        spec = tmp_path / "spec.toml"
        spec.write_text(BUNDLE.format(image=tmp_path / "image"))
        exported = to_oci(api.plan(api.load(str(spec))))
        assert () == exported.reasons

        def replaced(config: Any) -> None:
            config["mounts"], config["root"] = exported.value["mounts"], exported.value["root"]
            del config["hostname"]
            config["process"]["args"] = exported.value["process"]["args"]
            config["linux"] |= exported.value["linux"] | {"maskedPaths": [], "readonlyPaths": []}

        with container("runc", tmp_path, replaced) as pid:
            drift = api.diff(str(spec), f"pid:{pid}").drift
            return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    found = in_host(script, identity="root")
    assert not found, "; ".join(found)


@pytest.mark.needs_kernel("bwrap")
def test_bubblewrap_makes_what_is_exported_for_it(tmp_path: Path, in_host: InHost) -> None:
    """Its root is a directory of a tmpfs, so the specs are compared without their roots."""
    spec = tmp_path / "spec.toml"
    binds = '[[mount]]\ntarget = "/usr"\nbind = "/usr"\nrecursive = true\nattributes = ["ro", "nosuid", "nodev"]\n'
    proc = '[[mount]]\ntarget = "/proc"\ntype = "proc"\nattributes = ["nosuid", "nodev", "noexec"]\n'
    scratch = '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\nsource = "tmpfs"\noptions = { mode = "0700", size = "1m" }\n'
    links = "".join(f'[[mount.file]]\npath = "{name}"\nsymlink = "usr/{name}"\n' for name in LINKS)
    root = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nsource = "tmpfs"\n' + links
    spec.write_text("format = 1\n" + root + binds + proc + scratch + '[run]\nunshare = ["pid"]\ncommand = ["cat"]\n')

    def script() -> list[str]:
        exported = to_bubblewrap(api.plan(api.load(str(spec))))
        assert ((), ("/tmp: bubblewrap adds nosuid and nodev",)) == (exported.reasons, exported.notes)
        child = subprocess.Popen(["bwrap", *exported.value], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(b"x")
            child.stdin.flush()
            assert b"x" == child.stdout.read(1)  # it runs: all is mounted
            subjects = of_tree(child.pid)
            for subject in subjects:
                subject.close()
            drift = api.diff(str(spec), f"pid:{subjects[-1].pid}").drift
        finally:
            child.communicate(timeout=60 * PATIENCE)
        return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    found = in_host(script, identity="root")
    # As told; that its root is a directory of a tmpfs; and what it makes read-only in /proc, as root.
    known = ("/tmp: attributes", "/: ", "/proc/")
    assert [] == [one for one in found if not one.startswith(known)], "; ".join(found)

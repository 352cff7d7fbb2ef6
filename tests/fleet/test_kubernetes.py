"""The manifests, and what the DaemonSet's container does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.foreign_files import imported
from mountplan.planner.language.spec_reading import parse_spec
from tests.fleet.fleet_hosts import FLEET, fleet_of
from tests.hosts import CHECKOUT, CLONE_NEWNS, PATIENCE, InHost, mount, run_in_child, unshare
from tests.keptnames import SPEC
from tests.mountflags import MS_SHARED

yaml: Any = pytest.importorskip("yaml")
MANIFESTS = CHECKOUT / "contrib" / "kubernetes" / "mountplan.yaml"
SCRIPT = CHECKOUT / "contrib" / "container" / "keep-applied"


def manifests() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFESTS.read_text())}


@pytest.mark.skipif(bool(fleet_of()), reason=fleet_of() or "there is one")
def test_the_manifests_are_of_kubernetes_schema(tmp_path: Path) -> None:
    """And a wrong one is not: a test of the test."""
    program = FLEET / "bin" / "kubernetes-validate"
    for text, status in ((MANIFESTS.read_text(), 0), (MANIFESTS.read_text().replace("hostPID", "hostPid"), 1)):
        (tmp_path / "m.yaml").write_text(text)
        ended = subprocess.run([program, "--strict", tmp_path / "m.yaml"], capture_output=True, text=True)
        assert (status == 0) == (ended.returncode == 0), ended.stdout + ended.stderr


def test_the_daemon_set_gives_the_container_what_its_specs_need() -> None:
    found = manifests()
    pod = found["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert (True, True) == (pod["hostPID"], container["securityContext"]["privileged"])
    for name, text in found["ConfigMap"]["data"].items():
        spec = parse_spec(text.encode(), name)
        groups = [group.host for group in spec.peer_group.values()]
        assert groups
        assert {"Bidirectional"} == {mounts[str(place)]["mountPropagation"] for place in groups}


@pytest.mark.needs_kernel("root", "set-group")
def test_a_peer_of_the_nodes_mount_takes_mounts_both_ways(tmp_path: Path, in_host: InHost) -> None:
    """What the kubelet mounts Bidirectional is a peer in the pod's mount namespace, and in the kept tree so too."""
    (tmp_path / "specs").mkdir()
    for name, text in manifests()["ConfigMap"]["data"].items():
        (tmp_path / "specs" / name).write_text(text)

    def pod() -> str:
        unshare(CLONE_NEWNS)
        mount("run", "/run", "tmpfs", data="mode=0755")
        keep("--once", tmp_path / "specs")
        mount("of-pod", "/srv/feed/pod", "tmpfs")
        shown = subprocess.run([sys.executable, "-m", "mountplan", "show", "--json", "feed"], capture_output=True)
        return shown.stdout.decode()

    def script() -> tuple[str, bool]:
        mount("srv", "/srv", "tmpfs")
        os.makedirs("/srv/feed")
        mount("feed", "/srv/feed", "tmpfs")
        mount("", "/srv/feed", "", MS_SHARED)
        for name in ("node", "pod"):
            os.mkdir(f"/srv/feed/{name}")
        mount("of-node", "/srv/feed/node", "tmpfs")
        shown = run_in_child(pod)
        return shown, os.path.ismount("/srv/feed/pod")

    shown, arrived = in_host(script, identity="root")
    assert arrived
    assert {"/", "/feed", "/feed/pod"} <= {one["mountpoint"] for one in mounts_of(json.loads(shown))}


def mounts_of(value: Any) -> list[dict[str, Any]]:
    """Every mount in what `show --json` says, wherever it is."""
    if isinstance(value, dict):
        return ([value] if "mountpoint" in value else []) + [one for each in value.values() for one in mounts_of(each)]
    return [one for each in value for one in mounts_of(each)] if isinstance(value, list) else []


def keep(*words: str | Path) -> int:
    wrapper = Path("/run/program")
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m mountplan "$@"\n')
    wrapper.chmod(0o755)
    return subprocess.run(
        ["sh", SCRIPT, *words], env=os.environ | {"MOUNTPLAN": str(wrapper)}, timeout=120 * PATIENCE, check=False
    ).returncode


@pytest.mark.needs_kernel("root", "set-group")
def test_specs_that_come_change_and_go_are_followed(tmp_path: Path, in_host: InHost) -> None:
    (tmp_path / "shop.toml").write_text("format = 1\n" + SPEC)

    def script() -> list[object]:
        mount("run", "/run", "tmpfs", data="mode=0755")
        seen: list[object] = [keep("--ready", tmp_path), keep("--once", tmp_path), keep("--ready", tmp_path)]
        first = api.look_up("shop").kept.namespaces
        seen += [keep("--once", tmp_path), first == api.look_up("shop").kept.namespaces]
        (tmp_path / "shop.toml").write_text("format = 1\n" + SPEC.replace("/srv", "/opt"))
        seen += [keep("--ready", tmp_path), keep("--once", tmp_path), keep("--ready", tmp_path)]
        (tmp_path / "shop.toml").write_text("no spec")
        seen += [keep("--once", tmp_path), [one.kept.name for one in api.kept()]]
        (tmp_path / "shop.toml").unlink()
        return [*seen, keep("--once", tmp_path), [one.kept.name for one in api.kept()]]

    expected = [1, 0, 0, 0, True, 1, 0, 0, 1, ["shop"], 0, []]
    assert expected == in_host(script, identity="root", timeout=120)


@pytest.mark.needs_kernel("root", "set-group")
def test_nothing_is_let_go_but_what_has_gone_from_the_directory(tmp_path: Path, in_host: InHost) -> None:
    """Neither what others keep, nor, where the directory is missing, all that there is."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder, name in ((here, "shop"), (elsewhere, "other")):
        folder.mkdir()
        (folder / f"{name}.toml").write_text("format = 1\n" + SPEC)

    def script() -> list[object]:
        mount("run", "/run", "tmpfs", data="mode=0755")
        seen: list[object] = [keep("--once", here), keep("--once", elsewhere), keep("--once", tmp_path / "missing")]
        seen += [keep("--ready", tmp_path / "missing"), [one.kept.name for one in api.kept()]]
        (elsewhere / "other.toml").unlink()
        (here / "shop.toml").unlink()
        return [*seen, keep("--once", here), [one.kept.name for one in api.kept()]]

    expected = [0, 0, 1, 1, ["other", "shop"], 0, ["other"]]
    assert expected == in_host(script, identity="root", timeout=120)


def test_what_the_manifest_asks_for_is_what_an_import_of_it_says() -> None:
    """`mountplan import k8s` reads it: the page names that as a way to see what a pod would mount."""
    draft = imported("k8s", str(MANIFESTS), root="/srv")
    assert {"/specs", "/run", "/srv/feed"} <= {str(one.target) for one in draft.mounts}

"""What the probe finds on the real kernel."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.probe import probe
from mountplan.applier.probe.userns_trial import ask_for
from mountplan.applier.sys.userns import Rootless
from mountplan.cli import main
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.fstypes import of
from mountplan.planner.plan.requirements import find_requirements
from tests.faults import CALLS
from tests.hosts import InHost, enter_user_namespace, give_up_all_capabilities
from tests.trees import ROOT, plan_of
from tests.without import filter_calls


@pytest.mark.needs_kernel("root", "set-group")
def test_root_can_share_and_make_device_nodes() -> None:
    """The two things that most specs stand and fall with are found, not assumed."""
    found = {finding.feature: finding.works for finding in probe.probe(("set_group", "mknod", "mount_namespace"))}
    assert {"set_group": True, "mknod": True, "mount_namespace": True} == found


@pytest.mark.needs_kernel("nobody", "userns")
def test_an_ordinary_user_is_told_what_is_missing_and_why(in_host: InHost) -> None:
    """The kernel's own words and a remedy come with each feature that does not work."""
    findings = in_host(lambda: probe.probe(("mount_namespace", "mknod")), identity="nobody")
    by_name = {finding.feature: finding for finding in findings}
    assert by_name["mount_namespace"].works
    assert not by_name["mknod"].works
    assert "mknodat: Operation not permitted" == by_name["mknod"].said
    assert "root" in by_name["mknod"].remedy


@pytest.mark.needs_kernel("nobody", "userns")
def test_the_remedy_is_for_what_the_kernel_said(in_host: InHost) -> None:
    """No module and no younger kernel helps where user namespaces are what is missing, or allow no more."""

    def remedies(rootless: Rootless = "auto") -> list[str]:
        return [one.remedy for one in probe.probe(("set_group", "filesystem:ext4", "filesystem:nonesuch"), rootless)]

    def without_namespaces() -> list[str]:
        enter_user_namespace()
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        give_up_all_capabilities()
        return remedies()

    limit = "raise sysctl user.max_*_namespaces"
    assert [limit] * 3 == in_host(without_namespaces, identity="nobody")
    assert ["run it as root, or without --rootless never"] * 3 == in_host(lambda: remedies("never"), identity="nobody")
    few = "run it as root: a user namespace may mount but few types"
    assert ["", few, "load the module (modprobe nonesuch)"] == in_host(remedies, identity="nobody")


def test_a_filesystem_that_does_not_exist_is_missing() -> None:
    """A probe that cannot fail would prove nothing."""
    (finding,) = probe.probe(("filesystem:nosuchfs",))
    assert not finding.works
    assert "No such device" in finding.said


def test_a_user_namespace_gets_no_binfmt_misc_by_being_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep it, and no program in it that needs a handler from outside would start any more."""
    asked: list[bytes] = []
    monkeypatch.setattr("mountplan.applier.sys.syscalls.fsconfig", lambda context, *_: asked.append(b"create"))
    ask_for("binfmt_misc")
    assert not asked
    assert not of("binfmt_misc").may_be_tried


def test_an_attempt_that_breaks_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not seen to work does not work."""

    def broken(*_: object) -> None:
        raise ValueError

    monkeypatch.setitem(probe.FEATURES, "set_group", probe.FEATURES["set_group"]._replace(attempt=broken))
    monkeypatch.setitem(probe.FEATURES, "idmap", probe.FEATURES["idmap"]._replace(attempt=broken))
    assert ["set_group", "idmap"] == [finding.feature for finding in probe.missing(("set_group", "idmap"))]


def test_every_requirement_of_a_plan_is_a_feature_that_can_be_tried() -> None:
    """A plan says what it needs in the probe's words."""
    source = Path(find_requirements.__code__.co_filename).read_text()
    named = set(re.findall(r'need\(\s*"(\w+)"', source)) | {"mount_namespace"}
    assert len(named) >= 9
    assert set() == named - set(probe.FEATURES)


def test_doctor_tells_the_same_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status says whether anything is missing."""
    status = main(["doctor", "--json"])
    features = json.loads(capsys.readouterr().out)["features"]
    assert list(probe.KNOWN) == [feature["feature"] for feature in features]
    assert (1 if not all(feature["works"] for feature in features) else 0) == status


@pytest.mark.needs_kernel("root", "userns")
def test_root_of_a_container_without_capabilities_is_told_which_one_is_missing(in_host: InHost) -> None:
    """It may make a user namespace, but not give user 0 to it; neither a filter nor a sysctl is in its way."""

    def script() -> tuple[str, str]:
        plan = plan_of(ROOT)
        give_up_all_capabilities()
        (finding,) = probe.probe(("mount_namespace",))
        with pytest.raises(NamespaceRefused) as caught:
            api.build_and_forget(plan)
        return finding.remedy, str(caught.value)

    remedy, said = in_host(script, identity="root")
    assert "CAP_SETFCAP" in remedy
    assert "root without CAP_SETFCAP may give user 0 to no user namespace" in said


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("call", ["fsopen", "unshare", "mknodat", "chroot", "prctl"])
def test_root_behind_a_filter_is_told_of_the_filter_and_not_to_be_root(call: str, in_host: InHost) -> None:
    def script() -> list[str]:
        filter_calls({CALLS[call]: errno.EPERM})
        return [one.remedy for one in probe.probe(("mount_namespace", "mknod", "filesystem:tmpfs")) if not one.works]

    remedies = in_host(script, identity="root")
    assert {
        f"allow {call} in its seccomp profile",
        f"allow {call} in the seccomp profile of the container or service",
    } >= {*remedies}
    assert remedies


@pytest.mark.needs_kernel("nobody", "userns")
@pytest.mark.parametrize("call", ["fsopen", "chroot", "prctl", "mount_setattr"])
def test_a_user_behind_a_filter_is_not_told_to_allow_namespaces(call: str, in_host: InHost) -> None:
    """Nor to load a module: user namespaces can be had, and each type is one that they take."""

    def script() -> list[str]:
        filter_calls({CALLS[call]: errno.EPERM})
        names = ("new_mount_api", "set_group", "overlay_layers", "filesystem:tmpfs", "filesystem:overlay")
        return [one.remedy for one in probe.probe(names) if not one.works]

    remedies = in_host(script, identity="nobody")
    assert remedies
    assert all(one.endswith(f"allow {call} in the seccomp profile of the container or service") for one in remedies)

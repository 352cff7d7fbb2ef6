"""What presets build, for root and for an ordinary user, and that what is written out builds the same."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError
from mountplan.planner.language.expand import expanded
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.language.spec_text import spec_text
from tests.hosts import Identity, InHost
from tests.trees import ROOT, plan_of, tree

OCI = f'preset = "oci"\n{ROOT}[run]\nunshare = ["pid", "net", "ipc", "cgroup"]\n'
SANDBOX = 'preset = "sandbox"\n[run]\nunshare = ["pid"]\n'
DEV = f'preset = "dev"\n{ROOT}'


@pytest.mark.needs_kernel("root", "fs:cgroup2")
@pytest.mark.parametrize("text", [OCI, SANDBOX, DEV], ids=["oci", "sandbox", "dev"])
def test_what_a_preset_builds_and_what_it_is_written_out_to_are_the_same(text: str, in_host: InHost) -> None:
    spec = parse_spec(f"format = 1\n{text}".encode(), "test.toml")
    full = parse_spec(spec_text(expanded(spec, "/")).encode(), "test.toml")

    def script() -> tuple[list[object], list[object]]:
        told: list[list[object]] = []
        for plan in map(api.plan, (spec, full)):
            rows = [
                row._replace(mount_id=0, parent_id=0, device="")
                for row in api.build_and_forget(plan).tables[0][1].rows
                if not row.peer_group and not row.master  # whose numbers are others each time
            ]
            told.append([*rows, plan.run, *(step._replace(origin="") for step in plan.steps)])
        return told[0], told[1]

    first, second = in_host(script, identity="root")
    assert first == second


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("identity", ["root", "nobody"])
def test_a_program_runs_in_the_sandbox_and_can_change_neither_machine_nor_kernel(
    identity: Identity, in_host: InHost
) -> None:
    script = (
        "echo x >/dev/null && ls /proc/sys >/dev/null && ! touch /usr/x /etc/x /proc/sys/x 2>/dev/null && touch /tmp/x"
    )

    def run() -> int:
        with api.build(plan_of(SANDBOX)) as built:
            return built.run(["/bin/sh", "-c", script]).returncode

    assert 0 == in_host(run, identity=identity)


@pytest.mark.needs_kernel("root", "fs:cgroup2")
def test_the_kernels_filesystems_of_a_container_are_masked_and_read_only(in_host: InHost) -> None:
    def script() -> list[str]:
        with tree(plan_of(OCI)) as built:
            return [built.at(path).attributes for path in ("/proc/sys", "/proc/keys", "/sys")]

    assert ["ro,nosuid,nodev,noexec,relatime"] * 3 == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_mount_takes_the_place_of_a_read_only_path_unless_it_may_be_left_out(in_host: InHost) -> None:
    """With one that is left out, what the preset makes read-only would be writable."""
    own = '[[mount]]\ntarget = "/proc/sys"\ntype = "tmpfs"\n'

    def script() -> list[str]:
        with tree(plan_of(SANDBOX + own)) as built:
            return [f"{built.at(path).fstype} {built.at(path).attributes}" for path in ("/proc/sys", "/proc/bus")]

    assert ["tmpfs rw,relatime", "proc ro,nosuid,nodev,noexec,relatime"] == in_host(script, identity="root")
    with pytest.raises(SpecError, match="leave optional out there"):
        plan_of(SANDBOX + own + "optional = true\n")

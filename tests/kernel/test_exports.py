"""What is exported, run by the real programs, is what the spec says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.planner.ask.mount_commands import mount_script
from mountplan.planner.plan.predict import predict
from tests.hosts import CHECKOUT, PATIENCE, InHost

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

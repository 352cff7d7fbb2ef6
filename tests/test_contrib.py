"""What lies in contrib/ works as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mountplan import keeping
from mountplan.applier.keep import kept as names
from tests.hosts import CHECKOUT, InHost, mount
from tests.keptnames import OTHER, SPEC, on_run

UNIT = CHECKOUT / "contrib" / "mountplan@.service"


def commands() -> dict[str, list[str]]:
    """Exec... -> its words, for the instance `shop` and specs in /tmp."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if line.startswith("Exec"):
            key, _, command = line.partition("=")
            found[key] = command.replace("%i", "shop").replace("%E", "/tmp").split()
    return found


@pytest.mark.needs_kernel("root", "systemd-analyze")  # systemd 257 refuses others
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("=mountplan ", f"={sys.executable} "))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "mountplan@shop.service")], capture_output=True, text=True
    )
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.needs_kernel("root", "set-group")
def test_the_unit_starts_reloads_and_stops(in_host: InHost) -> None:
    def carry_out(command: list[str]) -> int:
        assert "mountplan" == command[0]
        return subprocess.run(
            [sys.executable, "-m", *command], cwd="/", env=os.environ | {"PYTHONPATH": str(CHECKOUT)}
        ).returncode

    def script() -> list[object]:
        mount("tmp", "/tmp", "tmpfs")
        os.mkdir("/tmp/mountplan")
        spec = Path("/tmp/mountplan/shop.toml")
        unit = commands()
        spec.write_text("format = 1\n" + SPEC.replace('name = "shop"', ""))
        seen: list[object] = [carry_out(unit["ExecStart"])]
        first = keeping.look_up("shop")
        spec.write_text("format = 1\n" + OTHER)
        seen.append(carry_out(unit["ExecReload"]))
        second = keeping.look_up("shop")
        seen += [first.health, second.health, first.kept.digest == second.kept.digest]
        spec.write_text("not a spec\n")
        seen += [carry_out(unit["ExecReload"]), keeping.look_up("shop").kept == second.kept]
        seen += [carry_out(unit["ExecStop"]), names.names()]
        subprocess.run(["umount", "-n", "-l", "/tmp"], check=True)
        return seen

    expected = [0, 0, "healthy", "healthy", False, 2, True, 0, ()]
    assert expected == in_host(on_run(script), identity="root")

"""Each example in specs/, planned on a host that has all that it names: previews and steps are in tests/golden/plans.

tests/kernel/test_specs.py builds them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.ask.foresight import foresee
from mountplan.planner.ask.mount_commands import mount_script
from mountplan.planner.host import HostEntry, HostPath
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.render.preview import plan_text
from tests.fakes import FakeHost, FakeOutside, host_mount
from tests.hosts import CHECKOUT
from tests.planner.test_render import golden

SPECS = {path.stem: path for path in sorted((CHECKOUT / "specs").glob("*.toml"))}


class AccommodatingHost(FakeHost):
    """What is asked for is there: a file if there is a dot in its name, or else a directory."""

    def look(self, path: str) -> HostPath:
        canonical = self._canonical(path)
        self._paths.setdefault(canonical, "file" if "." in Path(canonical).name else "directory")
        return super().look(canonical)

    def under(self, base: str, place: str) -> HostEntry | None:
        return HostEntry("directory")


def host() -> AccommodatingHost:
    found = AccommodatingHost(
        {},
        (
            host_mount(2, 1, "/srv/feed", shared=5),
            host_mount(3, 1, "/proc", fstype="proc"),
            host_mount(4, 1, "/sys", fstype="sysfs"),
            host_mount(5, 1, "/usr", shared=8),
            host_mount(6, 5, "/usr/lib", attributes="ro,relatime"),
            host_mount(7, 1, "/dev", fstype="devtmpfs"),
        ),
    )
    found.namespaces = {f"/proc/self/ns/{kind}": f"0:4 {kind}:[4026531840]" for kind in ("net", "uts")}
    return found


def plan_of(name: str) -> Plan:
    files = {f"/cwd/specs/{path.name}": path.read_text() for path in SPECS.values()}
    outside = FakeOutside(files, {"HOME": "/home/me", "USER": "me"})
    return api.plan(parse_spec(SPECS[name].read_bytes(), f"specs/{name}.toml", outside), host())


@pytest.mark.parametrize("name", SPECS)
def test_the_plan_of_an_example_is_what_it_was(name: str) -> None:
    plan = plan_of(name)
    named = tuple((one.namespace, one.table) for one in predict(plan, host().table))
    golden(f"plans/{name}.txt", plan_text(plan, named, steps=True, everything=True))


def test_the_mount_commands_of_the_examples_are_what_they_were() -> None:
    texts = []
    for name in SPECS:
        plan = plan_of(name)
        script = mount_script(plan, predict(plan, host().table), host().table)
        texts.append(f"# --- {name}\n{script.text}" + "".join(f"# not: {one}\n" for one in script.reasons))
    golden("commands.txt", "\n".join(texts))


@pytest.mark.parametrize("name", SPECS)
def test_the_plan_of_an_example_holds_as_a_file_and_in_the_model(name: str) -> None:
    plan = plan_of(name)
    assert plan == load_plan(dump_plan(plan).encode(), "plan.json")
    foresee(plan, host().table, 100_000)

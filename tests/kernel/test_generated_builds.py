"""Whatever spec comes up: either it is refused with places, or what stands there is what it says."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

from mountplan import api
from mountplan.planner.attributes import change, parse_shown
from mountplan.planner.errors import PlanRefused, SpecError, StepRefused
from mountplan.planner.language.spec_reading import build_spec
from mountplan.planner.tables.table import MountRow, MountTable
from tests.generated import NAMES, Table, specs
from tests.hosts import InHost, mount
from tests.mountflags import MS_BIND, MS_NOEXEC, MS_PRIVATE, MS_RDONLY, MS_REMOUNT, MS_SHARED, MS_SLAVE, MS_UNBINDABLE
from tests.share import Share

EXAMPLES = int(os.environ.get("MOUNTPLAN_EXAMPLES", "50"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize="MOUNTPLAN_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def try_out(value: Table, *, over_host: bool = True) -> MountTable | None:
    """The table that stands when the spec is built, None if it is refused. api.apply raises if anything differs."""
    try:
        plan = api.plan(build_spec(value))
    except SpecError as error:
        assert error.mistakes
        for mistake in error.mistakes:
            assert mistake.ref.key, mistake
            assert mistake.what
            assert mistake.remedy, mistake
        hypothesis.event("refused: " + error.mistakes[0].ref.key.rpartition(".")[2])
        return None
    except PlanRefused as error:
        assert error.reasons
        hypothesis.event("no order")
        return None
    try:
        table = api.build_and_forget(plan).tables[0][1]
    except StepRefused as refusal:
        if not over_host or not may_refuse(refusal):
            raise
        hypothesis.event("refused by the kernel")
        return None
    hypothesis.event("built")
    return table


def may_refuse(refusal: StepRefused) -> bool:
    """What planning cannot know: what a mount of the host covers, and that a filesystem of it is read-only."""
    if refusal.step.startswith("attach"):
        return refusal.errno == errno.ENOENT
    return refusal.step.startswith("make ") and refusal.errno == errno.EROFS


def skeleton(path: Path) -> None:
    """Directories three levels deep, and a file on the topmost level."""
    for one in NAMES:
        for two in NAMES:
            for three in NAMES:
                (path / one / two / three).mkdir(parents=True, exist_ok=True)
    (path / "f").write_text("f\n")


def lay_out(host: Path) -> None:
    """What HOST_DIRECTORIES and HOST_FILES of tests/generated.py name: mounts of every sort of sharing."""

    def tmpfs(path: Path, propagation: int = MS_PRIVATE) -> None:
        path.mkdir(exist_ok=True)
        mount("host", str(path), "tmpfs")
        mount("", str(path), flags=propagation)
        skeleton(path)

    tmpfs(host)
    (host / "wide").mkdir()
    skeleton(host / "wide")
    tmpfs(host / "wide/a/b")
    mount("", str(host / "wide/a/b"), flags=MS_REMOUNT | MS_BIND | MS_NOEXEC)
    tmpfs(host / "wide/b", MS_UNBINDABLE)
    tmpfs(host / "shared", MS_SHARED)
    (host / "slave").mkdir()
    mount(str(host / "shared"), str(host / "slave"), flags=MS_BIND)
    mount("", str(host / "slave"), flags=MS_SLAVE)
    tmpfs(host / "shared/c", MS_SHARED)
    tmpfs(host / "stack")
    tmpfs(host / "stack")
    tmpfs(host / "ro")
    mount("", str(host / "ro"), flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def wanted_rows(value: Table) -> Counter[tuple[str, str, str, int, bool]]:
    """What the mounts of a spec without host binds and recursive binds must look like, read from the spec alone."""
    rows: Counter[tuple[str, str, str, int, bool]] = Counter()
    for one in standing(value):
        source, root = superblock(value, one)
        bits = attribute_bits(value, one)
        rows[one["target"], source, root, bits, one.get("unbindable", False)] += 1
    return rows


def attribute_bits(value: Table, one: Table) -> int:
    """Those of what it is bound from, and its own upon them."""
    by_id = {other["id"]: other for other in value["mount"]}
    own = change(tuple(one.get("attributes", ())))
    before = attribute_bits(value, by_id[one["bind"]["mount"]]) if "bind" in one else 0
    return before & ~own.clear | own.set


def standing(value: Table) -> list[Table]:
    return [one for one in value["mount"] if "target" in one]


def superblock(value: Table, one: Table) -> tuple[str, str]:
    """The source and the root that mountinfo must show for a mount."""
    by_id = {other["id"]: other for other in value["mount"]}
    root = ""
    while "bind" in one:
        root = one["bind"]["path"] + root
        one = by_id[one["bind"]["mount"]]
    parts = [part for part in root.split("/") if part]
    return one["source"], "/" + "/".join(parts)


def shape(row: MountRow) -> tuple[str, str, str, int, bool]:
    return row.mountpoint, row.source, row.root, parse_shown(row.attributes), row.unbindable


def check_sharing(value: Table, table: MountTable) -> None:
    """Each group of the spec has a number of its own in the kernel, and its members and slaves have that number."""
    groups = value.get("peer_group", {})
    wanted: dict[str, list[tuple[object, ...]]] = {}
    for one in standing(value):
        group = one.get("peer_group", "")
        master = groups[group].get("master", "") if group else one.get("master", "")
        wanted.setdefault(f"{one['target']} {superblock(value, one)}", []).append((group, master))
    numbers: dict[str, int] = {}
    found: dict[str, list[MountRow]] = {}
    for row in table.rows:
        found.setdefault(f"{row.mountpoint} {(row.source, row.root)}", []).append(row)
    for place, pairs in wanted.items():
        if len(pairs) > 1:
            continue  # several alike on one place: which is which, their order tells the comparison, but not us
        (group, master), (row,) = pairs[0], found[place]
        assert bool(group) == bool(row.peer_group), (place, row)
        assert bool(master) == bool(row.master), (place, row)
        for name, number in ((group, row.peer_group), (master, row.master)):
            assert numbers.setdefault(str(name), number) == number, (place, name, row)
    numbers.pop("", None)
    assert len(numbers) == len(set(numbers.values()))


@pytest.mark.needs_kernel("mountns", "set-group")
def test_a_generated_spec_without_host_paths_is_refused_with_places_or_stands_as_written() -> None:
    """Held against the spec itself as well, not only against what the plan predicts."""
    built = Share()

    @SETTINGS
    @given(specs())
    def run(value: Table) -> None:
        table = try_out(value, over_host=False)
        built.count(table is not None)
        if table is not None and not any(one.get("recursive") for one in value["mount"]):
            assert wanted_rows(value) == Counter(map(shape, table.rows))
            check_sharing(value, table)

    run()
    built.must_be(0.25)


@pytest.mark.needs_kernel("root", "set-group", "fs:overlay")
def test_a_generated_spec_with_something_of_everything_is_refused_with_places_or_stands_as_written() -> None:
    built = Share()

    @SETTINGS
    @given(specs(rich=True))
    def run(value: Table) -> None:
        built.count(try_out(value) is not None)

    run()
    built.must_be(0.15)


@pytest.mark.needs_kernel("root", "set-group")
@pytest.mark.parametrize("inherit", ["", "/wide"], ids=["its own root", "an inherited root"])
def test_a_generated_spec_over_host_directories_is_refused_with_places_or_stands_as_written(
    inherit: str, in_host: InHost, tmp_path: Path
) -> None:
    """The host has shared, slave, unbindable, read-only, stacked and nested mounts there."""
    host = tmp_path / "host"
    host.mkdir()

    def script() -> None:
        lay_out(host)
        before = Path("/proc/self/mountinfo").read_bytes()
        built = Share()

        @SETTINGS
        @given(specs(host=str(host), inherit=inherit and f"{host}{inherit}"))
        def run(value: Table) -> None:
            built.count(try_out(value) is not None)
            assert before == Path("/proc/self/mountinfo").read_bytes()

        run()
        built.must_be(0.15)

    in_host(script, identity="root", timeout=3600)

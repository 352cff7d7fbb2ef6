"""What a hook is told, and which differences of a container are its runtime's."""

from __future__ import annotations

from typing import Any

import pytest

from mountplan.planner.compare.difference import Difference
from mountplan.planner.compare.view import View
from mountplan.planner.errors import SpecError
from mountplan.planner.foreign.oci_hooks import ContainerState, RuntimeWays, Stage, read_state, root_of
from mountplan.planner.tables.table import MountRow, MountTable

CONFIG: dict[str, Any] = {
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro", "rslave"]},
        {"destination": "/usr/", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        {"destination": "/sys", "type": "sysfs", "options": ["ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
        {"destination": "/tmp", "type": "tmpfs"},
    ],
    "linux": {"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"]},
}


def difference(mount: str, prop: str, wanted: str, found: str) -> Difference:
    return Difference(mount, prop, wanted, found, "", "")


def kind(one: Difference, stage: Stage) -> str:
    """Which of the three it is sorted into."""
    found = RuntimeWays(CONFIG, stage).sort([one])
    (name,) = [name for name, those in zip(found._fields, found, strict=True) if those]
    return name


READ_ONLY = difference("/usr", "attributes", "ro,relatime", "rw,relatime")


@pytest.mark.parametrize(
    ("one", "before", "after"),
    [
        pytest.param(READ_ONLY, "to_come", "drift", id="crun makes binds read-only late"),
        pytest.param(READ_ONLY._replace(mount="/"), "to_come", "drift", id="and all do so with the root"),
        pytest.param(READ_ONLY._replace(mount="/tmp"), "drift", "drift", id="but only what the config says"),
        pytest.param(READ_ONLY._replace(wanted="ro,nosuid,relatime"), "drift", "drift", id="and nothing else of it"),
        pytest.param(
            READ_ONLY._replace(wanted=READ_ONLY.found, found=READ_ONLY.wanted), "drift", "drift", id="nor the other way"
        ),
        pytest.param(difference("/proc/keys", "mount", "masked", "no mount"), "to_come", "drift", id="masks"),
        pytest.param(difference("/proc/sys", "mount", "proc", "no mount"), "to_come", "drift", id="read-only paths"),
        pytest.param(
            difference("/proc/sys", "attributes", "ro,nosuid", "ro,relatime"), "usual", "usual", id="crun's are ro only"
        ),
        pytest.param(
            difference("/proc/sys", "attributes", "ro,nosuid", "rw,nosuid"), "drift", "drift", id="and writable none is"
        ),
        pytest.param(difference("/sys", "option ro", "set", "rw"), "usual", "usual", id="crun's sysfs"),
        pytest.param(difference("/tmp", "option ro", "set", "rw"), "drift", "drift", id="another filesystem"),
        pytest.param(difference("/sys/fs/cgroup", "root", "/", "/x"), "usual", "usual", id="its own group"),
        pytest.param(difference("/sys/fs/cgroup", "filesystem", "cgroup2", "tmpfs"), "drift", "drift", id="no group"),
        pytest.param(difference("/usr", "master", "5", "none"), "usual", "usual", id="crun's are private"),
        pytest.param(difference("/data", "master", "5", "none"), "drift", "drift", id="where a word asks for more"),
        pytest.param(difference("/usr", "master", "none", "5"), "drift", "drift", id="and none is a slave unasked"),
    ],
)
def test_what_counts_before_the_root_is_changed_and_after(one: Difference, before: str, after: str) -> None:
    assert (before, after) == (kind(one, "createRuntime"), kind(one, "poststart"))


def test_inside_the_sharing_of_the_hosts_mounts_cannot_be_told() -> None:
    """In the container's own namespace, host mounts are slaves as well: there is nothing to hold it against."""
    assert "usual" == kind(difference("/usr", "master", "none", "5"), "createContainer")


def test_what_a_spec_says_of_sharing_counts_whatever_the_runtime_does() -> None:
    found = RuntimeWays(CONFIG, "poststart", of_config=False).sort([difference("/feed", "master", "5", "none")])
    assert 1 == len(found.drift)


def test_a_mask_is_taken_off_both_sides_if_it_hides_something() -> None:
    rows = [
        MountRow(1, 0, "0:5", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "t", "rw"),
        MountRow(2, 1, "0:6", "/null", "/proc/keys", "rw", 0, 0, 0, False, "devtmpfs", "d", "rw"),
    ]
    ways = RuntimeWays(CONFIG, "poststart")
    view, masked = ways.without_masks(View("", MountTable(tuple(rows)), origins=("mount[0]", "mount[1].mask[0]")))
    assert (["/proc/keys"], ["/"]) == (list(masked), [row.mountpoint for row in view.table.rows])
    assert ("mount[0]",) == view.origins
    rows[1] = rows[1]._replace(root="/keys", fstype="proc")
    view, masked = ways.without_masks(View("", MountTable(tuple(rows))))
    assert (frozenset(), 2) == (masked, len(view.table.rows))


STATE = '{"ociVersion": "1.0.2", "id": "one", "status": "creating", "pid": 12, "bundle": "/run/one"}'


def test_a_state_is_read() -> None:
    assert ContainerState("one", 12, "/run/one", "creating") == read_state(STATE.encode(), "<stdin>")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "<stdin>: is no state of a container: "),
        ("[]", "it is no object"),
        pytest.param("[" * 100_000, "is no state of a container: ", id="nested"),
        (STATE.replace("12", '"12"'), "<stdin>: pid: is a number"),
        (STATE.replace("12", "true"), "<stdin>: pid: is a number"),
        (STATE.replace('"one"', "1"), "<stdin>: id: is a text"),
        (STATE.replace("/run/one", "run/one"), "'run/one' is no absolute path"),
        (STATE.replace("bundle", "bundel"), "<stdin>: bundle: is a path"),
    ],
)
def test_what_is_no_state_is_told(text: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_state(text.encode(), "<stdin>")
    assert told in str(caught.value)
    assert "for OCI runtimes" in str(caught.value)


def test_the_root_is_where_the_configuration_says() -> None:
    assert ["/b/rootfs", "/x"] == [root_of({"root": {"path": path}}, "/b", "config.json") for path in ("rootfs", "/x")]
    paths: tuple[object, ...] = ("x", *({"path": path} for path in ("", "a\0", "\ud800")))
    for config in ([], {}, *({"root": path} for path in paths)):
        with pytest.raises(SpecError, match=r"root\.path"):
            root_of(config, "/b", "config.json")

"""What a plan is to have for itself, and what an image or a device has that it names."""

from __future__ import annotations

from typing import Any

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError
from mountplan.planner.host import Partition
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.attachments import Attachment, Decision, obstacles
from mountplan.planner.plan.of_others import asks_of_others
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import AttachImage
from tests.fakes import FakeHost

BLOCK = {"/dev/sda": "block", "/dev/loop3": "block"}
FILES = {"/img": "file", "/up": "directory", "/work": "directory", "/low": "directory"}
USED = Attachment("/dev/loop7", "7:7", writable=True, whole=True, state="rw", options="rw", where='at "/mnt"')


class PartitionedHost(FakeHost):
    def partitions(self, path: str) -> tuple[Partition, ...]:
        if path != "/img":
            return super().partitions(path)
        return (
            Partition(1, "root", 512, 1024),
            Partition(2, "", 2048, 4096),
            Partition(3, "x", 0, 1),
            Partition(4, "x", 1, 1),
        )


class Used:
    """`taken` says what is in use: the paths of devices, of loop devices' twins, of layers with who has them."""

    def __init__(self, image: Decision | None = None, taken: dict[str, Any] | None = None) -> None:
        self._image, self._taken = image or Decision(), taken or {}

    def image(self, path: str, part: tuple[int, int], *, read_only: bool) -> Decision:
        return self._image if (path, part, read_only) == ("/img", (0, 0), False) else Decision()

    def device(self, path: str) -> Attachment | None:
        found: Attachment | None = self._taken.get(path)
        return found

    def beside(self, path: str) -> tuple[Attachment, ...]:
        found: tuple[Attachment, ...] = self._taken.get(f"beside {path}", ())
        return found

    def layer(self, path: str) -> str | None:
        found: str | None = self._taken.get(path)
        return found


def plan_of(*mounts: str) -> Plan:
    text = 'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    text += "".join(f'[[mount]]\ntarget = "/m{number}"\n{lines}\n' for number, lines in enumerate(mounts))
    return api.plan(parse_spec(text.encode(), "t.toml"), PartitionedHost(FILES | BLOCK))


IMAGE = 'type = "ext4"\nimage = "/img"'
DEVICE = 'type = "ext4"\nsource = "/dev/sda"'
LOOP = 'type = "ext4"\nsource = "/dev/loop3"'
OVERLAY = 'type = "overlay"\nlayers = ["/low"]\nupper = "/up"\nwork = "/work"'
READS = "\noptions = { ro = true }"


@pytest.mark.parametrize(
    ("lines", "used", "told"),
    [
        (IMAGE, Used(), []),
        (IMAGE, Used(Decision(problem="why", remedy="so")), ['image: "/img" is in use: why']),
        (IMAGE + READS, Used(Decision(problem="why", remedy="so")), []),
        (IMAGE, Used(Decision(share=USED)), []),
        (
            IMAGE + '\noptions = { errors = "panic" }',
            Used(Decision(share=USED)),
            ["does not show these: errors = panic"],
        ),
        (DEVICE, Used(), []),
        (DEVICE, Used(taken={"/dev/sda": USED._replace(here="/mnt")}), ['source: "/dev/sda" is in use: it is mounted']),
        (DEVICE, Used(taken={"/dev/sda": USED._replace(state="ro", options="ro")}), ["mounted with ro already"]),
        (DEVICE + READS, Used(taken={"/dev/sda": USED._replace(state="ro", options="ro")}), []),
        (DEVICE + READS, Used(taken={"/dev/sda": USED}), ["in use"]),
        (LOOP, Used(taken={"beside /dev/loop3": (USED,)}), ["another loop device is over the same file"]),
        (LOOP + READS, Used(taken={"beside /dev/loop3": (USED._replace(state="ro", options="ro"),)}), []),
        (OVERLAY, Used(), []),
        (OVERLAY, Used(taken={"/up": "web"}), ['upper: "/up" is in use: another overlay has it, by its name web']),
        (OVERLAY, Used(taken={"/work": ""}), ['work: "/work" is in use: another overlay has it']),
        (OVERLAY, Used(taken={"/low": "web"}), []),
    ],
)
def test_what_others_have_is_an_obstacle(lines: str, used: Used, told: list[str]) -> None:
    plan = plan_of(lines)
    assert asks_of_others(plan)
    found = obstacles(plan, used)
    assert len(told) == len(found)
    assert all(words in f"{one.ref.key}: {one.what}" for words, one in zip(told, found, strict=True))
    assert all(one.remedy and "mount[1]." in one.ref.key for one in found)


def test_of_new_filesystems_and_binds_nothing_is_asked() -> None:
    assert not asks_of_others(plan_of('type = "tmpfs"', 'bind = "/low"'))


@pytest.mark.parametrize(("which", "part"), [("1", (512, 1024)), ('"root"', (512, 1024)), ("2", (2048, 4096))])
def test_a_partition_is_a_part_of_the_image(which: str, part: tuple[int, int]) -> None:
    plan = plan_of(f'type = "ext4"\nimage = {{ path = "/img", partition = {which} }}')
    assert [("/img", *part)] == [
        (step.image, step.offset, step.size) for step in plan.steps if isinstance(step, AttachImage)
    ]


@pytest.mark.parametrize(
    ("lines", "key", "what"),
    [
        ('image = { path = "/img", partition = 7 }', "image", "there is no partition 7"),
        ('image = { path = "/img", partition = "y" }', "image", 'there is no partition "y"'),
        ('image = { path = "/img", partition = "x" }', "image", 'two partitions have the label "x"'),
        ('image = { path = "/dev/sda", partition = 1 }', "image", "there is no partition table in it"),
        ('image = "/low"', "image", "directory"),
    ],
)
def test_what_is_no_part_of_an_image_is_told(lines: str, key: str, what: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan_of(f'type = "ext4"\n{lines}')
    (mistake,) = caught.value.mistakes
    assert mistake.ref.key.startswith(f"mount[1].{key}") and what in mistake.what


def roots(*lines: str) -> list[tuple[str, str]]:
    plan = plan_of(*(f'type = "btrfs"\nimage = "/img"\n{line}' for line in lines))
    return [(one.filesystem, one.root) for one in plan.expected.namespaces[0].mounts[1:]]


def test_subvolumes_of_one_image_are_paths_in_one_filesystem() -> None:
    one, other, top = roots(
        'options = { subvol = "/a/b/" }', 'options = { subvol = "c" }', "options = { subvolid = 5 }"
    )
    assert one[0] == other[0] == top[0]
    assert ["/a/b", "/c", "/"] == [one[1], other[1], top[1]]


def test_a_subvolume_is_named_by_its_path() -> None:
    with pytest.raises(SpecError, match="which path subvolume 256 has is not known"):
        roots("options = { subvolid = 256 }")

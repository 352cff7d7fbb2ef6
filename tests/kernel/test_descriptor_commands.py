"""The calls with descriptors in scripts: what they come to in the model, on the kernel, and why they are refused."""

from __future__ import annotations

import pytest

from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import empty_world, simulate
from mountplan.rehearsing import compare_with_kernel
from tests.propagation import in_the_model, require_rules

BEGIN = """\
mkdir -p /a /b /c
mount -t tmpfs a /a
mkdir -p /a/x /a/y
"""

WORKING = {
    "a bind that joins the group of what it was bound from": (
        "mount --bind /a/x /b\nmount --make-shared /a\nmove_mount --set-group /a /b\n",
        ["/a a shared:1", "/b a[/x] shared:1"],
    ),
    "siblings by a seed that is wider than both": (
        (
            "open_tree --clone /a @seed\nmount_setattr --propagation shared @seed\n"
            "mount --bind /a/x /b\nmount --bind /a/y /c\n"
            "move_mount --set-group @seed /b\nmove_mount --set-group @seed /c\nclose @seed\n"
        ),
        ["/a a", "/b a[/x] shared:1", "/c a[/y] shared:1"],
    ),
    "a slave only": (
        (
            "mount --make-shared /a\nmount --bind /a /b\nmount --make-slave /b\nmount --bind /a/x /c\n"
            "mount --make-private /c\nmove_mount --set-group /b /c\n"
        ),
        ["/a a shared:1", "/b a master:1", "/c a[/x] master:1"],
    ),
    "beneath": (
        "fsmount --source low tmpfs @low\nmove_mount --beneath @low /a\nclose @low\numount /a\n",
        ["/a low"],
    ),
    "a tree, with attributes and sharing before it is attached": (
        (
            "mount -t tmpfs x /a/x\nopen_tree --clone --recursive /a @tree\n"
            "mount_setattr --recursive --attributes ro,noatime --propagation shared @tree\nmove_mount @tree /b\n"
        ),
        ["/a a", "/a/x x", "/b a shared:1", "/b/x x shared:2"],
    ),
    "a copy that is closed is gone, in the last process that has it": (
        (
            "mount --make-shared /a\nopen_tree --clone /a @copy\n(close @copy)\nmove_mount @copy/. /b\n"
            "(open_tree --clone /a @other)\nmove_mount @other /c\n"
        ),
        ["/a a shared:1", "/b a shared:1"],
    ),
    "into another namespace": (
        "open_tree --clone /a @copy\nunshare -m sh\nmove_mount @copy /b\n",
        ["/a a"],
    ),
    "a place that has been opened is where it was": (
        "open_tree /a/x @x\nmount -t tmpfs cover /a\nfsmount --source n tmpfs @n\nmove_mount @n @x\n",
        ["/a a", "/a cover", "/a/x n"],
    ),
}


@pytest.mark.parametrize("what", WORKING)
def test_the_calls_do_in_the_model_what_they_do(what: str) -> None:
    script, wanted = WORKING[what]
    assert wanted == in_the_model(BEGIN + script).mounts


REFUSED = [
    ("move_mount --set-group /a/x /b", "EINVAL", "one of the two is not a mount point"),
    ("mount -t tmpfs b /b\nmove_mount --set-group /a /b", "EINVAL", "the mounts are of different filesystems"),
    ("mount --bind /a /b\nmove_mount --set-group /a /b", "EINVAL", "the first is private"),
    ("mount --make-shared /a\nmount --bind /a /b\nmove_mount --set-group /a /b", "EINVAL", "the second is not private"),
    (
        "mount --bind /a/x /b\nmount --bind /a/y /c\nmount --make-shared /b\nmove_mount --set-group /b /c",
        "EINVAL",
        "the root of the first does not contain the root of the second",
    ),
    ("fsmount tmpfs @n\nmove_mount --beneath @n /", "EINVAL", "nothing can be mounted beneath the root"),
    ("fsmount tmpfs @n\nmove_mount --beneath @n /a/x", "EINVAL", "the target is not a mount point"),
    ("mount --make-unbindable /a\nopen_tree --clone /a @n", "EINVAL", "the source is unbindable"),
    ("open_tree --recursive /a @n", "EINVAL", "only a copy can be recursive"),
    ("move_mount @n /b", "EBADF", "no descriptor @n is open in this process"),
    ("(open_tree /a @n)\nclose @n", "EBADF", "no descriptor @n is open in this process"),
    ("open_tree /a @n\numount /a", "EBUSY", "it, or a counterpart, is in use or has a mount in it"),
    ("mount_setattr --propagation shared /a/x", "EINVAL", "it is not a mount point"),
    ("open_tree --clone /a @n\nunshare -m sh -c 'move_mount /a @n/x'", "EINVAL",
     "the mount is not in the caller's namespace"),
    ("unshare -Urm sh -c 'mount_setattr --attributes rw /a'", "", ""),
    ("unshare -m mount -o remount,ro /a", "", ""),
    ("mount -o remount,bind,ro /a\nunshare -Urm sh -c 'mount_setattr --attributes rw /a'", "EPERM",
     "an attribute is locked, as a more privileged user has set it"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "number", "why"), REFUSED)
def test_a_refused_call_says_why(script: str, number: str, why: str) -> None:
    simulation = simulate(BEGIN + script)
    assert ([why] if why else []) == [one.why for one in simulation.failures]
    assert ([number] if why else []) == [line.split()[1] for line in in_the_model(BEGIN + script).refused]


@pytest.mark.needs_kernel("root", "unshare")
@pytest.mark.parametrize("script", [script for script, _ in WORKING.values()] + [row[0] for row in REFUSED])
def test_the_kernel_does_the_same(script: str) -> None:
    require_rules()
    comparison = compare_with_kernel(simulate(BEGIN + script), empty_world(), "SCRIPT")
    assert ((), ()) == (comparison.differences, comparison.only_calls)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("open_tree /a", "open_tree: there is one path"),
        ("open_tree --clone /a fd", "open_tree: fd is no name of a descriptor"),
        ("move_mount --set-group --beneath /a /b", "move_mount: --set-group and --beneath exclude each other"),
        ("move_mount /a /b /c", "move_mount: there are 3 paths"),
        ("mount_setattr --propagation rslave /a", "mount_setattr: there is no propagation rslave"),
        ("mount_setattr --attributes ro,rw /a", "mount_setattr: ro and rw exclude each other"),
        ("mount_setattr --attributes quiet /a", "mount_setattr: there is no attribute quiet"),
        ("close", "close: there is no path"),
        ("fsmount --size=1m tmpfs @n", "fsmount: option --size not recognized"),
    ],
)
def test_what_is_no_such_call_is_told(line: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        simulate(BEGIN + line)
    assert [told] == [mistake.what for mistake in error.value.mistakes]


@pytest.mark.needs_kernel("root")
def test_a_filesystem_of_the_machine_is_not_made_to_compare() -> None:
    with pytest.raises(SpecError, match="debugfs is not mounted to compare"):
        compare_with_kernel(simulate("fsmount debugfs @n\n"), empty_world(), "SCRIPT")

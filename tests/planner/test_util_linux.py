"""The words of util-linux's commands: what each says, whatever is done with it (tests/kernel has what they do)."""

from __future__ import annotations

import pytest

from mountplan.planner.commands.util_linux import read_nsenter, read_umount, read_unshare


@pytest.mark.parametrize(
    ("words", "drops"),
    [
        ("-m", False),
        ("-m -U", True),
        ("-a", True),
        ("-m -G 0", True),
        ("-m --setgid=0", True),
        ("-m -U --preserve-credentials", False),
        ("-a --preserve-credentials", False),
        ("-m -G 0 --preserve-credentials", False),
    ],
)
def test_nsenter_drops_groups_with_a_user_namespace_unless_it_is_to_keep_them(words: str, drops: bool) -> None:
    assert drops is read_nsenter(["-t", "$$", *words.split()]).drops_groups


@pytest.mark.parametrize(
    ("words", "user", "mapped", "drops"),
    [
        ("-m", False, False, False),
        ("-U", True, False, False),
        ("-r", True, True, False),
        ("-c", True, True, False),
        ("--map-root-user", True, True, False),
        ("--map-current-user -G 0", True, True, True),
        ("-mU --setgid=0", True, False, True),
    ],
)
def test_unshare_maps_an_id_if_it_is_told_to(words: str, user: bool, mapped: bool, drops: bool) -> None:
    read = read_unshare(words.split())
    assert (user, mapped, drops) == (read.user, read.mapped, read.drops_groups)


def test_unshare_has_a_mount_namespace_for_a_proc_of_its_own() -> None:
    assert (True, "/proc") == read_unshare(["--mount-proc"])[0:4:3]
    assert (True, "/p") == read_unshare(["--mount-proc=/p"])[0:4:3]
    assert (False, "") == read_unshare(["-p"])[0:4:3]


def test_umount_takes_short_options_together() -> None:
    read = read_umount(["-lR", "/a", "/b"])
    assert (("/a", "/b"), True, True, False) == (read.targets, read.lazy, read.recursive, read.all_targets)
    assert read_umount(["-A", "/a"]).all_targets
    assert read_umount(["--fake", "/a"]).fake

"""Tests of mount trees, to begin with: each builds its own, in namespaces that go with it, so many can run at once."""

import os

import pytest

FEED = """
format = 1

[peer_group.feed]

[[mount]]
target = "/"
type = "tmpfs"

[[mount]]
id = "from"
target = "/from"
type = "tmpfs"
peer_group = "feed"

[[mount]]
target = "/to"
bind = { mount = "from" }
master = "feed"
"""


@pytest.mark.parametrize("number", range(4))
def test_what_is_mounted_in_the_master_arrives_in_the_slave(mountplan, number):
    tree = mountplan(FEED)
    tree.mount(f"/from/{number}", create=True)
    assert f"/to/{number}" in tree.mounts()


def test_nothing_goes_back(mountplan):
    tree = mountplan(FEED)
    tree.mount("/to/inside", create=True)
    assert "/from/inside" not in tree.mounts()
    assert "inside" in tree.call(os.listdir, "/from"), "the directory is in the filesystem of both"


def test_the_host_is_left_alone(mountplan, mountplan_host_unchanged):
    mountplan(FEED)

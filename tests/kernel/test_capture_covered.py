"""What the host has covered, in namespaces that have it too: a recursive bind of what it stands on brings it along."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from mountplan import api
from mountplan.planner.capture.captured import Caution
from tests.hosts import InHost, mount, umount
from tests.kernel.handmade import begin, inhabited, make, new, restored
from tests.mountflags import MS_BIND, MS_MOVE, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED, MS_SLAVE

pytestmark = pytest.mark.needs_kernel("set-group", "root")


def host() -> None:
    """Three filesystems on one place, and one below another that covers it."""
    mount("srv", "/srv", "tmpfs")
    os.mkdir("/srv/stack")
    for name in ("low", "middle", "high"):
        mount(name, "/srv/stack", "tmpfs")
    os.makedirs("/srv/low")
    new("/srv/low", "in")
    mount("in", "/srv/low/in", "tmpfs")
    mount("high", "/srv/low", "tmpfs")


def upon_it(change: Callable[[], object] = lambda: None) -> Callable[[], None]:
    """A root that is moved upon the host's, as systemd-nspawn moves it; all of the host's is still below."""

    def build() -> None:
        change()
        begin("a")
        new("a")
        mount(".", "/", flags=MS_MOVE)
        os.chroot(".")

    return build


def test_all_of_it_is_there_again_below_a_root_that_was_moved_upon_it(in_host: InHost) -> None:
    assert "" == restored(in_host, upon_it(), host=host)


def test_what_it_stands_on_may_have_other_attributes(in_host: InHost) -> None:
    def change() -> None:
        mount("", "/srv", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)

    assert "" == restored(in_host, upon_it(change), host=host)


def test_other_mounts_may_stand_there_as_well(in_host: InHost) -> None:
    def change() -> None:
        mount("on top", "/srv/stack", "tmpfs")
        os.mkdir("/srv/own")
        mount("own", "/srv/own", "tmpfs")

    assert "" == restored(in_host, upon_it(change), host=host)


def shared_host() -> None:
    host()
    make("/srv", MS_REC | MS_SHARED)


@pytest.mark.parametrize("word", ["slave", "peer"])
def test_so_it_is_where_what_stands_there_shares_with_the_host(word: str, in_host: InHost) -> None:
    """It would be lost otherwise: no path leads to what is covered, and a new one would not be the host's."""

    def change() -> None:
        if word == "slave":
            make("/", MS_REC | MS_SLAVE)

    def script() -> str:
        shared_host()
        with inhabited(upon_it(change)) as pid:
            return api.capture(pid).text

    assert f'recursive_sharing = "{word}"' in in_host(script, identity="root")
    assert "" == restored(in_host, upon_it(change), host=shared_host)


def test_where_the_host_has_more_a_new_one_stands_in_with_a_caution(in_host: InHost) -> None:
    """A recursive bind would bring that along."""

    def script() -> list[str]:
        host()
        with inhabited(upon_it()) as pid:
            mount("later", "/srv", "tmpfs")
            return [str(one) for one in api.capture(pid).cautions]

    told = in_host(script, identity="root")
    assert told
    assert all("the host has it so covered" in one for one in told)


def test_of_what_is_left_out_it_is_not_said_that_a_new_one_stands_in_for_it(in_host: InHost) -> None:
    def change() -> None:
        make("/", MS_REC | MS_SLAVE)
        umount("/srv/stack")

    def script() -> list[Caution]:
        shared_host()
        with inhabited(upon_it(change)) as pid:
            return [*api.capture(pid).cautions]

    told = in_host(script, identity="root")
    assert {"/srv/stack", "/srv/low", "/srv/low/in"} == {one.where for one in told if "cannot be rebuilt" in one.what}
    assert [] == [one.where for one in told if "stands in for it" in one.what]

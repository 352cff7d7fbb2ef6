"""Who reads in a tree that is changed misses nothing of what was there before and is afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mountplan.applier.sys.syscalls import knows_beneath
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed
from tests.hosts import InHost, mount, setns
from tests.live_trees import STACK, LiveTree, plan_of, standing_tree

pytestmark = pytest.mark.needs_kernel("root", "set-group")

SWAPS = int(os.environ.get("MOUNTPLAN_SWAPS", "60"))
WIDTH = 20  # mounts that are swapped by one change

MANY = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n' + "".join(
    f"""[[mount]]
id = "data{number}"
target = "/data{number}"
type = "tmpfs"
source = "SOURCE"
[[mount.file]]
path = "file"
content = "SOURCE"
[[mount]]
target = "/data{number}/kid"
type = "tmpfs"
[[mount.file]]
path = "file"
content = "kid"
"""
    for number in range(WIDTH)
)


@contextmanager
def reading(tree: LiveTree, *paths: str) -> Iterator[Callable[[], tuple[int, int]]]:
    """Have a process inside open files in a loop; the function ends it: how often it looked, and how often in vain."""
    reader, writer = os.pipe()
    namespace = tree.built.open_mounts("")
    child = os.fork()
    if child == 0:
        try:
            setns(namespace)
            looks = missed = 0
            stop: list[int] = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            os.write(writer, b".")
            while not stop:
                for path in paths:
                    looks += 1
                    try:
                        os.close(os.open(path, os.O_RDONLY))
                    except OSError:
                        missed += 1
            os.write(writer, f"{looks} {missed}".encode())
        finally:
            os._exit(0)
    os.close(namespace)
    os.read(reader, 1)

    def end() -> tuple[int, int]:
        os.kill(child, signal.SIGTERM)
        looks, missed = map(int, os.read(reader, 100).split())
        return looks, missed

    try:
        yield end
    finally:
        os.close(reader)
        os.close(writer)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("beneath", [True, False])
def test_who_reads_inside_misses_no_file_while_its_mount_is_swapped(in_host: InHost, beneath: bool) -> None:
    """Neither of the mount that is swapped, nor of one that stands on it; without MOVE_MOUNT_BENEATH it took a gap."""
    if beneath and not in_host(knows_beneath):
        pytest.skip("this kernel has no MOVE_MOUNT_BENEATH")

    def script() -> tuple[int, int, int]:
        plans = [plan_of(MANY.replace("SOURCE", word)) for word in ("one", "two")]
        files = [f"/data{number}{kid}/file" for number in range(WIDTH) for kid in ("", "/kid")]
        swapped = 0
        with standing_tree(plans[0]) as tree, reading(tree, *files) as end:
            while swapped < SWAPS:
                turn = swapped // WIDTH % 2
                now = tree.became(plans[turn])
                standing = now.standing()._replace(beneath=beneath)
                found = plan_change(plans[1 - turn], standing, Allowed(), 100_000)
                assert ["swap"] * WIDTH == [one.sign for one in found.changes], found.changes
                now.change(found)
                swapped += WIDTH
            return swapped, *end()

    swapped, looks, missed = in_host(script, timeout=60 + SWAPS)
    assert looks > swapped
    assert 0 == missed


@pytest.mark.parametrize("top", ["SOURCE", "top"])
@pytest.mark.parametrize("beneath", [True, False])
def test_who_reads_inside_misses_no_file_while_what_lies_beneath_is_exchanged(
    in_host: InHost, beneath: bool, top: str
) -> None:
    """In a stack, under a cover, and with the topmost of the stack itself; with and without MOVE_MOUNT_BENEATH."""
    text = STACK.replace("TOP", top)

    def script() -> tuple[tuple[int, int], str]:
        plans = [plan_of(text.replace("SOURCE", word)) for word in ("one", "two")]
        with standing_tree(plans[0]) as tree, reading(tree, "/stack/file", "/cover/file") as end:
            for number in range(max(6, SWAPS // 6)):
                now, wanted = tree.became(plans[number % 2]), plans[(number + 1) % 2]
                standing = now.standing()
                standing = standing._replace(beneath=standing.beneath and beneath)
                found = plan_change(wanted, standing, Allowed(), 100_000)
                now.change(found)
                drift = tree.drift(wanted)
                if drift:
                    return end(), str(drift)
            return end(), ""

    (looks, missed), drift = in_host(script)
    assert "" == drift
    assert looks > 0
    assert 0 == missed


def test_who_reads_inside_misses_no_file_while_something_new_comes_above_what_goes(in_host: InHost) -> None:
    """Directories and files alike: each was taken away before the new one was there."""
    root = 'format = 1\nname = "live"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    many = root + "".join(
        f'[[mount]]\ntarget = "/data/{name}"\ntype = "tmpfs"\nfile = [{{ path = "file", content = "" }}]\n'
        for name in "ab"
    )
    many += '[[mount]]\ntarget = "/data/file"\nbind = "/mnt/file"\n'
    entries = ", ".join(f'{{ path = "{path}", content = "" }}' for path in ("a/file", "b/file", "file"))
    single = f'{root}[[mount]]\ntarget = "/data"\ntype = "tmpfs"\nfile = [{entries}]\n'

    def script() -> tuple[int, int]:
        mount("mnt", "/mnt", "tmpfs")
        Path("/mnt/file").touch()
        with standing_tree(plan_of(many)) as tree, reading(tree, "/data/a/file", "/data/b/file", "/data/file") as end:
            tree.change(tree.preview(plan_of(single), Allowed()))
            assert not tree.drift(plan_of(single))
            return end()

    looks, missed = in_host(script, identity="root")
    assert looks > 0
    assert 0 == missed


def test_who_reads_inside_misses_no_file_while_something_new_comes_with_all_that_stands_on_it(in_host: InHost) -> None:
    """And back: it was refused for the moment in which only the new one was there."""

    def tmpfs(target: str, more: str = "") -> str:
        entry = '[[mount.file]]\npath = "file"\ncontent = ""\n'
        return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\n{more}{entry}'

    root = 'format = 1\nname = "live"\n[peer_group.g]\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\npeer_group = "r"\n'
    root += "[peer_group.r]\n" + tmpfs("/peer", 'id = "peer"\npeer_group = "g"\n')
    first = root + tmpfs("/data/a") + tmpfs("/data/b") * 2 + tmpfs("/data/c/d")
    second = root + tmpfs("/data", 'source = "low"\n') + tmpfs("/data", "unbindable = true\n")
    second += tmpfs("/data/a", "unbindable = true\n") + tmpfs("/data/b")
    second += '[[mount]]\ntarget = "/data/c/d"\nbind = { mount = "peer" }\nmaster = "g"\n'
    second += '[[mount]]\ntarget = "/file"\nbind = { mount = "peer", path = "/file" }\n' * 2  # files on files, too

    def script() -> tuple[int, int]:
        plans = [plan_of(first), plan_of(second)]
        with standing_tree(plans[0]) as tree, reading(tree, "/data/a/file", "/data/b/file", "/data/c/d/file") as end:
            for number in range(max(6, SWAPS // 6)):
                now, wanted = tree.became(plans[number % 2]), plans[(number + 1) % 2]
                now.change(now.preview(wanted, Allowed()))
                assert not tree.drift(wanted), tree.drift(wanted)
            return end()

    looks, missed = in_host(script)
    assert looks > 0
    assert 0 == missed

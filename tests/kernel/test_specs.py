"""Every spec in specs/ is applied on the real kernel, and keeps what its first lines promise."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.planner.tables.table import MountTable
from tests.hosts import CHECKOUT, Identity, InHost, mount
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REMOUNT, MS_SHARED, MS_SLAVE
from tests.trees import Tree, tree

Result = TypeVar("Result")

SPECS = sorted(path.name for path in (CHECKOUT / "specs").glob("*.toml"))
NEEDED = {
    "idmap.toml": ("idmap-tmpfs",),
    "idmapped-layers.toml": ("idmap-tmpfs", "fs:overlay"),
    "live.toml": ("loop", "mksquashfs", "fs:squashfs", "fs:overlay"),
}
ROOTLESS = ("complex-sharing.toml", "disjoint-group.toml", "hello.toml", "hidden.toml", "overlay.toml")

pytestmark = pytest.mark.needs_kernel("set-group")


def path_of(name: str) -> str:
    return str(CHECKOUT / "specs" / name)


def with_feed(function: Callable[[], Result]) -> Callable[[], Result]:
    """`function`, on a host that has what feed.toml wants: /srv/feed, shared; and the medium of live.toml."""

    def script() -> Result:
        mount("srv", "/srv", "tmpfs")
        if shutil.which("mksquashfs"):
            os.makedirs("/srv/root/etc")
            os.makedirs("/srv/medium/live")
            for what, image in (("root", "medium/live/root.squashfs"), ("medium", "medium.squashfs")):
                command = ["mksquashfs", f"/srv/{what}", f"/srv/{image}", "-quiet", "-no-progress"]
                subprocess.run(command, check=True, capture_output=True)
        os.mkdir("/srv/feed")
        mount("feed", "/srv/feed", "tmpfs")
        mount("", "/srv/feed", flags=MS_SHARED)
        return function()

    return script


def lend(name: str, use: Callable[[Tree], Result]) -> Callable[[], Result]:
    def script() -> Result:
        with tree(api.plan(api.load(path_of(name)))) as built:
            return use(built)

    return script


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.needs_kernel(*NEEDED.get(name, ()))) for name in SPECS],
)
def test_a_spec_is_built_and_verified_and_leaves_the_host_as_it_was(name: str, in_host: InHost) -> None:
    def script() -> tuple[bool, int]:
        before = Path("/proc/self/mountinfo").read_bytes()
        applied = api.build_and_forget(api.plan(api.load(path_of(name))))
        return before == Path("/proc/self/mountinfo").read_bytes(), len(applied.tables[0][1].rows)

    unchanged, mounts = in_host(with_feed(script), identity="root")
    assert unchanged
    assert mounts >= 3


@pytest.mark.needs_kernel("userns")
@pytest.mark.parametrize("name", ROOTLESS)
def test_a_spec_that_takes_nothing_of_roots_is_built_by_an_ordinary_user(name: str, in_host: InHost) -> None:
    def script() -> int:
        return len(api.build_and_forget(api.plan(api.load(path_of(name)))).tables[0][1].rows)

    assert in_host(script, identity="userns") >= 3


@pytest.mark.needs_kernel("root", "idmap-tmpfs", "mksquashfs")
def test_the_same_spec_gives_the_same_plan_byte_for_byte_in_every_process(in_host: InHost) -> None:
    """Python's hashes differ from process to process, and with them the order of sets."""
    program = (
        "import sys; from mountplan import api; from mountplan.planner.plan.planfile import dump_plan\n"
        "for path in sys.argv[1:]: print(dump_plan(api.plan(api.load(path))))"
    )

    def script() -> list[bytes]:
        return [
            subprocess.run(
                [sys.executable, "-c", program, *map(path_of, SPECS)],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(CHECKOUT)},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        ]

    first, second = in_host(with_feed(script), identity="root")
    assert len(SPECS) == first.count(b'"digest"')
    assert first == second


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("identity", ["root", "nobody"])
def test_python_runs_in_the_sandbox_and_cannot_change_the_machine(in_host: InHost, identity: Identity) -> None:
    def run(*command: str) -> tuple[str, str, int]:
        arguments = [sys.executable, "-m", "mountplan", "run", path_of("sandbox.toml"), "--", *command]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=CHECKOUT)
        return done.stdout, done.stderr, done.returncode

    def script() -> list[tuple[str, str, int]]:
        return [
            run("python3", "-c", 'print("hi")'),
            run("sh", "-c", "echo x > /dev/null && echo y > /tmp/y && cat /tmp/y && echo /proc/[0-9]*"),
            run("sh", "-c", "touch /usr/new /etc/new; exit 7"),
        ]

    hi, inside, refused = in_host(script, identity=identity)
    assert ("hi\n", "", 0) == hi
    assert "y" == inside[0].split()[0]
    assert inside[0].split()[1:] in (["/proc/1", "/proc/2"], ["/proc/1"]), "nothing else runs in there"
    assert 2 == refused[1].count("Read-only file system")
    assert 7 == refused[2]


@pytest.mark.needs_kernel("root", "device-nodes", "fs:overlay")
def test_the_container_has_an_overlay_as_root_and_files_of_its_own_over_it(in_host: InHost) -> None:
    def look() -> list[str]:
        Path("/new").write_text("written\n")
        return [
            Path("/new").read_text(),
            Path("/srv/app/README").read_text(),
            Path("/etc/hostname").read_text(),
            ",".join(sorted(os.listdir("/"))),
        ]

    def use(built: Tree) -> tuple[list[str], list[tuple[str, str]]]:
        rows = [built.at(path) for path in ("/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")]
        return built.inside(look), [(row.fstype, row.root) for row in rows]

    seen, rows = in_host(lend("container.toml", use), identity="root")
    assert ["written\n", "a second layer, on top of the first\n", "box\n"] == seen[:3]
    assert "bin,dev,etc,lib,lib64,new,proc,root,sbin,srv,sys,tmp,usr" == seen[3], "and nothing of the layers' store"
    assert [
        ("overlay", "/"),
        ("tmpfs", "/files/hosts"),
        ("tmpfs", "/files/hostname"),
        ("tmpfs", "/files/resolv.conf"),
    ] == rows


@pytest.mark.needs_kernel("root", "device-nodes", "fs:overlay")
def test_the_container_hides_paths_of_proc_and_makes_others_read_only(in_host: InHost) -> None:
    candidates = ("/proc/acpi", "/proc/keys", "/proc/timer_list", "/sys/firmware")
    hidden = [path for path in candidates if os.path.exists(path)]

    def look() -> tuple[list[object], list[int]]:
        contents: list[object] = []
        contents += [os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes() for path in hidden]
        refused = []
        for path in ("/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity", "/sys/kernel/profiling"):
            try:
                os.close(os.open(path, os.O_WRONLY))
                refused.append(0)
            except OSError as error:
                refused.append(error.errno or 0)
        return contents, refused

    def use(built: Tree) -> tuple[list[object], list[int]]:
        return built.inside(look)

    contents, refused = in_host(lend("container.toml", use), identity="root")
    assert [None] * len(hidden) == [one or None for one in contents]
    erofs, enoent = 30, 2
    assert erofs == refused[0]
    assert {erofs, enoent} >= set(refused)


@pytest.mark.needs_kernel("root")
def test_what_the_host_mounts_in_the_feed_arrives_and_what_is_mounted_inside_does_not_leave(in_host: InHost) -> None:
    def use(built: Tree) -> tuple[list[str], list[str], int]:
        os.mkdir("/srv/feed/from-host")
        os.mkdir("/srv/feed/from-inside")
        mount("late", "/srv/feed/from-host", "tmpfs")
        built.inside(lambda: mount("mine", "/srv/feed/from-inside", "tmpfs"))
        inside = [row.source for row in built.table.rows if row.mountpoint.startswith("/srv/feed/")]
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        outside = [line.split(" ")[4] for line in lines if " /srv/feed/" in line]
        return inside, outside, built.all_at("/srv/feed")[-1].master

    inside, outside, master = in_host(with_feed(lend("feed.toml", use)), identity="root")
    assert master > 0
    assert ["late", "mine"] == sorted(inside)
    assert ["/srv/feed/from-host"] == outside


def sharing(table: MountTable, top: str) -> list[tuple[str, str, bool, int, int]]:
    """(mountpoint, root, read-only, group, master) of each mount below `top`, with groups numbered as they occur."""
    numbers = {0: 0}
    shape = []
    for row in sorted(table.rows, key=lambda row: row.mountpoint):
        if not (row.mountpoint + "/").startswith(top + "/"):
            continue
        mountpoint = row.mountpoint[len(top) :] or "/"
        group, master = (numbers.setdefault(number, len(numbers)) for number in (row.peer_group, row.master))
        shape.append((mountpoint, row.root, row.attributes.startswith("ro"), group, master))
    return shape


def mount_it_the_classic_way(top: str) -> None:
    """The topology of complex-sharing.toml with mount(2): by propagating, and then changing what came of that."""
    sorts = ("private", "shared", "slave", "slave-shared")

    def change(path: str, *flags: int) -> None:
        for flag in flags:
            mount("", f"{top}/{path}", flags=flag)

    mount("around", top, "tmpfs")
    change("", MS_PRIVATE)
    for name in (*(f"peer-{number}" for number in (1, 2, 3, 4)), *sorts):
        os.mkdir(f"{top}/{name}")
    mount("peers", f"{top}/peer-1", "tmpfs")
    change("peer-1", MS_SHARED)
    for name in (*sorts, "flags"):
        os.mkdir(f"{top}/peer-1/{name}")
    for number in (2, 3, 4):
        mount(f"{top}/peer-1", f"{top}/peer-{number}", flags=MS_BIND)
    mount("second", f"{top}/private", "tmpfs")
    change("private", MS_PRIVATE)
    os.mkdir(f"{top}/private/subdir")
    for source, target, kind in (
        ("private", "shared", MS_SHARED),
        ("shared", "slave", MS_SLAVE),
        ("slave", "slave-shared", MS_SHARED),
    ):
        mount(f"{top}/{source}", f"{top}/{target}", flags=MS_BIND)
        change(target, kind)
    for sort in sorts:
        mount(f"{top}/{sort}/subdir", f"{top}/peer-1/{sort}", flags=MS_BIND)
    for sort in sorts:
        change(f"peer-2/{sort}", MS_PRIVATE)
        change(f"peer-3/{sort}", MS_SLAVE)
        change(f"peer-4/{sort}", MS_PRIVATE, MS_SHARED)
    mount(f"{top}/private/subdir", f"{top}/peer-1/flags", flags=MS_BIND)
    for number in (1, 2):
        change(f"peer-{number}/flags", MS_RDONLY | MS_REMOUNT | MS_BIND)


@pytest.mark.needs_kernel("mountns")
def test_complex_sharing_comes_out_as_the_classic_calls_make_it(in_host: InHost, tmp_path: Path) -> None:
    """CRIU's mount_complex_sharing propagates binds among four peers and then changes the copies one by one."""

    def classic() -> list[tuple[str, str, bool, int, int]]:
        from mountplan.applier.observe.observe import observe

        mount_it_the_classic_way(str(tmp_path))
        return sharing(observe(), str(tmp_path))

    def ours(built: Tree) -> list[tuple[str, str, bool, int, int]]:
        return sharing(built.table, "")

    expected = in_host(classic)
    assert 29 == len(expected)
    assert expected == in_host(lend("complex-sharing.toml", ours))


@pytest.mark.needs_kernel("mountns")
def test_a_mount_in_one_member_of_the_disjoint_group_is_seen_in_all_that_show_its_place(in_host: InHost) -> None:
    def use(built: Tree) -> list[list[str]]:
        before = built.mountpoints()
        found = []
        for target in ("/peers/bb/c/here", "/peers/a/here", "/slaves/c/here", "/slaves/bb/c/here"):
            built.inside(lambda target=target: mount("new", target, "tmpfs"))  # type: ignore[misc]
            now = built.mountpoints()
            for one in before:
                now.remove(one)
            found.append(now)
            before = built.mountpoints()
        return found

    in_c, in_a, in_copy, in_slave = in_host(lend("disjoint-group.toml", use))
    assert ["/peers/bb/c/here", "/peers/c/here", "/slaves/bb/c/here", "/slaves/c-again/here", "/slaves/c/here"] == in_c
    assert ["/peers/a/here"] == in_a
    assert ["/slaves/c-again/here", "/slaves/c/here"] == in_copy
    assert ["/slaves/bb/c/here"] == in_slave


@pytest.mark.needs_kernel("mountns")
def test_nothing_shows_the_whole_filesystem_of_the_disjoint_group(in_host: InHost) -> None:
    def use(built: Tree) -> list[str]:
        device = built.at("/peers/a").device
        return sorted(row.root for row in built.table.rows if row.device == device)

    assert ["/a", "/bb", "/bb", "/bb/c", "/bb/c", "/bb/c"] == in_host(lend("disjoint-group.toml", use))


@pytest.mark.needs_kernel("mountns")
def test_covered_mounts_stand_where_the_spec_puts_them(in_host: InHost) -> None:
    """No path leads to them, but the ids of mountinfo tell who stands on whom."""

    def use(built: Tree) -> tuple[dict[str, str], list[bool]]:
        rows = built.table.rows
        source = {row.mount_id: row.source for row in rows}
        device = {row.source: row.device for row in rows}

        def seen(path: str, name: str) -> bool:
            number = built.inside(lambda: os.stat(path).st_dev)
            return device[name] == f"{os.major(number)}:{os.minor(number)}"

        return (
            {row.source: f"{source.get(row.parent_id, 'nothing')}:{row.mountpoint}" for row in rows},
            [seen("/", "top"), seen("/stack", "third"), seen("/tree", "cover")],
        )

    stands_on, seen = in_host(lend("hidden.toml", use))
    assert {
        "bottom": "nothing:/",
        "top": "bottom:/",
        "under": "bottom:/under/the/root",
        "first": "top:/stack",
        "second": "first:/stack",
        "third": "second:/stack",
        "inside": "first:/stack/inside",
        "cover": "top:/tree",
        "leaf": "top:/tree/branch/leaf",
    } == stands_on
    assert [True, True, True] == seen

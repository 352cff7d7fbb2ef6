"""The fixtures that mountplan gives to other people's tests, used as they would use them."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mountplan.applier.build.standby import Standby
from mountplan.applier.probe.probe import Finding
from mountplan.planner.errors import SpecRef, StepRefused
from mountplan.pytest_plugin import Mountplan
from mountplan.tree import Tree
from tests.hosts import CHECKOUT, InHost, moments
from tests.trees import TWO_NAMESPACES

pytest_plugins = ["pytester"]

HELLO = """
format = 1
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/data"
type = "tmpfs"
[[mount.file]]
path = "greeting"
content = "hello"
"""
TWO = f"format = 1\n{TWO_NAMESPACES}"


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


@pytest.mark.needs_kernel("mountns")
def test_a_function_called_in_a_tree_sees_the_tree(mountplan: Mountplan) -> None:
    """Its result comes back by pickle."""
    assert "hello" == mountplan(HELLO).call(_read, "/data/greeting")


@pytest.mark.needs_kernel("mountns")
def test_an_exception_comes_back_with_the_traceback_from_inside(mountplan: Mountplan) -> None:
    """A failed assertion in there must be readable out here."""
    with pytest.raises(FileNotFoundError) as caught:
        mountplan(HELLO).call(_read, "/nosuch")
    assert "in _read" in str(caught.value.__cause__)


@pytest.mark.needs_kernel("mountns")
def test_a_command_runs_in_the_tree(mountplan: Mountplan) -> None:
    """The inherited tree has the machine's programs; what the spec adds is seen by them."""
    tree = mountplan('format = 1\nroot = "inherit"\n[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\n')
    assert "tmpfs\n" == tree.run(["stat", "-f", "-c", "%T", "/mnt"], check=True).stdout


@pytest.mark.needs_kernel("mountns")
def test_the_root_can_be_looked_at_from_outside(mountplan: Mountplan) -> None:
    """Through /proc/PID/root, as long as the tree is open."""
    assert "hello" == (mountplan(HELLO).root / "data/greeting").read_text()


@pytest.mark.needs_kernel("mountns")
@pytest.mark.mountplan(HELLO)
def test_the_mark_names_the_spec(mountplan: Mountplan) -> None:
    """A fixture of the user's own can then build what its test is marked with."""
    assert ("/", "/data") == tuple(row.mountpoint for row in mountplan().observe().rows)


@pytest.mark.needs_kernel("mountns")
@pytest.mark.mountplan(
    f'{HELLO}[parameters]\nx = "/there"\n[[mount]]\ntarget = "${{x}}"\nbind = "./{Path(__file__).name}"\n'
)
def test_a_spec_takes_values_and_the_files_beside_its_test(mountplan: Mountplan) -> None:
    """Text and dict are in no file; their paths count from where the test is."""
    assert "pytester" in mountplan().call(_read, "/there")
    assert "pytester" in mountplan(parameters={"x": "/here"}).call(_read, "/here")
    made = {"format": 1, "parameters": {"x": "/y"}, "mount": [{"target": "/", "type": "tmpfs"}], "include": []}
    made["mount"].append({"target": "${x}", "bind": "./"})  # type: ignore[attr-defined]
    assert "pytester" in mountplan(made, parameters={"x": "/z"}).call(_read, f"/z/{Path(__file__).name}")


@pytest.mark.needs_kernel("mountns")
def test_a_change_inside_is_drift(mountplan: Mountplan) -> None:
    """drift() looks at what stands there now, not at what stood there once."""
    tree = mountplan(HELLO)
    assert () == tree.drift()
    tree.call(_unmount, b"/data")
    assert ["/data"] == [difference.mount for difference in tree.drift()]


def _unmount(path: bytes) -> None:
    from mountplan.applier.sys import syscalls

    syscalls.umount2(path, 2)


@pytest.mark.needs_kernel("mountns")
def test_each_namespace_can_be_entered(mountplan: Mountplan) -> None:
    """By name, in its order, with a namespace file of its own."""
    tree = mountplan(TWO)
    assert ("one", "two") == tree.names
    assert 2 == len({os.stat(tree.namespace(name)).st_ino for name in tree.names})
    assert [1, 1] == [len(tree.observe(name).rows) for name in tree.names]
    assert () == tree.drift()


@pytest.mark.needs_kernel("mountns")
def test_the_same_spec_gives_the_same_topology_again(mountplan: Mountplan) -> None:
    """Two trees at once, from one text: neither differs from the other's plan."""
    first, second = mountplan(TWO), mountplan(TWO)
    assert first.plan == second.plan
    assert () == first.drift() == second.drift()


def test_what_is_missing_skips_with_its_name_and_fails_if_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A skip without a reason hides a machine on which nothing is tested."""
    pytester.makepyfile(
        """
        def test_it(mountplan):
            mountplan('format = 1\\n[[mount]]\\ntarget = "/"\\ntype = "tmpfs"\\n')
        """
    )
    finding = Finding("filesystem:tmpfs", False, "fsopen: refused", "mounting a new tmpfs", "none")

    def refuse(_: object, standby: Standby) -> Tree:
        raise StepRefused(
            number=1, step="new tmpfs", origin=SpecRef("x", ""), syscall="fsopen", errno=1, meaning="no", remedy=""
        )

    monkeypatch.setattr("mountplan.tree.build", refuse)
    monkeypatch.setattr("mountplan.applier.probe.probe.missing", lambda features: (finding,))
    pytester.runpytest_inprocess("-rs").stdout.fnmatch_lines(["*mounting a new tmpfs does not work here*"])
    assert 1 == pytester.runpytest_inprocess("--mountplan-require").ret


@pytest.mark.needs_kernel("mountns")
def test_a_changed_host_fails_the_test_and_names_the_mount(in_host: InHost, tmp_path: Path) -> None:
    """The watch is of no use if it cannot bark: at a mount, and at an option of a superblock."""
    (tmp_path / "test_it.py").write_text(
        """
import pytest
from tests.hosts import mount
from tests.mountflags import MS_REMOUNT

pytestmark = pytest.mark.usefixtures("mountplan_host_unchanged")

def test_a_mount():
    mount("added", "/mnt", "tmpfs", data="size=4k")

def test_an_option():
    mount("", "/mnt", flags=MS_REMOUNT, data="size=8k")

def test_nothing():
    pass
"""
    )

    def script() -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-rN", "-p", "no:cacheprovider", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
        return ended.returncode, ended.stdout

    status, out = in_host(script, reach=(tmp_path,))
    assert 1 == status
    assert "3 passed, 2 errors" in out
    changes = [
        line[0] + line.rpartition(" ")[2].partition(",uid=")[0]
        for line in out.splitlines()
        if line.startswith(("- ", "+ "))
    ]
    assert ["+rw,size=4k", "-rw,size=4k", "+rw,size=8k"] == changes


def test_an_unused_plugin_imports_nothing_of_weight() -> None:
    """pytest loads it wherever mountplan is installed."""
    code = (
        "import sys, mountplan.pytest_plugin as p; print(sorted(m for m in sys.modules if m.startswith('mountplan')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "['mountplan', 'mountplan.pytest_plugin', 'mountplan.version']\n" == out


def _run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *options)


@pytest.mark.needs_kernel("mountns")
def test_every_test_on_the_page_passes(pytester: pytest.Pytester) -> None:
    """docs/pytest.md, each block a file, as a reader would copy it; two of them at a time by pytest-xdist as well."""
    page = (CHECKOUT / "docs/pytest.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    for number, block in enumerate(blocks):
        pytester.makepyfile(**{f"test_page_{number}": block})
    tests = sum(len(re.findall(r"^def test_", block, re.MULTILINE)) for block in blocks)
    assert tests == 11
    _run(pytester, "--mountplan-require", "-p", "xdist").assert_outcomes(passed=tests)
    _run(pytester, "--mountplan-require", "-n", "2", "--dist", "load", "-W", "default").assert_outcomes(passed=tests)


PAIR = """
format = 1
[peer_group.pair]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "a"
target = "/a"
type = "tmpfs"
peer_group = "pair"
[[mount]]
target = "/b"
bind = { mount = "a" }
peer_group = "pair"
[[mount]]
target = "/c"
bind = { mount = "a" }
"""


@pytest.mark.needs_kernel("mountns")
def test_mounts_are_made_and_taken_away_as_a_process_inside_would(mountplan: Mountplan) -> None:
    tree = mountplan(PAIR)
    tree.mount("/a/sub", create=True, options={"size": "8k"}, attributes=["ro"])
    mounts = tree.mounts()
    assert {"/", "/a", "/b", "/c", "/a/sub", "/b/sub"} == set(mounts)
    assert mounts["/b/sub"].attributes == "ro,relatime"
    assert mounts["/b/sub"].peer_group == mounts["/a/sub"].peer_group != 0
    assert "size=8k" in mounts["/a/sub"].options
    tree.mount("/c", bind="/a", recursive=True)
    assert "/c/sub" in tree.mounts()
    tree.umount("/c", recursive=True)  # a peer of /a by now, so that what goes there goes everywhere
    assert {"/", "/a", "/b", "/c"} == set(tree.mounts())
    assert () == tree.drift()
    with pytest.raises(OSError, match="/nosuch") as caught:
        tree.mount("/nosuch")
    assert errno.ENOENT == caught.value.errno
    assert "create=True makes it" in str(caught.value)
    for wrong, told in (
        ({"bind": "/etc"}, "open_tree: No such file or directory in the tree: '/etc'"),
        ({"type": "nosuch"}, "fsopen: No such device (ENODEV): 'nosuch'"),
    ):
        with pytest.raises(OSError, match=re.escape(told)):
            tree.mount("/c", **wrong)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="/a/sub") as caught:
        tree.umount("/a/sub")
    assert caught.value.errno in (errno.ENOENT, errno.EINVAL)


@pytest.mark.needs_kernel("mountns")
def test_whether_a_mount_reaches_a_place_is_tried_and_told(mountplan: Mountplan) -> None:
    """For a moment only; and where it does not, it says where it shows, and how the two places are shared."""
    tree = mountplan(PAIR)
    tree.assert_reaches("/a", "/b")
    assert (True, False, False) == (tree.reaches("/b", "/a"), tree.reaches("/a", "/c"), tree.reaches("/c", "/a"))
    tree.assert_reaches("/a/new", "/b/new", create=True)
    assert () == tree.drift()
    with pytest.raises(AssertionError) as caught:
        tree.assert_reaches("/a", "/c")
    told = str(caught.value).splitlines()
    assert ["a mount at /a does not reach /c", "  it shows at /a, /b"] == told[:2]
    assert told[3] == "  /c is on the mount /c, which is private"
    two = mountplan(TWO)
    two.mount("/d", create=True, namespace="one")
    two.umount("/d", namespace="one")
    two.assert_reaches("/d", "/d", namespace="one", other_namespace="two")


@pytest.mark.needs_kernel("mountns")
def test_trees_are_the_same_or_it_is_told_how_they_differ(mountplan: Mountplan) -> None:
    one, other = mountplan(PAIR), mountplan(PAIR)
    one.assert_same(other)
    other.umount("/c")
    with pytest.raises(AssertionError, match="the trees differ:\n/c"):
        one.assert_same(other)


@pytest.mark.needs_kernel("mountns")
def test_a_command_has_a_directory_and_a_user(mountplan: Mountplan) -> None:
    """And what goes wrong is raised as subprocess would raise it: whatever is not there."""
    tree = mountplan({"format": 1, "root": "inherit", "mount": [{"target": "/mnt", "type": "tmpfs"}]})
    assert "/mnt\n" == tree.run(["pwd"], cwd="/mnt").stdout
    assert "0\n" == tree.run(["id", "-u"], user=0 if os.geteuid() == 0 else None).stdout
    if os.geteuid() == 0:
        assert "65534 65534\n" == tree.run(["sh", "-c", "echo $(id -u) $(id -g)"], user="nobody").stdout
    else:
        with pytest.raises(OSError, match="user 4000000: a user namespace has only the ids that are mapped"):
            tree.run(["true"], user=4_000_000)  # of no range of ids
    for words, options, name in ((["nosuch"], {}, "nosuch"), (["true"], {"cwd": "/no/where"}, "/no/where")):
        with pytest.raises(FileNotFoundError) as caught:
            tree.run(words, **options)  # type: ignore[call-overload]
        assert name == caught.value.filename
        assert "No such file or directory in the tree" == caught.value.strerror
    with pytest.raises(ValueError, match="no user 'nosuch'"):
        tree.run(["true"], user="nosuch")
    with pytest.raises(subprocess.TimeoutExpired):
        tree.run(["sleep", "60"], timeout=0.1)
    with pytest.raises(subprocess.CalledProcessError):
        tree.run(["false"], check=True)


@pytest.mark.needs_kernel("mountns")
def test_what_is_not_mounted_is_told_with_what_is(mountplan: Mountplan) -> None:
    with pytest.raises(KeyError) as caught:
        mountplan(PAIR).mounts()["/aa"]
    assert str(caught.value).startswith("nothing is mounted on /aa; did you mean /a?\nTARGET")


@pytest.mark.needs_kernel("mountns")
def test_failed_assertions_say_what_is_there_and_end_in_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=f"""
import mountplan as m
PAIR = {PAIR!r}
def test_in(mountplan):
    assert "/d" in mountplan(PAIR).mounts()
def test_equal(mountplan):
    one, other = mountplan(PAIR), mountplan(PAIR)
    other.umount("/c")
    assert one.mounts() == other.mounts()
def test_drift(mountplan):
    tree = mountplan(PAIR)
    tree.umount("/c")
    assert tree.drift() == ()
def test_reaches(mountplan):
    mountplan(PAIR).assert_reaches("/a", "/c")
def test_program(mountplan):
    mountplan(PAIR).run(["nosuch"])
def test_inside(mountplan):
    def inside():
        assert 1 == 2
    mountplan(PAIR).call(inside)
def test_call(mountplan):
    mountplan(PAIR).call(int, "x")
def test_mount(mountplan):
    mountplan(PAIR).mount("/none/x")
def test_closed(mountplan):
    tree = mountplan(PAIR)
    tree.close()
    tree.mounts()
def test_nothing(mountplan):
    mountplan()
def test_truth_of_reach(mountplan):
    assert mountplan(PAIR).reaches("/a", "/c")
def test_truth_of_no_reach(mountplan):
    tree = mountplan(PAIR)
    assert not tree.reaches("/a", "/b"), "a word of the test's own"
def test_truth_of_drift(mountplan):
    tree = mountplan(PAIR)
    tree.umount("/c")
    assert not tree.drift()
"""
    )
    done = _run(pytester, "--mountplan-require")
    done.assert_outcomes(failed=13)
    out = done.stdout.str()
    for line in (
        "*assert nothing is mounted on /d*", "*─c *tmpfs *private*", "*assert the mounts differ*", "*    mount: *",
        "*what stands there is not what was wanted*", "*a mount at /a does not reach /c*", "*assert 1 == 2*",
    ):  # fmt: skip
        done.stdout.fnmatch_lines([line])
    for lines in (
        [
            "E*assert reaches('/a', '/c')",
            "E*a mount at /a does not reach /c",
            "E*it shows at /a, /b",
            "E*/a is on */a*",
        ],
        [
            "E*a word of the test's own",
            "E*assert not reaches('/a', '/b')",
            "E*a mount at /a reaches /b",
            "E* /b is on *",
        ],
        ["E*assert not drift()", "E*/c*", "E*mount: only in wanted: tmpfs*"],
    ):
        done.stdout.fnmatch_lines(lines)
    assert "<Tree of" not in out
    own = ("tree", "calls_inside", "pytest_plugin")
    for place in (*(f"mountplan/{one}.py" for one in own), "applier/sys/mounting.py", "subprocess.py"):
        assert place not in out
    assert "mountplan/tree.py" in _run(pytester, "--full-trace", "-k", "program").stdout.str()


def test_a_mistake_in_a_text_is_told_with_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    """Where the text stands in the file as it is; otherwise by its own lines, and so called."""
    pytester.makepyfile(
        test_it='''
        def test_literal(mountplan):
            mountplan("""
                format = 1
                [[mount]]
                target = "/"
                typ = "tmpfs"
            """)

        def test_put_together(mountplan):
            mountplan("\\n".join(["format = 1", "[[mount]]", 'target = "/"', 'typ = "tmpfs"']))

        def test_dict(mountplan):
            mountplan({"format": 1, "mount": [{"target": "/", "typ": "tmpfs"}]})
        '''
    )
    done = _run(pytester)
    done.assert_outcomes(failed=3)
    done.stdout.fnmatch_lines(["*SpecError: test_it.py:6: mount[[]0[]].typ: unknown key"])
    done.stdout.fnmatch_lines(["*SpecError: TOML text in test_it.py, test_put_together:4: mount[[]0[]].typ: *"])
    done.stdout.fnmatch_lines(["*SpecError: dict in test_it.py, test_dict: mount[[]0[]].typ: unknown key"])
    assert "mountplan/pytest_plugin.py" not in done.stdout.str()


@pytest.mark.needs_kernel("mountns")
@pytest.mark.parametrize("how", ["raise RuntimeError", "raise KeyboardInterrupt", "os.kill(os.getpid(), 9)"])
def test_nothing_is_left_however_a_test_ends(how: str, pytester: pytest.Pytester) -> None:
    """No process that holds a tree, of the test's, the module's or the session's; and no descriptor."""
    pytester.makepyfile(
        test_it=f"""
import os
import pytest
PAIR = {PAIR!r}
@pytest.fixture(scope="module")
def standing(mountplan_factory):
    with mountplan_factory(PAIR) as tree:
        yield tree
def test_before(mountplan):
    mountplan(PAIR)
def test_descriptors(mountplan):
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with mountplan(PAIR) as tree:
            tree.run(["true"]) if os.path.exists("/nonesuch") else tree.call(os.getpid)
            tree.mounts()
    assert before == os.listdir("/proc/self/fd")
def test_it(mountplan, mountplan_factory, standing):
    trees = [mountplan(PAIR), mountplan_factory(PAIR), standing]
    with open("pids", "w") as file:
        file.write(" ".join(str(tree.pid) for tree in trees))
    {how}
"""
    )
    done = _run(pytester, "--mountplan-require")
    pids = (pytester.path / "pids").read_text().split()
    assert 3 == len(set(pids)), done.stdout.str()
    for _ in moments():
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            break
    assert [] == [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    if "kill" not in how:
        done.assert_outcomes(passed=2, failed=int("Runtime" in how))


@pytest.mark.needs_kernel("mountns")
def test_a_tree_that_a_thread_has_built_stays_when_that_ends(mountplan: Mountplan) -> None:
    """The kernel would send a signal to the holder: it tells of the end of the thread, not of the process."""
    built: list[Tree] = []
    thread = threading.Thread(target=lambda: built.append(mountplan(HELLO)))
    thread.start()
    thread.join()
    time.sleep(0.05)
    assert "hello" == built[0].call(_read, "/data/greeting")

"""What went wrong in mount set-up elsewhere, and must not here; each test says which kind of thing it is.

Others are in tests/applier: links that lead out, and what is not what it seems, in test_swapping.py; what leaks to a
command in test_leaks.py; tables that change while they are read in test_observe.py; mounts that others have replaced
in test_kept.py; SIGKILL at every step in test_faults.py.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import tomli_w

from mountplan import api, keeping
from mountplan.applier.keep import store
from mountplan.applier.sys.private import new_directory
from mountplan.cli import main
from mountplan.planner.errors import MountplanError, SpecError, StepRefused
from mountplan.planner.language.values import escape
from mountplan.planner.plan.planfile import dump_plan
from tests.applier.test_limits import meanwhile
from tests.commands import outcome, programs
from tests.faulthost import SPEC, State, furnish
from tests.hosts import CHECKOUT, InHost, leave_root, mount
from tests.mountflags import MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root", "set-group")


# ---- what the system calls tell -------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A system call that has succeeded: who made it, its name, its arguments as strace writes them, its result."""

    pid: str
    name: str
    arguments: str
    result: int

    @property
    def first(self) -> int:
        """The first argument: a descriptor."""
        return int(self.arguments.partition(",")[0])

    @property
    def path(self) -> str:
        """The first path among the arguments, "" if there is none."""
        found = re.search(r'"([^"]*)"', self.arguments)
        return found[1] if found else ""


def traced(calls: str, *arguments: str) -> list[Call]:
    """The system calls, of those that strace knows by `calls`, of a mountplan with these arguments; it must succeed."""
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-s4096", "-o", "/mnt/trace", "-e", f"trace={calls}"]
    command += [sys.executable, "-m", "mountplan", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return list(_calls(Path("/mnt/trace").read_text()))


def _calls(trace: str) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        if text.startswith("<... "):
            text = begun.pop(pid, "") + text.partition("resumed>")[2]
        match = re.fullmatch(r"(\w+)\((.*)\)\s+= (\d+)(?:<.*>)?", text)
        if match:
            yield Call(pid, match[1], match[2], int(match[3]))


def saved(spec: str) -> str:
    """The file of a plan for `spec`, in a fresh /mnt."""
    Path("/mnt/plan.json").write_text(dump_plan(plan_of(spec)))
    return "/mnt/plan.json"


ATTRIBUTES = f"""{SPEC}
[[mount]]
target = "/closed"
bind = "/mnt/data"
recursive = true
attributes = ["ro", "nosuid", "nodev", "noexec", "nosymfollow"]
[[mount]]
target = "/sealed"
type = "tmpfs"
attributes = ["ro", "nosuid"]
unbindable = true
"""


@pytest.mark.needs_kernel("strace")
def test_no_mount_is_attached_before_it_has_its_attributes(in_host: InHost) -> None:
    """Or there were a moment in which what shall be read-only can be written to, and set-user-id programs be run."""

    def script() -> list[Call]:
        furnish()
        return traced("open_tree,fsmount,move_mount,mount_setattr,close", "apply", "--forget", saved(ATTRIBUTES))

    attached: set[tuple[str, int]] = set()
    changed: set[tuple[str, int]] = set()
    closed = 0
    for call in in_host(script, identity="root"):
        fd = (call.pid, call.result if call.name in ("open_tree", "fsmount") else call.first)
        if call.name in ("open_tree", "fsmount", "close"):
            attached.discard(fd)
            changed.discard(fd)
        elif call.name == "mount_setattr":
            assert fd not in attached, call
            changed.add(fd)
        elif "MOVE_MOUNT_SET_GROUP" not in call.arguments:
            attached.add(fd)
            closed += fd in changed
    assert closed >= 4  # /replica, /closed, /sealed and the yard


FAKE_PROC = {
    "tmpfs": '[[mount]]\ntarget = "/proc"\ntype = "tmpfs"\n[[mount.file]]\npath = "self/ns/mnt"\ncontent = "x"\n',
    "link": '[[mount.file]]\npath = "proc"\nsymlink = "usr"\n',
}
KINDS = '"user", "net", "ipc", "uts", "cgroup", "time"'


def with_proc(kind: str, namespaces: str) -> str:
    """A spec with programs and a fake /proc, and with all that [run] can have."""
    real = '[[mount]]\ntarget = "/proc"\nbind = "/proc"\nrecursive = true\n'
    text = programs(f'unshare = [{namespaces}]\nhostname = "box"\ncapabilities = ["CAP_KILL"]')
    assert real in text
    if kind == "link":  # it is a file of the root
        return text.replace(real, "").replace(
            '[[mount]]\ntarget = "/usr"', FAKE_PROC[kind] + '[[mount]]\ntarget = "/usr"'
        )
    return text.replace(real, FAKE_PROC[kind])


@pytest.mark.needs_kernel("strace")
@pytest.mark.parametrize("kind", FAKE_PROC)
@pytest.mark.parametrize("namespaces", [KINDS, f'{KINDS}, "pid"'], ids=["becoming", "waiting"])
def test_nothing_that_mountplan_needs_comes_from_the_new_root(kind: str, namespaces: str, in_host: InHost) -> None:
    """A /proc in there may be anything, and so may Python's own files: what was written through the one, or imported
    from the others, would be at the mercy of the maker of the tree.
    """

    def script() -> list[Call]:
        mount("none", "/mnt", "tmpfs")
        calls = "%file,setns,pivot_root,unshare"
        return traced(calls, "run", saved(with_proc(kind, namespaces)), "--", "/usr/bin/uname", "-n")

    inside: set[str] = set()
    own: set[str] = set()  # processes in a mount namespace that they have just made, in which no tree stands yet
    seen = set()
    for call in in_host(script, identity="root"):
        if call.name == "unshare" and "CLONE_NEWNS" in call.arguments:
            own.add(call.pid)
        elif call.name == "pivot_root" or (
            call.name == "setns" and "CLONE_NEWNS" in call.arguments and call.pid not in own
        ):
            own.discard(call.pid)
            inside.add(call.pid)
        elif call.name == "execve":
            inside.discard(call.pid)
        elif call.pid in inside and not call.arguments[0].isdigit():  # nor by a descriptor
            seen.add(call.path)
    assert seen, "no process has been inside"
    assert seen <= {"/", "/..", ".", "/usr/bin/uname"}  # which is looked at before it is executed


# ---- propagation to the host, and scratch ---------------------------------------------------------------------------

INHERITED = (
    '[[mount]]\ntarget = "/mnt/one"\ntype = "tmpfs"\n[[mount]]\ntarget = "/mnt/data"\nbind = "/usr"\nrecursive = true\n'
)
TREES = {
    "new root": SPEC,
    "inherited": f'name = "inherited"\n{INHERITED}',
    "slave": f'propagation = "slave"\n{INHERITED}',
}


@pytest.mark.needs_kernel("root", "userns")
@pytest.mark.parametrize(("words", "spec", "host"), [("", "rw", "ro"), ("capabilities = []", "ro", "ro")])
def test_what_a_spec_makes_read_only_stays_so_without_capabilities(
    words: str, spec: str, host: str, in_host: InHost
) -> None:
    """What the host has read-only is locked in a user namespace; what the spec has is its root's to change."""
    binds = "".join(
        f'[[mount]]\ntarget = "/{name}"\nbind = "/mnt/{name}"\nattributes = ["ro"]\n' for name in ("spec", "host")
    )
    script = "for one in spec host; do mount -n -o remount,bind,rw /$one; ! touch /$one/x || echo $one; done; echo end"

    def work() -> str:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("spec", "host"):
            os.mkdir(f"/mnt/{name}")
        mount("/mnt/host", "/mnt/host", "", MS_BIND)
        mount("", "/mnt/host", "", MS_BIND | MS_REMOUNT | MS_RDONLY)
        return outcome(programs(f'unshare = ["user"]\n{words}', binds), "sh", "-c", script, how="run").out

    *written, last = in_host(work, identity="root").split()
    assert "end" == last
    assert (spec, host) == tuple("rw" if name in written else "ro" for name in ("spec", "host"))


@pytest.mark.needs_kernel("nobody", "userns")
@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("kind", TREES)
def test_not_one_event_reaches_a_host_that_shares_all_its_mounts(kind: str, who: str, in_host: InHost) -> None:
    """As systemd leaves it. The kernel tells of every mount and unmount in a table, also of what was undone at once."""

    def script() -> list[tuple[int, int]]:
        furnish()
        plan = plan_of(TREES[kind])
        mount("", "/", flags=MS_REC | MS_SHARED)
        if who == "user":
            leave_root()
        before = Path("/proc/self/mountinfo").read_bytes()
        with open("/proc/self/mountinfo", "rb") as table:
            changes = select.poll()
            changes.register(table, select.POLLPRI)
            table.read()
            api.build_and_forget(plan)
            told = changes.poll(0)
        assert before == Path("/proc/self/mountinfo").read_bytes()
        return told

    assert [] == in_host(script, identity="root")


BY_PATH = ("open", "creat", "mkdir", "mknod", "symlink", "link", "rename")


@pytest.mark.needs_kernel("strace")
@pytest.mark.parametrize("command", ["apply", "run"])
def test_nothing_is_created_by_a_path(command: str, in_host: InHost) -> None:
    """There is no scratch in /tmp, $TMPDIR, /run or the working directory, which others could prepare or clean away.

    What is made in the new namespace is made by descriptors.
    """

    def script() -> list[Call]:
        furnish()
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        calls = f"/^({'|'.join(BY_PATH)})"
        arguments = {"apply": ("apply", "--forget"), "run": ("run",)}[command]
        return traced(calls, *arguments, saved(SPEC), *(("--", "true") if command == "run" else ()))

    made = [
        call
        for call in in_host(script, identity="root")
        if not call.name.startswith("open") or re.search("O_CREAT|O_TMPFILE", call.arguments)
    ]
    assert made
    assert [] == [call for call in made if "AT_FDCWD" in call.arguments or call.name in BY_PATH]


def clean(_: int) -> None:
    """Remove what can be removed of /tmp and /run, as tmpfiles(8) does: without going into other filesystems."""
    for top in ("/tmp", "/run"):
        directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _clean(directory, os.fstat(directory).st_dev)
        finally:
            os.close(directory)


def _clean(directory: int, device: int) -> None:
    for entry in os.listdir(directory):
        try:
            below = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        except FileNotFoundError:
            continue
        except OSError:
            with suppress(OSError):
                os.unlink(entry, dir_fd=directory)
            continue
        try:
            # Asked of what is open: by its path it may be another one by now, a store that was just mounted there.
            if os.fstat(below).st_dev == device:
                _clean(below, device)
        finally:
            os.close(below)
        with suppress(OSError):
            os.rmdir(entry, dir_fd=directory)


def test_a_cleaner_that_is_at_work_meanwhile_does_not_matter(in_host: InHost) -> None:
    def script() -> None:
        furnish()
        plan = plan_of(SPEC)
        before = Path("/proc/self/mountinfo").read_text()
        with meanwhile(clean):
            for _ in range(5):
                api.build_and_forget(plan)
                assert "kept" == keeping.keep(plan).outcome
                assert "healthy" == keeping.look_up("programs").health
                assert () == keeping.remove(("programs",))
        assert before == Path("/proc/self/mountinfo").read_text()

    in_host(script, identity="root")


def test_a_cleaner_may_take_the_directory_of_the_store_before_it_is_mounted_upon(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is empty for a moment, and so just what a cleaner looks for. Then it is made again."""
    mount_on = store._mount_on
    left = [0]

    def clean_first(directory: int) -> None:
        if left:
            clean(left.pop())
            assert not os.path.lexists("/run/mountplan")
        mount_on(directory)

    def script() -> str:
        furnish()
        monkeypatch.setattr(store, "_mount_on", clean_first)
        outcome = keeping.keep(plan_of(SPEC)).outcome
        keeping.remove(("programs",))
        return outcome

    assert "kept" == in_host(script, identity="root")


def test_a_cleaner_may_take_a_new_directory_before_its_mode_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, left = os.open, [0, 1]

    def clean_first(path: str, flags: int, *, dir_fd: int | None) -> int:
        if left:
            os.rmdir(path)
            left.pop()
        return opened(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", clean_first)
    new_directory(f"{tmp_path}/new")
    monkeypatch.undo()
    assert os.path.isdir(tmp_path / "new") and not left


def test_what_others_have_put_into_the_scratch_directories_is_not_used(in_host: InHost) -> None:
    """Whatever names they have guessed: links to a canary, under all that is tried nowadays."""

    def script() -> str:
        furnish()
        Path("/mnt/canary").write_text("canary")
        for top in ("/tmp", "/run", "/mnt/run"):
            for name in ("mountplan", "root", "old", "p0", "p1", ".mountplan", f"mountplan-{os.getpid()}"):
                os.symlink("/mnt/canary", f"{top}/{name}")
        os.environ["TMPDIR"] = "/mnt/run"
        os.chdir("/mnt/run")
        before = State.take()
        api.build_and_forget(plan_of(SPEC))
        with pytest.raises(MountplanError, match="a symlink leads there"):
            keeping.keep(plan_of(SPEC))
        assert not before.compared_with(State.take())
        return Path("/mnt/canary").read_text()

    assert "canary" == in_host(script, identity="root")


# ---- locked flags, too many mounts ----------------------------------------------------------------------------------


@pytest.mark.needs_kernel("nobody", "userns")
def test_flags_that_a_user_namespace_locks_are_kept(in_host: InHost) -> None:
    """Of a bind and of what it brings along. How a wish to drop them is told: tests/applier/test_not_allowed.py."""

    def script() -> list[set[str]]:
        mount("none", "/srv", "tmpfs", flags=MS_NOSUID | MS_NODEV)
        os.mkdir("/srv/below")
        mount("none", "/srv/below", "tmpfs", flags=MS_RDONLY | MS_NOSUID | MS_NODEV)
        leave_root()
        with tree(
            f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "/srv"\nrecursive = true\nattributes = ["noexec"]\n'
        ) as built:
            return [set(built.at(path).attributes.split(",")) for path in ("/x", "/x/below")]

    above, below = in_host(script, identity="root")
    assert {"rw", "nosuid", "nodev", "noexec"} <= above
    assert {"ro", "nosuid", "nodev", "noexec"} <= below


@pytest.mark.needs_kernel("nobody", "userns")
def test_a_plan_that_would_drop_a_locked_flag_is_not_carried_out_with_less(in_host: InHost) -> None:
    """Root may have planned it: without a look at what this user may do."""

    def script() -> tuple[str, str]:
        mount("none", "/srv", "tmpfs", flags=MS_NOSUID | MS_NODEV)
        plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "/srv"\nattributes = ["suid", "noexec"]\n')
        leave_root()
        with pytest.raises(MountplanError) as caught:
            api.build_and_forget(plan)
        return type(caught.value).__name__, str(caught.value)

    kind, text = in_host(script, identity="root")
    assert "NotAllowed" == kind
    assert "mount[1].attributes: suid cannot be set" in text


def test_a_tree_that_has_been_bound_into_itself_is_counted_before_anything_is_touched(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared, and so each bind squares it; a few more binds of all of it would be more than the kernel takes."""

    def script() -> tuple[int, str]:
        mount("none", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_SHARED)
        for number in range(4):
            os.mkdir(f"/mnt/{number}")
        for number in range(4):
            mount("/mnt", f"/mnt/{number}", flags=MS_BIND | MS_REC)
        limit = int(Path("/proc/sys/fs/mount-max").read_text())
        count = len(Path("/proc/self/mountinfo").read_text().splitlines())
        binds = limit // count + 1
        if binds > 200:
            pytest.skip(f"fs.mount-max is {limit}, which takes too many binds")
        assert count > 1806
        spec = "".join(f'[[mount]]\ntarget = "/m{n}"\nbind = "/mnt"\nrecursive = true\n' for n in range(binds))
        monkeypatch.setattr(os, "fork", lambda: pytest.fail("something is built"))
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            status = main(["apply", "--forget", saved_elsewhere(ROOT + spec)])
        return status, said.getvalue()

    status, said = in_host(script, identity="root")
    assert 1 == status
    assert "fs.mount-max allows" in said


def saved_elsewhere(spec: str) -> str:
    mount("none", "/srv", "tmpfs")
    Path("/srv/plan.json").write_text(dump_plan(plan_of(spec)))
    return "/srv/plan.json"


# ---- what could be taken for something else -------------------------------------------------------------------------

ODD = [
    ",ro",
    "a=b",
    "a:b",
    ":",
    "a\\b",
    r"a\012b",
    "a\nb",
    "a\tb",
    'a"b',
    "a'b",
    "a#b",
    " a ",
    "-a",
    "caf\udce9",
    "%s",
    "$x",
]


@pytest.mark.needs_kernel("fs:overlay")
@pytest.mark.parametrize("word", ODD, ids=repr)
def test_a_value_reaches_the_kernel_as_one_value(word: str, in_host: InHost) -> None:
    """As a source, in the path of a target, of a bind, of a layer, of a file: nothing is joined to one string on its
    way, and what is read back is the same.
    """

    def script() -> None:
        mount("none", "/mnt", "tmpfs")
        os.mkdir(f"/mnt/{word}")
        Path(f"/mnt/{word}/canary").touch()
        path = escape(f"/mnt/{word}")
        file = {"path": escape(f"files/{word}"), "content": "x"}
        mounts = [
            {"target": "/", "type": "tmpfs", "source": escape(word), "file": [file]},
            {"target": escape(f"/{word}"), "bind": path},
            {"target": "/merged", "type": "overlay", "layers": [path, "/usr"]},
        ]
        with tree(api.plan(api.load("odd.toml", tomli_w.dumps({"format": 1, "mount": mounts}).encode()))) as built:
            assert word == built.at("/").source
            assert sorted(["/", f"/{word}", "/merged"]) == built.mountpoints()
            assert [word] == built.inside(lambda: os.listdir("/files"))
            assert ["canary"] == built.inside(lambda: os.listdir(f"/{word}"))
            assert "canary" in built.inside(lambda: os.listdir("/merged"))

    in_host(script, identity="root")


INJECTED: list[tuple[str, dict[str, object]]] = [
    ("tmpfs", {"size": "1m,mode=0777"}),
    ("tmpfs", {"size=1m,mode": "0777"}),
    ("tmpfs", {"mode": {"escaped": r"0755\012size=1m"}}),
    ("tmpfs", {"mode": "0755:size=1m"}),
    ("tmpfs", {"nosuid,mode=0777": True}),
    ("tmpfs", {"source": "another"}),
    ("overlay", {"redirect_dir": "on,metacopy=on"}),
    ("overlay", {"lowerdir": "/etc"}),
    ("overlay", {"lowerdir+": "/etc"}),
    ("overlay", {"upperdir": "/tmp"}),
    ("proc", {"hidepid": "0,subset=pid"}),
]


@pytest.mark.needs_kernel("fs:overlay")
@pytest.mark.parametrize(("fstype", "options"), INJECTED, ids=str)
def test_an_option_with_another_one_in_it_is_refused(fstype: str, options: dict[str, object], in_host: InHost) -> None:
    """By the spec, or by the kernel, which is given it whole."""

    def script() -> None:
        mount: dict[str, object] = {"target": "/x", "type": fstype, "options": options}
        if fstype == "overlay":
            mount["layers"] = ["/usr", "/bin"]
        spec = {"format": 1, "mount": [{"target": "/", "type": "tmpfs"}, mount]}
        with pytest.raises((SpecError, StepRefused)) as caught:
            api.build_and_forget(api.plan(api.load("odd.toml", tomli_w.dumps(spec).encode())))
        if isinstance(caught.value, StepRefused):
            assert "EINVAL" == errno.errorcode[caught.value.errno]
            assert caught.value.syscall.startswith("fsconfig")

    in_host(script, identity="root")

"""capture, as a user would type it, on throw-away hosts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mountplan import api, keeping
from mountplan.cli import capture_cmd, main
from tests.hosts import InHost, become, run_in_child
from tests.keptnames import TWO, on_run
from tests.kernel.states import Act, State, running

pytestmark = pytest.mark.needs_kernel("set-group", "root")

FEED: State = [
    Act(0, "begin", (False,)),
    Act(0, "tmpfs", ("/a", "feed", "size=1m", 0)),
    Act(0, "make", ("/a", "shared", False)),
    Act(0, "unshare", (True,)),
    Act(1, "tmpfs", ("/b", "own", "", 0)),
]


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def capture(*words: str) -> Ended:
    """Carry out `mountplan capture` with these words, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["capture", *words])
    return Ended(status, out.getvalue(), err.getvalue())


def test_the_namespace_of_a_process_may_be_named_by_its_number(in_host: InHost) -> None:
    def host() -> tuple[Ended, Ended]:
        with running(FEED) as alive:
            pid = str(alive.pids[1])
            return capture("--json", "--ns", pid), capture("--json", "--ns", f"/proc/{pid}/ns/mnt")

    by_number, by_file = in_host(host)
    assert (0, by_file.json()["namespaces"]) == (by_number.status, by_number.json()["namespaces"])


def test_processes_become_the_namespaces_of_one_spec_in_the_given_order(in_host: InHost) -> None:
    def host() -> list[Ended]:
        with running(FEED) as alive:
            first, second = map(str, alive.pids)
            return [
                capture("--json", "--pid", second, "--pid", first),
                capture("--json", "--pid", first, "--pid", second, "--pid", first),
            ]

    for counts, ended in zip(([3, 2], [2, 3]), in_host(host), strict=True):
        data = ended.json()
        assert counts == [one["mounts"] for one in data["namespaces"]]
        assert () == api.check(data["spec"].encode(), "captured.toml")


@pytest.mark.needs_kernel("foreign-mounts")
def test_a_tree_of_processes_is_captured_with_every_namespace_in_it(in_host: InHost) -> None:
    def host() -> Ended:
        with running(FEED) as alive:
            return capture("--tree", str(alive.pids[0]), "--json", "--name", "both")

    data = in_host(host).json()
    assert "both" == data["name"]
    assert [2, 3] == [one["mounts"] for one in data["namespaces"]]
    assert [] == data["cautions"]
    assert 'name = "both"' in data["spec"]


def test_a_kept_name_is_captured_with_the_names_of_its_namespaces(in_host: InHost, tmp_path: Path) -> None:
    def host() -> tuple[Ended, str]:
        keeping.keep(api.plan(api.load("pair.toml", ("format = 1\n" + TWO).encode())))
        try:
            return capture("pair", "-o", str(tmp_path / "again.toml")), (tmp_path / "again.toml").read_text()
        finally:
            keeping.remove(("pair",))

    ended, text = in_host(on_run(host), identity="root")
    assert (0, "") == (ended.status, ended.out)
    assert f"Saved to {tmp_path}/again.toml; look at it with: mountplan plan" in ended.err
    spec = api.load("again.toml", text.encode())
    assert ("pair", ["left", "right"]) == (spec.name, [one.name for one in spec.namespace])
    assert "feed" in spec.peer_group


def test_without_anything_to_capture_the_ways_to_name_it_are_told() -> None:
    ended = capture()
    assert 2 == ended.status
    assert "name what to capture: --pid N, --tree PID, --ns FILE, or a kept name" in ended.err
    assert "--pid takes the number of a process, not 'nginx'" in capture("--pid", "nginx").err


def test_a_process_that_is_not_there_is_told(in_host: InHost) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert f"process {ended.pid}: there is no such process" in capture("--pid", str(ended.pid)).err


@pytest.mark.parametrize("words", [("--pid", "{}"), ("--ns", "/proc/{}/ns/mnt")], ids=["process", "file"])
def test_the_process_of_another_user_is_told_with_a_remedy(words: tuple[str, str]) -> None:
    def child() -> Ended:
        become(65534)
        return capture(words[0], words[1].format(os.getppid()))

    ended = run_in_child(child)
    assert 3 == ended.status
    assert "belongs to another user, or is protected\n  remedy: run mountplan as root" in ended.err


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/proc/self/ns/net", "is the file of another kind of namespace; name that of a mount namespace"),
        ("/etc/passwd", "is no namespace file; name one such as /proc/PID/ns/mnt"),
        ("/nowhere", "cannot open it: no such file or directory; name a file such as /proc/PID/ns/mnt"),
    ],
)
def test_a_file_that_is_no_mount_namespace_is_told(path: str, what: str) -> None:
    ended = capture("--ns", path)
    assert (2, "") == (ended.status, ended.out)
    assert f"mountplan: {path}: {what}" in ended.err


def with_a_file(*words: str) -> Ended:
    """Capture FEED, of which the one filesystem has a file that a spec would not make."""
    with running(FEED) as alive:
        Path(f"/proc/{alive.pids[0]}/root/a/a/note").write_text("kept")
        return capture("--pid", str(alive.pids[0]), *words)


def test_the_files_are_taken_into_a_directory_beside_the_spec(in_host: InHost, tmp_path: Path) -> None:
    """The spec names it by a path of its own, so that both can go elsewhere together."""

    def host() -> tuple[Ended, str, str]:
        ended = with_a_file("--contents", "-o", f"{tmp_path}/it.toml")
        os.rename(tmp_path, f"{tmp_path}-moved")
        try:
            with api.build(api.plan(api.load(f"{tmp_path}-moved/it.toml"))) as built:
                return ended, Path(f"{tmp_path}-moved/it.toml").read_text(), (built.root / "a/a/note").read_text()
        finally:
            os.rename(f"{tmp_path}-moved", tmp_path)

    ended, text, note = in_host(host, identity="root")
    assert 0 == ended.status, ended.err
    assert 'contents = "it.contents/a"' in text
    assert "kept" == note
    assert 0o700 == (tmp_path / "it.contents").stat().st_mode & 0o777


def test_without_a_spec_file_the_directory_has_to_be_named(in_host: InHost, tmp_path: Path) -> None:
    def host() -> tuple[Ended, Ended]:
        return with_a_file("--contents"), with_a_file(f"--contents={tmp_path}/files")

    nameless, named = in_host(host, identity="root")
    assert 2 == nameless.status
    assert "--contents: name a directory (--contents=DIR), or save the spec with -o" in nameless.err
    assert f'contents = "{tmp_path}/files/a"' in named.out


def test_a_directory_that_is_there_is_never_written_into(in_host: InHost, tmp_path: Path) -> None:
    (tmp_path / "it.contents").mkdir()
    ended = in_host(lambda: with_a_file("--contents", "-o", f"{tmp_path}/it.toml"), identity="root")
    assert 2 == ended.status
    assert f"{tmp_path}/it.contents is there already; name a directory that is not there" in ended.err
    assert ["it.contents"] == os.listdir(tmp_path)
    assert [] == os.listdir(tmp_path / "it.contents")


def test_files_whose_spec_was_not_saved_are_not_left(
    in_host: InHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be in the way of the next attempt."""

    def host() -> list[object]:
        found: list[object] = [with_a_file(f"--contents={tmp_path}/files", "-o", "/dev/full").status]
        found.append(os.listdir(tmp_path))
        monkeypatch.setattr(capture_cmd, "save", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        child = os.fork()
        if not child:
            try:
                with_a_file(f"--contents={tmp_path}/files", "-o", f"{tmp_path}/it.toml")
            finally:
                os._exit(1)
        return [*found, os.waitpid(child, 0)[1], os.listdir(tmp_path)]

    assert [3, [], signal.SIGTERM, []] == in_host(host, identity="root")

"""simulate and explain as a user calls them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

from mountplan.applier.observe.inspect import ages
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys.inside import ChildKilled
from mountplan.cli import main
from tests.hosts import CLONE_NEWNS, InHost, mount, unshare
from tests.mountflags import MS_SHARED, MS_SLAVE
from tests.propagation import require_rules

TRAP = """\
mkdir -p /mnt /tmp && mount -t tmpfs disk /mnt
mkdir /mnt/a; mount --make-shared /mnt
mount --bind /mnt /tmp
mount -t tmpfs sd0 "/tmp/a"
umount /nowhere || umount /mnt
"""


def written(directory: Path, text: str) -> str:
    path = directory / "script.sh"
    path.write_text(text)
    return str(path)


def test_simulate_prints_the_table_the_groups_and_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["simulate", written(tmp_path, TRAP)])
    out, err = capsys.readouterr()
    assert "" == err
    assert (
        """\
line 4: mount a new tmpfs on /tmp/a: appeared at /mnt/a too
line 5: cannot unmount /nowhere: ENOENT (No such file or directory): there is no nowhere in /
line 5: cannot unmount /mnt: EBUSY (Device or resource busy): it, or a counterpart, is in use or has a mount in it

TARGET  SOURCE  FSTYPE  ATTRIBUTES   PROPAGATION
/       none    tmpfs   rw,relatime  private
├─mnt   disk    tmpfs   rw,relatime  shared:1
│ └─a   sd0     tmpfs   rw,relatime  shared:2
└─tmp   disk    tmpfs   rw,relatime  shared:1
  └─a   sd0     tmpfs   rw,relatime  shared:2

peer group 1: /mnt, /tmp
peer group 2: /tmp/a, /mnt/a
"""
        == out
    )


def test_a_first_mount_on_a_directory_of_the_machine_is_told_what_the_model_begins_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = written(tmp_path, "mount -t tmpfs x /mnt")
    assert 0 == main(["simulate", script])
    assert "The script begins with an empty tmpfs" in capsys.readouterr().err
    assert 0 == main(["simulate", "-q", script])
    assert "" == capsys.readouterr().err


def test_simulate_tells_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["simulate", "--json", written(tmp_path, TRAP)])
    data = json.loads(capsys.readouterr().out)
    assert [None] * 7 + ["ENOENT", "EBUSY"] == [one["errno"] for one in data["calls"]]
    assert ["/", "/mnt", "/tmp", "/tmp/a", "/mnt/a"] == [one["mountpoint"] for one in data["namespaces"][0]["mounts"]]


def test_findmnt_in_the_script_shows_how_it_is_at_that_moment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["simulate", written(tmp_path, "mkdir /a\nmount -t tmpfs x /a\nfindmnt\numount /a\n")])
    looks = capsys.readouterr().out.split("\n\n")
    assert looks[0].startswith("line 3: what process 1 sees")
    assert "└─a " in looks[0]
    assert "└─a " not in looks[1]


def test_a_script_that_is_not_there_is_missed_as_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["simulate", "/nonesuch.sh"])
    assert "remedy: name a shell script, or - for stdin\n" in capsys.readouterr().err


def test_all_lines_that_are_not_followed_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(
        tmp_path,
        """\
mount -a
mount /dev/sda1 /mnt
mount -t tmpfs x /$y
ls | wc
echo $(date) > /dev/null
for i in 1 2; do mount --bind / /$i; done
mount --frobnicate a b
frob -r /
""",
    )
    assert 2 == main(["simulate", name])
    err = capsys.readouterr().err
    lines = [line.removeprefix(f"{name}:") for line in err.splitlines() if line.startswith(name)]
    assert [
        "1: mount: what is in /etc/fstab is not known",
        "2: mount: what type of filesystem /dev/sda1 has is not known",
        "3: $y has no value",
        "5: what `date` writes is not known",
        "7: mount: option --frobnicate not recognized",
        "8: frob is not followed",
    ] == lines


def test_what_is_no_shell_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for script, told in (
        ('true\nmount --bind "a\n', '2: `"a` is not understood as shell'),
        ("true\nif true; then\nfi )\n", "3: `)` is not understood as shell"),
    ):
        name = written(tmp_path, script)
        assert 2 == main(["simulate", name])
        assert f"{name}:{told}" in capsys.readouterr().err


GIVEN = """\
#!/bin/bash
set -e
mkdir -p "$ROOT" && mount -t "$(blkid -o value -s TYPE /dev/vda)" /dev/vda "$1"
grep -q quiet /proc/cmdline || echo loud
if modprobe overlay; then mkdir /with; fi
[ -e /dev/kvm ] && mkdir /kvm
ip link set lo up
"""


def test_what_only_a_machine_knows_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, GIVEN)
    given = ["--var", "ROOT=/mnt", "--var", "1=/mnt", "--answer", "blkid *=ext4", "--fails", "modprobe overlay"]
    given += ["--answer", "[ -e /dev/kvm ]=", "--fails", "never asked"]
    assert 0 == main(["simulate", "--json", name, *given])
    out, _err = capsys.readouterr()
    data = json.loads(out)
    assert ["/", "/mnt"] == [row["mountpoint"] for row in data["namespaces"][0]["mounts"]]
    assert [(4, "grep"), (7, "ip")] == [(one["line"], one["command"]) for one in data["passed_over"]]
    assert ["make the directory /mnt", "make the directory /kvm"] == [
        one["what"] for one in data["calls"] if one["call"] == "MakeDirectory"
    ]
    assert 0 == main(["simulate", name, *given])
    assert "No command was asked for: never asked\n" == capsys.readouterr().err


def test_what_was_passed_over_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["simulate", written(tmp_path, "ip link\nip addr\necho a\nmkdir /a\n")])
    told = "Passed over, as they do nothing with mounts: 3 commands (ip, echo).\n"
    assert told == capsys.readouterr().out.split("\n\n")[-1]


@pytest.mark.parametrize("given", [["--var", "x"], ["--var", "a b=c"], ["--answer", "blkid"]])
def test_what_is_said_in_the_wrong_form_is_told(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == main(["simulate", written(tmp_path, "true\n"), *given])
    assert f"{given[0]} {given[1]}: write " in capsys.readouterr().err


@pytest.mark.needs_kernel("root")
def test_the_kernel_is_compared_command_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_rules()
    assert 0 == main(["simulate", "--compare-kernel", written(tmp_path, TRAP)])
    same = "The kernel did the same, command by command (8 programs run with the words of the script).\n"
    assert same == capsys.readouterr().out.split("\n\n")[-1]


@pytest.mark.needs_kernel("root")
def test_a_wrong_model_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison that always says "the same" would be worth nothing."""
    from mountplan.planner.model import World

    monkeypatch.setattr(World, "change_type", lambda *arguments, **options: None)
    assert 1 == main(["simulate", "--compare-kernel", written(tmp_path, TRAP)])
    out = capsys.readouterr().out
    assert "The kernel does otherwise:" in out
    assert "line 2: mount --make-shared /mnt: process 1: /mnt: peer group is " in out


SLIDING = """\
mkdir -p /up /down
mount -t tmpfs up /up
mkdir /up/a
mount --make-shared /up
mount --bind /up /down
mount --make-slave /down
mount -t tmpfs outer /up/a
mkdir /up/a/b
mount -t tmpfs inner /up/a/b
mount -t tmpfs local /down/a/b
umount -l /up/a
"""


@pytest.mark.parametrize(("version", "expected"), [("6.12", {"/down/a"}), ("6.18.2-generic", {"/down/a", "/down/a/b"})])
def test_another_kernel_can_be_asked_for(
    version: str, expected: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before Linux 6.17, what covered a mount that goes slid down as far as anything below it went."""
    assert 0 == main(["simulate", "--kernel", version, "--json", written(tmp_path, SLIDING)])
    (final,) = json.loads(capsys.readouterr().out)["namespaces"]
    assert expected == {row["mountpoint"] for row in final["mounts"] if row["mountpoint"].startswith("/down/")}


def test_what_is_no_kernel_and_what_is_another_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, "mkdir /a\n")
    for arguments, told in (
        (["--kernel", "noble"], "'noble' is no version of Linux; write it as in 6.1"),
        (["--kernel", "6.1noble"], "'6.1noble' is no version of Linux; write it as in 6.1"),
        (["--kernel", "6.19"], "it is not known what Linux 6.19 would do; known are 5.15 to 6.18"),
        (["--kernel", "5.20.1-generic"], "it is not known what Linux 5.20.1-generic would do"),
        (["--kernel", "4.19"], "it is not known what Linux 4.19 would do"),
        (["--kernel", "6.1", "--compare-kernel"], "compares with the kernel at hand"),
    ):
        assert 2 == main(["simulate", *arguments, name])
        assert told in capsys.readouterr().err


ARGUMENTS = """\
mkdir /a /b /c
mount -t tmpfs a /a
mkdir /a/x
mount -t tmpfs x /a/x
mount --rbind -o noexec=recursive /a /b
mount --bind -o ro=vfs /a /c
"""


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.38.1", ["rw,relatime"] * 3),
        ("2.39", ["rw,noexec,relatime", "rw,noexec,relatime", "ro,relatime"]),
        ("2.41", ["rw,noexec,relatime", "rw,noexec,relatime", "ro,relatime"]),
    ],
)
def test_what_the_argument_of_an_option_means_is_told_by_the_version_of_util_linux(
    version: str, expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["simulate", "--util-linux", version, "--json", written(tmp_path, ARGUMENTS)])
    (final,) = json.loads(capsys.readouterr().out)["namespaces"]
    found = {row["mountpoint"]: row["attributes"] for row in final["mounts"]}
    assert expected == [found[place] for place in ("/b", "/b/x", "/c")]


@pytest.mark.needs_kernel("root", "unshare")
def test_without_a_version_it_is_that_of_the_mount_at_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["simulate", "--compare-kernel", written(tmp_path, ARGUMENTS)])
    assert "The kernel did the same" in capsys.readouterr().out


def test_a_version_of_util_linux_that_is_not_known_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = written(tmp_path, "mkdir /a\nmount -t tmpfs -o ro=recursive a /a\n")
    for arguments, told in (
        (["--util-linux", "new"], "'new' is no version of util-linux; write it as in 2.38"),
        (["--util-linux", "2.37"], "it is not known what util-linux 2.37 would do; known are 2.38 to 2.42"),
        (["--util-linux", "2.38", "--compare-kernel"], "runs the mount(8) at hand"),
        (["--util-linux", "2.38"], "script.sh:2: mount: util-linux 2.38 hands ro=recursive to the filesystem"),
    ):
        assert 2 == main(["simulate", *arguments, name])
        assert told in capsys.readouterr().err


def test_comparing_goes_with_an_empty_beginning_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, "mkdir /a\n")
    assert 2 == main(["simulate", "--compare-kernel", "--from", str(os.getpid()), name])
    assert "--compare-kernel begins with an empty namespace" in capsys.readouterr().err


SPEC = """\
format = 1
name = "shop"
[peer_group.data]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "data"
target = "/data"
type = "tmpfs"
peer_group = "data"
[[mount.file]]
path = "x"
directory = true
[[mount]]
target = "/copy"
bind = { mount = "data" }
peer_group = "data"
[[mount]]
target = "/replica"
bind = { mount = "data" }
master = "data"
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "shop.toml"
    path.write_text(SPEC)
    return str(path)


def test_a_script_can_begin_with_what_a_spec_builds(
    tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["simulate", "--from", spec, written(tmp_path, "mount -t tmpfs new /data/x\n")])
    out = capsys.readouterr().out
    lines = [line.lstrip("├─└│ ").split() for line in out.splitlines()]
    shown = [(words[0], words[-1]) for words in lines if "tmpfs" in words]
    assert [("x", "shared:2"), ("x", "shared:2"), ("x", "master:2")] == [one for one in shown if one[0] == "x"]


def test_what_a_spec_does_not_make_is_not_there_for_a_script(
    tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `explain` has it: a mount of it would be refused, and was taken for done."""
    script = "mount --bind /nope /data/x\numount /nowhere\n"
    assert 0 == main(["simulate", "--from", spec, written(tmp_path, script)])
    out = capsys.readouterr().out
    assert "line 1: cannot bind /nope on /data/x: ENOENT" in out
    assert "line 2: cannot unmount /nowhere: ENOENT" in out


@pytest.mark.needs_kernel("root")
def test_what_a_script_does_on_the_host_is_told(in_host: InHost, tmp_path: Path) -> None:
    """Where a spec has a peer of the host's: that is what one would want to know before."""

    def look() -> str:
        mount("srv", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        os.mkdir("/srv/x")
        spec = Path("/srv/peer.toml")
        spec.write_text(
            'format = 1\n[peer_group.feed]\nhost = "/srv"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
            '[[mount]]\ntarget = "/d"\nbind = "/srv"\npeer_group = "feed"\n'
        )
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert 0 == main(["simulate", "--from", str(spec), written(tmp_path, "mount -t tmpfs n /d/x\n")])
        return out.getvalue()

    told = in_host(look, identity="root")
    assert "line 1: mount a new tmpfs on /d/x: " in told
    assert "appeared in the host's namespace at /srv/x too" in told


def test_explain_tells_the_sharing_of_a_spec(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["explain", spec])
    words, _, picture = capsys.readouterr().out.partition("\n\n/")
    assert """\
Peer group 1: /copy, /data
  what is mounted or unmounted in one of them is so in all
  sends to its slaves: /replica
/replica is a slave of group 1: it receives, and nothing leaves it

Into shop from elsewhere: nothing
Out of shop: nothing""" == words.replace("/data, /copy", "/copy, /data")
    assert ["●─ 1", "●", "▼"] == [line.partition("  ")[2].split("  ")[-1] for line in picture.splitlines()[:3]]


def test_a_spec_without_a_name_is_explained_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "s.toml"
    spec.write_text('format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    assert 0 == main(["explain", str(spec)])
    assert capsys.readouterr().out.startswith(f"Nothing in {spec} is shared")
    assert 2 == main(["explain", str(spec), "--why", "/none"])
    assert f"/none is not there in {spec}: ENOENT" in capsys.readouterr().err


def test_explain_answers_what_a_mount_would_do(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["explain", spec, "--mount", "/data/x", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert {"/data/x", "/copy/x", "/replica/x"} == {one["path"] for one in data["effects"]}


def test_explain_wants_a_path_as_the_namespace_sees_it(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["explain", spec, "--mount", "data"])
    assert "data is not absolute" in capsys.readouterr().err


def test_explain_names_a_process_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["explain", "4194305"])
    assert "process 4194305: there is no such process" in capsys.readouterr().err


@pytest.mark.needs_kernel("root")
def test_a_process_whose_namespace_cannot_be_told_is_not_taken_for_the_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A security module may show the mount table of a process, and not which namespace it is in."""
    from mountplan.applier.keep import inhabited
    from mountplan.planner.errors import TableError

    def refused(pid: int) -> NoReturn:
        raise TableError(f"process {pid}: it is protected")

    monkeypatch.setattr(inhabited, "_namespace", lambda pid: 0)
    monkeypatch.setattr(inhabited, "subject_of", refused)
    assert 2 == main(["explain", str(os.getpid())])
    assert f"process {os.getpid()}: it is protected" in capsys.readouterr().err


def test_every_process_is_told_of_the_same_one_where_a_mount_was_made(in_host: InHost) -> None:
    """Its age is known by ids that no other mount ever gets, not by the order in which tables are read."""

    def look() -> list[str]:
        if not ages(os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)):
            pytest.skip("the kernel does not tell the ages of mounts (Linux 6.11)")
        mount("feed", "/mnt", "tmpfs")
        os.mkdir("/mnt/x")
        mount("", "/mnt", flags=MS_SHARED)
        ready, is_ready = os.pipe()
        go, may_go = os.pipe()
        children = []
        for kind in (MS_SHARED, MS_SLAVE):
            child = os.fork()
            if child == 0:
                os.close(may_go)
                unshare(CLONE_NEWNS)
                mount("", "/mnt", flags=kind)
                os.write(is_ready, b"x")
                os.read(go, 1)
                os._exit(0)
            os.read(ready, 1)
            children.append(child)
        mount("new", "/mnt/x", "tmpfs")
        names = {os.getpid(): "FIRST", children[0]: "PEER", children[1]: "SLAVE"}
        texts = []
        for one in names:
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                main(["explain", str(one), "--why", "/mnt/x"])
            (_, reason, *_) = text.getvalue().split("\n")
            texts.append(re.sub(r"process (\d+) \([^)]*\)", lambda match: names[int(match[1])], reason))
        os.close(may_go)
        for child in children:
            os.waitpid(child, 0)
        return texts

    first, peer, slave = in_host(look, identity="root")
    assert "it was mounted here, and went on from here to /mnt/x in PEER" in first
    assert "it came from /mnt/x in FIRST, which is older and its peer" in peer
    assert "it came from /mnt/x in FIRST, which is older and its master" in slave


@pytest.mark.needs_kernel("root")
def test_a_live_namespace_is_asked_by_the_paths_that_are_there(in_host: InHost) -> None:
    """Symbolic links are followed as the process follows them, and what is not there is not made up."""

    def look() -> dict[str, str]:
        mount("feed", "/mnt", "tmpfs")
        os.makedirs("/mnt/x/y")
        os.symlink("x/../x", "/mnt/link")
        os.symlink("/mnt/link", "/mnt/x/absolute")
        os.symlink("circle", "/mnt/circle")
        Path("/mnt/file").touch()
        pid = str(os.getpid())
        os.mkdir("/mnt/a\nb")
        told = {}
        for words in (
            ["--mount", "/mnt/a\nb"],
            ["--mount", "/mnt/link/y"],
            ["--mount", "/mnt/x/absolute/y"],
            ["--mount", "/mnt/none"],
            ["--unmount", "/mnt/file/none"],
            ["--why", "/mnt/none"],
            ["--mount", "/mnt/x", "--reaches", pid],
        ):
            text = io.StringIO()
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                main(["explain", pid, *words])
            told[" ".join(words).replace(pid, "PID")] = text.getvalue().replace(pid, "PID").split("\n")[0]
        return told

    assert {
        "--mount /mnt/link/y": "a mount at /mnt/x/y: 1 place",
        "--mount /mnt/x/absolute/y": "a mount at /mnt/x/y: 1 place",
        "--mount /mnt/a\nb": "a mount at /mnt/a\\nb: 1 place",
        "--mount /mnt/none": "mountplan: /mnt/none is not there, as process PID (python) sees it: "
        "ENOENT (No such file or directory)",
        "--unmount /mnt/file/none": "mountplan: /mnt/file/none is not there, as process PID (python) sees it: "
        "ENOTDIR (Not a directory)",
        "--why /mnt/none": "mountplan: /mnt/none is not there, as process PID (python) sees it: "
        "ENOENT (No such file or directory)",
        "--mount /mnt/x --reaches PID": "a mount at /mnt/x reaches process PID (python):",
    } == {
        words: re.sub(r"\(\w+\)(?=:| sees)", "(python)", line) for words, line in in_host(look, identity="root").items()
    }


def test_a_path_that_a_spec_does_not_make_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "s.toml"
    spec.write_text('format = 1\nname = "s"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    missing = "ENOENT (No such file or directory): there is no none in /\n"
    for question in ("--mount", "--unmount", "--why"):
        assert 2 == main(["explain", str(spec), question, "/none"])
        assert f"/none is not there in s: {missing}" in capsys.readouterr().err


@pytest.fixture
def pods(tmp_path: Path) -> str:
    path = tmp_path / "pods.toml"
    path.write_text("""\
format = 1
name = "pods"
[peer_group.feed]
[[namespace]]
name = "node"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
id = "v"
target = "/v"
type = "tmpfs"
peer_group = "feed"
file = [{ path = "1", directory = true }]
[[namespace]]
name = "pod"
mount = [{ target = "/", type = "tmpfs" }, { target = "/pod", bind = { mount = "v" }, master = "feed" }]
""")
    return str(path)


def test_a_namespace_of_a_spec_is_asked_as_one_of_a_kept_name(pods: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a spec with several, only the first could be asked."""
    assert 2 == main(["explain", pods, "--mount", "/pod/1"])
    assert "of another namespace, ask of SPEC/NAMESPACE (pod)" in capsys.readouterr().err
    assert 0 == main(["explain", f"{pods}/pod"])
    assert "Into pod from elsewhere: node -> /pod" in capsys.readouterr().out
    assert 2 == main(["explain", f"{pods}/pdo"])
    assert "no mount namespace 'pdo' in the plan\n  remedy: it has: node, pod" in capsys.readouterr().err


def test_a_script_is_told_what_it_does_in_a_spec_s_other_namespaces(
    tmp_path: Path, pods: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the host were told, and the spec's own were not."""
    assert 0 == main(["simulate", "--from", pods, written(tmp_path, "mount -t tmpfs x /v/1")])
    assert "appeared in pod at /pod/1 too" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["/data", "$$"])
def test_what_can_be_no_name_is_told_as_nothing_that_can_be_asked(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path alone was told to give the spec a name."""
    assert 2 == main(["explain", what])
    told = capsys.readouterr().err
    assert f"{what!r} is no spec, no kept name and no process" in told
    assert ("--mount" in told) == what.startswith("/")


def test_reaching_is_asked_of_mounts_only(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    assert 2 == main(["explain", spec, "--unmount", "/data", "--reaches", "1"])
    assert "--reaches goes with --mount" in capsys.readouterr().err
    assert 2 == main(["explain", spec, "--mount", "/data", "--reaches", "nothing-of-that-name"])
    assert "nothing is kept under the name 'nothing-of-that-name'" in capsys.readouterr().err


@pytest.mark.needs_kernel("root")
def test_a_live_namespace_is_explained_with_those_around_it(in_host: InHost) -> None:
    """A child in a namespace of its own is a slave of ours: explained from us, it is where our mounts go."""

    def look() -> tuple[str, str]:
        mount("feed", "/tmp", "tmpfs")
        os.mkdir("/tmp/x")
        mount("", "/tmp", flags=1 << 20)
        ready, is_ready = os.pipe()
        go, may_go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(may_go)
            unshare(CLONE_NEWNS)
            mount("", "/tmp", flags=1 << 19)
            os.write(is_ready, b"x")
            os.read(go, 1)
            os._exit(0)
        os.read(ready, 1)
        texts = []
        for words in (["explain", str(os.getpid()), "--mount", "/tmp/x"], ["explain", str(child)]):
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                main(words)
            texts.append(text.getvalue().replace(str(child), "CHILD"))
        group = next(row.peer_group for row in observe().rows if row.source == "feed")
        texts[1] = texts[1].replace(f"group {group}:", "group GROUP:")
        os.close(may_go)
        os.waitpid(child, 0)
        return texts[0], texts[1]

    answer, groups = in_host(look, identity="root")
    assert "/tmp/x in process CHILD" in answer
    assert "/tmp is a slave of group GROUP: it receives, and nothing leaves it" in groups


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("inside", [False, True])
def test_an_unmount_of_what_a_process_stands_in_is_busy_here_and_in_a_slave(inside: bool, in_host: InHost) -> None:
    """The kernel asks the counterparts that go along, too; what is explained is what it does."""

    def look() -> tuple[list[str], list[int]]:
        mount("feed", "/tmp", "tmpfs")
        mount("", "/tmp", flags=MS_SHARED)
        os.mkdir("/tmp/x")
        ready, is_ready = os.pipe()
        go, may_go = os.pipe()
        mount("x", "/tmp/x", "tmpfs")
        child = os.fork()
        if child == 0:
            os.close(may_go)
            if inside:
                unshare(CLONE_NEWNS)
                mount("", "/tmp", flags=MS_SLAVE)
            os.chdir("/tmp/x")
            os.write(is_ready, b"x")
            os.read(go, 1)
            os._exit(0)
        os.read(ready, 1)
        told, done = [], []
        for words in ([], ["--lazy"]):
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                main(["explain", "pid:self", "--unmount", "/tmp/x", *words])
            told.append(text.getvalue().replace(str(child), "CHILD"))
            libc = ctypes.CDLL(None, use_errno=True)
            done.append(0 if libc.umount2(b"/tmp/x", 2 if words else 0) == 0 else ctypes.get_errno())
        os.close(may_go)
        os.waitpid(child, 0)
        return told, done

    (plain, lazy), done = in_host(look, identity="root")
    assert [errno.EBUSY, 0] == done
    where = "/tmp/x in process CHILD" if inside else "/tmp/x"
    assert re.search(rf"refused as it is: EBUSY .*: \S+ \(CHILD\) has something of {where}", plain), plain
    assert "refused" not in lazy


@pytest.mark.needs_kernel("root")
def test_the_root_is_not_unmounted(in_host: InHost) -> None:
    def look() -> str:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            main(["explain", "pid:self", "--unmount", "/"])
        return text.getvalue()

    assert "makes its filesystem read-only instead" in in_host(look, identity="root")


def test_a_look_at_a_kept_name_that_is_killed_is_not_a_namespace_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live change that would be seen there went on."""
    from mountplan.applier.keep import inhabited

    def killed(*_: object, **__: object) -> None:
        raise ChildKilled

    monkeypatch.setattr(inhabited, "_kept_names", lambda: ("other",))
    monkeypatch.setattr(inhabited, "of_kept", killed)
    with pytest.raises(ChildKilled):
        list(inhabited.everyone_else(set()))

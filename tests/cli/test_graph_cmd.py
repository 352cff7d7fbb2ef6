"""graph as a user calls it: every kind of thing that can be drawn, the formats, the mistakes."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

from mountplan.cli import main
from mountplan.cli.output import Output
from tests.cli.command_line import Command
from tests.hosts import CHECKOUT, CLONE_NEWNS, InHost, mount, unshare
from tests.keptnames import on_run
from tests.mountflags import MS_BIND, MS_SHARED, MS_SLAVE

MOUNTINFO = """\
21 1 0:5 / / rw,relatime - tmpfs tmpfs rw
22 21 0:6 / /a rw,relatime shared:3 - tmpfs data rw
23 21 0:6 /x /b rw,relatime shared:4 master:3 - tmpfs data rw
24 21 0:6 / /c rw,relatime master:3 - tmpfs data rw
"""
PICTURE = """\
/    tmpfs
├─a  tmpfs      ●─── 3
├─b  tmpfs[/x]  ├─●─ 4, slave of 3
└─c  tmpfs      ▼

● peer: what is mounted in one is in all   ▼ slave: receives only
"""


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def mountinfo(tmp_path: Path) -> str:
    path = tmp_path / "web"
    path.write_text(MOUNTINFO)
    return str(path)


def test_a_mountinfo_file(run: Command, mountinfo: str) -> None:
    assert (0, PICTURE, "") == run("graph", mountinfo)


def test_several_files_are_one_picture(run: Command, mountinfo: str) -> None:
    out = run("graph", f"mountinfo:{mountinfo},mountinfo:{mountinfo}").out
    assert 2 == out.count("Namespace ")
    assert 1 == out.count("slave of 3")


def test_a_script_of_mount_commands(run: Command, tmp_path: Path) -> None:
    script = tmp_path / "build"
    script.write_text("mkdir /a /b\nmount -t tmpfs x /a\nmount --make-shared /a\nmount --bind /a /b\nunshare -m sh\n")
    out = run("graph", f"script:{script}").out
    assert "Namespace of process 1" in out and "├─a" in out and "●─ 1" in out


@pytest.mark.needs_kernel("mountns")
def test_specs_kept_names_and_processes(in_host: InHost) -> None:
    """The names of groups are the spec's, for a kept name as well; what the host shares in is the host's."""

    def printed(*words: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert 0 == main(list(words))
        return out.getvalue()

    def prepared() -> list[str]:
        mount("feed", "/mnt", "tmpfs")
        mount("", "/mnt", "", MS_SHARED)
        return on_run(look)()

    shown: list[str] = []

    def look() -> list[str]:
        spec = "/mnt/fed.toml"
        Path(spec).write_text(
            'format = 1\nname = "fed"\n[peer_group.feed]\nhost = "/mnt"\n[peer_group.own]\nmaster = "feed"\n'
            '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
            '[[mount]]\ntarget = "/in"\nbind = "/mnt"\nmaster = "feed"\n'
            '[[mount]]\ntarget = "/on"\nbind = "/mnt"\npeer_group = "own"\n'
        )
        planned = printed("graph", spec)
        printed("apply", "-q", spec)
        kept = printed("graph", "fed")
        shown.extend((printed("show", "fed"), printed("explain", "fed"), printed("explain", spec)))
        printed("rm", "-q", "fed")
        return [planned, kept, *shown]

    planned, kept, *others = in_host(prepared)
    for text in (planned, kept, others[0]):
        assert "v--- slave of feed (of the host /mnt)" in text
        assert "`-*- own, slave of feed (of the host /mnt)" in text
    for text in others[1:]:
        assert re.search(r"/in .* v--- slave of 1\n", text) or re.search(r"/in .* (v|\|-v|`-v)", text), text


@pytest.mark.needs_kernel("mountns")
def test_the_groups_of_the_host_are_told_from_those_of_a_process(in_host: InHost) -> None:
    def look() -> str:
        mount("feed", "/mnt", "tmpfs")
        mount("", "/mnt", "", MS_SHARED)
        ready, told = os.pipe()
        go, on = os.pipe()
        child = os.fork()
        if not child:
            os.close(on)
            unshare(CLONE_NEWNS)
            mount("", "/mnt", "", MS_SLAVE)
            os.mkdir("/mnt/own")
            mount("/mnt", "/mnt/own", "", MS_BIND)
            mount("", "/mnt/own", "", MS_SHARED)
            os.write(told, b"x")
            os.read(go, 1)
            os._exit(0)
        os.close(told)
        os.read(ready, 1)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(["graph", "--shared", str(child)])
        os.close(on)
        os.waitpid(child, 0)
        return out.getvalue()

    text = in_host(look)
    assert "slave of" in text and "(of the host /mnt)" in text and "group of the host" in text


def test_json_has_the_same(run: Command, mountinfo: str) -> None:
    data = run("graph", "--json", mountinfo).json()
    assert [("3", None), ("4", "3")] == [(one["name"], one["master"]) for one in data["groups"]]
    assert [("/", None, None), ("/a", "3", None), ("/b", "4", "3"), ("/c", None, "3")] == [
        (one["target"], one["peer_group"], one["master"]) for one in data["mounts"]
    ]


def test_json_tells_what_was_saved(run: Command, mountinfo: str, tmp_path: Path) -> None:
    data = run("graph", "--json", mountinfo, "-o", tmp_path / "x.svg").json()
    assert (str(tmp_path / "x.svg"), "svg", 4) == (data["saved"], data["format"], len(data["mounts"]))


def test_colours_change_no_character(run: Command, mountinfo: str) -> None:
    colored = run("graph", "--color=always", mountinfo).out
    assert "\x1b[32m" in colored  # lanes have colours of their own
    assert PICTURE == "".join(f"{line.rstrip()}\n" for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_where_the_locale_has_no_more_it_is_ascii(
    mountinfo: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cp437 has boxes, but no triangles: half a picture would be none."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    assert 0 == main(["graph", mountinfo])
    assert raw.getvalue().decode("ascii").splitlines()[:4] == [
        "/    tmpfs",
        "|-a  tmpfs      *--- 3",
        "|-b  tmpfs[/x]  |-*- 4, slave of 3",
        "`-c  tmpfs      v",
    ]


def test_names_that_the_locale_lacks_do_not_shift_the_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    (tmp_path / "web").write_text(MOUNTINFO.replace("/b rw", "/\xe9 rw"))
    assert 0 == main(["graph", str(tmp_path / "web")])
    assert raw.getvalue().decode("ascii").splitlines()[:4] == [
        "/         tmpfs",
        "|-a       tmpfs      *--- 3",
        "|-c       tmpfs      v",
        "`-\\u00e9  tmpfs[/x]  `-*- 4, slave of 3",
    ]


def test_nor_do_they_shift_the_sharing_part_of_explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    (tmp_path / "web.toml").write_text(
        'format = 1\n[peer_group.g]\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        '[[mount]]\nid = "x"\ntarget = "/\xe9"\ntype = "tmpfs"\npeer_group = "g"\n'
        '[[mount]]\ntarget = "/b"\nbind = { mount = "x" }\npeer_group = "g"\n'
    )
    assert 0 == main(["explain", str(tmp_path / "web.toml")])
    drawn = raw.getvalue().decode("ascii").splitlines()
    assert "/b       tmpfs  *- 1" in drawn and "/\\u00e9  tmpfs  *" in drawn


def test_commands_of_a_script_that_fail_are_told(run: Command, tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text("mount -t tmpfs t /mnt\n")
    said = run("graph", str(tmp_path / "x.sh"))
    assert 0 == said.status
    assert "x.sh: line 1: cannot mount" in said.err
    assert "cannot mount" in run("graph", str(tmp_path / "x.sh"), "--json").json()["failures"][0]


def test_it_is_as_wide_as_wanted(run: Command, mountinfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(len, run("graph", mountinfo, "--width", "30").out.splitlines()[:4])) <= 30
    monkeypatch.setattr(Output, "room", 30)
    assert max(map(len, run("graph", mountinfo).out.splitlines()[:4])) <= 30
    assert PICTURE == run("graph", mountinfo, "--width", "0").out
    assert "the lanes need more than 5 columns: the picture has" in run("graph", mountinfo, "--width", "5").err


@pytest.mark.parametrize(("name", "begins"), [("x.svg", "<svg "), ("x.html", "<!doctype html>"), ("x.txt", "/ ")])
def test_the_name_of_the_file_says_what_is_made(
    run: Command, mountinfo: str, tmp_path: Path, name: str, begins: str
) -> None:
    saved = tmp_path / name
    assert 0 == run("graph", mountinfo, "-o", str(saved)).status
    assert saved.read_text().startswith(begins)
    form = {"svg": "svg", "html": "html", "txt": "text"}[name[2:]]
    assert saved.read_text() == run("graph", mountinfo, "--format", form).out


def test_the_page_of_a_spec_has_the_steps(run: Command) -> None:
    page = run("graph", str(CHECKOUT / "specs/disjoint-group.toml"), "--format", "html").out
    assert 'id="player"' in page and "new tmpfs fs:whole" in page


def test_nothing_shared_is_said(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "web"
    path.write_text(MOUNTINFO.splitlines(keepends=True)[0])
    assert (0, "", "mountplan: nothing is shared, and nothing is a slave\n") == run("graph", "--shared", str(path))


def test_it_is_saved(run: Command, mountinfo: str, tmp_path: Path) -> None:
    saved = str(tmp_path / "picture.txt")
    assert (0, "", f"Saved to {saved}\n") == run("graph", mountinfo, "-o", saved)
    assert PICTURE == Path(saved).read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonesuch"], "'nonesuch' is no kept name, no process and no file"),
        (["script:/nonesuch"], "/nonesuch: cannot read it: no such file or directory"),
        (["1", "--width", "-3"], "--width: name a number of columns, or 0"),
    ],
)
def test_mistakes(run: Command, words: list[str], message: str) -> None:
    ended = run("graph", *words)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}\n  remedy: ")


def test_the_examples_are_drawn(run: Command) -> None:
    ended = run("graph", str(CHECKOUT / "specs/disjoint-group.toml"))
    assert "└─●─ copies, slave of parts" in ended.out

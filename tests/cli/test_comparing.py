"""diff and verify as a user would type them."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mountplan import api, keeping
from mountplan.applier.sys.syscalls import setns
from mountplan.cli import main
from mountplan.planner.compare.difference import Drift
from tests.cli.test_kept_commands import mountplan, spec
from tests.commands import Outcome
from tests.hosts import InHost, mount, run_in_child, umount
from tests.keptnames import SPEC, on_run
from tests.mountflags import MS_PRIVATE
from tests.trees import plan_of

TABLE = """\
22 1 0:20 / / rw,relatime - tmpfs tmpfs rw
23 22 0:21 / /a rw,relatime shared:5 - tmpfs tmpfs rw,size=4k
24 22 0:21 / /b rw,relatime shared:5 - tmpfs tmpfs rw,size=4k
"""
CHANGED = TABLE.replace("/b rw,relatime shared:5", "/b ro,relatime").replace("4k", "8k").replace("0:2", "0:7")
DIFFERENCE = """\
A is {a}, B is {b}: 3 differences

/a
    option size: 4k -> 8k
/b
    attributes: rw,relatime -> ro,relatime
    peer group: 5, with /a -> none
"""


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    paths = tmp_path / "a", tmp_path / "b"
    paths[0].write_text(TABLE)
    paths[1].write_text(CHANGED)
    return str(paths[0]), str(paths[1])


def test_differences_are_told_by_mount_and_property(
    tables: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = tables
    assert 1 == main(["diff", a, b])
    assert DIFFERENCE.format(a=a, b=b) == capsys.readouterr().out


def test_what_is_the_same_says_so_in_one_line_or_none(
    tables: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, _ = tables
    assert 0 == main(["diff", a, f"mountinfo:{a}"])
    assert f"The same: {a} and {a}, 3 mounts\n" == capsys.readouterr().out
    assert 0 == main(["diff", "--quiet", a, a])
    assert "" == capsys.readouterr().out


def test_json_has_all_differences_with_their_places(
    tables: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = tables
    assert 1 == main(["diff", "--json", a, b])
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert data["same"] is False
    assert [3, 3] == [side["mounts"] for side in data["sides"]]
    assert ["/a", "/b", "/b"] == [one["mount"] for one in data["differences"]]


def test_colours_are_for_terminals_and_change_no_letter(
    tables: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = tables
    main(["diff", a, b])
    plain = capsys.readouterr().out
    main(["diff", "--color", "always", a, b])
    colored = capsys.readouterr().out
    assert "\x1b" not in plain
    assert "\x1b[" in colored
    assert plain == re.sub("\x1b\\[[0-9;]*m", "", colored)


def test_a_cut_table_is_an_error_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut"
    path.write_text(TABLE[:-9])
    assert 2 == main(["diff", str(path), str(path)])
    assert f"mountplan: {path}: line 3: the text ends in the middle of this line\n" == capsys.readouterr().err


def test_standard_input_may_hold_a_table(
    tables: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert 0 == main(["diff", tables[0], "-"])


def test_two_specs_are_told_apart_with_the_lines_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\noptions = { mode = "755", size = "1m" }\n')
    other.write_text(one.read_text().replace('"755"', '"0755"').replace("1m", "2048k").replace("[[", "\n[["))
    assert 1 == main(["diff", str(one), str(other)])
    out = capsys.readouterr().out
    assert f"/  ({one}:2: mount[0]; {other}:3: mount[0])\n    option size: 1m -> 2048k\n" in out
    assert "mode" not in out


def test_nobody_knows_what_to_compare_is_an_error_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["diff", "--json", "nothing", "1"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert ("subject", 2) == (error["code"], error["exit_status"])
    assert "name:NAME" in error["remedy"]


@pytest.mark.needs_kernel("root", "set-group")
@pytest.mark.usefixtures("all_imported")
def test_verify_knows_whether_a_kept_name_and_a_process_are_what_the_spec_says(in_host: InHost) -> None:
    def script() -> tuple[list[bool], Outcome, Outcome]:
        path, other = spec(), spec(SPEC.replace("/srv", "/opt"), "other.toml")
        try:
            api.apply(api.plan(api.load(path)))
            file = api.look_up("shop").kept
            place = keeping.path_of(file, file.namespaces[0])
            same = [
                not api.verify(*words).drift
                for words in ((path,), (path, "shop"), (path, f"ns:{place}"), (other, "shop"), (path, "pid:self"))
            ]
            before = mountplan("verify", path)
            run_in_child(lambda: umount_in(place, "/srv"))
            return same, before, mountplan("verify", path)
        finally:
            os.unlink(path)
            os.unlink(other)
            keeping.remove(("shop",))

    def umount_in(file: str, path: str) -> None:
        with open(file) as namespace:
            setns(namespace.fileno(), 0)
        umount(path)

    same, before, after = in_host(on_run(script), identity="root")
    assert [True, True, True, False, False] == same
    assert 0 == before.status
    assert re.fullmatch(r"shop stands as /tmp/\S+ says: 2 mounts\n", before.out)
    assert 1 == after.status
    assert "says: 1 difference (what it says -> what stands there)\n" in after.out
    assert re.search(
        r"\n/srv  \(/tmp/\S+: mount\[1\]\)\n    mount: only in the spec: tmpfs, on the tmpfs at /\n", after.out
    )


MEMBERLESS = """
name = "ghost"
[peer_group.feed]
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "d"
target = "/d"
type = "tmpfs"
[[mount]]
target = "/slave"
bind = { mount = "d", path = "/" }
master = "feed"
"""


@pytest.mark.needs_kernel("root", "set-group")
def test_what_keeps_a_group_without_members_alive_is_no_part_of_the_tree(in_host: InHost) -> None:
    """It lies below the root, where a look at the whole namespace finds it."""

    def script() -> tuple[int | None, list[tuple[str, ...]], Drift]:
        api.apply(plan_of(MEMBERLESS))
        found = api.look_up("ghost").kept
        place = keeping.path_of(found, found.namespaces[0])

        def leave() -> None:
            with open(place) as namespace:
                setns(namespace.fileno(), 0)
            mount("", "/slave", flags=MS_PRIVATE)

        same = api.diff("name:ghost", f"ns:{place}").drift
        run_in_child(leave)
        standing = api.look_up("ghost")
        return standing.mounts, [one[:4] for one in standing.drift], same

    assert (3, [("/slave", "master", "feed", "none")], ()) == in_host(on_run(script), identity="root")


def test_what_stands_nowhere_cannot_be_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.toml"
    path.write_text('format = 1\nname = "one"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    assert 2 == main(["verify", str(path), str(path)])
    assert "does not stand anywhere" in capsys.readouterr().err
    assert 2 == main(["verify", "1"])
    assert "'mountplan diff'" in capsys.readouterr().err.replace("`", "'")


def test_a_near_miss_of_a_kept_name_and_the_wrong_order_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mountplan.applier.keep.kept.names", lambda: ("shop", "other"))
    monkeypatch.setattr("mountplan.operands.is_kept", lambda argument: argument == "shop")
    assert 2 == main(["diff", "pid:self", "shpo"])
    assert "remedy: did you mean 'shop'? or say which: spec:FILE" in capsys.readouterr().err
    assert 2 == main(["verify", "shop", "shop.toml"])
    assert "remedy: the spec comes first: verify shop.toml shop" in capsys.readouterr().err
    assert 2 == main(["verify", "shop"])
    assert "remedy: say what it is to match: verify SPEC shop, or" in capsys.readouterr().err

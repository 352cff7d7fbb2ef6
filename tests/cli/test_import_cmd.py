"""import as a user calls it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mountplan.planner.language.spec_reading import parse_spec
from tests.cli.command_line import Command

COMPOSE = "services:\n  web:\n    image: nginx\n    volumes:\n      - ./html:/html:ro\n    tmpfs: [/run]\n"


def test_a_configuration_becomes_a_spec_that_check_takes(run: Command, tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text("tmpfs /tmp tmpfs size=1m,nosuid 0 0\nx /y ext4 noauto 0 0\n")
    ended = run("import", "fstab", str(tmp_path / "fstab"), "--name", "mine")
    assert 0 == ended.status
    assert "mountplan: not in the spec: line 2 (/y): noauto, so `mount -a` leaves it out\n" == ended.err
    assert "# - line 2 (/y): noauto, so `mount -a` leaves it out\n" in ended.out
    assert "mine" == parse_spec(ended.out.encode()).name
    saved = tmp_path / "mine.toml"
    assert "" == run("import", "fstab", str(tmp_path / "fstab"), "--name", "mine", "-o", str(saved)).out
    assert ended.out == saved.read_text()
    data = run("import", "fstab", str(tmp_path / "fstab"), "--name", "mine", "--json").json()
    assert (1, ended.out) == (data["mounts"], data["spec"])


def test_the_command_line_of_bwrap_comes_after_two_dashes(run: Command, tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(b"--tmpfs\0/data\0")
    with open(tmp_path / "words", "rb") as file:
        os.set_inheritable(file.fileno(), True)
        out = run("import", "bwrap", "--", "--args", str(file.fileno()), "--tmpfs", "/tmp", "sh").out
    assert ['target = "/data"', 'target = "/tmp"'] == [
        line for line in out.splitlines() if line.startswith("target") and line != 'target = "/"'
    ]
    assert 'command = ["sh"]' in out


@pytest.mark.parametrize(
    "text",
    [
        b"bwrap --tmpfs /tmp sh",
        b"/usr/bin/bwrap --tmpfs /tmp sh",
        b"--tmpfs /tmp sh",
        b"--tmpfs\0/tmp\0sh\0",
        b"#!/bin/sh\n# bwrap is called\nset -e\nexec bwrap \\\n  --tmpfs '/tmp' \\\n  sh \"$@\"\n",
    ],
)
def test_the_command_line_of_bwrap_may_be_in_a_script_or_come_from_standard_input(
    run: Command, tmp_path: Path, text: bytes
) -> None:
    script = tmp_path / "box.sh"
    script.write_bytes(text)
    expected = run("import", "bwrap", "--", "--tmpfs", "/tmp", "sh")
    assert expected == run("import", "bwrap", "-", stdin=text) == run("import", "bwrap", str(script))
    assert expected == run("import", "bwrap", "--", "bwrap", "--tmpfs", "/tmp", "sh")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('bwrap --bind "$HOME" /x', "<stdin>: $HOME: variables are not replaced"),
        ("bwrap --tmpfs '/x", "is not understood as words of a shell: No closing quotation"),
        ("bwrap --tmpfs /x\nbwrap --tmpfs /y", "it calls bwrap several times"),
    ],
)
def test_what_a_shell_would_make_of_it_is_refused(run: Command, text: str, told: str) -> None:
    ended = run("import", "bwrap", "-", stdin=text.encode())
    assert (2, "") == (ended.status, ended.out) and told in ended.err


def test_a_bundle_may_be_named_by_its_directory(run: Command, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"root": {"path": "/usr"}}))
    assert run("import", "oci", str(tmp_path / "config.json")) == run("import", "oci", str(tmp_path))


def test_what_is_no_unit_is_not_taken_for_an_empty_one(run: Command) -> None:
    ended = run("import", "systemd", "-", stdin=b'format = 1\n[[mount]]\ntarget = "/"\n')
    assert 2 == ended.status and "there is no directive of a [Service] in it" in ended.err


def test_compose_files_are_yaml(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "html").mkdir()
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    out = run("import", "compose", str(tmp_path / "compose.yaml")).out
    assert f'bind = "{tmp_path}/html"' in out
    (tmp_path / "compose.yaml").write_text("services: [\n")
    ended = run("import", "compose", str(tmp_path / "compose.yaml"))
    assert 2 == ended.status and "compose.yaml:2: is not YAML" in ended.err


def test_without_the_library_yaml_is_told_to_need_one(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    ended = run("import", "compose", str(tmp_path / "compose.yaml"))
    assert 2 == ended.status and "pip install 'mountplan[yaml]'" in ended.err
    (tmp_path / "compose.json").write_text(json.dumps({"services": {"web": {"image": "x"}}}))
    assert 0 == run("import", "compose", str(tmp_path / "compose.json")).status


def test_without_crit_a_dump_is_told_to_need_it(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountpoints-1.img").write_bytes(b"VCST")
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = run("import", "criu", str(tmp_path))
    assert 2 == ended.status and "apt install criu" in ended.err
    (tmp_path / "empty").mkdir()
    assert "there is no mount image in it" in run("import", "criu", str(tmp_path / "empty")).err


def test_an_image_elsewhere_is_named_and_what_stands_above_a_mount_is_told(run: Command, tmp_path: Path) -> None:
    mount = {"destination": "/a", "type": "bind", "source": "/usr", "options": ["rbind", "rnosuid", "ro", "rprivate"]}
    (tmp_path / "config.json").write_text(json.dumps({"root": {"path": "gone"}, "mounts": [mount]}))
    ended = run("import", "oci", str(tmp_path / "config.json"), "--root", "/usr")
    assert 'target = "/"\nbind = "/usr"' in ended.out
    assert "mountplan: not in the spec: /a: ro: here also for what the bind brings along" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["oci"], "name the file that is to be imported as oci"),
        (["bwrap"], "write the command line of bwrap after --"),
        (["bwrap", "x", "--", "sh"], "name a file with bwrap's command line, or write it after --, not both"),
        (["fstab", "x", "--", "sh"], "import fstab takes nothing after --"),
        (["fstab", "x", "--service", "y"], "--service and --container are for compose and k8s"),
        (["fstab", "x", "--root", "y"], "--root is for oci, compose, k8s and criu"),
        (["fstab", "x", "--name", "a b"], "--name: "),
        (["docker", "x"], "unknown form 'docker'; there are: oci, bwrap, fstab"),
    ],
)
def test_wrong_usage(run: Command, words: list[str], message: str) -> None:
    ended = run("import", *words)
    assert (2, "") == (ended.status, ended.out)
    assert f"mountplan: {message}" in ended.err


@pytest.mark.parametrize("form", ["oci", "fstab", "systemd", "compose", "k8s", "criu"])
@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"root": []}', '{"root": {}, "mounts": 3}', '{"root": {}, "mounts": [{"destination": 1}]}',
     '{"services": {"a": {"volumes": [[]]}}}', '{"services": {"a": {"tmpfs": 3}}}', "\x00\x01", "a b c d e f g",
     '{"spec": {"containers": [{"volumeMounts": 3}]}}', '{"root": {}, "linux": []}', '{"root": {}, "process": 3}',
     "[Service]\nBindPaths=:\nReadOnlyPaths=\"\nTemporaryFileSystem=:::\n"],
)  # fmt: skip
def test_whatever_a_file_holds_there_is_no_traceback(run: Command, tmp_path: Path, form: str, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    ended = run("import", form, str(path))
    assert ended.status in (0, 2), ended.err

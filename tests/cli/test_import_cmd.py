"""import as a user calls it."""

from __future__ import annotations

import io
import json
import os
import sys
import tomllib
from pathlib import Path

import pytest

from mountplan import api
from mountplan.cli import main
from mountplan.foreign_files import settled
from mountplan.planner.foreign.spec_draft import SpecDraft
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
        ('bwrap --bind "$HOME" /x', "or run the script with `mountplan import bwrap --` in front of its bwrap"),
        ("bwrap --tmpf /x sh", "remedy: did you mean --tmpfs?"),
        ("bwrap --tmpfs '/x", "is not understood as words of a shell"),
        ("bwrap --bind ~/x /x sh", "~/x: patterns, braces and ~ are not replaced"),
        ("bwrap --bind /x{1,2} sh", "/x{1,2}: patterns, braces and ~ are not replaced"),
        ("bwrap --bind $(pwd) /x sh", "what commands write is not known"),
        ("--tmpfs /x; rm /y", "there is no call of bwrap in it"),
        ("bwrap --tmpfs /x\nbwrap --tmpfs /y", "it calls bwrap several times"),
    ],
)
def test_what_a_shell_would_make_of_it_is_refused(run: Command, text: str, told: str) -> None:
    ended = run("import", "bwrap", "-", stdin=text.encode())
    assert (2, "") == (ended.status, ended.out) and told in ended.err


def test_what_a_script_does_after_the_call_is_no_part_of_its_command(run: Command) -> None:
    """The shell's operators ended up as words of the sandbox's command."""
    demo = """if command -v bwrap >/dev/null; then :; fi
(exec bwrap --tmpfs '~' --setenv PS1 "demo$ " --file 11 /etc/passwd \\
   sh -c "echo a" 2>&1) 11< <(getent passwd 0) && echo done; rm -rf /x | cat
"""
    ended = run("import", "bwrap", "-", stdin=demo.encode())
    assert 'command = ["sh", "-c", "echo a"]' in ended.out
    assert 'environment = { PS1 = "demo$ " }' in ended.out
    assert "not in the spec: what the script runs besides bwrap: command, :, echo, rm, cat" in ended.err
    assert "not in the spec: redirections" in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('exec env FOO=1 bwrap --tmpfs /x sh "$@"', "what stands before bwrap: env FOO=1"),
        ("FOO=1 bwrap --tmpfs /x sh", "what stands before bwrap: FOO=..."),
        ("for d in a b; do bwrap --tmpfs /x sh; done", "a loop: it is called once here"),
    ],
)
def test_what_a_script_says_around_the_call_is_told(run: Command, text: str, told: str) -> None:
    ended = run("import", "bwrap", "-", stdin=text.encode())
    assert 'command = ["sh"]' in ended.out
    assert f"not in the spec: {told}\n" in ended.err


def test_a_file_of_the_importers_own_process_is_told_as_that_of_any(run: Command) -> None:
    assert 'bind = "/proc/self/status"' in run("import", "bwrap", "--", "--ro-bind", "/proc/self/status", "/st").out


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


def test_a_decoded_dump_on_standard_input_makes_a_spec_with_a_name(run: Command, tmp_path: Path) -> None:
    entry = {"fstype": 5, "mnt_id": 2, "root_dev": "0:46", "parent_mnt_id": 1, "mountpoint": "/", "source": "x"}
    ended = run("import", "criu", "-", stdin=json.dumps({"magic": "MNTS", "entries": [entry]}).encode())
    assert (0, "") == (ended.status, ended.err)
    assert 'name = "dump"' in ended.out
    assert "<stdin>: dump: it is no mount image" in run("import", "criu", "-", stdin=b"{}").err


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


WRONG_HERE = {
    "fstab": """\
/usr /srv none bind,ro 0 0
/nonesuch /tmp none bind 0 0
/dev/nope /opt xfs defaults 0 2
overlay /mnt overlay lowerdir=/usr/bin:/nonesuch 0 0
frob /var frobfs defaults 0 0
tmpfs /nonesuch/place tmpfs defaults 0 0
tmpfs /nonesuch/place/below tmpfs defaults 0 0
""",
    "systemd": "[Service]\nBindPaths=/nonesuch:/tmp /usr:/nonesuch\nReadOnlyPaths=/nowhere\n",
    "k8s": json.dumps({"spec": {
        "volumes": [{"name": "a", "hostPath": {"path": "/nonesuch"}}, {"name": "c", "hostPath": {"path": "/usr"}}],
        "containers": [{"name": "c", "volumeMounts": [
            {"name": "a", "mountPath": "/a"}, {"name": "c", "mountPath": "/c", "subPath": "nonesuch"},
        ]}],
    }}),
    "compose": json.dumps({"services": {"web": {"volumes": ["/nonesuch:/a", "/usr:/b"], "tmpfs": ["/tmp:foo=bar"]}}}),
    "oci": json.dumps({"root": {"path": "/usr"}, "mounts": [
        {"destination": "/bin", "type": "bind", "source": "/nonesuch", "options": ["bind"]},
        {"destination": "/bin/below", "type": "tmpfs"},
        {"destination": "/share", "type": "frobfs", "source": "t"},
        {"destination": "/lib", "type": "tmpfs", "options": ["size=abc", "frob"]},
    ]}),
    "bwrap": "bwrap --bind /nonesuch /a --ro-bind /usr /usr sh",
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG_HERE)
def test_what_check_would_refuse_here_is_left_out_and_told(run: Command, tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text(WRONG_HERE[form])
    saved = tmp_path / "saved.toml"
    ended = run("import", form, tmp_path / "file", "-o", saved)
    assert 0 == ended.status, ended.err
    assert "left out: host path" in ended.err or "is not there" in ended.err
    assert () == api.check(saved.read_bytes(), "saved.toml")


def test_what_has_no_root_here_is_refused_and_nothing_saved(run: Command, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"root": {"path": "rootfs"}}')
    ended = run("import", "oci", tmp_path, "-o", tmp_path / "saved.toml")
    assert (2, False) == (ended.status, (tmp_path / "saved.toml").exists())
    assert f'mount[0].bind: host path "{tmp_path}/rootfs": no such file or directory' in ended.err


def test_a_part_of_which_not_even_the_key_is_right_becomes_a_comment() -> None:
    draft = SpecDraft()
    draft.add("/", type="tmpfs")
    draft.add("relative", type="tmpfs")
    text = settled(lambda: draft.text(["x"]), draft.leave_out, "it")
    assert '# [[mount]]\n# target = "relative"\n# type = "tmpfs"\n# unsupported = ' in text
    assert 1 == len(parse_spec(text.encode()).mount)
    assert ['relative: left out: "relative" is not absolute'] == draft.left_out()


def test_mounts_of_a_dump_that_are_not_to_be_had_here_are_left_out(run: Command, tmp_path: Path) -> None:
    row = {"fstype": 5, "root_dev": "0:9", "flags": "0x0", "root": "/", "source": "t", "options": "", "sb_flags": "0x0"}
    entries = [
        row | {"mnt_id": 1, "parent_mnt_id": 0, "mountpoint": "/", "fsname": "tmpfs"},
        row
        | {"mnt_id": 2, "parent_mnt_id": 1, "mountpoint": "/a", "fstype": 0, "fsname": "frobfs", "root_dev": "0:10"},
    ]
    (tmp_path / "mountpoints-1.json").write_text(json.dumps({"magic": "MNTS", "entries": entries}))
    ended = run("import", "criu", tmp_path, "-o", tmp_path / "saved.toml")
    assert 0 == ended.status, ended.err
    assert 0 == run("check", tmp_path / "saved.toml").status


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("{size: 64mb, mode: 0o755}", ("64m", "0755")), ('{size: "1 GiB", mode: 0755}', ("1g", "0755")),
     ('{size: 65536, mode: "1777"}', ("65536", "01777"))],
)  # fmt: skip
def test_sizes_and_modes_of_compose_become_such_as_the_kernel_takes(
    given: str, wanted: tuple[str, str], run: Command, tmp_path: Path
) -> None:
    pytest.importorskip("yaml")
    volume = f"{{type: tmpfs, target: /var/run/x, tmpfs: {given}}}"
    (tmp_path / "c.yaml").write_text(f"services: {{a: {{image: x, volumes: [{volume}]}}}}\n")
    ended = run("import", "compose", str(tmp_path / "c.yaml"), "--root", "/usr")
    assert f'options = {{ size = "{wanted[0]}", mode = "{wanted[1]}" }}' in ended.out
    assert 'on_symlink = "follow"' in ended.out


def test_where_standard_output_is_ascii_a_spec_is_toml_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert 0 == main(["import", "bwrap", "--", "--tmpfs", "/", "--setenv", "A", "\xe9\\x", "true"])
    assert {"A": "\xe9\\x"} == tomllib.loads(raw.getvalue().decode("ascii"))["run"]["environment"]

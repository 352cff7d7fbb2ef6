"""Files that a spec includes, read from a real file system: symlinks, pipes, what has no end, what is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import api, live_outside
from mountplan.inputs import STDIN
from mountplan.live_outside import LiveOutside
from mountplan.planner.errors import SpecError
from mountplan.planner.language.outside import Piped

ROOT = 'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'


def spec_including(folder: Path, name: str) -> str:
    (folder / "main.toml").write_text(f'format = 1\ninclude = ["{name}"]\n')
    return str(folder / "main.toml")


def reason(folder: Path, name: str) -> str:
    with pytest.raises(SpecError) as raised:
        api.load(spec_including(folder, name))
    (mistake,) = raised.value.mistakes
    assert f"{folder}/main.toml:2: include[0]" == str(mistake.ref)
    return mistake.what.partition(" cannot be read: ")[2]


def test_a_file_and_a_symlink_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(ROOT)
    (tmp_path / "link.toml").symlink_to("a.toml")
    for name in ("a.toml", "link.toml", f"{tmp_path}/a.toml"):
        assert 1 == len(api.load(spec_including(tmp_path, name)).mount)


def test_what_is_no_file_to_be_read_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes to the pipe: to wait for that would be to hang."""
    os.mkfifo(tmp_path / "pipe")
    os.mkdir(tmp_path / "folder")
    (tmp_path / "loop").symlink_to("loop")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 40)
    assert "it comes through a pipe" == reason(tmp_path, "pipe")
    assert "it is no file in a directory" == reason(tmp_path, "folder")
    assert "it is no file in a directory" == reason(tmp_path, "/dev/zero")
    assert "no such file or directory" == reason(tmp_path, "missing")
    assert "too many levels of symbolic links" == reason(tmp_path, "loop")
    assert "it is larger than 16 MiB" == reason(tmp_path, "huge")
    monkeypatch.setattr(live_outside, "LARGEST", 4096)
    (tmp_path / "grown").write_bytes(b"#" * 4097)
    assert "it is larger than 0 MiB" == reason(tmp_path, "grown")


def test_what_becomes_a_pipe_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LookupError, match="a pipe, and no file"):
        LiveOutside().text(str(tmp_path / "pipe"))


def test_paths_count_from_the_directory_in_which_the_spec_has_its_name(tmp_path: Path) -> None:
    """As includes of other languages do: a symlink puts the spec where the symlink is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "names").mkdir()
    (tmp_path / "real/main.toml").write_text(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "./here"\n')
    (tmp_path / "names/main.toml").symlink_to("../real/main.toml")
    (tmp_path / "alias").symlink_to("names")
    for name, where in (("real", "real"), ("names", "names"), ("alias", "names")):
        assert f"{tmp_path}/{where}/here" == api.load(f"{tmp_path}/{name}/main.toml").mount[1].bind


def test_what_comes_through_a_pipe_is_in_no_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    fd = os.memfd_create("spec")
    for file in (STDIN, f"{tmp_path}/pipe", f"/proc/self/fd/{fd}"):
        with pytest.raises(Piped):
            LiveOutside().whereabouts(file)
    os.close(fd)
    for words in ('bind = "./x"', 'type = "tmpfs"\ncontents = "x"'):
        with pytest.raises(SpecError, match=r'"(\./)?x" counts from the directory of the spec, and there is none'):
            api.load("-", f'{ROOT}[[mount]]\ntarget = "/x"\n{words}\n'.encode())


def test_a_spec_of_standard_input_includes_by_whole_paths_only(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(ROOT)
    assert 1 == len(api.load("-", f'format = 1\ninclude = ["{tmp_path}/a.toml"]\n'.encode()).mount)
    with pytest.raises(SpecError, match="there is none: it comes from standard input"):
        api.load("-", b'format = 1\ninclude = ["a.toml"]\n')

"""Presets, and specs that are written out in full: they say the same, and nothing stands for anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.language.expand import entries, expanded
from mountplan.planner.language.presets import NAMES
from mountplan.planner.language.spec import Spec
from mountplan.planner.language.spec_reading import build_spec, parse_spec
from mountplan.planner.language.spec_text import spec_text
from tests.hosts import CHECKOUT
from tests.planner.mistakes import ROOT, mistakes, tmpfs
from tests.valid_specs import valid_spec

SPECS = sorted((CHECKOUT / "specs").glob("*.toml"))


def read(text: str) -> Spec:
    return parse_spec(b"format = 1\n" + text.encode(), "test.toml")


def targets(text: str) -> list[str]:
    return [str(mount.target) for _, mount in entries(read(text), "")]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_what_is_written_out_reads_as_the_same_spec(path: Path) -> None:
    spec = api.load(str(path))
    again = parse_spec(spec_text(spec).encode(), str(path))
    assert spec == again
    full = expanded(spec, "/base")
    assert full == parse_spec(spec_text(full).encode(), str(path))


def test_random_specs_read_as_the_same_spec() -> None:
    for seed in range(60):  # which have every key that valid_spec writes
        spec = build_spec(valid_spec(seed))
        assert spec == parse_spec(spec_text(spec).encode()), f"valid_spec({seed})"


def test_odd_bytes_and_newlines_are_written_so_that_they_are_read() -> None:
    spec = build_spec(
        {
            "format": 1,
            "mount": [
                {"target": {"escaped": r"/srv/caf\351\012x"}, "type": "tmpfs", "options": {"a b": True, "x": 3},
                 "file": [{"path": "f", "content": "1\n2\x7f\n\"'\\"}, {"path": {"escaped": r"\134"}, "fifo": True}]},
            ],
            "run": {"command": ["sh", "-c", "a\nb"], "environment": {"A.B": "x\ny"}, "capabilities": []},
        }
    )  # fmt: skip
    assert spec == parse_spec(spec_text(spec).encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_written_out_stands_for_itself(name: str) -> None:
    spec = read(f'root = "new"\npreset = "{name}"\n' + ("" if name == "sandbox" else ROOT))
    full = expanded(spec, "/base")
    assert () == full.preset
    assert [mount for _, mount in entries(spec, "")] == full.mount
    assert full == parse_spec(spec_text(full).encode(), "test.toml")


def test_a_mount_takes_the_place_of_a_presets_and_of_what_that_has_below_it() -> None:
    plain = targets('preset = "sandbox"')
    assert [one for one in plain if one != "/tmp"] + ["/tmp"] == targets('preset = "sandbox"\n' + tmpfs("/tmp"))
    own_dev = targets('preset = "sandbox"\n' + tmpfs("/dev"))
    assert ["/dev"] == [one for one in own_dev if one.startswith("/dev")]
    assert [*plain[1:], "/"] == targets('preset = "sandbox"\n' + ROOT)
    below = targets('preset = "sandbox"\n' + tmpfs("/dev/mqueue"))
    assert [*plain, "/dev/mqueue"] == below


def test_a_later_preset_takes_the_place_of_an_earlier_one() -> None:
    both = targets('preset = ["oci", "dev"]')
    assert ["/proc", "/sys", "/sys/fs/cgroup"] == [one for one in both if not one.startswith("/dev")]
    assert targets('preset = "dev"') == [one for one in both if one.startswith("/dev")]


def test_a_relative_path_holds_wherever_the_spec_is_stored() -> None:
    spec = read(ROOT + tmpfs("/c", 'contents = "in/it"'))
    assert "/base/in/it" == expanded(spec, "/base").mount[1].contents


def test_each_namespace_has_its_own_presets() -> None:
    text = '[[namespace]]\nname = "a"\npreset = "dev"\nroot = "inherit"\n[[namespace]]\nname = "b"\nroot = "inherit"\n'
    first, second = expanded(read(text), "/").namespace
    assert ("/dev", []) == (first.mount[0].target, second.mount)
    plain = text.replace('preset = "dev"\n', "")
    assert [("preset", "it is not said in which namespace")] == [
        one[:2] for one in mistakes('preset = "dev"\n' + plain)
    ]


@pytest.mark.parametrize(
    ("value", "what", "remedy"),
    [
        ('"sandbx"', '"sandbx" is no preset', 'did you mean "sandbox"?'),
        ('["dev", 3]', "is the number 3", 'write "dev", "oci" or "sandbox"'),
        ('["dev", "dev"]', 'names a preset twice: ["dev", "dev"]', "name each once"),
    ],
)
def test_a_wrong_preset_is_told_with_a_remedy(value: str, what: str, remedy: str) -> None:
    assert [("preset", what, remedy)] == mistakes(f"preset = {value}\n{ROOT}")


def test_a_mistake_in_what_a_preset_needs_is_at_its_line() -> None:
    """The fake host has no /dev/null."""
    found = mistakes(f'preset = "dev"\n{ROOT}')
    assert "preset.dev[1].bind" == found[0][0]

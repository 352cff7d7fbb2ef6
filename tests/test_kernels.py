"""The runner of older kernels: what it takes for the newest kernel, and for a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.__main__ import BUILD, Cannot, find, newest, read_result

NAMES = (
    "linux-image-6.1.0-9-amd64",
    "linux-image-6.1.0-56-amd64",
    "linux-image-6.1.0-57-cloud-amd64",
    "linux-image-6.1.0-58-amd64-dbg",
    "linux-image-6.12.9+deb12-amd64",
    "linux-image-6.12.117+deb12-amd64",
    "linux-image-6.12.118+deb12-rt-amd64",
    "linux-image-6.12-amd64",
)


def test_the_newest_plain_kernel_of_a_series_is_taken() -> None:
    """Versions go by their numbers, and 6.12 is not of the series 6.1."""
    assert "linux-image-6.1.0-56-amd64" == newest("6.1", NAMES)
    assert "linux-image-6.12.117+deb12-amd64" == newest("6.12", NAMES)
    assert newest("5.15", NAMES) is None


def test_an_image_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    with pytest.raises(Cannot, match=f"{image}: there is no such file"):
        find(image)
    image.touch()
    assert (image, BUILD / "bzImage/out") == find(image)


def test_results_are_counted(tmp_path: Path) -> None:
    """pytest's by its XML, with the reasons of skips; the programs that try random sequences by their last line."""
    (tmp_path / "tests.status").write_text("1")
    (tmp_path / "tests.xml").write_text(
        '<testsuites><testsuite><testcase classname="a" name="good"/>'
        '<testcase classname="a" name="bad"><failure/></testcase>'
        '<testcase classname="a" name="not"><skipped message="no loop"/></testcase></testsuite></testsuites>'
    )
    assert (1, ("a.bad",), {"no loop": 1}) == read_result(tmp_path, "tests")
    (tmp_path / "model.status").write_text("1")
    (tmp_path / "model.log").write_text("seeds 1 to 300\n300 sequences, 9000 calls, 2 differences, 60 s\n")
    passed, failed, skipped = read_result(tmp_path, "model")
    assert (298, 2, {}) == (passed, len(failed), skipped)


def test_a_suite_that_did_not_come_to_its_end_has_failed(tmp_path: Path) -> None:
    """A kernel that crashes half-way leaves no status; a program that crashes leaves no counts."""
    assert read_result(tmp_path, "tests").failed
    (tmp_path / "capture.status").write_text("1")
    (tmp_path / "capture.log").write_text("Traceback ...")
    assert read_result(tmp_path, "capture").failed

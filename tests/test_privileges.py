"""Finding out what the machine offers."""

from __future__ import annotations

import pytest

from tests.privileges import missing, require


def test_a_program_that_is_there_is_not_missing() -> None:
    assert "" == missing("sh")


def test_a_program_that_is_not_there_is_named() -> None:
    assert "there is no program mkfs.of-no-kind here" == missing("mkfs.of-no-kind")


@pytest.mark.needs_kernel("mountns")
def test_a_filesystem_type_is_asked_of_the_kernel() -> None:
    assert "" == missing("fs:tmpfs")
    assert "No such device" in missing("fs:of-no-kind")


def test_what_is_missing_skips_the_test_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUNTPLAN_REQUIRE_KERNEL", "0")
    with pytest.raises(pytest.skip.Exception, match=r"^needs mkfs\.none: there is no program"):
        require("sh", "mkfs.none")


def test_what_is_missing_fails_the_test_where_nothing_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a machine that lost a package, or a right, would go on reporting success."""
    monkeypatch.setenv("MOUNTPLAN_REQUIRE_KERNEL", "1")
    with pytest.raises(pytest.fail.Exception, match=r"^needs mkfs\.none: .*MOUNTPLAN_REQUIRE_KERNEL"):
        require("mkfs.none")


def test_root_or_a_user_namespace_is_enough_for_a_throw_away_host() -> None:
    assert (missing("root") == "" or missing("userns") == "") == (missing("mountns") == "")

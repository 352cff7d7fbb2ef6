"""What is written twice, for two programs to read, is the same."""

from __future__ import annotations

import re

from tests.hosts import CHECKOUT


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text(), re.M)
    assert found
    return found[1]


def test_the_hooks_of_a_commit_are_the_checks_of_make_check() -> None:
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text()
    tools = re.findall(r"^\s+entry: \.venv/bin/([^\n]*)", hooks, re.M)
    (checks,) = re.findall(r"^CHECKS := (.*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    assert "$(CHECKS)" in recipe("check")
    made = [line.strip().removeprefix("$(BIN)/") for check in checks.split() for line in recipe(check).splitlines()]
    assert sorted(made) == sorted(tool.removesuffix(" --force-exclude") for tool in tools)
    assert len(tools) == hooks.count("language: system"), "a hook of another kind would fetch its program"


def test_every_target_of_the_makefile_is_told_by_make_help() -> None:
    (phony,) = re.findall(r"^\.PHONY: (help .*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    told = set(re.findall(r"echo 'make (\S+)", recipe("help")))
    assert told == set(phony.split()) - {"help", "users-here"}


def test_the_pure_tests_ask_for_no_kernel() -> None:
    (unit, *more) = re.findall(r"^UNIT \+?:?= ?(.*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    paths = [CHECKOUT / word for word in " ".join((unit, *more)).split()]
    assert [] == [path.name for path in paths if not path.exists()]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
    assert len(files) > 30
    assert '-m "not needs_kernel"' in recipe("unit"), (
        "what is held against the kernel as well stands beside the model's"
    )
    words = re.compile(r"\bin_host\b|\brun_in_host\b")
    assert [] == [file.name for file in files if words.search(file.read_text())]

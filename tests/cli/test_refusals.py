"""A refused call is never an answer: a sample of `make refusals`, and what is told where memory is short."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import PATIENCE
from tests.refusals import Case, User, try_all
from tests.trees import ROOT

SAMPLE = (
    # Of root's store nothing is known then, and that of an ordinary user is another.
    ("fsopen", "EPERM", "ls"),
    ("fsopen", "ENOSYS", "rm --all"),
    ("fsopen", "EPERM", "apply --forget shop.toml"),
    # The C library emulates it, without the ids of mounts.
    ("statx", "ENOSYS", "ls"),
    ("statx", "ENOSYS", "apply --forget mqueue.toml"),
    ("unshare", "ENOSYS", "apply --forget shop.toml"),
    ("unshare", "EPERM", "doctor"),
    ("setns", "ENOSYS", "ls"),
    ("setns", "EPERM", "apply shop.toml"),
    ("setns", "EPERM", "verify shop.toml"),
    ("openat2", "EPERM", "apply --forget shop.toml"),
    ("close_range", "ENOSYS", "run programs.toml -- /usr/bin/true"),
    ("signalfd4", "EPERM", "run isolated.toml -- /usr/bin/true"),
    ("clone", "EPERM", "capture shop"),
    ("kill", "EPERM", "capture shop"),
    ("poll", "EPERM", "show shop"),
    ("getdents64", "ENOSYS", "ls"),
    # Calls that Python's functions are not called after: with a directory to begin at, and in a frozen module.
    ("renameat", "EPERM", "rm shop"),
    ("symlinkat", "EPERM", "run programs.toml -- /usr/bin/true"),
    ("getcwd", "EPERM", "apply --name third other.toml"),
    ("readlink", "EPERM", "capture shop"),
    # What Python itself cannot do without: where the call is written cannot be read then.
    ("openat", "ENOSYS", "diff shop.toml other.toml"),
    ("read", "EPERM", "plan --classic overlay.toml"),
    ("openat", "EPERM", "capture shop"),
    # A process is not protected from itself.
    ("read", "EPERM", "explain {own}"),
    # In a process whose root is another.
    ("readlinkat", "EPERM", "simulate --compare-kernel -"),
    ("chroot", "ENOSYS", "simulate --compare-kernel -"),
    # On the way to a program: that it has not run is no answer of its.
    ("fcntl", "EPERM", "simulate --compare-kernel -"),
    ("dup2", "EPERM", "simulate --compare-kernel -"),
    ("execve", "EPERM", "simulate --compare-kernel -"),
    # Of the process that tries what there is.
    ("prctl", "EPERM", "doctor"),
    ("getdents64", "ENOSYS", "example"),
    ("newfstatat", "EPERM", "export bwrap bind.toml"),
    ("getdents64", "EPERM", "import compose compose.yaml --root /usr"),
    # By the process that reads tables, before it is asked for one.
    ("close_range", "EPERM", "ls"),
    # By the process that changes what stands; nothing has been changed by then.
    ("fchdir", "EPERM", "apply --live --name shop other.toml"),
    ("mkdirat", "ENOSYS", "apply --live --name shop other.toml"),
    ("openat2", "EPERM", "apply --live --pid {inside} inherit.toml"),
    # Python finds no module where it may not look.
    ("newfstatat", "EPERM", "schema"),
)


@pytest.mark.needs_kernel("root", "set-group", "nobody", "userns")
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_is_refused_is_told_and_is_no_answer(user: User) -> None:
    problems = try_all([Case(user, *one) for one in SAMPLE], timeout=120)
    assert not problems, "\n".join(f"{case}\n  {problem}" for case, problem in problems.items())


@pytest.mark.parametrize("megabytes", [7, 8, 8.1, 10, 16, 17.5, 18.5])
@pytest.mark.parametrize(
    "words",
    [
        "check spec.toml",
        "ls",
        "diff spec.toml nonesuch",
        "apply --forget spec.toml",
        "import bwrap -- --ro-bind /usr /usr",
        "plan --expand spec.toml",
        "schema",
    ],
)
def test_want_of_memory_is_no_difference_and_leaves_no_traceback(words: str, megabytes: float, tmp_path: Path) -> None:
    """Python would end with 1, which means a difference. What tells of an error may need memory too."""
    (tmp_path / "spec.toml").write_text("format = 1\n" + ROOT)
    size = int(megabytes * 1024) << 10
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; from mountplan.__main__ import main; sys.exit(main())", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},  # an ordinary user may have no place for names
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size)),
    )
    assert "Traceback" not in ended.stderr
    # 70, as for a bug: Python itself may have lost the exception, or raise another one than MemoryError.
    assert ended.returncode in (0, 3, 70, 2 if words.startswith("diff") else 3), ended


@pytest.mark.parametrize("megabytes", range(36, 52, 2))
def test_want_of_address_space_is_told_as_that(megabytes: int, tmp_path: Path) -> None:
    """What pydantic is written in aborts where it gets no memory, or leaves an error behind that is none."""
    (tmp_path / "spec.toml").write_text("format = 1\n" + ROOT)
    size = megabytes * 1000 << 10
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from mountplan.__main__ import main; sys.exit(main())",
            "check",
            "spec.toml",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
    )
    assert (0, "spec.toml: no mistakes\n") == (ended.returncode, ended.stdout) or (
        3 == ended.returncode and "memory" in ended.stderr and "ulimit" in ended.stderr
    ), ended

"""The trampoline: its machine code, its file, and that nobody notices it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.process import trampoline
from mountplan.applier.process.machinecode import IMAGES, SIZE
from mountplan.applier.process.trampoline import Attempt, Failure, Script
from mountplan.applier.sys import abi
from tests.assembling import MODULE, TARGETS, assemble, missing, module_text
from tests.commands import Outcome, outcome, programs
from tests.hosts import InHost
from tests.privileges import forbid_memfds, in_pid_namespace
from tests.trees import plan_of

GONE = Attempt(b"/nonesuch", {0: Failure(b"other", 9, True), errno.ENOENT: Failure(b"gone", 127, False)})
SHELL = Attempt(b"/bin/sh", {0: Failure(b"other", 9, True)})
FOLDER = Attempt(b"/", {0: Failure(b"other", 9, True), errno.EACCES: Failure(b"folder", 126, True)})
ODD = Attempt(b"/", {0: Failure(b"odd", 3, True)})


def files(**contents: str) -> str:
    """A tmpfs on /tmp with executable files, and one on /opt."""
    text = '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\n'
    return text + "".join(
        f"[[mount.file]]\npath = \"{name}\"\nmode = \"0755\"\ncontent = '''{content}'''\n"
        for name, content in contents.items()
    )


# ---- the machine code -----------------------------------------------------------------------------------------------


def test_every_machine_that_mountplan_runs_on_has_machine_code() -> None:
    assert set(TARGETS) == set(IMAGES)
    assert set() == {machine for machine in abi.MACHINES if trampoline.code_for(machine) not in IMAGES}


@pytest.mark.parametrize("machine", TARGETS)
def test_the_machine_code_is_what_the_assembler_makes_of_the_source(machine: str) -> None:
    """ELF header included, byte for byte."""
    if program := missing(machine):
        pytest.skip(f"there is no {program} here")
    assert bytes.fromhex(IMAGES[machine]).ljust(SIZE, b"\0") == assemble(machine)


def test_the_module_is_as_it_is_generated() -> None:
    images = {machine: bytes.fromhex(text) for machine, text in IMAGES.items()}
    assert module_text(images) == MODULE.read_text()


@pytest.mark.parametrize(
    ("attempts", "noted", "ending"),
    [
        ((SHELL,), None, (5, "zero one two words\n", "", "")),
        ((GONE, GONE, SHELL), None, (5, "zero one two words\n", "", "")),
        ((GONE, GONE), None, (127, "", "", "gone")),
        ((GONE, FOLDER, SHELL), None, (126, "", "", "folder")),
        ((GONE,), Failure(b"noted", 4, True), (4, "", "", "noted")),
        ((ODD, SHELL), None, (3, "", "", "odd")),
    ],
)
@pytest.mark.parametrize("machine", TARGETS)
def test_it_tries_one_path_after_the_other_and_tells_of_the_failure_that_counts(
    machine: str,
    attempts: tuple[Attempt, ...],
    noted: Failure | None,
    ending: tuple[int, str, str, str],
    tmp_path: Path,
) -> None:
    assert ending == _run(machine, Script(attempts, noted, b"itself"), tmp_path)


@pytest.mark.parametrize("machine", TARGETS)
def test_it_knows_by_a_closed_descriptor_that_it_was_not_mountplan_that_started_it(
    machine: str, tmp_path: Path
) -> None:
    assert (126, "", "itself", "") == _run(machine, Script((SHELL,), None, b"itself"), tmp_path, is_open=False)


def _run(machine: str, script: Script, folder: Path, *, is_open: bool = True) -> tuple[int, str, str, str]:
    """Exit status, output, errors, and what was reported."""
    native = trampoline.code_for(os.uname().machine) == machine
    if not native and not shutil.which(TARGETS[machine].emulator):
        pytest.skip(f"there is no {TARGETS[machine].emulator} here")
    reader, writer = os.pipe()
    program = folder / "trampoline"
    program.write_bytes(trampoline.image(machine, script, writer))
    program.chmod(0o755)
    command = [str(program)] if native else [TARGETS[machine].emulator, str(program)]
    done = subprocess.run(
        [*command, "-c", 'echo "$@"; exit 5', "-", "zero", "one", "two words"],
        pass_fds=(writer,) if is_open else (), capture_output=True, text=True,
    )  # fmt: skip
    os.close(writer)
    with open(reader) as file:
        return done.returncode, done.stdout, done.stderr, file.read()


# ---- its file -------------------------------------------------------------------------------------------------------


@pytest.mark.needs_kernel("root", "set-group", "memfd-noexec")
def test_where_no_memfd_may_be_executed_it_is_on_a_tmpfs_of_its_own(in_host: InHost) -> None:
    def work() -> None:
        forbid_memfds()
        with pytest.raises(PermissionError):
            os.memfd_create("x", abi.MFD_EXEC)
        mounts = (
            '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\n[[mount.file]]\npath = "link"\nsymlink = "/proc/self/exe"\n'
        )
        for how in ("run", "execute"):
            assert Outcome(3, "hi\n", "") == outcome(programs(), "sh", "-c", "echo hi; exit 3", how=how)
            assert 126 == outcome(programs(mounts=mounts), "/tmp/link", how=how).status
        with api.build(plan_of(programs("capabilities = []"))) as tree:
            assert "hi\n" == tree.run(["echo", "hi"], check=True).stdout

    in_host(lambda: in_pid_namespace(work), identity="root")


@pytest.mark.needs_kernel("set-group")
@pytest.mark.parametrize("how", ["run", "execute"])
def test_where_no_file_may_have_its_size_that_is_told(how: str, in_host: InHost) -> None:
    """The signal that comes with it would end the process as if it were the command's."""

    def work() -> Outcome:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
        return outcome(programs(), "true", how="run" if how == "run" else "execute")

    ended = in_host(work)
    assert 3 == ended.status
    assert "File too large (EFBIG)" in ended.err


# ---- nobody notices it ----------------------------------------------------------------------------------------------


@pytest.mark.needs_kernel("set-group")
def test_an_earlier_directory_of_path_may_have_a_script_without_its_interpreter(in_host: InHost) -> None:
    spec = programs('environment = { PATH = "/tmp:/usr/bin" }', files(true="#!/nonesuch\n"))
    assert 0 == in_host(partial(outcome, spec, "true", how="execute")).status


@pytest.mark.needs_kernel("set-group")
def test_a_file_of_no_known_format_ends_the_search_as_execvp_does(in_host: InHost) -> None:
    spec = programs('environment = { PATH = "/tmp:/usr/bin" }', files(true="x"))
    ended = in_host(partial(outcome, spec, "true", how="execute"))
    assert 126 == ended.status
    assert "cannot run '/tmp/true': it is neither a program" in ended.err


@pytest.mark.needs_kernel("set-group")
def test_the_first_that_is_there_is_told_if_none_can_be_run(in_host: InHost) -> None:
    spec = programs('environment = { PATH = "/opt:/tmp" }', files(one="#!/nonesuch\n"))
    ended = in_host(partial(outcome, spec, "one", how="execute"))
    assert 126 == ended.status
    assert "cannot run '/tmp/one': it is there, but its interpreter" in ended.err


@pytest.mark.needs_kernel("set-group")
@pytest.mark.parametrize("how", ["run", "execute"])
def test_arguments_that_are_too_long_are_told(how: str, in_host: InHost) -> None:
    ended = in_host(lambda: outcome(programs(), "true", "x" * 200_000, how="run" if how == "run" else "execute"))
    assert 126 == ended.status
    assert "Argument list too long" in ended.err


@pytest.mark.needs_kernel("set-group")
def test_tree_run_raises_what_subprocess_raises(in_host: InHost) -> None:
    def work() -> list[type[BaseException] | None]:
        found: list[type[BaseException] | None] = []
        with api.build(plan_of(programs(mounts=files(lost="#!/nonesuch\n", odd="x")))) as tree:
            for command in (["nonesuch"], ["/tmp"], ["/tmp/lost"], ["/tmp/odd"], ["true"]):
                try:
                    tree.run(command)
                    found.append(None)
                except OSError as error:
                    found.append(type(error))
        return found

    assert [FileNotFoundError, PermissionError, FileNotFoundError, OSError, None] == in_host(work)

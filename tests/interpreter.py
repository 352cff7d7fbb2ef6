"""Commands that lead to /proc/self/exe, started by a copy of the interpreter, which is what they would get hold of.

python -m tests.interpreter WAY: prints, as JSON, how each of COMMANDS ended. attacked() has a copy do that.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mountplan import api
from mountplan.applier.process.trampoline import File, Script
from mountplan.planner.errors import CommandNotStarted
from tests.commands import PROC, Outcome, outcome, programs
from tests.hosts import CHECKOUT, run_in_child
from tests.keptnames import in_runtime_directory, on_run
from tests.trees import plan_of

# What a Python that runs inside says; a script has it as its text, a symlink gets it as `-c`.
_CODE = "import os; print('RUNS ' + os.readlink('/proc/self/exe'))"
COMMANDS = {
    "symlink": ("/tmp/link", "-c", _CODE),
    "script": ("/tmp/script",),
    "script-behind-a-symlink": ("/tmp/linked",),
    "loader": ("/tmp/loaded",),
    "descriptor": ("/tmp/descriptor",),
}
WAYS = ("execute", "run", "execute-pid", "run-pid", "enter", "enter-pid", "tree")
PLAIN = "PLAIN"  # in the environment: no trampoline, as a proof that there is something to be kept from


def loaded_by_itself() -> bytes:
    """An ELF file for this machine whose PT_INTERP is /proc/self/exe; of 64 bits."""
    loader = b"/proc/self/exe\0"
    machine = Path("/proc/self/exe").read_bytes()[18:20]
    header = b"\x7fELF\2" + (b"\1" if sys.byteorder == "little" else b"\2") + b"\1" + bytes(9)
    header += struct.pack("=H", 3) + machine + struct.pack("=IQQQIHHHHHH", 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = 64 + 2 * 56 + len(loader)
    interp = struct.pack("=IIQQQQQQ", 3, 4, size - len(loader), 0, 0, len(loader), len(loader), 1)
    load = struct.pack("=IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 0x10000)
    return header + interp + load + loader


def spec(folder: Path, way: str) -> str:
    """A tree with the commands, and with all that the copy of the interpreter needs."""
    mounts = '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\n'
    files = {
        "link": 'symlink = "/proc/self/exe"',
        "ln": 'symlink = "../proc/self/exe"',
        "script": f'mode = "0755"\ncontent = """#!/proc/self/exe\n{_CODE}\n"""',
        "linked": f'mode = "0755"\ncontent = """#!/tmp/ln\n{_CODE}\n"""',
        "loaded": f'mode = "0755"\nsource = "{folder}/loaded"',
        "descriptor": f'mode = "0755"\ncontent = """#!/proc/self/fd/9\n{_CODE}\n"""',  # of Python, see _hold
    }
    mounts += "".join(f'[[mount.file]]\npath = "{name}"\n{what}\n' for name, what in files.items())
    if not sys.base_prefix.startswith("/usr"):
        mounts += f'[[mount]]\ntarget = "{sys.base_prefix}"\nbind = "{sys.base_prefix}"\n'
    if way.endswith("-pid"):
        return programs('unshare = ["pid"]', mounts + PROC)
    return programs("", mounts)


def _hold() -> None:
    """Have a descriptor of the interpreter, such as any program may have open on some file of the host."""
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    os.dup2(fd, 9, inheritable=False)


def ended(way: str, text: str, command: tuple[str, ...]) -> Outcome:
    """How a command ends when it is started in this way."""
    if way.startswith(("run", "execute")):
        return outcome(text, *command, how="run" if way.startswith("run") else "execute", prepare=_hold)
    if way == "tree":
        with api.build(plan_of(text)) as tree:
            try:
                done = tree.run(command)
            except (FileNotFoundError, CommandNotStarted):  # a script's interpreter that is no file
                return Outcome(126, "", "")
            return Outcome(done.returncode, done.stdout, done.stderr)
    pipe = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(pipe[1], 1)
        os.dup2(pipe[1], 2)
        _enter(command)
    os.close(pipe[1])
    with open(pipe[0]) as file:
        text = file.read()
    return Outcome(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text, text)


def _enter(command: tuple[str, ...]) -> NoReturn:
    try:
        _hold()
        api.enter("programs", command=command)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except CommandNotStarted as error:
        os._exit(error.exit_status)
    finally:
        os._exit(99)


def _all(way: str, folder: Path) -> dict[str, Outcome]:
    text = spec(folder, way)
    if way.startswith("enter"):
        api.apply(plan_of(text))
    return {name: ended(way, text, command) for name, command in COMMANDS.items()}


def attacked(way: str, *, plain: bool = False) -> dict[str, Outcome]:
    """How each command ends if a copy of the interpreter starts it; the copy must be the same afterwards."""
    with tempfile.TemporaryDirectory(prefix="mountplan-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        copy = folder / "python"
        shutil.copy(os.path.realpath(sys.executable), copy)
        (folder / "loaded").write_bytes(loaded_by_itself())
        before = copy.read_bytes()
        environment = os.environ | {
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join((str(CHECKOUT), sysconfig.get_path("purelib"))),
            PLAIN: "1" if plain else "",
        }
        done = subprocess.run(
            [copy, "-m", "tests.interpreter", way, folder],
            env=environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stderr
        assert before == copy.read_bytes()
        return {name: Outcome(*value) for name, value in json.loads(done.stdout).items()}


def _execute_plainly(
    self: File, script: Script, arguments: list[str], environment: dict[str, str], report: int
) -> None:
    os.execve(script.attempts[0].path, arguments, environment)


def main(way: str, folder: str) -> None:
    if os.environ[PLAIN]:
        File.execute = _execute_plainly  # type: ignore[assignment, method-assign]
    work: Callable[[], dict[str, Outcome]] = lambda: _all(way, Path(folder))  # noqa: E731
    if way.startswith("enter"):
        work = on_run(work) if os.geteuid() == 0 else in_runtime_directory(work)
    print(json.dumps(run_in_child(work)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

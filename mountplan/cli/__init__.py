"""The command line: arguments, printing, exit statuses. Nothing else in mountplan prints.

A command is one module, its arguments and its work: `check` is check_cmd.py. Start-up counts, as `mountplan run` stands
before every program that is started with it: so this module imports next to nothing, a command's module only what its
arguments take, and its work imports what it needs when it is called for.

Exit statuses: 0 done; 1 a difference, or a plan was refused; 2 wrong usage or a wrong spec; 3 the kernel said no;
70 a bug in mountplan; 130 interrupted; 141 no process reads the output any more. `run` and `enter` end as their
command.
"""

from __future__ import annotations

import sys
from io import RawIOBase

from mountplan.cli.exit_status import BUG
from mountplan.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

INTERRUPTED = 130  # 128 + SIGINT, as a shell tells it
NO_READER = 141  # 128 + SIGPIPE

_WRITABLE = (
    "  remedy: send it to where it can be written; `mountplan ls` tells what is kept, whatever was to be said of it"
)

START = """\
mountplan: write down the mount tree and the sharing you want; get it built in
order, and verified.

To begin with:
  mountplan check SPEC             is the spec all right?
  mountplan plan SPEC              what would be built, in which order, and why
  mountplan run SPEC -- COMMAND    build it, and run a command in it

`mountplan --help` lists all commands, `mountplan COMMAND --help` explains one.
"""


def main(argv: list[str] | None = None, prepare: Callable[[], object] = tuple) -> int:
    """Carry out one command line; returns the exit status. Raises nothing, and leaves no traceback.

    `prepare` is called before what most commands need is loaded.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_missing()
    sys.stdout, sys.stderr = _taking_all(sys.stdout), _taking_all(sys.stderr)
    try:
        try:
            return _main(arguments, prepare)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return NO_READER
    except Exception as error:
        if not isinstance(error, OSError) or error.filename is not None or _to_be_told(error) is not error:
            return _say_last(error)
        _drop_output()  # of the output: what else the system refuses has been told, or names a file
        _write_last(
            f"mountplan: cannot write the output: {(error.strerror or str(error)).lower()}\n{_WRITABLE}\n".encode()
        )
        return 3


def _main(arguments: list[str], prepare: Callable[[], object]) -> int:
    if arguments in (["--version"], ["-V"]):  # without argparse: scripts ask this often
        sys.stdout.write(f"mountplan {__version__}\n")
        return 0
    if not arguments:
        sys.stdout.write(START)
        return 0
    prepare()
    from mountplan.cli.frame import carry_out

    return carry_out(arguments)


def _open_missing() -> None:
    """The caller has closed some of 0, 1 and 2: have /dev/null there, before a file of ours is."""
    import os

    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _taking_all(stream: TextIO) -> TextIO:
    """A stream that takes all of a text or fails. Python without buffers (`PYTHONUNBUFFERED`, as in many a container)
    passes over what is left where the system takes a part: for a disk that is full by then, or a reader that goes.
    """
    if not isinstance(getattr(stream, "buffer", None), RawIOBase):
        return stream
    return open(stream.fileno(), "w", 1, encoding=stream.encoding, errors=stream.errors, closefd=False)  # by lines


def _to_be_told(error: BaseException) -> BaseException:
    """What was to be told when telling it has failed; or else the error itself."""
    told: BaseException | None = error
    while told is not None:
        if hasattr(told, "exit_status") or isinstance(told, MemoryError):
            return told
        told = told.__context__
    return error


def _say_last(error: Exception) -> int:
    """Tell what could not be told as usual: without an import, and with what memory there is.

    A traceback of Python's would end with 1, which means a difference.
    """
    import os  # Python itself has loaded it

    status, text = BUG, b"mountplan: it fails, and there is not even the memory to say why\n"
    try:
        if os.environ.get("MOUNTPLAN_DEBUG"):  # to look that up takes memory, too
            sys.excepthook(type(error), error, error.__traceback__)
        told = _to_be_told(error)
        if isinstance(told, MemoryError):
            status, text = 3, b"mountplan: there is not enough memory\n  remedy: raise the limit (ulimit -d, -v)\n"
        elif told is not error:
            status = int(told.exit_status)  # type: ignore[attr-defined]
            text = f"mountplan: {told}\n".encode(errors="backslashreplace")
        else:
            status = 3 if isinstance(error, OSError) else BUG
            text = f"mountplan: it cannot go on: {type(error).__name__}: {error}\n".encode(errors="backslashreplace")
    except (MemoryError, SystemError):  # the latter where Python had no memory for the former
        pass
    try:
        _write_last(text)
    except (MemoryError, SystemError):  # the status alone says it
        pass
    return status


def _write_last(text: bytes) -> None:
    """To standard error. If that is what takes nothing more, the exit status says it alone, and is not Python's."""
    import os

    try:
        os.write(2, bytes(byte if 32 <= byte < 127 or byte == 10 else 63 for byte in text))  # no control characters
    except OSError:
        os.dup2(_nowhere(), 2)  # Python flushes it at the end


def _nowhere() -> int:
    """A descriptor to write to what nobody reads. In a tree that a command has entered there may be no /dev/null."""
    import os

    try:
        return os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return os.pipe()[1]  # the other end stays open as long as this process


def _drop_output() -> None:
    """No process takes our output: say nothing more there, not even at exit, when Python flushes what is left."""
    import os

    nowhere = _nowhere()
    try:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
            except ValueError:
                pass
    finally:
        os.close(nowhere)

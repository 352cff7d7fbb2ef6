"""Where the command line prints: plain text, or the same text in colours, or JSON; and errors."""

from __future__ import annotations

import os
import sys

from mountplan.planner.characters import as_ascii, visible_lines
from mountplan.planner.light import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any, TextIO

    from mountplan.planner.render.lane_text import Piece

Color = Literal["auto", "always", "never"]


class OutputFailed(OSError):
    """What the system said when it was to take our output."""


# For terminals and files whose encoding has no box characters.
_BOXES = "├└│─┌┐┘┤┬┴┼╷╵●▼║╟╢╓╖╙╜╥╨╫…"
_ASCII = str.maketrans(_BOXES, "|`|-..'|+++||*v!||..`'+++~")


class Output:
    """One command's way to talk. With `as_json`, standard output has exactly one JSON document, be it result or error.

    `run` hands its standard output to a command: with `stdout_is_taken`, errors as JSON go to standard error instead.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        color: Color = "auto",
        quiet: bool = False,
        stdout_is_taken: bool = False,
        pager: bool = True,
    ) -> None:
        self.as_json = as_json
        self.color = color
        self.quiet = quiet
        self.stdout_is_taken = stdout_is_taken
        self.pager = pager
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:  # whatever a path holds and the locale lacks: never an exception
                reconfigure(errors="backslashreplace")

    def result(self, text: str) -> None:
        """What the command was called for."""
        self._write(sys.stdout, text)

    def paged(self, text: str) -> None:
        """The same; through a pager, if it is longer than the terminal."""
        if self.pager and sys.stdout.isatty():
            from mountplan.cli import pager

            lines = pager.height()
            if lines is not None and text.count("\n") >= lines:
                fitting = _fitting(visible_lines(text), sys.stdout)
                if pager.show(
                    lambda stream: self._write_fitting(stream, fitting, colored=self.wants_color(sys.stdout))
                ):
                    return
        self.result(text)

    @property
    def room(self) -> int | None:
        """How many columns the terminal has that results go to; None for a pipe or a file."""
        if self.as_json or not sys.stdout.isatty():
            return None
        try:
            return max(20, int(os.environ.get("COLUMNS", "")) or os.get_terminal_size(sys.stdout.fileno()).columns)
        except ValueError:
            pass
        try:
            return max(20, os.get_terminal_size(sys.stdout.fileno()).columns or 80)
        except OSError:
            return 80

    def raw(self, text: str) -> None:
        """A result that another program reads: no colours, not a character changed."""
        _put(sys.stdout, lambda: sys.stdout.write(text))

    def spec(self, text: str) -> None:
        """A spec: what the encoding of standard output lacks is written as TOML has it."""
        self.raw(self.writable(text))

    def writable(self, text: str) -> str:
        r"""`text` with all that standard output cannot encode as \uNNNN, so that it is as wide as it will be."""
        try:
            text.encode(sys.stdout.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return as_ascii(text)
        return text

    def drawing(self, lines: Sequence[Sequence[Piece]]) -> None:
        """A picture with lanes, each lane in a colour of its own."""
        if self.wants_color(sys.stdout):
            from mountplan.cli.colors import write_pieces

            pieces = [[piece._replace(text=_fitting(piece.text, sys.stdout)) for piece in line] for line in lines]
            _put(sys.stdout, lambda: write_pieces(sys.stdout, pieces))
        else:
            text = "".join("".join(piece.text for piece in line).rstrip() + "\n" for line in lines)
            _put(sys.stdout, lambda: sys.stdout.write(_fitting(text, sys.stdout)))

    def data(self, value: Any) -> None:
        """The same as JSON."""
        self._write_json(sys.stdout, value)

    def either(self, data: Callable[[], Any], text: Callable[[], str]) -> int:
        """A result in the one way that is asked for; the other is not made. Returns 0, the exit status."""
        if self.as_json:
            self.data(data())
        else:
            self.paged(text())
        return 0

    def note(self, text: str) -> None:
        """Something beside the result: what was saved, what to do next."""
        if not self.quiet and not self.as_json:
            self._write(sys.stderr, text)

    def error(self, text: str, data: dict[str, Any]) -> None:
        """What went wrong, in one of the two ways."""
        if self.as_json:
            self._write_json(sys.stderr if self.stdout_is_taken else sys.stdout, {"error": data})
        else:
            sys.stdout.flush()
            self._write(sys.stderr, text)

    @staticmethod
    def json_of_error(data: dict[str, Any]) -> bytes:
        """What `error` prints as JSON, for what prints it when no Python is left."""
        return _json({"error": data}).encode()

    def wants_color(self, stream: TextIO) -> bool:
        """`--color` decides; then NO_COLOR, CLICOLOR_FORCE and CLICOLOR; otherwise a terminal that can."""
        if self.color != "auto":
            return self.color == "always"
        said = os.environ
        if said.get("NO_COLOR"):
            return False
        if said.get("CLICOLOR_FORCE", "0") not in ("", "0"):
            return True
        return stream.isatty() and said.get("CLICOLOR") != "0" and said.get("TERM") != "dumb"

    def _write(self, stream: TextIO, text: str) -> None:
        text = _fitting(visible_lines(text), stream)  # wherever it is from: nothing harmful comes by here
        self._write_fitting(stream, text, colored=self.wants_color(stream))

    @staticmethod
    def _write_fitting(stream: IO[str], text: str, *, colored: bool) -> None:
        if colored:
            from mountplan.cli.colors import write_colored

            _put(stream, lambda: write_colored(stream, text, is_error=stream is sys.stderr))
        else:
            _put(stream, lambda: stream.write(text))

    def _write_json(self, stream: TextIO, value: Any) -> None:
        text = _json(value)
        _put(stream, lambda: stream.write(text))


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2).replace("\x7f", "\\u007f") + "\n"  # ASCII: the same in every locale


def _put(stream: IO[str], write: Callable[[], object]) -> None:
    try:
        write()
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.errno, error.strerror) from None


def _fitting(text: str, stream: TextIO) -> str:
    if text.isascii():
        return text
    try:
        _BOXES.encode(stream.encoding or "ascii")
        if not os.environ.get("PYTHONIOENCODING"):  # which is about this stream, whatever the locale is
            _BOXES.encode(_charset_of_locale())
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII)
    return text


def _charset_of_locale() -> str:
    """What the terminal has, as the locale tells it: Python itself says UTF-8 wherever that is "C" (PEP 538, 540).

    Where nothing is said of a locale, as under many a service manager, it is UTF-8: "C" means ASCII if it is asked for.
    """
    said = os.environ
    kind = said.get("LC_CTYPE")
    if kind == "C.UTF-8":  # by Python itself, maybe
        kind = _asked_for()
    name = said.get("LC_ALL") or kind or said.get("LANG") or ""
    if name in ("C", "POSIX"):
        return "ascii"
    return name.partition("@")[0].partition(".")[2] or "utf-8"


def _asked_for() -> str:
    """LC_CTYPE as this process was started with it."""
    try:
        with open("/proc/self/environ", "rb") as file:
            found = [one for one in file.read().split(b"\0") if one.startswith(b"LC_CTYPE=")]
    except OSError:
        return ""
    return found[0].partition(b"=")[2].decode("ascii", "replace") if found else ""

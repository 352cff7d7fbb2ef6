"""What a change under way has begun: a file beside the name, or, for a process, in the runtime directory.

It is there from before anything that stands is touched until all is verified. Who finds it knows that a change was
interrupted, what from, and what into.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mountplan.applier.keep import kept
from mountplan.applier.keep.store import runtime_place
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.private import opened_file
from mountplan.applier.sys.refusal import explain, function_of
from mountplan.planner.errors import KeepRefused
from mountplan.planner.record import NamedTuple

_FILE = ".live.json"
_FORMAT = "mountplan-journal/1"
_BEGUN = b"begun\n"


class JournalEntry(NamedTuple):
    """`before` and `after` are plans as texts; the first is "" for what no record tells of. `begun` tells whether
    anything that stands had been touched; `under_way` is what another process is at.
    """

    before: str
    after: str
    begun: bool
    under_way: bool = False


class Journal:
    """The journal of one subject: `directory` is lent to it."""

    def __init__(self, directory: int, file: str) -> None:
        self._directory = directory
        self._file = file
        self._fd = -1
        self._found = -1  # what another process has left, locked
        self._size = 0  # without what begin() adds

    def find(self) -> JournalEntry | None:
        """What another process has left, or has under way. Raises KeepRefused if it cannot be read.

        What is left is locked from then on, so that nobody else removes it, or goes on with it, at the same time.
        """
        try:
            if not self._lock():
                return JournalEntry("", "", True, under_way=True)
            data = kept.read_file(self._directory, self._file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused("read", error) from None
        first, whole, rest = data.partition(b"\n")
        if not whole:
            return JournalEntry("", "", False)  # cut off while it was written
        try:
            values = json.loads(first)
            if values["format"] != _FORMAT:
                raise ValueError(values["format"])
            return JournalEntry(str(values["before"]), str(values["after"]), bool(rest))
        except (ValueError, KeyError, TypeError):
            return JournalEntry("", "", True)

    def _lock(self) -> bool:
        """Lock the file that is there; False if another process has it locked."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        while True:
            self._found = os.open(self._file, flags, dir_fd=self._directory)
            try:
                fcntl.flock(self._found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._let_go()
                return False
            if os.fstat(self._found).st_nlink:
                return True
            self._let_go()  # removed or replaced since it was opened

    def _let_go(self) -> None:
        if self._found >= 0:
            syscalls.close(self._found)
            self._found = -1

    def write(self, before: str, after: str) -> None:
        """Raises FileExistsError if there is one, KeepRefused if it cannot be written."""
        self._write(self._file, JournalEntry(before, after, begun=False))

    def write_anew(self, entry: JournalEntry) -> None:
        """Take over one that is there: at no moment there is none."""
        new = f"{self._file}.new"
        with _refusals("write"):
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=self._directory)
            self._write(new, entry)
            os.rename(new, self._file, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._let_go()

    def _write(self, file: str, entry: JournalEntry) -> None:
        while True:
            with _refusals("write"):
                self._fd = opened_file(file, self._directory, os.O_EXCL | os.O_APPEND)
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # as long as this process or its visitor lives
            if os.fstat(self._fd).st_nlink:
                break
            os.close(self._fd)  # another process took it, empty and not yet locked, for a leftover
        values = {"format": _FORMAT, "before": entry.before, "after": entry.after}
        data = json.dumps(values).encode() + b"\n"
        self._size = len(data)
        with _refusals("write"):
            try:
                _write_all(self._fd, data + (_BEGUN if entry.begun else b""))
            except OSError:
                with suppress(OSError):
                    os.unlink(file, dir_fd=self._directory)
                raise

    def begin(self) -> None:
        """Something that stands is going to be touched. To be called in whichever process, wherever that is."""
        _write_all(self._fd, _BEGUN)

    def has_begun(self) -> bool:
        """Of the change that is written in it by this process."""
        return os.fstat(self._fd).st_size > self._size

    def remove(self) -> None:
        """Locked until it is gone: nobody shall take it for that of a change that was interrupted."""
        with _refusals("remove"), suppress(FileNotFoundError):
            os.unlink(self._file, dir_fd=self._directory)
        self.close()

    def close(self) -> None:
        self._let_go()
        if self._fd >= 0:
            syscalls.close(self._fd)
            self._fd = -1


def _write_all(fd: int, data: bytes) -> None:
    """A full filesystem may take a part, and says so at the next attempt only."""
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """FileExistsError says that there is one, and goes on as it is."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise _refused(what, error) from None


def _refused(what: str, error: OSError) -> KeepRefused:
    call = function_of(error).partition(" ")[0]
    meaning, remedy = explain("keep", error.errno or 0, call)
    return KeepRefused(f"cannot {what} the journal of a change: {call}{call and ': '}{meaning}", remedy)


@contextmanager
def journal_of_name(name: str) -> Iterator[Journal]:
    """Raises NotKept."""
    with kept.opened(name) as found:
        journal = Journal(found.directory, _FILE)
        try:
            yield journal
        finally:
            journal.close()


@contextmanager
def journal_of_namespace(number: int) -> Iterator[Journal]:
    """For a namespace that is not kept, by its unique number."""
    directory = os.open(runtime_place(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    journal = Journal(directory, f"mountplan-live-{number}.json")
    try:
        yield journal
    finally:
        journal.close()
        syscalls.close(directory)

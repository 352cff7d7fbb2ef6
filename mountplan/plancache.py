"""Plans of specs, kept from one `run` or `apply` to the next, so that the second time costs what a saved plan costs.

A plan depends on the spec and the values given for its parameters, on the version of mountplan, and on what planning
asked: about the host, and for what else the spec takes from outside. The former are in the name of an entry; the
questions are in it, with their answers, and are asked again before it is used. What is
tried of the kernel and the user is no part of a plan: building tries it each time.

Nothing here fails a command: what cannot be read, is damaged, or may have been written by another user is not used,
and what cannot be written is not kept.
"""

from __future__ import annotations

import os
import stat
from time import time

from mountplan.applier.observe.listings import MANY, kinds_of
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.private import new_directory, opened_file
from mountplan.live_outside import QUESTIONS, AskedOutside, LiveOutside, answer_of
from mountplan.planner.errors import PlanFileError, PlanRefused
from mountplan.planner.host import Host, HostPath, NotThere
from mountplan.planner.light import contextmanager
from mountplan.planner.plan.digest import quick_hex, sha256_hex
from mountplan.planner.plan.plain_json import loads
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.spec_digest import Planned, digest_of_spec
from mountplan.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeAlias

FORMAT = b"mountplan-cached/5"
MOST_ENTRIES, MOST_BYTES, LARGEST = 64, 128 << 20, 64 << 20  # the largest: a plan of 100,000 mounts has 30 MB
_DIRECTORY = "mountplan-plans"  # not "mountplan": the user may have caches where names are kept
_ENTRY, _COMING = "plan-", ".new-"
_ABANDONED = 3600.0  # seconds after which an unfinished file has no writer any more

# The name of a question to the host, its arguments, and last the answer, as JSON has them.
Question: TypeAlias = "list[Any]"


def plan_of(data: bytes, file: str, parameters: Mapping[str, str] | None = None) -> Plan:
    """The plan of a spec on this machine: the kept one if it still holds, else a new one. Raises as api.plan does."""
    return planned(data, file, parameters).plan


def planned(data: bytes, file: str, parameters: Mapping[str, str] | None = None) -> Planned:
    """plan_of(), and of which spec."""
    key = _key(data, file, parameters or {})
    found = _kept(key, file)
    if found is None:
        from mountplan import pipeline

        machine = _this_machine()
        host: Any = AskedHost(machine)
        outside = AskedOutside(LiveOutside(), host.questions)
        spec = pipeline.load(file, data, parameters=parameters, outside=outside)
        found = Planned(pipeline.plan_on_this_machine(spec, host), digest_of_spec(spec))
        _keep(key, in_bulk(host.questions, machine), found)
    return found


def planned_before(data: bytes, file: str, parameters: Mapping[str, str] | None = None) -> Planned | None:
    """planned(), if that takes no planning: for who looks at what stands, and keeps nothing."""
    from mountplan import pipeline

    found = _kept(_key(data, file, parameters or {}), file)
    try:
        if found is not None:
            pipeline.refuse_on_this_machine(found.plan)
    except PlanRefused:
        return None  # to be told as when it is planned
    return found


def _this_machine() -> Host:
    from mountplan.applier.observe.facts import LiveHost

    return LiveHost()


class AskedHost:
    """A host that writes down what it is asked, and what it answers."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._asked: set[tuple[str, ...]] = set()
        self.questions: list[Question] = []
        self.refused_option = host.refused_option  # a refusal is no plan, and what was taken is again

    def __getattr__(self, name: str) -> Any:
        """What a Host has: a property, or a method, which is found at once from then on."""
        if name not in vars(Host):
            raise AttributeError(name)
        if not callable(vars(Host)[name]):
            return self._asked_for(name)
        method = self.__dict__[name] = lambda *arguments: self._asked_for(name, *arguments)
        return method

    def _asked_for(self, name: str, *arguments: str) -> Any:
        question = (name, *arguments)
        if question not in self._asked:  # as the same directories are on the way to many paths
            self._asked.add(question)
            self.questions.append([*question, answer(self._host, *question)])
        return _of_host(self._host, name, arguments)


def _of_host(host: Host, name: str, arguments: tuple[str, ...]) -> Any:
    is_method = callable(vars(Host)[name])
    found = getattr(host, name)
    return found(*arguments) if is_method else found


def answer(host: Host, name: str, *arguments: str) -> Any:
    """What `host` answers, as a value that JSON keeps. The ids of mounts are left out: no plan has them."""
    if name in ("table", "inherited"):
        return sha256_hex(repr(getattr(host, name).rows).encode("utf-8", "surrogateescape"))
    if name == "entries":
        directory, names = arguments
        return kinds_of(directory, names.split("/"), frozenset([row.mountpoint for row in host.table.rows]))
    try:
        found = _of_host(host, name, arguments)
    except LookupError as error:
        return {"error": str(error), "absent": isinstance(error, NotThere)}
    if isinstance(found, HostPath):
        return [found.path, found.kind, list(found.mount[2:])]
    if name == "end_of":
        return list(found[2:])
    if name in ("showing", "of_type"):
        return [list(row[2:]) for row in found]
    if name == "partitions":
        return [list(one) for one in found]
    return list(found) if isinstance(found, tuple) else found


def in_bulk(questions: list[Question], host: Host) -> list[Question]:
    """The same questions, with those about many names of one directory as one, which is answered by reading that.

    Left out is also what follows from others: where a path leads to itself, no symlink is on the way to it.
    """
    looked = {one[1]: one[2] for one in questions if one[0] == "look" and one[2].__class__ is list}
    straight = [path for path, (found, _, _) in looked.items() if found == path]
    by_directory: dict[str, list[str]] = {}
    for path in straight:
        by_directory.setdefault(path.rpartition("/")[0] or "/", []).append(path)
    no_links = set(straight)
    for path in by_directory:
        while path not in no_links:
            no_links.add(path)
            path = path.rpartition("/")[0]
    together: set[str] = set()
    bulk: list[Question] = []
    for directory, paths in by_directory.items():
        if len(paths) < MANY:
            continue
        there = answer(host, "look", directory)
        if there.__class__ is not list or there[0] != directory:
            continue
        alike = [path for path in paths if looked[path][2] == there[2]]  # nothing is mounted there
        names = "/".join([path.rpartition("/")[2] for path in alike])
        kinds = "".join([looked[path][1][0] for path in alike])
        if len(alike) >= MANY and kinds == answer(host, "entries", directory, names):
            together.update(alike)
            bulk += [["look", directory, there], ["entries", directory, names, kinds]]
    left = [
        one
        for one in questions
        if not (one[0] == "look" and one[1] in together)
        and not (one[0] == "link" and one[2] is None and one[1] in no_links)
    ]
    return [*left, *bulk]


def _key(data: bytes, file: str, parameters: Mapping[str, str]) -> str:
    """What a plan depends on besides the host: the spec, what errors call it, this mountplan, kernel and user."""
    from mountplan import planner

    sources = sorted(_sources(os.path.dirname(planner.__file__ or "")))
    system = os.uname()
    given = sorted(parameters.items())
    parts = (__version__, sources, system.release, system.version, os.geteuid(), file, quick_hex(data), given)
    return sha256_hex(repr(parts).encode("utf-8", "surrogateescape"))


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, size and time (s) of each module below a folder: a planner that was changed plans otherwise."""
    with os.scandir(folder) as entries:
        for one in entries:
            if one.name.endswith(".py"):
                found = one.stat()
                yield one.path, found.st_size, int(found.st_mtime)
            elif one.is_dir() and not one.name.startswith("_"):
                yield from _sources(one.path)


def _kept(key: str, file: str) -> Planned | None:
    try:
        with _folder(create=False) as folder:
            fd = os.open(_ENTRY + key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with open(fd, "rb") as entry:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode) or not _is_ours(found) or found.st_size > LARGEST:
                    return None
                head, questions = entry.readline(), entry.readline()
                begin = len(head) + len(questions)
                plan = os.pread(fd, found.st_size - begin, begin)  # which copies nothing once more
                if head[:-1] != _head(questions[:-1], plan):
                    return None
                host, outside = _this_machine(), LiveOutside()
                made_from, *asked = loads(questions.decode())
                for name, *arguments, before in asked:
                    now = answer_of(outside, name, *arguments) if name in QUESTIONS else answer(host, name, *arguments)
                    if now != before:
                        return None
                made = Planned(load_plan(plan, file), str(made_from))
                os.utime(fd)  # the ones not used for longest go first
                return made
    except (OSError, ValueError, TypeError, AttributeError, LookupError, PlanFileError, PlanRefused):
        return None


def _keep(key: str, questions: list[Question], made: Planned) -> None:
    try:
        import json  # it is loaded where a spec is read, and not where what is kept is used

        asked, plan = json.dumps([made.made_from, *questions]).encode(), dump_plan(made.plan).encode()
        text = b"\n".join((_head(asked, plan), asked, plan))
        if len(text) > LARGEST:
            return
        with _folder(create=True) as folder:
            _write(folder, _ENTRY + key, text)
            _remove_oldest(folder)
    except OSError:
        pass


def _head(questions: bytes, plan: bytes) -> bytes:
    """What an entry begins with; a plan has a digest of its own."""
    return b"%s %s %d" % (FORMAT, sha256_hex(questions).encode(), len(plan))


@contextmanager
def _folder(*, create: bool) -> Iterator[int]:
    """Lend the directory of entries. Raises OSError if there is none that only this user can write to."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification wants a relative path passed over
        base = os.path.join(os.environ.get("HOME", ""), ".cache")
    if not os.path.isabs(base):
        raise FileNotFoundError(base)
    if create and not os.path.lexists(base):
        new_directory(base)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with closing_fd(os.open(base, flags)) as above:
        if os.fstat(above).st_uid != os.geteuid():  # as under sudo: nothing of root's is left in a user's home
            raise PermissionError(base)
        if create:
            try:
                new_directory(_DIRECTORY, above)
            except FileExistsError:
                pass
        folder = os.open(_DIRECTORY, flags | os.O_NOFOLLOW, dir_fd=above)
    with closing_fd(folder):
        if not _is_ours(os.fstat(folder)):
            raise PermissionError(base)
        yield folder


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _write(folder: int, name: str, text: bytes) -> None:
    """In one rename: a reader sees all of it or nothing."""
    coming = f"{_COMING}{os.getpid()}-{os.urandom(4).hex()}"
    fd = opened_file(coming, folder)
    try:
        with open(fd, "wb") as file:
            file.write(text)
        os.rename(coming, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(coming, dir_fd=folder)
        raise


def _remove_oldest(folder: int) -> None:
    """Keep within the bounds, and remove what a killed process had begun to write."""
    entries: list[tuple[float, int, str]] = []
    for name in os.listdir(folder):
        try:
            found = os.lstat(name, dir_fd=folder)
            if name.startswith(_ENTRY):
                entries.append((found.st_mtime, found.st_size, name))
            elif name.startswith(_COMING) and found.st_mtime < time() - _ABANDONED:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass  # another mountplan does the same
    size = sum(one[1] for one in entries)
    number = len(entries)
    for _, bytes_of_it, name in sorted(entries):
        if number <= MOST_ENTRIES and size <= MOST_BYTES:
            return
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        number -= 1
        size -= bytes_of_it

"""What rm(1), mv(1), cp(1), ln(1) and the like do with files that the model knows of: words -> calls, exit status.

What they put there of what the model does not know is not known from then on (ScriptCalls.forget).
"""

from __future__ import annotations

import errno
import posixpath
import re

from mountplan.planner.commands import actions as a
from mountplan.planner.commands.script_calls import Program, ScriptCalls
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.model import WouldRefuse
from mountplan.planner.model.objects import ModelNode
from mountplan.planner.model.walking import walk

_FAILED = 1
_MOST_FILES = 10_000  # that one command removes or copies


class NothingKnown(Exception):
    """The command means nothing for what is known; it is passed over."""


def options(name: str, arguments: list[str], letters: str, long: str = "") -> tuple[dict[str, str], list[str]]:
    """Options and the other words. A letter with `:` behind it in `letters` has a value, a `long` one with `=`."""
    given: dict[str, str] = {}
    paths: list[str] = []
    words = list(arguments)
    known = {one.rstrip("="): one.endswith("=") for one in long.split()}
    while words:
        word = words.pop(0)
        if word == "--":
            return given, paths + words
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            if option not in known:
                raise Unusable(f"{name} {word} is not followed", "leave it out")
            given[option] = value if equals or not known[option] else words.pop(0) if words else ""
        elif word.startswith("-") and word != "-":
            for at, letter in enumerate(word[1:], 2):
                place = letters.find(letter)
                if letter == ":" or place < 0:
                    raise Unusable(f"{name} {word} is not followed", "leave it out")
                given[letter] = ""
                if letters[place + 1 : place + 2] == ":":
                    given[letter] = word[at:] or (words.pop(0) if words else "")
                    break
        else:
            paths.append(word)
    return given, paths


def _directory(calls: ScriptCalls, path: str) -> bool:
    place = calls.place(path)
    return place is not None and place[1].is_directory


def _into(calls: ScriptCalls, given: dict[str, str], paths: list[str]) -> list[tuple[str, str]]:
    """Pairs of source and target, as mv(1), cp(1) and ln(1) read their words."""
    sources, last = (paths, given["t"]) if "t" in given else (paths[:-1], paths[-1] if paths else "")
    if not sources:
        raise Unusable("there are too few paths", "name a source and a target")
    whole = "T" not in given and (_directory(calls, last) or len(sources) > 1 or "t" in given)
    if whole and "n" in given and (node := calls.node(last)) is not None and node.link is not None:
        whole = False
    return [(one, f"{last.rstrip('/')}/{posixpath.basename(one.rstrip('/'))}" if whole else last) for one in sources]


def _is_known(calls: ScriptCalls, path: str) -> bool:
    """Whether it is known what is there, or that nothing is."""
    node = calls.node(path) or calls.node(posixpath.dirname(path.rstrip("/")) or ".")
    return node is None or node.is_known


def _tree(calls: ScriptCalls, path: str) -> list[tuple[str, ModelNode]]:
    """A path and all below it, above before below; what is mounted there counts, and its names."""
    found: list[tuple[str, ModelNode]] = []
    waiting = [path]
    while waiting:
        one = waiting.pop()
        node = calls.node(one)
        assert node is not None  # a name that was found a moment ago
        if node.is_directory:
            node = walk(calls.current, one)[1]
            waiting += [f"{one.rstrip('/')}/{name}" for name in node.children]
        found.append((one, node))
        if len(found) > _MOST_FILES:
            raise Unusable(f"{path} has more than {_MOST_FILES:,} files in it", "name fewer")
    return found


def rm(calls: ScriptCalls, arguments: list[str]) -> int:
    long = "recursive force verbose one-file-system preserve-root= no-preserve-root"
    given, paths = options("rm", arguments, "rRfdvIi", long)
    recursive = {"r", "R", "recursive"} & set(given)
    forced = {"f", "force"} & set(given)
    status, passed = 0, True
    for path in paths:
        if not _is_known(calls, path):
            continue
        passed = False
        node = calls.node(path)
        if node is None:
            status = status if forced else _FAILED
        elif not node.is_directory:
            status = status if calls.make(a.RemoveFile(path)) else _FAILED
        elif not recursive:
            status = _FAILED
        else:
            for one, below in reversed(_tree(calls, path)):
                action = a.RemoveDirectory(one) if below.is_directory else a.RemoveFile(one)
                if below.is_known and not calls.make(action):
                    status = _FAILED
    if passed:
        raise NothingKnown
    return status


def mv(calls: ScriptCalls, arguments: list[str]) -> int:
    given, paths = options("mv", arguments, "fnvTuibt:", "force verbose no-clobber no-target-directory")
    status, passed = 0, True
    for source, target in _into(calls, given, paths):
        node = calls.node(source)
        if node is None or not node.is_known or not _is_known(calls, target):
            calls.forget(target)
            continue
        passed = False
        if calls.make(a.Rename(source, target)):
            continue
        if calls.done[-1].errno == errno.EXDEV and not node.is_directory:  # it is copied, and removed then
            calls.done.pop()
            _copy_file(calls, source, target)
            calls.make(a.RemoveFile(source))
            continue
        if calls.done[-1].errno == errno.EXDEV:
            raise Unusable(f"mv {source} {target}: from one filesystem to another is not followed", "copy it")
        status = _FAILED
    if passed:
        raise NothingKnown
    return status


def _copy_file(calls: ScriptCalls, source: str, target: str) -> bool:
    try:
        text = calls.contents.read(calls.current, source)
    except WouldRefuse:
        return False  # a symbolic link that leads nowhere
    if not calls.make(a.MakeFile(target)):
        return False
    calls.contents.write(calls.current, target, text)
    if (before := calls.place(source)) is not None and (made := calls.place(target)) is not None:
        calls.contents.executable[made[1]] = calls.contents.executable.get(before[1], False)
    if text:
        calls.make(a.FillFile(target, text))
    return True


def cp(calls: ScriptCalls, arguments: list[str]) -> int:
    given, paths = options(
        "cp", arguments, "aAbdfiHlLnpPrRsuvxTt:",
        "archive recursive force verbose preserve no-preserve reflink sparse parents dereference no-dereference update"
        " one-file-system no-clobber no-target-directory",
    )  # fmt: skip
    recursive = {"a", "A", "r", "R", "archive", "recursive"} & set(given)
    status, passed = 0, True
    for source, target in _into(calls, given, paths):
        node = calls.node(source)
        if node is None or not node.is_known or not _is_known(calls, target) or {"l", "s", "parents"} & set(given):
            calls.forget(target)
            continue
        passed = False
        if node.is_directory and not recursive:
            status = _FAILED
            continue
        for one, below in _tree(calls, source):
            new = f"{target.rstrip('/')}{one[len(source.rstrip('/')) :]}"
            if below.link is not None and recursive:
                done = calls.make(a.MakeLink(new, below.link))
            elif not below.is_directory:
                done = _copy_file(calls, one, new)
            else:
                done = _directory(calls, new) or calls.make(a.MakeDirectory(new))
                if not below.is_known:
                    calls.forget(new)
            status = status if done else _FAILED
    if passed:
        raise NothingKnown
    return status


def ln(calls: ScriptCalls, arguments: list[str]) -> int:
    given, paths = options("ln", arguments, "sfnTvrt:", "symbolic force verbose no-dereference relative")
    if "relative" in given or "r" in given:
        raise Unusable("ln -r is not followed", "write the path as it stands in the link")
    if len(paths) == 1:
        paths = [*paths, "."]
    status, passed = 0, True
    for source, target in _into(calls, given, paths):
        if not {"s", "symbolic"} & set(given) or not _is_known(calls, target):
            calls.forget(target)
            continue
        passed = False
        node = calls.node(target)
        if {"f", "force"} & set(given) and node is not None and not node.is_directory:
            calls.make(a.RemoveFile(target))
        calls.links = True
        status = status if calls.make(a.MakeLink(target, source)) else _FAILED
    if passed:
        raise NothingKnown
    return status


def install(calls: ScriptCalls, arguments: list[str]) -> int:
    long = "directory mode= owner= group= target-directory= compare verbose"
    given, paths = options("install", arguments, "dDvCpTo:g:m:t:", long)
    if "d" in given or "directory" in given:
        return calls.each(a.MakeDirectory(path, True) for path in paths)
    if "target-directory" in given:
        given["t"] = given["target-directory"]
    if "D" in given:
        above = given["t"] if "t" in given else posixpath.dirname(paths[-1]) if paths else ""
        if above:
            calls.make(a.MakeDirectory(above, True))
    status = 0
    for source, target in _into(calls, given, paths):
        node = calls.node(source)
        if node is not None and node.is_known and not node.is_directory:
            done = _copy_file(calls, source, target)
        else:
            done = calls.make(a.MakeFile(target))
            calls.contents.write(calls.current, target, None)
        if done and (made := calls.place(target)) is not None:
            mode = given.get("m", given.get("mode", "755"))
            calls.contents.executable[made[1]] = bool(int(mode, 8) & 0o111) if re.fullmatch("[0-7]+", mode) else None
        status = status if done else _FAILED
    return status


def touch(calls: ScriptCalls, arguments: list[str]) -> int:
    given, paths = options("touch", arguments, "acmr:t:d:h", "no-create reference= date=")
    if {"c", "no-create"} & set(given):
        raise NothingKnown
    return calls.each(a.MakeFile(path) for path in paths if not _directory(calls, path))


def _sized(calls: ScriptCalls, paths: list[str]) -> int:
    """Files that something is in, which is not known."""
    status = 0
    for path in paths:
        if calls.make(a.MakeFile(path)):
            calls.contents.write(calls.current, path, None)
        else:
            status = _FAILED
    return status


def chmod(calls: ScriptCalls, arguments: list[str]) -> int:
    """Of what a mode says, only whether a file can be executed is kept in mind."""
    words = [one for one in arguments if re.fullmatch("-[-+=rwxXst,ugoa]+", one) or not one.startswith("-")]
    if not words or "X" in words[0]:
        raise NothingKnown
    mode, paths = words[0], words[1:]
    gone = re.search(r"-[rwst]*x", mode) is not None
    runs: bool | None = re.search(r"[+=][rwst]*x", mode) is not None
    if re.fullmatch("[0-7]+", mode):
        runs, gone = bool(int(mode, 8) & 0o111), not int(mode, 8) & 0o111
    elif "=" in mode and not runs:
        runs, gone = None, True  # of others it may still be
    for path in paths:
        node = calls.node(path)
        if node is not None and node.link is not None:
            node = place[1] if (place := calls.place(path)) is not None else None
        if node is not None and not node.is_directory and (runs or gone):
            recursive_or_part = gone and not re.fullmatch("[0-7]+|a?-x|a-x", mode)
            calls.contents.executable[node] = None if recursive_or_part and not runs else bool(runs)
    raise NothingKnown


def truncate(calls: ScriptCalls, arguments: list[str]) -> int:
    return _sized(calls, options("truncate", arguments, "s:r:co", "size= reference=")[1])


def fallocate(calls: ScriptCalls, arguments: list[str]) -> int:
    return _sized(calls, options("fallocate", arguments, "l:o:nxzdv", "length= offset= posix")[1])


def dd(calls: ScriptCalls, arguments: list[str]) -> int:
    written = [one[3:] for one in arguments if one.startswith("of=") and not one.startswith("of=/dev/")]
    if not written:
        raise NothingKnown
    return _sized(calls, written)


def mknod(calls: ScriptCalls, arguments: list[str]) -> int:
    _, words = options("mknod", arguments, "m:", "mode=")
    return _special(calls, words[:1], words[1] if len(words) > 1 else "")


def mkfifo(calls: ScriptCalls, arguments: list[str]) -> int:
    return _special(calls, options("mkfifo", arguments, "m:", "mode=")[1], "p")


def _special(calls: ScriptCalls, paths: list[str], kind: str) -> int:
    status = 0
    for path in paths:
        if calls.node(path) is not None or not calls.make(a.MakeFile(path)):
            status = _FAILED
        elif (node := calls.node(path)) is not None:
            calls.contents.special[node] = {"u": "c"}.get(kind, kind)
    return status


_COMMANDS = (chmod, cp, dd, fallocate, install, ln, mkfifo, mknod, mv, rm, touch, truncate)
FILE_COMMANDS: dict[str, Program] = {command.__name__: command for command in _COMMANDS}

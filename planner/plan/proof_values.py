"""What the values in a plan's steps may be: in the ranges of a spec's values, and no path that leads elsewhere.

Most are seen to be right at once. What is not goes to planner/language/values.py, which is loaded only then.
"""

from __future__ import annotations

from mountplan.planner.attributes import NAMES, change
from mountplan.planner.light import remember
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.run_settings import NAMESPACE_KINDS, RunSettings
from mountplan.planner.tables.columns import are_plain
from mountplan.planner.tables.layerpath import OF_LAYERS
from mountplan.planner.tables.namespace_file import is_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any, NoReturn

REMEDY = "make it again with `mountplan plan SPEC -o FILE`"


class Wrong(Exception):
    """What is wrong with a step, or with the whole plan."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


def refuse(what: str) -> NoReturn:
    raise Wrong(what)


PLAIN = s.MakeNode("", "", "file", -1, -1, -1, "", "", "", (0, 0), False, False, "")[3:10]
BARE = (*PLAIN, False, False)  # with existing and careful


@remember
def asked_for(words: str) -> tuple[int, int, bool, bool]:
    """What the words of set_attributes ask for: bits set and cleared, unbindable, id-mapped."""
    names = words.split(",")
    idmapped = names[-1:] == ["idmap"]
    del names[len(names) - idmapped :]
    unbindable = names[-1:] == ["unbindable"]
    del names[len(names) - unbindable :]
    for name in names:
        if name not in NAMES:
            refuse(f"{name!r} is no attribute of a mount")
    wanted = change(tuple(names))
    return wanted.set, wanted.clear, unbindable, idmapped


SYMLINK = 4095
SHORT = 255  # no path of so many characters, and no name in it, is too long if each is a byte (NAME_MAX)


def is_plain(path: str) -> bool:
    """True for most relative paths; the others are taken apart."""
    return (
        path != ""
        and len(path) <= SHORT
        and path.isascii()
        and path[0] not in "/."
        and path[-1] != "/"
        and "//" not in path
        and "/." not in path
        and "\0" not in path
    )


def all_plain(paths: Sequence[str], before: str = "") -> bool:
    """True if each, with what comes `before` it, is an absolute path that needs no closer look: is_plain() of all
    without their slash, at once.
    """
    known = are_plain(paths, before, SHORT + 1)
    if known is not None:
        return known
    begin = "\0" + before
    text = f"{begin}{begin.join(paths)}\0"
    return (
        text.isascii()
        and max(map(len, paths), default=0) <= SHORT + 1 - len(before)
        and text.count("\0") == len(paths) + 1
        and (before[:1] == "/" or text.count("\0/") == len(paths))
        and "//" not in text
        and "/." not in text
        and "/\0" not in text
    )


def check_text(text: str) -> None:
    if "\0" in text:
        refuse(f"{text[:40]!r} contains a NUL character")
    check_bytes(text)


def check_bytes(text: str) -> None:
    """That there are bytes that `text` stands for."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            refuse(f"{text[:40]!r} has a lone surrogate in it")


def check_relative(path: str) -> None:
    if is_plain(path):
        return
    check_text(path)
    if path.startswith("/"):
        refuse(f"{path} is absolute; a path of a plan counts from its filesystem")
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        refuse(f"{path!r} is no plain relative path")
    check_length(path)


def check_length(path: str) -> None:
    """That the kernel would walk to `path`."""
    from mountplan.planner.language.limits import path_too_long

    wrong = path_too_long(path)
    if wrong is not None:
        refuse(f"{path[:40]!r}... {wrong[0]}")


def check_absolute(path: str) -> None:
    if path[:1] != "/":
        refuse(f"{path!r} is not absolute, and should name something of the host's")
    if path != "/" and not is_plain(path[1:]):
        check_text(path)
        check_length(path)
        check_relative(path[1:])


def check_namespace(namespace: str) -> None:
    if namespace and not is_identity(namespace):
        refuse(f"{namespace!r} is no namespace whose file can be mounted")


def check_short(text: str) -> None:
    check_text(text)
    if len(text) > 60 and len(text.encode("utf-8", "surrogateescape")) > 255:
        refuse(f"{text[:40]!r}... is longer than the 255 bytes that fsconfig(2) takes")


def check_type(fstype: str) -> None:
    if not (fstype.isidentifier() and fstype.isascii() and len(fstype) <= 64):
        from mountplan.planner.language import values

        check_as_in_a_spec(values.filesystem_type, fstype)


_NO_OPTIONS = frozenset({"source", *OF_LAYERS})  # each is a field of a step


def check_options(options: tuple[tuple[str, str | bool], ...]) -> None:
    for key, value in options:
        if not key or "=" in key or key in _NO_OPTIONS:
            refuse(f"{key!r} is no option")
        check_short(key)
        if value is not True:
            if value is False:
                refuse(f"option {key} is false, which asks for nothing")
            check_short(value)


def check_node(step: s.MakeNode) -> None:
    if not -1 <= step.mode <= 0o7777:
        refuse(f"{step.mode:o} is no file mode")
    if step.node == "symlink" and step.mode >= 0:
        refuse("a symlink has no mode of its own: chmod(2) would change what it leads to")
    if not -1 <= step.uid < 2**32 - 1 or not -1 <= step.gid < 2**32 - 1:
        refuse("its owner is out of range")
    if step.content or step.source:
        if step.node != "file" or (step.content and step.source):
            refuse("it has contents that it cannot have")
        check_bytes(step.content)
        if step.source:
            check_absolute(step.source)
    if bool(step.link) != (step.node == "symlink"):
        refuse("a symlink, and nothing else, leads somewhere")
    check_text(step.link)
    if len(step.link.encode("utf-8", "surrogateescape")) > SYMLINK:
        refuse(f"{step.link[:40]!r}... is longer than the {SYMLINK} bytes that symlink(2) takes")
    if step.device != (0, 0) and step.node not in ("char", "block"):
        refuse("it is no device, but has the number of one")
    if not 0 <= step.device[0] < 1 << 12 or not 0 <= step.device[1] < 1 << 20:
        refuse("its device number is out of range")


def check_names(plan: Plan) -> None:
    names = [one.name for one in plan.expected.namespaces]
    for name in (plan.name, *names):
        if name and not (name.isidentifier() and name.isascii() and len(name) <= 100):
            from mountplan.planner.language import values

            check_as_in_a_spec(values.name, name)
    if len(set(names)) < len(names) or (len(names) > 1 and "" in names):
        refuse("several namespaces have a name each")
    check_text(plan.file)
    for _, file, _ in plan.moved:
        check_text(file)


def check_run(run: RunSettings) -> None:
    """As a spec's [run] is judged."""
    for text in (*run.command, *(part for pair in run.environment for part in pair)):
        check_text(text)
    for name, _ in run.environment:
        if not name or "=" in name:
            refuse(f"run.environment: {name!r} cannot name an environment variable")
    if len({name for name, _ in run.environment}) < len(run.environment):
        refuse("run.environment: a variable is set twice")
    check_absolute(run.cwd)
    if run.hostname:
        from mountplan.planner.language import values

        check_as_in_a_spec(values.hostname, run.hostname)
        if "uts" not in run.unshare:
            refuse("run.hostname: without uts in run.unshare it would be the whole machine's")
    if len(set(run.unshare)) < len(run.unshare) or not set(run.unshare) <= set(NAMESPACE_KINDS):
        refuse(f"run.unshare: {', '.join(run.unshare)} are not kinds of namespaces")
    if run.capabilities:
        from mountplan.planner.run_settings import CAPABILITIES

        for name in run.capabilities:
            if name not in CAPABILITIES:
                refuse(f"run.capabilities: there is no {name!r}")


def check_as_in_a_spec(judge: Callable[[Any], object], value: Any) -> None:
    """Raises Wrong if a spec could not have this value."""
    from mountplan.planner.language.values import Unfit

    try:
        judge(value)
    except Unfit as unfit:
        refuse(unfit.what)


def is_among(paths: Container[str], path: str, *, itself: bool = False) -> bool:
    """True if a directory above `path`, "" for the topmost, is one of `paths`; or, if so wished, `path` itself."""
    if itself and path in paths:
        return True
    while path:
        path = path.rpartition("/")[0]
        if path in paths:
            return True
    return False

"""Files that a command line names: a spec, a saved plan, standard input with either; and where results are saved."""

from __future__ import annotations

from mountplan import api
from mountplan.cli.usage import UsageError
from mountplan.planner.errors import Mistake, SpecError, SpecRef

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mountplan.cli.output import Output
    from mountplan.planner.errors import NamespaceRefused
    from mountplan.planner.language.parameters import Setting
    from mountplan.planner.plan.plan import Plan
    from mountplan.spec_digest import Planned


def read(name: str, what: str = "a spec, a saved plan") -> tuple[str, bytes]:
    """The name that errors shall use, and the contents. Raises SpecError if there is no such file."""
    from mountplan.applier.observe.asked import asking
    from mountplan.inputs import label_of, meant_instead, read_input, reason_of

    try:
        with asking("standard input" if name == "-" else f"the file {name!r}"):
            return label_of(name), read_input(name)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        meant = meant_instead(name) or (_known_otherwise(name) if what.startswith("a spec") else "")
        mistake = Mistake(SpecRef(name, ""), f"cannot read it: {reason}", f"{meant}name {what}, or - for stdin")
        raise SpecError((mistake,)) from None


def _known_otherwise(name: str) -> str:
    """The beginning of a remedy for what is no file, but a kept name or an example."""
    from mountplan.inputs import examples
    from mountplan.operands import is_kept

    if is_kept(name):
        ways = f"`mountplan show {name}` shows it, `enter` goes into it, `capture` writes a spec of it"
        return f"it is a kept name: {ways}; or "
    example = name.removesuffix(".toml").removeprefix("specs/")
    if example in examples():
        return f"`mountplan example {example} -o {example.rpartition('/')[2]}.toml` saves the example of this name; or "
    return ""


def plan_from(name: str, parameters: Mapping[str, str] | None = None, *, cache: bool = False) -> Plan:
    """The plan that is saved in a file, or that a spec comes to: one kept from the last time, if `cache` allows that.

    A saved plan, and one that was kept, loads neither pydantic nor networkx. `parameters` are values for the spec's.
    """
    file, data = read(name)
    saved = _saved_plan(name, file, data, parameters)
    if saved is not None:
        return saved
    if cache:
        from mountplan.plancache import plan_of

        return plan_of(data, file, parameters)
    return api.plan(api.load(file, data, parameters=parameters))


def planned_from(name: str, parameters: Mapping[str, str] | None = None) -> tuple[Plan, tuple[Setting, ...]]:
    """plan_from(), and what the parameters came to, if it was planned now."""
    file, data = read(name)
    saved = _saved_plan(name, file, data, parameters)
    if saved is not None:
        return saved, ()
    spec = api.load(file, data, parameters=parameters)
    return api.plan(spec), spec.settings


def planned_to_keep(
    name: str, parameters: Mapping[str, str] | None, kept_name: str | None, *, cache: bool, replace: bool
) -> Planned:
    """plan_from(), to be kept as `kept_name`, or the spec's name. Without `replace`, it may be what stands there."""
    from mountplan.keeping import plan_or_kept
    from mountplan.planner.errors import PlanRefused
    from mountplan.spec_digest import Planned

    file, data = read(name)
    saved = _saved_plan(name, file, data, parameters)
    if saved is not None:
        return Planned(saved)
    if cache:
        from mountplan.plancache import planned

        try:
            return planned(data, file, parameters)
        except (SpecError, PlanRefused):
            pass  # as the next one does, if it stands under no name
    spec = api.load(file, data, parameters=parameters)
    return plan_or_kept(spec, "" if replace else kept_name or spec.name or "")


def _saved_plan(name: str, file: str, data: bytes, parameters: Mapping[str, str] | None) -> Plan | None:
    """None of what is a spec."""
    from mountplan.inputs import looks_like_plan

    if not looks_like_plan(file, data):
        return None
    from mountplan.planner.plan.planfile import load_plan

    refuse_parameters_of_plan(name, parameters)
    return load_plan(data, file)


def refuse_parameters_of_plan(name: str, parameters: Mapping[str, str] | None) -> None:
    """Raise UsageError if there are values for parameters of what is a saved plan."""
    if parameters:
        raise UsageError(f"--set: {name} is a saved plan, which has no parameters any more; plan the spec anew")


def with_lines_of_keys(mistakes: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
    """Mistakes that were found in a plan, which knows the lines of mounts only, with those of their keys."""
    from contextlib import suppress

    from mountplan.inputs import read_input
    from mountplan.planner.language.locate import Places

    places = {}
    for file in {one.ref.file for one in mistakes}:
        with suppress(OSError, ValueError):  # standard input, or gone by now
            places[file] = Places(read_input(file).decode())
    lines = ((one, places[one.ref.file].line(one.ref.key) if one.ref.file in places else 0) for one in mistakes)
    return tuple(one._replace(ref=one.ref._replace(line=line or one.ref.line)) for one, line in lines)


def save(name: str, text: str, *, errors: str = "strict") -> None:
    """Write `text` into the file `name` as UTF-8; `errors` as for open(). Raises what unwritten() has.

    All of it is there or nothing: what cannot be written whole leaves what was there. Symlinks, modes and owners stay.
    """
    data = text.encode("utf-8", errors)
    try:
        place = _replaceable(name)
        if place is None or not _put_in_place(place, data):
            with open(name, "wb", buffering=0) as file:
                write_all(file.fileno(), data)
    except OSError as error:
        raise unwritten(f"cannot write {name}", error, name) from None


def note_saved(output: Output, file: str, then: str = "") -> None:
    """Say where it is saved, and what can be done `then`, as in "look at it with: mountplan plan"."""
    from mountplan.planner.characters import typed, visible

    output.note(f"Saved to {visible(file)}" + (f"; {then} {typed(file)}" if then else "") + "\n")


def write_all(fd: int, data: bytes) -> None:
    """Write by the call itself, which errors then name; what Python keeps back fails when the file is closed."""
    import os

    while data:
        data = data[os.write(fd, data) :]


def unwritten(what: str, error: OSError, name: str) -> UsageError | NamespaceRefused:
    """What to raise if `what` ("cannot write ...") failed: only where nothing can be written by that name, the command
    line is wrong. A full disk is a refusal.
    """
    import errno
    import os

    from mountplan.applier.sys.refusal import refused

    if error.errno == errno.ENOENT:
        remedy = f"make the directory first: mkdir -p {os.path.dirname(name)}"
    elif error.errno in (errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EROFS):
        remedy = "name a file that can be written, or - for standard output"
    else:
        return refused(what, error, "save")
    return UsageError(f"{what}: {error.strerror}", remedy=remedy)


def _replaceable(name: str) -> str | None:
    """The path at which a whole new file may take the place of what is called `name`. Raises OSError.

    None for what has to be written as it is: devices and pipes, what /dev and /proc lead to and others have open, what
    has other names as well, and what belongs to a user to whom a new file could not be given.
    """
    import os
    import stat

    place = os.path.realpath(name)
    directory = f"{os.path.realpath(os.path.dirname(name) or '.')}/"
    if directory.startswith(("/dev/", "/proc/")):
        return None
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return place
    ours = os.geteuid() == 0 or (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    return place if ours and stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else None


def _put_in_place(place: str, data: bytes) -> bool:
    """Write a new file beside `place`, and let it take that name; False if none may be made there. Raises OSError."""
    import errno
    import os

    aside = f"{os.path.dirname(place)}/.mountplan-{os.getpid()}"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.path.lexists(place):
            return False  # it is the directory that may not be written to
        raise
    try:
        with open(fd, "wb", buffering=0):
            if os.path.exists(place):
                before = os.stat(place)
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(fd, before.st_uid, before.st_gid)
                os.fchmod(fd, before.st_mode & 0o7777)
                if not os.access(place, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            write_all(fd, data)
        os.rename(aside, place)
    except BaseException:
        os.unlink(aside)
        raise
    return True

"""One side of a comparison: what an argument names, and the mount tables behind it.

An argument is a prefix and what it stands for, `pid:12`, or something that can be nothing else. Several processes,
namespace files or mountinfo files, with commas between them, are one side with several namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mountplan import inputs
from mountplan.inputs import label_of, looks_like_plan, read_input
from mountplan.planner.compare.view import View
from mountplan.planner.errors import KeepRefused, NotKept, PlanRefused, SubjectError, TableError
from mountplan.planner.light import contextmanager, regex
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from mountplan.applier.keep.kept import Opened
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.subjects import Subject
    from mountplan.planner.compare.view import Granted
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable

KINDS = ("spec", "plan", "name", "pid", "ns", "mountinfo")
_PREFIX = regex(rf"(?s)({'|'.join(KINDS)}):(.*)")
_NEXT = regex(rf",(?=(?:{'|'.join(KINDS)}):|[0-9]+(?:,|$))")  # other commas are parts of paths
_PREFIXES = "say which: spec:FILE, plan:FILE, name:NAME, pid:N, ns:FILE or mountinfo:FILE"


class Operand(NamedTuple):
    """What an argument, or a part of it, names: one of KINDS, and the value. `data` is what is in the file, where that
    had to be read to find out; it may have come through a pipe. `root` is, of a process, the directory in its mount
    namespace that will be its root, if it is another one as yet.
    """

    kind: str
    value: str
    data: bytes | None = None
    root: str = ""

    def contents(self) -> bytes:
        """What is in the file. Raises SubjectError if it cannot be read."""
        return _read(self.value) if self.data is None else self.data


class Side(NamedTuple):
    """One side: what errors and results call it, its namespaces, and the plan that they are predicted from, if any.

    `of_machine` is False for what has been written down somewhere, some time. `incomplete` if there may be more mounts,
    which cannot be seen from any root. `visited` if it is of processes, and of no name.
    """

    label: str
    views: tuple[View, ...]
    plan: Plan | None = None
    of_machine: bool = True
    incomplete: bool = False
    of_spec: bool = False
    visited: bool = False

    @property
    def mounts(self) -> int:
        return sum(len(view.table.rows) for view in self.views)


def read_side(argument: str, recognised: Operand | None = None, *, parameters: Mapping[str, str] | None = None) -> Side:
    """What an argument names, as it is now. Raises SubjectError, and what reading it raises.

    `parameters` are for those of a spec.

    `recognised` is what recognise() has said of it, if it was asked: a pipe would be found empty the next time.
    """
    parts = [recognised] if recognised else [recognise(part) for part in _parts(argument)]
    kinds = {part.kind for part in parts}
    if len(parts) > 1 and not kinds <= {"pid", "ns", "mountinfo"}:
        what = f"{argument}: only processes, namespace files and mountinfo files make one side together"
        raise SubjectError(what, "a spec, a plan or a kept name has its namespaces within itself")
    kind, value, *_ = parts[0]
    if kind in ("spec", "plan"):
        return _planned(parts[0], parameters)
    if kind == "name":
        return kept_side(value)
    views = [_mountinfo(part) if part.kind == "mountinfo" else _live(part) for part in parts]
    names = [str(number) for number in range(1, len(views) + 1)] if len(views) > 1 else [""]
    return Side(
        " and ".join(_label(part) for part in parts),
        tuple(view._replace(namespace=name) for (view, _), name in zip(views, names, strict=True)),
        of_machine="mountinfo" not in kinds,
        incomplete=not all(complete for _, complete in views),
        visited=not kinds & {"mountinfo"},
    )


def _parts(argument: str) -> list[str]:
    return _NEXT.split(argument) if "," in argument else [argument]


def _prefixed(argument: str) -> re.Match[str] | None:
    return _PREFIX.fullmatch(argument) if ":" in argument else None


def recognise(argument: str) -> Operand:
    """What a single argument names. Raises SubjectError if that is nothing, or may be one thing or another."""
    prefixed = _prefixed(argument)
    if prefixed:
        kind, value = prefixed[1], prefixed[2]
        if not value:
            raise SubjectError(f"{argument}: there is nothing behind the colon", _PREFIXES)
        if kind == "pid" and value == "self":
            from mountplan.applier.observe.observe import own_number

            value = str(own_number())
        if kind == "pid" and not (value.isascii() and value.isdecimal()):
            raise SubjectError(f"{argument}: is no number of a process", "name one such as pid:1, or pid:self")
        return Operand(kind, value)
    found: list[Operand] = []
    if argument.isascii() and argument.isdecimal():
        found.append(Operand("pid", argument))
    if is_kept(argument):
        found.append(Operand("name", argument))
    if argument == "-" or os.path.exists(argument):
        found.append(file_operand(argument))
    if len(found) > 1:
        words = " or ".join(f"{one.kind}:{one.value}" for one in found)
        raise SubjectError(f"{argument!r} may be several things", f"say which: {words}")
    if found:
        return found[0]
    if argument.endswith((".toml", ".json")) or "/" in argument:
        # That it is not there is told later.
        return Operand("plan" if argument.endswith(".json") else "spec", argument)
    near = "did you mean pid:self? or " if argument == "self" else near_miss(argument) + inputs.meant_instead(argument)
    near = near or "see `mountplan ls` for what is kept; or "
    raise SubjectError(f"{argument!r} is no kept name, no process and no file", near + _PREFIXES)


def near_miss(argument: str) -> str:
    """The kept name that was probably meant."""
    from difflib import get_close_matches

    from mountplan.applier.keep import kept
    from mountplan.planner.errors import MountplanError

    try:
        near = get_close_matches(argument, kept.names(), n=1)
    except MountplanError as error:
        return f"if it is a kept name: {str(error).partition(chr(10))[0]}; else "
    return f"did you mean {near[0]!r}? or " if near else ""


def refuse_two_meanings(argument: str) -> None:
    """Raise SubjectError for the name of a file that is also a kept name, and does not say which it is."""
    if not argument.endswith((".toml", ".json")) and is_kept(argument):
        raise SubjectError(f"{argument!r} may be several things", f"say which: name:{argument} or spec:{argument}")


def is_kept(argument: str) -> bool:
    """Whether something is kept under a name, written as NAME or NAME/NAMESPACE."""
    from mountplan.applier.keep import kept
    from mountplan.applier.keep.kept_record import is_name
    from mountplan.applier.keep.store import NoPlace

    name = argument.partition("/")[0]
    try:
        return is_name(name) and kept.find(name) is not None
    except NoPlace:
        return False
    except KeepRefused:
        if name.isdecimal():  # a process, wherever names are kept
            return False
        raise


@contextmanager
def looked_up_by_own_name(way: str) -> Iterator[None]:
    """If nothing is kept under a name that only the spec has said, the error says so. `way`: to name something else."""
    try:
        yield
    except NotKept as error:
        raise NotKept(f"{error.what}, as the spec is called", f"{way}; {error.remedy}") from None


def file_operand(path: str) -> Operand:
    """What a file is: by its name, and where that says nothing, by its contents."""
    if path.endswith((".toml", ".json")):
        return Operand("spec" if path.endswith(".toml") else "plan", path)
    from mountplan.applier.observe.subjects import is_namespace_file
    from mountplan.planner.tables.mountinfo_file import looks_like_mountinfo

    if path != "-" and is_namespace_file(path):
        return Operand("ns", path)
    if os.path.isdir(path):
        raise SubjectError(f"{path}: is a directory", _PREFIXES)
    data = _read(path)
    if looks_like_mountinfo(data):
        return Operand("mountinfo", path, data)
    return Operand("plan" if looks_like_plan(path, data) else "spec", path, data)


def refuse_one_stream_twice(*arguments: str) -> None:
    """Raise SubjectError if two arguments, or two parts of one, are the same pipe."""
    parts = [part for argument in arguments for part in _parts(argument)]
    bare = [prefixed[2] if (prefixed := _prefixed(part)) else part for part in parts]
    inputs.refuse_one_stream_twice(bare)


def refuse_unused(parameters: Mapping[str, str] | None, *sides: Side | str) -> None:
    """Raise SubjectError if there are values for parameters, and no side is a spec. A string is one that is none."""
    if parameters and not any(isinstance(side, Side) and side.of_spec for side in sides):
        labels = " nor ".join(side.label if isinstance(side, Side) else side for side in sides)
        what = f"neither {labels} is a spec" if len(sides) > 1 else f"{labels} is no spec"
        raise SubjectError(f"{what}, and nothing else has parameters", f"leave out --set {next(iter(parameters))}=...")


def _read(path: str) -> bytes:
    try:
        return read_input(path)
    except (OSError, ValueError) as error:
        what = f"{path}: cannot read it: {inputs.reason_of(error).lower()}"
        raise SubjectError(what, "name a file that can be read") from None


def _label(part: Operand) -> str:
    return f"process {part.value}" if part.kind == "pid" else label_of(part.value)


def _planned(named: Operand, parameters: Mapping[str, str] | None) -> Side:
    """What a spec or a plan would build here, with the host as it is now."""
    from mountplan.applier.observe.observe import observe

    plan = plan_of(named, parameters if named.kind == "spec" else None)
    return predicted(_label(named), plan, observe())._replace(of_spec=named.kind == "spec")


def predicted(label: str, plan: Plan, host: MountTable) -> Side:
    """What a plan would build on a host."""
    from mountplan.planner.compare.compare import views_of
    from mountplan.planner.plan.predict import predict

    return Side(label, views_of(plan, predict(plan, host)), plan)


def plan_of(named: Operand, parameters: Mapping[str, str] | None = None) -> Plan:
    """The plan that a file holds, or that the spec in it comes to.

    Raises SubjectError for one that is refused: the exit status of PlanRefused is that of a difference; and for
    `parameters` of what is no spec.
    """
    from mountplan import pipeline
    from mountplan.planner.plan.planfile import load_plan

    data, label = named.contents(), _label(named)
    if named.kind == "plan" and parameters:
        raise SubjectError(f"{label}: is a saved plan, which has no parameters any more", "name the spec")
    try:
        if named.kind == "plan":
            return load_plan(data, label)
        return pipeline.plan(pipeline.load(label, data, parameters=parameters))
    except PlanRefused as error:
        raise uncomparable(label, error) from None


def uncomparable(label: str, error: PlanRefused) -> SubjectError:
    """What to raise for a spec or a plan of which there is no plan."""
    what, _, remedy = error.reasons[0].removeprefix(f"{label}: ").partition("\n  remedy: ")
    return SubjectError(f"{label}: cannot be compared: {what}", remedy or "`mountplan check` tells more")


def kept_side(value: str) -> Side:
    """What is kept under a name, all of it or the namespace after a slash. Raises NotKept."""
    from mountplan.applier.keep import kept
    from mountplan.kept_plan import plan_behind

    name, slash, space = value.partition("/")
    views: list[View] = []
    complete = True
    options: dict[str, Mapping[str, Granted]] = {}
    with kept.opened(name) as found:
        try:
            options = granted_of(found, plan_behind(found))
        except KeepRefused:
            pass  # written by another version: then options are held against the forms that are known
    from contextlib import ExitStack

    with ExitStack() as stack:
        for subject in [stack.enter_context(subject) for subject in kept.subjects(name)]:
            own = subject.name if subject.label != name else ""
            if slash and own != space:
                continue
            view, whole = _view(subject)
            views.append(view._replace(namespace=own, granted=options.get(own, {})))
            complete &= whole
    if not views:
        raise NotKept(f"{name} has no mount namespace {space!r}", f"`mountplan show {name}` lists them")
    return Side(value, tuple(views), incomplete=not complete)


def store_device() -> str:
    """The device of the store of kept names, where that is a mount of its own; "" where it is not there."""
    from mountplan.applier.keep.store import MOUNTED
    from mountplan.applier.observe.observe import observe

    rows = (row for row in observe().rows if row.mountpoint == MOUNTED and row.source == "mountplan")
    return next((row.device for row in rows), "")


def granted_of(found: Opened, own: Plan) -> dict[str, Mapping[str, Granted]]:
    """By namespace: what was asked of the superblocks that were made for a kept name, and what they showed then. `own`
    is the plan that it was made from.
    """
    from mountplan.planner.compare.compare import granted, views_of
    from mountplan.planner.plan.predict import predict

    before = {one.namespace: one for one in views_of(own, predict(own, found.host()))}
    return {
        one.name: granted(before[one.name], without_base(found.seen(one))[0], found.kept.defaults)
        for one in found.kept.mounts
        if one.name in before
    }


def _live(part: Operand) -> tuple[View, bool]:
    from mountplan.applier.observe.subjects import of_file, of_process

    with of_process(int(part.value)) if part.kind == "pid" else of_file(part.value) as subject:
        return _view(subject)


def _view(subject: Subject) -> tuple[View, bool]:
    """All mounts of a live namespace, and whether these are all."""
    from mountplan.applier.observe.subjects import ids_inside
    from mountplan.applier.sys.inside import ChildFailed

    try:
        whole = subject.read()
    except ChildFailed as error:
        raise TableError(f"{subject.label}: {error}") from None
    return view_of("", whole)._replace(ids=ids_inside(subject.fd)), whole.complete


def beside_spec(side: Side, predicted: Side) -> Side:
    """What processes show, beside what would be built: with ids in options as the builder's specs have them.

    Those of the machine's root are the machine's, whoever owns the namespace that they are of (capture writes them so),
    but where the spec says whose a namespace is.
    """
    plan = predicted.plan
    if not side.visited or plan is None or not _is_machines_root():
        return side
    users = [one.user for one in plan.expected.namespaces]
    if len(users) != len(side.views):
        return side
    views = (one if user else one._replace(ids=None) for one, user in zip(side.views, users, strict=True))
    return side._replace(views=tuple(views))


def as_specs_have_it(table: MountTable, namespace: int) -> MountTable:
    """What a mount namespace shows, with owners by the numbers that they have where a spec of it is built.

    The kernel shows those of the machine's first user namespace, which is where root builds. An ordinary user builds in
    a namespace of their own, as the one behind the descriptor probably is.
    """
    from mountplan.applier.observe.subjects import ids_inside
    from mountplan.applier.sys.userns import initial_ids

    if _is_machines_root():
        return table
    ids = (ids_inside(namespace) if os.geteuid() != 0 else None) or initial_ids("self")
    return View("", table, ids=ids).inside().table


def _is_machines_root() -> bool:
    from mountplan.applier.sys.privilege import is_nested

    return os.geteuid() == 0 and not is_nested()


def view_of(namespace: str, whole: Whole) -> View:
    """What was read, without what mountplan itself has put below the tree. Not every kernel tells the id-mappings."""
    table, _ = without_base(whole.table)
    mapped = {row.mount_id for row in table.rows if "idmapped" in row.attributes}
    idmaps = whole.idmaps if mapped <= whole.idmaps.keys() else None
    return View(namespace, table, idmaps=idmaps, images=_images(table))


def _images(table: MountTable) -> dict[str, tuple[int, int, int, int]]:
    """See View. What the kernel has given out is no difference between two mounts of one image."""
    loops = {row.source for row in table.rows if row.source.startswith("/dev/loop")}
    if not loops:
        return {}
    from mountplan.applier.observe.loop_files import loop_file

    found = {source: loop_file(source) for source in loops}
    return {source: one[1:] for source, one in found.items() if one is not None}


def _mountinfo(named: Operand) -> tuple[View, bool]:
    from mountplan.planner.tables.mountinfo_file import read_table

    return View("", read_table(named.contents(), _label(named))), True

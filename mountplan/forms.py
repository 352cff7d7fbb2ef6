"""The forms in which a Python program may give a spec, a plan or a tree, and what each of them comes to.

A str with a newline in it is TOML text, every other one a path; bytes are text. Relative paths in a text or a dict
count from the current directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mountplan import pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeGuard

    from mountplan.operands import Side
    from mountplan.planner.language.outside import Outside
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable
    from mountplan.tree import Tree

SpecLike: TypeAlias = "Spec | Mapping[str, Any] | str | bytes | os.PathLike[str]"
PlanLike: TypeAlias = "Plan | SpecLike"
TreeLike: TypeAlias = "str | int | os.PathLike[str] | Tree | MountTable"
Comparable: TypeAlias = "TreeLike | Plan | Spec | Mapping[str, Any]"

TEXT, TABLE = "<text>", "<dict>"  # what errors call a spec that is in no file


def spec_of(
    source: SpecLike,
    data: bytes | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    outside: Outside | None = None,
) -> Spec:
    """The spec; with `data`, that is its text, and `source` the name of its file. Raises SpecError."""
    from mountplan.live_outside import LiveOutside

    if isinstance(source, Mapping):
        from mountplan.planner.language.spec_reading import build_spec

        return build_spec(source, TABLE, outside or LiveOutside(TABLE), parameters)
    if isinstance(source, str | os.PathLike) and (data is not None or not is_text(source)):
        return pipeline.load(os.fspath(source), data, parameters=parameters, outside=outside)
    if isinstance(source, str | bytes):
        text = source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source
        return pipeline.load(TEXT, text, parameters=parameters, outside=outside or LiveOutside(TEXT))
    if isinstance(source, os.PathLike) or not hasattr(source, "include"):
        raise TypeError(f"a spec is a Spec, a path, TOML text or a dict, not {type(source).__name__}: {source!r}")
    return _settled(source, parameters, outside)


def is_text(source: object) -> bool:
    """Whether it is the text of a spec, and not the name of a file."""
    return isinstance(source, bytes) or (isinstance(source, str) and "\n" in source)


def _settled(spec: Spec, parameters: Mapping[str, str] | None, outside: Outside | None) -> Spec:
    """A Spec that was made in Python may name files to include, and parameters; one that was read has none any more."""
    if not (spec.include or spec.parameters or parameters):
        return spec
    from mountplan.live_outside import LiveOutside
    from mountplan.planner.language.spec_text import spec_text

    text = spec_text(spec).encode("utf-8", "surrogateescape")
    return pipeline.load(spec.file, text, parameters=parameters, outside=outside or LiveOutside(spec.file))


def plan_of(source: PlanLike, parameters: Mapping[str, str] | None = None) -> Plan:
    """The plan: itself, one that is saved in a file, or what a spec comes to on this machine."""
    from mountplan.planner.plan.plan import Plan

    if isinstance(source, Plan):
        return source
    if is_saved(source):
        return pipeline.load_plan(os.fspath(source))
    return pipeline.plan(spec_of(source, parameters=parameters))


def is_saved(source: PlanLike) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is the file of a saved plan."""
    return isinstance(source, str | os.PathLike) and not is_text(source) and os.fspath(source).endswith(".json")


def plan_or_spec(source: PlanLike, parameters: Mapping[str, str] | None = None) -> Plan | Spec:
    """As plan_of(), but a spec is not planned yet."""
    from mountplan.planner.plan.plan import Plan

    if isinstance(source, Plan) or is_saved(source):
        return plan_of(source)
    return spec_of(source, parameters=parameters)


def operand_of(tree: str | int) -> str:
    """A kept name or a process, as the command line has it."""
    return f"pid:{tree}" if isinstance(tree, int) else tree


def side_of(value: Comparable, parameters: Mapping[str, str] | None = None) -> str | Side:
    """One side of a comparison: as the command line has it, or what a value comes to."""
    if isinstance(value, int):
        return operand_of(value)
    if isinstance(value, str) and not is_text(value):
        return value
    from mountplan.applier.observe.observe import observe
    from mountplan.operands import Side, file_operand, predicted, read_side
    from mountplan.planner.compare.view import View
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable
    from mountplan.tree import Tree

    if isinstance(value, MountTable):
        return Side("the table", (View("", value),), of_machine=False)
    if isinstance(value, Tree):
        return Side("the tree", value.views())
    if isinstance(value, os.PathLike):  # it can be nothing but a file
        path = os.fspath(value)
        return read_side(path, file_operand(path), parameters=parameters)
    made = plan_of(value, parameters)
    return predicted(made.file, made, observe())._replace(of_spec=not isinstance(value, Plan))


def sides_of(
    first: Comparable, second: Comparable, parameters: Mapping[str, str] | None = None
) -> tuple[str | Side, str | Side]:
    """Both sides of a comparison. A table by itself has the ids of owners as they are seen inside, and so has then what
    it is compared with.
    """
    from mountplan.operands import read_side
    from mountplan.planner.tables.table import MountTable

    one, other = side_of(first, parameters), side_of(second, parameters)
    if isinstance(first, MountTable) != isinstance(second, MountTable):
        one, other = (
            read_side(side, parameters=parameters) if isinstance(side, str) else side for side in (one, other)
        )
        one, other = (side._replace(views=tuple(view.inside() for view in side.views)) for side in (one, other))
    return one, other

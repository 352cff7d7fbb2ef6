"""The mount tables behind what `explain` and `simulate --from` may name, and as which kernel the model answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mountplan.cli.sources import plan_from
from mountplan.cli.usage import UsageError
from mountplan.operands import refuse_two_meanings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mountplan.cli.output import Output
    from mountplan.explaining import Known
    from mountplan.planner.model import Rules
    from mountplan.planner.plan.plan import Plan


def tables_known_of(
    what: str,
    parameters: Mapping[str, str] | None = None,
    *,
    aged: bool = False,
    locked: bool = False,
    other: str | None = None,
) -> Known:
    """explaining.known_of(); what is a file or ends as one is a spec or a plan, and may have a namespace of it behind a
    slash. `parameters` are the spec's.

    Raises SpecError, PlanFileError, PlanRefused, NotKept, KeepRefused or TableError.
    """
    from mountplan.explaining import known_of

    named: str | Plan = what
    prefix = what[:5] if what.startswith(("spec:", "plan:")) else ""
    file, first = _file_and_namespace(what.removeprefix(prefix))
    if prefix or first or file == "-" or file.endswith((".toml", ".json")) or os.path.exists(file):
        if not prefix:
            refuse_two_meanings(file)
        named = plan_from(file, parameters)
    elif parameters:
        raise UsageError(f"--set: {what} is no spec, and has no parameters")
    return known_of(named, first=first, aged=aged, locked=locked, other=other)


def _file_and_namespace(what: str) -> tuple[str, str]:
    """SPEC/NAMESPACE is of a spec what NAME/NAMESPACE is of a kept name; with "", it is the file alone."""
    file, slash, namespace = what.rpartition("/")
    return (file, namespace) if slash and os.path.isfile(file) else (what, "")


def rules_for(version: str | None, output: Output) -> Rules:
    """The model's rules for a kernel that the user names, otherwise for the one at hand: if need be, the nearest."""
    from mountplan.planner.model import KNOWN, is_known, rules_of

    release = version or os.uname().release
    if not is_known(release):
        output.note(f"Linux {release} is not known to the model, which answers as the nearest of {KNOWN} would.\n")
    return rules_of(release)

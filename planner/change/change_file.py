"""A plan of changes as a file: what it is to be changed into, and what it was planned from. No steps: they are planned
again, and must come to the same lines.
"""

from __future__ import annotations

import json
from typing import Any

from mountplan.planner.change.change_plan import ChangePlan
from mountplan.planner.change.standing import Allowed, StandingTree
from mountplan.planner.errors import PlanFileError
from mountplan.planner.plan.digest import sha256_hex
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.record import NamedTuple

FORMAT = "mountplan-change/1"


class SavedChange(NamedTuple):
    """`subject` is as --live takes it. `state` is that of what stands, `outcome` that of the `lines` of the preview,
    which are what people read in the file.
    """

    subject: str
    plan: Plan
    allowed: Allowed
    state: str
    outcome: str
    lines: tuple[tuple[str, ...], ...]


def state_of(standing: StandingTree, unique: tuple[tuple[int, ...], ...]) -> str:
    """A digest of what stands: every mount as it is, and by the ids that no other mount ever gets."""
    rows = [[space.name, sorted(map(list, space.table.rows))] for space in standing.spaces]
    return _digest([rows, [sorted(ids) for ids in unique]])


def outcome_of(change: ChangePlan) -> str:
    """A digest of what is to be done. Processes that notice come and go."""
    return _digest([[*one[:7]] for one in change.changes] + [list(change.spread)])


def lines_of(change: ChangePlan) -> tuple[tuple[str, ...], ...]:
    """What is to be done, as it stands in a file."""
    return tuple(tuple(map(str, one[:7])) for one in change.changes)


def dump_change(saved: SavedChange) -> str:
    values: dict[str, Any] = {
        "format": FORMAT,
        "subject": saved.subject,
        "state": saved.state,
        "outcome": saved.outcome,
        "allowed": saved.allowed._asdict(),
        "changes": [list(line) for line in saved.lines],
        "plan": dump_plan(saved.plan),
    }
    values["digest"] = _digest(values)
    return json.dumps(values, indent=1) + "\n"


def is_change(data: bytes) -> bool:
    """Whether a file looks like one that dump_change has written."""
    return FORMAT.partition("/")[0].encode() in data[:200]


def load_change(data: bytes, file: str) -> SavedChange:
    """What dump_change wrote. Raises PlanFileError or PlanRefused."""
    try:
        values = json.loads(data)
        form, digest = values["format"], values.pop("digest")
        if form != FORMAT:
            raise PlanFileError(f"{file}: was written by another version of mountplan ({form})")
        if digest != _digest(values):
            raise PlanFileError(f"{file}: was altered since it was saved: plan the change again")
        if unknown := values.keys() - {"format", "subject", "state", "outcome", "allowed", "changes", "plan"}:
            raise ValueError(f"nothing is called {min(unknown)!r}")
        words = values["allowed"]
        if words.keys() != set(Allowed._fields) or not all(isinstance(one, bool) for one in words.values()):
            raise ValueError("what is allowed is not said as it is written")
        allowed = Allowed(**words)
        subject, state, outcome, text = (values[key] for key in ("subject", "state", "outcome", "plan"))
        if not all(isinstance(one, str) for one in (subject, state, outcome, text)):
            raise ValueError("a value is of the wrong type")
        lines = tuple(tuple(map(str, line)) for line in values["changes"])
    except KeyError as error:
        raise PlanFileError(f"{file}: is no whole plan of changes: there is no {error} in it") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise PlanFileError(f"{file}: is no plan of changes: {type(error).__name__}: {error}") from None
    return SavedChange(subject, load_plan(text, file), allowed, state, outcome, lines)


def _digest(value: Any) -> str:
    return sha256_hex(json.dumps(value, sort_keys=True).encode("utf-8", "surrogateescape"))

"""Whether what was built for other users belongs to them, and is locked as the plan says: read back from the kernel."""

from __future__ import annotations

import os

from mountplan.applier.build.build import Built
from mountplan.applier.observe.observe import refused_table
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.compare.matching import match
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.predict import Prediction, lock_of, mounts_behind
from mountplan.planner.plan.steps import MakeUserNamespace

_WORDS = {"": "no", "attributes": "its attributes", "locked": "yes"}


def ownership_drift(plan: Plan, built: Built, predictions: tuple[Prediction, ...]) -> Drift:
    """What differs in the namespaces that belong to user namespaces of the plan's. Raises TableError."""
    found: list[Difference] = []
    for expected, prediction in zip(plan.expected.namespaces, predictions, strict=True):
        if expected.user:
            behind = list(mounts_behind(expected, prediction))
            found += _of_one(plan, built, expected.name, expected.user, behind, prediction)
    return tuple(found)


def _of_one(
    plan: Plan,
    built: Built,
    name: str,
    user: str,
    behind: list[tuple[ExpectedMount | None, bool]],
    prediction: Prediction,
) -> list[Difference]:
    from mountplan.applier.observe.locks import find_locks, owner_of

    table = built.held(name).table
    fd = built.open_mounts(name)
    try:
        owner = owner_of(fd)
        if owner is None:
            return [Difference("", "user namespace", user, "the one that has built it", "", "", name)]
        try:
            locks = find_locks(fd, owner.fd, table)
        finally:
            os.close(owner.fd)
    except OSError as error:
        raise refused_table(f"namespace {name}: cannot find out what is locked", error) from None
    finally:
        os.close(fd)
    found = []
    (made,) = (step for step in plan.steps if isinstance(step, MakeUserNamespace) and step.user == user)
    if not made.within and not built.has_own("user"):
        for field, asked, there in (("uids", made.uids, owner.uids), ("gids", made.gids, owner.gids)):
            if sorted(asked) != sorted(there):
                found.append(Difference("", field, str(asked), str(there), made.origin, "", name))
    for at, other in match(prediction.table, table).pairs.items():
        row = table.rows[other]
        wanted = lock_of(*behind[at])
        is_so = locks.get(row.mount_id, wanted)  # of what cannot be reached there, nothing can be said
        if wanted != is_so:
            words = _WORDS[wanted], _WORDS[is_so]
            found.append(Difference(row.mountpoint, "locked", *words, prediction.origins[at], "", name))
    return found

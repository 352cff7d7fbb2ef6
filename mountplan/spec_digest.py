"""Which spec a plan was made from: a name remembers it, so as to be held against the same spec later."""

from __future__ import annotations

import os

from mountplan.planner.plan.digest import sha256_hex
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan

OTHERWISE_NOW = "on the host as it is now, the spec comes to something else, which `apply --replace` builds"


class Planned(NamedTuple):
    """A plan, and the digest of what the spec says that it was made from ("" if from none).

    `since` is why it is not that of the host as it is now, "" if it is.
    """

    plan: Plan
    made_from: str = ""
    since: str = ""


def digest_of_spec(spec: Spec) -> str:
    """The digest of what a spec says, with all that it takes from outside; not of how, nor of the host."""
    said = os.path.dirname(os.path.abspath(spec.file)), spec.model_dump(exclude_unset=True, warnings=False)
    return sha256_hex(repr(said).encode("utf-8", "surrogateescape"))

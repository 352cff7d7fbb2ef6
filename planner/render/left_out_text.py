"""What a plan leaves out, and what may be said of the rest -> text, and values for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.light import regex
from mountplan.planner.names import LeftOut
from mountplan.planner.render.words import count, listed, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 12
_ALTERS = regex(r"(?:^|\.)(remove|change)\[[0-9]+\]")

_READ_BACK = """\
read back from the kernel and compared with the spec: the tree,
filesystems and their options, roots, attributes, peer groups and masters are as
written.
"""


def verified_text(left_out: Sequence[LeftOut]) -> str:
    """What apply says when it is done; "verified" is said of a whole only."""
    if not left_out:
        return "Verified: it was " + _READ_BACK
    return f"{left_out_text(left_out)}All else was {_READ_BACK}"


def left_out_words(left_out: Sequence[LeftOut]) -> str:
    """`1 mount left out`, to be put behind a count of mounts; "" if there is none."""
    return f", {_counted(left_out)} left out" if left_out else ""


def _counted(left_out: Sequence[LeftOut]) -> str:
    """How many of what: a [[remove]] or [[change]] is no mount."""
    tables = [match[1] for one in left_out if (match := _ALTERS.search(one.origin))]
    numbers = [
        ("mount", len(left_out) - len(tables)),
        ("removal", tables.count("remove")),
        ("change", tables.count("change")),
    ]
    return listed([count(number, what) for what, number in numbers if number])


def left_out_text(left_out: Sequence[LeftOut]) -> str:
    """A heading, and a line for each; "" if there is none."""
    if not left_out:
        return ""
    lines = [f"Left out, so neither built nor verified ({_counted(left_out)}):"]
    several = len({one.namespace for one in left_out}) > 1
    places: dict[str, list[str]] = {}  # by reason, so that each is told once
    for one in left_out:
        where = one.target or one.name
        where = f"{one.namespace}:{where}" if several and one.namespace else where
        places.setdefault(f"stands on {one.upon}" if one.upon else one.reason, []).append(where)
    told = 0
    for why, where_all in places.items():
        shown = where_all[: _MOST - told]
        if shown:
            lines.append(f"  {', '.join(map(visible, shown))}: {visible(why)}")
        told += len(shown)
    if len(left_out) > told:
        lines.append(f"  ... and {len(left_out) - told:,} more (--json has them all)")
    return "\n".join(lines) + "\n"


def left_out_data(left_out: Sequence[LeftOut]) -> list[dict[str, Any]]:
    return [one._asdict() for one in left_out]

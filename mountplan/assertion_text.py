"""What pytest says of a failed `assert` about mounts: where to look, and what is there instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from mountplan.mount_mapping import MountsByPath
from mountplan.planner.compare.difference import Difference
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mountplan.planner.compare.difference import Drift

    class Asked(Protocol):
        """A Tree."""

        answers: dict[str, Callable[[], str]]


def explain_comparison(op: str, left: object, right: object) -> list[str] | None:
    """Lines for pytest_assertrepr_compare; None for what is not about mounts."""
    if op in ("in", "not in") and isinstance(left, str) and isinstance(right, MountsByPath):
        what = "nothing is mounted on" if op == "in" else "there is a mount on"
        return [f"{what} {left}", *repr(right).splitlines()]
    if op != "==":
        return None
    first, second = _mounts(left), _mounts(right)
    if first is not None and second is not None:
        what = "the mounts differ (first: left, second: right)"
        return [what, *difference_lines(first.differences(second), "left", "right").splitlines()]
    for drift, other in ((left, right), (right, left)):
        if isinstance(drift, tuple) and {*map(type, drift)} == {Difference} and other in ((), []):
            what = "what stands there is not what was wanted"
            return [what, *difference_lines(drift, "wanted", "found").splitlines()]
    return None


def _mounts(value: object) -> MountsByPath | None:
    if isinstance(value, MountTable):
        return MountsByPath(value)
    return value if isinstance(value, MountsByPath) else None


def difference_lines(drift: Drift, first: str, second: str) -> str:
    """What differs, by mount; `first` and `second` are what the sides are called."""
    from mountplan.planner.render.difference_text import NamedSide, differences_text

    return differences_text(drift, NamedSide(first, None), NamedSide(second, None)).rstrip()


# What pytest says of `assert not tree.drift()` and its like: the value, the call with that value again, and the tree.
_QUESTION = re.compile(
    r"^assert (?P<negated>not )?.*\n"
    r" \+  where .* = (?P<call>(?P<name>reaches|drift|diff)\(.*\))\n"
    r" \+    where (?P=name) = (?P<tree><Tree of .* at 0x[0-9a-f]+>)\.(?P=name)(?:\n \+ .*)*",
    re.MULTILINE,
)


def explain_question(message: str, trees: Iterable[Asked]) -> str | None:
    """The message of a failed assertion about a tree, with that tree's answer in words; None if it is another one."""
    found = _QUESTION.search(message)
    tree = next((one for one in trees if found and repr(one) == found["tree"]), None)
    if not found or tree is None or found["name"] not in tree.answers:
        return None
    text = tree.answers[found["name"]]()
    call = f"assert {found['negated'] or ''}{found['call']}"
    return f"{message[: found.start()]}{call}\n{text}{message[found.end() :]}"

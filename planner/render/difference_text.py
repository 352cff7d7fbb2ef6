"""What a comparison of two sides has found -> text, by mount."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.compare.difference import Difference
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.words import count, visible, visible_lines

_MOST_MOUNTS = 40


class NamedSide:
    """One side as text names it, such as `A`; and where its plan, if it is from one, has its mounts from."""

    def __init__(self, name: str, plan: Plan | None) -> None:
        self.name = name
        self.ref = plan.refs() if plan else None


def differences_text(
    drift: Sequence[Difference], first: NamedSide, second: NamedSide, *, everything: bool = False
) -> str:
    """A paragraph for each mount: where it is and where it was written, then a line for each property."""
    mounts: dict[tuple[str, ...], list[Difference]] = {}
    for one in drift:
        mounts.setdefault((one.namespace, one.mount, one.layer, one.origin, one.found_origin), []).append(one)
    lines: list[str] = []
    for number, told in enumerate(mounts.values()):
        if number == _MOST_MOUNTS and not everything:
            lines.append(f"... {count(len(mounts) - number, 'more mount')} (--all shows them)")
            break
        lines.append(_heading(told[0], first, second))
        width = max(len(one.prop) for one in told)
        lines += [f"    {one.prop + ':':{width + 1}} {_change(one, first.name, second.name)}" for one in told]
    return visible_lines("\n".join(lines)) + "\n" if lines else ""


def _heading(one: Difference, first: NamedSide, second: NamedSide) -> str:
    origins = ((first, one.origin), (second, one.found_origin))
    places = [str(side.ref(origin)) for side, origin in origins if side.ref and origin]
    where = mount_words(one)
    return where + (f"  ({'; '.join(places)})" if places else "")


def mount_words(one: Difference) -> str:
    """Which mount: `left:/srv (2 of 3 there)`."""
    where = visible(f"{one.namespace}:{one.mount}" if one.namespace else one.mount or "all of it")
    return f"{where} ({one.layer} there)" if one.layer else where


def _change(one: Difference, first: str, second: str) -> str:
    if one.prop == "mount":
        there, what = (second, one.found) if one.wanted == "none" else (first, one.wanted)
        return f"only in {there}: {visible(what)}"
    return f"{visible(one.wanted)} -> {visible(one.found)}"

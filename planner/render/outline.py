"""Drawing any tree with box characters, in time linear in its size, however deep or wide it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from mountplan.planner.light import Generic, TypeVar
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.fitting import CUT
from mountplan.planner.render.words import count, visible, width

Item = TypeVar("Item", bound=Hashable)

# Siblings beyond this many are folded into one line, if folding is wanted; so many of them stay before and after it.
MOST_SIBLINGS = 12
_HEAD, _TAIL = 7, 2
# A name of which less would be left says nothing.
_LEGIBLE = 8
# Lines are not indented further than this; a chain of a thousand mounts would otherwise take a million characters.
MOST_DEPTH = 24


class Branch(NamedTuple, Generic[Item]):
    """One line: what is drawn before the item, and the item. With `folded`, it stands for so many items instead."""

    prefix: str
    item: Item
    folded: int = 0
    last: Item | None = None  # of those that are folded, if they are siblings; `item` is the first
    each: int = 0  # how many items each of these siblings comes to, if all come to the same


def outline(
    roots: Sequence[Item], children: Callable[[Item], Sequence[Item]], *, fold: bool, most: int = 400
) -> Iterator[Branch[Item]]:
    """Walk the tree, each item before its children. `fold` cuts long lists of siblings, and all to `most` lines."""
    sizes = _sizes(roots, children) if fold else {}
    work: list[tuple[Branch[Item], int, str]] = []  # with its depth, and the prefix of its children

    def push(siblings: Sequence[Item], depth: int, indent: str) -> None:
        branches: list[Branch[Item]] = [Branch("", item, 0) for item in siblings]
        if fold and len(siblings) > MOST_SIBLINGS:
            hidden = siblings[_HEAD : len(siblings) - _TAIL]
            branches[_HEAD : len(siblings) - _TAIL] = [_folded(hidden, sizes)]
        for at in range(len(branches) - 1, -1, -1):
            last = at == len(branches) - 1
            prefix, below = "", ""
            if depth > MOST_DEPTH:
                prefix, below = f"{indent}{depth}: ", indent
            elif depth:
                prefix, below = indent + ("└─" if last else "├─"), indent + ("  " if last else "│ ")
            work.append((branches[at]._replace(prefix=prefix), depth, below))

    push(roots, 0, "")
    drawn = 0
    total = sum(sizes[item] for item in roots) if fold else 0
    told = 0
    while work:
        branch, depth, below = work.pop()
        if fold and drawn >= most:
            yield Branch("", branch.item, total - told)
            return
        yield branch
        drawn += 1
        told += branch.folded or 1
        if not branch.folded:
            push(children(branch.item), depth + 1, below)


def _folded(hidden: Sequence[Item], sizes: Mapping[Item, int]) -> Branch[Item]:
    """One line for siblings that are not shown."""
    different = {sizes[item] for item in hidden}
    return Branch(
        "", hidden[0], sum(sizes[item] for item in hidden), hidden[-1], different.pop() if len(different) == 1 else 0
    )


def folded_text(branch: Branch[Item], place: Callable[[Item], str], room: int | None = None) -> str:
    """The line in place of what is folded: from where to where, and what that comes to. `room` as in fitting.py."""
    mounts = count(branch.folded, "more mount")
    each = f", {branch.each:,} each" if branch.each > 1 else ""
    before, after = f"{branch.prefix}... ", f": {mounts}{each} (--all shows them)"
    alone = f"{before}{mounts}{each}"
    alone += " (--all shows them)" if room is None or width(before + after) <= room + 2 else ""
    if branch.last is None or branch.last == branch.item:
        return alone
    first, last = place(branch.item), place(branch.last)
    most = None if room is None else (room - width(before) - width(after) - width(" to ")) // 2
    if most is not None and max(width(visible(first)), width(visible(last))) > most:
        above = os.path.commonpath((first, last)).rstrip("/") + "/"  # all that is shown around it is below that too
        first, last = first.removeprefix(above) or first, last.removeprefix(above) or last
        if most < _LEGIBLE:
            return alone
    return f"{before}{_begun(visible(first), most)} to {_begun(visible(last), most)}{after}"


def _begun(name: str, most: int | None) -> str:
    """As cut(), but the end goes: names in one directory begin with what they differ in."""
    if most is None or width(name) <= most:
        return name
    while width(name) > most - width(CUT):
        name = name[:-1]
    return name + CUT


def _sizes(roots: Sequence[Item], children: Callable[[Item], Sequence[Item]]) -> dict[Item, int]:
    """How many items each sub-tree has."""
    order: list[Item] = []
    work = list(roots)
    while work:
        item = work.pop()
        order.append(item)
        work += children(item)
    sizes: dict[Item, int] = {}
    for item in reversed(order):
        sizes[item] = 1 + sum(sizes[child] for child in children(item))
    return sizes

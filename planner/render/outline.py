"""Drawing any tree with box characters, in time linear in its size, however deep or wide it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item", bound=Hashable)

# Siblings beyond this many are folded into one line, if folding is wanted; so many of them stay before and after it.
MOST_SIBLINGS = 12
_HEAD, _TAIL = 7, 2
# Lines are not indented further than this; a chain of a thousand mounts would otherwise take a million characters.
MOST_DEPTH = 24


class Branch(NamedTuple, Generic[Item]):
    """One line: what is drawn before the item, and the item. With `folded`, it stands for so many items instead."""

    prefix: str
    item: Item
    folded: int


def outline(
    roots: Sequence[Item], children: Callable[[Item], Sequence[Item]], *, fold: bool, most: int = 400
) -> Iterator[Branch[Item]]:
    """Walk the tree, each item before its children. `fold` cuts long lists of siblings, and all to `most` lines."""
    sizes = _sizes(roots, children) if fold else {}
    work: list[tuple[Item, int, str, str, int]] = []  # item, depth, prefix of its line, prefix of its children, folded

    def push(siblings: Sequence[Item], depth: int, indent: str) -> None:
        branches: list[tuple[Item, int]] = [(item, 0) for item in siblings]
        if fold and len(siblings) > MOST_SIBLINGS:
            hidden = siblings[_HEAD : len(siblings) - _TAIL]
            branches[_HEAD : len(siblings) - _TAIL] = [(hidden[0], sum(sizes[item] for item in hidden))]
        for at in range(len(branches) - 1, -1, -1):
            item, folded = branches[at]
            last = at == len(branches) - 1
            if depth == 0:
                work.append((item, depth, "", "", folded))
            elif depth > MOST_DEPTH:
                work.append((item, depth, f"{indent}{depth}: ", indent, folded))
            else:
                work.append((item, depth, indent + ("└─" if last else "├─"), indent + ("  " if last else "│ "), folded))

    push(roots, 0, "")
    drawn = 0
    total = sum(sizes[item] for item in roots) if fold else 0
    told = 0
    while work:
        item, depth, prefix, below, folded = work.pop()
        if fold and drawn >= most:
            yield Branch("", item, total - told)
            return
        yield Branch(prefix, item, folded)
        drawn += 1
        told += folded or 1
        if not folded:
            push(children(item), depth + 1, below)


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

"""A MountTable as findmnt(8) would show it, with the names of a spec's groups in place of the kernel's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.plan import ExpectedMount, ExpectedNamespace, Plan
from mountplan.planner.plan.predict import HOST_GROUPS, OWN_GROUPS
from mountplan.planner.render.fitting import fitted_between
from mountplan.planner.render.outline import folded_text, outline
from mountplan.planner.render.words import place_below, visible, visible_lines
from mountplan.planner.tables.table import UNTOLD, MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADER = ("TARGET", "SOURCE", "FSTYPE", "ATTRIBUTES", "PROPAGATION", "OPTIONS")


def table_lines(table: MountTable, names: Mapping[int, str], *, fold: bool, room: int | None = None) -> list[str]:
    """The mounts as a tree. `names` gives words for group ids; without one, the number is shown.

    A mountpoint is written from its parent's on; one that begins with "/" is the same place as its parent's. With
    `fold`, long lists are cut, and superblock options left out. `room` as in fitting.py.
    """
    by_id = table.by_id()
    children: dict[int, list[MountRow]] = {row.mount_id: [] for row in table.rows}
    roots = []
    for row in table.rows:
        if row.parent_id in by_id and row.parent_id != row.mount_id:
            children[row.parent_id].append(row)
        else:
            roots.append(row)
    for siblings in (roots, *children.values()):
        if len(siblings) > 1:
            siblings.sort(key=lambda row: TargetPath(row.mountpoint).parts)
    shown = len(HEADER) - 1 if fold else len(HEADER)
    rows: list[tuple[str, ...] | str] = [HEADER[:shown]]
    for branch in outline(roots, lambda row: children[row.mount_id], fold=fold, most=200):
        if branch.folded:
            rows.append(folded_text(branch, lambda row: row.mountpoint, room))
            continue
        parent = by_id.get(branch.item.parent_id) if branch.prefix else None
        where = place_below(parent.mountpoint if parent else None, branch.item.mountpoint)
        rows.append(_cells(branch.prefix + visible(_short(where)), branch.item, names)[:shown])
    return fitted_between(rows, (48, 64, 16, 48, 48)[: shown - 1], room, spare=(1, 2))


def _cells(where: str, row: MountRow, names: Mapping[int, str]) -> tuple[str, ...]:
    source = ("?" if row.source == UNTOLD else row.source) + (f"[{row.root}]" if row.root != "/" else "")
    sharing = sharing_of(row, names) or "private"
    return where, visible(source) or "-", visible(row.fstype), row.attributes, sharing, visible(row.options)


def _short(path: str) -> str:
    """Tables of deep trees would take the square of their depth if every path were written out."""
    return path if len(path) <= 512 else "..." + path[-500:]


def sharing_of(row: MountRow, names: Mapping[int, str]) -> str:
    """The optional fields of mountinfo, with names where there are some."""
    words = []
    for word, number in (("shared", row.peer_group), ("master", row.master), ("from", row.propagate_from)):
        if number:
            words.append(f"{word}:{group_called(number, names)}")
    if row.unbindable:
        words.append("unbindable")
    return " ".join(words)


def rows_data(table: MountTable, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """The mounts of one table as values for JSON, with names for group ids where there are some."""
    return [row._asdict() | {"sharing": sharing_of(row, names) or "private"} for row in table.rows]


def group_called(number: int, names: Mapping[int, str]) -> str:
    if number in names:
        return visible(names[number])
    if number > HOST_GROUPS:
        return f"host-{number - HOST_GROUPS}"
    return f"own-{number - OWN_GROUPS}" if number > OWN_GROUPS else str(number)


def group_names(plan: Plan, namespace: str, table: MountTable) -> dict[int, str]:
    """What the group ids of a table, observed or predicted, are called in the plan that it was made by.

    The mounts are found by their place: on which mount, and where there. Groups that the plan does not name stay out.
    """
    names: dict[int, str] = {}
    expected = next((one for one in plan.expected.namespaces if one.name == namespace), None)
    if expected is None:
        return names
    for mount, row in expected_rows(expected, table):
        if mount.group and row.peer_group:
            names.setdefault(row.peer_group, mount.group)
        if mount.master and row.master:
            names.setdefault(row.master, mount.master)
    return names


def expected_rows(expected: ExpectedNamespace, table: MountTable) -> Iterator[tuple[ExpectedMount, MountRow]]:
    """The mounts of a plan's namespace with their rows in a table of it; without those that are not there."""
    at = table.at()
    found: dict[str, MountRow] = {}
    try:
        root = table.root()
    except LookupError:
        return
    for mount in expected.mounts:
        parent = found.get(mount.parent)
        place = mount.place.strip("/")
        if parent is None:
            row: MountRow | None = root if not place else None
        else:
            base = "" if parent.mountpoint == "/" else parent.mountpoint
            row = at.get((parent.mount_id, f"{base}/{place}" if place else parent.mountpoint))
        if row is not None:
            found[mount.name] = row
            yield mount, row


def table_text(
    plan: Plan, tables: tuple[tuple[str, MountTable], ...], *, everything: bool = False, room: int | None = None
) -> str:
    """The tables of all namespaces, each under its name if there are several."""
    lines: list[str] = []
    for namespace, table in tables:
        if len(tables) > 1:
            lines += ["", f"Namespace {visible(namespace)}"] if lines else [f"Namespace {visible(namespace)}"]
        lines += table_lines(table, group_names(plan, namespace, table), fold=not everything, room=room)
    return visible_lines("\n".join(lines)) + "\n"

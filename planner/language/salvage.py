"""A spec with its mistakes taken out, so that what is left can be checked for more of them."""

from __future__ import annotations

import posixpath
from typing import Any

from mountplan.planner.language.locate import key_path
from mountplan.planner.language.values import Unfit, absolute_path
from mountplan.planner.language.wording import Field, ModelFinding, Path, owners

# Tables that are worth keeping without the key that is wrong, each with the key that it cannot be without.
_KEPT = {"Spec": "", "Mount": "target", "FileEntry": "path", "Namespace": "name", "PeerGroup": "", "Run": ""}
_KEPT |= {"InheritedRemoval": "target", "InheritedChange": "target"}

# Keys without which all else that is said about a mount, or about the mounts of a namespace, still holds.
_HARMLESS = {
    "Mount": frozenset(
        {
            "attributes",
            "recursive_attributes",
            "options",
            "mask",
            "idmap",
            "unbindable",
            "readonly",
            "peer_group",
            "master",
        }
    ),
    "Namespace": frozenset({"name", "propagation"}),
    "Run": frozenset(),
}

# A mount with one of these is one. There, an unknown key hides something only if one of the others may be meant.
_FROM = frozenset({"type", "bind", "image", "layers"})
_HIDING = {
    "Mount": frozenset({"optional", "create", "on_symlink", "contents", "parent"}),
    "Namespace": frozenset({"root", "preset", "user", "mount"}),
    "Run": frozenset({"unshare"}),
}


class Salvage:
    """What is left of a raw spec. Lists keep their length, so that every index stays that of the text."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._original = raw
        self._order: dict[int, dict[Any, int]] = {}
        self._damaged: set[str] = set()
        self.rest: dict[str, Any] = _copied(raw, 8)

    @property
    def damaged(self) -> frozenset[str]:
        """The key paths of the mounts, files and groups that are not as their author wrote them."""
        return frozenset(self._damaged)

    def position(self, path: Path) -> tuple[int, ...]:
        """Sorts key paths in the order in which the original has them; what is missing there comes first."""
        node: Any = self._original
        found = []
        for part in path:
            if isinstance(node, dict):
                order = self._order.get(id(node))
                if order is None:
                    order = self._order[id(node)] = {key: number for number, key in enumerate(node)}
                found.append(order.get(part, -1))
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                found.append(part)
                node = node[part]
            else:
                break
        return tuple(found)

    def take_out(self, found: list[ModelFinding], model: Any) -> bool:
        """Take out what is wrong, as little as possible. False if nothing could be taken out any more."""
        changed = False
        for finding in found:
            changed |= self._take_out(finding, model)
        return changed

    def _take_out(self, finding: ModelFinding, model: Any) -> bool:
        path = finding.path
        chain = owners(model, path)
        cut = len(path) if finding.kind == "unknown" else 0  # how much of the path leads to what is taken out
        item, harmless = 0, False  # how much of it leads to the mount, file or group that it is in
        for number, (part, (owner, field)) in enumerate(zip(path, chain, strict=True), 1):
            table = owner.__name__ if owner is not None else ""
            is_element = owner is None and field is not None and getattr(field.table, "__name__", "") in _KEPT
            is_entry = owner is None and field is not None and field.is_dict and number == len(path)
            if table in _KEPT or is_element or is_entry:
                cut = max(cut, number)
            if is_element or (table == "Spec" and part == "run"):
                item, harmless = number, False
            if table in _HARMLESS:
                harmless = part in _HARMLESS[table]
                if finding.kind == "unknown" and number == len(path):
                    meant = finding.remedy.removeprefix('did you mean "').removesuffix('"?')
                    is_whole = table != "Mount" or not _FROM.isdisjoint(self._at(path[:-1]) or ())
                    harmless = is_whole and meant not in _HIDING[table]
        if item and not harmless:
            # The second is what it is called by those who do not know how to quote a key.
            self._damaged |= {key_path(*path[:item]), _plainly(path[:item])}
        if not cut:
            return False
        owner, field = chain[cut - 1]
        return self._replace(self._at(path[: cut - 1]), path[:cut], owner.__name__ if owner else "", field, finding)

    def _replace(self, node: Any, path: Path, table: str, field: Field | None, finding: ModelFinding) -> bool:
        """Take out the last part of `path`, in `node`: a key of a `table`, an element, or a key of a free table.

        `node` is None if it went with what is around it.
        """
        last = path[-1]
        if isinstance(last, int):
            if not isinstance(node, list) or last >= len(node) or field is None:
                return False
            element = field.table.__name__
            needed = _KEPT[element]
            old = node[last] if isinstance(node[last], dict) else {}
            node[last] = {needed: old[needed] if needed in old else self._stand_in(element, path, node, None)}
            return True
        if not isinstance(node, dict):
            return False
        if finding.kind != "unknown" and _KEPT.get(table) == last:
            node[last] = self._stand_in(table, path[:-1], self._at(path[:-2]), node.get(last))
            return True
        if finding.kind == "value" and not table and field is not None and field.name == "peer_group":
            node[last] = {}  # the group itself is not in doubt
            return True
        return node.pop(last, self) is not self

    def _at(self, path: Path) -> Any:
        """What is left at `path`; None if there is nothing any more."""
        node: Any = self.rest
        for part in path:
            if isinstance(node, dict):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return None
        return node

    def _stand_in(self, table: str, path: Path, siblings: Any, old: object) -> object:
        """Something for what a table needs and does not have, or has in a form that is of no use."""
        if table == "Namespace":
            return f"namespace-{path[-1]}"
        if isinstance(old, str):
            try:
                return absolute_path(posixpath.normpath("/" + old.lstrip("/")))
            except Unfit:
                pass
        if (
            table == "Mount"
            and path[-1] == 0
            and not any(isinstance(one, dict) and one.get("target") == "/" for one in siblings)
        ):
            return "/"  # most specs begin with their root; were it missing, all the others would seem to be wrong
        return f"/(not known: {key_path(*path)})"


def _plainly(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _copied(value: Any, depth: int) -> Any:
    """A copy of the tables and lists down to `depth`, which is deeper than anything is taken out."""
    if depth and isinstance(value, dict):
        return {key: _copied(inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list):
        return [_copied(inner, depth - 1) for inner in value]
    return value

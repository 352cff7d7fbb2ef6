"""What a spec removes and changes of the tree that it inherits: [[remove]] first, then [[change]], each in order.

A path that is changed, or spared, and is no mountpoint becomes one: it is bound over itself before anything is changed.
"""

from __future__ import annotations

from mountplan.planner.attributes import change, contradiction
from mountplan.planner.host import HostPath, NotThere
from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.language.namespace_models import InheritedChange, InheritedRemoval, Namespace
from mountplan.planner.language.spec import Spec
from mountplan.planner.names import Alteration
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, Space
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.table import MountRow, MountTable

_MOST_NAMED = 3
# A host of which nothing is known.
_BARE = MountRow(1, 0, "0:1", "/", "/", "rw", 0, 0, 0, False, "rootfs", "rootfs", "rw")


def find_alterations(spec: Spec, context: Context) -> None:
    """Find what is altered of the tree that each namespace inherits."""
    if spec.namespace and (spec.remove or spec.change):
        field = "remove" if spec.remove else "change"
        what = "it is not said in which namespace"
        context.wrong(field, what, f"put it into the namespace that is meant: [[namespace.{field}]]")
    ones: list[Spec | Namespace] = [*spec.namespace] or [spec]
    for space, one in zip(context.spaces, ones, strict=False):  # behind them, mounts outside of namespaces: a mistake
        base = f"{space.key}." if space.key else ""
        if space.builds_root:
            for field in ("remove", "change"):
                if getattr(one, field):
                    what = "the root is a new one, so nothing is inherited that could be changed"
                    remedy = 'write root = "inherit", or write it on the mounts themselves'
                    context.wrong(f"{base}{field}[0]", what, remedy)
        elif space.user and (one.remove or one.change or one.propagation == "slave-shared"):
            what = "what a namespace of another user inherits is locked, and cannot be changed"
            context.wrong(f"{base}user", what, "leave out remove, change and slave-shared, or user")
        elif one.remove or one.change or one.propagation == "slave-shared":
            _Altering(space, base, context).settle(one)


class _Altering:
    """One namespace: the inherited tree as far as it is altered, and how."""

    def __init__(self, space: Space, base: str, context: Context) -> None:
        self.space = space
        self.base = base
        self.context = context
        self.tree = InheritedTree(_inherited(context.host.inherited))
        self.removed: dict[TargetPath, str] = {}

    def settle(self, one: Spec | Namespace) -> None:
        for number, removal in enumerate(one.remove):
            self._remove(removal, f"{self.base}remove[{number}]")
        changes: list[Alteration] = []
        if one.propagation == "slave-shared":
            changes.append(self._altered("change", "/", f"{self.base}propagation", sharing="shared", recursive=True))
        over: dict[str, str] = {}
        for number, wanted in enumerate(one.change):
            changes += self._change(wanted, f"{self.base}change[{number}]", over)
        for path in sorted(over, key=lambda path: TargetPath(path).depth):
            self.tree.bind_over(path)
            self.space.altered.append(self._altered("bind_over", path, over[path], recursive=True))
        self.space.altered += changes
        self.space.inherited = self.tree

    def _altered(self, what: str, path: str, origin: str, **more: object) -> Alteration:
        rest = {"recursive": False, "spared": (), "set": 0, "clear": 0, "sharing": "", "words": ""} | more
        rest["words"] = rest["words"] or rest["sharing"]
        return Alteration(namespace=self.space.name, what=what, path=path, origin=origin, **rest)  # type: ignore[arg-type]

    # --- removing

    def _remove(self, removal: InheritedRemoval, key: str) -> None:
        found = self._look(removal.target, f"{key}.target", key, optional=removal.optional)
        if found is None or self._is_gone(found.path, f"{key}.target"):
            return
        wrong, path = self.context.wrong, found.path
        if path == "/":
            wrong(f"{key}.target", "the root itself cannot be removed", 'name a mount below it, or write root = "new"')
            return
        row = self.tree.end_of(path)
        if row.mountpoint != path:
            why = f'nothing is mounted on "{path}"'
            if removal.optional:
                self._leave_out(removal.target, key, why)
            else:
                wrong(f"{key}.target", why, "name a mountpoint of the host, or write optional = true")
            return
        upon = self.tree.children(row.mount_id)
        if upon and not removal.recursive:
            names = ", ".join(f'"{one.mountpoint}"' for one in upon[:_MOST_NAMED])
            more = f" and {len(upon) - _MOST_NAMED} more" if len(upon) > _MOST_NAMED else ""
            stand = "stands" if len(upon) == 1 else "stand"
            what = f'{names}{more} {stand} on "{path}"'
            wrong(f"{key}.target", what, "write recursive = true to remove that as well")
            return
        self.tree.remove(path)
        self.removed.setdefault(TargetPath(path), key)
        self.space.altered.append(self._altered("remove", path, key, recursive=removal.recursive))

    def _is_gone(self, path: str, key: str) -> bool:
        """True, and a mistake, if what is at `path` is not known, since that goes with something that is removed."""
        for above in TargetPath(path).ancestors():
            if above in self.removed:
                what = f'"{path}" goes with "{above}", which {self.removed[above]} removes'
                self.context.wrong(key, what, "leave this out, or that")
                return True
        return False

    # --- changing

    def _change(self, wanted: InheritedChange, key: str, over: dict[str, str]) -> list[Alteration]:
        wrong = self.context.wrong
        clash = contradiction(tuple(wanted.attributes))
        if clash:
            words = " and ".join(clash)
            wrong(f"{key}.attributes", f"{words} contradict each other", f"keep one of {', '.join(clash)}")
        if not wanted.attributes and wanted.sharing is None:
            wrong(key, "it changes nothing", 'add attributes = ["ro"], or sharing = "private" or "shared"')
        if wanted.spared and not wanted.recursive:
            what = "there are exceptions, and one mount is changed only"
            wrong(f"{key}.except", what, "write recursive = true, or leave them out")
            return []
        found = self._look(wanted.target, f"{key}.target", key, optional=wanted.optional)
        if found is None or clash or self._is_gone(found.path, f"{key}.target"):
            return []
        paths = {found.path: key}
        for number, entry in enumerate(wanted.spared):
            path: str = entry if isinstance(entry, str) else entry.path
            optional = not isinstance(entry, str) and entry.optional
            place = f"{key}.except[{number}]"
            spared = self._look(str(path), place, place, optional=optional)
            if spared is None or self._is_gone(spared.path, place):
                continue
            if spared.path == found.path or not TargetPath(spared.path).is_under(found.path):
                wrong(place, f'"{path}" is not below "{found.path}"', "leave it out, or change what it is below")
                continue
            paths.setdefault(spared.path, place)
        for canonical, place in paths.items():
            if self.tree.end_of(canonical).mountpoint != canonical:
                over.setdefault(canonical, place)
        spared_paths = tuple(paths)[1:]
        common = {"recursive": wanted.recursive, "spared": spared_paths}
        made: list[Alteration] = []
        if wanted.attributes:
            bits = change(tuple(wanted.attributes))
            words = ",".join(wanted.attributes)
            more = {"set": bits.set, "clear": bits.clear, "words": words}
            made.append(self._altered("change", found.path, key, **common, **more))
        if wanted.sharing is not None:
            made.append(self._altered("change", found.path, key, **common, sharing=wanted.sharing))
        return made

    # --- looking

    def _look(self, path: str, key: str, name: str, *, optional: bool) -> HostPath | None:
        try:
            return self.context.host.look(path)
        except LookupError as error:
            why = f'host path "{path}": {error.args[0]}'
            if optional and isinstance(error, NotThere):
                self._leave_out(path, name, why)
            elif isinstance(error, NotThere):
                self.context.wrong(key, why, "name a path that exists, or make it optional")
            else:
                self.context.wrong(key, why, "name a path that can be looked at")
        return None

    def _leave_out(self, path: str, key: str, why: str) -> None:
        draft = Draft(self.space, -1, key, key, SpecMount.model_construct(target=TargetPath(path)))
        draft.is_part, draft.gone = True, why
        self.context.left_out.append(draft)


def _inherited(table: MountTable) -> MountTable:
    """What a copy of the host's tree has: of a process in a chroot that sees several roots, the first one's."""
    below: dict[int, list[MountRow]] = {}
    root = table.root() if table.rows else _BARE
    for row in table.rows:
        if row is not root:
            below.setdefault(row.parent_id, []).append(row)
    found = [root]
    for row in found:
        found += below.get(row.mount_id, ())
    return MountTable(tuple(found))

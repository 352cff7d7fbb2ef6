"""Where every mount stands: its parent, its place there, and how its mountpoint comes to be."""

from __future__ import annotations

from heapq import heappop, heappush

from mountplan.planner.fstypes import only_reads
from mountplan.planner.host import HostPath, NotThere
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.light import regex
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.resolve.bind_attributes import bring
from mountplan.planner.resolve.brought_sharing import share_copy
from mountplan.planner.resolve.draft import ELSEWHERE, Context, Draft, Space
from mountplan.planner.resolve.host_places import kind_at, link_at
from mountplan.planner.resolve.inner_paths import as_on_host
from mountplan.planner.resolve.optional import has_mountpoint, take_out
from mountplan.planner.resolve.overlay_limits import check_stacking
from mountplan.planner.resolve.overlays import check_layers
from mountplan.planner.resolve.topology import ResolvedNode
from mountplan.planner.tables.table import MountRow

_Turn = tuple[int, tuple[int, int], Draft]
_MOST_LINKS = 40  # as many as the kernel follows in one walk (MAXSYMLINKS)
_MAGIC = regex(r"/(self|thread-self|(\d+|self|thread-self)/(cwd|root|exe|fd/\d+|ns/\w+|map_files/[\da-f]+-[\da-f]+))$")


def place_mounts(space: Space, context: Context) -> None:
    """Give every mount of a namespace its parent and its place, as if mounted from the shallowest to the deepest.

    So the order of the spec matters for mounts on one target only: a later one goes on top. A way that a symlink leads
    deeper waits until all that is less deep stands, since that may cover where it leads.
    """
    root = _find_root(space, context)
    if root is None:
        return
    tree = _Tree(root)
    placed: set[Draft] = set()
    behind: dict[Draft, list[_Turn]] = {}  # those that wait for a mount which they name as parent
    links: dict[Draft, int] = {}  # how many were followed for a mount
    # By depth, then in the order of the file; masks have no place of their own in that.
    ready = [(_least_depth(one), (one.index, number), one) for number, one in enumerate(space.drafts) if one.placed]
    ready.sort(reverse=True)
    heap: list[_Turn] = []  # those whose turn came before, and that wait for a later one
    while ready or heap:
        depth, turn, draft = heappop(heap) if not ready or (heap and heap[0] < ready[-1]) else ready.pop()
        parent = draft.parent  # masks and read-only paths know it already
        if parent is not None and parent.gone:
            draft.gone, draft.gone_with = "is a part of it", parent
            continue
        if draft is not root:
            if draft.is_part and parent is not None and parent not in placed:
                behind.setdefault(parent, []).append((depth, turn, draft))
                continue
            if parent is None and draft.spec.parent is not None:
                parent = _named_parent(draft, draft.spec.parent, context)
                if parent is not None and parent not in placed:
                    behind.setdefault(parent, []).append((depth, turn, draft))
                    continue
                deeper = 0 if parent is None else _attach(draft, parent, tree, context, depth, links)
            else:
                deeper = _attach(draft, parent, tree, context, depth, links)
            if deeper:
                heappush(heap, (deeper, turn, draft))
                continue
            if draft.gone:
                continue
        placed.add(draft)
        for one in behind.pop(draft, ()):
            heappush(heap, one)
    _tell_circles(behind, context)
    if links and not context.mistakes.found:
        _check_ways(space, tree, links, context)


def _tell_circles(behind: dict[Draft, list[_Turn]], context: Context) -> None:
    """What still waits for its parent stands on itself, by a detour, or on something that does."""
    on = {draft: parent for parent, waiting in behind.items() if not parent.gone for _, _, draft in waiting}
    seen: set[Draft] = set()
    for draft in sorted(on, key=lambda one: one.index):
        chain: set[Draft] = set()
        while draft not in seen:
            seen.add(draft)
            chain.add(draft)
            if on[draft] not in on:  # it waits for what is left out
                break
            if on[draft] in chain:
                context.mistakes.add(
                    f"{draft.key}.parent",
                    f"{draft.name} and {on[draft].name} stand on each other",
                    "one of them needs another parent",
                )
            draft = on[draft]


def _least_depth(draft: Draft) -> int:
    """The depth to which the tree must stand before a walk to `draft` is worth a try."""
    follows = draft.spec.on_symlink == "follow" and draft.spec.parent is None and draft.parent is None
    return 1 if follows else draft.target.depth


def _check_ways(space: Space, tree: _Tree, links: dict[Draft, int], context: Context) -> None:
    """Where symlinks are followed, one mount may come to cover the way to another that had its place before.

    Then what a walk finds in the finished tree is not what was settled, and no order of the two is the right one.
    """
    for draft in space.drafts:
        if not draft.placed or draft.is_part or draft.spec.parent is not None or draft.parent is None:
            continue
        where, _ = tree.walk(draft.target)
        stack = where
        while stack is not draft and stack.parent is not None and stack.place == ROOT:
            stack = stack.parent
        if stack is draft:
            continue
        led = ", to which a symlink leads," if where in links else ""
        context.mistakes.add(
            f"{draft.key}.target",
            f'the way to "{draft.target}" is covered by {where.name}{led} so it is not clear which of them comes first',
            "write the targets as the paths that the symlinks lead to, or name the parent on which it stands",
        )


def _named_parent(draft: Draft, parent_id: str, context: Context) -> Draft | None:
    """The mount on which `draft` says that it stands; None if that is a mistake."""
    key, wrong = f"{draft.key}.parent", context.mistakes.add
    parent = context.find(parent_id, key)
    if parent is None:
        return None
    if parent.space is not draft.space:
        wrong(key, f"{parent.name} is in another namespace", "name a mount of the same namespace as parent")
        return None
    if not parent.placed:
        wrong(
            key,
            f"{parent.name} has no target, so nothing can stand on it",
            "give it a target, or name another parent",
        )
        return None
    return parent


def _find_root(space: Space, context: Context) -> Draft | None:
    if not space.builds_root:
        return space.drafts[0]
    for draft in space.drafts:
        if draft.placed and draft.target == "/" and draft.spec.parent is None:
            return draft
    for draft in context.left_out:
        if draft.space is space and draft.placed and draft.target == "/" and draft.gone:
            what, remedy = f"it is the new root, and left out here: {draft.gone}", "a root is not optional"
            context.mistakes.add(f"{draft.key}.optional", what, remedy)
            return None
    context.mistakes.add(
        f"{space.key}.root" if space.key else "root",
        'no mount has the target "/", so there is no new root',
        'add a [[mount]] with target = "/", or write root = "inherit"',
    )
    return None


class _Tree:
    """The mounts of a namespace that are placed so far; it remembers what it found, so that no walk is a long one."""

    def __init__(self, root: Draft) -> None:
        self._root = root
        self._passed: dict[str, Draft] = {"/": root}  # target -> a mount there that every walk to it comes by
        self._nearest: dict[str, str] = {}  # directory, none of the above -> the nearest of those above it
        self._has_others = False  # mounts that a walk may come by and that are not in _passed
        self._highest: dict[Draft, Draft] = {}  # the highest that is known of a stack, by the lowest

    def walk(self, target: TargetPath) -> tuple[Draft, TargetPath]:
        """The topmost mount on the way to `target`, and what is left of the path within it."""
        start = target if target in self._passed else self._start(target.rpartition("/")[0] or "/")
        here = self._top(self._passed[start])
        if start == target:
            return here, ROOT
        rest = target if start == "/" else target[len(start) :]
        if not self._has_others:
            return here, target if rest is target else TargetPath(rest)
        left = ""
        for part in rest[1:].split("/"):
            left += "/" + part
            child = here.children.get(left)
            if child is not None:
                here = self._top(child)
                left = ""
        return here, TargetPath(left or "/")

    def _start(self, directory: str) -> str:
        """The target of the nearest mount that a walk to what is in a directory surely comes by."""
        found, unknown = directory, []
        while found not in self._passed:
            known = self._nearest.get(found)
            if known is not None:
                found = known
                break
            unknown.append(found)
            found = found.rpartition("/")[0] or "/"
        for one in unknown:
            self._nearest[one] = found
        return found

    def spot(self, parent: Draft, place: TargetPath) -> tuple[Draft, TargetPath]:
        """Where a mount on `place` of `parent` really gets: on top of what is mounted there already."""
        child = parent.children.get(place)
        return (parent, place) if child is None else (self._top(child), ROOT)

    def _top(self, draft: Draft) -> Draft:
        top = self._highest.get(draft, draft)
        while (above := top.children.get(ROOT)) is not None:
            top = self._highest.get(above, above)
        if top is not draft:
            self._highest[draft] = top
        return top

    def add(self, draft: Draft, parent: Draft, place: TargetPath, *, walked: bool) -> None:
        """`draft` stands on `place` of `parent`; `walked` if that is where the walk to its target has ended."""
        draft.parent, draft.place = parent, place
        parent.children[place] = draft
        if walked and draft.target == draft.spec.target:
            self._passed[draft.target] = draft
            if draft.target in self._nearest:
                self._nearest = {}  # of what lies below it, it is the nearest now
            return
        self._has_others = True
        if walked:  # A symlink led it elsewhere, perhaps between the root and what is placed: walks end earlier now.
            self._passed, self._nearest = {"/": self._root}, {}


def _attach(
    draft: Draft, parent: Draft | None, tree: _Tree, context: Context, depth: int, links: dict[Draft, int]
) -> int:
    """Find the place of `draft`: within `parent`, or, if that is None, where a walk to its target ends.

    All that is less deep than `depth` stands. 0 if the place is found, or told to be a mistake; otherwise how deep the
    walk goes, so that others come first.
    """
    while links.get(draft, 0) < _MOST_LINKS:
        if parent is None:
            where, place = tree.walk(draft.target)
        elif draft.is_part:
            draft.target = parent.target.joined(draft.path)
            where, place = tree.spot(parent, draft.path)
        elif draft.target.is_under(parent.target):
            where, place = tree.spot(parent, ROOT.joined(draft.target.relative_to(parent.target)))
        else:
            context.mistakes.add(
                f"{draft.key}.target",
                f'"{draft.target}" is not below "{parent.target}", where its parent {parent.name} stands',
                "a target is read within its parent's path",
            )
            return 0
        link = _link_on_the_way(where, place, context)
        link_path = draft.target
        if link is not None:
            at, points_to = link
            link_path = TargetPath(draft.target.removesuffix(place) or "/").joined(at)
        if parent is None and link_path.depth > depth:
            return depth + 1  # not at once as deep as that: what stands by then may have a symlink further up
        if link is None:
            if not has_mountpoint(draft, where, place, context):
                return 0
            tree.add(draft, where, place, walked=parent is None)
            return 0
        if _is_magic(where, at, context):
            context.mistakes.add(
                f"{draft.key}.target",
                f'"{link_path}" is a magic link of /proc: it leads to what a process has, and not where its text says',
                "write the path that is meant",
            )
            return 0
        if draft.spec.on_symlink == "error":
            context.mistakes.add(
                f"{draft.key}.target",
                f'"{link_path}" is a symlink to "{points_to}"',
                'write the path it leads to, or on_symlink = "follow" (it never leaves the new root)',
            )
            return 0
        rest = draft.target.relative_to(link_path)
        draft.target = _followed(link_path, points_to).joined(rest)
        links[draft] = links.get(draft, 0) + 1
    context.mistakes.add(
        f"{draft.key}.target",
        f'"{draft.spec.target}" leads through more than {_MOST_LINKS} symlinks',
        "write the path that is meant",
    )
    return 0


def _is_magic(where: Draft, place: str, context: Context) -> bool:
    """Whether the symlink at a place of a mount is one of those that lead each process elsewhere, or not where their
    text says.
    """
    if _MAGIC.search(place) is None:
        return False
    if where.host is None:
        return where.spec.type == "proc"
    try:
        return context.host.look(TargetPath(where.host.path).joined(place).rpartition("/")[0]).mount.fstype == "proc"
    except LookupError:
        return False


def _followed(link: TargetPath, points_to: str) -> TargetPath:
    """Where the symlink at `link` leads, read beneath the new root: ".." stops at "/"."""
    parts = [] if points_to.startswith("/") else list(link.parts[:-1])
    for part in points_to.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return TargetPath("/" + "/".join(parts))


def _top(draft: Draft, place: TargetPath) -> tuple[Draft, TargetPath]:
    """The place that a mount put on `place` of `draft` really gets: on top of what is mounted there already."""
    while (child := draft.children.get(place)) is not None:
        draft, place = child, ROOT
    return draft, place


def _link_on_the_way(where: Draft, place: TargetPath, context: Context) -> tuple[str, str] | None:
    """The first symlink on the way to `place` of the mount `where`: (its path there, where it points)."""
    if place == "/" or where.filesystem is None:
        return None
    if where.host is not None:
        straight = context.straight.setdefault(where, {"/"})
        steps = [place]
        while steps[-1] not in straight:
            steps.append(TargetPath(steps[-1].rpartition("/")[0] or "/"))
        for step in reversed(steps[:-1]):
            points_to = link_at(where, step, context)
            if points_to is not None:
                return step, points_to
            straight.add(step)
        return None
    path = where.root.joined(place)
    if where.filesystem.fixed.inside == "kernel":
        return _link_as_on_host(where, place, context)
    for step in (*path.ancestors(), path) if where.filesystem.fixed.contents else ():
        context.learn(where.filesystem, step)
    node = where.filesystem.contents.first_link(path)
    if node is None:
        return None
    return "/" + node.path.relative_to(where.root), node.link


def _link_as_on_host(where: Draft, place: TargetPath, context: Context) -> tuple[str, str] | None:
    """As _link_on_the_way(), of what the kernel fills with the same things in each mount of it."""
    base = as_on_host(where, context)
    for step in (*reversed(tuple(place.ancestors())), place):
        if _is_magic(where, step, context):  # of a process that is another there, or that may not be looked at
            return step, ""
        try:
            entry = context.host.under(base, step) if base is not None else None
        except LookupError:
            return None
        if entry is not None and entry.kind == "symlink":
            return step, entry.link
    return None


def leave_out_unsupported(context: Context) -> None:
    """Take out what the spec says cannot be built, and all that stands on it."""
    gone: dict[Draft, None] = {}
    for draft in context.drafts:
        if draft.spec.unsupported is None:
            continue
        if draft.parent is None and draft.placed and draft.target == "/":
            context.mistakes.add(
                f"{draft.key}.unsupported", "the root of the namespace cannot be left out", "say how it can be built"
            )
        waiting = [draft]
        while waiting:
            one = waiting.pop()
            gone[one] = None
            waiting += one.children.values()
    if gone:
        take_out(gone, context)


def copy_bound_trees(context: Context) -> None:
    """Write out what a recursive bind of a mount of the spec brings: copies of all mounts below its source.

    They are private, unless `recursive_sharing` says otherwise, and copies of what the spec declares, so a bind into
    itself brings no copy of itself. Unbindable mounts, and what stands on them, are left out, as the kernel does.
    """
    for draft in tuple(context.drafts):
        if not draft.spec.recursive or not isinstance(draft.spec.bind, MountPath) or draft.source is None:
            continue
        below = TargetPath(draft.spec.bind.path)
        pairs = [(draft, child, place) for place, child in _original_children(draft.source) if place.is_under(below)]
        first = True
        while pairs:
            more = []
            for parent, original, place in pairs:
                if original is draft or original.spec.unbindable:
                    continue
                spot = ROOT.joined(place.relative_to(below)) if first else place
                copy = _copy(original, draft, parent, spot)
                share_copy(copy, original, draft, context)
                where, copy.place = _top(parent, spot)
                copy.parent = where
                where.children[copy.place] = copy
                context.add(copy)
                more += [(copy, child, at) for at, child in _original_children(original)]
            pairs, first = more, False


def _original_children(draft: Draft) -> list[tuple[TargetPath, Draft]]:
    return [(TargetPath(place), child) for place, child in draft.children.items() if not child.copied]


def _copy(original: Draft, bind: Draft, parent: Draft, place: TargetPath) -> Draft:
    changes: dict[str, object] = {
        "id": None,
        "file": [],
        "mask": [],
        "peer_group": None,
        "master": None,
        "parent": None,
        "recursive_sharing": None,
    }
    copy = Draft(
        bind.space, bind.index, bind.key, f"{bind.name}+{original.name}", original.spec.model_copy(update=changes)
    )
    copy.copied = True
    copy.target = parent.target.joined(place)
    copy.filesystem, copy.root, copy.host = original.filesystem, original.root, original.host
    copy.source = original
    bring(copy, original, bind)
    if copy.filesystem is not None:
        copy.filesystem.mounts.append(copy)
    return copy


def make_mountpoints(context: Context) -> None:
    """Decide how each mountpoint comes to be, and put those into filesystems' contents that the spec makes; and so with
    what is bound from there, if nothing else says what it is.
    """
    for draft in context.drafts:
        if isinstance(draft.spec.bind, MountPath) and draft.spec.bind.file and not draft.copied:
            _make_source(draft, "file", context)
    waiting = [draft for draft in context.drafts if draft.parent is not None and draft.filesystem is not None]
    waiting = _settle_mountpoints(waiting, context)
    for draft in context.drafts:
        known = draft.filesystem is not None and draft.filesystem.fixed.known
        if known and draft.source is not None and draft.host is None and draft.kind() is None:
            _make_source(draft, "directory", context)
    _settle_mountpoints(waiting, context)
    for draft in context.drafts:
        _hidden_source(draft, context)
        _deleted_source(draft, context)
    check_layers(context)
    check_stacking(context)


def _settle_mountpoints(waiting: list[Draft], context: Context) -> list[Draft]:
    """Those that still wait for others to say what they are."""
    progress = True
    while waiting and progress:
        later = [draft for draft in waiting if not _mountpoint(draft, context)]
        progress = len(later) < len(waiting)
        waiting = later
    return waiting


def _make_source(draft: Draft, kind: NodeKind, context: Context) -> None:
    """Have that made in a filesystem of the spec which is bound from there."""
    filesystem, source, bind = draft.filesystem, draft.source, draft.spec.bind
    if filesystem is None or source is None:
        return
    path = bind.path if isinstance(bind, MountPath) else draft.root
    where, remedy = f'"{path}" in {source.name}', "leave out file"
    if filesystem.fixed.inside == "host":
        if draft.kind() != "file":
            context.mistakes.add(f"{draft.key}.bind.file", f"{where} is a {draft.kind()} of the host", remedy)
        return
    if filesystem.fixed.inside == "kernel":
        what = f"nothing can be created in a {filesystem.fixed.fstype}"
        context.mistakes.add(f"{draft.key}.bind.file", what, remedy)
        return
    problem = filesystem.contents.add(ResolvedNode(path=draft.root, kind=kind, declared=False, origin=draft.key))
    if problem:
        remedy = "name another path" + (", or leave out file" if kind == "file" else "")
        context.mistakes.add(f"{draft.key}.bind", f"{where} {problem}", remedy)


def _mountpoint(draft: Draft, context: Context) -> bool:
    """False if the kind of the mount's root is not known yet but may be later."""
    parent = draft.parent
    assert parent is not None and draft.filesystem is not None
    if parent.filesystem is None or draft.place == "/":
        return _fits_root(draft, parent, context)
    kind = draft.kind()
    if kind is None and draft.filesystem.fixed.known:
        return False
    inside = parent.filesystem.fixed.inside
    if parent.kind() not in ("directory", None):
        context.mistakes.add(
            f"{draft.key}.target",
            f"its parent {parent.name} is a {parent.kind()}, not a directory",
            "mount it elsewhere",
        )
    elif parent.host is not None:
        _mountpoint_on_host(draft, parent.host, parent, context)
    elif inside in ("own", "opaque"):
        if kind is None:
            draft.mountpoint = "like"  # made just before it is attached, when its kind is seen
            parent.filesystem.needs_workbench = True

            return True
        draft.mountpoint = "node"
        path = parent.root.joined(draft.place)
        node_kind: NodeKind = "directory" if kind == "directory" else "file"
        context.learn(parent.filesystem, path)
        there = parent.filesystem.contents.kind(path)
        if there is not None and node_kind == "file" and there not in ("directory", "symlink"):
            return True  # a device node, fifo or socket is as good a mountpoint for a file as a file is
        problem = parent.filesystem.contents.add(
            ResolvedNode(path=path, kind=node_kind, declared=False, origin=draft.key)
        )
        if problem:
            context.mistakes.add(
                f"{draft.key}.target",
                f'mountpoint "{draft.target}" {problem}',
                "a directory can be mounted on a directory only, a file on a file",
            )
    return True


def _fits_root(draft: Draft, parent: Draft, context: Context) -> bool:
    kind, below = draft.kind(), parent.kind()
    if kind is None and draft.filesystem is not None and draft.filesystem.fixed.known:
        return False
    if None not in (kind, below) and (kind == "directory") != (below == "directory"):
        context.mistakes.add(
            f"{draft.key}.target",
            f"a {kind} cannot be mounted on {parent.name}, which is a {below}",
            "a directory can be mounted on a directory only, a file on a file",
        )
    return True


def _mountpoint_on_host(draft: Draft, base: HostPath, parent: Draft, context: Context) -> None:
    """Look a mountpoint up in the filesystem that its parent is a bind of; what is missing is made if that is asked."""
    wanted = draft.kind()
    path = TargetPath(base.path).joined(draft.place)
    try:
        found = kind_at(parent, draft.place, context)
    except LookupError as error:
        missing = isinstance(error, NotThere)
        if missing and draft.spec.create:
            _create_on_host(draft, base, parent, context)
            return
        context.mistakes.add(
            f"{draft.key}.target",
            f'mountpoint "{path}" on the host: {error.args[0]}',
            "create it there, or write create = true to have it made on the host" if missing else ELSEWHERE,
        )
        return
    if None not in (wanted, found) and (wanted == "directory") != (found == "directory"):
        context.mistakes.add(
            f"{draft.key}.target",
            f'"{path}" on the host is a {found}, and the mount is a {wanted}',
            "a directory can be mounted on a directory only, a file on a file",
        )


def _is_read_only(bind: Draft, row: MountRow) -> bool:
    """Whether nothing can be made in a bind of the host's mount, which begins with the attributes of that."""
    if "ro" in row.options.split(","):
        return True
    return isinstance(bind.spec.bind, str) and "ro" in row.attributes.split(",") and "rw" not in bind.own_words


def _create_on_host(draft: Draft, base: HostPath, parent: Draft, context: Context) -> None:
    """Have the mountpoint made, and of the directories above it those that are missing."""
    if _is_read_only(parent, base.mount):
        what = (
            f'mountpoint "{TargetPath(base.path).joined(draft.place)}" on the host is not there, and what is mounted at'
        )
        what = f"{what} {base.mount.mountpoint} is read-only"
        context.mistakes.add(f"{draft.key}.target", what, "create it in what can be written to, or mount it elsewhere")
        return
    kind = draft.kind()
    missing = [(draft.place, "directory" if kind in ("directory", None) else "file")]
    for above in draft.place.ancestors():
        try:
            there = "directory" if above == "/" else kind_at(parent, above, context)
        except LookupError:
            missing.append((above, "directory"))
            continue
        if there not in ("directory", None):
            context.mistakes.add(
                f"{draft.key}.target",
                f'"{TargetPath(base.path).joined(above)}" on the host is a {there}, so nothing can be made in it',
                "mount it elsewhere",
            )
            return
        break
    draft.missing = tuple(
        ResolvedNode(path=path, kind=kind, declared=False, origin=draft.key)  # type: ignore[arg-type]
        for path, kind in reversed(missing)
    )


def _deleted_source(draft: Draft, context: Context) -> None:
    """What is to be removed must be the spec's own, and in what can be written to."""
    bind, filesystem = draft.spec.bind, draft.filesystem
    if not isinstance(bind, MountPath) or not bind.deleted or draft.source is None or draft.copied:
        return
    key = f"{draft.key}.bind.deleted"
    if filesystem is None or draft.host is not None:
        what = f'"{bind.path}" in {draft.source.name} is the host\'s, of which nothing is removed'
        context.mistakes.add(key, what, "leave deleted out, or bind from a filesystem that the spec makes")
    elif filesystem.fixed.seal:
        what = f"the kernel makes no filesystem read-only of which something removed is shown: {draft.source.name}"
        remedy = 'leave deleted out, or make its mounts read-only instead: attributes = ["ro"]'
        context.mistakes.add(key, what, remedy)
    elif only_reads(filesystem.fixed.fstype, filesystem.fixed.options) or (
        filesystem.fixed.fstype == "overlay" and filesystem.upper is None
    ):
        what = f"{draft.source.name} is read-only, and nothing can be removed from it"
        context.mistakes.add(key, what, "leave deleted out, or bind from what can be written to")


def _hidden_source(draft: Draft, context: Context) -> None:
    """A bind of a path below another mount shows what is under that mount, which is seldom what was meant."""
    bind = draft.spec.bind
    if draft.source is None or not draft.source.children or draft.copied:
        return
    if not isinstance(bind, MountPath) or bind.hidden:
        return
    if draft.source.space is not draft.space:
        return  # in another namespace nothing is hidden from this one
    path = TargetPath(bind.path)
    for step in (path, *path.ancestors()):
        cover = draft.source.children.get(step)
        if cover is None or cover is draft or cover.copied:
            continue
        if cover.is_part and cover.filesystem is draft.source.filesystem:
            continue  # a read-only path: the same thing is seen there
        if step == path and draft.spec.recursive:
            continue
        rest = "/" + path.relative_to(step)
        if cover.name.startswith("mask:"):
            name, remedy = "a mask", "add hidden = true to show in another place what is masked in this one"
        else:
            name = cover.name
            remedy = (
                f'bind {{ mount = "{cover.spec.id or "ID of " + cover.key}", path = "{rest}" }} '
                "to get what is seen there, or add hidden = true to get what is underneath"
            )
        what = f'"{bind.path}" in {draft.source.name} is hidden by {name} ({cover.key})'
        context.mistakes.add(f"{draft.key}.bind", what, remedy)
        return

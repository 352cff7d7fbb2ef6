"""Where every mount stands: its parent, and its place there. How its mountpoint comes to be is in mountpoints.py."""

from __future__ import annotations

from heapq import heappop, heappush

from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.resolve.draft import Context, Draft, Space
from mountplan.planner.resolve.optional import has_mountpoint, take_out
from mountplan.planner.resolve.symlinks import MOST_LINKS, followed, is_magic, link_on_the_way

_Turn = tuple[int, tuple[int, int], Draft]


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
    if links and not context.mistakes:
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
                what = f"{draft.name} and {on[draft].name} stand on each other"
                context.wrong(f"{draft.key}.parent", what, "one of them needs another parent")
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
        first = "so it is not clear which of them comes first"
        what = f'the way to "{draft.target}" is covered by {where.name}{led} {first}'
        remedy = "write the targets as the paths that the symlinks lead to, or name the parent on which it stands"
        context.wrong(f"{draft.key}.target", what, remedy)


def _named_parent(draft: Draft, parent_id: str, context: Context) -> Draft | None:
    """The mount on which `draft` says that it stands; None if that is a mistake."""
    key, wrong = f"{draft.key}.parent", context.wrong
    parent = context.find(parent_id, key)
    if parent is None:
        return None
    if parent.space is not draft.space:
        wrong(key, f"{parent.name} is in another namespace", "name a mount of the same namespace as parent")
        return None
    if not parent.placed:
        what = f"{parent.name} has no target, so nothing can stand on it"
        wrong(key, what, "give it a target, or name another parent")
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
            context.wrong(f"{draft.key}.optional", what, remedy)
            return None
    key, remedy = f"{space.key}.root".lstrip("."), 'add a [[mount]] with target = "/", or write root = "inherit"'
    context.wrong(key, 'no mount has the target "/", so there is no new root', remedy)
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
    while links.get(draft, 0) < MOST_LINKS:
        if parent is None:
            where, place = tree.walk(draft.target)
        elif draft.is_part:
            draft.target = parent.target.joined(draft.path)
            where, place = tree.spot(parent, draft.path)
        elif draft.target.is_under(parent.target):
            where, place = tree.spot(parent, ROOT.joined(draft.target.relative_to(parent.target)))
        else:
            what = f'"{draft.target}" is not below "{parent.target}", where its parent {parent.name} stands'
            context.wrong(f"{draft.key}.target", what, "a target is read within its parent's path")
            return 0
        link = link_on_the_way(where, place, context)
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
        if is_magic(where, at, context):
            leads = "it leads to what a process has, and not where its text says"
            what = f'"{link_path}" is a magic link of /proc: {leads}'
            context.wrong(f"{draft.key}.target", what, "write the path that is meant")
            return 0
        if draft.spec.on_symlink == "error":
            remedy = 'write the path it leads to, or on_symlink = "follow" (it never leaves the new root)'
            context.wrong(f"{draft.key}.target", f'"{link_path}" is a symlink to "{points_to}"', remedy)
            return 0
        rest = draft.target.relative_to(link_path)
        draft.target = followed(link_path, points_to).joined(rest)
        links[draft] = links.get(draft, 0) + 1
    what = f'"{draft.spec.target}" leads through more than {MOST_LINKS} symlinks'
    context.wrong(f"{draft.key}.target", what, "write the path that is meant")
    return 0


def leave_out_unsupported(context: Context) -> None:
    """Take out what the spec says cannot be built, and all that stands on it."""
    gone: dict[Draft, None] = {}
    for draft in context.drafts:
        if draft.spec.unsupported is None:
            continue
        if draft.parent is None and draft.placed and draft.target == "/":
            what = "the root of the namespace cannot be left out"
            context.wrong(f"{draft.key}.unsupported", what, "say how it can be built")
        waiting = [draft]
        while waiting:
            one = waiting.pop()
            gone[one] = None
            waiting += one.children.values()
    if gone:
        take_out(gone, context)

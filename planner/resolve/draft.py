"""Mounts while they are resolved: what the phases of planner/resolve/resolve.py hand to each other, and no one else."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from functools import cached_property

from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.host import IN_A_FILE, Host, HostPath, NotThere
from mountplan.planner.language.mount_models import IdMap
from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.names import Alteration, Handle, Lock, NodeKind
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.resolve.contents import Contents
from mountplan.planner.resolve.topology import LayerRef, ResolvedFilesystem, ResolvedNode
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.namespace_file import NEVER_MOUNTED, split_name
from mountplan.planner.tables.table import left_behind

_MOST_LIKENED = 10_000
ELSEWHERE = "name another path, which leads there and which this user may look at"


class Space:
    """One mount namespace: `prefix` sets the names of its mounts apart if there are several; `key` is its key path."""

    def __init__(self, name: str, prefix: str, key: str, *, builds_root: bool) -> None:
        self.name = name
        self.prefix = prefix
        self.key = key
        self.builds_root = builds_root
        self.user: Handle = ""  # the user namespace that owns it, "" for ours
        self.drafts: list[Draft] = []
        self.altered: list[Alteration] = []  # of what is inherited
        self.inherited: InheritedTree | None = None  # when that is done


class Draft:
    """One mount, filled in phase by phase: filesystem and root first, then parent and place, then the mountpoint."""

    __slots__ = ("below_idmap", "below_words", "brings", "children", "copied", "filesystem", "gone", "gone_with",
                 "host", "idmap", "index", "inherits", "is_part", "key", "missing", "mountpoint", "name",
                 "own_words", "parent", "path", "place", "placed", "readonly", "root", "source", "space", "spec",
                 "target", "words")  # fmt: skip

    def __init__(self, space: Space, index: int, key: str, name: Handle, spec: SpecMount) -> None:
        self.space = space
        self.index = index
        self.key = key
        self.name = name
        self.spec = spec
        self.placed = spec.target is not None  # otherwise it stands nowhere, and others are made from it
        self.target = TargetPath(spec.target or "/")
        self.filesystem: FilesystemDraft | None = None  # None: a mistake, told already, keeps it from being known
        self.root = ROOT
        self.host: HostPath | None = None
        self.source: Draft | None = None  # the mount that this one is a bind of
        self.parent: Draft | None = None
        self.place = ROOT
        self.children: dict[str, Draft] = {}  # place -> what is mounted there
        self.mountpoint = "exists"
        self.missing: tuple[ResolvedNode, ...] = ()  # what is made for it in a filesystem of the host
        self.inherits = ""
        self.copied = False  # brought by a recursive bind, not written in the spec
        self.own_words = tuple(spec.attributes)
        # What holds in the end, with what a bind has of its source; `below` is for what the host has mounted below.
        self.words = self.own_words
        self.below_words: tuple[str, ...] = ()
        self.idmap: IdMap | None = spec.idmap or None
        self.below_idmap: IdMap | None = None
        self.brings = spec.recursive
        self.is_part = False  # made for a path that another mount lists: a mask, or a read-only path
        self.path = ROOT  # where in that one
        self.readonly: dict[TargetPath, Draft] = {}  # read-only paths of this mount, and the mounts made for them
        self.gone = ""  # why it is left out, being optional
        self.gone_with: Draft | None = None  # the mount without which it cannot be

    @property
    def lock(self) -> Lock:
        """What the owner of its namespace cannot undo. An inherited root is not the owner's."""
        if self.index < 0 and not self.space.builds_root and self.space.user and self.parent is None:
            return "attributes"
        return "locked" if self.spec.locked is True else "attributes" if self.spec.locked else ""

    def kind(self) -> NodeKind | None:
        """Whether the mount's root is a directory or what else; None if that cannot be known yet."""
        if self.host is not None:
            return self.host.kind
        if self.root == "/":
            return "directory"
        return self.filesystem.contents.kind(self.root) if self.filesystem else None


class FilesystemDraft:
    """One superblock: the part that is fixed at once, its contents so far, and who uses it."""

    __slots__ = ("contents", "fixed", "layers", "mounts", "needs_workbench", "upper", "work")

    def __init__(self, fixed: ResolvedFilesystem) -> None:
        self.fixed = fixed
        self.contents = Contents(fixed.inside)
        self.mounts: list[Draft] = []
        self.needs_workbench = False
        self.layers: list[LayerRef] = []
        self.upper: LayerRef | None = None
        self.work: LayerRef | None = None


class Context:
    """What all phases need: the drafts, the filesystems, the host, and where mistakes go."""

    def __init__(self, file: str, host: Host, unshared: frozenset[str] = frozenset()) -> None:
        self.file = file
        self.unshared = unshared  # kinds of namespaces that are made for what is built
        self.host = host
        self.mistakes: list[Mistake] = []  # so that all that is wrong can be told at once
        self.spaces: list[Space] = []
        self.drafts: list[Draft] = []  # of all namespaces
        self.by_id: dict[str, Draft] = {}
        self.made_on_host: dict[tuple[str, TargetPath], tuple[str, str]] = {}  # what is made where, and for which mount
        self.left_out: list[Draft] = []  # what the spec says cannot be built or may be missing, and what stands on it
        self.not_there: set[Mistake] = set()  # those that say no more than that the host has no such path
        self.filesystems: dict[Handle, FilesystemDraft] = {}
        self.part_names: set[Handle] = set()
        self.single: dict[str, list[FilesystemDraft]] = {}  # of types that there is one of, one for each source
        self.image_checks: list[tuple[FilesystemDraft, TargetPath, str, str]] = []  # that may be declared yet
        self.made_groups: dict[str, tuple[str, str]] = {}  # of copies of mounts of the spec: master, key path
        self.straight: dict[Draft, set[str]] = {}  # places in mounts of the host that no symlink is on the way to
        self._likened = 0

    def wrong(self, key: str, what: str, remedy: str) -> None:
        self.mistakes.append(Mistake(SpecRef(self.file, key), what, remedy))

    def add(self, draft: Draft) -> None:
        self.drafts.append(draft)
        draft.space.drafts.append(draft)

    def find(self, name: str, key: str) -> Draft | None:
        """The mount with id `name`; a mistake at `key` if there is none."""
        draft = self.by_id.get(name)
        if draft is None:
            close = self.closest(name, [one for one in self.by_id if not key.startswith(f"{self.by_id[one].key}.")])
            if close:
                remedy = f'did you mean "{close}" ({self.by_id[close].key})?'
            elif name in self._nameless:
                remedy = f'give {self._nameless[name].key} an id = "..." and name that'
            else:
                remedy = f'give the mount that is meant an id = "{name}"'
            self.wrong(key, f'no mount has the id "{name}"', remedy)
        return draft

    @cached_property
    def _nameless(self) -> dict[str, Draft]:
        """The mounts without an id, by their target, of several on one the first."""
        return {draft.target: draft for draft in reversed(self.drafts) if draft.spec.id is None and draft.placed}

    def closest(self, name: str, names: Collection[str]) -> str:
        """The one of `names` that `name` was perhaps meant to be, or "".

        To liken two names takes 30 microseconds, so where there are many, only the first mistakes get an answer.
        """
        self._likened += len(names)
        close = get_close_matches(name, names, n=1) if self._likened < _MOST_LIKENED else []
        return close[0] if close else ""

    def learn(self, filesystem: FilesystemDraft, path: TargetPath) -> None:
        """If the directory that `filesystem` is filled with has something at `path`, let its contents know."""
        fixed = filesystem.fixed
        if not fixed.contents or filesystem.contents.kind(path) is not None:
            return
        where = TargetPath(fixed.contents).joined(path)
        origin = f"{fixed.origin}.contents"
        points_to = self.host.link(where)
        if points_to is not None:
            node = ResolvedNode(path=path, kind="symlink", declared=False, origin=origin, link=points_to)
        else:
            try:
                found = self.host.look(where)
            except LookupError:
                return
            if found.path != where:  # a symlink is on the way
                return
            node = ResolvedNode(path=path, kind=found.kind, declared=False, origin=origin)
        filesystem.contents.add(node)

    def look(self, path: str, key: str, remedy: str, otherwise: str = ELSEWHERE) -> HostPath | None:
        """What the host has at `path`; a mistake at `key` if there is nothing, which is what `remedy` helps against.

        `otherwise` is the remedy if something is there, and is not to be had.
        """
        try:
            found = self.host.look(path)
        except LookupError as error:
            missing = isinstance(error, NotThere)
            if error.args[0] == IN_A_FILE:
                remedy = "correct the path: a part of it that is not the last is a file"
            self.wrong(key, f'host path "{path}": {error.args[0]}', remedy if missing else otherwise)
            if missing:
                self.not_there.add(self.mistakes[-1])
            return None
        if found.mount.fstype == "proc" and self._is_of_reader(found):
            what = "is of the process that reads the spec, and gone with it"
            remedy = "name a process that stays, such as /proc/1; or keep a copy in a file, and name that"
            self.wrong(key, f'host path "{path}" {what}', remedy)
            return None
        # Only a mount upon a file asks for the table: a plan that has seen the table holds until that changes.
        upon_file = found.kind != "directory" and found.path == found.mount.mountpoint
        if upon_file and found.mount.mount_id in self._left_behind:
            what = "is the file of a mount namespace, or stands on one, which the kernel copies into no other one"
            self.wrong(key, f'host path "{path}" {what}', "name another path; nsenter(1) enters by that file")
            return None
        return found

    def _is_of_reader(self, found: HostPath) -> bool:
        """Whether it is in a directory of /proc that the kernel calls self."""
        top = str(found.inner).split("/")[1]
        return top.isdecimal() and self.host.link(f"{found.mount.mountpoint}/self") == top

    def look_for_namespace(self, name: str, key: str) -> HostPath | None:
        """The file of the namespace that a spec calls `name`; a mistake at `key` if it cannot be mounted."""
        kind, path = split_name(name)
        try:
            found = self.host.namespace_file(path)
        except LookupError as error:
            gone = isinstance(error, NotThere)
            remedy = "name a process that runs and may be looked at, or the path of the file of a namespace"
            remedy += ", or leave it out here with optional = true" if gone else ""
            self.wrong(key, f'namespace "{name}": {error.args[0]}', remedy)
            if gone:
                self.not_there.add(self.mistakes[-1])
            return None
        its = found.mount.root.partition(":")[0]
        if its == NEVER_MOUNTED:
            what = f'"{path}" is the file of a mount namespace, which the kernel mounts in older ones only'
            self.wrong(key, what, f"enter it by that file: nsenter --mount={path}")
        elif kind not in ("", its):
            what = f'"{path}" is the file of a {its} namespace, not of a {kind} namespace'
            self.wrong(key, what, f'write "{its}:{path}", or name another file')
        else:
            return found
        return None

    def look_to_mount(self, path: str, key: str, remedy: str, otherwise: str = ELSEWHERE) -> HostPath | None:
        """As look(), for what more mounts are to be made of."""
        found = self.look(path, key, remedy, otherwise)
        if found is None or not found.is_removed:
            return found
        what = "is a mount of what has been removed, of which the kernel makes no other one"
        self.wrong(key, f'host path "{path}" {what}', "unmount it, and name what has the name now")
        return None

    @cached_property
    def _left_behind(self) -> frozenset[int]:
        return left_behind(self.host.table)

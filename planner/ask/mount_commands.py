"""A plan -> a shell script of mount(8) commands that comes to the same, as the model proves; or why none does.

mount(8) cannot join a group: a mount is in one from the moment it is bound from a member, and what is mounted on it
from then on appears on its peers. So of each group one member, the origin, is bound privately and shared only when all
that stands on it is mounted; the others are bound from it after that. If no member shows all that the others show, a
mount of the whole filesystem stands in for one, in a place that the tree does not see. What several members
have at one place is mounted on the origin while they are peers, and comes to the others as a copy. Where a member has a
mount that the origin lacks, no order is looked for; some of these have one.
"""

from __future__ import annotations

import heapq
import re
from shlex import quote as _quoted

from mountplan.planner.ask.trial import host_world
from mountplan.planner.characters import in_shell, visible
from mountplan.planner.commands.actions import Stage
from mountplan.planner.compare.compare import differences
from mountplan.planner.compare.view import View
from mountplan.planner.errors import SpecError
from mountplan.planner.language.fstab_words import DEVICE_TAGS
from mountplan.planner.names import MASKS
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.predict import Prediction
from mountplan.planner.record import NamedTuple
from mountplan.planner.shell.simulate import simulate
from mountplan.planner.tables.table import MountRow, MountTable

# All that the tree is made of is in a private tmpfs, on the first of these which the commands do not need themselves.
_YARDS = ("/mnt", "/media", "/opt", "/srv")
START = "unshare --mount --propagation"


class MountScript(NamedTuple):
    """The script, or, with `text` "", the reasons why there is none, a sentence each."""

    text: str
    reasons: tuple[str, ...]


def mount_script(plan: Plan, prediction: tuple[Prediction, ...], host: MountTable) -> MountScript:
    """Find the commands, and carry them out in the model on a host with that table."""
    reasons = _beyond_mount(plan)
    if reasons:
        return MountScript("", reasons)
    yard = _uncovered(plan)
    if not yard:
        return MountScript("", (f"it needs what the host has below each of {', '.join(_YARDS)}",))
    writer = _ScriptWriter(plan, prediction[0], yard)
    if not writer.write():
        circle = "each of some mounts must be mounted before the others: a peer below a peer, or below its own slave"
        return MountScript("", writer.reasons() or (circle,))
    try:
        wrong = _proof(writer, prediction[0], host)
    except SpecError as error:
        wrong = [one.what for one in error.mistakes]
    if wrong:
        told = writer.reasons() or ("the nearest order that was found comes out otherwise",)
        return MountScript("", (*told, *(f"in the model: {one}" for one in wrong[:6])))
    return MountScript(writer.text(), ())


def _uncovered(plan: Plan) -> str:
    """Where a filesystem hides nothing of the host that is shown or read; "" if nowhere."""
    needed = [(mount.root, mount.recursive) for mount in plan.expected.namespaces[0].mounts if not mount.filesystem]
    needed += [(group.host, False) for group in plan.expected.groups if group.host]
    for step in plan.steps:
        if isinstance(step, s.CopyContents | s.MakeNode | s.MakeFilesystem):
            needed.append((step.source, False))
        elif isinstance(step, s.AttachImage) and not step.holder:
            needed.append((step.image, False))
        elif isinstance(step, s.MakeOverlay):
            layers = [*step.layers, *filter(None, (step.upper, step.work))]
            needed += [(f"/{layer.path.lstrip('/')}", False) for layer in layers if not layer.filesystem]
    for yard in map(TargetPath, _YARDS):
        if not any(TargetPath(path).is_under(yard) or (all_of and yard.is_under(path)) for path, all_of in needed):
            return yard
    return ""


def _beyond_mount(plan: Plan) -> tuple[str, ...]:
    """What mount(8) has no words for, or this module none yet."""
    reasons = []
    expected = plan.expected
    if len(expected.namespaces) != 1:
        reasons.append("it has several namespaces, and no command binds from one into another")
    mounts = [mount for space in expected.namespaces for mount in space.mounts]
    external = {group.name for group in expected.groups if group.host}
    for mount in mounts:
        if mount.group in external:
            reasons.append(f"{mount.name} is a peer of the host: the commands would mount on the host as well")
        if mount.idmapped:
            reasons.append(f"{mount.name} is id-mapped")
        if mount.filesystem == MASKS:
            reasons.append(f"{mount.name} hides something behind an empty file or directory of mountplan's own")
        if mount.is_namespace_file:
            unknown = "of which a script knows neither process nor number"
            reasons.append(f"{mount.name} is the file of a namespace, {unknown}")
        if mount.root.endswith("//deleted"):
            reasons.append(f"{mount.name} shows what has been removed")
    root = mounts[0] if mounts else None
    if root is not None and not root.filesystem and root.root == "/" and root.recursive:
        reasons.append("it changes a copy of the host's tree: write a spec with a root of its own")
    if root is not None and any(mount.parent == root.name and not mount.place.strip("/") for mount in mounts):
        reasons.append("a mount stands upon its root, where chroot(8) leads no command")
    for group in expected.groups:
        used = any(mount.group == group.name for mount in mounts)
        slaves = any(mount.master == group.name and not mount.group for mount in mounts)
        below = any(one.master == group.name for one in expected.groups)
        if not used and not group.host and (slaves or below):
            reasons.append(f"nothing is in group {group.name}, which only lives for its slaves: unmounted, it is gone")
    for step in plan.steps:
        if isinstance(step, s.MakeOverlay) and any(layer.id_map for layer in step.layers):
            reasons.append(f"layers of {step.mount or step.filesystem} are id-mapped")
        if isinstance(step, s.MakeNode) and step.node == "socket":
            reasons.append(f"{step.path} is a socket, which no command makes")
        if isinstance(step, s.MakeNode) and "\0" in step.content:
            reasons.append(f"{step.path} has a byte 0 in it, which no script holds")
        if isinstance(step, s.RemoveNode):
            reasons.append(f"{step.path} is removed once it is mounted")
        if isinstance(step, s.MakeFilesystem | s.AttachImage | s.MakeOverlay):
            reasons += _read_otherwise(step)
    return tuple(dict.fromkeys(reasons))


def _read_otherwise(step: s.MakeFilesystem | s.AttachImage | s.MakeOverlay) -> list[str]:
    """What mount(8), or the filesystem behind it, would take apart or for something else."""
    name = step.mount or step.filesystem
    found = [
        f"option {key} of {name} has a comma or a quote in it"
        for key, value in step.options
        if isinstance(value, str) and any(sign in value for sign in ',"')
    ]
    if isinstance(step, s.MakeOverlay):
        layers = [*step.layers, *filter(None, (step.upper, step.work))]
        if any(sign in layer.path for layer in layers for sign in ',:\\"'):
            found.append(f"the path of a layer of {name} has a comma, a colon, a backslash or a quote in it")
    elif not isinstance(step, s.AttachImage) and (step.source.startswith("-") or _TAG.match(step.source)):
        found.append(f"mount(8) takes the source of {name} for something else: {step.source}")
    return found


_TAG = re.compile(f"({'|'.join(DEVICE_TAGS)})=")


class _Node(NamedTuple):
    """Something to be done: a mount attached, or ("join") the origin of a group shared."""

    kind: str
    name: str


class _ScriptWriter:
    def __init__(self, plan: Plan, prediction: Prediction, yard: str) -> None:
        self.plan = plan
        self.yard = yard
        self.root = f"{yard}/root"
        self.mounts = {mount.name: mount for mount in plan.expected.namespaces[0].mounts}
        self.rows = dict(zip(prediction.names, prediction.table.rows, strict=True))
        self.makers: dict[str, s.Step] = {}
        self.workbench: dict[str, str] = {}  # filesystem -> where it stands in the yard
        self.masters = {group.name: group.master for group in plan.expected.groups}
        self.host_groups = {group.name: group.host for group in plan.expected.groups if group.host}
        self.members: dict[str, list[ExpectedMount]] = {}
        self.children: dict[str, list[ExpectedMount]] = {name: [] for name in self.mounts}
        self.where: dict[str, str] = {}
        for mount in self.mounts.values():
            above = self.where[mount.parent] if mount.parent else self.root
            self.where[mount.name] = f"{above.rstrip('/')}/{mount.place.strip('/')}".rstrip("/")
            if mount.parent:
                self.children[mount.parent].append(mount)
            if mount.group:
                self.members.setdefault(mount.group, []).append(mount)
        self.origin = {group: self._origin(group, members) for group, members in self.members.items()}
        self.copies = self._copies()
        self.head: list[str] = []
        self.lines: list[str] = []
        self.proof: list[str] = []
        self.late: list[str] = []
        self.made: set[str] = set()
        self.on_host: set[str] = set()  # mounts whose mountpoints are made in what a bind of the host shows
        self.seeds: dict[str, str] = {}
        self.seed_roots: dict[str, str] = {}  # what each shows of its filesystem

    def _origin(self, group: str, members: list[ExpectedMount]) -> ExpectedMount | None:
        """The member that shows all that the others and all slaves show; of several the one with most mounts on it."""
        shown = self._roots_below(group)
        wide = [one for one in members if all(TargetPath(root).is_under(one.root) for root in shown)]
        wide.sort(key=lambda one: -len(self.children[one.name]))
        return wide[0] if wide else None

    def _roots_below(self, group: str) -> list[str]:
        """What the members of a group show, its slaves, and the slaves of these."""
        shown = [one.root for one in self.mounts.values() if (one.group or one.master) == group]
        for name, master in self.masters.items():
            if master == group:
                shown += self._roots_below(name)
        return shown

    def _copies(self) -> dict[str, ExpectedMount]:
        """Of what stands at one place of several members of a group, each -> the one on the origin."""
        found: dict[str, ExpectedMount] = {}
        for group, members in self.members.items():
            origin = self.origin[group]
            if origin is None:
                continue
            for member in members:
                left = list(self.children[origin.name])
                for child in self.children[member.name] if member is not origin else ():
                    first = next((one for one in left if self._is_copy(child, one)), None)
                    if first is not None:
                        found[child.name] = first
                        left.remove(first)
        for name, first in found.items():  # which stands before its copies, so the group's others are bound from it
            if first.group and self.origin[first.group] is self.mounts[name]:
                self.origin[first.group] = first
            mount = self.mounts[name]
            if self.masters.get(first.group) and first.group in (mount.group, mount.master):
                self.origin[first.group] = None  # the copies must be of the group at once, so it begins with a stand-in
        return found

    def _is_copy(self, mount: ExpectedMount, first: ExpectedMount) -> bool:
        """Is it what propagation makes of `first` at the same place of a peer, but for what can be changed later?"""
        if not mount.filesystem or (mount.filesystem, mount.root) != (first.filesystem, first.root):
            return False
        if not mount.place.strip("/") or self._mountpoint_of(mount) != self._mountpoint_of(first):
            return False
        if mount.group:
            is_alone = not self.masters.get(mount.group) and self.origin[mount.group] is mount
            return mount.group == first.group or is_alone
        return not mount.master or mount.master in (first.group, first.master)

    def _mountpoint_of(self, mount: ExpectedMount) -> str:
        """As the filesystem calls it that the mount stands on."""
        return f"{self.mounts[mount.parent].root.rstrip('/')}/{mount.place.strip('/')}"

    def reasons(self) -> tuple[str, ...]:
        """Which members of one group stand in each other's way."""
        found = []
        for group, members in self.members.items():
            own = {one.name: [at for at in self.children[one.name] if at.name not in self.copies] for one in members}
            origin = self.origin[group]
            late = [one for one in members if own[one.name] and one is not origin]
            if late and origin is not None:
                first = own[late[0].name][0]
                one = late[0].name
                alone = f"{one} and {origin.name} are peers (group {group}), and {first.name} stands on {one} alone"
                before = "before it is one of them nothing but a bind from a peer makes it one"
                found.append(f"{alone}: whatever is mounted on {one} appears on its peers, and {before}")
            elif late:
                narrow = f"no mount of group {group} shows all that the others show"
                then = f"what is then mounted on {late[0].name} appears there too"
                found.append(f"{narrow}, so each must be bound from a wider one, and {then}")
        return tuple(found)

    # --- the order

    def write(self) -> bool:
        """False if no order does what each needs."""
        order = self._order()
        if order is None:
            return False
        self._say(f"mount -t tmpfs -o mode=0755 yard {self.yard}")
        self._say(f"mount --make-private {self.yard}")
        self._say(f"mkdir -p {self.root}")
        for step in self.plan.steps:
            self._prepare(step)
        for node in order:
            if node.kind == "attach":
                self._attach(self.mounts[node.name])
            else:
                self._say(f"mount --make-shared {_quoted(self.where[node.name])}")
        for line in self.late:
            self._say(line)
        for path in dict.fromkeys((*self.seeds.values(), *reversed(self.workbench.values()))):
            if path in self.made:
                self._say(f"mount --make-rprivate {_quoted(path)}")
                self._say(f"umount -l {_quoted(path)}")
        return True

    def _order(self) -> list[_Node] | None:
        """Parents first, what is covered before its cover, members after the origin of their group is shared."""
        attached = [step for step in self.plan.steps if isinstance(step, s.Attach) and step.mount in self.mounts]
        rank = {step.mount: at for at, step in enumerate(attached)}
        needs: dict[_Node, set[_Node]] = {}
        copied = {one.name: one for one in self.copies.values()}
        for mount in sorted(self.mounts.values(), key=lambda one: rank.get(one.name, 0)):
            node = _Node("attach", mount.name)
            wanted = needs.setdefault(node, set())
            if mount.parent:
                wanted.add(_Node("attach", mount.parent))
            origin = self.origin.get(mount.group)
            if origin is mount:
                join = needs.setdefault(_Node("join", mount.name), {node})
                join |= {_Node("attach", one.name) for one in self.children[mount.name] if one.name not in copied}
                wanted |= self._shown(self.masters.get(mount.group, ""))
            elif origin is not None:
                wanted.add(_Node("join", origin.name))
            elif mount.group or mount.master:
                wanted |= self._shown(self.masters.get(mount.group, "") if mount.group else mount.master)
        for edge in self.plan.edges:
            if edge.kind in ("deeper_first", "stack") and edge.before in self.mounts and edge.after in self.mounts:
                needs[_Node("attach", edge.after)].add(_Node("attach", edge.before))
        for first in copied.values():
            self._order_copies(first, needs)
        return _sorted(needs, rank)

    def _order_copies(self, first: ExpectedMount, needs: dict[_Node, set[_Node]]) -> None:
        """It is mounted when all that get a copy of it are peers already, and before any other that would get one."""
        origin = self.mounts[first.parent]
        node = _Node("attach", first.name)
        needs[node].add(_Node("join", origin.name))
        names = [name for name, one in self.copies.items() if one is first]
        for name in names:
            needs[_Node("attach", name)].add(node)
        getting = {self.mounts[name].parent for name in names}
        needs[node] |= {_Node("attach", name) for name in getting}
        for mount in self.mounts.values():
            receives = origin.group in (mount.group, mount.master, self.masters.get(mount.group))
            if receives and mount is not origin and mount.name not in getting:
                needs[_Node("attach", mount.name)].add(node)

    def _shown(self, group: str) -> set[_Node]:
        """What must be done before a mount can be bound that is in this group."""
        origin = self.origin.get(group)
        return {_Node("join", origin.name)} if origin is not None else set()

    # --- the commands

    def _say(self, line: str, proof: str | None = None) -> None:
        self.lines.append(line)
        if proof is None or proof:
            self.proof.append(line if proof is None else proof)

    def _prepare(self, step: s.Step) -> None:
        """Filesystems, each at a place in the yard, and what is in them."""
        if isinstance(step, s.MakeFilesystem | s.AttachImage | s.MakeOverlay):
            path = f"{self.yard}/fs-{len(self.workbench)}"
            self.workbench[step.filesystem] = path
            if step.mount:
                self.workbench[step.mount] = path
            self._say(f"mkdir -p {path}")
            self._say(self._filesystem(step, path))
            self.made.add(path)
        elif isinstance(step, s.MakeNode):
            self._node(step)
        elif isinstance(step, s.SealFilesystem):
            self._say(f"mount -o remount,ro {self.workbench[step.filesystem]}", "")
            self._say(f"mount -o remount,bind,rw {self.workbench[step.filesystem]}", "")  # for mount(8), that is both
        elif isinstance(step, s.CopyContents) and step.within in self.workbench:
            bench = self.workbench[step.within]
            self._say(f"cp -a {_quoted(step.source)}/. {bench}/", self._used_of(step.within, bench))
        elif isinstance(step, s.MakeMountpoint) and step.within in self.workbench:
            self._mountpoint(f"{self.workbench[step.within]}/{step.path}", self.mounts.get(step.like))
        elif isinstance(step, s.MakeMountpoint):
            self.on_host.add(step.like)

    def _used_of(self, within: str, bench: str) -> str:
        """Commands that make of a filesystem's contents what is shown and mounted upon, as the plan has seen it."""
        filesystem = self.mounts[within].filesystem if within in self.mounts else within
        shown = [mount for mount in self.mounts.values() if mount.filesystem == filesystem]
        used = [mount.root for mount in shown]
        used += [f"{mount.root}/{child.place}" for mount in shown for child in self.children[mount.name]]
        return "\n".join(f"mkdir -p {_quoted(f'{bench}/{path}')}" for path in used)

    def _mountpoint(self, path: str, like: ExpectedMount | None) -> None:
        """A directory, or a file if that is what will be mounted there."""
        source = "" if like is None else self._source_of(like) if like.filesystem else like.root
        place = _quoted(path)
        if source:
            self._say(f"[ -d {_quoted(source)} ] && mkdir -p {place} || touch {place}", f"mkdir -p {place}")
        else:
            self._say(f"mkdir -p {place}")

    def _source_of(self, mount: ExpectedMount) -> str:
        bench = self.workbench.get(mount.filesystem)
        return f"{bench}/{mount.root.strip('/')}".rstrip("/") if bench else ""

    def _filesystem(self, step: s.MakeFilesystem | s.AttachImage | s.MakeOverlay, path: str) -> str:
        words = [name if value is True else f"{name}={value}" for name, value in step.options]
        if isinstance(step, s.MakeOverlay):
            layers = [self._layer(layer.filesystem, layer.path) for layer in step.layers]
            seen = sum(not layer.data for layer in step.layers)
            words.append("lowerdir=" + "::".join([":".join(layers[:seen]), *layers[seen:]]))
            for word, layer in (("upperdir", step.upper), ("workdir", step.work)):
                if layer is not None:
                    words.append(f"{word}={self._layer(layer.filesystem, layer.path)}")
            fstype, source = "overlay", step.source or "overlay"
        elif isinstance(step, s.AttachImage):
            bench = self.workbench.get(step.holder)
            fstype, source = step.fstype, f"{bench}/{step.image}" if bench else step.image
            part = (("offset", step.offset), ("sizelimit", step.size))
            words += ["loop", *(f"{key}={number}" for key, number in part if number)]
            words += ["ro"] * (step.read_only and "ro" not in words)
        else:
            fstype, source = step.fstype, step.source or step.fstype
        options = f"-o {_quoted(','.join(words))} " if words else ""
        return f"mount -t {fstype} {options}{_quoted(source)} {path}"

    def _layer(self, filesystem: str, path: str) -> str:
        bench = self.workbench.get(filesystem)
        return f"{bench}/{path}".rstrip("/") if bench else f"/{path.lstrip('/')}"

    def _node(self, step: s.MakeNode) -> None:
        bench = self.workbench.get(step.within)
        if bench is None:
            return
        path = _quoted(f"{bench}/{step.path}")
        if step.node == "directory":
            self._say(f"mkdir -p {path}")
        elif step.node == "symlink":
            self._say(f"ln -s -- {_quoted(step.link)} {path}", "")
        elif step.node in ("char", "block"):
            self._say(f"mknod {path} {step.node[0]} {step.device[0]} {step.device[1]}", f"touch {path}")
        elif step.node == "fifo":
            self._say(f"mkfifo {path}", f"touch {path}")
        elif step.source:
            self._say(f"cat {_quoted(step.source)} >{path}", f"touch {path}")  # not with its mode
        elif step.content:
            self._say(f"printf %s {_quoted(step.content)} >{path}", f"touch {path}")
        else:
            self._say(f"[ -e {path} ] || touch {path}" if step.existing else f"touch {path}", f"touch {path}")
        if step.uid >= 0 or step.gid >= 0:
            owner = f"{step.uid}" if step.uid >= 0 else ""
            self._say(f"chown -h {owner}{f':{step.gid}' if step.gid >= 0 else ''} {path}", "")
        if step.node != "symlink" and step.mode >= 0:  # after the owner, whose change takes set-user-ID away
            self._say(f"chmod {step.mode:04o} {path}", "")

    def _attach(self, mount: ExpectedMount) -> None:
        target = _quoted(self.where[mount.name])
        if mount.name in self.on_host:
            self._mountpoint(self.where[mount.name], mount)
        origin = self.origin.get(mount.group)
        row = self.rows[mount.name]
        master = self.masters.get(mount.group, "") if mount.group else mount.master
        if mount.name in self.copies:
            if not mount.group or mount.group != self.copies[mount.name].group:
                self._say(f"mount --make-{'slave' if master else 'private'} {target}")
        elif mount.group and origin is not mount:
            self._say(f"mount --bind {_quoted(self._from_group(mount.group, mount))} {target}")
        elif master and master not in self.host_groups:
            self._say(f"mount --bind {_quoted(self._from_group(master, mount))} {target}")
            self._say(f"mount --make-slave {target}")
        elif not mount.filesystem:
            how = "--rbind" if mount.recursive else "--bind"
            self._say(f"mount {how} {_quoted(mount.root)} {target}")
            if not (master or mount.inherits):
                self._say(f"mount --make-{'r' if mount.recursive else ''}private {target}")
        else:
            self._say(f"mount --bind {_quoted(self._source_of(mount))} {target}")
            if not mount.group and any(one is mount for one in self.copies.values()):
                self._say(f"mount --make-private {target}")
        # Later, its path leads to what will stand upon it.
        is_covered = any(not child.place.strip("/") for child in self.children[mount.name])
        first = len(self.late)
        if mount.unbindable:
            self.late.append(f"mount --make-unbindable {target}")
        self._attributes(target, row)
        if is_covered:
            for line in self.late[first:]:
                self._say(line)
            del self.late[first:]
        if mount.recursive:
            for name, brought in self.rows.items():
                if name.startswith(f"{mount.name}+"):
                    self._attributes(_quoted(self.root + brought.mountpoint), brought)

    def _attributes(self, target: str, row: MountRow) -> None:
        words = [word for word in row.attributes.split(",") if word not in ("rw", "idmapped")]
        if row.attributes.startswith("rw"):
            words.insert(0, "rw")
        if row.attributes != "rw,relatime" or not row.device.startswith("="):
            self.late.append(f"mount -o remount,bind,{','.join(words)} {target}")

    def _from_group(self, group: str, mount: ExpectedMount) -> str:
        """A path in a member of the group that shows what `mount` shows; a seed, if there is no member wide enough."""
        origin = self.origin.get(group)
        if origin is not None and TargetPath(mount.root).is_under(origin.root):
            path, top = self.where[origin.name], origin.root
        else:
            path = self._seed(group, mount)
            top = self.seed_roots[group]
        return f"{path}/{mount.root[len(top.rstrip('/')) :].strip('/')}".rstrip("/")

    def _seed(self, group: str, mount: ExpectedMount) -> str:
        if group not in self.seeds:
            path = f"{self.yard}/group-{len(self.seeds)}"
            master = self.masters.get(group, "")
            self._say(f"mkdir -p {path}")
            if master and master not in self.host_groups:
                wide = self.origin.get(master)
                source = self.where[wide.name] if wide is not None else self._seed(master, mount)
                self.seed_roots[group] = wide.root if wide is not None else self.seed_roots[master]
                self._say(f"mount --bind {_quoted(source)} {path}")
                self._say(f"mount --make-slave {path}")
            else:
                self._say(f"mount --bind {self.workbench[mount.filesystem]} {path}")
                self.seed_roots[group] = "/"
            self._say(f"mount --make-shared {path}")
            self.seeds[group] = path
            self.made.add(path)
        return self.seeds[group]

    def propagation(self) -> str:
        slaves = any(mount.master in self.host_groups or mount.inherits for mount in self.mounts.values())
        masters = any(self.masters.get(group) in self.host_groups for group in self.members)
        return "slave" if slaves or masters else "private"

    def text(self) -> str:
        what = f"{visible(self.plan.name)} ({visible(self.plan.file)})" if self.plan.name else visible(self.plan.file)
        return (
            "#!/bin/sh\n"
            f"# The mounts of {what}, in an order that comes to the same in the model. Run it as\n"
            f"#   {START} {self.propagation()} sh FILE COMMAND...\n"
            'set -e\nset -- "$(umask)" "$@"\numask 022\n'
            + in_shell("\n".join(self.lines))
            + f'\numask "$1"\nshift\nPATH=$PATH:/usr/sbin:/sbin\nexec chroot {self.root} "$@"\n'
        )


def _sorted(needs: dict[_Node, set[_Node]], rank: dict[str, int]) -> list[_Node] | None:
    """An order in which all that a node needs comes before it, near to the plan's; None if there is none."""
    waiting = {node: len(wanted) for node, wanted in needs.items()}
    after: dict[_Node, list[_Node]] = {}
    for node, wanted in needs.items():
        for one in wanted:
            after.setdefault(one, []).append(node)
    ready = [(rank.get(node.name, 0), node) for node, count in waiting.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, node = heapq.heappop(ready)
        order.append(node)
        for later in after.get(node, ()):
            waiting[later] -= 1
            if not waiting[later]:
                heapq.heappush(ready, (rank.get(later.name, 0), later))
    return order if len(order) == len(needs) else None


def _proof(writer: _ScriptWriter, prediction: Prediction, host: MountTable) -> list[str]:
    """How what the commands come to in the model differs from what the plan comes to."""
    seen = host_world(host, len(host.rows) + 1000 + 10 * len(writer.mounts))
    stage = Stage(seen.world, {1: seen.processes[0]})
    text = f"{START} {writer.propagation()} sh\n" + "\n".join(writer.proof) + f"\nchroot {writer.root} sh\nfindmnt\n"
    simulation = simulate(text, "the script", stage, files={"/etc/fstab": ""})  # which has nothing of /mnt
    failed = [f"{one.action.describe()}: {one.why}" for one in simulation.failures]
    if failed:
        return failed
    last = next(one for one in simulation.seen if one.line)  # what findmnt sees
    wanted, found = (_bare(prediction.table),), (_bare(last.table),)
    drift = differences(tuple(View("", one) for one in wanted), tuple(View("", one) for one in found), None)
    return [f"{one.mount}: {one.prop}: {one.found} instead of {one.wanted}" for one in drift]


def _bare(table: MountTable) -> MountTable:
    """Of options of filesystems the model knows nothing."""
    return MountTable(tuple(row._replace(options="", source="") for row in table.rows))

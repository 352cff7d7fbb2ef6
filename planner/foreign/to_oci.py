"""A plan -> the mounts of a config.json for runc and crun; or why it cannot be said there."""

from __future__ import annotations

from typing import Any

from mountplan.planner.attributes import NAMES, parse_shown, words_of_bits
from mountplan.planner.foreign.oci import NAMESPACE_NAMES
from mountplan.planner.fstypes import of
from mountplan.planner.language.presets import DEVICES, LINKS
from mountplan.planner.names import MASKS
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.record import NamedTuple
from mountplan.planner.run_settings import RunSettings
from mountplan.planner.tables.table import MountTable


class ExportedMounts(NamedTuple):
    """The value that is written, or None; why not; and what the other program does besides."""

    value: Any
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


class PlannedTree(NamedTuple):
    """One namespace of a plan, as exports ask about it: mounts in the order in which they are attached, with paths."""

    plan: Plan
    mounts: tuple[tuple[str, ExpectedMount], ...]
    makers: dict[str, s.MakeFilesystem | s.AttachImage | s.MakeOverlay]
    external: dict[str, str]
    members: dict[str, int]


def planned_tree(plan: Plan) -> PlannedTree | None:
    """None for several namespaces."""
    if len(plan.expected.namespaces) != 1:
        return None
    mounts = {mount.name: mount for mount in plan.expected.namespaces[0].mounts}
    where: dict[str, str] = {}
    for mount in mounts.values():
        above = where[mount.parent] if mount.parent else ""
        where[mount.name] = f"{above.rstrip('/')}/{mount.place.strip('/')}".rstrip("/") or "/"
    order = [step.mount for step in plan.steps if isinstance(step, s.Attach) and step.mount in mounts]
    rank = {name: at for at, name in enumerate(order)}
    members: dict[str, int] = {}
    for mount in mounts.values():
        if mount.group:
            members[mount.group] = members.get(mount.group, 0) + 1
        elif mount.master:
            members[mount.master] = members.get(mount.master, 0) + 1
    ordered = tuple((where[name], mounts[name]) for name in sorted(mounts, key=lambda one: rank.get(one, -1)))
    making = (step for step in plan.steps if isinstance(step, s.MakeFilesystem | s.AttachImage | s.MakeOverlay))
    external = {group.name: group.host for group in plan.expected.groups if group.host}
    return PlannedTree(plan, ordered, {step.filesystem: step for step in making}, external, members)


def to_oci(plan: Plan, host: MountTable) -> ExportedMounts:
    """`root` and `mounts`, and of [run] what a config.json has words for, where the host has the mounts of `host`."""
    tree = planned_tree(plan)
    if tree is None:
        return ExportedMounts(None, ("a bundle is one namespace, and this has several",))
    reasons = [*_files(tree), *beyond_mounts(plan)]
    entries: list[dict[str, Any]] = []
    masked: list[str] = []
    readonly: list[str] = []
    root: dict[str, Any] = {}
    linux: dict[str, Any] = {}
    notes = ["the runtime makes device nodes and links in /dev, whatever the configuration says"]
    predicted = predict(plan, host)[0]
    bits = {name: parse_shown(row.attributes) for name, row in zip(predicted.names, predicted.table.rows, strict=True)}
    for path, mount in tree.mounts:
        if mount.filesystem == MASKS:
            masked.append(path)
        elif ".readonly[" in mount.origin:
            readonly.append(path)
        elif not mount.parent:
            if mount.filesystem:
                reasons.append("its root is a filesystem of its own: a bundle's is a directory of the host")
                continue
            if mount.root == "/":
                reasons.append("its root is that of the host: a runtime cannot change into the root that it is in")
            root = {"path": mount.root, "readonly": "ro" in _attributes(mount)}
            others = [one for one in (*_attributes(mount), *_cleared(mount)) if one not in ("ro", "relatime")]
            if others:
                reasons.append(f"its root has attributes that a bundle has no words for: {', '.join(others)}")
            kept = [one for one in words_of_bits(bits[mount.name]) if one not in ("ro", "relatime")]
            if root["readonly"] and kept:
                notes.append(f"/: the runtime clears {', '.join(kept)} when it makes it read-only")
            _sharing(tree, mount, reasons)
            if mount.group or mount.unbindable:
                reasons.append("its root is shared or unbindable: runc makes neither")
        else:
            entries.append(_entry(tree, path, mount, bits[mount.name], reasons))
    if reasons:
        return ExportedMounts(None, tuple(dict.fromkeys(reasons)))
    slaves = any(mount.master in tree.external or mount.inherits for _, mount in tree.mounts)
    slaves |= any(group.master in tree.external for group in plan.expected.groups)
    if slaves and not any(mount.master or mount.inherits for _, mount in tree.mounts if not mount.parent):
        notes.append("/: the runtime makes it a slave, if the host's mount is shared")
    linux["rootfsPropagation"] = "rslave" if slaves else "rprivate"
    lists = {"maskedPaths": masked, "readonlyPaths": readonly, "devices": _devices(tree)}
    linux |= {key: given for key, given in lists.items() if given}
    linux["namespaces"] = [{"type": "mount"}, *({"type": NAMESPACE_NAMES[kind]} for kind in plan.run.unshare)]
    value = {"ociVersion": "1.0.2", "root": root, "mounts": entries, "linux": linux, "process": _process(plan.run)}
    if plan.run.hostname:
        value["hostname"] = plan.run.hostname
    for entry in entries:
        kinds = [one.removeprefix("r") for one in entry["options"]]
        if "shared" in kinds:
            notes.append(f"{entry['destination']}: crun makes no mount shared")
        elif "unbindable" in kinds:
            notes.append(f"{entry['destination']}: crun leaves it bindable")
    return ExportedMounts(value, (), tuple(notes))


def beyond_mounts(plan: Plan) -> list[str]:
    """What is done to a tree that is not of mounts added to it: neither format has words for that."""
    found = []
    for step in plan.steps:
        if isinstance(step, s.RemoveMount):
            found.append(f"{step.path} is unmounted, which the host has there")
        elif isinstance(step, (s.ChangeMounts, s.BindOver)):
            found.append(f"{step.path} is changed as the host has it, which is no mount of the spec's")
        elif isinstance(step, s.ShareRoot):
            found.append("its root is shared")
        elif isinstance(step, s.OwnNamespace):
            found.append("what stands in it is locked by a user namespace")
    return found


def _files(tree: PlannedTree) -> list[str]:
    """What the spec puts into filesystems: no configuration has a word for it."""
    found = []
    for step in tree.plan.steps:
        if isinstance(step, s.CopyContents):
            found.append(f"{step.within} is filled with what is in {step.source}")
        elif isinstance(step, s.MakeNode) and ".file[" in step.origin and not _in_dev(tree, step):
            found.append(f"{step.path} is put into {step.within}")
        elif isinstance(step, s.RemoveNode):
            found.append(f"{step.path} is removed once it is mounted")
        elif isinstance(step, s.SealFilesystem) and step.filesystem != MASKS:  # a runtime's masks are, too
            found.append(f"the filesystem {step.filesystem} is read-only as a whole, not its mounts one by one")
    return found


def _in_dev(tree: PlannedTree, step: s.MakeNode) -> bool:
    """Whether the runtime makes it: device nodes, and the links that are in every /dev."""
    maker = next((tree.makers.get(mount.filesystem) for path, mount in tree.mounts if path == "/dev"), None)
    if maker is None or step.within not in (maker.mount, maker.filesystem):
        return False
    return step.node in ("char", "block", "fifo") or (step.node == "symlink" and LINKS.get(step.path) == step.link)


def _devices(tree: PlannedTree) -> list[dict[str, Any]]:
    """Device nodes beside those that the runtime makes anyway."""
    found = []
    for step in tree.plan.steps:
        if isinstance(step, s.MakeNode) and step.node in ("char", "block", "fifo") and _in_dev(tree, step):
            kind = {"char": "c", "block": "b", "fifo": "p"}[step.node]
            major, minor = step.device
            if DEVICES.get(step.path) == f"{kind}:{major}:{minor}" and step.mode == 0o666:
                continue
            entry: dict[str, Any] = {"path": f"/dev/{step.path}", "type": kind, "major": major, "minor": minor}
            more = {"fileMode": step.mode, "uid": step.uid, "gid": step.gid}
            found.append(entry | {key: given for key, given in more.items() if given >= 0})
    return found


def _entry(tree: PlannedTree, path: str, mount: ExpectedMount, bits: int, reasons: list[str]) -> dict[str, Any]:
    """`bits` are the attributes that it comes to have."""
    words = _attributes(mount)
    if mount.idmapped:
        reasons.append(f"{path} is id-mapped")
    if mount.is_namespace_file:
        reasons.append(f"{path} is the file of a namespace")
        return {}
    if not mount.filesystem:
        options = ["rbind" if mount.recursive else "bind"]
        if mount.recursive and mount.recursive_attributes:
            options += [f"r{one}" for one in (*words, *_cleared(mount))]
        elif mount.set or mount.clear:  # a runtime mounts it again with these, which clears what else its source has
            options += words_of_bits(bits)
        kinds = _sharing(tree, mount, reasons)
        return {"destination": path, "type": "bind", "source": mount.root, "options": [*options, *kinds]}
    maker = tree.makers.get(mount.filesystem)
    if maker is None or maker.origin != mount.origin or mount.root != "/":
        reasons.append(f"{path} shows a part of another mount of the spec, which has no path on the host")
        return {}
    if not isinstance(maker, s.MakeFilesystem):
        reasons.append(f"{path} is an image or an overlay, which this export does not write")
        return {}
    options = [name if given is True else f"{name}={given}" for name, given in maker.options if name != "ro"]
    if of(maker.fstype).on_device and "ro" in words:
        options.insert(0, "ro")
    kinds = [kind for kind in _sharing(tree, mount, reasons) if kind != "private"]
    source = maker.source or maker.fstype
    return {"destination": path, "type": maker.fstype, "source": source, "options": [*words, *options, *kinds]}


def _attributes(mount: ExpectedMount) -> list[str]:
    """The words for what is set; to clear something, and no atime, is what a new mount has anyway."""
    return [name for name, change in NAMES.items() if change.set and change.set & mount.set == change.set]


def _cleared(mount: ExpectedMount) -> list[str]:
    """The words for what is cleared, where nothing else of its kind is set."""
    gone = mount.clear & ~mount.set
    return [name for name, change in NAMES.items() if not change.set and change.clear & gone == change.clear]


def _sharing(tree: PlannedTree, mount: ExpectedMount, reasons: list[str]) -> list[str]:
    """The changes of propagation that come to the mount's sharing, from a slave of the host's on."""
    recursive = "r" if mount.recursive else ""
    if mount.unbindable:
        return [f"{recursive}unbindable"]
    group = next((one for one in tree.plan.expected.groups if one.name == mount.group), None)
    master = group.master if group is not None else mount.master
    if mount.group in tree.external:
        reasons.append(f"{mount.name} is a peer of the host: a runtime takes the host's mounts as slaves")
    elif master and master not in tree.external:
        reasons.append(f"{mount.name} is a slave of {master}, which is a group of the spec's own")
    elif mount.group and tree.members.get(mount.group, 0) > 1:
        reasons.append(f"group {mount.group} has several members: a bundle's mounts are shared each by itself")
    first = f"{recursive}slave" if master or mount.inherits else f"{recursive}private"
    return [first, f"{recursive}shared"] if mount.group else [first]


def _process(run: RunSettings) -> dict[str, Any]:
    found: dict[str, Any] = {
        "args": list(run.command) or ["sh"],
        "cwd": run.cwd or "/",
        "env": [f"{name}={given}" for name, given in run.environment],
        "user": {"uid": 0, "gid": 0},
        "noNewPrivileges": run.no_new_privs,
    }
    if run.capabilities is not None:
        kept = list(run.capabilities)
        found["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), kept)
    return found

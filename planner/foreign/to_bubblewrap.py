"""A plan -> the command line of bwrap(1); or why it cannot be said there."""

from __future__ import annotations

from mountplan.planner.attributes import NAMES, NODEV, NOEXEC, NOSUID, RDONLY
from mountplan.planner.foreign.bubblewrap import PROC_COVERS, UNSHARED_BY_ALL
from mountplan.planner.foreign.to_oci import ExportedMounts, PlannedTree, beyond_mounts, planned_tree
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.steps import CopyContents, MakeFilesystem, MakeNode, RemoveNode, SealFilesystem

_TYPES = {"proc": "--proc", "mqueue": "--mqueue"}


def to_bubblewrap(plan: Plan) -> ExportedMounts:
    """The words after `bwrap`."""
    tree = planned_tree(plan)
    if tree is None:
        return ExportedMounts(None, ("bubblewrap makes one namespace, and this has several",))
    words: list[str] = []
    reasons: list[str] = beyond_mounts(plan)
    notes: list[str] = []
    roots = {mount.name for _, mount in tree.mounts if not mount.parent}
    for path, mount in tree.mounts:
        if mount.name in roots:
            _root(tree, mount, words, reasons, notes)
            continue
        _mount(tree, path, mount, words, reasons, notes)
    _files(tree, roots, words, reasons)
    for kind in plan.run.unshare:
        if kind not in UNSHARED_BY_ALL:
            reasons.append(f"bubblewrap makes no {kind} namespace")
        else:
            words.append(f"--unshare-{kind}")
    _run(plan, words)
    if reasons:
        return ExportedMounts(None, tuple(dict.fromkeys(reasons)))
    return ExportedMounts(words, (), tuple(dict.fromkeys(notes)))


def _root(tree: PlannedTree, mount: ExpectedMount, words: list[str], reasons: list[str], notes: list[str]) -> None:
    maker = tree.makers.get(mount.filesystem)
    _attributes("/", mount, reasons)
    if not mount.filesystem:
        _bind("/", mount, words, notes)
    elif not isinstance(maker, MakeFilesystem) or maker.fstype != "tmpfs":
        reasons.append("its root is neither a tmpfs nor a directory of the host")
    elif options := [name for name, value in maker.options if (name, value) != ("mode", "0755")]:
        reasons.append(f"its root has options that bubblewrap has no words for: {', '.join(options)}")


def _attributes(path: str, mount: ExpectedMount, reasons: list[str], *also: str) -> None:
    """Add the reason, if it has others than bubblewrap can be told, or those of `also`."""
    found = [
        name
        for name, change in NAMES.items()
        if name not in (*_SAID, *also) and change.set and change.set & mount.set == change.set
    ]
    if found:
        reasons.append(f"{path} has attributes that bubblewrap has no words for: {', '.join(found)}")


_SAID = ("ro", "nosuid", "nodev", "relatime")


def _mount(
    tree: PlannedTree, path: str, mount: ExpectedMount, words: list[str], reasons: list[str], notes: list[str]
) -> None:
    if mount.group or (mount.master and mount.master not in tree.external):
        reasons.append(f"{path} is shared, or a slave of a group of the spec's own")
    maker = tree.makers.get(mount.filesystem)
    known = isinstance(maker, MakeFilesystem) and maker.fstype in _TYPES  # these it mounts so by itself
    _attributes(path, mount, reasons, *(["noexec"] if known else []))
    if mount.unbindable or mount.idmapped:
        reasons.append(f"{path} is unbindable or id-mapped")
    if mount.is_namespace_file:
        reasons.append(f"{path} is the file of a namespace")
        return
    if not mount.filesystem:
        _bind(path, mount, words, notes)
        return
    if not isinstance(maker, MakeFilesystem) or maker.origin != mount.origin or mount.root != "/":
        reasons.append(f"{path} is a mask, an image, an overlay, or shows a part of another mount of the spec")
        return
    options = dict(maker.options)
    if maker.fstype == "tmpfs":
        mode, size = options.pop("mode", "1777"), options.pop("size", None)
        words += ["--perms", str(mode)]
        if size is not None:
            number = _bytes(str(size))
            if not number:
                reasons.append(f"{path} has a size that bubblewrap does not take: {size}")
            words += ["--size", number]
        words += ["--tmpfs", path]
    elif maker.fstype in _TYPES:
        if maker.fstype == "proc" and "pid" not in tree.plan.run.unshare:
            reasons.append(f'{path} is a new proc: without unshare = ["pid"] bubblewrap binds the machine\'s')
        if maker.fstype == "proc":
            adds = "" if mount.set & NOEXEC else "adds noexec, and "
            notes.append(f"{path}: bubblewrap {adds}makes what of {', '.join(PROC_COVERS)} it may write to read-only")
        words += [_TYPES[maker.fstype], path]
    else:
        reasons.append(f"{path} is {maker.fstype}, which bubblewrap does not mount")
    if options:
        reasons.append(f"{path} has options that bubblewrap has no words for: {', '.join(options)}")
    if mount.set & RDONLY:
        words += ["--remount-ro", path]
    if maker.fstype != "mqueue" and not mount.set & NOSUID:
        notes.append(f"{path}: bubblewrap adds nosuid and nodev")


def _bind(path: str, mount: ExpectedMount, words: list[str], notes: list[str]) -> None:
    if not mount.recursive:
        notes.append(f"{path}: bubblewrap brings along what is mounted below its source")
    if not (mount.master or mount.inherits):
        notes.append(f"{path}: bubblewrap makes it a slave, if the host's mount is shared")
    if not mount.set & NOSUID:
        notes.append(f"{path}: bubblewrap adds nosuid")
    clear = mount.clear & ~mount.set
    kept = [name for name, one in NAMES.items() if not one.set and name != "relatime" and one.clear & clear]
    if kept:
        notes.append(f"{path}: bubblewrap clears no attribute of the source's: {', '.join(kept)}")
    option = "--ro-bind" if mount.set & RDONLY else "--bind" if mount.set & NODEV else "--dev-bind"
    if option == "--ro-bind" and not mount.set & NODEV:
        notes.append(f"{path}: bubblewrap adds nodev")
    words += [option, mount.root, path]


def _files(tree: PlannedTree, roots: set[str], words: list[str], reasons: list[str]) -> None:
    """Directories and symlinks of the root; all else would come through descriptors."""
    for step in tree.plan.steps:
        if isinstance(step, CopyContents):
            reasons.append(f"{step.within} is filled with what is in {step.source}")
        elif isinstance(step, RemoveNode):
            reasons.append(f"{step.path} is removed once it is mounted")
        elif isinstance(step, SealFilesystem):
            reasons.append(f"the filesystem {step.filesystem} is read-only as a whole, not its mounts one by one")
        elif isinstance(step, MakeNode) and ".file[" in step.origin:
            owner = {mount.name: path for path, mount in tree.mounts}.get(step.within.removeprefix("fs:"))
            path = f"{(owner or '').rstrip('/')}/{step.path}"
            if step.uid > 0 or step.gid > 0:
                reasons.append(f"{path} belongs to another user or group than 0")
            if owner is None:
                reasons.append(f"{step.path} is put into {step.within}")
            elif step.node == "symlink":
                words += ["--symlink", step.link, path]
            elif step.node == "directory":
                words += [*(["--perms", f"{step.mode:04o}"] if step.mode >= 0 else []), "--dir", path]
            else:
                reasons.append(f"{path} is a {step.node}, which bubblewrap takes from a descriptor only")


def _run(plan: Plan, words: list[str]) -> None:
    run = plan.run
    if run.clear_environment:
        words.append("--clearenv")
    for name, given in run.environment:
        words += ["--setenv", name, given]
    if run.hostname:
        words += ["--hostname", run.hostname]
    if run.cwd:
        words += ["--chdir", run.cwd]
    if run.capabilities is not None:
        words += ["--cap-drop", "ALL", *(word for one in run.capabilities for word in ("--cap-add", one))]
    words += ["--", *(run.command or ("sh",))]


def _bytes(size: str) -> str:
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(size[-1:].lower())
    digits = size[:-1] if factor else size
    return str(int(digits) * (factor or 1)) if digits.isdecimal() else ""

"""A plan -> the command line of bwrap(1); or why it cannot be said there."""

from __future__ import annotations

from mountplan.planner.attributes import NAMES, NODEV, NOEXEC, NOSUID, RDONLY
from mountplan.planner.foreign.bubblewrap import PROC_COVERS, UNSHARED_BY_ALL
from mountplan.planner.foreign.to_oci import ExportedMounts, PlannedTree, beyond_mounts, planned_tree
from mountplan.planner.language.presets import DEVICES, LINKS
from mountplan.planner.paths import TargetPath
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
    devices = [mount for _, mount in tree.mounts if _is_dev(tree, mount)]
    whole = {mount.name for mount in devices}
    made = {mount.name for _, mount in tree.mounts if mount.parent in whole and mount.place[1:] in _IN_DEV}
    for path, mount in tree.mounts:
        if not mount.parent:
            _root(tree, mount, words, reasons, notes)
        elif mount.name in whole:
            words += ["--dev", path, *(["--remount-ro", path] if mount.set & RDONLY else [])]
        elif _is_bound_proc(tree, mount) and any(_comes_with_proc(tree, one) for _, one in tree.mounts):
            words += ["--proc", path]
            notes.append(f"{path}: bubblewrap makes what of {', '.join(PROC_COVERS)} it may write to read-only")
        elif mount.name not in made and not _comes_with_proc(tree, mount):
            _mount(tree, path, mount, words, reasons, notes)
    _files(tree, {mount.filesystem for mount in devices}, words, reasons)
    for kind in plan.run.unshare:
        if kind not in UNSHARED_BY_ALL:
            reasons.append(f"bubblewrap makes no {kind} namespace")
        else:
            words.append(f"--unshare-{kind}")
    _run(plan, words)
    if reasons:
        return ExportedMounts(None, tuple(dict.fromkeys(reasons)))
    return ExportedMounts(words, (), tuple(dict.fromkeys(notes)))


_LINKS = LINKS | {"core": "/proc/kcore"}
_IN_DEV = (*DEVICES, "pts")
_IN_A_TMPFS = "/: bubblewrap has its root in a directory of the tmpfs"


def _is_dev(tree: PlannedTree, mount: ExpectedMount) -> bool:
    """Whether it is what `--dev` makes: a tmpfs with these devices, links and terminals in it."""
    maker = tree.makers.get(mount.filesystem)
    if not isinstance(maker, MakeFilesystem) or (maker.fstype, maker.options) != ("tmpfs", (("mode", "0755"),)):
        return False
    inside = {one.place[1:]: one for _, one in tree.mounts if one.parent == mount.name}
    pts = tree.makers.get(inside["pts"].filesystem) if "pts" in inside else None
    devices = all(name in inside and inside[name].root == f"/dev/{name}" for name in DEVICES)
    nodes = {inner[1:]: step for filesystem, inner, step in _declared(tree) if filesystem == mount.filesystem}
    found = {name: step.link for name, step in nodes.items() if step.node == "symlink"}
    return devices and isinstance(pts, MakeFilesystem) and pts.fstype == "devpts" and found == _LINKS and "shm" in nodes


def _declared(tree: PlannedTree) -> list[tuple[str, TargetPath, MakeNode]]:
    """What the spec puts into filesystems: into which, and where there. The directories above are made along."""
    mounts = {mount.name: mount for _, mount in tree.mounts}
    found = {}
    for step in tree.plan.steps:
        if isinstance(step, MakeNode) and ".file[" in step.origin:
            mount = mounts.get(step.within)
            inner = TargetPath(mount.root if mount else "/").joined(step.path)
            found[step.origin] = mount.filesystem if mount else step.within, inner, step
    return list(found.values())


def _comes_with_proc(tree: PlannedTree, mount: ExpectedMount) -> bool:
    """Whether it is a part of a proc that bubblewrap makes read-only by itself."""
    maker = tree.makers.get(mount.filesystem)
    if mount.root.removeprefix("/proc").lstrip("/") not in PROC_COVERS or not mount.set & RDONLY:
        return False
    if isinstance(maker, MakeFilesystem):
        return maker.fstype == "proc" and ".readonly[" in mount.origin
    return any(one.name == mount.parent and _is_bound_proc(tree, one) for _, one in tree.mounts)


def _is_bound_proc(tree: PlannedTree, mount: ExpectedMount) -> bool:
    """Whether it is what `--proc` makes without pids of its own."""
    plain = not mount.filesystem and mount.set & (NODEV | RDONLY) == NODEV and mount.recursive
    return plain and mount.root == "/proc" and "pid" not in tree.plan.run.unshare


def _root(tree: PlannedTree, mount: ExpectedMount, words: list[str], reasons: list[str], notes: list[str]) -> None:
    maker = tree.makers.get(mount.filesystem)
    _attributes("/", mount, reasons)
    if not mount.filesystem:
        _bind("/", mount, words, notes)
    elif not isinstance(maker, MakeFilesystem) or maker.fstype != "tmpfs":
        reasons.append("its root is neither a tmpfs nor a directory of the host")
    elif options := [name for name, value in maker.options if (name, value) != ("mode", "0755")]:
        reasons.append(f"its root has options that bubblewrap has no words for: {', '.join(options)}")
    elif mount.root == "/":
        notes.append(_IN_A_TMPFS)


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
        words += _perms(str(mode))
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


def _perms(mode: str) -> list[str]:
    return [] if mode.lstrip("0") == "755" else ["--perms", mode]


def _files(tree: PlannedTree, whole: set[str], words: list[str], reasons: list[str]) -> None:
    """Directories and symlinks, but for those of `whole` filesystems; all else would come through descriptors."""
    for step in tree.plan.steps:
        if isinstance(step, CopyContents):
            reasons.append(f"{step.within} is filled with what is in {step.source}")
        elif isinstance(step, RemoveNode):
            reasons.append(f"{step.path} is removed once it is mounted")
        elif isinstance(step, SealFilesystem):
            reasons.append(f"the filesystem {step.filesystem} is read-only as a whole, not its mounts one by one")
    for filesystem, inner, step in _declared(tree):
        if filesystem in whole:
            continue
        shown = ((path, one) for path, one in tree.mounts if one.filesystem == filesystem and inner.is_under(one.root))
        above, owner = next(shown, ("", None))
        path = TargetPath(above or "/").joined(inner.relative_to(owner.root)) if owner else inner
        if step.uid > 0 or step.gid > 0:
            reasons.append(f"{path} belongs to another user or group than 0")
        if owner is None:
            reasons.append(f"{step.path} is put into {step.within}")
        elif inner == owner.root and not owner.parent and step.mode == 0o755:
            pass  # the directory that bubblewrap has its root in
        elif step.node == "symlink":
            words += ["--symlink", step.link, path]
        elif step.node == "directory":
            words += [*_perms(f"{step.mode if step.mode >= 0 else 0o755:04o}"), "--dir", path]
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

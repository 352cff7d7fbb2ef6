"""Why a step is where it is: a few words for the list of steps, whole sentences for `--why`."""

from __future__ import annotations

from mountplan.planner.names import MASKS, Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import EdgeKind
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.words import visible

_UNCOVERED = (
    'before "/" is covered',
    "The kernel lets no process make a user namespace whose root is covered, and the yard covers it.",
)
_FIRST = ("", "A superblock must exist before anything can be mounted from it.")
# What the method itself says of each kind of step, where no edge of the graph does: (in a few words, in a sentence).
METHOD: dict[str, tuple[str, str]] = {
    "unshare_namespace": (
        "all that follows stays in it",
        "All is built in a namespace of its own; if anything fails, the kernel frees it and the host never knew.",
    ),
    "take_host_group": (
        "while the host is in reach",
        "The inherited copy of the host's mounts is still in the host's groups; making it private ends that.",
    ),
    "make_id_map": _UNCOVERED,
    "make_user_namespace": _UNCOVERED,
    "make_stage": (
        "what is locked must stand there at once",
        "The kernel locks what a copy of a namespace for another user has, all of it, and nothing later on.",
    ),
    "own_namespace": (
        "what stands there is locked by that",
        "A mount namespace belongs to the user namespace in which it is copied. What comes with the copy is locked.",
    ),
    "take_locked": (
        "the bind itself is not locked",
        "What lies below the top of a copied tree stays locked to it, and the top can be attached anywhere.",
    ),
    "find_locked": ("there is no descriptor of it yet", "The copy of a namespace has other mounts than the original."),
    "make_yard": (
        "for workbenches and seeds",
        "Workbenches and seeds are mounts too, and must stand somewhere that no path of the tree reaches.",
    ),
    "make_private": (
        "the host is out of reach now",
        "What is attached below a shared mount is copied to all its peers: so nothing is attached before this.",
    ),
    "make_filesystem": _FIRST,
    "attach_image": _FIRST,
    "make_overlay": ("", "The layers of an overlay are fixed when it is made: so what it is made of comes first."),
    "clone_host_workbench": (
        "clones are taken from it",
        "Taking a clone walks all children of its source; a workbench has none, and so each clone costs the same.",
    ),
    "copy_contents": (
        "before anything is made in it",
        "What is copied is there first, so that only what is missing must be made: mountpoints, and declared files.",
    ),
    "make_node": ("", "Files and mountpoints are made before anything is mounted that could hide or protect them."),
    "make_mountpoint": ("", "A mount needs something to be mounted on, of the same type as its root."),
    "remove_node": ("what is mounted lives on", "A mount lives on when the name of its root is gone."),
    "open_namespace": (
        "the seeds are at hand there",
        "A mount can join a group from a seed in another namespace: groups may reach over several of them.",
    ),
    "close_namespace": ("it is finished", "What was built is read back, to be compared with what the spec says."),
    "seal_filesystem": ("it is filled", "A filesystem that is read-only from the start could not be filled."),
    "make_seed": (
        "",
        "A seed is in its group before any mount of the tree is: mounts join from it, and joining copies nothing.",
    ),
    "clone_mount": ("", "Each mount of the tree is a clone of a path in a workbench."),
    "clone_host": ("detached and private", "The host's own mount stays as it is; the tree gets a clone of it."),
    "set_attributes": (
        "before it is attached",
        "A mount has all its attributes before it is attached, so there is no moment at which it lacks one.",
    ),
    "remove_mount": (
        "of the copy, before the rest",
        "What is inherited is settled first: what goes is gone before anything is changed or mounted.",
    ),
    "bind_over": (
        "only mounts have attributes",
        "Attributes belong to a mount: so what is no mountpoint becomes one, before anything is changed.",
    ),
    "change_mounts": (
        "before anything stands on it",
        "Only what is inherited is changed: so that comes before anything of the spec's stands on it.",
    ),
    "isolate": (
        "its parent is shared",
        "What is attached to a shared mount becomes shared; the spec says what this one is.",
    ),
    "share_root": (
        "now that it is the root",
        "pivot_root(2) takes no shared mount, so the root of an inherited tree is made shared when it is entered.",
    ),
    "attach": ("", "Everything is attached while it is private, so nothing propagates."),
    "join_group": ("", "A mount joins its group when all that stands on it is attached: joining copies nothing."),
    "make_base": (
        "before the root, which goes upon it",
        "What keeps groups alive in which no mount of the tree is must live as long as the tree, and be out of sight.",
    ),
    "enter_root": (
        "the tree is complete",
        "The new root is entered when the tree stands; the host's tree and the yard are detached with the old one.",
    ),
    "release": (
        "this was its last use",
        "Descriptors are closed as soon as nothing needs them, so that a low limit is enough for any number of mounts.",
    ),
}

# Which edges speak of which kind of step.
_SPEAKS: dict[str, tuple[EdgeKind, ...]] = {
    "attach": ("parent", "stack", "deeper_first"),
    "clone_mount": ("workbench", "source"),
    "clone_host": ("source",),
    "make_overlay": ("layer",),
    "make_filesystem": ("source", "layer"),
    "make_seed": ("master", "source", "workbench"),
    "join_group": ("group",),
}


def subject(step: s.Step) -> Handle:
    """The handle that the step makes, changes or places."""
    for name in ("mount", "seed", "within", "handle", "filesystem"):
        handle: Handle = getattr(step, name, "")
        if handle and (name != "seed" or not isinstance(step, s.JoinGroup)):
            return handle
    return ""


def speaking_edges(step: s.Step, index: PlanIndex) -> list[tuple[str, Handle, int]]:
    """(reason in words, handle, number of the step that must come first), the last such step first."""
    kinds = _SPEAKS.get(step.kind, ())
    handles = {subject(step), getattr(step, "filesystem", "")} if step.kind != "clone_mount" else {subject(step)}
    found = []
    for handle in sorted(handles - {""}):
        for edge in index.before.get(handle, []):
            if edge.kind in kinds:
                found.append((edge.reason(), edge.before, index.stands(edge.before)))
    found.sort(key=lambda one: (-one[2], one[1]))
    return found


def short_reason(step: s.Step, index: PlanIndex) -> str:
    """Why the step is there, in a few words."""
    if isinstance(step, s.Attach):
        return _why_attached(step, index)
    if isinstance(step, s.JoinGroup):
        return _why_joined(step, index)
    if isinstance(step, s.CloneMount | s.MakeSeed):
        return _why_cloned(step, index)
    if isinstance(step, s.MakeMountpoint):
        return f"{visible(step.like)} will stand there"
    if isinstance(step, s.MakeNode):
        return _why_made(step, index)
    if isinstance(step, s.MakeFilesystem | s.MakeOverlay):
        return _why_filesystem(step, index)
    if isinstance(step, s.CloneHost) and step.propagation != "private":
        return "before they are private"
    return METHOD.get(step.kind, ("", ""))[0]


def _after(handle: Handle, index: PlanIndex, verb: str) -> str:
    number = index.stands(handle)
    return f"{visible(handle)} {verb}" + (f" since {number}" if number else "")


def _why_attached(step: s.Attach, index: PlanIndex) -> str:
    if step.parent == s.YARD:
        return "all else stands on it" if step.path == "root" else "built by itself, moved when whole"
    below = [edge.before for edge in index.before.get(step.mount, []) if edge.kind == "deeper_first"]
    if below:
        first = max(below, key=index.stands)
        others = f" and {len(below) - 1:,} more" if len(below) > 1 else ""
        return f"covers {visible(first)}{others}, attached in {index.stands(first)}"
    if step.path == "":
        return f"on top of {_after(step.parent, index, 'there')}"
    return _after(step.parent, index, "stands")


def _why_joined(step: s.JoinGroup, index: PlanIndex) -> str:
    carried = len(index.children.get(step.mount, ()))
    seed = f"seed of {index.made[step.seed]}" if step.seed in index.made else "its seed"
    if carried:
        return f"{seed}; " + ("what is on it stands" if carried == 1 else f"all {carried:,} mounts on it stand")
    return seed


def _why_cloned(step: s.CloneMount | s.MakeSeed, index: PlanIndex) -> str:
    if isinstance(step, s.MakeSeed) and step.master:
        return _after(step.master, index, "exists")
    number = index.made.get(step.filesystem, 0)
    return f"workbench of {number}" if number else ""


def _why_made(step: s.MakeNode, index: PlanIndex) -> str:
    if step.within == MASKS:
        return "what a masked path shows"
    if ".file[" in step.origin:
        return f"declared: {visible(index.written(step.origin))}"
    owner = index.owner(step.origin)
    if owner and step.node in ("directory", "file"):
        place = index.mounts[owner].place.strip("/")
        if place == step.path:
            return f"{visible(owner)} will stand there"
        return f"on the way to {visible(owner)}"
    return visible(step.origin)


def _why_filesystem(step: s.MakeFilesystem | s.MakeOverlay, index: PlanIndex) -> str:
    if isinstance(step, s.MakeOverlay):
        layers = [one for one in speaking_edges(step, index) if one[2]]
        if layers:
            return f"its layers exist since {layers[0][2]}"
    if step.mount:
        return "mounted once: no workbench"
    return "a workbench, to clone from"

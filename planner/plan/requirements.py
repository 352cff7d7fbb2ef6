"""What a topology needs of the kernel and of the user, told before anything is touched."""

from __future__ import annotations

from mountplan.planner.plan.plan import Requirement
from mountplan.planner.resolve.topology import Topology

# Up to so many layers of an overlay fit into one option whatever their descriptors' numbers (applier/sys/overlay.py).
FEW_LAYERS = 60


def find_requirements(topology: Topology) -> tuple[Requirement, ...]:
    """One entry a feature, with the first place that needs it, by the name that applier/probe/probe.py has for it."""
    found: dict[str, Requirement] = {}

    def need(feature: str, what: str, reason: str) -> None:
        found.setdefault(feature, Requirement(feature, what, reason))

    what = "a mount namespace of its own (CAP_SYS_ADMIN, or a user namespace)"
    need("mount_namespace", what, "everything is built in it")
    need("new_mount_api", "open_tree, move_mount, fsopen and mount_setattr (Linux 5.12)", "mounts are made detached")
    mounts = [mount for namespace in topology.namespaces for mount in namespace.mounts]
    for group in topology.groups:
        need("set_group", "MOVE_MOUNT_SET_GROUP (Linux 5.15)", f"sharing: {group.name}")
        if group.host is not None and group.members:
            need("host_peer", "CAP_SYS_ADMIN on the host (no user namespace)", f"{group.name} is joined as a peer")
    for mount in mounts:
        if mount.brings == "peer":
            what = f"what {mount.name} brings along are peers of the host's"
            need("host_peer", "CAP_SYS_ADMIN on the host (no user namespace)", what)
    made = {one.name: one.fstype for one in topology.filesystems if one.made}
    mapped = [(mount.filesystem, mount.name) for mount in mounts if mount.uids]
    mapped += [(layer.filesystem, one.name) for one in topology.filesystems for layer in one.layers if layer.uids]
    for filesystem_name, reason in mapped:
        if made.get(filesystem_name) == "tmpfs":
            need("idmap_tmpfs", "id-mapped mounts of tmpfs (Linux 6.3)", reason)
        else:
            need("idmap", "id-mapped mounts (Linux 5.12; the filesystem must allow it)", reason)
    for filesystem in topology.filesystems:
        if not filesystem.made:
            continue
        need(f"filesystem:{filesystem.fstype}", f"filesystem type {filesystem.fstype}", filesystem.name)
        if len(filesystem.layers) > FEW_LAYERS:
            need("overlay_layers", "overlay layers one by one, lowerdir+ (Linux 6.8)", filesystem.name)
        if filesystem.image.path:
            need("loop", "a loop device (/dev/loop-control)", filesystem.name)
        if any(node.kind in ("char", "block") for node in filesystem.nodes):
            need("mknod", "CAP_MKNOD on the host (no user namespace)", f"device nodes in {filesystem.name}")
    return tuple(found.values())

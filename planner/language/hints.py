"""Keys that people may try, since other programs have them or since they would be as good: what to write instead."""

from __future__ import annotations

# By model, then by key.
HINTS: dict[str, dict[str, str]] = {
    "MountPath": {"id": "write mount = ...", "source": "write path = ..."},
    "IdMap": {"uid": "write uids = [[...]]", "gid": "write gids = [[...]]"},
    "FileEntry": {
        "type": "write directory = true, fifo = true, symlink = ..., or device = ...; without these it is a file",
        "target": "write path = ... for where it is, symlink = ... for what a symlink points to",
        "name": "write path = ...",
        "text": "write content = ...",
        "owner": "write uid = ... and gid = ..., as numbers",
        "user": "write uid = ..., as a number",
        "group": "write gid = ..., as a number",
        "dir": "write directory = true",
        "link": "write symlink = ...",
        "permissions": 'write mode = "0644"',
    },
    "Mount": {
        "fstype": "write type = ...",
        "filesystem": "write type = ...",
        "src": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "from": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "what": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "device": 'write image = "/path" for a filesystem in a file, source = "NAME" for what the kernel shows',
        "path": "write target = ...",
        "dest": "write target = ...",
        "destination": "write target = ...",
        "mountpoint": "write target = ...",
        "where": "write target = ...",
        "name": "write id = ... to name a mount",
        "flags": 'write attributes = ["ro", ...]',
        "ro": 'write attributes = ["ro"]',
        "readonly": 'write attributes = ["ro"]',
        "read_only": 'write attributes = ["ro"]',
        "rbind": 'write bind = "/host/path" and recursive = true',
        "shared": 'write peer_group = "NAME"',
        "group": 'write peer_group = "NAME"',
        "slave": 'write master = "NAME"',
        "private": "leave it out: a mount without peer_group and master is private",
        "propagation": 'write peer_group = "NAME" (shared), master = "NAME" (slave), or neither (private)',
        "lower": 'write layers = ["/top", "/below"]',
        "lowerdir": 'write layers = ["/top", "/below"]',
        "upperdir": "write upper = ...",
        "workdir": "write work = ...",
        "size": 'it belongs to the filesystem: write options = { size = "16m" }',
        "mode": 'it belongs to the filesystem: write options = { mode = "0755" }',
        "files": "write [[mount.file]] below the mount",
        "uids": "write idmap = { uids = ..., gids = ... }",
        "gids": "write idmap = { uids = ..., gids = ... }",
    },
    "PeerGroup": {
        "members": 'write peer_group = "NAME" on each member',
        "mounts": 'write peer_group = "NAME" on each member',
        "slave": 'write master = "NAME" on the group that receives',
        "path": 'write host = "/host/path" for the group of a host mount',
    },
    "Namespace": {"id": "write name = ..."},
    "Run": {
        "cmd": "write command = [...]",
        "args": "write command = [...], the program first",
        "env": "write [run.environment]",
        "workdir": "write cwd = ...",
        "namespaces": 'write unshare = ["pid", ...]',
        "caps": 'write capabilities = ["CAP_...", ...]',
    },
    "Spec": {
        "version": "write format = 1",
        "peer": "write [peer_group.NAME]",
        "command": "write it below [run]",
        "environment": "write it below [run]",
        "hostname": "write it below [run]",
    },
}

# What people may write for a word of a fixed list: by key, then by word. A near miss gets the word that is near.
_MOUNT_NAMESPACE = "leave it out: there is always a mount namespace of its own"
VALUE_HINTS: dict[str, dict[str, str]] = {
    "unshare": {
        "mnt": _MOUNT_NAMESPACE,
        "mount": _MOUNT_NAMESPACE,
        "ns": _MOUNT_NAMESPACE,
        "network": 'write "net"',
        "hostname": 'write "uts"',
        "process": 'write "pid"',
        "all": 'write all of them: unshare = ["user", "pid", "net", "ipc", "uts", "cgroup", "time"]',
    },
    "propagation": {
        "rprivate": 'write "private": it goes for the whole tree',
        "rslave": 'write "slave": it goes for the whole tree',
        "shared": 'write "private" or "slave", and peer_group = "NAME" on the mounts that shall be shared',
        "rshared": 'write "private" or "slave", and peer_group = "NAME" on the mounts that shall be shared',
    },
    "root": {"host": 'write "inherit"', "/": 'write "inherit", or "new"'},
}

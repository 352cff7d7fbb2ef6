"""Keys that people may try, since other programs have them or since they would be as good: what to write instead."""

from __future__ import annotations

_SHARING = 'write peer_group = "NAME" (shared), master = "NAME" (slave), or neither (private)'

_ATTRIBUTES = (
    "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "relatime", "strictatime", "nodiratime", "rw", "suid",
)  # fmt: skip
_BIND = 'write bind = "/host/path"'
_OF_KUBERNETES = (
    'write recursive_sharing = "peer" for Bidirectional, "slave" for HostToContainer, beside peer_group or master'
)
_BY_TARGET = "leave it out: mounts are placed from the shallowest target to the deepest"
_AS_CALLED = "leave it out: a command runs as who has called mountplan"
_UNSHARE = {word: f'write unshare = ["{word}"] in [run]' for word in ("pid", "net", "ipc", "uts", "cgroup", "time")}
_MASTER = 'write master = "NAME", with the group from which this one receives'

# By model, then by key; a key in camel case is looked for in snake case as well.
HINTS: dict[str, dict[str, str]] = {
    "MountPath": {"id": "write mount = ...", "source": "write path = ...", "pid": 'write { namespace = "net:PID" }'},
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
        **dict.fromkeys(("fstype", "filesystem"), "write type = ..."),
        "src": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "from": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "what": 'write bind = "/host/path" for a bind, source = "NAME" for the name that the kernel shows',
        "device": 'write image = "/path" for a filesystem in a file, source = "NAME" for what the kernel shows',
        **dict.fromkeys(("path", "dest", "destination", "mountpoint", "where", "mount_path"), "write target = ..."),
        "name": "write id = ... to name a mount",
        "flags": 'write attributes = ["ro", ...]',
        "opts": 'write mount_options = "ro,size=1m", or options and attributes',
        **dict.fromkeys(("ro", "read_only"), 'write attributes = ["ro"]'),
        **{word: f'write attributes = ["{word}"]' for word in _ATTRIBUTES},
        "read_write": 'write attributes = ["rw"]',
        **dict.fromkeys(("host_path", "bind_mount"), _BIND),
        "ro_bind": f'{_BIND} and attributes = ["ro"]',
        "volume": f'{_BIND}, or type = "tmpfs" for an empty one',
        "sub_path": 'write bind = { mount = "ID", path = "/in/it" }',
        **dict.fromkeys(("mount_propagation", "rshared", "rslave"), _OF_KUBERNETES),
        "tmpfs": 'write type = "tmpfs"',
        "overlay": 'write type = "overlay" and layers = ["/top", "/below"]',
        **dict.fromkeys(("upper_dir", "upperdir"), "write upper = ..."),
        **dict.fromkeys(("rprivate", "private"), "leave it out: a mount without peer_group and master is private"),
        **dict.fromkeys(("masked_paths", "masked"), 'write mask = ["path/in/it"]'),
        "label": 'write source = "/dev/disk/by-label/NAME"',
        "uuid": 'write source = "/dev/disk/by-uuid/UUID"',
        **dict.fromkeys(("after", "before", "order", "depends_on"), _BY_TARGET),
        **dict.fromkeys(("user", "owner"), "it belongs to the filesystem: write options = { uid = 1000 }"),
        "readonly_paths": 'write readonly = ["path/in/it"]',
        "rbind": 'write bind = "/host/path" and recursive = true',
        **dict.fromkeys(("shared", "group"), 'write peer_group = "NAME"'),
        "slave": 'write master = "NAME"',
        **dict.fromkeys(("propagation", "sharing"), _SHARING),
        **dict.fromkeys(("lower", "lowerdir"), 'write layers = ["/top", "/below"]'),
        "workdir": "write work = ...",
        "size": 'it belongs to the filesystem: write options = { size = "16m" }',
        "mode": 'it belongs to the filesystem: write options = { mode = "0755" }',
        "files": "write [[mount.file]] below the mount",
        **dict.fromkeys(("try", "nofail", "if_exists"), "write optional = true"),
        "mandatory": "write optional = true for a mount that may be left out",
        "uid": 'it belongs to the filesystem: write options = { uid = "0" }',
        "gid": 'it belongs to the filesystem: write options = { gid = "0" }',
        **dict.fromkeys(("uids", "gids"), "write idmap = { uids = ..., gids = ... }"),
    },
    "PeerGroup": {
        **dict.fromkeys(("members", "mount", "mounts", "peers"), 'write peer_group = "NAME" on each member'),
        "slave": 'write master = "NAME" on the group that receives',
        "path": 'write host = "/host/path" for the group of a host mount',
        "name": "it stands in the header: [peer_group.NAME]",
        **dict.fromkeys(("parent", "from", "receives", "slave_of"), _MASTER),
    },
    "InheritedRemoval": {
        **dict.fromkeys(("path", "mountpoint", "where"), "write target = ..."),
        "all": "write recursive = true",
        **dict.fromkeys(("lazy", "force"), "leave it out"),
    },
    "InheritedChange": {
        "path": "write target = ...",
        **dict.fromkeys(("exceptions", "exclude"), 'write except = ["/path"]'),
        **dict.fromkeys(("ro", "readonly"), 'write attributes = ["ro"]'),
        "propagation": 'write sharing = "private" or "shared"',
        "peer_group": 'write sharing = "shared"',
        **dict.fromkeys(("flags", "options"), 'write attributes = ["ro", ...]'),
        **{word: f'write attributes = ["{word}"]' for word in _ATTRIBUTES},
    },
    "Namespace": {
        "id": "write name = ...",
        "uids": "write user = { uids = ..., gids = ... }",
        "gids": "write user = { uids = ..., gids = ... }",
        **_UNSHARE,
    },
    "Run": {
        **dict.fromkeys(("cmd", "entrypoint", "shell"), "write command = [...]"),
        "args": "write command = [...], the program first",
        **dict.fromkeys(("env", "setenv"), "write [run.environment]"),
        **dict.fromkeys(("workdir", "dir", "chdir"), "write cwd = ..."),
        "namespaces": 'write unshare = ["pid", ...]',
        "caps": 'write capabilities = ["CAP_...", ...]',
        "drop_caps": 'write capabilities = ["CAP_...", ...], with those that stay',
        **dict.fromkeys(("user", "uid", "gid"), _AS_CALLED),
        **_UNSHARE,
        "share_net": 'leave "net" out of unshare',
        "share_pid": 'leave "pid" out of unshare',
    },
    "Spec": {
        "version": "write format = 1",
        "env": "write [run.environment]",
        "description": "write it behind a #",
        **dict.fromkeys(("vars", "variables"), "write [parameters]"),
        **dict.fromkeys(("extends", "imports"), 'write include = ["FILE"]'),
        **dict.fromkeys(("chroot", "rootfs", "new_root"), 'write a [[mount]] with target = "/"'),
        "tmpfs": 'write a [[mount]] with type = "tmpfs"',
        "peer": "write [peer_group.NAME]",
        "sharing": "write propagation = ... for what is inherited, peer_group = ... on a mount",
        "file": "write [[mount.file]] below the mount that it is in",
    },
}

# What people may write for a word of a fixed list: by key, then by word. A near miss gets the word that is near.
_MOUNT_NAMESPACE = "leave it out: there is always a mount namespace of its own"
VALUE_HINTS: dict[str, dict[str, str]] = {
    "unshare": {
        **dict.fromkeys(("mnt", "mount", "ns", "CLONE_NEWNS"), _MOUNT_NAMESPACE),
        **{f"CLONE_NEW{name.upper()}": f'write "{name}"' for name in ("user", "pid", "net", "ipc", "uts", "cgroup")},
        "network": 'write "net"',
        "hostname": 'write "uts"',
        "process": 'write "pid"',
        "all": 'write all of them: unshare = ["user", "pid", "net", "ipc", "uts", "cgroup", "time"]',
    },
    "propagation": {
        "rprivate": 'write "private": it goes for the whole tree',
        "rslave": 'write "slave": it goes for the whole tree',
        "shared": 'write "slave-shared", or peer_group = "NAME" on the mounts that shall be shared',
        "rshared": 'write "slave-shared", or peer_group = "NAME" on the mounts that shall be shared',
        "shared,slave": 'write "slave-shared"',
    },
    "recursive_sharing": {
        **dict.fromkeys(("rshared", "shared", "Bidirectional"), 'write "peer"'),
        **dict.fromkeys(("rslave", "HostToContainer"), 'write "slave"'),
        **dict.fromkeys(("rprivate", "None"), 'write "private"'),
    },
    "capabilities": {"all": "leave it out: without it they stay", "none": "write capabilities = []"},
    "root": {"host": 'write "inherit"', "/": 'write "inherit", or "new"'},
}

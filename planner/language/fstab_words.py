"""Words that mount(8) and fstab(5) take and no filesystem does: what to write in a spec instead."""

from __future__ import annotations

from collections.abc import Mapping

from mountplan.planner.attributes import NAMES
from mountplan.planner.characters import toml_string
from mountplan.planner.fstypes import FLAGS_OF_EACH

_PRIVATE = "leave it out: a mount without peer_group and master is private"
_AT_BOOT = "leave it out: a spec is carried out when you say so"
_WHO = "leave it out: who may mount is the kernel's decision"
_LOOP = 'write image = { path = "/path/of/the/image", offset = BYTES, size = BYTES } on the mount'
_VERITY = (
    "dm-verity is not supported: open it with veritysetup(8), "
    'and write source = "/dev/mapper/NAME" on the mount, and options = { ro = true }'
)

# What stands for itself wherever it is written, in options as well as in attributes.
_WORDS = {
    **dict.fromkeys(("auto", "noauto", "_netdev"), _AT_BOOT),
    "nofail": "leave it out: what cannot be built is an error",
    **dict.fromkeys(("user", "nouser", "users", "nousers", "owner", "noowner", "group", "nogroup"), _WHO),
    "defaults": "leave it out: a mount has the defaults anyway",
    "bind": 'write bind = "/host/path" on the mount',
    "rbind": 'write bind = "/host/path" and recursive = true on the mount',
    "move": "leave it out: write each mount where it shall be",
    "remount": "leave it out: every mount gets its attributes when it is made",
    "loop": 'write image = "/path/of/the/image" on the mount',
    **dict.fromkeys(("offset", "sizelimit"), _LOOP),
    **dict.fromkeys(("readonly", "read-only"), 'write "ro"'),
    "readwrite": 'write "rw"',
    "shared": 'write peer_group = "NAME" on the mount',
    "rshared": 'write peer_group = "NAME" on each mount',
    "slave": 'write master = "NAME" on the mount',
    "rslave": 'write master = "NAME" on each mount',
    **dict.fromkeys(("private", "rprivate"), _PRIVATE),
    "unbindable": "write unbindable = true on the mount",
    "runbindable": "write unbindable = true on each mount",
    "comment": "write it behind a #",
    **dict.fromkeys(("helper", "uhelper"), "leave it out: no helper program is called"),
}
_COMMENTS = {
    "x-mount.mkdir": "leave it out: mountpoints are made by themselves, and with create = true on the host",
    "x-mount.idmap": "write idmap = { uids = ..., gids = ... } on the mount",
    "x-mount.subdir": "give the mount an id and no target, and bind a path of it",
    "x-mount.owner": "write [[mount.file]] with the path, uid and mode",
    "x-mount.group": "write [[mount.file]] with the path, gid and mode",
    "x-mount.mode": "write [[mount.file]] with the path and mode",
}
# By what mount(8) finds devices, and where links tell it to the kernel; udev makes them.
DEVICE_TAGS = {tag: f"/dev/disk/by-{tag.lower()}" for tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID")}
_READ_ONLY = frozenset({"ro", "rw"})  # both: the superblock's, and the mount's


def instead_of_option(name: str, value: object) -> str:
    """What to write instead of an option that is none; "" if it may be one. cifs has a `user=`: only flags are told."""
    if value is True:
        if name in NAMES and name not in _READ_ONLY:
            return f'it belongs to the mount: write attributes = ["{name}"]'
        if name in _WORDS:
            return _WORDS[name]
    elif name.startswith("verity."):
        return _VERITY
    elif name in ("loop", "offset", "sizelimit", "comment"):
        return _WORDS[name]
    elif name in _READ_ONLY:
        wishes = str(value).split(",")
        if "vfs" in wishes or "recursive" in wishes:
            return f'write attributes = ["{name}"] on the mount'
        return f"write {name} = true"
    return _instead_of_comment(name)


def instead_of_options(options: Mapping[str, object]) -> str:
    """What to write instead of all the options of a mount that has no filesystem of its own; "" if that is not sure."""
    attributes = [name for name, value in options.items() if value is True and name in NAMES]
    if len(attributes) < len(options):
        return ""
    return f"they belong to the mount: write attributes = [{', '.join(map(toml_string, attributes))}]"


def instead_of_attribute(word: str) -> str:
    """What to write instead of an attribute that is none; "" if nothing is known of it."""
    if word in FLAGS_OF_EACH:
        return f"it belongs to the filesystem: write options = {{ {word} = true }}"
    if word == "recursive":
        return "write recursive = true on the mount"
    return _WORDS.get(word) or _instead_of_comment(word)


def _instead_of_comment(word: str) -> str:
    name = word.partition("=")[0].lower()
    if not name.startswith("x-"):
        return ""
    return _COMMENTS.get(
        name, "leave it out: it means something to programs that read fstab, and nothing to the kernel"
    )

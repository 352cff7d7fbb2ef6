"""The mount images of a CRIU dump (mountpoints-*.img, as `crit show` decodes them) -> a spec.

An image is a mount table, with the flags that mount(2) takes; what a capture makes of a live table is made of it. What
was on the dumped machine's disks is not known here, but for the root, if a directory is named that holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mountplan.planner.capture.captured import Captured
from mountplan.planner.capture.mounts import Live, capture
from mountplan.planner.foreign.spec_draft import Refusal, spec_name
from mountplan.planner.fstypes import of
from mountplan.planner.tables.mount_facts import FoundLayer, LiveImage, LiveOverlay, MountRoot
from mountplan.planner.tables.table import DELETED, MountRow, MountTable

# CRIU's numbers for types (images/mnt.proto); 16, "auto", and others have the name beside them.
_TYPES = {1: "proc", 2: "sysfs", 3: "devtmpfs", 4: "binfmt_misc", 5: "tmpfs", 6: "devpts", 8: "pstore", 9: "securityfs",
          10: "fusectl", 11: "debugfs", 12: "cgroup", 13: "aufs", 14: "mqueue", 15: "fuse", 17: "overlay",
          18: "autofs", 19: "tracefs", 23: "cgroup2"}  # fmt: skip
_WORDS = ((2, "nosuid"), (4, "nodev"), (8, "noexec"), (1024, "noatime"), (2048, "nodiratime"), (1 << 21, "relatime"))
_READ_ONLY, _UNBINDABLE = 1, 1 << 17


class _Unseen:
    """What a capture asks of live mounts: of those of a dump nothing can be seen."""

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[MountRoot | None]:
        return [None for _ in wanted]

    def differing(self, wanted: Sequence[tuple[int, int, str]]) -> list[bool]:
        return [False for _ in wanted]

    def image(self, device: str) -> LiveImage | None:
        return None

    def namespace(self, device: str, root: str) -> str:
        return ""

    def layers(self, wanted: Sequence[LiveOverlay]) -> list[tuple[FoundLayer, ...]]:
        return [tuple(FoundLayer(None, "gone") for _ in one.paths) for one in wanted]


def import_criu(images: Sequence[tuple[str, Any]], file: str, *, root: str = "", name: str = "") -> Captured:
    """`images` are decoded, a named namespace each; `root` is a directory with the root's files. Raises SpecError."""
    refusal = Refusal(file)
    lives = []
    for label, image in images:
        entries = image.get("entries") if isinstance(image, Mapping) else None
        if not isinstance(entries, list) or not entries or image.get("magic") not in ("MNTS", None):
            refusal.add(label, "it is no mount image", "name the directory of a dump, with its mountpoints-*.img")
            continue
        lives.append(Live(spec_name(label) or "dump", MountTable(tuple(map(_row, entries))), {}))
    if not images:
        refusal.add("", "there is no mount image in it", "name the directory of a dump, with its mountpoints-*.img")
    refusal.end()
    return capture(lives, MountTable(_standing_in(lives[0].table, root)), _Unseen(), name=name or lives[0].name)


def _standing_in(table: MountTable, root: str) -> tuple[MountRow, ...]:
    """A host of which nothing is known but that the filesystem of the dumped root is at `root`."""
    row = next((one for one in table.rows if one.mountpoint == "/"), table.rows[0])
    if not root or of(row.fstype).in_memory:
        return ()
    return (row._replace(mount_id=1, parent_id=0, mountpoint=root, peer_group=0, master=0, propagate_from=0),)


def _row(entry: Mapping[str, Any]) -> MountRow:
    flags = _number(entry.get("flags"))
    fstype = str(entry.get("fsname") or _TYPES.get(_number(entry.get("fstype")), "unknown"))
    root = str(entry.get("root") or "/")
    if entry.get("deleted") and not root.endswith(DELETED):
        root += DELETED
    words = ["ro" if flags & _READ_ONLY else "rw", *(word for bit, word in _WORDS if flags & bit)]
    read_only = "ro" if _number(entry.get("sb_flags")) & _READ_ONLY else "rw"
    options = str(entry.get("options") or "").strip(",")
    return MountRow(
        mount_id=_number(entry.get("mnt_id")),
        parent_id=_number(entry.get("parent_mnt_id")),
        device=str(entry.get("root_dev") or "0:0"),
        root=root,
        mountpoint="/" + str(entry.get("mountpoint") or "/").removeprefix(".").strip("/"),
        attributes=",".join(words),
        peer_group=_number(entry.get("shared_id")),
        master=_number(entry.get("master_id")),
        propagate_from=0,
        unbindable=bool(flags & _UNBINDABLE),
        fstype=fstype,
        source=str(entry.get("source") or "none"),
        options=f"{read_only},{options}" if options else read_only,
    )


def _number(found: object) -> int:
    """As JSON has it: a number, or a text with one in hexadecimal."""
    if isinstance(found, int):
        return found
    return int(found, 0) if isinstance(found, str) and found else 0

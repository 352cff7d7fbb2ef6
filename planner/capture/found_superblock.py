"""A filesystem of a capture while it is settled how a spec comes by it."""

from __future__ import annotations

from mountplan.planner.capture.captured import CapturedFile, Options
from mountplan.planner.capture.shown_layers import Directories
from mountplan.planner.tables.mount_facts import LiveImage, OverlayLayer


class FoundSuperblock:
    """One filesystem, by its device: which mounts show it, and how a spec comes by it."""

    __slots__ = (
        "device", "directories", "files", "fstype", "has", "how", "image", "layers", "maker", "maker_id", "more",
        "mounts", "needed_by", "reason",
    )  # fmt: skip

    def __init__(self, device: str, fstype: str) -> None:
        self.device = device
        self.fstype = fstype
        self.mounts: list[tuple[int, int]] = []
        self.how = ""  # "host", "made", "unsupported", or "dropped" if nothing that is built shows it
        self.reason = ""
        self.maker: tuple[int, int] | None = None  # the mount that makes it; None: a mount that stands nowhere
        self.maker_id = ""
        self.needed_by: tuple[int, int] | None = None  # of what has no mounts: the first mount of what is made from it
        self.files: dict[str, CapturedFile] = {}
        self.directories: Directories | None = None  # of an overlay, as it shows them
        self.layers: tuple[OverlayLayer, ...] = ()  # the same, in the same order, as they are now
        self.has: tuple[frozenset[str], ...] = ()  # which paths are in these, of those that mounts stand on or show
        self.more: Options = ()  # options that it has to be given besides those that it shows
        self.image: LiveImage | None = None  # what it is in, if that is behind a loop device

    def give_up(self, reason: str) -> None:
        self.how, self.reason, self.maker, self.layers = "unsupported", reason, None, ()

    @property
    def is_mounted(self) -> bool:
        """Whether it is made, and mounts of it are captured."""
        return self.how == "made" and bool(self.mounts)

    def is_source(self, layers: set[str]) -> bool:
        """True if something else is made from it; `layers` are the devices that overlays are made from."""
        return len(self.mounts) > 1 or self.device in layers

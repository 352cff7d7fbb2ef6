"""What an overlay shows as the paths of layers that lie in filesystems of its spec.

The kernel shows where a layer was found when the overlay was made. That is a directory in the yard, which is gone
afterwards; but it is named after the device, which the overlay keeps alive. So a capture can tell what the layer is.
"""

from __future__ import annotations

import os

from mountplan.planner.light import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

# The options that say which directories an overlay is made of; each is a field of a step, and a key of a mount.
OF_LAYERS = ("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir")
ID_MAPPED = "mapped"  # how the name of a directory begins whose owners are seen through an id-mapping
_AMONG = regex(r"(?<=[=:])/[a-z0-9]+-on-(\d+)-(\d+)(?=[/:,]|$)")
_OF_DEVICE = regex(r"(?s)/(?:\d+:\d+|[a-z0-9]+-on-\d+-\d+)(?:/.*)?")
_SHOWN = regex(r"(?s)/[a-z0-9]+-on-(\d+)-(\d+)(/.*)?")


def directory_of(device: int, name: str) -> str:
    """The name in the yard of a workbench of `device` (st_dev); `name` sets it apart from others."""
    return f"{name}-on-{os.major(device)}-{os.minor(device)}"


def layer_of(shown: str) -> tuple[str, str] | None:
    """(device, path in its filesystem) of a layer, if the shown path is such a one."""
    match = _SHOWN.fullmatch(shown)
    return (f"{match[1]}:{match[2]}", match[3] or "/") if match else None


def has_device(shown: str) -> bool:
    """True if a layer's path tells of its device, in either form, and not of a place in a tree."""
    return _OF_DEVICE.fullmatch(shown) is not None


def is_id_mapped(shown: str) -> bool:
    """True if a layer's path says that it is taken through an id-mapping; through which, the kernel tells nobody."""
    return layer_of(shown) is not None and shown.startswith(f"/{ID_MAPPED}")


def devices_among(options: str) -> list[str]:
    """The devices of all layers that an overlay's options name so, in their order."""
    return [f"{match[1]}:{match[2]}" for match in _AMONG.finditer(options)]


def with_devices(options: str, name: Callable[[str], str]) -> str:
    """An overlay's options with the names of such directories replaced by what `name` makes of their devices."""

    def renamed(match: re.Match[str]) -> str:
        mapped = f"{ID_MAPPED}-" if is_id_mapped(match[0]) else ""
        return f"/{mapped}{name(f'{match[1]}:{match[2]}')}"

    return _AMONG.sub(renamed, options)

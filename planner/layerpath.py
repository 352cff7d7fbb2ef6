"""What an overlay shows as the paths of layers that lie in filesystems of its spec.

The kernel shows where a layer was found when the overlay was made. That is a directory in the yard, which is gone
afterwards; but it is named after the device, which the overlay keeps alive. So a capture can tell what the layer is.
"""

from __future__ import annotations

import os
import re

_SHOWN = re.compile(r"/[a-z0-9]+-on-(\d+)-(\d+)(/.*)?", re.DOTALL)


def directory_of(device: int, name: str) -> str:
    """The name in the yard of a workbench of `device` (st_dev); `name` sets it apart from others."""
    return f"{name}-on-{os.major(device)}-{os.minor(device)}"


def layer_of(shown: str) -> tuple[str, str] | None:
    """(device, path in its filesystem) of a layer, if the shown path is such a one."""
    match = _SHOWN.fullmatch(shown)
    return (f"{match[1]}:{match[2]}", match[3] or "/") if match else None

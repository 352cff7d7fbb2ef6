"""Images in which there is no filesystem of the type that is to be mounted from them, as far as that is known by now.

It is no mistake: what is in an image may be made, or come, until it is mounted.
"""

from __future__ import annotations

from mountplan.planner.errors import Mistake
from mountplan.planner.fstypes import ROWS, of
from mountplan.planner.host import Host
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import AttachImage

_ELSEWHERE = frozenset({"sb", "fsoffset"})  # options that say where a filesystem begins
_DISK = b"\x55\xaa"  # what ends the first sector of a disk


def not_in_images(plan: Plan, host: Host) -> tuple[Mistake, ...]:
    """A warning for each such image of the host's, in the order of the plan."""
    found = []
    for step in plan.steps:
        if not isinstance(step, AttachImage) or step.holder or any(name in _ELSEWHERE for name, _ in step.options):
            continue
        begins = host.beginning(step.image, step.offset)
        if begins is not None and not _may_be(begins, step.fstype):
            found.append(Mistake(plan.ref(f"{step.origin}.image"), *_told(step, begins)))
    return tuple(found)


def _may_be(begins: bytes, fstype: str) -> bool:
    at, magic = of(fstype).magic
    return begins[at : at + len(magic)] == magic


def _told(step: AttachImage, begins: bytes) -> tuple[str, str]:
    where = f" from byte {step.offset} on" if step.offset else ""
    what = f'there is no {step.fstype} in "{step.image}"{where}'
    other = next((one.name for one in ROWS if one.magic[1] and _may_be(begins, one.name)), "")
    if other:
        return f"{what}, but {other}", f'write type = "{other}", or name another image'
    if begins[510:512] == _DISK and not step.offset:
        return what, "if it is the image of a disk, say of which partition: image = { path = ..., partition = 1 }"
    return what, f"make it there before it is mounted (mkfs.{step.fstype}), or name another image"

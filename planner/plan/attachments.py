"""Who has an image, a block device or an overlay's directory already, and whether a plan may have it as well.

A file behind two loop devices gets two superblocks that know nothing of each other: what both write is lost. So a
writable image is attached once, and the rules are mount(8)'s (libmount/src/hook_loopdev.c): who wants all of it for
writing, as the loop device has it already, gets that device, and with it the same superblock; any other overlap with
a writer is refused. Only of filesystems without a writer there may be several. Of a block device the kernel sees
to it that there is one superblock.

What cannot be shared by a plan is what the namespace of its caller has mounted: a spec says that by `bind`.
"""

from __future__ import annotations

from mountplan.planner.errors import Mistake
from mountplan.planner.fstypes import of, only_reads
from mountplan.planner.light import Protocol
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import AttachImage, MakeFilesystem, MakeOverlay
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mountplan.planner.tables.options import Pairs

TAKEN_LAYER = "give each overlay directories of its own, or end the other one first (umount, mountplan rm)"


class Attachment(NamedTuple):
    """One way in which an image or a block device is in use: by a loop device over it, or by a mount of it.

    `writable` and `whole` (from its first byte to its last) are about `device`. `state` is "rw" or "ro" if a superblock
    of it is known, and says whether that is written to; `options` are its own, as mountinfo shows them, and `where`
    tells in words who has it. `here` is its mountpoint in the caller's namespace, if there is one.
    """

    device: str
    number: str  # its major:minor, as mountinfo has it
    writable: bool
    whole: bool
    state: str = ""
    options: str = ""
    where: str = ""
    here: str = ""

    @property
    def writes(self) -> bool:
        """False if it is known that nothing is written through it."""
        return self.writable and self.state != "ro"

    def __str__(self) -> str:
        return f"{self.device}, {self.where}" if self.where else self.device


class Decision(NamedTuple):
    """What to do about an image: a loop device of its own, or the one to `share`, or nothing because of `problem`."""

    share: Attachment | None = None
    problem: str = ""
    remedy: str = ""


def decide(attached: Iterable[Attachment], *, read_only: bool) -> Decision:
    """What mount(8) would do with an image that is attached like this, except that it is never attached beside a
    writer, nor shared with the caller's own namespace.
    """
    others = [one for one in attached if one.writes or not read_only]
    for one in others:
        problem, remedy = _problem(one, read_only, len(others))
        if problem:
            return Decision(None, problem, remedy)
    return Decision(others[0]) if others else Decision()


def _problem(one: Attachment, read_only: bool, count: int) -> tuple[str, str]:
    if one.here:
        return f"it is mounted already ({one})", _take_part(one, read_only)
    if not one.writable:
        what = f"it is attached read-only already ({one}), and this mount would write to it"
        return what, "write options = { ro = true }, or let it go there first"
    if not one.whole:
        return f"a part of it is attached for writing already ({one})", "let it go there first: losetup -d, or umount"
    if read_only and one.state == "rw":
        return _written(one)
    if count > 1:
        return f"it is attached more than once already ({one}, for one)", "let it go there first: losetup -d, or umount"
    return "", ""


def decide_below(one: Attachment, *, read_only: bool) -> Decision:
    """The same for a block device that is to be the image of a loop device, and that something else has for itself."""
    if read_only and one.state == "ro":
        return Decision()
    if one.here:
        return Decision(None, f"it is mounted itself already ({one})", _take_part(one, read_only))
    who = f"it is mounted itself already ({one})" if one.where else "it is mounted itself, or a part of something else"
    return Decision(None, who, "write source = ... instead of image = ..., or let it go there: `lsblk` tells more")


def _take_part(one: Attachment, read_only: bool) -> str:
    attributes = ' with attributes = ["ro"]' if read_only else ""
    return f'write bind = "{one.here}"{attributes} to take part in that mount, or unmount it there'


def _written(one: Attachment) -> tuple[str, str]:
    return (
        f"it is mounted for writing already ({one}), and this mount would not write to it",
        'write attributes = ["ro"] instead of the option ro to show the same filesystem read-only, or unmount it there',
    )


def with_places(attached: Iterable[Attachment], table: MountTable) -> tuple[Attachment, ...]:
    """The same, with what the caller's mount table tells about them."""
    return tuple(_with_place(one, mount_of(one, table)) for one in attached)


def _with_place(one: Attachment, row: MountRow | None) -> Attachment:
    return one if row is None else seen(one, row, f'at "{row.mountpoint}"')._replace(here=row.mountpoint)


def seen(one: Attachment, row: MountRow, where: str) -> Attachment:
    """The same, with what a mount of it tells; `where` that is, in words."""
    state = "ro" if "ro" in row.options.split(",") or of(row.fstype).read_only else "rw"
    return one._replace(state=state, options=row.options, where=where)


def mount_of(one: Attachment, table: MountTable) -> MountRow | None:
    """A mount of the filesystem on a device, by preference one of all of it.

    A filesystem that can be on several devices has a number of its own; btrfs shows one of its devices as its source.
    """
    found = [
        row for row in table.rows if row.device == one.number or (row.fstype == "btrfs" and row.source == one.device)
    ]
    return min(found, key=lambda row: row.root != "/", default=None)


class Uses(Protocol):
    """The machine as it is at this moment, as far as obstacles() asks; what may not be known is taken for free."""

    def image(self, path: str, part: tuple[int, int], *, read_only: bool) -> Decision:
        """What decide() says of all that has the file, or block device, attached or mounted; of it, offset and size."""
        ...

    def device(self, path: str) -> Attachment | None:
        """The mount of a block device; None if it is not mounted, or if there is no block device at `path`."""
        ...

    def beside(self, path: str) -> tuple[Attachment, ...]:
        """The other loop devices over the same bytes as the loop device at `path`; () if there is none such."""
        ...

    def layer(self, path: str) -> str | None:
        """Which overlay has it as its upper or work directory, in words, "" if that is not known; None if none has."""
        ...


def obstacles(plan: Plan, uses: Uses) -> tuple[Mistake, ...]:
    """What `plan` is to have for itself, and others have at this moment in a way that does not go with it."""
    return tuple(
        Mistake(plan.ref(key), f"{what}: {problem}", remedy) for key, what, problem, remedy in _obstacles(plan, uses)
    )


def _obstacles(plan: Plan, uses: Uses) -> Iterator[tuple[str, str, str, str]]:
    for step in plan.steps:
        if isinstance(step, AttachImage):
            if step.holder:  # nobody else has that
                continue
            decision = uses.image(step.image, (step.offset, step.size), read_only=step.read_only)
            problem, remedy = decision.problem, decision.remedy
            if decision.share is not None:
                problem, remedy = other_options(decision.share, step.fstype, step.options)
            if problem:
                yield f"{step.origin}.image", f'"{step.image}" is in use', problem, remedy
        elif isinstance(step, MakeFilesystem) and step.source.startswith("/"):
            problem, remedy = _device_in_use(uses.device(step.source), step)
            if not problem:
                problem, remedy = _twice(uses.beside(step.source), only_reads(step.fstype, step.options))
            if problem:
                yield f"{step.origin}.source", f'"{step.source}" is in use', problem, remedy
        elif isinstance(step, MakeOverlay):
            for name, layer in (("upper", step.upper), ("work", step.work)):
                who = uses.layer(layer.path) if layer is not None and not layer.filesystem else None
                if layer is not None and who is not None:
                    problem = f"another overlay has it{who and ', by its name '}{who}"
                    yield f"{step.origin}.{name}", f'"{layer.path}" is in use', problem, TAKEN_LAYER


def _twice(others: tuple[Attachment, ...], reads: bool) -> tuple[str, str]:
    """What stands against a loop device beside which others are over the same bytes."""
    for one in others:
        if one.writes or not reads:
            return (
                f"another loop device is over the same file ({one}), and what both write would be lost",
                "write image = ... with the file to share that one, or let it go there first: losetup -d, or umount",
            )
    return "", ""


def _device_in_use(one: Attachment | None, step: MakeFilesystem) -> tuple[str, str]:
    if one is None:
        return "", ""
    read_only = ("ro", True) in step.options
    if one.here:
        return f"it is mounted already ({one})", _take_part(one, read_only)
    if read_only and one.state == "rw":
        return _written(one)
    if not read_only and one.state == "ro" and not of(step.fstype).read_only:
        what = f"it is mounted with ro already ({one}), and this mount would write to it"
        return what, "write options = { ro = true }, or unmount it there"
    return other_options(one, step.fstype, step.options)


def other_options(one: Attachment, fstype: str, asked: Pairs) -> tuple[str, str]:
    """The problem and the remedy, if the superblock that would be shared does not show what is asked for."""
    from mountplan.planner.tables.options import unproven_options

    unproven = unproven_options(fstype, asked, one.options) if one.options else ()
    if not unproven:
        return "", ""
    words = ", ".join(f"{name} = {value}" if isinstance(value, str) else name for name, value in unproven)
    what = f"it is mounted already ({one}) with the options {one.options}, and does not show these: {words}"
    return what, "leave them out, since all mounts of it have the same ones, or unmount it there"

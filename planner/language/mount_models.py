"""`[[mount]]`, with what it holds: files, and the ids of an idmapped mount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import PlainValidator, WithJsonSchema, model_validator

from mountplan.planner.language import field_types as t
from mountplan.planner.language import values
from mountplan.planner.language.mount_options import settled
from mountplan.planner.language.path_models import (
    Bound,
    Hidden,
    Image,
    ImagePlace,
    Mask,
    MountPath,
    NamespaceFile,
    Place,
)
from mountplan.planner.language.spec_table import PathText, SpecTable, flag, key, keyed, listed, required


def check_overlap(uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]) -> None:
    for field, lines in (("uids", uids), ("gids", gids)):
        if clash := values.overlap(lines) if len(lines) > 1 else "":
            raise values.Unfit(f"{field}: {clash}", "map each id once")


def _id_lines(whose: str) -> Any:
    what = f"Lines of [first {whose} id in the filesystem, first one seen through the mount, count]."
    return required(what, [[0, 100000, 65536]], min_length=1, max_length=340)


class IdMap(SpecTable):
    """Owners seen through the mount differ from those in the filesystem."""

    CALLED = "idmap"

    uids: list[t.IdLine] = _id_lines("user")
    gids: list[t.IdLine] = _id_lines("group")

    if TYPE_CHECKING:

        def __init__(self, *, uids: Sequence[Sequence[int]], gids: Sequence[Sequence[int]]) -> None: ...

    @model_validator(mode="after")
    def _lines_must_not_overlap(self) -> IdMap:
        check_overlap(self.uids, self.gids)
        return self


class FileEntry(SpecTable):
    """Something that shall exist in the filesystem of a mount; a file, unless symlink, directory, ... say otherwise."""

    CALLED = "[[mount.file]]"
    KINDS: ClassVar[tuple[str, ...]] = ("content", "source", "symlink", "directory", "fifo", "socket", "device")

    path: t.InnerPath = required(
        "Where it is, counted from the root of the mount; missing directories are made.", "etc/motd"
    )
    content: t.Content | None = key("What is in the file.", "hello\n")
    source: t.AbsolutePath | None = key("A file of the host whose content is copied.", "/etc/hosts")
    symlink: t.Link | None = key("Make a symlink, which points to this.", "usr/bin")
    directory: bool = flag("Make a directory.")
    fifo: bool = flag("Make a named pipe.")
    socket: bool = flag("Make a socket, on which no process listens.")
    device: t.Device | None = key("Make a device node: c or b (character or block), major and minor number.", "c:1:3")
    parameters: bool = flag("Parameters are replaced in content as well.")
    mode: t.Mode | None = key("Permissions, as octal digits in a string.", "0644")
    uid: t.Owner | None = key("The number of the user who owns it.", 1000)
    gid: t.Owner | None = key("The number of the group that owns it.", 1000)

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, content: str | None = None, source: PathText | None = None,
                     symlink: str | None = None, directory: bool = False, fifo: bool = False,
                     socket: bool = False, device: str | None = None, parameters: bool = False,
                     mode: str | None = None, uid: int | None = None, gid: int | None = None) -> None: ...  # fmt: skip

    @model_validator(mode="after")
    def _is_one_thing(self) -> FileEntry:
        if len(self.model_fields_set) > 2:
            kinds = [kind for kind in self.KINDS if getattr(self, kind) not in (None, False)]
            if len(kinds) > 1:
                what = f"is said to be several things at once: {', '.join(kinds)}"
                raise values.Unfit(what, "keep one of them; none is an empty file")
            if kinds == ["symlink"] and self.mode is not None:
                raise values.Unfit("a symlink has no mode of its own", "leave mode out")
        return self


def _locked(value: object) -> object:
    if isinstance(value, bool) or value == "attributes":
        return value
    raise values.Unfit(f"is {values.described(value)}", 'write locked = true, or locked = "attributes"')


def _mapping(value: object) -> IdMap | Literal[False]:
    return value if value is False or isinstance(value, IdMap) else IdMap.model_validate(value)


Mapped = Annotated[
    IdMap | Literal[False], PlainValidator(_mapping), WithJsonSchema({"anyOf": [{"table": "IdMap"}, {"const": False}]})
]
Locked = Annotated[
    Literal["attributes"] | bool,
    PlainValidator(_locked),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["attributes"]}]}),
]


class Mount(SpecTable):
    """One mount of the tree; without a target, a filesystem that stands nowhere and is there to be bound from."""

    CALLED = "[[mount]]"

    target: t.AbsolutePath | None = key(
        "Where it is mounted. Without it the mount stands nowhere, and others are made from it.", "/srv/data"
    )
    id: t.Name | None = key("A name by which others can refer to it.", "data")
    parent: t.Reference | None = key(
        "The id of the mount that it is mounted on, if that is covered; target is then read within it.", "below"
    )
    type: t.FilesystemType | None = key("Make a filesystem of this type; /proc/filesystems has the list.", "tmpfs")
    source: t.Source | None = key(
        "The name that the kernel shows as the filesystem's source; the type, if it is left out.", "scratch"
    )
    options: dict[t.OptionName, t.OptionValue] = keyed(
        "Options of the filesystem (the superblock); true for an option without a value.", {"size": "16m"}
    )
    mount_options: t.PastedOptions | None = key(
        "Attributes and options in one text, as mount(8) has them; a comma in quotes is no border.",
        "ro,nosuid,size=16m",
    )
    contents: t.LocalPath | None = key(
        "A directory whose tree is copied into the new filesystem, with owners, modes, times and all else; "
        "a relative path counts from the directory of the spec.",
        "shop.contents/1",
    )
    image: ImagePlace | None = key(
        "A file that holds the filesystem: of the host, or in another mount, or a part of such a file.",
        "/srv/root.ext4",
    )
    layers: list[Place] = listed("The read-only layers of an overlay, the topmost first.", ["/srv/top", "/srv/base"])
    data_layers: list[Place] = listed(
        "Layers below those, of which nothing is seen: files of layers have their contents there.", ["/srv/objects"]
    )
    upper: Place | None = key("The directory of an overlay that takes the changes.", "/srv/changes/upper")
    work: Place | None = key(
        "An empty directory on the same mount as upper, which the overlay works in.", "/srv/changes/work"
    )
    bind: Bound | None = key(
        "Show what is at this path of the host, or at a path in another mount, or the file of a namespace.", "/srv/data"
    )
    recursive: bool = flag("Bind what is mounted below the bound path as well.")
    create: bool = flag("If the mountpoint is in a filesystem of the host and missing, make it there.")
    on_symlink: Literal["error", "follow"] = key(
        "What a symlink on the way to the target is: a mistake, or followed within the new tree.",
        "follow",
        default="error",
    )
    attributes: list[t.Attribute] = listed(
        "What is set or cleared on this mount, as mount(8) names it.", ["ro", "nosuid"]
    )
    recursive_attributes: bool = flag("The attributes go for what a recursive bind brings along as well.", default=True)
    recursive_sharing: Literal["private", "peer", "slave"] | None = key(
        "What a recursive bind brings along: private, or peers or slaves of what they are copies of.", "slave"
    )
    idmap: Mapped | None = key(
        "Owners seen through this mount differ from those in the filesystem; false: not, though they do in "
        "what it is bound from.",
        {"uids": [[0, 100000, 65536]], "gids": [[0, 100000, 65536]]},
    )
    peer_group: t.Reference | None = key("Shared: events travel between all mounts with this peer group.", "data")
    master: t.Reference | None = key(
        "Slave: events come in from this peer group. Those of peer_group's master need not be repeated.", "feed"
    )
    locked: Locked = flag(
        "In a namespace of another user: true for a mount that its owner can neither unmount by itself nor "
        'take attributes from; "attributes" for one that only keeps those.'
    )
    unbindable: bool = flag("Private, and it cannot be bound.")
    mask: list[Hidden] = listed("Paths inside this mount that are hidden behind something empty.", ["proc/kcore"])
    readonly: list[Hidden] = listed("Paths inside this mount that are read-only.", ["sys", "sysrq-trigger"])
    optional: bool = flag("It is left out, and told, where the host does not have the path that it takes.")
    unsupported: t.Word | None = key(
        "Why this mount cannot be built: it is left out, with all that stands on it. Captures write it.",
        "a filesystem that only its own program can mount",
    )
    file: list[FileEntry] = listed(
        "What shall exist in the filesystem of this mount.", [{"path": "etc/motd", "content": "hello\n"}]
    )

    if TYPE_CHECKING:

        def __init__(self, *, target: PathText | None = None, id: str | None = None, parent: str | None = None,
                     type: str | None = None, source: str | None = None,
                     options: Mapping[str, bool | int | str | Sequence[str]] = {},
                     mount_options: str | None = None, contents: PathText | None = None,
                     image: PathText | Image | None = None, layers: Sequence[PathText | MountPath] = (),
                     data_layers: Sequence[PathText | MountPath] = (),
                     upper: PathText | MountPath | None = None, work: PathText | MountPath | None = None,
                     bind: PathText | MountPath | NamespaceFile | None = None, recursive: bool = False,
                     create: bool = False, on_symlink: Literal["error", "follow"] = "error",
                     attributes: Sequence[str] = (), recursive_attributes: bool = True,
                     recursive_sharing: Literal["private", "peer", "slave"] | None = None,
                     idmap: IdMap | Literal[False] | None = None, peer_group: str | None = None,
                     master: str | None = None, locked: Literal["attributes"] | bool = False,
                     unbindable: bool = False, mask: Sequence[PathText | Mask] = (),
                     readonly: Sequence[PathText | Mask] = (), optional: bool = False,
                     unsupported: str | None = None, file: Sequence[FileEntry] = ()) -> None: ...  # fmt: skip

    @model_validator(mode="after")
    def _takes_options_apart(self) -> Mount:
        if self.mount_options is None:
            return self
        fstype = self.type if self.bind is None else None
        return self.model_copy(update=settled(self.mount_options, fstype, self.attributes, self.options))

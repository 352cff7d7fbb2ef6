"""The models of a spec: what may be written where. Only they and field_types.py know pydantic.

planner/language/field_types.py says what a single value may be, planner/language/wording.py puts what is wrong into
words, and planner/language/spec_reading.py reads a text. What the words of a spec mean together is
planner/resolve/resolve.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema, model_validator

from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language import values
from mountplan.planner.language.field_types import (
    ESCAPED,
    AbsolutePath,
    Amount,
    Argument,
    Attribute,
    Capability,
    Content,
    Device,
    FilesystemType,
    Hostname,
    IdLine,
    InnerPath,
    Length,
    Link,
    LocalPath,
    Mode,
    Name,
    NamespaceName,
    OptionName,
    OptionValue,
    Owner,
    Partition,
    PastedOptions,
    Presets,
    Reference,
    Source,
    Variable,
    Word,
)
from mountplan.planner.language.locate import Places, key_path
from mountplan.planner.language.mount_options import settled
from mountplan.planner.language.origins import Origins
from mountplan.planner.language.parameters import Setting
from mountplan.planner.language.wording import findings
from mountplan.planner.names import Moved
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.run_settings import NAMESPACE_KINDS

if TYPE_CHECKING:
    from mountplan.planner.run_settings import NamespaceKind
else:
    NamespaceKind = Literal[NAMESPACE_KINDS]

FORMAT = 1

PathText: TypeAlias = "str | PathLike[str]"  # a path as Python programs have it


class _Table(BaseModel):
    # Strict: `recursive = 1` and `uid = true` are slips, not abbreviations.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    CALLED: ClassVar[str]  # what messages call this table

    def __init__(self, /, **values: Any) -> None:
        """Of Python values: paths may be os.PathLike, lists any sequence. Raises SpecError with every mistake found.

        What type checkers are told of it is beside the fields of each table; a test holds the two together. Tables in
        what TOML gives do not come by here.
        """
        if "spared" in values:
            values["except"] = values.pop("spared")  # which is a word of Python's
        called = f"{type(self).__name__}(...)"
        try:
            made = self.model_validate({name: _as_toml(value) for name, value in values.items()})
        except ValidationError as error:
            found = findings(error.errors(include_url=False), type(self))
            raise SpecError(
                tuple(Mistake(SpecRef(called, key_path(*one.path)), one.what, one.remedy) for one in found)
            ) from None
        # Not by pydantic's own: what a validator returns in place of `self` would be lost.
        object.__setattr__(self, "__dict__", made.__dict__)
        object.__setattr__(self, "__pydantic_fields_set__", made.__pydantic_fields_set__)
        object.__setattr__(self, "__pydantic_extra__", None)
        object.__setattr__(self, "__pydantic_private__", made.__pydantic_private__)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic: not one to be called for each table

    def __repr_args__(self) -> Any:
        """Only what was said."""
        return ((name, getattr(self, name)) for name in type(self).model_fields if name in self.model_fields_set)


def _as_toml(value: object) -> object:
    """A Python value as TOML would give it."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {key: _as_toml(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_toml(inner) for inner in value]
    return value


class MountPath(_Table):
    """A path in the filesystem of another mount of the spec, counted from that mount's root."""

    CALLED = "a path in another mount"

    mount: Reference = Field(description="The id of that mount.", examples=["data"])
    path: InnerPath = Field(
        default_factory=lambda: ROOT,
        description="The path, counted from the root of that mount.",
        examples=["/incoming"],
        json_schema_extra={"default": "/"},
    )
    hidden: bool = Field(
        default=False,
        description="The path lies below another mount of the spec, and what is covered there is meant.",
        examples=[True],
    )
    deleted: bool = Field(
        default=False,
        description="The path is removed once it is mounted, so that a file is shown that has no name any more.",
        examples=[True],
    )
    file: bool = Field(
        default=False,
        description="It is a file; where nothing is, an empty one is made, and without this a directory.",
        examples=[True],
    )

    if TYPE_CHECKING:

        def __init__(
            self, *, mount: str, path: PathText = "/", hidden: bool = False, deleted: bool = False, file: bool = False
        ) -> None: ...


class NamespaceFile(_Table):
    """The file of a namespace, which is mounted to give that a name, or to keep it."""

    CALLED = "a namespace file"

    namespace: NamespaceName = Field(
        description="A process of it, as net:PID, or the path of its file; net:/path checks its kind.",
        examples=["net:4711"],
    )

    if TYPE_CHECKING:

        def __init__(self, *, namespace: str) -> None: ...


class Mask(_Table):
    """A path inside a mount, or a glob."""

    CALLED = "a path in a list"

    path: InnerPath = Field(description="What is meant: a path inside the mount, or a glob.", examples=["/proc/kcore"])
    optional: bool = Field(
        default=False, description="It is left out, and told, where nothing is there.", examples=[True]
    )

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


class SparedPath(_Table):
    """A path of the host that a change leaves out."""

    CALLED = "a path in except"

    path: AbsolutePath = Field(description="A path of the host.", examples=["/srv/data"])
    optional: bool = Field(default=False, description="It is no mistake if there is no such path.", examples=[True])

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


def _check_overlap(uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]) -> None:
    for field, lines in (("uids", uids), ("gids", gids)):
        if clash := values.overlap(lines) if len(lines) > 1 else "":
            raise values.Unfit(f"{field}: {clash}", "map each id once")


class IdMap(_Table):
    """Owners seen through the mount differ from those in the filesystem."""

    CALLED = "idmap"

    uids: list[IdLine] = Field(
        min_length=1,
        max_length=340,
        description="Lines of [first user id in the filesystem, first one seen through the mount, count].",
        examples=[[[0, 100000, 65536]]],
    )
    gids: list[IdLine] = Field(
        min_length=1,
        max_length=340,
        description="Lines of [first group id in the filesystem, first one seen through the mount, count].",
        examples=[[[0, 100000, 65536]]],
    )

    if TYPE_CHECKING:

        def __init__(self, *, uids: Sequence[Sequence[int]], gids: Sequence[Sequence[int]]) -> None: ...

    @model_validator(mode="after")
    def _lines_must_not_overlap(self) -> IdMap:
        _check_overlap(self.uids, self.gids)
        return self


class Image(_Table):
    """A part of an image file, or one that is in another mount of the spec."""

    CALLED = "image"

    path: Word = Field(
        description="The file: a path of the host, or in the mount, counted from its root.", examples=["/srv/disk.img"]
    )
    mount: Reference | None = Field(
        default=None,
        description="The id of the mount that the file is in; without it, it is the host's.",
        examples=["iso"],
    )
    offset: Amount = Field(default=0, description="Where in the file it begins, in bytes.", examples=[1048576])
    size: Length = Field(default=0, description="How many bytes of it; without it, all to the end.", examples=[8388608])
    partition: Partition | None = Field(
        default=None, description="The partition of it, by its number or its label.", examples=[2, "root"]
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            path: str,
            mount: str | None = None,
            offset: int = 0,
            size: int = 0,
            partition: int | str | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_a_plain_path(self) -> Image:
        try:
            TargetPath.parse("/" + self.path.lstrip("/"))
        except ValueError as error:
            raise values.Unfit(f"path: {values.shown(self.path)} {error}", "write the path that is meant") from None
        return self


class FileEntry(_Table):
    """Something that shall exist in the filesystem of a mount; a file, unless symlink, directory, ... say otherwise."""

    CALLED = "[[mount.file]]"
    KINDS: ClassVar[tuple[str, ...]] = ("content", "source", "symlink", "directory", "fifo", "socket", "device")

    path: InnerPath = Field(
        description="Where it is, counted from the root of the mount; missing directories are made.",
        examples=["etc/motd"],
    )
    content: Content | None = Field(default=None, description="What is in the file.", examples=["hello\n"])
    source: AbsolutePath | None = Field(
        default=None, description="A file of the host whose content is copied.", examples=["/etc/hosts"]
    )
    symlink: Link | None = Field(
        default=None, description="Make a symlink, which points to this.", examples=["usr/bin"]
    )
    directory: bool = Field(default=False, description="Make a directory.", examples=[True])
    fifo: bool = Field(default=False, description="Make a named pipe.", examples=[True])
    socket: bool = Field(default=False, description="Make a socket, on which no process listens.", examples=[True])
    device: Device | None = Field(
        default=None,
        description="Make a device node: c or b (character or block), major and minor number.",
        examples=["c:1:3"],
    )
    parameters: bool = Field(default=False, description="Parameters are replaced in content as well.", examples=[True])
    mode: Mode | None = Field(default=None, description="Permissions, as octal digits in a string.", examples=["0644"])
    uid: Owner | None = Field(default=None, description="The number of the user who owns it.", examples=[1000])
    gid: Owner | None = Field(default=None, description="The number of the group that owns it.", examples=[1000])

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            path: PathText,
            content: str | None = None,
            source: PathText | None = None,
            symlink: str | None = None,
            directory: bool = False,
            fifo: bool = False,
            socket: bool = False,
            device: str | None = None,
            parameters: bool = False,
            mode: str | None = None,
            uid: int | None = None,
            gid: int | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_one_thing(self) -> FileEntry:
        if len(self.model_fields_set) > 2:
            kinds = [kind for kind in self.KINDS if getattr(self, kind) not in (None, False)]
            if len(kinds) > 1:
                raise values.Unfit(
                    f"is said to be several things at once: {', '.join(kinds)}",
                    "keep one of them; none is an empty file",
                )
            if kinds == ["symlink"] and self.mode is not None:
                raise values.Unfit("a symlink has no mode of its own", "leave mode out")
        return self


# A string, or a table of a model. Not a union of pydantic's: what that has to say about a value that fits none of its
# alternatives is one complaint for each of them, and it takes longer to say yes.
def _place(value: object) -> TargetPath | MountPath:
    if type(value) is dict and "escaped" not in value:
        return MountPath.model_validate(value)
    return value if isinstance(value, MountPath) else values.place(value)


def _bound(value: object) -> TargetPath | MountPath | NamespaceFile:
    if type(value) is dict and "namespace" in value:
        if others := [key for key in value if key != "namespace"]:
            what = f"has {' and '.join(others)} beside namespace, which names a whole file"
            raise values.Unfit(what, "keep the one or the other")
        return NamespaceFile.model_validate(value)
    if type(value) is dict and "mount" not in value:
        for key in value:
            if values.suggestion(key, ("namespace", "mount")) == "namespace":
                raise values.Unfit(f"unknown key {values.shown(key)}", 'did you mean "namespace"?')
    return value if isinstance(value, NamespaceFile) else _place(value)


def _hidden(value: object) -> TargetPath | Mask:
    if type(value) is dict and "escaped" not in value:
        return Mask.model_validate(value)
    return value if isinstance(value, Mask) else values.mask_path(value)


def _locked(value: object) -> object:
    if isinstance(value, bool) or value == "attributes":
        return value
    raise values.Unfit(f"is {values.described(value)}", 'write locked = true, or locked = "attributes"')


def _spared(value: object) -> TargetPath | SparedPath:
    if type(value) is dict and "escaped" not in value:
        return SparedPath.model_validate(value)
    return value if isinstance(value, SparedPath) else values.absolute_path(value)


def _image(value: object) -> TargetPath | Image:
    if type(value) is dict and "escaped" not in value:
        return Image.model_validate(value)
    return value if isinstance(value, Image) else values.absolute_path(value)


def _or_table(text: dict[str, Any], *models: type[BaseModel]) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [text, ESCAPED, *({"table": model.__name__} for model in models)]}
    )  # planner/language/schema.py puts it in


def _mapping(value: object) -> IdMap | Literal[False]:
    return value if value is False or isinstance(value, IdMap) else IdMap.model_validate(value)


Mapped = Annotated[
    IdMap | Literal[False],
    PlainValidator(_mapping),
    WithJsonSchema({"anyOf": [{"table": "IdMap"}, {"const": False}]}),
]
Place = Annotated[
    TargetPath | MountPath, PlainValidator(_place), _or_table({"type": "string", "pattern": r"^(/|\./|\.$)"}, MountPath)
]
Bound = Annotated[
    TargetPath | MountPath | NamespaceFile,
    PlainValidator(_bound),
    _or_table({"type": "string", "pattern": r"^(/|\./|\.$)"}, MountPath, NamespaceFile),
]
Locked = Annotated[
    Literal["attributes"] | bool,
    PlainValidator(_locked),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["attributes"]}]}),
]
Spared = Annotated[
    TargetPath | SparedPath, PlainValidator(_spared), _or_table({"type": "string", "pattern": "^/"}, SparedPath)
]
ImagePlace = Annotated[
    TargetPath | Image, PlainValidator(_image), _or_table({"type": "string", "pattern": "^/"}, Image)
]
Hidden = Annotated[TargetPath | Mask, PlainValidator(_hidden), _or_table({"type": "string", "minLength": 1}, Mask)]


class Mount(_Table):
    """One mount of the tree; without a target, a filesystem that stands nowhere and is there to be bound from."""

    CALLED = "[[mount]]"

    target: AbsolutePath | None = Field(
        default=None,
        description="Where it is mounted. Without it the mount stands nowhere, and others are made from it.",
        examples=["/srv/data"],
    )
    id: Name | None = Field(default=None, description="A name by which others can refer to it.", examples=["data"])
    parent: Reference | None = Field(
        default=None,
        description="The id of the mount that it is mounted on, if that is covered; target is then read within it.",
        examples=["below"],
    )
    type: FilesystemType | None = Field(
        default=None, description="Make a filesystem of this type; /proc/filesystems has the list.", examples=["tmpfs"]
    )
    source: Source | None = Field(
        default=None,
        description="The name that the kernel shows as the filesystem's source; the type, if it is left out.",
        examples=["scratch"],
    )
    options: dict[OptionName, OptionValue] = Field(
        default_factory=dict,
        description="Options of the filesystem (the superblock); true for an option without a value.",
        examples=[{"size": "16m"}],
    )
    mount_options: PastedOptions | None = Field(
        default=None,
        description="Attributes and options in one text, as mount(8) has them; a comma in quotes is no border.",
        examples=["ro,nosuid,size=16m"],
    )
    contents: LocalPath | None = Field(
        default=None,
        description="A directory whose tree is copied into the new filesystem, with owners, modes, times and all else; "
        "a relative path counts from the directory of the spec.",
        examples=["shop.contents/1"],
    )
    image: ImagePlace | None = Field(
        default=None,
        description="A file that holds the filesystem: of the host, or in another mount, or a part of such a file.",
        examples=["/srv/root.ext4"],
    )
    layers: list[Place] = Field(
        default_factory=list,
        description="The read-only layers of an overlay, the topmost first.",
        examples=[["/srv/top", "/srv/base"]],
    )
    data_layers: list[Place] = Field(
        default_factory=list,
        description="Layers below those, of which nothing is seen: files of layers have their contents there.",
        examples=[["/srv/objects"]],
    )
    upper: Place | None = Field(
        default=None, description="The directory of an overlay that takes the changes.", examples=["/srv/changes/upper"]
    )
    work: Place | None = Field(
        default=None,
        description="An empty directory on the same mount as upper, which the overlay works in.",
        examples=["/srv/changes/work"],
    )
    bind: Bound | None = Field(
        default=None,
        description="Show what is at this path of the host, or at a path in another mount, or the file of a namespace.",
        examples=["/srv/data"],
    )
    recursive: bool = Field(
        default=False, description="Bind what is mounted below the bound path as well.", examples=[True]
    )
    create: bool = Field(
        default=False,
        description="If the mountpoint is in a filesystem of the host and missing, make it there.",
        examples=[True],
    )
    on_symlink: Literal["error", "follow"] = Field(
        default="error",
        description="What a symlink on the way to the target is: a mistake, or followed within the new tree.",
        examples=["follow"],
    )
    attributes: list[Attribute] = Field(
        default_factory=list,
        description="What is set or cleared on this mount, as mount(8) names it.",
        examples=[["ro", "nosuid"]],
    )
    recursive_attributes: bool = Field(
        default=True, description="The attributes go for what a recursive bind brings along as well.", examples=[False]
    )
    recursive_sharing: Literal["private", "peer", "slave"] | None = Field(
        default=None,
        description="What a recursive bind brings along: private, or peers or slaves of what they are copies of.",
        examples=["slave"],
    )
    idmap: Mapped | None = Field(
        default=None,
        description="Owners seen through this mount differ from those in the filesystem; false: not, though they do in "
        "what it is bound from.",
        examples=[{"uids": [[0, 100000, 65536]], "gids": [[0, 100000, 65536]]}],
    )
    peer_group: Reference | None = Field(
        default=None, description="Shared: events travel between all mounts with this peer group.", examples=["data"]
    )
    master: Reference | None = Field(
        default=None,
        description="Slave: events come in from this peer group. Those of peer_group's master need not be repeated.",
        examples=["feed"],
    )
    locked: Locked = Field(
        default=False,
        description="In a namespace of another user: true for a mount that its owner can neither unmount by itself nor "
        'take attributes from; "attributes" for one that only keeps those.',
        examples=[True],
    )
    unbindable: bool = Field(default=False, description="Private, and it cannot be bound.", examples=[True])
    mask: list[Hidden] = Field(
        default_factory=list,
        description="Paths inside this mount that are hidden behind something empty.",
        examples=[["proc/kcore"]],
    )
    readonly: list[Hidden] = Field(
        default_factory=list,
        description="Paths inside this mount that are read-only.",
        examples=[["sys", "sysrq-trigger"]],
    )
    optional: bool = Field(
        default=False,
        description="It is left out, and told, where the host does not have the path that it takes.",
        examples=[True],
    )
    unsupported: Word | None = Field(
        default=None,
        description="Why this mount cannot be built: it is left out, with all that stands on it. Captures write it.",
        examples=["a filesystem that only its own program can mount"],
    )
    file: list[FileEntry] = Field(
        default_factory=list,
        description="What shall exist in the filesystem of this mount.",
        examples=[[{"path": "etc/motd", "content": "hello\n"}]],
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            target: PathText | None = None,
            id: str | None = None,
            parent: str | None = None,
            type: str | None = None,
            source: str | None = None,
            options: Mapping[str, bool | int | str | Sequence[str]] = {},
            mount_options: str | None = None,
            contents: PathText | None = None,
            image: PathText | Image | None = None,
            layers: Sequence[PathText | MountPath] = (),
            data_layers: Sequence[PathText | MountPath] = (),
            upper: PathText | MountPath | None = None,
            work: PathText | MountPath | None = None,
            bind: PathText | MountPath | NamespaceFile | None = None,
            recursive: bool = False,
            create: bool = False,
            on_symlink: Literal["error", "follow"] = "error",
            attributes: Sequence[str] = (),
            recursive_attributes: bool = True,
            recursive_sharing: Literal["private", "peer", "slave"] | None = None,
            idmap: IdMap | Literal[False] | None = None,
            peer_group: str | None = None,
            master: str | None = None,
            locked: Literal["attributes"] | bool = False,
            unbindable: bool = False,
            mask: Sequence[PathText | Mask] = (),
            readonly: Sequence[PathText | Mask] = (),
            optional: bool = False,
            unsupported: str | None = None,
            file: Sequence[FileEntry] = (),
        ) -> None: ...

    @model_validator(mode="after")
    def _takes_options_apart(self) -> Mount:
        if self.mount_options is None:
            return self
        fstype = self.type if self.bind is None else None
        return self.model_copy(update=settled(self.mount_options, fstype, self.attributes, self.options))


class NamespaceOwner(_Table):
    """The user namespace that a mount namespace belongs to, if that is not the one in which it is built."""

    CALLED = "a user namespace"

    uids: list[IdLine] = Field(
        default_factory=list,
        max_length=340,
        description="Lines of [first user id inside, first one outside, count], as /proc/PID/uid_map has them.",
        examples=[[[0, 100000, 65536]]],
    )
    gids: list[IdLine] = Field(
        default_factory=list,
        max_length=340,
        description="Lines of [first group id inside, first one outside, count].",
        examples=[[[0, 100000, 65536]]],
    )
    within: Reference | None = Field(
        default=None,
        description="It is made inside the one that owns this other namespace; the ids outside are those of that.",
        examples=["outer"],
    )
    of: Reference | None = Field(
        default=None, description="It is the one that owns this other namespace.", examples=["outer"]
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            uids: Sequence[Sequence[int]] = (),
            gids: Sequence[Sequence[int]] = (),
            within: str | None = None,
            of: str | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_one_or_new(self) -> NamespaceOwner:
        if self.of is not None and (self.uids or self.gids or self.within is not None):
            raise values.Unfit("is that of another namespace, and has what a new one has", "keep of, or the rest")
        if self.of is None and not (self.uids and self.gids):
            raise values.Unfit("lacks ids", "add uids = [[0, 100000, 65536]] and gids, or of = another namespace")
        _check_overlap(self.uids, self.gids)
        return self


class InheritedRemoval(_Table):
    """A mount of the host's that a copy of its tree shall not have."""

    CALLED = "[[remove]]"

    target: AbsolutePath = Field(description="Where it is mounted on the host.", examples=["/mnt/backup"])
    recursive: bool = Field(default=False, description="What stands on it goes along.", examples=[True])
    optional: bool = Field(default=False, description="It is no mistake if nothing is mounted there.", examples=[True])

    if TYPE_CHECKING:

        def __init__(self, *, target: PathText, recursive: bool = False, optional: bool = False) -> None: ...


class InheritedChange(_Table):
    """What mounts of the host's become in a copy of its tree."""

    CALLED = "[[change]]"

    target: AbsolutePath = Field(
        description="A path of the host. If it is no mountpoint, it is bound over itself first.", examples=["/usr"]
    )
    recursive: bool = Field(default=False, description="What is mounted below it is changed as well.", examples=[True])
    spared: list[Spared] = Field(
        alias="except",
        default_factory=list,
        description="Paths below it that stay as they are, with what is mounted below them.",
        examples=[["/home", "/tmp"]],
    )
    attributes: list[Attribute] = Field(
        default_factory=list, description="What is set or cleared, as mount(8) names it.", examples=[["ro"]]
    )
    sharing: Literal["private", "shared"] | None = Field(
        default=None,
        description="private: nothing of the host's comes in; shared: in a peer group of its own.",
        examples=["private"],
    )
    optional: bool = Field(default=False, description="It is no mistake if there is no such path.", examples=[True])

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            target: PathText,
            recursive: bool = False,
            spared: Sequence[PathText | SparedPath] = (),
            attributes: Sequence[str] = (),
            sharing: Literal["private", "shared"] | None = None,
            optional: bool = False,
        ) -> None: ...


# What is said of a tree, by a namespace or by a spec that has one only.
InheritedSharing = Literal["private", "slave", "slave-shared"]


def _preset() -> Any:
    what = "Mounts that many trees have: `mountplan plan --expand` writes them out."
    return Field(default=(), description=what, examples=["dev"])


def _propagation() -> Any:
    return Field(default="private", description="What the mounts of an inherited root are.", examples=["slave"])


def _removals() -> Any:
    what = "Mounts of an inherited tree that go, before anything is changed or mounted."
    return Field(default_factory=list, description=what, examples=[[{"target": "/mnt/backup"}]])


def _changes() -> Any:
    what = "What mounts of an inherited tree become, in this order, before anything is mounted on it."
    return Field(default_factory=list, description=what, examples=[[{"target": "/usr", "attributes": ["ro"]}]])


class PeerGroup(_Table):
    """A sharing group of mounts; members name it by peer_group, those that only receive by master."""

    CALLED = "[peer_group.NAME]"

    master: Reference | None = Field(
        default=None, description="Another group, whose events the members of this one also receive.", examples=["feed"]
    )
    host: AbsolutePath | None = Field(
        default=None,
        description="The group is the host's own: the one which the host mount at this path is in.",
        examples=["/srv/feed"],
    )
    across_user_namespaces: bool = Field(
        default=False,
        description="Mounts in namespaces of several users may be peers: who is root in one mounts in the others too.",
        examples=[True],
    )

    if TYPE_CHECKING:

        def __init__(
            self, *, master: str | None = None, host: PathText | None = None, across_user_namespaces: bool = False
        ) -> None: ...


class Namespace(_Table):
    """One of several mount namespaces; ids and peer groups are shared by the whole spec."""

    CALLED = "[[namespace]]"

    name: Name = Field(description="What it is called.", examples=["web"])
    root: Literal["inherit", "new"] | None = Field(
        default=None, description="A copy of the host's tree, or a root of its own (a mount on /).", examples=["new"]
    )
    preset: Presets = _preset()
    propagation: InheritedSharing = _propagation()
    user: NamespaceOwner | None = Field(
        default=None,
        description="The user namespace that it belongs to, if that is not the one in which it is built.",
        examples=[{"uids": [[0, 100000, 65536]], "gids": [[0, 100000, 65536]]}],
    )
    remove: list[InheritedRemoval] = _removals()
    change: list[InheritedChange] = _changes()
    mount: list[Mount] = Field(
        default_factory=list,
        description="Its mounts, in any order but for several on one target: later ones are on top.",
        examples=[[{"target": "/", "type": "tmpfs"}]],
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            root: Literal["inherit", "new"] | None = None,
            preset: str | Sequence[str] = (),
            propagation: InheritedSharing = "private",
            user: NamespaceOwner | None = None,
            remove: Sequence[InheritedRemoval] = (),
            change: Sequence[InheritedChange] = (),
            mount: Sequence[Mount] = (),
        ) -> None: ...


class Run(_Table):
    """How `mountplan run` starts its command."""

    CALLED = "[run]"

    command: list[Argument] = Field(
        default_factory=list, description="The program and its arguments.", examples=[["python3", "-c", "print('hi')"]]
    )
    environment: dict[Variable, Argument] = Field(
        default_factory=dict, description="Environment variables to set.", examples=[{"LANG": "C.UTF-8"}]
    )
    clear_environment: bool = Field(
        default=False, description="Start from an empty environment, not from the caller's.", examples=[True]
    )
    cwd: AbsolutePath | None = Field(
        default=None, description="The directory to start in; / if missing.", examples=["/srv"]
    )
    hostname: Hostname | None = Field(
        default=None, description="The host name to set (needs unshare uts).", examples=["shop"]
    )
    unshare: list[NamespaceKind] = Field(
        default_factory=list,
        description="Namespaces of its own besides the mount namespace.",
        examples=[["pid", "ipc", "uts"]],
    )
    capabilities: list[Capability] | None = Field(
        default=None,
        description="The capabilities to keep; all others are dropped.",
        examples=[["CAP_NET_BIND_SERVICE"]],
    )
    parameters: bool = Field(
        default=False, description="Parameters are replaced in command and environment as well.", examples=[True]
    )
    no_new_privs: bool = Field(
        default=True, description="Programs with set-user-id or file capabilities gain nothing.", examples=[False]
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            command: Sequence[str] = (),
            environment: Mapping[str, str] = {},
            clear_environment: bool = False,
            cwd: PathText | None = None,
            hostname: str | None = None,
            unshare: Sequence[NamespaceKind] = (),
            capabilities: Sequence[str] | None = None,
            parameters: bool = False,
            no_new_privs: bool = True,
        ) -> None: ...


class Parameter(_Table):
    """A text that is not the same everywhere: it is given, or from the environment, or what is written here."""

    CALLED = "a parameter"

    env: Variable | None = Field(
        default=None, description="The environment variable that it is taken from.", examples=["HOME"]
    )
    default: Content | None = Field(default=None, description="What it is if nothing else is said.", examples=["/root"])
    description: Word | None = Field(
        default=None, description="What it is for.", examples=["where the user's files are"]
    )

    if TYPE_CHECKING:

        def __init__(
            self, *, env: str | None = None, default: str | None = None, description: str | None = None
        ) -> None: ...


def _parameter(value: object) -> str | Parameter:
    if type(value) is dict and "escaped" not in value:
        return Parameter.model_validate(value)
    return value if isinstance(value, Parameter) else values.parameter(value)


ParameterValue = Annotated[str | Parameter, PlainValidator(_parameter), _or_table({"type": "string"}, Parameter)]


class Spec(_Table):
    """A mount tree and its sharing, as written. Two specs are equal if they say the same, wherever they are from."""

    CALLED = "a spec"

    format: Literal[1] = Field(description="The version of the language.", examples=[FORMAT])
    name: Name | None = Field(default=None, description="What the tree is called.", examples=["shop"])
    include: list[LocalPath] = Field(
        default_factory=list,
        description="Other specs that belong to this one; a relative path counts from the directory of the spec.",
        examples=[["base.toml"]],
    )
    parameters: dict[Name, ParameterValue] = Field(
        default_factory=dict,
        description="What texts in the spec name as ${NAME}: a value, or where it is from.",
        examples=[{"home": {"env": "HOME", "default": "/root"}}],
    )
    root: Literal["inherit", "new"] | None = Field(
        default=None,
        description="A copy of the host's tree, or a root of its own; without it, a mount on / makes a new root.",
        examples=["inherit"],
    )
    preset: Presets = _preset()
    propagation: InheritedSharing = _propagation()
    peer_group: dict[Name, PeerGroup] = Field(
        default_factory=dict,
        description="The sharing groups with a master, or of the host.",
        examples=[{"feed": {"host": "/srv/feed"}}],
    )
    remove: list[InheritedRemoval] = _removals()
    change: list[InheritedChange] = _changes()
    mount: list[Mount] = Field(
        default_factory=list,
        description="The mounts, in any order but for several on one target: later ones are on top.",
        examples=[[{"target": "/mnt", "type": "tmpfs"}]],
    )
    namespace: list[Namespace] = Field(
        default_factory=list, description="Several namespaces, each with its mounts.", examples=[[{"name": "web"}]]
    )
    run: Run = Field(
        default_factory=Run, description="How `mountplan run` starts its command.", examples=[{"command": ["sh"]}]
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            format: Literal[1] = 1,
            name: str | None = None,
            include: Sequence[PathText] = (),
            parameters: Mapping[str, str | Parameter] = {},
            root: Literal["inherit", "new"] | None = None,
            preset: str | Sequence[str] = (),
            propagation: InheritedSharing = "private",
            peer_group: Mapping[str, PeerGroup] = {},
            remove: Sequence[InheritedRemoval] = (),
            change: Sequence[InheritedChange] = (),
            mount: Sequence[Mount] = (),
            namespace: Sequence[Namespace] = (),
            run: Run = Run(),  # noqa: B008
        ) -> None: ...
    else:

        def __init__(self, /, **values: Any) -> None:
            super().__init__(**{"format": FORMAT, **values})
            self._file = "Spec(...)"
            if not self.has_tree and not self.include:
                what, remedy = "has no mount", 'add some: mount=[Mount(target="/", type="tmpfs")]'
                raise SpecError((Mistake(self.ref(""), what, remedy),))

        __init__.__pydantic_base_init__ = True

    _file: str = "spec"
    _places: Places | None = None
    _damaged: frozenset[str] = frozenset()
    _origins: Origins | None = None
    _settings: tuple[Setting, ...] = ()

    @classmethod
    def checked(cls, raw: Mapping[str, object]) -> Spec | ValidationError:
        """The spec, or what the models have to say against it."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            return error

    def read_from(
        self, file: str, places: Places | None, damaged: frozenset[str] = frozenset(), origins: Origins | None = None
    ) -> Spec:
        """This spec, which knows from now on where it is from: for the one that reads it.

        `damaged` are the key paths of what is not as its author wrote it.
        """
        self._file, self._places, self._damaged, self._origins = file, places, damaged, origins
        return self

    def settle(self, settings: tuple[Setting, ...]) -> Spec:
        """Itself without parameters, which nothing in it names any more."""
        spec = self.model_copy(update={"parameters": {}}) if self.parameters else self
        spec._settings = settings
        return spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @property
    def has_tree(self) -> bool:
        """Is there anything to build? A root that is said to be the host's, or a new one, is a tree without mounts."""
        return bool(self.mount or self.namespace or self.preset or self.root is not None)

    @property
    def file(self) -> str:
        """The name the user gave the spec; errors quote it."""
        return self._file

    @property
    def damaged(self) -> frozenset[str]:
        """The key paths of what is not as its author wrote it."""
        return self._damaged

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What its parameters came to."""
        return self._settings

    @property
    def moved(self) -> tuple[Moved, ...]:
        """What is known by another name in the file that it is from; () if there is one file only."""
        return self._origins.moved() if self._origins else ()

    def headers(self) -> tuple[tuple[str, int], ...]:
        """The key path of every table, and the line of its header in its file."""
        if self._origins:
            return self._origins.headers()
        return self._places.headers() if self._places else ()

    def ref(self, key: str) -> SpecRef:
        """The place of `key`, such as `mount[3].bind`, in this spec."""
        if self._origins:
            return self._origins.ref(key)
        return SpecRef(self._file, key, self._places.line(key) if self._places else 0)

    def located(self, ref: SpecRef) -> SpecRef:
        """A place in a file of this spec, with its line."""
        return self._origins.located(ref) if self._origins else self.ref(ref.key)

    def position(self, ref: SpecRef) -> tuple[int, int]:
        """Where a place comes in the order of the files."""
        return self._origins.position(ref) if self._origins else (0, ref.line)

    def told(self, mistake: Mistake) -> Mistake:
        """A mistake that was found in the meaning of this spec, with its place in the file that it is from."""
        return self._origins.told(mistake) if self._origins else mistake._replace(ref=self.ref(mistake.ref.key))

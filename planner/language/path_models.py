"""What stands in a spec where a path of the host could: a path in another mount, a namespace's file, an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PlainValidator, model_validator

from mountplan.planner.language import values
from mountplan.planner.language.field_types import (
    AbsolutePath,
    Amount,
    InnerPath,
    Length,
    NamespaceName,
    Partition,
    Reference,
    Word,
)
from mountplan.planner.language.spec_table import PathText, SpecTable, or_table
from mountplan.planner.paths import ROOT, TargetPath


class MountPath(SpecTable):
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


class NamespaceFile(SpecTable):
    """The file of a namespace, which is mounted to give that a name, or to keep it."""

    CALLED = "a namespace file"

    namespace: NamespaceName = Field(
        description="A process of it, as net:PID, or the path of its file; net:/path checks its kind.",
        examples=["net:4711"],
    )

    if TYPE_CHECKING:

        def __init__(self, *, namespace: str) -> None: ...


class Mask(SpecTable):
    """A path inside a mount, or a glob."""

    CALLED = "a path in a list"

    path: InnerPath = Field(description="What is meant: a path inside the mount, or a glob.", examples=["/proc/kcore"])
    optional: bool = Field(
        default=False, description="It is left out, and told, where nothing is there.", examples=[True]
    )

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


class SparedPath(SpecTable):
    """A path of the host that a change leaves out."""

    CALLED = "a path in except"

    path: AbsolutePath = Field(description="A path of the host.", examples=["/srv/data"])
    optional: bool = Field(default=False, description="It is no mistake if there is no such path.", examples=[True])

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


class Image(SpecTable):
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


def _spared(value: object) -> TargetPath | SparedPath:
    if type(value) is dict and "escaped" not in value:
        return SparedPath.model_validate(value)
    return value if isinstance(value, SparedPath) else values.absolute_path(value)


def _image(value: object) -> TargetPath | Image:
    if type(value) is dict and "escaped" not in value:
        return Image.model_validate(value)
    return value if isinstance(value, Image) else values.absolute_path(value)


Place = Annotated[
    TargetPath | MountPath, PlainValidator(_place), or_table({"type": "string", "pattern": r"^(/|\./|\.$)"}, MountPath)
]
Bound = Annotated[
    TargetPath | MountPath | NamespaceFile,
    PlainValidator(_bound),
    or_table({"type": "string", "pattern": r"^(/|\./|\.$)"}, MountPath, NamespaceFile),
]
Spared = Annotated[
    TargetPath | SparedPath, PlainValidator(_spared), or_table({"type": "string", "pattern": "^/"}, SparedPath)
]
ImagePlace = Annotated[TargetPath | Image, PlainValidator(_image), or_table({"type": "string", "pattern": "^/"}, Image)]
Hidden = Annotated[TargetPath | Mask, PlainValidator(_hidden), or_table({"type": "string", "minLength": 1}, Mask)]

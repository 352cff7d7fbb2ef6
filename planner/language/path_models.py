"""What stands in a spec where a path of the host could: a path in another mount, a namespace's file, an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import PlainValidator, model_validator

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
from mountplan.planner.language.spec_table import PathText, SpecTable, flag, key, or_table, required, text_or
from mountplan.planner.paths import ROOT, TargetPath


class MountPath(SpecTable):
    """A path in the filesystem of another mount of the spec, counted from that mount's root."""

    CALLED = "a path in another mount"

    mount: Reference = required("The id of that mount.", "data")
    path: InnerPath = key(
        "The path, counted from the root of that mount.",
        "/incoming",
        default=lambda: ROOT,
        json_schema_extra={"default": "/"},
    )
    hidden: bool = flag("The path lies below another mount of the spec, and what is covered there is meant.")
    deleted: bool = flag("The path is removed once it is mounted, so that a file is shown that has no name any more.")
    file: bool = flag("It is a file; where nothing is, an empty one is made, and without this a directory.")

    if TYPE_CHECKING:

        def __init__(
            self, *, mount: str, path: PathText = "/", hidden: bool = False, deleted: bool = False, file: bool = False
        ) -> None: ...


class NamespaceFile(SpecTable):
    """The file of a namespace, which is mounted to give that a name, or to keep it."""

    CALLED = "a namespace file"

    namespace: NamespaceName = required(
        "A process of it, as net:PID, or the path of its file; net:/path checks its kind.", "net:4711"
    )

    if TYPE_CHECKING:

        def __init__(self, *, namespace: str) -> None: ...


class Mask(SpecTable):
    """A path inside a mount, or a glob."""

    CALLED = "a path in a list"

    path: InnerPath = required("What is meant: a path inside the mount, or a glob.", "/proc/kcore")
    optional: bool = flag("It is left out, and told, where nothing is there.")

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


class SparedPath(SpecTable):
    """A path of the host that a change leaves out."""

    CALLED = "a path in except"

    path: AbsolutePath = required("A path of the host.", "/srv/data")
    optional: bool = flag("It is no mistake if there is no such path.")

    if TYPE_CHECKING:

        def __init__(self, *, path: PathText, optional: bool = False) -> None: ...


class Image(SpecTable):
    """A part of an image file, or one that is in another mount of the spec."""

    CALLED = "image"

    path: Word = required("The file: a path of the host, or in the mount, counted from its root.", "/srv/disk.img")
    mount: Reference | None = key("The id of the mount that the file is in; without it, it is the host's.", "iso")
    offset: Amount = key("Where in the file it begins, in bytes.", 1048576, default=0)
    size: Length = key("How many bytes of it; without it, all to the end.", 8388608, default=0)
    partition: Partition | None = key("The partition of it, by its number or its label.", 2, "root")

    if TYPE_CHECKING:

        def __init__(self, *, path: str, mount: str | None = None, offset: int = 0, size: int = 0,
                     partition: int | str | None = None) -> None: ...  # fmt: skip

    @model_validator(mode="after")
    def _is_a_plain_path(self) -> Image:
        try:
            TargetPath.parse("/" + self.path.lstrip("/"))
        except ValueError as error:
            raise values.Unfit(f"path: {values.shown(self.path)} {error}", "write the path that is meant") from None
        return self


_place = text_or(MountPath, values.place)


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


_HOST = {"type": "string", "pattern": r"^(/|\./|\.$)"}
_ABSOLUTE = {"type": "string", "pattern": "^/"}
_INNER = {"type": "string", "minLength": 1}
_read_image, _read_mask = text_or(Image, values.absolute_path), text_or(Mask, values.mask_path)
_read_spared = text_or(SparedPath, values.absolute_path)
Place = Annotated[TargetPath | MountPath, PlainValidator(_place), or_table(_HOST, MountPath)]
Bound = Annotated[
    TargetPath | MountPath | NamespaceFile, PlainValidator(_bound), or_table(_HOST, MountPath, NamespaceFile)
]
Spared = Annotated[TargetPath | SparedPath, PlainValidator(_read_spared), or_table(_ABSOLUTE, SparedPath)]
ImagePlace = Annotated[TargetPath | Image, PlainValidator(_read_image), or_table(_ABSOLUTE, Image)]
Hidden = Annotated[TargetPath | Mask, PlainValidator(_read_mask), or_table(_INNER, Mask)]

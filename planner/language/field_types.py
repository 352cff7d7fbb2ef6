"""What a single value of a spec may be, to the models and to editors: values.py reads it, and its JSON schema."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from mountplan.planner.language import values
from mountplan.planner.language.mount_options import MountOptions, mount_options
from mountplan.planner.language.presets import NAMES as PRESETS
from mountplan.planner.paths import TargetPath
from mountplan.planner.run_settings import CAPABILITIES

ESCAPED = {
    "type": "object",
    "description": r"A text with bytes that are not UTF-8: each is a backslash and three octal digits.",
    "properties": {"escaped": {"type": "string"}},
    "required": ["escaped"],
    "additionalProperties": False,
}


def _text(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string", **keywords}, ESCAPED]})


def _plain(**keywords: Any) -> WithJsonSchema:
    """A text that takes no bytes."""
    return WithJsonSchema({"type": "string", **keywords})


_ABSOLUTE = _text(pattern=r"^(/|\./|\.$)")
_OPTION = {
    "anyOf": [{"type": ["string", "integer", "boolean"]}, {"type": "array", "items": {"type": "string"}}, ESCAPED]
}
_ID_LINE = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 3, "maxItems": 3}
_ID = {"type": "integer", "minimum": 0, "exclusiveMaximum": values.MAX_ID}
AbsolutePath = Annotated[TargetPath, PlainValidator(values.absolute_path), _ABSOLUTE]
LocalPath = Annotated[str, PlainValidator(values.local_path), _text(minLength=1)]
InnerPath = Annotated[TargetPath, PlainValidator(values.inner_path), _text(minLength=1)]
Word = Annotated[str, PlainValidator(values.word), _text(minLength=1)]
Link = Annotated[str, PlainValidator(values.link), _text(minLength=1)]
NamespaceName = Annotated[str, PlainValidator(values.namespace_name), _text(minLength=1)]
Source = Annotated[str, PlainValidator(values.source), _text()]
Content = Annotated[str, PlainValidator(values.content), _text()]
Argument = Annotated[str, PlainValidator(values.argument), _text()]
Name = Annotated[str, PlainValidator(values.name), _plain(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*$", maxLength=100)]
Reference = Annotated[str, PlainValidator(values.reference), _plain()]
FilesystemType = Annotated[str, PlainValidator(values.filesystem_type), _plain(pattern="^[A-Za-z0-9_.-]{1,64}$")]
Mode = Annotated[str, PlainValidator(values.mode), _plain(pattern="^0?[0-7]{1,4}$")]
Device = Annotated[str, PlainValidator(values.device), _plain(pattern=r"^[cb]:\d{1,7}:\d{1,7}$")]
Attribute = Annotated[str, PlainValidator(values.attribute), _plain(enum=list(values.NAMES))]
_PRESET = {"type": "string", "enum": list(PRESETS)}
Presets = Annotated[
    tuple[str, ...],
    PlainValidator(values.preset),
    WithJsonSchema({"anyOf": [_PRESET, {"type": "array", "items": _PRESET, "uniqueItems": True}]}),
]
OptionName = Annotated[str, PlainValidator(values.option_name), _plain(minLength=1)]
PastedOptions = Annotated[MountOptions, PlainValidator(mount_options), _text(minLength=1)]
OptionValue = Annotated[bool | int | str | list[str], PlainValidator(values.option_value), WithJsonSchema(_OPTION)]
_BYTES = {"type": "integer", "minimum": 0, "maximum": values.MAX_BYTES}
Amount = Annotated[int, PlainValidator(values.amount), WithJsonSchema(_BYTES)]
Length = Annotated[int, PlainValidator(values.length), WithJsonSchema(_BYTES | {"minimum": 1})]
Partition = Annotated[
    int | str,
    PlainValidator(values.partition),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}]}),
]
Owner = Annotated[int, PlainValidator(values.owner), WithJsonSchema(_ID)]
IdLine = Annotated[tuple[int, int, int], PlainValidator(values.id_line), WithJsonSchema(_ID_LINE)]
Variable = Annotated[str, PlainValidator(values.variable), _plain(pattern="^[^=]+$")]
Hostname = Annotated[str, PlainValidator(values.hostname), _text(minLength=1)]
Capability = Annotated[str, PlainValidator(values.capability), _plain(enum=list(CAPABILITIES))]

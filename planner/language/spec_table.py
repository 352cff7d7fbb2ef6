"""What all tables of a spec have in common: they take Python's values as well as TOML's, and tell every mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any, ClassVar, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language.field_types import ESCAPED
from mountplan.planner.language.locate import key_path
from mountplan.planner.language.wording import findings

PathText: TypeAlias = "str | PathLike[str]"  # a path as Python programs have it
Table = TypeVar("Table", bound="SpecTable")
Text = TypeVar("Text", bound=str)


# What is not said. Not `list` and `dict` themselves: to see what they take, pydantic has the text of their signature
# read by a tokenizer, each time, which makes a fifth of all calls that loading the models takes.
def no_list() -> list[Any]:
    return []


def no_table() -> dict[str, Any]:
    return {}


def required(description: str, *examples: object, **more: Any) -> Any:
    """A key that a table must have; `more` is what pydantic calls what else is said of it."""
    return Field(description=description, examples=list(examples), **more)


def key(description: str, *examples: object, default: object = None, **more: Any) -> Any:
    """A key that a table may have. A `default` that is a function makes one for each table."""
    what = {"default_factory" if callable(default) else "default": default}
    return required(description, *examples, **what, **more)


def listed(description: str, example: list[Any], **more: Any) -> Any:
    """A key with a list, which is empty where nothing is said."""
    return key(description, example, default=no_list, **more)


def keyed(description: str, example: dict[str, Any]) -> Any:
    """A key with a table whose keys are free."""
    return key(description, example, default=no_table)


def flag(description: str, *, default: bool = False) -> Any:
    return key(description, not default, default=default)


class SpecTable(BaseModel):
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


def text_or(table: type[Table], text: Callable[[object], Text]) -> Callable[[object], Text | Table]:
    """Reads a table, or anything else as `text` does; `{ escaped = ... }` is a text."""

    def read(value: object) -> Text | Table:
        if type(value) is dict and "escaped" not in value:
            return table.model_validate(value)
        return value if isinstance(value, table) else text(value)

    return read


def or_table(text: dict[str, Any], *models: type[BaseModel]) -> WithJsonSchema:
    """The schema of a string, or of a table of a model.

    What reads such a value is no union of pydantic's: what that has to say about one that fits none of its
    alternatives is one complaint for each of them, and it takes longer to say yes.
    """
    tables = ({"table": model.__name__} for model in models)  # planner/language/schema.py puts them in
    return WithJsonSchema({"anyOf": [text, ESCAPED, *tables]})

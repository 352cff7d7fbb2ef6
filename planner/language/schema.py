"""The language as JSON Schema, for editors that check and complete TOML (taplo, Even Better TOML, JetBrains, ...).

It is a little more generous than planner/language/spec.py: what needs more than one place of a spec is not in it.
"""

from __future__ import annotations

from typing import Any

from mountplan.planner.language.field_types import ESCAPED
from mountplan.planner.language.mount_models import IdMap
from mountplan.planner.language.path_models import Image, Mask, MountPath, NamespaceFile, SparedPath
from mountplan.planner.language.spec import Parameter, Spec

# What may be a text may be made of parameters, and what these come to is not known in an editor.
_REFERENCE = r"\$\{.+\}"
_WITH_PARAMETERS = {"type": "string", "description": "A text with ${NAME} in it.", "pattern": _REFERENCE}

_NARROW = ("type", "pattern", "enum", "maxLength", "minLength", "minimum", "maximum", "exclusiveMaximum")

NAME = "urn:mountplan:spec:1"  # of format = 1; no address, as nothing is fetched
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a whole spec, every key with a title, a description and examples."""
    schema = Spec.model_json_schema()
    named = (MountPath, NamespaceFile, Mask, SparedPath, IdMap, Image, Parameter)  # which no pydantic union holds
    definitions = schema.pop("$defs") | {model.__name__: model.model_json_schema() for model in named}
    return {
        "$schema": DIALECT,
        "$id": NAME,
        **_tidy(schema),
        "title": "mountplan spec",
        "anyOf": [{"required": [key]} for key in ("mount", "namespace", "root", "preset", "include")],
        "$defs": {"Escaped": ESCAPED, "WithParameters": _WITH_PARAMETERS}
        | {name: _tidy(definitions[name]) for name in sorted(definitions)},
    }


def _tidy(node: Any) -> Any:
    """Without null, which TOML does not have, and with references to what is defined once for all."""
    if isinstance(node, list):
        return [_tidy(one) for one in node if one != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    if node == ESCAPED:
        return {"$ref": "#/$defs/Escaped"}
    if node.keys() == {"table"}:
        return {"$ref": f"#/$defs/{node['table']}"}
    tidy = {key: _tidy(value) for key, value in node.items() if not (key == "default" and value is None)}
    if "patternProperties" in tidy:
        (names,) = tidy["patternProperties"]
        tidy["patternProperties"][_REFERENCE] = tidy["patternProperties"][names]
        tidy["additionalProperties"] = False
    narrow = tidy.get("type") == "string" and ("pattern" in tidy or "enum" in tidy)
    if narrow or (tidy.get("type") == "integer" and "minimum" in tidy):
        alone = {key: tidy.pop(key) for key in _NARROW if key in tidy}
        return {"anyOf": [alone, {"$ref": "#/$defs/WithParameters"}], **tidy}
    if len(tidy.get("anyOf", ())) == 1:
        (only,) = tidy.pop("anyOf")
        return only | tidy
    return tidy

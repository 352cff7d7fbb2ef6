"""The JSON Schema: what editors are told is what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli
from hypothesis import given, settings

from mountplan.planner.errors import SpecError
from mountplan.planner.language.schema import json_schema
from mountplan.planner.language.spec import Spec
from mountplan.planner.language.spec_reading import build_spec
from tests.planner.spoilt import MODELS, SPECS, spoilt_specs
from tests.share import Share


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example_fits_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(tomli.loads(path.read_text()))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_has_a_description_and_examples_that_are_accepted(model: type[Spec]) -> None:
    """Editors show them, and so do mistakes: `add target = "/srv/data"`."""
    needed = {
        name: info.examples[0] for name, info in model.model_fields.items() if info.examples and info.is_required()
    }
    for field, info in model.model_fields.items():
        name = info.alias or field
        assert info.description, name
        assert info.examples, name
        for example in info.examples:
            model.model_validate(needed | {name: example})


def test_every_key_of_the_schema_has_a_title() -> None:
    schema = json_schema()
    for table in (schema, *schema["$defs"].values()):
        for name, key in table.get("properties", {}).items():
            assert "title" in key or "$ref" in key or name == "escaped", name


@pytest.mark.parametrize(
    "spec",
    [
        {"format": 2, "mount": []},
        {"format": 1},
        {"format": 1, "mount": [{"target": "relative"}]},
        {"format": 1, "mount": [{"target": "/", "recusive": True}]},
        {"format": 1, "mount": [{"target": "/", "bind": {"path": "/x"}}]},
        {"format": 1, "mount": [{"target": "/", "attributes": ["nope"]}]},
        {"format": 1, "mount": [{"target": "/"}], "peer_group": {"a b": {}}},
    ],
    ids=str,
)
def test_an_editor_sees_what_is_wrong_in_one_place(spec: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(spec)
    with pytest.raises(SpecError):
        build_spec(spec)


def test_what_is_a_spec_fits_the_schema() -> None:
    """An editor must not underline what mountplan accepts."""
    accepted = Share()

    @settings(max_examples=50)
    @given(spoilt_specs)
    def run(raw: dict[str, Any]) -> None:
        try:
            build_spec(raw)
        except SpecError:
            accepted.count(False)
            return
        accepted.count(True)
        jsonschema.Draft202012Validator(json_schema()).validate(raw)

    run()
    accepted.must_be(0.04)


def test_a_tree_may_be_only_a_root() -> None:
    raw = {"format": 1, "root": "inherit"}
    assert "inherit" == build_spec(raw).root
    jsonschema.Draft202012Validator(json_schema()).validate(raw)

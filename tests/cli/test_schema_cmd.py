"""schema: the JSON Schema of the language."""

from __future__ import annotations

from tests.cli.command_line import Command


def test_the_schema_is_json_schema_of_a_spec(run: Command) -> None:
    for words in ([], ["--json"]):
        document = run("schema", *words).json()
        assert document["$schema"].startswith("https://json-schema.org/")
        assert "mount" in document["properties"]

"""What commands print with --json is what its schema in docs/json says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.test_kept_commands import mountplan, spec
from tests.hosts import CHECKOUT, InHost
from tests.keptnames import on_run

pytestmark = [pytest.mark.needs_kernel("mountns", "set-group"), pytest.mark.usefixtures("all_imported")]
jsonschema = pytest.importorskip("jsonschema")

HELLO = str(CHECKOUT / "specs/hello.toml")
LEFT_OUT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount]]\ntarget = "/x"\nbind = "/no/such"\noptional = true\n'


def documents() -> list[tuple[str, str]]:
    """The name of the schema, and what was printed."""
    bad = spec('[[mount]]\ntarget = "srv"\ntypo = 1\n', "bad.toml")
    other = spec(f'name = "hello"\n{LEFT_OUT}', "other.toml")
    asked = [
        ("check", "check", HELLO, bad, other),
        ("error", "apply", bad),
        ("error", "show", "nonesuch"),
        ("error", "check"),
        ("apply", "apply", other, "--forget"),
        ("apply", "apply", HELLO),
        ("apply", "apply", HELLO),
        ("ls", "ls"),
        ("show", "show", "hello"),
        ("verify", "verify", other, "hello"),
        ("diff", "diff", other, "hello"),
        ("plan-live", "plan", other, "--live", "hello"),
        ("explain", "explain", str(CHECKOUT / "specs/disjoint-group.toml")),
        ("capture", "capture", "hello"),
        ("doctor", "doctor"),
        ("rm", "rm", "hello"),
    ]
    return [(name, mountplan(*words, "--json").out) for name, *words in asked]


def test_what_is_printed_is_what_the_schema_says(in_host: InHost) -> None:
    seen: set[str] = set()
    run: Callable[[], Any] = on_run(documents)
    for name, text in in_host(run, timeout=300):
        seen.add(name)
        schema = json.loads((CHECKOUT / f"docs/json/{name}.json").read_text())
        document = json.loads(text)
        assert name == "error" or not isinstance(document, dict) or set(document) != {"error"}, (name, document)
        jsonschema.validate(document, schema)
    assert {path.stem for path in CHECKOUT.glob("docs/json/*.json")} == seen

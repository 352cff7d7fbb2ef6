"""A plan file gives back the plan that was written, or says what is wrong with it and what to do."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mountplan
from mountplan.planner import light
from mountplan.planner.errors import PlanFileError, PlanRefused
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan, parse_plan
from mountplan.planner.plan.step_columns import StepColumns
from mountplan.planner.plan.steps import STEP_TYPES, Step
from mountplan.planner.plan.text_numbers import TextNumbers
from mountplan.planner.tables.columns import RecordColumns
from tests.planner.plans import shop, wide
from tests.share import Share

# What can stand in a field: text that came from bytes, whether or not they were UTF-8.
TEXT = st.binary(max_size=12).map(os.fsdecode) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, NamedTuples and all below them included."""
    origin = get_origin(annotation)
    if annotation == Step:
        return st.one_of([values(cls) for cls in STEP_TYPES])
    if origin is tuple:
        parts = get_args(annotation)
        if parts[-1] is Ellipsis:
            return st.lists(values(parts[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, parts))
    if isinstance(annotation, light.Literal):  # type: ignore[arg-type]  # at run time it is a class
        literal: Any = annotation
        return st.sampled_from(literal.__args__)
    if origin in (Union, UnionType):
        return st.one_of([values(part) for part in get_args(annotation)])
    if hasattr(annotation, "_fields"):
        return st.builds(annotation, **{name: values(hint) for name, hint in get_type_hints(annotation).items()})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(-(2**63), 2**64 - 1),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    return simple[annotation]


def types(value: Any) -> Any:
    """A value's type and that of all it holds: equality alone does not tell a Layer from a tuple, nor 1 from True."""
    if isinstance(value, (RecordColumns, StepColumns)):
        value = tuple(value)
    return (type(value), [types(part) for part in value]) if isinstance(value, tuple) else type(value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(values(Plan))
def test_what_is_loaded_is_what_was_dumped(plan: Plan) -> None:
    again = parse_plan(dump_plan(plan).encode(), "x.json")
    assert plan == again
    assert types(plan) == types(again)
    assert dump_plan(plan) == dump_plan(again)


@pytest.mark.parametrize("plan", [shop(), wide(3)], ids=lambda plan: plan.name)
def test_a_plan_dumps_to_the_same_bytes_again(plan: Plan) -> None:
    text = dump_plan(plan)
    assert text == dump_plan(load_plan(text, "x.json"))
    assert text.endswith("}\n")


def test_texts_are_numbered_as_they_come_however_columns_repeat_each_other() -> None:
    """Stretches that stand there already are found as a whole, wherever one begins, breaks off or is cut short."""
    for seed in range(60):
        pick = random.Random(seed)
        strings, naive, written = TextNumbers(), dict[str, int](), list[str]()
        for _ in range(6):
            column: list[str] = []
            for _ in range(pick.randrange(1, 6)):
                at, length = pick.randrange(len(written) + 1), pick.choice((1, 5, 100, 128, 300))
                new = [f"{seed}.{pick.randrange(2000)}" for _ in range(length)]
                column += pick.choice((written[at : at + length], new, new[:1] * length))
            assert [naive.setdefault(text, len(naive)) for text in column] == strings.numbers(column)
            assert list(naive) == strings.texts
            written += column


def test_a_column_that_was_there_before_is_not_looked_up_text_by_text() -> None:
    """That was half of the time of writing a plan of 50,000 mounts: of so many texts each look-up reads memory."""

    class Counting(dict[str, int]):
        asked = 0

        def setdefault(self, text: str, number: int = 0, /) -> int:
            self.asked += 1
            return super().setdefault(text, number)

    strings, column = TextNumbers(), [f"/m/{number}" for number in range(10_000)]
    strings.number = counting = Counting()
    assert list(range(10_000)) == strings.numbers(column)
    counting.asked = 0
    assert [*range(50, 10_000), 10_000] == strings.numbers([*column[50:], "new"])
    assert counting.asked < 300


def test_every_column_and_every_string_has_its_own_line() -> None:
    """So that `diff` on two plans shows what differs."""
    lines = dump_plan(shop()).splitlines()
    assert '"mount": [' in {line[:10] for line in lines}
    assert '"/srv/replica",' in lines
    assert 1 == sum(line.startswith('"/srv/replica"') for line in lines)
    assert '"path": ["' not in lines
    changed = dump_plan(shop()._replace(name="other")).splitlines()
    assert 2 == sum(one != other for one, other in zip(lines, changed, strict=True))  # the digest too


def test_what_all_records_have_is_written_once_and_what_is_zero_not_at_all() -> None:
    nodes = json.loads(dump_plan(shop()))["steps"]["make_node"]
    assert [-1] == nodes["mode"]
    assert "careful" not in nodes
    assert 10 == len(nodes["path"])


@pytest.mark.parametrize(("count", "most"), [(1000, 100), (4000, 100)])
def test_a_plan_takes_few_bytes_a_mount(count: int, most: int) -> None:
    assert len(dump_plan(wide(count))) / count < most


def test_the_head_names_format_version_and_digest() -> None:
    head = json.loads(dump_plan(shop()))
    assert ["format", "mountplan", "digest"] == list(head)[:3]
    assert mountplan.__version__ == head["mountplan"]
    assert head["digest"].startswith("sha256:")


def test_formatting_and_key_order_are_free() -> None:
    """A plan that went through jq or an editor is still the same plan."""
    document = json.loads(dump_plan(shop()))
    assert shop() == load_plan(json.dumps(document, indent=3, sort_keys=True), "x.json")
    assert shop() == load_plan(json.dumps(document, ensure_ascii=False).encode(), "x.json")


def test_bytes_that_are_not_utf8_survive() -> None:
    plan = shop()._replace(file=os.fsdecode(b"caf\xe9 \xf0\x9f\x9a\xaa\xff.toml"))
    assert plan == load_plan(dump_plan(plan).encode("ascii"), "x.json")


def refusal(text: str | bytes) -> str:
    with pytest.raises(PlanFileError) as caught:
        load_plan(text, "x.json")
    message = str(caught.value)
    assert message.startswith("x.json")
    assert message.endswith("remedy: make it again with `mountplan plan SPEC -o FILE`")
    return message


def edited(change: Any) -> str:
    document = json.loads(dump_plan(shop()))
    change(document)
    return json.dumps(document)


def test_an_edit_is_noticed() -> None:
    """Another mount would become read-only: well formed, but not what was planned."""
    document = json.loads(dump_plan(shop()))
    mounts = document["steps"]["set_attributes"]["mount"]
    mounts[0], mounts[-1] = mounts[-1], mounts[0]
    text = json.dumps(document)
    assert "altered" in refusal(text)
    assert "altered" in refusal(text.encode())


def test_a_wrong_digest_is_noticed() -> None:
    assert "altered" in refusal(edited(lambda document: document.update(digest="sha256:" + 64 * "0")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        ("[mount]\n", "it is not JSON"),
        ("[]", "not a plan"),
        ("null", "not a plan"),
        ('{"mounts": []}', "not a plan"),
        ('{"format": 1}', "its format is a number"),
        ('{"format": "mountplan-change/1"}', "it is a plan of changes, which `mountplan apply FILE.json` takes"),
        ('{"format": "mountplan-plan/3"}', "it has no digest"),
        ('{"format": "mountplan-plan/3", "digest": 3}', "it has no digest"),
        ('{"format": ' + "9" * 5000 + "}", "JSON that no plan holds"),
        ('{"format": ' + "[" * 100_000, "JSON that no plan holds"),
    ],
)
def test_what_is_no_plan_is_told_apart(text: str | bytes, reason: str) -> None:
    assert reason in refusal(text)


def test_a_plan_of_a_later_format_names_both_versions() -> None:
    text = edited(lambda document: document.update(format="mountplan-plan/9", mountplan="7.0"))
    assert "its format is mountplan-plan/9, written by mountplan 7.0; mountplan" in refusal(text)
    assert "reads mountplan-plan/3" in refusal(text)


STEPS = json.loads(dump_plan(shop()))["steps"]
ORDER = STEPS["order"]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (["steps", "explode"], {}, "steps.explode: is not a kind of step"),
        (["steps", "order"], ORDER + "z", 'steps.order: has steps of kind "z", and there are none'),
        (["steps", "order"], "a", "says something of none"),
        (
            ["steps", "order"],
            ORDER + STEPS["join_group"]["letter"],
            "steps.join_group.seed: must be a list of 1 or 5, not a list of 4",
        ),
        (["steps", "attach", "letter"], "a", "steps.attach.letter: must be a letter of its own"),
        (["steps", "attach", "letter"], "xy", "steps.attach.letter: must be a letter of its own"),
        (["steps", "order"], ["x"], "steps.order: must be a string, not a list of 1"),
        (["steps"], [], "steps: must be an object, not a list of 0"),
        (["steps", "attach"], "x", 'steps.attach: must be an object, not "x"'),
        (["steps", "attach", "mount"], 5, "steps.attach.mount: must be a list of 1 or 9, not a number"),
        (["steps", "attach", "mount"], [5, 6], "steps.attach.mount: must be a list of 1 or 9, not a list of 2"),
        (["steps", "attach", "mount", 2], "x", 'steps.attach.mount[2]: must be the number of a string, not "x"'),
        (["steps", "attach", "mount", 2], 999, "steps.attach.mount[2]: must be the number of a string, not 999"),
        (["steps", "attach", "mount", 2], -1, "steps.attach.mount[2]: must be the number of a string, not -1"),
        (["steps", "attach", "mount", 2], True, "steps.attach.mount[2]: must be the number of a string, not true"),
        (["steps", "attach", "careful"], [1], "steps.attach.careful[0]: must be true or false, not a number"),
        (["steps", "set_attributes", "set", 1], True, "steps.set_attributes.set[1]: must be a number, not true"),
        (["steps", "set_attributes", "set", 1], 1.5, "must be a number, not a number with a fraction"),
        (["steps", "set_attributes", "set", 1], 2**64, "steps.set_attributes.set[1]: is a number out of range"),
        (["steps", "set_attributes", "colour"], [1], "steps.set_attributes.colour: is not known to this version"),
        (["steps", "make_node", "node", 0], 0, 'steps.make_node.node[0]: must be one of "file", "directory"'),
        (["steps", "make_node", "device"], [[1]], "steps.make_node.device[0]: must be a list of 2, not a list of 1"),
        (["steps", "make_node", "device"], [[1, "x"]], 'steps.make_node.device[0][1]: must be a number, not "x"'),
        (["steps", "make_filesystem", "options", 0], [["size"]], "options[0][0]: must be a list of 2"),
        (["steps", "make_filesystem", "options", 0], [["size", None]], "must be a string or true or false, not null"),
        (["edges", "kind", 0], 0, "edges.kind[0]: must be one of"),
        (["edges", "count"], -1, "edges.count: must be how many there are"),
        (["edges", "count"], 3, "edges.before: must be a list of 1 or 3"),
        (
            ["edges"],
            {"count": 1 << 26, "before": [0], "after": [0], "kind": [0]},
            "67108864 of the same cannot be meant",
        ),
        (["lines"], {"count": 1 << 26, "origin": [0], "line": [1]}, "67108864 of the same cannot be meant"),
        (["namespaces", 0, "mounts", "set"], ["ro"], 'namespaces[0].mounts.set[0]: must be a number, not "ro"'),
        (["namespaces", 0, "pounds"], 1, "namespaces[0]: must be an object with name and mounts"),
        (["lines", "line", 0], True, "lines.line[0]: must be a number, not true"),
        (["strings", 0], 1, "strings[0]: must be a string, not a number"),
        (["run", "capabilities"], "all", 'run.capabilities: must be a list or null, not "all"'),
        (["sauce"], 1, "sauce: is not known"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(place: list[Any], value: Any, reason: str) -> None:
    def change(document: Any) -> None:
        for key in place[:-1]:
            document = document[key]
        document[place[-1]] = value

    assert reason in refusal(edited(change))


MANY: dict[str, list[Any]] = {  # of 40 mounts: a column of texts, of numbers, of conditions, and of certain words
    "mount": ["steps", "attach", "mount"],
    "line": ["lines", "line"],
    "careful": ["steps", "attach", "careful"],
    "lock": ["namespaces", 0, "mounts", "lock"],
}


@pytest.mark.parametrize(
    ("column", "runs", "reason"),
    [
        ("mount", 5, "mount.runs: must be a list, not a number"),
        ("mount", [5], "mount.runs[0]: must be a list of 2 or 3, not a number"),
        ("mount", [[0, 1], [1, 39, 1, 0]], "mount.runs[1]: must be a list of 2 or 3, not a list of 4"),
        ("mount", [[0, 41]], "mount.runs[0][1]: must be a number from 1 to 40, not 41"),
        ("mount", [[0, 1], [1, 1 << 40, 1]], "mount.runs[1][1]: must be a number from 1 to 39, not"),
        ("mount", [[0, 0], [1, 40, 1]], "mount.runs[0][1]: must be a number from 1 to 40, not 0"),
        ("mount", [[0, True], [1, 39, 1]], "mount.runs[0][1]: must be a number from 1 to 40, not true"),
        ("mount", [[0, 39, 1]], "mount.runs: must come to 40, not 39"),
        ("mount", [], "mount.runs: must come to 40, not 0"),
        ("mount", [[0, 40, 1000]], "mount.runs[0][0]: must be the number of a string, not 39000"),
        ("mount", [[5, 40, -1]], "mount.runs[0][0]: must be the number of a string, not -34"),
        ("mount", [["x", 40]], 'mount.runs[0][0]: must be the number of a string, not "x"'),
        ("mount", [[0, 40, True]], "mount.runs[0][2]: must be a number, not true"),
        ("line", [[0, 40, 1 << 62]], "line.runs[0][0]: is a number out of range"),
        ("line", [[1.5, 40]], "line.runs[0][0]: must be a number, not a number with a fraction"),
        ("careful", [[True, 40, 0]], "careful.runs[0]: must be a list of 2, not a list of 3"),
        ("careful", [[1, 40]], "careful.runs[0][0]: must be true or false, not a number"),
        ("lock", [[0, 39], [1, 1]], 'lock.runs[0][0]: must be one of "", "attributes"'),
        ("lock", [[0, 40, 1]], 'lock.runs[0][0]: must be one of "", "attributes"'),
    ],
)
def test_wrong_runs_are_told_with_their_place(column: str, runs: object, reason: str) -> None:
    document = place = json.loads(dump_plan(wide(39)))
    *above, last = MANY[column]
    for key in above:
        place = place[key]
    assert column in ("careful", "lock") or ["runs"] == list(place[last])
    place[last] = {"runs": runs}
    assert reason in refusal(json.dumps(document))


def test_a_field_that_has_no_zero_must_be_there() -> None:
    assert "steps.make_node.device: is missing" in refusal(
        edited(lambda document: document["steps"]["make_node"].pop("device"))
    )
    assert "run: is missing" in refusal(edited(lambda document: document.pop("run")))
    assert "steps: must be an object, not null" in refusal(edited(lambda document: document.pop("steps")))


def test_no_damage_gets_past_or_raises_anything_else() -> None:
    """Cut, flipped, swapped or doubled bytes: the plan is the one that was written, or a PlanFileError."""
    noticed = Share()

    @settings(max_examples=100)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        text = bytearray(dump_plan(shop()).encode())
        at = data.draw(st.integers(0, len(text) - 1))
        kind = data.draw(st.sampled_from(["cut", "flip", "double", "drop"]))
        if kind == "cut":
            del text[at:]
        elif kind == "flip":
            text[at] ^= data.draw(st.integers(1, 255))
        elif kind == "double":
            text[at:at] = text[at : at + data.draw(st.integers(1, 40))]
        else:
            del text[at : at + data.draw(st.integers(1, 40))]
        try:
            # What is outside of the digest: the version that wrote it, and white space.
            assert shop() == load_plan(bytes(text), "x.json")
        except PlanFileError:
            noticed.count(True)
        else:
            noticed.count(False)

    run()
    noticed.must_be(0.5)
    assert noticed.good < noticed.examples, "nothing was read"


@settings(max_examples=80)
@given(st.data())
def test_any_json_in_any_place_is_a_plan_file_error_at_worst(data: st.DataObject) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    document = json.loads(dump_plan(shop()))
    place = document
    while data.draw(st.booleans()) or place is document:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    try:
        load_plan(json.dumps(document), "x.json")
    except (PlanFileError, PlanRefused):
        pass


def test_loading_a_plan_needs_nothing_heavy() -> None:
    """Start-up counts: what `apply plan.json` imports is on its way to every program that is run in a namespace."""
    code = (
        "import sys, mountplan.planner.plan.planfile\n"
        "print(*{'pydantic', 'networkx', 'rich', 'dataclasses', 'argparse', 'tomllib', 'tomli'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\n" == done.stdout

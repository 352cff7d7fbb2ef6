"""Columns say what the records say that they stand for, whoever asks and however."""

from __future__ import annotations

import random
from itertools import pairwise, product
from typing import Any

import pytest

from mountplan import api
from mountplan.planner.errors import TableError
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import predict
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, parse_plan
from mountplan.planner.plan.proof_values import all_plain
from mountplan.planner.plan.step_columns import StepColumns, columns_of_kind, kinds_of, steps_between
from mountplan.planner.plan.step_runs import BINDS, columns_of_run, runs_of
from mountplan.planner.tables import columns as columns_module
from mountplan.planner.tables import mountinfo
from mountplan.planner.tables.columns import (
    AlikeColumn,
    JoinedColumn,
    RecordColumns,
    are_plain,
    are_same,
    columns_of,
    directories_of,
    equal_until,
    extent_of,
    first_places,
    joined,
    picked,
    without,
    zipped,
)
from mountplan.planner.tables.table import MountRow, MountTable, Walks
from tests.fakes import FakeHost, host_mount
from tests.planner.plans import shop, wide
from tests.planner.test_proof_runs import HOST, SPECS, planned

PLANS = (shop(), wide(3), *map(planned, SPECS.values()))

columns_module.load_native(1 << 20)
WAYS = (False, columns_module.native) if columns_module.native else (False,)  # by Python, and by what C was built as


def read(plan: Plan) -> Plan:
    return parse_plan(dump_plan(plan), "x.json")


@pytest.mark.parametrize("count", range(4))
def test_a_column_of_one_value_is_a_list_of_it(count: int) -> None:
    column, values = AlikeColumn("x", count), ["x"] * count
    assert (values, count, count) == (list(column), len(column), column.count("x"))
    assert column == values and column == AlikeColumn("x", count) and column != ["y"] * (count + 1)
    assert values[1:9] == column[1:9] and values[::2] == column[::2]
    assert (0, [values[0]] * 2) == (column.count("y"), picked(column, [0, 0])) if count else not column


def test_a_column_in_parts_is_a_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mountplan.planner.tables.columns._FEW", 0)
    seen = set()
    for seed in range(2000):
        dice = random.Random(seed)
        columns: list[Any] = []
        ends = sorted(dice.choices(range(9), k=dice.choice((2, 3, 9))))
        for _ in range(2):
            lengths = [end - begin for begin, end in pairwise((0, *(ends if dice.random() < 0.7 else (2, 4, 6)), 9))]
            parts = [
                dice.choice((AlikeColumn(dice.randrange(2), one), dice.choices(range(2), k=one))) for one in lengths
            ]
            columns.append(joined(parts))
            seen.add(type(columns[-1]))
        lists = [list(column) for column in columns]
        for column, alone in zip(columns, lists, strict=True):
            assert len(column) == 9 and column == alone and alone == column and [*alone, 0] != column
            assert [column[at] for at in range(-9, 9)] == [alone[at] for at in range(-9, 9)]
            begin, end = dice.randrange(10), dice.randrange(10)
            assert alone[begin:end] == list(column[begin:end]) and list(column[::-1]) == alone[::-1]
            assert all(column.count(one) == alone.count(one) for one in (0, 1, 2))
            assert [equal_until(column, at) for at in range(9)] == [equal_until(alone, at) for at in range(9)]
            assert list(picked(column, [8, 0, 3])) == picked(alone, [8, 0, 3])
            for one in alone:
                assert column.index(one) == alone.index(one)
            assert (1 in column) == (1 in alone)
            with pytest.raises(ValueError, match="not in list"):
                column.index(2)
            with pytest.raises(IndexError):
                column[9]
        assert (columns[0] == columns[1]) == (lists[0] == lists[1])
        wanted: dict[Any, int] = {}
        for place, values in enumerate(zip(*lists, strict=True)):
            wanted.setdefault(values, place)
        assert list(wanted.items()) == list(first_places(zipped(*columns)).items())
    assert seen == {AlikeColumn, JoinedColumn, list}


def test_a_column_of_one_part_is_a_list_of_it_too() -> None:
    assert JoinedColumn([[1, 2]]) == [1, 2] and JoinedColumn([[1, 2]]) != AlikeColumn(1, 2)


def test_where_a_column_changes_is_found_however_long_it_stays_the_same() -> None:
    for values in product("ab", repeat=9):
        for at in range(9):
            end = next((end for end in range(at, 9) if values[end] != values[at]), 9)
            assert end == equal_until(list(values), at), values


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_steps_that_were_read_are_the_steps(number: int) -> None:
    plan, again = PLANS[number], read(PLANS[number])
    dice = random.Random(number)
    assert isinstance(again.steps, StepColumns)
    for _ in range(30):
        begin = dice.randrange(len(plan.steps))
        end = begin + dice.randrange(9)
        assert plan.steps[begin:end] == steps_between(again.steps, begin, end)
    assert kinds_of(plan.steps) == kinds_of(again.steps)
    for cls in s.STEP_TYPES:
        assert columns_of_kind(plan.steps, cls) == columns_of_kind(again.steps, cls)
    runs = list(runs_of(plan.steps, BINDS))
    assert runs == list(runs_of(again.steps, BINDS))
    for run in reversed(runs):
        assert columns_of_run(plan.steps, run) == columns_of_run(again.steps, run)
    assert plan.steps == again.steps and hash(plan) == hash(again) and plan.steps[-1] is not again.steps[-1]


def test_a_record_of_many_is_had_without_the_others() -> None:
    rows = [MountRow(one, 0, "0:1", "/", f"/{one}", "rw", 0, 0, 0, False, "tmpfs", "x", "rw") for one in range(200)]
    columns = RecordColumns(MountRow, list(columns_of(rows, MountRow).values()))
    for place in (0, 1, 63, 64, 150, 3, 199):
        assert rows[place] == columns.at(place)
    assert rows[5:7] == list(columns.part(5, 7)) and tuple(rows) == columns


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_mounts_that_are_alike_are_predicted_as_one_by_one(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLANS[number]
    monkeypatch.setattr(predict, "_MANY", 1 << 30)
    wanted = predict.predict(plan, HOST.table)
    for least in (1, 2, 3):
        monkeypatch.setattr(predict, "_MANY", least)
        assert wanted == predict.predict(plan, HOST.table) == predict.predict(read(plan), HOST.table)


def test_binds_of_a_host_mount_whose_name_is_no_utf_8_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What C does not look at is left to Python: also a text that all the others begin with."""
    host = FakeHost({"/\udce9/in": "directory"}, (host_mount(2, 1, "/\udce9"),))
    bind = "[[mount]]\ntarget = '/t/{}'\nbind = {{ escaped = '/\\351/in' }}\n"
    text = "format = 1\n[[mount]]\ntarget = '/'\ntype = 'tmpfs'\n" + "".join(map(bind.format, range(predict._MANY)))
    plan = api.plan(parse_spec(text.encode(), "s.toml"), host)
    for way in WAYS:
        monkeypatch.setattr(columns_module, "native", way)
        (predicted,) = predict.predict(plan, host.table)
        assert {row.root for row in predicted.table.rows[1:]} == {"/in"}
        assert are_same(["/\udce9/in"], ["in"], "/\udce9/") and not are_plain(["in"], "/\udce9/", 9)


WORDS = (
    ("20", "21", "x"), ("1", "20"), ("0:5", "8:1"), ("/", "/a", "net:[5]", "/a\\040b"),
    ("/", "/b", "/c\\134", "/\udcff"),
    ("rw", "ro,nosuid"), ("", "", "shared:7 ", "shared:8 ", "master:7 ", "shared:8 master:7 ", "unbindable ", "new ",
    "propagate_from:7 ", "shared:y "), ("- ",) * 9 + ("",), ("tmpfs", "ext4", "-"), ("none", "a\\040b", ""),
    ("rw", "rw,x=\\054", "rw,a b"),
)  # fmt: skip


def test_lines_of_a_mount_table_are_read_together_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table or the same error, whatever the kernel may come to write."""
    tables = errors = 0
    for seed in range(3000):
        dice = random.Random(seed)
        words = [part[: 1 + dice.randrange(len(part))] for part in WORDS]
        few = [[dice.choice(part) for part in words] for _ in range(2)]
        lines = [" ".join(one[:6]) + " " + one[6] + one[7] + " ".join(one[8:]) + "\n" for one in dice.choices(few, k=7)]
        text = "".join(lines)[: dice.choice((None, None, None, -1))].encode(errors="surrogateescape")
        found: list[tuple[object, ...]] = []
        for least, block in ((1 << 30, 1 << 16), (1, 1 << 16), (2, 1), (4, 200)):
            monkeypatch.setattr(mountinfo, "_MANY", least)
            monkeypatch.setattr(mountinfo, "_BLOCK", block)
            for by_c in WAYS:
                monkeypatch.setattr(columns_module, "native", by_c)
                try:
                    found.append(tuple(mountinfo.parse_mountinfo(memoryview(text) if by_c else text).rows))
                    tables += 1
                except TableError as error:
                    found.append((str(error) if text.endswith(b"\n") else "",))  # which of two is told first
                    errors += 1
        assert found[:1] * len(found) == found, lines
    assert tables > 2000 and errors > 1000, (tables, errors)


def test_where_many_paths_lead_is_where_each_leads() -> None:
    alone = 0
    for seed in range(3000):
        dice = random.Random(seed)
        paths = [dice.choice(("/a", "/b", "/a/c", "/a/c/d", "/a/c-1", "/a/cd", "/")) for _ in range(dice.randrange(4))]
        mounts = dict.fromkeys((dice.randrange(1, 1 + number), path) for number, path in enumerate(paths, 1))
        rows = [
            MountRow(number, parent, f"0:{number}", "/", path, "rw", 0, 0, 0, False, "tmpfs", "x", "rw")
            for number, (parent, path) in enumerate(((0, "/"), *mounts), 1)
        ]
        some = ("/a", "/a/c", "/a/c/d", "/a/c/e", "/a/c-1/e", "/a/cd/e", "/b/c", "/")
        wanted = [dice.choice((str, TargetPath))(dice.choice(some)) for _ in range(dice.randrange(1, 4))]
        found = Walks(MountTable(tuple(rows))).ends_of(wanted, extent_of(wanted))
        assert [Walks(MountTable(tuple(rows))).end_of(path) for path in wanted] == list(found), (rows, wanted)
        alone += isinstance(found, AlikeColumn)
    assert 300 < alone < 2700, alone


def test_what_is_asked_of_texts_in_c_is_what_python_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    told = set()
    for seed in range(3000):
        dice = random.Random(seed)
        pieces = dice.choice(("ab/", "a/.", "a/\0", "a/\xe9", "a/\udc80"))
        above = "/" + "".join(dice.choices("ab/", k=dice.randrange(4)))
        texts = [above + "".join(dice.choices(pieces, k=dice.randrange(6))) for _ in range(dice.randrange(1, 5))]
        paths = dice.choice((texts, [*texts, TargetPath("/x")], tuple(texts), [text[1:] for text in texts]))
        before, most = dice.choice((("", 9), ("/", 3), ("/", 9)))
        other = [dice.choice((text, "".join(list(text)), "/a")) for text in paths]
        found = []
        for way in WAYS:
            monkeypatch.setattr(columns_module, "native", way)
            found.append((
                extent_of(paths), directories_of(paths), without(paths, ""), all_plain(paths, before),
                without(paths, above) if paths[0][:1] == "/" and paths[-1] != "/x" else [],
                are_same(paths, other), are_same(paths, other, "/"), are_same([f"a{one}" for one in other], other, "a"),
            ))  # fmt: skip
            told.add(are_plain(paths, before, most))
        assert found[:1] * len(found) == found, paths
    assert told == ({None, True, False} if len(WAYS) > 1 else {None})

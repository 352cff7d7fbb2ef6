"""What answers of the model look like, as text and as values: question by question in tests/golden/answers.txt."""

from __future__ import annotations

import json
from typing import Any

from mountplan import api
from mountplan.planner.ask.classic import classic_way
from mountplan.planner.ask.explain import Explainer
from mountplan.planner.ask.reach import reach
from mountplan.planner.ask.trial import Trial
from mountplan.planner.compare.compare import compare
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.sharing_stops import sharing_stops
from mountplan.planner.render import explained, foreseen, simulated
from mountplan.planner.render.difference_text import NamedSide, differences_text
from mountplan.planner.render.preview import plan_text
from mountplan.planner.shell.simulate import simulate
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, host_mount
from tests.planner.test_explain import CHAINS, FEED, tables
from tests.planner.test_render import golden

HOST = FakeHost(
    {"/srv/feed/in": "directory", "/usr/bin": "directory"},
    (
        host_mount(2, 1, "/srv/feed", shared=5),
        host_mount(3, 2, "/srv/feed/in", shared=6),
        host_mount(4, 1, "/usr", master=7),
    ),
)
SPEC = """\
format = 1
name = "shop"
[peer_group.feed]
host = "/srv/feed"
[peer_group.data]
[peer_group.copies]
master = "data"
[[namespace]]
name = "web"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
id = "data"
target = "/data"
type = "tmpfs"
attributes = ["ro"]
peer_group = "data"
[[namespace.mount]]
target = "/feed"
bind = "/srv/feed"
recursive = true
master = "feed"
[[namespace.mount]]
target = "/peer"
bind = "/srv/feed"
peer_group = "feed"
[[namespace.mount]]
target = "/low/in"
type = "tmpfs"
[[namespace.mount]]
target = "/low"
type = "tmpfs"
[[namespace]]
name = "worker"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
target = "/copy"
bind = { mount = "data" }
peer_group = "copies"
[[namespace.mount]]
target = "/slave"
bind = { mount = "data" }
master = "copies"
[[namespace.mount]]
target = "/slave/in"
type = "tmpfs"
unbindable = true
"""
SCRIPT = """\
mkdir -p /a /b /c
mount -t tmpfs one /a
mount --make-shared /a
mkdir /a/x
unshare -m --propagation slave sleep 9 &
mount --bind /a /b
findmnt
ls /etc
mount -t tmpfs two /b/x
umount /nothing
mount --bind /a /c
mount --make-slave /c
"""


def planned() -> Plan:
    return api.plan(parse_spec(SPEC.encode(), "shop.toml"), HOST)


def data(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def of_plan() -> dict[str, str]:
    plan = planned()
    predictions = predict(plan, HOST.table)
    named = tuple((one.namespace, one.table) for one in predictions)
    classic = classic_way(plan, predictions, HOST.table)
    texts = {
        "the preview": plan_text(plan, named, classic, steps=True, everything=True),
        "the preview, folded and in 60 columns": plan_text(plan, named, classic, room=60),
        "the classic way": foreseen.classic_text(classic) + data(foreseen.classic_data(classic)),
        "where sharing stops": "".join(f"{one}\n" for one in sharing_stops(plan, HOST.table)),
    }
    for number in (0, len(plan.steps) // 2, len(plan.steps)):
        trial = Trial(plan.steps, HOST.table)
        trial.run(number)
        texts[f"after {number} steps"] = foreseen.after_text(plan, trial, everything=True)
        texts[f"after {number} steps, as values"] = data(foreseen.after_data(plan, trial))
    web, worker = (one.table for one in predictions)
    rows = [
        row._replace(attributes="rw,noexec", peer_group=0) if row.mountpoint == "/data" else row for row in web.rows
    ]
    rows = [row for row in rows if row.mountpoint != "/low"]
    more = worker.rows[-1]._replace(mount_id=99, mountpoint="/more", parent_id=1, source="more", device="0:99")
    drift = compare(predictions, (MountTable(tuple(rows)), MountTable((*worker.rows, more))), HOST.table)
    side = NamedSide("shop.toml", plan)
    texts["differences"] = differences_text(drift, side, NamedSide("what is there", None), everything=True)
    return texts


def of_tables() -> dict[str, str]:
    explainer, lower = Explainer(tables(FEED)), Explainer(tables(CHAINS))
    texts = {
        "groups": explained.groups_text(explainer.groups(), "host") + data(explained.groups_data(explainer.groups()))
    }
    for name, answer in {
        "a mount": explainer.mount("/srv/feed/x"),
        "a mount that is refused": explainer.mount("/nothing"),
        "an unmount": explainer.unmount("/srv/feed"),
        "a lazy unmount": lower.unmount("/b", lazy=True),
        "a recursive unmount": lower.unmount("/b", recursive=True),
    }.items():
        texts[name] = explained.answer_text(answer, "host") + data(explained.answer_data(answer))
    origin = explainer.why("/copy")
    texts["why"] = explained.origin_text(origin, "host") + data(explained.origin_data(origin))
    for name, path, asked in (
        ("what reaches another namespace", "/srv/feed/x", explainer),
        ("what does not", "/srv", explainer),
        ("what goes one way only", "/srv/feed/x", Explainer(tables(FEED), "inside")),
        ("what is refused", "/nothing", explainer),
    ):
        other = "host" if "one way" in name else "inside"
        found = reach(asked, path, other)
        texts[name] = explained.reach_text(found, "host") + data(explained.reach_data(found))
    return texts


def of_script() -> dict[str, str]:
    simulation = simulate(SCRIPT)
    return {
        "a script": simulated.simulation_text(simulation),
        "a script, with everything": simulated.simulation_text(simulation, everything=True),
        "a script, quietly": simulated.simulation_text(simulation, quiet=True),
        "a script, as values": data(simulated.simulation_data(simulation)),
    }


def test_answers_look_as_they_did() -> None:
    texts = of_plan() | of_tables() | of_script()
    golden("answers.txt", "\n".join(f"# --- {name}\n{text}" for name, text in texts.items()))

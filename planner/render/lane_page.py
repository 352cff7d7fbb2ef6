"""A picture with lanes as one HTML file that needs nothing else: what belongs to a mount shows when it is pointed at.

Who receives from a mount, and where, is worked out in the page when it is asked (receivers() in the script): for each
pair of mounts it would be too much to write down. tests/planner/test_lane_page.py holds the script against the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mountplan.planner.characters import visible
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.lane_svg import STYLE, LaneDrawing, color, escaped
from mountplan.planner.render.lanes import LaneChart


class Play(NamedTuple):
    """The steps of a plan, (what, why) each, and when each mount is attached and has joined its group: by the number of
    the scene and the mount id, (step, step); 0 for what stands from the beginning.
    """

    steps: tuple[tuple[str, str], ...]
    when: Mapping[tuple[int, int], tuple[int, int]]


def lane_page(chart: LaneChart, title: str, play: Play | None = None) -> str:
    """The page. The same chart gives the same bytes."""
    shown = escaped(visible(title))
    # In a script "</" would end it, and U+2028 is written as an escape by json already.
    data = json.dumps(_data(chart, play), separators=(",", ":")).replace("<", "\\u003c")
    player = _PLAYER if play is not None and play.steps else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{shown}</title>\n'
        f"<style>\n{STYLE}{_STYLE}</style>\n<header><h1>{shown}</h1>\n{player}</header>\n"
        f'<main><div id="picture">\n{LaneDrawing(chart).inline()}\n</div>\n{_PANEL}</main>\n'
        f'<script type="application/json" id="data">{data}</script>\n<script>\n{SCRIPT}</script>\n</html>\n'
    )


def _data(chart: LaneChart, play: Play | None) -> dict[str, Any]:
    several = len(chart.names) > 1
    mounts = []
    for at, line in enumerate(chart.lines):
        if line.row is None:
            continue
        row = line.row
        attached, joined = play.when.get((line.scene, row.mount_id), (0, 0)) if play else (0, 0)
        mounts.append(
            {
                "at": at,
                "space": visible(chart.names[line.scene]) if several else "",
                "target": visible(row.mountpoint),
                "root": visible(row.root),
                "what": line.what,
                "attributes": visible(row.attributes),
                "seen": line.mark,
                "group": row.peer_group,
                "master": row.master,
                "attached": attached,
                "joined": joined,
            }
        )
    groups = {
        str(lane.group): {"name": lane.called, "master": lane.master, "color": color(lane)}
        for lane in chart.lanes.values()
    }
    return {"mounts": mounts, "groups": groups, "steps": [list(step) for step in play.steps] if play else []}


_PLAYER = """\
<div id="player"><button data-to="first" title="before the first step">|◀</button>
<button data-to="back" title="a step back">◀</button><button data-to="run" title="play">▶▶</button>
<button data-to="on" title="a step on">▶</button><button data-to="last" title="all steps">▶|</button>
<input type="range" id="step" min="0" aria-label="step"><output id="told"></output></div>
"""
_PANEL = """\
<aside id="panel" aria-live="polite"><p>Point at a mount, or go through them with Tab and the arrow keys.</p></aside>
"""
_STYLE = """\
body { margin: 0; font: 14px/1.4 system-ui, sans-serif; color: #1b1b1b; background: #fff; }
header { position: sticky; top: 0; z-index: 2; padding: 6px 12px; background: #fff; border-bottom: 1px solid #ccc; }
h1 { font-size: 16px; margin: 0; } main { display: flex; align-items: flex-start; }
#picture { flex: 1; overflow-x: auto; } #panel { flex: 0 0 24em; position: sticky; top: 5em; padding: 0 12px 12px;
  max-height: calc(100vh - 6em); overflow-y: auto; border-left: 1px solid #ccc; overflow-wrap: anywhere; }
#panel h2 { font: bold 15px monospace; } #panel h3 { font-size: 14px; margin: 12px 0 2px; }
#panel ul { margin: 0; padding-left: 18px; font-family: monospace; } #panel p { margin: 4px 0; }
#player { display: flex; align-items: center; gap: 6px; margin-top: 4px; } #step { flex: 0 1 16em; }
.mount { cursor: pointer; outline: none; } .mount .hit { mix-blend-mode: multiply; }
.mount:hover .hit, .mount:focus .hit { fill: #ffe9a8; }
.mount.receives .hit { fill: #d9f2e3; } .mount.sends .hit { fill: #dbe8fb; } .mount.chosen .hit { fill: #ffd24d; }
.mount.later { opacity: .12; } .mount.alone .sign, .mount.alone .label { opacity: .1; }
@media (max-width: 60em) { main { display: block; } #panel { top: auto; bottom: 0; max-height: 40vh; background: #fff;
  border-left: 0; border-top: 1px solid #ccc; } }
.mount.now text { font-weight: bold; } .lanes.asked .lane:not(.meant), .lanes.asked .tie:not(.meant) { opacity: .18; }
"""
SCRIPT = r"""
"use strict";
const under = (path, top) => path === top || top === "/" || path.startsWith(top + "/");
const rest = (path, top) => (path === top ? "" : path.slice(top === "/" ? 0 : top.length));
const joined = (top, more) => (more ? (top === "/" ? "" : top) + more : top);

// The groups that a group's events reach: itself, and all whose chain of masters leads to it.
function reached(group, groups) {
  const found = new Set([group]);
  for (const name of Object.keys(groups)) {
    const chain = [];
    for (let one = Number(name); one && !chain.includes(one); one = groups[one] ? groups[one].master : 0) {
      chain.push(one);
      if (found.has(one)) { chain.forEach((each) => found.add(each)); break; }
    }
  }
  return found;
}

// What is mounted on the root of `mount`, or below it, comes to these mounts as well, at these places.
// `part`: only what is mounted below that part of it, as the other shows no more; null: the other shows all of it.
function receivers(mount, mounts, groups) {
  if (!mount.group) return [];
  const all = reached(mount.group, groups);
  const found = [];
  for (const other of mounts) {
    if (other === mount || !all.has(other.group || other.master)) continue;
    if (under(mount.root, other.root)) {
      found.push({ mount: other, place: joined(other.target, rest(mount.root, other.root)), part: null });
    } else if (under(other.root, mount.root)) {
      found.push({ mount: other, place: other.target, part: joined(mount.target, rest(other.root, mount.root)) });
    } else {
      found.push({ mount: other, place: null, part: null });
    }
  }
  return found;
}

// Whose events reach `mount`: its peers, and the peers of all groups above.
function senders(mount, mounts, groups) {
  const above = [];
  for (let one = mount.group || mount.master; one && !above.includes(one);) {
    above.push(one);
    one = groups[one] ? groups[one].master : 0;
  }
  return mounts.filter((other) => other !== mount && other.group && above.includes(other.group));
}

if (typeof document !== "undefined") {
  const { mounts, groups, steps } = JSON.parse(document.getElementById("data").textContent);
  const picture = document.querySelector(".lanes");
  const panel = document.getElementById("panel");
  const nodes = new Map();
  const byAt = new Map(mounts.map((mount) => [mount.at, mount]));
  for (const node of document.querySelectorAll(".mount")) {
    nodes.set(Number(node.dataset.at), node);
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
  }
  const called = (mount) => (mount.space ? mount.space + ":" : "") + mount.target;
  const where = (one, path) => (one.space ? one.space + ":" : "") + path;
  let chosen = null;

  function add(tag, text) {
    const node = document.createElement(tag);
    node.textContent = text;
    panel.append(node);
    return node;
  }
  function list(title, lines) {
    if (!lines.length) return;
    add("h3", title);
    const items = add("ul", "");
    for (const line of lines.slice(0, 200)) {
      const item = document.createElement("li");
      item.textContent = line;
      items.append(item);
    }
    if (lines.length > 200) add("p", `and ${lines.length - 200} more`);
  }
  function show(at) {
    const mount = byAt.get(at);
    for (const node of nodes.values()) node.classList.remove("receives", "sends", "chosen");
    picture.querySelectorAll(".meant").forEach((node) => node.classList.remove("meant"));
    picture.classList.remove("asked");
    panel.replaceChildren();
    if (!mount) {
      add("p", "Point at a mount, or go through them with Tab and the arrow keys.");
      return;
    }
    const receiving = receivers(mount, mounts, groups);
    const sending = senders(mount, mounts, groups);
    nodes.get(at).classList.add("chosen");
    receiving.forEach((one) => nodes.get(one.mount.at).classList.add("receives"));
    sending.forEach((one) => nodes.get(one.at).classList.add(one.group === mount.group ? "receives" : "sends"));
    const own = mount.group || mount.master;
    if (own) {
      picture.classList.add("asked");
      const meant = new Set(mount.group ? reached(mount.group, groups) : []);
      for (let one = own; one && !meant.has(-one); one = groups[one] ? groups[one].master : 0) meant.add(one).add(-one);
      picture.querySelectorAll("[data-group]").forEach((node) => {
        if (meant.has(Number(node.dataset.group))) node.classList.add("meant");
      });
    }
    add("h2", called(mount));
    add("p", mount.what + (mount.root !== "/" ? `, of which it shows ${mount.root}` : ""));
    add("p", mount.attributes + (mount.seen ? ` — ${mount.seen}` : ""));
    if (mount.group) add("p", "Peer in group " + groups[mount.group].name);
    if (mount.master) add("p", "Slave of group " + (groups[mount.master] ? groups[mount.master].name : mount.master));
    if (!own) add("p", "Private: nothing comes in, and nothing goes out.");
    list("A mount here would also appear at", receiving.filter((one) => one.place !== null && one.part === null)
      .map((one) => where(one.mount, one.place)));
    list("Only what is mounted below", receiving.filter((one) => one.part !== null)
      .map((one) => `${where(mount, one.part)} appears below ${called(one.mount)}`));
    list("In the group, but show none of it", receiving.filter((one) => one.place === null)
      .map((one) => called(one.mount)));
    list("It receives what is mounted in", sending.map(called));
    if (mount.attached) {
      const of = mount.joined ? `, in its group since step ${mount.joined}` : "";
      add("p", `Stands since step ${mount.attached}${of}.`);
    }
  }
  const slider = document.getElementById("step");
  function play(number) {
    const step = Math.max(0, Math.min(steps.length, number));
    slider.value = step;
    const told = document.getElementById("told");
    told.textContent = step ? `${step} of ${steps.length}: ${steps[step - 1][0]}` : "before the first step";
    told.title = step ? steps[step - 1][1] : "";
    if (step && steps[step - 1][1]) told.textContent += ` — ${steps[step - 1][1]}`;
    for (const mount of mounts) {
      const looks = nodes.get(mount.at).classList;
      looks.toggle("later", mount.attached > step);
      looks.toggle("alone", mount.joined > step);
      looks.toggle("now", step > 0 && (mount.attached === step || mount.joined === step));
    }
    return step;
  }
  let running = 0;
  function stop() { clearInterval(running); running = 0; }
  if (slider && steps.length) {
    slider.max = steps.length;
    play(steps.length);
    slider.addEventListener("input", () => { stop(); play(Number(slider.value)); });
    document.getElementById("player").addEventListener("click", (event) => {
      const to = event.target.dataset.to;
      const now = Number(slider.value);
      if (to !== "run" || running) stop();
      else running = setInterval(() => { if (play(Number(slider.value) + 1) >= steps.length) stop(); }, 400);
      if (to === "run" && running && now >= steps.length) play(0);
      if (to === "first") play(0);
      if (to === "back") play(now - 1);
      if (to === "on") play(now + 1);
      if (to === "last") play(steps.length);
    });
  }
  for (const [at, node] of nodes) {
    node.addEventListener("mouseenter", () => { if (chosen === null) show(at); });
    node.addEventListener("mouseleave", () => { if (chosen === null) show(null); });
    node.addEventListener("focus", () => show(at));
    node.addEventListener("blur", () => { if (chosen === null) show(null); });
    const choose = () => { chosen = chosen === at ? null : at; show(at); };
    node.addEventListener("click", choose);
    node.addEventListener("keydown", (event) => {
      const order = [...nodes.keys()];
      const to = order.indexOf(at) + { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Enter" || event.key === " ") choose();
      else if (event.key === "Escape") { chosen = null; show(null); }
      else if (to in order) { chosen = null; nodes.get(order[to]).focus(); }
      else return;
      event.preventDefault();
    });
  }
  // #/srv/data chooses a mount, #step=12 a step, so that both can be linked to; & in a path is %26.
  for (const part of location.hash.slice(1).split("&").map(decodeURIComponent)) {
    if (part.startsWith("step=") && slider) play(Number(part.slice(5)));
    else {
      const found = mounts.findLast((mount) => mount.target === part || called(mount) === part);
      if (found) { chosen = found.at; show(found.at); nodes.get(found.at).scrollIntoView({ block: "center" }); }
    }
  }
}
"""

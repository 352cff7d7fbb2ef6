"""The picture as SVG, and as a page: what it answers when a mount is pointed at is what the model answers."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mountplan import api
from mountplan.planner.ask.explain import Explainer
from mountplan.planner.render.lane_page import SCRIPT, Play, lane_page
from mountplan.planner.render.lane_svg import LaneDrawing
from mountplan.planner.render.lanes import GroupNames, LaneChart, Scene, lane_chart
from mountplan.planner.tables.table import MountTable
from tests.hosts import CHECKOUT, PATIENCE
from tests.planner.test_lanes import chart, table
from tests.planner.test_render import golden, row

SVG = "{http://www.w3.org/2000/svg}"
BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome")
PLAY = Play(
    (("new tmpfs /", "the root"), ("attach /m001", ""), ("join /m001", "all on it stands")),
    {(0, 1): (1, 0), (0, 2): (2, 3)},
)
SPECS = ("disjoint-group", "complex-sharing")


def program(*names: str) -> str:
    """One of these programs; skips the test if there is none: no CI needs a browser for what few changes touch."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"there is no {names[0]} here")
    return found


def test_a_picture_is_svg_and_the_same_each_time() -> None:
    drawn = chart((1, 0), (2, 0), (3, 1), (0, 1), (2, 0), (3, 1))
    svg = LaneDrawing(drawn).svg("shop")
    golden("lanes.svg", svg)
    root = ElementTree.fromstring(svg)
    assert f"{SVG}svg" == root.tag
    mounts = [one for one in root.iter(f"{SVG}g") if one.get("class") == "mount"]
    assert 7 == len(mounts)
    assert 5 == len(list(root.iter(f"{SVG}circle")))
    (hop,) = [one.get("d", "") for one in root.iter(f"{SVG}path") if "a5 5" in one.get("d", "")]
    assert 1 == hop.count("a5 5 0 0 1 10 0")  # over the lane between


@pytest.mark.parametrize("name", ['</title><script>alert("x")</script>', "a\x1b[31m\nb", "a&b<c>", "\u202eabc", "]]>"])
def test_whatever_a_path_holds_the_picture_is_text(name: str) -> None:
    rows = (row(1, 0, "/"), row(2, 1, f"/{name}", peer_group=1, source=name, fstype=name, root=f"/{name}"))
    drawn = lane_chart([Scene(name, MountTable(rows))] * 2, GroupNames({1: name}))
    ElementTree.fromstring(LaneDrawing(drawn).svg(name))
    page = lane_page(drawn, name)
    assert "<script>alert" not in page
    assert 2 == page.count("</script>")
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", page)


def test_the_page_is_one_file_that_fetches_nothing() -> None:
    page = lane_page(chart((1, 0), (0, 1)), "shop", PLAY)
    assert [] == re.findall(r"(?:src|href)\s*=|url\(|https?://(?!www\.w3\.org)|@import|fetch\(", page)
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    assert [(1, 0), (2, 3), (0, 0)] == [(one["attached"], one["joined"]) for one in data["mounts"]]
    assert 3 == len(data["steps"])
    assert 'id="player"' not in lane_page(chart((1, 0)), "shop")


def predicted(name: str) -> list[tuple[str, MountTable]]:
    return list(api.predict(api.plan(api.load(str(CHECKOUT / f"specs/{name}.toml")))))


@pytest.mark.parametrize("name", SPECS)
def test_where_a_mount_would_appear_is_what_the_model_answers(name: str, tmp_path: Path) -> None:
    """The script of the page is asked, for each mount that a path leads to."""
    tables = predicted(name)
    scenes = [Scene(*one) for one in tables]
    page = lane_page(lane_chart(scenes, GroupNames()), name)
    data = re.findall(r'id="data">(.*?)</script>', page)[0]
    script = tmp_path / "ask.js"
    script.write_text(
        f"{SCRIPT}\nconst data = {data};\nconsole.log(JSON.stringify(data.mounts.map((mount) =>"
        "[mount.target, receivers(mount, data.mounts, data.groups)"
        ".filter((one) => one.place !== null && one.part === null).map((one) => one.place)])));\n"
    )
    node = program("node", "nodejs")
    ended = subprocess.run([node, script], capture_output=True, text=True, check=True, timeout=60 * PATIENCE)
    asked = json.loads(ended.stdout)
    explainer = Explainer(tuple(tables))
    assert len(asked) == len(tables[0][1].rows)
    for target, places in asked:
        wanted = sorted(effect.spot.path for effect in explainer.mount(target).effects)
        assert wanted == sorted([target, *places]), target


def shown(path: Path, fragment: str) -> str:
    """What a browser has made of a page when it has run its script."""
    browser = program(*BROWSERS)
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    home = str(path.parent)
    ended = subprocess.run(
        [*words, f"--user-data-dir={home}/profile", f"file://{path}#{fragment}"],
        capture_output=True, text=True, check=True, timeout=120 * PATIENCE, env=os.environ | {"HOME": home},
    )  # fmt: skip
    return ended.stdout


def classes(page: str, name: str) -> list[int]:
    """The lines of the mounts that have this class."""
    found = re.findall(r'<g class="mount([^"]*)" data-at="(\d+)"', page)
    return [int(at) for marks, at in found if name in marks.split()]


def test_what_marks_a_mount_lets_the_lanes_through() -> None:
    """The marks are drawn above the lanes of other mounts, and would hide them."""
    assert ".mount .hit { mix-blend-mode: multiply; }" in lane_page(chart((1, 0), (2, 0)), "shop", PLAY)


def test_a_browser_shows_who_receives_and_plays_the_steps(tmp_path: Path) -> None:
    drawn = chart((1, 0), (2, 0), (3, 1), (0, 1), (0, 3), (1, 0))
    path = tmp_path / "shop.html"
    path.write_text(lane_page(drawn, "shop", PLAY))
    page = shown(path, "/m003&step=1")
    assert ([3], [5], [1, 6]) == (classes(page, "chosen"), classes(page, "receives"), classes(page, "sends"))
    panel = html.unescape(re.sub("<[^>]*>", "\n", page.partition('id="panel"')[2].partition("</aside>")[0]))
    words = [line for line in panel.splitlines() if line]
    assert "Peer in group 3" in words and "Slave of group 1" in words
    assert "/m005" == words[words.index("A mount here would also appear at") + 1]
    assert ["/m001", "/m006"] == words[words.index("It receives what is mounted in") + 1 :][:2]
    assert ([1], [0], [1]) == (classes(page, "later"), classes(page, "now"), classes(page, "alone"))
    assert "1 of 3: new tmpfs / — the root" in html.unescape(page)


def test_an_address_leads_to_a_mount_with_an_ampersand_in_its_path(tmp_path: Path) -> None:
    rows = table((1, 0), (1, 0)).rows
    named = MountTable((rows[0], rows[1]._replace(mountpoint="/R&D")))
    path = tmp_path / "shop.html"
    path.write_text(lane_page(lane_chart([Scene("one", named)], GroupNames({}, {})), "shop", PLAY))
    assert [1] == classes(shown(path, "/R%26D"), "chosen")


def test_a_picture_of_several_namespaces_has_their_names() -> None:
    drawn = lane_chart([Scene("web", table((1, 0))), Scene("worker", table((0, 1), first=9))], GroupNames())
    page = lane_page(drawn, "pair")
    assert '"space":"worker"' in page and ">Namespace worker<" in page


def large(groups: int) -> LaneChart:
    return chart(*[(at % groups + 1, 0) for at in range(500)])


def test_500_mounts_make_a_page_of_less_than_a_megabyte() -> None:
    assert len(lane_page(large(30), "large")) < 1_000_000

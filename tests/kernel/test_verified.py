"""What is called verified and healthy: arrivals, options in other forms, mounts that are left out, fixed sources."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mountplan import api, keeping, pipeline
from mountplan.cli import main
from mountplan.planner.compare.difference import Difference
from mountplan.planner.errors import NameTaken
from mountplan.planner.plan.planfile import dump_plan
from mountplan.planner.tables.options import dropped
from mountplan.spec_digest import digest_of_spec
from tests.hosts import InHost, mount, run_in_child, setns, umount
from tests.keptnames import STORE, on_run
from tests.mountflags import MS_BIND, MS_MOVE, MS_RDONLY, MS_REMOUNT, MS_SHARED
from tests.trees import ROOT, plan_of

Result = TypeVar("Result")

pytestmark = pytest.mark.needs_kernel("root", "set-group")

SLAVE = f"""
name = "arrivals"
[peer_group.g]
{ROOT}[[mount]]
id = "a"
target = "/a"
type = "tmpfs"
peer_group = "g"
[[mount.file]]
path = "d"
directory = true
[[mount.file]]
path = "e"
directory = true
[[mount.file]]
path = "f"
directory = true
[[mount]]
target = "/s"
bind = {{ mount = "a" }}
master = "g"
"""
BIDIRECTIONAL = f"""
name = "bidirectional"
[peer_group.g]
host = "/mnt/feed"
{ROOT}[[mount]]
target = "/m"
bind = "/mnt/feed"
peer_group = "g"
"""


def inside(name: str, *mounts: tuple[Any, ...]) -> None:
    """Mount something in a kept namespace."""

    def enter() -> None:
        with open(STORE / name / "mnt") as file:
            setns(file.fileno())
        for one in mounts:
            mount(*one)

    run_in_child(enter)


def feed() -> None:
    """A shared mount of the host's, /mnt/feed, with two directories."""
    mount("host", "/mnt", "tmpfs")
    Path("/mnt/feed").mkdir()
    mount("feed", "/mnt/feed", "tmpfs")
    mount("", "/mnt/feed", flags=MS_SHARED)
    for name in "xy":
        Path(f"/mnt/feed/{name}").mkdir()


def with_feed(script: Callable[[], Result]) -> Callable[[], Result]:
    """`script`, on a host that has a feed(), and can keep names."""

    def prepared() -> Result:
        feed()
        return on_run(script)()

    return prepared


def told(name: str) -> tuple[str, list[str], list[str]]:
    """The health of a name, the mountpoints that are different, and those where something has arrived."""
    one = keeping.look_up(name)
    return one.health, [found.mount for found in one.drift], [found.mount for found in one.arrivals]


def as_json(*words: str) -> Any:
    """What a command prints with --json, with its exit status."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main([*words, "--json"])
    return status, json.loads(out.getvalue())


def test_what_is_mounted_below_a_slave_from_inside_is_no_arrival(in_host: InHost) -> None:
    def script() -> list[Any]:
        keeping.keep(plan_of(SLAVE))
        inside("arrivals", ("evil", "/s/d", "tmpfs"))
        seen = [told("arrivals")]
        # This one has come down from /a, which nothing wanted to have a mount either.
        inside("arrivals", ("fine", "/a/e", "tmpfs"))
        seen.append(told("arrivals"))
        # A copy of it is a slave of the same, but has not come down from there.
        inside("arrivals", ("/s/e", "/s/f", "", MS_BIND), ("evil", "/s/e", "tmpfs"))
        return [*seen, told("arrivals"), [one.found for one in keeping.look_up("arrivals").arrivals]]

    first, second, third, found = in_host(on_run(script), identity="root")
    assert ("drifted", ["/s/d"], []) == first
    assert ("drifted", ["/a/e", "/s/d"], ["/s/e"]) == second
    assert ("drifted", ["/a/e", "/s/d", "/s/e", "/s/f"], ["/s/e"]) == (third[0], sorted(third[1]), third[2])
    assert ["tmpfs, on the tmpfs at /s"] == found, "and what was mounted upon it is no part of it"


def test_what_the_host_mounts_on_its_peer_has_arrived_and_what_is_mounted_inside_has_not(in_host: InHost) -> None:
    def script() -> list[Any]:
        keeping.keep(plan_of(BIDIRECTIONAL))
        mount("outside", "/mnt/feed/x", "tmpfs")
        seen = [told("bidirectional")]
        inside("bidirectional", ("inside", "/m/y", "tmpfs"))
        seen.append(told("bidirectional"))
        inside("bidirectional", ("upon", "/m/x", "tmpfs"))
        seen.append(told("bidirectional"))
        for name in "xxy":  # what comes from inside, the host has as well
            umount(f"/mnt/feed/{name}")
        return seen

    first, second, third = in_host(with_feed(script), identity="root")
    assert ("healthy", [], ["/m/x"]) == first
    assert ("drifted", ["/m/y"], ["/m/x"]) == second
    assert ("drifted", ["/m/x", "/m/y"], ["/m/x"]) == (third[0], sorted(third[1]), third[2])


def test_what_has_arrived_shows_what_the_host_has_mounted_there_and_is_as_it_came(in_host: InHost) -> None:
    spec = BIDIRECTIONAL.replace("bidirectional", "down").replace("peer_group = ", "master = ")

    def script() -> list[Any]:
        keeping.keep(plan_of(spec))
        mount("outside", "/mnt/feed/x", "tmpfs")
        Path("/mnt/feed/x/part").mkdir()
        mount("outside", "/mnt/feed/y", "tmpfs")
        seen = [told("down")]
        inside("down", ("", "/m/y", "", MS_SHARED))
        inside("down", ("/m/x/part", "/m/x", "", MS_BIND))  # a slave of the same as what it covers
        seen.append(told("down"))
        for name in "xy":
            umount(f"/mnt/feed/{name}")
        return seen

    first, second = in_host(with_feed(script), identity="root")
    assert ("healthy", [], ["/m/x", "/m/y"]) == (first[0], first[1], sorted(first[2]))
    assert ("drifted", ["/m/x", "/m/y"], ["/m/x"]) == (second[0], sorted(second[1]), second[2])


def test_what_hides_what_has_arrived_is_no_arrival(in_host: InHost) -> None:
    spec = BIDIRECTIONAL.replace("bidirectional", "down").replace("peer_group = ", "master = ")

    def hide() -> None:
        with open(STORE / "down" / "mnt") as file:
            setns(file.fileno())
        mount("/m/x/part", "/m/y", flags=MS_BIND)
        umount("/m/x")
        mount("/m/y", "/m/x", flags=MS_MOVE)

    def script() -> Any:
        keeping.keep(plan_of(spec))
        mount("outside", "/mnt/feed/x", "tmpfs")
        Path("/mnt/feed/x/part").mkdir()
        run_in_child(hide)
        seen = told("down")
        umount("/mnt/feed/x")
        return seen

    assert ("drifted", ["/m/x"], []) == in_host(with_feed(script), identity="root")


def test_a_bind_of_what_has_arrived_among_peers_was_made_here(in_host: InHost) -> None:
    """It is a peer of what the host has mounted, which is older."""

    def script() -> Any:
        keeping.keep(plan_of(BIDIRECTIONAL))
        mount("outside", "/mnt/feed/x", "tmpfs")
        inside("bidirectional", ("/m/x", "/m/y", "", MS_BIND))
        seen = told("bidirectional")
        for name in "xy":
            umount(f"/mnt/feed/{name}")
        return seen

    assert ("drifted", ["/m/y"], ["/m/x"]) == in_host(with_feed(script), identity="root")


def test_where_ages_are_not_known_neither_is_where_among_peers_it_was_mounted(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mountplan.applier.keep import inhabited

    def script() -> Any:
        keeping.keep(plan_of(BIDIRECTIONAL))
        mount("outside", "/mnt/feed/x", "tmpfs")
        monkeypatch.setattr(inhabited, "ages", lambda namespace: {})
        seen = told("bidirectional")
        umount("/mnt/feed/x")
        return seen

    assert ("unknown", ["/m/x"], []) == in_host(with_feed(script), identity="root")


FORMS = [
    ('size = "25%"', True),
    ('nr_inodes = "1k"', True),
    ('mpol = "interleave"', True),
    ('mode = "1777"', False),
    ('uid = "0"', False),
    ('huge = "never"', False),
]


def test_an_option_that_the_kernel_took_is_no_difference_however_it_is_shown(in_host: InHost, tmp_path: Path) -> None:
    options = ", ".join(one for one, _ in FORMS)
    text = f'name = "forms"\n{ROOT}[[mount]]\ntarget = "/t"\ntype = "tmpfs"\noptions = {{ {options} }}\n'
    (tmp_path / "forms.toml").write_text("format = 1\n" + text)

    def script() -> Any:
        built = as_json("apply", str(tmp_path / "forms.toml"))
        seen = [
            as_json("verify", str(tmp_path / "forms.toml")),
            as_json("diff", "name:forms", str(tmp_path / "forms.toml")),
        ]
        again, health = keeping.keep(plan_of(text)).outcome, told("forms")
        inside("forms", ("", "/t", "", MS_REMOUNT, "size=8k"))
        return built, seen, again, health, told("forms"), api.verify(str(tmp_path / "forms.toml"), "forms").drift

    built, seen, again, health, changed, drift = in_host(on_run(script), identity="root")
    named = {one.partition(" ")[0] for one, told_of in FORMS if told_of}
    assert (0, True) == (built[0], built[1]["verified"])
    notices = {one["property"]: one["found"] for one in built[1]["notices"] if one["mount"] == "/t"}
    assert {f"option {name}" for name in named} <= notices.keys()
    assert "1024" == notices["option nr_inodes"]
    assert [(0, []), (0, [])] == [(status, value["differences"]) for status, value in seen]
    assert notices == {one["property"]: one["found"] for one in seen[0][1]["notices"] if one["mount"] == "/t"}
    assert ("stands", "healthy") == (again, health[0])
    assert ("drifted", ["/t"]) == changed[:2]
    assert [("option size", "25%", "8k")] == [one[1:4] for one in drift]


@pytest.mark.needs_kernel("mkfs.btrfs", "loop", "fs:btrfs")
def test_an_option_of_a_new_superblock_on_an_image_is_judged_likewise(in_host: InHost) -> None:
    text = ROOT + '[[mount]]\ntarget = "/b"\ntype = "btrfs"\nimage = "/mnt/b.img"\noptions = { compress = "zstd" }\n'

    def script() -> Any:
        mount("host", "/mnt", "tmpfs")
        with open("/mnt/b.img", "wb") as file:
            file.truncate(120 << 20)
        subprocess.run(["mkfs.btrfs", "-q", "/mnt/b.img"], check=True, capture_output=True)
        return [one[:4] for one in api.build_and_forget(plan_of(text)).notices if one.mount == "/b"]

    assert [("/b", "option compress", "zstd", "zstd:3")] == in_host(script, identity="root")


@pytest.mark.needs_kernel("fs:overlay")
@pytest.mark.parametrize(
    ("option", "wish"),
    [('index = "on"', "on"), ("volatile = true", "set"), ('nfs_export = "on"', "on"), ('xino = "auto"', "auto")],
)
def test_an_option_that_an_overlay_took_and_dropped_is_told(
    option: str, wish: str, in_host: InHost, tmp_path: Path
) -> None:
    """Without an upper layer, it has none of these."""
    overlay = f'type = "overlay"\nlayers = ["/mnt/feed/x", "/mnt/feed/y"]\noptions = {{ {option} }}\n'
    (tmp_path / "o.toml").write_text(f'format = 1\nname = "o"\n{ROOT}[[mount]]\ntarget = "/o"\n{overlay}')

    def script() -> Any:
        return [as_json(verb, str(tmp_path / "o.toml")) for verb in ("apply", "verify")]

    told_of = ("/o", f"option {option.split()[0]}", wish, "not shown: it may not be in force")
    for status, value in in_host(with_feed(script), identity="root"):
        assert 0 == status
        found = [(one["mount"], one["property"], one["wanted"], one["found"]) for one in value["notices"]]
        assert told_of in found


@pytest.mark.needs_kernel("fs:overlay")
def test_a_switch_of_an_overlay_found_the_other_way_round_is_a_difference(in_host: InHost) -> None:
    options = 'options = { redirect_dir = "off", metacopy = "on" }\n'
    text = f'{ROOT}[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/mnt/feed/x", "/mnt/feed/y"]\n{options}'

    def script() -> Any:
        feed()
        try:
            return [*api.build_and_forget(plan_of(text)).notices]
        except api.VerificationFailed as error:
            return [one[1:4] for one in error.differences]

    assert [("option redirect_dir", "off", "on")] == in_host(script, identity="root")


def test_a_name_that_is_remade_with_another_option_is_another_one(in_host: InHost) -> None:
    """What was asked for counts, not only what is shown: an option that is left away now was asked for then."""
    sized = f'name = "sized"\n{ROOT}[[mount]]\ntarget = "/t"\ntype = "tmpfs"\noptions = {{ size = "1m" }}\n'

    def script() -> list[Any]:
        keeping.keep(plan_of(sized))
        found: list[Any] = []
        for text in (sized.replace("1m", "2m"), sized.replace('size = "1m"', ""), sized.replace("1m", "1024k")):
            try:
                found.append([(keeping.keep(plan_of(text)).outcome,)])
            except NameTaken as error:
                found.append([one[1:4] for one in error.differences])
        return found

    larger, unlimited, same = in_host(on_run(script), identity="root")
    assert [("option size", "2m", "1m")] == larger
    assert [("option size", "not asked for", "1m")] == unlimited
    assert [("stands",)] == same


def test_an_option_that_others_have_changed_into_what_another_spec_says_is_no_difference_from_that(
    in_host: InHost,
) -> None:
    """It was told twice: as what was asked for then, and as what has changed since."""
    sized = f'name = "sized"\n{ROOT}[[mount]]\ntarget = "/t"\ntype = "tmpfs"\noptions = {{ size = "1m" }}\n'

    def script() -> list[Any]:
        keeping.keep(plan_of(sized))
        inside("sized", ("t", "/t", "tmpfs", MS_REMOUNT, "size=2m"))
        found: list[Any] = []
        for size in ("3m", "2m"):
            try:
                found.append(keeping.keep(plan_of(sized.replace("1m", size))).outcome)
            except NameTaken as error:
                found.append([one[1:4] for one in error.differences])
        return found

    assert [[("option size", "3m", "2048k")], "stands"] == in_host(on_run(script), identity="root")


LEFT_OUT = f"""
name = "partly"
{ROOT}[[mount]]
target = "/o"
type = "tmpfs"
unsupported = "its layers are gone"
[[mount]]
target = "/o/x"
type = "tmpfs"
[[mount]]
target = "/t"
type = "tmpfs"
"""


def test_what_is_left_out_is_part_of_every_report(in_host: InHost, tmp_path: Path) -> None:
    file = str(tmp_path / "partly.toml")
    Path(file).write_text("format = 1\n" + LEFT_OUT)

    def script() -> Any:
        plan = str(tmp_path / "plan.json")
        texts: dict[str, str] = {}
        for words in (
            ["check", file], ["plan", file], ["apply", file], ["apply", file], ["verify", file], ["ls"],
            ["show", "partly"], ["plan", "-o", plan, file], ["check", plan], ["apply", "--forget", plan],
        ):  # fmt: skip
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                assert 0 == main(words)
            texts[" ".join([*words[:2], str(len(texts))])] = out.getvalue()
        data = [as_json(*words)[1] for words in (["check", file], ["apply", file], ["verify", file], ["ls"],
                                                 ["show", "partly"])]  # fmt: skip
        return texts, data

    texts, (check, apply, verify, ls, show) = in_host(on_run(script), identity="root")
    for words, text in texts.items():
        assert "left out" in text.lower(), words
        assert "Verified" not in text, words
        assert "verified again" not in text, words
        if not words.startswith("ls"):
            assert "/o: its layers are gone" in text, words
            assert "/o/x: stands on /o" in text, words
    assert apply["verified"] is False
    for left_out in (check["specs"][0], apply, verify, ls[0], show):
        assert [("/o", ""), ("/o/x", "/o")] == [(one["target"], one["upon"]) for one in left_out["left_out"]]


@pytest.mark.needs_kernel("fs:pstore")
def test_verify_and_apply_agree_on_a_source_that_the_kernel_fixes(in_host: InHost, tmp_path: Path) -> None:
    first, second = (
        f'name = "fixed"\n{ROOT}[[mount]]\ntarget = "/p"\ntype = "pstore"\nsource = "{word}"\n' for word in ("a", "b")
    )
    (tmp_path / "second.toml").write_text("format = 1\n" + second)

    def script() -> Any:
        keeping.keep(plan_of(first))
        return keeping.keep(plan_of(second)).outcome, api.verify(str(tmp_path / "second.toml"), "fixed").drift

    assert ("stands", ()) == in_host(on_run(script), identity="root")


@pytest.mark.parametrize(
    "change",
    [
        ('content = "x"', 'content = "y"'),
        ('path = "f"', 'path = "g"'),
        ('target = "/t"', 'target = "/t"\nid = "other"'),
        ('target = "/t"', 'target = "/u"'),
        ("[run]", '[run]\ncwd = "/t"'),
    ],
)
def test_verify_and_apply_agree_on_whether_a_name_stands_as_another_spec_says(
    change: tuple[str, str], in_host: InHost, tmp_path: Path
) -> None:
    text = (
        f'name = "agree"\n{ROOT}[[mount.file]]\npath = "f"\ncontent = "x"\n'
        '[[mount]]\ntarget = "/t"\ntype = "tmpfs"\n[run]\n'
    )
    other = text.replace(*change)
    (tmp_path / "other.toml").write_text("format = 1\n" + other)

    def script() -> tuple[bool, bool]:
        keeping.keep(plan_of(text))
        differs = bool(api.verify(str(tmp_path / "other.toml"), "agree").drift)
        try:
            return differs, keeping.keep(plan_of(other)).outcome != "stands"
        except NameTaken:
            return differs, True

    assert (("id" not in change[1]),) * 2 == in_host(on_run(script), identity="root")


def test_settings_of_run_are_told_as_a_spec_has_them(in_host: InHost) -> None:
    """They were told as Python has them: ('/bin/false',)."""
    run = '[run]\ncommand = ["/bin/false", "it is"]\nenvironment = { A = "b" }\ncapabilities = []\n'

    def script() -> list[tuple[str, str, str]]:
        keeping.keep(plan_of(f'name = "run"\n{ROOT}{run}'))
        drift = api.verify(plan_of(f'name = "run"\n{ROOT}'), "run").drift
        return [(one.prop, one.wanted, one.found) for one in drift]

    assert [
        ("run.command", "[]", '["/bin/false", "it is"]'),
        ("run.environment", "not said", '{ A = "b" }'),
        ("run.capabilities", "not said", "[]"),
    ] == in_host(on_run(script), identity="root")


@pytest.mark.parametrize(
    ("bound", "happens"),
    [
        ('bind = "/mnt/src/sub"', lambda: mount("cover", "/mnt/src", "tmpfs")),
        ('bind = "/mnt/src/sub/file"', lambda: mount("cover", "/mnt/src", "tmpfs")),
        ('bind = "/mnt/link"', lambda: os.rename("/mnt/other-link", "/mnt/link")),
        ('bind = "/mnt/none"\noptional = true', lambda: os.mkdir("/mnt/none")),
        ('bind = "/mnt/src"\nmask = ["s*"]', lambda: os.mkdir("/mnt/src/second")),
    ],
)
def test_what_the_host_does_to_a_source_later_is_no_difference_of_what_stands(
    in_host: InHost, bound: str, happens: Callable[[], object]
) -> None:
    """ls, verify, watch and apply go by the host as it was when the name was made, and agree."""

    def prepared() -> Any:
        mount("host", "/mnt", "tmpfs")
        os.makedirs("/mnt/src/sub")
        os.mkdir("/mnt/other")
        Path("/mnt/src/sub/file").touch()
        os.symlink("src/sub", "/mnt/link")
        os.symlink("other", "/mnt/other-link")
        return on_run(script)()

    def script() -> Any:
        spec = Path("/mnt/kept.toml")
        spec.write_text(f'format = 1\nname = "kept"\n{ROOT}[[mount]]\ntarget = "/a"\n{bound}\n')
        seen = [as_json("apply", str(spec))[0], as_json("verify", str(spec))]
        happens()
        spec.write_text("# said anew\n" + spec.read_text())
        seen += [as_json("verify", str(spec)), as_json("apply", str(spec)), keeping.look_up("kept").health]
        seen += [api.verify(api.load(str(spec))).drift, api.apply(str(spec)).outcome]
        seen += [
            as_json("watch", "kept", str(spec), "--for", "0"),
            [one.drift for one in api.watch("kept", spec, seconds=0)],
        ]
        with contextlib.suppress(OSError):
            umount("/mnt/src")
        return seen

    applied, before, verified, again, health, drift, outcome, watched, looks = in_host(prepared, identity="root")
    assert (0, 0, "", 0, 0) == (applied, before[0], before[1]["since"], verified[0], again[0])
    assert ("healthy", (), "stands", "stands") == (health, drift, again[1]["outcome"], outcome)
    assert (0, [], [()]) == (watched[0], watched[1]["differences"], looks)
    assert verified[1]["since"].startswith("on the host as it is now") and verified[1]["since"] == again[1]["since"]


def test_a_name_that_a_saved_plan_has_made_is_held_against_the_spec_as_it_comes_to_now(in_host: InHost) -> None:
    """A plan file does not tell for certain which spec it is from."""

    def prepared() -> Any:
        mount("host", "/mnt", "tmpfs")
        os.makedirs("/mnt/one/file")
        return on_run(script)()

    def script() -> Any:
        spec, plan = Path("/mnt/kept.toml"), Path("/mnt/kept.json")
        spec.write_text(f'format = 1\nname = "kept"\n{ROOT}[[mount]]\ntarget = "/a"\nbind = "/mnt/link"\n')
        os.symlink("one", "/mnt/link")
        plan.write_text(dump_plan(api.plan(str(spec))))
        assert 0 == as_json("apply", str(plan))[0]
        os.unlink("/mnt/link")
        os.symlink("one/file", "/mnt/link")
        return as_json("verify", str(spec))[0]

    assert 1 == in_host(prepared, identity="root")


def test_what_stands_in_a_user_namespace_of_its_own_is_seen_whole_from_outside(in_host: InHost) -> None:
    """listmount(2) finds no beginning of it from there: what its root does not show was said to take another kernel."""

    def script() -> Any:
        ids = "uids = [[0, 100000, 65536]], gids = [[0, 100000, 65536]]"
        mounts = ROOT.replace("[[mount", "[[namespace.mount")
        plan = plan_of(f'name = "owned"\n[[namespace]]\nname = "in"\nuser = {{ {ids} }}\n{mounts}')
        keeping.keep(plan)
        before = api.verify(plan)

        def cover() -> None:
            with open(STORE / "owned" / "in") as file:
                setns(file.fileno())
            mount("over", "/", "tmpfs")

        run_in_child(cover)
        after = api.verify(plan)
        return before.second.incomplete, before.drift, after.second.incomplete, bool(after.drift), told("owned")[0]

    assert (False, (), False, True, "drifted") == in_host(on_run(script), identity="root")


def test_what_an_overlay_does_not_show_is_in_force_if_it_is_the_machines_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it has been dropped, `off` too: a machine may have index=on."""
    machines = {"redirect_dir": "nofollow", "index": "on"}
    monkeypatch.setattr("mountplan.applier.sys.overlay.machines_defaults", lambda: machines)
    asked = {"redirect_dir": "nofollow", "xino": "off", "index": "off", "verity": "on"}
    told = [
        Difference("/o", f"option {name}", wish, found, "", "")
        for name, wish, found in dropped("overlay", tuple(asked.items()), "")
    ]
    assert ["option index", "option verity"] == [one.prop for one in pipeline.without_defaults(tuple(told))]


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        (f'{ROOT}[[mount]]\ntarget = "/b"\nbind = "/mnt/feed"\nattributes = ["rw"]\n', "/b"),
        ('root = "inherit"\n[[change]]\ntarget = "/mnt/feed"\nattributes = ["rw"]\n', "/mnt/feed"),
        (f'{ROOT}[[mount]]\ntarget = "/b"\nbind = "/mnt"\nrecursive = true\nattributes = ["rw"]\n', "/b/feed"),
    ],
)
def test_rw_of_what_is_read_only_itself_is_told_beside_verified(in_host: InHost, spec: str, where: str) -> None:
    """The mount is rw as it was asked for, and nothing can be written there."""

    def prepared() -> Any:
        feed()
        writable = api.warnings(plan_of(spec))
        mount("", "/mnt/feed", flags=MS_REMOUNT | MS_RDONLY)
        Path("/mnt/spec.toml").write_text(f"format = 1\n{spec}")
        return writable, [one.what for one in api.warnings(plan_of(spec))], *on_run(script)()

    def script() -> Any:
        data = [
            as_json("apply", "--name", "x", "/mnt/spec.toml"),
            as_json("verify", "/mnt/spec.toml", "x"),
            as_json("apply", "--live", "--name", "x", "/mnt/spec.toml"),
        ]
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            main(["apply", "--name", "x", "/mnt/spec.toml"])
        keeping.remove(("x",))
        return err.getvalue(), [(status, [one["what"] for one in each["warnings"]]) for status, each in data]

    writable, told_of, err, as_data = in_host(prepared, identity="root")
    what = f"rw, of a filesystem that is read-only itself: nothing can be written at {where}"
    assert ((), [what], 1) == (writable, told_of, err.count(what))
    assert [(0, [what])] * 3 == as_data


@pytest.mark.needs_kernel("fs:overlay")
def test_the_work_directory_of_a_volatile_overlay_is_told_when_it_is_refused(in_host: InHost) -> None:
    """The kernel says why in its log only; that a layer may be in use, or have no xattr, was told instead."""
    overlay = 'type = "overlay"\nlayers = ["/mnt/feed/x"]\nupper = "/mnt/feed/y"\nwork = "/mnt/work"\n'
    text = f'{ROOT}[[mount]]\ntarget = "/o"\n{overlay.replace("/mnt/work", "/mnt/feed/work")}'

    def script() -> str:
        feed()
        Path("/mnt/feed/work").mkdir()
        api.build_and_forget(plan_of(f"{text}options = {{ volatile = true }}\n"))
        with pytest.raises(api.StepRefused) as caught:
            api.build_and_forget(plan_of(text))
        return str(caught.value)

    told_of = in_host(script, identity="root")
    assert "/mnt/feed/work has been the work directory of a volatile overlay" in told_of
    assert "remove /mnt/feed/work/work/incompat" in told_of


def test_the_digest_of_a_spec_is_taken_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    """Ids of an id-mapping are other values than their models write down."""
    ids = "{ uids = [[0, 100000, 65536]], gids = [[0, 100000, 65536]] }"
    text = f'format = 1\n{ROOT}[[mount]]\ntarget = "/a"\nbind = "/"\nidmap = {ids}\n'
    assert digest_of_spec(api.load(text)) == digest_of_spec(api.load(f"# said again\n{text}"))
    assert digest_of_spec(api.load(text)) != digest_of_spec(api.load(text.replace("65536", "65535")))
    assert not recwarn.list

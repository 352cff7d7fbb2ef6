"""apply, enter, ls, show and rm, as a user would type them, on throw-away hosts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PROC, Outcome, command_line, programs
from tests.hosts import CHECKOUT, CLONE_NEWNS, InHost, run_in_child, unshare
from tests.keptnames import SPEC, TWO, in_runtime_directory, on_run, place_for_specs

pytestmark = [pytest.mark.needs_kernel("set-group"), pytest.mark.usefixtures("all_imported")]


def mountplan(*words: str, stdin: str = "") -> Outcome:
    ended = command_line(*words, stdin=stdin, environment=os.environ | {"SHELL": "/bin/sh"})
    assert "Traceback" not in ended.err, ended.err
    return ended


def spec(text: str = SPEC, name: str = "spec.toml") -> str:
    """A spec in a file, in a place that the throw-away host has for itself."""
    path = Path(os.environ["SPECS"], name)
    path.write_text("format = 1\n" + text)
    return str(path)


@pytest.fixture(
    params=[pytest.param("root", marks=pytest.mark.needs_kernel("root")), pytest.param("nobody")],
)
def on_host(request: pytest.FixtureRequest, in_host: InHost) -> Callable[..., Any]:
    """Run a function as root with a /run of its own, and as an ordinary user with a runtime directory."""
    around = on_run if request.param == "root" else in_runtime_directory

    def run(function: Callable[[], object]) -> Any:
        return in_host(around(function), identity=request.param)

    return run


def test_apply_keeps_under_the_specs_name_and_says_how_to_look_at_it(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Outcome]:
        path = spec()
        return mountplan("apply", path), mountplan("apply", path)

    first, again = on_host(script)
    assert (0, "") == (first.status, first.err)
    assert re.match(r'Built and kept "shop": 2 mounts, \d+ steps, ', first.out)
    assert first.out.endswith("Look at it: mountplan show shop\n")
    assert (
        Outcome(0, '"shop" stands already, and was verified again: 2 mounts\nLook at it: mountplan show shop\n', "")
        == again
    )


def test_apply_says_how_to_enter_what_has_the_users_shell(on_host: Callable[..., Any]) -> None:
    """Programs of the host alone are not enough: without /bin there is no /bin/sh."""

    def script() -> list[str]:
        os.environ["SHELL"] = "/bin/sh"
        more = '[[mount]]\ntarget = "{}"\nbind = "/usr/bin"\n'
        paths = [
            spec(SPEC + more.format(target), f"{number}.toml") for number, target in enumerate(("/bin", "/usr/bin"))
        ]
        return [mountplan("apply", "--replace", path).out.splitlines()[-1] for path in paths]

    assert ["Enter it: mountplan enter shop", "Look at it: mountplan show shop"] == on_host(script)


def test_apply_as_json_tells_where_the_namespace_files_are(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Any, bool]:
        data = mountplan("apply", "--json", "--name", "other", spec()).json()
        file = data["kept"]["namespaces"][0]
        return data, os.stat(file["file"]).st_ino == file["inode"]

    data, exists = on_host(script)
    assert exists
    assert ("kept", "other", True) == (data["outcome"], data["kept"]["name"], data["verified"])
    assert ["/", "/srv"] == [row["mountpoint"] for row in data["namespaces"][0]["mounts"]]


def test_without_a_name_apply_says_how_to_give_one_and_forget_needs_none(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Outcome, Outcome]:
        path = spec(SPEC.replace('name = "shop"', ""))
        return mountplan("apply", path), mountplan("apply", "--forget", path), mountplan("ls")

    refused, forgotten, listed = on_host(script)
    assert (2, "") == (refused.status, refused.out)
    assert "there is no name to keep the namespaces under" in refused.err
    assert "--name" in refused.err
    assert (0, "") == (forgotten.status, forgotten.err)
    assert "It was let go again" in forgotten.out
    assert (0, "") == (listed.status, listed.out)
    assert "Nothing is kept" in listed.err


def test_a_changed_spec_is_told_with_its_places_and_replaced_when_asked(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        mountplan("apply", spec())
        path = spec(SPEC.replace('target = "/srv"', 'target = "/srv"\nattributes = ["ro"]'))
        return [mountplan("apply", path), mountplan("apply", "--json", path), mountplan("apply", "--replace", path)]

    refused, as_json, replaced = on_host(script)
    assert (1, "") == (refused.status, refused.out)
    assert "shop stands already, and was made from another spec" in refused.err
    assert re.search(
        r"spec\.toml:\d+: mount\[1\]: /srv: attributes: wanted ro,relatime, found rw,relatime$", refused.err, re.M
    )
    assert "--replace puts a new build in its place" in refused.err
    error = as_json.json()["error"]
    assert ("name-taken", "attributes") == (error["code"], error["differences"][0]["property"])
    assert 0 == replaced.status
    assert 'Built anew, and put in the place of "shop"' in replaced.out


def test_enter_runs_the_command_inside_and_ends_as_it_does(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        mountplan("apply", spec(programs(mounts='[[mount]]\ntarget = "/mark"\ntype = "tmpfs"\n')))
        return [
            mountplan("enter", "programs", "--", "sh", "-c", "ls -d /mark; exit 7"),
            mountplan("enter", "programs", stdin="echo in the shell; exit 3"),
            mountplan("enter", "programs", "--", "nonesuch"),
            mountplan("enter", "--json", "programs", "--", "nonesuch"),
            mountplan("enter", "--color", "always", "programs", "--", "/tmp"),
            mountplan("enter", "nonesuch"),
            mountplan("enter", "programs/left"),
            mountplan("show", "progrmas"),
        ]

    command, shell, missing, as_json, directory, unknown, namespace, misspelt = on_host(script)
    assert Outcome(7, "/mark\n", "") == command
    assert Outcome(3, "in the shell\n", "") == shell
    assert (127, "") == (missing.status, missing.out)
    assert "cannot run 'nonesuch'" in missing.err
    assert 127 == json.loads(as_json.err)["error"]["exit_status"]
    assert 126 == directory.status
    assert "it is a directory" in directory.err
    assert (2, "mountplan: nothing is kept under the name 'nonesuch'\n  remedy: `mountplan ls` shows what is\n") == (
        unknown.status,
        unknown.err,
    )
    assert "it has a single one: leave out /left" in namespace.err
    assert "remedy: did you mean 'programs'? `mountplan ls` shows what is\n" in misspelt.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["enter", "x", "ls"], "write -- before the command: mountplan enter x -- ls"),
        (["enter", "x", "--"], "there is no command after --"),
        (["enter", "x/"], "there is no namespace after the slash"),
        (["rm"], "name what is to be removed, or say --all"),
        (["rm", "--all", "x"], "name what is to be removed, or --all, not both"),
        (["apply", "--forget", "--replace", "SPEC"], "--forget keeps nothing: leave out --name and --replace"),
        (["ls", "x"], "ls takes no arguments: 'x' is one too many; `mountplan show NAME` tells of one"),
    ],
)
def test_wrong_usage_is_told_with_a_way_out(words: list[str], message: str, in_host: InHost) -> None:
    def script() -> Outcome:
        os.environ["XDG_RUNTIME_DIR"] = "/nonesuch"
        with place_for_specs():
            return mountplan(*(spec() if word == "SPEC" else word for word in words))

    ended = in_host(script)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}\n  remedy: ")


@pytest.mark.parametrize("command", ["enter", "show", "rm"])
def test_a_spec_is_told_as_one_also_where_there_is_no_place_for_names(command: str, in_host: InHost) -> None:
    """The way out of a missing place leads nowhere here: it is the argument that is wrong."""

    def script() -> Outcome:
        os.environ["XDG_RUNTIME_DIR"] = "/nonesuch"
        with place_for_specs():
            return mountplan(command, spec())

    ended = in_host(script)
    assert (2, "") == (ended.status, ended.out)
    assert f".toml: is a spec, and {command} takes the name" in ended.err


def test_ls_tells_names_namespaces_mounts_age_and_health(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Any]:
        mountplan("apply", spec())
        mountplan("apply", spec(programs(), "programs.toml"))
        return mountplan("ls"), mountplan("ls", "--json").json()

    listed, data = on_host(script)
    assert (0, "") == (listed.status, listed.err)
    header, *lines = listed.out.splitlines()
    assert ["NAME", "NAMESPACES", "MOUNTS", "AGE", "HEALTH"] == header.split()
    assert [["programs", "-"], ["shop", "-"]] == [line.split()[:2] for line in lines]
    assert {"healthy"} == {line.split()[-1] for line in lines}
    assert ["programs", "shop"] == [one["name"] for one in data]
    assert {"health", "age", "mounts", "namespaces", "spec", "created", "keeper", "problem"} <= data[0].keys()
    assert 2 == data[1]["mounts"]


def test_show_tells_all_about_a_name_and_what_has_changed(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        mountplan("apply", spec(programs(mounts='[[mount]]\ntarget = "/mark"\ntype = "tmpfs"\n')))
        before = mountplan("show", "name:programs")
        # As root in there; an ordinary user is in a user namespace of his own.
        mountplan("enter", "programs", "--", "mount", "-o", "remount,bind,ro", "/mark")
        return [before, mountplan("show", "programs"), mountplan("show", "--json", "programs"), mountplan("ls")]

    before, after, as_json, listed = on_host(script)
    assert (0, "") == (before.status, before.err)
    assert before.out.startswith("programs: healthy\n  from     /tmp/mountplan-")
    assert re.search(r"^  file     /\S+  \(mnt\)$", before.out, re.M)
    assert re.search(r"^├─mark +tmpfs +tmpfs +rw,relatime +private$", before.out, re.M)
    assert after.out.startswith("programs: drifted\n")
    assert re.search(
        r"^/tmp/\S+:\d+: mount\[\d+\]: /mark: attributes: wanted rw,relatime, found ro,relatime$", after.out, re.M
    )
    data = as_json.json()
    assert ("drifted", "/mark") == (data["health"], data["differences"][0]["mount"])
    assert "/mark" in [row["mountpoint"] for row in data["tables"][0]["mounts"]]
    assert "drifted" == listed.out.split()[-1]


def test_show_reads_each_namespace_once(on_host: Callable[..., Any]) -> None:
    """Also where a picture of its sharing is drawn."""
    shared = programs(mounts='[[mount]]\ntarget = "/m"\ntype = "tmpfs"\npeer_group = "g"\n[peer_group.g]\n')

    def script() -> tuple[int, list[str], str]:
        from mountplan.applier.keep import kept
        from mountplan.cli import main

        mountplan("apply", spec(shared))
        read, reading = kept.read_whole, []

        def read_whole(label: str, *more: Any) -> object:
            reading.append(label)
            return read(label, *more)

        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
            patch.setattr(kept, "read_whole", read_whole)
            patch.setattr(kept, "subjects", lambda name: reading.append(f"{name} again"))
            status = main(["show", "programs"])
        return status, reading, out.getvalue()

    status, reading, out = on_host(script)
    assert (0, ["programs"]) == (status, reading)
    assert "* peer: what is mounted in one is in all" in out


def test_a_look_at_what_is_kept_loads_nothing_slow(on_host: Callable[..., Any]) -> None:
    """As a saved plan has it (tests/kernel/test_rules.py). Characters that may do harm take `re`."""
    program = (
        "import sys; from mountplan.__main__ import main; main(sys.argv[1:])\n"
        "slow = ('argparse', 'contextlib', 'json', 'pydantic', 'signal', 'textwrap', 'typing')\n"
        "print([name for name in slow if name in sys.modules])"
    )

    def script() -> list[str]:
        mountplan("apply", spec(programs()))
        words = [sys.executable, "-S", "-c", program]  # site may load some of them
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        ended = [
            subprocess.run([*words, *line.split()], capture_output=True, text=True, env=environment, check=True)
            for line in ("ls", "show programs")
        ]
        return [one.stdout.splitlines()[-1] for one in ended]

    assert ["[]", "[]"] == on_host(script)


def test_rm_lets_go_what_it_can_and_tells_what_it_cannot(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        for name in ("a", "b", "c", "d"):
            mountplan("apply", "--name", name, spec())
        return [
            mountplan("rm", "a", "nonesuch", "b"),
            mountplan("rm", "--json", "c", "../x"),
            mountplan("rm", "--all"),
            mountplan("rm", "--all"),
        ]

    some, as_json, rest, none = on_host(script)
    assert (2, "Removed a\nRemoved b\n") == (some.status, some.out)
    assert some.err.startswith("mountplan: nothing is kept under the name 'nonesuch'\n")
    assert 2 == as_json.status
    assert ["c"] == as_json.json()["removed"]
    assert "is a path, and rm takes a kept name" in as_json.json()["errors"][0]["message"]
    assert Outcome(0, "Removed d\n", "") == rest
    assert Outcome(0, "", "Nothing is kept.\n") == none


def test_rm_says_who_stays_in_what_it_lets_go(on_host: Callable[..., Any]) -> None:
    """Images and devices stay busy until then, and nothing said why."""

    def script() -> tuple[int, list[Outcome]]:
        mountplan("apply", spec(programs()))
        words = [sys.executable, "-m", "mountplan"]
        with subprocess.Popen(
            [*words, "enter", "programs", "--", "sh", "-c", "echo; read x"], stdin=-1, stdout=-1, cwd=CHECKOUT
        ) as inside:
            assert inside.stdout is not None and inside.stdout.readline()
            done = [mountplan("rm", "programs")]
        mountplan("apply", spec(programs()))
        return inside.pid, [*done, mountplan("rm", "programs")]

    pid, (used, unused) = on_host(script)
    assert (
        Outcome(0, "Removed programs\n", f"Still in programs, whose mounts stay until they end: sh ({pid})\n") == used
    )
    assert Outcome(0, "Removed programs\n", "") == unused


def test_what_a_crash_has_left_is_told_when_it_is_cleaned(on_host: Callable[..., Any]) -> None:
    def script() -> list[Outcome]:
        mountplan("apply", spec())
        store = Path(os.environ["XDG_RUNTIME_DIR"] if os.geteuid() else "/run", "mountplan")
        (store / "half").mkdir()
        return [mountplan("ls"), mountplan("ls")]

    first, again = on_host(script)
    assert "mountplan: half is forgotten: " in first.err
    assert first.out.split()[-5:-3] == ["shop", "-"]
    assert "" == again.err


def test_what_is_kept_is_explained_and_simulated_with_all_its_namespaces(on_host: Callable[..., Any]) -> None:
    """A name stands for what it keeps; NAME/NAMESPACE asks from another one's point of view."""

    def script() -> list[Outcome]:
        place = '[[namespace.mount.file]]\npath = "x"\ndirectory = true\n'
        mountplan("apply", spec(TWO.replace('[[namespace]]\nname = "right"', f'{place}[[namespace]]\nname = "right"')))
        return [
            mountplan("explain", "pair", "--mount", "/feed/x"),
            mountplan("explain", "pair/right"),
            mountplan("simulate", "-", "--from", "pair", stdin="mount -t tmpfs new /feed/x\n"),
            mountplan("explain", "pair", "--mount", "/feed/none"),
            mountplan("explain", "pair", "--why", "/feed/none"),
            mountplan("explain", "pair/middle"),
            mountplan("explain", "nobody"),
            mountplan("explain", "pairs"),
        ]

    effects, groups, simulated, nowhere, why, no_namespace, no_name, near = on_host(script)
    assert "/feed/x in pair/right appears" in effects.out
    assert re.match(r"Peer group \d+: /feed, /feed in pair/left\n", groups.out)
    assert "  └─x " in simulated.out
    for one in (nowhere, why):
        assert (2, "") == (one.status, one.out)
        assert "/feed/none is not there, as pair/left sees it: ENOENT" in one.err
    assert (2, "mountplan: no namespace 'middle' is kept as pair\n  remedy: there are: pair/left, pair/right\n") == (
        no_namespace.status,
        no_namespace.err,
    )
    assert "remedy: name a spec, a saved plan, a kept name" in no_name.err
    assert "remedy: did you mean 'pair'? or name a spec, a saved plan, a kept name" in near.err


def test_a_spec_and_the_tree_that_is_kept_under_its_name_are_two_things(on_host: Callable[..., Any]) -> None:
    """The tree stands apart from what the spec would build, and nothing that is mounted there would reach it."""

    def script() -> tuple[Outcome, Outcome]:
        path = spec()
        mountplan("apply", path)
        asked = "explain", path, "--mount", "/srv", "--reaches"
        return mountplan(*asked, "name:shop"), mountplan(*asked, "shop")

    kept, own = on_host(script)
    assert (0, "a mount at /srv does not reach name:shop:") == (kept.status, kept.out.split("\n")[0])
    assert (0, "a mount at /srv reaches shop:") == (own.status, own.out.split("\n")[0])


@pytest.mark.needs_kernel("root")
def test_a_process_whose_cpus_make_older_namespaces_only_is_told_so(in_host: InHost) -> None:
    """Of the CPU on which its own was made it would get younger ones; the kernel's ELOOP is of no symlink."""

    def kept(one: int, other: int) -> Outcome:
        os.sched_setaffinity(0, {one})
        unshare(CLONE_NEWNS)
        os.sched_setaffinity(0, {other})
        ended = mountplan("apply", "-q", spec())
        mountplan("rm", "--all")
        return ended

    def script() -> list[Outcome]:
        first, *_, last = [*os.sched_getaffinity(0)] * 2
        return [run_in_child(lambda: kept(first, last)), run_in_child(lambda: kept(last, first))]

    for ended in in_host(on_run(script), identity="root"):
        assert ended.status == 0 or (ended.status == 3 and "younger mount namespaces" in ended.err), ended


def test_a_script_whose_interpreter_is_the_process_that_keeps_the_name_is_told_so(on_host: Callable[..., Any]) -> None:
    def script() -> Outcome:
        file = '[[mount.file]]\npath = "x"\nmode = "0755"\ncontent = "#!/proc/1/exe\\n"\n'
        mountplan("apply", spec(programs('unshare = ["pid"]', file + PROC)))
        return mountplan("enter", "programs", "--", "/tmp/x")

    ended = on_host(script)
    assert (126, "") == (ended.status, ended.out)
    assert "its interpreter or loader is the process that mountplan keeps" in ended.err


@pytest.mark.needs_kernel("root")
def test_an_error_that_cannot_be_written_inside_does_not_end_as_a_difference(in_host: InHost) -> None:
    """There is no /dev/null in the tree, to which what Python flushes at its end could go."""

    def script() -> int:
        mountplan("apply", spec(programs()))
        command = [sys.executable, "-m", "mountplan", "enter", "programs", "--", "/nonesuch"]
        with open("/dev/full", "w") as full:
            return subprocess.run(command, stderr=full, cwd=CHECKOUT).returncode

    assert 127 == in_host(on_run(script), identity="root")


def test_where_nothing_is_kept_under_the_specs_name_another_one_can_be_said(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Outcome, Outcome]:
        path = spec()
        mountplan("apply", "--quiet", path, "--name", "other")
        return mountplan("verify", path), mountplan("apply", "--live", path)

    told = [ended.err for ended in on_host(script)]
    for one, way in zip(
        told, ("spec.toml NAME, or pid:N; or build it: mountplan apply ", "--name NAME or --pid N; "), strict=True
    ):
        assert one.startswith(
            "mountplan: nothing is kept under the name 'shop', as the spec is called\n  remedy: say what "
        )
        assert way in one

"""Plans kept from one run to the next: used only if they still hold, and if no other user can have written them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mountplan import api, comparing, keeping, pipeline, plancache
from mountplan.planner.errors import SpecError
from mountplan.planner.plan.digest import sha256_hex
from mountplan.planner.plan.planfile import dump_plan, parse_plan
from tests.hosts import CHECKOUT, InHost, machine_has, mount, umount
from tests.keptnames import on_run
from tests.mountflags import MS_BIND
from tests.trees import ROOT, plan_of

PLANNER = CHECKOUT / "mountplan/planner"
SPEC = f'format = 1\nname = "x"\n{ROOT}[[mount]]\ntarget = "/b"\nbind = "HOME/link"\nmask = ["s*"]\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and beside it what SPEC binds."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    (tmp_path / "first/secret").touch()
    (tmp_path / "link").symlink_to("first")
    return tmp_path


def entries(home: Path) -> list[Path]:
    return sorted((home / "cache/mountplan-plans").iterdir())


def list_of_kept(home: Path) -> list[tuple[str, bytes]]:
    """What is kept, with what is in it."""
    folder = home / "cache/mountplan-plans"
    return sorted((entry.name, entry.read_bytes()) for entry in folder.iterdir()) if folder.is_dir() else []


def is_planned(home: Path, file: str = "x.toml", spec: str = SPEC) -> bool:
    """True if the plan is made anew, False if the kept one is taken; it is the right one in any case."""
    data = spec.replace("HOME", str(home)).encode()
    made: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        loading = pipeline.load

        def load(*arguments: Any, **more: Any) -> object:
            made.append(arguments)
            return loading(*arguments, **more)

        patch.setattr(pipeline, "load", load)
        plan = plancache.plan_of(data, file)
    assert api.plan(api.load(file, data)) == plan
    return bool(made)


def test_each_module_of_the_planner_counts() -> None:
    """Who works on mountplan must not be given what an earlier state of it planned."""
    found = {Path(path).relative_to(CHECKOUT / "mountplan") for path, _, _ in plancache._sources(str(PLANNER))}
    assert {path.relative_to(CHECKOUT) for path in (CHECKOUT / "planner").rglob("*.py")} == found


def test_a_plan_is_made_once(home: Path) -> None:
    assert [True, False, False] == [is_planned(home) for _ in range(3)]
    assert is_planned(home, "other.toml")  # errors name the file
    assert [False, False] == [is_planned(home), is_planned(home, "other.toml")]


def test_the_cache_is_its_owners_whatever_the_umask_is(home: Path) -> None:
    before = os.umask(0o777)
    try:
        is_planned(home)
    finally:
        os.umask(before)
    (folder,) = home.rglob(plancache._DIRECTORY)
    (entry,) = folder.iterdir()
    assert [0o700, 0o600] == [stat.S_IMODE(path.stat().st_mode) for path in (folder, entry)]


@pytest.mark.parametrize(
    "change",
    [
        lambda home: ((home / "link").unlink(), (home / "link").symlink_to("second")),
        lambda home: (home / "first/s2").touch(),
        lambda home: (home / "first/secret").unlink(),
        lambda home: ((home / "first/secret").unlink(), (home / "first/secret").mkdir()),
    ],
)
def test_a_change_of_what_planning_asked_about_makes_it_anew(home: Path, change: Callable[[Path], object]) -> None:
    """The kept questions are asked again."""
    is_planned(home)
    change(home)
    assert [True, False] == [is_planned(home), is_planned(home)]


def test_a_path_that_is_gone_is_a_mistake_again(home: Path) -> None:
    is_planned(home)
    shutil.rmtree(home / "first")
    with pytest.raises(SpecError):
        plancache.plan_of(SPEC.replace("HOME", str(home)).encode(), "x.toml")


def test_another_mount_there_makes_it_anew(home: Path, in_host: InHost) -> None:
    def script() -> list[bool]:
        found = [is_planned(home), is_planned(home)]
        mount("none", str(home / "first"), "tmpfs")
        return [*found, is_planned(home)]

    assert [True, False, True] == in_host(script, identity="best")


GROUPED = SPEC.partition(ROOT)[0] + "[peer_group.g]\n" + ROOT
for name in ("first", "second"):
    GROUPED += f'[[mount]]\ntarget = "/{name}"\nbind = "HOME/{name}"\npeer_group = "g"\n'
LESS = 'format = 1\nname = "x"\nroot = "inherit"\n[[remove]]\ntarget = "HOME/more"\n'


@pytest.mark.needs_kernel("root", "set-group")
@pytest.mark.parametrize("spec", [GROUPED, LESS], ids=["groups", "less"])
def test_a_name_that_is_kept_makes_no_plan_anew_and_another_mount_of_a_filesystem_does(
    home: Path, in_host: InHost, spec: str
) -> None:
    """All mounts of the host were asked for, where some of them would do."""

    def script() -> list[bool]:
        (home / "more").mkdir()
        mount("none", str(home / "more"), "tmpfs")
        keeping.keep(plan_of(f'name = "first"\n{ROOT}'))  # with it the store comes, which is a mount
        found = [is_planned(home, spec=spec), is_planned(home, spec=spec)]
        keeping.keep(plan_of(f'name = "second"\n{ROOT}'))
        found.append(is_planned(home, spec=spec))
        mount(str(home / "second"), str(home / "second"), flags=MS_BIND)
        found.append(is_planned(home, spec=spec))
        for name in ("second", "more"):
            umount(str(home / name))
        return found

    assert [True, False, False, True] == in_host(on_run(script), identity="root")


def many(home: Path) -> bool:
    """True if a plan of many binds in one directory is made anew; it is the right one, and its questions are few."""
    binds = "".join(f'[[mount]]\ntarget = "/b{one}"\nbind = "{home}/many/{one}"\n' for one in range(40))
    text = f"format = 1\n{ROOT}{binds}".encode()
    before = list_of_kept(home)
    plan = plancache.plan_of(text, "x.toml")
    assert api.plan(api.load("x.toml", text)) == plan
    (entry,) = entries(home)
    assert entry.read_bytes().splitlines()[1].count(b'"look"') < 5
    return before != list_of_kept(home)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path.rmdir(), path.symlink_to("7")),
        lambda path: (path.rmdir(), path.touch()),
    ],
    ids=["symlink", "file"],
)
def test_of_many_names_in_a_directory_each_counts(home: Path, change: Callable[[Path], object]) -> None:
    """They are asked about all at once."""
    for one in range(50):
        (home / f"many/{one}").mkdir(parents=True)
    assert [True, False] == [many(home), many(home)]
    (home / "many/45").rmdir()  # which the spec does not name
    assert not many(home)
    change(home / "many/33")
    assert [True, False] == [many(home), many(home)]


def test_a_symlink_in_place_of_a_directory_of_which_many_names_are_asked_counts(home: Path) -> None:
    for one in range(40):
        (home / f"many/{one}").mkdir(parents=True)
    assert [True, False] == [many(home), many(home)]
    (home / "many").rename(home / "others")
    (home / "many").symlink_to("others")
    text = list_of_kept(home)
    with pytest.raises(AssertionError):  # each path leads elsewhere now, and is asked for by itself
        many(home)
    assert text != list_of_kept(home)


def test_what_is_mounted_on_one_of_many_makes_it_anew(home: Path, in_host: InHost) -> None:
    for one in range(40):
        (home / f"many/{one}").mkdir(parents=True)

    def script() -> list[bool]:
        found = [many(home), many(home)]
        mount("none", str(home / "second"), "tmpfs")  # which has nothing to do with them
        found.append(many(home))
        mount("none", str(home / "many/33"), "tmpfs")
        return [*found, many(home)]

    assert [True, False, False, True] == in_host(script, identity="best")


@pytest.mark.alone
@pytest.mark.needs_kernel("root", "fs:debugfs")
def test_other_options_of_what_the_machine_has_one_of_make_it_anew(home: Path, in_host: InHost) -> None:
    """The spec asks for those that it has; once it has others, that is a mistake."""
    spec = f'format = 1\n{ROOT}[[mount]]\ntarget = "/d"\ntype = "debugfs"\noptions = {{ mode = "0711" }}\n'

    def script() -> str:
        with machine_has("debugfs", "gid=4,mode=0711", "/mnt"):
            plancache.plan_of(spec.encode(), "x.toml")
            umount("/mnt")
            mount("x", "/mnt", "debugfs", data="gid=4,mode=0750")
            with pytest.raises(SpecError) as refused:
                plancache.plan_of(spec.encode(), "x.toml")
            return str(refused.value)

    assert "which has rw,gid=4,mode=750: mode = 0711 would be set" in in_host(script, identity="root")


def test_what_the_spec_takes_from_outside_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, what is given, the files that are included, and the directory that paths count from."""
    base, main = home / "base.toml", home / "main.toml"
    base.write_text(f"format = 1\n{ROOT}")
    text = 'format = 1\ninclude = ["base.toml"]\n[parameters]\nx = { env = "X", default = "/d" }\n'
    main.write_text(f'{text}[[mount]]\ntarget = "${{x}}"\nbind = "./first"\n')

    def target(**given: str) -> tuple[str, bool]:
        """Where it is mounted, and whether that was planned now."""
        before = list_of_kept(home)
        plan = plancache.plan_of(main.read_bytes(), "main.toml", given)
        return plan.expected.namespaces[0].mounts[1].place, before != list_of_kept(home)

    monkeypatch.chdir(home)
    assert [("/d", True), ("/d", False)] == [target(), target()]
    assert [("/g", True), ("/g", False)] == [target(x="/g"), target(x="/g")]
    monkeypatch.setenv("X", "/e")
    assert [("/e", True), ("/e", False)] == [target(), target()]
    base.write_text(base.read_text() + "# other\n")
    assert [("/e", True), ("/e", False)] == [target(), target()]
    there = home / "second/there"
    there.mkdir()
    for name in ("base.toml", "main.toml"):
        shutil.copy(home / name, there)
    (there / "first").mkdir()
    monkeypatch.chdir(there)
    assert [("/e", True), ("/e", False)] == [target(), target()]


def _flip(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    entry.write_bytes(data)


def _link(entry: Path) -> None:
    entry.rename(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def _link_folder(entry: Path) -> None:
    entry.parent.rename(entry.parent.parent / "elsewhere")
    entry.parent.symlink_to("elsewhere")


def _fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


@pytest.mark.parametrize(
    "spoil",
    [
        _flip,
        _link,
        _link_folder,
        _fifo,
        lambda entry: entry.write_bytes(b""),
        lambda entry: entry.write_bytes(entry.read_bytes()[:-1]),
        lambda entry: entry.chmod(0o620),
        lambda entry: entry.chmod(0o602),
        lambda entry: entry.parent.chmod(0o770),
        lambda entry: entry.parent.chmod(0o1777),
        pytest.param(lambda entry: os.chown(entry, 65534, 65534), marks=pytest.mark.needs_kernel("root")),
        pytest.param(lambda entry: os.chown(entry.parent, 65534, 65534), marks=pytest.mark.needs_kernel("root")),
        pytest.param(lambda entry: os.chown(entry.parent.parent, 65534, 65534), marks=pytest.mark.needs_kernel("root")),
    ],
)  # fmt: skip
def test_what_is_damaged_or_may_be_another_users_is_not_used(home: Path, spoil: Callable[[Path], object]) -> None:
    """A plan is carried out with all the rights of who runs it."""
    is_planned(home)
    (entry,) = entries(home)
    spoil(entry)
    assert is_planned(home)


def test_a_kept_plan_is_proven_like_any_other(home: Path) -> None:
    """With right digests: one that does what no plan may do is not carried out because it lies in the cache."""
    is_planned(home)
    (entry,) = entries(home)
    questions, _, text = entry.read_bytes().partition(b"\n")[2].partition(b"\n")
    plan = parse_plan(text, "x.toml")
    altered = dump_plan(plan._replace(steps=plan.steps[1:])).encode()
    head = b"%s %s %d" % (plancache.FORMAT, sha256_hex(questions).encode(), len(altered))
    entry.write_bytes(b"\n".join((head, questions, altered)))
    assert [True, False] == [is_planned(home), is_planned(home)]


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null", "", "relative"])
def test_without_a_place_for_it_plans_are_made_each_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """And no command fails because of that."""
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.delenv("HOME")
    assert [True, True] == [is_planned(home), is_planned(home)]


def test_a_full_disk_leaves_nothing_behind(home: Path, in_host: InHost) -> None:
    def script() -> tuple[list[bool], list[Path]]:
        mount("none", str(home / "cache"), "tmpfs", data="size=4k")
        (home / "cache/fill").write_bytes(b"x" * 4096)
        return [is_planned(home), is_planned(home)], entries(home)

    assert ([True, True], []) == in_host(script, identity="best")


def test_the_cache_is_bounded_and_the_oldest_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is used stays; what was begun and never finished goes too."""
    monkeypatch.setattr(plancache, "MOST_ENTRIES", 3)
    for number in range(3):
        is_planned(home, f"{number}.toml")
    old = {entry: number for number, entry in enumerate(sorted(entries(home), key=lambda one: one.stat().st_mtime_ns))}
    for entry, number in old.items():
        os.utime(entry, (number, number))
    (home / "cache/mountplan-plans/.new-1-x").touch()
    os.utime(home / "cache/mountplan-plans/.new-1-x", (0, 0))
    assert not is_planned(home, "0.toml")  # now the youngest
    is_planned(home, "3.toml")
    assert 3 == len(entries(home))
    assert [False, True] == [is_planned(home, "0.toml"), is_planned(home, "1.toml")]
    monkeypatch.setattr(plancache, "MOST_BYTES", 1)
    is_planned(home, "4.toml")
    assert [] == entries(home)


@pytest.mark.needs_kernel("root", "set-group")
def test_verify_takes_a_plan_that_is_kept_and_keeps_none(home: Path, in_host: InHost) -> None:
    """It looks at what stands, and changes nothing."""
    file = home / "x.toml"
    file.write_text(SPEC.replace("HOME", str(home)))

    def script() -> None:
        keeping.keep(api.plan(api.load(str(file))))
        assert not comparing.verify(str(file)).drift
        assert [] == list_of_kept(home)
        plancache.plan_of(file.read_bytes(), str(file))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "load", None)
            assert not comparing.verify(str(file)).drift
        file.write_bytes(file.read_bytes().replace(b"/b", b"/c"))
        assert ["/b", "/c"] == sorted(one.mount for one in comparing.verify(str(file)).drift)

    in_host(on_run(script), identity="root")


@pytest.mark.needs_kernel("mountns")
def test_the_second_time_neither_pydantic_nor_networkx_is_loaded(home: Path) -> None:
    """Which is what the cache is there for; --no-cache neither reads nor writes it."""
    script = (
        "import sys; from mountplan.__main__ import main; status = main(sys.argv[1:]); "
        "print(status, [name for name in ('pydantic', 'networkx', 'tomli', 'dataclasses') if name in sys.modules])"
    )

    def loaded(*options: str) -> str:
        words = [sys.executable, "-c", script, "apply", "--forget", "--quiet", *options, "specs/hello.toml"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "pydantic" in loaded("--no-cache")
    assert not (home / "cache/mountplan-plans").exists()
    assert "pydantic" in loaded()
    assert "0 []\n" == loaded()


def test_a_plan_that_is_kept_is_found_without_what_a_saved_one_does_without(home: Path) -> None:
    """As tests/kernel/test_rules.py has it of saved plans. (Globs take `re`.)"""
    text = SPEC.replace("HOME", str(home)).replace('mask = ["s*"]', "").encode()
    plancache.plan_of(text, "x.toml")
    program = (
        "import sys; from mountplan import plancache; plancache.plan_of(sys.stdin.buffer.read(), 'x.toml')\n"
        "slow = ('collections', 'contextlib', 'enum', 'functools', 'json', 'pydantic', 're', 'signal', 'typing')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    words = [sys.executable, "-S", "-c", program]  # site may load some of them
    assert b"[]\n" == subprocess.run(words, input=text, capture_output=True, check=True, env=environment).stdout

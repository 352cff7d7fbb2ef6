"""Mount namespaces that belong to other user namespaces: what their owners cannot do, and that they come back."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import Built
from mountplan.applier.observe.locks import find_locks, owner_of
from mountplan.applier.observe.observe import observe
from mountplan.cli import main
from mountplan.planner.change.plan_change import plan_change
from mountplan.planner.change.standing import Allowed, StandingTree
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.render.preview import plan_text
from tests.hosts import CLONE_NEWUSER, InHost, mount, run_in_child, setns, umount, unshare
from tests.kernel.capture_fuzz import compare_again
from tests.kernel.handmade import CLONE_NEWNS, Alive, begin, bind, enter, inhabited, make, new
from tests.mountflags import MS_BIND, MS_MOVE, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED, MS_SLAVE
from tests.trees import plan_of, tree

pytestmark = pytest.mark.needs_kernel("set-group", "root")

SPEC = """
[peer_group.feed]

[[namespace]]
name = "outside"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
id = "feed"
target = "/feed"
type = "tmpfs"
peer_group = "feed"
[[namespace.mount.file]]
path = "place"
directory = true

[[namespace]]
name = "inside"
user = { uids = [[0, 1000, 100]], gids = [[0, 2000, 50], [50, 3000, 1]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"
attributes = ["nosuid"]
locked = "attributes"
[[namespace.mount]]
target = "/usr"
bind = "/usr"
attributes = ["ro"]
locked = true
[[namespace.mount]]
target = "/usr/share"
type = "tmpfs"
locked = true
[[namespace.mount]]
target = "/feed"
bind = { mount = "feed" }
master = "feed"
locked = true
[[namespace.mount]]
target = "/own"
type = "tmpfs"
[[namespace.mount]]
target = "/usr/share/own"
type = "tmpfs"
[[namespace.mount]]
target = "/bound"
bind = "/usr"
attributes = ["ro"]
locked = "attributes"
"""


def as_owner(built: Built, name: str, function: Callable[[], object]) -> object:
    """What `function` returns as root of the user namespace that owns a namespace, in there."""
    namespace = built.open_mounts(name)
    owner = owner_of(namespace)
    assert owner is not None

    def entered() -> object:
        setns(owner.fd)
        setns(namespace)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        return function()

    try:
        return run_in_child(entered)
    finally:
        os.close(owner.fd)
        os.close(namespace)


def attempts(*calls: Callable[[], object]) -> list[str]:
    """The name of the errno that each call raises, "" for none."""
    found = []
    for call in calls:
        try:
            call()
            found.append("")
        except OSError as error:
            found.append(os.strerror(error.errno or 0))
    return found


def test_the_owner_can_undo_what_is_not_locked_and_nothing_else(in_host: InHost) -> None:
    def inside() -> list[str]:
        rw = MS_REMOUNT | MS_BIND
        return attempts(
            lambda: umount("/usr/share/own"),
            lambda: umount("/usr/share"),
            lambda: mount("", "/usr", flags=rw),
            lambda: umount("/feed"),
            lambda: mount("", "/", flags=rw),
            lambda: mount("", "/bound", flags=rw),
            lambda: umount("/bound"),
            lambda: umount("/own"),
            lambda: mount("mine", "/feed/place", "tmpfs"),
        )

    def script() -> object:
        with tree(SPEC) as one:
            return as_owner(one.built, "inside", inside)

    denied, refused = os.strerror(1), os.strerror(22)
    assert ["", refused, denied, refused, denied, denied, "", "", ""] == in_host(script, identity="root")


def test_what_is_mounted_outside_arrives_inside_and_not_the_other_way_around(in_host: InHost) -> None:
    def script() -> tuple[bool, bool]:
        with tree(SPEC) as one:
            outside = type(one)(one.built, "outside")

            def mount_there() -> None:
                mount("event", "/feed/place", "tmpfs")
                open("/feed/place/file", "w").close()

            outside.inside(mount_there)
            arrived = as_owner(one.built, "inside", lambda: os.path.exists("/feed/place/file"))

            def mount_within() -> None:
                mount("mine", "/feed/place", "tmpfs")
                open("/feed/place/mine", "w").close()

            as_owner(one.built, "inside", mount_within)
            return bool(arrived), outside.inside(lambda: os.path.exists("/feed/place/mine"))

    assert (True, False) == in_host(script, identity="root")


def test_the_owner_and_its_ids_are_as_written(in_host: InHost) -> None:
    def script() -> object:
        with tree(SPEC) as one:
            fds = [one.built.open_mounts(name) for name in ("outside", "inside")]
            outside, inside = (owner_of(fd) for fd in fds)
            assert inside is not None
            return outside, inside.uids, inside.gids

    ids = (((0, 1000, 100),), ((0, 2000, 50), (50, 3000, 1)))
    assert (None, *ids) == in_host(script, identity="root")


NESTED = """
[[namespace]]
name = "one"
user = { uids = [[0, 1000, 100]], gids = [[0, 1000, 100]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"

[[namespace]]
name = "two"
user = { within = "one", uids = [[0, 10, 20]], gids = [[0, 10, 20]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"
locked = "attributes"

[[namespace]]
name = "three"
user = { of = "two" }
[[namespace.mount]]
target = "/"
type = "tmpfs"
"""


def test_user_namespaces_may_be_nested_and_own_several(in_host: InHost) -> None:
    def script() -> object:
        with tree(NESTED) as one:
            owners = [owner_of(one.built.open_mounts(name)) for name in ("one", "two", "three")]
            first, second, third = (owner for owner in owners if owner is not None)
            return second.above == (first.inode,), second.inode == third.inode, second.uids

    assert (True, True, ((0, 1010, 20),)) == in_host(script, identity="root")


def test_a_peer_across_user_namespaces_takes_an_explicit_word(in_host: InHost) -> None:
    """What is mounted inside appears on the outside."""
    peers = SPEC.replace('master = "feed"\nlocked = true', 'peer_group = "feed"\nlocked = true')
    told = api.check(f"format = 1\n{peers}".encode(), "test.toml")
    assert ["namespace[1].mount[3].peer_group"] == [one.ref.key for one in told]
    assert "who is root in inside could mount on the outside" in told[0].what

    def script() -> bool:
        spec = peers.replace("[peer_group.feed]", "[peer_group.feed]\nacross_user_namespaces = true")
        with tree(spec) as one:
            as_owner(one.built, "inside", lambda: mount("mine", "/feed/place", "tmpfs"))
            return "/feed/place" in type(one)(one.built, "outside").mountpoints()

    assert in_host(script, identity="root")


@pytest.mark.parametrize("spec", [SPEC, NESTED], ids=["locked", "nested"])
def test_a_saved_plan_makes_the_same(spec: str, in_host: InHost) -> None:
    def script() -> bool:
        plan = plan_of(spec)
        again = load_plan(dump_plan(plan), "plan.json")
        with tree(again):
            return again == plan

    assert in_host(script, identity="root")


@pytest.mark.parametrize("spec", [SPEC, NESTED], ids=["locked", "nested"])
def test_what_was_built_is_captured_as_it_was_written(spec: str, in_host: InHost) -> None:
    def script() -> tuple[str, str]:
        with tree(spec) as one:
            first = captured(one.built)
        with tree(api.plan(api.load("captured.toml", first.encode()))) as one:
            return first, captured(one.built)

    first, second = in_host(script, identity="root")
    assert first == second
    assert spec.count("user =") == first.count("user =")
    assert spec.count("locked = true") == first.count("locked = true")


def captured(built: Built) -> str:
    from mountplan.applier.build.build_subjects import of_built
    from mountplan.capturing import capture_subjects

    with ExitStack() as stack:
        return capture_subjects([stack.enter_context(one) for one in of_built(built)], "state").text


# -- what clones of unprivileged users come to ------------------------------------------------------------------------


@contextmanager
def user(build: Callable[[], object]) -> Iterator[int]:
    """A process in a mount and a user namespace of its own, with 100 ids, once `build` has been called there."""
    ready, is_ready = os.pipe()
    mapped, is_mapped = os.pipe()

    def inside() -> None:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        os.write(is_ready, b".")
        os.read(mapped, 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        build()

    def give_ids(pid: int) -> None:
        os.read(ready, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write("0 1000 100")
        os.write(is_mapped, b".")

    with inhabited(inside, give_ids) as pid:
        yield pid


def host() -> None:
    mount("srv", "/srv", "tmpfs")
    for name in ("feed", "other"):
        os.mkdir(f"/srv/{name}")
    new("/srv/feed", "a", "b")
    make("/srv/feed", MS_SHARED)


def of_its_own() -> None:
    """Root and all are the user's."""
    make("/", MS_REC | MS_PRIVATE)
    begin("a", "b")
    new("a", "x")
    make("a", MS_SHARED)
    bind("a/x", "b")
    enter()


def upon_what_was_there() -> None:
    """The tree of the outside, with mounts of the user's on it, one of them a bind that keeps its attributes."""
    mount("own", "/srv/other", "tmpfs")
    os.mkdir("/srv/other/bound")
    mount("/usr", "/srv/other/bound", flags=MS_BIND | MS_REC)
    mount("", "/srv/other/bound", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def shared_on() -> None:
    """What was inherited is a slave of the outside, and shared among the user's own."""
    make("/srv/feed", MS_SHARED)
    mount("own", "/srv/other", "tmpfs")
    os.mkdir("/srv/other/again")
    bind("/srv/feed", "/srv/other/again")


def moved_upon_it() -> None:
    begin("a")
    new("a")
    mount(".", "/", flags=MS_MOVE)
    os.chroot(".")


def with_a_tree_of_the_outside() -> None:
    """A recursive bind of what is locked together stays so below its top."""
    make("/", MS_REC | MS_SLAVE)
    begin("srv", "own")
    mount("/srv", "srv", flags=MS_BIND | MS_REC)
    new("own")
    enter()


@pytest.mark.parametrize(
    "build", [of_its_own, upon_what_was_there, shared_on, moved_upon_it, with_a_tree_of_the_outside]
)
def test_what_an_unprivileged_clone_has_made_comes_back_with_its_owner_and_its_locks(
    build: Callable[[], None], in_host: InHost
) -> None:
    def script() -> tuple[str, bool]:
        host()
        with inhabited(lambda: None) as outside, user(build) as pid:
            text = api.capture(outside, pid, name="state").text
            return compare_again(Alive([outside, pid])), "user = { uids = [[0, 1000, 100]]" in text

    assert ("", True) == in_host(script, identity="root")


def test_what_locks_would_keep_from_being_shared_comes_back_as_one_of_our_own(in_host: InHost) -> None:
    """One recursive call shares what lies below covers; a mount of these alone nobody can get at, once it is locked."""

    def script() -> list[str]:
        host()
        mount("cover", "/srv/feed", "tmpfs")
        with inhabited(lambda: None) as outside, user(lambda: make("/", MS_REC | MS_SHARED)) as pid:
            capture = api.capture(outside, pid, name="state")
            api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
            return [one.what for one in capture.cautions if "belongs to a user namespace" in one.what]

    (what,) = in_host(script, identity="root")
    assert what.endswith("is shared or mounted on, and covered; all of that is locked")


def test_the_namespace_of_a_user_may_be_the_first(in_host: InHost) -> None:
    def script() -> tuple[str, str]:
        host()
        with user(of_its_own) as one, inhabited(lambda: None) as outside:
            return compare_again(Alive([outside, one])), api.capture(outside, one).text

    wrong, text = in_host(script, identity="root")
    assert "" == wrong
    assert "locked" not in text


def test_locks_are_found_in_a_copy_and_the_namespace_stays_as_it_is(in_host: InHost) -> None:
    def script() -> object:
        host()
        with user(upon_what_was_there) as pid:
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
            owner = owner_of(namespace)
            assert owner is not None
            before = observe(pid)
            locks = find_locks(namespace, owner.fd, before)
            assert before == observe(pid)
            places = ("/", "/srv", "/srv/other", "/srv/other/bound")
            rows = {row.mountpoint: row.mount_id for row in before.rows if row.mountpoint in places}
            return [locks[rows[place]] for place in places]

    assert ["attributes", "locked", "", "attributes"] == in_host(script, identity="root")


def test_the_preview_tells_whose_it_is_and_what_is_locked(in_host: InHost) -> None:
    text = in_host(lambda: plan_text(plan_of(SPEC)), identity="root")
    assert "Tree of namespace inside, of user inside: uid 0 there is 1000 outside" in text
    assert "master:feed  locked" in text
    assert "attributes locked" in text


def test_what_is_inherited_is_locked(in_host: InHost) -> None:
    spec = """
[[namespace]]
name = "one"
root = "inherit"
user = { uids = [[0, 1000, 100]], gids = [[0, 1000, 100]] }
[[namespace.mount]]
target = "/mnt"
type = "tmpfs"
"""

    def script() -> object:
        mount("srv", "/srv", "tmpfs")
        plan = load_plan(dump_plan(plan_of(spec)), "plan.json")
        with tree(plan) as one:
            return as_owner(one.built, "one", lambda: attempts(lambda: umount("/srv"), lambda: umount("/mnt")))

    assert [os.strerror(22), ""] == in_host(script, identity="root")


def test_what_belongs_to_another_user_is_not_changed_while_it_stands(in_host: InHost) -> None:
    def script() -> list[str]:
        return [one.what for one in plan_change(plan_of(SPEC), StandingTree("it", (), observe()), Allowed()).obstacles]

    (told,) = in_host(script, identity="root")
    assert told.startswith("namespace inside belongs to another user")


@pytest.mark.parametrize(
    ("before", "after", "key", "words"),
    [
        ('name = "inside"\nuser', 'name = "inside"\n#', "namespace[1].mount[0].locked", "belongs to who builds it"),
        ('attributes = ["nosuid"]\nlocked = "attributes"', "locked = true", "namespace[1].mount[0].locked", "the root"),
        ('attributes = ["nosuid"]\nlocked = "attributes"', "", "namespace[1].mount[1].locked", "what it stands on"),
        ("uids = [[0, 1000, 100]], ", "", "namespace[1].user", "lacks ids"),
        ("{ uids", '{ of = "outside", uids', "namespace[1].user", "has what a new one has"),
        ("{ uids", '{ within = "nowhere", uids', "namespace[1].user.within", "there is no namespace"),
        ("{ uids", '{ within = "outside", uids', "namespace[1].user.within", "in which it is built"),
        ("{ uids", '{ within = "inside", uids', "namespace[1].user.within", "in a circle"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(before: str, after: str, key: str, words: str) -> None:
    assert before in SPEC
    told = api.check(f"format = 1\n{SPEC.replace(before, after)}".encode(), "test.toml")
    assert key in [one.ref.key for one in told]
    assert any(words in one.what for one in told)


def is_said_to_be_locked(*words: str) -> bool:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert 0 == main(["explain", *words])
    return "EINVAL (Invalid argument): the mount is locked" in text.getvalue()


def is_refused(namespaces: list[int], path: str) -> bool:
    def inside() -> bool:
        for fd in namespaces:
            setns(fd)
        return bool(attempts(lambda: umount(path))[0])

    return run_in_child(inside)


def test_explain_knows_what_is_locked(in_host: InHost) -> None:
    """It answers what umount(2) answers to the owner, also of a namespace that a spec would make."""
    spec = """
[[namespace]]
name = "own"
user = { uids = [[0, 1000, 100]], gids = [[0, 1000, 100]] }
[[namespace.mount]]
target = "/"
type = "tmpfs"
locked = "attributes"
[[namespace.mount]]
target = "/srv"
type = "tmpfs"
locked = true
"""

    def script() -> tuple[list[bool], list[bool], bool]:
        host()
        Path("/srv/spec.toml").write_text(f"format = 1\n{spec}")
        places = ["/srv/other/bound", "/srv/other", "/srv"]
        with user(upon_what_was_there) as pid:
            told = [is_said_to_be_locked(str(pid), "--unmount", place) for place in places]
            namespaces = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
            real = [is_refused(namespaces, place) for place in places]
        return told, real, is_said_to_be_locked("/srv/spec.toml", "--unmount", "/srv")

    told, real, planned = in_host(script, identity="root")
    assert [False, False, True] == told == real
    assert planned


def test_explain_knows_what_is_locked_in_a_copy_of_another_users_namespace(in_host: InHost) -> None:
    """Of root's own namespace: copy_mnt_ns locks what it copies whenever the owners differ."""

    def script() -> tuple[list[bool], list[bool]]:
        host()
        places = ["/srv/other/bound", "/srv/other", "/srv"]
        with user(upon_what_was_there) as pid:
            theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)

            def copy() -> None:
                setns(theirs)
                unshare(CLONE_NEWNS)
                mount("own", "/srv/feed", "tmpfs")

            with inhabited(copy) as mine:
                told = [is_said_to_be_locked(str(mine), "--unmount", place) for place in [*places, "/srv/feed"]]
                namespace = os.open(f"/proc/{mine}/ns/mnt", os.O_RDONLY)
                return told, [is_refused([namespace], place) for place in [*places, "/srv/feed"]]

    told, real = in_host(script, identity="root")
    assert told == real
    assert {True, False} == {*real}


def with_owners() -> None:
    """Filesystems of the user's, whose owners the kernel tells by the numbers of the machine."""
    mount("own", "/srv/other", "tmpfs", data="uid=7,gid=9")


def test_a_capture_of_the_roots_is_what_stands_there_by_all_commands(in_host: InHost, tmp_path: Path) -> None:
    """It has the machine's numbers of owners, as it is built by root."""
    file = tmp_path / "captured.toml"

    def script() -> tuple[list[int], str]:
        host()
        with user(with_owners) as pid:
            file.write_text(api.capture(pid).text)
            commands = (
                ["verify", str(file), f"pid:{pid}"],
                ["diff", str(file), f"pid:{pid}"],
                ["diff", f"pid:{pid}", str(file)],
                ["plan", str(file), "--live", f"pid:{pid}", "--exit-code"],
            )
            told = io.StringIO()
            with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
                return [main(words) for words in commands], told.getvalue()

    status, told = in_host(script, identity="root")
    assert [0, 0, 0, 0] == status, told
    assert 'uid = "1007", gid = "1009"' in file.read_text()

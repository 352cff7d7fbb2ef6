"""The tree of any process is changed, of which no record tells; and who is refused there is told what to do."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from mountplan import api, changing, live_target
from mountplan.planner.change.standing import Allowed
from mountplan.planner.errors import StepRefused
from tests.hosts import InHost, moments, mount, setns
from tests.kernel.captured_process import held
from tests.kernel.states import chance_state, running
from tests.kernel.test_road_images import run, squashfs
from tests.live_trees import GAPS, TREE, LiveTree, plan_of, standing_tree
from tests.mountflags import MS_BIND

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def test_the_namespace_of_any_process_is_changed(in_host: InHost) -> None:
    """Of what no record tells of, each mount is known by what it shows."""
    before, after = (
        TREE.replace("SOURCE", "one"),
        TREE.replace("SOURCE", "two") + '[[mount]]\ntarget = "/new"\ntype = "tmpfs"\n',
    )

    def script() -> tuple[list[str], int]:
        with standing_tree(plan_of(before)) as tree:
            operand = live_target.target_of(f"pid:{tree.built.pid}")
            mount("run", "/run", "tmpfs", data="mode=0755")
            done = changing.change(plan_of(after), operand, GAPS)
            left = changing.preview(plan_of(after), live_target.look(operand), Allowed())
            assert [] == os.listdir("/run")
            return sorted(one.sign for one in done.change.changes), len(left.changes)

    signs, left = in_host(script)
    assert ["+", "swap"] == signs
    assert 0 == left


@pytest.mark.needs_kernel("userns", "unshare")
def test_a_process_may_be_in_another_user_namespace_than_its_mounts(in_host: InHost) -> None:
    """bwrap goes on into one more, which has no say over them: entering that was refused (EPERM)."""
    plan = plan_of('format = 1\nname = "live"\nroot = "inherit"\n[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\n')

    def script() -> list[str]:
        mount("run", "/run", "tmpfs", data="mode=0755")
        command = ["unshare", "--user", "--map-root-user", "--mount", "unshare", "--user", "sleep", "600"]
        process = subprocess.Popen(command)
        try:
            for _ in moments():
                if Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n":
                    break
            done = changing.change(plan, live_target.target_of(f"pid:{process.pid}"), Allowed())
            return [f"{one.sign} {one.mount}" for one in done.change.changes]
        finally:
            process.kill()
            process.wait()

    assert ["+ /mnt"] == in_host(script, identity="root")


def test_a_refused_change_of_a_process_is_taken_back(in_host: InHost) -> None:
    """What it was, its capture says. What was in proc to mount upon has gone since it was planned."""
    before = TREE.replace("SOURCE", "one") + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'
    after = TREE.replace("SOURCE", "two") + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'
    after += '[[mount]]\ntarget = "/new/deep/one"\ntype = "tmpfs"\n'

    def script() -> tuple[str, list[tuple[str, str]], list[tuple[str, str]]]:
        def seen(tree: LiveTree) -> list[tuple[str, str]]:
            return sorted((row.mountpoint, row.source) for view in tree.views() for row in view.table.rows)

        with standing_tree(plan_of(before)) as tree:
            operand = live_target.target_of(f"pid:{tree.built.pid}")
            mount("run", "/run", "tmpfs", data="mode=0755")
            earlier = seen(tree)
            with subprocess.Popen(["sleep", "600"]) as process:
                plan = plan_of(after + f'[[mount]]\ntarget = "/proc/{process.pid}"\ntype = "tmpfs"\n')
                process.kill()
            try:
                changing.change(plan, operand, GAPS)
            except StepRefused as error:
                assert [] == os.listdir("/run")
                return str(error), earlier, seen(tree)
            return "", [], []

    error, earlier, now = in_host(script)
    assert "taken back" in error
    assert earlier == now


def test_an_option_of_proc_is_changed_in_place_and_goes_when_the_spec_does_not_have_it(in_host: InHost) -> None:
    """Of a process, whose captured spec does not have it either: it stayed."""
    before = TREE + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'

    def script() -> list[tuple[list[str], str]]:
        told = []
        with standing_tree(plan_of(before)) as tree:
            operand = live_target.target_of(f"pid:{tree.built.pid}")
            mount("run", "/run", "tmpfs", data="mode=0755")
            for text in (before + 'options = { hidepid = "2" }\n', before):
                done = changing.change(plan_of(text), operand, Allowed())
                shown = next(row.options for row in tree.views()[0].table.rows if row.mountpoint == "/proc")
                told.append(([f"{one.sign} {one.what}" for one in done.change.changes], shown))
        return told

    there, back = in_host(script, identity="root")
    assert (["~ options hidepid not shown -> hidepid=2"], "rw,hidepid=invisible") == there
    assert (["~ options hidepid=invisible -> hidepid=0"], "rw") == back


def test_a_size_that_is_not_enough_for_what_is_there_is_refused_with_a_way_out(in_host: InHost) -> None:
    """It was sent to `mountplan doctor`."""

    def script() -> str:
        with standing_tree(plan_of(TREE)) as tree:
            Path(f"/proc/{tree.built.pid}/root/pool/large").write_bytes(bytes(2 << 20))
            mount("run", "/run", "tmpfs", data="mode=0755")
            operand = live_target.target_of(f"pid:{tree.built.pid}")
            try:
                changing.change(plan_of(f'{TREE}options = {{ size = "1m" }}\n'), operand, Allowed())
            except StepRefused as refused:
                return str(refused)
        return ""

    told = in_host(script, identity="root")
    assert "Too small a size" in told
    assert "remove some of it inside" in told


@pytest.mark.parametrize("words", ['attributes = ["ro"]', "options = { ro = true }"])
def test_who_keeps_a_mount_from_being_read_only_is_named(in_host: InHost, words: str) -> None:
    """It has opened a file there and is in another namespace by now, where no plan looks for it."""

    def script() -> tuple[int, str]:
        with standing_tree(plan_of(TREE)) as tree:
            home, namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY), tree.built.open_mounts("")
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                setns(namespace)
                kept = open("/pool/file", "w")  # noqa: SIM115
                setns(home)
                os.write(writer, b"x")
                signal.pause()
                kept.close()
            try:
                os.read(reader, 1)
                mount("run", "/run", "tmpfs", data="mode=0755")
                operand = live_target.target_of(f"pid:{tree.built.pid}")
                changing.change(plan_of(f"{TREE}{words}\n"), operand, Allowed())
            except StepRefused as refused:
                return child, str(refused)
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        return child, ""

    child, told = in_host(script, identity="root")
    assert f"({child})" in told and ", or end " in told


def overlay_of(base: str) -> None:
    """One of which the kernel tells where its layers are, as there is a file in each; mounted at /mnt/at."""
    mount("own", "/mnt", "tmpfs")
    os.mkdir("/mnt/at")
    for name in ("lower", "upper", "work", "other"):
        os.makedirs(f"{base}/{name}")
    for name in ("lower", "upper"):
        Path(f"{base}/{name}/of-{name}").touch()
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    mount("none", "/mnt/at", "overlay", data=options)


@pytest.mark.parametrize("base", ["/srv", "/mnt"])
@pytest.mark.parametrize("names", [(), ("lower", "upper", "work")])
def test_an_overlay_of_a_process_stays_if_its_directories_are_those_of_the_spec(
    in_host: InHost, base: str, names: tuple[str, ...]
) -> None:
    """Whatever they are called by now, and in a filesystem of the process as well: it was to be swapped with one on the
    same upper directory, and that was refused at its step.
    """

    def script() -> tuple[int, int, list[str]]:
        mount("srv", "/srv", "tmpfs")

        def act() -> None:
            overlay_of(base)
            for name in names:
                os.rename(f"{base}/{name}", f"{base}/{name}-now")

        with held(act) as pid:
            target = live_target.look(live_target.target_of(f"pid:{pid}"))
            text = api.capture(pid, check=False).text
            stays = changing.preview(plan_of(text), target, Allowed())
            lower = "lower-now" if names else "lower"
            assert f"/{lower}" in text
            other = changing.preview(plan_of(text.replace(lower, "other")), target, Allowed())
            return len(stays.changes), len(stays.obstacles), [one.kind for one in other.obstacles]

    assert (0, 0, ["upper directory"]) == in_host(script)


def test_what_is_removed_and_there_again_stays_where_the_remedy_is_followed(in_host: InHost) -> None:
    """The capture has it under another name, and a spec cannot say what stands: it was told to leave it as it is."""

    def act() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in ("directory", "at"):
            os.mkdir(f"/mnt/{name}")
        mount("/mnt/directory", "/mnt/at", flags=MS_BIND)
        os.rmdir("/mnt/directory")
        os.mkdir("/mnt/directory")

    def script() -> int:
        with held(act) as pid:
            target = live_target.look(live_target.target_of(f"pid:{pid}"))
            text = api.capture(pid, check=False).text
            (obstacle,) = changing.preview(plan_of(text), target, Allowed()).obstacles
            line = obstacle.remedy.rpartition(": write ")[2]
            place = 'target = "/mnt/at"\n'
            found = changing.preview(plan_of(text.replace(place, f"{place}{line}\n")), target, Allowed())
            return len(found.changes) + len(found.obstacles)

    assert 0 == in_host(script)


@pytest.mark.needs_kernel("loop", "fs:squashfs", "mksquashfs")
def test_a_filesystem_of_a_process_stays_if_it_is_in_the_image_of_the_spec(in_host: InHost) -> None:
    """Whatever that is called by now: it was swapped with another one of the same file."""

    def act() -> None:
        run("mount", "-o", "loop,ro", "/srv/image", "/mnt")
        os.rename("/srv/image", "/srv/now")

    def script() -> list[list[str]]:
        mount("srv", "/srv", "tmpfs")
        for name in ("image", "other"):
            squashfs(f"/srv/{name}", name)
        start = 'format = 1\nname = "x"\nroot = "inherit"\n[[mount]]\ntarget = "/mnt"\nattributes = ["ro"]\n'
        start += 'type = "squashfs"\nimage = "/srv/'
        with held(act) as pid:
            target = live_target.look(live_target.target_of(f"pid:{pid}"))
            plans = [plan_of(f'{start}{name}"\n') for name in ("now", "other")]
            return [[one.sign for one in changing.preview(plan, target, Allowed()).changes] for plan in plans]

    assert [[], ["swap"]] == in_host(script)


def test_each_mount_of_what_there_is_one_of_has_a_source_of_its_own(in_host: InHost) -> None:
    """That of the first was held against all in the spec, and of two that were to be swapped only one was made."""

    def act() -> None:
        mount("one", "/mnt", "sysfs")
        mount("two", "/opt", "sysfs")

    def script() -> list[list[str]]:
        with held(act) as pid:
            operand = live_target.target_of(f"pid:{pid}")
            text = api.capture(pid, check=False).text
            stays = changing.preview(plan_of(text), live_target.look(operand), Allowed())
            other = text.replace('source = "one"', 'source = "three"').replace('source = "two"', 'source = "one"')
            mount("run", "/run", "tmpfs", data="mode=0755")
            done = changing.change(plan_of(other), operand, Allowed())
            return [[f"{one.sign} {one.mount}" for one in found.changes] for found in (stays, done.change)]

    assert [[], ["swap /mnt", "swap /opt"]] == in_host(script)


def test_nothing_is_to_be_changed_in_what_was_captured_of_states_made_by_chance(in_host: InHost) -> None:
    def script(seed: int) -> tuple[bool, list[str]]:
        with running(chance_state(seed)) as alive:
            capture = api.capture(alive.pids[0], name="state", check=False)
            target = live_target.look(live_target.target_of(f"pid:{alive.pids[0]}"))
            found = changing.preview(plan_of(capture.text), target, Allowed())
            return not capture.cautions, [f"{one.sign} {one.mount}" for one in found.changes]

    looked = [in_host(partial(script, seed), identity="root") for seed in range(4100, 4106)]
    assert [] == [changes for is_whole, changes in looked if is_whole and changes]
    assert sum(is_whole for is_whole, _ in looked) > 3

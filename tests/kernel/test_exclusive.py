"""What one mount is to have for itself: images, block devices, and the directories that an overlay writes to."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.keep import kept as names
from mountplan.applier.sys import devices as devices_
from mountplan.applier.sys import loop, syscalls
from mountplan.applier.sys.overlay import is_in_use
from mountplan.cli import main
from mountplan.planner.errors import MountplanError
from tests.hosts import InHost, moments, mount, run_in_child, umount
from tests.keptnames import leave, on_run
from tests.mountflags import MS_BIND
from tests.trees import ROOT, _setns, plan_of

Result = TypeVar("Result")

TOOLS = {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
needs_images = pytest.mark.needs_kernel("root", "loop", "fs:ext4", "mkfs.ext4", "losetup")
needs_overlays = pytest.mark.needs_kernel("root", "fs:overlay")

READS, WRITES = "options = { ro = true }", ""


def tool(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, env=TOOLS)
    return done.stdout.strip()


def image_spec(image: object, more: str = "", *, name: str = "one", field: str = "image") -> str:
    """A loop device stands for any block device, of which all is named, since as an image by itself it is refused."""
    value = f'"{image}"'
    if field == "image" and str(image).startswith("/dev/loop"):
        size = int(Path(f"/sys/block/{Path(str(image)).name}/size").read_text()) * 512
        value = f'{{ path = "{image}", size = {size} }}'
    return f'name = "{name}"\n{ROOT}[[mount]]\ntarget = "/i"\ntype = "ext4"\n{field} = {value}\n{more}\n'


def overlay_spec(upper: str, work: str, *, name: str = "one") -> str:
    return (
        f'name = "{name}"\n{ROOT}[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/srv/lower"]\n'
        f'upper = "/srv/{upper}"\nwork = "/srv/{work}"\n'
    )


def host_with_image() -> Path:
    """A host of its own with an ext4 image at /srv/image, which is /srv/other too, and a directory to mount on."""
    mount("srv", "/srv", "tmpfs")
    image = Path("/srv/image")
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    tool("mkfs.ext4", "-q", image)
    os.link(image, "/srv/other")
    os.mkdir("/srv/mnt")
    return image


def keeping_names(
    script: Callable[[], Result], prepare: Callable[[], object] = host_with_image
) -> Callable[[], Result]:
    """`script` on a host that was prepared; the names that it keeps are gone afterwards, and all else is as before."""

    def host() -> Result:
        prepare()
        return on_run(script)()

    return host


IMAGE = Path("/srv/image")


def devices(image: Path) -> list[str]:
    return [one.device for one in loop.attached_to(image.stat())]


def wait_until_free(image: Path) -> None:
    for _ in moments():  # a superblock goes a moment after the last process of its namespace
        if not devices(image):
            return
    raise AssertionError(devices(image))


@contextmanager
def attached(image: Path, *words: str) -> Iterator[str]:
    device = tool("losetup", "--find", "--show", *words, image)
    try:
        yield device
    finally:
        tool("losetup", "--detach", device)


def outcome(attempt: Callable[[], object]) -> str:
    """What an attempt says: the first mistake, the refused step, or "" if it worked."""
    try:
        attempt()
    except MountplanError as error:
        return str(error)
    return ""


def both(text: str) -> tuple[str, str]:
    """What is said before anything is touched, and what the build itself says if nobody has asked before it."""

    def at_the_call() -> None:
        build(plan_of(text)).close()

    return outcome(lambda: api.build_and_forget(plan_of(text))), outcome(at_the_call)


def write_inside(namespace: int, prefix: str) -> None:
    def write() -> None:
        _setns(namespace)
        for number in range(50):
            Path(f"/i/{prefix}{number}").write_text(prefix)

    run_in_child(write)


@needs_images
@pytest.mark.needs_kernel("e2fsck")
def test_a_replaced_name_and_its_successor_write_to_one_superblock(in_host: InHost) -> None:
    """Who is in the old namespaces goes on writing. Behind a second loop device, most of both would be lost."""

    def script() -> tuple[int, list[str]]:
        image = IMAGE
        api.apply(plan_of(image_spec(image)))
        with names.opened("one") as old:
            before = old.open(old.namespace())
        write_inside(before, "a")
        api.apply(plan_of(image_spec(image)), replace=True)
        count = len(devices(image))
        with names.opened("one") as new:
            after = new.open(new.namespace())
        for namespace, prefix in ((after, "b"), (before, "c"), (after, "d")):
            write_inside(namespace, prefix)
        os.close(before)
        os.close(after)
        api.remove("one")
        wait_until_free(image)
        tool("e2fsck", "-fn", image)
        with attached(image) as device:
            mount(device, "/srv/mnt", "ext4")
            found = sorted(name for name in os.listdir("/srv/mnt") if name != "lost+found")
            umount("/srv/mnt")
        return count, found

    count, found = in_host(keeping_names(script), identity="root")
    assert 1 == count
    assert sorted(f"{prefix}{number}" for prefix in "abcd" for number in range(50)) == found


@needs_images
@pytest.mark.parametrize(
    ("how", "wanted", "said"),
    [
        ((), WRITES, ""),
        ((), READS, ""),  # mount(8) uses such a device again too: the kernel sees to it that one state holds
        (("--read-only",), READS, ""),
        (("--read-only",), WRITES, "it is attached read-only already ({device}), and this mount would write to it"),
        (("--offset", "4096"), WRITES, "a part of it is attached for writing already ({device})"),
        (("--sizelimit", "8192"), READS, "a part of it is attached for writing already ({device})"),
        (("--read-only", "--offset", "4096"), READS, ""),
    ],
)
def test_an_image_that_is_attached_is_shared_or_refused_as_mount_does(
    how: tuple[str, ...], wanted: str, said: str, in_host: InHost
) -> None:
    """By the file, not by its name: it is named by a hard link here."""

    def script() -> tuple[tuple[str, str], str, list[str]]:
        image = host_with_image()
        with attached(image, *how) as device:
            found = both(image_spec("/srv/other", wanted))
            return found, device, devices(image)

    (before, at_the_call), device, left = in_host(script, identity="root")
    assert [device] == [one for one in left if one == device], "a device of another process was detached"
    wanted_words = said.format(device=device)
    assert (wanted_words in before) and (wanted_words in at_the_call)
    assert (bool(said), bool(said)) == (bool(before), bool(at_the_call))
    if said:
        assert 'test.toml:9: mount[1].image: "/srv/other" is in use' in before
        assert "remedy: " in before and "remedy: " in at_the_call


@needs_images
@pytest.mark.parametrize(
    ("wanted", "path"),
    [(WRITES, "/srv/image"), (READS, "/srv/alias"), (WRITES, "/srv/link"), (READS, "/srv/bound/image")],
)
def test_an_image_that_the_host_has_mounted_is_to_be_bound_from_there(wanted: str, path: str, in_host: InHost) -> None:
    def script() -> tuple[tuple[str, str], str, str]:
        image = host_with_image()
        os.link(image, "/srv/alias")
        os.symlink("image", "/srv/link")
        os.mkdir("/srv/bound")
        mount("/srv", "/srv/bound", flags=MS_BIND)
        tool("mount", "-o", "loop", image, "/srv/mnt")
        before = Path("/proc/self/mountinfo").read_text()
        found = both(image_spec(path, wanted))
        return found, before, Path("/proc/self/mountinfo").read_text()

    found, before, after = in_host(script, identity="root")
    for text in found:
        assert "it is mounted already (/dev/loop" in text and 'at "/srv/mnt")' in text
        assert 'write bind = "/srv/mnt"' in text
        assert ('with attributes = ["ro"]' in text) == (wanted == READS)
    assert before == after


@needs_images
def test_a_name_that_writes_to_an_image_is_told_to_who_would_only_read_it(in_host: InHost) -> None:
    """Shared they cannot be, since the state is the superblock's; and a reader beside a writer sees nonsense."""

    def script() -> tuple[list[str], list[str]]:
        image = IMAGE
        api.apply(plan_of(image_spec(image, name="writer")))
        said = [
            *both(image_spec(image, READS)),
            outcome(lambda: api.build_and_forget(plan_of(image_spec(image, OTHER)))),
        ]
        api.remove("writer")
        wait_until_free(image)
        api.apply(plan_of(image_spec(image, READS, name="reader")))
        api.build_and_forget(plan_of(image_spec(image, READS)))
        said += both(image_spec(image))
        return said, devices(image)

    OTHER = 'options = { commit = "9" }'
    (early, late, options, writes, writes_late), _ = in_host(keeping_names(script), identity="root")
    assert "for writing already (/dev/loop" in early and 'the kept name "writer" has it at "/i"' in early
    assert "EBUSY" in late
    assert "with the options rw, and does not show these: commit = 9" in options
    assert "read-only already (/dev/loop" in writes and 'the kept name "reader" has it at "/i"' in writes
    assert "it is attached read-only already" in writes_late


@needs_images
def test_options_that_a_shared_superblock_does_not_show_are_refused_at_the_call(in_host: InHost) -> None:
    def script() -> str:
        image = IMAGE
        api.apply(plan_of(image_spec(image)))
        return both(image_spec(image, 'options = { commit = "9" }'))[1]

    assert "does not show these: commit = 9" in in_host(keeping_names(script), identity="root")


@needs_images
def test_builds_at_the_same_moment_get_one_loop_device(in_host: InHost) -> None:
    def script() -> tuple[list[int], list[str]]:
        image = IMAGE
        plan = plan_of(image_spec(image))
        children = [
            os.fork() or leave(lambda number=number: api.apply(plan, f"n{number}"))  # type: ignore[misc]
            for number in range(5)
        ]
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], devices(image)

    statuses, found = in_host(keeping_names(script), identity="root")
    assert ([0] * 5, 1) == (statuses, len(found))


@needs_images
def test_one_after_the_other_there_is_nothing_in_the_way(in_host: InHost) -> None:
    """What the one before had is let go a moment after it has ended."""

    def script() -> list[str]:
        image = host_with_image()
        plans = [plan_of(image_spec(image, more)) for more in (WRITES, READS)]
        return [outcome(partial(api.build_and_forget, one)) for one in plans * 3]

    assert [""] * 6 == in_host(script, identity="root")


@needs_images
@pytest.mark.needs_kernel("mkfs.erofs", "fs:erofs")
def test_images_of_filesystems_that_nobody_writes_to_are_attached_read_only(in_host: InHost, tmp_path: Path) -> None:
    """So any number of trees has them, and `ro` need not be said."""
    (tmp_path / "tree").mkdir()
    image = tmp_path / "image"
    tool("mkfs.erofs", "--quiet", image, tmp_path / "tree")
    one = f'[[mount]]\ntarget = "/i"\ntype = "erofs"\nimage = "{image}"\n'

    def script() -> list[bool]:
        with build(plan_of(ROOT + one + one.replace('"/i"', '"/j"'))):
            return [attached.writable for attached in loop.attached_to(image.stat())]

    assert [False, False] == in_host(script, identity="root")


@needs_images
def test_an_image_that_is_written_to_stands_once_in_a_spec(in_host: InHost) -> None:
    def script() -> list[str]:
        host_with_image()
        first, second = image_spec("/srv/image"), '[[mount]]\ntarget = "/j"\ntype = "ext4"\nimage = "/srv/other"\n'
        texts = (first + second, first + second + READS, image_spec("/srv/image", READS) + second + READS)
        return [outcome(lambda text=text: plan_of(text)) for text in texts]  # type: ignore[misc]

    written, mixed, read = in_host(script, identity="root")
    for said in (written, mixed):
        assert '"/srv/other" is what mount[1] mounts already' in said
        assert 'bind = { mount = "ID", path = "/" }, with an id on mount[1]' in said
    assert "" == read


@needs_images
def test_a_device_is_mounted_once_and_its_options_stay(in_host: InHost) -> None:
    def script() -> tuple[dict[str, str], str, str]:
        image = IMAGE
        with attached(image) as device:
            said = {}

            def attempt(name: str, field: str = "source", more: str = "") -> None:
                text = image_spec(device, more, field=field)
                said[name], said[name + ", at the call"] = both(text)

            attempt("free")
            api.apply(plan_of(image_spec(device, name="holder", field="source")))
            attempt("shared")
            attempt("other options", more='options = { commit = "9" }')
            attempt("read-only", more=READS)
            attempt("below a loop device", "image")
            api.remove("holder")
            mount(device, "/srv/mnt", "ext4", data="errors=continue")
            before = Path("/proc/self/mountinfo").read_text()
            attempt("mounted by the host")
            after = Path("/proc/self/mountinfo").read_text()
            umount("/srv/mnt")
            return said, before, after

    said, before, after = in_host(keeping_names(script), identity="root")
    assert ["", "", "", ""] == [
        said.pop(f"{name}{call}") for name in ("free", "shared") for call in ("", ", at the call")
    ]
    assert all(said.values()), said
    assert 'the kept name "holder" has it at "/i"' in said["other options"]
    assert 'write attributes = ["ro"] instead' in said["read-only"]
    assert "write source = ... instead of image" in said["below a loop device"]
    assert "mounted itself" in said["below a loop device, at the call"]
    assert 'write bind = "/srv/mnt"' in said["mounted by the host"]
    assert 'it is mounted already, at "/srv/mnt"' in said["mounted by the host, at the call"]
    assert before == after


@needs_images
def test_a_kernel_that_cannot_be_asked_for_a_new_superblock_is_asked_for_the_device(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSCONFIG_CMD_CREATE_EXCL is of Linux 6.6, and filesystems of the old interface do not have it."""
    monkeypatch.setattr(syscalls, "create_exclusively", lambda context: False)

    def script() -> list[str]:
        image = IMAGE
        with attached(image) as device:
            free = both(image_spec(device, 'options = { commit = "9" }', field="source"))
            api.apply(plan_of(image_spec(device, name="holder", field="source")))
            shared = both(image_spec(device, field="source"))
            other = both(image_spec(device, 'options = { commit = "9" }', field="source"))
            api.remove("holder")
            return [*free, *shared, other[1]]

    *fine, other = in_host(keeping_names(script), identity="root")
    assert [""] * 4 == fine
    assert "does not show these: commit = 9" in other


@needs_images
def test_a_device_is_claimed_while_it_is_mounted_and_a_refused_look_is_no_answer(in_host: InHost) -> None:
    def script() -> tuple[bool, bool, bool, str]:
        with attached(host_with_image()) as device:
            free = devices_._is_claimed(device)
            mount(device, "/srv/mnt", "ext4")
            held = devices_._is_claimed(device)
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
            try:
                devices_._is_claimed(device)
                said = ""
            except OSError as error:
                said = errno.errorcode[error.errno or 0]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            umount("/srv/mnt")
            return free, held, devices_._is_claimed(device), said

    assert (False, True, False, "EMFILE") == in_host(script, identity="root")


@needs_images
@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ((), (), True),
        (("--offset", "1048576"), (), True),
        (("--read-only",), (), True),
        (("--sizelimit", "8388608"), ("--offset", "8388608"), False),
    ],
    ids=["the whole twice", "a part of it", "a reader", "another part"],
)
def test_a_loop_device_as_source_is_refused_beside_another_one_over_the_same_bytes(
    first: tuple[str, ...], second: tuple[str, ...], refused: bool, in_host: InHost
) -> None:
    """Each has a superblock of its own, that knows nothing of the other: what both write is lost."""

    def script() -> str:
        image = host_with_image()
        with attached(image, *first), attached(image, *second) as device:
            return outcome(lambda: api.build_and_forget(plan_of(image_spec(device, field="source"))))

    assert refused == ("another loop device is over the same file" in in_host(script, identity="root"))


@needs_images
def test_a_loop_device_keeps_others_from_the_device_below_it(in_host: InHost) -> None:
    def script() -> list[str]:
        image = host_with_image()
        with attached(image) as device:
            with build(plan_of(image_spec(device))):
                return [*both(image_spec(device, field="source")), *both(image_spec(device, READS))]

    found = in_host(script, identity="root")
    assert all("in use" in text for text in found), found


def host_with_layers() -> None:
    mount("srv", "/srv", "tmpfs")
    for name in ("lower", "upper", "work", "upper2", "work2", "mnt"):
        os.mkdir(f"/srv/{name}")


@needs_overlays
@pytest.mark.parametrize(
    ("upper", "work", "field"),
    [("upper", "work2", "upper"), ("upper2", "work", "work"), ("upper2", "upper", "work"), ("work", "work2", "upper")],
)
def test_the_directories_of_an_overlay_are_not_given_to_a_second_one(
    upper: str, work: str, field: str, in_host: InHost
) -> None:
    """The kernel only warns, in its log."""

    def script() -> tuple[str, str, list[str]]:
        api.apply(plan_of(overlay_spec("upper", "work", name="holder")))
        found = both(overlay_spec(upper, work))
        return *found, [*os.listdir("/srv/upper2"), *os.listdir("/srv/work2")]

    before, at_the_call, made = in_host(keeping_names(script, host_with_layers), identity="root")
    taken = upper if field == "upper" else work
    assert f'mount[1].{field}: "/srv/{taken}" is in use: another overlay has it' in before
    assert 'that of the kept name "holder" at "/o"' in before
    assert f'another overlay has "/srv/{taken}" as its upper or work directory' in at_the_call
    assert [] == made, "something was made in directories that are free"


@needs_overlays
def test_asking_whether_an_overlay_has_a_directory_leaves_no_trace(in_host: InHost) -> None:
    def script() -> tuple[list[bool], object, object]:
        host_with_layers()
        paths = ("/srv/upper", "/srv/work", "/srv/lower")

        def state() -> object:
            return [
                (os.stat(one).st_mtime_ns, os.stat(one).st_ctime_ns, os.listxattr(one), os.listdir(one))
                for one in paths
            ]

        def used() -> list[bool]:
            found = []
            for one in paths:
                fd = os.open(one, os.O_PATH)
                found.append(is_in_use(fd))
                os.close(fd)
            return found

        before, answers = state(), used()
        after = state()
        mount("o", "/srv/mnt", "overlay", data="lowerdir=/srv/lower,upperdir=/srv/upper,workdir=/srv/work")
        answers += used()
        umount("/srv/mnt")
        return answers + used(), before, after

    answers, before, after = in_host(script, identity="root")
    assert [False, False, False, True, True, False, False, False, False] == answers
    assert before == after


@needs_overlays
def test_of_overlays_at_the_same_moment_one_gets_the_directories(in_host: InHost) -> None:
    def script() -> list[int]:
        plan = plan_of(overlay_spec("upper", "work"))
        children = [
            os.fork() or leave(lambda number=number: api.apply(plan, f"n{number}"))  # type: ignore[misc]
            for number in range(4)
        ]
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert [0, 1, 1, 1] == sorted(in_host(keeping_names(script, host_with_layers), identity="root"))


@needs_images
def test_check_and_plan_tell_what_is_in_use_and_go_on(in_host: InHost, capfd: pytest.CaptureFixture[str]) -> None:
    """It may be free when it is wanted, and what stands already from this very spec may have it."""

    def script() -> list[int]:
        image = host_with_image()
        Path("/srv/spec.toml").write_text("format = 1\n" + image_spec(image))
        tool("mount", "-o", "loop", image, "/srv/mnt")
        return [main(["check", "/srv/spec.toml"]), main(["plan", "/srv/spec.toml"]), main(["apply", "/srv/spec.toml"])]

    assert [0, 0, 3] == in_host(script, identity="root")
    told = capfd.readouterr().err.splitlines()
    assert 3 == len([line for line in told if 'mount[1].image: "/srv/image" is in use: it is mounted already' in line])
    assert 2 == len([line for line in told if line.startswith("mountplan: could not be built at this moment: ")])

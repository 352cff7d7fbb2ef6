"""What is exported, run by the real programs, is what the spec says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.observe.subjects import of_tree
from mountplan.foreign_files import imported
from mountplan.planner.ask.mount_commands import mount_script
from mountplan.planner.foreign.to_bubblewrap import to_bubblewrap
from mountplan.planner.foreign.to_oci import to_oci
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from tests.hosts import CHECKOUT, PATIENCE, InHost, mount
from tests.kernel.test_containers import LINKS, Runtime, container
from tests.kernel.test_imports import same_but_masks
from tests.kernel.test_real import CASES, Case
from tests.kernel.test_specs import NEEDED, with_feed
from tests.mountflags import MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_SHARED

pytestmark = pytest.mark.needs_kernel("set-group", "root", "mount", "unshare")


def test_a_script_needs_no_more_than_the_path_of_an_ordinary_user(tmp_path: Path, in_host: InHost) -> None:
    """Debian has chroot(8) where ordinary users do not look."""

    def script() -> int:
        plan = api.plan(api.load(str(CHECKOUT / "specs/sandbox.toml")))
        host = observe()
        (tmp_path / "build.sh").write_text(mount_script(plan, predict(plan, host), host).text)
        command = ["unshare", "--mount", "--propagation", "private", "sh", f"{tmp_path}/build.sh", "/usr/bin/true"]
        return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}).returncode

    assert 0 == in_host(script, identity="root")


def test_a_script_hides_nothing_that_it_needs(tmp_path: Path, in_host: InHost) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\ncontents = "/mnt/image"\n'
        '[[mount]]\ntarget = "/shown"\nbind = "/media/disk"\n'
    )

    def script() -> list[str]:
        for place in ("/mnt/image/shown", "/media/disk"):
            mount("here", place.rpartition("/")[0].removesuffix("/image"), "tmpfs")
            os.makedirs(place)
        return round_trip("sh", str(spec), tmp_path, {}) + ["made"] * (tmp_path / "build.sh").exists()

    assert ["made"] == in_host(script, identity="root")


def test_the_files_of_a_script_have_the_modes_and_links_of_the_spec(tmp_path: Path, in_host: InHost) -> None:
    """Whoever runs it with whatever umask, which the command has again; and nothing is read as an option."""
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "suid"\nmode = "4755"\nuid = 7\n'
        '[[mount.file]]\npath = "link"\nsymlink = "-x y"\n[[mount.file]]\npath = "plain"\n'
        f'[[mount.file]]\npath = "copy"\nsource = "{tmp_path}/program"\n'
        '[[mount]]\ntarget = "/usr"\nbind = "/usr"\n'
    )
    (tmp_path / "program").touch(0o755)

    def script() -> str:
        plan = api.plan(api.load(str(spec)))
        host = observe()
        text = mount_script(plan, predict(plan, host), host).text
        before, _, last = text.rstrip().rpartition("\n")
        root = last.split(" ")[2]
        names = "suid link plain copy usr"
        (tmp_path / "build.sh").write_text(f"{before}\ncd {root}; stat -c '%n %a %u %N' {names}; umask\n")
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'umask 077; exec sh "$0"']
        return subprocess.run([*command, tmp_path / "build.sh"], stdout=subprocess.PIPE, text=True).stdout

    assert [
        "suid 4755 7 'suid'", "link 777 0 'link' -> '-x y'", "plain 644 0 'plain'", "copy 644 0 'copy'",
        "usr 755 0 'usr'", "0077",
    ] == in_host(script, identity="root").splitlines()  # fmt: skip


SHARED = """format = 1
[[mount]]
target = "/"
type = "tmpfs"
[peer_group.g]
[peer_group.k]
[[mount]]
id = "d"
target = "/d"
type = "tmpfs"
peer_group = "g"
[[mount]]
target = "/e"
bind = { mount = "d" }
peer_group = "g"
"""
# On the first member and at the same place of the second; what only the first has, and a peer and a slave without any.
COPIES = """[[mount]]
id = "x"
target = "/d/x"
type = "tmpfs"
{first}
[[mount]]
target = "/e/x"
bind = {{ mount = "x" }}
attributes = ["ro"]
{second}
[[mount]]
target = "/d/only"
type = "tmpfs"
[[mount]]
target = "/f"
bind = {{ mount = "d" }}
peer_group = "g"
[[mount]]
target = "/s"
bind = {{ mount = "d" }}
master = "g"
"""
IN_K, SLAVE_OF_K = 'peer_group = "k"', 'master = "k"'
WIDER_SLAVE = """[peer_group.h]
master = "g"
[[mount]]
target = "/s1"
bind = { mount = "d", path = "/x" }
peer_group = "h"
[[mount]]
target = "/s2"
bind = { mount = "d" }
master = "h"
"""
ALIKE = SHARED.replace("[peer_group.k]\n", "")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(ALIKE + COPIES.format(first="", second=""), id="private copies"),
        pytest.param(SHARED + COPIES.format(first=IN_K, second=IN_K), id="peers on peers"),
        pytest.param(SHARED + COPIES.format(first=IN_K, second=SLAVE_OF_K), id="a slave on a peer"),
        pytest.param(SHARED + COPIES.format(first="", second=IN_K), id="a shared copy"),
        pytest.param(ALIKE + WIDER_SLAVE, id="a slave that shows more than its master"),
    ],
)
def test_what_peers_have_at_one_place_is_mounted_while_they_are_peers(
    spec: str, tmp_path: Path, in_host: InHost
) -> None:
    (tmp_path / "spec.toml").write_text(spec)

    def script() -> list[str]:
        return round_trip("sh", str(tmp_path / "spec.toml"), tmp_path, {}) + ["made"] * (tmp_path / "build.sh").exists()

    assert ["made"] == in_host(script, identity="root")


EXAMPLES = sorted(path.stem for path in (CHECKOUT / "specs").glob("*.toml"))
RUNTIMES: dict[str, Runtime] = {"runc": "runc", "crun": "crun"}
FORMS = ("sh", "runc", "crun", "bwrap")
# What the runtimes do with masked paths; what else is told of an export is in docs/coming-from.md.
RUNTIME = {"/proc/.*|/sys/firmware": ".*", "/sys/fs/cgroup": "root|source|superblock", "/dev.*": ".*"}


def by_mount(script: str, folder: Path) -> AbstractContextManager[str]:
    """The operand of what the commands make. They end in a shell that holds still in place of the command."""
    before, _, last = script.rstrip().rpartition("\n")
    root = last.split(" ")[2]
    assert f'exec chroot {root} "$@"' == last
    text = f"{before}\nexec 3<{root}; echo ready; read -r line\n"
    (folder / "build.sh").write_text(text)

    @contextmanager
    def standing() -> Iterator[str]:
        child = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", folder / "build.sh"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert b"ready\n" == child.stdout.readline()
            table = Path(f"/proc/{child.pid}/mountinfo").read_text().splitlines()
        finally:
            child.communicate(timeout=60 * PATIENCE)
        # What a process with that root would see.
        lines = [line.split(" ") for line in table]
        inside = [words for words in lines if words[4] == root or words[4].startswith(f"{root}/")]
        shown = [" ".join([*words[:4], words[4].removeprefix(root) or "/", *words[5:]]) for words in inside]
        (folder / "seen").write_text("\n".join(shown) + "\n")
        yield f"mountinfo:{folder}/seen"

    return standing()


@contextmanager
def by_runtime(runtime: Runtime, exported: Any, folder: Path) -> Iterator[str]:
    bundle = folder / "bundle"
    bundle.mkdir()

    def replaced(config: Any) -> None:
        config["mounts"], config["root"] = exported["mounts"], exported["root"]
        del config["hostname"]
        config["process"]["args"] = ["/usr/bin/sleep", "60"]
        config["linux"] |= {"maskedPaths": [], "readonlyPaths": []} | exported["linux"]

    with container(runtime, bundle, replaced) as pid:
        yield f"pid:{pid}"


@contextmanager
def by_bubblewrap(words: list[str], _: Path) -> Iterator[str]:
    words = [*words[: words.index("--")], "--", "cat"]
    child = subprocess.Popen(["bwrap", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(b"x")
        child.stdin.flush()
        assert b"x" == child.stdout.read(1)  # it runs: all is mounted
        subjects = of_tree(child.pid)
        for subject in subjects:
            subject.close()
        yield f"pid:{subjects[-1].pid}"
    finally:
        child.communicate(timeout=60 * PATIENCE)


def round_trip(form: str, spec: str, folder: Path, parameters: Mapping[str, str]) -> list[str]:
    """How what the real program makes of an export differs from the spec, beside what was told; nothing, if refused.

    A refusal says why.
    """
    plan = api.plan(api.load(spec, parameters=parameters))
    if form == "sh":
        host = observe()
        script = mount_script(plan, predict(plan, host), host)
        assert bool(script.text) != bool(script.reasons)
        if script.reasons:
            return []
        # [run] is not in it, as is told: sysfs is the machine's where the spec has a net namespace, and one of its own.
        standing = by_mount(script.text, folder)
        known = {"/sys": "option ro"} if "net" in plan.run.unshare else {}
    else:
        found = to_bubblewrap(plan) if form == "bwrap" else to_oci(plan, observe())
        assert (found.value is None) == bool(found.reasons)
        if found.reasons:
            return []
        if not any(path.startswith("/usr/bin") or path in ("/", "/usr") for path in sources_of(plan)):
            pytest.skip("there is no program in it")
        if form in RUNTIMES:
            standing, known = by_runtime(RUNTIMES[form], found.value, folder), RUNTIME
        else:
            standing, known = by_bubblewrap(found.value, folder), told_of(found.notes)
    with standing as other:
        drift = api.diff(spec, other, parameters=parameters).drift
    return [
        str(one)
        for one in drift
        if not any(re.fullmatch(where, one.mount) and re.fullmatch(what, one.prop) for where, what in known.items())
    ]


def sources_of(plan: Plan) -> list[str]:
    return [one.root for one in plan.expected.namespaces[0].mounts if not one.filesystem]


def told_of(notes: tuple[str, ...]) -> dict[str, str]:
    """Of what is said that bubblewrap does besides: where, and what about it, as patterns."""
    others = [note for note in notes if not note.endswith("its root in a directory of the tmpfs")]
    told = {re.escape(note.partition(": ")[0].rstrip("/")) + "(/.*)?( .*)?": "attributes|master" for note in others}
    return told | ({"/": "root"} if len(others) < len(notes) else {})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_exported_of_an_example_comes_to_the_same_or_is_refused_with_a_reason(
    name: str, form: str, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    needs_kernel(*NEEDED.get(f"{name}.toml", ()), *PROGRAMS[form])
    spec = str(CHECKOUT / f"specs/{name}.toml")
    found = in_host(with_feed(lambda: round_trip(form, spec, tmp_path, {})), identity="root")
    assert not found, "; ".join(found)


PROGRAMS: dict[str, tuple[str, ...]] = {"sh": (), "runc": ("runc",), "crun": ("crun",), "bwrap": ("bwrap",)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.spec} by {case.needs.split()[0]}")
def test_what_is_exported_of_a_real_configuration_comes_to_the_same_or_is_refused_with_a_reason(
    case: Case, form: str, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    needs_kernel(*case.needs.split(), *PROGRAMS[form])

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        mount("folder", str(tmp_path), "tmpfs")
        with case.make(tmp_path):
            spec = str(CHECKOUT / f"specs/real/{case.spec}.toml")
            return round_trip(form, spec, tmp_path, case.parameters(tmp_path))

    found = in_host(script, identity="root")
    assert not found, "; ".join(found)


BUNDLE = """\
format = 1
[[mount]]
target = "/"
bind = "{image}"
[[mount]]
target = "/proc"
type = "proc"
attributes = ["nosuid", "nodev", "noexec"]
create = true
[[mount]]
target = "/dev"
type = "tmpfs"
source = "tmpfs"
options = {{ mode = "755", size = "64k" }}
attributes = ["nosuid", "strictatime"]
create = true
[[mount]]
target = "/usr"
bind = "/usr"
recursive = true
attributes = ["ro", "nosuid"]
recursive_attributes = false
create = true
[run]
command = ["/usr/bin/sleep", "60"]
unshare = ["pid", "ipc"]
"""
BUNDLES = {
    "slaves of the host's": """\
[peer_group.feed]
host = "/srv"
[[mount]]
target = "/feed"
bind = "/srv"
recursive = true
master = "feed"
create = true
[[mount]]
target = "/tmp"
type = "tmpfs"
source = "tmpfs"
options = { size = "1m" }
create = true
""",
    "one that is unbindable": """\
[[mount]]
target = "/closed"
bind = "/srv/own"
attributes = ["ro", "noexec"]
unbindable = true
create = true
""",
    "attributes of its source": """\
[[mount]]
target = "/harder"
bind = "/srv/hard"
attributes = ["ro"]
create = true
[[mount]]
target = "/softer"
bind = "/srv/hard"
recursive = true
attributes = ["exec", "relatime"]
recursive_attributes = false
create = true
[[mount]]
target = "/soft"
bind = "/srv/hard"
recursive = true
attributes = ["suid", "dev", "exec", "rw"]
create = true
[[mount]]
target = "/bare"
bind = "/srv/hard"
attributes = ["suid", "dev", "exec", "rw", "relatime"]
create = true
""",
    "groups": """\
[peer_group.feed]
host = "/srv"
[peer_group.own]
[peer_group.fed]
master = "feed"
[[mount]]
target = "/own"
bind = "/srv/own"
peer_group = "own"
create = true
[[mount]]
target = "/fed"
bind = "/srv/own"
peer_group = "fed"
create = true
""",
}


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_runtime_makes_what_is_exported_for_it(
    bundle: str, runtime: Runtime, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    needs_kernel(runtime)

    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        os.mkdir("/srv/own")
        os.mkdir("/srv/hard")
        mount("hard", "/srv/hard", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME)
        mount("", "/srv", "", MS_SHARED)
        (tmp_path / "image").mkdir()
        for name in LINKS:
            (tmp_path / "image" / name).symlink_to(f"usr/{name}")
        spec = tmp_path / "spec.toml"
        spec.write_text(BUNDLE.format(image=tmp_path / "image") + BUNDLES[bundle])
        exported = to_oci(api.plan(api.load(str(spec))), observe())
        assert () == exported.reasons
        has_notes = any("crun" in note for note in exported.notes)
        assert has_notes == (bundle in ("groups", "one that is unbindable"))

        def replaced(config: Any) -> None:
            config["mounts"], config["root"] = exported.value["mounts"], exported.value["root"]
            del config["hostname"]
            config["process"]["args"] = exported.value["process"]["args"]
            config["linux"] |= exported.value["linux"] | {"maskedPaths": [], "readonlyPaths": []}

        with container(runtime, tmp_path, replaced) as pid:
            drift = api.diff(str(spec), f"pid:{pid}").drift
            return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    if runtime == "crun" and bundle == "groups":
        with pytest.raises(AssertionError, match="crun failed"):
            in_host(script, identity="root")
        return
    known = ["/closed: unbindable: yes -> no"] if runtime == "crun" and bundle == "one that is unbindable" else []
    assert known == in_host(script, identity="root")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_bundle_that_a_runtime_writes_comes_back(
    runtime: Runtime, tmp_path: Path, in_host: InHost, needs_kernel: Callable[..., None]
) -> None:
    """Imported, exported and run: its device nodes, its masked and read-only paths."""
    needs_kernel(runtime)
    spec = tmp_path / "spec.toml"
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 1000}
    fifo = {"path": "/dev/initctl", "type": "p", "fileMode": 0o640}

    def script() -> tuple[list[str], list[str]]:
        masked: list[str] = []

        def replaced(config: Any) -> None:
            masked.extend(config["linux"]["maskedPaths"])
            bundle = tmp_path / "config.json"
            bundle.write_text(json.dumps(config | {"linux": config["linux"] | {"devices": [device, fifo]}}))
            spec.write_text(imported("oci", str(bundle)).text(["imported"]))
            exported = to_oci(api.plan(api.load(str(spec))), observe())
            assert () == exported.reasons
            assert exported.value["linux"]["readonlyPaths"]
            config.clear()
            config |= exported.value | {"process": exported.value["process"] | {"args": ["/usr/bin/sleep", "60"]}}

        with container(runtime, tmp_path, replaced) as pid:
            node, pipe = (os.stat(f"/proc/{pid}/root/dev/{name}") for name in ("fuse", "initctl"))
            assert (0o020600, os.makedev(10, 229), 1000) == (node.st_mode, node.st_rdev, node.st_uid)
            assert 0o010640 == pipe.st_mode
            drift = api.diff(str(spec), f"pid:{pid}").drift
            return masked, [f"{one.mount}: {one.prop}" for one in drift]

    masked, found = in_host(script, identity="root")
    same_but_masks(found, masked, runtime)


@pytest.mark.needs_kernel("root", "bwrap")
@pytest.mark.parametrize(
    "line",
    [
        "--ro-bind /usr /usr --proc /proc --dev /dev --tmpfs /tmp --symlink usr/bin /bin --unshare-pid --chdir / -- sh",
        "--ro-bind / / --dev /dev --size 4096 --tmpfs /dev/shm --mqueue /dev/mqueue --chdir /srv -- true",
        "--proc /proc --ro-bind /usr /proc/sys --tmpfs /tmp --chdir / -- true",
        "--bind /srv /s --perms 0700 --tmpfs /s/t --dev /d --remount-ro /d --dir /x/y --chdir /x -- true",
    ],
)
def test_a_command_line_of_bubblewrap_comes_back_in_the_same_words(line: str, in_host: InHost) -> None:
    def script() -> list[str]:
        mount("srv", "/srv", "tmpfs")
        text = imported("bwrap", "", words=tuple(line.split())).text([])
        return to_bubblewrap(api.plan(api.load("spec.toml", text.encode()))).value  # type: ignore[no-any-return]

    assert line.split() == in_host(script, identity="root")


@pytest.mark.needs_kernel("bwrap")
def test_bubblewrap_makes_what_is_exported_for_it(tmp_path: Path, in_host: InHost) -> None:
    """Its root is a directory of a tmpfs, so the specs are compared without their roots."""
    spec = tmp_path / "spec.toml"
    binds = '[[mount]]\ntarget = "/usr"\nbind = "/usr"\nrecursive = true\nattributes = ["ro", "nosuid", "nodev"]\n'
    proc = '[[mount]]\ntarget = "/proc"\ntype = "proc"\nattributes = ["nosuid", "nodev", "noexec"]\n'
    scratch = '[[mount]]\ntarget = "/tmp"\ntype = "tmpfs"\nsource = "tmpfs"\noptions = { mode = "0700", size = "1m" }\n'
    links = "".join(f'[[mount.file]]\npath = "{name}"\nsymlink = "usr/{name}"\n' for name in LINKS)
    root = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nsource = "tmpfs"\n' + links
    spec.write_text("format = 1\n" + root + binds + proc + scratch + '[run]\nunshare = ["pid"]\ncommand = ["cat"]\n')

    def script() -> list[str]:
        exported = to_bubblewrap(api.plan(api.load(str(spec))))
        slave = "/usr: bubblewrap makes it a slave, if the host's mount is shared"
        parts = "/proc: bubblewrap makes what of sys, sysrq-trigger, irq, bus it may write to read-only"
        root = "/: bubblewrap has its root in a directory of the tmpfs"
        assert ((), (root, slave, parts, "/tmp: bubblewrap adds nosuid and nodev")) == (
            exported.reasons,
            exported.notes,
        )
        with by_bubblewrap(exported.value, tmp_path) as there:
            drift = api.diff(str(spec), there).drift
        return [f"{one.mount}: {one.prop}: {one.wanted} -> {one.found}" for one in drift]

    found = in_host(script, identity="root")
    # As told; that its root is a directory of a tmpfs; and what it makes read-only in /proc, as root.
    known = ("/tmp: attributes", "/: ", "/proc/")
    assert [] == [one for one in found if not one.startswith(known)], "; ".join(found)

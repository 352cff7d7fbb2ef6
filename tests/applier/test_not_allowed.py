"""What the kernel does not allow in a user namespace is told at once, with place and remedy, and nothing is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.planner.errors import Mistake, NotAllowed
from mountplan.planner.run_settings import RunSettings
from tests.hosts import InHost, give_ranges, leave_root, mount
from tests.mountflags import MS_NODEV, MS_NOSUID, MS_RDONLY, MS_SHARED
from tests.privileges import missing

Result = TypeVar("Result")

HEAD = 'format = 1\nname = "x"\n'
ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
CHOWN = HEAD + ROOT + '[[mount.file]]\npath = "f"\nuid = 7\ngid = 8\n'
PROC = HEAD + ROOT + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n'
OWN_PIDS = '[run]\nunshare = ["pid"]\n'
FEED = HEAD + '[peer_group.feed]\nhost = "/srv/feed"\n' + ROOT + '[[mount]]\ntarget = "/feed"\nbind = "/srv/feed"\n'
LOCKED = HEAD + ROOT + '[[mount]]\ntarget = "/x"\nbind = "/srv/locked"\n'
IMAGE = HEAD + ROOT + '[[mount]]\ntarget = "/x"\ntype = "ext4"\nimage = "/srv/image"\n'
BIND = HEAD + ROOT + '[[mount]]\ntarget = "/x"\nbind = "/srv"\n'
MAPPED = (
    HEAD
    + ROOT
    + '[[mount]]\ntarget = "/x"\nbind = "/srv/locked"\nidmap = {{ uids = [[0, {0}, 1]], gids = [[0, {0}, 1]] }}\n'
)

MAPPED_LAYER = (
    HEAD + ROOT + '[[mount]]\nid = "m"\ntarget = "/m"\ntype = "tmpfs"\n'
    "idmap = { uids = [[0, 900000, 1]], gids = [[0, 900000, 1]] }\n"
    '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = [{ mount = "m", path = "/" }, "/usr"]\n'
)
CREATE = (
    f'{HEAD}{ROOT}[[mount]]\ntarget = "/srv/closed/x/y"\nbind = "/srv/image"\ncreate = true\nparent = "srv"\n'
    '[[mount]]\nid = "srv"\ntarget = "/srv"\nbind = "/srv"\nrecursive = true\n'
)

# spec -> key of the mistake, a part of what is wrong, a part of the remedy
REFUSED = {
    PROC: ("mount[1].type", "proc can be mounted only with a pid namespace", 'add "pid" to run.unshare'),
    PROC.replace("proc", "sysfs"): ("mount[1].type", "only with a net namespace", 'bind = "/sys", recursive = true'),
    PROC.replace("proc", "mqueue"): ("mount[1].type", "only with a ipc namespace", 'add "ipc" to run.unshare'),
    PROC.replace("proc", "cgroup2"): ("mount[1].type", "only with a cgroup namespace", 'add "cgroup" to run.unshare'),
    PROC.replace("proc", "bpf"): ("mount[1].type", "bpf cannot be mounted in a user namespace", "run it as root"),
    PROC.replace('"proc"', '"tmpfs"\noptions = { sise = "1m" }'): (
        "mount[1].options.sise", "does not take it: tmpfs: Unknown parameter 'sise'", 'did you mean "size"?',
    ),
    IMAGE: ("mount[1].image", "image files cannot be mounted", "mount the image as root"),
    HEAD + ROOT + '[[mount.file]]\npath = "null"\ndevice = "c:1:3"\n': (
        "mount[0].file[0].device", "device nodes cannot be made", "bind the host's",
    ),
    HEAD + ROOT + '[[mount.file]]\npath = "f"\nsource = "/srv/secret"\n': (
        "mount[0].file[0].source", "/srv/secret: permission denied", "let this user read it",
    ),
    BIND: ("mount[1].bind", "/srv cannot be shown without what is mounted below it", "recursive = true"),
    BIND + 'attributes = ["dev"]\n': ("mount[1].bind", "/srv cannot be shown without", "recursive = true"),
    LOCKED + 'attributes = ["suid", "rw", "noexec", "dev"]\n': (
        "mount[1].attributes", "suid and rw and dev cannot be set", "leave out suid and rw and dev",
    ),
    LOCKED + 'attributes = ["strictatime"]\n': ("mount[1].attributes", "strictatime cannot be set", "leave out"),
    FEED + 'peer_group = "feed"\n': ("peer_group.feed", "cannot be in it", "master instead of peer_group"),
    **{
        FEED.replace("/srv/feed", "/srv") + f'recursive = true\nmaster = "feed"\n{below}': (
            "peer_group.feed", "only a mount below which nothing is mounted", 'root = "inherit" with propagation',
        )
        for below in ("", 'recursive_sharing = "slave"\n')
    },
    MAPPED.format(0): ("mount[1].idmap", "/srv/locked cannot be id-mapped", "run it as root"),
    MAPPED.format(900000): ("mount[1].idmap", "ids that do not exist", "run it as root"),
    MAPPED.format(0) + '[run]\nunshare = ["user"]\n': (
        "mount[1].idmap", "/srv/locked cannot be id-mapped", 'leave "user" out of unshare in [run] and run it as root',
    ),
    MAPPED_LAYER: ("mount[1].idmap", "ids that do not exist", "run it as root"),
    CREATE: (
        "mount[1].create", "may not write to /srv/closed", "make it there beforehand",
    ),
}  # fmt: skip
ALONE = {
    CHOWN: ("mount[0].file[0].uid", "cannot belong to user 7 and group 8", "give the user ranges of ids"),
    CHOWN.replace("uid = 7\n", ""): ("mount[0].file[0].gid", "cannot belong to group 8", "give the user ranges"),
    HEAD + ROOT + "options = { uid = 5 }\n": ("mount[0].options", "cannot have uid = 5", "ranges of ids"),
    HEAD + ROOT + '[[mount]]\ntarget = "/p"\ntype = "devpts"\noptions = { gid = 5, mode = "620" }\n': (
        "mount[1].options", "devpts cannot have gid = 5", "users and groups 0 only",
    ),
}  # fmt: skip
TOO_HIGH = CHOWN.replace("7", "70000")
# What the remedies say, and what else works.
MAPPED_TMPFS = '[[mount]]\ntarget = "/x"\ntype = "tmpfs"\nidmap = { uids = [[0, 0, 1]], gids = [[0, 0, 1]] }\n'
ALLOWED = [
    PROC + OWN_PIDS,
    PROC.replace("proc", "sysfs") + OWN_PIDS.replace("pid", "net"),
    PROC.replace("proc", "mqueue") + OWN_PIDS.replace("pid", "ipc"),
    PROC.replace("proc", "cgroup2") + OWN_PIDS.replace("pid", "cgroup"),
    BIND + "recursive = true\n",
    LOCKED + 'attributes = ["nosuid", "ro", "noexec"]\n',
    FEED + 'master = "feed"\n',
    HEAD + 'root = "inherit"\npropagation = "slave"\n',
    HEAD + ROOT + '[[mount.file]]\npath = "null"\n[[mount]]\ntarget = "/null"\nbind = "/dev/null"\n',
    *([] if missing("idmap-tmpfs") else [HEAD + ROOT + MAPPED_TMPFS]),
]


def as_user(
    in_host: InHost, function: Callable[[], Result], *, ranges: bool = False, proc_covered: bool = False
) -> Result:
    """What `function` returns for an ordinary user, on a host that has in /srv what the specs name."""

    def script() -> Result:
        give_ranges() if ranges else give_ranges("")
        mount("none", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        for name in ("locked", "feed", "closed"):
            os.mkdir(f"/srv/{name}", 0o755)
        mount("none", "/srv/locked", "tmpfs", flags=MS_RDONLY | MS_NOSUID | MS_NODEV)
        mount("none", "/srv/feed", "tmpfs")
        mount("", "/srv/feed", flags=MS_SHARED)
        Path("/srv/image").write_bytes(b"x")
        Path("/srv/secret").write_text("x")
        os.chmod("/srv/secret", 0o600)
        if proc_covered:
            mount("none", "/proc/sys", "tmpfs")
        leave_root()
        return function()

    return in_host(script, identity="root")


def told(spec: str) -> tuple[Mistake, ...]:
    """What check has to say."""
    try:
        assert () == api.check(spec.encode(), "x.toml", rootless="auto")
    except NotAllowed as error:
        return error.mistakes
    return ()


def complaints(wanted: dict[str, tuple[str, str, str]]) -> list[str]:
    """Where what is told of specs is not what is wanted."""
    found = []
    for spec, (key, *words) in wanted.items():
        mistakes = told(spec)
        text = "\n".join(map(str, mistakes))
        if [key] != [one.ref.key for one in mistakes] or not all(re.search(re.escape(w), text) for w in words):
            found.append(f"{spec}\n--- {text or 'nothing is told'}")
    return found


@pytest.mark.needs_kernel("nobody", "id-ranges", "fs:ext4")
@pytest.mark.parametrize("ranges", [False, True])
def test_what_is_not_allowed_is_told_with_its_place_and_a_way_out(in_host: InHost, ranges: bool) -> None:
    """Each is found by trying it; and what the remedies say is allowed."""

    def script() -> tuple[list[str], list[tuple[Mistake, ...]]]:
        alone = {TOO_HIGH: ("mount[0].file[0].uid", "0 to 65536", "larger ranges")} if ranges else ALONE
        return complaints(REFUSED | alone), [told(spec) for spec in (*ALLOWED, *(ALONE if ranges else ()))]

    found, allowed = as_user(in_host, script, ranges=ranges)
    assert not found, "\n\n".join(found)
    assert [()] * len(allowed) == allowed


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_what_is_allowed_can_be_built(in_host: InHost) -> None:
    """The trial says no more than it has seen."""

    def script() -> None:
        for spec in (*ALLOWED, *ALONE):
            api.build_and_forget(api.plan(api.load("x.toml", spec.encode())))

    as_user(in_host, script, ranges=True)


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_proc_is_refused_where_parts_of_the_hosts_are_covered(in_host: InHost) -> None:
    """The kernel shows no more of it in a user namespace than was seen before; containers cover parts of it."""
    (mistake,) = as_user(in_host, lambda: told(PROC + OWN_PIDS), proc_covered=True)
    assert "mounted over parts of it" in mistake.what
    assert 'bind = "/proc", recursive = true' in mistake.remedy


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_every_place_is_told_at_once_in_the_order_of_the_file(in_host: InHost) -> None:
    """So a spec is mended once."""
    spec = CHOWN + '[[mount]]\ntarget = "/proc"\ntype = "proc"\n[[mount]]\ntarget = "/p2"\ntype = "proc"\n'
    mistakes = as_user(in_host, lambda: told(spec))
    assert [8, 12, 15] == [one.ref.line for one in mistakes]


@pytest.mark.needs_kernel("nobody", "id-ranges")
def test_building_tells_the_same_before_anything_is_touched(in_host: InHost) -> None:
    """Not after a mountpoint has been made on the host."""
    made = (
        '[[mount]]\ntarget = "/tmp"\nbind = "/tmp"\nrecursive = true\n'
        '[[mount]]\ntarget = "{0}"\ntype = "tmpfs"\ncreate = true\n'
    )

    def script() -> tuple[list[Mistake], bool]:
        place = f"/tmp/mountplan-test-{os.getpid()}"
        spec = HEAD + ROOT + made.format(place) + PROC.partition(ROOT)[2]
        plan = api.plan(api.load("x.toml", spec.encode()))
        mistakes: list[Mistake] = []
        for build in (api.build_and_forget, api.build, api.run, api.try_out):
            with pytest.raises(NotAllowed) as refused:
                build(plan._replace(run=RunSettings(("true",))))
            mistakes += refused.value.mistakes
        return mistakes, os.path.exists(place)

    mistakes, touched = as_user(in_host, script)
    assert (4, {"mount[3].type"}) == (len(mistakes), {one.ref.key for one in mistakes})
    assert not touched


@pytest.mark.needs_kernel("root")
def test_for_root_nothing_is_tried_unless_it_wants_a_user_namespace(in_host: InHost) -> None:
    """What root builds is in no user namespace."""

    def script() -> tuple[int, int]:
        api.check(PROC.encode(), "x.toml", rootless="auto")
        api.check(PROC.encode(), "x.toml", rootless="never")
        with pytest.raises(NotAllowed) as always:
            api.check(PROC.encode(), "x.toml", rootless="always")
        with pytest.raises(NotAllowed) as asked:
            api.check((IMAGE + OWN_PIDS.replace("pid", "user")).encode(), "x.toml", rootless="never")
        return len(always.value.mistakes), len(asked.value.mistakes)

    def prepared() -> tuple[int, int]:
        mount("none", "/srv", "tmpfs")
        Path("/srv/image").write_bytes(b"x")
        return script()

    assert (1, 1) == in_host(prepared, identity="root")


@pytest.mark.needs_kernel("nobody")
def test_where_nothing_can_be_tried_a_spec_is_judged_as_for_root(in_host: InHost) -> None:
    """With --rootless never, an ordinary user checks what root will apply."""
    assert () == in_host(lambda: api.check(PROC.encode(), "x.toml", rootless="never"), identity="nobody")

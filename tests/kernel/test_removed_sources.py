"""Host paths that are gone: when a spec is planned, between that and the build, and on the host's own mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan.planner.errors import SpecError, StepRefused
from tests.hosts import InHost, mount
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_SHARED
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root")

USES = {
    "bind": '[[mount]]\ntarget = "/x"\nbind = "/mnt/gone"',
    "contents": '[[mount]]\ntarget = "/x"\ntype = "tmpfs"\ncontents = "/mnt/gone"',
    "source of a file": '[[mount.file]]\npath = "x"\nsource = "/mnt/gone"',
    "image": '[[mount]]\ntarget = "/x"\ntype = "ext4"\nimage = "/mnt/gone"',
    "layer": '[[mount]]\ntarget = "/x"\ntype = "overlay"\nlayers = ["/mnt/gone", "/usr"]',
    "group": '[peer_group.g]\nhost = "/mnt/gone"\n',
}
LAYERS = 'layers = ["/mnt/low", "/mnt/more"]\nupper = "/mnt/up"\nwork = "/mnt/work"\n'


@pytest.mark.parametrize("use", USES)
def test_what_is_gone_is_a_mistake_and_if_it_goes_later_the_step_says_so(in_host: InHost, use: str) -> None:
    spec = f"{USES[use]}{ROOT}" if use == "group" else f"{ROOT}{USES[use]}"
    if use == "group":
        spec += '[[mount]]\ntarget = "/x"\nbind = "/mnt/gone"\npeer_group = "g"'

    def script() -> tuple[str, str]:
        mount("host", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_SHARED)
        gone = Path("/mnt/gone")
        if use in ("image", "source of a file"):
            gone.write_bytes(b"")
            os.truncate(gone, 1 << 20)
        else:
            gone.mkdir()
        plan = plan_of(spec)
        gone.rename("/mnt/elsewhere")
        with pytest.raises(StepRefused) as later, tree(plan):
            pass
        with pytest.raises(SpecError) as now:
            plan_of(spec)
        return now.value.mistakes[0].what, later.value.meaning

    now, later = in_host(script, identity="root")
    assert 'host path "/mnt/gone": no such file or directory' == now
    assert "no longer there" in later


@pytest.mark.parametrize("part", ["low", "up", "work"])
def test_a_directory_of_an_overlay_that_becomes_a_file_is_told_as_that(in_host: InHost, part: str) -> None:
    """Nothing else is at fault: no filter, and no file that was one."""

    def script() -> str:
        mount("host", "/mnt", "tmpfs")
        for name in ("low", "more", "up", "work"):
            Path("/mnt", name).mkdir()
        plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/x"\ntype = "overlay"\n{LAYERS}')
        Path("/mnt", part).rmdir()
        Path("/mnt", part).touch()
        with pytest.raises(StepRefused) as refused, tree(plan):
            pass
        return refused.value.meaning

    assert in_host(script, identity="root").endswith("no directory any more")


def test_a_group_of_the_host_that_has_become_private_is_told_as_that(in_host: InHost) -> None:
    def script() -> str:
        mount("host", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_SHARED)
        plan = plan_of(f'[peer_group.g]\nhost = "/mnt"\n{ROOT}[[mount]]\ntarget = "/x"\nbind = "/mnt"\nmaster = "g"')
        mount("", "/mnt", flags=MS_PRIVATE)
        with pytest.raises(StepRefused) as refused, tree(plan):
            pass
        return refused.value.meaning

    assert "no longer be shared" in in_host(script, identity="root")


def test_what_the_host_has_mounted_and_removed_comes_along_but_cannot_be_mounted_again(in_host: InHost) -> None:
    """Every atomic rewrite of a bound file leaves such a mount; the kernel attaches no other one of it."""

    def script() -> tuple[str, str, str]:
        mount("host", "/mnt", "tmpfs")
        for name in ("old", "place", "new"):
            Path(f"/mnt/{name}").write_text(name)
        mount("/mnt/old", "/mnt/place", flags=MS_BIND)
        os.rename("/mnt/new", "/mnt/old")
        with pytest.raises(SpecError) as caught:
            plan_of(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "/mnt/place"')
        try:
            mount("/mnt/place", "/etc/hostname", flags=MS_BIND)
            said = "mounted"
        except FileNotFoundError:
            said = "ENOENT"
        with tree('root = "inherit"\n[[mount]]\ntarget = "/srv"\ntype = "tmpfs"') as built:
            return said, caught.value.mistakes[0].what, built.inside(lambda: Path("/mnt/place").read_text())

    what = 'host path "/mnt/place" is a mount of what has been removed, of which the kernel makes no other one'
    assert ("ENOENT", what, "old") == in_host(script, identity="root")

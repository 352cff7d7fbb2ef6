"""Files that keep namespaces, in the host's tree: the kernel copies no file of a mount namespace into another one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mountplan import api, keeping
from mountplan.applier.observe.namespace_age import giving_younger
from mountplan.applier.observe.subjects import of_process
from mountplan.capturing import capture_subjects
from mountplan.planner.errors import SpecError
from tests.hosts import InHost, mount
from tests.keptnames import SPEC, on_run
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_SHARED
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root", "unshare")

INHERITS = '[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\n'
BINDS_RUN = f'{ROOT}[[mount]]\ntarget = "/host"\nbind = "/run"\nrecursive = true\n'
BINDS_ROOT = f'{ROOT}[[mount]]\ntarget = "/host"\nbind = "/"\nrecursive = true\n'


def keep_namespaces() -> None:
    """As snapd does (a private directory of files) and `unshare --mount=FILE`; one is below another mount, one has
    something on it, and beside them are files of namespaces of other kinds.
    """
    mount("run", "/run", "tmpfs", data="mode=0755")
    Path("/run/ns/deep").mkdir(parents=True)
    mount("/run/ns", "/run/ns", flags=MS_BIND)
    mount("", "/run/ns", flags=MS_PRIVATE)
    mount("deep", "/run/ns/deep", "tmpfs")
    for name in ("one.mnt", "two.mnt", "deep/three.mnt"):
        path = Path("/run/ns", name)
        path.touch()
        with giving_younger():
            subprocess.run(["unshare", f"--mount={path}", "true"], check=True)
    for name in ("net", "uts", "file"):
        Path("/run/ns", name).write_text(name)
    mount("/run/ns/file", "/run/ns/two.mnt", flags=MS_BIND)
    for name in ("net", "uts"):
        mount(f"/proc/self/ns/{name}", f"/run/ns/{name}", flags=MS_BIND)


def below(built_at: list[str], top: str) -> list[str]:
    return sorted(path.removeprefix(top) for path in built_at if "/run/ns" in path or path.startswith("/host/ns"))


@pytest.mark.parametrize("propagation", ["private", "slave"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_copy_of_the_hosts_tree_has_all_but_what_keeps_mount_namespaces(
    propagation: str, shared: bool, in_host: InHost
) -> None:
    """Nor what stands on such a file."""

    def script() -> list[str]:
        keep_namespaces()
        if shared:
            mount("", "/run", flags=MS_SHARED)
        text = f'root = "inherit"\npropagation = "{propagation}"\n{INHERITS}'
        api.foresee(plan_of(text))
        with tree(text) as built:
            return below(built.mountpoints(), "/run")

    assert ["/ns", "/ns/deep", "/ns/net", "/ns/uts"] == in_host(script, identity="root")


@pytest.mark.parametrize(("spec", "top"), [(BINDS_RUN, "/host"), (BINDS_ROOT, "/host/run")])
def test_a_recursive_bind_has_all_but_what_keeps_mount_namespaces(spec: str, top: str, in_host: InHost) -> None:
    def script() -> list[str]:
        keep_namespaces()
        with tree(spec) as built:
            return below(built.mountpoints(), top)

    assert ["/ns", "/ns/deep", "/ns/net", "/ns/uts"] == in_host(script, identity="root")


@pytest.mark.needs_kernel("userns")
def test_it_is_so_in_a_user_namespace_as_well(in_host: InHost) -> None:
    def script() -> list[str]:
        keep_namespaces()
        plan = plan_of(f'root = "inherit"\n{INHERITS}')
        return below(
            [row.mountpoint for _, table in api.apply(plan, rootless="always").tables for row in table.rows], "/run"
        )

    assert ["/ns", "/ns/deep", "/ns/net", "/ns/uts"] == in_host(script, identity="root")


def test_names_of_ones_own_stop_no_copy_of_the_hosts_tree_nor_its_replacement(on_host: Callable[..., Any]) -> None:
    def script() -> tuple[Sequence[str], set[str]]:
        keeping.keep(plan_of(SPEC))
        keeping.keep(plan_of(SPEC + '[run]\nunshare = ["net", "uts"]\n'), "more")
        text = f'name = "copy"\nroot = "inherit"\n{INHERITS}'
        outcomes = [keeping.keep(plan_of(text), replace=replace).outcome for replace in (False, False, True, True)]
        return outcomes, {one.health for one in keeping.kept()}

    assert (["kept", "stands", "replaced", "replaced"], {"healthy"}) == on_host(script)


@pytest.mark.parametrize("path", ["/run/ns/one.mnt", "/run/ns/two.mnt"])
def test_a_bind_of_what_the_kernel_does_not_copy_is_a_mistake(path: str, in_host: InHost) -> None:
    """What is under it would be bound in its stead, and nobody has asked for that."""

    def script() -> str:
        keep_namespaces()
        with pytest.raises(SpecError) as caught:
            plan_of(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "{path}"\n')
        return str(caught.value)

    assert "the file of a mount namespace" in in_host(script, identity="root")


def test_what_is_mounted_where_such_a_file_was_stands_on_what_is_under_it(in_host: InHost) -> None:
    def script() -> tuple[str, str]:
        keep_namespaces()
        spec = 'root = "inherit"\n[[mount]]\ntarget = "/run/ns/one.mnt"\nbind = "/run/ns/file"\n'
        with tree(spec) as built:
            return built.at("/run/ns/one.mnt").fstype, built.inside(lambda: Path("/run/ns/one.mnt").read_text())

    assert ("tmpfs", "file") == in_host(script, identity="root")


@pytest.fixture
def on_host(in_host: InHost) -> Callable[..., Any]:
    return lambda function: in_host(on_run(function), identity="root")


def test_capture_binds_no_file_of_a_mount_namespace(in_host: InHost) -> None:
    """The host shows it, but what is built begins as a copy of the host's namespace, where it is not."""

    def script() -> tuple[int, list[str]]:
        keep_namespaces()
        with of_process(os.getpid()) as subject:
            text = capture_subjects([subject]).text
        told = 'unsupported = "the kernel copies the file of a mount namespace into no other one"'
        binds = [line for line in text.splitlines() if line.startswith("bind = ") and "/run/ns/" in line]
        return text.splitlines().count(told), sorted(binds)

    bound = [f'bind = "/run/ns/{name}"' for name in ("deep", "file", "net", "uts")]
    assert (3, bound) == in_host(script, identity="root")

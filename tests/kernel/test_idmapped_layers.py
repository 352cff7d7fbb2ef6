"""Lower layers of an overlay are taken through the id-mapping of the mount that they are named in."""

from __future__ import annotations

import os

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.capturing import capture_subjects
from mountplan.planner.errors import SpecError
from mountplan.planner.plan.planfile import dump_plan, load_plan
from tests.hosts import InHost, mount
from tests.trees import ROOT, Tree, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root", "idmap-tmpfs", "fs:overlay")

MAPPED = "idmap = { uids = [[0, 100000, 65536]], gids = [[0, 100000, 65536]] }\n"
STORE = f'[[mount]]\nid = "store"\ntarget = "/store"\ntype = "tmpfs"\n{MAPPED}[[mount.file]]\npath = "base/f"\n'
CHANGES = '[[mount]]\nid = "changes"\ntype = "tmpfs"\n'
OVERLAY = '[[mount]]\ntarget = "/o"\ntype = "overlay"\n'
UPPER = 'upper = { mount = "changes", path = "/up" }\n'


def owners(built: Tree, *paths: str) -> list[int]:
    return built.inside(lambda: [os.stat(path).st_uid for path in paths])


@pytest.mark.parametrize(
    ("named", "owner"), [("", 100000), ("idmap = false", 0), (MAPPED.replace("100000", "200000"), 200000)]
)
def test_a_layer_belongs_to_whom_the_mount_says_that_it_is_named_in(named: str, owner: int) -> None:
    """That mount may be a bind, which keeps the id-mapping, has none or another one."""
    bind = f'[[mount]]\nid = "view"\nbind = {{ mount = "store", path = "/base" }}\n{named}\n'
    spec = ROOT + STORE + bind + CHANGES + f'{OVERLAY}layers = [{{ mount = "view", path = "/" }}]\n{UPPER}'
    with tree(api.plan(api.load("x.toml", f"format = 1\n{spec}".encode()))) as built:
        assert [owner, 100000] == owners(built, "/o/f", "/store/base/f")
    plan = plan_of(spec)
    assert plan == load_plan(dump_plan(plan), "plan.json")


def test_layers_of_one_overlay_have_different_id_mappings() -> None:
    spec = ROOT + STORE + STORE.replace('"store"', '"other"').replace("/store", "/other").replace("100000", "200000")
    spec = spec.replace("base/f", "base/g", 1)
    layers = 'layers = [{ mount = "store", path = "/base" }, { mount = "other", path = "/base" }]'
    with tree(spec + OVERLAY + layers) as built:
        assert [100000, 200000] == owners(built, "/o/g", "/o/f")


@pytest.mark.parametrize(("words", "owner"), [("", 100000), ("recursive_attributes = false\n", 0)])
def test_a_layer_on_what_a_recursive_bind_brings_along_is_mapped_if_that_is(
    words: str, owner: int, in_host: InHost
) -> None:
    def script() -> list[int]:
        mount("mnt", "/mnt", "tmpfs")
        os.makedirs("/mnt/top")
        os.makedirs("/mnt/sub")
        mount("sub", "/mnt/sub", "tmpfs")
        os.makedirs("/mnt/sub/deep")
        for path in ("/mnt/top/f", "/mnt/sub/deep/g"):
            os.mknod(path)
        bind = f'[[mount]]\nid = "all"\ntarget = "/all"\nbind = "/mnt"\nrecursive = true\n{words}{MAPPED}'
        layers = 'layers = [{ mount = "all", path = "/top" }, { mount = "all", path = "/sub/deep" }]'
        with tree(ROOT + bind + OVERLAY + layers) as built:
            return owners(built, "/o/f", "/o/g", "/all/sub/deep/g")

    assert [100000, owner, owner] == in_host(script, identity="root")


def test_a_filesystem_that_takes_no_id_mapping_is_named_before_anything_is_built() -> None:
    spec = ROOT + STORE.replace("tmpfs", "ramfs").replace('target = "/store"\n', "") + CHANGES
    with pytest.raises(SpecError, match=r"mount\[1\]\.idmap: the kernel takes no id-mapping of ramfs"):
        plan_of(f'{spec}{OVERLAY}layers = [{{ mount = "store", path = "/base" }}]\n{UPPER}')


def test_a_capture_says_that_the_id_mapping_of_layers_is_not_told() -> None:
    with tree(ROOT + STORE + CHANGES + f'{OVERLAY}layers = [{{ mount = "store", path = "/base" }}]\n{UPPER}') as built:
        subjects = of_built(built.built)
        try:
            told = [one.what for one in capture_subjects(subjects).cautions]
        finally:
            for one in subjects:
                one.close()
    assert any("seen through an id-mapping" in one for one in told)


def test_a_captured_layer_is_mapped_no_more_than_it_was() -> None:
    """The one mount of its filesystem is id-mapped, and the layer was not: it is named in one without a target."""
    base = '[[mount]]\nid = "base"\ntype = "tmpfs"\n[[mount.file]]\npath = "l/f"\n'
    view = f'[[mount]]\ntarget = "/view"\nbind = {{ mount = "base" }}\n{MAPPED}'
    spec = f'{ROOT}{base}{view}{CHANGES}{OVERLAY}layers = [{{ mount = "base", path = "/l" }}]\n{UPPER}'
    with tree(spec) as built:
        assert [0, 100000] == owners(built, "/o/f", "/view/l/f")
        subjects = of_built(built.built)
        try:
            text = capture_subjects(subjects).text
        finally:
            for one in subjects:
                one.close()
    again = text.replace('[[mount.file]]\npath = "l"\ndirectory = true', '[[mount.file]]\npath = "l/f"')
    with tree(api.plan(api.load("captured.toml", again.encode()))) as built:
        assert [0, 100000] == owners(built, "/o/f", "/view/l/f")

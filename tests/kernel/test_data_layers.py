"""Layers for data only: files of the layers above have their contents there, as composefs has it."""

from __future__ import annotations

import os

import pytest

from mountplan.applier.build.build_subjects import of_built
from mountplan.capturing import capture_subjects
from tests.hosts import InHost, mount, umount
from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("root", "fs:overlay", "lowerdir+")

OVERLAY = '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/mnt/tree"]\n'


@pytest.mark.parametrize("bound", [False, True])
def test_a_file_has_its_contents_in_a_layer_of_which_nothing_is_seen(bound: bool, in_host: InHost) -> None:
    """The layers are the host's, or named in a mount whose id-mapping they go through."""

    def script() -> tuple[list[str], str, int]:
        mount("mnt", "/mnt", "tmpfs")
        os.makedirs("/mnt/tree")
        for number in (0, 1):
            os.makedirs(f"/mnt/objects{number}/{number}a")
        with open("/mnt/objects1/1a/bc", "w") as file:
            file.write("hello")
        with open("/mnt/tree/greeting", "w") as file:
            file.truncate(5)
        os.setxattr("/mnt/tree/greeting", "trusted.overlay.metacopy", b"")
        os.setxattr("/mnt/tree/greeting", "trusted.overlay.redirect", b"/1a/bc")
        spec = f'{ROOT}{OVERLAY}data_layers = ["/mnt/objects0", "/mnt/objects1"]\noptions = {{ metacopy = "on" }}\n'
        if bound:
            idmap = "idmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }"
            spec = spec.replace('"/mnt/tree"', '{ mount = "m", path = "/tree" }')
            spec = spec.replace('"/mnt/objects1"', '{ mount = "m", path = "/objects1" }')
            spec += f'[[mount]]\nid = "m"\ntarget = "/m"\nbind = "/mnt"\n{idmap}\n'
        with tree(spec) as built:
            return built.inside(lambda: (os.listdir("/o"), open("/o/greeting").read(), os.stat("/o/greeting").st_uid))

    assert (["greeting"], "hello", 1000 if bound else 0) == in_host(script, identity="root")


@pytest.mark.parametrize("options", ["lowerdir=/mnt/tree::/mnt/objects", "lowerdir+"])
def test_a_capture_names_the_layers_for_data_by_which_a_file_has_its_contents(options: str, in_host: InHost) -> None:
    """Nothing of such a layer is seen in the overlay, so it is taken by its name, and that is said."""

    def script() -> tuple[list[str], str]:
        stored()
        if options == "lowerdir+":
            spec = f'{ROOT}{OVERLAY}data_layers = ["/mnt/objects"]\noptions = {{ metacopy = "on" }}\n'
        else:
            os.mkdir("/mnt/o")
            mount("x", "/mnt/o", "overlay", data=f"{options},metacopy=on")
            spec = f'{ROOT}[[mount]]\ntarget = "/o"\nbind = "/mnt/o"\n'
        with tree(spec) as built:
            subjects = of_built(built.built)
            if options != "lowerdir+":
                umount("/mnt/o")
            try:
                capture = capture_subjects(subjects)
            finally:
                for one in subjects:
                    one.close()
        with tree(capture.text.replace("format = 1", "")) as again:
            return [one.what for one in capture.cautions], again.inside(lambda: open("/o/greeting").read())

    cautions, text = in_host(script, identity="root")
    assert "hello" == text
    assert ["taken by name, and without proof, since nothing of them is seen in it: /mnt/objects"] == cautions


def stored() -> None:
    mount("mnt", "/mnt", "tmpfs")
    os.makedirs("/mnt/tree")
    os.makedirs("/mnt/objects/1a")
    with open("/mnt/objects/1a/bc", "w") as file:
        file.write("hello")
    with open("/mnt/tree/greeting", "w") as file:
        file.truncate(5)
    os.setxattr("/mnt/tree/greeting", "trusted.overlay.metacopy", b"")
    os.setxattr("/mnt/tree/greeting", "trusted.overlay.redirect", b"/1a/bc")


def test_a_mount_can_be_there_for_layers_alone(in_host: InHost) -> None:
    """Without a target, and without an id-mapping that would make it more than the directory that it is bound from."""

    def script() -> list[str]:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("tree", "other", "data"):
            os.makedirs(f"/mnt/{name}/{name}")
        stores = "".join(f'[[mount]]\nid = "{name}"\nbind = "/mnt/{name}"\n' for name in ("other", "data"))
        layers = 'layers = ["/mnt/tree", { mount = "other" }]\ndata_layers = [{ mount = "data" }]\n'
        with tree(f'{ROOT}{stores}[[mount]]\ntarget = "/o"\ntype = "overlay"\n{layers}') as built:
            return built.inside(lambda: sorted(os.listdir("/o")))

    assert ["other", "tree"] == in_host(script, identity="root")

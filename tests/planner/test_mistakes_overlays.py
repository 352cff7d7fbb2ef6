"""Mistakes about overlays: their layers, upper and work directories."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, mistakes, one, tmpfs

UPPER = 'upper = { mount = "root", path = "/up" }\n'
STORE = tmpfs("/s", 'id = "s"')


def upon(name: str, below: str) -> str:
    layers = f'["/data/dir", {{ mount = "{below}", path = "/" }}]'
    return f'[[mount]]\nid = "{name}"\ntarget = "/{name}"\ntype = "overlay"\nlayers = {layers}\n'


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "an overlay without layers",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"',
            "mount[1]",
            "an overlay needs layers",
            'add layers = ["/top", "/below"], the topmost first',
        ),
        one(
            "layers as mount(8) has them",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\noptions = { lowerdir = "/usr:/etc::/data" }',
            "mount[1].options.lowerdir",
            "lowerdir is not given as an option",
            'write layers = ["/usr", "/etc"] and data_layers = ["/data"] on the mount',
        ),
        one(
            "layers of something else",
            ROOT + tmpfs("/a", 'layers = ["/data/dir"]'),
            "mount[1].layers",
            'only type = "overlay" has layers, not "tmpfs"',
            'write type = "overlay"',
        ),
        one(
            "an upper layer of something else",
            ROOT + tmpfs("/a", 'upper = "/data/dir"'),
            "mount[1].upper",
            'only type = "overlay" has an upper layer, not "tmpfs"',
            "leave it out",
        ),
        one(
            "a layer that the host does not have",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/missing", "/other"]',
            "mount[1].layers[0]",
            'host path "/missing": no such file or directory',
            "create the directory on the host first, or name one that exists",
        ),
        one(
            "a layer that is a file",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/data/file"]',
            "mount[1].layers[1]",
            '"/data/file" is a file, not a directory',
            "name a directory",
        ),
        one(
            "a layer that nothing makes",
            ROOT
            + tmpfs("/s", 'id = "s"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = [{ mount = "s", path = "/base" }, "/other"]',
            "mount[2].layers[0]",
            'nothing provides "/base" in fs:s',
            'declare it there: [[mount.file]] with path = "/base" and directory = true',
        ),
        one(
            "a layer that is to be a file",
            ROOT
            + tmpfs("/s", 'id = "s"\n[[mount.file]]\npath = "d"\ndirectory = true')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\n'
            + 'layers = [{ mount = "s", path = "/d", file = true }, "/other"]',
            "mount[2].layers[0].file",
            "the layers of an overlay are directories",
            "leave out file",
        ),
        one(
            "a layer that the spec makes a file",
            ROOT
            + tmpfs("/s", 'id = "s"\n[[mount.file]]\npath = "base"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = [{ mount = "s", path = "/base" }, "/other"]',
            "mount[2].layers[0]",
            '"/base" in fs:s is a file',
            'declare it there: [[mount.file]] with path = "/base" and directory = true',
        ),
        one(
            "more layers than the kernel takes",
            ROOT + f'[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = {[f"/data/l{n}" for n in range(501)]}',
            "mount[1].layers",
            "501 layers; the kernel takes 500",
            "merge some of them",
        ),
        one(
            "work without upper",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/other"]\nwork = "/data/w"',
            "mount[1].work",
            "a work directory is of use only with an upper layer",
            "leave it out, or add upper",
        ),
        one(
            "upper on the host without work",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\nupper = "/other"',
            "mount[1].upper",
            "an upper layer needs a work directory on the same mount",
            "add work = ..., an empty directory beside the upper one",
        ),
        one(
            "work on another filesystem than upper",
            ROOT
            + tmpfs("/s", 'id = "s"')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "s", path = "/up" }\nwork = { mount = "root", path = "/work" }',
            "mount[2].work",
            "the work directory is on another filesystem than the upper layer",
            "put both on one",
        ),
        one(
            "work on another mount of the host than upper",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = "/other"\nwork = "/srv/shared"',
            "mount[1].work",
            "the work directory is on another mount than the upper layer",
            "put both on one",
        ),
        one(
            "an upper layer where nothing can be written",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = "/ro/up"\nwork = "/ro/work"',
            "mount[1].upper",
            "the host's mount at /ro is read-only, and the upper layer is written to",
            "name a directory that can be written to, or leave upper and work out",
        ),
        one(
            "work inside upper",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "root", path = "/up" }\nwork = { mount = "root", path = "/up/work" }',
            "mount[1].work",
            "/up/work lies in /up, which is mount[1].upper",
            "directories of an overlay lie side by side",
        ),
        one(
            "an overlay of one layer",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]',
            "mount[1].layers",
            "one layer alone makes no overlay",
            "add a second layer, or upper = ...; or bind that directory, read-only",
        ),
        one(
            "one directory as two layers",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir", "/other", "/data/link"]',
            "mount[1].layers[2]",
            "/data/dir is mount[1].layers[0] as well",
            "an overlay can have each directory once only",
        ),
        one(
            "a layer inside another",
            ROOT + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir/sub", "/data/dir"]',
            "mount[1].layers[0]",
            "/data/dir/sub lies in /data/dir, which is mount[1].layers[1]",
            "directories of an overlay lie side by side",
        ),
        one(
            "two overlays with one upper layer",
            ROOT
            + ('[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n' + UPPER) * 2
            + 'work = { mount = "root", path = "/work2" }',
            "mount[2].upper",
            "/up is taken by mount[1].upper already",
            "give each overlay directories of its own",
        ),
        one(
            "a layer that is another overlay's upper one",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + UPPER
            + '[[mount]]\ntarget = "/b"\ntype = "overlay"\nlayers = ["/data/dir", { mount = "root", path = "/up" }]\n',
            "mount[2].layers[1]",
            "/up changes: it is mount[1].upper as well",
            "take a directory that does not change",
        ),
        one(
            "data layers of something else",
            ROOT + tmpfs("/a", 'data_layers = ["/data/dir"]'),
            "mount[1].data_layers",
            'only type = "overlay" has layers, not "tmpfs"',
            'write type = "overlay"',
        ),
        one(
            "a data layer that is a layer as well",
            ROOT
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'data_layers = ["/other", "/data/dir"]\n',
            "mount[1].data_layers[1]",
            "/data/dir is mount[1].layers[0] as well",
            "an overlay can have each directory once only",
        ),
        one(
            "an overlay upon an overlay upon an overlay",
            ROOT + STORE + "".join(upon(one, below) for one, below in (("a", "s"), ("b", "a"), ("c", "b"), ("d", "c"))),
            "mount[4].layers[1]",
            "this is an overlay upon another one, and the kernel lays 2 upon each other at most",
            "name the directories that it is made of instead",
        ),
        one(
            "an upper layer in an overlay",
            ROOT
            + STORE
            + upon("a", "s")
            + '[[mount]]\ntarget = "/b"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "a", path = "/up" }\n',
            "mount[3].upper",
            "/up is in an overlay, and the kernel keeps no changes of one in another",
            "name a directory of another filesystem, such as a tmpfs of the spec; layers may be in overlays",
        ),
        one(
            "an upper layer in a mount that is id-mapped",
            ROOT
            + tmpfs("/s", 'id = "s"\nidmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }')
            + '[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "s", path = "/up" }\n',
            "mount[2].upper",
            '"s" is id-mapped, and the changes of an overlay do not go through an id-mapping: what is made in it '
            "belongs to users who may have no number there",
            'name a mount of the same without it: bind = { mount = "s" }, idmap = false',
        ),
        one(
            "an upper layer below a file",
            ROOT
            + '[[mount.file]]\npath = "f"\n[[mount]]\ntarget = "/a"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + 'upper = { mount = "root", path = "/f" }\nwork = { mount = "root", path = "/work" }',
            "mount[0].file[0].path",
            "/f has to be a file, but mount[1].upper makes it a directory",
            "declare each path once, as one thing",
        ),
    ],
)
def test_a_wrong_overlay_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


def test_with_index_off_overlays_of_a_spec_may_have_one_upper_layer() -> None:
    """What comes of it is undefined, but the kernel has such, and a capture may meet them; both have to say so."""
    overlay = f'[[mount]]\ntarget = "/TARGET"\ntype = "overlay"\nlayers = ["/data/dir"]\n{UPPER}'
    careless = overlay + 'options = { index = "off" }\n'
    assert [] == mistakes(ROOT + careless.replace("TARGET", "a") + careless.replace("TARGET", "b"))
    taken = mistakes(ROOT + careless.replace("TARGET", "a") + overlay.replace("TARGET", "b"))
    assert ["mount[2].upper", "mount[2].work"] == sorted(key for key, _, _ in taken)

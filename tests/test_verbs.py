"""The verbs as Python programs call them: specs built of values, every form of a spec and of a tree."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
from pathlib import Path

import pytest

from mountplan import FileEntry, Mount, MountPath, PeerGroup, Run, Spec, api
from tests.hosts import CHECKOUT, Identity, InHost
from tests.keptnames import in_runtime_directory, on_run


def test_a_spec_is_built_of_python_values_and_reads_the_same_from_its_text() -> None:
    """Paths may be Path, lists tuples, tables dicts; the text is what a person would have written."""
    built = Spec(
        name="built",
        peer_group={"data": PeerGroup(), "more": {"master": "data"}},  # type: ignore[dict-item]
        mount=(
            Mount(
                target="/",
                type="tmpfs",
                file=[FileEntry(path="etc/motd", content="${x}\n")],
                mount_options="ro,size=1m",
            ),
            Mount(id="d", target=Path("/d"), type="tmpfs", peer_group="data", options={"size": "1m"}),
            Mount(target="/e", bind=MountPath(mount="d", path=Path("/x")), attributes=("ro", "nosuid"), master="data"),
        ),
        run=Run(command=["sh", "-c", "a\nb"]),
    )
    text = api.to_toml(built, ["a heading"])
    assert text.startswith("# a heading\n\nformat = 1\n")
    assert built == api.load(text) == api.load(text.encode()) == api.load(built)
    assert "1m" == built.mount[0].options["size"]


@pytest.mark.parametrize("path", sorted(CHECKOUT.glob("specs/*.toml")), ids=lambda path: path.stem)
def test_every_example_spec_reads_the_same_from_the_text_that_is_made_of_it(path: Path) -> None:
    spec = api.load(path)
    assert spec == api.load(api.to_toml(spec))


def test_what_is_wrong_with_python_values_is_told_as_of_a_text() -> None:
    """With the constructor and the key for a place; all of it at once."""
    with pytest.raises(api.SpecError) as caught:
        Mount(target="srv", typ="tmpfs", uid=3)  # type: ignore[call-arg]
    told = [(str(one.ref), one.what) for one in caught.value.mistakes]
    assert [
        ("Mount(...): target", '"srv" is not absolute'),
        ("Mount(...): typ", "unknown key"),
        ("Mount(...): uid", "unknown key"),
    ] == told
    with pytest.raises(api.SpecError, match=r"Spec\(\.\.\.\): has no mount"):
        Spec(name="empty")
    with pytest.raises(api.SpecError, match=r"Spec\(\.\.\.\): mount\[0\]\.bind: host path"):
        api.plan(Spec(mount=[Mount(target="/x", bind="/no/such")]))


def test_a_spec_made_in_python_may_have_parameters(tmp_path: Path) -> None:
    """They are replaced when it is loaded, with values or with its own."""
    made = Spec(parameters={"where": "mnt"}, mount=[Mount(target="/${where}", type="tmpfs")])
    assert ["/mnt", "/srv"] == [
        api.load(made).mount[0].target,
        api.load(made, parameters={"where": "srv"}).mount[0].target,
    ]


def test_every_form_of_a_spec_is_checked_alike(tmp_path: Path) -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/"\ntyp = "tmpfs"\n'
    file = tmp_path / "x.toml"
    file.write_text(text)
    raw = {"format": 1, "mount": [{"target": "/", "typ": "tmpfs"}]}
    forms: tuple[api.SpecLike, ...] = (text, text.encode(), file, str(file), raw)
    assert [["mount[0].typ"]] * 5 == [[one.ref.key for one in api.check(form)] for form in forms]
    assert ["cannot read it: No such file or directory"] == [one.what for one in api.check(tmp_path / "none.toml")]
    assert () == api.check(Spec(mount=[Mount(target="/", type="tmpfs")]))


@pytest.mark.needs_kernel("mountns")
def test_any_two_values_are_compared(tmp_path: Path) -> None:
    """Each is one side: what would be built, what was built, what is seen, what was written down."""
    spec = Spec(name="x", mount=[Mount(target="/", type="tmpfs"), Mount(target="/a", type="tmpfs")])
    file = tmp_path / "x.toml"
    file.write_text(api.to_toml(spec))
    with api.build(spec) as tree:
        raw = {"format": 1, "mount": [{"target": "/", "type": "tmpfs"}, {"target": "/a", "type": "tmpfs"}]}
        sides: list[api.Comparable] = [spec, api.plan(spec), tree, file, str(file), raw]
        assert [()] * 30 == [api.diff(one, other).drift for one in sides for other in sides if one is not other]
        assert () == api.diff(tree.observe(), tree).drift
        assert () == api.verify(spec, tree).drift
        tree.umount("/a")
        assert ["/a"] == [one.mount for one in api.diff(spec, tree).drift]
        assert ["/a"] == [one.mount for one in api.verify(file, tree).drift]
        (row,) = tree.mounts().values()
        assert "/" == row.mountpoint
        if os.geteuid() == 0:  # the process that holds it is hidden from others
            assert () == api.diff(tree.pid, tree).drift


@pytest.mark.needs_kernel("mountns")
def test_what_is_captured_of_a_tree_is_the_tree() -> None:
    with api.build(Spec(mount=[Mount(target="/", type="tmpfs"), Mount(target="/a", type="tmpfs")])) as tree:
        captured = api.load(api.capture(tree, name="copy").text)
        assert ("copy", ["/", "/a"]) == (captured.name, [mount.target for mount in captured.mount])
        assert () == api.diff(captured, tree).drift


SMALL = Spec(
    name="small", mount=[Mount(target="/", type="tmpfs", options={"mode": "0755"}), Mount(target="/a", type="tmpfs")]
)


@pytest.mark.parametrize("identity", ["root", "nobody"])
def test_what_is_kept_is_attached_to_changed_and_removed(identity: Identity, in_host: InHost) -> None:
    """The way from the first apply to the last remove, as a program goes it."""

    def script() -> list[object]:
        said: list[object] = [api.apply(SMALL).outcome, api.apply(SMALL).outcome]
        with api.attach("small") as tree:
            said += [tree.names, sorted(tree.mounts()), tree.drift(), tree.plan.name, sorted(os.listdir(tree.root))]
            tree.mount("/a/b", create=True)
            said.append([one.mount for one in tree.drift()])
        with api.attach("small") as tree:  # closing it has changed nothing
            said += [sorted(tree.mounts()), tree.call(os.listdir, "/a")]
            tree.umount("/a/b")
        more = SMALL.model_copy(update={"mount": [*SMALL.mount, Mount(target="/c", type="tmpfs")]})
        said += [[(one.sign, one.mount) for one in api.plan_live(more).changes], api.change(more).outcome]
        said += [api.diff(more, "small").drift, api.verify(more).drift]
        api.remove("small")
        with pytest.raises(api.NotKept):
            api.attach("small")
        return said

    assert [
        "kept", "stands", ("",), ["/", "/a"], (), "small", ["a"], ["/a/b"], ["/", "/a", "/a/b"], ["b"],
        [("+", "/c")], "changed", (), (),
    ] == in_host((in_runtime_directory if identity == "nobody" else on_run)(script), identity=identity)  # fmt: skip


@pytest.mark.needs_kernel("root")
def test_a_process_is_attached_to_with_its_root() -> None:
    """As it sees things: in its namespaces, from its root; and no plan is known of it. (The one that holds a tree is
    hidden from ordinary users.)
    """
    with api.build(SMALL) as built, api.attach(pid=built.pid) as tree:
        assert (["/", "/a"], ["a"]) == (sorted(tree.mounts()), sorted(tree.call(os.listdir, "/")))
        assert () == tree.diff(built) == built.diff(tree)
        assert Path(f"/proc/{built.pid}/root") == tree.root
        assert repr(tree).startswith(f"<Tree of process {built.pid} at 0x")
        assert repr(built).startswith(f"<Tree of {built.plan.file} at 0x")
        with pytest.raises(api.SubjectError, match="from no plan"):
            tree.drift()
    with pytest.raises(TypeError):
        api.attach()


def test_a_tree_that_is_closed_answers_nothing() -> None:
    """Its process has ended: another one that has the number by then would be looked at."""
    with api.build(SMALL) as tree:
        pass
    for ask in (lambda: tree.pid, lambda: tree.root, tree.mounts, tree.drift, lambda: tree.call(os.listdir, "/")):
        with pytest.raises(ValueError, match="the tree is closed"):
            ask()
    tree.close()
    assert "small" == tree.plan.name


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with api.build(Spec(root="inherit", mount=[Mount(target="/mnt", type="tmpfs")])) as tree:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            tree.run(["sh", "-c", "echo why >&2; exit 3"], check=True)
    assert (3, "why\n", ["why"]) == (failed.value.returncode, failed.value.stderr, failed.value.__notes__)


def test_one_word_is_a_list_of_one(tmp_path: Path) -> None:
    """A str is a sequence of characters to Python, and never meant as that."""
    marker = tmp_path / "made"
    marker.write_text('#!/bin/sh\n: > "$0.too"\n')
    marker.chmod(0o755)
    host = Spec(root="inherit", mount=[Mount(target="/mnt", type="tmpfs")])
    assert 0 == api.run(host, str(marker))
    assert (tmp_path / "made.too").exists()
    with api.build(host) as tree:
        tree.mount("/mnt", attributes="ro")
        assert "ro" in tree.mounts()["/mnt"].attributes
    assert api.simulate("frobnicate x || mount -t tmpfs none /\n", failing="frobnicate *").final[0].table.rows


def test_what_cannot_be_a_spec_or_a_file_of_it_is_told() -> None:
    with pytest.raises(TypeError, match="a spec is a Spec, a path, TOML text or a dict, not int: 5"):
        api.load(5)  # type: ignore[arg-type]
    with pytest.raises(api.SpecError, match="name a saved plan that exists"):
        api.load_plan("nonesuch.json")
    with pytest.raises(api.SpecError, match="name a script that exists; a text of one line needs a newline"):
        api.simulate("mount -t tmpfs none /a")


def test_questions_are_asked_of_values() -> None:
    pair = """
format = 1
[peer_group.pair]
[[mount]]
id = "a"
target = "/"
type = "tmpfs"
peer_group = "pair"
[[mount]]
target = "/copy"
bind = { mount = "a" }
peer_group = "pair"
"""
    for asked in (pair, api.load(pair), api.plan(pair)):
        explainer = api.explain(asked)
        assert [2] == [len(group.members) for group in explainer.groups()]
        assert ["/copy/new", "/new"] == [one.spot.path for one in explainer.mount("/copy/new").effects]
    simulated = api.simulate("mkdir /copy/new\nmount -t tmpfs none /copy/new\n", start=pair)
    assert {"/", "/copy", "/copy/new", "/new"} == {row.mountpoint for row in simulated.final[0].table.rows}


@pytest.mark.parametrize("identity", ["root", "nobody"])
def test_the_page_on_python_does_what_it_shows(identity: Identity, in_host: InHost) -> None:
    """All its code, one after the other, as a reader would."""
    page = (CHECKOUT / "docs/python.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(code) > 6

    def script() -> list[str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("".join(code), "docs/python.md", "exec"), {})
        return out.getvalue().splitlines()

    shown = in_host((in_runtime_directory if identity == "nobody" else on_run)(script), identity=identity)
    assert "kept ['/', '/srv/copy', '/srv/data']" in shown
    assert "+ /srv/log" in [" ".join(line.split()[:2]) for line in shown]


def _needs(name: str) -> tuple[str, ...]:
    return ("root",) if name in _KEEPING else ("mountns",) if name in _MOUNTING else ()


def _examples() -> list[doctest.DocTest]:
    """The examples of all public names, each run as a program that has imported them all."""
    names = {name: getattr(api, name) for name in api.__all__}
    finder = doctest.DocTestFinder(recurse=False)
    found = [one for name in api.__all__ for one in finder.find(names[name], name, extraglobs={**names, "os": os})]
    return [one for one in found if one.examples]


_MOUNTING = ("build", "capture", "run", "verify")
_KEEPING = ("apply", "change")  # on a host with a /run of its own


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=one.name, marks=[pytest.mark.needs_kernel(need) for need in _needs(one.name)])
        for one in _examples()
    ],
)
def test_the_examples_of_the_public_names_do_what_they_show(example: doctest.DocTest, in_host: InHost) -> None:
    def script() -> tuple[int, bool, str]:
        out: list[str] = []
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        done = doctest.DocTestRunner(optionflags=flags).run(example, out=out.append, clear_globs=False)
        return done.failed, done.attempted > 0, "".join(out)

    found = in_host(on_run(script), identity="root") if example.name in _KEEPING else script()
    assert (0, True) == found[:2], found[2]

"""What will be inside a filesystem that the spec makes."""

from __future__ import annotations

from mountplan.planner.names import NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.contents import Contents
from mountplan.planner.resolve.topology import ResolvedNode


def node(path: str, kind: NodeKind = "directory", *, declared: bool = True, origin: str = "here") -> ResolvedNode:
    return ResolvedNode(TargetPath(path), kind, declared, origin)


def filled(*nodes: ResolvedNode) -> Contents:
    contents = Contents("own")
    assert [""] * len(nodes) == [contents.add(one) for one in nodes]
    return contents


def test_directories_above_a_node_are_made_with_it_once_and_before_it() -> None:
    contents = filled(node("/a/b/c", "file"), node("/a/d", "file", origin="there"))
    made = [(one.path, one.kind, one.declared, one.origin) for one in contents.result()]
    assert [
        ("/a", "directory", False, "here"),
        ("/a/b", "directory", False, "here"),
        ("/a/b/c", "file", True, "here"),
        ("/a/d", "file", True, "there"),
    ] == made


def test_the_root_is_a_directory_and_is_never_a_node() -> None:
    contents = filled(node("/"))
    assert () == contents.result()
    assert "is the root of the filesystem, which is a directory" == contents.add(node("/", "file"))
    assert ("directory", None) == (contents.kind("/"), contents.kind("/a"))


def test_what_is_declared_wins_over_what_is_made_and_two_declarations_are_one_too_many() -> None:
    contents = filled(node("/a/b", declared=False), node("/a", origin="mine"), node("/a", declared=False))
    assert ["mine", "here"] == [one.origin for one in contents.result()]
    assert "is declared twice (also at mine)" == contents.add(node("/a"))
    assert "directory" == contents.kind("/a")


def test_a_path_is_of_one_kind_and_only_directories_have_anything_in_them() -> None:
    contents = filled(node("/f", "file", origin="mine"))
    assert "has to be a directory, but mine makes it a file" == contents.add(node("/f", declared=False))
    assert "lies below /f, which mine makes a file" == contents.add(node("/f/x/y"))
    assert 1 == len(contents.result())


def test_the_first_symlink_on_a_way_counts_and_so_does_the_last_component() -> None:
    contents = filled(node("/a/l", "symlink"), node("/b", "file"), node("/m", "symlink"))
    for path, link in (("/a/l/m", "/a/l"), ("/a/l", "/a/l"), ("/a/x", None), ("/m", "/m"), ("/b", None), ("/", None)):
        found = contents.first_link(TargetPath(path))
        assert link == (found and found.path)
    assert None is filled(node("/a")).first_link(TargetPath("/a"))


def test_a_pattern_matches_known_paths_component_by_component() -> None:
    contents = filled(node("/d/a1/x"), node("/d/a2"), node("/d/b"), node("/a3"))
    for root, pattern, found in (
        ("/d", "/a*", ["/a1", "/a2"]),
        ("/d", "/*", ["/a1", "/a2", "/b"]),
        ("/d", "/*/x", ["/a1/x"]),
        ("/d", "/x", []),
        ("/", "/a*", ["/a3"]),
        ("/", "/*/a1", ["/d/a1"]),
    ):
        assert found == contents.glob(TargetPath(root), pattern), (root, pattern)

"""What must be done before what, and how a contradiction is told."""

from __future__ import annotations

import subprocess
import sys
from itertools import groupby
from random import Random

import pytest

from mountplan.planner.errors import PlanRefused
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.graph import _KINDS, find_order, sorted_nodes
from mountplan.planner.plan.plan import WHY, Edge
from mountplan.planner.resolve.resolve import resolve
from mountplan.planner.resolve.topology import Topology
from tests.fakes import FakeHost

ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nid = "root"\n'


def topology_of(text: str) -> Topology:
    return resolve(parse_spec(b"format = 1\n" + text.encode(), "test.toml"), FakeHost())


def reasons(text: str) -> set[str]:
    return {edge.reason() for edge in find_order(topology_of(text)).edges}


def test_a_mount_waits_for_its_parent() -> None:
    text = ROOT + '[[mount]]\nid = "a"\ntarget = "/a"\ntype = "tmpfs"\n'
    assert {"a is mounted on root, so root must stand first"} == reasons(text)


def test_a_cover_waits_for_what_it_covers() -> None:
    text = ROOT + '[[mount]]\nid = "cover"\ntarget = "/a"\ntype = "tmpfs"\n'
    text += '[[mount]]\nid = "low"\ntarget = "/a/b"\ntype = "tmpfs"\nparent = "root"\n'
    assert "cover covers the mountpoint of low, which no path walk reaches afterwards" in reasons(text)


def test_an_upper_mount_of_a_stack_waits_for_the_lower() -> None:
    text = ROOT + "".join(f'[[mount]]\nid = "{name}"\ntarget = "/a"\ntype = "tmpfs"\n' for name in ("one", "two"))
    assert "two goes on top of one, on the same mountpoint" in reasons(text)


def test_clones_wait_for_their_workbench_slaves_for_their_master_members_for_their_seed() -> None:
    text = '[peer_group.g]\n[peer_group.h]\nmaster = "g"\n' + ROOT
    text += '[[mount]]\nid = "a"\ntarget = "/a"\ntype = "tmpfs"\npeer_group = "g"\n'
    text += '[[mount]]\nid = "b"\ntarget = "/b"\nbind = { mount = "a" }\npeer_group = "h"\n'
    assert {
        "b is a clone of a path in filesystem fs:a, which must exist first",
        "group seed:h receives from group seed:g, and a slave is made from a member of its master",
        "a joins group seed:g when all that stands on it is attached, so that nothing propagates",
    } <= reasons(text)


def test_an_overlay_waits_for_the_filesystems_of_its_layers() -> None:
    layers = '[{ mount = "root", path = "/" }, "/"]'
    text = ROOT + f'[[mount]]\nid = "o"\ntarget = "/o"\ntype = "overlay"\nlayers = {layers}\n'
    assert "fs:root holds a layer of overlay o, and must not change once that is mounted" in reasons(text)


def test_without_a_reason_the_order_is_that_of_the_spec() -> None:
    names = ("z", "a", "m", "b")
    text = ROOT + "".join(f'[[mount]]\nid = "{name}"\ntarget = "/{name}"\ntype = "tmpfs"\n' for name in names)
    assert ("root", *names) == find_order(topology_of(text)).order


def test_everything_comes_after_all_that_it_waits_for() -> None:
    text = "[peer_group.g]\n" + ROOT
    for depth in range(1, 5):
        text += (
            f'[[mount]]\nid = "m{depth}"\ntarget = "{"/a" * depth}"\nbind = {{ mount = "pool" }}\npeer_group = "g"\n'
        )
    text += '[[mount]]\nid = "pool"\ntype = "tmpfs"\n[[mount.file]]\npath = "a"\ndirectory = true\n'
    graph = find_order(topology_of(text))
    place = {name: number for number, name in enumerate(graph.order)}
    assert all(place[edge.before] < place[edge.after] for edge in graph.edges)


def test_edges_of_a_kind_come_together() -> None:
    """In a plan file they are runs then; one after the other, those of groups made it a third longer."""
    mounts = "".join(f'[[mount]]\ntarget = "/{one}"\nbind = {{ mount = "root" }}\npeer_group = "g"\n' for one in "abc")
    kinds = [edge.kind for edge in find_order(topology_of("[peer_group.g]\n" + ROOT + mounts)).edges]
    assert len(set(kinds)) == len(list(groupby(kinds))) > 2
    assert set(WHY) == set(_KINDS)


def test_a_circle_is_told_as_a_sentence_that_names_the_mounts() -> None:
    """No spec has one, since resolving finds them earlier; a topology made by hand may."""
    text = ROOT + "".join(f'[[mount]]\nid = "{name}"\ntarget = "/{name}"\ntype = "tmpfs"\n' for name in ("one", "two"))
    topology = topology_of(text)
    root, one, two = topology.namespaces[0].mounts
    mounts = (root, one._replace(parent="two"), two._replace(parent="one"))
    with pytest.raises(PlanRefused) as caught:
        find_order(topology._replace(namespaces=(topology.namespaces[0]._replace(mounts=mounts),)))
    (reason,) = caught.value.reasons
    assert (
        "there is no order in which this can be built: two is mounted on one, so one must stand first; "
        "one is mounted on two, so two must stand first"
    ) == reason
    assert 1 == caught.value.exit_status


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_the_one_that_networkx_finds(seed: int) -> None:
    """Planning does without networkx; the same spec must go on giving the same plan, byte for byte."""
    import networkx as nx

    random = Random(seed)
    places = random.sample(range(40), 40)  # an order that can be kept, which is not that of the nodes
    nodes = tuple(f"n{number}" for number in range(40))
    pairs = [sorted(random.sample(range(40), 2), key=places.__getitem__) for _ in range(60)]
    edges = tuple(Edge(f"n{before}", f"n{after}", "parent") for before, after in [*pairs, *pairs[:5]])
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edge[:2] for edge in edges)
    expected = tuple(nx.lexicographical_topological_sort(graph, key=nodes.index))
    assert expected != nodes
    assert expected == sorted_nodes(nodes, edges)


def test_planning_a_spec_that_has_an_order_loads_no_networkx() -> None:
    """It takes longer to load than small specs take to plan."""
    spec = f"format = 1\n{ROOT}".encode()
    program = (
        "import sys; from mountplan.planner.plan import graph, schedule; from tests.fakes import FakeHost\n"
        "from mountplan.planner.language.spec_reading import parse_spec\n"
        "from mountplan.planner.resolve.resolve import resolve\n"
        f"spec = parse_spec({spec!r}, 'test.toml')\n"
        "topology = resolve(spec, FakeHost())\n"
        "assert schedule.make_plan(topology, graph.find_order(topology)).steps\n"
        "print('networkx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout

"""What a spec says of the files of namespaces, and what it may not say."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.errors import PlanRefused, SpecError
from mountplan.planner.language.path_models import NamespaceFile
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from tests.fakes import FakeHost

NET, UTS, MNT = "0:4 net:[41]", "0:4 uts:[42]", "0:4 mnt:[43]"


def host() -> FakeHost:
    found = FakeHost({"/run/blue": "file", "/etc/hosts": "file"})
    found.namespaces = {"/proc/7/ns/net": NET, "/proc/7/ns/uts": UTS, "/run/blue": NET, "/run/old": MNT}
    return found


def spec(name: str, more: str = "") -> str:
    mount = f'[[mount]]\nid = "n"\ntarget = "/n"\nbind = {{ namespace = {name} }}\n{more}'
    return f'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n{mount}'


def told(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        api.plan(parse_spec(text.encode()), host())
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "path", "namespace"),
    [
        ('"net:7"', "/proc/7/ns/net", NET),
        ('"/proc/7/ns/uts"', "/proc/7/ns/uts", UTS),
        ('"net:/run/blue"', "/run/blue", NET),
        ("{ escaped = 'net:/run/b\\154ue' }", "/run/blue", NET),
    ],
)
def test_a_namespace_is_named_by_a_process_or_by_the_path_of_its_file(name: str, path: str, namespace: str) -> None:
    plan = api.plan(parse_spec(spec(name).encode()), host())
    (clone,) = [step for step in plan.steps if isinstance(step, s.CloneHost)]
    assert (path, namespace) == (clone.path, clone.namespace)
    (one,) = predict(plan, host().table)
    assert [("0:4", namespace.partition(" ")[2], "rw", "nsfs")] == [
        (row.device, row.root, row.attributes, row.source) for row in one.table.rows if row.fstype == "nsfs"
    ]
    api.foresee(plan, host())
    assert plan == load_plan(dump_plan(plan), "plan")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ('"net"', "neither a path nor a kind of namespace"),
        ('"nets:7"', 'write namespace = "net:7"'),
        ('"net:0"', 'write namespace = "net:PID"'),
        ('"pid_for_children:7"', 'write namespace = "pid:/proc/7/ns/pid_for_children"'),
        ('"mnt:7"', "nsenter --mount=/proc/7/ns/mnt"),
        ('"/run/old"', "nsenter --mount=/run/old"),
        ('"uts:/run/blue"', 'write "net:/run/blue"'),
        ('"net:8"', 'namespace "net:8": no such file or directory'),
        ('"/etc/hosts"', "is no file of a namespace"),
        ('"net:../x"', '"../x" is no process'),
        ('"net:7", path = "/x"', "has path beside namespace"),
        ('"net:7"', 'did you mean "namespace"?'),
        ("7", "is the number 7"),
    ],
)
def test_what_names_none_that_can_be_mounted_is_a_mistake(name: str, words: str) -> None:
    text = spec(name)
    assert words in told(text.replace("namespace =", "namspace =") if "did you mean" in words else text)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("recursive = true", "nothing is mounted below"),
        ("idmap = { uids = [[0, 1, 1]], gids = [[0, 1, 1]] }", "no owners to be mapped"),
        ('[[mount]]\ntarget = "/m"\nbind = { mount = "n", path = "/x" }', "with nothing in it"),
    ],
)
def test_what_such_a_file_cannot_have_is_a_mistake(more: str, words: str) -> None:
    assert words in told(spec('"net:7"', more))


def test_a_name_in_the_place_of_a_path_is_told_the_table_to_write() -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/n"\nbind = "net:7"'
    assert 'write { namespace = "net:7" }' in told(text)


def test_an_optional_one_is_left_out_where_no_such_process_runs() -> None:
    plan = api.plan(parse_spec(spec('"net:8"', "optional = true").encode()), host())
    assert [("n", 'namespace "net:8": no such file or directory')] == [
        (one.name, one.reason) for one in plan.expected.left_out
    ]


def test_files_of_one_namespace_may_share_events_and_those_of_two_may_not() -> None:
    one = 'peer_group = "g"\n[[mount]]\ntarget = "/m"\npeer_group = "g"\n'
    group = "\n[peer_group.g]"
    plan = api.plan(parse_spec(spec('"net:7"', one + 'bind = { mount = "n" }' + group).encode()), host())
    api.foresee(plan, host())
    assert [("/proc/7/ns/net", NET)] == [
        (step.path, step.namespace) for step in plan.steps if isinstance(step, s.CloneHostWorkbench)
    ]
    assert "they are on different filesystems" in told(spec('"net:7"', one + 'bind = { namespace = "uts:7" }' + group))


@pytest.mark.parametrize("namespace", ["net:[41]", "0:4 mnt:[41]", "0:4 net:[x]", "/etc"])
def test_a_plan_file_names_only_what_can_be_mounted(namespace: str) -> None:
    plan = api.plan(parse_spec(spec('"net:7"').encode()), host())
    steps = tuple(step._replace(namespace=namespace) if isinstance(step, s.CloneHost) else step for step in plan.steps)
    with pytest.raises(PlanRefused, match="no namespace whose file can be mounted"):
        load_plan(dump_plan(plan._replace(steps=steps)), "plan")


def test_the_name_is_written_back_as_it_was() -> None:
    from mountplan.planner.language.spec_text import spec_text

    read = parse_spec(spec('"net:7"').encode())
    assert NamespaceFile(namespace="net:7") == read.mount[1].bind
    assert read == parse_spec(spec_text(read).encode())


def test_a_link_of_proc_in_the_place_of_a_path_is_told_the_table_to_write() -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/n"\nbind = "/proc/self/ns/net"'
    assert 'write bind = { namespace = "/proc/self/ns/net" }' in told(text)
    assert "nsenter --mount=/proc/7/ns/mnt" in told(text.replace("self/ns/net", "7/ns/mnt"))

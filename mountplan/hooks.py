"""What a hook of an OCI runtime does with a container that is being made: hold it against a spec, add a spec to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mountplan.inputs import STDIN
from mountplan.live_outside import LiveOutside
from mountplan.operands import Operand, Side, as_specs_have_it, predicted, view_of
from mountplan.planner.characters import toml_string
from mountplan.planner.compare.difference import Difference
from mountplan.planner.errors import Mistake, SpecError, SpecRef, SubjectError
from mountplan.planner.foreign.oci_hooks import ContainerState, RuntimeWays, Sorted, Stage, read_state, root_of
from mountplan.planner.language.outside import Whereabouts
from mountplan.planner.light import without_collector
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.subjects import Subject
    from mountplan.changing import Changed
    from mountplan.planner.change.standing import Allowed
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan

# What errors call the specs that are made here: of what stands in a container, and of that and another one.
_CAPTURED = "/the container"
_BOTH = "/the container and more"


class Container(NamedTuple):
    """A container as a hook finds it: what the runtime said of it, its own configuration, and where its root is."""

    stage: Stage
    state: ContainerState
    config: Mapping[str, Any]
    rootfs: str

    @property
    def label(self) -> str:
        return f"container {self.state.id}"

    @property
    def config_file(self) -> str:
        return os.path.join(self.state.bundle, "config.json")

    @property
    def operand(self) -> Operand:
        """What is to be changed. The runtime changes the root when createContainer has come to an end."""
        return Operand("pid", str(self.state.pid), root="" if self.stage == "poststart" else self.rootfs)

    def opened(self) -> AbstractContextManager[Subject]:
        """Its mount namespace: at createContainer it is our own."""
        from mountplan.applier.observe.subjects import below, of_process

        if self.stage == "poststart":
            return of_process(self.state.pid, "container")
        return below(None if self.stage == "createContainer" else self.state.pid, self.rootfs)


class Checked(NamedTuple):
    """The plan that it was held against, what stands, and the differences."""

    plan: Plan
    side: Side
    sorted: Sorted


def find_container(stage: Stage, data: bytes) -> Container:
    """The container that a runtime told of. Raises SpecError for what is no state, or no bundle."""
    from mountplan.foreign_files import read_json

    state = read_state(data, STDIN)
    file = os.path.join(state.bundle, "config.json")
    config = read_json(file)
    rootfs = root_of(config, state.bundle, file)
    if stage != "createContainer" and state.pid <= 0:
        what = f"it is {state.pid}: there is no process yet"
        raise SpecError((Mistake(SpecRef(STDIN, "pid"), what, "see whether the stage is the one of the hook"),))
    return Container(stage, state, config, os.path.realpath(rootfs))


@without_collector
def check(container: Container, spec: str | None, parameters: Mapping[str, str]) -> Checked:
    """Hold a container against `spec`, or, without one, against its own configuration.

    A spec that inherits its root says what some mounts shall be, and nothing of the others.
    """
    from mountplan.applier.observe.subjects import ids_inside
    from mountplan.foreign_files import of_another_kind
    from mountplan.planner.compare.compare import judge, machine_of
    from mountplan.surroundings import surroundings

    with container.opened() as subject:
        whole = subject.read()
        ids = ids_inside(subject.fd)
        as_specs = as_specs_have_it(whole.table, subject.fd)
    host = _host(container, whole)
    plan = _of_config(container, host) if spec is None else _of_spec(container, spec, parameters, host)
    # A configuration has the ids that are inside, a spec those of who builds it.
    seen = view_of("", whole)._replace(ids=ids) if spec is None else view_of("", whole._replace(table=as_specs))
    side = Side(container.label, (seen,), incomplete=not whole.complete)
    try:
        ways = RuntimeWays(container.config, container.stage, of_config=spec is None)
    except (AttributeError, TypeError) as error:
        raise of_another_kind(container.config_file, error) from None
    wanted, to_mask = ways.without_masks(predicted(plan.file, plan, host).views[0])
    found, masked = ways.without_masks(side.views[0])
    judged = judge([wanted], [found], machine_of(host), arrivals=True, surroundings=surroundings)
    unmasked = [Difference(path, "mount", "masked", "no mount", "", "") for path in sorted(to_mask - masked)]
    return Checked(plan, side, ways.sort((*judged.drift, *unmasked)))


@without_collector
def add(container: Container, spec: str, parameters: Mapping[str, str], allowed: Allowed) -> Changed:
    """Change a container so that it has the mounts of `spec`, beside those that it has. Raises as changing.change()."""
    from mountplan import changing
    from mountplan.applier.observe.observe import observe

    if container.stage == "createContainer":
        what = "at createContainer a hook is inside, where neither the host's groups nor a process to enter can be had"
        raise SubjectError(what, "add it at createRuntime, or at poststart")
    return changing.change(_of_spec(container, spec, parameters, observe()), container.operand, allowed)


def _host(container: Container, whole: Whole) -> MountTable:
    """The machine, as planning sees it. Inside the container's own namespace, that is what is not yet the container."""
    from mountplan.applier.observe.observe import observe

    table = observe()
    if container.stage != "createContainer":
        return table
    own = {row.mount_id for row in whole.table.rows}
    return MountTable(tuple(row for row in table.rows if row.mount_id not in own))


def _of_config(container: Container, host: MountTable) -> Plan:
    from mountplan.foreign_files import imported

    text = imported("oci", container.config_file, table=host).text(())
    return _planned(text.encode("utf-8", "surrogateescape"), container.config_file, host)


def _of_spec(container: Container, file: str, parameters: Mapping[str, str], host: MountTable) -> Plan:
    from mountplan.pipeline import load

    settings = _settings(container, file, parameters)
    spec = load(file, parameters=settings)
    if spec.namespace:
        what = "has several namespaces, and a container has one mount namespace"
        raise SpecError((Mistake(SpecRef(file, "namespace"), what, "write its mounts as [[mount]]"),))
    if spec.root != "inherit":
        return _planned_spec(spec, host)
    return _planned_spec(_together(container, file, spec, settings), host)._replace(file=file)


def _settings(container: Container, file: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Values for parameters: those that were given, and what is known of the container if the spec asks for it."""
    from mountplan.inputs import read_input, reason_of
    from mountplan.planner.language.reading import read_toml

    try:
        raw, _, _ = read_toml(read_input(file), file)
    except (OSError, ValueError) as error:
        mistake = Mistake(SpecRef(file, ""), f"cannot read it: {reason_of(error)}", "name a spec")
        raise SpecError((mistake,)) from None
    declared = raw.get("parameters")
    known = {"id": container.state.id, "bundle": container.state.bundle, "rootfs": container.rootfs}
    asked = declared if isinstance(declared, dict) else {}
    return {name: value for name, value in known.items() if name in asked} | dict(parameters)


def _together(container: Container, file: str, spec: Spec, settings: Mapping[str, str]) -> Spec:
    """What stands in the container and `spec`, as one spec. What stands where the spec has a mount gives way to it."""
    from mountplan.capturing import capture_subjects
    from mountplan.pipeline import check_memory
    from mountplan.planner.capture.captured import renamed_groups, without_targets
    from mountplan.planner.capture.writing import write_spec

    check_memory()
    from mountplan.planner.language.spec_reading import parse_spec

    if container.stage == "createContainer":
        what = "inherits its root, and at createContainer what is the container's cannot be told from the host's"
        raise SpecError((Mistake(SpecRef(file, "root"), what, "use it at createRuntime, or at poststart"),))
    with container.opened() as subject:
        captured = capture_subjects([subject], "container", check=False).captured
    hosts = {name: group.host or "" for name, group in spec.peer_group.items()}
    captured = without_targets(renamed_groups(captured, hosts), {one.target or "" for one in spec.mount})
    text = write_spec(captured)
    outside = _Outside(text.encode("utf-8", "surrogateescape"))
    added = toml_string(os.path.abspath(file))
    both = f'format = 1\nname = "container"\nroot = "new"\ninclude = ["{_CAPTURED}", {added}]\n'
    return parse_spec(both.encode("utf-8", "surrogateescape"), _BOTH, outside, settings)


class _Outside(LiveOutside):
    """The file system, with what stands in the container as one more file."""

    def __init__(self, captured: bytes) -> None:
        super().__init__()
        self._captured = captured

    def whereabouts(self, file: str) -> Whereabouts:
        return Whereabouts("/", file) if file in (_CAPTURED, _BOTH) else super().whereabouts(file)

    def text(self, file: str) -> bytes:
        return self._captured if file == _CAPTURED else super().text(file)


def _planned(data: bytes, file: str, host: MountTable) -> Plan:
    from mountplan.pipeline import check_memory

    check_memory()
    from mountplan.planner.language.spec_reading import parse_spec

    return _planned_spec(parse_spec(data, file, LiveOutside(as_if=file)), host)


def _planned_spec(spec: Spec, host: MountTable) -> Plan:
    from mountplan.applier.observe.facts import LiveHost
    from mountplan.pipeline import plan_on_this_machine

    return plan_on_this_machine(spec, LiveHost(host))

"""The verbs as Python programs call them: each takes a spec, a plan or a tree in any of the forms of forms.py.

Each imports what it needs when it is called, as pipeline.py does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from mountplan import pipeline
from mountplan.applier.sys.report import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.capturing import Capture
    from mountplan.changing import Changed
    from mountplan.comparing import Compared
    from mountplan.forms import Comparable, PlanLike, SpecLike, TreeLike
    from mountplan.keeping import Keeping
    from mountplan.operands import Operand
    from mountplan.pipeline import Applied
    from mountplan.planner.ask.explain import Explainer
    from mountplan.planner.change.change_plan import ChangePlan
    from mountplan.planner.errors import Mistake
    from mountplan.planner.host import Host
    from mountplan.planner.language.outside import Outside
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.shell.simulate import Simulation
    from mountplan.planner.tables.table import MountTable
    from mountplan.tree import Tree
    from mountplan.watching import Seen


def load(
    source: SpecLike,
    data: bytes | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    outside: Outside | None = None,
) -> Spec:
    """The spec in a file ("-" is standard input), in a text of several lines, in a dict of what TOML would give.

    `data` is the text of a spec of which `source` is only the name that errors use. `parameters` are values for the
    spec's parameters. What else it takes from outside (files that it includes, the environment) is asked of this
    process, or of `outside`. Raises SpecError with all that is wrong.

    >>> load('format = 1\\n[[mount]]\\ntarget = "/"\\ntype = "tmpfs"\\n').mount[0].type
    'tmpfs'
    >>> load({"format": 1, "mount": [{"target": "srv", "type": "tmpfs"}]})
    Traceback (most recent call last):
      ...
    mountplan.planner.errors.SpecError: <dict>: mount[0].target: "srv" is not absolute
      remedy: write the whole path from '/' on: "/srv"?
    """
    from mountplan.forms import spec_of

    return spec_of(source, data, parameters=parameters, outside=outside)


def to_toml(spec: Spec, heading: Sequence[str] = ()) -> str:
    """The spec as TOML that reads as the same spec; `heading` are lines of comment for its beginning.

    >>> from mountplan import Mount, Spec
    >>> spec = Spec(name="scratch", mount=[Mount(target="/mnt", type="tmpfs", options={"size": "16m"})])
    >>> print(to_toml(spec), end="")
    format = 1
    name = "scratch"
    <BLANKLINE>
    [[mount]]
    target = "/mnt"
    type = "tmpfs"
    options = { size = "16m" }
    >>> load(to_toml(spec)) == spec
    True
    """
    from mountplan.planner.language.spec_text import spec_text

    return spec_text(spec, tuple(heading))


def check(
    source: SpecLike,
    file: str = "",
    host: Host | None = None,
    *,
    rootless: Rootless | None = None,
    parameters: Mapping[str, str] | None = None,
) -> tuple[Mistake, ...]:
    """Every mistake in a spec, in the order of its text; () if there is none. `file` is what errors call a text.

    With `rootless`, a spec without mistakes is tried as well: NotAllowed says what the kernel would refuse.

    >>> for mistake in check('format = 1\\n[[mount]]\\ntarget = "/"\\ntyp = "tmpfs"\\n'):
    ...     print(mistake)
    <text>:4: mount[0].typ: unknown key
      remedy: did you mean "type"?
    """
    from mountplan.forms import TEXT, is_text, spec_of
    from mountplan.planner.errors import SpecError

    if isinstance(source, (str, bytes)) and is_text(source):
        data = source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source
        return pipeline.check_and_plan(data, file or TEXT, host, rootless=rootless, parameters=parameters)[1]
    try:
        if isinstance(source, (str, os.PathLike)):
            path = os.fspath(source)
            data = pipeline.read(path)
            return pipeline.check_and_plan(data, file or path, host, rootless=rootless, parameters=parameters)[1]
        made = pipeline.plan(spec_of(source, parameters=parameters), host)
        pipeline.foresee(made, host)
    except SpecError as error:
        return error.mistakes
    if rootless is not None:
        pipeline.try_out(made, rootless=rootless)
    return ()


def plan(source: PlanLike, host: Host | None = None, *, parameters: Mapping[str, str] | None = None) -> Plan:
    """The plan for a spec on this machine, or on `host`; or the one that is saved in NAME.json. Touches nothing.

    Raises SpecError, PlanRefused or PlanFileError.

    >>> made = plan('format = 1\\n[[mount]]\\ntarget = "/"\\ntype = "tmpfs"\\n')
    >>> [step.kind for step in made.steps[2:6]]
    ['make_yard', 'make_filesystem', 'attach', 'enter_root']
    """
    from mountplan.forms import plan_of, spec_of
    from mountplan.planner.plan.plan import Plan

    if host is not None and not isinstance(source, Plan):
        return pipeline.plan(spec_of(source, parameters=parameters), host)
    return plan_of(source, parameters)


def build(
    source: PlanLike,
    reporter: Reporter | None = None,
    *,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    parameters: Mapping[str, str] | None = None,
) -> Tree:
    """Build and verify it, for a program to use: a Tree, which vanishes when its `with` block is left.

    Raises as plan() does; NotAllowed or InUse before the first step; StepRefused, NamespaceRefused or
    VerificationFailed, and then nothing is left.

    >>> with build('format = 1\\n[[mount]]\\ntarget = "/"\\ntype = "tmpfs"\\n') as tree:
    ...     tree.mounts()["/"].fstype
    'tmpfs'
    """
    from mountplan.tree import build as build_tree

    return build_tree(plan(source, parameters=parameters), reporter, rootless=rootless, timeout=timeout)


def build_and_forget(
    source: PlanLike,
    reporter: Reporter | None = None,
    *,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    parameters: Mapping[str, str] | None = None,
) -> Applied:
    """Build it, read it back, compare, and let it go again: whether this machine can. As `mountplan apply --forget`.

    `rootless` is whether to do it in a user namespace, here and wherever else something is built: if it takes one
    ("auto"), "always", or "never". A build that is not done after `timeout` seconds is refused; None waits for ever.
    Raises as build() does.
    """
    made = plan(source, parameters=parameters)
    return pipeline.build_and_forget(made, reporter, rootless=rootless, timeout=timeout)


def apply(
    source: PlanLike,
    name: str | None = None,
    *,
    replace: bool = False,
    reporter: Reporter | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    parameters: Mapping[str, str] | None = None,
) -> Keeping:
    """Build it, verify it, and keep it under `name`, or the spec's, as `mountplan apply` does; attach() goes there.

    If it stands there already, that is verified. With `replace`, a new build takes the place of whatever has the name,
    once it is verified, and at one moment. Raises as build() does; NameTaken if something else, or something that has
    changed, has the name; KeepRefused.

    >>> apply({"format": 1, "name": "one", "mount": [{"target": "/", "type": "tmpfs"}]}).outcome
    'kept'
    >>> [standing.kept.name for standing in kept()], look_up("one").health
    (['one'], 'healthy')
    >>> with attach("one") as tree:
    ...     list(tree.mounts())
    ['/']
    >>> remove("one")
    """
    from mountplan.forms import plan_or_spec
    from mountplan.keeping import keep, plan_or_kept

    wanted = plan_or_spec(source, parameters)
    made = plan_or_kept(wanted, "" if replace else name or wanted.name or "")
    return keep(made, name, replace=replace, reporter=reporter, rootless=rootless, timeout=timeout)


def run(
    source: PlanLike,
    command: Sequence[str] | str = (),
    reporter: Reporter | None = None,
    *,
    namespace: str = "",
    status_fd: int | None = None,
    rootless: Rootless = "auto",
    timeout: float | None = TIMEOUT,
    parameters: Mapping[str, str] | None = None,
) -> int:
    """Build and verify it, run `command` in it, and return its exit status (128 + n if signal n ended it).

    Without `command`, the spec's is run. Its input and output are this process's; Tree.run() captures them. Raises as
    build() does, and CommandNotStarted.

    >>> run({"format": 1, "root": "inherit", "mount": [{"target": "/mnt", "type": "tmpfs"}]}, ["sh", "-c", "exit 7"])
    7
    """
    made = plan(source, parameters=parameters)
    words = (command,) if isinstance(command, str) else tuple(command)
    return pipeline.run(
        made, words, reporter, namespace=namespace, status_fd=status_fd, rootless=rootless, timeout=timeout
    )


def capture(
    *what: int | str | os.PathLike[str] | Tree, name: str = "", contents: str | None = None, check: bool = True
) -> Capture:
    """The spec of what stands in live mount namespaces, with its text and cautions; `name` is what to call it.

    Each of `what` is a process, a tree, a namespace file (a path, or a text with a "/" in it) or a kept name.
    `contents` is a directory to be made for the files of tmpfs and ramfs. Unless `check` is false, in what the spec
    would build something else is among the cautions. Raises TableError or NotKept; FileExistsError.

    >>> captured = capture(os.getpid(), name="here")
    >>> load(captured.text).name
    'here'
    """
    from mountplan.capturing import Folder, Wanted, called, capture_subjects, opened
    from mountplan.tree import Tree

    if not what:
        raise TypeError("capture() takes at least one process, tree, namespace file or kept name")
    wanted: list[Wanted | Tree] = []
    for one in what:
        if isinstance(one, Tree):
            wanted.append(one)
        elif isinstance(one, int):
            wanted.append(Wanted("pid", str(one)))
        else:
            path = os.fspath(one)
            wanted.append(Wanted("ns" if "/" in path or not isinstance(one, str) else "kept", path))
    folder = Folder(contents, os.path.abspath(contents)) if contents is not None else None
    with opened(wanted) as subjects:
        return capture_subjects(subjects, name or called(wanted), folder, check=check)


def diff(first: Comparable, second: Comparable, *, parameters: Mapping[str, str] | None = None) -> Compared:
    """How the second differs from the first: any two of Spec, dict, Plan, Tree, MountTable, process, path, and what the
    command line takes as a str (a kept name, `pid:N`, a file, ...).

    `parameters` are values for those of a spec, or of both. Raises SubjectError, NotKept, TableError, and what reading
    a spec or a plan raises.

    >>> one = {"format": 1, "mount": [{"target": "/", "type": "tmpfs"}]}
    >>> other = {"format": 1, "mount": [{"target": "/", "type": "tmpfs", "attributes": ["ro"]}]}
    >>> [(found.mount, found.prop, found.wanted, found.found) for found in diff(one, other).drift]
    [('/', 'attributes', 'rw,relatime', 'ro,relatime')]
    >>> diff(one, one).drift
    ()
    """
    from mountplan.comparing import diff as compare
    from mountplan.forms import sides_of

    return compare(*sides_of(first, second, parameters), parameters=parameters)


def verify(source: PlanLike, tree: TreeLike = "", *, parameters: Mapping[str, str] | None = None) -> Compared:
    """Does what stands there match a spec or a plan? Without `tree`, what is kept under the spec's name.

    What arrived by propagation where the spec lets it come is no difference. What is kept is held against what the spec
    makes of the host as it was when the name was made. Raises as diff() does.

    >>> one = {"format": 1, "name": "one", "mount": [{"target": "/", "type": "tmpfs"}]}
    >>> with build(one) as tree:
    ...     before = verify(one, tree).drift
    ...     tree.mount("/mnt", create=True)
    ...     before, [(found.mount, found.prop) for found in verify(one, tree).drift]
    ((), [('/mnt', 'mount')])
    """
    from mountplan import comparing
    from mountplan.forms import is_text, plan_or_spec, side_of
    from mountplan.planner.plan.plan import Plan
    from mountplan.spec_digest import Planned

    if isinstance(source, str) and not is_text(source):
        subject = side_of(tree)
        if isinstance(subject, str):
            return comparing.verify(source, subject, parameters=parameters)
    wanted = plan_or_spec(source, parameters)
    if isinstance(wanted, Plan):
        return comparing.verify_plan(wanted.file, Planned(wanted), side_of(tree))
    return comparing.verify_spec(wanted, side_of(tree))


def plan_live(
    source: PlanLike,
    tree: str | int = "",
    *,
    move: bool = False,
    gap: bool = False,
    propagation: bool = False,
    parameters: Mapping[str, str] | None = None,
) -> ChangePlan:
    """What change() would do to a tree that stands; `obstacles` if it would be refused. Touches nothing.

    `tree` is a kept name (the spec's, if it is left out) or a process.
    """
    from mountplan import changing, live_target
    from mountplan.planner.change.standing import Allowed

    made = plan(source, parameters=parameters)
    return changing.preview(made, live_target.look(_target(tree, made)), Allowed(move, gap, propagation))


def change(
    source: PlanLike,
    tree: str | int = "",
    *,
    move: bool = False,
    gap: bool = False,
    propagation: bool = False,
    parameters: Mapping[str, str] | None = None,
) -> Changed:
    """Change a tree that stands into what a spec says, under what runs in it, and verify it: `mountplan apply --live`.

    `move`: processes whose root is taken away may keep the old one; `gap`: a mount may be missing for a moment;
    `propagation`: it may be seen in namespaces outside. Raises ChangeRefused, ChangeUnfinished, StepRefused,
    VerificationFailed, NotKept, KeepRefused, SubjectError or TableError.

    >>> from mountplan import Mount, Spec
    >>> spec = Spec(name="one", mount=[Mount(target="/", type="tmpfs")])
    >>> made = apply(spec)
    >>> more = spec.model_copy(update={"mount": [*spec.mount, Mount(target="/mnt", type="tmpfs")]})
    >>> [(line.sign, line.mount) for line in plan_live(more).changes]
    [('+', '/mnt')]
    >>> change(more).outcome
    'changed'
    >>> remove("one")
    """
    from mountplan import changing
    from mountplan.planner.change.standing import Allowed

    made = plan(source, parameters=parameters)
    return changing.change(made, _target(tree, made), Allowed(move, gap, propagation))


def finish(
    tree: str | int,
    source: PlanLike | None = None,
    *,
    undo: bool = False,
    move: bool = False,
    gap: bool = False,
    propagation: bool = False,
) -> Changed:
    """Finish a change that was interrupted, as it was begun or as `source` says; or take it back. See change()."""
    from mountplan import changing
    from mountplan.planner.change.standing import Allowed

    made = plan(source) if source is not None else None
    return changing.finish(made, _target(tree, made), Allowed(move, gap, propagation), undo=undo)


def watch(tree: str | int, source: PlanLike | None = None, *, seconds: float | None = None) -> Iterator[Seen]:
    """What changes in a kept name's namespaces or a process's, as it happens, until `seconds` are over or for ever.

    With a spec, each time how it then differs from that. Raises NotKept, KeepRefused, SubjectError or TableError.
    """
    from mountplan import watching
    from mountplan.forms import plan_or_spec
    from mountplan.keeping import plan_or_kept

    made = plan_or_spec(source) if source is not None else None
    operand = _target(tree, made)
    name = operand.value if operand.kind == "name" else ""
    return watching.watch(operand, plan_or_kept(made, name) if made is not None else None, seconds)


def explain(
    what: PlanLike | int | MountTable | Tree,
    *,
    reaches: str | int | None = None,
    kernel: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Explainer:
    """Who receives mount events from whom, and what one would do: ask the Explainer that this returns.

    `what` is a spec or a plan, a process, a kept name, a table or a tree with one namespace. `kernel` is the release of
    another kernel than the one at hand. Nothing is mounted.

    >>> spec = '''
    ... format = 1
    ... [peer_group.pair]
    ... [[mount]]
    ... id = "a"
    ... target = "/"
    ... type = "tmpfs"
    ... peer_group = "pair"
    ... [[mount]]
    ... target = "/copy"
    ... bind = { mount = "a" }
    ... peer_group = "pair"
    ... '''
    >>> [effect.spot.path for effect in explain(spec).mount("/copy/new").effects]
    ['/copy/new', '/new']
    """
    from mountplan.explaining import explainer_of
    from mountplan.forms import is_text, operand_of, plan_of
    from mountplan.planner.tables.table import MountTable
    from mountplan.tree import Tree

    other = None if reaches is None else operand_of(reaches)
    if isinstance(what, Tree):
        what = what.observe()
    if isinstance(what, MountTable):
        return explainer_of(what, reaches=other, kernel=kernel)
    if isinstance(what, int):
        return explainer_of(operand_of(what), reaches=other, kernel=kernel)
    if isinstance(what, str) and not (is_text(what) or what.endswith((".toml", ".json")) or os.path.exists(what)):
        return explainer_of(what, reaches=other, kernel=kernel)
    return explainer_of(plan_of(what, parameters), reaches=other, kernel=kernel)


def simulate(
    script: str | os.PathLike[str],
    *,
    start: PlanLike | int | None = None,
    variables: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    failing: Sequence[str] | str = (),
    kernel: str | None = None,
) -> Simulation:
    """Carry a script of mount commands out in a model of the kernel: a text of several lines, or a file.

    It begins with an empty tmpfs, or with what `start` would build, is kept or is seen by a process. `variables` are
    what it has from elsewhere; `outputs` what commands write that are not carried out, by pattern, and `failing` those
    that fail. Raises SpecError with all lines that are not followed.

    >>> simulated = simulate("mkdir /a\\nmount -t tmpfs none /a\\n")
    >>> [row.mountpoint for row in simulated.final[0].table.rows]
    ['/', '/a']
    """
    from mountplan.explaining import known_of, stage_of
    from mountplan.forms import is_text, operand_of, plan_of
    from mountplan.planner.model import rules_of
    from mountplan.planner.shell.simulate import Answers, empty_world
    from mountplan.planner.shell.simulate import simulate as carry_out

    rules = rules_of(kernel or os.uname().release)
    if isinstance(script, str) and is_text(script):
        text, name = script, "<text>"
    else:
        name = os.fspath(script)
        wanted = "name a script that exists; a text of one line needs a newline at its end"
        text = pipeline.read(name, wanted).decode("utf-8", "surrogateescape")
    if start is None:
        stage = empty_world(rules)
    else:
        standing = isinstance(start, int) or (
            isinstance(start, str) and not is_text(start) and not start.endswith((".toml", ".json"))
        )
        known = known_of(operand_of(start) if standing else plan_of(start))  # type: ignore[arg-type]
        stage = stage_of(known, rules)
    answers = Answers(tuple((outputs or {}).items()), (failing,) if isinstance(failing, str) else tuple(failing))
    return carry_out(text, name, stage, variables=variables, answers=answers)


def _target(tree: str | int, made: Plan | Spec | None) -> Operand:
    from mountplan.forms import operand_of
    from mountplan.live_target import target_of

    return target_of(f"name:{made.name}" if tree == "" and made is not None else operand_of(tree))

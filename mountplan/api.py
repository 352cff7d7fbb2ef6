"""The public names of mountplan: its verbs, the values that they take and return, and every exception that they raise.

    from mountplan import api

    plan = api.plan(api.load("specs/hello.toml"))
    with api.build(plan) as tree:
        print(tree.run(["ls", "/srv"]).stdout)

Nothing is done here. Each name is fetched from its module when it is first asked for, so that carrying a saved plan
out needs neither pydantic nor networkx.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.applier.keep.kept_changes import remove as remove
    from mountplan.applier.probe.probe import Finding as Finding
    from mountplan.applier.sys.report import Reporter as Reporter
    from mountplan.capturing import Capture as Capture
    from mountplan.capturing import capture as capture
    from mountplan.comparing import Compared as Compared
    from mountplan.comparing import diff as diff
    from mountplan.comparing import verify as verify
    from mountplan.keeping import Keeping as Keeping
    from mountplan.keeping import Standing as Standing
    from mountplan.keeping import enter as enter
    from mountplan.keeping import keep as keep
    from mountplan.keeping import kept as kept
    from mountplan.keeping import look_up as look_up
    from mountplan.keeping import shell as shell
    from mountplan.pipeline import Applied as Applied
    from mountplan.pipeline import apply as apply
    from mountplan.pipeline import carry_out_in_model as carry_out_in_model
    from mountplan.pipeline import check as check
    from mountplan.pipeline import check_and_plan as check_and_plan
    from mountplan.pipeline import check_mount_count as check_mount_count
    from mountplan.pipeline import classic as classic
    from mountplan.pipeline import execute as execute
    from mountplan.pipeline import foresee as foresee
    from mountplan.pipeline import in_use as in_use
    from mountplan.pipeline import load as load
    from mountplan.pipeline import load_plan as load_plan
    from mountplan.pipeline import plan as plan
    from mountplan.pipeline import plan_on_this_machine as plan_on_this_machine
    from mountplan.pipeline import predict as predict
    from mountplan.pipeline import probe as probe
    from mountplan.pipeline import read_back as read_back
    from mountplan.pipeline import run as run
    from mountplan.pipeline import sharing_stops as sharing_stops
    from mountplan.pipeline import try_out as try_out
    from mountplan.planner.ask.classic import Classic as Classic
    from mountplan.planner.ask.foresight import Foresight as Foresight
    from mountplan.planner.ask.trial import Trial as Trial
    from mountplan.planner.compare.difference import Difference as Difference
    from mountplan.planner.compare.difference import Drift as Drift
    from mountplan.planner.errors import ChangeRefused as ChangeRefused
    from mountplan.planner.errors import ChangeUnfinished as ChangeUnfinished
    from mountplan.planner.errors import CommandNotStarted as CommandNotStarted
    from mountplan.planner.errors import InUse as InUse
    from mountplan.planner.errors import KeepRefused as KeepRefused
    from mountplan.planner.errors import Mistake as Mistake
    from mountplan.planner.errors import MountplanError as MountplanError
    from mountplan.planner.errors import NamespaceRefused as NamespaceRefused
    from mountplan.planner.errors import NameTaken as NameTaken
    from mountplan.planner.errors import NotAllowed as NotAllowed
    from mountplan.planner.errors import NotKept as NotKept
    from mountplan.planner.errors import PlanFileError as PlanFileError
    from mountplan.planner.errors import PlanRefused as PlanRefused
    from mountplan.planner.errors import SpecError as SpecError
    from mountplan.planner.errors import SpecRef as SpecRef
    from mountplan.planner.errors import StepRefused as StepRefused
    from mountplan.planner.errors import SubjectError as SubjectError
    from mountplan.planner.errors import TableError as TableError
    from mountplan.planner.errors import VerificationFailed as VerificationFailed
    from mountplan.planner.host import Host as Host
    from mountplan.planner.language.spec import Spec as Spec
    from mountplan.planner.plan.plan import Plan as Plan
    from mountplan.planner.tables.table import MountRow as MountRow
    from mountplan.planner.tables.table import MountTable as MountTable
    from mountplan.tree import Tree as Tree
    from mountplan.tree import build as build

# Module, below mountplan, and the public names that are in it. A test holds it against the imports above.
_HOME = {
    "applier.keep.kept_changes": "remove",
    "applier.probe.probe": "Finding",
    "applier.sys.report": "Reporter",
    "capturing": "Capture capture",
    "comparing": "Compared diff verify",
    "keeping": "Keeping Standing enter keep kept look_up shell",
    "pipeline": "Applied apply carry_out_in_model check check_and_plan check_mount_count classic execute foresee in_use"
    " load load_plan plan plan_on_this_machine predict probe read_back run sharing_stops try_out",
    "planner.ask.classic": "Classic",
    "planner.ask.foresight": "Foresight",
    "planner.ask.trial": "Trial",
    "planner.compare.difference": "Difference Drift",
    "planner.errors": "ChangeRefused ChangeUnfinished CommandNotStarted InUse KeepRefused Mistake MountplanError"
    " NameTaken NamespaceRefused NotAllowed NotKept PlanFileError PlanRefused SpecError SpecRef StepRefused"
    " SubjectError TableError VerificationFailed",
    "planner.host": "Host",
    "planner.language.spec": "Spec",
    "planner.plan.plan": "Plan",
    "planner.tables.table": "MountRow MountTable",
    "tree": "Tree build",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"mountplan.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

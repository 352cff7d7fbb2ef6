"""The public names of mountplan: its verbs, the values that they take and return, and every exception that they raise.

    import mountplan

    with mountplan.build("specs/hello.toml") as tree:
        print(tree.run(["ls", "/srv"]).stdout)

`mountplan` has the same names. Nothing is done here, and next to nothing is loaded: each name is fetched from its
module when it is first asked for, so that carrying a saved plan out needs neither pydantic nor networkx.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.applier.keep.kept_changes import remove as remove
    from mountplan.applier.keep.kept_record import Kept as Kept
    from mountplan.applier.probe.probe import Finding as Finding
    from mountplan.applier.sys.report import Reporter as Reporter
    from mountplan.capturing import Capture as Capture
    from mountplan.changing import Changed as Changed
    from mountplan.comparing import Compared as Compared
    from mountplan.forms import Comparable as Comparable
    from mountplan.forms import PlanLike as PlanLike
    from mountplan.forms import SpecLike as SpecLike
    from mountplan.forms import TreeLike as TreeLike
    from mountplan.keeping import Keeping as Keeping
    from mountplan.keeping import Standing as Standing
    from mountplan.keeping import enter as enter
    from mountplan.keeping import kept as kept
    from mountplan.keeping import look_up as look_up
    from mountplan.keeping import shell as shell
    from mountplan.mount_mapping import MountsByPath as MountsByPath
    from mountplan.pipeline import Applied as Applied
    from mountplan.pipeline import carry_out_in_model as carry_out_in_model
    from mountplan.pipeline import check_and_plan as check_and_plan
    from mountplan.pipeline import check_mount_count as check_mount_count
    from mountplan.pipeline import classic as classic
    from mountplan.pipeline import execute as execute
    from mountplan.pipeline import foresee as foresee
    from mountplan.pipeline import in_use as in_use
    from mountplan.pipeline import load_plan as load_plan
    from mountplan.pipeline import plan_on_this_machine as plan_on_this_machine
    from mountplan.pipeline import predict as predict
    from mountplan.pipeline import probe as probe
    from mountplan.pipeline import read_back as read_back
    from mountplan.pipeline import try_out as try_out
    from mountplan.pipeline import warnings as warnings
    from mountplan.planner.ask.classic import Classic as Classic
    from mountplan.planner.ask.explain import Answer as Answer
    from mountplan.planner.ask.explain import Explainer as Explainer
    from mountplan.planner.ask.foresight import Foresight as Foresight
    from mountplan.planner.ask.trial import Trial as Trial
    from mountplan.planner.change.change_plan import ChangePlan as ChangePlan
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
    from mountplan.planner.language.mount_models import FileEntry as FileEntry
    from mountplan.planner.language.mount_models import IdMap as IdMap
    from mountplan.planner.language.mount_models import Mount as Mount
    from mountplan.planner.language.namespace_models import InheritedChange as InheritedChange
    from mountplan.planner.language.namespace_models import InheritedRemoval as InheritedRemoval
    from mountplan.planner.language.namespace_models import Namespace as Namespace
    from mountplan.planner.language.namespace_models import NamespaceOwner as NamespaceOwner
    from mountplan.planner.language.namespace_models import PeerGroup as PeerGroup
    from mountplan.planner.language.path_models import Image as Image
    from mountplan.planner.language.path_models import Mask as Mask
    from mountplan.planner.language.path_models import MountPath as MountPath
    from mountplan.planner.language.path_models import NamespaceFile as NamespaceFile
    from mountplan.planner.language.path_models import SparedPath as SparedPath
    from mountplan.planner.language.spec import Parameter as Parameter
    from mountplan.planner.language.spec import Run as Run
    from mountplan.planner.language.spec import Spec as Spec
    from mountplan.planner.plan.plan import Plan as Plan
    from mountplan.planner.shell.simulate import Simulation as Simulation
    from mountplan.planner.tables.table import MountRow as MountRow
    from mountplan.planner.tables.table import MountTable as MountTable
    from mountplan.tree import Tree as Tree
    from mountplan.tree import assert_same as assert_same
    from mountplan.tree import attach as attach
    from mountplan.verbs import apply as apply
    from mountplan.verbs import build as build
    from mountplan.verbs import build_and_forget as build_and_forget
    from mountplan.verbs import capture as capture
    from mountplan.verbs import change as change
    from mountplan.verbs import check as check
    from mountplan.verbs import diff as diff
    from mountplan.verbs import explain as explain
    from mountplan.verbs import finish as finish
    from mountplan.verbs import load as load
    from mountplan.verbs import plan as plan
    from mountplan.verbs import plan_live as plan_live
    from mountplan.verbs import run as run
    from mountplan.verbs import simulate as simulate
    from mountplan.verbs import to_toml as to_toml
    from mountplan.verbs import verify as verify
    from mountplan.verbs import watch as watch
    from mountplan.watching import Seen as Seen

__all__ = [
    "Answer", "Applied", "Capture", "ChangePlan", "ChangeRefused", "ChangeUnfinished", "Changed", "Classic",
    "CommandNotStarted", "Comparable", "Compared", "Difference", "Drift", "Explainer", "FileEntry", "Finding",
    "Foresight", "Host", "IdMap", "Image", "InUse", "InheritedChange", "InheritedRemoval", "KeepRefused", "Keeping",
    "Kept", "Mask", "Mistake", "Mount", "MountPath", "MountRow", "MountTable", "MountplanError", "MountsByPath",
    "NameTaken", "Namespace", "NamespaceFile", "NamespaceOwner", "NamespaceRefused", "NotAllowed", "NotKept",
    "Parameter", "PeerGroup", "Plan", "PlanFileError", "PlanLike", "PlanRefused", "Reporter", "Run", "Seen",
    "Simulation", "SparedPath", "Spec", "SpecError", "SpecLike", "SpecRef", "Standing", "StepRefused",
    "SubjectError", "TableError", "Tree", "TreeLike", "Trial", "VerificationFailed", "apply", "assert_same",
    "attach", "build", "build_and_forget", "capture", "carry_out_in_model", "change", "check", "check_and_plan",
    "check_mount_count", "classic", "diff", "enter", "execute", "explain", "finish", "foresee", "in_use", "kept",
    "load", "load_plan", "look_up", "plan", "plan_live", "plan_on_this_machine", "predict", "probe", "read_back",
    "remove", "run", "shell", "simulate", "to_toml", "try_out", "verify", "warnings", "watch",
]  # fmt: skip

# Module, below mountplan, and the public names that are in it. A test holds all three lists against each other.
_HOME = {
    "applier.keep.kept_changes": "remove",
    "applier.keep.kept_record": "Kept",
    "applier.probe.probe": "Finding",
    "applier.sys.report": "Reporter",
    "capturing": "Capture",
    "changing": "Changed",
    "comparing": "Compared",
    "forms": "Comparable PlanLike SpecLike TreeLike",
    "keeping": "Keeping Standing enter kept look_up shell",
    "mount_mapping": "MountsByPath",
    "pipeline": "Applied carry_out_in_model check_and_plan check_mount_count classic execute foresee in_use load_plan "
    "plan_on_this_machine predict probe read_back try_out warnings",
    "planner.ask.classic": "Classic",
    "planner.ask.explain": "Answer Explainer",
    "planner.ask.foresight": "Foresight",
    "planner.shell.simulate": "Simulation",
    "planner.ask.trial": "Trial",
    "planner.change.change_plan": "ChangePlan",
    "planner.compare.difference": "Difference Drift",
    "planner.errors": "ChangeRefused ChangeUnfinished CommandNotStarted InUse KeepRefused Mistake MountplanError "
    "NameTaken NamespaceRefused NotAllowed NotKept PlanFileError PlanRefused SpecError SpecRef StepRefused "
    "SubjectError TableError VerificationFailed",
    "planner.host": "Host",
    "planner.language.mount_models": "FileEntry IdMap Mount",
    "planner.language.namespace_models": "InheritedChange InheritedRemoval Namespace NamespaceOwner PeerGroup",
    "planner.language.path_models": "Image Mask MountPath NamespaceFile SparedPath",
    "planner.language.spec": "Parameter Run Spec",
    "planner.plan.plan": "Plan",
    "planner.tables.table": "MountRow MountTable",
    "tree": "Tree assert_same attach",
    "verbs": "apply build build_and_forget capture change check diff explain finish load plan plan_live run "
    "simulate to_toml verify watch",
    "watching": "Seen",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}


if not TYPE_CHECKING:  # of which they would believe that it has every name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = f"mountplan.{_MODULE_OF[name]}"
        __import__(module)  # importlib has more modules to load
        value = globals()[name] = getattr(sys.modules[module], name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

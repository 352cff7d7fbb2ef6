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

    from mountplan.applier.keep.kept_changes import remove
    from mountplan.applier.keep.kept_record import Kept
    from mountplan.applier.probe.probe import Finding
    from mountplan.applier.sys.report import Reporter
    from mountplan.capturing import Capture
    from mountplan.changing import Changed
    from mountplan.comparing import Compared
    from mountplan.forms import Comparable, PlanLike, SpecLike, TreeLike
    from mountplan.keeping import Keeping, Standing, enter, kept, look_up, shell
    from mountplan.mount_mapping import MountsByPath
    from mountplan.pipeline import (
        Applied,
        carry_out_in_model,
        check_and_plan,
        check_mount_count,
        classic,
        execute,
        foresee,
        in_use,
        load_plan,
        plan_on_this_machine,
        predict,
        probe,
        read_back,
        try_out,
        warnings,
    )
    from mountplan.planner.ask.classic import Classic
    from mountplan.planner.ask.explain import Answer, Explainer
    from mountplan.planner.ask.foresight import Foresight
    from mountplan.planner.ask.trial import Trial
    from mountplan.planner.change.change_plan import ChangePlan
    from mountplan.planner.compare.difference import Difference, Drift
    from mountplan.planner.errors import (
        ChangeRefused,
        ChangeUnfinished,
        CommandNotStarted,
        InUse,
        KeepRefused,
        Mistake,
        MountplanError,
        NamespaceRefused,
        NameTaken,
        NotAllowed,
        NotKept,
        PlanFileError,
        PlanRefused,
        SpecError,
        SpecRef,
        StepRefused,
        SubjectError,
        TableError,
        VerificationFailed,
    )
    from mountplan.planner.host import Host
    from mountplan.planner.language.mount_models import FileEntry, IdMap, Mount
    from mountplan.planner.language.namespace_models import (
        InheritedChange,
        InheritedRemoval,
        Namespace,
        NamespaceOwner,
        PeerGroup,
    )
    from mountplan.planner.language.path_models import Image, Mask, MountPath, NamespaceFile, SparedPath
    from mountplan.planner.language.spec import Parameter, Run, Spec
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.shell.simulate import Simulation
    from mountplan.planner.tables.table import MountRow, MountTable
    from mountplan.tree import Tree, assert_same, attach
    from mountplan.verbs import (
        apply,
        build,
        build_and_forget,
        capture,
        change,
        check,
        diff,
        explain,
        finish,
        load,
        plan,
        plan_live,
        run,
        simulate,
        to_toml,
        verify,
        watch,
    )
    from mountplan.watching import Seen

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

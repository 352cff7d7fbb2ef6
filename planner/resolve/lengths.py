"""Are the texts that planning puts together short enough for the kernel? (A spec's own: planner/language/values.py.)"""

from __future__ import annotations

from mountplan.planner.host import SURELY_TAKEN
from mountplan.planner.language import limits
from mountplan.planner.language.spec import Run
from mountplan.planner.language.values import shown
from mountplan.planner.resolve.draft import Context


def check_lengths(context: Context) -> None:
    """Where mounts stand, what they are of, and what is made in their filesystems: a path in a path may be too long."""
    for draft in context.drafts:
        _check(draft.target, f"{draft.key}.target", context)
        if draft.source is not None:
            _check(draft.root, f"{draft.key}.bind", context)
    for filesystem in context.filesystems.values():
        told: set[str] = set()  # of all the directories above a path that is too long, one is enough
        for path, node in filesystem.contents.nodes.items():
            if node.origin not in told and _check(path, node.origin, context):
                told.add(node.origin)


def _check(path: str, key: str, context: Context) -> bool:
    wrong = limits.path_too_long(path)
    if wrong is not None:
        context.wrong(key, f"{shown(path)} {wrong[0]}", wrong[1])
    return wrong is not None


def check_run_lengths(run: Run, context: Context) -> None:
    """What execve(2) takes: how long each text may be depends on the size of a page, and so on the machine."""
    wrong = context.wrong
    texts = [(f"run.command[{number}]", text) for number, text in enumerate(run.command)]
    texts += [(f"run.environment.{name}", f"{name}={value}") for name, value in run.environment.items()]
    sizes = [limits.size(text) + 1 for _, text in texts]
    if max(sizes, default=0) > SURELY_TAKEN:
        most = context.host.argument_max
        for (key, _), size in zip(texts, sizes, strict=True):
            if size > most:
                what = f"is {size - 1:,} bytes long"
                wrong(key, what, f"hand it over in a file: no program is given more than {most - 1}")
    if sum(sizes) + 8 * len(sizes) > limits.ARGUMENTS:
        what = f"arguments and environment have {sum(sizes):,} bytes"
        wrong("run", what, f"hand some of it over in a file: no program is given more than {limits.ARGUMENTS:,}")
    if run.command:
        _check(run.command[0], "run.command[0]", context)

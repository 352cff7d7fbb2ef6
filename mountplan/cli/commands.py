"""Which function carries out which command; its module is imported when it is called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

    from mountplan.cli.output import Output

    Command: TypeAlias = Callable[[argparse.Namespace, Output], int]


def _check(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.planning import check

    return check(args, output)


def _plan(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.planning import plan

    return plan(args, output)


def _apply(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.applying import apply

    return apply(args, output)


def _run(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.applying import run

    return run(args, output)


def _explain(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.explain import explain

    return explain(args, output)


def _simulate(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.simulate import simulate

    return simulate(args, output)


def _doctor(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.doctor import doctor

    return doctor(args, output)


def _schema(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.editors import schema

    return schema(args, output)


def _completion(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.editors import completion

    return completion(args, output)


def _enter(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.living import enter

    return enter(args, output)


def _ls(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.living import ls

    return ls(args, output)


def _show(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.living import show

    return show(args, output)


def _rm(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.living import rm

    return rm(args, output)


def _capture(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.capture import capture

    return capture(args, output)


def _diff(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.comparing import diff

    return diff(args, output)


def _verify(args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.comparing import verify

    return verify(args, output)


COMMANDS: dict[str, Command] = {
    "check": _check,
    "plan": _plan,
    "apply": _apply,
    "run": _run,
    "enter": _enter,
    "ls": _ls,
    "show": _show,
    "rm": _rm,
    "capture": _capture,
    "diff": _diff,
    "verify": _verify,
    "explain": _explain,
    "simulate": _simulate,
    "doctor": _doctor,
    "schema": _schema,
    "completion": _completion,
}

"""explain: who receives events from whom, and what a mount or an unmount somewhere would do everywhere."""

from __future__ import annotations

import argparse

from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.cli.tables_of import known_of, rules_for


def explain(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also where the answer is that the event would be refused."""
    from mountplan.planner.ask.explain import Explainer
    from mountplan.planner.render.explained import (
        answer_data,
        answer_text,
        groups_data,
        groups_text,
        origin_data,
        origin_text,
    )

    if args.unmount is None and (args.lazy or args.recursive):
        raise UsageError("--lazy and --recursive go with --unmount", "explain")
    known = known_of(args.what, aged=args.why is not None)
    here = known.tables[0][0]
    explainer = Explainer(known.tables, here, rules_for(args.kernel, output), known.ages)
    for path in (args.mount, args.unmount, args.why):
        if path is not None and not path.startswith("/"):
            raise UsageError(f"{path} is not absolute; write it as the namespace sees it", "explain")
    answer = None
    if args.mount is not None:
        answer = explainer.mount(args.mount)
    elif args.unmount is not None:
        answer = explainer.unmount(args.unmount, lazy=args.lazy, recursive=args.recursive)
    if answer is not None:
        if output.as_json:
            output.data(answer_data(answer))
        else:
            output.result(answer_text(answer, here))
    elif args.why is not None:
        origin = explainer.why(args.why)
        if output.as_json:
            output.data(origin_data(origin))
        else:
            output.result(origin_text(origin, here))
    else:
        groups = explainer.groups()
        if output.as_json:
            output.data({"namespace": here, "groups": groups_data(groups)})
        else:
            output.result(groups_text(groups, here))
    return 0

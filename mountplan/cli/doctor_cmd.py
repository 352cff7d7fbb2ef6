"""doctor: what this kernel and this user can do, found out by trying."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.shared_options import add_rootless

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "tell what this kernel and this user can do",
        "Try each feature that mountplan can use, in a process that is thrown away, and\ntell what is missing and what"
        " to do about it. Exit status 1 if anything is.",
        "  mountplan doctor\n"
        "  mountplan doctor --rootless always    # what an ordinary user could do here\n"
        "  mountplan doctor --json | jq '.features[] | select(.works | not)'",
    )
    add_rootless(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """A line for each feature, with the remedy for what is missing; exit status 1 if anything is."""
    from mountplan.applier.probe.probe import NEW, probe
    from mountplan.applier.sys.kernel import tries_new
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.words import count

    findings = api.probe(rootless=args.rootless)
    off = [] if tries_new() else [finding for finding in probe(NEW, args.rootless) if finding.works]
    lacking = [finding for finding in findings if not finding.works]
    system = os.uname()
    if output.as_json:
        output.data(
            {
                "kernel": system.release,
                "machine": system.machine,
                "uid": os.geteuid(),
                "features": [finding._asdict() for finding in findings],
                "off": [finding.feature for finding in off],
            }
        )
        return 1 if lacking else 0
    width = max(len(finding.what) for finding in findings)
    lines = [
        f"Linux {system.release} on {system.machine}, as user {os.geteuid()}; each tried, in a process thrown away",
        "",
    ]
    for finding in findings:
        if finding.works:
            if not output.quiet:
                lines.append(f"  ok       {finding.what}")
        else:
            lines.append(f"  missing  {finding.what:{width}}  {finding.said}")
            lines.append(f"           remedy: {finding.remedy}")
    lines += [f"  off      {finding.what}: MOUNTPLAN_TRY_NEW=1 uses it" for finding in off]
    lines.append("")
    lines.append("Everything works." if not lacking else f"{count(len(lacking), 'feature')} missing; the rest works.")
    output.result(wrapped_text("\n".join(lines) + "\n", output.room, hanging=9))
    return 1 if lacking else 0

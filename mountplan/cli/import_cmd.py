"""import: configurations of other programs as a spec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mountplan.cli.shared_options import check_name
from mountplan.cli.sources import note_saved, save
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.errors import Mistake

FORMATS = ("oci", "bwrap", "fstab", "systemd", "compose", "k8s", "criu")


def add(command: NewCommand) -> None:
    parser = command(
        "write another program's configuration as a spec",
        "Write a spec of what another program's configuration would mount, in the order\n"
        "in which that program does it:\n\n"
        "  oci      config.json of a bundle (runc, crun, podman)\n"
        "  bwrap    the command line of bubblewrap, after -- or in a script\n"
        "  fstab    what `mount -a` would mount, in a copy of the host's tree\n"
        "  systemd  the sandboxing of a unit, as `systemctl cat` prints it\n"
        "  compose  the volumes of a service of a Compose file\n"
        "  k8s      the volumes of a container of a pod, or of what makes pods\n"
        "  criu     the mount namespaces of a dump: its directory, or one image\n\n"
        "What a spec cannot say stands in it as a comment, and on standard error.",
        "  mountplan import oci bundle/config.json -o shop.toml\n"
        "  mountplan import bwrap -- --ro-bind /usr /usr --proc /proc --dev /dev sh\n"
        "  mountplan import fstab /etc/fstab\n"
        "  systemctl cat nginx | mountplan import systemd -\n"
        "  mountplan import compose compose.yaml --service web --root image/",
    )
    parser.add_argument("form", metavar="FORMAT", choices=FORMATS, help="what it is the configuration of")
    parser.add_argument("file", metavar="FILE", nargs="?", help="the file, or - for standard input")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the spec there (standard output)")
    parser.add_argument(
        "--service", "--container", dest="part", metavar="NAME", help="which one of a file with several"
    )
    parser.add_argument("--root", metavar="DIR", help="oci, compose, k8s, criu: the directory that holds the root")
    parser.add_argument("--name", metavar="NAME", help="the spec's name")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also if something could not be said: the spec tells what."""
    from mountplan.pipeline import check_memory

    check_memory()
    if args.form == "bwrap":
        if args.file is not None and args.after is not None:
            raise UsageError("name a file with bwrap's command line, or write it after --, not both")
        if args.file is None and not args.after:
            raise UsageError("write the command line of bwrap after --, or name a file with it")
    elif args.after is not None:
        raise UsageError(f"import {args.form} takes nothing after --")
    elif args.file is None:
        raise UsageError(f"name the file that is to be imported as {args.form}")
    check_name(args.name)
    if args.part and args.form not in ("compose", "k8s"):
        raise UsageError("--service and --container are for compose and k8s")
    if args.root and args.form not in ("oci", "compose", "k8s", "criu"):
        raise UsageError("--root is for oci, compose, k8s and criu")
    text, unsaid, mounts = _text(args)
    if args.output not in (None, "-"):
        save(args.output, text)
    if output.as_json:
        data: dict[str, Any] = {"saved": args.output, "mounts": mounts, "not_said": unsaid, "spec": text}
        output.data(data)
        return 0
    if args.output in (None, "-"):
        output.spec(text)
    for line in unsaid:
        output.note(f"mountplan: not in the spec: {visible(line)}\n")
    if args.output not in (None, "-"):
        note_saved(output, args.output, "look at it with: mountplan plan")
    return 0


def _text(args: argparse.Namespace) -> tuple[str, list[str], int]:
    """The spec, what is not in it, and how many mounts are."""
    from mountplan.foreign_files import imported, imported_dump, settled

    heading = [f"Written by `mountplan import {args.form}`."]
    root = os.path.abspath(args.root) if args.root else ""
    if args.form == "criu":
        from mountplan.capture_judgement import without_refused
        from mountplan.planner.capture.writing import write_spec

        found = imported_dump(args.file, root=root, name=args.name or "")

        def leave_out(mistakes: Sequence[Mistake]) -> bool:
            nonlocal found
            before, found = found, without_refused(found, mistakes)
            return found != before

        text = settled(lambda: write_spec(found, heading), leave_out, f"the spec of {args.file}")
        mounts = sum(len(space.mounts) for space in found.namespaces)
        return text, [str(one) for one in found.cautions], mounts
    draft = imported(args.form, args.file or "", words=args.after or (), part=args.part or "", root=root)
    draft.name = args.name or draft.name
    text = settled(lambda: draft.text(heading), draft.leave_out, f"the spec of {args.file or 'it'}")
    return text, draft.left_out(), len(draft.mounts)

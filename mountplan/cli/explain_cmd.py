"""explain: who receives events from whom, and what a mount or an unmount somewhere would do everywhere."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from mountplan.applier.sys.closing import closing_fd
from mountplan.cli.shared_options import SPEC_OR_PLAN, add_kernel, add_set, settings_of
from mountplan.cli.trial_notes import note_left_out
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand

_THERE = "name a path that is there: the question is what the kernel would do with it"


def add(command: NewCommand) -> None:
    parser = command(
        "tell who receives mounts from whom, what one would do, how one came",
        "Tell who receives mount events from whom: peer groups, masters, chains of them,\n"
        "in the namespace and across its border. Or what a mount or an unmount at a path\n"
        "would do everywhere, with the reasons. Nothing is mounted.",
        "  mountplan explain shop.toml\n"
        "  mountplan explain shop                     # what is kept as shop\n"
        "  mountplan explain 1234                     # the namespace of process 1234\n"
        "  mountplan explain 1234 --mount /srv/feed   # where a mount there would appear\n"
        "  mountplan explain 1234 --mount /srv/feed --reaches 5678  # and if not, why not\n"
        "  mountplan explain 1234 --unmount /srv      # what would vanish, and where\n"
        "  mountplan explain 1234 --why /srv/feed     # how it can have come there",
    )
    what = f"{SPEC_OR_PLAN}, or SPEC/NAMESPACE; a kept name, or NAME/NAMESPACE; or a process, 1234 or pid:1234"
    parser.add_argument("what", metavar="SPEC|NAME|PID", help=what)
    question = parser.add_mutually_exclusive_group()
    question.add_argument("--mount", metavar="PATH", help="where a mount at PATH would appear")
    question.add_argument("--unmount", metavar="PATH", help="what an unmount of PATH would take away")
    question.add_argument("--why", metavar="MOUNT", help="how the mount at this path can have come there")
    parser.add_argument(
        "--reaches",
        metavar="NAME|PID",
        help="with --mount: whether it shows in this namespace too, and if not, why not and what to change",
    )
    parser.add_argument("-l", "--lazy", action="store_true", help="with --unmount: as umount -l")
    parser.add_argument("-R", "--recursive", action="store_true", help="with --unmount: as umount -R")
    add_set(parser)
    add_kernel(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also where the answer is that the event would be refused; not where there is no such path."""
    from mountplan.cli.lane_output import sharing_picture
    from mountplan.cli.named_tables import rules_for, tables_known_of
    from mountplan.drawing import drawn_from
    from mountplan.explaining import absent_in, users_known_of, users_unseen_of
    from mountplan.planner.ask.explain import Explainer
    from mountplan.planner.ask.reach import reach
    from mountplan.planner.render.explained import (
        answer_data,
        answer_text,
        groups_data,
        groups_text,
        origin_data,
        origin_text,
        reach_data,
        reach_text,
    )
    from mountplan.planner.render.fitting import wrapped_text

    if args.unmount is None and (args.lazy or args.recursive):
        raise UsageError("--lazy and --recursive go with --unmount")
    if args.reaches is not None and args.mount is None:
        raise UsageError("--reaches goes with --mount")
    known = tables_known_of(
        args.what, settings_of(args), aged=args.why is not None, locked=args.unmount is not None, other=args.reaches
    )
    note_left_out(known.left_out, output)
    here = known.tables[0][0]
    rules = rules_for(args.kernel, output)
    explainer = Explainer(known.tables, here, rules, known.ages, known.locks, known.other, absent_in(known))
    for path in (args.mount, args.unmount, args.why):
        if path is not None and not path.startswith("/"):
            raise UsageError(f"{path} is not absolute; write it as the namespace sees it")
    asked = next((path for path in (args.mount, args.unmount, args.why) if path is not None), None)
    if asked is not None and here in known.standing:
        asked, absent = _as_seen(args.what, asked)
        if absent:
            path = args.mount or args.unmount or args.why
            raise UsageError(f"{path} is not there, as {here} sees it: {absent}", remedy=_THERE)
    elif asked is not None and (absent := explainer.absent(asked)):
        others = [one.name for one in known.plan.expected.namespaces if one.name != here] if known.plan else []
        more = f"; of another namespace, ask of SPEC/NAMESPACE ({', '.join(map(visible, others))})" if others else ""
        raise UsageError(f"{asked} is not there in {here}: {absent}", remedy=_THERE + more)
    if asked is None:
        groups = explainer.groups()
        return output.either(
            lambda: {"namespace": here, "groups": groups_data(groups)},
            lambda: (
                wrapped_text(groups_text(groups, here), output.room)
                + sharing_picture(drawn_from(known.tables, groups), output)
            ),
        )
    if args.reaches is not None:
        found = reach(explainer, asked, known.other)
        data, text = reach_data(found), reach_text(found, here)
    elif args.why is not None:
        origin = explainer.why(asked)
        data, text = origin_data(origin), origin_text(origin, here)
    else:
        if args.mount is not None:
            answer = explainer.mount(asked)
        else:
            users, unseen = ({}, "") if args.lazy else (users_known_of(known), users_unseen_of(known))
            answer = explainer.unmount(
                asked,
                lazy=args.lazy,
                recursive=args.recursive,
                users=users,
                unseen=unseen,
                oldest_first=args.recursive and _begins_with_the_oldest(),
            )
        data, text = answer_data(answer), answer_text(answer, here)
    return output.either(lambda: data, lambda: wrapped_text(text, output.room))


def _begins_with_the_oldest() -> bool:
    """Whether umount -R at hand begins with the oldest of what is mounted in one mount."""
    from mountplan.applier.run.programs import util_linux_at_hand
    from mountplan.planner.commands.util_linux import KNOWS_OVERMOUNTS

    return (util_linux_at_hand() or KNOWS_OVERMOUNTS) < KNOWS_OVERMOUNTS


def _as_seen(what: str, path: str) -> tuple[str, str]:
    """The place that a path leads to in the namespace of a process or a kept name, or why there is none. What may not
    be seen counts as being there.
    """
    from mountplan.applier.keep import kept
    from mountplan.applier.observe.walked import walked, walked_in
    from mountplan.explaining import process_number
    from mountplan.planner.shell.simulate import errno_words

    number = process_number(what)
    try:
        if number is not None:
            return walked(f"/proc/{number}/root", path), ""
        name, _, namespace = what.removeprefix("name:").partition("/")
        with kept.opened(name) as found:
            with closing_fd(found.open(found.namespace(namespace))) as fd:
                return walked_in(fd, path), ""
    except OSError as error:
        absent = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return path, errno_words(error.errno or 0) if absent else ""

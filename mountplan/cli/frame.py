"""From a command line to an exit status: parse, call the command, tell errors the way the user wants them."""

from __future__ import annotations

import errno
import os
import sys

from mountplan.cli import without_argparse
from mountplan.cli.command_modules import module_of
from mountplan.cli.exit_status import BUG
from mountplan.cli.output import Output, OutputFailed
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import typed, visible_lines
from mountplan.planner.errors import MountplanError, NamespaceRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

WITH_COMMAND = ("run", "enter")  # these take a command after "--", and standard output is that command's
_WITH_WORDS = ("import",)  # and this one a command line of another program
_LOST = "error return without exception set"  # Python's words where it had no memory for the exception itself


def carry_out(argv: list[str]) -> int:
    """Parse and carry out one command line that is not empty."""
    before, after = _split(argv)
    try:
        if "" in before:
            raise UsageError("an argument is empty", remedy="see whether a variable of the shell has no value")
        args = without_argparse.parse(before) or _parse(before)
        args.after = after
    except UsageError as error:
        # The arguments could not be read, so what was asked of the output is looked for by hand.
        output = Output(as_json="--json" in before, color="never" if "--color=never" in before else "auto")
        if after and before[0] in WITH_COMMAND and error.message.endswith(" is missing"):
            inner = after[1:] or ("COMMAND",)
            if before[0] == "enter":  # any word may be a name
                after, inner = ("NAME",), ("COMMAND",)
            elif not _may_be_file(after[0]):
                after, inner = ("SPEC",), after
            line = " ".join(map(typed, (*before, after[0], "--", *inner)))
            error.remedy = f"it comes before the --, as in `mountplan {line}`"
        return _tell_usage(error, output)
    except SystemExit as request:  # --help and --version have printed what they were asked for
        return int(request.code or 0)
    output = Output(
        as_json=getattr(args, "json", False),
        color=getattr(args, "color", "auto"),
        quiet=getattr(args, "quiet", False),
        stdout_is_taken=args.command in WITH_COMMAND,
        pager=not getattr(args, "no_pager", False),
    )
    return _guarded(args, output)


def _parse(words: list[str]) -> argparse.Namespace:
    from mountplan.cli.parser import parse

    return parse(words)


def _may_be_file(argument: str) -> bool:
    return "/" in argument or argument == "-" or argument.endswith((".toml", ".json")) or os.path.isfile(argument)


def _split(argv: list[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """What stands before the first "--", and what stands after it (None if there is none): the command to run."""
    if argv[0] == "help":
        argv = [*argv[1:2], "--help"]
    if "--" not in argv:
        return argv, None
    at = argv.index("--")
    return argv[:at], tuple(argv[at + 1 :])


def _guarded(args: argparse.Namespace, output: Output) -> int:
    try:
        if args.after is not None and args.command not in (*WITH_COMMAND, *_WITH_WORDS):
            raise UsageError(f"{args.command} takes no command after --")
        return module_of(args.command).carry_out(args, output)
    except UsageError as error:
        return _tell_usage(error, output, args.command)
    except MountplanError as error:
        return tell(error, args, output)
    except KeyboardInterrupt:
        output.note(f"mountplan: interrupted{_left_behind(args)}\n")
        raise
    except (BrokenPipeError, OutputFailed):
        raise
    except Exception as error:
        if os.environ.get("MOUNTPLAN_DEBUG"):
            raise
        if isinstance(error, ImportError):
            return tell(_not_loaded(error), args, output)
        if isinstance(error, SystemError) and str(error).startswith(_LOST):
            error = MemoryError()
        if isinstance(error, (OSError, MemoryError)) and getattr(error, "errno", 0) not in (errno.EBADF, errno.EFAULT):
            return tell(_refusal(error), args, output)
        return _tell_bug(error, output)


def _not_loaded(error: ImportError) -> MountplanError:
    """Python says of a file that it may not look at that there is no such module: newfstatat(2) refused, say."""
    what = f"cannot load the module {error.name or '?'}, which mountplan needs"
    remedy = "install mountplan anew; if it is all there, a filter refuses newfstatat or openat to it"
    return NamespaceRefused(what, str(error), remedy)


def _left_behind(args: argparse.Namespace) -> str:
    """What is known of what an interrupted command has left: it is looked up, not concluded."""
    if args.command in ("check", "plan", "diff", "explain"):
        return "; nothing was built"
    if args.command != "apply" or args.forget:
        return ""
    if args.live:  # the process that changes the tree goes on to its end
        return "; `mountplan plan --live` shows what is left to do, and `apply --live` whether a change had begun"
    try:
        from mountplan.applier.keep.kept import find

        name = args.name or (args.made.name if getattr(args, "made", None) else "")
        if not name:
            return "; nothing was built"
        return f"; nothing is kept under the name {name!r}" if find(name) is None else f"; {name!r} is kept"
    except (MountplanError, OSError):
        return ""


def _refusal(error: OSError | MemoryError) -> MountplanError:
    """What the system refuses in places where nothing better is known of it."""
    from mountplan.applier.sys.refusal import refused

    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return refused("the system does not let mountplan go on", error)


def tell(error: MountplanError, args: argparse.Namespace, output: Output) -> int:
    """Report an error of mountplan's own; `args.made`, if a command has set it, is the plan that it is about."""
    from mountplan.planner.errors import InUse, NotAllowed, SpecError
    from mountplan.planner.render.problems import error_data, error_text
    from mountplan.planner.render.words import count

    plan = getattr(args, "made", None)
    if isinstance(error, NotAllowed) and not str(getattr(args, "spec", "")).endswith(".json"):
        from mountplan.cli.sources import with_lines_of_keys

        error = NotAllowed(with_lines_of_keys(error.mistakes))
    text = error_text(error, plan, everything=getattr(args, "all", False))
    # Each mistake begins with its place, where editors look for it.
    if isinstance(error, (SpecError, NotAllowed, InUse)):
        if len(error.mistakes) > 1:
            text += f"\nmountplan: {count(len(error.mistakes), 'mistake')}; nothing was built"
        if isinstance(error, NotAllowed) and args.command == "plan":
            text += "\nmountplan: to plan it for root, add --rootless never"
    else:
        text = f"mountplan: {text}"
    output.error(text + "\n", error_data(error, plan))
    return error.exit_status


def _tell_usage(error: UsageError, output: Output, command: str = "") -> int:
    command = error.command or command
    remedy = error.remedy or (f"see `mountplan {command} --help`" if command else "see `mountplan --help`")
    data: dict[str, Any] = {"code": "usage", "exit_status": 2, "message": error.message, "remedy": remedy}
    output.error(visible_lines(f"mountplan: {error.message}\n  remedy: {remedy}\n"), data)
    return 2


def _tell_bug(error: Exception, output: Output) -> int:
    """A traceback would tell a user nothing; a developer sets MOUNTPLAN_DEBUG."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace else ""
    message = f"this is a bug in mountplan: {type(error).__name__}: {error}{place}"
    remedy = "report it with the spec; MOUNTPLAN_DEBUG=1 in the environment shows where it comes from"
    data: dict[str, Any] = {"code": "bug", "exit_status": BUG, "message": message, "remedy": remedy}
    sys.stdout.flush()
    output.error(visible_lines(f"mountplan: {message}\n  remedy: {remedy}\n"), data)
    return BUG

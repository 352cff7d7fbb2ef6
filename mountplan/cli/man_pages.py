"""Manual pages, one for mountplan and one for each command: made when a package is built, from the parsers.

They are what `--help` says, in the form of man(7). argparse-manpage is needed to make them, and by nothing else.
"""

from __future__ import annotations

import argparse
import re

import mountplan
from mountplan.cli.completions import commands

_AFTER = "examples:\n"


def man_pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """File name -> text, for a parser with all commands."""
    subparsers = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    short = {one.dest: str(one.help) for one in subparsers._choices_actions}
    names = [f"mountplan-{name}" for name in short]
    pages = {"mountplan.1": _main_page(parser, short)}
    for name, below in commands(parser).items():
        pages[f"mountplan-{name}.1"] = _page(
            below, f"mountplan-{name}", short[name], ["mountplan", *_beside(name, names)]
        )
    return pages


def _beside(name: str, names: list[str]) -> list[str]:
    """The pages of the commands before and after it in the list: they are sorted by what belongs together."""
    at = names.index(f"mountplan-{name}")
    return names[max(0, at - 1) : at] + names[at + 1 : at + 2]


def _page(parser: argparse.ArgumentParser, name: str, short: str, beside: list[str]) -> str:
    from argparse_manpage.manpage import Manpage

    text = str(Manpage(parser, format="single-commands-section"))
    head, _, body = text.partition(".SH SYNOPSIS")
    del head
    body, _, after = body.partition(".SH COMMENTS")
    examples = after.partition(_AFTER)[2]
    parts = [_title(name), f".SH NAME\n{_escaped(name)} \\- {_escaped(short)}\n", f".SH SYNOPSIS{body.rstrip()}\n"]
    if examples:
        parts.append(f".SH EXAMPLES\n.nf\n{examples.rstrip()}\n.fi\n")
    parts.append(_see_also(beside))
    return "".join(parts)


def _main_page(parser: argparse.ArgumentParser, short: dict[str, str]) -> str:
    rows = "".join(f".TP\n\\fBmountplan\\-{name}\\fR(1)\n{_escaped(text)}\n" for name, text in short.items())
    examples, _, rest = str(parser.epilog).partition("exit status:\n")
    status, _, json = rest.partition("\n\n")
    return (
        f"{_title('mountplan')}.SH NAME\nmountplan \\- plan, build and verify mount trees and their sharing\n"
        f".SH SYNOPSIS\n\\fBmountplan\\fR \\fICOMMAND\\fR ...\n.SH DESCRIPTION\n{_escaped(str(parser.description))}"
        f".SH COMMANDS\n{rows}"
        f".SH EXIT STATUS\n{_escaped(re.sub(' +', ' ', status).strip())}\n"
        f".SH OUTPUT\n{_escaped(json.strip())}\n"
        f".SH EXAMPLES\n.nf\n{_escaped(examples.partition(_AFTER)[2].rstrip())}\n.fi\n"
        f"{_see_also(['mount_namespaces(7)', 'move_mount(2)', 'findmnt(8)', 'unshare(1)'])}"
    )


def _title(name: str) -> str:
    return f'.TH {_escaped(name.upper())} 1 "" "mountplan {mountplan.__version__}" "User Commands"\n'


def _see_also(names: list[str]) -> str:
    words = [name if name.endswith(")") else f"{name}(1)" for name in names]
    return (
        ".SH SEE ALSO\n" + ",\n".join(re.sub(r"(.*)(\(\d\))", r"\\fB\1\\fR\2", _escaped(one)) for one in words) + "\n"
    )


def _escaped(text: str) -> str:
    """As man(7) wants it: hyphens that are to be typed, and no line that begins like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)

"""The call of bwrap(1) in a shell script: its words, as the shell would hand them over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mountplan.planner.foreign.spec_draft import Refusal
from mountplan.planner.record import NamedTuple
from mountplan.planner.shell.shell_reading import parse_script
from mountplan.planner.shell.shell_syntax import For, NotFollowed, ShellParameter, Simple, Substitution, Text, While

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mountplan.planner.shell.shell_syntax import Command, Word

# What a shell replaces in a word that is not quoted.
_REPLACED = re.compile(r"[*?\[]|\{[^{}]*(,|\.\.)[^{}]*\}")


class BwrapCall(NamedTuple):
    """The words after `bwrap`, and what of the script is not in them."""

    words: list[str]
    beyond: tuple[str, ...] = ()


def bwrap_call(text: str, file: str) -> BwrapCall:
    """The one call in a script, or one line of options without it, or what --args would read. Raises SpecError."""
    if "\0" in text:
        return BwrapCall([word for word in text.split("\0") if word])
    refusal = Refusal(file)
    found = [*_all(parse_script(text))]
    for one in found:
        if isinstance(one, NotFollowed):
            refusal.add("", f"is not understood as words of a shell: {one.what}", one.remedy, one.line)
    refusal.end()
    simple = [one for one in found if isinstance(one, Simple) and one.words]
    calls = [(one, at) for one in simple for at in [_place(one.words)] if at]
    if len(calls) > 1:
        refusal.add("", "it calls bwrap several times", "leave one call in it")
        refusal.end()
    if calls:
        ((call, at),) = calls
        words = call.words[at:]
    else:  # options alone, in lines
        words = tuple(word for one in simple for word in one.words)
        if len(found) != len({one.line for one in found}) or len(simple) != len(found):
            refusal.add("", "there is no call of bwrap in it", "write the call, or its options alone")
    told = [_text(word, refusal) for word in words if not _is_arguments(word)]
    refusal.end()
    others = [_shown(one.words[0]) for one in simple if calls and one is not calls[0][0]]
    beyond = [f"what the script runs besides bwrap: {', '.join(dict.fromkeys(others))}"] if {*others} - {"set"} else []
    if calls:
        call, at = calls[0]
        given = [f"{one.name}=..." for one in call.assignments]
        before = [*given, *(_shown(word) for word in call.words[: at - 1] if _shown(word) != "exec")]
        if before:
            beyond.append(f"what stands before bwrap: {' '.join(before)}")
        if any(isinstance(one, For | While) and call in _all([one]) for one in found):
            beyond.append("a loop: it is called once here")
    if any(one.redirections for one in found):
        beyond.append("redirections: what they give to descriptors")
    return BwrapCall(told, tuple(beyond))


def _all(commands: Sequence[Command]) -> Iterator[Command]:
    """The commands, and those that are in them."""
    for one in commands:
        yield one
        for field in one:
            yield from _all([*_commands_in(field)])


def _commands_in(field: object) -> Iterator[Command]:
    if not isinstance(field, tuple) or isinstance(field, Substitution):
        return
    if hasattr(field, "joint"):
        yield field  # type: ignore[misc]
    else:
        for one in field:
            yield from _commands_in(one)


def _place(words: Sequence[Word]) -> int:
    """Where the words after `bwrap` begin; 0 if it is not called, as by `command -v bwrap`."""
    for at, word in enumerate(words[:-1]):
        if _shown(word).rpartition("/")[2] == "bwrap":
            return at + 1
    return 0


def _is_arguments(word: Word) -> bool:
    """A wrapper's own arguments, of which the command is made."""
    return len(word) == 1 and isinstance(word[0], ShellParameter) and word[0].name == "@" and not word[0].operator


def _shown(word: Word) -> str:
    return "".join(part.text if isinstance(part, Text | Substitution) else _parameter(part) for part in word)


def _parameter(part: object) -> str:
    return f"${part.name}" if isinstance(part, ShellParameter) else "$((...))"


def _text(word: Word, refusal: Refusal) -> str:
    shown = _shown(word)
    remedy = "write out what stands for it; or run the script with `mountplan import bwrap --` in front of its bwrap"
    if any(isinstance(part, Substitution) for part in word):
        refusal.add("", f"{shown}: what commands write is not known", remedy)
    elif not all(isinstance(part, Text) for part in word):
        refusal.add("", f"{shown}: variables are not replaced", remedy)
    elif any(isinstance(part, Text) and not part.quoted and _REPLACED.search(part.text) for part in word) or (
        isinstance(word[0], Text) and not word[0].quoted and word[0].text.startswith("~")
    ):
        refusal.add("", f"{shown}: patterns, braces and ~ are not replaced", remedy)
    return shown

"""sed(1), in its usual forms."""

from __future__ import annotations

import re
from collections.abc import Callable

from mountplan.planner.commands.filter_lines import Filtered, as_ended, joined, lines_of, short_options
from mountplan.planner.commands.posix_patterns import compiled, is_ambiguous

_By = Callable[[re.Match[str]], str]  # what takes the place of what was found
_SED_ADDRESS = re.compile(r"\s*(?:[0-9$]+|/(?:[^/\\]|\\.)*/)?\s*!?\s*")
_SED = re.compile(r"(?:(?P<line>[0-9]+|\$)|/(?P<where>(?:[^/\\]|\\.)*)/)?\s*(?P<not>!)?\s*(?P<rest>.*)", re.DOTALL)


def sed(arguments: list[str], text: str) -> Filtered:
    """`s`, `d` and `p`, each of all lines, of one, or of those that match."""
    read = short_options(arguments, "nrEu", "e")
    if read is None:
        return None
    given, rest = read
    if not rest and "e" not in given:
        return None
    program = given["e"] if "e" in given else rest[0]
    extended = "r" in given or "E" in given
    commands = []
    for piece in _sed_commands(program):
        match = _SED.fullmatch(piece.strip())
        if match is None or not match["rest"]:
            return None
        where = compiled(match["where"], extended=extended, escapes=True) if match["where"] is not None else None
        if match["where"] is not None and where is None:
            return None
        command = match["rest"]
        change = _substitution(command, extended=extended) if command[0] == "s" else None
        if change is None and command not in ("d", "p", "q"):
            return None
        commands.append((match["line"], where, bool(match["not"]), command, change))
    lines, found = lines_of(text), []
    ends, shown = False, 0  # the line of which something was shown last
    for at, line in enumerate(lines, 1):
        for number, where, inverted, command, change in commands:
            is_meant = True
            if number is not None:
                is_meant = at == (len(lines) if number == "$" else int(number))
            elif where is not None:
                is_meant = where.search(line) is not None
            if is_meant == inverted:
                continue
            if command == "d":
                break
            if command == "p":
                found.append(line)
                shown = at
            elif command == "q":
                ends = True
            elif change is not None:
                pattern, by, count, shows = change
                line, changes = _substituted(pattern, by, line, count)
                if shows and changes:
                    found.append(line)
                    shown = at
        else:
            if "n" not in given:
                found.append(line)
                shown = at
        if ends:
            break
    return joined(found) if ends or shown < len(lines) else as_ended(found, text), 0


def _substituted(pattern: re.Pattern[str], by: _By, line: str, count: int) -> tuple[str, int]:
    """As Pattern.subn, but what is empty is not found right behind what was found, as sed(1) has it."""
    found, end, changes = "", 0, 0
    for match in pattern.finditer(line):
        if match.end() > match.start() or not changes or match.start() > end:
            found += line[end : match.start()] + by(match)
            end, changes = match.end(), changes + 1
            if changes == count:
                break
    return found + line[end:], changes


def _sed_commands(program: str) -> list[str]:
    """Cut at semicolons and ends of lines that are in no regular expression."""
    found, current, at = [], "", 0
    while at < len(program):
        one = program[at]
        if one in ";\n":
            found.append(current)
            current = ""
        elif one == "s" and _SED_ADDRESS.fullmatch(current) and at + 1 < len(program):
            mark, end, seen = program[at + 1], at + 2, 0
            while end < len(program) and seen < 2:
                seen += program[end] == mark
                end += 2 if program[end] == "\\" else 1
            current += program[at:end]
            at = end
            continue
        else:
            current += one
        at += 1
    return [piece for piece in [*found, current] if piece.strip()]


def _substitution(command: str, *, extended: bool) -> tuple[re.Pattern[str], _By, int, bool] | None:
    mark = re.escape(command[1:2])
    match = re.fullmatch(
        rf"s{mark}((?:[^{mark}\\]|\\.)*){mark}((?:[^{mark}\\]|\\.)*){mark}([gpiI]*)", command, re.DOTALL
    )
    if match is None or not mark:
        return None
    flags = re.IGNORECASE if {"i", "I"} & set(match[3]) else 0
    source = match[1].replace(f"\\{command[1]}", command[1]) if command[1] not in "|+?(){}" else match[1]
    pattern = compiled(source, extended=extended, flags=flags, escapes=True)
    template = match[2]
    groups = [int(digit) for digit in re.findall(r"\\([0-9])|\\.", template, re.DOTALL) if digit]
    if pattern is None or is_ambiguous(pattern.pattern) or max(groups, default=0) > pattern.groups:
        return None

    def by(found: re.Match[str]) -> str:
        def one(piece: re.Match[str]) -> str:
            if piece[0] == "&":
                return found[0]
            if piece[1] in "0123456789":
                return found[int(piece[1])] or ""
            return {"n": "\n", "t": "\t"}.get(piece[1], piece[1])

        return re.sub(r"\\(.)|&", one, template, flags=re.DOTALL)

    return pattern, by, 0 if "g" in match[3] else 1, "p" in match[3]

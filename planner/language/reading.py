"""Bytes -> what the TOML says, or the one mistake that keeps it from being read at all."""

from __future__ import annotations

import codecs
import re
from typing import Any

import tomli

from mountplan.planner.characters import typed
from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.language.toml10 import Newer, find_newer
from mountplan.planner.language.values import shorter
from mountplan.planner.light import regex

# The shortest spec there is, as errors show it.
EXAMPLE = """\
    format = 1

    [[mount]]
    target = "/mnt"
    type = "tmpfs"\
"""

_PLACE = regex(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

# What the parser says -> what to do about it; the first that fits.
_ADVICE = (
    (r"Cannot (overwrite|mutate)", "this key or table is there already: each may occur once; remove one of them"),
    (r"Cannot declare", "this table is there already: write [[...]], in double brackets, to begin another of its kind"),
    (r"Unescaped '\\'", "double each backslash, or quote the text with ' instead of \""),
    (r"not closed", "close a list with ], a table with }, and a text with the quote it began with"),
    (r"Invalid value", 'texts need quotes: key = "text"; true and false are written small'),
    (
        r"Expected '=' after a key",
        'write key = "text"; a key with anything but letters, digits, "_" and "-" needs quotes',
    ),
    (r"Expected '\]", "close a header as it began: [[mount]] with two brackets, [run] with one"),
    (r"Unclosed array", "close the list with ] and separate what is in it by commas"),
    (r"Unclosed inline table", "close the table with } and separate what is in it by commas"),
    (r"Unterminated|Illegal character '.n'", "close the text with the quote it began with"),
    (r"Illegal character|Found invalid character", 'write such a character as "\\uXXXX", with its number'),
    (r"Invalid statement", "write key = value, or [table], or [[table]], or # and a comment"),
    (r"after a statement", "write one key = value a line"),
    (r"Exceeds the limit|digits", "no number in a spec has so many digits"),
    (r"nested|recursion|too many parts|more than the allowed", "nothing in a spec is nested as deep as this"),
)


_MAKES_A_SPEC = "makes a spec of it"
# What a file that is not TOML can be instead, by its name or how it begins, and the command for it.
_OTHERS = (
    (r"\.sh$|^#!.*[/ ](?:ba|da|k|z)?sh\b", "a shell script", "simulate {}", "tells what it would mount"),
    (r"fstab$", "an fstab", "import fstab {}", _MAKES_A_SPEC),
    (r"\.service$", "a unit of systemd", "import systemd {}", _MAKES_A_SPEC),
    (r"\.ya?ml$", "YAML", "import compose {}` or `mountplan import k8s {}", _MAKES_A_SPEC),
)
# Outside of strings as far as a line tells: a number such as 0755, and the key that it is for.
_LEADING_ZERO = regex(
    r"""^(?:[^"'#]|"[^"]*"|'[^']*')*?([A-Za-z0-9_-]+[ \t]*=[ \t]*|[\[,][ \t]*)(0[0-9]+)(?![0-9_.:eE-])"""
)
_HEADER = regex(r"[ \t]*\[\[[ \t]*([A-Za-z0-9_.-]+)[ \t]*\]\]")


def _first_below(name: str, lines: list[str]) -> int:
    """The first line that has a header of a table in `name`, as [[mount.file]] is in mount; 0 if there is none."""
    inside = re.compile(rf"[ \t]*\[\[?[ \t]*{re.escape(name)}[ \t]*\.")
    return next((number for number, line in enumerate(lines, 1) if inside.match(line)), 0)


def read_toml(data: bytes, file: str) -> tuple[dict[str, Any], str, Mistake | None]:
    """What the TOML says, its text, and the mistake, if it cannot be read."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return {}, "", _not_utf8(data, file, error)
    if text.startswith("\ufeff"):
        return {}, "", Mistake(SpecRef(file, "", 1), "begins with a byte order mark", "save it as UTF-8 without one")
    try:
        raw = tomli.loads(text)
    except RecursionError as error:
        return {}, text, _not_toml(text, file, str(error) or "nested too deep")
    except ValueError as error:
        return {}, text, _not_toml(text, file, str(error))
    newer = find_newer(text)  # which the parser takes or not, according to its age
    return raw, text, newer and _newer(newer, text, file)


def _not_utf8(data: bytes, file: str, error: UnicodeDecodeError) -> Mistake:
    offset = error.start
    line = data.count(b"\n", 0, offset) + 1
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Mistake(SpecRef(file, "", 1), "is not UTF-8, but seems to be UTF-16", "save it as UTF-8")
    remedy = f"save the file as UTF-8; a path with such a byte is written {{ escaped = '...\\{data[offset]:03o}...' }}"
    return Mistake(SpecRef(file, "", line), f"is not UTF-8: byte 0x{data[offset]:02x} at offset {offset}", remedy)


def _newer(newer: Newer, text: str, file: str) -> Mistake:
    line = text.count("\n", 0, newer.offset) + 1
    begin = text.rfind("\n", 0, newer.offset) + 1
    quoted = shorter(text[begin:].partition("\n")[0].strip(" \t\r"))
    what = f"is not TOML 1.0: {newer.what}, column {newer.offset - begin + 1}, in: {quoted}"
    return Mistake(SpecRef(file, "", line), what, newer.remedy)


def _not_toml(text: str, file: str, message: str) -> Mistake:
    begin = text.partition("\n")[0]
    for pattern, kind, command, gives in _OTHERS:
        if re.search(pattern, file) or re.search(pattern, begin):
            remedy = f"`mountplan {command.replace('{}', typed(file))}` {gives}"
            return Mistake(SpecRef(file, ""), f"is {kind}, not a spec", remedy)
    match = _PLACE.search(message)
    reason = (message[: match.start()] if match else message).partition(":")[0]
    lines = text.replace("\r\n", "\n").split("\n")
    newer = find_newer(text)
    if newer is not None and (not match or not match[1] or text.count("\n", 0, newer.offset) < int(match[1])):
        return _newer(newer, text, file)
    line, where = 0, ""
    if match and match[1]:
        line, where = int(match[1]), f", column {match[2]}"
    elif match:
        line = len(lines) - (len(lines) > 1 and not lines[-1])
    if reason == "Invalid value" and match and not match[1]:
        reason = "the last value is missing or not closed"
    zeros = _LEADING_ZERO.search(lines[line - 1]) if 0 < line <= len(lines) else None
    if zeros is not None:
        key, number = zeros.groups()
        what = f"is not TOML: the number {number} begins with 0"
        return Mistake(SpecRef(file, "", line), what, f'write it in quotes: {key if "=" in key else ""}"{number}"')
    header = _HEADER.match(lines[line - 1]) if reason.startswith("Cannot ") and 0 < line <= len(lines) else None
    below = _first_below(header[1], lines[: line - 1]) if header is not None else 0
    if header is not None and below:
        early = f"{shorter(lines[below - 1].strip())} comes before the first [[{header[1]}]], on line {line}"
        move = f"it belongs to the [[{header[1]}]] above it: move it below the one that is meant"
        return Mistake(SpecRef(file, "", below), early, move)
    remedy = next((advice for pattern, advice in _ADVICE if re.search(pattern, reason)), "correct this line")
    quoted = shorter(lines[line - 1].strip(" \t")) if 0 < line <= len(lines) else ""
    what = f"is not TOML: {reason}{where}" + (f", in: {quoted}" if quoted else "")
    return Mistake(SpecRef(file, "", line), what, remedy)

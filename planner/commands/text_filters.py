"""What commands make of a text that is known: cat, cut, grep, head, sed, tail, tr and their like, in their usual forms.

Each gives its output and status, or None for a form that is not followed.
"""

from __future__ import annotations

import re

from mountplan.planner.commands.awk_program import awk
from mountplan.planner.commands.filter_lines import Filter, Filtered, as_ended, joined, lines_of, short_options
from mountplan.planner.commands.posix_patterns import CLASSES, compiled, is_ambiguous
from mountplan.planner.commands.sed_program import sed

_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def _grep(arguments: list[str], text: str) -> Filtered:
    read = short_options(arguments, "qvixwcosEFlhan", "em")
    if read is None:
        return None
    given, rest = read
    patterns = given["e"].split("\n") if "e" in given else rest[0].split("\n") if rest else []
    if not patterns or "l" in given or "n" in given:
        return None
    wanted = []
    flags = re.IGNORECASE if "i" in given else 0
    for one in patterns:
        plain = "F" in given
        pattern = re.compile(re.escape(one), flags) if plain else compiled(one, extended="E" in given, flags=flags)
        if pattern is None or ("o" in given and (len(patterns) > 1 or is_ambiguous(pattern.pattern))):
            return None
        inner = f"(?:{pattern.pattern})"
        inner = f"^{inner}$" if "x" in given else rf"(?<!\w){inner}(?!\w)" if "w" in given else inner
        wanted.append(re.compile(inner, pattern.flags))
    found = [line for line in lines_of(text) if any(one.search(line) for one in wanted) != ("v" in given)]
    if "m" in given:
        found = found[: int(given["m"])] if given["m"].isdecimal() else found
    status = 0 if found else 1
    if "q" in given:
        return "", status
    if "c" in given:
        return f"{len(found)}\n", status
    if "o" in given:
        matches = (match[0] for line in found for one in wanted for match in one.finditer(line))
        return joined([match for match in matches if match]), status
    return joined(found), status


def _numbers(text: str, count: int) -> list[int] | None:
    """The list of cut(1), from 0 on."""
    found: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"(0*[1-9][0-9]*)?(-?)(0*[1-9][0-9]*)?", piece)
        if match is None or piece in ("", "-"):
            return None
        first = int(match[1] or 1)
        last = int(match[3]) if match[3] else count if match[2] else first
        found.update(range(first - 1, min(last, count)))
    return sorted(found)


def _cut(arguments: list[str], text: str) -> Filtered:
    read = short_options(arguments, "s", "dfcb")
    if read is None:
        return None
    given, _ = read
    wanted = given.get("f") or given.get("c") or given.get("b") or ""
    if _numbers(wanted, 0) is None or given.get("d") == "":
        return None
    found = []
    for line in lines_of(text):
        if "f" in given:
            between = given.get("d", "\t")
            pieces = line.split(between)
            if len(pieces) == 1:
                if "s" not in given:
                    found.append(line)
                continue
        else:
            between, pieces = "", list(line)
        found.append(between.join(pieces[one] for one in _numbers(wanted, len(pieces)) or ()))
    return joined(found), 0


def _characters(text: str) -> str | None:
    """A set of tr(1), written out."""
    for name, inside in CLASSES.items() if "[:" in text else ():
        characters = " \t\n" if name in ("space", "blank") else re.sub(r"\\(.)", r"\1", inside)
        text = text.replace(f"[:{name}:]", characters)
    found, at = [], 0
    while at < len(text):
        if text[at] == "\\" and (escape := re.compile(r"\\([abfnrtv\\]|[0-7]{1,3})").match(text, at)) is not None:
            code = escape[1]
            text = text[: at + 1] + text[escape.end() :]
            found.append(chr(int(code, 8) % 256) if code.isdecimal() else _ESCAPED[code])
            if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
                return None
            at += 1
        elif text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            if ord(text[at]) > ord(text[at + 2]):
                return None
            found += [chr(one) for one in range(ord(text[at]), ord(text[at + 2]) + 1)]
            at += 3
        else:
            found.append(text[at])
            at += 1
    return "".join(found)


def _tr(arguments: list[str], text: str) -> Filtered:
    read = short_options(arguments, "dscC", "")
    if read is None or not read[1]:
        return None
    given, sets = read
    first = _characters(sets[0])
    second = _characters(sets[1]) if len(sets) > 1 else ""
    if first is None or second is None or {"d", "s"} <= given.keys():
        return None
    inverted = "c" in given or "C" in given
    chosen = set(first)

    def is_chosen(character: str) -> bool:
        return (character in chosen) != inverted

    if "d" in given:
        return "".join(one for one in text if not is_chosen(one)), 0
    if second:
        padded = second + second[-1] * len(first)
        becomes = second[-1] if inverted else None  # whatever is not in the first set
        text = "".join((becomes or padded[first.index(one)]) if is_chosen(one) else one for one in text)
    elif "s" not in given:
        return None
    if "s" in given:
        squeezed = set(second) if second else None
        kept: list[str] = []
        for one in text:
            if not (kept and kept[-1] == one and (one in squeezed if squeezed is not None else is_chosen(one))):
                kept.append(one)
        text = "".join(kept)
    return text, 0


def _count_of(arguments: list[str]) -> tuple[str, list[str]] | None:
    if arguments and re.fullmatch("-[0-9]+", arguments[0]):
        return arguments[0][1:], arguments[1:]
    read = short_options(arguments, "q", "n")
    return None if read is None else (read[0].get("n", "10"), read[1])


def _head(arguments: list[str], text: str) -> Filtered:
    read = _count_of(arguments)
    if read is None or not read[0].isdecimal():
        return None
    lines, count = lines_of(text), int(read[0])
    return joined(lines[:count]) if count < len(lines) else text, 0


def _tail(arguments: list[str], text: str) -> Filtered:
    read = _count_of(arguments)
    if read is None or not re.fullmatch(r"\+?[0-9]+", read[0]):
        return None
    lines, count = lines_of(text), int(read[0])
    shown = lines[max(count - 1, 0) :] if read[0][0] == "+" else lines[-count:] if count else []
    return as_ended(shown, text) if shown else "", 0


def _cat(arguments: list[str], text: str) -> Filtered:
    return (text, 0) if all(not one.startswith("-") or one == "-" for one in arguments) else None


def _wc(arguments: list[str], text: str) -> Filtered:
    counts = {"-l": text.count("\n"), "-w": len(text.split()), "-c": len(text.encode()), "-m": len(text)}
    return (f"{counts[arguments[0]]}\n", 0) if len(arguments) == 1 and arguments[0] in counts else None


def _number(line: str) -> float:
    """What `sort -n` takes a line for."""
    match = re.match(r"[ \t]*(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+))", line)
    return float(match[1]) if match else 0


def _sort(arguments: list[str], text: str) -> Filtered:
    read = short_options(arguments, "urn", "")
    if read is None:
        return None
    given, _ = read
    lines = lines_of(text)
    if "n" in given and "u" in given:  # one line a number, the first
        lines = list({_number(line): line for line in reversed(lines)}.values())
    elif "u" in given:
        lines = list(set(lines))
    lines.sort(key=lambda line: (_number(line) if "n" in given else 0, line))
    return joined(lines[::-1] if "r" in given else lines), 0


def _uniq(arguments: list[str], text: str) -> Filtered:
    if arguments:
        return None
    lines = lines_of(text)
    return joined([line for at, line in enumerate(lines) if not at or line != lines[at - 1]]), 0


def _tac(arguments: list[str], text: str) -> Filtered:
    return (joined(lines_of(text)[::-1]), 0) if not arguments and (not text or text.endswith("\n")) else None


def _rev(arguments: list[str], text: str) -> Filtered:
    return (as_ended([line[::-1] for line in lines_of(text)], text), 0) if not arguments else None


FILTERS: dict[str, Filter] = {
    "awk": awk, "cat": _cat, "cut": _cut, "grep": _grep, "head": _head, "rev": _rev, "sed": sed, "sort": _sort,
    "egrep": lambda arguments, text: _grep(["-E", *arguments], text),
    "fgrep": lambda arguments, text: _grep(["-F", *arguments], text),
    "tac": _tac, "tail": _tail, "tr": _tr, "uniq": _uniq, "wc": _wc,
}  # fmt: skip
_SCRIPT_FIRST = frozenset({"awk", "egrep", "fgrep", "grep", "sed"})  # before the files
_VALUES = {
    "awk": "Fv", "cut": "dfcb", "egrep": "em", "fgrep": "em", "grep": "em", "head": "nc", "sed": "ef", "tail": "nc",
}  # fmt: skip


def files_of(name: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The files among the arguments, and the arguments without them."""
    if name == "tr":
        return [], arguments
    found: list[str] = []
    kept: list[str] = []
    words = list(arguments)
    needs = name in _SCRIPT_FIRST
    while words:
        word = words.pop(0)
        if word.startswith("-") and word != "-":
            kept.append(word)
            last = next((at for at, letter in enumerate(word[1:], 1) if letter in _VALUES.get(name, "")), 0)
            if last and not word.startswith("--"):
                if word[last] == "e":
                    needs = False
                if last + 1 == len(word) and words:
                    kept.append(words.pop(0))
        elif needs:
            kept.append(word)
            needs = False
        else:
            found.append(word)
    return found, kept

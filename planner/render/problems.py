"""Errors and drift -> text for people, and values for JSON."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from mountplan.planner.compare.difference import Difference
from mountplan.planner.errors import (
    InUse,
    Mistake,
    MountplanError,
    NameTaken,
    NotAllowed,
    PlanRefused,
    SpecError,
    SpecRef,
    StepRefused,
    VerificationFailed,
)
from mountplan.planner.light import regex
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.difference_text import mount_words
from mountplan.planner.render.words import count, listed, visible_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.planner.capture.captured import Caution

_MOST_CHANGES = 10
_REMEDY = "\n  remedy: "
_MOST_DIFFERENCES = 40
_MOST_OF_A_KIND = 12  # mistakes that are all told
_FIRST_OF_A_KIND, _MOST_PLACES = 3, 8
_PATH = regex(r"(?<![^\s(])/[^\s,;)]*")
_VARIABLE = regex(r'"(?:[^"\\]|\\.)*"|[0-9][0-9,]*')


def error_text(error: MountplanError, plan: Plan | None = None, *, everything: bool = False) -> str:
    """What went wrong, where, and what to do; several lines, the last without an end. `plan` ties drift to its spec."""
    if isinstance(error, (SpecError, NotAllowed, InUse)):
        return mistakes_text(error.mistakes, everything=everything)
    if isinstance(error, PlanRefused):
        return visible_lines("\n".join(f"cannot be built as it is written: {reason}" for reason in error.reasons))
    if isinstance(error, VerificationFailed):
        differences = _differences(error)
        head = f"built, but what stands there is not what was asked for ({count(len(differences), 'difference')}):"
        return f"{head}\n{drift_text(differences, plan)}"
    if isinstance(error, NameTaken) and error.differences:
        lines = [error.what + ":", drift_text(_differences(error), plan), f"  remedy: {error.remedy}"]
        return visible_lines("\n".join(lines))
    if isinstance(error, StepRefused):
        return visible_lines("\n  ".join((str(error), *_aftermath_lines(error))))
    return visible_lines(str(error))


def mistakes_text(mistakes: Sequence[Mistake], *, everything: bool = False) -> str:
    """One mistake a paragraph: `file:line: key: what`, and the remedy. Of many of one kind the first are told, and
    where the others are, unless `everything` is wanted.
    """
    if everything or len(mistakes) <= _MOST_OF_A_KIND:
        return visible_lines("\n".join(map(str, mistakes)))
    kinds: dict[tuple[str, str, str], list[Mistake]] = {}
    for mistake in mistakes:
        kinds.setdefault(_kind(mistake), []).append(mistake)
    lines = []
    told = dict.fromkeys(kinds, 0)
    for mistake in mistakes:
        kind = _kind(mistake)
        alike = kinds[kind]
        told[kind] += 1
        if len(alike) <= _MOST_OF_A_KIND or told[kind] <= _FIRST_OF_A_KIND:
            lines.append(str(mistake))
        elif told[kind] == _FIRST_OF_A_KIND + 1:
            rest = alike[_FIRST_OF_A_KIND:]
            known = dict.fromkeys(str(one.ref.line) for one in rest if one.ref.line)
            places = f", on lines {listed(list(known), _MOST_PLACES)}" if known else ""
            lines.append(f"{mistake.ref.file}: {kind[1]}: {len(rest):,} more of this kind{places}")
            lines.append("  remedy: as above; `mountplan check --all` tells each")
    return visible_lines("\n".join(lines))


def _kind(mistake: Mistake) -> tuple[str, str, str]:
    """What a mistake has in common with others of its kind: all but the numbers, and what is quoted in it."""
    return mistake.ref.file, _VARIABLE.sub("*", mistake.ref.key), _VARIABLE.sub("...", mistake.what)


def cautions_text(cautions: Sequence[Caution]) -> list[str]:
    """One caution of a capture a line; of many of one kind the first, and where the others are."""
    kinds: dict[str, list[Caution]] = {}
    for one in cautions:
        kinds.setdefault(_PATH.sub("...", _VARIABLE.sub("...", one.what)), []).append(one)
    lines: list[str] = []
    for alike in kinds.values():
        told = alike if len(alike) <= _MOST_OF_A_KIND else alike[:_FIRST_OF_A_KIND]
        lines += map(str, told)
        if rest := alike[len(told) :]:
            places = listed([one.where for one in rest], _MOST_PLACES)
            lines.append(f"{len(rest):,} more of this kind, at {places} (--json has them all)")
    return lines


def drift_text(differences: Iterable[Difference], plan: Plan | None = None) -> str:
    """Every difference with its place in the spec: what was wanted, what was found, what to do."""
    lines = []
    ref = _refs(plan)
    for number, one in enumerate(differences):
        if number == _MOST_DIFFERENCES:
            lines.append("... and more (--json has them all)")
            break
        place = f"{ref(one.origin)}: " if one.origin else ""
        wanted, found = one.wanted or "nothing", one.found or "nothing"
        mount = f"{mount_words(one)}: " if one.mount else ""
        lines.append(f"{place}{mount}{one.prop}: wanted {wanted}, found {found}")
        if one.remedy:
            lines.append(f"  remedy: {one.remedy}")
    return visible_lines("\n".join(lines))


def error_data(error: MountplanError, plan: Plan | None = None) -> dict[str, Any]:
    """An error as values for JSON: always `code`, `exit_status`, `message`, `remedy`, and what its kind has besides."""
    message, _, remedy = str(error).partition(_REMEDY)
    data: dict[str, Any] = {"code": error.code, "exit_status": error.exit_status}
    if isinstance(error, (SpecError, NotAllowed, InUse)):
        things, remedy = count(len(error.mistakes), "thing"), ""
        message = f"{count(len(error.mistakes), 'mistake')} in the spec"
        if isinstance(error, NotAllowed):
            message = f"not allowed here: {things} in the spec"
        elif isinstance(error, InUse):
            message = f"in use: {things} that the spec needs for itself"
        data["mistakes"] = [mistake_data(mistake) for mistake in error.mistakes]
    elif isinstance(error, PlanRefused):
        data["reasons"] = list(error.reasons)
    elif isinstance(error, VerificationFailed):
        differences = _differences(error)
        message, remedy = f"verification failed: {count(len(differences), 'difference')}", ""
        data["differences"] = drift_data(differences, plan)
    elif isinstance(error, NameTaken):
        message, remedy = error.what, error.remedy
        data["differences"] = drift_data(_differences(error), plan)
    elif isinstance(error, StepRefused):
        call = f"{error.syscall}: " if error.syscall else ""
        message, remedy = f"step {error.number}, {error.step}: {call}{error.meaning}", error.remedy
        data |= {
            "number": error.number,
            "step": error.step,
            "origin": ref_data(error.origin),
            "syscall": error.syscall,
            "errno": error.errno,
            "errno_name": errno.errorcode.get(error.errno, ""),
            "meaning": error.meaning,
            "log": list(error.log),
            "aftermath": error.aftermath._asdict() if error.aftermath is not None else None,
        }
    return data | {"message": message, "remedy": remedy}


def mistake_data(mistake: Mistake) -> dict[str, Any]:
    return {**ref_data(mistake.ref), "what": mistake.what, "remedy": mistake.remedy}


def drift_data(
    differences: Iterable[Difference], plan: Plan | None = None, found_plan: Plan | None = None
) -> list[dict[str, Any]]:
    """Differences as values for JSON. `found_plan` is for where the other side is from a spec as well."""
    ref, found_ref = _refs(plan), _refs(found_plan)
    return [
        {
            "namespace": one.namespace,
            "mount": one.mount,
            "layer": one.layer,
            "property": one.prop,
            "wanted": one.wanted,
            "found": one.found,
            "origin": ref_data(ref(one.origin)) if plan or one.origin else None,
            "found_origin": ref_data(found_ref(one.found_origin)) if one.found_origin else None,
            "remedy": one.remedy,
        }
        for one in differences
    ]


def ref_data(ref: SpecRef) -> dict[str, Any]:
    return {"file": ref.file, "line": ref.line, "key": ref.key}


def _refs(plan: Plan | None) -> Callable[[str], SpecRef]:
    return plan.refs() if plan else lambda origin: SpecRef("spec", origin)


def _differences(error: VerificationFailed | NameTaken) -> tuple[Difference, ...]:
    return error.differences  # type: ignore[return-value]


def _aftermath_lines(error: StepRefused) -> list[str]:
    """What has been found out about the host, and no more."""
    aftermath = error.aftermath
    if aftermath is None:
        return []
    built = f"process {aftermath.holder} still has what was built" if aftermath.holder else "what was built is let go"
    if aftermath.changes is None:
        lines = [f"{built}; the host's mount table could not be read again to compare it"]
    elif aftermath.changes:
        lines = [f"{built}; the host's mount table has changed meanwhile, by this or by another process:"]
        lines += [f"  {line}" for line in aftermath.changes[:_MOST_CHANGES]]
        if len(aftermath.changes) > _MOST_CHANGES:
            lines.append("  ... and more (--json has them all)")
    else:
        lines = [f"{built}; the host's mount table is as it was, with all options of its filesystems"]
    return lines + [f"what this step was to make may be left on the host: {step}" for step in aftermath.left]

"""TOML text, or what Python has of it -> Spec, or every mistake in it with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language import values
from mountplan.planner.language.including import Part, gather
from mountplan.planner.language.locate import Places, key_path, prefixes
from mountplan.planner.language.merging import merge
from mountplan.planner.language.outside import NoOutside, Outside
from mountplan.planner.language.parameters import Declared, Parameters, declared_in
from mountplan.planner.language.reading import EXAMPLE, read_toml
from mountplan.planner.language.rewriting import Directory, Rewriting, may_need
from mountplan.planner.language.salvage import Salvage
from mountplan.planner.language.spec import FORMAT, Spec
from mountplan.planner.language.wording import ModelFinding, Path, findings, owners
from mountplan.planner.light import no_collector


def parse_spec(
    data: bytes, file: str = "spec", outside: Outside | None = None, settings: Mapping[str, str] | None = None
) -> Spec:
    """Read a spec. Raises SpecError with every mistake found, in the order of the file.

    `outside` is what it may take from elsewhere, `settings` are values for its parameters.
    """
    spec, mistakes = parse_spec_leniently(data, file, outside, settings)
    if spec is None or mistakes:
        raise SpecError(mistakes)
    return spec


def build_spec(
    value: Mapping[str, object],
    file: str = "spec",
    outside: Outside | None = None,
    settings: Mapping[str, str] | None = None,
) -> Spec:
    """A spec made in Python, of what TOML would give. Raises SpecError with every mistake found."""
    mistakes = tuple(Mistake(SpecRef(file, key_path(*path)), *rest) for path, *rest in _odd_keys(value, ()))
    spec = None
    if not mistakes:
        spec, mistakes = _put_together(dict(value), None, file, outside or NoOutside(), settings or {})
    if spec is None or mistakes:
        raise SpecError(mistakes)
    return spec


def _odd_keys(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """TOML has strings for keys, Python has anything; and a key that is no string has no key path."""
    if isinstance(value, Mapping) and len(path) < 8:
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _odd_keys(inner, (*path, key))
            else:
                yield path, f"has a key that is {values.described(key)}", "use strings for keys"
    elif isinstance(value, list) and len(path) < 8:
        for index, inner in enumerate(value):
            yield from _odd_keys(inner, (*path, index))


def parse_spec_leniently(
    data: bytes, file: str = "spec", outside: Outside | None = None, settings: Mapping[str, str] | None = None
) -> tuple[Spec | None, tuple[Mistake, ...]]:
    """The mistakes of a spec, and what is left of it without them, so that its meaning can be checked as well.

    What is left is for finding more mistakes, not for use; hand what was found to `all_mistakes`. Mounts and files keep
    their index: one that had to be given up altogether is still there, with a target that stands for the true one. The
    spec is None if nothing can be said about the rest: not TOML, another format, no mounts.
    """
    with no_collector():
        raw, text, mistake = read_toml(data, file)
        if mistake is not None:
            return None, (mistake,)
        if "include" in raw or "parameters" in raw or settings or may_need(text):
            return _put_together(raw, text, file, outside or NoOutside(), settings or {})
        return _read(raw, file, Places(text))


_NAMES_ANOTHER = ("parent", "peer_group", "master")


def all_mistakes(spec: Spec, found: tuple[Mistake, ...], more: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
    """What parse_spec_leniently found and what was found in `spec` later, in the order of the file, with lines.

    Left out is what was found later in a mount or group that is not as its author wrote it: a mount without type is no
    second mistake if it is the type that could not be read. What it names and is not there is one, whatever else it is.
    """
    true = [
        spec.told(mistake)
        for mistake in more
        if mistake.ref.key.rpartition(".")[2] in _NAMES_ANOTHER or spec.damaged.isdisjoint(prefixes(mistake.ref.key))
    ]
    return tuple(sorted((*found, *true), key=lambda mistake: spec.position(mistake.ref)))


def _put_together(
    raw: dict[str, Any], text: str | None, file: str, outside: Outside, settings: Mapping[str, str]
) -> tuple[Spec | None, tuple[Mistake, ...]]:
    """Include, replace, make paths absolute; read each text by itself; make one spec of them."""
    gathered = gather(raw, text, file, outside)
    parts = gathered.parts
    declared: dict[str, Declared | None] = {}
    declaring: dict[str, Part] = {}  # the part that has the last word on each
    for part in map(parts.__getitem__, gathered.order):
        more = declared_in(part.raw)
        declared |= more
        declaring |= dict.fromkeys(more, part)
    parameters = Parameters(declared, settings, outside)
    for name, problem in parameters.problems.items():
        declaring[name].found.append(ModelFinding(("parameters", name), problem.what, problem.remedy))
    for problem in parameters.unknown().values():
        parts[0].found.append(ModelFinding(("parameters",), problem.what, problem.remedy))
    partial = len(parts) > 1 or bool(raw.get("include"))
    specs: list[tuple[str, Places, Spec]] = []
    mistakes: list[Mistake] = []
    for number, part in enumerate(parts):
        places = None if part.text is None else Places(part.text)
        rewriting = Rewriting(parameters, Directory(part.file, outside, included=number > 0))
        rest = rewriting.table(part.raw)
        wrong = [*part.found, *(one for one in rewriting.found if _is_known(one.path))]
        spec, found = _read(rest, part.file, places, wrong, partial=partial)
        mistakes += found
        if spec is not None:
            specs.append((part.file, places or Places(""), spec))
    mistakes += gathered.mistakes
    missing = gathered.mistakes or any(one.path[0] == "include" for part in parts for one in part.found)
    if missing or len(specs) < len(parts):
        return None, tuple(mistakes)
    spec = specs[0][2]
    if partial:
        spec, clashes = _merged(specs, gathered.order, file)
        mistakes += clashes
    if not mistakes and not spec.has_tree:
        mistakes.append(Mistake(spec.ref("include"), "the spec has no mount, nor has what it includes", _FIRST_MOUNT))
    return spec.settle(parameters.settings), tuple(mistakes)


def _is_known(path: Path) -> bool:
    """False for what has no place in a spec: that is told, and nothing more of it."""
    return all(owner is None or field is not None for owner, field in owners(Spec, path))


def _merged(specs: list[tuple[str, Places, Spec]], order: list[int], file: str) -> tuple[Spec, list[Mistake]]:
    merged = merge(specs, order)
    spec = Spec.model_construct(None, format=FORMAT, **merged.values)
    damaged = merged.origins.whole({number: one.damaged for number, (_, _, one) in enumerate(specs)})
    return spec.read_from(file, specs[0][1], damaged, merged.origins), merged.mistakes


def _read(
    raw: dict[str, Any], file: str, places: Places | None, found: Sequence[ModelFinding] = (), *, partial: bool = False
) -> tuple[Spec | None, tuple[Mistake, ...]]:
    """One text. `found` is what is known to be wrong with it; `partial`: it need not have a mount."""
    if type(raw.get("format")) is int and not found:  # True is equal to 1
        spec = Spec.checked(raw)
        if isinstance(spec, Spec) and (spec.has_tree or partial):
            return spec.read_from(file, places), ()
    return _salvage(raw, file, places, found, partial=partial)


def _beginning(raw: dict[str, Any], *, partial: bool) -> tuple[list[ModelFinding], bool]:
    """Is it a spec at all, and of a format that is known here? `raw` gets a right one if it has none."""
    if not raw:
        return [ModelFinding((), "the spec is empty", f"write what is to be mounted, for example:\n{EXAMPLE}")], False
    found = []
    given = raw.get("format")
    if given is None:
        found.append(ModelFinding(("format",), "is missing", f"write format = {FORMAT} at the beginning", "missing"))
    elif type(given) is not int:
        found.append(ModelFinding(("format",), f"is {values.described(given)}", f"write format = {FORMAT}, a number"))
    elif given != FORMAT:
        remedy = f"use a version of mountplan that reads it, or write format = {FORMAT} and what belongs to that"
        return [ModelFinding(("format",), f"format {given} is not known here", remedy)], False
    raw["format"] = FORMAT
    if partial:
        return found, True
    tables = ("mount", "namespace")
    # A table that is there, or a key that no spec has and that is one of them misspelt, is told about by itself.
    fields = Spec.model_fields
    meant = [key for key in raw if key not in fields and values.suggestion(key, fields) in tables]
    if not (meant or any(raw.get(table) for table in tables) or raw.get("root") is not None or raw.get("preset")):
        place = next(((table,) for table in tables if raw.get(table) == []), ())
        altered = raw.get("change") or raw.get("remove")
        found.append(ModelFinding(place, "the spec has no mount", _INHERIT if altered else _FIRST_MOUNT))
    return found, True


_INHERIT = 'write root = "inherit" at the top, to change mounts of the host\'s tree; or add a [[mount]]'
_FIRST_MOUNT = f"add what is to be mounted, for example:\n{EXAMPLE}"


def _salvage(
    raw: dict[str, Any], file: str, places: Places | None, before: Sequence[ModelFinding], *, partial: bool
) -> tuple[Spec | None, tuple[Mistake, ...]]:
    """Collect the mistakes; take out what they are about and look again, until nothing is wrong with what is left."""
    salvage = Salvage(raw)
    found, known = _beginning(salvage.rest, partial=partial)
    salvage.take_out(list(before), Spec)
    found += before
    spec = None
    while known:
        checked = Spec.checked(salvage.rest)
        if isinstance(checked, Spec):
            if checked.has_tree or partial:
                spec = checked.read_from(file, places, salvage.damaged)
            break
        new = findings(checked.errors(include_url=False), Spec)
        found += new
        if not salvage.take_out(new, Spec):
            break
    found.sort(key=lambda finding: salvage.position(finding.path))
    mistakes = []
    misspelt = {(path[:-1], remedy) for path, _, remedy, kind in found if kind == "unknown"}
    for path, what, remedy, kind in found:
        if not what:  # it has been told what it comes from
            continue
        if kind == "missing" and (path[:-1], f'did you mean "{path[-1]}"?') in misspelt:
            continue
        key = key_path(*path)
        mistakes.append(Mistake(SpecRef(file, key, places.line(key) if places else 0), what, remedy))
    mistakes.sort(key=lambda mistake: mistake.ref.line)
    return spec, tuple(mistakes)

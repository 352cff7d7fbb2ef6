"""Options as people paste them, "ro,nosuid,size=1m": which of them are the mount's, and which the filesystem's."""

from __future__ import annotations

import re

from mountplan.planner.attributes import NAMES
from mountplan.planner.fstypes import of
from mountplan.planner.language.fstab_words import instead_of_option
from mountplan.planner.language.values import Unfit, shown, word
from mountplan.planner.record import NamedTuple


class MountOptions(NamedTuple):
    """The words that are attributes of the mount, and the pairs that are options of the filesystem."""

    attributes: tuple[str, ...]
    options: tuple[tuple[str, str | bool], ...]


def mount_options(value: object) -> MountOptions:
    """The text taken apart at its commas, as mount(8) does it: a comma within double quotes is part of a value."""
    attributes: list[str] = []
    options: dict[str, str | bool] = {}
    none: dict[str, str] = {}  # what is no option, and what to write instead
    for part in _parts(word(value)):
        name, equals, text = part.partition("=")
        given: str | bool = text if equals else True
        if name in NAMES and not equals:
            attributes.append(name)
            continue
        instead = instead_of_option(name, given)
        if instead:
            none[name] = instead
            continue
        if not name:
            raise Unfit(f"{shown(part)} is an option without a name", "write NAME=VALUE")
        if name in options:
            raise Unfit(f"gives {name} twice", "give it once; options = { NAME = [...] } gives it several times")
        options[name] = given
    if len(none) == 1:
        ((name, instead),) = none.items()
        remedy = instead if instead.startswith("leave it out") else f"take it out, and {instead}"
        raise Unfit(f"{name} is no option of a filesystem", remedy)
    if none:
        remedy = "; ".join(f"{name}: {instead}" for name, instead in none.items())
        raise Unfit(f"{', '.join(none)} are no options of a filesystem", f"take them out. {remedy}")
    return MountOptions(tuple(attributes), tuple(options.items()))


def settled(
    wanted: MountOptions, fstype: str | None, attributes: list[str], options: dict[str, str | bool | int | list[str]]
) -> dict[str, object]:
    """What `attributes` and `options` of a mount come to. As mount(2) has it, `ro` is the filesystem's as well, if that
    is a new one.
    """
    twice = [name for name, _ in wanted.options if name in options]
    if twice:
        raise Unfit(f"{twice[0]} is in mount_options and in options", "write it in one of them")
    pairs = dict(wanted.options)
    if "ro" in wanted.attributes and fstype is not None and of(fstype).has_own_options:
        pairs.setdefault("ro", True)
    words = [*wanted.attributes, *(one for one in attributes if one not in wanted.attributes)]
    return {"attributes": words, "options": {**options, **pairs}, "mount_options": None}


def _parts(text: str) -> list[str]:
    if text.count('"') % 2:
        raise Unfit(f"{shown(text)} has a quote that is not closed", 'close it: context="a,b"')
    parts = [part.replace('"', "").strip() for part in re.findall(r'(?:"[^"]*"|[^,"])+', text)]
    return [part for part in parts if part]

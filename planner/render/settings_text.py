"""What the parameters of a spec came to, and where from -> text."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.characters import toml_string
from mountplan.planner.language.parameters import Setting
from mountplan.planner.render.words import columns, visible


def settings_lines(settings: Sequence[Setting]) -> list[str]:
    """A line for each: name, value, where it is from."""
    return columns([(f"{visible(one.name)} = {toml_string(one.value)}", _from(one)) for one in settings], (72,))


def _from(one: Setting) -> str:
    if one.given:
        return "as given"
    return f"from the environment: {visible(one.variable)}" if one.variable else "by default"

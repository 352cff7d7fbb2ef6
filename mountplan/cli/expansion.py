"""plan --expand: a spec with all that it stands for written out, as a spec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.sources import note_saved, read, save
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mountplan.cli.output import Output


def expand(name: str, parameters: Mapping[str, str], saved_as: str | None, output: Output) -> int:
    """Print it, or save it in the file `saved_as`."""
    from mountplan.inputs import looks_like_plan
    from mountplan.pipeline import check_memory

    check_memory()
    from mountplan.planner.language.expand import expanded
    from mountplan.planner.language.spec_text import spec_text

    file, data = read(name, "a spec")
    if looks_like_plan(file, data):
        raise UsageError(f"--expand: {visible(file)} is a saved plan, in which nothing stands for anything else")
    spec = api.load(file, data, parameters=parameters)
    api.plan(spec)  # what means nothing is not written out
    base = os.path.abspath(os.path.dirname(file)) if name != "-" else os.getcwd()
    text = spec_text(expanded(spec, base), (f"What {visible(file)} stands for.",))
    if saved_as in (None, "-"):
        if output.as_json:
            output.data({"file": file, "spec": text})
        else:
            output.raw(text)
        return 0
    assert saved_as is not None
    save(saved_as, text)
    if output.as_json:
        output.data({"saved": saved_as, "format": "toml"})
    else:
        note_saved(output, saved_as, "carry it out with: mountplan apply")
    return 0

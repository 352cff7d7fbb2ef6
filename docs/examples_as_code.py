"""For the page of Python names: examples in docstrings (>>> ...) are shown as code, and not read as Markdown."""

from __future__ import annotations

from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Indents them, which makes them code to Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is None:
            return
        lines, inside = [], False
        for line in obj.docstring.value.splitlines():
            inside = line.startswith(">>>") or (inside and line.strip() != "")
            lines.append(f"    {line}" if inside else line)
        obj.docstring.value = "\n".join(lines)

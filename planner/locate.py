"""Where in a TOML text a key path stands: for error messages, so asked rarely and answered lazily."""

from __future__ import annotations


class Places:
    """The places of a TOML text (rough for now)."""

    def __init__(self, text: str) -> None:
        self._text = text

    def line(self, key: str) -> int:
        return 0

    def headers(self) -> tuple[tuple[str, int], ...]:
        return ()

"""JSON as the module `json` reads it and writes texts, by the same functions of Python's own, which come without `re`.

What these do not take goes to `json`, which then says what is wrong with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from json.encoder import encode_basestring_ascii as quote
    from typing import Any

    make_scanner: Any
else:
    try:
        from _json import encode_basestring_ascii as quote
        from _json import make_scanner
    except ImportError:  # another Python, or another version of it
        from json.encoder import encode_basestring_ascii as quote

        make_scanner = None

__all__ = ["loads", "quote"]


class _Settings:
    """Those of json.JSONDecoder, but for NaN and infinity, which are no JSON."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(name)


def loads(text: str) -> Any:
    """json.loads(). Raises json.JSONDecodeError, a ValueError, or RecursionError."""
    if make_scanner is not None and text[:1] in ("{", "["):
        try:
            value, end = make_scanner(_Settings)(text, 0)
            if end + 100 >= len(text) and not text[end:].strip(" \t\n\r"):
                return value
        except (ValueError, StopIteration, AttributeError, TypeError, SystemError):
            pass  # SystemError: where json.decoder is not loaded, Python 3.11 finds no exception to raise
    import json

    return json.loads(text)

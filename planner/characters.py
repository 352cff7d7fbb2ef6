r"""Which characters do harm where text of others is shown or written: the one list of them, and how they are written.

Paths, names and options may hold anything. A control character makes a terminal act, a line separator makes two lines
of one, a bidirectional control turns what stands beside it around, and what shows nothing makes two names look alike.
None of them is written as it is: not on a terminal, not into a file that people read.
"""

from __future__ import annotations

from mountplan.planner.light import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re


# Ranges of code points. A test holds them against the Unicode tables: all of the categories Cc, Cf, Cs, Zl, Zp and Zs
# (but the space, and the signs of Cf that show something), and what is to be ignored where it is not supported.
_RANGES = (
    "\x00-\x1f\x7f-\xa0\xad"  # C0 and C1 controls, DEL, no-break space, soft hyphen
    "\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5"  # joiners, fillers and marks of single scripts
    "\u180b-\u180f"  # Mongolian selectors and vowel separator
    "\u2000-\u200f"  # spaces of other widths, zero-width characters, direction marks
    "\u2028-\u202f"  # line and paragraph separator, embeddings and overrides, narrow no-break space
    "\u205f-\u206f"  # mathematical space, word joiner, invisible operators, isolates, deprecated format characters
    "\u2800\u3000\u3164"  # blanks that are no spaces
    "\ud800-\udfff"  # surrogates: what is left of bytes that are not UTF-8
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # variation selectors, byte order mark, fillers, annotations
    "\U00013430-\U0001343f\U00016fe4\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # of scripts, shorthand, music
    "\U000e0000-\U000e0fff"  # tags and more variation selectors
)


_HARMFUL = regex(f"[{_RANGES}]")  # most texts are plain


def is_plain(text: str) -> bool:
    """True if no harmful character is in `text`."""
    return (text.isascii() and text.isprintable()) or not _HARMFUL.search(text)


_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str) -> str:
    r"""`text` with every harmful character written as an escape: \n, \xNN, \uNNNN or \UNNNNNNNN.

    From \x80 on, \xNN is a byte that is not UTF-8, and no character: U+0085 is \u0085.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """As `visible`, but line ends stay."""
    return "\n".join(map(visible, text.split("\n")))


def _escaped(match: re.Match[str]) -> str:
    if match[0] in _SHORT:
        return _SHORT[match[0]]
    code = ord(match[0])
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # a surrogate escape: the byte that it stands for
        return f"\\x{code - 0xDC00:02x}"
    return _by_number(code)


def _by_number(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_ascii(text: str) -> str:
    r"""`text` with all that is not ASCII as \uNNNN or \UNNNNNNNN, which TOML reads in strings in double quotes."""
    return text if text.isascii() else "".join(one if one.isascii() else _by_number(ord(one)) for one in text)


def in_shell(text: str) -> str:
    """A shell script, or a part of it, of which harmful characters stand in single quotes only, as shlex.quote() has
    them: the same to the shell, with each written as an escape of printf(1). Line ends stay.
    """
    return "\n".join(_HARMFUL.sub(_by_printf, line) for line in text.split("\n"))


def typed(word: str) -> str:
    """A word of a command line as a shell has to be given it: what is suggested can be copied."""
    import shlex

    return in_shell(shlex.quote(word))


def _by_printf(match: re.Match[str]) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in match[0].encode("utf-8", "surrogateescape"))
    return f"'\"$(printf '{octal}')\"'"


# -- TOML --------------------------------------------------------------------------------------------------------------

_BARE_KEY = regex(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


_NOT_AS_IT_IS = regex(f'["\\\\{_RANGES}]')


def toml_string(text: str) -> str:
    r"""`text` as a TOML string in one line, in quotes, with every harmful character written as an escape.

    TOML has no way to write a lone surrogate: one comes out as \uNNNN, which is for people to read, and for no parser.
    """
    return f'"{_NOT_AS_IT_IS.sub(_toml_escaped, text)}"'


def toml_key(text: str) -> str:
    """`text` as a TOML key, in quotes if it needs them."""
    return text if _BARE_KEY.fullmatch(text) else toml_string(text)


def _toml_escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or _by_number(ord(match[0]))

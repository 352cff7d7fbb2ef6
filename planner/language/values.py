r"""What the values of a spec may be: one function each, from what TOML gives to what the models hold.

Every function takes anything at all and raises Unfit, in words for the person who wrote it, for what it does not want.

TOML is UTF-8, paths on Linux are bytes. So wherever a spec wants a path or a text, it may have a table with one string:
`{ escaped = '/srv/caf\351' }`. In it a backslash and three octal digits are one byte, as in /proc/self/mountinfo and
fstab(5), and `\134` is the backslash; no other backslash may be in it. Inside the program such bytes are what
os.fsdecode() makes of them (surrogate escapes).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from datetime import date, datetime, time
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import TypeGuard, TypeVar

from mountplan.planner.attributes import NAMES
from mountplan.planner.characters import visible
from mountplan.planner.language import limits
from mountplan.planner.language.fstab_words import instead_of_attribute
from mountplan.planner.language.presets import NAMES as PRESETS
from mountplan.planner.light import regex
from mountplan.planner.paths import TargetPath
from mountplan.planner.run_settings import CAPABILITIES
from mountplan.planner.tables import namespace_file

Path = TypeVar("Path", bound=str)

MAX_BYTES = 2**63 - 1
MAX_ID = 2**32 - 1  # (uid_t)-1 itself means "no user"

_NAME = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_FSTYPE = regex(r"[A-Za-z0-9_.-]{1,64}")
_MODE = regex(r"0?[0-7]{1,4}")
_LIKELY_MODE = regex(r"[0-7][04567]{3}")
_DEVICE = regex(r"([cb]):([0-9]{1,7}):([0-9]{1,7})")
_OCTAL = regex(r"\\([0-3][0-7]{2})")


class Unfit(ValueError):
    """A value that cannot be used: what is wrong with it, and what to do. The place is known only further out."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


def shown(value: object) -> str:
    """A value as an error message quotes it: in TOML's way, and short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{shorter(value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34)))}"'
    if isinstance(value, list | tuple):
        inner = [_outline(one) if isinstance(one, list | dict) else shown(one) for one in value[:4]]
        return f"[{', '.join(inner + ['...'] * (len(value) > 4))}]"
    if isinstance(value, dict):
        return _outline(value)
    text = str(value) if isinstance(value, date | time) else repr(value)
    return shorter(text)


def shorter(text: str) -> str:
    """`text` in one line of moderate length, with nothing in it that a terminal would act upon."""
    return visible(text if len(text) <= 60 else f"{text[:40]}...{text[-17:]}")


def _outline(value: object) -> str:
    if not isinstance(value, dict):
        return "..."
    keys = [f"{key} = ..." for key in list(value)[:4]] + ["..."] * (len(value) > 4)
    return f"{{ {', '.join(keys)} }}" if keys else "{}"


def described(value: object) -> str:
    """A value with the kind of thing that it is, for `X is ..., not ...`."""
    if value is None or isinstance(value, bool):
        return shown(value)
    called = next((called for kind, called in _CALLED if isinstance(value, kind)), "")
    return f"the {called} {shown(value)}" if called else f"a Python {type(value).__name__}"


# A datetime is a date as well.
_CALLED: tuple[tuple[type, str], ...] = (
    (str, "string"), (int, "number"), (float, "number"), (datetime, "date and time"), (date, "date"), (time, "time"),
    (list, "list"), (tuple, "tuple"), (dict, "table"),
)  # fmt: skip


def _no(kind: str, value: object) -> str:
    return f"{shown(value)} is no {kind}" if isinstance(value, str) else f"is {described(value)}"


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def suggestion(word: object, known: Iterable[str]) -> str:
    """The known word that was probably meant; "" if none is close."""
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6) if isinstance(word, str) else []
    return close[0] if close else ""


def either(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


# -- bytes ------------------------------------------------------------------------------------------------------------


def escape(text: str) -> str | dict[str, str]:
    """`text` as a spec can hold it: itself, or `{ escaped = ... }` if there are bytes in it that are not UTF-8, or a
    newline, which a path seldom has on purpose.
    """
    data = text.encode("utf-8", "surrogateescape")
    if "\n" not in text:
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    return {"escaped": escaped_bytes(data.decode("utf-8", "surrogateescape"))}


def escaped_bytes(text: str) -> str:
    """`text` as it stands within `{ escaped = ... }`."""
    return "".join(
        f"\\{ord(char) & 0xFF:03o}" if char == "\\" or "\udc80" <= char <= "\udcff" or char < " " else char
        for char in text
    )


def _unescape(value: object, wanted: str) -> str:
    """The text behind `{ escaped = ... }`, or `value` itself if it is a string; anything else is not what is wanted."""
    if isinstance(value, str):
        return value if value.isascii() else _storable(value)
    if not isinstance(value, dict) or "escaped" not in value:
        raise Unfit(f"is {described(value)}", f"write {wanted}")
    text = value["escaped"]
    if len(value) > 1 or not isinstance(text, str):
        raise Unfit(f"is {described(value)}", f"write {wanted}, or {{ escaped = '...' }} with nothing else in it")
    rest = _OCTAL.sub("", text)
    if "\\" in rest:
        wrong = rest[rest.index("\\") :][:4]
        raise Unfit(
            f"has {shorter(wrong)} in an escaped text",
            r"write a byte as a backslash and three octal digits (\000 to \377), and a backslash as \134; "
            "quote the TOML string with ' or double its backslashes",
        )
    data = b"".join(
        bytes((int(part, 8),)) if number % 2 else part.encode("utf-8", "surrogateescape")
        for number, part in enumerate(_OCTAL.split(text))
    )
    return data.decode("utf-8", "surrogateescape")


def _storable(text: str) -> str:
    """`text`, if there are bytes that it stands for: Python has strings that are not text at all."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        what = f"{shown(text)} has a lone surrogate in it"
        raise Unfit(what, "use os.fsdecode() to make a string of bytes") from None
    return text


# -- paths ------------------------------------------------------------------------------------------------------------

A_PATH = 'an absolute path, such as "/srv/data"'
A_HOST_PATH = 'a host path "/srv/data", or { mount = "ID", path = "/in/it" }'
AN_INNER_PATH = 'a path inside the mount, such as "etc/hosts"'
A_MASK = 'a path inside the mount, such as "proc/kcore", or { path = "proc/kcore", optional = true }'


def absolute_path(value: object) -> TargetPath:
    return _path(value, A_PATH)


def namespace_name(value: object) -> str:
    """What names the file of a namespace: planner/tables/namespace_file.py."""
    text = word(value)
    try:
        kind, path = namespace_file.split_name(text)
    except ValueError as error:
        kind, colon, rest = text.partition(":")
        close, kinds = suggestion(kind, namespace_file.KINDS) or "net", ", ".join(namespace_file.KINDS)
        like = f"{close}:{int(rest) if rest.isdecimal() and int(rest) else 'PID'}"
        if kind in ("pid_for_children", "time_for_children"):
            like = f"{kind.partition('_')[0]}:/proc/{rest or 'PID'}/ns/{kind}"
        what = f"{shown(text)}: {error}" if colon else f"{shown(text)} {error}"
        raise Unfit(what, f'write namespace = "{like}", or the path of a namespace file; kinds are {kinds}') from None
    if kind == namespace_file.NEVER_MOUNTED:
        what = f"{shown(text)} is a mount namespace, whose file the kernel mounts in older ones only"
        raise Unfit(what, f"enter it by that file: nsenter --mount={path}")
    path = _path(path, "the path of a namespace file")
    return f"{kind}:{path}" if kind and text.partition(":")[2][:1] == "/" else path if not kind else text


def place(value: object) -> TargetPath:
    """An absolute path where a path inside another mount could stand as well."""
    if isinstance(value, str) and _NAME.fullmatch(value):  # perhaps the id of a mount, and no path of the host
        remedy = f"write the whole path from '/' on; or {{ mount = {shown(value)} }} for the mount with that id"
        raise Unfit(f"{shown(value)} is not absolute", remedy)
    if isinstance(value, str) and value.partition(":")[0] in namespace_file.KINDS:
        what = f"{shown(value)} is not absolute"
        raise Unfit(what, f"write {{ namespace = {shown(value)} }} for the file of a namespace")
    return _path(value, A_HOST_PATH)


def local_path(value: object) -> str:
    """A path that may be relative: to the directory that the spec is in."""
    text = word(value)
    return _within_limits(TargetPath.parse(text) if text[0] == "/" and "/.." not in text else posixpath.normpath(text))


def mask_path(value: object) -> TargetPath:
    return inner_path(value, wanted=A_MASK)


def _path(value: object, wanted: str) -> TargetPath:
    # Nearly all paths are plain; to see that takes half the time of taking them apart.
    if (
        type(value) is str
        and value[:1] == "/"
        and len(value) <= limits.NAME
        and value.isascii()
        and value.isprintable()
        and "//" not in value
        and "/." not in value
        and value[-1] != "/"
    ):
        return TargetPath(value)
    _in_one_line(value, wanted)
    text = _unescape(value, wanted)
    try:
        path = TargetPath.parse(text)
    except ValueError:
        raise _unfit_path(text, wanted) from None
    return _within_limits(path)


def _within_limits(path: Path) -> Path:
    if (wrong := limits.path_too_long(path)) is not None:
        raise Unfit(f"{shown(path)} {wrong[0]}", wrong[1])
    return path


def inner_path(value: object, *, wanted: str = AN_INNER_PATH) -> TargetPath:
    """A path inside a mount: "incoming/README" and "/incoming/README" mean the same."""
    _in_one_line(value, wanted)
    text = _unescape(value, wanted)
    try:
        if not text:
            raise ValueError
        path = TargetPath.parse(text if text[0] == "/" else f"/{text}")
    except ValueError:
        raise _unfit_path(text, wanted) from None
    return _within_limits(path)


def _in_one_line(value: object, wanted: str) -> None:
    """A newline in a plain string is a slip; who means one says so."""
    if isinstance(value, str) and "\n" in value:
        what = f"{shown(value)} contains a newline"
        raise Unfit(what, rf"write {wanted}; or {{ escaped = '...' }}, with \012 for the newline")


def _unfit_path(text: str, wanted: str) -> Unfit:
    if not text:
        return Unfit("is empty", f"write {wanted}")
    if wanted == A_HOST_PATH and text.partition("/")[0] == "..":
        remedy = f"write {shown('./' + text)}, which counts from the directory of the spec; or the whole path"
        return Unfit(f"{shown(text)} is not absolute", remedy)
    if wanted in (A_PATH, A_HOST_PATH) and text.partition("/")[0] in (".", ".."):
        return Unfit(f"{shown(text)} is not absolute", "write the whole path from '/' on: nothing is relative here")
    if "\0" in text:
        return Unfit(f"{shown(text)} contains a NUL character", f"write {wanted}; there can be none in it")
    parts = text.split("/")
    if ".." in parts:
        meant = shown(posixpath.normpath(f"/{text.lstrip('/')}"))
        what = f"{shown(text)} contains '..', which depends on symlinks"
        return Unfit(what, f"write the path that is meant: {meant}?")
    if parts[0].startswith(("~", "$")):
        meant = 'home = { env = "HOME" }' if parts[0] in ("~", "$HOME", "${HOME}") else "NAME"
        what = "'~' is not replaced" if text[0] == "~" else "variables are not replaced"
        way = f"${{{meant.partition(' ')[0]}}}, with {meant} in [parameters]"
        return Unfit(f"{shown(text)} is not absolute: {what}", f"write {wanted}; or {way}")
    meant = shown(posixpath.normpath(f"/{text}"))
    return Unfit(f"{shown(text)} is not absolute", f"write the whole path from '/' on: {meant}?")


# -- texts ------------------------------------------------------------------------------------------------------------


def content(value: object) -> str:
    """Any text; in an escaped one any bytes."""
    return _unescape(value, 'a string, such as "hello\\n"')


def parameter(value: object) -> str:
    """What a parameter is if nothing else is said."""
    if isinstance(value, str | dict):
        return content(value)
    what = f"is {described(value)}"
    raise Unfit(what, 'write a text, such as "/srv", or { env = "HOME", default = "/root" }; a number in quotes')


def argument(value: object) -> str:
    """A text that can be handed to a program."""
    text = _unescape(value, 'a string, such as "--verbose"')
    if "\0" in text:
        raise Unfit(f"{shown(text)} contains a NUL character", "leave it out: no program can be given one")
    return text


def word(value: object) -> str:
    """A text in one line that is not empty."""
    _in_one_line(value, "a text in one line")
    text = _unescape(value, "a text, in quotes")
    if not text:
        raise Unfit("is empty", "write a text, or leave the key out")
    if "\0" in text:
        raise Unfit(f"{shown(text)} contains a NUL character", "leave it out")
    return text


def link(value: object) -> str:
    """What a symlink points to: any text; whether something is there makes no difference."""
    text = word(value)
    if limits.size(text) > limits.SYMLINK:
        what = f"{shown(text)} is {limits.size(text):,} bytes long"
        raise Unfit(what, f"shorten it: symlink(2) takes no more than {limits.SYMLINK} bytes")
    return text


def _is_short_word(text: str) -> bool:
    """True for most names and types; sooner told than a pattern is matched."""
    return len(text) <= 64 and text.isidentifier() and text.isascii()


def source(value: object) -> str:
    """What the kernel shows as a source; mounts have empty ones too."""
    return _short(word(value), "a source") if value not in ("", {"escaped": ""}) else ""


def name(value: object) -> str:
    if isinstance(value, str) and (_is_short_word(value) or _NAME.fullmatch(value)):
        return value
    if not isinstance(value, str):
        raise Unfit(f"is {described(value)}", 'write a name, such as "data"')
    if len(value) > 100:
        raise Unfit(f"{shown(value)} is {len(value)} characters long", "choose a name of at most 100 characters")
    meant = re.sub(r"[^A-Za-z0-9_.-]+", "-", value).strip("-.")
    remedy = "use letters, digits, '_', '-' and '.', and no '-' or '.' first" + (f': "{meant}"?' if meant else "")
    raise Unfit(f"{shown(value)} is no name" if value else "is empty", remedy)


def reference(value: object) -> str:
    """The name of something else in the spec. Whether there is one of that name is found out later."""
    if not isinstance(value, str):
        raise Unfit(f"is {described(value)}", 'write the name as a string, such as "data"')
    return value


def preset(value: object) -> tuple[str, ...]:
    """One preset, or several."""
    names: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one in PRESETS:
            names.append(one)
        else:
            what = _no("preset", one)
            close = suggestion(one, PRESETS)
            raise Unfit(what, f"did you mean {shown(close)}?" if close else f"write {either(map(shown, PRESETS))}")
    if len(set(names)) < len(names):
        raise Unfit(f"names a preset twice: {shown(names)}", "name each once")
    return tuple(names)


def filesystem_type(value: object) -> str:
    if isinstance(value, str) and (_is_short_word(value) or _FSTYPE.fullmatch(value)):
        return value
    what = _no("filesystem type", value)
    raise Unfit(what, 'write one that /proc/filesystems has, such as "tmpfs"')


@lru_cache(maxsize=1024)
def _no_attribute(text: str) -> Unfit:
    instead = instead_of_attribute(text)
    if instead:
        return Unfit(f"{shown(text)} is no attribute of a mount", instead)
    if "," in text:
        return Unfit(f"{shown(text)} is several attributes in one string",
                     "write each by itself: " + ", ".join(f'"{part.strip()}"' for part in text.split(",")))  # fmt: skip
    key, equals, rest = text.partition("=")
    if equals:
        option = f"{key.strip()} = {shown(rest.strip())}"
        return Unfit(f"{shown(text)} is no attribute of a mount",
                     f"it belongs to the filesystem: write options = {{ {option} }}")  # fmt: skip
    close = suggestion(text, NAMES)
    remedy = f'did you mean "{close}"?' if close else f"write one of {', '.join(NAMES)}"
    return Unfit(f"{shown(text)} is no attribute of a mount", remedy)


def attribute(value: object) -> str:
    if isinstance(value, str):
        if value in NAMES:
            return value
        raise _no_attribute(value)
    raise Unfit(f"is {described(value)}", 'write attributes as strings: attributes = ["ro", "nosuid"]')


def mode(value: object) -> str:
    if isinstance(value, str) and _MODE.fullmatch(value) and int(value, 8) <= 0o7777:
        return value
    if isinstance(value, str) and re.fullmatch("[ugoa]*[-+=][rwxXst]+.*", value):
        raise Unfit(f"{shown(value)} is a symbolic mode", 'write it as octal digits in a string, such as "0755"')
    such_as = octal_meant(value) if type(value) is int else ""
    what = _no("file mode", value)
    raise Unfit(what, f'write it as octal digits in a string, "0000" to "7777", such as "{such_as or "0755"}"')


def octal_meant(number: int) -> str:
    """The mode that was meant by a number: 755 is one without quotes, 493 is what TOML makes of 0o755.

    Taken for one is what has digits as modes have them: who may write or execute may read as well. "" if neither has.
    """
    return next((text for text in (f"{number:04}", f"{number:04o}") if _LIKELY_MODE.fullmatch(text)), "")


def device(value: object) -> str:
    """`c:1:3`: character or block, major and minor number."""
    match = _DEVICE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        what = _no("device", value)
        raise Unfit(what, 'write "c" or "b" (character or block), major and minor number: "c:1:3" is /dev/null')
    if int(match[2]) >= 1 << 12 or int(match[3]) >= 1 << 20:
        raise Unfit(f"{shown(value)} is out of range", "the major number ends at 4095, the minor number at 1048575")
    return match[0]


def option_name(value: object) -> str:
    text = word(value)
    if "=" in text:
        key, _, rest = text.partition("=")
        raise Unfit(f"option {shown(text)} has its value in its name", f"write {key} = {shown(rest)}")
    return _short(text, "the name of an option")


def option_value(value: object) -> bool | int | str | list[str]:
    """A superblock option: a string or number, true for a flag, a list of strings for an option given several times."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        _short(str(value), "an option")
        return value
    if isinstance(value, list):
        if not value:
            raise Unfit("is an empty list", "leave the option out")
        return [_option_text(one) for one in value]
    return _option_text(value)


def _option_text(value: object) -> str:
    if isinstance(value, float):
        raise Unfit(f"is {described(value)}", f'write it as the filesystem wants it, in a string: "{value}"')
    text = _unescape(value, 'a string, a whole number, true for a flag, or a list of strings, such as size = "16m"')
    if "\0" in text:
        raise Unfit(f"{shown(text)} contains a NUL character", "leave it out")
    return _short(text, "an option")


def _short(text: str, what: str) -> str:
    if limits.size(text) > limits.OPTION:
        remedy = f"shorten it: fsconfig(2) takes no more for {what}"
        raise Unfit(f"{shown(text)} is longer than {limits.OPTION} bytes", remedy)
    return text


# -- numbers ----------------------------------------------------------------------------------------------------------


def owner(value: object) -> int:
    """A user or group id."""
    if _is_number(value):
        if 0 <= value < MAX_ID:
            return value
        raise Unfit(f"{value} is out of range", f"write a number from 0 to {MAX_ID - 1}")
    by_name = isinstance(value, str) and not value.isdecimal()
    why = "write its number: names may mean another one inside" if by_name else "write a whole number, such as 1000"
    raise Unfit(f"is {described(value)}", why)


def amount(value: object) -> int:
    """A number of bytes."""
    if _is_number(value):
        if 0 <= value <= MAX_BYTES:
            return value
        raise Unfit(f"{value} is out of range", f"write a number of bytes from 0 to {MAX_BYTES}")
    raise Unfit(f"is {described(value)}", "write a number of bytes, such as 1048576")


def length(value: object) -> int:
    """A number of bytes that is not nothing."""
    if value == 0 and amount(value) == 0:
        raise Unfit("0 bytes of it are none", "write how many, or leave it out for all to the end")
    return amount(value)


def partition(value: object) -> int | str:
    """The number of a partition, or its label."""
    if _is_number(value):
        if 1 <= value <= 1024:
            return value
        raise Unfit(f"{value} is no number of a partition", "they count from 1")
    return word(value)


def id_line(value: object) -> tuple[int, int, int]:
    """[first id in the filesystem, first id seen through the mount, count]."""
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(_is_number, value)):
        remedy = "write three whole numbers: [first id in the filesystem, first id seen through the mount, count]"
        raise Unfit(f"is {described(value)}", remedy)
    inside, outside, count = value
    if count < 1:
        raise Unfit(f"{shown(value)} maps no id at all", "the third number is the count: at least 1")
    if min(inside, outside) < 0 or max(inside, outside) + count > MAX_ID:
        raise Unfit(f"{shown(value)} goes beyond the ids that there are", f"they go from 0 to {MAX_ID - 1}")
    return inside, outside, count


def overlap(lines: Iterable[tuple[int, int, int]]) -> str:
    """Two lines of an id-mapping that speak about the same id, in words; "" if there are none."""
    ordered = list(lines)
    for column, side in enumerate(("in the filesystem", "seen through the mount")):
        by_first = sorted(ordered, key=lambda line: line[column])
        for one, other in pairwise(by_first):
            if one[column] + one[2] > other[column]:
                return f"{list(one)} and {list(other)} both map id {other[column]} {side}"
    return ""


# -- running ----------------------------------------------------------------------------------------------------------


def variable(value: object) -> str:
    """The name of an environment variable."""
    text = argument(value)
    if not text or "=" in text:
        raise Unfit(f"{shown(text)} cannot name an environment variable", "a name is not empty and has no '=' in it")
    return text


def hostname(value: object) -> str:
    text = word(value)
    if limits.size(text) > limits.HOSTNAME:
        raise Unfit(f"{shown(text)} is longer than {limits.HOSTNAME} bytes", "shorten it: sethostname(2) takes no more")
    return text


def capability(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit(f"is {described(value)}", 'write its name, such as "CAP_NET_BIND_SERVICE"')
    if value in CAPABILITIES:
        return value
    meant = re.sub(r"^(CAP_)?", "CAP_", value.strip().upper().replace("-", "_"))
    if meant in CAPABILITIES:
        raise Unfit(f"{shown(value)} is no capability", f"write its name as capabilities(7) has it: {meant}?")
    longer = [name for name in CAPABILITIES if name.startswith(meant)]
    close = get_close_matches(meant[4:], [name[4:] for name in CAPABILITIES], 1)  # they all begin alike
    near = longer[0] if len(longer) == 1 else f"CAP_{close[0]}" if close else ""
    remedy = f"did you mean {near}?" if near else "capabilities(7) lists them"
    raise Unfit(f"there is no capability {shown(value)}", remedy)

"""What is written down about kept namespaces: a JSON file beside them, complete from the moment it can be seen."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from mountplan.planner.errors import KeepRefused
from mountplan.planner.names import LeftOut
from mountplan.planner.plan.plain_json import loads
from mountplan.planner.record import NamedTuple
from mountplan.planner.run_settings import RunSettings
from mountplan.planner.tables.table import MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = "mountplan-kept/1"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_OF_NAMES = f"{_LETTERS}{_LETTERS.upper()}{_DIGITS}_.-"
_ROW = (int, int, str, str, str, str, int, int, int, bool, str, str, str)  # the types of a MountRow


class KeptNamespace(NamedTuple):
    """One namespace. `name` is the spec's, of a mount namespace ("" if the spec has one only).

    `source` is where its file is: in the name's directory, or if there is a keeper, below its directory in /proc.
    """

    kind: str  # as in /proc/PID/ns: mnt, user, net, ...
    name: str
    inode: int
    source: str


class Keeper(NamedTuple):
    """The process that holds the namespaces. `start` is when it began, in clock ticks after boot: pids are used again.

    `pids` is the inode of the pid namespace in which `pid` means this.
    """

    pid: int
    start: int
    boot: str
    pids: int


class Kept(NamedTuple):
    """Namespaces that are kept under a name.

    `id` is another one for every build. `created` is in UTC; `since` says the same as seconds after boot, which no
    change of the clock touches. `spec` is the absolute path of the spec, `digest` that of the plan without its places.
    `left_out` is what the spec writes down besides, and does not stand there. `defaults` is what a tmpfs had at that
    time of options that are not shown as long as the machine's memory stays as it is; "" if that was not written down.
    `made_from` is the digest of what the spec said; "" if it was made from a saved plan.
    """

    name: str
    id: str
    spec: str
    digest: str
    created: str
    since: float
    made_by: str
    namespaces: tuple[KeptNamespace, ...]
    keeper: Keeper | None
    run: RunSettings
    left_out: tuple[LeftOut, ...] = ()
    defaults: str = ""
    made_from: str = ""

    @property
    def mounts(self) -> tuple[KeptNamespace, ...]:
        """The mount namespaces, in the order of the spec."""
        return tuple(one for one in self.namespaces if one.kind == "mnt")


def is_name(text: str) -> bool:
    """True if namespaces can be kept under it."""
    return 0 < len(text) <= 100 and text[0] not in ".-" and not text.strip(_OF_NAMES)


def check_name(name: str) -> str:
    """`name`, if it can be one: it becomes a file. Raises KeepRefused."""
    if is_name(name):
        return name
    what = f"{name!r} is no name to keep namespaces under" if name else "there is no name to keep the namespaces under"
    remedy = "a name has letters (a to z), digits, '_', '-' and '.', no '-' or '.' first, and at most 100 characters"
    if "/" in name:
        remedy = (
            f"name all of it, {name.partition('/')[0]}; enter, explain, graph and diff take one namespace of a name"
        )
    if not name:
        remedy = 'write name = "..." at the top of the spec, or give one with --name'
    raise KeepRefused(what, remedy, 2)


def file_of(kind: str, name: str) -> str:
    """The file of a namespace in its name's directory. Those of other kinds than mnt are hidden, so as not to clash."""
    if kind != "mnt":
        return f".{kind}"
    return check_name(name) if name else "mnt"


def dump_state(kept: Kept) -> bytes:
    """As JSON."""
    values = kept._asdict() | {
        "namespaces": [one._asdict() for one in kept.namespaces],
        "keeper": kept.keeper and kept.keeper._asdict(),
        "run": kept.run._asdict(),
        "left_out": [dict(zip(LeftOut._fields, one[:-1], strict=False)) for one in kept.left_out],  # for reports
    }
    if not kept.left_out:
        del values["left_out"]
    import json

    return json.dumps({"format": FORMAT, **values}, indent=1).encode() + b"\n"


def load_state(text: bytes) -> Kept:
    """What dump_state wrote. Raises KeepRefused if another version of mountplan did, and ValueError for
    anything else: what a crash has left may be anything.
    """
    try:
        values: dict[str, Any] = loads(text.decode("utf-8", "surrogatepass"))
        form = values.pop("format")
        if form != FORMAT and str(form).startswith("mountplan-kept/"):
            what = f"it was written by version {values.get('made_by')} of mountplan, which this one does not understand"
            raise KeepRefused(what, "use that version")
        if form != FORMAT:
            raise ValueError("it is no state of mountplan's")
        run = {key: _frozen(value) for key, value in values["run"].items()}
        values |= {
            "namespaces": tuple(KeptNamespace(**one) for one in values["namespaces"]),
            "keeper": Keeper(**values["keeper"]) if values["keeper"] else None,
            "run": RunSettings(**run),
            "left_out": tuple(LeftOut(**one) for one in values.get("left_out", ())),
        }
        kept = Kept(**values)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    _check_types(kept)
    return kept


def _check_types(kept: Kept) -> None:
    """Raise ValueError unless every value is of its type, and every source a place where dump_state may have it."""
    run = kept.run
    right = (
        all(type(value) is str for value in (*kept[:5], kept.made_by, kept.defaults, kept.made_from))
        and type(kept.since) in (int, float)
        and isfinite(kept.since)
        and (kept.keeper is None or (tuple(map(type, kept.keeper)) == (int, int, str, int) and kept.keeper.pid > 0))
        and all(tuple(map(type, one)) == (str, str, int, str) and _is_source(one.source) for one in kept.namespaces)
        and all(_is_texts(one[:-1]) for one in kept.left_out)
        and all(_is_texts(one) for one in (run.command, run.unshare, run.capabilities or ()))
        and type(run.environment) is tuple
        and all(_is_texts(one) and len(one) == 2 for one in run.environment)
        and type(run.cwd) is type(run.hostname) is str
        and type(run.clear_environment) is type(run.no_new_privs) is bool
    )
    if not right:
        raise ValueError("some of its values are of the wrong type")


def _is_source(text: str) -> bool:
    """Whether it is where dump_state may have the file of a namespace."""
    for begin, some in ("fd/", _DIGITS), ("ns/", _LETTERS), (".", _LETTERS):
        if text.startswith(begin):
            return text != begin and not text[len(begin) :].strip(some)
    return is_name(text)


def _is_texts(value: object) -> bool:
    return type(value) is tuple and all(type(one) is str for one in value)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


def dump_table(table: MountTable) -> bytes:
    """A mount table as JSON, one row a line."""
    import json

    return b"[" + b",\n".join(json.dumps(row).encode() for row in table.rows) + b"]\n"


def load_table(text: bytes) -> MountTable:
    """What dump_table wrote. Raises ValueError."""
    rows = _list(text)
    if any(type(row) is not list or tuple(map(type, row)) != _ROW for row in rows):
        raise ValueError("there is a row that is no mount")
    return MountTable(tuple(map(MountRow._make, rows)))


def dump_ids(ids: Iterable[int]) -> bytes:
    """Unique ids of mounts as JSON."""
    import json

    return json.dumps(sorted(ids)).encode() + b"\n"


def load_ids(text: bytes) -> frozenset[int]:
    """What dump_ids wrote. Raises ValueError."""
    ids = _list(text)
    if any(type(one) is not int for one in ids):
        raise ValueError("there is something that is no id")
    return frozenset(ids)


def _list(text: bytes) -> list[Any]:
    try:
        values = loads(text.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, list):
        raise ValueError("it is no list")
    return values

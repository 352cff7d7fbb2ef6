"""Plan <-> versioned JSON with a digest, so that a plan can be read, kept, compared and carried out later.

Steps, edges, mounts, filesystems, groups and lines are kept in columns: for each kind of step, and for each of the
others, a field has one list with the values of all of them. A list of one value means that all have it; a field that is
absent is empty, zero or false for all, as its type has it. A long column may be told by its runs instead, as in
{"runs": [[v, n], [w, m, d]]}: n times v, then m numbers that begin with w, each d more than the last. Texts are numbers
of `strings`, where each stands once: they are handles and paths, which come again and again. `order` has a letter for
each step, which its kind says. Each column and each string has a line of its own, so `diff` shows what differs between
two plans, but of steps only which values: the steps themselves are shown by `mountplan plan FILE`. With an object a
step, a plan was ten times as long.

The digest covers all that follows it, in the form in which `dump_plan` writes it. It tells damage and careless edits,
nothing more: who can change the file can write a new digest as well.

Nothing here is written per step: the fields and their types come from the NamedTuples, so a new kind of step in
`STEP_TYPES` is read, written and checked without a change to this module.
"""

from __future__ import annotations

from mountplan.planner.characters import typed
from mountplan.planner.errors import PlanFileError
from mountplan.planner.light import no_collector
from mountplan.planner.plan.digest import sha256_hex
from mountplan.planner.plan.json_values import Malformed, in_short
from mountplan.planner.plan.plain_json import loads
from mountplan.planner.plan.plain_json import quote as _quote
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.plan_reading import read_plan
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.proof_values import REMEDY
from mountplan.planner.tables.columns import load_native
from mountplan.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

FORMAT = "mountplan-plan/3"
_HEAD = ("format", "mountplan", "digest")
# What a few bytes can ask for without saying more: a file may not take memory that is out of proportion to its length.
_MOST_ALIKE = 1000
_BYTES = 8  # of the file for each record that it does not tell one by one, at least; they come to thirty and more

Json: TypeAlias = "Any"


def dump_plan(plan: Plan) -> str:
    """The plan as JSON text, ending in a newline; the same bytes for the same plan and version of mountplan."""
    with no_collector():
        body = _body(plan)
    head = {"format": FORMAT, "mountplan": __version__, "digest": _digest(body.encode())}
    return "{\n" + "".join(f'"{key}": {_quote(value)},\n' for key, value in head.items()) + body


def digest_of(plan: Plan) -> str:
    """The digest of what a plan does: its name, the spec's file, and the lines in it do not count."""
    with no_collector():
        return _digest(_body(plan._replace(name="", file="", lines=(), moved=())).encode())


def load_plan(text: bytes | str, file: str) -> Plan:
    """The plan that `text` holds, proven to be one that may be carried out; `file` is what errors call it.

    Raises PlanFileError for whatever is not a whole, unaltered plan of this format, and PlanRefused, with the step, for
    one that does what no plan may do or does not come to what it says (planner/plan/proof.py).
    """
    plan = parse_plan(text, file)
    with no_collector():
        prove(plan, file)
    return plan


def parse_plan(text: bytes | str, file: str) -> Plan:
    """The plan that `text` holds, whatever it does: nothing but its form is judged.

    Formatting and the order of keys are free, contents are not. Raises PlanFileError.
    """
    load_native(len(text))
    with no_collector():
        document = _parse(text, file)
        _check_format(document, file)
        try:
            most = max(_MOST_ALIKE, len(text) // _BYTES)
            plan = read_plan({key: document[key] for key in document if key not in _HEAD}, most)
        except Malformed as bad:
            _refuse(file, f"{bad.place}: {bad.what}" if bad.place else bad.what)
        if not _unaltered(text, document["digest"]) and document["digest"] != _digest(_body(plan).encode()):
            _refuse(file, "it was altered after mountplan wrote it (its digest does not fit its contents)")
    return plan


def _body(plan: Plan) -> str:
    """What the digest covers. To read a plan that nobody has touched takes nothing of what writes one."""
    from mountplan.planner.plan.plan_writing import body_of

    return body_of(plan)


def _parse(text: bytes | str, file: str) -> dict[str, Json]:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        document = loads(text)
    except UnicodeDecodeError as error:
        _refuse(file, f"it is not UTF-8 (byte {error.start})")
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        if line:  # json.JSONDecodeError
            words = str(getattr(error, "msg", ""))
            what = "it is empty" if not text.strip() else f"it is not JSON, or not whole: {words.lower()}"
            _refuse(f"{file}:{line}", what)
        # a number of thousands of digits; brackets nested without end
        _refuse(file, "it holds JSON that no plan holds")
    if document.__class__ is not dict or "format" not in document:
        if document.__class__ is dict and "ociVersion" in document:
            remedy = f"`mountplan import oci {typed(file)}` makes a spec of it"
            _refuse(file, "it is the configuration of an OCI container", remedy)
        _refuse(file, 'it is JSON, but not a plan (there is no "format" in it)')
    return document


def _check_format(document: dict[str, Json], file: str) -> None:
    found = document["format"]
    if isinstance(found, str) and found.startswith("mountplan-change/"):
        _refuse(file, "it is a plan of changes, which `mountplan apply FILE.json` takes, by that name")
    if found != FORMAT:
        writer = document.get("mountplan")
        by = f", written by mountplan {writer}" if isinstance(writer, str) else ""
        told = found if isinstance(found, str) and len(found) < 40 else in_short(found)
        _refuse(file, f"its format is {told}{by}; mountplan {__version__} reads {FORMAT}")
    if document.get("digest").__class__ is not str:
        _refuse(file, "it has no digest, so it cannot be told whether it is whole")


def _unaltered(text: bytes | str, digest: str) -> bool:
    """Whether the text is still, to the byte, what dump_plan wrote. This spares writing the plan out again."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    mark = f'"digest": {_quote(digest)},\n'.encode()
    at = data.find(mark, 0, 400)
    return at > 0 and _digest(memoryview(data)[at + len(mark) :]) == digest


def _digest(body: bytes | memoryview) -> str:
    return "sha256:" + sha256_hex(body)


def _refuse(file: str, what: str, remedy: str = REMEDY) -> NoReturn:
    raise PlanFileError(f"{file}: cannot use this plan: {what}\n  remedy: {remedy}")

"""What in a module can be changed, one small thing at a time: a mutant is the module with one such change.

Left out is what changes no behaviour (annotations, docstrings, __slots__) and the wording of sentences: of texts only
those without a space are changed. A mutant is known by where it is and what it changes, not by its line: so a sample
drawn by hash stays the same wherever the code stays the same.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
BODIES = ("body", "orelse", "handlers", "finalbody", "cases")  # of statements, and of what has them
UNTOUCHED = ("__slots__", "__all__")


class Mutant(NamedTuple):
    """`lines`: those of the statement, or of a compound statement's head. `at_import`: it runs when the module is
    imported, not in a call. `number` tells mutants apart that change the same in one function.
    """

    path: Path
    function: str
    kind: str
    before: str
    after: str
    number: int
    lines: range
    at_import: bool
    place: int  # of the change in `changes(tree)`

    @property
    def name(self) -> str:
        number = f" (no. {self.number + 1})" if self.number else ""
        return f"{self.path}:{self.lines.start} {self.function}: {self.before}  ->  {self.after}{number}"


class Change(NamedTuple):
    """Put `new` into `field` of `owner`, at `at` if that is a list."""

    owner: ast.AST
    field: str
    at: int | None
    old: ast.AST
    new: ast.AST
    kind: str
    function: str
    statement: ast.stmt
    at_import: bool

    def make(self) -> None:
        if self.at is None:
            setattr(self.owner, self.field, self.new)
        else:
            getattr(self.owner, self.field)[self.at] = self.new


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a module; `path` is taken from the root of the checkout."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for place, change in enumerate(changes(ast.parse(path.read_bytes()))):
        before, after = _text(change.old), _text(change.new)
        key = (change.function, change.kind, before, after)
        found.append(
            Mutant(
                path,
                change.function,
                change.kind,
                before,
                after,
                seen[key],
                _lines(change.statement),
                change.at_import,
                place,
            )
        )
        seen[key] += 1
    return found


def mutated(mutant: Mutant) -> ast.Module:
    tree = ast.parse(mutant.path.read_bytes())
    for place, change in enumerate(changes(tree)):
        if place == mutant.place:
            change.make()
            return ast.fix_missing_locations(tree)
    raise AssertionError(mutant.name)


def statements(path: Path) -> list[int]:
    """The first lines of all statements in functions."""
    return sorted({statement.lineno for _, statement in _in_functions(ast.parse(path.read_bytes()), inside=False)})


def marked(path: Path, numbers: dict[int, int]) -> ast.Module:
    """The module, each of whose statements in functions sets `mountplan_reached[numbers[its first line]]`.

    The name is one of `builtins`, which every module has.
    """
    tree = ast.parse(path.read_bytes())
    for body, statement in list(_in_functions(tree, inside=False)):
        mark = ast.parse(f"mountplan_reached[{numbers[statement.lineno]}] = 1").body[0]
        body.insert(next(at for at, one in enumerate(body) if one is statement), mark)
    return tree


def _in_functions(owner: ast.AST, *, inside: bool) -> Iterator[tuple[list[ast.stmt], ast.stmt]]:
    for field in BODIES:
        body: list[ast.stmt] = getattr(owner, field, []) if not isinstance(owner, ast.expr) else []
        for child in body:
            if inside and isinstance(child, ast.stmt) and not _is_docstring(child):
                yield body, child
            yield from _in_functions(child, inside=inside or isinstance(child, ast.FunctionDef))


def sample(paths: list[Path], size: int, seed: int) -> list[Mutant]:
    """As many mutants as `size`, evenly over all code, and the same ones wherever nothing has changed."""

    def rank(mutant: Mutant) -> bytes:
        known = (seed, *mutant[: Mutant._fields.index("lines")])
        return hashlib.sha256(repr(known).encode()).digest()

    return sorted((mutant for path in paths for mutant in mutants(path)), key=rank)[:size]


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _lines(statement: ast.stmt) -> range:
    """A head's body does not count: it may be reached when the head is, or not."""
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    end = statement.end_lineno or statement.lineno
    if body:
        first = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
        end = max(statement.lineno, first.lineno - 1)
    return range(statement.lineno, end + 1)


def changes(tree: ast.Module) -> Iterator[Change]:
    """In the order of the text, the same each time. To be made before the next one is asked for, or not at all."""
    yield from _of_body(tree, "", at_import=True)


def _of_body(owner: ast.AST, function: str, *, at_import: bool) -> Iterator[Change]:
    for field in BODIES:
        for index, child in enumerate(getattr(owner, field, ()) if not isinstance(owner, ast.expr) else ()):
            if isinstance(child, ast.stmt):
                yield from _of_statement(owner, field, index, child, function, at_import=at_import)
            else:  # an exception handler, a case
                yield from _of_body(child, function, at_import=at_import)


def _of_statement(
    owner: ast.AST, field: str, index: int, node: ast.stmt, function: str, *, at_import: bool
) -> Iterator[Change]:
    def put(new: ast.stmt, kind: str) -> Change:
        return Change(owner, field, index, node, ast.copy_location(new, node), kind, function, node, at_import)

    if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_left_out(node):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        name = f"{function}.{node.name}" if function else node.name
        if isinstance(node, ast.FunctionDef):
            for default in [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]:
                yield from _of_expression(node.args, default, name, node, at_import=at_import)
        yield from _of_body(node, name, at_import=at_import and isinstance(node, ast.ClassDef))
        return
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if called or isinstance(node, (ast.AugAssign, ast.Raise)):
        yield put(ast.Pass(), "left out")
    elif isinstance(node, ast.Continue):
        yield put(ast.Break(), "loop")
    elif isinstance(node, ast.Break):
        yield put(ast.Continue(), "loop")
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield put(ast.Return(ast.Constant(None)), "nothing returned")
    for name, value in ast.iter_fields(node):
        if name == "annotation":
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.expr):
                yield from _of_expression(node, one, function, node, at_import=at_import)
            elif isinstance(one, ast.withitem):
                yield from _of_expression(one, one.context_expr, function, node, at_import=at_import)
    yield from _of_body(node, function, at_import=at_import)


def _is_docstring(node: ast.stmt) -> bool:
    """Or `...`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_left_out(node: ast.stmt) -> bool:
    if _is_docstring(node):
        return True
    if isinstance(node, ast.If) and _text(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.AnnAssign) and _text(node.annotation) == "TypeAlias":
        return True
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(one, ast.Name) and one.id in UNTOUCHED for one in targets)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _of_expression(
    owner: ast.AST, expression: ast.expr, function: str, statement: ast.stmt, *, at_import: bool
) -> Iterator[Change]:
    for holder, field, index, node in _walk(owner, expression):
        for new, kind in _other(holder, field, node):
            new = ast.copy_location(new, node)
            yield Change(holder, field, index, node, new, kind, function, statement, at_import)


def _walk(owner: ast.AST, expression: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """The expression and all in it, each with the place that holds it; of an f-string, only what it computes."""
    for field, value in ast.iter_fields(owner):
        if value is expression:
            yield owner, field, None, expression
        elif isinstance(value, list):
            for index, one in enumerate(value):
                if one is expression:
                    yield owner, field, index, expression
    for child in ast.iter_child_nodes(expression):
        if isinstance(expression, ast.JoinedStr) and not isinstance(child, ast.FormattedValue):
            continue
        if isinstance(expression, ast.FormattedValue) and child is expression.format_spec:
            continue
        if isinstance(child, (ast.expr, ast.comprehension, ast.keyword)):
            yield from _walk(expression, child)


def _other(holder: ast.AST, field: str, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What could stand in the place of a node."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            new = copy.copy(node)
            new.ops = [*node.ops[:at], COMPARISONS[type(operator)](), *node.ops[at + 1 :]]
            yield new, "comparison"
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values), "and, or"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand, "not"
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right), "operator"
    elif isinstance(node, ast.Constant):
        yield from _other_constant(node.value)
    elif isinstance(node, ast.Call) and len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        new_call = copy.copy(node)
        new_call.args = [node.args[1], node.args[0], *node.args[2:]]
        yield new_call, "arguments swapped"
    if isinstance(node, ast.Call) and node.keywords and node.keywords[-1].arg:
        new_call = copy.copy(node)
        new_call.keywords = node.keywords[:-1]
        yield new_call, "argument left out"
    asked = field == "test" or (isinstance(holder, ast.comprehension) and field == "ifs")
    if asked and isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.NamedExpr)):
        yield ast.UnaryOp(ast.Not(), node), "condition"


def _other_constant(value: object) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(value, bool):
        yield ast.Constant(not value), "constant"
    elif isinstance(value, (int, float)):
        yield ast.Constant(value + 1), "constant"
    elif isinstance(value, str) and value and " " not in value:
        yield ast.Constant(f"{value}X"), "text"

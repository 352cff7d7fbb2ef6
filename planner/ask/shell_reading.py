"""The text of a shell script -> commands, by the grammar of tree-sitter-bash. The only module that knows it.

The grammar says where words begin and end and which commands hang together. What is in a word is taken from its text,
so that no byte of it gets lost.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import groupby, pairwise
from typing import Any

import tree_sitter
import tree_sitter_bash

from mountplan.planner.ask.shell_syntax import (
    MOST_NESTED,
    Arithmetic,
    Assignment,
    Case,
    CaseItem,
    Command,
    For,
    Function,
    Group,
    If,
    Joint,
    Negated,
    NotFollowed,
    Part,
    Pipeline,
    Redirection,
    ScriptError,
    ShellParameter,
    Simple,
    Substitution,
    Test,
    Text,
    While,
    Word,
)

_LANGUAGE = tree_sitter.Language(tree_sitter_bash.language())
_ANSI_ESCAPED = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|(\n|.))", re.DOTALL)
_ESCAPED = re.compile(r"\\(\n|.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(\n|["\\$`])', re.DOTALL)
# Expansions that the grammar takes for text, as the second one of $x/$1
_MISSED = re.compile(r"\\.|\$([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])", re.DOTALL)
# What the grammar does not know, and as many bytes with which it reads the rest as it is meant.
_UNKNOWN = (
    (re.compile(rb"(?<=\s)([0-9]?)<>(?=\s*[^\s;&|<>])"), rb"\1< "),
    (re.compile(rb"(?<=\s)(0[xX])\*\)"), rb"\1x)"),
    (re.compile(rb"(?m)(^|[\s;&|(!`])\[(?=\s)"), b"\\1\x01"),  # a command as any other
)
# Sums, and what stands in their place in words, that the grammar does not know: each is read as text on its own.
_SUM = re.compile(rb"(\$\(\()((?:[^()\n]|\([^()\n]*\))+)(?=\)\))")
_DEFAULT = re.compile(rb"(\$\{[A-Za-z_][A-Za-z0-9_]*:?[-+=])((?:[^{}\n\"]|\$\{[^{}\n\"]*\})+)(?=\})")
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}
_OPERATORS = ("-", "=", "+", "?")
_STATEMENTS = frozenset(
    {"command", "declaration_command", "unset_command", "variable_assignment", "variable_assignments", "list",
     "pipeline", "negated_command", "subshell", "compound_statement", "if_statement", "for_statement",
     "while_statement",
     "case_statement", "function_definition", "test_command", "redirected_statement", "c_style_for_statement"}
)  # fmt: skip
_NO_STATEMENTS = frozenset({"comment", "heredoc_body", "heredoc_end"})
_OTHERWISE = "write it in another way"
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})


def parse_script(text: str, first_line: int = 1, *, one_line: bool = False) -> tuple[Command, ...]:
    """The commands in order; with `one_line` all are in the first.

    What is not understood is a command too, which stops the script that comes to it.
    """
    if "\r\n" in text:
        line = first_line + (0 if one_line else text[: text.index("\r\n")].count("\n"))
        what = "the line ends with a carriage return, which shells take for a part of the last word"
        return (NotFollowed(line, what, "write lines as Unix has them (dos2unix)", ends=True),)
    reader = _Reader(text, first_line)
    reader.one_line = one_line
    return reader.commands(reader.root.children)


def _parsed(data: bytes) -> Any:
    return tree_sitter.Parser(_LANGUAGE).parse(data).root_node


def _errors(top: Any) -> int:
    """How many places are no shell."""
    count = 0
    waiting = [top]
    while waiting:
        node = waiting.pop()
        count += node.is_missing or node.is_error
        waiting += [child for child in node.children if child.has_error or child.is_missing]
    return count


def _taken_along(top: Any) -> list[int]:
    """Where an empty value ends a line, and the grammar takes the command of the next line along (`A=1 B=`)."""
    found = []
    waiting = [top]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        name = node.child_by_field_name("name") if node.type == "command" else None
        before = [one for one in node.children if one.type == "variable_assignment"] if name is not None else []
        last = before[-1] if before else None
        if last is not None and name is not None and last.end_point[0] < name.start_point[0]:
            text = node.text[last.end_byte - node.start_byte : name.start_byte - node.start_byte]
            if re.search(rb"(?<!\\)\n", text):
                found.append(last.end_byte)
    return found


class _Reader:
    def __init__(self, text: str, first_line: int) -> None:
        self.data = text.encode("utf-8", "surrogateescape")
        self.first_line = first_line
        self.one_line = False
        self.depth = 0
        self.apart: set[int] = set()  # where something begins that the grammar does not know
        self.lines = [match.start() for match in re.finditer(b"\n", self.data)]
        self.root = _parsed(self.data)
        read = self.data
        while ends := _taken_along(self.root):
            for end in ends:
                read = read[:end] + b";" + read[end + 1 :]
            self.root = _parsed(read)
        if self.root.has_error:
            self._try_otherwise(read)

    def _try_otherwise(self, data: bytes) -> None:
        """Where the grammar knows something not, the tree is that of other bytes; the text stays what it is."""
        for written, meant in _UNKNOWN:
            data = self._read_if_better(data, written.sub(meant, data))
        for written, end in ((_SUM, b"))"), (_DEFAULT, b"}")):
            for match in written.finditer(data):
                alone = match[0] + end
                if self.root.has_error and _parsed(b"x=" + (alone if end == b"))" else b'"' + alone + b'"')).has_error:
                    start, stop = match.span(2)
                    other = data[:start] + b"1" * (stop - start) + data[stop:]
                    if self._read_if_better(data, other) is other:
                        data = other
                        self.apart.add(start)

    def _read_if_better(self, data: bytes, other: bytes) -> bytes:
        if other == data or not self.root.has_error:
            return data
        root = _parsed(other)
        if _errors(root) >= _errors(self.root):
            return data
        self.root = root
        return other

    def _apart(self, start: int, end: int, line: int) -> Word | None:
        """The parts of what was left out for the grammar, as if it stood in quotation marks; None for anything else."""
        return self._text_alone(self.slice(start, end), line) if start in self.apart else None

    def _text_alone(self, inner: str, line: int) -> Word:
        """What stands in quotation marks, read on its own."""
        reader = _Reader(f': "{inner}"', line)
        commands = reader.commands(reader.root.children)
        if len(commands) == 1 and isinstance(commands[0], Simple) and len(commands[0].words) == 2:
            return commands[0].words[1]
        raise ScriptError(line, f"`{inner}` is not understood as shell", _OTHERWISE)

    def _error_in(self, top: Any) -> NotFollowed:
        """The first place that is no shell; what comes after it cannot be trusted."""
        waiting = [top]
        while waiting:
            node = waiting.pop()
            if node.is_missing:
                return NotFollowed(self.line(node), f"`{node.type}` is missing", "write it", ends=True)
            if node.is_error:
                text = self.text(node).strip().split("\n")[0][:40]
                what = f"`{text}` is not understood as shell" if text else "this is not understood as shell"
                return NotFollowed(self.line(node), what, "see whether a quote or a word is missing", ends=True)
            waiting += [child for child in reversed(node.children) if child.has_error or child.is_missing]
        raise AssertionError(top)

    def line(self, node: Any) -> int:
        return self.first_line + (0 if self.one_line else bisect_left(self.lines, node.start_byte))

    def text(self, node: Any) -> str:
        return self.slice(node.start_byte, node.end_byte)

    def slice(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8", "surrogateescape")

    # --- commands

    def commands(self, nodes: list[Any]) -> tuple[Command, ...]:
        """Statements with what stands between them."""
        found: list[Command] = []
        begin = 0
        for node in nodes:
            if node.type == "&" and begin < len(found):
                last = found[-1] if begin == len(found) - 1 else Group(found[begin].line, tuple(found[begin:]), False)
                found[begin:] = [last._replace(background=True)]
            elif node.has_error or node.is_missing:
                found.append(self._with_error(node))
            elif node.type in _STATEMENTS:
                begin = len(found)
                found += self.statement(node)
            elif node.is_named and node.type not in _NO_STATEMENTS:
                found.append(NotFollowed(self.line(node), f"{node.type} is not followed", _OTHERWISE))
        return tuple(found)

    def _with_error(self, node: Any) -> Command:
        """A function that is not understood does no harm before it is called."""
        error = self._error_in(node)
        if node.type == "function_definition" and (name := node.child_by_field_name("name")) is not None:
            return Function(self.line(node), self.text(name), error)
        return error

    def statement(self, node: Any) -> list[Command]:
        """One statement; of a list, all that it joins, each with its joint."""
        if node.type == "list":
            return self._list(node)
        if self.depth >= MOST_NESTED:
            return [NotFollowed(self.line(node), f"commands are nested more than {MOST_NESTED} deep", "nest fewer")]
        self.depth += 1
        try:
            return [self._one(node)]
        except ScriptError as error:
            return [NotFollowed(error.line, error.what, error.remedy)]
        finally:
            self.depth -= 1

    def _list(self, node: Any) -> list[Command]:
        """`a && b || c` hangs to the left; the depth of that may be as great as a line is long."""
        parts: list[tuple[Joint, Any]] = []
        one = node
        while one.type == "list":
            left, joint, right = one.children[0], one.children[1], one.children[-1]
            parts.append(("&&" if joint.type == "&&" else "||", right))
            one = left
        found = self.statement(one)
        for joint, right in reversed(parts):
            first, *rest = self.statement(right)
            found += [first._replace(joint=joint), *rest]
        return found

    def _one(self, node: Any) -> Command:
        line = self.line(node)
        match node.type:
            case "redirected_statement":
                return self._redirected(node, line)
            case "command":
                return self._simple(node, line)
            case "variable_assignment" | "variable_assignments":
                nodes = [node] if node.type == "variable_assignment" else node.children
                return Simple(line, tuple(self._assignment(one) for one in nodes), ())
            case "declaration_command" | "unset_command":
                found = self._declaration(node, line)
                return found[0] if len(found) == 1 else Group(line, tuple(found), subshell=False)
            case "pipeline":
                first, *rest = (one for one in node.children if one.type in _STATEMENTS)
                negated = first.type == "negated_command"  # as a whole
                inner = (first.children[-1] if negated else first, *rest)
                pipeline = Pipeline(line, tuple(self._joined(one) for one in inner))
                return Negated(line, pipeline) if negated else pipeline
            case "negated_command":
                return Negated(line, self._joined(node.children[-1]))
            case "compound_statement" if node.children[0].type == "((":
                return self._let(node, node.start_byte + 2, node.end_byte - 2, line)
            case "c_style_for_statement":
                return self._counting(node, line)
            case "subshell" | "compound_statement":
                return Group(line, self.commands(node.children), node.type == "subshell")
            case "if_statement":
                return self._if(node, line)
            case "for_statement":
                return self._for(node, line)
            case "while_statement":
                condition, body = self._split(node.children, "do_group")
                return While(
                    line, self.commands(condition), self.commands(body[0].children), node.children[0].type == "until"
                )
            case "case_statement":
                return self._case(node, line)
            case "function_definition":
                body = node.child_by_field_name("body")
                return Function(line, self.text(node.child_by_field_name("name")), self._joined(body))
            case "test_command":
                return self._test(node, line)
        raise ScriptError(
            line, f"`{self.text(node).split()[0]}` of this kind is not followed", "write it in another way"
        )

    def _joined(self, node: Any) -> Command:
        """What is one command in its place; a list is a group there."""
        found = self.statement(node)
        return found[0] if len(found) == 1 else Group(self.line(node), tuple(found), subshell=False)

    def _split(self, nodes: list[Any], kind: str) -> tuple[list[Any], list[Any]]:
        at = next((at for at, one in enumerate(nodes) if one.type == kind), len(nodes))
        return nodes[:at], nodes[at:]

    def _redirected(self, node: Any, line: int) -> Command:
        body = node.child_by_field_name("body")
        redirections = tuple(
            one for child in node.children if child.type in _REDIRECTS for one in self._redirection(child)
        )
        if body is None:
            return Simple(line, (), (), redirections)
        found = self.statement(body)
        first = next(one for one in node.children if one.type in _REDIRECTS)
        last = found[-1]
        if isinstance(last, Simple) and first.start_byte == body.end_byte and self.text(body.children[-1]).isdecimal():
            found[-1] = last._replace(words=last.words[:-1])  # 0<&9: the number is the descriptor's
            redirections = (redirections[0]._replace(descriptor=int(self.text(body.children[-1]))), *redirections[1:])
        found[-1] = found[-1]._replace(redirections=found[-1].redirections + redirections)
        return found[0] if len(found) == 1 else Group(line, tuple(found), subshell=False)

    def _redirection(self, node: Any) -> list[Redirection]:
        if node.type == "heredoc_redirect":
            start = next((one for one in node.children if one.type == "heredoc_start"), None)
            body = next((one for one in node.children if one.type == "heredoc_body"), None)
            further = [one for child in node.children if child.type in _REDIRECTS for one in self._redirection(child)]
            if any(one.type in ("&&", "||", "pipeline", "|") for one in node.children):
                raise ScriptError(
                    self.line(node), "what follows on <<WORD in its line is not followed", "write it apart"
                )
            plain = start is None or self.text(start)[:1] in ("'", '"', "\\")
            strip = node.children[0].type == "<<-"
            word: Word = ()
            if body is not None:
                word = (
                    (Text(self.text(body), True),)
                    if plain
                    else self._between(body, body.start_byte, body.end_byte, True)
                )
            if strip:
                word = tuple(
                    part._replace(text=re.sub(r"(?m)^\t+", "", part.text)) if isinstance(part, Text) else part
                    for part in word
                )
            return [Redirection("<<", word), *further]
        operator = next((one.type for one in node.children if not one.is_named), "")
        operand = node.child_by_field_name("destination") or node.children[-1]
        if node.type == "herestring_redirect":
            return [Redirection("<<", (*self.word(operand), Text("\n", True)))]
        first = node.children[0]
        descriptor = int(self.text(first)) if first.type == "file_descriptor" and len(self.text(first)) < 4 else -1
        if operand.type == "file_descriptor" or not operand.is_named:
            return [Redirection(operator.rstrip("-"), (Text("-", True),), descriptor)]
        if operand.type == "process_substitution" and operator == "<":
            inner = Substitution(self.commands(operand.children), self.text(operand)[2:-1].strip(), True)
            return [Redirection("<<", (inner, Text("\n", True)), descriptor)]
        return [Redirection(operator, self.word(operand), descriptor)]

    def _simple(self, node: Any, line: int) -> Simple:
        assignments = []
        words: list[Any] = []
        redirections: list[Redirection] = []
        for child in node.children:
            if child.type == "variable_assignment":
                assignments.append(self._assignment(child))
            elif child.type in _REDIRECTS:
                redirections += self._redirection(child)
            elif child.type not in ("comment", "file_descriptor"):
                words.append(child.children[0] if child.type == "command_name" else child)
        return Simple(line, tuple(assignments), self.words(words), tuple(redirections))

    def _assignment(self, node: Any) -> Assignment:
        name = node.child_by_field_name("name")
        value = node.child_by_field_name("value")
        append = node.children[1].type == "+="
        index = None
        if name.type == "subscript":
            inner = name.children[0]
            index = self._between(name, inner.end_byte + 1, name.end_byte - 1, True)
            name = inner
        if value is not None and value.type == "array":
            items = self.words([one for one in value.children[1:-1] if one.type != "comment"])
            return Assignment(self.text(name), (), append, index, items)
        return Assignment(self.text(name), self.word(value) if value is not None else (), append, index)

    def _declaration(self, node: Any, line: int) -> list[Command]:
        """`local`, `export`, `declare` and their like. Arrays are declared first, and then assigned."""
        words: list[Word] = []
        further: list[Assignment] = []
        for one in node.children:
            if one.type == "comment":
                continue
            if one.type != "variable_assignment":
                words.append(self.word(one))
                continue
            made = self._assignment(one)
            if made.items is not None or made.key is not None or made.append:
                words.append((Text(made.name, True),))
                further.append(made)
            else:
                value = (part._replace(quoted=True) if not isinstance(part, Arithmetic) else part for part in made.word)
                words.append((Text(f"{made.name}=", True), *value))
        declared = Simple(line, (), tuple(words))
        return [declared, Simple(line, tuple(further), ())] if further else [declared]

    def _if(self, node: Any, line: int) -> If:
        branches = []
        otherwise: tuple[Command, ...] = ()
        rest = [one for one in node.children if one.type in ("elif_clause", "else_clause")]
        own = [one for one in node.children if one not in rest]
        for nodes in (own, *(one.children for one in rest if one.type == "elif_clause")):
            condition, body = self._split(nodes, "then")
            branches.append((self.commands(condition), self.commands(body)))
        for one in rest:
            if one.type == "else_clause":
                otherwise = self.commands(one.children)
        return If(line, tuple(branches), otherwise)

    def _for(self, node: Any, line: int) -> For:
        if node.children[0].type != "for":
            raise ScriptError(line, f"`{node.children[0].type}` is not followed", "write the commands that are meant")
        head, body = self._split(node.children, "do_group")
        name = self.text(node.child_by_field_name("variable"))
        after = self._split(head, "in")[1]
        words = self.words([one for one in after[1:] if one.type not in (";", "comment")]) if after else None
        return For(line, name, words, self.commands(body[0].children))

    def _let(self, node: Any, start: int, end: int, line: int) -> Simple:
        """`(( ))` as the command `let`."""
        sum_ = self._between(node, start, end, True) or (Text("0", True),)
        return Simple(line, (), ((Text("let", True),), sum_))

    def _counting(self, node: Any, line: int) -> Command:
        """`for ((a; b; c))` as a loop that does c before it asks b, but for the first time."""
        body = node.child_by_field_name("body")
        begin = next(one for one in node.children if one.type == "((").end_byte
        end = next(one for one in node.children if one.type == "))").start_byte
        cuts = [one.start_byte for one in node.children if one.type == ";" and begin <= one.start_byte < end]
        if len(cuts) != 2 or body.type not in ("do_group", "compound_statement"):
            raise ScriptError(line, "`for` of this kind is not followed", _OTHERWISE)
        first = f"_first_{node.start_byte}"
        condition = self._let(node, cuts[0] + 1, cuts[1], line)
        if not self.slice(cuts[0] + 1, cuts[1]).strip():
            condition = Simple(line, (), ((Text("let", True),), (Text("1", True),)))
        step = self._between(node, cuts[1] + 1, end, True) or (Text("0", True),)
        again = (Text(f"{first} ? ({first} = 0) : (", True), *step, Text(")", True))
        begun = (Assignment(first, (Text("1", True),)),)
        loop = While(
            line, (Simple(line, (), ((Text("let", True),), again)), condition), self.commands(body.children), False
        )
        return Group(line, (self._let(node, begin, cuts[0], line), Simple(line, begun, ()), loop), subshell=False)

    def _case(self, node: Any, line: int) -> Case:
        items = []
        for one in node.children:
            if one.type == "case_item":
                before, after = self._split(one.children, ")")
                patterns = tuple(self.word(child) for child in before if child.type not in ("(", "|", "comment"))
                joint = next((child.type for child in after if child.type in (";&", ";;&")), ";;")
                items.append(CaseItem(patterns, self.commands(after), joint))
        return Case(line, self.word(node.child_by_field_name("value")), tuple(items))

    def _test(self, node: Any, line: int) -> Command:
        """The words in their order; the grammar's idea of what they mean is left aside."""
        first = node.children[0].type
        if first not in ("[", "[["):
            raise ScriptError(line, f"`{first}` is not followed", "use [ ... ]")
        found: list[Any] = []
        waiting = list(reversed(node.children[1:-1]))
        while waiting:
            one = waiting.pop()
            if one.type in ("unary_expression", "binary_expression", "negation_expression", "parenthesized_expression"):
                waiting += reversed(one.children)
            else:
                found.append(one)
        words = self.words(found)
        if first == "[[":
            return Test(line, words)
        return Simple(line, (), ((Text("[", False),), *words, (Text("]", False),)))

    # --- words

    def words(self, nodes: list[Any]) -> tuple[Word, ...]:
        """What follows without a space is the same word, whatever the grammar makes of it."""
        found: list[Word] = []
        end = -1
        for node in nodes:
            parts = self.word(node)
            if node.start_byte == end:
                found[-1] = _mended((*found[-1], *parts))
            else:
                found.append(parts)
            end = node.end_byte
        return tuple(found)

    def word(self, node: Any, quoted: bool = False) -> Word:
        if self.depth >= MOST_NESTED:
            raise ScriptError(self.line(node), f"words are nested more than {MOST_NESTED} deep", "nest fewer")
        self.depth += 1
        try:
            return self._word(node, quoted)
        finally:
            self.depth -= 1

    def _word(self, node: Any, quoted: bool) -> Word:
        match node.type:
            case "concatenation":
                for child, after in pairwise(node.children):
                    name = self.text(child)[1:]
                    if child.type == "simple_expansion" and name.isidentifier() and self.text(after).startswith("{"):
                        what = f"${name}{{ is not followed: bash reads it with the first letters that the braces give"
                        raise ScriptError(self.line(node), what, f"write ${{{name}}}{{")
                return _mended(tuple(part for child in node.children for part in self.word(child, quoted)))
            case "string" | "translated_string":
                inner = node.children[-1] if node.type == "translated_string" else node
                parts = self._between(inner, inner.start_byte + 1, inner.end_byte - 1, True)
                return parts or (Text("", True),)
            case "raw_string":
                return (Text(self.text(node)[1:-1], True),)
            case "ansi_c_string":
                return (Text(self._ansi(node), True),)
            case "simple_expansion" | "expansion" | "command_substitution" | "arithmetic_expansion":
                text = self.text(node)
                lead = text[: len(text) - len(text.lstrip())]  # the grammar takes spaces in quotes for a part of it
                return (*((Text(lead, True),) if lead else ()), self._expanded(node, lead, quoted))
            case "process_substitution":
                raise ScriptError(self.line(node), "<( ) is not followed", "use a file")
        text = self.text(node)
        if node.type == "regex":
            if re.search(r"[\"'`]|\$[{(]", text):
                what = "a regular expression with quotation marks in it is not followed"
                raise ScriptError(self.line(node), what, "put it into a variable: [[ $x =~ $pattern ]]")
            return _mended(self._unescaped(text))
        return self._unescaped(text)

    def _expanded(self, node: Any, lead: str, quoted: bool) -> Part:
        """What stands behind the spaces `lead`."""
        text = self.text(node)[len(lead) :]
        match node.type:
            case "simple_expansion":
                return ShellParameter(text[1:], quoted)
            case "expansion":
                return self._expansion(node, lead, quoted)
            case "command_substitution":
                return self._substitution(node, text, quoted)
        start = node.start_byte + len(lead.encode()) + (3 if text.startswith("$((") else 2)
        if (apart := self._apart(start, node.end_byte - 2, self.line(node))) is not None:
            return Arithmetic(apart)
        return Arithmetic(self._between(node, start, node.end_byte - (2 if text.endswith("))") else 1), True))

    def _unescaped(self, text: str) -> Word:
        """Text without quotes: what a backslash stands before is quoted."""
        parts: list[Part] = []
        at = 0
        for match in _ESCAPED.finditer(text):
            if match.start() > at:
                parts.append(Text(text[at : match.start()], False))
            if match[1] != "\n":
                parts.append(Text(match[1], True))
            at = match.end()
        if at < len(text) or not parts:
            parts.append(Text(text[at:], False))
        return tuple(parts)

    def _between(self, node: Any, start: int, end: int, quoted: bool) -> Word:
        """All bytes from `start` to `end`: the node's expansions, and text between them."""
        parts: list[Part] = []
        at = start
        waiting = list(reversed(node.children))
        while waiting:
            one = waiting.pop()
            if one.start_byte < at or one.end_byte > end:
                continue
            if one.type in ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"):
                self._add_text(parts, at, one.start_byte, quoted)
                parts += self.word(one, quoted)
                at = one.end_byte
            elif not quoted and one.type in ("string", "raw_string", "ansi_c_string"):
                self._add_text(parts, at, one.start_byte, quoted)
                parts += self.word(one)
                at = one.end_byte
            else:
                waiting += reversed(one.children)
        self._add_text(parts, at, end, quoted)
        return tuple(parts)

    def _add_text(self, parts: list[Part], start: int, end: int, quoted: bool) -> None:
        if start >= end:
            return
        text = self.slice(start, end)
        if quoted:
            at = 0
            for match in _MISSED.finditer(text):
                if match[1] is None:
                    continue  # an escape
                parts += (Text(_unquoted(text[at : match.start()]), True), ShellParameter(match[1], True))
                at = match.end()
            parts.append(Text(_unquoted(text[at:]), True))
        else:
            parts += self._unescaped(text)

    def _ansi(self, node: Any) -> str:
        def one(match: re.Match[str]) -> str:
            if match[4] is None:
                code = int(match[1], 8) % 256 if match[1] else int(match[2] or match[3], 16)
                return chr(code) if code < 128 or match[3] else chr(0xDC00 + code)
            if match[4] in _ANSI:
                return _ANSI[match[4]]
            if match[4] in "\\'\"?":
                return match[4]
            raise ScriptError(self.line(node), f"\\{match[4]} in $'...' is not followed", "write the character")

        return _ANSI_ESCAPED.sub(one, self.text(node)[2:-1]).partition("\0")[0]  # nothing after a byte 0

    def _expansion(self, node: Any, lead: str, quoted: bool) -> ShellParameter:
        text = self.text(node)[len(lead) :]
        index = None
        if match := re.match(r"(\$\{[#!]?[A-Za-z_][A-Za-z0-9_]*)\[((?:[^\[\]]|\[[^\]]*\])*)\]", text):
            begin = node.start_byte + len((lead + match[1]).encode()) + 1
            index = self._between(node, begin, begin + len(match[2].encode()), True)
            text = match[1] + text[match.end() :]
        if match := re.fullmatch(r"\$\{#([A-Za-z_][A-Za-z0-9_]*|[0-9@*])\}", text):
            return ShellParameter(match[1], quoted, "length", key=index)
        if match := re.fullmatch(r"\$\{!([A-Za-z_][A-Za-z0-9_]*|[0-9]+)\}", text):
            return ShellParameter(match[1], quoted, "!", key=index)
        match = re.match(
            r"\$\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])(:?[-=+?]|##?|%%?|//|/[#%]?|\^\^?|,,?|:|\})", text
        )
        if match is None:
            raise ScriptError(
                self.line(node), f"{text} is not followed", "use ${NAME}, ${NAME:-...}, ${NAME#...} or ${NAME%...}"
            )
        if match[2] == "}":
            return ShellParameter(match[1], quoted, key=index)
        start = node.end_byte - len(text[match.end() :].encode())
        if match[2][0] in "/:" and match[2][1:] not in ("-", "=", "+", "?"):
            return self._with_two(node, match, start, quoted)._replace(key=index)
        if (apart := self._apart(start, node.end_byte - 1, self.line(node))) is not None:
            return ShellParameter(match[1], quoted, match[2], apart, key=index)
        if match[2][0] in "#%":
            argument = self._pattern(start, node.end_byte - 1, self.line(node))
        elif quoted and '"' in (inner := self.slice(start, node.end_byte - 1)):
            argument = self._text_alone(_without_quotes(inner), self.line(node))
        else:
            argument = self._between(node, start, node.end_byte - 1, quoted)
        return ShellParameter(match[1], quoted, match[2], argument, key=index)

    def _pattern(self, start: int, end: int, line: int) -> Word:
        """A pattern in an expansion, which the grammar has as text: quoted or not, with expansions in it."""
        text = self.slice(start, end)
        parts: list[Part] = []
        at = 0
        for match in _IN_PATTERN.finditer(text):
            if match.start() < at:
                continue  # within the last one
            if match.start() > at:
                parts.append(Text(text[at : match.start()], False))
            at = match.end()
            if match[0][0] == "\\":
                parts.append(Text(match[0][1:], True))
            elif match[0][0] == "'":
                parts.append(Text(match[0][1:-1], True))
            else:
                at = _end_of(text, match.start())
                inner = text[match.start() : at]
                reader = _Reader(f": {inner}", line)
                found = reader.commands(reader.root.children)
                if len(found) != 1 or not isinstance(found[0], Simple) or len(found[0].words) != 2:
                    raise ScriptError(line, f"`{text}` is not understood as a pattern", _OTHERWISE)
                parts += found[0].words[1]
        if at < len(text):
            parts.append(Text(text[at:], False))
        return tuple(parts)

    def _with_two(self, node: Any, match: re.Match[str], start: int, quoted: bool) -> ShellParameter:
        """`${name/pattern/text}` and `${name:first:length}`: at the first separator that nothing encloses."""
        end = node.end_byte - 1
        at, depth = start, 0
        separator = match[2][0].encode()
        while at < end and (depth or self.data[at : at + 1] != separator):
            depth += {b"{": 1, b"(": 1, b"}": -1, b")": -1}.get(self.data[at : at + 1], 0)
            at += 2 if self.data[at : at + 1] == b"\\" else 1
        is_part = separator == b":"
        if is_part:
            first = self._between(node, start, min(at, end), True)
        else:
            first = self._pattern(start, min(at, end), self.line(node))
        second = self._between(node, at + 1, end, True) if at < end else ()
        return ShellParameter(match[1], quoted, match[2], first, second)

    def _substitution(self, node: Any, text: str, quoted: bool) -> Substitution:
        if text.startswith("`"):
            if re.search(r"(?<!\\)`", text[1:-1]):
                what = "several `...` in one line are not followed: the grammar takes them for one"
                raise ScriptError(self.line(node), what, "write $(...)")
            inner = re.sub(r"\\([$`\\])", r"\1", text[1:-1])
            reader = _Reader(inner, self.line(node))
            reader.depth = self.depth
            return Substitution(reader.commands(reader.root.children), inner.strip(), quoted)
        named = [one for one in node.children if one.is_named]
        if len(named) == 1 and named[0].type == "file_redirect":  # $(<file)
            cat = Simple(self.line(node), (), ((Text("cat", True),),), tuple(self._redirection(named[0])))
            return Substitution((cat,), text[2:-1].strip(), quoted)
        return Substitution(self.commands(node.children), text[2:-1].strip(), quoted)


# A backslash with what it stands before, quotation marks, and where an expansion begins.
_IN_PATTERN = re.compile(r"\\(?:.|$)|'[^']*'|\"|`|\$[A-Za-z_0-9@*#?$!{(-]", re.DOTALL)
_CLOSED_BY = {"(": ")", "{": "}", '"': '"', "`": "`"}


def _end_of(text: str, start: int) -> int:
    """Where what begins at `start` ends: an expansion, or a text in quotation marks."""
    if text[start] == "$" and text[start + 1] not in "({":
        name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|.", re.DOTALL).match(text, start + 1)
        return name.end() if name is not None else start + 1
    at = start + (text[start] == "$")
    waiting = [_CLOSED_BY[text[at]]]
    at += 1
    while at < len(text) and waiting:
        character = text[at]
        if character == "\\":
            at += 1
        elif character == waiting[-1]:
            waiting.pop()
        elif character == "'" and waiting[-1] != '"':
            at = text.find("'", at + 1) if "'" in text[at + 1 :] else len(text)
        elif character in _CLOSED_BY and (waiting[-1] != '"' or character == "`" or text[at - 1] == "$"):
            waiting.append(_CLOSED_BY[character])
        at += 1
    return min(at, len(text))


def _without_quotes(text: str) -> str:
    """What stands in quotation marks loses those that it has of its own, but for those in its expansions."""
    found, at = "", 0
    while at < len(text):
        end = at + 1
        if text[at] == "\\":
            end = at + 2
        elif text[at] == "`" or text[at : at + 2] in ("${", "$("):
            end = _end_of(text, at)
        if text[at:end] != '"':
            found += text[at:end]
        at = end
    return found


def _unquoted(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(lambda match: "" if match[1] == "\n" else match[1], text)


def _mended(parts: tuple[Part, ...]) -> Word:
    """Neighbouring texts without quotes as one, and the expansions in them that the grammar has missed."""
    found: list[Part] = []
    for plain, some in groupby(parts, lambda part: isinstance(part, Text) and not part.quoted):
        if not plain:
            found += some
            continue
        text = "".join(part.text for part in some if isinstance(part, Text))
        at = 0
        for match in _MISSED.finditer(text):
            if match[1] is not None:
                found += (Text(text[at : match.start()], False), ShellParameter(match[1], False))
                at = match.end()
        found.append(Text(text[at:], False))
    return tuple(part for part in found if not isinstance(part, Text) or part.text or part.quoted) or (Text("", False),)

"""The text of a shell script -> commands, by the tree of the grammar, which says which of them hang together."""

from __future__ import annotations

import re
from typing import Any

from mountplan.planner.shell import shell_syntax as s
from mountplan.planner.shell.shell_word_reading import OTHERWISE, WordReader, with_quotes

_STATEMENTS = frozenset(
    {"command", "declaration_command", "unset_command", "variable_assignment", "variable_assignments", "list",
     "pipeline", "negated_command", "subshell", "compound_statement", "if_statement", "for_statement",
     "while_statement", "case_statement", "function_definition", "test_command", "redirected_statement",
     "c_style_for_statement"}
)  # fmt: skip
_NO_STATEMENTS = frozenset({"comment", "heredoc_body", "heredoc_end"})
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})


def parse_script(text: str, first_line: int = 1, *, one_line: bool = False) -> tuple[s.Command, ...]:
    """The commands in order; with `one_line` all are in the first.

    What is not understood is a command too, which stops the script that comes to it.
    """
    if "\r\n" in text:
        line = first_line + (0 if one_line else text[: text.index("\r\n")].count("\n"))
        what = "the line ends with a carriage return, which shells take for a part of the last word"
        return (s.NotFollowed(line, what, "write lines as Unix has them (dos2unix)", ends=True),)
    reader = _Reader(text, first_line)
    reader.one_line = one_line
    return reader.commands(reader.root.children)


class _Reader(WordReader):
    def commands(self, nodes: list[Any]) -> tuple[s.Command, ...]:
        """Statements with what stands between them."""
        found: list[s.Command] = []
        begin = 0
        for node in nodes:
            if node.type == "&" and begin < len(found):
                last = found[-1] if begin == len(found) - 1 else s.Group(found[begin].line, tuple(found[begin:]), False)
                found[begin:] = [last._replace(background=True)]
            elif node.has_error or node.is_missing:
                found.append(self._with_error(node))
            elif node.type in _STATEMENTS:
                begin = len(found)
                found += self.statement(node)
            elif node.is_named and node.type not in _NO_STATEMENTS:
                found.append(s.NotFollowed(self.line(node), f"{node.type} is not followed", OTHERWISE))
        return tuple(found)

    def _with_error(self, node: Any) -> s.Command:
        """A function that is not understood does no harm before it is called."""
        error = self.error_in(node)
        if node.type == "function_definition" and (name := node.child_by_field_name("name")) is not None:
            return s.Function(self.line(node), self.text(name), error)
        return error

    def statement(self, node: Any) -> list[s.Command]:
        """One statement; of a list, all that it joins, each with its joint."""
        if node.type == "list":
            return self._list(node)
        if self.depth >= s.MOST_NESTED:
            return [s.NotFollowed(self.line(node), f"commands are nested more than {s.MOST_NESTED} deep", "nest fewer")]
        self.depth += 1
        try:
            return [self._one(node)]
        except s.ScriptError as error:
            return [s.NotFollowed(error.line, error.what, error.remedy)]
        finally:
            self.depth -= 1

    def _list(self, node: Any) -> list[s.Command]:
        """`a && b || c` hangs to the left; the depth of that may be as great as a line is long."""
        parts: list[tuple[s.Joint, Any]] = []
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

    def _one(self, node: Any) -> s.Command:
        line = self.line(node)
        match node.type:
            case "redirected_statement":
                return self._redirected(node, line)
            case "command":
                return self._simple(node, line)
            case "variable_assignment" | "variable_assignments":
                nodes = [node] if node.type == "variable_assignment" else node.children
                return s.Simple(line, tuple(self._assignment(one) for one in nodes), ())
            case "declaration_command" | "unset_command":
                found = self._declaration(node, line)
                return found[0] if len(found) == 1 else s.Group(line, tuple(found), subshell=False)
            case "pipeline":
                first = next(one for one in node.children if one.type in _STATEMENTS)
                negated = first.type == "negated_command"  # as a whole
                inner = [first.children[-1] if one == first and negated else one for one in node.children]
                pipeline = s.Pipeline(line, self._parts(inner))
                return s.Negated(line, pipeline) if negated else pipeline
            case "negated_command":
                return s.Negated(line, self._joined(node.children[-1]))
            case "compound_statement" if node.children[0].type == "((":
                return self._let(node, node.start_byte + 2, node.end_byte - 2, line)
            case "c_style_for_statement":
                return self._counting(node, line)
            case "subshell" | "compound_statement":
                return s.Group(line, self.commands(node.children), node.type == "subshell")
            case "if_statement":
                return self._if(node, line)
            case "for_statement":
                return self._for(node, line)
            case "while_statement":
                condition, body = self._split(node.children, "do_group")
                until = node.children[0].type == "until"
                return s.While(line, self.commands(condition), self.commands(body[0].children), until)
            case "case_statement":
                return self._case(node, line)
            case "function_definition":
                body = node.child_by_field_name("body")
                return s.Function(line, self.text(node.child_by_field_name("name")), self._joined(body))
            case "test_command":
                return self._test(node, line)
        raise s.ScriptError(line, f"`{self.text(node).split()[0]}` of this kind is not followed", OTHERWISE)

    def _joined(self, node: Any) -> s.Command:
        """What is one command in its place; a list is a group there."""
        found = self.statement(node)
        return found[0] if len(found) == 1 else s.Group(self.line(node), tuple(found), subshell=False)

    def _split(self, nodes: list[Any], kind: str) -> tuple[list[Any], list[Any]]:
        at = next((at for at, one in enumerate(nodes) if one.type == kind), len(nodes))
        return nodes[:at], nodes[at:]

    def _redirected(self, node: Any, line: int) -> s.Command:
        body = node.child_by_field_name("body")
        redirections = tuple(
            one for child in node.children if child.type in _REDIRECTS for one in self.redirection(child)
        )
        if body is None:
            return s.Simple(line, (), (), redirections)
        found = self.statement(body)
        first = next(one for one in node.children if one.type in _REDIRECTS)
        last, number = found[-1], self.text(body.children[-1]) if first.start_byte == body.end_byte else ""
        variable = re.fullmatch(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", number)
        if isinstance(last, s.Simple) and (number.isdecimal() or variable):
            found[-1] = last._replace(words=last.words[:-1])  # 0<&9: the number is the descriptor's
            named = {"variable": variable[1]} if variable else {"descriptor": int(number)}
            redirections = (redirections[0]._replace(**named), *redirections[1:])
        found[-1] = _redirecting(found[-1], redirections)
        for child in node.children:
            if child.type == "heredoc_redirect":
                found = self._behind_heredoc(child, found)
        return found[0] if len(found) == 1 else s.Group(line, tuple(found), subshell=False)

    def _parts(self, nodes: list[Any]) -> tuple[s.Command, ...]:
        """Of a pipeline: commands, and what stands between them."""
        found: list[s.Command] = []
        for one in nodes:
            if one.type in _STATEMENTS:
                made = self._joined(one)
                found += made.commands if isinstance(made, s.Pipeline) and not made.redirections else (made,)
            elif one.type == "|&" and found:
                found[-1] = _redirecting(found[-1], (s.Redirection(">&", (s.Text("1", True),), 2),))
        return tuple(found)

    def _behind_heredoc(self, node: Any, found: list[s.Command]) -> list[s.Command]:
        """What follows on `<<WORD` in its line hangs on the command before it."""
        for at, one in enumerate(node.children):
            if one.type == "pipeline":
                *nodes, last = one.children
                first, *rest = self.statement(last)
                further = first.commands if isinstance(first, s.Pipeline) else (first,)
                parts = (found[-1]._replace(joint=";"), *self._parts(nodes), *further)
                found = [*found[:-1], s.Pipeline(found[-1].line, parts, joint=found[-1].joint), *rest]
            elif one.type in ("&&", "||"):
                first, *rest = self.statement(node.children[at + 1])
                found = [*found, first._replace(joint=one.type), *rest]
        return found

    def redirection(self, node: Any) -> list[s.Redirection]:
        if node.type == "heredoc_redirect":
            start = next((one for one in node.children if one.type == "heredoc_start"), None)
            end = next((one for one in node.children if one.type == "heredoc_end"), None)
            further = [one for child in node.children if child.type in _REDIRECTS for one in self.redirection(child)]
            plain = start is None or self.text(start)[:1] in ("'", '"', "\\")
            first = self.data.find(b"\n", start.end_byte if start is not None else node.start_byte) + 1
            text = self.slice(first, end.start_byte) if end is not None and first else ""
            if any(one.type == "<<-" for one in node.children):
                text = re.sub(r"(?m)^\t+", "", text)
            line = self.line(node) + (0 if self.one_line else 1)
            word = (s.Text(text, True),) if plain else self._text_alone(with_quotes(text), line)
            return [s.Redirection("<<", word, self._descriptor(node)), *further]
        sign = next((one for one in node.children if not one.is_named), None)
        operator = sign.type if sign is not None else ""
        if sign is not None and self.slice(sign.start_byte, sign.end_byte + 1) == "<>":
            operator = "<>"  # which the grammar does not know
        operand = node.child_by_field_name("destination") or node.children[-1]
        if node.type == "herestring_redirect":
            return [s.Redirection("<<", (*self.word(operand), s.Text("\n", True)), self._descriptor(node))]
        descriptor = self._descriptor(node)
        if operand.type == "file_descriptor" or not operand.is_named:
            return [s.Redirection(operator.rstrip("-"), (s.Text("-", True),), descriptor)]
        if operand.type == "process_substitution" and operator == "<":
            inner = s.Substitution(self.commands(operand.children), self.text(operand)[2:-1].strip(), True)
            return [s.Redirection("<(", (inner,), descriptor)]
        return [s.Redirection(operator, self.word(operand), descriptor)]

    def _descriptor(self, node: Any) -> int:
        """The number that stands before a redirection, or -1."""
        first = node.children[0]
        return int(self.text(first)) if first.type == "file_descriptor" and len(self.text(first)) < 4 else -1

    def _simple(self, node: Any, line: int) -> s.Simple:
        assignments = []
        words: list[Any] = []
        redirections: list[s.Redirection] = []
        for child in node.children:
            if child.type == "variable_assignment":
                assignments.append(self._assignment(child))
            elif child.type in _REDIRECTS:
                redirections += self.redirection(child)
            elif child.type not in ("comment", "file_descriptor"):
                words.append(child.children[0] if child.type == "command_name" else child)
        return s.Simple(line, tuple(assignments), self.words(words), tuple(redirections))

    def _assignment(self, node: Any) -> s.Assignment:
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
            return s.Assignment(self.text(name), (), append, index, items)
        return s.Assignment(self.text(name), self.word(value) if value is not None else (), append, index)

    def _declaration(self, node: Any, line: int) -> list[s.Command]:
        """`local`, `export`, `declare` and their like. Arrays are declared first, and then assigned."""
        words: list[s.Word] = []
        further: list[s.Assignment] = []
        for one in node.children:
            if one.type == "comment":
                continue
            if one.type != "variable_assignment":
                words.append(self.word(one))
                continue
            made = self._assignment(one)
            if made.items is not None or made.key is not None or made.append:
                words.append((s.Text(made.name, True),))
                further.append(made)
            else:
                parts = (one if isinstance(one, s.Arithmetic) else one._replace(quoted=True) for one in made.word)
                words.append((s.Text(f"{made.name}=", True), *parts))
        declared = s.Simple(line, (), tuple(words))
        return [declared, s.Simple(line, tuple(further), ())] if further else [declared]

    def _if(self, node: Any, line: int) -> s.If:
        rest = [one for one in node.children if one.type in ("elif_clause", "else_clause")]
        own = [one for one in node.children if one not in rest]
        branches = []
        for nodes in (own, *(one.children for one in rest if one.type == "elif_clause")):
            condition, body = self._split(nodes, "then")
            branches.append((self.commands(condition), self.commands(body)))
        otherwise = [command for one in rest if one.type == "else_clause" for command in self.commands(one.children)]
        return s.If(line, tuple(branches), tuple(otherwise))

    def _for(self, node: Any, line: int) -> s.For:
        if node.children[0].type != "for":
            raise s.ScriptError(line, f"`{node.children[0].type}` is not followed", "write the commands that are meant")
        head, body = self._split(node.children, "do_group")
        name = self.text(node.child_by_field_name("variable"))
        after = self._split(head, "in")[1]
        words = self.words([one for one in after[1:] if one.type not in (";", "comment")]) if after else None
        return s.For(line, name, words, self.commands(body[0].children))

    def _let(self, node: Any, start: int, end: int, line: int) -> s.Simple:
        """`(( ))` as the command `let`."""
        sum_ = self._between(node, start, end, True) or (s.Text("0", True),)
        return s.Simple(line, (), ((s.Text("let", True),), sum_))

    def _counting(self, node: Any, line: int) -> s.Command:
        """`for ((a; b; c))` as a loop that does c before it asks b, but for the first time."""
        body = node.child_by_field_name("body")
        begin = next(one for one in node.children if one.type == "((").end_byte
        end = next(one for one in node.children if one.type == "))").start_byte
        cuts = [one.start_byte for one in node.children if one.type == ";" and begin <= one.start_byte < end]
        if len(cuts) != 2 or body.type not in ("do_group", "compound_statement"):
            raise s.ScriptError(line, "`for` of this kind is not followed", OTHERWISE)
        first = f"_first_{node.start_byte}"
        condition = self._let(node, cuts[0] + 1, cuts[1], line)
        if not self.slice(cuts[0] + 1, cuts[1]).strip():
            condition = s.Simple(line, (), ((s.Text("let", True),), (s.Text("1", True),)))
        step = self._between(node, cuts[1] + 1, end, True) or (s.Text("0", True),)
        again = (s.Text(f"{first} ? ({first} = 0) : (", True), *step, s.Text(")", True))
        begun = (s.Assignment(first, (s.Text("1", True),)),)
        loop = s.While(
            line, (s.Simple(line, (), ((s.Text("let", True),), again)), condition), self.commands(body.children), False
        )
        return s.Group(line, (self._let(node, begin, cuts[0], line), s.Simple(line, begun, ()), loop), subshell=False)

    def _case(self, node: Any, line: int) -> s.Case:
        items = []
        for one in node.children:
            if one.type == "case_item":
                before, after = self._split(one.children, ")")
                patterns = tuple(self.word(child) for child in before if child.type not in ("(", "|", "comment"))
                joint = next((child.type for child in after if child.type in (";&", ";;&")), ";;")
                items.append(s.CaseItem(patterns, self.commands(after), joint))
        return s.Case(line, self.word(node.child_by_field_name("value")), tuple(items))

    def _test(self, node: Any, line: int) -> s.Command:
        """The words in their order; the grammar's idea of what they mean is left aside."""
        first = node.children[0].type
        if first not in ("[", "[["):
            raise s.ScriptError(line, f"`{first}` is not followed", "use [ ... ]")
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
            return s.Test(line, words)
        return s.Simple(line, (), ((s.Text("[", False),), *words, (s.Text("]", False),)))


def _redirecting(command: s.Command, redirections: tuple[s.Redirection, ...]) -> s.Command:
    """Redirections stand for the last part of a pipeline alone."""
    if isinstance(command, s.Pipeline) and command.commands:
        *before, last = command.commands
        return command._replace(commands=(*before, _redirecting(last, redirections)))
    if isinstance(command, s.Negated):
        return command._replace(command=_redirecting(command.command, redirections))
    return command._replace(redirections=command.redirections + redirections)

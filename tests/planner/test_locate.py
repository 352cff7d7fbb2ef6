"""Places: the line of every key of a TOML text, checked against a writer that knows where it wrote what."""

from __future__ import annotations

from random import Random

import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from mountplan.planner.language.locate import Places, key_path, prefixes

# What could be taken for something else by a reader that goes line by line.
TRICKY = [
    "",
    "x",
    "[mount]",
    "[[mount]]\nkey = 1",
    "\n[a]\nb = 2\n",
    "# no comment",
    "a = [",
    "]",
    "{",
    "}",
    "= ,",
    "é",
]
BARE = ["a", "b", "mount", "file", "0", "-", "x_y", "true", "inf"]
ODD = ["a.b", "a b", "", "=", "#", "[x]", "é", "it's", 'say "x"', "back\\slash", "\t", "a]b", "]]"]

Path = tuple[str | int, ...]


class Writer:
    """Writes a TOML text and notes on which line each key and element begins."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.text = ""
        self.lines: dict[Path, int] = {}
        self.headers: list[tuple[Path, int]] = []
        self.document()
        if self.flip():
            self.text = self.text.rstrip("\r\n")

    def __repr__(self) -> str:
        return self.text

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def flip(self) -> bool:
        return self.random.random() < 0.5

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def names(self, most: int) -> list[str]:
        return self.random.sample(BARE + ODD, self.random.randint(0, most))

    def key(self, path: Path, parts: list[str]) -> Path:
        for number, part in enumerate(parts):
            if number:
                self.text += self.pick(".", " . ", "\t.")
            path = (*path, part)
            self.note(path)
            basic = '"' + part.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
            styles = [basic, basic.replace("é", "\\u00e9")]
            if "'" not in part:
                styles.append(f"'{part}'")
            if part in BARE:
                styles += [part] * 5
            self.text += self.pick(*styles)
        return path

    def gap(self) -> str:
        return self.pick("", "", " ", "\t", "\n", "  # comment, [with] {things} = \"in 'it\n", "\r\n", "\n\n#\n")

    def end(self) -> None:
        self.text += self.pick("", " ", "\t# [[mount]] '''\n  ") + self.pick("\n", "\r\n")

    def string(self) -> str:
        value = "".join(self.random.choices(TRICKY, k=self.random.randint(0, 3)))
        if "\n" not in value:
            short = [f'"{value}"', '"\\"[a]\\\\"', "'\\'", "''", '""', "'# \"'"]
        else:
            short = ['"[\\n]"']
        first = self.pick("", "\n", "\r\n", "''", "'")
        long = [
            f"'''{value}'''",
            f'"""{first}{value}"""',
            f'"""{value}\\\n   \\""""',
            f'"""{value}"""""',
            f"'''\n{value}'''''",
            f'"""""{value}x"""',
            '""""""',
            "''''''",
        ]
        return self.pick(*short, *long)

    def value(self, path: Path, depth: int = 0) -> None:
        kind = self.random.randint(0, 5 if depth < 3 else 3)
        if kind <= 1:
            self.text += self.string()
        elif kind <= 3:
            self.text += self.pick(
                "1", "0x1F", "1.5e3", "true", "1979-05-27", "1979-05-27 07:32:00Z", "07:32:00", "inf"
            )
        elif kind == 4:
            self.text += "["
            length = self.random.randint(0, 4)
            for index in range(length):
                self.text += self.gap()
                self.note((*path, index))
                self.value((*path, index), depth + 1)
                self.text += self.gap() + ("," if index < length - 1 else self.pick("", ","))
            self.text += self.gap() + "]"
        else:
            self.text += "{" + self.pick("", " ")
            for index, name in enumerate(self.names(3)):
                self.text += self.pick(",", " , ") if index else ""
                inner = self.key(path, [name, *self.names(1)])
                self.text += self.pick("=", " = ")
                self.value(inner, depth + 1)
            self.text += self.pick("", " ") + "}"

    def body(self, path: Path, names: list[str]) -> None:
        for name in names:
            self.text += self.gap() + self.pick("", " ", "\t")
            inner = self.key(path, [name, *self.names(2)])
            self.text += self.pick("=", " = ", "\t=\t")
            self.value(inner)
            self.end()

    def document(self) -> None:
        names = self.names(6)
        cut = self.random.randint(0, len(names))
        self.body((), names[:cut])
        for name in names[cut:]:
            if self.flip():
                self.table((), (name,), depth=0)
            else:
                self.tables((), (name,), depth=0)

    def open(self, path: Path, written: tuple[str, ...], brackets: str) -> None:
        """A header: `written` are the keys in it, `path` is what they mean, an index after each array."""
        self.text += self.pick("", "\n", "  ") + brackets + self.pick("", " ")
        line = self.text.count("\n") + 1
        for number, part in enumerate(written):
            known = dict(self.lines)
            self.text += "." if number else ""
            self.key((), [part])
            self.lines = known
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        self.text += self.pick("", " ") + brackets.replace("[", "]")
        self.end()
        self.headers.append((path, line))

    def table(self, path: Path, written: tuple[str, ...], depth: int) -> None:
        *extra, _ = [*self.names(2), ""]
        path, written = (*path, written[-1], *extra), (*written, *extra)
        self.open(path, written, "[")
        self.inside(path, written, depth)

    def tables(self, path: Path, written: tuple[str, ...], depth: int) -> None:
        for index in range(self.random.randint(1, 3)):
            self.open((*path, written[-1], index), written, "[[")
            self.inside((*path, written[-1], index), written, depth)

    def inside(self, path: Path, written: tuple[str, ...], depth: int) -> None:
        names = self.names(4)
        cut = self.random.randint(0, len(names)) if depth < 2 else len(names)
        self.body(path, names[:cut])
        for name in names[cut:]:
            (self.table if self.flip() else self.tables)(path, (*written, name), depth + 1)


# Made from a seed, not draw by draw: a text takes hundreds of choices, and it can be read without being shrunk.
documents = st.randoms(use_true_random=True).map(Writer)


def paths_in(value: object, path: Path = ()) -> set[Path]:
    found: set[Path] = {path} if path else set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= paths_in(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths_in(inner, (*path, index))
    return found


@settings(max_examples=100)
@given(documents)
def test_every_key_and_element_that_the_parser_finds_has_the_line_where_it_begins(written: Writer) -> None:
    """The places must agree with the parser on every text, or an error message would send people to the wrong line."""
    places = Places(written.text)
    expected = {path: written.lines.get(path) for path in paths_in(tomli.loads(written.text))}
    assert expected == {path: places.line(key_path(*path)) for path in expected}


@settings(max_examples=100)
@given(documents)
def test_headers_are_told_in_order_with_the_index_of_each_array_element(written: Writer) -> None:
    assert tuple((key_path(*path), line) for path, line in written.headers) == Places(written.text).headers()


@given(st.text(alphabet="ab.=[]{}\"'\\#,\n\r 1", max_size=60), st.text(alphabet='ab.[]0"\\', max_size=12))
def test_text_that_is_not_toml_gets_vague_answers_but_never_an_exception(text: str, key: str) -> None:
    places = Places(text)
    places.headers()
    assert 1 <= places.line(key) <= text.count("\n") + 2


SPEC = """\
format = 1
run.command = [
    "sh",
    "-c", "true",
]

[[mount]]
target = "/"
options = { size = "1m", mode = "0755" }

[[mount]]   # the second
target = "/b"
[[mount.file]]
path = "x"
content = '''
[[mount]]
target = "/not/a/mount"
'''
[[mount.file]]
path = "y"
  [peer_group.data]
  master = "feed"
[peer_group."a b"]
[[mount]]
target = "/c"
"""


def lines_of(*keys: str) -> list[int]:
    places = Places(SPEC)
    return [places.line(key) for key in keys]


def test_keys_of_arrays_of_tables_are_counted_per_parent() -> None:
    """`[[mount.file]]` belongs to the mount above it, and its own count starts anew there."""
    assert [7, 11, 13, 19, 24] == lines_of("mount[0]", "mount[1]", "mount[1].file[0]", "mount[1].file[1]", "mount[2]")
    assert [8, 12, 14, 20, 25] == lines_of(
        "mount[0].target", "mount[1].target", "mount[1].file[0].path", "mount[1].file[1].path", "mount[2].target"
    )


def test_keys_inside_inline_tables_and_elements_over_several_lines_have_their_own_line() -> None:
    assert [9, 9, 2, 3, 4, 4] == lines_of(
        "mount[0].options", "mount[0].options.mode", "run.command", "run.command[0]", "run.command[1]", "run.command[2]"
    )


def test_what_is_not_there_is_at_the_nearest_thing_around_it() -> None:
    """A missing key has no line of its own; the header of its table is where a person would add it."""
    assert [11, 9, 4, 22, 7, 1, 1] == lines_of(
        "mount[1].bind.path",
        "mount[0].options.nr_inodes",
        "run.command[2][0]",
        "peer_group.data.master.x",
        "mount[9].target",
        "nowhere",
        "",
    )


def test_a_key_that_needs_quotes_is_found_by_its_quoted_path() -> None:
    assert [23, 21, 21] == lines_of(key_path("peer_group", "a b"), "peer_group.data", "peer_group")


def test_an_index_in_a_key_path_is_a_number_and_a_key_is_quoted_if_toml_would_quote_it() -> None:
    assert 'mount[3]."a.b"."c\\"\\n".d' == key_path("mount", 3, "a.b", 'c"\n', "d")


def test_newlines_in_inline_tables_are_read_as_toml_1_1_has_them() -> None:
    places = Places("a = {\n  b = 1, # one\n  c = [ {\n d = 2 } ],\n}\ne = 3\n")
    assert [1, 2, 3, 3, 4, 6] == [places.line(key) for key in ("a", "a.b", "a.c", "a.c[0]", "a.c[0].d", "e")]


def test_prefixes_are_what_a_key_lies_in() -> None:
    assert ["mount", "mount[3]", "mount[3].options", 'mount[3].options."a.b"'] == prefixes('mount[3].options."a.b"')


def test_a_bracket_in_a_string_ends_no_list() -> None:
    """What stood behind it looked like a comment, and all that followed was lost."""
    places = Places('a = [ "}# no comment"\n, 1]\n[[mount]]\ntype = 2\n')
    assert [1, 2, 3, 4] == [places.line(key) for key in ("a[0]", "a[1]", "mount[0]", "mount[0].type")]

"""What README, CONTRIBUTING and docs/ name is there: paths, `make` targets, commands, tests that hold promises."""

from __future__ import annotations

import ast
import contextlib
import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from mountplan.cli import main
from mountplan.cli.parser import parse
from mountplan.cli.usage import UsageError
from mountplan.planner.language.spec_reading import parse_spec_leniently
from tests.fakes import FakeOutside
from tests.hosts import CHECKOUT, InHost
from tests.keptnames import on_run

PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").rglob("*.md"))
)
# What these folders hold is named from the top of the checkout. Other paths in the pages are of the reader's machine.
ROOMS = ("planner", "applier", "mountplan", "tests", "docs", "specs", "bench", "contrib")
PATH = re.compile(rf"(?<![\w./~$-])((?:{'|'.join(ROOMS)})/[\w./@{{}},*-]*\w[\w@]*/?|\.ci/\w+)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"\bmake ((?:[a-z][a-z-]*\b ?)(?=[`\s;]|$))")
# What an installed mountplan calls itself in tracebacks and logs, and what make and the fixtures leave.
MADE = ("build/", "bench/floor", "bench/out")


def _text(page: str) -> str:
    return (CHECKOUT / page).read_text(encoding="utf-8")


def _fences(page: str) -> str:
    return "\n".join(re.findall(r"^ *```[^\n]*\n(.*?)^ *```", _text(page), re.DOTALL | re.MULTILINE))


def _commands_named(page: str) -> list[str]:
    """What follows `mountplan` in every line that a reader would type: after a prompt, and in lists of commands."""
    inline = re.findall(r"`mountplan ([^`]+)`", _text(page))
    return inline + re.findall(r"^ *(?:\$ )?mountplan +([a-z-][^#\n]*)", _fences(page), re.MULTILINE)


@cache
def commands() -> frozenset[str]:
    """All that `mountplan --help` lists."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["--help"])
    listed = out.getvalue().partition("commands:\n")[2].partition("\n\n")[0]
    return frozenset(re.findall(r"^    ([a-z]+)", listed, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    text = _text(page)
    named = {path.rstrip(".,") for path in PATH.findall(text)}
    missing = {path for path in named if not path.startswith(MADE) and not any(CHECKOUT.glob(path.rstrip("/")))}
    dead = {link for link in LINK.findall(text) if not ((CHECKOUT / page).parent / link).exists()}
    assert set() == missing | dead


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", _text("Makefile"), re.MULTILINE))
    named = {word.strip() for word in TARGET.findall("\n".join([_fences(page), *re.findall("`[^`]+`", _text(page))]))}
    assert set() == named - targets


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_is_one(page: str) -> None:
    named = {shlex.split(line.replace("'", ""))[0] for line in _commands_named(page)}
    assert set() == {word for word in named if not word.startswith("-") and word not in {*commands(), "COMMAND"}}


@pytest.mark.parametrize("page", [*PAGES, "--help"])
def test_every_command_line_can_be_typed_as_it_stands(page: str) -> None:
    """With what is said beside it, which the shell must take for a comment."""
    if page == "--help":
        lines = [line for name in commands() for line in EXAMPLE.findall(_printed(f"{name} --help"))]
    else:
        lines = EXAMPLE.findall(_fences(page).replace("\\\n", " "))
    wrong = {}
    for line in lines:
        words = shlex.split(re.split(r"(?<!\S)(?:\||>|&&)(?!\S)", line)[0], comments=True)
        before = words[: words.index("--")] if "--" in words else words
        try:
            parse(before)
        except UsageError as error:
            wrong[line] = str(error)
    assert {} == wrong
    assert lines or page != "--help"


EXAMPLE = re.compile(r"^ *(?:\$ )?mountplan +([a-z-][^\n]*)", re.MULTILINE)


def _modules() -> list[Path]:
    halves = (*CHECKOUT.glob("planner/**/*.py"), *CHECKOUT.glob("applier/**/*.py"))
    return [*halves, *CHECKOUT.glob("mountplan/*.py"), *CHECKOUT.glob("mountplan/cli/*.py")]


def test_every_module_that_a_page_or_a_module_names_is_there() -> None:
    """Modules move; what is said about them in a comment does not move along."""
    names = {path.name for path in (*_modules(), *CHECKOUT.glob("tests/**/*.py"), *CHECKOUT.glob("bench/*.py"))}
    gone = {
        f"{place.relative_to(CHECKOUT)}: {name}"
        for place in (*_modules(), *(CHECKOUT / page for page in PAGES))
        for name in re.findall(r"(?<![\w./-])(?:\w+/)*\w+\.py\b", place.read_text(encoding="utf-8"))
        if not (CHECKOUT / name).exists() and ("/" in name or name not in names)
    }
    assert set() == gone


def test_beside_the_rooms_lies_little() -> None:
    """What all rooms may import grows unless it is counted. ADR 6."""
    beside = {half: [path.stem for path in CHECKOUT.glob(f"{half}/*.py")] for half in ("planner", "applier")}
    assert ["__init__"] == beside["applier"]
    assert len(beside["planner"]) <= 11, "ten, and __init__"


def test_no_class_has_the_name_of_another_and_no_module_of_a_room_that_of_another() -> None:
    """A name in a traceback, a commit or a page means one thing. CONTRIBUTING says so."""
    modules = [path for path in _modules() if path.name != "__init__.py"]
    names = [path.name for path in modules]
    names += [name for path in modules for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)]
    assert [] == [name for name, times in Counter(names).items() if times > 1]


def test_every_front_door_that_a_room_names_is_there() -> None:
    for room in {path.parent for path in _modules() if path.name == "__init__.py"}:
        for module, names in re.findall(r"([\w/]+\.py) \(([\w, ]+)\)", (room / "__init__.py").read_text()):
            tree = ast.parse((room / module).read_text())
            known = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            known |= {
                ast.unparse(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
            }
            assert set(names.split(", ")) <= known, f"{room}/{module}"


def test_the_lines_of_the_rooms_are_about_as_many_as_the_page_says() -> None:
    """To a fifth: it is for who wants to know where most of the code is."""
    rows = re.findall(
        r"^\| `((?:planner|applier|mountplan)/[\w/*.]*)` \| (\d+) \|", _text("docs/architecture.md"), re.M
    )
    rooms = {path.parent.relative_to(CHECKOUT) for path in _modules()} - {Path("applier")}
    assert rooms == {Path(name.removesuffix("*.py")) for name, _ in rows}
    wrong = {}
    for name, told in rows:
        files = CHECKOUT.glob(name if "*" in name else f"{name}**/*.py")
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
        if abs(lines - int(told)) > max(100, lines / 5):
            wrong[name] = lines
    assert {} == wrong


def test_every_contract_that_the_page_names_is_one() -> None:
    contracts = set(re.findall(r'^id = "([\w-]+)"', _text("pyproject.toml"), re.MULTILINE))
    section = _text("docs/architecture.md").partition("## What holds it")[2].partition("## ")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for name in re.findall("`(.+?)`", row)}
    assert contracts == named


def test_the_readme_has_a_line_for_every_command() -> None:
    table = re.findall(r"^\| `([a-z]+)` \|", _text("README.md"), re.MULTILINE)
    assert set(table) == commands()
    assert len(table) == len(set(table))


def test_what_the_pages_name_was_found_at_all() -> None:
    """Patterns that match nothing would make all of the above pass."""
    assert len(commands()) >= 16
    assert "planner/language/spec.py" in PATH.findall(_text("docs/architecture.md"))
    assert "adr/0001-namedtuples-on-the-hot-path.md" in LINK.findall(_text("docs/architecture.md"))
    assert "test" in {word.strip() for word in TARGET.findall(_fences("CONTRIBUTING.md"))}
    assert any(line.startswith("apply specs/hello.toml") for line in _commands_named("README.md"))


SHOP = """\
format = 1
name = "shop"

[[mount]]
typ = "tmpfs"
target = "/"
[[mount]]
target = "srv"
type = "tmpfs"
attributes = ["ro", "nosiud"]

[[mount]]
target = "/x"
bind = "/no/such"
master = "feed"
"""


def _printed(command: str) -> str:
    """What a command prints on standard output and standard error, as one who types it in the checkout sees it."""
    if command.startswith("run "):  # standard output is that of its command
        words = [sys.executable, "-m", "mountplan", *shlex.split(command)]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(shlex.split(command))
    out.seek(0)
    return out.read()


def _steady(text: str) -> str:
    """Without what is another each time: how long it took, and the kernel's numbers of groups."""
    return re.sub(r"\bgroup \d+", "group 1", re.sub(r"\d+\.\d+ s\b", "0.00 s", text))


# A file that a page has its reader write begins with its name; a command stands alone with what it prints.
FILE_OR_COMMAND = re.compile(
    r"^```toml\n# ([\w.-]+\.toml)\n(.*?)^```|^```\n\$ mountplan ([^\n]+)\n(.*?)^```", re.M | re.S
)


@pytest.mark.needs_kernel("mountns", "set-group")
@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("README.md", 5), ("docs/graph.md", 2), ("docs/import.md", 1), ("docs/export.md", 2), ("docs/tutorial.md", 9),
        ("docs/howto-sandbox.md", 2),
    ],
)  # fmt: skip
def test_a_page_shows_what_its_commands_print(in_host: InHost, tmp_path: Path, page: str, least: int) -> None:
    """One after the other, times aside; a line of three dots stands for any lines."""
    (tmp_path / "shop.toml").write_text(SHOP)
    (tmp_path / "specs").symlink_to(CHECKOUT / "specs")
    blocks = FILE_OR_COMMAND.findall(_text(page))
    commands = [(command, shown) for _, _, command, shown in blocks if command]
    assert len(commands) >= least

    def look() -> list[str]:
        os.chdir(tmp_path)
        os.environ |= {"XDG_CACHE_HOME": str(tmp_path), "COLUMNS": "80"}
        printed = []
        for file, text, command, _ in blocks:
            if command:
                printed.append(_printed(command))
            elif page.startswith("docs/"):
                Path(file).write_text(f"# {file}\n{text}")
        return printed

    for (command, shown), printed in zip(commands, in_host(on_run(look)), strict=True):
        for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE):
            assert _steady(part) in _steady(printed), command


@pytest.mark.parametrize("name", ["disjoint-group", "complex-sharing"])
def test_the_pictures_on_the_pages_are_what_the_command_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mountplan graph specs/NAME.toml -o docs/pictures/NAME.svg` makes one anew."""
    monkeypatch.chdir(CHECKOUT)
    assert _text(f"docs/pictures/{name}.svg") == _printed(f"graph specs/{name}.toml --format svg")


MOUNT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'


@pytest.mark.parametrize("page", PAGES)
def test_every_piece_of_a_spec_on_a_page_has_keys_and_values_that_there_are(page: str) -> None:
    """A piece need not be whole: that a mount or a group is missing is no mistake here."""
    for piece in re.findall(r"^```toml\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE):
        above = MOUNT if piece.startswith("[[mount.file]]") else ""
        text = piece if "format = 1" in piece else f"format = 1\n{above}{piece}"
        included = re.findall(r'"([^"]+\.toml)"', text)
        names = (page, *(f"{page}/../{name}" for name in included))
        files = {os.path.normpath(f"/cwd/{name}"): "format = 1" for name in names}
        _, mistakes = parse_spec_leniently(text.encode(), page, FakeOutside(files))
        missing = ("the spec has no mount", "has no value")
        assert [] == [str(one) for one in mistakes if not one.what.startswith(missing)]


OURS = re.compile("yard|workbench|seed", re.IGNORECASE)


@pytest.mark.needs_kernel("mountns")
def test_yard_workbench_and_seed_appear_only_where_steps_are_shown(in_host: InHost) -> None:
    """They are how it is built. Who asks what stands there, or what is wrong, need not know them (docs/glossary.md)."""
    spec = str(CHECKOUT / "specs/disjoint-group.toml")
    asked = [
        f"apply {spec}",
        *("ls", "show disjoint-group", f"verify {spec}", "rm disjoint-group"),
        *(f"{command} {spec}" for command in ("check", "explain", "plan", "plan --steps")),
    ]

    def look() -> list[str]:
        return [_printed(command) for command in asked]

    for command, printed in zip(asked, in_host(on_run(look)), strict=True):
        before, _, steps = printed.partition("Steps, and why")
        assert [] == OURS.findall(before), command
        assert bool(steps) == bool(OURS.findall(steps)) == command.startswith("plan --steps"), command


# A name "hello" is kept by then. Standard output of `run` and `enter`, and of a hook, is that of others.
IN_JSON = """
check specs/hello.toml
plan specs/hello.toml
apply specs/hello.toml
run /nonesuch.toml -- true
enter nonesuch -- true
ls
show hello
capture hello
import fstab /etc/fstab
export sh specs/hello.toml
diff specs/hello.toml hello
verify specs/hello.toml
watch --for 0.1 hello
hook --nonesuch
explain hello
graph hello
simulate /dev/null
doctor
schema
example
completion bash
rm hello
"""


def test_the_help_of_every_command_names_json_and_none_of_our_words() -> None:
    helps = {command: _printed(f"{command} --help") for command in sorted(commands())}
    assert [] == [command for command, text in helps.items() if "--json" not in text or OURS.search(text)]


@pytest.mark.needs_kernel("mountns")
def test_every_command_takes_json(in_host: InHost) -> None:
    """And prints one value, of what it has done or of what is wrong."""
    lines = IN_JSON.split("\n")[1:-1]
    assert sorted(commands()) == sorted(line.split()[0] for line in lines)

    def look() -> list[str]:
        return [_printed(line.replace(" ", " --json ", 1) if " " in line else f"{line} --json") for line in lines]

    for line, printed in zip(lines, in_host(on_run(look)), strict=True):
        wrong = line.split()[0] in ("run", "enter", "hook")
        assert wrong == ("error" in json.loads(printed)), line


def test_each_message_on_the_page_of_troubles_is_one_of_ours_or_the_kernels() -> None:
    """Who searches the page for what was printed finds it; `...` and NAME stand for what is another each time."""
    rooms = [(CHECKOUT / room).rglob("*.py") for room in ("planner", "applier", "mountplan")]
    ours = "".join(path.read_text(encoding="utf-8") for room in rooms for path in room).replace("\\'", "'")
    kernels = {f"{os.strerror(number)} ({name})" for number, name in errno.errorcode.items()}
    kernels |= {os.strerror(number) for number in errno.errorcode} | {os.strerror(errno.ENOENT).lower()}
    rows = re.findall(r"^\| (.*?) \|", _text("docs/troubleshooting.md"), re.MULTILINE)[1:]
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)[:1]]
    assert len(messages) > 15
    for message in messages:
        parts = [part.strip(' "') for part in re.split(r"\.\.\.|NAME", message)]
        assert [] == [part for part in parts if part not in ours and part not in kernels], message


@pytest.mark.needs_kernel("mountns")
def test_the_program_in_the_readme_does_what_it_says(in_host: InHost) -> None:
    (program,) = re.findall(r"^```python\n(import mountplan\n.*?)^```", _text("README.md"), re.DOTALL | re.M)

    def look() -> str:
        os.chdir(CHECKOUT)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program, {})
        return out.getvalue()

    printed = in_host(look)
    assert printed.startswith("['/', '/srv']\nformat = 1\n")
    assert printed.rstrip().endswith('target = "/srv"\ntype = "tmpfs"')


@cache
def _tests_in(file: str) -> frozenset[str]:
    if not (CHECKOUT / file).exists():
        return frozenset()
    tree = ast.parse((CHECKOUT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_promise_names_a_test_that_is_there() -> None:
    """docs/promises.md says which test would fail if a promise were broken. Read, not run."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.*::.*) \|$", _text("docs/promises.md"), re.MULTILINE)
    assert len(rows) > 50
    gone = {
        f"{file}::{name}"
        for _, _, tests in rows
        for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
        if name not in _tests_in(file)
    }
    assert set() == gone
    lines = [line for line in _text("docs/promises.md").splitlines() if line.startswith("| ")]
    assert len(lines) == len(rows) + lines.count("| promise | where | held by |")


def test_every_page_that_a_promise_names_is_there() -> None:
    rows = re.findall(r"^\| (?:.+) \| (.+) \| (?:.*::.*) \|$", _text("docs/promises.md"), re.MULTILINE)
    pages = {Path(page).stem for page in PAGES}
    assert set() == {page for where in rows for page in where.split(", ")} - pages

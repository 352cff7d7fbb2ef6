"""Loading a spec: what is accepted, and each mistake with its place, in words, with a remedy."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mountplan.live_outside import LiveOutside
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language.hints import HINTS
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.language.spec_reading import build_spec, parse_spec, parse_spec_leniently
from mountplan.planner.language.values import escape
from mountplan.planner.paths import TargetPath
from tests.planner.spoilt import MODELS, SPECS

SHOP = """\
format = 1
name = "shop"

[peer_group.feed]
host = "/srv/feed"

[peer_group.data]
master = "feed"

[[mount]]
target = "/"
type = "tmpfs"
options = { size = "16m", mode = "0755", inode64 = true, nr_inodes = 100 }

[[mount]]
id = "data"
target = "/srv//data/."
bind = { mount = "other", path = "incoming" }
attributes = ["ro", "nosuid"]
peer_group = "data"
idmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }

[[mount.file]]
path = "incoming/README"
content = "hello\\n"
mode = "0644"
uid = 0

[run]
command = ["sh"]
"""


def only_mistake(text: str | bytes) -> Mistake:
    with pytest.raises(SpecError) as caught:
        parse_spec(text if isinstance(text, bytes) else text.encode(), "s.toml")
    (mistake,) = caught.value.mistakes
    return mistake


def mistake_of(line: str) -> tuple[str, str]:
    """What is wrong, and the remedy, for one line of a mount. Its place is that line and its key."""
    mistake = only_mistake(f'format = 1\n[[mount]]\ntarget = "/"\n{line}\n')
    assert 4 == mistake.ref.line
    assert mistake.ref.key.startswith("mount[0]." + line.split(" ")[0])
    return mistake.what, mistake.remedy


# -- what is accepted -------------------------------------------------------------------------------------------------


def test_a_spec_holds_what_the_toml_says_with_paths_made_plain() -> None:
    spec = parse_spec(SHOP.encode(), "shop.toml")
    data = spec.mount[1]
    assert ("shop", "/srv/data", "data") == (spec.name, data.target, data.peer_group)
    assert MountPath(mount="other", path=TargetPath("/incoming")) == data.bind
    assert {"size": "16m", "mode": "0755", "inode64": True, "nr_inodes": 100} == spec.mount[0].options
    assert [(0, 1000, 1)] == (data.idmap.uids if data.idmap else None)
    assert "/incoming/README" == data.file[0].path


def test_paths_know_what_a_component_is() -> None:
    """Later phases ask a path for its parts and its ancestors."""
    assert isinstance(parse_spec(SHOP.encode()).mount[0].target, TargetPath)


def test_a_spec_tells_where_its_keys_are() -> None:
    spec = parse_spec(SHOP.encode(), "shop.toml")
    assert "shop.toml:18: mount[1].bind.path" == str(spec.ref("mount[1].bind.path"))
    assert "shop.toml:15: mount[1].upper" == str(spec.ref("mount[1].upper"))
    assert ("mount[1].file[0]", 23) in spec.headers()


def test_a_spec_made_in_python_equals_the_one_that_is_read_and_knows_no_lines() -> None:
    made = build_spec(tomli.loads(SHOP), "made")
    assert parse_spec(SHOP.encode(), "shop.toml") == made
    assert SpecRef("made", "mount[1].bind", 0) == made.ref("mount[1].bind")
    assert () == made.headers()


def test_making_a_spec_changes_nothing_in_what_it_is_made_of() -> None:
    value: dict[str, Any] = {"format": "1", "mount": [{"target": 3}, {}, 4], "x": 1}
    before = copy.deepcopy(value)
    with pytest.raises(SpecError):
        build_spec(value)
    assert before == value


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example_is_a_spec(path: Path) -> None:
    assert str(path) == parse_spec(path.read_bytes(), str(path), LiveOutside()).file


# -- each mistake in words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        ('bind = "srv/data"', '"srv/data" is not absolute', """write the whole path from '/' on: "/srv/data"?"""),
        (
            "bind = 17",
            "is the number 17",
            'write a host path "/srv/data", or { mount = "ID", path = "/in/it" }',
        ),
        ('bind = "~/x"', """"~/x" is not absolute: '~' is not replaced""", None),
        ('bind = "$HOME"', '"$HOME" is not absolute: variables are not replaced', None),
        (
            'bind = "/srv/../etc"',
            """"/srv/../etc" contains '..', which depends on symlinks""",
            'write the path that is meant: "/etc"?',
        ),
        ('bind = "/a\\u0000b"', '"/a\\x00b" contains a NUL character', None),
        ('bind = "/a\\nb"', '"/a\\nb" contains a newline', None),
        ('bind = ""', "is empty", None),
        ('bind = { path = "/x" }', "is missing", 'add mount = "data"; a path of the host is written bind = "/x"'),
        ('bind = { mount = "m", paht = "/x" }', "unknown key", 'did you mean "path"?'),
        ("recursive = 1", "is the number 1, not true or false", "write recursive = true"),
        ('create = "no"', 'is the string "no", not true or false', "write create = false"),
        ('attributes = ["nosiud"]', '"nosiud" is no attribute of a mount', 'did you mean "nosuid"?'),
        (
            'attributes = ["size=1m"]',
            '"size=1m" is no attribute of a mount',
            'it belongs to the filesystem: write options = { size = "1m" }',
        ),
        ('attributes = ["readonly"]', '"readonly" is no attribute of a mount', 'write "ro"'),
        ('attributes = ["shared"]', '"shared" is no attribute of a mount', 'write peer_group = "NAME" on the mount'),
        (
            'attributes = ["ro,nosuid"]',
            '"ro,nosuid" is several attributes in one string',
            'write each by itself: "ro", "nosuid"',
        ),
        ('attributes = "ro"', 'is the string "ro", not a list', 'write attributes = ["ro"]'),
        (
            'options = "ro,size=1m,inode64"',
            'is the string "ro,size=1m,inode64", not a table',
            'write options = { size = "1m", inode64 = true } and attributes = ["ro"]',
        ),
        ("options = { size = 1.5 }", "is the number 1.5", 'write it as the filesystem wants it, in a string: "1.5"'),
        ("options = { size = 1979-05-27 }", "is the date 1979-05-27", None),
        ("options = { lower = [1] }", "is the number 1", None),
        (f'options = {{ size = "{"1" * 256}" }}', f'"{"1" * 40}...{"1" * 17}" is longer than 255 bytes', None),
        (f'source = "{"x" * 256}"', f'"{"x" * 40}...{"x" * 17}" is longer than 255 bytes', None),
        ('options = { "size=1m" = true }', 'option "size=1m" has its value in its name', 'write size = "1m"'),
        ('on_symlink = "folow"', '"folow" is not known here', 'did you mean "follow"?'),
        ('on_symlink = "never"', '"never" is not known here', 'write "error" or "follow"'),
        ('id = "my data"', '"my data" is no name', None),
        ('type = "tmp fs"', '"tmp fs" is no filesystem type', None),
        ('fstype = "tmpfs"', "unknown key", "write type = ..."),
        ("recusive = true", "unknown key", 'did you mean "recursive"?'),
        (
            "idmap = { uids = [[0, 1]], gids = [[0, 0, 1]] }",
            "is the list [0, 1]",
            "write three whole numbers: [first id in the filesystem, first id seen through the mount, count]",
        ),
        (
            "idmap = { uids = [[0, 10, 5], [5, 14, 1]], gids = [[0, 0, 1]] }",
            "uids: [0, 10, 5] and [5, 14, 1] both map id 14 seen through the mount",
            "map each id once",
        ),
        ("idmap = { uids = [[0, 0, 1]], gids = [] }", "is an empty list", None),
        (
            "idmap = { uids = [[0, 0, 4294967296]], gids = [[0, 0, 1]] }",
            "[0, 0, 4294967296] goes beyond the ids that there are",
            "they go from 0 to 4294967294",
        ),
        ('layers = ["/a", 3]', "is the number 3", None),
        ("mask = [1]", "is the number 1", None),
        ('file = "x"', 'is the string "x", not a list', "write [[mount.file]], in double brackets, before each one"),
        ('file = [{ path = "x", uid = true }]', "is true", "write a whole number, such as 1000"),
        (
            'file = [{ path = "x", uid = "root" }]',
            'is the string "root"',
            "write its number: names may mean another one inside",
        ),
        (
            'file = [{ path = "x", mode = 755 }]',
            "is the number 755",
            'write it as octal digits in a string, "0000" to "7777", such as "0755"',
        ),
        ('file = [{ path = "x", mode = "0x1f" }]', '"0x1f" is no file mode', None),
        ('file = [{ path = "x", mode = "u+x" }]', '"u+x" is a symbolic mode', None),
        (
            'file = [{ path = "x", content = "a", fifo = true }]',
            "is said to be several things at once: content, fifo",
            "keep one of them; none is an empty file",
        ),
        ('file = [{ path = "x", symlink = "a", mode = "0755" }]', "a symlink has no mode of its own", "leave mode out"),
        ('file = [{ path = "x", device = "null" }]', '"null" is no device', None),
        ('file = [{ path = "x", device = "c:\u0661:3" }]', '"c:\u0661:3" is no device', None),
        ('file = [{ path = "x", device = "c:5000:1" }]', '"c:5000:1" is out of range', None),
        ('file = [{ content = "x" }]', "is missing", 'add path = "etc/motd"'),
        (
            'image = { path = "/x", size = 0 }',
            "0 bytes of it are none",
            "write how many, or leave it out for all to the end",
        ),
    ],
)
def test_a_mistake_is_told_in_words_with_a_remedy(line: str, what: str, remedy: str | None) -> None:
    """A person who never saw the program's inside must see what to change."""
    told, advice = mistake_of(line)
    assert what == told
    assert advice if remedy is None else remedy == advice


@pytest.mark.parametrize("home", ["~/x", "$HOME/x", "${HOME}/x"])
def test_the_home_directory_is_a_parameter(home: str) -> None:
    assert mistake_of(f'bind = "{home}"')[1].endswith('or ${home}, with home = { env = "HOME" } in [parameters]')


@pytest.mark.parametrize(
    ("text", "place", "what", "remedy"),
    [
        ('[peer_group]\nfeed = "x"', "peer_group.feed", 'is the string "x", not a table', "[peer_group.feed]"),
        (
            '[[run]]\ncommand = ["sh"]',
            "run",
            "is the list [{ command = ... }], not a table",
            "[run], in single brackets",
        ),
        ("[run]\ncommand = \"sh -c 'a b'\"", "run.command", None, 'command = ["sh", "-c", "a b"]'),
        ('[run]\nenvironment = ["A=b=c"]', "run.environment", None, 'environment = { A = "b=c" }'),
        ('[run.environment]\n"A=b" = "c"', 'run.environment."A=b"', None, "has no '=' in it"),
        ('[run]\nunshare = ["ned"]', "run.unshare[0]", '"ned" is not known here', 'did you mean "net"?'),
        ('[run]\ncapabilities = ["sys_admin"]', "run.capabilities[0]", None, "CAP_SYS_ADMIN?"),
        ('[run]\ncommand = ["a\\u0000"]', "run.command[0]", '"a\\x00" contains a NUL character', None),
        ('[peer_group."a b"]', 'peer_group."a b"', '"a b" is no name', '"a-b"?'),
        ("[peer_group.x]\nmembers = 1", "peer_group.x.members", "unknown key", "on each member"),
        ("[[mounts]]", "mounts", "unknown key", 'did you mean "mount"?'),
        ("[[namespace]]", "namespace[0].name", "is missing", 'add name = "web"'),
        ("capabilities = []", "capabilities", "unknown key", "write it below [run]"),
        ("attributes = []", "attributes", "unknown key", "write it below a [[mount]]"),
        ("content = ''", "content", "unknown key", "write it below a [[mount.file]]"),
        ("[run]\nroot = 'inherit'", "run.root", "unknown key", "write it at the top of the spec, before the first ["),
        ("[run]\nworkdirs = '/'", "run.workdirs", "unknown key", "leave it out; [run] may have"),
        ('[run]\nunshare = ["CLONE_NEWNET"]', "run.unshare[0]", None, 'write "net"'),
    ],
)
def test_a_mistake_outside_of_mounts_is_told_as_well(
    text: str, place: str, what: str | None, remedy: str | None
) -> None:
    mistake = only_mistake(f'format = 1\nmount = [{{ target = "/" }}]\n{text}')
    assert place == mistake.ref.key
    assert mistake.ref.line > 2
    assert what in (None, mistake.what)
    assert (remedy or "") in mistake.remedy


@pytest.mark.parametrize(
    "wrong", ["[mount]", '[mount]\ntarget = "/"', "mount = 3", "[[mount]]\ntarget = 3\n[mount.file]\n", "mount = [[]]"]
)
def test_a_mount_in_the_wrong_brackets_is_told_so(wrong: str) -> None:
    assert any("[[mount" in mistake.remedy for mistake in parse_spec_leniently(f"format = 1\n{wrong}".encode())[1])


# -- not even a spec --------------------------------------------------------------------------------------------------


# Valid keys that a spec cannot do with alone. Some look like misspelt others.
LONELY = (b'name = "x"\n', b"[run]\n", b"[peer_group.x]\n", b"[peer_group]\n", b'propagation = "slave"\n')


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        (b"", 1, "the spec is empty", 'target = "/mnt"'),
        (b"# later\n", 1, "the spec is empty", "[[mount]]"),
        (b"format = 1\n", 1, "the spec has no mount", "[[mount]]"),
        *((b"format = 1\n" + line, 1, "the spec has no mount", "[[mount]]") for line in LONELY),
        (b'format = 1\n[[remove]]\ntarget = "/srv"\n', 1, "the spec has no mount", 'root = "inherit"'),
        (b"format = 1\n\nmount = []\n", 3, "the spec has no mount", "[[mount]]"),
        (
            b'format = 1\n[[change]]\ntarget = "/x"\nattributes = ["ro"]\n',
            1,
            "the spec has no mount",
            'root = "inherit"',
        ),
        (b"format = 1\n[[mount]\n", 2, None, "[[mount]] with two brackets"),
        (b"format = 1\n\nnamespace = []\n", 3, "the spec has no mount", "[[mount]]"),
        (
            b"\nformat = 2\n[[filesystem]]\n",
            2,
            "format 2 is not known here",
            "use a version of mountplan that reads it",
        ),
        (b'[[mount]]\ntarget = "/"\n', 1, "is missing", "write format = 1 at the beginning"),
        (b'format = "1"\n[[mount]]\ntarget = "/"\n', 1, 'is the string "1"', "write format = 1, a number"),
        (b'format = true\n[[mount]]\ntarget = "/"\n', 1, "is true", "write format = 1, a number"),
        (b"\n\nformat = one\n", 3, "is not TOML: Invalid value, column 10, in: format = one", "texts need quotes"),
        (b"a = 1\na = 2\n", 2, "is not TOML: Cannot overwrite a value, column 6, in: a = 2", "each may occur once"),
        (b'a = "x\n', 1, "is not TOML: Illegal character '\\n', column 7, in: a = \"x", "close the text"),
        (
            b"a = [1, 0755]\n",
            1,
            "is not TOML: the number 0755 begins with 0",
            'write it in quotes: "0755"',
        ),
        (
            b"\n[[mount.file]]\npath = 'x'\noptions = { mode = 0755 }\n",
            4,
            "is not TOML: the number 0755 begins with 0",
            'write it in quotes: mode = "0755"',
        ),
        (
            b"format = 1\n[[mount.file]]\npath = 'x'\n[[mount]]\ntarget = '/'\n",
            2,
            "[[mount.file]] comes before the first [[mount]], on line 4",
            "it belongs to the [[mount]] above it: move it below the one that is meant",
        ),
        (b"\na = [1,\n", 2, "is not TOML: the last value is missing or not closed, in: a = [1,", "close a list"),
        (b"a\nb = \x1b[31m\n", 1, "is not TOML: Expected '=' after a key in a key/value pair, column 2, in: a", None),
        (b'a = 1\nb = "caf\xe9"\n', 2, "is not UTF-8: byte 0xe9 at offset 14", r"{ escaped = '...\351...' }"),
        (b"\xff\xfea\0", 1, "is not UTF-8, but seems to be UTF-16", "save it as UTF-8"),
        (b"\xef\xbb\xbfformat = 1\n", 1, "begins with a byte order mark", "without one"),
        (b"a = " + b"[" * 5000, 0, None, "nothing in a spec is nested as deep as this"),
        (b"a = 1" + b"0" * 5000, 0, None, "no number in a spec has so many digits"),
    ],
)
def test_what_is_no_spec_at_all_is_one_mistake_with_a_place(
    text: bytes, line: int, what: str | None, remedy: str | None
) -> None:
    mistake = only_mistake(text)
    assert line == mistake.ref.line
    assert what in (None, mistake.what)
    assert (remedy or "") in mistake.remedy


def test_a_spec_that_says_what_its_root_is_needs_no_mount() -> None:
    """A copy of the host's tree is a tree. That a new root takes a mount on "/" is told when it is resolved."""
    assert "inherit" == parse_spec(b'format = 1\nroot = "inherit"\n').root
    assert "new" == parse_spec(b'format = 1\nroot = "new"\n').root


def test_an_error_about_a_spec_has_a_mistake_in_it() -> None:
    """It would be told as one empty line."""
    with pytest.raises(ValueError, match="at least one mistake"):
        SpecError(())


# -- bytes that are not UTF-8 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"'/srv/caf\351'", b"/srv/caf\xe9"),
        (r"'/srv/café\134x'", "/srv/café\\x".encode()),
        (r"'/srv/\303\251'", "/srv/é".encode()),
        (r'"/srv/\\377"', b"/srv/\xff"),
        ("'/plain'", b"/plain"),
    ],
)
def test_an_escaped_path_has_bytes_as_mountinfo_writes_them(written: str, meant: bytes) -> None:
    text = f'format = 1\n[[mount]]\ntarget = "/"\nbind = {{ escaped = {written} }}\n'
    bind = parse_spec(text.encode()).mount[0].bind
    assert isinstance(bind, TargetPath)
    assert meant == os.fsencode(bind)


def test_backslashes_in_ordinary_paths_mean_themselves() -> None:
    """Only who asks for escapes gets them: no path of a spec changes its meaning."""
    spec = parse_spec(b"format = 1\n[[mount]]\ntarget = '/'\nbind = '/srv/caf\\351'\n")
    assert "/srv/caf\\351" == spec.mount[0].bind


def test_a_newline_in_a_path_is_meant_if_it_is_escaped() -> None:
    """The kernel takes every byte but NUL; in a plain string a newline is a slip."""
    spec = parse_spec(b"format = 1\n[[mount]]\ntarget = '/'\nbind = { escaped = '/a\\012b' }\n")
    assert "/a\nb" == spec.mount[0].bind
    assert {"escaped": "/a\\012b"} == escape("/a\nb")


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (r"'/a\x41'", r"has \x41 in an escaped text"),
        (r"'/a\400'", r"has \400 in an escaped text"),
        ("'/a\\'", "has \\ in an escaped text"),
        (r"'/a\000'", r'"/a\x00" contains a NUL character'),
        ("3", "is the table { escaped = ... }"),
    ],
)
def test_an_escape_that_means_nothing_is_a_mistake(written: str, what: str) -> None:
    assert what == mistake_of(f"bind = {{ escaped = {written} }}")[0]


@given(st.binary(max_size=40))
def test_every_text_can_be_written_and_read_again(data: bytes) -> None:
    """A capture writes what it found with escape(), as a path, an option or the content of a file."""
    text = os.fsdecode(data)
    written = tomli_w.dumps({"format": 1, "mount": [{"target": "/", "file": [{"path": "x", "content": escape(text)}]}]})
    assert text == parse_spec(written.encode()).mount[0].file[0].content


def test_text_that_is_utf8_is_written_as_it_is() -> None:
    assert "/srv/café\\351" == escape("/srv/café\\351")
    assert {"escaped": "/srv/é\\351\\134"} == escape(os.fsdecode("/srv/é".encode() + b"\xe9\\"))


def test_a_python_string_that_stands_for_no_bytes_is_a_mistake() -> None:
    """os.fsencode() would raise on it, long after the spec was taken for good."""
    with pytest.raises(SpecError, match=r"lone surrogate"):
        build_spec({"format": 1, "mount": [{"target": "/\ud800"}]})


@pytest.mark.parametrize(
    ("table", "key", "remedy"),
    [
        ("[[mount]]", "mountPropagation", 'write recursive_sharing = "peer" for Bidirectional'),
        ("[[mount]]", "readOnly", 'write attributes = ["ro"]'),
        ("[[mount]]", "nosuid", 'write attributes = ["nosuid"]'),
        ("[[mount]]", "run", "write it as a table of the spec's: [run]"),
        ("[run]", "user", "leave it out: a command runs as who has called mountplan"),
        ("", "hostname", "write it below [run]"),
        ("[[namespace]]", "type", "write it below a [[namespace.mount]]"),
        ("[[namespace]]", "content", "write it below a [[namespace.mount.file]]"),
        ("[[namespace]]", "net", 'write unshare = ["net"] in [run]'),
        ("[peer_group.x]", "slave_of", 'write master = "NAME"'),
    ],
)
def test_a_word_of_others_is_told_in_ours_before_one_that_looks_alike(table: str, key: str, remedy: str) -> None:
    """mountPropagation was taken for mount_options, and hostname for name."""
    _, mistakes = parse_spec_leniently(f"format = 1\n{table}\n{key} = 'x'\n".encode())
    (told,) = [one.remedy for one in mistakes if one.what == "unknown key"]
    assert told.startswith(remedy)


def test_hints_are_for_keys_that_do_not_exist() -> None:
    """A key that the language gets one day must lose its hint."""
    fields = {model.__name__: set(model.model_fields) for model in MODELS}
    assert {name: set() for name in HINTS} == {name: fields[name] & set(hints) for name, hints in HINTS.items()}

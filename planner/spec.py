"""The language: TOML text -> Spec. The only module that knows pydantic.

The models say what may be written and of which type; what the words mean together is planner/topology.py's business.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

import tomli
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mountplan.planner.attributes import NAMES
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.locate import Places
from mountplan.planner.paths import TargetPath


def _path(text: str) -> str:
    return TargetPath.parse(text)


def _plain(text: str) -> str:
    if "\0" in text or "\n" in text:
        raise ValueError("contains a NUL or newline character")
    return text


def _inner(text: str) -> str:
    """A path inside a mount: "incoming/README" and "/incoming/README" mean the same."""
    return TargetPath.parse("/" + text.lstrip("/"))


def _mode(value: Any) -> Any:
    if isinstance(value, str):
        try:
            number = int(value, 8)
        except ValueError:
            raise ValueError(f"is not an octal mode: {value!r}") from None
        if not 0 <= number <= 0o7777:
            raise ValueError(f"is out of range: {value!r} (0000 to 7777)")
        return value
    raise ValueError('must be an octal string such as "0755"')


def _attribute(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"unknown attribute {name!r}")
    return name


AbsolutePath = Annotated[str, AfterValidator(_path)]
InnerPath = Annotated[str, AfterValidator(_inner)]
Word = Annotated[str, AfterValidator(_plain), Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Mode = Annotated[str, BeforeValidator(_mode)]
Attribute = Annotated[str, AfterValidator(_attribute)]
OptionValue = bool | int | str | list[str]
IdLine = tuple[
    Annotated[int, Field(ge=0, lt=2**32)], Annotated[int, Field(ge=0, lt=2**32)], Annotated[int, Field(ge=1, lt=2**32)]
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class MountPath(_Table):
    """A path in the filesystem of another mount of the spec, counted from that mount's root."""

    mount: str
    path: InnerPath = "/"
    hidden: bool = False  # the path lies below another mount of the spec, and that is meant


class Mask(_Table):
    """A path, or a glob, to hide; `optional` lets it be absent."""

    path: InnerPath
    optional: bool = False


class IdMap(_Table):
    """Lines of [first id in the filesystem, first id as seen through the mount, count]."""

    uids: list[IdLine] = Field(min_length=1, max_length=340)
    gids: list[IdLine] = Field(min_length=1, max_length=340)


class FileEntry(_Table):
    """Something that shall exist inside a filesystem that the spec makes."""

    path: InnerPath
    content: str | None = None
    source: AbsolutePath | None = None
    symlink: Word | None = None
    directory: bool = False
    fifo: bool = False
    device: Annotated[str, Field(pattern=r"^[cb]:\d{1,7}:\d{1,7}$")] | None = None
    mode: Mode | None = None
    uid: Annotated[int, Field(ge=0, lt=2**32 - 1)] | None = None
    gid: Annotated[int, Field(ge=0, lt=2**32 - 1)] | None = None


class Mount(_Table):
    """One mount of the tree."""

    target: AbsolutePath
    id: Name | None = None
    parent: str | None = None
    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)] | None = None
    source: Word | None = None
    options: dict[Word, OptionValue] = {}
    image: AbsolutePath | None = None
    layers: list[AbsolutePath | MountPath] = []
    upper: AbsolutePath | MountPath | None = None
    work: AbsolutePath | MountPath | None = None
    bind: AbsolutePath | MountPath | None = None
    recursive: bool = False
    create: bool = False
    on_symlink: Literal["error", "follow"] = "error"
    attributes: list[Attribute] = []
    recursive_attributes: bool = True
    idmap: IdMap | None = None
    peer_group: str | None = None
    master: str | None = None
    unbindable: bool = False
    mask: list[InnerPath | Mask] = []
    file: list[FileEntry] = []


class PeerGroup(_Table):
    """A sharing group: `master` is another group whose events this one receives; `host` makes it the host's own group."""

    master: str | None = None
    host: AbsolutePath | None = None


class Run(_Table):
    """How `mountplan run` starts its command."""

    command: list[str] = []
    environment: dict[Annotated[str, Field(pattern=r"^[^=\x00]+$")], str] = {}
    clear_environment: bool = False
    cwd: AbsolutePath | None = None
    hostname: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    unshare: list[Literal["user", "pid", "net", "ipc", "uts", "cgroup", "time"]] = []
    capabilities: list[Annotated[str, Field(pattern=r"^CAP_[A-Z_]+$")]] | None = None
    no_new_privs: bool = True


class Spec(_Table):
    """A whole spec, as written. `file` is the name the user gave it; errors quote it."""

    format: Literal[1]
    name: Name | None = None
    root: Literal["inherit", "new"] | None = None
    propagation: Literal["private", "slave"] = "private"
    peer_group: dict[Name, PeerGroup] = {}
    mount: list[Mount] = []
    run: Run = Run()

    _file: str = "spec"
    _text: str = ""

    @property
    def file(self) -> str:
        """The name the user gave the spec; errors quote it."""
        return self._file

    @cached_property
    def places(self) -> Places:
        return Places(self._text)

    def ref(self, key: str) -> SpecRef:
        """The place of `key`, such as `mount[3].bind`, in this spec."""
        return SpecRef(self._file, key, self.places.line(key) if self._text else 0)

    @cached_property
    def builds_root(self) -> bool:
        """True if the spec makes a root of its own, False if it adds to a copy of the host's tree."""
        return self.root == "new" or (self.root is None and any(mount.target == "/" for mount in self.mount))


def parse_spec(data: bytes, file: str = "spec") -> Spec:
    """Read a spec. Raises SpecError with every mistake found."""
    spec, mistakes = parse_spec_leniently(data, file)
    if spec is None or mistakes:
        raise SpecError(mistakes)
    return spec


def build_spec(value: dict[str, object], file: str = "spec") -> Spec:
    """A spec made in Python. Raises SpecError with every mistake found."""
    try:
        spec = Spec.model_validate(value)
    except ValidationError as error:
        raise SpecError(tuple(Mistake(SpecRef(file, str(e["loc"])), e["msg"], "") for e in error.errors())) from None
    spec._file = file
    return spec


def parse_spec_leniently(data: bytes, file: str = "spec") -> tuple[Spec | None, tuple[Mistake, ...]]:
    """What can be made of a faulty spec, so that what it means can be checked too, and the mistakes found so far."""
    try:
        text = data.decode()
        spec = build_spec(tomli.loads(text), file)
    except SpecError as error:
        return None, error.mistakes
    except ValueError as error:
        return None, (Mistake(SpecRef(file, ""), str(error), ""),)
    spec._text = text
    return spec, ()

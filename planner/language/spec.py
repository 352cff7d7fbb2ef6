"""A whole spec: what may be written where. Its tables are in mount_models.py, namespace_models.py and path_models.py.

Only these models and field_types.py know pydantic. planner/language/field_types.py says what a single value may be,
planner/language/wording.py puts what is wrong into words, and planner/language/spec_reading.py reads a text. What the
words of a spec mean together is planner/resolve/resolve.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import PlainValidator, ValidationError

from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.language import field_types as t
from mountplan.planner.language import values
from mountplan.planner.language.locate import Places
from mountplan.planner.language.mount_models import Mount
from mountplan.planner.language.namespace_models import (
    InheritedChange,
    InheritedRemoval,
    InheritedSharing,
    Namespace,
    PeerGroup,
    changes_field,
    preset_field,
    propagation_field,
    removals_field,
)
from mountplan.planner.language.origins import Origins
from mountplan.planner.language.parameters import Setting
from mountplan.planner.language.spec_table import (
    PathText,
    SpecTable,
    flag,
    key,
    keyed,
    listed,
    or_table,
    required,
    text_or,
)
from mountplan.planner.names import Moved
from mountplan.planner.run_settings import NAMESPACE_KINDS

if TYPE_CHECKING:
    from mountplan.planner.run_settings import NamespaceKind
else:
    NamespaceKind = Literal[NAMESPACE_KINDS]

FORMAT = 1


class Run(SpecTable):
    """How `mountplan run` starts its command."""

    CALLED = "[run]"

    command: list[t.Argument] = listed("The program and its arguments.", ["python3", "-c", "print('hi')"])
    environment: dict[t.Variable, t.Argument] = keyed("Environment variables to set.", {"LANG": "C.UTF-8"})
    clear_environment: bool = flag("Start from an empty environment, not from the caller's.")
    cwd: t.AbsolutePath | None = key("The directory to start in; / if missing.", "/srv")
    hostname: t.Hostname | None = key("The host name to set (needs unshare uts).", "shop")
    unshare: list[NamespaceKind] = listed("Namespaces of its own besides the mount namespace.", ["pid", "ipc", "uts"])
    capabilities: list[t.Capability] | None = key(
        "The capabilities to keep; all others are dropped.", ["CAP_NET_BIND_SERVICE"]
    )
    parameters: bool = flag("Parameters are replaced in command and environment as well.")
    no_new_privs: bool = flag("Programs with set-user-id or file capabilities gain nothing.", default=True)

    if TYPE_CHECKING:

        def __init__(self, *, command: Sequence[str] = (), environment: Mapping[str, str] = {},
                     clear_environment: bool = False, cwd: PathText | None = None, hostname: str | None = None,
                     unshare: Sequence[NamespaceKind] = (), capabilities: Sequence[str] | None = None,
                     parameters: bool = False, no_new_privs: bool = True) -> None: ...  # fmt: skip


class Parameter(SpecTable):
    """A text that is not the same everywhere: it is given, or from the environment, or what is written here."""

    CALLED = "a parameter"

    env: t.Variable | None = key("The environment variable that it is taken from.", "HOME")
    default: t.Content | None = key("What it is if nothing else is said.", "/root")
    description: t.Word | None = key("What it is for.", "where the user's files are")

    if TYPE_CHECKING:

        def __init__(
            self, *, env: str | None = None, default: str | None = None, description: str | None = None
        ) -> None: ...


_parameter = text_or(Parameter, values.parameter)
ParameterValue = Annotated[str | Parameter, PlainValidator(_parameter), or_table({"type": "string"}, Parameter)]


class Spec(SpecTable):
    """A mount tree and its sharing, as written. Two specs are equal if they say the same, wherever they are from."""

    CALLED = "a spec"

    format: Literal[1] = required("The version of the language.", FORMAT)
    name: t.Name | None = key("What the tree is called.", "shop")
    include: list[t.LocalPath] = listed(
        "Other specs that belong to this one; a relative path counts from the directory of the spec.", ["base.toml"]
    )
    parameters: dict[t.Name, ParameterValue] = keyed(
        "What texts in the spec name as ${NAME}: a value, or where it is from.",
        {"home": {"env": "HOME", "default": "/root"}},
    )
    root: Literal["inherit", "new"] | None = key(
        "A copy of the host's tree, or a root of its own; without it, a mount on / makes a new root.", "inherit"
    )
    preset: t.Presets = preset_field()
    propagation: InheritedSharing = propagation_field()
    peer_group: dict[t.Name, PeerGroup] = keyed(
        "The sharing groups with a master, or of the host.", {"feed": {"host": "/srv/feed"}}
    )
    remove: list[InheritedRemoval] = removals_field()
    change: list[InheritedChange] = changes_field()
    mount: list[Mount] = listed(
        "The mounts, in any order but for several on one target: later ones are on top.",
        [{"target": "/mnt", "type": "tmpfs"}],
    )
    namespace: list[Namespace] = listed("Several namespaces, each with its mounts.", [{"name": "web"}])
    run: Run = key("How `mountplan run` starts its command.", {"command": ["sh"]}, default=Run)

    if TYPE_CHECKING:

        def __init__(self, *, format: Literal[1] = 1, name: str | None = None, include: Sequence[PathText] = (),
                     parameters: Mapping[str, str | Parameter] = {},
                     root: Literal["inherit", "new"] | None = None, preset: str | Sequence[str] = (),
                     propagation: InheritedSharing = "private", peer_group: Mapping[str, PeerGroup] = {},
                     remove: Sequence[InheritedRemoval] = (), change: Sequence[InheritedChange] = (),
                     mount: Sequence[Mount] = (), namespace: Sequence[Namespace] = (),
                     run: Run = Run()) -> None: ...  # fmt: skip  # noqa: B008
    else:

        def __init__(self, /, **values: Any) -> None:
            super().__init__(**{"format": FORMAT, **values})
            self._file = "Spec(...)"
            if not self.has_tree and not self.include:
                what, remedy = "has no mount", 'add some: mount=[Mount(target="/", type="tmpfs")]'
                raise SpecError((Mistake(self.ref(""), what, remedy),))

        __init__.__pydantic_base_init__ = True

    _file: str = "spec"
    _places: Places | None = None
    _damaged: frozenset[str] = frozenset()
    _origins: Origins | None = None
    _settings: tuple[Setting, ...] = ()

    @classmethod
    def checked(cls, raw: Mapping[str, object]) -> Spec | ValidationError:
        """The spec, or what the models have to say against it."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            return error

    def read_from(
        self, file: str, places: Places | None, damaged: frozenset[str] = frozenset(), origins: Origins | None = None
    ) -> Spec:
        """This spec, which knows from now on where it is from: for the one that reads it.

        `damaged` are the key paths of what is not as its author wrote it.
        """
        self._file, self._places, self._damaged, self._origins = file, places, damaged, origins
        return self

    def settle(self, settings: tuple[Setting, ...]) -> Spec:
        """Itself without parameters, which nothing in it names any more."""
        spec = self.model_copy(update={"parameters": {}}) if self.parameters else self
        spec._settings = settings
        return spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @property
    def has_tree(self) -> bool:
        """Is there anything to build? A root that is said to be the host's, or a new one, is a tree without mounts."""
        return bool(self.mount or self.namespace or self.preset or self.root is not None)

    @property
    def file(self) -> str:
        """The name the user gave the spec; errors quote it."""
        return self._file

    @property
    def damaged(self) -> frozenset[str]:
        """The key paths of what is not as its author wrote it."""
        return self._damaged

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What its parameters came to."""
        return self._settings

    @property
    def moved(self) -> tuple[Moved, ...]:
        """What is known by another name in the file that it is from; () if there is one file only."""
        return self._origins.moved() if self._origins else ()

    def headers(self) -> tuple[tuple[str, int], ...]:
        """The key path of every table, and the line of its header in its file."""
        if self._origins:
            return self._origins.headers()
        return self._places.headers() if self._places else ()

    def ref(self, key: str) -> SpecRef:
        """The place of `key`, such as `mount[3].bind`, in this spec."""
        if self._origins:
            return self._origins.ref(key)
        return SpecRef(self._file, key, self._places.line(key) if self._places else 0)

    def located(self, ref: SpecRef) -> SpecRef:
        """A place in a file of this spec, with its line."""
        return self._origins.located(ref) if self._origins else self.ref(ref.key)

    def position(self, ref: SpecRef) -> tuple[int, int]:
        """Where a place comes in the order of the files."""
        return self._origins.position(ref) if self._origins else (0, ref.line)

    def told(self, mistake: Mistake) -> Mistake:
        """A mistake that was found in the meaning of this spec, with its place in the file that it is from."""
        return self._origins.told(mistake) if self._origins else mistake._replace(ref=self.ref(mistake.ref.key))

"""`[[namespace]]`, with what it holds beside mounts, and the sharing groups between namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mountplan.planner.language import values
from mountplan.planner.language.field_types import AbsolutePath, Attribute, IdLine, Name, Presets, Reference
from mountplan.planner.language.mount_models import Mount, check_overlap
from mountplan.planner.language.path_models import Spared, SparedPath
from mountplan.planner.language.spec_table import PathText, SpecTable, no_list


class NamespaceOwner(SpecTable):
    """The user namespace that a mount namespace belongs to, if that is not the one in which it is built."""

    CALLED = "a user namespace"

    uids: list[IdLine] = Field(
        default_factory=no_list,
        max_length=340,
        description="Lines of [first user id inside, first one outside, count], as /proc/PID/uid_map has them.",
        examples=[[[0, 100000, 65536]]],
    )
    gids: list[IdLine] = Field(
        default_factory=no_list,
        max_length=340,
        description="Lines of [first group id inside, first one outside, count].",
        examples=[[[0, 100000, 65536]]],
    )
    within: Reference | None = Field(
        default=None,
        description="It is made inside the one that owns this other namespace; the ids outside are those of that.",
        examples=["outer"],
    )
    of: Reference | None = Field(
        default=None, description="It is the one that owns this other namespace.", examples=["outer"]
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            uids: Sequence[Sequence[int]] = (),
            gids: Sequence[Sequence[int]] = (),
            within: str | None = None,
            of: str | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_one_or_new(self) -> NamespaceOwner:
        if self.of is not None and (self.uids or self.gids or self.within is not None):
            raise values.Unfit("is that of another namespace, and has what a new one has", "keep of, or the rest")
        if self.of is None and not (self.uids and self.gids):
            raise values.Unfit("lacks ids", "add uids = [[0, 100000, 65536]] and gids, or of = another namespace")
        check_overlap(self.uids, self.gids)
        return self


class InheritedRemoval(SpecTable):
    """A mount of the host's that a copy of its tree shall not have."""

    CALLED = "[[remove]]"

    target: AbsolutePath = Field(description="Where it is mounted on the host.", examples=["/mnt/backup"])
    recursive: bool = Field(default=False, description="What stands on it goes along.", examples=[True])
    optional: bool = Field(default=False, description="It is no mistake if nothing is mounted there.", examples=[True])

    if TYPE_CHECKING:

        def __init__(self, *, target: PathText, recursive: bool = False, optional: bool = False) -> None: ...


class InheritedChange(SpecTable):
    """What mounts of the host's become in a copy of its tree."""

    CALLED = "[[change]]"

    target: AbsolutePath = Field(
        description="A path of the host. If it is no mountpoint, it is bound over itself first.", examples=["/usr"]
    )
    recursive: bool = Field(default=False, description="What is mounted below it is changed as well.", examples=[True])
    spared: list[Spared] = Field(
        alias="except",
        default_factory=no_list,
        description="Paths below it that stay as they are, with what is mounted below them.",
        examples=[["/home", "/tmp"]],
    )
    attributes: list[Attribute] = Field(
        default_factory=no_list, description="What is set or cleared, as mount(8) names it.", examples=[["ro"]]
    )
    sharing: Literal["private", "shared"] | None = Field(
        default=None,
        description="private: nothing of the host's comes in; shared: in a peer group of its own.",
        examples=["private"],
    )
    optional: bool = Field(default=False, description="It is no mistake if there is no such path.", examples=[True])

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            target: PathText,
            recursive: bool = False,
            spared: Sequence[PathText | SparedPath] = (),
            attributes: Sequence[str] = (),
            sharing: Literal["private", "shared"] | None = None,
            optional: bool = False,
        ) -> None: ...


# What is said of a tree, by a namespace or by a spec that has one only.
InheritedSharing = Literal["private", "slave", "slave-shared"]


def preset_field() -> Any:
    what = "Mounts that many trees have: `mountplan plan --expand` writes them out."
    return Field(default=(), description=what, examples=["dev"])


def propagation_field() -> Any:
    return Field(default="private", description="What the mounts of an inherited root are.", examples=["slave"])


def removals_field() -> Any:
    what = "Mounts of an inherited tree that go, before anything is changed or mounted."
    return Field(default_factory=no_list, description=what, examples=[[{"target": "/mnt/backup"}]])


def changes_field() -> Any:
    what = "What mounts of an inherited tree become, in this order, before anything is mounted on it."
    return Field(default_factory=no_list, description=what, examples=[[{"target": "/usr", "attributes": ["ro"]}]])


class PeerGroup(SpecTable):
    """A sharing group of mounts; members name it by peer_group, those that only receive by master."""

    CALLED = "[peer_group.NAME]"

    master: Reference | None = Field(
        default=None, description="Another group, whose events the members of this one also receive.", examples=["feed"]
    )
    host: AbsolutePath | None = Field(
        default=None,
        description="The group is the host's own: the one which the host mount at this path is in.",
        examples=["/srv/feed"],
    )
    across_user_namespaces: bool = Field(
        default=False,
        description="Mounts in namespaces of several users may be peers: who is root in one mounts in the others too.",
        examples=[True],
    )

    if TYPE_CHECKING:

        def __init__(
            self, *, master: str | None = None, host: PathText | None = None, across_user_namespaces: bool = False
        ) -> None: ...


class Namespace(SpecTable):
    """One of several mount namespaces; ids and peer groups are shared by the whole spec."""

    CALLED = "[[namespace]]"

    name: Name = Field(description="What it is called.", examples=["web"])
    root: Literal["inherit", "new"] | None = Field(
        default=None, description="A copy of the host's tree, or a root of its own (a mount on /).", examples=["new"]
    )
    preset: Presets = preset_field()
    propagation: InheritedSharing = propagation_field()
    user: NamespaceOwner | None = Field(
        default=None,
        description="The user namespace that it belongs to, if that is not the one in which it is built.",
        examples=[{"uids": [[0, 100000, 65536]], "gids": [[0, 100000, 65536]]}],
    )
    remove: list[InheritedRemoval] = removals_field()
    change: list[InheritedChange] = changes_field()
    mount: list[Mount] = Field(
        default_factory=no_list,
        description="Its mounts, in any order but for several on one target: later ones are on top.",
        examples=[[{"target": "/", "type": "tmpfs"}]],
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            root: Literal["inherit", "new"] | None = None,
            preset: str | Sequence[str] = (),
            propagation: InheritedSharing = "private",
            user: NamespaceOwner | None = None,
            remove: Sequence[InheritedRemoval] = (),
            change: Sequence[InheritedChange] = (),
            mount: Sequence[Mount] = (),
        ) -> None: ...

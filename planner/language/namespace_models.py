"""`[[namespace]]`, with what it holds beside mounts, and the sharing groups between namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from mountplan.planner.language import values
from mountplan.planner.language.field_types import AbsolutePath, Attribute, IdLine, Name, Presets, Reference
from mountplan.planner.language.mount_models import Mount, check_overlap
from mountplan.planner.language.path_models import Spared, SparedPath
from mountplan.planner.language.spec_table import PathText, SpecTable, flag, key, listed, required


class NamespaceOwner(SpecTable):
    """The user namespace that a mount namespace belongs to, if that is not the one in which it is built."""

    CALLED = "a user namespace"

    uids: list[IdLine] = listed(
        "Lines of [first user id inside, first one outside, count], as /proc/PID/uid_map has them.",
        [[0, 100000, 65536]],
        max_length=340,
    )
    gids: list[IdLine] = listed(
        "Lines of [first group id inside, first one outside, count].", [[0, 100000, 65536]], max_length=340
    )
    within: Reference | None = key(
        "It is made inside the one that owns this other namespace; the ids outside are those of that.", "outer"
    )
    of: Reference | None = key("It is the one that owns this other namespace.", "outer")

    if TYPE_CHECKING:

        def __init__(self, *, uids: Sequence[Sequence[int]] = (), gids: Sequence[Sequence[int]] = (),
                     within: str | None = None, of: str | None = None) -> None: ...  # fmt: skip

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

    target: AbsolutePath = required("Where it is mounted on the host.", "/mnt/backup")
    recursive: bool = flag("What stands on it goes along.")
    optional: bool = flag("It is no mistake if nothing is mounted there.")

    if TYPE_CHECKING:

        def __init__(self, *, target: PathText, recursive: bool = False, optional: bool = False) -> None: ...


class InheritedChange(SpecTable):
    """What mounts of the host's become in a copy of its tree."""

    CALLED = "[[change]]"

    target: AbsolutePath = required(
        "A path of the host. If it is no mountpoint, it is bound over itself first.", "/usr"
    )
    recursive: bool = flag("What is mounted below it is changed as well.")
    spared: list[Spared] = listed(
        "Paths below it that stay as they are, with what is mounted below them.", ["/home", "/tmp"], alias="except"
    )
    attributes: list[Attribute] = listed("What is set or cleared, as mount(8) names it.", ["ro"])
    sharing: Literal["private", "shared"] | None = key(
        "private: nothing of the host's comes in; shared: in a peer group of its own.", "private"
    )
    optional: bool = flag("It is no mistake if there is no such path.")

    if TYPE_CHECKING:

        def __init__(self, *, target: PathText, recursive: bool = False,
                     spared: Sequence[PathText | SparedPath] = (), attributes: Sequence[str] = (),
                     sharing: Literal["private", "shared"] | None = None,
                     optional: bool = False) -> None: ...  # fmt: skip


# What is said of a tree, by a namespace or by a spec that has one only.
InheritedSharing = Literal["private", "slave", "slave-shared"]


def preset_field() -> Any:
    what = "Mounts that many trees have: `mountplan plan --expand` writes them out."
    return key(what, "dev", default=())


def propagation_field() -> Any:
    return key("What the mounts of an inherited root are.", "slave", default="private")


def removals_field() -> Any:
    what = "Mounts of an inherited tree that go, before anything is changed or mounted."
    return listed(what, [{"target": "/mnt/backup"}])


def changes_field() -> Any:
    what = "What mounts of an inherited tree become, in this order, before anything is mounted on it."
    return listed(what, [{"target": "/usr", "attributes": ["ro"]}])


class PeerGroup(SpecTable):
    """A sharing group of mounts; members name it by peer_group, those that only receive by master."""

    CALLED = "[peer_group.NAME]"

    master: Reference | None = key("Another group, whose events the members of this one also receive.", "feed")
    host: AbsolutePath | None = key(
        "The group is the host's own: the one which the host mount at this path is in.", "/srv/feed"
    )
    across_user_namespaces: bool = flag(
        "Mounts in namespaces of several users may be peers: who is root in one mounts in the others too."
    )

    if TYPE_CHECKING:

        def __init__(
            self, *, master: str | None = None, host: PathText | None = None, across_user_namespaces: bool = False
        ) -> None: ...


class Namespace(SpecTable):
    """One of several mount namespaces; ids and peer groups are shared by the whole spec."""

    CALLED = "[[namespace]]"

    name: Name = required("What it is called.", "web")
    root: Literal["inherit", "new"] | None = key(
        "A copy of the host's tree, or a root of its own (a mount on /).", "new"
    )
    preset: Presets = preset_field()
    propagation: InheritedSharing = propagation_field()
    user: NamespaceOwner | None = key(
        "The user namespace that it belongs to, if that is not the one in which it is built.",
        {"uids": [[0, 100000, 65536]], "gids": [[0, 100000, 65536]]},
    )
    remove: list[InheritedRemoval] = removals_field()
    change: list[InheritedChange] = changes_field()
    mount: list[Mount] = listed(
        "Its mounts, in any order but for several on one target: later ones are on top.",
        [{"target": "/", "type": "tmpfs"}],
    )

    if TYPE_CHECKING:

        def __init__(self, *, name: str, root: Literal["inherit", "new"] | None = None,
                     preset: str | Sequence[str] = (), propagation: InheritedSharing = "private",
                     user: NamespaceOwner | None = None, remove: Sequence[InheritedRemoval] = (),
                     change: Sequence[InheritedChange] = (), mount: Sequence[Mount] = ()) -> None: ...  # fmt: skip

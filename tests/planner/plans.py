"""Plans made by hand, as the planner would make them: they fix what readers and renderers of plans may rely on."""

from __future__ import annotations

from functools import cache

from mountplan.planner.attributes import NODEV, NOEXEC, NOSUID, RDONLY
from mountplan.planner.names import NodeKind
from mountplan.planner.plan.plan import (
    Edge,
    Expected,
    ExpectedFilesystem,
    ExpectedGroup,
    ExpectedMount,
    ExpectedNamespace,
    Plan,
    Requirement,
)
from mountplan.planner.plan.steps import (
    YARD,
    Attach,
    CloneHost,
    CloneHostWorkbench,
    CloneMount,
    CloseNamespace,
    EnterRoot,
    JoinGroup,
    Layer,
    MakeFilesystem,
    MakeNode,
    MakeOverlay,
    MakePrivate,
    MakeSeed,
    MakeYard,
    Release,
    SetAttributes,
    Step,
    TakeHostGroup,
    UnshareNamespace,
)
from mountplan.planner.run_settings import RunSettings


def mount(
    name: str,
    parent: str = "/",
    place: str | None = None,
    *,
    fs: str = "",
    root: str = "/",
    recursive: bool = False,
    set: int = 0,
    clear: int = 0,
    unbindable: bool = False,
    idmapped: bool = False,
    group: str = "",
    master: str = "",
    origin: str = "",
) -> ExpectedMount:
    return ExpectedMount(
        name=name,
        parent=parent,
        place=name if place is None else place,
        filesystem=fs,
        root=root,
        recursive=recursive,
        recursive_attributes=True,
        set=set,
        clear=clear,
        below_set=0,
        below_clear=0,
        idmapped=idmapped,
        unbindable=unbindable,
        group=group,
        master=master,
        lock="",
        inherits="",
        brings="",
        origin=origin,
    )


def node(within: str, path: str, origin: str, kind: NodeKind = "directory", content: str = "") -> MakeNode:
    return MakeNode(
        within=within, path=path, node=kind, mode=-1, uid=-1, gid=-1, content=content, source="", link="",
        device=(0, 0), existing=False, careful=False, origin=origin,
    )  # fmt: skip


def attributes(mount: str, bits: int, words: str, origin: str, *, unbindable: bool = False) -> SetAttributes:
    return SetAttributes(mount, bits, 0, False, unbindable, "", words, origin)


def shop() -> Plan:
    """A new root with a host bind, a peer group of two, slaves of it, an external master, an overlay and a stack."""
    steps: tuple[Step, ...] = (
        UnshareNamespace("", ""),
        TakeHostGroup("seed:feed", "/srv/feed", True, True, "peer_group.feed"),
        MakePrivate(""),
        MakeYard(""),
        CloneHostWorkbench("host:0:43", "/srv/feed", "", "mount[5]"),
        MakeFilesystem("fs:data", "", "tmpfs", "tmpfs", (), "mount[2]"),
        node("fs:data", "incoming", "mount[2].file[0]"),
        node("fs:data", "incoming/README", "mount[2].file[0]", "file", "hello\n"),
        node("fs:data", "deep", "mount[6]"),
        MakeSeed("seed:data", "fs:data", "", "", True, True, "peer_group.data"),
        MakeSeed("seed:copies", "fs:data", "", "seed:data", True, True, "peer_group.copies"),
        MakeSeed("seed:slaves of feed", "host:0:43", "", "seed:feed", False, True, "mount[5]"),
        MakeFilesystem("fs:/", "/", "tmpfs", "tmpfs", (("size", "16m"), ("mode", "0755")), "mount[0]"),
        node("/", "usr", "mount[1]"),
        node("/", "srv", "mount[2]"),
        node("/", "srv/data", "mount[2]"),
        node("/", "srv/peer", "mount[3]"),
        node("/", "srv/replica", "mount[4]"),
        node("/", "feed", "mount[5]"),
        node("/", "opt", "mount[8]"),
        Attach("/", YARD, "root", False, False, "mount[0]"),
        CloneHost("/usr", "/usr", True, "private", "", "mount[1]"),
        SetAttributes("/usr", RDONLY | NOSUID, 0, True, False, "", "ro,nosuid", "mount[1]"),
        Attach("/usr", "/", "usr", False, False, "mount[1]"),
        Release("/usr", "mount[1]"),
        CloneMount("data", "fs:data", "", False, False, "mount[2]"),
        Attach("data", "/", "srv/data", False, False, "mount[2]"),
        MakeFilesystem("fs:/srv/data/deep", "/srv/data/deep", "tmpfs", "tmpfs", (), "mount[6]"),
        attributes("/srv/data/deep", NOEXEC, "noexec", "mount[6]"),
        Attach("/srv/data/deep", "data", "deep", False, False, "mount[6]"),
        CloneMount("/srv/data/deep#2", "fs:data", "", False, False, "mount[7]"),
        attributes("/srv/data/deep#2", 0, "unbindable", "mount[7]", unbindable=True),
        Attach("/srv/data/deep#2", "/srv/data/deep", "", False, False, "mount[7]"),
        Release("/srv/data/deep#2", "mount[7]"),
        Release("/srv/data/deep", "mount[6]"),
        JoinGroup("seed:data", "data", "mount[2]"),
        Release("data", "mount[2]"),
        CloneMount("/srv/peer", "fs:data", "", False, False, "mount[3]"),
        Attach("/srv/peer", "/", "srv/peer", False, False, "mount[3]"),
        JoinGroup("seed:data", "/srv/peer", "mount[3]"),
        Release("/srv/peer", "mount[3]"),
        CloneMount("/srv/replica", "fs:data", "incoming", False, False, "mount[4]"),
        Attach("/srv/replica", "/", "srv/replica", False, False, "mount[4]"),
        JoinGroup("seed:copies", "/srv/replica", "mount[4]"),
        Release("/srv/replica", "mount[4]"),
        CloneHost("/feed", "/srv/feed", False, "private", "", "mount[5]"),
        Attach("/feed", "/", "feed", False, False, "mount[5]"),
        JoinGroup("seed:slaves of feed", "/feed", "mount[5]"),
        Release("/feed", "mount[5]"),
        MakeOverlay(
            "fs:/opt", "/opt", "overlay", (Layer("", "/usr/share"), Layer("fs:data", "incoming")),
            None, None, (), "mount[8]",
        ),
        attributes("/opt", NODEV, "nodev", "mount[8]"),
        Attach("/opt", "/", "opt", False, False, "mount[8]"),
        Release("/opt", "mount[8]"),
        EnterRoot("/", "/", False, "mount[0]"),
        Release("/", "mount[0]"),
        CloseNamespace("", ""),
    )  # fmt: skip
    return Plan(
        name="shop",
        file="shop.toml",
        requirements=(
            Requirement("mount_namespace", "a mount namespace of its own (CAP_SYS_ADMIN)", "everything is built in it"),
            Requirement("set_group", "MOVE_MOUNT_SET_GROUP (Linux 5.15)", "sharing: data"),
            Requirement("filesystem:overlay", "filesystem type overlay", "fs:/opt"),
        ),
        edges=(
            Edge("fs:data", "seed:data", "source"),
            Edge("fs:data", "seed:copies", "source"),
            Edge("seed:data", "seed:copies", "master"),
            Edge("host:0:43", "seed:slaves of feed", "source"),
            Edge("seed:feed", "seed:slaves of feed", "master"),
            Edge("/", "/usr", "parent"),
            Edge("/", "data", "parent"),
            Edge("fs:data", "data", "workbench"),
            Edge("seed:data", "data", "group"),
            Edge("/", "/srv/peer", "parent"),
            Edge("fs:data", "/srv/peer", "workbench"),
            Edge("seed:data", "/srv/peer", "group"),
            Edge("/", "/srv/replica", "parent"),
            Edge("fs:data", "/srv/replica", "workbench"),
            Edge("seed:copies", "/srv/replica", "group"),
            Edge("/", "/feed", "parent"),
            Edge("seed:slaves of feed", "/feed", "group"),
            Edge("data", "/srv/data/deep", "parent"),
            Edge("/srv/data/deep", "/srv/data/deep#2", "stack"),
            Edge("fs:data", "/srv/data/deep#2", "workbench"),
            Edge("/", "/opt", "parent"),
            Edge("fs:data", "/opt", "layer"),
        ),
        steps=steps,
        expected=Expected(
            namespaces=(
                ExpectedNamespace(
                    "",
                    (
                        mount("/", "", "", fs="fs:/", origin="mount[0]"),
                        mount("/usr", root="/usr", recursive=True, set=RDONLY | NOSUID, origin="mount[1]"),
                        mount("data", place="/srv/data", fs="fs:data", group="data", origin="mount[2]"),
                        mount("/srv/peer", fs="fs:data", group="data", origin="mount[3]"),
                        mount(
                            "/srv/replica", fs="fs:data", root="/incoming", group="copies", master="data",
                            origin="mount[4]",
                        ),
                        mount("/feed", root="/srv/feed", master="feed", origin="mount[5]"),
                        mount("/srv/data/deep", "data", "/deep", fs="fs:/srv/data/deep", set=NOEXEC, origin="mount[6]"),
                        mount(
                            "/srv/data/deep#2", "/srv/data/deep", "", fs="fs:data", unbindable=True, origin="mount[7]"
                        ),
                        mount("/opt", fs="fs:/opt", set=NODEV, origin="mount[8]"),
                    ),
                ),
            ),
            filesystems=(
                ExpectedFilesystem("fs:/", "tmpfs", "tmpfs", (("size", "16m"), ("mode", "0755")), "mount[0]"),
                ExpectedFilesystem("fs:data", "tmpfs", "tmpfs", (), "mount[2]"),
                ExpectedFilesystem("fs:/srv/data/deep", "tmpfs", "tmpfs", (), "mount[6]"),
                ExpectedFilesystem("fs:/opt", "overlay", "overlay", (), "mount[8]"),
            ),
            groups=(
                ExpectedGroup("feed", "", "/srv/feed", "peer_group.feed"),
                ExpectedGroup("data", "", "", "peer_group.data"),
                ExpectedGroup("copies", "data", "", "peer_group.copies"),
            ),
        ),
        run=RunSettings(command=("sh",), environment=(("HOME", "/"),), capabilities=()),
        lines=(
            ("peer_group.feed", 4),
            ("peer_group.data", 6),
            ("peer_group.copies", 7),
            *((f"mount[{number}]", 10 + 5 * number) for number in range(9)),
            ("mount[2].file[0]", 24),
        ),
    )  # fmt: skip


@cache
def wide(count: int) -> Plan:
    """`count` binds of one tmpfs below the root, each with a node, attributes, an attach and a release."""
    steps: list[Step] = [
        UnshareNamespace("", ""),
        MakePrivate(""),
        MakeYard(""),
        MakeFilesystem("fs:data", "", "tmpfs", "tmpfs", (), "mount[1]"),
        MakeFilesystem("fs:/", "/", "tmpfs", "tmpfs", (), "mount[0]"),
        node("/", "m", "mount[1]"),
        *(node("/", f"m/{number:05d}", f"mount[{number}]") for number in range(1, count + 1)),
        Attach("/", YARD, "root", False, False, "mount[0]"),
    ]
    mounts = [mount("/", "", "", fs="fs:/", origin="mount[0]")]
    edges = []
    for number in range(1, count + 1):
        name, origin = f"/m/{number:05d}", f"mount[{number}]"
        steps += [
            CloneMount(name, "fs:data", "", False, False, origin),
            attributes(name, RDONLY, "ro", origin),
            Attach(name, "/", name[1:], False, False, origin),
            Release(name, origin),
        ]
        edges += [Edge("/", name, "parent"), Edge("fs:data", name, "workbench")]
        mounts.append(mount(name, fs="fs:data", set=RDONLY, origin=origin))
    steps += [EnterRoot("/", "/", False, "mount[0]"), Release("/", "mount[0]"), CloseNamespace("", "")]
    filesystems = (
        ExpectedFilesystem("fs:/", "tmpfs", "tmpfs", (), "mount[0]"),
        ExpectedFilesystem("fs:data", "tmpfs", "tmpfs", (), "mount[1]"),
    )
    return Plan(
        name="wide",
        file="wide.toml",
        requirements=(),
        edges=tuple(edges),
        steps=tuple(steps),
        expected=Expected((ExpectedNamespace("", tuple(mounts)),), filesystems, ()),
        run=RunSettings(),
        lines=tuple((f"mount[{number}]", 3 * number + 1) for number in range(count + 1)),
    )

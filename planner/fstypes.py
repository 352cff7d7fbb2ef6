"""What mountplan knows of filesystem types: one row for each that it knows more of than the name.

Of any other type nothing is known, and nothing is assumed: `of` answers a row that says so. A test holds each row
against the kernel at hand. A type with rules of its own is a row here, and its rules where they belong.
"""

from __future__ import annotations

from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    # What is in a new one: nothing, what only the kernel puts there, or that is not known.
    Begins = Literal["empty", "filled", "unknown"]
    # What that means for a plan: all that will be in it is in the spec, nothing can be made there, or it is not known.
    Inside = Literal["own", "kernel", "opaque"]
    # What shares one superblock, however often it is mounted: the mounts of a machine, of a namespace of another kind,
    # of a set of options (a hierarchy of cgroup); "mount" if each is new, "unknown" if it follows from a device.
    Instances = Literal["mount", "machine", "net", "ipc", "user", "hierarchy", "unknown"]


_INSIDE: dict[str, Inside] = {"empty": "own", "filled": "kernel", "unknown": "opaque"}


class FilesystemType(NamedTuple):
    """`takes_files`: processes can create files in it and write to them. `made_in`: what they can make somewhere in it
    that something can be mounted on. `flat`: there is no directory in it. `in_memory`: a mount of it needs no device,
    program or option. `on_device`: it is on a block device, and so in an image as well. `renewed`: a new instance is as
    good as one that stands. `read_only`: nothing is ever written. `unmappable`: its mounts take no id-mapping.

    `shows` is the kind of namespace whose state it shows: that of the process which mounts it. A user namespace may
    mount those that are `in_userns`, and of these the ones that show a namespace only if it has made that too; `bare`
    ones in addition only where a mount of the type is visible with nothing mounted over its parts. `usual` is where
    the host has one that can be bound instead.

    `changeable` are the options that a mounted one takes another value for, and keeps its data: each with the value
    that it has if it is not asked for, "" if there is none that can be said.

    `defaults` are options as they are shown, or not shown, if not asked for: one that is absent has that value.
    `shown_unless` are those that a kernel may take and then drop, and shows whenever they are in force with another
    value than this one: which that is, a machine may have set.
    `source` is what the kernel shows whatever was given, as far as it does so; `shown_as` is the type that it shows, if
    it is another. `magic` is where one has which bytes, without which the kernel takes nothing for a filesystem of the
    type. `takes` are the names of all its options, where it is known which those are; `ignores` says that the kernel
    takes any other as well, and does nothing with it. `asked_for` are those that a machine is asked for if none
    is named (mountplan doctor). Those that are found `everywhere`, on each kernel on which a tree can be built, it is
    not asked for.
    """

    name: str
    begins: Begins = "unknown"
    instances: Instances = "unknown"
    shows: str = ""
    in_memory: bool = False
    on_device: bool = False
    in_userns: bool = False
    bare: bool = False
    takes_files: bool = False
    made_in: tuple[str, ...] = ("directory", "file")
    flat: bool = False
    renewed: bool = False
    read_only: bool = False
    unmappable: bool = False
    usual: str = ""
    changeable: Mapping[str, str] = {}
    defaults: Mapping[str, str] = {}
    shown_unless: Mapping[str, str] = {}
    source: str = ""
    shown_as: str = ""
    magic: tuple[int, bytes] = (0, b"")
    takes: frozenset[str] = frozenset()
    ignores: bool = False
    asked_for: bool = False
    everywhere: bool = False

    @property
    def known_options(self) -> frozenset[str]:
        return self.takes | self.defaults.keys() | self.changeable.keys()

    @property
    def inside(self) -> Inside:
        """What can be said about the inside of a new one, before it is mounted."""
        return _INSIDE[self.begins]

    @property
    def is_shared(self) -> bool:
        """True if there is one superblock for all of a machine or of a namespace, whatever options a mount gives."""
        return self.instances not in ("mount", "unknown", "hierarchy")

    @property
    def has_own_options(self) -> bool:
        """False if a new mount shows a superblock that others have as well, whichever of them made it."""
        return self.instances in ("mount", "unknown")

    @property
    def may_be_tried(self) -> bool:
        """True if one can be mounted without options and thrown away, with nothing left of it anywhere.

        Of what the machine has one of, that is cgroup2 only: applier/sys/machine_instances.py mounts it so that nothing
        is set.
        """
        return self.in_memory and (self.instances in ("mount", "net", "ipc") or self.shows == "cgroup")


def _row(name: str, begins: Begins, instances: Instances, **known: object) -> FilesystemType:
    values = {"name": name, **FilesystemType._field_defaults, "begins": begins, "instances": instances, **known}
    return FilesystemType._make(values.values())  # in a tenth of the time of a constructor's, which counts at start-up


_OF_KERNEL = {"in_memory": True, "renewed": True, "unmappable": True, "made_in": ()}


def _of_kernel(name: str, instances: Instances = "machine", **known: object) -> FilesystemType:
    """One that the kernel fills, and can fill again at any time."""
    return _row(name, "filled", instances, **(_OF_KERNEL | known))


def _on_device(name: str, **known: object) -> FilesystemType:
    return _row(name, "unknown", "unknown", **({"on_device": True} | known))


# What every filesystem takes, and no mount has; fs/fs_context.c
FLAGS_OF_EACH = frozenset({"sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"})
OF_EACH = FLAGS_OF_EACH | {"ro", "rw", "source"}
# Of two of these the kernel takes the last one, and shows nothing of the other.
UNDOING = (
    ("ro", "rw"), ("sync", "async"), ("lazytime", "nolazytime"), ("mand", "nomand"), ("inode32", "inode64"),
    ("size", "nr_blocks"),
)  # fmt: skip
_OWNER = {"uid": "0", "gid": "0"}
_QUOTAS = (f"{who}_{what}_hardlimit" for who in ("usrquota", "grpquota") for what in ("block", "inode"))
# As of Linux 6.18; mm/shmem.c
_OF_TMPFS = frozenset(
    {"size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "inode32", "inode64", "noswap", "quota",
     "usrquota", "grpquota", "casefold", "strict_encoding", *_QUOTAS}
)  # fmt: skip
# kernel/bpf/inode.c
_OF_BPF = frozenset({"mode", *_OWNER, *(f"delegate_{what}" for what in ("cmds", "maps", "progs", "attachs"))})

ROWS: tuple[FilesystemType, ...] = (
    _row("tmpfs", "empty", "mount", in_memory=True, in_userns=True, takes_files=True, renewed=True,
         defaults={"mode": "1777", **_OWNER}, changeable={"size": "50%", "nr_blocks": "", "nr_inodes": ""},
         takes=_OF_TMPFS, asked_for=True, everywhere=True),
    _row("ramfs", "empty", "mount", in_memory=True, in_userns=True, takes_files=True, renewed=True,
         unmappable=True, defaults={"mode": "755"}, takes=frozenset({"mode"}), ignores=True, everywhere=True),
    _row("hugetlbfs", "empty", "mount", in_memory=True, renewed=True),  # files can be mapped there, not written
    _of_kernel("proc", "mount", shows="pid", in_userns=True, bare=True, usual="/proc",
               defaults={"hidepid": "off", "gid": "0", "subset": ""}, changeable={"hidepid": "0", "gid": "0"},
               asked_for=True, everywhere=True),
    _of_kernel("sysfs", "net", shows="net", in_userns=True, bare=True, usual="/sys", asked_for=True, everywhere=True),
    _of_kernel("devpts", "mount", in_userns=True, flat=True,
               defaults={"mode": "600", "ptmxmode": "000", **_OWNER}, asked_for=True, everywhere=True),
    _of_kernel("mqueue", "ipc", shows="ipc", in_userns=True, usual="/dev/mqueue", asked_for=True, made_in=("file",),
               flat=True),
    # Its flags are set anew by each mount from the first cgroup namespace, and by none from another.
    _of_kernel("cgroup2", shows="cgroup", in_userns=True, usual="/sys/fs/cgroup", asked_for=True,
               made_in=("directory",)),
    # ovl_show_options in fs/overlayfs/params.c
    _row("overlay", "unknown", "mount", in_userns=True, unmappable=True, asked_for=True,
         shown_unless={**dict.fromkeys(("index", "nfs_export", "metacopy", "redirect_dir", "xino", "verity"), "off"),
                       "uuid": "auto",
                       **dict.fromkeys(("volatile", "userxattr", "default_permissions"), "")}),
    *(_on_device(name, magic=(1080, b"\x53\xef"), asked_for=name == "ext4") for name in ("ext4", "ext3", "ext2")),
    _on_device("xfs", magic=(0, b"XFSB"), asked_for=True),
    _on_device("erofs", magic=(1024, b"\xe2\xe1\xf5\xe0"), read_only=True, asked_for=True),
    _on_device("squashfs", magic=(0, b"hsqs"), read_only=True, asked_for=True),
    _on_device("btrfs", magic=(65600, b"_BHRfS_M"), asked_for=True),
    _on_device("cramfs", read_only=True),
    _on_device("romfs", read_only=True),
    *(_on_device(name) for name in (
        "adfs", "affs", "befs", "bfs", "efs", "exfat", "f2fs", "gfs2", "hfs", "hfsplus", "hpfs",
        "iso9660", "jfs", "minix", "msdos", "nilfs2", "ntfs", "ntfs3", "ocfs2", "omfs", "qnx4", "qnx6", "reiserfs",
        "sysv", "udf", "ufs", "vfat", "zonefs",
    )),
    *(_row(name, "unknown", "unknown") for name in ("9p", "cifs", "nfs", "nfs4", "virtiofs")),
    _row("fuse", "unknown", "unknown", in_userns=True),
    _row("bpf", "unknown", "mount", in_memory=True, renewed=True, unmappable=True, takes=_OF_BPF, ignores=True),
    # Two of a set of controllers are one; a new one is a new hierarchy, or none can be had.
    _row("cgroup", "filled", "hierarchy", shows="cgroup", unmappable=True),
    # cgroup -o cpuset,noprefix
    _row("cpuset", "filled", "hierarchy", shows="cgroup", unmappable=True, shown_as="cgroup"),
    _of_kernel("devtmpfs", made_in=("directory", "file")),
    _of_kernel("debugfs", defaults={"mode": "700", **_OWNER}, takes=frozenset({"mode", *_OWNER}), ignores=True),
    _of_kernel("tracefs", defaults={"mode": "700", **_OWNER}, made_in=("directory",)),
    _of_kernel("securityfs"),
    _of_kernel("configfs", made_in=("directory",)),
    _of_kernel("pstore", source="none", flat=True),  # it takes "source" for an option of its own, unread
    _of_kernel("efivarfs", defaults=_OWNER, flat=True),
    # In a user namespace that has none since Linux 6.7, the first mount makes one: the handlers from outside end there.
    _of_kernel("binfmt_misc", "user", in_userns=True, flat=True),
    _of_kernel("fusectl"),
    _of_kernel("selinuxfs"),
    _of_kernel("smackfs"),
    _of_kernel("rpc_pipefs", "net", shows="net"),
    _of_kernel("nfsd", "net", shows="net"),
    # It cannot be mounted: the files of namespaces are in it.
    _row("nsfs", "filled", "unknown", unmappable=True, made_in=()),
    # Linux 7.0: an empty directory below all roots, in which nothing can be made.
    _row("nullfs", "filled", "machine", in_memory=True, made_in=()),
)  # fmt: skip

_BY_NAME = {one.name: one for one in ROWS}

# The kinds of namespaces that a mount shows, or shares its superblock with: what it is follows from who mounts it.
SHOWN_KINDS: tuple[str, ...] = tuple(dict.fromkeys(one.shows for one in ROWS if one.shows))


def of(name: str) -> FilesystemType:
    """The row of a type; one that knows nothing but the name, if there is none."""
    return _BY_NAME.get(name) or FilesystemType(name)


def where(**wanted: object) -> frozenset[str]:
    """The names of all types whose rows have these values: `where(takes_files=True)`."""
    return frozenset(one.name for one in ROWS if all(getattr(one, key) == value for key, value in wanted.items()))


def not_taken(fstype: str, options: str) -> str:
    """The first of some options, joined with commas, that a filesystem of this type surely refuses; or "".

    What is every filesystem's (`ro`), or a security module's (`context=`), it is not asked for.
    """
    row = of(fstype)
    if not row.takes or row.ignores or '"' in options:
        return ""
    names = [one.partition("=")[0] for one in options.split(",") if one]
    return next((one for one in names if not _knows(row, one)), "")


def is_ignored(fstype: str, name: str) -> bool:
    """True if a filesystem of this type takes this option and does nothing with it, as it does with any word."""
    row = of(fstype)
    return row.ignores and not _knows(row, name)


def takes_one(fstype: str, name: str) -> bool:
    """True if of several values of this option the kernel surely takes the last one only."""
    return name in of(fstype).known_options and not name.startswith("delegate_")


def _knows(row: FilesystemType, name: str) -> bool:
    return name in row.takes or name in OF_EACH or name.endswith("context")


def options_for(fstype: str, name: str, said: str) -> list[str]:
    """The options of which `name` may be a misspelt one, if that is what the kernel says of it.

    One that a kernel was built without (tmpfs `usrquota`) is none.
    """
    known = of(fstype).known_options
    return [] if "Bad value" in said or name in known else sorted(known)


def option_refused(said: str, meant: str, value_meant: str) -> tuple[str, str]:
    """What is wrong with an option of which the kernel says this, and the remedy."""
    instead = value_meant if "Bad value" in said else ""
    remedy = f'did you mean "{meant}"?' if meant else instead or "correct the option, or its value, or leave it out"
    return f"the filesystem does not take it: {said}", remedy


def only_reads(fstype: str, options: tuple[tuple[str, str | bool], ...]) -> bool:
    """True if a filesystem with these options never writes to its device, so that this may be opened read-only."""
    return ("ro", True) in options or of(fstype).read_only


def served_by_program(fstype: str) -> bool:
    """True if the kernel hands what is asked of the filesystem to a program that has to be there: FUSE, autofs."""
    return fstype.partition(".")[0] in ("fuse", "fuseblk", "autofs")

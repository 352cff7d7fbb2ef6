"""Numbers and flag values of the kernel's interface, each with its header. No calls are made here.

Plain integers rather than enum.IntFlag: an IntFlag class costs a third of a millisecond to define, and the command
line's start-up counts.
"""

from __future__ import annotations

# asm/unistd.h: the calls of the new mount API have the same number on every architecture below.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_FSPICK = 433
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442
SYS_STATMOUNT = 457
SYS_LISTMOUNT = 458
MACHINES = frozenset(
    {
        "x86_64", "aarch64", "armv7l", "armv8l", "i686", "i386", "ppc64le", "ppc64", "s390x", "riscv64", "loongarch64",
    }
)  # fmt: skip

# linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_HANDLE_FID = 0x200  # for name_to_handle_at(2) only, Linux 6.6
AT_RECURSIVE = 0x8000
MAX_HANDLE_SZ = 128  # linux/exportfs.h
FS_IOC_GETFSUUID = 0x80111500  # linux/fs.h, Linux 6.9
RENAME_EXCHANGE = 2

# linux/fanotify.h, Linux 6.14
FAN_CLOEXEC = 0x1
FAN_NONBLOCK = 0x2
FAN_REPORT_MNT = 0x4000
FAN_MARK_ADD = 0x1
FAN_MARK_MNTNS = 0x110
FAN_MNT_ATTACH = 0x01000000
FAN_MNT_DETACH = 0x02000000
FAN_EVENT_METADATA = "=IBBHQii"  # length, version, 0, length of this, mask, descriptor, pid
FAN_EVENT_INFO_MNT = "=BBH4xQ"  # struct fanotify_event_info_mnt: 7, 0, length, unique id

# linux/mount.h
OPEN_TREE_CLONE = 1
OPEN_TREE_NAMESPACE = 2  # Linux 7.0
OPEN_TREE_CLOEXEC = 0o2000000
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_SET_GROUP = 0x100
MOVE_MOUNT_BENEATH = 0x200  # Linux 6.5
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSPICK_CLOEXEC = 1
FSPICK_EMPTY_PATH = 8
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7
FSCONFIG_CMD_CREATE_EXCL = 8  # Linux 6.6
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x00100000
MS_RDONLY = 1
MS_REMOUNT = 32
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

LSMT_ROOT = 0xFFFFFFFFFFFFFFFF
MNT_ID_REQ = "=IIQQQ"  # struct mnt_id_req: size, 0, mnt_id, param, mnt_ns_id
STATMOUNT_SB_BASIC = 0x01
STATMOUNT_MNT_BASIC = 0x02
STATMOUNT_MNT_ROOT = 0x08
STATMOUNT_MNT_POINT = 0x10
STATMOUNT_FS_TYPE = 0x20
STATMOUNT_MNT_OPTS = 0x80
STATMOUNT_FS_SUBTYPE = 0x100
STATMOUNT_SB_SOURCE = 0x200
STATMOUNT_SUPPORTED_MASK = 0x1000
STATMOUNT_MNT_UIDMAP = 0x2000
STATMOUNT_MNT_GIDMAP = 0x4000
# struct statmount: size, mnt_opts, mask, sb_dev_major, sb_dev_minor, sb_magic, sb_flags, fs_type, mnt_id,
# mnt_parent_id, mnt_id_old, mnt_parent_id_old, mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, propagate_from,
# mnt_root, mnt_point, mnt_ns_id, fs_subtype, sb_source, opt_num, opt_array, opt_sec_num, opt_sec_array,
# supported_mask, mnt_uidmap_num, mnt_uidmap, mnt_gidmap_num, mnt_gidmap; the texts begin at STATMOUNT_TEXTS.
STATMOUNT = "=IIQIIQIIQQIIQQQQQIIQIIIIIIQIIII"
STATMOUNT_TEXTS = 512
SB_RDONLY = 0x01
SB_SYNCHRONOUS = 0x10
SB_MANDLOCK = 0x40
SB_DIRSYNC = 0x80
SB_LAZYTIME = 0x2000000

# linux/openat2.h
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# linux/stat.h
STATX_TYPE_MODE = 0x3
STATX_MNT_ID = 0x1000
STATX_SIZE = 256
STATX_MNT_ID_OFFSET = 144
STATX_ATTR_MOUNT_ROOT = 0x2000

# linux/sched.h
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# linux/nsfs.h
USER_NS_INIT_INO = 0xEFFFFFFD  # of the machine's first user namespace, ever since they have inodes (Linux 3.8)
CGROUP_NS_INIT_INO = 0xEFFFFFFB  # of the first cgroup namespace (Linux 4.6)
TIME_NS_INIT_INO = 0xEFFFFFFA  # of the first time namespace (Linux 5.6)
NS_GET_USERNS = 0xB701
NS_GET_PARENT = 0xB702
NS_GET_NSTYPE = 0xB703
NS_GET_MNTNS_ID = 0x8008B705

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

# linux/memfd.h
MFD_EXEC = 0x10  # Linux 6.3

# linux/capability.h
CAPABILITY_VERSION_3 = 0x20080522
CAP_SETGID = 6
CAP_SETUID = 7
CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21

# linux/close_range.h
CLOSE_RANGE_CLOEXEC = 4
LAST_FD = 0xFFFFFFFF

# asm-generic/siginfo.h, linux/signalfd.h
SI_KERNEL = 0x80
SIGNALFD_SIGINFO = "=IiiI 112x"  # signo, errno, code, pid; the rest of its 128 bytes is not used here

# linux/inotify.h
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_DONT_FOLLOW = 0x02000000

# linux/sockios.h, linux/if.h, linux/socket.h
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
AF_UNIX = 1
SOCK_DGRAM = 2
SOCK_CLOEXEC = 0o2000000

# linux/loop.h
LOOP_CONFIGURE = 0x4C0A
LOOP_GET_STATUS64 = 0x4C05
LOOP_INFO64_SIZE = 232
# The inode of the root of each subvolume of btrfs; no other directory has it (linux/btrfs_tree.h).
BTRFS_FIRST_FREE_OBJECTID = 256
# How struct loop_info64 begins: device, inode and, of a block device, its number (rdev) of the backing file; offset,
# size limit (0 if none), number of the loop device, two fields of no use any more, flags.
LOOP_INFO64 = "=5Q 4I"
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LOOP_CONFIG = "=II 5Q 4I 64s 64s 32s 2Q 8Q"  # struct loop_config with its struct loop_info64


NAMESPACE_FLAGS = {
    "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
# Of those, what a process may enter itself, in this order; others take a child.
VISITED = ("user", "ipc", "uts", "net", "cgroup")

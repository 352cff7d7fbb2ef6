"""What is known of filesystem types."""

from __future__ import annotations

# Filesystems that start empty and hold just what is put into them.
OWN = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
# Those that take any file; in a hugetlbfs nothing can be written.
FILLABLE = OWN - {"hugetlbfs"}
# Filesystems that the kernel fills and in which nobody creates mountpoints.
KERNEL = frozenset(
    {
        "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "debugfs", "tracefs", "securityfs",
        "configfs", "pstore", "efivarfs", "binfmt_misc", "fusectl", "nsfs", "selinuxfs", "smackfs", "rpc_pipefs",
    }
)  # fmt: skip
# Of these there is one superblock for the machine or for a namespace of it, however often it is mounted.
SINGLE = KERNEL - {"proc", "devpts", "cgroup", "nsfs"}

"""Commands that mean nothing for mounts."""

from __future__ import annotations

from collections.abc import Sequence

# What means nothing for mounts. Their status is taken for 0, unless something is made to depend on it.
PASSED_OVER = frozenset(
    {"ls", "sync", "ip", "ifconfig", "iptables", "nft", "sysctl", "modprobe", "insmod", "rmmod", "depmod", "logger",
     "chmod", "chown", "chgrp", "chattr", "setfacl", "udevadm", "systemctl", "service", "clear", "tput", "stty",
     "reset", "hostname", "date", "uname", "logname", "tty", "whoami", "groups", "getent", "wc", "tr", "sort", "uniq",
     "tee", "sed", "awk", "grep", "egrep", "fgrep", "cut", "head", "tail", "tar", "gzip", "gunzip", "xz", "zstd",
     "unzip", "cpio", "cp", "ln", "mv", "rm", "mknod", "mkfifo", "install", "cat", "cmp", "diff", "find", "xargs",
     "dd", "blkid", "blockdev", "partprobe", "losetup", "dmsetup", "cryptsetup", "lvm", "vgchange", "mdadm", "fsck",
     "e2fsck", "resize2fs", "mkfs", "mke2fs", "mkfs.ext4", "mkfs.ext2", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat",
     "mkswap", "swapon", "swapoff", "truncate", "fallocate", "stat", "df", "du", "ps", "pgrep", "pidof", "lsof",
     "fuser", "useradd", "usermod", "groupadd", "passwd", "apt-get", "dpkg", "dpkg-query", "dpkg-deb", "rpm", "yum",
     "dnf", "pacman", "curl", "wget", "ping", "route", "dhclient", "plymouth", "restorecon", "chcon", "setenforce",
     "ldconfig", "update-grub", "umask", "ulimit", "times", "hash", "bg", "fg", "jobs", "disown", "enable", "complete",
     "unalias", "kmod", "mktemp", "tzselect", "locale", "sha256sum", "md5sum", "od", "hexdump", "xxd", "setupcon",
     "loadkeys", "setfont", "clear_console", "poweroff", "reboot", "halt", "usleep", "tac", "rev", "paste"}
)  # fmt: skip
QUIET = frozenset({"true", ":", "echo", "printf"}) | PASSED_OVER  # nothing hangs on whether these are carried out
# Of ip(8): what `ip netns` mounts are the files of namespaces, and /sys in them.
_NETNS_MOUNTS = ("add", "attach", "delete", "exec")
_IP_OPTIONS_WITH_VALUES = ("-n", "-netns", "-f", "-family", "-l", "-loops", "-rc", "-rcvbuf")
# Of systemctl(1).
_UNITS_THAT_MOUNT = (".mount", ".automount")
_VERBS_THAT_MOUNT = ("bind", "mount-image", "isolate", "switch-root", "soft-reboot", "rescue", "emergency")
_VERBS_THAT_LOOK = ("status", "show", "cat", "is-active", "is-enabled", "is-failed", "list-units", "help")


def passes_over(words: Sequence[str]) -> bool:
    """Whether a command means nothing for mounts. Of some programs that depends on the other words."""
    name, *given = words
    if name == "ip":
        return not _mounts_namespaces(given)
    if name == "systemctl":
        verb, *units = [word for word in given if not word.startswith("-")] or [""]
        return verb in _VERBS_THAT_LOOK or not (
            verb in _VERBS_THAT_MOUNT or any(unit.endswith(_UNITS_THAT_MOUNT) for unit in units)
        )
    return name in PASSED_OVER


def _mounts_namespaces(words: Sequence[str]) -> bool:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _IP_OPTIONS_WITH_VALUES else 1 :]
    if len(words) < 2 or len(words[0]) < 3:
        return False
    return "netns".startswith(words[0]) and any(verb.startswith(words[1]) for verb in _NETNS_MOUNTS)

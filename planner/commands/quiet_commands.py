"""Commands that mean nothing for mounts."""

from __future__ import annotations

# What means nothing for mounts. Their status is taken for 0, unless something is made to depend on it.
PASSED_OVER = frozenset(
    {"ls", "sync", "ip", "ifconfig", "iptables", "nft", "sysctl", "modprobe", "insmod", "rmmod", "depmod", "logger",
     "chmod", "chown", "chgrp", "chattr", "setfacl", "udevadm", "systemctl", "service", "clear", "tput", "stty",
     "reset", "hostname", "date", "uname", "logname", "tty", "whoami", "groups", "getent", "wc", "tr", "sort",
     "uniq", "tee", "sed", "awk", "grep", "egrep", "fgrep", "cut", "head", "tail", "tar", "gzip", "gunzip", "xz",
     "zstd", "unzip", "cpio", "cp", "ln", "mv", "rm", "mknod", "mkfifo", "install", "cat", "cmp", "diff", "find",
     "xargs", "dd", "blkid", "blockdev", "partprobe", "losetup", "dmsetup", "cryptsetup", "lvm", "vgchange", "mdadm",
     "fsck", "e2fsck", "resize2fs", "mkfs", "mke2fs", "mkfs.ext4", "mkfs.ext2", "mkfs.xfs", "mkfs.btrfs",
     "mkfs.vfat", "mkswap", "swapon", "swapoff", "truncate", "fallocate", "stat", "df", "du", "ps", "pgrep", "pidof",
     "lsof", "fuser", "useradd", "usermod", "groupadd", "passwd", "apt-get", "dpkg", "dpkg-query", "dpkg-deb", "rpm",
     "yum", "dnf", "pacman", "curl", "wget", "ping", "route", "dhclient", "plymouth", "restorecon", "chcon",
     "setenforce", "ldconfig", "update-grub", "umask", "ulimit", "times", "hash", "bg", "fg", "jobs", "disown",
     "enable", "complete", "unalias", "kmod", "mktemp", "tzselect", "locale", "sha256sum",
     "md5sum", "od", "hexdump", "xxd", "setupcon", "loadkeys", "setfont", "clear_console", "poweroff", "reboot",
     "halt", "usleep"}
)  # fmt: skip
QUIET = frozenset({"true", ":", "echo", "printf"}) | PASSED_OVER  # nothing hangs on whether these are carried out

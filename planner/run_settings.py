"""How a command is started: the settings of [run], and the names of capabilities(7)."""

from __future__ import annotations

from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    NamespaceKind = Literal["user", "pid", "net", "ipc", "uts", "cgroup", "time"]

# Of what a command may have besides its mount namespace.
NAMESPACE_KINDS: tuple[NamespaceKind, ...] = ("user", "pid", "net", "ipc", "uts", "cgroup", "time")

# linux/capability.h: the position is the number.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip


class RunSettings(NamedTuple):
    """How the command of `mountplan run` is started."""

    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    clear_environment: bool = False
    cwd: str = "/"
    hostname: str = ""
    unshare: tuple[str, ...] = ()
    capabilities: tuple[str, ...] | None = None
    no_new_privs: bool = True

"""What `preset = ...` stands for: mounts in the words of the language, so that all of it can be written out."""

from __future__ import annotations

# What programs find in every /dev: the nodes, with their numbers, and where symlinks point.
DEVICES = {"null": "c:1:3", "zero": "c:1:5", "full": "c:1:7", "random": "c:1:8", "urandom": "c:1:9", "tty": "c:5:0"}
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
         "ptmx": "pts/ptmx"}  # fmt: skip
_LINKS = "".join(f'[[mount.file]]\npath = "{name}"\nsymlink = "{to}"\n' for name, to in LINKS.items())

_MADE_NODES = "".join(
    f'[[mount.file]]\npath = "{name}"\ndevice = "{device}"\nmode = "0666"\n' for name, device in DEVICES.items()
)
_SHM = """
[[mount]]
target = "/dev/shm"
type = "tmpfs"
options = { size = "64m", mode = "1777" }
attributes = ["nosuid", "nodev", "noexec"]
"""

# An ordinary user can make no device nodes, so these are the machine's own.
_NODES = "".join(f'[[mount]]\ntarget = "/dev/{name}"\nbind = "/dev/{name}"\n' for name in DEVICES)
_DEV = f"""
[[mount]]
target = "/dev"
type = "tmpfs"
options = {{ size = "64k", mode = "0755" }}
attributes = ["nosuid", "noexec"]
{_LINKS}
{_NODES}
[[mount]]
target = "/dev/pts"
type = "devpts"
options = {{ ptmxmode = "0666", mode = "0620" }}
attributes = ["nosuid", "noexec"]
{_SHM}"""

# What a kernel has of these depends on how it was built.
_HIDDEN = ("acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
_FIXED = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_MASK, _READONLY = (", ".join(f'{{ path = "{name}", optional = true }}' for name in one) for one in (_HIDDEN, _FIXED))
_PROC = f"""
[[mount]]
target = "/proc"
type = "proc"
attributes = ["nosuid", "nodev", "noexec"]
mask = [{_MASK}]
readonly = [{_READONLY}]
"""

_OCI = f"""
{_PROC}
[[mount]]
target = "/sys"
type = "sysfs"
attributes = ["ro", "nosuid", "nodev", "noexec"]
mask = [{{ path = "firmware", optional = true }}, {{ path = "devices/virtual/powercap", optional = true }}]

[[mount]]
target = "/sys/fs/cgroup"
type = "cgroup2"
attributes = ["ro", "nosuid", "nodev", "noexec"]

[[mount]]
target = "/dev"
type = "tmpfs"
options = {{ size = "64m", mode = "0755" }}
attributes = ["nosuid", "strictatime"]
{_MADE_NODES}{_LINKS}
[[mount]]
target = "/dev/pts"
type = "devpts"
options = {{ ptmxmode = "0666", mode = "0620", gid = 5 }}
attributes = ["nosuid", "noexec"]
{_SHM}
[[mount]]
target = "/dev/mqueue"
type = "mqueue"
attributes = ["nosuid", "nodev", "noexec"]
"""

# A merged /usr, as most distributions have it. A link whose end this machine does not have does no harm.
_MERGED = "".join(
    f'[[mount.file]]\npath = "{name}"\nsymlink = "usr/{name}"\n' for name in ("bin", "sbin", "lib", "lib64")
)
_SANDBOX = f"""
[[mount]]
target = "/"
type = "tmpfs"
options = {{ size = "1m", mode = "0755" }}
{_MERGED}
[[mount]]
target = "/usr"
bind = "/usr"
recursive = true
attributes = ["ro", "nosuid", "nodev"]

[[mount]]
target = "/etc"
bind = "/etc"
recursive = true
attributes = ["ro", "nosuid", "nodev", "noexec"]
{_PROC}{_DEV}
[[mount]]
target = "/tmp"
type = "tmpfs"
options = {{ size = "64m", mode = "1777" }}
attributes = ["nosuid", "nodev"]
"""

TEXTS = {"dev": _DEV, "oci": _OCI, "sandbox": _SANDBOX}
NAMES = tuple(TEXTS)

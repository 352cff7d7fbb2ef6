"""The files of namespaces (nsfs; namespaces(7), ioctl_nsfs(2)): what a spec calls one, and what tells two apart."""

from __future__ import annotations

from mountplan.planner.light import regex
from mountplan.planner.run_settings import NAMESPACE_KINDS
from mountplan.planner.tables.table import MountRow

KINDS = tuple(sorted(NAMESPACE_KINDS))
# The kernel mounts the file of a mount namespace in older mount namespaces only, and what is built is the newest.
NEVER_MOUNTED = "mnt"
UNKNOWN_NUMBER = "[?]"  # in a table that was worked out: it is not known which of its kind the namespace is

_PROCESS = regex(r"([a-z]+):([1-9][0-9]{0,9}|self)")
_IDENTITY = regex(rf"[0-9]+:[0-9]+ ({'|'.join(KINDS)}):\[[0-9]+\]")


def split_name(name: str) -> tuple[str, str]:
    """The kind that is asked for ("" for any) and the path of a namespace file by its name in a spec.

    That is "net:PID", "net:/path" or "/path". Raises ValueError with what is wrong with another one.
    """
    if name[:1] == "/":
        return "", name
    kind, colon, rest = name.partition(":")
    if not colon:
        raise ValueError("is neither a path nor a kind of namespace with a process")
    if kind not in (*KINDS, NEVER_MOUNTED):
        raise ValueError(f'"{kind}" is no kind of namespace')
    if rest[:1] == "/":
        return kind, rest
    if _PROCESS.fullmatch(name) is None:
        raise ValueError(f'"{rest}" is no process')
    return kind, f"/proc/{rest}/ns/{kind}"


def identity(device: str, shown: str) -> str:
    """What tells one namespace from all others of a machine: `shown` is "net:[4026531840]", as mountinfo has it."""
    return f"{device} {shown}"


def device_and_root(identity: str) -> tuple[str, str]:
    """The device and the root that mountinfo shows for the file of a namespace."""
    device, _, root = identity.partition(" ")
    return device, root


def is_identity(text: str) -> bool:
    return _IDENTITY.fullmatch(text) is not None


def file_row(identity: str) -> MountRow:
    """The kernel's own mount of it, of which all others are copies; its number and place are nowhere to be seen."""
    device, root = device_and_root(identity)
    return MountRow(0, 0, device, root, "/", "rw", 0, 0, 0, False, "nsfs", "nsfs", "rw")

"""The trees that are measured: n mounts of one kind each, as TOML."""

from __future__ import annotations

KINDS = {
    "tmpfs": "fresh tmpfs",
    "binds": "binds of one filesystem",
    "groups": "binds in peer groups of 8",
}
_DIRECTORIES = 100  # that the binds show
_PEERS = 8


def spec(kind: str, count: int) -> bytes:
    """A spec with `count` mounts of `kind` below a root, in directories of a hundred."""
    lines = ["format = 1", 'name = "bench"', "", "[[mount]]", 'target = "/"', 'type = "tmpfs"']
    if kind != "tmpfs":
        lines += ["", "[[mount]]", 'id = "data"', 'target = "/data"', 'type = "tmpfs"']
        for number in range(_DIRECTORIES):
            lines += ["[[mount.file]]", f'path = "/d{number}"', "directory = true"]
    if kind == "groups":
        lines += [f"[peer_group.g{number}]" for number in range(-(-count // _PEERS))]
    for number in range(count):
        lines += ["", "[[mount]]", f'target = "/t/{number // 100:03}/{number % 100:02}"']
        if kind == "tmpfs":
            lines.append('type = "tmpfs"')
            continue
        lines.append(f'bind = {{ mount = "data", path = "/d{number % _DIRECTORIES}" }}')
        if kind == "groups":
            lines.append(f'peer_group = "g{number // _PEERS}"')
    return ("\n".join(lines) + "\n").encode()

"""The arguments of diff and verify."""

from __future__ import annotations

from typing import Any

from mountplan.cli.living_parser import NewCommand

_SIDES = """\
A side is a spec (NAME.toml), a saved plan (NAME.json), a kept name, the number
of a process, a namespace file, or a file with the text of /proc/PID/mountinfo.
If it could be two of these, say which: spec:FILE, plan:FILE, name:NAME, pid:N,
ns:FILE, mountinfo:FILE. Processes, namespace files and mountinfo files with
commas between them are several namespaces of one side."""


def add_comparing(commands: Any, command: NewCommand) -> None:
    """Add them; `command` is parser.py's way to begin one."""
    parser = command(
        commands,
        "diff",
        "tell how two mount trees differ: of specs, plans, names, processes, files",
        "Compare the mount tables of two sides, mount by mount: tree, filesystems and\n"
        "their options, roots, attributes, peer groups, masters, id-mappings. Ids of\n"
        "mounts, groups and devices may be others, if they are so consistently. Exit\n"
        "status 0 if both are the same, 1 if they differ, 2 if that cannot be told.\n\n" + _SIDES,
        "  mountplan diff shop.toml 1234\n"
        "  mountplan diff old.toml new.toml\n"
        "  mountplan diff shop pid:self\n"
        "  mountplan diff pid:12,pid:34 pair          two processes, and a kept pair\n"
        "  ssh web cat /proc/1/mountinfo | mountplan diff 1 mountinfo:-",
    )
    parser.add_argument("first", metavar="A", help="one side")
    parser.add_argument("second", metavar="B", help="the other")
    parser.add_argument("--all", action="store_true", help="fold nothing: every mount that is different")
    parser = command(
        commands,
        "verify",
        "tell whether what stands there still is what a spec says",
        "Compare what a spec says with what is kept under a name, or with the namespace\n"
        "of a process. Mounts that have arrived in a slave are no difference. Exit status\n"
        "0 if it matches, 1 if not, 2 if that cannot be told.",
        "  mountplan verify shop.toml                 what is kept under the spec's name\n"
        "  mountplan verify shop.toml shop2\n"
        "  mountplan verify shop.toml 1234\n"
        "  mountplan verify pair.toml name:pair/left  one of its namespaces",
    )
    parser.usage = "mountplan verify [options] SPEC [NAME|PID]"
    parser.add_argument("spec", metavar="SPEC", help="a spec (TOML), or a saved plan (NAME.json)")
    parser.add_argument("subject", metavar="NAME|PID", nargs="?", default="", help="a kept name, a process, ...")
    parser.add_argument("--all", action="store_true", help="fold nothing: every mount that is different")

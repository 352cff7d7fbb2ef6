"""How many mount commands of Debian's shell scripts are come to, if what only a machine knows is answered somehow:

apt-get download PACKAGE..., dpkg-deb -x each into DIRECTORY/PACKAGE, and
python -m tests.kernel.debian_scripts DIRECTORY [--seconds 10] [--seed 1]

Each script is followed again and again, with variables, arguments and answers that are chosen by chance, and of
libraries each function is called. A script counts if every command of it that is mount(8) has been carried out.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mountplan.planner.ask.actions import Stage
from mountplan.planner.ask.shell_reading import parse_script
from mountplan.planner.ask.shell_syntax import Function, NotFollowed, Simple, Text
from mountplan.planner.ask.simulate import Answers, simulate
from mountplan.planner.errors import SpecError
from mountplan.planner.model import RULES_6_18, World

SCRIPTS = tuple(
    f"{package}/{path}"
    for package, paths in {
        "arch-install-scripts": (
            "usr/bin/arch-chroot",
            "usr/bin/pacstrap",
        ),
        "bilibop-lockfs": ("usr/share/initramfs-tools/scripts/local-bottom/bilibop-lockfs",),
        "cgroupfs-mount": ("usr/bin/cgroupfs-mount",),
        "cloud-init": ("usr/lib/cloud-init/uncloud-init",),
        "cloud-initramfs-growroot": ("usr/share/initramfs-tools/scripts/local-bottom/growroot",),
        "debootstrap": ("usr/share/debootstrap/functions",),
        "dracut-core": (
            "usr/lib/dracut/dracut-initramfs-restore",
            "usr/lib/dracut/modules.d/01fips/fips.sh",
            "usr/lib/dracut/modules.d/90overlay-root/overlay-mount.sh",
            "usr/lib/dracut/modules.d/90overlayfs/mount-overlayfs.sh",
            "usr/lib/dracut/modules.d/91zipl/install_zipl_cmdline.sh",
            "usr/lib/dracut/modules.d/95fstab-sys/mount-sys.sh",
            "usr/lib/dracut/modules.d/95rootfs-block/mount-root.sh",
            "usr/lib/dracut/modules.d/95rootfs-block/rootfallback.sh",
            "usr/lib/dracut/modules.d/95virtfs/mount-virtfs.sh",
            "usr/lib/dracut/modules.d/95virtiofs/mount-virtiofs.sh",
            "usr/lib/dracut/modules.d/96securityfs/securityfs.sh",
            "usr/lib/dracut/modules.d/98ecryptfs/ecryptfs-mount.sh",
            "usr/lib/dracut/modules.d/98selinux/selinux-loadpolicy.sh",
            "usr/lib/dracut/modules.d/98usrmount/mount-usr.sh",
            "usr/lib/dracut/modules.d/99base/init.sh",
            "usr/lib/dracut/modules.d/99shutdown/shutdown.sh",
        ),
        "fai-client": (
            "usr/lib/fai/get-config-dir-nfs",
            "usr/lib/fai/mkramdisk",
            "usr/lib/fai/mount2dir",
            "usr/lib/fai/updatebase",
        ),
        "fai-nfsroot": ("usr/lib/fai/fai-mount-disk",),
        "grml-debootstrap": ("etc/debootstrap/chroot-script",),
        "initramfs-tools-core": (
            "usr/share/initramfs-tools/init",
            "usr/share/initramfs-tools/scripts/local",
        ),
        "initscripts": (
            "etc/init.d/checkroot.sh",
            "etc/init.d/mount-configfs",
            "etc/init.d/mountall.sh",
            "etc/init.d/umountroot",
            "etc/network/if-up.d/mountnfs",
            "lib/init/mount-functions.sh",
        ),
        "live-boot": (
            "lib/live/boot/9990-mount-http.sh",
            "lib/live/boot/9990-overlay.sh",
            "lib/live/boot/9990-toram-todisk.sh",
        ),
        "live-build": (
            "usr/lib/live/build/chroot_devpts",
            "usr/lib/live/build/chroot_hooks",
            "usr/lib/live/build/chroot_proc",
            "usr/lib/live/build/chroot_selinuxfs",
            "usr/lib/live/build/chroot_sysfs",
            "usr/lib/live/build/chroot_tmpfs",
            "usr/share/live/build/functions/chroot_bind_path.sh",
        ),
        "ltsp": ("usr/share/ltsp/client/init/25-ro-root.sh",),
        "lxcfs": ("usr/share/lxcfs/lxc.mount.hook",),
        "mmdebstrap": ("usr/share/mmdebstrap/hooks/file-mirror-automount/setup00.sh",),
        "nfs-common": ("etc/init.d/nfs-common",),
        "open-iscsi": (
            "lib/open-iscsi/activate-storage.sh",
            "usr/share/initramfs-tools/scripts/local-top/iscsi",
        ),
        "os-prober": ("usr/share/os-prober/common.sh",),
        "overlayroot": (
            "usr/sbin/overlayroot-chroot",
            "usr/share/initramfs-tools/scripts/init-bottom/overlayroot",
        ),
        "pbuilder": ("usr/lib/pbuilder/pbuilder-modules",),
        "schroot": (
            "etc/schroot/setup.d/10mount",
            "etc/schroot/setup.d/15binfmt",
        ),
    }.items()
    for path in paths
)
_VALUES = ("", "x", "yes", "true", "1", "0", "/target", "/dev/sda1", "start", "mount", "setup-start", "tmpfs",
           "ext4", "no")  # fmt: skip
_COMPARED = re.compile(r"(?:[!=]=? |\||^\s*\(?)\"?([A-Za-z0-9/_:.-]{2,24})\"?(?= *[])|])", re.MULTILINE)
_ROUNDS = 60


class Came(NamedTuple):
    """The lines of mount(8) that a script has, those that were come to, and what was in the way last."""

    lines: frozenset[int]
    reached: frozenset[int]
    stopped: tuple[str, ...]


def _simple(value: Any) -> Iterator[Simple | Function | NotFollowed]:
    """All commands in a value of the syntax, substitutions among them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Simple | Function | NotFollowed):
            yield one
        if isinstance(one, tuple):
            waiting += one


def _mounts(text: str) -> tuple[frozenset[int], tuple[str, ...]]:
    """The lines with a mount command, and the names of the functions."""
    commands = parse_script(text)
    lines, names = set(), []
    for one in _simple(commands):
        if isinstance(one, Function):
            names.append(one.name)
        if isinstance(one, Simple) and one.words and isinstance(one.words[0][0], Text):
            first = [word[0].text for word in one.words[:2] if word and isinstance(word[0], Text)]
            name = first[0].rpartition("/")[2]
            runs = name == "mount" or (name in ("exec", "command", "busybox") and first[1:] == ["mount"])
            if runs and "--version" not in first:
                lines.add(one.line)
    return frozenset(lines), tuple(names)


def follow(text: str, seconds: float, seed: int) -> Came:
    """Follow it with answers by chance until all is reached, or the time is over."""
    lines, functions = _mounts(text)
    chance = random.Random(seed)
    words_of = (*_VALUES, *sorted(set(_COMPARED.findall(text))))
    reached: set[int] = set()
    stopped: dict[str, None] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and not lines <= reached:
        whole = text
        if functions and chance.random() < 0.7:
            words = " ".join(chance.choice(("/target", "tmpfs", "x", "mount", "''")) for _ in range(4))
            whole = f"{text}\n{chance.choice(functions)} {words}\n"
        found, why = _once(whole, chance, words_of)
        reached |= found & lines
        for one in why:
            stopped.setdefault(one)
    return Came(lines, frozenset(reached), tuple(stopped) if not lines <= reached else ())


def _stage() -> Stage:
    """A machine of which nothing is known: every name may be there."""
    world = World(RULES_6_18)
    return Stage(world, {1: world.boot("1", world.superblock("ext4", complete=False))})


def _once(text: str, chance: random.Random, words: tuple[str, ...]) -> tuple[set[int], list[str]]:
    variables: dict[str, str] = {}
    outputs: list[tuple[str, str]] = []
    failing: list[str] = []
    files = {"/etc/fstab": "/dev/sda1 / ext4 defaults 0 0\n", "/proc/cmdline": "root=/dev/sda1 ro quiet\n",
             "/proc/mounts": "/dev/sda1 / ext4 rw 0 0\n"}  # fmt: skip
    tried: dict[str, int] = {}
    for _ in range(_ROUNDS):
        try:
            answers = Answers(tuple(outputs), tuple(failing))
            done = simulate(text, "S", _stage(), variables=variables, answers=answers, files=files)
        except SpecError as error:
            left = []
            for what, remedy in {mistake.what: mistake.remedy or "" for mistake in error.mistakes}.items():
                tried[what] = tried.get(what, 0) + 1
                if tried[what] > 3:
                    left.append(f"{what} | {remedy}")
                elif match := re.search(r"--var (\w+)=", remedy):
                    variables[match[1]] = chance.choice(words)
                elif match := re.search(r"--file (\S+)=FILE", remedy):
                    files[match[1]] = ""
                elif match := re.search(r"--answer '(.*?)=(OUTPUT|ext4|/usr/bin/\S+|)'", remedy, re.DOTALL):
                    if match[2] == "OUTPUT":
                        outputs.append((match[1], chance.choice(words)))
                    elif match[2] == "ext4" or chance.random() < 0.5:
                        outputs.append((match[1], match[2]))
                    else:
                        failing.append(match[1])
                else:
                    left.append(f"{what} | {remedy}")
            if left:
                return set(), left
        else:
            return {ran.line for ran in done.ran if ran.words[0] == "mount"}, []
    return set(), []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    whole = commands = reached = count = 0
    for name in SCRIPTS:
        path = arguments.directory / name
        if not path.is_file():
            sys.stdout.write(f"{name}: not there\n")
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        came = follow(text, arguments.seconds, arguments.seed)
        count += 1
        whole += came.lines <= came.reached
        commands += len(came.lines)
        reached += len(came.reached)
        missing = sorted(came.lines - came.reached)
        rest = f", not lines {missing}" if missing else ""
        sys.stdout.write(f"{name}: {len(came.reached)} of {len(came.lines)}{rest}\n")
        for one in came.stopped[:4]:
            sys.stdout.write(f"    {one[:160]}\n")
    sys.stdout.write(f"{whole} of {count} scripts, {reached} of {commands} mount commands\n")


if __name__ == "__main__":
    main()

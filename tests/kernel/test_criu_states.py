"""The mount states that CRIU's own tests make, in words of ours: each is captured, built, and the same again.

Those at which CRIU stops are in test_criu_limits.py, the filesystems that need a program in test_capture.py. A state is
a few lines, each an act: `tmpfs A` mounts one called A on the directory A, which it makes if it is not there, and the
other words are those of mount(8).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import InHost, mount, setns, umount, unshare
from tests.kernel.capture_fuzz import compare_again
from tests.kernel.handmade import CLONE_NEWNS, Alive, begin, enter, inhabited, make, restored
from tests.mountflags import (
    MNT_DETACH,
    MS_BIND,
    MS_MOVE,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

pytestmark = pytest.mark.needs_kernel("set-group", "root")

KINDS = {"private": MS_PRIVATE, "shared": MS_SHARED, "slave": MS_SLAVE, "unbindable": MS_UNBINDABLE}


def act(line: str) -> None:
    word, *places = line.split()
    if word in KINDS:
        make(places[0], KINDS[word])
    elif word in ("tmpfs", "sysfs", "proc", "mqueue", "devpts", "ramfs", "debugfs", "tracefs", "binfmt_misc"):
        os.makedirs(places[0], exist_ok=True)
        mount(places[-1], places[0], word)
    elif word in ("bind", "rbind"):
        if os.path.isdir(places[0]):
            os.makedirs(places[1], exist_ok=True)
        elif not os.path.lexists(places[1]):
            Path(places[1]).touch()
        mount(places[0], places[1], flags=MS_BIND | (MS_REC if word == "rbind" else 0))
    elif word == "move":
        mount(places[0], places[1], flags=MS_MOVE)
    elif word in ("ro", "rw"):
        mount("", places[0], flags=MS_REMOUNT | MS_BIND | (MS_RDONLY if word == "ro" else 0))
    elif word == "ro-superblock":
        mount("", places[0], flags=MS_REMOUNT | MS_RDONLY)
    elif word == "umount":
        umount(places[0], MNT_DETACH)
    elif word == "chroot":
        os.chroot(places[0])
    elif word == "mkdir":
        os.makedirs(places[0])
    else:
        calls: dict[str, Callable[[str], object]] = {
            "file": lambda path: Path(path).touch(), "fifo": os.mkfifo, "unlink": os.unlink, "rmdir": os.rmdir,
            "socket": lambda path: os.mknod(path, 0o140644), "null": lambda path: os.mknod(path, 0o020644, 0x103),
        }  # fmt: skip
        calls[word](places[0])


def state(text: str) -> Callable[[], None]:
    """A root of its own, cut off from the host, with these acts carried out in it."""

    def build() -> None:
        make("/", MS_REC | MS_PRIVATE)
        begin()
        for line in filter(None, map(str.strip, text.splitlines())):
            act(line)
        enter()

    return build


STATES = {
    "a filesystem": "tmpfs d",
    "a read-only mount": "tmpfs d\nro d",
    "a read-only superblock": "tmpfs d\nro-superblock d",
    "a directory, bound on a directory beside it": "mkdir a\nbind a b",
    "a directory, bound on itself": "mkdir a\nbind a a",
    "writable and read-only, one filesystem": "tmpfs rw\nbind rw ro\nro ro",
    "stacks of stacks": "tmpfs a/b\ntmpfs a/b\ntmpfs a/b/c\ntmpfs a\ntmpfs a\ntmpfs a/b",
    "a bind over its own source, and one moved into it": """
        tmpfs d
        tmpfs d/a
        bind d/a d/b
        mkdir d/a/b/c
        bind d/a/b d/a
        move d/b d/a/c
        tmpfs d/b
        mkdir d/b/b/z
        bind d/b d/b/b
        bind d/b/b/b d/b/b""",
    "a file below a cover of the same filesystem": "tmpfs a\nfile a/f\nbind a a",
    "a cover on a file": "file f\nfile g\nbind g f",
    "a cover on a fifo": "fifo f\nfile g\nbind g f",
    "a cover on a socket": "socket s\nfile g\nbind g s",
    "a cover on a device": "null n\nfile g\nbind g n",
    "a device, bound on another": "null n\nnull m\nbind n m",
    "a bind below a bind, and their parent is shared": """
        mkdir a
        mkdir b/c
        mkdir d
        bind . .
        shared .
        bind b a
        bind d a/c""",
    "copies in the shared parent's own directories": """
        mkdir t/a/b/c
        mkdir t/d
        mkdir t/e
        mkdir t/f
        bind t t
        shared t
        bind t/a t/d
        bind t/a/b t/e
        bind t/f t/a/b/c""",
    "peers to which different mounts came": """
        tmpfs one
        shared one
        tmpfs one/first
        bind one two
        bind one one/second
        tmpfs one/third""",
    "a child that one of its peers has made private": """
        tmpfs d
        shared d
        tmpfs d/one
        shared d/one
        mkdir d/source
        bind d/one d/two
        bind d/source d/one/child
        private d/one/child
        private d/two/child""",
    "peers that are slaves, with a child": """
        tmpfs share
        shared share
        bind share slave
        slave slave
        shared slave
        bind slave again
        tmpfs slave/child""",
    "a slave covered with another filesystem": """
        sysfs a
        shared a
        bind a b
        slave b
        tmpfs a""",
    "groups made of a mount that was shared already": """
        mkdir one/D
        bind one one
        shared one
        bind one A
        private A
        shared A
        bind one B
        slave B
        bind one/D two
        bind one three
        tmpfs one/D/test
        private three""",
    "a shared tree moved upon another": """
        mkdir 1/a
        bind 1 1
        private 1
        tmpfs 2
        mkdir 2/a
        bind 1/a 1/a
        shared 1/a
        bind 1/a 2/a
        tmpfs 1/a/c
        move 2 1""",
    "an unbindable mount, below what is bound": "tmpfs d\nmkdir aux\ntmpfs d/un\nbind aux b\nunbindable d/un",
    "names of deleted directories and files": """
        tmpfs d
        mkdir d/from
        mkdir d/to
        file d/from-file
        file d/to-file
        bind d/from d/to
        bind d/from-file d/to-file
        rmdir d/from
        unlink d/from-file""",
    "parts of proc, of which one is read-only and what is on it is not": """
        proc proc
        bind proc/sys proc/sys
        bind proc/sys/net proc/sys/net
        ro proc/sys""",
    "odd characters in a path": "tmpfs a\\\\040\\tb\nmkdir a\\\\040\\tb/#".replace("\\t", "\u00e4"),
    "each filesystem that a namespace has": "proc proc\nsysfs sys\nmqueue mq\ndevpts pts\nramfs ram\ntmpfs tmp",
    "slaves of slaves": """
        tmpfs a
        shared a
        bind a b
        slave b
        shared b
        bind b c
        slave c
        shared c
        bind c e
        slave e""",
    "private, shared and slaves, below private, shared and slaves": """
        tmpfs s1
        shared s1
        bind s1 s2
        bind s1 s3
        bind s1 s4
        tmpfs p
        mkdir p/in
        bind p sh
        shared sh
        bind sh sl
        slave sl
        bind sl ss
        shared ss
        bind p/in s1/private
        bind sh/in s1/shared
        bind sl/in s1/slave
        bind ss/in s1/both
        private s2/private
        private s2/shared
        slave s3/slave
        slave s3/both
        private s4/both
        shared s4/both
        bind p/in s1/flags
        ro s1/flags
        ro s2/flags""",
    "a root that is a directory of a filesystem": "tmpfs d\nmkdir d/in\nmkdir d/in/old\nbind d/in d/in\ntmpfs d/in/x",
    "a read-only root": "tmpfs d\nro .",
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_comes_back(name: str, in_host: InHost) -> None:
    assert "" == restored(in_host, state(STATES[name]))


@pytest.mark.needs_kernel("fs:debugfs", "fs:tracefs", "fs:binfmt_misc")
def test_what_the_machine_has_one_of_comes_back_and_parts_of_it(in_host: InHost) -> None:
    mounts = "debugfs debug\ntracefs trace\nbinfmt_misc misc\nrbind debug again\nbind trace/events events"
    assert "" == restored(in_host, state(mounts))


def beside(first: str, second: str, third: str = "") -> Callable[[], str]:
    """Two namespaces: the second is unshared from the first, as that is after `first`, and gets what `second` says.
    After that, the first gets what `third` says.
    """

    def script() -> str:
        def build() -> None:
            make("/", MS_REC | MS_PRIVATE)
            begin()
            for line in filter(None, map(str.strip, first.splitlines())):
                act(line)

        def within(pid: int, text: str, *, new: bool) -> Callable[[], None]:
            def go() -> None:
                namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
                setns(namespace)
                if new:
                    unshare(CLONE_NEWNS)
                os.chdir("/mnt")
                for line in filter(None, map(str.strip, text.splitlines())):
                    act(line)

            return go

        with inhabited(build) as one, inhabited(within(one, second, new=True)) as other:
            if third:
                with inhabited(within(one, third, new=False)):
                    pass
            return compare_again(Alive([one, other]))

    return script


PAIRS = {
    "a bind in one of two namespaces, and then a mount in what it shows": (
        "tmpfs d\nshared d\nmkdir d/path\nmkdir d/share\nmkdir d/bind", "bind d/path d/bind", "tmpfs d/share"),
    "the same, where one has left the group": (
        "tmpfs d\nshared d\nmkdir d/path\nmkdir d/share", "private d\nbind d/path d/bind", "tmpfs d/share"),
    "shared here, private there": ("tmpfs d\nprivate d\ntmpfs d/p", "shared d\nprivate d/p", "shared d/p"),
    "a slave of the other namespace": ("tmpfs d\nshared d\nmkdir d/in", "slave d", "tmpfs d/in"),
    "a slave that is shared on": ("tmpfs d\nshared d\nmkdir d/in", "slave d\nshared d\nbind d e", "tmpfs d/in"),
    "unmounted in one of them": ("tmpfs d\ntmpfs d/in", "umount d/in", ""),
    "one path, and another filesystem in each": ("tmpfs d\nbind d e", "umount e\ntmpfs e", ""),
    "a filesystem that only one has": ("mkdir a", "tmpfs a\nbind a b", ""),
    "a directory of the other's root": (
        "tmpfs d\nmkdir d/one/two", "bind d/one d/one\nshared d/one\nbind d/one/two e", "bind d/one f"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_of_two_namespaces_comes_back(name: str, in_host: InHost) -> None:
    assert "" == in_host(beside(*PAIRS[name]), identity="root")


def outside() -> None:
    mount("srv", "/srv", "tmpfs")
    for path in ("dir", "dir/in", "file"):
        (Path("/srv") / path).mkdir() if path != "file" else (Path("/srv") / path).touch()
    mount("shared", "/srv/dir", "tmpfs")
    os.mkdir("/srv/dir/in")
    make("/srv/dir", MS_SHARED)


# What CRIU calls external: mounts of the host's, given to it by name or found by itself.
EXTERNAL = {
    "a bind of a directory": "bind /srv/dir/in ext",
    "a bind of a file": "bind /srv/file ext",
    "a bind of a device": "bind /dev/null ext",
    "two of one": "bind /srv/dir a\nprivate a\nbind /srv/dir b\nprivate b",
    "a slave": "bind /srv/dir ext\nslave ext",
    "a slave that is shared on": "bind /srv/dir ext\nslave ext\nshared ext\nbind ext again",
    "slaves that show other parts of one": "bind /srv/dir a\nslave a\nbind /srv/dir/in b\nslave b",
    "cut off, and shared anew": "bind /srv/dir ext\nprivate ext\nshared ext\nbind ext again",
    "a peer": "bind /srv/dir ext",
    "a tree": "rbind /srv ext",
    "a mount of its own below it": "bind /srv/dir ext\nprivate ext\ntmpfs ext/in",
    "read-only": "bind /srv/dir ext\nprivate ext\nro ext",
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_what_is_the_hosts_comes_back(name: str, in_host: InHost) -> None:
    def build() -> None:
        begin()
        for line in EXTERNAL[name].splitlines():
            act(line)
        enter()

    assert "" == restored(in_host, build, host=outside)


def test_a_directory_of_the_host_as_root(in_host: InHost) -> None:
    def build() -> None:
        mount("/srv/dir", "/mnt", flags=MS_BIND)
        make("/mnt", MS_PRIVATE)
        os.chdir("/mnt")
        act("tmpfs in")
        enter()

    assert "" == restored(in_host, build, host=outside)


def test_a_process_in_a_chroot_below_its_namespaces_root(in_host: InHost) -> None:
    def build() -> None:
        make("/", MS_REC | MS_PRIVATE)
        begin("inner")
        act("tmpfs inner")
        act("tmpfs inner/deep")
        enter()
        act("chroot inner")

    assert "" == restored(in_host, build)

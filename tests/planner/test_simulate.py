"""simulate reads what filesystems share, and stops at a clear limit where a script is deep or large."""

from __future__ import annotations

import errno
import time

import pytest

from mountplan.planner.commands.actions import ChangeRoot, End, MakeDirectory
from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import Answers, simulate


def mounts(script: str) -> list[str]:
    return [f"{row.mountpoint} {row.attributes.split(',')[0]}" for row in simulate(script).final[0].table.rows[1:]]


def refused(script: str) -> list[str]:
    return [f"{one.line}: {one.why}" for one in simulate(script).failures]


def test_a_device_is_one_filesystem_however_often_it_is_mounted() -> None:
    script = (
        "mkdir /a /b\nmount -t ext4 /dev/sda1 /a\nmkdir -p /a/x\nmount -t ext4 /dev/sda1 /b\nmount -o remount,ro /a\n"
    )
    one, other = simulate(script).final[0].table.rows[1:]
    assert (one.device, "ro") == (other.device, other.options.split(",")[0])
    assert ["4: /dev/sda1 is mounted already, and not as ro or rw as this says"] == refused(
        script.replace("ext4 /dev/sda1 /b", "ext4 -o ro /dev/sda1 /b")
    )


@pytest.mark.parametrize(
    ("fstype", "twice"),
    [("mqueue", False), ("pstore", False), ("sysfs", False), ("bpf", True), ("proc", True), ("tmpfs", True)],
)
def test_what_is_one_instance_is_not_mounted_twice_at_one_place(fstype: str, twice: bool) -> None:
    mounted = mounts(f"mkdir /a\nmount -t {fstype} x /a\nmount -t {fstype} x /a\n")
    assert (2 if twice else 1) == len(mounted)


@pytest.mark.parametrize(("fstype", "there"), [("ext4", True), ("overlay", True), ("tmpfs", False), ("ramfs", False)])
def test_only_what_begins_empty_is_known_to_have_no_such_name(fstype: str, there: bool) -> None:
    """What a filesystem on a device holds is not known: the name may be there."""
    found = mounts(f"mkdir /a\nmount -t {fstype} /dev/sda1 /a\nmount --bind / /a/etc\n")
    assert there is ("/a/etc rw" in found)


def test_a_remount_that_is_refused_changes_nothing() -> None:
    """The filesystem belongs to a more privileged user; the mount itself would have been changed first."""
    script = "mkdir /b\nmount --bind /b /b\nunshare -Urm sh\nmount -o remount,ro /b\n"
    simulation = simulate(script)
    assert ["rw,relatime"] == [row.attributes for row in simulation.final[1].table.rows if row.mountpoint == "/b"]
    assert ["4: the filesystem belongs to a more privileged user"] == refused(script)


def test_a_shell_in_the_background_stays_where_it_sleeps() -> None:
    """With all that waits for it; `wait` has it end."""
    script = "mkdir /a\n(mount -t tmpfs x /a; unshare -m sh -c 'umount /a; sleep 9') &\n"
    assert ["1", "2"] == [one.namespace for one in simulate(script).final]
    assert ["1"] == [one.namespace for one in simulate(script + "wait\n").final]


@pytest.mark.parametrize(
    ("script", "sources"),
    [
        ("mkdir /a\nsh -s y z\nmount -t tmpfs $2 /a\n", ["z"]),
        ("mkdir /a\nset -- p\nsh\nmount -t tmpfs $1 /a\n", ["p"]),
        ("mkdir /a\nsh -e\nfalse\nmount -t tmpfs y /a\nfalse\nmount -t tmpfs z /a\n", ["y", "z"]),
        ("mkdir /a\nexec sh -es y\nmount -t tmpfs $1 /a\nfalse\nmount -t tmpfs z /a\n", ["y"]),
        ("mkdir /a\nunshare -m --propagation unchanged sh -e\nmount -t tmpfs x /a\nfalse\numount /a\n", []),
    ],
)
def test_a_shell_that_is_typed_has_its_options_and_arguments(script: str, sources: list[str]) -> None:
    """And the one around it keeps its own: there the script goes on once the inner one has ended."""
    assert sources == [row.source for row in simulate(script).final[0].table.rows[1:]]


DEEP = {
    "umount -R": "mkdir /a\nmount -t tmpfs x /a\nmkdir /a/b\n" + "mount -t tmpfs x /a/b\n" * 2500 + "umount -R /a\n",
    "shells": "unshare -m sh\n" * 2000 + "mkdir /a\n",
    "joints": "mkdir /a && " * 5000 + "mkdir /a\n",
    "prefixes": "sudo " * 5000 + "mkdir /a\n",
    "elements": "for ((i = 0; i < 5000; i++)); do a+=(x); done\nmkdir /a${#a[@]}\n",
}


@pytest.mark.parametrize("what", DEEP)
def test_a_deep_or_long_script_is_answered_in_seconds(what: str) -> None:
    begun = time.process_time()
    simulation = simulate(DEEP[what])
    assert 20 > time.process_time() - begun
    assert ["/"] == [row.mountpoint for row in simulation.final[0].table.rows]


def test_a_file_that_doubles_is_not_kept_in_mind_for_ever() -> None:
    """The 21st line is more than is kept; what is in it is not known then."""
    script = f"echo {'a' * 100_000} > /f\n" + "cat /f >> /g\n" * 20
    assert not simulate(script).failures
    with pytest.raises(SpecError, match="what `grep -c a /g` writes is not known"):
        simulate(script + "mkdir /$(grep -c a /g)\n")


def test_what_the_kernel_finds_too_long_is_refused() -> None:
    """A name of 256 bytes, and a path of 4096."""
    script = "".join(f"mkdir /{name}\n" for name in ("a" * 256, "a/" * 2048, "é" * 128, "é" * 127))
    assert [errno.ENAMETOOLONG] * 3 == [one.errno for one in simulate(script).failures]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("unshare -m " * 5000 + "true", "commands and shells are nested more than 64 deep"),
        ("( " * 5000 + "true" + " )" * 5000, "commands and shells are nested more than 64 deep"),
        ("( " * 40 + "unshare -m " * 40 + "true" + " )" * 40, "commands and shells are nested more than 64 deep"),
        (f"mkdir /{'a' * 200_000}", "a word is longer than 131,071 characters"),
        ("A=aa\n" + "A=$A$A\n" * 40, "a word is longer than 131,071 characters"),
        ("A=aaaa\n" + "A=$A$A\n" * 12 + f"B={'$A' * 1000}", "a word is longer than 131,071 characters"),
    ],
    ids=["commands", "subshells", "both", "word", "doubled", "joined"],
)
def test_what_is_too_deep_or_too_long_is_told(script: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        simulate(script)
    assert {told} == {mistake.what for mistake in error.value.mistakes}


def test_what_a_call_does_elsewhere_is_told_with_its_line() -> None:
    script = """\
mkdir /host /c
mount -t tmpfs h /host
mount --make-shared /host
mkdir /host/d
unshare -m --propagation slave sleep 9 &
mount --bind /host /c
mount -t tmpfs x /host/d
mkdir /host/d/pts
mount -t tmpfs y /host/d/pts
umount -l /c/d
"""
    assert [
        (7, ("appeared at /c/d too", "appeared for process 2 at /host/d too")),
        (9, ("appeared at /c/d/pts too", "appeared for process 2 at /host/d/pts too")),
        (
            10,
            (
                "what was mounted below it went too: /c/d/pts",
                "went for process 2 at /host/d too",
                "went at /host/d too",
            ),
        ),
    ] == [(one.line, one.elsewhere) for one in simulate(script).done if one.elsewhere]


def test_a_cpuset_is_shown_as_the_kernel_shows_it() -> None:
    table = simulate("mkdir /c\nmount -t cpuset c /c\n").final[0].table
    assert ["tmpfs", "cgroup"] == [row.fstype for row in table.rows]


BIND_AT_A_PEER = """\
mkdir /a /b /c
mount -t tmpfs a /a
mount --make-shared /a
mkdir /a/x
mount --bind /a /b
mount --bind -o ro /c /a/x
"""


@pytest.mark.parametrize(("version", "state"), [((2, 38), "rw"), ((2, 39), "ro"), ((2, 42), "ro")])
def test_the_copy_of_a_bind_has_its_attributes_where_they_are_set_before_it_is_attached(
    version: tuple[int, int], state: str
) -> None:
    rows = simulate(BIND_AT_A_PEER, util_linux=lambda: version).final[0].table.rows
    assert ["ro", state] == [row.attributes.split(",")[0] for row in rows if row.mountpoint in ("/a/x", "/b/x")]


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ("umount -R /a", ["/", "/a"], ["/"]),  # the upper one, or all that is there
        # The older child first, which the younger one covers; or the younger one first.
        (
            "mkdir -p /a/b/c; mount -t tmpfs c /a/b/c; mount -t tmpfs b /a/b; umount -R /a",
            ["/", "/a", "/a", "/a/b/c", "/a/b"],
            ["/"],
        ),
        ("mount -o remount,odd /a || umount /a", ["/", "/a"], ["/", "/a"]),
        ("mount -t tmpfs -o noatime,relatime c /c", "rw,noatime", "rw,relatime"),  # the stronger one, or the last
    ],
)
def test_versions_differ_in_stacks_in_access_times_and_in_how_options_are_handed_over(
    line: str, old: object, new: object
) -> None:
    for version, wanted in (((2, 38), old), ((2, 41), new)):
        script = f"mkdir /a /c\nmount -t tmpfs a /a\nmount -t tmpfs b /a\n{line}\n"
        rows = simulate(script, util_linux=lambda version=version: version).final[0].table.rows  # type: ignore[misc]
        found = [row.mountpoint for row in rows] if isinstance(wanted, list) else rows[-1].attributes
        assert wanted == found, version


def test_beneath_and_id_mapping_are_followed_where_mount_knows_them() -> None:
    script = "mkdir /a\nmount -t tmpfs a /a\nmount --beneath -t tmpfs -o noexec,X-mount.idmap=b:0:0:1 b /a\numount /a\n"
    table = simulate(script, util_linux=lambda: (2, 42)).final[0].table
    assert ["rw,noexec,relatime,idmapped"] == [row.attributes for row in table.rows if row.source == "b"]


def test_an_image_is_one_filesystem_on_one_loop_device() -> None:
    script = "mkdir /a /b /c\ntouch /i\nmount -t ext4 -o loop /i /a\nmount -t ext4 /i /b\n"
    script += "mount -t ext4 -o loop,offset=9 /i /c\n"
    rows = simulate(script).final[0].table.rows[1:]
    assert ["/dev/loop0", "/dev/loop0", "/dev/loop1"] == [row.source for row in rows]
    assert rows[0].device == rows[1].device != rows[2].device
    assert ["/a", "/c"] == [row.mountpoint for row in simulate(script + "umount /i\n").final[0].table.rows[1:]]


def test_a_part_of_a_filesystem_is_mounted_and_nothing_where_it_is_not_there() -> None:
    script = "mkdir /a\nmount -t {} -o X-mount.subdir=x/y /dev/sda1 /a\n"
    found = simulate(script.format("ext4"), util_linux=lambda: (2, 39))
    assert ["/x/y"] == [row.root for row in found.final[0].table.rows[1:]]
    missing = simulate(script.format("tmpfs"), util_linux=lambda: (2, 39))
    assert (["/"], [32]) == ([row.mountpoint for row in missing.final[0].table.rows], [missing.ran[-1].status])


def test_what_is_in_a_table_of_mounts_can_be_said() -> None:
    table = "# all\none /a tmpfs ro 0 0\ntwo\\040b /b tmpfs noauto\n"
    script = "mkdir /a /b\nmount -a\nmount /b\nmount -a\n"
    rows = simulate(script, files={"/etc/fstab": table}).final[0].table.rows[1:]
    assert [("/a", "one", "ro"), ("/b", "two b", "rw")] == [
        (row.mountpoint, row.source, row.attributes.split(",")[0]) for row in rows
    ]


def test_an_answer_for_a_condition_is_no_pattern_of_characters() -> None:
    """`[ -e /x ]` is what it is; as a pattern it would be any one character of these, and `:` is a command."""
    answers = Answers(failing=("[ : -e /dev/kvm ]", "[ -e /dev/kvm ]"))
    found = simulate("[ -e /dev/kvm ] || mkdir /a\n: && mkdir /b\n", answers=answers)
    assert ["/a", "/b"] == [one.action.path for one in found.done if isinstance(one.action, MakeDirectory)]
    assert ("[ : -e /dev/kvm ]",) == found.unasked


def test_patterns_are_those_of_the_shell() -> None:
    """Classes of characters, ranges that are empty, and what is not in one."""
    script = "for x in a1 - z; do case $x in [[:alpha:]][0-9]) mkdir /one;; [s-f]) mkdir /no;; [!a-z]) mkdir /not;;"
    script += " esac; done"
    found = simulate(script).done
    assert ["/one", "/not"] == [one.action.path for one in found if isinstance(one.action, MakeDirectory)]


SWITCH = """\
mkdir -p /new /proc /run /sys /dev
mount -t tmpfs r /new
mkdir -p /new/proc /new/run /new/dev
mount -t tmpfs p /proc
mount -t tmpfs u /run
mount -t tmpfs y /sys
mount --bind /dev /dev
mount -t tmpfs v /new/run
switch_root /new init
"""


def test_a_switched_root_takes_along_what_has_a_free_place_there() -> None:
    """/sys has no directory there and /run something mounted, so they go; /dev is of the same filesystem, and stays."""
    simulation = simulate(SWITCH, answers=Answers((("init", ""),)))
    assert ["go to /new", "make . the root of the process", "move the mount at /new to /",
            "move the mount at /proc to /new/proc", "start a process", "unmount /run", "unmount /sys"] == sorted(
        one.action.describe() for one in simulation.done if one.line == 9 and not isinstance(one.action, End)
    )  # fmt: skip


def test_what_is_trapped_can_be_asked_for_and_chroot_takes_the_end_of_options() -> None:
    """As arch-chroot(8) does both."""
    script = "mkdir /a\n[ -z \"$(trap -p EXIT)\" ] && trap 'mkdir /end' EXIT\n"
    script += '[ -n "$(trap -p EXIT)" ] && chroot -- /a true\n'
    done = simulate(script).done
    assert ["/a", "/end"] == [one.action.path for one in done if isinstance(one.action, MakeDirectory)]
    assert ["/a"] == [one.action.path for one in done if isinstance(one.action, ChangeRoot)]


TREE = "mkdir /a /b\nmount -t tmpfs x /a\nmkdir /a/c\nmount -t tmpfs y /a/c\n"


@pytest.mark.parametrize(
    ("version", "words", "made", "bound"),
    [
        # what a mount of a new filesystem has (its attributes, the superblock); what a recursive bind has, and below it
        ((2, 38), "ro", ("ro", "ro"), ("ro", "rw")),
        ((2, 38), "ro=x", ("ro", "ro"), ("ro", "rw")),  # no notice is taken of other arguments
        ((2, 39), "ro=vfs", ("ro", "ro"), ("ro", "rw")),
        ((2, 39), "ro=fs", ("ro", "ro"), ("ro", "rw")),
        ((2, 39), "ro=recursive", ("ro", "ro"), ("ro", "ro")),
        ((2, 41), "ro=vfs", ("ro", "rw"), ("ro", "rw")),
        ((2, 41), "ro=fs", ("rw", "ro"), ("rw", "rw")),
        ((2, 41), "rw=fs,ro=vfs", ("ro", "rw"), ("ro", "rw")),
        ((2, 41), "ro=recursive", ("ro", "ro"), ("ro", "ro")),
        ((2, 41), "ro", ("ro", "ro"), ("ro", "rw")),
        ((2, 41), "noexec=vfs", ("rw", "rw"), ("rw", "rw")),
    ],
)
def test_versions_differ_in_what_the_argument_of_an_attribute_says(
    version: tuple[int, int], words: str, made: tuple[str, str], bound: tuple[str, str]
) -> None:
    script = f"{TREE}mount -t tmpfs -o {words} x /b\nmount --rbind /a /b -o {words}\n"
    rows = simulate(script, util_linux=lambda: version).final[0].table.rows
    new, on_it, below = (row for row in rows if row.mountpoint in ("/b", "/b/c"))
    assert made == (new.attributes.partition(",")[0], new.options)
    assert bound == (on_it.attributes.partition(",")[0], below.attributes.partition(",")[0])
    assert (("noexec" in words,) * 2) == ("noexec" in new.attributes, "noexec" in on_it.attributes)


@pytest.mark.parametrize("words", ["ro=vfs", "noexec=fs", "ro=recursive"])
def test_old_versions_hand_such_an_argument_to_the_filesystem(words: str) -> None:
    with pytest.raises(SpecError, match=f"util-linux 2.38 hands {words} to the filesystem"):
        simulate(f"{TREE}mount -t tmpfs -o {words} x /b\n", util_linux=lambda: (2, 38))


@pytest.mark.parametrize(
    ("line", "left", "why"),
    [
        ("umount -A /a/c", "/a /b", ""),
        ("mount --bind /a /b; umount -A x", "/a /a/c /b", "unmount /a"),
        ("mount --bind /a/c /b; umount -A -R y", "/a /b", ""),
        ("umount -A -l x", "/b", ""),
        ("umount -A /none", "/a /a/c /b", "unmount /none"),
        ("umount -a -t tmpfs", "", ""),
        ("umount -a -t notmpfs", "/a /a/c /b", ""),
        ("umount -a -t nosuch,noproc", "", ""),
        ("umount --fake /a", "/a /a/c /b", ""),
        ("umount -l /a", "/b", ""),
        ("umount -R /a", "/b", ""),
        ("umount /a/c /a/c", "/a /b", "unmount /a/c"),
    ],
)
def test_umount_takes_what_its_options_say(line: str, left: str, why: str) -> None:
    simulation = simulate(f"{TREE}mount --bind / /b\n{line}\n")
    assert left.split() == [row.mountpoint for row in simulation.final[0].table.rows if row.mountpoint != "/"]
    assert [why] * bool(why) == [one.action.describe() for one in simulation.failures]


def test_a_sourced_file_has_its_own_arguments_if_it_is_given_some() -> None:
    """And `return` ends it with a status; afterwards the arguments are what they were."""
    files = {"/lib": "mkdir /$1\nreturn 3\nmkdir /never\n"}
    script = "set -- mine\n. /lib yours || mkdir /failed\n. /lib\nmkdir /$1/x\n"
    made = [one.action.describe() for one in simulate(script, files=files).done]
    assert ["/yours", "/failed", "/mine", "/mine/x"] == [words.split()[-1] for words in made if "/lib" not in words]


def test_the_device_of_a_label_is_what_findfs_is_said_to_find() -> None:
    answers = Answers((("findfs LABEL*x", "/dev/sda1\n"),))
    found = simulate("mount -t ext4 LABEL=x /\n", answers=answers)
    assert ["/dev/sda1"] == [row.source for row in found.final[0].table.rows][1:]


def test_an_answer_is_what_a_command_writes_and_its_status() -> None:
    answers = Answers((("blkid -o value /dev/sda", "y\n"),), failing=("findfs x",))
    found = simulate("mount -t tmpfs $(blkid -o value /dev/sda) /\nx=$(findfs x) || mkdir /b\n", answers=answers)
    assert ["y"] == [row.source for row in found.final[0].table.rows][1:]
    assert [0, 0] == [one.errno for one in found.done]
    assert () == found.unasked
    assert ("blkid q",) == simulate("mkdir /a\n", answers=Answers((("blkid q", ""),))).unasked

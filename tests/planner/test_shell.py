"""The shell of scripts without a kernel: what its words, commands and control flow come to.

tests/golden/scripts.txt has that for each line of tests/shell_scripts.py; tests/kernel/test_scripts.py holds the same
lines against the real programs.
"""

from __future__ import annotations

import pytest

from mountplan.planner.errors import SpecError
from mountplan.planner.shell import shell_control
from mountplan.planner.shell.simulate import simulate
from tests.planner.test_render import golden
from tests.shell_scripts import BEGIN, LINES, script_of, shown

# No program has these words, so there is none to hold them against: docs/propagation.md says what they are.
CALLS = [
    "open_tree --clone --recursive $R/a @t; move_mount @t $R/b; close @t; move_mount @t $R/c",
    "open_tree --clone $R/a @t; mkdir $R/c/d; move_mount @t/x $R/b; move_mount @t $R/c/d",
    "open_tree $R/a/x @t; move_mount @t $R/b; sh -c 'move_mount @t $R/c'; (close @t); close @t; close @t",
    "fsmount --options size=1m,ro --source q --attributes nosuid,noatime tmpfs @f; move_mount @f $R/b; close @f",
    "fsmount tmpfs @f; mount_setattr --attributes ro @f; move_mount @f $R/b; fsmount tmpfs @f; move_mount @f $R/c",
    "mount_setattr --recursive --attributes noexec,suid --propagation shared $R/a; mount_setattr --attributes rw $R/a",
    "mount_setattr --propagation shared $R/a; mount_setattr --propagation slave $R/a; mount_setattr $R/q",
    "mount --make-shared $R/a; open_tree --clone $R/a @s; fsmount tmpfs @f; move_mount --set-group @s $R/a/x",
    "mount --bind $R/a $R/b; mount --make-shared $R/a; move_mount --set-group $R/a $R/b; mount -t tmpfs y $R/b/x",
    "fsmount --source u tmpfs @f; move_mount --beneath @f $R/a/x; umount $R/a/x; move_mount @no $R/b",
    "touch $R/f; open_tree $R/f @f; open_tree @f/. @g; move_mount @g $R/b",
    "mount -t ext4 -o ro /dev/sda $R/b; fsmount --source /dev/sda ext4 @f",
]


def outcome(line: str) -> list[str]:
    """What is mounted in the end, in each namespace that is left; and what was refused."""
    simulation = simulate(script_of(line, ""))
    refused = [f"refused: {one.action.describe()}: {one.why}" for one in simulation.failures]
    tables = [shown(one.table.rows, "none") for one in simulation.final]
    more = [f"{number}: {one}" for number, lines in enumerate(tables[1:], 2) for one in lines]
    return [*tables[0], *more, *refused]


def test_what_the_lines_come_to_is_what_it_was() -> None:
    lines = [(line, outcome(line)) for line in (*LINES, *CALLS)]
    golden("scripts.txt", "\n".join(f"$ {line}\n" + "".join(f"{one}\n" for one in found) for line, found in lines))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mount --bind --source $R/a $R/b", "mount: --bind and --source exclude each other"),
        ("mount --bind -t tmpfs $R/a $R/b", "mount: --bind and -t exclude each other"),
        ("mount --bind --rbind $R/a $R/b", "mount: --bind and --rbind exclude each other"),
        ("mount -t tmpfs --source y --target $R/b z", "mount: there are 3 paths"),
        ("mount -t tmpfs $R/b", "mount: what is in /etc/fstab is not known"),
        ("mount -o shared $R/a", "mount: what is in /etc/fstab is not known"),
        ("mount -t notmpfs y $R/b", "mount: what type of filesystem y has is not known"),
        ("mount --make-shared src $R/a", "mount: what type of filesystem src has is not known"),
        ("mount -T /none -a", "mount: what is in /none is not known"),
        ("mount --beneath -t tmpfs y $R/a",
         "mount: --beneath is an option of util-linux 2.42, and this is read as 2.38 does"),
        ("sh -c 'for i in 1; do (break; mount -t tmpfs y $R/b); done'",
         "break in a process that a loop has started: shells called sh differ in that"),
        ("sh -c 'f() { local x; mount -t tmpfs y${x:-z} $R/b; }; x=1; f'",
         "what x has after `local x`, shells called sh do not agree on"),
        ("sh -c 'local x=1'", "`local` outside of functions: shells called sh differ in that"),
        ("(trap : EXIT; sleep 9) &", "a trap of what sleeps in the background is not followed"),
        ("sleep 9 & wait -n", "wait -n is not followed"),
        ("kill -NONE 1", "kill -NONE 1 is not followed"),
        ("mount -N 17 -t tmpfs y $R/b", "mount: 17 is no process of this script"),
        ("mount -t proc p $R/c; mount --bind $R/c/17/ns/net $R/b", "/c/17/ns/net: 17 is no process of this script"),
        ("mount --bind -o X-mount.subdir=x $R/a $R/b",
         "mount: what comes of X-mount.subdir by util-linux 2.38 hangs on propagation"),
        ("mount --options-mode ignore -t tmpfs y $R/b", "mount: --options-mode is not followed"),
        ("umount -O noauto $R/a", "umount: -O is not followed"),
        ("umount -r $R/a", "umount: -r of what is busy is not followed"),
        ("unshare --pid=$R/b true", "unshare: --pid=FILE is not followed"),
        ("unshare -U --net=$R/b true", "unshare: whether the files can be bound hangs on the version"),
        ("unshare -f --mount=$R/q true", "unshare: what --fork has started goes on without the file"),
        ("nsenter --user=$R/b -m -t $$ true", "nsenter: --user=FILE is not followed"),
        ("mkdir $1", "$1 has no value"),
        ('mkdir "`blkid`/d"', "what `blkid` writes is not known"),
        ("if grep -q x /etc/fstab; then umount $R/a; fi", "whether `grep -q x /etc/fstab` fails is not known"),
        ("frobnicate $R/a", "frobnicate is not followed"),
        ("ip netns add blue", "ip netns add blue is not followed"),
        ("ip -d net a blue", "ip -d net a blue is not followed"),
        ("/sbin/ip -n red -all netns exec true", "/sbin/ip -n red -all netns exec true is not followed"),
        ("systemctl --now start tmp.mount", "systemctl --now start tmp.mount is not followed"),
        ("systemctl switch-root $R/a", "systemctl switch-root /a is not followed"),
        ("command -v frobnicate && umount $R/a", "whether there is a frobnicate is not known"),
        ("read x", "what `read` would read is not known"),
        ("while :; do :; done", "the script comes to more than 1,000 commands"),
        ("mount <(echo) $R/a", "<( ) is not followed"),
        ("mount -t proc p $R/c; [ -e $R/c/self ] && umount $R/a",
         "whether -e /c/self holds is not known: the proc there may have anything in it"),
        ("mount -t proc p $R/c; for i in $R/c/*; do umount $R/a; done",
         "what is in /c/ is not known: the proc there may have anything in it"),
        ("mkdir ~/d", "~ is not followed"),
        ("sleep 9 & (sleep 9; mount -t tmpfs y $R/b) &", "what follows `sleep` in the background is not followed"),
        ("sh file", "file cannot be read: there is no file in /"),
        (". $R/a/none", "/a/none cannot be read: there is no none in /"),
        ("cd -", "where `cd -` goes is not known"),
        ("cd", "where cd goes is not known"),
        ("mount -t tmpfs LABEL=x $R/a", "mount: which device LABEL=x is, is not known"),
        ("exit x", "exit: x is no number"),
        ("set -o vi", "set -o vi is not followed"),
        ("set -k", "set -k is not followed"),
        ("export a-b", "export a-b is not followed"),
        ("[ a = b", "[ has no ]"),
        ("[ -q x ]", "[ -q x: this condition is not followed"),
        ("[[ -v x ]]", "whether x has a value is not known"),
        ("[[ ab =~ (a|ab) ]]", "[[ ab =~ (a|ab): this condition is not followed"),
        ("[[ 1 -eq x ]]", "[[ 1 -eq x: this condition is not followed"),
        ("x=$(printf %e 3)", "printf %e is not followed"),
        ("x=$(printf '\\x41')", "printf \\x41 is not followed"),
        ("x=$(seq 1 0 3)", "seq of this kind is not followed"),
        ("mkdir `pwd` `pwd`", "several `...` in one line are not followed: the grammar takes them for one"),
        ("sh -c shift", "shift of more than there is: shells called sh differ in that"),
        ("env -S mount", "env -S is not followed"),
        ("chroot --userspec=me $R/a true", "chroot --userspec=me is not followed"),
        ("sh -c", "sh: there is nothing after -c"),
        ("sh -z", "sh: -z is not followed"),
        ("kill 7", "kill: there is no process 7 beside this one"),
        ("mkdir ${x?}", "$x has no value, which ends the shell"),
        ("mkdir ${R@Q}", "${R@Q} is not followed"),
        ("mkdir $((2**3))", "$((2**3)) is not followed"),
        ("mkdir $((1/0))", "$((1/0)) is not followed"),
        ("mkdir $'\\q'", "\\q in $'...' is not followed"),
        ("select x in a; do :; done", "`select` is not followed"),
        ("if true; then", "`fi` is missing"),
        ("mkdir {1..99999}", "braces give more than 10,000 words"),
        ("close x", "close: x is no name of a descriptor"),
        ("close", "close: there is no path"),
        ("open_tree $R/a", "open_tree: there is one path"),
        ("move_mount --set-group --beneath $R/a $R/b", "move_mount: --set-group and --beneath exclude each other"),
        ("mount_setattr --propagation odd $R/a", "mount_setattr: there is no propagation odd"),
        ("mount_setattr --attributes odd $R/a", "mount_setattr: there is no attribute odd"),
        ("mount_setattr --attributes ro,rw $R/a", "mount_setattr: ro and rw exclude each other"),
        ("switch_root -c $R/a", "switch_root takes a directory and a program"),
        ("pivot_root $R/a", "pivot_root takes two directories"),
        ("mountpoint -d $R/a", "mountpoint -d /a is not followed"),
        ("nsenter -t 9 -m true", "nsenter: 9 is no process of this script"),
        ("rmdir -p $R/a", "rmdir: -p is not followed"),
        ("chroot", "chroot: there is no directory"),
        ("ln -r x $R/a/y", "ln -r is not followed"),
        ("ln --relative x $R/a/y", "ln -r is not followed"),
        ("cp $R/f", "there are too few paths"),
        ("rm -X $R/a", "rm -X is not followed"),
        ("rm --odd $R/a", "rm --odd is not followed"),
        ("mktemp $R/x", "mktemp /x is not followed"),
        ("mktemp $R/XX", "mktemp /XX is not followed"),
        ("mktemp --suffix=a $R/XXX", "mktemp --suffix=a /XXX is not followed"),
        ("readlink $R/a $R/b", "readlink /a /b is not followed"),
        ("readlink -x $R/a", "readlink -x /a is not followed"),
        ("read -n 1 x", "read -n is not followed"),
        ("shopt nullglob", "shopt nullglob is not followed"),
        ("shopt -s odd", "shopt -s odd is not followed"),
        ("alias mount=x", "an alias for mount is not followed"),
        ("alias cd=x", "an alias for cd is not followed"),
        ("alias unshare=x", "an alias for unshare is not followed"),
        ("f() { :; }; alias f=x", "an alias for f is not followed"),
        ("trap x DEBUG", "trap ... DEBUG and RETURN are not followed"),
        ("trap x RETURN", "trap ... DEBUG and RETURN are not followed"),
        ("declare -n x", "names of variables as variables are not followed"),
        ("declare +x y", "declare +x is not followed"),
        ("declare -i y", "declare -i is not followed"),
        ("declare -p x", "declare -p is not followed"),
        ("unset 'a[1]'", "unset a[1] is not followed"),
        ("return x", "return: x is no number"),
        ("return 1234567890", "return: 1234567890 is no number"),
        ("break x", "break: x is no number"),
        ("echo x | xargs -0 -L 1 mount", "xargs -0 -L is not followed"),
        ("pushd", "pushd  is not followed"),
        ("getopts", "getopts  is not followed"),
        ("timeout", "timeout  is not followed"),
        ("printf -v x", "printf -v x is not followed"),
        ("popd +1", "popd +1 is not followed"),
        ("sudo -u me mount -t tmpfs y $R/b", "sudo -u me is not followed"),
        ("timeout -s KILL 1 sleep 2", "timeout -s KILL 1 sleep 2 is not followed"),
        ("x=$(id -u me)", "what `id -u me` writes is not known"),
        ("x=$(mount -t tmpfs y $R/none 2>&1)", "what `mount -t tmpfs y $R/none 2>&1` writes is not known"),
        ("umount $R/b 2> $R/c/f; [ -s $R/c/f ] && umount $R/a", "whether -s /c/f holds is not known"),
        ("umount $R/b |& grep -q mounted && umount $R/a", "whether `grep -q mounted` fails is not known"),
        ("mount -v -t none -o bind $R/a $R/b | grep -q x && umount $R/b", "whether `grep -q x` fails is not known"),
        ("umount -v $R/a/x | grep -q x && umount $R/a", "whether `grep -q x` fails is not known"),
        ("ip a | sh", "what sh would read is not known"),
        ("sh -c 'set -e; x=$(false; echo y) || umount $R/a'",
         "whether set -e ends this, as something asks for its status, shells called sh do not agree on"),
        ("sh -c 'set -- p q; IFS=,; x=$@'",
         "$@ as one text is not followed: shells called sh differ in what stands between"),
        ("sh -c 'false; x=$(true)$?'",
         "$? behind $(...) in one command is not followed: shells called sh differ in that"),
        ("sh -c 'set --; x=${*-y}'", "whether ${*-...} takes no arguments for set, shells called sh do not agree on"),
        ("modprobe x; umount $R/a/x$?", "whether `modprobe x` fails is not known"),
        ("f() { sync; }; f; [ $? = 0 ] && umount $R/a/x", "whether `sync` fails is not known"),
        ("x=${BASH_SOURCE[0]}", "${BASH_SOURCE} is not followed"),
        ("{ exec > $R/c/f; } 2> $R/c/g", "`exec` in a command that is redirected itself is not followed"),
        ("exec > $R/none/f", "what becomes of the script, as a file cannot be opened, is not followed"),
        ("find $R/a -depth -exec umount {} \\;", "find of this kind is not followed"),
        ("find $R/a -type s -exec umount {} \\;", "find of this kind is not followed"),
        ("x=$(echo 'a\\tb')", "echo of this kind is not followed: shells called sh differ in that"),
        ("x=$(seq 1 x)", "seq of this kind is not followed"),
        ("x=$(printf %.2d 3)", "printf %.2d is not followed"),
        ("x=$(printf %d 1x)", "printf %d is not followed"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_followed_is_told_and_not_misread(
    line: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_control, "MOST_COMMANDS", 1000)
    with pytest.raises(SpecError) as error:
        simulate(f"R=; export R\n{BEGIN}{line}\n")
    assert [told] == [mistake.what for mistake in error.value.mistakes]


def test_an_empty_path_names_no_file() -> None:
    """It was taken for the root, to which no walk by an empty path leads."""
    assert () == simulate("rm -r '' && umount /mnt\n").done


def test_what_a_dangling_link_leads_to_is_not_copied() -> None:
    assert [0] == [one.errno for one in simulate("ln -s none /l; cp /l /c && umount /mnt\n").done]


MEANS_NOTHING = (
    "sync ip ifconfig iptables nft sysctl modprobe insmod rmmod depmod kmod logger chmod chown chgrp chattr "
    "setfacl udevadm systemctl service clear clear_console tput stty reset hostname date uname logname tty "
    "whoami groups getent wc tr sort uniq tee sed awk grep egrep fgrep cut head tail tar gzip gunzip xz zstd "
    "unzip cpio cmp diff cat blkid blockdev partprobe losetup dmsetup cryptsetup lvm vgchange mdadm fsck "
    "e2fsck resize2fs mkfs mke2fs mkfs.ext4 mkfs.ext2 mkfs.xfs mkfs.btrfs mkfs.vfat mkswap swapon swapoff stat "
    "df du ps pgrep pidof lsof fuser useradd usermod groupadd passwd apt-get dpkg dpkg-query dpkg-deb rpm yum "
    "dnf pacman curl wget ping route dhclient plymouth restorecon chcon setenforce ldconfig update-grub umask "
    "ulimit times hash bg fg jobs disown enable complete unalias tzselect locale sha256sum md5sum od hexdump "
    "xxd setupcon loadkeys setfont poweroff reboot halt usleep "
)


def test_what_means_nothing_for_mounts_is_passed_over() -> None:
    """Commands that scripts of Debian and its like run beside those that mount."""
    words = MEANS_NOTHING.split()
    simulation = simulate("".join(f"{word} x >/dev/null\n" for word in words) + "mount -t tmpfs y /\n")
    assert list(enumerate(words, 1)) == list(simulation.passed)
    assert () == simulation.failures


def test_what_means_nothing_for_mounts_in_other_words_is_passed_over() -> None:
    lines = [
        "ip -n blue link set lo up",
        "ip link add e0 netns a",
        "ip netns list",
        "ip netns",
        "systemctl status tmp.mount",
    ]
    assert len(lines) == len(simulate("\n".join([*lines, "mount -t tmpfs y /", ""])).passed)

"""Scripts mean in the model what they mean to the shell, mount(8), umount(8) and unshare(1): the same mounts come.

The words are run by the real programs, below a directory; `simulate --compare-kernel` only repeats what was understood.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mountplan.planner.ask.simulate import empty_world, simulate
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow
from mountplan.rehearsing import compare_with_kernel
from tests.hosts import PATIENCE, InHost, mount
from tests.kernel.script_fuzz import search
from tests.propagation import require_rules

pytestmark = pytest.mark.needs_kernel("root", "unshare")

BEGIN = "mkdir $R/a $R/b $R/c\nmount -t tmpfs src $R/a\nmkdir $R/a/x\nmount -t tmpfs -o ro,nosuid sub $R/a/x\n"

SOURCE_AND_TARGET = [
    "mount --bind $R/a --target $R/b",
    "mount --bind --target $R/b $R/a",
    "mount -o bind --source $R/a $R/b",
    "mount -o bind --target $R/b --source $R/a",
    "mount --source=y --target=$R/b -t tmpfs",
    "mount --target $R/b -t tmpfs y",
    "mount -t tmpfs --source y $R/b",
    "mount y $R/b -t tmpfs",
    "mount -t tmpfs -- y $R/b",
    "mount --make-shared --target $R/a",
    "mount --target $R/a -o remount,ro",
    "mount --source src -o remount,ro",
    "mount -o remount,ro src",
    "mount --move $R/a/x $R/b",
    "cd $R/a; mount --bind x ../b",
    "umount sub",
    "cd $R/a; umount x",
    "umount $R/b/../a/x",
    "umount $R/c $R/a/x $R/a",
]

OPTIONS = [
    f"mount -t tmpfs -o {options} y $R/c"
    for options in (
        "user", "users", "owner", "group", "user,exec", "exec,users", "owner,suid", "user,nouser", "rw,nosuid,suid",
        "ro,rw", "rw,ro", "nosuid,defaults", "relatime,noatime,strictatime", "noatime,atime", "noatime,norelatime",
        "strictatime,nostrictatime", "noatime,relatime", "nodiratime,diratime", "nodiratime", "nosymfollow,symfollow",
        "nosuid,size=1m -o suid,noexec", "ro -w", "rw -r", "private,shared",
        "nodev,noauto,nofail,x-y,_netdev,comment=z",
        "sync,dirsync,lazytime,silent,loud,async",
        "X-mount.mode=0755,nodev,X-mount.owner=0,X-mount.group=0,X-mount.noloop", "ro -O noauto",
    )
] + [
    f"mount {bind} -o {options} $R/a $R/c"
    for bind, options in (
        ("--bind", "rw"), ("--bind", "ro"), ("--rbind", "ro"), ("-o bind", "ro,rw"), ("-o rbind", "bind"),
        ("--bind", "nosuid,suid"), ("--bind", "user"), ("-o bind,user", "exec"), ("--bind", "owner"),
        ("--bind", "strictatime"), ("--bind", "relatime"), ("--bind", "noatime,nodiratime"), ("--bind", "shared"),
        ("--make-shared --bind", "ro"), ("-B", "noexec --make-private"), ("--bind", "lazytime"),
    )
] + [
    f"mount -o remount,{options}"
    for options in (
        "rw $R/a/x", "noexec $R/a/x", "bind,rw $R/a/x", "bind $R/a/x", "nosuid sub $R/a/x", "bind,noexec foo $R/a/x",
        "noatime $R/a/x", "user $R/a", "ro -w $R/a", "rw -r $R/a", "strictatime $R/a", "ro $R/c", "shared $R/a",
        "ro --bind $R/a/x", "ro --rbind $R/a", "private --make-shared $R/a",
    )
]  # fmt: skip

SHELL = [
    "unshare -m sh -c 'mount -t tmpfs y $R/b; exit 0'\nmount -t tmpfs z $R/c",
    "sh -c 'exit 0'\nmount -t tmpfs z $R/c",
    "sh -c 'exit 3' || mount -t tmpfs z $R/c",
    "(mount -t tmpfs y $R/b; exit 1) && mount -t tmpfs z $R/c",
    "cd $R/c; (cd $R/b; mount -t tmpfs y .)\nmount -t tmpfs z .",
    "x=b; (x=c; mount -t tmpfs y $R/$x); mount -t tmpfs z $R/$x",
    "x=b sh -c 'mount -t tmpfs y $R/$x'; x=c; mount -t tmpfs z $R/$x",
    "x=c; export x; sh -c 'x=b; mount -t tmpfs y $R/$x'; mount -t tmpfs z $R/$x",
    "opts='-t tmpfs y'; none=''; mount $opts $none $R/b",
    "o=' '; mount -t tmpfs \"$o\"y $R/b",
    "set -e; umount $R/b || mount -t tmpfs y $R/b; umount $R/c; mount -t tmpfs z $R/c",
    "sh -ec 'umount $R/b; mount -t tmpfs y $R/b'; mount -t tmpfs z $R/c",
    "set -e; (false; mount -t tmpfs y $R/b) || true; false; mount -t tmpfs z $R/c",
    "exec mount -t tmpfs y $R/b; mount -t tmpfs z $R/c",
    "(exec mount -t tmpfs y $R/b; mount -t tmpfs x $R/b); mount -t tmpfs z $R/c",
    "exit; mount -t tmpfs z $R/c",
    "(mount -t tmpfs y $R/b; sleep 0) & wait; mount -t tmpfs z $R/c",
    "sh -c 'mount -t tmpfs y $R/b; exit 5' & wait; mount -t tmpfs z $R/c",
    "false; (exit) || mount -t tmpfs z $R/c",
    "umount $R/b; test=$?; mount -t tmpfs y$test $R/c",
    "(unshare -m sleep 1) & P=$!; sleep .3; nsenter -t $P -m mount -t tmpfs y $R/b; kill $P",
    "(:; true && (unshare -m sleep 1)) & P=$!; sleep .3; nsenter -t $P -m mount -t tmpfs y $R/b; kill $P",
    "sh -c 'unshare -m sleep 1' & P=$!; sleep .3; nsenter -t $P -m mount -t tmpfs y $R/b; kill $P",
    "bash -c 'unshare -m sleep 1' & P=$!; sleep .3; nsenter -t $P -m mount -t tmpfs y $R/b; kill $P",
    'mount -t tmpfs "y\\\nz" $R/c',
    "if umount $R/b; then mount -t tmpfs y $R/b; elif umount $R/a/x; then mount -t tmpfs z $R/c; else false; fi",
    "if ! mountpoint -q $R/a; then mount -t tmpfs y $R/b; else mount -t tmpfs z $R/c; fi",
    "mountpoint -q $R/b || mount -t tmpfs y $R/b; mountpoint -q $R/b && mount -t tmpfs z $R/c",
    "for i in b c; do mount -t tmpfs $i $R/$i; done",
    "for i in b c; do for j in 1 2 3; do [ $j = 2 ] && continue 2; mount -t tmpfs $i$j $R/$i; done; done",
    "for i in 1 2 3; do mount -t tmpfs y$i $R/b; test $i -ge 2 && break; done; mount -t tmpfs z $R/c",
    "f() { mount -t tmpfs $1 $R/$2; return 3; }; f y b; test $? -eq 3 && f z c",
    "f() (cd $R/c; exit 4); f || mount -t tmpfs y$? $R/b; mount -t tmpfs z $R/c",
    "x=; mount -t tmpfs ${x:-y} $R/b; mount -t tmpfs ${x-none}z $R/c",
    "unset x; mount -t tmpfs ${x:=y} $R/b; mount -t tmpfs $x${x:+z} $R/c",
    "p=/a/b.c.d; mount -t tmpfs ${p#*/}:${p##*/}:${p%.*}:${p%%.*}:${#p} $R/c",
    "case $R/b in */a) umount $R/a/x;; */b|*/c) mount -t tmpfs y $R/b;; *) umount $R/a;; esac",
    "case a.b in [!a]*) umount $R/a/x;; [a-c]?b) mount -t tmpfs y $R/b;; esac",
    'mount $(echo -t tmpfs z)y $R/b; mount -t tmpfs "$(echo y; echo z)" $R/c',
    "cd $R/b; mount -t tmpfs `basename /q/w.e .e` $(pwd)",
    "i=0; while [ $i -lt 3 ]; do i=$((i + 1)); mount -t tmpfs y$i $R/b; done; mount -t tmpfs z$((2*(3+i))) $R/c",
    "i=1; until test $i = 3; do i=$((i+1)); mount -t tmpfs y $R/c; done",
    "for d in $R/[bc]; do mount -t tmpfs y $d; done; for d in $R/nothing*; do mkdir $d; done",
    "printf 'y b\\nz c\\n' | while read s t; do mount -t tmpfs $s $R/$t; done",
    "while read s t; do mount -t tmpfs $s $R/$t; done <<E\ny b\nz$x c\nE".replace("$x", "${x:-}"),
    "trap 'mount -t tmpfs y $R/b' EXIT; umount $R/a/x; exit 3",
    "sh -c 'trap \"umount $R/a/x\" EXIT; exit 1'; mount -t tmpfs z $R/c",
    'set -- b c; mount -t tmpfs $# $R/$2; shift; mount -t tmpfs "$*" $R/$1; for i; do mount -t tmpfs $i $R/$i; done',
    'f() { for i in "$@"; do mount -t tmpfs "$i" $R/b; done; }; f \'y y\' z',
    "[ -d $R/a -a ! -e $R/q ] && mount -t tmpfs y $R/b; test -f $R/c || mount -t tmpfs z $R/c",
    "{ mount -t tmpfs y $R/b; exit 0; }; mount -t tmpfs z $R/c",
    "set -e; f() { false; mount -t tmpfs y $R/b; }; if f; then :; fi; f; mount -t tmpfs z $R/c",
    "set -e; ! mount -t tmpfs y $R/b; false | true; mount -t tmpfs z $R/c; true | false; umount $R/c",
    "set -e; x=$(false); mount -t tmpfs y $R/b",
    "x=$(exit 3) || mount -t tmpfs y$? $R/b; eval 'mount -t tmpfs z $R/c'",
    "mount -t tmpfs y $R/b && { umount $R/b; mount -t tmpfs q $R/b; } || umount $R/a",
    "mount -t tmpfs y $R/b > $R/log 2>&1; mount --bind $R/a $R/log; mount -t tmpfs z $R/c >/dev/null",
    "true > $R/c/no/log || mount -t tmpfs z $R/c",
    "umount $R/a/x && mount -t tmpfs y $R/b & wait; mount -t tmpfs z $R/c",
    'a=\'x y\'; set -- $a "$a"; mount -t tmpfs $# $R/b; b=$a; mount -t tmpfs "$b" $R/c',
    'cd $R && mkdir \'d e\' && for d in d*; do mount -t tmpfs "$d" "$d"; done',
    "# nothing\n\n  mount -t tmpfs y \\\n  $R/b # but this\nmount -t tmpfs 'z#' $R/c",
    "mount -t tmpfs y $R/b;sh -c 'mount -t tmpfs $0$1 $R/c' p q",
    'x=b; eval "y_$x=c"; mount -t tmpfs $y_b $R/$y_b',
]
SHELL += [
    'x=b; mount -t tmpfs "y ${x}  ${x#b}z" $R/${x}',
    "for i in b c; do true & mount -t tmpfs y $R/$i; done",
]

BASH = [
    "for i in $R/{b,c}; do mount -t tmpfs y $i; done",
    "cd $R; mkdir {d,e{1..3},f}; for i in e{1,3}; do mount -t tmpfs $i $i; done",
    "[[ $R/b == *b && ! -e $R/q ]] && mount -t tmpfs y $R/b; [[ a < b || -z x ]] && mount -t tmpfs z $R/c",
    "mount -t tmpfs $'y\\tz' $R/b; read -r x <<< 'a b'; mount -t tmpfs \"$x\" $R/c",
    "function f { local x=$1; mount -t tmpfs $x $R/$x; }; f b; f c",
    "sh -c 'mount -t tmpfs y $R/b'; f() { unshare -m mount -t tmpfs n $R/c; }; f",
]

NAMESPACES = [
    "mount --make-shared $R/a; unshare -Ur unshare -m --propagation unchanged mount -t tmpfs y $R/a/x",
    "mount --make-shared $R/a; unshare -Urm --propagation unchanged mount -t tmpfs y $R/a/x",
    "mount --make-shared $R/a; unshare -m --propagation unchanged mount -t tmpfs y $R/a/x",
    "mount --make-shared $R/a; unshare -U umount $R/a/x",
    "unshare -Urm mount -o remount,noexec $R/a",
    "unshare --propagation slave mount -t tmpfs y $R/b",
    "mount --make-shared $R/a; unshare -m -w $R/a --propagation unchanged umount x",
    "mount --make-shared $R/a; unshare --mount --propagation=unchanged --fork --kill-child umount $R/a/x",
]


def shown(rows: tuple[MountRow, ...], source: str) -> list[str]:
    """One line for each mount upon the one from `source`: path, source, root, attributes, state and sharing."""
    base = next(row for row in rows if row.source == source)
    root = base.mountpoint.rstrip("/")
    by_id = {row.mount_id: row for row in rows}
    groups: dict[int, int] = {}
    lines = []
    for row in rows:
        above = row
        while above is not base and above.parent_id in by_id:
            above = by_id[above.parent_id]
        if row is base or above is not base:
            continue
        group = groups.setdefault(row.peer_group, len(groups) + 1) if row.peer_group else 0
        state = row.options.partition(",")[0]
        path = row.mountpoint[len(root) :]
        lines.append(f"{path} {row.fstype} {row.source}[{row.root}] {row.attributes} {state} shared:{group}")
    return lines


@pytest.mark.parametrize("line", SOURCE_AND_TARGET + OPTIONS + SHELL + BASH + NAMESPACES)
def test_a_script_comes_to_the_same_mounts_as_the_real_programs(line: str, in_host: InHost) -> None:
    require_rules()

    def run() -> list[str]:
        mount("none", "/run", "tmpfs", data="mode=755")  # mount(8) keeps notes there, of `user` for one
        mount("base", "/mnt", "tmpfs", data="mode=755")
        script = f"R=/mnt; export R\n{BEGIN}{line}\n"
        shell = "bash" if line in BASH else "sh"
        subprocess.run([shell, "-c", script], capture_output=True, timeout=60 * PATIENCE)
        return shown(parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()).rows, "base")

    modelled = simulate(f"R=; export R\n{BEGIN}{line}\n").final[0].table.rows
    assert in_host(run, identity="root") == shown(modelled, "none")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mount --bind --source $R/a $R/b", "mount: --bind and --source exclude each other"),
        ("mount --bind -t tmpfs $R/a $R/b", "mount: --bind and -t exclude each other"),
        ("mount --bind --rbind $R/a $R/b", "mount: --bind and --rbind exclude each other"),
        ("mount -t tmpfs --source y --target $R/b z", "mount: there are 3 paths"),
        ("mount -t tmpfs $R/b", "mount: /b alone would be looked up in /etc/fstab"),
        ("mount -o shared $R/a", "mount: /a alone would be looked up in /etc/fstab"),
        ("mount -t notmpfs y $R/b", "mount: the type of the filesystem is missing"),
        ("mount --make-shared src $R/a", "mount: the type of the filesystem is missing"),
        ("mount -t tmpfs -o X-mount.subdir=x y $R/b", "mount: X-mount.subdir is not followed"),
        ("unshare --mount=$R/b true", "unshare: --mount=FILE is not followed"),
        ("nsenter -mu -t $$ true", "nsenter: -mu names the file u"),
        ("mkdir $1", "$1 has no value"),
        ('mkdir "`blkid`/d"', "what `blkid` writes is not known"),
        ("if grep -q x /etc/fstab; then umount $R/a; fi", "whether `grep -q x /etc/fstab` fails is not known"),
        ("frobnicate $R/a", "frobnicate is not followed"),
        ("command -v frobnicate && umount $R/a", "whether there is a frobnicate is not known"),
        ("read x", "what `read` would read is not known"),
        ("while :; do :; done", "the script comes to more than 100,000 commands"),
        ("a=(1 2)", "arrays are not followed"),
        ("mount <(echo) $R/a", "<( ) is not followed"),
        ("for ((i=0; i<3; i++)); do :; done", "`for` of this kind is not followed"),
        ("IFS=:", "IFS is not followed"),
        ("mount -t proc p $R/c; [ -e $R/c/self ] && umount $R/a",
         "whether -e /c/self holds is not known: the proc there may have anything in it"),
        ("mount -t proc p $R/c; for i in $R/c/*; do umount $R/a; done",
         "what is in /c/ is not known: the proc there may have anything in it"),
        ("mkdir ~/d", "~ is not followed"),
        ("sleep 9 & (sleep 9; mount -t tmpfs y $R/b) &", "what follows `sleep` in the background is not followed"),
        ("sh file", "sh: file is not read"),
        ("cd -", "cd: - is not followed"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_followed_is_told_and_not_misread(line: str, told: str) -> None:
    from mountplan.planner.errors import SpecError

    with pytest.raises(SpecError) as error:
        simulate(f"R=; export R\n{BEGIN}{line}\n")
    assert [told] == [mistake.what for mistake in error.value.mistakes]


@pytest.mark.needs_kernel("nsenter")
def test_random_scripts_come_to_the_same_by_the_real_programs() -> None:
    """A sample; `make fuzz-scripts` tries as many as wanted."""
    require_rules()
    result = search(range(1, 16))
    assert () == result.differences
    assert 100 < result.lines


@pytest.mark.parametrize(
    "script",
    [
        "mkdir /a; mount -t tmpfs one /a; umount -R a",
        "mkdir /a /c; mount -t tmpfs one /a; mount --bind /c /a; cd /c; umount one; umount -R /a",
        "mkdir /a; rmdir /a/; mkdir /a/; rmdir /a//",
    ],
)
def test_what_random_scripts_have_shown(script: str) -> None:
    require_rules()
    assert () == compare_with_kernel(simulate(script), empty_world(), "SCRIPT").differences

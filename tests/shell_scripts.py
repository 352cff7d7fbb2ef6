"""Lines of scripts that mean something to mounts, and what is left of a tree after them, in short lines.

The model and the real programs carry the same ones out; R is a directory with a tree below it, which BEGIN makes.
"""

from __future__ import annotations

from mountplan.applier.run.programs import util_linux_at_hand
from mountplan.planner.commands.util_linux import OLDEST
from mountplan.planner.shell.simulate import Simulation, simulate
from mountplan.planner.tables.table import MountRow

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
    "HOME=$R/b; cd; mount -t tmpfs y .",
    "mount -t tmpfs \"$(printf '\\0601|\\101|\\1011|\\q')\" $R/b",
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
    # `cd ..` and PWD go by names, and not by where symbolic links lead.
    (
        "mkdir -p $R/c/d; ln -s ../c/d $R/b/l; cd $R/b/l; mount -t tmpfs ${PWD##*/} .; cd ..; mkdir q"
        "; mount -t tmpfs ${PWD##*/} q; sh -c 'cd l/../../c; mount -t tmpfs ${PWD##*/} .'"
    ),
    'x=b; mount -t tmpfs "y ${x}  ${x#b}z" $R/${x}',
    "for i in b c; do true & mount -t tmpfs y $R/$i; done",
]

BASH = [
    "mount -t tmpfs \"$(echo -e '\\101|\\0101|\\x41|\\\"')$(printf '\\x41\\\"')\" $R/b",
    "for i in $R/{b,c}; do mount -t tmpfs y $i; done",
    "cd $R; mkdir {d,e{1..3},f}; for i in e{1,3}; do mount -t tmpfs $i $i; done",
    "[[ $R/b == *b && ! -e $R/q ]] && mount -t tmpfs y $R/b; [[ a < b || -z x ]] && mount -t tmpfs z $R/c",
    "mount -t tmpfs $'y\\tz' $R/b; read -r x <<< 'a b'; mount -t tmpfs \"$x\" $R/c",
    "function f { local x=$1; mount -t tmpfs $x $R/$x; }; f b; f c",
    "sh -c 'mount -t tmpfs y $R/b'; f() { unshare -m mount -t tmpfs n $R/c; }; f",
]

# Words, sums, conditions and commands that only write; `m` mounts one filesystem for each, named as it comes out.
M = 'm() { for i in "$@"; do mount -t tmpfs "$i" $R/b; done; }; '
WORDS = [
    M + line
    for line in (
        "m $(dirname /q/w/e) $(dirname q) $(dirname /q/) $(basename /q/w.e) $(basename /q/w.e .e) $(basename .e .e)",
        "m $(seq 2) x$(seq 4 6)y x$(seq -1 0)",
        "m \"$(printf '%s-%d:' a 1 b 2)\" $(printf 'q%%') \"$(printf 'a\\tb\\n\\n')\" $(printf x y)",
        'm u$(id -u) g$(id -g) "$(echo -n a; echo b  c)" $(echo)z',
        "mount --bind $(realpath $R/b/../a) $R/c; cd $R/a; mount --bind $(pwd) $R/b",
        "for n in 1 2 3; do [ $n -eq 2 ] && m e$n; [ $n -ne 2 ] && m n$n; [ $n -lt 2 ] && m l$n; done",
        "for n in 1 2 3; do [ $n -le 2 ] && m e$n; test $n -gt 2 && m n$n; [ $n -ge 2 ] && m l$n; done",
        "[ -n x ] && m n; [ -n '' ] || m nn; [ -z '' ] && m z; [ a = b ] || m e; [ a != b ] && m d; [ a = a ] && m f",
        "test a && m a; test '' || m b; test || m c; [ ! a = b ] && m d; [ a -a b ] && m e; [ '' -o b ] && m f",
        "[ '' -a b ] || m a; [ '' -o '' ] || m b; test \\( a = b \\) -o c = c && m c; test ! '' && m d",
        "[ -e $R/a ] && m a; [ -f $R/a ] || m b; [ -e $R/q ] || m c; [ -d $R/a/x ] && m d; [ -L $R/a ] || m e",
        "x=3; m v$((7/2)) v$((-7/2)) v$((7%3)) v$((-7%3)) v$((2*x)) v$((x-5)) v$((1+2*3-4)) v$(((1+2)*3)) v$((-x))",
        "x=3; m $((2>1))$((1==2))$((1!=2))$((3<=2))$((3>=3))$((2<3))$((3<2))$((2>=3)) $((x==3)) $(($x+1)) $((y+1))",
        "x=; m a${x:-b} a${x-b} a${x:+b}c a${x+b}c ${y:-d} ${y-e} f${y:+g} f${y+g} ${x:=h} $x ${z=i}$z ${#x}",
        'p=/a/b.c.d; m ${p#*/} ${p##*/} ${p%.*} ${p%%.*} ${p#q} ${p%?} ${p#/?} ${p%[a-d]} ${p#"*"} ${#p}',
        'x=\'a  b\'; m $x "$x" c$x"d" "${x}"$x; x=\' q \'; m 1$x\\2 \'\' ""',
        'm \'a\\b\' "a\\$b" a\\ b "q\\"q" "`echo x`" "it\'s" \'d"q\' a\'b\'"c" \\\\ "\\\\" "a\\b"',
        'cd $R; mkdir d1 d2 .d e; m d* d? d[!1] [de]* *q "d*" d\\* d1/../d[1-2] .d*',
        "for x in ab b.c -q '*'; do case $x in a*|-*) m 1$x;; b?c) m 2$x;; '*') m 3;; [!x]) m 4;; esac; done",
        "case a-b in a[-]b) m 1;; esac; case b in [!a]) m 3;; esac; case x in (x) m 4; esac; case '' in '') m 5;; esac",
        "n=0; until [ $n = 3 ]; do n=$((n+1)); [ $n = 1 ] && continue; m $n; done; while false; do m q; done; m s$?",
        "for i in 1 2; do for j in 1 2 3; do [ $j = 2 ] && break; m $i$j; done; done; for i in 1 2; do break; done",
        "for i in 1 2; do for j in 1 2; do m $i$j; break 2; done; done; m s$?; x=; for i in $x; do m q; done; m s$?",
        "f() { [ $1 = 3 ] && return 4; m $1; return; }; f 1; f 3; m r$?; f 2; m r$?; f() { m n; }; f; g() { f; }; g",
        'set -- a \'b c\' d; m $# $1 "$2" $3 "$*" "x$@y"; shift; m $# $1; shift 2; m $# "$@"; set -- q w; m $#',
        "f() { m $# \"$@\"; set -- z; m $1; }; set -- a b; f c; m $# $2; sh -c 'mount -t tmpfs $0$1$# $R/c' p q r",
        "export A=1 B; B=2; sh -c 'mount -t tmpfs x$A${B-u}${C-v} $R/b'; C=3 sh -c 'mount -t tmpfs y$C $R/b'; m ${C-w}",
        "A=2; A=3 true; m $A; A=$(echo 4)5 B=$A; m $A$B; unset A; m ${A:-u}; readonly D=7; m $D; A= ; m ${A-v}w",
        "while read x y; do m $x \"$y\"; done <<'E'\na $b c\n d\nE",
        "b=2; while read x; do m \"$x\"; done <<-E\n\ta\n\t$b\n\tE\necho 'p q' | { read x y; m $y; }; m ${y-unset}",
        "echo a b | while read x y; do m $y$x; done; printf 'a\\nb\\n' | { read x; read y; read z || m $x$y-$z; }",
        "true && m a || m b; false && m c || m d; ! false && m e; ! true || m f; false || false || m g; : || m && m i",
        "(m a; exit 3); m $?; { m b; }; (exit 2) || m $?; (cd $R/a); x=1; (x=2; m $x); m $x; sh -c 'exit 5'; m $?",
        "if false; then m a; elif false; then m b; elif true; then m c; else m d; fi; if false; then m e; fi; m $?",
        "trap 'm t' EXIT; trap - EXIT; m a; trap 'm $?' EXIT; false; exit 6",
        "set -e; set +e; false; m a; set -o errexit; true; if false; then :; fi; false || m b; false; m c",
        "x=w; eval m a '${x}b'; x='m c'; $x; eval \"x=d\"; m $x; env A=1 mount -t tmpfs f $R/b",
        "command -v mount >/dev/null && m a; command -v m >/dev/null && m b; type cd >/dev/null && m c",
        "x=$(m a; echo b); m $x; x=$(exit 4); m $?; x=`false` || m c; m $(m d) \"$(echo $(echo e) 'f  g')\"; : $(m h)",
        "echo x > $R/f; [ -e $R/f ] && m a; { echo; } >> $R/g; (echo) 2> $R/h; [ -f $R/g ] && m b; [ -e $R/h ] && m c",
        "mkdir -p $R/n/o; rmdir $R/n/o; [ -d $R/n/o ] || m a; mkdir $R/n && m b; mkdir -m 700 $R/p; [ -d $R/p ] && m c",
    )
]
WORDS_OF_BASH = [
    M + line
    for line in (
        "m {a,b}{1,2} {3..1} x{-1..1} x{,y}z {a} \"{a,b}\" {a,{b,c}d} '{'a,b} {a,b c}; x=q; m ${x}{1,2} {$x,r}",
        '[[ ab == a* ]] && m a; [[ ab == "a*" ]] || m b; [[ ab != b* ]] && m c; [[ x && ( a == b || c < d ) ]] && m d',
        "[[ b > a ]] && m a; [[ 3 -gt 2 ]] && m b; [[ ! -e $R/q ]] && m c; [[ '' ]] || m d; [[ a == [!b] ]] && m e",
        "m $'a\\nb' $'q\\'q'; read x <<< 'p q'; m \"$x\"; f() { local y=2; m $y; }; f; declare z=3; m $z",
    )
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
BASH += WORDS_OF_BASH
LINES = SOURCE_AND_TARGET + OPTIONS + SHELL + WORDS + BASH + NAMESPACES


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
        source = "base" if row.source == base.source else row.source
        lines.append(f"{path} {row.fstype} {source}[{row.root}] {row.attributes} {state} shared:{group}")
    return lines


FILES = [
    "printf 'y b\\nz c\\n' > $R/tab; while read s t; do mount -t tmpfs $s $R/$t; done < $R/tab",
    "echo 'q() { mount -t tmpfs $1 $R/$2; }' > $R/lib; . $R/lib; q y b; q z c",
    "echo 'mount -t tmpfs $1 $R/b; exit 3' > $R/run; sh $R/run y || mount -t tmpfs z$? $R/c",
    "printf 'y %s/b tmpfs noexec\\nz %s/c tmpfs ro\\n' $R $R > $R/tab; mount -a -T $R/tab; mount -T $R/tab y",
    "echo one > $R/f; echo two >> $R/f; mount -t tmpfs $(grep -c . $R/f)$(tail -n 1 $R/f) $R/b",
    'x=$(echo y 2>/dev/null); y=$(echo no >&2; echo z); mount -t tmpfs $x $R/b; mount -t tmpfs "$y" $R/c',
    "x=$(echo a:y:c | cut -d: -f2 | tr a-z A-Z); mount -t tmpfs $x $R/b",
    (
        "x=$(echo ab.c/d | sed -e 's,/,-,g;s/\\.c//'); y=$(printf 'b\\na\\nb\\n' | sort -u | head -n1)"
        "; mount -t tmpfs $x$y $R/b"
    ),
    "x=$(printf 'a b\\nc d\\n' | awk '$1 == \"c\" {print $2}'); echo $x | grep -q '^d$' && mount -t tmpfs $x $R/b",
    "printf 'a\\n' > $R/f; if grep -qx a $R/f; then mount -t tmpfs y $R/b; fi; grep -q b $R/f || mount -t tmpfs z $R/c",
]
VARIABLES = [
    'a=x; b=y; mount -t tmpfs "$a $b" $R/b; mount -t tmpfs "$a $(echo $b)  ${b} $((1+1)) `echo z`" $R/c',
    'f() { mount -t tmpfs y${2:+n} $R/b; mount -t tmpfs "z$1" $R/c; }; f',
    "IFS=:; p=b:c; for i in $p; do mount -t tmpfs $i $R/$i; done; unset IFS; set -- $p; mount -t tmpfs $1 $R/b",
    'echo b,c > $R/f; IFS=, read x y < $R/f; mount -t tmpfs $x $R/$x; mount -t tmpfs "$y" $R/$y',
    "f() { local x=b; x=c; mount -t tmpfs $x $R/$x; }; x=b; f; mount -t tmpfs $x $R/$x",
    "x=q; unset x; mount -t tmpfs ${x-y}${x:+n} $R/b; mount -t tmpfs z$x $R/c",
    "while getopts ab:c o -c -ab y -b z n; do mount -t tmpfs $o$OPTARG $R/b; done; mount -t tmpfs $OPTIND $R/c",
    "set -- -t tmpfs y; shift $((1 ? 2 : 0)); mount -t tmpfs $1$((2 && 0 || 3))$((7 & 5 | 8)) $R/b",
]
ONLY_IN_BASH = [
    'a=(y \'z z\'); a+=(c); mount -t tmpfs ${a[0]}${#a[@]} $R/b; for i in "${a[@]:1}"; do mount -t tmpfs "$i" $R/c; done',  # noqa: E501
    'declare -A m; m[y]=b; mount -t tmpfs ${#m[@]}${m[y]} $R/b; for k in "${!m[@]}"; do mount -t tmpfs $k $R/c; done',
    "for ((i=0; i<3; i++)); do ((i == 1)) && continue; mount -t tmpfs y$i $R/b; done",
    "while read -r x; do mount -t tmpfs $x $R/b; done < <(printf 'y\\nz\\n')",
    "x=abc; y=x; mount -t tmpfs ${x:1:1}${x/b/q}${x^^}${!y}${x: -1} $R/b",
    'f() { local -a l=("$@"); mount -t tmpfs ${l[-1]}${#l[*]} $R/b; }; f p q',
]
LINES += FILES + VARIABLES
BASH += ONLY_IN_BASH
LINES += ONLY_IN_BASH

# Options of the shell, what it calls a failure, and commands that change files or run others.
OPTIONS_OF_THE_SHELL = [
    "set -f; for i in $R/[bc]; do mount -t tmpfs y $i || mount -t tmpfs z $R/c; done; set +f; ls $R/[b]",
    "set -eu; unset x; (mount -t tmpfs y$x $R/b) || mount -t tmpfs z $R/c; : $x; mount -t tmpfs n $R/c",
    "x=; (: ${x:?}; mount -t tmpfs n $R/b); mount -t tmpfs y $R/c; : ${x:?}; mount -t tmpfs n $R/b",
    "set -e; for i in 1; do false && true; done; if true; then false && true; fi; mount -t tmpfs y $R/b",
    "set -e; { false && true; }; f() { false && true; }; mount -t tmpfs y $R/b; f; mount -t tmpfs n $R/c",
    "set -e; { :; } > $R/no/x; mount -t tmpfs n $R/c",
    "set -- -q y; set b; mount -t tmpfs $# $R/$1; set -o errexit -o nounset; false; mount -t tmpfs n $R/c",
    "mount() { command mount -o ro \"$@\"; }; mount -t tmpfs y $R/b; unset -f mount; mount -t tmpfs z $R/c",
    "env A=y sh -c 'mount -t tmpfs $A $R/b'; nice -n 5 timeout 9 mount -t tmpfs z $R/c; mount -t tmpfs ${A-n} $R/b",
    "mount -t tmpfs n$((9223372036854775807 + 1))$((-7 / 2))$((-7 % 2))$((9007199254740993 / 1)) $R/b",
    "x=; [ \"$x\" -eq 1 ] || mount -t tmpfs y$? $R/b; [ 1 -eq z ]; mount -t tmpfs z$? $R/c",
    "printf '%03d|%-3s|%5.2s|%x' 7 a bcd 255 > $R/f; mount -t tmpfs \"$(cat $R/f)\" $R/b",
]  # fmt: skip
FILE_COMMANDS = [
    "touch $R/f; rm $R/f; [ -e $R/f ] || mount -t tmpfs y $R/b; rm $R/f || mount -t tmpfs z $R/c",
    "touch $R/f; mv $R/f $R/g; [ -e $R/f ] || [ ! -e $R/g ] || mount -t tmpfs y $R/b; mv $R/g $R/c; ls $R/c/g && mount --bind $R/a $R/c",  # noqa: E501
    "ln -s $R/b $R/l; mount -t tmpfs y $R/l; [ -L $R/l ] && mount -t tmpfs $(basename $(readlink $R/l)) $R/c; umount $R/l",  # noqa: E501
    "ln -s b $R/l; mount --bind $R/a $R/l/../c; mountpoint -q $R/l/../c/ && mount -t tmpfs y $R/l; umount -R $R/l",
    "ln -s l $R/l; mount -t tmpfs y $R/l || mount -t tmpfs z $R/b; ln -sf b $R/l; mount -t tmpfs y $R/l",
    "echo y > $R/f; cp $R/f $R/g; mount -t tmpfs $(cat $R/g) $R/b; mkdir -p $R/d/e; cp -a $R/d $R/h; mount -t tmpfs z $R/h/e",  # noqa: E501
    "install -d $R/d/e $R/g; mount -t tmpfs y $R/d/e; truncate -s 1M $R/i; mount --bind $R/i $R/g; mount -t tmpfs z $R/i",  # noqa: E501
    "echo y | tee $R/f > /dev/null; mount -t tmpfs $(cat $R/f) $R/b; [ -s $R/f ] && mount -t tmpfs z $R/c",
    "mkdir -p $R/d/e; mount -t tmpfs y $R/d/e; rm -rf $R/d || mount -t tmpfs z $R/c; mkdir $R/d/e/f; rm -rf $R/d/e; rmdir $R/d/e/f || mount -t tmpfs q $R/b",  # noqa: E501
    "mkfifo $R/p; [ -p $R/p ] && mount -t tmpfs y $R/b; [ -f $R/p ] || mount -t tmpfs z $R/c",
    "printf '%s\\n' $R/b $R/c | xargs -n 1 mount -t tmpfs y; echo $R/b | xargs -I{} mount -t tmpfs z {}",
    "mkdir $R/c/d; find $R/c -mindepth 1 -type d -exec mount -t tmpfs y {} \\;; for i in $(ls $R/c); do mount -t tmpfs $i $R/b; done",  # noqa: E501
]
OPTIONS_OF_BASH = [
    "set -o pipefail; umount $R/b | cat || mount -t tmpfs y $R/b; set -euo pipefail; false | true; umount $R/b",
    "shopt -s nullglob; for i in $R/no*; do mount -t tmpfs n $R/b; done; for i in $R/[b]; do mount -t tmpfs y $i; done",
    "trap 'mount -t tmpfs y $R/b' ERR; false; umount $R/b || true; false || false",
    "set -e; x=$(false; echo y); mount -t tmpfs $x $R/b",
    "for i in x{08..10..2} {c..a} {3..1..2}; do mount -t tmpfs $i $R/b; done",
    'a=(y z); for i in "${a[@]/#/p}" "${a[@]/%z/q}"; do mount -t tmpfs $i $R/b; done; x=a#b#; mount -t tmpfs ${x//#/y}${x/#a/n} $R/c',  # noqa: E501
    "printf -v x %s-%s a b; mount -t tmpfs $x $R/b; IFS=, read -ra a <<< y,z; mount -t tmpfs ${a[1]} $R/c",
    "case 1 in 1) mount -t tmpfs y $R/b;& 2) mount -t tmpfs z $R/c;;& [0-9]) umount $R/a/x;; *) umount $R/c;; esac",
    "echo -e 'y\\tz' > $R/f; mount -t tmpfs \"$(cat $R/f)\" $R/b; mount -t tmpfs \"$(echo 'y\\tz')\" $R/c",
]
LINES += OPTIONS_OF_THE_SHELL + FILE_COMMANDS + OPTIONS_OF_BASH
BASH += OPTIONS_OF_BASH


# What grammars read otherwise, and what a script asks of the mount table.
READING = [
    "if ! echo ab | grep -q b; then mount -t tmpfs y $R/b; else mount -t tmpfs z $R/c; fi",
    'k=sr v=srcs; mount -t tmpfs "${v#${k}}-${v%${k#?}*}-${v##*"$k"}" $R/b',
    "x=1 k=\nmount -t tmpfs y$x $R/b",
    'mount -t tmpfs "${x-"a b"}" $R/b',
    "[ a \\< b ] && [ \\( a = b -o a = a \\) -a b ] && mount -t tmpfs y $R/b",
    "x=1f; mount -t tmpfs y$((0x${x})) $R/b",
    "x=$R/c/f; echo > $x; [ -x $x ] || mount -t tmpfs y $R/b; chmod +x $x; [ -x $x ] && mount -t tmpfs z $R/b",
    "x=; [ $x = a ]; mount -t tmpfs y$? $R/b",
    'mount | grep -q " $R/a type tmpfs" && mount -t tmpfs y $R/b; mount -t ramfs | grep -q . || umount $R/a/x',
    "findmnt $R/c >/dev/null || mount -t tmpfs y$(findmnt -n -o FSTYPE $R/a) $R/b",
    "while read d m r; do if [ $m = $R/a/x ]; then umount $m; fi; done < /proc/mounts",
    'mount -t tmpfs x $R/b; mount -t tmpfs y$(grep -c " $R/[ab] " /proc/self/mountinfo) $R/c',
    "mount -t tmpfs -o bogus y $R/b || mount -t tmpfs z $R/c; mount -o remount,size=1m,odd $R/a || umount $R/a/x",
    "echo c > $R/c/f; exec 9<&0 <$R/c/f; read x; exec 0<&9 9<&-; mount -t tmpfs y $R/$x",
    "echo x > $R/a/x/f || mount -t tmpfs y $R/b; touch $R/c || mount -t tmpfs z $R/c",
]
READING_OF_BASH = [
    "s=src9; [[ $s =~ ^([a-z]+)([0-9])$ ]] && mount -t tmpfs ${BASH_REMATCH[2]}${BASH_REMATCH[1]} $R/b",
    's=a.b; [[ $s =~ "a." && ! axb =~ "a." ]] && mount -t tmpfs y $R/b',
    "x=; [[ -v x ]] && unset x; [[ -v x ]] || mount -t tmpfs $'\\x79\\172' $R/b",
    "echo $'q\\0r' > $R/c/f; mount -t tmpfs $(< $R/c/f) $R/c",
    "[[ $R/a -ef $R/b/../a ]] && mount -t tmpfs y$((16#ff)) $R/b",
]
LINES += READING + READING_OF_BASH
BASH += READING_OF_BASH

# What commands do with files, where each of their options matters.
MORE_FILES = [
    "mkdir $R/d; rm $R/d && mount -t tmpfs n $R/b; rm -f $R/none && mount -t tmpfs y $R/b; rm $R/none || mount -t tmpfs z $R/c; rm -r --force $R/d && mkdir $R/d && mount -t tmpfs q $R/d",  # noqa: E501
    "mkdir -p $R/d/e/f; touch $R/d/e/g; ln -s e $R/d/l; rm -r $R/d/l; [ -d $R/d/e ] && mount -t tmpfs y $R/b; rm --recursive $R/d; [ -e $R/d ] || mount -t tmpfs z $R/c",  # noqa: E501
    "mkdir $R/d; touch $R/f; mv $R/f $R/d/; [ -f $R/d/f ] && mount -t tmpfs y $R/b; mv -T $R/d $R/e; mount -t tmpfs z $R/e; mv $R/e $R/g || mount -t tmpfs q $R/c",  # noqa: E501
    "echo y > $R/a/f; mv $R/a/f $R/g; [ -e $R/a/f ] || mount -t tmpfs $(cat $R/g) $R/b",
    "mkdir $R/d; mv -t $R/d $R/b $R/c; mount -t tmpfs y $R/d/b; mount --bind $R/a $R/d/c",
    "touch $R/f $R/g; mv $R/f $R/g $R/c; mount --bind $R/c/g $R/c/f; mv -n $R/c/g $R/c/h && mount --bind $R/c/h $R/c/h",
    "mkdir -p $R/d/e; echo y > $R/d/e/f; ln -s e/f $R/d/l; cp $R/d $R/g; cp -r $R/d $R/g; mount -t tmpfs $(cat $R/g/l) $R/b; cp $R/d/e/f $R/d/none/f || mount -t tmpfs z $R/c",  # noqa: E501
    "echo y > $R/f; chmod 755 $R/f; cp $R/f $R/c; [ -x $R/c/f ] && mount -t tmpfs y $R/b; chmod 600 $R/f; cp -T $R/f $R/g; [ -x $R/g ] || mount -t tmpfs z $R/c",  # noqa: E501
    "echo y > $R/f; echo z > $R/g; cp -t $R/c $R/f $R/g; mount -t tmpfs $(cat $R/c/f $R/c/g | tr -d '\\n') $R/b",
    "mkdir $R/d; echo y > $R/d/f; cp -a $R/d $R/c; cp -a $R/d/f $R/c/; mount --bind $R/c/d/f $R/c/f; cp --recursive $R/d $R/b; mount --bind $R/a $R/b/d",  # noqa: E501
    "touch $R/b/x; ln -s x $R/b/l; ln -s y $R/b/l || mount -t tmpfs y $R/c; ln -sfn ../a $R/b/l; mount --bind $R/b/l $R/b; ln --symbolic --force $R/a $R/l; mount --bind $R/l $R/l",  # noqa: E501
    "mkdir $R/d; ln -s d $R/l; ln -s q $R/l; [ -L $R/d/q ] && mount -t tmpfs y $R/b; ln -sn q $R/l || mount -t tmpfs z $R/c",  # noqa: E501
    "cd $R/b; ln -s ../a/x; mount --bind x $R/c; ln -s -t $R/b y z; [ -h y -a -h z ] && mount -t tmpfs y .",
    "echo y > $R/f; install -m 644 $R/f $R/g; [ -x $R/g ] || mount -t tmpfs $(cat $R/g) $R/b; install $R/f $R/c; [ -x $R/c/f ] && mount -t tmpfs z $R/c",  # noqa: E501
    "touch $R/f; install -D $R/f $R/d/e/g; mount --bind $R/f $R/d/e/g; install -D -t $R/h/i $R/f; mount --bind $R/a $R/h/i; install -d $R/f || mount -t tmpfs y $R/b; install --directory $R/k && mount -t tmpfs z $R/k",  # noqa: E501
    "touch $R/none/f || mount -t tmpfs z $R/c; touch $R/b; touch -d now $R/g && mount --bind $R/g $R/g",
    "truncate -s 0 $R/f; dd if=/dev/zero of=$R/g count=1 2>/dev/null; fallocate -l 9 $R/h; mount --bind $R/g $R/f; mount --bind $R/h $R/g; truncate -s 1 $R/none/f || mount -t tmpfs y $R/b",  # noqa: E501
    "mknod $R/p p; [ -p $R/p ] && mount -t tmpfs y $R/b; mknod $R/p p || mount -t tmpfs z $R/c; mkfifo -m 600 $R/q $R/p || mount --bind $R/q $R/p; [ -b $R/p ] || [ -f $R/p ] || mount -t tmpfs q $R/b",  # noqa: E501
    "touch $R/f; chmod u+x $R/f; [ -x $R/f ] && mount -t tmpfs y $R/b; chmod a-x $R/f; [ -x $R/f ] || mount -t tmpfs z $R/c; chmod 0711 $R/f; chmod -x $R/f; [ -x $R/f ] || mount -t tmpfs q $R/b; chmod =rx $R/f; [ -x $R/f ] && mount -t tmpfs p $R/c",  # noqa: E501
    "mkdir -p -m 755 $R/d/e; mkdir $R/d || mount -t tmpfs y $R/b; mkdir $R/d/x/y $R/d/z || mount -t tmpfs z $R/d/z; rmdir $R/d/e && rmdir $R/d; mount --bind $R/a $R/d; rmdir $R/none $R/c || mount -t tmpfs q $R/b; [ -d $R/c ] || mount -t tmpfs p $R/b",  # noqa: E501
    "echo y | tee -a $R/f $R/g >/dev/null; echo z | tee --append $R/f > $R/h; mount -t tmpfs \"$(cat $R/f | tr '\\n' -)$(cat $R/g)$(cat $R/h)\" $R/b; echo q | tee $R/g; mount -t tmpfs $(cat $R/g) $R/c; echo x | tee $R/none/f || mount -t tmpfs n $R/c",  # noqa: E501
    "ln -s b $R/l; mount -t tmpfs $(readlink $R/l) $R/b; mount -t tmpfs $(basename $(readlink -f $R/l/../c)) $R/c; readlink $R/b || mount -t tmpfs q $R/c; mount -t tmpfs $(readlink -n $R/l)x $R/b",  # noqa: E501
    "[ -d $(mktemp -d $R/d.XXX) ] && mount -t tmpfs y $R/b; [ -f $(mktemp -p $R) ] && mount -t tmpfs z $R/c; [ -e $(mktemp -u $R/XXXXXX) ] || mount -t tmpfs q $R/b",  # noqa: E501
    "mkdir $R/d $R/d/e $R/d/f; touch $R/d/g; ln -s e $R/d/h; mount -t tmpfs \"$(ls $R/d | tr '\\n' ,)$(ls -d $R/d/e | wc -l)$(find $R/d -type d | wc -l)$(find $R/d -maxdepth 1 -type f -name 'g*' | wc -l)$(find $R/d -mindepth 1 -type l | wc -l)\" $R/b; find $R/d -mindepth 1 -maxdepth 1 -type d | sort | xargs -n1 mount -t tmpfs y; find $R/d -xdev -name e -exec umount {} +; ls $R/none || mount -t tmpfs z $R/c",  # noqa: E501
    "touch $R/c/.h $R/c/v; mount -t tmpfs \"$(ls -A $R/c | tr '\\n' ,)$(ls $R/c)\" $R/b; printf 'b\\n' | xargs -I % mount -t tmpfs z $R/%; echo $R/none | xargs umount || mount -t tmpfs $? $R/c",  # noqa: E501
]
# What holds, what is written, and where a loop, a function or the shell ends.
MORE_WORDS = [
    "[ 1 -ne 2 ] && [ 2 -ge 2 ] && [ 2 -le 2 ] && [ ! 2 -lt 2 ] && [ ! 2 -gt 2 ] && mount -t tmpfs y $R/b; [ -n x -a -z '' ] && [ x != y ] && mount -t tmpfs z $R/c",  # noqa: E501
    "test ! -d $R/none -a -d $R/a -a -r $R/a -a -w $R/a -a ! -w $R/a/x -a -x $R/a -a ! -L $R/a && mount -t tmpfs y $R/b; test \\( a = a \\) -a ! b = a && mount -t tmpfs z $R/c; test || mount -t tmpfs q $R/b",  # noqa: E501
    "touch $R/f; echo x > $R/g; [ -f $R/f -a ! -s $R/f -a -s $R/g -a ! -d $R/f -a ! -f $R/a -a ! -p $R/f -a ! -S $R/f -a ! -b $R/f -a ! -c $R/f ] && mount -t tmpfs y $R/b; [ $R/f -ef $R/g ] || mount --bind $R/f $R/g; [ $R/f -ef $R/g ] && mount -t tmpfs z $R/c; [ $R/none -ef $R/f ] || mount -t tmpfs q $R/b",  # noqa: E501
    'mount -t tmpfs "$(basename $R/a/x/ )-$(basename x.img .img)-$(basename .img .img)" $R/b; mount -t tmpfs "$(dirname /a/b)$(dirname /a)$(dirname a)$(dirname a/b/)" $R/c',  # noqa: E501
    "mount -t tmpfs \"$(seq 2 4 | tr '\\n' ,)$(seq 2)\" $R/b; cd $R/a; mount -t tmpfs $(basename $(pwd))$(id -u) x; cd x; mount -t tmpfs $(basename $(realpath ..)) $R/c",  # noqa: E501
    "mount -t tmpfs \"$(printf '%5d|%-5d|%05d|%o|%X|%i|%u' 42 -7 -7 8 255 3 4)\" $R/b; mount -t tmpfs \"$(printf '%c%c%s%%\\101' abc d)\" $R/c",  # noqa: E501
    'set -- a b c; shift; mount -t tmpfs "$1$#$*" $R/b; shift 2; mount -t tmpfs y$# $R/c; set -- p; mount -t tmpfs z$#$1 $R/c',  # noqa: E501
    "f() { return 3; }; f; mount -t tmpfs y$? $R/b; (exit 300); mount -t tmpfs z$? $R/c; g() { false; return; }; g || mount -t tmpfs q $R/b",  # noqa: E501
    "for i in 1 2 3; do for j in a b; do [ $i = 2 ] && continue 2; [ $i$j = 3b ] && break 2; mount -t tmpfs $i$j $R/b; done; done; mount -t tmpfs $i$j $R/c",  # noqa: E501
    "printf 'p q r\\ns t\\n' > $R/f; { read x y; read z; read w || mount -t tmpfs no$w $R/c; } < $R/f; mount -t tmpfs \"$x-$y-$z\" $R/b",  # noqa: E501
    "trap 'mount -t tmpfs y $R/b' EXIT; trap - EXIT; trap 'mount -t tmpfs z $R/c' 0; exit 3",
    "cd $R/a && cd x && cd .. && mount --bind x ../b; cd none || mount -t tmpfs y $R/c",
    "mountpoint $R/a && mount -t tmpfs y $R/b; mountpoint -q $R/c; mount -t tmpfs z$? $R/c",
    "mount -t tmpfs \"$(findmnt -n -o SOURCE,FSTYPE $R/a/x | tr -s ' ' -)\" $R/b; findmnt -n $R/none || mount -t tmpfs z $R/c",  # noqa: E501
    "mount -t tmpfs p $R/b; mount --bind $R/b $R/c; umount --all-targets $R/b && mount -t tmpfs y $R/b; umount -l $R/a; mount -t tmpfs z $R/c",  # noqa: E501
    "mount --rbind $R/a $R/b; umount -R $R/b/x; mount --rbind $R/a $R/c; umount --recursive --lazy $R/c; umount -A $R/a || mount -t tmpfs z $R/c",  # noqa: E501
    "printf 'y %s/b tmpfs _netdev\\nz %s/c tmpfs ro\\n' $R $R > $R/tab; mount -a -T $R/tab -O no_netdev",
    "printf 'y %s/b tmpfs _netdev,ro\\nz %s/c tmpfs ro\\n' $R $R > $R/tab; mount -a -T $R/tab -O ro,_netdev; mount -a -T $R/tab -O no_netdev,noro",  # noqa: E501
    "sh < /dev/null && mount -t tmpfs y $R/b",
    "TMPDIR=$R/c; export TMPDIR; x=$(mktemp -t x.XXX); [ -e $R/c/${x##*/} ] && mount -t tmpfs y $R/b; x=$(mktemp -d); [ -d $R/c/${x##*/} ] && mount -t tmpfs z $R/c",  # noqa: E501
]
MORE_OF_BASH = [
    'a=(x y); a=(z); mount -t tmpfs "${a[*]}" $R/b; a[1]+=q; a[1]+=r; a=("${a[@]}" w); a+=(v); mount -t tmpfs "${a[*]}${#a[@]}" $R/c',  # noqa: E501
    'a=([2]=p [5]=q r); mount -t tmpfs "${a[*]}-${!a[*]}" $R/b; a=s; mount -t tmpfs "${a[*]}" $R/c',
    'x=p; x+=q; x[1]=r; mount -t tmpfs "${x[*]}" $R/b; i=1; a[i+1]=z; mount -t tmpfs "${!a[*]}${a[2]}" $R/c',
    '[[ a < b && ! ( b < a ) && ( a > b || 1 -lt 2 ) ]] && mount -t tmpfs y $R/b; x=q; unset xx; [[ -v x && ! -v xx && $x == [a-r] && $x != z* ]] && mount -t tmpfs z $R/c; [[ $x = "q" && -n $x && -z ${x#q} ]] && mount --bind $R/a $R/c',  # noqa: E501
    "mount -t tmpfs \"$(echo -ne 'a\\tb\\x41\\0101\\n')\" $R/b; mount -t tmpfs \"$(echo -e -E 'a\\tb')\" $R/c; mount -t tmpfs \"$(printf '\\x42%s' q)\" $R/c",  # noqa: E501
    "x=1; f() { local x; mount -t tmpfs y${x-unset} $R/b; x=2; }; f; mount -t tmpfs z$x $R/c",
    "declare -x A=b; declare -r c=d; let 'x = 3' && let 'x - 3' || mount -t tmpfs $x$c $R/$A; typeset y=z; f() { declare -g y=q; local w=1; }; f; mount -t tmpfs $y${w-n} $R/c",  # noqa: E501
    "shift 3 || mount -t tmpfs y $R/b; shopt -u nullglob; shopt -s dotglob; touch $R/c/.h; for i in $R/c/*; do mount -t tmpfs ${i##*/} $R/c; done",  # noqa: E501
    "read -r a b <<< 'p\\q r s'; mount -t tmpfs \"$a-$b\" $R/b; read a b <<< 'p\\ q r'; mount -t tmpfs \"$a-$b\" $R/c; read <<< 'z w'; mount -t tmpfs \"$REPLY\" $R/c",  # noqa: E501
]
LINES += MORE_FILES + MORE_WORDS + MORE_OF_BASH
BASH += MORE_OF_BASH


# Where loops, functions and processes end, and what they leave behind.
ENDS = [
    "sleep 9 & p=$!; kill $p; wait $p; mount -t tmpfs y$? $R/b; (exit 7) & wait $!; mount -t tmpfs z$? $R/c",
    "sleep 9 & p=$!; kill -0 $p && kill -s KILL $p; wait $p; mount -t tmpfs y$? $R/b; kill -0 $p || umount $R/a/x",
    "for i in 1; do break 2; done; mount -t tmpfs y$? $R/b; break; f() { break; }; for i in z q; do f; mount -t tmpfs $i $R/c; done",  # noqa: E501
    "for i in y z; do x=$(break; echo n); mount -t tmpfs $i$x $R/b; done",
    "x=0; y=$((0 && (x = 1))); y=$((1 || (x = 2))); mount -t tmpfs y$x $R/b; mount -t tmpfs z$((1 && (x = 3)))$x $R/c",
    "(trap 'mount -t tmpfs y $R/b' EXIT; umount $R/c) & wait $!; mount -t tmpfs z$? $R/c",
]
ENDS_OF_BASH = [
    "for i in y z; do (break; mount -t tmpfs $i $R/b); mount -t tmpfs $i $R/c; done; return; mount -t tmpfs q$? $R/c",
    'a=(1 2); f() { local a=(y z w) b=v; local -a c=(u); mount -t tmpfs "${a[*]}$b" $R/b; }; f; mount -t tmpfs "${a[*]}${#c[@]}" $R/c',  # noqa: E501
    "a=(1 2); f() { local a=y; mount -t tmpfs $a${#a[@]} $R/b; }; f; mount -t tmpfs ${a[1]} $R/c; local x=n; mount -t tmpfs q$?${x-} $R/b",  # noqa: E501
    "export x=n; export -n x; bash -c 'mount -t tmpfs y${x-} $R/b'; x=0; (( 0 && x++ )); (( 1 || x++ )); mount -t tmpfs z$x $R/c",  # noqa: E501
]
LINES += ENDS + ENDS_OF_BASH
BASH += ENDS_OF_BASH

# Where commands read from and write to, what they say of failures, and what `sh` reads.
STREAMS = [
    # What is open is in use, and so is what it is on.
    "exec 3<$R/a/x; umount $R/a/x || mount -t tmpfs y $R/b; exec 3<&-; umount $R/a/x && mount -t tmpfs z $R/c",
    "exec 3>$R/a/f 4>&3 3>&-; umount -R $R/a; exec 4>&-; umount $R/a; mount -t tmpfs y $R/b",
    "umount $R/a/x <$R/a/x; { umount $R/a/x; } 5<$R/a/x; (exec 3<$R/a; umount $R/a/x; umount $R/a); mount --bind $R/a $R/b",  # noqa: E501
    "exec 3<>$R/f; echo y >&3; exec 3>&-; read x <$R/f; mount -t tmpfs $x $R/b; 4<>$R/a/f; umount $R/a/x; umount $R/a",
    "echo y > $R/c/f; grep -q n $R/c/f; mount -t tmpfs y$? $R/b; set -e; grep -q y $R/c/f; grep -q n $R/c/f; mount -t tmpfs n $R/c",  # noqa: E501
    "echo y > $R/c/f; { read x < $R/c/f || mount -t tmpfs n$? $R/b; } 2> $R/c/f; { echo z; x=$(cat $R/c/f); } > $R/c/f; mount -t tmpfs $x $R/c",  # noqa: E501
    "printf 'p\\nq' | while read x; do mount -t tmpfs $x $R/b; done; printf 'a\\rb\\n' | { read x; mount -t tmpfs \"$(echo \"$x\" | tr '\\r' R)\" $R/c; }",  # noqa: E501
    'f() { echo o; echo e >&2; }; x=$(f 2>&1); mount -t tmpfs "$x" $R/b; x=$(f 2>&1 >/dev/null); f 2> $R/c/f; mount -t tmpfs $x$(cat $R/c/f) $R/c',  # noqa: E501
    "exec 4> $R/c/f; echo y >&4; echo z >&4; exec 4>&- 5< $R/c/f; read x <&5; read y <&5; mount -t tmpfs $x$y $R/b",
    "exec 3>&1 > $R/c/f; echo y; exec >&3 3>&-; mount -t tmpfs $(cat $R/c/f) $R/b; { x=$({ echo e >&2; } 2>&1 1>&3); } 3>&1; mount -t tmpfs z$x $R/c",  # noqa: E501
    "mount -t tmpfs y $R/none 2>/dev/null || mount -t tmpfs y$? $R/b; umount $R/b/x 2>&1 | cat; mount -t tmpfs z $R/c",
    "sh <<E\nmount -t tmpfs y $R/b\nexit 3\nE\nmount -t tmpfs z$? $R/c; echo 'umount $R/b' | sh; unshare -m sh <<E\numount $R/c\nE",  # noqa: E501
    "sh -s y < /dev/null; mount -t tmpfs y $R/b; chroot $R/.. sh <<E\nmount -t tmpfs z $R/c\nE",
    'cat > $R/c/f <<E\n  y $((1 + 1)) "q" \\\\ \\$x `echo b` \\"\n\nE\nmount -t tmpfs "$(tr \'\\n\' . < $R/c/f)" $R/b',
    "cat > $R/c/f <<-E\n\n\t\ty\n\t z\n\tE\nmount -t tmpfs \"$(tr '\\n' . < $R/c/f)\" $R/b",
    "cat <<E | tr a-z A-Z > $R/c/f && mount -t tmpfs $(cat $R/c/f) $R/b\ny\nE",
    "while read x; do mount -t tmpfs $x $R/b; done <<E && mount -t tmpfs z $R/c\ny\nE",
    "echo y > $R/c/f; echo p | { read x; mount -t tmpfs $x $R/c; } < $R/c/f",
    "echo a b > $R/c/f; sed -i 's/a/y/' $R/c/f; sed -i -e 's/b/z/' $R/none || mount -t tmpfs $?$(cut -d' ' -f1 $R/c/f) $R/b; sed -i /y/d $R/c/f; [ -s $R/c/f ] || mount -t tmpfs z $R/c",  # noqa: E501
    "printf 'y\\0z w\\0' | xargs -0 -I% mount -t tmpfs % $R/b; find $R -mindepth 1 -maxdepth 1 ! -name a -name b -print0 | xargs -0 -n1 mount -t tmpfs q || find $R/c -path '*/c' -exec mount -t tmpfs p {} \\;",  # noqa: E501
    'mount -v -t tmpfs -o size=1m y $R/b | { read x y z; mount -t tmpfs "$x-$y" $R/c; }',
    'mount -v -t tmpfs y $R/b | { read x y z; mount -t tmpfs "$x $y" $R/c; }',
    'awk -v r=/a/x \'$2 ~ r"$" && $3 == "tmpfs" {print $1, $3}\' /proc/mounts | tac | while read x y; do mount -t tmpfs $x$y $R/b; done',  # noqa: E501
]
STREAMS_OF_BASH = [
    "exec {in}<$R/a/x; umount $R/a/x; exec {in}<&-; umount $R/a/x; exec {out}>$R/f; echo z >&$out; mount -t tmpfs $(cat $R/f)$((out > 9)) $R/c",  # noqa: E501
    "true | if :; then trap 'mount -t tmpfs n $R/b' EXIT; fi; f() { trap 'mount -t tmpfs y $R/b' EXIT; }; true | f; for i in 1; do trap 'umount $R/a/x' EXIT; done & wait",  # noqa: E501
    '(echo o; echo e >&2) |& while read x; do mount -t tmpfs $x $R/b; done; false | true | false; mount -t tmpfs "${PIPESTATUS[*]}" $R/c',  # noqa: E501
    "while IFS= read -r -d '' x; do mount -t tmpfs \"$x\" $R/b; done < <(printf 'y\\0z w\\0'); mapfile -t a <<< $'p q\\nr'; mount -t tmpfs \"${a[0]}${#a[@]}\" $R/c",  # noqa: E501
    "while read -r x <&3; do read -r y <<< in; mount -t tmpfs $x$y $R/b; done 3< <(printf 'p\\nq\\n'); echo z &> $R/c/f; mount -t tmpfs $(< $R/c/f) $R/c",  # noqa: E501
    "bash -s p q <<< 'mount -t tmpfs $1$# $0'; pushd $R/b > /dev/null; mount -t tmpfs y .; popd > /dev/null; cd $R/c; cd - > /dev/null; cd \"$OLDPWD\"; mount -t tmpfs z .",  # noqa: E501
]
# Words that are several, or one, and names that are there.
ONE_OR_MORE = [
    'm() { mount -t tmpfs "${*:-none}" $R/b; }; set -- p q; IFS=x; m r s; x=${*:-n}; mount -t tmpfs "$x" $R/c; set --; m "${*:-u}"',  # noqa: E501
    'set -- "p q" r; IFS=,; x=$*; mount -t tmpfs "$x" $R/b; case $* in "p q,r") mount -t tmpfs z $R/c;; esac; x=$IFS',
    'm() { mount -t tmpfs "$#:$1" $R/b; }; set -- "p q" r; m ${1+"$@"}; m ${1:+"$@" s}; m "${2+$1 x}" ${9-y z} ${9:-"y z"}; set --; m ${1+"$@"}',  # noqa: E501
    "cd $R; touch f; mkdir b/d; for i in */d */none [bf]/; do mount -t tmpfs $i $R/b; done; OLD=$IFS; IFS=:; x=p:q; set -- $x; IFS=$OLD; mount -t tmpfs $#${#IFS} $R/c",  # noqa: E501
    'm() { mount -t tmpfs "$*" $R/b; }; m $(basename -s .x /a/b.x) $(basename -a /a /b) $(dirname /a/b c/d) $(id -un)$(whoami) $(readlink -f $R/b/n/m || echo $?) $(realpath -e $R/none || echo $?)',  # noqa: E501
    '[ -x "$(command -v mount)" ] && m=$(command -v mount) && $m -t tmpfs ${m##*/} $R/b; timeout 0.1 sleep 9; mount -t tmpfs z$? $R/c',  # noqa: E501
    "cd $R; ln -s b l; cd -P l; mount -t tmpfs ${PWD##*/} .; cd ../l; x=$(pwd -P); mount -t tmpfs ${x##*/}${PWD##*/} ../c",  # noqa: E501
    'f() { [ -z "${3+x}" ] && mount -t tmpfs y${3-u} $R/b; }; f p q; flock $R/c mount -t tmpfs z $R/c',
]
ONE_OR_MORE_OF_BASH = [
    'a=(p q); IFS=,; mount -t tmpfs "${a[*]}" $R/b; x=${a[*]}; mount -t tmpfs "$x" $R/c; IFS=; mount -t tmpfs "${a[*]}" $R/c',  # noqa: E501
    'x=; a=(${x:+--n "$x"}); x=1; b=(${x:+--n "v $x"}); mount -t tmpfs "${#a[@]}${#b[@]}${b[1]}" $R/b; printf -v y "%q %b" "a b" "c\\x41"; mount -t tmpfs "$y" $R/c',  # noqa: E501
]
LINES += STREAMS + STREAMS_OF_BASH + ONE_OR_MORE + ONE_OR_MORE_OF_BASH
BASH += STREAMS_OF_BASH + ONE_OR_MORE_OF_BASH


def script_of(line: str, root: str) -> str:
    """The whole script, with the shell that is to read it in its first line."""
    return f"#!/bin/{'bash' if line in BASH else 'sh'}\nR={root}; HOME=$R/; export R HOME\n{BEGIN}{line}\n"


def simulated(text: str) -> Simulation:
    """Of a script that the programs of this machine carry out as well: options are read as its mount(8) reads them."""
    return simulate(text, util_linux=lambda: util_linux_at_hand() or OLDEST)

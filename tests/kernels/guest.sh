#!/bin/bash
# In the booted kernel: guest.sh OUT CHECKOUT PYTHON SUITE...; each SUITE is a name, and OUT/SUITE.sh what it runs.
# Leaves OUT/booted (the kernel's version), OUT/doctor.json, and for each suite its output and its exit status in OUT.
#
# The tests get a root file system of their own: the machine's as it is outside, with all changes kept in memory. The way
# in which virtme-ng lays it out, with /usr, /etc and so on as mounts, is not what the tests' hosts look like.
set -eu
out=$1 checkout=$2 python=$3
shift 3
uname -r >"$out/booted"
exec >"$out/guest.log" 2>&1
set -x

mkdir -p /run/kernels
mount -t tmpfs -o mode=0755 kernels /run/kernels
mkdir /run/kernels/{machine,upper,work,root}
modprobe overlay || true
# Below what is mounted there, these are empty: the machine's own /proc, say, is not for the tests to see.
mkdir /run/kernels/upper/{proc,sys,dev,run}
"$python" -IS -c 'import os, sys; [os.setxattr(one, "trusted.overlay.opaque", b"y") for one in sys.argv[1:]]' \
    /run/kernels/upper/{proc,sys,dev,run}
mount -t 9p -o ro,trans=virtio,version=9p2000.L,access=any,msize=512000,cache=loose again /run/kernels/machine
mount -t overlay -o "lowerdir=/run/kernels/machine,upperdir=/run/kernels/upper,workdir=/run/kernels/work" root /run/kernels/root
cd /run/kernels/root
for directory in proc sys dev; do
    mount --rbind "/$directory" "$directory"
done
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=0755 modules lib/modules 2>/dev/null || mkdir -p lib/modules
ln -s "$(readlink -f "/lib/modules/$(uname -r)")" lib/modules/
mkdir -p ".$out"
mount --bind "$out" ".$out"
mkdir -p tmp/old && pivot_root . tmp/old
umount -l /tmp/old
mount -t tmpfs -o mode=1777 pytest /var/tmp # an overlay cannot keep its changes in another one
unset XDG_RUNTIME_DIR
for module in loop ext4 xfs btrfs erofs squashfs fuse; do
    modprobe "$module" || true
done

cd "$checkout"
export PYTHONPATH=$checkout PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
export MOUNTPLAN_EXAMPLES=5 # generated specs take a minute each here
export MOUNTPLAN_PATIENCE=20 PYTEST_DEBUG_TEMPROOT=/var/tmp
"$python" -m mountplan doctor --json >"$out/doctor.json" || true
for suite; do
    status=0
    bash "$out/$suite.sh" >"$out/$suite.log" 2>&1 || status=$?
    echo "$status" >"$out/$suite.status"
done

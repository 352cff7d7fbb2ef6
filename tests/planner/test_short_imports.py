"""Short configurations of other programs, and the specs that they are: one line or directive each, with what is told.

tests/golden/imports/short.txt has them; tests/kernel/test_imports.py and its like hold imports against the programs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from mountplan.planner.attributes import change
from mountplan.planner.foreign.bubblewrap import import_bwrap
from mountplan.planner.foreign.compose import import_compose
from mountplan.planner.foreign.fstab import import_fstab
from mountplan.planner.foreign.kubernetes import import_kubernetes
from mountplan.planner.foreign.oci import import_oci
from mountplan.planner.foreign.spec_draft import HostSharing, SpecDraft
from mountplan.planner.foreign.systemd_unit import import_systemd
from tests.planner.test_foreign import Machine
from tests.planner.test_render import golden


class Other(Machine):
    """Also: /home is a mount of its own, nosuid; /lib is a symlink to /usr/lib; some paths that Machine lacks."""

    def sharing(self, path: str) -> HostSharing:
        if path.startswith("/home"):
            return HostSharing(0, 0, "/home", attributes=change(("nosuid", "nodev")).set)
        return super().sharing(path)

    def real(self, path: str) -> str:
        return "/usr" + path if path == "/lib" or path.startswith("/lib/") else path

    def kind(self, path: str) -> str:
        return "file" if path.endswith(("kcore", "kmsg", "kallsyms", "hostname")) else super().kind(path)


BWRAP = (
    "--bind /srv / --dev-bind /dev /dev --bind-try /srv/none /a --dev-bind-try /dev/x /b --proc /proc --mqueue /q",
    "bwrap --unshare-pid --proc /p --dir /d --perms 0711 --dir /d/e --dir /d --file 11 /f --symlink a /l --tmpfs /t sh",
    "--ro-bind / / --remount-ro / --perms 1777 --size 4096 --tmpfs /tmp --remount-ro /tmp --dir /tmp/x",
    "--bind /home /home --remount-ro /home --remount-ro /home --unshare-user-try --unshare-cgroup --setenv A b",
    "--unshare-all --share-net --setenv A b --unsetenv A --setenv C d --chdir /srv --hostname h --new-session",
    "--cap-drop ALL --cap-add CAP_CHOWN --cap-add ALL --setenv A b --clearenv --info-fd 5 --uid 7 --pidns 4 --proc /p",
    "--overlay-src /srv --overlay-src /usr --overlay /srv/u /srv/w /o --overlay-src /opt --tmp-overlay /p",
    "--overlay-src /a --overlay-src /b --ro-overlay /o --bind-data 11 /x --perms 0640 --ro-bind-data 12 /y",
    "--file 13 /none --args 14 --chmod 0700 /d --ro-bind /usr /usr --dir /usr/x --tmpfs /usr/y -- sh -c --dir",
    "--dev /dev --unshare-pid --unshare-uts --unshare-net --unshare-ipc --cap-add CAP_KILL --cap-add CAP_FOWNER",
)
FSTAB = (
    "/dev/sda1 /srv ext4 ro,noatime,errors=panic,nofail 0 2\nLABEL=a\\040b /data xfs defaults\nUUID=1-2 /u vfat user",
    "tmpfs /t tmpfs size=1m,mode=0700,X-mount.mkdir=0700\nnone /n ramfs size=1m\nnone /v tmpfs X-mount.mkdir=0755",
    "/srv/x.img /i ext4 loop,offset=512,sizelimit=9\n/srv/y.img /j squashfs ro\n/srv/z /k iso9660 loop,nofail",
    "overlay /o overlay lowerdir=/a\\:b:/c::/d,upperdir=/u,workdir=/w,userxattr",
    "/srv /b none bind,ro\n/home /c none rbind,nosuid,shared\n/b/x /d none bind\n/c /e none rbind,rprivate,size=1m",
    "tmpfs /s tmpfs shared\n/s /p none bind\n/s /q none bind,slave\n/s /r none bind,unbindable\ntmpfs /s/x tmpfs",
    "tmpfs /s tmpfs shared\n/s /p none bind,slave,shared\n/p /q none bind,private\n/s/d /t bind\n/s /w rbind",
    "server:/x /nfs nfs hard\nx /f fuse.sshfs\n/dev/sdb /a auto\n/dev/sdc /b ext4,xfs\na /c ignore\n/dev/sdd none swap",
    "/dev/sda / ext4\nx /y tmpfs noauto\nx /z tmpfs remount,ro\nproc /proc proc\n/dev/shm /dev/shm none bind # c",
    "sysfs /k sysfs mode=1\nproc /p proc hidepid=2\n/srv /m none bind,X-mount.subdir=d,x-systemd.requires=a,x-own=1",
    'PARTLABEL=a/b\'c /p ext4 comment=x,X-mount.owner=1\ntmpfs /m tmpfs X-mount.subdir=d,mpol="bind:0,1"\n/srv /q bind',
)
UNITS = (
    "ProtectSystem=strict\nReadWritePaths=/var -/srv/none\nReadOnlyPaths=/var/a\nProtectHome=read-only",
    "ProtectSystem=yes\nProtectHome=tmpfs\nPrivateTmp=disconnected\nMountFlags=slave",
    "ProtectHome=yes\nPrivateTmp=yes\nNoNewPrivileges=yes\nMountFlags=private\nReadWritePaths=/tmp/x /srv",
    "DynamicUser=yes\nStateDirectory=a b:c\nRuntimeDirectory=r\nLogsDirectory=l\nCacheDirectory=c",
    "PrivateDevices=yes\nPrivateIPC=yes\nProtectKernelLogs=yes\nProtectKernelModules=yes\nProtectHostname=yes",
    "ProtectKernelTunables=yes\nProtectControlGroups=strict\nProtectProc=invisible\nProcSubset=pid",
    "ProtectKernelTunables=yes\nProcSubset=all\nMountAPIVFS=yes\nPrivatePIDs=yes\nPrivateNetwork=on",
    "TemporaryFileSystem=/a:size=1m,ro /b\nReadOnlyPaths=/b\nTemporaryFileSystem=\nTemporaryFileSystem=/c",
    "BindPaths=/srv/a\\:b:/x:rbind -/srv/none:/y /lib\nBindReadOnlyPaths=/usr:/z:norbind\nNoNewPrivileges=yes",
    "InaccessiblePaths=/srv/f.conf /home -/srv/none /srv/missing\nReadWritePaths=/home/x",
    "NoExecPaths=/ -/opt\nExecPaths=/usr /opt/bin\nReadOnlyPaths=/usr/share\nNoNewPrivileges=1",
    "RootDirectory=/srv/root\nProtectSystem=strict\nReadWritePaths=/var\nInaccessiblePaths=/home\nNoExecPaths=/x",
    "RootDirectory=-/srv/root\nMountAPIVFS=no\nBindPaths=/home:/h\nTemporaryFileSystem=/t\nReadOnlyPaths=/h/r /t/x /e",
    "RootDirectory=/srv/root\nProtectProc=ptraceable\nProtectKernelTunables=yes\nNoNewPrivileges=yes",
    "ExecStart=-@/bin/sh called -c 'a b'\nEnvironment=A=b \"C=d e\"\nWorkingDirectory=-/srv\nUser=me\nWhat=/x",
    "ExecStart=/bin/a\nExecStart=+/bin/b $X\nCapabilityBoundingSet=~CAP_CHOWN\nReadOnlyPaths=%h /srv/none\nUser=no",
    "CapabilityBoundingSet=CAP_KILL CAP_CHOWN\nReadWriteDirectories=/srv\nReadOnlyDirectories=+/etc -+/usr",
    "BindPaths=/home:/h\nReadOnlyPaths=/h /h/a\nReadWritePaths=/h/a/b\nNoExecPaths=/h\nInaccessiblePaths=/h/c",
)
BUNDLES: tuple[dict[str, Any], ...] = (
    {
        "root": {"path": "r", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc"},
            {"destination": "dev", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=755", "ro"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "options": ["nodev"]},
            {"destination": "/sys", "type": "sysfs", "options": ["ro", "nosuid"]},
            {"destination": "/cg", "type": "cgroup", "options": ["rro"]},
        ],
        "process": {"args": ["a"], "env": ["A=b", "C"], "cwd": "x", "noNewPrivileges": True, "terminal": True},
        "hostname": "h",
        "linux": {
            "namespaces": [{"type": "uts"}, {"type": "ipc"}, {"type": "network", "path": "/n"}, {"type": "other"}],
            "maskedPaths": ["/proc/kcore", "/x"],
            "readonlyPaths": ["/proc/sys"],
            "devices": [
                {"path": "/dev/p", "type": "p", "fileMode": 384},
                {"path": "/dev/u", "type": "u", "major": 1, "minor": 2, "uid": 3, "gid": 4},
                {"path": "/x", "type": "b", "major": 1, "minor": 2},
            ],
        },
    },
    {
        "root": {"path": "/home/r"},
        "mounts": [
            {"destination": "/a", "source": "/srv/x", "options": ["rbind", "ro", "rslave"]},
            {"destination": "/b", "type": "bind", "source": "y", "options": ["bind", "size=1", "rnosuid"]},
            {"destination": "/c", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=1m"]},
            {"destination": "/a/d", "type": "tmpfs", "options": ["tmpcopyup", "shared"]},
            {"destination": "/e", "source": "/home/z", "options": ["rbind", "rprivate", "idmap", "rro"]},
            {"destination": "/f", "source": "/usr/z", "options": ["bind", "unbindable", "ridmap", "nodev"]},
        ],
        "process": {
            "user": {"uid": 5},
            "capabilities": {"bounding": ["CAP_B", "CAP_A"]},
            "rlimits": [1],
            "env": [],
            "args": ["b", 3],
        },
        "linux": {
            "rootfsPropagation": "private",
            "namespaces": [{"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 10, "size": 2}],
            "gidMappings": [{"containerID": 1, "hostID": 20, "size": 3}],
            "seccomp": {"a": 1},
        },
        "hooks": {"poststop": [{}]},
    },
    {
        "root": {"path": "/srv/r"},
        "mounts": [
            {"destination": "/dev", "type": "tmpfs"},
            {"destination": "/o", "type": "overlay", "options": ["lowerdir=a:/b::c", "upperdir=u", "workdir=w"]},
            {"destination": "/s", "type": "sysfs", "options": ["size=1"]},
        ],
        "linux": {"rootfsPropagation": "rshared", "namespaces": [{"type": "user"}, {"type": "network"}]},
    },
    {"root": {"path": "/usr/r"}, "linux": {"rootfsPropagation": "unbindable"}, "process": {"user": {"gid": 6}}},
)
SERVICES: tuple[dict[str, Any], ...] = (
    {
        "volumes": ["/srv/a:/a:ro,z,odd", "~/b:/b", "~other/c:/c", "v:/v:rslave", "/anonymous", ".:/d:rshared"],
        "tmpfs": ["/t:size=1m,exec,mode=1777", "/u"],
        "secrets": ["s", {"source": "s", "target": "/x/s"}, "unknown"],
        "configs": [{"source": "k", "target": "k"}],
        "command": "run 'a b'",
        "entrypoint": ["/bin/sh", "-c"],
        "environment": {"A": 1, "B": None, "C": "${D:-e}$$"},
        "shm_size": "1m",
        "privileged": True,
    },
    {
        "read_only": True,
        "volumes": [
            {"type": "volume", "source": "w", "target": "/w", "volume": {"subpath": "p"}, "read_only": True},
            {"type": "volume", "source": "bound", "target": "/bound"},
            {"type": "volume", "source": "mem", "target": "/mem"},
            {"type": "bind", "source": "/srv/none", "target": "/n", "bind": {"create_host_path": False}},
            {"type": "bind", "source": "/home/x", "target": "/h", "read_only": True, "bind": {"recursive": "readonly"}},
            {"type": "bind", "source": "/home/y", "target": "/i", "bind": {"recursive": "disabled"}},
            {"type": "tmpfs", "target": "/t", "read_only": True, "tmpfs": {"size": "2m", "mode": 448}},
            {"type": "npipe", "target": "/np"},
        ],
        "environment": ["A=b", "C"],
        "working_dir": "/srv",
        "hostname": "h",
        "user": "me",
        "init": True,
    },
)
MORE_OF_COMPOSE = {
    "volumes": {
        "v": {},
        "bound": {"driver_opts": {"type": "none", "o": "bind,ro", "device": "/srv/dev"}},
        "mem": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=3m,uid=1000"}},
    },
    "secrets": {"s": {"file": "./s.txt"}, "unknown": {"environment": "X"}},
    "configs": {"k": {"file": "/srv/k"}},
}
POD: dict[str, Any] = {
    "volumes": [
        {"name": "h", "hostPath": {"path": "/srv/h"}},
        {"name": "n", "hostPath": {"path": "/srv/none", "type": "DirectoryOrCreate"}},
        {"name": "o", "hostPath": {"path": "/srv/missing", "type": "Socket"}},
        {"name": "e", "emptyDir": {"sizeLimit": "1.5Gi"}},
        {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "c", "configMap": {"items": [{"key": "a", "path": "d/a"}]}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "q", "readOnly": True}},
        {"name": "j", "projected": {"sources": [{"secret": {"items": [{"path": "x/y"}]}}]}},
    ],
    "hostPID": True,
    "initContainers": [{"name": "first"}],
    "containers": [
        {
            "name": "main",
            "image": "i",
            "args": ["x"],
            "workingDir": "/w",
            "env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {}}],
            "envFrom": [{}],
            "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": 5},
            "volumeMounts": [
                {"name": "h", "mountPath": "/h/i", "mountPropagation": "Bidirectional", "subPath": "s"},
                {"name": "h", "mountPath": "/h", "readOnly": True, "recursiveReadOnly": "Enabled"},
                {"name": "n", "mountPath": "/n", "mountPropagation": "HostToContainer", "readOnly": True},
                {"name": "o", "mountPath": "/o"},
                {"name": "e", "mountPath": "/e", "subPathExpr": "$(A)"},
                {"name": "m", "mountPath": "/m", "readOnly": True},
                {"name": "c", "mountPath": "/c", "subPath": "d"},
                {"name": "c", "mountPath": "/ca", "subPath": "d/a"},
                {"name": "p", "mountPath": "/p"},
                {"name": "j", "mountPath": "/j", "subPath": "x/y"},
            ],
        }
    ],
}


def drafts() -> Iterator[tuple[str, SpecDraft]]:
    data = {"11": b"eleven\n", "12": b"", "14": b"--dir\0/from-args\0--symlink\0a\0/b"}
    for line in BWRAP:
        for as_root in (True, False) if line is BWRAP[0] else (True,):
            yield f"bwrap {line}", import_bwrap(shlex.split(line), Other(), data.get, as_root=as_root)
    for lines in FSTAB:
        yield lines, import_fstab(lines, "fstab", Other())
    for lines in UNITS:
        yield lines, import_systemd(f"[Service]\n{lines}\n", "unit", Other())
    yield UNITS[5], import_systemd(UNITS[5], "unit", Other(), as_root=False)
    for number, config in enumerate(BUNDLES):
        yield f"bundle {number}", import_oci(config, "config.json", "/bundle", Other())
    binds = [{"destination": place, "type": "bind", "source": place} for place in ("/srv/x", "/home", "/usr")]
    for word in ("shared", "rshared", "slave", "rslave", "private", "rprivate", "runbindable"):
        for root in ("/srv/r", "/opt"):
            config = {"root": {"path": root}, "mounts": binds, "linux": {"rootfsPropagation": word}}
            yield f"{word} bundle in {root}", import_oci(config, "config.json", "/bundle", Other())
    yield "bundle 0 with a root", import_oci(BUNDLES[0], "config.json", "/bundle", Other(), root="/srv/other")
    for number, service in enumerate(SERVICES):
        config = {"services": {"one": service}} | MORE_OF_COMPOSE
        draft = import_compose(config, "compose.yaml", "/project", Other(), root="/srv/r" * number, variables={"D": ""})
        yield f"service {number}", draft
    known = {"HOME": "/home/me", "D": "given"}
    config = {"services": {"one": SERVICES[0]}} | MORE_OF_COMPOSE
    yield "service 0 at home", import_compose(config, "compose.yaml", "/project", Other(), variables=known)
    job = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": POD}}}}}
    yield "job", import_kubernetes([job], "job.yaml", Other())
    yield "pod with a root", import_kubernetes([{"spec": POD}], "pod.yaml", Other(), container="main", root="/srv/r")


def test_short_configurations_are_the_specs_that_they_were() -> None:
    text = ""
    for what, draft in drafts():
        text += "".join(f"$ {line}\n" for line in what.splitlines()) + draft.text([]).replace("format = 1\n", "") + "\n"
    golden("imports/short.txt", text)

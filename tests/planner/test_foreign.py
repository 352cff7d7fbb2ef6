"""Configurations of other programs as specs: what is written, what is said not to be, and what is no configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mountplan import api
from mountplan.planner.attributes import change
from mountplan.planner.errors import SpecError
from mountplan.planner.foreign.bubblewrap import import_bwrap
from mountplan.planner.foreign.compose import import_compose
from mountplan.planner.foreign.fstab import import_fstab
from mountplan.planner.foreign.kubernetes import import_kubernetes
from mountplan.planner.foreign.mount_words import read_words, split_options
from mountplan.planner.foreign.oci import import_oci
from mountplan.planner.foreign.spec_draft import HostSharing, SpecDraft
from mountplan.planner.foreign.systemd_unit import import_systemd
from mountplan.planner.foreign.to_bubblewrap import to_bubblewrap
from mountplan.planner.foreign.unit_reading import read_unit
from mountplan.planner.foreign.volumes import host_bind
from mountplan.planner.language.spec_reading import parse_spec
from tests.planner.test_render import GOLDEN, golden

MISSING = ("/srv/none", "/srv/missing", "/var/lib/optional", "/efi", "/run/user", "/proc/apm", "/dev/hugepages")


class Machine:
    """/srv is shared, /usr a slave; the rest is private, and all is there but what is in MISSING."""

    def sharing(self, path: str) -> HostSharing:
        if path.startswith("/srv"):
            return HostSharing(7, 0, "/srv")
        return HostSharing(0, 3, "/usr") if path.startswith("/usr") else HostSharing(0, 0, "/")

    def kind(self, path: str) -> str:
        return "" if path in MISSING else "file" if path.endswith((".conf", "trigger")) else "directory"

    def real(self, path: str) -> str:
        return path

    def link(self, path: str) -> str:
        return {"/proc/self/fd/8": "/opt/eight", "/proc/self/fd/9": "pipe:[1]"}.get(path, "")

    def is_mounted(self, source: str, target: str, *, bind: bool) -> bool:
        return (source, target, bind) in (("proc", "/proc", False), ("/dev/shm", "/dev/shm", True))

    def number_of(self, kind: str, name: str) -> str:
        return {"gid": "5"}.get(kind, "") if name == "tty" else ""

    def writable(self, path: str) -> bool:
        return path != "/proc/irq"


def source(name: str) -> str:
    return (GOLDEN / "imports" / name).read_text()


def load(name: str) -> Any:
    return json.loads(source(name))


def bwrap(*words: str, data: dict[str, bytes] | None = None) -> SpecDraft:
    return import_bwrap(words, Machine(), (data or {}).get)


def test_a_machine_with_many_control_hierarchies_is_told_to_have_more_than_a_spec_says() -> None:
    config = {"root": {"path": "/srv"}, "mounts": [{"destination": "/cg", "type": "cgroup", "source": "cgroup"}]}

    class Old(Machine):
        def kind(self, path: str) -> str:
            return "" if path == "/sys/fs/cgroup/cgroup.procs" else super().kind(path)

    told = "/cg: cgroup2 in place of the hierarchies of cgroup v1"
    new, old = (import_oci(config, "config.json", "/b", machine).left_out() for machine in (Machine(), Old()))
    assert (False, True) == (told in new, told in old)


_LINE = (
    "--unshare-pid --ro-bind /usr /usr --symlink usr/bin /bin --proc /proc --dev /dev --dir /run/x --bind-try "
    "/srv/data /data --file 11 /etc/motd --perms 0700 --tmpfs /tmp --bind /home /tmp/home --remount-ro / "
    "--tmpfs /tmp --setenv A b --chdir /data --args 12 -- sh -c id"
)
BWRAP = tuple(_LINE.split(" "))
DRAFTS: dict[str, Callable[[], SpecDraft]] = {
    "oci": lambda: import_oci(load("config.json"), "config.json", "/bundle", Machine()),
    "bwrap": lambda: bwrap(*BWRAP, data={"11": b"hello\n", "12": b"--hostname\0box\0--unshare-uts\0"}),
    "fstab": lambda: import_fstab(source("fstab"), "fstab", Machine()),
    "systemd": lambda: import_systemd(source("unit.service"), "unit.service", Machine()),
    "compose": lambda: import_compose(load("compose.json"), "compose.json", "/project", Machine(), service="web"),
    "k8s": lambda: import_kubernetes([load("pod.json")], "pod.json", Machine()),
}


@pytest.mark.parametrize("form", DRAFTS)
def test_what_is_imported_is_a_spec_and_the_same_each_time(form: str) -> None:
    text = DRAFTS[form]().text([f"Written by `mountplan import {form}`."])
    golden(f"imports/{form}.toml", text)
    parse_spec(text.encode(), form)


@pytest.mark.parametrize(
    ("words", "sharing"),
    [
        ("rbind,rshared", {"peer_group": "host-srv"}),
        ("rbind,rslave", {"master": "host-srv"}),
        ("rbind,rslave,rshared", {"peer_group": "a"}),
        ("rbind,private,rslave", {}),
        ("rbind,shared,private", {}),
        ("rbind,unbindable", {"unbindable": True}),
        ("rbind,unbindable,shared", {"peer_group": "a"}),
        ("rbind", {"peer_group": "host-srv"}),
    ],
)
def test_words_of_sharing_are_changes_one_after_the_other(words: str, sharing: dict[str, object]) -> None:
    """With a shared root all is a peer of the host's to begin with."""
    entry = {"destination": "/a", "type": "bind", "source": "/srv/x", "options": words.split(",")}
    config = {"root": {"path": "/image"}, "mounts": [entry], "linux": {"rootfsPropagation": "rslave"}}
    found = import_oci(config, "c", "/", Machine()).mounts[-1].keys
    slave = {"master": "host-srv"}
    wanted = slave if words == "rbind" else {} if words == "rbind,rshared" else sharing
    if words == "rbind,rshared":
        assert found["peer_group"] == "a"  # a group of its own, and slave of the host's
    assert wanted.items() <= {key: found[key] for key in found if key in ("peer_group", "master", "unbindable")}.items()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("sync,async", {}),
        ("async,sync", {"sync": True}),
        ("lazytime,nolazytime", {}),
        ("inode32,inode64", {"inode64": True}),
        ("size=1m,mode=700,nr_blocks=9", {"mode": "700", "nr_blocks": "9"}),
    ],
)
def test_of_options_that_undo_each_other_the_last_counts(words: str, options: dict[str, object]) -> None:
    """As for mount(8); `check` refuses both together."""
    assert options == read_words(words.split(",")).options


def test_a_group_of_the_hosts_is_named_by_the_mount_that_shows_most() -> None:
    """A group is found again by one mount; of a bind of the host's within its own filesystem, only a part would be."""
    draft = SpecDraft()
    draft.host_group(HostSharing(7, 0, "/run/host", "/run"))
    assert {"host-run": {"host": "/run"}} == draft.groups


def test_in_a_user_namespace_devices_are_the_machines_and_its_mounts_are_masters() -> None:
    mounts = [{"destination": "/dev", "type": "tmpfs"}, {"destination": "/a", "source": "/srv", "options": ["rbind"]}]
    linux = {"namespaces": [{"type": "user"}], "rootfsPropagation": "shared"}
    draft = import_oci({"root": {"path": "/image"}, "mounts": mounts, "linux": linux}, "c", "/", Machine())
    assert "/dev/null" in [one.keys.get("bind") for one in draft.mounts]
    assert not [file for one in draft.mounts for file in one.files if "device" in file]
    (bound,) = (one for one in draft.mounts if one.target == "/a")
    assert ("host-srv", "slave") == (bound.keys["master"], bound.keys["recursive_sharing"])


def test_what_goes_with_what_a_unit_replaces_is_not_spared() -> None:
    class OnDev(Machine):
        def sharing(self, path: str) -> HostSharing:
            return HostSharing(0, 0, path if path in ("/dev", "/dev/pts") else "/")

    draft = import_systemd("[Service]\nProtectSystem=strict\nPrivateDevices=yes\n", "u", OnDev())
    assert [{"target": "/dev", "recursive": True, "optional": True}] == draft.removals
    assert not [one for one in draft.changes[0]["except"] if str(one).startswith("/dev")]  # type: ignore[attr-defined]


def test_of_a_units_paths_the_nearest_counts_and_what_is_spared_stays() -> None:
    writable = "ReadWritePaths=/srv/a -/srv/none /srv/a/in"
    unit = f"[Service]\nProtectSystem=strict\n{writable}\nReadOnlyPaths=/srv/a/b\nNoExecPaths=/opt"
    draft = import_systemd(unit, "u", Machine())
    homes = [{"path": path, "optional": True} for path in ("/home", "/root", "/run/user")]
    whole, part, opt = draft.changes
    assert [
        "/dev",
        *homes[:1],
        "/proc",
        *homes[1:],
        "/srv/a",
        {"path": "/srv/none", "optional": True},
        "/sys",
    ] == whole["except"]
    assert {"target": "/srv/a/b", "recursive": True, "attributes": ["ro"]} == part
    assert {"target": "/opt", "recursive": True, "attributes": ["noexec"]} == opt
    assert [] == draft.mounts


def test_what_a_later_mount_covers_names_what_it_stands_on() -> None:
    draft = bwrap("--tmpfs", "/a", "--tmpfs", "/a/b", "--tmpfs", "/a/b/c", "--tmpfs", "/a")
    draft.arrange()
    assert [None, "a", "b"] == [one.keys.get("parent") for one in draft.mounts[2:5]]


def test_the_mount_that_a_walk_ends_on_is_the_last_one_on_the_way() -> None:
    draft = SpecDraft()
    first, low, top = draft.add("/"), draft.add("/a/b"), draft.add("/a")
    assert (first, top, top) == (draft.holder("/x"), draft.holder("/a/b/c"), draft.holder("/a"))
    assert low.stands_on is first and top.stands_on is first


def test_a_directory_that_is_there_is_not_made_again_for_bubblewrap() -> None:
    files = [one.files for one in bwrap("--dev", "/dev", "--dir", "/dev/shm", "--proc", "/p", "--dir", "/p/sys").mounts]
    assert ["shm"] == [entry["path"] for entries in files for entry in entries if entry["path"] in ("shm", "sys")]


def test_what_a_bind_brings_along_is_no_mount_that_bubblewrap_has_made() -> None:
    draft = bwrap("--bind", "/", "/", "--remount-ro", "/srv")
    assert ["/"] == [one.target for one in draft.mounts]
    assert "--remount-ro /srv, which another bind brings along" in draft.unsaid


def test_mount_words() -> None:
    words = read_words(
        split_options('ro,rw,noatime,relatime,rnosuid,bind,rslave,size=1m,context="a,b",lowerdir+=x,lowerdir+=y')
    )
    assert (("relatime",), ("nosuid",), "bind") == (words.attributes, words.recursive, words.bind)
    assert (("slave", True),) == words.events
    assert {"size": "1m", "context": '"a,b"', "lowerdir+": ["x", "y"]} == words.options


def test_layers_of_an_overlay_behind_two_colons_hold_data_only() -> None:
    text = import_fstab("overlay /o overlay lowerdir=/a:/b::/c::/d 0 0\n", "f", Machine()).text([])
    assert 'layers = ["/a", "/b"]\ndata_layers = ["/c", "/d"]\n' in text


def test_drop_ins_add_to_lists_and_an_empty_one_begins_anew() -> None:
    unit = read_unit(source("unit.service"))
    assert [["/var/lib/web", "/var/log/web"]] == [value.split() for value in unit["ReadWritePaths"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: import_oci({}, "c", "/", Machine()), "this is no config.json of a bundle"),
        (lambda: import_oci({"root": {}, "mounts": [{}]}, "c", "/", Machine()), "has no destination"),
        (lambda: bwrap("--bind", "/a"), "--bind takes more words"),
        (lambda: bwrap("--frobnicate"), "--frobnicate is no option of bwrap"),
        (lambda: bwrap("--args", "9"), "descriptor 9 cannot be read"),
        (lambda: bwrap("--perms", "--dir", "--dir", "/a"), "--dir is no file mode"),
        (lambda: bwrap("--size", "1m", "--tmpfs", "/a"), "1m is no number of bytes"),
        (lambda: bwrap("--remount-ro", "/nothing"), "nothing is mounted on /nothing"),
        (lambda: import_fstab("tmpfs /tmp\n", "f", Machine()), "at least three fields, this one has 2"),
        (lambda: import_systemd("", "u", Machine()), "there is no directive of a [Service]"),
        (lambda: import_compose({}, "c", "/", Machine()), "it has no services"),
        (lambda: import_compose(load("compose.json"), "c", "/", Machine()), "has several: web, db"),
        (lambda: import_compose(load("compose.json"), "c", "/", Machine(), service="x"), "there is no such service"),
        (lambda: import_kubernetes([{}], "p", Machine()), "there is no pod"),
        (lambda: import_kubernetes([load("pod.json")], "p", Machine(), container="x"), "there is no container x"),
    ],
)
def test_what_is_no_configuration_is_told_with_a_remedy(call: Callable[[], SpecDraft], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        call()
    (mistake,) = caught.value.mistakes
    assert message in mistake.what
    assert mistake.remedy


WORDS = st.sampled_from([*BWRAP, "--tmpfs", "--bind", "--ro-bind", "/a", "/a/b", "/", "--dir", "--proc", "--symlink"])


@settings(max_examples=80)
@given(st.lists(WORDS, max_size=12))
def test_whatever_a_command_line_says_it_is_a_spec_or_a_mistake(words: list[str]) -> None:
    try:
        draft = bwrap(*words, data={"11": b"", "12": b""})
    except SpecError:
        return
    parse_spec(draft.text([]).encode(), "spec")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('attributes = ["noexec"]', "/a has attributes that bubblewrap has no words for: noexec"),
        ("options = { ro = true }", "the filesystem /a is read-only as a whole"),
        ('[[mount.file]]\npath = "d"\ndirectory = true\nuid = 7', "/a/d belongs to another user"),
        ('[[mount]]\nid = "b"\ntarget = "/b"\ntype = "tmpfs"\noptions = { nr_inodes = "9" }', "nr_inodes"),
    ],
)
def test_what_no_command_line_of_bubblewrap_says_is_told_and_nothing_is_exported(more: str, reason: str) -> None:
    text = f'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n{more}\n'
    found = to_bubblewrap(api.plan(api.load("spec.toml", text.encode())))
    assert found.value is None
    assert any(reason in one for one in found.reasons), found.reasons


def test_lines_of_an_fstab_that_users_may_mount_are_harmless_unless_they_say_otherwise() -> None:
    words = {name: read_words(name.split(",")).attributes for name in ("user,exec", "owner", "suid,users")}
    assert {
        "user,exec": ("nosuid", "nodev", "exec"),
        "owner": ("nosuid", "nodev"),
        "suid,users": words["suid,users"],
    } == words
    assert {"nosuid", "nodev", "noexec"} == set(words["suid,users"])


def test_a_subvolume_is_imported_by_its_path() -> None:
    """Arch's genfstab writes both, and mount(2) refuses a number that is not that of the path."""
    line = "/dev/sda1 /home btrfs subvolid=256,subvol=/@home,noatime 0 0\n"
    (one,) = import_fstab(line, "f", Machine()).mounts
    assert {"subvol": "/@home"} == one.keys["options"]


def test_what_ramfs_ignores_or_has_given_anew_is_not_imported() -> None:
    (one,) = import_fstab("ramfs /ram ramfs size=512m,mode=755,mode=700 0 0\n", "f", Machine()).mounts
    assert {"mode": "700"} == one.keys["options"]


def test_a_part_of_an_image_in_an_fstab_is_that_part_and_no_other() -> None:
    """The whole image may hold another filesystem at its beginning."""
    line = "/a.img /a ext4 loop,offset=1M,sizelimit=2KB\n/a.img /b ext4 loop\n/a.img /c ext4 loop,offset=x\n"
    (unnamed,) = import_fstab("/srv/disk.conf /d squashfs defaults", "f", Machine()).mounts
    assert "/srv/disk.conf" == unnamed.keys["image"], "a file, whatever it is called"
    images = [one.keys["image"] for one in import_fstab(line, "f", Machine()).mounts]
    assert [{"path": "/a.img", "offset": 1 << 20, "size": 2000}, "/a.img", {"path": "/a.img", "offset": "x"}] == images


def test_of_an_fstab_what_is_there_is_left_and_what_would_appear_elsewhere_is_told() -> None:
    lines = """proc /proc proc defaults
/dev/shm /dev/shm none bind
/dev/shm /dev/shm none remount,bind,ro
tmpfs /mnt tmpfs shared
/mnt /media none bind,slave
tmpfs /mnt/x tmpfs defaults
/srv /new none rbind,rshared
"""
    draft = import_fstab(lines, "f", Machine())
    assert ["/mnt", "/media", "/mnt/x", "/new"] == [one.target for one in draft.mounts]
    assert [
        "line 1 (/proc): it is mounted there already, so `mount -a` leaves it alone",
        "line 2 (/dev/shm): it is mounted there already, so `mount -a` leaves it alone",
        "line 3 (/dev/shm): remount, as it is no mount of its own: write a [[change]] of what is there",
        "/mnt/x: not shared here, as it would be on what is, and so it would appear below /media",
        "/new: what the bind brings along of the host's is private here, and would be shared",
    ] == draft.left_out()


def test_what_an_fstab_leaves_to_other_programs_is_told() -> None:
    lines = (
        "host:/a /a nfs ro 0 0\nx#y /b fuse x 0 0\n/dev/sda /c auto x-systemd.automount\n/dev/sdb /d ext4,xfs nofail\n"
    )
    draft = import_fstab(lines + "LABEL=My\\040Disk /e ext4 x-systemd.automount\n", "f", Machine())
    assert [("/dev/sdb", True), ("/dev/disk/by-label/My\\x20Disk", None)] == [
        (one.keys["source"], one.keys.get("optional")) for one in draft.mounts
    ]
    told = "; ".join(draft.left_out())
    for one in (
        "nfs, which a program",
        "fuse, which a program",
        "/c): auto, as",
        "one of ext4,xfs",
        "x-systemd.automount",
    ):
        assert one in told, one


def test_variables_and_services_that_extend_others_are_as_compose_has_them() -> None:
    base = {
        "image": "b",
        "volumes": ["./b:/b", "./old:/a", {"type": "bind", "source": "l", "target": "/l"}, "~/h:/h"],
        "environment": ["A=base", "B=base", "HOME", "UNSET"],
        "entrypoint": "sh -c '$$PATH $$$$'",
    }
    web = {
        "extends": {"file": "other/base.yaml", "service": "web"},
        "volumes": ["${DATA:-./d}/$SUB:/a", "${GONE}/x:/c"],
        "environment": {"A": "$$A ${SET:+yes}", "YES": True},
    }
    given = {"SUB": "s", "SET": "1", "HOME": "/home/me"}
    files = {"/project/other/base.yaml": {"services": {"web": {"extends": "base"}, "base": base}}}
    draft = import_compose({"services": {"web": web}}, "c", "/project", Machine(), variables=given, load=files.get)
    binds = {one.target: one.keys.get("bind") for one in draft.mounts[1:]}
    places = {"/b": "/project/other/b", "/l": "/project/other/l", "/h": "/home/me/h", "/a": "/project/d/s", "/c": "/x"}
    assert places == binds
    assert {"A": "$A yes", "B": "base", "HOME": "/home/me", "YES": "true"} == draft.run["environment"]
    assert ["sh", "-c", "$PATH $$"] == draft.run["command"]
    assert ["the value of the variable GONE, which is not set: it is empty here"] == draft.unsaid


def test_a_service_of_a_file_that_is_included_has_its_paths_from_there() -> None:
    files = {
        "/project/in/a.yaml": {"include": [{"path": ["../b.yaml"]}], "services": {"a": {}}},
        "/project/b.yaml": {"include": ["in/a.yaml"], "services": {"db": {"volumes": ["./d:/d"]}}},
        "/c.yaml": {},
    }
    for config in ({"include": ["in/a.yaml"], "services": {"web": {}}}, {"include": ["in/a.yaml"]}):
        draft = import_compose(config, "c", "/project", Machine(), service="db", load=files.get)
        assert "/project/d" == draft.mounts[-1].keys["bind"]
    with pytest.raises(SpecError):
        import_compose({"include": ["in/a.yaml"]}, "c", "/project", Machine(), service="none", load=files.get)


@pytest.mark.parametrize(
    ("web", "message"),
    [
        ({"extends": "web"}, "extend each other in a circle"),
        ({"extends": "none"}, "there is no such service"),
        ({"volumes": ["${DATA:?where it is}:/a"]}, "the variable DATA has to be set: where it is"),
        ({"volumes": ["$UNSET:/a"]}, "nothing stands on one side of a colon"),
        ({"volumes": ["/a:ro"]}, "its place, ro, does not begin with /"),
        ({"volumes": ["a:/a"], "tmpfs": "/a/"}, "/a is taken by services.web.volumes[0]"),
    ],
)
def test_what_compose_refuses_is_refused(web: object, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        import_compose({"services": {"web": web}}, "c", "/", Machine())
    assert message in caught.value.mistakes[0].what


def test_volumes_of_compose_are_one_filesystem_each_wherever_they_are_mounted() -> None:
    """Docker's local driver mounts what `driver_opts` say; a file of a secret is bound, and not to be written."""
    web = {"volumes": ["v:/a/b", "v:/a:ro", "t:/t", "d:/d:ro"], "secrets": ["s", {"source": "s", "target": "/k"}, "e"]}
    told = {"o": "bind,rw", "type": "none", "device": "./here"}
    config = {
        "services": {"web": web},
        "volumes": {"t": {"driver_opts": {"type": "tmpfs", "o": "size=1m,uid=7"}}, "d": {"driver_opts": told}},
        "secrets": {"s": {"file": "./s.conf"}, "e": {"environment": "E"}},
    }
    draft = import_compose(config, "c", "/project", Machine())
    found = {one.target or one.id: one.keys for one in draft.mounts}
    assert ["/", "volume-v", "/a", "volume-t", "/t", "/d", "/k", "/a/b", "/run/secrets/s"] == list(found)
    assert found["/a"]["bind"] == found["/a/b"]["bind"] == {"mount": "volume-v"}
    assert {"size": "1m", "uid": "7"} == found["volume-t"]["options"]
    assert {"target": "/d", "bind": "/project/here", "attributes": ["ro"]} == found["/d"]
    assert "/project/s.conf" == found["/k"]["bind"] == found["/run/secrets/s"]["bind"]
    assert "secrets: e, which is not in a file" in draft.unsaid


def test_of_what_is_read_only_compose_says_how_deep() -> None:
    binds = [
        {"type": "bind", "source": "/usr", "target": f"/{word}", "read_only": True, "bind": {"recursive": word}}
        for word in ("enabled", "writable", "disabled", "readonly")
    ]
    draft = import_compose({"services": {"web": {"volumes": binds}}}, "c", "/", Machine())
    deep = {one.target: one.keys.get("recursive_attributes", one.keys.get("recursive")) for one in draft.mounts[1:]}
    assert {"/enabled": True, "/writable": False, "/disabled": None, "/readonly": True} == deep


def test_files_of_a_pod_are_read_only_and_each_may_be_mounted_alone() -> None:
    mounts = [
        {"name": "map", "mountPath": "/etc/app/app.conf", "subPath": "app.conf"},
        {"name": "map", "mountPath": "/etc/app"},
        {"name": "items", "mountPath": "/dir", "subPath": "dir"},
        {"name": "none", "mountPath": "/none"},
    ]
    items = [{"configMap": {"name": "x", "items": [{"key": "k", "path": "dir/k"}]}}]
    volumes = [{"name": "map", "configMap": {}}, {"name": "items", "projected": {"sources": items}}, {"name": "none"}]
    pod = {"spec": {"containers": [{"name": "c", "volumeMounts": mounts}], "volumes": volumes}}
    draft = import_kubernetes([pod], "p", Machine())
    found = {one.target or one.id: one for one in draft.mounts}
    order = ["/", "volume-items", "/dir", "volume-none", "/none", "volume-map", "/etc/app", "/etc/app/app.conf"]
    assert order == list(found)
    assert [{"path": "app.conf", "content": ""}] == found["volume-map"].files
    assert [{"path": "dir", "directory": True}] == found["volume-items"].files
    read_only = [one for one in order if one[0] == "/" and "attributes" in found[one].keys]
    assert ["/dir", "/etc/app", "/etc/app/app.conf"] == read_only


def test_claims_of_a_set_other_pods_and_containers_that_come_first_are_found() -> None:
    def pod(name: str, **more: object) -> dict[str, object]:
        mounts = [{"name": "data", "mountPath": "/data"}]
        return {"containers": [{"name": name, "command": ["x"], "volumeMounts": mounts}], **more}

    claims = [{"metadata": {"name": "data"}}]
    first = {
        "spec": {"volumeClaimTemplates": claims, "template": {"spec": pod("a", initContainers=[{"name": "before"}])}}
    }
    host = {"name": "data", "hostPath": {"path": "/srv/none", "type": "Directory"}}
    both = [{"kind": "List", "items": [first, {"spec": pod("b", volumes=[host])}]}]
    draft = import_kubernetes(both, "p", Machine())
    assert "in place of the volume data, persistentVolumeClaim" in draft.mounts[1].notes[0]
    assert "the other pods of the file: their containers are before, b" in draft.unsaid
    assert "before" == import_kubernetes(both, "p", Machine(), container="before").name
    waiting = import_kubernetes(both, "p", Machine(), container="b").left_out()
    assert "/data: /srv/none is not there: the pod would wait for it, for type Directory" in waiting


def test_a_descriptor_that_bubblewrap_binds_is_the_path_that_it_is_open_on() -> None:
    draft = bwrap("--bind-fd", "8", "/a", "--ro-bind-fd", "8", "/b", "sh")
    assert [("/opt/eight", ["nosuid", "nodev"]), ("/opt/eight", ["ro", "nosuid", "nodev"])] == [
        (one.keys["bind"], one.keys["attributes"]) for one in draft.mounts if one.target in ("/a", "/b")
    ]
    for number in ("9", "10", "1", "x"):
        with pytest.raises(SpecError, match="is open on nothing that has a path"):
            bwrap("--bind-fd", number, "/a", "sh")


def test_what_kubernetes_expands_is_expanded_and_what_it_refuses_is_told() -> None:
    entries = [("A", "1$(B)"), ("B", "$(A)2"), ("C", "$$(A)$")]
    container = {
        "name": "c",
        "command": ["$(B)", "$(NONE)$()"],
        "args": ["$$(B)"],
        "env": [{"name": name, "value": value} for name, value in entries],
        "volumeMounts": [
            {"name": "h", "mountPath": "/up", "subPath": "a/../../etc"},
            {"name": "h", "mountPath": "/h"},
        ],
    }
    volume = {"name": "h", "hostPath": {"path": "/srv/a.conf", "type": "Directory"}}
    pod = {"kind": "Pod", "spec": {"containers": [container], "volumes": [volume]}}
    draft = import_kubernetes([pod], "p", Machine())
    assert ["1$(B)2", "$(NONE)$()", "$(B)"] == draft.run["command"]
    assert {"A": "1$(B)", "B": "1$(B)2", "C": "$(A)$"} == draft.run["environment"]
    assert {
        "/up: subPath a/../../etc leads out of the volume, and Kubernetes refuses it",
        "/h: the pod would wait for a Directory, where there is a file",
    } < set(draft.left_out())
    assert ["/h"] == [one.target for one in draft.mounts if one.target not in (None, "/")]


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("64Mi", "64m"), ("4Ki", "4k"), ("1Gi", "1g"), ("2Ti", "2t"), ("1k", "1000"), ("2M", "2000000"), (4096, "4096"),
        ("1G", "1000000000"), ("123", "123"), ("1.5Gi", "1610612736"), ("0.5k", "500"), ("1e3", "1000"), ("1500m", "2"),
        (".5Ki", "512"), ("some", "some"),
    ],
)  # fmt: skip
def test_a_quantity_of_kubernetes_is_a_size_as_tmpfs_takes_it(quantity: object, size: str) -> None:
    """Fractions, and units that tmpfs does not know, come to bytes, and to no less than was asked for."""
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": quantity}}]
    container = {"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    pod = {"kind": "Pod", "spec": {"containers": [container], "volumes": volumes}}
    draft = import_kubernetes([pod], "p", Machine())
    assert {"mode": "0777", "size": size} in [one.keys.get("options") for one in draft.mounts]


def test_a_mount_of_no_volume_is_told_with_those_that_there_are() -> None:
    container = {"name": "c", "volumeMounts": [{"name": "x", "mountPath": "/v"}, {"name": "v"}]}
    pod = {"kind": "Pod", "spec": {"containers": [container], "volumes": [{"name": "v"}, {"name": "w"}]}}
    with pytest.raises(SpecError) as refusal:
        import_kubernetes([pod], "p", Machine())
    assert [(f"spec.containers.c.volumeMounts[{at}]", "volumes are: v, w") for at in (0, 1)] == [
        (one.ref.key, one.remedy) for one in refusal.value.mistakes
    ]


@pytest.mark.parametrize(
    ("word", "attribute"),
    [("shared", ("peer_group", "host-srv")), ("rshared", ("peer_group", "host-srv")),
     ("slave", ("peer_group", "host-srv")), ("private", ("peer_group", "host-srv")),
     ("rslave", ("master", "host-srv")), ("rprivate", None), ("runbindable", None)],
)  # fmt: skip
def test_rootfs_propagation_reaches_the_mounts_of_the_host_if_it_is_recursive(
    word: str, attribute: tuple[str, str] | None
) -> None:
    """Without an r it is that of / alone, and a bind of another mount is in the group that this is in."""
    entry = {"destination": "/a", "source": "/srv/x", "type": "bind", "options": ["rbind"]}
    config = {"root": {"path": "/image"}, "mounts": [entry], "linux": {"rootfsPropagation": word}}
    found = import_oci(config, "c", "/", Machine()).mounts[-1].keys
    assert (dict([attribute]) if attribute else {}) == {
        key: found[key] for key in ("peer_group", "master") if key in found
    }


def test_a_unit_with_a_root_of_its_own_binds_that_first() -> None:
    draft = import_systemd("[Service]\nRootDirectory=/srv/image\nPrivateTmp=yes\n", "u", Machine())
    assert ("/", "/srv/image", True) == (
        draft.mounts[0].target,
        draft.mounts[0].keys["bind"],
        draft.mounts[0].keys["recursive"],
    )


def test_what_runc_may_clear_of_a_read_only_volume_is_told() -> None:
    class Strict(Machine):
        def sharing(self, path: str) -> HostSharing:
            return HostSharing(0, 0, "/", attributes=change(("nosuid", "nodev")).set)

    def told(read_only: str) -> list[str]:
        draft = SpecDraft()
        host_bind(draft, "/data", "/opt", Strict(), read_only=read_only)
        return draft.left_out()

    note = "/data: suid, dev: what runc makes read-only may have it, podman leaves what the source has"
    assert ([note], []) == (told("mount"), told(""))

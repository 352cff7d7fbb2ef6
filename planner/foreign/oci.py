"""config.json of an OCI bundle (runc, crun, podman) -> a spec: the mounts in their order, as runc makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mountplan.planner.attributes import remounted
from mountplan.planner.foreign.mount_words import (
    SortedWords,
    add_attributes,
    add_remounted,
    filesystem_options,
    read_words,
    share,
)
from mountplan.planner.foreign.spec_draft import (
    DraftMount,
    HostSharing,
    ImportFacts,
    Refusal,
    SpecDraft,
    Table,
    absolute,
    inside,
)
from mountplan.planner.fstypes import of
from mountplan.planner.language.presets import DEVICES, LINKS
from mountplan.planner.model.peers import KINDS
from mountplan.planner.run_settings import NAMESPACE_KINDS

# What OCI calls the kinds of namespaces.
NAMESPACE_NAMES = {kind: kind for kind in NAMESPACE_KINDS} | {"net": "network"}
_NAMESPACES = {name: kind for kind, name in NAMESPACE_NAMES.items()}
_UNSAID_PROCESS = ("rlimits", "apparmorProfile", "selinuxLabel", "oomScoreAdj", "scheduler", "ioPriority")
_UNSAID_LINUX = ("seccomp", "resources", "sysctl", "mountLabel", "intelRdt", "personality")


def import_oci(config: Table, file: str, folder: str, facts: ImportFacts, *, root: str = "") -> SpecDraft:
    """`folder` is the bundle's, which relative paths count from; `root` stands for root.path. Raises SpecError."""
    refusal = Refusal(file)
    if not isinstance(config, Mapping) or not isinstance(config.get("root"), Mapping):
        what = "this is no config.json of a bundle: it has no root"
        refusal.add("root", what, 'there is "root": {"path": ...} in one')
        refusal.end()
    draft = SpecDraft()
    if root:
        config = {**config, "root": {**config["root"], "path": root}}
    return _OciImport(draft, config, folder, facts, refusal).draft_of()


class _OciImport:
    def __init__(self, draft: SpecDraft, config: Table, folder: str, facts: ImportFacts, refusal: Refusal) -> None:
        self.draft, self.config, self.folder, self.facts, self.refusal = draft, config, folder, facts, refusal
        self.linux: Table = config.get("linux") or {}
        self.unshare = [
            _NAMESPACES[one["type"]]
            for one in self.linux.get("namespaces") or ()
            if one.get("type") in _NAMESPACES and not one.get("path")
        ]

    def draft_of(self) -> SpecDraft:
        self._root()
        for number, entry in enumerate(self.config.get("mounts") or ()):
            if not isinstance(entry, Mapping) or not isinstance(entry.get("destination"), str):
                self.refusal.add(f"mounts[{number}]", "has no destination", "say where it is mounted")
                continue
            self._mount(number, entry)
        self.refusal.end()
        self._devices()
        for path in self.linux.get("readonlyPaths") or ():
            self._hide("readonly", absolute(path))
        for path in self.linux.get("maskedPaths") or ():
            self._hide("mask", absolute(path))
        self._read_only_root()
        self._process()
        return self.draft

    def _root(self) -> None:
        root = self.config["root"]
        path = self.facts.real(absolute(str(root.get("path", "rootfs")), self.folder))
        mount = self.draft.add("/", bind=path, recursive=True)
        self.root = mount
        word = self.propagation = str(self.linux.get("rootfsPropagation") or "rslave")
        kind = word.removeprefix("r")
        self.root_stands_on = self.facts.sharing(path).mountpoint
        if kind not in KINDS:
            self.refusal.add("linux.rootfsPropagation", f"{word} is no propagation", "write shared, slave or private")
            return
        events = self._inherited(self.facts.sharing(path))
        if kind in ("shared", "unbindable"):
            events.append((kind, word != kind))
        share(self.draft, mount, events, self.facts.sharing(path))

    def _inherited(self, sharing: HostSharing) -> list[tuple[str, bool]]:
        """What the runtime does to the sharing of a mount of the host's before it binds from it.

        rootfsPropagation is given to the / of its namespace: with all below it only if the word begins with "r". A
        shared mount that holds the root is made private, as pivot_root(2) takes no other (prepareRoot in runc).
        """
        word = self.propagation
        kind = word.removeprefix("r").replace("unbindable", "private")
        events: list[tuple[str, bool]] = []
        if "user" in self.unshare:  # a namespace that takes another user's mounts along has them as slaves
            events.append(("slave", True))
        if kind != "shared" and (word.startswith("r") or sharing.mountpoint == "/"):
            events.append((kind, word.startswith("r")))
        elif sharing.mountpoint == self.root_stands_on:
            events.append(("private", False))
        return events

    def _read_only_root(self) -> None:
        if self.config["root"].get("readonly"):
            source = self.facts.sharing(str(self.root.keys["bind"])).attributes
            self.root.keys["attributes"] = [*remounted(source, ("ro",))]
            self.root.keys["recursive_attributes"] = False

    def _mount(self, number: int, entry: Table) -> None:
        place = self.draft.destination(absolute(entry["destination"]), self.facts)
        fstype = str(entry.get("type") or "")
        options = [str(one) for one in entry.get("options") or ()]
        special = [one for one in options if one in ("tmpcopyup", "idmap", "ridmap", "copy-symlink")]
        words = read_words(one for one in options if one not in special)
        if words.bind or fstype == "bind":
            mount = self._bind(place, entry, words)
        else:
            mount = self._filesystem(number, place, entry, fstype, words)
        mount.keys["on_symlink"] = "follow"
        if mount.stands_on is not None and isinstance(mount.stands_on.keys.get("bind"), str):
            mount.keys["create"] = True
        if "tmpcopyup" in special:
            self._copy_up(mount, place)
        self._idmap(mount, entry, special)

    def _copy_up(self, mount: DraftMount, place: str) -> None:
        below = mount.stands_on
        if below is None or not isinstance(below.keys.get("bind"), str):
            self.draft.cannot_say(f"{place}: tmpcopyup, which begins with what an earlier mount has there")
        elif self.facts.kind(f"{str(below.keys['bind']).rstrip('/')}{inside(below, place)}") == "directory":
            mount.keys["contents"] = "underneath"

    def _bind(self, place: str, entry: Table, words: SortedWords) -> DraftMount:
        source = self.facts.real(absolute(str(entry.get("source", "")), self.folder))
        recursive = words.bind == "rbind"
        mount = self.draft.add(place, bind=source, recursive=recursive)
        for name in words.options:
            self.draft.cannot_say(f"{place}: {name}, as a bind has no options of a filesystem")
        sharing = self.facts.sharing(source)
        add_remounted(mount, words, sharing.attributes)
        share(self.draft, mount, [*self._inherited(sharing), *words.events], sharing)
        return mount

    def _filesystem(self, number: int, place: str, entry: Table, fstype: str, words: SortedWords) -> DraftMount:
        if fstype == "cgroup":  # on a machine with one hierarchy, which is the kind that is left
            fstype = "cgroup2"
            if not self.facts.kind("/sys/fs/cgroup/cgroup.procs"):
                self.draft.cannot_say(f"{place}: cgroup2 in place of the hierarchies of cgroup v1")
        if not fstype:
            self.refusal.add(f"mounts[{number}]", "has neither a type nor the option bind", "say what it shows")
        row = of(fstype)
        is_new = row.instances in ("net", "ipc") and row.instances in self.unshare
        options = filesystem_options(fstype, words, is_new=is_new)
        if fstype == "tmpfs":
            options.pop("ro", None)  # the runtimes make a tmpfs read-only when they have filled it: the mount alone
        options.pop("newinstance", None)
        source = str(entry.get("source") or fstype)
        layers: dict[str, object] = {}
        if fstype == "overlay":
            seen, *data = str(options.pop("lowerdir", "")).split("::")
            layers["layers"] = [absolute(one, self.folder) for one in seen.split(":") if one]
            if data:
                layers["data_layers"] = [absolute(one, self.folder) for one in data]
            for word, key in (("upperdir", "upper"), ("workdir", "work")):
                if word in options:
                    layers[key] = absolute(str(options.pop(word)), self.folder)
        if row.is_shared and not is_new and options:
            lost = ", ".join(options)
            self.draft.cannot_say(f"{place}: options of {fstype} ({lost}): the machine has one, which keeps its own")
            options = {}
        keys: dict[str, object] = {"type": fstype}
        if source != fstype or fstype == "tmpfs":
            keys["source"] = source
        mount = self.draft.add(place, **keys, **layers, options=options)
        add_attributes(mount, words, recursive=False)
        share(self.draft, mount, words.events, None)
        return mount

    def _idmap(self, mount: DraftMount, entry: Table, special: Sequence[str]) -> None:
        uids, gids = entry.get("uidMappings"), entry.get("gidMappings")
        if "idmap" in special or "ridmap" in special:
            uids, gids = uids or self.linux.get("uidMappings"), gids or self.linux.get("gidMappings")
        if uids and gids:
            mount.keys["idmap"] = {
                "uids": [[one["containerID"], one["hostID"], one["size"]] for one in uids],
                "gids": [[one["containerID"], one["hostID"], one["size"]] for one in gids],
            }
            if mount.keys.get("recursive") and "ridmap" not in special:
                mount.notes.append("the id-mapping: the mount's own, and not of what the bind brings along, for idmap")

    def _devices(self) -> None:
        holder = self.draft.holder("/dev")
        if holder is None or "type" not in holder.keys:
            self.draft.cannot_say("device nodes in /dev, which the runtime makes: /dev is on the host's filesystem")
            return
        top = inside(holder, "/dev/x")[1:-1]
        # What the runtimes make, whatever the configuration says.
        made: dict[str, tuple[str, dict[str, object]]] = {
            name: (device, {"mode": "0666"}) for name, device in DEVICES.items()
        }
        for one in self.linux.get("devices") or ():
            path, kind = absolute(str(one.get("path"))), str(one.get("type"))
            if not path.startswith("/dev/"):
                self.draft.cannot_say(f"the device node {path}, outside of /dev")
                continue
            more: dict[str, object] = {"mode": f"{int(one.get('fileMode') or 0o666) & 0o7777:04o}"}
            more |= {key: one[key] for key in ("uid", "gid") if one.get(key)}
            if kind == "p":
                holder.files.append({"path": top + path[5:], "fifo": True} | more)
                continue
            kind = "c" if kind == "u" else kind
            made[path[5:]] = (f"{kind}:{one.get('major')}:{one.get('minor')}", more)
        for name, (device, keys) in made.items():
            if "user" in self.unshare:  # there the runtimes bind the machine's
                node = self.draft.add(f"/dev/{name}", bind=f"/dev/{name}")
                sharing = self.facts.sharing(f"/dev/{name}")
                share(self.draft, node, self._inherited(sharing), sharing)
                continue
            holder.files.append({"path": top + name, "device": device, **keys})
        holder.files.extend({"path": top + name, "symlink": to} for name, to in LINKS.items())
        if (self.config.get("process") or {}).get("terminal"):
            self.draft.cannot_say("a terminal of its own on /dev/console")

    def _hide(self, key: str, path: str) -> None:
        """A masked or read-only path, in the mount that has it; the runtimes pass over what is not there."""
        path = self.draft.destination(path, self.facts)
        holder = self.draft.holder(path)
        if holder is not None:
            given = holder.keys.setdefault(key, [])
            assert isinstance(given, list)
            given.append({"path": inside(holder, path).lstrip("/"), "optional": True})

    def _process(self) -> None:
        draft, process = self.draft, self.config.get("process") or {}
        run = draft.run
        draft.say_run(command=[str(one) for one in process.get("args") or ()])
        if process.get("env"):
            run["environment"] = dict(str(one).split("=", 1) for one in process["env"] if "=" in str(one))
            run["clear_environment"] = True
        directory, hostname = process.get("cwd"), self.config.get("hostname") if "uts" in self.unshare else ""
        draft.say_run(cwd=absolute(str(directory)) if directory else "", hostname=str(hostname or ""))
        draft.say_run(unshare=self.unshare)
        bounding = (process.get("capabilities") or {}).get("bounding")
        if bounding is not None:
            run["capabilities"] = sorted(map(str, bounding))
        if process.get("noNewPrivileges") is not True and process:
            run["no_new_privs"] = False
        user = process.get("user") or {}
        if user.get("uid") or user.get("gid"):
            draft.cannot_say(f"the user that the command runs as: {user.get('uid', 0)}:{user.get('gid', 0)}")
        draft.cannot_say_of(process, _UNSAID_PROCESS, before="process.")
        draft.cannot_say_of(self.linux, _UNSAID_LINUX, before="linux.")
        draft.cannot_say_of(self.config, ("hooks",))
        for one in self.linux.get("namespaces") or ():
            if one.get("path"):
                draft.cannot_say(f"the {one.get('type')} namespace of {one['path']}")

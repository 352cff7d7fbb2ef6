"""fstab(5) -> a spec: what `mount -a` would mount, in its order, in a copy of the host's tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mountplan.planner.attributes import NAMES, applied, change, remounted
from mountplan.planner.foreign.mount_words import (
    SortedWords,
    add_attributes,
    add_remounted,
    filesystem_options,
    read_words,
    share,
    split_options,
)
from mountplan.planner.foreign.spec_draft import DraftMount, ImportFacts, Refusal, SpecDraft, absolute
from mountplan.planner.fstypes import of
from mountplan.planner.language.fstab_words import DEVICE_TAGS
from mountplan.planner.tables.mountinfo import unescape

# Types that a program of its own mounts (mount.TYPE, or FUSE), as it finds out what the kernel has to be told.
_BY_PROGRAM = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "davfs", "sshfs", "ntfs-3g", "zfs", "s3fs"}
)
_OF_LOOP = ("loop", "offset", "sizelimit")
# libmount's strtosize: bytes, or a number of units; K and KiB are 1024, KB is 1000.
_SIZE = re.compile(r"(\d+)(?:([KMGTPE])(B|iB)?)?", re.IGNORECASE)


def import_fstab(text: str, file: str, facts: ImportFacts) -> SpecDraft:
    """Raises SpecError with all lines that are no lines of an fstab."""
    draft = SpecDraft()
    draft.inherits = draft.goes_on = True
    refusal = Refusal(file)
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        fields = [unescape(field) for field in stripped.split()]
        if len(fields) < 3:
            what = f"a line of an fstab has at least three fields, this one has {len(fields)}"
            refusal.add("", what, "write SOURCE TARGET TYPE OPTIONS, or # before it", number)
            continue
        source, target, fstype, options = (*fields[:3], fields[3] if len(fields) > 3 else "defaults")
        _line(draft, number, source, target, fstype, split_options(options), facts)
    refusal.end()
    return draft


def _line(
    draft: SpecDraft, number: int, source: str, target: str, fstype: str, options: list[str], facts: ImportFacts
) -> None:
    where = f"line {number} ({target})"
    if fstype == "swap" or target == "none":
        draft.cannot_say(f"line {number}: {fstype} is no mount of the tree")
        return
    if "noauto" in options:
        draft.cannot_say(f"{where}: noauto, so `mount -a` leaves it out")
        return
    if target == "/":
        draft.cannot_say(f"{where}: the root is the host's, of which this spec changes a copy")
        return
    if fstype == "ignore":
        return
    if "remount" in options:
        draft.cannot_say(f"{where}: remount, as it is no mount of its own: write a [[change]] of what is there")
        return
    bound = any(one in ("bind", "rbind") for one in (*options, fstype))
    of_earlier = bound and draft.holder(absolute(source)) is not None
    if not of_earlier and facts.is_mounted(_device(source), absolute(target), bind=bound):
        draft.cannot_say(f"{where}: it is mounted there already, so `mount -a` leaves it alone")
        return
    if not bound and (fstype in _BY_PROGRAM or fstype.partition(".")[0] in ("fuse", "fuseblk")):
        draft.cannot_say(f"{where}: {fstype}, which a program of its own mounts")
        return
    if not bound and fstype == "auto":
        draft.cannot_say(f"{where}: auto, as what is on {source} is not known here: write its type")
        return
    if "," in fstype:
        draft.cannot_say(f"{where}: one of {fstype}, whichever fits: the first of them is here")
    special = [one for one in options if one.lower().startswith("x-") or one.startswith("comment=")]
    words = read_words(one for one in options if one not in special)
    place = absolute(target)
    if words.bind or fstype in ("bind", "rbind"):
        mount = _bind(draft, source, place, words, fstype, facts)
    else:
        mount = _filesystem(draft, where, source, place, words, fstype.split(",")[0], facts)
    if "nofail" in options and (mount.keys.keys() & {"bind", "image"} or str(mount.keys.get("source")).startswith("/")):
        mount.keys["optional"] = True
    _tell_received(draft, mount)
    for one in special:
        _special(draft, where, mount, one)


def _bind(draft: SpecDraft, source: str, place: str, words: SortedWords, fstype: str, facts: ImportFacts) -> DraftMount:
    recursive = "rbind" in (words.bind, fstype)
    path = absolute(source)
    holder = draft.holder(path)
    brought = [one for one in draft.below(path) if one.target != path and draft.holder(one.target or "/") is one]
    if holder is not None:  # of what an earlier line has mounted
        below = path[len((holder.target or "/").rstrip("/")) :] or "/"
        mount = draft.add(place, bind={"mount": draft.id_of(holder)} | ({"path": below} if below != "/" else {}))
    else:
        mount = draft.add(place, bind=path, recursive=recursive)
    bits = facts.sharing(path).attributes if holder is None else _bits(draft, holder, facts)
    add_remounted(mount, words, bits)
    cleared = [one for one in remounted(bits, words.attributes) if not NAMES[one].set and one not in words.attributes]
    if cleared:
        mount.notes.append(f"{', '.join(cleared)}: as mount(8) before util-linux 2.39; a later one keeps its source's")
    if words.options:
        mount.notes.append(f"without {', '.join(words.options)}: a bind has no options of a filesystem")
    _share_as(draft, mount, words.events, holder)
    again = [(kind, True) for kind, is_recursive in words.events if is_recursive]
    if holder is None and recursive and ("shared", True) in again:
        mount.notes.append("what the bind brings along of the host's is private here, and would be shared")
    elif holder is not None and recursive and holder.keys.get("recursive"):
        mount.notes.append(f"without what the bind on {holder.target} brings along of the host's")
    for one in brought if recursive else ():
        place_of_it = place.rstrip("/") + (one.target or "")[len(path.rstrip("/")) :]
        _share_as(draft, draft.add(place_of_it, bind={"mount": draft.id_of(one)}), again, one)
    return mount


def _share_as(
    draft: SpecDraft, mount: DraftMount, events: Iterable[tuple[str, bool]], source: DraftMount | None
) -> None:
    """A bind of an earlier line's mount begins as its peer, or as a slave of the same; any other is private."""
    keys = source.keys if source is not None else {}
    group, master = str(keys.get("peer_group", "")), str(keys.get("master", ""))
    if not group and not master:
        share(draft, mount, events, None)
        return
    own = unbindable = False
    for kind, _ in events:
        if kind == "shared":
            own, unbindable = not group, False
        elif kind == "slave":
            group, master, own = "", group or master, False
        else:
            group, master, own, unbindable = "", "", False, kind == "unbindable"
    if own:
        group = draft.own_group(mount.target or "", master)
    given = {"peer_group": group} if group else {"master": master} if master else {}
    mount.keys |= given | ({"unbindable": True} if unbindable else {})


def _tell_received(draft: SpecDraft, mount: DraftMount) -> None:
    """What is mounted on what an earlier line shares is shared as well, and appears with its peers and slaves."""
    below = mount.stands_on
    group = below.keys.get("peer_group") if below is not None else None
    if group is None:
        return
    others = [
        str(one.target)
        for one in draft.mounts
        if one is not below and one is not mount and group in (one.keys.get("peer_group"), _master(draft, one))
    ]
    where = f", and so it would appear below {', '.join(others)}" if others else ""
    mount.notes.append(f"not shared here, as it would be on what is{where}")


def _master(draft: SpecDraft, mount: DraftMount) -> object:
    return mount.keys.get("master") or draft.groups.get(str(mount.keys.get("peer_group")), {}).get("master")


def _bits(draft: SpecDraft, mount: DraftMount, facts: ImportFacts) -> int:
    """The attributes that a mount of an earlier line has."""
    bind, start = mount.keys.get("bind"), 0
    if isinstance(bind, str):
        start = facts.sharing(bind).attributes
    elif isinstance(bind, dict):
        start = next(_bits(draft, one, facts) for one in draft.mounts if one.id == bind["mount"])
    names = mount.keys.get("attributes", ())
    assert isinstance(names, (list, tuple))
    return applied(start, change(tuple(names)))


def _filesystem(
    draft: SpecDraft, where: str, source: str, place: str, words: SortedWords, fstype: str, facts: ImportFacts
) -> DraftMount:
    options = _with_numbers(filesystem_options(fstype, words), facts)
    keys: dict[str, object] = {"type": fstype}
    if fstype == "overlay":
        layers, *data = re.split(r"(?<!\\)::", str(options.pop("lowerdir", "")))
        keys["layers"] = [part.replace("\\:", ":") for part in re.split(r"(?<!\\):", layers) if part]
        if data:
            keys["data_layers"] = [part.replace("\\:", ":") for part in data]
        for word, key in (("upperdir", "upper"), ("workdir", "work")):
            if word in options:
                keys[key] = str(options.pop(word))
        keys["source"] = source
    elif any(one in options for one in _OF_LOOP) or (of(fstype).on_device and _is_image(source, facts)):
        keys["image"] = _image(source, options)
        for one in _OF_LOOP:
            options.pop(one, None)
    else:
        if _device(source) != source:
            keys["source"] = _device(source)
        elif source not in (fstype, "none") or fstype in ("tmpfs", "ramfs"):
            keys["source"] = source
    if of(fstype).is_shared and options:
        lost = ", ".join(options)
        draft.cannot_say(f"{where}: options of {fstype} ({lost}): the machine has one, which keeps its own")
        options = {}
    mount = draft.add(place, **keys, options=options)
    add_attributes(mount, words, recursive=False)
    share(draft, mount, words.events, None)
    return mount


def _is_image(source: str, facts: ImportFacts) -> bool:
    """mount(8) puts a loop device between by itself, where it is told a file."""
    is_file = source.startswith("/") and not source.startswith("/dev/") and facts.kind(source) == "file"
    return is_file or (source.startswith("/") and ".img" in source)


def _image(path: str, options: Mapping[str, object]) -> object:
    """What is said to be no size stays as it is: `check` has something against it, as mount(8) has."""
    part = {key: options[word] for word, key in (("offset", "offset"), ("sizelimit", "size")) if word in options}
    return {"path": path} | {key: _size(str(one)) for key, one in part.items()} if part else path


def _size(text: str) -> int | str:
    found = _SIZE.fullmatch(text)
    if found is None:
        return text
    number, unit, kind = found.groups()
    power = " KMGTPE".index((unit or " ").upper())
    return int(number) * int((1000 if (kind or "").upper() == "B" else 1024) ** power)


def _with_numbers(options: dict[str, object], facts: ImportFacts) -> dict[str, object]:
    """mount(8) looks the names of users and groups up; the kernel takes numbers alone."""
    kept = {key: one for key, one in options.items() if isinstance(one, str) and one[:1].isalpha()}
    return options | {key: facts.number_of(key, one) or one for key, one in kept.items() if key in ("uid", "gid")}


def _device(source: str) -> str:
    """The path of a source that is told by a tag, as in LABEL=data; any other as it is."""
    tag, equals, value = source.partition("=")
    return f"{DEVICE_TAGS[tag]}/{_as_udev_writes(value.strip(chr(34)))}" if equals and tag in DEVICE_TAGS else source


def _special(draft: SpecDraft, where: str, mount: DraftMount, word: str) -> None:
    name, _, value = word.partition("=")
    lower = name.lower()
    if lower == "x-mount.mkdir":
        mount.keys["create"] = True
        if value and value.lstrip("0") != "755":
            draft.cannot_say(f"{where}: the mode {value} of the mountpoint, which is made with 0755")
    elif lower == "x-mount.subdir":
        source = draft.id_of(mount)
        target = mount.keys.pop("target")
        mount.keys = {"id": source} | {key: one for key, one in mount.keys.items() if key != "id"}
        draft.add(str(target), bind={"mount": source, "path": absolute(value)})
    elif lower.startswith(("x-mount.", "x-systemd.")):
        draft.cannot_say(f"{where}: {word}")


def _as_udev_writes(tag: str) -> str:
    """The name of a link below /dev/disk: all but some characters as \\xNN (libudev's util_replace_chars)."""
    return re.sub(r"(?![A-Za-z0-9#+.:=@_/-])[\x00-\x7f]", lambda char: f"\\x{ord(char[0]):02x}", tag)

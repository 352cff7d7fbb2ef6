"""The words of a mount's options, as mount(8), runc and crun take them, sorted by what a spec has for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mountplan.planner.attributes import EXCLUSIVE, NAMES, overridden, remounted
from mountplan.planner.foreign.spec_draft import DraftMount, HostSharing, SpecDraft
from mountplan.planner.fstypes import UNDOING, is_ignored, of, takes_one
from mountplan.planner.model.peers import KINDS
from mountplan.planner.record import NamedTuple

# Of no use in a spec: what they say is what happens anyway, or is for the time of booting.
_NOTHING = frozenset({
    "defaults", "auto", "nofail", "_netdev", "nouser", "rw", "async", "nomand",
    "silent", "loud", "norelatime", "nostrictatime", "noiversion", "nolazytime",
})  # fmt: skip
# Who lets users mount makes them harmless (mount(8)); a later word may say otherwise.
_IMPLY = {
    **dict.fromkeys(("user", "users"), ("nosuid", "nodev", "noexec")),
    **dict.fromkeys(("owner", "group"), ("nosuid", "nodev")),
}


class SortedWords(NamedTuple):
    """`attributes` go for the mount, `recursive` (runc's rro, rnosuid, ...) for all that a bind brings along too.

    `events` are the changes of sharing in their order, (kind, recursive). `options` are the filesystem's.
    """

    attributes: tuple[str, ...]
    recursive: tuple[str, ...]
    events: tuple[tuple[str, bool], ...]
    options: Mapping[str, str | bool | list[str]]
    bind: str  # "", "bind" or "rbind"

    def has(self, name: str) -> bool:
        return name in self.attributes or name in self.recursive


def split_options(text: str) -> list[str]:
    """The options of a line of fstab: commas, but not those in quotes."""
    return re.findall(r'(?:"[^"]*"?|[^,"])+', text)


def read_words(words: Iterable[str]) -> SortedWords:
    """Sort them. Of words that contradict each other the last one counts, as for mount(8)."""
    attributes: list[str] = []
    recursive: list[str] = []
    events: list[tuple[str, bool]] = []
    options: dict[str, str | bool | list[str]] = {}
    bind = ""
    for word in words:
        if word in NAMES and word != "rw":
            _replace(attributes, word)
        elif word[:1] == "r" and word[1:] in NAMES and word not in NAMES:
            _replace(recursive, word[1:])
        elif word == "rw":
            attributes = [one for one in attributes if one != "ro"]
        elif word in KINDS or word[1:] in KINDS:
            events.append((word.removeprefix("r") if word[1:] in KINDS else word, word[1:] in KINDS))
        elif word in ("bind", "rbind"):
            bind = word
        elif word in _IMPLY:
            for one in _IMPLY[word]:
                _replace(attributes, one)
        elif word in _NOTHING:
            _undo(options, word)
        elif word != "remount":
            name, equals, value = word.partition("=")
            _undo(options, name)
            given = value if equals else True
            old = options.get(name)
            several = [*(old if isinstance(old, list) else [str(old)]), value]
            options[name] = given if old is None or given is True else several
    return SortedWords(tuple(attributes), tuple(recursive), tuple(events), options, bind)


def _undo(options: dict[str, str | bool | list[str]], word: str) -> None:
    """Forget what a word undoes that comes later."""
    for pair in UNDOING:
        if word in pair:
            for other in set(pair) - {word}:
                options.pop(other, None)


def _replace(attributes: list[str], word: str) -> None:
    for group in EXCLUSIVE:
        if word in group:
            attributes[:] = [one for one in attributes if one not in group]
    attributes.append(word)


def filesystem_options(fstype: str, words: SortedWords, *, is_new: bool = False) -> dict[str, object]:
    """The options of a new filesystem. mount(2) takes `ro` for mount and filesystem alike; of a filesystem that others
    have as well (see fstypes.py) it is the mount's alone, unless a namespace of its own makes it new.
    What the kernel ignores (`size` of ramfs) is left out: a spec may not ask for it.
    """
    options: dict[str, object] = {name: one for name, one in words.options.items() if not is_ignored(fstype, name)}
    for name, one in options.items():
        if isinstance(one, list) and takes_one(fstype, name):
            options[name] = one[-1]
    if "subvol" in options:  # the number is that of the path, or mount(2) refuses both
        options.pop("subvolid", None)
    if "ro" in words.attributes and (is_new or of(fstype).has_own_options):
        options = {"ro": True} | options
    return options


def add_remounted(mount: DraftMount, words: SortedWords, source: int) -> None:
    """The attributes of a bind that is remounted with its own: what the source has besides is cleared, of it alone."""
    names = remounted(source, words.attributes)
    add_attributes(mount, words._replace(attributes=names), recursive=bool(mount.keys.get("recursive")))


def add_attributes(mount: DraftMount, words: SortedWords, *, recursive: bool, extra: Iterable[str] = ()) -> None:
    """The attributes of a mount. Those of a recursive bind go for what it brings along only if they were asked so."""
    plain = [*words.attributes]
    plain += [one for one in extra if not any(one in group and group & set(words.attributes) for group in EXCLUSIVE)]
    if words.recursive and recursive:
        only = [one for one in overridden(tuple(plain), words.recursive) if one not in words.recursive]
        mount.keys["attributes"] = [*words.recursive, *only]
        if only:
            mount.notes.append(f"{', '.join(only)}: here also for what the bind brings along")
    elif plain or words.recursive:
        mount.keys["attributes"] = [*overridden(tuple(plain), words.recursive)]
        if recursive:
            mount.keys["recursive_attributes"] = False


def share(draft: SpecDraft, mount: DraftMount, events: Iterable[tuple[str, bool]], start: HostSharing | None) -> None:
    """Give a mount the sharing that changes one after the other come to.

    `start` is that of the host's mount which is bound: a bind begins as its peer, anything else private.
    """
    peer = of_host = start is not None and start.group != 0  # in a group of the host's
    events = tuple(events)
    own = unbindable = slave = False
    for kind, _ in events:
        if kind == "shared":
            unbindable = False
            own = own or not peer
        elif kind == "slave":
            # Of a group of its own in which nobody else is, nothing is left.
            slave = slave or peer
            peer = own = False
        else:
            peer = own = slave = of_host = False
            unbindable = kind == "unbindable"
    if peer and start is not None:
        mount.keys["peer_group"] = draft.host_group(start)
    else:
        master = draft.host_group(start) if slave and of_host and start is not None else ""
        if own:
            mount.keys["peer_group"] = draft.own_group(mount.target or "", master)
        elif master:
            mount.keys["master"] = master
    if unbindable:
        mount.keys["unbindable"] = True
    if start is not None and mount.keys.get("recursive"):
        _share_brought(draft, mount, [kind for kind, is_recursive in events if is_recursive], start)
    is_slave = start is not None and start.master and not start.group
    if is_slave and not any(kind in ("private", "unbindable") for kind, _ in events):
        mount.notes.append(
            "private here: it would be a slave like the machine's mount, whose master has no place to name"
        )


def _share_brought(draft: SpecDraft, mount: DraftMount, changes: Iterable[str], start: HostSharing) -> None:
    """Say of what a recursive bind brings along what recursive `changes` make of it. Without a word it is private.

    It can be a peer or slave of the host's mounts if the bind is that too, or if there is nothing that it could be of.
    """
    peer, slave, own = True, False, False
    for kind in changes:
        if kind == "shared":
            own = not peer
        else:
            peer, slave, own = False, kind == "slave" and (peer or slave), False
    group = draft.groups.get(str(mount.keys.get("peer_group", mount.keys.get("master"))), {})
    is_alone = not (start.group or start.master)
    if peer and (is_alone or ("host" in group and "peer_group" in mount.keys)):
        mount.keys["recursive_sharing"] = "peer"
    elif slave and (is_alone or group.keys() & {"host", "master"}):
        mount.keys["recursive_sharing"] = "slave"
        if own:
            mount.notes.append("what the bind brings along is a slave here, and not shared again")
    else:
        if group:
            mount.keys["recursive_sharing"] = "private"
        if peer or slave or own:
            wanted = "a peer of the host's" if peer else "a slave of the host's" if slave else "shared"
            mount.notes.append(f"what the bind brings along is private here, and would be {wanted}")

"""The words of a mount's options, as mount(8), runc and crun take them, sorted by what a spec has for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mountplan.planner.attributes import EXCLUSIVE, NAMES
from mountplan.planner.foreign.spec_draft import DraftMount, HostSharing, SpecDraft
from mountplan.planner.fstypes import of
from mountplan.planner.model.peers import KINDS

# Of no use in a spec: what they say is what happens anyway, or is for the time of booting.
_NOTHING = frozenset({
    "defaults", "auto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group", "rw", "async", "nomand",
    "silent", "loud", "norelatime", "nostrictatime", "noiversion", "nolazytime",
})  # fmt: skip


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
    found, quoted = [""], False
    for char in text:
        if char == '"':
            quoted = not quoted
        if char == "," and not quoted:
            found.append("")
        else:
            found[-1] += char
    return [one for one in found if one]


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
        elif word not in _NOTHING and word != "remount":
            name, equals, value = word.partition("=")
            given = value if equals else True
            old = options.get(name)
            options[name] = (
                given if old is None or given is True else [*(old if isinstance(old, list) else [str(old)]), value]
            )
    return SortedWords(tuple(attributes), tuple(recursive), tuple(events), options, bind)


def _replace(attributes: list[str], word: str) -> None:
    for group in EXCLUSIVE:
        if word in group:
            attributes[:] = [one for one in attributes if one not in group]
    attributes.append(word)


def filesystem_options(fstype: str, words: SortedWords, *, is_new: bool = False) -> dict[str, object]:
    """The options of a new filesystem. mount(2) takes `ro` for mount and filesystem alike; of a filesystem that others
    have as well (see fstypes.py) it is the mount's alone, unless a namespace of its own makes it new.
    """
    options: dict[str, object] = dict(words.options)
    if "ro" in words.attributes and (is_new or not of(fstype).is_shared):
        options = {"ro": True} | options
    return options


def add_attributes(mount: DraftMount, words: SortedWords, *, recursive: bool, extra: Iterable[str] = ()) -> None:
    """The attributes of a mount. Those of a recursive bind go for what it brings along only if they were asked so."""
    plain = [*words.attributes]
    plain += [one for one in extra if not any(one in group and group & set(words.attributes) for group in EXCLUSIVE)]
    if words.recursive and recursive:
        only = [one for one in plain if one not in words.recursive]
        mount.keys["attributes"] = [*words.recursive, *only]
        if only:
            mount.notes.append(f"{', '.join(only)}: here also for what the bind brings along")
    elif plain or words.recursive:
        mount.keys["attributes"] = [*plain, *(one for one in words.recursive if one not in plain)]
        if recursive:
            mount.keys["recursive_attributes"] = False


def share(draft: SpecDraft, mount: DraftMount, events: Iterable[tuple[str, bool]], start: HostSharing | None) -> None:
    """Give a mount the sharing that changes one after the other come to.

    `start` is that of the host's mount which is bound: a bind begins as its peer, anything else private.
    """
    peer = start is not None and start.group != 0  # in a group of the host's
    of_host = start is not None and start.group != 0
    own, unbindable = False, False
    slave = False
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

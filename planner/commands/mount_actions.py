"""What one call of mount(8) does: its words, a table of mounts, loop devices -> calls, and its exit status."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mountplan.planner.attributes import applied
from mountplan.planner.commands import actions as a
from mountplan.planner.commands.mount_arguments import MountWords, hangs_on_version, read_line, read_mount
from mountplan.planner.commands.script_calls import ScriptCalls
from mountplan.planner.commands.util_linux import OLDEST, Unusable
from mountplan.planner.fstypes import of
from mountplan.planner.language.fstab_words import DEVICE_TAGS
from mountplan.planner.model import WouldRefuse
from mountplan.planner.tables.mountinfo import unescape
from mountplan.planner.tables.table import MountRow

FAILED = 32  # of mount(8)
_NO_NAMESPACE = 2
_SOME_FAILED = 64
_TREE, _PART = "@mount", "@mount_part"  # what mount(8) has open


def mount(calls: ScriptCalls, arguments: list[str]) -> int:
    """mount(8), but for a call that only shows what is mounted."""
    words = read_mount(arguments, calls.util_linux if hangs_on_version(arguments) else OLDEST)
    if words.namespace:
        return _in_namespace(calls, arguments, words.namespace)
    return _mount(calls, arguments, words)


def _in_namespace(calls: ScriptCalls, arguments: list[str], namespace: str) -> int:
    """mount -N: all is done in the mount namespace of a process, or of a file, from its root on."""
    process = calls.process
    other = calls.number(namespace)
    if not other and namespace.isdecimal():
        raise Unusable(f"mount: {namespace} is no process of this script", "name one as $$, $PPID or $!")
    found = calls.namespace_file(namespace) if not other else ("mnt", other)
    child = -process
    calls.make(a.Fork(child))
    calls.process = child
    try:
        if not calls.make(a.Enter(found[1]) if found is not None and found[0] == "mnt" else a.EnterFile(namespace)):
            return _NO_NAMESPACE
        return _mount(calls, arguments, read_mount(arguments, calls.util_linux))
    finally:
        calls.make(a.End())
        calls.process = process


def _mount(calls: ScriptCalls, arguments: list[str], words: MountWords) -> int:
    if words.every or words.place:  # on what is in the table
        words = read_mount(arguments, calls.util_linux)
    if words.every:
        return _mount_all(calls, words)
    if words.place:
        words = _looked_up(calls, words)
    return _mount_one(calls, words)


def _mount_one(calls: ScriptCalls, words: MountWords) -> int:
    if words.make_target and not calls.make(a.MakeDirectory(words.target, True)):
        return FAILED
    if not words.what:
        words = _with_device(calls, words)
        if words.once and _is_mounted(calls, words, calls.rows()):
            return FAILED
    if words.fake:
        return 0
    if not words.as_written:
        words = words._replace(target=calls.canonical(words.target))
        if words.what in ("bind", "rbind", "move"):
            words = words._replace(source=calls.canonical(words.source))
    status = calls.all(_actions(calls, words), FAILED)
    for name in (_TREE, _PART):
        if calls.has_descriptor(name):
            calls.make(a.CloseDescriptor(name))
    return status


# --- one mount


def _actions(calls: ScriptCalls, words: MountWords) -> Iterator[a.Action]:
    if words.what == "remount":
        yield from _remount(calls, words)
    elif words.what in ("bind", "rbind") and (found := calls.namespace_file(words.source)) is not None:
        if any(words.flags().names):
            raise Unusable("mount: the file of a namespace with attributes is not followed", "bind it, then remount")
        yield a.BindNamespaceFile(found[1], found[0], words.target)
        yield from _kinds(words, words.target)
    elif words.subdirectory or words.beneath or words.exclusive or (words.by_descriptor and _is_shaped(words)):
        yield from _by_descriptor(words)
    else:
        yield from _classic(words)


def _kinds(words: MountWords, target: str) -> Iterator[a.Action]:
    return (a.ChangeKind(target, kind, recursive) for kind, recursive in words.kinds)


def _classic(words: MountWords) -> Iterator[a.Action]:
    """As mount(2) has it. From 2.39 on what has no attributes of its own comes to the same."""
    match words.what:
        case "bind" | "rbind":
            yield a.BindMount(words.source, words.target, words.what == "rbind")
        case "move":
            yield a.MoveMount(words.source, words.target)
        case "":
            attributes, options = words.flags().attributes, words.options
            if words.by_descriptor:
                attributes = applied(0, words.attribute_change())
                options = ",".join(filter(None, (options, *words.of_filesystem)))
            yield a.MountNew(words.fstype, words.source, words.target, attributes, options)
    if words.recursive_names:
        yield a.SetAttributesCall(words.target, words.recursive_change())
    yield from _kinds(words, words.target)
    if words.what in ("bind", "rbind") and not words.by_descriptor:
        flags = words.flags()
        if flags.change_a_bind:
            yield a.Remount(words.target, flags.attributes, flags.keep_times, True)


def _is_shaped(words: MountWords) -> bool:
    """Whether something is done to the mount before it is attached, or to that very one thereafter."""
    if words.what in ("bind", "rbind"):
        return bool(words.words or words.recursive_names or words.kinds or words.idmapped)
    plain = words.superblock_words[-1:] == tuple(word for word in words.words if word in ("ro", "rw"))[-1:]
    return not words.what and bool(not plain or words.recursive_names or words.kinds or words.idmapped)


def _by_descriptor(words: MountWords) -> Iterator[a.Action]:
    tree = _TREE
    match words.what:
        case "bind" | "rbind":
            yield a.OpenTree(words.source, tree, True, words.what == "rbind")
        case "move":
            yield a.OpenTree(words.source, tree)
        case "kind":
            yield a.OpenTree(words.target, tree)
        case _:
            options = ",".join(filter(None, (words.options, *words.of_filesystem, "ro" if words.read_only else "")))
            yield a.NewDetachedMount(words.fstype, words.source, tree, 0, options, words.exclusive)
    changed = words.attribute_change()
    if any(changed):
        yield a.SetAttributesCall(tree, changed, None, False)
    if words.recursive_names:
        yield a.SetAttributesCall(tree, words.recursive_change())
    if words.subdirectory:
        yield a.OpenTree(f"{tree}/{words.subdirectory}", _PART, True, True)
        yield a.CloseDescriptor(tree)
        tree = _PART
    if words.what != "kind":
        yield a.AttachMount(tree, words.target, words.beneath)
    for kind, recursive in words.kinds:
        yield a.SetAttributesCall(tree, changed._replace(set=0, clear=0), kind, recursive)


def _remount(calls: ScriptCalls, words: MountWords) -> Iterator[a.Action]:
    target, shown = words.target, tuple[str, ...]()
    listed = _in_table(calls, words) if not words.source else None
    if listed is not None:
        target, words = listed.target, listed
    elif not words.source:  # only then mount(8) adds the options to those that are shown
        row = calls.row(target)
        if row is not None:
            target, shown = row.mountpoint, _shown(row)
    if words.by_descriptor:
        if not words.bind:
            if words.of_filesystem:
                told = f"mount: whether the filesystem takes {','.join(words.of_filesystem)} is not known"
                raise Unusable(told, "leave it out")
            read_only = words.superblock_words[-1:] or tuple(one for one in shown if one in ("ro", "rw"))[-1:]
            yield a.SetReadOnly(target, read_only == ("ro",), words.options)
        change = words.attribute_change(shown, resets=not words.bind)
        if any(change):
            yield a.SetAttributesCall(target, change, None, False)
    elif words.words or not words.recursive_names:
        flags = words.flags(frozenset(shown) - {"rw"})
        yield a.Remount(target, flags.attributes, flags.keep_times, words.bind, words.options)
    if words.recursive_names:
        yield a.SetAttributesCall(target, words.recursive_change())
    yield from _kinds(words, target)


def _in_table(calls: ScriptCalls, words: MountWords) -> MountWords | None:
    """A remount that names one place only takes the options of fstab before its own, if the place is there."""
    if calls.place(words.table or "/etc/fstab") is None:
        return None
    read = _line_of(calls, words, words.target)
    if read is None:
        return None
    if read.what == "bind" and not words.bind and words.by_descriptor:
        told = "mount: what a remount makes of `bind` in a table is known of util-linux 2.38 only"
        raise Unusable(told, "write the options out, with a source")
    # It takes `bind` away, which the table says of the mount, and not of the remount; `rbind` it leaves.
    return read._replace(what="remount", bind=words.bind or read.what == "rbind")


def _shown(row: MountRow) -> tuple[str, ...]:
    """Its options as the mount table has them."""
    names = [name for name in row.attributes.split(",") if name != "rw"]
    if row.options.partition(",")[0] == "ro" and "ro" not in names:
        names.append("ro")
    return tuple(names) if "ro" in names else ("rw", *names)


# --- what it is made from


def _with_device(calls: ScriptCalls, words: MountWords) -> MountWords:
    """The device that a tag names, a loop device for an image, and the type of what is on a device."""
    source = words.source
    if "=" in source and source.partition("=")[0] in DEVICE_TAGS:
        answer = calls.ask(f"findfs {source}")
        source = answer[0].strip() if answer is not None else ""
        if not source:
            command = f"findfs {words.source}".replace("=", "*")  # the sign would end it there
            told = f"which device {words.source} is, is not known"
            raise Unusable(f"mount: {told}", f"say it: --answer '{command}=/dev/sda1'")
        words = words._replace(source=source)
    if not words.fstype or words.fstype == "auto" or "," in words.fstype or words.fstype.startswith("no"):
        command = f"blkid -o value -s TYPE {source}"
        answer = calls.ask(command)
        found = answer[0].strip() if answer is not None else ""
        if not found:
            told = f"what type of filesystem {source} has is not known"
            raise Unusable(f"mount: {told}", f"say it: --answer '{command}=ext4', or write -t")
        words = words._replace(fstype=found)
        calls.told = ("-t", found)
    if not of(words.fstype).in_memory and (words.loop or (source.startswith("/") and _is_image(calls, source))):
        words = words._replace(source=calls.loop_device(source, words.loop), loop=())
    return words


def _is_image(calls: ScriptCalls, path: str) -> bool:
    place = calls.place(path)
    return place is not None and not place[1].is_directory


# --- tables of mounts


def _lines(calls: ScriptCalls, words: MountWords) -> list[tuple[str, str, str, str]]:
    """Source, target, type and options of each line of the table."""
    path = words.table or "/etc/fstab"
    try:
        text = calls.contents.read(calls.current, path)
    except WouldRefuse:
        text = None
    if text is None:
        raise Unusable(f"mount: what is in {path} is not known", f"give it: --file {path}=FILE")
    found = []
    for line in text.splitlines():
        fields = [unescape(field) for field in line.split()]
        if len(fields) > 1 and not fields[0].startswith("#"):
            filled = (*fields[:4], *("auto", "defaults")[len(fields) - 2 :]) if len(fields) < 4 else fields
            found.append((filled[0], filled[1], filled[2], filled[3]))
    return found


def _looked_up(calls: ScriptCalls, words: MountWords) -> MountWords:
    found = _line_of(calls, words, words.place)
    if found is None:
        raise Unusable(f"mount: {words.place} is not in {words.table or '/etc/fstab'}", "name source and target")
    return found


def _line_of(calls: ScriptCalls, words: MountWords, place: str) -> MountWords | None:
    """The first line of the table with this target, or this source."""
    path = calls.absolute(place)
    found = (one for one in _lines(calls, words) if calls.absolute(one[1]) == path or one[0] in (place, path))
    fields = next(found, None)
    return read_line(fields, words, calls.util_linux) if fields is not None else None


def _mount_all(calls: ScriptCalls, given: MountWords) -> int:
    """mount -a: what is there already when it begins is left as it is."""
    before = calls.rows()
    good = failed = 0
    for fields in _lines(calls, given):
        source, target, fstype, options = fields
        if fstype == "swap" or target in ("none", "swap") or (target in ("/", "root") and not given.prefix):
            continue
        if "noauto" in options.split(",") or not matches_type(fstype, given.types) or not _has(options, given.tests):
            continue
        words = read_line(fields, given, calls.util_linux)
        if _is_mounted(calls, words, before):
            continue
        if words.nofail and not _is_there(calls, source):
            good += 1
            continue
        if _mount_one(calls, words):
            failed += 1
        else:
            good += 1
    return 0 if not failed else _SOME_FAILED if good else FAILED


def _is_there(calls: ScriptCalls, source: str) -> bool:
    """`nofail` forgives only what a device is missing for."""
    return not source.startswith("/") or calls.place(source) is not None


def matches_type(fstype: str, types: str) -> bool:
    if not types:
        return True
    names = types.removeprefix("no").split(",")
    return (fstype in [name.removeprefix("no") for name in names]) != types.startswith("no")


def _has(options: str, tests: tuple[str, ...]) -> bool:
    """-O: all of these, and of those that begin with `no` none."""
    there = options.split(",")
    return all(
        (one.removeprefix("no") not in there) if one.startswith("no") and one not in there else one in there
        for one in filter(None, tests)
    )


def _is_mounted(calls: ScriptCalls, words: MountWords, rows: tuple[MountRow, ...]) -> bool:
    target = calls.absolute(words.target)
    there = [row for row in rows if row.mountpoint == target]
    if words.what not in ("bind", "rbind"):
        return any(row.source == words.source for row in there)
    place = calls.place(words.source)
    return place is not None and any((row.source, row.root) == (place[0].source, place[1].path) for row in there)


def told_by_mount(arguments: list[str]) -> str | None:
    """What mount -v says of a new filesystem that it has mounted; None of anything else."""
    words, paths, types = list(arguments), list[str](), ""
    while words:
        word = words.pop(0)
        if word in ("-t", "-o", "--types", "--options") and words:
            value = words.pop(0)
            types = value if word in ("-t", "--types") else types
            if word in ("-o", "--options") and not {"bind", "rbind", "move", "remount"}.isdisjoint(value.split(",")):
                return None
        elif not word.startswith("-"):
            paths.append(word)
        elif word not in ("-v", "--verbose", "-n", "-r", "-w", "--read-only", "--rw", "--read-write"):
            return None
    return f"mount: {paths[0]} mounted on {paths[1]}.\n" if types and len(paths) == 2 else None


def only_lists(arguments: list[str]) -> str | None:
    """Of which types mount(8) shows what is mounted, "" for all; None if it does something else."""
    if arguments and arguments[-1][:1] not in ("", "-") and arguments[-2:-1] not in (["-t"], ["--types"]):
        return None  # it names something, as nearly all do
    words = re.sub(r"(^|\0)(-t|--types)(?=\0[^\0]|[^\0])[\0=]?", r"\1-t", "\0".join(arguments)).split("\0")
    types = [word[2:] for word in words if word.startswith("-t")]
    if all(re.fullmatch("|-l|-v|--show-labels|--verbose|-t.*", one) for one in words) and len(types) < 2:
        return types[0] if types else ""
    return None


def only_looks(arguments: list[str]) -> bool:
    """Whether mount(8) shows what is mounted, or its version."""
    if only_lists(arguments) is not None:
        return True
    return all(re.fullmatch("-l|-v|--show-labels|--verbose|-V|--version|-h|--help", one) for one in arguments)

"""Checks of a new filesystem: does the kernel have its type, is its device there, are its options such as it takes?"""

from __future__ import annotations

from mountplan.planner import fstypes
from mountplan.planner.language.fstab_words import DEVICE_TAGS, instead_of_option
from mountplan.planner.language.values import octal_meant, shown
from mountplan.planner.resolve.draft import Context, Draft
from mountplan.planner.tables.layerpath import OF_LAYERS
from mountplan.planner.tables.options import OCTAL, Pairs, lower_and_data, value_meant

_KNOWN = sorted(row.name for row in fstypes.ROWS)
# The keys of a mount that say what options of an overlay say.
_FIELDS = dict(zip(OF_LAYERS, ("layers", "layers", "data_layers", "upper", "work"), strict=True)) | {"source": "source"}


def check_type(draft: Draft, fstype: str, context: Context) -> bool:
    """False, and a mistake, if the kernel has no filesystem of this type. That it cannot be known is no mistake."""
    if fstypes.of(fstype).everywhere or context.host.knows_filesystem(fstype) is not False:
        return True
    close = context.closest(fstype, _KNOWN) if fstype not in _KNOWN else ""
    if close and context.host.knows_filesystem(close) is False:
        close = ""  # or it is one that nobody can mount, as nsfs
    lists = "/proc/filesystems lists those that it has; a module may be missing"
    remedy = f'did you mean "{close}"?' if close else lists
    context.wrong(f"{draft.key}.type", f'this kernel has no filesystem "{fstype}"', remedy)
    return False


def check_device(draft: Draft, fstype: str, context: Context) -> None:
    """What is on a block device needs one, by its path; what is in a file takes a loop device: `image`."""
    spec, wrong = draft.spec, context.wrong
    if spec.image is not None and fstype in _KNOWN and not fstypes.of(fstype).on_device:
        remedy = "write the type that is in the image (file IMAGE tells what it is), or leave image out"
        wrong(f"{draft.key}.image", f"{fstype} is on no device, so nothing of an image would be seen", remedy)
    if fstypes.served_by_program(fstype):
        what = f"{fstype} is served by a program, and none is started for it here"
        wrong(f"{draft.key}.type", what, 'mount it on the host by that program, and write bind = "/host/path"')
    # An erofs may be in a cache.
    if not fstypes.of(fstype).on_device or spec.image is not None or "fsid" in spec.options:
        return
    if spec.source is None:
        what = f"{fstype} is on a block device or in an image file, and neither is named"
        wrong(draft.key, what, 'add image = "/path/of/the/image", or source = "/dev/NAME" for a block device')
        return
    key, source = f"{draft.key}.source", spec.source
    tag, equals, value = source.partition("=")
    if equals and tag in DEVICE_TAGS:
        what = f"{shown(source)} is no path of a device: mount(8) looks that up, the kernel does not"
        wrong(key, what, f'write source = "{DEVICE_TAGS[tag]}/{value}"')
    elif not source:
        wrong(key, "is empty", 'write source = "/dev/NAME", the path of a block device')
    elif source[0] != "/":
        wrong(key, f"{shown(source)} is no path of a device", f"write source = {shown('/dev/' + source)}")
    else:
        found = context.look(source, key, "name a block device that exists")
        if found is not None and found.kind == "file":
            what = f"{shown(source)} is a file, no block device"
            wrong(key, what, f"write image = {shown(source)} instead of source")
        elif found is not None and found.kind != "block":
            wrong(key, f"{shown(source)} is a {found.kind}, no block device", "name a block device")


def options_of(draft: Draft, context: Context) -> Pairs:
    """The options of a filesystem one by one, as the kernel takes them, without those that are mistakes."""
    pairs: list[tuple[str, str | bool]] = []
    key, wrong = f"{draft.key}.options.", context.wrong
    for name, value in draft.spec.options.items():
        instead = instead_of_option(name, value)
        if name in _FIELDS:
            wrong(key + name, f"{name} is not given as an option", f"write {_field_meant(name, value)} on the mount")
        elif value is False:
            remedy = "leave the option out, or name the one that undoes it"
            wrong(key + name, "false asks for nothing", remedy)
        elif instead:
            wrong(key + name, f"{name} is no option of a filesystem", instead)
        elif name in OCTAL and type(value) is int:
            remedy = f'write octal digits in a string: {name} = "{octal_meant(value) or "0755"}"'
            wrong(key + name, f"{value} is a number", remedy)
        elif isinstance(value, list) and len(value) > 1 and fstypes.takes_one(draft.spec.type or "", name):
            wrong(key + name, f"{name} is given {len(value)} times, and only the last counts", "keep one")
        elif isinstance(value, list):
            pairs += [(name, one) for one in value]
        else:
            pairs.append((name, value if value is True else str(value)))
    for one, other in fstypes.UNDOING:
        if draft.spec.options.get(one, False) is not False and draft.spec.options.get(other, False) is not False:
            wrong(key + other, f"{one} and {other} contradict each other", "leave one of them out")
    return tuple(pairs)


def _field_meant(name: str, value: object) -> str:
    """The field that stands for an option, as one would write it."""
    if not isinstance(value, str):
        return f"{_FIELDS[name]} = ..."
    lower, data = lower_and_data([value]) if name == "lowerdir" else ([value], [])
    words = f"[{', '.join(map(shown, lower))}]" if _FIELDS[name].endswith("layers") else shown(value)
    return f"{_FIELDS[name]} = {words}" + (f" and data_layers = [{', '.join(map(shown, data))}]" if data else "")


def ask_for_options(draft: Draft, options: Pairs, context: Context) -> None:
    """Tell each that the kernel says this type does not take, or that it is known to take for nothing."""
    fstype = draft.spec.type or ""
    key, wrong = f"{draft.key}.options.", context.wrong
    for name, one in options:
        if fstypes.is_ignored(fstype, name):
            close = context.closest(name, sorted(fstypes.of(fstype).takes))
            remedy = f'did you mean "{close}"?' if close else "leave it out"
            wrong(key + name, f"{fstype} has no such option: the kernel takes it, and ignores it", remedy)
            continue
        said = context.host.refused_option(fstype, name, one)
        if said:
            close = context.closest(name, fstypes.options_for(fstype, name, said))
            wrong(key + name, *fstypes.option_refused(said, close, value_meant(name, str(one))))

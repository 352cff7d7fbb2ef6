"""The rows of filesystem types, as one text; tests/kernel/test_fstypes.py tries each against the kernel at hand."""

from __future__ import annotations

from mountplan.planner import fstypes
from tests.planner.test_render import golden


def shown(value: object) -> str:
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    if isinstance(value, dict):
        return " ".join(f"{key}={word}" for key, word in value.items())
    return str(value)


def test_what_is_known_of_each_type_is_what_it_was() -> None:
    text = ""
    for row in fstypes.ROWS:
        usual = row.__class__("")
        said = [(name, getattr(row, name)) for name in row._fields if getattr(row, name) != getattr(usual, name)]
        text += "".join(f"{'' if name == 'name' else f'  {name}: '}{shown(value)}\n" for name, value in said)
    golden("fstypes.txt", text)


def test_of_what_is_no_row_nothing_is_known() -> None:
    row = fstypes.of("other")
    assert ("other", "opaque", False, False) == (row.name, row.inside, row.is_shared, row.may_be_tried)
    assert frozenset() == row.known_options


def test_options_are_those_of_the_type_of_each_or_of_a_security_module() -> None:
    assert "odd" == fstypes.not_taken("tmpfs", "size=1m,rw,source=a,context=b,odd,mode=1")
    assert ["", "", ""] == [
        fstypes.not_taken(fstype, options)
        for fstype, options in (("ramfs", "odd"), ("ext4", "odd"), ("tmpfs", 'context="a,b"'))
    ]
    assert [True, False, False, False] == [
        fstypes.is_ignored(*one) for one in (("ramfs", "odd"), ("ramfs", "mode"), ("ramfs", "sync"), ("tmpfs", "odd"))
    ]
    assert [True, True, False, False] == [
        fstypes.takes_one(*one)
        for one in (("tmpfs", "size"), ("debugfs", "uid"), ("bpf", "delegate_cmds"), ("ext4", "data"))
    ]
    assert ["mode"] == fstypes.options_for("ramfs", "moed", "Unknown parameter")
    assert [] == fstypes.options_for("ramfs", "moed", "Bad value for 'moed'")
    assert [] == fstypes.options_for("tmpfs", "usrquota", "Unknown parameter 'usrquota'")  # built without
    assert "mode" not in fstypes.options_for("tmpfs", "mode", "")


def test_a_filesystem_that_is_not_to_write_or_cannot_has_its_device_for_reading() -> None:
    assert [True, True, False, False] == [
        fstypes.only_reads(*one)
        for one in (("ext4", (("ro", True),)), ("squashfs", ()), ("ext4", ()), ("xfs", (("ro", "yes"),)))
    ]

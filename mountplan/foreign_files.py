"""Configurations of other programs: their files read, and what an import asks about this machine."""

from __future__ import annotations

import errno
import grp
import importlib
import json
import os
import pwd
import re
import stat
import sys
from typing import TYPE_CHECKING, Any

from mountplan.applier.observe.asked import unless_refused
from mountplan.inputs import label_of, read_input, reason_of
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.foreign.spec_draft import HostSharing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mountplan.planner.capture.captured import Captured
    from mountplan.planner.foreign.spec_draft import SpecDraft
    from mountplan.planner.tables.table import MountRow, MountTable, Walks


class MachineFacts:
    """ImportFacts of this machine, with the mount table that it shows, or `table`."""

    def __init__(self, table: MountTable | None = None) -> None:
        self._walks: Walks | None = None
        self._rows: tuple[MountRow, ...] = ()
        self._widest: dict[int, MountRow] = {}  # of each peer group, the mount that shows most
        self._table = table

    def sharing(self, path: str) -> HostSharing:
        from mountplan.planner.attributes import parse_shown

        row = self._seen().end_of(os.path.realpath(path))
        widest = self._widest.get(row.peer_group, row)
        wider = widest.mountpoint if row.peer_group and len(widest.root) < len(row.root) else ""
        return HostSharing(row.peer_group, row.master, row.mountpoint, wider, parse_shown(row.attributes))

    def is_mounted(self, source: str, target: str, *, bind: bool) -> bool:
        place, real = os.path.realpath(target), os.path.realpath(source)
        end = self._seen().end_of(real)
        shown = (end.device, f"{end.root.rstrip('/')}/{real[len(end.mountpoint) :].strip('/')}".rstrip("/") or "/")
        here = [row for row in self._rows if row.mountpoint == place]
        if bind:
            return shown in [(row.device, row.root) for row in here]
        return any(source == row.source or (source[:1] == "/" and real == row.source) for row in here)

    def _seen(self) -> Walks:
        from mountplan.applier.observe.observe import observe
        from mountplan.planner.tables.table import Walks

        if self._walks is None:
            table = self._table or observe()
            self._walks, self._rows = Walks(table), table.rows
            for row in table.rows:
                widest = self._widest.get(row.peer_group)
                if (widest is None or len(row.root) < len(widest.root)) and self._walks.end_of(row.mountpoint) is row:
                    self._widest[row.peer_group] = row
        return self._walks

    def kind(self, path: str) -> str:
        with unless_refused():
            return "directory" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
        return ""

    def link(self, path: str) -> str:
        with unless_refused():
            return os.readlink(path)
        return ""

    def number_of(self, kind: str, name: str) -> str:
        try:
            return str(pwd.getpwnam(name).pw_uid if kind == "uid" else grp.getgrnam(name).gr_gid)
        except KeyError:
            return ""

    def writable(self, path: str) -> bool:
        return os.access(path, os.W_OK)

    def real(self, path: str) -> str:
        found, own = os.path.realpath(path), f"/proc/{os.getpid()}/"
        return f"/proc/self/{found[len(own) :]}" if found.startswith(own) else found


def read_descriptor(number: str) -> bytes | None:
    """What a descriptor that this process was given holds; None if it has none of that number."""
    if not number.isdecimal() or int(number) <= 2:
        return None
    try:
        with open(int(number), "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return None


def imported(
    form: str, file: str, *, words: Sequence[str] = (), part: str = "", root: str = "", table: MountTable | None = None
) -> SpecDraft:
    """The draft of a spec from a configuration. `part` is a service or container, `root` a directory with its image.

    `table` is what to look sharing up in, if not in all that this process sees. Raises SpecError.
    """
    try:
        return _imported(form, file, MachineFacts(table), words=words, part=part, root=root)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise of_another_kind(file, error) from None


def settled(text: Callable[[], str], leave_out: Callable[[Sequence[Mistake]], bool], file: str) -> str:
    """The spec that `text` returns, once `leave_out` has left out of it what `check` refuses on this machine.

    Raises SpecError if that cannot be left out, and PlanRefused.
    """
    from mountplan import pipeline

    while True:
        spec = text()
        _, mistakes = pipeline.check_and_plan(spec.encode("utf-8", "surrogateescape"), file)
        if not mistakes:
            return spec
        if not leave_out(mistakes):  # there is no file yet that has these lines
            raise SpecError(tuple(one._replace(ref=SpecRef(file, one.ref.key)) for one in mistakes))


def of_another_kind(file: str, error: Exception, remedy: str = "hold it against the format's description") -> SpecError:
    """A configuration may have anything anywhere: a number for a list, a list for a table."""
    what = f"something in it is not of the kind that it must be: {type(error).__name__}: {error}"
    return SpecError((Mistake(SpecRef(file, ""), what, remedy),))


def _imported(form: str, file: str, facts: MachineFacts, *, words: Sequence[str], part: str, root: str) -> SpecDraft:
    if form == "bwrap":
        from mountplan.planner.foreign.bubblewrap import import_bwrap

        beyond: Sequence[str] = ()
        if file:
            from mountplan.bwrap_call import bwrap_call

            label, data = _contents(file)
            words, beyond = bwrap_call(data.decode("utf-8", "surrogateescape"), label)
        draft = import_bwrap(words, facts, read_descriptor, as_root=os.geteuid() == 0)
        for what in beyond:
            draft.cannot_say(what)
        return draft
    if form == "oci" and os.path.isdir(file):  # runtimes are given the bundle, too
        file = os.path.join(file, "config.json")
    label, data = _contents(file)
    folder = os.path.dirname(os.path.abspath(file)) if file != "-" else os.getcwd()
    text = data.decode("utf-8", "surrogateescape")
    if form == "fstab":
        from mountplan.planner.foreign.fstab import import_fstab

        return import_fstab(text, label, facts)
    if form == "systemd":
        from mountplan.planner.foreign.systemd_unit import import_systemd

        return import_systemd(text, label, facts, as_root=os.geteuid() == 0)
    if form == "compose":
        from mountplan.planner.foreign.compose import import_compose

        documents = _yaml(text, label)
        config = documents[0] if documents else None
        options: dict[str, Any] = {"variables": _variables(folder), "load": _first_document}
        return import_compose(config, label, folder, facts, service=part, root=root, **options)
    if form == "k8s":
        from mountplan.planner.foreign.kubernetes import import_kubernetes

        return import_kubernetes(_yaml(text, label), label, facts, container=part, root=root)
    from mountplan.planner.foreign.oci import import_oci

    return import_oci(_json(text, label), label, folder, facts, root=root)


def _contents(file: str) -> tuple[str, bytes]:
    try:
        return label_of(file), read_input(file)
    except (OSError, ValueError) as error:
        remedy = "name a file, or - for stdin"
        if file.startswith("bwrap "):
            remedy = f"write the command line after --: mountplan import bwrap -- {file}"
        mistake = Mistake(SpecRef(file, ""), f"cannot read it: {reason_of(error)}", remedy)
        raise SpecError((mistake,)) from None


def _first_document(path: str) -> Any:
    label, data = _contents(path)
    documents = _yaml(data.decode("utf-8", "surrogateescape"), label)
    return documents[0] if documents else None


def _variables(folder: str) -> dict[str, str]:
    """What Compose puts into its files: the lines of .env beside them, and the environment, which counts for more."""
    found: dict[str, str] = {}
    try:
        with open(os.path.join(folder, ".env"), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        lines = []
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("\"'")
    return found | dict(os.environ)


def read_json(file: str) -> Any:
    """What is in a JSON file. Raises SpecError."""
    label, data = _contents(file)
    return _json(data.decode("utf-8", "surrogateescape"), label)


def _json(text: str, label: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = SpecRef(label, "", getattr(error, "lineno", 0))
        what = f"is not JSON: {getattr(error, 'msg', error)}"
        raise SpecError((Mistake(place, what, "mend it, or name another file"),)) from None


def _yaml(text: str, label: str) -> list[Any]:
    """The documents of a YAML file. JSON is YAML, and needs no library."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        yaml: Any = importlib.import_module("yaml")  # an optional extra, which few need
    except ImportError:
        _may_look_for_modules()
        what = "it is YAML, and PyYAML is not installed"
        mistake = Mistake(SpecRef(label, ""), what, "pip install 'mountplan[yaml]', or hand it over as JSON")
        raise SpecError((mistake,)) from None
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        what = f"is not YAML: {getattr(error, 'problem', None) or error}"
        mistake = Mistake(SpecRef(label, "", mark.line + 1 if mark else 0), what, "mend it, or name another file")
        raise SpecError((mistake,)) from None


def _may_look_for_modules() -> None:
    """Raise what is refused to Python's own search for a module: it says of all that there is no such module."""
    for place in sys.path:
        with unless_refused():
            os.stat(place or ".")
            os.listdir(place or ".")


def imported_dump(place: str, *, root: str = "", name: str = "") -> Captured:
    """The mounts in a dump of CRIU's: `place` is its directory, an image, or a decoded one. Raises SpecError."""
    from mountplan.planner.foreign.criu_images import import_criu

    paths = [place]
    if os.path.isdir(place):
        names = sorted(os.listdir(place))
        paths = [os.path.join(place, one) for one in names if re.fullmatch(r"mountpoints-\d+\.(img|json)", one)]
        decoded = {os.path.splitext(one)[0] for one in paths if one.endswith(".json")}
        paths = [one for one in paths if one.endswith(".json") or os.path.splitext(one)[0] not in decoded]
    names = ["dump" if path == "-" else os.path.splitext(os.path.basename(path))[0] for path in paths]
    images = [(one, _decoded(path)) for one, path in zip(names, paths, strict=True)]
    try:
        return import_criu(images, label_of(place), root=root, name=name)
    except (AttributeError, KeyError, LookupError, TypeError, ValueError) as error:
        raise of_another_kind(place, error, "dump it again with this machine's criu") from None


def _decoded(path: str) -> Any:
    """The values of an image, by what Debian's package criu ships: crit. (The crit of PyPI is another program.)"""
    label, data = _contents(path)
    if data[:1] in (b"{", b"["):
        return _json(data.decode("utf-8", "surrogateescape"), label)
    import shutil
    import subprocess

    crit = shutil.which("crit")
    if crit is None:
        remedy = "install criu (apt install criu), or decode it where it is: crit show IMAGE >IMAGE.json"
        raise SpecError((Mistake(SpecRef(label, ""), "there is no crit to decode it", remedy),))
    # crit looks for the other images of a dump beside the one it is given, so that must be where it is.
    source = "/dev/stdin" if path == "-" else path
    given = data if path == "-" else b""
    ended = subprocess.run([crit, "show", source], input=given, capture_output=True, check=False)
    if ended.returncode:
        words = ended.stderr.decode(errors="replace").strip().splitlines()
        what = f"crit cannot decode it: {words[-1] if words else 'it says nothing'}"
        raise SpecError((Mistake(SpecRef(label, ""), what, "name an image of a dump"),))
    return _json(ended.stdout.decode("utf-8", "surrogateescape"), label)

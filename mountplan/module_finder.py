"""Finds mountplan's modules in a fraction of the time that Python takes for it, as a command loads a hundred of them.

Python asks every finder, lists directories, tries what a module may be called, looks at a file three times, and reads
it in two parts. Here a name leads to one file and that to its .pyc, which is taken on Python's own terms: if it was
made by this Python, of a source of this age and size. Whatever is different (no .pyc yet, or one that is of another
source, or tells its hash, or lies elsewhere, or a source in an archive) is left to Python, which finds it as ever.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]
from marshal import loads
from os import open as open_untold  # as it is before --verbose, which tells of what mountplan does to mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

_PACKAGE = "mountplan."
_BEGINS = MAGIC_NUMBER + bytes(4)  # and then time and size of the source


class _Loader(SourceFileLoader):
    """Python's own, but for the code, which is there already."""

    code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        code, self.code = self.code, None
        return code or super().get_code(fullname)


class ModuleFinder:
    """For sys.meta_path. `suffix` is how the name of a .pyc goes on after the module's."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(_PACKAGE) or not path:
            return None
        within, last = path[0], name.rpartition(".")[2]
        return self._found(name, within, last) or self._found(name, f"{within}/{last}", "__init__", is_package=True)

    def _found(self, name: str, folder: str, file: str, *, is_package: bool = False) -> ModuleSpec | None:
        source, cached = f"{folder}/{file}.py", f"{folder}/__pycache__/{file}{self._suffix}"
        try:
            fd = open_untold(cached, os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.read(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)
            of_source = os.stat(source)
        except OSError:
            return None
        numbers = (int(of_source.st_mtime), of_source.st_size)
        if data[:16] != _BEGINS + b"".join((one & 0xFFFFFFFF).to_bytes(4, "little") for one in numbers):
            return None
        loader = _Loader(name, source)
        try:
            loader.code = loads(memoryview(data)[16:])
        except (EOFError, ValueError, TypeError):
            return None
        _fix_co_filename(loader.code, source)
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location = True
        spec.cached = cached
        if is_package:
            spec.submodule_search_locations = [folder]
        return spec


def find_modules_sooner() -> None:
    """In this process, from now on."""
    place, _, suffix = str(__spec__ and __spec__.cached).rpartition("/module_finder")
    if place == f"{os.path.dirname(__file__)}/__pycache__":
        sys.meta_path.insert(0, ModuleFinder(suffix))

"""What finds modules sooner finds what Python finds, whatever became of a file."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan import module_finder

TELL = """
import sys
if sys.argv[1:] == ["sooner"]:
    from mountplan.module_finder import find_modules_sooner
    find_modules_sooner()
import traceback
try:
    import mountplan.room, mountplan.room.one
    for module in (mountplan.room, mountplan.room.one):
        spec = module.__spec__
        print(spec.name, spec.origin, spec.cached, spec.parent, spec.has_location, spec.submodule_search_locations)
        print(module.__file__, module.__package__, getattr(module, "__path__", None), __debug__)
        print(repr(spec.loader.get_source(spec.name)), spec.loader.get_filename(), spec.loader.is_package(spec.name))
        print(module.where.__code__.co_filename, spec.loader.get_code(spec.name) == spec.loader.get_code(spec.name))
    mountplan.room.one.where()
except Exception:
    print(traceback.format_exc())
"""
SOURCE = "def where():\n    raise ValueError(1)\n"


def tree(folder: Path) -> Path:
    """A small mountplan, which has been imported once; the path of a module's source."""
    (folder / "mountplan/room").mkdir(parents=True)
    (folder / "mountplan/__init__.py").touch()
    shutil.copy(module_finder.__file__, folder / "mountplan")
    for name in ("__init__", "one"):
        (folder / f"mountplan/room/{name}.py").write_text(SOURCE)
    assert compileall.compile_dir(folder, quiet=1)
    return folder / "mountplan/room/one.py"


def cached(source: Path) -> Path:
    return next((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))


def nothing(source: Path) -> None:
    pass


def edited(source: Path) -> None:
    source.write_text(SOURCE.replace("1", "12"))


def edited_to_the_same_size(source: Path) -> None:
    source.write_text(SOURCE.replace("1", "2"))
    os.utime(source, (0, 1_000_000_000))


def removed(source: Path) -> None:
    source.unlink()


def never_compiled(source: Path) -> None:
    shutil.rmtree(source.parent / "__pycache__")


def torn(source: Path) -> None:
    place = cached(source)
    place.write_bytes(place.read_bytes()[:-9])


def empty(source: Path) -> None:
    cached(source).write_bytes(b"")


def of_another_python(source: Path) -> None:
    place = cached(source)
    place.write_bytes(b"\0\0\r\n" + place.read_bytes()[4:])


def with_a_hash(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    edited_to_the_same_size(source)


def compiled_elsewhere(source: Path) -> None:
    py_compile.compile(str(source), dfile="/elsewhere/one.py")


def in_an_archive(source: Path) -> None:
    root = source.parents[2]
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for path in sorted((root / "mountplan").rglob("*.py")):
            archive.write(path, path.relative_to(root))
    shutil.rmtree(root / "mountplan")


def told(root: Path, change: Callable[[Path], None], options: tuple[str, ...], *words: str) -> str:
    """What a program says that imports from such a tree after a change of it."""
    shutil.rmtree(root, ignore_errors=True)
    change(tree(root))
    code = f"import sys; sys.path[:0] = {[str(root), f'{root}/all.zip']}\n{TELL}"
    command = [sys.executable, "-I", "-S", *options, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("options", [(), ("-O",), ("-B",)], ids=str)
@pytest.mark.parametrize(
    "change",
    [nothing, edited, edited_to_the_same_size, removed, never_compiled, torn, empty, of_another_python, with_a_hash,
     compiled_elsewhere, in_an_archive],
)  # fmt: skip
def test_what_is_found_is_what_python_finds(
    tmp_path: Path, change: Callable[[Path], None], options: tuple[str, ...]
) -> None:
    by_python = told(tmp_path / "root", change, options)
    assert by_python == told(tmp_path / "root", change, options, "sooner")
    assert "Error" in by_python


def test_what_is_kept_elsewhere_is_found_there(tmp_path: Path) -> None:
    options = ("-X", f"pycache_prefix={tmp_path}/prefix")
    by_python = told(tmp_path / "root", nothing, options)
    assert by_python == told(tmp_path / "root", nothing, options, "sooner")
    assert f"{tmp_path}/prefix" in by_python


@pytest.mark.parametrize(("words", "sooner"), [(["--version"], False), (["example"], True)])
def test_commands_that_load_much_find_it_sooner(words: list[str], sooner: bool) -> None:
    code = f"import sys; from mountplan.__main__ import main; main({words}); print(sys.meta_path[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sooner == ("ModuleFinder" in done.stdout.splitlines()[-1])

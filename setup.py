"""What pyproject.toml cannot say: the links of a checkout, the man pages and completions that a wheel brings, and what
is built from C where there is a compiler.

Man pages and completions are made from the parsers of the command line, as `--help` is; they are written to build/share
when something is built, and installed below share/, where man(1) and the shells look.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent
COMPLETIONS = {
    "bash": "bash-completion/completions/mountplan",
    "zsh": "zsh/site-functions/_mountplan",
    "fish": "fish/vendor_completions.d/mountplan.fish",
}


def link() -> None:
    """An archive of the sources has no links; docs/adr/0002 has why a checkout has them."""
    for name in ("planner", "applier", "specs"):
        place = HERE / "mountplan" / name
        if not place.exists():
            place.symlink_to(f"../{name}")


def share() -> list[tuple[str, list[str]]]:
    """Write all that goes below share/; setuptools' data_files."""
    sys.path.insert(0, str(HERE))
    from mountplan.cli.completions import completion
    from mountplan.cli.man_pages import man_pages
    from mountplan.cli.parser import make_parser

    files = {f"man/man1/{name}": text for name, text in man_pages(make_parser()).items()}
    files |= {place: completion(make_parser(), shell) for shell, place in COMPLETIONS.items()}
    found = []
    for name, text in files.items():
        path = HERE / "build/share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        found.append((f"share/{os.path.dirname(name)}", [str(path.relative_to(HERE))]))
    return found


# Many calls at once (applier/sys/call_program.py), and many texts (planner/tables/columns.py). Optional: where they
# cannot be compiled, it is done one by one. One build does for all versions of Python. MOUNTPLAN_PURE=1 leaves them
# out, for a wheel that does for all machines.
PURE = os.environ.get("MOUNTPLAN_PURE") == "1"
FROM_C = [
    Extension(
        f"mountplan.{name.replace('/', '.')}",
        [f"{name}.c"],
        optional=True,
        py_limited_api=True,
        extra_compile_args=["-O2"],
    )
    for name in ("applier/sys/_loop", "planner/tables/_columns")
]

link()
BUILDS = {"bdist_wheel", "editable_wheel", "install"}
setup(
    data_files=share() if BUILDS & set(sys.argv) else [],
    ext_modules=[] if PURE else FROM_C,
    options={} if PURE else {"bdist_wheel": {"py_limited_api": "cp311"}},
)

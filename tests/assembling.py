"""The trampoline's machine code from its source: applier/process/assembler -> the text of machinecode.py beside it.

python -m tests.assembling writes that module anew, for all machines whose binutils are installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from mountplan.applier.process.machinecode import IMAGES
from tests.hosts import CHECKOUT

SOURCES = CHECKOUT / "applier" / "process" / "assembler"
MODULE = CHECKOUT / "applier" / "process" / "machinecode.py"


class Target(NamedTuple):
    """How to assemble for a machine, and how to run what comes of it elsewhere."""

    prefix: str  # of the names of its binutils
    options: tuple[str, ...] = ()
    emulator: str = ""


TARGETS = {
    "x86_64": Target("x86_64-linux-gnu-", ("--64",), "qemu-x86_64"),
    "i386": Target("i686-linux-gnu-", ("--32",), "qemu-i386"),
    "aarch64": Target("aarch64-linux-gnu-", (), "qemu-aarch64"),
    "arm": Target("arm-linux-gnueabihf-", (), "qemu-arm"),
    "riscv64": Target("riscv64-linux-gnu-", (), "qemu-riscv64"),
    "ppc64le": Target("powerpc64le-linux-gnu-", ("-a64", "-mlittle"), "qemu-ppc64le"),
    "ppc64": Target("powerpc64-linux-gnu-", ("-a64", "-mbig"), "qemu-ppc64"),
    "s390x": Target("s390x-linux-gnu-", (), "qemu-s390x"),
    "loongarch64": Target("loongarch64-linux-gnu-", (), "qemu-loongarch64"),
}


def missing(machine: str) -> str:
    """A program that it takes to assemble for a machine and that is not here; "" if all are."""
    prefix = TARGETS[machine].prefix
    return next((name for name in (f"{prefix}as", f"{prefix}ld", f"{prefix}objcopy") if not shutil.which(name)), "")


def assemble(machine: str) -> bytes:
    """Header and code, as the assembler makes them."""
    target = TARGETS[machine]
    with tempfile.TemporaryDirectory() as folder:
        made, linked, image = (f"{folder}/{name}" for name in ("made.o", "linked", "image"))
        _do(f"{target.prefix}as", *target.options, "-I", str(SOURCES), "-o", made, str(SOURCES / f"{machine}.s"))
        _do(f"{target.prefix}ld", "--no-warn-rwx-segments", "-Ttext=0", "-e", "0", "-o", linked, made)
        _do(f"{target.prefix}objcopy", "-O", "binary", "-j", ".text", linked, image)
        return Path(image).read_bytes()


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def module_text(images: dict[str, bytes]) -> str:
    """The module that holds `images`."""
    lines = [
        '"""The trampoline in machine code: ELF header and code for each machine, assembled from assembler/*.s.',
        "",
        "python -m tests.assembling writes this module; the tests assemble the sources and compare.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "SIZE = 512  # of an image; zeros at its end are left out below",
        "IMAGES = {",
    ]
    for machine, image in images.items():
        text = image.rstrip(b"\0").hex()
        lines += [
            f'    "{machine}": (',
            *(f'        "{text[at : at + 100]}"' for at in range(0, len(text), 100)),
            "    ),",
        ]
    return "\n".join((*lines, "}", ""))


def main() -> None:
    images = {machine: bytes.fromhex(IMAGES[machine]).ljust(512, b"\0") for machine in TARGETS if machine in IMAGES}
    images |= {machine: assemble(machine) for machine in TARGETS if not missing(machine)}
    MODULE.write_text(module_text({machine: images[machine] for machine in TARGETS if machine in images}))


if __name__ == "__main__":
    main()

# The trampoline for ppc64le; x86_64.s tells what it does.
        .set ENDIAN, 1
        .include "ppc64.inc"

# The trampoline for ppc64; x86_64.s tells what it does.
        .set ENDIAN, 2
        .include "ppc64.inc"

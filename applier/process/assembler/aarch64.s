# The trampoline for aarch64; x86_64.s tells what it does.
        .set BITS, 64
        .set ENDIAN, 1
        .set MACHINE, 183
        .set FLAGS, 0
        .set PAGE, 0x10000
        .include "image.inc"

        ldr x20, [sp]                   // argc
        add x21, sp, #8                 // argv
        add x22, x21, x20, lsl #3
        add x22, x22, #8                // envp
        adr x19, image
        ldr w23, [x19, #REPORT]
        mov w0, w23                     // fcntl(report, F_SETFD, FD_CLOEXEC)
        mov x1, #2
        mov x2, #1
        mov x8, #25
        svc #0
        tbnz x0, #63, itself
        ldr w24, [x19, #NOTED]
        ldr w25, [x19, #FIRST]
        cbz w25, wait
attempt:
        add x25, x25, x19
        ldr w0, [x25, #ATTEMPT_PATH]    // execve(path, argv, envp)
        add x0, x0, x19
        mov x1, x21
        mov x2, x22
        mov x8, #221
        svc #0
        neg x0, x0
        cmp x0, #255
        csel x0, x0, xzr, ls
        add x0, x25, x0, lsl #2
        ldr w26, [x0, #ATTEMPT_FAILURES]
        add x0, x19, x26
        ldr w0, [x0, #FAILURE_FINAL]
        cbnz w0, final
        cmp w24, #0
        csel w24, w26, w24, eq
        ldr w25, [x25, #ATTEMPT_NEXT]
        cbnz w25, attempt
        b tell
final:
        mov w24, w26
tell:
        add x24, x24, x19
        mov w0, w23                     // write(report, text, length)
        add x1, x24, #FAILURE_TEXT
        ldr w2, [x24, #FAILURE_LENGTH]
        mov x8, #64
        svc #0
        ldr w0, [x24, #FAILURE_STATUS]
        b exit
itself:
        mov x0, #2                      // write(2, text, length)
        ldr w1, [x19, #ITSELF]
        add x1, x1, x19
        ldr w2, [x19, #ITSELF_LENGTH]
        mov x8, #64
        svc #0
        mov x0, #126
exit:
        mov x8, #94                     // exit_group(status)
        svc #0
wait:
        mov x0, #4                      // prctl(PR_SET_DUMPABLE, 0)
        mov x1, #0
        mov x8, #167
        svc #0
        mov w0, w23                     // read(report, below the stack, 64)
        sub x1, sp, #256
        mov x2, #64
        mov x8, #63
        svc #0
        mov x0, #0
        b exit
        .org SIZE

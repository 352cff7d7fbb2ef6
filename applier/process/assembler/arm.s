# The trampoline for arm, EABI; x86_64.s tells what it does.
        .set BITS, 32
        .set ENDIAN, 1
        .set MACHINE, 40
        .set FLAGS, 0x05000000          @ EF_ARM_EABI_VER5: without it the kernel takes it for the ABI before
        .set PAGE, 0x10000
        .include "image.inc"
        .arm

        ldr r4, [sp]                    @ argc
        add r5, sp, #4                  @ argv
        add r6, r5, r4, lsl #2
        add r6, r6, #4                  @ envp
        adr r8, image
        ldr r9, [r8, #REPORT]
        mov r0, r9                      @ fcntl(report, F_SETFD, FD_CLOEXEC)
        mov r1, #2
        mov r2, #1
        mov r7, #55
        svc #0
        cmp r0, #0
        blt itself
        ldr r10, [r8, #NOTED]
        ldr r4, [r8, #FIRST]
        cmp r4, #0
        beq wait
attempt:
        add r4, r4, r8
        ldr r0, [r4, #ATTEMPT_PATH]     @ execve(path, argv, envp)
        add r0, r0, r8
        mov r1, r5
        mov r2, r6
        mov r7, #11
        svc #0
        rsb r0, r0, #0
        cmp r0, #255
        movhi r0, #0
        add r0, r4, r0, lsl #2
        ldr r11, [r0, #ATTEMPT_FAILURES]
        add r0, r8, r11
        ldr r0, [r0, #FAILURE_FINAL]
        cmp r0, #0
        bne final
        cmp r10, #0
        moveq r10, r11
        ldr r4, [r4, #ATTEMPT_NEXT]
        cmp r4, #0
        bne attempt
        b tell
final:
        mov r10, r11
tell:
        add r10, r10, r8
        mov r0, r9                      @ write(report, text, length)
        add r1, r10, #FAILURE_TEXT
        ldr r2, [r10, #FAILURE_LENGTH]
        mov r7, #4
        svc #0
        ldr r0, [r10, #FAILURE_STATUS]
        b exit
itself:
        mov r0, #2                      @ write(2, text, length)
        ldr r1, [r8, #ITSELF]
        add r1, r1, r8
        ldr r2, [r8, #ITSELF_LENGTH]
        mov r7, #4
        svc #0
        mov r0, #126
exit:
        mov r7, #248                    @ exit_group(status)
        svc #0
wait:
        mov r0, #4                      @ prctl(PR_SET_DUMPABLE, 0)
        mov r1, #0
        mov r7, #172
        svc #0
        mov r0, r9                      @ read(report, below the stack, 64)
        sub r1, sp, #256
        mov r2, #64
        mov r7, #3
        svc #0
        mov r0, #0
        b exit
        .org SIZE

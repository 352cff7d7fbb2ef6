# The trampoline for s390x; x86_64.s tells what it does.
        .set BITS, 64
        .set ENDIAN, 2
        .set MACHINE, 22
        .set FLAGS, 0
        .set PAGE, 0x1000
        .include "image.inc"

        lg %r6, 0(%r15)                 # argc
        la %r7, 8(%r15)                 # argv
        sllg %r6, %r6, 3
        la %r8, 8(%r6,%r7)              # envp
        larl %r9, image
        llgf %r10, REPORT(%r9)
        lgr %r2, %r10                   # fcntl(report, F_SETFD, FD_CLOEXEC)
        lghi %r3, 2
        lghi %r4, 1
        svc 55
        ltgr %r2, %r2
        jl itself
        llgf %r11, NOTED(%r9)
        llgf %r12, FIRST(%r9)
        ltgr %r12, %r12
        je wait
attempt:
        agr %r12, %r9
        llgf %r2, ATTEMPT_PATH(%r12)    # execve(path, argv, envp)
        agr %r2, %r9
        lgr %r3, %r7
        lgr %r4, %r8
        svc 11
        lcgr %r2, %r2
        lghi %r3, 255
        clgr %r2, %r3
        jnh known
        lghi %r2, 0
known:
        sllg %r2, %r2, 2
        llgf %r13, ATTEMPT_FAILURES(%r2,%r12)
        llgf %r2, FAILURE_FINAL(%r13,%r9)
        ltgr %r2, %r2
        jne final
        ltgr %r11, %r11
        jne go_on
        lgr %r11, %r13
go_on:
        llgf %r12, ATTEMPT_NEXT(%r12)
        ltgr %r12, %r12
        jne attempt
        j tell
final:
        lgr %r11, %r13
tell:
        agr %r11, %r9
        lgr %r2, %r10                   # write(report, text, length)
        la %r3, FAILURE_TEXT(%r11)
        llgf %r4, FAILURE_LENGTH(%r11)
        svc 4
        llgf %r2, FAILURE_STATUS(%r11)
        j exit
itself:
        lghi %r2, 2                     # write(2, text, length)
        llgf %r3, ITSELF(%r9)
        agr %r3, %r9
        llgf %r4, ITSELF_LENGTH(%r9)
        svc 4
        lghi %r2, 126
exit:
        svc 248                         # exit_group(status)
wait:
        lghi %r2, 4                     # prctl(PR_SET_DUMPABLE, 0)
        lghi %r3, 0
        svc 172
        lgr %r2, %r10                   # read(report, below the stack, 64)
        lay %r3, -256(%r15)
        lghi %r4, 64
        svc 3
        lghi %r2, 0
        j exit
        .org SIZE

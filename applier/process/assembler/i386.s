# The trampoline for i386; x86_64.s tells what it does.
        .set BITS, 32
        .set ENDIAN, 1
        .set MACHINE, 3
        .set FLAGS, 0
        .set PAGE, 0x1000
        .include "image.inc"

        call here
here:
        popl %esi
        subl $here - image, %esi        # the image
        movl REPORT(%esi), %ebx
        movl $2, %ecx
        movl $1, %edx
        movl $55, %eax                  # fcntl(report, F_SETFD, FD_CLOEXEC)
        int $0x80
        testl %eax, %eax
        js itself
        movl NOTED(%esi), %ebp
        movl FIRST(%esi), %edi
        testl %edi, %edi
        je wait
attempt:
        addl %esi, %edi
        movl ATTEMPT_PATH(%edi), %ebx   # execve(path, argv, envp)
        addl %esi, %ebx
        movl (%esp), %eax
        leal 4(%esp), %ecx
        leal 8(%esp,%eax,4), %edx
        movl $11, %eax
        int $0x80
        negl %eax
        cmpl $255, %eax
        jbe known
        xorl %eax, %eax
known:
        movl ATTEMPT_FAILURES(%edi,%eax,4), %eax
        cmpl $0, FAILURE_FINAL(%esi,%eax)
        jne final
        testl %ebp, %ebp
        jne go_on
        movl %eax, %ebp
go_on:
        movl ATTEMPT_NEXT(%edi), %edi
        testl %edi, %edi
        jne attempt
        jmp tell
final:
        movl %eax, %ebp
tell:
        addl %esi, %ebp
        movl REPORT(%esi), %ebx         # write(report, text, length)
        leal FAILURE_TEXT(%ebp), %ecx
        movl FAILURE_LENGTH(%ebp), %edx
        movl $4, %eax
        int $0x80
        movl FAILURE_STATUS(%ebp), %ebx
        jmp exit
itself:
        movl $2, %ebx                   # write(2, text, length)
        movl ITSELF(%esi), %ecx
        addl %esi, %ecx
        movl ITSELF_LENGTH(%esi), %edx
        movl $4, %eax
        int $0x80
        movl $126, %ebx
exit:
        movl $252, %eax                 # exit_group(status)
        int $0x80
wait:
        movl $172, %eax                 # prctl(PR_SET_DUMPABLE, 0)
        movl $4, %ebx
        xorl %ecx, %ecx
        int $0x80
        movl $3, %eax                   # read(report, below the stack, 64)
        movl REPORT(%esi), %ebx
        leal -256(%esp), %ecx
        movl $64, %edx
        int $0x80
        xorl %ebx, %ebx
        jmp exit
        .org SIZE

# The trampoline: the program by which commands are started in a tree.
#
# A process that calls execve(2) is, until that has succeeded, what /proc/self/exe names; and what is executed may lead
# there: as a symlink, as the interpreter of a script, as the PT_INTERP of an ELF file. If it is this program that calls,
# they get hold of this program, and not of the host's Python. It tries one path after the other, with the arguments and
# the environment that it has itself, and tells what it was given to tell for the errno that the kernel answered.
#
# Without an attempt it does nothing until REPORT can be read, and ends: that is what process 1 of kept namespaces turns
# into, which shall be nothing of the host's either. Then nobody gets hold of it but those who may trace all that is in
# there.
#
# Its mark is the descriptor REPORT: open, when mountplan starts it, and closed when it comes to itself in such a way.
        .set BITS, 64
        .set ENDIAN, 1
        .set MACHINE, 62
        .set FLAGS, 0
        .set PAGE, 0x1000
        .include "image.inc"

        movl (%rsp), %eax               # argc
        leaq 8(%rsp), %r12              # argv
        leaq 8(%r12,%rax,8), %r13       # envp
        leaq image(%rip), %rbx
        movl REPORT(%rbx), %r14d
        movl $72, %eax                  # fcntl(report, F_SETFD, FD_CLOEXEC)
        movl %r14d, %edi
        movl $2, %esi
        movl $1, %edx
        syscall
        testq %rax, %rax
        js itself
        movl NOTED(%rbx), %r15d
        movl FIRST(%rbx), %ebp
        testl %ebp, %ebp
        je wait
attempt:
        addq %rbx, %rbp
        movl ATTEMPT_PATH(%rbp), %edi   # execve(path, argv, envp)
        addq %rbx, %rdi
        movq %r12, %rsi
        movq %r13, %rdx
        movl $59, %eax
        syscall
        negl %eax
        cmpl $255, %eax
        jbe known
        xorl %eax, %eax
known:
        movl ATTEMPT_FAILURES(%rbp,%rax,4), %eax
        cmpl $0, FAILURE_FINAL(%rbx,%rax)
        jne final
        testl %r15d, %r15d
        jne go_on
        movl %eax, %r15d
go_on:
        movl ATTEMPT_NEXT(%rbp), %ebp
        testl %ebp, %ebp
        jne attempt
        jmp tell
final:
        movl %eax, %r15d
tell:
        addq %rbx, %r15
        movl %r14d, %edi                # write(report, text, length)
        leaq FAILURE_TEXT(%r15), %rsi
        movl FAILURE_LENGTH(%r15), %edx
        movl $1, %eax
        syscall
        movl FAILURE_STATUS(%r15), %edi
        jmp exit
itself:
        movl $2, %edi                   # write(2, text, length)
        movl ITSELF(%rbx), %esi
        addq %rbx, %rsi
        movl ITSELF_LENGTH(%rbx), %edx
        movl $1, %eax
        syscall
        movl $126, %edi
exit:
        movl $231, %eax                 # exit_group(status)
        syscall
wait:
        movl $157, %eax                 # prctl(PR_SET_DUMPABLE, 0)
        movl $4, %edi
        xorl %esi, %esi
        syscall
        xorl %eax, %eax                 # read(report, below the stack, 64)
        movl %r14d, %edi
        leaq -256(%rsp), %rsi
        movl $64, %edx
        syscall
        xorl %edi, %edi
        jmp exit
        .org SIZE

/*
 * The most memory that one process of a command had.
 *
 *     memory FILE COMMAND...    runs the command, writes kilobytes to FILE, and ends as the command did, or with 1
 *
 * To the kernel a process has had what it had before execve(2) as well, which is what its parent has: so who starts a
 * command to ask for its memory must be small.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status;
    struct rusage used;
    FILE *file;
    pid_t child = argc > 2 ? fork() : -1;

    if (child == 0) {
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || getrusage(RUSAGE_CHILDREN, &used) < 0)
        return 1;
    file = fopen(argv[1], "w");
    if (file == NULL || fprintf(file, "%ld\n", used.ru_maxrss) < 0 || fclose(file) != 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

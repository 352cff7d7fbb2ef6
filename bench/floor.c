/*
 * The floor under `execute`: replays a tape of system calls (bench/floor.py writes it) and prints how long that took.
 *
 *     floor TAPE        prints nanoseconds from before the first call to after the last, by the clock and of CPU time,
 *                       then the number of calls
 *
 * The calls are those that applier/execute.py makes for the same plan, in the same order, with the same arguments; only
 * the descriptors are its own. Nothing is computed between them, so no other way to make these calls can be faster.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The numbers of the new mount API are the same everywhere; older headers lack some of them. */
enum { NR_OPEN_TREE = 428, NR_MOVE_MOUNT = 429, NR_FSOPEN = 430, NR_FSCONFIG = 431, NR_FSMOUNT = 432, NR_OPENAT2 = 437,
       NR_MOUNT_SETATTR = 442 };

enum op { UNSHARE, UMASK, MOUNT, OPEN, OPEN_TREE, FSOPEN, FSCONFIG, FSMOUNT, SETATTR, MOVE_MOUNT, MKDIR, CLOSE, PIVOT,
          SETNS, CHROOT, OPENAT2, FSTAT };

/* One call. `made` and `fd` and `to` are numbers on the tape, which stand for descriptors; -1 is none, -100 AT_FDCWD. */
struct call {
	int32_t op, made, fd, to;
	uint32_t flags;
	uint16_t value, size; /* where the second string begins in `text`, 0 for none; the length of `text`, padded to 8 */
	uint64_t attributes[4]; /* struct mount_attr, or of three struct open_how */
	char text[];
};

#define DESCRIPTORS 4096
static int descriptors[DESCRIPTORS];

static int real(int32_t number)
{
	return number < 0 ? number : descriptors[number];
}

/* statx(2) rather than stat(2): the id of a mount is in stx_mnt_id alone. */
static uint64_t mount_id(int dirfd, const char *path)
{
	struct statx found;

	if (statx(dirfd, path, AT_NO_AUTOMOUNT | (*path ? 0 : AT_EMPTY_PATH), 0x1000 /* STATX_MNT_ID */, &found) < 0)
		return 0;
	return found.stx_mnt_id;
}

static long pivot(int root, int top)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -1;
	uint64_t wanted = mount_id(top, "");
	while (mount_id(AT_FDCWD, "/..") != wanted)
		if (umount2("/..", MNT_DETACH) < 0)
			return -1;
	return 0;
}

static long make(const struct call *call)
{
	struct stat found;
	const char *value = call->value ? call->text + call->value : NULL;

	switch ((enum op)call->op) {
	case UNSHARE:
		return unshare(call->flags);
	case UMASK:
		return umask(call->flags), 0;
	case MOUNT:
		return mount(NULL, call->text, NULL, call->flags, NULL);
	case OPEN:
		return openat(real(call->fd), call->text, call->flags);
	case FSTAT:
		return fstat(real(call->fd), &found);
	case OPENAT2:
		return syscall(NR_OPENAT2, real(call->fd), call->text, call->attributes, 3 * sizeof *call->attributes);
	case OPEN_TREE:
		return syscall(NR_OPEN_TREE, real(call->fd), call->text, call->flags);
	case FSOPEN:
		return syscall(NR_FSOPEN, call->text, call->flags);
	case FSCONFIG:
		return syscall(NR_FSCONFIG, real(call->fd), call->flags, *call->text ? call->text : NULL, value, 0);
	case FSMOUNT:
		return syscall(NR_FSMOUNT, real(call->fd), call->flags, 0);
	case SETATTR:
		return syscall(NR_MOUNT_SETATTR, real(call->fd), "", call->flags, call->attributes, sizeof call->attributes);
	case MOVE_MOUNT:
		return syscall(NR_MOVE_MOUNT, real(call->fd), "", real(call->to), call->text, call->flags);
	case MKDIR:
		return mkdirat(real(call->fd), call->text, 0755);
	case CLOSE:
		return close(real(call->fd));
	case PIVOT:
		return pivot(real(call->fd), real(call->to));
	case SETNS:
		return setns(real(call->fd), call->flags);
	case CHROOT:
		return fchdir(real(call->fd)) < 0 ? -1 : chroot(".");
	}
	return errno = ENOSYS, -1;
}

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv)
{
	struct stat tape;
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || fstat(fd, &tape) < 0) {
		fprintf(stderr, "usage: floor TAPE\n");
		return 2;
	}
	const char *at = mmap(NULL, tape.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0), *end = at + tape.st_size;
	if (at == MAP_FAILED) {
		perror("floor: mmap");
		return 2;
	}
	close(fd);

	long calls = 0;
	uint64_t before = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (const struct call *call; at < end; at += sizeof *call + call->size, calls++) {
		call = (const struct call *)at;
		long result = make(call);
		if (result < 0) {
			fprintf(stderr, "floor: call %ld (op %d, %s): %s\n", calls, call->op, call->text, strerror(errno));
			return 1;
		}
		if (call->made >= 0)
			descriptors[call->made] = result;
	}
	uint64_t after = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%llu %llu %ld\n", (unsigned long long)(after - before), (unsigned long long)cpu, calls);
	return 0;
}

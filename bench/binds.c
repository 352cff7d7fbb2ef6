/*
 * What `mountplan run` is measured against: the same binds made in C, by a program that does nothing else.
 *
 *     binds GROUP LIST TOP    makes the binds in a mount namespace of its own, and becomes true(1)
 *
 * LIST is a file of pairs, the path of a source and that of a target, each ending in a newline. Each bind is cloned,
 * attached and closed: open_tree(2), move_mount(2), close(2). With a GROUP of more than 0, as many binds after one
 * another are a peer group: each group has one clone more, of TOP, made shared, from which the binds join
 * (MOVE_MOUNT_SET_GROUP). Nothing is checked, and nothing is read back.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_OPEN_TREE = 428, NR_MOVE_MOUNT = 429, NR_MOUNT_SETATTR = 442 };
enum { CLONE = 1 | 02000000, FROM_FD = 4, JOIN = 0x100 | 4 | 0x40 };

static void check(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	FILE *list = argc == 4 ? fopen(argv[2], "re") : NULL;
	char source[4096], target[4096];
	uint64_t shared[4] = { 0, 0, MS_SHARED, 0 }; /* struct mount_attr */
	long size, made = 0;
	int seed = -1;

	if (!list) {
		fprintf(stderr, "usage: binds GROUP LIST TOP\n");
		return 2;
	}
	size = atol(argv[1]);
	check(unshare(CLONE_NEWNS), "unshare");
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
	while (fgets(source, sizeof source, list) && fgets(target, sizeof target, list)) {
		source[strcspn(source, "\n")] = target[strcspn(target, "\n")] = 0;
		if (size && made++ % size == 0) {
			if (seed >= 0)
				close(seed);
			seed = syscall(NR_OPEN_TREE, AT_FDCWD, argv[3], CLONE);
			check(seed, "open_tree");
			check(syscall(NR_MOUNT_SETATTR, seed, "", AT_EMPTY_PATH, shared, sizeof shared), "mount_setattr");
		}
		int fd = syscall(NR_OPEN_TREE, AT_FDCWD, source, CLONE);
		check(fd, source);
		check(syscall(NR_MOVE_MOUNT, fd, "", AT_FDCWD, target, FROM_FD), target);
		if (size)
			check(syscall(NR_MOVE_MOUNT, seed, "", fd, "", JOIN), "join");
		close(fd);
	}
	execlp("true", "true", NULL);
	perror("true");
	return 1;
}

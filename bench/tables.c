/* Read the mount tables of namespaces from inside, each twice: what `ls` and the other looks at kept names cannot do without.

       tables FILE...      (as root; files of mount namespaces, such as /run/mountplan/shop/mnt)
*/

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **files)
{
	static char buffer[1 << 16];
	int proc = open("/proc", O_PATH | O_DIRECTORY), at[count];

	for (int i = 1; i < count; i++) /* from inside of one the others are not to be found */
		if ((at[i] = open(files[i], O_RDONLY)) < 0) {
			perror(files[i]);
			return 1;
		}
	for (int i = 1; i < count; i++) {
		if (setns(at[i], CLONE_NEWNS) < 0) {
			perror(files[i]);
			return 1;
		}
		for (int again = 0; again < 2; again++) {
			int table = openat(proc, "self/mountinfo", O_RDONLY);

			while (read(table, buffer, sizeof buffer) > 0)
				;
			close(table);
		}
	}
	return 0;
}

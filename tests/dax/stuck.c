// SPDX-License-Identifier: GPL-2.0
/*
 * stuck: says where the threads of a case are that does not end: in a loop of its own, in the
 * library, or in the kernel.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

static void print_file(const char *dir, const char *name)
{
	char path[300], line[500];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		printf("#   %s: %s\n", name, line);
	}
	if (f)
		fclose(f);
}

/* The stacks are root's to read. */
void print_threads(pid_t pid)
{
	char dir[64], task[64 + 256];
	const struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/task", pid);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(task, sizeof(task), "%s/%s", dir, e->d_name);
		printf("# thread %s\n", e->d_name);
		print_file(task, "comm");
		print_file(task, "stat");
		print_file(task, "syscall");
		print_file(task, "wchan");
		print_file(task, "stack");
	}
	if (d)
		closedir(d);
}

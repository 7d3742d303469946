// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A program whose memory is changed in known ways: `hmm events` is run on it in guests. The mapping
 * is one of a file "victim".
 *
 *	victim			once
 *	victim again [SECONDS]	until it is ended, or until then
 *	victim descriptors	prints what it has open instead
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define LEN (64 * PAGE)

static char *memory;

static void must(int ret)
{
	if (ret)
		abort();
}

/* By a thread with a name of its own. */
static void *protect(void *arg)
{
	prctl(PR_SET_NAME, "protector");
	must(mprotect(memory, LEN, PROT_READ));
	must(mprotect(memory, LEN, PROT_READ | PROT_WRITE));
	return NULL;
}

/* By another process. */
static void truncate_elsewhere(int fd)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		prctl(PR_SET_NAME, "truncator");
		_exit(ftruncate(fd, LEN / 2) ? 1 : 0);
	}
	must(child < 0 || waitpid(child, &status, 0) != child || status);
}

static void once(void)
{
	int fd = memfd_create("victim", MFD_CLOEXEC);
	pthread_t thread;
	char *moved;

	must(fd < 0 || ftruncate(fd, LEN));
	memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory == MAP_FAILED);
	memset(memory, 1, LEN);
	must(pthread_create(&thread, NULL, protect, NULL) || pthread_join(thread, NULL));
	must(madvise(memory, LEN, MADV_DONTNEED));
	memset(memory, 2, LEN);
	truncate_elsewhere(fd);
	moved = mmap(NULL, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(moved == MAP_FAILED);
	must(mremap(memory, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, moved) != moved);
	must(munmap(moved, LEN));
	close(fd);
}

static int descriptors(void)
{
	char path[64], to[256];
	ssize_t n;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to));
		if (n > 0)
			printf("%d %.*s\n", fd, (int)n, to);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "descriptors"))
		return descriptors();
	if (argc > 2)
		alarm((unsigned int)atoi(argv[2]));
	do {
		once();
		usleep(argc > 1 ? 10000 : 0);
	} while (argc > 1);
	return 0;
}

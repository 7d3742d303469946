// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A process that nobody watches, and what munmap costs there. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exact.h"
#include "raw.h"

#define ROOM (16 * RAW_MIB)

char *exact_place(void)
{
	char *hole = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (hole == MAP_FAILED || munmap(hole, ROOM))
		return NULL;
	return hole + ROOM / 2;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double exact_middle(double *values, size_t n)
{
	double sum = 0;

	qsort(values, n, sizeof(*values), compare);
	for (size_t i = n / 4; i < n - n / 4; i++)
		sum += values[i];
	return sum / (double)(n - n / 4 * 2);
}

static double middle(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	char *const place = exact_place();
	double took[EXACT_UNMAPS];
	double begin;
	char *p;

	for (int i = 0; i < EXACT_UNMAPS; i++) {
		p = mmap(place, EXACT_PIECE, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (!place || p != place)
			return NAN;
		/* as a fault of the library makes them */
		if (madvise(p, EXACT_PIECE, 23 /* MADV_POPULATE_WRITE */))
			memset(p, 1, EXACT_PIECE);
		begin = bench_now_ns();
		munmap(p, EXACT_PIECE);
		took[i] = bench_now_ns() - begin;
	}
	return exact_middle(took, EXACT_UNMAPS);
}

static void serve(int asked, int answers)
{
	double ns;
	char byte;

	while (read(asked, &byte, 1) == 1) {
		ns = middle();
		if (write(answers, &ns, sizeof(ns)) != sizeof(ns))
			break;
	}
	_exit(0);
}

int plain_begin(struct plain *plain)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		return -errno;
	plain->pid = fork();
	if (plain->pid < 0)
		return -errno;
	if (!plain->pid) {
		close(to[1]);
		close(from[0]);
		serve(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	plain->to = to[1];
	plain->from = from[0];
	return 0;
}

double plain_munmap(struct plain *plain)
{
	double ns = NAN;

	if (write(plain->to, "m", 1) != 1 || read(plain->from, &ns, sizeof(ns)) != sizeof(ns))
		return NAN;
	return ns;
}

void plain_end(struct plain *plain)
{
	if (plain->pid <= 0)
		return;
	close(plain->to);
	close(plain->from);
	waitpid(plain->pid, NULL, 0);
}

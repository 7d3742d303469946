// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * munmap of a mirrored 16 KiB range until its invalidation has been handled, against munmap of a
 * registered range whose events a bare loop reads.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attach.h"
#include "bench.h"
#include "raw.h"

#define SIZE (16UL << 10)
#define SAMPLES 2000 /* a round */

struct unmap {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	char *place; /* nothing else is mapped near it */
	struct raw_reader reader;
	double *mine;
	double *base;
	size_t n;
};

static atomic_uint handled;
static _Atomic double handled_at; /* ns */

static int count(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	if (inv->event == HMM_EVENT_UNMAP) {
		atomic_store(&handled_at, bench_now_ns());
		atomic_fetch_add(&handled, 1);
	}
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), count };

static bool map(struct unmap *u)
{
	if (mmap(u->place, SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != u->place)
		return false;
	memset(u->place, 1, SIZE);
	return true;
}

static int ours(struct unmap *u)
{
	uint64_t pfns[SIZE / HMM_PAGE_SIZE] = { 0 };
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = u->ni,
				   .start = (uintptr_t)u->place,
				   .end = (uintptr_t)u->place + SIZE,
				   .hmm_pfns = pfns,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	unsigned int before = atomic_load(&handled);
	double begin, end;
	int ret;

	if (!map(u))
		return -ENOMEM;
	ret = hmm_range_fault(&range, HMM_FOREVER);
	if (ret)
		return ret;
	before = atomic_load(&handled);
	begin = bench_now_ns();
	munmap(u->place, SIZE);
	end = bench_now_ns();
	/* Not by spinning: the pump needs the CPU. */
	while (atomic_load_explicit(&handled, memory_order_acquire) == before)
		sched_yield();
	if (end < atomic_load(&handled_at))
		end = atomic_load(&handled_at);
	u->mine[u->n] = (end - begin) / 1000;
	return 0;
}

static int theirs(struct unmap *u)
{
	double begin;
	int ret;

	if (!map(u))
		return -ENOMEM;
	ret = raw_uffd_register(u->reader.uffd, u->place, SIZE);
	begin = bench_now_ns();
	munmap(u->place, SIZE);
	u->base[u->n] = (bench_now_ns() - begin) / 1000;
	return ret;
}

static int sample(struct bench *b, struct unmap *u)
{
	int ret = 0;

	for (unsigned int round = 0; round < b->rounds && !ret; round++) {
		size_t first = u->n;

		for (size_t i = 0; i < SAMPLES && !ret; i++, u->n++)
			ret = ours(u);
		u->n = first;
		for (size_t i = 0; i < SAMPLES && !ret; i++, u->n++)
			ret = theirs(u);
	}
	return ret;
}

static void add(struct bench *b, struct unmap *u, const char *name, double percent, double target)
{
	struct bench_row row = { .unit = "us", .target = target };

	snprintf(row.name, sizeof(row.name), "munmap-mirrored-16KiB-%s", name);
	snprintf(row.note, sizeof(row.note), "%zu each, one CPU; until the callback has run", u->n);
	row.value = bench_percentile(u->mine, u->n, percent);
	row.baseline = bench_percentile(u->base, u->n, percent);
	bench_add(b, &row);
}

static int with_reader(struct bench *b, struct unmap *u)
{
	pthread_t thread;
	int ret;

	u->reader.uffd = raw_uffd();
	if (u->reader.uffd < 0)
		return u->reader.uffd;
	ret = -pthread_create(&thread, NULL, raw_uffd_reader, &u->reader);
	if (!ret) {
		ret = sample(b, u);
		u->reader.stop = true;
		pthread_join(thread, NULL);
	}
	close(u->reader.uffd);
	if (!ret) {
		add(b, u, "p50", 50, 1.3);
		add(b, u, "p99", 99, 2);
	}
	return ret;
}

static int measure(struct bench *b)
{
	struct unmap u = { 0 };
	size_t n = (size_t)b->rounds * SAMPLES;
	char *hole = mmap(NULL, 16 * RAW_MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = hole == MAP_FAILED ? -ENOMEM : space_attach(&u.mm);

	if (ret)
		return ret;
	u.place = hole + 8 * RAW_MIB;
	munmap(u.place, RAW_MIB);
	u.mine = calloc(n, sizeof(*u.mine));
	u.base = calloc(n, sizeof(*u.base));
	ret = u.mine && u.base ? hmm_interval_notifier_insert(u.mm, (uintptr_t)u.place, SIZE, &ops,
							      NULL, &u.ni)
			       : -ENOMEM;
	if (!ret)
		ret = with_reader(b, &u);
	hmm_interval_notifier_remove(u.ni);
	hmm_mm_detach(u.mm);
	munmap(hole, 8 * RAW_MIB);
	munmap(u.place + RAW_MIB, 7 * RAW_MIB);
	free(u.mine);
	free(u.base);
	return ret;
}

/*
 * On one CPU: a reader that the scheduler happens to keep on the other one, asleep, takes ten times
 * as long to wake, the bare loop and the pump alike. Threads inherit what their creator may use.
 */
int bench_munmap(struct bench *b)
{
	cpu_set_t all, one;
	int ret;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_getaffinity(0, sizeof(all), &all) || sched_setaffinity(0, sizeof(one), &one))
		return -errno;
	ret = measure(b);
	sched_setaffinity(0, sizeof(all), &all);
	return ret;
}

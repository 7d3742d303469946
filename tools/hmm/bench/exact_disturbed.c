// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Validated use of many translations while another thread unmaps memory that has nothing to do with
 * them. Each of its changes is read from the log once, by the thread that is first, however many
 * translations there are.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "exact.h"
#include "raw.h"

#define TRANSLATIONS 10000
#define STRIDE (2 * HMM_PAGE_SIZE)
#define PASSES 100 /* over all of them, in one measurement */
#define TRIES 5
#define REFUSED 1000 /* times in a row: it is made again */
#define RATE 20000
#define BURST_NS 1000000L /* RATE / 1000 munmaps, then wait for the next millisecond */
#define ROOM (4UL << 30)  /* of addresses */

struct other {
	pthread_t thread;
	_Atomic bool begun;
	_Atomic bool stop;
	char *room;
	size_t next;
	_Atomic uint64_t done;
};

struct disturbed {
	struct hmm_mm *mm;
	char *base;
	struct hmm_interval_notifier **ni;
	uint64_t *seq;
	bool once; /* a use that is refused is not asked again */
	uint64_t refused;
	struct other other;
	double slowest; /* munmaps a second */
};

/* ---- the other thread ------------------------------------------------------------------------ */

static void *unmap(void *arg)
{
	struct other *o = arg;
	struct timespec tick;

	atomic_store(&o->begun, true);
	clock_gettime(CLOCK_MONOTONIC, &tick);
	while (!atomic_load_explicit(&o->stop, memory_order_relaxed)) {
		for (int i = 0; i < RATE / 1000 && o->next < ROOM; i++, o->done++) {
			munmap(o->room + o->next, HMM_PAGE_SIZE);
			o->next += HMM_PAGE_SIZE;
		}
		tick.tv_nsec += BURST_NS;
		if (tick.tv_nsec >= 1000000000L) {
			tick.tv_nsec -= 1000000000L;
			tick.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
	}
	return NULL;
}

/* ---- the user -------------------------------------------------------------------------------- */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

static int fault(struct disturbed *d, size_t i)
{
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .start = (uintptr_t)d->base + i * STRIDE,
				   .end = (uintptr_t)d->base + i * STRIDE + HMM_PAGE_SIZE,
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	int ret;

	range.notifier = d->ni[i];
	ret = hmm_range_fault(&range, HMM_FOREVER);
	d->seq[i] = range.notifier_seq;
	return ret;
}

static int make(struct disturbed *d, size_t i)
{
	int ret = hmm_interval_notifier_insert(d->mm, (uintptr_t)d->base + i * STRIDE,
					       HMM_PAGE_SIZE, &ops, NULL, &d->ni[i]);

	return ret ? ret : fault(d, i);
}

/* ns a use, of this thread's time; what is refused is asked again. */
static double use(void *arg)
{
	struct disturbed *d = arg;
	const double begin = bench_cpu_ns();

	for (int pass = 0; pass < PASSES; pass++) {
		for (size_t i = 0; i < TRANSLATIONS; i++) {
			for (int try = 0; hmm_interval_stale(d->ni[i], d->seq[i]); try++) {
				d->refused++;
				if (d->once)
					break;
				/* a kernel that preempts itself may skip a program */
				if (try % REFUSED == REFUSED - 1 && fault(d, i))
					return NAN;
			}
		}
	}
	return (bench_cpu_ns() - begin) / PASSES / TRANSLATIONS;
}

static double use_disturbed(void *arg)
{
	struct disturbed *d = arg;
	const uint64_t before = atomic_load(&d->other.done);
	double begin, ns, rate;

	atomic_store(&d->other.stop, false);
	atomic_store(&d->other.begun, false);
	if (pthread_create(&d->other.thread, NULL, unmap, &d->other))
		return NAN;
	while (!atomic_load(&d->other.begun))
		sched_yield();
	begin = bench_now_ns();
	ns = use(d);
	rate = (double)(atomic_load(&d->other.done) - before) / (bench_now_ns() - begin) * 1e9;
	atomic_store(&d->other.stop, true);
	pthread_join(d->other.thread, NULL);
	if (!d->slowest || rate < d->slowest)
		d->slowest = rate;
	return d->other.next < ROOM ? ns : NAN;
}

static int open_all(struct disturbed *d)
{
	int ret = 0;

	d->base = raw_map(TRANSLATIONS * STRIDE, false);
	d->ni = calloc(TRANSLATIONS, sizeof(*d->ni));
	d->seq = calloc(TRANSLATIONS, sizeof(*d->seq));
	d->other.room = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!d->base || !d->ni || !d->seq || d->other.room == MAP_FAILED)
		return -ENOMEM;
	for (size_t i = 0; i < TRANSLATIONS && !ret; i++)
		ret = make(d, i);
	return ret;
}

static void close_all(struct disturbed *d)
{
	for (size_t i = 0; d->ni && i < TRANSLATIONS; i++)
		hmm_interval_notifier_remove(d->ni[i]);
	hmm_mm_detach(d->mm);
	free(d->ni);
	free(d->seq);
	if (d->base)
		munmap(d->base, TRANSLATIONS * STRIDE);
	if (d->other.room && d->other.room != MAP_FAILED && d->other.next < ROOM)
		munmap(d->other.room + d->other.next, ROOM - d->other.next);
}

int exact_disturbed(struct bench *b, struct bench_row *row)
{
	struct disturbed d = { 0 };
	int ret = exact_attach_log(&d.mm, row);

	if (!ret)
		ret = open_all(&d);
	if (!ret)
		ret = bench_interleave(b, use_disturbed, use, &d, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note),
			 "%d translations; %.0f munmaps/s at least; refused %.2g of the uses",
			 TRANSLATIONS, d.slowest,
			 (double)d.refused / (2.0 * (b->rounds + 1) * PASSES * TRANSLATIONS));
	close_all(&d);
	return ret;
}

/* ---- each event once ------------------------------------------------------------------------- */

struct told {
	uint64_t unmaps;
	uint64_t resets;
};

static int read_told(struct hmm_mm *mm, struct told *told)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct hmm_mm_info info = { .size = sizeof(info) };
	int ret = hmm_mm_barrier(mm, 5000000000ULL);

	if (!ret)
		ret = hmm_mm_get_stats(mm, &stats);
	if (!ret)
		ret = hmm_mm_get_info(mm, &info);
	*told = (struct told){ stats.events[HMM_EVENT_UNMAP], info.log_resets };
	return ret;
}

static int count_events(struct disturbed *d, struct bench_row *row)
{
	struct told before, after;
	uint64_t done = atomic_load(&d->other.done);
	int ret = read_told(d->mm, &before);

	if (!ret && isnan(use_disturbed(d)))
		ret = -EIO;
	if (!ret)
		ret = read_told(d->mm, &after);
	if (ret)
		return ret;
	done = atomic_load(&d->other.done) - done;
	after.unmaps -= before.unmaps;
	row->value = fabs((double)after.unmaps - (double)done);
	snprintf(row->note, sizeof(row->note), "%llu unmaps made, %llu read",
		 (unsigned long long)done, (unsigned long long)after.unmaps);
	if (after.resets == before.resets)
		return 0;
	snprintf(row->note, sizeof(row->note), "the kernel skipped programs meanwhile");
	return -EOPNOTSUPP;
}

/* How many unmaps were read from the log that were not made, or were made and not read. */
int exact_events(struct bench *b, struct bench_row *row)
{
	struct disturbed d = { .once = true };
	int ret = exact_attach_log(&d.mm, row);

	(void)b;
	if (!ret)
		ret = open_all(&d);
	for (int try = 0; !ret && try < TRIES; try++) {
		ret = count_events(&d, row);
		if (ret != -EOPNOTSUPP)
			break;
		ret = try == TRIES - 1 ? ret : 0;
	}
	close_all(&d);
	return ret;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Does what each probe tells of, and prints what the probe is to say, a line each: its name, the
 * space and the other arguments; * for what only the library knows. probes_fire.py runs it under a
 * debugger.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

#define PAGES 8UL

static uint64_t page;

#define MUST(what)                                                                                 \
	do {                                                                                       \
		int must = (what);                                                                 \
		if (must) {                                                                        \
			fprintf(stderr, "%s: %s\n", #what, strerror(-must));                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Apart from all else, and written. */
static char *map(int flags)
{
	char *room = mmap(NULL, 4UL << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;

	if (room == MAP_FAILED)
		MUST(-ENOMEM);
	p = (char *)(((uintptr_t)room + (2UL << 20)) & -(2UL << 20));
	p = mmap(p, PAGES * page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		MUST(-ENOMEM);
	memset(p, 1, PAGES / 2 * page);
	return p;
}

static int nothing(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	(void)ni;
	(void)inv;
	(void)priv;
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = nothing };

static void fault(struct hmm_mm *mm, struct hmm_interval_notifier *ni, const char *p)
{
	uint64_t pfns[PAGES * 16] = { 0 };
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = ni,
				   .start = at(p),
				   .end = at(p) + PAGES * page,
				   .hmm_pfns = pfns,
				   .default_flags = HMM_PFN_REQ_FAULT };

	MUST(hmm_range_fault(&range, HMM_FOREVER));
	printf("fault %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", at(mm), range.start,
	       range.end, (uint64_t)HMM_PFN_REQ_FAULT);
	printf("resolve %" PRIu64 " %" PRIu64 " %" PRIu64 " 0\n", at(mm), range.start, range.end);
}

static struct {
	struct hmm_engine *engine;
	_Atomic int tid;
	sem_t wake;
} sleeper;

static void *sleep_in_section(void *arg)
{
	(void)arg;
	hmm_engine_enter(sleeper.engine);
	atomic_store(&sleeper.tid, gettid());
	while (sem_wait(&sleeper.wake))
		;
	hmm_engine_exit(sleeper.engine);
	return NULL;
}

static void change(struct hmm_mm *mm)
{
	struct hmm_interval_notifier *ni;
	char *p = map(MAP_PRIVATE);
	pthread_t thread;

	MUST(hmm_interval_notifier_insert(mm, at(p), PAGES * page, &ops, NULL, &ni));
	fault(mm, ni, p);
	madvise(p, page, MADV_DONTNEED);
	printf("discard_pending %" PRIu64 " %" PRIu64 " %" PRIu64 " *\n", at(mm), at(p),
	       at(p) + page);
	printf("discard_settled %" PRIu64 " %" PRIu64 " %" PRIu64 " *\n", at(mm), at(p),
	       at(p) + page);
	MUST(hmm_mm_barrier(mm, HMM_FOREVER));
	fault(mm, ni, p);
	MUST(hmm_engine_create(mm, &sleeper.engine));
	sem_init(&sleeper.wake, 0, 0);
	MUST(-pthread_create(&thread, NULL, sleep_in_section, NULL));
	while (!atomic_load(&sleeper.tid))
		usleep(1000);
	/* The sleeper is in its section until it is run over and the memory is gone. */
	munmap(p, page);
	sem_post(&sleeper.wake);
	pthread_join(thread, NULL);
	hmm_engine_destroy(sleeper.engine);
	printf("overrun %" PRIu64 " %d\n", at(mm), sleeper.tid);
	printf("invalidate %" PRIu64 " %" PRIu64 " %" PRIu64 " %d *\n", at(mm), at(p), at(p) + page,
	       HMM_EVENT_UNMAP);
	printf("cycle_begin %" PRIu64 " *\ncycle_end %" PRIu64 " * *\n", at(mm), at(mm));
	hmm_interval_notifier_remove(ni);
	munmap(p, PAGES * page);
}

static void expect_move(const char *what, struct hmm_mm *mm, const char *p, uint64_t bytes,
			const char *rest, const void *owner)
{
	printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %" PRIu64 "\n", what, at(mm), at(p),
	       at(p) + bytes, rest, at(owner));
}

/* A page that its driver sends in steps. */
static void move_in_steps(struct hmm_mm *mm, struct hmm_devmem *d, char *p, void *owner)
{
	uint64_t src, dst, frame;
	struct hmm_migrate_vma args = { .size = sizeof(args),
					.flags = HMM_MIGRATE_VMA_SELECT_SYSTEM,
					.mm = mm,
					.start = at(p),
					.end = at(p) + page,
					.src = &src,
					.dst = &dst,
					.pgmap_owner = owner };

	MUST(hmm_migrate_vma_setup(&args));
	MUST(hmm_devmem_alloc(d, page, HMM_FOREVER, &frame));
	dst = hmm_migrate_pfn(frame);
	MUST(hmm_migrate_vma_pages(&args));
	hmm_migrate_vma_finalize(&args);
	expect_move("migrate", mm, p, page, "* 0", owner);
}

static void move(struct hmm_mm *mm, struct hmm_devmem *d, void *owner)
{
	char *p = map(MAP_PRIVATE), *shared = map(MAP_SHARED);
	struct hmm_exclusive *ex;

	MUST(hmm_migrate_to_device(d, at(p), at(p) + 2 * page, HMM_FOREVER, NULL));
	expect_move("migrate", mm, p, 2 * page, "* 0", owner);
	(void)*(volatile char *)p;
	printf("touch %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0\n", at(mm), at(p), at(p),
	       at(p) + page);
	expect_move("home", mm, p, page, "0", owner);
	(void)*(volatile char *)(p + (PAGES - 1) * page);
	printf("touch_zero %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", at(mm),
	       at(p) + (PAGES - 1) * page, page);
	if (hmm_migrate_to_device(d, at(shared), at(shared) + 3 * page, HMM_FOREVER, NULL) !=
	    -ENOENT)
		MUST(-EINVAL);
	printf("stay %" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n", at(mm), 3 * page,
	       HMM_MIGRATE_SHARED, at(owner));
	move_in_steps(mm, d, p + 2 * page, owner);
	MUST(hmm_exclusive_begin(mm, at(p), at(p) + page, owner, HMM_FOREVER, &ex));
	expect_move("exclusive", mm, p, page, "0", owner);
	hmm_exclusive_end(ex);
	expect_move("home", mm, p, page, "0", NULL);
	munmap(p, PAGES * page);
	munmap(shared, PAGES * page);
}

int main(void)
{
	struct hmm_devmem_options options = { .size = sizeof(options),
					      .bytes = 2UL << 20,
					      .owner = &sleeper };
	struct hmm_devmem *d;
	struct hmm_mm *mm;
	int ret;

	page = (uint64_t)sysconf(_SC_PAGESIZE);
	options.fault_around = page;
	MUST(hmm_mm_attach(NULL, &mm));
	change(mm);
	ret = hmm_devmem_create(mm, &options, &d);
	if (!ret) {
		move(mm, d, options.owner);
		MUST(hmm_devmem_destroy(d, HMM_FOREVER));
	} else if (ret != -EOPNOTSUPP) {
		MUST(ret);
	}
	hmm_mm_detach(mm);
	return 0;
}

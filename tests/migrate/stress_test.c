// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Everything at once: threads of the program write counters, map, unmap, move and discard, while
 * others migrate the same memory out and home and a device writes into it. Nothing is lost, nothing
 * comes back that was discarded, and no frame leaks.
 */
#include "common/devmem.h"

#include <hmm/engine.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#define SECONDS 2
#define PATIENCE 120 /* seconds, of a machine that is slow */
#define WRITERS 2
#define PAGES 1280
#define CHURN 64

static struct with_devmem with;
static _Atomic bool over;

struct writer {
	char *p;
	unsigned int id;
	uint64_t *count; /* how often each page was counted up */
	uint64_t seed;
};

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

static uint64_t *word(char *p, size_t page, size_t i)
{
	return (uint64_t *)(p + page * PAGE) + i;
}

/* Each writer has a word of its own in each page. */
static void *write_counters(void *arg)
{
	struct writer *w = arg;

	while (!over) {
		const size_t page = next(&w->seed) % PAGES;

		++*word(w->p, page, w->id);
		w->count[page]++;
	}
	return NULL;
}

/* Memory that comes and goes: what is new is zero, what was moved is what it was. */
static void *churn(void *arg)
{
	uint64_t seed = 7;

	(void)arg;
	while (!over) {
		char *p = map_anon(CHURN * PAGE, RW);
		char *q = map_anon(CHURN * PAGE, RW);
		const unsigned int base = (unsigned int)next(&seed);

		for (size_t i = 0; i < CHURN; i++)
			assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
		number(p, CHURN, base);
		hmm_migrate_to_device(with.d, at(p), at(p) + CHURN * PAGE, HMM_FOREVER, NULL);
		switch (next(&seed) % 3) {
		case 0:
			assert_ptr_equal(mremap(p, CHURN * PAGE, CHURN * PAGE,
						MREMAP_MAYMOVE | MREMAP_FIXED, q),
					 q);
			assert_numbered(q, CHURN, base);
			break;
		case 1:
			assert_int_equal(madvise(p, CHURN * PAGE, MADV_DONTNEED), 0);
			for (size_t i = 0; i < CHURN; i++)
				assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
			break;
		default:
			munmap(p, CHURN / 2 * PAGE);
			assert_numbered(p + CHURN / 2 * PAGE, CHURN / 2, base + CHURN / 2);
		}
		munmap(p, CHURN * PAGE);
		munmap(q, CHURN * PAGE);
	}
	return NULL;
}

static void *migrate(void *arg)
{
	char *p = arg;
	uint64_t seed = 99;

	while (!over) {
		const size_t from = next(&seed) % PAGES;
		const size_t n = 1 + next(&seed) % (PAGES - from);

		if (next(&seed) % 4)
			hmm_migrate_to_device(with.d, at(p) + from * PAGE,
					      at(p) + (from + n) * PAGE, HMM_FOREVER, NULL);
		else
			hmm_migrate_to_system(with.m.mm, at(p) + from * PAGE,
					      at(p) + (from + n) * PAGE, HMM_FOREVER);
	}
	return NULL;
}

/* The device counts a word of its own up in pages that it finds in its memory. */
static uint64_t count_on_device(struct hmm_engine *engine, char *p, uint64_t *seed)
{
	const size_t page = next(seed) % (PAGES - 16);
	uint64_t n = 0;

	away(&with, p + page * PAGE, 16);
	hmm_engine_enter(engine);
	if (!hmm_interval_check_retry(with.m.ni, with.m.range.notifier_seq)) {
		for (size_t i = 0; i < 16; i++) {
			if (!(with.m.pfns[i] & HMM_PFN_DEVICE_PRIVATE))
				continue;
			++*word(on_device(&with, i), 0, WRITERS);
			n++;
		}
	}
	hmm_engine_exit(engine);
	return n;
}

static bool enough(void)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(with.d, &s), 0);
	return s.moved_out > PAGES * PAGE && s.faults;
}

static void run(struct writer *writers, char *p, uint64_t *device)
{
	const time_t begin = time(NULL);
	struct hmm_engine *engine;
	pthread_t threads[WRITERS + 2];
	uint64_t seed = 5;

	assert_int_equal(hmm_engine_create(with.m.mm, &engine), 0);
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_counters, &writers[i]), 0);
	assert_int_equal(pthread_create(&threads[WRITERS], NULL, churn, NULL), 0);
	assert_int_equal(pthread_create(&threads[WRITERS + 1], NULL, migrate, p), 0);
	while (time(NULL) < begin + SECONDS || (!enough() && time(NULL) < begin + PATIENCE))
		*device += count_on_device(engine, p, &seed);
	over = true;
	for (size_t i = 0; i < WRITERS + 2; i++)
		pthread_join(threads[i], NULL);
	hmm_engine_destroy(engine);
}

static void nothing_is_lost(uint32_t flags, size_t bytes, bool copies)
{
	static uint64_t counts[WRITERS][PAGES];
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	struct writer writers[WRITERS];
	uint64_t device = 0;
	uint64_t found = 0;
	char *p;

	if (copies)
		devmem_open_copying(&with, bytes, flags, 0);
	else
		devmem_open(&with, bytes, flags);
	p = map_anon(PAGES * PAGE, RW);
	memset(p, 0, PAGES * PAGE);
	memset(counts, 0, sizeof(counts));
	over = false;
	for (unsigned int i = 0; i < WRITERS; i++)
		writers[i] = (struct writer){ .p = p, .id = i, .count = counts[i], .seed = i };
	run(writers, p, &device);
	for (size_t page = 0; page < PAGES; page++) {
		for (size_t i = 0; i < WRITERS; i++)
			assert_int_equal(*word(p, page, i), counts[i][page]);
		found += *word(p, page, WRITERS);
	}
	assert_int_equal(found, device);
	assert_true(enough());
	assert_int_equal(hmm_evict_all(with.m.mm, HMM_FOREVER), 0);
	do
		assert_int_equal(hmm_devmem_get_stats(with.d, &s), 0);
	while (s.used);
	assert_int_equal(s.moved_out, s.moved_home + s.dropped);
	munmap(p, PAGES * PAGE);
	devmem_close(&with);
}

static void in_a_large_region(void **state)
{
	(void)state;
	nothing_is_lost(0, 16 * MIB, false);
}

static void in_a_small_region_that_evicts(void **state)
{
	(void)state;
	nothing_is_lost(HMM_DEVMEM_EVICT, 2 * MIB, false);
}

static void with_a_device_that_copies(void **state)
{
	(void)state;
	nothing_is_lost(0, 16 * MIB, true);
}

static void with_a_device_that_copies_and_evicts(void **state)
{
	(void)state;
	nothing_is_lost(HMM_DEVMEM_EVICT, 2 * MIB, true);
}

static void with_backed_pages(void **state)
{
	(void)state;
	nothing_is_lost(HMM_DEVMEM_BACKED | HMM_DEVMEM_EVICT, 2 * MIB, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_a_large_region),
		cmocka_unit_test(in_a_small_region_that_evicts),
		cmocka_unit_test(with_a_device_that_copies),
		cmocka_unit_test(with_a_device_that_copies_and_evicts),
		cmocka_unit_test(with_backed_pages),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

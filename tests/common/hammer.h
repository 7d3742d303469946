/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* hammer: threads and a device add to the same words, and no update is lost. */
#ifndef TESTS_HAMMER_H
#define TESTS_HAMMER_H

#include "common/devmem.h"

#include <hmm/engine.h>
#include <hmm/migrate.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 3
#define LEAST 500
#define SLOW_SECONDS 60

static struct {
	uint64_t *word;
	_Atomic bool stop;
	bool log;
	_Atomic uint64_t added[THREADS];
} hammer;

/* Each has a word of its own, and all share the last one. */
static inline void *hammer_main(void *arg)
{
	const size_t i = (size_t)(uintptr_t)arg;

	while (!hammer.stop) {
		__atomic_fetch_add(&hammer.word[i], 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&hammer.word[THREADS], 1, __ATOMIC_SEQ_CST);
		hammer.added[i]++;
		if (!(hammer.added[i] % 64))
			sched_yield();
	}
	return NULL;
}

/*
 * The device adds to the words in steps that the CPU must not see, nor cross: if the page were not
 * its own meanwhile an update would be lost.
 */
static inline bool add_as_device(struct hmm_engine *engine, struct hmm_exclusive *ex)
{
	uint64_t where;
	bool had;

	hmm_engine_enter(engine);
	had = !hmm_exclusive_check(ex, at(hammer.word), &where);
	if (had) {
		volatile uint64_t *word = (volatile uint64_t *)(uintptr_t)where;

		for (int i = 0; i <= THREADS; i++)
			word[i] = word[i] + 1;
	}
	/* A log tells of other memory, too. This page is the device's as long as it has it. */
	assert_true(hmm_engine_exit(engine) || hammer.log);
	return had;
}

/* The words are at `page`, which is empty. transfers: how often the device tries. */
static inline void hammer_page(struct with_devmem *w, char *page, uint64_t transfers)
{
	static char owner;
	const char *const wanted = getenv("HMM_TEST_TRANSFERS");
	const time_t end = time(NULL) + SLOW_SECONDS;
	struct hmm_engine *engine;
	pthread_t threads[THREADS];
	uint64_t tried = 0;
	uint64_t device = 0;
	uint64_t sum = 0;

	transfers = wanted ? strtoull(wanted, NULL, 10) : transfers;
	memset(&hammer, 0, sizeof(hammer));
	hammer.word = (uint64_t *)page;
	hammer.log = w->m.mm->log;
	assert_int_equal(hmm_engine_create(w->m.mm, &engine), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, (void *)i), 0);
	/* The CPU is to have added something, however late its threads begin. */
	while (hammer.added[0] + hammer.added[1] + hammer.added[2] < transfers / 50)
		sched_yield();
	/* An emulated machine does not come to so many. */
	for (; tried < transfers && (wanted || tried < LEAST || time(NULL) < end); tried++) {
		struct hmm_exclusive *ex;
		const int ret = hmm_exclusive_begin(w->m.mm, at(page), at(page) + PAGE, &owner,
						    HMM_FOREVER, &ex);

		/* The CPU may have taken it back already. */
		if (ret == -EBUSY)
			continue;
		assert_int_equal(ret, 0);
		device += add_as_device(engine, ex);
		hmm_exclusive_end(ex);
	}
	hammer.stop = true;
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(hammer.word[i], hammer.added[i] + device);
		sum += hammer.added[i];
	}
	assert_int_equal(hammer.word[THREADS], sum + device);
	/* With a log an engine waits until drivers were told, and the CPU is faster. */
	assert_true(device >= (hammer.log ? 1 : tried / 50));
	assert_true(sum >= tried / 50);
	hmm_engine_destroy(engine);
}

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * An engine that was run over in its section stores late, to where a page was. That page has gone
 * home, and no other page may be hit: its frame is not used again before the engine has left.
 */
#include "common/devmem.h"

#include <hmm/engine.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

static struct with_devmem with;

struct late {
	char *at; /* where the device has the page */
	sem_t inside;
	sem_t go;
	bool stood;
};

static int setup(void **state)
{
	*state = &with;
	devmem_open(&with, 2 * MIB, 0);
	return 0;
}

/* A device that is not told when its pages are free. */
static int setup_copying(void **state)
{
	*state = &with;
	devmem_open_copying(&with, 2 * MIB, 0, 0);
	with.d->options.page_free = NULL;
	return 0;
}

static int setup_backed(void **state)
{
	*state = &with;
	devmem_open_copying(&with, 2 * MIB, HMM_DEVMEM_BACKED, 0);
	with.d->options.page_free = NULL;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

/* It sleeps in its section, and then stores. */
static void *engine_main(void *arg)
{
	struct hmm_engine *e;
	struct late *l = arg;

	assert_int_equal(hmm_engine_create(with.m.mm, &e), 0);
	hmm_engine_enter(e);
	sem_post(&l->inside);
	while (sem_wait(&l->go))
		;
	*(volatile char *)l->at = 'L';
	l->stood = hmm_engine_exit(e);
	hmm_engine_destroy(e);
	return NULL;
}

static uint64_t used(struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	return stats.used;
}

/* All of the region is needed by others while the engine is in its section. */
static void late_store_hits_no_other_page(void **state)
{
	const size_t pages = 2 * MIB / PAGE;
	struct with_devmem *w = *state;
	struct late l = { .stood = true };
	char *p = map_apart(PAGE, PROT_READ | PROT_WRITE);
	char *others = map_apart(pages * PAGE, PROT_READ | PROT_WRITE);
	pthread_t thread;

	*p = 'p';
	number(others, pages, 0);
	assert_int_equal(to_device(w, p, 1), 0);
	assert_int_equal(away(w, p, 1), 1);
	l.at = on_device(w, 0);
	sem_init(&l.inside, 0, 0);
	sem_init(&l.go, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, engine_main, &l), 0);
	sem_wait(&l.inside);
	/* This runs the engine over. */
	assert_int_equal(to_system(w, p, 1), 0);
	assert_int_equal(to_device(w, others, pages - 1), 0);
	/* For the last there is no frame, however long it waits. */
	hmm_migrate_to_device(w->d, at(others), at(others) + pages * PAGE, 100000000, NULL);
	assert_int_equal(away(w, others, pages), pages - 1);
	assert_int_equal(used(w), 2 * MIB);
	sem_post(&l.go);
	pthread_join(thread, NULL);
	assert_false(l.stood);
	assert_int_equal(*p, 'p');
	assert_numbered(others, pages, 0);
	/* Then it is free again. */
	while (used(w))
		sched_yield();
	munmap(p, PAGE);
	munmap(others, pages * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(late_store_hits_no_other_page),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

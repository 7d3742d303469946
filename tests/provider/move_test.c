// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the kernel says while the program moves a mapping to and fro. */
#include "common/mappings.h"

#include "provider/provider.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define SECONDS 3
#define ENOUGH 4000 /* moves, of a machine that is quick */

static struct {
	struct provider p;
	char *here;
	char *there;
	_Atomic bool stop;
} w;

static bool carry(char *from, char *to)
{
	return mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

/* Each mremap ends when its event was read. */
static void *to_and_fro(void *arg)
{
	bool fine = true;

	while (fine && !atomic_load(&w.stop))
		fine = carry(w.here, w.there) && carry(w.there, w.here);
	return fine ? arg : NULL;
}

/* Where the mapping is, as far as events tell. */
static void read_events(char **at)
{
	struct provider_event e;

	while (w.p.ops->read(&w.p, &e, 1) == 1) {
		if (e.type == PROVIDER_MOVE)
			*at = (char *)(uintptr_t)e.to;
	}
}

/* So often a copy was told of no mapping where events have left it, of `moves` times. */
static unsigned int gone(unsigned int moves)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	const time_t end = time(NULL) + SECONDS;
	char *at = w.here;
	unsigned int n = 0;

	for (unsigned int seen = 0; seen < moves && time(NULL) < end;) {
		char *was = at;

		for (int i = 0; i < 100; i++)
			n += w.p.ops->move->copy(&w.p, (uintptr_t)at, (uintptr_t)page, PAGE) ==
			     -ENOENT;
		read_events(&at);
		seen += at != was;
	}
	return n;
}

static unsigned int gone_meanwhile(unsigned int moves)
{
	pthread_t thread;
	unsigned int n;
	void *fine;
	char *at;

	atomic_store(&w.stop, false);
	pthread_create(&thread, NULL, to_and_fro, &w);
	n = gone(moves);
	atomic_store(&w.stop, true);
	while (pthread_tryjoin_np(thread, &fine))
		read_events(&at);
	assert_non_null(fine);
	return n;
}

static int setup(void **state)
{
	const struct hmm_mm_options options = { .size = sizeof(options), .uffd = -1 };

	(void)state;
	if (provider_uffd_open(&options, &w.p))
		return -1;
	w.here = map_anon(PAGE, RW);
	w.there = place_apart(PAGE);
	return w.p.ops->move->trap(&w.p, (uintptr_t)w.here, (uintptr_t)w.here + PAGE);
}

static int teardown(void **state)
{
	(void)state;
	w.p.ops->close(&w.p);
	munmap(w.here, PAGE);
	return 0;
}

/* Without the second question a kernel since 6.9 says so once in two. */
static void a_mapping_that_moves_is_not_gone(void **state)
{
	(void)state;
	assert_int_equal(gone_meanwhile(ENOUGH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_mapping_that_moves_is_not_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

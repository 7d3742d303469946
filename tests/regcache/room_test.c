// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A thread that needs room looks at one registration after the other, while others come and go
 * without a lock. The test does so after each look.
 */
#include "common/registrar.h"
#include "regcache/cache.h"

#define ENTRIES 3

static struct registrar g;
static char *p[ENTRIES + 1];
static struct hmm_registration *r[ENTRIES];

/* What happens after a look. */
static void (*after)(struct entry *e);

struct entry *__real_index_at(const struct index *ix, size_t i);
struct entry *__wrap_index_at(const struct index *ix, size_t i);

struct entry *__wrap_index_at(const struct index *ix, size_t i)
{
	struct entry *e = __real_index_at(ix, i);
	static struct entry *last;
	/* Before that no room is looked for. */
	void (*const now)(struct entry *) = g.cache->missing ? after : NULL;

	/* The one before was looked at. */
	if (now && last) {
		after = NULL;
		now(last);
		after = now;
	}
	last = now ? e : NULL;
	return e;
}

static void open_full(void)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = ENTRIES };

	registrar_open(&g, &o);
	for (int i = 0; i <= ENTRIES; i++)
		p[i] = buffer(PAGE);
	for (int i = 0; i < ENTRIES; i++)
		r[i] = get(&g, p[i], PAGE);
}

static void close_full(void)
{
	after = NULL;
	for (int i = 0; i < ENTRIES; i++)
		if (r[i])
			hmm_regcache_put(g.cache, r[i]);
	registrar_close(&g);
	for (int i = 0; i <= ENTRIES; i++)
		munmap(p[i], PAGE);
}

static unsigned int moves; /* left */

/* The user of what was looked at goes over to the one that has none. */
static void go_over(struct entry *e)
{
	int from = -1;
	int to = -1;

	for (int i = 0; i < ENTRIES; i++) {
		from = r[i] == &e->r ? i : from;
		to = r[i] ? to : i;
	}
	if (from < 0 || to < 0 || !moves)
		return;
	moves--;
	hmm_regcache_put(g.cache, r[from]);
	r[from] = NULL;
	assert_int_equal(
		hmm_regcache_get(g.cache, at(p[to]), PAGE, HMM_REGCACHE_HIT, LONG_NS, &r[to]), 0);
}

/* At each moment one of the three has no user, so there is room. */
static void one_that_is_always_idle_is_found(void **state)
{
	struct hmm_registration *got;

	for (int i = 0; i < ENTRIES; i++) {
		open_full();
		hmm_regcache_put(g.cache, r[i]);
		r[i] = NULL;
		moves = 100;
		after = go_over;
		got = get(&g, p[ENTRIES], PAGE);
		after = NULL;
		hmm_regcache_put(g.cache, got);
		close_full();
	}
}

/* The caller's time is the limit where they go on and on. */
static void who_looks_again_has_a_deadline(void **state)
{
	struct hmm_registration *got;

	open_full();
	hmm_regcache_put(g.cache, r[0]);
	r[0] = NULL;
	moves = UINT_MAX;
	after = go_over;
	assert_int_equal(hmm_regcache_get(g.cache, at(p[ENTRIES]), PAGE, 0, 20000000, &got),
			 -ETIME);
	close_full();
}

static void end_it(struct entry *e)
{
	for (int i = 0; i < ENTRIES; i++) {
		if (r[i] != &e->r)
			continue;
		hmm_regcache_put(g.cache, r[i]);
		r[i] = NULL;
		assert_int_equal(munmap(p[i], PAGE), 0);
	}
}

/* It dies after it was looked at: the list of the dead has it then, and nobody else. */
static void one_that_dies_meanwhile_is_found(void **state)
{
	struct hmm_registration *got;

	open_full();
	after = end_it;
	got = get(&g, p[ENTRIES], PAGE);
	after = NULL;
	hmm_regcache_put(g.cache, got);
	close_full();
}

/* What is unmapped after the driver had no room for another. */
static char *unmapped;

bool __real_room_evict(struct hmm_regcache *c, uint64_t ends, uint64_t deadline);
bool __wrap_room_evict(struct hmm_regcache *c, uint64_t ends, uint64_t deadline);

bool __wrap_room_evict(struct hmm_regcache *c, uint64_t ends, uint64_t deadline)
{
	char *mem = unmapped;

	unmapped = NULL;
	if (mem) {
		munmap(mem, PAGE);
		hmm_mm_barrier(g.mm, HMM_FOREVER);
		hmm_regcache_reap(c);
	}
	return __real_room_evict(c, ends, deadline);
}

/* Then nothing is left to end for it, and the driver has room all the same. */
static void the_driver_is_asked_again_after_others_have_ended(void **state)
{
	struct hmm_registration *got, *none;
	char *idle, *mem, *other;

	registrar_open(&g, NULL);
	g.limit = PAGE;
	idle = buffer(PAGE);
	mem = buffer(PAGE);
	other = buffer(PAGE);
	hmm_regcache_put(g.cache, get(&g, idle, PAGE));
	unmapped = idle;
	got = get(&g, mem, PAGE);
	assert_null(unmapped);
	assert_int_equal(g.bytes, PAGE);
	/* This one is in use, and nothing ends. */
	assert_int_equal(hmm_regcache_get(g.cache, at(other), PAGE, 0, LONG_NS, &none), -ENOMEM);
	hmm_regcache_put(g.cache, got);
	registrar_close(&g);
	munmap(mem, PAGE);
	munmap(other, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_always_idle_is_found),
		cmocka_unit_test(who_looks_again_has_a_deadline),
		cmocka_unit_test(one_that_dies_meanwhile_is_found),
		cmocka_unit_test(the_driver_is_asked_again_after_others_have_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

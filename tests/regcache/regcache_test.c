// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A registration cache: hits, misses, and what dies. */
#include "common/registrar.h"
#include "common/broken.h"

#define BYTES (8 * PAGE)

static struct registrar g;

static void bad_arguments_are_refused(void **state)
{
	struct hmm_regcache_options o = { .size = sizeof(o), .flags = 1U << 30 };
	struct hmm_regcache_ops none = { .size = sizeof(none) };
	struct hmm_regcache *c;
	struct hmm_registration *r;
	struct hmm_regcache_stats s = { .size = 4 };

	registrar_open(&g, NULL);
	assert_int_equal(hmm_regcache_create(g.mm, &registrar_ops, &o, NULL, &c), -EINVAL);
	o = (struct hmm_regcache_options){ .size = sizeof(o), .align = 3 * PAGE };
	assert_int_equal(hmm_regcache_create(g.mm, &registrar_ops, &o, NULL, &c), -EINVAL);
	assert_int_equal(hmm_regcache_create(g.mm, NULL, NULL, NULL, &c), -EINVAL);
	assert_int_equal(hmm_regcache_create(g.mm, &none, NULL, NULL, &c), -EINVAL);
	assert_int_equal(hmm_regcache_get(g.cache, PAGE, 0, 0, 0, &r), -EINVAL);
	assert_int_equal(hmm_regcache_get(g.cache, UINT64_MAX - 5, 10, 0, 0, &r), -EINVAL);
	assert_int_equal(hmm_regcache_get(g.cache, UINT64_MAX - 50, 10, 0, 0, &r), -EINVAL);
	assert_int_equal(hmm_regcache_get(g.cache, PAGE, 1, 1U << 30, 0, &r), -EINVAL);
	assert_int_equal(hmm_regcache_get(g.cache, PAGE, 1, HMM_REGCACHE_STRICT, 0, &r), -EINVAL);
	assert_int_equal(hmm_regcache_check(g.cache, NULL, 0), -EINVAL);
	assert_int_equal(hmm_regcache_get_stats(g.cache, &s), -EINVAL);
	hmm_regcache_put(g.cache, NULL);
	hmm_regcache_destroy(NULL);
	registrar_close(&g);
}

static void the_second_get_is_a_hit(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *a;
	struct hmm_registration *b;

	registrar_open(&g, NULL);
	a = get(&g, p, BYTES);
	b = get(&g, p + 3 * PAGE + 5, 100);
	assert_ptr_equal(a, b);
	assert_int_equal(g.made, 1);
	assert_int_equal(a->flags, HMM_REGCACHE_WRITE);
	assert_int_equal(stats_of(&g).hits, 1);
	assert_int_equal(stats_of(&g).misses, 1);
	assert_int_equal(stats_of(&g).entries, 1);
	assert_int_equal(stats_of(&g).bytes, BYTES);
	assert_int_equal(stats_of(&g).pinned, BYTES);
	assert_int_equal(hmm_regcache_check(g.cache, a, 0), 0);
	assert_int_equal(hmm_regcache_check(g.cache, a, HMM_REGCACHE_ORDERED), 0);
	hmm_regcache_put(g.cache, a);
	hmm_regcache_put(g.cache, b);
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(g.ended, 0);
	registrar_close(&g);
	assert_int_equal(g.ended, 1);
	munmap(p, BYTES);
}

static void writing_needs_a_registration_for_writing(void **state)
{
	char *p = buffer(BYTES);

	registrar_open(&g, NULL);
	hmm_regcache_put(g.cache, get_with(&g, p, BYTES, 0));
	assert_true(is_cached(&g, p, BYTES));
	hmm_regcache_put(g.cache, get_with(&g, p, PAGE, HMM_REGCACHE_WRITE));
	assert_int_equal(g.made, 2);
	/* It took the place of the other one, for all of its range. */
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(stats_of(&g).entries, 1);
	assert_int_equal(g.ended, 1);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void only_what_is_cached(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, HMM_REGCACHE_HIT, 0, &r), -ENOENT);
	assert_int_equal(g.made, 0);
	assert_false(hits(&g, p, BYTES));
	assert_true(is_cached(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void once_is_not_kept(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	r = get_with(&g, p, BYTES, HMM_REGCACHE_ONCE);
	assert_int_equal(r->flags, HMM_REGCACHE_ONCE);
	assert_int_equal(stats_of(&g).entries, 0);
	assert_int_equal(stats_of(&g).pinned, BYTES);
	/* Nothing watches it. */
	assert_int_equal(hmm_regcache_check(g.cache, r, 0), -ESTALE);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(g.ended, 1);
	assert_int_equal(stats_of(&g).refused, 0);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void what_is_unmapped_is_registered_anew(void **state)
{
	char *p = buffer(BYTES);

	registrar_open(&g, NULL);
	for (int i = 0; i < 100; i++) {
		assert_false(hits(&g, p, BYTES));
		assert_true(hits(&g, p, BYTES));
		replace(p, BYTES);
	}
	settle_mm(&g);
	assert_int_equal(g.made, 100);
	assert_int_equal(stats_of(&g).invalidated, 100);
	registrar_close(&g);
	munmap(p, BYTES);
}

/* The unmapping thread has synchronised with us: it is us. */
static void ordered_gets_see_what_returned(void **state)
{
	char *p = buffer(BYTES);
	const unsigned int flags = HMM_REGCACHE_WRITE | HMM_REGCACHE_ORDERED;
	struct hmm_mm_stats before = { .size = sizeof(before) };
	struct hmm_mm_stats after = { .size = sizeof(after) };

	registrar_open(&g, NULL);
	for (int i = 0; i < 1000; i++) {
		hmm_regcache_put(g.cache, get_with(&g, p, BYTES, flags));
		replace(p, BYTES);
	}
	assert_int_equal(g.made, 1000);
	hmm_regcache_put(g.cache, get_with(&g, p, BYTES, flags));
	hmm_mm_get_stats(g.mm, &before);
	for (int i = 0; i < 1000; i++)
		hmm_regcache_put(g.cache, get_with(&g, p, BYTES, flags));
	hmm_mm_get_stats(g.mm, &after);
	assert_int_equal(after.probes, before.probes);
	assert_int_equal(g.made, 1001);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void a_hit_makes_one_probe(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_mm_stats before = { .size = sizeof(before) };
	struct hmm_mm_stats after = { .size = sizeof(after) };

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	hmm_mm_get_stats(g.mm, &before);
	for (int i = 0; i < 1000; i++)
		assert_true(hits(&g, p, BYTES));
	hmm_mm_get_stats(g.mm, &after);
	/* They are counted some at a time. */
	assert_in_range(after.probes - before.probes, 900, 1070);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void a_part_that_goes_ends_the_whole(void **state)
{
	char *p = buffer(BYTES);
	char *other = buffer(BYTES);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	assert_false(hits(&g, other, BYTES));
	replace(p + 3 * PAGE, PAGE);
	assert_false(is_cached(&g, p, BYTES));
	assert_false(is_cached(&g, p, PAGE));
	assert_true(hits(&g, other, BYTES));
	/* What is still mapped is registered by itself. */
	assert_false(hits(&g, p, PAGE));
	assert_true(hits(&g, p, PAGE));
	assert_false(hits(&g, p, BYTES));
	assert_int_equal(munmap(p + 7 * PAGE, PAGE), 0);
	assert_false(hits(&g, p, 7 * PAGE));
	assert_true(hits(&g, p, 7 * PAGE));
	registrar_close(&g);
	munmap(p, BYTES);
	munmap(other, BYTES);
}

static void what_is_in_use_lives_until_it_is_put(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *old;
	struct hmm_registration *new;

	registrar_open(&g, NULL);
	old = get(&g, p, BYTES);
	replace(p, BYTES);
	settle_mm(&g);
	assert_int_equal(hmm_regcache_check(g.cache, old, 0), -ESTALE);
	assert_int_equal(stats_of(&g).dead, 1);
	new = get(&g, p, BYTES);
	assert_ptr_not_equal(old, new);
	assert_int_equal(hmm_regcache_reap(g.cache), 0);
	assert_int_equal(g.ended, 0);
	assert_int_equal(stats_of(&g).pinned, 2 * BYTES);
	hmm_regcache_put(g.cache, old);
	assert_int_equal(g.ended, 1);
	assert_int_equal(stats_of(&g).dead, 0);
	hmm_regcache_put(g.cache, new);
	assert_int_equal(g.ended, 1);
	if (break_rule("cache-early-free")) {
		old = get(&g, p, BYTES);
		replace(p, BYTES);
		settle_mm(&g);
		hmm_regcache_reap(g.cache);
		assert_int_equal(g.ended, 2);
		hmm_regcache_put(g.cache, old);
		mend();
	}
	registrar_close(&g);
	munmap(p, BYTES);
}

/* Nobody has looked meanwhile: put finds that it is dead. */
static void the_last_put_of_a_dead_one_ends_it(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	r = get(&g, p, BYTES);
	assert_ptr_equal(get(&g, p, BYTES), r);
	replace(p, BYTES);
	settle_mm(&g);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(g.ended, 0);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(g.ended, 1);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void the_dead_are_not_handed_out(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	assert_int_equal(munmap(p, BYTES), 0);
	assert_false(is_cached(&g, p, BYTES));
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), -EFAULT);
	assert_ptr_equal(mmap(p, BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	assert_false(hits(&g, p, BYTES));
	if (break_rule("cache-undead")) {
		r = get(&g, p, BYTES);
		replace(p, BYTES);
		settle_mm(&g);
		assert_true(is_cached(&g, p, BYTES));
		mend();
		hmm_regcache_put(g.cache, r);
	}
	registrar_close(&g);
	munmap(p, BYTES);
}

static void reap_ends_the_dead(void **state)
{
	enum { N = 40 };
	char *p[N];

	registrar_open(&g, NULL);
	for (int i = 0; i < N; i++) {
		p[i] = buffer(PAGE);
		assert_false(hits(&g, p[i], PAGE));
	}
	assert_int_equal(hmm_regcache_reap(g.cache), 0);
	munmap(p[7], PAGE);
	settle_mm(&g);
	assert_int_equal(stats_of(&g).dead, 1);
	/* Never by the thread that unmaps, nor by the pump. */
	assert_int_equal(g.ended, 0);
	assert_int_equal(hmm_regcache_reap(g.cache), 1);
	for (int i = 10; i < 30; i++)
		munmap(p[i], PAGE);
	settle_mm(&g);
	assert_int_equal(stats_of(&g).dead, 20);
	assert_int_equal(hmm_regcache_reap(g.cache), 20);
	assert_int_equal(g.ended, 21);
	assert_int_equal(stats_of(&g).entries, N - 21);
	for (int i = 0; i < N; i++)
		assert_int_equal(is_cached(&g, p[i], PAGE), i != 7 && (i < 10 || i >= 30));
	registrar_close(&g);
	for (int i = 0; i < N; i++)
		munmap(p[i], PAGE);
}

static void flush_ends_all_and_keeps_none(void **state)
{
	char *p = buffer(BYTES);
	char *q = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	r = get(&g, p, BYTES);
	assert_false(hits(&g, q, BYTES));
	assert_int_equal(hmm_regcache_flush(g.cache), 1);
	assert_int_equal(stats_of(&g).entries, 0);
	assert_false(is_cached(&g, p, BYTES));
	/* It is in use, and it is true. */
	assert_int_equal(hmm_regcache_check(g.cache, r, 0), 0);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(g.ended, 2);
	registrar_close(&g);
	munmap(p, BYTES);
	munmap(q, BYTES);
}

static void replace_within(void *arg)
{
	char *p = arg;

	replace(p, PAGE);
}

static void replace_twice(void *arg)
{
	if (g.made <= 2)
		replace(arg, PAGE);
}

/* The registration is of pages that are no longer mapped when @reg returns. */
static void what_changes_while_it_is_registered_is_not_kept(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	g.within = replace_within;
	g.arg = p;
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), 0);
	assert_true(r->flags & HMM_REGCACHE_ONCE);
	assert_int_equal(stats_of(&g).entries, 0);
	assert_int_equal(stats_of(&g).refused, 1);
	assert_int_equal(g.ended, g.made - 1);
	hmm_regcache_put(g.cache, r);
	if (break_rule("cache-keep")) {
		assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), 0);
		assert_false(r->flags & HMM_REGCACHE_ONCE);
		assert_false(is_true(&g, r));
		hmm_regcache_put(g.cache, r);
		mend();
	}
	registrar_close(&g);
	munmap(p, BYTES);
}

static void what_changes_for_a_while_is_registered_again(void **state)
{
	char *p = buffer(BYTES);

	registrar_open(&g, NULL);
	g.within = replace_twice;
	g.arg = p;
	hmm_regcache_put(g.cache, get(&g, p, BYTES));
	assert_int_equal(g.made, 3);
	assert_int_equal(g.ended, 2);
	g.within = NULL;
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void what_the_driver_answers_is_answered(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	g.fails = -EPERM;
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), -EPERM);
	g.fails = -EAGAIN;
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), -EAGAIN);
	g.fails = -ENOBUFS;
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r), -ENOMEM);
	assert_int_equal(stats_of(&g).pinned, 0);
	assert_int_equal(stats_of(&g).misses, 0);
	g.fails = 0;
	assert_false(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void two_caches_know_nothing_of_each_other(void **state)
{
	static struct registrar h;
	char *p = buffer(BYTES);

	registrar_open(&g, NULL);
	memset(&h, 0, sizeof(h));
	pthread_mutex_init(&h.lock, NULL);
	h.mm = g.mm;
	assert_int_equal(hmm_regcache_create(g.mm, &registrar_ops, NULL, &h, &h.cache), 0);
	for (int i = 0; i < 100; i++) {
		assert_false(hits(&g, p, BYTES));
		replace(p, BYTES);
		assert_false(hits(&h, p, BYTES));
		assert_false(hits(&g, p, BYTES));
		assert_true(hits(&h, p, BYTES));
		replace(p, BYTES);
		assert_false(hits(&h, p, BYTES));
	}
	hmm_regcache_destroy(h.cache);
	assert_int_equal(h.ended, h.made);
	assert_int_equal(h.twice, 0);
	registrar_close(&g);
	munmap(p, BYTES);
}

static _Atomic bool hangs;
static _Atomic int hung;

static int hang(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	hung++;
	while (hangs)
		usleep(1000);
	return 0;
}

static void *unmap_page(void *arg)
{
	munmap(arg, PAGE);
	return NULL;
}

/* While the pump hangs in another driver's callback nothing can be known. */
static void a_get_gives_up_at_its_timeout(void **state)
{
	static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
							      .invalidate = hang };
	const uint64_t soon = 3000000;
	char *p = buffer(BYTES);
	char *other = buffer(BYTES);
	char *third = buffer(BYTES);
	struct hmm_interval_notifier *ni;
	struct hmm_registration *r;
	pthread_t thread;

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	assert_false(hits(&g, other, BYTES));
	assert_int_equal(hmm_interval_notifier_insert(g.mm, at(other), PAGE, &ops, NULL, &ni), 0);
	hangs = true;
	hung = 0;
	assert_int_equal(pthread_create(&thread, NULL, unmap_page, other), 0);
	while (!hung)
		usleep(1000);
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, soon, &r), -ETIME);
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, HMM_NO_WAIT, &r), -ETIME);
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, HMM_REGCACHE_ORDERED, soon, &r),
			 -ETIME);
	assert_int_equal(hmm_regcache_get(g.cache, at(other + PAGE), PAGE, 0, soon, &r), -ETIME);
	/* Nothing asks what is registered once. */
	assert_int_equal(hmm_regcache_get(g.cache, at(third), PAGE, HMM_REGCACHE_ONCE, LONG_NS, &r),
			 0);
	hmm_regcache_put(g.cache, r);
	hangs = false;
	pthread_join(thread, NULL);
	assert_true(hits(&g, p, BYTES));
	hmm_interval_notifier_remove(ni);
	registrar_close(&g);
	munmap(p, BYTES);
	munmap(other, BYTES);
	munmap(third, BYTES);
}

static void after_the_space_is_gone(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;

	registrar_open(&g, NULL);
	r = get(&g, p, BYTES);
	hmm_mm_detach(g.mm);
	assert_int_equal(hmm_regcache_check(g.cache, r, 0), -ESRCH);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(hmm_regcache_get(g.cache, at(p), BYTES, 0, 0, &r), -ESRCH);
	hmm_regcache_destroy(g.cache);
	assert_int_equal(g.ended, g.made);
	munmap(p, BYTES);
}

/* ---- a callback that ends its thread, which is forbidden ------------------------------------- */

static void end_thread(void *arg)
{
	struct registrar *own = arg;

	own->within = NULL;
	pthread_exit(NULL);
}

static void *gets_both(void *p)
{
	struct hmm_registration *r;

	hmm_regcache_get(g.cache, at(p), 2 * PAGE, 0, LONG_NS, &r);
	return p;
}

static void in_a_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	void *got;

	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	pthread_join(thread, &got);
	assert_null(got);
}

static void a_reg_that_ends_its_thread_leaves_nobody_waiting(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = 1 };
	char *p = buffer(2 * PAGE);

	registrar_open(&g, &o);
	g.within = end_thread;
	g.arg = &g;
	in_a_thread(gets_both, p);
	assert_int_equal(stats_of(&g).pinned, 0);
	assert_false(hits(&g, p, PAGE));
	/* A larger one, for what overlaps. */
	g.within = end_thread;
	in_a_thread(gets_both, p);
	assert_int_equal(stats_of(&g).pinned, stats_of(&g).bytes);
	assert_false(hits(&g, p, 2 * PAGE));
	assert_true(hits(&g, p, 2 * PAGE));
	/* Those that the threads have registered and not told of. */
	g.ended += 2;
	registrar_close(&g);
	munmap(p, 2 * PAGE);
}

static bool dereg_exits;

static void exiting_dereg(struct hmm_registration *r, void *priv)
{
	registrar_dereg(r, priv);
	if (dereg_exits)
		end_thread(priv);
}

static void *flushes(void *p)
{
	hmm_regcache_flush(g.cache);
	return p;
}

static void *gets_one(void *p)
{
	struct hmm_registration *r;

	if (!hmm_regcache_get(g.cache, at(p), PAGE, 0, LONG_NS, &r))
		hmm_regcache_put(g.cache, r);
	return p;
}

static void a_dereg_that_ends_its_thread_leaves_nobody_waiting(void **state)
{
	const struct hmm_regcache_ops ops = { .size = sizeof(ops),
					      .reg = registrar_reg,
					      .dereg = exiting_dereg };
	const struct hmm_regcache_options o = { .size = sizeof(o),
						.max_entries = 3,
						.max_merge = 1 };
	char *p = buffer(4 * PAGE);

	registrar_open(&g, NULL);
	hmm_regcache_destroy(g.cache);
	assert_int_equal(hmm_regcache_create(g.mm, &ops, &o, &g, &g.cache), 0);
	for (int i = 0; i < 3; i++)
		assert_false(hits(&g, p + i * PAGE, PAGE));
	dereg_exits = true;
	in_a_thread(flushes, p);
	assert_int_equal(g.ended, 3);
	assert_int_equal(stats_of(&g).pinned, 0);
	dereg_exits = false;
	for (int i = 0; i < 3; i++)
		assert_false(hits(&g, p + i * PAGE, PAGE));
	/* A miss that makes room. */
	dereg_exits = true;
	in_a_thread(gets_one, p + 3 * PAGE);
	dereg_exits = false;
	assert_int_equal(stats_of(&g).pinned, 2 * PAGE);
	for (int i = 0; i < 4; i++)
		hits(&g, p + i * PAGE, PAGE);
	assert_int_equal(stats_of(&g).pinned, 3 * PAGE);
	registrar_close(&g);
	munmap(p, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(the_second_get_is_a_hit),
		cmocka_unit_test(writing_needs_a_registration_for_writing),
		cmocka_unit_test(only_what_is_cached),
		cmocka_unit_test(once_is_not_kept),
		cmocka_unit_test(what_is_unmapped_is_registered_anew),
		cmocka_unit_test(ordered_gets_see_what_returned),
		cmocka_unit_test(a_hit_makes_one_probe),
		cmocka_unit_test(a_part_that_goes_ends_the_whole),
		cmocka_unit_test(what_is_in_use_lives_until_it_is_put),
		cmocka_unit_test(the_last_put_of_a_dead_one_ends_it),
		cmocka_unit_test(the_dead_are_not_handed_out),
		cmocka_unit_test(reap_ends_the_dead),
		cmocka_unit_test(flush_ends_all_and_keeps_none),
		cmocka_unit_test(what_changes_while_it_is_registered_is_not_kept),
		cmocka_unit_test(what_changes_for_a_while_is_registered_again),
		cmocka_unit_test(what_the_driver_answers_is_answered),
		cmocka_unit_test(two_caches_know_nothing_of_each_other),
		cmocka_unit_test(a_get_gives_up_at_its_timeout),
		cmocka_unit_test(after_the_space_is_gone),
		cmocka_unit_test(a_reg_that_ends_its_thread_leaves_nobody_waiting),
		cmocka_unit_test(a_dereg_that_ends_its_thread_leaves_nobody_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Forks: the parent keeps what it has registered, the child has none of it. */
#include "common/registrar.h"

#define BYTES (4 * PAGE)

static struct registrar g;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 200 + 1);                                                 \
	} while (0)

static int end_of(pid_t pid)
{
	const int status = status_of(pid);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Pinned pages stay the parent's, and so the words that the driver would see. */
static void the_parent_goes_on_hitting(void **state)
{
	char *p = buffer(BYTES);
	pid_t pid;

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	pid = fork_tied();
	if (!pid)
		_exit(0);
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(end_of(pid), 0);
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(stats_of(&g).invalidated, 0);
	replace(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void a_fork_ends_what_is_not_pinned(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_FORK };
	char *p = buffer(BYTES);
	pid_t pid;

	registrar_open(&g, &o);
	assert_false(hits(&g, p, BYTES));
	pid = fork_tied();
	if (!pid)
		_exit(0);
	assert_int_equal(end_of(pid), 0);
	assert_false(hits(&g, p, BYTES));
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void in_child_refused(char *p, struct hmm_registration *r)
{
	struct hmm_registration *other;
	const unsigned int made = g.made;

	CHECK(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &other) == -ESRCH);
	CHECK(hmm_regcache_get(g.cache, at(p), BYTES, HMM_REGCACHE_HIT, LONG_NS, &other) == -ESRCH);
	CHECK(hmm_regcache_check(g.cache, r, 0) == -ESRCH);
	CHECK(hmm_regcache_reap(g.cache) == 0);
	CHECK(hmm_regcache_flush(g.cache) == 0);
	hmm_regcache_put(g.cache, r);
	hmm_regcache_destroy(g.cache);
	/* The registrations are the parent's. */
	CHECK(g.made == made && g.ended == 0);
	_exit(0);
}

static void a_child_has_no_cache(void **state)
{
	char *p = buffer(BYTES);
	struct hmm_registration *r;
	pid_t pid;

	registrar_open(&g, NULL);
	r = get(&g, p, BYTES);
	pid = fork_tied();
	if (!pid)
		in_child_refused(p, r);
	assert_int_equal(end_of(pid), 0);
	hmm_regcache_put(g.cache, r);
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void in_child_once(char *p)
{
	struct hmm_registration *r;

	CHECK(!hmm_regcache_get(g.cache, at(p), BYTES, HMM_REGCACHE_WRITE, LONG_NS, &r));
	CHECK(r->flags == (HMM_REGCACHE_ONCE | HMM_REGCACHE_WRITE));
	CHECK(r->start == at(p) && r->length == BYTES && g.made == 2);
	hmm_regcache_put(g.cache, r);
	CHECK(g.ended == 1);
	g.fails = -EPERM;
	CHECK(hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r) == -EPERM);
	CHECK(hmm_regcache_get(g.cache, at(p), BYTES, HMM_REGCACHE_HIT, LONG_NS, &r) == -ENOENT);
	hmm_regcache_destroy(g.cache);
	_exit(0);
}

static void a_child_registers_once(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_CHILD };
	char *p = buffer(BYTES);
	pid_t pid;

	registrar_open(&g, &o);
	assert_false(hits(&g, p, BYTES));
	pid = fork_tied();
	if (!pid)
		in_child_once(p);
	assert_int_equal(end_of(pid), 0);
	pid = raw_clone(0);
	if (!pid)
		in_child_once(p);
	assert_int_equal(end_of(pid), 0);
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static struct {
	char *p;
	_Atomic bool stop;
	_Atomic int rounds;
} churn;

static void *get_and_unmap(void *arg)
{
	while (!churn.stop) {
		hmm_regcache_put(g.cache, get(&g, churn.p, PAGE));
		replace(churn.p, PAGE);
		/* The registrar remembers the last RECORDS registrations. */
		if (++churn.rounds > RECORDS / 2)
			usleep(10000);
		while (churn.rounds > RECORDS - 200 && !churn.stop)
			usleep(1000);
	}
	return NULL;
}

/* The child's copy of the lock may be held by a thread that it does not have. */
static void forks_while_others_get(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_CHILD };
	char *p = buffer(BYTES);
	pthread_t thread;

	registrar_open(&g, &o);
	churn.p = buffer(PAGE);
	churn.stop = false;
	churn.rounds = 0;
	assert_int_equal(pthread_create(&thread, NULL, get_and_unmap, NULL), 0);
	for (int i = 0; i < 30 || churn.rounds < 30; i++) {
		pid_t pid = fork_tied();

		if (!pid) {
			struct hmm_registration *r;

			/* the driver's own lock, which it would have to see to itself */
			pthread_mutex_init(&g.lock, NULL);
			CHECK(!hmm_regcache_get(g.cache, at(p), BYTES, 0, LONG_NS, &r));
			hmm_regcache_put(g.cache, r);
			hmm_regcache_destroy(g.cache);
			_exit(0);
		}
		assert_int_equal(end_of(pid), 0);
		hits(&g, p, BYTES);
	}
	churn.stop = true;
	pthread_join(thread, NULL);
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
	munmap(churn.p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parent_goes_on_hitting),
		cmocka_unit_test(a_fork_ends_what_is_not_pinned),
		cmocka_unit_test(a_child_has_no_cache),
		cmocka_unit_test(a_child_registers_once),
		cmocka_unit_test(forks_while_others_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Threads of the library's end when they are told to, also one that was about to look for work at
 * that moment: it is held there, in a build with mutations.
 */
#include "common/devmem.h"
#include "base/futex.h"
#include "base/hooks.h"
#include "devmem/copy.h"

#include <signal.h>

#define LIMIT_S 60

/* The thread that is held, until it is told to end. */
static struct {
	pthread_t thread;
	_Atomic uint32_t *stop;
	_Atomic bool armed;
	_Atomic bool inside;
} held;

static void pause_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void hold(enum hmm_point point, void *arg)
{
	(void)arg;
	if (point != HMM_POINT_IDLE || !held.armed || !pthread_equal(pthread_self(), held.thread))
		return;
	held.armed = false;
	held.inside = true;
	while (!atomic_load(held.stop))
		pause_ms(1);
	pause_ms(20); /* the change that wakes it comes after that */
}

static void hold_thread(const struct ownthread *t, _Atomic uint32_t *stop, _Atomic uint32_t *word)
{
	held.thread = t->id;
	held.stop = stop;
	held.inside = false;
	held.armed = true;
	while (!held.inside) {
		futex_wake(word);
		pause_ms(1);
	}
}

static struct with_devmem with;

static void open_copying(void)
{
	devmem_open_copying(&with, REGION, 0, 0);
	hmm_hook_fn = hold;
	alarm(LIMIT_S);
}

static void close_all(void)
{
	devmem_close(&with);
	alarm(0);
	hmm_hook_fn = NULL;
	assert_false(held.armed);
}

static void the_copier_ends(void **state)
{
	struct copier *c;

	(void)state;
	open_copying();
	c = with.d->copier;
	hold_thread(&c->thread, &c->stop, &c->work);
	close_all();
}

static void the_worker_ends(void **state)
{
	struct devmem_space *s;

	(void)state;
	open_copying();
	s = devmem_of(with.m.mm);
	hold_thread(&s->worker, &s->stop, &s->work);
	close_all();
}

/* It has taken pages away before, and must not do so once more. */
static void the_stage_ends(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	struct stage *st;

	(void)state;
	open_copying();
	for (size_t i = 0; i < 4; i++)
		*(size_t *)(p + i * PAGE) = i + 1;
	assert_int_equal(mprotect(p, 4 * PAGE, PROT_READ), 0);
	st = &devmem_of(with.m.mm)->stage;
	/* as if it had */
	st->from = at(p);
	st->to = st->area.base;
	st->bytes = 4 * PAGE;
	hold_thread(&st->thread, &st->stop, &st->asked);
	close_all();
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(*(size_t *)(p + i * PAGE), i + 1);
	munmap(p, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_copier_ends),
		cmocka_unit_test(the_worker_ends),
		cmocka_unit_test(the_stage_ends),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A forked child lets go of what it inherited, whatever locks were held when it was forked, and
 * begins anew.
 */
#include <errno.h>

#include "common/fork.h"
#include "ptable/ptable.h"
#include "svm/svm.h"
#include "engine/gate.h"

#include <hmm/device.h>

static _Atomic bool stop, held_all;

static void none(void *priv)
{
	(void)priv;
}

static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), none, none };

struct all {
	struct space s;
	struct hmm_engine *engine;
	struct hmm_quiescer *quiescer;
	struct hmm_ptable *table;
	struct hmm_device *dev;
	struct hmm_svm *svm;
};

static void all_open(struct all *a, uint32_t flags)
{
	space_open(&a->s, 4, flags);
	assert_int_equal(hmm_engine_create(a->s.mm, &a->engine), 0);
	assert_int_equal(hmm_quiescer_add(a->s.mm, &quiescer_ops, NULL, &a->quiescer), 0);
	assert_int_equal(hmm_ptable_create(NULL, &a->table), 0);
	assert_int_equal(hmm_device_open(a->s.mm, "null", 1, &a->dev), 0);
	assert_int_equal(hmm_svm_create(a->s.mm, a->dev, NULL, &a->svm), 0);
	assert_int_equal(hmm_svm_fault(a->svm, addr(&a->s, 0), PAGE, PROT_READ), 0);
}

static void all_close(struct all *a)
{
	hmm_svm_destroy(a->svm);
	hmm_device_destroy(a->dev);
	hmm_ptable_destroy(a->table);
	hmm_quiescer_remove(a->quiescer);
	hmm_engine_destroy(a->engine);
	space_close(&a->s);
}

static int visit(const struct hmm_svm_chunk *chunk, void *arg)
{
	(void)chunk;
	(void)arg;
	return 1;
}

static int visit_entry(uint64_t at, uint32_t shift, uint64_t entry, void *arg)
{
	(void)at;
	(void)shift;
	(void)entry;
	(void)arg;
	return 1;
}

/* The number of the first call that does not refuse; 0: all do. */
static int refused(struct all *a)
{
	struct hmm_svm_stats svm = { .size = sizeof(svm) };
	struct hmm_device_stats dev = { .size = sizeof(dev) };
	struct hmm_mm_stats mm = { .size = sizeof(mm) };
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_interval_notifier *ni;
	struct hmm_quiescer *quiescer;
	struct hmm_engine *engine;
	struct hmm_device *device;
	struct hmm_svm *mirror;
	struct hmm_job job = { .size = sizeof(job) };
	const uint64_t entry = HMM_PFN_VALID;
	uint64_t seq;
	const int said[] = {
		hmm_mm_get_info(a->s.mm, &info),
		hmm_mm_get_stats(a->s.mm, &mm),
		hmm_mm_barrier(a->s.mm, HMM_FOREVER),
		hmm_mm_check_files(a->s.mm),
		hmm_mm_note(a->s.mm, HMM_NOTE_DISCARD, PAGE, 2 * PAGE),
		hmm_mm_note_file(a->s.mm, 0),
		hmm_mm_note_writeback(a->s.mm, -1),
		fault(&a->s, 0, &seq),
		hmm_interval_notifier_insert(a->s.mm, PAGE, PAGE, &on_ops, NULL, &ni),
		hmm_engine_create(a->s.mm, &engine),
		hmm_quiescer_add(a->s.mm, &quiescer_ops, NULL, &quiescer),
		hmm_ptable_set(a->table, PAGE, 12, &entry, 1),
		hmm_ptable_walk(a->table, 0, UINT64_MAX, visit_entry, NULL),
		hmm_device_open(a->s.mm, "null", 1, &device),
		hmm_device_get_stats(a->dev, &dev),
		hmm_device_serve_faults(a->dev),
		hmm_device_restore(a->dev),
		hmm_svm_create(a->s.mm, a->dev, NULL, &mirror),
		hmm_svm_fault(a->svm, addr(&a->s, 0), PAGE, PROT_READ),
		(int)hmm_svm_prefetch(a->svm, addr(&a->s, 0), addr(&a->s, 1), PROT_READ),
		hmm_svm_drop(a->svm, addr(&a->s, 0), addr(&a->s, 1)),
		hmm_svm_remove_range(a->svm, addr(&a->s, 0), addr(&a->s, 1)),
		hmm_svm_wait(a->svm, &job, HMM_FOREVER),
		hmm_svm_cancel(a->svm, &job),
		hmm_svm_walk(a->svm, 0, UINT64_MAX, visit, NULL),
		hmm_svm_get_stats(a->svm, &svm),
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (said[i] != -ESRCH)
			return (int)i + 1;
	return 0;
}

/* What returns nothing returns. */
static int let_go(struct all *a)
{
	int bad = refused(a);

	if (bad)
		return bad;
	hmm_engine_enter(a->engine);
	if (hmm_engine_exit(a->engine) || !hmm_interval_stale(a->s.ni, 0))
		return 101;
	hmm_mm_commit_begin(a->s.mm);
	hmm_mm_commit_end(a->s.mm);
	hmm_interval_read_begin(a->s.ni);
	if (hmm_mm_note(NULL, HMM_NOTE_DISCARD, PAGE, 2 * PAGE) || hmm_svm_collect(a->svm) ||
	    hmm_ptable_clear(a->table, 0, UINT64_MAX) || hmm_ptable_reclaim(a->table))
		return 102;
	hmm_svm_destroy(a->svm);
	hmm_device_destroy(a->dev);
	hmm_ptable_destroy(a->table);
	hmm_quiescer_remove(a->quiescer);
	hmm_engine_destroy(a->engine);
	hmm_interval_notifier_remove(a->s.ni);
	hmm_mm_detach(a->s.mm);
	return 0;
}

/* 0, or what did not work of a mirror of the child's own. */
static int start_anew(void)
{
	struct all a;
	uint64_t seq;

	all_open(&a, 0);
	if (fault(&a.s, 0, &seq) || hmm_interval_stale(a.s.ni, seq))
		return 103;
	if (hmm_svm_fault(a.svm, addr(&a.s, 1), PAGE, RW))
		return 104;
	munmap(a.s.p, PAGE);
	settle(&a.s);
	if (!hmm_interval_stale(a.s.ni, seq))
		return 105;
	all_close(&a);
	return 0;
}

/* All locks but those that a fork takes itself are held, by a thread that a child has not. */
static void *hold_all(void *arg)
{
	struct all *a = arg;
	pthread_mutex_t *const locks[] = {
		&a->s.mm->region_lock,
		&a->s.mm->discards.lock,
		&a->s.mm->notifiers_pool.lock,
		&a->s.mm->regions_pool.lock,
		&a->svm->lock,
		&a->svm->notifier_lock,
		&a->svm->small_pool.lock,
		&a->svm->pfns_pool.lock,
		&a->svm->batch_pool.lock,
		&a->table->lock,
	};
	const int n = sizeof(locks) / sizeof(locks[0]);

	for (int i = 0; i < n; i++)
		pthread_mutex_lock(locks[i]);
	atomic_store(&held_all, true);
	while (!atomic_load(&stop))
		usleep(100);
	for (int i = n; i-- > 0;)
		pthread_mutex_unlock(locks[i]);
	return NULL;
}

static void *hold_gate_too(void *arg)
{
	struct all *a = arg;

	gate_close(a->s.mm, 0);
	pthread_mutex_lock(&a->s.mm->notifier_lock);
	pthread_mutex_lock(&a->svm->chunks->lock);
	hold_all(a);
	pthread_mutex_unlock(&a->svm->chunks->lock);
	pthread_mutex_unlock(&a->s.mm->notifier_lock);
	gate_open(a->s.mm);
	return NULL;
}

static void child_lets_go(void *(*hold)(void *), pid_t (*make)(void))
{
	struct all a;
	pthread_t thread;
	pid_t pid;
	int bad;

	/* Nobody can read an event while all that is held. */
	all_open(&a, HMM_MM_NO_EVENT_FORK);
	atomic_store(&stop, false);
	atomic_store(&held_all, false);
	assert_int_equal(pthread_create(&thread, NULL, hold, &a), 0);
	while (!atomic_load(&held_all))
		sched_yield();
	pid = make();
	if (!pid) {
		alarm(50);
		bad = let_go(&a);
		_exit(bad ? bad : start_anew());
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	atomic_store(&held_all, false);
	assert_int_equal(status_of(pid), 0);
	all_close(&a);
}

static pid_t make_raw(void)
{
	return raw_clone(0);
}

static void a_child_lets_go_of_what_it_inherited(void **state)
{
	(void)state;
	child_lets_go(hold_all, fork);
}

static void the_child_of_a_raw_clone_lets_go_of_it(void **state)
{
	(void)state;
	child_lets_go(hold_gate_too, make_raw);
}

/*
 * A fork waits for a callback that hangs, but not for ever: nothing is used before the gate opens.
 */
static void a_fork_does_not_wait_for_ever_for_the_gate(void **state)
{
	(void)state;
	child_lets_go(hold_gate_too, fork);
}

/* The parent goes; the child stays, and begins anew. */
static void a_daemon_begins_anew(void **state)
{
	int answer[2];
	struct all a;
	int said = -1;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(answer), 0);
	pid = fork();
	if (!pid) {
		alarm(50);
		all_open(&a, 0);
		if (daemon(1, 1))
			_exit(1);
		said = let_go(&a);
		if (!said)
			said = start_anew();
		_exit(write(answer[1], &said, sizeof(said)) != sizeof(said));
	}
	close(answer[1]);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(read(answer[0], &said, sizeof(said)), sizeof(said));
	assert_int_equal(said, 0);
	close(answer[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_lets_go_of_what_it_inherited),
		cmocka_unit_test(the_child_of_a_raw_clone_lets_go_of_it),
		cmocka_unit_test(a_fork_does_not_wait_for_ever_for_the_gate),
		cmocka_unit_test(a_daemon_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

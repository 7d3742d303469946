// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * With LIBHMM_DEBUG each call that breaks a rule is reported once, by its name; a correct program
 * hears nothing.
 */
#include "reports.h"

#include <sys/prctl.h>

struct all {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct hmm_ptable *pt;
	struct hmm_device *dev;
	struct hmm_svm *svm;
	struct hmm_engine *engine, *other;
	struct hmm_regcache *cache;
	char *p;
};

static struct all a;
/* What the next callback of that kind does. */
typedef void call_fn(void);
static call_fn *_Atomic in_invalidate, *_Atomic in_holds, *_Atomic in_map, *_Atomic in_drop,
	*_Atomic in_quiesce, *_Atomic in_resume;

static void once(call_fn *_Atomic *fn)
{
	call_fn *f = atomic_exchange(fn, NULL);

	if (f)
		f();
}

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	once(&in_invalidate);
	return 0;
}

static bool on_holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv)
{
	once(&in_holds);
	return true;
}

static const struct hmm_interval_notifier_ops on_ops = { sizeof(on_ops), on_invalidate, on_holds };

static int map(struct hmm_device *d, const struct hmm_device_map *m)
{
	once(&in_map);
	return hmm_ptable_set(a.pt, m->start, m->shift, m->pfns, m->n);
}

static void drop(struct hmm_device *d, uint64_t start, uint64_t end, enum hmm_event why)
{
	once(&in_drop);
	hmm_ptable_clear(a.pt, start, end);
}

static const struct hmm_device_ops ops = {
	.size = sizeof(ops), .abi = HMM_DEVICE_ABI, .name = "test", .map = map, .invalidate = drop
};

static void quiesce(void *priv)
{
	once(&in_quiesce);
}

static void resume(void *priv)
{
	once(&in_resume);
}

static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), quiesce, resume };

static int reg(struct hmm_registration *r, void *priv)
{
	return 0;
}

static void dereg(struct hmm_registration *r, void *priv)
{
}

static const struct hmm_regcache_ops cache_ops = { sizeof(cache_ops), 0, reg, dereg };

static uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void *pages(size_t n)
{
	void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int begin(void **state)
{
	memset(&a, 0, sizeof(a));
	/*
	 * A block of its own, so that nothing else of the program is in the VMA that is mirrored.
	 */
	a.p = pages(1024);
	assert_int_equal(mprotect(a.p, 256 * PAGE, PROT_NONE), 0);
	assert_int_equal(mprotect(a.p + 768 * PAGE, 256 * PAGE, PROT_NONE), 0);
	a.p += 512 * PAGE;
	assert_int_equal(hmm_mm_attach(NULL, &a.mm), 0);
	assert_int_equal(hmm_interval_notifier_insert(a.mm, at(a.p), PAGE, &on_ops, NULL, &a.ni),
			 0);
	assert_int_equal(hmm_ptable_create(NULL, &a.pt), 0);
	assert_int_equal(hmm_device_create(a.mm, &ops, NULL, NULL, &a.dev), 0);
	assert_int_equal(hmm_svm_create(a.mm, a.dev, NULL, &a.svm), 0);
	assert_int_equal(hmm_regcache_create(a.mm, &cache_ops, NULL, NULL, &a.cache), 0);
	assert_int_equal(hmm_engine_create(a.mm, &a.engine), 0);
	assert_int_equal(hmm_engine_create(a.mm, &a.other), 0);
	expect_none();
	return 0;
}

static int end(void **state)
{
	hmm_engine_destroy(a.other);
	hmm_engine_destroy(a.engine);
	hmm_regcache_destroy(a.cache);
	hmm_svm_destroy(a.svm);
	hmm_device_destroy(a.dev);
	hmm_ptable_destroy(a.pt);
	hmm_interval_notifier_remove(a.ni);
	hmm_mm_detach(a.mm);
	expect_none();
	munmap(a.p - 512 * PAGE, 1024 * PAGE);
	return 0;
}

/* ---- calls that may block, in what way they end soon whatever they are called in ---------- */

/* clang-format off */
#define BLOCKING(X)									\
	X(hmm_range_fault, (&(struct hmm_range){ .size = 0 }, 0))			\
	X(hmm_range_watch, (&(struct hmm_range){ .size = 0 }, 0))			\
	X(hmm_range_check_timeout, (&(struct hmm_range){ .size = 0 }, 0, 1))		\
	X(hmm_svm_fault, (a.svm, 0, 0, PROT_READ))					\
	X(hmm_svm_prefetch, (a.svm, 1, 0, PROT_READ))					\
	X(hmm_svm_drop, (a.svm, 1, 0))							\
	X(hmm_svm_evict, (a.svm, 1, 0))							\
	X(hmm_svm_set_policy, (a.svm, 1, 0, NULL))					\
	X(hmm_svm_submit, (a.svm, &(struct hmm_job){ .size = 0 }))			\
	X(hmm_svm_run, (a.svm, &(struct hmm_job){ .size = 0 }))				\
	X(hmm_svm_wait, (a.svm, &(struct hmm_job){ .size = 0 }, 1))			\
	X(hmm_svm_add_range, (a.svm, 1, 0, 0))						\
	X(hmm_svm_remove_range, (a.svm, 1, 0))						\
	X(hmm_svm_create, (a.mm, NULL, NULL, NULL))					\
	X(hmm_svm_destroy, (NULL))							\
	X(hmm_device_create, (a.mm, NULL, NULL, NULL, NULL))				\
	X(hmm_device_open, (a.mm, "none such", 1, &(struct hmm_device *){ NULL }))	\
	X(hmm_device_destroy, (NULL))							\
	X(hmm_device_serve_faults, (a.dev))						\
	X(hmm_device_restore, (a.dev))							\
	X(hmm_mm_barrier, (a.mm, 1))							\
	X(hmm_mm_check_files, (a.mm))							\
	X(hmm_mm_note, (a.mm, HMM_NOTE_PROTECT, 1, 0))					\
	X(hmm_mm_note_file, (a.mm, -1))							\
	X(hmm_mm_note_writeback, (a.mm, -2))						\
	X(hmm_mm_attach, (&(struct hmm_mm_options){ .size = 0 }, NULL))			\
	X(hmm_vma_find, (a.mm, 0, &(struct hmm_vma){ .start = 0 }))			\
	X(hmm_vma_walk, (a.mm, 1, 0, NULL, NULL))					\
	X(hmm_persist, (a.mm, 1, 0, NULL))						\
	X(hmm_regcache_create, (a.mm, NULL, NULL, NULL, NULL))				\
	X(hmm_regcache_destroy, (NULL))							\
	X(hmm_regcache_get, (a.cache, 0, 0, 0, 0, NULL))				\
	X(hmm_regcache_put, (a.cache, NULL))						\
	X(hmm_regcache_check, (a.cache, NULL, 0))					\
	X(hmm_regcache_reap, (a.cache))							\
	X(hmm_regcache_flush, (a.cache))						\
	X(hmm_interval_notifier_insert, (a.mm, 0, 0, NULL, NULL, NULL))			\
	X(hmm_interval_notifier_remove, (NULL))						\
	X(hmm_interval_read_begin, (a.ni))						\
	X(hmm_interval_invalidate, (a.mm, NULL))						\
	X(hmm_devmem_create, (a.mm, NULL, NULL))					\
	X(hmm_devmem_destroy, (NULL, 1))						\
	X(hmm_devmem_alloc, (NULL, 0, 1, NULL))						\
	X(hmm_devmem_free, (NULL, 0, 0))						\
	X(hmm_migrate_vma_setup, (NULL))						\
	X(hmm_migrate_vma_pages, (NULL))						\
	X(hmm_migrate_vma_finalize, (NULL))						\
	X(hmm_migrate_device_range, (NULL, NULL, 0, 0))					\
	X(hmm_migrate_device_pfns, (NULL, NULL, 0))					\
	X(hmm_migrate_device_pages, (NULL, NULL, NULL, 0, 1))				\
	X(hmm_migrate_to_device, (NULL, 0, 0, 1, NULL))					\
	X(hmm_migrate_to_system, (a.mm, 1, 0, 1))					\
	X(hmm_evict_all, (a.mm, 1))							\
	X(hmm_place_walk, (a.mm, 1, 0, NULL, NULL))					\
	X(hmm_exclusive_begin, (a.mm, 1, 0, NULL, 1, NULL))				\
	X(hmm_exclusive_end, (NULL))							\
	X(hmm_engine_create, (a.mm, &(struct hmm_engine *){ NULL }))			\
	X(hmm_quiescer_add, (a.mm, NULL, NULL, NULL))					\
	X(hmm_quiescer_remove, (NULL))

/* Legal in sections. */
#define QUICK(X)										\
	X(hmm_interval_stale, (a.ni, 0))							\
	X(hmm_interval_read_retry, (a.ni, 0))						\
	X(hmm_range_check, (&(struct hmm_range){ .notifier = a.ni }, 0))			\
	X(hmm_mm_get_info, (a.mm, &(struct hmm_mm_info){ .size = 0 }))			\
	X(hmm_mm_get_stats, (a.mm, &(struct hmm_mm_stats){ .size = 0 }))			\
	X(hmm_svm_get_stats, (a.svm, &(struct hmm_svm_stats){ .size = 0 }))		\
	X(hmm_device_get_stats, (a.dev, &(struct hmm_device_stats){ .size = 0 }))	\
	X(hmm_devmem_get_stats, (NULL, NULL))						\
	X(hmm_devmem_lose, (NULL))							\
	X(hmm_exclusive_check, (NULL, 0, NULL))						\
	X(hmm_svm_cancel, (a.svm, &(struct hmm_job){ .size = 0 }))
/* clang-format on */

#define FUNCTION(name, arguments)                                                                  \
	static __attribute__((noinline)) void call_##name(void)                                    \
	{                                                                                          \
		name arguments;                                                                    \
		__asm__ volatile("");                                                              \
	}
BLOCKING(FUNCTION)
QUICK(FUNCTION)

#define ROW(name, arguments) { #name, call_##name },
static const struct {
	const char *name;
	void (*call)(void);
} blocking[] = { BLOCKING(ROW) }, quick[] = { QUICK(ROW) };

#define N(table) (sizeof(table) / sizeof((table)[0]))

static void blocking_calls_in_an_engine_section(void **state)
{
	for (size_t i = 0; i < N(blocking); i++) {
		hmm_engine_enter(a.engine);
		blocking[i].call();
		blocking[i].call();
		hmm_engine_exit(a.engine);
		expect_report(blocking[i].name, "inside the section of an engine");
	}
}

static void blocking_calls_in_a_commit_section(void **state)
{
	for (size_t i = 0; i < N(blocking); i++) {
		hmm_mm_commit_begin(a.mm);
		blocking[i].call();
		blocking[i].call();
		hmm_mm_commit_end(a.mm);
		expect_report(blocking[i].name, "inside a commit section");
	}
}

static void invalidate_all(void)
{
	const struct hmm_invalidation inv = { .start = at(a.p),
					      .end = at(a.p) + PAGE,
					      .event = HMM_EVENT_MIGRATE };

	assert_int_equal(hmm_interval_invalidate(a.mm, &inv), 0);
}

static void calls_in_a_callback(void **state)
{
	for (size_t i = 0; i < N(blocking) + N(quick); i++) {
		const size_t q = i - N(blocking);

		for (volatile int twice = 0; twice < 2; twice++) {
			in_invalidate = i < N(blocking) ? blocking[i].call : quick[q].call;
			invalidate_all();
		}
		expect_report(i < N(blocking) ? blocking[i].name : quick[q].name, "in a callback");
	}
}

static void calls_that_do_not_block_are_legal_in_sections(void **state)
{
	for (size_t i = 0; i < N(quick); i++) {
		hmm_engine_enter(a.engine);
		quick[i].call();
		hmm_engine_exit(a.engine);
		hmm_mm_commit_begin(a.mm);
		quick[i].call();
		hmm_mm_commit_end(a.mm);
	}
	for (size_t i = 0; i < N(blocking); i++)
		blocking[i].call();
	expect_none();
}

/*
 * The pump waits for the section until it is run over, or is at rest: the call ends all the same.
 */
static void real_calls_in_a_section(void **state)
{
	hmm_engine_enter(a.engine);
	hmm_mm_barrier(a.mm, 1000000);
	hmm_engine_exit(a.engine);
	expect_report("hmm_mm_barrier", "inside the section of an engine");
	hmm_engine_enter(a.engine);
	hmm_svm_fault(a.svm, at(a.p), PAGE, PROT_READ);
	hmm_engine_exit(a.engine);
	expect_report("hmm_svm_fault", "hmm_engine_exit");
	hmm_engine_enter(a.engine);
	hmm_svm_collect(a.svm);
	hmm_engine_exit(a.engine);
	expect_report("hmm_svm_collect", "inside the section of an engine");
}

/* ---- callbacks ---------------------------------------------------------------------------- */

/*
 * A call site each. The compiler must not make a jump of the call, whose site would be the
 * caller's.
 */
#define SITE(name, call)                                                                           \
	static __attribute__((noinline)) void name(void)                                           \
	{                                                                                          \
		call;                                                                              \
		__asm__ volatile("");                                                              \
	}
SITE(in_map_barrier, hmm_mm_barrier(a.mm, 1))
SITE(in_drop_barrier, hmm_mm_barrier(a.mm, 1))
SITE(on_pump_barrier, hmm_mm_barrier(a.mm, 1))
SITE(in_quiesce_barrier, hmm_mm_barrier(a.mm, 1))
SITE(in_resume_barrier, hmm_mm_barrier(a.mm, 1))
/* The gate is open. */
SITE(in_holds_sections, {
	hmm_engine_enter(a.engine);
	hmm_engine_exit(a.engine);
})
SITE(in_holds_commit, {
	hmm_mm_commit_begin(a.mm);
	hmm_mm_commit_end(a.mm);
})

static void calls_in_a_drivers_map(void **state)
{
	in_map = in_map_barrier;
	assert_int_equal(hmm_svm_fault(a.svm, at(a.p), PAGE, PROT_READ), 0);
	expect_report("hmm_mm_barrier", "a driver's map");
}

static void calls_in_a_drivers_invalidate(void **state)
{
	assert_int_equal(hmm_svm_fault(a.svm, at(a.p), PAGE, PROT_READ), 0);
	in_drop = in_drop_barrier;
	assert_int_equal(hmm_svm_drop(a.svm, at(a.p), at(a.p) + PAGE), 0);
	expect_report("hmm_mm_barrier", "hmm_device_ops.invalidate");
}

/* Called by the pump. */
static void calls_on_the_pump(void **state)
{
	char *p = pages(1);

	*p = 1;
	assert_int_equal(hmm_svm_fault(a.svm, at(p), PAGE, PROT_READ), 0);
	in_drop = on_pump_barrier;
	assert_int_equal(munmap(p, PAGE), 0);
	assert_int_equal(hmm_mm_barrier(a.mm, HMM_FOREVER), 0);
	expect_report("hmm_mm_barrier", "hmm_device_ops.invalidate");
}

static void calls_in_a_quiescer(void **state)
{
	struct hmm_quiescer *q;

	assert_int_equal(hmm_quiescer_add(a.mm, &quiescer_ops, NULL, &q), 0);
	in_quiesce = in_quiesce_barrier;
	invalidate_all();
	expect_report("hmm_mm_barrier", "hmm_quiescer_ops.quiesce");
	in_resume = in_resume_barrier;
	invalidate_all();
	expect_report("hmm_mm_barrier", "hmm_quiescer_ops.resume");
	hmm_quiescer_remove(q);
}

static void fault_at(size_t page)
{
	struct hmm_interval_notifier *ni;
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .start = at(a.p) + page * PAGE,
				   .end = at(a.p) + (page + 1) * PAGE,
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT };

	assert_int_equal(hmm_interval_notifier_insert(a.mm, range.start, PAGE, &on_ops, NULL, &ni),
			 0);
	range.notifier = ni;
	assert_int_equal(hmm_range_fault(&range, HMM_FOREVER), 0);
	hmm_interval_notifier_remove(ni);
}

static void calls_in_holds(void **state)
{
	in_holds = in_holds_sections;
	fault_at(0);
	expect_report("hmm_engine_enter", "hmm_interval_notifier_ops.holds");
	/* So that it is registered anew. */
	assert_int_equal(munmap(a.p, PAGE), 0);
	assert_ptr_equal(mmap(a.p, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 a.p);
	in_holds = in_holds_commit;
	fault_at(0);
	expect_report("hmm_mm_commit_begin", "hmm_interval_notifier_ops.holds");
}

/* ---- sections ----------------------------------------------------------------------------- */

static void nested_sections(void **state)
{
	for (volatile int twice = 0; twice < 2; twice++) {
		hmm_engine_enter(a.engine);
		hmm_engine_enter(a.other);
		hmm_engine_exit(a.other);
		hmm_engine_exit(a.engine);
	}
	expect_report("hmm_engine_enter", "inside the section of an engine");
	hmm_engine_enter(a.engine);
	hmm_engine_enter(a.engine);
	hmm_engine_exit(a.engine);
	expect_report("hmm_engine_enter", "inside the section of an engine");
	hmm_engine_enter(a.engine);
	hmm_mm_commit_begin(a.mm);
	hmm_mm_commit_end(a.mm);
	hmm_engine_exit(a.engine);
	expect_report("hmm_mm_commit_begin", "inside the section of an engine");
	hmm_mm_commit_begin(a.mm);
	hmm_mm_commit_begin(a.mm);
	hmm_mm_commit_end(a.mm);
	hmm_mm_commit_end(a.mm);
	expect_report("hmm_mm_commit_begin", "inside a commit section");
	hmm_mm_commit_begin(a.mm);
	hmm_engine_enter(a.engine);
	hmm_engine_exit(a.engine);
	hmm_mm_commit_end(a.mm);
	expect_report("hmm_engine_enter", "inside a commit section");
}

static void sections_that_were_not_begun(void **state)
{
	for (volatile int twice = 0; twice < 2; twice++)
		hmm_engine_exit(a.engine);
	expect_report("hmm_engine_exit", "not begun");
	for (volatile int twice = 0; twice < 2; twice++)
		hmm_mm_commit_end(a.mm);
	expect_report("hmm_mm_commit_end", "not begun");
	/* The pump still finds the gate empty. */
	assert_int_equal(hmm_svm_fault(a.svm, at(a.p), PAGE, PROT_READ), 0);
	assert_int_equal(munmap(a.p, PAGE), 0);
	assert_int_equal(hmm_mm_barrier(a.mm, HMM_FOREVER), 0);
	expect_none();
}

static void *exit_elsewhere(void *arg)
{
	hmm_engine_exit(a.engine);
	return NULL;
}

static void *enter_elsewhere(void *arg)
{
	hmm_engine_enter(a.engine);
	return NULL;
}

static void elsewhere(void *(*fn)(void *))
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, fn, NULL), 0);
	pthread_join(t, NULL);
}

static void the_engine_of_another_thread(void **state)
{
	hmm_engine_enter(a.engine);
	elsewhere(exit_elsewhere);
	expect_report("hmm_engine_exit", "another thread has begun");
	hmm_engine_enter(a.engine);
	elsewhere(enter_elsewhere);
	expect_report("hmm_engine_enter", "another thread is inside of");
	hmm_engine_exit(a.engine);
	expect_report("hmm_engine_exit", "another thread has begun");
}

static void engines_destroyed_too_early(void **state)
{
	struct hmm_engine *e;

	assert_int_equal(hmm_engine_create(a.mm, &e), 0);
	hmm_engine_enter(e);
	hmm_engine_destroy(e);
	expect_report("hmm_engine_destroy", "has not ended");
	hmm_engine_exit(e);
	expect_none();
	hmm_engine_enter(e);
	expect_report("hmm_engine_enter", "was destroyed");
	hmm_engine_exit(e);
	expect_none();
}

static void *unblock(void *arg)
{
	sigset_t set;

	hmm_thread_block_signals();
	assert_int_equal(hmm_mm_barrier(a.mm, HMM_FOREVER), 0);
	expect_none();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	assert_int_equal(hmm_mm_barrier(a.mm, HMM_FOREVER), 0);
	return arg;
}

static void signals_that_are_unblocked_again(void **state)
{
	elsewhere(unblock);
	expect_report("hmm_mm_barrier", "has unblocked a signal");
}

/* ---- spaces and arrays -------------------------------------------------------------------- */

static void a_space_that_was_detached(void **state)
{
	struct hmm_mm *mm;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	hmm_mm_detach(mm);
	expect_none();
	for (volatile int twice = 0; twice < 2; twice++)
		assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), -ESRCH);
	expect_report("hmm_mm_barrier", "was detached");
	hmm_mm_detach(mm);
	expect_report("hmm_mm_detach", "was detached");
	hmm_mm_commit_begin(mm);
	hmm_mm_commit_end(mm);
	expect_report("hmm_mm_commit_begin", "was detached");
}

static void an_array_in_mirrored_memory(void **state)
{
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = a.ni,
				   .start = at(a.p),
				   .end = at(a.p) + PAGE,
				   .hmm_pfns = (uint64_t *)(a.p + PAGE),
				   .default_flags = HMM_PFN_REQ_FAULT };

	/* It becomes mirrored by the first call. volatile: one place of the call, not three. */
	for (volatile int i = 0; i < 3; i++)
		assert_int_equal(hmm_range_fault(&range, HMM_FOREVER), 0);
	expect_report("hmm_range_fault", "hmm_range.hmm_pfns");
}

/* ---- the log ------------------------------------------------------------------------------ */

static int set_in_message;

static void sets(enum hmm_log_level level, const char *message, void *arg)
{
	*(const char **)arg = "called";
	set_in_message = hmm_log_set(NULL, NULL);
	/* Misuse in the function itself is not told: it would not end. */
	hmm_mm_barrier(a.mm, 1);
}

static void the_function_for_messages(void **state)
{
	const char *called = NULL;

	assert_int_equal(hmm_log_set(sets, &called), 0);
	hmm_engine_exit(a.engine);
	assert_string_equal(called, "called");
	assert_int_equal(set_in_message, -EDEADLK);
	assert_int_equal(hmm_log_set(keep, NULL), 0);
	expect_none();
	hmm_engine_exit(a.engine);
	expect_report("hmm_engine_exit", "not begun");
}

static _Atomic bool in_slow, may_end;

static void slow(enum hmm_log_level level, const char *message, void *arg)
{
	in_slow = true;
	while (!may_end)
		usleep(1000);
	in_slow = false;
}

static void *set_back(void *arg)
{
	hmm_log_set(keep, NULL);
	/* It has ended. */
	return in_slow ? arg : NULL;
}

static void *exits(void *arg)
{
	hmm_engine_exit(a.engine);
	return NULL;
}

static void the_former_function_has_ended_when_another_is_set(void **state)
{
	pthread_t sayer, setter;
	void *running;

	assert_int_equal(hmm_log_set(slow, NULL), 0);
	assert_int_equal(pthread_create(&sayer, NULL, exits, NULL), 0);
	while (!in_slow)
		usleep(1000);
	assert_int_equal(pthread_create(&setter, NULL, set_back, &running), 0);
	usleep(20000);
	may_end = true;
	pthread_join(setter, &running);
	pthread_join(sayer, NULL);
	assert_null(running);
}

/* ---- a correct program -------------------------------------------------------------------- */

static void a_correct_program_hears_nothing(void **state)
{
	for (int i = 0; i < 50; i++) {
		char *p = pages(4);

		assert_int_equal(hmm_svm_fault(a.svm, at(p), 4 * PAGE, PROT_READ | PROT_WRITE), 0);
		hmm_engine_enter(a.engine);
		while (!hmm_engine_poll(a.engine) && hmm_ptable_lookup(a.pt, at(p), NULL) && i % 7)
			break;
		hmm_engine_exit(a.engine);
		munmap(p, 4 * PAGE);
		hmm_mm_barrier(a.mm, HMM_FOREVER);
	}
	hmm_svm_collect(a.svm);
	expect_none();
}

/* ---- the process, by what the environment says -------------------------------------------- */

/* One misuse, twice. */
static int misuse_twice(void)
{
	struct hmm_mm *mm;
	struct hmm_engine *e;

	if (hmm_mm_attach(NULL, &mm))
		return 77;
	if (hmm_engine_create(mm, &e))
		return 77;
	for (volatile int twice = 0; twice < 2; twice++)
		hmm_engine_exit(e);
	hmm_engine_destroy(e);
	hmm_mm_detach(mm);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(blocking_calls_in_an_engine_section),
		TEST(blocking_calls_in_a_commit_section),
		TEST(calls_in_a_callback),
		TEST(calls_that_do_not_block_are_legal_in_sections),
		TEST(real_calls_in_a_section),
		TEST(calls_in_a_drivers_map),
		TEST(calls_in_a_drivers_invalidate),
		TEST(calls_on_the_pump),
		TEST(calls_in_a_quiescer),
		TEST(calls_in_holds),
		TEST(nested_sections),
		TEST(sections_that_were_not_begun),
		TEST(the_engine_of_another_thread),
		TEST(engines_destroyed_too_early),
		TEST(signals_that_are_unblocked_again),
		TEST(a_space_that_was_detached),
		TEST(an_array_in_mirrored_memory),
		TEST(the_function_for_messages),
		TEST(the_former_function_has_ended_when_another_is_set),
		TEST(a_correct_program_hears_nothing),
	};

	if (argc > 1) {
		/* As after setuid(2), when nothing of the process is to be read. */
		prctl(PR_SET_DUMPABLE, 1);
		return misuse_twice();
	}
	setenv("LIBHMM_DEBUG", "1", 1);
	hmm_log_set(keep, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

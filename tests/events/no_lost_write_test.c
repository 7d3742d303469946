// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule 15: what the program wrote is never lost. Not on fork, on exit, when a driver or its
 * callback fails, nor when something happens in the middle of a fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <hmm/hmm.h>
#include "base/hooks.h"
#include "common/broken.h"

#define PAGE 4096UL
#define PAGES 64
#define LEN (PAGES * PAGE)
#define RW (PROT_READ | PROT_WRITE)

struct mirror {
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct hmm_svm *svm;
};

static int mirror_open(struct mirror *m, const char *spec)
{
	memset(m, 0, sizeof(*m));
	return hmm_mm_attach(NULL, &m->mm) || hmm_device_open(m->mm, spec, 2, &m->dev) ||
	       hmm_svm_create(m->mm, m->dev, NULL, &m->svm);
}

static void mirror_close(struct mirror *m)
{
	hmm_svm_destroy(m->svm);
	hmm_device_destroy(m->dev);
	hmm_mm_detach(m->mm);
}

/* Of each page the first half is the program's, the second the device's. */
static void *map(int fd)
{
	char *p = mmap(NULL, LEN, RW, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static uint32_t *program_word(char *p, unsigned int page)
{
	return (uint32_t *)(p + page * PAGE + 64);
}

static uint32_t *device_word(char *p, unsigned int page)
{
	return (uint32_t *)(p + page * PAGE + PAGE / 2);
}

static void program_writes(char *p, uint32_t value)
{
	for (unsigned int i = 0; i < PAGES; i++)
		*program_word(p, i) = value + i;
}

struct stores {
	char *p;
	uint32_t value;
};

static int store_one(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct stores *s = arg;
	uint32_t word = s->value + (uint32_t)item;

	return hmm_store(ctx, (uint64_t)device_word(s->p, (unsigned int)item), &word, sizeof(word));
}

static struct hmm_job store_job(struct stores *s)
{
	return (struct hmm_job){
		.size = sizeof(struct hmm_job), .kernel = store_one, .arg = s, .items = PAGES
	};
}

static int device_writes(struct mirror *m, char *p, uint32_t value)
{
	struct stores s = { p, value };
	struct hmm_job job = store_job(&s);

	return hmm_svm_run(m->svm, &job);
}

static void check(char *p, uint32_t program, uint32_t device)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		assert_int_equal(*program_word(p, i), program ? program + i : 0);
		assert_int_equal(*device_word(p, i), device ? device + i : 0);
	}
}

/* The device came to some of it. How many words it stored. */
static unsigned int check_some(char *p, uint32_t program, uint32_t device)
{
	unsigned int stored = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		uint32_t w = *device_word(p, i);

		assert_int_equal(*program_word(p, i), program + i);
		assert_true(!w || w == device + i);
		stored += w != 0;
	}
	return stored;
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* A child sees each word as it was before or after; what it writes is its own. */
static void child_looks(char *p, uint32_t program, uint32_t before, uint32_t after)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		uint32_t w = *device_word(p, i);

		if (*program_word(p, i) != program + i ||
		    (w != (before ? before + i : 0) && w != after + i))
			_exit(1);
		*program_word(p, i) = 0;
		*device_word(p, i) = 0;
	}
	_exit(0);
}

/*
 * The children of one round are made while the device stores: its writable translations die, its
 * stores are replayed into whatever page is the parent's afterwards.
 */
static void fork_while_the_device_stores(struct mirror *m, char *p, uint32_t round)
{
	struct stores s = { p, 1000 * round };
	struct hmm_job job = store_job(&s);
	pid_t child[4];
	int status;

	program_writes(p, 1000 * round);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	for (int i = 0; i < 4; i++) {
		child[i] = fork();
		assert_true(child[i] >= 0);
		if (!child[i])
			child_looks(p, 1000 * round, 1000 * (round - 1), 1000 * round);
	}
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_FOREVER), 0);
	assert_int_equal(job.status, 0);
	check(p, 1000 * round, 1000 * round);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
	check(p, 1000 * round, 1000 * round);
}

static void rule_15_a_fork_loses_nothing(void **state)
{
	char *p = map(-1);
	struct mirror m;

	assert_int_equal(mirror_open(&m, "soft"), 0);
	assert_int_equal(device_writes(&m, p, 1000), 0);
	for (uint32_t round = 2; round < 20; round++)
		fork_while_the_device_stores(&m, p, round);
	mirror_close(&m);
	munmap(p, LEN);
}

/* ---- exit ------------------------------------------------------------------------------------ */

enum way { WAY_EXIT, WAY_EXIT_AT_ONCE, WAY_KILLED, WAY_EXEC, WAY_DETACH, WAY_NR };

static void end(enum way way, struct mirror *m)
{
	switch (way) {
	case WAY_EXIT:
		exit(0);
	case WAY_KILLED:
		raise(SIGKILL);
		break;
	case WAY_EXEC:
		execl("/bin/true", "true", (char *)NULL);
		break;
	case WAY_DETACH:
		mirror_close(m);
		break;
	default:
		break;
	}
	_exit(0);
}

static int file_make(void)
{
	int fd = memfd_create("rule15", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, LEN), 0);
	return fd;
}

static void rule_15_an_exit_loses_nothing(void **state)
{
	for (enum way way = 0; way < WAY_NR; way++) {
		int fd = file_make(), status;
		pid_t pid = fork();
		char *p = map(fd);

		assert_true(pid >= 0);
		if (!pid) {
			struct mirror m;

			if (mirror_open(&m, "soft"))
				_exit(1);
			program_writes(p, 5);
			if (device_writes(&m, p, 6))
				_exit(2);
			program_writes(p, 7);
			end(way, &m);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, way == WAY_KILLED ? SIGKILL : 0);
		check(p, 7, 6);
		munmap(p, LEN);
		close(fd);
	}
}

/* ---- drivers that fail ----------------------------------------------------------------------- */

static void rule_15_a_driver_that_fails_loses_nothing(void **state)
{
	static const char *const specs[] = {
		"error:on=map,rate=1,soft",
		"error:on=fault,rate=1,soft",
		"error:on=submit,rate=1,soft",
		"error:on=map,rate=1,error=ENOMEM,soft",
	};

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		char *p = map(-1);
		struct mirror m;

		program_writes(p, 5);
		assert_int_equal(mirror_open(&m, specs[i]), 0);
		assert_true(device_writes(&m, p, 6) < 0);
		check_some(p, 5, 6);
		program_writes(p, 7);
		/*
		 * A fault that is cancelled leaves its translation: the next job may do without
		 * faults.
		 */
		device_writes(&m, p, 6);
		mirror_close(&m);
		check_some(p, 7, 6);
		/* A driver that works finds it all. */
		assert_int_equal(mirror_open(&m, "soft"), 0);
		assert_int_equal(device_writes(&m, p, 8), 0);
		mirror_close(&m);
		check(p, 7, 8);
		munmap(p, LEN);
	}
}

/* Half way through: what the device did store stays, what it did not was never touched. */
static void rule_15_a_driver_that_fails_at_times_loses_nothing(void **state)
{
	char *p = map(-1);
	struct mirror m;

	program_writes(p, 5);
	assert_int_equal(mirror_open(&m, "error:on=map,rate=1,count=1,soft"), 0);
	assert_int_equal(device_writes(&m, p, 6), -EIO);
	assert_true(check_some(p, 5, 6) < PAGES);
	assert_int_equal(device_writes(&m, p, 6), 0);
	check(p, 5, 6);
	mirror_close(&m);
	munmap(p, LEN);
}

static int refuse(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return -EIO;
}

static const struct hmm_interval_notifier_ops refusing = { .size = sizeof(refusing),
							   .invalidate = refuse };

static void rule_15_a_callback_that_fails_loses_nothing(void **state)
{
	char *p = map(-1), *to = map(-1);
	struct hmm_interval_notifier *ni;
	struct mirror m;
	uint64_t seq;
	int status;
	pid_t pid;

	assert_int_equal(mirror_open(&m, "soft"), 0);
	assert_int_equal(hmm_interval_notifier_insert(m.mm, (uint64_t)p, LEN, &refusing, NULL, &ni),
			 0);
	assert_int_equal(device_writes(&m, p, 6), 0);
	program_writes(p, 5);
	seq = hmm_interval_read_begin(ni);
	assert_false(hmm_interval_stale(ni, seq));
	pid = fork();
	if (!pid)
		child_looks(p, 5, 6, 6);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* It failed, and counts as invalidated all the same. */
	assert_true(hmm_interval_stale(ni, seq));
	assert_int_equal(device_writes(&m, p, 6), 0);
	check(p, 5, 6);
	assert_ptr_equal(mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	check(to, 5, 6);
	assert_int_equal(device_writes(&m, to, 9), 0);
	check(to, 5, 9);
	assert_int_equal(device_writes(&m, p, 9), -EFAULT);
	hmm_interval_notifier_remove(ni);
	mirror_close(&m);
	munmap(to, LEN);
}

/* ---- stores that do not stand ---------------------------------------------------------------- */

/* A stacked driver that gives memory back once the device has found it gone. */
static int give_back(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		     uint64_t timeout_ns)
{
	struct hmm_device *inner = hmm_device_inner(dev);
	int got = hmm_device_get_ops(inner)->fetch_faults(inner, faults, n, timeout_ns);

	for (int i = 0; i < got; i++)
		if (faults[i].flags & HMM_FAULT_VANISHED)
			mprotect((void *)(faults[i].addr & ~(PAGE - 1)), PAGE, RW);
	return got;
}

static const struct hmm_device_ops give_back_ops = {
	.size = sizeof(give_back_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "give-back",
	.thread_model = HMM_THREADS_PARALLEL,
	.fetch_faults = give_back,
};

/* The second store goes through a translation of which nobody said that it is gone. */
static int store_into_what_vanishes(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	char *p = arg;
	uint32_t word = 1;
	int ret = hmm_store(ctx, (uint64_t)device_word(p, 0), &word, sizeof(word));

	if (ret)
		return ret;
	syscall(SYS_mprotect, p, PAGE, PROT_NONE);
	word = 2;
	return hmm_store(ctx, (uint64_t)device_word(p, 0), &word, sizeof(word));
}

static uint32_t word_after_vanishing(struct mirror *m, char *p)
{
	struct hmm_job job = {
		.size = sizeof(job), .kernel = store_into_what_vanishes, .arg = p, .items = 1
	};

	assert_int_equal(hmm_svm_run(m->svm, &job), 0);
	mprotect(p, PAGE, RW);
	return *device_word(p, 0);
}

static void rule_15_a_store_that_did_not_stand_is_made_again(void **state)
{
	char *p = map(-1);
	struct hmm_device *inner;
	struct mirror m;

	program_writes(p, 5);
	assert_int_equal(hmm_mm_attach(NULL, &m.mm), 0);
	assert_int_equal(hmm_device_open(m.mm, "soft", 1, &inner), 0);
	assert_int_equal(hmm_device_create(m.mm, &give_back_ops, NULL, inner, &m.dev), 0);
	assert_int_equal(hmm_svm_create(m.mm, m.dev, NULL, &m.svm), 0);
	assert_int_equal(word_after_vanishing(&m, p), 2);
	if (break_rule("lose-store"))
		assert_int_equal(word_after_vanishing(&m, p), 1);
	mend();
	assert_int_equal(*program_word(p, 0), 5);
	mirror_close(&m);
	munmap(p, LEN);
}

/* ---- in the middle of a fault ---------------------------------------------------------------- */

#ifdef HMM_MUTATIONS
static struct {
	enum hmm_point window;
	_Atomic bool armed;
	void *(*act)(void *);
	char *p, *to;
	pid_t child;
} mid;

/* On a thread of its own: the faulting one holds what a fork waits for. */
static void on_window(enum hmm_point window, void *arg)
{
	pthread_t thread;

	if (window != mid.window || !atomic_exchange(&mid.armed, false))
		return;
	if (!pthread_create(&thread, NULL, mid.act, NULL))
		pthread_join(thread, NULL);
}

static void *act_move(void *arg)
{
	if (mremap(mid.p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, mid.to) == mid.to)
		program_writes(mid.to, 7);
	return NULL;
}

static void *act_fork(void *arg)
{
	mid.child = fork();
	if (!mid.child)
		child_looks(mid.p, 5, 0, 6);
	program_writes(mid.p, 7);
	return NULL;
}

static void *act_discard_other(void *arg)
{
	madvise(mid.to, LEN, MADV_DONTNEED);
	program_writes(mid.p, 7);
	return NULL;
}

static void *act_forbid_and_allow(void *arg)
{
	mprotect(mid.p, LEN, PROT_READ);
	mprotect(mid.p, LEN, RW);
	program_writes(mid.p, 7);
	return NULL;
}

static int fault_in_window(struct mirror *m, enum hmm_point window, void *(*act)(void *))
{
	mid.p = map(-1);
	mid.to = map(-1);
	mid.child = 0;
	program_writes(mid.p, 5);
	program_writes(mid.to, 9);
	assert_int_equal(mirror_open(m, "soft"), 0);
	mid.window = window;
	mid.act = act;
	mid.armed = true;
	hmm_hook_fn = on_window;
	return device_writes(m, mid.p, 6);
}

static void end_window(struct mirror *m)
{
	int status = 0;

	hmm_hook_fn = NULL;
	assert_false(mid.armed);
	if (mid.child)
		assert_int_equal(waitpid(mid.child, &status, 0), mid.child);
	assert_int_equal(status, 0);
	mirror_close(m);
	munmap(mid.p, LEN);
	munmap(mid.to, LEN);
}

static const enum hmm_point windows[] = { HMM_POINT_REGISTERED, HMM_POINT_SNAPSHOT };

static void rule_15_a_move_in_mid_fault_loses_nothing(void **state)
{
	struct mirror m;

	for (int i = 0; i < 2; i++) {
		int ret = fault_in_window(&m, windows[i], act_move);

		/* Nothing is mapped where the device stores; what was there is elsewhere, whole. */
		assert_int_equal(ret, -EFAULT);
		check_some(mid.to, 7, 6);
		assert_int_equal(device_writes(&m, mid.to, 8), 0);
		check(mid.to, 7, 8);
		end_window(&m);
	}
}

static void rule_15_a_fork_in_mid_fault_loses_nothing(void **state)
{
	struct mirror m;

	assert_int_equal(fault_in_window(&m, HMM_POINT_SNAPSHOT, act_fork), 0);
	check(mid.p, 7, 6);
	end_window(&m);
}

static void rule_15_changes_beside_a_fault_lose_nothing(void **state)
{
	struct mirror m;
	int ret;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fault_in_window(&m, windows[i], act_discard_other), 0);
		check(mid.p, 7, 6);
		end_window(&m);
		ret = fault_in_window(&m, windows[i], act_forbid_and_allow);
		/*
		 * The thread that forbids and allows may lose the CPU between the two. Then the
		 * device is refused.
		 */
		for (int tries = 0; ret == -EPERM && tries < 1000; tries++) {
			usleep(1000);
			ret = device_writes(&m, mid.p, 6);
		}
		assert_int_equal(ret, 0);
		check(mid.p, 7, 6);
		end_window(&m);
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_15_a_fork_loses_nothing),
		cmocka_unit_test(rule_15_an_exit_loses_nothing),
		cmocka_unit_test(rule_15_a_driver_that_fails_loses_nothing),
		cmocka_unit_test(rule_15_a_driver_that_fails_at_times_loses_nothing),
		cmocka_unit_test(rule_15_a_callback_that_fails_loses_nothing),
		cmocka_unit_test(rule_15_a_store_that_did_not_stand_is_made_again),
#ifdef HMM_MUTATIONS
		cmocka_unit_test(rule_15_a_move_in_mid_fault_loses_nothing),
		cmocka_unit_test(rule_15_a_fork_in_mid_fault_loses_nothing),
		cmocka_unit_test(rule_15_changes_beside_a_fault_lose_nothing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

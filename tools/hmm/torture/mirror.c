// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Collection: beside users and hostile threads a mirror faults what they change, loses it, and collects its garbage
 * all the time. Whoever reads a freed page of a table or of the chunks' books crashes; whoever waits for a claim, a
 * lock or the gate that nobody gives back hangs.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "torture.h"

/* Each needs table pages of its own: the more there are, the more is freed at a time. */
#define BLOCKS 64
#define BLOCK (2UL << 20)
#define PAUSE_NS 20000
#define FAULT_TIMEOUT_NS 5000000000ULL
#define JOIN_TICKS (15U * TICKS_A_SECOND)
/* It takes the processors from the others: one turn in five. */
#define TURN_TICKS 20
#define TURNS 5

static struct {
	struct hmm_device *dev;
	struct hmm_svm *svm;
	char *blocks;
	pthread_t threads[3];
	unsigned int n;
	_Atomic bool stop;
} mirror;

/* What the hostile threads cause; all else is a finding. */
static bool is_expected(int rc)
{
	return rc >= 0 || rc == -EFAULT || rc == -EPERM || rc == -EBUSY || rc == -ETIME ||
	       rc == -ENOSPC;
}

static bool is_turn(const struct torture *t)
{
	bool turn = tort_ticks(t) / TURN_TICKS % TURNS == 0;

	if (!turn)
		tort_pause(TICK_NS);
	return turn;
}

static uint64_t choose_page(struct torture *t, struct rng *rng)
{
	if (rng_below(rng, 2))
		return (uint64_t)(uintptr_t)mirror.blocks + rng_below(rng, BLOCKS) * BLOCK;
	return slot_page(&t->slots[tort_choose_slot(t, rng)], rng_below(rng, PAGES));
}

static void *fault_main(void *arg)
{
	struct torture *t = arg;
	struct rng rng = { t->opt.seed * 7919 + 2000 };

	window_not_pump("mirror");
	while (!atomic_load(&mirror.stop)) {
		int rc;

		if (!is_turn(t))
			continue;
		rc = hmm_svm_fault(mirror.svm, choose_page(t, &rng), HMM_PAGE_SIZE, PROT_READ);
		if (!is_expected(rc))
			finding(FINDING_ERROR, "a mirror's fault beside its collection: %s",
				strerror(-rc));
		atomic_fetch_add(&t->mirror_faults, 1);
	}
	return NULL;
}

static void *collect_main(void *arg)
{
	struct torture *t = arg;
	uint64_t start = (uint64_t)(uintptr_t)mirror.blocks;

	window_not_pump("collector");
	while (!atomic_load(&mirror.stop)) {
		if (!is_turn(t))
			continue;
		hmm_svm_drop(mirror.svm, start, start + BLOCKS * BLOCK);
		hmm_svm_collect(mirror.svm);
		atomic_fetch_add(&t->collections, 1);
		tort_pause(PAUSE_NS);
	}
	return NULL;
}

int mirror_start(struct torture *t)
{
	void *(*const mains[])(void *) = { fault_main, fault_main, collect_main };
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	int rc;

	if (t->drilling)
		return 0;
	memset(&mirror, 0, sizeof(mirror));
	options.fault_timeout_ns = FAULT_TIMEOUT_NS;
	mirror.blocks = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mirror.blocks == MAP_FAILED)
		return -errno;
	madvise(mirror.blocks, BLOCKS * BLOCK, MADV_NOHUGEPAGE);
	rc = hmm_device_open(t->mm, "null", 1, &mirror.dev);
	if (!rc)
		rc = hmm_svm_create(t->mm, mirror.dev, &options, &mirror.svm);
	for (mirror.n = 0; !rc && mirror.n < 3; mirror.n += !rc)
		rc = -pthread_create(&mirror.threads[mirror.n], NULL, mains[mirror.n], t);
	return rc;
}

bool mirror_stop(struct torture *t)
{
	uint64_t limit = tort_ticks(t) + JOIN_TICKS;

	atomic_store(&mirror.stop, true);
	while (mirror.n) {
		if (!pthread_tryjoin_np(mirror.threads[mirror.n - 1], NULL)) {
			mirror.n--;
			continue;
		}
		atomic_fetch_add(&t->ticks, 1);
		tort_pause(TICK_NS);
		if (tort_ticks(t) < limit)
			continue;
		finding(FINDING_HANG, "a mirror that faults and collects did not end");
		return false;
	}
	hmm_svm_destroy(mirror.svm);
	hmm_device_destroy(mirror.dev);
	if (mirror.blocks)
		munmap(mirror.blocks, BLOCKS * BLOCK);
	memset(&mirror, 0, sizeof(mirror));
	return true;
}

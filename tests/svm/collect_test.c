// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Garbage is collected while threads fault. A thread that handles a fault looks the chunk table up
 * in no section:
 *
 *	fault			collector
 *	loads a node
 *				gate closed: frees it, or gives it to other chunks
 *	loads its slot
 *
 * AddressSanitizer reports the first such load (lib/ptable/node.c poisons what is free); without it
 * the test dies of one, or finds a fault that was answered for another chunk.
 */
#include "common/svm.h"
#include "ptable/ptable.h"
#include "svm/svm.h"

#define BLOCKS 64 /* each needs nodes of its own */
#define SECONDS 2

struct race {
	struct mirror m;
	char *shared, *own; /* BLOCKS * M2 bytes each */
	_Atomic bool stop;
	_Atomic uint64_t faults, owned, collections, unheld, errors;
};

static int see(const struct hmm_svm_chunk *chunk, void *arg)
{
	*(bool *)arg = true;
	return 1;
}

static char *map_blocks(void)
{
	char *p = mmap(NULL, BLOCKS * M2, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	madvise(p, BLOCKS * M2, MADV_NOHUGEPAGE);
	return p;
}

/* What others drop all the time. */
static void *fault_shared(void *arg)
{
	struct race *r = arg;

	for (uint64_t i = 0; !r->stop; i++) {
		r->errors += hmm_svm_fault(r->m.svm, at(r->shared) + i % BLOCKS * M2, PAGE,
					   PROT_READ) != 0;
		r->faults++;
	}
	return NULL;
}

/* What nobody else takes away: if a fault was answered with 0, it is there. */
static void *fault_own(void *arg)
{
	struct race *r = arg;

	for (uint64_t i = 0; !r->stop; i++) {
		char *p = mmap(r->own + i % BLOCKS * M2, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		bool seen = false;

		r->errors += hmm_svm_fault(r->m.svm, at(p), PAGE, PROT_READ) != 0;
		hmm_svm_walk(r->m.svm, at(p), at(p) + PAGE, see, &seen);
		r->unheld += !seen;
		r->owned++;
	}
	return NULL;
}

static void *drop_and_collect(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		hmm_svm_drop(r->m.svm, at(r->shared), at(r->shared) + BLOCKS * M2);
		hmm_svm_collect(r->m.svm);
		r->collections++;
		usleep(20); /* else there are fewer faults than collections */
	}
	return NULL;
}

static void faults_while_garbage_is_collected_read_no_freed_node(void **state)
{
	void *(*const threads[])(void *) = { fault_shared, fault_shared, fault_own,
					     drop_and_collect };
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	struct race r = { .shared = map_blocks(), .own = map_blocks() };
	pthread_t t[4];

	options.chunk_shifts = 1 << 12;
	mirror_open(&r.m, "null", 1, &options);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, threads[i], &r);
	sleep(SECONDS);
	/* Longer on a busy machine. */
	while (r.faults <= 100 || r.owned <= 10 || r.collections <= 10 ||
	       !svm_stats(&r.m).collected_bytes)
		usleep(1000);
	r.stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	print_message("%lu and %lu faults, %lu collections\n", r.faults, r.owned, r.collections);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.unheld, 0);
	mirror_close(&r.m);
	munmap(r.shared, BLOCKS * M2);
	munmap(r.own, BLOCKS * M2);
}

/* The same without luck: nodes are being freed. */

struct waiting {
	struct mirror m;
	char *p;
	_Atomic int answer;
};

static void *fault_found(void *arg)
{
	struct waiting *w = arg;

	w->answer = hmm_svm_fault(w->m.svm, at(w->p), PAGE, PROT_READ);
	return NULL;
}

static void fault_waits_while_nodes_are_freed(void **state)
{
	struct waiting w = { .answer = 1 };
	pthread_t t;

	mirror_open(&w.m, "null", 1, NULL);
	w.p = map_aligned(PAGE, PROT_READ | PROT_WRITE);
	assert_int_equal(hmm_svm_fault(w.m.svm, at(w.p), PAGE, PROT_READ), 0);
	pthread_mutex_lock(&w.m.svm->chunks->lock);
	pthread_create(&t, NULL, fault_found, &w);
	usleep(100000);
	assert_int_equal(w.answer, 1);
	pthread_mutex_unlock(&w.m.svm->chunks->lock);
	pthread_join(t, NULL);
	assert_int_equal(w.answer, 0);
	assert_int_equal(svm_stats(&w.m).chunks_found, 1);
	mirror_close(&w.m);
	munmap(w.p, PAGE);
}

/* ---- a program's own look-ups ---------------------------------------------------------------- */

struct lookups {
	struct hmm_ptable *table;
	_Atomic bool stop;
	_Atomic uint64_t held, absent, wrong;
};

#define ENTRY (HMM_PFN_VALID | 0x123)
#define BASE 0x200000000000ULL

static void *look_up(void *arg)
{
	struct lookups *l = arg;

	for (uint64_t i = 0; !l->stop; i++) {
		uint64_t entry = hmm_ptable_lookup(l->table, BASE + i % BLOCKS * M2, NULL);

		if (entry == ENTRY)
			l->held++;
		else if (entry)
			l->wrong++;
		else
			l->absent++;
	}
	return NULL;
}

/* In no section: current it is not, but no crash either. */
static void lookup_beside_a_reclaim_reads_nodes_and_nothing_else(void **state)
{
	static const uint64_t entry = ENTRY;
	struct lookups l = { .stop = false };
	uint64_t end = now_ns() + 1000000000ULL;
	pthread_t t[2];

#ifdef __SANITIZE_ADDRESS__
	print_message("AddressSanitizer reports what this allows\n");
	skip();
#endif
	assert_int_equal(hmm_ptable_create(NULL, &l.table), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, look_up, &l);
	while (now_ns() < end || !l.held || !l.absent) {
		for (uint64_t i = 0; i < BLOCKS; i++)
			hmm_ptable_set(l.table, BASE + i * M2, 12, &entry, 1);
		hmm_ptable_clear(l.table, 0, UINT64_MAX);
		assert_true(hmm_ptable_reclaim(l.table) > 0);
	}
	l.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(l.wrong, 0);
	hmm_ptable_destroy(l.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_waits_while_nodes_are_freed),
		cmocka_unit_test(lookup_beside_a_reclaim_reads_nodes_and_nothing_else),
		cmocka_unit_test(faults_while_garbage_is_collected_read_no_freed_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

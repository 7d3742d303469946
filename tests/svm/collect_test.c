/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Garbage is collected while threads fault. Who handles a fault looks the chunk table up in no section:
 *
 *	fault			collector
 *	loads a node
 *				gate closed: frees it, or gives it to other chunks
 *	loads its slot
 *
 * AddressSanitizer reports the first such load (lib/ptable/node.c poisons what is free); without it the test dies of
 * one, or finds a fault that was answered for another chunk.
 */
#include "mirror.h"

#define THREADS 3
#define BLOCKS 512 /* each needs a node of its own */
#define BASE 0x200000000000ULL
#define SECONDS 2

struct race {
	struct mirror m;
	_Atomic bool stop;
	_Atomic uint64_t faults, collections, unheld, errors;
};

struct racer {
	struct race *r;
	unsigned int number;
	pthread_t thread;
};

static int see(const struct hmm_svm_chunk *chunk, void *arg)
{
	*(bool *)arg = true;
	return 1;
}

/* Nobody but this thread takes the page away: what was answered with 0 is there. */
static void fault_and_see(struct race *r, char *p)
{
	bool seen = false;

	if (hmm_svm_fault(r->m.svm, at(p), PAGE, PROT_READ)) {
		r->errors++;
		return;
	}
	hmm_svm_walk(r->m.svm, at(p), at(p) + PAGE, see, &seen);
	r->unheld += !seen;
	r->faults++;
}

static void *map_fault_unmap(void *arg)
{
	struct racer *racer = arg;
	struct race *r = racer->r;
	unsigned int x = racer->number;

	while (!r->stop) {
		uint64_t where = BASE + racer->number * K64;
		char *p;

		x = x * 1664525 + 1013904223;
		where += (uint64_t)(x >> 16) % BLOCKS * M2;
		p = mmap((void *)where, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == MAP_FAILED)
			continue;
		for (int i = 0; i < 3; i++)
			fault_and_see(r, p);
		munmap(p, PAGE);
	}
	return NULL;
}

static void *collect(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		hmm_svm_collect(r->m.svm);
		r->collections++;
	}
	return NULL;
}

static void faults_while_garbage_is_collected_read_no_freed_node(void **state)
{
	struct race r = { .stop = false };
	struct racer racers[THREADS];
	pthread_t collector;

	mirror_open(&r.m, "null", 1, NULL);
	for (unsigned int i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .r = &r, .number = i + 1 };
		pthread_create(&racers[i].thread, NULL, map_fault_unmap, &racers[i]);
	}
	pthread_create(&collector, NULL, collect, &r);
	sleep(SECONDS);
	r.stop = true;
	pthread_join(collector, NULL);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.unheld, 0);
	assert_true(r.faults > 100);
	assert_true(r.collections > 10);
	assert_true(svm_stats(&r.m).collected_bytes > 0);
	mirror_close(&r.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_while_garbage_is_collected_read_no_freed_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

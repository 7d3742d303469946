// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * With libhmm-debug.so: an allocation in a callback is reported, and mirrored memory that is
 * given up inside a section; what is legal is not.
 */
#include "reports.h"

static struct hmm_mm *mm;
static struct hmm_ptable *pt;
static struct hmm_device *dev;
static struct hmm_svm *svm;
static struct hmm_engine *engine;
static void (*in_drop)(void), (*in_map)(void);
static void *volatile kept;

static int map(struct hmm_device *d, const struct hmm_device_map *m)
{
	if (in_map)
		in_map();
	return hmm_ptable_set(pt, m->start, m->shift, m->pfns, m->n);
}

static void drop(struct hmm_device *d, uint64_t start, uint64_t end, enum hmm_event why)
{
	if (in_drop)
		in_drop();
	hmm_ptable_clear(pt, start, end);
}

static const struct hmm_device_ops ops = {
	.size = sizeof(ops), .abi = HMM_DEVICE_ABI, .name = "test", .map = map, .invalidate = drop
};

static char *mirrored(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	*p = 1;
	assert_int_equal(hmm_svm_fault(svm, (uintptr_t)p, PAGE, PROT_READ), 0);
	return p;
}

static int begin(void **state)
{
	if (hmm_mm_attach(NULL, &mm))
		return -1;
	assert_int_equal(hmm_ptable_create(NULL, &pt), 0);
	assert_int_equal(hmm_device_create(mm, &ops, NULL, NULL, &dev), 0);
	assert_int_equal(hmm_svm_create(mm, dev, NULL, &svm), 0);
	return hmm_engine_create(mm, &engine);
}

static int end(void **state)
{
	hmm_engine_destroy(engine);
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	hmm_ptable_destroy(pt);
	hmm_mm_detach(mm);
	return 0;
}

/* ---- callbacks ---------------------------------------------------------------------------- */

#define IN_CALLBACK(X)                                                                             \
	X(malloc, kept = malloc(8))                                                                \
	X(calloc, kept = calloc(1, 8))                                                             \
	X(realloc, kept = realloc(kept, 16))                                                       \
	X(free, free(kept))                                                                        \
	X(aligned_alloc, kept = aligned_alloc(64, 64))                                             \
	X(posix_memalign, posix_memalign((void **)&kept, 64, 64) ? abort() : (void)0)              \
	X(munmap, munmap((void *)PAGE, 0))                                                         \
	X(madvise, madvise((void *)PAGE, 0, MADV_DONTNEED))

#define FUNCTION(name, call)                                                                       \
	static __attribute__((noinline)) void do_##name(void)                                      \
	{                                                                                          \
		call;                                                                              \
		__asm__ volatile("");                                                              \
	}
IN_CALLBACK(FUNCTION)

#define ROW(name, call) { #name, do_##name },
static const struct {
	const char *name;
	void (*call)(void);
} in_callback[] = { IN_CALLBACK(ROW) };

/* On this thread, not on the pump: there an allocation may really hang. */
static void allocations_in_a_callback(void **state)
{
	for (size_t i = 0; i < sizeof(in_callback) / sizeof(in_callback[0]); i++) {
		for (volatile int twice = 0; twice < 2; twice++) {
			char *p = mirrored(PAGE);

			if (!strcmp(in_callback[i].name, "free"))
				kept = malloc(8);
			in_drop = in_callback[i].call;
			hmm_svm_drop(svm, (uintptr_t)p, (uintptr_t)p + PAGE);
			in_drop = NULL;
			munmap(p, PAGE);
			hmm_mm_barrier(mm, HMM_FOREVER);
		}
		expect_report(in_callback[i].name, "hmm_device_ops.invalidate");
	}
}

/* ---- sections ----------------------------------------------------------------------------- */

/* The pump runs over the section after 10 ms. */
static void mirrored_memory_given_up_in_a_section(void **state)
{
	char *p = mirrored(PAGE);
	char *q = mirrored(PAGE);

	hmm_engine_enter(engine);
	munmap(p, PAGE);
	hmm_engine_exit(engine);
	expect_report("munmap", "inside the section of an engine");
	hmm_engine_enter(engine);
	madvise(q, PAGE, MADV_DONTNEED);
	hmm_engine_exit(engine);
	expect_report("madvise", "inside the section of an engine");
	munmap(q, PAGE);
}

static void freed_in_a_section(void **state)
{
	char *p = malloc(1 << 20);

	*p = 1;
	assert_int_equal(hmm_svm_fault(svm, (uintptr_t)p, PAGE, PROT_READ), 0);
	hmm_engine_enter(engine);
	free(p);
	hmm_engine_exit(engine);
	expect_report("free", "inside the section of an engine");
}

/* Calls that fail: one that did it would wait for ever. */
static void mirrored_memory_given_up_in_a_commit_section(void **state)
{
	char *p = mirrored(PAGE);

	hmm_mm_commit_begin(mm);
	assert_ptr_equal(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0), MAP_FAILED);
	hmm_mm_commit_end(mm);
	expect_report("mmap", "inside a commit section");
	hmm_mm_commit_begin(mm);
	assert_ptr_equal(mremap(p, PAGE, 0, 0), MAP_FAILED);
	hmm_mm_commit_end(mm);
	expect_report("mremap", "inside a commit section");
	munmap(p, PAGE);
}

static void what_is_legal(void **state)
{
	/* Private memory would be registered with its neighbour. */
	char *other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *p = mirrored(PAGE);

	assert_ptr_not_equal(other, MAP_FAILED);
	hmm_engine_enter(engine);
	kept = malloc(8);
	munmap(other, PAGE);
	hmm_engine_exit(engine);
	munmap(p, PAGE);
	kept = realloc(kept, 100000);
	free(kept);
	expect_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_in_a_callback),
		cmocka_unit_test(mirrored_memory_given_up_in_a_section),
		cmocka_unit_test(freed_in_a_section),
		cmocka_unit_test(mirrored_memory_given_up_in_a_commit_section),
		cmocka_unit_test(what_is_legal),
	};

	setenv("LIBHMM_DEBUG", "1", 1);
	hmm_log_set(keep, NULL);
	return cmocka_run_group_tests(tests, begin, end);
}

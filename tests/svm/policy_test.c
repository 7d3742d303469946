// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Where pages live: a mirror with device memory, and policies of ranges. A device that works on
 * what has moved gets and leaves what the CPU would, wherever each page is.
 */
#include "common/huge.h"
#include "common/soft.h"
#include "svm/svm.h"

#include <sched.h>
#include <hmm/devmem.h>

#define RW (PROT_READ | PROT_WRITE)
#define TURNS 300

struct fixture {
	struct mirror m;
	struct hmm_devmem *d;
};

static uint32_t region_flags; /* of the next fixture */

static int set(struct fixture *f, const void *p, size_t bytes, uint32_t location, uint32_t flags)
{
	const struct hmm_svm_policy policy = { .size = sizeof(policy),
					       .flags = flags,
					       .location = location };

	return hmm_svm_set_policy(f->m.svm, at(p), at(p) + bytes, &policy);
}

/* fault_around: one page, so that each test knows what comes home. */
static int make_region(struct fixture *f, size_t bytes)
{
	const struct hmm_devmem_options o = { .size = sizeof(o),
					      .flags = region_flags,
					      .bytes = bytes,
					      .owner = f,
					      .fault_around = PAGE };

	return hmm_devmem_create(f->m.mm, &o, &f->d);
}

static void open_with(struct fixture *f, const char *spec, size_t bytes, uint32_t threads)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;

	assert_int_equal(hmm_mm_attach(NULL, &f->m.mm), 0);
	assert_int_equal(make_region(f, bytes), 0);
	options.devmem = f->d;
	options.fault_threads = threads;
	assert_int_equal(hmm_device_open(f->m.mm, spec, 2, &f->m.dev), 0);
	assert_int_equal(hmm_svm_create(f->m.mm, f->m.dev, &options, &f->m.svm), 0);
	assert_int_equal(set(f, NULL, UINT64_MAX, HMM_SVM_DEVICE, 0), 0);
}

static void open_fixture(struct fixture *f)
{
	open_with(f, "soft", 8 * M2, 0);
}

static void close_fixture(struct fixture *f)
{
	hmm_svm_destroy(f->m.svm);
	hmm_device_destroy(f->m.dev);
	assert_int_equal(hmm_devmem_destroy(f->d, HMM_FOREVER), 0);
	hmm_mm_detach(f->m.mm);
}

static struct hmm_devmem_stats region(struct fixture *f)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(f->d, &s), 0);
	return s;
}

/* Bytes that are in the region and not about to leave it. */
static uint64_t away(struct fixture *f)
{
	struct hmm_devmem_stats s;

	/* A thread goes on before its page is counted as home. */
	barrier(&f->m);
	s = region(f);
	return s.moved_out - s.moved_home - s.dropped;
}

static int fault(struct fixture *f, const void *p, size_t bytes, int prot)
{
	return hmm_svm_fault(f->m.svm, at(p), bytes, prot);
}

static int64_t prefetch(struct fixture *f, const void *p, size_t bytes)
{
	return hmm_svm_prefetch(f->m.svm, at(p), at(p) + bytes, RW);
}

static void store_all(struct fixture *f, char *p, size_t bytes, char value)
{
	char *buf = malloc(bytes);
	struct span s = { at(p), bytes, buf, RW };

	memset(buf, value, bytes);
	assert_int_equal(run(&f->m, kernel_store, &s, 1), 0);
	free(buf);
}

static void expect_load(struct fixture *f, char *p, size_t bytes, const char *want)
{
	char *buf = malloc(bytes);
	struct span s = { at(p), bytes, buf, PROT_READ };

	assert_int_equal(run(&f->m, kernel_load, &s, 1), 0);
	assert_memory_equal(buf, want, bytes);
	free(buf);
}

/* ---- moving --------------------------------------------------------------------------------- */

static void test_fault_moves(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(K64);

	open_fixture(&f);
	store_all(&f, p, K64, 'd');
	assert_int_equal(away(&f), K64);
	assert_int_equal(svm_stats(&f.m).migrated, K64 / PAGE);
	/* What the device left is there, and the page that was touched alone came home. */
	assert_int_equal(p[5 * PAGE], 'd');
	assert_int_equal(away(&f), K64 - PAGE);
	/* The device has lost that page's entry. */
	barrier(&f.m);
	assert_int_equal(device_stats(&f.m).held_4k, K64 / PAGE - 1);
	for (size_t i = 0; i < K64; i++)
		assert_int_equal(p[i], 'd');
	assert_int_equal(away(&f), 0);
	close_fixture(&f);
	munmap(p, K64);
}

static void test_device_reads_what_the_cpu_wrote(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(4 * M2);
	char *want = malloc(4 * M2);

	memcpy(want, p, 4 * M2);
	open_fixture(&f);
	expect_load(&f, p + 12345, 3 * M2, want + 12345);
	assert_int_equal(away(&f), 4 * M2);
	/* Some come home and change, all over the blocks. */
	for (size_t i = 0; i < 4 * M2; i += 7 * PAGE)
		want[i] = ++p[i];
	expect_load(&f, p, 4 * M2, want);
	close_fixture(&f);
	assert_memory_equal(p, want, 4 * M2);
	free(want);
	munmap(p, 4 * M2);
}

/* The CPU and the device use the pages at once, where they are. */
static void test_coherent_memory(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(M2);

	region_flags = HMM_DEVMEM_COHERENT;
	open_fixture(&f);
	region_flags = 0;
	store_all(&f, p, M2, 'd');
	assert_int_equal(away(&f), M2);
	assert_int_equal(svm_stats(&f.m).migrated, M2 / PAGE);
	p[5 * PAGE] = 'c';
	assert_int_equal(p[6 * PAGE], 'd');
	expect_load(&f, p + 5 * PAGE, 2, "cd");
	assert_int_equal(away(&f), M2);
	assert_int_equal(region(&f).faults, 0);
	/* What is there does not move again. */
	store_all(&f, p, M2, 'e');
	assert_int_equal(svm_stats(&f.m).migrated, M2 / PAGE);
	assert_int_equal(hmm_svm_evict(f.m.svm, 0, UINT64_MAX), 0);
	assert_int_equal(away(&f), 0);
	for (size_t i = 0; i < M2; i++)
		assert_int_equal(p[i], 'e');
	close_fixture(&f);
	munmap(p, M2);
}

static void test_huge(void **state)
{
	struct fixture f = { 0 };
	char *p = map_apart(M2, RW);
	struct hmm_svm_stats s;

	open_fixture(&f);
	madvise(p, M2, MADV_HUGEPAGE);
	memset(p, 'c', M2);
	ask_for_huge_pages(p, M2);
	store_all(&f, p + K64, K64, 'd');
	s = svm_stats(&f.m);
	assert_int_equal(s.migrated, M2 / PAGE);
	/* Where there is no huge page just now it is the same page by page. */
	assert_true(s.migrated_huge == 0 || device_stats(&f.m).pages_2m == 1);
	for (size_t i = 0; i < M2; i++)
		assert_int_equal(p[i], i >= K64 && i < 2 * K64 ? 'd' : 'c');
	close_fixture(&f);
	munmap(p, M2);
}

static void test_without_faults(void **state)
{
	struct fixture f = { 0 };
	char buf[64] = "the device was here";
	char *p = pattern(M2);
	struct span s = { at(p) + K64 - 32, sizeof(buf), buf, RW };
	const struct hmm_job_range range = { .start = at(p), .end = at(p) + M2, .prot = RW };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_store,
			       .arg = &s,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };

	open_with(&f, "soft:faults=none", 8 * M2, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(hmm_svm_run(f.m.svm, &job), 0);
		assert_memory_equal((char *)s.va, buf, sizeof(buf));
		buf[0]++;
	}
	assert_true(svm_stats(&f.m).migrated >= M2 / PAGE);
	close_fixture(&f);
	munmap(p, M2);
}

/* ---- policies ------------------------------------------------------------------------------- */

static void test_system(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(2 * K64);

	open_fixture(&f);
	assert_int_equal(set(&f, p, K64, HMM_SVM_SYSTEM, 0), 0);
	store_all(&f, p, 2 * K64, 'd');
	assert_int_equal(away(&f), K64);
	/* What is there comes home when the device faults on it under the new policy. */
	assert_int_equal(set(&f, p + K64, K64, HMM_SVM_SYSTEM, 0), 0);
	assert_int_equal(fault(&f, p + K64, PAGE, RW), 0);
	assert_int_equal(away(&f), K64);
	assert_int_equal(hmm_svm_drop(f.m.svm, at(p), at(p) + 2 * K64), 0);
	assert_int_equal(fault(&f, p + K64, K64, RW), 0);
	assert_int_equal(away(&f), 0);
	close_fixture(&f);
	munmap(p, 2 * K64);
}

static void test_read_mostly(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(K64);

	open_fixture(&f);
	assert_int_equal(set(&f, p, K64, HMM_SVM_DEVICE, HMM_SVM_READ_MOSTLY), 0);
	store_all(&f, p, K64, 'd');
	assert_int_equal(prefetch(&f, p, K64), K64);
	assert_int_equal(region(&f).moved_out, 0);
	assert_int_equal(svm_stats(&f.m).migrations, 0);
	close_fixture(&f);
	munmap(p, K64);
}

static void test_prefetch_moves_now(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(4 * M2);

	open_fixture(&f);
	assert_int_equal(set(&f, p, 4 * M2, HMM_SVM_SYSTEM, 0), 0);
	assert_int_equal(fault(&f, p, 4 * M2, RW), 0);
	assert_int_equal(set(&f, p, 3 * M2, HMM_SVM_DEVICE, 0), 0);
	/* The device has it already, so a fault moves nothing. */
	assert_int_equal(fault(&f, p, 4 * M2, RW), 0);
	assert_int_equal(away(&f), 0);
	assert_int_equal(prefetch(&f, p + PAGE, 4 * M2 - PAGE), 4 * M2 - PAGE);
	assert_int_equal(away(&f), 3 * M2 - PAGE);
	/* It moves also what the CPU has touched just now, and moves nothing twice. */
	p[K64]++;
	assert_int_equal(away(&f), 3 * M2 - 2 * PAGE);
	assert_int_equal(prefetch(&f, p + PAGE, M2 - PAGE), M2 - PAGE);
	assert_int_equal(away(&f), 3 * M2 - PAGE);
	assert_int_equal(svm_stats(&f.m).migrated, (3 * M2 - PAGE) / PAGE + 1);
	close_fixture(&f);
	munmap(p, 4 * M2);
}

static void test_evict(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(M2);

	open_fixture(&f);
	assert_int_equal(prefetch(&f, p, M2), M2);
	/* Pages that are named in part come home, too. */
	assert_int_equal(hmm_svm_evict(f.m.svm, at(p) + K64 + 1, at(p) + 2 * K64 - PAGE + 1), 0);
	assert_int_equal(away(&f), M2 - K64);
	assert_int_equal(device_stats(&f.m).held_4k, (M2 - K64) / PAGE);
	assert_int_equal(hmm_svm_evict(f.m.svm, 0, UINT64_MAX), 0);
	assert_int_equal(away(&f), 0);
	assert_int_equal(svm_stats(&f.m).evictions, 2);
	assert_int_equal(hmm_svm_evict(f.m.svm, at(p), at(p)), -EINVAL);
	close_fixture(&f);
	munmap(p, M2);
}

static void test_granularity(void **state)
{
	struct hmm_svm_policy policy = { .size = sizeof(policy), .location = HMM_SVM_DEVICE };
	struct fixture f = { 0 };
	char *p = pattern(M2);
	uint64_t was = 0;

	open_fixture(&f);
	for (unsigned int i = 0; i < 3; i++) {
		static const uint32_t shift[] = { 12, 16, 0 };

		policy.chunk_shift = shift[i];
		assert_int_equal(hmm_svm_set_policy(f.m.svm, at(p), at(p) + M2, &policy), 0);
		assert_int_equal(hmm_svm_evict(f.m.svm, 0, UINT64_MAX), 0);
		assert_int_equal(fault(&f, p + K64 * 3 + PAGE, 1, RW), 0);
		assert_int_equal(region(&f).moved_out - was, shift[i] ? 1UL << shift[i] : M2);
		was = region(&f).moved_out;
	}
	close_fixture(&f);
	munmap(p, M2);
}

static uint32_t location_at(struct fixture *f, const char *p)
{
	struct hmm_svm_policy policy;
	uint64_t start = 0;
	uint64_t end = UINT64_MAX;

	svm_policy_at(f->m.svm, at(p), &start, &end, &policy);
	assert_true(start <= at(p) && at(p) < end);
	return policy.location | policy.flags << 8 | policy.chunk_shift << 16;
}

static void test_ranges(void **state)
{
	struct fixture f = { 0 };
	char *p = map_aligned(M2, RW);
	const struct {
		size_t page;
		uint32_t want;
	} want[] = {
		{ 0, 1 }, { 1, 0 }, { 2, 0 },       { 3, 1 | 256 }, { 4, 1 | 256 }, { 5, 0 },
		{ 6, 0 }, { 7, 1 }, { 8, 1 | 256 }, { 9, 1 | 256 }, { 10, 1 },      { 511, 1 }
	};

	open_fixture(&f);
	assert_int_equal(set(&f, p + PAGE, 6 * PAGE, HMM_SVM_SYSTEM, 0), 0);
	assert_int_equal(set(&f, p + 3 * PAGE, 2 * PAGE, HMM_SVM_DEVICE, HMM_SVM_READ_MOSTLY), 0);
	assert_int_equal(set(&f, p + 8 * PAGE, 4 * PAGE, HMM_SVM_DEVICE, HMM_SVM_READ_MOSTLY), 0);
	assert_int_equal(hmm_svm_set_policy(f.m.svm, at(p) + 10 * PAGE, UINT64_MAX, NULL), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(location_at(&f, p + want[i].page * PAGE), want[i].want);
	/* The default holds where no range is named, and only there. */
	assert_int_equal(hmm_svm_set_policy(
				 f.m.svm, 0, UINT64_MAX,
				 &(struct hmm_svm_policy){ .size = sizeof(struct hmm_svm_policy) }),
			 0);
	assert_int_equal(location_at(&f, p), HMM_SVM_SYSTEM);
	assert_int_equal(location_at(&f, p + 8 * PAGE), 1 | 256);
	assert_int_equal(set(&f, NULL, UINT64_MAX, HMM_SVM_DEVICE, 0), 0);
	assert_int_equal(location_at(&f, p), HMM_SVM_DEVICE);
	/* NULL gives the mirror's own default back. */
	assert_int_equal(hmm_svm_set_policy(f.m.svm, 0, UINT64_MAX, NULL), 0);
	assert_int_equal(location_at(&f, p), HMM_SVM_SYSTEM);
	assert_int_equal(set(&f, NULL, UINT64_MAX, HMM_SVM_DEVICE, 0), 0);
	/* A fault asks all of them: a chunk lies in one range. */
	memset(p, 'c', M2);
	store_all(&f, p, 16 * PAGE, 'd');
	assert_int_equal(hmm_svm_evict(f.m.svm, at(p) + 10 * PAGE, at(p) + M2), 0);
	assert_int_equal(away(&f), 2 * PAGE);
	for (size_t i = 0; i < M2; i++)
		assert_int_equal(p[i], i < 16 * PAGE ? 'd' : 'c');
	close_fixture(&f);
	munmap(p, M2);
}

static void test_bad_policies(void **state)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	struct hmm_svm_policy policy = { .size = sizeof(policy), .location = HMM_SVM_DEVICE };
	struct fixture f = { 0 };
	struct mirror other;

	open_fixture(&f);
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2, M2, &policy), -EINVAL);
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2 + 1, 2 * M2, &policy), -EINVAL);
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2, 2 * M2 + 1, &policy), -EINVAL);
	policy.chunk_shift = 13;
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2, 2 * M2, &policy), -EINVAL);
	policy.chunk_shift = 0;
	policy.location = 2;
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2, 2 * M2, &policy), -EINVAL);
	policy.location = HMM_SVM_DEVICE;
	policy.flags = 2;
	assert_int_equal(hmm_svm_set_policy(f.m.svm, M2, 2 * M2, &policy), -EINVAL);
	policy.flags = 0;
	/* Without device memory, and with that of another space. */
	mirror_open(&other, "soft", 1, NULL);
	assert_int_equal(hmm_svm_set_policy(other.svm, M2, 2 * M2, &policy), -EINVAL);
	assert_int_equal(hmm_svm_evict(other.svm, M2, 2 * M2), -EINVAL);
	hmm_svm_destroy(other.svm);
	options.devmem = f.d;
	assert_int_equal(hmm_svm_create(other.mm, other.dev, &options, &other.svm), -EINVAL);
	hmm_device_destroy(other.dev);
	hmm_mm_detach(other.mm);
	close_fixture(&f);
}

/* ---- what stays ----------------------------------------------------------------------------- */

static void test_in_place_by_reason(void **state)
{
	struct fixture f = { 0 };
	char *shared = mmap(NULL, K64, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *p = pattern(K64);
	char *big = pattern(2 * M2);

	open_with(&f, "soft", M2, 0);
	store_all(&f, shared, K64, 'd');
	assert_int_equal(svm_stats(&f.m).in_place[HMM_MIGRATE_SHARED], K64 / PAGE);
	/* Sanitizers answer mlock() themselves. */
	if (!syscall(SYS_mlock, p, K64)) {
		store_all(&f, p, K64, 'd');
		assert_int_equal(svm_stats(&f.m).in_place[HMM_MIGRATE_PERMISSION], K64 / PAGE);
	}
	store_all(&f, big, 2 * M2, 'd');
	assert_int_equal(svm_stats(&f.m).in_place[HMM_MIGRATE_EXHAUSTED], M2 / PAGE);
	assert_int_equal(away(&f), M2);
	for (size_t i = 0; i < 2 * M2; i++)
		assert_int_equal(big[i], 'd');
	close_fixture(&f);
	munmap(shared, K64);
	munmap(p, K64);
	munmap(big, 2 * M2);
}

/* ---- one page for both ---------------------------------------------------------------------- */

struct turns {
	struct fixture *f;
	_Atomic uint64_t *words; /* 0: the CPU's, 1: the device's */
	_Atomic bool stop;
	uint64_t cpu;
};

static void *cpu_turns(void *arg)
{
	struct turns *t = arg;

	while (!atomic_load(&t->stop) || t->cpu < TURNS) {
		atomic_fetch_add(&t->words[0], 1);
		t->cpu++;
	}
	return NULL;
}

static int kernel_turn(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct turns *t = arg;
	uint64_t n;
	int ret = hmm_load(ctx, &n, at(&t->words[1]), sizeof(n));

	(void)item;
	n++;
	return ret ? ret : hmm_store(ctx, at(&t->words[1]), &n, sizeof(n));
}

/* The CPU never stops touching the page, and both come further. Nothing is lost. */
static void ping_pong(const char *spec, uint32_t threads)
{
	struct fixture f = { 0 };
	struct turns t = { .f = &f, .words = (void *)pattern(PAGE) };
	pthread_t thread;

	t.words[0] = t.words[1] = 0;
	open_with(&f, spec, M2, threads);
	assert_int_equal(pthread_create(&thread, NULL, cpu_turns, &t), 0);
	for (int i = 0; i < TURNS; i++) {
		assert_int_equal(run(&f.m, kernel_turn, &t, 1), 0);
		/* The device's entry goes now and then, so that it faults again. */
		if (i % 3 == 0)
			assert_int_equal(hmm_svm_drop(f.m.svm, at(t.words), at(t.words) + PAGE), 0);
	}
	atomic_store(&t.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(t.words[1], TURNS);
	assert_int_equal(t.words[0], t.cpu);
	assert_true(svm_stats(&f.m).migrated > 0);
	close_fixture(&f);
	munmap(t.words, PAGE);
}

static void test_ping_pong(void **state)
{
	ping_pong("soft", 0);
	ping_pong("soft", 2);
}

/* What the CPU has touched just now stays with it. On a slow machine that is over too soon. */
static void test_kept(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(K64);
	uint64_t fastest = UINT64_MAX;
	uint64_t moved;

	open_fixture(&f);
	for (int i = 0; i < 1000 && !svm_stats(&f.m).kept; i++) {
		uint64_t began;

		assert_int_equal(prefetch(&f, p, K64), K64);
		began = now_ns();
		p[0]++;
		assert_int_equal(fault(&f, p, 1, RW), 0);
		if (now_ns() - began < fastest)
			fastest = now_ns() - began;
	}
	if (!svm_stats(&f.m).kept && fastest >= 100000) {
		close_fixture(&f);
		print_message("the machine is too slow: %lu ns\n", (unsigned long)fastest);
		skip();
	}
	assert_true(svm_stats(&f.m).kept > 0);
	/* The device has it in place, and a further touch does not disturb that. */
	assert_int_equal(hmm_mm_barrier(f.m.mm, HMM_FOREVER), 0);
	moved = region(&f).moved_home;
	p[0]++;
	expect_load(&f, p, 1, p);
	assert_int_equal(region(&f).moved_home, moved);
	close_fixture(&f);
	munmap(p, K64);
}

/* ---- memory in pieces ----------------------------------------------------------------------- */

static int kernel_fill(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;
	void *p;
	int ret = hmm_access(ctx, s->va, s->len, RW, &p);

	(void)item;
	if (!ret)
		memset(p, *(char *)s->buf, s->len);
	return ret;
}

/* One page of 32 lives in system memory, its neighbours do not. */
static void test_pieces(void **state)
{
	struct fixture f = { 0 };
	char *p = pattern(2 * K64);
	char *want = malloc(2 * K64);
	struct span s = { at(p) + PAGE / 2, K64, "x", RW };

	memcpy(want, p, 2 * K64);
	open_fixture(&f);
	assert_int_equal(set(&f, p + 7 * PAGE, PAGE, HMM_SVM_SYSTEM, 0), 0);
	expect_load(&f, p, 2 * K64, want);
	assert_int_equal(away(&f), 2 * K64 - PAGE);
	assert_int_equal(svm_stats(&f.m).gathered, 0);
	store_all(&f, p + 100, 2 * K64 - 100, 'd');
	assert_int_equal(away(&f), 2 * K64 - PAGE);
	assert_int_equal(svm_stats(&f.m).gathered, 0);
	/* A pointer needs one piece. */
	assert_int_equal(run(&f.m, kernel_fill, &s, 1), 0);
	assert_true(svm_stats(&f.m).gathered > 0);
	assert_int_equal(away(&f), 2 * K64 - 17 * PAGE);
	for (size_t i = 0; i < 2 * K64; i++)
		assert_int_equal(p[i], i < 100                               ? want[i]
				       : i >= PAGE / 2 && i < PAGE / 2 + K64 ? 'x'
									     : 'd');
	close_fixture(&f);
	free(want);
	munmap(p, 2 * K64);
}

/* Chunks that move in any order lie in a row, so a pointer may cross from one to the next. */
static void test_rows(void **state)
{
	struct fixture f = { 0 };
	char *all = pattern(3 * M2);
	char *p = all;
	struct span s = { 0, K64, "x", RW };

	/* The region has an end, where a row breaks off. */
	if (at(p) / M2 % 8 == 7)
		p += M2;
	open_fixture(&f);
	assert_int_equal(fault(&f, p + M2, 1, RW), 0);
	assert_int_equal(fault(&f, p, 1, RW), 0);
	assert_int_equal(away(&f), 2 * M2);
	s.va = at(p) + M2 - K64 / 2;
	assert_int_equal(run(&f.m, kernel_fill, &s, 1), 0);
	/* Once more with a page of it at home, which goes back to its place. */
	assert_int_equal(p[M2], 'x');
	assert_int_equal(away(&f), 2 * M2 - PAGE);
	while (region(&f).used > 2 * M2 - PAGE)
		sched_yield();
	s.buf = "y";
	/* What the CPU has just touched would be left to it. */
	usleep(1000);
	assert_int_equal(run(&f.m, kernel_fill, &s, 1), 0);
	assert_int_equal(svm_stats(&f.m).gathered, 0);
	assert_int_equal(away(&f), 2 * M2);
	for (size_t i = M2 - K64 / 2; i < M2 + K64 / 2; i++)
		assert_int_equal(p[i], 'y');
	close_fixture(&f);
	munmap(all, 3 * M2);
}

/* No UFFDIO_MOVE, or no userfaultfd. */
static bool is_missing(void)
{
	struct fixture f = { 0 };
	int ret;

	if (hmm_mm_attach(NULL, &f.m.mm))
		return false;
	ret = make_region(&f, M2);
	if (!ret)
		hmm_devmem_destroy(f.d, HMM_FOREVER);
	hmm_mm_detach(f.m.mm);
	return ret == -EOPNOTSUPP;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_moves),
		cmocka_unit_test(test_device_reads_what_the_cpu_wrote),
		cmocka_unit_test(test_coherent_memory),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_without_faults),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_read_mostly),
		cmocka_unit_test(test_prefetch_moves_now),
		cmocka_unit_test(test_evict),
		cmocka_unit_test(test_granularity),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_bad_policies),
		cmocka_unit_test(test_in_place_by_reason),
		cmocka_unit_test(test_ping_pong),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_rows),
	};

	if (is_missing()) {
		print_message("no pages can be moved: UFFDIO_MOVE is missing, or a log tells\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

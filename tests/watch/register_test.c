// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What is registered: whole mappings, within the budget, and never memory of the library. */
#include "common/space.h"
#include "engine/gate.h"

#include <errno.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#define UNLESS_SANITIZED __attribute__((unused))
#else
#define SANITIZED 0
#define UNLESS_SANITIZED
#endif

static void regions_are_whole_and_shrink_with_unmap(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };

	space_open(&s, 16, 0);
	assert_true(region_covers(s.mm, addr(&s, 0), addr(&s, 16), 0));
	assert_int_equal(watch(&s), 0);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.registrations, 1); /* the second call cost none */
	munmap(s.p + 4 * PAGE, PAGE);
	settle(&s);
	assert_true(region_covers(s.mm, addr(&s, 0), addr(&s, 4), 0));
	assert_false(region_covers(s.mm, addr(&s, 4), addr(&s, 5), 0));
	assert_true(region_covers(s.mm, addr(&s, 5), addr(&s, 16), 0));
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.regions, 2);
	space_close(&s);
}

/* What was unmapped since it was looked up may come again, unregistered, and no scan would tell. */
static void without_a_scan_a_hole_is_no_region(void **state)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct space s = { 0 };
	struct hmm_vma vma;

	o.flags = HMM_MM_NO_PAGEMAP_SCAN;
	assert_int_equal(hmm_mm_attach(&o, &s.mm), 0);
	map_pages(&s, 8);
	vma = anon_vma(s.p, 8 * PAGE);
	munmap(s.p + 5 * PAGE, PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	assert_false(region_any(s.mm, vma.start, vma.end));
	vma = anon_vma(s.p, 5 * PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), 0);
	assert_true(region_covers(s.mm, vma.start, vma.end, 0));
	hmm_mm_detach(s.mm);
	munmap(s.p, 8 * PAGE);
}

static void a_budget_of_regions_is_kept(void **state)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct space s = { 0 };
	struct hmm_vma vma;

	o.max_regions = 1;
	assert_int_equal(hmm_mm_attach(&o, &s.mm), 0);
	map_pages(&s, 8);
	munmap(s.p + 2 * PAGE, PAGE);
	vma = anon_vma(s.p, 2 * PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), 0);
	vma = anon_vma(s.p + 4 * PAGE, PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -ENOSPC);
	hmm_mm_detach(s.mm);
	munmap(s.p, s.bytes);
}

static void special_memory_is_not_registered(void **state)
{
	struct space s;
	struct hmm_vma vma;

	space_open(&s, 4, 0);
	vma = anon_vma(s.p, s.bytes);
	vma.kind = HMM_VMA_SPECIAL;
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EOPNOTSUPP);
	vma.kind = HMM_VMA_ANON;
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end + PAGE, 0), -EAGAIN);
	space_close(&s);
}

void *__real_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t bytes, int advice);
int __wrap_madvise(void *at, size_t bytes, int advice);

/* Of this thread: others map, too. */
static _Thread_local void *place; /* where the next mapping without a wish goes */
static _Thread_local struct vma_reader *looking;
/* What the next memory of the library lies in before it gets its flag. */
static struct hmm_vma looked;

void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (!at && place) {
		at = place;
		flags |= MAP_FIXED_NOREPLACE;
		place = NULL;
	}
	return __real_mmap64(at, bytes, prot, flags, fd, offset);
}

int __wrap_madvise(void *at, size_t bytes, int advice)
{
	if (looking && advice == MADV_DONTDUMP)
		assert_int_equal(vma_peek(looking, (uint64_t)(uintptr_t)at, &looked), 0);
	return __real_madvise(at, bytes, advice);
}

static struct {
	const struct provider_ops *ops;
	char *hole;
	size_t bytes;
	char *own;
} between;

/* At the instant of the registration. */
static int watch_later(const struct provider *p, uint64_t start, uint64_t end)
{
	if (between.hole && !munmap(between.hole, between.bytes)) {
		place = between.hole;
		between.hole = NULL;
		between.own = pool_map(between.bytes);
	}
	return between.ops->watch(p, start, end);
}

/*
 * look-up of a mapping		program, another thread of the library
 *				unmaps a part, maps its own memory there
 * registers all of it
 */
UNLESS_SANITIZED static void memory_of_the_library_is_never_registered(void **state)
{
	const size_t bytes = 64 << 10;
	struct provider_ops ops;
	struct hmm_vma vma;
	struct space s;
	char *around;

	space_open(&s, 4, 0);
	around = mmap(NULL, 3 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(around, MAP_FAILED);
	assert_int_equal(vma_lookup(mm_vmas(s.mm), (uint64_t)(uintptr_t)around, &vma), 0);
	between.ops = s.mm->provider.ops;
	between.hole = around + bytes;
	between.bytes = bytes;
	ops = *s.mm->provider.ops;
	ops.watch = watch_later;
	s.mm->provider.ops = &ops;
	looking = mm_vmas(s.mm);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	looking = NULL;
	assert_ptr_equal(between.own, around + bytes);
	/* A thread that looks the mapping up at that instant must not find ours in it. */
	assert_true(!looked.prot || looked.end - looked.start == bytes);
	assert_false(region_any(s.mm, (uint64_t)(uintptr_t)around + bytes,
				(uint64_t)(uintptr_t)around + 2 * bytes));
	alarm(50);
	gate_close(s.mm, 0);
	pool_unmap(between.own, bytes); /* or waits for the pump, which waits for us */
	gate_open(s.mm);
	alarm(0);
	munmap(around, bytes);
	munmap(around + 2 * bytes, bytes);
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_whole_and_shrink_with_unmap),
		cmocka_unit_test(without_a_scan_a_hole_is_no_region),
		cmocka_unit_test(a_budget_of_regions_is_kept),
		cmocka_unit_test(special_memory_is_not_registered),
#if !SANITIZED /* mappings where they are wanted are beyond sanitizers */
		cmocka_unit_test(memory_of_the_library_is_never_registered),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

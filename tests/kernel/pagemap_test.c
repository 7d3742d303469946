// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the page table says, by PAGEMAP_SCAN and by words. */
#include "common/mappings.h"

#include "kernel/abi/pagemap.h"
#include "watch/region.h"

struct maps {
	struct pagemap scan;
	struct pagemap words;
};

static int open_maps(void **state)
{
	static struct maps m;

	assert_int_equal(pagemap_open(&m.scan, -1, false), 0);
	assert_int_equal(pagemap_open(&m.words, -1, true), 0);
	assert_false(m.words.scan);
	*state = &m;
	return 0;
}

static int close_maps(void **state)
{
	struct maps *m = *state;

	pagemap_close(&m->scan);
	pagemap_close(&m->words);
	return 0;
}

static size_t runs_of(struct pagemap *p, const char *start, size_t bytes, struct page_run *runs,
		      size_t n)
{
	uint64_t walked = 0;

	assert_int_equal(pagemap_runs(p, at(start), at(start) + bytes, runs, &n, &walked), 0);
	assert_int_equal(walked, at(start) + bytes);
	return n;
}

static void runs_name_present_pages_only(void **state)
{
	struct maps *m = *state;
	struct page_run r[8];

	for (int i = 0; i < 2; i++) {
		struct pagemap *p = i ? &m->words : &m->scan;
		char *a = map_anon_small(16 * PAGE, RW);

		assert_int_equal(runs_of(p, a, 16 * PAGE, r, 8), 0);
		memset(a + 2 * PAGE, 1, 3 * PAGE);
		a[9 * PAGE] = 1;
		assert_int_equal(runs_of(p, a, 16 * PAGE, r, 8), 2);
		assert_int_equal(r[0].start, at(a) + 2 * PAGE);
		assert_int_equal(r[0].end, at(a) + 5 * PAGE);
		assert_true(r[0].categories & PAGE_IS_PRESENT);
		assert_int_equal(r[1].start, at(a) + 9 * PAGE);
		assert_int_equal(r[1].end, at(a) + 10 * PAGE);
		munmap(a, 16 * PAGE);
	}
}

static void a_full_array_stops_the_walk(void **state)
{
	struct maps *m = *state;
	struct page_run r[2];

	for (int i = 0; i < 2; i++) {
		struct pagemap *p = i ? &m->words : &m->scan;
		char *a = map_anon_small(16 * PAGE, RW);
		uint64_t walked = 0;
		size_t n = 2;

		for (int k = 0; k < 16; k += 2)
			a[k * PAGE] = 1;
		assert_int_equal(pagemap_runs(p, at(a), at(a) + 16 * PAGE, r, &n, &walked), 0);
		assert_int_equal(n, 2);
		assert_true(walked >= at(a) + 3 * PAGE && walked <= at(a) + 4 * PAGE);
		munmap(a, 16 * PAGE);
	}
}

static void zero_page_is_told(void **state)
{
	struct maps *m = *state;
	struct page_run r[4];
	char *a = map_anon(4 * PAGE, RW);
	volatile char c = a[PAGE];

	(void)c;
	if (!m->scan.scan)
		skip();
	assert_int_equal(runs_of(&m->scan, a, 4 * PAGE, r, 4), 1);
	assert_true(!(r[0].categories & PAGE_IS_PFNZERO) == reads_make_private(PAGE));
	a[PAGE] = 1;
	assert_int_equal(runs_of(&m->scan, a, 4 * PAGE, r, 4), 1);
	assert_false(r[0].categories & PAGE_IS_PFNZERO);
}

static void huge_pages_are_told(void **state)
{
	struct maps *m = *state;
	struct page_run r[4];
	char *a = map_anon(4 * MIB, RW);

	if (!m->scan.scan || madvise(a, 4 * MIB, MADV_HUGEPAGE))
		skip();
	a[0] = 1;
	assert_int_equal(runs_of(&m->scan, a, 4 * MIB, r, 4), 1);
	if (!(r[0].categories & PAGE_IS_HUGE))
		skip();
	assert_int_equal(r[0].end - r[0].start, 2 * MIB);
}

static void all_present_minds_absence_and_holes(void **state)
{
	struct maps *m = *state;

	for (int i = 0; i < 2; i++) {
		struct pagemap *p = i ? &m->words : &m->scan;
		char *a = map_anon(1024 * PAGE, RW);

		memset(a, 1, 1024 * PAGE);
		assert_int_equal(pagemap_all_present(p, at(a), at(a) + 1024 * PAGE), 1);
		/* another VMA is no matter */
		mprotect(a + 5 * PAGE, PAGE, PROT_READ);
		assert_int_equal(pagemap_all_present(p, at(a), at(a) + 1024 * PAGE), 1);
		madvise(a + 700 * PAGE, PAGE, MADV_DONTNEED);
		assert_int_equal(pagemap_all_present(p, at(a), at(a) + 1024 * PAGE), 0);
		a[700 * PAGE] = 1;
		assert_int_equal(pagemap_all_present(p, at(a), at(a) + 1024 * PAGE), 1);
		munmap(a + 300 * PAGE, PAGE);
		assert_int_equal(pagemap_all_present(p, at(a), at(a) + 1024 * PAGE), 0);
		assert_int_equal(pagemap_all_present(p, at(a) + 300 * PAGE, at(a) + 301 * PAGE), 0);
		munmap(a, 1024 * PAGE);
	}
}

static void armed_pages_tell_of_writes_and_discards(void **state)
{
	struct maps *m = *state;
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *a = map_anon(64 * PAGE, RW);
	volatile char c;
	uint64_t word;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	if (!mm_wp_async(mm) || !m->scan.scan) {
		hmm_mm_detach(mm);
		skip();
	}
	memset(a, 1, 64 * PAGE);
	/* refused on memory that is not registered */
	assert_int_equal(pagemap_arm(&m->scan, at(a), at(a) + 64 * PAGE), -EPERM);
	assert_int_equal(hmm_vma_find(mm, at(a), &vma), 0);
	assert_int_equal(region_ensure(mm, &vma, at(a), at(a) + 64 * PAGE, 0), 0);
	assert_int_equal(pagemap_all_armed(&m->scan, at(a), at(a) + 64 * PAGE), 0);
	assert_int_equal(pagemap_arm(&m->scan, at(a), at(a) + 64 * PAGE), 0);
	for (int i = 0; i < 2; i++) {
		struct pagemap *p = i ? &m->words : &m->scan;

		assert_int_equal(pagemap_all_armed(p, at(a), at(a) + 64 * PAGE), 1);
	}
	/* a read changes nothing, a write does, and so does a discard with another page after it */
	c = a[3 * PAGE];
	assert_int_equal(pagemap_all_armed(&m->scan, at(a), at(a) + 64 * PAGE), 1);
	a[3 * PAGE] = c;
	assert_int_equal(pagemap_all_armed(&m->scan, at(a), at(a) + 64 * PAGE), 0);
	assert_int_equal(pagemap_all_armed(&m->words, at(a), at(a) + 64 * PAGE), 0);
	assert_int_equal(pagemap_all_armed(&m->scan, at(a) + 4 * PAGE, at(a) + 64 * PAGE), 1);
	madvise(a + 10 * PAGE, PAGE, MADV_DONTNEED);
	/* the kernel leaves nothing in the place of an absent page */
	assert_int_equal(pagemap_arm(&m->scan, at(a), at(a) + 64 * PAGE), 0);
	assert_int_equal(pagemap_words(&m->scan, at(a) + 10 * PAGE, 1, &word), 0);
	/* Where the kernel knows soft-dirty pages its bit is set in a mapping that is new. */
	assert_int_equal(word & ~PM_WORD_SOFT_DIRTY, 0);
	assert_int_equal(pagemap_all_armed(&m->scan, at(a) + 4 * PAGE, at(a) + 64 * PAGE), 0);
	c = a[10 * PAGE];
	assert_int_equal(pagemap_all_armed(&m->scan, at(a) + 4 * PAGE, at(a) + 64 * PAGE), 0);
	assert_int_equal(pagemap_all_armed(&m->words, at(a) + 4 * PAGE, at(a) + 64 * PAGE), 0);
	hmm_mm_detach(mm);
}

static void a_page_tells_whether_its_mapping_is_registered(void **state)
{
	struct maps *m = *state;
	char *a = map_anon(64 * PAGE, RW);
	struct hmm_mm *mm;
	struct hmm_vma vma;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	if (!mm_wp_async(mm) || !m->scan.scan) {
		hmm_mm_detach(mm);
		skip();
	}
	assert_int_equal(pagemap_is_registered(&m->scan, at(a)), 0);
	assert_int_equal(hmm_vma_find(mm, at(a), &vma), 0);
	assert_int_equal(region_ensure(mm, &vma, at(a), at(a) + 64 * PAGE, 0), 0);
	/* Also where no page is present. */
	assert_int_equal(pagemap_is_registered(&m->scan, at(a) + 5 * PAGE), 1);
	memset(a, 1, 32 * PAGE);
	assert_int_equal(pagemap_is_registered(&m->scan, at(a) + 5 * PAGE), 1);
	assert_ptr_equal(
		mmap(a + 40 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		a + 40 * PAGE);
	assert_int_equal(pagemap_is_registered(&m->scan, at(a) + 39 * PAGE), 1);
	assert_int_equal(pagemap_is_registered(&m->scan, at(a) + 40 * PAGE), 0);
	assert_int_equal(pagemap_is_registered(&m->words, at(a)), -EOPNOTSUPP);
	/* A hole is not registered either. */
	munmap(a + 20 * PAGE, PAGE);
	assert_int_equal(pagemap_is_registered(&m->scan, at(a) + 20 * PAGE), 0);
	hmm_mm_detach(mm);
	munmap(a, 64 * PAGE);
}

static void words_tell_who_shares_a_page(void **state)
{
	struct maps *m = *state;
	char *a = map_anon(2 * PAGE, RW);
	uint64_t w[2];
	int go[2];
	pid_t pid;
	char c;

	memset(a, 1, 2 * PAGE);
	assert_int_equal(pagemap_words(&m->scan, at(a), 2, w), 0);
	assert_true(w[0] & w[1] & PM_WORD_PRESENT & ~0ULL);
	assert_true(w[0] & PM_WORD_EXCLUSIVE);
	assert_int_equal(pipe(go), 0);
	pid = fork_tied();
	if (!pid)
		_exit((int)read(go[0], &c, 1));
	a[0] = 2;
	assert_int_equal(pagemap_words(&m->scan, at(a), 2, w), 0);
	assert_true(w[0] & PM_WORD_EXCLUSIVE);
	assert_false(w[1] & PM_WORD_EXCLUSIVE);
	assert_int_equal(write(go[1], "", 1), 1);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	/* past the end of the address space: no page, no error */
	assert_int_equal(pagemap_words(&m->scan, 0x7ffffffff000, 2, w), 0);
	assert_int_equal(w[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_name_present_pages_only),
		cmocka_unit_test(a_full_array_stops_the_walk),
		cmocka_unit_test(zero_page_is_told),
		cmocka_unit_test(huge_pages_are_told),
		cmocka_unit_test(all_present_minds_absence_and_holes),
		cmocka_unit_test(armed_pages_tell_of_writes_and_discards),
		cmocka_unit_test(a_page_tells_whether_its_mapping_is_registered),
		cmocka_unit_test(words_tell_who_shares_a_page),
	};

	return cmocka_run_group_tests(tests, open_maps, close_maps);
}

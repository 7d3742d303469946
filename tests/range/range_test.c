// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The walk rules of hmm_range_fault(), one a test. */
#include "common/huge.h"
#include "common/mirror.h"

#include "kernel/abi/pagemap.h"

static int setup(void **state)
{
	static struct mirror m;

	mirror_open(&m, 0);
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	mirror_close(*state);
	return 0;
}

static void bad_ranges_are_einval(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);

	assert_int_equal(fault(m, p + 1, 1, 0), -EINVAL);
	assert_int_equal(fault(m, p, 0, 0), -EINVAL);
	assert_int_equal(hmm_range_fault(NULL, HMM_FOREVER), -EINVAL);
	m->range.size = 40; /* no room for hmm_pfns */
	m->range.end = m->range.start + PAGE;
	assert_int_equal(hmm_range_fault(&m->range, HMM_FOREVER), -EINVAL);
	/* beyond the notifier */
	assert_int_equal(fault(m, (void *)((1UL << 56) - 2 * PAGE), 4, 0), -EINVAL);
}

static void hole_is_error_entry_or_efault(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);

	memset(p, 1, 4 * PAGE);
	munmap(p + 2 * PAGE, PAGE);
	assert_int_equal(snapshot(m, p, 4), 0);
	assert_int_equal(m->range.last, m->range.end);
	assert_int_equal(flags_of(m, 2), ERROR);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	assert_int_equal(flags_of(m, 3), VALID | WRITE);
	assert_int_equal(fault(m, p, 4, REQ_READ), -EFAULT);
	/* progress: what lies below is output, the rest is as it was */
	assert_int_equal(m->range.last, at(p) + 2 * PAGE);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	assert_true(m->pfns[2] == NOTHING && m->pfns[3] == NOTHING);
}

static void unreadable_is_error_entry_or_efault(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(2 * PAGE, RW);

	memset(p, 1, 2 * PAGE);
	mprotect(p, PAGE, PROT_NONE);
	assert_int_equal(snapshot(m, p, 2), 0);
	assert_int_equal(flags_of(m, 0), ERROR);
	assert_int_equal(fault(m, p, 2, REQ_READ), -EFAULT);
	assert_int_equal(m->range.last, at(p));
	mprotect(p, PAGE, PROT_WRITE);
	assert_int_equal(snapshot(m, p, 2), 0);
	assert_int_equal(flags_of(m, 0), ERROR);
	assert_int_equal(fault(m, p, 2, REQ_WRITE), -EFAULT);
}

static void special_is_error_entry_or_efault(void **state)
{
	struct mirror *m = *state;
	char *own = pool_map(PAGE);

	own[0] = 1;
	assert_int_equal(snapshot(m, own, 1), 0);
	assert_int_equal(flags_of(m, 0), ERROR);
	assert_int_equal(fault(m, own, 1, REQ_READ), -EFAULT);
	pool_unmap(own, PAGE);
}

static void write_to_read_only_is_eperm(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);

	memset(p, 1, 4 * PAGE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	assert_int_equal(fault(m, p, 4, REQ_WRITE), -EPERM);
	assert_int_equal(m->range.last, at(p) + 2 * PAGE);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	assert_true(m->pfns[2] == NOTHING);
	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_int_equal(flags_of(m, 2), VALID);
	/* the first page decides which error it is */
	munmap(p + PAGE, PAGE);
	assert_int_equal(fault(m, p, 4, REQ_WRITE), -EFAULT);
	assert_int_equal(m->range.last, at(p) + PAGE);
}

static void absent_and_not_requested_is_zero(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon_small(4 * PAGE, RW);

	p[PAGE] = 1;
	assert_int_equal(snapshot(m, p, 4), 0);
	assert_true(m->pfns[0] == 0 && m->pfns[2] == 0 && m->pfns[3] == 0);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
}

static void zero_page_is_never_writable(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);

	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_true(all_flags(m, 4, only_read(PAGE)));
	assert_int_equal(fault(m, p, 4, REQ_WRITE), 0);
	assert_true(all_flags(m, 4, VALID | WRITE));
	assert_int_equal(p[0], 0);
}

static void faulted_memory_is_registered_and_cachable(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(8 * PAGE, RW);

	memset(p, 1, 8 * PAGE);
	/* a snapshot of what nobody watches is good for one look */
	assert_int_equal(snapshot(m, p, 8), 0);
	assert_true(transient(m, 0));
	assert_int_equal(fault(m, p + 2 * PAGE, 1, REQ_READ), 0);
	assert_false(transient(m, 0));
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_ALL), 0);
	/* the whole VMA is */
	assert_int_equal(snapshot(m, p, 8), 0);
	assert_false(transient(m, 0));
	assert_false(transient(m, 7));
}

static void a_look_registers_nothing(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(2 * PAGE, RW);
	struct hmm_mm_stats a = { .size = sizeof(a) };
	struct hmm_mm_stats b = { .size = sizeof(b) };

	hmm_mm_get_stats(m->mm, &a);
	m->range = (struct hmm_range){ .size = sizeof(m->range),
				       .flags = HMM_RANGE_LOOK,
				       .notifier = m->ni,
				       .start = at(p),
				       .end = at(p) + 2 * PAGE,
				       .hmm_pfns = m->pfns,
				       .default_flags = REQ_WRITE };
	assert_int_equal(hmm_range_fault(&m->range, HMM_FOREVER), 0);
	assert_true(all_flags(m, 2, VALID | WRITE));
	assert_true(transient(m, 0));
	hmm_mm_get_stats(m->mm, &b);
	assert_int_equal(a.registrations, b.registrations);
}

/* Nothing is in the way: all is done that can be done without waiting for another thread. */
static void a_timeout_of_0_makes_one_attempt(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(2 * PAGE, RW);

	m->range = (struct hmm_range){ .size = sizeof(m->range),
				       .notifier = m->ni,
				       .start = at(p),
				       .end = at(p) + 2 * PAGE,
				       .hmm_pfns = m->pfns,
				       .default_flags = REQ_WRITE };
	assert_int_equal(hmm_range_fault(&m->range, 0), 0);
	assert_true(all_flags(m, 2, VALID | WRITE));
	assert_false(hmm_interval_read_retry(m->ni, m->range.notifier_seq));
}

/* What the array held before counts for nothing, be it requests or sticky bits. */
static void a_fresh_array_is_only_written(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon_small(20 * PAGE, RW);
	const uint64_t garbage = ~0ULL;

	p[0] = p[18 * PAGE] = 1;
	m->range = (struct hmm_range){ .size = sizeof(m->range),
				       .flags = HMM_RANGE_FRESH,
				       .notifier = m->ni,
				       .start = at(p),
				       .end = at(p) + 20 * PAGE,
				       .hmm_pfns = m->pfns };
	for (int i = 0; i < 21; i++)
		m->pfns[i] = garbage;
	assert_int_equal(hmm_range_fault(&m->range, HMM_FOREVER), 0);
	for (int i = 0; i < 20; i++) {
		const bool there = i == 0 || i == 18;

		assert_int_equal(m->pfns[i] & ~HMM_PFN_WRITE & ~HMM_PFN_TRANSIENT,
				 there ? HMM_PFN_VALID | (at(p) + (uint64_t)i * PAGE) / PAGE : 0);
	}
	assert_int_equal(m->pfns[20], garbage);

	m->range.default_flags = REQ_WRITE;
	assert_int_equal(hmm_range_fault(&m->range, HMM_FOREVER), 0);
	assert_true(all_flags(m, 20, VALID | WRITE));

	m->range.pfn_flags_mask = REQ_WRITE;
	assert_int_equal(hmm_range_fault(&m->range, HMM_FOREVER), -EINVAL);
}

static int shared_child(char *p, int go)
{
	char c;

	return read(go, &c, 1) == 1 && p[0] == 1 && p[PAGE] == 1 ? 0 : 1;
}

static void read_never_breaks_copy_on_write(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);
	uint64_t before[4];
	uint64_t after[4];
	int status;
	int go[2];
	pid_t pid;

	memset(p, 1, 4 * PAGE);
	assert_int_equal(pipe(go), 0);
	pid = fork_tied();
	if (!pid)
		_exit(shared_child(p, go[0]));
	pagemap_words(mm_pagemap(m->mm), at(p), 4, before);
	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	pagemap_words(mm_pagemap(m->mm), at(p), 4, after);
	/* readable, shared with the child, and the same page still */
	assert_true(all_flags(m, 4, VALID));
	assert_false(after[0] & PM_WORD_EXCLUSIVE);
	assert_int_equal(before[0] & PM_WORD_PFN, after[0] & PM_WORD_PFN);
	/* a write request breaks it, page by page */
	assert_int_equal(fault(m, p, 1, REQ_WRITE), 0);
	assert_int_equal(flags_of(m, 0), VALID | WRITE);
	/*
	 * and after a fork nothing but a write request proves that it was broken, unless the kernel
	 * tells of frames
	 */
	assert_int_equal(snapshot(m, p, 4), 0);
	assert_int_equal(flags_of(m, 0), VALID | (mm_pagemap(m->mm)->pfns_hidden ? 0 : WRITE));
	for (int i = 1; i < 4; i++)
		assert_int_equal(flags_of(m, i), VALID);
	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_true(all_flags(m, 4, VALID));
	p[0] = 2;
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	/* a page whose other owner has gone is mapped once, and the next write still copies it */
	assert_int_equal(snapshot(m, p, 4), 0);
	assert_int_equal(flags_of(m, 3), VALID);
	close(go[0]);
	close(go[1]);
}

static void each_page_has_its_request(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(6 * PAGE, RW);

	m->pfns[0] = 0;
	m->pfns[1] = REQ_READ;
	m->pfns[2] = REQ_WRITE;
	m->pfns[3] = HMM_PFN_REQ_WRITE; /* nothing is asked without FAULT */
	m->pfns[4] = REQ_READ | NOTHING;
	m->pfns[5] = REQ_WRITE;
	assert_int_equal(fault_masked(m, p, 6, 0, REQ_WRITE), 0);
	assert_true(m->pfns[0] == 0 && m->pfns[3] == 0);
	assert_int_equal(flags_of(m, 1), only_read(PAGE));
	assert_int_equal(flags_of(m, 2), VALID | WRITE);
	assert_int_equal(flags_of(m, 4), only_read(PAGE));
	assert_int_equal(flags_of(m, 5), VALID | WRITE);
}

static void the_mask_hides_requests(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(3 * PAGE, RW);

	m->pfns[0] = REQ_WRITE;
	m->pfns[1] = REQ_WRITE;
	m->pfns[2] = 0;
	assert_int_equal(fault_masked(m, p, 3, 0, 0), 0);
	assert_true(m->pfns[0] == 0 && m->pfns[1] == 0);
	m->pfns[0] = m->pfns[1] = REQ_WRITE;
	assert_int_equal(fault_masked(m, p, 3, HMM_PFN_REQ_FAULT, HMM_PFN_REQ_FAULT), 0);
	assert_true(all_flags(m, 3, only_read(PAGE)));
	m->pfns[0] = HMM_PFN_REQ_WRITE;
	m->pfns[1] = m->pfns[2] = 0;
	assert_int_equal(fault_masked(m, p, 3, HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE), 0);
	assert_int_equal(flags_of(m, 0), VALID | WRITE);
	assert_int_equal(flags_of(m, 1), only_read(PAGE));
}

static void sticky_bits_survive(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon_small(4 * PAGE, RW);

	memset(p, 1, PAGE);
	mprotect(p + 2 * PAGE, PAGE, PROT_NONE);
	for (int i = 0; i < 4; i++)
		m->pfns[i] = HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA | NOTHING;
	assert_int_equal(fault_masked(m, p, 4, 0, 0), 0);
	assert_int_equal(flags_of(m, 0), VALID | WRITE | HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA);
	assert_true(m->pfns[1] == (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA));
	assert_true(m->pfns[2] == (ERROR | HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA));
}

static void restart_is_idempotent(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);
	uint64_t first[4];

	for (int i = 0; i < 4; i++)
		m->pfns[i] = i & 1 ? REQ_WRITE : REQ_READ;
	mprotect(p + 3 * PAGE, PAGE, PROT_NONE);
	assert_int_equal(fault_masked(m, p, 4, 0, REQ_WRITE), -EFAULT);
	assert_int_equal(m->range.last, at(p) + 3 * PAGE);
	assert_true(m->pfns[3] == REQ_WRITE);
	memcpy(first, m->pfns, sizeof(first));
	mprotect(p + 3 * PAGE, PAGE, RW);
	assert_int_equal(fault_masked(m, p, 4, 0, REQ_WRITE), 0);
	assert_memory_equal(first, m->pfns, 3 * sizeof(first[0]));
	assert_int_equal(flags_of(m, 3), VALID | WRITE);
}

static bool is_huge(struct mirror *m, const char *p)
{
	struct page_run run;
	uint64_t walked;
	size_t n = 1;

	return mm_pagemap(m->mm)->scan &&
	       !pagemap_runs(mm_pagemap(m->mm), at(p), at(p) + PAGE, &run, &n, &walked) && n &&
	       run.categories & PAGE_IS_HUGE;
}

static void huge_pages_carry_their_order(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * MIB, RW);

	if (madvise(p, 4 * MIB, MADV_HUGEPAGE))
		skip();
	memset(p, 1, 2 * MIB);
	ask_for_huge_pages(p, 2 * MIB);
	if (!is_huge(m, p))
		skip();
	assert_int_equal(snapshot(m, p, 1024), 0);
	assert_true(all_flags(m, 512, VALID | WRITE));
	for (int i = 0; i < 512; i++)
		assert_int_equal(order(m, i), 9);
	assert_true(m->pfns[512] == 0);
	if (!faults_give_huge_pages())
		return;
	/* the huge zero page; a walk that begins in the middle */
	assert_int_equal(fault(m, p + 2 * MIB + 5 * PAGE, 3, REQ_READ), 0);
	assert_true(all_flags(m, 3, only_read(2 * MIB)));
	assert_int_equal(order(m, 0), 9);
	assert_int_equal(fault(m, p + 2 * MIB + 5 * PAGE, 3, REQ_WRITE), 0);
	assert_true(all_flags(m, 3, VALID | WRITE));
}

static void huge_page_shared_with_a_child_is_read_only(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(2 * MIB, RW);
	int go[2];
	int ready[2];
	pid_t pid;
	char c;

	if (madvise(p, 2 * MIB, MADV_HUGEPAGE))
		skip();
	memset(p, 1, 2 * MIB);
	ask_for_huge_pages(p, 2 * MIB);
	if (!is_huge(m, p))
		skip();
	assert_int_equal(pipe(go) | pipe(ready), 0);
	pid = fork_tied();
	if (!pid) {
		/* the child gives the first page up: the others are shared on, and pagemap denies
		 * it */
		munmap(p, PAGE);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit((int)read(go[0], &c, 1) != 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(snapshot(m, p, 512), 0);
	assert_true(all_flags(m, 512, VALID));
	assert_int_equal(fault(m, p, 512, REQ_WRITE), 0);
	assert_true(all_flags(m, 512, VALID | WRITE));
	p[5 * PAGE] = 2;
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
}

static void hugetlb_carries_its_page_size(void **state)
{
	struct mirror *m = *state;
	char *p;
	char *q;

	p = map_huge(4 * MIB, MAP_PRIVATE, 6);
	q = map_huge(4 * MIB, MAP_SHARED, 6);
	if (!p || !q) {
		print_message("no huge pages and no right to reserve some\n");
		huge_pages(0);
		skip();
	}
	assert_int_equal(fault(m, p + 3 * PAGE, 2, REQ_WRITE), 0);
	assert_true(all_flags(m, 2, VALID | WRITE));
	assert_int_equal(order(m, 0), 9);
	assert_false(transient(m, 0));
	assert_int_equal(snapshot(m, p, 1024), 0);
	assert_true(all_flags(m, 512, VALID | WRITE));
	assert_true(m->pfns[512] == 0);
	mprotect(p, 2 * MIB, PROT_READ);
	assert_int_equal(fault(m, p, 512, REQ_READ), 0);
	assert_true(all_flags(m, 512, VALID));
	assert_int_equal(order(m, 511), 9);
	assert_int_equal(fault(m, q, 1024, REQ_WRITE), 0);
	assert_true(all_flags(m, 1024, VALID | WRITE));
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_ALL), 0);
	munmap(p, 4 * MIB);
	munmap(q, 4 * MIB);
	huge_pages(0);
}

static void shared_memory_is_writable_when_asked(void **state)
{
	struct mirror *m = *state;
	char *p = map_fd(4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_true(all_flags(m, 4, VALID));
	m->pfns[0] = REQ_READ;
	m->pfns[1] = REQ_WRITE;
	m->pfns[2] = m->pfns[3] = 0;
	assert_int_equal(fault_masked(m, p, 4, 0, REQ_WRITE), 0);
	assert_int_equal(flags_of(m, 0), VALID);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	assert_false(transient(m, 1));
}

static void private_file_is_copied_on_write_request(void **state)
{
	struct mirror *m = *state;
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	char *p = map_fd(4 * PAGE, RW, MAP_PRIVATE, fd, 0);

	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_true(all_flags(m, 4, VALID));
	assert_int_equal(fault(m, p, 2, REQ_WRITE), 0);
	assert_true(all_flags(m, 2, VALID | WRITE));
	assert_int_equal(p[0], 1);
	assert_int_equal(p[PAGE], 2);
	assert_int_equal(snapshot(m, p, 4), 0);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	assert_int_equal(flags_of(m, 2), VALID);
	unlink(path);
	close(fd);
}

static void shared_file_write_is_asked_for(void **state)
{
	struct mirror *m = *state;
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	char *p = map_fd(4 * PAGE, RW, MAP_SHARED, fd, 0);

	assert_int_equal(fault(m, p, 4, REQ_WRITE), 0);
	assert_true(all_flags(m, 4, VALID | WRITE));
	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_true(all_flags(m, 4, VALID));
	unlink(path);
	close(fd);
}

static void beyond_the_file_is_efault(void **state)
{
	struct mirror *m = *state;
	char path[32];
	int fd = make_file(path, 2 * PAGE);
	char *p = map_fd(4 * PAGE, RW, MAP_SHARED, fd, 0);

	assert_int_equal(snapshot(m, p, 4), 0);
	assert_true(m->pfns[3] == 0);
	assert_int_equal(fault(m, p, 4, REQ_READ), -EFAULT);
	assert_int_equal(m->range.last, at(p) + 2 * PAGE);
	assert_int_equal(flags_of(m, 1), VALID);
	assert_true(m->pfns[2] == NOTHING);
	assert_int_equal(fault(m, p, 4, REQ_WRITE), -EFAULT);
	assert_int_equal(m->range.last, at(p) + 2 * PAGE);
	assert_int_equal(flags_of(m, 1), VALID | WRITE);
	unlink(path);
	close(fd);
}

static void a_cold_range_is_populated_by_one_call(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * MIB, RW);

	madvise(p, 4 * MIB, MADV_NOHUGEPAGE);
	assert_int_equal(fault(m, p, 1024, REQ_READ), 0);
	assert_true(all_flags(m, 1024, only_read(PAGE)));
	assert_int_equal(fault(m, p, 1024, REQ_WRITE), 0);
	assert_true(all_flags(m, 1024, VALID | WRITE));
}

static void many_vmas_in_one_walk(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(64 * PAGE, RW);

	for (int i = 0; i < 64; i += 2)
		mprotect(p + i * PAGE, PAGE, PROT_READ);
	assert_int_equal(fault(m, p, 64, REQ_READ), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(flags_of(m, i), i & 1 ? only_read(PAGE) : VALID);
	for (int i = 0; i < 64; i++)
		m->pfns[i] = i & 1 ? REQ_WRITE : 0;
	assert_int_equal(fault_masked(m, p, 64, 0, REQ_WRITE), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(flags_of(m, i), i & 1 ? VALID | WRITE : VALID);
}

static void sequence_is_fresh(void **state)
{
	struct mirror *m = *state;
	char *p = map_anon(4 * PAGE, RW);

	assert_int_equal(fault(m, p, 4, REQ_WRITE), 0);
	assert_false(hmm_interval_read_retry(m->ni, m->range.notifier_seq));
	munmap(p + PAGE, PAGE);
	assert_true(hmm_interval_read_retry(m->ni, m->range.notifier_seq));
	assert_int_equal(hmm_range_check(&m->range, 0), -ESTALE);
	assert_int_equal(hmm_mm_barrier(m->mm, HMM_FOREVER), 0);
	assert_true(m->events[HMM_EVENT_UNMAP] > 0);
}

static void works_reduced(void **state)
{
	const uint32_t flags[] = { HMM_MM_NO_PAGEMAP_SCAN, HMM_MM_NO_PROCMAP_QUERY,
				   HMM_MM_NO_WP_ASYNC,
				   HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_PROCMAP_QUERY |
					   HMM_MM_NO_WP_ASYNC };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		char path[32];
		int fd = make_file(path, 2 * PAGE);
		char *f = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
		char *p = map_anon_small(4 * PAGE, RW);
		struct hmm_vma vma;
		struct mirror m;
		bool cached;

		/* On some filesystems a file is cached by no kernel; on tmpfs it is memory. */
		mirror_open(&m, 0);
		assert_int_equal(fault(&m, f, 2, REQ_READ), 0);
		cached = !transient(&m, 0);
		mirror_close(&m);
		munmap(f, 2 * PAGE);
		f = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

		mirror_open(&m, flags[i]);
		p[0] = 1;
		assert_int_equal(snapshot(&m, p, 4), 0);
		assert_int_equal(flags_of(&m, 0), VALID | WRITE);
		assert_true(m.pfns[1] == 0);
		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		assert_int_equal(flags_of(&m, 0), VALID | WRITE);
		assert_int_equal(flags_of(&m, 1), only_read(PAGE));
		assert_int_equal(fault(&m, p, 4, REQ_WRITE), 0);
		assert_true(all_flags(&m, 4, VALID | WRITE));
		assert_false(transient(&m, 0));
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
		assert_int_equal(fault(&m, f, 2, REQ_READ), 0);
		assert_true(all_flags(&m, 2, VALID));
		/* files are never cached without asynchronous write-protection */
		assert_int_equal(hmm_vma_find(m.mm, at(f), &vma), 0);
		assert_int_equal(transient(&m, 0),
				 !cached || (vma.kind == HMM_VMA_FILE && !mm_wp_async(m.mm)));
		mirror_close(&m);
		unlink(path);
		close(fd);
		munmap(f, 2 * PAGE);
		munmap(p, 4 * PAGE);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(bad_ranges_are_einval),
		T(hole_is_error_entry_or_efault),
		T(unreadable_is_error_entry_or_efault),
		T(special_is_error_entry_or_efault),
		T(write_to_read_only_is_eperm),
		T(absent_and_not_requested_is_zero),
		T(zero_page_is_never_writable),
		T(faulted_memory_is_registered_and_cachable),
		T(a_look_registers_nothing),
		T(a_timeout_of_0_makes_one_attempt),
		T(a_fresh_array_is_only_written),
		T(read_never_breaks_copy_on_write),
		T(each_page_has_its_request),
		T(the_mask_hides_requests),
		T(sticky_bits_survive),
		T(restart_is_idempotent),
		T(huge_pages_carry_their_order),
		T(huge_page_shared_with_a_child_is_read_only),
		T(hugetlb_carries_its_page_size),
		T(shared_memory_is_writable_when_asked),
		T(private_file_is_copied_on_write_request),
		T(shared_file_write_is_asked_for),
		T(beyond_the_file_is_efault),
		T(a_cold_range_is_populated_by_one_call),
		T(many_vmas_in_one_walk),
		T(sequence_is_fresh),
		cmocka_unit_test(works_reduced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

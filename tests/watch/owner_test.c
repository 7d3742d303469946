// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What the kernel says is registered, on kernels whose scan does not say it (before Linux 6.7), and
 * mappings that make room for others while they are registered: the tree of regions is wrong then,
 * and is not believed.
 */
#include "common/mirror.h"

#include "watch/region.h"
#include "base/deadline.h"
#include "common/broken.h"

#define PAGES 4

static const uint32_t lesser[] = { HMM_MM_NO_PAGEMAP_SCAN, HMM_MM_NO_WP_ASYNC,
				   HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC };
#define LESSER (sizeof(lesser) / sizeof(lesser[0]))

/* ---- the question ---------------------------------------------------------------------------- */

static int ask(struct mirror *m, const char *p, size_t pages)
{
	struct hmm_vma vma;

	if (vma_lookup(mm_vmas(m->mm), at(p), &vma))
		return -1;
	return region_ask(m->mm, &vma, at(p), at(p) + pages * PAGE, clock_ns() + m->timeout_ns);
}

static uint64_t word_of(struct mirror *m, const char *p)
{
	uint64_t word;

	assert_int_equal(pagemap_words(mm_pagemap(m->mm), at(p), 1, &word), 0);
	return word;
}

/* Only the first page is there, and the question neither brings in others nor changes any. */
static void asked_of(struct mirror *m, char *p, size_t pages)
{
	const size_t step = pages > PAGES ? 512 : 1; /* pages of hugetlbfs are large */
	struct hmm_vma vma;
	uint64_t words[2];

	*(volatile char *)p = 1;
	assert_int_equal(ask(m, p, pages), 0);
	assert_int_equal(vma_lookup(mm_vmas(m->mm), at(p), &vma), 0);
	if (region_ensure(m->mm, &vma, at(p), at(p) + PAGE, HMM_FOREVER)) {
		print_message("this kernel does not register memory of kind %d\n", vma.kind);
		return;
	}
	words[0] = word_of(m, p);
	words[1] = word_of(m, p + step * PAGE);
	assert_int_equal(ask(m, p, pages), 1);
	assert_int_equal(ask(m, p, 1), 1);
	assert_int_equal(ask(m, p + step * PAGE, pages - step), 1);
	assert_int_equal(ask(m, p + step * PAGE, 1), 1);
	assert_true(words[0] == word_of(m, p));
	assert_true(words[1] == word_of(m, p + step * PAGE));
	assert_int_equal(p[0], 1);
}

static void memory_is_asked_about_and_stays_as_it_is(void **state)
{
	int fd = make_memfd(PAGES * PAGE, 0);

	(void)state;
	for (size_t i = 0; i < LESSER; i++) {
		char *shared = map_fd(PAGES * PAGE, RW, MAP_SHARED, fd, 0);
		char *private = map_fd(PAGES * PAGE, RW, MAP_PRIVATE, fd, 0);
		char *anon = map_anon(PAGES * PAGE, RW);
		struct mirror m;

		mirror_open(&m, lesser[i]);
		asked_of(&m, anon, PAGES);
		asked_of(&m, shared, PAGES);
		asked_of(&m, private, PAGES);
		mirror_close(&m);
		munmap(shared, PAGES * PAGE);
		munmap(private, PAGES * PAGE);
		munmap(anon, PAGES * PAGE);
		assert_int_equal(
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGES * PAGE),
			0);
	}
	close(fd);
}

static void huge_pages_are_asked_about(void **state)
{
	char *p;
	struct mirror m;

	(void)state;
	p = map_huge(4 * MIB, MAP_PRIVATE, 2);
	if (!p) {
		print_message("no huge pages to be had\n");
		skip();
	}
	mirror_open(&m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC);
	asked_of(&m, p, 1024);
	mirror_close(&m);
	munmap(p, 4 * MIB);
}

/* A hole, a part that was mapped anew, and what is more than one mapping. */
static void a_part_that_is_not_registered_is_noticed(void **state)
{
	char *p = map_anon(2 * PAGES * PAGE, RW);
	struct mirror m;

	(void)state;
	mirror_open(&m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC);
	assert_int_equal(fault(&m, p, PAGES, REQ_WRITE), 0);
	assert_int_equal(ask(&m, p, 2 * PAGES), 1);
	mprotect(p + PAGE, PAGE, PROT_READ);
	assert_int_equal(ask(&m, p, 2 * PAGES), 1);
	munmap(p + PAGES * PAGE, PAGE);
	assert_int_equal(ask(&m, p, PAGES), 1);
	assert_int_equal(ask(&m, p, PAGES + 1), 0);
	assert_int_equal(ask(&m, p, 2 * PAGES), 0);
	assert_ptr_equal(
		mmap(p + PAGES * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + PAGES * PAGE);
	assert_int_equal(ask(&m, p, PAGES), 1);
	assert_int_equal(ask(&m, p, 2 * PAGES), 0);
	assert_int_equal(ask(&m, p + PAGES * PAGE, 1), 0);
	assert_int_equal(ask(&m, p + (PAGES + 1) * PAGE, PAGES - 1), 1);
	mirror_close(&m);
	munmap(p, 2 * PAGES * PAGE);
}

/* More than one call asks about, with the only part that is not registered at the end. */
static void much_memory_is_asked_about_piece_by_piece(void **state)
{
	const size_t bytes = 2 * PROVIDER_ASK_MAX + 3 * PAGE;
	char *p = map_anon(bytes, RW);
	struct mirror m;

	(void)state;
	mirror_open(&m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC);
	assert_int_equal(fault(&m, p, 1, REQ_WRITE), 0);
	assert_int_equal(ask(&m, p, bytes / PAGE), 1);
	munmap(p + bytes - PAGE, PAGE);
	assert_int_equal(ask(&m, p, bytes / PAGE), 0);
	assert_int_equal(ask(&m, p, bytes / PAGE - 1), 1);
	mirror_close(&m);
	munmap(p, bytes);
}

/* Kernels before 6.17 let any userfaultfd of the process unregister what is ours. */
static void what_is_registered_no_more_does_not_stand(void **state)
{
	(void)state;
	for (size_t i = 0; i < LESSER; i++) {
		char *p = map_anon(PAGES * PAGE, RW);
		struct mirror m;
		uint64_t seq;

		mirror_open(&m, lesser[i]);
		assert_int_equal(fault(&m, p, PAGES, REQ_WRITE), 0);
		assert_false(transient(&m, 0));
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), 0);
		m.mm->provider.ops->unwatch(&m.mm->provider, at(p), at(p) + PAGES * PAGE);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), -ESTALE);
		assert_int_equal(fault(&m, p, PAGES, REQ_WRITE), 0);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), 0);
		/* A fault notices it as well, for all translations. */
		seq = m.range.notifier_seq;
		m.mm->provider.ops->unwatch(&m.mm->provider, at(p), at(p) + PAGES * PAGE);
		assert_int_equal(fault(&m, p, 1, REQ_WRITE), 0);
		assert_true(hmm_interval_stale(m.ni, seq));
		assert_int_equal(ask(&m, p, PAGES), 1);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), 0);
		mirror_close(&m);
		munmap(p, PAGES * PAGE);
	}
}

/* ---- what happens while it is registered ----------------------------------------------------- */

/*
 * A hole with mappings in it, in the middle of one so large that what else is mapped in the process
 * stays away from it.
 */
#define ROOM (1UL << 30)
#define AWAY (64 * PAGE)

static struct {
	const struct provider_ops *ops;
	int (*watch)(const struct provider *p, uint64_t start, uint64_t end);
	char *p;
	int times;
} program;

static char *map_there(char *p, size_t pages)
{
	assert_ptr_equal(mmap(p, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p);
	memset(p, 1, pages * PAGE);
	return p;
}

static int watch_meanwhile(const struct provider *p, uint64_t start, uint64_t end)
{
	if (program.times && program.times--)
		return program.watch(p, start, end);
	return program.ops->watch(p, start, end);
}

/*
 * fault of X			program
 * look-up: X is there
 *				moves X into the hole beside it: no event, as nothing is registered
 * registers X, elsewhere
 *				maps X anew
 * looks again: X is there
 */
static int moved_away(const struct provider *p, uint64_t start, uint64_t end)
{
	int err;

	assert_ptr_equal(mremap(program.p, PAGES * PAGE, PAGES * PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, program.p + AWAY),
			 program.p + AWAY);
	err = program.ops->watch(p, start, end);
	map_there(program.p, PAGES);
	return err;
}

/*
 * fault of X (head, tail)	program				watchdog
 *				unmaps the tail: no event
 * registers the head
 *				unmaps the head
 *				(blocked)			reads for the pump, which waits for
 *								the fault's lock
 *				maps X anew
 * looks again: X is there
 *				only the head's event is still to be handled
 */
static int replaced_twice(const struct provider *p, uint64_t start, uint64_t end)
{
	int err;

	munmap(program.p + PAGE, (PAGES - 1) * PAGE);
	err = program.ops->watch(p, start, end);
	munmap(program.p, PAGE);
	map_there(program.p, PAGES);
	return err;
}

static void watch_page(struct mirror *m, const char *p)
{
	m->range = (struct hmm_range){
		.size = sizeof(m->range), .notifier = m->ni, .start = at(p), .end = at(p) + PAGE
	};
	assert_int_equal(hmm_range_watch(&m->range, HMM_FOREVER), 0);
}

static void fault_page(struct mirror *m, const char *p)
{
	assert_int_equal(fault(m, p, 1, REQ_WRITE), 0);
	assert_false(transient(m, 0));
}

/* Is what was taken of the last page found valid after all was mapped anew? */
static bool stays_valid(struct mirror *m, void (*take)(struct mirror *m, const char *p))
{
	take(m, program.p + (PAGES - 1) * PAGE);
	assert_int_equal(program.times, 0);
	munmap(program.p, PAGES * PAGE);
	map_there(program.p, PAGES);
	return !hmm_interval_stale(m->ni, m->range.notifier_seq);
}

static bool stays_valid_on(uint32_t flags, const char *mutation,
			   void (*take)(struct mirror *m, const char *p))
{
	char *room =
		mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct provider_ops ops;
	struct mirror m;
	bool valid;

	assert_ptr_not_equal(room, MAP_FAILED);
	munmap(room, ROOM);
	program.p = map_there(room + ROOM / 2, PAGES);
	program.times = 1;
	mirror_open(&m, flags);
	program.ops = m.mm->provider.ops;
	ops = *program.ops;
	ops.watch = watch_meanwhile;
	m.mm->provider.ops = &ops;
	if (mutation)
		break_rule(mutation);
	valid = stays_valid(&m, take);
	mend();
	mirror_close(&m);
	munmap(program.p, AWAY + PAGES * PAGE);
	return valid;
}

/* On a busy machine what stands may be refused for once. */
static bool stays_valid_broken(uint32_t flags, void (*take)(struct mirror *m, const char *p))
{
	bool valid = false;

	for (int i = 0; i < 10 && !valid; i++)
		valid = stays_valid_on(flags, "trust-tree", take);
	return valid;
}

static void what_is_mapped_anew_is_not_believed(void (*take)(struct mirror *m, const char *p))
{
	const bool breaks = break_rule("trust-tree");

	mend();
	assert_false(stays_valid_on(0, NULL, take));
	for (size_t i = 0; i < LESSER; i++) {
		assert_false(stays_valid_on(lesser[i], NULL, take));
		if (breaks)
			assert_true(stays_valid_broken(lesser[i], take));
	}
}

static void what_made_room_for_another_meanwhile_is_not_believed(void **state)
{
	(void)state;
	program.watch = moved_away;
	what_is_mapped_anew_is_not_believed(fault_page);
	what_is_mapped_anew_is_not_believed(watch_page);
}

static void what_was_registered_in_part_meanwhile_is_not_believed(void **state)
{
	(void)state;
	program.watch = replaced_twice;
	what_is_mapped_anew_is_not_believed(fault_page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_asked_about_and_stays_as_it_is),
		cmocka_unit_test(huge_pages_are_asked_about),
		cmocka_unit_test(a_part_that_is_not_registered_is_noticed),
		cmocka_unit_test(much_memory_is_asked_about_piece_by_piece),
		cmocka_unit_test(what_is_registered_no_more_does_not_stand),
		cmocka_unit_test(what_made_room_for_another_meanwhile_is_not_believed),
		cmocka_unit_test(what_was_registered_in_part_meanwhile_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

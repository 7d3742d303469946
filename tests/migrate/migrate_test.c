// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which pages move, how the others are counted, what a region does when it is full. */
#include "common/devmem.h"
#include "common/huge.h"
#include "common/held_discard.h"

#include <sys/syscall.h>

static struct with_devmem with;

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

static int setup_small(void **state)
{
	devmem_open(&with, 2 * MIB, 0);
	*state = &with;
	return 0;
}

static int setup_evicting(void **state)
{
	devmem_open(&with, 2 * MIB, HMM_DEVMEM_EVICT);
	*state = &with;
	return 0;
}

static int setup_evicting_copying(void **state)
{
	devmem_open_copying(&with, 2 * MIB, HMM_DEVMEM_EVICT, 0);
	*state = &with;
	return 0;
}

static int setup_copying(void **state)
{
	devmem_open_copying(&with, REGION, 0, 0);
	*state = &with;
	return 0;
}

static int setup_backed(void **state)
{
	devmem_open_copying(&with, REGION, HMM_DEVMEM_BACKED, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static uint64_t left(const struct with_devmem *w, enum hmm_migrate_reason why)
{
	return w->result.left[why];
}

/* All pages that the last call counted. */
static uint64_t counted(const struct with_devmem *w)
{
	uint64_t n = w->result.moved + w->result.already;

	for (int i = 0; i < HMM_MIGRATE_REASON_ROOM; i++)
		n += w->result.left[i];
	return n;
}

static void bad_calls_are_refused(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_devmem_options o = { .size = sizeof(o), .bytes = 2 * MIB, .owner = w };
	struct hmm_migrate_result r = { .size = 4 };
	struct hmm_devmem *d;

	assert_int_equal(to_device(w, p + 1, 1), -EINVAL);
	assert_int_equal(to_device(w, p, 0), -EINVAL);
	assert_int_equal(hmm_migrate_to_device(w->d, at(p), at(p) + PAGE, HMM_FOREVER, &r),
			 -EINVAL);
	assert_int_equal(hmm_migrate_to_system(w->m.mm, 8, 8, HMM_FOREVER), -EINVAL);
	assert_int_equal(hmm_devmem_create(w->m.mm, NULL, &d), -EINVAL);
	o.bytes = MIB;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.bytes = 2 * MIB;
	o.owner = NULL;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.owner = w;
	o.flags = 8;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.flags = 0;
	o.fault_around = 3 * PAGE;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	munmap(p, 4 * PAGE);
}

static void pages_are_counted(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	char *p = map_anon(16 * PAGE, RW);

	number(p, 16, 1);
	assert_int_equal(to_device(w, p, 16), 0);
	assert_int_equal(w->result.moved, 16);
	assert_int_equal(w->result.already, 0);
	assert_int_equal(away(w, p, 16), 16);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(*(unsigned int *)on_device(w, i), 1 + i);
	assert_int_equal(to_device(w, p, 16), 0);
	assert_int_equal(w->result.moved, 0);
	assert_int_equal(w->result.already, 16);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	assert_int_equal(s.used, 16 * PAGE);
	assert_int_equal(s.moved_out, 16 * PAGE);
	assert_int_equal(s.moved_home, 0);
	assert_int_equal(to_system(w, p, 16), 0);
	assert_int_equal(away(w, p, 16), 0);
	assert_numbered(p, 16, 1);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	assert_int_equal(s.moved_home, 16 * PAGE);
	assert_int_equal(s.faults + s.copied_home + s.dropped, 0);
	munmap(p, 16 * PAGE);
}

static void what_the_device_writes_comes_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(away(w, p, 4), 4);
	for (size_t i = 0; i < 4; i++)
		*(unsigned int *)on_device(w, i) += 100;
	device_wrote(w);
	assert_numbered(p, 4, 101);
	munmap(p, 4 * PAGE);
}

static void untouched_and_zero_pages_move_as_zeros(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	p[0] = 1;
	(void)*(volatile char *)(p + 3 * PAGE); /* the zero page */
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->result.moved, 8);
	assert_int_equal(away(w, p, 8), 8);
	*on_device(w, 5) = 5;
	device_wrote(w);
	assert_true(p[0] == 1 && !p[PAGE] && !p[3 * PAGE] && p[5 * PAGE] == 5 && !p[7 * PAGE]);
	munmap(p, 8 * PAGE);
}

/* As the kernel's test device has it. */
static void errors_of_the_kernels_test_device(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem *other;
	char *p = map_anon(8 * PAGE, RW);
	char *shared = map_fd(4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(shared, 1, 4 * PAGE);
	assert_int_equal(to_device(w, shared, 4), -ENOENT);
	assert_int_equal(left(w, HMM_MIGRATE_SHARED), 4);
	memset(p, 1, 8 * PAGE);
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(to_device(w, p, 2), -EINVAL);
	munmap(p + 3 * PAGE, PAGE);
	assert_int_equal(to_device(w, p + 2 * PAGE, 2), -EINVAL);
	assert_int_equal(away(w, p + 2 * PAGE, 1), 0);
	assert_int_equal(make_region(w, 2 * MIB, 0, &other, &other), 0);
	assert_int_equal(to_device(w, p + 4 * PAGE, 2), 0);
	assert_int_equal(hmm_migrate_to_device(other, at(p) + 4 * PAGE, at(p) + 5 * PAGE,
					       HMM_FOREVER, &w->result),
			 -ENOENT);
	assert_int_equal(left(w, HMM_MIGRATE_ELSEWHERE), 1);
	assert_int_equal(away(w, p + 4 * PAGE, 2), 2);
	assert_int_equal(pages_away(w, p + 4 * PAGE, 2, &other), 0);
	assert_int_equal(hmm_devmem_destroy(other, HMM_FOREVER), 0);
	munmap(p, 8 * PAGE);
	munmap(shared, 4 * PAGE);
}

static void what_cannot_move_is_counted_by_reason(void **state)
{
	struct with_devmem *w = *state;
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	char *file = map_fd(4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *p = map_anon(8 * PAGE, RW);

	file[0] = 9; /* a copy of the program's own, in a mapping of a file */
	assert_int_equal(to_device(w, file, 4), -ENOENT);
	assert_int_equal(left(w, HMM_MIGRATE_SHARED), 4);
	memset(p, 1, 8 * PAGE);
	assert_int_equal(mprotect(p, 2 * PAGE, PROT_READ), 0);
	/* AddressSanitizer's mlock() does nothing. */
	assert_int_equal(syscall(SYS_mlock, p + 6 * PAGE, 2 * PAGE), 0);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->result.moved, 4);
	assert_int_equal(left(w, HMM_MIGRATE_PERMISSION), 4);
	assert_int_equal(counted(w), 8);
	assert_int_equal(p[0] + p[3 * PAGE] + p[7 * PAGE], 3);
	munmap(p, 8 * PAGE);
	munmap(file, 4 * PAGE);
	close(fd);
	unlink(path);
}

/* A page that moved between the event of a discard and its end would come back with its content. */
static void nothing_moves_while_a_discard_is_pending(void **state)
{
	struct with_devmem *w = *state;
	struct held_discard held;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	held_discard_begin(&held);
	assert_int_equal(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
	number(p, 4, 50);
	assert_int_equal(to_device(w, p, 4), -ENOENT);
	assert_int_equal(left(w, HMM_MIGRATE_DISCARD), 4);
	assert_int_equal(away(w, p, 8), 4);
	held_discard_end(&held);
	/* Until every thread was seen elsewhere the discard is pending; the machine may be busy. */
	for (int i = 0; i < 30000 && away(w, p, 8) < 8; i++) {
		to_device(w, p, 8);
		usleep(1000);
	}
	assert_int_equal(away(w, p, 8), 8);
	assert_numbered(p, 4, 50);
	assert_numbered(p + 4 * PAGE, 4, 5);
	munmap(p, 8 * PAGE);
}

static void a_full_region_refuses(void **state)
{
	struct with_devmem *w = *state;
	const size_t pages = 2 * MIB / PAGE;
	char *p = map_anon(4 * MIB, RW);

	number(p, 2 * pages, 1);
	assert_int_equal(to_device(w, p + PAGE, 2 * pages - 1), 0);
	assert_int_equal(w->result.moved, pages);
	assert_int_equal(left(w, HMM_MIGRATE_EXHAUSTED), pages - 1);
	assert_int_equal(away(w, p, 2 * pages), pages);
	assert_int_equal(to_device(w, p, 1), -ENOENT);
	assert_numbered(p, 2 * pages, 1);
	munmap(p, 4 * MIB);
}

static void a_full_region_evicts(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	const size_t pages = 2 * MIB / PAGE;
	char *p = map_anon(8 * MIB, RW);

	number(p, 4 * pages, 1);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(to_device(w, p + i * 2 * MIB, pages), 0);
		assert_int_equal(w->result.moved, pages);
		assert_int_equal(away(w, p + i * 2 * MIB, pages), pages);
	}
	assert_int_equal(away(w, p, 3 * pages), 0);
	/* more than fits at once: what the call itself has moved stays */
	assert_int_equal(to_device(w, p, 4 * pages), 0);
	assert_int_equal(w->result.moved + w->result.already, pages);
	assert_int_equal(counted(w), 4 * pages);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	assert_true(s.evicted >= 6 * MIB);
	assert_numbered(p, 4 * pages, 1);
	munmap(p, 8 * MIB);
}

static void page_free_is_told_of_each_page_once(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	char *p = map_anon(64 * PAGE, RW);

	number(p, 64, 1);
	assert_int_equal(to_device(w, p, 64), 0);
	assert_numbered(p, 16, 1);        /* touched */
	munmap(p + 16 * PAGE, 16 * PAGE); /* unmapped */
	assert_int_equal(to_system(w, p + 32 * PAGE, 32), 0);
	do
		assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	while (s.used);
	assert_int_equal(w->freed, 64 * PAGE);
	assert_int_equal(s.dropped, 16 * PAGE);
	munmap(p, 64 * PAGE);
}

static void a_huge_page_stays_one(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * MIB, RW);
	const size_t pages = 4 * MIB / PAGE;

	if (madvise(p, 4 * MIB, MADV_HUGEPAGE))
		skip();
	number(p, pages, 1);
	ask_for_huge_pages(p, 4 * MIB);
	assert_int_equal(snapshot(&w->m, p, pages), 0);
	if (order(&w->m, 0) != 9 || order(&w->m, 512) != 9) {
		munmap(p, 4 * MIB);
		print_message("no huge page is to be had\n");
		skip();
	}
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(w->result.huge, pages);
	assert_int_equal(away(w, p, pages), pages);
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(order(&w->m, i), 9);
	assert_int_equal(to_system(w, p, 512), 0);
	*(volatile char *)(p + 3 * MIB); /* one touch brings all of it home */
	assert_int_equal(snapshot(&w->m, p, pages), 0);
	for (size_t i = 0; faults_give_huge_pages() && i < pages; i++)
		assert_int_equal(order(&w->m, i), 9);
	assert_numbered(p, pages, 1);
	munmap(p, 4 * MIB);
}

static void a_part_of_a_huge_page_moves(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * MIB, RW);
	const size_t pages = 2 * MIB / PAGE;

	madvise(p, 2 * MIB, MADV_HUGEPAGE);
	number(p, pages, 1);
	ask_for_huge_pages(p, 2 * MIB);
	assert_int_equal(to_device(w, p + 100 * PAGE, 50), 0);
	assert_int_equal(w->result.moved, 50);
	assert_int_equal(away(w, p, pages), 50);
	assert_numbered(p, pages, 1);
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(w->result.moved, pages);
	munmap(p + MIB, MIB);
	assert_numbered(p, pages / 2, 1);
	munmap(p, MIB);
}

static void another_owner_brings_pages_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(pages_away(w, p, 8, &p), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(w->m.pfns[i], 0); /* nothing was requested */
	assert_int_equal(away(w, p, 8), 8);
	assert_int_equal(fault(&w->m, p, 4, REQ_WRITE), 0);
	assert_true(all_flags(&w->m, 4, VALID | WRITE));
	assert_int_equal(away(w, p, 8), 4);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

/* The owner's fault of a range of which a part is on its device. */
static void the_owner_faults_the_rest(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p + 2 * PAGE, 3), 0);
	memset(w->m.pfns, 0, 8 * sizeof(*w->m.pfns));
	w->m.range = (struct hmm_range){ .size = sizeof(w->m.range),
					 .notifier = w->m.ni,
					 .start = at(p),
					 .end = at(p) + 8 * PAGE,
					 .hmm_pfns = w->m.pfns,
					 .default_flags = REQ_WRITE,
					 .dev_private_owner = w };
	assert_int_equal(hmm_range_fault(&w->m.range, w->m.timeout_ns), 0);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(w->m.pfns[i] & (VALID | WRITE), VALID | WRITE);
		assert_int_equal(!!(w->m.pfns[i] & HMM_PFN_DEVICE_PRIVATE), i >= 2 && i < 5);
	}
	assert_false(hmm_interval_read_retry(w->m.ni, w->m.range.notifier_seq));
	p[3 * PAGE] = 1;
	assert_true(hmm_interval_read_retry(w->m.ni, w->m.range.notifier_seq));
	munmap(p, 8 * PAGE);
}

static void drivers_are_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(fault(&w->m, p, 8, REQ_WRITE), 0);
	w->m.events[HMM_EVENT_MIGRATE] = 0;
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->m.events[HMM_EVENT_MIGRATE], 1);
	assert_numbered(p, 1, 1);
	assert_int_equal(w->m.events[HMM_EVENT_MIGRATE], 2);
	munmap(p, 8 * PAGE);
}

static void evict_all_brings_every_region_home(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem *other;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(make_region(w, 2 * MIB, 0, &other, &other), 0);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(
		hmm_migrate_to_device(other, at(p) + 4 * PAGE, at(p) + 8 * PAGE, HMM_FOREVER, NULL),
		0);
	assert_int_equal(pages_away(w, p, 8, &other), 4);
	assert_int_equal(hmm_evict_all(NULL, HMM_FOREVER), 0);
	assert_int_equal(pages_away(w, p, 8, &other) + away(w, p, 8), 0);
	assert_numbered(p, 8, 1);
	assert_int_equal(hmm_devmem_destroy(other, HMM_FOREVER), 0);
	munmap(p, 8 * PAGE);
}

/* What a region still has when it is destroyed, or the space is detached, comes home. */
static void the_end_brings_pages_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(hmm_devmem_destroy(w->d, HMM_FOREVER), 0);
	assert_numbered(p, 8, 1);
	assert_int_equal(make_region(w, REGION, 0, w, &w->d), 0);
	assert_int_equal(to_device(w, p, 8), 0);
	mirror_close(&w->m);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
	devmem_open(w, REGION, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(bad_calls_are_refused),
		BOTH(pages_are_counted),
		BOTH(what_the_device_writes_comes_home),
		BOTH(untouched_and_zero_pages_move_as_zeros),
		BOTH(errors_of_the_kernels_test_device),
		BOTH(what_cannot_move_is_counted_by_reason),
		BOTH(nothing_moves_while_a_discard_is_pending),
		cmocka_unit_test_setup_teardown(a_full_region_refuses, setup_small, teardown),
		cmocka_unit_test_setup_teardown(a_full_region_evicts, setup_evicting, teardown),
		{ "a_full_region_evicts_copying", a_full_region_evicts, setup_evicting_copying,
		  teardown, NULL },
		BOTH(page_free_is_told_of_each_page_once),
		BOTH(a_huge_page_stays_one),
		BOTH(a_part_of_a_huge_page_moves),
		BOTH(another_owner_brings_pages_home),
		BOTH(the_owner_faults_the_rest),
		BOTH(drivers_are_told),
		BOTH(evict_all_brings_every_region_home),
		BOTH(the_end_brings_pages_home),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What is registered together, and whose it is: mappings that change while they are registered,
 * what moves with a mapping, and memory that another userfaultfd or another space of the process
 * watches.
 */
#include "common/space.h"
#include "kernel/abi/uffd.h"
#include "base/pool.h"
#include "common/broken.h"

#include <errno.h>
#include <fcntl.h>
#include <hmm/range.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)

static char *map_fixed(char *p, size_t pages, int prot)
{
	p = mmap(p, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/*
 * A hole, in the middle of one so large that what else is mapped in the process stays away from it.
 */
static char *room(void)
{
	const size_t large = 1UL << 30;
	char *p = mmap(NULL, large, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p, large);
	return p + large / 2;
}

static unsigned int vmas(struct hmm_mm *mm, const char *p, size_t pages)
{
	uint64_t at = (uint64_t)(uintptr_t)p;
	const uint64_t end = at + pages * PAGE;
	struct hmm_vma vma;
	unsigned int n = 0;

	for (; at < end && !vma_peek(mm_vmas(mm), at, &vma) && vma.start < end; at = vma.end)
		n++;
	return n;
}

static void need_scan(struct hmm_mm *mm)
{
	if (mm_wp_async(mm) && mm_pagemap(mm)->scan)
		return;
	hmm_mm_detach(mm);
	print_message("without WP_ASYNC or PAGEMAP_SCAN nobody is told apart\n");
	skip();
}

/* ---- a mapping makes room for another at the instant of its registration --------------------- */

static struct {
	const struct provider_ops *ops;
	char *old, *new;
	size_t old_pages, new_pages;
	int times;
} swap;

static int watch_swapped(const struct provider *p, uint64_t start, uint64_t end)
{
	if (swap.times && swap.times--) {
		munmap(swap.old, swap.old_pages * PAGE);
		if (swap.new_pages)
			map_fixed(swap.new, swap.new_pages, RW)[0] = 1;
	}
	return swap.ops->watch(p, start, end);
}

static void swap_in(struct hmm_mm *mm, struct provider_ops *ops)
{
	swap.ops = mm->provider.ops;
	*ops = *mm->provider.ops;
	ops->watch = watch_swapped;
	mm->provider.ops = ops;
	swap.times = 1;
}

/* How many mappings the new one is afterwards. */
static unsigned int registered_as(size_t old_at, size_t old_pages, size_t new_at, size_t new_pages)
{
	struct provider_ops ops;
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *p;
	char *to;
	unsigned int n;
	int err;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	p = room();
	swap.old = map_fixed(p + old_at * PAGE, old_pages, RW);
	swap.old_pages = old_pages;
	swap.new = p + new_at *PAGE;
	swap.new_pages = new_pages;
	vma = anon_vma(swap.old, old_pages * PAGE);
	swap_in(mm, &ops);
	err = region_ensure(mm, &vma, vma.start, vma.end, 0);
	assert_true(!err || err == -EAGAIN);
	n = vmas(mm, swap.new, new_pages);
	to = mremap(swap.new, new_pages * PAGE, 2 * new_pages * PAGE, MREMAP_MAYMOVE);
	assert_true(n > 1 || to != MAP_FAILED);
	if (to == MAP_FAILED)
		munmap(swap.new, new_pages * PAGE);
	else
		munmap(to, 2 * new_pages * PAGE);
	hmm_mm_detach(mm);
	return n;
}

static void what_grew_at_its_end_meanwhile_is_not_split(void **state)
{
	assert_int_equal(registered_as(16, 4, 16, 24), 1);
	if (break_rule("split-vma"))
		assert_int_equal(registered_as(16, 4, 16, 24), 2);
	mend();
}

static void what_grew_at_its_beginning_meanwhile_is_not_split(void **state)
{
	assert_int_equal(registered_as(32, 4, 8, 28), 1);
	if (break_rule("split-vma"))
		assert_int_equal(registered_as(32, 4, 8, 28), 2);
	mend();
}

/* As long as it is another each time it is said to be another, not registered in part. */
static void what_was_nothing_at_that_instant_is_looked_up_again(void **state)
{
	struct provider_ops ops;
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *p;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	p = room();
	swap.old = map_fixed(p + 16 * PAGE, 4, RW);
	swap.old_pages = 4;
	swap.new_pages = 0;
	vma = anon_vma(swap.old, 4 * PAGE);
	swap_in(mm, &ops);
	assert_int_equal(region_ensure(mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	assert_false(region_any(mm, vma.start, vma.end));
	hmm_mm_detach(mm);
}

/*
 * What is beside it cannot be registered, and then it has gone. The answer is that of kernel 6.1 if
 * nothing is mapped above it.
 */
static int watch_gone(const struct provider *p, uint64_t start, uint64_t end)
{
	if (swap.times++ == 0)
		return -EOPNOTSUPP;
	munmap(swap.old, swap.old_pages * PAGE);
	return -ENOMEM;
}

static void what_has_gone_does_not_use_up_the_budget(void **state)
{
	struct provider_ops ops;
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *p;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	p = room();
	swap.old = map_fixed(p + 16 * PAGE, 4, RW);
	swap.old_pages = 4;
	vma = anon_vma(swap.old, 4 * PAGE);
	swap_in(mm, &ops);
	ops.watch = watch_gone;
	swap.times = 0;
	assert_int_equal(region_ensure(mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	assert_int_equal(swap.times, 2);
	assert_false(region_any(mm, vma.start, vma.end));
	hmm_mm_detach(mm);
}

/* ---- what moves together --------------------------------------------------------------------- */

/* One call moves all of it, or none. */
static void a_move_of_several_mappings_is_whole_or_refused(void **state)
{
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *p;
	char *to = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *now;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	p = room();
	map_fixed(p + 16 * PAGE, 12, RW);
	for (int i = 0; i < 12; i++)
		p[(16 + i) * PAGE] = (char)i;
	mprotect(p + 16 * PAGE, 4 * PAGE, PROT_READ);
	mprotect(p + 24 * PAGE, 4 * PAGE, PROT_READ);
	assert_int_equal(vma_lookup(mm_vmas(mm), (uint64_t)(uintptr_t)p + 20 * PAGE, &vma), 0);
	assert_int_equal(vma.end - vma.start, 4 * PAGE);
	assert_int_equal(region_ensure(mm, &vma, vma.start, vma.end, 0), 0);
	now = mremap(p + 16 * PAGE, 12 * PAGE, 12 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	assert_true(now == to || now == MAP_FAILED);
	if (now == MAP_FAILED)
		now = p + 16 * PAGE;
	for (int i = 0; i < 12; i++)
		assert_int_equal(now[i * PAGE], i);
	munmap(now, 12 * PAGE);
	munmap(to, 16 * PAGE);
	hmm_mm_detach(mm);
}

/*
 * Mapped beside what is registered it stays a mapping of its own, which without the library it
 * would not: named in hmm(7). Registered before it is touched it joins.
 */
static void what_was_mapped_beside_joins_when_it_is_registered(void **state)
{
	struct hmm_mm *mm;
	struct hmm_vma vma;
	char *p = room() + 16 * PAGE;
	char *to;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	map_fixed(p, 4, RW)[0] = 1;
	vma = anon_vma(p, 4 * PAGE);
	assert_int_equal(region_ensure(mm, &vma, vma.start, vma.end, 0), 0);
	map_fixed(p + 4 * PAGE, 8, RW);
	assert_int_equal(vmas(mm, p, 12), 2);
	vma = anon_vma(p + 4 * PAGE, 8 * PAGE);
	assert_int_equal(region_ensure(mm, &vma, vma.start, vma.end, 0), 0);
	assert_int_equal(vmas(mm, p, 12), 1);
	to = mremap(p, 12 * PAGE, 24 * PAGE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(to, MAP_FAILED);
	munmap(to, 24 * PAGE);
	hmm_mm_detach(mm);
}

/* Protection and advice cut what is registered; all of it stays so, and goes together. */
static void parts_of_what_is_registered_stay_registered(void **state)
{
	struct itree_node all;
	struct hmm_vma vma;
	struct space s;

	space_open(&s, 12, 0);
	need_scan(s.mm);
	all = (struct itree_node){ .start = addr(&s, 0), .end = addr(&s, 12) };
	assert_int_equal(mprotect(s.p + 2 * PAGE, PAGE, PROT_NONE), 0);
	assert_true(region_stands(s.mm, addr(&s, 0), addr(&s, 2), &all, &vma));
	assert_int_equal(pagemap_is_registered(mm_pagemap(s.mm), addr(&s, 2)), 1);
	assert_int_equal(mprotect(s.p + 4 * PAGE, 4 * PAGE, PROT_READ), 0);
	madvise(s.p + 9 * PAGE, PAGE, MADV_NOHUGEPAGE);
	assert_true(vmas(s.mm, s.p, 12) >= 3);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(pagemap_is_registered(mm_pagemap(s.mm), addr(&s, i)), 1);
	assert_int_equal(mprotect(s.p, 12 * PAGE, RW), 0);
	madvise(s.p + 9 * PAGE, PAGE, MADV_HUGEPAGE);
	space_close(&s);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

struct entry {
	struct hmm_interval_notifier *ni;
	struct seen seen;
	struct hmm_range range;
	uint64_t pfn;
};

static void fault_page(struct entry *e, struct hmm_mm *mm, const char *p)
{
	const uint64_t at = (uint64_t)(uintptr_t)p;

	memset(e, 0, sizeof(*e));
	assert_int_equal(hmm_interval_notifier_insert(mm, at, PAGE, &on_ops, &e->seen, &e->ni), 0);
	e->range = (struct hmm_range){ .size = sizeof(e->range),
				       .notifier = e->ni,
				       .start = at,
				       .end = at + PAGE,
				       .hmm_pfns = &e->pfn,
				       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	assert_int_equal(hmm_range_fault(&e->range, HMM_FOREVER), 0);
	assert_true(e->pfn & HMM_PFN_VALID);
}

/*
 * A userfaultfd of the program's, of which libhmm knows nothing: -1 if this kernel has no WP_ASYNC.
 */
static int foreign(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	assert_true(fd >= 0);
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -1;
}

static int foreign_register(int fd, const char *p, size_t pages)
{
	struct uffdio_register r = { .range = { (uint64_t)(uintptr_t)p, pages * PAGE },
				     .mode = UFFDIO_REGISTER_MODE_WP };

	return ioctl(fd, UFFDIO_REGISTER, &r) ? -errno : 0;
}

static int foreign_unregister(int fd, const char *p, size_t pages)
{
	struct uffdio_range r = { (uint64_t)(uintptr_t)p, pages * PAGE };

	return ioctl(fd, UFFDIO_UNREGISTER, &r) ? -errno : 0;
}

/*
 * Replaces pages without an event, and checks that each check sees it. The pages are held, or the
 * same could come back.
 */
static void replace_pages(struct entry *e, char *p, size_t pages)
{
	struct iovec held = { p, pages * PAGE };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(vmsplice(fds[1], &held, 1, 0), pages * PAGE);
	assert_int_equal(madvise(p, pages * PAGE, MADV_DONTNEED), 0);
	memset(p, 2, pages * PAGE);
	assert_int_equal(hmm_range_check(&e->range, HMM_CHECK_VMA), -ESTALE);
	assert_int_equal(hmm_range_check(&e->range, HMM_CHECK_PRESENT), -ESTALE);
	assert_int_equal(hmm_range_check(&e->range, HMM_CHECK_ALL), -ESTALE);
	close(fds[0]);
	close(fds[1]);
}

static void registered_with_the_program_is_not_registered_with_us(void **state)
{
	char *p = room() + 16 * PAGE;
	struct hmm_mm *mm;
	struct entry e;
	int fd = foreign();

	map_fixed(p, 4, RW)[0] = 1;
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	need_scan(mm);
	assert_int_equal(foreign_register(fd, p, 4), 0);
	fault_page(&e, mm, p);
	assert_true(e.pfn & HMM_PFN_TRANSIENT);
	replace_pages(&e, p, 4);
	hmm_interval_notifier_remove(e.ni);
	hmm_mm_detach(mm);
	/* and it is theirs still */
	assert_int_equal(foreign_register(fd, p, 4), 0);
	close(fd);
	munmap(p, 4 * PAGE);
}

static void registered_with_another_space_is_not_registered_with_us(void **state)
{
	char *p = room() + 16 * PAGE;
	struct hmm_mm *mm, *other;
	struct entry e, theirs;

	map_fixed(p, 4, RW)[0] = 1;
	assert_int_equal(hmm_mm_attach(NULL, &other), 0);
	need_scan(other);
	fault_page(&theirs, other, p);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	fault_page(&e, mm, p);
	assert_true(e.pfn & HMM_PFN_TRANSIENT);
	assert_int_equal(hmm_range_check(&theirs.range, HMM_CHECK_ALL), 0);
	replace_pages(&e, p, 4);
	hmm_interval_notifier_remove(e.ni);
	hmm_mm_detach(mm);
	hmm_interval_notifier_remove(theirs.ni);
	hmm_mm_detach(other);
	munmap(p, 4 * PAGE);
}

/*
 * Without an event: what it is believed to be, and what the page table says of it, is true of the
 * other's.
 */
static void a_segment_attached_again_may_be_watched_by_another_space(void **state)
{
	int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
	struct hmm_mm *mm, *other;
	struct entry e, theirs;
	char *p;

	assert_true(id >= 0);
	p = shmat(id, place_apart(4 * PAGE), 0);
	assert_ptr_not_equal(p, (void *)-1);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(hmm_mm_attach(NULL, &other), 0);
	if (!mm_wp_async(mm) || !mm_pagemap(mm)->scan) {
		hmm_mm_detach(other);
		shmctl(id, IPC_RMID, NULL);
		need_scan(mm);
	}
	memset(p, 1, 4 * PAGE);
	fault_page(&e, mm, p);
	assert_int_equal(hmm_range_check(&e.range, 0), 0);
	shmdt(p);
	assert_ptr_equal(shmat(id, p, 0), p);
	shmctl(id, IPC_RMID, NULL);
	fault_page(&theirs, other, p);
	assert_int_equal(hmm_range_check(&theirs.range, 0), 0);
	assert_int_equal(madvise(p, PAGE, MADV_REMOVE), 0);
	memset(p, 2, PAGE);
	if (break_rule("anybodys"))
		assert_int_equal(hmm_range_check(&e.range, 0), 0);
	mend();
	assert_int_equal(hmm_range_check(&e.range, 0), -ESTALE);
	assert_int_equal(hmm_range_check(&e.range, HMM_CHECK_ALL), -ESTALE);
	/*
	 * The first goes, and leaves the other's alone, which kernels before 6.17 would take with
	 * it.
	 */
	hmm_interval_notifier_remove(e.ni);
	hmm_mm_detach(mm);
	assert_int_equal(pagemap_is_registered(mm_pagemap(other), (uint64_t)(uintptr_t)p), 1);
	hmm_interval_notifier_remove(theirs.ni);
	hmm_mm_detach(other);
	shmdt(p);
}

/* Kernels before 6.17 let any userfaultfd of the process unregister what is ours. */
static void what_somebody_else_took_over_does_not_stand(void **state)
{
	char *p = room() + 16 * PAGE;
	int fd = foreign();
	struct hmm_mm *mm;
	struct entry e;

	map_fixed(p, 4, RW)[0] = 1;
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	need_scan(mm);
	fault_page(&e, mm, p);
	assert_false(e.pfn & HMM_PFN_TRANSIENT);
	assert_int_equal(hmm_range_check(&e.range, HMM_CHECK_ALL), 0);
	if (!foreign_unregister(fd, p, 4)) {
		assert_int_equal(hmm_range_check(&e.range, HMM_CHECK_VMA), -ESTALE);
		assert_int_equal(foreign_register(fd, p, 4), 0);
		replace_pages(&e, p, 4);
	} else {
		/* Those that refuse it: nobody took it. */
		assert_int_equal(foreign_register(fd, p, 4), -EBUSY);
		assert_int_equal(hmm_range_check(&e.range, HMM_CHECK_ALL), 0);
	}
	hmm_interval_notifier_remove(e.ni);
	hmm_mm_detach(mm);
	close(fd);
	munmap(p, 4 * PAGE);
}

/* ---- memory of the library ------------------------------------------------------------------- */

#define MANY 3000

static void however_much_memory_the_library_has_it_is_known(void **state)
{
	static void *p[MANY];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			p[i] = pool_map(PAGE);
			assert_non_null(p[i]);
		}
		for (int i = 0; i < MANY; i++)
			assert_true(pool_owns((uint64_t)(uintptr_t)p[i]));
		for (int i = MANY - 1; i >= 0; i--)
			pool_unmap(p[i], PAGE);
		for (int i = 0; i < MANY; i++)
			assert_false(pool_owns((uint64_t)(uintptr_t)p[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_grew_at_its_end_meanwhile_is_not_split),
		cmocka_unit_test(what_grew_at_its_beginning_meanwhile_is_not_split),
		cmocka_unit_test(what_was_nothing_at_that_instant_is_looked_up_again),
		cmocka_unit_test(what_has_gone_does_not_use_up_the_budget),
		cmocka_unit_test(a_move_of_several_mappings_is_whole_or_refused),
		cmocka_unit_test(what_was_mapped_beside_joins_when_it_is_registered),
		cmocka_unit_test(parts_of_what_is_registered_stay_registered),
		cmocka_unit_test(registered_with_the_program_is_not_registered_with_us),
		cmocka_unit_test(registered_with_another_space_is_not_registered_with_us),
		cmocka_unit_test(a_segment_attached_again_may_be_watched_by_another_space),
		cmocka_unit_test(what_somebody_else_took_over_does_not_stand),
		cmocka_unit_test(however_much_memory_the_library_has_it_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

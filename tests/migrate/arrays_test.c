// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Migration in three steps: what is selected, where it goes, and what happens in between. */
#include "common/devmem.h"
#include "common/huge.h"
#include "common/zero_page.h"

#include "common/broken.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define MOST 1024
#define SYSTEM HMM_MIGRATE_VMA_SELECT_SYSTEM
#define PRIVATE HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE
#define COHERENT HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT
#define COMPOUND HMM_MIGRATE_VMA_SELECT_COMPOUND
#define GOES (HMM_MIGRATE_PFN_VALID | HMM_MIGRATE_PFN_MIGRATE)
#define WRITABLE (GOES | HMM_MIGRATE_PFN_WRITE)

static struct with_devmem with;
static uint64_t src[MOST];
static uint64_t dst[MOST];
static struct hmm_migrate_vma args;

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

static int setup_coherent(void **state)
{
	devmem_open(&with, REGION, HMM_DEVMEM_COHERENT);
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

static uint64_t used(struct hmm_devmem *d)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(d, &s), 0);
	return s.used;
}

/* The worker frees frames after a moment. */
static void wait_used(struct hmm_devmem *d, uint64_t bytes)
{
	for (int i = 0; i < 10000 && used(d) != bytes; i++)
		usleep(1000);
	assert_int_equal(used(d), bytes);
}

/* Nothing is left anywhere: neither frames nor what waited. */
static int teardown(void **state)
{
	struct with_devmem *w = *state;
	struct devmem_space *s = devmem_of(w->m.mm);

	if (s && s->isolation)
		wait_used(s->isolation, 0);
	devmem_close(w);
	return 0;
}

static int begin(struct with_devmem *w, const char *p, size_t pages, uint32_t flags)
{
	assert_true(pages <= MOST);
	memset(src, 0xff, sizeof(src));
	memset(dst, 0xff, sizeof(dst));
	args = (struct hmm_migrate_vma){ .size = sizeof(args),
					 .flags = flags,
					 .mm = w->m.mm,
					 .start = at(p),
					 .end = at(p) + pages * PAGE,
					 .src = src,
					 .dst = dst,
					 .pgmap_owner = w };
	return hmm_migrate_vma_setup(&args);
}

static uint64_t frame(struct hmm_devmem *d, uint64_t bytes)
{
	uint64_t addr;

	assert_int_equal(hmm_devmem_alloc(d, bytes, HMM_FOREVER, &addr), 0);
	assert_int_equal(addr % bytes, 0);
	return addr;
}

/* A frame for each entry that can go. */
static void choose(struct hmm_devmem *d, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		dst[i] = src[i] & HMM_MIGRATE_PFN_MIGRATE ? hmm_migrate_pfn(frame(d, PAGE)) : 0;
}

static size_t going(size_t pages)
{
	size_t n = 0;

	for (size_t i = 0; i < pages; i++)
		n += (src[i] & HMM_MIGRATE_PFN_MIGRATE) != 0;
	return n;
}

static unsigned int word_at(uint64_t addr)
{
	return *(const volatile unsigned int *)(uintptr_t)addr;
}

/* All steps, with frames for all that can go. */
static int send(struct with_devmem *w, const char *p, size_t pages, uint32_t flags)
{
	int err = begin(w, p, pages, flags);

	if (err)
		return err;
	choose(w->d, pages);
	err = hmm_migrate_vma_pages(&args);
	hmm_migrate_vma_finalize(&args);
	return err;
}

static bool has_copier(const struct with_devmem *w)
{
	return w->copying.memory;
}

/* What the device has at a frame. */
static unsigned int device_word(const struct with_devmem *w, uint64_t addr)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	if (!has_copier(w))
		return word_at(addr);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	return word_at(at(w->copying.memory) + (addr - s.start));
}

static int note_place(const struct hmm_place_run *run, void *arg)
{
	*(uint32_t *)arg = run->place;
	return 1;
}

/* What waits is on its way, and no device's. */
static void devices_have_stopped(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	uint32_t place = HMM_PLACE_NR;
	int told;

	number(p, 4, 1);
	assert_int_equal(fault(&w->m, p, 4, REQ_WRITE), 0);
	told = w->m.events[HMM_EVENT_MIGRATE];
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	assert_true(w->m.events[HMM_EVENT_MIGRATE] > told);
	assert_int_equal(w->m.events[HMM_EVENT_EXCLUSIVE], 0);
	assert_true(hmm_interval_read_retry(w->m.ni, w->m.range.notifier_seq));
	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + PAGE, note_place, &place), 1);
	assert_int_equal(place, HMM_PLACE_SYSTEM);
	assert_int_equal(away(w, p, 4), 0);
	choose(w->d, 4);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 4), 4);
	/* the device's own pages leave it */
	assert_int_equal(begin(w, p, 4, PRIVATE), 0);
	for (size_t i = 0; i < 4; i++)
		dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	told = w->m.events[HMM_EVENT_MIGRATE];
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_true(w->m.events[HMM_EVENT_MIGRATE] > told);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

/* Where pages wait has room for 256 MiB. */
static void what_does_not_fit_is_not_selected(void **state)
{
	enum { RANGES = 5, BYTES = 64 << 20 };
	struct with_devmem *w = *state;
	const size_t n = BYTES / PAGE;
	uint64_t *entries = pool_map(2 * RANGES * n * sizeof(*entries));
	struct hmm_migrate_vma each[RANGES];
	char *p = map_anon(RANGES * (size_t)BYTES, RW);

	assert_non_null(entries);
	for (size_t i = 0; i < RANGES; i++) {
		each[i] = (struct hmm_migrate_vma){ .size = sizeof(each[i]),
						    .flags = SYSTEM,
						    .mm = w->m.mm,
						    .start = at(p) + i * BYTES,
						    .end = at(p) + (i + 1) * BYTES,
						    .src = entries + 2 * i * n,
						    .dst = entries + (2 * i + 1) * n };
		assert_int_equal(hmm_migrate_vma_setup(&each[i]), i < 4 ? 0 : -ENOENT);
		assert_int_equal(each[i].cpages, i < 4 ? n : 0);
	}
	for (size_t i = 0; i < RANGES; i++)
		hmm_migrate_vma_finalize(&each[i]);
	assert_int_equal(p[BYTES], 0);
	munmap(p, RANGES * (size_t)BYTES);
	pool_unmap(entries, 2 * RANGES * n * sizeof(*entries));
}

static void bad_calls_are_refused(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	uint64_t addr = 0;

	assert_int_equal(hmm_migrate_vma_setup(NULL), -EINVAL);
	assert_int_equal(begin(w, p, 4, 0), -EINVAL);
	assert_int_equal(begin(w, p, 4, COMPOUND), -EINVAL);
	assert_int_equal(begin(w, p, 4, SYSTEM | 1U << 9), -EINVAL);
	assert_int_equal(begin(w, p, 0, SYSTEM), -EINVAL);
	assert_int_equal(begin(w, p + 1, 1, SYSTEM), -EINVAL);
	assert_int_equal(hmm_migrate_vma_pages(&args), -EINVAL);
	hmm_migrate_vma_finalize(&args);
	hmm_migrate_vma_finalize(NULL);
	args.start = at(p);
	args.end = at(p) + (65ULL << 20);
	assert_int_equal(hmm_migrate_vma_setup(&args), -EINVAL);
	args.end = at(p) + PAGE;
	args.flags = PRIVATE;
	args.pgmap_owner = NULL;
	assert_int_equal(hmm_migrate_vma_setup(&args), -EINVAL);
	assert_int_equal(hmm_devmem_alloc(NULL, PAGE, HMM_NO_WAIT, &addr), -EINVAL);
	assert_int_equal(hmm_devmem_alloc(w->d, 3 * PAGE, HMM_NO_WAIT, &addr), -EINVAL);
	assert_int_equal(hmm_devmem_free(w->d, at(p), PAGE), -EINVAL);
	assert_int_equal(hmm_devmem_free(NULL, at(p), PAGE), -EINVAL);
	munmap(p, 4 * PAGE);
}

static void frames_are_lent_and_come_back(void **state)
{
	struct with_devmem *w = *state;
	const uint64_t one = frame(w->d, PAGE);
	const uint64_t large = frame(w->d, 2 * MIB);
	uint64_t addr;

	assert_int_equal(used(w->d), 2 * MIB + PAGE);
	assert_int_equal(hmm_devmem_free(w->d, one + PAGE, PAGE), -EINVAL);
	assert_int_equal(hmm_devmem_free(w->d, large, 2 * MIB), 0);
	assert_int_equal(hmm_devmem_free(w->d, large, 2 * MIB), -EINVAL);
	assert_int_equal(hmm_devmem_free(w->d, one, PAGE), 0);
	wait_used(w->d, 0);
	for (size_t n = 0; n < REGION / (2 * MIB); n++)
		src[n] = frame(w->d, 2 * MIB);
	assert_int_equal(hmm_devmem_alloc(w->d, PAGE, HMM_FOREVER, &addr), -ENOSPC);
	assert_int_equal(hmm_devmem_alloc(w->d, 2 * MIB, HMM_FOREVER, &addr), -ENOSPC);
	for (size_t n = 0; n < REGION / (2 * MIB); n++)
		assert_int_equal(hmm_devmem_free(w->d, src[n], 2 * MIB), 0);
	/* It waits for those that are being freed. */
	assert_int_equal(hmm_devmem_free(w->d, frame(w->d, 2 * MIB), 2 * MIB), 0);
	wait_used(w->d, 0);
}

static void each_page_goes_to_its_frame(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(16 * PAGE, RW);
	uint64_t chosen[16];

	number(p, 16, 1);
	assert_int_equal(begin(w, p, 16, SYSTEM), 0);
	assert_int_equal(args.cpages, 16);
	assert_int_equal(args.npages, 16);
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(dst[i], 0);
		assert_int_equal(src[i] & (PAGE - 1), WRITABLE);
		/* what waits can be read */
		assert_int_equal(word_at(hmm_migrate_pfn_to_addr(src[i])), 1 + i);
	}
	/* in no order, and two stay */
	for (size_t i = 0; i < 16; i++)
		chosen[15 - i] = frame(w->d, PAGE);
	for (size_t i = 0; i < 16; i++)
		dst[i] = i == 3 || i == 9 ? 0 : hmm_migrate_pfn(chosen[i]);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, 14 * PAGE / HMM_PAGE_SIZE);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(!(src[i] & HMM_MIGRATE_PFN_MIGRATE), i == 3 || i == 9);
	assert_int_equal(hmm_migrate_vma_pages(&args), -EINVAL);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(hmm_devmem_free(w->d, chosen[3], PAGE), 0);
	assert_int_equal(hmm_devmem_free(w->d, chosen[9], PAGE), 0);
	assert_int_equal(hmm_devmem_free(w->d, chosen[4], PAGE), -EINVAL);
	assert_int_equal(away(w, p, 16), 14);
	for (size_t i = 0; i < 16; i++) {
		if (i == 3 || i == 9)
			continue;
		assert_int_equal(hmm_pfn_to_addr(w->m.pfns[i]), chosen[i]);
		assert_int_equal(device_word(w, chosen[i]), 1 + i);
	}
	if (has_copier(w)) /* by a call, which ThreadSanitizer sees */
		assert_int_equal(to_system(w, p, 16), 0);
	assert_numbered(p, 16, 1);
	wait_used(w->d, 0);
	munmap(p, 16 * PAGE);
}

static void what_is_not_sent_comes_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	hmm_migrate_vma_finalize(&args);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(used(devmem_of(w->m.mm)->isolation), 0);
	assert_numbered(p, 8, 1);
	/* frames, but no second step */
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	choose(w->d, 8);
	hmm_migrate_vma_finalize(&args);
	wait_used(w->d, 0);
	assert_numbered(p, 8, 1);
	/* all entries 0 */
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(8), 0);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void errors_of_the_kernels_test_device(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem *other;
	char *p = map_anon(8 * PAGE, RW);
	char *shared = map_fd(4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(shared, 1, 4 * PAGE);
	assert_int_equal(begin(w, shared, 4, SYSTEM), -ENOENT);
	assert_int_equal(args.cpages, 0);
	number(p, 8, 1);
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(begin(w, p, 2, SYSTEM), -EINVAL);
	munmap(p + 3 * PAGE, PAGE);
	assert_int_equal(begin(w, p + 2 * PAGE, 2, SYSTEM), -EINVAL);
	/* another device's stays */
	assert_int_equal(make_region(w, 2 * MIB, 0, &other, &other), 0);
	assert_int_equal(
		hmm_migrate_to_device(other, at(p) + 4 * PAGE, at(p) + 6 * PAGE, HMM_FOREVER, NULL),
		0);
	assert_int_equal(begin(w, p + 4 * PAGE, 2, SYSTEM), -ENOENT);
	assert_int_equal(begin(w, p + 4 * PAGE, 2, PRIVATE), -ENOENT);
	assert_int_equal(pages_away(w, p + 4 * PAGE, 2, &other), 2);
	/* beside pages that can go */
	assert_int_equal(begin(w, p + 4 * PAGE, 4, SYSTEM | PRIVATE), 0);
	assert_int_equal(args.cpages, 2);
	assert_true(!src[0] && !src[1] && src[2] && src[3]);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p + PAGE, 2, 2);
	assert_numbered(p + 4 * PAGE, 4, 5);
	assert_int_equal(hmm_devmem_destroy(other, HMM_FOREVER), 0);
	munmap(p, 8 * PAGE);
	munmap(shared, 4 * PAGE);
}

static void what_cannot_move_has_no_entry(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(mprotect(p, 2 * PAGE, PROT_READ), 0);
	/* AddressSanitizer's mlock() does nothing. */
	assert_int_equal(syscall(SYS_mlock, p + 6 * PAGE, 2 * PAGE), 0);
	assert_int_equal(send(w, p, 8, SYSTEM), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(src[i] & HMM_MIGRATE_PFN_MIGRATE ? 1 : 0, i >= 2 && i < 6);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void readonly_pages_go_if_asked(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(6 * PAGE, RW);
	/* with a page on each side that keeps other memory out of the mapping */
	char *q = p + PAGE;

	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(mprotect(p + 5 * PAGE, PAGE, PROT_NONE), 0);
	number(q, 4, 1);
	assert_int_equal(mprotect(q, 4 * PAGE, PROT_READ), 0);
	assert_int_equal(begin(w, q, 4, SYSTEM), -ENOENT);
	assert_int_equal(send(w, q, 4, SYSTEM | HMM_MIGRATE_VMA_SELECT_READONLY), 0);
	assert_int_equal(going(4), 4);
	for (size_t i = 0; i < 4; i++)
		assert_false(src[i] & HMM_MIGRATE_PFN_WRITE);
	assert_int_equal(away(w, q, 4), 4);
	assert_int_equal(begin(w, q, 4, PRIVATE), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(src[i] & (PAGE - 1), GOES);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(q, 4, 1);
	munmap(p, 6 * PAGE);
}

static void empty_and_zero_pages_have_no_source(void **state)
{
	struct with_devmem *w = *state;
	const bool zero = !reads_make_private(PAGE);
	char *p = map_anon(8 * PAGE, RW);

	*(volatile unsigned int *)p = 7;
	(void)*(volatile char *)(p + 3 * PAGE);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	assert_int_equal(args.cpages, 8);
	assert_int_equal(src[0] & (PAGE - 1), WRITABLE);
	for (size_t i = 1; i < 8 && zero; i++)
		assert_int_equal(src[i], HMM_MIGRATE_PFN_MIGRATE | HMM_MIGRATE_PFN_WRITE);
	choose(w->d, 8);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(8), 8);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 8), 8);
	*(volatile unsigned int *)on_device(w, 5) = 5;
	device_wrote(w);
	if (has_copier(w)) /* by a call, which ThreadSanitizer sees */
		assert_int_equal(to_system(w, p, 8), 0);
	assert_true(p[0] == 7 && !p[PAGE] && !p[3 * PAGE] && p[5 * PAGE] == 5 && !p[7 * PAGE]);
	munmap(p, 8 * PAGE);
	wait_used(w->d, 0);
}

/* ---- between the steps ----------------------------------------------------------------------- */

static void a_touch_takes_the_page_back(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	choose(w->d, 8);
	*(volatile unsigned int *)(p + 2 * PAGE) = 300;
	assert_int_equal(word_at(at(p) + 5 * PAGE), 6);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(!(src[i] & HMM_MIGRATE_PFN_MIGRATE), i == 2 || i == 5);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 8), 6);
	wait_used(w->d, 6 * PAGE);
	assert_int_equal(word_at(at(p) + 2 * PAGE), 300);
	assert_numbered(p, 2, 1);
	assert_numbered(p + 3 * PAGE, 5, 4);
	munmap(p, 8 * PAGE);
}

/*
 * Pages go home and come back between the steps, while a driver that knows nothing of it has copied
 * the first. How many count as gone?
 */
static uint64_t send_old_copy(struct with_devmem *w, char *p)
{
	struct hmm_migrate_vma first;
	uint64_t old[2];
	uint64_t none[2] = { 0, 0 };

	number(p, 2, 1);
	assert_int_equal(begin(w, p, 2, SYSTEM), 0);
	memcpy(old, src, sizeof(old));
	first = args;
	first.src = old;
	first.dst = none;
	number(p, 2, 100);
	assert_int_equal(begin(w, p, 2, SYSTEM), 0);
	/* the very same frames */
	assert_int_equal(src[0], old[0]);
	none[0] = hmm_migrate_pfn(frame(w->d, PAGE)) | HMM_MIGRATE_PFN_COPIED;
	none[1] = hmm_migrate_pfn(frame(w->d, PAGE));
	*(volatile unsigned int *)(uintptr_t)hmm_migrate_pfn_to_addr(none[0]) = 1;
	assert_int_equal(hmm_migrate_vma_pages(&first), 0);
	assert_int_equal((old[0] | old[1]) & HMM_MIGRATE_PFN_MIGRATE ? 1 : 0, first.migrated != 0);
	hmm_migrate_vma_finalize(&first);
	hmm_migrate_vma_finalize(&args);
	return first.migrated;
}

static void a_page_that_was_at_home_does_not_count(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);

	assert_int_equal(send_old_copy(w, p), 0);
	assert_numbered(p, 2, 100);
	wait_used(w->d, 0);
	munmap(p, 2 * PAGE);
}

static void believing_an_old_copy(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);

	if (!break_rule("old-copy"))
		skip();
	assert_true(send_old_copy(w, p));
	mend();
	assert_int_equal(word_at(at(p)), 1); /* what the program wrote last is lost */
	munmap(p, 2 * PAGE);
}

static void changes_of_the_mapping_end_it(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	char *q = map_anon(PAGE, PROT_NONE);

	number(p, 8, 1);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	choose(w->d, 8);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(munmap(p + 2 * PAGE, PAGE), 0);
	assert_ptr_equal(mremap(p + 7 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(!(src[i] & HMM_MIGRATE_PFN_MIGRATE), i == 0 || i == 2 || i == 7);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p + 3 * PAGE, 4), 4);
	assert_int_equal(word_at(at(p)), 0);
	assert_int_equal(word_at(at(q)), 8);
	assert_numbered(p + PAGE, 1, 2);
	assert_numbered(p + 3 * PAGE, 4, 4);
	munmap(p, 8 * PAGE);
	munmap(q, PAGE);
}

static void what_comes_anew_is_another_page(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	choose(w->d, 4);
	assert_ptr_equal(mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	number(p, 4, 50);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(4), 0);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 4, 50);
	munmap(p, 4 * PAGE);
}

static void a_fork_in_between_has_its_data(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	int status;
	pid_t pid;

	number(p, 4, 1);
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	choose(w->d, 4);
	pid = fork();
	if (!pid) {
		bool same = true;

		for (unsigned int i = 0; i < 4; i++)
			same &= word_at(at(p) + i * PAGE) == 1 + i;
		hmm_migrate_vma_finalize(&args);
		_exit(!same);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(4), 0); /* all was home before the fork */
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

static void another_device_takes_them_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	choose(w->d, 4);
	assert_int_equal(fault(&w->m, p, 2, HMM_PFN_REQ_FAULT), 0);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(2), 0);
	assert_int_equal(going(4), 2);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

static void two_do_not_take_the_same_page(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_migrate_vma first;
	uint64_t mine[4], to[4];

	number(p, 4, 1);
	assert_int_equal(begin(w, p, 2, SYSTEM), 0);
	first = args;
	memcpy(mine, src, sizeof(mine));
	memset(to, 0, sizeof(to));
	first.src = mine;
	first.dst = to;
	assert_int_equal(begin(w, p, 2, SYSTEM), -ENOENT);
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	assert_int_equal(args.cpages, 2);
	assert_true(!src[0] && !src[1]);
	choose(w->d, 4);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(4), 2);
	hmm_migrate_vma_finalize(&args);
	to[1] = hmm_migrate_pfn(frame(w->d, PAGE));
	assert_int_equal(hmm_migrate_vma_pages(&first), 0);
	assert_int_equal(first.migrated, PAGE / HMM_PAGE_SIZE);
	hmm_migrate_vma_finalize(&first);
	assert_int_equal(away(w, p, 4), 3);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

/* ---- where pages go -------------------------------------------------------------------------- */

static void entries_that_make_no_sense_stay(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	uint64_t taken;
	uint64_t dirty;

	number(p, 8, 1);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	taken = frame(w->d, PAGE);
	assert_int_equal(hmm_devmem_free(w->d, taken, PAGE), 0);
	dirty = frame(w->d, PAGE);
	dst[0] = hmm_migrate_pfn(taken + 8 * PAGE); /* not allocated */
	dst[1] = hmm_migrate_pfn(at(p));            /* no frame */
	dst[2] = hmm_migrate_pfn(frame(w->d, PAGE));
	dst[3] = dst[2];                 /* twice */
	dst[4] = HMM_MIGRATE_PFN_SYSTEM; /* there it is */
	dst[5] = hmm_migrate_pfn(dirty);
	dst[6] = 64 * PAGE; /* without VALID */
	dst[7] = hmm_migrate_pfn(frame(w->d, 2 * MIB)) | HMM_MIGRATE_PFN_COMPOUND;
	*(volatile unsigned int *)(uintptr_t)dirty = 99; /* and it is not said that it counts */
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(8), 1);
	assert_true(src[2] & HMM_MIGRATE_PFN_MIGRATE);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 8), 1);
	wait_used(w->d, PAGE);
	/* a block that is none, for a page that is small */
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	dst[0] = hmm_migrate_pfn(frame(w->d, PAGE)) | HMM_MIGRATE_PFN_COMPOUND;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, 0);
	hmm_migrate_vma_finalize(&args);
	wait_used(w->d, PAGE);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void a_full_region_has_no_frames(void **state)
{
	struct with_devmem *w = *state;
	const size_t pages = 2 * MIB / PAGE;
	char *p = map_anon(2 * MIB + 4 * PAGE, RW);
	uint64_t addr;

	number(p, pages + 4, 1);
	assert_int_equal(to_device(w, p, pages - 2), 0);
	assert_int_equal(begin(w, p + (pages - 2) * PAGE, 6, SYSTEM), 0);
	for (size_t i = 0; !hmm_devmem_alloc(w->d, PAGE, HMM_FOREVER, &addr); i++)
		dst[i] = hmm_migrate_pfn(addr);
	assert_int_equal(hmm_devmem_alloc(w->d, PAGE, HMM_FOREVER, &addr), -ENOSPC);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(6), 2);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, pages + 4), pages);
	assert_numbered(p, pages + 4, 1);
	munmap(p, 2 * MIB + 4 * PAGE);
}

static void the_driver_copies_itself(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	char *p = map_anon(4 * PAGE, RW);
	uint32_t calls = w->copying.calls_in;

	number(p, 3, 1); /* the last is empty */
	assert_int_equal(begin(w, p, 4, SYSTEM), 0);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	for (size_t i = 0; i < 4; i++) {
		const uint64_t from = hmm_migrate_pfn_to_addr(src[i]);
		const uint64_t to = frame(w->d, PAGE);
		char *memory =
			has_copier(w) ? w->copying.memory + (to - s.start) : (char *)(uintptr_t)to;

		if (from)
			memcpy(memory, (char *)(uintptr_t)from, PAGE);
		else
			memset(memory, 0, PAGE);
		*(unsigned int *)(memory + 64) = 77; /* so that it is seen whose copy it is */
		dst[i] = hmm_migrate_pfn(to) | HMM_MIGRATE_PFN_COPIED;
	}
	*(volatile unsigned int *)(p + PAGE) = 200; /* too late for the copy */
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(4), 3);
	assert_false(src[1] & HMM_MIGRATE_PFN_MIGRATE);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 4), 3);
	assert_int_equal(w->copying.calls_in, calls);
	assert_int_equal(word_at(at(p)), 1);
	assert_int_equal(word_at(at(p) + 64), 77);
	assert_int_equal(word_at(at(p) + PAGE), 200);
	assert_int_equal(word_at(at(p) + PAGE + 64), 0);
	assert_int_equal(word_at(at(p) + 2 * PAGE), 3);
	assert_int_equal(word_at(at(p) + 3 * PAGE), 0);
	assert_int_equal(word_at(at(p) + 3 * PAGE + 64), 77);
	wait_used(w->d, 0);
	munmap(p, 4 * PAGE);
}

static void a_frame_that_was_not_written_is_no_copy(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(PAGE, RW);

	number(p, 1, 5);
	assert_int_equal(begin(w, p, 1, SYSTEM), 0);
	dst[0] = hmm_migrate_pfn(frame(w->d, PAGE)) | HMM_MIGRATE_PFN_COPIED;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(1), 0);
	hmm_migrate_vma_finalize(&args);
	assert_numbered(p, 1, 5);
	munmap(p, PAGE);
}

static void a_device_that_does_not_copy_has_nothing(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	w->copying.fail_in = true;
	assert_int_equal(send(w, p, 4, SYSTEM), 0);
	assert_int_equal(going(4), 0);
	assert_int_equal(args.migrated, 0);
	w->copying.fail_in = false;
	assert_numbered(p, 4, 1);
	wait_used(w->d, 0);
	munmap(p, 4 * PAGE);
}

static void pages_come_home_by_their_entries(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 6), 0);
	assert_int_equal(begin(w, p, 8, SYSTEM | PRIVATE), 0);
	assert_int_equal(args.cpages, 8);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(begin(w, p, 8, PRIVATE), 0);
	assert_int_equal(args.cpages, 6);
	assert_true(!src[6] && !src[7]);
	assert_int_equal(away(w, p, 6), 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(src[i] & (PAGE - 1), WRITABLE);
		assert_int_equal(hmm_migrate_pfn_to_addr(src[i]), hmm_pfn_to_addr(w->m.pfns[i]));
		dst[i] = i == 1 ? 0 : HMM_MIGRATE_PFN_SYSTEM;
	}
	assert_int_equal(word_at(at(p) + 4 * PAGE), 5); /* the CPU is faster */
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(!(src[i] & HMM_MIGRATE_PFN_MIGRATE), i == 1 || i == 4);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 8), 1);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void pages_go_from_region_to_region(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem *second;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(make_region(w, 2 * MIB, 0, w, &second), 0);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(away(w, p, 4), 4);
	assert_int_equal(begin(w, p, 4, PRIVATE), 0);
	choose(second, 4);
	if (!w->m.mm->log) /* which tells of the first step, too */
		assert_false(hmm_interval_read_retry(w->m.ni, w->m.range.notifier_seq));
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	if (!has_copier(w))
		assert_true(hmm_interval_read_retry(w->m.ni, w->m.range.notifier_seq));
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(going(4), has_copier(w) ? 0 : 4);
	wait_used(second, has_copier(w) ? 0 : 4 * PAGE);
	wait_used(w->d, has_copier(w) ? 4 * PAGE : 0);
	assert_int_equal(away(w, p, 4), 4);
	assert_numbered(p, 4, 1);
	assert_int_equal(hmm_devmem_destroy(second, HMM_FOREVER), 0);
	munmap(p, 4 * PAGE);
}

/* ---- huge pages ------------------------------------------------------------------------------ */

/* A huge page at a page of its own size; NULL: none is to be had. */
static char *map_thp(struct with_devmem *w)
{
	char *p = map_anon(2 * MIB, RW);

	madvise(p, 2 * MIB, MADV_HUGEPAGE);
	number(p, 512, 1);
	ask_for_huge_pages(p, 2 * MIB);
	assert_int_equal(snapshot(&w->m, p, 512), 0);
	if (at(p) % (2 * MIB) || order(&w->m, 0) != 9) {
		munmap(p, 2 * MIB);
		print_message("no huge page is to be had\n");
		return NULL;
	}
	return p;
}

static void a_huge_page_is_one_entry(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM | COMPOUND), 0);
	assert_int_equal(args.cpages, 1);
	assert_int_equal(src[0] & (PAGE - 1), WRITABLE | HMM_MIGRATE_PFN_COMPOUND);
	assert_true(!src[1] && !src[511]);
	dst[0] = hmm_migrate_pfn(frame(w->d, 2 * MIB)) | HMM_MIGRATE_PFN_COMPOUND;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, 2 * MIB / HMM_PAGE_SIZE);
	assert_true(src[0] & HMM_MIGRATE_PFN_MIGRATE);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 512), 512);
	assert_int_equal(order(&w->m, 7), 9);
	assert_int_equal(hmm_pfn_to_addr(w->m.pfns[0]), hmm_migrate_pfn_to_addr(dst[0]));
	/* and home as one */
	assert_int_equal(begin(w, p, 512, PRIVATE | COMPOUND), 0);
	assert_int_equal(args.cpages, 1);
	dst[0] = HMM_MIGRATE_PFN_SYSTEM | HMM_MIGRATE_PFN_COMPOUND;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, 2 * MIB / HMM_PAGE_SIZE);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 512), 0);
	assert_numbered(p, 512, 1);
	assert_int_equal(snapshot(&w->m, p, 512), 0);
	if (!w->copying.memory || faults_give_huge_pages())
		assert_int_equal(order(&w->m, 0), 9);
	wait_used(w->d, 0);
	munmap(p, 2 * MIB);
}

static void a_huge_page_is_split_for_small_frames(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM | COMPOUND), 0);
	for (size_t i = 0; i < 512; i += 2) /* every second page */
		dst[i] = hmm_migrate_pfn(frame(w->d, PAGE));
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	for (size_t i = 0; i < 512; i++)
		assert_int_equal(src[i] & (PAGE - 1),
				 i % 2 ? HMM_MIGRATE_PFN_VALID | HMM_MIGRATE_PFN_WRITE : WRITABLE);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 512), 256);
	assert_numbered(p, 512, 1);
	munmap(p, 2 * MIB);
}

static void without_compound_each_page_is_an_entry(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM), 0);
	assert_int_equal(args.cpages, 512);
	dst[5] = hmm_migrate_pfn(frame(w->d, PAGE));
	dst[6] = hmm_migrate_pfn(frame(w->d, PAGE));
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(512), 2);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(away(w, p, 512), 2);
	assert_numbered(p, 512, 1);
	munmap(p, 2 * MIB);
}

static void a_touched_huge_page_stays(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM | COMPOUND), 0);
	dst[0] = hmm_migrate_pfn(frame(w->d, 2 * MIB)) | HMM_MIGRATE_PFN_COMPOUND;
	*(volatile unsigned int *)(p + MIB) = 257;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, 0);
	assert_false(src[0] & HMM_MIGRATE_PFN_MIGRATE);
	hmm_migrate_vma_finalize(&args);
	wait_used(w->d, 0);
	assert_numbered(p, 512, 1);
	munmap(p, 2 * MIB);
}

/* A part of it is discarded: the rest goes, small. */
static void a_torn_huge_page_goes_in_part(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM | COMPOUND), 0);
	dst[0] = hmm_migrate_pfn(frame(w->d, 2 * MIB)) | HMM_MIGRATE_PFN_COMPOUND;
	assert_int_equal(madvise(p + MIB, MIB, MADV_DONTNEED), 0);
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(args.migrated, MIB / HMM_PAGE_SIZE);
	assert_int_equal(src[0] & (PAGE - 1), WRITABLE);
	assert_int_equal(src[255] & (PAGE - 1), WRITABLE);
	assert_false(src[256] & HMM_MIGRATE_PFN_MIGRATE);
	hmm_migrate_vma_finalize(&args);
	wait_used(w->d, MIB);
	assert_numbered(p, 256, 1);
	assert_int_equal(word_at(at(p) + MIB), 0);
	munmap(p, 2 * MIB);
}

/* ---- coherent memory ------------------------------------------------------------------------- */

static size_t coherent(struct with_devmem *w, const char *p, size_t pages)
{
	size_t n = 0;

	pages_away(w, p, pages, w);
	for (size_t i = 0; i < pages; i++)
		n += (w->m.pfns[i] & HMM_PFN_DEVICE_COHERENT) != 0;
	return n;
}

static void coherent_pages_go_and_come(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(begin(w, p, 8, SYSTEM), 0);
	choose(w->d, 8);
	dst[2] |= HMM_MIGRATE_PFN_COPIED;
	memcpy((void *)(uintptr_t)hmm_migrate_pfn_to_addr(dst[2]),
	       (void *)(uintptr_t)hmm_migrate_pfn_to_addr(src[2]), PAGE);
	*(volatile unsigned int *)(p + 6 * PAGE) = 7; /* takes it back */
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(8), 7);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(coherent(w, p, 8), 7);
	wait_used(w->d, 7 * PAGE);
	number(p, 8, 11); /* no touch brings it home */
	assert_int_equal(coherent(w, p, 8), 7);
	assert_int_equal(begin(w, p, 8, PRIVATE), -ENOENT);
	assert_int_equal(begin(w, p, 8, COHERENT), 0);
	assert_int_equal(args.cpages, 7);
	assert_true(!src[6]);
	for (size_t i = 0; i < 8; i++)
		dst[i] = i == 3 ? 0 : HMM_MIGRATE_PFN_SYSTEM;
	assert_int_equal(hmm_migrate_pfn_to_addr(src[0]), at(p));
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	assert_int_equal(going(8), 6);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(coherent(w, p, 8), 1);
	assert_numbered(p, 8, 11);
	munmap(p, 8 * PAGE);
	wait_used(w->d, 0);
}

/* ---- by frames ------------------------------------------------------------------------------- */

static void a_range_of_frames_is_emptied(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	const bool stays = w->d->options.flags & HMM_DEVMEM_COHERENT;
	char *p = map_anon(16 * PAGE, RW);
	size_t in_range;

	number(p, 16, 1);
	assert_int_equal(send(w, p, 16, SYSTEM), 0);
	assert_int_equal(going(16), 16);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start + REGION, 1), -EINVAL);
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start + 1, 1), -EINVAL);
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start + PAGE, REGION / PAGE),
			 -EINVAL);
	assert_int_equal(hmm_migrate_device_range(w->d, NULL, s.start, 1), -EINVAL);
	assert_int_equal(hmm_migrate_device_pages(w->d, src, NULL, 1, HMM_FOREVER), -EINVAL);
	/* the first half of what `send` has used, and frames around it */
	memset(dst, 0, sizeof(dst));
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start, MOST), 0);
	in_range = going(MOST);
	for (size_t i = 0, n = 0; i < MOST; i++) {
		if (src[i] & HMM_MIGRATE_PFN_MIGRATE && n++ < 8)
			dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	}
	assert_int_equal(in_range, 16);
	assert_int_equal(hmm_migrate_device_pages(w->d, src, dst, MOST, HMM_FOREVER), 0);
	assert_int_equal(going(MOST), 8);
	wait_used(w->d, 8 * PAGE);
	/* the others by their numbers */
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start, MOST), 0);
	for (size_t i = 0, n = 0; i < MOST; i++) {
		if (src[i])
			src[n++] = hmm_migrate_pfn(hmm_migrate_pfn_to_addr(src[i]));
	}
	src[8] = 0;
	assert_int_equal(hmm_migrate_device_pfns(w->d, src, 9), 0);
	assert_int_equal(going(9), 8);
	for (size_t i = 0; i < 9; i++)
		dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	assert_int_equal(hmm_migrate_device_pages(w->d, src, dst, 9, HMM_FOREVER), 0);
	assert_int_equal(going(9), 8);
	wait_used(w->d, 0);
	assert_int_equal(hmm_migrate_device_pfns(w->d, src, 9), 0);
	assert_int_equal(going(9), 0);
	src[0] = hmm_migrate_pfn(at(p));
	assert_int_equal(hmm_migrate_device_pfns(w->d, src, 1), -EINVAL);
	assert_int_equal(stays ? coherent(w, p, 16) : away(w, p, 16), 0);
	assert_numbered(p, 16, 1);
	munmap(p, 16 * PAGE);
}

static void a_huge_frame_is_emptied_as_one(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thp(w);
	uint64_t to;

	if (!p)
		skip();
	assert_int_equal(begin(w, p, 512, SYSTEM | COMPOUND), 0);
	to = frame(w->d, 2 * MIB);
	dst[0] = hmm_migrate_pfn(to) | HMM_MIGRATE_PFN_COMPOUND;
	assert_int_equal(hmm_migrate_vma_pages(&args), 0);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(hmm_migrate_device_range(w->d, src, to, 512), 0);
	assert_int_equal(src[0], to | GOES | HMM_MIGRATE_PFN_COMPOUND);
	assert_true(!src[1] && !src[511]);
	memset(dst, 0, sizeof(dst));
	dst[0] = HMM_MIGRATE_PFN_SYSTEM;
	assert_int_equal(hmm_migrate_device_pages(w->d, src, dst, 512, HMM_FOREVER), 0);
	assert_int_equal(going(512), 1);
	assert_int_equal(away(w, p, 512), 0);
	assert_numbered(p, 512, 1);
	assert_int_equal(snapshot(&w->m, p, 512), 0);
	if (!w->copying.memory || faults_give_huge_pages())
		assert_int_equal(order(&w->m, 0), 9);
	munmap(p, 2 * MIB);
}

static void what_a_device_keeps_has_not_gone(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	char *p = map_anon(4 * PAGE, RW);
	size_t n = 0;

	number(p, 4, 1);
	assert_int_equal(send(w, p, 4, SYSTEM), 0);
	assert_int_equal(going(4), 4);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	w->copying.fail_out = true;
	assert_int_equal(begin(w, p, 4, PRIVATE), 0);
	for (size_t i = 0; i < 4; i++)
		dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	assert_int_equal(hmm_migrate_vma_pages(&args), -EIO);
	assert_int_equal(going(4), 0);
	hmm_migrate_vma_finalize(&args);
	assert_int_equal(hmm_migrate_device_range(w->d, src, s.start, MOST), 0);
	for (size_t i = 0; i < MOST; i++)
		dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	assert_int_equal(hmm_migrate_device_pages(w->d, src, dst, MOST, HMM_FOREVER), -EIO);
	for (size_t i = 0; i < MOST; i++)
		n += (src[i] & HMM_MIGRATE_PFN_VALID) != 0;
	assert_int_equal(n, 4);
	assert_int_equal(going(MOST), 0);
	w->copying.fail_out = false;
	assert_int_equal(to_system(w, p, 4), 0);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

/* ---- while threads touch --------------------------------------------------------------------- */

static _Atomic bool over;

static void *count_in_words(void *arg)
{
	uint64_t n = 0;

	while (!over) {
		for (size_t i = 0; i < 8; i++)
			__atomic_fetch_add((uint64_t *)((char *)arg + i * PAGE), 1,
					   __ATOMIC_SEQ_CST);
		n++;
	}
	return (void *)(uintptr_t)n;
}

static void no_count_is_lost_meanwhile(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	size_t gone = 0;
	pthread_t thread;
	void *n;

	memset(p, 0, 8 * PAGE);
	over = false;
	assert_int_equal(pthread_create(&thread, NULL, count_in_words, p), 0);
	for (int i = 0; i < 300; i++) {
		const int err = begin(w, p, 8, SYSTEM);

		if (err == -ENOENT)
			continue;
		assert_int_equal(err, 0);
		choose(w->d, 8);
		for (size_t k = 0; !has_copier(w) && k < 8; k += 2) {
			if (!(src[k] & HMM_MIGRATE_PFN_VALID) || !dst[k])
				continue;
			memcpy((void *)(uintptr_t)hmm_migrate_pfn_to_addr(dst[k]),
			       (void *)(uintptr_t)hmm_migrate_pfn_to_addr(src[k]), PAGE);
			dst[k] |= HMM_MIGRATE_PFN_COPIED;
		}
		assert_int_equal(hmm_migrate_vma_pages(&args), 0);
		gone += args.migrated;
		hmm_migrate_vma_finalize(&args);
	}
	over = true;
	pthread_join(thread, &n);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(*(uint64_t *)(p + i * PAGE), (uintptr_t)n);
	assert_true(gone);
	munmap(p, 8 * PAGE);
	wait_used(w->d, 0);
}

#define COHERENT_TOO(test)                                                                         \
	BOTH(test),                                                                                \
	{                                                                                          \
#test "_coherent", test, setup_coherent, teardown, NULL                            \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(bad_calls_are_refused),
		COHERENT_TOO(frames_are_lent_and_come_back),
		BOTH(devices_have_stopped),
		cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_selected, setup, teardown),
		BOTH(each_page_goes_to_its_frame),
		COHERENT_TOO(what_is_not_sent_comes_home),
		BOTH(errors_of_the_kernels_test_device),
		COHERENT_TOO(what_cannot_move_has_no_entry),
		BOTH(readonly_pages_go_if_asked),
		BOTH(empty_and_zero_pages_have_no_source),
		BOTH(a_touch_takes_the_page_back),
		BOTH(a_page_that_was_at_home_does_not_count),
		cmocka_unit_test_setup_teardown(believing_an_old_copy, setup, teardown),
		BOTH(changes_of_the_mapping_end_it),
		COHERENT_TOO(what_comes_anew_is_another_page),
		COHERENT_TOO(a_fork_in_between_has_its_data),
		COHERENT_TOO(another_device_takes_them_home),
		BOTH(two_do_not_take_the_same_page),
		BOTH(entries_that_make_no_sense_stay),
		cmocka_unit_test_setup_teardown(a_full_region_has_no_frames, setup_small, teardown),
		BOTH(the_driver_copies_itself),
		cmocka_unit_test_setup_teardown(a_frame_that_was_not_written_is_no_copy, setup,
						teardown),
		{ "a_device_that_does_not_copy_has_nothing",
		  a_device_that_does_not_copy_has_nothing, setup_copying, teardown, NULL },
		BOTH(pages_come_home_by_their_entries),
		BOTH(pages_go_from_region_to_region),
		BOTH(a_huge_page_is_one_entry),
		BOTH(a_huge_page_is_split_for_small_frames),
		BOTH(without_compound_each_page_is_an_entry),
		BOTH(a_touched_huge_page_stays),
		BOTH(a_torn_huge_page_goes_in_part),
		cmocka_unit_test_setup_teardown(coherent_pages_go_and_come, setup_coherent,
						teardown),
		COHERENT_TOO(a_range_of_frames_is_emptied),
		BOTH(a_huge_frame_is_emptied_as_one),
		{ "what_a_device_keeps_has_not_gone", what_a_device_keeps_has_not_gone,
		  setup_copying, teardown, NULL },
		COHERENT_TOO(no_count_is_lost_meanwhile),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

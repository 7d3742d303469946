// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Huge pages in a row move by one call, whatever becomes of one of them meanwhile. */
#include "common/apart.h"
#include "common/devmem.h"
#include "common/huge.h"
#include "common/held_discard.h"
#include "kernel/abi/uffd.h"

#include <stdarg.h>
#include <stdatomic.h>

#define BLOCK (2 * MIB)
#define BLOCKS 8
#define IN_BLOCK (BLOCK / PAGE)
#define PAGES (BLOCKS * IN_BLOCK)

_Static_assert(PAGES <= PFNS_MAX, "one snapshot is enough");

static struct with_devmem with;

/* ---- the kernel, which may move less ------------------------------------------------------- */

static struct {
	_Atomic unsigned int calls;
	/* so much was to move by one call */
	_Atomic uint64_t longest;
	/* the page there does not move; 0: all do */
	_Atomic uint64_t pinned;
	/* the next call for more moves so much, and ends; 0: none does */
	_Atomic uint64_t most;
	/* before the next call for several blocks: these may be read only, or so for a moment */
	char *_Atomic protects;
	size_t protects_bytes;
	bool for_a_moment;
	/* a request that fails for memory from there on; 0: none does */
	unsigned long refuses;
	uint64_t refuses_from;
} kernel;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* This runs inside the library, with its locks: nothing is asserted here. */
static int move_some(int fd, struct uffdio_move *m, uint64_t bytes)
{
	struct uffdio_move part = *m;
	int ret = -1;

	part.len = bytes;
	part.move = -EBUSY;
	errno = EBUSY;
	if (bytes)
		ret = __real_ioctl(fd, UFFDIO_MOVE, &part);
	m->move = part.move;
	if (!ret && bytes < m->len) {
		errno = EAGAIN;
		ret = -1;
	}
	return ret;
}

static void meddle(void)
{
	char *p = atomic_exchange(&kernel.protects, NULL);

	if (p && mprotect(p, kernel.protects_bytes, PROT_READ))
		return;
	/* The kernel joins the mappings again, and not the huge page. */
	if (p && kernel.for_a_moment)
		mprotect(p, kernel.protects_bytes, RW);
}

static int move(int fd, struct uffdio_move *m)
{
	const uint64_t pinned = kernel.pinned;
	uint64_t bytes = m->len;

	kernel.calls++;
	if (m->len > kernel.longest)
		kernel.longest = m->len;
	if (m->len > BLOCK) {
		meddle();
		if (kernel.most && kernel.most < m->len)
			bytes = atomic_exchange(&kernel.most, 0);
	}
	if (pinned >= m->src && pinned - m->src < bytes)
		bytes = pinned - m->src;
	return move_some(fd, m, bytes);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (kernel.refuses == request &&
	    ((const struct uffdio_range *)arg)->start - kernel.refuses_from < BLOCKS * BLOCK) {
		errno = ENOMEM;
		return -1;
	}
	return request == UFFDIO_MOVE ? move(fd, arg) : __real_ioctl(fd, request, arg);
}

/* ---- what all tests do --------------------------------------------------------------------- */

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	devmem_open(&with, BLOCKS * BLOCK, 0);
	*state = &with;
	return 0;
}

static int setup_few_frames(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	devmem_open(&with, 3 * BLOCK, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

/* How many blocks are one huge page each, wherever they are. */
static unsigned int huge_blocks(struct with_devmem *w, const char *p)
{
	unsigned int n = 0;

	away(w, p, PAGES);
	for (size_t i = 0; i < BLOCKS; i++)
		n += order(&w->m, i * IN_BLOCK) == 9;
	return n;
}

static char *map_thps(struct with_devmem *w)
{
	char *p = map_apart(BLOCKS * BLOCK, RW);

	madvise(p, BLOCKS * BLOCK, MADV_HUGEPAGE);
	number(p, PAGES, 1);
	ask_for_huge_pages(p, BLOCKS * BLOCK);
	if (huge_blocks(w, p) == BLOCKS)
		return p;
	munmap(p, BLOCKS * BLOCK);
	print_message("no huge pages are to be had\n");
	return NULL;
}

static uint64_t used(const struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	return stats.used;
}

static uint64_t frames_of(const struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	return stats.start;
}

static void until_unused(const struct with_devmem *w)
{
	for (int i = 0; i < 20000 && used(w); i++)
		usleep(1000);
	assert_int_equal(used(w), 0);
}

static uint64_t left(const struct with_devmem *w, enum hmm_migrate_reason why)
{
	return w->result.left[why];
}

/* All that is away comes home, and no frame is left behind. */
static void ends(struct with_devmem *w, char *p)
{
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(away(w, p, PAGES), 0);
	assert_numbered(p, PAGES, 1);
	until_unused(w);
	munmap(p, BLOCKS * BLOCK);
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void several_go_by_one_call(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	for (int i = 0; i < 3; i++) {
		until_unused(w);
		kernel.calls = 0;
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(w->result.huge, PAGES);
		assert_in_range(kernel.calls, 1, BLOCKS / 2);
		assert_int_equal(huge_blocks(w, p), BLOCKS);
		kernel.calls = 0;
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_in_range(kernel.calls, 1, BLOCKS / 2);
		assert_int_equal(huge_blocks(w, p), BLOCKS);
	}
	ends(w, p);
}

static void a_touch_takes_one_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(*(volatile unsigned int *)(p + 3 * BLOCK), 3 * IN_BLOCK + 1);
	assert_int_equal(away(w, p, PAGES), PAGES - IN_BLOCK);
	assert_int_equal(to_system(w, p + BLOCK, 6 * IN_BLOCK), 0);
	assert_int_equal(away(w, p, PAGES), 2 * IN_BLOCK);
	assert_int_equal(huge_blocks(w, p), BLOCKS - !faults_give_huge_pages());
	ends(w, p);
}

/* Pages go the rest of the way that the kernel did not move. */
static void a_move_falls_short(void **state)
{
	struct with_devmem *w = *state;
	const uint64_t most[] = { BLOCK, 3 * BLOCK, 2 * BLOCK + 5 * PAGE, PAGE };
	char *p = map_thps(w);

	if (!p)
		skip();
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		until_unused(w);
		kernel.most = most[i];
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(kernel.most, 0);
		assert_int_equal(w->result.moved, PAGES);
		assert_int_equal(used(w), BLOCKS * BLOCK);
		assert_int_equal(away(w, p, PAGES), PAGES);
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_numbered(p, PAGES, 1);
		/* The frames are whole again before the next time. */
		assert_true(huge_blocks(w, p) >= BLOCKS - 1 - i);
	}
	ends(w, p);
}

static void the_way_home_falls_short(void **state)
{
	struct with_devmem *w = *state;
	const uint64_t most[] = { BLOCK, 3 * BLOCK, 2 * BLOCK + 5 * PAGE };
	char *p = map_thps(w);

	if (!p)
		skip();
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		until_unused(w);
		assert_int_equal(to_device(w, p, PAGES), 0);
		kernel.most = most[i];
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_int_equal(kernel.most, 0);
		assert_int_equal(away(w, p, PAGES), 0);
		assert_numbered(p, PAGES, 1);
		assert_true(huge_blocks(w, p) >= BLOCKS - 1);
	}
	ends(w, p);
}

/* Memory was short meanwhile: nobody waits for as many small pages. */
static void they_are_split_on_the_device(void **state)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };
	struct with_devmem *w = *state;
	char *p = map_thps(w);
	char *frames;

	if (!p)
		skip();
	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	frames = (char *)(uintptr_t)stats.start;
	assert_int_equal(to_device(w, p, PAGES), 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(mprotect(frames + i * BLOCK, PAGE, PROT_READ), 0);
		assert_int_equal(mprotect(frames + i * BLOCK, PAGE, RW), 0);
	}
	kernel.longest = 0;
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(kernel.longest, BLOCK);
	assert_int_equal(huge_blocks(w, p), 0);
	ends(w, p);
}

/* Only the pages that cannot move stay, and no other huge page is split for them. */
static void one_in_the_midst_is_pinned(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	kernel.pinned = at(p + 3 * BLOCK);
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(left(w, HMM_MIGRATE_BUSY), 1);
	assert_int_equal(w->result.moved, PAGES - 1);
	assert_int_equal(away(w, p, PAGES), PAGES - 1);
	assert_int_equal(huge_blocks(w, p), BLOCKS - 1);
	kernel.pinned = 0;
	ends(w, p);
}

/* A page of one was discarded: that one is small pages, and what is missing is zeros. */
static void one_in_the_midst_has_a_hole(void **state)
{
	struct with_devmem *w = *state;
	const size_t hole = 2 * IN_BLOCK + 7;
	char *p = map_thps(w);

	if (!p)
		skip();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(madvise(p + hole * PAGE, PAGE, MADV_DONTNEED), 0);
	do
		assert_int_equal(to_device(w, p, PAGES), 0);
	while (left(w, HMM_MIGRATE_DISCARD));
	assert_int_equal(away(w, p, PAGES), PAGES);
	assert_int_equal(huge_blocks(w, p), BLOCKS - 1);
	assert_int_equal(p[hole * PAGE], 0);
	number(p + hole * PAGE, 1, (unsigned int)hole + 1);
	ends(w, p);
}

/* Between the question and the move. */
static void one_is_split_meanwhile(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	kernel.protects_bytes = PAGE;
	kernel.for_a_moment = true;
	kernel.protects = p + BLOCK + 3 * PAGE;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_null(kernel.protects);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(huge_blocks(w, p), BLOCKS - 1);
	ends(w, p);
}

/* The mapping ends in the midst by then: the kernel moves nothing that reaches over its end. */
static void the_mapping_ends_meanwhile(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	kernel.protects_bytes = 2 * BLOCK;
	kernel.protects = p + 6 * BLOCK;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_null(kernel.protects);
	assert_int_equal(left(w, HMM_MIGRATE_PERMISSION), 2 * IN_BLOCK);
	assert_int_equal(w->result.huge, PAGES - 2 * IN_BLOCK);
	assert_int_equal(huge_blocks(w, p), BLOCKS);
	ends(w, p);
}

/* What may no longer be written is copied home, a page at a time; the others move as before. */
static void they_come_home_to_several_mappings(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(mprotect(p + 4 * BLOCK, BLOCK, PROT_READ), 0);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(away(w, p, PAGES), 0);
	assert_int_equal(huge_blocks(w, p), BLOCKS - 1);
	ends(w, p);
}

static void one_in_the_midst_is_to_be_discarded(void **state)
{
	struct with_devmem *w = *state;
	struct held_discard held;
	char *p = map_thps(w);

	if (!p)
		skip();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(to_system(w, p, PAGES), 0);
	held_discard_begin(&held);
	assert_int_equal(madvise(p + 5 * BLOCK, BLOCK, MADV_FREE), 0);
	number(p + 5 * BLOCK, IN_BLOCK, 5 * IN_BLOCK + 1);
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(left(w, HMM_MIGRATE_DISCARD), IN_BLOCK);
	assert_int_equal(w->result.huge, PAGES - IN_BLOCK);
	assert_int_equal(away(w, p + 5 * BLOCK, IN_BLOCK), 0);
	held_discard_end(&held);
	ends(w, p);
}

static void a_region_has_room_for_some(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);

	if (!p)
		skip();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.huge, 3 * IN_BLOCK);
	assert_int_equal(left(w, HMM_MIGRATE_EXHAUSTED), PAGES - 3 * IN_BLOCK);
	assert_int_equal(huge_blocks(w, p), BLOCKS);
	ends(w, p);
}

/* Frames that are in use lie between those for the rest, which are taken as they come. */
static void frames_lie_apart(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);
	char *q = map_thps(w);

	if (!p || !q)
		skip();
	assert_int_equal(to_device(w, q + BLOCK, IN_BLOCK), 0);
	assert_int_equal(to_device(w, q + 4 * BLOCK, IN_BLOCK), 0);
	assert_int_equal(to_device(w, p, PAGES - 2 * IN_BLOCK), 0);
	assert_int_equal(w->result.huge, PAGES - 2 * IN_BLOCK);
	assert_int_equal(away(w, p, PAGES), PAGES - 2 * IN_BLOCK);
	assert_int_equal(huge_blocks(w, p), BLOCKS);
	assert_numbered(q, PAGES, 1);
	munmap(q, BLOCKS * BLOCK);
	ends(w, p);
}

/* Each block of the region has had small pages, and is whole again for a huge one. */
static void frames_of_small_pages_become_whole(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);
	char *q = map_apart(BLOCKS * BLOCK, RW);

	if (!p)
		skip();
	madvise(q, BLOCKS * BLOCK, MADV_NOHUGEPAGE);
	number(q, PAGES, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(to_device(w, q, PAGES), 0);
		assert_int_equal(w->result.moved, PAGES);
		assert_int_equal(w->result.huge, 0);
		assert_int_equal(to_system(w, q, PAGES), 0);
		until_unused(w);
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(w->result.huge, PAGES);
		assert_int_equal(huge_blocks(w, p), BLOCKS);
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_int_equal(huge_blocks(w, p), BLOCKS);
		until_unused(w);
	}
	assert_numbered(q, PAGES, 1);
	munmap(q, BLOCKS * BLOCK);
	ends(w, p);
}

/* They are small pages then. What is not registered any more is not used either. */
static void frames_cannot_become_whole(void **state, unsigned long refuses, uint64_t least,
				       uint64_t most)
{
	struct with_devmem *w = *state;
	char *p = map_thps(w);
	char *q = map_apart(BLOCKS * BLOCK, RW);

	if (!p)
		skip();
	madvise(q, BLOCKS * BLOCK, MADV_NOHUGEPAGE);
	number(q, PAGES, 1);
	/* Both are registered from now on. */
	to_device(w, p, PAGES);
	assert_int_equal(to_system(w, p, PAGES), 0);
	to_device(w, q, PAGES);
	assert_int_equal(to_system(w, q, PAGES), 0);
	until_unused(w);
	kernel.refuses = refuses;
	kernel.refuses_from = frames_of(w);
	to_device(w, p, PAGES);
	assert_int_equal(w->result.huge, 0);
	assert_in_range(w->result.moved, least, most);
	assert_int_equal(used(w), w->result.moved * PAGE);
	kernel.refuses = 0;
	assert_numbered(q, PAGES, 1);
	munmap(q, BLOCKS * BLOCK);
	ends(w, p);
}

static void frames_stay_registered(void **state)
{
	frames_cannot_become_whole(state, UFFDIO_UNREGISTER, 3 * IN_BLOCK, 3 * IN_BLOCK);
}

static void frames_are_not_registered_again(void **state)
{
	frames_cannot_become_whole(state, UFFDIO_REGISTER, 0, 2 * IN_BLOCK);
}

/* ---- everything at once --------------------------------------------------------------------- */

#define WRITERS 2
#define ROUNDS 1500

static struct {
	char *p;
	_Atomic bool stop;
} at_work;

struct writer {
	pthread_t thread;
	size_t offset; /* of its counters, one a block */
	unsigned int counted[BLOCKS];
};

static volatile unsigned int *counter(const struct writer *w, size_t block)
{
	return (volatile unsigned int *)(at_work.p + block * BLOCK + w->offset);
}

static void *count_up(void *arg)
{
	struct writer *w = arg;

	for (size_t i = 0; !atomic_load(&at_work.stop); i = (i + 3) % BLOCKS) {
		++*counter(w, i);
		w->counted[i]++;
		usleep(100);
	}
	return NULL;
}

/* A block becomes a mapping of its own, and joins its neighbours again. */
static void *cut_mappings(void *arg)
{
	(void)arg;
	for (size_t i = 0; !atomic_load(&at_work.stop); i = (i + 5) % BLOCKS) {
		madvise(at_work.p + i * BLOCK, BLOCK, MADV_DONTFORK);
		usleep(50);
		madvise(at_work.p + i * BLOCK, BLOCK, MADV_DOFORK);
		usleep(50);
	}
	return NULL;
}

static void no_store_is_lost(void **state)
{
	struct writer writers[WRITERS] = { 0 };
	const time_t end = time(NULL) + 20;
	struct with_devmem *w = *state;
	pthread_t cutter;

	at_work.p = map_thps(w);
	if (!at_work.p)
		skip();
	atomic_store(&at_work.stop, false);
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i].offset = (40 + i) * PAGE + 64;
		pthread_create(&writers[i].thread, NULL, count_up, &writers[i]);
	}
	pthread_create(&cutter, NULL, cut_mappings, NULL);
	/* An emulated machine does not come to so many. */
	for (int i = 0; i < ROUNDS && (i < 20 || time(NULL) < end); i++) {
		const int ret = to_device(w, at_work.p, PAGES);

		assert_true(!ret || ret == -EBUSY || ret == -ENOENT);
		assert_int_equal(to_system(w, at_work.p, PAGES), 0);
	}
	atomic_store(&at_work.stop, true);
	pthread_join(cutter, NULL);
	for (size_t i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		for (size_t k = 0; k < BLOCKS; k++)
			assert_int_equal(*counter(&writers[i], k), writers[i].counted[k]);
	}
	ends(w, at_work.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(several_go_by_one_call, setup, teardown),
		cmocka_unit_test_setup_teardown(a_touch_takes_one_home, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_falls_short, setup, teardown),
		cmocka_unit_test_setup_teardown(the_way_home_falls_short, setup, teardown),
		cmocka_unit_test_setup_teardown(they_are_split_on_the_device, setup, teardown),
		cmocka_unit_test_setup_teardown(one_in_the_midst_is_pinned, setup, teardown),
		cmocka_unit_test_setup_teardown(one_in_the_midst_has_a_hole, setup, teardown),
		cmocka_unit_test_setup_teardown(one_is_split_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(the_mapping_ends_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(they_come_home_to_several_mappings, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_in_the_midst_is_to_be_discarded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_region_has_room_for_some, setup_few_frames,
						teardown),
		cmocka_unit_test_setup_teardown(frames_lie_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_of_small_pages_become_whole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(frames_stay_registered, setup_few_frames, teardown),
		cmocka_unit_test_setup_teardown(frames_are_not_registered_again, setup_few_frames,
						teardown),
		cmocka_unit_test_setup_teardown(no_store_is_lost, setup, teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

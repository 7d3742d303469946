// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Every kind of memory: it is cached and never stale, or it is registered once, or it is refused as
 * the device refuses it.
 */
#include "common/registrar.h"

#include "common/held_discard.h"

#include <sys/auxv.h>

#define BYTES (4 * PAGE)

static struct registrar g;
static char data[4 * PAGE] __attribute__((aligned(4096)));

static bool once(const void *p, size_t bytes)
{
	struct hmm_registration *r = get(&g, p, bytes);
	const bool is = r->flags & HMM_REGCACHE_ONCE;

	hmm_regcache_put(g.cache, r);
	return is;
}

static void refused(const void *p, size_t bytes)
{
	struct hmm_registration *r;

	assert_int_equal(hmm_regcache_get(g.cache, at(p), bytes, 0, LONG_NS, &r), -EFAULT);
}

static void static_data(void **state)
{
	registrar_open(&g, NULL);
	paint(data, sizeof(data));
	assert_false(hits(&g, data, sizeof(data)));
	assert_true(hits(&g, data + 1, 100));
	paint(data, sizeof(data));
	registrar_close(&g);
}

static void the_heap_of_brk(void **state)
{
	char *old = sbrk(0);
	char *p = (char *)((at(old) + PAGE - 1) & ~(PAGE - 1));

	registrar_open(&g, NULL);
	if (brk(p + 8 * PAGE)) {
		registrar_close(&g);
		skip(); /* something lies behind the heap */
	}
	paint(p, 8 * PAGE);
	for (int i = 0; i < 20; i++) {
		assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
		assert_true(hits(&g, p + 4 * PAGE, 4 * PAGE));
		assert_int_equal(brk(p + 6 * PAGE), 0);
		assert_int_equal(brk(p + 8 * PAGE), 0);
		paint(p + 6 * PAGE, 2 * PAGE);
	}
	brk(old);
	registrar_close(&g);
}

static void *use_stack(void *arg)
{
	char *p = arg;

	paint(p, PAGE);
	assert_false(hits(&g, p, PAGE));
	assert_true(hits(&g, p, PAGE));
	return NULL;
}

/* The stack of a thread that has ended is mapped anew for the next one. */
static void stacks_that_come_and_go(void **state)
{
	/* Sanitizers need as much. */
	const size_t bytes = 2 * MIB;
	char *stack = map_anon(bytes, RW);
	pthread_attr_t attr;

	registrar_open(&g, NULL);
	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		pthread_attr_init(&attr);
		assert_int_equal(pthread_attr_setstack(&attr, stack, bytes), 0);
		assert_int_equal(pthread_create(&thread, &attr, use_stack, stack + PAGE), 0);
		pthread_join(thread, NULL);
		pthread_attr_destroy(&attr);
		replace(stack, bytes);
	}
	registrar_close(&g);
	munmap(stack, bytes);
}

static void transparent_huge_pages(void **state)
{
	char *p = map_anon(4 * MIB, RW);

	madvise(p, 4 * MIB, MADV_HUGEPAGE);
	paint(p, 4 * MIB);
	registrar_open(&g, NULL);
	for (int i = 0; i < 10; i++) {
		assert_false(hits(&g, p, 4 * MIB));
		assert_true(hits(&g, p + MIB, MIB));
		/* A part of a huge page. */
		replace(p + MIB, PAGE);
	}
	registrar_close(&g);
	munmap(p, 4 * MIB);
}

static void hugetlb(void **state)
{
	char *p = mmap(NULL, 2 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		skip(); /* no huge pages are reserved */
	paint(p, 2 * MIB);
	registrar_open(&g, NULL);
	if (!once(p, 2 * MIB))
		assert_true(hits(&g, p + MIB, PAGE));
	munmap(p, 2 * MIB);
	assert_false(is_cached(&g, p, 2 * MIB));
	registrar_close(&g);
}

/* A discard before may be pending for a while: on a busy machine, for longer than a get waits. */
static bool is_kept(const char *p, size_t bytes)
{
	for (int i = 0; i < 30000; i++) {
		if (!once(p, bytes))
			return true;
		usleep(1000);
	}
	return false;
}

static void discards(void **state)
{
	char *p = buffer(BYTES);
	struct held_discard held;
	uint64_t refused_before;

	registrar_open(&g, NULL);
	for (int i = 0; i < 20; i++) {
		assert_false(hits(&g, p, BYTES));
		assert_int_equal(madvise(p + PAGE, PAGE, MADV_DONTNEED), 0);
		paint(p + PAGE, PAGE);
	}
	assert_true(is_kept(p, BYTES));
	/* While its end is not proven the memory is used once. */
	held_discard_begin(&held);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	paint(p, PAGE);
	refused_before = stats_of(&g).refused;
	assert_true(once(p, BYTES));
	assert_int_equal(stats_of(&g).refused, refused_before + 1);
	held_discard_end(&held);
	assert_true(is_kept(p, BYTES));
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void moves(void **state)
{
	char *p = buffer(BYTES);
	char *q = buffer(BYTES);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, BYTES));
	assert_false(hits(&g, q, BYTES));
	/* One mapping onto the other. */
	assert_ptr_equal(mremap(q, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, p), p);
	assert_false(is_cached(&g, q, BYTES));
	assert_false(hits(&g, p, BYTES));
	/* Its pages go, it stays. */
	q = mremap(p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	assert_ptr_not_equal(q, MAP_FAILED);
	paint(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	assert_false(hits(&g, q, BYTES));
	assert_true(hits(&g, p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
	munmap(q, BYTES);
}

/* No event tells of what happens to a file that is mapped. */
static void memory_files(void **state)
{
	int fd = make_memfd(BYTES, 0);
	char *p = map_fd(BYTES, RW, MAP_SHARED, fd, 0);

	paint(p, BYTES);
	registrar_open(&g, NULL);
	if (once(p, BYTES)) {
		registrar_close(&g);
		skip(); /* shared memory cannot be watched here */
	}
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
	paint(p + PAGE, PAGE);
	assert_false(hits(&g, p, BYTES));
	assert_int_equal(stats_of(&g).stale, 1);
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	paint(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	assert_true(hits(&g, p, BYTES));
	munmap(p, BYTES);
	assert_false(is_cached(&g, p, BYTES));
	registrar_close(&g);
	close(fd);
}

static void files(void **state)
{
	char path[64];
	int fd = make_file(path, BYTES);
	char *p = map_fd(BYTES, RW, MAP_SHARED, fd, 0);
	bool kept;

	paint(p, BYTES);
	registrar_open(&g, NULL);
	kept = !once(p, BYTES);
	/* Our own writing may count as a change of the file: more is registered than must be. */
	hits(&g, p, BYTES);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	paint(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	if (kept)
		assert_true(stats_of(&g).stale + stats_of(&g).invalidated > 0);
	registrar_close(&g);
	munmap(p, BYTES);
	close(fd);
	unlink(path);
}

static void private_files(void **state)
{
	char path[64];
	int fd = make_file(path, BYTES);
	char *p = map_fd(BYTES, RW, MAP_PRIVATE, fd, 0);

	paint(p, BYTES);
	registrar_open(&g, NULL);
	if (!once(p, BYTES))
		assert_true(hits(&g, p, BYTES));
	munmap(p, BYTES);
	assert_false(is_cached(&g, p, BYTES));
	registrar_close(&g);
	close(fd);
	unlink(path);
}

static void system_v_segments(void **state)
{
	int id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	int other = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	char *p;

	assert_true(id >= 0 && other >= 0);
	p = shmat(id, place_apart(BYTES), 0);
	assert_ptr_not_equal(p, (void *)-1);
	paint(p, BYTES);
	registrar_open(&g, NULL);
	if (!once(p, BYTES))
		assert_true(hits(&g, p, BYTES));
	/* No event tells of this. */
	assert_int_equal(shmdt(p), 0);
	assert_ptr_equal(shmat(other, p, 0), p);
	paint(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	shmdt(p);
	shmctl(id, IPC_RMID, NULL);
	shmctl(other, IPC_RMID, NULL);
	registrar_close(&g);
}

/* What raises no event is seen where each hit looks. */
static void strict_hits(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_STRICT };
	int id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	char *p = buffer(BYTES);

	registrar_open(&g, &o);
	assert_false(hits(&g, p, BYTES));
	assert_true(hits(&g, p, BYTES));
	assert_int_equal(mprotect(p, BYTES, PROT_READ), 0);
	assert_false(hits(&g, p, BYTES));
	assert_int_equal(stats_of(&g).stale, 1);
	assert_true(hits(&g, p, BYTES));
	assert_ptr_equal(shmat(id, p, SHM_REMAP), p);
	paint(p, BYTES);
	assert_false(hits(&g, p, BYTES));
	shmdt(p);
	shmctl(id, IPC_RMID, NULL);
	registrar_close(&g);
}

/* Linux's own segment of that many bytes, gone when it is detached. */
static int segment(size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);

	assert_true(id >= 0);
	return id;
}

static void attach_over(char *p, size_t bytes)
{
	int id = segment(bytes);

	assert_ptr_equal(shmat(id, p, SHM_REMAP), p);
	shmctl(id, IPC_RMID, NULL);
}

/*
 * The kernel tells nobody of the segment that comes, so nobody of what replaces it. What a check
 * registers must not be joined with what is registered around it.
 */
static void replace_the_middle(uint32_t flags)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_STRICT };
	char *p = buffer(64 * PAGE);

	registrar_open_with(&g, &o, flags);
	assert_false(hits(&g, p + 23 * PAGE, 9 * PAGE));
	assert_true(hits(&g, p + 23 * PAGE, 9 * PAGE));
	attach_over(p + 30 * PAGE, PAGE);
	assert_ptr_equal(
		mmap(p + 30 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + 30 * PAGE);
	paint(p + 30 * PAGE, PAGE);
	/* get() compares what is registered with what is mapped */
	assert_false(hits(&g, p + 23 * PAGE, 9 * PAGE));
	assert_false(hits(&g, p, 64 * PAGE));
	registrar_close(&g);
	munmap(p, 64 * PAGE);
}

static void a_page_in_the_middle_that_went_without_an_event(void **state)
{
	replace_the_middle(0);
	replace_the_middle(HMM_MM_NO_WP_ASYNC | HMM_MM_NO_PAGEMAP_SCAN);
}

/* The record of a file's mapping is given up while a part of it counts as registered. */
static void a_file_that_went_without_an_event(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .flags = HMM_REGCACHE_STRICT };
	int fd = memfd_create("shared", MFD_CLOEXEC);
	char *p = buffer(64 * PAGE);

	assert_int_equal(ftruncate(fd, 13 * PAGE), 0);
	assert_ptr_equal(mmap(p, 13 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0), p);
	assert_ptr_equal(
		mmap(p + 4 * PAGE, 3 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + 4 * PAGE);
	attach_over(p + 11 * PAGE, 2 * PAGE);
	paint(p, 13 * PAGE);
	registrar_open(&g, &o);
	hits(&g, p + 7 * PAGE, 3 * PAGE);
	attach_over(p + 3 * PAGE, 7 * PAGE);
	assert_ptr_equal(
		mmap(p + 10 * PAGE, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + 10 * PAGE);
	paint(p + 3 * PAGE, 8 * PAGE);
	hits(&g, p + 4 * PAGE, 2 * PAGE);
	hits(&g, p + 7 * PAGE, 2 * PAGE);
	hits(&g, p + 7 * PAGE, 2 * PAGE);
	registrar_close(&g);
	munmap(p, 64 * PAGE);
	close(fd);
}

static void what_another_userfaultfd_has(void **state)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *p = buffer(BYTES);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	r.range = (struct uffdio_range){ at(p), BYTES };
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &r), 0);
	registrar_open(&g, NULL);
	assert_true(once(p, BYTES));
	assert_true(once(p, BYTES));
	assert_int_equal(stats_of(&g).refused, 2);
	assert_int_equal(stats_of(&g).entries, 0);
	assert_int_equal(g.ended, 2);
	close(fd);
	assert_false(once(p, BYTES));
	registrar_close(&g);
	munmap(p, BYTES);
}

static void what_the_kernel_has_mapped(void **state)
{
	registrar_open(&g, NULL);
	assert_true(once((void *)getauxval(AT_SYSINFO_EHDR), PAGE));
	assert_int_equal(stats_of(&g).entries, 0);
	registrar_close(&g);
}

/* The device says what it thinks of it. */
static void what_may_not_be_read(void **state)
{
	char *p = buffer(BYTES);

	registrar_open(&g, NULL);
	assert_int_equal(mprotect(p, BYTES, PROT_NONE), 0);
	refused(p, BYTES);
	assert_int_equal(g.made, 0);
	assert_int_equal(mprotect(p, BYTES, RW), 0);
	assert_false(hits(&g, p, BYTES));
	munmap(p + PAGE, PAGE);
	refused(p, BYTES);
	refused(p + PAGE, 1);
	assert_int_equal(hmm_regcache_get(g.cache, at(p + PAGE), 1, HMM_REGCACHE_ONCE, 0,
					  &(struct hmm_registration *){ NULL }),
			 -EFAULT);
	assert_int_equal(g.made, 1);
	registrar_close(&g);
	munmap(p, BYTES);
}

static void several_mappings_at_once(void **state)
{
	int fd = make_memfd(BYTES, 0);
	char *p = buffer(2 * BYTES);

	assert_ptr_equal(mmap(p + BYTES, BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0), p + BYTES);
	paint(p, 2 * BYTES);
	registrar_open(&g, NULL);
	if (!once(p, 2 * BYTES)) {
		assert_true(hits(&g, p, 2 * BYTES));
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE),
				 0);
		paint(p + BYTES, PAGE);
		assert_false(hits(&g, p, 2 * BYTES));
	}
	replace(p, PAGE);
	assert_false(hits(&g, p, 2 * BYTES));
	registrar_close(&g);
	munmap(p, 2 * BYTES);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(static_data),
		cmocka_unit_test(the_heap_of_brk),
		cmocka_unit_test(stacks_that_come_and_go),
		cmocka_unit_test(transparent_huge_pages),
		cmocka_unit_test(hugetlb),
		cmocka_unit_test(discards),
		cmocka_unit_test(moves),
		cmocka_unit_test(memory_files),
		cmocka_unit_test(files),
		cmocka_unit_test(private_files),
		cmocka_unit_test(system_v_segments),
		cmocka_unit_test(strict_hits),
		cmocka_unit_test(a_page_in_the_middle_that_went_without_an_event),
		cmocka_unit_test(a_file_that_went_without_an_event),
		cmocka_unit_test(what_another_userfaultfd_has),
		cmocka_unit_test(what_the_kernel_has_mapped),
		cmocka_unit_test(what_may_not_be_read),
		cmocka_unit_test(several_mappings_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Detaching takes every registration back, whatever became of the mappings. On Linux 6.12 some of
 * the layouts here end in a BUG of the kernel when they are unregistered in one call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>
#include "held.h"
#include "space/space.h"

#define PAGE 4096UL
#define PAGES 6
#define RW (PROT_READ | PROT_WRITE)

/*
 * A segment or file of PAGES pages, in three mappings of two: the middle one is read-only while
 * devices fault.
 */
struct row {
	struct hmm_mm *mm;
	char *p;
	bool segment;
};

static void row_open(struct row *r, bool segment)
{
	r->segment = segment;
	if (segment) {
		int id = shmget(IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600);

		r->p = shmat(id, NULL, 0);
		shmctl(id, IPC_RMID, NULL);
		assert_ptr_not_equal(r->p, (void *)-1);
	} else {
		int fd = open(access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp",
			      O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
		r->p = mmap(NULL, PAGES * PAGE, RW, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(r->p, MAP_FAILED);
		close(fd);
	}
	memset(r->p, 1, PAGES * PAGE);
	assert_int_equal(mprotect(r->p + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
	r->mm = held_attach(0);
	assert_non_null(r->mm);
}

static void touch(struct row *r, unsigned int page)
{
	struct held h;

	assert_int_equal(held_make_read(&h, r->mm, (uint64_t)(r->p + page * PAGE), HOLD_REF), 0);
	held_drop(&h);
}

static void close_and_check(struct row *r)
{
	struct pagemap pm;

	/* Now they could be joined. */
	assert_int_equal(mprotect(r->p + 2 * PAGE, 2 * PAGE, RW), 0);
	hmm_mm_detach(r->mm);
	assert_int_equal(pagemap_open(&pm, -1, false), 0);
	for (unsigned int i = 0; pm.scan && i < PAGES; i++)
		assert_int_equal(pagemap_is_registered(&pm, (uint64_t)(r->p + i * PAGE)), 0);
	pagemap_close(&pm);
	assert_int_equal(r->segment ? shmdt(r->p) : munmap(r->p, PAGES * PAGE), 0);
}

static void touched(unsigned int pages, bool segment)
{
	struct row r;

	row_open(&r, segment);
	for (unsigned int i = 0; i < PAGES; i++)
		if (pages & 1U << i)
			touch(&r, i);
	close_and_check(&r);
}

/* Each of the three touched or not. */
static void segments_in_pieces(void **state)
{
	for (unsigned int i = 1; i < 8; i++)
		touched((i & 1) | (i & 2) << 1 | (i & 4) << 2, true);
}

static void files_in_pieces(void **state)
{
	for (unsigned int i = 1; i < 8; i++)
		touched((i & 1) | (i & 2) << 1 | (i & 4) << 2, false);
}

/* Unmapped in part, and touched again. */
static void a_segment_that_was_cut(void **state)
{
	struct row r;

	row_open(&r, true);
	touch(&r, 1);
	touch(&r, 5);
	assert_int_equal(mprotect(r.p + 2 * PAGE, 2 * PAGE, RW), 0);
	if (mremap(r.p, PAGES * PAGE, 3 * PAGE, 0) == MAP_FAILED)
		assert_int_equal(munmap(r.p + 3 * PAGE, 3 * PAGE), 0);
	touch(&r, 2);
	hmm_mm_detach(r.mm);
	shmdt(r.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_in_pieces),
		cmocka_unit_test(files_in_pieces),
		cmocka_unit_test(a_segment_that_was_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

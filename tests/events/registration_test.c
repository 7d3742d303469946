// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule 8: registration changes the program. Whole mappings, or chunks of files where that is asked
 * for, within a budget of half of vm.max_map_count; and what mremap says to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/broken.h"
#include "held.h"
#include "memory.h"

#define PAGE 4096UL
#define MIB (1UL << 20)
#define RW (PROT_READ | PROT_WRITE)

static int count_one(const struct hmm_vma *vma, void *arg)
{
	(*(unsigned int *)arg)++;
	return 0;
}

/* How many mappings the kernel makes of it. */
static unsigned int vmas(struct hmm_mm *mm, const char *p, size_t len)
{
	unsigned int n = 0;

	assert_int_equal(hmm_vma_walk(mm, (uint64_t)p, (uint64_t)p + len, count_one, &n), 0);
	return n;
}

static struct hmm_mm_stats stats_of(struct hmm_mm *mm)
{
	struct hmm_mm_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_mm_get_stats(mm, &s), 0);
	return s;
}

/* A device faults one page for reading, and forgets it. */
static int touch(struct hmm_mm *mm, const char *p)
{
	struct held h;
	int ret = held_make_read(&h, mm, (uint64_t)p, HOLD_REF);

	held_drop(&h);
	return ret;
}

/* errno of growing the whole mapping, 0 if that works; *p follows it. */
static int grow(char **p, size_t len)
{
	char *to = mremap(*p, len, 2 * len, MREMAP_MAYMOVE);

	if (to == MAP_FAILED)
		return errno;
	munmap(to + len, len);
	*p = to;
	return 0;
}

/* What this kernel says to growing what is two mappings to it, mirrored or not. */
static int refusal(void)
{
	char *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	ret = grow(&p, 3 * PAGE);
	munmap(p, 3 * PAGE);
	return ret;
}

static void need_files(struct hmm_mm *mm)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	if (info.wp_async)
		return;
	hmm_mm_detach(mm);
	print_message("this kernel registers no files and no segments (no WP_ASYNC)\n");
	skip();
}

static void whole(enum memory_kind kind)
{
	struct hmm_mm *mm = held_attach(0);
	struct memory m;

	assert_non_null(mm);
	if (kind == MEMORY_SYSV)
		need_files(mm);
	assert_null(memory_map(&m, kind));
	assert_int_equal(touch(mm, m.p + PAGE), 0);
	assert_int_equal(vmas(mm, m.p, m.len), 1);
	assert_int_equal(stats_of(mm).regions, 1);
	assert_int_equal(stats_of(mm).map_entries, 1);
	/* A System V segment cannot grow, registered or not. */
	if (kind != MEMORY_SYSV)
		assert_int_equal(grow(&m.p, m.len), 0);
	assert_int_equal(m.p[0], OLD_BYTE);
	memory_unmap(&m);
	if (break_rule("part-of-vma")) {
		assert_null(memory_map(&m, kind));
		assert_int_equal(touch(mm, m.p + PAGE), 0);
		assert_int_equal(vmas(mm, m.p, m.len), 3);
		if (kind != MEMORY_SYSV)
			assert_int_equal(grow(&m.p, m.len), refusal());
		memory_unmap(&m);
	}
	mend();
	hmm_mm_detach(mm);
}

static void rule_8_anonymous_memory_is_registered_as_a_whole(void **state)
{
	whole(MEMORY_ANON);
}

static void rule_8_shared_memory_is_registered_as_a_whole(void **state)
{
	whole(MEMORY_SHMEM);
}

static void rule_8_a_segment_is_registered_as_a_whole(void **state)
{
	whole(MEMORY_SYSV);
}

static void rule_8_a_registered_mapping_moves_as_a_whole(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	struct memory m;
	char *to = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_null(memory_map(&m, MEMORY_ANON));
	assert_int_equal(touch(mm, m.p), 0);
	assert_ptr_equal(mremap(m.p, m.len, m.len, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	m.p = to;
	assert_int_equal(m.p[PAGE], OLD_BYTE);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_int_equal(touch(mm, m.p), 0);
	assert_int_equal(vmas(mm, m.p, m.len), 1);
	assert_int_equal(stats_of(mm).map_entries, 1);
	memory_unmap(&m);
	munmap(to, 16 * PAGE);
	hmm_mm_detach(mm);
}

/* [lo, hi) of a mapping of 16 pages is protected for a moment, in which a device touches page 7. */
static void protected_for_a_moment(struct hmm_mm *mm, size_t lo, size_t hi)
{
	char *to = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = mmap(NULL, 18 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, PAGE);
	munmap(p + 17 * PAGE, PAGE);
	p += PAGE;
	memset(p, OLD_BYTE, 16 * PAGE);
	assert_int_equal(mprotect(p + lo * PAGE, (hi - lo) * PAGE, PROT_READ), 0);
	assert_int_equal(touch(mm, p + 7 * PAGE), 0);
	assert_int_equal(mprotect(p, 16 * PAGE, RW), 0);
	assert_ptr_equal(mremap(p, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_int_equal(to[15 * PAGE], OLD_BYTE);
	munmap(to, 16 * PAGE);
}

static void rule_8_what_was_protected_for_a_moment_moves_as_a_whole(void **state)
{
	struct hmm_mm *mm = held_attach(0);

	protected_for_a_moment(mm, 0, 4);
	protected_for_a_moment(mm, 3, 5);
	protected_for_a_moment(mm, 12, 16);
	protected_for_a_moment(mm, 9, 11);
	hmm_mm_detach(mm);
}

/* A sparse file, in the page cache or not as the kernel likes. */
struct file_memory {
	char *room;
	char *p; /* on a 2 MiB boundary */
	size_t len;
	int fd;
};

static void file_map(struct file_memory *f, size_t len)
{
	const char *dir = access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";

	f->len = len;
	f->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, (off_t)len), 0);
	f->room = mmap(NULL, len + 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->room, MAP_FAILED);
	f->p = (char *)(((uint64_t)f->room + 4 * MIB - 1) & ~(2 * MIB - 1));
	assert_ptr_equal(mmap(f->p, len, PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, 0), f->p);
}

static void file_unmap(struct file_memory *f)
{
	munmap(f->room, f->len + 4 * MIB);
	close(f->fd);
}

static void rule_8_a_file_is_registered_as_a_whole(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	struct file_memory f;
	char *p;

	need_files(mm);
	file_map(&f, 16 * MIB);
	p = f.p;
	assert_int_equal(touch(mm, p + 5 * MIB), 0);
	assert_int_equal(vmas(mm, p, f.len), 1);
	assert_int_equal(stats_of(mm).map_entries, 1);
	assert_int_equal(grow(&p, f.len), 0);
	munmap(p, f.len);
	file_unmap(&f);
	if (break_rule("file-chunks")) {
		file_map(&f, 16 * MIB);
		p = f.p;
		assert_int_equal(touch(mm, p + 5 * MIB), 0);
		assert_int_equal(vmas(mm, p, f.len), 3);
		assert_int_equal(grow(&p, f.len), refusal());
		file_unmap(&f);
	}
	mend();
	hmm_mm_detach(mm);
}

/*
 * What since Linux 6.17 moves several mappings, one after the other. 0, or errno and all is where
 * it was.
 */
static int move_whole(char *p, size_t len)
{
	char *to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *now = mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	const int err = now == MAP_FAILED ? errno : 0;
	unsigned char in_core;
	int lost = 0;

	for (size_t i = 0; err && i < len; i += PAGE)
		lost += mincore(p + i, PAGE, &in_core) != 0;
	munmap(to, len);
	return lost ? -lost : err;
}

static void rule_8_a_file_of_which_a_part_was_touched_moves_as_a_whole(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	struct file_memory f;

	need_files(mm);
	for (size_t at = 0; at < 16 * MIB; at += 5 * MIB) {
		file_map(&f, 16 * MIB);
		assert_int_equal(touch(mm, f.p + at), 0);
		assert_int_equal(move_whole(f.p, f.len), 0);
		file_unmap(&f);
	}
	hmm_mm_detach(mm);
}

/* Three mappings, the middle one touched. Alone they move or not, as the kernel likes. */
static int move_three(struct hmm_mm *mm)
{
	char *p = mmap(NULL, 12 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	assert_int_equal(mprotect(p, 4 * PAGE, PROT_READ), 0);
	assert_int_equal(mprotect(p + 8 * PAGE, 4 * PAGE, PROT_READ), 0);
	assert_int_equal(touch(mm, p + 4 * PAGE), 0);
	ret = move_whole(p, 12 * PAGE);
	munmap(p, 12 * PAGE);
	return ret;
}

static void rule_8_what_moves_in_one_call_is_refused_as_a_whole(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	int ret;

	assert_true(move_three(mm) >= 0);
	if (break_rule("no-neighbours")) {
		ret = move_three(mm);
		/* kernels before 6.17 move one at most */
		assert_true(ret < 0 || ret == EFAULT);
	}
	mend();
	hmm_mm_detach(mm);
}

static void rule_8_of_a_file_the_touched_chunks_are_registered_if_asked_for(void **state)
{
	struct hmm_mm *mm = held_attach(HMM_MM_FILE_CHUNKS);
	struct file_memory f;

	need_files(mm);
	file_map(&f, 16 * MIB);
	assert_int_equal(touch(mm, f.p + 5 * MIB), 0);
	/* before, the chunk, behind */
	assert_int_equal(vmas(mm, f.p, f.len), 3);
	assert_int_equal(vmas(mm, f.p + 4 * MIB, 2 * MIB), 1);
	assert_int_equal(stats_of(mm).map_entries, 2);
	/* The next chunk joins it. */
	assert_int_equal(touch(mm, f.p + 6 * MIB), 0);
	assert_int_equal(vmas(mm, f.p, f.len), 3);
	assert_int_equal(vmas(mm, f.p + 4 * MIB, 4 * MIB), 1);
	assert_int_equal(stats_of(mm).map_entries, 2);
	file_unmap(&f);
	hmm_mm_detach(mm);
}

/* What hmm(7) warns of. When all of it has been touched it is one mapping again. */
static void rule_8_a_file_mirrored_by_chunks_cannot_be_grown(void **state)
{
	struct hmm_mm *mm = held_attach(HMM_MM_FILE_CHUNKS);
	struct file_memory f;
	char *p;

	need_files(mm);
	file_map(&f, 4 * MIB);
	p = f.p;
	assert_int_equal(touch(mm, p), 0);
	assert_int_equal(grow(&p, f.len), refusal());
	assert_int_equal(touch(mm, p + 2 * MIB), 0);
	assert_int_equal(vmas(mm, p, f.len), 1);
	assert_int_equal(grow(&p, f.len), 0);
	munmap(p, f.len);
	file_unmap(&f);
	hmm_mm_detach(mm);
}

static unsigned int present(const char *p, size_t pages)
{
	unsigned int n = 0;
	struct memory m = { .p = (char *)p };

	for (size_t i = 0; i < pages; i++)
		n += memory_present(&m, i * PAGE);
	return n;
}

static void file_fill(const struct file_memory *f)
{
	char buf[MIB];

	for (size_t at = 0; at < f->len; at += sizeof(buf)) {
		memset(buf, (int)(at / MIB) + 1, sizeof(buf));
		assert_int_equal(pwrite(f->fd, buf, sizeof(buf), (off_t)at), sizeof(buf));
	}
}

/*
 * The CPU's faults of pages that are in the page cache bring in their neighbours, but not where
 * they are watched.
 */
static void rule_8_fault_around_is_lost_in_the_touched_chunks_only(void **state)
{
	struct hmm_mm *mm = held_attach(HMM_MM_FILE_CHUNKS);
	struct file_memory f;

	need_files(mm);
	file_map(&f, 4 * MIB);
	file_fill(&f);
	assert_int_equal(touch(mm, f.p), 0);
	assert_int_equal(f.p[MIB], 2);
	assert_int_equal(present(f.p + MIB, 16), 1);
	assert_int_equal(f.p[3 * MIB], 4);
	assert_true(present(f.p + 3 * MIB, 16) > 1);
	file_unmap(&f);
	hmm_mm_detach(mm);
}

/*
 * Where the whole mapping is watched, what is in the page cache is mapped first; what is not, is
 * left alone.
 */
static void rule_8_what_is_resident_is_mapped_before_it_is_watched(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	struct file_memory f;

	need_files(mm);
	file_map(&f, 8 * MIB);
	file_fill(&f);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(ftruncate(f.fd, (off_t)f.len), 0);
	f.len = 4 * MIB;
	file_fill(&f);
	f.len = 8 * MIB;
	assert_int_equal(touch(mm, f.p + 3 * MIB), 0);
	assert_int_equal(present(f.p, 4 * MIB / PAGE), 4 * MIB / PAGE);
	assert_true(present(f.p + 6 * MIB, 2 * MIB / PAGE) < 2 * MIB / PAGE);
	assert_int_equal(f.p[0], 1);
	file_unmap(&f);
	hmm_mm_detach(mm);
}

static void rule_8_the_budget_is_half_of_max_map_count(void **state)
{
	struct hmm_mm *mm = held_attach(0);
	struct hmm_mm_info info = { .size = sizeof(info) };
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	long max = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &max), 1);
	fclose(f);
	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	assert_int_equal(info.max_regions, max / 2);
	hmm_mm_detach(mm);
}

#define BUDGET 32

static struct hmm_mm *attach_budget(void)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;

	o.flags = HMM_MM_FILE_CHUNKS;
	o.max_regions = BUDGET;
	assert_int_equal(hmm_mm_attach(&o, &mm), 0);
	return mm;
}

/* Every other chunk from `from` on: each becomes a mapping of its own and leaves one beside it. */
static unsigned int touch_chunks(struct hmm_mm *mm, const struct file_memory *f, size_t from,
				 int *ret)
{
	unsigned int n = 0;

	*ret = 0;
	for (size_t at = from; at < f->len && !(*ret = touch(mm, f->p + at)); at += 4 * MIB)
		n++;
	return n;
}

static void rule_8_what_registration_takes_of_the_map_count_is_bounded(void **state)
{
	struct hmm_mm *mm = attach_budget();
	struct file_memory f;
	int ret;

	need_files(mm);
	file_map(&f, 256 * MIB);
	assert_int_equal(touch_chunks(mm, &f, 2 * MIB, &ret), BUDGET / 2);
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(vmas(mm, f.p, f.len), 1 + BUDGET);
	assert_int_equal(stats_of(mm).map_entries, BUDGET);
	/* What joins a region takes nothing. */
	assert_int_equal(touch(mm, f.p + 4 * MIB), 0);
	/* What is unmapped is given back. */
	munmap(f.p, 18 * MIB);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_int_equal(touch(mm, f.p + 250 * MIB), 0);
	file_unmap(&f);
	hmm_mm_detach(mm);
	mm = attach_budget();
	if (break_rule("no-budget")) {
		file_map(&f, 256 * MIB);
		touch_chunks(mm, &f, 2 * MIB, &ret);
		assert_int_equal(ret, 0);
		assert_true(vmas(mm, f.p, f.len) > 1 + BUDGET);
		file_unmap(&f);
	}
	mend();
	hmm_mm_detach(mm);
}

static void rule_8_whole_mappings_take_one_each(void **state)
{
	struct hmm_mm *mm = attach_budget();
	struct memory m[BUDGET + 1];
	int i;

	for (i = 0; i <= BUDGET; i++)
		assert_null(memory_map(&m[i], MEMORY_ANON));
	for (i = 0; i < BUDGET; i++)
		assert_int_equal(touch(mm, m[i].p), 0);
	assert_int_equal(touch(mm, m[BUDGET].p), -ENOSPC);
	memory_unmap(&m[0]);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_int_equal(touch(mm, m[BUDGET].p), 0);
	for (i = 1; i <= BUDGET; i++)
		memory_unmap(&m[i]);
	hmm_mm_detach(mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_8_anonymous_memory_is_registered_as_a_whole),
		cmocka_unit_test(rule_8_shared_memory_is_registered_as_a_whole),
		cmocka_unit_test(rule_8_a_segment_is_registered_as_a_whole),
		cmocka_unit_test(rule_8_a_registered_mapping_moves_as_a_whole),
		cmocka_unit_test(rule_8_what_was_protected_for_a_moment_moves_as_a_whole),
		cmocka_unit_test(rule_8_a_file_is_registered_as_a_whole),
		cmocka_unit_test(rule_8_a_file_of_which_a_part_was_touched_moves_as_a_whole),
		cmocka_unit_test(rule_8_what_moves_in_one_call_is_refused_as_a_whole),
		cmocka_unit_test(rule_8_of_a_file_the_touched_chunks_are_registered_if_asked_for),
		cmocka_unit_test(rule_8_a_file_mirrored_by_chunks_cannot_be_grown),
		cmocka_unit_test(rule_8_fault_around_is_lost_in_the_touched_chunks_only),
		cmocka_unit_test(rule_8_what_is_resident_is_mapped_before_it_is_watched),
		cmocka_unit_test(rule_8_the_budget_is_half_of_max_map_count),
		cmocka_unit_test(rule_8_what_registration_takes_of_the_map_count_is_bounded),
		cmocka_unit_test(rule_8_whole_mappings_take_one_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule 11: requested permission is not VMA permission. What a device reads is not copied, not
 * allocated, not dirtied, in whatever mapping the program could write to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <hmm/hmm.h>
#include "kernel/abi/pagemap.h"
#include "common/broken.h"

#define PAGE 4096UL
#define MIB (1UL << 20)
#define LEN (2 * MIB)
#define RW (PROT_READ | PROT_WRITE)

/* Memory that a write fault would change, and how that shows. */
struct place {
	char *room;
	char *p; /* LEN bytes on a 2 MiB boundary, writable */
	int fd;
	pid_t child; /* shares the pages, or 0 */
	struct stat before;
};

struct kind {
	const char *name;
	void (*make)(struct place *pl);
	/* Has a page been copied, allocated or dirtied? */
	bool (*changed)(const struct place *pl);
};

static void map(struct place *pl, int flags)
{
	pl->room = mmap(NULL, 2 * LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pl->room, MAP_FAILED);
	pl->p = (char *)(((uint64_t)pl->room + LEN - 1) & ~(LEN - 1));
	assert_ptr_equal(mmap(pl->p, LEN, RW, flags | MAP_FIXED, pl->fd, 0), pl->p);
}

static void unmap(struct place *pl)
{
	if (pl->child) {
		kill(pl->child, SIGKILL);
		waitpid(pl->child, NULL, 0);
	}
	munmap(pl->room, 2 * LEN);
	if (pl->fd >= 0)
		close(pl->fd);
}

static void file_open(struct place *pl, bool sparse)
{
	const char *dir = access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
	char *bytes = malloc(LEN);

	pl->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(pl->fd >= 0);
	memset(bytes, 7, LEN);
	if (sparse)
		assert_int_equal(ftruncate(pl->fd, LEN), 0);
	else
		assert_int_equal(write(pl->fd, bytes, LEN), LEN);
	free(bytes);
	assert_int_equal(fsync(pl->fd), 0);
}

static void make_private_file(struct place *pl)
{
	file_open(pl, false);
	map(pl, MAP_PRIVATE);
}

static void make_shared_file(struct place *pl)
{
	struct timespec tick = { 0, 20000000 };

	file_open(pl, true);
	map(pl, MAP_SHARED);
	assert_int_equal(fstat(pl->fd, &pl->before), 0);
	nanosleep(&tick, NULL); /* or a change would bear the same time */
}

static void make_zero(struct place *pl)
{
	map(pl, MAP_PRIVATE | MAP_ANONYMOUS);
	madvise(pl->p, LEN, MADV_NOHUGEPAGE);
}

static void make_huge_zero(struct place *pl)
{
	map(pl, MAP_PRIVATE | MAP_ANONYMOUS);
	madvise(pl->p, LEN, MADV_HUGEPAGE);
}

static void share(struct place *pl)
{
	pl->child = fork();
	assert_true(pl->child >= 0);
	if (!pl->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void make_forked(struct place *pl)
{
	make_zero(pl);
	memset(pl->p, 7, LEN);
	share(pl);
}

static void make_forked_huge(struct place *pl)
{
	make_huge_zero(pl);
	memset(pl->p, 7, LEN);
	share(pl);
}

static uint64_t word_of(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	assert_int_equal(pread(fd, &word, 8, (off_t)((uint64_t)p / PAGE * 8)), 8);
	close(fd);
	return word;
}

static bool any_word(const struct place *pl, uint64_t mask, uint64_t bits)
{
	for (size_t i = 0; i < LEN; i += PAGE) {
		uint64_t word = word_of(pl->p + i);

		if (word >> 63 && (word & mask) == bits)
			return true;
	}
	return false;
}

/* A page of ours in the place of the file's. */
static bool copied(const struct place *pl)
{
	return any_word(pl, PM_WORD_FILE, 0);
}

/* A page that nobody else maps any more. */
static bool alone(const struct place *pl)
{
	return any_word(pl, PM_WORD_EXCLUSIVE, PM_WORD_EXCLUSIVE);
}

/* Anonymous memory of this mapping, in KiB: the zero page is none. */
static bool allocated(const struct place *pl)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end, kib;
	bool here = false, found = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start < (uint64_t)pl->p + LEN && end > (uint64_t)pl->p;
		else if (here && sscanf(line, "Anonymous: %lu", &kib) == 1)
			found |= kib != 0;
	}
	fclose(f);
	return found;
}

/* The first write of a page of a shared file changes its times, and fills a hole. */
static bool dirtied(const struct place *pl)
{
	struct stat now;

	assert_int_equal(fstat(pl->fd, &now), 0);
	return now.st_mtim.tv_sec != pl->before.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != pl->before.st_mtim.tv_nsec ||
	       now.st_blocks != pl->before.st_blocks;
}

static const struct kind kinds[] = {
	{ "private file", make_private_file, copied },
	{ "shared file", make_shared_file, dirtied },
	{ "zero page", make_zero, allocated },
	{ "huge zero page", make_huge_zero, allocated },
	{ "anonymous, after a fork", make_forked, alone },
	{ "huge, after a fork", make_forked_huge, alone },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = ignore };

/* Ways to read on behalf of a device: each returns 0. */
static int by_range(struct hmm_mm *mm, const struct place *pl)
{
	static uint64_t pfns[LEN / PAGE];
	struct hmm_range r = { .size = sizeof(r),
			       .start = (uint64_t)pl->p,
			       .end = (uint64_t)pl->p + LEN,
			       .hmm_pfns = pfns,
			       .default_flags = HMM_PFN_REQ_FAULT };
	int ret;

	memset(pfns, 0, sizeof(pfns));
	assert_int_equal(hmm_interval_notifier_insert(mm, r.start, LEN, &ops, NULL, &r.notifier),
			 0);
	ret = hmm_range_fault(&r, HMM_FOREVER);
	for (size_t i = 0; !ret && i < LEN / PAGE; i++)
		assert_true(pfns[i] & HMM_PFN_VALID);
	hmm_interval_notifier_remove(r.notifier);
	return ret;
}

static int load_all(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	const struct place *pl = arg;
	char byte;
	int ret = 0;

	for (size_t i = 0; i < LEN && !ret; i += PAGE)
		ret = hmm_load(ctx, &byte, (uint64_t)pl->p + i, 1);
	return ret;
}

static int by_device(struct hmm_mm *mm, const struct place *pl)
{
	struct hmm_job job = {
		.size = sizeof(job), .kernel = load_all, .arg = (void *)pl, .items = 1
	};
	struct hmm_device *dev;
	struct hmm_svm *svm;
	int ret;

	assert_int_equal(hmm_device_open(mm, "soft", 1, &dev), 0);
	assert_int_equal(hmm_svm_create(mm, dev, NULL, &svm), 0);
	ret = hmm_svm_run(svm, &job);
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	return ret;
}

static int by_prefetch(struct hmm_mm *mm, const struct place *pl)
{
	struct hmm_device *dev;
	struct hmm_svm *svm;
	int64_t n;

	assert_int_equal(hmm_device_open(mm, "null", 1, &dev), 0);
	assert_int_equal(hmm_svm_create(mm, dev, NULL, &svm), 0);
	n = hmm_svm_prefetch(svm, (uint64_t)pl->p, (uint64_t)pl->p + LEN, PROT_READ);
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	/* Not all of it where files cannot be cached. */
	return n >= 0 ? 0 : (int)n;
}

static bool changes(const struct kind *k, int (*read_it)(struct hmm_mm *mm, const struct place *pl))
{
	struct place pl = { .fd = -1 };
	struct hmm_mm *mm;
	bool changed;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	k->make(&pl);
	assert_int_equal(read_it(mm, &pl), 0);
	changed = k->changed(&pl);
	/* Where it has not: the oracle sees the program's own write. */
	if (!changed) {
		pl.p[PAGE] = 1;
		assert_true(k->changed(&pl));
	}
	unmap(&pl);
	hmm_mm_detach(mm);
	return changed;
}

static int by_cpu(struct hmm_mm *mm, const struct place *pl)
{
	for (size_t i = 0; i < LEN; i += PAGE)
		(void)*(volatile char *)(pl->p + i);
	return 0;
}

static void each_kind(int (*read_it)(struct hmm_mm *mm, const struct place *pl))
{
	unsigned int tried = 0;

	for (size_t i = 0; i < N_KINDS; i++) {
		/*
		 * There may be nothing to write to without a copy: a kernel that shares no zero
		 * page allocates for the CPU's reads as well, and so does tmpfs in a hole of a
		 * file.
		 */
		if (changes(&kinds[i], by_cpu)) {
			print_message("%s: not here, a read by the CPU changes it\n",
				      kinds[i].name);
			continue;
		}
		tried++;
		if (changes(&kinds[i], read_it))
			fail_msg("%s: reading it wrote to it", kinds[i].name);
		if (break_rule("read-is-write") && !changes(&kinds[i], read_it))
			fail_msg("%s: the broken rule was not seen", kinds[i].name);
		mend();
	}
	/* A private file and forked pages are everywhere. */
	assert_true(tried >= 2);
}

static void rule_11_a_walk_for_reading_writes_nothing(void **state)
{
	each_kind(by_range);
}

static void rule_11_a_device_that_reads_writes_nothing(void **state)
{
	each_kind(by_device);
}

static void rule_11_a_prefetch_for_reading_writes_nothing(void **state)
{
	each_kind(by_prefetch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_11_a_walk_for_reading_writes_nothing),
		cmocka_unit_test(rule_11_a_device_that_reads_writes_nothing),
		cmocka_unit_test(rule_11_a_prefetch_for_reading_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

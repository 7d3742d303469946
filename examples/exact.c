// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A driver that wants the kernel's log of changes (HMM_PROVIDER_BPF), and does with userfaultfd
 * where there is none. Nothing else differs: it asks hmm_range_check() for all that the operations
 * of its program need (hmm-coherence(7)). With a log that is loads alone, and without one it is a
 * few system calls.
 *
 * Prints which of the two it got, then what each change of the program's did to the translation.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

static struct hmm_range range;
static uint64_t entries[16]; /* of one page, which may be 64 KiB */
static char *memory;
static size_t page_size;

/*
 * Without a log the library says why on standard error, or to the function of hmm_log_set(), and
 * returns -EOPNOTSUPP. A program that takes what there is uses HMM_PROVIDER_AUTO instead, and looks
 * at `provider` and `provider_error` of struct hmm_mm_info.
 */
static int attach(struct hmm_mm **mm)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	int err;

	options.provider = HMM_PROVIDER_BPF;
	err = hmm_mm_attach(&options, mm);
	if (err != -EOPNOTSUPP)
		return err;
	options.provider = HMM_PROVIDER_UFFD;
	return hmm_mm_attach(&options, mm);
}

/* Nothing to take back: this device asks before each use. */
static int invalidate(struct hmm_interval_notifier *n, const struct hmm_invalidation *inv,
		      void *priv)
{
	(void)n;
	(void)inv;
	(void)priv;
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), invalidate, NULL };

/* May the device use what the last fault found? */
static bool may_use(void)
{
	return !hmm_range_check(&range, HMM_CHECK_ALL);
}

/* A page that is used once only, under a check, is never found valid twice: that is right, too. */
static int fault(void)
{
	int err;

	do
		err = hmm_range_fault(&range, HMM_FOREVER);
	while (!err && hmm_interval_read_retry(range.notifier, range.notifier_seq));
	return err;
}

static void protect(void)
{
	mprotect(memory, page_size, PROT_READ);
}

static void allow(void)
{
	mprotect(memory, page_size, PROT_READ | PROT_WRITE);
}

static void discard(void)
{
	madvise(memory, page_size, MADV_DONTNEED);
}

static void replace(void)
{
	mmap(memory, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*change)(void), (*undo)(void);
} changes[] = {
	{ "mprotect(PROT_READ)", protect, allow },
	{ "madvise(MADV_DONTNEED)", discard, nothing },
	{ "mmap(MAP_FIXED)", replace, nothing },
};

static int run(struct hmm_mm *mm)
{
	size_t stale = 0;
	int err;

	err = hmm_interval_notifier_insert(mm, (uintptr_t)memory, page_size, &ops, NULL,
					   &range.notifier);
	for (size_t i = 0; !err && i < sizeof(changes) / sizeof(changes[0]); i++) {
		memset(memory, 1, page_size);
		err = fault();
		if (err)
			break;
		changes[i].change();
		stale += may_use();
		printf("%-24s %s\n", changes[i].name, may_use() ? "still used: STALE" : "refused");
		changes[i].undo();
	}
	if (range.notifier)
		hmm_interval_notifier_remove(range.notifier);
	return err ? err : (int)stale;
}

int main(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;
	int ret = attach(&mm);

	if (ret) {
		fprintf(stderr, "exact: cannot attach: %s\n", strerror(-ret));
		return 77;
	}
	hmm_mm_get_info(mm, &info);
	puts(info.provider == HMM_PROVIDER_BPF ? "the kernel's log: nothing is registered"
					       : "userfaultfd: there is no log of the kernel's");
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	memory = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	range = (struct hmm_range){
		.size = sizeof(range),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + page_size,
		.hmm_pfns = entries,
		.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
	};
	ret = run(mm);
	hmm_mm_detach(mm);
	munmap(memory, page_size);
	if (ret < 0)
		fprintf(stderr, "exact: %s\n", strerror(-ret));
	return ret != 0;
}

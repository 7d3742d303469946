// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A log that overflows: while a process is stopped another one makes more changes than its log
 * holds. Counted are the uses that were accepted and should not have been.
 *
 *	mirrors			changes
 *	says go
 *				stops the other
 *				changes a page, again and again
 *				lets it go on
 *	nothing stands, the overflow is reported
 *	faults: all stands
 *	changes a page: it does not stand
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exact.h"
#include "raw.h"

#define CHANGES 6000 /* of two records each, more than a log holds */
#define PATIENCE_NS 20e9

/* Shared by all three processes. */
struct full {
	_Atomic bool go;
	_Atomic bool changed; /* once at least */
	_Atomic bool over;
	int error;
	unsigned int stale;
	uint64_t resets;
	double recovered; /* ms */
};

static uint64_t resets_of(struct hmm_mm *mm)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	return hmm_mm_get_info(mm, &info) ? 0 : info.log_resets;
}

static void change(struct full *f, char *shared)
{
	int failed = 0;

	while (!atomic_load(&f->go))
		usleep(1000);
	failed |= kill(getppid(), SIGSTOP);
	for (int i = 0; i < CHANGES; i++) {
		*(volatile char *)shared = 1;
		failed |= madvise(shared, HMM_PAGE_SIZE, MADV_REMOVE);
		atomic_store(&f->changed, true);
	}
	failed |= kill(getppid(), SIGCONT);
	if (failed)
		f->error = -EIO;
	atomic_store(&f->over, true);
	_exit(0);
}

/* Uses what is changed until it no longer stands. */
static void use(struct full *f, const struct exact_page *page)
{
	bool changed, stands;

	do {
		changed = atomic_load(&f->changed);
		stands = exact_page_stands(page);
		f->stale += changed && stands;
	} while (stands && !atomic_load(&f->over));
}

static int wait_for_reset(const struct hmm_mm *mm, uint64_t before, double deadline)
{
	while (resets_of((struct hmm_mm *)mm) == before) {
		if (bench_now_ns() > deadline)
			return -ENODATA;
		usleep(1000);
	}
	return 0;
}

static int overflow(struct full *f, struct exact_page *changed, struct exact_page *other)
{
	struct hmm_mm *mm = changed->mm;
	const uint64_t before = resets_of(mm);
	double begin;
	int ret;

	atomic_store(&f->go, true);
	use(f, changed);
	begin = bench_now_ns();
	while (!atomic_load(&f->over))
		usleep(1000);
	ret = f->error ? f->error : wait_for_reset(mm, before, begin + PATIENCE_NS);
	if (ret)
		return ret;
	f->resets = resets_of(mm) - before;
	/* nobody has changed this one */
	f->stale += exact_page_stands(other);
	ret = exact_page_fault(changed);
	if (!ret)
		ret = exact_page_fault(other);
	f->recovered = (bench_now_ns() - begin) / 1e6;
	if (ret)
		return ret;
	if (madvise(other->base, HMM_PAGE_SIZE, MADV_DONTNEED))
		return -errno;
	f->stale += exact_page_stands(other);
	return 0;
}

static int mirror(struct full *f)
{
	struct exact_page changed = { .size = HMM_PAGE_SIZE }, other = { 0 };
	struct hmm_mm *mm = NULL;
	pid_t pid;
	int ret;

	changed.base = mmap(NULL, HMM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	if (changed.base == MAP_FAILED)
		return -errno;
	pid = fork();
	if (!pid)
		change(f, changed.base);
	if (pid < 0)
		return -errno;
	ret = exact_attach_by(HMM_PROVIDER_BPF, &mm);
	if (!ret)
		ret = exact_page_mirror(&changed, mm);
	if (!ret)
		ret = exact_page_open(&other, mm, HMM_PAGE_SIZE);
	if (!ret)
		ret = overflow(f, &changed, &other);
	if (ret)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	exact_page_close(&changed);
	exact_page_close(&other);
	hmm_mm_detach(mm);
	return ret;
}

static int in_child(struct full *f)
{
	const pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		f->error = mirror(f);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return f->error;
}

int exact_full(struct bench *b, struct bench_row *row)
{
	struct full *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct hmm_mm *mm = NULL;
	int ret = f == MAP_FAILED ? -ENOMEM : exact_attach_log(&mm, row);

	(void)b;
	hmm_mm_detach(mm);
	if (!ret)
		ret = in_child(f);
	if (!ret) {
		row->value = f->stale;
		snprintf(row->note, sizeof(row->note),
			 "uses accepted wrongly; %d changes, %llu resets, mirrored again after "
			 "%.1f ms",
			 CHANGES, (unsigned long long)f->resets, f->recovered);
	}
	if (f != MAP_FAILED)
		munmap(f, sizeof(*f));
	return ret;
}

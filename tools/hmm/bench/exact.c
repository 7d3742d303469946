// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which figures of the log there are, and what they share. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exact.h"
#include "raw.h"

static const struct figure {
	const char *name, *unit;
	double target;
	bool absolute;
	unsigned int cpus;
	int (*measure)(struct bench *b, struct bench_row *row);
} figures[] = {
	{ "exact-calls", "calls", 0, true, 0, exact_valid_calls },
	{ "exact-valid", "ns", 0.05, false, 0, exact_valid },
	{ "exact-valid-disturbed", "ns", 3, false, 2, exact_disturbed },
	{ "exact-events", "events", 0, true, 0, exact_events },
	{ "exact-munmap-16KiB", "us", 1.15, false, 2, exact_munmap },
	{ "exact-munmap-16KiB-uffd", "us", 1, false, 2, exact_munmap_uffd },
	{ "exact-munmap-unwatched", "us", 1.03, false, 0, exact_bystander },
	{ "exact-attach", "ms", 50, true, 0, exact_attach },
	{ "exact-attaching-calls", "calls", 320, true, 0, exact_attach_calls },
	{ "exact-full", "stale", 0, true, 0, exact_full },
};

static int measure(struct bench *b, const struct figure *f)
{
	struct bench_row row = { .unit = f->unit,
				 .target = f->target,
				 .absolute = f->absolute,
				 .cpus = f->cpus,
				 .value = NAN,
				 .baseline = NAN };
	int ret;

	snprintf(row.name, sizeof(row.name), "%s", f->name);
	ret = f->measure(b, &row);
	if (ret && ret != -EOPNOTSUPP)
		return ret;
	if (ret)
		row.value = row.baseline = NAN;
	bench_add(b, &row);
	return 0;
}

int bench_exact(struct bench *b)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !ret; i++)
		if (bench_wants(b, figures[i].name))
			ret = measure(b, &figures[i]);
	return ret;
}

/* ---- attaching ------------------------------------------------------------------------------- */

int exact_attach_by(enum hmm_provider provider, struct hmm_mm **mm)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	options.provider = provider;
	return hmm_mm_attach(&options, mm);
}

static void keep(enum hmm_log_level level, const char *message, void *arg)
{
	struct bench_row *row = arg;

	(void)level;
	strncpy(row->note, message, sizeof(row->note) - 1);
}

int exact_attach_log(struct hmm_mm **mm, struct bench_row *row)
{
	int ret;

	hmm_log_set(keep, row);
	ret = exact_attach_by(HMM_PROVIDER_BPF, mm);
	hmm_log_set(NULL, NULL);
	if (!ret)
		row->note[0] = 0;
	return ret;
}

int exact_not_counted(int error, struct bench_row *row)
{
	if (error != -EPERM && error != -ENODATA)
		return error;
	snprintf(row->note, sizeof(row->note), "%s",
		 error == -EPERM ? "this host forbids tracing (ptrace)"
				 : "tracing takes too long on this host");
	return -EOPNOTSUPP;
}

bool exact_is_served(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm = NULL;
	int ret = exact_attach_by(HMM_PROVIDER_AUTO, &mm);

	if (!ret)
		ret = hmm_mm_get_info(mm, &info);
	hmm_mm_detach(mm);
	return !ret && info.provider == HMM_PROVIDER_BOTH;
}

/* ---- a page ---------------------------------------------------------------------------------- */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

/* A thread that is preempted in a program may keep everything from standing. */
#define PATIENCE_NS 5e9
#define PAUSE_US 100

bool exact_page_stands(const struct exact_page *page)
{
	return !hmm_interval_stale(page->ni, page->seq);
}

int exact_page_fault(struct exact_page *page)
{
	uint64_t pfns[16] = { 0 };
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = page->ni,
				   .start = (uintptr_t)page->base,
				   .end = (uintptr_t)page->base + page->size,
				   .hmm_pfns = pfns,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	const double deadline = bench_now_ns() + PATIENCE_NS;

	for (unsigned int i = 1;; i++) {
		int ret = hmm_range_fault(&range, HMM_FOREVER);

		page->seq = range.notifier_seq;
		if (ret || exact_page_stands(page))
			return ret;
		if (bench_now_ns() > deadline)
			return -EBUSY;
		if (!(i % 16))
			usleep(PAUSE_US);
	}
}

int exact_page_mirror(struct exact_page *page, struct hmm_mm *mm)
{
	int ret = hmm_interval_notifier_insert(mm, (uintptr_t)page->base, page->size, &ops, NULL,
					       &page->ni);

	page->mm = mm;
	return ret ? ret : exact_page_fault(page);
}

int exact_page_open(struct exact_page *page, struct hmm_mm *mm, size_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (page->base ? MAP_FIXED_NOREPLACE : 0);

	page->size = size;
	page->base = mmap(page->base, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (page->base == MAP_FAILED)
		return -errno;
	return exact_page_mirror(page, mm);
}

void exact_page_close(struct exact_page *page)
{
	hmm_interval_notifier_remove(page->ni);
	if (page->base && page->base != MAP_FAILED)
		munmap(page->base, page->size);
	*page = (struct exact_page){ 0 };
}

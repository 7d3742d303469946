// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A validated use with a log, in quiet, beside the probe that a userfaultfd needs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "count.h"
#include "exact.h"
#include "raw.h"

#define USES 20000
#define TRIES 20

/* A look that is made now and then is made once in 64 uses at least, so it would be seen. */
#define USES_AN_OPERATION 100

static unsigned int use(const struct exact_page *page, unsigned int uses)
{
	unsigned int stood = 0;

	for (unsigned int i = 0; i < uses; i++)
		stood += exact_page_stands(page);
	return stood;
}

/* What is counted is in a child, which has a log of its own. */
static int uses_with_log(struct count *c)
{
	struct exact_page page = { 0 };
	struct hmm_mm *mm = NULL;
	int ret = exact_attach_by(HMM_PROVIDER_BPF, &mm);

	if (!ret)
		ret = exact_page_open(&page, mm, HMM_PAGE_SIZE);
	if (!ret)
		usleep(300000); /* threads that begin make calls */
	for (int i = 0; i < COUNT_OPS && !ret; i++) {
		ret = exact_page_stands(&page) ? 0 : exact_page_fault(&page);
		count_begin(c);
		if (!ret)
			ret = use(&page, USES_AN_OPERATION) ? 0 : -EIO;
		count_end(c);
	}
	count_finish(c);
	exact_page_close(&page);
	hmm_mm_detach(mm);
	return ret;
}

static int bare_probes(struct count *c)
{
	const int uffd = raw_uffd();

	if (uffd < 0)
		return uffd;
	for (int i = 0; i < COUNT_OPS; i++) {
		count_begin(c);
		raw_uffd_probe(uffd, NULL);
		count_end(c);
	}
	count_finish(c);
	close(uffd);
	return 0;
}

int exact_valid_calls(struct bench *b, struct bench_row *row)
{
	struct count_result ours, bare;
	struct hmm_mm *mm = NULL;
	int ret = exact_attach_log(&mm, row);

	(void)b;
	row->counts = true;
	row->sleeps = row->sleeps_baseline = NAN;
	hmm_mm_detach(mm);
	if (!ret)
		ret = count_sleeps(uses_with_log, &ours);
	if (ret)
		return ret;
	row->sleeps = ours.median;
	row->sleeps_baseline = 0;
	ret = count_calls(uses_with_log, &ours);
	if (ret)
		return exact_not_counted(ret, row);
	ret = count_calls(bare_probes, &bare);
	/* A userfaultfd without what the probe needs (6.1): there is nothing to compare with. */
	if (ret == -EOPNOTSUPP)
		bare.median = NAN;
	else if (ret)
		return exact_not_counted(ret, row);
	row->value = ours.median;
	row->baseline = bare.median * USES_AN_OPERATION;
	snprintf(row->note, sizeof(row->note), "of %d uses; %.0f at most", USES_AN_OPERATION,
		 ours.most);
	return 0;
}

struct valid {
	struct exact_page page;
	int uffd;
};

/* A kernel that preempts itself may skip a program: then nothing stands, and it is made again. */
static double ours(void *arg)
{
	struct valid *v = arg;

	for (int try = 0; try < TRIES; try++) {
		const double begin = bench_cpu_ns();

		if (use(&v->page, USES) == USES)
			return (bench_cpu_ns() - begin) / USES;
		if (exact_page_fault(&v->page))
			break;
	}
	return NAN;
}

static double theirs(void *arg)
{
	const struct valid *v = arg;
	const double begin = bench_cpu_ns();
	unsigned int idle = 0;

	for (int i = 0; i < USES; i++)
		idle += raw_uffd_probe(v->uffd, v->page.base) == -EINVAL;
	return idle == USES ? (bench_cpu_ns() - begin) / USES : NAN;
}

int exact_valid(struct bench *b, struct bench_row *row)
{
	struct valid v = { .uffd = -1 };
	struct hmm_mm *mm = NULL;
	int ret = exact_attach_log(&mm, row);

	if (!ret)
		v.uffd = raw_uffd();
	if (!ret && v.uffd < 0)
		ret = v.uffd;
	if (!ret)
		ret = exact_page_open(&v.page, mm, HMM_PAGE_SIZE);
	if (!ret)
		ret = bench_interleave(b, ours, theirs, &v, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note), "hmm_interval_stale(); the probe");
	exact_page_close(&v.page);
	hmm_mm_detach(mm);
	if (v.uffd >= 0)
		close(v.uffd);
	return ret;
}

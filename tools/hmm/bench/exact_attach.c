// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From nothing to the first valid use, with hmm-watchd, beside the same with a userfaultfd. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "count.h"
#include "exact.h"

/* Until hmm-watchd has the next log ready, which nobody waits for. */
#define PAUSE_US 200000

static double first_use(enum hmm_provider provider)
{
	struct exact_page page = { 0 };
	struct hmm_mm *mm = NULL;
	double begin, ms = NAN;

	usleep(PAUSE_US);
	begin = bench_now_ns();
	if (!exact_attach_by(provider, &mm) && !exact_page_open(&page, mm, HMM_PAGE_SIZE))
		ms = (bench_now_ns() - begin) / 1e6;
	exact_page_close(&page);
	hmm_mm_detach(mm);
	return ms;
}

static double by_log(void *arg)
{
	(void)arg;
	return first_use(HMM_PROVIDER_BPF);
}

static double by_uffd(void *arg)
{
	(void)arg;
	return first_use(HMM_PROVIDER_UFFD);
}

/* Of one attachment of a child that is traced; the threads' own calls are in it. */
static int attachments(struct count *c)
{
	int ret = 0;

	for (int i = 0; i < COUNT_OPS && !ret; i++) {
		struct exact_page page = { 0 };
		struct hmm_mm *mm = NULL;

		count_begin(c);
		ret = exact_attach_by(HMM_PROVIDER_BPF, &mm);
		if (!ret)
			ret = exact_page_open(&page, mm, HMM_PAGE_SIZE);
		count_end(c);
		exact_page_close(&page);
		hmm_mm_detach(mm);
	}
	count_finish(c);
	return ret;
}

/* 0; -EOPNOTSUPP, and why. */
static int needs_service(struct bench_row *row)
{
	struct hmm_mm *mm = NULL;
	int ret = exact_attach_log(&mm, row);

	hmm_mm_detach(mm);
	if (ret || exact_is_served())
		return ret;
	snprintf(row->note, sizeof(row->note),
		 "hmm-watchd does not run: this process would load the programs itself");
	return -EOPNOTSUPP;
}

int exact_attach(struct bench *b, struct bench_row *row)
{
	int ret = needs_service(row);

	if (!ret)
		ret = bench_interleave(b, by_log, by_uffd, NULL, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note),
			 "hmm_mm_attach(), a fault, valid; with a userfaultfd");
	return ret;
}

int exact_attach_calls(struct bench *b, struct bench_row *row)
{
	struct count_result result;
	int ret = needs_service(row);

	(void)b;
	if (ret)
		return ret;
	ret = count_calls(attachments, &result);
	if (ret)
		return exact_not_counted(ret, row);
	row->value = result.median;
	snprintf(row->note, sizeof(row->note),
		 "hmm_mm_attach(), a fault, and detached, by all threads; %.0f at most",
		 result.most);
	return 0;
}

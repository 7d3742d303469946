// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* munmap of 16 KiB, as the program waits for it, which is not until callbacks have run. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exact.h"

struct unmaps {
	struct hmm_mm *log;
	char *place; /* nothing else is mapped near it */
	struct plain plain;
};

/* A mirrored piece, unmapped again and again. In us. */
static double mirrored(struct hmm_mm *mm, char *place)
{
	double took[EXACT_UNMAPS];
	double begin;

	for (int i = 0; i < EXACT_UNMAPS; i++) {
		struct exact_page page = { .base = place };
		int ret = exact_page_open(&page, mm, EXACT_PIECE);

		begin = bench_now_ns();
		if (!ret)
			munmap(page.base, EXACT_PIECE);
		took[i] = (bench_now_ns() - begin) / 1000;
		/* What it was told of, it must not believe any more. */
		if (!ret && exact_page_stands(&page))
			ret = -EIO;
		page.size = HMM_PAGE_SIZE;
		hmm_interval_notifier_remove(page.ni);
		if (ret)
			return NAN;
	}
	return exact_middle(took, EXACT_UNMAPS);
}

static double by_log(void *arg)
{
	struct unmaps *u = arg;

	return mirrored(u->log, u->place);
}

static double plain(void *arg)
{
	struct unmaps *u = arg;

	return plain_munmap(&u->plain) / 1000;
}

static int find_place(struct unmaps *u)
{
	u->place = exact_place();
	return u->place ? 0 : -ENOMEM;
}

int exact_munmap(struct bench *b, struct bench_row *row)
{
	struct unmaps u = { 0 };
	int ret = plain_begin(&u.plain);

	if (!ret)
		ret = exact_attach_log(&u.log, row);
	if (!ret)
		ret = find_place(&u);
	if (!ret)
		ret = bench_interleave(b, by_log, plain, &u, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note),
			 "mirrored; plain, in a process that nobody watches");
	hmm_mm_detach(u.log);
	plain_end(&u.plain);
	return ret;
}

/* In one process a userfaultfd's munmap would be in the log as well: by turns, then. */
static double attached(struct unmaps *u, enum hmm_provider provider)
{
	struct hmm_mm *mm = NULL;
	double us = NAN;

	if (!exact_attach_by(provider, &mm))
		us = mirrored(mm, u->place);
	hmm_mm_detach(mm);
	return us;
}

static double log_alone(void *arg)
{
	return attached(arg, HMM_PROVIDER_BPF);
}

static double uffd_alone(void *arg)
{
	return attached(arg, HMM_PROVIDER_UFFD);
}

int exact_munmap_uffd(struct bench *b, struct bench_row *row)
{
	struct unmaps u = { 0 };
	int ret = exact_attach_log(&u.log, row);

	hmm_mm_detach(u.log);
	if (!ret)
		ret = find_place(&u);
	if (!ret)
		ret = bench_interleave(b, log_alone, uffd_alone, &u, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note), "mirrored; the same with userfaultfd");
	return ret;
}

/*
 * ---- a process that nobody watches ------------------------------------------------------------
 */

/* Until the library's threads sleep. */
#define SETTLE_US 300000

struct bystander {
	struct plain plain;
	struct bench_row *row;
};

static double while_watched(void *arg)
{
	struct bystander *s = arg;
	struct hmm_mm *mm = NULL;
	double us = NAN;

	if (!exact_attach_log(&mm, s->row)) {
		usleep(SETTLE_US);
		us = plain_munmap(&s->plain) / 1000;
	}
	hmm_mm_detach(mm);
	return us;
}

static double unwatched(void *arg)
{
	struct bystander *s = arg;

	return plain_munmap(&s->plain) / 1000;
}

int exact_bystander(struct bench *b, struct bench_row *row)
{
	struct bystander s = { .row = row };
	struct hmm_mm *mm = NULL;
	int ret = 0;

	if (exact_is_served()) {
		snprintf(row->note, sizeof(row->note),
			 "hmm-watchd's programs are always there: stop it, and do this as root");
		return -EOPNOTSUPP;
	}
	ret = plain_begin(&s.plain);
	if (!ret)
		ret = exact_attach_log(&mm, row);
	hmm_mm_detach(mm);
	if (!ret)
		ret = bench_interleave(b, while_watched, unwatched, &s, row);
	if (!ret)
		snprintf(row->note, sizeof(row->note), "another process is watched; no programs");
	plain_end(&s.plain);
	return ret;
}

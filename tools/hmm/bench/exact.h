/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Figures of the log of the kernel's changes (HMM_PROVIDER_BPF). Where no log can be had a figure
 * is not measured, and its row says why.
 */
#ifndef TOOLS_HMM_BENCH_EXACT_H
#define TOOLS_HMM_BENCH_EXACT_H

#include <sys/types.h>

#include "bench.h"

/*
 * Each fills value, baseline and note of its row. 0; -EOPNOTSUPP: it cannot be measured here, and
 * the note says why; -errno.
 */
int exact_valid_calls(struct bench *b, struct bench_row *row);
int exact_valid(struct bench *b, struct bench_row *row);
int exact_disturbed(struct bench *b, struct bench_row *row);
int exact_events(struct bench *b, struct bench_row *row);
int exact_munmap(struct bench *b, struct bench_row *row);
int exact_munmap_uffd(struct bench *b, struct bench_row *row);
int exact_bystander(struct bench *b, struct bench_row *row);
int exact_attach(struct bench *b, struct bench_row *row);
int exact_attach_calls(struct bench *b, struct bench_row *row);
int exact_full(struct bench *b, struct bench_row *row);

/* ---- what they share ------------------------------------------------------------------------- */

int exact_attach_by(enum hmm_provider provider, struct hmm_mm **mm);
/* The same for a log. -EOPNOTSUPP: there is none; the note has the library's words for it. */
int exact_attach_log(struct hmm_mm **mm, struct bench_row *row);
/* What count_calls() returned: no figure, or an error. The note says which. */
int exact_not_counted(int error, struct bench_row *row);
/* Does hmm-watchd serve this process? */
bool exact_is_served(void);

/* A page of memory, mirrored. */
struct exact_page {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	char *base;
	size_t size; /* at most 64 KiB */
	uint64_t seq;
};

/* Mirrors what is mapped there. Faults until it stands. */
int exact_page_mirror(struct exact_page *page, struct hmm_mm *mm);
/* The same; maps it first, where base says, or anywhere. */
int exact_page_open(struct exact_page *page, struct hmm_mm *mm, size_t size);
int exact_page_fault(struct exact_page *page);
bool exact_page_stands(const struct exact_page *page);
void exact_page_close(struct exact_page *page);

/* ---- another process, which nobody watches --------------------------------------------------- */

struct plain {
	pid_t pid;
	int to;
	int from;
};

/* Begin it before anything is attached. */
int plain_begin(struct plain *plain);
/* Addresses that nothing is mapped near, so that what is mapped there is a mapping of its own. */
char *exact_place(void);
/*
 * The mean of the middle half: some clocks go in steps that are large beside what is compared.
 */
double exact_middle(double *values, size_t n);
/* The time of an munmap of 16 KiB there, in ns; NAN: it does not answer. */
double plain_munmap(struct plain *plain);
void plain_end(struct plain *plain);

#define EXACT_PIECE (16UL << 10)
#define EXACT_UNMAPS 1000 /* in one measurement */

#endif

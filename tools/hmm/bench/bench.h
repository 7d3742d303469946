/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Figures: each measured in turn with its own baseline in the same run, medians of both. */
#ifndef TOOLS_HMM_BENCH_BENCH_H
#define TOOLS_HMM_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <hmm/hmm.h>

#include "machine.h"

struct bench {
	unsigned int rounds;
	struct bench_row *rows;
	size_t n;
	bool failed; /* out of memory for rows */
	/* What was asked for, none: everything. */
	int n_names;
	char **names;
};

enum bench_sense {
	BENCH_LOWER,  /* times: the ratio must be at most the target */
	BENCH_HIGHER, /* throughput: at least */
};

struct bench_row {
	char name[56];
	const char *unit;
	double value;
	double baseline;
	double target;
	enum bench_sense sense;
	double slack;  /* in the unit: a difference so small is fine whatever the ratio; 0 none */
	bool absolute; /* the target is one for the value, in its unit, and not for the ratio */
	/* Of counts: also how often threads went to sleep, each time. */
	bool counts;
	double sleeps;
	double sleeps_baseline;
	double sleeps_target;
	unsigned int cpus;      /* how many the figure needs; 0: one does */
	struct machine machine; /* while its group was measured */
	char note[192];
};

enum bench_verdict {
	BENCH_YES, /* the target is reached */
	BENCH_NO,
	BENCH_BUSY,    /* not reached, while the machine did other things as well */
	BENCH_SMALL,   /* not reached, with fewer CPUs than the figure is about */
	BENCH_UNKNOWN, /* it could not be measured here */
};

/* show.c */
double bench_ratio(const struct bench_row *row);
enum bench_verdict bench_judge(const struct bench_row *row);
/* One array of records. Returns the exit status. */
int bench_print_json(const struct bench *b);
/* Rows from that one on, as tables in Markdown. */
void bench_print_rows(const struct bench *b, size_t first);

/*
 * Makes system calls of the process dearer, by so many instructions of a filter each, for good.
 * -errno.
 */
int bench_dear_calls(unsigned int instructions);

/*
 * Is the figure asked for, by its name, by the beginning of its name, or with its whole group? For
 * groups whose figures can be measured alone.
 */
bool bench_wants(const struct bench *b, const char *figure);

/* Keeps a copy. */
void bench_add(struct bench *b, const struct bench_row *row);

/* The row cannot be measured: this host gives no transparent huge pages. */
void bench_add_without_huge(struct bench *b, struct bench_row *row);

/* Measures one side once; NAN says that it could not. */
typedef double (*bench_side)(void *arg);

/* Both sides in turn, the order swapped each round; medians into the row. 0; -EIO a side gave NAN.
 */
int bench_interleave(const struct bench *b, bench_side ours, bench_side theirs, void *arg,
		     struct bench_row *row);

double bench_percentile(double *values, size_t n, double percent);
double bench_now_ns(void);
/*
 * Of the calling thread's CPU: what others do meanwhile is not in it. For work that neither waits
 * nor is short.
 */
double bench_cpu_ns(void);

/*
 * A figure or a few that share their set-up: adds rows. 0 or -errno, -EOPNOTSUPP where this host
 * lacks a feature.
 */
struct bench_group {
	const char *name; /* every row's name begins with it */
	uint64_t memory;  /* bytes that it needs */
	int (*run)(struct bench *b);
};

int bench_snapshot(struct bench *b);
int bench_fault_in(struct bench *b);
int bench_munmap(struct bench *b);
int bench_valid(struct bench *b);
int bench_lookup(struct bench *b);
int bench_guarded(struct bench *b);
int bench_device_fault(struct bench *b);
int bench_checksum(struct bench *b);
int bench_disturbed(struct bench *b);
int bench_calls(struct bench *b);
int bench_regcache(struct bench *b);
int bench_peers(struct bench *b);
int bench_migrate(struct bench *b);
int bench_exact(struct bench *b);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What an operation costs on any machine: system calls, and how often a thread goes to sleep over
 * it, which is how often one has to be woken. Each is counted in a child of its own, over some
 * operations, and the median is taken: threads that do something of their own now and then, as the
 * watchdog does, show in none.
 *
 *	system calls	the child is traced (PTRACE_SYSCALL): the kernel stops each of its threads
 *			at each call, so that none is missed. Needs no privilege; some containers
 *			forbid it
 *	sleeps		what the kernel counts as voluntary switches of each thread. Not traced, as
 *			each stop is one
 *
 * Of the thread that operates what happens between the two marks counts; of all others also what
 * happens until the next operation begins, so that what is still to be done by them is counted.
 */
#ifndef TOOLS_HMM_BENCH_COUNT_H
#define TOOLS_HMM_BENCH_COUNT_H

#include <stdbool.h>

#define COUNT_OPS 60

struct count;

/*
 * By the thread that operates, around each of the COUNT_OPS operations; count_finish() after the
 * last one.
 */
void count_begin(struct count *c);
void count_end(struct count *c);
void count_finish(struct count *c);

struct count_result {
	double median;
	double most;
};

/*
 * Runs it in a child. 0; -EPERM tracing is not permitted here; -ENODATA the operations were not all
 * marked; -errno of run(), or of what is needed.
 */
int count_calls(int (*run)(struct count *c), struct count_result *result);
int count_sleeps(int (*run)(struct count *c), struct count_result *result);

#endif

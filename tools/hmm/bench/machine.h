/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The machine while a figure is measured: how much of it was there for us. */
#ifndef TOOLS_HMM_BENCH_MACHINE_H
#define TOOLS_HMM_BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine {
	double cpus; /* that this process may use: affinity, and the quota of its control group */
	double online;
	double others;          /* CPUs that others used meanwhile, on average */
	double stolen;          /* CPUs that the hypervisor gave to other guests */
	double load;            /* the load average of the last minute */
	unsigned long runnable; /* threads of the machine that ran or waited for a CPU at the end */
};

/* What the kernel has counted so far. */
struct machine_clock {
	double wall; /* s */
	double busy; /* CPU s of all CPUs, stolen ones not included */
	double stolen;
	double own;
};

void machine_begin(struct machine_clock *began);
/* Since then. What cannot be read is 0. */
void machine_end(const struct machine_clock *began, struct machine *m);
/* Too much happens beside us for a time to mean anything. */
bool machine_is_busy(const struct machine *m);
/* The same in words. */
void machine_describe(const struct machine *m, char *text, size_t size);

/* Memory that can be had without swapping, in bytes; UINT64_MAX if that cannot be read. */
uint64_t machine_memory(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TOOLS_HMM_RUN_REPORT_H
#define TOOLS_HMM_RUN_REPORT_H

#include "../map/places.h"
#include "job.h"

struct report {
	const struct job *job;
	const struct run_options *options;
	unsigned int engines;
	uint64_t bytes;
	double seconds;     /* on the device */
	double cpu_seconds; /* 0: not run */
	unsigned int cpu_threads;
	uint64_t cpu_faults; /* page faults of the CPU's side */
	bool verified;       /* nothing differed */
	struct hmm_device_stats stats;
	struct hmm_svm_stats mirror;
	struct hmm_devmem_stats region; /* with --migrate */
	struct places places;           /* with --map: when the jobs had ended */
	struct json_object *fields;     /* of a single file, or summed where that makes sense */
	struct json_object *files;
};

/* Prints a line on one file (not with --json) and keeps it for the JSON. */
void report_file(struct report *report, const struct work *work, double seconds, double cpu_seconds,
		 int same);
/* The closing table, or the JSON object. Returns an exit status; frees. */
int report_print(struct report *report);

#endif

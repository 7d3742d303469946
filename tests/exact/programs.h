/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* programs: what the kernel counts of the tracing programs that are loaded on this host. */
#ifndef TESTS_EXACT_PROGRAMS_H
#define TESTS_EXACT_PROGRAMS_H

#include <stdint.h>

struct programs {
	unsigned int loaded;
	uint64_t missed; /* runs that were skipped, as the CPU was inside the same program */
};

/* 0; -EPERM: only root may ask; -errno. */
int programs_count(struct programs *p);

#endif

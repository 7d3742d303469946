/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What tests of forks share: a fault that may meet a fork, and the descriptors that are open. */
#ifndef TESTS_FORK_H
#define TESTS_FORK_H

#include <fcntl.h>
#include <unistd.h>

#include "common/child.h"
#include "common/space.h"

#include <hmm/range.h>

#define RW (PROT_READ | PROT_WRITE)

static inline int fault(struct space *s, size_t page, uint64_t *seq)
{
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r),
			       .notifier = s->ni,
			       .start = addr(s, page),
			       .end = addr(s, page + 1),
			       .hmm_pfns = &pfn,
			       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	int err = hmm_range_fault(&r, 30000000000ULL);

	*seq = r.notifier_seq;
	return err;
}

/* How many descriptors are open, but for the one that counts. */
static inline int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

#endif

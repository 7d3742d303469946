/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What tests of forks share. */
#ifndef TESTS_FORK_H
#define TESTS_FORK_H

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/space.h"

#include <hmm/range.h>

#define RW (PROT_READ | PROT_WRITE)

static inline pid_t raw_clone(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0);
}

static inline int status_of(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline int fault(struct space *s, size_t page, uint64_t *seq)
{
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r),
			       .notifier = s->ni,
			       .start = addr(s, page),
			       .end = addr(s, page + 1),
			       .hmm_pfns = &pfn,
			       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	int err = hmm_range_fault(&r, 10000000000ULL);

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

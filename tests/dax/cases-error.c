// SPDX-License-Identifier: GPL-2.0
/*
 * cases: the media fails. Last on each filesystem: the page stays marked until the machine starts
 * anew.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

static sigjmp_buf poisoned;

static void on_poison(int sig, siginfo_t *info, void *context)
{
	siglongjmp(poisoned,
		   1 + (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO));
}

/* 0 or -errno; the process is told by SIGBUS, as by a load from the bad page. */
static int poison(char *page)
{
	struct sigaction action = { .sa_sigaction = on_poison,
				    .sa_flags = SA_SIGINFO | SA_NODEFER },
			 old;
	int ret;

	sigaction(SIGBUS, &action, &old);
	ret = sigsetjmp(poisoned, 1);
	if (!ret)
		ret = madvise(page, 4096, MADV_HWPOISON) ? -errno : 0;
	else
		ret = ret == 2 ? 0 : -EIO;
	sigaction(SIGBUS, &old, NULL);
	return ret;
}

static void case_media_error(struct run *r)
{
	size_t n = 2 * r->unit / r->page, block = 1u << r->order, later = n - block;
	char buf[4096];
	int ret;

	if (geteuid())
		run_skip(r, "marking memory as bad needs root");
	mirror_written(r, 2 * r->unit);
	ret = poison(r->map);
	if (ret == -EINVAL || ret == -EPERM)
		run_skip(r, "this kernel marks no memory as bad: %s", strerror(-ret));
	CHECK(r, !ret, "MADV_HWPOISON: %s", strerror(-ret));
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR, 0, block);
	/*
	 * No loop: the next job ends, whichever way. Kernels that have it recovered map the page
	 * again.
	 */
	ret = r->ops->access(r->t, (uintptr_t)r->map, buf, sizeof(buf), false, NULL);
	CHECK(r, !ret || ret == -EFAULT || ret == -EHWPOISON || ret == -EIO,
	      "a job on a bad page: %s", strerror(-ret));
	expect_read(r, later, block, 2);
	expect_write(r, later, block, 3);
	expect_file(r, later, block, 3);
}

static const struct dax_case cases[] = {
	{ "media_error", ON_DAX | BY_ORDER | AS_ROOT,
	  "a bad page leaves every mirror at once, and a job that meets it ends",
	  "none; the rest unchanged", "CLEAR of the bad page's block", case_media_error },
};

CASE_LIST(cases_error, cases);

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* soft: svm.h with the soft device; memory with a pattern, and memory that vanishes. */
#ifndef TESTS_SOFT_H
#define TESTS_SOFT_H

#include <sched.h>
#include <sys/syscall.h>
#include "common/svm.h"

static inline int open_soft(void **state)
{
	struct mirror *m = calloc(1, sizeof(*m));

	mirror_open(m, "soft", 2, NULL);
	*state = m;
	return 0;
}

static inline int close_mirror(void **state)
{
	mirror_close(*state);
	free(*state);
	return 0;
}

static inline void reopen(struct mirror *m, const char *spec, unsigned int engines,
			  const struct hmm_svm_options *options)
{
	mirror_close(m);
	mirror_open(m, spec, engines, options);
}

static inline char *pattern(size_t bytes)
{
	char *p = map_aligned(bytes, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < bytes; i++)
		p[i] = (char)(i * 31 + i / PAGE);
	return p;
}

struct vanish {
	char *p;
	size_t at;
	char value;
	_Atomic int phase; /* 1: taken away, 2: given back */
	_Atomic int runs;
};

/*
 * Takes the page's permission away by itself, unseen by anybody, between the translation and the
 * load.
 */
static inline int kernel_vanish(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct vanish *v = arg;
	void *p;
	char c;
	int ret = hmm_access(ctx, at(v->p), K64, PROT_READ, &p);

	if (ret)
		return ret;
	v->runs++;
	if (!v->phase) {
		syscall(SYS_mprotect, v->p + v->at, PAGE, PROT_NONE);
		v->phase = 1;
	}
	c = ((volatile char *)p)[v->at];
	ret = hmm_settle(ctx);
	if (!ret)
		v->value = c;
	return ret;
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_soft, close_mirror)

#endif

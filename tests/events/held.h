/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * held: a translation of one page, as a driver has it: a notifier whose callback takes it away, a
 * sequence to validate it by, and (where wanted) hold of the page itself, so that staleness is
 * wrong data.
 */
#ifndef TESTS_EVENTS_HELD_H
#define TESTS_EVENTS_HELD_H

#include <stdatomic.h>
#include <hmm/hmm.h>
#include "hold.h"

struct held {
	struct hmm_mm *mm;
	struct hold_device *dev;
	struct hold_range *range; /* one page */
	bool transient;
};

/* The space of a test; flags are HMM_MM_NO_*. */
struct hmm_mm *held_attach(unsigned int flags);
/* NULL, and the reason in *ret: this provider cannot be had. */
struct hmm_mm *held_attach_by(enum hmm_provider provider, unsigned int flags, int *ret);
int held_make(struct held *h, struct hmm_mm *mm, uint64_t addr, enum hold_method method);
/* The same for reading only. */
int held_make_read(struct held *h, struct hmm_mm *mm, uint64_t addr, enum hold_method method);
void held_drop(struct held *h);
/* Would a section that begins now still find it? */
bool held_installed(const struct held *h);
/* Validated use: by the sequence alone; with every check. */
bool held_valid(const struct held *h);
bool held_valid_checked(const struct held *h);
/* The first byte of the page that is held, whatever is mapped now; -errno. */
int held_byte(const struct held *h);

#endif

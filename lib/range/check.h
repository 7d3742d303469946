/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Checks and watches for callers inside the library, whose structures are known to be right. */
#ifndef LIB_RANGE_CHECK_H
#define LIB_RANGE_CHECK_H

#include "space/space.h"

#include <hmm/range.h>

/* hmm_range_check(). */
int range_check(const struct hmm_range *range, unsigned int checks);
/* hmm_range_check_timeout(). */
int range_check_until(const struct hmm_range *range, unsigned int checks, uint64_t deadline);
/* hmm_range_watch(). */
int range_watch(struct hmm_range *range, uint64_t timeout_ns);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What does the log of this host tell of? */
#ifndef LIB_MM_SELFTEST_H
#define LIB_MM_SELFTEST_H

#include "space/space.h"

/*
 * Does each operation to memory of the library's own and looks whether the log tells of it. Fills
 * in mm->exact and mm->tried. Called before the pump runs; takes some milliseconds. 0; -EOPNOTSUPP:
 * the log does not tell of something that no use could look for.
 */
int selftest(struct hmm_mm *mm);
/* For a log that a test writes: it tells of everything. */
void selftest_assume(struct hmm_mm *mm);

#endif

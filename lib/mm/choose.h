/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Which provider a space gets, and where its log comes from. */
#ifndef LIB_MM_CHOOSE_H
#define LIB_MM_CHOOSE_H

#include "space/space.h"

/*
 * Opens the provider that the options or the environment ask for, and the log. 0; -EOPNOTSUPP:
 * there is no log, and one was asked for; other errors of provider_uffd_open().
 */
int provider_choose(struct hmm_mm *mm);
/* Closes what provider_choose() has opened. */
void provider_close(struct hmm_mm *mm);
enum hmm_provider provider_chosen(const struct hmm_mm *mm);

#endif

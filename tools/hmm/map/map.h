/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Pictures of an address space. */
#ifndef TOOLS_HMM_MAP_MAP_H
#define TOOLS_HMM_MAP_MAP_H

#include <hmm/hmm.h>

/* This process, and what svm's device holds of it. Complains. 0 or an exit status. */
int map_draw_svg(struct hmm_mm *mm, struct hmm_svm *svm, const char *path);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TOOLS_HMM_INFO_H
#define TOOLS_HMM_INFO_H

#include <hmm/coherence.h>
#include <hmm/mm.h>

#include "host.h"

struct info {
	struct host host;
	int attach_error; /* -errno; then the rest is unset */
	struct hmm_mm_info mm;
	int devmem_error; /* -errno: pages cannot be moved to device memory */
	int sealed_error; /* -errno: there is no memfd_secret() */
	struct hmm_coherence_cell cells[HMM_OP_NR][HMM_VMA_KIND_NR];
};

/* The i-th known userfaultfd feature; NULL past the last. */
const char *info_feature(unsigned int i, uint64_t *bit);

/* How to get a provider that shows more, in a sentence; NULL: there is none. */
const char *info_better(const struct hmm_mm_info *mm);

/* Why pages cannot be moved to device memory; NULL: they can. */
const char *info_no_devmem(const struct info *info);

int info_print_json(const struct info *info);

#endif

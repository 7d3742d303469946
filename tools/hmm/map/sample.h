/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A mapping of each kind, half of it mirrored onto a device: what the picture of this program
 * shows. */
#ifndef TOOLS_HMM_MAP_SAMPLE_H
#define TOOLS_HMM_MAP_SAMPLE_H

#include <stddef.h>

#include "../run/session.h"

#define SAMPLES 4
#define SAMPLE_BYTES (32UL << 20) /* room for all of it */

struct sample {
	void *base[SAMPLES]; /* anonymous 4K, THP, memfd, this program's file */
	size_t size[SAMPLES];
};

int sample_make(struct sample *sample, struct session *session);
void sample_free(struct sample *sample);

#endif

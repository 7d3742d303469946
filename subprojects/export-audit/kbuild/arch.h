/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ARCH_H
#define ARCH_H

/* Architectures of a tree, as bits. */

#include <stdint.h>

#define ARCHES 63

struct arches {
	char *names[ARCHES];
	uint32_t n;
};

/* The bit of the architecture that the path is below; all bits if it is below none. */
uint64_t arches_of(struct arches *a, const char *path);
void arches_fini(struct arches *a);

#endif

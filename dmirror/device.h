/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A device: its memory, which all mirrors of the process share. It is made when the device is
 * opened. The device's address is its owner, by which the library tells devices apart.
 */
#ifndef DMIRROR_DEVICE_H
#define DMIRROR_DEVICE_H

#include <hmm/hmm.h>

#include <pthread.h>
#include <stdbool.h>

#define DEVICES 4
/* The first whose memory the CPU reaches, too. */
#define COHERENT_FROM 2

/* All zeros is a device without memory. */
struct device {
	pthread_mutex_t lock;
	struct hmm_devmem *memory;
	bool coherent;
};

/*
 * Makes the memory, so that none of it lies in a hole that the program makes later. Where that
 * cannot be, a migration says why.
 */
void device_open(struct device *d, struct hmm_mm *mm);
/* Moves pages into the device's memory. */
int device_take(struct device *d, struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Brings home every page and gives the memory up. */
int device_release(struct device *d);

#endif

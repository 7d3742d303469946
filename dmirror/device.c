// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "device.h"

#include <errno.h>

/* Address space: pages that are free take no memory. */
#define MEMORY_BYTES (4ULL << 30)
#define TAKE_NS 1000000000ULL
#define RELEASE_NS 10000000000ULL

static int ensure_memory(struct device *d, struct hmm_mm *mm)
{
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .flags = d->coherent ? HMM_DEVMEM_COHERENT
									 : HMM_DEVMEM_READONLY,
						    .bytes = MEMORY_BYTES,
						    .owner = d };

	return d->memory ? 0 : hmm_devmem_create(mm, &options, &d->memory);
}

void device_open(struct device *d, struct hmm_mm *mm)
{
	pthread_mutex_lock(&d->lock);
	ensure_memory(d, mm);
	pthread_mutex_unlock(&d->lock);
}

int device_take(struct device *d, struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	int err;

	pthread_mutex_lock(&d->lock);
	err = ensure_memory(d, mm);
	if (!err)
		err = hmm_migrate_to_device(d->memory, start, end, TAKE_NS, NULL);
	pthread_mutex_unlock(&d->lock);
	return err;
}

int device_release(struct device *d)
{
	int err;

	pthread_mutex_lock(&d->lock);
	err = hmm_devmem_destroy(d->memory, RELEASE_NS);
	if (!err)
		d->memory = NULL;
	pthread_mutex_unlock(&d->lock);
	return err;
}

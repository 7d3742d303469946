/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Devices and the registry inside the library. */
#ifndef LIB_DEVICE_DEVICE_H
#define LIB_DEVICE_DEVICE_H

#include <pthread.h>
#include <hmm/device.h>

struct runner;

struct hmm_device {
	struct hmm_device_ops ops; /* all are filled in, none is NULL */
	struct hmm_mm *mm;         /* may be detached before the device is destroyed */
	uint64_t epoch;            /* epoch of the process that made it */
	void *priv;
	struct runner *runner;    /* of its engines, if they are software; its driver's to free */
	struct hmm_device *inner; /* owned */
	struct hmm_device *outer;
	struct hmm_svm *_Atomic svm; /* set on the outermost device only */
	_Atomic uint64_t retries;    /* how many commits its svm has repeated */
	pthread_mutex_t serial;      /* HMM_THREADS_SERIAL: held around ops */
};

/* The device that the svm layer talks to. */
struct hmm_device *device_outermost(struct hmm_device *dev);

/*
 * Held during ops that HMM_THREADS_SERIAL does not allow at the same time; taken before a commit
 * section.
 */
void device_lock(struct hmm_device *dev);
int device_lock_until(struct hmm_device *dev, uint64_t deadline); /* 0, or -ETIME */
void device_unlock(struct hmm_device *dev);

/* All drivers, with NULL at the end. The build makes it from the folders in devices/. */
extern const struct hmm_device_driver *const device_drivers[];

#endif

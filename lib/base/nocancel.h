/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Cancellation is held off in a function that takes locks: pthread_cancel() acts once it has returned. */
#ifndef LIB_BASE_NOCANCEL_H
#define LIB_BASE_NOCANCEL_H

#include <pthread.h>

static inline void nocancel_end(const int *old)
{
	pthread_setcancelstate(*old, NULL);
}

static inline int nocancel_begin(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

/* The same in a function that may wait long: one that is to be cancelled ends here, where nothing is done yet. */
#define HMM_CANCEL_POINT                                                                           \
	pthread_testcancel();                                                                      \
	HMM_NO_CANCEL

/* The first declaration of a function's body. */
#define HMM_NO_CANCEL                                                                              \
	const int nocancel __attribute__((cleanup(nocancel_end), unused)) = nocancel_begin()

#endif

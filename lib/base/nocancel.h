/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Cancellation is held off in functions that take locks: pthread_cancel() acts when such a function
 * has returned.
 */
#ifndef LIB_BASE_NOCANCEL_H
#define LIB_BASE_NOCANCEL_H

#include "base/stack.h"

#include <pthread.h>

/*
 * In how many nested calls that take locks this thread is. A signal handler that calls the library
 * looks at it, as the handler may have interrupted such a call.
 */
extern _Thread_local unsigned int inside_library
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline void nocancel_end(const int *old)
{
	inside_library--;
	pthread_setcancelstate(*old, NULL);
}

static inline int inside_begin(void)
{
	if (__builtin_expect(atomic_load_explicit(&stack_may_be_trapped, memory_order_relaxed),
			     0) &&
	    !inside_library)
		stack_touch();
	return (int)++inside_library;
}

static inline int nocancel_begin(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	inside_begin();
	return old;
}

/*
 * The same for a function that may wait long: a thread that was cancelled before ends here, where
 * nothing is done yet.
 */
#define HMM_CANCEL_POINT                                                                           \
	pthread_testcancel();                                                                      \
	HMM_NO_CANCEL

/* Stands first in the body of a function. */
#define HMM_NO_CANCEL                                                                              \
	const int nocancel __attribute__((cleanup(nocancel_end), unused)) = nocancel_begin()

/* HMM_INSIDE is for a function that takes a lock and has no point of cancellation. */
static inline void inside_end(const int *unused_value)
{
	(void)unused_value;
	inside_library--;
}

#define HMM_INSIDE const int inside __attribute__((cleanup(inside_end), unused)) = inside_begin()

#endif

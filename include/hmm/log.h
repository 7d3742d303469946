/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * log: what the library says of its own accord. That is little: errors are return values. It says
 * that the program took its descriptors away, and, with LIBHMM_DEBUG in the environment, that a
 * call breaks a rule (hmm-debug(7)).
 */
#ifndef HMM_LOG_H
#define HMM_LOG_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum hmm_log_level - what a message is about
 * @HMM_LOG_ERROR: the library cannot do what it promised
 * @HMM_LOG_MISUSE: a call breaks a rule; only with LIBHMM_DEBUG
 * Since: 0.1.
 */
enum hmm_log_level {
	HMM_LOG_ERROR,
	HMM_LOG_MISUSE,
};

/**
 * hmm_log_set() - have the library's messages handed to a function
 * @fn: called with one line of text without a newline, which is gone when it returns; NULL: back to
 *	the default, which writes the line to standard error with "libhmm: " before it
 * @arg: handed to @fn
 *
 * There is one function for the whole process. When the call returns, the function that was set
 * before runs no more, and will not. The default writes nothing if standard error is no longer the
 * file that it was when the first space was attached.
 *
 * Any thread may call the function, several at once, the pump among them: with locks of the library
 * held and inside sections and callbacks. It is as restricted as a signal handler: no malloc,
 * stdio, dlopen, no lock that the program may hold across free(), no touch of mirrored memory, no
 * call of this library. It must return soon. write(2), raise(3), abort(3) and atomic variables are
 * legal. What the library would say on the same thread meanwhile is lost.
 *
 * Context: any thread outside sections and callbacks; waits for @fn to return. Legal before
 * hmm_mm_attach().
 * Return: 0; -EDEADLK called by the function itself.
 * Since: 0.1.
 */
int hmm_log_set(void (*fn)(enum hmm_log_level level, const char *message, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Points of the protocol that tests hold open. In builds with -Dmutations=true a test can have a
 * function called at each point. In builds with -Drandom-delay=true each point waits at random. In
 * other builds nothing is left of them.
 */
#ifndef LIB_BASE_HOOKS_H
#define LIB_BASE_HOOKS_H

enum hmm_point {
	HMM_POINT_POLLED,      /* pump: poll has reported an event, nothing is done yet */
	HMM_POINT_ODD,         /* pump: pump_seq is odd */
	HMM_POINT_QUIESCED,    /* pump: the gate is closed, and no engine is in its section */
	HMM_POINT_READ,        /* pump: the event is read, so the call that raised it goes on */
	HMM_POINT_INVALIDATED, /* pump: callbacks have run */
	HMM_POINT_RESUMED,     /* pump: the gate is open, the cycle is over */
	HMM_POINT_KILLED,      /* fault: translations are invalidated, nothing is registered yet */
	HMM_POINT_REGISTERED,  /* fault: the range is registered, no snapshot is taken yet */
	HMM_POINT_SNAPSHOT,    /* fault: the snapshot is taken, nothing is committed yet */
	HMM_POINT_PROBED,      /* validated use: the probe has answered */
	/*
	 * fault or check: mappings of a changed file are out of the table, nothing is invalidated
	 * yet
	 */
	HMM_POINT_UNDELIVERED,
	HMM_POINT_COUNTED, /* drain, broken by early-read: records count as handled too early */
	HMM_POINT_IDLE,    /* a thread of the library's is about to look whether it is to end */
	HMM_POINT_NR,
};

#ifdef HMM_MUTATIONS
extern void (*hmm_hook_fn)(enum hmm_point window, void *arg);
extern void *hmm_hook_arg;
static inline void hmm_hook(enum hmm_point window)
{
	if (__builtin_expect(hmm_hook_fn != 0, 0))
		hmm_hook_fn(window, hmm_hook_arg);
}
#elif defined(HMM_RANDOM_DELAY)
void hmm_hook(enum hmm_point window);
#else
#define hmm_hook(window) ((void)0)
#endif

#endif

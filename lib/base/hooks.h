/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Windows of the protocol that tests widen: in builds with -Dmutations=true a function can be
 * called in each; in builds with -Drandom-delay=true each waits at random. Elsewhere nothing is
 * left of them.
 */
#ifndef LIB_BASE_HOOKS_H
#define LIB_BASE_HOOKS_H

enum hmm_point {
	HMM_POINT_POLLED,      /* an event is queued, the pump knows, nothing is done yet */
	HMM_POINT_ODD,         /* the pump shows that it is busy */
	HMM_POINT_QUIESCED,    /* the gate is closed and empty */
	HMM_POINT_READ,        /* the event is read: its caller runs again */
	HMM_POINT_INVALIDATED, /* callbacks have run */
	HMM_POINT_RESUMED,     /* the gate is open, the pump still odd */
	HMM_POINT_KILLED,      /* fault: translations killed, not registered yet */
	HMM_POINT_REGISTERED,  /* fault: registered, no snapshot yet */
	HMM_POINT_SNAPSHOT,    /* fault: snapshot taken, not committed */
	HMM_POINT_PROBED,      /* validated use: probe answered */
	/* Fault or check: a changed file is seen, its mappings are taken, nobody is told. */
	HMM_POINT_UNDELIVERED,
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

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Guarded loads and stores: if memory of the program vanishes while an engine accesses it directly
 * that is a device fault, not a crash.
 *
 *	struct guard g;
 *	if (_setjmp(g.landing)) { ... g.hit is the address ... }
 *	guard_arm(&g, ptr, len);	only faults inside [ptr, ptr + len) land
 *	... load, store ...
 *	guard_disarm();
 *
 * A process has one handler of SIGSEGV and one of SIGBUS. Ours acts only on a thread with an armed
 * guard, for an address inside it. All other signals go to the handler that was installed before.
 */
#ifndef DEVICES_ENGINES_GUARD_H
#define DEVICES_ENGINES_GUARD_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct guard {
	jmp_buf landing;
	volatile uintptr_t start; /* volatile: read after the jump */
	volatile uintptr_t end;
	volatile uintptr_t hit;
};

extern _Thread_local struct guard *volatile guard_current
	__attribute__((tls_model("initial-exec")));
extern _Thread_local int guard_patience __attribute__((tls_model("initial-exec")));

/*
 * Puts our handlers in front of the program's. Called before each job, as the program may have
 * installed handlers since. 0 or -errno.
 */
int guard_install(void);

/*
 * The same for an engine: takes locks and blocks signals only if the handlers have changed. Until
 * then a handler that the program has installed while a job runs gets the device's faults, unless
 * it was installed by hmm_device_sigaction().
 */
void guard_look(void);

/* An engine has waited, or begins a job: lets it look before its next access. */
static inline void guard_waited(void)
{
	guard_patience = 0;
}

/*
 * How many bytes of accesses a fault counts for that the engine serves itself: after eight faults,
 * 100 us or more, it looks.
 */
#define GUARD_SERVED (512UL << 10)

/*
 * Counts an access of len bytes. An access through a pointer may take longer than its bytes tell.
 */
static inline void guard_spend(size_t len)
{
	guard_patience -= 1 + (int)(len >> 10);
	if (__builtin_expect(guard_patience < 0, 0))
		guard_look();
}

static inline void guard_arm(struct guard *g, const void *ptr, size_t len)
{
	guard_spend(len);
	g->start = (uintptr_t)ptr;
	g->end = (uintptr_t)ptr + len;
	guard_current = g;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void guard_disarm(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	guard_current = NULL;
}

#endif

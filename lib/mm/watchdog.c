/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The watchdog (rule 10): a program's munmap must not hang because a driver's callback does. When the
 * pump has been in one cycle for 50 ms, the watchdog reads in its place. pump_seq is odd and the gate is
 * closed and empty all the while, so no translation is used or found valid; what was read waits for the pump.
 * A pump that is slow to come as far as that is not replaced: engines are still at work.
 */
#include "mm/core.h"
#include "base/child.h"

#include <poll.h>
#include <sys/syscall.h>

#define TICK_MS 50

static void take_over(struct hmm_mm *mm, uint64_t seq)
{
	int n = 0;

	if (pthread_mutex_trylock(&mm->read_lock))
		return; /* the pump is reading: not stuck */
	if (mm->quiesced && atomic_load(&mm->pump_seq) == seq && mm->n_stolen < STOLEN_MAX)
		n = mm->provider.ops->read(&mm->provider, mm->stolen + mm->n_stolen,
					   STOLEN_MAX - mm->n_stolen);
	if (n > 0) {
		mm->n_stolen += n;
		stat_add(&mm->stats.watchdog_reads, 1);
	}
	pthread_mutex_unlock(&mm->read_lock);
}

void *watchdog_main(void *arg)
{
	struct hmm_mm *mm = arg;
	struct pollfd stop = { .fd = mm->stop_fd, .events = POLLIN };
	uint64_t last = 0;

	mm->watchdog_tid = (pid_t)syscall(SYS_gettid);
	opening_never_waits();
	while (!atomic_load(&mm->stopping)) {
		uint64_t seq = atomic_load(&mm->pump_seq);
		struct pollfd event = { .fd = mm->provider.fd, .events = POLLIN };

		if (seq & 1 && seq == last && poll(&event, 1, 0) > 0 && event.revents & POLLIN)
			take_over(mm, seq);
		/* While the pump is stuck, every further caller waits a few ms, not a whole tick. */
		poll(&stop, 1, seq & 1 && seq == last ? 2 : TICK_MS);
		last = seq;
	}
	return NULL;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program may close our descriptors. With the last one of the userfaultfd the kernel would
 * forget what is trapped, and pages in device memory would read as zeros. So a thread has a table
 * of descriptors of its own, with the userfaultfd in it. It sleeps until the space is lost. Then it
 * reads events in the place of the pump, which has ended, brings everything home, and closes its
 * descriptor: from then on nobody waits for us.
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/raw.h"

#include <errno.h>
#include <hmm/types.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

#define EVENTS 32

/* What the alarm says: pages may be away; none is, so there is nothing to rescue. */
enum { ALARM_AWAY = 1, ALARM_HOME };

/* Closes all but the userfaultfd, in a table of this thread's own. */
static bool keep_only(int fd)
{
	if (raw3(SYS_close_range, fd + 1L, 0xffffffffL, CLOSE_RANGE_UNSHARE))
		return false;
	if (fd)
		raw3(SYS_close_range, 0, fd - 1L, 0);
	return true;
}

static void read_events(struct hmm_mm *mm)
{
	struct provider_event events[EVENTS];
	int n;

	while ((n = provider_uffd_read_fork(mm->provider.fd.fd, events, EVENTS)) > 0) {
		for (int i = 0; i < n; i++)
			devmem_event(mm, &events[i]);
	}
}

/* One row after the other. True: all are at home, or the process ends. */
static bool all_home(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	struct run run;
	uint64_t at = 0;
	bool waits = false;
	int err = 0;

	copy_last(s);
	while (!err && places_next(s, at, UINT64_MAX, NULL, &run)) {
		err = home_run(mm, &run, &at);
		if (err != -EINPROGRESS)
			continue;
		waits = true;
		at = run.end;
		err = 0;
	}
	return err == -ESRCH || (!err && !waits);
}

static void rescue(struct devmem_space *s)
{
	struct hmm_mm *mm = s->mm;
	bool done = false;

	for (unsigned int round = 0; !done; round++) {
		pthread_mutex_lock(&mm->region_lock);
		s->closed = true;
		s->rescued = true;
		gate_close(mm, 0);
		turn_take(mm);
		atomic_fetch_add(&mm->moving, 1);
		coherent_forget(s, 0, UINT64_MAX);
		read_events(mm);
		done = all_home(mm);
		moving_end(mm);
		turn_end(mm);
		gate_open(mm);
		pthread_mutex_unlock(&mm->region_lock);
		if (!done)
			deadline_pause(round);
	}
}

static void *rescuer_main(void *arg)
{
	struct devmem_space *s = arg;
	const int fd = s->mm->provider.fd.fd;
	const bool apart = keep_only(fd);

	atomic_store(&s->ready, 1);
	futex_wake(&s->ready);
	while (!atomic_load(&s->alarm))
		futex_wait(&s->alarm, 0, HMM_FOREVER);
	if (atomic_load(&s->alarm) == ALARM_AWAY)
		rescue(s);
	if (apart)
		raw3(SYS_close, fd, 0, 0);
	return NULL;
}

int rescue_start(struct devmem_space *s)
{
	const int err = ownthread_start(&s->rescuer, rescuer_main, s, 0);

	/* The program may close our descriptor as soon as pages can be away. */
	while (!err && !atomic_load(&s->ready))
		futex_wait(&s->ready, 0, HMM_FOREVER);
	return err;
}

void devmem_lost(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);

	if (!s)
		return;
	atomic_store(&s->alarm, ALARM_AWAY);
	futex_wake(&s->alarm);
}

void rescue_stop(struct devmem_space *s, bool home)
{
	atomic_store(&s->alarm, home ? ALARM_HOME : ALARM_AWAY);
	futex_wake(&s->alarm);
	ownthread_join(&s->rescuer);
}

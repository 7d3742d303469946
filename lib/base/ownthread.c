// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/ownthread.h"
#include "base/pool.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* With a page at its end that nobody can access. */
static int make_stack(struct ownthread *t, pthread_attr_t *attr)
{
	const size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	int err;

	pthread_attr_getstacksize(attr, &t->bytes);
	t->bytes += guard;
	t->stack = pool_map_lazily(t->bytes);
	if (!t->stack)
		return -EAGAIN;
	syscall(SYS_mprotect, t->stack, guard, PROT_NONE);
	err = -pthread_attr_setstack(attr, t->stack + guard, t->bytes - guard);
	if (err)
		pool_unmap(t->stack, t->bytes);
	return err;
}

int ownthread_start(struct ownthread *t, void *(*fn)(void *), void *arg, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;
	int err;

	pthread_attr_init(&attr);
	if (priority) {
		pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
		pthread_attr_setschedparam(&attr, &param);
	}
	err = make_stack(t, &attr);
	if (!err) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		err = -pthread_create(&t->id, &attr, fn, arg);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (err)
			pool_unmap(t->stack, t->bytes);
	}
	pthread_attr_destroy(&attr);
	return err;
}

void ownthread_join(struct ownthread *t)
{
	pthread_join(t->id, NULL);
	pool_unmap(t->stack, t->bytes);
}

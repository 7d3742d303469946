/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Fork (rule 10). Through libc it is seen by atfork handlers on any privilege: faults are held off, writable
 * translations die before the copy, and the child closes what it inherited. A raw clone is seen by the event,
 * given the privilege, and by the child itself through a page that forking wipes: it refuses every handle.
 */
#include "mm/core.h"
#include "mm/thread.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define TOKEN 0x6d6d68626c696c21ULL

static pthread_mutex_t list_lock =
	PTHREAD_MUTEX_INITIALIZER; /* guards mms; outside every other lock */
static struct hmm_mm *mms;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool is_wiped(const struct hmm_mm *mm)
{
	return *(volatile uint64_t *)mm->token != TOKEN;
}

/* In the child of a raw clone, where no handler ran: what is the parent's. Threads that are not here may hold its locks. */
static void forget_inherited(void)
{
	for (struct hmm_mm **p = &mms; *p;) {
		if (is_wiped(*p))
			*p = (*p)->next;
		else
			p = &(*p)->next;
	}
}

static void prepare(void)
{
	struct hmm_invalidation inv = { .start = 0, .end = UINT64_MAX, .event = HMM_EVENT_FORK };

	pthread_mutex_lock(&list_lock);
	forget_inherited();
	for (struct hmm_mm *mm = mms; mm; mm = mm->next) {
		pthread_rwlock_wrlock(&mm->fork_lock);
		if (!hmm_mutation(HMM_MUTATION_NO_FORK_KILL))
			mm_invalidate(mm, &inv);
	}
}

static void parent(void)
{
	for (struct hmm_mm *mm = mms; mm; mm = mm->next)
		pthread_rwlock_unlock(&mm->fork_lock);
	pthread_mutex_unlock(&list_lock);
}

/*
 * Only what is legal between fork and exec. A userfaultfd kept open here would block the parent's munmap, a file its
 * unmounting. Faults were held off; whoever closed a file just then had unlinked it first.
 */
static void child(void)
{
	for (struct hmm_mm *mm = mms; mm; mm = mm->next) {
		files_close_all(mm);
		mm->provider.spare = OWNFD_NONE; /* the pump may have been between making and naming it */
		mm->provider.ops->close(&mm->provider);
		ownfd_close(&mm->kick[0]);
		ownfd_close(&mm->kick[1]);
	}
	mms = NULL;
	thread_forked();
	pthread_mutex_unlock(&list_lock);
}

static void install(void)
{
	pthread_atfork(prepare, parent, child);
}

int mm_alive(const struct hmm_mm *mm)
{
	if (__builtin_expect(is_wiped(mm), 0))
		return -ESRCH;
	return __builtin_expect(atomic_load_explicit(&mm->dead, memory_order_relaxed), 0) ? -ESRCH
											  : 0;
}

static int watch_token(struct hmm_mm *mm)
{
	const uint64_t start = (uint64_t)(uintptr_t)mm->token;

	return mm->provider.ops->watch(&mm->provider, start,
				       start + (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Before anything ceases to read: unmapping it would wait for that. */
static void unwatch_token(struct hmm_mm *mm)
{
	const uint64_t start = (uint64_t)(uintptr_t)mm->token;

	if (mm->provider.event_fork)
		mm->provider.ops->unwatch(&mm->provider, start,
					  start + (uint64_t)sysconf(_SC_PAGESIZE));
}

int fork_attach(struct hmm_mm *mm)
{
	pthread_rwlockattr_t attr;

	pthread_once(&once, install);
	thread_forked(); /* a child of a raw clone attaches: no handler ran there */
	mm->token = hmm_pool_map(4096);
	if (!mm->token)
		return -ENOMEM;
	if (madvise(mm->token, 4096, MADV_WIPEONFORK)) {
		int err = -errno;

		hmm_pool_unmap(mm->token, 4096);
		return err == -EINVAL ? -EOPNOTSUPP : err;
	}
	*mm->token = TOKEN;
	/*
	 * The kernel tells of a fork if something is registered: always. Else one that comes between a fault's populating
	 * and the first registration would leave pages shared that were just made the fault's own.
	 */
	if (mm->provider.event_fork && watch_token(mm))
		mm->provider.event_fork = false;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&mm->fork_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_lock(&list_lock);
	mm->next = mms;
	mms = mm;
	pthread_mutex_unlock(&list_lock);
	return 0;
}

void fork_detach(struct hmm_mm *mm)
{
	unwatch_token(mm);
	pthread_mutex_lock(&list_lock);
	for (struct hmm_mm **p = &mms; *p; p = &(*p)->next) {
		if (*p == mm) {
			*p = mm->next;
			break;
		}
	}
	pthread_mutex_unlock(&list_lock);
}

void fork_for_each(void (*fn)(struct hmm_mm *mm, void *arg), void *arg)
{
	pthread_mutex_lock(&list_lock);
	for (struct hmm_mm *mm = mms; mm; mm = mm->next)
		fn(mm, arg);
	pthread_mutex_unlock(&list_lock);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "space.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hmm_mm *space;            /* written before token is */
static _Atomic uint32_t *_Atomic token; /* 1 in the process that attached, 0 in its children */

/*
 * The kernel wipes the page in a forked child, one by a raw clone(2) too. In such a child no lock
 * of ours may be taken: the thread that held it is not there.
 */
static _Atomic uint32_t *make_token(void)
{
	void *p = hmm_memory_alloc(HMM_PAGE_SIZE);

	if (!p)
		return NULL;
	if (madvise(p, HMM_PAGE_SIZE, MADV_WIPEONFORK)) {
		hmm_memory_free(p, HMM_PAGE_SIZE);
		return NULL;
	}
	return p;
}

static int attach(void)
{
	_Atomic uint32_t *t = make_token();
	int err;

	if (!t)
		return -ENOMEM;
	err = hmm_mm_attach(NULL, &space);
	if (err) {
		hmm_memory_free((void *)t, HMM_PAGE_SIZE);
		return err;
	}
	atomic_store(t, 1);
	atomic_store(&token, t);
	return 0;
}

static int attach_once(void)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!atomic_load(&token))
		err = attach();
	pthread_mutex_unlock(&lock);
	return err;
}

int libhmm_monitor_attach(void)
{
	int old;
	int err;

	if (atomic_load(&token))
		return libhmm_monitor_space() ? 0 : -ESRCH;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	err = attach_once();
	pthread_setcancelstate(old, NULL);
	return err;
}

struct hmm_mm *libhmm_monitor_space(void)
{
	_Atomic uint32_t *t = atomic_load_explicit(&token, memory_order_acquire);

	return t && atomic_load_explicit(t, memory_order_relaxed) ? space : NULL;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/epoch.h"
#include "base/child.h"
#include "base/opening.h"
#include "base/pool.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define KCMP_FILES 2

/* the page's content while a thread of a child begins its epoch; the first epoch is 2 */
#define BEGINNING 1

static _Atomic uint64_t no_page;
_Atomic uint64_t *_Atomic epoch_page = &no_page;
/* a child inherits it, so its epochs have numbers that its parent did not have before */
static _Atomic uint64_t last = BEGINNING;
static _Atomic pid_t owner; /* the process of the last epoch */
static void (*forget)(void);
static _Thread_local int forking __attribute__((tls_model("initial-exec")));

void epoch_on_begin(void (*fn)(void))
{
	forget = fn;
}

void epoch_forking(bool on)
{
	forking += on ? 1 : -1;
	opening_hold(on);
}

/* Does this process have a table of descriptors of its own, as far as can be found out? */
static bool has_own_files(void)
{
	const pid_t parents[] = { getppid(), atomic_load(&owner) };

	for (int i = 0; i < 2; i++) {
		/*
		 * 0: it shares the table; -1: unknown, which counts as no only for the parent, as
		 * the process of the last epoch may have ended
		 */
		long differs = syscall(SYS_kcmp, getpid(), parents[i], KCMP_FILES, 0, 0);

		if (differs == 0 || (differs < 0 && i == 0))
			return false;
	}
	return true;
}

/* ---- the epoch ------------------------------------------------------------------------------- */

static _Atomic uint64_t *make_page(void)
{
	_Atomic uint64_t *none = &no_page;
	_Atomic uint64_t *page = pool_map(4096);

	if (!page)
		return &no_page;
	if (madvise((void *)page, 4096, MADV_WIPEONFORK)) {
		pool_unmap((void *)page, 4096);
		return &no_page;
	}
	atomic_store(&owner, getpid());
	atomic_store(page, atomic_fetch_add(&last, 1) + 1);
	if (atomic_compare_exchange_strong(&epoch_page, &none, page))
		return page;
	pool_unmap((void *)page, 4096);
	return none;
}

static void begin(_Atomic uint64_t *page)
{
	if (forking || has_own_files())
		child_close_all();
	forking = 0;
	opening_forget();
	if (forget)
		forget();
	atomic_store(&owner, getpid());
	atomic_store(page, atomic_fetch_add(&last, 1) + 1);
}

uint64_t epoch_now(void)
{
	_Atomic uint64_t *page = atomic_load(&epoch_page);
	uint64_t epoch;

	if (page == &no_page)
		page = make_page();
	if (page == &no_page)
		return 0;
	while ((epoch = atomic_load(page)) <= BEGINNING) {
		if (epoch == 0 && atomic_compare_exchange_strong(page, &epoch, BEGINNING))
			begin(page);
		else
			sched_yield();
	}
	return epoch;
}

void epoch_look(void)
{
	if (atomic_load(&epoch_page) != &no_page)
		epoch_now();
}

/* ---- locks ----------------------------------------------------------------------------------- */

void epoch_lock(struct epoch_lock *lock)
{
	uint64_t epoch = epoch_now();

	if (!epoch)
		epoch = BEGINNING;
	for (;;) {
		uint64_t holder = atomic_load(&lock->holder);

		if (holder != epoch &&
		    atomic_compare_exchange_strong(&lock->holder, &holder, epoch))
			return;
		sched_yield();
	}
}

void epoch_unlock(struct epoch_lock *lock)
{
	atomic_store(&lock->holder, 0);
}

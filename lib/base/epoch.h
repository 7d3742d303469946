/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Forked children. Each process has an epoch, a number that none of its ancestors had. It is kept
 * in a page that the kernel wipes in a forked child, and each object carries the number of the
 * process that made it. So one comparison tells whether an object was inherited, however the
 * process was forked. An inherited object is left alone, as threads that the child does not have
 * may hold its locks.
 */
#ifndef LIB_BASE_EPOCH_H
#define LIB_BASE_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A page that holds the epoch's number; 0 in a child whose epoch has not begun yet. Never NULL. */
extern _Atomic uint64_t *_Atomic epoch_page __attribute__((visibility("hidden")));

/*
 * The number of this process's epoch. The first call in a child begins one: closes the descriptors
 * that were inherited, then calls the function of epoch_on_begin(). 0: the kernel cannot wipe pages
 * (Linux before 4.14). Takes no lock, allocates nothing in a child.
 */
uint64_t epoch_now(void);

/* Begins an epoch if this is a child of a process that had one. */
void epoch_look(void);

/* Is that the number of this process's epoch? Makes no system call. */
static inline bool epoch_is(uint64_t epoch)
{
	const _Atomic uint64_t *page = atomic_load_explicit(&epoch_page, memory_order_relaxed);

	return atomic_load_explicit(page, memory_order_relaxed) == epoch;
}

/* Was an object with that number inherited? For entry points: in a child it begins the epoch. */
static inline bool epoch_inherited(uint64_t epoch)
{
	if (__builtin_expect(epoch_is(epoch), 1))
		return false;
	epoch_now();
	return true;
}

/*
 * `forget` is called once in each child, by the first thread that calls the library: it forgets
 * other state of the parent. Set once, when the library is loaded.
 */
void epoch_on_begin(void (*forget)(void));

/*
 * on: this thread is about to call fork(); off: it has. Waits a little until threads that open
 * descriptors have put them on the list of child.h. A child of fork() has descriptors of its own,
 * so it may close them; the child of a raw clone may share them with its parent.
 */
void epoch_forking(bool on);

/*
 * A lock for the whole process that no child inherits locked. Threads that wait for it spin, so it
 * is held for a short time only.
 */
struct epoch_lock {
	/* The epoch of the thread that holds it. 0 or the number of another epoch: it is free. */
	_Atomic uint64_t holder;
};

void epoch_lock(struct epoch_lock *lock);
void epoch_unlock(struct epoch_lock *lock);

#endif

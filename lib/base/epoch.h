/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Forked children. What is made in a process carries the number of the process's epoch; a page that
 * forking wipes holds the number of this one. So whoever holds something finds out by one
 * comparison whether it was inherited, however the process was forked, and then leaves it alone:
 * its locks may be held by threads that are not here.
 */
#ifndef LIB_BASE_EPOCH_H
#define LIB_BASE_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A page that holds the epoch; 0 in a child that does not know yet that it is one. Never NULL. */
extern _Atomic uint64_t *_Atomic epoch_page __attribute__((visibility("hidden")));

/*
 * The number of this process's epoch. The first call in a child begins it: descriptors that were
 * inherited are closed, then epoch_begins() is told. 0: the kernel cannot wipe pages (Linux before
 * 4.14). Takes no lock, allocates nothing.
 */
uint64_t epoch_now(void);

/* Only begins it, in a child of a process that has one. */
void epoch_look(void);

/* Was that number got in this process? No system call. */
static inline bool epoch_is(uint64_t epoch)
{
	const _Atomic uint64_t *page = atomic_load_explicit(&epoch_page, memory_order_relaxed);

	return atomic_load_explicit(page, memory_order_relaxed) == epoch;
}

/* The same for entry points: in a child it begins the epoch. */
static inline bool epoch_inherited(uint64_t epoch)
{
	if (__builtin_expect(epoch_is(epoch), 1))
		return false;
	epoch_now();
	return true;
}

/*
 * In a child, by whoever comes first: forget what else is the parent's. To be set once, when the
 * library is loaded.
 */
void epoch_on_begin(void (*forget)(void));

/*
 * Until it is called off this thread forks. Its child has descriptors of its own (fork() promises
 * that, a raw clone may share them with its parent), and threads that open some have come to the
 * end of it, unless that takes long.
 */
void epoch_forking(bool on);

/* A lock of the whole process that no child inherits locked. Not for long: others spin. */
struct epoch_lock {
	_Atomic uint64_t
		holder; /* the epoch of who holds it; 0 nobody, and another epoch's is nobody */
};

void epoch_lock(struct epoch_lock *lock);
void epoch_unlock(struct epoch_lock *lock);

#endif

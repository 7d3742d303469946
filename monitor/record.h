/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * record: what a monitor knows of each range that the peer registers, by address and length.
 *
 *	WATCHED		changes of the range are seen since `stamp`; the peer keeps nothing
 *	ARMED		the peer keeps registrations that were made after `stamp`
 *	DEAD		the range changed; the deliverer has not told the peer
 *	DELIVERED	the peer was told and keeps nothing of the range; a record without users is
 *			forgotten then
 *
 * A peer pins memory first and asks the monitor then. A change between the two would go unseen. So
 * the first registration of a range begins the watch and is used once; the next one is kept, as its
 * pin lies inside the watch (the second-use rule). "The next one" is exact: a registration is kept
 * if the watch began before the last call that its thread made into the monitor, as the pin came
 * after that call:
 *
 *	thread A			thread B
 *	pins the old page		pins the old page
 *	... the memory is replaced ...
 *	asks: the watch begins, refused
 *					asks: refused, as B has not called since
 *	pins the new page
 *	asks: kept
 *
 * A range whose change has not been delivered is not watched anew: one cache of the peer may still
 * hold a registration from before the change, which would be found true again as soon as another
 * cache registers the same range.
 *
 * Soundness rests on record_valid() alone, which asks the library each time. To deliver only lets
 * the peer free what it cannot use any more.
 *
 * The lock of the table is a leaf: it is taken inside the peer's locks, and never held while the
 * library or the peer is called. Nothing here allocates from the program's heap, as an allocator
 * may give memory back and the peer's locks are held.
 */
#ifndef MONITOR_RECORD_H
#define MONITOR_RECORD_H

#include <hmm/hmm.h>
#include <stdatomic.h>

enum record_state {
	RECORD_FREE,
	RECORD_STARTING, /* a thread begins to watch */
	RECORD_WATCHED,
	RECORD_ARMED,
	RECORD_DEAD,
	RECORD_DELIVERED,
};

/*
 * l: written with the table's lock. s: written by the thread that set STARTING, then constant as
 * long as the record has a user.
 *
 * A user looks at the record without the lock: it is not watched anew nor freed meanwhile. A thread
 * that becomes a user adds itself first and looks at the state then. A thread that begins a watch
 * sets STARTING first and looks for users then.
 */
struct record {
	struct hmm_interval_notifier *ni; /* s */
	_Atomic uint64_t addr;            /* l, constant until FREE */
	_Atomic uint64_t len;             /* l, constant until FREE */
	uint64_t seq;                     /* s */
	uint64_t stamp;                   /* s */
	struct record *link;              /* the deliverer's list */
	_Atomic uint32_t next;            /* l: in the bucket or the free list, see table.c */
	_Atomic uint32_t users;
	_Atomic uint32_t state; /* l, but the callback makes DEAD of WATCHED and ARMED */
	_Atomic bool used;      /* since the table last looked for a victim */
	bool evict;             /* l: given up to make room */
};

/*
 * Attaches the space and makes the table and the deliverer, once. 0; -errno, and everything is
 * refused; it may be called again.
 */
int record_start(void);

/*
 * To be called before a pin, where the peer allows that: watches the range unless it is watched.
 * The registration is then kept by record_subscribe() at once. 0; -errno: it will be refused.
 */
int record_watch(uint64_t addr, uint64_t len);

/*
 * After the pin. 0: keep the registration, and ask record_valid() before each use. -EAGAIN: use it
 * once, another will be kept. Another -errno: use it once. It takes 50 ms at most.
 */
int record_subscribe(uint64_t addr, uint64_t len);

/* Is a registration that was kept still true? It takes 10 ms at most. */
bool record_valid(uint64_t addr, uint64_t len);

/* The deliverer has told the peer. */
void record_delivered(struct record *r);

#endif

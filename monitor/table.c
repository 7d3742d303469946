// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A record is named by its number plus one in lists, so that memory of zeroes is an empty table.
 *
 * A lookup reads `changes`, walks the bucket, becomes a user of what it found, and reads `changes`
 * again. What it found is right if that is the same even number. A record is taken out only if it
 * has no user after `changes` became odd:
 *
 *	lookup				taking out
 *	reads changes: even
 *	finds the record
 *	users++
 *					changes++: odd
 *					users? stays
 *	reads changes
 *
 * In either order one of the two sees the other. A record that was taken out is memory of the table
 * still, so a lookup that comes too late may add itself and take itself off again.
 */
#include "table.h"
#include "record.h"

#include <errno.h>
#include <pthread.h>

#define BUCKETS (2 * TABLE_RECORDS)
#define FEW (TABLE_RECORDS / 16)
#define LOOK 64 /* records to look at for a victim */
#define WALK 64 /* records of a bucket that are looked at without the lock */

struct table {
	_Atomic uint32_t buckets[BUCKETS];
	struct record records[TABLE_RECORDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table *table;
static _Atomic uint32_t changes; /* odd: a bucket is being changed (lock) */
static uint32_t made;            /* records from here on were never used */
static uint32_t free_list;       /* linked by `next` */
static uint32_t free_count;      /* records that may be made */
static uint32_t hand;            /* where the search for a victim goes on */

void table_lock(void)
{
	pthread_mutex_lock(&lock);
}

void table_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

int table_init(void)
{
	int err = 0;

	table_lock();
	if (!table) {
		table = hmm_memory_alloc(sizeof(*table));
		free_count = TABLE_RECORDS;
		err = table ? 0 : -ENOMEM;
	}
	table_unlock();
	return err;
}

static _Atomic uint32_t *bucket(uint64_t addr, uint64_t len)
{
	const uint64_t h = (addr ^ len * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	return &table->buckets[(h >> 40) % BUCKETS];
}

static struct record *numbered(uint32_t number)
{
	return number ? &table->records[number - 1] : NULL;
}

static uint32_t number_of(const struct record *r)
{
	return (uint32_t)(r - table->records) + 1;
}

struct record *table_find(uint64_t addr, uint64_t len)
{
	struct record *r = numbered(*bucket(addr, len));

	while (r && (r->addr != addr || r->len != len))
		r = numbered(r->next);
	return r;
}

void table_use(struct record *r)
{
	atomic_fetch_add(&r->users, 1);
}

void table_unuse(struct record *r)
{
	atomic_fetch_sub(&r->users, 1);
}

/* True: *found is the record, used, or NULL as there is none. */
static bool looked_up(uint64_t addr, uint64_t len, struct record **found)
{
	const uint32_t before = atomic_load(&changes);
	struct record *r = numbered(*bucket(addr, len));

	for (int n = 0; r && (r->addr != addr || r->len != len); n++) {
		if (n == WALK)
			return false;
		r = numbered(r->next);
	}
	if (r)
		table_use(r);
	*found = r;
	if (!(before & 1) && atomic_load(&changes) == before)
		return true;
	if (r)
		table_unuse(r);
	return false;
}

struct record *table_get(uint64_t addr, uint64_t len)
{
	struct record *r;

	if (looked_up(addr, len, &r))
		return r;
	table_lock();
	r = table_find(addr, len);
	if (r)
		table_use(r);
	table_unlock();
	return r;
}

static struct record *take_free(void)
{
	struct record *r = numbered(free_list);

	if (r)
		free_list = r->next;
	else if (made < TABLE_RECORDS)
		r = numbered(++made);
	return r;
}

/* Its users stay: a lookup that comes too late is one for a moment. */
struct record *table_make(uint64_t addr, uint64_t len)
{
	struct record *r = take_free();
	_Atomic uint32_t *first = bucket(addr, len);

	if (!r)
		return NULL;
	free_count--;
	atomic_fetch_add(&changes, 1);
	r->addr = addr;
	r->len = len;
	r->next = *first;
	*first = number_of(r);
	atomic_fetch_add(&changes, 1);
	r->used = true;
	r->evict = false;
	return r;
}

static void unlink_record(struct record *r)
{
	_Atomic uint32_t *at = bucket(r->addr, r->len);

	while (*at != number_of(r))
		at = &numbered(*at)->next;
	*at = r->next;
}

bool table_unlink_unused(struct record *r)
{
	bool unused;

	atomic_fetch_add(&changes, 1);
	unused = !atomic_load(&r->users);
	if (unused)
		unlink_record(r);
	atomic_fetch_add(&changes, 1);
	return unused;
}

void table_free(struct record *r)
{
	atomic_store(&r->state, RECORD_FREE);
	r->next = free_list;
	free_list = number_of(r);
	free_count++;
}

bool table_crowded(void)
{
	return free_count < FEW;
}

/* Records that were used since the hand last passed get another turn. */
struct record *table_victim(void)
{
	for (unsigned int n = 0; n < LOOK; n++) {
		struct record *r = numbered(1 + hand++ % TABLE_RECORDS);
		const uint32_t state = atomic_load(&r->state);

		if (atomic_load(&r->users) ||
		    (state != RECORD_WATCHED && state != RECORD_ARMED && state != RECORD_DELIVERED))
			continue;
		if (!r->used)
			return r;
		r->used = false;
	}
	return NULL;
}

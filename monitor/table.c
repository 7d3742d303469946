// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A record is named by its number plus one in lists, so that memory of zeroes is an empty table.
 */
#include "table.h"
#include "record.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define BUCKETS (2 * TABLE_RECORDS)
#define FEW (TABLE_RECORDS / 16)
#define LOOK 64 /* records to look at for a victim */

struct table {
	uint32_t buckets[BUCKETS];
	struct record records[TABLE_RECORDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table *table;
static uint32_t made;       /* records from here on were never used */
static uint32_t free_list;  /* linked by `next` */
static uint32_t free_count; /* records that may be made */
static uint32_t hand;       /* where the search for a victim goes on */

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

static uint32_t *bucket(uint64_t addr, uint64_t len)
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

static struct record *take_free(void)
{
	struct record *r = numbered(free_list);

	if (r)
		free_list = r->next;
	else if (made < TABLE_RECORDS)
		r = numbered(++made);
	return r;
}

struct record *table_make(uint64_t addr, uint64_t len)
{
	struct record *r = take_free();
	uint32_t *first;

	if (!r)
		return NULL;
	free_count--;
	memset(r, 0, sizeof(*r));
	r->addr = addr;
	r->len = len;
	first = bucket(addr, len);
	r->next = *first;
	*first = number_of(r);
	return r;
}

void table_unlink(struct record *r)
{
	uint32_t *at = bucket(r->addr, r->len);

	while (*at != number_of(r))
		at = &numbered(*at)->next;
	*at = r->next;
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

		if (r->users ||
		    (state != RECORD_WATCHED && state != RECORD_ARMED && state != RECORD_DELIVERED))
			continue;
		if (!r->used)
			return r;
		r->used = false;
	}
	return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * table: the records of a monitor by address and length, in memory that is never mirrored. Its size
 * is bounded. A lookup that finds a record takes no lock.
 */
#ifndef MONITOR_TABLE_H
#define MONITOR_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct record;

#define TABLE_RECORDS 65536U
/* How many records are given up at a time. */
#define TABLE_ROOM 16

int table_init(void);
void table_lock(void);
void table_unlock(void);

/* The record of the range, which has a user more then; NULL: none. Not with the lock. */
struct record *table_get(uint64_t addr, uint64_t len);
void table_use(struct record *r);
void table_unuse(struct record *r);

/* The rest is called with the lock. */
struct record *table_find(uint64_t addr, uint64_t len);
/* A new record, FREE, in the table. NULL: it is full. */
struct record *table_make(uint64_t addr, uint64_t len);
/* Takes it out, so that it is not found. False: it has users, and stays. */
bool table_unlink_unused(struct record *r);
/* It may be made again. */
void table_free(struct record *r);

/* Few records are free: give some up. */
bool table_crowded(void);
/* One that was not used for long, WATCHED, ARMED or DELIVERED. NULL: none near. */
struct record *table_victim(void);

#endif

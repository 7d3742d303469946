// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "provider/watch_sites.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* A process meets another table when another hmm-watchd has come. */
#define TABLES_MAX 8

struct table {
	struct table *next;
	size_t n;
	struct watch_site sites[WATCHD_SITES_MAX];
	struct watchd_site sent[WATCHD_SITES_MAX];
};

static struct table *_Atomic tables;

/* The name of a function: it is printed, so it has nothing in it that a terminal could obey. */
static bool is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.:/@-";
	const size_t length = strnlen(name, WATCHD_NAME);

	return length && length < WATCHD_NAME && strspn(name, letters) == length;
}

static int fill(struct table *table, const struct watchd_reply *reply)
{
	const size_t bytes = min64(reply->site_bytes, sizeof(struct watchd_site));
	const char *at = (const char *)reply + reply->table_at;

	for (table->n = 0; table->n < reply->n_sites; table->n++, at += reply->site_bytes) {
		struct watchd_site *sent = &table->sent[table->n];

		memcpy(sent, at, bytes);
		if (!is_name(sent->name) || sent->error > 0)
			return -EPROTO;
		table->sites[table->n] =
			(struct watch_site){ sent->name, sent->kind, sent->attached, sent->error };
	}
	return 0;
}

/* Keeps the table, or finds the same. NULL: there are many. */
static struct table *keep(struct table *table)
{
	struct table *head = atomic_load(&tables);

	for (;;) {
		unsigned int n = 0;

		for (struct table *t = head; t; t = t->next, n++) {
			if (t->n == table->n && !memcmp(t->sent, table->sent, sizeof(t->sent)))
				return t;
		}
		if (n >= TABLES_MAX)
			return NULL;
		table->next = head;
		if (atomic_compare_exchange_strong(&tables, &head, table))
			return table;
	}
}

int watch_sites_read(const struct watchd_reply *reply, size_t size, const struct watch_site **sites,
		     size_t *n)
{
	struct table *table, *kept = NULL;
	int err;

	if (reply->n_sites > WATCHD_SITES_MAX || reply->site_bytes < sizeof(struct watchd_site) ||
	    reply->site_bytes > 4096 || reply->table_at < sizeof(*reply) ||
	    reply->table_at + (uint64_t)reply->n_sites * reply->site_bytes > size)
		return -EPROTO;
	table = pool_map(sizeof(*table));
	if (!table)
		return -ENOMEM;
	err = fill(table, reply);
	if (!err) {
		kept = keep(table);
		err = kept ? 0 : -EPROTO;
	}
	if (kept != table)
		pool_unmap(table, sizeof(*table));
	if (err)
		return err;
	*sites = kept->sites;
	*n = kept->n;
	return 0;
}

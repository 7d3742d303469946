// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A table with chains, and a list in the order of use. */
#include "git/recent.h"

#include <stdlib.h>
#include <string.h>

static uint32_t head_of(uint64_t place)
{
	return (uint32_t)(place * 0x9e3779b97f4a7c15u >> 52) & (RECENT_SLOTS - 1);
}

void recent_init(struct recent *r, size_t limit)
{
	memset(r->heads, 0xff, sizeof(r->heads));
	r->newest = r->oldest = r->free = RECENT_NONE;
	r->n = r->used = 0;
	r->bytes = 0;
	r->limit = limit;
}

void recent_fini(struct recent *r)
{
	for (uint32_t i = r->newest; i != RECENT_NONE; i = r->v[i].older)
		free(r->v[i].data);
	recent_init(r, 0);
}

static void unlist(struct recent *r, uint32_t i)
{
	struct recent_object *o = &r->v[i];

	*(o->newer == RECENT_NONE ? &r->newest : &r->v[o->newer].older) = o->older;
	*(o->older == RECENT_NONE ? &r->oldest : &r->v[o->older].newer) = o->newer;
}

static void list(struct recent *r, uint32_t i)
{
	r->v[i].newer = RECENT_NONE;
	r->v[i].older = r->newest;
	*(r->newest == RECENT_NONE ? &r->oldest : &r->v[r->newest].newer) = i;
	r->newest = i;
}

const struct recent_object *recent_find(struct recent *r, uint64_t place)
{
	uint32_t i = r->heads[head_of(place)];

	while (i != RECENT_NONE && r->v[i].place != place)
		i = r->v[i].chain;
	if (i == RECENT_NONE)
		return NULL;
	unlist(r, i);
	list(r, i);
	return &r->v[i];
}

static void drop_oldest(struct recent *r)
{
	uint32_t i = r->oldest, *link = &r->heads[head_of(r->v[i].place)];

	while (*link != i)
		link = &r->v[*link].chain;
	*link = r->v[i].chain;
	unlist(r, i);
	r->bytes -= r->v[i].size;
	free(r->v[i].data);
	r->v[i].chain = r->free;
	r->free = i;
	r->n--;
}

/* The newest is kept whatever its size: it may be the base of the added one. */
const struct recent_object *recent_add(struct recent *r, uint64_t place, unsigned int type,
				       char *data, size_t size)
{
	uint32_t i, *head = &r->heads[head_of(place)];

	while (r->n > 1 && (r->n == RECENT_SLOTS || r->bytes + size > r->limit))
		drop_oldest(r);
	i = r->free;
	if (i == RECENT_NONE)
		i = r->used++;
	else
		r->free = r->v[i].chain;
	r->v[i] = (struct recent_object){
		.place = place, .data = data, .size = size, .type = type, .chain = *head
	};
	*head = i;
	list(r, i);
	r->bytes += size;
	r->n++;
	return &r->v[i];
}

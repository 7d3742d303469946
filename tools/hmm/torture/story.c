// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A ring of events for each slot. A writer takes a place by one addition, and a reader may see an
 * event that is half written.
 */
#include <stdio.h>
#include <string.h>
#include "story.h"
#include "torture.h"

struct event {
	uint64_t ns;
	const char *what;
	uint64_t a, b, c;
	char who[16];
};

static struct event ring[SLOTS_MAX][STORY_LINES];
static _Atomic uint64_t next[SLOTS_MAX];

static struct event kept[STORY_LINES];
static uint64_t kept_ns;
static _Atomic bool is_kept;
static __thread char self[16] __attribute__((tls_model("initial-exec")));

void story(unsigned int slot, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	struct event *e = &ring[slot][atomic_fetch_add(&next[slot], 1) % STORY_LINES];

	if (!self[0])
		pthread_getname_np(pthread_self(), self, sizeof(self));
	*e = (struct event){ tort_now_ns(), what, a, b, c, "" };
	memcpy(e->who, self, sizeof(self));
}

void story_keep(unsigned int slot)
{
	uint64_t first;

	if (atomic_exchange(&is_kept, true))
		return;
	kept_ns = tort_now_ns();
	first = atomic_load(&next[slot]);
	for (unsigned int i = 0; i < STORY_LINES; i++)
		kept[i] = ring[slot][(first + i) % STORY_LINES];
}

int story_line(unsigned int i, char *line, unsigned int len)
{
	const struct event *e = &kept[i];

	if (!atomic_load(&is_kept) || i >= STORY_LINES)
		return 0;
	if (!e->what)
		return snprintf(line, len, "-");
	return snprintf(line, len, "%10.1f us  %-15s %-24s %llu %llu %llu",
			((double)e->ns - (double)kept_ns) / 1000, e->who, e->what,
			(unsigned long long)e->a, (unsigned long long)e->b,
			(unsigned long long)e->c);
}

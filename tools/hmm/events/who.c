// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Threads that make changes. Records have numbers of the initial PID namespace: in a container they
 * are shown as they are, as a name that is found by them here would be another's.
 */
#include "events.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INITIAL "pid:[4026531836]"
#define COMM 16
#define CACHE 256
#define FRESH 0.1 /* seconds */

/* A thread that ends keeps the name that it had. */
static struct {
	uint32_t task;
	char name[COMM];
	double read;
} cache[CACHE];

bool who_sees_all(void)
{
	char name[64] = "";

	return readlink("/proc/self/ns/pid", name, sizeof(name) - 1) > 0 && !strcmp(name, INITIAL);
}

static bool read_comm(uint32_t task, char *name)
{
	char path[64];
	FILE *f;
	bool got;

	snprintf(path, sizeof(path), "/proc/%u/comm", task);
	f = fopen(path, "re");
	if (!f)
		return false;
	got = fgets(name, COMM, f);
	fclose(f);
	name[got ? strcspn(name, "\n") : 0] = 0;
	return got && *name;
}

/* A thread's name changes, as with exec, and its number may be given to another. */
static const char *comm(uint32_t task)
{
	const double time = now();
	const size_t i = task % CACHE;
	char name[COMM];

	if (cache[i].task == task && time - cache[i].read < FRESH)
		return cache[i].name;
	if (read_comm(task, name)) {
		cache[i].task = task;
		cache[i].read = time;
		memcpy(cache[i].name, name, COMM);
	}
	return cache[i].task == task ? cache[i].name : NULL;
}

void who_begin(struct source *s)
{
	_Static_assert(sizeof(s->comm) == COMM, "");
	read_comm((uint32_t)s->pid, s->comm);
}

const char *who_name(char *text, size_t size, const struct watch *w, const struct source *s,
		     const struct watch_record *record, const char **cause)
{
	const char *name = w->all_tasks ? comm(record->task) : NULL;

	/* A thread that was gone before we looked. */
	if (!name && !(record->flags & (WATCH_FOREIGN | WATCH_KERNEL)) && *s->comm)
		name = s->comm;
	*cause = record->flags & WATCH_KERNEL    ? "kernel"
		 : record->flags & WATCH_FOREIGN ? "process"
						 : "thread";
	if (record->flags & WATCH_KERNEL)
		snprintf(text, size, "[%s]", name ? name : "kernel");
	else if (name)
		snprintf(text, size, "%s/%u", name, record->task);
	else
		snprintf(text, size, "%u", record->task);
	return text;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the main thread does while the others work: ticks, looking for hangs, progress. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "../term.h"
#include "ops.h"

#define HANG_TICKS (HANG_LIMIT_S * TICKS_A_SECOND)

static const char *role(unsigned int thread)
{
	return thread < USERS ? "user" : thread < USERS + HOSTILES ? "hostile" : "bystander";
}

static void print_line_of(const char *task, const char *file)
{
	char path[300], line[160] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.40s/%s", task, file);
	f = fopen(path, "r");
	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = 0;
		fclose(f);
	}
	line[strcspn(line, "\n")] = 0;
	fprintf(stderr, " %s", line);
}

void watch_print_tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		fprintf(stderr, "thread %s:", e->d_name);
		print_line_of(e->d_name, "comm");
		print_line_of(e->d_name, "wchan");
		print_line_of(e->d_name, "syscall");
		fprintf(stderr, "\n");
	}
	if (d)
		closedir(d);
}

void watch_print_threads(const struct torture *t)
{
	unsigned int i;

	watch_print_tasks();
	for (i = 0; i <= USERS + HOSTILES; i++)
		fprintf(stderr, "%s %u: \"%s\"\n", role(i), i < USERS ? i : i - USERS,
			atomic_load(&t->beats[i].doing) ? atomic_load(&t->beats[i].doing) : "");
	fprintf(stderr, "scene: step %#x acks %#x held %#x slot %u\n", atomic_load(&t->scene.step),
		atomic_load(&t->scene.acks), atomic_load(&t->scene.held),
		atomic_load(&t->scene.slot));
	fprintf(stderr, "window: armed %d open %d visit %d effect %d used %#x of %#x\n",
		atomic_load(&t->windows.armed), atomic_load(&t->windows.open),
		atomic_load(&t->windows.visit), atomic_load(&t->windows.effect),
		atomic_load(&t->windows.used), atomic_load(&t->windows.wanted));
}

bool watch_tick(struct torture *t)
{
	uint64_t now = atomic_fetch_add(&t->ticks, 1) + 1;
	bool hang = false;
	unsigned int i;

	tort_pause(TICK_NS);
	for (i = 0; i <= USERS + HOSTILES; i++) {
		const char *doing = atomic_load(&t->beats[i].doing);

		if (!doing || now < atomic_load(&t->beats[i].since) + HANG_TICKS)
			continue;
		finding(FINDING_HANG, "%s %u has not come back from \"%s\" for %u s", role(i),
			i < USERS ? i : i - USERS, doing, HANG_LIMIT_S);
		hang = true;
	}
	if (hang)
		watch_print_threads(t);
	return hang;
}

/*
 * No stdio, as a fork that is held in a window holds its locks. No escape sequences, as not every
 * terminal knows them.
 */
void watch_progress(const struct torture *t, double seconds, bool clear)
{
	static int drawn; /* how many columns are drawn */
	char line[320];
	int n, room = columns(stderr) - 1;

	if (t->opt.json || !can_redraw(stderr) || (clear && !drawn))
		return;
	n = clear ? 0
		  : snprintf(line, 160,
			     "%s %.0f s: %llu operations, %llu accepted uses, %llu findings",
			     t->drilling ? "windows" : "free", seconds,
			     (unsigned long long)atomic_load(&t->operations),
			     (unsigned long long)torture_accepted(t),
			     (unsigned long long)findings_all());
	if (n > room && room > 0)
		n = room;
	drawn = n > drawn ? n : drawn;
	memmove(line + 1, line, (size_t)n);
	*line = '\r';
	memset(line + 1 + n, ' ', (size_t)(drawn - n));
	n = 1 + drawn;
	if (clear) {
		line[n++] = '\r';
		drawn = 0;
	}
	if (write(STDERR_FILENO, line, (size_t)n) != n)
		return;
}

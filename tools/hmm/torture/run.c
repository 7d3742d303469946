// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A run: twice attach, torture, detach. What the second cycle leaves behind that the first did not
 * is a leak; what a thread does not come back from is a hang.
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "../../../devices/hold/hold.h"
#include "ops.h"
#include "peer.h"

#define HANG_NS 15000000000ULL
#define FOCUS_TICKS 16 /* of 5 ms */
#define LONG_TARGET 1000000ULL
#define LEAK_BYTES (256U << 10)
#define LEAK_PAGES 512 /* mapped: thread stacks and pools may settle a little later */

static const struct {
	enum kind kind;
	bool checked;
} layout[] = {
	{ KIND_ANON, false }, { KIND_SHMEM, false }, { KIND_ANON, false },  { KIND_THP, false },
	{ KIND_SYSV, false }, { KIND_FILE, false },  { KIND_STACK, false }, { KIND_PRIVATE, false },
	{ KIND_WIDE, false }, { KIND_ANON, true },   { KIND_SHMEM, true },  { KIND_SYSV, true },
	{ KIND_FILE, true },  { KIND_BRK, false },
};
#define LAYOUT_SLOTS (sizeof(layout) / sizeof(layout[0]))

struct usage {
	unsigned int fds;
	size_t heap;
	size_t pages;
};

static void measure(struct usage *u)
{
	DIR *d = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/statm", "r");

	memset(u, 0, sizeof(*u));
	while (d && readdir(d))
		u->fds++;
	if (d)
		closedir(d);
	if (f) {
		if (fscanf(f, "%zu", &u->pages) != 1)
			u->pages = 0;
		fclose(f);
	}
	u->heap = mallinfo2().uordblks;
}

static void check_leaks(const struct usage *before, const struct usage *after)
{
	if (after->fds > before->fds)
		finding(FINDING_LEAK, "%u descriptors after the first cycle, %u after the second",
			before->fds, after->fds);
	if (after->heap > before->heap + LEAK_BYTES)
		finding(FINDING_LEAK,
			"%zu bytes of heap after the first cycle, %zu after the second",
			before->heap, after->heap);
	if (after->pages > before->pages + LEAK_PAGES)
		finding(FINDING_LEAK,
			"%zu pages mapped after the first cycle, %zu after the second",
			before->pages, after->pages);
}

static void slots_destroy(struct torture *t)
{
	while (t->nslots)
		slot_destroy(&t->slots[--t->nslots]);
}

static int slots_create(struct torture *t)
{
	unsigned int i;
	int rc;

	for (i = 0; i < LAYOUT_SLOTS; i++) {
		rc = slot_create(&t->slots[i], i, layout[i].kind, layout[i].checked);
		t->nslots = t->nslots_ran = i + 1;
		if (rc) {
			fprintf(stderr, "hmm torture: no %s memory to work on: %s\n",
				kind_name(layout[i].kind), strerror(-rc));
			slots_destroy(t);
			return rc;
		}
	}
	return 0;
}

static void policies(struct torture *t)
{
	unsigned int i, j;

	for (i = 0; i < t->nslots; i++)
		for (j = 0; j < ops_count; j++)
			t->policy[i][j] = (unsigned char)op_policy(t, &ops_table[j], &t->slots[i]);
}

uint64_t torture_accepted(const struct torture *t)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		sum += atomic_load(&t->counts[i].accepted);
	return sum;
}

uint64_t torture_refused(const struct torture *t)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		sum += atomic_load(&t->counts[i].refused);
	return sum;
}

bool torture_passed(const struct torture *t)
{
	double accepted = (double)torture_accepted(t);

	return !findings_all() && accepted > 0 &&
	       accepted >= ACCEPTED_SHARE * (accepted + (double)torture_refused(t));
}

static bool over(const struct torture *t, uint64_t deadline, bool longer)
{
	if (atomic_load(&t->stop) || findings_all())
		return true;
	if (longer)
		return atomic_load(&t->operations) >= LONG_TARGET &&
		       torture_accepted(t) >= LONG_TARGET && tort_now_ns() >= deadline;
	return tort_now_ns() >= deadline;
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

/* Where every thread is: what a report of a hang needs. */
static void print_threads(const struct torture *t)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	unsigned int i;

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
	for (i = 0; i < HOSTILES; i++)
		fprintf(stderr, "hostile %u: \"%s\", %s\n", i,
			atomic_load(&t->beats[USERS + i].doing),
			atomic_load(&t->busy[i]) ? "at it" : "not begun");
	fprintf(stderr, "window: phase %d armed %d open %d slot %u ready %#x\n",
		atomic_load(&t->windows.phase), atomic_load(&t->windows.armed),
		atomic_load(&t->windows.open), atomic_load(&t->windows.slot),
		atomic_load(&t->windows.ready));
}

/* True: a thread hangs; it cannot be joined and the process must not go on. */
static bool look_for_hangs(const struct torture *t)
{
	uint64_t now = tort_now_ns();
	bool hang = false;
	unsigned int i;

	for (i = 0; i < USERS + HOSTILES; i++) {
		uint64_t since = atomic_load(&t->beats[i].since_ns);

		if (!since || now < since + HANG_NS)
			continue;
		finding(FINDING_HANG, "%s %u has not come back from \"%s\" for 15 s",
			i < USERS ? "user" : "hostile", i < USERS ? i : i - USERS,
			atomic_load(&t->beats[i].doing));
		hang = true;
	}
	if (hang)
		print_threads(t);
	return hang;
}

struct crew {
	pthread_t threads[USERS + HOSTILES + 1];
	struct user_arg args[USERS + HOSTILES];
	unsigned int n;
};

static int crew_start(struct torture *t, struct crew *crew)
{
	int rc = 0;

	for (crew->n = 0; crew->n < USERS + HOSTILES && !rc; crew->n += !rc) {
		bool user = crew->n < USERS;

		crew->args[crew->n] = (struct user_arg){ t, user ? crew->n : crew->n - USERS };
		rc = -pthread_create(&crew->threads[crew->n], NULL, user ? user_main : hostile_main,
				     &crew->args[crew->n]);
	}
	if (!rc)
		rc = -pthread_create(&crew->threads[crew->n], NULL, peer_main, t);
	crew->n += !rc;
	return rc;
}

/* False: some did not end. */
static bool crew_join(struct torture *t, struct crew *crew)
{
	struct timespec until;
	unsigned int i;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(HANG_NS / 1000000000ULL);
	peer_wake();
	for (i = 0; i < crew->n; i++)
		if (pthread_timedjoin_np(crew->threads[i], NULL, &until)) {
			finding(FINDING_HANG, "thread %u (\"%s\") did not end", i,
				i < USERS + HOSTILES + 1 ? atomic_load(&t->beats[i].doing) : "?");
			return false;
		}
	return true;
}

static void add_stats(struct torture *t)
{
	struct hmm_mm_stats s = { .size = sizeof(s) };
	unsigned int i;

	if (hmm_mm_get_stats(t->mm, &s))
		return;
	for (i = 0; i < HMM_EVENT_NR; i++)
		t->stats.events[i] += s.events[i];
	t->stats.pump_cycles += s.pump_cycles;
	t->stats.callbacks += s.callbacks;
	t->stats.registrations += s.registrations;
	t->stats.probes += s.probes;
	t->stats.probes_busy += s.probes_busy;
	t->stats.doubts += s.doubts;
	t->stats.doubts_settled += s.doubts_settled;
	t->stats.watchdog_reads += s.watchdog_reads;
	t->stats.overruns += s.overruns;
}

/* 0; 1 hangs: do not touch anything any more; -errno. */
static int cycle(struct torture *t, double seconds, bool longer)
{
	struct timespec pause = { 0, 5000000 };
	struct crew crew = { .n = 0 };
	uint64_t deadline;
	unsigned int ticks = 0;
	bool hang = false;
	int rc = slots_create(t);

	if (rc)
		return rc;
	rc = hmm_mm_attach(NULL, &t->mm);
	if (rc) {
		fprintf(stderr, "hmm torture: this process cannot be attached: %s\n",
			strerror(-rc));
		slots_destroy(t);
		return rc;
	}
	policies(t);
	rc = windows_init(t);
	atomic_store(&t->stop, false);
	memset(t->beats, 0, sizeof(t->beats));
	if (!rc)
		rc = crew_start(t, &crew);
	deadline = tort_now_ns() + (uint64_t)(seconds * 1e9);
	while (!rc && !hang && !over(t, deadline, longer)) {
		nanosleep(&pause, NULL);
		if (!(++ticks % FOCUS_TICKS))
			atomic_fetch_add(&t->focus, 1);
		hang = look_for_hangs(t);
	}
	atomic_store(&t->stop, true);
	if (hang || !crew_join(t, &crew))
		return 1;
	add_stats(t);
	windows_exit(t);
	hmm_mm_detach(t->mm);
	t->mm = NULL;
	slots_destroy(t);
	return rc;
}

static void have_pins(struct torture *t)
{
	struct hold_device *dev;

	if (hold_device_create(t->mm, 1, NULL, NULL, &dev))
		return;
	t->pins = hold_device_pins(dev);
	hold_device_destroy(dev);
}

int torture_run(struct torture *t)
{
	struct rlimit files = { 4096, 4096 };
	struct usage first, second;
	uint64_t start = tort_now_ns();
	double warm = t->opt.seconds * 0.2;
	int rc;

	/* One arena: mappings that glibc keeps for threads would look like a leak. */
	mallopt(M_ARENA_MAX, 1);
	window_not_pump(NULL);
	prctl(PR_SET_TIMERSLACK, 1000);
	setrlimit(RLIMIT_NOFILE, &files);
	have_pins(t);
	rc = cycle(t, warm, false);
	if (!rc && !findings_all()) {
		measure(&first);
		rc = cycle(t, t->opt.seconds - warm, t->opt.longer);
		measure(&second);
		if (!rc && !findings_all())
			check_leaks(&first, &second);
	}
	t->elapsed = (double)(tort_now_ns() - start) / 1e9;
	return rc == 1 ? 0 : rc;
}

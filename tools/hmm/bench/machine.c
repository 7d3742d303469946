// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"
#include "machine.h"

/* Of the machine: more than that, used by others or stolen, and a time is a matter of luck. */
#define OTHERS_MAX 0.1
#define STOLEN_MAX 0.02

/* A file's first line that begins so, without what it begins with; "" if there is none. */
static const char *find_line(const char *path, const char *begin, char line[256])
{
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, 256, f))
		found = !strncmp(line, begin, strlen(begin));
	if (f)
		fclose(f);
	return found ? line + strlen(begin) : "";
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double used(int who)
{
	struct rusage usage;

	if (getrusage(who, &usage))
		return 0;
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

/* "cpu user nice system idle iowait irq softirq steal", in ticks. */
static void read_stat(struct machine_clock *clock)
{
	const double tick = (double)sysconf(_SC_CLK_TCK);
	unsigned long long t[8] = { 0 };
	FILE *f = fopen("/proc/stat", "re");

	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
			&t[3], &t[4], &t[5], &t[6], &t[7]) >= 7)
		clock->busy = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / tick;
	clock->stolen = (double)t[7] / tick;
	if (f)
		fclose(f);
}

void machine_begin(struct machine_clock *began)
{
	memset(began, 0, sizeof(*began));
	read_stat(began);
	began->own = used(RUSAGE_SELF) + used(RUSAGE_CHILDREN);
	began->wall = bench_now_ns() / 1e9;
}

/* "QUOTA PERIOD", or "max PERIOD" */
static double quota_of(const char *path)
{
	double quota, period;
	char line[256];

	if (sscanf(find_line(path, "", line), "%lf %lf", &quota, &period) != 2 || period <= 0)
		return 0;
	return quota / period;
}

/* Of the control group, as it is seen from inside a container, and from outside. */
static double quota(void)
{
	double own, quota = quota_of("/sys/fs/cgroup/cpu.max");
	char line[256], group[160], path[256];

	if (sscanf(find_line("/proc/self/cgroup", "0::/", line), "%159s", group) != 1)
		return quota;
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/cpu.max", group);
	own = quota_of(path);
	return own > 0 && (quota <= 0 || own < quota) ? own : quota;
}

static double cpus(void)
{
	const double limit = quota();
	double n = (double)sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return limit > 0 && limit < n ? limit : n;
}

void machine_end(const struct machine_clock *began, struct machine *m)
{
	struct machine_clock now;
	double wall, own;
	char line[256];

	machine_begin(&now);
	memset(m, 0, sizeof(*m));
	m->cpus = cpus();
	m->online = (double)sysconf(_SC_NPROCESSORS_ONLN);
	if (sscanf(find_line("/proc/loadavg", "", line), "%lf %*f %*f %lu", &m->load,
		   &m->runnable) != 2)
		m->runnable = 0;
	wall = now.wall - began->wall;
	if (wall <= 0)
		return;
	own = now.own - began->own;
	m->others = (now.busy - began->busy - own) / wall;
	if (m->others < 0)
		m->others = 0;
	m->stolen = (now.stolen - began->stolen) / wall;
}

bool machine_is_busy(const struct machine *m)
{
	return m->others > OTHERS_MAX * m->online || m->stolen > STOLEN_MAX * m->online;
}

void machine_describe(const struct machine *m, char *text, size_t size)
{
	snprintf(text, size, "others used %.1f of %.0f CPUs, %.1f stolen, load %.1f, %lu runnable",
		 m->others, m->online, m->stolen, m->load, m->runnable);
}

uint64_t machine_memory(void)
{
	unsigned long long kib;
	char line[256];

	if (sscanf(find_line("/proc/meminfo", "MemAvailable:", line), "%llu", &kib) != 1)
		return UINT64_MAX;
	return kib << 10;
}

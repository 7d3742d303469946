// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/capability.h>

#include "host.h"

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(text, (int)size, f);

	if (f)
		fclose(f);
	return ok;
}

static int64_t read_number(const char *path)
{
	char text[64];

	return read_text(path, text, sizeof(text)) ? strtoll(text, NULL, 10) : -1;
}

static int64_t count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	int64_t n = 0;
	int c;

	if (!f)
		return -1;
	while ((c = getc_unlocked(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static int64_t limit(int resource)
{
	struct rlimit r;

	return getrlimit(resource, &r) || r.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)r.rlim_cur;
}

static void read_status(struct host *host)
{
	static const char *const modes[] = { "none", "strict", "filter" };
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long value;

	strcpy(host->seccomp, "unknown");
	host->seccomp_filters = -1;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &value) == 1) {
			host->cap_sys_ptrace = value >> CAP_SYS_PTRACE & 1;
			host->cap_sys_admin = value >> CAP_SYS_ADMIN & 1;
			host->cap_bpf = value >> CAP_BPF & value >> CAP_PERFMON & 1;
		} else if (sscanf(line, "NoNewPrivs: %llu", &value) == 1) {
			host->no_new_privs = value;
		} else if (sscanf(line, "Seccomp: %llu", &value) == 1 && value < 3) {
			strcpy(host->seccomp, modes[value]);
		} else if (sscanf(line, "Seccomp_filters: %llu", &value) == 1) {
			host->seccomp_filters = (int64_t)value;
		}
	}
	if (f)
		fclose(f);
}

static void read_thp(struct host *host)
{
	char text[128], *open, *close;

	if (!read_text("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)))
		return;
	open = strchr(text, '[');
	close = open ? strchr(open, ']') : NULL;
	if (close)
		snprintf(host->thp, sizeof(host->thp), "%.*s", (int)(close - open - 1), open + 1);
}

void host_read(struct host *host)
{
	struct utsname name;

	memset(host, 0, sizeof(*host));
	if (!uname(&name)) {
		snprintf(host->kernel, sizeof(host->kernel), "%.30s %.90s", name.sysname,
			 name.release);
		snprintf(host->machine, sizeof(host->machine), "%.30s", name.machine);
	}
	read_thp(host);
	read_status(host);
	if (!access("/dev/userfaultfd", R_OK | W_OK))
		strcpy(host->dev_uffd, "usable");
	else
		strcpy(host->dev_uffd, errno == ENOENT ? "absent" : "denied");
	host->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	host->uid = geteuid();
	host->max_map_count = read_number("/proc/sys/vm/max_map_count");
	host->maps_in_use = count_lines("/proc/self/maps");
	host->unprivileged_userfaultfd = read_number("/proc/sys/vm/unprivileged_userfaultfd");
	host->memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	host->memlock = limit(RLIMIT_MEMLOCK);
	host->open_files = limit(RLIMIT_NOFILE);
}

bool may_load_programs(void)
{
	struct host host = { 0 };

	read_status(&host);
	return host.cap_bpf || host.cap_sys_admin;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the machine, the privilege and the limits of this process are, as /proc and /sys say it. */
#ifndef TOOLS_HMM_HOST_H
#define TOOLS_HMM_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct host {
	char kernel[128];
	char machine[32];
	char thp[16];      /* the mode in brackets: always, madvise, never; "" without THP */
	char seccomp[16];  /* none, strict, filter, unknown */
	char dev_uffd[16]; /* /dev/userfaultfd: usable, denied, absent */
	uint32_t cpus;
	uint32_t uid;
	bool cap_sys_ptrace;
	bool cap_sys_admin;
	bool cap_bpf; /* and CAP_PERFMON: may load tracing programs */
	bool no_new_privs;
	int64_t seccomp_filters; /* -1: the kernel does not tell */
	int64_t max_map_count;   /* -1: unreadable, like the others */
	int64_t maps_in_use;
	int64_t unprivileged_userfaultfd;
	int64_t memory;     /* bytes */
	int64_t memlock;    /* bytes, -1 unlimited */
	int64_t open_files; /* -1 unlimited */
};

void host_read(struct host *host);
/* Has this process the capabilities that loading tracing programs takes? */
bool may_load_programs(void);

#endif

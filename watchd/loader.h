/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Loads the tracing programs and opens logs of address spaces. Uses libbpf. hmm-watchd links it;
 * a process that has the capabilities itself (CAP_BPF, CAP_PERFMON) loads it as a plug-in of
 * libhmm, libhmm-watch.so, which exports watch_open_self() alone.
 */
#ifndef WATCHD_LOADER_H
#define WATCHD_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct watch_loader;

/* A kernel function at which programs are attached. */
struct watch_site {
	const char *name; /* of the function */
	uint32_t kind;    /* enum watch_kind that its records have, if it has but one */
	bool attached;
	int error; /* why it is not: -ENOENT: this kernel has no such function */
};

/*
 * The descriptors of a watched space. All are close-on-exec. `links` is a socket in whose queue the
 * descriptors of all attached programs lie: the programs stay attached while any process holds one
 * of these sockets. Each space has a socket of its own, as a watcher could take out what lies in
 * the queue.
 *
 * A watcher is not trusted. `global` is frozen (BPF_MAP_FREEZE): nobody can write it from user
 * space, by no descriptor; it would be every other watcher's stale translation.
 */
struct watch_fds {
	int log;    /* ring buffer; readable when there are records */
	int space;  /* mmapable array: struct watch_space */
	int global; /* mmapable array: struct watch_global */
	int links;
};

/* anchored: only the kernel's own notifier functions; they tell of spaces that have a notifier */
#define WATCH_LOAD_ANCHORED (1U << 0)

/*
 * Loads and attaches. 0; -EPERM: no privilege, or tracing programs are refused (lockdown);
 * -EOPNOTSUPP: no BTF, or no function at which they could be attached; other errors of libbpf.
 */
int watch_load(unsigned int flags, struct watch_loader **loader);
void watch_unload(struct watch_loader *loader);
/* Which sites there are, in the numbering of records. */
size_t watch_sites(const struct watch_loader *loader, const struct watch_site **sites);

/*
 * Begins to watch the address space that process `pid` has now. log_bytes: a power of two, at least
 * a page. The caller has checked who asks. -ESRCH: there is no such process, or it has no address
 * space; -ENOSPC: as many spaces are watched as there is room for; -EBUSY: it is watched already
 * and `loader` allows one log a space; -ETOOMANYREFS: RLIMIT_NOFILE allows no more descriptors in
 * queues of sockets.
 */
int watch_open(struct watch_loader *loader, pid_t pid, size_t log_bytes, struct watch_fds *fds,
	       uint32_t *space);
/*
 * Is the space that is watched as `space` still the one that process `pid` has? 1; 0: it has
 * another one by now, as after an exec, or none; -errno. hmm-watchd asks this once the process has
 * answered from inside of that space, as the process could have exec'd before watch_open().
 */
int watch_is(struct watch_loader *loader, pid_t pid, uint32_t space);
/* Ends that; sets `ended` in the space's page. The watcher's descriptors stay legal. */
void watch_close(struct watch_loader *loader, uint32_t space);

/* The plug-in's entry: loads, and watches the calling process. sites: valid for ever. */
int watch_open_self(unsigned int flags, size_t log_bytes, struct watch_fds *fds,
		    const struct watch_site **sites, size_t *n);

#endif

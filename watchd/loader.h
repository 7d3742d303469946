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

/* libhmm-watch.so exports these: hmm events loads by them what a privileged user asks for. */
#define WATCH_EXPORT __attribute__((visibility("default")))

struct watch_loader;

/* A kernel function at which programs are attached. */
struct watch_site {
	const char *name; /* of the function */
	uint32_t kind;    /* enum watch_kind that its records have, if it has but one */
	bool attached;
	/*
	 * Why it is not. -ENOENT: this kernel has no such function; -EPROTO: its parameters are
	 * others; -ENOTUNIQ: several have the name; -EALREADY: another row stands for it;
	 * -ENODATA: not wanted (WATCH_LOAD_*); else why the kernel refused.
	 */
	int error;
};

/*
 * The descriptors of a watched space. All are close-on-exec. `links` is a socket in whose queue the
 * descriptors of all attached programs lie: the programs stay attached while any process holds one
 * of these sockets; the process that loaded them may be gone. Each space has a socket of its own, a
 * watcher could take out what lies in the queue.
 *
 * A watcher is not trusted. `global` and `space` are frozen (BPF_MAP_FREEZE): nobody can write them
 * from user space, by no descriptor; it would be every other watcher's stale translation.
 */
struct watch_fds {
	int log;    /* ring buffer; readable when there are records */
	int space;  /* mmapable array: struct watch_space */
	int global; /* mmapable array: struct watch_global */
	int links;
};

/*
 * The kernel tells its own notifiers of each change, by two functions that it calls for spaces
 * that have, or have had, a notifier: those are anchored. Programs are attached to these two
 * functions and to those that change page tables. An anchored space is told of by the former alone.
 *
 * ANCHORED: attach to the two alone; FUNCTIONS: attach to the others alone
 */
#define WATCH_LOAD_ANCHORED (1U << 0)
#define WATCH_LOAD_FUNCTIONS (1U << 1)

/*
 * FUNCTIONS: by the functions that change page tables, although the space is anchored; ANYWAY: also
 * where nothing would be told until the space is anchored
 */
#define WATCH_OPEN_FUNCTIONS (1U << 0)
#define WATCH_OPEN_ANYWAY (1U << 1)

/*
 * A loader is used by one thread at a time.
 *
 * Loads and attaches, which takes a second or more. 0; -EPERM: no privilege, or tracing programs
 * are refused (lockdown); -EOPNOTSUPP: no BTF, no function at which they could be attached, ftrace
 * is switched off (kernel.ftrace_enabled), or a kernel in which a skipped program would go
 * unnoticed; other errors of libbpf.
 */
WATCH_EXPORT int watch_load(unsigned int flags, struct watch_loader **loader);
void watch_unload(struct watch_loader *loader);
/* Which sites there are, in the numbering of records. */
WATCH_EXPORT size_t watch_sites(const struct watch_loader *loader, const struct watch_site **sites);

/*
 * How often the kernel skipped a program, as another thread was inside of it: watch_global's word
 * has made everything invalid meanwhile.
 */
uint64_t watch_misses(const struct watch_loader *loader);

/* Makes the next watch_open() with this size quick: it then waits for no grace period. */
int watch_spare(struct watch_loader *loader, size_t log_bytes);

/*
 * Begins to watch the address space that process `pid` has now; pid is a number of the caller's PID
 * namespace. flags: WATCH_OPEN_*; `anchored` in the space's page says by what it is told of.
 * log_bytes: a power of two, at least a page, at most 1 GiB. The caller has checked who asks, and
 * finds by a pidfd after this call that the process has not ended meanwhile: then its number has
 * not become another's.
 *
 * A change that had begun before this call may be without a beginning in the log. A reader takes
 * the end of a change whose beginning it has not seen as a change of its range. System calls that
 * change mappings hold the lock of the space: a caller that maps something once after this call has
 * waited for those that had begun before.
 *
 * The end of a change says that the page tables have changed, as the kernel's own notifiers do: the
 * processors' translations (TLB) may be flushed a moment later. A reader looks at the page tables
 * (pagemap), and does not conclude from a touch that a page is still there.
 *
 * -ESRCH: there is no such process, or it has no address space; -ENODATA: the space is not
 * anchored, and the loader is attached to nothing else (WATCH_LOAD_ANCHORED); -ENOSPC: as many
 * spaces are watched
 * as there is room for; -EBUSY: it has as many logs as a space may have (WATCH_LOGS);
 * -ETOOMANYREFS: RLIMIT_NOFILE allows no more descriptors in queues of sockets.
 */
WATCH_EXPORT int watch_open(struct watch_loader *loader, pid_t pid, size_t log_bytes,
			    unsigned int flags, struct watch_fds *fds, uint32_t *space);
/*
 * Is the space that is watched as `space` still the one that process `pid` has? 1; 0: it has
 * another one by now, as after an exec, or none; -errno. hmm-watchd asks this once the process has
 * answered from inside of that space, as the process could have exec'd before watch_open().
 */
int watch_is(struct watch_loader *loader, pid_t pid, uint32_t space);
/*
 * Ends that, also after the space itself has ended, which frees what it took here. Sets `ended` in
 * the space's page, and writes a record of everything, whose site is WATCH_SITE_NONE (bpf/sites.h).
 * The watcher's descriptors stay legal.
 */
void watch_close(struct watch_loader *loader, uint32_t space);

/*
 * The plug-in's entry: loads, and watches the calling process. flags: WATCH_LOAD_*. sites: valid
 * for ever.
 */
int watch_open_self(unsigned int flags, size_t log_bytes, struct watch_fds *fds,
		    const struct watch_site **sites, size_t *n);

#endif

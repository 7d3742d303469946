/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * An attached address space with a device that mirrors it; runs kernel functions on the device, or
 * on CPU threads for comparison, watches for interrupts and draws progress.
 */
#ifndef TOOLS_HMM_RUN_SESSION_H
#define TOOLS_HMM_RUN_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <hmm/hmm.h>

struct session {
	struct hmm_mm *mm;
	struct hmm_device *device;
	struct hmm_svm *svm;
	struct hmm_devmem *devmem; /* NULL: the device has no memory of its own */
	unsigned int engines;
	bool progress;  /* draw a bar on standard error */
	double seconds; /* spent by session_run(), summed */
	bool named;     /* the device has no faults: jobs name their memory */
	struct hmm_job_range *names;
	uint32_t n_names;
};

/*
 * confined: the device reaches nothing but what session_allow() names. Complains; 0 or an exit
 * status.
 */
int session_open(struct session *s, const char *device, unsigned int engines, bool confined);
struct session_options {
	bool confined;
	unsigned int threads;   /* serve the device's faults; 0: the engine that faults does */
	uint64_t device_memory; /* bytes of memory of the device's own; 0: it has none */
	bool coherent;          /* which the CPU reaches, too */
};

int session_open_as(struct session *s, const char *device, unsigned int engines,
		    const struct session_options *how);
int session_allow(struct session *s, const void *base, size_t size, int prot);
void session_forbid(struct session *s, const void *base, size_t size);
void session_close(struct session *s);

/*
 * Of a device with memory of its own: what the jobs use is to live there meanwhile. base: NULL for
 * any memory that they touch, page by page, as all else may lie beside it. 0 or -errno.
 */
int session_migrate(struct session *s, const void *base, size_t size);
/* All that is in device memory comes home. 0 or -errno. */
int session_evict(struct session *s);
/*
 * The jobs that follow use this memory, with that permission: what a device without faults must
 * be told; for others it does nothing. A second call for the same start replaces the first. 0 or
 * -ENOMEM.
 */
int session_name(struct session *s, const void *base, size_t size, int prot);
/*
 * The device is done with [base, base + size): it loses that, and the tables that it needed for
 * it.
 */
void session_done(struct session *s, const void *base, size_t size);

/*
 * Runs kernel(ctx, item, arg) for each item on the device. Returns 0, the job's status, or
 * -ECANCELED after an interrupt, by when the job has ended.
 */
int session_run(struct session *s, const char *what,
		int (*kernel)(struct hmm_ctx *, uint64_t, void *), void *arg, uint64_t items);

/*
 * fn(item, arg) for each item on as many CPU threads as the device has engines. 0; -ECANCELED;
 * -EFAULT: the file that it reads has shrunk.
 */
int cpu_run(unsigned int threads, void (*fn)(uint64_t item, void *arg), void *arg, uint64_t items);

/* fn(arg), which reads a mapped file: its result, or -EFAULT if the file has shrunk. */
void shrink_catch(void);
int shrink_guard(int (*fn)(void *arg), void *arg);

double now_seconds(void);

/* Interrupts: SIGINT, SIGTERM and SIGHUP are noted from here on. */
void interrupts_catch(void);
bool interrupted(void);
/* While held, an interrupt is not acted upon: what has begun is finished. */
void interrupts_hold(bool hold);
/* Ends the program by the signal that was noted. */
void interrupts_die(void);

#endif

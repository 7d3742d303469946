/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Runner: what hmm_software_create() gives a device: engine threads with sections at the gate, a
 * queue of jobs, a fault buffer with one slot an engine, guarded accesses with replay.
 *
 *	software.c	the public face: a device that has a runner
 *	runner.c	threads, jobs, items
 *	access.c	hmm_access() and its kin: sections, replay
 *	faults.c	the fault buffer
 *	touch.c		loads and stores as the CPU would do them
 */
#ifndef DEVICES_ENGINES_RUNNER_H
#define DEVICES_ENGINES_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <hmm/device.h>
#include <hmm/engine.h>
#include <hmm/guard.h>
#include <hmm/software.h>
#include "base/pool.h"
#include "device/device.h"

/* Only the engine writes these, and any thread may read them. */
struct engine_stats {
	_Atomic uint64_t device_faults, bytes_read, bytes_written, replays, cancels, guard_hits,
		overruns, restarts, once_uses, items, stale_accesses;
};

enum slot_state { SLOT_FREE, SLOT_PENDING, SLOT_FETCHED, SLOT_DONE };

struct fault_slot {
	_Atomic uint32_t state;
	_Atomic uint32_t sleeps; /* the engine sleeps on state, or is about to */
	int error;
	struct hmm_device_fault fault;
};

enum restart_reason { RESTART_GUARD, RESTART_OVERRUN };

/* An engine. Only its own thread uses the fields, except for slot and stats. */
struct engine {
	struct hmm_ctx ctx; /* first: kernel functions get a pointer to it */
	struct runner *runner;
	struct hmm_engine *gate;
	bool in;    /* inside a section */
	bool used;  /* a pointer was given out in this section and is still in use */
	bool wrote; /* ... for writing */
	bool once;  /* the section uses memory that cannot be cached, so it has one access only */
	enum restart_reason reason;
	struct rjob *job;
	/* the item's guard: for accesses through a pointer that was given out */
	struct hmm_guard guard;
	uint64_t va; /* the address that the guard guards */
	int prot;
	/* in this item, on a device without faults: which page has vanished, and how often */
	uint64_t vanished_page;
	unsigned int vanished_times;
	void *state;         /* the driver's */
	unsigned int served; /* faults, by itself, since it looked at the handlers of signals */
	struct fault_slot slot;
	struct engine_stats stats;
	pthread_t thread;
	bool started;
} __attribute__((aligned(64)));

/* A job from submission to its end: hmm_job.driver */
struct rjob {
	struct rjob *next;
	struct hmm_job *job;
	uint64_t items;
	_Atomic uint64_t next_item;
	_Atomic uint32_t stop;  /* no more items: cancelled or failed */
	_Atomic uint32_t ended; /* futex */
	unsigned int active;    /* runner lock: engines at work on it */
	bool queued;            /* runner lock */
	_Atomic int32_t status;
};

struct runner {
	struct hmm_device *dev;
	void *priv; /* the driver's */
	struct hmm_software_ops ops;
	struct hmm_device_ops driver; /* of these, get_stats and destroy are called */
	enum hmm_fault_model fault_model;
	unsigned int n;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct rjob *jobs;  /* lock: in order */
	bool stopping;      /* lock */
	uint64_t jobs_done; /* lock */
	struct objpool job_pool;
	_Atomic uint32_t raised; /* futex: each fault adds 1 while a thread waits for one */
	_Atomic uint32_t fetchers;
	_Atomic uint32_t closing;
	struct engine engines[];
};

/*
 * runner.c. The runner is made before its device: runner_create(), hmm_device_create(),
 * runner_start().
 */
int runner_create(const struct hmm_software_ops *ops, enum hmm_fault_model model,
		  unsigned int engines, struct runner **runner);
int runner_start(struct runner *r, struct hmm_device *dev);
/* Joins the threads; what engines have of the driver's stays until runner_free(). */
void runner_stop(struct runner *r);
void runner_free(struct runner *r);
void runner_stats(struct runner *r, struct hmm_device_stats *stats);

static inline struct runner *runner_of(const struct hmm_device *dev)
{
	return dev->runner;
}

int runner_op_fetch_faults(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
			   uint64_t timeout_ns);
int runner_op_fault_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error);
int runner_op_submit(struct hmm_device *dev, struct hmm_job *job);
int runner_op_wait(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns);
int runner_op_cancel(struct hmm_device *dev, struct hmm_job *job);

/* faults.c: raises a fault and sleeps until it is answered. f->flags become the answer's. */
int fault_raise(struct engine *e, struct hmm_device_fault *f);

/*
 * touch.c: loads or stores a byte of each page as the CPU does, outside of sections. 0 or -EFAULT
 */
int engine_touch(struct engine *e, uint64_t va, size_t len, int prot);

/* access.c */
extern const struct hmm_ctx_ops access_ctx_ops;
/* Leaves the section. False: it was overrun. */
bool access_leave(struct engine *e);
/* Called after a jump to the item's landing. 0: the item begins again; -errno: it fails. */
int access_recover(struct engine *e);

static inline void bump(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif

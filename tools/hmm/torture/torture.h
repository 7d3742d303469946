/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * torture: hostile threads change memory. Users have translations of it and use them. A peer
 * watches for changes that have taken effect while the calling thread still waits. The oracle
 * judges every use.
 */
#ifndef TOOLS_HMM_TORTURE_TORTURE_H
#define TOOLS_HMM_TORTURE_TORTURE_H

#include <pthread.h>
#include <signal.h>
#include <hmm/hmm.h>
#include "bell.h"
#include "brake.h"
#include "latch.h"
#include "oracle.h"
#include "scene.h"
#include "window.h"

#define SLOTS_MAX 24
#define LONG_TARGET 1000000ULL
#define USERS 3
#define HOSTILES 2

/* ---- findings.c --------------------------------------------------------------------------- */
enum finding {
	FINDING_STALE,
	FINDING_LOST,
	FINDING_WRONG,
	FINDING_HANG,
	FINDING_LEAK,
	FINDING_ERROR, /* a call of the library or of the kernel has failed that must not fail */
	FINDING_NR,
};
const char *finding_name(enum finding f);
/* Notes a finding without allocating. The first ones keep their text. The run ends soon after. */
void finding(enum finding f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t findings_of(enum finding f);
uint64_t findings_all(void);
const char *finding_text(unsigned int i);

/* ---- a small generator, so that a seed replays each thread's choices ---------------------- */
struct rng {
	uint64_t s;
};
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}
static inline unsigned int rng_below(struct rng *r, unsigned int n)
{
	return (unsigned int)((rng_next(r) >> 32) * n >> 32);
}

uint64_t tort_now_ns(void);
/*
 * Sleeps. There are more threads than processors, and a thread that yields would keep the others
 * from running.
 */
void tort_pause(uint64_t ns);
/* Computes for that time without a system call. */
void tort_spin(uint64_t ns);

/*
 * Limits are in ticks of the main thread, which sleeps for one tick at a time. On a busy machine
 * ticks come late, as everything else does.
 */
#define TICK_NS 5000000ULL
#define TICKS_A_SECOND 200U
/*
 * A child that a fork or the bystander has made may take so long, and a thread longer, before it is
 * said to hang: on a busy machine either may get no processor for many seconds.
 */
#define CHILD_LIMIT_S 60U
#define HANG_LIMIT_S 90U

/* ---- the run ------------------------------------------------------------------------------ */
struct options {
	double seconds; /* 0: the default */
	uint64_t seed;
	const char *mutation;
	bool json;
	bool longer;
	bool migrate;   /* pages go to device memory and come home: away/ */
	bool exclusive; /* a device has pages for itself */
};

struct user_counts {
	_Atomic uint64_t accepted;
	_Atomic uint64_t refused;
	_Atomic uint64_t sections;
	_Atomic uint64_t overrun;
	_Atomic uint64_t faults;
	_Atomic uint64_t fault_errors;
	_Atomic uint64_t transient;
	_Atomic uint64_t writes;
};

/* What a thread does, for the report of a hang. */
struct beat {
	const char *_Atomic doing; /* NULL: it has ended */
	_Atomic uint64_t since;    /* tick */
};

struct torture {
	struct options opt;
	struct hmm_mm *mm;
	struct slot slots[SLOTS_MAX];
	unsigned int nslots;
	unsigned int nslots_ran; /* for the report, when the slots are destroyed */
	struct bell bell;
	struct scene scene;
	struct windows windows;
	struct latch latch;
	enum brake brake;
	bool fork_events; /* forks raise an event for the library */
	/* the provider has a log of the kernel's: see OP_EXACT */
	bool log;
	bool drilling;
	_Atomic unsigned int drilled; /* hostile threads that have finished the drill */
	struct user_counts counts[USERS];
	struct beat beats[USERS + HOSTILES + 1]; /* the last is the bystander's */
	_Atomic uint64_t ticks;
	_Atomic uint64_t method_uses[3];
	unsigned char policy[SLOTS_MAX][OPS_MAX]; /* enum op_policy */
	const char *why_not[OPS_MAX][WINDOW_NR];  /* NULL: can be forced; for the report */
	_Atomic uint64_t op_runs[OPS_MAX];
	_Atomic uint64_t op_noted[OPS_MAX];
	_Atomic uint64_t op_unsupported[OPS_MAX];
	double elapsed;
	double drill_seconds;
	_Atomic uint64_t operations;
	_Atomic uint64_t operations_on_held;
	/*
	 * All threads work on a few slots at a time, as an operation would rarely hit a page that a
	 * device holds otherwise. The main thread moves it on.
	 */
	_Atomic unsigned int focus;
	_Atomic bool stop;
	struct hmm_mm_stats stats; /* summed over the cycles */
	bool pins;
	bool unfinished; /* --long ran out of time */
	sigset_t interrupts;
	int interrupted; /* the signal that ended the run early */
};

#define FOCUS_SLOTS 4
static inline unsigned int tort_choose_slot(struct torture *t, struct rng *rng)
{
	return (atomic_load_explicit(&t->focus, memory_order_relaxed) +
		rng_below(rng, FOCUS_SLOTS)) %
	       t->nslots;
}

static inline uint64_t tort_ticks(const struct torture *t)
{
	return atomic_load_explicit(&t->ticks, memory_order_relaxed);
}

static inline void beat(struct torture *t, unsigned int thread, const char *doing)
{
	struct beat *b = &t->beats[thread];

	atomic_store_explicit(&b->doing, doing, memory_order_relaxed);
	atomic_store_explicit(&b->since, tort_ticks(t), memory_order_relaxed);
}

/* user.c uses translations, hostile.c changes memory. */
struct user_arg {
	struct torture *t;
	unsigned int id;
};
void *user_main(void *arg);
void *hostile_main(void *arg);

/* run.c: sets up, runs, takes down and looks for leaks. 0; -errno: it could not start. */
int torture_run(struct torture *t);
/* watch.c */

/*
 * Sleeps for one tick. True: a thread hangs, so it cannot be joined, and the process must not go
 * on.
 */
bool watch_tick(struct torture *t);
/* Prints where each thread of the process is, on standard error. */
void watch_print_tasks(void);
/* The same, and what the torture's threads do. */
void watch_print_threads(const struct torture *t);
/* Shows how far the run is, on a terminal; @clear: removes that. */
void watch_progress(const struct torture *t, double seconds, bool clear);
/*
 * stop.c: after torture_stop_catch() interrupts end the run. torture_stop_die() ends the process by
 * the signal that came.
 */
void torture_stop_catch(struct torture *t);
bool torture_stopped(struct torture *t);
void torture_stop_die(struct torture *t);
/* usage.c: how many resources of the process are in use */
struct usage {
	unsigned int fds;
	size_t heap;
	size_t pages;
};
void usage_measure(struct usage *u);
/* Makes a finding if more is in use after the second cycle than after the first. */
void usage_compare(const struct usage *first, const struct usage *second);
/* report.c */
void torture_report(const struct torture *t);
void torture_report_json(const struct torture *t);

/* The share of uses that must be accepted: a library that refuses all uses would prove nothing. */
#define ACCEPTED_SHARE 0.3
uint64_t torture_accepted(const struct torture *t);
uint64_t torture_refused(const struct torture *t);
bool torture_passed(const struct torture *t);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ops: what a program can do to its memory. Each operation leaves its slot mapped, stamped and
 * usable.
 */
#ifndef TOOLS_HMM_TORTURE_OPS_H
#define TOOLS_HMM_TORTURE_OPS_H

#include <hmm/coherence.h>
#include "torture.h"

struct op_run {
	struct torture *t;
	struct slot *slot;
	struct rng *rng;
	unsigned int op; /* index in ops_table */
	uint64_t stamp;  /* stamp of the content that the operation brings */
	unsigned int lo; /* pages [lo, hi) are hit */
	unsigned int hi;
	unsigned int self; /* number of the hostile thread */
	bool raw;          /* makes the system call itself instead of calling libc */
	bool forced;       /* a window is armed */
	/* ... before the event: the latch's page is unmapped together with the slot */
	bool latch;
	uint64_t lead; /* forced: how many bytes below the slot are discarded with it */
	bool note;     /* tell the library afterwards */
};

#define K(kind) (1U << KIND_##kind)
#define KINDS_PRIVATE (K(ANON) | K(THP) | K(PRIVATE) | K(STACK))

/* When does the change take effect, and is there an event? */
enum effect {
	EFFECT_BEFORE,    /* before its event is queued */
	EFFECT_ANNOUNCED, /* after its event was read */
	EFFECT_COPIED,    /* contents differ when a thread writes after the event is queued */
	EFFECT_NONE,      /* there is an event, and contents stay */
	EFFECT_SILENT,    /* no event */
	EFFECT_QUIET,     /* no event, and contents stay */
};

/* Where the latch's page has to be, so that its event comes before the slot's. */
enum latch_place {
	LATCH_NOWHERE,
	LATCH_BELOW, /* below the slot */
	LATCH_AWAY,  /* at the address to which the slot is moved */
	LATCH_LOWEST,
};

struct op {
	const char *name;
	enum hmm_operation operation; /* its row in the coherence table; HMM_OP_NR: none */
	unsigned int kinds;
	unsigned int weight;
	enum effect effect;
	enum { PAGES_ALL, PAGES_ANY, PAGES_TAIL, PAGES_HEAD, PAGES_TAIL_KEEP, PAGES_FIRST } hits;
	int (*run)(struct op_run *run); /* 0; -EOPNOTSUPP: not on this kernel */
	enum latch_place latch;
	unsigned int latch_kinds;
	bool heavy; /* it takes milliseconds */
};

extern const struct op ops_table[];
extern const unsigned int ops_count;

/* ops_map.c */
int op_munmap(struct op_run *run);
int op_map_fixed(struct op_run *run);
int op_brk(struct op_run *run);
int op_stack(struct op_run *run);
int op_shmdt(struct op_run *run);
/* ops_mremap.c */
int op_mremap_away(struct op_run *run);
int op_mremap_onto(struct op_run *run);
int op_mremap_shrink(struct op_run *run);
int op_mremap_dontunmap(struct op_run *run);
/* ops_madvise.c */
int op_dontneed(struct op_run *run);
int op_dontneed_locked(struct op_run *run);
int op_process_madvise(struct op_run *run);
int op_free(struct op_run *run);
int op_remove(struct op_run *run);
int op_reclaim(struct op_run *run);
int op_collapse(struct op_run *run);
int op_guard(struct op_run *run);
/* ops_other.c */
int op_store(struct op_run *run);
int op_truncate(struct op_run *run);
int op_punch(struct op_run *run);
int op_mprotect(struct op_run *run);
int op_remap_file_pages(struct op_run *run);
/* ops_fork.c */
int op_fork(struct op_run *run);
int op_fork_raw(struct op_run *run);

enum op_policy {
	OP_NEVER,    /* the operation does not exist for this kind */
	OP_EXCLUDED, /* the coherence table says that it is unseen, even if the program tells */
	OP_PLAIN,
	OP_NOTED, /* it is unseen unless the program tells, which it does */
	OP_EXACT, /* the kernel's log has it before it takes effect; the program tells nothing */
};
/* The operation of a run is in the log. */
bool op_exact(const struct op_run *run);
/* What the library claims about an operation on a slot. */
enum op_policy op_policy(struct torture *t, const struct op *op, const struct slot *slot);
enum op_policy op_policy_of(struct torture *t, enum hmm_operation op, const struct slot *slot);

/* The call that removes has returned: the content of its pages is gone. */
void op_returned(struct op_run *run);
/*
 * The change has taken effect and the library is not told: holds the window open here if it is the
 * armed one.
 */
void op_hold_changed(struct op_run *run);
int op_finish_map(struct op_run *run, bool peer);

/* operate.c: does run->op to run->slot, from its stamp to its counts. */
void operate(struct op_run *run);
/* Maps the slot anew as one mapping, as mremap needs it: earlier operations may have split it. */
int operate_freshen(struct op_run *run);
/* Chooses pages at random that fit the operation. */
void operate_choose_pages(struct op_run *run);

extern const char force_excluded[];
/* force.c: NULL, or why this operation on this slot cannot be forced into this window. */
const char *force_why_not(const struct torture *t, unsigned int op, const struct slot *slot,
			  enum window w);
/* Plays the scene. True: the window was held open and a translation was used in it. */
bool force(struct torture *t, struct rng *rng, unsigned int self, struct slot *slot,
	   unsigned int op, enum window w, bool patient);

#endif

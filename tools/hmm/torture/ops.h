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
	uint64_t stamp;  /* of the content that the operation brings */
	unsigned int lo; /* pages [lo, hi) are hit */
	unsigned int hi;
	unsigned int self; /* which hostile thread */
	bool raw;          /* by the system call itself */
	bool forced;       /* a window is armed */
	bool note;         /* tell the library afterwards */
};

#define K(kind) (1U << KIND_##kind)
#define KINDS_PRIVATE (K(ANON) | K(THP) | K(PRIVATE) | K(STACK))

struct op {
	const char *name;
	enum hmm_operation operation; /* its row in the coherence table; HMM_OP_NR: none */
	unsigned int kinds;
	unsigned int weight;
	/*
	 * By when the change has taken effect: as soon as an event is queued, or only after the
	 * event was read (discards), or never as far as contents go.
	 */
	enum { EFFECT_BEFORE, EFFECT_AFTER_READ, EFFECT_NONE } effect;
	bool no_event; /* nothing to force a window with */
	enum { PAGES_ALL, PAGES_ANY, PAGES_TAIL, PAGES_HEAD, PAGES_TAIL_KEEP } hits;
	int (*run)(struct op_run *run); /* 0; -EOPNOTSUPP: not on this kernel */
	bool heavy;                     /* takes milliseconds */
};

extern const struct op ops_table[];
extern const unsigned int ops_count;

/* ops_map.c */
int op_munmap(struct op_run *run);
int op_map_fixed(struct op_run *run);
int op_mremap_away(struct op_run *run);
int op_mremap_onto(struct op_run *run);
int op_mremap_shrink(struct op_run *run);
int op_mremap_dontunmap(struct op_run *run);
int op_brk(struct op_run *run);
int op_stack(struct op_run *run);
int op_shmdt(struct op_run *run);
/* ops_madvise.c */
int op_dontneed(struct op_run *run);
int op_dontneed_locked(struct op_run *run);
int op_process_madvise(struct op_run *run);
int op_dontneed_wide(struct op_run *run);
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
	OP_NEVER,    /* does not exist for this kind */
	OP_EXCLUDED, /* the coherence table says that nobody sees it */
	OP_PLAIN,
	OP_NOTED, /* nobody sees it, but the program tells */
};
/* By what the library claims for an operation on a slot. */
enum op_policy op_policy(struct torture *t, const struct op *op, const struct slot *slot);

/* The call that removes has returned: what it hit is gone. */
void op_returned(struct op_run *run);
int op_finish_map(struct op_run *run, bool peer);

#endif

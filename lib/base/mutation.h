/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Mutations: each breaks one rule of docs/protocol.md on purpose, to prove that a test would
 * notice. Mutations of the first list make stale accesses, which the torture must find. So do those
 * of the second list where there is a log, which vm/tests/exact must find. Those of the third lose
 * pages of device memory or what is in them. Those of the last make something else wrong, which the
 * tests that docs/protocol.md names must find.
 * In builds without -Dmutations=true each is the constant false.
 */
#ifndef LIB_BASE_MUTATION_H
#define LIB_BASE_MUTATION_H

#include <stdbool.h>
#include <stddef.h>

/* The name as given to --break, and what is wrong then. */
#define HMM_MUTATIONS_LIST(X)                                                                      \
	X(NO_PROBE, "no-probe", "the in-flight probe always answers no")                           \
	X(READ_FIRST, "read-first", "events are read before devices are quiesced")                 \
	X(NO_ODD, "no-odd", "the pump does not show that it is busy")                              \
	X(BLIND_REGISTER, "blind-register", "a range is registered without killing translations")  \
	X(NO_QUIESCE, "no-quiesce", "the pump does not wait for engines to leave their sections")  \
	X(NO_GENERATION, "no-generation", "an invalidation does not change the sequence")          \
	X(HALF_INVALIDATE, "half-invalidate", "only the first page of an event is invalidated")    \
	X(NO_CALLBACK, "no-callback", "callbacks are not run")                                     \
	X(NO_MOVE, "no-move", "a move invalidates nothing")                                        \
	X(NO_FORK_KILL, "no-fork-kill", "a fork invalidates nothing")                              \
	X(CACHE_DISCARD, "cache-discard", "a discard counts as ended when it is announced")        \
	X(TRUST_RUNNING, "trust-running", "a thread that runs is in the middle of no discard")     \
	X(KEEP_REGION, "keep-region", "a region is believed registered after it was unmapped")     \
	X(FILE_BLIND, "file-blind", "changes of mirrored files are not noticed")                   \
	X(PRESENT_BLIND, "present-blind", "validated use does not look for pages that went away")  \
	X(VMA_BLIND, "vma-blind", "validated use does not look at the mapping's permissions")

/* With a log: providers bpf and both. */
#define HMM_MUTATIONS_LOG_LIST(X)                                                                  \
	X(NO_START, "no-start", "the beginning of a change in the log is not handled")             \
	X(NO_END, "no-end", "a change in the log counts as over when it begins")                   \
	X(LOST_RECORD, "lost-record", "that records of the log were lost is not noticed")          \
	X(EARLY_READ, "early-read", "records count as handled before sequences change")            \
	X(TRUST_WORD, "trust-word", "that a program in the kernel was skipped is not noticed")

/* Of device memory and exclusive access: hmm torture --migrate --exclusive must find them. */
#define HMM_MUTATIONS_AWAY_LIST(X)                                                                 \
	X(ZERO_BLIND, "zero-blind",                                                                \
	  "a touch is answered with the zero page, wherever the page is")                          \
	X(EARLY_TAKE, "early-take", "a place is forgotten before its page is at home")             \
	X(EARLY_LAND, "early-land", "a place is forgotten before a coherent page is there")        \
	X(MIGRATE_DISCARD, "migrate-discard", "pages migrate while a discard of them is pending")  \
	X(NO_REKEY, "no-rekey", "places do not move with the mapping")                             \
	X(KEEP_PLACE, "keep-place", "a discard leaves places as they are")                         \
	X(KEEP_FRAME, "keep-frame", "what was discarded stays in use")                             \
	X(HOME_SILENT, "home-silent", "a device is not told that pages go home")                   \
	X(HOME_OPEN, "home-open", "pages go home while engines are in their sections")             \
	X(NO_REVOKE, "no-revoke", "a device keeps exclusively what has gone home")                 \
	X(FORK_AWAY, "fork-away", "pages stay in device memory during a fork")

/* docs/protocol.md has the rules that these break. */
#define HMM_MUTATIONS_TESTED_LIST(X)                                                               \
	X(LOST_ZEROS, "lost-zeros", "what a device has lost reads as zeros")                       \
	X(EARLY_OWNED, "early-owned", "a device may use what is still being copied to it")         \
	X(TRUST_COUNT, "trust-count", "the kernel's count of moved pages is believed")             \
	X(STAGE_EVENT, "stage-event", "a move of the library's own counts as the program's")       \
	X(ASK_ONCE, "ask-once", "a mapping counts as gone while its event is unread")              \
	X(OLD_COPY, "old-copy", "a page that was at home meanwhile counts as the one copied")      \
	X(OUT_SILENT, "out-silent", "a device is not told before it copies pages out")             \
	X(KEEP_BOUNCE, "keep-bounce", "what a device has may still be in a bounce buffer")         \
	X(PART_OF_VMA, "part-of-vma",                                                              \
	  "of anonymous and shared memory only what is touched is registered")                     \
	X(FILE_CHUNKS, "file-chunks", "of a file only the touched chunks are registered")          \
	X(SPLIT_VMA, "split-vma",                                                                  \
	  "a mapping that took the place of another is registered in part")                        \
	X(NO_NEIGHBOURS, "no-neighbours", "what moves with a mapping is not registered with it")   \
	X(TRUST_TREE, "trust-tree",                                                                \
	  "where no scan tells what is registered, the tree of regions is believed")               \
	X(ANYBODYS, "anybodys", "registered with any userfaultfd counts as registered with ours")  \
	X(NO_BUDGET, "no-budget", "registrations are not counted")                                 \
	X(READ_IS_WRITE, "read-is-write", "a read request faults for writing")                     \
	X(OLD_SEQUENCE, "old-sequence",                                                            \
	  "an attempt that starts over keeps the sequence of the first")                           \
	X(CUT_PROGRESS, "cut-progress", "the deadline does not move while a walk comes further")   \
	X(NO_DEADLINE, "no-deadline", "a fault waits for the pump, whatever its deadline is")      \
	X(LOSE_STORE, "lose-store", "a store that did not stand is not made again")                \
	X(TOLD_EARLY, "told-early",                                                                \
	  "a file's change counts as told when another begins to tell it")                         \
	X(CACHE_UNDEAD, "cache-undead", "a registration whose memory has changed is handed out")   \
	X(CACHE_KEEP, "cache-keep",                                                                \
	  "a registration is kept whose memory changed while it was made")                         \
	X(CACHE_EARLY_FREE, "cache-early-free",                                                    \
	  "a registration ends when its memory changes, although it is in use")

enum hmm_mutation {
#define X(id, name, text) HMM_MUTATION_##id,
	HMM_MUTATIONS_LIST(X) HMM_MUTATIONS_LOG_LIST(X) HMM_MUTATIONS_AWAY_LIST(X)
		HMM_MUTATIONS_TESTED_LIST(X)
#undef X
			HMM_MUTATION_NR,
};

#ifdef HMM_MUTATIONS
extern unsigned long long hmm_mutations_on;
static inline bool hmm_mutation(enum hmm_mutation m)
{
	return __builtin_expect((hmm_mutations_on >> m) & 1, 0);
}
#else
#define hmm_mutation(m) false
#endif

/*
 * Switches a mutation on; NULL switches all off. 0; -EINVAL: there is no such mutation;
 * -EOPNOTSUPP: this build has none.
 */
int hmm_mutation_set(const char *name);
/*
 * Name and explanation of mutation i of the first list, of the log's, or of device memory's; NULL
 * past the last.
 */
const char *hmm_mutation_name(size_t i, const char **text);
const char *hmm_mutation_log_name(size_t i, const char **text);
const char *hmm_mutation_away_name(size_t i, const char **text);

#endif

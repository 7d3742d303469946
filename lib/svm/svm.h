/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Mirrors inside the library. The locks, outermost first. No thread allocates, frees or touches
 * memory of the program, or calls hmm_range_fault(), while it holds one:
 *
 *	notifier_lock	inserting a notifier
 *	device_lock	ops of a serial device; never held at a closed gate
 *	commit section, or the gate closed
 *	svm->lock	notifiers, claims, allowed ranges, jobs; held for 10 ms at most when
 *			notifiers are removed
 *	a table's lock	its nodes (lib/ptable)
 *
 * The pump closes the gate and takes the tables' locks in callbacks, and never the other three. A
 * commit section takes svm->lock, and the device's op may take any lock of its own. A signal
 * handler of the program may interrupt a thread here and unmap mirrored memory. Then the thread can
 * stop the pump: at the gate, which does not close, or in a callback. The watchdog reads the event
 * in the pump's place, and needs none of these locks.
 *
 * The chunk table says where the device may hold entries, and may say too much, but never too
 * little. A chunk is added before its commit section ends, and removed only with the gate closed,
 * together with the device's entries. Threads that handle faults look chunks up in no section,
 * while hmm_svm_collect() may free nodes. So they use pt_get(), never hmm_ptable_lookup().
 *
 * A fault runs under the svm's notifier. An invalidation of another part of its 512 MiB is no
 * collision: notifier/recent.h tells which part was hit.
 */
#ifndef LIB_SVM_SVM_H
#define LIB_SVM_SVM_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <hmm/migrate.h>
#include <hmm/mm.h>
#include <hmm/notifier.h>
#include <hmm/svm.h>
#include "base/itree.h"
#include "base/pool.h"
#include "range/look.h"

#define CHUNK_MAX_SHIFT 21
#define CHUNK_MAX_PAGES (1U << (CHUNK_MAX_SHIFT - HMM_PAGE_SHIFT))
#define BATCH_MAX 256
#define CLAIMS_MAX 64
#define INSTALLS_MAX 128
#define LOOKS_MAX 8

/*
 * Words of the chunk table. The low bits say which 64 KiB blocks are writable throughout, block 0
 * first: a write upgrades one block.
 */
#define CHUNK_PRESENT (1ULL << 63)
#define CHUNK_WRITE (1ULL << 62)     /* every page is writable */
#define CHUNK_PARTIAL (1ULL << 61)   /* some pages are not installed */
#define CHUNK_CHECKED (1ULL << 60)   /* its kind of memory has changes without events */
#define CHUNK_MAY_WRITE (1ULL << 59) /* some page is writable */
#define CHUNK_LARGE (1ULL << 58)     /* the device holds it as one entry */
#define CHUNK_BLOCKS 0xffffffffULL
#define BLOCK_SHIFT 16

struct svm_notifier {
	struct itree_node node; /* L */
	struct hmm_svm *svm;
	struct hmm_interval_notifier *ni;
	bool once; /* L: an access may still ask this notifier, so it is kept */
};

/* A chunk that a thread is populating. Other threads wait, or populate another one. */
struct svm_claim {
	uint64_t start;
	uint64_t end;
	uint64_t number; /* counts all claims ever made */
};

struct svm_allowed {
	struct svm_allowed *next;
	uint64_t start;
	uint64_t end;
	int prot;
};

/* Where the pages of a range are to live. */
struct svm_policy {
	struct itree_node node; /* L */
	struct hmm_svm_policy policy;
	struct svm_policy *next; /* of those that are no longer used */
};

/* What a CHUNK_CHECKED chunk mapped when it was populated. */
struct svm_checked {
	struct svm_checked *next;
	uint64_t start;
	uint64_t end;
	uint64_t inode;
	uint64_t offset; /* offset of start */
};

struct svm_job {
	struct svm_job *next;
	struct hmm_job *job;
	bool ended; /* the device is done with it */
};

struct svm_stats {
	_Atomic uint64_t batches, faults, coalesced, range_faults, chunks_2m, chunks_64k, chunks_4k,
		chunks_found, upgrades, reinstalled, prefetched, replays, cancels, once,
		invalidations, callbacks, unmaps, barriers, dropped_at_submit, restores,
		collections, collected_bytes, collected_notifiers, migrations, migrated,
		migrated_huge, kept, gathered, evictions;
	_Atomic uint64_t in_place[HMM_MIGRATE_REASON_NR];
};

/* Key letters: C constant, L lock, A atomic. */
struct hmm_svm {
	struct hmm_mm *mm;              /* C */
	struct hmm_device *dev;         /* C: the outermost */
	struct hmm_svm_options options; /* C: defaults are filled in */
	struct hmm_ptable *chunks;      /* has a lock of its own */
	struct hmm_quiescer *quiescer;  /* C */
	pthread_mutex_t notifier_lock;
	pthread_mutex_t lock;
	pthread_cond_t claimed;              /* a claim or a restore ended */
	struct itree notifiers;              /* L */
	uint64_t n_notifiers;                /* L */
	struct svm_claim claims[CLAIMS_MAX]; /* L: start == end is free */
	uint64_t n_claims;                   /* L: how many were made */
	uint64_t n_unclaimed;                /* L: how many have ended */
	struct svm_allowed *allowed;         /* L */
	struct itree policies;               /* L: struct svm_policy */
	struct hmm_svm_policy policy;        /* L: of what has no policy of its own */
	struct svm_checked *checked;         /* L */
	struct svm_job *jobs;                /* L */
	unsigned int restoring;              /* L: threads that read jobs */
	/* L: how many restores in a row found nothing missing */
	unsigned int vain;
	/* L: the latest installations, number n at n % INSTALLS_MAX */
	struct svm_claim installs[INSTALLS_MAX];
	uint64_t n_installs; /* L */
	uint64_t emptied;    /* L: n_installs when the last fetch that emptied the buffer began */
	struct vma_look looks[LOOKS_MAX]; /* L: mappings that faults have looked up */
	unsigned int n_looks;             /* L: how many were remembered */
	unsigned int n_full;              /* L: how many fetches in a row may have left faults */
	struct objpool pfns_pool;         /* of CHUNK_MAX_PAGES words */
	struct objpool batch_pool;        /* of struct svm_batch */
	struct objpool small_pool;        /* notifiers, allowed, checked, jobs */
	struct objpool policy_pool;       /* of struct svm_policy */
	/* A: invalidations that removed chunks since the last collection */
	_Atomic uint64_t garbage;
	_Atomic bool stopping;        /* A */
	pthread_t threads[16];        /* C */
	unsigned int n_threads;       /* C */
	pid_t pid;                    /* C */
	_Atomic uint64_t streams[8];  /* A: where recently populated chunks ended */
	_Atomic uint32_t stream_next; /* A */
	struct svm_stats stats;       /* A */
};

/* notifier.c */
/* 0; -ENOMEM; -ESRCH; -ETIME */
int svm_notifier_ensure(struct hmm_svm *svm, uint64_t addr, uint64_t deadline,
			struct hmm_interval_notifier **ni);
void svm_notifiers_fini(struct hmm_svm *svm);
uint64_t svm_notifiers_collect(struct hmm_svm *svm);
/* hmm_svm_drop() with a deadline. -ETIME: nothing is dropped. */
int svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end, uint64_t deadline);
/*
 * Removes [start, end) from the device and the chunk table. The caller has the gate closed. Returns
 * how many chunks were hit.
 */
uint64_t svm_forget(struct hmm_svm *svm, uint64_t start, uint64_t end, enum hmm_event event);

/* chunk.c */
struct chunk_request {
	uint64_t start; /* the chunk */
	uint64_t end;
	int prot;
	bool prefetch;
	bool stream;          /* it begins where another chunk ended */
	bool huge;            /* a write dirties all of it, whatever is asked for */
	bool block;           /* start and end are blocks of a chunk that the device holds */
	bool ask;             /* look the mapping up, whatever is remembered of it */
	uint32_t shift;       /* the chunk's size */
	struct vma_look look; /* the mapping around it */
	uint64_t need_start;  /* [need_start, need_end) is what the fault needs */
	uint64_t need_end;
	uint64_t deadline; /* moves while the fault comes further */
	bool in_place;     /* nothing moves to device memory first */
	struct hmm_svm_policy policy;
	/* out: the device has refused the chunk, and may have mapped a part of it */
	bool refused;
};
/*
 * Chooses the chunk to populate for an address, of at most 1 << max_shift bytes. 0; -EFAULT;
 * -EACCES; -ESRCH.
 */
int chunk_choose(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max_shift,
		 struct chunk_request *rq);
/* Forgets the mapping at addr: it is not as remembered. */
void chunk_look_again(struct hmm_svm *svm, uint64_t addr);
/* The chunk at addr, if the table has one. False: it has none, or the chunk needs a closer look. */
bool chunk_span(struct hmm_svm *svm, uint64_t addr, struct chunk_request *rq);
/* Does the table say that the device holds all of [addr, end) with that permission? */
bool chunk_found(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot);
int chunk_remember(struct hmm_svm *svm, const struct chunk_request *rq, uint64_t word);
/* The word that stands for rq's first address; *shift: for how many bytes it stands. */
uint64_t chunk_word(struct hmm_svm *svm, const struct chunk_request *rq, uint32_t *shift);
/* The bits of the blocks that [start, end) overlaps, in a chunk of 1 << shift bytes. */
uint64_t chunk_blocks(uint32_t shift, uint64_t start, uint64_t end);
/*
 * Marks chunks as partial: the device may lack a part of [start, end). The caller has claimed it
 * and is in a commit section.
 */
int chunk_partial(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* More blocks of a chunk in the table have become writable. */
int chunk_upgrade(struct hmm_svm *svm, uint64_t addr, uint64_t word);

/*
 * A write dirties every page that it asks for. For anonymous memory that allocates pages, for a
 * file it causes write-back. So in a file a write asks only for the block around what is needed,
 * unless writes come in a stream.
 */
#define FILE_WRITE_BLOCK (1ULL << BLOCK_SHIFT)

static inline bool chunk_writes_block(const struct chunk_request *rq)
{
	return rq->prot & PROT_WRITE && !rq->stream && !rq->huge &&
	       (rq->look.vma.kind == HMM_VMA_FILE || rq->look.vma.kind == HMM_VMA_DAX);
}

/* commit.c */
/*
 * Removes what may not be installed from a walk's result, and makes the word that stands for the
 * rest. 0; 1: not all that is needed can be cached.
 */
int chunk_judge(const struct chunk_request *rq, uint64_t *pfns, uint64_t *word);
/* Does this word say that the device holds all of the chunk, page by page? */
bool chunk_is_whole(uint64_t word, uint32_t shift, const struct chunk_request *rq);
/* Results that are no errors, and that no driver returns. */
#define CHUNK_CHANGED 2  /* the chunk of a block is not in the table any more */
#define CHUNK_COLLIDED 3 /* the chunk has to be walked again */
#define CHUNK_LATER 4    /* a change is in flight: commit again */
/*
 * Called in the commit section, when the sequence is known to be valid. 0; CHUNK_CHANGED; -errno.
 */
int chunk_commit(struct hmm_svm *svm, struct chunk_request *rq, uint64_t *pfns, uint64_t word);

/* populate.c: 0; 1: what is needed cannot be cached; -errno */
int chunk_populate(struct hmm_svm *svm, struct chunk_request *rq);
/* Takes the device's lock and begins a commit section. 0; -ETIME: neither. */
int section_begin(struct hmm_svm *svm, uint64_t deadline);
void section_end(struct hmm_svm *svm);

/*
 * revalidate.c: remembers what a CHUNK_CHECKED chunk maps. again: looks first whether that is
 * remembered. Called in the commit section.
 */
int checked_add(struct hmm_svm *svm, const struct chunk_request *rq, bool again);

/* claim.c */
/*
 * True: this thread has the claim, and no other commits an overlapping chunk until claim_end().
 * False: another thread has an overlapping claim.
 */
bool claim_try(struct hmm_svm *svm, uint64_t start, uint64_t end);
bool claim_held(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* Waits until the threads with overlapping claims are done. Their own deadlines bound that. */
void claim_wait(struct hmm_svm *svm, uint64_t start, uint64_t end);
void claim_end(struct hmm_svm *svm, uint64_t start, uint64_t end);

/* install_log.c */
struct svm_fetch {
	uint64_t began; /* number of the next installation when the fetch began */
	/* its faults were raised after the installations below this number */
	uint64_t raised_after;
};
/* Called in the commit section. */
void install_note(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* These enclose the device's fetch_faults. full: it may have left faults in the buffer. */
struct svm_fetch fetch_begin(struct hmm_svm *svm);
void fetch_end(struct hmm_svm *svm, const struct svm_fetch *fetch, bool full);
/* Does the log have an installation with at least that number for each page of [addr, end)? */
bool installed_since(struct hmm_svm *svm, uint64_t addr, uint64_t end, uint64_t number);

/* fault.c */
/* Why memory is faulted, and what that took. */
struct svm_need {
	bool missing; /* the device lacks entries: chunks in the table ... */
	/* ... are installed again if they are older than this installation */
	uint64_t raised_after;
	bool in_place;      /* nothing moves to device memory first */
	unsigned int walks; /* out: adds the number of calls of hmm_range_fault() */
};
/* 0; 1: a part cannot be cached; -errno. */
int svm_fault_span(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot,
		   struct svm_need *need);
/*
 * Populates up to max chunks from addr on, all in one VMA. Skips chunks that are claimed or in the
 * table.
 */
void svm_fault_ahead(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max);
/* Does a chunk that starts here continue a stream of faults? */
bool svm_streaming(struct hmm_svm *svm, uint64_t start);

/* batch.c */
int svm_faults_pending(struct hmm_svm *svm);
/*
 * Fetches one batch of faults, sorts it by address, coalesces it and answers it. A chunk is walked
 * once, however many engines wait for it. A fault that cannot be served is cancelled with its own
 * error and does not disturb others. Returns how many were answered; -ESHUTDOWN.
 */
int svm_batch_serve(struct hmm_svm *svm, uint64_t timeout_ns);
int svm_batch_start(struct hmm_svm *svm);
void svm_batch_stop(struct hmm_svm *svm);
size_t svm_batch_size(void);

/* submit.c */
int svm_restore(struct hmm_svm *svm);

/* allow.c */
/*
 * Is prot allowed at addr? Narrows [*start, *end) to the addresses around it for which that holds.
 */
bool svm_allowed(struct hmm_svm *svm, uint64_t addr, int prot, uint64_t *start, uint64_t *end);

/* policy.c */
/*
 * The policy at addr. Narrows [*start, *end) to addresses around it that have the same one, as far
 * as the largest chunk reaches at least.
 */
void svm_policy_at(struct hmm_svm *svm, uint64_t addr, uint64_t *start, uint64_t *end,
		   struct hmm_svm_policy *policy);

/* migrate.c */
/* Whose pages of device memory a walk under the policy reports; NULL: all come home. */
void *svm_owner(const struct hmm_svm *svm, const struct hmm_svm_policy *policy);
/* Moves what of a claimed chunk is to live in device memory. What stays is counted. */
void svm_migrate_chunk(struct hmm_svm *svm, struct chunk_request *rq);
/* The same for [start, end), whatever the CPU has touched just now. */
void svm_migrate_span(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* Whole pages of [start, end) come home. Errors as hmm_svm_evict(). */
int svm_come_home(struct hmm_svm *svm, uint64_t start, uint64_t end);

/*
 * gather.c: an engine in software needs [addr, addr + len) in one piece, and it is partly in device
 * memory, or there in several pieces. Moves the rest there, which may do, or brings all home, and
 * makes it usable. 0; -errno as hmm_svm_fault(); -EFAULT: the mirror has no device memory.
 */
int svm_gather(struct hmm_device *dev, uint64_t addr, uint64_t len, int prot, bool home);

/* collect.c */
void svm_collect_maybe(struct hmm_svm *svm);

/* revalidate.c: looks for changes without events. Returns how many chunks were dropped. */
uint64_t svm_revalidate(struct hmm_svm *svm);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A mirror, from inside. Locks, outermost first; none is held while memory of the program is allocated,
 * freed or touched, nor across hmm_range_fault():
 *
 *	notifier_lock	who inserts a notifier
 *	device_lock	ops of a serial device; never held at a closed gate
 *	commit section, or the gate closed
 *	svm->lock	notifiers, claims, allowed ranges, jobs; held for 10 ms at most where notifiers are removed
 *	a table's lock	its nodes (lib/ptable)
 *
 * The pump closes the gate and takes tables' locks, in callbacks; never the other three. A commit section takes
 * svm->lock, and the device's op what it likes. So a thread that a signal handler of the program interrupts here, and
 * that unmaps mirrored memory in the handler, can stop the pump: at the gate, which then does not close, or in a
 * callback. What it waits for is read by the watchdog in the pump's place; no lock of ours is needed for that.
 *
 * The chunk table says where the device may hold entries, and never too little: a chunk is in it before
 * its commit section ends and leaves it only with the gate closed, together with the device's entries. Threads that
 * handle faults look it up in no section, while hmm_svm_collect() frees its nodes: by pt_get(), never by
 * hmm_ptable_lookup().
 *
 * A fault runs under the svm's notifier. What hits another part of its 512 MiB meanwhile is no collision:
 * notifier/recent.h tells.
 */
#ifndef LIB_SVM_SVM_H
#define LIB_SVM_SVM_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
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
 * Words of the chunk table. Which 64 KiB blocks are writable throughout is kept in the low bits, block 0 first:
 * what a write upgrades is what is installed anew.
 */
#define CHUNK_PRESENT (1ULL << 63)
#define CHUNK_WRITE (1ULL << 62)     /* every page is writable */
#define CHUNK_PARTIAL (1ULL << 61)   /* some pages are not installed */
#define CHUNK_CHECKED (1ULL << 60)   /* a kind without events */
#define CHUNK_MAY_WRITE (1ULL << 59) /* some page is writable */
#define CHUNK_LARGE (1ULL << 58)     /* the device holds it as one entry */
#define CHUNK_BLOCKS 0xffffffffULL
#define BLOCK_SHIFT 16

struct svm_notifier {
	struct itree_node node; /* L */
	struct hmm_svm *svm;
	struct hmm_interval_notifier *ni;
	bool once; /* L: an access may still ask this notifier: keep it */
};

/* A chunk that a thread is populating: others wait or do something else. */
struct svm_claim {
	uint64_t start;
	uint64_t end;
	uint64_t number; /* of all claims ever */
};

struct svm_allowed {
	struct svm_allowed *next;
	uint64_t start;
	uint64_t end;
	int prot;
};

/* What a CHUNK_CHECKED chunk mapped when it was populated. */
struct svm_checked {
	struct svm_checked *next;
	uint64_t start;
	uint64_t end;
	uint64_t inode;
	uint64_t offset; /* of start */
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
		collections, collected_bytes, collected_notifiers;
};

/* Key letters: C constant, L lock, A atomic. */
struct hmm_svm {
	struct hmm_mm *mm;              /* C */
	struct hmm_device *dev;         /* C: the outermost */
	struct hmm_svm_options options; /* C: with the defaults filled in */
	struct hmm_ptable *chunks;      /* own locking */
	struct hmm_quiescer *quiescer;  /* C */
	pthread_mutex_t notifier_lock;
	pthread_mutex_t lock;
	pthread_cond_t claimed;                  /* a claim or a restore ended */
	struct itree notifiers;                  /* L */
	uint64_t n_notifiers;                    /* L */
	struct svm_claim claims[CLAIMS_MAX];     /* L: start == end is free */
	uint64_t n_claims;                       /* L: ever */
	uint64_t n_unclaimed;                    /* L: ever */
	struct svm_allowed *allowed;             /* L */
	struct svm_checked *checked;             /* L */
	struct svm_job *jobs;                    /* L */
	unsigned int restoring;                  /* L: threads that read jobs */
	unsigned int vain;                       /* L: restores in a row that found all there */
	struct svm_claim installs[INSTALLS_MAX]; /* L: the latest, number n at n % INSTALLS_MAX */
	uint64_t n_installs;                     /* L */
	uint64_t emptied; /* L: n_installs when the last fetch began that left nothing */
	struct vma_look looks[LOOKS_MAX]; /* L: mappings that faults found */
	unsigned int n_looks;             /* L: ever */
	unsigned int n_full;              /* L: fetches in a row that may have left something */
	struct objpool pfns_pool;         /* of CHUNK_MAX_PAGES words */
	struct objpool batch_pool;        /* of struct svm_batch */
	struct objpool small_pool;        /* notifiers, allowed, checked, jobs */
	_Atomic uint64_t
		garbage;        /* A: invalidations that removed chunks since the last collection */
	_Atomic bool stopping;  /* A */
	pthread_t threads[16];  /* C */
	unsigned int n_threads; /* C */
	pid_t pid;              /* C */
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
/* hmm_svm_drop() that gives up: then nothing is dropped, -ETIME. */
int svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end, uint64_t deadline);
/* The device loses [start, end). The gate is closed. Returns how many chunks it concerned. */
uint64_t svm_forget(struct hmm_svm *svm, uint64_t start, uint64_t end, enum hmm_event event);

/* chunk.c */
struct chunk_request {
	uint64_t start; /* the chunk */
	uint64_t end;
	int prot;
	bool prefetch;
	bool stream;          /* goes on where another ended */
	bool huge;            /* a write dirties all of it at once, asked for or not */
	bool block;           /* start and end are blocks of a chunk that the device holds */
	bool ask;             /* the mapping is looked up, whatever is remembered of it */
	uint32_t shift;       /* the chunk's size */
	struct vma_look look; /* the mapping around it */
	uint64_t need_start;  /* what somebody waits for */
	uint64_t need_end;
	uint64_t deadline; /* moves while it comes further */
	bool refused;      /* out: the device did not map it, but maybe a part of it */
};
/* The chunk to populate for an address: at most 1 << max_shift bytes. 0; -EFAULT; -EACCES; -ESRCH. */
int chunk_choose(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max_shift,
		 struct chunk_request *rq);
/* The mapping at addr is not as remembered. */
void chunk_look_again(struct hmm_svm *svm, uint64_t addr);
/* The chunk that the table has at addr; false: none, or one of which more must be known. */
bool chunk_span(struct hmm_svm *svm, uint64_t addr, struct chunk_request *rq);
/* Does the device hold all of [addr, end) with that permission as far as the table knows? */
bool chunk_found(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot);
int chunk_remember(struct hmm_svm *svm, const struct chunk_request *rq, uint64_t word);
/* The word that stands for rq's first address and, in *shift, for how much. */
uint64_t chunk_word(struct hmm_svm *svm, const struct chunk_request *rq, uint32_t *shift);
/* The bits of the blocks that [start, end) overlaps, in a chunk of 1 << shift bytes. */
uint64_t chunk_blocks(uint32_t shift, uint64_t start, uint64_t end);
/* The device may lack something of [start, end), whatever the table says. Claimed, in a commit section. */
int chunk_partial(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* More blocks of a chunk that is there became writable. */
int chunk_upgrade(struct hmm_svm *svm, uint64_t addr, uint64_t word);

/*
 * A write dirties every page it asks for. Of anonymous memory that is an allocation; of a file it is
 * write-back that nobody asked for: unless writes come in a stream, only this much around the need is
 * asked for.
 */
#define FILE_WRITE_BLOCK (1ULL << BLOCK_SHIFT)

static inline bool chunk_writes_block(const struct chunk_request *rq)
{
	return rq->prot & PROT_WRITE && !rq->stream && !rq->huge &&
	       (rq->look.vma.kind == HMM_VMA_FILE || rq->look.vma.kind == HMM_VMA_DAX);
}

/* commit.c */
/*
 * What may be installed of a walk's result, and the word that stands for it. 1: not all that is needed can be
 * cached.
 */
int chunk_judge(const struct chunk_request *rq, uint64_t *pfns, uint64_t *word);
/* Does this word say that the device holds all of the chunk, page by page? */
bool chunk_is_whole(uint64_t word, uint32_t shift, const struct chunk_request *rq);
/* Answers that are no error and no driver's. */
#define CHUNK_CHANGED 2  /* a block's chunk is not there any more */
#define CHUNK_COLLIDED 3 /* to be walked again */
#define CHUNK_LATER 4    /* something is in flight: to be committed again */
/* In the commit section, the sequence stands: 0; CHUNK_CHANGED; -errno. */
int chunk_commit(struct hmm_svm *svm, struct chunk_request *rq, uint64_t *pfns, uint64_t word);

/* populate.c: 0; 1 what is needed cannot be cached; -errno */
int chunk_populate(struct hmm_svm *svm, struct chunk_request *rq);
/* A commit section with the device's lock, until the deadline: 0, or -ETIME and neither. */
int section_begin(struct hmm_svm *svm, uint64_t deadline);
void section_end(struct hmm_svm *svm);

/* revalidate.c: remember what a chunk of a kind without events maps, if that is not remembered; in the commit section */
int checked_add(struct hmm_svm *svm, const struct chunk_request *rq, bool again);

/* claim.c */
/* True: it is ours, and nobody commits an overlapping chunk until claim_end(). False: not now. */
bool claim_try(struct hmm_svm *svm, uint64_t start, uint64_t end);
bool claim_held(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* Until whoever is in the way is done, and no longer: his own deadline bounds it. */
void claim_wait(struct hmm_svm *svm, uint64_t start, uint64_t end);
void claim_end(struct hmm_svm *svm, uint64_t start, uint64_t end);

/* install_log.c */
struct svm_fetch {
	uint64_t began;        /* number of the next installation when it began */
	uint64_t raised_after; /* what it brings was raised after those below this number */
};
/* In the commit section. */
void install_note(struct hmm_svm *svm, uint64_t start, uint64_t end);
/* Around fetch_faults; full: it may have left some. */
struct svm_fetch fetch_begin(struct hmm_svm *svm);
void fetch_end(struct hmm_svm *svm, const struct svm_fetch *fetch, bool full);
/* Was each page of [addr, end) installed at that number or later, as far as is remembered? */
bool installed_since(struct hmm_svm *svm, uint64_t addr, uint64_t end, uint64_t number);

/* fault.c */
/* Who asks for memory, and what it took. */
struct svm_need {
	bool missing;          /* the device has no entry for some of it: what is there ... */
	uint64_t raised_after; /* ... and older than this installation is installed again */
	unsigned int walks;    /* out: grows by the calls of hmm_range_fault() */
};
/* 0; 1 a part cannot be cached; -errno. */
int svm_fault_span(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot,
		   struct svm_need *need);
/* Populate up to max chunks from addr on, all in the VMA; skips what is claimed or there. */
void svm_fault_ahead(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max);
/* Does a chunk that starts here continue a stream of faults? */
bool svm_streaming(struct hmm_svm *svm, uint64_t start);

/* batch.c */
int svm_faults_pending(struct hmm_svm *svm);
/*
 * Fetch one batch of faults and answer it: sorted by address and coalesced, one hmm_range_fault() a chunk, however
 * many engines wait for it; one that cannot be served is cancelled with its own error and disturbs no other.
 * How many were answered; -ESHUTDOWN.
 */
int svm_batch_serve(struct hmm_svm *svm, uint64_t timeout_ns);
int svm_batch_start(struct hmm_svm *svm);
void svm_batch_stop(struct hmm_svm *svm);
size_t svm_batch_size(void);

/* submit.c */
int svm_restore(struct hmm_svm *svm);

/* allow.c */
/* Is prot allowed at addr? Narrows [*start, *end) to where it is. */
bool svm_allowed(struct hmm_svm *svm, uint64_t addr, int prot, uint64_t *start, uint64_t *end);

/* collect.c */
void svm_collect_maybe(struct hmm_svm *svm);

/* revalidate.c: what has no events is looked at; returns chunks dropped */
uint64_t svm_revalidate(struct hmm_svm *svm);

#endif

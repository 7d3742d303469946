/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * away: the torture of device memory. Owners write words that say where they belong and how old
 * they are, and change their memory in every way. Others migrate it out and home meanwhile, devices
 * write into it there, and threads count words up that a device takes exclusively. Nothing may be
 * lost, come back after it was discarded, or be torn, and no page of a device may be left in use.
 *
 *	area.c		the owners' memory, and what must be in it
 *	owner.c		what owners do with it
 *	fork.c		children that see what they must
 *	move.c		migrations
 *	device.c	a device that works in its memory
 *	copying.c	the memory of a device that copies pages in and out
 *	words.c		words that everybody counts up
 *	exclusive.c	a device that has them for itself
 *	discard.c	a migration in the middle of a discard
 *	round.c		a round: attach, torture, detach
 *	report.c	what was seen
 */
#ifndef TOOLS_HMM_TORTURE_AWAY_AWAY_H
#define TOOLS_HMM_TORTURE_AWAY_AWAY_H

#include "../torture.h"

#define AREAS 2
#define AREA_PAGES 1024U
#define HUGE_PAGES 512U
#define WORD_PAGES 64U
#define WORD_SHARED 16U /* of these, the last ones are shared memory */
#define REGIONS 4
#define COPYING 3 /* the region of a device that copies */
#define COPYING_BYTES (2ULL << 20)
#define THREADS_MAX 12
#define CALL_NS 200000000ULL
#define AWAY_TRANSFERS 1000000ULL

/* Words of a page of an area, and of a page of words. */
enum {
	WORD_COUNT,  /* how often its owner had written when it wrote this page */
	WORD_MARK,   /* which page, of whom, how old */
	WORD_DEVICE, /* the count that a device has seen */
	WORD_COUNT_END = 510,
	WORD_MARK_END = 511,
};
enum {
	SHARED_ATOMIC, /* CPUs count it up atomically, a device that has it exclusively does not */
	SHARED_CPU,    /* one thread alone counts it up */
	SHARED_DEVICE, /* a device counts it up in its memory */
};

#define OWNER_OPS(X)                                                                               \
	X(WRITE, "write")                                                                          \
	X(READ, "read")                                                                            \
	X(UNMAP, "munmap")                                                                         \
	X(MREMAP, "mremap away and back")                                                          \
	X(DONTUNMAP, "mremap dontunmap")                                                           \
	X(PROTECT, "mprotect")                                                                     \
	X(READONLY, "read-only memory migrates")                                                   \
	X(DONTNEED, "MADV_DONTNEED")                                                               \
	X(FREE, "MADV_FREE")                                                                       \
	X(COLLAPSE, "MADV_COLLAPSE")                                                               \
	X(HUGE, "huge page out and home")                                                          \
	X(CALL, "system call")                                                                     \
	X(FORK, "fork")                                                                            \
	X(CLONE, "raw clone")                                                                      \
	X(DISCARD, "migration in a discard")

enum owner_op {
#define X(id, name) OWNER_##id,
	OWNER_OPS(X)
#undef X
		OWNER_NR,
};

/* Only the owner's thread writes it, but for what is atomic. */
struct area {
	struct away *away;
	unsigned int id;
	bool huge;
	uint64_t base;  /* never changes */
	uint64_t other; /* where parts are while they are moved away */
	struct rng rng;
	uint64_t writes;
	uint64_t count[AREA_PAGES]; /* what the page must say; 0: it is zero */
	uint64_t since[AREA_PAGES]; /* the first count that was written after it was zero */
};

struct counter {
	const char *name;
	_Atomic uint64_t *value;
};

struct worker {
	struct away *away;
	unsigned int id;
	const char *name;
	void (*work)(struct worker *w); /* once; it is called again until the round is over */
	struct area *area;
	struct rng rng;
	struct beat beat;
	pthread_t thread;
};

/* What a device has counted up; unsure: in sections that were run over. */
struct sums {
	uint64_t sure[WORD_PAGES];
	uint64_t unsure[WORD_PAGES];
};

struct away {
	struct torture *t;
	struct hmm_mm *mm;
	bool event_fork;
	bool user_mode_only;
	struct hmm_devmem *region[REGIONS]; /* evicts; refuses; is coherent; copies */
	struct area area[AREAS];
	char *words;
	struct worker worker[THREADS_MAX];
	unsigned int workers;
	struct told *told; /* by children, shared with them, one for each area */
	_Atomic bool stop;
	uint64_t round;

	/* words.c: written by one thread each */
	uint64_t cpu[WORD_PAGES];
	uint64_t cpu_alone[WORD_PAGES];
	struct sums device;
	struct sums exclusive;
	struct hmm_engine *device_engine;
	struct hmm_engine *exclusive_engine;
	struct hmm_interval_notifier *ni[AREAS + 1];
	_Atomic unsigned int held; /* a page of the words that a device has */

	/* discard.c: a page that is being discarded; 0: none */
	_Atomic uint64_t bait;
	_Atomic uint32_t bites; /* attempts to migrate it */

	/* over all rounds */
	_Atomic uint64_t ops[OWNER_NR];
	_Atomic uint64_t unsupported[OWNER_NR];
	_Atomic uint64_t migrations;
	_Atomic uint64_t late; /* calls whose time was over */
	_Atomic uint64_t refused;
	_Atomic uint64_t evictions;
	_Atomic uint64_t left[HMM_MIGRATE_REASON_NR];
	_Atomic uint64_t huge;
	_Atomic uint64_t device_uses;
	_Atomic uint64_t transfers;
	_Atomic uint64_t revoked;
	_Atomic uint64_t given_back;
	_Atomic uint64_t not_had;
	_Atomic uint64_t overruns;
	_Atomic uint64_t increments;
	_Atomic uint64_t child_sigbus; /* pages of a device that children had not */
	struct hmm_devmem_stats stats; /* pages, summed over regions and rounds */

	/* copying.c */
	uint64_t copying_start; /* where the region begins whose pages are in device_memory */
	_Alignas(64) char device_memory[COPYING_BYTES];
};

static inline void tally(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline volatile uint64_t *word_at(uint64_t page, unsigned int word)
{
	return (volatile uint64_t *)page + word;
}

/* [lo, hi) of the area's pages. */
struct part {
	unsigned int lo;
	unsigned int hi;
};
static inline uint64_t part_start(const struct area *a, const struct part *p)
{
	return a->base + p->lo * HMM_PAGE_SIZE;
}
static inline uint64_t part_bytes(const struct part *p)
{
	return (p->hi - p->lo) * HMM_PAGE_SIZE;
}

/* ---- area.c -------------------------------------------------------------------------------- */
int area_map(struct away *away, unsigned int id, bool huge);
void area_unmap(struct area *a);
/* Mostly a few pages, sometimes many; of huge pages sometimes whole ones. */
void area_choose(const struct area *a, struct rng *rng, struct part *part);
void area_write(struct area *a, const struct part *part);
/* What is mapped at `at` must be what the part was. False: it is not, which is a finding. */
bool area_check(const struct area *a, const struct part *part, uint64_t at, const char *after);
/* What is wrong with a page. */
struct wrong {
	unsigned int page;
	int word;
	uint64_t value;
};
/* What a child tells. */
struct told {
	struct wrong wrong;
	uint64_t sigbus; /* pages whose touch was SIGBUS */
};
/* The same without a finding, in a child. */
bool area_fits(const struct area *a, const struct part *part, uint64_t at, struct wrong *wrong);
/* It is zero from now on. */
void area_forget(struct area *a, const struct part *part);

/* ---- what threads do ----------------------------------------------------------------------- */
extern const char *const owner_op_names[OWNER_NR];
void owner_work(struct worker *w);
void owner_fork(struct area *a, bool raw);
void owner_huge(struct area *a);
void move_work(struct worker *w);
/* Migrates once. Errors that may come are counted, others are findings. */
void move_out(struct away *away, struct hmm_devmem *region, uint64_t start, uint64_t end);
/* Brings home what regions have. */
void evict_all(struct away *away);
void device_work(struct worker *w);
void words_work(struct worker *w);
void words_alone_work(struct worker *w);
void exclusive_work(struct worker *w);
void revoke_work(struct worker *w);
void discard_work(struct worker *w);
void bait_work(struct worker *w);

/* copying.c: 0, also where there can be no such region; -errno: as hmm_devmem_create(). */
int copying_open(struct away *away);
/* Where the device finds what is at `page` of the region, or of memory that it shares. */
uint64_t copying_page(struct away *away, uint64_t page);

/* words.c: all threads have ended: is every count there? */
int words_map(struct away *away);
void words_unmap(struct away *away);
void words_check(const struct away *away);

/* The addresses that it works on begin here, far below those that the kernel chooses. */
#define AWAY_ARENA 0x180000000000ULL
#define AWAY_SPAN (1ULL << 30)

/* round.c: 0; -errno: it could not start. */
int away_run(struct torture *t);
/* report.c */
bool away_passed(const struct torture *t);
void away_report(const struct torture *t);
void away_report_json(const struct torture *t);
extern struct away away_state;

#endif

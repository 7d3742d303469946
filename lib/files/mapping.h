/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What was mapped where when ranges were faulted: mappings, and the files behind them. One table a
 * space; everything in it is guarded by its lock, which is held across system calls that touch no
 * memory of the program, never across an invalidation.
 */
#ifndef LIB_FILES_MAPPING_H
#define LIB_FILES_MAPPING_H

#include "files/files.h"
#include "kernel/inotify.h"
#include "kernel/stamp.h"

#include <time.h>

struct file_watch;

/* A file as we hold it; file_open.c, which is called without the lock. */
struct open_file {
	int fd;       /* O_PATH, or -1 */
	bool extents; /* its stamp looks at its extents */
	/* Other files may bear its number: each mapping of it is asked for its name. */
	bool namesakes;
	struct file_watch *watch; /* or NULL */
	uint32_t events;          /* of the watch, when the stamp was taken */
	uint64_t st_ino;          /* as stat shows it */
	uint64_t st_dev;
	struct file_stamp stamp;
};

struct file {
	struct file *_Atomic next; /* of its bucket */
	uint64_t inode;            /* as maps shows it */
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t kind;
	struct open_file h;
	uint64_t retry_ns; /* without a descriptor: when to look for one again */
	/*
	 * There is none, and no name: who could change it has none either, or is another process.
	 */
	bool has_none;
	uint64_t generation; /* bumped when it changed: older mappings are dead */
	uint32_t mappings;
	uint32_t writers; /* our own faults for writing */
};

struct mapping {
	struct itree_node node;
	uint64_t offset; /* file offset of node.start */
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t kind;
	uint32_t prot; /* PROT_READ | PROT_WRITE */
	bool shared;
	struct file *file; /* or NULL */
	uint64_t generation;
};

#define FILE_BUCKETS 512
#define FILES_MAX (1U << 20) /* those without a descriptor count, too */
#define GONE_MAX 64

struct gone_range {
	uint64_t start;
	uint64_t end;
};

struct file_table {
	/* Held for a few system calls at a time, none of which a remote filesystem answers. */
	pthread_mutex_t lock;
	struct itree mappings;
	struct file *_Atomic bucket[FILE_BUCKETS]; /* by device and inode as maps shows them */
	/* A bit a bucket that may hold one; written under lock. */
	_Atomic uint64_t filled[FILE_BUCKETS / 64];
	_Atomic uint32_t n_files;
	_Atomic uint32_t n_mappings;
	bool unused;    /* a file may be without a mapping */
	uint64_t gc_ns; /* when to begin to look at every mapping again */
	uint64_t gc_at; /* how far that came, 0: it is done */
	_Atomic uint32_t n_sysv;
	/* Stale ranges that are not delivered yet, those left late among them; falls under lock. */
	_Atomic uint32_t undelivered;
	pthread_cond_t told; /* with lock: fewer are, or one is late */
	struct deferred_range *late;
	_Atomic bool unswept; /* a file changed since mappings were last swept; set under lock */
	struct objpool mappings_pool;
	struct objpool files_pool;
	struct objpool late_pool;
	/*
	 * What was unmapped since idle files were closed. gone_lock is held for a few instructions
	 * only.
	 */
	pthread_mutex_t gone_lock;
	_Atomic uint64_t gone;   /* how many ranges were noted; written under gone_lock */
	_Atomic uint64_t closed; /* how many of them are done with; written under lock */
	struct gone_range gone_ranges[GONE_MAX]; /* gone_lock: all that are not */
	int n_gone_ranges;                       /* gone_lock */
};

#define STALE_RANGES_MAX 16

/*
 * Ranges that became invalid, to be told once the lock is released. Until then the mappings say
 * already what is mapped now, and no sequence says yet that older translations are gone:
 *
 *	fault				validated use of an older translation
 *	the mapping is replaced
 *					mapped as the mapping says, the file as it was: stands
 *	tells: sequences change
 *
 * So from before the first change to after the telling `undelivered` refuses every use with checks.
 */
struct stale_range {
	uint64_t start;
	uint64_t end;
	enum hmm_event event;
};

struct stale_ranges {
	struct file_table *table;
	int n;
	struct stale_range range[STALE_RANGES_MAX];
};

/* The lock is held in all of these. */
int mapping_put_locked(struct file_table *t, const struct hmm_vma *vma, struct file *file,
		       struct stale_ranges *dead);
/* Takes dead mappings out, as many as fit; true: there may be more. */
bool mapping_sweep_locked(struct file_table *t, struct stale_ranges *dead);
/*
 * Forget what is no longer mapped from *at on, of so many mappings at most; *at: where to go on, 0
 * when all were seen.
 */
void mapping_gc_some_locked(struct hmm_mm *mm, uint64_t *at, unsigned int mappings);
/*
 * The same for mappings that overlap what was unmapped, also those of which nothing is registered
 * any more. False: not all were looked at, as what is registered is changing.
 */
bool mapping_gc_range_locked(struct hmm_mm *mm, uint64_t start, uint64_t end);
void mapping_delete_locked(struct file_table *t, struct mapping *s);

/* dead.c */
void stale_ranges_init(struct file_table *t);
void stale_ranges_fini(struct file_table *t);
/* False: there are as many as fit */
bool stale_ranges_add(struct stale_ranges *dead, uint64_t start, uint64_t end,
		      enum hmm_event event);
/* Takes those that others left late, as many as fit; true: there are more. */
bool stale_ranges_deferred_locked(struct file_table *t, struct stale_ranges *dead);
/* Without the lock. 0; -ETIME: some are late now. None is left in dead. */
int stale_ranges_tell(struct hmm_mm *mm, struct stale_ranges *dead, uint64_t deadline);
/*
 * Waits until others have told theirs; true: there were some, and what is late now is the caller's
 * to take.
 */
bool stale_ranges_wait(struct file_table *t);

/*
 * idle.c: from a second after the last time on looks at so many mappings with each call, until all
 * were seen; closes what no mapping belongs to. The lock is held.
 */
#define FILES_RETRY_NS 1000000000ULL
void files_close_unused_locked(struct hmm_mm *mm, unsigned int mappings);

/*
 * file.c; the lock is held. Bumps the generation if the file changed since its stamp. Call
 * watches_drain() first.
 */
bool file_look_locked(struct file_table *t, struct file *f);
void file_outdate_locked(struct file_table *t, struct file *f);
/* Everything that was seen to change is told when it returns, by whomever. */
void files_sweep_all(struct hmm_mm *mm);

/*
 * file_open.c. 0; -errno and h->fd is -1: -EAGAIN the mapping has changed, -ENOENT there is no name
 * and no descriptor.
 */
int file_open(struct hmm_mm *mm, struct open_file *h, const struct hmm_vma *vma);
void file_close(struct open_file *h);
int file_stamp(const struct open_file *h, struct file_stamp *stamp);
bool file_is_mapped(struct hmm_mm *mm, const struct open_file *h, const struct hmm_vma *vma);
/* No more descriptors may be kept. */
bool files_full(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What was mapped where when ranges were faulted: mappings, and the files behind them. A space has
 * one table. The table's lock guards everything in it. The lock may be held across system calls
 * that touch no memory of the program, and never across an invalidation.
 */
#ifndef LIB_FILES_MAPPING_H
#define LIB_FILES_MAPPING_H

#include "files/files.h"
#include "kernel/inotify.h"
#include "kernel/stamp.h"

#include <time.h>

struct file_watch;

/* A file as we hold it. open.c fills it in without the table's lock. */
struct open_file {
	int fd;       /* O_PATH, or -1 */
	bool extents; /* its stamp looks at its extents */
	/*
	 * Other files may have the same inode number, so each mapping is asked which file it is of.
	 */
	bool namesakes;
	struct file_watch *watch; /* or NULL */
	uint32_t events;          /* the watch's count when the stamp was taken */
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
	uint64_t retry_ns; /* if there is no descriptor: when to look for one again */
	/*
	 * No descriptor of the file was found, and it has no name: only another process that has it
	 * open could change it.
	 */
	bool has_none;
	uint64_t generation; /* grows when the file changes: mappings with an older one are stale */
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
#define FILES_MAX (1U << 20) /* files without a descriptor count, too */
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
	/* A bit a bucket: set if the bucket may hold a file. Written under lock. */
	_Atomic uint64_t filled[FILE_BUCKETS / 64];
	_Atomic uint32_t n_files;
	_Atomic uint32_t n_mappings;
	bool unused;    /* a file may be without a mapping */
	uint64_t gc_ns; /* when to begin to look at every mapping again */
	uint64_t gc_at; /* where that look goes on; 0: it is finished */
	_Atomic uint32_t n_sysv;
	/*
	 * How many stale ranges are undelivered, those in `late` included. Made smaller under lock
	 * only.
	 */
	_Atomic uint32_t undelivered;
	pthread_cond_t told; /* with lock: `undelivered` fell, or `late` grew */
	struct deferred_range *late;
	/* a file has changed since stale mappings were last removed; set under lock */
	_Atomic bool unswept;
	struct objpool mappings_pool;
	struct objpool files_pool;
	struct objpool late_pool;
	/*
	 * What was unmapped since unused files were last closed. gone_lock is held for a few
	 * instructions only.
	 */
	pthread_mutex_t gone_lock;
	_Atomic uint64_t gone; /* how many ranges were noted; written under gone_lock */
	/* how many of these files_closed() has dealt with; written under lock */
	_Atomic uint64_t closed;
	struct gone_range gone_ranges[GONE_MAX]; /* gone_lock: those that it has not */
	int n_gone_ranges;                       /* gone_lock */
};

#define STALE_RANGES_MAX 16

/*
 * Stale ranges: callers collect them under the table's lock and invalidate them after they have
 * released it. In between the table already has the new mapping, and the notifiers' sequences have
 * not changed yet:
 *
 *	fault				validated use of an older translation
 *	the mapping is replaced
 *					the mapping is there, the file unchanged: valid?
 *	invalidates: sequences change
 *
 * So `undelivered` counts a range from before the table changes until it is invalidated, and every
 * use with checks is refused while it is not 0.
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

/* The caller holds the lock in all of these. */
int mapping_put_locked(struct file_table *t, const struct hmm_vma *vma, struct file *file,
		       struct stale_ranges *dead);
/* Moves stale mappings from the table to `dead`, as many as fit. True: there may be more. */
bool mapping_sweep_locked(struct file_table *t, struct stale_ranges *dead);
/*
 * Looks at `mappings` mappings at most, from *at on, and forgets those that are no longer mapped.
 * No event may have told of their end, and what comes there next is not compared with them any
 * more. So they are stale ranges from then on.
 * Sets *at to where to go on, or to 0 when all were seen.
 */
void mapping_gc_some_locked(struct hmm_mm *mm, uint64_t *at, unsigned int mappings);
/*
 * The same for the mappings that overlap an unmapped range; forgets also mappings of which nothing
 * is registered any more. False: the lock of the regions was busy, so not all mappings were looked
 * at.
 */
bool mapping_gc_range_locked(struct hmm_mm *mm, uint64_t start, uint64_t end);
void mapping_delete_locked(struct file_table *t, struct mapping *s);

/* stale.c */
void stale_ranges_init(struct file_table *t);
void stale_ranges_fini(struct file_table *t);
/* False: `dead` is full. */
bool stale_ranges_add(struct stale_ranges *dead, uint64_t start, uint64_t end,
		      enum hmm_event event);
/*
 * Puts a stale range into the `late` list. False: there is no memory. The caller sweeps, or leaves
 * that to the next one who does: `unswept` says so.
 */
bool stale_range_defer_locked(struct file_table *t, uint64_t start, uint64_t end);
/*
 * Takes stale ranges that earlier callers could not invalidate before their deadlines, as many as
 * fit. True: there are more.
 */
bool stale_ranges_deferred_locked(struct file_table *t, struct stale_ranges *dead);
/*
 * Without the lock: invalidates the ranges and empties `dead`. 0; -ETIME: some are in the table's
 * `late` list now.
 */
int stale_ranges_tell(struct hmm_mm *mm, struct stale_ranges *dead, uint64_t deadline);
/*
 * Waits until other threads have invalidated their stale ranges or put them into the `late` list.
 * True: there are some in that list, which the caller is to take.
 */
bool stale_ranges_wait(struct file_table *t);

/*
 * close.c; the caller holds the lock. Each call looks at `mappings` mappings for those that are
 * gone, until all were seen, and closes files without mappings. The next round begins a second
 * after the last one ended.
 */
#define FILES_RETRY_NS 1000000000ULL
void files_close_unused_locked(struct hmm_mm *mm, unsigned int mappings);

/*
 * file.c; the caller holds the lock and has called watches_drain(). Gives the file a new generation
 * if it has changed since its stamp was taken; true if so.
 */
bool file_look_locked(struct file_table *t, struct file *f);
void file_outdate_locked(struct file_table *t, struct file *f);
/* When it returns, every change of a file that any thread had seen before is invalidated. */
void files_sweep_all(struct hmm_mm *mm);

/*
 * open.c. 0, or -errno with h->fd -1. -EAGAIN: the mapping has changed; -ENOENT: the file has no
 * name and no descriptor of it can be had.
 */
int file_open(struct hmm_mm *mm, struct open_file *h, const struct hmm_vma *vma);
void file_close(struct open_file *h);
int file_stamp(const struct open_file *h, struct file_stamp *stamp);
bool file_is_mapped(struct hmm_mm *mm, const struct open_file *h, const struct hmm_vma *vma);
/* May no more descriptors be kept? */
bool files_full(void);

#endif

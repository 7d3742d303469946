/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What was mapped where when ranges were faulted: spans, and the files behind them. One table a
 * space; everything in it is guarded by its lock, which is held across system calls that touch no
 * memory of the program, never across an invalidation.
 */
#ifndef LIB_MM_SPAN_H
#define LIB_MM_SPAN_H

#include "mm/core.h"

#include <time.h>

struct file_stamp {
	uint64_t size;
	uint64_t blocks;
	int64_t ctime_s;
	uint32_t ctime_ns;
	uint64_t shared; /* bytes whose blocks other files share, where that is looked at */
	/* Taken in the clock tick of the change: a second change could bear the same time. */
	bool racy;
};

struct file {
	struct file *next;
	uint64_t inode; /* as maps shows it */
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t st_ino; /* as stat shows it */
	uint64_t st_dev;
	uint32_t kind;
	int fd;            /* O_PATH, or -1 */
	int extents_fd;    /* of the same file, where its extents are looked at, or -1 */
	int watch;         /* inotify, or -1 */
	uint64_t retry_ns; /* fd -1: when to look for a descriptor again */
	struct file_stamp stamp;
	uint64_t generation; /* bumped when it changed: older spans are dead */
	uint32_t spans;
	uint32_t writers; /* our own faults for writing */
	bool event;       /* inotify told of a change since the stamp */
};

struct span {
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

/* once.c: what the last faults of memory that nobody can watch have seen */
#define ONCE_NOTES 1024

struct once_table {
	pthread_mutex_t lock;
	_Atomic bool any;
	uint32_t count; /* lock: how many were put, modulo ONCE_NOTES the next place */
	struct once_note notes[ONCE_NOTES]; /* lock */
};

void once_init(struct once_table *t);
void once_fini(struct once_table *t);

struct file_table {
	pthread_mutex_t lock;
	struct itree spans;
	struct file *files;
	_Atomic uint32_t n_files;
	int inotify;       /* or -1 */
	bool memfd_events; /* inotify tells of holes punched in a memfd; since Linux 6.14 it does not */
	uint64_t gc_ns;
	_Atomic uint32_t n_sysv;
	_Atomic uint32_t
		untold; /* dead ranges that are not told yet, those late among them; falls under lock */
	pthread_cond_t told; /* with lock: fewer are, or one is late */
	struct late_range *late;
	_Atomic bool unswept; /* a file changed since spans were last swept; set under lock */
	struct hmm_objpool spans_pool;
	struct hmm_objpool files_pool;
	struct hmm_objpool late_pool;
	/* What was unmapped since idle files were closed. gone_lock is held for a few instructions only. */
	pthread_mutex_t gone_lock;
	_Atomic uint64_t gone;         /* how many ranges were noted; written under gone_lock */
	_Atomic uint64_t closed;       /* how many of them are done with; written under lock */
	uint64_t gone_start, gone_end; /* gone_lock: all that are not */
	struct once_table once;
};

#define SPAN_DEAD_MAX 16

/*
 * Ranges that became invalid, to be told once the lock is released. Until then the spans say already what is
 * mapped now, and no sequence says yet that older translations are gone:
 *
 *	fault				validated use of an older translation
 *	the span is replaced
 *					mapped as the span says, the file as it was: stands
 *	tells: sequences change
 *
 * So from before the first change to after the telling `untold` refuses every use with checks.
 */
struct dead_range {
	uint64_t start;
	uint64_t end;
	enum hmm_event event;
};

struct dead_ranges {
	struct file_table *table;
	int n;
	struct dead_range range[SPAN_DEAD_MAX];
};

/* The lock is held in all of these. */
int span_put_locked(struct file_table *t, const struct hmm_vma *vma, struct file *file,
		    struct dead_ranges *dead);
/* Takes dead spans out, as many as fit; true: there may be more. */
bool span_sweep_locked(struct file_table *t, struct dead_ranges *dead);
/* Forget what is no longer mapped, so that files can be closed. One system call a span. */
void span_gc_locked(struct hmm_mm *mm);
/*
 * The same for spans of files that overlap what was unmapped, also those of which nothing is registered any more. False: not
 * all were looked at, as what is registered is changing.
 */
bool span_gc_files_locked(struct hmm_mm *mm, uint64_t start, uint64_t end);
void span_delete_locked(struct file_table *t, struct span *s);

/* dead.c */
void dead_ranges_init(struct file_table *t);
void dead_ranges_fini(struct file_table *t);
/* False: there are as many as fit */
bool dead_ranges_add(struct dead_ranges *dead, uint64_t start, uint64_t end, enum hmm_event event);
/* Takes those that others left late, as many as fit; true: there are more. */
bool dead_ranges_late_locked(struct file_table *t, struct dead_ranges *dead);
/* Without the lock. 0; -ETIME: some are late now. None is left in dead. */
int dead_ranges_tell(struct hmm_mm *mm, struct dead_ranges *dead, uint64_t deadline);
/* Waits until others have told theirs; true: there were some, and what is late now is the caller's to take. */
bool dead_ranges_wait(struct file_table *t);

/* idle.c: closes what no span belongs to, after looking at every span; the lock is held */
#define FILES_RETRY_NS 1000000000ULL
void idle_files_close_locked(struct hmm_mm *mm);

/* stamp.c: 0 or -errno */
int stamp_take(int fd, struct file_stamp *stamp);
bool stamp_differs(const struct file_stamp *a, const struct file_stamp *b, bool blocks);
/* Does the change time of this filesystem come from this kernel's clock? */
bool stamp_is_local(int fd);

/* extents.c: the descriptor's name under /proc, without stdio; a descriptor or -1; 0 or -errno */
#define FD_PATH_SIZE 32
const char *fd_path(char buf[FD_PATH_SIZE], int fd);
int extents_open(int path_fd);
int extents_shared(int fd, uint64_t *bytes);

#endif

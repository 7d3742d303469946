/* SPDX-License-Identifier: GPL-2.0 */
/*
 * suite: a case, the run of a case, and what cases do and check.
 *
 * Each case runs in a process of its own, on a folder of its own, so that a case that crashes or
 * hangs fails alone and leaves nothing behind. A check that fails prints why and ends that process.
 */
#ifndef DAX_SUITE_H
#define DAX_SUITE_H

#include <stdio.h>
#include <sys/types.h>

#include "target.h"

/* A filesystem to run on. */
struct place {
	char path[256];
	char name[32]; /* "ext4", "xfs", "xfs-reflink", "tmpfs", ... as case names say it */
	bool dax;      /* proven: a new file there has the attribute, and MAP_SYNC is accepted */
	bool reflink;
	bool dax_inode; /* mounted with dax=inode */
};

/* Which variants of a case there are. */
#define ON_DAX (1u << 0)   /* filesystems with DAX */
#define ON_CACHE (1u << 1) /* the others, as a control */
#define BY_ORDER (1u << 2) /* mapped by PTEs and by PMDs */
#define BY_ACTOR (1u << 3) /* done by this process and by another */
#define LONG (1u << 4)     /* with --long only */
#define AS_ROOT (1u << 5)
#define WITH_PEER (1u << 6) /* needs the other process */
/* With --destroy only: the filesystem has to be mounted anew afterwards. */
#define DESTROYS (1u << 7)
/* Only if a name was given that fits: there are kernels that it crashes. */
#define BY_NAME (1u << 8)

struct run;

struct dax_case {
	const char *name;
	unsigned int flags;
	const char *rule;          /* what must hold */
	const char *entries;       /* expected */
	const char *invalidations; /* expected */
	void (*fn)(struct run *r);
};

struct case_list {
	const struct dax_case *cases;
	size_t count;
};

#define CASE_LIST(name, array)                                                                     \
	const struct case_list name = { array, sizeof(array) / sizeof((array)[0]) }

extern const struct case_list cases_size, cases_fallocate, cases_hole, cases_share, cases_writeback,
	cases_mapping, cases_access, cases_process, cases_name, cases_race, cases_control,
	cases_touch, cases_error, cases_device;

/* How a change became known. The worst of a case is told. */
enum seen { SEEN_NOTHING, SEEN_SYNCHRONOUS, SEEN_VALIDATED, SEEN_UNSEEN };

/* What a run leaves behind for the report, in memory shared with the parent. */
struct outcome {
	enum seen seen;
	char entries[80];
	char invalidations[120];
	char reason[160]; /* why it failed or was skipped */
	uint64_t ns;      /* for measured cases */
};

/* The other process: does one thing at a time. */
struct actor {
	int fd;
	char *map; /* the whole file, MAP_SHARED, at its size when it was mapped */
	size_t size;
	const char *path;
	const char *dir;
};

typedef int (*act_fn)(struct actor *a); /* 0 or -errno */

struct run {
	const struct dax_case *def;
	const struct target_ops *ops;
	const struct place *place;
	struct target *t;
	struct outcome *out;
	size_t page, pmd;
	/* Files are made of these: a PMD, or where they are mapped by PTEs something quicker. */
	size_t unit;
	unsigned int order; /* of the entries that an undisturbed mapping gets */
	bool by_other;      /* the actor is the other process */
	bool longer;
	char dir[320];
	char path[352]; /* of the file */
	int fd;
	char *map;
	size_t size; /* of the file and the mapping, bytes */
	int peer_fd; /* socket of the other process, -1 where there is none */
	pid_t peer;
};

/* run.c */
void run_fail(struct run *r, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), noreturn));
void run_skip(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
#define CHECK(r, cond, ...)                                                                        \
	do {                                                                                       \
		if (!(cond))                                                                       \
			run_fail(r, __FILE__, __LINE__, __VA_ARGS__);                              \
	} while (0)

/*
 * file.c: a file, its mapping and its contents. Every page of generation g holds g and its number,
 * so old data shows.
 */
#define FILE_HOLE (1u << 0)      /* no blocks */
#define FILE_READ_ONLY (1u << 1) /* mapped PROT_READ */
#define FILE_PRIVATE (1u << 2)   /* mapped MAP_PRIVATE */
#define FILE_SYNC (1u << 3)      /* mapped MAP_SYNC */
void file_create(struct run *r, size_t size, unsigned int flags);
void *file_map(struct run *r, int fd, size_t size, size_t offset, int prot, int flags);
void pattern_fill(void *buf, size_t first_page, size_t npages, uint8_t generation);
/* The first page whose content is not that of the generation; 0: zeroes. -1 if all are. */
ssize_t pattern_find_wrong(const void *buf, size_t first_page, size_t npages, uint8_t generation);

/* expect.c. Pages are counted from the start of the mapping. */
#define ANY_ORDER 0xffu
#define ENTRY_ANY_WRITE (1u << 31) /* either will do */
void mirror_start(struct run *r);
/*
 * A file of size bytes, mirrored; the device has written generation 2 to all of it, so every entry
 * is held and writable.
 */
void mirror_written(struct run *r, size_t size);
/* The same, but read only, of what file_create() left. */
void mirror_read(struct run *r, size_t size, unsigned int flags);
int act(struct run *r, act_fn fn);
void act_ok(struct run *r, act_fn fn);
/*
 * Entries of [page, page + n) are gone. must: kinds that have to cover them. may: kinds that may
 * come too.
 */
void expect_drop(struct run *r, unsigned int must, unsigned int may, size_t page, size_t n);
/* The same, before the call that takes them away returns, on every target. */
void expect_gone(struct run *r, unsigned int must, unsigned int may, size_t page, size_t n);
/* The same where user space has no way to know; says unseen unless the target saw it. */
void expect_drop_or_unseen(struct run *r, unsigned int must, unsigned int may, size_t page,
			   size_t n);
/* Nothing was taken away. */
void expect_keep(struct run *r, size_t page, size_t n);
/* Nothing had to be taken away; what was is of these kinds. */
void expect_only(struct run *r, unsigned int may);
/*
 * What a read fault of file contents gives where nobody has written since: read-only on DAX, as the
 * filesystem likes elsewhere.
 */
unsigned int read_entry(const struct run *r);
unsigned int hole_entry(const struct run *r);
unsigned int write_entry(const struct run *r);
/* A snapshot shows these entries. */
void expect_entries(struct run *r, size_t page, size_t n, unsigned int flags, unsigned int order);
/*
 * What the kernel says of the mapping, whatever the target; where the module is there to ask.
 * ENTRY_VALID, ENTRY_WRITE.
 */
void expect_truth(struct run *r, size_t page, size_t n, unsigned int flags);
/* What a fault returns, and then the entries if it returns 0. */
void expect_fault(struct run *r, size_t page, size_t n, unsigned int request, int result,
		  unsigned int flags, unsigned int order);
void expect_read(struct run *r, size_t page, size_t n, uint8_t generation);
/* The pages hold what was written for pages from as_page on. */
void expect_read_as(struct run *r, size_t page, size_t n, size_t as_page, uint8_t generation);
void expect_write(struct run *r, size_t page, size_t n, uint8_t generation);
void expect_read_error(struct run *r, size_t page, size_t n, int error);
void expect_write_error(struct run *r, size_t page, size_t n, int error);
/* What the file holds for others, by pread. */
void expect_file(struct run *r, size_t page, size_t n, uint8_t generation);
void expect_file_at(struct run *r, int fd, size_t page, size_t n, uint8_t generation);
struct entry *get_entries(struct run *r, size_t page, size_t n, unsigned int request, int *result);
const char *entry_text(const struct entry *e, char *buf, size_t size);
const char *event_kinds_text(unsigned int kinds, char *buf, size_t size);

/* The target offers less here: orders are 0 and files are not cached. */
bool reduced(const struct run *r);

/* peer.c */
void peer_start(struct run *r);
int peer_act(struct run *r, act_fn fn);
void actor_open(struct actor *a, const char *path, const char *dir, size_t size);

#endif

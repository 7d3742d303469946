// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The test at attaching. Names of the kernel's functions change, and a function may be inlined. So
 * what counts is whether a change that was made is in the log, with its beginning and its end.
 *
 * An operation is tried on anonymous memory or on a memfd. Other kinds of memory go through the
 * same functions of the kernel, apart from huge pages of hugetlbfs. What cannot be tried here
 * counts if the programs are attached to its function: a fork copies the whole space, write-back
 * needs a file on a disk, reclaim may need swap. So does a collapse: for it the kernel has each
 * processor put its lists of pages in order, which may take longer than all the rest of attaching.
 *
 * The system calls are made directly: the preload object stands in for libc's functions and notes
 * what they do.
 *
 * Other threads of the program map memory meanwhile, and the kernel may put it into a hole that an
 * operation has left. Then it is theirs, and the rest is tried elsewhere.
 */
#include "mm/selftest.h"
#include "notifier/drain.h"
#include "provider/log.h"
#include "watchd/loader.h"
#include "kernel/abi/madvise.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define ROOM (64UL << 10)
#define PAGES 4
#define SITES_MAX 4
/* How often an operation is tried again whose programs may have been skipped. */
#define TRIES 50

#define KIND(k) (1U << HMM_VMA_##k)
#define HUGETLB KIND(HUGETLB)
#define ALL (KIND(ANON) | HUGETLB | KIND(SHMEM) | KIND(SYSV) | KIND(FILE) | KIND(DAX))

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct trial {
	struct hmm_mm *mm;
	size_t page;
	char *room;
	char *p; /* PAGES pages, of which the change is made to the first one */
	int fd;  /* the memfd that is mapped there, or -1 */
	/* 1: the log has it; 0: it has not; -EOPNOTSUPP: it cannot be tried here */
	int seen[HMM_OP_NR];
};

#define UNTRIED 2

struct attempt {
	/* Makes the change to the page. False: it cannot be tried here. NULL: never tried. */
	bool (*make)(struct trial *t);
	bool file; /* of a memfd, mapped shared */
	bool essential;
	const char *sites[SITES_MAX]; /* one of them, if it is not tried */
	const char *huge[SITES_MAX];  /* one of them is needed for hugetlbfs */
	const char *dax[SITES_MAX];   /* one of them is needed for DAX */
	bool hole;                    /* the page is a hole afterwards */
};

static long advise(const struct trial *t, int advice)
{
	return syscall(SYS_madvise, t->p, t->page, advice);
}

static bool make_munmap(struct trial *t)
{
	return !syscall(SYS_munmap, t->p, t->page);
}

static bool make_map_fixed(struct trial *t)
{
	return syscall(SYS_mmap, t->p, t->page, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		       0) == (long)t->p;
}

static bool make_move(struct trial *t)
{
	return syscall(SYS_mremap, t->p, t->page, t->page, MREMAP_MAYMOVE | MREMAP_FIXED,
		       t->p + 2 * t->page) == (long)(t->p + 2 * t->page);
}

/* The page that goes is the one that is looked at. */
static bool make_shrink(struct trial *t)
{
	return syscall(SYS_mremap, t->p - t->page, 2 * t->page, t->page, 0) ==
	       (long)(t->p - t->page);
}

static bool make_dontunmap(struct trial *t)
{
	return syscall(SYS_mremap, t->p, t->page, t->page,
		       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		       t->p + 2 * t->page) == (long)(t->p + 2 * t->page);
}

static bool make_dontneed(struct trial *t)
{
	return !advise(t, MADV_DONTNEED);
}

static bool make_free(struct trial *t)
{
	return !advise(t, MADV_FREE);
}

static bool make_remove(struct trial *t)
{
	return !advise(t, MADV_REMOVE);
}

static bool make_guard(struct trial *t)
{
	return !advise(t, MADV_GUARD_INSTALL);
}

static bool make_protect(struct trial *t)
{
	return !syscall(SYS_mprotect, t->p, t->page, PROT_READ);
}

static bool make_truncate(struct trial *t)
{
	return !ftruncate(t->fd, 0);
}

static bool make_punch(struct trial *t)
{
	return !fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->page,
			  (off_t)t->page);
}

static bool make_remap_file_pages(struct trial *t)
{
	return !syscall(SYS_remap_file_pages, t->p, t->page, 0, 0, 0);
}

static bool make_shm_remap(struct trial *t)
{
	const int id = shmget(IPC_PRIVATE, t->page, IPC_CREAT | 0600);
	bool done;

	if (id < 0)
		return false;
	done = shmat(id, t->p, SHM_REMAP) == t->p;
	shmctl(id, IPC_RMID, NULL);
	return done;
}

/* A segment is there: it was attached before. */
static bool make_shmdt(struct trial *t)
{
	if (!make_shm_remap(t))
		return false;
	*(volatile char *)t->p = 1;
	log_probe_begin(t->mm, (uint64_t)(uintptr_t)t->p, (uint64_t)(uintptr_t)t->p + t->page);
	return !shmdt(t->p);
}

static bool is_present(const struct trial *t)
{
	uint64_t word = 0;

	return pagemap_words(&t->mm->pagemap, (uint64_t)(uintptr_t)t->p, 1, &word) ||
	       word & PM_WORD_PRESENT;
}

/* Without swap the page stays. */
static bool make_reclaim(struct trial *t)
{
	return !advise(t, MADV_PAGEOUT) && !is_present(t);
}

/* A private mapping of the memfd: reading maps the file's page, and writing copies it. */
static bool make_first_write(struct trial *t)
{
	if (syscall(SYS_mmap, t->p, t->page, RW, MAP_PRIVATE | MAP_FIXED, t->fd, t->page) !=
	    (long)t->p)
		return false;
	(void)*(volatile char *)t->p;
	log_probe_begin(t->mm, (uint64_t)(uintptr_t)t->p, (uint64_t)(uintptr_t)t->p + t->page);
	*(volatile char *)t->p = 2;
	return true;
}

#define HUGE_ZAP                                                                                   \
	{                                                                                          \
		"__unmap_hugepage_range", "unmap_hugepage_range", "zap_page_range_single"          \
	}
#define TRUNCATION                                                                                 \
	{                                                                                          \
		"zap_page_range_single", "zap_page_range_single_batched"                           \
	}

static const struct attempt attempts[HMM_OP_NR] = {
	[HMM_OP_MUNMAP] = { make_munmap, false, true, .hole = true },
	[HMM_OP_MAP_FIXED] = { make_map_fixed, false, true },
	[HMM_OP_BRK_SHRINK] = { make_munmap, false, true, .hole = true },
	[HMM_OP_MREMAP_MOVE] = { make_move, false, true, .hole = true },
	[HMM_OP_MREMAP_SHRINK] = { make_shrink, false, true, .hole = true },
	[HMM_OP_MREMAP_DONTUNMAP] = { make_dontunmap, false, true, { "move_page_tables" } },
	[HMM_OP_MADV_DONTNEED] = { make_dontneed, false, true },
	[HMM_OP_MADV_FREE] = { make_free, false, true },
	[HMM_OP_MADV_REMOVE] = { make_remove, true, true, TRUNCATION, HUGE_ZAP },
	[HMM_OP_MADV_REMOVE_BEGUN] = { make_remove, true, true, TRUNCATION, HUGE_ZAP },
	[HMM_OP_FORK] = { NULL, false, true, { "copy_page_range" } },
	[HMM_OP_FORK_RAW] = { NULL, false, true, { "copy_page_range" } },
	[HMM_OP_MPROTECT] = { make_protect, false, true },
	[HMM_OP_TRUNCATE] = { make_truncate, true, true, TRUNCATION, HUGE_ZAP },
	[HMM_OP_PUNCH_HOLE] = { make_punch, true, true, TRUNCATION, HUGE_ZAP },
	[HMM_OP_SHMDT] = { make_shmdt, false, true, { "unmap_vmas" }, .hole = true },
	[HMM_OP_SHM_REMAP] = { make_shm_remap, false, true, { "unmap_vmas" } },
	[HMM_OP_REMAP_FILE_PAGES] = { make_remap_file_pages, true, true, { "unmap_vmas" } },
	[HMM_OP_GUARD_INSTALL] = { make_guard, false, false, TRUNCATION },
	[HMM_OP_RECLAIM] = { make_reclaim, false, false, { "try_to_unmap_one" } },
	[HMM_OP_COLLAPSE] = { NULL, false, false, { "collapse_huge_page" } },
	[HMM_OP_FIRST_WRITE] = { make_first_write,
				 true,
				 false,
				 { "wp_page_copy" },
				 { "hugetlb_wp", "hugetlb_fault" } },
	[HMM_OP_OTHER_TRUNCATE] = { make_truncate, true, true, TRUNCATION, HUGE_ZAP },
	[HMM_OP_WRITEBACK] = { NULL,
			       true,
			       false,
			       { "page_mkclean_one" },
			       { NULL },
			       { "pfn_mkclean_range" } },
};

/* With an anchor the kernel's own functions tell of everything. */
static bool is_attached(const struct log *log, const char *const *names)
{
	if (log->anchored)
		return true;
	for (size_t i = 0; i < log->n_sites; i++) {
		for (int n = 0; n < SITES_MAX && names[n]; n++) {
			if (log->sites[i].attached && !strcmp(log->sites[i].name, names[n]))
				return true;
		}
	}
	return false;
}

static bool prepare(struct trial *t, bool file)
{
	const int flags = MAP_FIXED | (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);

	t->p = t->room + t->page;
	t->fd = -1;
	if (file) {
		t->fd = memfd_create("libhmm", MFD_CLOEXEC);
		if (t->fd < 0 || ftruncate(t->fd, (off_t)(PAGES * t->page)))
			return false;
	}
	if (syscall(SYS_mmap, t->room, PAGES * t->page, RW, flags, t->fd, 0) != (long)t->room)
		return false;
	for (int i = 0; i < PAGES; i++)
		((volatile char *)t->room)[i * t->page] = 1;
	log_probe_begin(t->mm, (uint64_t)(uintptr_t)t->p, (uint64_t)(uintptr_t)t->p + t->page);
	return true;
}

static bool find_room(struct trial *t)
{
	const long room =
		syscall(SYS_mmap, NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	t->room = room == -1 ? NULL : (char *)room;
	return t->room;
}

static void fill_hole(struct trial *t)
{
	char *behind = t->p + t->page;

	if (syscall(SYS_mmap, t->p, t->page, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (long)t->p)
		return;
	syscall(SYS_munmap, t->room, t->p - t->room);
	syscall(SYS_munmap, behind, t->room + ROOM - behind);
	find_room(t);
}

static int try_once(struct trial *t, const struct attempt *a, bool *lost)
{
	int seen = -EOPNOTSUPP;

	if (!t->room)
		return seen;
	if (prepare(t, a->file) && a->make(t)) {
		seen = log_probe_seen(t->mm, lost) != 0;
		if (a->hole)
			fill_hole(t);
	}
	if (t->fd >= 0)
		close(t->fd);
	return seen;
}

/*
 * As in `seen`. Where the kernel preempts itself the programs may be skipped, here as elsewhere;
 * the log says so, and then it is tried again.
 */
static int try(struct trial *t, const struct attempt *a)
{
	const struct timespec moment = { 0, 1000000 };
	bool lost = false;
	int seen;

	if (!a->make)
		return -EOPNOTSUPP;
	seen = try_once(t, a, &lost);
	for (int i = 0; i < TRIES && !seen && lost; i++) {
		lost = false;
		syscall(SYS_nanosleep, &moment, NULL);
		seen = try_once(t, a, &lost);
	}
	return seen;
}

/* What was found of an operation before that is made in the same way. */
static int tried_before(const struct trial *t, enum hmm_operation op)
{
	for (int same = 0; same < (int)op; same++) {
		if (attempts[same].make == attempts[op].make && t->seen[same] != UNTRIED)
			return t->seen[same];
	}
	return UNTRIED;
}

static void test(struct trial *t, enum hmm_operation op)
{
	const struct attempt *a = &attempts[op];
	const int before = tried_before(t, op);
	const int seen = before != UNTRIED ? before : try(t, a);
	uint32_t kinds = ALL;

	t->seen[op] = seen;
	if (seen >= 0)
		t->mm->tried |= 1U << op;
	if (!(seen >= 0 ? seen : is_attached(t->mm->log, a->sites)))
		kinds = 0;
	if (a->huge[0] && !is_attached(t->mm->log, a->huge))
		kinds &= ~HUGETLB;
	if (a->dax[0] && !is_attached(t->mm->log, a->dax))
		kinds &= ~KIND(DAX);
	t->mm->exact[op] = (uint8_t)kinds;
}

int selftest(struct hmm_mm *mm)
{
	struct trial t = { .mm = mm, .page = (size_t)sysconf(_SC_PAGESIZE) };
	int err = 0;

	for (int op = 0; op < HMM_OP_NR; op++)
		t.seen[op] = UNTRIED;
	if (!find_room(&t))
		return -ENOMEM;
	for (int op = 0; op < HMM_OP_NR; op++) {
		test(&t, (enum hmm_operation)op);
		if (attempts[op].essential && !mm->exact[op])
			err = -EOPNOTSUPP;
	}
	if (t.room)
		syscall(SYS_munmap, t.room, ROOM);
	return err;
}

void selftest_assume(struct hmm_mm *mm)
{
	memset(mm->exact, (int)ALL, sizeof(mm->exact));
	mm->tried = UINT32_MAX;
}
